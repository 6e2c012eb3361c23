"use strict";
/* The parameters as pictures, their histograms, three steps of Adam for any one of them, and the
 * questions. A vector of C numbers is handled as C kernels of one weight. */

const chosen = { name: null, c: 0, o: 0, tap: 4 };

const TENSORS = Object.keys(PAGE.parameters);
const kernelsOf = (name) => (PAGE.parameters[name].length === 4 ? PAGE.parameters[name] : [1, 1, 1, PAGE.parameters[name][0]]);

function startParameters() {
  const layers = [...new Set(TENSORS.map((name) => name.slice(0, name.lastIndexOf("/"))))];
  byId("tensor").append(...layers.map((layer) => el("optgroup", { label: layer },
    ...TENSORS.filter((name) => name.startsWith(`${layer}/`)).map((name) => el("option", { value: name }, name)))));
  byId("tensor").addEventListener("change", (event) => showTensor(event.target.value));
  showTensor("tail/conv/w");
}

// a tensor of the layer that the stepper reached, unless one is shown already
function showTensorOf(layer) {
  const name = TENSORS.find((one) => one.startsWith(`${layer}/`));
  if (name && !chosen.name.startsWith(`${layer}/`)) showTensor(name);
}

function showTensor(name) {
  const [k, , cin, cout] = kernelsOf(name), layer = name.slice(0, name.lastIndexOf("/"));
  Object.assign(chosen, { name, c: Math.min(chosen.c, cin - 1), o: Math.min(chosen.o, cout - 1), tap: Math.min(chosen.tap, k * k - 1) });
  byId("tensor").value = name;
  const live = PAGE.live[layer], dead = deadBehind(layer);
  byId("alive").textContent = [live ? `${live[0]} of ${live[1]} filters can change the output of some image, with the stored statistics.` : "",
    dead.length ? `Dead in this image: output channels ${dead.join(", ")}.` : ""].join(" ");
  const field = (key, size, label) => (size === 1 ? [] : [el("label", {}, `${label} `, el("input", { type: "number", min: 0, max: size - 1,
    value: chosen[key], "data-key": key, oninput: (event) => {
      if (event.target.value) pick({ [key]: Math.max(0, Math.min(size - 1, Math.round(event.target.valueAsNumber))) });
    } })), " "]);
  replace(byId("chosen"), ...field("c", cin, "input channel"), ...field("o", cout, cin === 1 && k === 1 ? "channel" : "output channel"));
  pick({});
}

function pick(change) {
  Object.assign(chosen, change);
  for (const input of byId("chosen").querySelectorAll("input"))
    if (input !== document.activeElement) input.value = chosen[input.dataset.key];
  const [k, , cin, cout] = kernelsOf(chosen.name);
  const what = k === 1 ? "numbers" : "kernels";
  const order = cin === 1 ? `${what}, one for each channel` : cout === 1 ? `${what}, one for each input channel`
    : `${what}: a row for each input channel, a column for each output channel`;
  byId("kernels").replaceChildren(picture("", order), picture("d ", "their gradients"));
  byId("histograms").replaceChildren(...histograms());
  showAdam();
}

// channels that the ReLU behind a layer sets to zero, and so the filters that compute them
function deadBehind(layer) {
  const at = STEPS.findIndex((one) => one.name === layer);
  return STEPS[STEPS[at].operation === "conv" ? at + 1 : at].dead;
}

// all kernels of the tensor in one canvas, 1 pixel between them
function picture(prefix, label) {
  const { name } = chosen, [k, , cin, cout] = kernelsOf(name), data = arrays[`${prefix}${name}`];
  // a single row or column of kernels is broken into lines of 8
  const across = cin === 1 || cout === 1 ? Math.min(8, cin * cout) : cout, down = Math.ceil((cin * cout) / across);
  const w = across * (k + 1) - 1, h = down * (k + 1) - 1, values = new Float32Array(w * h);
  for (let n = 0; n < data.length; n++) {
    const kernel = n % (cin * cout), tap = Math.floor(n / (cin * cout));
    const line = Math.floor(kernel / across), place = kernel % across;
    values[(h - k - line * (k + 1) + Math.floor(tap / k)) * w + place * (k + 1) + (tap % k)] = data[n];
  }
  const canvas = el("canvas", { "data-kernels": name, "aria-label": label });
  const cell = Math.max(2, Math.min(12, Math.floor(480 / w)));
  const scale = putCells(canvas, values, h, w, cell, "gradient");
  canvas.style.width = `${w < 40 ? w * 12 : 440}px`;
  const pen = canvas.getContext("2d"), at = chosen.c * cout + chosen.o;
  pen.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
  pen.lineWidth = Math.max(1.5, cell / 4);
  pen.strokeRect((at % across) * (k + 1) * cell - 1, Math.floor(at / across) * (k + 1) * cell - 1, k * cell + 2, k * cell + 2);
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const line = Math.floor((((event.clientY - box.top) / box.height) * (h + 1)) / (k + 1));
    const place = Math.floor((((event.clientX - box.left) / box.width) * (w + 1)) / (k + 1));
    const kernel = Math.min(line * across + Math.min(place, across - 1), cin * cout - 1);
    pick({ c: Math.floor(kernel / cout), o: kernel % cout });
  });
  return el("figure", {}, canvas, colourBar(scale), el("figcaption", {}, label));
}

