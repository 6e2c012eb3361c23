"""The steps of pixels: against astropy.wcs, and where a header says less than it asks for."""

import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.wcs import WCS
from observed import CEA, SQUARE

from enhance_np.observation import disc
from enhance_np.observation.first_image import angular_scale
from enhance_np.observation.pixels import (
    pixel_area,
    pixel_matrix,
    pixel_scales,
    pixel_sides,
    square_area,
)

TURNED = {"PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8}


@pytest.mark.parametrize(
    ("scales", "cards"),
    [
        ([0.504, 0.504], SQUARE),
        ([0.504], {"CDELT1": -0.504, "CUNIT1": "arcsec"}),
        ([0.504], {"CDELT1": 0.504 / 3600, "CUNIT1": "deg", "CTYPE1": "HPLN-TAN"}),
        ([0.5], {"CD1_1": -0.4, "CD2_1": 0.3, "CDELT1": 1.0, "CUNIT1": "arcsec"}),
        ([0.504, 1.008], SQUARE | {"CDELT2": 1.008}),
        ([0.504, 1.008], SQUARE | {"CDELT2": 1.008, "CROTA2": 90.0}),
        ([0.504, 0.504], SQUARE | TURNED),
        (
            [1.008, 0.504],
            SQUARE | {"CDELT2": 1.008, "PC1_1": 0, "PC1_2": 1, "PC2_1": 1, "PC2_2": 0},
        ),
        ([0.504, 1.008], SQUARE | {"PC2_2": 2.0}),
        ([944 * np.radians(0.03)] * 2, CEA | {"CDELT1": 0.03, "CDELT2": 0.03}),
        ([960 * np.radians(0.03)], {"CDELT1": 0.03, "CUNIT1": "degree", "CTYPE1": "CRLN-CEA"}),
        ([], {"CDELT1": 0.03, "CUNIT1": "degree", "CTYPE1": "CRLN-CAR"}),
        ([], {"CDELT1": 0.504}),
        ([], {"CUNIT1": "arcsec"}),
        ([], {"CDELT1": "wide", "CUNIT1": "arcsec"}),
        ([0.504], SQUARE | {"CDELT2": "high"}),
    ],
)
def test_pixel_scales(scales, cards):
    assert pixel_scales(Header(cards)) == pytest.approx(scales)


SKY = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN"}
OBLONG = {"CDELT1": 0.504, "CDELT2": -1.008}
SPELLINGS = {
    "CDELT": OBLONG,
    "CROTA2": OBLONG | {"CROTA2": 179.92786},
    "slanted": OBLONG | {"CROTA2": 31.0},
    "PC": OBLONG | TURNED,
    "one PC": OBLONG | {"PC1_2": 0.3},
    "CD": {"CD1_1": 0.4, "CD1_2": -0.3, "CD2_1": 0.3, "CD2_2": 0.4},
    "CD beside CDELT": OBLONG | {"CD1_1": 0.4, "CD2_2": 0.4},
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_against_astropy(name):
    found = pixel_matrix(Header(SPELLINGS[name]))
    want = WCS(Header(SKY | SPELLINGS[name])).pixel_scale_matrix
    np.testing.assert_allclose(found, want, rtol=0, atol=4 * 2.0**-53 * abs(want).max())


def test_what_is_not_given_is_not_made_up():
    nan = np.nan
    for cards, want in (
        ({}, [[nan, nan], [nan, nan]]),
        ({"CDELT1": 0.5}, [[0.5, nan], [0, nan]]),
        ({"CDELT1": 0.5, "CDELT2": "high"}, [[0.5, nan], [0, nan]]),
        ({"CDELT1": 0.5} | TURNED, [[0.4, -0.3], [nan, nan]]),
        ({"CD1_1": 0.4, "CD2_1": 0.3}, [[0.4, nan], [0.3, nan]]),
        (SQUARE | {"CROTA2": "north"}, [[nan, nan], [nan, nan]]),
    ):
        np.testing.assert_allclose(pixel_matrix(Header(cards)), want, err_msg=str(cards))


@pytest.mark.parametrize("unit", ["arcsec", "arcsecond", "deg", "degree", "arcmin", "rad"])
def test_all_readers_know_the_same_units(unit):
    step = {"arcsec": 0.5, "arcsecond": 0.5, "arcmin": 0.5 / 60, "rad": np.radians(0.5 / 3600)}
    cards = {f"CDELT{i}": step.get(unit, 0.5 / 3600) for i in (1, 2)}
    cards |= {f"CUNIT{i}": unit for i in (1, 2)}
    header = Header(SKY | cards | {"RSUN_OBS": 960.0, "CRPIX1": 1.0, "CRPIX2": 1.0})
    assert pixel_scales(header) == pytest.approx([0.5, 0.5])
    assert angular_scale("a", header, "a.fits", "scale") == pytest.approx(0.5)
    assert disc.mu(header, (1, 961))[0, 960] == pytest.approx(np.sqrt(0.75))


def test_a_missing_unit():
    """Degrees on a celestial axis. Elsewhere the caller decides: a scene is in arcsec."""
    steps = {f"CDELT{i}": 0.5 / 3600 for i in (1, 2)}
    celestial = Header(SKY | steps | {"RSUN_OBS": 960.0, "CRPIX1": 1.0, "CRPIX2": 1.0})
    assert pixel_scales(celestial) == pytest.approx([0.5, 0.5])
    assert angular_scale("a", celestial, "a.fits", "scale") == pytest.approx(0.5)
    assert disc.mu(celestial, (1, 961))[0, 960] == pytest.approx(np.sqrt(0.75))
    assert pixel_sides(Header(steps)) == (None, None)
    assert pixel_sides(Header(steps), unnamed=1.0) == pytest.approx((0.5 / 3600, 0.5 / 3600))
    assert angular_scale("a", Header(steps), "a.fits", "scale") == pytest.approx(0.5 / 3600)
    arcsec = Header(SKY | OBLONG | {"RSUN_OBS": 960.0})  # by the standard 0.5 degrees a pixel
    assert disc.locate(arcsec) is None


R_SUN, AU = 695.7e8, 149597870.7e5  # cm


def test_an_arcsec_at_one_au_is_725_km():
    assert square_area(1.0) == pytest.approx(725.27e5**2, rel=1e-5)
    assert pixel_area(Header(SQUARE)) == pytest.approx(square_area(0.504))


@pytest.mark.parametrize("distance", [0.9833, 1.0, 1.0167])
@pytest.mark.parametrize("given", ["DSUN_OBS", "RSUN_OBS"])
def test_all_pixels_of_the_disc_cover_the_disc(given, distance):
    """pi R^2 from any distance. A sphere shows its limb a little before its largest circle."""
    radius = 3600 * np.degrees(np.arcsin(R_SUN / (distance * AU)))
    cards = {"DSUN_OBS": distance * AU / 100, "RSUN_OBS": radius}
    area = pixel_area(Header(SKY | SQUARE | {given: cards[given]}))
    assert area * np.pi * (radius / 0.504) ** 2 == pytest.approx(np.pi * R_SUN**2, rel=1e-5)


def test_between_perihelion_and_aphelion_it_changes_by_seven_percent():
    near, far = (pixel_area(Header(SQUARE | {"DSUN_OBS": d * AU / 100})) for d in (0.9833, 1.0167))
    assert far / near == pytest.approx(1.069, abs=1e-3)


@pytest.mark.parametrize("cards", [{}, {"DSUN_OBS": 1.52e11}, {"RSUN_OBS": 950.0}])
def test_all_pixels_of_a_map_cover_the_sphere(cards):
    """4 pi R^2, whatever the distance: 360 by 2 / sin(1 degree) steps of one degree."""
    steps = {"CTYPE1": "CRLN-CEA", "CUNIT1": "degree", "CUNIT2": "degree", "CDELT1": 1.0}
    header = Header(steps | {"CDELT2": np.degrees(0.01)} | cards)
    assert pixel_area(header) * 360 * 200 == pytest.approx(4 * np.pi * R_SUN**2, rel=1e-12)
    larger = pixel_area(Header(steps | {"CDELT2": np.degrees(0.01), "RSUN_REF": 6.96e8}))
    assert larger * 360 * 200 == pytest.approx(4 * np.pi * 6.96e10**2, rel=1e-12)


@pytest.mark.parametrize(
    "cards",
    [
        {},
        {"CDELT1": 0.5, "CUNIT1": "arcsec"},
        SQUARE | {"CUNIT2": "km"},
        SQUARE | {"CDELT2": 0.0},
        SQUARE | {"CTYPE1": "CRLN-CAR"},
    ],
)
def test_no_area(cards):
    assert pixel_area(Header(cards)) is None
