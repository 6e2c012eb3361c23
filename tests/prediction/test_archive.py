"""Many files by one command: which become what, and what one bad file does to the others."""

import os
import shutil
import sys

import numpy as np
import pytest
from astropy.io import fits

from enhance_np import cli
from enhance_np.prediction import array, file
from enhance_np.prediction.archive import Job, into_folder, jobs

SIDE = 12


@pytest.fixture
def folder(tmp_path, rng):
    """Three images of different sizes."""
    made = tmp_path / "in"
    made.mkdir()
    for i, name in enumerate(("b.fits", "a.fits.gz", "c.fit")):
        data = 1 + 0.1 * rng.standard_normal((SIDE + i, SIDE)).astype(np.float32)
        fits.writeto(made / name, data, fits.Header({"CONTENT": "CONTINUUM INTENSITY"}))
    return made


@pytest.fixture
def command(tiny, capsys):
    """command("predict", ...) -> (exit status, lines of errors)."""

    def run(name, *arguments):
        given = ["--weights", tiny, "--device", "cpu"] if name == "predict" else []
        with pytest.raises(SystemExit) as ended:
            cli.main([name, *map(str, (*given, *arguments))])
        said = capsys.readouterr().err
        if isinstance(ended.value.code, str):  # what the interpreter would print and make of it
            return 1, (said + ended.value.code).splitlines()
        return ended.value.code, said.splitlines()

    return run


def test_a_folder_gives_what_its_files_give_one_by_one(command, folder, tmp_path):
    (folder / ".hidden.fits").write_bytes(b"half a file")
    (folder / "folder.fits").mkdir()
    (folder / "readme.txt").write_text("no image")
    assert command("predict", folder, tmp_path / "out")[0] == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["a.fits.gz", "b.fits", "c.fit"]
    for source in folder.glob("[abc]*"):
        alone = tmp_path / f"alone_{source.name}"
        assert command("predict", source, alone)[0] == 0
        np.testing.assert_array_equal(
            fits.getdata(tmp_path / "out" / source.name), fits.getdata(alone)
        )


@pytest.mark.parametrize("name", ["predict", "deconvolve"])
def test_several_files_and_their_pictures(command, folder, tmp_path, name):
    sources = [folder / "c.fit", folder / "a.fits.gz"]
    out, plots = tmp_path / "new" / "out", tmp_path / "plots"
    status, _ = command(name, *sources, out, "--plot", plots)
    assert status == 0
    assert sorted(os.listdir(out)) == ["a.fits.gz", "c.fit"]
    assert sorted(os.listdir(plots)) == ["a.fits.gz.png", "c.fit.png"]
    assert fits.getdata(out / "c.fit").shape == (2 * (SIDE + 2), 2 * SIDE)


def test_a_bad_file_is_told_and_the_others_are_made(command, folder, tmp_path):
    (folder / "aa.fits").write_bytes(b"not FITS")
    status, said = command("predict", folder, folder / "missing.fits", tmp_path / "out", "--quiet")
    assert status == 1
    assert sorted(os.listdir(tmp_path / "out")) == ["a.fits.gz", "b.fits", "c.fit"]
    bad, missing = said
    assert bad.startswith("enhance-np predict: ")
    assert bad.count("aa.fits") == 1
    assert missing.count("missing.fits") == 1


def test_error_that_does_not_name_the_file_gets_its_name(command, folder, tmp_path):
    """Be it the first, or one that stands alone beside those that are there."""
    header = fits.Header({"CONTENT": "CONTINUUM INTENSITY"})
    fits.writeto(folder / "a a.fits", np.arange(-30, -5, dtype=np.float32).reshape(5, 5), header)
    for _ in range(2):
        status, said = command("predict", folder, tmp_path / "out", "--quiet")
        assert status == 1
        (line,) = said
        assert line.startswith(f"enhance-np predict: '{folder / 'a a.fits'}': ")
        assert "positive" in line
        assert len(os.listdir(tmp_path / "out")) == 3
        (tmp_path / "out" / "b.fits").unlink(missing_ok=True)


@pytest.mark.parametrize(
    "option",
    [
        ("--tile", 0),
        ("--norm", -1),
        ("--weights", "none.h5"),
        ("--norm-from", "none.fits"),
        ("--norm-from", "an image", "--norm", "max"),
        ("--norm-from", "an image", "--type", "blos"),
        ("--device", "gpu"),
    ],
)
def test_fault_of_an_option_is_told_once(command, folder, tmp_path, monkeypatch, option):
    monkeypatch.setitem(sys.modules, "cupy", None)
    option = [folder / "b.fits" if word == "an image" else word for word in option]
    status, said = command("predict", folder, tmp_path / "out", *option, "--quiet")
    assert (status, len(said)) == (1, 1)
    assert not (tmp_path / "out").exists()


def test_fault_of_an_option_of_deconvolve_is_told_once(command, folder, tmp_path):
    status, said = command("deconvolve", folder, tmp_path / "out", "--iterations", 0)
    assert (status, len(said)) == (1, 1)
    assert not (tmp_path / "out").exists()


