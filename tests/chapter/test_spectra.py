"""Scales and levels of known spectra and images."""

import numpy as np
import pytest
from scipy.fft import fft2, fftfreq, ifft2

from enhance_np.chapter import spectra
from enhance_np.evaluate.spectrum import Spectrum, power_spectrum

F = np.arange(1, 201) / 400


def noise_with(power, rng, side=200):
    """White noise of sigma 1, filtered to power(f) per (cycle / pixel)^2."""
    f = np.hypot(fftfreq(side)[:, None], fftfreq(side))
    modes = fft2(rng.standard_normal((side, side)))
    return ifft2(modes * np.sqrt(power(f))).real


def bump(f, at, width):
    """A power whose variance per octave, f^2 P, is a Gaussian about `at`."""
    return np.exp(-(((f - at) / width) ** 2) / 2) / np.maximum(f, 1e-3) ** 2


def test_the_excess_of_a_known_spectrum():
    red = 50 * F**-3.0
    added = bump(F, 0.15, 0.03)
    found = spectra.excess(Spectrum(F, red), Spectrum(F, red + added))
    # the average over frequencies widens the bump: sigma^2 = 0.03^2 + SMOOTHING^2
    half = np.sqrt(2 * np.log(2) * (0.03**2 + spectra.SMOOTHING**2))
    step = F[1] - F[0]
    assert abs(found.variance - 0.15) <= step
    assert abs(found.low - (0.15 - half)) <= 1.5 * step
    assert abs(found.high - (0.15 + half)) <= 1.5 * step


def test_the_largest_ratio_is_that_of_the_powers_and_not_of_the_variance():
    red = 50 * F**-5.0
    out = red * np.exp(2 * np.exp(-(((F - 0.2) / 0.05) ** 2)))
    found = spectra.excess(Spectrum(F, red), Spectrum(F, out))
    assert abs(found.ratio - 0.2) <= F[1] - F[0]
    assert found.variance < 0.195  # f^-3 falls from 0.19 to 0.2 by 14 %, the ratio grows by 4 %


def test_an_excess_at_the_end_of_the_search_reaches_it():
    found = spectra.excess(Spectrum(F, 0 * F + 1.0), Spectrum(F, 0 * F + 2.0))
    assert (found.variance, found.high) == (F[-1], F[-1])
    first = spectra.excess(Spectrum(F, F**-4.0), Spectrum(F, 2 * F**-4.0))
    assert first.variance == first.low == pytest.approx(spectra.FIRST)


def test_no_excess():
    assert np.isnan(spectra.excess(Spectrum(F, 2 / F), Spectrum(F, 1 / F))).all()


def test_the_excess_of_an_image(rng):
    image = noise_with(lambda f: 1e-4 + 0 * f, rng)
    added = noise_with(lambda f: bump(f, 0.12, 0.03), rng)
    pair = [power_spectrum(i, 1.0) for i in (image, image + added)]
    # 2 pi 0.12 200 modes in a ring of 1 / 200, ten rings in the average: the curve scatters by 3 %,
    # so its maximum lies where the Gaussian is above 0.9, within 0.46 sigma
    assert abs(spectra.excess(*pair).variance - 0.12) < 0.46 * 0.032


def test_the_level_of_white_noise(rng):
    found = power_spectrum(12 * rng.standard_normal((200, 200)), 1.0)
    # 2 pi 0.275 0.05 200^2 = 3455 modes, half of them independent, a window of 1.94
    assert spectra.noise_level(found) == pytest.approx(12, rel=4 * np.sqrt(1.94 / 1700) / 2)


def test_spectra_are_of_the_part_without_gaps(rng):
    image = rng.standard_normal((60, 64))
    out = np.kron(image, np.ones((2, 2)))
    image[:10], out[:20] = np.nan, np.nan
    found = spectra.spectra(image, {"output": out})
    assert list(found) == ["input", "output"]
    again = spectra.spectra(image[10:], {"output": out[20:]})
    for name in found:
        assert np.isfinite(found[name].power).all()
    np.testing.assert_allclose(found["output"].power, again["output"].power)
