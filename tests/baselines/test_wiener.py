import numpy as np
import pytest
from made import pair, smooth_scene

from enhance_np.baselines.tuning import Pair
from enhance_np.baselines.wiener import CANDIDATES, tune, wiener
from enhance_np.optics.cosines import transfers
from enhance_np.optics.degrade import HMI, HMI_SCALE


def test_exact_without_noise(rng):
    """Below the input's Nyquist frequency, everything that HMI transmits is recovered.

    At 0.9 cycles per arcsec HMI transmits 0.06: the rounding of the input, 1e-16, grows to 1e-14.
    """
    low, high = pair(smooth_scene(rng, highest=0.9))
    np.testing.assert_allclose(wiener(low, 0.0), high, atol=1e-11)


def test_gain_is_the_formula():
    """The gain of one cosine, with 5 periods in 20 pixels along one axis, is A P / (P^2 + nsr)."""
    image = np.cos(np.pi / 20 * 10 * (np.arange(20) + 0.5))[:, None] * np.ones(24)
    psf, target = (t[10, 0] for t in transfers((20, 24), HMI_SCALE, HMI))
    want = target * psf / (psf**2 + 0.02)
    wave = np.cos(np.pi / 40 * 10 * (np.arange(40) + 0.5))[:, None] * np.ones(48)
    np.testing.assert_allclose(wiener(image, 0.02), want * wave, atol=1e-12)
    assert want < 0.99 * target / psf


def test_is_not_exact_beyond(rng):
    low, high = pair(smooth_scene(rng, highest=1.6))
    assert np.abs(wiener(low, 1e-4) - high).max() > 1e-3


def test_mean_passes(rng):
    image = 5 + rng.standard_normal((10, 12))
    assert wiener(image, 0.3).mean() == pytest.approx(image.mean(), rel=1e-12)


def test_strong_noise_leaves_the_mean(rng):
    image = 5 + rng.standard_normal((10, 12))
    assert np.ptp(wiener(image, 1e6)) < 1e-4


def test_tuning_finds_the_noise(rng):
    """The best nsr grows with the noise, lies inside the range, and is better than both ends."""
    low, high = pair(smooth_scene(rng))
    noise = rng.standard_normal(low.shape)
    found = [tune([Pair(low + s * noise, high)]) for s in (1e-3, 1e-2)]
    assert found[0].value < found[1].value
    for one in found:
        assert not one.at_end
        assert one.mse < 0.5 * min(one.curve[0][1], one.curve[-1][1])
        assert tuple(nsr for nsr, _ in one.curve) == CANDIDATES


@pytest.mark.parametrize("nsr", [-1e-3, np.nan, np.inf])
def test_bad_nsr(nsr):
    with pytest.raises(ValueError, match="nsr"):
        wiener(np.ones((4, 4)), nsr)


def test_nan_is_refused():
    with pytest.raises(ValueError, match="finite"):
        wiener(np.full((4, 4), np.nan), 0.1)
