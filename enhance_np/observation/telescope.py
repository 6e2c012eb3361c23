"""Which telescope took an image, from the header."""

import re

from .._errors import avoidable
from .fits import Frame
from .header import card

HMI_NAMES = re.compile(r"(?<![A-Z0-9])HMI|HELIOSEISMIC (AND|&) MAGNETIC")
# what these cards hold without a name of an instrument: HMI's spacecraft, blanks, numbers
NO_NAME = re.compile(
    r"((NASA[ /-]*)?SDO|(NASA )?SOLAR DYNAMICS OBSERVATORY|UNKNOWN|NONE|N/?A|"
    r"CCD|FRONT|SIDE|(CAMERA ?)?[0-9]+)?"
)


# card of an image that was degraded to what a telescope sees: "HMI", or another telescope in words
SEENBY = "SEENBY"


def foreign_instrument(header) -> str | None:
    """The cards that name another instrument than HMI: "TELESCOP='SOHO', INSTRUME='MDI'".

    None if the instrument is HMI or unknown. TELESCOP='SDO' alone leaves it unknown, because AIA
    is on SDO too. An image that was degraded (SEENBY) counts as one of that telescope.
    """
    if (seen := card(header, SEENBY)) is not None:
        return None if seen == "HMI" else f"{SEENBY}={seen!r}"
    names = {key: card(header, key) for key in ("TELESCOP", "INSTRUME", "DETECTOR", "CAMERA")}
    # CAMERA is a number for HMI and the instrument's name for MDI
    names = {key: str(name).strip() for key, name in names.items() if isinstance(name, str)}
    if any(HMI_NAMES.search(name.upper()) for name in names.values()):
        return None
    names = {key: name for key, name in names.items() if not NO_NAME.fullmatch(name.upper())}
    return ", ".join(f"{key}={name!r}" for key, name in names.items()) or None


def require_hmi(frame: Frame) -> None:
    """Raise ValueError for an image of another instrument: the shipped weights undo HMI's PSF.

    This is an error and not a warning, because the wrong result would look right. The check
    applies only to the shipped weights, not to weights that the user gives.
    """
    foreign = foreign_instrument(frame.header)
    if foreign is not None:
        message = (
            "require_hmi: the shipped weights are for HMI; another instrument needs its own, "
            f"got {foreign} in {frame.path!r}"
        )
        raise avoidable(ValueError(message), "weights")
