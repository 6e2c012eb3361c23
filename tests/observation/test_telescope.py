import numpy as np
import pytest
from astropy.io.fits import Header
from observed import CEA, SQUARE, frame

from enhance_np.observation.telescope import foreign_instrument, pixel_scales, require_hmi

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


# --- instrument


@pytest.mark.parametrize(
    "cards",
    [
        {},
        {"TELESCOP": "SDO/HMI", "INSTRUME": "HMI_SIDE1", "CAMERA": 1},
        {"INSTRUME": "HMI_COMBINED"},
        {"TELESCOP": "SDO", "CAMERA": 3},
        {"TELESCOP": " "},
        {"TELESCOP": "SDO", "INSTRUME": "Helioseismic and Magnetic Imager"},
        {"TELESCOP": "Solar Dynamics Observatory", "DETECTOR": "CCD"},
        {"TELESCOP": "NASA SDO", "CAMERA": "1"},
        {"TELESCOP": "SDO", "CAMERA": "front", "INSTRUME": "N/A"},
    ],
)
def test_hmi(cards):
    assert foreign_instrument(Header(cards)) is None
    require_hmi(frame(**cards))


@pytest.mark.parametrize(
    ("cards", "named"),
    [
        ({"TELESCOP": "SOHO", "INSTRUME": "MDI"}, "TELESCOP='SOHO', INSTRUME='MDI'"),
        ({"CAMERA": "MDI"}, "CAMERA='MDI'"),
        ({"TELESCOP": "NSO-GONG"}, "TELESCOP='NSO-GONG'"),
        ({"TELESCOP": "SDO/AIA", "INSTRUME": "AIA_3"}, "TELESCOP='SDO/AIA', INSTRUME='AIA_3'"),
        ({"TELESCOP": "SOHO-2HMI_HR"}, "TELESCOP='SOHO-2HMI_HR'"),
    ],
)
def test_other_instruments(cards, named):
    assert foreign_instrument(Header(cards)) == named
    with pytest.raises(ValueError, match=rf"^require_hmi: .*\(--weights\), got {named} in 'made"):
        require_hmi(frame(**cards))


# --- warnings
