"""Reading and writing FITS, on synthetic files in the formats of JSOC."""

import gzip
import os
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits as afits
from astropy.wcs import WCS

from enhance_np.observation import fits

DONE = {
    "version": "0.1.0",
    "model": "keepsize",
    "weights": "0123456789abcdef" * 4,
    "type": "blos",
    "norm": 1000.0,
}
BLANK = -(2**31)


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<u2"])
def test_an_array_of_numpy(tmp_path, dtype):
    data = np.arange(12).reshape(3, 4).astype(dtype)
    np.save(tmp_path / "a.npy", data)
    frame = fits.read(tmp_path / "a.npy")
    np.testing.assert_array_equal(frame.data, data)
    assert frame.data.dtype == np.float32
    assert (frame.unit, frame.year, len(frame.header)) == ("", None, 0)


def test_refuses_arrays_that_are_no_image(tmp_path):
    path = tmp_path / "a.npy"
    for array, words in (
        (np.ones((2, 3, 4)), r"must be \(H, W\).*got shape \(2, 3, 4\)"),
        (np.ones((3, 4), complex), "real numbers"),
        (np.full((3, 4), np.inf), "only NaN"),
    ):
        np.save(path, array)
        with pytest.raises(ValueError, match=words):
            fits.read(path)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(OSError, match="needs a whole .npy file, got"):
        fits.read(path)
    np.save(path, np.ones((30, 40)))
    whole = path.read_bytes()
    for size in (7, 60, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(OSError, match="needs a whole .npy file, got"):
            fits.read(path)
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="ext needs a FITS file, got ext=1"):
        fits.read(path, 1)


def sky_header(kind):
    """WCS of an HMI image with 60 columns and 40 rows, in one of several conventions."""
    header = afits.Header()
    header["CTYPE1"], header["CTYPE2"] = "HPLN-TAN", "HPLT-TAN"
    header["CUNIT1"] = header["CUNIT2"] = "arcsec"
    header["CRPIX1"], header["CRPIX2"] = 28.61, 1017.2  # a cut-out, with disc centre outside
    header["CRVAL1"], header["CRVAL2"] = 2.48, -1.7
    if kind == "crota":
        header["CDELT1"] = header["CDELT2"] = 0.504302
        header["CROTA2"] = 179.9298
    elif kind == "pc":
        header["CDELT1"] = header["CDELT2"] = 0.504302
        header["PC1_1"], header["PC1_2"] = -0.8, 0.6
        header["PC2_1"], header["PC2_2"] = -0.6, -0.8
    elif kind == "cd":
        header["CD1_1"], header["CD1_2"] = -0.4, 0.3
        header["CD2_1"], header["CD2_2"] = -0.3, -0.4
    elif kind == "cea":
        header["CTYPE1"], header["CTYPE2"] = "CRLN-CEA", "CRLT-CEA"
        header["CUNIT1"] = header["CUNIT2"] = "deg"
        header["CRPIX1"], header["CRPIX2"] = 30.5, 20.5
        header["CRVAL1"], header["CRVAL2"] = 34.879, 0.0
        header["CDELT1"] = header["CDELT2"] = 0.03
    return header


@pytest.fixture
def field():
    """(40, 60) field in G: multiples of 0.1, which the file stores exactly; NaN off the limb."""
    rng = np.random.default_rng(3)
    data = (rng.integers(-9000, 9000, (40, 60)) / 10).astype(np.float32)
    data[:, :7] = np.nan
    return data


@pytest.fixture
def jsoc(tmp_path, field):
    """Path of a file as JSOC exports it: int32, BSCALE, BZERO, BLANK, Rice, extension 1."""
    path = tmp_path / "hmi.m.fits"
    stored = np.where(np.isnan(field), BLANK, np.rint((field - 5) * 10)).astype(np.int32)
    header = sky_header("crota")
    header["CONTENT"], header["BUNIT"] = "MAGNETOGRAM", "Gauss"
    header["INSTRUME"], header["RSUN_OBS"], header["R_SUN"] = "HMI_SIDE1", 968.6, 1920.7
    header["DATAMIN"], header["DATAMEA2"], header["DATAVALS"] = -900.0, 3.0, 2120
    header["BLANK"] = BLANK
    afits.CompImageHDU(stored, header, compression_type="RICE_1").writeto(path)
    with afits.open(path, mode="update", disable_image_compression=True) as hdus:
        hdus[1].header["BSCALE"], hdus[1].header["BZERO"] = 0.1, 5.0
    return path


