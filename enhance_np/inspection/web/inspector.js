"use strict";
/* The page at work: its state, what is drawn for it, and the reader's keys and clicks. */

// other : null stands for the channel with the largest term
const state = { index: 0, channel: 0, other: null, quarter: 0, tap: 4, i: 0, j: 0, pinned: false, view: null,
  timer: null, filtered: null, filtering: null }; // filtered : whose filter is drawn; the timers of play and of it

// the array that a step shows: the result, forward; the gradient in the operation's input, backward
function shown(at = sequence[state.index]) {
  if (at.phase === "forward") return { group: "kept", name: at.name };
  if (at.phase === "backward") return { group: "d", name: step[at.name].input };
  return { group: "d", name: at.phase === "loss" ? "head" : "x" };
}

function choose(change) {
  const before = shown();
  if ("index" in change) state.other = null;
  Object.assign(state, change);
  const now = shown();
  const scales = [scaleOf(before.name), scaleOf(now.name)];
  if (scales[0] !== scales[1]) for (const axis of ["i", "j"]) state[axis] = Math.floor((state[axis] * scales[1]) / scales[0]);
  state.channel = Math.min(state.channel, channelsOf(now.name) - 1);
  const dead = step[now.name]?.dead || [];
  if ("index" in change && dead.includes(state.channel))
    state.channel = Math.max(0, channels(channelsOf(now.name)).findIndex((c) => !dead.includes(c)));
  draw("index" in change || "channel" in change, "i" in change || "index" in change);
}

function draw(all, moved) {
  if (all) drawStep();
  if (!state.view.kept) return; // still computing
  drawCells();
  replace(byId("arithmetic"), ...arithmetic(state));
  clearTimeout(state.filtering);
  if (moved && state.pinned) state.filtering = setTimeout(drawFilter, 100); // not for every key that is held
}

function drawStep() {
  const at = sequence[state.index];
  showCode(at);
  showStory(at);
  markNetwork(at.name, at.phase !== "forward");
  byId("slider").value = state.index;
  byId("place").textContent = `${state.index + 1} of ${sequence.length}`;
  showTensorOf(at.name);
  drawMaps(at);
}

// a whole map, 8 bits, with the window; the pointer reads its values, a click moves the window
function mapFigure(name, channel, gradient, label, limits = null) {
  const canvas = el("canvas", { "aria-label": `${label}, ${name}` });
  const scale = putMap(canvas, name, channel, gradient, limits);
  const frame = el("div", { class: "frame", onclick: moveWindow }, canvas, el("i", { style: windowStyle() }));
  const key = (gradient ? "d " : "") + name, [, , low, high] = PAGE.maps[key][channel];
  const factor = Math.ceil((scaleOf(name) * HEIGHT) / PAGE.arrays[`map ${key}`][2][1]);
  const reduced = factor > 1 ? `; means of ${factor}\u00d7${factor} pixels, which range from ${num(low, 3)} to ${num(high, 3)}` : "";
  const words = `${label}${reduced}`, caption = el("figcaption", {}, words);
  canvas.addEventListener("pointermove", (event) => {
    const { value, i, j } = mapValue(canvas, name, channel, gradient, event);
    caption.textContent = `about ${num(value, 3)} at [${i}, ${j}]`;
  });
  canvas.addEventListener("pointerleave", () => { caption.textContent = words; });
  return el("figure", {}, frame, colourBar(scale, kindOf(name, gradient) === "image" ? PAGE.unit : ""), caption);
}

// what goes in and what comes out, in the same grey
function drawEnds() {
  const ends = [["x", "your image x"], ["head", "what the network makes of it, y"], ["target", "the target t of the loss"]];
  const ranges = ends.map(([name]) => PAGE.maps[name][0]);
  const limits = [Math.min(...ranges.map((r) => r[0])), Math.max(...ranges.map((r) => r[1]))];
  byId("ends").replaceChildren(...ends.map(([name, label]) => mapFigure(name, 0, false, label, limits)));
}

