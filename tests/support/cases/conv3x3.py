"""kernels/conv3x3.cu by its launchers, against float64; see tests/kernels/test_proofs.py."""

import numpy as np
import pytest

from enhance_np import layers
from enhance_np.engine import cuda
from enhance_np.engine.cuda import convolution, shapes

KINDS = "conv3x3", "upsample_conv", "upsample_conv_dx"
REGISTERS = {f"{kind}_{block}": 168 for kind in KINDS for block in (64, 32)}
REGISTERS["conv3x3_64_wide"] = 168
SASS = {name: {"FFMA": 0.85, "LDG": 128} for name in REGISTERS}
CONFLICT_FREE = set(REGISTERS)
U = 2.0**-24


def drawn(rng, integers, *shapes):
    draw = (lambda s: rng.integers(-4, 5, s)) if integers else rng.standard_normal
    return [np.asarray(draw(s), np.float32) for s in shapes]


def within(cupy, got, want, size, terms):
    """Asserts |got - want| <= terms u size; equality if terms is 0."""
    assert got.shape == want.shape
    assert (abs(cupy.asnumpy(got) - want) <= terms * U * size).all()


def fused(size, cin, cout):
    """conv with each epilogue is exact on integers, and within its bound on floats."""

    def case(cupy, rng):
        found = []
        for integers in (True, False):
            x, w, b, skip = drawn(
                rng, integers, (*size, cin), (3, 3, cin, cout), (cout,), (*size, cout)
            )
            exact = [a.astype("f8") for a in (x, w, b, skip)]
            y, _ = layers.pad_conv(*exact[:3])
            sizes, _ = layers.pad_conv(*map(abs, exact[:3]))
            on_device = [cupy.asarray(a) for a in (x, w, b)]
            for relu, add in ((False, False), (True, False), (False, True), (True, True)):
                more = cupy.asarray(skip) if add else None
                got = convolution.conv(*on_device, relu=relu, skip=more)
                want = y + exact[3] * add
                want = np.maximum(want, 0) if relu else want
                terms = 0 if integers else 9 * cin + 2
                within(cupy, got, want, sizes + abs(exact[3]) * add, terms)
                found.append(got)
        return tuple(found)

    return case


def unpadded(size, cin, cout):
    """conv2d and its dX, with zeros outside, are exact on integers."""

    def case(cupy, rng):
        x, w, b = drawn(rng, True, (*size, cin), (3, 3, cin, cout), (cout,))
        y, cache = cuda.conv2d(*map(cupy.asarray, (x, w, b)))
        want, want_cache = layers.conv2d(*(a.astype("f8") for a in (x, w, b)))
        (dy,) = drawn(rng, True, want.shape)
        dx, _, _ = cuda.conv2d_backward(cupy.asarray(dy), cache)
        within(cupy, y, want, 0, 0)
        within(cupy, dx, layers.conv2d_backward(dy.astype("f8"), want_cache)[0], 0, 0)
        return y, dx

    return case


def upsampled(size, cin, cout):
    """upsample_conv and its dX are exact on integers, and within their bounds on floats."""

    def case(cupy, rng):
        n, h, wd = size
        found = []
        for integers in (True, False):
            shapes = (*size, cin), (3, 3, cin, cout), (cout,), (n, 2 * h, 2 * wd, cout)
            data = drawn(rng, integers, *shapes)
            exact = [a.astype("f8") for a in data]
            *on_device, dy = map(cupy.asarray, data)
            want, want_cache = layers.upsample_conv(*exact[:3])
            sizes, sizes_cache = layers.upsample_conv(*map(abs, exact[:3]))
            y, cache = cuda.upsample_conv(*on_device)
            # a folded weight is a sum, rounded once
            terms = 0 if integers else 4 * cin + 3
            within(cupy, y, want, sizes, terms)
            dx, _, _ = cuda.upsample_conv_backward(dy, cache)
            wanted = layers.upsample_conv_backward(exact[3], want_cache)[0]
            bounds = layers.upsample_conv_backward(abs(exact[3]), sizes_cache)[0]
            # 16 taps of Cout channels, and adding the frame back
            within(cupy, dx, wanted, bounds, 0 if integers else 16 * cout + 9)
            found += [y, dx]
        return tuple(found)

    return case


def missing_pixels(size, cin, cout, method="float32"):
    """NaN reaches exactly the 3x3 pixels that depend on it, and stays NaN after ReLU."""

    def case(cupy, rng):
        x, w, b = drawn(rng, True, (*size, cin), (3, 3, cin, cout), (cout,))
        x[0, 2, 3, -1] = np.nan
        want = np.isnan(layers.pad_conv(x, w, b)[0])
        assert 0 < want.sum() < want.size
        got = convolution.conv(*map(cupy.asarray, (x, w, b)), relu=True, method=method)
        assert (np.isnan(cupy.asnumpy(got)) == want).all()
        return ()

    return case


def in_tiles(number, case):
    """The case with shapes.TILES[number] for 64 output channels."""

    def case_in_tiles(cupy, rng):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shapes, "TILES", (shapes.TILES[number],))
            return case(cupy, rng)

    return case_in_tiles


QUICK = "wide", "64 channels", "32 channels", "upsampled", "upsampled from 64"  # each kernel
CASES = {
    "64 channels": in_tiles(0, fused((1, 5, 3), 32, 64)),
    "wide": in_tiles(1, fused((1, 3, 54), 8, 64)),
    "upsampled": upsampled((1, 3, 5), 32, 64),
    "32 channels": fused((2, 9, 3), 32, 32),
    "64 to 64 channels": in_tiles(0, fused((1, 2, 5), 64, 64)),
    "least": fused((1, 2, 2), 4, 96),
    "two tiles": in_tiles(0, fused((1, 3, 35), 8, 128)),
    "unpadded": unpadded((3, 5, 35), 32, 32),
    "unpadded to 64": in_tiles(0, unpadded((1, 7, 4), 64, 32)),
    "wide, several images": in_tiles(1, fused((2, 5, 13), 32, 128)),
    "wide, unpadded": in_tiles(1, unpadded((2, 5, 53), 64, 64)),
    "wide, missing pixels": in_tiles(1, missing_pixels((1, 6, 7), 8, 64)),
    "upsampled to 32": upsampled((1, 9, 33), 32, 32),
    "upsampled from 64": upsampled((2, 2, 2), 64, 32),
    "missing pixels": in_tiles(0, missing_pixels((1, 6, 7), 8, 64)),
}
