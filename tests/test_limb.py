"""The limb of a synthetic disc, as HMI sees it, against what a telescope of 28 cm would see.

HMI's files end in one of two ways: hmi.Ic some 40 arcsec off the limb, in the dark, and
hmi.Ic_noLimbDark at the header's radius, where the blurred limb has fallen to a half.
"""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from enhance_np import models
from enhance_np.engine import select
from enhance_np.observation import disc, normalise
from enhance_np.observation.normalise import Norm
from enhance_np.optics.degrade import HMI_SCALE, degrade
from enhance_np.prediction.array import apply
from enhance_np.weights import load

RADIUS = 952.0  # arcsec
SIDE, FINER = 72, 6  # input pixels; scene pixels in one of them
ANGLES = (0.3, 1.1, 2.0, 4.2)  # position of the limb
SKY = 0.005  # stray light


@cache
def scene(angle):
    """(input, truth, mu function, radii of the truth's pixels) with the limb in the middle, in Ic.

    The granulation's contrast falls with mu, as it does on the Sun.
    """
    direction = np.array([np.cos(angle), np.sin(angle)])
    cards = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "RSUN_OBS": RADIUS}
    for i in (1, 2):
        cards |= {f"CUNIT{i}": "arcsec", f"CDELT{i}": HMI_SCALE, f"CRPIX{i}": (SIDE + 1) / 2}
        cards[f"CRVAL{i}"] = (RADIUS - 4) * direction[i - 1]
    mu = disc.locate(cards)

    def centres(factor):
        return (np.arange(factor * SIDE) + 0.5) / factor - 0.5

    fine = mu(centres(FINER), centres(FINER))
    rng = np.random.default_rng(int(10 * angle))
    granules = gaussian_filter(rng.standard_normal(fine.shape), 0.5 / HMI_SCALE * FINER)
    image = disc.limb_darkening(fine) * (1 + 0.15 * fine * granules / granules.std())
    image[np.isnan(fine)] = SKY
    low, high = degrade(image, HMI_SCALE / FINER)
    x, y = ((centres(2) + 0.5 - SIDE / 2) * HMI_SCALE + cards[f"CRVAL{i}"] for i in (1, 2))
    return low, high, mu, np.hypot(y[:, None], x) / RADIUS


@cache
def weights():
    return load(models.path("intensity", "small"))


def rms(difference, end, bins):
    """rms over all angles of the array `difference(image, low, high, mu)`, in bins of the distance
    in arcsec from the last valid pixels, which are at `end` radii."""
    found = []
    for angle in ANGLES:
        low, high, mu, radii = scene(angle)
        at = radii.reshape(SIDE, 2, SIDE, 2).mean(axis=(1, 3))
        image = np.where(at < end, low, np.nan).astype(np.float32)
        valid = (at < end).repeat(2, axis=0).repeat(2, axis=1)
        inside = (min(end, 1.0) - radii) * RADIUS
        squares = difference(image, low, high, mu) ** 2
        found.append(
            [squares[valid & (inside >= a) & (inside < b)].mean() for a, b in pairwise(bins)]
        )
    return np.sqrt(np.mean(found, axis=0))


def errors(way, end, bins):
    """rms of the errors of a way of filling, compared with the truth."""
    return rms(lambda image, low, high, mu: way(image, low, mu) - high, end, bins)


def changed(way, end, bins):
    """rms of the differences from the same way without missing pixels: the effect of the fill."""
    return rms(
        lambda image, low, high, mu: way(image, low, mu) - way(low.astype(np.float32), low, mu),
        end,
        bins,
    )


def shipped(image, low, mu):
    return apply(image, "intensity", select("cpu").predictor(weights()), Norm(1.0, 1.0, mu)).output


def zeros(image, low, mu):
    """Like the original Enhance: NaN becomes 0, and limb darkening stays in the image."""
    return apply(
        np.nan_to_num(image), "intensity", select("cpu").predictor(weights()), Norm(1.0)
    ).output


def nearest(image, low, mu):
    """Fills with the nearest valid pixel, after dividing the limb darkening out."""
    flat, _ = normalise.divided(low.astype(np.float32), Norm(1.0, 1.0, mu))
    rows, columns = distance_transform_edt(
        np.isnan(image), return_distances=False, return_indices=True
    )
    out = apply(
        flat[rows, columns], "intensity", select("cpu").predictor(weights()), Norm(1.0)
    ).output
    return normalise.multiplied(out, np.isnan(image), Norm(1.0, 1.0, mu))


def whole(image, low, mu):
    """No pixel is missing: shows the errors of the network itself at a limb."""
    return shipped(low.astype(np.float32), low, mu)


# Measured with the small network, whose halo is 2.5 arcsec, if the pixels end at 1.0 radii: rms of
# I / Ic in BINS
#   errors   shipped  0.061 0.021 0.014 0.0088 0.0068 0.0047 0.0023 0.0009
#            nearest  0.101 0.033 0.023 0.0145 0.0076 0.0047 0.0023 0.0009
#            zeros    0.152 0.085 0.027 0.0111 0.0076 0.0035 0.0015 0.0008
#            whole    0.018 0.011 0.008 0.0070 0.0068 0.0047 0.0023 0.0009
#   changed  shipped  0.056 0.019 0.010 0.0058 0.0014 0 0 0
#            zeros    0.150 0.081 0.024 0.0110 0.0043 0 0 0
BINS = (0, 0.5, 1, 1.5, 2, 3, 5, 8, 15)


@pytest.mark.parametrize("end", [1.0, 0.9995, 0.999])
def test_limb_where_the_pixels_end_near_it(end):
    """The error near the limb is far below that of zeros; there is no ring, and no effect beyond
    the halo."""
    found, old, alone = (errors(way, end, BINS) for way in (shipped, zeros, whole))
    # in the last of these bins, the network's own error dominates
    assert (found[:4] < [0.75, 0.75, 0.75, 1] * old[:4]).all()
    assert (changed(shipped, end, BINS[:6]) < 0.75 * changed(zeros, end, BINS[:6])).all()
    assert (np.diff(found) < 0).all()
    assert found[4] < 1.2 * alone[4]  # half of this bin is within the halo; ratios 1.00, 1.10, 1.06
    assert (found[5:] < 1.01 * alone[5:]).all()


def test_fill_goes_on_as_the_limb_does():
    """If the limb is cut at half its height, filling with the nearest pixel makes a step."""
    found, step = (errors(way, 1.0, (0, 1.5))[0] for way in (shipped, nearest))
    assert found < 0.75 * step


def test_limb_where_the_pixels_end_in_the_dark():
    """The fill has no effect, because it is beyond the halo of all bright pixels."""
    found = errors(shipped, 1.04, BINS)
    np.testing.assert_allclose(found, errors(whole, 1.04, BINS), rtol=1e-4)
    assert found[0] < 0.03  # the intensity falls by 0.32
