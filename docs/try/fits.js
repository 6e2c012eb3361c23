"use strict";
/* Reads the first two-dimensional image of a FITS file and writes the result.
 *
 * Pixels are stored line by line from the bottom, as in the package: data[i * w + j] is line i + 1
 * and column j + 1 of FITS.
 * Source: FITS standard 4.0 (IAU FWG 2018).
 */

const fits = (() => {
  const BLOCK = 2880;
  const CARD = 80;
  const MOST_PIXELS = 2048 * 2048;
  const MOST_BYTES = 256 * 2 ** 20; // of a file, unpacked
  const MOST_HEADER = 5000; // cards
  const BITPIX = [8, 16, 32, 64, -32, -64];

  /* {data: (h * w) Float32Array in the file's units, h, w, header, name}. Missing pixels are NaN;
   * BSCALE, BZERO and BLANK are applied, as float32 or float64 by the rules of astropy.
   * lowest : value of the lowest integer in a file without BLANK, else null.
   * Throws Refused. */
  async function read(blob, name) {
    if (blob.size > MOST_BYTES) throw new Refused(tooLarge(`${Math.ceil(blob.size / 2 ** 20)} MB`));
    let bytes = new Uint8Array(await blob.arrayBuffer());
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = await unzipped(blob);
    if (text(bytes, 0, 9) !== "SIMPLE  =")
      throw new Refused(
        'This is not a FITS file: it must begin with "SIMPLE  =" (gzipped files are read, others that ' +
          "are packed are not).",
      );
    const seen = [];
    for (let at = 0; at < bytes.length;) {
      const { header, end } = headerAt(bytes, at);
      const size = dataSize(header);
      const image = seenImage(header, seen);
      if (image) {
        if (Math.min(...image) < 2)
          throw new Refused(`An image needs 2 x 2 pixels or more, got ${image[1]} x ${image[0]}.`);
        if (image[0] * image[1] > MOST_PIXELS)
          throw new Refused(tooLarge(`${image[1]} x ${image[0]} pixels`));
        if (end + size > bytes.length) throw new Refused(truncated(size, bytes.length - end));
        const data = bytes.subarray(end, end + size);
        return header.get("ZIMAGE") === true
          ? unpacked(header, data, ...image, name)
          : plain(header, data, ...image, name);
      }
      at = end + Math.ceil(size / BLOCK) * BLOCK;
      if (end + size > bytes.length) throw new Refused(truncated(size, bytes.length - end));
    }
    throw new Refused(`The file must hold an image with two axes, got ${seen.join(", ") || "none"}.`);
  }

  const tooLarge = (size) =>
    `This page takes images of up to 2048 x 2048 pixels in files of up to 256 MB, got ${size}: ` +
    `use ${COMMAND} for larger ones.`;
  const truncated = (size, found) =>
    `The file is not whole: its header announces ${size} bytes of data, and ${Math.max(found, 0)} are there.`;

  async function unzipped(blob) {
    if (typeof DecompressionStream === "undefined")
      throw new Refused(`This browser cannot unpack gzip: unpack the file first, or use ${COMMAND}.`);
    const reader = blob.stream().pipeThrough(new DecompressionStream("gzip")).getReader();
    const parts = [];
    let size = 0;
    for (;;) {
      const { done, value } = await reader.read().catch(() => {
        throw new Refused("The gzipped file is damaged or not whole.");
      });
      if (done) break;
      parts.push(value);
      size += value.length;
      if (size > MOST_BYTES) {
        reader.cancel().catch(() => {});
        throw new Refused(tooLarge("more, unpacked"));
      }
    }
    const all = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  // bytes as text; what is not printable becomes "?"
  const text = (bytes, first, last) =>
    String.fromCharCode(...bytes.subarray(first, last)).replace(/[^ -~]/g, "?");

  function headerAt(bytes, first) {
    const texts = [];
    for (let at = first; at + CARD <= bytes.length && texts.length < MOST_HEADER; at += CARD) {
      const card = text(bytes, at, at + CARD);
      if (card.trimEnd() === "END") {
        const end = at + CARD;
        return {
          header: fitsHeader.Header.read(texts),
          end: first + Math.ceil((end - first) / BLOCK) * BLOCK,
        };
      }
      texts.push(card);
    }
    throw new Refused("The file is damaged: a header has no END.");
  }

  function count(header, key, missing) {
    const value = header.get(key) ?? missing;
    if (!Number.isSafeInteger(value) || value < 0)
      throw new Refused(`The header's ${key} must be a whole number >= 0, got '${header.text(key)}'.`);
    return value;
  }

  function axes(header, key) {
    const n = count(header, key);
    if (n > 999) throw new Refused(`The header's ${key} must be 999 at most, got ${n}.`);
    return Array.from({ length: n }, (_, i) => count(header, `${key}${i + 1}`));
  }

  function dataSize(header) {
    const bits = header.get("BITPIX");
    if (!BITPIX.includes(bits))
      throw new Refused(
        `The header's BITPIX must be one of ${BITPIX.join(", ")}, got '${header.text("BITPIX")}'.`,
      );
    const lengths = axes(header, "NAXIS");
    const groups = header.get("GROUPS") === true && lengths[0] === 0;
    const pixels =
      lengths.length === 0 ? 0 : (groups ? lengths.slice(1) : lengths).reduce((n, m) => n * m, 1);
    return (Math.abs(bits) / 8) * count(header, "GCOUNT", 1) * (count(header, "PCOUNT", 0) + pixels);
  }

  // [h, w] of an HDU that is an image with two axes, else null
  function seenImage(header, seen) {
    const extension = header.text("XTENSION");
    const packed = extension === "BINTABLE" && header.get("ZIMAGE") === true;
    if (extension && extension !== "IMAGE" && !packed) {
      seen.push("a table");
      return null;
    }
    const lengths = axes(header, packed ? "ZNAXIS" : "NAXIS");
    if (lengths.length === 2 && Math.min(...lengths) > 0) return [lengths[1], lengths[0]];
    seen.push(lengths.length ? `${lengths.length} axes (${lengths.join(" x ")})` : "an empty HDU");
    return null;
  }

  // number of a storage card; the standard's value if there is none
  function storage(header, key, missing) {
    if (header.get(key) === undefined) return missing;
    const value = header.number(key);
    if (!Number.isFinite(value))
      throw new Refused(`The header's ${key} must be a number, got '${header.text(key)}'.`);
    return value;
  }

  const READ = {
    8: (view, at) => view.getUint8(at),
    16: (view, at) => view.getInt16(2 * at),
    32: (view, at) => view.getInt32(4 * at),
    64: (view, at) => Number(view.getBigInt64(8 * at)),
    "-32": (view, at) => view.getFloat32(4 * at),
    "-64": (view, at) => view.getFloat64(8 * at),
  };

  function plain(header, bytes, h, w, name) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const bits = header.get("BITPIX");
    const get = READ[bits];
    const stored = new Float64Array(h * w);
    for (let n = 0; n < stored.length; n++) stored[n] = get(view, n);
    return scaled(header, bits, header.get("BLANK"), stored, h, w, name);
  }

  function scaled(header, bits, blank, stored, h, w, name) {
    const scale = storage(header, "BSCALE", 1);
    const zero = storage(header, "BZERO", 0);
    // astropy: float32 for small integers and floats, float64 for the others
    const narrow = bits === 8 || bits === 16 || bits === -32;
    const round = narrow ? Math.fround : (v) => v;
    const factor = round(scale);
    const offset = round(zero);
    const missing = bits > 0 && typeof blank === "number" ? blank : null;
    const data = new Float32Array(h * w);
    for (let n = 0; n < data.length; n++) {
      const value = stored[n];
      data[n] = value === missing ? NaN : round(round(value * factor) + offset);
    }
    let lowest = null;
    if ((bits === 16 || bits === 32) && missing === null && !header.has("BLANK") && !header.has("ZBLANK")) {
      const half = scale * 2 ** (bits - 1);
      lowest = zero === half ? null : zero - half; // that BZERO makes the integers unsigned
    }
    return { data, h, w, header, name, lowest };
  }

  function unpacked(header, bytes, h, w, name) {
    const bits = header.get("ZBITPIX");
    const stored = rice.image(header, bytes, h, w);
    return scaled(header, bits, header.get("ZBLANK") ?? header.get("BLANK"), stored, h, w, name);
  }

  /* A FITS file of one float32 image. */
  function write(data, h, w, header) {
    const top = new fitsHeader.Header();
    top.set("SIMPLE", true, "conforms to FITS standard");
    top.set("BITPIX", -32, "array data type");
    top.set("NAXIS", 2, "number of array dimensions");
    top.set("NAXIS1", w);
    top.set("NAXIS2", h);
    const texts = [...top.cards, ...header.cards].flatMap((card) => card.texts);
    const joined = [...texts, "END".padEnd(CARD)].join("");
    const all = joined.padEnd(Math.ceil(joined.length / BLOCK) * BLOCK);
    const bytes = new Uint8Array(all.length + Math.ceil((4 * data.length) / BLOCK) * BLOCK);
    for (let n = 0; n < all.length; n++) bytes[n] = all.charCodeAt(n);
    const view = new DataView(bytes.buffer, all.length);
    for (let n = 0; n < data.length; n++) view.setFloat32(4 * n, data[n]);
    return new Blob([bytes], { type: "application/fits" });
  }

  return { read, write, MOST_PIXELS };
})();
