"""Damaged and lying FITS and HDF5 files from a seed, and what a command makes of them."""

import contextlib
import io
import sys

import h5py
import numpy as np
from astropy.io import fits

from enhance_np import cli

VALUES = (
    "99999999999",
    "-1",
    "0",
    "'text'",
    "1e30",
    "T",
    "",
    "2147483647",
    "3",
    "nan",
    "'\x1b[31m'",
)
KEYS = (
    "SIMPLE BITPIX NAXIS NAXIS1 NAXIS2 BSCALE BZERO BLANK WCSAXES CTYPE1 CUNIT1 CRPIX1 CRVAL1 "
    "CDELT1 CDELT2 CROTA2 PC1_1 CD1_1 RSUN_OBS CRLN_OBS DSUN_OBS DATE-OBS T_REC BUNIT CONTENT "
    "TELESCOP INSTRUME QUALITY EXTEND GROUPS PCOUNT GCOUNT THEAP TFORM1 TFIELDS ZTILE1 "
    "ZNAXIS1 ZBITPIX ZCMPTYPE ZVAL1 ZVAL2 ZSCALE ZZERO ZBLANK ZQUANTIZ"
).split()


def whole_fits() -> list[bytes]:
    """Images of the kinds that are read."""
    sky = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CRPIX1": 5.5, "CRPIX2": 5.5}
    sky |= {"CUNIT1": "arcsec", "CUNIT2": "arcsec", "CDELT1": 0.504, "CDELT2": 0.504}
    header = fits.Header(sky | {"BUNIT": "Gauss", "CONTENT": "MAGNETOGRAM", "RSUN_OBS": 960.0})
    pixels = np.random.default_rng(0).integers(-900, 900, (12, 16), np.int32)
    hdus = [fits.PrimaryHDU(pixels, header), fits.PrimaryHDU(pixels.astype("f4"), header)]
    hdus += [
        fits.CompImageHDU(pixels, header, compression_type=kind) for kind in ("RICE_1", "GZIP_2")
    ]
    found = []
    for hdu in hdus:
        file = io.BytesIO()
        hdu.writeto(file)
        found.append(file.getvalue())
    return found


def damaged(whole: bytes, rng) -> bytes:
    """`whole` with one kind of damage: bytes, cards, length, or a card that lies."""
    content, kind = bytearray(whole), rng.integers(5)
    if kind == 0:
        for place in rng.integers(len(content), size=rng.integers(1, 20)):
            content[place] = rng.integers(256)
    elif kind == 1:
        return whole[: rng.integers(len(whole))]
    elif kind == 2:  # a piece of the file twice, or not at all
        start, length = rng.integers(len(whole)), rng.integers(1, 4000)
        content[start : start + length] = content[start : start + length] * rng.integers(0, 3)
    else:
        cards = [
            i for i in range(0, min(len(content), 8640), 80) if content[i + 8 : i + 10] == b"= "
        ]
        for _ in range(rng.integers(1, 4) if cards else 0):
            place = cards[rng.integers(len(cards))]
            if kind == 4:
                content[place : place + 8] = f"{KEYS[rng.integers(len(KEYS))]:8}".encode()
            content[place + 10 : place + 30] = f"{VALUES[rng.integers(len(VALUES))]:>20}".encode()
    return bytes(content)


def spoil_hdf5(path, rng) -> None:
    """Change a valid HDF5 file in place: bytes, length, or something in its tree."""
    kind = rng.integers(6)
    if kind < 2:
        content = bytearray(path.read_bytes())
        if kind == 0:
            for place in rng.integers(len(content), size=rng.integers(1, 30)):
                content[place] = rng.integers(256)
        else:
            content = content[: rng.integers(len(content))]
        path.write_bytes(content)
        return
    with h5py.File(path, "r+") as file:
        names = []
        file.visit(names.append)
        name = names[rng.integers(len(names))]
        if kind == 2 and file[name].attrs:
            _spoil_text(file[name].attrs, rng)
        elif kind == 2 and file.attrs:
            _spoil_text(file.attrs, rng)
        elif kind == 3 and "state" in file:
            text = bytearray(file["state"][()])
            for place in rng.integers(len(text), size=rng.integers(1, 4)):
                text[place] = rng.choice(list(b'0"{}[],:-e9'))
            del file["state"]
            file["state"] = text.decode("latin-1")
        else:
            del file[name]
            new = rng.integers(8)
            values = (np.zeros(3), 5, "text", np.full((3, 3, 4, 4), np.inf, "f4"), [1, 2])
            if new < len(values):
                file[name] = values[new]
            elif new == 5:
                file[name] = h5py.ExternalLink("/dev/zero", "/")
            elif new == 6:
                file.create_dataset(name, (10**5, 10**5), "f4")


def _spoil_text(attributes, rng):
    name = rng.choice(list(attributes))
    values = (5, "[]", "{", '{"activation": 1, "provenance": {}}', np.zeros(4), h5py.Empty("f4"))
    attributes[name] = values[rng.integers(len(values))]


def outcome(*arguments) -> tuple[int, str]:
    """(exit status, what was written to standard error) of a command, in this process."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            cli.main([*map(str, arguments)])
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
                return 1, errors.getvalue()
            return end.code or 0, errors.getvalue()
    raise AssertionError("cli.main returned")
