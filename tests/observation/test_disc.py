import warnings

import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.wcs import WCS

from enhance_np.observation.disc import limb_darkening, locate, mu

RADIUS = 970.0


def header(**cards):
    made = Header()
    for i, name in ((1, "HPLN-TAN"), (2, "HPLT-TAN")):
        made[f"CTYPE{i}"], made[f"CUNIT{i}"] = name, "arcsec"
        made[f"CRPIX{i}"], made[f"CRVAL{i}"], made[f"CDELT{i}"] = 20.5, 0.0, 50.0
    made["RSUN_OBS"] = RADIUS
    made.update(cards)
    return made


CASES = {
    "centred": {},
    "turned": {"CROTA2": 179.93, "CRVAL1": 30.0, "CRVAL2": -12.0},
    "slanted": {"CROTA2": 31.0, "CRPIX1": 12.0, "CRPIX2": 25.0},
    "aside": {"CROTA2": 31.0, "CRVAL1": 400.0, "CRVAL2": -150.0},
    "oblong": {"CROTA2": 31.0, "CDELT2": 40.0},
    "PC": {"PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8, "CRVAL1": 100.0},
    "degrees": {"CUNIT1": "deg", "CUNIT2": "deg", "CDELT1": 0.014, "CDELT2": 0.014},
}


@pytest.mark.parametrize("name", CASES)
def test_against_astropy(name):
    """astropy's coordinates are on the sphere, ours in the plane of the sky; they differ by 0.02
    arcsec at the limb."""
    made = header(**CASES[name])
    found = mu(made, (40, 44))
    y, x = np.indices((40, 44))
    lon, lat = WCS(made).pixel_to_world_values(x, y)
    lon, lat = ((np.asarray(a) + 180) % 360 - 180 for a in (lon, lat))
    r2 = (lon**2 + lat**2) * 3600**2 / RADIUS**2
    on_disc = r2 < 0.98
    np.testing.assert_allclose(found[on_disc], np.sqrt(1 - r2[on_disc]), atol=1e-3)
    assert np.isnan(found[r2 > 1.01]).all()


def test_cd_matrix():
    made = header()
    for i in (1, 2):
        del made[f"CDELT{i}"]
    made.update({"CD1_1": 40.0, "CD1_2": -30.0, "CD2_1": 30.0, "CD2_2": 40.0})
    turned = header(CROTA2=np.degrees(np.arctan2(3, 4)))
    np.testing.assert_allclose(mu(made, (40, 44)), mu(turned, (40, 44)))


def test_radius_in_pixels():
    made = header(CROTA2=31.0, CDELT2=40.0)
    want = mu(made, (40, 44))
    del made["RSUN_OBS"]
    made["R_SUN"] = RADIUS / np.sqrt(50.0 * 40.0)
    np.testing.assert_allclose(mu(made, (40, 44)), want)


def test_between_pixels():
    """Between pixels, mu is that of an image with twice the pixels and the header for them."""
    made = header(**CASES["aside"])
    fine = header(**CASES["aside"] | {"CDELT1": 25.0, "CDELT2": 25.0})
    for i in (1, 2):
        fine[f"CRPIX{i}"] = 2 * made[f"CRPIX{i}"] - 0.5
    rows, columns = ((np.arange(2 * n) + 0.5) / 2 - 0.5 for n in (40, 44))
    np.testing.assert_allclose(locate(made)(rows, columns), mu(fine, (80, 88)), atol=1e-7)


def carrington(**cards):
    """Header of a SHARP: an equal-area map about the centre of the patch."""
    made = Header()
    for i, name in ((1, "CRLN-CEA"), (2, "CRLT-CEA")):
        made[f"CTYPE{i}"], made[f"CUNIT{i}"], made[f"CDELT{i}"] = name, "degree", 2.0
    made.update({"CRPIX1": 20.5, "CRPIX2": 15.0, "CRVAL1": 34.9, "CRVAL2": -21.1})
    made.update({"CRLN_OBS": 21.7, "CRLT_OBS": -6.8})
    made.update(cards)
    return made


@pytest.mark.parametrize(
    "cards", [{}, {"CRVAL2": 9.0, "CRLT_OBS": 7.2}, {"CRVAL1": 350.0, "CRLN_OBS": 10.0}]
)
def test_equal_area_against_astropy(cards):
    made = carrington(**cards)
    found = mu(made, (30, 44))
    y, x = np.indices((30, 44))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "degree" is no unit of the standard
        lon, lat = np.radians(WCS(made).pixel_to_world_values(x, y))
    lon0, lat0 = np.radians([made["CRLN_OBS"], made["CRLT_OBS"]])
    want = np.sin(lat0) * np.sin(lat) + np.cos(lat0) * np.cos(lat) * np.cos(lon - lon0)
    assert found.max() > 0.9
    np.testing.assert_allclose(found[want > 0], want[want > 0], atol=1e-12)
    assert np.isnan(found[want < 0]).all()


def test_equal_area_map_of_the_whole_sphere():
    """Half of the map is the far side, and lines above the poles are off the Sun."""
    made = carrington(CRVAL1=180.0, CRVAL2=0.0, CRPIX1=90.5, CRPIX2=30.5, CDELT1=2.0)
    made["CDELT2"] = np.degrees(2 / 50)  # sin(latitude) from -1 to 1 in 50 of 60 lines
    found = mu(made, (60, 180))
    assert np.isnan(found[:5]).all()
    assert np.isnan(found[-5:]).all()
    assert np.isfinite(found[5:-5]).mean() == pytest.approx(0.5, abs=0.01)


def test_headers_that_do_not_tell():
    assert mu(None, (4, 4)) is None
    assert mu(Header(), (4, 4)) is None
    assert mu(header(CTYPE1="CRLN-CEA"), (4, 4)) is None
    assert mu(header(CUNIT1="pixel"), (4, 4)) is None
    assert mu(header(CRPIX1="abc"), (4, 4)) is None
    assert mu(header(RSUN_OBS=0.0), (4, 4)) is None
    assert mu(header(CRVAL1="nan"), (4, 4)) is None
    assert mu(carrington(CTYPE1="CRLN-CAR", CTYPE2="CRLT-CAR"), (4, 4)) is None
    assert mu(carrington(CROTA2=10.0), (4, 4)) is None
    for made, key in ((header(), "RSUN_OBS"), (header(), "CDELT2"), (carrington(), "CRLN_OBS")):
        del made[key]
        assert mu(made, (4, 4)) is None


def test_card_that_cannot_be_read():
    made = Header.fromstring(
        header().tostring().replace("=                970.0", "=                97o.0")
    )
    assert mu(made, (4, 4)) is None


@pytest.mark.parametrize("wavelength", [450e-9, 617.3e-9, 1000e-9])
def test_limb_darkening(wavelength):
    """The law is 1 at disc centre, to which both sets of coefficients add up, and falls
    outwards."""
    at = np.linspace(0.1, 1, 10)
    found = limb_darkening(at, wavelength)
    assert found[-1] == pytest.approx(1, abs=1e-5)
    assert (np.diff(found) > 0).all()


def test_limb_darkening_is_weaker_in_the_red():
    blue, line, red = (limb_darkening(np.array([0.5]), w)[0] for w in (450e-9, 617.3e-9, 1e-6))
    assert 0.5 < blue < line < red < 0.9
