"""Checksums of every HDU, and compression that keeps every bit."""

import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits as afits

from enhance_np.observation import fits

NAMES = ["a.fits", "a.fits.gz", "a.fits.fz"]


@pytest.fixture
def image(rng):
    """Floats that a quantisation would change."""
    data = rng.standard_normal((37, 50)).astype(np.float32)
    data[:4] = np.nan
    data[10, :5] = -0.0, 1e-40, 3e38, -1e-45, 7
    data.view(np.uint32)[11, 11] = 0x7FC12345  # NaN with a payload
    data[20:30] = 1.5
    return data


@pytest.fixture
def header():
    """With a card that breaks the standard, as JSOC writes it, and a long text."""
    made = afits.Header({"BUNIT": "DN/s", "OBJECT": "a 'long' text " * 8})
    made.append(afits.Card.fromstring("CRDER1  = nan".ljust(80)))
    made.add_history("made at JSOC")
    return made


def write(path, image, header):
    fits.write(path, image, header, extensions=[fits.Extension("SPREAD", image[::2], header)])
    return path


def bits(data):
    return np.ascontiguousarray(data, np.float32).view(np.uint32)


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")  # nan of JSOC
@pytest.mark.parametrize("compressed", [False, True], ids=["images", "tables"])
@pytest.mark.parametrize("name", NAMES)
def test_every_hdu_has_right_checksums(tmp_path, image, header, name, compressed):
    path = write(tmp_path / name, image, header)
    # a wrong checksum is a warning of astropy, and so an error of this test
    with afits.open(path, checksum=True, disable_image_compression=compressed) as hdus:
        assert len(hdus) == (3 if name.endswith(".fz") else 2)
    with afits.open(path, disable_image_compression=True) as hdus:
        for hdu in hdus:
            assert hdu.verify_checksum() == 1
            assert hdu.verify_datasum() == 1


def test_a_changed_bit_is_found(tmp_path, image, header):
    path = write(tmp_path / "a.fits", image, header)
    content = bytearray(path.read_bytes())
    content[content.index(b"END" + b" " * 77) // 2880 * 2880 + 2880 + 1000] ^= 1
    path.write_bytes(content)
    with afits.open(path) as hdus:
        assert hdus[0].verify_datasum() == 0


@pytest.mark.parametrize("name", NAMES)
def test_equal_images_give_equal_files(tmp_path, image, header, name, monkeypatch):
    """astropy would write the time of day beside the checksums, and gzip in every tile."""
    first, second = ((tmp_path / folder) for folder in "ab")
    for folder, now in ((first, 1e9), (second, 2e9)):
        folder.mkdir()
        monkeypatch.setattr("time.time", lambda now=now: now)
        monkeypatch.setattr(afits.PrimaryHDU, "_get_timestamp", lambda self, of=folder: str(of))
        write(folder / name, image, header)
    if not name.endswith(".gz"):  # gzip stores the time itself
        assert (first / name).read_bytes() == (second / name).read_bytes()
    with afits.open(first / name, disable_image_compression=True) as hdus:
        assert {hdu.header.comments["CHECKSUM"] for hdu in hdus} == {"FITS checksum"}


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_compression_keeps_every_bit(tmp_path, image, header):
    path = write(tmp_path / "a.fits.fz", image, header)
    with afits.open(path) as hdus:
        np.testing.assert_array_equal(bits(hdus[1].data), bits(image))
        np.testing.assert_array_equal(bits(hdus["SPREAD"].data), bits(image[::2]))
        assert hdus[1].header["BUNIT"] == "DN/s"
        assert hdus[1].header["OBJECT"] == ("a 'long' text " * 8).rstrip()
    with afits.open(path, disable_image_compression=True) as hdus:
        assert hdus[1].header["ZCMPTYPE"] == "GZIP_2"
        assert not {"ZSCALE", "ZZERO"} & set(hdus[1].columns.names)  # of quantised floats
    assert fits.read(path).data.shape == image.shape


def test_compression_saves_space(tmp_path, header):
    smooth = np.hypot(*np.mgrid[-300:300, -300:300]).astype(np.float32)
    smooth[smooth > 200] = np.nan
    sizes = [write(tmp_path / name, smooth, header).stat().st_size for name in NAMES]
    assert sizes[2] < 0.7 * sizes[0]


@pytest.mark.skipif(
    shutil.which("funpack") is None, reason="funpack is missing (apt install libcfitsio-bin)"
)
def test_cfitsio_reads_the_same_bits(tmp_path, image, header):
    write(tmp_path / "a.fits.fz", image, header)
    done = subprocess.run(["funpack", tmp_path / "a.fits.fz"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    with afits.open(tmp_path / "a.fits", checksum=True) as hdus:
        np.testing.assert_array_equal(bits(hdus[1].data), bits(image))
        np.testing.assert_array_equal(bits(hdus["SPREAD"].data), bits(image[::2]))
