"""kernels/upsample_conv.cu by its launchers, against float64; see tests/kernels/test_proofs.py."""

from . import conv3x3, conv3x3_gradient

REGISTERS = dict.fromkeys(
    "phase_kernels phase_kernels_backward repeated_border_backward".split(), 40
)
CASES = {
    "odd": conv3x3.upsampled((1, 3, 5), 32, 32),
    "least": conv3x3.upsampled((2, 2, 2), 32, 32),
    "of the kernel": conv3x3_gradient.case_of("upsample_conv", (1, 3, 2), 32, 32),
    "one pixel": conv3x3_gradient.case_of("upsample_conv", (2, 1, 1), 32, 32),
}
