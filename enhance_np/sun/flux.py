"""The emerging magnetic flux, which the granules then sweep into their lanes.

These are maps of the vertical field (gauss) without granulation, on scales of arcseconds: the
mixed polarities of the quiet Sun, the network along the borders of supergranules, and plage.
"""

import numpy as np

from .plane import FLOAT, Plane

SUPERGRANULE = 30.0  # arcsec, mean distance of their centres (Rieutord & Rincon 2010)


def salt_and_pepper(rng, plane: Plane) -> np.ndarray:
    """Mixed polarity everywhere, (H, W) gauss, on the scales of one and of a few granules."""
    return FLOAT(6) * plane.noise(rng, 0.6) + FLOAT(2) * plane.noise(rng, 2.5)


def network(rng, plane: Plane) -> np.ndarray:
    """Clumps of flux along the borders of supergranules, (H, W) gauss.

    Most clumps have the polarity of their neighbourhood.
    """
    border = _supergranules(rng, plane)
    clumps = np.exp(0.9 * plane.noise(rng, 1.2))
    strength = rng.uniform(50, 110) * np.exp(-((border / 1.6) ** 2)) * clumps
    neighbours = plane.noise(rng, 12.0) + rng.normal(0, 0.7)
    strays = plane.noise(rng, 1.5)
    return (strength * np.tanh(3 * (neighbours + 1.1 * strays))).astype(FLOAT)


def plage(rng, plane: Plane, polarity) -> np.ndarray:
    """Unipolar flux in patches, (H, W) gauss, a few hundred gauss where it is dense.

    polarity : from -1 to 1, a number or (H, W).
    """
    patches = plane.noise(rng, rng.uniform(3.5, 8.0)) + 0.45 * plane.noise(rng, 1.5)
    dense = 0.5 + 0.5 * np.tanh(2.2 * (patches - rng.uniform(-0.3, 1.0)))
    strays = np.tanh(6 * (2.3 - plane.noise(rng, 1.2)))  # a few of the other polarity
    return (polarity * strays * (rng.uniform(150, 380) * dense + 8)).astype(FLOAT)


def with_pores(rng, plane: Plane, field, places, polarity) -> np.ndarray:
    """The field with pores added: frayed discs of strong field, (H, W) gauss.

    places : (y, x, radius) of each pore in arcsec.  polarity : as in `plage`.
    """
    y, x = _coordinates(plane)
    frayed = 0.35 * plane.noise(rng, 1.1) + 0.15 * plane.noise(rng, 0.4)
    inside = np.full(plane.shape, -np.inf, FLOAT)
    for cy, cx, radius in places:
        inside = np.maximum(inside, radius * (1 - np.hypot(y - cy, x - cx) / radius + frayed))
    weight = 0.5 + 0.5 * np.tanh(inside / 0.3)
    return (field + weight * (1500 * np.sign(polarity) - field)).astype(FLOAT)


def polarity(rng, plane: Plane, spots) -> np.ndarray:
    """The polarity, (H, W) from -1 to 1: that of the nearby spots; of one sign without spots."""
    wander = plane.noise(rng, 3.0)
    sign = rng.choice([-1, 1])
    if not spots:
        return np.full(plane.shape, sign, FLOAT)
    y, x = _coordinates(plane)
    pull, sum_ = 0, 0
    for tube in (tube for spot in spots for tube in spot.tubes):
        near = tube.depth / np.hypot(np.hypot(y - tube.y, x - tube.x), tube.depth)
        pull, sum_ = pull + np.sign(tube.field) * near, sum_ + near
    return np.tanh(6 * pull / sum_ + 0.7 * wander).astype(FLOAT)


def _coordinates(plane):
    """Arcsec from the corner to the centres of the pixels: y (H, 1), x (W,)."""
    h, w = ((np.arange(n, dtype=FLOAT) + FLOAT(0.5)) * FLOAT(plane.spacing) for n in plane.shape)
    return h[:, None], w


def _supergranules(rng, plane):
    """Arcsec to the nearest border between two supergranules, (H, W)."""
    from scipy.ndimage import zoom
    from scipy.spatial import cKDTree

    size = np.array(plane.shape) * plane.spacing
    margin = 2 * SUPERGRANULE
    # a point at random in every square: this leaves no lattice and no empty region
    counts = np.ceil((size + 2 * margin) / SUPERGRANULE).astype(int)
    squares = np.indices(counts).reshape(2, -1).T
    centres = (squares + rng.uniform(0, 1, squares.shape)) * SUPERGRANULE
    centres -= margin - rng.uniform(0, SUPERGRANULE, 2)
    tree = cKDTree(centres)
    step = max(1, round(0.5 / plane.spacing))
    rows, columns = (np.arange(0, n + step, step) * plane.spacing for n in plane.shape)
    points = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
    distance, _ = tree.query(points, k=2)
    border = (distance[..., 1] - distance[..., 0]) / 2
    fine = zoom(border, step, order=1, mode="nearest", grid_mode=True)
    border = fine[: plane.shape[0], : plane.shape[1]]
    return np.abs(border + 1.2 * plane.noise(rng, 3.0)).astype(FLOAT)
