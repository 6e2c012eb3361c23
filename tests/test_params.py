from pathlib import Path

import numpy as np
import pytest

from enhance_np import params
from enhance_np.config import DEFAULT, SMALL, NetworkConfig
from enhance_np.layers import batchnorm, conv2d


@pytest.mark.parametrize(
    ("config", "trainable", "moving"),
    [(DEFAULT, 445_249, 1_408), (SMALL, 37_729 - 192, 192)],
)
def test_counts_are_the_papers(config, trainable, moving):
    assert params.count(config) == (trainable, moving)


def test_he_normal_has_its_variance_and_is_cut():
    w = params.he_normal(np.random.default_rng(0), (3, 3, 64, 64))
    assert w.dtype == np.float32
    # for 36,864 samples the standard error of the deviation is about 0.4 %
    assert abs(w.std() / np.sqrt(2 / 576) - 1) < 0.015
    assert abs(w).max() <= 2 * np.sqrt(2 / 576) / params.TRUNCATED_STD


def test_initial_values_are_seeded_and_shaped():
    config = NetworkConfig(2, 8, refine_filters=32)
    p, moving = params.initial(config, 3)
    again, _ = params.initial(config, 3)
    assert {k: a.shape for k, a in p.items()} == params.shapes(config)[0]
    assert {k: a.shape for k, a in moving.items()} == params.shapes(config)[1]
    assert all((p[k] == again[k]).all() for k in p)
    assert (p["stem/conv/w"] != params.initial(config, 4)[0]["stem/conv/w"]).any()
    assert p["refine/conv/w"].shape == (3, 3, 8, 32)


def test_contrasted_start_is_blind_to_the_level_in_most_kernels():
    config = NetworkConfig(2, 8)
    p, _ = params.initial(config, 3)
    images = np.float32(1) + np.random.default_rng(0).normal(0, 0.04, (4, 20, 22, 1)).astype("f4")
    new = params.contrasted(p, images)
    w, blind = new["stem/conv/w"], 6
    zero = np.zeros(8, np.float32)
    level = conv2d(np.full((1, 3, 3, 1), 1, np.float32), w, zero)[0].ravel()
    assert abs(level[:blind]).max() < 1e-5 * abs(w).max()
    assert (level[blind:] != 0).all()
    y, _ = conv2d(images, w, zero)
    # the level, 1, is removed up to rounding, and the rest has variance 1
    assert y[..., :blind].std(axis=(0, 1, 2)) == pytest.approx(np.ones(blind), rel=1e-3)
    np.testing.assert_array_equal(w[..., blind:], p["stem/conv/w"][..., blind:])
    faint = {name for name in p if (new[name] == np.float32(0.1) * p[name]).all() and p[name].any()}
    assert faint == {"block0/bn2/gamma", "block1/bn2/gamma", "tail/bn/gamma"}
    assert {name for name in p if new[name] is not p[name]} == faint | {"stem/conv/w"}


@pytest.mark.parametrize("level", [0, 1, 0.3])
def test_contrasted_start_needs_contrast(level):
    p, _ = params.initial(NetworkConfig(0, 8), 0)
    with pytest.raises(ValueError, match="contrasted: the images must not be flat"):
        params.contrasted(p, np.full((1, 5, 5, 1), level, np.float32))


def test_moving_variance_is_that_of_the_batch_without_bessels_factor():
    """The fused float32 kernel of older Keras on TensorFlow stores M / (M - 1) times this value."""
    fixture = np.load(Path(__file__).parent / "reference" / "bn_moving_float32.npz")
    x, momentum = fixture["x"], float(fixture["momentum"])
    one = np.ones(x.shape[-1], np.float32)
    _, cache = batchnorm(x, one, 0 * one)
    moving = {"bn/mean": fixture["mean"], "bn/var": fixture["var"]}
    moving = params.update_moving(moving, {"bn": cache}, momentum)
    np.testing.assert_allclose(moving["bn/mean"], fixture["mean_after"], rtol=1e-6)
    m = x.size // x.shape[-1]
    fused = moving["bn/var"] + (1 - momentum) * cache.var / (m - 1)
    np.testing.assert_allclose(fused, fixture["var_after"], rtol=1e-6)
    assert (abs(moving["bn/var"] / fixture["var_after"] - 1) > 1e-5).any()  # the factor is detected


def test_pooled_statistics_are_those_of_all_images(rng):
    x = rng.standard_normal((6, 4, 5, 3)) + np.arange(6)[:, None, None, None]
    one, fresh = np.ones(3), {"bn/mean": np.zeros(3), "bn/var": np.ones(3)}
    tapes = ({"bn": batchnorm(x[i : i + 2], one, one)[1]} for i in (0, 2, 4))
    found = params.pooled(fresh, tapes)
    np.testing.assert_allclose(found["bn/mean"], x.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(found["bn/var"], x.var(axis=(0, 1, 2)), rtol=1e-12)


@pytest.mark.parametrize(
    "arguments",
    [{"depth": -1}, {"filters": 0}, {"depth": 1.5}, {"activation": "tanh"}, {"refine_filters": 0}],
)
def test_config_refuses(arguments):
    with pytest.raises(ValueError, match="NetworkConfig: "):
        NetworkConfig(**arguments)
