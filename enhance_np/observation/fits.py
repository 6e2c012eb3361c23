"""Reads and writes FITS images, and adapts the header to the doubled resolution.

astropy is imported inside functions, so that this module is fast to import.
"""

import logging
import os
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._atomic import replacing
from .._errors import avoidable
from . import storage
from .damage import check_file, check_hdu
from .header import card, number
from .missing import without_sentinels

log = logging.getLogger(__name__)


_NUMPY = b"\x93NUMPY"  # how a file of numpy.save begins


class Frame(NamedTuple):
    """One image as read from a file."""

    data: np.ndarray  # (H, W) native float32, in `unit`; NaN where a pixel is not valid
    header: Any  # astropy.io.fits.Header, a copy; BSCALE and BZERO are applied and removed
    path: str
    # gives one sigma of the noise, (H, W) float64 in `unit`, NaN where it is not known; or None
    sigma: Callable[[], np.ndarray | None] = lambda: None

    @property
    def unit(self) -> str:
        """BUNIT, "" if there is none. Some JSOC exports spell it _BUNIT."""
        return str(card(self.header, "BUNIT") or card(self.header, "_BUNIT") or "").strip()

    @property
    def year(self) -> float | None:
        """Year of the observation, precise to a month; None if no card gives it."""
        for key in ("DATE-OBS", "T_OBS", "T_REC"):
            if found := re.match(r"(\d{4})[-.](\d\d)", str(card(self.header, key))):
                return int(found[1]) + (int(found[2]) - 0.5) / 12
        return None


class Extension(NamedTuple):
    """An additional HDU of a file to write."""

    name: str  # EXTNAME
    data: np.ndarray  # (H, W)
    header: Any  # astropy.io.fits.Header


def read(path: str | os.PathLike, ext: int | str | None = None) -> Frame:
    """The first HDU of `path` that holds a 2-D image, or the HDU `ext` (index or EXTNAME).

    Plain, gzipped and tile-compressed (Rice, .fz) files are read. BSCALE, BZERO and BLANK are
    applied once. BLANK, NaN and infinite pixels become NaN, and so do the fill values of
    `missing.without_sentinels`. A cube is refused even if it has one plane, because its header
    describes an axis that the output would not have. Header cards that break the standard
    ("CRDER1 = nan") are repaired by astropy, and logged. A file of numpy.save is read as an image
    without a header.

    Raises OSError if the file is missing, is not FITS or is damaged; ValueError if it holds
    no 2-D image of 2 x 2 pixels or more with at least one valid pixel.
    Source: FITS standard 4.0 (IAU FWG 2018), sections 4.4.2 and 10.
    """
    from astropy.io import fits

    path = os.fspath(path)
    if not os.path.exists(path):
        raise FileNotFoundError(f"read: the file must exist, got path={path!r}")
    if not os.path.isfile(path):
        kind = "the folder" if os.path.isdir(path) else "no regular file at"
        raise OSError(f"read: needs a file, got {kind} path={path!r}")
    with open(path, "rb") as file:
        if file.read(len(_NUMPY)) == _NUMPY:
            return _saved(path, ext)
    try:
        # Archived files have harmless faults (BLANK in a float image, a missing last block of
        # padding) that astropy warns about but reads correctly. It raises for what it cannot read.
        with warnings.catch_warnings(record=True) as said, np.errstate(all="ignore"):
            warnings.simplefilter("always")
            size = check_file(path)
            with fits.open(path, memmap=False) as hdus:
                hdu = _image_hdu(hdus, ext, path)
                check_hdu(hdus, hdu, path, size)
                lowest = _lowest(hdu.header)
                data = np.array(hdu.data, np.float32)  # before the header: this scales both
                header = hdu.header.copy()
                # find a card that cannot be written again now, before the work
                fits.PrimaryHDU(None, header).verify("silentfix+ignore")
                header.tostring()
    except _NoImageError as error:
        raise ValueError(str(error)) from None
    except Exception as error:  # astropy raises many kinds for a damaged file
        raise OSError(
            f"read: needs a whole FITS file, got path={path!r} ({_one_line(error)})"
        ) from None
    if min(data.shape) < 2:
        raise ValueError(
            f"read: an image needs 2 x 2 pixels or more, got shape={data.shape} in {path!r}"
        )
    _log_repairs(path, said)
    data = without_sentinels(data, path, lowest)
    data[~np.isfinite(data)] = np.nan
    if np.isnan(data).all():
        raise ValueError(f"read: needs one valid pixel or more, got only NaN in {path!r}")
    return Frame(data, header, path)


