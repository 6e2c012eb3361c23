"""Weights files for tests: those of tests/reference/, and random ones for every kind of network."""

import shutil
from pathlib import Path

import numpy as np

from enhance_np.config import NetworkConfig
from enhance_np.params import initial
from enhance_np.weights import Weights

REFERENCE = Path(__file__).parents[1] / "reference"
CONFIGS = {
    "depth0": NetworkConfig(depth=0, filters=3),
    "tiny": NetworkConfig(depth=1, filters=4),
    "refine4x": NetworkConfig(depth=1, filters=4, refine_filters=16),
    "elu": NetworkConfig(depth=2, filters=3, activation="elu"),
    "deep": NetworkConfig(depth=6, filters=2),  # has conv2d_16 and batch_normalization_13
}
PROVENANCE = {
    "type": "blos",
    "normalisation": "kG",
    "seed": 2**70,  # more than 64 bits
    "validation_loss": 0.1 + 0.2,
    "data": "MURaM, B = 100 G, µ = 1",
}


def random_weights(config, dtype=np.float32, provenance=PROVENANCE):
    """No two values are equal, so that swapped tensors are noticed."""
    rng = np.random.default_rng(5)
    params, moving = initial(config, seed=5, dtype=dtype)
    for group in (params, moving):
        for name, a in group.items():
            group[name] = (a + 0.2 * rng.random(a.shape)).astype(dtype)
    return Weights(config, params, moving, provenance)


def copied(tmp_path, name):
    """A copy of a reference file, which the test may change."""
    return shutil.copy(REFERENCE / f"weights_{name}.h5", tmp_path / f"{name}.h5")


def fault(error, path):
    """The error message after "load: PATH: "; asserts that it is one line."""
    message = str(error.value)
    assert message.startswith(f"load: {path}: ")
    assert "\n" not in message
    return message.removeprefix(f"load: {path}: ")
