"""The chapter's figures, each drawn into a matplotlib figure.

Those that `evaluate.figures` has are taken from there. Of one comparison, all images have the same
stretch.
"""

import numpy as np

from ..evaluate import figures, psfs
from ..evaluate.report import UNIT, Scene
from ..layers.activation import relu
from ..layers.conv import conv2d
from ..observation.normalise import fill
from ..optics.degrade import HMI, HMI_SCALE
from ..prediction.picture import QUANTITY, about_zero, stretch
from . import spectra
from .hinode import Pair
from .limb import Limb
from .measures import masks_of_parts
from .regions import RL, Region
from .simulation import PSFS, Simulation

# the columns are minus, nothing and plus: it answers to steps along a row
VERTICAL_EDGES = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
WHITE = (12.0, 75.0)  # G, the levels that the chapter draws
COLOURS = {"input": "tab:blue", "output": "tab:red", RL: "tab:green", "truth": "0.4"}
LARGEST = 128  # input pixels on each side of figure 11
PROFILES = {  # PSFs to draw, by how their names in `psfs.known` begin
    "modified": "Enhance: w = 2, W = 3.4",
    "wachter": "Wachter et al. 2012: w = 1.8, W = 3",
    "airy": "Airy, 14 cm",
    "target": "target: Airy, 28 cm",
}
PART_COLOURS = {
    "bridge": ("tab:orange", "light bridge"),
    "line": ("tab:cyan", "polarity line"),
}


def edge_filter(figure, region: Region) -> None:
    """Figure 3: a kernel for vertical edges (Sobel's), and its feature map, by `layers.conv2d`."""
    image = fill(region.images["intensity"])[0].astype(np.float64)
    kernel = VERTICAL_EDGES[:, :, None, None]
    found, _ = conv2d(image[None, :, :, None], kernel, np.zeros(1))
    feature = found[0, :, :, 0]
    h, w = image.shape
    left, middle, right = figure.subplots(1, 3, width_ratios=(4, 1.2, 4))
    limits = stretch([image], "intensity")
    shown = figures.show(left, image, limits, (0, w, 0, h), None)
    left.set_title(f"input, {h} x {w}")
    figures.bar(figure, shown, left, "intensity", location="bottom", shrink=0.9)
    middle.imshow(VERTICAL_EDGES, cmap="RdBu_r", vmin=-2, vmax=2)
    for (i, j), value in np.ndenumerate(VERTICAL_EDGES):
        style = {"ha": "center", "va": "center", "color": "w" if abs(value) > 1 else "k"}
        middle.text(j, i, f"{value:+.0f}" if value else "0", **style)
    middle.set(title="kernel, 3 x 3", xticks=[], yticks=[])
    # no padding: the first feature is centred on the second pixel
    shown = figures.show(
        right, feature, about_zero([feature]), (1, w - 1, 1, h - 1), None, cmap="RdBu_r"
    )
    right.set_title(f"feature map, {h - 2} x {w - 2}")
    figure.colorbar(shown, ax=right, label="feature [Ic]", location="bottom", shrink=0.9)


def activations(figure) -> None:
    """The activation functions that the chapter names, and their derivatives."""
    x = np.linspace(-6, 6, 601)
    sigmoid = 1 / (1 + np.exp(-x))
    functions = {
        "tanh(x)": (np.tanh(x), 1 - np.tanh(x) ** 2),
        "1 / (1 + exp(-x))": (sigmoid, sigmoid * (1 - sigmoid)),
        "max(x, 0)": (relu(x)[0], (x > 0).astype(float)),
    }
    for ax, (name, (y, slope)) in zip(figure.subplots(1, 3), functions.items(), strict=True):
        ax.plot(x, y, color="tab:blue", label="f")
        ax.plot(x, slope, color="tab:orange", linestyle="--", label="df/dx")
        ax.axhline(0, color="0.8", linewidth=0.8)
        ax.axvline(0, color="0.8", linewidth=0.8)
        ax.set(title=f"f(x) = {name}", xlabel="x", ylabel="f, df/dx")
        ax.legend(loc="upper left")


