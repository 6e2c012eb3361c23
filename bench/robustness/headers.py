"""Tests every kind of header: reads and enhances the file and compares the sky coordinates.

    python -m bench.robustness.headers [--hmi DIR ...]

Makes files as JSOC writes them, and some under the real headers of sunpy's tests, and runs
`predict` on each (header_cases.py); --hmi adds every FITS file below DIR. Corners and centre of
input and output are compared by astropy.wcs and as sunpy Maps (`pip install -e ".[test]"`). Writes
the tables of docs/headers.md, that of DIR only with --hmi. Exit status 1 if a file is not treated
as listed in header_cases.py, or if the sky coordinates of a file moved by more than 1e-6 arcsec.
"""

import argparse
import logging
import re
import sys
import tempfile
import warnings
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io.fits.verify import VerifyWarning
from astropy.wcs import WCS, FITSFixedWarning

from bench import ROOT
from bench.robustness import jsoc
from bench.robustness.header_cases import Kind, made, real, shipped
from bench.shared.table import markdown, replace
from enhance_np.observation import fits as our_fits
from enhance_np.observation.kind import detect_type
from enhance_np.prediction.file import enhance_file

PAGE = ROOT / "docs" / "headers.md"
LARGEST_SHIFT = 1e-6  # arcsec
# of a sunpy Map; its class is HMIMap for HMI
SAME = ("__class__", "rsun_obs", "unit", "observer_coordinate", "date", "wavelength", "measurement")
COLUMNS = ("kind", "file", "type read", "pixel, in → out", "astropy", "sunpy", "result")


class Tried(NamedTuple):
    outcome: str  # "enhanced", "warned" or "refused"
    said: str  # the warnings, or why it was refused
    type: str = "–"
    pixel: str = "–"
    shifts: tuple[float | None, float | None] = (None, None)  # arcsec; astropy's, sunpy's


def tried(kind: Kind, folder: Path) -> Tried:
    """Enhances a file of this kind in `folder`, which must be empty."""
    source, target = folder / kind.name, folder / "out.fits"
    kind.make(source)
    heard = Listener(source)
    logger = logging.getLogger("enhance_np")
    logger.addHandler(heard)
    try:
        type = enhance_file(source, target, model="small", device="cpu", **kind.options).type
    except (ValueError, OSError) as error:
        return Tried("refused", str(error).replace(f"{folder}/", ""))
    finally:
        logger.removeHandler(heard)
    before, after = our_fits.read(source, kind.options.get("ext")), our_fits.read(target)
    if detect_type(before) is None:
        type += ", as given"
    return Tried(
        "warned" if heard.texts else "enhanced",
        "; ".join(heard.texts),
        type,
        _pixels(before.header, after.header),
        (astropy_shift(before, after), sunpy_shift(before, target)),
    )


class Listener(logging.Handler):
    """Keeps the warnings, without the name of the file at their beginning."""

    def __init__(self, path: Path):
        super().__init__(logging.WARNING)
        self.path, self.texts = path, []

    def emit(self, record):
        if record.name.startswith("enhance_np.engine"):  # it compiles at the first run
            return
        self.texts.append(record.getMessage().replace(f"{self.path}", "").lstrip(": "))


def fault(kind: Kind, found: Tried) -> str:
    """The differences from the expected treatment; "" if there are none."""
    for shift in found.shifts:
        if shift is not None and not shift <= LARGEST_SHIFT:  # True for NaN
            return f"the sky moved by {shift:.1e} arcsec"
    if kind.outcome and (found.outcome != kind.outcome or not re.match(kind.says, found.said)):
        return f"must be {kind.outcome} ({kind.says}), got {found.outcome} ({found.said})"
    return ""


def cells(kind: Kind, found: Tried) -> list[str]:
    result = ": ".join(filter(None, (found.outcome, found.said))).replace("|", r"\|")
    shifts = ("–" if shift is None else f"{shift:.0g}" for shift in found.shifts)
    return [kind.what, f"`{kind.name}`", found.type, found.pixel, *shifts, result]


def _pixels(before, after):
    key = "CD1_1" if "CD1_1" in before else "CDELT1"
    if key not in before:
        return "–"
    return f"{key} {before[key]:.4g} → {after[key]:.4g} {before.get('CUNIT1', '')}".strip()


