"""The output beside an image of Hinode, by `evaluate.compare`."""

import os
from dataclasses import dataclass, replace

import numpy as np

from .._errors import avoidable
from ..evaluate.compare import Comparison, compare
from ..evaluate.resolution import HINODE_APERTURE, HINODE_SP
from ..observation.fits import read, rescaled_header
from ..observation.kind import image_type
from ..optics.degrade import Optics, seen
from ..sun.convection import SPACING
from ..sun.observed import header
from .measures import Number, Numbers
from .regions import Region

# pixels of the two instruments in the chapter: the filtergraph in its red continuum, and the
# spectropolarimeter in its fast maps
TELESCOPES = {
    "intensity": Optics("airy", aperture=HINODE_APERTURE, wavelength=6684e-10, hmi_scale=0.109),
    "blos": Optics("airy", aperture=HINODE_APERTURE, wavelength=HINODE_SP, hmi_scale=0.30),
}
MOVED = (9, 14)  # pixels of the scene (rows, columns) by which Hinode's image begins later
POINTING = (0.8, -0.6)  # arcsec (x, y) by which its header is wrong


@dataclass(frozen=True)
class Pair:
    """The output of a region and Hinode's image of it, on the pixels of the output."""

    region: Region
    name: str  # of Hinode's image
    type: str
    comparison: Comparison
    corner: tuple[float, float]  # input pixels (x, y) to the first edge of the common part
    shift: tuple[float, float] | None = None  # arcsec (x, y), if the true one is known


def synthetic(region: Region) -> dict[str, Pair]:
    """{type: Pair} of a region whose scene is known, as Hinode sees it; its header is wrong."""
    from astropy.io.fits import PrimaryHDU

    found = {}
    for type, optics in TELESCOPES.items():
        scene = region.scenes[type][MOVED[0] :, MOVED[1] :]
        other = seen(scene, SPACING, optics).astype(np.float32)
        cards = header(type, 1, "as Hinode sees it")
        first = -np.array(region.shape) * region.optics.hmi_scale / 2 + np.array(MOVED) * SPACING
        for axis in (1, 2):  # FITS counts columns first
            cards[f"CRPIX{axis}"] = 0.5  # the first edge
            cards[f"CRVAL{axis}"] = first[2 - axis] + POINTING[axis - 1]
            cards[f"CDELT{axis}"] = optics.hmi_scale
        name = f"the same scene through {100 * optics.aperture:.0f} cm"
        pair = _pair(region, type, PrimaryHDU(other, cards), name, optics)
        found[type] = replace(pair, shift=POINTING)
    return found


def of_file(path: str | os.PathLike, region: Region) -> dict[str, Pair]:
    """{type: Pair} of an image of Hinode and a region, both with sky coordinates.

    Raises ValueError for a region without them, and as `compare.compare`.
    """
    if region.wcs is None:
        message = "chapter: the HMI images need sky coordinates to compare them with Hinode's"
        raise avoidable(ValueError(f"{message}, got none in {region.name}"), "hmi")
    type = image_type(read(path), None)
    try:
        return {type: _pair(region, type, os.fspath(path), os.path.basename(path))}
    except ValueError as error:  # its parameters are those of `compare`
        raise avoidable(error, "hinode") from None


def _pair(region, type, other, name, optics=None):
    from astropy.io.fits import PrimaryHDU

    own = rescaled_header(region.headers[type], 2)
    own["ENHMODEL"] = "default"  # tells `compare` the resolution
    sampled = None if optics is None else False  # `seen` takes values at the centres of pixels
    comparison = compare(
        PrimaryHDU(region.out[type], own),
        other,
        type,
        other_optics=optics,
        other_averages=sampled,
    )
    # the common part is cut out of the output, so its reference pixel is as much nearer
    corner = tuple((own[key] - comparison.header[key]) / 2 for key in ("CRPIX1", "CRPIX2"))
    return Pair(region, name, type, comparison, corner)


def numbers(pairs: dict[str, Pair]) -> Numbers:
    """Contrast of Hinode's granulation and its field, at the same resolution, over the output's."""
    found = {}
    if (pair := pairs.get("intensity")) is not None:
        images = pair.comparison.report["images"]
        own, other = (images[name]["alike"] for name in ("out", "other"))
        if own and other:
            found["hinode_contrast"] = Number(other / own)
        full = images["other"]["as it is"]
        if full:
            found["hinode_full"] = Number(100 * full)
    if (pair := pairs.get("blos")) is not None:
        value = pair.comparison.report["ratio"]["out"]["value"]
        if value is not None:
            found["hinode_kilogauss"] = Number(1 / value)
    missed = [
        np.abs(np.subtract(pair.comparison.report["shift"]["arcsec"], pair.shift)).max()
        / pair.comparison.sides[0]
        for pair in pairs.values()
        if pair.shift is not None
    ]
    if missed:
        found["hinode_shift"] = Number(float(max(missed)))
    return found
