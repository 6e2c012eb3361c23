"""kernels/elementwise.cu by its launchers: same bits as the reference.

See tests/kernels/test_proofs.py.
"""

import numpy as np

from enhance_np import layers
from enhance_np.engine import cuda

REGISTERS = dict.fromkeys("relu relu_backward add upsample upsample_backward".split(), 32)


def every(shape):
    """All five kernels; upsample_backward is exact on integers, and within its bound on floats."""

    def case(cupy, rng):
        x, other = rng.standard_normal((2, *shape)).astype(np.float32)
        x.reshape(-1)[:3] = 0, -0.0, np.nan
        on_device = cupy.asarray(x), cupy.asarray(other)
        y, _ = cuda.relu(on_device[0])
        np.testing.assert_array_equal(cupy.asnumpy(y), layers.relu(x)[0])
        dx = cuda.relu_backward(on_device[1], y)
        np.testing.assert_array_equal(cupy.asnumpy(dx), np.where(x > 0, other, np.float32(0)))
        z = cuda.add(*on_device)
        np.testing.assert_array_equal(cupy.asnumpy(z), x + other)
        big = cuda.upsample(on_device[1])
        np.testing.assert_array_equal(cupy.asnumpy(big), layers.upsample(other))

        n, h, w, c = shape
        found = []
        for dy in (
            rng.integers(-9, 10, (n, 2 * h, 2 * w, c)),
            rng.standard_normal((n, 2 * h, 2 * w, c)),
        ):
            dy = dy.astype(np.float32)
            found.append(cuda.upsample_backward(cupy.asarray(dy)))
            want, sizes = (layers.upsample_backward(a.astype("f8")) for a in (dy, abs(dy)))
            bound = 0 if not (dy % 1).any() else 3 * 2.0**-24 * sizes
            assert (abs(cupy.asnumpy(found[-1]) - want) <= bound).all()
        return y, dx, z, big, *found

    return case


CASES = {
    "odd": every((2, 5, 7, 3)),
    "several blocks": every((3, 9, 7, 12)),
    "least": every((1, 1, 3, 1)),
    "wide": every((1, 2, 13, 5)),
    "64 channels": every((1, 3, 2, 64)),
}
