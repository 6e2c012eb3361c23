"""The level of the quiet Sun, limb darkening, and images without them."""

import numpy as np
import pytest

from enhance_np.observation import disc
from enhance_np.observation.quiet_sun import quiet_sun, quiet_sun_level, usual_level


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def granulation(rng, shape, level=1.0):
    """Quiet Sun as HMI sees it, with a contrast of 4 %."""
    return (level * (1 + 0.04 * rng.standard_normal(shape))).astype(np.float32)


def spot(rng, fractions=(0.3, 0.5, 0.2), n=120):
    """An image with these fractions of umbra (0.2), penumbra (0.75) and quiet Sun (1)."""
    levels = np.repeat([0.2, 0.75, 1.0], np.round(np.multiply(fractions, n * n)).astype(int))
    return granulation(rng, (n, n)) * rng.permutation(levels).reshape(n, n).astype(np.float32)


@pytest.mark.parametrize("level", [1.0, 188.0, 55_000.0])
def test_quiet_level_of_quiet_sun(rng, level):
    assert quiet_sun_level(granulation(rng, (60, 70), level)) == pytest.approx(level, rel=0.005)


def test_quiet_level_is_the_upper_mode(rng):
    """A spot that fills most of the image does not change the level, though the median is 0.75."""
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
    """With a limb darkening of 0.56, the level is less than the window of 10 % below disc
    centre."""
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


RADIUS = 952.0  # arcsec


def located(shape, scale, centre=(0.0, 0.0)):
    """mu of an image of `shape` around `centre` (x, y) in arcsec, rotated like HMI's."""
    cards = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "RSUN_OBS": RADIUS, "CROTA2": 179.93}
    for i in (1, 2):
        cards |= {f"CUNIT{i}": "arcsec", f"CDELT{i}": scale, f"CRVAL{i}": centre[i - 1]}
        cards[f"CRPIX{i}"] = (shape[2 - i] + 1) / 2
    return disc.locate(cards)


def sun(rng, mu, shape, level=60_000.0, strength=1.0):
    """Limb darkening, noise, and granulation whose contrast falls towards the limb; NaN off it."""
    at = mu(*map(np.arange, shape))
    granules = 1 + (0.04 * np.nan_to_num(at) + 0.002) * rng.standard_normal(shape)
    return level * disc.limb_darkening(at) ** strength * granules


def spotted(data, mu, shape):
    """Adds umbrae and penumbrae on 7 % of the image, and faculae, which are bright near the
    limb."""
    at = np.nan_to_num(mu(*map(np.arange, shape)))
    y, x = np.indices(shape) / max(shape)
    spot = np.zeros(shape, int)
    for i, j in ((0.3, 0.4), (0.35, 0.7), (0.6, 0.3)):
        r = np.hypot(y - i, x - j)
        spot += (r < 0.09).astype(int) + (r < 0.04)
    plage = np.sin(40 * x) * np.sin(30 * y) > 0.7
    factor = np.choose(spot, [1.0, 0.75, 0.2]) * np.where(plage, 1 + 0.15 * (1 - at), 1)
    return data * factor


@pytest.mark.parametrize("strength", [1.0, 0.6, 0.0])
@pytest.mark.parametrize("spots", [False, True])
def test_full_disk(rng, strength, spots):
    """The level is found to 1 % and the strength to 0.02, with spots too; it is 0 without
    darkening."""
    shape = (300, 310)
    mu = located(shape, 6.8, (30.0, -20.0))
    data = sun(rng, mu, shape, strength=strength)
    if spots:
        data = spotted(data, mu, shape)
    level, found = quiet_sun(data.astype(np.float32), mu, 60_000)
    assert level == pytest.approx(60_000, rel=0.01)
    assert found == pytest.approx(strength, abs=0.02)
    assert (found == 0) == (strength == 0)


def test_large_images_are_sampled(rng, monkeypatch):
    """The result is nearly the same, and mu is computed for the sample only."""
    shape = (600, 500)
    mu = located(shape, 3.9, (250.0, 0.0))
    data = sun(rng, mu, shape)
    whole = quiet_sun(data, mu)
    asked = []

    def counted(rows, columns):
        asked.append(len(rows) * len(columns))
        return mu(rows, columns)

    monkeypatch.setattr("enhance_np.observation.quiet_sun.SAMPLE", 20_000)
    assert quiet_sun(data, counted) == pytest.approx(whole, rel=0.01)
    assert sum(asked) <= 20_000


@pytest.mark.parametrize("strength", [1.0, 0.0])
@pytest.mark.parametrize("x", [-900.0, 700.0, 800.0])
def test_cut_out_near_the_limb(rng, strength, x):
    """It spans enough of the law to give the level at disc centre.

    The relative error of the level is that of the strength, 0.1, times ln law, at most 0.4 here.
    """
    shape = (200, 240)
    mu = located(shape, 0.504, (x, 200.0))
    level, found = quiet_sun(sun(rng, mu, shape, strength=strength), mu)
    assert level == pytest.approx(60_000, rel=0.04)
    assert found == pytest.approx(strength, abs=0.1)


