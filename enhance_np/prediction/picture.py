"""Draws input and output side by side, with one stretch.

matplotlib is an optional dependency and imported inside functions. Figures use its Figure and
FigureCanvasAgg instead of pyplot: no window, no global state, no change to the user's settings.
"""

import logging
import warnings

import numpy as np

from .._errors import one_line
from .._figures import png, require_matplotlib
from ..config import TYPES

log = logging.getLogger(__name__)

GAUSS_LIMIT = 1500.0  # stronger fields are clipped; otherwise umbrae would make plage invisible
PANEL_PIXELS = 600  # a larger image is averaged in blocks, because a panel has no more pixels


def side_by_side(
    input: np.ndarray,
    output: np.ndarray,
    type: str,
    *,
    units: str = "",
    header=None,
    truth: np.ndarray | None = None,
) -> bytes:
    """A PNG of input and output: the whole image above, its most structured part enlarged below.

    input : (H, W); output, truth : (k H, k W), NaN off the limb.
    units : of all images; "" means unknown for an intensity, G for a field.
    type : "intensity" (stretch from percentiles 0.1 to 99.9 of all images) or "blos"
        (symmetric about zero, 1500 G at most). Stretch and enlarged part use the input only where
        the output has a value.
    header : of the input. With its WCS the ticks are in arcsec from disc centre, or in degrees
        of longitude and latitude, correct on any projection. If solar north is down, as in files
        from JSOC (CROTA2 near 180), the image is turned by 180 degrees. No pixel is interpolated,
        so the ticks show the rest of the angle. Without a WCS the image is drawn as stored and
        the axes count input pixels.
    truth : adds two panels, the truth and output - truth, with the rms of the latter.

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
    if truth is not None and truth.shape != output.shape:
        raise ValueError(
            f"side_by_side: truth must be of the same shape as output, got "
            f"{truth.shape} and {output.shape}"
        )
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wcs, turned = _sky(header, input.shape)
    if turned:
        input, output = input[::-1, ::-1], output[::-1, ::-1]
        truth = None if truth is None else truth[::-1, ::-1]
    # a magnetogram has noise off the disc and spikes at the limb, which are NaN in the output
    measured = np.where(np.isnan(output[::k, ::k]), np.nan, input)
    limits = stretch([measured, output] if truth is None else [measured, output, truth], type)
    panels = [("input", input, limits), ("enhanced", output, limits)]
    if truth is not None:
        error = output - truth
        rms = np.sqrt(np.nanmean(np.square(error, dtype=np.float64)))
        title = f"enhanced - truth, rms {rms:.3g}"
        panels += [("truth", truth, limits), (title, error, about_zero([error]))]

    height = float(np.clip(4.5 * h / w, 1.5, 7.0))  # inches, of the upper panels
    figure = Figure(figsize=(4.8 * len(panels) + 1, height + 5.5), dpi=110, layout="compressed")
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        2, len(panels), height_ratios=(height, 4.5), subplot_kw={"projection": wcs}
    )
    quantity = {"intensity": "intensity", "blos": "line-of-sight field"}[type]
    units = units or ("G" if type == "blos" else "")
    units = units.replace("$", r"\$")  # otherwise matplotlib reads a formula
    bar = {"label": f"{quantity} [{units}]" if units else quantity, "extend": "both"}
    box = _richest_box(measured)
    shown = []
    for (title, image, (low, high)), column in zip(panels, axes.T, strict=True):
        style = {"cmap": "gray", "vmin": low, "vmax": high, "interpolation": "nearest"}
        shown.append(_draw(column, image, image.shape[0] // h, box, style))
        column[0].set_title(title)
        for ax in column:
            _label(ax, wcs)
    figure.colorbar(shown[0], ax=axes[:, :3], **bar)  # input, enhanced and truth share it
    if truth is not None:
        figure.colorbar(shown[3], ax=axes[:, 3], **bar)
    return png(figure, bbox_inches="tight")


def _draw(column, image: np.ndarray, k: int, box, style: dict):
    """Draws the image into column[0] and its box into column[1]; k image pixels per input pixel.

    Axes count input pixels from the lower left corner.  box : (row, column, side) in input pixels.
    """
    from matplotlib.patches import Rectangle

    row, col, side = box
    whole, zoom = column
    block = -(-max(image.shape) // PANEL_PIXELS)
    thin = _block_mean(image, block)
    extent = (0, thin.shape[1] * block / k, 0, thin.shape[0] * block / k)
    shown = whole.imshow(thin, origin="lower", extent=extent, **style)
    whole.set(xlim=(0, image.shape[1] / k), ylim=(0, image.shape[0] / k))
    whole.add_patch(Rectangle((col, row), side, side, fill=False, edgecolor="tab:orange"))
    cut = image[k * row : k * (row + side), k * col : k * (col + side)]
    zoom.imshow(cut, origin="lower", extent=(col, col + side, row, row + side), **style)
    for ax in column:
        ax.set_facecolor("lightsteelblue")  # shows where the image is NaN
        ax.patch.set_in_layout(False)  # WCSAxes moves it to the limits only when it draws
    return shown


def _sky(header, shape: tuple[int, int]):
    """(WCS, turned): the WCS of the image as drawn, and whether it is turned by 180 degrees.

    shape : (H, W).  WCS : counts pixels as `_draw` does; None without two celestial axes.
    """
    if header is None:
        return None, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # astropy warns of its repairs: "degree", dates
            wcs = _wcs(header)
            if not wcs.has_celestial:
                return None, False
            turned = bool(wcs.pixel_scale_matrix[wcs.wcs.lat, 1] < 0)
            if turned:
                wcs = _wcs(_turned(header, shape))
    except Exception as error:  # astropy raises many kinds for an invalid header
        log.warning(
            "the picture's axes count pixels because the WCS is invalid (%s)", one_line(error)
        )
        return None, False
    wcs.wcs.crpix += 0.5  # the corner of the first pixel, 0 in `_draw`, is -0.5 to astropy
    return wcs, turned


def _wcs(header):
    """The WCS of two axes, even if WCSAXES is larger, as in the header of a cube's plane."""
    from astropy.wcs import WCS

    wcs = WCS(header)
    # naxis=2 takes the axes before astropy repairs their units, and fails for "degree"
    return wcs if wcs.naxis == 2 else WCS(header, naxis=2)


