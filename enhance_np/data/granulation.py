"""A granulation pattern drawn by rule: cells, lanes and the distances between them.

Not a simulation: no equation of motion is solved. Cells of a power diagram with warped borders
stand for granules. Their power spectrum and their histogram are then set to those of
a MURaM simulation of the quiet Sun, so that a degraded scene has the contrast HMI sees.
"""

from typing import NamedTuple

import numpy as np

SPACING = 1.6  # arcsec between the centres of granules, on average

# Azimuthal mean of the power of I / <I> per (cycle / arcsec)^2 and cumulative histogram, of the
# rows that training uses of HelioML's MURaM snapshot at 0.0662 arcsec per pixel (BSD-3).
FREQUENCY = np.array(
    [0.12, 0.25, 0.35, 0.45, 0.55, 0.65, 0.8, 0.9, 1.1, 1.4, 1.7, 2.2, 2.7, 3.5, 4.5, 5.5, 6.7]
)
POWER = 1e-4 * np.array(
    [70, 70, 80, 68, 63, 58, 39, 31, 20, 9.3, 4.6, 1.75, 0.77, 0.24, 0.07, 0.022, 0.0062]
)
PROBABILITY = np.array([0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1])
INTENSITY = np.array(
    [0.53, 0.70, 0.76, 0.80, 0.85, 0.89, 0.93, 0.985, 1.04, 1.10, 1.16, 1.23, 1.28, 1.36, 1.57]
)


class Granulation(NamedTuple):
    intensity: np.ndarray  # (H, W), mean 1
    lane: np.ndarray  # (H, W) arcsec to the nearest border between two cells
    vertex: np.ndarray  # (H, W) arcsec, small where three cells meet


def noise(rng, shape: tuple[int, int], scale: float) -> np.ndarray:
    """Gaussian random field (H, W), mean 0, standard deviation 1.

    scale : pixels; the field is white noise convolved with exp(-r^2 / (2 scale^2)).
    """
    from scipy.fft import irfft2, rfft2

    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    transfer = np.exp(-2 * (np.pi * scale) ** 2 * (fy**2 + fx**2))
    field = irfft2(rfft2(rng.standard_normal(shape)) * transfer, s=shape)
    return (field - field.mean()) / field.std()


def granulation(rng, shape: tuple[int, int], pixel_scale: float) -> Granulation:
    """A quiet photosphere without field. pixel_scale : arcsec."""
    size = [n * pixel_scale for n in shape]
    y, x = _warped(rng, shape, pixel_scale)
    first, second, third, cell = _power_diagram(rng, size, y, x, SPACING)
    lane, vertex = second - first, third - first
    n = cell.max() + 1
    brightness = rng.normal(0, 0.3, n)[cell]
    # granules break up: each has weaker lanes of its own, along borders of smaller cells
    a, b, _, part = _power_diagram(rng, size, y, x, 0.5 * SPACING)
    inner = np.exp(-(((b - a) / 0.09) ** 2)) * rng.uniform(0, 1.8, n)[cell]
    ragged = noise(rng, shape, 0.08 / pixel_scale) + noise(rng, shape, 0.2 / pixel_scale)
    # lanes are wider in some places than in others
    width = 0.17 * np.exp(0.35 * noise(rng, shape, 0.5 / pixel_scale) + 0.2 * ragged)
    floor = np.exp(-((lane / width) ** 2))
    rim = np.exp(-(((lane - 0.33) / 0.15) ** 2))
    pattern = (
        (1 - floor) * (1 + brightness + rng.normal(0, 0.3, part.max() + 1)[part])
        + 0.3 * rim
        - (0.9 * inner + 2.2 * floor)
        + (0.08 + 0.2 * (1 - floor)) * ragged
    )
    for _ in range(2):
        pattern = _with_histogram(_with_spectrum(pattern, pixel_scale))
    return Granulation(pattern / pattern.mean(), lane, vertex)


def _warped(rng, shape, pixel_scale):
    """Coordinates (arcsec) of the pixels, displaced so that straight borders come out wavy."""
    y, x = ((np.arange(n) + 0.5) * pixel_scale for n in shape)
    y, x = np.broadcast_to(y[:, None], shape), np.broadcast_to(x, shape)
    for scale, amplitude in ((0.09, 0.03), (0.16, 0.055), (0.35, 0.11)):
        y = y + amplitude * noise(rng, shape, scale / pixel_scale)
        x = x + amplitude * noise(rng, shape, scale / pixel_scale)
    return y, x


def _power_diagram(rng, size, y, x, spacing):
    """Distances like a border's for the three nearest cells of every pixel, and the first's index.

    Cell i minimises d^2 - r_i^2 (Aurenhammer 1987, SIAM J. Comput. 16, 78); the random radii r_i
    make the cells unequal. Half the difference of two such powers over the distance of the
    centres is the distance to their border; the mean spacing stands for that distance.
    """
    from scipy.spatial import cKDTree

    n = [int(np.ceil(s / spacing)) + 4 for s in size]
    grid = np.indices(n).reshape(2, -1).T - 1.5
    grid[:, 1] += 0.5 * (grid[:, 0] % 2)  # staggered rows, then displaced at random
    centres = (grid + rng.uniform(-0.42, 0.42, grid.shape)) * spacing
    squared_radius = (spacing * rng.uniform(0, 0.75, len(centres))) ** 2
    points = np.stack([y.ravel(), x.ravel()], axis=1)
    distance, index = cKDTree(centres).query(points, k=5)
    power = distance**2 - squared_radius[index]
    order = np.argsort(power, axis=1)[:, :3]
    nearest = np.take_along_axis(power, order, axis=1) / (2 * spacing)
    cell = np.take_along_axis(index, order[:, :1], axis=1)
    return (*(nearest[:, i].reshape(y.shape) for i in range(3)), cell.reshape(y.shape))


def _with_spectrum(pattern, pixel_scale):
    """Scales each ring of spatial frequencies to the power in the table."""
    from scipy.fft import dctn, idctn

    modes = dctn(pattern, norm="ortho")
    fy, fx = (np.arange(n) / (2 * n * pixel_scale) for n in pattern.shape)
    frequency = np.hypot(fy[:, None], fx)
    modes[0, 0] = 0
    edges = np.sqrt(FREQUENCY[1:] * FREQUENCY[:-1])
    ring = np.digitize(frequency, edges)
    count = np.bincount(ring.ravel(), minlength=FREQUENCY.size)
    power = np.bincount(ring.ravel(), (modes**2).ravel(), FREQUENCY.size) * pixel_scale**2
    power /= np.maximum(count, 1)
    known = power > 0
    gain = np.interp(
        np.log(np.maximum(frequency, FREQUENCY[0])),
        np.log(FREQUENCY[known]),
        0.5 * np.log(POWER[known] / power[known]),
    )
    return idctn(modes * np.exp(gain), norm="ortho")


def _with_histogram(pattern):
    """Monotonic map of the values onto the tabulated histogram."""
    found = np.quantile(pattern, PROBABILITY)
    return np.interp(pattern, found, INTENSITY)
