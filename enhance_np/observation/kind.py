"""Reads an image's type, unit, instrument, quality and history from its header and values.

Files are read in fits.py.
"""

import logging
import os
import re
from collections.abc import Iterator

import numpy as np

from ..config import TYPES
from ..instrument import HMI
from . import missing
from .disc import SUN_RADIUS
from .fits import Frame, card

log = logging.getLogger(__name__)

# Units in lower case without blanks. JSOC writes "DN/s", "Gauss", "Mx/cm^2"; MDI uses words.
_INTENSITY = {"dn", "dn/s", "dns", "counts", "count", "ct", "ct/s", "ic", "i/ic"}
_INTENSITY |= {"arbitraryintensityunits"}
_GAUSS = {
    **dict.fromkeys(("gauss", "g", "mx/cm^2", "mx/cm2", "mx/cm**2"), 1.0),
    **dict.fromkeys(("mxcm^-2", "mxcm**-2", "mxcm-2"), 1.0),
    **dict.fromkeys(("kg", "kgauss", "kilogauss"), 1e3),
    **dict.fromkeys(("mt", "millitesla"), 10.0),
    **dict.fromkeys(("t", "tesla"), 1e4),
}
_OTHER = {"m/s", "cm/s", "km/s", "ms^-1", "cms^-1", "deg", "degree", "degrees"}
_NONE = {"", "none", "1", "unitless", "dimensionless", "n/a"}

# Words of JSOC and sunpy for images that are neither a continuum nor a line-of-sight field
_OTHER_WORDS = re.compile(
    r"DOPPLER|WIDTH|DEPTH|STRENGTH|VELOCITY|SYNOPTIC|INCLINATION|AZIMUTH|DISAMBIG|BITMAP|STOKES|VECTOR"
    r"|\bERR(ORS?)?\b|\bB_?[RPT]\b",
    re.IGNORECASE,
)
# Names of JSOC's series and segments. Sources: jsoc.stanford.edu, JsocSeries; Hoeksema et al. 2014,
# Solar Phys. 289, 3483 (vector fields); Bobra et al. 2014, Solar Phys. 289, 3549, table A (SHARPs).
_OTHER_NAMES = re.compile(
    r"(?<![a-z])hmi[._](v|ld|lw|b|me|s)_\d+s"
    r"|(?<![a-z])(doppler(gram)?|line_?width|line_?depth|inclination|azimuth|disambig|bitmap)(?![a-z])"
    r"|(?<![a-z])(m[lr]?_?)?synop|(?<![a-z])vlos"
    r"|_err(or)?$|\bsharp.*\.field$"
    r"|(^|\.)(b[rpt]|[iquv][0-5]|alpha_mag|chisq|con[vf]_\w+|confid_map|eta_0|dop_width|damping"
    r"|src_\w+|info_map)$"
)
_NAMES = {
    "other": _OTHER_NAMES,
    "blos": re.compile(r"(?<![a-z])hmi[._]m_\d+s|(?<![a-z])magnetogram$"),
    "intensity": re.compile(r"(?<![a-z])hmi[._]ic_|(?<![a-z])continuum$"),
}
_ENDS = re.compile(r"\.(fits|fit|fts)(\.(gz|bz2|fz))?$")

SAME_SCALE = 1.11  # a network still serves images whose pixels differ by this ratio at most
CLASSES = 16  # largest number of different values in a map of classes
FEW = 256  # pixels; in a smaller image the number of different values tells nothing
WIDEST = 180.0  # degrees of longitude that are visible at once
UNEQUAL = 5.0  # ratio of the steps of a map, beyond which the second is not in degrees
SMALLEST_NOISE = 3.0  # G; HMI's is 6 in 720 s and 10 in 45 s
LARGEST_NOISE = 100.0  # G, of quiet Sun with its network, in 45 s
LARGEST_FIELD = 6000.0  # G; HMI's algorithm saturates below it
BEYOND_FIELD = 10_000.0  # G; the strongest field measured in a spot is 8,200 G
BEYOND_LIGHT = 5.0  # times the 99th percentile; a white-light flare doubles the light
ASKED_VALUES = 1_000_000  # pixels sampled evenly from an image to judge its values

