"""The command `enhance-np simulate`."""

import numpy as np
import pytest
from astropy.io import fits

from enhance_np import cli
from enhance_np.pairs.frames import open_frames
from enhance_np.sun.scene import KINDS, scene

SMALL = ("--size", "64", "71", "--scene", "quiet")


def run(*arguments):
    """Runs the command in this process; returns the exit status or the error line."""
    with pytest.raises(SystemExit) as done:
        cli.main(["simulate", *map(str, arguments), "--quiet"])
    return done.value.code


def test_both_types_as_degrade_reads_them(tmp_path):
    assert not run(tmp_path / "sun.fits", *SMALL, "--seed", 5, "--frames", 2)
    names = ["sun_blos.fits", "sun_intensity.fits"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    for name, which in zip(names, (1, 0), strict=True):
        frames = open_frames(tmp_path / name)
        assert (frames.count, frames.shape, frames.pixel_scale) == (2, (64, 71), 0.0662)
        for i in (0, 1):
            want = scene(5 + i, (64, 71), 0.0662, "quiet")[which]
            np.testing.assert_array_equal(frames.read(i), want)


def test_one_type_one_frame(tmp_path):
    path = tmp_path / "sun.fits"
    assert not run(path, *SMALL, "--type", "blos", "--pixel-scale", 0.09)
    assert list(tmp_path.iterdir()) == [path]
    with fits.open(path) as hdus:
        hdus.verify("exception")
        header, data = hdus[0].header, hdus[0].data
    assert data.shape == (64, 71)
    assert header["CDELT1"] == header["CDELT2"] == 0.09
    assert (header["CRPIX1"], header["CRPIX2"]) == (36, 32.5)
    assert (header["CONTENT"], header["BUNIT"]) == ("MAGNETOGRAM", "Gauss")
    assert (header["OBJECT"], header["SCENE"], header["SEED"]) == ("synthetic", "quiet", 0)
    assert path.stat().st_size % 2880 == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scene", "moon"], "kind must be one of"),
        (["--size", "10", "64"], "both sides must be 4 arcsec"),
        (["--pixel-scale", "0"], "pixel_scale must be in"),
        (["--seed", "-3"], "seed must be 0 or more"),
        (["--frames", "0"], "frames must be 1 or more"),
    ],
)
def test_a_fault_is_one_line_and_leaves_nothing(tmp_path, arguments, message):
    code = run(tmp_path / "sun.fits", *SMALL, *arguments)
    assert message in code
    assert "\n" not in code
    assert not list(tmp_path.iterdir())


def test_files_are_kept_unless_told(tmp_path):
    path = tmp_path / "sun_blos.fits"
    path.write_text("mine")
    assert "must not exist" in run(tmp_path / "sun.fits", *SMALL)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["mine"]
    assert not run(tmp_path / "sun.fits", *SMALL, "--overwrite")
    assert fits.getdata(path).shape == (64, 71)
    assert "must be a FITS file" in run(tmp_path / "sun.txt", *SMALL)


def test_help_names_every_scene(capsys):
    with pytest.raises(SystemExit):
        cli.main(["simulate", "--help"])
    text = capsys.readouterr().out
    assert all(kind in text for kind in KINDS)


def test_a_broken_write_leaves_nothing(tmp_path, monkeypatch):
    from enhance_np.sun import simulate

    def broken(*_):
        raise OSError("unmade")

    monkeypatch.setattr(simulate, "scene", broken)
    assert "unmade" in run(tmp_path / "sun.fits", *SMALL)
    assert not list(tmp_path.iterdir())
