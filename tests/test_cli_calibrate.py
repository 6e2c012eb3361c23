"""calibrate, and predict with the error bars that it makes, on the command line."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
from astropy.io import fits

from enhance_np import params, weights
from enhance_np.config import PAIRS, SCENES, NetworkConfig

CONFIG = NetworkConfig(1, 4)


def run(*arguments, check=True):
    command = [sys.executable, "-m", "enhance_np", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if check:
        assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.h5"
    made = weights.Weights(CONFIG, *params.initial(CONFIG, 0), {"type": "intensity"})
    weights.save(path, made)
    return path


@pytest.fixture
def pairs(tmp_path, rng):
    high = 1 + 0.1 * rng.standard_normal((6, 40, 40, 1)).astype(np.float32)
    with h5py.File(tmp_path / "pairs.h5", "w") as file:
        file.update({"imHMI": high.reshape(6, 20, 2, 20, 2, 1).mean((2, 4)), "imSST": high})
        file.attrs["type"] = "intensity"
    return tmp_path / "pairs.h5"


def test_calibrate_then_predict(own, pairs, tmp_path, rng):
    done = run("calibrate", "--weights", own, "--data", pairs, "--noise", "0.01")
    assert f"{own}: calibrated on pairs.h5, 6 pairs" in done.stderr
    image, out = tmp_path / "in.fits", tmp_path / "out.fits"
    data = (60_000 * (1 + 0.04 * rng.standard_normal((40, 30)))).astype(np.float32)
    fits.writeto(image, data, fits.Header({"BUNIT": "DN/s"}))
    run("predict", image, out, "--weights", own, "--confidence", "--noise", "300")
    with fits.open(out) as hdus:
        assert [h.name for h in hdus] == ["PRIMARY", "ERROR", "DOUBT", "SPREAD", "RESIDUAL"]
        assert hdus["ERROR"].header["ENHNOISE"] == 300
        assert (hdus["ERROR"].data > 0).all()
        assert "noise=300.0" in " ".join(hdus[0].header["HISTORY"])
    packed = tmp_path / "out.fits.fz"
    run("predict", image, packed, "--weights", own, "--confidence", "--noise", "300")
    with fits.open(packed) as hdus, fits.open(out) as plain:
        for name in ("ERROR", "DOUBT"):
            np.testing.assert_array_equal(hdus[name].data, plain[name].data)
        assert hdus["DOUBT"].data.dtype == np.uint8


def test_help_tells_the_defaults():
    said = " ".join(run("calibrate", "--help").stdout.split())
    assert f"pairs to use (default: {PAIRS})" in said
    assert f"scenes of each synthetic source (default: {SCENES})" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "PAIRS", "--fields", "x"], "--fields needs --recipe, got --data"),
        (["--recipe", "blos", "--noise", "1"], "--noise is for --data; a recipe has its own"),
        (["--data", "nowhere.h5"], "no such file"),
        (["--recipe", "blos", "--fields", "nowhere"], "the file must exist, got nowhere"),
        (["--data", "OWN"], "must hold the dataset imHMI"),
    ],
)
def test_one_line_and_nothing_changed(own, pairs, options, message):
    before = own.read_bytes()
    options = [{"PAIRS": pairs, "OWN": own}.get(o, o) for o in options]
    done = run("calibrate", "--weights", own, *options, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert own.read_bytes() == before


def test_noise_is_for_confidence(own, pairs, tmp_path):
    image = tmp_path / "in.fits"
    fits.writeto(image, np.ones((8, 8), np.float32))
    done = run("predict", image, tmp_path / "o.fits", "--noise", "1", check=False)
    assert done.returncode == 1
    assert done.stderr == "enhance-np predict: noise is for confidence (see --confidence)\n"
