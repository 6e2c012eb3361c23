"""Workers that share every batch do what one process does with the whole of it.

They are threads here, and compute in float64, where rounding cannot hide a mistake; test_mpi.py
has processes.
"""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from definitions import doubled
from threaded import together
from trained import CONFIG, CPU, pairs, state, train

from enhance_np import params
from enhance_np.config import NetworkConfig
from enhance_np.engine import REFERENCE
from enhance_np.training import checkpoint, loop, workers
from enhance_np.training.options import TrainOptions
from enhance_np.training.step import gradients
from enhance_np.training.workers import ALONE, part

U32 = 2.0**-24
# of the largest: the roundings of some thousand additions in float64, 2^-53 each. A part that is
# left out, counted twice or weighed as another changes the gradients by percents
ROUNDING = 1e-12
# batches of 5 on two and three workers are uneven
OPTIONS = TrainOptions(epochs=2, batch_size=5, lr=2e-3, seed=7)
DOUBLE = REFERENCE._replace(
    asarray=lambda a: np.asarray(a, np.float64), asnumpy=lambda a: np.asarray(a, np.float32)
)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 32])
def test_parts_make_up_the_batch(size, count):
    parts = []
    for rank in range(size):
        worker = ALONE.__class__()
        worker.rank, worker.size = rank, size
        parts.append(np.arange(count)[part(worker, count)])
    assert np.concatenate(parts).tolist() == list(range(count))
    assert np.ptp([len(p) for p in parts]) <= 1


def of_parts(size, p, x, target, config, ops, moving=None):
    """gradients() of `size` workers."""

    def work(worker):
        own, engine = part(worker, len(x)), workers.sharing(REFERENCE._replace(ops=ops), worker)
        found = gradients(p, x[own], target[own], config, engine.ops, moving, worker.total)
        return *found, worker.calls

    return together(size, work)


@pytest.fixture
def batch(rng):
    """Patches of unequal level and contrast."""
    x, target = (rng.standard_normal((5, n, n, 1)).astype(np.float32) for n in (6, 12))
    scale = np.linspace(0.5, 1.5, 5, dtype=np.float32)[:, None, None, None]
    return 1 + scale * x, 1 + scale * target


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("activation", ["relu", "elu"])
@pytest.mark.parametrize("size", [2, 3, 5])
def test_gradients_are_those_of_the_whole_batch(batch, size, activation, frozen):
    """And batch norm's mean and variance, from which the moving averages are made."""
    config = NetworkConfig(2, 6, activation)
    p, moving = params.initial(config, 0, np.float64)
    moving = moving if frozen else None
    value, g, tape = gradients(p, *doubled(*batch), config, REFERENCE.ops, moving)
    found = of_parts(size, p, *doubled(*batch), config, REFERENCE.ops, moving)
    largest = max(abs(a).max() for a in g.values())
    norms = [layer for kind, layer, _ in params.layers(config) if kind == "bn"]
    for value_of_parts, of_all, tape_of_part, _ in found:
        assert value_of_parts == pytest.approx(value, rel=ROUNDING)
        for name in g:
            assert abs(of_all[name] - g[name]).max() <= ROUNDING * largest, name
            np.testing.assert_array_equal(of_all[name], found[0][1][name])
        for layer in norms:
            for got, exact in zip(tape_of_part[layer][3:5], tape[layer][3:5], strict=True):
                assert abs(got - exact).max() <= ROUNDING * abs(exact).max(), layer


@pytest.mark.parametrize("size", [2, 3])
def test_the_cpu_s_gradients_keep_the_bars_of_a_whole_batch(batch, size):
    """Those of engine/test_page.py, beside float64. ELU, because rounding moves ReLU's bends."""
    config = NetworkConfig(2, 16, "elu")
    p, _ = params.initial(config, 0)
    in_double = {name: a.astype(np.float64) for name, a in p.items()}
    _, exact, _ = gradients(in_double, *doubled(*batch), config, REFERENCE.ops)
    largest = max(abs(a).max() for a in exact.values())
    for _, found, _, _ in of_parts(size, p, *batch, config, CPU.ops):
        for name, want in exact.items():
            assert found[name].dtype == np.float32
            if abs(want).max() < 1e-12 * largest:  # see network.backward
                assert abs(found[name]).max() <= 1e-6 * largest, name
            else:
                error = np.linalg.norm(found[name] - want) / np.linalg.norm(want)
                assert error <= 1e-4, f"{name}: {error:.1e}"


@pytest.mark.parametrize(("frozen", "each"), [(False, 3), (True, 0)])
def test_messages_of_a_step(batch, frozen, each):
    """docs/training_on_many.md counts with them: three for a batch norm, and three more."""
    p, moving = params.initial(CONFIG, 0)
    _, _, _, calls = of_parts(2, p, *batch, CONFIG, CPU.ops, moving if frozen else None)[0]
    assert calls == 3 + each * 3


