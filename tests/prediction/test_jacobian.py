"""The norms of rows of the Jacobian, by finite differences and by noise."""

import numpy as np
import pytest
from networks import trained

from enhance_np import models, network, weights
from enhance_np.config import NetworkConfig
from enhance_np.engine import select
from enhance_np.prediction.jacobian import noise_gain

CONFIG = NetworkConfig(1, 4)
APART = 4 * CONFIG.depth + 6  # input pixels: no two rows of a lattice meet
STEP = 1e-5


@pytest.fixture(scope="module")
def small():
    return weights.load(models.path("intensity", "small"))


def output(x, loaded):
    """(N, H, W) -> (N, 2H, 2W), in float64."""
    groups = (loaded.params, loaded.moving)
    p, moving = ({k: a.astype(np.float64) for k, a in group.items()} for group in groups)
    y, _ = network.forward(p, x[..., None], loaded.config, moving=moving)
    return y[..., 0]


def test_is_the_norm_of_finite_differences(rng):
    """Of every output pixel of a small image, the mirror images at its border included."""
    loaded, x = trained(CONFIG), 1 + 0.1 * rng.standard_normal((6, 7))
    steps = STEP * np.eye(x.size).reshape(-1, *x.shape)
    rows = (output(x + steps, loaded) - output(x - steps, loaded)) / (2 * STEP)
    want = np.sqrt((rows**2).sum(axis=0))
    found = noise_gain(x, loaded, spacing=APART)
    assert want.max() > 1.5 * want.min()
    np.testing.assert_allclose(found, want, rtol=1e-6)


def test_rows_that_do_not_meet_are_told_apart(rng):
    """Several pixels in one backward pass give what each gives alone; so do several images."""
    loaded, x = trained(CONFIG), 1 + 0.1 * rng.standard_normal((2, 3 * APART, 2 * APART))
    found = noise_gain(x, loaded, spacing=APART, lattices=[(3, 8)])
    at = np.argwhere(np.isfinite(found[0]))
    assert [tuple(place) for place in at] == [
        (3 + 2 * APART * i, 8 + 2 * APART * j) for i in range(3) for j in range(2)
    ]
    for image, gain in zip(x, found, strict=True):
        for i, j in at:
            alone = noise_gain(image, loaded, spacing=3 * APART, lattices=[(i, j)])
            np.testing.assert_allclose(gain[i, j], alone[i, j], rtol=1e-12)


def test_the_usual_spacing_loses_little(rng):
    """As much as was measured on scenes: 1.6 % at most with the default network."""
    loaded, engine = weights.load(models.path("blos", "default")), select("cpu")
    x = rng.normal(0, 0.05, (56, 56)).astype(np.float32)
    x[20:30, 22:34] = 1
    at = {spacing: (50 % (2 * spacing),) * 2 for spacing in (10, 26)}
    near, exact = (
        noise_gain(x, loaded, spacing=spacing, lattices=[first], engine=engine)[50, 50]
        for spacing, first in at.items()
    )
    assert near != exact
    assert near == pytest.approx(exact, rel=0.03)


def test_is_what_becomes_of_noise(rng):
    """500 draws: the spread of a pixel has an error of 3.2 %. So little noise crosses no kink."""
    loaded, (y, x) = trained(CONFIG), np.mgrid[:8, :8]
    image = 1 + 0.1 * np.sin(y / 2) * np.cos(x / 3)
    draws = 1e-7 * rng.standard_normal((500, 8, 8))
    found = output(image + draws, loaded).std(axis=0) / 1e-7
    want = noise_gain(image, loaded, spacing=APART)
    np.testing.assert_allclose(found, want, rtol=6 * 0.032)
    assert (found / want).mean() == pytest.approx(1, abs=0.02)


def test_the_engine_gives_the_same(small, rng):
    x = (1 + 0.1 * rng.standard_normal((9, 12))).astype(np.float32)
    own = noise_gain(x, small, lattices=[(0, 3)])
    fast = noise_gain(x, small, lattices=[(0, 3)], engine=select("cpu"))
    np.testing.assert_allclose(fast, own, rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((9,), {}, "x must be"),
        ((1, 9), {}, "H, W >= 2"),
        ((9, 9), {"spacing": 0}, "spacing must be 1 or more"),
        ((9, 9), {"spacing": 4, "lattices": [(0, 8)]}, "begin below 2 spacing"),
    ],
)
def test_refuses(small, shape, options, message):
    with pytest.raises(ValueError, match=message):
        noise_gain(np.ones(shape), small, **options)
