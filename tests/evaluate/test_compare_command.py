"""The command that compares two files: its table and options, and what it refuses."""

import json
import sys

import numpy as np
import pytest
import two_telescopes
from astropy.io import fits
from two_telescopes import HOW, hdus

from enhance_np import cli, compare


@pytest.fixture(scope="module")
def sun():
    return two_telescopes.sun()


def run(capsys, *arguments):
    """(status, output, error)."""
    with pytest.raises(SystemExit) as done:
        cli.main(["compare", *map(str, arguments)])
    caught = capsys.readouterr()
    code = done.value.code
    return (code, caught.out, caught.err) if not isinstance(code, str) else (1, caught.out, code)


@pytest.fixture
def files(sun, tmp_path):
    for name, hdu in zip(("out", "other"), hdus("blos", sun, 0.252), strict=True):
        hdu.writeto(tmp_path / f"{name}.fits")
    return tmp_path


def test_the_command(files, capsys):
    pytest.importorskip("matplotlib")
    status, text, _ = run(
        capsys,
        *(files / "out.fits", files / "other.fits", "--other-averages", "no"),
        *("--json", files / "all.json", "--plot", files / "all.png"),
    )
    assert not status
    assert "where OTHER has 800-1200 G" in text
    report = json.loads((files / "all.json").read_text())
    assert report["files"] == {n: str(files / f"{n}.fits") for n in ("out", "other")}
    expected = compare(files / "out.fits", files / "other.fits", **HOW).report
    assert report == json.loads(json.dumps(expected))
    assert (files / "all.png").read_bytes().startswith(b"\x89PNG")


OPTIONS = {
    "type": ["--type", "blos"],
    "scales": ["--out-scale", "0.252", "--other-scale", "0.252,0.252"],
    "aperture": ["--other-aperture", "0.3", "--other-wavelength", "5000"],
    "psf": ["--other-psf", "none", "--out-psf", "deconvolved"],
    "averages": ["--out-averages", "yes"],
    "no align": ["--no-align"],
    "ext": ["--out-ext", "0"],
}
CHANGED = {
    "scales": ("shift", "after"),
    "aperture": ("resolution", "other"),
    "psf": ("resolution", "out"),
    "averages": ("images", "other", "flux"),
    "no align": ("shift", "correlation"),
}


def test_every_option_has_its_effect(files, capsys):
    def report(*options):
        status, _, error = run(
            capsys,
            *(files / "out.fits", files / "other.fits", *options),
            *("--json", files / "all.json", "--overwrite"),
        )
        assert not status, error
        return json.loads((files / "all.json").read_text())

    plain = report()
    for name, options in OPTIONS.items():
        one, other = plain, report(*options)
        for key in CHANGED.get(name, ()):
            one, other = one[key], other[key]
        assert (one != other) is (name in CHANGED), name


WRONG = {
    "no file": (["out.fits", "nothing.fits"], "the file must exist"),
    "no telescope": (["out.fits", "bare.npy"], "(see --other-psf, --other-aperture)"),
    "no scale": (["bare.npy", "out.fits", "--out-aperture", "0.28"], "(see --out-scale)"),
    "a wavelength alone": (
        ["out.fits", "other.fits", "--other-wavelength", "6302"],
        "needs --other-aperture or --other-psf",
    ),
    "sharp with an aperture": (
        ["out.fits", "other.fits", "--out-psf", "none", "--out-aperture", "1"],
        "has no aperture",
    ),
    "norton without its width": (
        ["out.fits", "other.fits", "--other-psf", "norton"],
        "(see --other-lorentzian)",
    ),
    "an aperture in centimetres": (
        ["out.fits", "other.fits", "--other-aperture", "50"],
        "got 50 m and 6173 angstrom (see --other-psf, --other-aperture)",
    ),
    "unknown psf": (["out.fits", "other.fits", "--out-psf", "mine"], "or a FITS file, got mine"),
    "an output that is there": (["out.fits", "other.fits", "--json", "out.fits"], "not be the"),
    "one output": (
        ["out.fits", "other.fits", "--json", "a", "--plot", "a"],
        "must not be the JSON",
    ),
    "a picture of another kind": (["out.fits", "other.fits", "--plot", "a.jpg"], "end in .png"),
    "a scale in other units": (
        ["out.fits", "other.fits", "--other-scale", "1e-9"],
        "got 1e-09 x 1e-09 (see --other-scale)",
    ),
    "a word for a scale": (["out.fits", "other.fits", "--out-scale", "x"], "must be arcsec or X,Y"),
    "elsewhere": (["out.fits", "far.fits"], "(see --out-scale, --other-scale)"),
    "not the same": (["out.fits", "noise.fits"], "(see --no-align)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_error_is_one_line_and_writes_nothing(files, capsys, monkeypatch, name):
    monkeypatch.chdir(files)
    np.save("bare.npy", np.random.default_rng(0).normal(0, 100, (60, 60)))
    with fits.open("other.fits") as found:
        other = found[0].copy()
    far = fits.PrimaryHDU(other.data, other.header.copy())
    far.header["CRVAL2"] = 700.0
    far.writeto("far.fits")
    noise = np.random.default_rng(0).normal(0, 100, other.data.shape)
    fits.PrimaryHDU(noise, other.header).writeto("noise.fits")
    before = sorted(p.name for p in files.iterdir())
    arguments, message = WRONG[name]
    if not {"--json", "--plot"} & {*arguments}:
        arguments = [*arguments, "--json", "new.json"]
    status, text, error = run(capsys, *arguments)
    assert status
    assert text == ""
    assert len(error.strip().splitlines()) == 1, error
    assert error.startswith("enhance-np compare: ")
    assert message in error
    assert sorted(p.name for p in files.iterdir()) == before


def test_without_matplotlib_a_picture_is_refused_before_the_work(files, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, _, error = run(capsys, files / "out.fits", "nothing.fits", "--plot", files / "a.png")
    assert status
    assert "need matplotlib" in error
