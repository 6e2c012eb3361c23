"""What the page of `inspect` holds; test_page_in_browser has what it shows."""

import inspect
import re

import numpy as np
import pytest
from astropy.io import fits
from inspected import EVIL, RUNS, held, image, made_page
from networks import trained

from enhance_np import cli, network, weights
from enhance_np.config import NetworkConfig
from enhance_np.engine import select
from enhance_np.inspection import page as page_module
from enhance_np.inspection.page import MAPS, build
from enhance_np.inspection.subject import SIDE, subject


@pytest.fixture(scope="module", params=RUNS, ids=str)
def made(request, tmp_path_factory):
    return made_page(*request.param, tmp_path_factory.mktemp("page"))


def test_holds_the_numbers_of_the_trace(made):
    np.testing.assert_array_equal(made.arrays["x"], made.trace.x[0, :, :, 0])
    np.testing.assert_array_equal(made.arrays["target"], made.trace.target[0, :, :, 0])
    for name, parameter in made.trace.parameters.items():
        np.testing.assert_array_equal(made.arrays[name], parameter.value)
        np.testing.assert_array_equal(made.arrays[f"d {name}"], parameter.gradient)
    assert made.about["loss"] == made.trace.loss


def test_maps_are_the_tensors_within_half_a_step(made):
    for prefix, group in (("", "h"), ("d ", "dh")):
        for name, step in made.trace.steps.items():
            exact = getattr(step, group)[0]
            found = made.arrays[f"map {prefix}{name}"]
            assert found.shape == exact.transpose(2, 0, 1).shape  # small enough not to be reduced
            low, high, *true = np.array(made.about["maps"][prefix + name], np.float64).T
            np.testing.assert_allclose(true, (low, high))
            shown = low + found.transpose(1, 2, 0) / 255 * (high - low)
            allowed = 0.501 * (high - low) / 255 + 1e-5 * abs(exact).max(axis=(0, 1))
            assert (abs(shown - exact) <= allowed).all(), name


def test_statistics_are_those_of_the_tensors(made):
    for step in made.about["steps"]:
        exact = made.trace[step["name"]]
        for found, a in ((step["values"], exact.h), (step["gradients"], exact.dh)):
            wanted = [a.mean(dtype="f8"), (a.astype("f8") ** 2).mean() ** 0.5, a.min(), a.max()]
            np.testing.assert_allclose([found[k] for k in ("mean", "rms", "min", "max")], wanted)


def test_code_is_that_of_the_page(made):
    lines = inspect.getsource(network).splitlines()
    for phase, key in (("forward", "line"), ("backward", "back")):
        source = made.about["sources"][phase]
        for number, text in enumerate(source["lines"], source["first"]):
            assert lines[number - 1] == text
        for step in made.about["steps"]:
            first, last = source["helpers"][step["operation"]]
            assert lines[first - 1].lstrip().startswith(f"def {step['operation']}(")
            assert "return" in lines[last - 1]
            assert source["first"] <= step[key] < source["first"] + len(source["lines"])


def test_nothing_of_a_file_is_html(made):
    assert "<script>window.evil" not in made.text
    assert "<img" not in made.text
    assert made.about["about"]["file"] == EVIL


def test_nothing_is_fetched(made):
    outside = set(re.findall(r"https?://[^\"'\s)]+", made.text))
    assert outside <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"<(link|iframe|script)[^>]+(src|href)=", made.text)


