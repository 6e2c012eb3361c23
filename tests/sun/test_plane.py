import numpy as np
import pytest

from enhance_np import _threads as threads
from enhance_np.sun.plane import Plane, ramp

PLANE = Plane((96, 120), 0.1)


@pytest.fixture
def field(rng):
    return rng.standard_normal(PLANE.shape).astype(np.float32)


def test_noise_is_standardised_and_of_its_scale(rng):
    plane = Plane((256, 300), 0.1)
    field = plane.noise(rng, 0.4)
    assert field.dtype == np.float32
    assert abs(field.mean()) < 1e-6
    assert field.std() == pytest.approx(1, abs=0.1)
    # white noise convolved with exp(-r^2 / 2s^2) has the autocorrelation exp(-r^2 / 4s^2)
    for axis in (0, 1):
        shifted = (field * np.roll(field, 4, axis)).mean() / (field**2).mean()
        assert shifted == pytest.approx(np.exp(-0.25), abs=0.06)


def test_smoothing_keeps_the_mean_and_wraps_around(field):
    smooth = PLANE.smooth(field + 3, 0.3)
    assert smooth.mean() == pytest.approx(field.mean() + 3, abs=1e-5)
    moved = PLANE.smooth(np.roll(field + 3, (5, 7), (0, 1)), 0.3)
    np.testing.assert_allclose(moved, np.roll(smooth, (5, 7), (0, 1)), atol=1e-5)


def test_carries_whole_pixels_exactly_and_parts_linearly(field):
    def by(pixels):
        return np.full(PLANE.shape, pixels, np.float32)

    (moved,) = PLANE.carry([field], by(2), by(-3))
    np.testing.assert_array_equal(moved, np.roll(field, (2, -3), (0, 1)))
    (half,) = PLANE.carry([field], by(0.5), by(0))
    np.testing.assert_allclose(half, (field + np.roll(field, 1, 0)) / 2, atol=1e-6)


def test_refined_aligns_edges():
    y = np.cos(2 * np.pi * (np.arange(96) + 0.5) / 96)
    coarse = np.repeat(y[:, None], 120, axis=1).astype(np.float32)
    fine, (field,) = PLANE.refined([coarse])
    assert fine.shape == (192, 240)
    assert fine.spacing == 0.05
    want = np.cos(2 * np.pi * (np.arange(192) + 0.5) / 192)
    np.testing.assert_allclose(field[:, 7], want, atol=2e-3)


def test_threads_change_no_bit(rng, field):
    results = []
    try:
        for count in (1, 3):
            threads.set_threads(count)
            noise = PLANE.noise(np.random.default_rng(0), 0.2)
            results.append([noise, *PLANE.carry([field, noise], 3 * noise, noise)])
    finally:
        threads.set_threads(None)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_ramp():
    np.testing.assert_allclose(ramp(np.array([-50.0, 0, 50])), [0, 0.5, 1])
