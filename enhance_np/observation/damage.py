"""Checks of a FITS file before it is read: a file that lies about itself must not cost memory.

astropy reads a file as far as it needs. It does not reach the checksum at the end of a gzipped
file, and it takes the memory that a header asks for before it knows whether the file has the bytes.
"""

import bz2
import gzip
import lzma
import math
import os
import re
import zipfile
from contextlib import contextmanager
from functools import lru_cache

BLOCK = 2880  # bytes of a FITS block
READ = 512 * BLOCK  # bytes at a time
COUNTS = (b"NAXIS   =", b"ZNAXIS  =", b"TFIELDS =")
BITPIX = ("8", "16", "32", "64", "-32", "-64")
# pixels that a byte of a tile-compressed image can hold at most: PLIO, runs of 4095 in 2 bytes
PIXELS_PER_BYTE = 2048
RICE = {"BLOCKSIZE": (16, 32), "BYTEPIX": (1, 2, 4, 8)}  # its parameters, FITS standard, table 37
COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def check_file(path: str | os.PathLike) -> int:
    """Bytes of the file, decompressed. Reads the file to its end, with its checksums, once.

    Raises OSError, EOFError or another error of the decompressor if the file is damaged; OSError
    if a header has an invalid BITPIX, or more axes or columns than FITS allows, of which astropy
    would make a list.
    """
    found = os.stat(path)
    return _checked(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=64)  # the frames of a cube are read one by one
def _checked(path, changed: int, stored: int) -> int:
    size, in_header = 0, False
    with _opened(path) as file:
        while chunk := file.read(READ):
            for start in range(0, len(chunk), BLOCK):
                block = chunk[start : start + BLOCK]
                if block.startswith((b"SIMPLE  =", b"XTENSION=")):
                    in_header = True
                    _check_card(block[80:160])  # BITPIX, before astropy takes it for a number
                if in_header:
                    in_header = _check_counts(block)
            size += len(chunk)
    return size


@contextmanager
def _opened(path):
    with open(path, "rb") as file:
        start = file.read(6)
        file.seek(0)
        decompress = next((f for magic, f in COMPRESSED.items() if start.startswith(magic)), None)
        if decompress is not None:
            with decompress(file) as inside:
                yield inside
        elif start.startswith(b"PK\3\4"):
            with zipfile.ZipFile(file) as archive:
                first = archive.namelist()[0]
                with archive.open(first) as inside:
                    yield inside
        else:
            yield file


def _check_counts(block: bytes) -> bool:
    """Check the numbers of axes and columns in a block of a header; whether the header goes on."""
    for start in range(0, len(block), 80):
        card = block[start : start + 80]
        if card.startswith(COUNTS):
            _check_card(card)
        elif card.rstrip() == b"END":
            return False
    return True


def _check_card(card: bytes) -> None:
    key, _, rest = card.decode("ascii", "replace").partition("=")
    key, value = key.strip(), rest.partition("/")[0].strip()
    if key == "BITPIX" and value not in BITPIX:
        raise OSError(f"BITPIX must be one of {', '.join(BITPIX)}, got {value}")
    if card.startswith(COUNTS) and not re.fullmatch(r"\d{1,3}", value):
        raise OSError(f"{key} must be a number from 0 to 999, got {value}")


def check_hdu(hdus, hdu, path: str | os.PathLike, size: int) -> None:
    """Check that the file of `size` bytes can hold the image `hdu`, before its data are read.

    hdus : the open HDUList.
    Raises OSError if it cannot, or if it is compressed by HCOMPRESS: on damaged data the
    decompressor (of CFITSIO, in astropy) has ended the whole process. HMI uses Rice.
    """
    place, span = (hdu.fileinfo()[key] for key in ("datLoc", "datSpan"))
    compression = getattr(hdu, "compression_type", None)
    # the padding of the last block may be missing
    needed = place + (hdu.size if compression is None else max(span - BLOCK + 1, 0))
    if needed > size:
        raise OSError(
            f"the header must promise what the file holds, got {needed:,} bytes promised and "
            f"{size:,} found"
        )
    if compression is not None:
        index = next(i for i in range(len(hdus)) if hdus[i] is hdu)
        _check_compressed(hdu, compression, path, index, span)


def _check_compressed(hdu, compression: str, path, index: int, held: int) -> None:
    from astropy.io import fits

    if compression == "HCOMPRESS_1":
        raise OSError(
            "the image must be stored plain, or compressed by Rice, gzip or PLIO, got HCOMPRESS_1; "
            "unpack it with funpack"
        )
    with fits.open(path, memmap=False, disable_image_compression=True) as hdus:
        header = hdus[index].header
    tile = [header.get(f"ZTILE{axis}", 1) for axis in range(1, len(hdu.shape) + 1)]
    pixels = max(math.prod(hdu.shape), math.prod(tile))
    if min(tile) < 1 or pixels > PIXELS_PER_BYTE * held:
        raise OSError(
            f"the header must promise what the file holds, got {pixels:,} pixels promised in tiles "
            f"of {tile}, and {held:,} compressed bytes"
        )
    for key in header["ZNAME*"]:
        name, value = header[key], header.get(key.replace("NAME", "VAL"))
        if name in RICE and value not in RICE[name]:
            raise OSError(f"{name} must be one of {', '.join(map(str, RICE[name]))}, got {value}")
