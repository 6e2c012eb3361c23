"""Figures: that they are written, whole, of the right content; how they look is for the eye."""

import subprocess
import sys

import numpy as np
import pytest
from astropy.io.fits import Header

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from enhance_np import plot


@pytest.fixture
def scene():
    """Input (40, 60) with a limb and a spot, output and truth (80, 120)."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:80, 0:120]
    truth = 1 - 0.8 * np.exp(-((x - 80) ** 2 + (y - 30) ** 2) / 150)
    truth = (truth + 0.04 * rng.standard_normal(truth.shape)).astype(np.float32)
    truth[:, :8] = np.nan
    image = truth.reshape(40, 2, 60, 2).mean(axis=(1, 3))
    return image, image.repeat(2, axis=0).repeat(2, axis=1), truth


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved, to look inside."""
    saved = []
    savefig = Figure.savefig

    def record(self, *args, **kwargs):
        saved.append(self)
        savefig(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", record)
    return saved


def panels(figure):
    return [ax for ax in figure.axes if ax.images]


def test_intensity(scene, figures):
    image, output, _ = scene
    png = plot.side_by_side(image, output, "intensity", units="DN/s")
    assert png[:4] == b"\x89PNG"
    axes = panels(figures[0])
    assert len(axes) == 4
    assert len({ax.images[0].get_clim() for ax in axes}) == 1  # one stretch
    assert axes[0].get_xlabel() == "x [input pixel]"
    assert axes[0].get_xlim() == axes[1].get_xlim() == (0, 60)
    assert "intensity [DN/s]" in {ax.get_ylabel() for ax in figures[0].axes}


def test_zoom_shows_the_same_place(scene, figures):
    """The zoom lies around the spot, and covers the same sky in input and output."""
    image, output, _ = scene
    plot.side_by_side(image, output, "intensity")
    zooms = panels(figures[0])[2:]
    assert zooms[0].get_xlim() == zooms[1].get_xlim()
    assert zooms[0].get_ylim() == zooms[1].get_ylim()
    assert zooms[0].get_xlim()[0] < 40 < zooms[0].get_xlim()[1]
    assert zooms[0].get_ylim()[0] < 15 < zooms[0].get_ylim()[1]
    small, large = (np.asarray(ax.images[0].get_array()) for ax in zooms)
    np.testing.assert_array_equal(large, small.repeat(2, axis=0).repeat(2, axis=1))


def test_magnetogram_is_symmetric_and_in_arcsec(scene, figures):
    header = Header()
    header["CDELT1"] = header["CDELT2"] = 0.5
    header["CUNIT1"] = header["CUNIT2"] = "arcsec"
    image, output, _ = scene
    kilogauss = 4000 * (image - 0.9), 4000 * (output - 0.9)
    plot.side_by_side(*kilogauss, "blos", units="G", header=header)
    plot.side_by_side(image - 0.9, output - 0.9, "blos", header=header)
    axes = panels(figures[0])
    assert axes[0].images[0].get_clim() == (-1500, 1500)
    assert axes[0].get_xlabel() == "x [arcsec]"
    assert axes[0].get_xlim() == (0, 30)
    low, high = panels(figures[1])[0].images[0].get_clim()
    assert -low == high < 1


def test_truth_adds_the_difference(scene, figures):
    image, output, truth = scene
    plot.side_by_side(image, output, "intensity", truth=truth)
    axes = panels(figures[0])
    assert len(axes) == 8
    rms = np.sqrt(np.nanmean((output - truth) ** 2))
    assert axes[3].get_title() == f"enhanced - truth, rms {rms:.3g}"
    low, high = axes[3].images[0].get_clim()
    assert low == -high


def test_large_and_flat_and_tiny_images(figures):
    rng = np.random.default_rng(0)
    large = rng.standard_normal((700, 610)).astype(np.float32)
    plot.side_by_side(large, large.repeat(2, 0).repeat(2, 1), "blos")
    assert max(panels(figures[0])[1].images[0].get_array().shape) <= plot.PANEL_PIXELS
    assert panels(figures[0])[1].get_xlim() == (0, 610)
    for shape, k in (((2, 2), 2), ((3, 50), 2), ((20, 20), 1)):
        flat = np.ones(shape, np.float32)
        output = flat.repeat(k, 0).repeat(k, 1)
        for type in ("intensity", "blos"):
            plot.side_by_side(flat, output, type, truth=output)
    full = np.full((30, 30), np.nan)
    full[::5, ::5] = 1.0  # a gap in every square
    plot.side_by_side(full, full, "intensity")


def test_refuses(scene):
    image, output, truth = scene
    for args, more in (
        ((image, output[:-1], "intensity"), {}),
        ((output, image, "intensity"), {}),
        ((image, output, "doppler"), {}),
        ((image, output, "intensity"), {"truth": truth[:-2]}),
    ):
        with pytest.raises(ValueError, match=r"^side_by_side: .* must be .*, got "):
            plot.side_by_side(*args, **more)


def test_units_are_no_formula(scene):
    image, output, _ = scene
    assert plot.side_by_side(image, output, "intensity", units=r"$\frac$")[:4] == b"\x89PNG"


def test_loss_curves():
    rows = [{"epoch": i, "loss": 0.1 / (i + 1), "val_loss": 0.2 / (i + 1)} for i in range(3)]
    assert plot.loss_curves(rows)[:4] == b"\x89PNG"


def test_says_which_extra_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'needs matplotlib: pip install "enhance_np\[plot\]"$'):
        plot.require_matplotlib()


def test_pyplot_is_left_alone():
    """No pyplot: it would choose a backend, and keep every figure of a long session."""
    code = (
        "import sys, numpy as np\n"
        "from enhance_np.plot import side_by_side\n"
        "side_by_side(np.eye(8), np.eye(16), 'intensity')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
