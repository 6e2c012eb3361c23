"""The commands evaluate and deconvolve: a table or a FITS file, and one line for each error."""

import json
import sys

import numpy as np
import pytest
from astropy.io import fits
from made import pair, smooth_scene, spot

from enhance_np import cli
from enhance_np.baselines import linear
from enhance_np.baselines.bicubic import bicubic
from enhance_np.baselines.richardson_lucy import deconvolve
from enhance_np.evaluate.files import evaluate_files
from enhance_np.optics.degrade import Optics, degrade
from enhance_np.prediction.file import OPTICS_CARDS

LEVEL = 50_000.0  # DN/s of the quiet Sun


@pytest.fixture(scope="module")
def scene():
    """(low, high), 40 x 44 input pixels, Ic."""
    dark = spot((320, 352), (110, 200), sigma=60)
    return pair(1 + 0.4 * (smooth_scene(np.random.default_rng(7), (40, 44)) - 1) - 0.8 * dark)


@pytest.fixture
def files(scene, tmp_path):
    """A folder with low.fits, high.fits and out.fits in DN/s, and field.fits in G."""
    low, high = scene
    header = fits.Header({"BUNIT": "DN/s", "CRPIX1": 5.0, "CDELT1": 0.504, "R_SUN": 1900.0})
    for name, data in {"low": low, "high": high, "out": bicubic(low)}.items():
        fits.writeto(tmp_path / f"{name}.fits", (LEVEL * data).astype("f4"), header)
    # strongest where the intensity is lowest; 1 kG at an intensity of about 0.7
    field = np.random.default_rng(9).normal(0, 12, low.shape) + 3300 * np.maximum(1 - low, 0)
    fits.writeto(tmp_path / "field.fits", field.astype("f4"), fits.Header({"BUNIT": "Gauss"}))
    return tmp_path


def run(capsys, *arguments, status=0):
    with pytest.raises(SystemExit) as done:
        cli.main([str(argument) for argument in arguments])
    caught = capsys.readouterr()
    if status == 0:
        assert done.value.code in (None, 0), done.value.code
        return caught.out
    # Python prints the code of SystemExit to stderr
    message = done.value.code if isinstance(done.value.code, str) else caught.err
    assert done.value.code not in (None, 0)
    assert caught.out == ""
    lines = message.strip().splitlines()
    assert len(lines) == 1, message
    assert lines[0].startswith("enhance-np")
    return lines[0]


def row(text, label):
    """The cells of the table's row with this label."""
    line = next(line for line in text.splitlines() if line.startswith(label))
    return line[len(label) :].split()


def test_against_truth_and_input(files, scene, capsys):
    low, high = scene
    text = run(
        capsys,
        *("evaluate", files / "out.fits", "--truth", files / "high.fits"),
        *("--input", files / "low.fits", "--companion", files / "field.fits"),
        *("--norm", LEVEL, "--json", files / "all.json"),
    )
    rms = np.sqrt(np.square(bicubic(low) - high).mean())
    assert float(row(text, "rms, Ic")[1]) == pytest.approx(rms, rel=1e-3)
    found = json.loads((files / "all.json").read_text())
    assert found["file"] == str(files / "out.fits")
    assert found["images"]["output"]["errors"]["whole"]["rms"] == pytest.approx(rms, rel=1e-4)
    assert found["classes"]["quiet"] > 0
    assert "plage" in found["classes"]  # only the companion shows it


def test_norm_is_the_quiet_sun_of_the_input(files, capsys):
    """The images are divided by the quiet Sun of the input: the darkest pixel is in units of it."""
    text = run(capsys, "evaluate", files / "out.fits", "--input", files / "low.fits")
    assert "error against the truth" not in text
    darkest = float(row(text, "darkest pixel, Ic")[0])
    low = fits.getdata(files / "low.fits") / LEVEL
    assert darkest == pytest.approx(low.min(), rel=0.05)


def test_truth_alone(files, capsys):
    text = run(capsys, "evaluate", files / "out.fits", "--truth", files / "high.fits")
    assert "blurred again" not in text
    assert "PSNR" in text


def test_companion_on_the_outputs_grid(files, capsys):
    field = fits.getdata(files / "field.fits").repeat(2, 0).repeat(2, 1)
    fits.writeto(files / "field2.fits", field, fits.Header({"BUNIT": "Gauss"}))
    one, two = (
        run(
            capsys,
            *("evaluate", files / "out.fits", "--input", files / "low.fits"),
            *("--companion", files / name),
        )
        for name in ("field.fits", "field2.fits")
    )
    assert one == two


