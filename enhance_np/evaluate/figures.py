"""Figures like those of the paper (Díaz Baso & Asensio Ramos 2018), for any output.

Each function draws into a matplotlib Figure or SubFigure. `save` makes a PNG of one figure, and
`page` of all figures that the given images allow. Intensities are in Ic and fields in G, as in
`report`. matplotlib is an optional dependency and imported inside functions.
"""

from collections.abc import Callable, Mapping

import numpy as np

from .._array import repeated
from .._figures import png, require_matplotlib
from ..baselines import ITERATIONS
from ..baselines.bicubic import bicubic
from ..baselines.richardson_lucy import deconvolve
from ..observation.gaps import beyond_limb, gap_free_box
from ..observation.normalise import fill, restore
from ..optics.degrade import HMI, Optics
from ..optics.psf import MODIFIED, WACHTER, airy, hmi_psf
from ..prediction.picture import stretch
from . import quantities as q
from .classes import masks
from .report import LEAST_SIDE, UNIT, Scene
from .spectrum import power_spectrum

PATCH = 50  # input pixels, as in training
DIFFERENCE = {"intensity": 0.1, "blos": 200.0}  # grey scale of a difference, in Ic and G
# classes by preference for a patch
TELLING = ("umbra", "pore", "penumbra", "plage", "quiet", "limb")


def save(draw: Callable, size: tuple[float, float], *arguments, **options) -> bytes:
    """A PNG of one figure: draw(figure, *arguments, **options); size in inches."""
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=110, layout="constrained")
    draw(figure, *arguments, **options)
    return png(figure)


def page(outputs: Mapping[str, np.ndarray], scene: Scene, optics: Optics = HMI) -> bytes:
    """All figures of the first output on one page, as a PNG.

    They are patches of each class, PSFs and spectra, and, if the input is given, the region, the
    scatter plot and the difference to Richardson-Lucy. The latter is computed if it is not among
    the outputs.
    """
    out = next(iter(outputs.values()))
    images = _images(out, scene)
    rest = [(psf_and_spectra, 4.2, (images, scene.type, optics))]
    if scene.input is not None:
        name, other = _opponent(outputs, scene, optics)
        rest = [
            (psf_and_spectra, 4.2, (images | {name: other}, scene.type, optics)),
            (region, 5.0, (scene.input, out, scene.type)),
            (against, 3.6, (out, other, name, scene.type)),
        ]
    parts = [(patches, 3.4 * len(images), (out, scene)), *rest]

    def draw(figure):
        rows = figure.subfigures(len(parts), height_ratios=[height for _, height, _ in parts])
        for row, (part, _, arguments) in zip(np.atleast_1d(rows), parts, strict=True):
            part(row, *arguments)

    return save(draw, (11.0, sum(height for _, height, _ in parts)))


def psf_and_spectra(
    figure, images: Mapping[str, np.ndarray], type: str, optics: Optics = HMI
) -> None:
    """Like figures 5 and 9: the PSFs against radius; power spectra of the images.

    images : {name: image}: "input" (H, W), all others (2H, 2W).
    """
    left, right = figure.subplots(1, 2)
    scale = optics.hmi_scale / 16
    shared = {"diameter": optics.aperture, "wavelength": optics.wavelength}
    kernels = {
        "HMI, as in training (w = 2, W = 3.4)": hmi_psf(scale, **MODIFIED, **shared),
        "HMI, Wachter et al. 2012": hmi_psf(scale, **WACHTER, **shared),
        f"Airy, {100 * optics.aperture:g} cm": airy(
            scale, optics.aperture, wavelength=optics.wavelength
        ),
        f"Airy, {100 * optics.target_aperture:g} cm: target": airy(
            scale, optics.target_aperture, wavelength=optics.wavelength
        ),
    }
    for name, kernel in kernels.items():
        middle = len(kernel) // 2
        profile = kernel[middle, middle:] / kernel.max()
        left.plot(scale * np.arange(len(profile)), profile, label=name)
    left.set(xlim=(0, 2.5), ylim=(0, 1.05), xlabel="radius [arcsec]", ylabel="PSF")
    for name, image in images.items():
        k = 1 if name == "input" else 2
        valid = np.isfinite(image if k == 1 else q.averaged(image))
        y0, y1, x0, x1 = gap_free_box(~beyond_limb(valid))
        part = fill(image)[0][k * y0 : k * y1, k * x0 : k * x1]
        if min(part.shape) >= LEAST_SIDE:
            found = power_spectrum(part, optics.hmi_scale / k)
            right.semilogy(found.frequency, found.power, label=name)
            least = found.power.min() if name in ("input", "truth") else np.inf
            right.set_ylim(bottom=min(right.get_ylim()[0], 0.01 * least))
    right.axvline(0.5 / optics.hmi_scale, color="0.7", linestyle=":", label="Nyquist of the input")
    unit = f"{UNIT[type]}$^2$ per (cycle/arcsec)$^2$"
    right.set(xlabel="spatial frequency [cycles per arcsec]", ylabel=f"power [{unit}]")
    for axes in (left, right):
        axes.legend(fontsize=8)


