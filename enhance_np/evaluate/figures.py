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
from ..prediction.picture import MISSING, QUANTITY, about_zero, label_axes, sky, stretch
from . import quantities as q
from .classes import masks
from .report import LEAST_SIDE, UNIT, Scene
from .spectrum import power_spectrum

TICKS = 5  # intervals between them, at most: numbers of five digits do not touch
PATCH = 50  # input pixels, as in training
LEAST_SHARE = 0.02  # of the pixels of a patch, for a class to be shown or named
# classes by preference for a patch
TELLING = ("umbra", "pore", "penumbra", "plage", "quiet", "limb")


def save(draw: Callable, size: tuple[float, float], *arguments, **options) -> bytes:
    """A PNG of one figure: draw(figure, *arguments, **options); size in inches."""
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=110, layout="constrained")
    draw(figure, *arguments, **options)
    return png(figure)


def page(
    outputs: Mapping[str, np.ndarray], scene: Scene, optics: Optics = HMI, header=None
) -> bytes:
    """All figures of the first output on one page, as a PNG.

    They are patches of each class, PSFs and spectra, and, if the input is given, the region, the
    scatter plot and the difference to Richardson-Lucy. The latter is computed if it is not among
    the outputs.
    header : of the input. With its WCS, axes are in arcsec or degrees and solar north is up, as in
        `picture.side_by_side`; otherwise they count input pixels.
    """
    low = tuple(n // 2 for n in next(iter(outputs.values())).shape)
    wcs, is_turned = sky(header, low)
    if is_turned:
        images = ("input", "truth", "companion", "mu")
        given = {name: getattr(scene, name) for name in images}
        scene = scene._replace(**{n: i[::-1, ::-1] for n, i in given.items() if i is not None})
        outputs = {name: image[::-1, ::-1] for name, image in outputs.items()}
    out = next(iter(outputs.values()))
    images = _images(out, scene)
    parts = [[(patches, (out, scene, wcs))], [(psf_and_spectra, (images, scene.type, optics))]]
    if scene.input is not None:
        name, other = _opponent(outputs, scene, optics)
        parts[0].append((region, (scene.input, out, scene.type, wcs)))
        parts[1] = [
            (psf_and_spectra, (images | {name: other}, scene.type, optics)),
            (against, (out, other, name, scene.type, wcs)),
        ]

    def draw(figure):
        rows = figure.subfigures(2, height_ratios=(1 + len(images), 2.4))
        for row, drawn in zip(rows, parts, strict=True):
            columns = np.atleast_1d(row.subfigures(1, len(drawn)))
            for column, (part, arguments) in zip(columns, drawn, strict=True):
                part(column, *arguments)

    return save(draw, (9.0 * max(map(len, parts)), 2.4 * len(images) + 5))


def psf_and_spectra(
    figure, images: Mapping[str, np.ndarray], type: str, optics: Optics = HMI
) -> None:
    """Like figures 5 and 9: the two PSFs against radius; power spectra of the images.

    images : {name: image}: "input" (H, W), all others (2H, 2W).
    """
    left, right = figure.subplots(1, 2)
    scale = optics.hmi_scale / 16
    names = (
        f"telescope: {optics.telescope()}",
        f"target: Airy, {optics.target_aperture:g} m",
    )
    for name, kernel in zip(names, optics.kernels(scale), strict=True):
        middle = len(kernel) // 2
        profile = kernel[middle, middle:] / kernel.max()
        left.semilogy(scale * np.arange(len(profile)), profile, label=name)
    left.set(xlim=(0, 4), ylim=(1e-4, 1.5), xlabel="radius [arcsec]", ylabel="PSF over its maximum")
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


def patches(figure, out: np.ndarray, scene: Scene, wcs=None, most: int = 3) -> None:
    """Like figure 6: input, output and, if given, truth, where each class has most pixels.

    The title of a column gives the classes of its pixels. Each column has its own grey scale, so
    that granulation shows beside an umbra.
    """
    images = _images(out, scene)
    places = _places(scene, most)
    axes = figure.subplots(len(images), len(places), squeeze=False, subplot_kw={"projection": wcs})
    for column, (label, (y, x, side)) in zip(axes.T, places, strict=True):
        cuts = {}
        for name, image in images.items():
            k = 1 if name == "input" else 2
            cuts[name] = image[k * y : k * (y + side), k * x : k * (x + side)]
        limits = stretch(list(cuts.values()), scene.type)
        for ax, (name, cut) in zip(column, cuts.items(), strict=True):
            shown = show(ax, cut, limits, (x, x + side, y, y + side), wcs)
            first = ax is column[0]
            ax.set_title(f"{label}\n{name}" if first else name, fontsize=9)
        bar(figure, shown, column, scene.type, location="bottom", shrink=0.9)


def region(figure, image: np.ndarray, out: np.ndarray, type: str, wcs=None) -> None:
    """Like figures 8 and 9: the region, its upper half as observed; output against input."""
    left = figure.add_subplot(1, 2, 1, projection=wcs)
    right = figure.add_subplot(1, 2, 2)
    halves(left, image, out, type, wcs)
    scatter(right, image, out, type)


def halves(ax, image: np.ndarray, out: np.ndarray, type: str, wcs=None) -> None:
    """One region: its upper half as observed, its lower half as enhanced."""
    h, w = image.shape
    both = out.copy()
    both[h // 2 * 2 :] = repeated(image)[h // 2 * 2 :]
    shown = show(ax, both, stretch([image, out], type), (0, w, 0, h), wcs)
    ax.axhline(h // 2, color="tab:orange", linewidth=0.8)
    ax.set_title("above: input, below: output")
    bar(ax.figure, shown, ax, type, location="bottom", shrink=0.9)


def scatter(axes, image: np.ndarray, out: np.ndarray, type: str) -> None:
    """Density of the output against the interpolated input; for a field also a factor of 2."""
    filled, gaps = fill(image)
    known = repeated(~gaps) & np.isfinite(out)
    density(axes, bicubic(filled)[known], out[known], type, ("input", "output"), "output pixels")


def density(axes, x: np.ndarray, y: np.ndarray, type: str, names: tuple[str, str], counted) -> None:
    """Two-dimensional histogram of y against x, (n,), with the line of equal values.

    names : of x and y.  counted : what they are values of, for the colour bar.
    """
    from matplotlib.colors import LogNorm

    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    *_, counts = axes.hist2d(x, y, bins=200, range=[[low, high]] * 2, norm=LogNorm())
    axes.figure.colorbar(counts, ax=axes, label=counted, location="bottom", shrink=0.9)
    line = np.array([low, high])
    axes.plot(line, line, color="k", linewidth=0.8, label="equal")
    if type == "blos":
        for factor, label in ((0.5, "factor of 2"), (2, None)):
            axes.plot(line, factor * line, "k:", linewidth=0.8, label=label)
    unit = f"{QUANTITY[type]} [{UNIT[type]}]"
    axes.set(xlim=line, ylim=line, xlabel=f"{names[0]}: {unit}", ylabel=f"{names[1]}: {unit}")
    axes.locator_params(nbins=TICKS)
    axes.set_aspect("equal")
    axes.legend(fontsize=8, loc="upper left")


def against(figure, out: np.ndarray, other: np.ndarray, name: str, type: str, wcs=None) -> None:
    """Like figure 11: the output, that of another method, and their difference."""
    axes = figure.subplots(1, 3, subplot_kw={"projection": wcs})
    h, w = (n // 2 for n in out.shape)
    limits = stretch([out, other], type)
    difference = other - out
    panels = (
        ("output", out, limits, {}),
        (name, other, limits, {}),
        (f"{name} - output", difference, about_zero([difference]), {"cmap": "RdBu_r"}),
    )
    for ax, (title, image, clip, colours) in zip(axes, panels, strict=True):
        shown = show(ax, image, clip, (0, w, 0, h), wcs, **colours)
        ax.set_title(title, fontsize=9)
        bar(figure, shown, ax, type, "difference" if colours else "", location="bottom")


def show(ax, image, limits, extent, wcs, cmap="gray"):
    """Draws an image with labelled axes.  limits : vmin, vmax.  extent : in input pixels."""
    ax.set_facecolor(MISSING)
    style = {"cmap": cmap, "vmin": limits[0], "vmax": limits[1], "interpolation": "nearest"}
    shown = ax.imshow(image, origin="lower", extent=extent, **style)
    ax.patch.set_in_layout(False)  # WCSAxes moves it to the limits only when it draws
    label_axes(ax, wcs)
    return shown


def bar(figure, shown, ax, type, label="", **options):
    """A colour bar with the quantity and unit of a type.  label : another name of the quantity."""
    from matplotlib.ticker import MaxNLocator

    label = f"{label or QUANTITY[type]} [{UNIT[type]}]"
    colours = figure.colorbar(shown, ax=ax, label=label, extend="both", **options)
    colours.locator = MaxNLocator(TICKS)


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
    """[(classes, (y, x, side))] in input pixels: where a class has most pixels not yet shown.

    classes : in words, with the share of each in the patch.
    """
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
        patch = (slice(y, y + side), slice(x, x + side))
        if share.max() >= LEAST_SHARE and len(places) < most:
            places.append((_shares(found, patch, intensity is None), (y, x, side)))
            taken[patch] = True
    return places or [("middle", ((h - side) // 2, (w - side) // 2, side))]


def _shares(found, patch, field_alone) -> str:
    """The classes of a patch, the largest first: "penumbra 34 %, umbra 21 %"."""
    shares = {name: 100 * float(mask[patch].mean()) for name, mask in found.items()}
    if field_alone and "umbra" in shares:  # see `masks`
        shares["strong field"] = shares.pop("umbra")
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{n} {share:.0f} %" for n, share in ranked[:3] if share >= 100 * LEAST_SHARE)
