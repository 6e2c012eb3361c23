"""The rungs of kernels/ladder/conv3x3, run and timed on a card: how much does each idea bring?

    python -m bench.gpu.ladder          needs a card; prints GFLOP/s and the share of cuDNN

Each rung computes pad_conv of 3x3 kernels. Rungs 7 to 9 need compute capability 8.0 (A100, RTX 30);
an older card leaves them out, and says so. cuDNN is timed through PyTorch, if that is there, on
images that are padded already, in the faster of two layouts, without TF32.
"""

import argparse
from typing import NamedTuple

import numpy as np

from bench.shared import table
from enhance_np import layers
from enhance_np._kernels import source
from enhance_np.inspection.gpu_selftest import seconds

SHAPES = (32, 50, 50, 64, 64), (1, 1024, 1024, 64, 64)  # N, H, W, Cin, Cout
REPEATS = 20


class Rung(NamedTuple):
    threads: int  # of a block
    block: tuple[int, int, int] | None  # rows, columns, channels of a block; None: one y a thread
    needs: int = 0  # compute capability of the card, 80 for 8.0; 0: any that the package supports
    cin: int = 1  # the input channels are a multiple of
    error: tuple[float, float, float] = (0, 9, 1)  # see `bound`

    def blocks(self, n: int, h: int, w: int, cout: int) -> int:
        if self.block is None:
            return -(-n * h * w * cout // self.threads)
        return int(n * np.prod([-(-a // b) for a, b in zip((h, w, cout), self.block, strict=True)]))

    def bound(self, cin: int) -> float:
        """|y - exact| over the sum of |x||w| and |b|, derived in the head of the rung's file."""
        fixed, per_channel, more = self.error
        return fixed + (per_channel * cin + more) * 2.0**-24


RUNGS = {
    "1_naive": Rung(256, None),
    "2_shared": Rung(256, (1, 8, 32)),
    "3_registers": Rung(128, (4, 8, 64)),
    "4_vectors": Rung(128, (4, 32, 64), cin=4),
    "5_buffers": Rung(128, (4, 32, 64), cin=4),
    "6_tile": Rung(128, (2, 52, 64), cin=4),
    "7_async": Rung(128, (4, 32, 64), 80, 4),
    "8_tf32": Rung(128, (4, 32, 64), 80, 8, (2.0**-10, 28, 6)),
    "9_3xtf32": Rung(128, (4, 32, 64), 80, 8, (0, 9 / 8, 33)),
}


def refusal(name: str) -> str | None:
    """None, or why the present card cannot run the rung."""
    import cupy

    has, needs = int(cupy.cuda.Device().compute_capability), RUNGS[name].needs
    if has >= needs:
        return None
    return (
        f"{name} needs a card of compute capability {needs // 10}.{needs % 10} or later; "
        f"this one has {has // 10}.{has % 10}"
    )


def launcher(name: str, shape):
    """(run, arrays): run() launches the rung on the card; arrays = x, w, b, y, y full of NaN.

    Raises RuntimeError if the card cannot run it, ValueError for other numbers of channels.
    """
    import cupy

    if (reason := refusal(name)) is not None:
        raise RuntimeError(reason)

    n, h, w, cin, cout = shape
    if cin % RUNGS[name].cin:
        raise ValueError(f"{name} needs Cin a multiple of {RUNGS[name].cin}, got {cin}")
    rng = np.random.default_rng(5)
    given = [
        cupy.asarray(rng.standard_normal(size).astype(np.float32))
        for size in ((n, h, w, cin), (3, 3, cin, cout), (cout,))
    ]
    y = cupy.asarray(np.full((n, h, w, cout), np.nan, np.float32))
    module = cupy.RawModule(code=source(f"ladder/conv3x3/{name}"), options=("--std=c++17",))
    kernel, rung = module.get_function("conv3x3"), RUNGS[name]
    grid, numbers = (rung.blocks(n, h, w, cout),), tuple(map(np.int32, shape))

    def run():
        kernel(grid, (rung.threads,), (*given, y, *numbers))

    return run, (*given, y)


def share_of_bound(name: str, arrays) -> float:
    """Largest |y - exact| over the bound of the rung; 1 is allowed."""
    *given, y = (a.get() for a in arrays)
    exact, _ = layers.pad_conv(*(a.astype("f8") for a in given))
    sizes, _ = layers.pad_conv(*(abs(a.astype("f8")) for a in given))
    return float((abs(y - exact) / (RUNGS[name].bound(given[0].shape[-1]) * sizes)).max())


def correct(shape=(2, 5, 33, 8, 128)) -> dict[str, float]:
    """{rung: share of its bound} on a small image that is no multiple of a block, for the rungs
    that the card can run."""
    found = {}
    for name in RUNGS:
        if refusal(name) is not None:
            continue
        run, arrays = launcher(name, shape)
        run()
        found[name] = share_of_bound(name, arrays)
    return found


def times(shapes=SHAPES, repeats: int = REPEATS) -> dict[str, dict[str, float]]:
    """{shape: {rung: seconds}} of the rungs that the card can run, the last of them our own kernel,
    conv3x3.cu, by its launcher."""
    from enhance_np.engine.cuda.convolution import conv

    found = {}
    for shape in shapes:
        row = found[text(shape)] = {}
        for name in RUNGS:
            if refusal(name) is not None:
                continue
            run, arrays = launcher(name, shape)
            row[name] = float(np.median(seconds(run, 2, repeats)))
        x, w, b, _ = arrays
        row["conv3x3.cu"] = float(
            np.median(seconds(lambda x=x, w=w, b=b: conv(x, w, b), 2, repeats))
        )
    return found


def text(shape) -> str:
    return "{} x {} x {}, {} to {}".format(*shape)


def flop(shape) -> int:
    n, h, w, cin, cout = shape
    return 2 * 9 * n * h * w * cin * cout


def markdown(found: dict, cudnn: dict[str, float], shapes=SHAPES) -> str:
    """One line a rung: GFLOP/s, and the share of cuDNN where it was timed. The three
    products of 9_3xtf32 count as one."""
    rows = []
    for name in (*RUNGS, "conv3x3.cu"):
        row = [f"`{name}`"]
        for shape in shapes:
            took = found[text(shape)].get(name)
            if took is None:
                row.append("not on this card")
                continue
            best = cudnn.get(text(shape))
            share = "" if best is None else f" ({best / took:.2f} of cuDNN)"
            row.append(f"{flop(shape) / took / 1e9:,.0f} GFLOP/s{share}")
        rows.append(row)
    return table.markdown(["rung", *map(text, shapes)], rows)


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    from enhance_np.engine import select

    select("gpu")  # one line if there is none
    shares = correct()
    if not all(share <= 1 for share in shares.values()):
        raise SystemExit(f"ladder: every rung must be within its bound, got {shares}")
    try:
        from bench.gpu import peers
    except ImportError:
        cudnn = {}
    else:
        cudnn = {text(shape): took for shape, took in peers.cudnn_conv(SHAPES).items()}
    print(markdown(times(), cudnn))
    for reason in filter(None, map(refusal, RUNGS)):
        print(reason)


if __name__ == "__main__":
    main()
