"""kernels/conv3x3_gradient.cu by its launchers, against float64.

See tests/kernels/test_proofs.py.
"""

import numpy as np
import pytest

from enhance_np import layers
from enhance_np.engine import cuda
from enhance_np.engine.cuda import convolution, shapes

KINDS = "conv3x3_dw", "upsample_conv_dw"
REGISTERS = {f"{kind}_{block}": 224 for kind in KINDS for block in (64, 32)}
REGISTERS["conv3x3_dw_64_narrow"] = 224
SASS = {name: {"FFMA": 0.85, "LDG": 128, "LDS": 64} for name in REGISTERS}
CONFLICT_FREE = set(REGISTERS)
U = 2.0**-24


def case_of(name, size, cin, cout):
    """dw and db of the operation `name`: exact on integers, within the bound on floats."""

    def case(cupy, rng):
        found = []
        for integers in (True, False):
            draw = (lambda s: rng.integers(-4, 5, s)) if integers else rng.standard_normal
            data = [np.asarray(draw(s), np.float32) for s in ((*size, cin), (3, 3, cin, cout))]
            exact = [a.astype("f8") for a in data]
            y, want_cache = getattr(layers, name)(*exact, np.zeros(cout))
            _, sizes_cache = getattr(layers, name)(*map(abs, exact), np.zeros(cout))
            dy = np.asarray(draw(y.shape), np.float32)
            cache = layers.conv.ConvCache(*map(cupy.asarray, data))
            got = getattr(cuda, f"{name}_backward")(cupy.asarray(dy), cache)
            backward = getattr(layers, f"{name}_backward")
            want, sizes = backward(dy.astype("f8"), want_cache), backward(abs(dy), sizes_cache)
            # at most as many roundings as products; the phases add 4 sums
            terms = 0 if integers else y.size // cout + 6
            for k, part in ((1, terms), (2, 4 * bool(terms))):
                bound = part * U * sizes[k]
                assert (abs(cupy.asnumpy(got[k]) - want[k]) <= bound).all()
            found += got[1:]
        return tuple(found)

    return case


def in_strips(number, case):
    """The case with strips of shapes.STRIPS[number] pixels for 64 output channels."""

    def case_in_strips(cupy, rng):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shapes, "STRIPS", (shapes.STRIPS[number],))
            return case(cupy, rng)

    return case_in_strips


def several_runs(name, size):
    """The same, divided into runs of 5 strips, of which the last is shorter; the parts are
    added."""
    one = case_of(name, size, 32, 64)

    def case(cupy, rng):
        before, convolution.STRIPS = convolution.STRIPS, 5
        try:
            return one(cupy, rng)
        finally:
            convolution.STRIPS = before

    return case


QUICK = "narrow", "64 channels", "32 channels", "upsampled", "upsampled to 32"  # each kernel
CASES = {
    "64 channels": in_strips(0, case_of("pad_conv", (1, 3, 5), 32, 64)),
    "narrow": in_strips(1, case_of("pad_conv", (2, 2, 27), 32, 64)),
    "upsampled": case_of("upsample_conv", (2, 3, 5), 32, 64),
    "32 channels": case_of("pad_conv", (3, 2, 2), 64, 32),
    "upsampled to 32": case_of("upsample_conv", (1, 2, 33), 64, 32),
    "unpadded": case_of("conv2d", (1, 5, 36), 32, 32),
    "runs": in_strips(0, several_runs("pad_conv", (2, 3, 35))),
    "narrow runs": in_strips(1, several_runs("pad_conv", (3, 4, 50))),
    "runs of phases": several_runs("upsample_conv", (2, 3, 35)),
    # the images of dy are smaller than those of x, and runs begin in later images
    "runs, unpadded": in_strips(0, several_runs("conv2d", (3, 4, 35))),
    "narrow runs, unpadded": in_strips(1, several_runs("conv2d", (3, 5, 30))),
    "256 channels": in_strips(0, case_of("pad_conv", (1, 2, 3), 32, 256)),
}
