"use strict";
/* How one number was computed: the products and their sum, forward and backward.
 *
 * Each function takes the state (see inspector.js), whose pixel (i, j) and channel name the number, and
 * gives elements. `other` is the channel on the other side of a convolution that is shown in detail, or
 * null for the one with the largest term. */

const sumOf = (values) => values.reduce((total, value) => total + value, 0);
const equation = (...parts) => el("p", { class: "sum" }, ...parts);
const result = (value) => el("b", { "data-result": value }, num(value, 6));
const rows = (...lines) => el("table", { class: "numbers" }, ...lines.map((cells, n) =>
  el("tr", {}, ...cells.map((cell) => el(n ? "td" : "th", {}, typeof cell === "number" ? num(cell, 6) : cell)))));

// what a convolution reads, and its kernel: {x: array, scale, w, b}
function conv(view, name) {
  const source = { "refine/conv": "refine/conv:up", head: "head:f" }[name] || step[name].input;
  return { x: view.kept[source], scale: scaleOf(name), w: view.net.p[`${name}/w`], b: view.net.p[`${name}/b`], source };
}
const weight = (w, r, s, c, o) => w.data[((r * w.k + s) * w.cin + c) * w.cout + o];
const taps = (k) => Array.from({ length: k * k }, (_, n) => [Math.floor(n / k), n % k]);
const detailed = (state, terms) => (state.other !== null && state.other < terms.length ? state.other
  : terms.reduce((most, term) => (Math.abs(term.value) > Math.abs(most.value) ? term : most)).key);
const channels = (n) => Array.from({ length: n }, (_, c) => c);

function products(patch, kernel, k, labels, kind = "activation") {
  const each = patch.map((value, n) => value * kernel[n]);
  const sum = sumOf(each);
  return [el("div", { class: "product" }, grid(patch, k, { kind, label: labels[0] }), el("span", {}, "\u00d7"),
    grid(kernel, k, { label: labels[1] }), el("span", {}, "="), grid(each, k, { label: "the products" })),
  equation(`sum of the ${k * k} products = `, el("b", { "data-products": sum }, num(sum, 6)))];
}

function forwardConv(state, name) {
  const { view, i, j, channel: o } = state;
  const { x, scale, w, b, source } = conv(view, name);
  const [a, at] = local(view, scale, i, j), p = w.k >> 1;
  const patchOf = (c) => taps(w.k).map(([r, s]) => engine.at(x, engine.mirrored(a + r, x.h, p), engine.mirrored(at + s, x.w, p), c));
  const kernelOf = (c) => taps(w.k).map(([r, s]) => weight(w, r, s, c, o));
  const terms = channels(w.cin).map((c) => {
    const kernel = kernelOf(c);
    return { key: c, label: `input channel ${c}`, value: sumOf(patchOf(c).map((value, n) => value * kernel[n])) };
  });
  const c = detailed(state, terms);
  const names = { "refine/conv:up": "the upsampled input", "head:f": "after the activation" };
  const found = [equation(`b + \u03a3 over the input's channels = ${num(b[o], 6)} + ${num(sumOf(terms.map((t) => t.value)), 6)} = `,
    result(valueAt(view, "kept", name, i, j, o)))];
  if (w.cin > 1) found.push(bars(terms, { chosen: c, onpick: (key) => choose({ other: key }) }));
  found.push(el("h3", {}, `input channel ${c}, in detail`),
    ...products(patchOf(c), kernelOf(c), w.k, [`${names[source] || source} around this pixel`, `the kernel w[:, :, ${c}, ${o}]`]));
  const edge = taps(w.k).some(([r, s]) => isMirrored(view, scale, i + r - p, j + s - p));
  if (edge) found.push(el("p", { class: "note" }, `This pixel is at the border of the ${PAGE.about.cut ? "cut" : "image"}: a part of the 3\u00d73 patch is mirrored from inside.`));
  if (name === "refine/conv") found.push(el("p", { class: "note" },
    `Output pixel [${i}, ${j}] repeats input pixel [${i >> 1}, ${j >> 1}]; so the patch holds equal numbers.`));
  return found;
}
const isMirrored = (view, scale, i, j) => i < 0 || j < 0 || i >= scale * HEIGHT || j >= scale * WIDTH;

