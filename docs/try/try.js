"use strict";
/* The page: takes a file, has it enhanced, shows and saves the result. */

(() => {
  const { version, constants, networks, example } = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const QUANTITY = { intensity: "intensity", blos: "line-of-sight field" };
  let file = null;
  let result = null;
  let job = 0;

  // every text of a file is shown by this: as text, never as HTML
  const put = (id, text) => ($(id).textContent = text);
  const show = (id, visible) => ($(id).hidden = !visible);

  function terms(id, pairs) {
    $(id).replaceChildren(
      ...pairs.flatMap(([term, text]) => [
        Object.assign(document.createElement("dt"), { textContent: term }),
        Object.assign(document.createElement("dd"), { textContent: text }),
      ]),
    );
  }

  /* From a file to {image, type, out, header, ...}; null if another file was opened meanwhile. */
  async function enhance(blob, name, asked, progress, stopped) {
    const said = [];
    const say = (text) => said.push(text);
    const image = await fits.read(blob, name);
    missing.withoutSentinels(image, constants, say);
    if (image.data.every(Number.isNaN))
      throw new Refused("The image needs one valid pixel or more, got only missing ones.");
    const type = kind.imageType(image, asked, constants, say);
    const mu = disc.locate(image.header, constants);
    missing.withoutFill(image, type, mu, constants, say);
    if (image.data.every(Number.isNaN))
      throw new Refused("The image needs one valid pixel or more, got only fill values.");
    kind.requireHmi(image, constants);
    said.push(...remarks.all(image, type, constants));
    const stored = networks[type];
    const norm = normalise.norm(image, type, mu, constants, say);
    const header = fitsHeader.enhanced(
      image.header,
      {
        version,
        model: stored.model,
        sha256: stored.sha256,
        type,
        norm: norm.level,
        limb: norm.strength,
      },
      constants,
    );
    const { h, w } = image;
    const { x, mask } = normalise.divided(image, norm, tiles.halo(stored.depth), constants);
    const started = performance.now();
    const found = await tiles.run(stored, x, h, w, progress, stopped);
    if (!found) return null;
    for (let i = 0; i < 2 * h; i += 128) {
      normalise.multiply(found.out, w, mask, norm, i, Math.min(i + 128, 2 * h), constants);
      await new Promise((resolve) => setTimeout(resolve));
      if (stopped()) return null;
    }
    return {
      image,
      type,
      out: found.out,
      header,
      norm,
      mask,
      said,
      how: found.how,
      seconds: (performance.now() - started) / 1000,
    };
  }

  async function open(blob, name, asked) {
    const mine = ++job;
    const stopped = () => mine !== job;
    result = null;
    for (const id of ["error", "result"]) show(id, false);
    for (const id of ["status", "progress"]) show(id, true);
    put("status", `Reading ${name} …`);
    $("progress").removeAttribute("value");
    await new Promise((resolve) => setTimeout(resolve)); // so that it is seen
    try {
      const found = await enhance(
        blob,
        name,
        asked,
        (share) => {
          put("status", `Enhancing ${name} …`);
          $("progress").value = share;
        },
        stopped,
      );
      if (stopped()) return;
      result = found;
      present(result);
    } catch (error) {
      if (stopped()) return;
      put(
        "error",
        error instanceof Refused
          ? error.message
          : `The page could not do it (${error.message}): use ${COMMAND}.`,
      );
      show("error", true);
    }
    for (const id of ["status", "progress"]) show(id, false);
  }

  // whether solar north is down: then the picture is turned by 180 degrees
  function turned(header) {
    return /^(HPLT|CRLT|HGLT|SOLAR)/.test(header.text("CTYPE2")) && pixels.matrix(header)[1][1] < 0;
  }

  const picture = view.pair([$("input"), $("output")], (place) => {
    if (!place || !result) return put("readout", "");
    const { image, out } = result;
    const { data, h, w } = image;
    // on pixels that are n times smaller than the input's
    const value = (array, n) => {
      const i = Math.min(Math.floor(n * place.i), n * h - 1);
      const j = Math.min(Math.floor(n * place.j), n * w - 1);
      return statistics.general(array[i * n * w + j], 4);
    };
    const pixel = `x ${Math.min(Math.floor(place.j) + 1, w)}, y ${Math.min(Math.floor(place.i) + 1, h)}`;
    put("readout", `${pixel}: ${value(data, 1)} → ${value(out, 2)} ${unitOf(result)}`.trimEnd());
  });

  function unitOf({ image, type }) {
    return kind.facts(image).unit || (type === "blos" ? "G" : "");
  }

  function present({ image, type, out, norm, mask, said, how, seconds }) {
    const { h, w, header, name } = image;
    const unit = unitOf(result);
    const seen = mask ? image.data.map((v, n) => (mask[n] ? NaN : v)) : image.data;
    const limits = view.stretch([seen, out], type);
    const upsideDown = turned(header);
    const [arcsec] = pixels.scales(header, constants);
    put("result-title", name);
    put("input-size", `${w} × ${h}`);
    put("output-size", `${2 * w} × ${2 * h}`);
    $("remarks").replaceChildren(
      ...said.map((text) => Object.assign(document.createElement("li"), { textContent: text })),
    );
    put("low", statistics.general(limits[0], 4).replace("-", "−"));
    put("high", statistics.general(limits[1], 4));
    put("quantity", unit ? `${QUANTITY[type]} [${unit}]` : QUANTITY[type]);
    terms("facts", [
      ["Type", kind.WORD[type]],
      [
        "Divided by",
        `${statistics.general(norm.level, 6)} ${unit}`.trimEnd() +
          (norm.strength ? ` times the limb darkening to the power ${norm.strength.toFixed(3)}` : ""),
      ],
      ["Missing pixels", String(mask ? mask.reduce((a, b) => a + b, 0) : 0)],
      ["Drawn", upsideDown ? "turned by 180°, solar north up" : "as stored, the first line at the bottom"],
      ["Stretch", `${$("low").textContent} to ${$("high").textContent} for both, from percentiles`],
      ["Network", `${networks[type].model}, ${type}_small.h5`],
      ["Computed", `in ${seconds.toFixed(1)} s, ${how}`],
    ]);
    show("result", true);
    paintGradient();
    picture.show({
      images: [
        view.painted(image.data, h, w, limits, upsideDown),
        view.painted(out, 2 * h, 2 * w, limits, upsideDown),
      ],
      h,
      w,
      turned: upsideDown,
      arcsec,
    });
  }

  function paintGradient() {
    const context = $("gradient").getContext("2d");
    const ramp = context.createLinearGradient(0, 0, 256, 0);
    ramp.addColorStop(0, "#000");
    ramp.addColorStop(1, "#fff");
    context.fillStyle = ramp;
    context.fillRect(0, 0, 256, 1);
  }

  function save() {
    if (!result) return;
    const { image, out, header } = result;
    const url = URL.createObjectURL(fits.write(out, 2 * image.h, 2 * image.w, header));
    const name = `${image.name.replace(/(\.(fits|fit|fts))?(\.(gz|fz))?$/i, "")}_enhanced.fits`;
    Object.assign(document.createElement("a"), { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }

  function take(files) {
    if (!files.length) return;
    file = files[0];
    open(file, file.name, $("type").value);
  }

  function takeExample() {
    $("type").value = "";
    take([new File([Uint8Array.from(atob(example), (c) => c.charCodeAt(0))], "example.fits")]);
  }

  $("file").addEventListener("change", (event) => {
    take(event.target.files);
    event.target.value = ""; // so that the same file can be chosen again
  });
  $("example").addEventListener("click", takeExample);
  $("type").addEventListener("change", () => file && open(file, file.name, $("type").value));
  $("form").addEventListener("submit", (event) => event.preventDefault());
  $("save").addEventListener("click", save);
  $("closer").addEventListener("click", () => picture.enlarge(1.5));
  $("farther").addEventListener("click", () => picture.enlarge(1 / 1.5));
  $("whole").addEventListener("click", () => picture.whole());
  for (const name of ["dragover", "drop"])
    document.addEventListener(name, (event) => {
      event.preventDefault(); // a browser would open the file instead of the page
      $("drop").classList.toggle("over", name === "dragover");
      if (name === "drop") take(event.dataTransfer.files);
    });
  document.addEventListener("dragleave", () => $("drop").classList.remove("over"));

  terms("networks", [
    ["Version", `enhance_np ${version}`],
    ...Object.entries(networks).map(([type, { sha256 }]) => [`${type}_small.h5, sha256`, sha256]),
  ]);
})();
