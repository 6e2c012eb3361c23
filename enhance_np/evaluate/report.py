"""All metrics of one or more outputs of one scene, as one dictionary for JSON.

Intensities are in units of the quiet Sun's mean, fields in G; NaN is missing.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .._array import repeated
from .._errors import avoidable
from ..config import TYPES
from ..observation.gaps import beyond_limb, gap_free_box
from ..observation.normalise import fill
from ..observation.pixels import square_area
from ..optics.degrade import HMI, Optics
from ..prediction.reblur import reblurred, residual
from . import quantities as q
from .classes import THRESHOLDS, masks, quiet_field
from .errors import DATA_RANGE, scores, ssim_map
from .spectrum import BANDS, band_powers, nyquist_lines, phase_amplitude

UNIT = {"intensity": "Ic", "blos": "G"}
FROM_GAPS = 5.0  # arcsec; nearer to a gap, a re-blurred output depends on the filled pixels
LEAST_SIDE = 32  # pixels, smallest side of an image for a spectrum


class Scene(NamedTuple):
    """The images and data that outputs are compared with. Input or truth may be None, not both."""

    type: str
    input: np.ndarray | None = None  # (H, W)
    truth: np.ndarray | None = None  # (2H, 2W)
    companion: np.ndarray | None = None  # (H, W) of the other type, for the classes
    mu: np.ndarray | None = None  # (H, W), see `disc.mu`
    box: tuple[int, int, int, int] | None = None  # y0, y1, x0, x1, input pixels of granulation
    pixel_area: float | None = None  # cm^2 of an input pixel; None is that of the optics at 1 au


def report(outputs: Mapping[str, np.ndarray], scene: Scene, optics: Optics = HMI) -> dict:
    """{"type", "unit", "classes", "images": {name: metrics}, ...}; NaN and infinity are None.

    outputs : {name: (2H, 2W)}. "images" has "input" and "truth", if they are given, and the
    outputs. Raises ValueError if shapes disagree, without input and truth, or for another type.
    """
    _check(outputs, scene)
    images = [*outputs.values(), *(i for i in (scene.truth,) if i is not None)]
    valid = np.logical_and.reduce([np.isfinite(q.averaged(image)) for image in images])
    if scene.input is not None:
        valid &= np.isfinite(scene.input)
    if not valid.any():
        raise ValueError("evaluate: needs a pixel that is valid in all images, got none")
    reference = scene.input if scene.truth is None else q.averaged(scene.truth)
    pair = (reference, scene.companion)
    intensity, field = pair if scene.type == "intensity" else pair[::-1]
    found = masks(intensity, field, scene.mu, optics.hmi_scale)
    found = {name: mask & valid for name, mask in found.items()}
    context = _Context(scene, found, valid, intensity, optics)
    measured = {}
    if scene.input is not None:
        measured["input"] = context.absolute(scene.input)
    for name, out in outputs.items():
        measured[name] = (
            context.absolute(out)
            | context.against_truth(out)
            | context.against_input(out)
            | context.pixels(out)
        )
    if scene.truth is not None:
        measured["truth"] = (
            context.absolute(scene.truth)
            | context.against_input(scene.truth)
            | context.pixels(scene.truth)
        )
    return plain(
        {
            "type": scene.type,
            "unit": UNIT[scene.type],
            "input_pixels": list(valid.shape),
            "data_range": DATA_RANGE[scene.type],
            "classes_from": "input" if scene.truth is None else "truth",
            "contrast_from": "box" if scene.box else "quiet",
            "classes": {name: int(mask.sum()) for name, mask in found.items()},
            "images": measured,
        }
    )


class _Context:
    """The masks of a scene, and methods that measure an image of it."""

    def __init__(self, scene, found, valid, intensity, optics):
        self.scene, self.classes, self.valid, self.optics = scene, found, valid, optics
        self.intensity = intensity
        self.granulation = found["quiet"]
        if scene.box is not None:
            y0, y1, x0, x1 = scene.box
            self.granulation = np.zeros_like(valid)
            self.granulation[y0:y1, x0:x1] = True
            self.granulation &= valid
        if scene.type == "blos":
            field = q.averaged(scene.truth) if scene.input is None else scene.input
            self.quiet_field = quiet_field(field, optics.hmi_scale) & valid
        y0, y1, x0, x1 = gap_free_box(~beyond_limb(valid))
        self.spectral = (slice(y0, y1), slice(x0, x1))
        self.far = self._far_from_gaps()
        self.pixel_area = scene.pixel_area or square_area(optics.hmi_scale)

    def _far_from_gaps(self):
        from scipy.ndimage import distance_transform_edt

        if self.valid.all():
            return self.valid
        return distance_transform_edt(self.valid) * self.optics.hmi_scale > FROM_GAPS

    def absolute(self, image):
        """Metrics of one image by itself, on the grid of the input or the output."""
        on_input = image.shape == self.valid.shape
        at = (lambda mask: mask) if on_input else repeated
        scale = self.optics.hmi_scale / (1 if on_input else 2)
        valid = at(self.valid)
        values = np.where(valid, image, np.nan)
        made = {"bands": self._bands(image, scale)}
        if self.scene.type == "intensity":
            made |= {
                "contrast": q.contrast(image, at(self.granulation)),
                "minimum": float(np.nanmin(values)),
                "negatives": int((values < 0).sum()),
            }
            umbra = at(self.classes["umbra"])
            made["umbra_minimum"] = float(image[umbra].min()) if umbra.any() else np.nan
        else:
            flux = q.flux(values, self.pixel_area / (1 if on_input else 4))
            made |= {"flux": flux._asdict(), "noise": q.noise(image, at(self.quiet_field))}
        return made

    def against_truth(self, out):
        truth, unit = self.scene.truth, DATA_RANGE[self.scene.type]
        if truth is None:
            return {}
        similarity = ssim_map(out, truth, unit)
        scored = {"whole": self.valid} | self.classes
        errors = {
            name: scores(out, truth, similarity, unit, repeated(mask))
            for name, mask in scored.items()
        }
        return {"errors": errors}

    def against_input(self, out):
        image = self.scene.input
        if image is None:
            return {}
        again = reblurred(fill(out)[0], self.optics)
        scored = {"whole": self.valid} | self.classes
        made = {
            "reblur": {
                kind: {n: residual(a, image, mask & self.far) for n, mask in scored.items()}
                for kind, a in again.items()
            }
        }
        if self.scene.type == "intensity":
            return made
        average = q.averaged(out)
        made["slope"] = {
            name: q.slope(image, average, self.classes[name])._asdict()
            for name in ("plage", "umbra")
            if name in self.classes
        }
        at = {"all": self.valid} | {
            name: self.classes[name]
            for name in ("plage", "pore", "umbra", "penumbra")
            if name in self.classes
        }
        if self.intensity is not None:
            # besides the classes, a division by the brightness of each pixel
            bright = self.intensity > THRESHOLDS["dark"].value
            at |= {"bright": self.valid & bright, "dark": self.valid & ~bright}
        made["ratio"] = {n: q.ratio(image, average, mask)._asdict() for n, mask in at.items()}
        return made

    def pixels(self, out):
        """Metrics of patterns in the output that follow its pixel grid."""
        part = self._cut(fill(out)[0])
        if min(part.shape) < LEAST_SIDE:
            return {}
        lines = nyquist_lines(part)
        return {
            "nyquist": {name: line._asdict() for name, line in lines.items()},
            "phase_amplitude": phase_amplitude(part),
        }

    def _bands(self, image, scale):
        part = self._cut(fill(image)[0])
        if min(part.shape) < LEAST_SIDE:
            return {}
        powers = band_powers(part, scale)
        return {f"{a:g}-{b:g}": float(p) for (a, b), p in zip(BANDS, powers, strict=True)}

    def _cut(self, image):
        k = image.shape[0] // self.valid.shape[0]
        return image[tuple(slice(k * s.start, k * s.stop) for s in self.spectral)]


def _check(outputs, scene):
    if scene.type not in TYPES:
        raise ValueError(f"evaluate: type must be one of {TYPES}, got type={scene.type!r}")
    if scene.input is None and scene.truth is None:
        message = "evaluate: needs the truth or the input, got neither"
        raise avoidable(ValueError(message), "truth", "input")
    if not outputs:
        raise ValueError("evaluate: needs one output or more, got none")
    shape = next(iter(outputs.values())).shape
    low = tuple(n // 2 for n in shape)
    if len(shape) != 2 or shape != tuple(2 * n for n in low) or min(low) < 2:
        raise ValueError(f"evaluate: the output must be (2H, 2W), got {shape}")
    wanted = {"truth": shape, "input": low, "companion": low, "mu": low}
    for name, image in [*((name, getattr(scene, name)) for name in wanted), *outputs.items()]:
        needed = wanted.get(name, shape)
        if image is not None and image.shape != needed:
            raise ValueError(
                f"evaluate: the {name} must be {needed[0]} x {needed[1]} for an output of "
                f"{shape[0]} x {shape[1]}, got {' x '.join(map(str, image.shape))}"
            )
    if scene.box is not None:
        y0, y1, x0, x1 = scene.box
        if not (0 <= y0 < y1 <= low[0] and 0 <= x0 < x1 <= low[1]):
            raise ValueError(
                f"evaluate: the box must be Y0,Y1,X0,X1 within {low[0]} x {low[1]} input pixels, "
                f"got {','.join(map(str, scene.box))}"
            )


def plain(value):
    """The value for JSON: NaN and infinity become None."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
