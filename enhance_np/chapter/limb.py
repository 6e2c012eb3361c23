"""The limb, where the chapter finds the network poorer: an image of it, and numbers."""

import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .. import models
from .._array import repeated
from ..baselines.bicubic import bicubic
from ..config import NOISE
from ..engine import select
from ..evaluate.classes import THRESHOLDS
from ..observation import disc
from ..observation.gaps import beyond_limb
from ..observation.normalise import Norm, fill
from ..observation.pixels import SUN_RADIUS
from ..observation.remarks import remark
from ..optics.degrade import HMI, HMI_SCALE, degrade, on_pixels
from ..prediction.array import apply
from ..prediction.file import image_norm
from ..prediction.picture import sky, turned_header
from ..prediction.steps import read
from ..sun.convection import SPACING
from ..sun.observed import header
from ..weights import load
from .measures import Number, Numbers

FINER = 8  # pixels of the sharp limb in one of HMI
SKY = 0.005  # stray light off the limb, as in tests/test_limb.py
EDGE = 2.0  # arcsec next to the limb that are left out, because they show the step alone
NEAR, FAR = 12.0, 20.0  # arcsec from the limb: near it, and further inside


@dataclass(frozen=True)
class Limb:
    """The limb in units of its image, NaN where missing; the truth may be None."""

    name: str
    image: np.ndarray  # (H, W)
    out: np.ndarray  # (2H, 2W)
    header: object
    pixel_scale: float
    truth: np.ndarray | None = None  # (2H, 2W)

    @cached_property
    def inside(self) -> np.ndarray:
        """arcsec from the limb, (2H, 2W); 0 off the disc, infinite if there is no limb."""
        from scipy.ndimage import distance_transform_edt

        n = self.out.shape
        mu = disc.locate(self.header)
        if mu is not None:
            off = np.isnan(mu(*((np.arange(k) + 0.5) / 2 - 0.5 for k in n)))
        else:
            dark = np.nan_to_num(self.image) < THRESHOLDS["sky"].value
            off = repeated(beyond_limb(np.isfinite(self.image), dark))
        if not off.any():
            return np.full(n, np.inf)
        return distance_transform_edt(~off) * self.pixel_scale / 2


def synthetic(quiet: np.ndarray, side: int, device: str) -> Limb:
    """The limb of a disc that is covered by a quiet scene and its mirror images.

    quiet : (h, w), pixels of SPACING arcsec, over its mean.  side : of the image, HMI's pixels.
    The Sun is a sphere of no depth, seen from far away: the scene is foreshortened, granules do not
    hide each other, and their contrast falls as mu.
    """
    cards = header("intensity", side, "quiet, at the limb")
    cards["RSUN_OBS"] = SUN_RADIUS
    cards["CRVAL1"] = SUN_RADIUS - side * HMI_SCALE / 4
    mu = disc.locate(cards)
    step, first = HMI_SCALE / FINER, cards["CRVAL1"] - side * HMI_SCALE / 2
    edges = first + step * np.arange(FINER * side + 1)
    y = (np.arange(FINER * side) + 0.5) * step - side * HMI_SCALE / 2
    centres = (np.arange(FINER * side) + 0.5) / FINER - 0.5
    at = mu(centres, centres)
    sharp = np.full(at.shape, SKY)
    around = np.hstack([quiet, quiet[:, ::-1]])  # continued as its mirror image, it is periodic
    total = np.insert(np.cumsum(around, axis=1, dtype=np.float64), 0, 0, axis=1)
    for row, line in enumerate(at):
        r = np.hypot(edges, y[row])
        arc = SUN_RADIUS * np.arcsin(np.minimum(r / SUN_RADIUS, 1)) / SPACING  # pixels of the scene
        source = total[int(row * step / SPACING) % len(quiet)]
        turns, rest = np.divmod(arc, around.shape[1])
        passed = turns * source[-1] + np.interp(rest, np.arange(source.size), source)
        with np.errstate(invalid="ignore"):
            mean = np.diff(passed) / np.diff(arc)
        on = np.isfinite(line) & np.isfinite(mean)
        sharp[row, on] = disc.limb_darkening(line[on]) * (1 + line[on] * (mean[on] - 1))
    low, truth = degrade(sharp, step)
    noise = NOISE["intensity"] * np.random.default_rng(0).standard_normal(low.shape)
    image = (low + noise).astype(np.float32)
    out = _enhanced(image, Norm(1.0, 1.0, mu), device)
    return Limb("synthetic limb", image, out, cards, HMI_SCALE, truth)


def of_file(path: str | os.PathLike, device: str) -> Limb:
    """The limb in an HMI continuum image. Raises ValueError for another type or without a limb."""
    frame, type = read(path)
    if type != "intensity":
        raise ValueError(f"chapter: the image of the limb must be a continuum image, got {type}")
    remark(frame, type, expected=HMI.hmi_scale)
    norm = image_norm(frame, type)
    out = _enhanced(frame.data, norm, device) / np.float32(norm.level)
    image, cards = frame.data / np.float32(norm.level), frame.header
    if sky(cards, image.shape)[1]:
        image, out, cards = image[::-1, ::-1], out[::-1, ::-1], turned_header(cards, image.shape)
    scale = on_pixels(HMI, cards).hmi_scale
    found = Limb(os.path.basename(frame.path), image, out, cards, scale)
    if not np.isfinite(found.inside).all():
        raise ValueError(f"chapter: needs an image that shows the limb, got none in {frame.path!r}")
    return found


def _enhanced(image, norm, device):
    predictor = select(device).predictor(load(models.path("intensity")))
    return apply(image, "intensity", predictor, norm).output


def numbers(limb: Limb) -> Numbers:
    """Structure that the network adds near the limb and inside; with a truth, its error."""
    smooth = bicubic(fill(limb.image)[0])
    valid = np.isfinite(limb.out)
    near = valid & (limb.inside > EDGE) & (limb.inside < NEAR)
    far = valid & (limb.inside > FAR)
    found = {}
    for key, mask in {"limb_detail": near, "limb_inside": far}.items():
        if mask.any():
            images = (limb.out, *(() if limb.truth is None else (limb.truth,)))
            found[key] = Number(*(100 * _structure(i - smooth, i, mask) for i in images))
    if limb.truth is not None and near.any():
        error = [np.square(one - limb.truth)[near].mean() for one in (limb.out, smooth)]
        found["limb_error"] = Number(float(np.sqrt(error[0] / error[1])))
    return found


def _structure(added, image, mask):
    """Standard deviation of the added structure over the image; spots and faculae count little."""
    low, high = np.percentile(added[mask] / image[mask], (15.87, 84.13))
    return float(high - low) / 2
