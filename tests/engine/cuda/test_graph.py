"""Training steps by CUDA graphs, on the stand-in for CuPy: no graph has run on a GPU."""

import gc
import inspect
import logging
from dataclasses import replace
from hashlib import sha256
from itertools import count
from types import ModuleType

import numpy as np
import pytest
from cudaproof.streams import CaptureError, Race
from trained import OPTIONS, assert_same_bits, state, train

from enhance_np import optim, params
from enhance_np.config import NetworkConfig
from enhance_np.engine import Engine, cuda, gpu, select
from enhance_np.engine.cuda import graph, training

CONFIG = NetworkConfig(1, 8)
STEPS = 7  # each graph is launched twice or more
L2, CLIP = 1e-2, 0.1


@pytest.fixture(autouse=True)
def card(stand_in):
    with stand_in.running("fast", "shuffled"):
        yield stand_in


def batch(cupy, k, size=(2, 5, 4)):
    n, h, w = size
    rng = np.random.default_rng(k)
    shapes = (n, h, w, 1), (n, 2 * h, 2 * w, 1)
    return [cupy.asarray(rng.standard_normal(shape).astype(np.float32)) for shape in shapes]


def start(cupy):
    on_card = [
        {name: cupy.asarray(a) for name, a in group.items()} for group in params.initial(CONFIG, 3)
    ]
    return on_card[0], optim.adam_start(on_card[0]), on_card[1]


def digest(*groups):
    """Of the bits of all arrays: pytest takes minutes to tell how two lists of bits differ."""
    return sha256(
        b"".join(a.get().tobytes() for group in groups for a in group.values())
    ).hexdigest()


def trained(cupy, step, steps=STEPS):
    """The bits after every step. The state before a step is read when the next one has begun, as
    the loop does if a loss is not finite."""
    p, adam, moving = start(cupy)
    found, before = [], None
    for k in range(steps):
        x, target = batch(cupy, k)
        last = p
        p, adam, loss, tape = step(p, adam, x, target, CONFIG, cuda, 1e-3 * (k + 1), L2, None, CLIP)
        del x, target
        moving = training.update_moving(moving, tape)
        found.append(digest(p, adam.m, adam.v, moving, {"loss": loss}))
        if before is not None:
            found.append(digest(before))
        before = last
    return found


def test_the_bits_are_those_of_plain_steps(card):
    assert trained(card, graph.GraphStep()) == trained(card, training.step)


def test_the_host_launches_only_the_graph(card, monkeypatch):
    step, host, launched = graph.GraphStep(), [], []
    p, adam, _ = start(card)
    call, whole = card.RawKernel.__call__, card.streams.Graph.launch
    monkeypatch.setattr(
        card.RawKernel, "__call__", lambda self, *a: host.append(self.name) or call(self, *a)
    )
    monkeypatch.setattr(
        card.streams.Graph, "launch", lambda self: launched.append(self) or whole(self)
    )
    counts = []
    for k in range(STEPS):
        x, target = batch(card, k)
        host.clear()
        with card.running("fast") as run, card.counted() as others:
            p, adam, *_ = step(p, adam, x, target, CONFIG, cuda, 1e-3, L2)
        counts.append((len(host), len(run)))
    once = counts[0][0]
    assert [run for _, run in counts] == STEPS * [once]  # on the card, all kernels
    assert [called for called, _ in counts] == 4 * [once] + (STEPS - 4) * [0]
    assert others == {"copy": 2, "fill": 1}  # images, targets and the rate
    assert len(launched) == STEPS - 1
    assert len(set(map(id, launched))) == graph.STATES


def test_other_batches_and_constants_are_other_graphs(card):
    """The last batch of another size, or frozen statistics, and back."""

    def through(step):
        p, adam, moving = start(card)
        found = []
        for k, (size, l2, frozen) in enumerate(
            [((2, 5, 4), L2, False)] * 3
            + [((1, 3, 6), L2, False)] * 2
            + [((2, 5, 4), 0.0, False)] * 2
            + [((2, 5, 4), 0.0, True), ((2, 5, 4), 0.0, False)]
        ):
            given = moving if frozen else None
            p, adam, loss, tape = step(
                p, adam, *batch(card, k, size), CONFIG, cuda, 1e-3, l2, given, CLIP
            )
            moving = moving if frozen else training.update_moving(moving, tape)
            found.append(digest(p, adam.m, adam.v, moving, {"loss": loss}))
        return found

    assert through(graph.GraphStep()) == through(training.step)


def engine(step):
    from cudaproof import device

    move, rest = (device.asarray, device.asnumpy), (training.reading, training.update_moving)
    return Engine("gpu", cuda, *move, step, *rest)


