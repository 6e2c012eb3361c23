"""A method for 3x3 convolutions (engine.cuda.methods) by its launchers, against float64."""

from itertools import product

import numpy as np
from cases.conv3x3 import drawn

from enhance_np import layers
from enhance_np.engine.cuda import convolution
from enhance_np.inspection import accuracy


def fused(method, size, cin, cout):
    """conv with each epilogue is exact on integers, and within its bound on floats."""

    def case(cupy, rng):
        found = []
        for integers in (True, False):
            shapes = (*size, cin), (3, 3, cin, cout), (cout,), (*size, cout)
            x, w, b, skip = drawn(rng, integers, *shapes)
            y, _ = layers.pad_conv(*(a.astype("f8") for a in (x, w, b)))
            *on_device, more = map(cupy.asarray, (x, w, b, skip))
            for relu, add in product((False, True), (False, True)):
                got = convolution.conv(*on_device, relu, more if add else None, method)
                want = y + skip.astype("f8") * add
                want = np.maximum(want, 0) if relu else want
                bound = 0 if integers else accuracy.method_bound(method, x, w, b, skip * add)
                assert got.shape == want.shape
                assert (abs(cupy.asnumpy(got) - want) <= bound).all()
                found.append(got)
        return tuple(found)

    return case


def gradient(method, size, cin, cout):
    """dX of pad_conv is exact on integers, and within its bound on floats."""

    def case(cupy, rng):
        found = []
        for integers in (True, False):
            shapes = (*size, cin), (3, 3, cin, cout), (cout,), (*size, cout)
            *arrays, dy = drawn(rng, integers, *shapes)
            _, cache = convolution.pad_conv(*map(cupy.asarray, arrays))
            got, *_ = convolution.pad_conv_backward_by(method, cupy.asarray(dy), cache)
            _, cache = layers.pad_conv(*(a.astype("f8") for a in arrays))
            want, *_ = layers.pad_conv_backward(dy.astype("f8"), cache)
            bound = 0 if integers else accuracy.method_dx_bound(method, dy, arrays[1])
            assert got.shape == want.shape
            assert (abs(cupy.asnumpy(got) - want) <= bound).all()
            found.append(got)
        return tuple(found)

    return case
