"use strict";
/* What the page holds: PAGE, the facts; arrays, the exact numbers; and the view, a window of the
 * image with everything around it that can change a number in it, computed again by engine.js. */

const PAGE = JSON.parse(document.getElementById("about").textContent);
const arrays = {};

async function unpack() {
  const text = atob(document.getElementById("blob").textContent.trim());
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  for (const [name, [kind, offset, shape]] of Object.entries(PAGE.arrays)) {
    const size = shape.reduce((a, b) => a * b, 1);
    arrays[name] = kind === "u1" ? new Uint8Array(buffer, offset, size) : new Float32Array(buffer, offset, size);
  }
}

const [HEIGHT, WIDTH] = PAGE.arrays.x[2];
const SIDE = { rows: Math.min(PAGE.window, HEIGHT), columns: Math.min(PAGE.window, WIDTH) };

// operations by name, with the name of the input of each
const STEPS = PAGE.steps;
const step = Object.fromEntries(STEPS.map((one) => [one.name, one]));
function inputOf(name) {
  const last = PAGE.depth ? `block${PAGE.depth - 1}/bn2` : "stem/act";
  const [group, layer] = name.split("/");
  const k = Number(group.slice(5));
  if (name === "stem/conv") return "x";
  if (name === "stem/act") return "stem/conv";
  if (name === "tail/conv") return last;
  if (name === "refine/conv") return "tail/bn";
  if (name === "head") return "refine/conv";
  if (layer === "conv1") return k ? `block${k - 1}/bn2` : "stem/act";
  if (layer === "conv2") return `${group}/bn1`;
  return `${group}/${layer.replace("bn", "conv")}`; // tail/bn too
}
step["tail/bn"].input = "tail/conv";
for (const one of STEPS) one.input ||= inputOf(one.name);
// what is added to the result of an operation, by the name of the activation
const skipOf = (name) => (name === "tail/bn" ? "stem/act" : inputOf(name.replace("bn2", "conv1")));
// 2 for arrays on the output's pixels
const scaleOf = (name) => (/^(refine\/conv|head|target)/.test(name) ? 2 : 1);
const channelsOf = (name) => (name === "x" || name === "target" ? 1 : step[name].shape[2]);

function networkOf(mode) {
  const p = {}, s = {};
  for (const [name, shape] of Object.entries(PAGE.parameters))
    p[name] = shape.length === 4 ? { data: arrays[name], k: shape[0], cin: shape[2], cout: shape[3] } : arrays[name];
  for (const { name } of STEPS)
    if (arrays[`${mode} ${name}/mean`]) s[name] = { mean: arrays[`${mode} ${name}/mean`], var: arrays[`${mode} ${name}/var`] };
  return { depth: PAGE.depth, activation: PAGE.activation, p, s };
}

// the sums over the whole image that the gradients through mean and variance need
function throughOf() {
  if (PAGE.mode !== "training") return null;
  const through = {};
  for (const { name, operation } of STEPS)
    if (operation.startsWith("bn"))
      through[name] = { dbeta: arrays[`d ${name}/beta`], dgamma: arrays[`d ${name}/gamma`], m: HEIGHT * WIDTH };
  return through;
}

// rows and columns of an array of one channel, as an array of the engine
function part(data, width, rows, columns) {
  const found = engine.zeros(rows[1] - rows[0], columns[1] - columns[0], 1);
  for (let i = 0; i < found.h; i++)
    found.data.set(data.subarray((rows[0] + i) * width + columns[0], (rows[0] + i) * width + columns[1]), i * found.w);
  return found;
}

/* The window whose first pixel is (row, column), with 2 halos around it: outputs depend on inputs
 * one halo away, and gradients on outputs one halo away. Only the outermost halo, next to an edge
 * of this part that is no edge of the image, holds wrong numbers. */
function viewAt(row, column) {
  const around = (first, side, size) => [Math.max(0, first - 2 * PAGE.halo), Math.min(size, first + side + 2 * PAGE.halo)];
  const rows = around(row, SIDE.rows, HEIGHT), columns = around(column, SIDE.columns, WIDTH);
  const x = part(arrays.x, WIDTH, rows, columns);
  const twice = (range) => range.map((n) => 2 * n);
  const target = part(arrays.target, 2 * WIDTH, twice(rows), twice(columns));
  const net = networkOf(PAGE.mode);
  const kept = engine.forward(net, x);
  const count = arrays.target.length;
  const dy = { ...target, data: target.data.map((t, n) => (2 * (kept.head.data[n] - t)) / count) };
  const d = engine.backward(net, kept, dy, throughOf());
  kept.target = target;
  return { row, column, rows, columns, net, kept, d, count };
}

// index of pixel (i, j) of the image, in the array's own pixels, within the view
const local = (view, scale, i, j) => [i - scale * view.rows[0], j - scale * view.columns[0]];

function valueAt(view, group, name, i, j, c) {
  const [a, b] = local(view, scaleOf(name), i, j);
  return engine.at(view[group][name], a, b, c);
}

// d output[i, j] / d input: {h, w, row, column, data}, with the stored statistics, which are those
// of prediction: with those of the image, nearly every pixel would have a gradient
function lookedAt(i, j) {
  const r = PAGE.halo, around = (n, size) => [Math.max(0, n - 2 * r), Math.min(size, n + 2 * r + 1)];
  const rows = around(i >> 1, HEIGHT), columns = around(j >> 1, WIDTH);
  const net = networkOf("prediction");
  const kept = engine.forward(net, part(arrays.x, WIDTH, rows, columns));
  const dy = engine.zeros(kept.head.h, kept.head.w, 1);
  dy.data[(i - 2 * rows[0]) * dy.w + (j - 2 * columns[0])] = 1;
  const { x } = engine.backward(net, kept, dy);
  return { ...x, row: rows[0], column: columns[0], y: kept.head.data[(i - 2 * rows[0]) * dy.w + j - 2 * columns[0]] };
}
