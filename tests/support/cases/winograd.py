"""kernels/winograd.cu by its launchers, against float64; see tests/kernels/test_proofs.py."""

import numpy as np
from cases.conv3x3 import drawn, missing_pixels
from cases.methods import fused, gradient

from enhance_np.engine.cuda import winograd
from enhance_np.inspection.accuracy import F2

REGISTERS = {"winograd": 255, "winograd_dx": 255, "winograd_weights": 64}
CONFLICT_FREE = {"winograd", "winograd_dx"}
SASS = {
    "winograd": {"FFMA": 0.85, "LDG": 128, "LDS": 128},
    "winograd_dx": {"FFMA": 0.83, "LDG": 128, "LDS": 128},
}
BY = "winograd"


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


QUICK = "3 x 3", "tiles of two images in a block", "dX"
CASES = {
    "3 x 3": fused(BY, (1, 3, 3), 16, 64),
    "tiles of two images in a block": fused(BY, (2, 5, 7), 24, 64),
    "dX": gradient(BY, (2, 3, 4), 64, 16),
    "least": fused(BY, (1, 2, 2), 8, 64),
    "blocks of tiles and channels": fused(BY, (1, 7, 18), 16, 128),
    "64 to 64 channels": fused(BY, (1, 2, 3), 64, 64),
    "dX, least": gradient(BY, (1, 2, 2), 64, 8),
    "dX, blocks of tiles and channels": gradient(BY, (1, 5, 16), 128, 16),
    "weights": weights(24, 128),
    "missing pixels": missing_pixels((1, 6, 7), 8, 64, BY),
}
