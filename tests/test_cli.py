"""The command line: one line for every error, and no partial files."""

import re
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits

import enhance_np
from enhance_np import cli, params, weights
from enhance_np.config import NetworkConfig


def run(*arguments, check=True):
    done = subprocess.run(
        [sys.executable, "-m", "enhance_np", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def image(tmp_path):
    """A FITS image like HMI's continuum, with noise instead of granulation."""
    rng = np.random.default_rng(0)
    data = (60_000 * (1 + 0.04 * rng.standard_normal((40, 30)))).astype(np.float32)
    path = tmp_path / "in.fits"
    fits.writeto(path, data, fits.Header({"BUNIT": "DN/s", "CRPIX1": 5.0, "CDELT1": 0.5}))
    return path


def test_version():
    assert run("--version").stdout == f"enhance_np {enhance_np.__version__}\n"


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_help_import_nothing_heavy(option):
    """These commands must answer at once."""
    code = f"""
import sys, enhance_np.cli
try:
    enhance_np.cli.main(["{option}"])
except SystemExit as end:
    assert not end.code
print(*sys.modules)
"""
    modules = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "enhance_np.cli.predict" in modules
    assert not {"numpy", "numba", "astropy", "cupy", "h5py", "scipy"} & set(modules)


def test_predict(image, tiny, tmp_path):
    out = tmp_path / "out.fits"
    done = run("predict", image, out, "--weights", tiny, "--tile", "16")
    assert done.stdout == ""
    with fits.open(out) as hdus:
        assert hdus[0].data.shape == (80, 60)
        assert hdus[0].data.dtype == np.dtype(">f4")
        header = hdus[0].header
        assert header["CRPIX1"] == 9.5
        assert header["CDELT1"] == 0.25
        assert header["BUNIT"] == "DN/s"
        assert header["ENHTYPE"] == "intensity"
        assert "HISTORY" in header
    pixels = fits.getdata(image)
    again = enhance_np.enhance(pixels, "intensity", weights=tiny, device="cpu", tile=7)
    np.testing.assert_array_equal(fits.getdata(out), again)


def test_predict_draws(image, tiny, tmp_path):
    pytest.importorskip("matplotlib")
    run("predict", image, tmp_path / "o.fits", "--weights", tiny, "--plot", tmp_path / "o.png")
    assert (tmp_path / "o.png").read_bytes().startswith(b"\x89PNG")


def test_predict_confidence(image, tiny, tmp_path):
    run("predict", image, tmp_path / "o.fits", "--weights", tiny, "--confidence")
    with fits.open(tmp_path / "o.fits") as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["SPREAD", "RESIDUAL"]
    run("predict", image, tmp_path / "p.fits", "--weights", tiny, "--ensemble")
    with fits.open(tmp_path / "p.fits") as hdus:
        assert len(hdus) == 1
        np.testing.assert_array_equal(hdus[0].data, fits.getdata(tmp_path / "o.fits"))


def test_quiet_says_nothing(image, tiny, tmp_path):
    done = run("predict", image, tmp_path / "out.fits", "--weights", tiny, "--quiet")
    assert done.stderr == done.stdout == ""


def test_overwrite(image, tiny, tmp_path):
    out = tmp_path / "out.fits"
    out.write_text("mine")
    assert_fault(run("predict", image, out, "--weights", tiny, check=False), "must not exist")
    assert out.read_text() == "mine"
    run("predict", image, out, "--weights", tiny, "--overwrite")
    assert fits.getdata(out).shape == (80, 60)


def assert_fault(done, words):
    assert done.returncode not in (0, None)
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert words in lines[0]
    assert lines[0].startswith("enhance-np")


def write(path, data):
    fits.writeto(path, data)


BAD_INPUTS = {
    "missing": (lambda path: None, "must exist"),
    "text": (lambda path: path.write_text("hello\n" * 1000), "FITS"),
    "empty": (lambda path: path.touch(), "FITS"),
    "folder": (lambda path: path.mkdir(), "folder"),
    "3-D": (lambda path: write(path, np.ones((3, 4, 5), "f4")), "2-D"),
    "1-D": (lambda path: write(path, np.ones(9, "f4")), "2-D"),
    "no data": (lambda path: fits.PrimaryHDU().writeto(path), "2-D"),
    "all NaN": (lambda path: write(path, np.full((8, 8), np.nan, "f4")), "NaN"),
    "1x1": (lambda path: write(path, np.ones((1, 1), "f4")), "2 x 2"),
    "zeros": (lambda path: write(path, np.zeros((8, 8), "f4")), "type"),
}


@pytest.mark.parametrize("kind", BAD_INPUTS)
def test_bad_input(kind, tiny, tmp_path):
    make, words = BAD_INPUTS[kind]
    make(tmp_path / "bad.fits")
    before = sorted(tmp_path.iterdir())
    done = run(
        "predict", tmp_path / "bad.fits", tmp_path / "out.fits", "--weights", tiny, check=False
    )
    assert_fault(done, words)
    assert sorted(tmp_path.iterdir()) == before


BAD_OPTIONS = {
    "norm 0": (["--norm", "0"], "level > 0"),
    "norm < 0": (["--norm=-3"], "level > 0"),
    "norm word": (["--norm", "median"], "level > 0"),
    "norm nan": (["--norm", "nan"], "level > 0"),
    "norm below float32": (["--norm", "1e-46"], "level > 0"),
    "norm above float32": (["--norm", "1e39"], "level > 0"),
    "type": (["--type", "velocity"], "--type"),
    "other type": (["--type", "blos"], "BUNIT='DN/s' (intensity)"),
    "model": (["--model", "huge"], "--model"),
    "device": (["--device", "tpu"], "--device"),
    "tile 0": (["--tile", "0"], "tile=0"),
    "tile word": (["--tile", "big"], "--tile"),
    "threads": (["--threads", "0"], "count=0"),
    "ext": (["--ext", "7"], "ext"),
    "no weights": (["--weights", "nowhere.h5"], "nowhere.h5"),
    "option": (["--frobnicate"], "frobnicate"),
}


@pytest.mark.parametrize("kind", BAD_OPTIONS)
def test_bad_option(kind, image, tiny, tmp_path):
    options, words = BAD_OPTIONS[kind]
    before = sorted(tmp_path.iterdir())
    done = run("predict", image, tmp_path / "o.fits", "--weights", tiny, *options, check=False)
    assert_fault(done, words)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "foreign"])
