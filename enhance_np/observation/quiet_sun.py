"""Measures the brightness of the quiet Sun in an image and its limb darkening."""

import logging

import numpy as np

from .disc import Mu, limb_darkening

log = logging.getLogger(__name__)

SAMPLE = 2**20  # pixels that the limb darkening is fitted to
LEAST_MU = 0.15  # 0.989 radii; nearer to the limb, blur and the error of the radius matter
RINGS = 20
LEAST_IN_RING = 50  # pixels
RING_ERROR = 0.01  # smallest relative error of a ring's level: real rings differ so from the law
FITTED = 0.1  # largest error of the strength for which the fit is used

HMI_2011, HMI_PER_YEAR = 64.2e3, -1.30e3  # DN/s, see usual_level
LEAST = 0.82  # smallest share of the usual level; penumbra alone gives 0.70 to 0.78
LEAST_ANYWHERE = 0.4  # the same without the limb darkening, which reaches 0.4 at mu = 0.06


def usual_level(unit: str, year: float | None) -> float | None:
    """Expected level of the quiet Sun at disc centre, in `unit`; None if `unit` is not DN/s.

    HMI's level falls evenly with time. This line is within 2.5 % of the results of `quiet_sun` for
    five images: 2011.1 (63.8e3 DN/s), 2014.2 (60.3e3), 2024.4 (47.8e3), 2025.3 (45.5e3) and
    2025.7 (44.9e3).
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
        strength is 0.
    usual : expected level at disc centre (`usual_level`). A level up to 2 means that the image is
        in units of the quiet Sun; 1 is then expected. If nothing in the image is that bright (an
        umbra fills it), the expected level is used, with a warning.

    The strength is fitted as a power of the published law: 1 is the law itself, which HMI's
    continuum follows, and 0 is an image without limb darkening (hmi.Ic_noLimbDark). Pixels with
    mu > 0.15 are sorted into rings of equal darkening. The level of a ring is that of its upper
    mode, which spots and faculae do not change. The strength is the median slope of ln level
    against ln law over pairs of rings (Theil & Sen). One coefficient is enough, because the law's
    shape fits HMI within 1 %. A free polynomial would fit a spot in a cut-out, or the blurred limb
    itself, as darkening. If the image spans too little darkening (a ratio of 1.1) to determine the
    strength to 0.1, it is 1, or 0 if 0.5 is excluded by twice the error.

    Raises ValueError if no pixel is positive.
    """
    level, strength = (quiet_sun_level(data), 0.0) if mu is None else _fitted(data, mu)
    if level <= 2:
        usual = 1.0
    elif usual is None or level < 0.05 * usual:  # no umbra is so dark: the unit is another one
        return level, strength
    if level < usual * (LEAST_ANYWHERE if mu is None else LEAST):
        log.warning(
            "no quiet Sun in the image: its level is %.4g, so the usual level %.4g is used "
            "instead; that of a full disc of the same series would be better",
            level,
            usual,
            extra={"parameters": ("norm_from", "norm")},
        )
        level = usual
    return level, strength


def quiet_sun_level(data: np.ndarray) -> float:
    """Median of the pixels within 10 % of the histogram's upper mode, in the units of `data`.

    data : array of intensity in any unit; NaN and pixels <= 0 are left out.

    The upper mode is the brightest significant peak: umbra, penumbra and the sky off the limb
    make peaks below it. The bins of the histogram are 1 % of the 99th percentile (a single hot
    pixel would change the maximum), and it is smoothed by 3 %, about the contrast of granulation
    at HMI's resolution. A peak is significant if its prominence is a tenth of the highest peak.
    Faculae are a shoulder of the mode, not a peak. On a full disc the level is 7 to 9 % lower than
    at disc centre, because of limb darkening.

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
    # the pixel nearest to the peak is the mode, so that the window is never empty
    mode = values[np.argmin(np.abs(values - middle))]
    return float(np.median(values[np.abs(values - mode) <= 0.1 * mode]))


def _last_peak(curve: np.ndarray, prominence: float) -> int:
    """Index of the last maximum that stands out by `prominence` on both sides.

    Written by hand because importing scipy.signal, which has find_peaks, takes a third of the time
    of enhancing a cut-out.
    """
    top, low = len(curve) - 1, curve[-1]
    for i in range(len(curve) - 1, -1, -1):
        if curve[i] > curve[top]:
            top = i
        elif curve[top] - curve[i] >= prominence and curve[top] - low >= prominence:
            return top
        if curve[i] < low:  # the lowest so far; the next peak is measured from here
            low, top = curve[i], i
    return top


def sample_step(data: np.ndarray) -> int:
    """Step between sampled lines and columns that gives about SAMPLE pixels at most."""
    return int(np.ceil(np.sqrt(max(data.size / SAMPLE, 1))))


def _fitted(data: np.ndarray, mu: Mu) -> tuple[float, float]:
    """`quiet_sun` with mu; if no pixel is on the disc, the strength is 0."""
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
    """Strength of the limb darkening in `values`, (n,).  law : ln of the published law, (n,)."""
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