function normalised(state, name) {
  const { view, i, j, channel: c } = state, { s, p } = view.net;
  const h = valueAt(view, "kept", step[name].input, i, j, c);
  const mean = s[name].mean[c], variance = s[name].var[c], invStd = 1 / Math.sqrt(variance + engine.EPS);
  return { h, mean, variance, invStd, xHat: (h - mean) * invStd, gamma: p[`${name}/gamma`][c], beta: p[`${name}/beta`][c] };
}

function forwardNorm(state, name) {
  const { view, i, j, channel: c } = state, n = normalised(state, name);
  const z = valueAt(view, "kept", `${name}:z`, i, j, c), out = valueAt(view, "kept", name, i, j, c);
  const lines = [["", "value", "how"], ["h", n.h, `${step[name].input} at this pixel`],
    ["\u03bc", n.mean, PAGE.mode === "training" ? "mean of this channel over the whole image" : "stored mean"],
    ["\u03c3\u00b2", n.variance, PAGE.mode === "training" ? "variance over the whole image" : "stored variance"],
    ["x\u0302", n.xHat, "(h \u2212 \u03bc) / \u221a(\u03c3\u00b2 + \u03b5)"], ["\u03b3", n.gamma, "learned scale"], ["\u03b2", n.beta, "learned shift"],
    ["z", z, "\u03b3 x\u0302 + \u03b2"]];
  if (step[name].operation === "bn_act") lines.push([PAGE.activation, out, z > 0 ? "z is positive: unchanged" : RELU ? "z is not positive" : "exp(z) \u2212 1"]);
  else lines.push(["skip", valueAt(view, "kept", skipOf(name), i, j, c), `${skipOf(name)}, around the branch`]);
  return [rows(...lines), equation(step[name].operation === "bn_act" ? `${PAGE.activation}(z) = ` : "z + skip = ", result(out))];
}

function forwardAct(state, name) {
  const { view, i, j, channel: c } = state;
  const h = valueAt(view, "kept", step[name].input, i, j, c);
  return [equation(`${PAGE.activation}(${num(h, 6)}) = `, result(valueAt(view, "kept", name, i, j, c)))];
}

function atLoss(state) {
  const { view, i, j } = state;
  const y = valueAt(view, "kept", "head", i, j, 0), t = valueAt(view, "kept", "target", i, j, 0);
  return [rows(["", "value", "how"], ["y", y, "the output at this pixel"], ["t", t, "the target"], ["y \u2212 t", y - t, ""],
    ["(y \u2212 t)\u00b2 / n", (y - t) ** 2 / view.count, `its part of the loss; n = ${view.count} pixels`],
    ["share", (y - t) ** 2 / view.count / PAGE.loss, "of the whole loss"]),
  equation("dy = 2 (y \u2212 t) / n = ", result(valueAt(view, "d", "head", i, j, 0)))];
}

function backwardNorm(state, name) {
  const { view, i, j, channel: c } = state, n = normalised(state, name), m = HEIGHT * WIDTH;
  const dz = valueAt(view, "d", `${name}:z`, i, j, c), scale = n.gamma * n.invStd;
  const paths = [{ label: "directly: \u03b3/\u221a(\u03c3\u00b2+\u03b5) dz", value: scale * dz }];
  if (PAGE.mode === "training") {
    const dbeta = arrays[`d ${name}/beta`][c], dgamma = arrays[`d ${name}/gamma`][c];
    paths.push({ label: "through the mean: \u2212\u03b3/\u221a(\u03c3\u00b2+\u03b5) d\u03b2/M", value: (-scale * dbeta) / m },
      { label: "through the variance: \u2212\u03b3/\u221a(\u03c3\u00b2+\u03b5) x\u0302 d\u03b3/M", value: (-scale * n.xHat * dgamma) / m });
  }
  const arrives = valueAt(view, "d", name, i, j, c);
  const found = [rows(["", "value", "how"], ["dh arrives", arrives, `gradient in ${name}`],
    ["dz", dz, step[name].operation === "bn_act" ? `dh f\u2032(z), z = ${num(valueAt(view, "kept", `${name}:z`, i, j, c))}` : "a sum passes it on; the skip gets the same"],
    ["x\u0302", n.xHat, "of the forward pass"], ["\u03b3 / \u221a(\u03c3\u00b2 + \u03b5)", scale, ""]),
  bars(paths), equation("sum of the paths = ", result(valueAt(view, "d", step[name].input, i, j, c)))];
  found.push(el("p", { class: "note" }, PAGE.mode === "training"
    ? `\u03a3 dz = d\u03b2 = ${num(arrays[`d ${name}/beta`][c])} and \u03a3 dz x\u0302 = d\u03b3 = ${num(arrays[`d ${name}/gamma`][c])}, over the M = ${m} pixels of the channel.`
    : "The statistics are stored, so they do not depend on the image: there is only the direct path."));
  return found;
}

