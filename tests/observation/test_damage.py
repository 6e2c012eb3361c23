"""FITS files that lie about themselves are refused before memory is taken for their pixels."""

import bz2
import gzip
import io
import lzma
import zipfile

import numpy as np
import pytest
from astropy.io import fits as afits

from enhance_np.observation import first_image, fits
from enhance_np.observation.damage import check_file

PIXELS = np.arange(40 * 60, dtype=np.int32).reshape(40, 60)


def content(kind=None, pixels=PIXELS):
    """Bytes of a FITS file, plain or tile-compressed."""
    file = io.BytesIO()
    if kind is None:
        afits.PrimaryHDU(pixels).writeto(file)
    else:
        afits.CompImageHDU(pixels, compression_type=kind).writeto(file)
    return file.getvalue()


def with_card(whole, key, value):
    """The last card of this name replaced."""
    at = whole.rindex(f"{key:8}= ".encode())
    return whole[: at + 10] + f"{value:>20}".encode() + whole[at + 30 :]


def zipped(whole):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.fits", whole)
    return file.getvalue()


@pytest.fixture
def read(tmp_path):
    def read(whole, reader=fits.read):
        path = tmp_path / "a.fits"
        path.write_bytes(whole)
        return reader(path)

    return read


def read_image(path):
    return first_image.read_image("test", path)


def assert_refused(read, whole, words, reader=fits.read):
    with pytest.raises(OSError, match=words) as error:
        read(whole, reader)
    assert "\n" not in str(error.value)


COMPRESS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zip": zipped}


@pytest.mark.parametrize("reader", [fits.read, read_image])
@pytest.mark.parametrize("how", COMPRESS)
def test_a_checksum_at_the_end_is_checked(read, how, reader):
    """astropy reads what the header promises, and not as far as the checksum."""
    rng = np.random.default_rng(0)
    whole = content(pixels=rng.integers(0, 2**30, (200, 300), np.int32))
    good = COMPRESS[how](whole)
    read(good, reader)
    if how == "gzip":
        for spoilt in (-8, -4):  # CRC, length
            bad = bytearray(good)
            bad[spoilt] ^= 1
            assert_refused(read, bytes(bad), "needs a whole FITS file, got", reader)
    for cut in (1, 8, len(good) // 2):
        assert_refused(read, good[:-cut], "needs a whole FITS file, got", reader)


def test_length_of_a_compressed_file(read, tmp_path):
    for how, compress in COMPRESS.items():
        (tmp_path / how).write_bytes(compress(content()))
        assert check_file(tmp_path / how) == len(content())


@pytest.mark.parametrize("reader", [fits.read, read_image])
@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("value", [99, 100_000, 2**31 - 1])
def test_a_header_must_not_promise_more_than_there_is(read, value, compress, reader):
    whole = compress(with_card(content(), "NAXIS2", value))
    assert_refused(read, whole, r"must promise what the file holds, got .* bytes promised", reader)


@pytest.mark.parametrize("kind", ["RICE_1", "GZIP_1", "GZIP_2", "PLIO_1"])
@pytest.mark.parametrize("key", ["NAXIS2", "PCOUNT", "ZNAXIS1", "ZNAXIS2", "ZTILE1", "ZTILE2"])
def test_nor_that_of_a_compressed_image(read, kind, key):
    whole = content(kind)
    np.testing.assert_array_equal(read(whole).data, PIXELS)
    assert_refused(read, with_card(whole, key, 2**30), "must promise what the file holds, got")


@pytest.mark.parametrize(("number", "value"), [(1, 0), (1, -32), (2, -1), (2, 3)])
def test_parameters_of_rice(read, number, value):
    whole = with_card(content("RICE_1"), f"ZVAL{number}", value)
    assert_refused(read, whole, r"(BLOCKSIZE|BYTEPIX) must be one of .*, got ")


@pytest.mark.parametrize("reader", [fits.read, read_image])
def test_hcompress_is_refused(read, reader):
    """On damaged data, its decompressor has aborted the process."""
    assert_refused(read, content("HCOMPRESS_1"), "got HCOMPRESS_1; unpack it with funpack", reader)


@pytest.mark.parametrize("value", ["'text'", "12", "0", "T", "-32.5"])
def test_bitpix(read, value):
    words = rf"BITPIX must be one of 8, 16, 32, 64, -32, -64, got {value}\)"
    assert_refused(read, with_card(content(), "BITPIX", value), words)


@pytest.mark.parametrize("value", ["99999999999", "-1", "1000", "T", "'text'", "2.0"])
@pytest.mark.parametrize("key", ["NAXIS", "TFIELDS", "ZNAXIS"])
def test_numbers_of_axes_and_columns(read, key, value):
    """astropy would make a list of so many."""
    whole = with_card(content("RICE_1"), key, value)
    assert_refused(read, whole, rf"\({key} must be a number from 0 to 999, got {value}\)")


def test_a_file_that_changed_is_checked_again(tmp_path):
    path = tmp_path / "a.fits"
    for part in (content(), content()[:2880]):
        path.write_bytes(part)
        assert check_file(path) == len(part)


@pytest.mark.parametrize("kind", [None, "RICE_1", "GZIP_2"])
def test_truncated_anywhere(read, kind):
    """The pixels are right or the file is refused; only padding may be missing."""
    whole, refused = content(kind), []
    for length in range(0, len(whole), 360):
        try:
            np.testing.assert_array_equal(read(whole[:length]).data, PIXELS)
        except (OSError, ValueError) as error:
            refused.append(str(error))
    assert len(refused) > 15
    assert all(line.startswith("read: needs ") and "\n" not in line for line in refused)


def test_one_byte_less_than_the_pixels(read):
    last = 2880 + PIXELS.nbytes
    np.testing.assert_array_equal(read(content()[:last]).data, PIXELS)
    assert_refused(read, content()[: last - 1], "must promise what the file holds")
