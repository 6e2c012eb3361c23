"""The figures show the right images, with the same stretch where they are compared."""

from types import SimpleNamespace

import numpy as np
import pytest
from made_region import SIDE, region

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from enhance_np._array import repeated
from enhance_np.chapter import figures, simulation
from enhance_np.chapter.limb import Limb
from enhance_np.chapter.regions import RL
from enhance_np.evaluate.spectrum import power_spectrum
from enhance_np.sun.convection import SPACING


def drawn(draw, *arguments):
    """(figure, its axes with images)."""
    figure = Figure(figsize=(10, 5))
    draw(figure, *arguments)
    return figure, [ax for ax in figure.axes if ax.images]


def stronger(outputs):
    outputs["default"]["blos"] = outputs["default"]["blos"] * np.float32(1.5)
    outputs[RL]["blos"] = outputs[RL]["blos"] * np.float32(0.5)
    outputs["small"]["blos"] = outputs["default"]["blos"] + np.float32(7)
    return outputs


def test_the_feature_map_is_the_difference_of_both_sides(rng):
    made = region(rng)
    _, (left, kernel, right) = drawn(figures.edge_filter, made)
    image = made.images["intensity"].astype(float)
    rows = image[:-2] + 2 * image[1:-1] + image[2:]
    np.testing.assert_allclose(right.images[0].get_array(), rows[:, 2:] - rows[:, :-2], atol=1e-12)
    np.testing.assert_array_equal(left.images[0].get_array(), made.images["intensity"])
    np.testing.assert_array_equal(kernel.images[0].get_array(), figures.VERTICAL_EDGES)
    # the features lie on the inner pixels
    assert right.images[0].get_extent() == [1, SIDE - 1, 1, SIDE - 1]


def test_derivatives_of_the_activations():
    figure = Figure()
    figures.activations(figure)
    assert len(figure.axes) == 3
    for ax in figure.axes:
        f, slope = (line.get_ydata() for line in ax.lines[:2])
        x = ax.lines[0].get_xdata()
        away = np.abs(x[1:-1]) > 0.05  # the slope of max(x, 0) jumps at 0
        measured = (f[2:] - f[:-2]) / (x[2:] - x[:-2])
        # the error is f''' h^2 / 6, of f''' < 2
        np.testing.assert_allclose(measured[away], slope[1:-1][away], atol=2 * 0.02**2 / 6)


def test_degraded_images_have_one_stretch_and_axes_in_arcsec(rng):
    hmi = 1 + 0.04 * rng.standard_normal((50, 50))
    scene = 1 + 0.1 * rng.standard_normal((400, 400))
    made = simulation.Simulation("made", scene, SPACING, hmi)
    figure, axes = drawn(figures.degraded, made)
    first, sharp, *degraded = axes
    assert first.get_title().startswith("HMI\n50 x 50 pixels, contrast 4.")
    assert {ax.images[0].get_clim() for ax in degraded} == {first.images[0].get_clim()}
    assert sharp.images[0].get_extent()[1] == pytest.approx(400 * SPACING)
    assert {ax.get_xlabel() for ax in axes} == {"x [arcsec]"}
    spectra = next(ax for ax in figure.axes if ax.get_ylabel().startswith("power"))
    labels = [line.get_label() for line in spectra.lines]
    assert labels[0] == "simulation"
    assert "HMI" in labels
    profiles = next(ax for ax in figure.axes if ax.get_ylabel().startswith("PSF"))
    names = [line.get_label() for line in profiles.lines]
    assert sorted(names) == sorted(figures.PROFILES.values())


def test_the_levels_of_white_noise_are_those_of_an_image_of_it(rng):
    figure, _ = drawn(figures.field, region(rng, stronger))
    right = next(ax for ax in figure.axes if ax.get_ylabel().startswith("power"))
    levels = {line.get_label(): line.get_ydata() for line in right.lines}
    for sigma in (12, 75):
        white = power_spectrum(sigma * rng.standard_normal((128, 128)), 1.0)
        level = levels[f"white noise of {sigma} G"][0]
        assert np.median(white.power) == pytest.approx(level, rel=0.1)
    assert {"input", "output", RL} <= set(levels)


def test_figure_11_is_the_difference_and_marks_the_line(rng):
    made = region(rng, stronger)
    figure, (out, other, difference) = drawn(figures.richardson_lucy, made)
    field = repeated(made.images["blos"])
    np.testing.assert_allclose(difference.images[0].get_array(), -field, rtol=1e-5)
    assert out.images[0].get_clim() == other.images[0].get_clim()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["polarity line"]
    assert {ax.get_xlim() for ax in (out, other, difference)} == {(0, SIDE)}


def test_of_a_large_region_the_part_with_the_line_is_shown():
    mask = np.zeros((400, 1200), bool)
    mask[300:310, 900:1000] = True
    row, column, side = figures._around(mask)
    assert side == figures.LARGEST
    assert row <= 150
    assert row + side >= 155
    assert column <= 450
    assert column + side >= 500
    assert figures._around(np.zeros((400, 1200), bool)) == (36, 236, side)


def test_hinode_shows_the_common_part(rng):
    made = region(rng)
    other = made.images["blos"].repeat(2, 0).repeat(2, 1)[20:100, 10:90]
    comparison = SimpleNamespace(other_alike=other)
    pair = SimpleNamespace(
        region=made, name="made", type="blos", comparison=comparison, corner=(5, 10)
    )
    _, axes = drawn(figures.hinode, pair)
    assert {(ax.get_xlim(), ax.get_ylim()) for ax in axes} == {((5, 45), (10, 50))}
    assert len({ax.images[0].get_clim() for ax in axes}) == 1
    assert axes[2].images[0].get_extent() == [5, 45, 10, 50]


def test_the_small_network_minus_the_default_one(rng):
    _, (intensity, field) = drawn(figures.small_network, region(rng, stronger))
    np.testing.assert_allclose(field.images[0].get_array(), 7, atol=1e-3)
    assert field.get_title() == "line-of-sight field: small - default, rms 7 G"
    assert not intensity.images[0].get_array().any()


def test_the_limb_with_and_without_a_truth(rng):
    image = np.where(np.arange(40) < 30, 0.5, 0.01) + 0.01 * rng.standard_normal((40, 40))
    out = repeated(image)
    for truth, titles in (
        (None, ["input", "output", "output - input"]),
        (out, ["input", "output", "truth", "output - input", "truth - input"]),
    ):
        _, axes = drawn(figures.limb, Limb("made", image, out, {}, 0.5, truth))
        assert [ax.get_title() for ax in axes] == titles