// whole maps: forward the result; backward what arrives and what leaves
function drawMaps(at) {
  const now = shown(at), pictures = byId("pictures");
  const list = at.phase === "forward" ? [[at.name, false, "result h"]]
    : at.phase === "loss" ? [["head", false, "output y"], ["target", false, "target t"], ["head", true, "gradient dy"]]
    : at.phase === "backward" ? [[at.name, true, "gradient that arrives"], [now.name, true, "gradient in the input"]]
    : [["x", true, "gradient in the image"]];
  if (at.phase === "forward") list.unshift([step[at.name].input, false, "input"]);
  pictures.replaceChildren(...list.map(([name, gradient, label]) => {
    const channel = Math.min(state.channel, channelsOf(name) - 1);
    return mapFigure(name, channel, gradient, `${label}: ${name}${channelsOf(name) > 1 ? `, channel ${channel}` : ""}`);
  }));
  const count = channelsOf(now.name), gradient = now.group === "d";
  replace(byId("channels"), ...(count === 1 ? [] : channels(count).map((c) => {
    const canvas = el("canvas");
    putMap(canvas, now.name, c, gradient);
    // a gradient arrives behind the ReLU of a dead channel, but not in front of it
    const dead = (!gradient || now.name === "refine/conv") && (step[now.name]?.dead || []).includes(c);
    return el("button", { type: "button", title: `channel ${c}${dead ? ", dead" : ""}`, "aria-label": `channel ${c}${dead ? ", dead" : ""}`, class: dead ? "dead" : null,
      "aria-pressed": c === state.channel ? "true" : "false", onclick: () => choose({ channel: c }) }, canvas);
  })));
}

function windowStyle() {
  const { row, column } = state.view;
  return `left:${(100 * column) / WIDTH}%;top:${(100 * (HEIGHT - row - SIDE.rows)) / HEIGHT}%;width:${(100 * SIDE.columns) / WIDTH}%;height:${(100 * SIDE.rows) / HEIGHT}%`;
}

function moveWindow(event) {
  const box = event.currentTarget.firstChild.getBoundingClientRect();
  setWindow(HEIGHT - ((event.clientY - box.top) / box.height) * HEIGHT, ((event.clientX - box.left) / box.width) * WIDTH);
}

/* Chooses the pixel of the input that holds (row, column), puts the window around it, shows where that
 * is, and then computes the window's numbers. */
async function setWindow(row, column) {
  [row, column] = [[row, HEIGHT], [column, WIDTH]].map(([at, size]) => Math.max(0, Math.min(size - 1, Math.floor(at))));
  const first = (middle, side, size) => Math.max(0, Math.min(size - side, middle - (side >> 1)));
  const to = { row: first(row, SIDE.rows, HEIGHT), column: first(column, SIDE.columns, WIDTH) };
  state.view = to;
  drawEnds();
  byId("window").textContent = "Computing the numbers of this window \u2026";
  drawStep();
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  await painted();
  if (state.view !== to) return; // moved again meanwhile
  const view = (state.view = viewAt(to.row, to.column));
  const scale = scaleOf(shown().name);
  state.i = scale * row;
  state.j = scale * column;
  state.pinned = false;
  draw(false, true);
  await painted();
  if (state.view === view) drawFilter();
}

// the window, number by number
function drawCells() {
  const { view, channel } = state, { group, name } = shown(), scale = scaleOf(name);
  const h = scale * SIDE.rows, w = scale * SIDE.columns, values = new Float32Array(h * w);
  for (let i = 0; i < h; i++)
    for (let j = 0; j < w; j++) values[i * w + j] = valueAt(view, group, name, scale * view.row + i, scale * view.column + j, channel);
  const canvas = el("canvas", { id: "windowcanvas", tabindex: 0, "aria-label": "the window; arrow keys with shift move the pixel" });
  const cell = 24 / scale;
  const range = putCells(canvas, values, h, w, cell, kindOf(name, group === "d"));
  const pen = canvas.getContext("2d"), a = state.i - scale * view.row, b = state.j - scale * view.column;
  for (const [colour, width] of [["#000", 4], ["#fff", 2]]) {
    Object.assign(pen, { strokeStyle: colour, lineWidth: width });
    pen.strokeRect(b * cell + 1, (h - 1 - a) * cell + 1, cell - 2, cell - 2);
  }
  const pixel = (event) => {
    const box = canvas.getBoundingClientRect();
    return { i: scale * view.row + Math.max(0, Math.min(h - 1, h - 1 - Math.floor(((event.clientY - box.top) / box.height) * h))),
      j: scale * view.column + Math.max(0, Math.min(w - 1, Math.floor(((event.clientX - box.left) / box.width) * w))) };
  };
  canvas.addEventListener("pointermove", (event) => {
    const to = pixel(event);
    if (!state.pinned && event.pointerType === "mouse" && (to.i !== state.i || to.j !== state.j)) choose(to);
  });
  canvas.addEventListener("click", (event) => {
    const to = pixel(event);
    choose({ ...to, pinned: !(state.pinned && to.i === state.i && to.j === state.j) });
  });
  replace(byId("cells"), el("figure", {}, canvas, colourBar(range)));
  byId("channel").max = channelsOf(name) - 1;
  byId("channel").value = channel;
  byId("array").textContent = `${channelsOf(name)}, ${group === "d" ? "gradient in" : "value of"} ${name}`;
  const what = group === "d" ? "gradient of the loss in" : "value of";
  const value = valueAt(view, group, name, state.i, state.j, channel);
  byId("under").replaceChildren(equation(`${what} ${name}[${state.i}, ${state.j}, ${channel}] = `, el("b", { "data-shown": value }, num(value, 8))),
    el("p", { class: "note" }, state.pinned ? "Pinned: click the pixel again to follow the pointer."
      : "The pointer chooses a pixel; a click or a tap pins it, and draws what it looked at."));
  const [row, column] = PAGE.origin;
  byId("window").textContent = `Pixels are [row, column], counted from 0, row 0 at the bottom${PAGE.about.cut ? ` in the cut, whose first pixel is [${row}, ${column}] of the file` : ""}. `
    + `The window has the input's rows ${view.row} to ${view.row + SIDE.rows - 1} and columns ${view.column} to ${view.column + SIDE.columns - 1}. This page computes it again from `
    + `the weights, in float32. Click on a map above, or press shift and an arrow at its edge, to move it.`;
}

