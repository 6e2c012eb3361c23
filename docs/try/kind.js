"use strict";
/* What an image shows: observation/kind.py and telescope.py of the package, which give the sources.
 * All lists of units, names and words come from there, see build.py.
 */

const kind = (() => {
  const plainUnit = (unit) => unit.toLowerCase().replaceAll(" ", "");
  const gauss = (unit, c) => c.gauss[plainUnit(unit)] ?? 1;
  const namesGauss = (unit, c) => Object.hasOwn(c.gauss, plainUnit(unit));
  const matches = (pattern, text, flags = "") => new RegExp(pattern, flags).test(text);
  const quoted = (value) => (typeof value === "string" ? `'${value}'` : String(value));

  /* {unit, year} of an image; year: of the observation with fractions, or null. */
  function facts({ header }) {
    let year = null;
    for (const key of ["DATE-OBS", "T_OBS", "T_REC"]) {
      const found = header.text(key).match(/^(\d{4})[-.](\d\d)/);
      if (found) {
        year = Number(found[1]) + (Number(found[2]) - 0.5) / 12;
        break;
      }
    }
    return { unit: header.text("BUNIT") || header.text("_BUNIT"), year };
  }

  /* The evidence of the type, [[what, "intensity" | "blos" | "other"], ...]. */
  function witnesses(image, c) {
    const { header, name } = image;
    const said = [];
    const content = header.text("CONTENT");
    if (matches(c.other_words, content, "i")) said.push([`CONTENT=${quoted(content)}`, "other"]);
    else if (/MAGNETOGRAM/i.test(content)) said.push([`CONTENT=${quoted(content)}`, "blos"]);
    else if (/INTENSITY/i.test(content)) said.push([`CONTENT=${quoted(content)}`, "intensity"]);
    const given = facts(image).unit;
    const unit = plainUnit(given);
    if (c.intensity_units.includes(unit)) said.push([`BUNIT=${quoted(given)}`, "intensity"]);
    if (Object.hasOwn(c.gauss, unit)) said.push([`BUNIT=${quoted(given)}`, "blos"]);
    if (c.other_units.includes(unit)) said.push([`BUNIT=${quoted(given)}`, "other"]);
    const byItsName = byName(name, c);
    const record = header.text("DRMS_ID");
    if (byItsName) said.push(["its name", byItsName]);
    const byRecord = byName(record.replace(/:\d*:?/g, ".").replace(/\.+$/, ""), c);
    if (byRecord) said.push([`DRMS_ID=${quoted(record)}`, byRecord]);
    const map = chart(image, c);
    if (map) said.push([map, "other"]);
    if (c.no_units.includes(unit) || c.intensity_units.includes(unit) || Object.hasOwn(c.gauss, unit)) {
      const values = sample(image, c);
      const whole = wholeNumbers(values, c);
      const isPicture = whole && whole.includes("picture") && said.some(([, type]) => type === "intensity");
      const type = whole && !isPicture ? null : byValue(values, gauss(given, c), c);
      if (whole && !isPicture) said.push([`the values, ${whole}`, "other"]);
      else if (type) said.push(["the values", type]);
    }
    return said;
  }

  function byName(name, c) {
    const bare = name.toLowerCase().replace(new RegExp(c.ends), "");
    return Object.keys(c.names).find((type) => matches(c.names[type], bare)) ?? null;
  }

  // the evidence that a map combines images of many days, or null
  function chart({ header, w }, c) {
    const steps = [1, 2].map((i) => header.get(`CDELT${i}`));
    const unit = header.text("CUNIT2");
    if (!/^(CRLN|HGLN)/.test(header.text("CTYPE1")) || !steps.every((s) => typeof s === "number"))
      return null;
    const [first, second] = steps.map(Math.abs);
    if (/sin/i.test(unit)) return `CUNIT2=${quoted(unit)}`;
    if (first * w > c.widest) return `its width of ${(first * w).toFixed(0)} degrees`;
    if (second && !(1 / c.unequal < first / second && first / second < c.unequal))
      return `its steps of ${statistics.general(first, 3)} and ${statistics.general(second, 3)}`;
    return null;
  }

  /* The valid pixels, on a coarser grid if the image is large. */
  function sample({ data, h, w }, c) {
    const step = Math.max(1, Math.floor((data.length / c.asked_values) ** 0.5));
    const values = [];
    for (let i = 0; i < h; i += step)
      for (let j = 0; j < w; j += step) if (Number.isFinite(data[i * w + j])) values.push(data[i * w + j]);
    return values;
  }

  // what whole numbers >= 0 are, if they are few or fit into 8 bits; else null
  function wholeNumbers(values, c) {
    if (values.length < c.few || !values.every((v) => v >= 0 && v <= 2 ** 31 && Number.isInteger(v)))
      return null;
    const different = new Set(values).size;
    if (different > 1 && different <= c.classes)
      return `${different} different whole numbers as in a map of classes`;
    const largest = values.reduce((a, b) => Math.max(a, b));
    return different > c.classes && largest < 256 ? "whole numbers up to 255 as in a picture" : null;
  }

  // scale : G per unit, if the values are a field
  function byValue(all, scale, c) {
    const fill = missing.lowestRepeated(all, c);
    const values = (fill === null ? all : all.filter((v) => v > fill)).map((v) => scale * v);
    if (!values.length) return null;
    const lit = values.filter((v) => v > 0);
    const negative = values.filter((v) => v < 0).length;
    if (!negative && lit.length && statistics.deviation(lit) < 0.6 * statistics.mean(lit)) {
      const level = statistics.median(lit);
      return (level > 0.1 && level < 2) || level > c.largest_field ? "intensity" : null;
    }
    const rarer = Math.min(negative, lit.length) / values.length;
    const spread = statistics.deviation(values);
    const balanced = Math.abs(statistics.mean(values)) < 0.5 * spread;
    return rarer > 0.05 && balanced && spread > c.smallest_noise ? "blos" : null;
  }

  const WORD = { intensity: "intensity", blos: "magnetogram", other: "neither" };
  const list = (said) => said.map(([who, type]) => `${who} (${WORD[type]})`).join(", ") || "no evidence";

  /* "intensity" or "blos".  asked : the user's choice, or "".  say : called with a warning.
   * Throws Refused where the package refuses. */
  function imageType(image, asked, c, say) {
    const said = witnesses(image, c);
    const types = new Set(said.map(([, type]) => type));
    if (!asked && types.has("other"))
      throw new Refused(
        "The page needs a continuum image or a line-of-sight magnetogram, unless the type is chosen, " +
          `got ${list(said)}.`,
      );
    if (!asked && types.size !== 1)
      throw new Refused(
        "The page cannot tell intensity from magnetogram, so the type must be chosen, " +
          `got ${list(said)}.`,
      );
    if (!asked) {
      const [type] = types;
      if (said.every(([who]) => who === "the values")) sayGuess(image, type, c, say);
      return type;
    }
    if (!types.has("other") && (types.has(asked) || !said.length)) return asked;
    const words = said.filter(([who]) => !who.startsWith("the values") && who !== "its name");
    if (!types.has(asked) && words.some(([, type]) => type !== "other"))
      throw new Refused(`The chosen type must match the file, got ${WORD[asked]} against ${list(said)}.`);
    say(`The file is treated as ${WORD[asked]}, as chosen, against ${list(said)}`);
    return asked;
  }

  function sayGuess(image, type, c, say) {
    const values = sample(image, c).map((v) => Math.abs(v) * gauss(facts(image).unit, c));
    const spread = Math.sqrt(statistics.mean(values.map((v) => v * v)));
    const restless =
      type === "blos" && spread > c.largest_noise && statistics.median(values) > 0.5 * spread;
    say(
      `Type guessed from the values alone: ${WORD[type]}` +
        (restless ? ", although few pixels are quiet, as in a Dopplergram" : ""),
    );
  }

  /* Throws Refused for an image of another instrument: the networks undo the blur of HMI. */
  function requireHmi({ header }, c) {
    const foreign = foreignInstrument(header, c);
    if (foreign)
      throw new Refused(
        `The networks of this page are for HMI; another instrument needs its own, got ${foreign}` +
          `${seeFlags("--weights")}.`,
      );
  }

  function foreignInstrument(header, c) {
    const names = ["TELESCOP", "INSTRUME", "DETECTOR", "CAMERA"]
      .map((key) => [key, header.get(key)])
      .filter(([, name]) => typeof name === "string")
      .map(([key, name]) => [key, name.trim()]);
    if (names.some(([, name]) => matches(c.hmi, name.toUpperCase()))) return null;
    return (
      names
        .filter(([, name]) => !matches(`^(?:${c.no_name})$`, name.toUpperCase()))
        .map(([key, name]) => `${key}=${quoted(name)}`)
        .join(", ") || null
    );
  }

  return { facts, gauss, namesGauss, imageType, requireHmi, foreignInstrument, sample, WORD };
})();
