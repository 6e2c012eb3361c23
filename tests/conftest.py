import signal
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from cudaproof import device, emulator
from trained import pairs

from enhance_np import params, weights
from enhance_np.config import NetworkConfig
from enhance_np.engine.cuda import launch

# A background job of a shell ignores SIGINT, and so would every program that a test interrupts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture
def card(monkeypatch):
    """The stand-in as an A100 by its data sheet; the timings are 1, 2, 3, ... ms in turn."""
    monkeypatch.setitem(sys.modules, "cupy", device)
    for place, name, value in (
        (device, "__version__", "0"),
        (device.Device, "attributes", {"ClockRate": 1410000, "MultiProcessorCount": 108}),
        (device.cuda, "nvrtc", SimpleNamespace(getVersion=lambda: (12, 9))),
        (device.cuda.runtime, "getDeviceProperties", lambda i: {"name": b"A100"}),
    ):
        monkeypatch.setattr(place, name, value, raising=False)
    elapsed = iter(range(1, 100_000))
    monkeypatch.setattr(
        device.cuda, "get_elapsed_time", lambda start, end: float(next(elapsed)), raising=False
    )
    return device
