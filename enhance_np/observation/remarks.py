"""What a user should know of an image before using its output: quality, history, pixels."""

import logging
import os
import re
from collections.abc import Iterator

import numpy as np

from ..instrument import HMI
from .fits import Frame
from .header import card, integer
from .kind import SMALLEST_NOISE, gauss, names_gauss, sample
from .pixels import pixel_scales
from .telescope import foreign_instrument

log = logging.getLogger(__name__)

SAME_SCALE = 1.11  # a network still serves images whose pixels differ by this ratio at most
BEYOND_FIELD = 10_000.0  # G; the strongest field measured in a spot is 8,200 G
BEYOND_LIGHT = 5.0  # times the 99th percentile; a white-light flare doubles the light

# QUALITY bits of line-of-sight observables for which an image still exists. Source: JSOC,
# doc/data/hmi/Quality_Bits/QUALITY.txt (24 May 2013), and its code, HMI_observables.c.
QUALITY_BITS = {
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
CALVER_PSF = 20
# Names of JSOC's deconvolved series: hmi.Ic_45s_dcon, hmi.M_720s_dconS (of the Stokes images).
# Source: Norton et al. 2025, arXiv:2511.13348.
DCON = re.compile(r"\b[\w.]*(\d+s|lev1)_dcon\w*", re.IGNORECASE)
NAMES_SERIES = ("DRMS_ID", "SOURCE", "HGQUERY", "LICENSE", "HISTORY")


def deconvolved(frame: Frame) -> str | None:
    """The evidence that the image has been deconvolved before; None if there is none."""
    model = card(frame.header, "ENHMODEL")
    if model is not None:
        return f"ENHMODEL={model!r}"
    texts = {"its name": os.path.basename(frame.path)}
    texts |= {key: str(card(frame.header, key) or "") for key in NAMES_SERIES}
    for where, text in texts.items():
        series = DCON.search(text)
        if series is not None:
            return f"{series[0]} in {where}"
    version = integer(frame.header, "CALVER64")
    if version is not None and 0 < (version >> CALVER_PSF) & 0xF < 0xF:
        return f"CALVER64=0x{version:x}"
    return None


def quality(header) -> str | None:
    """QUALITY in words, None if it is 0 or missing.

    Only the bits that JSOC documents for HMI's line-of-sight observables are named. SHARPs and
    other instruments define their bits differently; for them the number is given in hexadecimal.
    """
    bits = integer(header, "QUALITY")
    if not bits:
        return None
    text = f"QUALITY=0x{bits & 0xFFFFFFFF:08x}"
    if "HARPNUM" in header or foreign_instrument(header) is not None:
        return f"{text}: see the documentation of the series"
    names = [name for bit, name in QUALITY_BITS.items() if bits & bit]
    if bits & 0xFFFFFFFF & ~sum(QUALITY_BITS):
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
    unit = doubtful_unit(frame) if type == "blos" else None
    if unit is not None:
        yield logging.WARNING, unit
    absurd = _absurd(frame, type)
    if absurd is not None:
        yield (
            logging.WARNING,
            f"has {absurd} (cosmic ray, overflow?): the network spreads them over their "
            "neighbours; set them to NaN",
        )
    if integer(frame.header, "QLOOK") == 1:
        yield logging.INFO, "is near-real-time (QLOOK=1): JSOC will replace it"
    if str(card(frame.header, "CTYPE1") or "").startswith(("CRLN", "HGLN")):
        yield (
            logging.WARNING,
            "is a map: off disc centre its pixels are remapped, so the blur is not HMI's; instead, "
            f"enhance {_unmapped(frame)}",
        )


def doubtful_unit(frame: Frame) -> str | None:
    """Why a field without a unit of field may not be in G; None if it may."""
    if names_gauss(frame.unit):
        return None
    values = sample(frame.data)
    spread = values.std() if values.size else SMALLEST_NOISE
    if spread >= SMALLEST_NOISE:
        return None
    return (
        f"names no unit of field, so G is assumed, but its spread of {spread:.2g} "
        "is below HMI's noise: if it is in kG, write BUNIT = 'kG' into the header"
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
        lit = sample(data)
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
