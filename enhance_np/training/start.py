"""The state in which a training starts: newly initialised kernels, or those of a file."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import optim, params
from .._random import stream
from ..config import NetworkConfig
from ..engine import REFERENCE
from ..weights import Weights, identified
from .batches import Pairs, drawn
from .checkpoint import State
from .options import TrainOptions

STARTED_OVER = 256  # patches over which the start "contrast" measures the mean level


def read(config: NetworkConfig, options: TrainOptions) -> tuple[str, Weights | None]:
    """(description, weights) of the start; weights are None unless it is a weights file.

    The description names a file by its name and its sha256.
    Raises FileNotFoundError; OSError if the file cannot be read; ValueError for weights of another
    network or type.
    """
    if not options.from_weights:
        return options.start, None
    path = Path(options.start)
    if not path.is_file():
        raise FileNotFoundError(
            f"train: start must be he, contrast or an existing weights file, got {path}"
        )
    weights, content = identified(path, config.activation)
    wanted, found = (replace(c, refine_filters=c.refine) for c in (config, weights.config))
    if found != wanted:
        raise ValueError(f"train: {path} must hold weights of {wanted!r}, got {found!r}")
    if (made_for := weights.provenance.get("type", options.type)) != options.type:
        raise ValueError(f"train: {path} must hold weights for {options.type}, got {made_for}")
    return f"{path.name}, sha256 {content}", weights


def first_state(
    config: NetworkConfig, options: TrainOptions, pairs: Pairs, weights: Weights | None
) -> State:
    """The state before the first step, with params and statistics according to options.start."""
    if weights is not None:
        p, moving = (
            {name: a.astype(np.float32) for name, a in group.items()}
            for group in (weights.params, weights.moving)
        )
    else:
        p, moving = params.initial(config, options.seed)
    if options.start == "contrast":
        rng = stream(options.seed, "start")
        [(x, _)] = drawn(pairs, [slice(STARTED_OVER)], options.noise, REFERENCE, rng, augment=False)
        p = params.contrasted(p, x)
    return State(p, moving, optim.adam_start(p), 0, 0, None, 0.0, ())