def test_large_maps_are_reduced(tmp_path):
    file = tmp_path / "w.h5"
    weights.save(file, trained(NetworkConfig(1, 32)))
    seen = subject(image(tmp_path, (70, 90)), weights=file)
    text, made = build(seen, select("cpu"))
    found = held(text)
    maps = [a for name, a in found["arrays"].items() if name.startswith("map ") and len(a) > 1]
    assert sum(a.size for a in maps) <= MAPS
    assert found["arrays"]["map x"].shape == (1, 70, 90)  # images are not reduced
    exact = made["stem/conv"].h[0, :, :, 0]
    shown = found["arrays"]["map stem/conv"][0]
    f = -(-exact.shape[0] // shown.shape[0])
    assert f > 1
    assert shown.shape == tuple(-(-n // f) for n in exact.shape)
    low, high, *true = found["about"]["maps"]["stem/conv"][0]
    np.testing.assert_allclose(true, (exact.min(), exact.max()), rtol=1e-5)
    last = exact[-((exact.shape[0] - 1) % f + 1) :, :f].mean()
    assert abs(low + shown[-1, 0] / 255 * (high - low) - last) <= 0.51 * (high - low) / 255


def test_a_large_network_gets_coarser_maps_and_a_huge_one_no_page(tmp_path, monkeypatch):
    file = tmp_path / "w.h5"
    weights.save(file, trained(NetworkConfig(1, 32)))
    seen = subject(image(tmp_path, (70, 90)), weights=file)
    monkeypatch.setattr(page_module, "LARGEST", 1_500_000)
    text, _ = build(seen, select("cpu"))
    assert len(text) <= 1_500_000
    monkeypatch.setattr(page_module, "LARGEST", 200_000)
    with pytest.raises(ValueError, match="a page of 0.2 MB must hold .* got 0.4"):
        build(seen, select("cpu"))


def test_a_large_image_is_cut_around_the_place(tmp_path):
    path = image(tmp_path, (SIDE + 40, SIDE + 10))
    seen = subject(path, model="small", at=(5, SIDE + 30))
    assert seen.x.shape == (SIDE, SIDE)
    assert seen.origin == (40, 0)
    assert seen.at == (SIDE - 10, 5)
    whole = fits.getdata(path)
    ratio = whole[40:, :SIDE] / seen.x
    assert np.ptp(ratio) < 1e-5 * ratio.mean()
    with pytest.raises(ValueError, match=f"within {SIDE + 10} x {SIDE + 40} pixels, got 266,0"):
        subject(path, model="small", at=(SIDE + 10, 0))


def test_equations_are_those_of_the_mode_and_the_activation(made):
    forward, backward = (made.about["formulas"][phase] for phase in ("forward", "backward"))
    trained_ = made.about["mode"] == "training"
    assert any("dbeta / M" in line for line in backward["bn_add"]) == trained_
    assert any("as stored" in line for line in forward["bn_add"]) != trained_
    relu = made.trace.config.activation == "relu"
    assert any("max(h, 0)" in line for line in forward["act"]) == relu
    assert any("exp(h)" in line for line in backward["act"]) != relu


def test_values_that_are_not_finite_are_refused(tmp_path):
    file = tmp_path / "w.h5"
    huge = trained(NetworkConfig(0, 3))
    huge.params["stem/conv/w"][...] = 3e38
    weights.save(file, huge)
    with (
        np.errstate(all="ignore"),
        pytest.raises(ValueError, match="must be finite, got infinity or NaN in stem/conv"),
    ):
        build(subject(image(tmp_path), weights=file), select("cpu"), "prediction")


def test_target_in_another_unit_is_refused(tmp_path):
    path = image(tmp_path)
    double = np.asarray(fits.getdata(path), np.float32).repeat(2, 0).repeat(2, 1) / 60_000
    fits.writeto(tmp_path / "t.fits", double, fits.getheader(path))
    with pytest.raises(ValueError, match="must be in the unit of the input, dn/s with values"):
        subject(path, target=tmp_path / "t.fits", model="small")


def test_names_that_steer_a_terminal_are_shown_as_text(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["trace", str(image(tmp_path, name="a\x1b[31mb\n.fits")), "--device", "cpu"])
    assert not end.value.code
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.split(maxsplit=1) == ["file", r"a\x1b[31mb .fits"]
    assert second.startswith("type")


def test_target_of_another_size_is_refused(tmp_path):
    path = image(tmp_path)
    with pytest.raises(ValueError, match=r"the target must be \(52, 62\) .* got \(26, 31\)"):
        subject(path, target=path, model="small")


def test_target_is_divided_as_the_input(tmp_path):
    path = image(tmp_path)
    double = np.asarray(fits.getdata(path), np.float32).repeat(2, 0).repeat(2, 1)
    fits.writeto(tmp_path / "t.fits", double, fits.getheader(path))
    seen = subject(path, target=tmp_path / "t.fits", model="small")
    np.testing.assert_allclose(seen.target, seen.x.repeat(2, 0).repeat(2, 1), rtol=1e-6)
    assert seen.about["target"] == "t.fits"


def test_commands(tmp_path, capsys):
    path, page = image(tmp_path), tmp_path / "page.html"
    for arguments in (
        ["inspect", str(path), "--out", str(page), "--mode", "prediction"],
        ["trace", str(path), "--compare", "reference", "--at", "3,4"],
    ):
        with pytest.raises(SystemExit) as end:
            cli.main([*arguments, "--device", "cpu"])
        assert not end.value.code
    assert held(page.read_text())["about"]["mode"] == "prediction"
    printed = capsys.readouterr().out
    assert "block0/conv1" in printed
    assert "compared with the engine reference, float64" in printed
    for arguments, words in (
        (["inspect", str(path), "--out", str(page)], "page.html"),
        (["inspect", str(path), "--out", "page.fits"], "--out must end in .html"),
        (["trace", str(path), "--float64", "--device", "gpu"], "reference engine, got --device"),
    ):
        with pytest.raises(SystemExit, match=words):
            cli.main(arguments)
    page.rename(tmp_path / "w.html")
    again = ["--weights", str(tmp_path / "w.html"), "--out", str(tmp_path / "w.html")]
    with pytest.raises(SystemExit, match="must not be the input"):
        cli.main(["inspect", str(path), *again, "--overwrite"])
    with pytest.raises(SystemExit) as end:
        cli.main(["trace", str(path), "--at", "3;4"])
    assert end.value.code == 2
