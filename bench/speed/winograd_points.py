"""How large is the rounding error of Winograd's convolution, depending on its points?

    python -m bench.speed.winograd_points

F(4x4, 3x3) in float32 against float64, in plain NumPy: 64 channels, random data. The engine's
points (enhance_np/engine/cpu/transforms.py) were chosen by this table.
"""

import argparse
from fractions import Fraction
from itertools import product

import numpy as np

from bench.shared import table
from enhance_np.engine.cpu.transforms import POINTS, matrices

CHANNELS, TILES, OUTPUTS = 64, 400, 16
CANDIDATES = ("1/2", "3/5", "2/3", "3/4", "1"), ("1/2", "5/4", "4/3", "3/2", "5/3", "2")


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    rng = np.random.default_rng(0)
    d = rng.standard_normal((TILES, 6, 6, CHANNELS))
    g = rng.standard_normal((3, 3, CHANNELS, OUTPUTS)) * (9 * CHANNELS) ** -0.5
    rows = [("F(2x2, 3x3): 0, ±1", *errors(d, g, (0, 1, -1), 2))]
    for p, q in product(*CANDIDATES):
        if p != q:
            points = (0, *(s * Fraction(v) for v in (p, q) for s in (1, -1)))
            chosen = " (chosen)" if set(points) == set(POINTS) else ""
            rows.append((f"0, ±{p}, ±{q}{chosen}", *errors(d, g, points)))
    rows.sort(key=lambda row: row[1])
    cells = ([name, f"{rms:.1e}", f"{worst:.1e}"] for name, rms, worst in rows)
    print(table.markdown(["points, and infinity", "rms, relative", "largest, of the range"], cells))


def errors(d, g, points, m=4):
    """(rms error over rms, largest over range) of float32 against float64."""
    found, exact = (convolve(d, g, points, m, dtype) for dtype in (np.float32, np.float64))
    error = found - exact
    return (
        np.sqrt((error**2).mean() / (exact**2).mean()),
        abs(error).max() / np.ptp(exact),
    )


def convolve(d, g, points, m, dtype):
    """Every step rounded to dtype, as the engine does it."""
    a_t, big_g, b_t = (np.array(x, float).astype(dtype) for x in matrices(m, 3, points))
    d, g = d[:, : m + 2, : m + 2].astype(dtype), g.astype(dtype)
    v = np.einsum("ij,tjkc,lk->tilc", b_t, d, b_t)
    u = np.einsum("ij,jkco,lk->ilco", big_g, g, big_g)
    return np.einsum(
        "ij,tjlo,kl->tiko", a_t, np.einsum("tilc,ilco->tilo", v, u, optimize=True), a_t
    )


if __name__ == "__main__":
    main()
