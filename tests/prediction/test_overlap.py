"""Reading and writing beside the computation: order, errors, memory, and the end."""

import gc
import threading
import weakref

import pytest

from enhance_np.prediction.overlap import overlapped


class Value:
    """Stands for an image, which must not stay in memory."""

    alive = 0

    def __init__(self):
        Value.alive += 1
        weakref.finalize(self, self.died)

    @staticmethod
    def died():
        Value.alive -= 1


def test_all_steps_of_each_job_in_order():
    done, written = [], []
    steps = (lambda job: 2 * job, lambda job, value: (job, value), lambda *w: written.append(w))
    for job, error in overlapped(range(5), *steps, ()):
        assert error is None
        assert (job, (job, 2 * job)) in written
        done.append(job)
    assert done == [0, 1, 2, 3, 4]
    assert list(overlapped([], *steps, ())) == []


def test_reads_one_ahead_and_writes_one_behind():
    """Each computation waits until the next file is read and the last one begins to be written."""
    count = 4
    reading, writing = ([threading.Event() for _ in range(count + 1)] for _ in range(2))
    reading[count].set()
    wait = 60  # seconds, so that a fault ends

    def read(job):
        reading[job].set()

    def compute(job, value):
        assert reading[job + 1].wait(wait)
        assert job == 0 or writing[job - 1].wait(wait)
        assert job + 2 > count or not reading[min(job + 2, count - 1)].is_set() or job + 2 == count

    def write(job, value):
        writing[job].set()

    assert len(list(overlapped(range(count), read, compute, write, ()))) == count


@pytest.mark.parametrize("step", ["read", "compute", "write"])
def test_an_error_does_not_stop_the_others(step):
    written = []

    def fails(name, job):
        if name == step and job in (1, 3):
            raise ValueError(f"{job}")
        return job

    found = list(
        overlapped(
            range(4),
            lambda job: fails("read", job),
            lambda job, value: fails("compute", value),
            lambda job, value: written.append(fails("write", value)),
            (ValueError,),
        )
    )
    assert [job for job, _ in found] == [0, 1, 2, 3]
    assert [str(error) for _, error in found] == ["None", "1", "None", "3"]
    assert written == [0, 2]


@pytest.mark.parametrize("step", ["read", "compute", "write"])
def test_any_other_error_is_raised_after_what_was_begun(step):
    written = []

    def fails(name, job):
        if name == step and job == 1:
            raise KeyboardInterrupt
        return job

    with pytest.raises(KeyboardInterrupt):
        list(
            overlapped(
                range(4),
                lambda job: fails("read", job),
                lambda job, value: fails("compute", value),
                lambda job, value: written.append(fails("write", value)),
                (ValueError,),
            )
        )
    assert written[:1] == [0]
    assert 3 not in written


def test_memory_is_bounded():
    most = 0

    def compute(job, value):
        nonlocal most
        del value
        made = Value()
        most = max(most, Value.alive)
        return made

    errors = 0
    for _, error in overlapped(
        range(20),
        lambda job: Value(),
        compute,
        lambda job, value: None if job % 3 else 1 / 0,
        (ZeroDivisionError,),
    ):
        errors += error is not None
    assert errors == 7
    gc.collect()
    assert Value.alive == 0
    assert most <= 3 + 2
