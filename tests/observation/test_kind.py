"""The type and unit of an image, from headers as JSOC writes them."""

import logging

import numpy as np
import pytest
from observed import FIELD, QUIET, RNG, UMBRA, frame

from enhance_np.observation.kind import (
    detect_type,
    gauss,
    image_type,
    in_gauss,
    witnesses,
)

# --- type


@pytest.mark.parametrize(
    ("type", "data", "cards"),
    [
        ("intensity", -QUIET, {"CONTENT": "CONTINUUM INTENSITY"}),
        ("intensity", -QUIET, {"CONTENT": "MDI Full Disk Intensity Continuum"}),
        ("intensity", 5e4 * QUIET, {"CONTENT": "CONTINUUM INTENSITY", "BUNIT": "none"}),
        ("intensity", -QUIET, {"BUNIT": "DN/s"}),
        ("intensity", -QUIET, {"_BUNIT": "DN/s"}),
        ("blos", UMBRA, {"CONTENT": "MAGNETOGRAM"}),
        ("blos", FIELD, {"CONTENT": "HMI observable", "BUNIT": "Mx/cm^2"}),
        *(("blos", UMBRA, {"BUNIT": unit}) for unit in ("Gauss", "G", "Mx cm^-2")),
        ("blos", UMBRA / 1e3, {"BUNIT": "kG"}),  # values like those of an intensity in Ic
        ("blos", FIELD / 1e4, {"BUNIT": "Tesla"}),
        ("intensity", QUIET, {}),
        ("intensity", 5e4 * QUIET, {"BUNIT": " "}),
        ("blos", FIELD, {"BUNIT": "none"}),
    ],
)
def test_type(type, data, cards):
    data = data.copy()
    data[0, 0] = np.nan
    assert detect_type(frame(data, **cards)) == type


@pytest.mark.parametrize(
    ("data", "cards"),
    [
        (np.zeros((4, 4)), {}),
        (-UMBRA, {}),  # a cut-out with a single polarity
        (np.linspace(-10, 900, 100).reshape(10, 10), {}),
        (np.geomspace(5, 2500, 100).reshape(10, 10), {}),  # the field of a pore, with a single sign
        (np.full((4, 4), np.nan), {}),
        (FIELD, {"BUNIT": "m/s"}),
        (FIELD, {"CONTENT": "DOPPLERGRAM", "BUNIT": "m/s"}),
        (QUIET, {"CONTENT": "LINE DEPTH", "BUNIT": "DN/s"}),
        (FIELD, {"CONTENT": "Carrington Synoptic Chart Of Br Field", "BUNIT": "Mx/cm^2"}),
        (QUIET, {"BUNIT": "K"}),  # an unknown unit
        (QUIET, {"CONTENT": "CONTINUUM INTENSITY", "BUNIT": "Gauss"}),
        (QUIET, {"BUNIT": "Gauss"}),
        (FIELD, {"CONTENT": "CONTINUUM INTENSITY", "BUNIT": "DN/s"}),
    ],
)
def test_type_must_be_asked_for(data, cards):
    assert detect_type(frame(data, **cards)) is None


def test_large_images_are_sampled():
    """Only sampled lines have the values of an intensity; those between would change the type."""
    data = np.full((4000, 2000), 5e4, np.float32)
    data[1::2] = -5e4
    assert witnesses(frame(data)) == {"the values": "intensity"}


def test_asked_type():
    bare = frame(UMBRA)
    with pytest.raises(ValueError, match=r"^image_type: .* got no evidence in 'made.fits'$"):
        image_type(bare, None)
    assert image_type(bare, "blos") == "blos"
    conflict = frame(QUIET, CONTENT="CONTINUUM INTENSITY", BUNIT="Gauss")
    got = r"got CONTENT='CONTINUUM INTENSITY' \(intensity\), BUNIT='Gauss' \(blos\), the values"
    with pytest.raises(
        ValueError,
        match=rf"^image_type: .*cannot tell .* magnetogram, so the type must be given, {got}",
    ):
        image_type(conflict, None)
    assert image_type(conflict, "intensity") == "intensity"
    assert image_type(conflict, "blos") == "blos"
    for known in (frame(CONTENT="MAGNETOGRAM"), frame(CONTENT="MAGNETOGRAM", BUNIT="Gauss")):
        assert image_type(known, None) == "blos"
        with pytest.raises(ValueError, match=r"^image_type: the type given must match"):
            image_type(known, "intensity")


