"""Inputs of the timings: weights, images and training batches, the same for every way."""

from functools import cache

import numpy as np

from enhance_np import models, params
from enhance_np.config import DEFAULT, NOISE, NetworkConfig
from enhance_np.optics.degrade import HMI_SCALE, degrade
from enhance_np.sun.scene import DEMO_SEEDS, scene
from enhance_np.weights import Weights, load

SIDE = 128  # pixels of the solar scene as HMI sees it: a spot with umbra and penumbra, and granules
SUBNORMAL = 1e-40
PIXEL_SCALE = 0.0662  # arcsec, of the scene before it is degraded


def shipped(model: str = "default", type: str = "intensity") -> Weights:
    """The shipped trained weights."""
    return load(models.path(type, model))


def random(config: NetworkConfig = DEFAULT) -> Weights:
    """Fresh weights without parameters that are 0 or 1."""
    rng = np.random.default_rng(0)
    groups = params.initial(config, 0)
    for group in groups:
        for name in group:
            if not name.endswith("/w"):
                group[name] += 0.1 * rng.random(group[name].shape, np.float32)
    return Weights(config, *groups)


def subnormal(config: NetworkConfig = DEFAULT) -> Weights:
    """Random weights; a third of every kernel's numbers are subnormal in float32."""
    weights = random(config)
    rng = np.random.default_rng(1)
    for name, a in weights.params.items():
        if name.endswith("/w"):
            a[rng.random(a.shape) < 1 / 3] = SUBNORMAL
    return weights


@cache
def spot() -> tuple[np.ndarray, np.ndarray]:
    """Intensity in Ic and field in G of the scene."""
    pixels = int(np.ceil(SIDE * HMI_SCALE / PIXEL_SCALE)) + 1
    return scene(DEMO_SEEDS[1], (pixels, pixels), PIXEL_SCALE, "spot")


@cache
def degraded(type: str = "intensity") -> tuple[np.ndarray, np.ndarray]:
    """A synthetic sunspot as HMI sees it, and as a telescope of 28 cm does, in Ic or kG."""
    intensity, field = spot()
    low, high = degrade(intensity if type == "intensity" else field / 1000, PIXEL_SCALE)
    return low[:SIDE, :SIDE], high[: 2 * SIDE, : 2 * SIDE]


def sun(size: int, type: str = "intensity") -> np.ndarray:
    """(size, size) of that scene with the noise of training, continued as its mirror image."""
    low, _ = degraded(type)
    at = np.arange(size) % (2 * SIDE)
    at = np.minimum(at, 2 * SIDE - 1 - at)
    rng = np.random.default_rng(size)
    noise = rng.standard_normal((size, size), np.float32)
    return (low[np.ix_(at, at)] + NOISE[type] * noise).astype(np.float32)


def noise(size: int) -> np.ndarray:
    """(size, size) of white noise about the quiet Sun, as strong as its granules."""
    rng = np.random.default_rng(size)
    x = rng.standard_normal((size, size), np.float32)
    x *= np.float32(0.04)
    x += 1
    return x


def batch(count: int, patch: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`count` pairs of patches from the scene: (n, h, w, 1) with noise, and (n, 2h, 2w, 1)."""
    if not 2 <= patch <= SIDE:
        raise SystemExit(f"bench: a patch must have 2 to {SIDE} pixels, got {patch}")
    low, high = degraded()
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, SIDE - patch + 1, (count, 2))
    x = np.stack([low[i : i + patch, j : j + patch] for i, j in corners])
    target = np.stack([high[2 * i :, 2 * j :][: 2 * patch, : 2 * patch] for i, j in corners])
    x = x + NOISE["intensity"] * rng.standard_normal(x.shape, np.float32)
    return x[..., None].astype(np.float32), np.ascontiguousarray(target[..., None], np.float32)


def pairs(path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` training pairs of a file by `degrade`, with the noise of its column."""
    import h5py

    with h5py.File(path) as file:
        x, target, sigma = (file[name][:count] for name in ("imHMI", "imSST", "noise"))
    noise = np.random.default_rng(0).standard_normal(x.shape, np.float32)
    return x + sigma[:, None, None, None] * noise, target
