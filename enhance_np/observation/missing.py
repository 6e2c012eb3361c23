"""Numbers that stand for a missing measurement: found, said, and made NaN.

JSOC marks what is missing by BLANK or NaN. Programs that pass an image on write a number there:
0 (`nan_to_num`, a resampling), -1, -9999, -32768 or what becomes of it with BSCALE and BZERO,
1e20. The network would take the edge of such an area for the steepest on the Sun.
"""

import logging

import numpy as np

from .._array import is_dask
from .disc import Mu
from .quiet_sun import sample_step

log = logging.getLogger(__name__)

HUGE = 1e20  # and beyond: what other archives fill with, or an overflow
SENTINELS = (-9999.0, -32768.0)  # neither a field in any unit nor light
NO_LIGHT = (0.0, -1.0)  # no pixel of an intensity; a field of 0 or -1 G is one
SHARE = 0.1  # of the pixels off the disc, at least, that hold a fill value; the sky is not so even
FEWEST = 8  # of them, for a value that nobody is known to fill with
NEAR_LIMB = 0.15  # mu; 1.1 % of the radius, by which header and image may differ


def without_sentinels(data, name: str, lowest: float | None = None):
    """`data`, or a copy with NaN where a number says "missing" whatever the image is of.

    data : (H, W), any real kind; of a dask array nothing is computed, and nothing said.
    name : of the image, for the log.
    lowest : in the image's units, the lowest integer of a file that names no BLANK.
    """

    def found(block, corner):
        gone = (block >= HUGE) | (block <= -HUGE)
        for value in SENTINELS:
            gone |= block == value
        if lowest is not None:
            gone |= np.abs(block - np.float32(lowest)) <= 1e-6 * abs(lowest)
        return gone

    return _blanked(data, name, found)


def without_fill(data, type: str, mu: Mu | None, name: str, look: bool = True):
    """`data`, or a copy with NaN where a fill value stands that is one for this type of image.

    In an intensity 0 and -1 are, wherever they stand, and what is below 0 and repeated. Off the
    disc any value is that fills a tenth of it, in fields too: there no image is so even.

    type : "intensity" or "blos".  mu : of the pixels, see `disc.locate`; None: not known.
    look : at what stands off the disc, for which some pixels of a dask array are computed.
    The rest as in `without_sentinels`.
    """
    values, filled = set(NO_LIGHT if type == "intensity" else ()), set()
    step = sample_step(data)
    off = mu is not None and look and np.isnan(mu(*(np.arange(0, n, step) for n in data.shape)))
    if look and (type == "intensity" or np.any(off)):  # else no dask array is computed
        sample = data[::step, ::step]
        sample = sample.compute() if is_dask(sample) else sample
        sample = np.ma.filled(sample.astype(np.result_type(sample.dtype, np.float32)), np.nan)
        if np.any(off):
            filled = _repeated(sample[off])
        # light is not below 0: where such a value stands again and again, it fills
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
    """The lowest of all finite values, if it is 0 or less and one of a hundred is that."""
    values = values[np.isfinite(values)]
    lowest = values.min(initial=np.inf)
    count = np.count_nonzero(values == lowest)
    return float(lowest) if lowest <= 0 and count >= max(FEWEST, 0.01 * values.size) else None


def _repeated(values: np.ndarray) -> set[float]:
    """Those of `values`, (n,), from off the disc, that fill it."""
    values, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    enough = counts >= SHARE * counts.sum()
    known = np.isin(values, NO_LIGHT) | (counts >= FEWEST)
    return set(map(float, values[enough & known]))


def _blanked(data, name, found):
    """NaN where found(data, corner), the (row, column) that it begins at; itself if nowhere."""
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
        "%s: values that are no measurement count as missing pixels: %s%s",
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
