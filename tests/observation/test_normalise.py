"""Levels, norms, gaps."""

import numpy as np
import pytest

from enhance_np.observation import disc
from enhance_np.observation.normalise import (
    Norm,
    divided,
    fill,
    multiplied,
    norm_value,
    quiet_sun_level,
    restore,
)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def granulation(rng, shape, level=1.0):
    """Quiet Sun as HMI sees it, with a contrast of 4 %."""
    return (level * (1 + 0.04 * rng.standard_normal(shape))).astype(np.float32)


def test_norm_value(rng):
    data = granulation(rng, (40, 40), 50_000)
    data[0, 0] = np.nan
    assert norm_value(data, "quiet-sun", "intensity") == Norm(quiet_sun_level(data))
    assert norm_value(data, "max", "intensity") == Norm(np.nanmax(data))
    assert norm_value(data, "none", "intensity") == Norm(1.0)
    assert norm_value(data, "5.1e4", "intensity") == Norm(51_000.0)
    assert norm_value(data, 51_000, "intensity") == Norm(51_000.0)
    for norm in ("quiet-sun", "max", "none", 3.0):
        assert norm_value(-data, norm, "blos") == Norm(1000.0)


@pytest.mark.parametrize("norm", ["0", "-1", "nan", "inf", "median", "", None, 0, float("nan")])
@pytest.mark.parametrize("type", ["intensity", "blos"])
def test_norm_value_refuses(norm, type):
    with pytest.raises(ValueError, match=r"^norm_value: norm must be .* got norm="):
        norm_value(np.ones((3, 3)), norm, type)


def test_norm_value_refuses_a_dark_maximum_and_another_type():
    with pytest.raises(ValueError, match=r"got norm='max' with maximum -1\.0"):
        norm_value(np.full((3, 3), -1.0), "max", "intensity")
    with pytest.raises(ValueError, match=r"^norm_value: type must be one of .* got type='doppler'"):
        norm_value(np.ones((3, 3)), "none", "doppler")


def test_fill_mirrors_in_the_nearest_valid_pixel():
    """A gap gets 2v minus its mirror image in the nearest valid pixel v, or v if there is none."""
    nan = np.nan
    data = np.array([[9, 7, 4, nan, nan, nan, nan], [9, 9, 9, nan, 6, 8, np.inf]], np.float32)
    before = data.copy()
    filled, mask = fill(data)
    np.testing.assert_array_equal(data, before)
    np.testing.assert_array_equal(mask, ~np.isfinite(data))
    np.testing.assert_array_equal(filled[~mask], data[~mask])
    assert filled.dtype == np.float32
    assert filled[0, 3] == 2 * 4 - 7
    assert filled[0, 4] == 6  # v is in the other line, and its mirrored pixel is outside
    assert filled[0, 5] == 8
    assert filled[1, 3] in (2 * 9 - 9, 2 * 6 - 8)
    assert filled[1, 6] == 8  # not 2 * 8 - 6, which is clipped to v


@pytest.mark.parametrize("sign", [1, -1])
def test_fill_falls_to_zero_but_no_further(sign):
    falling = np.array([[9.0, 5.0, 3.0, np.nan, np.nan]] * 2)
    np.testing.assert_array_equal(fill(sign * falling)[0][0, 3:], [sign * 1, 0])
    rising = np.array([[1.0, 2.0, 3.0, np.nan, np.nan]] * 2)
    np.testing.assert_array_equal(fill(sign * rising)[0][0, 3:], [sign * 3, sign * 3])


def test_fill_in_bands_of_lines(rng, monkeypatch):
    data = rng.standard_normal((50, 40))
    data[rng.random(data.shape) < 0.6] = np.nan
    want, _ = fill(data)
    monkeypatch.setattr("enhance_np.observation.normalise.LINES", 7)
    np.testing.assert_array_equal(fill(data)[0], want)


def test_fill_makes_no_edge_at_the_limb():
    """The largest step is at most 1.5 times the largest step on the disc."""
    y, x = np.mgrid[-1.2:1.2:120j, -1.2:1.2:120j]
    disc = np.where(x * x + y * y < 1, 1 - 0.3 * (x * x + y * y), np.nan)
    filled, mask = fill(disc)
    assert mask.any()
    for axis in (0, 1):
        on_disc = np.nanmax(np.abs(np.diff(disc, axis=axis)))
        assert np.abs(np.diff(filled, axis=axis)).max() <= 1.5 * on_disc


def test_fill_without_gaps_and_without_pixels():
    data = np.ones((3, 4), np.float32)
    filled, mask = fill(data)
    np.testing.assert_array_equal(filled, data)
    assert not mask.any()
    with pytest.raises(ValueError, match=r"fill: needs one valid pixel or more, got none"):
        fill(np.full((3, 4), np.nan))