def test_baselines_and_linear_filter(files, scene, capsys):
    """Each column has the error of its own method; the linear filter here copies each pixel."""
    low, high = scene
    weights = np.zeros((2, 2, 3, 3))
    weights[:, :, 1, 1] = 1
    linear.LinearFilter(weights, np.zeros((2, 2)), {}).save(files / "copy.npz")
    text = run(
        capsys,
        *("evaluate", files / "out.fits", "--truth", files / "high.fits"),
        *("--input", files / "low.fits", "--norm", LEVEL, "--baselines"),
        *("--linear", files / "copy.npz", "--json", files / "all.json"),
    )
    assert "RL 600 at 28 cm" in text
    images = json.loads((files / "all.json").read_text())["images"]
    assert list(images) == [
        *("input", "output", "bicubic", "RL 80", "RL 600 at 28 cm", "Wiener", "linear", "truth")
    ]
    error = {n: i["errors"]["whole"]["mse"] for n, i in images.items() if "errors" in i}
    assert error["bicubic"] == pytest.approx(error["output"], rel=1e-3)
    copied = np.square(low.repeat(2, 0).repeat(2, 1) - high).mean()
    assert error["linear"] == pytest.approx(copied, rel=1e-3)
    assert error["Wiener"] < 0.2 * error["bicubic"]
    only = run(
        capsys,
        *("evaluate", files / "out.fits", "--input", files / "low.fits"),
        *("--linear", files / "copy.npz"),
    )
    assert "linear" in only
    assert "bicubic" not in only


def test_field_in_gauss(scene, tmp_path, capsys):
    """Baselines compute in kG; the table is in G."""
    low, high = (1000 * (image - 1) for image in scene)
    for name, data in {"low": low, "high": high}.items():
        header = fits.Header({"BUNIT": "Gauss"})
        fits.writeto(tmp_path / f"{name}.fits", data.astype("f4"), header)
    text = run(
        capsys,
        *("evaluate", tmp_path / "high.fits", "--input", tmp_path / "low.fits", "--baselines"),
    )
    assert text.startswith("blos in G")
    unsigned = row(text, "unsigned flux, G")
    assert float(unsigned[0]) == pytest.approx(np.abs(low).mean(), rel=1e-3)
    assert float(unsigned[1]) == pytest.approx(np.abs(high).mean(), rel=1e-3)
    assert float(unsigned[2]) == pytest.approx(np.abs(bicubic(low)).mean(), rel=1e-3)


def test_norm_of_the_companion(files, scene, capsys):
    """For a field, --norm is that of the companion, whose pixels are compared with 0.9."""
    low, _ = scene
    field = fits.getdata(files / "field.fits")
    fits.writeto(files / "b.fits", field.repeat(2, 0).repeat(2, 1), fits.Header({"BUNIT": "G"}))
    fits.writeto(files / "ic.fits", low.astype("f4"))
    found = {}
    for norm in ("none", "0.8"):
        run(
            capsys,
            *("evaluate", files / "b.fits", "--input", files / "field.fits", "--norm", norm),
            *("--companion", files / "ic.fits", "--json", files / f"{norm}.json"),
        )
        images = json.loads((files / f"{norm}.json").read_text())["images"]
        found[norm] = images["output"]["ratio"]["dark"]["pixels"]
    strong = (np.abs(field) >= 800) & (np.abs(field) <= 1200)
    assert found["none"] == (strong & (low <= 0.9)).sum()
    assert found["0.8"] == (strong & (low <= 0.72)).sum()
    assert found["0.8"] < found["none"]


def test_plot(files, capsys):
    pytest.importorskip("matplotlib")
    arguments = ("evaluate", files / "out.fits", "--truth", files / "high.fits")
    run(capsys, *arguments, "--plot", files / "page.png")
    assert (files / "page.png").read_bytes().startswith(b"\x89PNG")


