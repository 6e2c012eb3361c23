"""Which telescope took an image, and the size of its pixels, from the header."""

import re

import numpy as np

from .disc import SUN_RADIUS
from .fits import Frame, card

_HMI = re.compile(r"(?<![A-Z0-9])HMI|HELIOSEISMIC (AND|&) MAGNETIC")
# what these cards hold without a name of an instrument: HMI's spacecraft, blanks, numbers
_NO_NAME = re.compile(
    r"((NASA[ /-]*)?SDO|(NASA )?SOLAR DYNAMICS OBSERVATORY|UNKNOWN|NONE|N/?A|"
    r"CCD|FRONT|SIDE|(CAMERA ?)?[0-9]+)?"
)


def foreign_instrument(header) -> str | None:
    """The cards that name another instrument than HMI: "TELESCOP='SOHO', INSTRUME='MDI'".

    None if the instrument is HMI or unknown. TELESCOP='SDO' alone leaves it unknown, because AIA
    is on SDO too.
    """
    names = {key: card(header, key) for key in ("TELESCOP", "INSTRUME", "DETECTOR", "CAMERA")}
    # CAMERA is a number for HMI and the instrument's name for MDI
    names = {key: str(name).strip() for key, name in names.items() if isinstance(name, str)}
    if any(_HMI.search(name.upper()) for name in names.values()):
        return None
    names = {key: name for key, name in names.items() if not _NO_NAME.fullmatch(name.upper())}
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
