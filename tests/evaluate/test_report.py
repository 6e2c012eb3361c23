import json

import numpy as np
import pytest
from made import pair, smooth_scene, spot

from enhance_np.evaluate import table
from enhance_np.evaluate.quantities import averaged
from enhance_np.evaluate.report import Scene, report

LOW = (48, 56)  # input pixels


@pytest.fixture(scope="module")
def intensity():
    """(low, high) with a spot of 6 arcsec: umbra, penumbra, quiet."""
    rng = np.random.default_rng(4)
    shape = tuple(8 * n for n in LOW)
    dark = spot(shape, (shape[0] / 3, shape[1] / 2), sigma=70)
    return pair(1 + 0.5 * (smooth_scene(rng, LOW) - 1) - 0.85 * dark)


@pytest.fixture(scope="module")
def field():
    """(low, high) in G: a strong field in the spot, plage beside it, and weak field elsewhere."""
    rng = np.random.default_rng(5)
    shape = tuple(8 * n for n in LOW)
    strong = 2500 * spot(shape, (shape[0] / 3, shape[1] / 2), sigma=70)
    plage = -500 * spot(shape, (shape[0] * 0.8, shape[1] * 0.2), sigma=40)
    return pair(strong + plage + 2 * (smooth_scene(rng, LOW) - 1))


def test_perfect_output(intensity, field):
    low, high = intensity
    found = report({"output": high}, Scene("intensity", low, high, field[0]))
    out = found["images"]["output"]
    for name, pixels in {"whole": low.size, **found["classes"]}.items():
        assert out["errors"][name]["pixels"] == 4 * pixels
        if pixels:
            assert out["errors"][name]["mse"] == 0
            assert out["errors"][name]["psnr"] is None  # infinite
    assert found["classes"]["umbra"] > 20
    assert found["classes"]["penumbra"] > 20
    assert found["classes"]["quiet"] > 100
    # smooth_scene has no frequency above 0.9 cycles per arcsec, so K * out is exact, except for
    # the kink of the spot and its mirror image at the border; PSF * out is not exact
    assert out["reblur"]["consistent"]["whole"] < 1e-7
    assert out["reblur"]["psf"]["whole"] > 1e-3
    assert out["bands"] == found["images"]["truth"]["bands"]
    assert out["contrast"] == found["images"]["truth"]["contrast"]
    assert out["negatives"] == 0
    assert found["classes_from"] == "truth"


def test_intensity_metrics_are_those_of_the_pixels(intensity):
    """With the input only; the contrast is measured in the box."""
    low, high = intensity
    out = high - 0.3
    box = (30, 48, 0, 20)
    found = report({"output": out}, Scene("intensity", low, box=box))
    images = found["images"]
    assert found["classes_from"] == "input"
    assert found["contrast_from"] == "box"
    assert list(images) == ["input", "output"]
    assert "errors" not in images["output"]
    assert images["input"]["contrast"] == pytest.approx(low[30:, :20].std() / low[30:, :20].mean())
    cut = out[60:, :40]
    assert images["output"]["contrast"] == pytest.approx(cut.std() / cut.mean())
    assert images["output"]["minimum"] == pytest.approx(out.min())
    assert images["output"]["negatives"] == (out < 0).sum() > 0
    umbra_minimum = images["output"]["umbra_minimum"]
    assert umbra_minimum == pytest.approx(out.min())
    assert images["input"]["umbra_minimum"] == pytest.approx(low.min())


def test_field_metrics(field, intensity):
    """If the output is 1.2 times the input, slopes and ratios are 1.2 in every class."""
    low, _ = field
    out = 1.2 * low.repeat(2, 0).repeat(2, 1)
    found = report({"output": out}, Scene("blos", low, companion=intensity[0]))
    images = found["images"]
    for kind in ("plage", "umbra"):
        assert images["output"]["slope"][kind]["value"] == pytest.approx(1.2)
        assert images["output"]["slope"][kind]["pixels"] == found["classes"][kind] > 20
    ratio = images["output"]["ratio"]
    strong = (np.abs(low) >= 800) & (np.abs(low) <= 1200)
    assert ratio["all"]["pixels"] == strong.sum() > 20
    assert ratio["bright"]["pixels"] + ratio["dark"]["pixels"] == strong.sum()
    bright = strong & (intensity[0] > 0.9)
    assert ratio["bright"]["pixels"] == bright.sum()
    assert ratio["all"]["value"] == pytest.approx(1.2)
    assert images["output"]["flux"]["unsigned"] == pytest.approx(1.2 * np.abs(low).mean())
    assert images["output"]["flux"]["net"] == pytest.approx(1.2 * low.mean())
    assert images["output"]["noise"] == pytest.approx(1.2 * images["input"]["noise"])
    assert images["input"]["noise"] < 15


