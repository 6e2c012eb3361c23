"""Draws input and output side by side, with one stretch.

matplotlib is an optional dependency and imported inside functions. Figures use its Figure and
FigureCanvasAgg instead of pyplot: no window, no global state, no change to the user's settings.
"""

import logging
import os
import re
import warnings
from typing import Any, NamedTuple

import numpy as np

from .._errors import one_line
from .._figures import png, require_matplotlib
from ..config import TYPES
from ..observation.fits import Frame
from ..observation.header import card
from ..observation.normalise import fill, restore
from .doubt import Doubt

log = logging.getLogger(__name__)

PANEL_PIXELS = 600  # a larger image is averaged in blocks, because a panel has no more pixels
RANGE = (0.1, 99.9)  # percentiles that a stretch shows without clipping
QUANTITY = {"intensity": "intensity", "blos": "line-of-sight field"}
MISSING = "lightsteelblue"
_SERIES = re.compile(r"(?<![a-z])(hmi|mdi)[._]\w+", re.IGNORECASE)


def side_by_side(
    input: np.ndarray,
    output: np.ndarray,
    type: str,
    *,
    units: str = "",
    header=None,
    title: str = "",
    truth: np.ndarray | None = None,
    error: np.ndarray | None = None,
    doubt: np.ndarray | None = None,
    spread: np.ndarray | None = None,
    residual: np.ndarray | None = None,
) -> bytes:
    """A PNG of input and output: the whole image above, its most structured part enlarged below.

    input : (H, W); output, truth, error, doubt, spread : (k H, k W); residual : (H, W); NaN off the
        limb.
    units : of all images; "" means unknown for an intensity, G for a field.
    type : "intensity" (stretch from percentiles 0.1 to 99.9 of all images) or "blos" (symmetric
        about zero, to percentile 99.9 of the modulus). Stretch and enlarged part use the input only
        where the output has a value.
    header : of the input. With its WCS the ticks are in arcsec from disc centre, or in degrees
        of longitude and latitude, correct on any projection. If solar north is down, as in files
        from JSOC (CROTA2 near 180), the image is turned by 180 degrees. No pixel is interpolated,
        so the ticks show the rest of the angle. Without a WCS the image is drawn as stored and
        the axes count input pixels.
    title : of the figure, see `caption`.
    truth : adds three panels: bicubic interpolation of the input (if k is 2), the truth, and
        output - truth. The titles give the rms of what differs from the truth.
    error, doubt, spread, residual : add a panel each, see docs/confidence.md.

    Raises ValueError if the shapes disagree, ImportError without matplotlib.
    """
    h, w = input.shape
    k = output.shape[0] // h
    if k < 1 or output.shape != (k * h, k * w):
        raise ValueError(
            f"side_by_side: output must be k times the size of input, got "
            f"{output.shape} and {input.shape}"
        )
    if type not in TYPES:
        raise ValueError(f"side_by_side: type must be one of {TYPES}, got type={type!r}")
    for name, image, shape in (
        ("truth", truth, output.shape),
        ("error", error, output.shape),
        ("doubt", doubt, output.shape),
        ("spread", spread, output.shape),
        ("residual", residual, input.shape),
    ):
        if image is not None and image.shape != shape:
            raise ValueError(f"side_by_side: {name} must be of shape {shape}, got {image.shape}")
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wcs, turned = sky(header, input.shape)
    flip = (slice(None, None, -1),) * 2 if turned else ()
    input, output = input[flip], output[flip]
    further = (i if i is None else i[flip] for i in (truth, error, doubt, spread, residual))
    # a magnetogram has noise off the disc and spikes at the limb, which are NaN in the output
    measured = np.where(np.isnan(output[::k, ::k]), np.nan, input)
    panels = _panels(input, output, measured, type, *further)

    height = float(np.clip(4.5 * h / w, 1.5, 7.0))  # inches, of the upper panels
    size = (4.8 * len(panels) + 1, height + 5.5 + (0.5 if title else 0))
    figure = Figure(figsize=size, dpi=110, layout="compressed")
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        2, len(panels), height_ratios=(height, 4.5), subplot_kw={"projection": wcs}
    )
    box = _richest_box(measured)
    shown = []
    for panel, column in zip(panels, axes.T, strict=True):
        low, high = panel.limits
        style = {"cmap": panel.colours, "vmin": low, "vmax": high, "interpolation": "nearest"}
        shown.append(_draw(column, panel.image, panel.image.shape[0] // h, box, style, panel.names))
        column[0].set_title(panel.title)
        for ax in column:
            label_axes(ax, wcs)
    shared = [i for i, panel in enumerate(panels) if not panel.label]
    bars = [(shared, QUANTITY[type])]
    bars += [([i], panel.label) for i, panel in enumerate(panels) if panel.label]
    unit = typeset(units or ("G" if type == "blos" else ""))
    for columns, label in bars:
        place, names = {"ax": axes[:, columns]}, panels[columns[0]].names
        if names:
            bar = figure.colorbar(shown[columns[0]], label=label, **place)
            bar.set_ticks(range(len(names)), labels=names)
            continue
        label = f"{label} [{unit}]" if unit else label
        figure.colorbar(shown[columns[0]], label=label, extend="both", **place)
    if any(np.isnan(panel.image).any() for panel in panels):
        from matplotlib.patches import Patch

        missing = Patch(facecolor=MISSING, edgecolor="0.5", label="missing pixels")
        figure.legend(handles=[missing], loc="outside lower left", frameon=False)
    if title:
        figure.suptitle(title.replace("$", r"\$"))
    return png(figure, bbox_inches="tight")


class _Panel(NamedTuple):
    title: str
    image: np.ndarray
    limits: tuple[float, float]
    label: str = ""  # of a colour bar of its own; "": it shares that of the input
    colours: Any = "gray"  # the name of a colour map, or one
    names: tuple[str, ...] = ()  # of the values 0, 1, ..., if these are categories


def _panels(input, output, measured, type, truth, error, doubt, spread, residual) -> list[_Panel]:
    """The columns of the figure, from left to right."""
    from ..baselines.bicubic import bicubic

    alike = [measured, output] if truth is None else [measured, output, truth]
    limits = stretch(alike, type)
    panels = [_Panel("input", input, limits), _Panel("enhanced", output, limits)]
    if truth is not None:
        images = {"enhanced": output}
        if len(output) == 2 * len(input):
            filled, gaps = fill(input)
            images = {"bicubic": restore(bicubic(filled).astype(np.float32), gaps)} | images
        difference = output - truth
        panels = [
            _Panel("input", input, limits),
            *(
                _Panel(f"{n}, rms error {_rms(i - truth):.3g}", i, limits)
                for n, i in images.items()
            ),
            _Panel("truth", truth, limits),
            _Panel(
                "enhanced - truth", difference, about_zero([difference]), "difference", "RdBu_r"
            ),
        ]
    if error is not None:
        top = float(np.nanpercentile(error, 99.9)) or 1.0
        panels.append(_Panel("error bar", error, (0.0, top), "one sigma", "viridis"))
    if doubt is not None:
        panels.append(_doubts(doubt))
    if spread is not None:
        top = float(np.nanpercentile(spread, 99.9)) or 1.0
        panels.append(_Panel("spread", spread, (0.0, top), "spread of 8 outputs", "magma"))
    if residual is not None:
        most = about_zero([residual])
        panels.append(_Panel("residual", residual, most, "re-blurred output - input", "RdBu_r"))
    return panels


def _doubts(doubt: np.ndarray) -> _Panel:
    """The weightiest doubt of each pixel: a residual over a value, contrast and edge."""
    from matplotlib.colors import ListedColormap

    order = (Doubt.EDGE, Doubt.CONTRAST, Doubt.VALUE, Doubt.RESIDUAL)
    image = np.zeros(doubt.shape, np.float32)
    for rank, bit in enumerate(order, 1):
        image[doubt & bit > 0] = rank
    names = ("none", *(bit.name.lower() for bit in order))
    colours = ListedColormap(["white", "0.8", "tab:blue", "tab:orange", "tab:red"])
    return _Panel("doubt", image, (-0.5, len(order) + 0.5), "weightiest doubt", colours, names)


def _rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean(np.square(error, dtype=np.float64))))


