"""Names, shapes and initial values of everything a network learns or measures.

Two flat dicts describe a network. `params` holds what Adam changes; gradients and Adam's
moments have the same keys. `moving` holds what batch norm measures on the way.
"""

from collections.abc import Iterable

import numpy as np

from ._array import Array
from .config import NetworkConfig
from .layers import conv2d

CONTRAST_SHARE = 0.75  # of the stem's kernels, see `contrasted`
FAINT = 0.1  # the gamma that ends a residual branch, there
MOMENTUM = 0.99  # Keras's default, and that of the published weights
# Keras draws from N(0, 1) cut at 2 sigma, whose standard deviation is this
TRUNCATED_STD = 0.87962566103423978


def layers(config: NetworkConfig) -> list[tuple[str, str, tuple[int, ...]]]:
    """(kind, name, shape) of every layer with parameters, in order of construction.

    kind is "conv" (shape HWIO) or "bn" (shape (C,)). This list is the only place that knows
    which layers exist: initial values, files, and the table of `summary` follow it.
    """
    c, r = config.filters, config.refine
    found = [("conv", "stem/conv", (3, 3, 1, c))]
    for k in range(config.depth):
        for i in (1, 2):
            found.append(("conv", f"block{k}/conv{i}", (3, 3, c, c)))
            found.append(("bn", f"block{k}/bn{i}", (c,)))
    found.append(("conv", "tail/conv", (3, 3, c, c)))
    found.append(("bn", "tail/bn", (c,)))
    found.append(("conv", "refine/conv", (3, 3, c, r)))
    found.append(("conv", "head", (1, 1, r, 1)))
    return found


def shapes(config: NetworkConfig) -> tuple[dict[str, tuple], dict[str, tuple]]:
    """Shapes of `params` and of `moving`, by name: "block3/conv1/w", "tail/bn/mean"."""
    params, moving = {}, {}
    for kind, name, shape in layers(config):
        if kind == "conv":
            params[f"{name}/w"], params[f"{name}/b"] = shape, shape[-1:]
        else:
            params[f"{name}/gamma"], params[f"{name}/beta"] = shape, shape
            moving[f"{name}/mean"], moving[f"{name}/var"] = shape, shape
    return params, moving


def he_normal(rng: np.random.Generator, shape: tuple[int, ...], dtype=np.float32) -> Array:
    """Kernel of a convolution: normal, cut at 2 sigma, of variance 2 / fan_in.

    shape : (kh, kw, Cin, Cout), fan_in = kh * kw * Cin.
    Source: He et al. 2015, arXiv:1502.01852, equation 10. Today's Keras widens sigma by
    1 / 0.8796 so that the cut normal keeps that variance; Keras 2.0.2 did not. So do we.
    """
    sigma = np.sqrt(2 / np.prod(shape[:-1])) / TRUNCATED_STD
    w = rng.standard_normal(shape)
    while (outside := np.abs(w) > 2).any():
        w[outside] = rng.standard_normal(np.count_nonzero(outside))
    return (sigma * w).astype(dtype)


def initial(
    config: NetworkConfig, seed: int, dtype=np.float32
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Fresh (params, moving): He-normal kernels, zero biases, gamma 1, beta 0, N(0, 1)."""
    rng = np.random.default_rng(seed)
    params, moving = shapes(config)
    start = {"b": np.zeros, "gamma": np.ones, "beta": np.zeros, "mean": np.zeros, "var": np.ones}

    def fill(name, shape):
        role = name.rsplit("/", 1)[1]
        return he_normal(rng, shape, dtype) if role == "w" else start[role](shape, dtype)

    return (
        {name: fill(name, shape) for name, shape in params.items()},
        {name: fill(name, shape) for name, shape in moving.items()},
    )


def contrasted(p: dict[str, Array], images: np.ndarray) -> dict[str, Array]:
    """Initial params that look at contrast: what trainings of images start from.

    images : (n, H, W, 1), as the network will be given them.

    Granulation is a ripple of 4 % on a level of 1, so that every feature of a fresh stem is the
    level, and what is to be sharpened hides behind it: Adam takes epochs to bring it out. Here
    CONTRAST_SHARE of the stem's kernels lose their mean, which makes them blind to the
    level, and are scaled to outputs of variance 1 over the images. The last gamma of every
    residual branch is FAINT: the network begins as a shallow one, and its first steps are tame.
    Sources: variance 1 by data, Mishkin & Matas 2016, arXiv:1511.06422; small last gammas, Goyal
    et al. 2017, arXiv:1706.02677, section 5.1.
    """
    w = p["stem/conv/w"].copy()
    blind = w[..., : round(CONTRAST_SHARE * w.shape[-1])]
    blind -= blind.mean(axis=(0, 1), keepdims=True)
    y, _ = conv2d(images, blind, np.zeros(blind.shape[-1], blind.dtype))
    rms = np.sqrt((y.astype("f8") ** 2).mean(axis=(0, 1, 2)))
    if not (rms > 1e-6 * abs(images).max()).all():  # less is rounding
        raise ValueError(f"contrasted: the images must not be flat, got an rms of {rms.min():.1e}")
    blind /= rms.astype(blind.dtype)
    last = [name for name in p if name.endswith(("/bn2/gamma", "tail/bn/gamma"))]
    return p | {"stem/conv/w": w} | {name: FAINT * p[name] for name in last}


def update_moving(
    moving: dict[str, Array], tape: dict, momentum: float = MOMENTUM
) -> dict[str, Array]:
    """momentum * moving + (1 - momentum) * (this batch's mean and var), for the next step.

    tape : of network.forward with batch statistics; its batch norm caches hold mean and var.

    var is divided by M = N*H*W, not M - 1: the formula that Keras documents and that Keras 3
    and float64 Keras compute. The fused float32 kernel of older Keras on TensorFlow stores
    M / (M - 1) times as much; at the paper's M = 80,000 that is 1.25e-5 of var.
    """

    def updated(name):
        layer, statistic = name.rsplit("/", 1)
        return momentum * moving[name] + (1 - momentum) * getattr(tape[layer], statistic)

    return {name: updated(name) for name in moving}


def pooled(moving: dict[str, Array], tapes: Iterable[dict]) -> dict[str, Array]:
    """Mean and variance over all images of several batches of one size, like `moving`.

    tapes : one or more, as for update_moving. The variance holds that of the batches' means,
    which an average of their variances does not.
    """
    n, sums = 0, dict.fromkeys(moving, 0.0)
    for tape in tapes:
        n += 1
        for name in moving:
            layer, statistic = name.rsplit("/", 1)
            mean, var = (getattr(tape[layer], key).astype("f8") for key in ("mean", "var"))
            sums[name] = sums[name] + (mean if statistic == "mean" else var + mean**2)
    found = {name: total / n for name, total in sums.items()}
    for name in found:
        if name.endswith("/var"):
            found[name] = found[name] - found[name.removesuffix("var") + "mean"] ** 2
    return {name: a.astype(moving[name].dtype) for name, a in found.items()}


def count(config: NetworkConfig) -> tuple[int, int]:
    """Numbers of trainable parameters and of moving statistics."""
    return tuple(sum(int(np.prod(s)) for s in group.values()) for group in shapes(config))
