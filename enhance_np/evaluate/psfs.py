"""Compares point spread functions: widths, encircled energy, transfer functions."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .._figures import require_matplotlib
from ..optics.degrade import HMI, PSFS, Optics
from .figures import save

FINER = 16  # pixels of the kernels per pixel of the telescope
ENERGY = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # arcsec
PASSED = (0.25, 0.5, 0.75, 1.0)  # cycles per arcsec


class Psf(NamedTuple):
    """A round PSF, or the mean over azimuth of one that is not round."""

    radius: np.ndarray  # (n,) arcsec, from 0
    profile: np.ndarray  # (n,) mean at that radius over the maximum
    energy: np.ndarray  # (n,) share of the light within that radius
    transfer: np.ndarray  # (n,) at the frequencies of `frequency`
    frequency: np.ndarray  # (n,) cycles per arcsec, from 0 to five times the Nyquist frequency

    @property
    def width(self) -> float:
        """Full width at half maximum, arcsec."""
        first = int(np.argmax(self.profile < 0.5))
        r, p = self.radius[first - 1 : first + 1], self.profile[first - 1 : first + 1]
        return 2 * float(np.interp(-0.5, -p, r))


def known(optics: Optics = HMI) -> dict[str, Psf]:
    """{name: PSF}: the target, every PSF of PSFS with this aperture, and that of the optics.

    "norton" is left out unless the optics give its Lorentzian.
    """
    scale = optics.hmi_scale / FINER
    common = replace(optics, psf="modified", lorentzian=None, rotation=None)
    given = [replace(common, psf=name) for name in PSFS if name not in ("norton", optics.psf)]
    named = {one.telescope(): one.kernels(scale)[0] for one in (optics, *given)}
    named[f"target: {optics.target().telescope()}"] = optics.kernels(scale)[1]
    return {name: measured(kernel, scale) for name, kernel in named.items()}


def measured(kernel: np.ndarray, pixel_scale: float) -> Psf:
    """kernel : (n, n), odd, sum 1, its centre in the middle.  pixel_scale : arcsec."""
    middle = len(kernel) // 2
    at = pixel_scale * (np.arange(len(kernel)) - middle)
    distance = np.hypot(at[:, None], at)
    ring = np.round(distance / pixel_scale).astype(int).ravel()
    light = np.bincount(ring, kernel.ravel())[: middle + 1]
    count = np.bincount(ring)[: middle + 1]
    radius = pixel_scale * np.arange(middle + 1)
    # pixels of a ring lie up to half a pixel within and beyond it
    energy = np.interp(radius, radius + pixel_scale / 2, np.cumsum(light), left=0.0)
    frequency = np.linspace(0, 2.5 / (pixel_scale * FINER), 400)
    # the sum along columns is the projection on a line, whose transform is a line of the OTF
    waves = np.cos(2 * np.pi * np.outer(frequency, at))
    transfer = (waves @ kernel.sum(axis=0) + waves @ kernel.sum(axis=1)) / 2
    return Psf(radius, light / count / kernel.max(), energy, transfer, frequency)


def table(psfs: dict[str, Psf]) -> str:
    """Width, encircled energy and transfer function of each PSF, one line each."""
    names = [f"E({r:g})" for r in ENERGY] + [f"T({f:g})" for f in PASSED]
    wide = max(map(len, psfs))
    lines = ["  ".join(["".ljust(wide), "FWHM", *(name.rjust(7) for name in names)])]
    for name, psf in psfs.items():
        values = [*np.interp(ENERGY, psf.radius, psf.energy)]
        values += [*np.interp(PASSED, psf.frequency, psf.transfer)]
        row = [name.ljust(wide), f"{psf.width:.2f}", *(f"{value:7.3f}" for value in values)]
        lines.append("  ".join(row))
    note = (
        "FWHM in arcsec; E(r): share of the light within r arcsec, of that within the support;\n"
        "T(f): transfer function at f cycles per arcsec. The aperture acts on all but yeo."
    )
    return "\n".join([*lines, "", note])


def picture(psfs: dict[str, Psf]) -> bytes:
    """A PNG: profiles, encircled energy and transfer functions."""
    require_matplotlib()

    def draw(figure):
        left, middle, right = figure.subplots(1, 3)
        for name, psf in psfs.items():
            left.semilogy(psf.radius, np.maximum(psf.profile, 1e-12), label=name)
            middle.semilogx(psf.radius[1:], psf.energy[1:])
            right.plot(psf.frequency, psf.transfer)
        last = max(psf.radius[-1] for psf in psfs.values())
        left.set(xlabel="radius [arcsec]", ylabel="PSF over its maximum", ylim=(1e-6, 1.5))
        left.set_xlim(0, last)
        middle.set(xlabel="radius [arcsec]", ylabel="encircled energy", xlim=(0.05, last))
        right.set(xlabel="spatial frequency [cycles per arcsec]", ylabel="transfer function")
        right.set(xlim=(0, 2.4), ylim=(-0.05, 1.05))
        figure.legend(loc="outside lower center", ncols=2)

    return save(draw, (14.0, 5.2))
