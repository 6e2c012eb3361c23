"use strict";
/* The convolution of engine.js four numbers at a time: WebAssembly with SIMD.
 *
 * The code is assembled for one shape of kernel, so that all distances in memory are constants of
 * its instructions. It computes PIXELS neighbouring pixels and VECTORS x 4 channels at once: their sums
 * stay in registers, every weight that is read serves PIXELS times, every input VECTORS x 4 times.
 *
 *     for each line i, group of channels o, block of pixels j:
 *         sum[p][v] = b[o][v]
 *         for each r, s, c:  sum[p][v] += x[i + r][j + p + s][c] * w[o][r][s][c][v]
 *         y[i][j + p][o][v] = sum[p][v]
 *
 * Sums are float32, in the order of r, s, c.
 */

const simd = (() => {
  const { I32, V128, get, set, i32, v128, repeatWhile, assemble } = wasm;
  const PAGE = 65536; // bytes, by which a memory grows

  const blocking = (cout) => (cout % 8 === 0 ? { pixels: 4, vectors: 2 } : { pixels: 8, vectors: 1 });

  /* The module's run(x, w, b, y, height, width): addresses, and the size of y, whose width is a multiple
   * of `pixels`. x has k - 1 more lines and columns. w is packed, see `pack`; so is cout a multiple
   * of 4 * vectors. */
  function code(k, cin, cout) {
    const { pixels, vectors } = blocking(cout);
    const unrolled = cin % 4 === 0 ? 4 : 1;
    const group = 16 * vectors; // bytes of the channels that are computed together
    const [x, w, b, y, height, width] = [0, 1, 2, 3, 4, 5];
    // the first input of the line, and of the block; the weights of the group, and the next ones
    const [line, block, weights, weight, end, input, output, i, o, j, bias] = Array.from(
      { length: 11 },
      (_, n) => 6 + n,
    );
    const sum = (p, v) => 17 + p * vectors + v;
    const factor = (v) => 17 + pixels * vectors + v;
    const value = 17 + pixels * vectors + vectors;
    const each = (n, f) => Array.from({ length: n }, (_, m) => f(m)).flat();
    const grow = (local, by) => set(local, i32.add(get(local), by));
    const times = (local, n) => i32.mul(get(local), i32.const(n));

    // sum[p][v] += input[p] * weight[v], for `unrolled` successive inputs
    const products = each(unrolled, (u) => [
      ...each(vectors, (v) => set(factor(v), v128.load(get(weight), u * group + 16 * v))),
      ...each(pixels, (p) => [
        ...set(value, v128.loadSplat(get(input), 4 * (u + p * cin))),
        ...each(vectors, (v) =>
          set(sum(p, v), v128.add(get(sum(p, v)), v128.mul(get(value), get(factor(v))))),
        ),
      ]),
    ]);
    // the k * cin inputs of one line of the kernel stand next to each other
    const lineOfKernel = [
      ...set(end, i32.add(get(input), i32.const(4 * k * cin))),
      ...repeatWhile(
        i32.less(get(input), get(end)),
        products,
        grow(weight, i32.const(unrolled * group)),
        grow(input, i32.const(4 * unrolled)),
      ),
      ...grow(input, times(width, 4 * cin)),
      ...grow(input, i32.const(-4 * cin)),
    ];
    const blockOfPixels = [
      ...each(pixels, (p) => each(vectors, (v) => set(sum(p, v), v128.load(get(bias), 16 * v)))),
      ...set(weight, get(weights)),
      ...set(input, i32.add(get(line), times(j, 4 * cin))),
      ...each(k, () => lineOfKernel),
      ...set(output, i32.add(get(block), times(j, 4 * cout))),
      ...each(pixels, (p) =>
        each(vectors, (v) => v128.store(get(output), 4 * cout * p + 16 * v, get(sum(p, v)))),
      ),
    ];
    const groupOfChannels = [
      ...set(j, i32.const(0)),
      ...repeatWhile(i32.less(get(j), get(width)), blockOfPixels, grow(j, i32.const(pixels))),
      ...grow(weights, i32.const(k * k * cin * group)),
      ...grow(bias, i32.const(group)),
      ...grow(block, i32.const(group)),
      ...grow(o, i32.const(4 * vectors)),
    ];
    const body = [
      ...set(line, get(x)),
      ...repeatWhile(
        i32.less(get(i), get(height)),
        set(o, i32.const(0)),
        set(weights, get(w)),
        set(bias, get(b)),
        set(block, get(y)),
        repeatWhile(i32.less(get(o), i32.const(cout)), groupOfChannels),
        grow(line, times(width, 4 * cin)),
        grow(line, i32.const(4 * cin * (k - 1))),
        grow(y, times(width, 4 * cout)),
        grow(i, i32.const(1)),
      ),
    ];
    return assemble(
      6,
      [
        [11, I32],
        [pixels * vectors + vectors + 1, V128],
      ],
      body,
    );
  }

  // (r, s, c, o) -> (group of channels, r, s, c, channel of the group), with zeros beyond Cout
  function pack({ data, k, cin, cout }, channels, into) {
    const group = 4 * blocking(channels).vectors;
    const rows = k * k * cin;
    for (let n = 0; n < rows; n++)
      for (let o = 0; o < channels; o++)
        into[(Math.floor(o / group) * rows + n) * group + (o % group)] = o < cout ? data[n * cout + o] : 0;
  }

  /* Whether the browser has SIMD, and lets a page compile. */
  function supported() {
    try {
      return Boolean(new WebAssembly.Module(code(1, 1, 4)));
    } catch {
      return false;
    }
  }

  /* padConv of engine.js: reflection padding and convolution. It keeps the weights, by their arrays,
   * in a memory of its own. */
  function maker() {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const runs = new Map();
    const known = new Map();
    let used = 0; // bytes at the beginning, of weights

    function floats(count) {
      // a view on the first `count` floats after the weights
      const missing = used + 4 * count - memory.buffer.byteLength;
      if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
      return new Float32Array(memory.buffer, used, count);
    }

    function prepared(w, b) {
      if (known.has(w)) return known.get(w);
      const channels = Math.ceil(w.cout / 4) * 4;
      const shape = `${w.k} ${w.cin} ${channels}`;
      if (!runs.has(shape)) {
        const module = new WebAssembly.Module(code(w.k, w.cin, channels));
        runs.set(shape, new WebAssembly.Instance(module, { env: { memory } }).exports.run);
      }
      const count = w.k * w.k * w.cin * channels;
      const into = floats(count + channels);
      pack(w, channels, into);
      into.fill(0, count).set(b, count);
      const found = { run: runs.get(shape), channels, weights: used, bias: used + 4 * count };
      used += 4 * (count + channels);
      known.set(w, found);
      return found;
    }

    return function padConv(x, w, b) {
      const { run, channels, weights, bias } = prepared(w, b);
      const { pixels } = blocking(channels);
      const wide = Math.ceil(x.w / pixels) * pixels;
      const pad = w.k >> 1;
      const line = (wide + w.k - 1) * w.cin;
      const lines = x.h + w.k - 1;
      const all = floats(lines * line + x.h * wide * channels);
      for (let i = 0; i < lines; i++) {
        const from = engine.mirrored(i, x.h, pad) * x.w * w.cin;
        const to = all.subarray(i * line, (i + 1) * line).fill(0);
        to.set(x.data.subarray(from, from + x.w * w.cin), pad * w.cin);
        for (let p = 0; p < pad; p++) {
          // columns beside the image
          const at = [p, x.w + pad + p];
          for (const j of at) {
            const copied = from + engine.mirrored(j, x.w, pad) * w.cin;
            to.set(x.data.subarray(copied, copied + w.cin), j * w.cin);
          }
        }
      }
      run(used, weights, bias, used + 4 * lines * line, x.h, wide);
      const y = engine.zeros(x.h, x.w, w.cout);
      const found = all.subarray(lines * line);
      for (let i = 0; i < x.h; i++) {
        const from = i * wide * channels;
        const to = i * x.w * w.cout;
        if (channels === w.cout) y.data.set(found.subarray(from, from + x.w * channels), to);
        else
          for (let n = 0; n < x.w * w.cout; n++)
            y.data[to + n] = found[from + Math.floor(n / w.cout) * channels + (n % w.cout)];
      }
      return y;
    };
  }

  return { code, supported, maker };
})();
