"use strict";
/* What a user should know of an image before using its output: observation/remarks.py. */

const remarks = (() => {
  const { general } = statistics;

  /* The remarks on an image of this type, as sentences. */
  function all(image, type, c) {
    const { header } = image;
    const found = [];
    const { unit } = kind.facts(image);
    const scales = pixels.scales(header, c);
    if (!scales.every((s) => 1 / c.same_scale < s / c.pixel_scale && s / c.pixel_scale < c.same_scale)) {
      const square =
        scales.length < 2 || Math.abs(scales[0] - scales[1]) <= 1e-8 + 1e-3 * Math.abs(scales[1]);
      const sides = (square ? scales.slice(0, 1) : scales).map((s) => general(s, 3)).join(" x ");
      found.push(
        `The file has pixels of ${sides} arcsec, the network was trained on HMI's ` +
          `${general(c.pixel_scale, 3)}: do not trust the result`,
      );
    }
    const before = deconvolved(image, c);
    if (before) found.push(`The file has been deconvolved before (${before}): do not deconvolve it twice`);
    const flags = quality(header, c);
    if (flags) found.push(flags);
    if (type === "blos" && !kind.namesGauss(unit, c)) {
      const values = kind.sample(image, c);
      const spread = values.length ? statistics.deviation(values) : c.smallest_noise;
      if (spread < c.smallest_noise)
        found.push(
          `The file names no unit of field, so G is assumed, but its spread of ${general(spread, 2)} ` +
            "is below HMI's noise: if it is in kG, write BUNIT = 'kG' into the header",
        );
    }
    const strange = absurd(image, type, unit, c);
    if (strange)
      found.push(
        `The file has ${strange} (cosmic ray, overflow?): the network spreads them over their ` +
          "neighbours; set them to NaN",
      );
    if (header.bits("QLOOK") === 1n)
      found.push("The file is near-real-time (QLOOK=1): JSOC will replace it");
    if (/^(CRLN|HGLN)/.test(header.text("CTYPE1")))
      found.push(
        "The file is a map: off disc centre its pixels are remapped, so the blur is not HMI's; " +
          `instead, enhance ${unmapped(image)}`,
      );
    return found;
  }

  // the evidence that the image has been deconvolved before, or null
  function deconvolved({ header, name }, c) {
    const model = header.get("ENHMODEL");
    if (model !== undefined) return `ENHMODEL='${model}'`;
    const texts = [["its name", name]];
    for (const key of c.names_series)
      texts.push([key, key === "HISTORY" ? history(header) : header.text(key)]);
    for (const [where, text] of texts) {
      const series = text.match(new RegExp(c.dcon, "i"));
      if (series) return `${series[0]} in ${where}`;
    }
    const version = header.bits("CALVER64");
    if (version !== null) {
      const nibble = (version >> BigInt(c.calver_psf)) & 15n;
      if (version > 0n && nibble > 0n && nibble < 15n) return `CALVER64=0x${version.toString(16)}`;
    }
    return null;
  }

  const history = (header) =>
    header.cards
      .filter(({ key }) => key === "HISTORY")
      .map(({ texts }) => texts[0].slice(8).trimEnd())
      .join("\n");

  // QUALITY in words, null if it is 0 or missing
  function quality(header, c) {
    const bits = header.bits("QUALITY");
    if (!bits) return null;
    const low = BigInt.asUintN(32, bits);
    const text = `QUALITY=0x${low.toString(16).padStart(8, "0")}`;
    if (header.has("HARPNUM") || kind.foreignInstrument(header, c))
      return `${text}: see the documentation of the series`;
    const names = c.quality.filter(([bit]) => low & BigInt(bit)).map(([, name]) => name);
    const known = c.quality.reduce((sum, [bit]) => sum | BigInt(bit), 0n);
    if (low & ~known) names.push("others, see JSOC's Quality_Bits/QUALITY.txt");
    return `${text}: ${names.join("; ")}`;
  }

  // the series that holds the same data on the telescope's own pixels
  function unmapped({ header, name }) {
    for (const text of [name, header.text("DRMS_ID")]) {
      const found = text.match(/hmi\.sharp_cea_(\w+)/);
      if (found) return `hmi.sharp_${found[1]}, the same patch on HMI's own pixels`;
    }
    if (header.has("HARPNUM")) return "hmi.sharp_720s, the same patch on HMI's own pixels";
    return "a cut-out of hmi.M_720s or hmi.Ic_720s, on HMI's own pixels";
  }

  // the pixels that no value on the Sun explains, in words, or null
  function absurd(image, type, unit, c) {
    let limits;
    let what = "a field beyond any on the Sun";
    if (type === "blos") {
      const most = c.beyond_field / kind.gauss(unit, c);
      limits = [-most, most];
    } else {
      const lit = statistics.sorted(kind.sample(image, c));
      const bright = lit.length ? statistics.percentile(lit, 99) : 0;
      if (bright <= 0) return null;
      [limits, what] = [[-0.1 * bright, c.beyond_light * bright], "an intensity beyond any on the Sun"];
    }
    let count = 0;
    let largest = 0;
    for (const value of image.data)
      if (value < limits[0] || value > limits[1]) {
        count++;
        if (Math.abs(value) > Math.abs(largest)) largest = value;
      }
    return count ? `${count} pixels of ${what}, such as ${general(largest, 3)} ${unit}`.trimEnd() : null;
  }

  return { all };
})();
