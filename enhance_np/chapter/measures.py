"""The numbers of a region that the chapter gives, measured again."""

from typing import NamedTuple

import numpy as np

from .. import params
from .._array import repeated
from ..baselines.bicubic import bicubic
from ..config import DEFAULT, SMALL
from ..evaluate import quantities as q
from ..instrument import HMI
from ..observation.normalise import fill
from ..optics.degrade import TARGET_DIAMETER
from ..optics.psf import ARCSEC
from ..prediction.reblur import reblurred
from .parts import light_bridge, polarity_line
from .regions import RL, Region
from .spectra import excess, noise_level, spectra

WEAK = (200.0, 800.0)  # G, of the input: plage whose elements HMI does not resolve
ALIKE = 0.15  # cycles per output pixel; below it the chapter finds both spectra alike
DARK_RING = 1.21967  # lambda / D, of the Airy pattern


class Number(NamedTuple):
    value: float
    truth: float | None = None  # what a perfect output would have, where that is known


Numbers = dict[str, Number]  # by `published.Entry.key`; without those that the images do not give


def architecture(default) -> Numbers:
    """Parameters and diffraction limits.  default : NetworkConfig of the network that ships."""
    trained, moving = params.count(DEFAULT)
    found = {
        "parameters": trained + moving,
        "trainable": trained,
        "parameters_default": sum(params.count(default)),
        "parameters_small": sum(params.count(SMALL)),
        "limit": DARK_RING * HMI.wavelength / HMI.aperture / ARCSEC,
        "limit_target": DARK_RING * HMI.wavelength / TARGET_DIAMETER / ARCSEC,
    }
    return {key: Number(float(value)) for key, value in found.items()}


def intensity(region: Region) -> Numbers:
    """Contrast of the granulation and light of the umbra."""
    reports, umbra = region.reports["intensity"], region.classes["umbra"]
    image, out, truth = region.images, region.out, region.truths.get("intensity")

    def change(after):
        before = image["intensity"][umbra].mean(dtype=np.float64)
        return 100 * (after[repeated(umbra)].mean(dtype=np.float64) / before - 1)

    found = {
        "contrast_input": Number(_percent(reports["input"]["contrast"])),
        "contrast_output": Number(
            _percent(reports["default"]["contrast"]),
            _percent(reports["truth"]["contrast"]) if truth is not None else None,
        ),
    }
    if umbra.any():
        known = None if truth is None else change(truth)
        found["umbra_change"] = Number(change(out["intensity"]), known)
    return _finite(found)


def of_truth(region: Region) -> Numbers:
    """The error at disc centre over that of interpolation, of a region whose truth is known."""
    image, truth = region.images["intensity"], region.truths["intensity"]
    errors = [one - truth for one in (region.out["intensity"], bicubic(image))]
    quiet = repeated(region.classes["quiet"])
    mean = [np.square(error[quiet], dtype=np.float64).mean() for error in errors]
    return _finite({"disc_error": Number(float(np.sqrt(mean[0] / mean[1])))})


def field(region: Region) -> Numbers:
    """The field: ratios, flux, scales, noise and residuals; the output beside that of RL."""
    image, out, sharper = region.images["blos"], region.out["blos"], region.outputs[RL]["blos"]
    truth = region.truths.get("blos")
    known = {"output": out} | ({} if truth is None else {"truth": truth})
    plage = region.classes["plage"]

    def both(measure):
        return Number(*(measure(one) for one in known.values()))

    def flux(one):
        return q.flux(one, 1.0).unsigned / q.flux(image, 1.0).unsigned

    found = {
        "kilogauss": both(lambda one: q.ratio(image, q.averaged(one), np.isfinite(image)).value),
        "plage": both(lambda one: q.ratio(image, q.averaged(one), plage, WEAK).value),
        "flux": both(flux),
        "flux_rl": Number(flux(sharper)),
    }
    found |= _spectral(image, known | {RL: sharper})
    found |= residuals(region)
    found |= parts(region)
    return _finite(found)


