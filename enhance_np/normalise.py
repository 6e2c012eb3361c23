"""From file units to the network's units, and from pixels with gaps to pixels without.

The network is not scale-equivariant: it was trained on intensity over the quiet-Sun mean and
on magnetograms in kG, and wants its input so.
"""

import math

import numpy as np

from .config import TYPES

GAUSS_PER_KILOGAUSS = 1000.0


def quiet_sun_level(data: np.ndarray) -> float:
    """Median of the pixels within 10 % of the histogram's upper mode, in the units of `data`.

    data : (H, W) intensity in any unit; NaN and pixels <= 0 are left out.

    The upper mode is the brightest significant peak: in a spot field umbra, penumbra and the
    sky off the limb make the peaks below it. The histogram has bins of 1 % of the 99th
    percentile (not the maximum: one hot pixel would spoil it) and is smoothed by 3 %, about
    the contrast of granulation at HMI's resolution; a peak is significant if it stands out
    by a tenth of the highest. Faculae are a shoulder of the mode, not a peak. On a full disc
    limb darkening makes the level 7 to 9 % lower than that of disc centre.

    Raises ValueError if no pixel is positive.
    """
    values = data[np.isfinite(data) & (data > 0)].astype(np.float64)
    if values.size == 0:
        raise ValueError("quiet_sun_level: needs one positive pixel or more, got none")
    bin_width = 0.01 * np.percentile(values, 99)
    # the range ends at 200 bins, twice the 99th percentile, and is empty at both ends
    counts, edges = np.histogram(values / bin_width, bins=220, range=(-20, 200))
    gaussian = np.exp(-0.5 * (np.arange(-12, 13) / 3.0) ** 2)
    smooth = np.convolve(counts, gaussian / gaussian.sum(), mode="same")
    peak = _last_peak(smooth, 0.1 * smooth.max())
    middle = 0.5 * (edges[peak] + edges[peak + 1]) * bin_width
    # the pixel nearest to the peak stands for it: the window is then never empty
    mode = values[np.argmin(np.abs(values - middle))]
    return float(np.median(values[np.abs(values - mode) <= 0.1 * mode]))


def _last_peak(curve: np.ndarray, prominence: float) -> int:
    """Index of the last maximum that stands out by `prominence` on both sides.

    By hand because scipy.signal, which has find_peaks, takes a third of the time of enhancing
    a cut-out to import.
    """
    top, low = len(curve) - 1, curve[-1]
    for i in range(len(curve) - 1, -1, -1):
        if curve[i] > curve[top]:
            top = i
        elif curve[top] - curve[i] >= prominence and curve[top] - low >= prominence:
            return top
        if curve[i] < low:  # the lowest so far; only what rises above it can stand out
            low, top = curve[i], i
    return top


def norm_value(data: np.ndarray, norm: str | float, type: str) -> float:
    """What to divide the input by, in the units of `data`. Multiply the output by it.

    norm : "quiet-sun"; "max" or "none" (1), to reproduce published pixels; or a level > 0.
    type : "intensity", or "blos", which is divided by 1000 G whatever `norm` says: the
        network's unit of field is the kG.
    Raises ValueError for another norm or type, or if the level is not finite and > 0.
    """
    if type not in TYPES:
        raise ValueError(f"norm_value: type must be one of {TYPES}, got type={type!r}")
    if norm not in ("quiet-sun", "max", "none"):
        level = _positive(norm, norm)
    if type == "blos":
        return GAUSS_PER_KILOGAUSS
    if norm == "quiet-sun":
        level = _positive(quiet_sun_level(data), norm)
    elif norm == "max":
        level = _positive(np.nanmax(data), norm)
    elif norm == "none":
        level = 1.0
    return level


def _positive(level, norm) -> float:
    try:
        level = float(level)
    except (TypeError, ValueError):
        level = math.nan
    with np.errstate(all="ignore"):
        rounded = np.float32(level)  # what the output is multiplied by
    if not 0 < rounded < math.inf:  # False for NaN
        raise ValueError(
            f"norm_value: norm must be quiet-sun, max, none or a level > 0, got norm={norm!r}"
            + (f" with maximum {level}" if norm == "max" else "")
        )
    return level


def fill(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image without gaps, and the mask of the gaps.

    data : (H, W); a gap is NaN or infinite.  filled : (H, W), dtype of data.
    mask : (H, W) bool, True in the gaps.

    A gap takes the value of the nearest valid pixel. The image is then continuous across the
    limb: off it, each pixel repeats the limb at its position angle. Zeros would be an edge
    brighter than any on the Sun, which the network sharpens and rings at. The fill is not
    smoothed: only its first dozen pixels (the network's receptive field) reach a valid one.
    Raises ValueError if no pixel is valid.
    """
    mask = ~np.isfinite(data)
    if mask.all():
        raise ValueError(f"fill: needs one valid pixel or more, got none in shape={data.shape}")
    if not mask.any():
        return data, mask
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(mask, return_distances=False, return_indices=True)
    return data[rows, columns], mask


def restore(out: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """NaN where the input had gaps. `out` is not changed.

    out : (k H, k W), k = 2 for the network.  mask : (H, W) from `fill`.
    Each pixel of the mask covers k x k pixels of the output: edges are aligned.
    Raises ValueError if out.shape is not a multiple of mask.shape.
    """
    k = out.shape[0] // mask.shape[0]
    if k < 1 or out.shape != (k * mask.shape[0], k * mask.shape[1]):
        raise ValueError(
            f"restore: out must be k times as large as mask, got {out.shape} and {mask.shape}"
        )
    return np.where(mask.repeat(k, axis=0).repeat(k, axis=1), out.dtype.type(np.nan), out)