def names(folder):
    return sorted(os.listdir(folder))


# --- read


def test_read_jsoc(jsoc, field):
    got = fits.read(jsoc)
    np.testing.assert_allclose(got.data, field, rtol=1e-6)  # scaled once; BLANK became NaN
    assert got.data.dtype == np.float32
    assert got.data.dtype.isnative
    assert got.unit == "Gauss"
    assert "BSCALE" not in got.header
    assert "BZERO" not in got.header


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2", "u1", ">i4"])
def test_read_plain(tmp_path, dtype):
    data = np.arange(12).reshape(3, 4)
    afits.PrimaryHDU(data.astype(dtype)).writeto(tmp_path / "a.fits")
    got = fits.read(tmp_path / "a.fits")
    assert got.data.dtype == np.float32
    np.testing.assert_array_equal(got.data, data)


def test_read_gzip_and_unpadded(tmp_path, field):
    """The padding of the last block is often missing, which is harmless: every pixel is there."""
    path = tmp_path / "a.fits"
    afits.PrimaryHDU(field).writeto(path)
    content = path.read_bytes()
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(content))
    (tmp_path / "b.fits").write_bytes(content[: 2880 + field.nbytes])
    for name in ("a.fits.gz", "b.fits"):
        np.testing.assert_array_equal(fits.read(tmp_path / name).data, field)


def test_read_compressed_without_scaling(tmp_path, field):
    """BLANK becomes NaN even if astropy does not scale, without BSCALE and BZERO."""
    stored = np.where(np.isnan(field), BLANK, np.rint(field)).astype(np.int32)
    header = afits.Header({"BLANK": BLANK})
    afits.CompImageHDU(stored, header, compression_type="RICE_1").writeto(tmp_path / "a.fits.fz")
    content = (tmp_path / "a.fits.fz").read_bytes()
    (tmp_path / "b.fits.gz").write_bytes(gzip.compress(content))
    for name in ("a.fits.fz", "b.fits.gz"):
        np.testing.assert_array_equal(fits.read(tmp_path / name).data, np.rint(field))


def test_read_invalid_cards(tmp_path, field, caplog):
    """JSOC's invalid cards (BLANK in a float image, unquoted nan, 2e+22) are repaired for
    writing."""
    caplog.set_level("INFO")
    path = tmp_path / "a.fits"
    header = sky_header("crota")
    header["CRDER1"], header["DUMMY"], header["USFLUX"] = 0.5, -32768, 1.5
    field[3, 3] = np.inf
    afits.PrimaryHDU(field, header).writeto(path)  # astropy would repair these cards
    content = path.read_bytes().replace(b"DUMMY   =", b"BLANK   =", 1)
    for key, text in (
        (b"CRDER1  =                  0.5", b"CRDER1  = nan"),
        (b"USFLUX  =                  1.5", b"USFLUX  = 2.714760e+22"),
    ):
        content = content.replace(key, text.ljust(30), 1)
    path.write_bytes(content)
    with pytest.warns(afits.verify.VerifyWarning, match="Invalid 'BLANK'"):
        afits.getdata(path)
    got = fits.read(path)
    assert np.isnan(got.data[3, 3])
    assert caplog.messages == [
        f"{path}: 2 header cards that break the FITS standard were repaired: CRDER1, USFLUX",
        f"{path}: fill values are treated as missing pixels: 1 of inf",
    ]
    fits.write(tmp_path / "b.fits", got.data, fits.enhanced_header(got.header, **DONE))
    again = fits.read(tmp_path / "b.fits")
    np.testing.assert_array_equal(again.data, got.data)
    assert again.header["USFLUX"] == 2.71476e22
    assert not {"BLANK", "CRDER1"} & set(again.header)


def test_read_picks_the_image(tmp_path, field):
    """The first 2-D image is read; a cube, a table and an empty primary HDU are skipped."""
    table = afits.BinTableHDU.from_columns([afits.Column("a", "E", array=[1.0, 2.0])])
    cube = afits.ImageHDU(np.zeros((2, 3, 4), np.float32))
    images = [afits.ImageHDU(field, name="ONE"), afits.ImageHDU(2 * field, name="TWO")]
    path = tmp_path / "a.fits"
    afits.HDUList([afits.PrimaryHDU(), table, cube, *images]).writeto(path)
    np.testing.assert_array_equal(fits.read(path).data, field)
    np.testing.assert_array_equal(fits.read(path, "TWO").data, 2 * field)
    np.testing.assert_array_equal(fits.read(path, 4).data, 2 * field)
    for ext in (2, 9, "THREE"):
        with pytest.raises(ValueError, match=r"^read: .*got"):
            fits.read(path, ext)


