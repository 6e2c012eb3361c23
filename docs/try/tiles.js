"use strict";
/* An image through the network, tile by tile, on the GPU or on several cores.
 *
 * A tile reads `halo` pixels more than it gives, except beyond the edge of the image: only there is
 * the reflection at the tile's edge that of the image. The result is that of the whole image.
 */

const tiles = (() => {
  const SIDE = 96; // input pixels; 32 channels of a tile, upsampled, take 5.5 MB
  const MOST_WORKERS = 8;
  const COMPARED = 24; // input pixels on a side, by which a GPU is compared with engine.js

  // the reach of the convolutions: 2 depth + 2 on input pixels and two on pixels of half the size
  const halo = (depth) => 2 * depth + 3;

  // cuts of equal size, at most SIDE: {first, last} of the pixels given, {low, high} of those read
  function cuts(size, reach) {
    const count = Math.ceil(size / SIDE);
    return Array.from({ length: count }, (_, n) => {
      const first = Math.floor((n * size) / count);
      const last = Math.floor(((n + 1) * size) / count);
      return { first, last, low: Math.max(0, first - reach), high: Math.min(size, last + reach) };
    });
  }

  const plan = (h, w, reach) =>
    cuts(h, reach).flatMap((rows) => cuts(w, reach).map((columns) => ({ rows, columns })));

  function read(x, width, { rows, columns }) {
    const h = rows.high - rows.low;
    const w = columns.high - columns.low;
    const data = new Float32Array(h * w);
    for (let i = 0; i < h; i++) {
      const from = (rows.low + i) * width + columns.low;
      data.set(x.subarray(from, from + w), i * w);
    }
    return { data, h, w };
  }

  function write(y, width, { rows, columns }, out) {
    const w = 2 * (columns.high - columns.low);
    const left = 2 * (columns.first - columns.low);
    const count = 2 * (columns.last - columns.first);
    for (let i = 2 * rows.first; i < 2 * rows.last; i++) {
      const from = (i - 2 * rows.low) * w + left;
      out.set(y.subarray(from, from + count), i * 2 * width + 2 * columns.first);
    }
  }

  // text of the scripts that a worker needs; they stand in the page
  const source = () =>
    ["engine", "wasm", "simd", "worker"]
      .map((id) => document.getElementById(`script-${id}`).textContent)
      .join("\n");

  const breath = () => new Promise((resolve) => setTimeout(resolve));

  /* The network's output, (2h, 2w) float32, and how it was computed.
   * stored : the network, see build.py.  x : (h, w) float32, normalised, without NaN.
   * progress : called with the share that is done.  stopped : () -> whether nobody waits any more;
   * the result is then null. */
  async function run(stored, x, h, w, progress, stopped) {
    const out = new Float32Array(4 * h * w);
    const all = plan(h, w, halo(stored.depth));
    let done = 0;
    const finish = (tile, y) => {
      write(y, w, tile, out);
      progress(++done / all.length);
    };
    let how = null;
    for (const way of [onGpu, inWorkers, inPage]) {
      done = 0;
      how = await way(stored, x, h, w, all, finish, stopped);
      if (how) break;
    }
    return stopped() ? null : { out, how };
  }

  // The ways: each returns how it computed, or null if it cannot in this browser.

  async function onGpu(stored, x, h, w, all, finish, stopped) {
    const [rows, columns] = [h, w].map((size) => ({ low: 0, high: Math.min(size, COMPARED) }));
    const gpu = await webgpu.runner(networkOf(stored), read(x, w, { rows, columns }));
    if (!gpu) return null;
    try {
      for (const tile of all) {
        if (stopped()) break;
        finish(tile, await gpu.run(read(x, w, tile)));
      }
      return gpu.name;
    } catch {
      return null; // out of memory, or the device is lost
    } finally {
      gpu.close();
    }
  }

  const code = () => (simd.supported() ? "WebAssembly SIMD" : "plain JavaScript");

  async function inWorkers(stored, x, h, w, all, finish, stopped) {
    const cores = Math.min(navigator.hardwareConcurrency || 2, MOST_WORKERS, all.length);
    const workers = started(stored, simd.supported(), cores);
    const todo = [...all];
    try {
      await Promise.all(workers.map((worker) => served(worker, todo, x, w, finish, stopped)));
    } catch {
      return null; // a browser may let them start, but not compute
    } finally {
      workers.forEach((worker) => worker.terminate());
    }
    return workers.length ? `${code()}, ${workers.length} worker${workers.length > 1 ? "s" : ""}` : null;
  }

  async function inPage(stored, x, h, w, all, finish, stopped) {
    const run = tileRunner(stored, simd.supported());
    for (const tile of all) {
      await breath(); // the page answers between two tiles
      if (stopped()) break;
      const { data, h: height, w: width } = read(x, w, tile);
      finish(tile, run(data, height, width));
    }
    return `${code()}, no workers`;
  }

  function started(stored, withSimd, count) {
    const url = URL.createObjectURL(new Blob([source()], { type: "text/javascript" }));
    try {
      return Array.from({ length: count }, () => {
        const worker = new Worker(url);
        worker.postMessage({ stored, withSimd });
        return worker;
      });
    } catch {
      return []; // no workers, or none for a page that was opened from disk
    } finally {
      setTimeout(() => URL.revokeObjectURL(url), 60000); // a worker loads it later
    }
  }

  // gives one worker a tile after another, until none is left
  function served(worker, todo, x, w, finish, stopped) {
    return new Promise((resolve, reject) => {
      let tile = null;
      const next = () => {
        tile = stopped() ? undefined : todo.pop();
        if (tile === undefined) return resolve();
        const message = read(x, w, tile);
        worker.postMessage(message, [message.data.buffer]);
      };
      worker.onmessage = ({ data: y }) => {
        finish(tile, y);
        next();
      };
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message || "a worker stopped"));
      };
      next();
    });
  }

  return { halo, plan, run };
})();