def test_a_training_has_the_bits_of_one_without(files):
    """With checkpoints and decoupled decay, which changes the parameters between steps."""
    options = replace(OPTIONS, epochs=1, decay=0.1, clip=0.5)
    train(files, options, engine(training.step))
    whole = state(files)
    train(files, options, engine(graph.GraphStep()), overwrite=True)
    assert_same_bits(state(files), whole)

    def interrupt(row):
        if row.get("step") == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(files, options, engine(graph.GraphStep()), report=interrupt, overwrite=True)
    train(files, options, engine(graph.GraphStep()), resume=True)
    assert_same_bits(state(files), whole)


def refused(*_, **__):
    raise CaptureError("no capture\nhere")


def one_that_waits(run):
    """training.run, whose second call waits for the card."""
    calls = []

    def called(p, *rest):
        calls.append(1)
        if len(calls) == 2:
            float(p.buffer[0])
        return run(p, *rest)

    return called


def second_is_full(cupy, room):
    calls = []

    def called(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise cupy.OutOfMemoryError("no more")
        return room(*arguments)

    return called


@pytest.mark.parametrize("fault", ["begins", "waits", "ends", "memory", "full"])
def test_where_recording_fails_steps_are_plain(fault, card, monkeypatch, caplog):
    want = trained(card, training.step)
    end, sizes = card.cuda.Stream.end_capture, count()
    place, name, other = {
        "begins": (card.cuda.Stream, "begin_capture", refused),
        "waits": (training, "run", one_that_waits(training.run)),
        "ends": (card.cuda.Stream, "end_capture", lambda self: end(self) and refused()),
        "memory": (card.MemoryPool, "total_bytes", lambda self: next(sizes)),
        "full": (training, "room", second_is_full(card, training.room)),
    }[fault]
    monkeypatch.setattr(place, name, other)
    step = graph.GraphStep()
    with caplog.at_level(logging.WARNING):
        assert trained(card, step) == want
    assert step.failed
    (record,) = caplog.records
    assert "without CUDA graphs" in record.getMessage()
    assert "\n" not in record.getMessage()


# name -> (before, after) in the source of the module
FAULTS = {
    "memory of the common pool": (
        "using_allocator(self.pool.malloc), self.stream:\n                self.stream.begin",
        "using_allocator(None), self.stream:\n                self.stream.begin",
    ),
    "two states": ("STATES = 3", "STATES = 2"),
    "images not copied": (
        "self.x[...], self.target[...] = x, target",
        "self.target[...] = target",
    ),
    "rate not set": ("to.rate.fill(", "(lambda *_: None)("),
    "rate of the first step": ("t = adam.step + 1\n        to", "t = 1\n        to"),
    "state not copied": ("if own is not given:", "if False:"),
    "one graph for all": (
        "self.graphs[self.at] = self.graphs[self.at] or",
        "self.graphs[self.at] = self.graphs[0] or",
    ),
    "kernels do not wait for the batch": ("self.stream.wait_event(current.record())", "pass"),
    "the current stream does not wait": ("current.wait_event(self.stream.record())", "pass"),
    "the caller's images in the graph": (
        "self.x[...], self.target[...] = x, target",
        "self.x = x\n        self.target[...] = target",
    ),
    "constants of the first step": ("config, id(ops), l2, clip\n", "config, id(ops), clip\n"),
}


def other_constants(cupy, step):
    p, adam, _ = start(cupy)
    for k in range(4):
        l2 = L2 * (k + 1)
        p, adam, *_ = step(p, adam, *batch(cupy, k), CONFIG, cuda, 1e-3, l2, None, CLIP)
    return digest(p)


def compared(cupy, step):
    for way in (trained, other_constants):
        assert way(cupy, step()) == way(cupy, training.step)
    cupy.streams.check()


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_seen(name, card):
    text = inspect.getsource(graph)
    before, after = FAULTS[name]
    assert text.count(before) == 1
    module = ModuleType(graph.__name__)
    module.__package__ = graph.__package__
    exec(compile(text.replace(before, after), name, "exec"), module.__dict__)
    with pytest.raises((AssertionError, Race)) as seen:
        compared(card, module.GraphStep)
    print(f"{name}: {seen.value!r}"[:100])
    del seen
    gc.collect()
    card.streams.forget()  # further errors of the same fault


def test_graphs_are_off_by_themselves(monkeypatch):
    monkeypatch.setattr(gpu, "probe", lambda: None)
    assert select("gpu").step is training.step
    assert isinstance(select("gpu", graph=True).step, graph.GraphStep)
    assert select("cpu", graph=True).step is None