# QUALITY bits of line-of-sight observables for which an image still exists. Source: JSOC,
# doc/data/hmi/Quality_Bits/QUALITY.txt (24 May 2013), and its code, HMI_observables.c.
_QUALITY = {
    0x10000: "fewer points to interpolate in time than usual",
    0x8000: "pointing or distance taken from a neighbouring time",
    0x4000: "image stabilisation was open",
    0x2000: "temperatures missing, default used for the polarisation",
    0x1000: "gaps not filled in every filtergram",
    0x800: "filtergrams left out for their limb fit",
    0x400: "cosmic rays not removed from every filtergram",
    0x100: "eclipse",
    0x40: "noisier: focus or tuning out of its usual range (HFTSACID > 4000)",
    0x20: "poor: eclipse, lunar transit, thermal recovery or the like",
}
# Nibble 5 of CALVER64, 0 without deconvolution, 15 if missing. Source: JSOC wiki,
# CalibrationVersions.
_CALVER_PSF = 20
# Names of JSOC's deconvolved series: hmi.Ic_45s_dcon, hmi.M_720s_dconS (of the Stokes images).
# Source: Norton et al. 2025, arXiv:2511.13348.
_DCON = re.compile(r"\b[\w.]*(\d+s|lev1)_dcon\w*", re.IGNORECASE)
_NAMES_SERIES = ("DRMS_ID", "SOURCE", "HGQUERY", "LICENSE", "HISTORY")


def gauss(unit: str) -> float:
    """Gauss per `unit` (a BUNIT); 1 if `unit` is not a known unit of field."""
    return _GAUSS.get(_plain(unit), 1.0)


def in_gauss(frame: Frame) -> Frame:
    """The frame in G if its unit is kG, mT or T; otherwise the frame itself."""
    scale = gauss(frame.unit)
    if scale == 1:
        return frame
    header = frame.header.copy()
    header["BUNIT"] = "Gauss"
    return frame._replace(data=frame.data * np.float32(scale), header=header)


def witnesses(frame: Frame) -> dict[str, str]:
    """The evidence of the type: {"CONTENT='MAGNETOGRAM'": "blos", "BUNIT='Gauss'": "blos"}.

    Evidence comes from CONTENT, BUNIT, the file's name, DRMS_ID, the coordinates and the values;
    an item without evidence is left out. Each gives "intensity" (continuum), "blos" (line-of-sight
    field, in any unit of field) or "other" (velocity, line width, an angle, a component of the
    vector, an error, classes, a picture, a synoptic chart). CONTENT is no evidence in a SHARP
    ("HMI observable") or a JSOC cut-out ("Tracked Extracted Patches").

    The values of an intensity have no negative pixel and a spread well below their mean, and lie
    about 1 (Ic) or above what a field in G can reach (DN/s). Those of a magnetogram have both
    signs and a mean well inside their spread, which is at least the noise. Values in an unknown
    unit are not used, because a Dopplergram has both signs too. A few different whole numbers are
    classes, and whole numbers from 0 to 255 are a picture; a picture counts as an intensity only
    if other evidence says so.
    """
    said = {}
    content = str(card(frame.header, "CONTENT") or "")
    if _OTHER_WORDS.search(content):
        said[f"CONTENT={content!r}"] = "other"
    else:
        for type, word in (("blos", "MAGNETOGRAM"), ("intensity", "INTENSITY")):
            if word in content.upper():
                said[f"CONTENT={content!r}"] = type
                break
    unit = _plain(frame.unit)
    for type, units in (("intensity", _INTENSITY), ("blos", _GAUSS), ("other", _OTHER)):
        if unit in units:
            said[f"BUNIT={frame.unit!r}"] = type
    name = os.path.basename(frame.path)
    record = str(card(frame.header, "DRMS_ID") or "")
    if (type := _by_name(name)) is not None:
        said["its name"] = type
    # series:record:segment; without its segment, a series may also hold the whole vector
    if (type := _by_name(re.sub(r":\d*:?", ".", record).rstrip("."))) is not None:
        said[f"DRMS_ID={record!r}"] = type
    if (chart := _chart(frame)) is not None:
        said[chart] = "other"
    if unit in _NONE or unit in _INTENSITY or unit in _GAUSS:
        whole = _whole_numbers(frame.data)
        if whole is not None and not ("picture" in whole and "intensity" in said.values()):
            said[f"the values, {whole}"] = "other"
        elif (type := _by_value(frame.data, gauss(frame.unit))) is not None:
            said["the values"] = type
    return said


