"""The figures are drawn, from the right images; their look is not tested."""

import numpy as np
import pytest
from astropy.io.fits import Header
from made import pair, smooth_scene, spot

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from enhance_np.baselines.bicubic import bicubic
from enhance_np.evaluate import figures
from enhance_np.evaluate.classes import masks
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
    dark = {"intensity": "penumbra ", "blos": "strong field "}[type]
    assert any(dark in title and title.endswith("\ninput") for title in found)
    assert {"output", "truth"} <= set(found)
    name = {"intensity": "RL 80", "blos": "RL 20"}[type]
    assert {"output", name, f"{name} - output", "above: input, below: output"} <= set(found)
    spectra = next(ax for ax in drawn[0].axes if ax.get_ylabel().startswith("power"))
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
    shown = [ax.images[0] for ax in drawn[0].axes if ax.images]
    columns = len(shown) // 3  # of input, output and truth
    a, b = shown[0], shown[2 * columns]
    assert a.get_extent() == b.get_extent()
    x0, x1, y0, y1 = (int(edge) for edge in a.get_extent())
    np.testing.assert_array_equal(a.get_array(), low[y0:y1, x0:x1])
    np.testing.assert_array_equal(b.get_array(), high[2 * y0 : 2 * y1, 2 * x0 : 2 * x1])
    # the umbra is at row 100 / 8, column 300 / 8
    assert y0 <= 12 < y1
    assert x0 <= 37 < x1
    assert a.get_clim() == b.get_clim()


def test_a_patch_is_named_by_what_it_shows(scenes, drawn):
    """The shares are those of the classes of its pixels; each column has its own stretch."""
    low, high = scenes["intensity"]
    scene = Scene("intensity", low, high)
    figures.save(figures.patches, (6, 6), high, scene)
    shown = [ax for ax in drawn[0].axes if ax.images]
    x0, x1, y0, y1 = (int(edge) for edge in shown[0].images[0].get_extent())
    found = masks(low, None)
    for word in shown[0].get_title().split("\n")[0].split(", "):
        name, share, _ = word.split()
        assert int(share) == round(100 * found[name][y0:y1, x0:x1].mean())
    labels = [ax.get_xlabel() for ax in drawn[0].axes if not ax.images]
    assert "intensity [Ic]" in labels


def test_page_has_the_axes_of_the_sky(scenes, drawn):
    """An image whose north is down is turned, with everything beside it."""
    low, high = scenes["intensity"]
    cards = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec"}
    cards |= {"CDELT1": 0.5, "CDELT2": 0.5, "CRPIX1": 10.0, "CRPIX2": 10.0, "CROTA2": 180.0}
    figures.page({"output": high}, Scene("intensity", low, high), header=Header(cards))
    whole = next(ax for ax in drawn[0].axes if ax.get_title() == "above: input, below: output")
    np.testing.assert_array_equal(whole.images[0].get_array()[:40], high[::-1, ::-1][:40])
    assert whole.coords[0].get_axislabel() == "x [arcsec]"


def test_lines_of_a_factor_of_two_are_labelled(scenes, drawn):
    low, high = scenes["blos"]
    figures.save(figures.region, (9, 4), low, high, "blos")
    axes = next(ax for ax in drawn[0].axes if ax.get_xlabel() == "input: line-of-sight field [G]")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["equal", "factor of 2"]


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
    axes = next(ax for ax in drawn[0].axes if ax.get_xlabel() == "input: line-of-sight field [G]")
    counts = np.ma.filled(axes.collections[0].get_array(), 0)
    assert counts.sum() == 4 * low.size
    assert np.trace(counts) == 4 * low.size


def test_gaps(scenes, drawn):
    low, high = (image.copy() for image in scenes["intensity"])
    low[:, :8], high[:, :16] = np.nan, np.nan
    assert figures.page({"output": high}, Scene("intensity", low, high)).startswith(b"\x89PNG")
