"""Ctrl-C and SIGTERM at any moment, from the imports to the end of the process."""

import linecache
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from astropy.io import fits

from enhance_np import _signals, cli
from enhance_np.weights import load

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs signals of POSIX")

SIGNALS = {signal.SIGINT: ("interrupted", 130), signal.SIGTERM: ("terminated", 143)}
COUNT = int(os.environ.get("FUZZ_KILLS", "3"))  # moments of each signal
# the program, which says when its first line has run
PROGRAM = """
import os
from enhance_np import _signals
_signals.end_at_once()
os.write(1, b"\\n")
from enhance_np.__main__ import main
main()
"""


def started(*arguments):
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


@pytest.fixture
def image(tmp_path):
    data = 1 + 0.04 * np.random.default_rng(0).standard_normal((64, 64))
    fits.writeto(tmp_path / "in.fits", data.astype("f4"), fits.Header({"BUNIT": "DN/s"}))
    return tmp_path / "in.fits"


@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
def test_one_line_and_its_status_at_any_moment(image, tiny, tmp_path, number):
    out = tmp_path / "out.fits"
    before = sorted(os.listdir(tmp_path))
    command = ("predict", image, out, "--weights", tiny, "--device", "cpu", "--quiet")
    begin = time.monotonic()
    with started(*command) as process:
        assert process.wait(timeout=300) == 0
    whole, duration = out.read_bytes(), time.monotonic() - begin
    out.unlink()
    word, status = SIGNALS[number]
    ended = 0
    for moment in np.random.default_rng(number).uniform(0, duration, COUNT):
        with started(*command) as process:
            time.sleep(moment)
            process.send_signal(number)
            _, said = process.communicate(timeout=120)
        if process.returncode == 0:  # it had finished
            assert said == ""
            assert out.read_bytes() == whole
            out.unlink()
            continue
        assert process.returncode == status, said
        assert said.startswith("enhance-np")
        assert said.endswith(f": {word}\n")
        assert said.count("\n") == 1
        if out.exists():  # it had been renamed before the signal
            assert out.read_bytes() == whole
            out.unlink()
        assert sorted(os.listdir(tmp_path)) == before
        ended += 1
    print(f"{COUNT} x {number.name}: {ended} ended by it, no output lost, no file left")


IN_A_FINALIZER = """
class Dies:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)  # Python drops what is raised here

Dies()
"""
IN_AN_IMPORT = "import raises_in_its_import"


@pytest.mark.parametrize("what", [IN_A_FINALIZER, IN_AN_IMPORT], ids=["finalizer", "import"])
def test_where_python_would_lose_the_exception(tmp_path, what):
    (tmp_path / "raises_in_its_import.py").write_text("""
import signal
try:
    signal.raise_signal(signal.SIGTERM)
except BaseException:
    raise ImportError("as extensions of C do") from None
""")
    code = f"""
import signal, time
from enhance_np import _signals, cli

def run(options):
    exec({what!r}, {{"signal": signal}})
    time.sleep(60)  # the deferred signal ends the sleep

cli.checks._summary = run
cli.main(["summary"])
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, env=environment
    )
    assert (done.stderr, done.returncode) == ("enhance-np summary: terminated\n", 143)


SWALLOWED = """
try:
    signal.raise_signal(signal.SIGTERM)
except BaseException:
    pass
"""
CLEANED_UP = """
try:
    signal.raise_signal(signal.SIGTERM)
finally:
    try:
        raise OSError("of the clean up")
    except OSError:
        end = time.monotonic() + 3 * _signals.LOST
        while time.monotonic() < end:
            time.sleep(0.01)
    os.write(1, b"cleaned up")
"""


@pytest.mark.parametrize(("what", "said"), [(SWALLOWED, ""), (CLEANED_UP, "cleaned up")])
def test_what_is_swallowed_is_raised_again_but_no_clean_up_is_disturbed(what, said):
    code = f"""
import os, signal, time
from enhance_np import _signals, cli
_signals.LOST = 0.2

