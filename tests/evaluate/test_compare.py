"""One scene through two telescopes: where it is, how sharp it is, and every figure of the table."""

import json
from datetime import datetime

import numpy as np
import pytest
import two_telescopes
from astropy import units as u
from astropy.io import fits
from observed import frame
from two_telescopes import (
    CORNER,
    FINE,
    HALF,
    HOW,
    hdus,
    seen_by_both,
    sot,
)

from enhance_np import compare
from enhance_np.evaluate import compare as comparing
from enhance_np.evaluate import compare_report
from enhance_np.observation import moment
from enhance_np.observation.pixels import pixel_area
from enhance_np.optics.degrade import HMI, seen
from enhance_np.sun.scene import scene


@pytest.fixture(scope="module")
def sun():
    return two_telescopes.sun()


ERRORS = [(0.37, -0.81), (-1.234, 2.345)]


@pytest.mark.parametrize("scale", [0.16, 0.252, 0.3])
@pytest.mark.parametrize("type", ["intensity", "blos"])
def test_a_known_shift_within_a_twentieth_of_a_pixel(sun, rng, type, scale):
    """With noise. The other's coordinates are too large by the shift."""
    for error in ERRORS:
        found = compare(*hdus(type, sun, scale, rng, error), **HOW)
        shift = found.report["shift"]
        x, y = shift["pixels"]
        np.testing.assert_allclose([y, x], np.array(error) / HALF, atol=0.05)
        np.testing.assert_allclose(shift["arcsec"], [HALF * x, HALF * y], atol=1e-9)
        assert shift["after"] == "coordinates"


def test_without_coordinates_a_scale_is_enough(sun, rng):
    """The middle of one is somewhere else than that of the other."""
    out, other = seen_by_both(sun["intensity"], 0.16, rng)
    found = compare(out, other, out_scale=HALF, other_scale=0.16, other_optics=sot(0.16), **HOW)
    assert found.report["shift"]["after"] == "centres"
    corner = np.array([FINE * round(c / FINE) for c in CORNER])
    middles = np.array(out.shape) * HALF / 2 - (corner + np.array(other.shape) * 0.16 / 2)
    x, y = found.report["shift"]["pixels"]
    np.testing.assert_allclose([y, x], middles / HALF, atol=0.05)
    assert found.report["resolution"]["out"] == "airy, 0.28 m, 6173 Å"  # an output is expected
    assert found.header is None


def test_the_blur_makes_spectra_and_contrast_equal(sun):
    """Without noise, on the pixels of the other: the interpolation then changes the finest only."""
    found = compare(*hdus("intensity", sun, 0.16), **HOW).report
    contrasts = found["images"]
    assert contrasts["other"]["as it is"] > 1.1 * contrasts["out"]["as it is"]
    assert contrasts["other"]["alike"] == pytest.approx(contrasts["out"]["alike"], rel=2e-3)
    assert found["blurred"] == ["other"]
    for band in ("0.1-0.25", "0.25-0.5", "0.5-0.75", "0.75-1"):
        assert found["bands"][band] == pytest.approx(1, abs=5e-3)
    assert found["difference"]["all"]["rms"] < 0.01 * contrasts["out"]["alike"]


def test_the_header_and_the_area_are_those_of_the_common_pixels(sun):
    out, other = hdus("blos", sun, 0.3)
    found = compare(out, other, **HOW)
    x, y = (round(out.header[f"CRPIX{axis}"] - found.header[f"CRPIX{axis}"]) for axis in (1, 2))
    assert x > 0
    assert y > 0
    h, w = found.out.shape
    known = np.isfinite(found.out)
    part = out.data[y : y + h, x : x + w]
    np.testing.assert_allclose(found.out[known], part[known], rtol=1e-6)
    flux = found.report["images"]["out"]["flux"]
    area = pixel_area(out.header)
    assert flux["unsigned_mx"] == pytest.approx(flux["unsigned"] * known.sum() * area, rel=1e-6)


def test_another_orientation_and_unit(sun, rng):
    """Upside down, as JSOC stores it, and in kG: the same figures."""
    out, other = hdus("blos", sun, 0.16, rng)
    plain = compare(out, other, **HOW)
    turned = fits.Header(other.header, copy=True)
    h, w = other.data.shape
    turned.update({"CDELT1": -0.16, "CDELT2": -0.16, "CRPIX1": w + 0.5, "CRPIX2": h + 0.5})
    turned["BUNIT"] = "kG"
    again = compare(out, fits.PrimaryHDU(other.data[::-1, ::-1] / 1000, turned), **HOW)
    np.testing.assert_allclose(again.other_alike, plain.other_alike, atol=0.02)
    np.testing.assert_array_equal(again.out, plain.out)
    assert again.report["shift"]["pixels"] == pytest.approx(
        plain.report["shift"]["pixels"], abs=1e-3
    )