@pytest.fixture
def few(files, tmp_path):
    """Files of which the validation has fewer patches than there are workers."""
    return files[0], pairs(tmp_path / "few.h5", 1, n=2), files[2]


def shared(size, files, options, engine=DOUBLE, **keywords):
    """A training by `size` workers; one of them writes."""
    together(size, lambda w: train(files, options, engine, workers=w, **keywords))
    return state(files)


def assert_same(one, two):
    """Equal but for the rounding of what is stored, once in a state, to float32.

    Parameters without a gradient (see network.backward) move by Adam's share of a rounding error:
    1e-16 / 1e-7 of the learning rate, in every step.
    """
    assert one.random == two.random
    for before, after in zip(one.rows, two.rows, strict=True):
        assert before == pytest.approx(after, rel=1e-10)
    for a, b in (
        (one.params, two.params),
        (one.moving, two.moving),
        (one.adam.m, two.adam.m),
        (one.adam.v, two.adam.v),
    ):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=2 * U32, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize(
    "more",
    [{}, {"freeze": 1, "clip": 0.05, "warmup": 3, "decay": 0.1, "start": "contrast"}],
    ids=["plain", "more"],
)
def test_a_training_is_that_of_one_process(few, size, more):
    """Weights, moving averages, Adam's moments, the losses and the random numbers."""
    options = replace(OPTIONS, **more)
    train(few, options, DOUBLE)
    whole = state(few)
    assert_same(shared(size, few, options, overwrite=True), whole)


def test_a_training_goes_on_with_any_number_of_workers(few):
    for epochs in (1, 2, 3):
        train(few, replace(OPTIONS, epochs=epochs), DOUBLE, resume=True)
    whole = state(few)
    few[2].with_suffix(".checkpoint.h5").unlink()
    for size, epochs in ((2, 1), (1, 2), (3, 3)):
        found = shared(size, few, replace(OPTIONS, epochs=epochs), resume=True, overwrite=True)
    assert_same(found, whole)


def test_worker_0_writes(few, monkeypatch):
    writers, current = [], []

    def noted(write):
        def noting(*given, **named):
            writers.append(current[-1])
            write(*given, **named)

        return noting

    for module, name in ((loop, "save"), (loop, "write_log"), (checkpoint, "save")):
        monkeypatch.setattr(module, name, noted(getattr(module, name)))

    def work(worker):
        class Noted:
            rank, size = worker.rank, worker.size

            def total(self, own):
                found = worker.total(own)
                current.append(self.rank)  # they take turns
                return found

        train(few, OPTIONS, DOUBLE, workers=Noted())

    together(3, work)
    assert len(writers) >= 3 * OPTIONS.epochs
    assert set(writers) == {0}


def test_a_value_that_is_not_finite_ends_all(files):
    """It is in the part of one of them."""
    with h5py.File(files[0], "r+") as f:
        f["imSST"][:] = f["imSST"][()].clip(None, 1)
        f["imSST"][-1] = 3e38

    def work(worker):
        with np.errstate(all="ignore"), pytest.raises(FloatingPointError) as error:
            train(files, replace(OPTIONS, batch_size=24), CPU, workers=worker)
        return str(error.value)

    said = together(2, work)
    assert all("epoch 0, step 0" in line for line in said)
    assert not files[2].exists()


def test_every_worker_needs_a_patch(files):
    with pytest.raises(ValueError, match="batch_size must be 3 or more, a patch for each"):
        shared(3, files, replace(OPTIONS, batch_size=2))


def test_all_start_from_the_state_of_worker_0():
    p, moving = params.initial(CONFIG, 0)
    p["head/b"][:] = -0.0
    first = checkpoint.State(p, moving, loop.optim.adam_start(p), 0, 0, None, 0.0, ())

    def work(worker, about=lambda rank: {}):
        own = checkpoint.same_arrays(first, lambda a: a * np.float32(1 + U32 * 4 * worker.rank))
        return workers.same_start(worker, own, about(worker.rank))

    for found in together(2, work):
        for name, a in found.params.items():
            np.testing.assert_array_equal(a.view("u4"), p[name].view("u4"), err_msg=name)
    seen = []

    def differs(worker):
        with pytest.raises(ValueError, match="must have the same options.* on 1 of 3") as error:
            work(worker, lambda rank: {"lr": 1.0 if rank == 2 else 0.5})
        seen.append(error)

    together(3, differs)
    assert len(seen) == 3


def test_worker_0_makes_what_the_others_find():
    order = []
    together(3, lambda w: workers.after_the_first(w, lambda: order.append(w.rank)))
    assert order[0] == 0
    assert sorted(order) == [0, 1, 2]


def test_one_process_is_left_as_it_is():
    assert workers.sharing(CPU, ALONE) is CPU
