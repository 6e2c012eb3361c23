"""A trained network as convolutions alone: batch norm folded in, upsampling folded in.

Prediction needs neither the batch norms nor the upsampled image. Both foldings are exact in
real arithmetic; they are computed in float64 and rounded once.
"""

from typing import NamedTuple

import numpy as np

from .. import params
from ..layers.batchnorm import EPS
from ..weights import Weights


class Conv(NamedTuple):
    w: np.ndarray  # (kh, kw, Cin, Cout)
    b: np.ndarray  # (Cout,)


def fold(weights: Weights, dtype=np.float32) -> dict[str, Conv]:
    """Every convolution by name, the batch norm behind it folded in:

    w' = w * gamma / sqrt(var + eps),   b' = (b - mean) * gamma / sqrt(var + eps) + beta.
    """
    folded, conv = {}, None
    for kind, name, _ in params.layers(weights.config):
        if kind == "conv":
            conv = name
            p = weights.params
            folded[name] = Conv(p[f"{name}/w"].astype("f8"), p[f"{name}/b"].astype("f8"))
            continue
        gamma, beta = (weights.params[f"{name}/{k}"].astype("f8") for k in ("gamma", "beta"))
        mean, var = (weights.moving[f"{name}/{k}"].astype("f8") for k in ("mean", "var"))
        w, b = folded[conv]
        scale = gamma / np.sqrt(var + EPS)
        folded[conv] = Conv(w * scale, (b - mean) * scale + beta)
    return {name: Conv(w.astype(dtype), b.astype(dtype)) for name, (w, b) in folded.items()}


def phases(w: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Upsampling by 2 and a 3x3 convolution as four 2x2 convolutions on the small image.

    w : (3, 3, Cin, Cout). result[a, b] : (2, 2, Cin, Cout) makes the output pixels
    (2i + a, 2j + b), reading small rows i - 1 + a and i + a, columns likewise.

    An even output row 2i sees the big rows 2i-1, 2i, 2i+1, which are the small rows i-1, i, i:
    the kernel's last two rows act on one small row and are added. Odd rows: the first two.
    At the border, reflecting the big image repeats the small one's edge (big row -1 is big
    row 1, which is small row 0), so the small image is framed by its own edge pixels.
    """
    w = w.astype("f8")
    rows = (np.stack([w[0], w[1] + w[2]]), np.stack([w[0] + w[1], w[2]]))
    found = {}
    for a, r in enumerate(rows):
        found[a, 0] = np.stack([r[:, 0], r[:, 1] + r[:, 2]], axis=1)
        found[a, 1] = np.stack([r[:, 0] + r[:, 1], r[:, 2]], axis=1)
    return found
