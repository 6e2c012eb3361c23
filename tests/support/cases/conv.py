"""kernels/conv.cu by its launchers, against float64; see tests/kernels/test_proofs.py."""

import numpy as np

from enhance_np import layers
from enhance_np.engine import cuda
from enhance_np.engine.cuda import convolution

from .conv3x3 import drawn, fused, missing_pixels, within

REGISTERS = dict.fromkeys("conv conv_stem conv_gradient channel_sums sum_parts".split(), 64)


def case_of(name, size, cin, cout, kh, kw):
    """y, dx, dw, db of the operation `name`: exact on integers, within the bounds on floats."""

    def case(cupy, rng):
        found = []
        for integers in (True, False):
            data = drawn(rng, integers, (*size, cin), (kh, kw, cin, cout), (cout,))
            exact = [a.astype("f8") for a in data]
            y, cache = getattr(cuda, name)(*map(cupy.asarray, data))
            want, want_cache = getattr(layers, name)(*exact)
            sizes, sizes_cache = getattr(layers, name)(*map(abs, exact))
            (dy,) = drawn(rng, integers, want.shape)
            got = getattr(cuda, f"{name}_backward")(cupy.asarray(dy), cache)
            backward = getattr(layers, f"{name}_backward")
            wanted = backward(dy.astype("f8"), want_cache)
            bounds = backward(abs(dy.astype("f8")), sizes_cache)
            # dx: adding the frame back adds roundings; dw: a line in float32, three roundings of
            # doubles
            terms = kh * kw * cin + 2, kh * kw * cout + 10, want.shape[2] + 3, 3
            for a, b, c, k in zip((y, *got), (want, *wanted), (sizes, *bounds), terms, strict=True):
                within(cupy, a, b, c, 0 if integers else k)
            found += [y, *got]
            if name == "pad_conv":
                gradient = cuda.pad_conv_gradient(cupy.asarray(dy), cache)
                for a, b in zip(gradient, got[1:], strict=True):
                    np.testing.assert_array_equal(cupy.asnumpy(a), cupy.asnumpy(b))
        return tuple(found)

    return case


def several_runs(cupy, rng):
    """The same, with each gradient divided into runs, of which the last is shorter."""
    before, convolution.LINES = convolution.LINES, 2
    try:
        return case_of("pad_conv", (1, 41, 3), 3, 5, 3, 3)(cupy, rng)
    finally:
        convolution.LINES = before


CASES = {
    "stem": case_of("pad_conv", (2, 5, 6), 1, 64, 3, 3),
    "odd channels": case_of("pad_conv", (3, 4, 7), 3, 5, 3, 3),
    "head": case_of("pad_conv", (1, 5, 7), 64, 1, 1, 1),
    "5x5": case_of("pad_conv", (1, 3, 4), 2, 7, 5, 5),
    "oblong": case_of("conv2d", (1, 6, 5), 3, 4, 1, 5),
    "oblong stem": case_of("conv2d", (2, 6, 7), 1, 8, 5, 3),
    "many channels": case_of("conv2d", (1, 3, 2), 5, 300, 1, 1),
    "epilogue": fused((1, 3, 5), 3, 5),
    "epilogue of a stem": fused((2, 3, 2), 1, 12),
    "runs": several_runs,
    "missing pixels": missing_pixels((1, 6, 7), 3, 5),
}