def _by_name(name: str) -> str | None:
    """The type that the name of a JSOC file or record indicates."""
    name = _ENDS.sub("", name.lower())
    return next((type for type, words in _NAMES.items() if words.search(name)), None)


def _chart(frame: Frame) -> str | None:
    """The evidence that a map combines images of many days, as a synoptic chart does; or None."""
    kind = str(card(frame.header, "CTYPE1") or "")
    steps = [card(frame.header, f"CDELT{i}") for i in (1, 2)]
    if not kind.startswith(("CRLN", "HGLN")) or not all(isinstance(s, int | float) for s in steps):
        return None
    first, second = map(abs, steps)
    unit = str(card(frame.header, "CUNIT2") or "")
    if "sin" in unit.lower():
        return f"CUNIT2={unit!r}"
    if first * frame.data.shape[1] > WIDEST:
        return f"its width of {first * frame.data.shape[1]:.0f} degrees"
    if second and not 1 / UNEQUAL < first / second < UNEQUAL:
        return f"its steps of {first:.3g} and {second:.3g}"
    return None


def _whole_numbers(data: np.ndarray) -> str | None:
    """What an image of whole numbers >= 0 is, if they are few or fit into 8 bits; else None."""
    values = _sample(data)
    if values.size < FEW or values.min() < 0 or values.max() > 2**31:
        return None
    if (values != np.rint(values)).any():
        return None
    different = len(np.unique(values))
    if 1 < different <= CLASSES:
        return f"{different} different whole numbers as in a map of classes"
    picture = different > CLASSES and values.max() < 256
    return "whole numbers up to 255 as in a picture" if picture else None


def _by_value(data: np.ndarray, scale: float) -> str | None:
    """The type that the values indicate, or None.  scale : G per unit of `data`, if a field."""
    values = _sample(data)
    fill = missing.lowest_repeated(values)
    values = scale * (values if fill is None else values[values > fill])
    if values.size == 0:
        return None
    lit = values[values > 0]
    if values.min() >= 0 and lit.size and lit.std() < 0.6 * lit.mean():
        level = np.median(lit)
        return "intensity" if 0.1 < level < 2 or level > LARGEST_FIELD else None
    rarer_sign = min((values < 0).mean(), (values > 0).mean())
    spread = values.std()  # at least the noise in G; an image of contrast has only 0.04
    if rarer_sign > 0.05 and abs(values.mean()) < 0.5 * spread and spread > SMALLEST_NOISE:
        return "blos"
    return None


def _sample(data: np.ndarray) -> np.ndarray:
    """The valid pixels of `data`, on a coarser grid if the image is large; (n,) float64."""
    step = max(1, int((data.size / ASKED_VALUES) ** 0.5))
    values = data[::step, ::step].astype(np.float64)
    return values[np.isfinite(values)]


def detect_type(frame: Frame) -> str | None:
    """ "intensity" or "blos" if all the evidence agrees; otherwise None."""
    said = set(witnesses(frame).values())
    return said.pop() if len(said) == 1 and said <= set(TYPES) else None


