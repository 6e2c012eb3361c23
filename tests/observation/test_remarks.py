"""The warnings about an image, from headers as JSOC writes them."""

import logging

import pytest
from astropy.io.fits import Header
from observed import CEA, FIELD, QUIET, SQUARE, frame

from enhance_np.observation.remarks import deconvolved, quality, remark


@pytest.mark.parametrize(
    ("path", "cards", "found"),
    [
        ("x/hmi.Ic_45s_dcon.2020_TAI.fits", {}, "hmi.Ic_45s_dcon in its name"),
        ("hmi.sharp_cea_720s_dcons.377.fits", {}, "hmi.sharp_cea_720s_dcons in its name"),
        ("a.fits", {"DRMS_ID": "hmi.M_720s_dconS:1:m"}, "hmi.M_720s_dconS in DRMS_ID"),
        ("a.fits", {"SOURCE": "hmi.S_720s_dconS[2014]"}, "hmi.S_720s_dconS in SOURCE"),
        ("a.fits", {"HISTORY": "hmi.Ic_720s_dcon[2014]"}, "hmi.Ic_720s_dcon in HISTORY"),
        ("a.fits", {"CALVER64": 270610 | 1 << 20}, "CALVER64=0x142112"),
        ("a.fits", {"CALVER64": 270610.0 + 2**21}, "CALVER64=0x242112"),
        ("a.fits", {"ENHMODEL": "5 blocks"}, "ENHMODEL='5 blocks'"),
        ("hmi_dcon/hmi.Ic_45s.fits", {"CALVER64": 268705810}, None),
        ("my_dcontrol.fits", {"CALVER64": -1}, None),  # all bits: missing
        ("a.fits", {"CALVER64": "unknown"}, None),
    ],
)
def test_deconvolved(path, cards, found):
    assert deconvolved(frame(path=path, **cards)) == found


@pytest.mark.parametrize(
    ("cards", "text"),
    [
        ({}, None),
        ({"QUALITY": 0}, None),
        ({"QUALITY": "0x00000000"}, None),
        ({"QUALITY": ""}, None),
        ({"QUALITY": 0x100}, "QUALITY=0x00000100: eclipse"),
        (
            {"QUALITY": "0x420"},
            "QUALITY=0x00000420: cosmic rays not removed from every filtergram; "
            "poor: eclipse, lunar transit, thermal recovery or the like",
        ),
        ({"QUALITY": -(2**31)}, "QUALITY=0x80000000: others, see JSOC's Quality_Bits/QUALITY.txt"),
        (
            {"QUALITY": 0x400, "HARPNUM": 377},
            "QUALITY=0x00000400: see the documentation of the series",
        ),
        (
            {"QUALITY": 512, "INSTRUME": "MDI"},
            "QUALITY=0x00000200: see the documentation of the series",
        ),
    ],
)
def test_quality(cards, text):
    assert quality(Header(cards)) == text


@pytest.mark.parametrize(
    ("data", "cards", "heard"),
    [
        (FIELD, {"QUALITY": 0, "QLOOK": 0, "CDELT1": 0.5043, "CUNIT1": "arcsec"}, []),
        (FIELD, {"CDELT1": 1.01, "CUNIT1": "arcsec"}, ["pixels of 1.01 arcsec, the PSF is on HMI"]),
        (FIELD, {"CDELT1": 1.98, "CUNIT1": "arcsec", "INSTRUME": "MDI"}, ["pixels of 1.98 arcsec"]),
        (FIELD, SQUARE | {"CDELT2": 1.008}, ["pixels of 0.504 x 1.01 arcsec, the PSF is on HMI"]),
        (FIELD, CEA | {"CDELT1": 0.03, "CDELT2": 0.03, "HARPNUM": 377}, ["hmi.sharp_720s, the"]),
        (
            FIELD,
            CEA
            | {"CDELT1": 0.06, "CDELT2": 0.06, "DRMS_ID": "hmi.sharp_cea_720s_nrt:1:magnetogram"},
            [
                "has pixels of 0.989 arcsec, the PSF is on HMI's 0.504",
                "hmi.sharp_720s_nrt, the same",
            ],
        ),
        (FIELD, CEA | {"CDELT1": 0.03, "CDELT2": 0.03}, ["enhance a cut-out of hmi.M_720s or"]),
        (FIELD, {"ENHMODEL": "m", "QUALITY": 64}, ["deconvolved before", "QUALITY=0x00000040"]),
        (FIELD / 1e3, {}, ["below HMI's noise: if it is in kG, write BUNIT = 'kG'"]),
        (FIELD / 1e3, {"BUNIT": "kG"}, []),
    ],
)
def test_remark(caplog, data, cards, heard):
    remark(frame(data, **cards), "blos", "the PSF is on")
    assert len(caplog.messages) == len(heard)
    for message, text in zip(caplog.messages, heard, strict=True):
        assert message.startswith("made.fits ")
        assert text in message


@pytest.mark.parametrize(
    ("type", "data", "cards", "limit"),
    [
        ("blos", FIELD, {}, 10_000),
        ("blos", FIELD / 1e3, {"BUNIT": "kG"}, 10),
        ("intensity", 5e4 * QUIET, {}, 2.8e5),
        ("intensity", QUIET, {}, 5.6),
        ("intensity", QUIET, {"BUNIT": "DN/s"}, -0.12),
    ],
)
def test_pixels_that_are_not_of_the_sun(caplog, type, data, cards, limit):
    for factor, said in ((0.9, False), (1.1, True)):
        data = data.copy()
        data[3, 5:7] = factor * limit
        remark(frame(data, **cards), type)
        assert ("made.fits has 2 pixels of a" in caplog.text) == said
    assert f"such as {1.1 * limit:.3g}" in caplog.text


def test_pixels_that_the_weights_were_trained_on(caplog):
    """The pixel scale is compared with that of the weights' training."""
    other = frame(CDELT1=0.28, CUNIT1="arcsec", INSTRUME="SP")
    remark(other, "blos", expected=0.28)
    assert not caplog.messages
    remark(frame(**SQUARE), "blos", expected=0.28)
    assert "pixels of 0.504 arcsec, the network was trained on 0.28: do not" in caplog.text


def test_mentioned(caplog):
    caplog.set_level(logging.INFO)
    remark(frame(QLOOK=1), "blos")
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "near-real-time (QLOOK=1)" in caplog.text
