"use strict";
/* The operations of engine.js on a GPU: compute shaders of WebGPU, in its language WGSL.
 *
 * They are short rather than fast: without tiles in the memory of a group. An array is {buffer, h, w, c}, in the memory of the GPU; the order of its numbers is that of
 * engine.js. Every thread computes one number of the result, or four neighbouring channels of one
 * pixel of a convolution. Sums are float32, in the order of r, s, c.
 */

const webgpu = (() => {
  const THREADS = 256; // of a group, for operations that take number by number
  const SIDE = 8; // pixels; a group computes 8 x 8 pixels of a convolution
  const AGREES = 1e-5; // of the largest output; more difference from engine.js is an error

  // the arguments of a shader: the result's size, then arrays in the order of `types`
  const head = (...types) =>
    [
      "@group(0) @binding(0) var<uniform> size: vec2u; // height, width",
      ...types.map((type, n) => `@group(0) @binding(${n + 1}) var<storage, read> a${n}: array<${type}>;`),
      `@group(0) @binding(${types.length + 1}) var<storage, read_write> y: array<f32>;`,
    ].join("\n");

  // y[n] = an expression of n, with c the channel of n
  const each = (types, channels, expression) => `${head(...types)}
    @compute @workgroup_size(${THREADS})
    fn main(@builtin(global_invocation_id) id: vec3u) {
      let n = id.x;
      let c = n % ${channels}u;
      if (n < size.x * size.y * ${channels}u) { y[n] = ${expression}; }
    }`;

  // y[i,j,o] = b[o] + sum over (r, s, c) of pad(x)[i+r,j+s,c] w[r,s,c,o], four o at once
  const convolution = (k, cin, cout) => `${head("f32", "vec4f", "vec4f")}
    fn mirrored(i: i32, n: i32) -> i32 { return min(abs(i), 2 * n - 2 - abs(i)); }
    @compute @workgroup_size(${SIDE}, ${SIDE})
    fn main(@builtin(global_invocation_id) id: vec3u) {
      let h = i32(size.x);
      let w = i32(size.y);
      let i = i32(id.y);
      let j = i32(id.x);
      if (i >= h || j >= w) { return; }
      var sum = a2[id.z];
      for (var r = 0; r < ${k}; r++) {
        for (var s = 0; s < ${k}; s++) {
          let pixel = (mirrored(i + r - ${k >> 1}, h) * w + mirrored(j + s - ${k >> 1}, w)) * ${cin};
          let weights = (r * ${k} + s) * ${cin} * ${Math.ceil(cout / 4)} + i32(id.z);
          for (var c = 0; c < ${cin}; c++) {
            sum += a0[pixel + c] * a1[weights + c * ${Math.ceil(cout / 4)}];
          }
        }
      }
      for (var o = 0; o < min(4, ${cout} - 4 * i32(id.z)); o++) {
        y[(i * w + j) * ${cout} + 4 * i32(id.z) + o] = sum[o];
      }
    }`;

  // lines of `length` numbers, each filled with zeros to a multiple of 4
  function filled(data, length) {
    const wide = 4 * Math.ceil(length / 4);
    const found = new Float32Array((data.length / length) * wide);
    for (let n = 0; n < data.length; n++) found[Math.floor(n / length) * wide + (n % length)] = data[n];
    return found;
  }

  /* The operations on a device, as engine.forward takes them; `put` brings an array of engine.js
   * to the GPU, `got` brings one back; `clear` gives up the memory of all results. */
  function operations(device) {
    const pipelines = new Map();
    const constants = new Map(); // buffers of weights, by their arrays
    let results = [];

    function buffer(size, usage, content) {
      const made = device.createBuffer({ size, usage, mappedAtCreation: Boolean(content) });
      if (content) {
        new content.constructor(made.getMappedRange()).set(content);
        made.unmap();
      }
      return made;
    }
    const { STORAGE, UNIFORM, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
    function result(h, w, c, content) {
      const made = buffer(4 * h * w * c, STORAGE | COPY_SRC, content);
      results.push(made);
      return { buffer: made, h, w, c };
    }
    function constant(array, values) {
      if (!constants.has(array)) {
        const content = values();
        constants.set(array, buffer(content.byteLength, STORAGE, content));
      }
      return constants.get(array);
    }

    // runs `code` on buffers; the result is (h, w, c), groups : numbers of groups of threads
    function run(code, buffers, h, w, c, groups = [Math.ceil((h * w * c) / THREADS)]) {
      if (!pipelines.has(code)) {
        const module = device.createShaderModule({ code });
        pipelines.set(code, device.createComputePipeline({ layout: "auto", compute: { module } }));
      }
      const pipeline = pipelines.get(code);
      const y = result(h, w, c);
      const size = buffer(8, UNIFORM, Uint32Array.of(h, w));
      results.push(size);
      const entries = [size, ...buffers, y.buffer].map((one, binding) => ({ binding, resource: { buffer: one } }));
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
      pass.dispatchWorkgroups(...groups);
      pass.end();
      device.queue.submit([encoder.finish()]);
      return y;
    }

    const map = (x, types, buffers, expression) =>
      run(each(types, x.c, expression), [x.buffer, ...buffers], x.h, x.w, x.c);

    return {
      put: ({ data, h, w, c }) => result(h, w, c, data),
      padConv: (x, w, b) =>
        run(
          convolution(w.k, w.cin, w.cout),
          [x.buffer, constant(w.data, () => filled(w.data, w.cout)), constant(b, () => filled(b, w.cout))],
          x.h,
          x.w,
          w.cout,
          [Math.ceil(x.w / SIDE), Math.ceil(x.h / SIDE), Math.ceil(w.cout / 4)],
        ),
      batchnorm(x, gamma, beta, { mean, var: variance }) {
        const scale = gamma.map((g, c) => g / Math.sqrt(variance[c] + engine.EPS));
        const numbers = constant(gamma, () => Float32Array.from([...mean, ...scale, ...beta]));
        const channel = `(a0[n] - a1[c]) * a1[c + ${x.c}] + a1[c + ${2 * x.c}]`;
        return map(x, ["f32", "f32"], [numbers], channel);
      },
      add: (x, y) => map(x, ["f32", "f32"], [y.buffer], "a0[n] + a1[n]"),
      relu: (x) => map(x, ["f32"], [], "max(a0[n], 0)"),
      elu: (x) => map(x, ["f32"], [], "select(exp(a0[n]) - 1, a0[n], a0[n] > 0)"),
      upsample(x) {
        const pixel = `(n / ${x.c}u)`;
        const from = `((${pixel} / size.y / 2) * (size.y / 2) + ${pixel} % size.y / 2) * ${x.c}u + c`;
        return run(each(["f32"], x.c, `a0[${from}]`), [x.buffer], 2 * x.h, 2 * x.w, x.c);
      },
      async got({ buffer: from, h, w, c }) {
        const size = 4 * h * w * c;
        const to = buffer(size, COPY_DST | MAP_READ);
        const encoder = device.createCommandEncoder();
        encoder.copyBufferToBuffer(from, 0, to, 0, size);
        device.queue.submit([encoder.finish()]);
        await to.mapAsync(GPUMapMode.READ);
        const data = new Float32Array(to.getMappedRange().slice(0));
        to.destroy();
        return { data, h, w, c };
      },
      clear() {
        results.forEach((one) => one.destroy());
        results = [];
      },
    };
  }

  // a GPU's device; null if the browser offers none, or only imitates one on the CPU
  async function device() {
    const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
    return adapter && !adapter.info.isFallbackAdapter ? adapter.requestDevice() : null;
  }

  /* What runs a network on the GPU, tile by tile: {name, run, close}; null if there is no GPU, or
   * if it computes something else than engine.js.
   * net : as engine.forward takes it.  test : {data, h, w}, a small tile for the comparison.
   * run(tile) gives the float32 output; it throws an Error if the GPU fails. */
  async function runner(net, test) {
    const found = await device().catch(() => null);
    if (!found) return null;
    const ops = operations(found);
    async function run({ data, h, w }) {
      for (const kind of ["validation", "out-of-memory", "internal"]) found.pushErrorScope(kind);
      const kept = engine.forward(net, ops.put({ data, h, w, c: 1 }), ops);
      const errors = [0, 1, 2].map(() => found.popErrorScope());
      const y = await ops.got(kept.head);
      ops.clear();
      for (const error of await Promise.all(errors)) if (error) throw new Error(error.message);
      return y.data;
    }
    const close = () => found.destroy();
    try {
      const [ours, wanted] = [await run(test), engine.forward(net, { ...test, c: 1 }).head.data];
      const most = Math.max(...wanted.map(Math.abs));
      if (wanted.every((v, n) => Math.abs(ours[n] - v) <= AGREES * most)) return { name: "WebGPU", run, close };
    } catch {
      // the browser's other engines take over
    }
    close();
    return null;
  }

  return { operations, device, runner };
})();