def image_type(frame: Frame, asked: str | None) -> str:
    """The type as which to enhance the image.

    asked : the user's choice, or None. It decides if the evidence is missing or contradictory.
        With a warning it also decides if only the values or the name point to the other type, or
        if the file seems to be of neither type.
    Raises ValueError without `asked`, if the file's type is unclear or neither of the two. Raises
    ValueError with `asked`, if CONTENT, BUNIT or DRMS_ID gives the other type and nothing gives
    the one asked.
    """
    said = witnesses(frame)
    types = set(said.values())
    found = ", ".join(f"{who} ({type})" for who, type in said.items()) or "no evidence"
    if asked is None and "other" in types:
        raise ValueError(
            "image_type: needs a continuum image or a line-of-sight magnetogram (or pass --type "
            f"to treat it as one), got {found} in {frame.path!r}"
        )
    if asked is None and len(types) != 1:
        raise ValueError(
            "image_type: cannot tell intensity from magnetogram; pass --type, "
            f"got {found} in {frame.path!r}"
        )
    if asked is None:
        (type,) = types
        if said.keys() == {"the values"}:
            _say_guess(frame, type)
        return type
    if "other" not in types and (asked in types or not said):
        return asked
    words = {type for who, type in said.items() if not who.startswith(("the values", "its name"))}
    if asked not in types and words & set(TYPES):
        raise ValueError(
            f"image_type: the type given must match the file, got {asked} "
            f"for {frame.path!r}, against {found}"
        )
    log.warning("%s: treated as %s, as requested, against %s", frame.path, asked, found)
    return asked


def _say_guess(frame: Frame, type: str) -> None:
    """Logs the guess, as a warning if the values may be a velocity.

    Most pixels of a magnetogram hold only noise; a velocity is large everywhere.
    """
    values = np.abs(_sample(frame.data)) * gauss(frame.unit)
    spread = np.sqrt(np.mean(values**2))
    restless = type == "blos" and spread > LARGEST_NOISE and np.median(values) > 0.5 * spread
    log.log(
        logging.WARNING if restless else logging.INFO,
        "%s: type guessed from the values alone: %s%s; pass --type to set it",
        frame.path,
        type,
        ", although few pixels are quiet, as in a Dopplergram" if restless else "",
    )


def foreign_instrument(header) -> str | None:
    """The cards that name another instrument than HMI: "TELESCOP='SOHO', INSTRUME='MDI'".

    None if the instrument is HMI or unknown. TELESCOP='SDO' alone leaves it unknown, because AIA
    is on SDO too.
    """
    names = {key: card(header, key) for key in ("TELESCOP", "INSTRUME", "DETECTOR", "CAMERA")}
    # CAMERA is a number for HMI and the instrument's name for MDI
    names = {key: str(name).strip() for key, name in names.items() if isinstance(name, str)}
    if any(re.search(r"(?<![A-Z0-9])HMI", name.upper()) for name in names.values()):
        return None
    names = {key: name for key, name in names.items() if name.upper() not in {"SDO", "UNKNOWN"}}
    return ", ".join(f"{key}={name!r}" for key, name in names.items()) or None


def require_hmi(frame: Frame) -> None:
    """Raise ValueError for an image of another instrument: the shipped weights undo HMI's PSF.

    This is an error and not a warning, because the wrong result would look right. The check
    applies only to the shipped weights, not to weights that the user gives.
    """
    foreign = foreign_instrument(frame.header)
    if foreign is not None:
        raise ValueError(
            "require_hmi: the shipped weights are for HMI; another instrument needs its own "
            f"(--weights), got {foreign} in {frame.path!r}"
        )


