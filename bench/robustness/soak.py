"""Does an archive that runs for long keep its memory, its file handles and its speed?

    python -m bench.robustness.soak [--minutes 10] [--files 500] [--side 64] [--model default|small]
                                    [--write]

Makes an archive of small cut-outs of the quiet Sun, a tenth of them damaged, and enhances it again
and again in one process, by the command `predict --overwrite`, until the minutes are over. After
every pass it notes the resident memory, the open file handles and the threads of the process. The
outputs of all passes must have the same bytes, and no temporary file may be left.
"""

import argparse
import hashlib
import logging
import os
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from astropy.io import fits

from bench import ROOT
from bench.shared import own_process, table, timing
from enhance_np import cli
from enhance_np._threads import threads
from enhance_np.prediction.manifest import entries

DAMAGED = 10  # every so many files, one is cut short
ROWS = 10  # of the table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--files", type=timing.positive, default=500)
    parser.add_argument("--side", type=timing.positive, default=64)
    parser.add_argument("--model", default="small")
    parser.add_argument("--write", action="store_true", help="write the table into the page")
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results")
    options = parser.parse_args()
    environment = timing.environment(threads())
    with tempfile.TemporaryDirectory() as folder:
        made(Path(folder) / "in", options.files, options.side)
        record = {
            "environment": environment,
            "files": options.files,
            "side": options.side,
            "model": options.model,
            **soaked(Path(folder), options.model, 60 * options.minutes),
        }
    timing.publish("soak", record, text, options, "docs/archive.md")


def made(folder, count, side):
    folder.mkdir()
    rng = np.random.default_rng(0)
    header = fits.Header({"CONTENT": "CONTINUUM INTENSITY", "BUNIT": "DN/s"})
    for number in range(count):
        path = folder / f"{number:04}.fits"
        data = 60_000 * (1 + 0.04 * rng.standard_normal((side, side)))
        fits.writeto(path, data.astype(np.float32), header)
        if number % DAMAGED == DAMAGED - 1:
            with open(path, "rb+") as file:
                file.truncate(path.stat().st_size // 2)


def soaked(folder, model, seconds):
    """What was noted after each pass, and what is left at the end."""
    words = ["predict", folder / "in", "--out-dir", folder / "out", "--overwrite", "--quiet"]
    words += ["--model", model, "--device", "cpu"]
    passes, digests, begun = [], set(), perf_counter()
    with open(folder / "errors.txt", "w") as log:  # what is told of the damaged files
        logging.basicConfig(stream=log)
        while not passes or perf_counter() - begun < seconds:
            start, used = perf_counter(), process_time()
            with quiet(log):
                try:
                    cli.main([str(word) for word in words])
                except SystemExit as end:
                    status = end.code
            took = {"seconds": perf_counter() - start, "processor": process_time() - used}
            passes.append({**took, "status": status, **held()})
            digests.add(digest(folder / "out"))
            print(len(passes), passes[-1], flush=True)
    told = [entry["status"] for entry in entries(folder / "out" / "manifest.jsonl")]
    return {
        "passes": passes,
        "seconds": perf_counter() - begun,
        "written": told.count("written"),
        "failed": told.count("failed"),
        "different outputs": len(digests) - 1,
        "temporary files": len(list((folder / "out").glob(".part.*"))),
        "peak": own_process.peak(),
    }


class quiet:
    """Sends standard error to a file, below Python too."""

    def __init__(self, log):
        self.log = log

    def __enter__(self):
        self.kept = os.dup(2)
        os.dup2(self.log.fileno(), 2)

    def __exit__(self, *_):
        os.dup2(self.kept, 2)
        os.close(self.kept)


def held():
    """Resident bytes, open handles and threads of this process. Needs Linux's /proc."""
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "memory": 1024 * int(status["VmRSS"].split()[0]),
        "handles": len(os.listdir("/proc/self/fd")),
        "threads": int(status["Threads"]),
    }


def digest(folder):
    found = hashlib.sha256()
    for path in sorted(folder.glob("*.fits")):
        found.update(path.read_bytes())
    return found.hexdigest()


def text(record):
    passes, count = record["passes"], record["files"]
    shown = sorted({round(i) for i in np.linspace(0, len(passes) - 1, ROWS)})
    rows = []
    for i in shown:
        found = passes[i]
        rows.append(
            [
                f"{i + 1}",
                f"{(i + 1) * count}",
                f"{count / found['seconds']:.1f}",
                f"{1e3 * found['processor'] / count:.1f} ms",
                f"{found['memory'] / 2**20:.1f} MiB",
                f"{found['handles']}",
                f"{found['threads']}",
            ]
        )
    header = ["pass", "files so far", "files a second", "processor time of a file"]
    header += ["memory", "open handles", "threads"]
    return (
        f"{table.markdown(header, rows)}\n\n"
        f"{len(passes)} passes over {count} files of {record['side']} x {record['side']} pixels in "
        f"{record['seconds'] / 60:.1f} minutes, {record['model']} network: {record['written']} "
        f"written, {record['failed']} damaged ones refused; outputs that differ from those of the "
        f"first pass: {record['different outputs']}; temporary files left: "
        f"{record['temporary files']}; largest memory {record['peak'] / 2**20:.1f} MiB. "
        f"Load before: {record['environment']['load']}; {timing.where(record)}"
    )


if __name__ == "__main__":
    main()