@pytest.mark.parametrize(
    "shape", [(), (5,), (2, 3, 4), (1, 3, 4), (1, 1), (1, 5)], ids=lambda s: f"{len(s)}d{s}"
)
def test_read_refuses_shapes(tmp_path, shape):
    data = np.ones(shape, np.float32) if shape else None
    afits.PrimaryHDU(data).writeto(tmp_path / "a.fits")
    with pytest.raises(ValueError, match=r"^read: .*, got .*") as error:
        fits.read(tmp_path / "a.fits")
    assert "\n" not in str(error.value)


def test_read_refuses_all_nan(tmp_path):
    afits.PrimaryHDU(np.full((4, 4), np.nan)).writeto(tmp_path / "a.fits")
    with pytest.raises(ValueError, match=r"^read: needs one valid pixel or more, got only NaN"):
        fits.read(tmp_path / "a.fits")


def test_read_refuses_damage(tmp_path, jsoc, field):
    plain = tmp_path / "plain.fits"
    afits.PrimaryHDU(field).writeto(plain)
    bad = {
        "empty": b"",
        "text": b"a picture of the Sun\n" * 300,
        "header": plain.read_bytes()[:1500],
        "data": plain.read_bytes()[:5000],
        "rice": jsoc.read_bytes()[:-4000],
        "gzip": gzip.compress(plain.read_bytes())[:2000],
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    for path in (*(tmp_path / name for name in bad), tmp_path / "missing", tmp_path):
        with pytest.raises(OSError, match=r"^read: .*, got") as error:
            fits.read(path)
        assert "\n" not in str(error.value)
        assert str(path) in str(error.value)


# --- header


def sky_shift(before, after, shape=(40, 60)):
    """Largest distance in arcsec that the corners and the centre of the image move."""
    h, w = shape
    edges = np.array([[0, 0], [w, 0], [0, h], [w, h], [w / 2, h / 2]])  # from the corner
    # FITS pixel 1 is the centre of the first pixel: its lower left corner is at 0.5
    old = WCS(before).wcs_pix2world(edges + 0.5, 1)
    new = WCS(after).wcs_pix2world(2 * edges + 0.5, 1)
    return 3600 * np.abs(old - new).max()  # astropy.wcs gives degrees


@pytest.mark.parametrize("kind", ["crota", "pc", "cd", "cea"])
def test_sky_does_not_move(kind):
    header = sky_header(kind)
    out = fits.enhanced_header(header, **DONE)
    assert sky_shift(header, out) < 1e-6
    for key in ("CRVAL1", "CRVAL2", "CUNIT1", "CTYPE1", "CROTA2", "PC1_1", "PC1_2"):
        assert out.get(key) == header.get(key)
    assert header == sky_header(kind)  # the input is not changed


@pytest.mark.parametrize("kind", ["crota", "pc", "cd", "cea"])
def test_doubled_crpix_moves_the_sky(kind):
    """The published program writes 2 * CRPIX, which the check above must detect."""
    header = sky_header(kind)
    out = fits.enhanced_header(header, **DONE)
    out["CRPIX1"], out["CRPIX2"] = 2 * header["CRPIX1"], 2 * header["CRPIX2"]
    assert sky_shift(header, out) > 0.1


def test_sky_alternate_wcs_and_defaults():
    header = sky_header("crota")
    for key in ("CTYPE", "CUNIT", "CRPIX", "CRVAL"):
        for i in "12":
            header[f"{key}{i}A"] = header[f"{key}{i}"]
    header["CRPIX1A"] = 3.0
    header["CD1_1A"], header["CD2_2A"] = 0.5, 0.5
    del header["CRPIX2"], header["CDELT1"]  # FITS defaults: 0 and 1
    out = fits.enhanced_header(header, **DONE)
    assert (out["CRPIX2"], out["CDELT1"], out["CDELT2"]) == (-0.5, 0.5, 0.252151)
    assert (out["CRPIX1A"], out["CD1_1A"]) == (5.5, 0.25)
    assert "CDELT1A" not in out


def test_factor_three():
    out = fits.enhanced_header(sky_header("crota"), **DONE, factor=3)
    assert out["CRPIX1"] == pytest.approx(3 * 28.61 - 1)
    assert out["CDELT1"] == pytest.approx(0.504302 / 3)


def test_no_wcs_is_invented():
    header = afits.Header()
    header["EXPTIME"] = 1.0
    out = fits.enhanced_header(header, **DONE)
    assert {key for key in out if not key.startswith("ENH")} == {"EXPTIME", "HISTORY"}


def test_header_of_a_jsoc_file(jsoc, field):
    header = fits.read(jsoc).header
    header["IMCRPIX1"], header["CRSIZE1"], header["NPIX"] = 2039.1, 60, 1800
    header["DATE"] = ("2017-11-10T03:05:52", "[ISO] HDU creation date")
    header["_DATAMIN"], header["CHECKSUM"], header["BSCALE"] = -900.0, "x", 0.1
    header.add_history("made at JSOC")
    out = fits.enhanced_header(header, **DONE)
    assert out["R_SUN"] == 2 * 1920.7
    assert out["CRSIZE1"] == 120
    for key in ("RSUN_OBS", "INSTRUME", "BUNIT", "CONTENT", "IMCRPIX1", "NPIX"):
        assert out[key] == header[key]
    for key in ("DATAMIN", "_DATAMIN", "DATAMEA2", "DATAVALS", "BSCALE", "BZERO", "BLANK"):
        assert key not in out
    for key in ("CHECKSUM", "EXTNAME", "ZIMAGE", "ZCMPTYPE", "XTENSION"):
        assert key not in out
    assert out["ENHVERS"] == "0.1.0"
    assert out["ENHMODEL"] == "keepsize"
    assert out["ENHWGT"] == "0123456789abcdef"
    assert out["ENHTYPE"] == "blos"
    assert out["ENHNORM"] == 1000.0
    assert out["ENHSCALE"] == 2
    assert out["HISTORY"][0] == "made at JSOC"
    assert (out["DATE"], out.comments["DATE"]) == ("2017-11-10T03:05:52", "of the input")
    assert "x2 by keepsize as blos" in out["HISTORY"][-1]


def test_unit_under_its_own_name():
    """JSOC's exports of SHARPs have _BUNIT, which other programs do not read."""
    header = afits.Header({"_BUNIT": "Mx/cm^2"})
    out = fits.enhanced_header(header, **DONE)
    assert out["BUNIT"] == "Mx/cm^2"
    assert "_BUNIT" not in out
    header["BUNIT"] = "Gauss"
    assert fits.enhanced_header(header, **DONE)["BUNIT"] == "Gauss"


def test_header_refuses_text_for_a_number():
    header = sky_header("crota")
    header["CRPIX1"] = "middle"
    with pytest.raises(ValueError, match="rescaled_header: CRPIX1 must be a number, got 'middle'"):
        fits.enhanced_header(header, **DONE)


# --- write


def test_write_and_read_back(tmp_path, jsoc):
    got = fits.read(jsoc)
    out = got.data.repeat(2, axis=0).repeat(2, axis=1)
    header = fits.enhanced_header(got.header, **DONE)
    for name in ("b.fits", "b.fits.gz"):
        fits.write(tmp_path / name, out, header)
        with afits.open(tmp_path / name) as hdus:
            assert len(hdus) == 1
            assert hdus[0].header["BITPIX"] == -32
            hdus.verify("exception")
        again = fits.read(tmp_path / name)
        np.testing.assert_array_equal(again.data, out)
        assert sky_shift(got.header, again.header) < 1e-6
    assert (tmp_path / "b.fits.gz").read_bytes()[:2] == b"\x1f\x8b"
    assert names(tmp_path) == ["b.fits", "b.fits.gz", "hmi.m.fits"]


def test_write_needs_overwrite(tmp_path):
    path = tmp_path / "b.fits"
    path.write_text("mine")
    with pytest.raises(
        FileExistsError, match=r"^check_output: .*unless overwrite is set, got path="
    ):
        fits.write(path, np.ones((4, 4)), afits.Header())
    assert path.read_text() == "mine"
    fits.write(path, np.ones((4, 4)), afits.Header(), overwrite=True)
    assert fits.read(path).data.shape == (4, 4)
    with pytest.raises(ValueError, match=r"^write: the image must be \(H, W\), got shape=\(4,\)"):
        fits.write(tmp_path / "c.fits", np.ones(4), afits.Header())
    assert names(tmp_path) == ["b.fits"]


@pytest.mark.parametrize("moment", ["writing", "moving"])
def test_write_leaves_nothing_on_failure(tmp_path, monkeypatch, moment):
    """After a full disk or Ctrl-C the old file is intact, and no part of the new one is left."""
    path = tmp_path / "b.fits"
    path.write_text("mine")

    def interrupted(self, name, *args, **kwargs):
        with open(name, "wb") as file:
            file.write(b"SIMPLE")
        raise KeyboardInterrupt

    def full(*args):
        raise OSError("No space left on device")

    if moment == "writing":
        monkeypatch.setattr(afits.HDUList, "writeto", interrupted)
    else:
        monkeypatch.setattr(os, "replace", full)
    with pytest.raises((KeyboardInterrupt, OSError)):
        fits.write(path, np.ones((4, 4)), afits.Header(), overwrite=True)
    assert path.read_text() == "mine"
    assert names(tmp_path) == ["b.fits"]


def test_write_through_a_link(tmp_path):
    (tmp_path / "target.fits").write_text("old")
    (tmp_path / "link.fits").symlink_to(tmp_path / "target.fits")
    fits.write(tmp_path / "link.fits", np.ones((4, 4)), afits.Header(), overwrite=True)
    assert (tmp_path / "link.fits").is_symlink()
    assert fits.read(tmp_path / "target.fits").data.shape == (4, 4)


@pytest.mark.parametrize(
    ("end", "begins"),
    [
        ("fits", b"SIMPLE"),
        ("FTS", b"SIMPLE"),
        ("fit.gz", b"\x1f\x8b"),
        ("fits.bz2", b"BZh"),
        ("fits.fz", b"SIMPLE"),
    ],
)
def test_the_name_says_how_it_is_packed(tmp_path, end, begins):
    path = tmp_path / f"a.{end}"
    fits.write(path, np.ones((4, 4)), afits.Header())
    assert path.read_bytes().startswith(begins)
    assert fits.read(path).data.shape == (4, 4)


@pytest.mark.parametrize(
    "name", ["a.jpg", "a", "fits", ".fits", "a.fz", "a.fits.FZ", "a.fits.GZ", "a.gz"]
)
def test_other_names_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"^check_name: .*\.fits, \.fit or \.fts.*, got path=.*'$"):
        fits.write(tmp_path / name, np.ones((4, 4)), afits.Header())
    assert names(tmp_path) == []


