import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.wcs import WCS

from enhance_np.evaluate.disc import beyond_limb, limb_darkening, mu

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
    """Its coordinates are on the sphere, ours on the plane of the sky: 0.02 arcsec at the limb."""
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


def test_headers_that_do_not_tell():
    assert mu(None, (4, 4)) is None
    assert mu(Header(), (4, 4)) is None
    assert mu(header(CTYPE1="CRLN-CEA"), (4, 4)) is None
    assert mu(header(CUNIT1="pixel"), (4, 4)) is None
    without = header()
    del without["RSUN_OBS"]
    assert mu(without, (4, 4)) is None


@pytest.mark.parametrize("wavelength", [450e-9, 617.3e-9, 1000e-9])
def test_limb_darkening(wavelength):
    """1 at the centre, which the sums of both kinds of coefficients give, and falling."""
    at = np.linspace(0.1, 1, 10)
    found = limb_darkening(at, wavelength)
    assert found[-1] == pytest.approx(1, abs=1e-5)
    assert (np.diff(found) > 0).all()


def test_limb_darkening_is_weaker_in_the_red():
    blue, line, red = (limb_darkening(np.array([0.5]), w)[0] for w in (450e-9, 617.3e-9, 1e-6))
    assert 0.5 < blue < line < red < 0.9


def test_sky_is_a_large_gap_at_the_border():
    valid = np.ones((50, 60), bool)
    valid[:, :5] = False  # sky
    valid[20:30, 20:30] = False  # large, but inside
    valid[40, 59] = False  # at the border, but one pixel
    found = beyond_limb(valid)
    assert found[:, :5].all()
    assert found.sum() == 250
    assert not beyond_limb(np.ones((4, 4), bool)).any()


def test_dark_pixels_belong_to_the_sky_they_adjoin():
    valid = np.ones((50, 60), bool)
    valid[:, :5] = False
    dark = np.zeros(valid.shape, bool)
    dark[:, 5:9] = dark[20:30, 20:30] = True
    found = beyond_limb(valid, dark)
    assert found[:, :9].all()
    assert found.sum() == 450
    assert not beyond_limb(np.ones_like(valid), dark).any()