def test_pixel_grid(field):
    low, high = field
    pattern = 5 * (-1.0) ** np.arange(high.shape[1])
    found = report({"good": high, "bad": high + pattern}, Scene("blos", low, high))["images"]
    assert found["good"]["phase_amplitude"] < 0.5
    assert found["bad"]["phase_amplitude"] == pytest.approx(5, rel=0.1)
    assert found["bad"]["nyquist"]["columns"]["ratio"] > 100
    line = found["truth"]["nyquist"]["rows"]
    assert found["bad"]["nyquist"]["rows"]["ratio"] == pytest.approx(line["ratio"], rel=0.05)


def test_gaps_count_nowhere(intensity):
    """Missing sky in input and output is left out of every score."""
    low, high = (image.copy() for image in intensity)
    low[:, :10], high[:, :20] = np.nan, np.nan
    found = report({"output": high}, Scene("intensity", low, high))
    out = found["images"]["output"]
    assert out["errors"]["whole"]["pixels"] == 48 * 46 * 4
    assert out["errors"]["whole"]["mse"] == 0
    # the filled pixels of the gap are in the core of the PSF of a pixel next to it (4e-4), but 5
    # arcsec away only in its tail (4e-5)
    assert out["reblur"]["consistent"]["whole"] < 1e-4
    assert sum(found["classes"].values()) <= 48 * 46
    assert found["classes"]["limb"] > 0
    json.dumps(found, allow_nan=False)


def test_table(intensity, field):
    low, high = intensity
    scene = Scene("intensity", low, high, field[0])
    found = report({"output": high, "input twice": low.repeat(2, 0).repeat(2, 1)}, scene)
    text = table.text(found)
    lines = text.splitlines()
    assert lines[0].startswith("intensity in Ic, 48 x 56 input pixels; by class, from the truth")
    names = next(line for line in lines if "truth" in line and "output" in line)
    assert names.split() == ["input", "output", "input", "twice", "truth"]
    rms = next(line.split() for line in lines if line.startswith("rms"))
    twice = found["images"]["input twice"]["errors"]["whole"]["rms"]
    assert rms == ["rms,", "Ic", "–", "0", f"{twice:.4g}", "–"]
    band = {name: image["bands"]["0.5-0.75"] for name, image in found["images"].items()}
    for over, row in zip(
        ("truth", "input"),
        (line.split()[1:] for line in lines if line.startswith("0.5-0.75")),
        strict=True,
    ):
        want = [band[name] / band[over] for name in ("input", "output", "input twice", "truth")]
        np.testing.assert_allclose([float(cell) for cell in row], want, rtol=5e-3)
    assert not any("flux" in line or "slope" in line for line in lines)
    assert any(line.startswith("mse, umbra") for line in lines)
    # every heading has rows
    headings = [k for k, line in enumerate(lines) if k > 1 and lines[k - 1] == "" and line]
    assert all(k + 1 < len(lines) and lines[k + 1] for k in headings[1:])
    assert "traces of the pixel grid" in text
    only_truth = table.text(report({"output": high}, Scene("intensity", truth=high)))
    assert "blurred again" not in only_truth
    assert "over the input's" not in only_truth


def test_json_knows_all_values(intensity):
    low, high = intensity
    found = report({"output": high}, Scene("intensity", low, high))
    assert json.loads(json.dumps(found, allow_nan=False)) == found


FAULTS = {
    "neither": ({"input": None}, "the truth or the input"),
    "type": ({"type": "velocity"}, "type must be"),
    "truth": ({"truth": np.ones((96, 110))}, "truth must be 96 x 112"),
    "input": ({"input": np.ones((96, 112))}, "input must be 48 x 56"),
    "companion": ({"companion": np.ones((96, 112))}, "companion must be 48 x 56"),
    "box": ({"box": (0, 49, 0, 10)}, "box must be"),
    "no valid pixel": ({"truth": np.full((96, 112), np.nan)}, "valid in all"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(name, intensity):
    low, high = intensity
    changed, words = FAULTS[name]
    with pytest.raises(ValueError, match=words):
        report({"output": high}, Scene("intensity", low)._replace(**changed))


def test_odd_or_missing_outputs(intensity):
    low, _ = intensity
    with pytest.raises(ValueError, match="2H, 2W"):
        report({"output": np.ones((95, 112))}, Scene("intensity", low))
    with pytest.raises(ValueError, match="one output or more"):
        report({}, Scene("intensity", low))


def test_reference_is_the_average_of_the_truth(intensity, field):
    """The classes of the truth are on the input's pixels, even if no input is given."""
    low, high = intensity
    one = report({"output": high}, Scene("intensity", low, high, field[0]))
    two = report({"output": high}, Scene("intensity", None, high, field[0]))
    assert one["classes"] == two["classes"]
    assert averaged(high).shape == low.shape
