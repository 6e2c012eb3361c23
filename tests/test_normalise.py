"""Levels, norms, gaps."""

import numpy as np
import pytest

from enhance_np.normalise import fill, norm_value, quiet_sun_level, restore


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def granulation(rng, shape, level=1.0):
    """Quiet Sun as HMI sees it: a contrast of 4 %."""
    return (level * (1 + 0.04 * rng.standard_normal(shape))).astype(np.float32)


def spot(rng, fractions=(0.3, 0.5, 0.2), n=120):
    """A field of umbra 0.2, penumbra 0.75 and quiet Sun 1 in these fractions of the area."""
    levels = np.repeat([0.2, 0.75, 1.0], np.round(np.multiply(fractions, n * n)).astype(int))
    return granulation(rng, (n, n)) * rng.permutation(levels).reshape(n, n).astype(np.float32)


@pytest.mark.parametrize("level", [1.0, 188.0, 55_000.0])
def test_quiet_level_of_quiet_sun(rng, level):
    assert quiet_sun_level(granulation(rng, (60, 70), level)) == pytest.approx(level, rel=0.005)


def test_quiet_level_is_the_upper_mode(rng):
    """A spot that fills most of the field does not pull the level: its median is 0.75."""
    data = spot(rng)
    assert np.median(data) < 0.8
    assert quiet_sun_level(data) == pytest.approx(1.0, rel=0.01)


def test_quiet_level_scales_with_the_unit(rng):
    data = spot(rng)
    assert quiet_sun_level(50_000 * data) == pytest.approx(50_000 * quiet_sun_level(data))


def test_quiet_level_ignores_outliers(rng):
    """NaN and zeros off the limb, faculae, one hot pixel."""
    data = granulation(rng, (100, 100))
    data[:, :30] = np.nan
    data[:, 30:40] = 0
    data[:2] *= 1.15
    data[50, 50] = 1e6
    assert quiet_sun_level(data) == pytest.approx(1.0, rel=0.01)


def test_quiet_level_of_a_full_disc(rng):
    """Limb darkening of 0.56: below disc centre by less than the window of 10 %."""
    y, x = np.mgrid[-1.1:1.1:200j, -1.1:1.1:200j]
    mu = np.sqrt(np.clip(1 - x * x - y * y, 0, None))
    data = np.where(mu > 0, granulation(rng, mu.shape) * (0.44 + 0.56 * mu), np.nan)
    assert 0.9 < quiet_sun_level(data) < 0.96


def test_quiet_level_of_tiny_and_flat_images(rng):
    assert quiet_sun_level(np.full((5, 5), 7.0)) == 7.0
    assert quiet_sun_level(np.array([[np.nan, 3.0], [-1.0, np.nan]])) == 3.0
    for n in (2, 4, 8):
        assert 0.85 < quiet_sun_level(granulation(rng, (n, n))) < 1.15


def test_quiet_level_needs_light():
    for data in (np.zeros((3, 3)), np.full((3, 3), np.nan), np.full((3, 3), -1.0)):
        with pytest.raises(ValueError, match="quiet_sun_level: needs one positive pixel"):
            quiet_sun_level(data)


def test_norm_value(rng):
    data = granulation(rng, (40, 40), 50_000)
    data[0, 0] = np.nan
    assert norm_value(data, "quiet-sun", "intensity") == quiet_sun_level(data)
    assert norm_value(data, "max", "intensity") == np.nanmax(data)
    assert norm_value(data, "none", "intensity") == 1.0
    assert norm_value(data, "5.1e4", "intensity") == 51_000.0
    assert norm_value(data, 51_000, "intensity") == 51_000.0
    for norm in ("quiet-sun", "max", "none", 3.0):
        assert norm_value(-data, norm, "blos") == 1000.0


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


def test_fill_takes_the_nearest_valid_pixel():
    data = np.array([[np.nan, np.nan, 3.0], [np.nan, 5.0, 4.0], [7.0, 6.0, np.inf]], np.float32)
    before = data.copy()
    filled, mask = fill(data)
    np.testing.assert_array_equal(data, before)
    np.testing.assert_array_equal(mask, ~np.isfinite(data))
    np.testing.assert_array_equal(filled[~mask], data[~mask])
    assert filled.dtype == np.float32
    assert filled[0, 1] in (3.0, 5.0)
    assert filled[1, 0] in (5.0, 7.0)
    assert filled[2, 2] in (4.0, 6.0)


def test_fill_makes_no_edge_at_the_limb():
    """The largest step anywhere is no larger than the largest step on the disc."""
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


def test_restore_covers_two_by_two(rng):
    data = rng.standard_normal((5, 6)).astype(np.float32)
    data[1, 2] = data[4] = np.nan
    filled, mask = fill(data)
    out = filled.repeat(2, axis=0).repeat(2, axis=1)
    got = restore(out, mask)
    assert got.dtype == np.float32
    assert np.isfinite(out).all()  # not changed
    np.testing.assert_array_equal(got, data.repeat(2, axis=0).repeat(2, axis=1))
    for shape in ((10, 13), (9, 12), (4, 5), (10, 18)):
        with pytest.raises(ValueError, match=r"^restore: .*, got \("):
            restore(np.zeros(shape), mask)
