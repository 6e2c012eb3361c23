"use strict";
/* Units of the file to units of the network and back: observation/normalise.py of the package. */

const normalise = (() => {
  /* {level, strength, mu, discOnly}: the image is divided by level * limbDarkening(mu) ** strength,
   * and pixels off the disc count as missing if discOnly. say(text) is called with a warning. */
  function norm(image, type, mu, c, say) {
    const { unit, year } = kind.facts(image);
    if (type === "blos")
      return {
        level: c.gauss_per_kilogauss / kind.gauss(unit, c),
        strength: 0,
        mu,
        discOnly: mu !== null && noiseOffDisc(image, mu, c),
      };
    const found = quietSun.measure(image, mu, quietSun.usualLevel(unit, year, c), c, say);
    if (!(Math.fround(found.level) > 0 && Math.fround(found.level) < Infinity))
      throw new Refused(`The level of the quiet Sun must be a number > 0 of float32, got ${found.level}.`);
    return { ...found, mu, discOnly: false };
  }

  // whether a magnetogram is noisier off the disc than on it, by the lower quartile of |B|
  function noiseOffDisc({ data, h, w }, mu, c) {
    const step = quietSun.sampleStep(h * w, c);
    const sides = [[], []];
    for (let i = 0; i < h; i += step)
      for (let j = 0; j < w; j += step) {
        const value = Math.abs(data[i * w + j]);
        if (Number.isFinite(value)) sides[Number.isNaN(mu(i, j)) ? 0 : 1].push(value);
      }
    if (sides.some((side) => side.length === 0)) return false;
    const [outside, inside] = sides.map((side) => statistics.percentile(statistics.sorted(side), 25));
    return outside > 2 * inside;
  }

  // divisor at (i, j), which count lines and columns of the image from 0, with fractions
  function divisor({ level, strength, mu }, c) {
    const constant = Math.fround(level);
    const power = Math.fround(strength);
    if (strength === 0) return () => constant;
    return (i, j) => {
      const at = mu(i, j);
      const law = Math.fround(disc.limbDarkening(c.limb, Number.isNaN(at) ? 0 : at));
      return Math.fround(constant * Math.fround(law ** power));
    };
  }

  /* {x, mask}: the image for the network, with filled gaps, and the mask of the gaps or null. */
  function divided({ data, h, w }, found, reach, c) {
    const x = new Float32Array(data.length);
    const by = divisor(found, c);
    for (let i = 0, n = 0; i < h; i++)
      for (let j = 0; j < w; j++, n++) {
        x[n] = data[n] / by(i, j);
        if (Number.isFinite(data[n]) && !Number.isFinite(x[n]))
          throw new Refused(`The image over its norm must fit float32, got a norm of ${found.level}.`);
        if (found.discOnly && Number.isNaN(found.mu(i, j))) x[n] = NaN;
      }
    return { x, mask: missing.fill(x, h, w, reach) };
  }

  /* Lines first <= i < last of the output `out`, (2h, 2w), back to units of the file, NaN in the gaps;
   * in place. mask : of `divided`. */
  function multiply(out, w, mask, found, first, last, c) {
    const by = divisor(found, c);
    for (let i = first; i < last; i++)
      for (let j = 0; j < 2 * w; j++) {
        const n = i * 2 * w + j;
        if (mask && mask[(i >> 1) * w + (j >> 1)]) out[n] = NaN;
        else {
          out[n] *= by((i + 0.5) / 2 - 0.5, (j + 0.5) / 2 - 0.5);
          if (!Number.isFinite(out[n]))
            throw new Refused("The result is not finite: check the unit of the image.");
        }
      }
  }

  return { norm, divided, multiply };
})();