def astropy_shift(before, after) -> float | None:
    """Largest shift of corners and centre in arcsec; None without a WCS."""
    if not any(key.startswith(("CTYPE", "CRPIX")) for key in before.header):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)  # of DATE-OBS without MJD-OBS
        return shift(WCS(before.header), WCS(after.header), before.data.shape)


def sunpy_shift(before, target) -> float | None:
    """The same for sunpy's Maps; None if sunpy makes no Map of the input.

    Raises ValueError if the Maps differ in class, observer, solar radius or unit, if one of HMI
    is no HMIMap, or if the scale is not half.
    """
    import sunpy.map
    from sunpy.util.exceptions import SunpyUserWarning

    with warnings.catch_warnings():
        for kind in (FITSFixedWarning, SunpyUserWarning, VerifyWarning):
            warnings.simplefilter("ignore", kind)  # of dates, units and observers
        try:
            maps = [sunpy.map.Map(before.data, before.header), sunpy.map.Map(target)]
        except sunpy.map.MapMetaValidationError:
            return None
        for name in SAME:
            a, b = (str(getattr(m, name)) for m in maps)
            if a != b and not (name == "unit" and "_BUNIT" in before.header):
                raise ValueError(f"sunpy_shift: {name} must stay, got {a} and {b}")
        named = str(before.header.get("INSTRUME", "")).startswith("HMI")
        if named and not isinstance(maps[1], sunpy.map.sources.HMIMap):
            raise ValueError(f"sunpy_shift: HMI's must be an HMIMap, got {type(maps[1])}")
        ratio = [(a / b).value for a, b in zip(maps[0].scale, maps[1].scale, strict=True)]
        if not np.allclose(ratio, 2, rtol=1e-12, atol=0):
            raise ValueError(f"sunpy_shift: the scale must be half, got a ratio of {ratio}")
        return shift(maps[0].wcs, maps[1].wcs, before.data.shape)


def shift(before: WCS, after: WCS, shape) -> float:
    """Angle on the sky, arcsec, between corners and centre of an image and of its double."""
    h, w = shape
    edges = np.array([[0, 0], [w, 0], [0, h], [w, h], [w / 2, h / 2]])
    found = []
    for wcs, factor in ((before, 1), (after, 2)):
        lon, lat = np.radians(wcs.wcs_pix2world(factor * edges + 0.5, 1)).T
        found.append(np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]))
    return float(np.degrees(np.linalg.norm(found[0] - found[1], axis=0)).max() * 3600)


def cards() -> str:
    """A table of what happens to every card of hmi.M_720s and of a SHARP."""
    rows = []
    for series in ("hmi.M_720s", "hmi.sharp_720s"):
        before = jsoc.header(series)
        before["BLANK"], before["BSCALE"], before["BZERO"] = jsoc.BLANK, 0.1, 0.0
        how = {"version": "0", "model": "m", "weights": "0", "type": "blos", "norm": 1000.0}
        after = our_fits.enhanced_header(before, **how)
        states = {
            "removed": [key for key in before if key not in after],
            "changed": [k for k in before if k in after and str(before[k]) != str(after[k])],
            "added": [key for key in after if key not in before],
        }
        states["kept"] = [k for k in before if k in after and k not in states["changed"]]
        rows += [[series, state, " ".join(keys)] for state, keys in states.items()]
    return markdown(["series", "cards", "names"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hmi", nargs="+", type=Path, metavar="DIR", help="real files, too")
    options = parser.parse_args()
    tables = {"header-kinds": chain(made(), shipped())}
    if options.hmi:
        tables["header-files"] = real(options.hmi)
    faults = []
    for name, kinds in tables.items():
        rows = []
        for kind in kinds:
            with tempfile.TemporaryDirectory() as folder:
                found = tried(kind, Path(folder))
            rows.append(cells(kind, found))
            wrong = fault(kind, found)
            print(f"{kind.what}: {wrong or 'ok'}", flush=True)
            faults += [wrong] if wrong else []
        replace(PAGE, name, markdown(COLUMNS, rows))
    replace(PAGE, "header-cards", cards())
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