def test_broken_weights(damage, image, tiny, tmp_path):
    import h5py

    data = tiny.read_bytes()
    if damage == "foreign":
        with h5py.File(tiny, "w") as file:
            file["x"] = np.ones(3)
    else:
        tiny.write_bytes({"truncated": data[:5000], "text": b"hello", "empty": b""}[damage])
    done = run("predict", image, tmp_path / "out.fits", "--weights", tiny, check=False)
    assert_fault(done, "tiny.h5")
    assert not (tmp_path / "out.fits").exists()


def test_output_folder_must_exist(image, tiny, tmp_path):
    done = run("predict", image, tmp_path / "no" / "out.fits", "--weights", tiny, check=False)
    assert_fault(done, "folder must exist")


@pytest.mark.parametrize("command", ["predict", "deconvolve"])
def test_an_output_of_another_kind_is_refused_before_any_work(image, command, tmp_path):
    """The error comes before the input, which does not exist, is looked for."""
    image.unlink()
    done = run(command, image, tmp_path / "out.jpg", check=False)
    assert_fault(done, "must end in .fits, .fit or .fts")
    assert_fault(done, "out.jpg")
    assert not (tmp_path / "out.jpg").exists()


def test_input_is_never_overwritten(image, tiny):
    before = image.read_bytes()
    done = run("predict", image, image, "--weights", tiny, "--overwrite", check=False)
    assert_fault(done, "must not be the input")
    assert image.read_bytes() == before


def test_gpu_without_one(image, tiny, tmp_path):
    from enhance_np.engine.gpu import probe

    if probe() is None:
        pytest.skip("there is a GPU here")
    done = run(
        "predict", image, tmp_path / "o.fits", "--weights", tiny, "--device", "gpu", check=False
    )
    assert_fault(done, "gpu must be usable, but ")
    assert not (tmp_path / "o.fits").exists()


