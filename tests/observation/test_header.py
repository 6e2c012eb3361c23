import numpy as np
import pytest
from astropy.io.fits import Header

from enhance_np.observation.header import angle_unit, card, integer, number

UNREADABLE = Header.fromstring("CDELT1  =                  0.5o4".ljust(80) + "END".ljust(80))


def test_cards():
    header = Header({"A": 1.5, "B": " ", "C": "text"})
    assert [card(header, key) for key in "ABCD"] == [1.5, None, "text", None]
    assert card(UNREADABLE, "CDELT1") is None
    assert card({"A": 2}, "A") == 2


def test_numbers():
    header = Header({"A": 1.5, "B": " ", "C": "text", "D": "2.5", "E": "nan"})
    assert number(header, "A") == number(header, "A", 7.0) == 1.5
    assert number(header, "D") == 2.5
    assert number(header, "B", 7.0) == number(header, "F", 7.0) == 7.0
    for made, key in ((header, "C"), (header, "E"), (UNREADABLE, "CDELT1")):
        with pytest.raises(ValueError, match=f"^{key} must be a number, got "):
            number(made, key, 7.0)
    with pytest.raises(ValueError, match="^F must be a number, got None"):
        number(header, "F")


def test_bits():
    header = Header({"A": 1024, "B": "0x00000400", "C": "no", "D": 2.9})
    assert [integer(header, key) for key in "ABCDE"] == [1024, 1024, None, 2, None]


def test_units_of_angle():
    for unit, arcsec in (
        ("arcsec", 1), (" Arcsec ", 1), ("arcseconds", 1), ("DEG", 3600), ("degrees", 3600),
        ("arcmin", 60), ("mas", 1e-3), ("rad", 3600 * np.degrees(1)), ("km", None),
    ):  # fmt: skip
        assert angle_unit(Header({"CUNIT1": unit}), 1) == pytest.approx(arcsec)
        assert angle_unit(Header({"CUNIT1": unit}), 1, 5.0) == pytest.approx(arcsec)


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        *((kind, 3600.0) for kind in ("HPLN-TAN", "HPLT-TAN", "CRLN-CEA", "RA---TAN", "DEC--SIN")),
        *((kind, 3600.0) for kind in ("GLON-CAR", "HGLT-CAR", "SOLN-CAR")),
        *((kind, 1.0) for kind in (None, "", "LINEAR", "SOLAR_X", "WAVE", "TIME")),
    ],
)
def test_a_missing_unit_is_degrees_on_a_celestial_axis(kind, unit):
    header = Header({} if kind is None else {"CTYPE2": kind})
    assert angle_unit(header, 2, unnamed=1.0) == unit
    assert angle_unit(header, 2) == (3600.0 if unit == 3600 else None)
