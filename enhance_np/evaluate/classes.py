"""Classes of scene, because a mean over an active region would hide where a method fails.

The table THRESHOLDS has all thresholds, with a reason for each. Masks are made on the pixels of the
input (0.5 arcsec), from the truth averaged to these pixels if there is one, else from the input. A
pixel has at most one class; limb takes precedence over the dark classes, and these over plage and
quiet. Classes that the given images cannot determine are left out: see `masks`.
"""

from typing import NamedTuple

import numpy as np

from ..observation.disc import limb_darkening
from ..observation.gaps import beyond_limb
from ..observation.normalise import fill
from ..observation.pixels import SUN_RADIUS
from ..optics.degrade import HMI_SCALE

NAMES = ("quiet", "plage", "pore", "umbra", "penumbra", "limb")


class Threshold(NamedTuple):
    value: float
    unit: str
    reason: str


THRESHOLDS = {
    "limb": Threshold(
        0.5, "mu, below", "60 degrees from disc centre, where studies of flux usually stop"
    ),
    "sky": Threshold(
        0.2, "Ic, below", "pixels next to missing ones and darker than the limb, 0.3, are sky"
    ),
    "smoothing": Threshold(
        1.0, "arcsec, sigma", "the width of a granule, which removes the intergranular lanes"
    ),
    "dark": Threshold(
        0.9, "Ic, smoothed, below", "three times the smoothed contrast of a 28 cm image below 1"
    ),
    "core": Threshold(
        0.75, "Ic, smoothed, reached", "a dark area must have a core, which granulation never has"
    ),
    "umbra": Threshold(
        0.5, "Ic, smoothed, below", "the contour of Jurcak et al. 2018, A&A 611, L4"
    ),
    "spot": Threshold(
        50.0, "arcsec^2, of a dark area", "8 arcsec or 6 Mm across: pores are smaller"
    ),
    "box": Threshold(4.5, "arcsec, side", "9 pixels of HMI, which average out the noise of |B|"),
    "quiet": Threshold(
        15.0, "G, box mean of |B|, below", "noise of 10 G alone gives 8 G, network 20 G or more"
    ),
    "plage": Threshold(
        100.0, "G, box mean of |B|, above", "a tenth of the area filled with field of 1 kG"
    ),
    "plage end": Threshold(
        600.0, "G, box mean of |B|, below", "without intensity: stronger field belongs to a spot"
    ),
    "apart": Threshold(
        2.0, "arcsec, from dark areas", "keeps a spot's blurred edge out of quiet and plage"
    ),
    "strong": Threshold(
        1500.0,
        "G, smoothed |B|, above",
        "without intensity: umbrae end at 1.7 kG in HMI data (Schmassmann et al. 2018, "
        "A&A 620, A104), and plage stays below",
    ),
    "around": Threshold(
        10.0, "arcsec, from strong field", "without intensity: leaves out pixels of penumbra"
    ),
}


