"use strict";
/* Units of angle and the steps of pixels: observation/header.py and pixels.py of the package, which
 * give the reasons and the sources. The units and the kinds of axes come from there, see build.py.
 */

const pixels = (() => {
  const AXES = [1, 2];

  /* Finite value of a card, else NaN; missing : the value if there is no such card. */
  function number(header, key, missing = NaN) {
    if (header.get(key) === undefined) return missing;
    const value = header.number(key);
    return Number.isFinite(value) ? value : NaN;
  }

  /* arcsec per CUNIT of an axis (1 or 2), NaN if that is not a unit of angle; without CUNIT a
   * celestial axis is in degrees. */
  function angleUnit(header, axis, c) {
    const name = header.text(`CUNIT${axis}`).toLowerCase();
    if (name) return Object.hasOwn(c.angles, name) ? c.angles[name] : NaN;
    return new RegExp(`^(?:${c.celestial})`).test(header.text(`CTYPE${axis}`)) ? c.angles.deg : NaN;
  }

  /* CUNIT per pixel, [[dx/dcolumn, dx/drow], [dy/dcolumn, dy/drow]]; NaN where it is not given. */
  function matrix(header) {
    const square = (name, missing) =>
      AXES.map((i) => AXES.map((j) => number(header, `${name}${i}_${j}`, missing(i, j))));
    const has = (name) => AXES.some((i) => AXES.some((j) => header.get(`${name}${i}_${j}`) !== undefined));
    if (has("CD")) {
      const found = square("CD", () => 0);
      return found.map((line) => line.map((v, j) => (found[0][j] === 0 && found[1][j] === 0 ? NaN : v)));
    }
    const step = AXES.map((i) => number(header, `CDELT${i}`));
    if (has("PC"))
      return square("PC", (i, j) => Number(i === j)).map((line, i) =>
        line.map((v) => (v === 0 ? 0 : step[i] * v)),
      );
    const angle = (Math.PI / 180) * number(header, "CROTA2", 0);
    const turn = [
      [Math.cos(angle), -Math.sin(angle)],
      [Math.sin(angle), Math.cos(angle)],
    ];
    return turn.map((line) => line.map((v, j) => v * step[j]));
  }

  /* Sides of a pixel in arcsec, along lines and columns; an axis without a scale is left out. */
  function scales(header, c) {
    const type = header.text("CTYPE1") || "HPLN";
    let scale = 1;
    if (c.equal_area.some((name) => type.startsWith(name))) {
      const radius = number(header, "RSUN_OBS");
      scale = (radius > 0 ? radius : c.sun_radius) / c.angles.rad;
    } else if (!/^(HPLN|SOLAR)/.test(type)) return [];
    const [x, y] = matrix(header);
    return AXES.map((axis, j) => scale * angleUnit(header, axis, c) * Math.hypot(x[j], y[j])).filter(
      (side) => side > 0 && side < Infinity,
    );
  }

  return { number, angleUnit, matrix, scales };
})();
