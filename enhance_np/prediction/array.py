"""Prediction of arrays: units, missing pixels, orientations."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from .. import models
from ..engine import select
from ..engine.predictor import Predictor
from ..observation import normalise
from ..observation.holders import check_image, unmasked
from ..weights import Weights, identified
from .ensemble import mean_and_spread


def predict(
    image: np.ndarray,
    type: str = "intensity",
    weights: Weights | str | os.PathLike | None = None,
    norm: str | float = "quiet-sun",
    device: str = "auto",
    tile: int | None = None,
    ensemble: bool = False,
) -> np.ndarray:
    """Deconvolve an HMI image and double its sampling.

    image : (H, W), H and W >= 2, any real dtype; intensity in any unit, or field in G. NaN and
    masked pixels are missing. Not changed.
    type : "intensity" or "blos" (line-of-sight field).
    weights : a file, loaded weights, or None for the shipped default network.
    norm : intensity that becomes 1 in the network: "quiet-sun", "max", "none" or a number.
    Fields are always divided by 1000 G.
    device : "auto", "cpu" or "gpu".
    tile : amount to process at a time, which determines the memory. On the CPU it is a number of
    input lines, and any value gives the same bits. On a GPU it is the side of a square tile in
    pixels, and another value may change the rounding.
    ensemble : average over the eight rotations and reflections of the image; takes 8 times as long.

    Returns (2H, 2W) float32 in the units of the image, NaN where it is missing. Input pixel (i, j)
    covers output pixels 2i, 2i+1 and 2j, 2j+1.
    Raises ValueError for an invalid argument, OSError for weights that cannot be read,
    RuntimeError for a missing GPU.
    """
    weights = _loaded(weights, type)
    image = unmasked(image)
    check_image(image)
    divisor = normalise.norm_value(image, norm, type)
    predictor = select(device).predictor(weights)
    return apply(image, type, predictor, divisor, tile, ensemble=ensemble).output


def predict_all(
    images: Iterable[np.ndarray],
    type: str = "intensity",
    weights: Weights | str | os.PathLike | None = None,
    norm: str | float = "quiet-sun",
    device: str = "auto",
    tile: int | None = None,
) -> Iterator[np.ndarray]:
    """`predict` for each of many images, in order, for example an archive of cut-outs.

    images : of any sizes, taken one by one when they are needed, so a generator that reads files
    can be used. Each is divided by its own norm.  The rest is as in `predict`.

    The results are those of `predict`. A GPU already computes the next images, with two tiles in
    progress, while a result is used, so that reading, dividing and writing cost it no time. An
    error of an image may therefore be raised before the results of the images just before it.
    Raises the errors of `predict` at once, except those of an image.
    """
    weights, engine = _loaded(weights, type), select(device)
    check_weights(weights, type)
    normalise.check_norm(norm)
    images = iter(images)
    divided = deque()

    def taken():
        for image in map(unmasked, images):
            check_image(image)
            norm_of_it = normalise.norm_value(image, norm, type)
            x, mask = normalise.divided(image, norm_of_it)
            divided.append((mask, norm_of_it))
            yield x, ~mask if mask.any() else None

    results = engine.predictor(weights).each(taken(), tile)
    return (in_units(y, *divided.popleft()) for y in results)


def _loaded(weights: Weights | str | os.PathLike | None, type: str) -> Weights:
    if type not in models.TYPES:
        raise ValueError(f"predict: type must be one of {models.TYPES}, got {type!r}")
    return chosen(weights, type)[0]


def chosen(
    weights: Weights | str | os.PathLike | None,
    type: str | None,
    model: str = "default",
    activation: str | None = None,
) -> tuple[Weights, str | None]:
    """(weights, sha256 of their file): those given, or the shipped ones of `type` and `model`.

    weights : loaded weights, whose sha256 is None, a file, or None.
    type : "intensity" or "blos"; needed for shipped weights only.
    activation : of a file that does not store it, see weights.load.
    Raises as models.path and weights.load.
    """
    if isinstance(weights, Weights):
        return weights, None
    return identified(models.path(type, model) if weights is None else weights, activation)


def check_weights(weights: Weights, type: str) -> None:
    """Raise ValueError if the weights store another type; files of Keras store none."""
    trained_for = weights.provenance.get("type", type)
    if trained_for != type:
        raise ValueError(f"predict: the weights must be for {type}, got weights for {trained_for}")


class Enhanced(NamedTuple):
    output: np.ndarray  # (2H, 2W) float32, in the units of the image, NaN where it is missing
    spread: np.ndarray | None  # the same for the spread of the ensemble; None without one


def apply(
    image: np.ndarray,
    type: str,
    predictor: Predictor,
    norm: normalise.Norm,
    tile: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    ensemble: bool = False,
) -> Enhanced:
    """`predict` with a predictor that was made before.  norm : the divisor of the image."""
    check_weights(predictor.weights, type)
    x, mask = normalise.divided(image, norm)
    valid = ~mask if mask.any() else None

    def forward(x, valid, progress):
        return predictor(x, tile, progress, valid)

    if not ensemble:
        return Enhanced(in_units(forward(x, valid, progress), mask, norm), None)
    mean, spread = mean_and_spread(forward, x, valid, type, progress)
    return Enhanced(in_units(mean, mask, norm), in_units(spread, mask, norm))


def in_units(y: np.ndarray, mask: np.ndarray, norm: normalise.Norm) -> np.ndarray:
    """normalise.multiplied, in place. Raises ValueError if a pixel outside gaps is not finite."""
    y = normalise.multiplied(y, mask, norm)
    if np.count_nonzero(~np.isfinite(y)) != 4 * np.count_nonzero(mask):
        raise ValueError(
            f"predict: the result must be finite, got NaN or infinity with norm={norm.level:g}: "
            "check the units of the image, and whether the weights are those of a trained network"
        )
    return y