def test_asked_type_against_the_values_alone(caplog):
    assert image_type(frame(QUIET), "blos") == "blos"
    assert caplog.messages == [
        "made.fits: treated as blos, as requested, against the values (intensity)"
    ]


OTHER_NAMES = (
    "hmi.v_45s.20110215_020000_TAI.2.Dopplergram.fits hmi.V_720s.20110215.fits "
    "asis_dopplergram.fits Dopplergram.fits hmi_v_45s_2011_02_15_dopplergram.fits.gz "
    "hmi.Lw_45s.x.linewidth.fits hmi.ld_45s.x.linedepth.fits hmi.B_720s.x.field.fits "
    "hmi.b_720s.x.inclination.fits azimuth.fits hmi.ME_720s_fd10.x.vlos_mag.fits "
    "hmi.ME_720s_fd10.x.inclination_err.fits hmi.S_720s.x.3.I0.fits "
    "hmi.sharp_cea_720s.377.x.Br.fits hmi.sharp_cea_720s.377.x.Bp.fits Bt.fits "
    "hmi.sharp_cea_720s.377.x.Br_err.fits hmi.sharp_720s.377.x.bitmap.fits "
    "hmi.sharp_720s.377.x.conf_disambig.fits hmi.sharp_720s.377.x.field.fits "
    "hmi.Synoptic_Mr_720s.2180.synopMr.fits synoptic_chart.fits "
    "hmi.mrsynop_small_720s.2097.fits "
).split()


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_names_of_what_is_neither(caplog, name):
    """The name decides although unit and values are those of a field; the folder does not
    matter."""
    seen = frame(FIELD, path=f"hmi.m_45s/{name}", BUNIT="Gauss")
    assert witnesses(seen)["its name"] == "other"
    with pytest.raises(ValueError, match=r"^image_type: needs .*its name \(other\)"):
        image_type(seen, None)
    assert image_type(seen, "blos") == "blos"
    assert "treated as blos, as requested, against" in caplog.text


@pytest.mark.parametrize(
    ("type", "name"),
    [
        ("blos", "hmi.m_45s.20110215_020000_TAI.2.magnetogram.fits"),
        ("blos", "hmi_m_720s_2011_magnetogram.fits.fz"),
        ("blos", "magnetogram.fits"),
        ("intensity", "hmi.sharp_cea_720s_nrt.377.x.continuum.fits"),
        ("intensity", "hmi.Ic_noLimbDark_720s.20160707_010000_TAI.fits"),
        (None, "br_region.fits"),
        (None, "velociraptor.fits"),
        (None, "field.fits"),
        (None, "hmi.sharp_720s.377.fits"),
        (None, "the array"),
        (None, "HMIMap"),
        (None, "v.fits"),
        (None, "error_free.fits"),
        (None, "synoptics/a.fits"),
    ],
)
def test_names_that_tell_a_type_or_nothing(type, name):
    assert witnesses(frame(UMBRA, path=name)).get("its name") == type


@pytest.mark.parametrize(
    "cards",
    [
        {"DRMS_ID": "hmi.V_45s:17:Dopplergram"},
        {"DRMS_ID": "hmi.sharp_cea_720s:17:Br"},
        {"CONTENT": "INCLINATION"},
        {"CONTENT": "Br"},
        {"CONTENT": "MAGNETOGRAM ERROR"},
        {"CTYPE1": "CRLN-CEA", "CDELT1": -0.1, "CDELT2": 0.001389, "CUNIT2": "Sine Latitude"},
        {"CTYPE1": "CRLN-CEA", "CDELT1": -0.1, "CDELT2": 0.001389, "CUNIT2": "Degree"},
        {"CTYPE1": "CRLN-CAR", "CDELT1": 12.0, "CDELT2": 6.0},
    ],
)
def test_headers_of_what_is_neither(cards):
    with pytest.raises(ValueError, match=r"^image_type: needs a continuum image"):
        image_type(frame(FIELD, BUNIT="Mx/cm^2", **cards), None)


