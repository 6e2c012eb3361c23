"""Folds batch norm and upsampling of a trained network into its convolutions.

Prediction then needs neither batch norm nor the upsampled image. Both foldings are exact in real
arithmetic; they are computed in float64 and rounded once.
"""

import numpy as np

from .. import params
from .._array import without_subnormals
from ..layers.batchnorm import EPS
from ..weights import Weights
from .prune import Conv, living, pruned


def fold(weights: Weights, dtype=np.float32, multiple: int | None = None) -> dict[str, Conv]:
    """Every convolution by name, with the batch norm that follows it folded in:

    w' = w * gamma / sqrt(var + eps),   b' = (b - mean) * gamma / sqrt(var + eps) + beta.

    multiple : removes dead channels, see prune.pruned; None keeps them.
    The result has no subnormal numbers.
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
    if multiple is not None:
        folded = pruned(folded, weights.config, multiple)
    return {
        name: Conv(*(without_subnormals(a.astype(dtype)) for a in conv))
        for name, conv in folded.items()
    }


def live_filters(weights: Weights) -> dict[str, tuple[int, int]]:
    """(filters that can change the output, all filters) of each convolution, by name."""
    folded = fold(weights, np.float64)
    return {
        name: (live, len(folded[name].b)) for name, live in living(folded, weights.config).items()
    }


# Matrices that give the kernel rows of even and odd output lines from the rows of the original
_ROWS = np.array([[[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]])


def phases(w: np.ndarray) -> np.ndarray:
    """Upsampling by 2 and a 3x3 convolution as four 3x3 convolutions of the small image.

    w : (3, 3, Cin, Cout);  result : (4, 3, 3, Cin, Cout), whose element 2a + b makes the
    output pixels (2i + a, 2j + b) from the small pixels around (i, j).

    An even output row 2i sees the large rows 2i-1, 2i, 2i+1, which are the small rows i-1, i, i.
    The last two rows of the kernel act on the same small row and are therefore added; for an odd
    output row it is the first two. Of the nine taps of each kernel five are zero. At the border,
    the reflection of the large image repeats the edge of the small one (large row -1 is large row
    1, which is small row 0), so the small image is padded with its own edge pixels.
    """
    found = np.einsum("axr,bys,rsio->abxyio", _ROWS, _ROWS, w.astype("f8"))
    return found.reshape(4, *w.shape).astype(w.dtype)


def phases_backward(dw: np.ndarray) -> np.ndarray:
    """The adjoint of phases: (4, 3, 3, Cin, Cout) -> (3, 3, Cin, Cout)."""
    dw = dw.reshape(2, 2, *dw.shape[1:])
    found = np.einsum("axr,bys,abxyio->rsio", _ROWS, _ROWS, dw.astype("f8"))
    return found.astype(dw.dtype)
