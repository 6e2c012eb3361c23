import pytest
from astropy.io.fits import Header
from observed import frame

from enhance_np.observation.telescope import foreign_instrument, require_hmi


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
    with pytest.raises(ValueError, match=rf"^require_hmi: .*needs its own, got {named} in 'made"):
        require_hmi(frame(**cards))
