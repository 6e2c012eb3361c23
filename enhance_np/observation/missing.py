"""Finds numbers that stand for a missing measurement, logs them and replaces them by NaN.

JSOC marks missing pixels by BLANK or NaN. Programs that process an image often write a number
instead: 0 (`nan_to_num`, a resampling), -1, -9999, -32768 (also scaled by BSCALE and BZERO), 1e20.
The network would treat the edge of such an area as an extremely steep gradient on the Sun.
"""

import logging

import numpy as np

from .._array import is_dask
from .disc import Mu
from .quiet_sun import sample_step

log = logging.getLogger(__name__)

HUGE = 1e20  # from here on a value is a fill value of another archive, or an overflow
SENTINELS = (-9999.0, -32768.0)  # impossible as a field in any unit and as an intensity
NO_LIGHT = (0.0, -1.0)  # impossible as an intensity; possible as a field in G
SHARE = 0.1  # smallest share of the pixels off the disc that one fill value has; sky varies more
FEWEST = 8  # smallest number of such pixels, for a value that is not a known fill value
NEAR_LIMB = 0.15  # mu; 1.1 % of the radius, by which header and image may differ


def without_sentinels(data, name: str, lowest: float | None = None):
    """`data`, or a copy with NaN for numbers that mean "missing" in an image of any type.

    data : (H, W), any real kind; a dask array is not computed, and nothing is logged for it.
    name : of the image, for the log.
    lowest : the lowest integer of a file without BLANK, in the image's units.
    """

    def found(block, corner):
        block = block.astype(np.result_type(block, np.float32), copy=False)  # from float16
        gone = (block >= HUGE) | (block <= -HUGE)
        for value in SENTINELS:
            gone |= block == value
        if lowest is not None:
            gone |= np.abs(block - np.float32(lowest)) <= 1e-6 * abs(lowest)
        return gone

    return _blanked(data, name, found)


def without_fill(data, type: str, mu: Mu | None, name: str, look: bool = True):
    """`data`, or a copy with NaN for numbers that are fill values in this type of image.

    In an intensity, 0 and -1 are fill values everywhere, and so is a repeated value below 0. In
    both types, a value that fills a tenth of the pixels off the disc is a fill value there,
    because measured sky is never so uniform.

    type : "intensity" or "blos".  mu : of the pixels, see `disc.locate`; None: not known.
    look : examine the pixels off the disc, which computes some pixels of a dask array.
    The rest as in `without_sentinels`.
    """
    values, filled = set(NO_LIGHT if type == "intensity" else ()), set()
    step = sample_step(data)
    off = mu is not None and look and np.isnan(mu(*(np.arange(0, n, step) for n in data.shape)))
    if look and (type == "intensity" or np.any(off)):  # otherwise no dask array is computed
        sample = data[::step, ::step]
        sample = sample.compute() if is_dask(sample) else sample
        sample = np.ma.filled(sample.astype(np.result_type(sample.dtype, np.float32)), np.nan)
        if np.any(off):
            filled = _repeated(sample[off])
        # an intensity is never below 0: a repeated negative value is a fill value
        if type == "intensity":
            values |= {v for v in (*filled, lowest_repeated(sample)) if v is not None and v < 0}
    filled -= values

    def found(block, corner):
        gone = np.zeros(block.shape, bool)
        for value in values:
            gone |= block == value
        if filled:
            at = mu(
                *(np.arange(first, first + n) for first, n in zip(corner, block.shape, strict=True))
            )
            gone |= np.isin(block, np.array(list(filled), block.dtype)) & ~(at > NEAR_LIMB)
        return gone

    return _blanked(data, name, found) if values or filled else data


def lowest_repeated(values: np.ndarray) -> float | None:
    """The lowest finite value, if it is 0 or less and makes up at least 1 % of the values."""
    values = values[np.isfinite(values)]
    lowest = values.min(initial=np.inf)
    count = np.count_nonzero(values == lowest)
    return float(lowest) if lowest <= 0 and count >= max(FEWEST, 0.01 * values.size) else None


def _repeated(values: np.ndarray) -> set[float]:
    """The fill values among `values`, (n,), which are pixels off the disc."""
    values, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    enough = counts >= SHARE * counts.sum()
    known = np.isin(values, NO_LIGHT) | (counts >= FEWEST)
    return set(map(float, values[enough & known]))


def _blanked(data, name, found):
    """`data` with NaN where found(data, corner); `data` itself if that is nowhere.

    corner : (row, column) of the first pixel.
    """
    if is_dask(data):
        dtype = np.result_type(data.dtype, np.float32)
        return data.map_blocks(_blank, found=found, dtype=dtype, meta=data._meta)
    gone = found(data, (0, 0))
    if not gone.any():
        return data
    values, counts = np.unique(data[gone], return_counts=True)
    shown = ", ".join(
        f"{count} of {value:g}" for value, count in list(zip(values, counts, strict=True))[:3]
    )
    log.warning(
        "%s: fill values are treated as missing pixels: %s%s",
        name,
        shown,
        ", ..." * (len(values) > 3),
    )
    return _put(data, gone)


def _blank(block, found, block_info=None):
    corner = [first for first, _ in block_info[0]["array-location"]]
    return _put(block, found(np.ma.getdata(block), corner) & ~np.ma.getmaskarray(block))


def _put(data, gone):
    out = data.astype(np.result_type(data.dtype, np.float32))
    out[gone] = np.nan
    return out
