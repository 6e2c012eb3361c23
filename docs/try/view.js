"use strict";
/* Input and output side by side: one stretch, one part of the Sun, moved and enlarged together. */

const view = (() => {
  const MISSING = [176, 196, 222]; // colour of pixels without a value, as in the package's pictures
  const CLOSEST = 24; // CSS pixels per input pixel
  const SAMPLE = 500000; // pixels from which percentiles are taken

  /* [low, high] that both images share: percentiles 0.1 and 99.9 of an intensity, and of the absolute
   * values of a field, symmetric about zero. */
  function stretch(images, type) {
    const of = (values, q) => statistics.percentile(values, q);
    const valid = images.map((image) => {
      const step = Math.ceil(image.length / SAMPLE);
      return statistics.sorted(image.filter((v, n) => n % step === 0 && !Number.isNaN(v)));
    });
    if (type === "blos") {
      const sizes = valid.map((values) => of(statistics.sorted(values.map(Math.abs)), 99.9));
      const limit = Math.max(...sizes) || 1;
      return [-limit, limit];
    }
    const low = Math.min(...valid.map((values) => of(values, 0.1)));
    const high = Math.max(...valid.map((values) => of(values, 99.9)));
    return high > low ? [low, high] : [low - 0.5, high + 0.5];
  }

  /* A canvas of (h, w) pixels in gray: line 0 at the bottom, as the sky is drawn, or at the top and
   * columns from the right if `turned`. */
  function painted(data, h, w, [low, high], turned) {
    const canvas = Object.assign(document.createElement("canvas"), { width: w, height: h });
    const context = canvas.getContext("2d");
    const image = context.createImageData(w, h);
    for (let i = 0, n = 0; i < h; i++)
      for (let j = 0; j < w; j++, n++) {
        const at = 4 * ((turned ? i : h - 1 - i) * w + (turned ? w - 1 - j : j));
        const gray = (255 * (data[n] - low)) / (high - low); // clamped by the array
        for (let k = 0; k < 3; k++) image.data[at + k] = Number.isNaN(gray) ? MISSING[k] : gray;
        image.data[at + 3] = 255;
      }
    context.putImageData(image, 0, 0);
    return canvas;
  }

  /* Two canvases on which `show` draws. told(place) is called with {i, j}, the line and column of the
   * input pixel that is pointed at, with fractions, or null. */
  function pair(canvases, told) {
    let scene = null; // {images: [canvas, canvas], h, w, turned, arcsec}
    let centre = [0, 0];
    let zoom = 1;
    let pointed = null; // in input pixels as drawn; 1 shows the whole
    let drag = null;
    let frame = 0;

    const fit = () => Math.min(canvases[0].clientWidth / scene.w, canvases[0].clientHeight / scene.h);
    const scale = () => fit() * zoom;
    const redraw = () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(draw);
    };

    function show(given) {
      scene = given;
      const shape = `${scene.w} / ${Math.min(Math.max(scene.h, scene.w / 3), 1.5 * scene.w)}`;
      canvases.forEach((canvas) => (canvas.style.aspectRatio = shape));
      whole();
    }

    function whole() {
      [centre, zoom, pointed] = [[scene.w / 2, scene.h / 2], 1, null];
      move(0, 0);
    }

    // moves by input pixels, and keeps the image in sight
    function move(dx, dy) {
      const sizes = [scene.w, scene.h];
      centre = centre.map((at, n) => {
        const half = (n ? canvases[0].clientHeight : canvases[0].clientWidth) / scale() / 2;
        return half * 2 >= sizes[n]
          ? sizes[n] / 2
          : Math.min(Math.max(at + (n ? dy : dx), half), sizes[n] - half);
      });
      canvases.forEach((canvas) => (canvas.style.touchAction = zoom > 1 ? "none" : "auto"));
      redraw();
    }

    // by a factor, so that `at` (input pixels as drawn) stays where it is
    function enlarge(factor, at = centre) {
      const before = zoom;
      zoom = Math.min(Math.max(zoom * factor, 1), Math.max(CLOSEST / fit(), 1));
      centre = centre.map((one, n) => at[n] + ((one - at[n]) * before) / zoom);
      move(0, 0);
    }

    function draw() {
      if (!scene) return;
      const ratio = window.devicePixelRatio || 1;
      const size = scale();
      canvases.forEach((canvas, n) => {
        canvas.width = Math.round(canvas.clientWidth * ratio);
        canvas.height = Math.round(canvas.clientHeight * ratio);
        const context = canvas.getContext("2d");
        const image = scene.images[n];
        context.setTransform(ratio, 0, 0, ratio, 0, 0);
        const [left, top] = [
          canvas.clientWidth / 2 - centre[0] * size,
          canvas.clientHeight / 2 - centre[1] * size,
        ];
        context.imageSmoothingEnabled = size * scene.w < image.width;
        context.drawImage(image, left, top, scene.w * size, scene.h * size);
        if (pointed) mark(context, left + pointed[0] * size, top + pointed[1] * size);
        if (scene.arcsec) ruler(context, canvas, size / scene.arcsec);
      });
    }

    function mark(context, x, y) {
      for (const [width, colour] of [
        [3, "#000"],
        [1, "#ff9d2e"],
      ]) {
        Object.assign(context, { lineWidth: width, strokeStyle: colour });
        context.beginPath();
        for (const [a, b] of [
          [-9, -4],
          [4, 9],
        ]) {
          context.moveTo(x + a, y);
          context.lineTo(x + b, y);
          context.moveTo(x, y + a);
          context.lineTo(x, y + b);
        }
        context.stroke();
      }
    }

    // a bar of a round number of arcsec, about a quarter of the width
    function ruler(context, canvas, perArcsec) {
      const wanted = canvas.clientWidth / 4 / perArcsec;
      const power = 10 ** Math.floor(Math.log10(wanted));
      const length = power * [5, 2, 1].find((n) => n * power <= wanted);
      const [x, y, size] = [12, canvas.clientHeight - 14, length * perArcsec];
      const text = `${statistics.general(length, 3)}″`;
      Object.assign(context, { font: "600 13px system-ui, sans-serif", lineJoin: "round" });
      for (const [width, colour] of [
        [5, "rgb(0 0 0 / 0.75)"],
        [2, "#fff"],
      ]) {
        Object.assign(context, { lineWidth: width, strokeStyle: colour, fillStyle: colour });
        context.beginPath();
        context.moveTo(x, y);
        context.lineTo(x + size, y);
        context.stroke();
        context.lineWidth = 3;
        if (width > 2) context.strokeText(text, x, y - 7);
        else context.fillText(text, x, y - 7);
      }
    }

    // input pixels as drawn, under a pointer
    function under(canvas, event) {
      const box = canvas.getBoundingClientRect();
      return [
        event.clientX - box.left - canvas.clientWidth / 2,
        event.clientY - box.top - canvas.clientHeight / 2,
      ].map((offset, n) => centre[n] + offset / scale());
    }

    function point(at) {
      const inside = at && at.every((one, n) => one >= 0 && one < [scene.w, scene.h][n]);
      pointed = inside ? at : null;
      told(
        pointed && {
          i: scene.turned ? at[1] : scene.h - at[1],
          j: scene.turned ? scene.w - at[0] : at[0],
        },
      );
      redraw();
    }

    function listen(canvas) {
      canvas.addEventListener("pointerdown", (event) => {
        if (!scene || event.button !== 0) return;
        drag = { x: event.clientX, y: event.clientY };
        if (zoom > 1) canvas.setPointerCapture(event.pointerId);
        point(under(canvas, event));
      });
      canvas.addEventListener("pointermove", (event) => {
        if (!scene) return;
        if (drag && zoom > 1) {
          move((drag.x - event.clientX) / scale(), (drag.y - event.clientY) / scale());
          drag = { x: event.clientX, y: event.clientY };
        }
        point(under(canvas, event));
      });
      for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (drag = null));
      canvas.addEventListener("pointerleave", (event) => {
        if (scene && event.pointerType === "mouse") point(null);
      });
      canvas.addEventListener("dblclick", (event) => scene && enlarge(2, under(canvas, event)));
      canvas.addEventListener(
        "wheel",
        (event) => {
          // the page must scroll under a pointer that only passes
          if (!scene || !(event.ctrlKey || event.metaKey || document.activeElement === canvas)) return;
          event.preventDefault();
          enlarge(Math.exp(-event.deltaY / 400), under(canvas, event));
        },
        { passive: false },
      );
      canvas.addEventListener("keydown", (event) => {
        if (!scene || event.ctrlKey || event.metaKey || event.altKey) return;
        const step = 0.1 * (canvas.clientWidth / scale());
        const action = {
          ArrowLeft: () => move(-step, 0),
          ArrowRight: () => move(step, 0),
          ArrowUp: () => move(0, -step),
          ArrowDown: () => move(0, step),
          "+": () => enlarge(1.5),
          "=": () => enlarge(1.5),
          "-": () => enlarge(1 / 1.5),
          0: whole,
        }[event.key];
        if (!action || (zoom === 1 && event.key.startsWith("Arrow"))) return;
        event.preventDefault();
        action();
        point(centre); // a reader without a mouse reads the values in the middle
      });
    }

    canvases.forEach(listen);
    new ResizeObserver(() => scene && move(0, 0)).observe(canvases[0]);
    return { show, whole, enlarge };
  }

  return { stretch, painted, pair };
})();
