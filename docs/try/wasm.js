"use strict";
/* An assembler for WebAssembly, with the instructions that simd.js needs and no more.
 *
 * A WebAssembly module is a short list of bytes: sections for the types of functions, imports,
 * functions, exports and code. An instruction is one or more bytes (the opcode), then its constants
 * (an address offset, the number of a local). The machine is a stack: an instruction takes its
 * operands from the stack and leaves its result there. Here every instruction is a function of its
 * operands' code, so that code is written as expressions: i32.add(get(a), i32.const(4)).
 *
 * Source: WebAssembly core specification 2.0, chapter 5, Binary format.
 */

const wasm = (() => {
  // numbers are stored in LEB128: 7 bits in a byte, low ones first, the top bit says "more follows"
  function unsigned(n) {
    const bytes = [];
    for (; n > 127; n >>>= 7) bytes.push((n & 127) | 128);
    return [...bytes, n];
  }

  function signed(n) {
    const bytes = [];
    for (; n < -64 || n > 63; n >>= 7) bytes.push((n & 127) | 128);
    return [...bytes, n & 127];
  }

  const I32 = 0x7f;
  const V128 = 0x7b;
  const EMPTY = 0x40; // types; EMPTY: a block without a result

  const get = (local) => [0x20, ...unsigned(local)];
  const set = (local, value) => [...value, 0x21, ...unsigned(local)];

  const i32 = {
    const: (n) => [0x41, ...signed(n)],
    add: (a, b) => [...a, ...b, 0x6a],
    mul: (a, b) => [...a, ...b, 0x6c],
    less: (a, b) => [...a, ...b, 0x48], // signed
  };

  // an address is a local plus a constant offset; "align" is a hint, 2 ** 2 bytes: any float
  const simd = (opcode) => [0xfd, ...unsigned(opcode)];
  const memory = (offset) => [2, ...unsigned(offset)];
  const v128 = {
    load: (address, offset) => [...address, ...simd(0x00), ...memory(offset)],
    loadSplat: (address, offset) => [...address, ...simd(0x09), ...memory(offset)], // one float, four times
    store: (address, offset, value) => [...address, ...value, ...simd(0x0b), ...memory(offset)],
    add: (a, b) => [...a, ...b, ...simd(0xe4)],
    mul: (a, b) => [...a, ...b, ...simd(0xe6)],
  };

  // body, then again while the condition holds
  const repeatWhile = (condition, ...body) => [0x03, EMPTY, ...body.flat(), ...condition, 0x0d, 0, 0x0b];

  const vector = (items) => [...unsigned(items.length), ...items.flat()];
  const section = (id, bytes) => [id, ...unsigned(bytes.length), ...bytes];
  const name = (text) => vector([...text].map((c) => [c.charCodeAt(0)]));

  /* The bytes of a module that imports a memory as "env" "memory" and exports one function "run" of
   * `parameters` i32, without a result. locals: its further locals as [number, type], numbered
   * after the parameters. */
  function assemble(parameters, locals, body) {
    const code = [...vector(locals.map(([n, type]) => [...unsigned(n), type])), ...body.flat(), 0x0b];
    return Uint8Array.from([
      ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // "\0asm", version 1
      ...section(1, vector([[0x60, ...vector(Array(parameters).fill([I32])), 0]])), // type 0
      ...section(2, vector([[...name("env"), ...name("memory"), 0x02, 0x00, 1]])),
      ...section(3, vector([[0]])), // function 0 has type 0
      ...section(7, vector([[...name("run"), 0x00, 0]])),
      ...section(10, vector([[...unsigned(code.length), ...code]])),
    ]);
  }

  return { I32, V128, get, set, i32, v128, repeatWhile, assemble };
})();