def _saved(path: str, ext) -> Frame:
    """The array in a file of numpy.save."""
    from astropy.io.fits import Header

    if ext is not None:
        raise ValueError(f"read: ext needs a FITS file, got {ext=} for the array in {path!r}")
    try:
        data = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a cut file is an error
    except Exception as error:  # ValueError, EOFError, errors of its parser
        raise OSError(f"read: needs a whole .npy file, got {path!r} ({_one_line(error)})") from None
    if data.ndim != 2 or min(data.shape) < 2 or data.dtype.kind not in "fiu":
        raise ValueError(
            "read: an image must be (H, W), of 2 x 2 pixels or more and real numbers, "
            f"got shape {data.shape}, dtype {data.dtype} in {path!r}"
        )
    with np.errstate(all="ignore"):
        data = without_sentinels(np.array(data, np.float32), path)
    data[~np.isfinite(data)] = np.nan
    if np.isnan(data).all():
        raise ValueError(f"read: needs one valid pixel or more, got only NaN in {path!r}")
    return Frame(data, Header(), path)


def _lowest(header) -> float | None:
    """The physical value of the lowest signed integer, for a file without BLANK; else None."""
    bits = header["BITPIX"]
    if bits not in (16, 32) or "BLANK" in header or "ZBLANK" in header:
        return None
    scale, zero = float(header.get("BSCALE", 1.0)), float(header.get("BZERO", 0.0))
    offset = scale * 2.0 ** (bits - 1)
    return None if zero == offset else zero - offset  # that BZERO makes the integers unsigned


def _log_repairs(path: str, said) -> None:
    """Log the cards that astropy repaired in one line, and its other warnings at debug level."""
    messages = [str(warning.message).strip() for warning in said]
    repaired = re.findall(r"Fixed '([^']+)' card", "\n".join(messages))
    if repaired:
        names = list(dict.fromkeys(repaired))
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        log.info(
            "%s: %d header cards that break the FITS standard were repaired: %s",
            path,
            len(names),
            shown,
        )
    for message in dict.fromkeys(messages):
        log.debug("%s: %s", path, message)


class _NoImageError(Exception):
    """A readable file without an image, as opposed to a file that astropy cannot read."""


def _image_hdu(hdus, ext: int | str | None, path: str):
    """HDU of the image; only headers are read, so that no other HDU is unpacked."""
    if ext is not None:
        try:
            candidates = [hdus.index_of(ext)]
            hdus[candidates[0]]
        except (KeyError, IndexError):
            raise _NoImageError(
                f"read: ext must be in the file, got ext={ext!r} in {path!r}"
            ) from None
    else:
        candidates = range(len(hdus))
    seen = []
    for index in candidates:
        hdu = hdus[index]
        shape = hdu.shape if hdu.is_image else ()
        if len(shape) == 2 and min(shape) > 0:
            return hdu
        seen.append(str(shape) if hdu.is_image else type(hdu).__name__)
    raise _NoImageError(f"read: needs an HDU with a 2-D image, got {', '.join(seen)} in {path!r}")


# Cards on the input's pixels and their storage, which would be wrong for the output.
STALE = re.compile(
    r"_?(BSCALE|BZERO|BLANK|CHECKSUM|DATASUM|HEADSUM|EXTNAME|EXTVER|XTENSION|PCOUNT|GCOUNT"
    r"|TOTVALS|DATAVALS|MISSVALS|SATVALS|PERCENTD|DATA(MIN|MAX|MED|MEA|RMS|SKE|KUR)[A-Z]{0,2}2?"
    r"|ZIMAGE|ZSIMPLE|ZTENSION|ZEXTEND|ZBITPIX|ZNAXIS\d*|ZPCOUNT|ZGCOUNT|ZTILE\d+|ZCMPTYPE"
    r"|ZNAME\d+|ZVAL\d+|ZQUANTIZ|ZDITHER0|ZBLANK|ZMASKCMP|ZHECKSUM|ZDATASUM)"
)
# Lengths counted in pixels of this image: the Sun's radius, the box of a HARP.
IN_PIXELS = ("R_SUN", "CRSIZE1", "CRSIZE2")


