"use strict";
/* Rice-compressed images of integers, as JSOC serves them.
 *
 * The image is cut into tiles, usually its lines; each is a row of a binary table. A tile begins with
 * the value of its first pixel. The differences between neighbours follow in blocks: folded to
 * numbers >= 0 (0, -1, 1, -2 to 0, 1, 2, 3), each is written as its high part in unary, that many
 * zeros closed by a one, and its fs low bits as they are. A block begins with fs + 1; 0 stands for
 * "no differences", the largest fs for "differences as they are".
 * Source: FITS standard 4.0, sections 10.1, 10.3 and 10.4.1.
 */

const rice = (() => {
  // by the bytes of a pixel: bits in which fs is stored, largest fs
  const STORED = { 1: [3, 6], 2: [4, 14], 4: [5, 25] };
  const SIGNED = { 1: (v) => v & 255, 2: (v) => (v << 16) >> 16, 4: (v) => v | 0 };
  const BYTES = { L: 1, B: 1, I: 2, J: 4, K: 8, A: 1, E: 4, D: 8, C: 8, M: 16, P: 8, Q: 16 };

  const damaged = (what) => new Refused(`The compressed image is damaged: ${what}.`);

  /* The integers of the image as (h * w) Float64Array.
   * header, bytes : of the binary table. Throws Refused. */
  function image(header, bytes, h, w) {
    const method = header.text("ZCMPTYPE");
    const bits = header.get("ZBITPIX");
    if (method !== "RICE_1" || ![8, 16, 32].includes(bits))
      throw new Refused(
        `Of compressed images this page reads integers by RICE_1, got ${method || "no ZCMPTYPE"} with ` +
          `ZBITPIX ${header.text("ZBITPIX")}: use ${COMMAND}.`,
      );
    const option = options(header);
    const size = option.BYTEPIX ?? 4;
    const block = option.BLOCKSIZE ?? 32;
    if (!(size in STORED) || !(Number.isSafeInteger(block) && block > 0))
      throw damaged(`BYTEPIX ${size}, BLOCKSIZE ${block}`);
    const [tileH, tileW] = [header.get("ZTILE2") ?? 1, header.get("ZTILE1") ?? w];
    if (![tileH, tileW].every((n) => Number.isSafeInteger(n) && n > 0))
      throw damaged(`tiles of ${tileW} x ${tileH}`);
    const across = Math.ceil(w / tileW);
    const rows = Math.ceil(h / tileH);
    const row = descriptors(header, bytes);
    if (header.get("NAXIS2") !== across * rows)
      throw damaged(`${header.text("NAXIS2")} rows for ${across * rows} tiles`);
    const out = new Float64Array(h * w);
    for (let n = 0; n < across * rows; n++) {
      const top = Math.floor(n / across) * tileH;
      const left = (n % across) * tileW;
      const height = Math.min(tileH, h - top);
      const width = Math.min(tileW, w - left);
      const values = tile(row(n), height * width, size, block);
      for (let i = 0; i < height; i++)
        out.set(values.subarray(i * width, (i + 1) * width), (top + i) * w + left);
    }
    return out;
  }

  function options(header) {
    const found = {};
    for (let n = 1; header.has(`ZNAME${n}`); n++) found[header.text(`ZNAME${n}`)] = header.get(`ZVAL${n}`);
    return found;
  }

  // n -> the bytes of tile n, which the column COMPRESSED_DATA describes by length and place in the heap
  function descriptors(header, bytes) {
    let at = 0;
    for (let n = 1; n <= (header.get("TFIELDS") ?? 0); n++) {
      const [, repeat, type] = header.text(`TFORM${n}`).match(/^(\d*)([LXBIJKAEDCMPQ])/) || [];
      if (!type) throw damaged(`TFORM${n} '${header.text(`TFORM${n}`)}'`);
      if (header.text(`TTYPE${n}`) === "COMPRESSED_DATA") {
        if (type !== "P" && type !== "Q") throw damaged(`TFORM${n} '${header.text(`TFORM${n}`)}'`);
        return descriptor(header, bytes, at, type);
      }
      const items = repeat === "" ? 1 : Number(repeat);
      at += type === "X" ? Math.ceil(items / 8) : items * BYTES[type];
    }
    throw damaged("no column COMPRESSED_DATA");
  }

  function descriptor(header, bytes, column, type) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const width = header.get("NAXIS1");
    const heap = header.get("THEAP") ?? width * header.get("NAXIS2");
    const number = type === "P" ? (at) => view.getInt32(at) : (at) => Number(view.getBigInt64(at));
    return (n) => {
      const at = n * width + column;
      const half = type === "P" ? 4 : 8;
      if (column + 2 * half > width || at + 2 * half > bytes.length)
        throw damaged("a row of the table ends too early");
      const length = number(at);
      const first = heap + number(at + half);
      if (length === 0) throw new Refused(`A tile of the image is not compressed by Rice: use ${COMMAND}.`);
      if (!(length > 0 && first >= 0 && first + length <= bytes.length))
        throw damaged("a tile lies outside the file");
      return bytes.subarray(first, first + length);
    };
  }

  function tile(bytes, count, size, block) {
    const [bitsOfFs, largest] = STORED[size];
    const signed = SIGNED[size];
    const values = new Float64Array(count);
    let at = 0;
    let held = 0;
    let buffer = 0; // `held` bits of bytes that were read

    function bits(n) {
      let value = 0;
      while (n > 0) {
        if (held === 0) {
          if (at === bytes.length) throw damaged("a tile ends too early");
          buffer = bytes[at++];
          held = 8;
        }
        const taken = Math.min(n, held);
        held -= taken;
        value = (value << taken) | ((buffer >> held) & ((1 << taken) - 1));
        n -= taken;
      }
      return value >>> 0;
    }

    let last = bits(8 * size);
    for (let n = 0; n < count;) {
      const end = Math.min(n + block, count);
      const fs = bits(bitsOfFs) - 1;
      for (; n < end; n++) {
        let folded = 0;
        if (fs >= largest) folded = bits(8 * size);
        else if (fs >= 0) {
          let high = 0;
          while (bits(1) === 0) high++;
          folded = ((high << fs) | bits(fs)) >>> 0;
        }
        last = signed(last + (folded & 1 ? ~(folded >>> 1) : folded >>> 1));
        values[n] = last;
      }
    }
    return values;
  }

  return { image };
})();
