"""Copies during the computation, on the stand-in for CuPy: same bits, and no wait is missing."""

import gc
import inspect
from types import ModuleType

import numpy as np
import pytest
from cudaproof import device
from cudaproof.streams import Race

from enhance_np.engine.cuda import streams, training

# some fit into the memory of the image before, some do not
SIZES = [(3, 4), (5, 6), (5, 6), (2, 2), (16, 9), (7, 3)]
NAN = np.float32("nan")


def forward(x):
    return (x + 1).repeat(2, axis=1).repeat(2, axis=2)


def images():
    rng = np.random.default_rng(20100604)
    return [rng.standard_normal(size).astype(np.float32) for size in SIZES]


def expected(image):
    return (image + 1).repeat(2, axis=0).repeat(2, axis=1)


def go_through(through):
    """Each image gets its result, and nothing is left in progress if the caller stops early."""
    for image, y in zip(images(), through(forward, iter(images())), strict=True):
        np.testing.assert_array_equal(y, expected(image))
        y[...] = NAN  # its memory is reused
    for taken in (1, 2, 3):
        results = through(forward, images())
        for image in images()[:taken]:
            np.testing.assert_array_equal(next(results), expected(image))
        results.close()
        with pytest.raises(device.OutOfMemoryError):
            list(through(full_after(taken), images()))
        gc.collect()
        device.streams.check()
    results = through(forward, images())  # the caller may change the stream between two results
    for image in images():
        with device.cuda.Stream(non_blocking=True):
            np.testing.assert_array_equal(next(results), expected(image))


def full_after(taken):
    """Like forward, but the memory of the card is full after `taken` images."""
    left = iter(range(taken))

    def forward_or_full(x):
        if next(left, None) is None:
            raise device.OutOfMemoryError
        return forward(x)

    return forward_or_full


def test_results_are_those_of_one_image_alone(stand_in):
    go_through(streams.through)
    assert list(streams.through(forward, [])) == []


def test_an_image_of_any_layout_and_one_alone(stand_in):
    image = images()[4][::2, ::-1]
    (y,) = (y.copy() for y in streams.through(forward, [image]))
    np.testing.assert_array_equal(y, expected(image))


def test_what_is_under_way_while_the_host_waits(stand_in, monkeypatch):
    """Two images are in progress before the host waits for the first; copies have own streams."""
    said, before = [], stand_in.streams.copy
    compute = stand_in.cuda.get_current_stream()

    def copy(target, source, up, stream):
        pinned = stand_in.streams._owner(source if up else target)
        assert isinstance(pinned, stand_in.streams.PinnedMemory)
        assert stream._alone
        assert stream is not compute
        said.append(("up" if up else "down", stream))
        before(target, source, up, stream)

    wait = stand_in.cuda.Event.synchronize
    monkeypatch.setattr(stand_in.streams, "copy", copy)
    monkeypatch.setattr(
        stand_in.cuda.Event, "synchronize", lambda self: said.append(("wait", None)) or wait(self)
    )

    def computed(x):
        said.append(("compute", None))
        return forward(x)

    def taken():
        for image in images():
            said.append(("take", None))
            yield image

    for _ in streams.through(computed, taken()):
        said.append(("use", None))
    start, give = ["up", "compute", "down"], ["wait", "use"]
    each = ["take", *give, *start] * (len(SIZES) - 2)
    end = ["wait", "wait"]  # for both copy streams
    order = ["take", *start, "take", *start, *each, *give, *give, *end]
    assert [word for word, _ in said] == order
    assert len({stream for word, stream in said if word in ("up", "down")}) == 2


# name -> (before, after), ... in the source of the module
FAULTS = {
    "kernels do not wait for the upload": ("compute.wait_event(self.arrived)", "pass"),
    "download does not wait for the kernels": ("down.wait_event(self.computed)", "pass"),
    "host does not wait for the download": ("self.back.synchronize()", "pass"),
    "new room is not waited for": (
        "self.streams.up.wait_event(self.streams.compute.record())",
        "pass",
    ),
    "result given back before it is down": (
        "down.record(self.back)",
        "down.record(self.back)\n        self.size, self.y = self.y.size, None",
    ),
    "one buffer instead of two": ("cycle(slots)", "cycle(slots[:1])"),
    "one more under way than buffers": ("if len(under_way) == SLOTS", "if len(under_way) > SLOTS"),
    "upload not over at the end": ("        streams.up.synchronize()\n", "        pass\n"),
    "download not over at the end": ("        streams.down.synchronize()\n", "        pass\n"),
    "nothing over at an error": ("finally:", "except ZeroDivisionError:"),
    "event before the upload": (
        "x.set(sent, up)\n        up.record(self.arrived)",
        "up.record(self.arrived)\n        x.set(sent, up)",
    ),
    "event before the kernels": (
        "self.y = forward(x)\n        compute.record(self.computed)",
        "compute.record(self.computed)\n        self.y = forward(x)",
    ),
    "event before the download": (
        "self.y.get(down, out=self.fetched, blocking=False)\n        down.record(self.back)",
        "down.record(self.back)\n        self.y.get(down, out=self.fetched, blocking=False)",
    ),
    "event in another stream": ("down.record(self.back)", "up.record(self.back)"),
    "kernels in the caller's stream": ("with streams.compute:", "if True:"),
    "events exchanged": ("down.wait_event(self.computed)", "down.wait_event(self.arrived)"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_seen(name, stand_in):
    """It gives a wrong number, or an error of the stand-in."""
    text = inspect.getsource(streams)
    before, after = FAULTS[name]
    assert text.count(before) == 1
    module = ModuleType(streams.__name__)
    exec(compile(text.replace(before, after), name, "exec"), module.__dict__)
    with pytest.raises((AssertionError, Race)) as seen:
        go_through(module.through)
    print(f"{name}: {seen.value!r}"[:100])
    del seen
    gc.collect()
    stand_in.streams.forget()  # further errors of the same fault


@pytest.mark.parametrize(("status", "error"), [(2, MemoryError), (700, device.CUDARuntimeError)])
def test_page_locked_memory_that_cannot_be_had(status, error, stand_in, monkeypatch):
    """Status 2 is that the memory is full; others, such as an illegal address, are passed on."""

    def full(nbytes):
        raise stand_in.CUDARuntimeError(status)

    monkeypatch.setattr(stand_in.cuda, "alloc_pinned_memory", full)
    with pytest.raises(error):
        next(streams.through(forward, images()))


def test_a_number_that_is_dropped_waits_for_its_copy(stand_in):
    value = stand_in.asarray(np.array(2.5))
    assert training.reading(value)() == 2.5
    training.reading(value)
    gc.collect()
    stand_in.streams.check()
