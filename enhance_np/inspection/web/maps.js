"use strict";
/* Elements, numbers as text, colours, and pictures on canvases. */

// an element; texts become text, never HTML, because some come from the header of a file
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") made.style.cssText = value;
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}
const svg = (tag, attributes = {}, ...children) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};
// keys that press what is no button by itself
function pressed(event, act) {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  act();
}
const byId = (id) => document.getElementById(id);
// new children for an element; what had the focus gives it to what takes its place
function replace(parent, ...children) {
  const order = () => [...parent.querySelectorAll("button, input, select, [tabindex]")];
  const place = order().indexOf(document.activeElement);
  parent.replaceChildren(...children);
  if (place >= 0) order()[place]?.focus({ preventScroll: true });
}

function num(value, digits = 4) {
  if (value === 0 || Object.is(value, -0)) return "0";
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-3 ? value.toExponential(digits - 1) : value.toPrecision(digits);
  return text.replace("e+", "e").replaceAll("-", "\u2212");
}

const dark = () => document.documentElement.dataset.theme === "dark" ||
  (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);

/* Colours of t in 0..1. Images are grey. Activations go from deep blue to yellow; their order of
 * brightness is that of the values. Gradients are blue below 0, red above, and the page's own colour at 0. */
const mix = (stops, t) => {
  const at = Math.min(Math.max(t, 0), 1) * (stops.length - 1);
  const k = Math.min(Math.floor(at), stops.length - 2), f = at - k;
  return stops[k].map((v, n) => v + f * (stops[k + 1][n] - v));
};
const ACTIVATION = [[13, 8, 50], [60, 20, 110], [150, 40, 105], [225, 85, 50], [250, 165, 40], [252, 250, 190]];
const coldWarm = () => [[20, 75, 160], [110, 165, 220], dark() ? [27, 29, 36] : [250, 250, 250], [240, 150, 115], [165, 20, 35]];
const GREY = [[0, 0, 0], [255, 255, 255]];

function scaleFor(low, high, kind) {
  if (low === high) return { low, high: low + 1, flat: true, stops: Array(2).fill(kind === "gradient" ? coldWarm()[2] : [128, 128, 128]) };
  if (kind === "gradient") {
    const limit = Math.max(Math.abs(low), Math.abs(high)) || 1;
    return { low: -limit, high: limit, stops: coldWarm() };
  }
  return { low, high, stops: kind === "image" ? GREY : ACTIVATION };
}
function table({ low, high, stops }, from, to) {
  // colours of the bytes 0..255, which stand for from..to
  const found = new Uint8ClampedArray(1024);
  for (let n = 0; n < 256; n++) {
    const value = from + (n / 255) * (to - from);
    found.set([...mix(stops, (value - low) / (high - low)), 255], 4 * n);
  }
  return found;
}
const kindOf = (name, gradient) => (gradient ? "gradient" : ["x", "target", "head"].includes(name) ? "image" : "activation");

// One channel of an 8-bit map as a picture of its own size, north up: row 0 is at the bottom
function mapPicture(name, channel, gradient, limits = null) {
  const key = `map ${gradient ? "d " : ""}${name}`;
  const [, h, w] = PAGE.arrays[key][2];
  const [from, to] = PAGE.maps[key.slice(4)][channel];
  const scale = scaleFor(...(limits || [from, to]), kindOf(name, gradient));
  const colours = table(scale, from, to);
  const picture = new ImageData(w, h), bytes = arrays[key];
  for (let i = 0; i < h; i++)
    for (let j = 0; j < w; j++) {
      const n = 4 * bytes[(channel * h + i) * w + j];
      picture.data.set(colours.subarray(n, n + 4), 4 * ((h - 1 - i) * w + j));
    }
  return { picture, scale };
}
function putMap(canvas, name, channel, gradient, limits) {
  const { picture, scale } = mapPicture(name, channel, gradient, limits);
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return scale;
}