def test_a_known_factor(sun):
    """Fields of 0.8 times the other's everywhere."""
    out, other = hdus("blos", sun, 0.16)
    out.data = 0.8 * out.data
    report = compare(out, other, **HOW).report
    flux = [report["images"][name]["flux"]["unsigned_mx"] for name in ("out", "other")]
    assert flux[0] / flux[1] == pytest.approx(0.8, rel=2e-3)
    for name in ("out", "other"):
        assert report["ratio"][name]["value"] == pytest.approx(0.8, rel=2e-3)
        assert report["ratio"][name]["pixels"] > 100
    everywhere = report["difference"]["all"]
    assert everywhere["slope"] == pytest.approx(0.8, rel=2e-3)
    assert everywhere["slope_back"] == pytest.approx(0.8, rel=2e-3)
    assert everywhere["correlation"] > 0.999


def test_a_factor_of_intensities_is_taken_away(sun):
    out, other = hdus("intensity", sun, 0.16)
    one = compare(out, other, **HOW).report
    other.data = 3 * other.data
    three = compare(out, other, **HOW).report
    assert three["levels"]["other"] == pytest.approx(3 * one["levels"]["other"], rel=1e-6)
    assert three["images"]["other"]["alike"] == pytest.approx(
        one["images"]["other"]["alike"], rel=1e-5
    )
    assert three["difference"]["all"]["slope"] == pytest.approx(1, abs=5e-3)


def test_selection_by_noise_has_the_bias_that_the_page_tells(sun, rng):
    """Two images of one field with equal noise: below 1 where OTHER is taken, above where OUT."""
    out = seen(sun["blos"], FINE, HMI.target())
    noisy = [i + 100 * rng.standard_normal(out.shape) for i in (out, out)]
    how = {"type": "blos", "out_scale": HALF, "other_scale": HALF, "other_optics": HMI.target()}
    ratio = compare(*noisy, **how, other_averages=False).report["ratio"]
    assert ratio["other"]["value"] < 0.995
    assert ratio["out"]["value"] > 1.005


def test_missing_pixels_are_missing_in_everything(sun, rng):
    """A hole in each, and wild values beyond a mask: the rest does not change with them."""
    out, other = hdus("intensity", sun, 0.16, rng, (0.4, 0.3))
    holes = [np.array(hdu.data) for hdu in (out, other)]
    holes[0][20:30, 20:30] = np.nan
    holes[1][100:120, 90:100] = np.nan
    pair = [fits.PrimaryHDU(d, hdu.header) for d, hdu in zip(holes, (out, other), strict=True)]
    found = compare(*pair, **HOW)
    whole = compare(out, other, **HOW)
    x, y = found.report["shift"]["pixels"]
    np.testing.assert_allclose([HALF * y, HALF * x], (0.4, 0.3), atol=0.05 * HALF)
    images = [found.out, found.other, found.out_alike, found.other_alike]
    missing = np.isnan(images[0])
    assert all(np.array_equal(np.isnan(i), missing) for i in images)
    # EDGE = 1 arcsec around each hole: 18 x 18 and 20.7 x 14.3 pixels, without the corners
    assert 18**2 + 20 * 14 - 120 < missing.sum() < 18**2 + 22 * 16
    assert found.report["classes"]["all"] == found.out.size - missing.sum()
    same = ~missing
    np.testing.assert_allclose(found.out_alike[same], whole.out_alike[same], rtol=0.02)
    assert json.dumps(found.report, allow_nan=False)


def test_kinds_of_image(sun, tmp_path):
    """A Quantity, a masked array, a dask array and a name of a file are the HDU's image."""
    out, other = hdus("intensity", sun, 0.252)
    out.writeto(tmp_path / "out.fits")
    how = {"out_scale": HALF, "other_scale": 0.252, "other_optics": sot(0.252), **HOW}
    expected = compare(np.array(out.data), np.array(other.data), **how).out_alike
    kinds = [
        (out.data * u.DN / u.s, other.data * u.DN / u.s),
        (np.ma.array(out.data, mask=False), np.ma.array(other.data, mask=False)),
        (tmp_path / "out.fits", np.array(other.data)),
    ]
    da = pytest.importorskip("dask.array")
    kinds.append((da.from_array(np.array(out.data)), np.array(other.data)))
    for pair in kinds:
        np.testing.assert_allclose(compare(*pair, **how).out_alike, expected, atol=1e-5)
    with pytest.raises(TypeError, match="x must be a NumPy array"):
        compare([1, 2], np.array(other.data), **how)


