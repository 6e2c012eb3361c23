"""Procedural sunspots: umbrae with dots and light bridges in a penumbra of filaments.

A spot is a cluster of flux tubes. The potential field of their buried ends (monopoles) gives the
strength and the inclination of the field. The umbra is where the field is strong; the penumbra is
where it is weaker and inclined, and its filaments follow the horizontal field. The outline is
therefore as irregular as the cluster, an umbra may have several parts, and filaments bend. Tubes
of both signs in one cluster make a delta spot. Values are after Solanki 2003, Astron. Astrophys.
Rev. 11, 153; Borrero & Ichimoto 2011, Living Rev. Sol. Phys. 8, 4; Jurcak et al. 2018, A&A 611, L4.
"""

from typing import NamedTuple

import numpy as np

from .plane import FLOAT, Plane, ramp

UMBRA, EDGE = 0.83, 0.42  # relative strength at the edges of the umbra and of the penumbra
OUTER = 1.17  # ratio of the penumbra's radius to the depth of a single monopole, from EDGE
STEP = 0.06  # arcsec, step of the walk along filaments


class Tube(NamedTuple):
    y: float  # arcsec from the corner of the plane
    x: float
    depth: float  # arcsec, of the monopole
    field: float  # gauss above this tube alone, with its sign


class Sunspot(NamedTuple):
    tubes: tuple[Tube, ...]
    radius: float  # arcsec to the outer edge of the penumbra, about
    field: float  # gauss, the strongest
    twist: float = 0.0  # radians between filaments and the horizontal field
    shear: float = 0.0  # additional radians where the polarity changes


def draw_spot(rng, center: tuple[float, float], radius: float, polarity: int) -> Sunspot:
    """A spot of one polarity. center (y, x) and radius in arcsec."""
    field = rng.uniform(2300, 3100)
    tubes = _levelled(_cluster(rng, center, radius, polarity, rng.uniform(0.2, 0.5)), field)
    return Sunspot(tubes, radius, field, rng.normal(0, 0.12))


def draw_delta(rng, center: tuple[float, float], radius: float, polarity: int) -> Sunspot:
    """Two clusters of opposite polarity in one penumbra, sheared where they meet."""
    angle = rng.uniform(0, 2 * np.pi)
    share = rng.uniform(0.42, 0.58)
    tubes = ()
    for sign, part in ((1, share), (-1, 1 - share)):
        gap = sign * 0.45 * radius
        at = (center[0] + gap * np.sin(angle), center[1] + gap * np.cos(angle))
        tubes += _cluster(rng, at, 1.4 * radius * part, sign * polarity, 0.25)
    field = rng.uniform(2300, 3100)
    shear = rng.choice([-1, 1]) * rng.uniform(0.8, 1.3)
    return Sunspot(_levelled(tubes, field), 1.2 * radius, field, rng.normal(0, 0.12), shear)


def _cluster(rng, center, radius, polarity, spread):
    """One to five tubes about the center; `_levelled` then sets their strengths."""
    count = int(rng.integers(1, 6))
    share = rng.dirichlet(np.full(count, 3.0))
    angle = rng.uniform(0, 2 * np.pi) + np.arange(count) * (2 * np.pi / count)
    angle += rng.uniform(-0.6, 0.6, count)
    distance = spread * rng.uniform(0.7, 1.3, count) * radius * (count > 1)
    return tuple(
        Tube(
            center[0] + d * np.sin(a), center[1] + d * np.cos(a), radius / OUTER * s**0.5, polarity
        )
        for a, d, s in zip(angle, distance, share, strict=True)
    )


def _levelled(tubes, field):
    """The tubes with strengths such that the total field above each tube is `field`, with its sign.

    tubes : their attribute `field` holds the signs.  A tube that needs no field of its own, because
    the others already give it, is dropped.
    """
    from scipy.optimize import nnls

    signs = np.array([tube.field for tube in tubes])
    ones = [tube._replace(field=1.0) for tube in tubes]
    share = np.array([[_monopole(t, *tube[:2])[0] for t in ones] for tube in tubes])
    strength, _ = nnls(share * np.outer(signs, signs), np.ones(len(tubes)))
    pairs = zip(tubes, signs * strength, strict=True)
    return tuple(tube._replace(field=float(field * f)) for tube, f in pairs if f)