def test_check_output(tmp_path, monkeypatch):
    source = tmp_path / "in.fits"
    source.write_text("input")
    (tmp_path / "link.fits").symlink_to(source)
    refused = {
        source: "exist",
        tmp_path: "name of a file",
        tmp_path / "no" / "b.fits": "folder must exist",
        source / "b.fits": "folder must exist",
    }
    for path, what in refused.items():
        with pytest.raises(OSError, match=rf"^check_output: .*{what}.*, got path=") as error:
            fits.check_output(path)
        assert "\n" not in str(error.value)
    for path in (source, tmp_path / "link.fits", tmp_path / "." / "in.fits"):
        with pytest.raises(OSError, match="check_output: the output must not be the input"):
            fits.check_output(path, overwrite=True, input=source)
    fits.check_output(source, overwrite=True)
    fits.check_output(tmp_path / "b.fits", input=source)
    monkeypatch.setattr(os, "access", lambda *a: False)  # root may write everywhere
    with pytest.raises(PermissionError, match="check_output: the folder must be writable"):
        fits.check_output(tmp_path / "b.fits")
    assert names(tmp_path) == ["in.fits", "link.fits"]


def test_import_is_cheap():
    code = "import sys, enhance_np.prediction.picture\n"
    code += "from enhance_np.observation import kind, normalise\n"
    code += "assert not {'astropy', 'scipy', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("cards", "year"),
    [
        ({"DATE-OBS": "2014-03-01T00:00:27.90"}, 2014 + 2.5 / 12),
        ({"T_REC": "2011.12.15_02:00:00_TAI"}, 2011 + 11.5 / 12),
        ({"DATE-OBS": "", "T_OBS": "2025.09.21_15:00:00_TAI"}, 2025 + 8.5 / 12),
        ({"DATE-OBS": "unknown"}, None),
        ({}, None),
    ],
)
def test_year(tmp_path, cards, year):
    afits.writeto(tmp_path / "a.fits", np.ones((3, 3), np.float32), afits.Header(cards))
    assert fits.read(tmp_path / "a.fits").year == year
