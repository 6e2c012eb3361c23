"""kernels/reflect_pad.cu by its launcher; see tests/kernels/test_proofs.py."""

import check
import numpy as np

from enhance_np import layers
from enhance_np.engine import cuda

# registers per thread on any card; 2048 threads of a multiprocessor have 32 each
REGISTERS = {"reflect_pad_backward": 32}

# N, H, W, C, p; a pixel has up to 9 sources; the last case has several blocks
SIZES = {
    "least": (1, 2, 2, 1, 1),
    "blocks": (3, 17, 13, 7, 2),
    "wide": (2, 2, 7, 3, 1),
    "high": (1, 7, 2, 5, 1),
    "p 2": (2, 3, 3, 3, 2),
    "p 2 wide": (1, 3, 8, 1, 2),
    "p 3": (1, 4, 6, 5, 3),
    "p 3 high": (2, 9, 4, 3, 3),
}


def backward(size):
    """Bit-equal to the reference, adjoint to the padding, within 8 u sum|dy| of float64."""
    n, h, w, c, p = size

    def case(cupy, rng):
        x = rng.standard_normal((n, h, w, c))
        shape = n, h + 2 * p, w + 2 * p, c
        found = []
        for dy in (check.integers(rng, shape), rng.standard_normal(shape)):
            dy = dy.astype(np.float32)
            found.append(cuda.reflection_pad_backward(cupy.asarray(dy), p))
            dx = cupy.asnumpy(found[-1])
            np.testing.assert_array_equal(dx, layers.reflection_pad_backward(dy, p))
            bound = 8 * 2.0**-24 * layers.reflection_pad_backward(abs(dy).astype("f8"), p)
            exact = layers.reflection_pad_backward(dy.astype("f8"), p)
            assert (abs(dx - exact) <= bound).all()
            difference = np.vdot(layers.reflection_pad(x, p), dy.astype("f8"))
            assert abs(difference - np.vdot(x, dx.astype("f8"))) <= np.vdot(abs(x), bound)
        return tuple(found)

    return case


CASES = {name: backward(size) for name, size in SIZES.items()}
