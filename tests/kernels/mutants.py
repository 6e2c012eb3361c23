"""Plants faults in the kernels, to see which check of the proofs detects each of them.

    python tests/kernels/mutants.py [--write] [WORD ...]

Each mutant is one change of the source of a kernel. The cases of that kernel
(support/cases/<stem>.py) run on the stand-in for CuPy, each check in a process of its own, because
some faults end the process. --write puts the rows into docs/cuda-mutants.md; WORDs choose the
mutants whose names contain all of them, and the other rows stay as they are. Exit status 1 if no
check detects a mutant.
"""

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))

from cudaproof import device, emulator  # noqa: E402

from enhance_np._kernels import source  # noqa: E402
from enhance_np.engine.cuda import launch  # noqa: E402

PAGE = HERE.parents[1] / "docs" / "cuda-mutants.md"
SYNC = "__syncthreads();"
LOOP = "past the last barrier\n            " + SYNC
ASYNC, TF32, THREE = (f"ladder/conv3x3/{rung}" for rung in ("7_async", "8_tf32", "9_3xtf32"))
PRODUCTS = "conv3x3_3xtf32"
WAIT = 'asm volatile("cp.async.wait_group %0;" :: "n"(STAGES - 2) : "memory");'

# name -> (stem, (before, after), ...); only the first occurrence of `before` is replaced
MUTANTS = {
    "first barrier removed": ("conv3x3", ("store(0);\n    " + SYNC, "store(0);")),
    "barrier of the loop removed": ("conv3x3", (LOOP, "past the last barrier")),
    "one buffer instead of two": (
        "conv3x3",
        ("now = stage % 2;", "now = 0;"),
        ("store(1 - now);", "store(now);"),
    ),
    "no guard for rows": ("conv3x3", ("if (i >= Ho) return;", "")),
    "no guard for columns": ("conv3x3", ("if (j >= Wo) continue;", "")),
    "weights of the first stage used for all": (
        "conv3x3",
        ("w += CK * Cout;", ""),
    ),
    "mirrored one pixel off": ("conv3x3", ("2 * (n - 1) - i", "2 * n - 1 - i")),
    "rows of shared memory overlap": ("conv3x3", ("px == 8 ? 36 : 54", "px == 8 ? 32 : 54")),
    "rows of shared memory misaligned": ("conv3x3", ("px == 8 ? 36 : 54", "px == 8 ? 37 : 54")),
    "sum scaled by 1.0001": ("conv3x3", ("= sum + b + skip", "= 1.0001f * sum + b + skip")),
    "phases overwrite each other": ("conv3x3", ("2 * j + phase % 2", "2 * j")),
    "return before a barrier": (
        "conv3x3",
        ("float sum[PX][CH] = {};", "if (i0 + row >= Ho) return;\n    float sum[PX][CH] = {};"),
    ),
    "wide: rows of shared memory overlap": (
        "conv3x3",
        ("px == 8 ? 36 : 54", "px == 8 ? 36 : 52"),
    ),
    "wide: last pixel of a thread left out": (
        "conv3x3",
        ("k < PX; k++) {\n            const", "k < PX - (PX > 8); k++) {\n            const"),
    ),
    "ReLU forgotten": ("conv3x3", ("return relu && y < 0", "return relu > 1 && y < 0")),
    "convolution: NaN becomes 0": ("conv3x3", ("y < 0 ? 0 : y", "!(y > 0) ? 0 : y")),
    "gradient: barrier of the loop removed": (
        "conv3x3_gradient",
        (LOOP, "past the last barrier"),
    ),
    "gradient: last run as long as the others": (
        "conv3x3_gradient",
        ("min(per, N * Ho * across - run * per)", "per"),
    ),
    "gradient: window turned by one": (
        "conv3x3_gradient",
        ("seen[(j + q + s) % 3][r].x", "seen[(j + q + s + 1) % 3][r].x"),
    ),
    "gradient: next image as large as dy's": (
        "conv3x3_gradient",
        ("x += H * W * Cin", "x += Ho * Wo * Cin"),
    ),
    "gradient: run begins by x's lines": ("conv3x3_gradient", ("line % Ho;", "line % H;")),
    "gradient: narrow strip read to the end of a wide one": (
        "conv3x3_gradient",
        ("const bool WHOLE = DY_QUADS % THREADS == 0;", "const bool WHOLE = true;"),
    ),
    "gradient: pixels of a narrow strip left out": (
        "conv3x3_gradient",
        ("j < PIXELS; j++) {", "j < PIXELS - (PIXELS == 26); j++) {"),
    ),
    "no guard for threads": ("conv", ("if (at >= (unsigned)(N * Ho * Wo * Cout)) return;", "")),
    "index beyond 32 bits": (
        "conv",
        ("((n * H + h) * W + v) * Cin", "((n * H + h) * 1000000000 / 1000000000 * W + v) * Cin"),
    ),
    "arguments swapped": ("conv", ("int N, int H, int W, int Cin", "int N, int W, int H, int Cin")),
    "any channels: NaN becomes 0": ("conv", ("y < 0 ? 0 : y", "!(y > 0) ? 0 : y")),
    "sums: barrier removed": ("conv", ("= sum;\n    " + SYNC, "= sum;")),
    "sums: first part left out": ("conv", ("(int l = 0; l < parts", "(int l = 1; l < parts")),
    "blocks overwrite each other": ("conv", ("part[blockIdx.y * size + at]", "part[at]")),
    "batch norm: barrier removed": ("batchnorm", (SYNC, "")),
    "batch norm: divided by P - 1": ("batchnorm", ("found.squares / P", "found.squares / (P - 1)")),
    "batch norm: NaN becomes 0": (
        "batchnorm",
        ("v.at[k] < floor ? floor : v.at[k]", "v.at[k] > floor ? v.at[k] : floor"),
    ),
    "writes its input": (
        "elementwise",
        ("    write(y, at, left, v);", "    write((float*)x, at, left, v), write(y, at, left, v);"),
    ),
    "tail of three elements left out": (
        "elementwise",
        ("if (left > 2) y[at + 2] = v.all.z;", ""),
    ),
    "half of a warp's sum": ("head", ("apart = 16", "apart = 8")),
    "sums of earlier passes lost": ("head", ("dw += product", "dw = product")),
    "gradient where ReLU is 0": ("head", ("value[k] > 0", "value[k] >= 0")),
    "head: NaN becomes 0": ("head", ("x < 0 ? 0 : x", "x > 0 ? x : 0")),
    "float4 over the end": ("mse", ("last - at >= 4", "last - at >= 3")),
    "epsilon within the root": (
        "adam",
        ("(sqrtf(second.at[k]) + eps)", "sqrtf(second.at[k] + eps)"),
    ),
    "decay of the bias behind the kernels": (
        "adam",
        ("at < (unsigned)kernels ? with_decay", "at <= (unsigned)kernels ? with_decay"),
    ),
    "decay in the norm only": (
        "adam",
        ("if (at < (unsigned)kernels) d = with_decay", "if (at < 0u) d = with_decay"),
    ),
    "factor for rate": ("adam", ("length = rate[0]", "length = factor[0]")),
    "Adam: no guard": ("adam", ("if (at >= (unsigned)size) return;", "")),
    "moving: momentum and rest exchanged": (
        "moving",
        ("fmaf(momentum, old.y, rest * now.y)", "fmaf(rest, old.y, momentum * now.y)"),
    ),
    "moving: neighbour's statistic": ("moving", ("rest * now.w", "rest * now.z")),
    "moving: no guard": ("moving", ("if (at >= (unsigned)size) return;", "")),
    "bias of the head in the kernel's place": (
        "head",
        ("blockIdx.x + 1 < gridDim.x", "blockIdx.x < gridDim.x"),
    ),
    "gradient of a repeated edge": ("upsample_conv", ("if (h == H - 1) sum", "if (h == H) sum")),
    "frame of the first image only": ("upsample_conv", ("n * (H + 2) * stride", "n * H * stride")),
    "frame added one line short": ("reflect_pad", ("1 <= h && h <= p", "1 <= h && h < p")),
    "Winograd: barrier before the products removed": (
        "winograd",
        ("store_u(4);\n        " + SYNC, "store_u(4);"),
    ),
    "Winograd: barrier behind the products removed": (
        "winograd",
        ("multiply(4);\n        " + SYNC, "multiply(4);"),
    ),
    "Winograd: warp does not wait": ("winograd", ("__syncwarp();", "")),
    "Winograd: last barrier removed": (
        "winograd",
        ("            }\n        }\n        " + SYNC, "            }\n        }"),
    ),
    "Winograd: half of U in the other's place": (
        "winograd",
        ("store_u(0);\n        fetch_u(next, 4);", "store_u(4);\n        fetch_u(next, 4);"),
    ),
    "Winograd: halves of V not exchanged": ("winograd", ("tile ^ 16 * half", "tile")),
    "Winograd: halves of M not exchanged back": ("winograd", ("pair ^ of / 4 % 2 * 16", "pair")),
    "Winograd: lanes of two groups have the same tiles": (
        "winograd",
        ("lane / 2 % 2 + lane / 16 * 2", "lane / 2 % 2 + lane / 8 % 2 * 2"),
    ),
    "Winograd: sign in B^T": ("winograd", ("d[2][k] - d[1][k]", "d[1][k] - d[2][k]")),
    "Winograd: sign in a row of B^T": ("winograd", ("row == 1 ? 1 : -1", "row == 2 ? 1 : -1")),
    "Winograd: sign in A^T": ("winograd", ("- m[2].x - m[3].x", "- m[2].x + m[3].x")),
    "Winograd: half forgotten in G": ("winograd", ("(g0 - g1 + g2) / 2", "(g0 - g1 + g2)")),
    "Winograd: no guard for rows": ("winograd", ("i + r >= Ho || j + s >= Wo", "j + s >= Wo")),
    "Winograd: no guard for columns": ("winograd", ("i + r >= Ho || j + s >= Wo", "i + r >= Ho")),
    "Winograd: no guard for tiles": ("winograd", ("if (t < tiles)", "if (t <= tiles)")),
    "Winograd: tiles read beyond the last": (
        "winograd",
        ("min(first + tile, tiles - 1)", "first + tile"),
    ),
    "Winograd: stage behind the last fetched": (
        "winograd",
        ("min(stage + 1, stages - 1)", "stage + 1"),
    ),
    "Winograd: mirrored one pixel off": ("winograd", ("2 * (n - 1) - i", "2 * n - 1 - i")),
    "Winograd: tiles of one image only": ("winograd", ("(n * H + one) * W", "one * W")),
    "Winograd, dX: begins one line late": (
        "winograd",
        ("across * 2 - 1 - FRAME", "across * 2 - 1"),
    ),
    "Winograd, dX: no zeros beside x": (
        "winograd",
        ("if (FRAME && 0 <= j + s && j + s < W)", "if (FRAME)"),
    ),
    "Winograd, dX: no zeros above x": ("winograd", ("(0 <= one && one < H) << s", "1 << s")),
    "Winograd: NaN becomes 0": ("winograd", ("relu && y < 0 ? 0 : y", "relu && !(y > 0) ? 0 : y")),
    "3xTF32: does not wait for its copies": (PRODUCTS, (WAIT, "")),
    "3xTF32: waits for one group less": (PRODUCTS, ('"n"(STAGES - 2)', '"n"(STAGES - 1)')),
    "3xTF32: barrier behind the wait removed": (
        PRODUCTS,
        (SYNC + "  // this stage", "// this stage"),
    ),
    "3xTF32: product of a small part left out": (
        PRODUCTS,
        ("multiply(d, small[m], w_big, d);", ""),
    ),
    "3xTF32: rest not cut off to TF32": (PRODUCTS, ("(big)) & ~0x1fffu}", "(big))}")),
    "3xTF32: mirrored one pixel off": (PRODUCTS, ("2 * (n - 1) - i", "2 * n - 1 - i")),
    "3xTF32: nothing filled with zeros": (PRODUCTS, ("inside ? 16 : 0", "16")),
    "3xTF32: residual forgotten": (PRODUCTS, ("if (add) more", "if (add > 1) more")),
    "3xTF32: last two pixels of a row not copied": (PRODUCTS, ("lane >= 4", "lane >= 0")),
    "3xTF32: no guard for columns": (PRODUCTS, ("if (j >= Wo) continue;", "")),
    "3xTF32: NaN becomes 0": (PRODUCTS, ("y < 0 ? 0 : y", "!(y > 0) ? 0 : y")),
    "rung 5: barrier of the loop removed": ("ladder/conv3x3/5_buffers", (LOOP, "past the last")),
    "rung 5: one buffer instead of two": ("ladder/conv3x3/5_buffers", ("c0 / CK % 2", "0")),
    "rung 5: first stage for all": ("ladder/conv3x3/5_buffers", ("fetch(c0 + CK)", "fetch(0)")),
    "rung 6: barrier of the loop removed": ("ladder/conv3x3/6_tile", (LOOP, "past the last")),
    "rung 6: rows of shared memory overlap": ("ladder/conv3x3/6_tile", ("STRIDE 54", "STRIDE 50")),
    "rung 6: last pixel of a thread left out": (
        "ladder/conv3x3/6_tile",
        ("col + k >= W)", "col + k >= W || k == 12)"),
    ),
    "rung 7: does not wait for its copies": (ASYNC, (WAIT, "")),
    "rung 7: waits for one group less": (ASYNC, ('"n"(STAGES - 2)', '"n"(STAGES - 1)')),
    "rung 7: barrier behind the wait removed": (ASYNC, (SYNC + "  // this stage", "// this stage")),
    "rung 7: two buffers for two stages under way": (
        ASYNC,
        ("to = stage % STAGES", "to = stage % 2"),
        ("now = stage % STAGES", "now = stage % 2"),
    ),
    "rung 7: gap between pixels forgotten": (ASYNC, ("PLACE(col) + PLACE(k)", "PLACE(col) + k")),
    "rung 8: does not wait for its copies": (TF32, (WAIT, "")),
    "rung 8: weights not rounded to TF32": (
        TF32,
        ("weight[k] = tf32(sw[now]", "weight[k] = __float_as_uint(sw[now]"),
    ),
    "rung 8: halves of a fragment of A exchanged": (
        TF32,
        ("k % 2 * 8][t4 + k / 2 * 4]", "k / 2 * 8][t4 + k % 2 * 4]"),
    ),
    "rung 8: products on half a warp": (TF32, ("multiply(sum[m]", "if (g < 4) multiply(sum[m]")),
    "rung 9: does not wait for its copies": (THREE, (WAIT, "")),
    "rung 9: product of a small part left out": (THREE, ("multiply(d, big[m], w_small, d);", "")),
    "rung 9: rest not rounded to TF32": (
        THREE,
        ("tf32(value - __uint_as_float(big))", "__float_as_uint(value - __uint_as_float(big))"),
    ),
    "rung 9: big parts for small ones": (THREE, ("w_small[k] = of.small", "w_small[k] = of.big")),
}  # fmt: skip
# check -> (mode of the emulator, order of threads and blocks)
CHECKS = {
    "values": ("fast", "forward"),
    "another order": ("fast", "shuffled"),
    "trace": ("trace", "forward"),
    "UBSan": ("ubsan", "forward"),
    "ASan": ("asan", "forward"),
}
WORDS = {0: "", 3: "value", 4: "fault"}  # of a check's exit status


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    parser.add_argument("--check", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    chosen = [name for name in MUTANTS if all(word in name for word in options.words)]
    if options.check:
        checked(" ".join(options.words), options.check)
        return
    for stem in sorted({MUTANTS[name][0] for name in chosen}):
        for check in CHECKS:
            if seen(stem, check):
                sys.exit(f"mutants: {stem}.cu as it is must pass the check {check!r}, but fails it")
    rows = []
    for name in chosen:
        rows.append([name, MUTANTS[name][0], *(seen(name, check) for check in CHECKS)])
        print(" | ".join(rows[-1]), flush=True)
    if options.write:
        PAGE.write_text(text(merged(rows)), encoding="utf-8")
    sys.exit(int(any(not any(row[2:]) for row in rows)))


def merged(rows):
    """These rows, and those of the page for all other mutants, in the order of MUTANTS."""
    old = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in old]
    found = {row[0]: row for row in [*cells, *rows]}
    return [found[name] for name in MUTANTS if name in found]


