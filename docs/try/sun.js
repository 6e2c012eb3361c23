"use strict";
/* Where pixels are on the disc, limb darkening, and the level of the quiet Sun:
 * observation/disc.py and quiet_sun.py of the package, which give the reasons and the sources.
 */

const statistics = (() => {
  /* Percentile q of an array that is sorted, with linear interpolation. */
  function percentile(sorted, q) {
    const at = (q / 100) * (sorted.length - 1);
    const low = Math.floor(at);
    const a = sorted[low];
    const b = sorted[Math.min(low + 1, sorted.length - 1)];
    return a + (b - a) * (at - low);
  }
  const sorted = (values) => Float64Array.from(values).sort();
  function medianOfSorted(values) {
    const n = values.length;
    return (values[(n - 1) >> 1] + values[n >> 1]) / 2;
  }
  const median = (values) => medianOfSorted(sorted(values));
  const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;
  function deviation(values) {
    const middle = mean(values);
    return Math.sqrt(values.reduce((sum, v) => sum + (v - middle) ** 2, 0) / values.length);
  }
  /* As Python's %.<digits>g. */
  function general(value, digits = 6) {
    if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
    if (value === 0) return "0";
    const [mantissa, power] = value
      .toExponential(digits - 1)
      .split("e")
      .map(Number);
    if (power < -4 || power >= digits) {
      const size = String(Math.abs(power)).padStart(2, "0");
      return `${mantissa}e${power < 0 ? "-" : "+"}${size}`;
    }
    return String(Number(value.toFixed(Math.max(0, digits - 1 - power))));
  }
  return { percentile, sorted, median, medianOfSorted, mean, deviation, general };
})();

const disc = (() => {
  const { number, angleUnit, matrix } = pixels;
  const RADIANS = Math.PI / 180;

  /* mu(i, j) for line i and column j, from 0 and with fractions: the cosine of the angle between the
   * line of sight and the vertical, NaN off the disc. null if the header does not give it. */
  function locate(header, c) {
    const kind = header.text("CTYPE1") + header.text("CTYPE2");
    if (kind.startsWith("HPLN") && kind.includes("HPLT")) return helioprojective(header, c);
    return kind === "CRLN-CEACRLT-CEA" ? equalArea(header, c) : null;
  }

  function helioprojective(header, c) {
    const scale = angleUnit(header, 1, c);
    const steps = matrix(header).map((line) => line.map((v) => v * scale)); // arcsec
    const pixel = Math.sqrt(Math.abs(steps[0][0] * steps[1][1] - steps[0][1] * steps[1][0]));
    const radius =
      header.get("RSUN_OBS") === undefined ? number(header, "R_SUN") * pixel : number(header, "RSUN_OBS");
    const [x0, y0] = [1, 2].map((i) => (number(header, `CRVAL${i}`, 0) * scale) / radius);
    const [column, row] = [1, 2].map((i) => number(header, `CRPIX${i}`, 0));
    // a pixel larger than the Sun is arcsec without CUNIT, read as degrees
    if (!(pixel > 0 && pixel < radius) || [x0, y0, column, row].some(Number.isNaN)) return null;
    const [[xj, xi], [yj, yi]] = steps.map((line) => line.map((v) => v / radius));
    return (i, j) => {
      const x = j + 1 - column;
      const y = i + 1 - row;
      return Math.sqrt(1 - (xj * x + xi * y + x0) ** 2 - (yj * x + yi * y + y0) ** 2);
    };
  }

  function equalArea(header, c) {
    const [[dx, across], [along, dy]] = matrix(header).map((line) => line.map((v) => v * RADIANS));
    const [column, row] = [1, 2].map((i) => number(header, `CRPIX${i}`, 0));
    const [longitude, latitude, l0, b0] = ["CRVAL1", "CRVAL2", "CRLN_OBS", "CRLT_OBS"].map(
      (key) => RADIANS * number(header, key),
    );
    if ([dx, dy, column, row, longitude, latitude, l0, b0].some(Number.isNaN)) return null;
    if (across !== 0 || along !== 0 || [1, 2].some((i) => angleUnit(header, i, c) !== c.angles.deg))
      return null;
    const away = Math.cos(l0 - longitude);
    const x0 = Math.cos(latitude) * Math.cos(b0) * away + Math.sin(latitude) * Math.sin(b0);
    const y0 = Math.cos(b0) * Math.sin(l0 - longitude);
    const z0 = Math.cos(latitude) * Math.sin(b0) - Math.sin(latitude) * Math.cos(b0) * away;
    return (i, j) => {
      const phi = dx * (j + 1 - column);
      const z = dy * (i + 1 - row);
      if (Math.abs(z) > 1 || Math.abs(phi) > Math.PI) return NaN;
      const found = Math.sqrt(1 - z * z) * (x0 * Math.cos(phi) + y0 * Math.sin(phi)) + z0 * z;
      return found >= 0 ? found : NaN;
    };
  }

  /* Neckel's law. coefficients : of the polynomial in mu, see build.py. */
  const limbDarkening = (coefficients, mu) => coefficients.reduceRight((sum, c) => sum * mu + c, 0);

  return { locate, limbDarkening };
})();

