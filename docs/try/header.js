"use strict";
/* The header of a FITS file: a list of cards of 80 characters, "KEYWORD = value / comment".
 *
 * A card that is not changed is written with the text that was read. All texts come from the user's
 * file: the page shows them as text and never as HTML.
 * Source: FITS standard 4.0 (IAU FWG 2018), chapter 4.
 */

/* An input that cannot be used. The message is one sentence for the user. */
class Refused extends Error {}

const COMMAND = "enhance-np predict";

/* Ends a message about what only options of the command line change. */
const seeFlags = (flags) => ` (see ${flags} of ${COMMAND})`;

const fitsHeader = (() => {
  const COMMENTARY = new Set(["COMMENT", "HISTORY", ""]);
  const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([ED][+-]?\d+)?$/i;

  /* Text after the "=" -> {value, comment}. The value is a string, number, boolean, or undefined if
   * it is empty; digits: of a number, as text. What follows no rule ("nan" without quotes) becomes a
   * string, as in astropy. broken: the card breaks the standard and must be written anew. */
  function parse(text) {
    const quoted = text.match(/^\s*'((?:[^']|'')*)'\s*(?:\/ ?(.*))?$/s);
    if (quoted)
      return { value: quoted[1].replaceAll("''", "'").trimEnd(), comment: (quoted[2] || "").trimEnd() };
    const slash = text.indexOf("/");
    const word = (slash < 0 ? text : text.slice(0, slash)).trim();
    const comment = slash < 0 ? "" : text.slice(slash + 1).trim();
    if (word === "") return { value: undefined, comment };
    if (word === "T" || word === "F") return { value: word === "T", comment };
    if (NUMBER.test(word)) {
      const digits = word.toUpperCase(); // JSOC writes "1e5"
      return { value: Number(digits.replace("D", "E")), digits, comment, broken: digits !== word };
    }
    return { value: word, comment, broken: true };
  }

  /* Number of a card as text. A float keeps a point, so that it stays a float. */
  function floatText(number) {
    const text = String(number).toUpperCase();
    if (/[.E]/.test(text)) return text;
    return `${text}.0`;
  }

  function cardText(key, value, comment, isFloat) {
    let text =
      typeof value === "string"
        ? `'${value.replaceAll("'", "''").padEnd(8)}'`.padEnd(20)
        : (typeof value === "boolean"
            ? value
              ? "T"
              : "F"
            : isFloat
              ? floatText(value)
              : String(value)
          ).padStart(20);
    text = `${key.padEnd(8)}= ${text}`;
    return (comment ? `${text} / ${comment}` : text).slice(0, 80).padEnd(80);
  }

  class Header {
    constructor(cards = []) {
      this.cards = cards; // {key, texts, value, digits, comment}
    }

    /* The cards between two places of a file, without END. */
    static read(texts) {
      const cards = [];
      for (const text of texts) {
        const key = text.slice(0, 8).trimEnd();
        const before = cards[cards.length - 1];
        if (
          key === "CONTINUE" &&
          before &&
          typeof before.value === "string" &&
          before.value.endsWith("&")
        ) {
          const { value, comment } = parse(text.slice(8));
          before.value = before.value.slice(0, -1) + (value ?? "");
          before.comment += comment;
          before.texts.push(text);
        } else if (COMMENTARY.has(key) || text.slice(8, 10) !== "= ") cards.push({ key, texts: [text] });
        else {
          const { broken, ...card } = parse(text.slice(10));
          cards.push({
            key,
            texts: [broken ? cardText(key, card.value, card.comment, true) : text],
            ...card,
          });
        }
      }
      return new Header(cards);
    }

    copy() {
      return new Header(this.cards.map((card) => ({ ...card })));
    }

    has(key) {
      return this.cards.some((card) => card.key === key);
    }

    /* The value; undefined if there is none, or only blanks. */
    get(key) {
      const value = this.cards.find((card) => card.key === key)?.value;
      return typeof value === "string" && value.trim() === "" ? undefined : value;
    }

    /* The value as text, "" if there is none. */
    text(key) {
      return String(this.get(key) ?? "").trim();
    }

    /* The number of a card, also if it is written as a string; NaN if it is none. */
    number(key) {
      const value = this.get(key);
      if (typeof value === "boolean") return Number(value);
      if (typeof value === "string") return NUMBER.test(value.trim()) ? Number(value) : NaN;
      return value ?? NaN;
    }

    /* Bits: a whole number, or text such as "0x00000400", as a BigInt; null if it is none. */
    bits(key) {
      const card = this.cards.find((one) => one.key === key);
      const text = String(card?.digits ?? card?.value ?? "").trim();
      if (/^[+-]?\d+$/.test(text) || /^0x[\da-f]+$/i.test(text)) return BigInt(text.replace("+", ""));
      return typeof card?.value === "number" && Number.isFinite(card.value)
        ? BigInt(Math.trunc(card.value))
        : null;
    }

    /* Changes a card in its place, or adds one behind the last that is not a commentary. */
    set(key, value, comment, isFloat = false) {
      const old = this.cards.find((card) => card.key === key);
      const said = comment ?? old?.comment ?? "";
      const card = { key, texts: [cardText(key, value, said, isFloat)], value, comment: said };
      if (old) this.cards[this.cards.indexOf(old)] = card;
      else {
        let at = this.cards.length;
        while (at > 0 && COMMENTARY.has(this.cards[at - 1].key)) at--;
        this.cards.splice(at, 0, card);
      }
    }

    remove(key) {
      this.cards = this.cards.filter((card) => card.key !== key);
    }

    rename(from, to) {
      for (const card of this.cards)
        if (card.key === from) {
          card.key = to;
          card.texts = [to.padEnd(8) + card.texts[0].slice(8), ...card.texts.slice(1)];
        }
    }

    addHistory(text) {
      const cards = [];
      for (let at = 0; at < text.length; at += 72)
        cards.push({ key: "HISTORY", texts: [`HISTORY ${text.slice(at, at + 72)}`.padEnd(80)] });
      const last = this.cards.findLastIndex((card) => card.key === "HISTORY");
      this.cards.splice(last < 0 ? this.cards.length : last + 1, 0, ...cards);
    }
  }

  /* The header of the output, see observation/fits.py, enhanced_header: the same coordinates of the
   * sky on pixels of half the size, and cards that say what was done.
   * facts : {version, model, sha256, type, norm, limb}. */
  function enhanced(header, facts, constants) {
    const out = header.copy();
    const stale = new RegExp(`^(?:${constants.stale})$`);
    const ofImage = /^(SIMPLE|BITPIX|NAXIS\d*|EXTEND|GROUPS)$/;
    const ofTable = /^(TFIELDS|THEAP|T(TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|BCOL|DIM)\d+)$/;
    out.cards = out.cards.filter(({ key }) => ![stale, ofImage, ofTable].some((names) => names.test(key)));
    if (out.has("_BUNIT") && !out.has("BUNIT")) out.rename("_BUNIT", "BUNIT");
    const date = out.cards.find((card) => card.key === "DATE");
    if (date) out.set("DATE", date.value ?? "", "of the input");
    for (const key of ["CRDER1", "CRDER2", "CSYSER1", "CSYSER2"])
      if (typeof out.get(key) === "string") out.remove(key); // "nan"
    for (const key of constants.in_pixels)
      if (out.get(key) !== undefined) out.set(key, 2 * finite(out, key, 0), undefined, true);
    for (const alternate of ["", ..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"]) halvePixels(out, alternate);
    out.set("ENHVERS", facts.version, "version of enhance_np");
    out.set("ENHMODEL", facts.model, "network that enhanced the image");
    out.set("ENHWGT", facts.sha256.slice(0, 16), "sha256 of its weights, first 16 digits");
    out.set("ENHTYPE", facts.type, "intensity or blos");
    out.set("ENHNORM", facts.norm, "input divided, output multiplied by this", true);
    out.remove("ENHLIMB");
    if (facts.limb) out.set("ENHLIMB", facts.limb, "and by this power of the limb darkening", true);
    out.set("ENHSCALE", 2, "pixels of the output per pixel of the input");
    for (const key of [...constants.optics_cards, "ENHMEAN"]) out.remove(key);
    out.addHistory(
      `enhance_np ${facts.version}: deconvolved and enlarged x2 by ${facts.model} as ${facts.type}`,
    );
    return out;
  }

  /* Input pixel 1 spans 0.5 to 1.5 and becomes 0.5 to 2.5: p' - 0.5 = 2 (p - 0.5). */
  function halvePixels(header, alternate) {
    const wcs = new RegExp(`^((CTYPE|CRPIX|CRVAL|CDELT)[12]|(CD|PC)[12]_[12])${alternate}$`);
    if (!header.cards.some(({ key }) => wcs.test(key))) return;
    const matrix = ["1_1", "1_2", "2_1", "2_2"].map((ij) => `CD${ij}${alternate}`);
    const hasMatrix = matrix.some((key) => header.has(key));
    for (const i of [1, 2]) {
      const pixel = `CRPIX${i}${alternate}`;
      const step = `CDELT${i}${alternate}`;
      header.set(pixel, 2 * (finite(header, pixel, 0) - 0.5) + 0.5, undefined, true);
      if (header.has(step) || !hasMatrix) header.set(step, finite(header, step, 1) / 2, undefined, true);
    }
    for (const key of matrix)
      if (header.has(key)) header.set(key, finite(header, key, 0) / 2, undefined, true);
  }

  function finite(header, key, missing) {
    if (!header.has(key)) return missing;
    const value = header.number(key);
    if (!Number.isFinite(value))
      throw new Refused(`The header's ${key} must be a number, got '${header.text(key)}'.`);
    return value;
  }

  return { Header, enhanced };
})();