def test_memory_that_one_image_lacks_is_there_for_the_next(command, folder, tmp_path, monkeypatch):
    def apply(image, *rest):
        if image.shape == (SIDE, SIDE):  # b.fits
            raise MemoryError
        return array.apply(image, *rest)

    monkeypatch.setattr(file, "apply", apply)
    status, said = command("predict", folder, tmp_path / "out", "--quiet")
    assert status == 1
    assert said == [f"enhance-np predict: '{folder / 'b.fits'}': MemoryError"]
    assert sorted(os.listdir(tmp_path / "out")) == ["a.fits.gz", "c.fit"]


def test_same_command_again_goes_on(command, folder, tmp_path, caplog):
    caplog.set_level("INFO")
    out = tmp_path / "out"
    assert command("predict", folder, out)[0] == 0
    before = {name: (out / name).stat().st_mtime_ns for name in os.listdir(out)}
    (out / "b.fits").unlink()
    assert command("predict", folder, out)[0] == 0
    assert "3 files: 1 written, 2 existed already" in caplog.messages[-1]
    after = {name: (out / name).stat().st_mtime_ns for name in os.listdir(out)}
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {"b.fits"}
    assert command("predict", folder, out, "--overwrite")[0] == 0
    assert "3 files: 3 written, 0 existed already, 0 failed" in caplog.messages[-1]
    assert all((out / name).stat().st_mtime_ns != time for name, time in after.items())


def test_a_picture_that_is_missing_is_no_file_that_is_there(command, folder, tmp_path):
    out, plots = tmp_path / "out", tmp_path / "plots"
    assert command("predict", folder, out, "--plot", plots, "--quiet") == (0, [])
    (plots / "b.fits.png").unlink()
    status, said = command("predict", folder, out, "--plot", plots, "--quiet")
    assert (status, len(said)) == (1, 1)
    assert "--overwrite" in said[0]
    assert command("predict", folder, out, "--plot", plots, "--overwrite", "--quiet") == (0, [])
    assert (plots / "b.fits.png").exists()


@pytest.mark.parametrize("name", ["predict", "deconvolve"])
def test_overwrite_is_for_each(command, folder, tmp_path, name):
    assert command(name, folder, tmp_path / "out", "--quiet") == (0, [])
    assert command(name, folder, tmp_path / "out", "--quiet", "--overwrite") == (0, [])


def test_one_image_into_a_folder(command, folder, tmp_path):
    (tmp_path / "there").mkdir()
    for out in (f"{tmp_path}/there", f"{tmp_path}/new/"):
        assert command("predict", folder / "b.fits", out)[0] == 0
        assert os.listdir(out) == ["b.fits"]


def test_refused_before_anything_is_done(command, folder, tmp_path):
    copy = shutil.copy(folder / "b.fits", tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (tmp_path / "empty").mkdir()
    taken = tmp_path / "taken.fits"
    taken.write_bytes(b"of value")
    (tmp_path / "same").symlink_to(folder)
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "a.fits.gz").symlink_to(folder / "b.fits")  # one input's output is another input
    out = tmp_path / "out"
    for what, *arguments in (
        ("its own name", folder, copy, out),
        ("replace inputs", folder, folder, "--overwrite"),
        ("replace inputs", folder / "b.fits", f"{folder}/../in", "--overwrite"),
        ("replace inputs", folder, tmp_path / "same", "--overwrite"),
        ("replace inputs", folder, trap, "--overwrite"),
        ("must hold *.fits", tmp_path / "empty", out),
        ("folder must exist", f"{tmp_path}/misspelt/", f"{out}/"),
        ("folder must exist", folder, f"{tmp_path}/misspelt/", out),
        ("folder must exist", "", folder, out),
        ("output must be a folder", folder, taken, "--overwrite"),
        ("output must be a folder", folder, taken / "in", "--overwrite"),
        ("plot must be a folder", folder, out, "--plot", taken, "--overwrite"),
        ("plot must be a folder", folder, out, "--plot", tmp_path / "all.png"),
    ):
        status, said = command("predict", *arguments)
        assert status == 1
        (line,) = said
        assert what in line
        assert not out.exists() or os.listdir(out) == []
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert taken.read_bytes() == b"of value"


def test_names(tmp_path):
    out, plots = str(tmp_path / "out"), str(tmp_path / "plots")
    assert jobs(["x/a.fits.fz", "y/B.FITS.FZ", "no_end"], out, plots) == [
        Job("x/a.fits.fz", f"{out}/a.fits", f"{plots}/a.fits.png"),
        Job("y/B.FITS.FZ", f"{out}/B.FITS", f"{plots}/B.FITS.png"),
        Job("no_end", f"{out}/no_end", f"{plots}/no_end.png"),
    ]
    assert not into_folder(["a.fits"], "b.fits")
    assert into_folder(["a.fits"], "b/")
    assert into_folder(["a.fits", "b.fits"], "c")


def test_a_folder_is_read_in_the_order_of_names(tmp_path):
    names = ["B.FITS", *(f"{i}.fts" for i in range(20)), "a.fits.fz", "b.fit.gz"]
    for name in names[::-1]:
        (tmp_path / name).touch()
    found = jobs([str(tmp_path)], str(tmp_path / "out"))
    assert [os.path.basename(job.source) for job in found] == sorted(names)
