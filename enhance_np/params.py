"""Names, shapes and initial values of a network's parameters and statistics.

Two flat dicts describe a network. `params` has the trainable parameters; gradients and Adam's
moments have the same keys. `moving` has the statistics that batch norm gathers in training.
"""

from collections.abc import Iterable

import numpy as np

from ._array import Array
from .config import NetworkConfig
from .layers import conv2d

CONTRAST_SHARE = 0.75  # share of the stem's kernels that `contrasted` changes
FAINT = 0.1  # its factor on the last gamma of a residual branch
MOMENTUM = 0.99  # default of Keras, used for the published weights
# standard deviation of N(0, 1) truncated at 2 sigma, from which Keras draws
TRUNCATED_STD = 0.87962566103423978


def layers(config: NetworkConfig) -> list[tuple[str, str, tuple[int, ...]]]:
    """(kind, name, shape) of every layer with parameters, in order of construction.

    kind is "conv" (shape (kh, kw, Cin, Cout)) or "bn" (shape (C,)). Initial values, weights files
    and the table of `summary` all follow this list.
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
    """(shapes of params, shapes of moving) by name: "block3/conv1/w", "tail/bn/mean"."""
    params, moving = {}, {}
    for kind, name, shape in layers(config):
        if kind == "conv":
            params[f"{name}/w"], params[f"{name}/b"] = shape, shape[-1:]
        else:
            params[f"{name}/gamma"], params[f"{name}/beta"] = shape, shape
            moving[f"{name}/mean"], moving[f"{name}/var"] = shape, shape
    return params, moving


def he_normal(rng: np.random.Generator, shape: tuple[int, ...], dtype=np.float32) -> Array:
    """Initial kernel of a convolution: truncated normal with variance 2 / fan_in.

    shape : (kh, kw, Cin, Cout), fan_in = kh * kw * Cin.
    Source: He et al. 2015, arXiv:1502.01852, equation 10. The normal distribution is truncated at
    2 sigma, and sigma is widened by 1 / 0.8796 to keep that variance. Current Keras does the same;
    Keras 2.0.2 did not widen sigma.
    """
    sigma = np.sqrt(2 / np.prod(shape[:-1])) / TRUNCATED_STD
    w = rng.standard_normal(shape)
    while (outside := np.abs(w) > 2).any():
        w[outside] = rng.standard_normal(np.count_nonzero(outside))
    return (sigma * w).astype(dtype)


def initial(
    config: NetworkConfig, seed: int, dtype=np.float32
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Initial (params, moving): He-normal kernels, biases 0, gamma 1, beta 0, mean 0, var 1."""
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
    """Initial params whose first layer responds to contrast instead of the mean level.

    p : initial params.  images : (n, H, W, 1), as in training.

    Granulation is a variation of 4 % about a level of 1. A freshly initialised first layer responds
    almost only to this level, which masks the small variations that we want to sharpen; Adam needs
    epochs to change this. Here the mean of CONTRAST_SHARE of the stem's kernels is subtracted, so
    that they do not respond to the level, and they are scaled to outputs of variance 1 over the
    images. The last gamma of every residual branch is multiplied by FAINT: the network then starts
    as a shallow one, and its first steps are small.
    Raises ValueError if the images are flat.
    Sources: variance 1 from data, Mishkin & Matas 2016, arXiv:1511.06422; small last gammas, Goyal
    et al. 2017, arXiv:1706.02677, section 5.1.
    """
    w = p["stem/conv/w"].copy()
    blind = w[..., : round(CONTRAST_SHARE * w.shape[-1])]
    blind -= blind.mean(axis=(0, 1), keepdims=True)
    y, _ = conv2d(images, blind, np.zeros(blind.shape[-1], blind.dtype))
    rms = np.sqrt((y.astype("f8") ** 2).mean(axis=(0, 1, 2)))
    if not (rms > 1e-6 * abs(images).max()).all():  # a smaller rms is only rounding
        raise ValueError(f"contrasted: the images must not be flat, got an rms of {rms.min():.1e}")
    blind /= rms.astype(blind.dtype)
    last = [name for name in p if name.endswith(("/bn2/gamma", "tail/bn/gamma"))]
    return p | {"stem/conv/w": w} | {name: FAINT * p[name] for name in last}


def update_moving(
    moving: dict[str, Array], tape: dict, momentum: float = MOMENTUM
) -> dict[str, Array]:
    """The statistics after a step: momentum * moving + (1 - momentum) * (the batch's statistics).

    tape : of network.forward with batch statistics; its batch norm caches have mean and var.

    var is the sum of squares divided by M = N*H*W and not by M - 1. Keras documents this formula,
    and Keras 3 and float64 Keras compute it. The fused float32 kernel of older Keras on TensorFlow
    stores M / (M - 1) times as much; for the paper's M = 80,000 the difference is 1.25e-5 of var.
    """

    def updated(name):
        layer, statistic = name.rsplit("/", 1)
        return momentum * moving[name] + (1 - momentum) * getattr(tape[layer], statistic)

    return {name: updated(name) for name in moving}


def pooled(moving: dict[str, Array], tapes: Iterable[dict]) -> dict[str, Array]:
    """Mean and variance over all images of several batches of equal size, as a dict like `moving`.

    tapes : one or more, as for update_moving. The variance includes the variance of the batches'
    means, which an average of the batches' variances would not include.
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
    """(number of trainable parameters, number of moving statistics)."""
    return tuple(sum(int(np.prod(s)) for s in group.values()) for group in shapes(config))