def caption(frame: Frame, model: str = "") -> str:
    """What a reader needs to find the image again: date, region and series; file and model.

    model : of the output, as ENHMODEL has it.
    """

    def said(*keys):
        return next((str(v).strip() for key in keys if (v := card(frame.header, key))), "")

    date = said("DATE-OBS", "DATE_OBS", "T_OBS", "T_REC")[:19].replace("T", " ")
    regions = [("NOAA", said("NOAA_AR")), ("HARP", said("HARPNUM")), ("", said("OBJECT"))]
    named = [f"{kind} {name}".strip() for kind, name in regions if name not in ("", "0")]
    texts = (said("DRMS_ID"), said("SOURCE"), os.path.basename(frame.path))
    series = next((found[0] for text in texts if (found := _SERIES.search(text))), "")
    series = re.sub(r"\.\d+$", "", series)
    first = ", ".join(filter(None, [date, *named, series]))
    second = ", ".join(filter(None, [os.path.basename(frame.path), model and f"model: {model}"]))
    return "\n".join(filter(None, [first, second]))


def typeset(unit: str) -> str:
    """A BUNIT for matplotlib: "DN/s" becomes DN s$^{-1}$, "Gauss" becomes G."""
    unit = {"gauss": "G", "none": ""}.get(unit.lower(), unit)
    unit = unit.replace("$", r"\$")  # otherwise matplotlib reads a formula
    unit = re.sub(r"\s*/\s*([A-Za-z]+)(?:\^|\*\*)?(\d?)", r" \1^-\2", unit)
    unit = re.sub(r"([A-Za-z]+)(?:\^|\*\*)(-?\d*)", r"\1^\2", unit)
    return re.sub(r"\^(-?)(\d*)", lambda m: f"$^{{{m[1]}{m[2] or 1}}}$", unit)