function histograms() {
  return [["", "values"], ["d ", "gradients"]].map(([prefix, label]) => {
    const data = arrays[`${prefix}${chosen.name}`];
    const limit = data.reduce((most, v) => Math.max(most, Math.abs(v)), 0) || 1, counts = new Array(41).fill(0);
    for (const v of data) counts[Math.round(20 + (20 * v) / limit)]++;
    const top = Math.max(...counts);
    const drawing = svg("svg", { viewBox: "0 0 410 90", class: "histogram", preserveAspectRatio: "none", role: "img", "aria-label": `histogram of ${label}` });
    counts.forEach((count, n) => {
      const height = (86 * Math.sqrt(count)) / Math.sqrt(top);
      drawing.append(svg("rect", { x: 10 * n + 1, width: 8, y: 90 - height, height, class: prefix ? "gradient" : "" }));
    });
    return el("figure", {}, drawing, el("figcaption", {}, `${label}, \u2212${num(limit, 3)} to ${num(limit, 3)}; height: square root of the count`));
  });
}

const bound = () => PAGE.adam.eps / Math.sqrt(1 - PAGE.adam.beta2); // gradients far above it give a step of lr

// the steps of Adam from `weight` with the same gradient g each time: [{t, m, v, first, second, change, weight}]
function adamSteps(weight, g, count) {
  const { beta1, beta2, eps, lr } = PAGE.adam, steps = [];
  let m = 0, v = 0;
  for (let t = 1; t <= count; t++) {
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const first = 1 - beta1 ** t, second = 1 - beta2 ** t;
    const change = (-lr * Math.sqrt(second) * m) / (first * (Math.sqrt(v) + eps));
    weight += change;
    steps.push({ t, m, v, first, second, change, weight });
  }
  return steps;
}

function showAdam() {
  const { name, c, o } = chosen, [k, , cin, cout] = kernelsOf(name), { eps, lr } = PAGE.adam;
  const at = (tap) => (tap * cin + c) * cout + o;
  const of = (prefix) => taps(k).map((_, tap) => arrays[`${prefix}${name}`][at(tap)]);
  const [w, g] = ["", "d "].map((prefix) => of(prefix)[chosen.tap]);
  const [row, column] = taps(k)[chosen.tap];
  const place = PAGE.parameters[name].length === 4 ? [row, column, c, o].join(", ") : o;
  const pickTap = k > 1 ? (tap) => { chosen.tap = tap; showAdam(); } : null;
  replace(byId("adam"),
    el("h3", {}, `${name}[${place}]: ${k > 1 ? "choose a kernel above, a weight here" : "choose a number above"}`),
    el("div", { class: "product" }, grid(of(""), k, { onpick: pickTap, chosen: k > 1 ? chosen.tap : -1, label: "value" }),
      grid(of("d "), k, { onpick: pickTap, chosen: k > 1 ? chosen.tap : -1, label: "gradient g" })),
    el("h3", {}, "three steps of Adam, if the gradient stayed the same"),
    el("div", { class: "wide" }, rows(["t", "m", "v", "1 \u2212 \u03b2\u2081\u1d57", "1 \u2212 \u03b2\u2082\u1d57", "change", "weight"],
      ["0", 0, 0, "", "", "", w], ...adamSteps(w, g, 3).map((s) => [String(s.t), s.m, s.v, s.first, s.second, s.change, s.weight]))),
    el("p", { class: "note" }, `m and v are the means of g and of g\u00b2; 1 \u2212 \u03b2\u1d57 corrects that they start from 0. change = \u2212lr \u221a(1 \u2212 \u03b2\u2082\u1d57) / (1 \u2212 \u03b2\u2081\u1d57) m / (\u221av + \u03b5), `
      + `with lr = ${num(lr, 1)} and \u03b5 = ${eps}. The first change is lr |g| / (|g| + \u03b5/\u221a(1 \u2212 \u03b2\u2082)), against the sign of g: nearly lr, whatever the size of g, if g is large `
      + `beside ${num(bound(), 2)}. `
      + (g === 0 ? "This gradient is zero, so this weight stays." : `Here it is ${num(Math.abs(g) / (Math.abs(g) + bound()), 2)} lr.`)));
}