def test_a_map(sun):
    sunpy_map = pytest.importorskip("sunpy.map")
    out, other = hdus("blos", sun, 0.252)
    cards = {"TELESCOP": "SDO/HMI", "DATE-OBS": "2014-03-01T00:00:27.9", "WAVELNTH": 6173.0}
    cards |= {"RSUN_OBS": 960.0, "DSUN_OBS": 1.496e11, "HGLN_OBS": 0.0, "HGLT_OBS": 0.0}
    for hdu in (out, other):
        hdu.header.update(cards)
    expected = compare(out, other, **HOW)
    given = [sunpy_map.Map(hdu.data, hdu.header) for hdu in (out, other)]
    found = compare(*given, **HOW)
    np.testing.assert_array_equal(found.out_alike, expected.out_alike)
    assert found.report["minutes"] == 0
    assert found.report["times"]["other"] == "2014-03-01 00:00:27"


@pytest.mark.parametrize(
    ("first", "second", "minutes"),
    [
        ({"DATE-OBS": "2011-02-15T01:58:00"}, {"DATE_OBS": "2011-02-15T02:00:30.5Z"}, 2.508),
        ({"T_OBS": "2011.02.15_02:00:34_TAI"}, {"DATE-OBS": "2011-02-15T02:00:00"}, 0.0),
        (
            {"DATE-OBS": "2011-02-15T00:00:00"},
            {"DATE_OBS": "2011-02-15T00:01:00", "DATE_END": "2011-02-15T00:03:00"},
            2.0,
        ),
        ({"DATE-OBS": "yesterday"}, {"DATE-OBS": "2011-02-15T02:00:00"}, None),
        ({}, {"DATE-OBS": "2011-02-15T02:00:00"}, None),
    ],
)
def test_the_time_between_them(first, second, minutes, caplog):
    times = [moment.middle(frame(**cards).header) for cards in (first, second)]
    found = comparing._minutes(times)
    assert found == (minutes if minutes is None else pytest.approx(minutes, abs=1e-3))
    assert not caplog.records


def test_a_long_time_between_them_is_warned_of(caplog):
    comparing._minutes([datetime(2011, 2, 15, 2, minute) for minute in (30, 10)])
    assert "20 minutes apart" in caplog.text


def test_the_table_has_every_figure(sun, rng):
    text = str(compare(*hdus("blos", sun, 0.3, rng, (0.5, 0.25)), **HOW))
    for words in (
        "blos in G",
        "OTHER  the PrimaryHDU: airy, 0.5 m, 6302 Å, pixels of 0.3 arcsec",
        "after the coordinates: x +0.2",
        "blur   to equal resolution: of OTHER",
        "unsigned flux, 1e20 Mx",
        "0.5-0.75",
        "where OTHER has 800-1200 G",
        "where OUT has 800-1200 G",
    ):
        assert words in text
    assert "nan" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_small_images_have_no_spectra():
    """29 x 29 pixels in common."""
    images = [np.random.default_rng(3).standard_normal((29, 29)) for _ in range(4)]
    report, spectra = compare_report.measured(
        "blos", images, (HALF, HALF), (np.ones((20, 20)), (0.3, 0.3)), None, 1e15
    )
    assert spectra == {}
    assert report["bands"] == {}


