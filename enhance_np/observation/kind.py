"""Type and unit of an image, from its header and values."""

import logging
import os
import re
from collections.abc import Iterable

import numpy as np

from .._errors import avoidable
from ..config import TYPES
from . import missing
from .fits import Frame
from .header import card

log = logging.getLogger(__name__)

# Units in lower case without blanks. JSOC writes "DN/s", "Gauss", "Mx/cm^2"; MDI uses words.
INTENSITY_UNITS = {"dn", "dn/s", "dns", "counts", "count", "ct", "ct/s", "ic", "i/ic"}
INTENSITY_UNITS |= {"arbitraryintensityunits", "adu", "adu/s", "electron", "electron/s"}
GAUSS = {
    **dict.fromkeys(("gauss", "g", "mx/cm^2", "mx/cm2", "mx/cm**2"), 1.0),
    **dict.fromkeys(("mxcm^-2", "mxcm**-2", "mxcm-2"), 1.0),
    **dict.fromkeys(("kg", "kgauss", "kilogauss"), 1e3),
    **dict.fromkeys(("mt", "millitesla"), 10.0),
    **dict.fromkeys(("t", "tesla"), 1e4),
}
OTHER_UNITS = {"m/s", "cm/s", "km/s", "ms^-1", "cms^-1", "deg", "degree", "degrees"}
NO_UNITS = {"", "none", "1", "unitless", "dimensionless", "n/a"}

# Words of JSOC and sunpy for images that are neither a continuum nor a line-of-sight field
OTHER_WORDS = re.compile(
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
NAMES = {
    "other": _OTHER_NAMES,
    "blos": re.compile(r"(?<![a-z])hmi[._]m_\d+s|(?<![a-z])magnetogram$"),
    "intensity": re.compile(r"(?<![a-z])hmi[._]ic_|(?<![a-z])continuum$"),
}
ENDS = re.compile(r"\.(fits|fit|fts)(\.(gz|bz2|fz))?$")

CLASSES = 16  # largest number of different values in a map of classes
FEW = 256  # pixels; in a smaller image the number of different values tells nothing
WIDEST = 180.0  # degrees of longitude that are visible at once
UNEQUAL = 5.0  # ratio of the steps of a map, beyond which the second is not in degrees
SMALLEST_NOISE = 3.0  # G; HMI's is 6 in 720 s and 10 in 45 s
LARGEST_NOISE = 100.0  # G, of quiet Sun with its network, in 45 s
LARGEST_FIELD = 6000.0  # G; HMI's algorithm saturates below it
ASKED_VALUES = 1_000_000  # pixels sampled evenly from an image to judge its values


def gauss(unit: str) -> float:
    """Gauss per `unit` (a BUNIT); 1 if `unit` is not a known unit of field."""
    return GAUSS.get(_plain(unit), 1.0)


def names_gauss(unit: str) -> bool:
    """Whether it is a known unit of field."""
    return _plain(unit) in GAUSS


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
    if OTHER_WORDS.search(content):
        said[f"CONTENT={content!r}"] = "other"
    else:
        for type, word in (("blos", "MAGNETOGRAM"), ("intensity", "INTENSITY")):
            if word in content.upper():
                said[f"CONTENT={content!r}"] = type
                break
    unit = _plain(frame.unit)
    for type, units in (("intensity", INTENSITY_UNITS), ("blos", GAUSS), ("other", OTHER_UNITS)):
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
    if unit in NO_UNITS or unit in INTENSITY_UNITS or unit in GAUSS:
        whole = _whole_numbers(frame.data)
        if whole is not None and not ("picture" in whole and "intensity" in said.values()):
            said[f"the values, {whole}"] = "other"
        elif (type := _by_value(frame.data, gauss(frame.unit))) is not None:
            said["the values"] = type
    return said


def _by_name(name: str) -> str | None:
    """The type that the name of a JSOC file or record indicates."""
    name = ENDS.sub("", name.lower())
    return next((type for type, words in NAMES.items() if words.search(name)), None)


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
    values = sample(data)
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
    values = sample(data)
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


def sample(data: np.ndarray) -> np.ndarray:
    """The valid pixels of `data`, on a coarser grid if the image is large; (n,) float64."""
    step = max(1, int((data.size / ASKED_VALUES) ** 0.5))
    values = data[::step, ::step].astype(np.float64)
    return values[np.isfinite(values)]


def detect_type(frame: Frame) -> str | None:
    """ "intensity" or "blos" if all the evidence agrees; otherwise None."""
    said = set(witnesses(frame).values())
    return said.pop() if len(said) == 1 and said <= set(TYPES) else None


def common_type(frames: Iterable[Frame], asked: str | None, name: str) -> str:
    """The one type of all images; ENHTYPE in a header counts as evidence too.

    asked : the user's choice, or None.  name : of the function, for the error.
    Raises ValueError if there is evidence of both types, or none.
    """
    said = {asked} | {detect_type(frame) for frame in frames}
    said |= {frame.header.get("ENHTYPE") for frame in frames}
    said &= set(TYPES)
    if len(said) != 1:
        got = " and ".join(sorted(said)) or "no evidence"
        message = f"{name}: the images must be of one type, or it must be given, got {got}"
        raise avoidable(ValueError(message), "type")
    return said.pop()


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
        message = (
            "image_type: needs a continuum image or a line-of-sight magnetogram, unless the type "
            f"is given, got {found} in {frame.path!r}"
        )
        raise avoidable(ValueError(message), "type")
    if asked is None and len(types) != 1:
        message = (
            "image_type: cannot tell intensity from magnetogram, so the type must be given, "
            f"got {found} in {frame.path!r}"
        )
        raise avoidable(ValueError(message), "type")
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
    values = np.abs(sample(frame.data)) * gauss(frame.unit)
    spread = np.sqrt(np.mean(values**2))
    restless = type == "blos" and spread > LARGEST_NOISE and np.median(values) > 0.5 * spread
    log.log(
        logging.WARNING if restless else logging.INFO,
        "%s: type guessed from the values alone: %s%s",
        frame.path,
        type,
        ", although few pixels are quiet, as in a Dopplergram" if restless else "",
        extra={"parameters": ("type",)},
    )


def _plain(unit: str) -> str:
    return unit.lower().replace(" ", "")
