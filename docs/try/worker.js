"use strict";
/* The network on one tile; it runs in a Web Worker, or in the page itself where there is none. */

/* The network of `stored` (see build.py) as engine.forward takes it. */
function networkOf(stored) {
  const bytes = Uint8Array.from(atob(stored.float32), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const p = {};
  const s = {};
  let at = 0;
  for (const [name, shape] of stored.tensors) {
    const data = new Float32Array(shape.reduce((n, m) => n * m, 1));
    for (let n = 0; n < data.length; n++, at += 4) data[n] = view.getFloat32(at, true);
    const [layer, part] = [name.slice(0, name.lastIndexOf("/")), name.slice(name.lastIndexOf("/") + 1)];
    if (part === "mean" || part === "var") (s[layer] = s[layer] || {})[part] = data;
    else p[name] = part === "w" ? { data, k: shape[0], cin: shape[2], cout: shape[3] } : data;
  }
  return { depth: stored.depth, activation: stored.activation, p, s };
}

/* A function (data, h, w) -> the (2h, 2w) float32 output of the network. */
function tileRunner(stored, withSimd) {
  const net = networkOf(stored);
  const ops = withSimd ? { padConv: simd.maker() } : {};
  return (data, h, w) => engine.forward(net, { data, h, w, c: 1 }, ops).head.data;
}

if (typeof document === "undefined") {
  let run = null;
  self.onmessage = ({ data: message }) => {
    if (message.stored) run = tileRunner(message.stored, message.withSimd);
    else {
      const y = run(message.data, message.h, message.w);
      self.postMessage(y, [y.buffer]);
    }
  };
}