def _draw(column, image: np.ndarray, k: int, box, style: dict, categories=()):
    """Draws the image into column[0] and its box into column[1]; k image pixels per input pixel.

    Axes count input pixels from the lower left corner.  box : (row, column, side) in input pixels.
    categories : if there are any, a block of pixels shows its largest value and not its mean.
    """
    from matplotlib.patches import Rectangle

    row, col, side = box
    whole, zoom = column
    block = -(-max(image.shape) // PANEL_PIXELS)
    thin = _block_mean(image, block, np.max if categories else np.mean)
    extent = (0, thin.shape[1] * block / k, 0, thin.shape[0] * block / k)
    shown = whole.imshow(thin, origin="lower", extent=extent, **style)
    whole.set(xlim=(0, image.shape[1] / k), ylim=(0, image.shape[0] / k))
    whole.add_patch(Rectangle((col, row), side, side, fill=False, edgecolor="tab:orange"))
    cut = image[k * row : k * (row + side), k * col : k * (col + side)]
    zoom.imshow(cut, origin="lower", extent=(col, col + side, row, row + side), **style)
    for ax in column:
        ax.set_facecolor(MISSING)
        ax.patch.set_in_layout(False)  # WCSAxes moves it to the limits only when it draws
    return shown


def sky(header, shape: tuple[int, int]):
    """(WCS, turned): the WCS of the image as drawn, and whether it is turned by 180 degrees.

    shape : (H, W).  WCS : counts pixels from the lower left corner; None without two celestial
    axes.
    """
    if header is None:
        return None, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # astropy warns of its repairs: "degree", dates
            wcs = read_wcs(header)
            if not wcs.has_celestial:
                return None, False
            turned = bool(wcs.pixel_scale_matrix[wcs.wcs.lat, 1] < 0)
            if turned:
                wcs = read_wcs(turned_header(header, shape))
    except Exception as error:  # astropy raises many kinds for an invalid header
        log.warning(
            "the picture's axes count pixels because the WCS is invalid (%s)", one_line(error)
        )
        return None, False
    wcs.wcs.crpix += 0.5  # the corner of the first pixel, 0 in `_draw`, is -0.5 to astropy
    return wcs, turned


def read_wcs(header):
    """The WCS of two axes, even if WCSAXES is larger, as in the header of a cube's plane."""
    from astropy.wcs import WCS

    wcs = WCS(header)
    # naxis=2 takes the axes before astropy repairs their units, and fails for "degree"
    return wcs if wcs.naxis == 2 else WCS(header, naxis=2)


def turned_header(header, shape):
    """The header of image[::-1, ::-1]: the pixel steps change their signs, in any spelling."""
    out = header.copy()
    for i, n in ((1, shape[1]), (2, shape[0])):
        out[f"CRPIX{i}"] = n + 1 - out.get(f"CRPIX{i}", 0.0)
        out[f"CDELT{i}"] = -out.get(f"CDELT{i}", 1.0)
        for key in (f"CD{i}_1", f"CD{i}_2"):
            if key in out:
                out[key] = -out[key]
    return out


def label_axes(ax, wcs) -> None:
    """Labels the axes with their quantities and units; ticks are decimal numbers."""
    if wcs is None:
        ax.set(xlabel="x [input pixel]", ylabel="y [input pixel]")
        return
    for i, coordinate in enumerate(ax.coords):
        kind, upwards = wcs.world_axis_physical_types[i] or "", i == wcs.wcs.lat
        if "helioprojective" in kind:
            name, unit = "xy"[upwards], "arcsec"
        else:
            frame = "Carrington " if "carrington" in kind else ""
            name, unit = frame + ("longitude", "latitude")[upwards], "deg"
        coordinate.set_format_unit(unit, decimal=True, show_decimal_unit=False)
        coordinate.set_axislabel(f"{name} [{unit}]")


def stretch(images: list[np.ndarray], type: str) -> tuple[float, float]:
    """vmin and vmax that all images share."""
    if type == "blos":
        return about_zero(images)
    low, high = np.array([np.nanpercentile(image, RANGE) for image in images]).T
    low, high = float(low.min()), float(high.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def about_zero(images: list[np.ndarray]) -> tuple[float, float]:
    """vmin = -vmax: the 99.9th percentile of the absolute values, 1 if that is 0."""
    limit = max(float(np.nanpercentile(np.abs(image), RANGE[1])) for image in images) or 1.0
    return -limit, limit


def _richest_box(image: np.ndarray) -> tuple[int, int, int]:
    """(row, column, side) of the square without gaps that has the most structure.

    The side is a fifth of the image, 16 to 100 pixels; candidates are half a side apart. Structure
    is the 80th percentile of the steps between neighbours after averages over a 16th of the side.
    An edge that only crosses the square, such as the limb, then does not count, and noise (of a
    magnetogram off the limb) counts little. If every square has a gap, the central one is taken.
    """
    h, w = image.shape
    side = min(h, w, int(np.clip(max(h, w) / 5, 16, 100)))
    block = max(side // 16, 1)  # not larger than h or w, because side is not
    small = _block_mean(image, block)
    n = side // block
    best, best_structure = ((h - side) // 2, (w - side) // 2, side), -1.0
    for row in range(0, small.shape[0] - n + 1, max(n // 2, 1)):
        for col in range(0, small.shape[1] - n + 1, max(n // 2, 1)):
            steps = np.abs(np.diff(small[row : row + n, col : col + n], axis=1))
            structure = float(np.percentile(steps, 80))
            if structure > best_structure:  # False for NaN
                best, best_structure = (row * block, col * block, n * block), structure
    return best


def _block_mean(image: np.ndarray, block: int, mean=np.mean) -> np.ndarray:
    """Means of block x block pixels; remaining rows and columns at the far ends are dropped."""
    h, w = (n // block for n in image.shape)
    return mean(image[: h * block, : w * block].reshape(h, block, w, block), axis=(1, 3))
