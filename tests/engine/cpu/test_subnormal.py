"""Subnormal numbers count as zero while the CPU engine works, and only then."""

import numpy as np
import pytest

from enhance_np import _threads, optim, params
from enhance_np.config import NetworkConfig
from enhance_np.engine import REFERENCE, select
from enhance_np.engine.cpu import vocabulary as cpu
from enhance_np.engine.cpu.subnormal import FLUSH, control, flushed, parallel
from enhance_np.engine.fold import fold
from enhance_np.training import loop
from enhance_np.training.options import TrainOptions
from enhance_np.weights import Weights, load, save

SUBNORMAL = np.float32(1e-40)
TINY = np.finfo(np.float32).tiny
known = pytest.mark.skipif(not FLUSH, reason="no control register is known for this processor")


def flushing():
    return control() & FLUSH == FLUSH


@known
@pytest.mark.parametrize("count", [1, 3])
def test_every_thread_flushes_while_it_works(count):
    _threads.set_threads(count)
    try:
        assert all(parallel(lambda _: flushing(), range(50)))
        assert not flushing()
        assert not any(_threads.parallel(lambda _: flushing(), range(50)))  # the same threads
    finally:
        _threads.set_threads(None)


@known
@pytest.mark.parametrize("pieces", [1, 9])
def test_what_the_caller_had_set_is_there_again(pieces):
    """The caller's setting is restored, also after an exception, and if it flushed already."""

    def fail(_):
        raise KeyError("x")

    before = control()
    with pytest.raises(KeyError):
        parallel(fail, range(pieces))
    assert control() & FLUSH == before & FLUSH == 0
    with flushed():
        with pytest.raises(KeyError):
            parallel(fail, range(pieces))
        assert flushing()
    with pytest.raises(KeyError), flushed():
        raise KeyError
    assert not flushing()


@known
def test_exceptions_that_were_noted_are_kept():
    """The same register has the exception flags of IEEE 754, which NumPy reads and clears."""
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError), flushed():
        np.ones(1) / np.zeros(1)


@known
def test_operations_of_the_engine():
    """Operands and results are flushed; the reference does not flush and keeps them."""
    x, zero = np.full((1, 8, 8, 16), SUBNORMAL), np.zeros((1, 8, 8, 16), np.float32)
    assert (REFERENCE.ops.add(x, zero) == SUBNORMAL).all()
    assert not cpu.add(x, zero).any()
    w, b = np.full((3, 3, 16, 16), 1e-30, np.float32), np.zeros(16, np.float32)
    for conv in (cpu.pad_conv, cpu.conv2d, cpu.upsample_conv):
        y, _ = conv(np.full_like(x, 1e-12), w, b)  # 144 products of 1e-42
        assert not y.any()


@known
def test_a_training_step_flushes_between_the_operations_too(files, monkeypatch):
    """Adam's moments become subnormal where gradients have become zero."""
    seen = []

    def adam(p, g, state, lr):
        seen.append(flushing())
        return optim_adam(p, g, state, lr)

    optim_adam = optim.adam
    monkeypatch.setattr(optim, "adam", adam)
    data, validation, output = files
    options = TrainOptions(epochs=1, batch_size=4, lr=1e-3)
    engine = select("cpu")
    loop.train(
        data, output, NetworkConfig(1, 4), options, engine, validation=validation,
        report=lambda row: seen.append(not flushing()),
    )  # fmt: skip
    assert len(seen) > 2
    assert all(seen)


def subnormal_weights(config):
    rng = np.random.default_rng(0)
    p, moving = params.initial(config, 0)
    for a in p.values():
        a[rng.random(a.shape) < 0.3] = SUBNORMAL
    return Weights(config, p, moving)


def count(arrays):
    return sum(np.count_nonzero(a) - np.count_nonzero(abs(a) >= TINY) for a in arrays)


def test_weights_are_saved_and_loaded_without_them(tmp_path, monkeypatch):
    import h5py

    weights = subnormal_weights(NetworkConfig(1, 4))
    assert count(weights.params.values()) > 100
    save(tmp_path / "w.h5", weights)
    found = []
    with h5py.File(tmp_path / "w.h5") as file:
        file.visititems(lambda _, d: found.append(d[()]) if isinstance(d, h5py.Dataset) else None)
    assert count(found) == 0
    with h5py.File(tmp_path / "w.h5", "a") as file:  # as other programs may write them
        file["conv2d_2/conv2d_2/kernel:0"][0] = SUBNORMAL
    assert count(load(tmp_path / "w.h5").params.values()) == 0
    large = weights.params["tail/conv/w"]
    np.testing.assert_array_equal(
        load(tmp_path / "w.h5").params["tail/conv/w"], np.where(abs(large) < TINY, 0, large)
    )


def test_folding_makes_none():
    """A normal weight times a small gamma may be subnormal."""
    config = NetworkConfig(1, 4)
    p, moving = params.initial(config, 0)
    p["block0/bn1/gamma"][:] = 1e-20
    p["block0/conv1/w"][:] = 1e-19
    folded = fold(Weights(config, p, moving))
    assert count([a for conv in folded.values() for a in conv]) == 0
    assert not folded["block0/conv1"].w.any()