def test_summary():
    text = run("summary").stdout
    assert "parameters 446,657, trainable 445,249, moving 1,408" in text
    assert "multiply-adds per input pixel 553,792" in text
    assert "halo 13 input pixels" in text
    assert "parameters 37,729," in run("summary", "--depth", "1", "--filters", "32").stdout
    assert_fault(run("summary", "--depth", "-1", check=False), "depth")


def test_summary_of_a_file_counts_live_filters(tmp_path):
    config = NetworkConfig(1, 8)
    p, moving = params.initial(config, 0)
    p["block0/conv1/w"][..., 3:] = 0
    weights.save(tmp_path / "w.h5", weights.Weights(config, p, moving))
    text = run("summary", "--weights", tmp_path / "w.h5").stdout
    assert re.search(r"^block0/conv1 .* 3 of 8$", text, re.MULTILINE)
    assert re.search(r"^tail/conv .* 8 of 8$", text, re.MULTILINE)
    # 3 of 8 channels of the block are dead, in two layers
    whole, less = 9 * 8 + 9 * 64 * 3 + 4 * (9 * 64 + 8), 2 * 9 * 8 * 5
    assert f"multiply-adds per input pixel {whole:,}, of living channels {whole - less:,}" in text
    done = run("summary", "--weights", tmp_path / "w.h5", "--filters", "16", check=False)
    assert_fault(done, "filters=8, ")


def test_gradcheck_passes_and_can_fail(monkeypatch, capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["gradcheck"])
    assert done.value.code == 0
    assert "FAILED" not in capsys.readouterr().out

    from enhance_np import layers

    monkeypatch.setattr(layers, "relu_backward", lambda dy, y: dy * 1.01 * (y > 0))
    with pytest.raises(SystemExit) as done:
        cli.main(["gradcheck", "--quiet"])
    assert done.value.code == 1
    assert "FAILED" in capsys.readouterr().out


INTERRUPTED = """
import signal, threading, time, weakref
from concurrent.futures import ThreadPoolExecutor
from enhance_np import cli, params, weights
from enhance_np.config import NetworkConfig

def run(options):
{what}
    time.sleep(60)  # the deferred interrupt ends the sleep

cli.checks._summary = run
cli.main(["summary"])
"""
COMPILING = """
    from llvmlite.binding import ExecutionEngine
    called, real = [], ExecutionEngine.set_object_cache

    def set_object_cache(self, **functions):
        def callback(*arguments):
            called.append(arguments)
            if len(called) == 1:
                signal.raise_signal(signal.SIGINT)
            return given(*arguments)

        given = functions["CALLBACK"]
        real(self, **functions | {"CALLBACK": callback})

    ExecutionEngine.set_object_cache = lambda self, n, g: set_object_cache(
        self, notify_func=n, getbuffer_func=g
    )
    from numba import njit
    assert njit(lambda x: x + 1)(1) == 2 and called
"""
STARTING = """
    start = threading.Thread.start

    def started(thread):
        start(thread)
        signal.raise_signal(signal.SIGINT)

    threading.Thread.start = started
    run.pool = ThreadPoolExecutor(1)  # kept, because a garbage-collected pool ends its threads
    run.pool.submit(time.sleep, 0)
"""
DYING = """
    class Key:
        dies = False

        def __hash__(self):
            if self.dies:
                signal.raise_signal(signal.SIGINT)
            return 0

    values, value = weakref.WeakValueDictionary(), threading.Thread()
    values[Key()] = value
    Key.dies = True
    del value
"""
UNSAFE = {
    "compiled": COMPILING.replace("CALLBACK", "notify_func"),
    "cached": COMPILING.replace("CALLBACK", "getbuffer_func"),
    "thread": STARTING,
    "weak reference": DYING,
}


@pytest.mark.parametrize("where", UNSAFE)
def test_interrupt_where_python_would_lose_it(where):
    """At other moments, Python would drop the interrupt or wait for a starting thread for ever."""
    code = INTERRUPTED.format(what=UNSAFE[where])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert done.stderr == "enhance-np summary: interrupted\n"
    assert done.returncode == 130


def test_no_command_is_one_line():
    assert_fault(run(check=False), "COMMAND")
