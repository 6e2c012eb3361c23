"""Scores of weights and of the synthetic Sun, on inputs whose result is known."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import NamedTuple

import h5py
import numpy as np
import pytest
from made import FINE, smooth_scene

from bench.quality import (
    held_out_pairs,
    known_truth,
    model_card,
    regions,
    reliability,
    synthetic_sun,
    wrong_psf,
)
from enhance_np import params
from enhance_np.baselines import NSR
from enhance_np.baselines.wiener import wiener
from enhance_np.config import SMALL
from enhance_np.optics.degrade import degrade
from enhance_np.pairs.recipe import read
from enhance_np.pairs.sources import KILOGAUSS, SEEDS, WHOLE, Source, Synthetic
from enhance_np.sun.scene import scene
from enhance_np.weights import Weights, save


def test_noise_of_the_card():
    assert regions.noises("blos") == {"45 s": 10.2e-3, "720 s": 6.3e-3}
    assert regions.mean_square_noise("blos") == pytest.approx(np.sqrt((10.2**2 + 6.3**2) / 2) / 1e3)


def test_regions_of_the_card(monkeypatch, rng):
    """A field of which nothing else is known, scenes with their other type, and the limb."""
    monkeypatch.setattr(regions.limb, "SHAPE", (64, 72))
    field = rng.standard_normal((60, 66))
    sources = (
        Source("a field", lambda seed: (field, 0.1), 1.0, train=None, test=WHOLE),
        Source("not there", lambda seed: (field, 0.1), 1.0, train=WHOLE),
        Source("scenes", Synthetic("quiet", "blos", (60, 66), 0.1), 1.0, test=WHOLE, seeded=True),
    )
    recipe = _Recipe(sources, read("blos").optics)
    monkeypatch.setattr(regions, "read", lambda type: recipe)
    found = list(regions.of_recipe("blos", "test", None, 2))
    assert [region[:2] for region in found] == [
        ("a field", "a field"),
        ("scenes", "scenes 0"),
        ("scenes", "scenes 1"),
        ("synthetic limb", "synthetic limb 0"),
        ("synthetic limb", "synthetic limb 1"),
    ]
    for image, expected in zip(found[0][2:4], degrade(field, 0.1, recipe.optics), strict=True):
        np.testing.assert_array_equal(image, expected)
    assert found[0].companion is None
    intensity, _ = scene(SEEDS["test"][1], (60, 66), 0.1, "quiet")
    np.testing.assert_array_equal(found[2].companion, degrade(intensity, 0.1, recipe.optics)[1])
    assert all(r.high.shape == (2 * r.low.shape[0], 2 * r.low.shape[1]) for r in found)
    later = list(regions.of_recipe("blos", "test", None, 1, first=1))
    assert [region.name for region in later] == ["a field", "scenes 1", "synthetic limb 1"]
    for region, same in zip(later[1:], (found[2], found[4]), strict=True):
        np.testing.assert_array_equal(region.high, same.high)
    limb = found[-1]
    assert list(limb.classes("blos")) == ["limb"]
    seen = limb.seen(0.01)
    np.testing.assert_array_equal(seen, limb.seen(0.01))
    assert np.std(seen - limb.low) == pytest.approx(0.01, rel=0.2)


def test_scenes_blurred_by_each_psf(monkeypatch, rng):
    """A field and a scene: what is blurred is the same, what it should become too."""
    field = 1 + 0.1 * rng.standard_normal((60, 66))
    sources = (
        Source("a field", lambda seed: (field, 0.1), 1.0, train=None, test=WHOLE),
        Source("not there", lambda seed: (field, 0.1), 1.0, train=WHOLE),
        Source("scenes", Synthetic("quiet", "blos", (60, 66), 0.1), 1.0, test=WHOLE, seeded=True),
    )
    recipe = _Recipe(sources, read("blos").optics)
    monkeypatch.setattr(wrong_psf, "read", lambda type: recipe)
    options = SimpleNamespace(fields=None, scenes=2, lorentzian=0.3)
    found = list(wrong_psf.blurred("blos", options))
    assert [here.name for here, _ in found] == ["a field", "scenes 0", "scenes 1"]
    names = ["modified", "wachter", "yeo", "airy", "norton, 0.3 arcsec"]
    assert all(list(lows) == names for _, lows in found)
    intensity, bz = scene(SEEDS["test"][1], (60, 66), 0.1, "quiet")
    bz = bz * KILOGAUSS
    here, lows = found[2]
    norton = replace(recipe.optics, psf="norton", lorentzian=0.3)
    np.testing.assert_array_equal(lows["norton, 0.3 arcsec"], degrade(bz, 0.1, norton)[0])
    for image, expected in zip(here[2:4], degrade(bz, 0.1, recipe.optics), strict=True):
        np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(here.companion, degrade(intensity, 0.1, recipe.optics)[1])
    assert found[0][0].companion is None
    assert here.low is lows["modified"]


def test_the_price_of_a_wrong_psf(monkeypatch, rng):
    """Errors, ratios and contrast of one small region, by hand for the Wiener filters."""
    sun = 1 + 0.1 * smooth_scene(rng, (20, 24))
    optics = wrong_psf.psfs(read("intensity"), None)
    lows = {name: degrade(sun, FINE, one)[0] for name, one in optics.items()}
    high = degrade(sun, FINE, optics["modified"])[1]
    here = regions.Region("made", "made 0", lows["modified"], high, None, limb=True)
    monkeypatch.setattr(wrong_psf, "blurred", lambda *_: [wrong_psf.Blurred(here, lows)])
    options = SimpleNamespace(fields=None, scenes=1, lorentzian=None)
    found = wrong_psf.measured("intensity", options)
    seen = [here._replace(low=lows["yeo"]).seen(s) for s in regions.noises("intensity").values()]
    for method, psf in (("Wiener, training's PSF", "modified"), ("Wiener, this PSF", "yeo")):
        outputs = [wiener(image, NSR["intensity"], optics[psf]) for image in seen]
        error = np.mean([(out - high) ** 2 for out in outputs])
        assert found["all", "yeo", method].mse == pytest.approx(error)
        assert found["limb", "yeo", method].n == 2 * high.size
        contrast = np.std(outputs) / high.std()
        assert found["all", "yeo", method].contrast == pytest.approx(contrast)
    text = wrong_psf.told("intensity", found)
    header, _, *rows = text.splitlines()
    assert header.startswith("| test pixels | blurred by | number | default | small | Wiener, tr")
    cells = [row.strip("| ").split(" | ") for row in rows if row.startswith("|")]
    assert [row[:2] for row in cells[:4]] == [["**all**", p] for p in wrong_psf.PSFS]
    assert all(cell.endswith("(1.00)") for cell in cells[0][3:7])
    errors = [found["all", p, "default"].mse for p in ("airy", "modified")]
    assert cells[3][3] == f"{errors[0]:.3g} ({errors[0] / errors[1]:.2f})"
    assert f"is {errors[0] / errors[1]:.2f} (all)" in text
    assert text.count("- If *") == 3


class _Recipe(NamedTuple):
    sources: tuple
    optics: object

    def on(self, folder):
        return self


def test_the_card_has_a_column_for_every_method_and_network(monkeypatch, rng):
    """On one small region, with one baseline: the errors in the table are theirs."""
    low, high = 1 + 0.1 * rng.standard_normal((8, 9)), 1 + 0.1 * rng.standard_normal((16, 18))
    region = regions.Region("made", "made 0", low, high, None, limb=True)
    monkeypatch.setattr(regions, "of_recipe", lambda *_: [region])
    flat = {"flat": lambda image: np.ones((16, 18)), "linear": lambda image: np.ones((16, 18))}
    monkeypatch.setattr(model_card.baselines, "methods", lambda *_: dict(flat))
    options = SimpleNamespace(fields=None, scenes=1)
    errors, _, apart = model_card.scored("intensity", options, None)
    header, _, *rows = errors.splitlines()
    assert header == "| test pixels | number | flat | linear | default | small |"
    assert rows[0].startswith(f"| **limb** | {2 * high.size} | {np.mean((high - 1) ** 2):.3g} |")
    assert "(" in rows[0].split("|")[5]
    assert "| limb |" in apart


def test_known_truth_is_a_mean_over_the_regions_that_have_it():
    name = "darkest of the umbra over the input's"
    darkest = {name: known_truth.MEASURES["intensity"][name]}
    found = [
        {name: {"umbra_minimum": value} for name, value in row.items()}
        for row in (
            {"input": 0.2, "default": 0.12, "truth": 0.1},
            {"input": 0.2, "default": 0.14, "truth": 0.1},
        )
    ]
    quiet = {name: {"umbra_minimum": None} for name in found[0]}
    assert list(known_truth._cells([*found, quiet], darkest)) == ["0.65", "0.50"]
    assert list(known_truth._cells([quiet], darkest)) == ["–", "–"]


def test_pairs_are_scored(monkeypatch, tmp_path, capsys, rng):
    """By noise and by source, the linear filter beside a network."""
    high = 1 + 0.1 * rng.standard_normal((6, 40, 40, 1)).astype(np.float32)
    low = high.reshape(6, 20, 2, 20, 2, 1).mean((2, 4))
    data, weights = tmp_path / "pairs.h5", tmp_path / "weights.h5"
    with h5py.File(data, "w") as file:
        file.update({"imHMI": low, "imSST": high, "noise": np.repeat([1e-3, 0.01], [4, 2])})
        file["source"] = np.array([0, 0, 0, 0, 0, 1])
        file.attrs["sources"] = json.dumps([{"name": "spots"}, {"name": "grains"}])
    save(weights, Weights(SMALL, *params.initial(SMALL, 0)))
    monkeypatch.setattr("sys.argv", ["", *map(str, (data, data, weights)), "--linear", "6"])
    held_out_pairs.main()
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header == f"| pairs | number | bicubic | linear | {weights} |"
    cells = [row.strip("| ").split(" | ") for row in rows]
    assert [row[:2] for row in cells] == [
        ["all", "6"], ["noise 0.001", "4"], ["noise 0.01", "2"], ["spots", "5"], ["grains", "1"],
    ]  # fmt: skip
    every, _, _, spots, grains = np.array([row[2:] for row in cells], float)
    np.testing.assert_allclose(every, (5 * spots + grains) / 6, rtol=2e-3)
    assert every.argmax() == 2  # fresh weights know nothing


def test_simulation_is_held_against_fields(monkeypatch, tmp_path, capsys, rng):
    """Noise in place of MURaM's fields, Hinode's spot and the synthetic scenes.

    Twice the contrast is told by the spectrum, and by the exit status.
    """
    fits = pytest.importorskip("astropy.io.fits")
    pytest.importorskip("matplotlib")

    def noise(shape, size=0.05):
        return 1 + size * rng.standard_normal(shape)

    quiet = noise((200, 220))
    np.save(tmp_path / "muram_quiet_continuum.npy", quiet)
    fits.writeto(tmp_path / "muram_030G_ic.fits", noise((90, 96)))
    fits.writeto(tmp_path / "muram_030G_bz.fits", 30 * noise((90, 96), 2))
    y, x = np.mgrid[:240, :240] - 120
    spot = 188 * (1 - 0.85 * np.exp(-(np.hypot(y, x) ** 2) / 40**2))
    fits.writeto(tmp_path / "hinode_sp_sunspot_continuum.fits", spot)
    monkeypatch.setattr(
        synthetic_sun, "scene", lambda *arguments: (quiet * noise(quiet.shape, 5e-3), None)
    )
    monkeypatch.setattr(synthetic_sun, "spot_pair", lambda fields: (spot / 188, spot / 188))
    plane = synthetic_sun.Plane
    monkeypatch.setattr(synthetic_sun, "Plane", lambda shape, spacing: plane((64, 64), spacing))
    figure = tmp_path / "figure.png"
    options = ["--fields", str(tmp_path), "--scenes", "2", "--figure", str(figure)]
    monkeypatch.setattr("sys.argv", ["synthetic_sun", *options])
    with pytest.raises(SystemExit) as ended:
        synthetic_sun.main()
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert "| mean unsigned, G | " in told
    assert "| umbra over spot, area | " in told
    assert figure.stat().st_size > 1000
    assert not synthetic_sun.quiet_tables(quiet, [(1 + 2 * (quiet - 1), None)])


@pytest.fixture
def pixels(rng):
    """Normal errors whose sigma is 2 s beside a floor of 0.3, s the spread."""
    spread = rng.gamma(1.0, 0.5, 400_000)
    error = np.hypot(0.3, 2 * spread) * rng.standard_normal(spread.size)
    group = np.where(spread < 0.1, 0, 3).astype(np.int8)
    noise = np.zeros(spread.size, np.int8)
    bar = np.where(group == 3, 2, 1) * np.hypot(0.3, 2 * spread)
    residual = np.abs(error)
    return reliability.Pixels(error, 2 * error, error, bar, spread, residual, group, noise)


def test_error_bars_from_a_spread(pixels):
    """Within the statistics of 400,000 pixels: 40,000 a bin, 0.35 % of its rms error."""
    bar = reliability.fitted(pixels)
    assert bar.factor == pytest.approx(np.sqrt(4 + 0.09 / np.mean(pixels.spread**2)), rel=0.01)
    assert bar.floor == pytest.approx(0.3, rel=0.02)
    assert bar.slope == pytest.approx(2, rel=0.02)
    assert np.mean(np.abs(pixels.error) <= bar.floored(pixels.spread)) == pytest.approx(
        0.6827, abs=0.005
    )
    x, y = reliability.curve(pixels.spread, pixels.error)
    np.testing.assert_allclose(y, np.hypot(0.3, 2 * x), rtol=0.02)


def test_correlation_with_a_spread(pixels, rng):
    """A spread that is sigma correlates as well as it can, and no better."""
    error = 3 * pixels.spread * rng.standard_normal(pixels.spread.size)
    best = reliability.best_correlation(pixels.spread)
    assert reliability.correlation(pixels.spread, error) == pytest.approx(best, abs=0.01)
    assert reliability.correlation(pixels.spread, rng.permutation(error)) == pytest.approx(
        0, abs=0.01
    )


def test_which_classes_an_error_bar_fits(pixels):
    """Umbrae have twice their sigma, which 95.4 % of normal errors do not exceed."""
    parts = reliability.groups("intensity", pixels)
    assert list(parts) == ["all", "45 s, all", "**quiet**", "**umbra**"]
    header, _, *rows = reliability.within("intensity", parts, reliability.fitted(pixels)).split(
        "\n"
    )
    columns = [cell.strip() for cell in header.strip("| ").split("|")]
    found = {}
    for row in rows:
        name, *cells = (cell.strip(" *%") for cell in row.strip("| ").split("|"))
        found[name] = dict(zip(columns[1:], cells, strict=True))
    assert list(found) == ["all", "quiet", "umbra"]
    assert float(found["quiet"]["within one sigma"]) == pytest.approx(68.3, abs=1)
    assert float(found["umbra"]["within one sigma"]) == pytest.approx(95.4, abs=0.5)
    assert float(found["quiet"]["within two sigma"]) == pytest.approx(95.4, abs=1)
    assert float(found["umbra"]["before: with a floor"]) == pytest.approx(68, abs=1)
    assert found["umbra"]["of 45 s"] == found["umbra"]["within one sigma"]
    assert found["umbra"]["of 720 s"] == "–"
    said = reliability.outside(parts)
    assert "quiet" not in said
    assert re.match(r"Outside of 68 ± 3 % are .*\*\*umbra\*\* \(95.\d %\)\.", said)
    right = {"**quiet**": parts["**quiet**"]}
    assert reliability.outside(right) == "Every row is within 68 ± 3 %."


def test_shares_of_scenes_that_were_not_looked_at(pixels):
    """A row for each class, a column for each network."""
    wide = pixels._replace(bar=9 * pixels.bar)
    said = reliability.later("intensity", {"default": pixels, "small": wide})
    assert [row.split("|")[1].strip() for row in said.split("\n")] == [
        "test pixels", "---", "all", "45 s, all", "**quiet**", "**umbra**"
    ]  # fmt: skip
    one, other = (float(cell.strip(" %")) for cell in said.split("\n")[-2].split("|")[3:5])
    assert one == pytest.approx(68.3, abs=1)
    assert other > 99.9
