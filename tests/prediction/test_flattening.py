"""Limb darkening, fitted and divided out."""

import numpy as np
import pytest
from astropy.io.fits import Header, ImageHDU

import enhance_np
from enhance_np.observation.disc import limb_darkening, mu

SIDE, RADIUS, SCALE = 300, 960.0, 6.6
CARDS = {
    "CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec",
    "CRPIX1": 151.0, "CRPIX2": 149.0, "CDELT1": SCALE, "CDELT2": SCALE, "RSUN_OBS": RADIUS,
    "CONTENT": "CONTINUUM INTENSITY", "BUNIT": "DN/s", "DATE-OBS": "2014-03-01T00:00:00",
    "DATAMAX": 60_000.0,
}  # fmt: skip


@pytest.mark.parametrize("strength", [1.0, 0.7, 0.0])
def test_a_disc_becomes_flat(rng, strength, caplog):
    angle = mu(Header(CARDS), (SIDE, SIDE))
    texture = 1 + 0.03 * rng.standard_normal((SIDE, SIDE))
    disc = 60_000 * texture * limb_darkening(np.nan_to_num(angle)) ** strength
    disc[np.isnan(angle)] = np.nan
    flat = enhance_np.flatten_limb(ImageHDU(disc.astype(np.float32), Header(CARDS)))
    np.testing.assert_array_equal(np.isnan(flat.data), np.isnan(angle))
    on = np.isfinite(angle)
    # within 1 %, the accuracy of the law's strength, even where the Sun has 0.4 of its light
    np.testing.assert_allclose(flat.data[on] / (60_000 * texture[on]), 1, atol=0.01)
    assert flat.header["ENHFLAT"] == pytest.approx(strength, abs=0.01)
    assert "DATAMAX" not in flat.header
    assert flat.header["CRPIX2"] == 149.0
    power = flat.header["ENHFLAT"]
    assert f"limb darkening to the power {power:.3f} divided out" in str(flat.header["HISTORY"])
    again = enhance_np.flatten_limb(flat)  # nothing is left, and the first time is not forgotten
    assert again.header["ENHFLAT"] == pytest.approx(power, abs=0.01)


def test_refuses_what_has_no_place_or_no_limb_darkening(rng):
    image = (50_000 * (1 + 0.04 * rng.standard_normal((40, 40)))).astype(np.float32)
    for x in (image, ImageHDU(image, Header({"CONTENT": "CONTINUUM INTENSITY"}))):
        with pytest.raises(ValueError, match="flatten_limb: the header must give the place"):
            enhance_np.flatten_limb(x)
    field = ImageHDU(image - 50_000, Header(CARDS | {"CONTENT": "MAGNETOGRAM", "BUNIT": "Gauss"}))
    with pytest.raises(ValueError, match="the type given must match the file, got intensity"):
        enhance_np.flatten_limb(field)
