"""Physical quantities of an image: contrast, noise, flux, and the change of the field."""

from typing import NamedTuple

import numpy as np

KG_BAND = (800.0, 1200.0)  # G, of the input: the kG fields that the paper discusses


def averaged(out: np.ndarray) -> np.ndarray:
    """(2H, 2W) -> (H, W): the mean of the four output pixels in each input pixel."""
    h, w = (n // 2 for n in out.shape)
    return out.reshape(h, 2, w, 2).mean(axis=(1, 3), dtype=np.float64)


def contrast(intensity: np.ndarray, mask: np.ndarray) -> float:
    """rms of the intensity over its mean, within the mask; NaN for fewer than two pixels."""
    values = intensity[mask].astype(np.float64)
    return float(values.std() / values.mean()) if values.size > 1 else np.nan


def noise(field: np.ndarray, mask: np.ndarray) -> float:
    """Standard deviation within the mask, in the field's unit; NaN for fewer than two pixels."""
    values = field[mask].astype(np.float64)
    return float(values.std()) if values.size > 1 else np.nan


class Flux(NamedTuple):
    unsigned: float  # mean of |B|, G; includes the noise of the image
    net: float  # mean of B, G
    unsigned_mx: float  # Mx, of all valid pixels
    net_mx: float  # Mx


def flux(field: np.ndarray, pixel_area: float) -> Flux:
    """Flux of the valid pixels, without a correction for foreshortening.

    field : G, NaN is missing.  pixel_area : cm^2 on the Sun, see `pixels.pixel_area`.
    """
    values = field[np.isfinite(field)].astype(np.float64)
    area = values.size * pixel_area
    unsigned, net = float(np.abs(values).mean()), float(values.mean())
    return Flux(unsigned, net, unsigned * area, net * area)


class Relation(NamedTuple):
    value: float  # NaN without pixels
    pixels: int  # of the input


def slope(field: np.ndarray, out: np.ndarray, mask: np.ndarray) -> Relation:
    """The slope a of out = a * field, by least squares within the mask.

    field : (H, W) G, the input.  out : (H, W) G, on the same pixels (`averaged`), with sign.
    The line goes through the origin, because a field of 0 should stay 0. Strong fields dominate.
    """
    x, y = field[mask].astype(np.float64), out[mask].astype(np.float64)
    return Relation(float(x @ y / (x @ x)) if x.any() else np.nan, int(mask.sum()))


def ratio(
    field: np.ndarray, out: np.ndarray, mask: np.ndarray, band: tuple[float, float] = KG_BAND
) -> Relation:
    """Mean output over mean input where |input| is within the band and the mask is True.

    Fields as in `slope`. Pixels whose sign changed count as negative output.
    """
    inside = mask & (np.abs(field) >= band[0]) & (np.abs(field) <= band[1])
    x = np.abs(field[inside]).astype(np.float64)
    y = (out * np.sign(field))[inside].astype(np.float64)
    return Relation(float(y.sum() / x.sum()) if x.size else np.nan, int(inside.sum()))