def test_the_picture(sun):
    """Its words; without spectra it says so. The command below draws one with coordinates."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    out, other = seen_by_both(sun["intensity"], 0.16)
    found = compare(out, other, out_scale=HALF, other_scale=0.16, other_optics=sot(0.16), **HOW)
    figure = Figure(figsize=(13, 11))
    found.draw(figure)
    texts = {text.get_text() for text in figure.findobj(Text)}
    assert {
        "OUT: the array\nOTHER: the array",
        "OUT: airy, 0.28 m, 6173 Å",
        "OTHER: airy, 0.5 m, 6302 Å",
        "OUT - OTHER, both at the same resolution",
        "equal",
        f"slope {found.report['difference']['all']['slope']:.3f}",
        "OUT, as it is",
        "OTHER, at the same resolution",
        "x [arcsec]",
    } <= texts
    assert found._replace(spectra={}).picture().startswith(b"\x89PNG")


def bad(change):
    def make(sun):
        out, other = hdus("intensity", sun, 0.252)
        how = dict(HOW)
        return change(out, other, how)

    return make


def of_other_sun(out, other, how):
    other.data = scene(1_000_012, other.data.shape, 0.2, "quiet")[0]
    return out, other, how


def with_header(**cards):
    def change(out, other, how):
        other.header.update(cards)
        return out, other, how

    return change


def as_field(out, other, how):
    other.header["BUNIT"] = "Gauss"
    other.data = 1000 * (other.data - 1)
    return out, other, how


def empty(out, other, how):
    other.data = np.full(other.data.shape, np.nan)
    return out, other, how


def tiny(out, other, how):
    other.data = other.data[:10, :10]
    return out, other, how


def with_gaps(out, other, how):
    other.data[::3, ::3] = np.nan
    return out, other, how


def constant(out, other, how):
    other.data = np.ones_like(other.data)
    return out, other, how


BAD = {
    "two types": (as_field, "of one type, or it must be given, got blos and intensity"),
    "elsewhere": (with_header(CRVAL1=900.0), "coordinates that do not overlap"),
    "behind the Sun": (with_header(CRVAL1=180 * 3600.0), "coordinates that do not overlap"),
    "another Sun": (of_other_sun, "must show the same structures, got a correlation"),
    "nothing valid": (empty, "one valid pixel or more"),
    "tiny": (tiny, "needs 256 pixels or more that both images show"),
    "gaps everywhere": (with_gaps, "needs 256 pixels or more that both images show"),
    "constant": (constant, "must have structure, got a constant one"),
    "pixels of a full disk of 100 x 100": (
        with_header(CDELT1=20.7, CDELT2=20.7),
        "other must have pixels of 0.005 to 2.5 arcsec, got 20.7 x 20.7",
    ),
    "degrees that were arcsec": (
        with_header(CUNIT1="deg", CUNIT2="deg", CRVAL1=0.0, CRVAL2=0.0),
        "other must have pixels of 0.005 to 2.5 arcsec, got 907 x 907",
    ),
    "unknown telescope": (with_header(TELESCOP="mine", INSTRUME="own"), "the telescope of other"),
    "another kind": (
        with_header(
            **{"CTYPE1": "CRLN-CEA", "CTYPE2": "CRLT-CEA", "CDELT1": 0.03, "CDELT2": 0.03},
            **{"CUNIT1": "deg", "CUNIT2": "deg", "CRVAL1": 35.0, "CRVAL2": -21.0},
        ),
        "of one kind",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_compared(sun, name):
    change, message = BAD[name]
    out, other, how = bad(change)(sun)
    with pytest.raises(ValueError, match=message) as error:
        compare(out, other, **how)
    assert "\n" not in str(error.value)


def test_kilogauss_without_a_unit_are_warned_of(sun, caplog):
    out, other = hdus("blos", sun, 0.3)
    other.data = other.data / 1e3
    del other.header["BUNIT"]
    compare(out, other, "blos", **HOW)
    (record,) = caplog.records
    assert "names no unit of field, so G is assumed" in record.message
    other.header["BUNIT"] = "kG"
    caplog.clear()
    found = compare(out, other, "blos", **HOW)
    assert found.report["difference"]["all"]["slope"] == pytest.approx(1, abs=0.01)
    assert not caplog.records


def test_fields_of_opposite_sign(sun, rng):
    """One telescope calls positive what the other calls negative."""
    out, other = hdus("blos", sun, 0.252, rng)
    other.data = -other.data
    with pytest.raises(ValueError, match=r"the same direction as positive, got a corr.* -[01]"):
        compare(out, other, **HOW)


def test_arguments_that_are_wrong(sun):
    out, other = hdus("intensity", sun, 0.252)
    with pytest.raises(ValueError, match="type must be one of"):
        compare(out, other, "velocity")
    with pytest.raises(TypeError, match="must be an Optics"):
        compare(out, other, other_optics="sharp")


def test_coordinates_alone(sun):
    """Another Sun is compared, if it is wanted."""
    out, other, how = bad(of_other_sun)(sun)
    found = compare(out, other, **how, align=False).report
    assert found["shift"]["pixels"] == [0, 0]
    assert found["shift"]["correlation"] is None
    assert abs(found["difference"]["all"]["correlation"]) < 0.2
