"""The command `enhance-np degrade`."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
from astropy.io import fits
from recipes import REAL, small_recipe

from enhance_np import cli

SMALL = ("--count", "6", "--validation", "2", "--patch", "8", "--support", "2")


def run(*arguments):
    """Runs the command in this process; returns (exit status, standard error)."""
    with pytest.raises(SystemExit) as done:
        cli.main(["degrade", *map(str, arguments)])
    return done.value.code


def read(path):
    with h5py.File(path) as f:
        return {k: f[k][:] for k in ("imHMI", "imSST")}, dict(f.attrs)


@pytest.fixture
def sim(tmp_path):
    path = tmp_path / "sim.npy"
    rng = np.random.default_rng(1)
    np.save(path, rng.uniform(0.5, 1.5, (2, 300, 200)).astype("f4"))
    return path


@pytest.fixture
def psf(tmp_path):
    path = tmp_path / "psf.fits"
    y, x = np.mgrid[-15:16, -15:16] * 0.1
    data = np.exp(-(y**2) / 0.3 - np.where(x < 0, x**2 / 0.3, x**2 / 0.9))
    fits.writeto(path, data, fits.Header({"CDELT1": 0.1, "CDELT2": 0.1}))
    return path


def test_writes_two_files_and_says_nothing(sim, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "enhance_np", "degrade", sim, "--out", tmp_path / "t.h5", *SMALL],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")  # no bar without a terminal
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sim.npy", "t.h5", "t_val.h5"]
    data, attributes = read(tmp_path / "t.h5")
    assert data["imHMI"].shape == (6, 8, 8, 1)
    assert data["imSST"].shape == (6, 16, 16, 1)
    assert attributes["psf"] == "modified"
    assert read(tmp_path / "t_val.h5")[1]["side"] == "validation"


OPTIONS = {
    "psf": ["--psf", "wachter"],
    "airy": ["--psf", "airy"],
    "support": ["--support", "1.5"],
    "aperture": ["--aperture", "0.2"],
    "target aperture": ["--target-aperture", "0.5"],
    "wavelength": ["--wavelength", "5250"],
    "HMI scale": ["--hmi-scale", "0.4"],
    "pixel scale": ["--pixel-scale", "0.07"],
    "norm": ["--norm", "quiet-sun"],
    "level": ["--norm", "2"],
    "region": ["--validation-region", "0,0.4,0,1"],
    "seed": ["--seed", "7"],
    "type": ["--type", "blos"],
    "patch": ["--patch", "9"],
    "count": ["--count", "7"],
}


def same(a, b):
    return all(np.array_equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_an_effect(name, sim, tmp_path):
    for out, options in (("a.h5", []), ("b.h5", []), ("c.h5", OPTIONS[name])):
        assert not run(sim, "--out", tmp_path / out, *SMALL, *options)
    (a, _), (b, _), (c, attributes) = (read(tmp_path / f"{k}.h5") for k in "abc")
    assert same(a, b)
    assert not same(a, c)
    if name not in ("pixel scale", "region", "patch", "count"):
        given = OPTIONS[name][1]
        assert any(str(v) in (given, f"{given}.0", "5.25e-07") for v in attributes.values())


def test_a_psf_from_a_file_with_its_own_scale_or_another(sim, psf, tmp_path):
    for out, options in (("a.h5", []), ("b.h5", ["--psf-scale", "0.2"])):
        assert not run(sim, "--out", tmp_path / out, *SMALL, "--psf", psf, *options)
    (a, about_a), (b, about_b) = (read(tmp_path / f"{k}.h5") for k in "ab")
    assert not same(a, b)
    assert (about_a["psf"], about_a["psf_scale_arcsec"]) == (str(psf), 0.1)
    assert about_b["psf_scale_arcsec"] == 0.2


def test_files_are_read_in_any_number_and_format(sim, tmp_path):
    data = np.load(sim)
    header = fits.Header({"CDELT1": 0.0662, "CDELT2": 0.0662})
    for k in range(2):
        fits.writeto(tmp_path / f"{k}.fits", data[k], header)
    names = [tmp_path / f"{k}.fits" for k in range(2)]
    assert not run(*names, "--out", tmp_path / "a.h5", *SMALL)
    with h5py.File(tmp_path / "a.h5") as f:
        assert sorted(f["file"][:]) == [0, 0, 0, 1, 1, 1]
        assert f["files"].asstr()[:].tolist() == [str(n) for n in names]


def test_without_frames_scenes_are_synthetic(tmp_path, monkeypatch):
    small = small_recipe(tmp_path / "blos.toml", "blos")
    monkeypatch.setattr("enhance_np.pairs.recipes.path", lambda type: small)
    few = ("--count", "1", "--validation", "1", "--test", "0", "--patch", "8")
    for name, options in (("a", []), ("b", ["--aperture", "0.2"])):
        assert not run("--type", "blos", "--out", tmp_path / f"{name}.h5", *few, *options)
    (a, about), (b, _) = (read(tmp_path / f"{k}.h5") for k in "ab")
    assert "synthetic quiet" in about["sources"]
    assert about["wavelength_m"] == 6173e-10
    assert not np.array_equal(a["imHMI"], b["imHMI"])
    assert np.array_equal(a["imSST"], b["imSST"])


def bad_frames(value=None, shape=(300, 200), suffix="npy", text=None):
    def make(folder):
        path = folder / f"bad.{suffix}"
        if text is not None:
            path.write_text(text)
        elif shape is not None:
            data = np.ones(shape, "f4")
            if value is not None:
                data[..., 7, 7] = value
            np.save(path, data) if suffix == "npy" else fits.writeto(path, data)
        return path, ()

    return make


def with_psf(data, *options):
    def make(folder):
        if data is None:
            (folder / "bad.fits").write_text("not an image")
        else:
            fits.writeto(folder / "bad.fits", data)
        return folder / "sim.npy", ("--psf", folder / "bad.fits", *options)

    return make


def option(*options):
    return lambda folder: (folder / "sim.npy", options)


FAULTS = {
    "missing": (bad_frames(shape=None), "the file must exist, got", "bad.npy"),
    "missing FITS": (bad_frames(shape=None, suffix="fits"), "must exist, got", "bad.fits"),
    "NaN": (bad_frames(np.nan), "must be finite", "frame 0 of", "bad.npy"),
    "infinity": (bad_frames(np.inf, suffix="fits"), "must be finite", "bad.fits"),
    "1-D": (bad_frames(shape=(9,)), "(h, w) or a cube (t, h, w)", "bad.npy"),
    "4-D": (bad_frames(shape=(1, 1, 9, 9)), "(h, w) or a cube (t, h, w)", "bad.npy"),
    "empty": (bad_frames(text=""), "whole .npy array", "bad.npy"),
    "empty FITS": (bad_frames(text="", suffix="fits"), "whole FITS file", "bad.fits"),
    "text": (bad_frames(text="1 2\n3 4\n"), "whole .npy array", "bad.npy"),
    "text as FITS": (bad_frames(text="1 2\n", suffix="fits"), "whole FITS", "bad.fits"),
    "small": (bad_frames(shape=(60, 60)), "room for a patch of 4.03 arcsec", "60 x 60", "bad.npy"),
    "negative": (bad_frames(-1), "0 or more, unless the type is blos", "bad.npy"),
    "psf text": (with_psf(None), "whole FITS file", "bad.fits"),
    "psf cube": (with_psf(np.ones((2, 9, 9))), "2-D image", "bad.fits"),
    "psf scale": (
        with_psf(np.ones((9, 9))),
        "unless its scale is given",
        "bad.fits",
    ),
    "psf zero": (with_psf(np.zeros((9, 9)), "--psf-scale", "1"), "positive sum", "bad.fits"),
    "psf scale < 0": (with_psf(np.ones((9, 9)), "--psf-scale", "-1"), "positive", "bad.fits"),
    "psf name": (option("--psf", "hubble"), "modified", "FITS file, got hubble"),
    "psf scale of a name": (option("--psf-scale", "0.1"), "is for a FITS file"),
    "support": (option("--support", "-1"), "support must be positive", "-1"),
    "aperture": (option("--aperture", "-0.14"), "aperture must be positive", "-0.14"),
    "target": (option("--target-aperture", "0"), "target_aperture must be positive"),
    "wavelength": (option("--wavelength", "-6173"), "wavelength must be positive"),
    "HMI scale": (option("--hmi-scale", "-0.5"), "hmi_scale must be positive", "-0.5"),
    "pixel scale": (option("--pixel-scale", "-0.1"), "pixel scale must be positive", "sim.npy"),
    "coarse": (option("--pixel-scale", "0.4"), "at most half as large as HMI's", "sim.npy"),
    "norm": (option("--norm", "-2"), "must be positive", "-2"),
    "norm word": (option("--norm", "median"), "mean, quiet-sun or a level", "median"),
    "norm of a field": (option("--norm", "1", "--type", "blos"), "norm is only for intensity"),
    "region": (option("--validation-region", "0,2,0,1"), "0 <= y0 < y1 <= 1", "0.0,2.0"),
    "region words": (option("--validation-region", "a,b"), "--validation-region"),
    "region too small": (option("--validation-region", "0,0.1,0,1"), "must have room for a patch"),
    "count": (option("--count", "-5"), "n_train must be 1 or more", "-5"),
    "validation": (option("--validation", "0"), "n_val must be 1 or more"),
    "patch": (option("--patch", "-8"), "patch must be 1 or more"),
    "seed": (option("--seed", "-1"), "seed must be 0 or more"),
    "fields": (option("--fields", "somewhere"), "SIM or --fields"),
    "recipe": (option("--recipe", "blos"), "SIM or --recipe"),
    "keep": (option("--keep"), "SIM or --keep"),
    "test": (option("--test", "3"), "SIM or --test"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_faults_are_one_line_and_leave_nothing(kind, sim, tmp_path, capsys):
    make, *words = FAULTS[kind]
    path, options = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    code = run(path, "--out", tmp_path / "t.h5", *SMALL, *options)
    line = code if isinstance(code, str) else capsys.readouterr().err
    assert code not in (0, None)
    assert line.startswith("enhance-np degrade: ")
    assert len(line.strip().splitlines()) == 1
    for word in words:
        assert word in line, line
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "options", [["--pixel-scale", "0.1"], ["--norm", "mean"], ["--validation-region", "0,0.2,0,1"]]
)
def test_options_of_frames_need_frames(options, tmp_path):
    assert f"{options[0]} needs SIM" in run("--out", tmp_path / "t.h5", *options)


def test_scenes_at_any_angle_need_a_round_psf(psf, tmp_path):
    assert "round PSF" in run("--out", tmp_path / "t.h5", "--psf", psf)


def test_the_folder_must_exist(sim, tmp_path):
    assert "folder must exist" in run(sim, "--out", tmp_path / "no" / "t.h5", *SMALL)


def test_a_file_that_was_there_survives_a_fault(sim, tmp_path):
    out = tmp_path / "t.h5"
    assert not run(sim, "--out", out, *SMALL)
    before = out.read_bytes()
    frames = np.load(sim)
    frames[1] = np.nan
    np.save(sim, frames)
    assert "must not exist" in run(sim, "--out", out, *SMALL, "--norm", "1")
    assert "finite" in run(sim, "--out", out, *SMALL, "--norm", "1", "--overwrite")
    assert out.read_bytes() == before


def test_by_recipe(tmp_path, caplog):
    recipe = small_recipe(tmp_path / "mine.toml", more=REAL)
    np.save(tmp_path / "own.npy", np.random.default_rng(0).uniform(1, 3, (200, 200)))
    fields = ("--fields", tmp_path)
    assert not run("--recipe", recipe, "--out", tmp_path / "a.h5", *fields)
    assert sorted(p.name for p in tmp_path.glob("a*")) == ["a.h5", "a_test.h5", "a_val.h5"]
    data, about = read(tmp_path / "a.h5")
    assert data["imHMI"].shape == (6, 8, 8, 1)
    assert (about["seed"], about["support_arcsec"], about["recipe_changes"]) == (5, 2, "{}")
    assert not caplog.messages
    first = (tmp_path / "a.h5").stat().st_mtime_ns
    assert not run("--recipe", recipe, "--out", tmp_path / "a.h5", *fields, "--keep")
    assert (tmp_path / "a.h5").stat().st_mtime_ns == first
    again = run("--recipe", recipe, "--out", tmp_path / "a.h5", "--seed", "6", *fields, "--keep")
    assert "must not exist" in again
    assert not run("--recipe", recipe, "--out", tmp_path / "b.h5", *SMALL, "--seed", "5", *fields)
    assert same(data, read(tmp_path / "b.h5")[0])  # the options have the recipe's values
    assert not run("--recipe", recipe, "--out", tmp_path / "c.h5", "--count", "7", "--test", "0")
    data, about = read(tmp_path / "c.h5")
    assert len(data["imHMI"]) == 7
    assert not (tmp_path / "c_test.h5").exists()
    assert about["recipe_changes"] == '{"fields": null, "train": 7, "test": 0}'


def test_without_fields_it_is_said_in_one_line(tmp_path):
    recipe = small_recipe(tmp_path / "mine.toml", more=REAL)
    options = ("--recipe", recipe, "--out", tmp_path / "a.h5")
    done = subprocess.run(
        [sys.executable, "-m", "enhance_np", "degrade", *options],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0
    assert done.stderr == "recipe mine: uses synthetic scenes only (no --fields)\n"


RECIPE_FAULTS = {
    "missing": (["--recipe", "nowhere.toml"], "one of intensity, blos or a file *.toml"),
    "type": (["--recipe", "mine.toml", "--type", "blos"], "--type must be the type of the recipe"),
    "folder": (["--recipe", "mine.toml", "--fields", "."], "the file must exist, got own.npy"),
    "count": (["--recipe", "mine.toml", "--count", "0"], "n_train must be 1 or more"),
    "psf": (["--recipe", "mine.toml", "--psf", "hubble"], "psf must be one of"),
    "psf scale": (["--recipe", "mine.toml", "--psf-scale", "1"], "is for a FITS file"),
    "key": (["--recipe", "bad.toml"], "recipe: weigth must be one of", "bad.toml"),
}


@pytest.mark.parametrize("kind", RECIPE_FAULTS)
def test_faults_of_a_recipe_are_one_line(kind, tmp_path, monkeypatch):
    options, *words = RECIPE_FAULTS[kind]
    monkeypatch.chdir(tmp_path)
    small_recipe(tmp_path / "mine.toml", more=REAL)
    text = (tmp_path / "mine.toml").read_text()
    (tmp_path / "bad.toml").write_text("weigth = 3\n" + text)
    line = run(*options, "--out", "t.h5")
    assert line.startswith("enhance-np degrade: ")
    assert len(line.strip().splitlines()) == 1
    for word in words:
        assert word in line, line
    assert not list(tmp_path.glob("t*"))