def cases(stem):
    """The cases of a kernel of kernels/, or of a rung of the ladder."""
    if stem.startswith("ladder/"):
        return importlib.import_module("cases.ladder").cases(Path(stem).name)
    return importlib.import_module(f"cases.{stem}").CASES


def mutated(name):
    """(stem, text) of a mutant; for a stem, the unchanged kernels.

    Raises ValueError if the text to replace is not there.
    """
    stem, *changes = MUTANTS.get(name, (name,))
    found = source(stem)
    for before, after in changes:
        if before not in found:
            raise ValueError(f"mutant {name!r}: kernels/{stem}.cu must hold {before!r}")
        found = found.replace(before, after, 1)
    return stem, found


def checked(name, check):
    """Runs a mutant's cases in the mode of a check; if one fails, exits with a key of WORDS."""
    stem, found = mutated(name)
    original = launch.source
    launch.source = lambda other: found if other == stem else original(other)
    sys.modules["cupy"] = device
    mode, schedule = CHECKS[check]
    try:
        with device.running(mode, schedule):
            for case in cases(stem).values():
                case(device, np.random.default_rng(20100604))
    except Exception as fault:
        print(type(fault).__name__, str(fault).strip().splitlines()[:1])
        sys.exit(4 if isinstance(fault, emulator.Fault) else 3)


def seen(name, check):
    """One of WORDS, or "ends" if the process ends in another way."""
    mutated(name)
    command = [sys.executable, __file__, "--check", check, name]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    return WORDS.get(done.returncode, "ends")


def text(rows):
    lines = [
        "| fault | kernels/ | " + " | ".join(CHECKS) + " |",
        "| --- " * (2 + len(CHECKS)) + "|",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return (
        "# Faults planted in the kernels, and the checks that detect them\n\n"
        "Written by `python tests/kernels/mutants.py --write`. Each row is one change of a\n"
        "kernel's source. The changed kernel runs in the emulator on all cases of\n"
        "`tests/support/cases/`, once for each check: *values* and *another order* compare\n"
        "the result with the reference, in two orders of threads and blocks; *trace* checks\n"
        "every memory access; *UBSan* and *ASan* are the compiler's sanitizers. The cells say\n"
        "how the fault shows: *value*, as a wrong value; *fault*, as an access, a barrier or\n"
        "an overflow that the emulator or a sanitizer reports; *ends*, as the end of the\n"
        "process; an empty cell, not at all. Shared memory holds NaN at the start, so a\n"
        "missing barrier gives wrong values. Not run on a GPU.\n\n" + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    main()
