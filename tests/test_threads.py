import os
import threading
import time
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from enhance_np import _threads as threads
from enhance_np import params
from enhance_np.config import NetworkConfig
from enhance_np.engine import select
from enhance_np.weights import Weights


@pytest.fixture
def job(rng):
    config = NetworkConfig(1, 16)
    weights = Weights(config, *params.initial(config, 0))
    x = rng.standard_normal((40, 50)).astype(np.float32)
    return lambda: select("cpu").predictor(weights)(x)


def test_several_python_threads_at_once(job):
    want = job()
    with ThreadPoolExecutor(4) as callers:
        for got in callers.map(lambda _: job(), range(8)):
            np.testing.assert_array_equal(got, want)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_after_a_fork(job):
    want = job()  # the parent's pool exists now
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(job(), want) else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.fixture(params=[1, 2, 3, 5])
def count(request):
    threads.set_threads(request.param)
    yield request.param
    threads.set_threads(None)


def test_nested_it_keeps_nothing_once_it_returned(count):
    """Cancelled helpers stay in the pool's queue while all of its threads are in the outer call."""

    def outer(_):
        given = np.zeros(3)
        made = threads.parallel(lambda i, given=given: given + i, range(8))
        left = [weakref.ref(array) for array in (given, *made)]
        del given, made
        return [array() is None for array in left]

    assert all(all(gone) for gone in threads.parallel(outer, range(6)))


def test_every_piece_is_done_once_and_results_are_in_order(count):
    done = Counter()
    lock = threading.Lock()

    def task(piece):
        with lock:
            done[piece] += 1
        if piece % 7 == 0:
            time.sleep(0.001)  # other threads overtake this one
        return piece**2

    for pieces in (0, 1, 2, 100):
        done.clear()
        assert threads.parallel(task, iter(range(pieces))) == [k**2 for k in range(pieces)]
        assert done == dict.fromkeys(range(pieces), 1)


def test_as_many_threads_work_as_were_asked_for(count):
    """All of them, the calling thread included, work on a piece at the same moment."""
    meeting = threading.Barrier(count, timeout=20)

    def task(piece):
        meeting.wait()
        return threading.get_ident()

    assert threads.threads() == count
    seen = threads.parallel(task, range(count))
    assert len({*seen}) == count
    assert threading.get_ident() in seen


def test_more_threads_than_pieces(count):
    def task(piece):
        return threading.get_ident()

    assert len({*threads.parallel(task, range(2))}) <= min(count, 2)


def test_nested_it_does_not_wait_for_itself(count):
    """Every thread of the pool may be in the outer task when the inner one begins."""

    def outer(i):
        return sum(threads.parallel(lambda j: threads.parallel(inner, range(3))[j], range(3)))

    def inner(k):
        time.sleep(0.0005)
        return k

    found = []
    thread = threading.Thread(
        target=lambda: found.extend(threads.parallel(outer, range(8))), daemon=True
    )
    thread.start()
    thread.join(30)
    assert found == [3] * 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_as_many_threads(count):
    """The threads of the parent do not survive the fork."""
    threads.parallel(abs, range(9))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            meeting = threading.Barrier(count, timeout=10)
            threads.parallel(lambda piece: meeting.wait(), range(count))
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_within_a_task_works_on_its_own(count):
    def task(piece):
        child = os.fork()
        if child == 0:
            os._exit(sum(threads.parallel(int, range(5))))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert threads.parallel(task, range(3)) == [10] * 3


def test_the_first_exception_is_raised_and_no_further_piece_begins(count):
    begun = []

    def task(piece):
        begun.append(piece)
        if piece == 2:
            raise ArithmeticError(piece)
        time.sleep(0.005)

    with pytest.raises(ArithmeticError):
        threads.parallel(task, range(100))
    assert len(begun) <= 4 * count
    assert threads.parallel(abs, range(-5, 5)) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]


def test_it_returns_only_when_no_thread_is_in_a_task():
    """Also after an exception, so that the caller may use the arrays again."""
    threads.set_threads(5)
    try:
        for _ in range(8):  # the thread that sleeps varies
            inside, meeting, lock = [], threading.Barrier(5, timeout=20), threading.Lock()
            caller = threading.get_ident()

            def task(piece, inside=inside, meeting=meeting, lock=lock, caller=caller):
                meeting.wait()
                if threading.get_ident() == caller:
                    return
                with lock:
                    sleeps = not inside
                    inside.append(piece)
                if sleeps:
                    time.sleep(0.03)
                    inside.clear()
                else:
                    raise ArithmeticError(piece)

            with pytest.raises(ArithmeticError):
                threads.parallel(task, range(5))
            assert not inside
    finally:
        threads.set_threads(None)


def test_an_exception_in_a_thread_reaches_the_caller():
    def fail(piece):
        raise ArithmeticError(piece)

    with pytest.raises(ArithmeticError):
        threads.parallel(fail, range(3))


def test_the_number_of_threads_may_change_in_between(monkeypatch):
    """Another Python thread may change it while pieces are distributed."""
    asked = iter([3, 1])
    monkeypatch.setattr(threads, "threads", lambda: next(asked))
    assert threads.parallel(abs, range(-3, 3)) == [3, 2, 1, 0, 1, 2]


def test_cut_covers():
    assert threads.cut(7, 3) == [(0, 3), (3, 6), (6, 7)]
    assert threads.cut(0, 3) == []


def test_refuses_no_threads():
    with pytest.raises(ValueError, match="1 thread or more"):
        threads.set_threads(0)
