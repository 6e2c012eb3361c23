"""A training by processes that talk by MPI: `mpiexec -n 2 enhance-np train --mpi`."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from threaded import together
from trained import CPU, assert_same_bits, state, train

from enhance_np import cli
from enhance_np.training import mpi
from enhance_np.training.options import TrainOptions

SPOILT = """
import sys
from enhance_np import cli
from enhance_np.training import batches

def read(self, indices, actual=batches.Pairs.read):
    if not isinstance(indices, slice):  # a batch
        raise OSError("train: a.h5 cannot be read (the disk is gone)")
    return actual(self, indices)

batches.Pairs.read = read
cli.main(sys.argv[1:])
"""
WITHOUT_MPI4PY = """
import sys
sys.modules["mpi4py"] = None
from enhance_np import cli
cli.main(sys.argv[1:])
"""
# Open MPI wants to be asked for each
AS_ROOT = dict.fromkeys(("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"), "1")
MORE_THAN_CORES = {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}


@pytest.fixture
def mpiexec():
    pytest.importorskip("mpi4py")
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        pytest.skip("mpiexec is missing")
    return found


def words(files, *more):
    data, validation, output = map(str, files)
    named = ["--data", data, "--validation", validation, "--output", output, "--device", "cpu"]
    sizes = "--depth 1 --filters 16 --batchsize 5 --lr 2e-3 --seed 7 --mpi".split()
    return ["train", *named, *sizes, *map(str, more)]


def started(mpiexec, count, files, *more, program=("-m", "enhance_np")):
    """program : of the last process."""
    command = [mpiexec]
    for number, run in ((count - 1, ("-m", "enhance_np")), (1, program)):
        between = [":"] if len(command) > 1 else []
        command += [*between, "-n", str(number), sys.executable, *run, *words(files, *more)]
    environment = os.environ | AS_ROOT | MORE_THAN_CORES
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def ended(process):
    """(exit status, our lines on standard error).

    Open MPI ends the other processes by SIGTERM, and they say so; these lines are left out.
    """
    _, said = process.communicate(timeout=120)
    ours = (line for line in said.splitlines() if "enhance-np" in line)
    return process.returncode, [line for line in ours if not line.endswith(": terminated")]


def test_two_processes_have_the_bits_of_two_threads(mpiexec, files, tmp_path):
    """test_workers.py compares those with one process. Sums of two do not depend on their order."""
    with started(mpiexec, 2, files, "--epochs", 2) as process:
        assert ended(process) == (0, [])
    found = state(files)
    again = (*files[:2], tmp_path / "again.h5")
    options = TrainOptions(epochs=2, batch_size=5, lr=2e-3, seed=7)
    together(2, lambda worker: train(again, options, CPU, workers=worker))
    assert_same_bits(found, state(again))
    for end in (".h5", ".csv"):
        assert files[2].with_suffix(end).read_bytes() == again[2].with_suffix(end).read_bytes()


def test_goes_on_with_another_number_of_processes(mpiexec, files):
    rows = []
    for count, epochs in ((2, 1), (3, 2)):
        with started(mpiexec, count, files, "--epochs", epochs, "--continue") as process:
            assert ended(process) == (0, [])
        rows.append(state(files).rows)
    assert rows[1][:1] == rows[0]
    assert len(rows[1]) == 2


def test_an_error_of_one_ends_all(mpiexec, files):
    with started(mpiexec, 2, files, program=("-c", SPOILT)) as process:
        status, said = ended(process)
    assert status == 1
    assert said == ["enhance-np train: a.h5 cannot be read (the disk is gone)"]


def test_an_error_of_all_is_told_once(mpiexec, files):
    with started(mpiexec, 3, files, "--batchsize", 2) as process:
        status, said = ended(process)
    assert status == 1
    assert len(said) == 1
    assert "batch_size must be 3 or more" in said[0]


@pytest.mark.skipif(os.name == "nt", reason="needs signals of POSIX")
def test_ctrl_c_saves_and_ends_all(mpiexec, files, tmp_path):
    version = subprocess.run([mpiexec, "--version"], capture_output=True, text=True).stdout
    if "HYDRA" not in version:
        pytest.skip("only MPICH's mpiexec passes Ctrl-C on")
    with started(mpiexec, 2, files, "--epochs", 100_000) as process:
        saved = files[2].with_suffix(".checkpoint.h5")
        deadline = time.monotonic() + 60
        while not saved.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        before = saved.stat().st_mtime_ns
        process.send_signal(signal.SIGINT)
        status, said = ended(process)
    assert (status, said) == (130, ["enhance-np train: interrupted"])
    assert saved.stat().st_mtime_ns > before
    state(files)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".part.")]


def test_ctrl_c_ends_what_waits_for_a_process_without_mpi4py(mpiexec, files):
    """The others wait for it in C, where Python's own handlers would not be reached."""
    program = ("-c", WITHOUT_MPI4PY)
    with started(mpiexec, 2, files, program=program) as process:
        assert "needs mpi4py and an MPI" in process.stderr.readline()
        for _ in range(60):  # a second one may have to follow the first
            process.send_signal(signal.SIGINT)
            try:
                assert process.wait(timeout=1) != 0
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            process.kill()
            pytest.fail("it still waits")


def test_without_mpi4py(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(SystemExit, match=r'pip install "enhance_np\[mpi\]"'):
        cli.main(words(files))


@pytest.mark.parametrize("name", ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE"])
def test_processes_that_do_not_share_are_refused(files, monkeypatch, name):
    """Each would write the same files."""
    monkeypatch.setenv(name, "2")
    with pytest.raises(SystemExit, match=f"need --mpi, or .* the same files, got {name}=2"):
        cli.main([word for word in words(files) if word != "--mpi"])


def test_cores_are_divided_among_those_that_share_them(monkeypatch):
    """Of four cores, this process may use three; of these, two are another's too."""

    class World:
        rank, size = 0, 2

        def Split_type(self, kind):
            return self

        def Allreduce(self, place, users):
            users[[1, 2, 3]] += 1

    pytest.importorskip("mpi4py")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    assert mpi.Mpi(World()).cores() == 2