// what lies within one pixel more than the halo around input pixel (i, j)
function cropped(seen, i, j) {
  const near = (at, first, size) => [Math.max(0, at - PAGE.halo - 1 - first), Math.min(size, at + PAGE.halo + 2 - first)];
  const rows = near(i, seen.row, seen.h), columns = near(j, seen.column, seen.w);
  return { ...seen, ...part(seen.data, seen.w, rows, columns), row: seen.row + rows[0], column: seen.column + columns[0] };
}

function drawFilter() {
  const scale = scaleOf(shown().name), twice = 2 / scale;
  const i = Math.floor(state.i * twice), j = Math.floor(state.j * twice), asked = [i, j, scale, dark()].join();
  if (state.filtered === asked) return;
  state.filtered = asked;
  const seen = cropped(lookedAt(i, j), i >> 1, j >> 1);
  const canvas = el("canvas", { "aria-label": "gradient of one output pixel in the input" });
  const cell = Math.max(6, Math.floor(420 / seen.w));
  const range = putCells(canvas, seen.data, seen.h, seen.w, cell, "gradient");
  const pen = canvas.getContext("2d"), sum = sumOf([...seen.data]);
  pen.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--ink");
  pen.strokeRect(((j >> 1) - seen.column) * cell + 0.5, (seen.h - 1 - ((i >> 1) - seen.row)) * cell + 0.5, cell - 1, cell - 1);
  const field = { rows: reachOf(i), columns: reachOf(j) }, side = 2 * PAGE.halo;
  pen.setLineDash([4, 3]);
  pen.strokeRect(((j >> 1) + field.columns[0] - seen.column) * cell + 0.5,
    (seen.h - 1 - ((i >> 1) + field.rows[1] - seen.row)) * cell + 0.5, side * cell - 1, side * cell - 1);
  const strongest = seen.data.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  const signed = (n) => (n > 0 ? `+${n}` : String(n).replace("-", "\u2212"));
  byId("filter").replaceChildren(el("figure", {}, canvas, colourBar(range),
    el("figcaption", {}, "solid: the input pixel that holds the output pixel; dashed: the receptive field")));
  byId("filterfacts").replaceChildren(rows(["", "value", "what it says"],
    ["output", seen.y, `predicted value of output pixel [${i}, ${j}]`],
    ["sum", sum, "slope of the output if the whole image rises"],
    ["strongest", strongest, "the largest weight of one input pixel"],
    ["field", `${field.rows.map(signed).join(" to ")}, ${field.columns.map(signed).join(" to ")}`,
    "receptive field: rows and columns around the marked pixel that can change the output"]),
  el("p", { class: "note" }, "A positive centre in a negative ring sharpens. The filter is not the same everywhere: compare an umbra with a granule. "
    + "It is not symmetric: the output pixel lies a quarter of an input pixel from the centre of the marked one, so the field reaches one pixel further on its side; and kernels and activations prefer no symmetry. "
    + (scale === 1 ? "An input pixel has four output pixels; this is the first, [2i, 2j]." : "")));
}

