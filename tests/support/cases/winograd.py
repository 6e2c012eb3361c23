"""kernels/winograd.cu by its launchers, against float64; see tests/kernels/test_proofs.py."""

from itertools import product

import numpy as np
from cases.conv3x3 import drawn, missing_pixels, within

from enhance_np import layers
from enhance_np.engine.cuda import convolution, winograd
from enhance_np.inspection.accuracy import F2, winograd_pad_conv

REGISTERS = {"winograd": 255, "winograd_weights": 64}
SASS = {"winograd": {"FFMA": 0.85, "LDG": 128, "LDS": 128}}
CONFLICT_FREE = {"winograd"}


def fused(size, cin, cout):
    """conv with each epilogue is exact on integers, and within its bound on floats."""

    def case(cupy, rng):
        found = []
        for integers in (True, False):
            shapes = (*size, cin), (3, 3, cin, cout), (cout,), (*size, cout)
            data = drawn(rng, integers, *shapes)
            x, w, b, skip = (a.astype("f8") for a in data)
            y, _ = layers.pad_conv(x, w, b)
            sizes = winograd_pad_conv(*map(abs, (x, w, b)), [abs(a) for a in F2])
            *on_device, more = map(cupy.asarray, data)
            for relu, add in product((False, True), (False, True)):
                got = convolution.conv(*on_device, relu, more if add else None, winograd=True)
                want = y + skip * add
                want = np.maximum(want, 0) if relu else want
                terms = 0 if integers else cin + 9
                within(cupy, got, want, sizes + abs(skip) * add, terms)
                found.append(got)
        return tuple(found)

    return case


def weights(cin, cout):
    """U is the exact sum, rounded once."""

    def case(cupy, rng):
        (w,) = drawn(rng, False, (3, 3, cin, cout))
        u = winograd.winograd_weights(cupy.asarray(w))
        _, g, _ = F2
        want = np.einsum("ik,klco,jl->ijco", g, w.astype("f8"), g)
        planes = want.reshape(16, cin // 8, 8, cout // 64, 64)
        want = planes.transpose(3, 1, 0, 2, 4).astype("f4")
        assert u.shape == want.shape
        assert (cupy.asnumpy(u) == want).all()
        return (u,)

    return case


QUICK = "3 x 3", "tiles of two images in a block"
CASES = {
    "3 x 3": fused((1, 3, 3), 16, 64),
    "tiles of two images in a block": fused((2, 5, 7), 24, 64),
    "least": fused((1, 2, 2), 8, 64),
    "blocks of tiles and channels": fused((1, 7, 18), 16, 128),
    "64 to 64 channels": fused((1, 2, 3), 64, 64),
    "weights": weights(24, 128),
    "missing pixels": missing_pixels((1, 6, 7), 8, 64, winograd=True),
}
