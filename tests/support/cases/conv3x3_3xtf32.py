"""kernels/conv3x3_3xtf32.cu by its launchers, against float64; see tests/kernels/test_proofs.py."""

from cases.conv3x3 import missing_pixels
from cases.methods import fused, gradient

from enhance_np.engine.cuda.three_tf32 import NEEDS as NEEDS

BY = "3xtf32"
REGISTERS = {"conv3x3_3xtf32_64": 255, "conv3x3_3xtf32_32": 255}
# a load of a fragment is one float; copies are asynchronous
SASS = {
    "conv3x3_3xtf32_64": {"HMMA": 0.16, "LDGSTS": 128, "LDS": 32},
    "conv3x3_3xtf32_32": {"HMMA": 0.13, "LDGSTS": 128, "LDS": 32},
}
CONFLICT_FREE = set(REGISTERS)
QUICK = "64 channels", "dX to 32"
CASES = {
    "64 channels": fused(BY, (1, 5, 3), 16, 64),
    "dX to 32": gradient(BY, (2, 3, 4), 32, 16),
    "least": fused(BY, (1, 2, 2), 8, 32),
    "blocks of pixels and channels": fused(BY, (1, 3, 35), 8, 128),
    "several images, 96 channels": fused(BY, (2, 5, 3), 24, 96),
    "64 to 64 channels": fused(BY, (1, 2, 3), 64, 64),
    "dX, least": gradient(BY, (1, 2, 2), 64, 8),
    "dX, blocks": gradient(BY, (1, 4, 31), 64, 8),
    "missing pixels": missing_pixels((1, 6, 7), 8, 64, BY),
}