def masks(
    intensity: np.ndarray | None,
    field: np.ndarray | None,
    mu: np.ndarray | None = None,
    pixel_scale: float = HMI_SCALE,
) -> dict[str, np.ndarray]:
    """{class: (H, W) bool} of the classes that can be determined, in the order of NAMES.

    intensity : (H, W) over the quiet Sun's mean, at disc centre or with limb darkening left in.
    field : (H, W) G. Either may be None; NaN is a gap and has no class.
    mu : (H, W), see `disc.mu`. Without it, pixels within 129 arcsec of the sky are limb.

    With both images there are all classes. With intensity alone there is no plage, and faculae
    count as quiet. With field alone there is no penumbra, and "umbra" is strong field, pores
    included; plage and quiet are then at least 10 arcsec from it, and plage has an upper limit.
    Raises ValueError if both are None or their shapes differ.
    """
    given = [image for image in (intensity, field, mu) if image is not None]
    if intensity is None and field is None:
        raise ValueError("masks: needs an intensity or a field, got neither")
    if len({image.shape for image in given}) != 1:
        raise ValueError(f"masks: shapes must agree, got {[image.shape for image in given]}")
    valid = np.logical_and.reduce([np.isfinite(i) for i in (intensity, field) if i is not None])
    sky = _sky(valid, intensity, mu)
    valid = valid & ~sky
    limb = _limb(sky, mu, pixel_scale)
    free = valid & ~limb
    found = {}
    if field is not None:
        strength = _box_mean(np.abs(fill(field)[0]), pixel_scale)
        found["quiet"] = strength < THRESHOLDS["quiet"].value
        found["plage"] = strength > THRESHOLDS["plage"].value
    if intensity is not None:
        level = 1.0 if mu is None else limb_darkening(np.nan_to_num(mu, nan=1.0))
        dark = _dark(_smooth(fill(intensity)[0] / level, pixel_scale), pixel_scale)
        clear = _distance(dark["any"], pixel_scale) > THRESHOLDS["apart"].value
        found.setdefault("quiet", np.ones(valid.shape, bool))
        found |= {name: dark[name] for name in ("pore", "umbra", "penumbra")}
    else:
        strong = _smooth(np.abs(fill(field)[0]), pixel_scale) > THRESHOLDS["strong"].value
        clear = _distance(strong, pixel_scale) > THRESHOLDS["around"].value
        found["umbra"] = strong
        found["plage"] &= strength < THRESHOLDS["plage end"].value
    for name in ("quiet", "plage"):
        if name in found:
            found[name] = found[name] & clear
    found = {name: mask & free for name, mask in found.items()} | {"limb": limb & valid}
    return {name: found[name] for name in NAMES if name in found}


def quiet_field(field: np.ndarray, pixel_scale: float = HMI_SCALE) -> np.ndarray:
    """Where the box mean of |B| is below 15 G: (H, W) bool, in any class."""
    strength = _box_mean(np.abs(fill(field)[0]), pixel_scale)
    return (strength < THRESHOLDS["quiet"].value) & np.isfinite(field)


def table() -> str:
    """THRESHOLDS as a Markdown table."""
    rows = [f"| {name} | {t.value:g} {t.unit} | {t.reason} |" for name, t in THRESHOLDS.items()]
    return "\n".join(["| threshold | value | reason |", "| --- | --- | --- |", *rows])


def _sky(valid, intensity, mu):
    if mu is not None:
        return np.isnan(mu)
    dark = None if intensity is None else np.nan_to_num(intensity) < THRESHOLDS["sky"].value
    return beyond_limb(valid, dark)


def _limb(sky, mu, pixel_scale):
    least = THRESHOLDS["limb"].value
    if mu is not None:
        return np.nan_to_num(mu, nan=1.0) < least
    # without mu, the limb is found from the sky
    width = SUN_RADIUS * (1 - np.sqrt(1 - least**2))
    return _distance(sky, pixel_scale) < width


def _dark(smooth, pixel_scale):
    """Pores, umbrae and penumbrae of an intensity that is smoothed and without limb darkening."""
    from scipy.ndimage import label, minimum

    labels, n = label(smooth < THRESHOLDS["dark"].value, structure=np.ones((3, 3)))
    index = np.arange(1, n + 1)
    darkest = minimum(smooth, labels, index) if n else np.zeros(0)
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:] * pixel_scale**2
    has_core = np.concatenate([[False], darkest < THRESHOLDS["core"].value])
    large = np.concatenate([[False], area >= THRESHOLDS["spot"].value])
    spot = (has_core & large)[labels]
    umbra = spot & (smooth < THRESHOLDS["umbra"].value)
    pore = (has_core & ~large)[labels]
    return {"pore": pore, "umbra": umbra, "penumbra": spot & ~umbra, "any": spot | pore}


def _smooth(image, pixel_scale):
    from scipy.ndimage import gaussian_filter

    sigma = THRESHOLDS["smoothing"].value / pixel_scale
    return gaussian_filter(np.asarray(image, np.float64), sigma, mode="reflect")


def _box_mean(image, pixel_scale):
    from scipy.ndimage import uniform_filter

    side = round(THRESHOLDS["box"].value / pixel_scale)
    return uniform_filter(np.asarray(image, np.float64), side, mode="reflect")


def _distance(mask, pixel_scale):
    """arcsec to the nearest pixel of the mask; infinite if it is empty."""
    from scipy.ndimage import distance_transform_edt

    if not mask.any():
        return np.full(mask.shape, np.inf)
    return distance_transform_edt(~mask) * pixel_scale