// what the slope of the activation does to a gradient at h
const passes = (h) => (h > 0 ? "passes" : RELU ? "stops" : `is multiplied by exp(h) = ${num(Math.exp(h))}`);

function backwardAct(state, name) {
  const { view, i, j, channel: c } = state;
  const h = valueAt(view, "kept", step[name].input, i, j, c), arrives = valueAt(view, "d", name, i, j, c);
  return [equation(`h = ${num(h, 6)} is ${h > 0 ? "" : "not "}positive: ${num(arrives, 6)} ${passes(h)}: `,
    result(valueAt(view, "d", step[name].input, i, j, c)))];
}

// padded lines that are copies of line n of an image of `size` lines, first the line itself
function copies(n, size, p) {
  if (!p) return [n];
  return [n + 1, ...(n === 1 ? [0] : []), ...(n === size - 2 ? [size + 1] : [])];
}

function backwardConv(state, name) {
  const { view, i, j, channel: c } = state;
  const { x, scale, w } = conv(view, name), dy = view.d[name], p = w.k >> 1;
  const found = [];
  let [a, at] = local(view, scaleOf(step[name].input), i, j);
  if (name === "refine/conv") {
    const block = taps(2).map(([r, s]) => engine.at(view.d["refine/conv:up"], 2 * a + r, 2 * at + s, c));
    found.push(el("h3", {}, "the upsampling's adjoint: the sum of a 2\u00d72 block"),
      grid(block, 2, { onpick: (n) => choose({ quarter: n }), chosen: state.quarter, label: "gradients of the four copies; choose one" }),
      equation("their sum = ", result(valueAt(view, "d", "tail/bn", i, j, c))));
    [a, at] = [2 * a + Math.floor(state.quarter / 2), 2 * at + (state.quarter % 2)];
  }
  const dyAt = (row, column, o) => (row < 0 || column < 0 || row >= dy.h || column >= dy.w ? 0 : engine.at(dy, row, column, o));
  const places = copies(a, x.h, p).flatMap((row) => copies(at, x.w, p).map((column) => [row, column]));
  const patchOf = ([row, column], o) => taps(w.k).map(([r, s]) => dyAt(row - r, column - s, o));
  const kernelOf = (o) => taps(w.k).map(([r, s]) => weight(w, r, s, c, o));
  const through = (place, o) => { const kernel = kernelOf(o); return sumOf(patchOf(place, o).map((value, n) => value * kernel[n])); };
  const terms = channels(w.cout).map((o) => ({ key: o, label: `output channel ${o}`, value: through(places[0], o) }));
  const direct = sumOf(terms.map((term) => term.value));
  const o = detailed(state, terms);
  const ways = [{ label: "through this convolution", value: direct }];
  const origin = [scale * view.rows[0] - p, scale * view.columns[0] - p]; // of the padded part, in the image
  places.slice(1).forEach((place) => ways.push({ label: `folded back from padded pixel [${place[0] + origin[0]}, ${place[1] + origin[1]}]`,
    value: sumOf(channels(w.cout).map((n) => through(place, n))) }));
  if (name === "head") {
    const h = engine.at(view.kept["refine/conv"], a, at, c);
    found.push(equation(`dy w = ${num(direct, 6)}; the channel was ${h > 0 ? "" : "not "}positive, so it ${passes(h)}: `,
      result(valueAt(view, "d", "refine/conv", i, j, c))));
  } else {
    for (const [label, from] of joined(name)) ways.push({ label, value: valueAt(view, "d", from, i, j, c) });
    const copy = name === "refine/conv";
    if (ways.length > 1 || copy) found.push(el("h3", {}, `the ways into ${copy ? "the chosen copy" : "this pixel"}`), el("div", { class: "ways" }, bars(ways)));
    if (!copy) found.push(equation("gradient = ", result(valueAt(view, "d", step[name].input, i, j, c))));
  }
  if (w.cout > 1) found.push(el("h3", {}, "through the convolution, by output channel"), bars(terms, { chosen: o, onpick: (key) => choose({ other: key }) }));
  found.push(...products(patchOf(places[0], o), kernelOf(o), w.k, [`gradient in ${name}, channel ${o}`, `the kernel w[:, :, ${c}, ${o}]`], "gradient"));
  return [...found, ...kernelGradient(state, name, c, o, a, at)];
}

