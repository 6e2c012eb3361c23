"""The page reads the steps of pixels and the place on the disc as the package does."""

import numpy as np
import pytest
from astropy.io.fits import Header
from browser import launched, page
from try_page import opened, wcs

from enhance_np.observation import disc
from enhance_np.observation.header import ANGLES, angle_unit
from enhance_np.observation.pixels import pixel_matrix, pixel_scales


@pytest.fixture(scope="module")
def shown():
    with launched() as browser, page(browser) as one:
        yield opened(one)


STEPS = {"CDELT1": 0.504, "CDELT2": -1.008}
TURNED = {"PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8}
MATRICES = {
    "none": {},
    "CDELT": STEPS,
    "CROTA2": STEPS | {"CROTA2": 179.92786},
    "PC": STEPS | TURNED,
    "one PC": STEPS | {"PC1_2": 0.3},
    "CD": {"CD1_1": 0.4, "CD1_2": -0.3, "CD2_1": 0.3, "CD2_2": 0.4},
    "CD off the diagonal": {"CD1_2": 0.5, "CD2_1": 0.5},
    "CD beside CDELT": STEPS | {"CD1_1": 0.4, "CD2_2": 0.4},
    "one CDELT": {"CDELT1": 0.5},
    "CDELT of words": STEPS | {"CDELT2": "high"},
    "PC with one CDELT": {"CDELT1": 0.5} | TURNED,
    "half a CD": {"CD1_1": 0.4, "CD2_1": 0.3},
    "CD of words": {"CD1_1": "wide", "CD2_2": 0.4},
    "CDELT as text": STEPS | {"CDELT1": "0.504"},
    "CROTA2 of words": STEPS | {"CROTA2": "north"},
}
KINDS = ("HPLN-TAN", "HPLN", "HPLNX", "SOLAR_X", "CRLN-CEA", "HGLN-CEA", "CRLN-CAR")
KINDS += ("RA---TAN", "DEC--SIN", "LINEAR")
SQUARE = {"CTYPE1": "HPLN-TAN", "CDELT1": 0.5, "CDELT2": 0.5}
CEA = {"CTYPE1": "CRLN-CEA", "CTYPE2": "CRLT-CEA", "CDELT1": 0.03, "CDELT2": 0.03}
SCALES = {
    **{f"steps: {name}": SQUARE | {"CUNIT1": "arcsec"} | MATRICES[name] for name in MATRICES},
    **{unit: {"CDELT1": 2.0, "CUNIT1": unit} for unit in (*ANGLES, "Arcsec", "DEG", "km", "G")},
    **{
        f"CTYPE {kind}": {"CTYPE1": kind, "CDELT1": 0.5, "CTYPE2": kind, "CDELT2": 0.5}
        for kind in KINDS
    },
    "map from afar": CEA | {"RSUN_OBS": 944.0, "CUNIT1": "degree"},
    "map with a radius of 0": CEA | {"RSUN_OBS": 0.0},
}


def lengths_in(arcsec):
    return {key: wcs(300, -200)[key] / arcsec for key in ("CDELT1", "CDELT2", "CRVAL1", "CRVAL2")}


NO_UNIT = {"CUNIT1": None, "CUNIT2": None}
MAP = CEA | {"CUNIT1": "degree", "CUNIT2": "deg", "CRPIX1": 30.0, "CRPIX2": 20.0, "CDELT1": 2.0}
MAP |= {"CDELT2": 2.0, "CRVAL1": 150.0, "CRVAL2": 10.0, "CRLN_OBS": 140.0, "CRLT_OBS": -7.0}
PLACES = {
    **{
        unit: lengths_in(ANGLES[unit]) | {"CUNIT1": unit, "CUNIT2": unit}
        for unit in ("arcsec", "arcmin", "deg", "rad", "mas")
    },
    "degrees without CUNIT": lengths_in(3600) | NO_UNIT,
    "arcsec without CUNIT": NO_UNIT,
    "no angle": {"CUNIT1": "pixel"},
    "R_SUN": {"RSUN_OBS": None, "R_SUN": 1900.0},
    "no radius": {"RSUN_OBS": None},
    "a Sun smaller than a pixel": {"RSUN_OBS": 0.5},
    "a Sun larger than a pixel": {"RSUN_OBS": 0.51, "CRVAL1": 0, "CRVAL2": 0}
    | {"CRPIX1": 21.0, "CRPIX2": 21.0},
    "a radius of 0": {"RSUN_OBS": 0.0},
    "no step": {"CDELT2": None},
    "CD off the diagonal": {"CD1_2": 0.5, "CD2_1": 0.5},
    "a reference of words": {"CRPIX1": "mid"},
    "a centre of words": {"CRVAL1": "mid"},
    "map": MAP,
    "map without CUNIT": MAP | NO_UNIT,
    "map in arcmin": MAP | {"CUNIT2": "arcmin"},
    "map that is turned": MAP | {"CROTA2": 10.0},
    "map without a step": MAP | {"CDELT2": None},
    "map without an observer": MAP | {"CRLN_OBS": None},
}


def asked(shown, headers, expression):
    """The expression of `header` and the page's `constants`, for each header."""
    answers = shown.evaluate(
        """([headers, expression]) => {
          const { constants } = JSON.parse(document.getElementById("data").textContent);
          const ask = new Function("header", "constants", `return ${expression}`);
          return headers.map((cards) => ask(fitsHeader.Header.read(cards), constants));
        }""",
        [[[str(card) for card in header.cards] for header in headers], expression],
    )
    return [np.array(answer, float) for answer in answers]  # null is NaN


def test_matrix(shown):
    headers = [Header(cards) for cards in MATRICES.values()]
    answers = asked(shown, headers, "pixels.matrix(header)")
    for name, header, found in zip(MATRICES, headers, answers, strict=True):
        want = pixel_matrix(header)
        np.testing.assert_allclose(found, want, rtol=0, atol=1e-15, err_msg=name)


def test_units_and_scales(shown):
    headers = [Header(cards) for cards in SCALES.values()]
    units = asked(shown, headers, "[1, 2].map((i) => pixels.angleUnit(header, i, constants))")
    scales = asked(shown, headers, "pixels.scales(header, constants)")
    for name, header, unit, found in zip(SCALES, headers, units, scales, strict=True):
        want = np.array([angle_unit(header, axis) for axis in (1, 2)], float)
        np.testing.assert_array_equal(unit, want, err_msg=name)
        np.testing.assert_allclose(found, pixel_scales(header), rtol=1e-14, err_msg=name)


PIXELS = [0, 20, 41, 82]  # lines and columns; of the map, some are on the far side
WHERE = f"""(() => {{
  const mu = disc.locate(header, constants);
  return mu && {PIXELS}.map((i) => {PIXELS}.map((j) => mu(i, j)));
}})()"""


def test_place_on_the_disc(shown):
    given = {name: wcs(300, -200) | cards for name, cards in PLACES.items()}
    headers = [
        Header({key: value for key, value in cards.items() if value is not None})
        for cards in given.values()
    ]
    for name, header, found in zip(given, headers, asked(shown, headers, WHERE), strict=True):
        mu = disc.locate(header)
        if mu is None:
            np.testing.assert_equal(found, np.array(np.nan), err_msg=name)
        else:
            want = mu(np.array(PIXELS), np.array(PIXELS))
            assert np.isfinite(want).any(), name
            np.testing.assert_allclose(found, want, rtol=0, atol=1e-12, err_msg=name)