def _turned(header, shape):
    """The header of image[::-1, ::-1]: the pixel steps change their signs, in any spelling."""
    out = header.copy()
    for i, n in ((1, shape[1]), (2, shape[0])):
        out[f"CRPIX{i}"] = n + 1 - out.get(f"CRPIX{i}", 0.0)
        out[f"CDELT{i}"] = -out.get(f"CDELT{i}", 1.0)
        for key in (f"CD{i}_1", f"CD{i}_2"):
            if key in out:
                out[key] = -out[key]
    return out


def _label(ax, wcs) -> None:
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
        limit = min(about_zero(images)[1], GAUSS_LIMIT)
        return -limit, limit
    low, high = np.array([np.nanpercentile(image, (0.1, 99.9)) for image in images]).T
    low, high = float(low.min()), float(high.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def about_zero(images: list[np.ndarray]) -> tuple[float, float]:
    """vmin = -vmax: the 99.9th percentile of the absolute values, 1 if that is 0."""
    limit = max(float(np.nanpercentile(np.abs(image), 99.9)) for image in images) or 1.0
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


def _block_mean(image: np.ndarray, block: int) -> np.ndarray:
    """Means of block x block pixels; remaining rows and columns at the far ends are dropped."""
    h, w = (n // block for n in image.shape)
    return image[: h * block, : w * block].reshape(h, block, w, block).mean(axis=(1, 3))
