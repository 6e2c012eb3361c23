"""kernels/head.cu by its launchers, against float64; see tests/kernels/test_proofs.py."""

import numpy as np
from cases.passes import several

from enhance_np import layers
from enhance_np.engine import cuda

REGISTERS = dict.fromkeys("head head_backward head_gradient".split(), 64)
U = 2.0**-24


def case_of(shape):
    """Exact on integers; on floats within the bounds of the kernel's head."""

    def case(cupy, rng):
        c, found = shape[-1], []
        shapes = shape, (1, 1, c, 1), (1,), (*shape[:3], 1)
        for integers in (True, False):
            draw = (lambda s: rng.integers(-4, 5, s)) if integers else rng.standard_normal
            data = [np.asarray(draw(s), np.float32) for s in shapes]
            on_device = [cupy.asarray(a) for a in data]
            y, cache = cuda.relu_conv(*on_device[:3])
            dx, dw, db = cuda.relu_conv_backward(on_device[3], cache)
            found += [y, dx, dw, db]
            exact = [a.astype("f8") for a in data]
            want, want_cache = layers.relu_conv(*exact[:3])
            wanted = layers.relu_conv_backward(exact[3], want_cache)
            sizes, sizes_cache = layers.relu_conv(np.maximum(exact[0], 0), *map(abs, exact[1:3]))
            bounds = layers.relu_conv_backward(abs(exact[3]), sizes_cache)
            k = (c / 32 + 7) * U, U, 9 * U, 9 * U
            for got, right, size, part in zip(
                (y, dx, dw, db), (want, *wanted), (sizes, *bounds), k, strict=True
            ):
                bound = 0 if integers else part * size
                assert (abs(cupy.asnumpy(got) - right) <= bound).all()
        return tuple(found)

    return case


def not_a_number(shape):
    """NaN goes through ReLU to its y and to the gradient of its weight, and nowhere else."""

    def case(cupy, rng):
        shapes = shape, (1, 1, shape[-1], 1), (1,), (*shape[:3], 1)
        x, w, b, dy = (rng.integers(-4, 5, s).astype(np.float32) for s in shapes)
        x[0, 1, 2, 3] = np.nan
        want, want_cache = layers.relu_conv(x, w, b)
        wanted = layers.relu_conv_backward(dy, want_cache)
        y, cache = cuda.relu_conv(*map(cupy.asarray, (x, w, b)))
        got = cuda.relu_conv_backward(cupy.asarray(dy), cache)
        for a, right in zip((y, *got), (want, *wanted), strict=True):
            np.testing.assert_array_equal(cupy.asnumpy(a), right)
        return ()

    return case


CASES = {
    "several blocks": case_of((2, 9, 7, 64)),
    "odd": case_of((1, 3, 5, 7)),
    "several passes": several(case_of((3, 9, 7, 64))),
    "more blocks than threads": case_of((1, 46, 45, 256)),
    "one channel": case_of((1, 2, 3, 1)),
    "one channel, two blocks": case_of((1, 47, 45, 1)),
    "100 channels": case_of((2, 3, 5, 100)),
    "more channels than threads": case_of((1, 2, 3, 259)),
    "NaN": not_a_number((2, 3, 5, 7)),
}