def run(options):
    exec({what!r}, globals())
    time.sleep(60)

cli.checks._summary = run
cli.main(["summary"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.stderr, done.returncode) == ("enhance-np summary: terminated\n", 143)
    assert done.stdout == said


def test_a_second_signal_does_not_wait_for_the_clean_up():
    code = """
import signal, time
from enhance_np import _signals, cli

def run(options):
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.raise_signal(signal.SIGTERM)
        time.sleep(60)

cli.checks._summary = run
cli.main(["summary"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.stderr, done.returncode) == ("enhance-np: terminated\n", 143)


def test_a_half_made_object_says_nothing():
    """As a bar of tqdm, whose finalizer fails if its constructor was interrupted."""
    code = """
import signal, sys
from enhance_np import _signals, cli
from enhance_np.__main__ import main

class Half:
    def __init__(self):
        signal.raise_signal(signal.SIGTERM)
        self.closed = True

    def __del__(self):
        self.closed

cli.checks._summary = lambda options: Half()
sys.argv[1:] = ["summary"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.stderr, done.returncode) == ("enhance-np summary: terminated\n", 143)


def test_a_signal_that_is_ignored_stays_ignored():
    """As by nohup, and of background jobs."""
    code = """
import signal
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
from enhance_np import _signals, cli
from enhance_np.__main__ import main

def run(options):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.raise_signal(number)

cli.checks._summary = run
import sys
sys.argv[1:] = ["summary"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.stderr, done.returncode) == ("", 0)


def test_the_handlers_of_a_caller_are_restored(capsys):
    numbers = (*SIGNALS, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers], sys.unraisablehook
    with pytest.raises(SystemExit):
        cli.main(["summary"])
    assert ([signal.getsignal(number) for number in numbers], sys.unraisablehook) == before


def at_line(moment, work):
    """(exit status of work(), place): SIGTERM comes at a line of Python, counted by its handler.

    Not at the line of a `with`: its end is traced there too, and an exception of the tracer then
    keeps it from closing, which no real signal does. h5py would stay locked for all other threads.
    """
    passed, place = 0, None

    def trace(frame, event, argument):
        nonlocal passed, place
        if signal.getsignal(signal.SIGTERM) is _signals._handle:
            passed += 1
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
            if 0 < moment <= passed and place is None and not line.lstrip().startswith("with "):
                sys.settrace(None)
                place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                signal.raise_signal(signal.SIGTERM)
        return trace

    sys.settrace(trace)
    try:
        work()
    except SystemExit as end:
        return end.code or 0, place or passed
    finally:
        sys.settrace(None)


# of a file that astropy was opening when the exception came
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_at_any_line_of_a_prediction(image, tiny, tmp_path, capsys, rng):
    """In one process, so that many moments can be tried."""
    count = int(os.environ.get("FUZZ_LINES", "15"))
    out = tmp_path / "out.fits"
    before = sorted(os.listdir(tmp_path))
    command = f"predict {image} {out} --weights {tiny} --device cpu --quiet".split()

    def work():
        out.unlink(missing_ok=True)
        cli.main(command)

    at_line(0, work)  # with the imports, which later runs do not repeat
    status, lines = at_line(0, work)
    assert status == 0
    whole, ended = out.read_bytes(), 0
    for moment in rng.integers(1, lines, count):
        status, place = at_line(moment, work)
        said = capsys.readouterr().err
        if status == 0:  # the exception had to wait, and the work was done before it came
            assert (said, out.read_bytes()) == ("", whole), place
            continue
        assert (status, said) == (143, "enhance-np predict: terminated\n"), place
        if out.exists():
            assert out.read_bytes() == whole, place
        assert sorted({*os.listdir(tmp_path)} - {"out.fits"}) == before, place
        ended += 1
    assert ended > 0.9 * count
    reader = threading.Thread(target=load, args=[tiny], daemon=True)
    reader.start()
    reader.join(50)
    assert not reader.is_alive(), "a lock was left closed"
    print(f"{count} of {lines} lines: {ended} ended there, no output lost, no file left")