def _monopole(tube, y, x):
    """(vertical, y and x components) in gauss of the field of one tube at points in arcsec."""
    dy, dx = (y - tube.y) / tube.depth, (x - tube.x) / tube.depth
    fall = tube.field * (1 + dy * dy + dx * dx) ** -1.5
    return fall, fall * dy, fall * dx


class Anatomy(NamedTuple):
    """A spot on a window of a plane; fields (h, w)."""

    window: tuple[slice, slice]
    vertical: np.ndarray  # of the potential field, over the strongest: -1 to 1
    depth: np.ndarray  # 0 at the edge of the umbra, 1 at that of the penumbra, below 0 inside
    inward: tuple[np.ndarray, np.ndarray]  # unit vector (y, x) along the filaments
    across: np.ndarray  # arcsec from a line that crosses the spot


def anatomy(rng, spot: Sunspot, plane: Plane) -> Anatomy:
    """The parts of a spot on a window of the plane. A part of it must be on the plane."""
    window = []
    for axis, n in enumerate(plane.shape):
        places = [tube[axis] for tube in spot.tubes]
        reach = 1.1 * spot.radius + 2.0
        first = int(np.floor((min(places) - reach) / plane.spacing))
        last = int(np.ceil((max(places) + reach) / plane.spacing))
        window.append(slice(max(first, 0), max(min(last, n), 0)))
    y, x = (
        (np.arange(s.start, s.stop, dtype=FLOAT) + FLOAT(0.5)) * FLOAT(plane.spacing)
        for s in window
    )
    y = y[:, None]
    parts = [_monopole(t, y, x) for t in spot.tubes]
    vertical, by, bx = (sum(p[i] for p in parts) / FLOAT(spot.field) for i in range(3))
    strength = np.sqrt(vertical**2 + by**2 + bx**2)
    here = Plane(strength.shape, plane.spacing)
    wide = float(np.log(UMBRA / EDGE))
    # a second limit of the umbra, from the vertical field. For a single tube it is the same limit,
    # because its vertical field goes as its strength to the power of 3/2; between two tubes of
    # opposite sign, where the field is horizontal, it ends the umbra
    lying = np.log(UMBRA**1.5 / np.maximum(np.abs(vertical), 1e-6)) / (1.5 * wide)
    depth = np.maximum(np.log(UMBRA / strength) / wide, np.minimum(lying, 0.6))
    depth += 0.07 * here.noise(rng, 0.2 * spot.radius) + 0.04 * here.noise(rng, 0.6)
    turn = spot.twist + 0.22 * here.noise(rng, 0.2 * spot.radius)
    turn += spot.shear * np.exp(-((vertical / 0.25) ** 2))
    cos, sin = np.cos(turn), np.sin(turn)
    by, bx = by * cos + bx * sin, bx * cos - by * sin
    gy, gx = np.gradient(here.smooth(strength, 0.5))
    scale = np.sign(by * gy + bx * gx) / np.maximum(np.hypot(by, bx), 1e-6)
    angle, (cy, cx) = rng.uniform(0, np.pi), np.mean([tube[:2] for tube in spot.tubes], axis=0)
    across = (y - cy) * FLOAT(np.sin(angle)) + (x - cx) * FLOAT(np.cos(angle))
    across += 0.12 * spot.radius * (here.noise(rng, 0.3 * spot.radius) + rng.normal(0, 0.7))
    return Anatomy(tuple(window), vertical, depth, (by * scale, bx * scale), across)


