"use strict";
/* Missing pixels: numbers that stand for them, and what the network sees in their place:
 * observation/missing.py and the gaps of observation/normalise.py in the package.
 */

const missing = (() => {
  const { general } = statistics;

  /* Replaces by NaN the numbers that mean "missing" in an image of any type. image : of fits.read. */
  function withoutSentinels(image, c, say) {
    const { data, lowest } = image;
    blank(
      data,
      (n) => {
        const value = data[n];
        return (
          value >= c.huge ||
          value <= -c.huge ||
          c.sentinels.includes(value) ||
          (lowest !== null && Math.abs(value - Math.fround(lowest)) <= 1e-6 * Math.abs(lowest))
        );
      },
      say,
    );
    for (let n = 0; n < data.length; n++) if (!Number.isFinite(data[n])) data[n] = NaN;
  }

  /* The same for the numbers that are fill values in this type of image.  mu : of disc.locate. */
  function withoutFill({ data, h, w }, type, mu, c, say) {
    const values = new Set(type === "intensity" ? c.no_light : []);
    const step = quietSun.sampleStep(data.length, c);
    const sample = [];
    const off = [];
    for (let i = 0; i < h; i += step)
      for (let j = 0; j < w; j += step) {
        sample.push(data[i * w + j]);
        if (mu && Number.isNaN(mu(i, j))) off.push(data[i * w + j]);
      }
    const filled = new Set(off.length ? repeated(off, c) : []);
    if (type === "intensity")
      for (const value of [...filled, lowestRepeated(sample, c)])
        if (value !== null && value < 0) values.add(value);
    for (const value of values) filled.delete(value);
    blank(
      data,
      (n) => values.has(data[n]) || (filled.has(data[n]) && !(mu(Math.floor(n / w), n % w) > c.near_limb)),
      say,
    );
  }

  /* The lowest finite value, if it is 0 or less and makes up at least 1 % of the values; else null. */
  function lowestRepeated(values, c) {
    const known = values.filter((v) => Number.isFinite(v));
    let lowest = Infinity;
    let count = 0;
    for (const value of known) {
      if (value < lowest) [lowest, count] = [value, 0];
      if (value === lowest) count++;
    }
    return lowest <= 0 && count >= Math.max(c.fewest, 0.01 * known.length) ? lowest : null;
  }

  // the fill values among pixels off the disc
  function repeated(values, c) {
    const counts = new Map();
    let all = 0;
    for (const value of values)
      if (Number.isFinite(value)) {
        counts.set(value, (counts.get(value) || 0) + 1);
        all++;
      }
    return [...counts]
      .filter(
        ([value, count]) => count >= c.share * all && (c.no_light.includes(value) || count >= c.fewest),
      )
      .map(([value]) => value);
  }

  function blank(data, gone, say) {
    const counts = new Map();
    for (let n = 0; n < data.length; n++)
      if (!Number.isNaN(data[n]) && gone(n)) {
        counts.set(data[n], (counts.get(data[n]) || 0) + 1);
        data[n] = NaN;
      }
    if (!counts.size) return;
    const inOrder = [...counts].sort(([a], [b]) => a - b);
    const shown = inOrder
      .slice(0, 3)
      .map(([value, count]) => `${count} of ${general(value)}`)
      .join(", ");
    say(`Fill values are treated as missing pixels: ${shown}${counts.size > 3 ? ", ..." : ""}`);
  }

  /* Fills the gaps (NaN) of an image in place and returns where they were, (h * w) of 0 and 1; null
   * without gaps. A gap becomes 2 v - u, where v is the nearest valid pixel and u the pixel as far
   * behind it, clipped to lie between 0 and v. Gaps from which no output with a value depends become v. */
  function fill(data, h, w, reach) {
    const mask = Uint8Array.from(data, (v) => (Number.isNaN(v) ? 1 : 0));
    if (!mask.includes(1)) return null;
    const above = nearestInColumn(mask, h, w);
    const before = data.slice();
    const farthest = Math.ceil(Math.SQRT2 * reach);
    for (let n = 0; n < data.length; n++) {
      if (!mask[n]) continue;
      const i = Math.floor(n / w);
      const j = n % w;
      const at = nearest(above, h, w, i, j, farthest);
      if (at === null) {
        data[n] = 0;
        continue;
      }
      const value = before[at[0] * w + at[1]];
      const y = 2 * at[0] - i;
      const x = 2 * at[1] - j;
      const across = y >= 0 && y < h && x >= 0 && x < w ? before[y * w + x] : NaN;
      const continued = Math.fround(2 * value - (Number.isNaN(across) ? value : across));
      data[n] = Math.min(Math.max(continued, Math.min(value, 0)), Math.max(value, 0));
    }
    return mask;
  }

  // line of the nearest valid pixel of the same column, the lower one of two; -1 if there is none
  function nearestInColumn(mask, h, w) {
    const found = new Int32Array(h * w).fill(-1);
    for (let j = 0; j < w; j++) {
      let last = -1;
      for (let i = 0; i < h; i++) {
        if (!mask[i * w + j]) last = i;
        found[i * w + j] = last;
      }
      last = -1;
      for (let i = h - 1; i >= 0; i--) {
        const n = i * w + j;
        if (!mask[n]) last = i;
        if (last >= 0 && (found[n] < 0 || last - i < i - found[n])) found[n] = last;
      }
    }
    return found;
  }

  // [i, j] of the nearest valid pixel, of several that with the lowest column; null beyond `farthest`
  function nearest(inColumn, h, w, i, j, farthest) {
    let best = farthest * farthest + 1;
    let at = null;
    const last = Math.min(w - 1, j + farthest);
    for (let column = Math.max(0, j - farthest); column <= last; column++) {
      const line = inColumn[i * w + column];
      if (line < 0) continue;
      const distance = (line - i) ** 2 + (column - j) ** 2;
      if (distance < best) [best, at] = [distance, [line, column]];
    }
    return at;
  }

  return { withoutSentinels, withoutFill, lowestRepeated, fill };
})();
