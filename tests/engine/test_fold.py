"""Folding batch norm and upsampling into convolutions is exact."""

import check
import numpy as np

from enhance_np.config import NetworkConfig
from enhance_np.engine.fold import fold, phases, phases_backward
from enhance_np.layers import batchnorm, pad_conv, upsample
from enhance_np.params import initial
from enhance_np.weights import Weights


def test_phases_are_upsampling_and_convolution(rng):
    x, w = check.integers(rng, (1, 4, 5, 2)), check.integers(rng, (3, 3, 2, 3))
    want, _ = pad_conv(upsample(x), w, np.zeros(3))
    framed = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    found = phases(w)
    assert found.shape == (4, 3, 3, 2, 3)
    for phase, v in enumerate(found):
        got = sum(framed[:, r : r + 4, s : s + 5] @ v[r, s] for r in range(3) for s in range(3))
        np.testing.assert_array_equal(got, want[:, phase // 2 :: 2, phase % 2 :: 2])


def test_five_of_nine_taps_of_a_phase_are_zero(rng):
    w = rng.random((3, 3, 2, 3)) + 1
    assert [np.count_nonzero(v.all(axis=(2, 3))) for v in phases(w)] == [4] * 4
    assert np.count_nonzero(phases(w)) == 4 * 4 * 6


def test_phases_backward_is_the_adjoint(rng):
    w, dw = check.integers(rng, (3, 3, 2, 3)), check.integers(rng, (4, 3, 3, 2, 3))
    check.adjoint(phases, phases_backward, w, dw)


def test_they_sum_in_float64_and_keep_the_type(rng):
    w = rng.standard_normal((3, 3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(phases(w), phases(w.astype("f8")).astype(np.float32))
    dw = phases(w)
    np.testing.assert_array_equal(
        phases_backward(dw), phases_backward(dw.astype("f8")).astype(np.float32)
    )


def test_a_batch_norm_is_a_scale_and_a_shift_of_its_convolution(rng):
    config = NetworkConfig(1, 3)
    p, moving = ({k: a + rng.random(a.shape) for k, a in d.items()} for d in initial(config, 0))
    folded = fold(Weights(config, p, moving), np.float64)
    assert list(folded) == [
        "stem/conv", "block0/conv1", "block0/conv2", "tail/conv", "refine/conv", "head",
    ]  # fmt: skip
    x = rng.standard_normal((1, 4, 5, 3))
    for name, bn in (("block0/conv2", "block0/bn2"), ("tail/conv", "tail/bn")):
        h, _ = pad_conv(x, p[f"{name}/w"], p[f"{name}/b"])
        statistics = tuple(moving[f"{bn}/{k}"] for k in ("mean", "var"))
        want = batchnorm(h, p[f"{bn}/gamma"], p[f"{bn}/beta"], moving=statistics)[0]
        np.testing.assert_allclose(pad_conv(x, *folded[name])[0], want, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(folded["head"].w, p["head/w"])