def draw(
    rng, spot: Sunspot, found: Anatomy, plane: Plane, intensity: np.ndarray, field: np.ndarray
) -> None:
    """Draws the spot into intensity (over the quiet Sun's mean) and vertical field (gauss).

    Both (H, W) on the plane, changed in place.
    """
    here = Plane(found.depth.shape, plane.spacing)
    thread, other = filaments(rng, here, found.inward)
    sharp = FLOAT(spot.radius / 0.16)  # edges are about 0.1 arcsec wide
    s, fine = found.depth, here.noise(rng, 0.25)
    inside = ramp((1 - s + FLOAT(0.10) * thread + FLOAT(0.05) * fine) * sharp)
    umbral = ramp((-s - FLOAT(0.07) * thread - FLOAT(0.02) * fine) * sharp) * inside
    s = np.clip(s, 0, 1)

    # a bright filament has a brighter head at the umbra
    head = np.exp(-((s / FLOAT(0.25)) ** 2))
    penumbra = 0.70 + 0.10 * s - 0.06 * head + (0.115 + 0.02 * s) * thread
    penumbra += (0.05 + 0.05 * head) * np.maximum(thread - 0.6, 0)

    core = np.clip((np.abs(found.vertical) - UMBRA**1.5) / (1 - UMBRA**1.5), 0, 1)
    dots = np.clip(here.noise(rng, 0.12) - 1.1, 0, 1.5) * (1.2 - core)
    dots *= np.clip(0.6 + 0.6 * here.noise(rng, 1.0), 0, 1.5)
    bridge = _light_bridge(rng, here, found.across)
    umbra = rng.uniform(0.06, 0.16) + 0.18 * (1 - core) ** 1.3 + 0.25 * dots
    umbra += 0.015 * here.noise(rng, 0.3)
    umbra += bridge * (0.68 + 0.10 * here.noise(rng, 0.15) + 0.05 * here.noise(rng, 0.5) - umbra)
    umbra = np.maximum(umbra, 0.05)
    light = umbral * umbra + (1 - umbral) * np.clip(penumbra, 0.25, 1.1)

    umbra_field = np.sign(found.vertical) * (1750 + (spot.field - 1750) * core)
    umbra_field *= (1 - 0.15 * dots) * (1 - 0.5 * bridge)
    inclination = np.radians(22 + 56 * s**0.7 + (9 + 9 * s) * (0.75 * thread + 0.5 * other))
    penumbra_field = np.tanh(found.vertical * 10) * (1950 - 1000 * s) * np.cos(inclination)
    strength = umbral * umbra_field + (1 - umbral) * penumbra_field
    for whole, part in ((intensity, light), (field, strength)):
        whole[found.window] += inside * (part - whole[found.window])


def filaments(rng, plane: Plane, inward) -> list[np.ndarray]:
    """Two patterns of comets with tails outwards, (h, w), mean 0, standard deviation 1.

    They are one-sided line integral convolutions (Cabral & Leedom 1993, SIGGRAPH) of noise: the
    weight falls by a factor e within one or two arcsec of the head. Each round doubles the length,
    because the map of 2n steps is that of n steps applied twice.
    """
    found = [0, 0]
    for width, length, share in ((0.09, 1.1, 0.8), (0.2, 2.2, 0.5)):
        smeared = [plane.noise(rng, width) for _ in found]
        smeared = [heads + FLOAT(0.5) * np.maximum(heads, 0) ** 2 for heads in smeared]
        walk = [d * FLOAT(STEP / plane.spacing) for d in inward]
        keep = np.exp(-STEP / length)
        for _ in range(6):
            *further, dy, dx = plane.carry([*smeared, *walk], -walk[0], -walk[1])
            smeared = [a + FLOAT(keep) * b for a, b in zip(smeared, further, strict=True)]
            walk = [walk[0] + dy, walk[1] + dx]
            keep = keep**2
        found = [a + share * (b - b.mean()) / b.std() for a, b in zip(found, smeared, strict=True)]
    # the noise adds up where walks converge, so divide by its local strength
    return [(a / np.sqrt(plane.smooth(a * a, 1.0))).astype(FLOAT) for a in found]


def _light_bridge(rng, plane, across):
    """Weight of a light bridge along across = 0, (h, w), 0 to 1; half of the spots have none."""
    if rng.random() < 0.5:
        return np.zeros(plane.shape, FLOAT)
    width = rng.uniform(0.2, 0.6)
    along = np.clip(0.7 + 0.5 * plane.noise(rng, 1.5), 0, 1)
    return np.exp(-(((across + 0.25 * plane.noise(rng, 0.5)) / width) ** 2)) * along
