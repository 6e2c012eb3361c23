import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from enhance_np import params
from enhance_np.config import NetworkConfig
from enhance_np.engine import predict, select, threads
from enhance_np.weights import Weights


@pytest.fixture
def job(rng):
    config = NetworkConfig(1, 16)
    weights = Weights(config, *params.initial(config, 0))
    x = rng.standard_normal((40, 50)).astype(np.float32)
    return lambda: predict.run(x, weights, select("cpu"))


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


def test_an_exception_in_a_thread_reaches_the_caller():
    def fail(piece):
        raise ArithmeticError(piece)

    with pytest.raises(ArithmeticError):
        threads.parallel(fail, range(3))


def test_cut_covers():
    assert threads.cut(7, 3) == [(0, 3), (3, 6), (6, 7)]
    assert threads.cut(0, 3) == []


def test_refuses_no_threads():
    with pytest.raises(ValueError, match="1 thread or more"):
        threads.set_threads(0)