BAD = {
    "neither": ([], "needs the truth or the input, got neither (see --truth, --input)"),
    "shape of the truth": (["--truth", "low.fits"], "truth must be 80 x 88"),
    "shape of the input": (["--input", "high.fits"], "input must be 40 x 44"),
    "missing truth": (["--truth", "nowhere.fits"], "must exist"),
    "no FITS": (["--truth", "text.txt"], "FITS"),
    "other type": (["--input", "low.fits", "--type", "blos"], "blos and intensity"),
    "field for truth": (["--truth", "field.fits"], "blos and intensity"),
    "companion": (["--input", "low.fits", "--companion", "low.fits"], "companion must be of type"),
    "another unit": (["--truth", "ic.fits"], "one unit"),
    "box": (["--input", "low.fits", "--box", "0,50,0,9"], "box must be"),
    "box word": (["--input", "low.fits", "--box", "all"], "--box"),
    "norm": (["--input", "low.fits", "--norm", "0"], "level > 0"),
    "baselines": (
        ["--truth", "high.fits", "--baselines"],
        "need the input, got none (see --input)",
    ),
    "linear": (["--input", "low.fits", "--linear", "text.txt"], "npz"),
    "psf": (["--input", "low.fits", "--psf", "gauss"], "psf must be"),
    "plot exists": (["--input", "low.fits", "--plot", "text.txt"], "must not exist"),
    "plot of another kind": (["--input", "low.fits", "--plot", "a.jpg"], "must end in .png"),
    "json is the input": (
        ["--input", "low.fits", "--json", "low.fits", "--overwrite"],
        "must not be the input",
    ),
    "json is the plot": (["--input", "low.fits", "--json", "a", "--plot", "a"], "JSON"),
    "json folder": (["--input", "low.fits", "--json", "no/a.json"], "folder must exist"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_evaluate(kind, files, capsys, monkeypatch):
    """The error is one line, the status is not 0, and no file is written or removed."""
    monkeypatch.chdir(files)
    (files / "text.txt").write_text("hello\n")
    fits.writeto(files / "ic.fits", fits.getdata(files / "high.fits") / LEVEL)
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    options, words = BAD[kind]
    outputs = [] if "--json" in options else ["--json", "new.json"]
    assert words in run(capsys, "evaluate", "out.fits", *outputs, *options, status=1)
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


def test_plot_without_matplotlib_is_found_before_the_work(files, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    arguments = ("evaluate", files / "out.fits", "--input", files / "low.fits")
    assert "enhance_np[plot]" in run(capsys, *arguments, "--plot", files / "a.png", status=1)
    assert not (files / "a.png").exists()


def test_deconvolve(files, scene, capsys):
    out = files / "rl.fits"
    assert run(capsys, "deconvolve", files / "low.fits", out, "--iterations", 7) == ""
    with fits.open(out) as hdus:
        header, data = hdus[0].header, hdus[0].data
    assert data.dtype == np.dtype(">f4")
    want = deconvolve(fits.getdata(files / "low.fits"), "intensity", 7)
    np.testing.assert_array_equal(data, want.astype("f4"))
    # like predict: edges are aligned, units are kept, and the header says what was done
    assert header["CRPIX1"] == 9.5
    assert header["CDELT1"] == 0.252
    assert header["R_SUN"] == 3800.0
    assert header["BUNIT"] == "DN/s"
    assert header["ENHTYPE"] == "intensity"
    assert header["ENHMODEL"] == "Richardson-Lucy, 7 iterations"
    assert "ENHWGT" not in header
    assert "Richardson-Lucy" in str(header["HISTORY"])


def test_deconvolve_another_instrument_warns(files, capsys, caplog):
    image = fits.getdata(files / "low.fits")
    cards = {"BUNIT": "DN/s", "TELESCOP": "SOHO", "INSTRUME": "MDI"}
    fits.writeto(files / "mdi.fits", image, fits.Header(cards))
    run(capsys, "deconvolve", files / "mdi.fits", files / "rl.fits", "--iterations", 1, "--quiet")
    assert "not from HMI (TELESCOP='SOHO', INSTRUME='MDI'), but HMI's PSF is used" in caplog.text


def test_fields_are_scored_in_gauss(files, capsys):
    """A file in kG gets the same scores as the same field in G."""
    field = fits.getdata(files / "field.fits")
    noisy = field.repeat(2, 0).repeat(2, 1) + 5 * np.random.default_rng(0).standard_normal((80, 88))
    texts = []
    for unit, factor in (("Gauss", 1.0), ("kG", 1e-3)):
        for name, data in (("in", field), ("out", noisy)):
            header = fits.Header({"BUNIT": unit})
            fits.writeto(files / f"{name}_{unit}.fits", (factor * data).astype("f4"), header)
        arguments = (files / f"out_{unit}.fits", "--input", files / f"in_{unit}.fits")
        texts.append(run(capsys, "evaluate", *arguments))
    assert texts[0] == texts[1]


AU = 149597870700.0  # m


@pytest.mark.parametrize(
    ("cards", "area"),
    [
        ({}, (0.504302 * 725.27e5) ** 2),  # HMI's pixel at 1 au
        ({"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec",
          "CDELT1": 0.504302, "CDELT2": 0.504302, "DSUN_OBS": 0.9833 * AU},
         (0.504302 * 0.9833 * 725.27e5) ** 2),
        ({"CTYPE1": "CRLN-CEA", "CTYPE2": "CRLT-CEA", "CUNIT1": "degree", "CUNIT2": "degree",
          "CDELT1": 0.03, "CDELT2": 0.03, "DSUN_OBS": 0.9833 * AU},
         (np.radians(0.03) * 695700e5) ** 2),
    ],
    ids=["no header", "perihelion", "map"],
)  # fmt: skip
@pytest.mark.parametrize("given", ["input", "truth"])
def test_the_flux_is_of_the_area_that_the_header_gives(files, cards, area, given):
    field = fits.getdata(files / "field.fits")
    high = field.repeat(2, 0).repeat(2, 1)
    fine = {k: v / 2 if k.startswith("CDELT") else v for k, v in cards.items()}
    for name, data, its_cards in (("coarse", field, cards), ("fine", high, fine)):
        header = fits.Header({"BUNIT": "Gauss"} | its_cards)
        fits.writeto(files / f"{name}.fits", data.astype("f4"), header)
    files_of = {"input": files / "coarse.fits", "truth": files / "fine.fits"}
    how = {given: files_of[given], "type": "blos", "json_file": files / "a.json"}
    evaluate_files(files / "fine.fits", **how)
    found = json.loads((files / "a.json").read_text())["images"]
    for image in found.values():
        want = np.abs(field).sum(dtype=float) * area
        assert image["flux"]["unsigned_mx"] == pytest.approx(want, rel=1e-4)


def test_deconvolve_options_reach_the_method(files, capsys):
    """Each option changes the result, and the header stores it."""
    image = fits.getdata(files / "low.fits")
    image[20, 20] *= 2  # an outlier, for damping to act
    fits.writeto(files / "hot.fits", image, fits.Header({"BUNIT": "DN/s"}))
    found = {}
    for name, options in {
        "plain": [],
        "damped": ["--damping"],
        "28 cm": ["--as-target"],
        "Wachter": ["--psf", "wachter"],
    }.items():
        out = files / f"{name}.fits"
        run(capsys, "deconvolve", files / "hot.fits", out, "--iterations", 5, *options)
        found[name] = fits.getdata(out), fits.getheader(out)["ENHMODEL"]
    np.testing.assert_allclose(
        found["28 cm"][0], deconvolve(image, "intensity", 5, as_target=True), rtol=1e-6
    )
    for name in ("damped", "28 cm", "Wachter"):
        assert np.abs(found[name][0] - found["plain"][0]).max() > 1e-4 * LEVEL, name
    assert found["damped"][1].endswith("damped")
    assert "0.28 m" in found["28 cm"][1]


def test_deconvolve_restores_gaps(files, capsys):
    image = fits.getdata(files / "low.fits")
    image[:, :6] = np.nan
    fits.writeto(files / "gap.fits", image, fits.Header({"BUNIT": "DN/s"}))
    run(capsys, "deconvolve", files / "gap.fits", files / "rl.fits", "--iterations", 3)
    out = fits.getdata(files / "rl.fits")
    assert np.isnan(out[:, :12]).all()
    assert np.isfinite(out[:, 12:]).all()


def test_deconvolve_plots_and_overwrites(files, capsys):
    pytest.importorskip("matplotlib")
    arguments = ("deconvolve", files / "low.fits", files / "rl.fits", "--iterations", 2)
    run(capsys, *arguments, "--plot", files / "rl.png")
    assert (files / "rl.png").read_bytes().startswith(b"\x89PNG")
    before = (files / "rl.fits").read_bytes()
    assert "must not exist" in run(capsys, *arguments, status=1)
    assert (files / "rl.fits").read_bytes() == before
    run(capsys, *arguments, "--overwrite")


BAD_DECONVOLVE = {
    "no iterations": (["--iterations", "0"], "iterations=0"),
    "iterations": (["--iterations", "many"], "--iterations"),
    "type": (["--type", "blos"], "BUNIT='DN/s' (intensity)"),
    "psf": (["--psf", "nothing"], "psf must be"),
    "support": (["--support", "0"], "support"),
    "ext": (["--ext", "7"], "ext"),
    "the input": (["--overwrite", "low.fits"], "must not be the input"),
    "the plot": (["--plot", "new.fits"], "plot must not be the output"),
    "folder": (["no/new.fits"], "folder must exist"),
}


@pytest.mark.parametrize("kind", BAD_DECONVOLVE)
def test_bad_deconvolve(kind, files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    options, words = BAD_DECONVOLVE[kind]
    target = [] if options[-1].endswith(".fits") and options[-2:-1] != ["--plot"] else ["new.fits"]
    assert words in run(capsys, "deconvolve", "low.fits", *target, *options, status=1)
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


def test_evaluate_knows_what_deconvolve_wrote(files, capsys):
    """The type comes from the header, even if the values do not show it."""
    low = fits.getdata(files / "low.fits")
    fits.writeto(files / "bare.fits", low / LEVEL - 0.5)
    out = files / "rl.fits"
    run(capsys, "deconvolve", files / "bare.fits", out, "--type", "intensity", "--iterations", 3)
    text = run(capsys, "evaluate", out, "--input", files / "bare.fits", "--norm", "none")
    assert text.startswith("intensity in Ic")


# --- another telescope: 60 cm, pixels of 0.14 arcsec

OTHER = Optics("airy", 3.0, 0.6, 1.2, 5250e-10, 0.14)
OPTIONS = ("--psf", "airy", "--support", 3, "--aperture", 0.6, "--target-aperture", 1.2)
OPTIONS += ("--wavelength", 5250)


@pytest.fixture(scope="module")
def theirs():
    """(low, high), Ic; their structure is resolved by pixels of 0.14 arcsec, not by HMI's."""
    scene = smooth_scene(np.random.default_rng(3), (40, 44), highest=0.9)
    return degrade(scene, OTHER.hmi_scale / 8, OTHER)


def written(path, data, scale, **cards):
    header = {"TELESCOP": "OTHER", "BUNIT": "DN/s"} | cards
    header |= {f"CDELT{i}": scale for i in (1, 2)} | {f"CUNIT{i}": "arcsec" for i in (1, 2)}
    fits.writeto(path, (LEVEL * data).astype("f4"), fits.Header(header), overwrite=True)
    return path


def evaluated(tmp_path, theirs, *options, output=0.07, **cards):
    low = written(tmp_path / "low.fits", theirs[0], 0.14)
    high = written(tmp_path / "high.fits", theirs[1], output, **cards)
    json_file = tmp_path / "all.json"
    with pytest.raises(SystemExit) as done:
        cli.main(
            [
                *("evaluate", str(high), "--input", str(low), "--norm", str(LEVEL), "--overwrite"),
                *("--json", str(json_file), *map(str, options)),
            ]
        )
    assert done.value.code in (None, 0)
    return json.loads(json_file.read_text())["images"]["output"]


def test_optics_of_the_weights_and_scale_of_the_header(tmp_path, theirs, caplog):
    """Blurred with the right PSF on the right pixels, a perfect output gives its input."""
    cards = {OPTICS_CARDS[name][0]: value for name, value in OTHER.attributes().items()}
    told = evaluated(tmp_path, theirs, **cards)
    assert told["reblur"]["consistent"]["whole"] < 1e-4
    assert not caplog.messages
    given = evaluated(tmp_path, theirs, *OPTIONS)  # with the pixel scale of the header
    assert given == told
    assert "the header gives pixels of 0.14 arcsec, but the PSF" in caplog.text
    caplog.clear()
    assert evaluated(tmp_path, theirs, *OPTIONS, "--hmi-scale", 0.14) == told
    assert not caplog.messages
    untold = evaluated(tmp_path, theirs)
    assert untold["reblur"]["consistent"]["whole"] > 10 * told["reblur"]["consistent"]["whole"]
    assert untold["nyquist"] == told["nyquist"]
    assert "is not from HMI (TELESCOP='OTHER') and does not store the optics" in caplog.text


def test_headers_of_two_scales_are_said(tmp_path, theirs, caplog):
    same = evaluated(tmp_path, theirs, *OPTIONS, "--hmi-scale", 0.14)
    assert evaluated(tmp_path, theirs, *OPTIONS, "--hmi-scale", 0.14, output=0.14) == same
    assert caplog.messages == [
        "the headers must agree on the size of the input's pixels, got 0.14 of the input, 0.28 of "
        "the output arcsec: that of the input is used"
    ]


def test_deconvolve_on_the_pixels_of_the_header(tmp_path, theirs, caplog):
    low = written(tmp_path / "low.fits", theirs[0], 0.14)
    out = tmp_path / "rl.fits"
    with pytest.raises(SystemExit):
        cli.main(["deconvolve", str(low), str(out), "--iterations", "3", *map(str, OPTIONS)])
    made = fits.getdata(out)
    want = deconvolve(fits.getdata(low).astype("f4"), "intensity", 3, optics=OTHER)
    np.testing.assert_allclose(made, want, rtol=1e-5)
    assert not [m for m in caplog.messages if "is not from HMI" in m]