/* The receptive field of output pixel i, as first and last input pixel from the one that holds it. The
 * last convolution reads the enlarged pixels i - 1 to i + 1, the others reach halo - 1 input pixels. */
const reachOf = (i) => [-1, 1].map((side) => Math.floor((i + side) / 2) - (i >> 1) + side * (PAGE.halo - 1));

function go(index, playing = false) {
  if (!playing) play(false);
  choose({ index: Math.max(0, Math.min(sequence.length - 1, index)) });
}
function play(on) {
  clearInterval(state.timer);
  if (on && state.index + 1 === sequence.length) go(0);
  state.timer = on ? setInterval(() => (state.index + 1 < sequence.length ? go(state.index + 1, true) : play(false)), 1400) : null;
  byId("play").textContent = on ? "stop" : "play";
}

function listen() {
  byId("first").onclick = () => go(0);
  byId("back").onclick = () => go(state.index - 1);
  byId("next").onclick = () => go(state.index + 1);
  byId("play").onclick = () => play(!state.timer);
  const playFrom = (index) => { go(index); play(true); byId("stepper").scrollIntoView(); };
  byId("begin").onclick = () => playFrom(0);
  byId("turn").onclick = () => playFrom(sequence.findIndex((at) => at.phase === "loss"));
  byId("channel").oninput = (event) => event.target.value && choose({ channel: Math.max(0, Math.round(event.target.valueAsNumber)) });
  byId("slider").max = sequence.length - 1;
  byId("slider").oninput = (event) => go(Number(event.target.value));
  byId("theme").onclick = () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    showTensor(chosen.name);
    draw(true, false);
    if (state.view.kept) drawFilter();
  };
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("select, input, summary, pre") || event.ctrlKey || event.metaKey || event.altKey) return;
    const { group, name } = shown(), scale = scaleOf(name), { row, column } = state.view;
    const inside = (n, first, side) => n >= first && n < first + side;
    const moves = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.shiftKey && moves[event.key]) {
      const i = state.i + moves[event.key][0], j = state.j + moves[event.key][1];
      if (inside(i, scale * row, scale * SIDE.rows) && inside(j, scale * column, scale * SIDE.columns)) choose({ pinned: true, i, j });
      else if (inside(i, 0, scale * HEIGHT) && inside(j, 0, scale * WIDTH)) setWindow(i / scale, j / scale);
    } else if (event.key === "ArrowRight") go(state.index + 1);
    else if (event.key === "ArrowLeft") go(state.index - 1);
    else if (event.key === "Home") go(0);
    else if (event.key === "End") go(sequence.length - 1);
    else if (event.key === " " && !event.target.closest("button, [role=button]")) play(!state.timer);
    else return;
    event.preventDefault();
  });
}

async function start() {
  await unpack();
  const { about } = PAGE;
  document.title = `${about.file}: forward and backward`;
  byId("caption").textContent = [about.file, about.observed, about.instrument].filter(Boolean).join(" \u00b7 ");
  byId("summary").textContent = `${STEPS.length} operations turn ${HEIGHT} \u00d7 ${WIDTH} pixels into ${2 * HEIGHT} \u00d7 ${2 * WIDTH}. `
    + `The loss compares them with ${about.target === PAGE.bicubic ? "a stand-in for the truth, because none was given: the image enlarged by bicubic interpolation" : `the truth in ${about.target}`}. `
    + `It is ${num(PAGE.loss, 3)}, the mean square of the difference. The backward pass then tells of every number on the way, and of every weight, by how much the loss rises if that number rises.`;
  byId("facts").append(...Object.entries(about).slice(1).map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text))),
    el("div", {}, el("dt", {}, "batch norm"), el("dd", {}, PAGE.mode === "training"
      ? "statistics of this image alone, as training uses those of a batch" : "stored statistics, as in prediction")),
    el("div", {}, el("dt", {}, "loss"), el("dd", {}, num(PAGE.loss, 6))));
  byId("foot").textContent = `enhance_np ${PAGE.version}. Everything is in this file; nothing is sent anywhere.`;
  byId("network").append(drawNetwork((name) => go(sequence.findIndex((at) => at.name === (name === "x" ? "stem/conv" : name)))));
  startParameters();
  showQuestions();
  listen();
  const [x, y] = PAGE.at;
  await setWindow(y, x);
  document.body.dataset.ready = "true";
}
start().catch((error) => {
  byId("caption").textContent = `This browser cannot show the page: ${error.message}. It needs DecompressionStream (2023 or later).`;
  throw error;
});