def _spectral(image, outputs):
    seen = spectra(image, outputs)
    added = {name: excess(seen["input"], seen[name]) for name in outputs}
    keys = {"variance": "excess_peak", "low": "excess_low", "high": "excess_high"}
    keys["ratio"] = "excess_ratio"
    found = {}
    for part, key in keys.items():
        truth = getattr(added["truth"], part) if "truth" in added else None
        found[key] = Number(getattr(added["output"], part), truth)
    low = seen["output"].frequency < ALIKE
    ratio = np.log(seen[RL].power / seen["output"].power)[low]
    found["rl_power"] = Number(float(np.exp(ratio.mean())))
    found["noise_input"] = Number(noise_level(seen["input"]))
    truth = noise_level(seen["truth"]) if "truth" in seen else None
    found["noise_output"] = Number(noise_level(seen["output"]), truth)
    found["noise_rl"] = Number(noise_level(seen[RL]), truth)
    return found


def residuals(region: Region) -> Numbers:
    """The outputs, blurred again by HMI's PSF, against the input."""
    reports, classes = region.reports["blos"], region.classes
    found = {}
    for where, key in {"whole": "residual", "umbra": "residual_umbra"}.items():
        of_all = {name: of["reblur"]["psf"] for name, of in reports.items() if name != "input"}
        share = {name: _percent(of[where]) for name, of in of_all.items()}
        found[key] = Number(share["default"], share.get("truth"))
        found[f"{key}_rl"] = Number(share[RL])
    again = reblurred(fill(region.out["blos"])[0], region.optics)["psf"]
    missed = np.abs(again - region.images["blos"])
    for name in ("quiet", "umbra"):
        if classes[name].any():
            found[f"missed_{name}"] = Number(float(missed[classes[name]].mean()))
    return found


def parts(region: Region) -> Numbers:
    """Mean |B| of RL over that of the network, in light bridges and where the polarity changes."""
    out, sharper = region.out["blos"], region.outputs[RL]["blos"]
    truth = region.truths.get("blos")
    found = {}
    for key, mask in masks_of_parts(region).items():
        if mask.any():
            mean = np.abs(out[mask]).mean(dtype=np.float64)
            ratios = [
                float(np.abs(one[mask]).mean(dtype=np.float64) / mean)
                for one in (sharper, truth)
                if one is not None
            ]
            found[key] = Number(*ratios)
    umbra = repeated(region.classes["umbra"])
    if umbra.any():
        stronger = np.abs(sharper[umbra]) - np.abs(out[umbra])
        true = None if truth is None else float((np.abs(truth) - np.abs(out))[umbra].mean())
        found["umbra_rl"] = Number(float(stronger.mean(dtype=np.float64)), true)
    return found


def masks_of_parts(region: Region) -> dict[str, np.ndarray]:
    """{"bridge", "line"}: (2H, 2W) bool; False in and near missing pixels."""
    scale = region.optics.hmi_scale / 2
    out = {type: fill(image)[0] for type, image in region.out.items()}
    valid = np.isfinite(region.out["blos"]) & np.isfinite(region.out["intensity"])
    found = {
        "bridge": light_bridge(out["intensity"], out["blos"], scale),
        "line": polarity_line(out["blos"], scale),
    }
    return {name: mask & valid for name, mask in found.items()}


def small_network(region: Region) -> Numbers:
    """The small network against the default one: time, and mean difference over mean output."""
    found = {"small_speed": Number(region.seconds["default"] / region.seconds["small"])}
    for type, image in region.out.items():
        other = region.outputs["small"][type]
        difference = np.nanmean(np.abs(other - image), dtype=np.float64)
        over = difference / np.nanmean(np.abs(image), dtype=np.float64)
        found[f"small_{type}"] = Number(_percent(float(over)))
    return found


def _percent(share):
    return np.nan if share is None else 100 * share


def _finite(found):
    """The numbers that are defined; a truth that is not is None."""
    kept = {}
    for key, (value, truth) in found.items():
        if value is not None and np.isfinite(value):
            is_known = truth is not None and np.isfinite(truth)
            kept[key] = Number(float(value), float(truth) if is_known else None)
    return kept
