"""The figures are drawn, from the right images; their look is not tested."""

import numpy as np
import pytest
from made import pair, smooth_scene, spot

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from enhance_np.baselines.bicubic import bicubic
from enhance_np.evaluate import figures
from enhance_np.evaluate.report import Scene


@pytest.fixture(scope="module")
def scenes():
    """{type: (low, high)}, 40 x 56 input pixels."""
    rng = np.random.default_rng(6)
    shape = (8 * 40, 8 * 56)
    dark = spot(shape, (100, 300), sigma=60)
    intensity = pair(smooth_scene(rng, (40, 56)) - 0.85 * dark)
    return {"intensity": intensity, "blos": pair(2000 * dark + 20 * (rng.random(shape) - 0.5))}


@pytest.fixture
def drawn(monkeypatch):
    saved = []
    savefig = Figure.savefig

    def record(self, *args, **kwargs):
        saved.append(self)
        savefig(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", record)
    return saved


def titles(figure):
    return [ax.get_title() for ax in figure.axes if ax.images]


@pytest.mark.parametrize("type", ["intensity", "blos"])
def test_page(type, scenes, drawn):
    low, high = scenes[type]
    out = bicubic(low)
    png = figures.page({"output": out}, Scene(type, low, high))
    assert png.startswith(b"\x89PNG")
    found = titles(drawn[0])
    assert {"input, umbra", "output, umbra", "truth, umbra"} <= set(found)
    name = {"intensity": "RL 80", "blos": "RL 20"}[type]
    assert {"output", name, f"{name} - output", "above: input, below: output"} <= set(found)
    spectra = next(ax for ax in drawn[0].axes if ax.get_yscale() == "log" and ax.lines)
    labels = [line.get_label() for line in spectra.lines]
    assert labels == ["input", "output", "truth", name, "Nyquist of the input"]


def test_page_without_truth_or_without_input(scenes, drawn):
    low, high = scenes["intensity"]
    out = bicubic(low)
    figures.page({"output": out, "RL 7": high}, Scene("intensity", low))
    assert not any("truth" in title for title in titles(drawn[0]))
    assert "RL 7 - output" in titles(drawn[0])
    figures.page({"output": out}, Scene("intensity", None, high))
    assert not any("RL" in title for title in titles(drawn[1]))
    assert any("truth" in title for title in titles(drawn[1]))


def test_patches_show_the_same_place(scenes, drawn):
    low, high = scenes["intensity"]
    figures.save(figures.patches, (6, 6), high, Scene("intensity", low, high))
    shown = {ax.get_title(): ax.images[0] for ax in drawn[0].axes if ax.images}
    a, b = (shown[f"{name}, umbra"] for name in ("input", "truth"))
    assert a.get_extent() == b.get_extent()
    x0, x1, y0, y1 = (int(edge) for edge in a.get_extent())
    np.testing.assert_array_equal(a.get_array(), low[y0:y1, x0:x1])
    np.testing.assert_array_equal(b.get_array(), high[2 * y0 : 2 * y1, 2 * x0 : 2 * x1])
    # the umbra is at row 100 / 8, column 300 / 8
    assert y0 <= 12 < y1
    assert x0 <= 37 < x1
    assert a.get_clim() == b.get_clim()


def test_halves(scenes, drawn):
    """The input is above the line, the output below; row 0 is at the bottom."""
    low, high = scenes["intensity"]
    figures.save(figures.region, (9, 4), low, high, "intensity")
    shown = next(ax for ax in drawn[0].axes if ax.images).images[0].get_array()
    np.testing.assert_array_equal(shown[:40], high[:40])
    np.testing.assert_array_equal(shown[40::2, ::2], low[20:])


def test_scatter_takes_the_input_at_the_outputs_pixels(scenes, drawn):
    """If the output is the interpolated input, all points lie on the diagonal."""
    low, _ = scenes["blos"]
    figures.save(figures.region, (9, 4), low, bicubic(low), "blos")
    axes = next(ax for ax in drawn[0].axes if ax.get_xlabel() == "input [G]")
    counts = np.ma.filled(axes.collections[0].get_array(), 0)
    assert counts.sum() == 4 * low.size
    assert np.trace(counts) == 4 * low.size


def test_gaps(scenes, drawn):
    low, high = (image.copy() for image in scenes["intensity"])
    low[:, :8], high[:, :16] = np.nan, np.nan
    assert figures.page({"output": high}, Scene("intensity", low, high)).startswith(b"\x89PNG")