def patches(figure, out: np.ndarray, scene: Scene, most: int = 3) -> None:
    """Like figure 6: input, output and, if given, truth, where each class has most pixels."""
    images = _images(out, scene)
    places = _places(scene, most)
    axes = figure.subplots(len(images), len(places), squeeze=False)
    limits = stretch(list(images.values()), scene.type)
    for row, (name, image) in zip(axes, images.items(), strict=True):
        for ax, (label, (y, x, side)) in zip(row, places, strict=True):
            k = 1 if name == "input" else 2
            cut = image[k * y : k * (y + side), k * x : k * (x + side)]
            shown = _show(ax, cut, limits, (x, x + side, y, y + side))
            ax.set_title(f"{name}, {label}", fontsize=9)
    figure.colorbar(shown, ax=axes, label=f"[{UNIT[scene.type]}]", shrink=0.6)


def region(figure, image: np.ndarray, out: np.ndarray, type: str) -> None:
    """Like figures 8 and 9: the region, its upper half as observed; output against input."""
    left, right = figure.subplots(1, 2)
    h, w = image.shape
    halves = out.copy()
    halves[h // 2 * 2 :] = repeated(image)[h // 2 * 2 :]
    shown = _show(left, halves, stretch([image, out], type), (0, w, 0, h))
    left.axhline(h // 2, color="tab:orange", linewidth=0.8)
    left.set(title="above: input, below: output", xlabel="input pixel")
    figure.colorbar(shown, ax=left, label=f"[{UNIT[type]}]", shrink=0.8)
    scatter(right, image, out, type)


def scatter(axes, image: np.ndarray, out: np.ndarray, type: str) -> None:
    """Density of the output against the interpolated input; dotted lines: a factor of 2."""
    from matplotlib.colors import LogNorm

    filled, gaps = fill(image)
    known = repeated(~gaps) & np.isfinite(out)
    x, y = bicubic(filled)[known], out[known]
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    axes.hist2d(x, y, bins=200, range=[[low, high]] * 2, norm=LogNorm(), cmap="viridis")
    line = np.array([low, high])
    axes.plot(line, line, color="k", linewidth=0.8)
    if type == "blos":
        for factor in (0.5, 2):
            axes.plot(line, factor * line, "k:", linewidth=0.8)
    unit = UNIT[type]
    axes.set(xlim=line, ylim=line, xlabel=f"input [{unit}]", ylabel=f"output [{unit}]")
    axes.set_aspect("equal")


def against(figure, out: np.ndarray, other: np.ndarray, name: str, type: str) -> None:
    """Like figure 11: the output, that of another method, and their difference."""
    axes = figure.subplots(1, 3)
    h, w = (n // 2 for n in out.shape)
    limits = stretch([out, other], type)
    most = DIFFERENCE[type]
    panels = (
        ("output", out, limits),
        (name, other, limits),
        (f"{name} - output", other - out, (-most, most)),
    )
    for ax, (title, image, clip) in zip(axes, panels, strict=True):
        shown = _show(ax, image, clip, (0, w, 0, h))
        ax.set_title(title, fontsize=9)
        figure.colorbar(shown, ax=ax, shrink=0.7, label=f"[{UNIT[type]}]")


def _show(ax, image, limits, extent):
    ax.set_facecolor("lightsteelblue")  # shows where the image is NaN
    style = {"cmap": "gray", "vmin": limits[0], "vmax": limits[1], "interpolation": "nearest"}
    return ax.imshow(image, origin="lower", extent=extent, **style)


def _images(out, scene):
    images = {"input": scene.input, "output": out, "truth": scene.truth}
    return {name: image for name, image in images.items() if image is not None}


def _opponent(outputs, scene, optics):
    """(name, output) of Richardson-Lucy: from the outputs, else computed from the input."""
    for name, other in outputs.items():
        if name.startswith("RL"):
            return name, other
    filled, gaps = fill(scene.input)
    n = ITERATIONS[scene.type]
    return f"RL {n}", restore(deconvolve(filled, scene.type, n, optics=optics), gaps)


def _places(scene, most):
    """[(class, (y, x, side))] in input pixels: where a class has most pixels not yet shown."""
    from scipy.ndimage import uniform_filter

    reference = q.averaged(scene.truth) if scene.input is None else scene.input
    pair = (reference, scene.companion)
    intensity, field = pair if scene.type == "intensity" else pair[::-1]
    found = masks(intensity, field, scene.mu)
    h, w = reference.shape
    side = min(PATCH, h, w)
    taken, places = np.zeros((h, w), bool), []
    for name in (n for n in TELLING if n in found and found[n].any()):
        # share of pixels of the class not yet shown in the box around each pixel
        share = uniform_filter((found[name] & ~taken).astype(float), side, mode="constant")
        y, x = np.unravel_index(int(share.argmax()), share.shape)
        y, x = (int(np.clip(c - side // 2, 0, n - side)) for c, n in ((y, h), (x, w)))
        if share.max() > 0 and len(places) < most:
            places.append((name, (y, x, side)))
            taken[y : y + side, x : x + side] = True
    return places or [("middle", ((h - side) // 2, (w - side) // 2, side))]