def test_fall_of_the_limb_is_no_limb_darkening(rng):
    """Blur, or a radius that is slightly too large, darkens the last arcsecs."""
    shape = (200, 240)
    mu = located(shape, 0.504, (-880.0, 200.0))
    data = sun(rng, mu, shape, strength=0.6)
    data *= np.clip(mu(*map(np.arange, shape)) / 0.15, 0.05, 1)
    level, strength = quiet_sun(data, mu)
    assert level == pytest.approx(60_000, rel=0.04)
    assert strength == pytest.approx(0.6, abs=0.1)


def test_cut_out_that_cannot_tell(rng):
    """The strength is 1, as for HMI's continuum, unless the cut-out shows that there is none."""
    shape = (200, 200)
    for centre in ((0.0, 0.0), (300.0, 100.0), (450.0, 0.0)):
        mu = located(shape, 0.504, centre)
        level, strength = quiet_sun(sun(rng, mu, shape), mu)
        assert strength == 1
        assert level == pytest.approx(60_000, rel=0.01)
    mu = located(shape, 0.504, (600.0, 0.0))  # the law changes by 0.06 across the image
    assert quiet_sun(sun(rng, mu, shape, strength=0), mu)[1] == 0


def test_spot_in_a_cut_out_is_no_limb_darkening(rng):
    """A spot on the limb's side covers half of the image; its rings still have some quiet Sun."""
    shape = (240, 200)
    mu = located(shape, 0.504, (700.0, 0.0))
    data = sun(rng, mu, shape)
    y, x = np.indices(shape)
    away = np.hypot(y - 120, x - 60)  # CROTA2 = 180, so the limb is on the left
    data *= np.choose((away < 75).astype(int) + (away < 40), [1.0, 0.75, 0.2])
    level, strength = quiet_sun(data, mu)
    assert strength == pytest.approx(1, abs=0.15)
    assert level == pytest.approx(60_000, rel=0.04)


@pytest.mark.parametrize(("level", "usual"), [(1.0, 1.0), (60_000.0, 58_500.0)])
@pytest.mark.parametrize("umbra", [0.15, 0.3, 0.75])
@pytest.mark.parametrize("place", [True, False])
def test_umbra_fills_the_image(rng, caplog, level, usual, umbra, place):
    """The usual level is used; for penumbra only if mu is known, else it may be limb darkening."""
    shape = (60, 60)
    mu = located(shape, 0.504, (500.0, 0.0))
    data = umbra * (sun(rng, mu, shape, level) if place else granulation(rng, shape, level))
    found, strength = quiet_sun(data, mu if place else None, None if level == 1 else usual)
    if umbra < 0.4 or place:
        assert found == usual
        assert strength == place
        assert "no quiet Sun" in caplog.text
    else:
        assert found == pytest.approx(umbra * level, rel=0.02)
        assert not caplog.records


@pytest.mark.parametrize(
    ("level", "usual"),
    [
        (0.9, None),
        (1.2, None),
        (1.0, 6e4),
        (5e4, 6e4),
        (6.6e4, 6e4),
        (7.0, None),
        (7.0, 6e4),
        (1e3, None),
        (3e14, None),
    ],
)
def test_what_may_be_quiet_sun_is_not_doubted(rng, caplog, level, usual):
    """Levels near 1 count as Ic, as in hmi.Ic_noLimbDark, whatever the unit."""
    shape = (60, 60)
    for centre in ((0.0, 0.0), (800.0, 0.0)):
        mu = located(shape, 0.504, centre)
        data = sun(rng, mu, shape, level)
        assert quiet_sun(data, mu, usual)[0] == pytest.approx(level, rel=0.05)
        quiet_sun(data, None, usual)
    assert not caplog.records


def test_usual_level():
    """The line fits measured images; for other units there is no usual level."""
    for year, level in ((2011.12, 63_800), (2014.16, 60_300), (2025.72, 44_900)):
        assert usual_level("DN/s", year) == pytest.approx(level, rel=0.01)
    assert usual_level("dn / s", 2011.0) is not None
    for unit, year in (("DN/s", None), ("", 2014.0), ("counts", 2014.0)):
        assert usual_level(unit, year) is None


def test_image_without_disc_in_it(rng):
    """If the header puts all pixels off the disc, no limb darkening is divided out."""
    mu = located((50, 50), 0.504, (2000.0, 0.0))
    data = granulation(rng, (50, 50), 50_000)
    assert quiet_sun(data, mu) == (quiet_sun_level(data), 0)
    at_limb = located((50, 50), 0.504, (RADIUS, 0.0))
    level, strength = quiet_sun(
        np.where(np.isnan(at_limb(*map(np.arange, (50, 50)))), np.nan, data), at_limb
    )
    assert np.isfinite([level, strength]).all()


@pytest.mark.parametrize("place", [True, False])
def test_quiet_sun_needs_light(place):
    mu = located((8, 8), 0.504) if place else None
    with pytest.raises(ValueError, match="needs one positive pixel"):
        quiet_sun(np.zeros((8, 8)), mu)