// value of a map where the pointer is, and the pixel of the array: {value, i, j}
function mapValue(canvas, name, channel, gradient, event) {
  const key = `${gradient ? "d " : ""}${name}`, [, h, w] = PAGE.arrays[`map ${key}`][2];
  const box = canvas.getBoundingClientRect(), [from, to] = PAGE.maps[key][channel];
  const at = (offset, size, n) => Math.max(0, Math.min(n - 1, Math.floor((offset / size) * n)));
  const i = h - 1 - at(event.clientY - box.top, box.height, h), j = at(event.clientX - box.left, box.width, w);
  const scale = scaleOf(name), factor = Math.ceil((scale * HEIGHT) / h);
  return { value: from + (arrays[`map ${key}`][(channel * h + i) * w + j] / 255) * (to - from), i: i * factor, j: j * factor };
}

// An array of numbers (row 0 at the bottom) in cells of `cell` pixels
function putCells(canvas, values, h, w, cell, kind) {
  let low = Infinity, high = -Infinity;
  for (const v of values) { if (v < low) low = v; if (v > high) high = v; }
  const scale = scaleFor(low, high, kind);
  canvas.width = w * cell;
  canvas.height = h * cell;
  const pen = canvas.getContext("2d");
  for (let i = 0; i < h; i++)
    for (let j = 0; j < w; j++) {
      const [r, g, b] = mix(scale.stops, (values[i * w + j] - scale.low) / (scale.high - scale.low));
      pen.fillStyle = `rgb(${r | 0} ${g | 0} ${b | 0})`;
      pen.fillRect(j * cell, (h - 1 - i) * cell, cell, cell);
    }
  return scale;
}

function colourBar(scale, unit = "") {
  if (scale.flat) return el("div", { class: "bar" }, el("span", {}, `${num(scale.low, 3)} everywhere`));
  const stops = Array.from({ length: 11 }, (_, n) => `rgb(${mix(scale.stops, n / 10).map(Math.round).join(" ")})`);
  return el("div", { class: "bar" },
    el("span", {}, num(scale.low, 3)),
    el("i", { style: `background:linear-gradient(90deg,${stops.join(",")})` }),
    el("span", {}, `${num(scale.high, 3)}${unit && " " + unit}`));
}

// k x k numbers as a small table with coloured cells; row 0 at the bottom, as in the pictures
function grid(values, k, { kind = "gradient", onpick = null, chosen = -1, label = "" } = {}) {
  let limit = Math.max(...values.map(Math.abs)) || 1;
  const scale = kind === "gradient" ? scaleFor(-limit, limit, kind) : scaleFor(Math.min(...values), Math.max(...values), kind);
  const rows = [];
  for (let r = k - 1; r >= 0; r--) {
    const cells = [];
    for (let s = 0; s < k; s++) {
      const n = r * k + s;
      const rgb = mix(scale.stops, (values[n] - scale.low) / (scale.high - scale.low));
      const bright = 0.3 * rgb[0] + 0.6 * rgb[1] + 0.1 * rgb[2] > 128;
      const style = `background:rgb(${rgb.map(Math.round).join(" ")});color:${bright ? "#111" : "#fff"}`;
      cells.push(el("td", { style, class: n === chosen ? "chosen" : null, "data-value": values[n],
        ...(onpick ? { tabindex: 0, role: "button", onclick: () => onpick(n),
          onkeydown: (event) => pressed(event, () => onpick(n)) } : {}) }, num(values[n], 3)));
    }
    rows.push(el("tr", {}, ...cells));
  }
  return el("figure", { class: "grid" }, el("table", {}, ...rows), label ? el("figcaption", {}, label) : null);
}

// Terms of a sum as bars, the largest first; a click picks one
function bars(terms, { onpick = null, chosen = null, most = 10 } = {}) {
  const order = [...terms].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const limit = Math.abs(order[0]?.value) || 1;
  const shown = order.slice(0, most), rest = order.slice(most);
  const line = (term, kind) => el("button", { class: `term ${kind}`, type: "button", "data-term": term.value,
    "aria-pressed": term.key === chosen ? "true" : null, onclick: () => onpick && term.key !== undefined && onpick(term.key) },
    el("span", {}, term.label),
    el("i", { class: term.value < 0 ? "minus" : "plus", style: `--size:${(50 * Math.abs(term.value)) / limit}%` }),
    el("b", {}, num(term.value)));
  const found = el("div", { class: "terms" }, ...shown.map((term) => line(term, "")));
  if (rest.length) {
    const sum = rest.reduce((total, term) => total + term.value, 0);
    found.append(line({ label: `${rest.length} smaller ones`, value: sum }, "rest"));
  }
  return found;
}
