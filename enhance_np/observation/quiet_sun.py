"""How bright the quiet Sun is in an image, and how it darkens towards the limb."""

import logging

import numpy as np

from .disc import Mu, limb_darkening

log = logging.getLogger(__name__)

SAMPLE = 2**20  # pixels that the limb darkening is fitted to
LEAST_MU = 0.15  # 0.989 radii: nearer to the limb blur, and the radius's error, count
RINGS = 20
LEAST_IN_RING = 50  # pixels
RING_ERROR = 0.01  # of the level of a ring, at least: what real rings are off the law
FITTED = 0.1  # error of the strength up to which the fit is believed

HMI_2011, HMI_PER_YEAR = 64.2e3, -1.30e3  # DN/s, see usual_level
LEAST = 0.82  # of the usual level: penumbra alone gives 0.70 to 0.78
LEAST_ANYWHERE = 0.4  # where the limb darkening is not known, which reaches 0.4 at mu = 0.06


def usual_level(unit: str, year: float | None) -> float | None:
    """Quiet Sun of disc centre to be expected, in `unit`; None if nothing is known of that unit.

    HMI's fades evenly: this line is within 2.5 % of what `quiet_sun` finds in five images of
    2011.1 (63.8e3 DN/s), 2014.2 (60.3e3), 2024.4 (47.8e3), 2025.3 (45.5e3) and 2025.7 (44.9e3).
    """
    if unit.lower().replace(" ", "") not in ("dn/s", "dns") or year is None:
        return None
    return HMI_2011 + HMI_PER_YEAR * (year - 2011)


def quiet_sun(
    data: np.ndarray, mu: Mu | None = None, usual: float | None = None
) -> tuple[float, float]:
    """(level, strength): the quiet Sun is level * limb_darkening(mu) ** strength.

    data : (H, W) intensity; NaN and pixels <= 0 are left out.
    mu : of its pixels (`disc.locate`). Without it the level is that of the upper mode and the
        strength 0.
    usual : what to expect at disc centre (`usual_level`). Of images over the quiet Sun, which are
        told by a level up to 2, it is 1. If nothing in the image is so bright (an umbra fills
        it), this is taken for the level, with a warning.

    The published law is fitted by its strength: 1 is the law, which HMI's continuum follows, 0 an
    image without limb darkening (hmi.Ic_noLimbDark). Each ring of equal darkening, pixels of
    mu > 0.15, has the level of its own upper mode, which spots and faculae do not move; the
    strength is the median slope of pairs of rings, ln level against ln law (Theil & Sen). One
    coefficient, because the law's shape fits HMI within 1 %, and because a free polynomial
    would take a spot in a cut-out, or the fall of the limb itself, for darkening. Where the
    image spans too little darkening (a ratio of 1.1) to tell the strength to 0.1, it is 1, or
    0 if 0.5 is excluded by twice the error.

    Raises ValueError if no pixel is positive.
    """
    level, strength = (quiet_sun_level(data), 0.0) if mu is None else _fitted(data, mu)
    if level <= 2:
        usual = 1.0
    elif usual is None or level < 0.05 * usual:  # no umbra is: it is in another unit
        return level, strength
    if level < usual * (LEAST_ANYWHERE if mu is None else LEAST):
        log.warning(
            "no quiet Sun to be seen: the brightest is %.4g, and the usual %.4g is taken "
            "instead; better give --norm-from FULLDISK.fits or a --norm",
            level,
            usual,
        )
        level = usual
    return level, strength


def quiet_sun_level(data: np.ndarray) -> float:
    """Median of the pixels within 10 % of the histogram's upper mode, in the units of `data`.

    data : array of intensity in any unit; NaN and pixels <= 0 are left out.

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


def sample_step(data: np.ndarray) -> int:
    """Every so many lines and columns are at most SAMPLE pixels, or about that."""
    return int(np.ceil(np.sqrt(max(data.size / SAMPLE, 1))))


def _fitted(data: np.ndarray, mu: Mu) -> tuple[float, float]:
    """`quiet_sun`, of an image that may hold no disc, and then is not divided by any law."""
    step = sample_step(data)
    at = mu(*(np.arange(0, n, step) for n in data.shape))
    values = data[::step, ::step]
    lit = np.isfinite(values) & (values > 0) & np.isfinite(at)
    if (at[lit] > LEAST_MU).any():
        lit &= at > LEAST_MU
    if not lit.any():
        return quiet_sun_level(data), 0.0
    values, law = values[lit].astype(np.float64), np.log(limb_darkening(at[lit]))
    strength = _strength(law, values)
    return quiet_sun_level(values / np.exp(strength * law)), strength


def _strength(law: np.ndarray, values: np.ndarray) -> float:
    """Of the limb darkening in `values`, (n,), where `law` is the logarithm of the published."""
    edges = np.linspace(law.min(), law.max(), RINGS + 1)
    ring = np.clip(np.searchsorted(edges, law, side="right") - 1, 0, RINGS - 1)
    filled = np.flatnonzero(np.bincount(ring, minlength=RINGS) >= LEAST_IN_RING)
    if len(filled) < 2:
        return 1.0
    x = np.array([law[ring == k].mean() for k in filled])
    y = np.array([np.log(quiet_sun_level(values[ring == k])) for k in filled])
    i, j = np.triu_indices(len(x), 1)
    slope = _weighted_median((y[j] - y[i]) / (x[j] - x[i]), x[j] - x[i])
    scatter = 1.48 * np.median(np.abs(y - slope * x - np.median(y - slope * x)))
    error = max(scatter, RING_ERROR) / np.ptp(x)
    if error > FITTED:
        return 0.0 if slope + 2 * error < 0.5 else 1.0
    return slope if slope > FITTED else 0.0


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(below, 0.5 * below[-1])])
