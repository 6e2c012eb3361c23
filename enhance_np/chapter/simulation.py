"""A simulation of the quiet Sun, degraded to HMI with two PSFs, beside an image of HMI."""

import os
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..evaluate import quantities as q
from ..evaluate.spectrum import Spectrum, band_powers, power_spectrum
from ..observation import fits
from ..observation.pixels import pixel_scales
from ..optics.degrade import HMI, HMI_SCALE, seen
from ..sun.convection import SPACING
from ..sun.scene import scene
from .measures import Number, Numbers
from .regions import Region

PSFS = {"modified": "Enhance", "wachter": "Wachter et al. 2012"}  # of `degrade.PSFS`, and whose
SIDE = 108  # HMI pixels, as in the chapter
TAIL = ((0.25, 0.4),)  # cycles per HMI pixel
LEAST = 48  # pixels of HMI on each side of a square of quiet Sun
QUIET = 0.8  # of its pixels are quiet


@dataclass(frozen=True)
class Simulation:
    """A scene of the quiet Sun over its mean, and HMI's image of another part of it, or None."""

    name: str
    scene: np.ndarray  # (h, w)
    pixel_scale: float  # arcsec
    hmi: np.ndarray | None = None  # (n, n), over its mean

    @cached_property
    def degraded(self) -> dict[str, np.ndarray]:
        """{PSF: (H, W)}, without noise."""
        optics = {psf: replace(HMI, psf=psf) for psf in PSFS}
        return {psf: seen(self.scene, self.pixel_scale, o) for psf, o in optics.items()}

    @cached_property
    def spectra(self) -> dict[str, Spectrum]:
        """In cycles per arcsec, by the name of the image."""
        found = {"simulation": power_spectrum(self.scene, self.pixel_scale)}
        found |= {psf: power_spectrum(i, HMI_SCALE) for psf, i in self.degraded.items()}
        if self.hmi is not None:
            found["HMI"] = power_spectrum(self.hmi, HMI_SCALE)
        return found


def synthetic(seed: int, side: int) -> Simulation:
    """A quiet scene of the synthetic Sun, `side` HMI pixels wide."""
    pixels = int(np.ceil(side * HMI_SCALE / SPACING)) + 1
    intensity, _ = scene(seed, (pixels, pixels), SPACING, "quiet")
    return Simulation(f"synthetic quiet Sun, seed {seed}", intensity / intensity.mean(), SPACING)


def of_file(path: str | os.PathLike) -> Simulation:
    """A continuum image of a simulation, FITS or .npy.

    Its pixels are those of the header, else SPACING, which is 48 km at 1 au.
    Raises ValueError for a simulation with gaps, not of a continuum, or not finer than HMI.
    """
    frame = fits.read(path)
    if not np.isfinite(frame.data).all():
        raise ValueError(f"chapter: the simulation must have no gaps, got some in {frame.path!r}")
    least, most = frame.data.min(), frame.data.max()
    if not 0 < least < most:
        raise ValueError(
            "chapter: the simulation must be a continuum, positive and not constant, got values "
            f"from {least:.3g} to {most:.3g} in {frame.path!r}"
        )
    scale = pixel_scales(frame.header)[0] if pixel_scales(frame.header) else SPACING
    if scale > HMI_SCALE / 2 or min(frame.data.shape) * scale < LEAST * HMI_SCALE:
        raise ValueError(
            f"chapter: the simulation must have pixels below {HMI_SCALE / 2:.2g} arcsec and "
            f"{LEAST} pixels of HMI on each side, got {scale:.3g} arcsec and {frame.data.shape}"
        )
    name = os.path.basename(frame.path)
    return Simulation(name, frame.data / frame.data.mean(dtype=np.float64), scale)


def beside(simulation: Simulation, region: Region) -> Simulation:
    """The simulation with the quietest square of an HMI region, if there is one."""
    from scipy.ndimage import uniform_filter

    quiet = region.classes["quiet"]
    for side in range(min(SIDE, *quiet.shape), LEAST - 1, -4):
        share = uniform_filter(quiet.astype(float), side, mode="constant")
        half = side // 2  # the share of the square that begins at (y, x) is at (y + half, x + half)
        share = share[tuple(slice(half, n - side + half + 1) for n in quiet.shape)]
        y, x = np.unravel_index(int(share.argmax()), share.shape)
        if share[y, x] > QUIET:
            cut = region.images["intensity"][y : y + side, x : x + side]
            if np.isfinite(cut).all():
                return replace(simulation, hmi=cut / cut.mean(dtype=np.float64))
    return simulation


def numbers(simulation: Simulation) -> Numbers:
    """Contrast, and the tail of the spectrum over HMI's."""
    everywhere = {psf: np.ones(image.shape, bool) for psf, image in simulation.degraded.items()}
    contrast = q.contrast(simulation.degraded["modified"], everywhere["modified"])
    found = {"contrast_degraded": Number(100 * contrast)}
    if simulation.hmi is not None:
        found["contrast_hmi"] = Number(
            100 * q.contrast(simulation.hmi, np.ones(simulation.hmi.shape, bool))
        )
        tail = band_powers(simulation.hmi, 1.0, TAIL)[0]
        for psf, image in simulation.degraded.items():
            found[f"tail_{psf}"] = Number(float(band_powers(image, 1.0, TAIL)[0] / tail))
    return found