def located(shape, radius):
    """mu of a disc of `radius` pixels in the middle of the image."""
    cards = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "RSUN_OBS": 0.5 * radius}
    for i in (1, 2):
        cards |= {f"CUNIT{i}": "arcsec", f"CDELT{i}": 0.5, f"CRPIX{i}": (shape[2 - i] + 1) / 2}
    return disc.locate(cards)


def magnetogram(rng, mu, shape):
    """(field, off the disc): HMI's noise on and off the disc, and its spikes next to the limb."""
    off = np.isnan(mu(*map(np.arange, shape)))
    field = np.where(off, 50, 8) * rng.standard_normal(shape)
    near = off & ~np.isnan(located(shape, 40)(*map(np.arange, shape)))
    return np.where(near, np.sign(field) * 4000, field), off


def test_off_the_limb_a_magnetogram_measures_nothing(rng):
    shape = (100, 110)
    mu = located(shape, 38)
    field, off = magnetogram(rng, mu, shape)
    norm = norm_value(field, "quiet-sun", "blos", mu)
    assert norm == (1000.0, 0.0, mu, True)
    x, mask = divided(field, norm)
    np.testing.assert_array_equal(mask, off)
    assert abs(x).max() < 0.1
    np.testing.assert_array_equal(x[~off], (field / 1000).astype(np.float32)[~off])


def test_a_header_that_calls_half_the_sun_sky_is_not_believed(rng):
    """Pixels off the disc stay valid unless they are noisier than those on it, and both exist."""
    shape = (100, 110)
    mu = located(shape, 38)
    field, off = magnetogram(rng, mu, shape)
    assert not norm_value(8 * rng.standard_normal(shape), "none", "blos", mu).disc_only
    assert not norm_value(np.where(off, np.nan, field), "none", "blos", mu).disc_only
    assert not norm_value(np.where(off, field, np.nan), "none", "blos", mu).disc_only
    assert not norm_value(field, "none", "blos").disc_only


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("strength", [1.0, 0.7])
def test_norm_on_the_disc_and_off_it(factor, strength):
    """The divisor is the law at each pixel; off the disc it is that of the limb, 0.32."""
    shape = (40, 50)
    norm = Norm(7.0, strength, located(shape, 18))
    y, x = ((np.arange(factor * n) + 0.5 - factor * n / 2) / factor for n in shape)
    squared = 1 - (y[:, None] ** 2 + x**2) / 18**2
    want = 7 * disc.limb_darkening(np.sqrt(squared.clip(0))) ** strength
    found = norm.lines(0, 40, 50, factor)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, want, rtol=1e-6)
    assert found[0, 0] == found[-1, -1] == pytest.approx(7 * 0.3225**strength, rel=1e-3)
    lines = norm.lines(5, 9, 50, factor)
    np.testing.assert_array_equal(lines, found[5 * factor : 9 * factor])


def test_there_and_back(rng, monkeypatch):
    """Division makes the image flat; multiplication restores the limb darkening on finer pixels."""
    monkeypatch.setattr("enhance_np.observation.normalise.LINES", 7)
    shape = (40, 50)
    mu = located(shape, 18)
    norm = Norm(7.0, 0.9, mu)
    image = 7 * disc.limb_darkening(mu(np.arange(40), np.arange(50))) ** 0.9
    before = image.copy()
    x, mask = divided(image, norm)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(mask, np.isnan(image))
    np.testing.assert_allclose(x, 1, rtol=1e-6)
    out = multiplied(np.ones((80, 100), np.float32), mask, norm)
    assert out.dtype == np.float32
    gaps = mask.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(np.isnan(out), gaps)
    np.testing.assert_array_equal(out[~gaps], norm.lines(0, 40, 50, 2)[~gaps])


def test_divided_without_limb_darkening_is_a_quotient(rng):
    """Bit for bit, also for integers and float64."""
    for image in (rng.random((9, 8)), rng.integers(1, 99, (9, 8)), rng.random((9, 8), np.float32)):
        x, mask = divided(image, Norm(3.7))
        np.testing.assert_array_equal(x, (image / 3.7).astype(np.float32))
        assert not mask.any()


def test_divided_needs_float32():
    with pytest.raises(ValueError, match="^divided: image / norm must fit float32, got norm=1e-30"):
        divided(np.full((3, 3), 1e20), Norm(1e-30))


def test_restore_covers_two_by_two(rng):
    data = rng.standard_normal((5, 6)).astype(np.float32)
    data[1, 2] = data[4] = np.nan
    filled, mask = fill(data)
    out = filled.repeat(2, axis=0).repeat(2, axis=1)
    got = restore(out, mask)
    assert got.dtype == np.float32
    assert np.isfinite(out).all()  # the argument is not changed
    np.testing.assert_array_equal(got, data.repeat(2, axis=0).repeat(2, axis=1))
    for shape in ((10, 13), (9, 12), (4, 5), (10, 18)):
        with pytest.raises(ValueError, match=r"^restore: .*, got \("):
            restore(np.zeros(shape), mask)
