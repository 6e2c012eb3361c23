"use strict";
/* The steps: forward line by line, the loss, backward line by line, and Adam's step. */

const RELU = PAGE.activation === "relu", TRAINING = PAGE.mode === "training";
const LAYER = {
  conv: "a 3\u00d73 convolution of the padded input", act: "the activation",
  bn_act: "batch norm, then the activation", bn_add: "batch norm, then the sum with the skip",
  upsample_conv: "every pixel four times, then a 3\u00d73 convolution", act_conv: "the activation, then a 1\u00d71 convolution",
};
const WHY = {
  forward: {
    conv: "Every output pixel looks at a 3\u00d73 neighbourhood in all channels. Beyond the border the image is mirrored.",
    act: RELU ? "Negative values become zero (ReLU). A channel that is zero at every pixel passes no gradient on."
      : "Positive values stay; negative ones approach \u22121 (ELU).",
    bn_act: TRAINING ? "Each channel is shifted and scaled to mean 0 and variance 1, then by its own \u03b3 and \u03b2."
      : "Each channel is shifted and scaled by the stored mean and variance, then by its own \u03b3 and \u03b2.",
    bn_add: "The branch learns only what to add: the input of the block takes the short way around it.",
    upsample_conv: "The pixels are repeated 2\u00d72; the convolution makes four different ones of them.",
    act_conv: "One weighted sum over the channels gives the enhanced image.",
  },
  backward: {
    conv: "The gradient goes back through the same kernel to every pixel that was read, and to the kernel: how much each weight would change the loss.",
    act: RELU ? "The gradient passes where the value was positive, and stops elsewhere."
      : "The gradient passes where the value was positive; elsewhere it is multiplied by exp(h).",
    bn_act: TRAINING ? "Behind the activation, the gradient has three ways to the input: directly, through the mean, and through the variance."
      : "Behind the activation, the gradient has one way to the input: the stored mean and variance do not depend on the image.",
    bn_add: "A sum passes its gradient on unchanged, to the branch and to the skip. In the branch, batch norm follows.",
    upsample_conv: "Each pixel was used four times: its gradient is the sum over its 2\u00d72 block.",
    act_conv: RELU ? "The gradient in a channel is that of the output times the channel's weight, where the channel was positive."
      : "The gradient in a channel is that of the output times the channel's weight, times the slope of the activation.",
  },
};

const sequence = [
  ...STEPS.map((one) => ({ phase: "forward", name: one.name, line: one.line })),
  { phase: "loss", name: "loss" },
  ...[...STEPS].reverse().map((one) => ({ phase: "backward", name: one.name, line: one.back })),
  { phase: "adam", name: "adam" },
];

// plain formulas with the letters of mathematics
const pretty = (text) => text
  .replaceAll("x_hat", "x\u0302").replaceAll("gamma", "\u03b3").replaceAll("beta", "\u03b2").replaceAll("mean", "\u03bc")
  .replaceAll("var", "\u03c3\u00b2").replaceAll("eps", "\u03b5").replaceAll("sum ", "\u03a3 ").replaceAll("sqrt", "\u221a")
  .replaceAll("*^T", "\u22c6\u1d40").replaceAll("^T", "\u1d40").replaceAll(" * ", " \u22c6 ").replaceAll(" x ", " \u00d7 ")
  .replaceAll("b1", "\u03b2\u2081").replaceAll("b2", "\u03b2\u2082").replaceAll("^2", "\u00b2").replaceAll("^t", "\u1d57");

function sourceOf(at) {
  return PAGE.sources[at.phase === "loss" ? "loss" : at.phase === "adam" ? "adam" : at.phase];
}

function showCode(at) {
  const { first, lines, signature, start, helpers } = sourceOf(at);
  const operation = step[at.name]?.operation;
  const [from, to] = (operation && helpers[operation]) || [0, -1];
  const list = byId("lines");
  list.replaceChildren(...[...signature.map((text, n) => [start + n, text]), [null, "    \u2026"], ...lines.map((text, n) => [first + n, text])]
    .map(([number, text]) => el("code", { class: number === at.line ? "running" : number >= from && number <= to ? "helper" : null,
      "data-line": number }, el("span", {}, number === null ? "" : String(number)), text + "\n")));
  byId("where").textContent = { forward: "network.py, forward", backward: "network.py, backward", loss: "loss.py, mse", adam: "optim.py, adam" }[at.phase];
  const running = list.querySelector(".running");
  list.scrollTop = running ? running.offsetTop - list.clientHeight / 2 : 0;
}

// of the whole arrays of a step: its result, and backwards the gradient in it
function statistics(at) {
  const one = step[at.name];
  if (!one) return [];
  const line = (name, { mean, rms, min, max }) => [name, mean, rms, min, max].map((n) => (typeof n === "number" ? num(n, 3) : n));
  const lines = [["", "mean", "rms", "min", "max"], line("h", one.values)];
  if (at.phase === "backward") lines.push(line("dh", one.gradients));
  const dead = one.dead.length ? `; of ${one.shape[2]} channels dead: ${one.dead.join(", ")}` : "";
  return [rows(...lines), el("p", { class: "note" }, `h: ${one.shape.join(" \u00d7 ")}${one.unit && `, in ${one.unit}`}${dead}`)];
}

function showStory(at) {
  const one = step[at.name];
  byId("title").textContent = one ? `${at.name}: ${LAYER[one.operation]}` : at.phase === "loss" ? "The loss" : "The step of Adam";
  const formula = one ? PAGE.formulas[at.phase][one.operation]
    : at.phase === "loss" ? ["loss = sum (y - t)^2 / n", "dy = 2 (y - t) / n"]
    : ["m = b1 m + (1 - b1) g", "v = b2 v + (1 - b2) g^2", "p = p - lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)"];
  byId("formula").replaceChildren(...formula.map((text) => el("div", {}, pretty(text))));
  byId("statistics").replaceChildren(...statistics(at));
  byId("why").textContent = one ? WHY[at.phase][one.operation]
    : at.phase === "loss" ? `The loss of this image is ${num(PAGE.loss)}: the mean over the output's pixels of the squared difference from the target (${PAGE.about.target}).`
    : "Every weight moves against its mean gradient m, divided by the gradient's usual size \u221av: by nearly the learning rate if the gradient keeps its sign and is large beside \u03b5. Choose a weight below.";
  byId("phase").textContent = { forward: "forward", loss: "loss", backward: "backward", adam: "update" }[at.phase];
  byId("phase").className = at.phase;
}
