"""The stand-in's streams: copies happen as late as CUDA allows, and missing waits are errors."""

import gc

import numpy as np
import pytest
from cudaproof import device as cupy
from cudaproof.streams import Race, check


@pytest.fixture(autouse=True)
def settled():
    yield
    gc.collect()
    check()


@pytest.fixture
def beside():
    return cupy.cuda.Stream(non_blocking=True)


@pytest.fixture
def host():
    return pinned(3)


def pinned(size):
    return np.frombuffer(cupy.cuda.alloc_pinned_memory(4 * size), np.float32, size)


def sent(x, host, stream):
    """Copies host to x in the stream, once x is allocated; returns the event at its end."""
    stream.wait_event(cupy.cuda.get_current_stream().record())
    x.set(host, stream)
    return stream.record()


def test_what_is_sent_can_be_overwritten_until_the_copy_is_waited_for(beside, host):
    x = cupy.empty(3, cupy.float32)
    host[...] = 1
    arrived = sent(x, host, beside)
    host[...] = 2
    cupy.cuda.Stream.null.wait_event(arrived)
    assert (x + 0).get().tolist() == [2, 2, 2]
    host[...] = 3
    sent(x, host, beside).synchronize()
    host[...] = 4
    assert x.get().tolist() == [3, 3, 3]


def test_what_is_fetched_is_there_only_when_it_was_waited_for(beside, host):
    x = cupy.ones(3, cupy.float32)
    beside.wait_event(cupy.cuda.Stream.null.record())
    x.get(beside, out=host, blocking=False)
    assert np.isnan(host).all()
    beside.synchronize()
    assert (host == 1).all()


def test_in_one_stream_each_thing_follows_the_other(host):
    x = cupy.ones(3, cupy.float32)
    x.get(out=host, blocking=False)
    assert np.isnan(host).all()
    x += 1  # after the copy
    assert (host == 1).all()
    cupy.cuda.Stream.null.synchronize()


def test_memory_that_is_not_pinned_is_waited_for(beside):
    x, host = cupy.ones(3, cupy.float32), np.zeros(3, np.float32)
    beside.wait_event(cupy.cuda.Stream.null.record())
    x.get(beside, out=host, blocking=False)
    assert (host == 1).all()
    beside.synchronize()


def test_an_event_stands_for_what_it_was_when_it_was_waited_for(beside, host):
    """Recording it again does not change earlier waits; a wait for one never recorded does
    nothing."""
    x, other = cupy.ones(3, cupy.float32), pinned(3)
    null, event = cupy.cuda.Stream.null, cupy.cuda.Event()
    beside.wait_event(event)
    beside.wait_event(null.record(event))
    null.record(event)
    x.get(beside, out=host, blocking=False)
    third = cupy.cuda.Stream(non_blocking=True)
    third.wait_event(beside.record(event))
    x.get(beside, out=other, blocking=False)
    beside.record(event)
    third.synchronize()
    assert (host == 1).all()
    assert np.isnan(other).all()
    event.synchronize()
    assert (other == 1).all()


def test_a_blocking_stream_and_the_null_stream_wait_for_each_other(host):
    x, plain = cupy.ones(3, cupy.float32), cupy.cuda.Stream()
    x.get(plain, out=host, blocking=False)
    x += 1
    assert (host == 1).all()
    plain.synchronize()


def test_kernels_and_copies_that_do_not_wait_are_told(beside, host):
    x = cupy.empty(3, cupy.float32)
    with pytest.raises(Race, match="not waited for"):
        x.set(host, beside)  # kernels may still use the block of memory
    arrived = sent(x, host, beside)
    with pytest.raises(Race, match="not waited for"):
        x + 1
    cupy.cuda.Stream.null.wait_event(arrived)
    x += 1
    with pytest.raises(Race, match="not waited for"):
        x.get(beside, out=host, blocking=False)
    with beside, pytest.raises(Race, match="not waited for"):
        x.sum()
    beside.synchronize()


def test_pinned_memory_must_outlive_its_copies(beside):
    x, host = cupy.ones(3, cupy.float32), pinned(3)
    beside.wait_event(cupy.cuda.Stream.null.record())
    x.get(beside, out=host, blocking=False)
    host = None
    with pytest.raises(Race, match="pinned memory is given back"):
        check()
    beside.synchronize()


def test_memory_of_the_card_must_outlive_the_copies_of_other_streams(beside, host):
    null = cupy.cuda.Stream.null
    x = cupy.ones(3, cupy.float32)
    beside.wait_event(null.record())
    x.get(beside, out=host, blocking=False)
    x = None
    with pytest.raises(Race, match="while another stream"):
        check()
    for waiting in (null.wait_event, lambda event: event.synchronize()):
        x = cupy.ones(3, cupy.float32)
        beside.wait_event(null.record())
        x.get(beside, out=host, blocking=False)
        waiting(beside.record())
        x = None
        check()
    x = cupy.ones(3, cupy.float32)
    x.get(out=host, blocking=False)
    x = None  # safe: its memory is reused later, in the same stream
    null.synchronize()
    assert (host == 1).all()
    beside.synchronize()
