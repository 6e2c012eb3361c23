"use strict";
/* The network in JavaScript: the operations of enhance_np/layers, with the same names, and the page
 * network.py, forward and backward.
 *
 * An array is {data: Float32Array, h, w, c} in the order (row, column, channel), one image. A kernel
 * is {data, k, cin, cout} in the order (row, column, Cin, Cout). Sums run in float64 and are rounded
 * to float32 at the end of each operation, so that results equal those of the package's engines
 * within the rounding of float32.
 */

const engine = (() => {
  const EPS = 1e-3; // of batch norm

  const zeros = (h, w, c) => ({ data: new Float32Array(h * w * c), h, w, c });
  const at = (a, i, j, c) => a.data[(i * a.w + j) * a.c + c];

  // where the padded line i of an image of n lines is copied from: c b | a b c ... |
  function mirrored(i, n, p) {
    const k = i - p;
    return k < 0 ? -k : k < n ? k : 2 * n - 2 - k;
  }

  function reflectionPad(x, p) {
    if (p === 0) return x;
    const y = zeros(x.h + 2 * p, x.w + 2 * p, x.c);
    for (let i = 0; i < y.h; i++)
      for (let j = 0; j < y.w; j++) {
        const from = (mirrored(i, x.h, p) * x.w + mirrored(j, x.w, p)) * x.c;
        y.data.set(x.data.subarray(from, from + x.c), (i * y.w + j) * x.c);
      }
    return y;
  }

  // the adjoint: the gradient of a padded pixel is added to the pixel from which it was copied
  function reflectionPadBackward(dy, p) {
    if (p === 0) return dy;
    const h = dy.h - 2 * p, w = dy.w - 2 * p;
    const sum = new Float64Array(h * w * dy.c);
    for (let i = 0; i < dy.h; i++)
      for (let j = 0; j < dy.w; j++) {
        const to = (mirrored(i, h, p) * w + mirrored(j, w, p)) * dy.c;
        const from = (i * dy.w + j) * dy.c;
        for (let c = 0; c < dy.c; c++) sum[to + c] += dy.data[from + c];
      }
    return { data: Float32Array.from(sum), h, w, c: dy.c };
  }

  // y[i,j,o] = b[o] + sum over (r, s, c) of x[i+r,j+s,c] w[r,s,c,o]
  function conv2d(x, w, b) {
    const { k, cin, cout } = w, kernel = w.data, input = x.data;
    const y = zeros(x.h - k + 1, x.w - k + 1, cout);
    const sum = new Float64Array(cout);
    for (let i = 0; i < y.h; i++)
      for (let j = 0; j < y.w; j++) {
        sum.set(b);
        let of = 0;
        for (let r = 0; r < k; r++) {
          let from = ((i + r) * x.w + j) * cin;
          for (let n = k * cin; n > 0; n--) {
            const value = input[from++];
            if (value !== 0) for (let o = 0; o < cout; o++) sum[o] += value * kernel[of + o];
            of += cout;
          }
        }
        y.data.set(sum, (i * y.w + j) * cout);
      }
    return y;
  }

  // dx of conv2d: every product goes back to where its x was read
  function conv2dBackward(dy, w) {
    const { k, cin, cout } = w, kernel = w.data, gradient = dy.data;
    const h = dy.h + k - 1, width = dy.w + k - 1;
    const sum = new Float64Array(h * width * cin);
    for (let i = 0; i < dy.h; i++)
      for (let j = 0; j < dy.w; j++) {
        const from = (i * dy.w + j) * cout;
        let of = 0;
        for (let r = 0; r < k; r++) {
          let to = ((i + r) * width + j) * cin;
          for (let n = k * cin; n > 0; n--) {
            let one = 0;
            for (let o = 0; o < cout; o++) one += gradient[from + o] * kernel[of + o];
            sum[to++] += one;
            of += cout;
          }
        }
      }
    return { data: Float32Array.from(sum), h, w: width, c: cin };
  }

  const padConv = (x, w, b) => conv2d(reflectionPad(x, w.k >> 1), w, b);
  const padConvBackward = (dy, w) => reflectionPadBackward(conv2dBackward(dy, w), w.k >> 1);

  // gamma x_hat + beta with the statistics s = {mean, var}, which are given
  function batchnorm(x, gamma, beta, s) {
    const y = zeros(x.h, x.w, x.c);
    const scale = gamma.map((g, c) => g / Math.sqrt(s.var[c] + EPS));
    for (let n = 0, c = 0; n < y.data.length; n++, c = c + 1 === x.c ? 0 : c + 1)
      y.data[n] = (x.data[n] - s.mean[c]) * scale[c] + beta[c];
    return y;
  }

  /* dx of batchnorm. through = {dbeta, dgamma, m}: the sums over the whole image and the number of
   * its values, for the paths through mean and var; null if the statistics do not depend on x. */
  function batchnormBackward(dy, x, gamma, s, through) {
    const dx = zeros(dy.h, dy.w, dy.c);
    for (let n = 0, c = 0; n < dx.data.length; n++, c = c + 1 === dy.c ? 0 : c + 1) {
      const invStd = 1 / Math.sqrt(s.var[c] + EPS);
      let d = dy.data[n];
      if (through) {
        const xHat = (x.data[n] - s.mean[c]) * invStd;
        d -= through.dbeta[c] / through.m + (xHat * through.dgamma[c]) / through.m;
      }
      dx.data[n] = gamma[c] * invStd * d;
    }
    return dx;
  }

  const map = (x, f) => ({ ...x, data: x.data.map(f) });
  const zip = (x, y, f) => ({ ...x, data: x.data.map((value, n) => f(value, y.data[n])) });

  const activations = {
    relu: { f: (x) => map(x, (v) => (v > 0 ? v : 0)), backward: (dy, y) => zip(dy, y, (d, v) => (v > 0 ? d : 0)) },
    elu: {
      f: (x) => map(x, (v) => (v > 0 ? v : Math.expm1(v))),
      backward: (dy, y) => zip(dy, y, (d, v) => (v > 0 ? d : d * (v + 1))),
    },
  };
  const add = (x, y) => zip(x, y, (a, b) => a + b);

  // repeats each pixel as a 2 x 2 block
  function upsample(x) {
    const y = zeros(2 * x.h, 2 * x.w, x.c);
    for (let i = 0; i < y.h; i++)
      for (let j = 0; j < y.w; j++) {
        const from = ((i >> 1) * x.w + (j >> 1)) * x.c;
        y.data.set(x.data.subarray(from, from + x.c), (i * y.w + j) * x.c);
      }
    return y;
  }

  // the adjoint: sums each 2 x 2 block
  function upsampleBackward(dy) {
    const dx = zeros(dy.h / 2, dy.w / 2, dy.c);
    for (let i = 0; i < dx.h; i++)
      for (let j = 0; j < dx.w; j++)
        for (let c = 0; c < dy.c; c++)
          dx.data[(i * dx.w + j) * dy.c + c] =
            at(dy, 2 * i, 2 * j, c) + at(dy, 2 * i, 2 * j + 1, c) +
            at(dy, 2 * i + 1, 2 * j, c) + at(dy, 2 * i + 1, 2 * j + 1, c);
    return dx;
  }

  const own = {
    padConv, batchnorm, upsample, add, relu: activations.relu.f, elu: activations.elu.f,
  };

  /* The page. net = {depth, activation, p, s}: p has arrays and kernels by the names of
   * params.shapes, s the statistics of each batch norm. ops : operations that replace these ones, by
   * their names; if all are replaced, the arrays may be of any kind.
   * Returns every named value {name: h}; and, under "name:part", what a joined operation computes
   * in between ("block0/bn1:z" in front of the ReLU, "refine/conv:up"). */
  function forward(net, x, ops = {}) {
    const { p, s, depth } = net;
    const speaker = { ...own, ...ops };
    const f = speaker[net.activation];
    const kept = { x };
    const keep = (name, h) => (kept[name] = h);
    const padded = (h, name) => keep(name, speaker.padConv(h, p[`${name}/w`], p[`${name}/b`]));
    const normalised = (h, name) =>
      speaker.batchnorm(h, p[`${name}/gamma`], p[`${name}/beta`], s[name]);

    let h = padded(x, "stem/conv");
    const x0 = (h = keep("stem/act", f(h)));
    for (let k = 0; k < depth; k++) {
      const skip = h;
      h = keep(`block${k}/bn1:z`, normalised(padded(h, `block${k}/conv1`), `block${k}/bn1`));
      h = keep(`block${k}/bn1`, f(h));
      h = keep(`block${k}/bn2:z`, normalised(padded(h, `block${k}/conv2`), `block${k}/bn2`));
      h = keep(`block${k}/bn2`, speaker.add(h, skip));
    }
    h = keep("tail/bn:z", normalised(padded(h, "tail/conv"), "tail/bn"));
    h = keep("tail/bn", speaker.add(h, x0));
    h = keep("refine/conv:up", speaker.upsample(h));
    h = padded(h, "refine/conv");
    h = keep("head:f", f(h));
    padded(h, "head");
    return kept;
  }

  /* The page backwards. kept : of forward. dy : the gradient in "head". through : {name of a batch
   * norm: {dbeta, dgamma, m}}, see batchnormBackward, or null for given statistics.
   * Returns {name: dh} with the names of forward, and "x". */
  function backward(net, kept, dy, through = null) {
    const { p, s, depth } = net;
        const df = activations[net.activation].backward;
    const d = { head: dy };
    const keep = (name, h) => (d[name] = h);
    const conv = (dh, name, input) => keep(input, padConvBackward(dh, p[`${name}/w`]));
    const bn = (dh, name, input) =>
      keep(input, batchnormBackward(dh, kept[input], p[`${name}/gamma`], s[name], through && through[name]));

    let dh = conv(dy, "head", "head:f");
    dh = keep("refine/conv", df(dh, kept["head:f"]));
    dh = keep("tail/bn", upsampleBackward(conv(dh, "refine/conv", "refine/conv:up")));
    const dx0 = (d["tail/bn:z"] = dh);
    dh = padConvBackward(bn(dh, "tail/bn", "tail/conv"), p["tail/conv/w"]);
    for (let k = depth - 1; k >= 0; k--) {
      const dskip = keep(`block${k}/bn2`, dh);
      d[`block${k}/bn2:z`] = dh;
      dh = conv(bn(dh, `block${k}/bn2`, `block${k}/conv2`), `block${k}/conv2`, `block${k}/bn1`);
      dh = keep(`block${k}/bn1:z`, df(dh, kept[`block${k}/bn1`]));
      dh = padConvBackward(bn(dh, `block${k}/bn1`, `block${k}/conv1`), p[`block${k}/conv1/w`]);
      dh = add(dh, dskip);
    }
    dh = keep("stem/act", add(dh, dx0));
    dh = keep("stem/conv", df(dh, kept["stem/act"]));
    conv(dh, "stem/conv", "x");
    return d;
  }

  return {
    EPS, at, zeros, mirrored, reflectionPad, reflectionPadBackward, conv2d, conv2dBackward, padConv,
    padConvBackward, batchnorm, batchnormBackward, activations, add, upsample, upsampleBackward,
    forward, backward,
  };
})();
