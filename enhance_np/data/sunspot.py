"""A sunspot drawn by rule: umbra with dots and light bridges, filamentary penumbra, its field."""

from typing import NamedTuple

import numpy as np

from .granulation import noise

FILAMENT = 0.085  # arcsec, scale of the noise across filaments; a period is about 0.3


class Sunspot(NamedTuple):
    center: tuple[float, float]  # arcsec (y, x) from the corner of the scene
    radius: float  # arcsec to the outer edge of the penumbra, mean over angles
    polarity: int  # +1 or -1


def draw_sunspot(
    rng, spot: Sunspot, intensity: np.ndarray, bz: np.ndarray, pixel_scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """New (intensity, bz) with the spot in them.

    intensity, bz : (H, W), over the quiet Sun's mean and in gauss; returned in the same units.
    Typical values after Solanki 2003, Astron. Astrophys. Rev. 11, 153: umbra 0.1 to 0.25 and 2
    to 3 kG, penumbra 0.6 to 0.9, filaments of 0.2 to 0.4 arcsec whose inclination alternates.
    """
    shape = intensity.shape
    y, x = ((np.arange(n) + 0.5) * pixel_scale for n in shape)
    dy, dx = np.broadcast_arrays(y[:, None] - spot.center[0], x - spot.center[1])
    depth = _depth(rng, spot, dy, dx, pixel_scale)
    filament = _filaments(rng, shape, depth, pixel_scale)

    umbra_edge = rng.uniform(0.38, 0.52)
    # filaments cut into the umbra and reach out between the granules
    inner = depth + 0.03 * filament + 0.03 * noise(rng, shape, 0.4 / pixel_scale)
    outer = depth + 0.02 * filament + 0.025 * noise(rng, shape, 0.4 / pixel_scale)
    soft = 0.12 / spot.radius
    in_umbra = _step((umbra_edge - inner) / soft)
    in_spot = _step((1 - outer) / soft)

    # 0 at the umbra, 1 at the outer edge
    s = np.clip((depth - umbra_edge) / (1 - umbra_edge), 0, 1)
    # a bright head at the umbra, fading outward
    penumbra = 0.72 + 0.08 * s + (0.13 - 0.03 * s) * filament
    core = rng.uniform(0.05, 0.16)
    umbra = core + 0.12 * np.clip(depth / umbra_edge, 0, 1.2) ** 2
    umbra = umbra + 0.02 * noise(rng, shape, 0.5 / pixel_scale)
    dots = _dots(rng, shape, pixel_scale)
    umbra = umbra + rng.uniform(0.1, 0.3) * dots * (0.4 + depth / umbra_edge)
    bridge = _light_bridge(rng, spot, dy, dx, pixel_scale)
    umbra = umbra + bridge * (0.6 + 0.12 * filament - umbra)

    field = rng.uniform(2300, 3000)
    umbra_bz = field * (1 - 0.4 * (depth / umbra_edge) ** 2)
    umbra_bz = umbra_bz * (1 - 0.15 * dots) * (1 - 0.55 * bridge)
    # bright filaments carry flatter field, which returns into the Sun at the outer edge
    penumbra_bz = 1500 * (1 - s) ** 1.3 + 60 - (260 + 120 * s) * filament

    in_umbra = in_umbra * in_spot
    inside = umbra * in_umbra + penumbra * (1 - in_umbra)
    inside_bz = spot.polarity * (umbra_bz * in_umbra + penumbra_bz * (1 - in_umbra))
    # the moat around a spot is swept clear of field
    moat = np.exp(-np.clip(depth - 1, 0, None) / 0.15) * (1 - in_spot)
    bz = bz * (1 - 0.7 * moat)
    return (
        np.maximum(intensity + in_spot * (inside - intensity), 0.03),
        bz + in_spot * (inside_bz - bz),
    )


def _depth(rng, spot, dy, dx, pixel_scale):
    """0 at the centre, 1 at the outer edge of the penumbra; the outline is an irregular oval."""
    r, angle = np.hypot(dy, dx), np.arctan2(dy, dx)
    edge = np.full(r.shape, spot.radius)
    for m in range(2, 8):
        edge *= 1 + rng.normal(0, 0.16 / m) * np.cos(m * angle + rng.uniform(0, 2 * np.pi))
    wander = 0.05 * noise(rng, r.shape, 0.15 * spot.radius / pixel_scale)
    return np.maximum(r / edge + wander * np.clip(r / edge, 0, 1), 0)


def _filaments(rng, shape, depth, pixel_scale):
    """Noise smeared along the gradient of depth: thin across, long along. (H, W), mean 0, std 1.

    A line integral convolution (Cabral & Leedom 1993, SIGGRAPH), with straight lines: its
    threads have one width everywhere and fork outward by themselves.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    found = np.zeros(shape)
    rows, columns = np.nonzero(depth < 1.25)
    if rows.size == 0:
        return found
    fine = noise(rng, shape, FILAMENT / pixel_scale)
    gy, gx = np.gradient(gaussian_filter(depth, 0.5 / pixel_scale))
    twist = 0.35 * noise(rng, shape, 2.5 / pixel_scale)
    angle = np.arctan2(gy, gx) + twist
    along_y, along_x = np.sin(angle)[rows, columns], np.cos(angle)[rows, columns]
    reach = 1.3 / pixel_scale
    steps = np.arange(-reach, reach, 1.5 * FILAMENT / pixel_scale)
    total = np.zeros(rows.size)
    for step in steps:
        at = (rows + step * along_y, columns + step * along_x)
        total += np.cos(np.pi * step / (2 * reach)) * map_coordinates(
            fine, at, order=1, mode="reflect"
        )
    found[rows, columns] = (total - total.mean()) / total.std()
    return found


def _dots(rng, shape, pixel_scale):
    """Umbral dots, (H, W), 0 to about 1: Gaussians of 0.1 to 0.2 arcsec, two per square arcsec."""
    from scipy.ndimage import gaussian_filter

    points = np.zeros(shape)
    n = rng.poisson(0.9 * np.prod(shape) * pixel_scale**2)
    points[tuple(rng.integers(0, m, n) for m in shape)] = rng.uniform(0.3, 1, n)
    sigma = 0.12 / pixel_scale
    return np.minimum(gaussian_filter(points, sigma) * 2 * np.pi * sigma**2, 1.2)


def _light_bridge(rng, spot, dy, dx, pixel_scale):
    """Weight of a light bridge, (H, W), 0 to 1; every second spot has none."""
    if rng.random() < 0.5:
        return np.zeros(dy.shape)
    angle = rng.uniform(0, np.pi)
    across = dx * np.cos(angle) + dy * np.sin(angle) - rng.normal(0, 0.1) * spot.radius
    across = across + 0.04 * spot.radius * noise(rng, dy.shape, 1.0 / pixel_scale)
    width = rng.uniform(0.25, 0.6)
    return np.exp(-((across / width) ** 2)) * rng.uniform(0.6, 1)


def _step(x):
    """From 0 at minus infinity to 1 at plus infinity."""
    return 0.5 * (1 + np.tanh(x))
