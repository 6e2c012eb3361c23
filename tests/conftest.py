import sys

import numpy as np
import pytest
from cudaproof import device, emulator
from trained import pairs

from enhance_np import params, weights
from enhance_np.config import NetworkConfig
from enhance_np.engine.cuda import launch


@pytest.fixture
def rng():
    return np.random.default_rng(20100604)


@pytest.fixture
def files(tmp_path):
    """Files of a tiny training: (training data, validation data, weights)."""
    return pairs(tmp_path / "a.h5", 0), pairs(tmp_path / "b.h5", 1), tmp_path / "w.h5"


@pytest.fixture
def tiny(tmp_path):
    """Weights of an untrained network, for tests in which the quality of the output is
    irrelevant."""
    config = NetworkConfig(1, 4)
    path = tmp_path / "tiny.h5"
    weights.save(path, weights.Weights(config, *params.initial(config, 0), {"type": "intensity"}))
    return path


@pytest.fixture
def stand_in(monkeypatch):
    """The stand-in for CuPy, on which enhance_np.engine.cuda runs in the test."""
    if (reason := emulator.missing()) is not None:
        pytest.skip(reason)
    launch.forget()
    monkeypatch.setitem(sys.modules, "cupy", device)
    yield device
    launch.forget()
    device.streams.check()