// skips that join at the input of a convolution, see the page
function joined(name) {
  const found = [];
  if (name.endsWith("conv1")) found.push(["by the skip of this block", name.replace("conv1", "bn2")]);
  if (step[name].input === "stem/act") found.push(["by the long skip", "tail/bn"]);
  return found;
}

// one entry of dw: the products of the window, and that of the pixel (a, at) of the view
function kernelGradient(state, name, c, o, a, at) {
  const { view } = state, { x, scale, w } = conv(view, name), dy = view.d[name], p = w.k >> 1;
  const whole = taps(w.k).map(([r, s]) => arrays[`d ${name}/w`][((r * w.k + s) * w.cin + c) * w.cout + o]);
  const tap = Math.min(state.tap, w.k * w.k - 1), [r, s] = taps(w.k)[tap];
  const [top, left] = local(view, scale, scale * view.row, scale * view.column);
  const read = (i, j) => engine.at(x, engine.mirrored(i + r, x.h, p), engine.mirrored(j + s, x.w, p), c);
  const h = scale * SIDE.rows, width = scale * SIDE.columns;
  const each = Float64Array.from({ length: h * width }, (_, n) => {
    const [i, j] = [top + Math.floor(n / width), left + (n % width)];
    return read(i, j) * engine.at(dy, i, j, o);
  });
  const [value, gradient] = [read(a, at), engine.at(dy, a, at, o)];
  const canvas = el("canvas", { "aria-label": "the products of this window", style: "width:160px" });
  const range = putCells(canvas, each, h, width, Math.max(1, Math.floor(160 / width)), "gradient");
  return [el("h3", {}, `gradient of the kernel, dw[:, :, ${c}, ${o}]`),
    grid(whole, w.k, { onpick: (n) => choose({ tap: n }), chosen: tap, label: "sums over the whole image; choose one" }),
    equation(`dw[${r}, ${s}, ${c}, ${o}] = \u03a3 pad(h)[i + ${r}, j + ${s}] dh[i, j] = `, el("b", { "data-dw": whole[tap] }, num(whole[tap], 6))),
    equation(`this pixel gives ${num(value)} \u00d7 ${num(gradient)} = `, el("b", { "data-product": value * gradient }, num(value * gradient, 6))),
    el("figure", {}, canvas, colourBar(range), el("figcaption", {}, `the products of this window; their sum is ${num(sumOf(each), 6)}`)),
    equation(`db[${o}] = \u03a3 dh[i, j] over the whole image = `, el("b", {}, num(arrays[`d ${name}/b`][o], 6)))];
}

function arithmetic(state) {
  const at = sequence[state.index], operation = step[at.name]?.operation;
  if (at.phase === "adam") return [el("p", { class: "note" }, "The step of Adam is worked out below, for any weight.")];
  if (at.phase === "loss") return atLoss(state);
  const forward = at.phase === "forward";
  if (operation.startsWith("bn")) return (forward ? forwardNorm : backwardNorm)(state, at.name);
  if (operation === "act") return (forward ? forwardAct : backwardAct)(state, at.name);
  return (forward ? forwardConv : backwardConv)(state, at.name);
}