const quietSun = (() => {
  const { percentile, sorted, median, medianOfSorted, mean, general } = statistics;

  /* Step between sampled lines and columns that gives about c.sample pixels at most. */
  const sampleStep = (count, c) => Math.ceil(Math.sqrt(Math.max(count / c.sample, 1)));

  function usualLevel(unit, year, c) {
    if (!["dn/s", "dns"].includes(unit.toLowerCase().replaceAll(" ", "")) || year === null) return null;
    return c.hmi_2011 + c.hmi_per_year * (year - 2011);
  }

  /* {level, strength}; say(text) is called with a warning.
   * image : {data, h, w}.  mu : of disc.locate, or null.  usual : of usualLevel.  c : constants. */
  function measure({ data, h, w }, mu, usual, c, say) {
    const found = mu ? fitted(data, h, w, mu, c) : { level: level(data), strength: 0 };
    if (found.level <= 2) usual = 1;
    else if (usual === null || found.level < 0.05 * usual) return found;
    if (found.level < usual * (mu ? c.least : c.least_anywhere)) {
      say(
        `No quiet Sun in the image: its level is ${general(found.level, 4)}, so the usual level ` +
          `${general(usual, 4)} is used instead; that of a full disc of the same series would be better` +
          seeFlags("--norm-from, --norm"),
      );
      found.level = usual;
    }
    return found;
  }

  // median of the pixels within 10 % of the histogram's upper mode
  function level(data) {
    const values = Float64Array.from(data.filter((v) => v > 0 && v < Infinity));
    if (values.length === 0) throw new Refused("An intensity needs one positive pixel or more, got none.");
    const inOrder = values.slice().sort();
    const width = 0.01 * percentile(inOrder, 99);
    const counts = new Float64Array(220); // bins of `width` from -20 to 200
    for (const value of inOrder) {
      const bin = value / width;
      if (bin <= 200) counts[bin === 200 ? 219 : Math.floor(bin) + 20]++;
    }
    const peak = lastPeak(smoothed(counts));
    const middle = (peak - 20 + 0.5) * width;
    let mode = values[0];
    for (const value of values) if (Math.abs(value - middle) < Math.abs(mode - middle)) mode = value;
    return medianOfSorted(inOrder.filter((v) => Math.abs(v - mode) <= 0.1 * mode));
  }

  function smoothed(counts) {
    const gaussian = Array.from({ length: 25 }, (_, n) => Math.exp(-0.5 * ((n - 12) / 3) ** 2));
    const sum = gaussian.reduce((a, b) => a + b);
    return counts.map((_, n) =>
      gaussian.reduce((total, g, m) => total + (g / sum) * (counts[n + 12 - m] ?? 0), 0),
    );
  }

  // index of the last maximum that stands out on both sides by a tenth of the highest
  function lastPeak(curve) {
    const prominence = 0.1 * Math.max(...curve);
    let top = curve.length - 1;
    let low = curve[top];
    for (let i = top; i >= 0; i--) {
      if (curve[i] > curve[top]) top = i;
      else if (curve[top] - curve[i] >= prominence && curve[top] - low >= prominence) return top;
      if (curve[i] < low) [low, top] = [curve[i], i];
    }
    return top;
  }

  function fitted(data, h, w, mu, c) {
    const step = sampleStep(h * w, c);
    const laws = [];
    const bright = []; // of pixels on the disc, and well within it
    for (const least of [c.least_mu, -Infinity]) {
      for (let i = 0; i < h; i += step)
        for (let j = 0; j < w; j += step) {
          const value = data[i * w + j];
          const at = mu(i, j);
          if (!(value > 0 && value < Infinity && at > least)) continue;
          bright.push(value);
          laws.push(Math.log(disc.limbDarkening(c.limb, at)));
        }
      if (bright.length) break; // without a pixel well within the disc, all of them count
    }
    if (!bright.length) return { level: level(data), strength: 0 };
    const law = Float64Array.from(laws);
    const values = Float64Array.from(bright);
    const strength = strengthOf(law, values, c);
    return { level: level(values.map((v, n) => v / Math.exp(strength * law[n]))), strength };
  }

  // strength of the limb darkening: median slope over pairs of rings of equal darkening
  function strengthOf(law, values, c) {
    let [first, last] = [Infinity, -Infinity];
    for (const one of law) [first, last] = [Math.min(first, one), Math.max(last, one)];
    const rings = Array.from({ length: c.rings }, () => []);
    for (let n = 0; n < law.length; n++) {
      const ring = Math.floor(((law[n] - first) / (last - first)) * c.rings) || 0;
      rings[Math.min(ring, c.rings - 1)].push(n);
    }
    const filled = rings.filter((ring) => ring.length >= c.least_in_ring);
    if (filled.length < 2) return 1;
    const x = filled.map((ring) => mean(ring.map((n) => law[n])));
    const y = filled.map((ring) => Math.log(level(Float64Array.from(ring, (n) => values[n]))));
    const slopes = [];
    const weights = [];
    for (let i = 0; i < x.length; i++)
      for (let j = i + 1; j < x.length; j++) {
        slopes.push((y[j] - y[i]) / (x[j] - x[i]));
        weights.push(x[j] - x[i]);
      }
    const slope = weightedMedian(slopes, weights);
    const rest = y.map((value, n) => value - slope * x[n]);
    const middle = median(rest);
    const scatter = 1.48 * median(rest.map((value) => Math.abs(value - middle)));
    const error = Math.max(scatter, c.ring_error) / (Math.max(...x) - Math.min(...x));
    if (error > c.fitted) return slope + 2 * error < 0.5 ? 0 : 1;
    return slope > c.fitted ? slope : 0;
  }

  function weightedMedian(values, weights) {
    const order = values.map((_, n) => n).sort((a, b) => values[a] - values[b]);
    const half = 0.5 * weights.reduce((a, b) => a + b);
    let below = 0;
    return values[order.find((n) => (below += weights[n]) >= half)];
  }

  return { sampleStep, usualLevel, measure, level };
})();