def degraded(figure, simulation: Simulation) -> None:
    """Figure 5: HMI beside the degraded simulation; PSFs; power spectra."""
    images = {"simulation": (simulation.scene, simulation.pixel_scale)}
    for psf, image in simulation.degraded.items():
        images[f"degraded, PSF of {PSFS[psf]}"] = (image, HMI_SCALE)
    if simulation.hmi is not None:
        images = {"HMI": (simulation.hmi, HMI_SCALE)} | images
    upper, lower = figure.subfigures(2, height_ratios=(1, 1.1))
    axes = upper.subplots(1, len(images))
    low = [image for name, (image, _) in images.items() if name != "simulation"]
    limits = stretch(low, "intensity")
    for ax, (name, (image, scale)) in zip(axes, images.items(), strict=True):
        h, w = image.shape
        own = limits if name != "simulation" else stretch([image], "intensity")
        extent = (0, w * scale, 0, h * scale)
        shown = figures.show(ax, image, own, extent, None)
        contrast = 100 * image.std() / image.mean()
        ax.set(xlabel="x [arcsec]", ylabel="y [arcsec]")
        ax.set_title(f"{name}\n{h} x {w} pixels, contrast {contrast:.1f} %", fontsize=9)
        figures.bar(upper, shown, ax, "intensity", location="bottom", shrink=0.9)
    left, right = lower.subplots(1, 2)
    for name, psf in psfs.known(HMI).items():
        whose = next((PROFILES[start] for start in PROFILES if name.startswith(start)), None)
        if whose is not None:
            left.plot(psf.radius, psf.profile, label=whose)
    left.set(xlim=(0, 2.5), ylim=(0, 1.05), xlabel="radius [arcsec]", ylabel="PSF over its maximum")
    labels = {"simulation": "simulation", "HMI": "HMI"}
    labels |= {psf: f"degraded, PSF of {whose}" for psf, whose in PSFS.items()}
    for name, found in simulation.spectra.items():
        style = {"color": "k"} if name == "HMI" else {}
        right.semilogy(found.frequency, found.power, label=labels[name], **style)
    right.axvline(0.5 / HMI_SCALE, color="0.7", linestyle=":", label="Nyquist of HMI's pixels")
    lowest = min(found.power.min() for n, found in simulation.spectra.items() if n != "simulation")
    unit = "(quiet Sun)$^2$ per (cycle/arcsec)$^2$"
    right.set(xlim=(0, 2), ylim=(0.3 * lowest, None), ylabel=f"power [{unit}]")
    right.set_xlabel("spatial frequency [cycles per arcsec]")
    for ax in (left, right):
        ax.legend(fontsize=8)


def results(figure, region: Region) -> None:
    """Figure 6: input, output and target of patches, in intensity and in field."""
    for part, type in zip(figure.subfigures(1, len(region.images)), region.images, strict=True):
        scene = Scene(type, region.images[type], region.truths[type])
        companion = next(image for t, image in region.images.items() if t != type)
        figures.patches(part, region.out[type], scene._replace(companion=companion), region.wcs)


def hinode(figure, pair: Pair) -> None:
    """Figures 7 and 10: HMI, the output, and Hinode at the resolution of the output.

    All show the part that both telescopes have seen, as far as it is known on the pixels of HMI.
    """
    region, type, c = pair.region, pair.type, pair.comparison
    h, w = region.shape
    x, y = pair.corner
    rows, columns = (n / 2 for n in c.other_alike.shape)
    common = (x, x + columns, y, y + rows)
    images = {
        "HMI": (region.images[type], (0, w, 0, h)),
        "output": (region.out[type], (0, w, 0, h)),
        f"Hinode: {pair.name},\nblurred to 28 cm": (c.other_alike, common),
    }
    limits = stretch([i for i, _ in images.values()], type)
    axes = figure.subplots(1, len(images), subplot_kw={"projection": region.wcs})
    for ax, (name, (image, extent)) in zip(axes, images.items(), strict=True):
        shown = figures.show(ax, image, limits, extent, region.wcs)
        ax.set(xlim=common[:2], ylim=common[2:])
        ax.set_title(name, fontsize=9)
    figures.bar(figure, shown, list(axes), type, location="bottom", shrink=0.5)


def halves(figure, region: Region) -> None:
    """Figure 8: the upper half of the region as HMI sees it, the lower half enhanced."""
    axes = figure.subplots(1, 2, subplot_kw={"projection": region.wcs})
    for ax, type in zip(axes, region.images, strict=True):
        figures.halves(ax, region.images[type], region.out[type], type, region.wcs)


def field(figure, region: Region) -> None:
    """Figure 9: output against input, and spectra with the levels of white noise."""
    left, right = figure.subplots(1, 2)
    image, out = region.images["blos"], region.out["blos"]
    figures.scatter(left, image, out, "blos")
    outputs = {"output": out, RL: region.outputs[RL]["blos"]}
    if "blos" in region.truths:
        outputs["truth"] = region.truths["blos"]
    found = spectra.spectra(image, outputs)
    for name, spectrum in found.items():
        right.semilogy(spectrum.frequency, spectrum.power, color=COLOURS[name], label=name)
    for sigma, style in zip(WHITE, (":", "--"), strict=True):
        right.axhline(sigma**2, color="k", linestyle=style, label=f"white noise of {sigma:g} G")
    added = spectra.excess(found["input"], found["output"])
    if np.isfinite(added.variance):
        right.axvspan(added.low, added.high, color="tab:red", alpha=0.08)
        where = f"{added.variance:.3f} per pixel, scale of {1 / added.variance:.1f} pixels"
        right.axvline(added.variance, color="tab:red", linewidth=0.8, label=f"most added: {where}")
    right.axvline(spectra.RESOLVED, color="0.7", linestyle=":", label="Nyquist of the input")
    highest = max(s.power.max() for s in found.values())
    right.set(xlim=(0, 0.5), ylim=(1, 3 * highest), ylabel="power [G$^2$ per (cycle/pixel)$^2$]")
    right.set_xlabel("spatial frequency [cycles per output pixel]")
    right.legend(fontsize=8)


