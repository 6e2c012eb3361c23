"""The figure of a comparison: both images, their difference, scatter plot and power spectra."""

import os

import numpy as np

from ..prediction.picture import about_zero, sky, stretch
from .compare_report import NAMES
from .figures import bar, density, save, show
from .report import UNIT

COLOURS = {"out": "tab:red", "other": "tab:blue"}


def page(comparison) -> bytes:
    """A PNG.  comparison : a `compare.Comparison`. Raises ImportError without matplotlib."""
    return save(draw, (13.0, _height(comparison) + 6.2), comparison)


def draw(figure, comparison) -> None:
    """Draws into a matplotlib Figure.

    Images have axes in arcsec, with solar north up, or degrees of a map; without coordinates the
    axes begin at the lower left corner.
    """
    c = comparison
    wcs, is_turned = sky(c.header, c.out.shape)
    flip = (slice(None, None, -1),) * 2 if is_turned else ()
    images = [i[flip] for i in (c.out, c.other, c.out_alike - c.other_alike)]
    h, w = c.out.shape
    extent = (0, w, 0, h) if wcs is not None else (0, w * c.sides[1], 0, h * c.sides[0])
    upper, lower = figure.subfigures(2, height_ratios=(_height(c) + 1.2, 5.0))
    axes = upper.subplots(1, 3, subplot_kw={"projection": wcs})
    upper.suptitle(_caption(c.report), fontsize=10)
    limits = stretch(images[:2], c.type)
    for ax, image, name in zip(axes, images, NAMES, strict=False):
        drawn = show(ax, image, limits, extent, wcs)
        ax.set_title(f"{name.upper()}: {c.report['resolution'][name]}", fontsize=9)
    bar(upper, drawn, list(axes[:2]), c.type, location="bottom", shrink=0.6)
    drawn = show(axes[2], images[2], about_zero(images[2:]), extent, wcs, cmap="RdBu_r")
    axes[2].set_title("OUT - OTHER, both at the same resolution", fontsize=9)
    bar(upper, drawn, axes[2], c.type, "difference", location="bottom", shrink=0.9)
    if wcs is None:
        for ax in axes:
            ax.set(xlabel="x [arcsec]", ylabel="y [arcsec]")
    for ax in axes[1:]:
        _without_ylabel(ax, wcs)
    left, middle, right = lower.subplots(1, 3)
    _scatter(left, c)
    _spectra(middle, right, c)


def _caption(report) -> str:
    """The file and the time of each image."""
    lines = []
    for name in NAMES:
        known = filter(None, [os.path.basename(report["files"][name]), report["times"][name]])
        lines.append(f"{name.upper()}: {', '.join(known)}")
    return "\n".join(lines).replace("$", r"\$")  # otherwise matplotlib reads a formula


def _height(c) -> float:
    """Inches, of the images."""
    h, w = (n * side for n, side in zip(c.out.shape, c.sides, strict=True))
    return float(np.clip(4.6 * h / w, 2.0, 7.0))


def _without_ylabel(ax, wcs):
    """Neighbours have the same axis: it is named once."""
    if wcs is None:
        ax.set_ylabel("")
    else:
        ax.coords[1].set_axislabel(" ")


def _scatter(axes, c):
    valid = np.isfinite(c.other_alike)
    x, y = (i[valid].astype(float) for i in (c.other_alike, c.out_alike))
    density(axes, x, y, c.type, ("OTHER", "OUT"), "pixels")
    slope = c.report["difference"]["all"]["slope"]
    if slope is not None:
        through = (x.mean(), y.mean()) if c.type == "intensity" else (0.0, 0.0)
        ends = np.array(axes.get_xlim())
        fit = through[1] + slope * (ends - through[0])
        axes.plot(ends, fit, color="tab:orange", linewidth=1, label=f"slope {slope:.3f}")
        axes.legend(fontsize=8, loc="upper left")
    axes.locator_params(axis="x", nbins=5)  # numbers of four digits
    axes.set_title("at the same resolution", fontsize=9)


def _spectra(left, right, c):
    """Power against frequency, and the ratio of both images at the same resolution."""
    styles = {"": ("-", "as it is"), ", alike": ("--", "at the same resolution")}
    for name in NAMES:
        for suffix, (line, words) in styles.items():
            if (found := c.spectra.get(name + suffix)) is not None:
                label = f"{name.upper()}, {words}"
                left.semilogy(found.frequency, found.power, line, color=COLOURS[name], label=label)
    unit = f"{UNIT[c.type]}$^2$ per (cycle/arcsec)$^2$"
    left.set(xlabel="spatial frequency [cycles per arcsec]", ylabel=f"power [{unit}]")
    right.set(xlabel="spatial frequency [cycles per arcsec]", ylabel="ratio")
    pair = [c.spectra.get(f"{name}, alike") for name in NAMES]
    if None in pair:
        for ax in (left, right):
            ax.text(0.5, 0.5, "too small for a spectrum", ha="center", transform=ax.transAxes)
        return
    frequency, power = pair[0]
    top = max(np.nanmax(s.power) for s in c.spectra.values())
    least = min(np.nanmin(s.power) for s in pair)
    left.set(xlim=(0, c.spectra["out"].frequency[-1]), ylim=(0.3 * least, 3 * top))
    left.legend(fontsize=8)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = power / pair[1].power
    right.semilogy(frequency, ratio, color="k")
    right.axhline(1, color="0.6", linewidth=0.8)
    right.set_title("power of OUT over OTHER, at the same resolution", fontsize=9)
    right.set(xlim=(0, frequency[-1]), ylim=(0.1, 10))
