"use strict";
/* The network as figure 4 of the paper draws it: one box a layer, the sums with their skips. */

function drawNetwork(onpick) {
  const BOX = 46, GAP = 14, TOP = 64, HEIGHT_OF = 84;
  const kinds = {
    conv: ["conv", "3\u00d73"], act: [PAGE.activation.toUpperCase(), ""], bn_act: ["BN", PAGE.activation.toUpperCase()],
    bn_add: ["BN", "\u2295"], upsample_conv: ["\u00d72", "conv"], act_conv: [PAGE.activation.toUpperCase(), "1\u00d71"],
  };
  const boxes = [{ name: "x", lines: ["input", ""], kind: "data" },
    ...STEPS.map((one) => ({ name: one.name, lines: kinds[one.operation], kind: one.operation })),
    { name: "loss", lines: ["loss", ""], kind: "data" }];
  const width = boxes.length * (BOX + GAP) + GAP;
  const drawing = svg("svg", { viewBox: `0 0 ${width} 206`, width, height: 206, role: "group", "aria-label": "the network" });
  const left = {};
  boxes.forEach((box, n) => { left[box.name] = GAP + n * (BOX + GAP); });
  const middle = (name) => left[name] + BOX / 2;

  for (const one of STEPS.filter((s) => s.operation === "bn_add")) {
    const from = middle(skipOf(one.name)), to = middle(one.name);
    const up = one.name === "tail/bn" ? 8 : 36;
    drawing.append(svg("path", { class: "skip", "data-to": one.name,
      d: `M${from + 4} ${TOP} V${up + 8} Q${from + 4} ${up} ${from + 12} ${up} H${to - 8} Q${to} ${up} ${to} ${up + 8} V${TOP - 3}` }));
  }
  boxes.forEach((box, n) => {
    if (n) drawing.append(svg("path", { class: "wire", d: `M${left[box.name] - GAP} ${TOP + HEIGHT_OF / 2} h${GAP - 3}` }));
    const shape = box.name === "x" ? [HEIGHT, WIDTH, 1] : step[box.name]?.shape;
    const made = svg("g", { class: `box ${box.kind}`, tabindex: 0, role: "button", "data-name": box.name,
      "aria-label": `${box.name}${shape ? ", " + shape.join(" by ") : ""}`,
      onclick: () => onpick(box.name),
      onkeydown: (event) => pressed(event, () => onpick(box.name)) },
      svg("rect", { x: left[box.name], y: TOP, width: BOX, height: HEIGHT_OF, rx: 7 }));
    box.lines.forEach((text, k) => made.append(
      svg("text", { x: middle(box.name), y: TOP + (box.lines[1] ? 36 + 18 * k : 46), class: "what" }, text)));
    drawing.append(made);
    if (shape && (n < 2 || shape.join() !== boxes[n - 1].shape)) {
      const words = shape[2] === 1 ? [`${shape[0]}\u00d7${shape[1]}`] : [`${shape[0]}\u00d7${shape[1]}`, `\u00d7${shape[2]}`];
      words.forEach((text, k) => drawing.append(
        svg("text", { x: middle(box.name), y: TOP + HEIGHT_OF + 14 + 12 * k, class: "shape" }, text)));
    }
  });
  // the parts of the network, as network.py names them
  const parts = boxes.slice(1, -1).map((box) => box.name.split("/")[0]);
  for (const part of new Set(parts)) {
    const first = left[boxes[1 + parts.indexOf(part)].name], last = left[boxes[1 + parts.lastIndexOf(part)].name] + BOX;
    drawing.append(svg("path", { class: "part", d: `M${first} ${TOP + HEIGHT_OF + 36} H${last}` }),
      svg("text", { x: (first + last) / 2, y: TOP + HEIGHT_OF + 52, class: "shape" }, part));
  }
  return drawing;
}

function markNetwork(name, backward) {
  for (const box of document.querySelectorAll("#network .box")) {
    const here = box.dataset.name === name;
    box.classList.toggle("here", here);
    if (here) {
      const frame = byId("network"), place = box.getBBox().x - frame.clientWidth / 2;
      frame.scrollTo({ left: place, behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    }
  }
  byId("network").classList.toggle("backward", backward);
}