def richardson_lucy(figure, region: Region) -> None:
    """Figure 11: the output, Richardson-Lucy and their difference; light bridge and line marked.

    Of a large region, the part around most of both.
    """
    from matplotlib.lines import Line2D

    out, other = region.out["blos"], region.outputs[RL]["blos"]
    figures.against(figure, out, other, RL, "blos", region.wcs)
    h, w = region.shape
    y, x = ((np.arange(2 * n) + 0.5) / 2 for n in (h, w))
    axes = [ax for ax in figure.axes if ax.images]
    masks, handles = masks_of_parts(region), []
    for name, mask in masks.items():
        colour, label = PART_COLOURS[name]
        if mask.any():
            handles.append(Line2D([], [], color=colour, label=label))
            for ax in axes[:2]:
                ax.contour(x, y, mask, levels=[0.5], colors=colour, linewidths=0.8)
    if handles:
        figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False)
    row, column, side = _around(masks["bridge"] | masks["line"])
    for ax in axes:
        ax.set(xlim=(column, min(column + side, w)), ylim=(row, min(row + side, h)))


def _around(mask):
    """(row, column, side) in input pixels of the square with most of a mask of output pixels."""
    from scipy.ndimage import uniform_filter

    h, w = (n // 2 for n in mask.shape)
    side = min(LARGEST, max(h, w))
    middle = np.array([h, w]) / 2
    if mask.any():
        share = uniform_filter(mask.astype(float), 2 * side, mode="constant")
        middle = np.argwhere(share > 0.99 * share.max()).mean(axis=0) / 2
    corner = (
        int(np.clip(m - side / 2, 0, max(n - side, 0))) for m, n in zip(middle, (h, w), strict=True)
    )
    return *corner, side


def limb(figure, limb: Limb) -> None:
    """The limb: input, output and, if known, truth; below, the structure that the output adds."""
    from ..baselines.bicubic import bicubic
    from ..prediction.picture import sky

    images = {"input": limb.image, "output": limb.out}
    if limb.truth is not None:
        images["truth"] = limb.truth
    h, w = limb.image.shape
    wcs, _ = sky(limb.header, limb.image.shape)
    smooth = bicubic(fill(limb.image)[0])
    added = {f"{n} - input": i - smooth for n, i in images.items() if n != "input"}
    limits = stretch(list(images.values()), "intensity")
    axes = figure.subplots(1, len(images) + len(added), subplot_kw={"projection": wcs})
    seen, rest = list(axes[: len(images)]), list(axes[len(images) :])
    for ax, (name, image) in zip(seen, images.items(), strict=True):
        shown = figures.show(ax, image, limits, (0, w, 0, h), wcs)
        ax.set_title(name, fontsize=9)
    figures.bar(figure, shown, seen, "intensity", location="bottom", shrink=0.6)
    most = about_zero([np.where(limb.inside > 2, image, 0) for image in added.values()])
    for ax, (name, image) in zip(rest, added.items(), strict=True):
        shown = figures.show(ax, image, most, (0, w, 0, h), wcs, cmap="RdBu_r")
        ax.set_title(name, fontsize=9)
    figures.bar(figure, shown, rest, "intensity", "difference", location="bottom", shrink=0.9)


def small_network(figure, region: Region) -> None:
    """The difference of the small network's output from that of the default one."""
    h, w = region.shape
    axes = figure.subplots(1, 2, subplot_kw={"projection": region.wcs})
    for ax, type in zip(axes, region.images, strict=True):
        difference = region.outputs["small"][type] - region.out[type]
        shown = figures.show(
            ax, difference, about_zero([difference]), (0, w, 0, h), region.wcs, cmap="RdBu_r"
        )
        rms = np.sqrt(np.nanmean(np.square(difference, dtype=np.float64)))
        ax.set_title(f"{QUANTITY[type]}: small - default, rms {rms:.3g} {UNIT[type]}", fontsize=9)
        figures.bar(figure, shown, ax, type, "difference", location="bottom", shrink=0.9)
