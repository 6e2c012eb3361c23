from pathlib import Path

import numpy as np
import pytest

from enhance_np import params
from enhance_np.config import DEFAULT, SMALL, NetworkConfig
from enhance_np.layers import batchnorm


@pytest.mark.parametrize(
    ("config", "trainable", "moving"),
    [(DEFAULT, 445_249, 1_408), (SMALL, 37_729 - 192, 192)],
)
def test_counts_are_the_papers(config, trainable, moving):
    assert params.count(config) == (trainable, moving)


def test_he_normal_has_its_variance_and_is_cut():
    w = params.he_normal(np.random.default_rng(0), (3, 3, 64, 64))
    assert w.dtype == np.float32
    # 36,864 samples: the deviation's standard error is about 0.4 %
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


def test_moving_variance_is_that_of_the_batch_without_bessels_factor():
    """The fused float32 kernel of older Keras on TensorFlow stores M / (M - 1) times it."""
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
    assert (abs(moving["bn/var"] / fixture["var_after"] - 1) > 1e-5).any()  # it is seen here


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