function showQuestions() {
  const question = (title, ...answer) => el("details", {}, el("summary", {}, title), ...answer);
  const say = (text) => el("p", {}, text);
  const link = (id, text) => el("a", { href: `#${id}` }, text);
  const biases = Object.entries(PAGE.biases).map(([name, both]) =>
    [/(conv[12]|tail\/conv)\/b$|bn2\/beta$/.test(name) ? `${name} \u2192 0` : name, both.training, both.prediction]);
  const pad = engine.reflectionPadBackward({ data: new Float32Array(64).fill(1), h: 8, w: 8, c: 1 }, 1);
  byId("answers").replaceChildren(
    question("Why is the gradient of a bias in front of batch norm zero?",
      say("Batch norm subtracts the channel's mean. A bias moves every pixel of the channel and its mean by the same amount, so the result does not "
        + "change, and nor does the loss: the gradient is zero, up to rounding. The same holds for \u03b2 of a block's second batch norm: reflection keeps a constant "
        + "constant, so the next convolution makes a constant of it, which the next batch norm subtracts. With stored statistics the mean does not follow, and the gradient is not zero. "
        + "The largest gradients of this image; those marked \u2192 0 must vanish in training:"),
      el("div", { class: "wide" }, rows(["tensor", "statistics of the image (training)", "stored statistics (prediction)"], ...biases))),
    question("Where does the gradient of a border pixel go?",
      say("Reflection padding copies the line next to the border outwards. In the backward pass, the gradient of each copy is added to the pixel that was copied. "
        + "(After the upsampling, the two lines at the border come from the same input pixel, so there a border pixel is copied, too.) If every padded pixel of a 6\u00d76 image has the gradient 1, this arrives: the border itself is copied nowhere, the line inside it once more, and its corners three times more."),
      grid([...pad.data], 6, { kind: "activation" }),
      el("p", {}, "In the backward step of a convolution, choose a pixel in the second line from the border: ", link("exact", "its ways are listed"), ".")),
    question("What does one step of Adam do to one weight?",
      say("It moves the weight against the sign of its gradient, the first time by nearly lr whatever the gradient's size, because m and \u221av are then the gradient and its size. "
        + `Only gradients that are not large beside ${num(bound(), 2)} move it less. Some weights, from small gradients to large ones:`),
      el("div", { class: "wide" }, firstSteps()),
      el("p", {}, "For m, v and the corrections of any weight, choose it in ", link("weights", "Weights"), ".")),
    question("What did this output pixel look at?",
      el("p", {}, "At the input pixels around it, with weights that the picture in ", link("looked", "the section of this name"), " shows. Choose another pixel in ", link("exact", "The numbers"), " by a click.")),
    question("What is a dead channel?",
      say("Where a ReLU gave zero, its derivative is zero. If a channel is zero at every pixel of an image, no gradient of this image passes through the ReLU, so the kernel in front of it does not learn from this image. "
        + "Another image may wake it. A filter is dead for good only if no image can: the line above the kernels counts those that some image can wake. "
        + "With two or three filters, some seeds start with all of them dead: then every gradient before them is zero, and another seed or more filters help."),
      say(deadList())));
}

// the first step of Adam for weights whose gradients differ most: each the largest of its tensor
function firstSteps() {
  const all = TENSORS.map((name) => {
    const g = arrays[`d ${name}`], n = g.reduce((most, v, at) => (Math.abs(v) > Math.abs(g[most]) ? at : most), 0);
    return { name, n, g: g[n] };
  }).sort((one, other) => Math.abs(one.g) - Math.abs(other.g));
  return rows(["weight", "gradient g", "change", "change / lr"], ...[0, 1, 2, 3, 4].map((part) => {
    const { name, n, g } = all[Math.floor((part / 4) * (all.length - 1))], [{ change }] = adamSteps(arrays[name][n], g, 1);
    return [name, g, change, change / PAGE.adam.lr];
  }));
}

function deadList() {
  const dead = STEPS.filter((one) => one.dead.length).map((one) => `${one.name}: channels ${one.dead.join(", ")}`);
  return dead.length ? `In this run, ${dead.join("; ")}.` : "In this run, no channel is dead.";
}