@pytest.mark.parametrize(
    "cards",
    [
        {"DRMS_ID": "hmi.sharp_cea_720s:17:magnetogram", "CTYPE1": "CRLN-CEA", "CDELT1": 0.03},
        {"CTYPE1": "CRLN-CEA", "CDELT1": 0.06, "CDELT2": 0.06, "CONTENT": "HMI observable"},
        {"DRMS_ID": "hmi.M_720s:495257:magnetogram", "CONTENT": "MAGNETOGRAM"},
    ],
)
def test_headers_of_fields(cards):
    assert image_type(frame(FIELD, BUNIT="Mx/cm^2", **cards), None) == "blos"


def test_pictures_and_classes(caplog):
    grey = np.clip(np.rint(127 + FIELD / 10), 25, 229)
    words = {"CONTENT": "MAGNETOGRAM", "BUNIT": "Gauss"}
    with pytest.raises(ValueError, match=r"whole numbers up to 255 as in a picture \(other\)"):
        image_type(frame(grey, **words), None)
    assert image_type(frame(grey, **words), "blos") == "blos"
    assert "as in a picture" in caplog.text
    # a picture of an intensity is accepted as an intensity
    assert image_type(frame(grey, CONTENT="CONTINUUM INTENSITY"), None) == "intensity"
    bitmap = np.select([FIELD > 300, FIELD > 0], [34, 2], 1)
    for cards in ({}, {"BUNIT": "none"}, words):
        with pytest.raises(
            ValueError,
            match=r"the values, 3 different whole numbers as in a map of classes \(other\)",
        ):
            image_type(frame(bitmap, **cards), None)
    # fields in whole gauss, and intensities in whole DN/s
    assert image_type(frame(np.rint(FIELD), **words), None) == "blos"
    assert image_type(frame(np.rint(FIELD / 60), **words), None) == "blos"
    assert image_type(frame(np.rint(5e4 * QUIET)), None) == "intensity"


def test_a_guess_is_said(caplog):
    caplog.set_level(logging.INFO)
    network = 10 * RNG.standard_normal((40, 40))
    network[:6, :6] = 800
    network[:6, 6:12] = -800
    for data, type, level in ((QUIET, "intensity", "INFO"), (network, "blos", "INFO")):
        caplog.clear()
        assert image_type(frame(data), None) == type
        (record,) = caplog.records
        assert record.getMessage() == f"made.fits: type guessed from the values alone: {type}"
        assert record.parameters == ("type",)
        assert record.levelname == level
    caplog.clear()
    assert image_type(frame(9 * FIELD), None) == "blos"
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert caplog.messages[-1].endswith("as in a Dopplergram")
    assert caplog.records[-1].parameters == ("type",)
    caplog.clear()
    assert image_type(frame(9 * FIELD, BUNIT="Gauss"), None) == "blos"
    assert image_type(frame(9 * FIELD), "blos") == "blos"
    assert not caplog.messages


# --- unit


def test_gauss():
    assert [gauss(unit) for unit in ("Gauss", "Mx/cm^2", "", "DN/s")] == [1.0] * 4
    assert [gauss(unit) for unit in ("kG", "kGauss", "mT", "T")] == [1e3, 1e3, 10.0, 1e4]
    kilo = frame(FIELD / 1e3, BUNIT="kG")
    np.testing.assert_allclose(in_gauss(kilo).data, FIELD, rtol=1e-6)
    assert (in_gauss(kilo).unit, kilo.unit) == ("Gauss", "kG")
    same = frame(BUNIT="Mx/cm^2")
    assert in_gauss(same) is same