def pixel_scales(header) -> tuple[float, ...]:
    """Sides of a pixel in arcsec, along rows and columns; an axis without a scale is left out.

    Defined for helioprojective images and for cylindrical equal-area maps in degrees. For a map
    they are the sides of a pixel at disc centre, that is, its length on the Sun; all pixels of
    such a map have the same area.
    """
    kind = str(card(header, "CTYPE1") or "HPLN")
    units = {"arcsec": 1.0, "arcsecond": 1.0, "deg": 3600.0, "degree": 3600.0}
    if kind.startswith(("CRLN-CEA", "HGLN-CEA")):
        radius = card(header, "RSUN_OBS")
        radius = radius if isinstance(radius, int | float) and radius > 0 else SUN_RADIUS
        units = dict.fromkeys(("deg", "degree"), radius * np.pi / 180)
    elif not kind.startswith(("HPLN", "SOLAR")):
        return ()
    found = []
    for j in (1, 2):
        column = [card(header, f"CD{i}_{j}") for i in (1, 2)]
        if column == [None, None]:
            column = [card(header, f"CDELT{j}")]
            turn = [card(header, f"PC{i}_{j}") for i in (1, 2)]
            if turn != [None, None]:
                steps = [card(header, f"CDELT{i}") for i in (1, 2)]
                turn = [
                    float(i == j) if t is None else t for i, t in zip((1, 2), turn, strict=True)
                ]
                column = [s and t and _product(s, t) for s, t in zip(steps, turn, strict=True)]
        unit = units.get(str(card(header, f"CUNIT{j}") or "").strip().lower())
        numbers = [value for value in column if value is not None]
        if unit is None or not all(isinstance(value, int | float) for value in numbers):
            continue
        if (side := unit * float(np.hypot.reduce(numbers or [0.0]))) and np.isfinite(side):
            found.append(side)
    return tuple(found)


def _product(a, b):
    numbers = isinstance(a, int | float) and isinstance(b, int | float)
    return a * b if numbers else "no number"


def deconvolved(frame: Frame) -> str | None:
    """The evidence that the image has been deconvolved before; None if there is none."""
    model = card(frame.header, "ENHMODEL")
    if model is not None:
        return f"ENHMODEL={model!r}"
    texts = {"its name": os.path.basename(frame.path)}
    texts |= {key: str(card(frame.header, key) or "") for key in _NAMES_SERIES}
    for where, text in texts.items():
        series = _DCON.search(text)
        if series is not None:
            return f"{series[0]} in {where}"
    version = _integer(frame.header, "CALVER64")
    if version is not None and 0 < (version >> _CALVER_PSF) & 0xF < 0xF:
        return f"CALVER64=0x{version:x}"
    return None


def quality(header) -> str | None:
    """QUALITY in words, None if it is 0 or missing.

    Only the bits that JSOC documents for HMI's line-of-sight observables are named. SHARPs and
    other instruments define their bits differently; for them the number is given in hexadecimal.
    """
    bits = _integer(header, "QUALITY")
    if not bits:
        return None
    text = f"QUALITY=0x{bits & 0xFFFFFFFF:08x}"
    if "HARPNUM" in header or foreign_instrument(header) is not None:
        return f"{text}: see the documentation of the series"
    names = [name for bit, name in _QUALITY.items() if bits & bit]
    if bits & 0xFFFFFFFF & ~sum(_QUALITY):
        names.append("others, see JSOC's Quality_Bits/QUALITY.txt")
    return f"{text}: {'; '.join(names)}"


