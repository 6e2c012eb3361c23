import numpy as np
import pytest
from made import smooth_scene

from enhance_np.evaluate.spectrum import (
    BANDS,
    band_powers,
    nyquist_lines,
    phase_amplitude,
    power_spectrum,
)
from enhance_np.optics.cosines import double


def sine(shape, pixel_scale, frequency, angle=0.0):
    y, x = (np.arange(n) * pixel_scale for n in shape)
    along = x * np.cos(angle) + y[:, None] * np.sin(angle)
    return np.sin(2 * np.pi * frequency * along)


@pytest.mark.parametrize("angle", [0.0, 0.6, np.pi / 2])
def test_sine(angle):
    """In any direction, all power is within 2 rings, the width of the window, of the frequency."""
    scale, frequency = 0.25, 0.8
    found = power_spectrum(7 + sine((100, 128), scale, frequency, angle), scale)
    width = 1 / (128 * scale)
    assert np.abs(found.frequency[np.argmax(found.power)] - frequency) <= width
    near = np.abs(found.frequency - frequency) < 3.5 * width
    assert found.power[near].sum() > 0.99 * found.power.sum()
    bands = dict(
        zip(BANDS, band_powers(sine((100, 128), scale, frequency, angle), scale), strict=True)
    )
    assert max(bands, key=bands.get) == (0.75, 1.0)


@pytest.mark.parametrize("pixel_scale", [0.25, 0.5])
@pytest.mark.parametrize("shape", [(128, 128), (96, 150)])
def test_white_noise(shape, pixel_scale, rng):
    """The power is sigma^2 pixel_scale^2 at all frequencies. A ring of n modes scatters by
    2 / sqrt(n): modes are exponential, half of them repeat the other half, and the window
    correlates neighbours. Rings above a fifth of the Nyquist frequency have at least 100 modes."""
    found = power_spectrum(3 * rng.standard_normal(shape), pixel_scale)
    assert found.frequency[-1] <= 0.5 / pixel_scale + 1e-9
    rings = found.power[len(found.power) // 5 :]
    want = 9 * pixel_scale**2
    np.testing.assert_allclose(rings, want, rtol=0.9)
    assert rings.mean() == pytest.approx(want, rel=0.05)


def test_power_does_not_depend_on_the_grid(rng):
    """The same continuous image has the same power on pixels of half the size. 1 % is allowed
    because the window is sampled at other points, and is zero at the border."""
    low = smooth_scene(rng, (12, 12), highest=0.8)[::2, ::2]
    low = low - low.mean()
    high = double(low)
    scale = 0.126
    bands = ((0.25, 0.5), (0.5, 0.75))
    np.testing.assert_allclose(
        band_powers(high, scale / 2, bands), band_powers(low, scale, bands), rtol=0.01
    )


def test_bands_beyond_the_pixels_are_unknown(rng):
    """HMI's pixels resolve 0.99 cycles per arcsec: the band up to 1.0 is known, the next is not."""
    found = band_powers(rng.standard_normal((64, 64)), 0.504302)
    assert np.isfinite(found).tolist() == [True] * 4 + [False] * 2
    assert np.isfinite(band_powers(rng.standard_normal((64, 64)), 0.252151)).all()


def test_nyquist_of_noise(rng):
    """The ratio is 1 within its scatter, and 80 draws confirm the scatter to 25 %: the standard
    deviation of 160 values is known to 6 %, and the two lines of an image are not independent."""
    found = [nyquist_lines(rng.standard_normal((64, 80))) for _ in range(80)]
    lines = [line for pair in found for line in pair.values()]
    ratios = np.array([line.ratio for line in lines])
    scatter = np.mean([line.scatter for line in lines])
    assert ratios.mean() == pytest.approx(1, abs=4 * scatter / np.sqrt(len(lines)))
    assert ratios.std() == pytest.approx(scatter, rel=0.25)


def test_steep_spectrum_has_no_pattern(rng):
    """Solar power falls by decades towards the Nyquist frequency; so does the expected power."""
    shape = (128, 160)
    f = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    spectrum = np.fft.fft2(rng.standard_normal(shape)) * np.exp(-8 * f)
    for line in nyquist_lines(np.fft.ifft2(spectrum).real).values():
        assert abs(line.ratio - 1) < 4 * line.scatter


@pytest.mark.parametrize("where", ["columns", "rows"])
def test_alternating_gain_is_seen(where, rng):
    """A typical fault of upsampling by 2: every second column is a tenth brighter."""
    image = smooth_scene(rng, (16, 16), highest=0.8)
    gain = 1 + 0.05 * (-1.0) ** np.arange(128)
    bad = image * (gain if where == "columns" else gain[:, None])
    good, found = nyquist_lines(image), nyquist_lines(bad)
    assert found[where].ratio > 1 + 10 * found[where].scatter
    other = "rows" if where == "columns" else "columns"
    assert found[other].ratio == pytest.approx(good[other].ratio, rel=0.05)


def test_ratio_of_a_known_pattern(rng):
    """A pattern +-a on white noise of sigma = 1. The window keeps (sum w)^2 / sum w^2 = 4/9 of the
    number of pixels in the peak, and spreads half as much over its two neighbours along the line.
    The line is then due to the pattern, and only its neighbourhood scatters, by half of `scatter`,
    10 %."""
    n, a = 128, 5.0
    image = rng.standard_normal((n, n)) + a * (-1.0) ** np.arange(n)
    found = nyquist_lines(image)["columns"]
    want = 1 + a**2 * 4 / 9 * 1.5 * n
    assert found.ratio == pytest.approx(want, rel=0.4)
    assert found.scatter == pytest.approx(0.2, rel=0.2)


def test_pattern_amplitude(rng):
    y, x = np.indices((60, 64))
    smooth = 5 + np.sin(x / 9) * np.cos(y / 7)
    assert phase_amplitude(smooth) < 1e-4
    for pattern in ((-1.0) ** x, (-1.0) ** y, (-1.0) ** (x + y)):
        assert phase_amplitude(smooth + 0.03 * pattern) == pytest.approx(0.03, rel=0.01)


def test_constant_image_has_no_ratio():
    for line in nyquist_lines(np.ones((40, 40))).values():
        assert np.isnan(line.ratio)


def test_small_image():
    with pytest.raises(ValueError, match="32 x 32"):
        nyquist_lines(np.ones((31, 40)))
