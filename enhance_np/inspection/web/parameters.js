"use strict";
/* The weights as pictures, their histograms, one step of Adam, and the questions. */

const chosen = { layer: null, c: 0, o: 0, tap: 4 };

function startParameters() {
  const select = byId("layer");
  for (const { name, operation } of STEPS) if (operation.includes("conv")) select.append(el("option", { value: name }, name));
  select.addEventListener("change", () => showLayer(select.value));
  showLayer(STEPS.find((one) => one.name === "tail/conv").name);
}

function showLayer(name) {
  if (!arrays[`${name}/w`]) return;
  byId("layer").value = name;
  const [k, , cin, cout] = PAGE.parameters[`${name}/w`];
  Object.assign(chosen, { layer: name, c: Math.min(chosen.c, cin - 1), o: Math.min(chosen.o, cout - 1), tap: Math.min(chosen.tap, k * k - 1) });
  const live = PAGE.live[name];
  byId("alive").textContent = live ? `${live[0]} of ${live[1]} filters can change the output of some image, with the stored statistics` : "";
  byId("kernels").replaceChildren(picture(name, "", cin === 1 ? "kernels w, one for each output channel" : cout === 1 ? "weights w, one for each input channel"
      : "kernels w: a row for each input channel, a column for each output channel"),
    picture(name, "d ", "their gradients"), histogram(name));
  showAdam();
}

// all kernels of a layer in one canvas, 1 pixel between them
function picture(name, prefix, label) {
  const [k, , cin, cout] = PAGE.parameters[`${name}/w`], data = arrays[`${prefix}${name}/w`];
  // a single row or column of kernels is broken into lines of 8
  const across = cin === 1 || cout === 1 ? 8 : cout, down = Math.ceil((cin * cout) / across);
  const w = across * (k + 1) - 1, h = down * (k + 1) - 1, values = new Float32Array(w * h);
  for (let n = 0; n < data.length; n++) {
    const kernel = n % (cin * cout), tap = Math.floor(n / (cin * cout));
    const line = Math.floor(kernel / across), place = kernel % across;
    values[(h - k - line * (k + 1) + Math.floor(tap / k)) * w + place * (k + 1) + (tap % k)] = data[n];
  }
  const canvas = el("canvas", { "data-kernels": name, "aria-label": label });
  const scale = putCells(canvas, values, h, w, Math.max(1, Math.min(12, Math.floor(480 / w))), "gradient");
  canvas.style.width = w < 40 ? `${Math.min(w * 12, 480)}px` : "100%";
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const line = Math.floor((((event.clientY - box.top) / box.height) * (h + 1)) / (k + 1));
    const place = Math.floor((((event.clientX - box.left) / box.width) * (w + 1)) / (k + 1));
    const kernel = Math.min(line * across + Math.min(place, across - 1), cin * cout - 1);
    Object.assign(chosen, { c: Math.floor(kernel / cout), o: kernel % cout });
    showAdam();
  });
  return el("figure", {}, canvas, colourBar(scale), el("figcaption", {}, label));
}

function histogram(name) {
  const lines = [["", "weights"], ["d ", "gradients"]].map(([prefix, label]) => {
    const data = arrays[`${prefix}${name}/w`];
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
  return el("div", {}, ...lines);
}

function showAdam() {
  const { layer, c, o } = chosen, [k, , cin, cout] = PAGE.parameters[`${layer}/w`];
  const at = (tap) => (tap * cin + c) * cout + o;
  const of = (prefix) => taps(k).map((_, tap) => arrays[`${prefix}${layer}/w`][at(tap)]);
  const pick = (tap) => { chosen.tap = tap; showAdam(); };
  const w = of("")[chosen.tap], g = of("d ")[chosen.tap];
  const { beta1, beta2, eps, lr } = PAGE.adam;
  const lines = [["step t", "gradient g", "m", "v", "rate", "change", "weight"]];
  let m = 0, v = 0, now = w;
  for (let t = 1; t <= 3; t++) {
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const rate = (lr * Math.sqrt(1 - beta2 ** t)) / (1 - beta1 ** t), change = (-rate * m) / (Math.sqrt(v) + eps);
    now += change;
    lines.push([String(t), g, m, v, rate, change, now]);
  }
  byId("adam").replaceChildren(
    el("h3", {}, `${layer}/w[:, :, ${c}, ${o}]: choose a kernel on the left, a weight here`),
    el("div", { class: "product" }, grid(of(""), k, { onpick: pick, chosen: chosen.tap, label: "weights" }),
      grid(of("d "), k, { onpick: pick, chosen: chosen.tap, label: "gradients" })),
    el("h3", {}, "three steps of Adam, if the gradient stayed the same"),
    el("div", { class: "wide" }, rows(...lines)),
    el("p", { class: "note" }, `Learning rate lr = ${num(lr, 1)}, \u03b5 = ${eps}. The corrections 1/(1 \u2212 \u03b2\u2081\u1d57) and \u221a(1 \u2212 \u03b2\u2082\u1d57) are in the rate. `
      + `The first change is lr |g| / (|g| + \u03b5/\u221a(1 \u2212 \u03b2\u2082)), against the sign of g: nearly lr, whatever the size of g, if g is large `
      + `beside ${num(eps / Math.sqrt(1 - beta2), 2)}. `
      + (g === 0 ? "This gradient is zero, so this weight stays." : `Here it is ${num(Math.abs(g) / (Math.abs(g) + eps / Math.sqrt(1 - beta2)), 2)} lr.`)));
}

function showQuestions() {
  const question = (title, ...answer) => el("details", {}, el("summary", {}, title), ...answer);
  const say = (text) => el("p", {}, text);
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
      say("Go back to a convolution, and choose a pixel in the second line from the border: its ways are listed.")),
    question("What does one step of Adam do to one weight?",
      say("Choose a layer, a kernel and a weight in \u201cWeights\u201d: the table shows m, v, the rate and the change.")),
    question("What did this output pixel look at?",
      say("Choose a pixel in \u201cThe numbers\u201d: the section below it draws the gradient of that output pixel in the input.")),
    question("What is a dead channel?",
      say("Where a ReLU gave zero, its derivative is zero. If a channel is zero at every pixel of an image, no gradient of this image passes through the ReLU, so the kernel in front of it does not learn from this image. "
        + "Another image may wake it. A filter is dead for good only if no image can: the line above the kernels counts those that some image can wake."),
      say(deadList())));
}

function deadList() {
  const dead = STEPS.filter((one) => one.dead.length).map((one) => `${one.name}: channels ${one.dead.join(", ")}`);
  return dead.length ? `In this run, ${dead.join("; ")}.` : "In this run, no channel is dead.";
}