def remarks(
    frame: Frame, type: str, made_for: str, expected: float | None = None
) -> Iterator[tuple[int, str]]:
    """(logging level, text) of each remark that a user should read before using the result.

    made_for : beginning of the clause that names the expected pixel size: "the network was
        trained on", "the PSF is on".
    expected : that size in arcsec; None is HMI's.
    """
    scales = pixel_scales(frame.header)
    wanted = HMI.pixel_scale if expected is None else expected
    if not all(1 / SAME_SCALE < s / wanted < SAME_SCALE for s in scales):
        # one number for pixels that are square
        sides = scales[:1] if len(scales) < 2 or np.isclose(*scales, rtol=1e-3) else scales
        name = "HMI's " if np.isclose(wanted, HMI.pixel_scale, rtol=1e-3) else ""
        yield (
            logging.WARNING,
            f"has pixels of {' x '.join(f'{s:.3g}' for s in sides)} arcsec, "
            f"{made_for} {name}{wanted:.3g}: do not trust the result",
        )
    before = deconvolved(frame)
    if before is not None:
        yield logging.WARNING, f"has been deconvolved before ({before}): do not deconvolve it twice"
    flags = quality(frame.header)
    if flags is not None:
        yield logging.WARNING, flags
    if type == "blos" and _plain(frame.unit) not in _GAUSS:
        values = _sample(frame.data)
        spread = values.std() if values.size else SMALLEST_NOISE
        if spread < SMALLEST_NOISE:
            yield (
                logging.WARNING,
                f"names no unit of field, so G is assumed, but its spread of {spread:.2g} "
                "is below HMI's noise: if it is in kG, write BUNIT = 'kG' into the header",
            )
    absurd = _absurd(frame, type)
    if absurd is not None:
        yield (
            logging.WARNING,
            f"has {absurd} (cosmic ray, overflow?): the network spreads them over their "
            "neighbours; set them to NaN",
        )
    if _integer(frame.header, "QLOOK") == 1:
        yield logging.INFO, "is near-real-time (QLOOK=1): JSOC will replace it"
    if str(card(frame.header, "CTYPE1") or "").startswith(("CRLN", "HGLN")):
        yield (
            logging.WARNING,
            "is a map: off disc centre its pixels are remapped, so the blur is not HMI's; instead, "
            f"enhance {_unmapped(frame)}",
        )


def _unmapped(frame: Frame) -> str:
    """The series that holds the same data on the telescope's own pixels."""
    texts = (os.path.basename(frame.path), str(card(frame.header, "DRMS_ID") or ""))
    for text in texts:
        if found := re.search(r"hmi\.sharp_cea_(\w+)", text):
            return f"hmi.sharp_{found[1]}, the same patch on HMI's own pixels"
    if "HARPNUM" in frame.header:
        return "hmi.sharp_720s, the same patch on HMI's own pixels"
    return "a cut-out of hmi.M_720s or hmi.Ic_720s, on HMI's own pixels"


def _absurd(frame: Frame, type: str) -> str | None:
    """The pixels that no value on the Sun explains, in words; every pixel is checked."""
    data = frame.data
    if type == "blos":
        limits = -BEYOND_FIELD / gauss(frame.unit), BEYOND_FIELD / gauss(frame.unit)
        what = "a field beyond any on the Sun"
    else:
        lit = _sample(data)
        bright = float(np.percentile(lit, 99)) if lit.size else 0.0
        limits, what = (-0.1 * bright, BEYOND_LIGHT * bright), "an intensity beyond any on the Sun"
        if bright <= 0:
            return None
    gone = (data < limits[0]) | (data > limits[1])
    count = np.count_nonzero(gone)
    if count == 0:
        return None
    values = data[gone]
    largest = values[np.argmax(np.abs(values))]
    return f"{count} pixels of {what}, such as {largest:.3g} {frame.unit}".rstrip()


def remark(
    frame: Frame,
    type: str,
    made_for: str = "the network was trained on",
    expected: float | None = None,
) -> None:
    """Log the remarks."""
    for level, text in remarks(frame, type, made_for, expected):
        log.log(level, "%s %s", frame.path, text)


def _plain(unit: str) -> str:
    return unit.lower().replace(" ", "")


def _integer(header, key: str) -> int | None:
    """The value of a card of bits: a number, or text such as "0x00000400"; None without one."""
    value = card(header, key)
    try:
        return int(value, 0) if isinstance(value, str) else int(value)
    except (TypeError, ValueError, OverflowError):
        return None