def rescaled_header(header, factor: float = 1):
    """The header of the output: the same sky coordinates, on pixels `factor` times smaller.

    The network keeps edges aligned: input pixel 1 spans 0.5 to 1.5 and becomes 0.5 to
    factor + 0.5, so p' - 0.5 = factor * (p - 0.5). Hence, for every WCS of the header (the
    primary one and alternates A to Z):

        CRPIXj' = factor * (CRPIXj - 0.5) + 0.5        (2 * CRPIX - 0.5 at factor 2)
        CDELTi' = CDELTi / factor,  or  CDi_j' = CDi_j / factor

    PCi_j, CROTA2, CRVALi, CUNITi and all angles stay. Defaults apply: if a WCS lacks CRPIX (0)
    or CDELT (1), the card is written. Without a WCS none is written.
    Lengths in pixels (R_SUN, CRSIZE1/2) are multiplied. Cards that count pixels of another frame
    stay as a record of the input: IMCRPIX1/2 and X0_LF, Y0_LF, RSUN_LF, X0_MP, Y0_MP (the
    4096 x 4096 CCD image), NPIX, NACR, CMASK, CMASKL, AMBN* (of the HARP pipeline), HGWIDE,
    HGHIGH (the box of a cut-out's order). RECNUM, DRMS_ID and SOURCE stay too: they name the
    record from which the image was made.
    Statistics, scaling, compression and checksums of the input are removed. DATE stays that of
    the input: JSOC distinguishes calibrations by it, and equal inputs give equal outputs.
    INSTRUME stays: sunpy identifies an HMI map by it. _BUNIT, the spelling of some exports,
    becomes BUNIT. An unknown error of the WCS ("CRDER1 = nan") is removed, because FITS cannot
    store NaN. SIP polynomials are not rescaled: HMI images have none.

    factor : 2 for the network, below 1 for an image on larger pixels.
    Raises ValueError if a WCS card is not a number.
    Source: Greisen & Calabretta 2002, A&A 395, 1061; Thompson 2006, A&A 449, 791.
    """
    out = without_storage(header)
    if "_BUNIT" in out and "BUNIT" not in out:
        out.rename_keyword("_BUNIT", "BUNIT")
    if "DATE" in out:
        out.comments["DATE"] = "of the input"
    for key in ("CRDER1", "CRDER2", "CSYSER1", "CSYSER2"):
        if isinstance(card(out, key), str):
            out.remove(key)
    for key in IN_PIXELS:
        if card(out, key) is not None:
            out[key] = factor * _number(out, key, 0.0)
    if factor != 1:
        for alternate in ("", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
            _scale_wcs(out, alternate, factor)
    return out


def enhanced_header(
    header,
    *,
    version: str,
    model: str,
    weights: str | None,
    type: str,
    norm: float,
    limb: float = 0.0,
    factor: int = 2,
):
    """The header of an enhanced image: `rescaled_header`, and cards on what was done.

    version : of this package.  model : name of the network, or of a method without weights.
    weights : sha256 of the weights file in hexadecimal; 16 digits are kept. None: no such card.
    type : "intensity" or "blos".  norm : level that the pixels were divided by, in BUNIT.
    limb : power of the limb darkening (`disc.limb_darkening`) that was also divided out;
        0: no such card.
    Raises as `rescaled_header`.
    """
    out = rescaled_header(header, factor)
    out["ENHVERS"] = (version, "version of enhance_np")
    out["ENHMODEL"] = (model, "network that enhanced the image")
    out.remove("ENHWGT", ignore_missing=True)
    if weights is not None:
        out["ENHWGT"] = (weights[:16], "sha256 of its weights, first 16 digits")
    out["ENHTYPE"] = (type, "intensity or blos")
    out["ENHNORM"] = (float(norm), "input divided, output multiplied by this")
    out.remove("ENHLIMB", ignore_missing=True)
    if limb:
        out["ENHLIMB"] = (float(limb), "and by this power of the limb darkening")
    out["ENHSCALE"] = (factor, "pixels of the output per pixel of the input")
    out.add_history(
        f"enhance_np {version}: deconvolved and enlarged x{factor} by {model} as {type}"
    )
    return out


def without_storage(header):
    """A copy without the cards on statistics, scaling, compression and checksums of the pixels."""
    out = header.copy(strip=True)
    for key in {key for key in out if STALE.fullmatch(key)}:
        out.remove(key, remove_all=True)
    return out


def _scale_wcs(header, alternate: str, factor: float) -> None:
    """Change one WCS description (`alternate` "" or a letter) of `header` in place."""
    known = re.compile(rf"((CTYPE|CRPIX|CRVAL|CDELT)[12]|(CD|PC)[12]_[12]){alternate}")
    if not any(known.fullmatch(key) for key in header):
        return
    matrix = [f"CD{i}_{j}{alternate}" for i in (1, 2) for j in (1, 2)]
    for i in (1, 2):
        key = f"CRPIX{i}{alternate}"
        header[key] = factor * (_number(header, key, 0.0) - 0.5) + 0.5
        key = f"CDELT{i}{alternate}"
        # CDELTi has no meaning beside CDi_j, but is kept right for readers of CDELT alone
        if key in header or not any(cd in header for cd in matrix):
            header[key] = _number(header, key, 1.0) / factor
    for cd in matrix:
        if cd in header:
            header[cd] = _number(header, cd, 0.0) / factor


# Allowed endings of an output's name. astropy compresses by them, for lower-case .gz and .bz2 only
_NAME = re.compile(r"(?s:.+)\.(?i:fits|fit|fts)(\.gz|\.bz2|\.fz)?")


def check_name(path: str | os.PathLike) -> None:
    """Raise ValueError unless `path` is the name of a FITS file that `write` can make."""
    name = os.path.basename(os.fspath(path))
    if name and not _NAME.fullmatch(name):
        raise ValueError(
            "check_name: the name of the output must end in .fits, .fit or .fts, optionally "
            f"followed by .gz, .bz2 or .fz, got path={os.fspath(path)!r}"
        )


def check_output(
    path: str | os.PathLike, overwrite: bool = False, input: str | os.PathLike | None = None
) -> None:
    """Raise OSError if `path` cannot be written; call it before any work.

    Refused are: an existing file, unless `overwrite`; the input itself; a folder or a device; a
    path in a folder that is missing or not writable.
    """
    path = os.fspath(path)
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.basename(path):
        raise OSError(f"check_output: needs the name of a file, got path={path!r}")
    if input is not None and os.path.realpath(path) == os.path.realpath(input):
        raise OSError(f"check_output: the output must not be the input, got path={path!r}")
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(f"check_output: needs the name of a file, got path={path!r}")
    if os.path.exists(path) and not overwrite:
        message = (
            f"check_output: the file must not exist, unless overwrite is set, got path={path!r}"
        )
        raise avoidable(FileExistsError(message), "overwrite")
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"check_output: the folder must exist, got path={path!r}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"check_output: the folder must be writable, got path={path!r}")


def write(
    path: str | os.PathLike,
    data: np.ndarray,
    header,
    overwrite: bool = False,
    extensions: Sequence[Extension] = (),
) -> None:
    """Write one image as float32, a mask as uint8, with CHECKSUM and DATASUM in every HDU.

    path : a name that ends in .gz or .bz2 is compressed as a whole. In .fz every image is
        tile-compressed without loss (`storage.tiled`). Otherwise the image is in the primary HDU.
    data : (H, W), in the unit of the header's BUNIT; NaN where there is no measurement.
    extensions : further HDUs, written in the same way. Images of uint8 are masks of bits.
    The file is written whole or not at all. Raises as `check_name` and `check_output`; ValueError
    if an image is not 2-D.
    """
    from astropy.io import fits

    for image in (data, *(extension.data for extension in extensions)):
        if np.ndim(image) != 2:
            raise ValueError(f"write: the image must be (H, W), got shape={np.shape(image)}")
    check_name(path)
    check_output(path, overwrite)
    tiled = os.fspath(path).endswith(".fz")
    first, further = (storage.tiled,) * 2 if tiled else (fits.PrimaryHDU, fits.ImageHDU)
    with warnings.catch_warnings():
        # JSOC's cards that break the standard ("CRDER1 = nan") are repaired or kept
        warnings.simplefilter("ignore")
        hdus = fits.HDUList([fits.PrimaryHDU()] if tiled else [])
        hdus.append(first(np.asarray(data, np.float32), header))
        for name, image, its_header in extensions:
            kept = np.uint8 if image.dtype == np.uint8 else np.float32
            hdus.append(further(np.asarray(image, kept), its_header, name=name))
        with replacing(path) as temporary:
            storage.write(hdus, temporary)


def _number(header, key: str, default: float) -> float:
    """`number` with the default of the FITS standard."""
    try:
        return number(header, key, default)
    except ValueError as error:
        raise ValueError(f"rescaled_header: {error}") from None


def _one_line(error: Exception) -> str:
    """First line of an error's message, or its kind if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
