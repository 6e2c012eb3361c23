"""The figures are complete and have the right content; their look is not tested."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.wcs import WCS

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from enhance_np.observation.fits import Frame
from enhance_np.prediction import picture


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
    """A list of the figures that are saved, to examine them."""
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
    png = picture.side_by_side(image, output, "intensity", units="DN/s")
    assert png[:4] == b"\x89PNG"
    axes = panels(figures[0])
    assert len(axes) == 4
    assert len({ax.images[0].get_clim() for ax in axes}) == 1  # the same grey scale
    assert axes[0].get_xlabel() == "x [input pixel]"
    assert axes[0].get_xlim() == axes[1].get_xlim() == (0, 60)
    assert "intensity [DN s$^{-1}$]" in {ax.get_ylabel() for ax in figures[0].axes}


def test_zoom_shows_the_same_place(scene, figures):
    """The zoom is around the spot, and shows the same part of the sky in input and output."""
    image, output, _ = scene
    picture.side_by_side(image, output, "intensity")
    zooms = panels(figures[0])[2:]
    assert zooms[0].get_xlim() == zooms[1].get_xlim()
    assert zooms[0].get_ylim() == zooms[1].get_ylim()
    assert zooms[0].get_xlim()[0] < 40 < zooms[0].get_xlim()[1]
    assert zooms[0].get_ylim()[0] < 15 < zooms[0].get_ylim()[1]
    small, large = (np.asarray(ax.images[0].get_array()) for ax in zooms)
    np.testing.assert_array_equal(large, small.repeat(2, axis=0).repeat(2, axis=1))


def test_magnetogram_is_symmetric(scene, figures):
    image, output, _ = scene
    picture.side_by_side(4000 * (image - 0.9), 4000 * (output - 0.9), "blos", units="Gauss")
    picture.side_by_side(image - 0.9, output - 0.9, "blos")
    strongest = max(np.nanpercentile(abs(4000 * (i - 0.9)), 99.9) for i in (image, output))
    assert panels(figures[0])[0].images[0].get_clim() == (-strongest, strongest)
    for figure, unit in zip(figures, ("G", "G"), strict=True):
        assert f"line-of-sight field [{unit}]" in {ax.get_ylabel() for ax in figure.axes}
    low, high = panels(figures[1])[0].images[0].get_clim()
    assert -low == high < 1


# a cut-out away from disc centre
CARDS = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec"}
CARDS |= {"CRPIX1": 700.3, "CRPIX2": -400.6, "CRVAL1": 2.5, "CRVAL2": -1.7}
STEPS = {"CDELT1": 0.504302, "CDELT2": 0.504302}
CEA = {"CTYPE1": "CRLN-CEA", "CTYPE2": "CRLT-CEA", "CUNIT1": "degree", "CUNIT2": "degree"}
CEA |= {"CRPIX1": 30.5, "CRPIX2": 20.5, "CRVAL1": 34.9, "CRVAL2": -21.1}
SKIES = {
    "CROTA2 180": CARDS | STEPS | {"CROTA2": 179.93},
    "CROTA2 0": CARDS | STEPS | {"CROTA2": 0.07},
    "PC": CARDS | STEPS | {"PC1_1": -0.8, "PC1_2": 0.6, "PC2_1": -0.6, "PC2_2": -0.8},
    "PC, no CDELT": CARDS | {"PC1_1": -0.5, "PC2_2": -0.5},
    "CD": CARDS | {"CD1_1": -0.4, "CD1_2": 0.3, "CD2_1": -0.3, "CD2_2": -0.4},
    "CD, upright": CARDS | {"CD1_1": 0.4, "CD1_2": -0.3, "CD2_1": 0.3, "CD2_2": 0.4},
    "CEA": CEA | {"CDELT1": 0.03, "CDELT2": 0.03},
    "no CRPIX": CEA | {"CRPIX1": 0.0, "CDELT1": -0.03, "CDELT2": -0.03},
}


@pytest.mark.parametrize("kind", SKIES)
def test_every_pixel_is_where_its_header_puts_it(kind, figures):
    """North is up, west is right, and the axes agree with astropy.wcs on the file's header."""
    header = Header(SKIES[kind])
    if kind == "no CRPIX":
        del header["CRPIX1"]
    image, output = (
        np.arange(h * w, dtype=np.float32).reshape(h, w) for h, w in ((40, 60), (80, 120))
    )
    picture.side_by_side(image, output, "intensity", header=header)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy warns that it repairs "degree"
        wcs = WCS(header)
    for ax, (k, stored) in zip(panels(figures[0]), 2 * [(1, image), (2, output)], strict=True):
        drawn = np.asarray(ax.images[0].get_array())
        left, right, bottom, top = ax.images[0].get_extent()
        assert (left, right, bottom, top) == (*ax.get_xlim(), *ax.get_ylim())
        x, y = (
            low + (np.arange(n) + 0.5) / n * (high - low)
            for low, high, n in ((left, right, drawn.shape[1]), (bottom, top, drawn.shape[0]))
        )
        longitude, latitude = ax.wcs.pixel_to_world_values(*np.meshgrid(x, y))
        rows, columns = np.divmod(drawn, stored.shape[1])  # the value of a pixel is its index
        want = wcs.pixel_to_world_values(*(((at + 0.5) / k - 0.5) for at in (columns, rows)))
        np.testing.assert_allclose(3600 * longitude, 3600 * want[0], rtol=0, atol=1e-6)
        np.testing.assert_allclose(3600 * latitude, 3600 * want[1], rtol=0, atol=1e-6)
        assert (np.diff(latitude, axis=0) > 0).all()
        assert (np.diff((longitude + 180) % 360, axis=1) > 0).all()


@pytest.mark.parametrize(("kind", "unit"), [("CROTA2 180", "arcsec"), ("CEA", "deg")])
def test_axes_say_what_they_are(kind, unit, scene, figures):
    image, output, _ = scene
    picture.side_by_side(image, output, "intensity", header=Header(SKIES[kind]))
    names = {"arcsec": ("x", "y"), "deg": ("Carrington longitude", "Carrington latitude")}[unit]
    for ax in panels(figures[0]):
        for coordinate, name in zip(ax.coords, names, strict=True):
            assert coordinate.get_axislabel() == f"{name} [{unit}]"
            assert coordinate.get_format_unit() == unit


def test_truth_is_turned_with_the_rest(scene, figures):
    image, output, truth = scene
    picture.side_by_side(
        image, output, "intensity", truth=truth, header=Header(SKIES["CROTA2 180"])
    )
    axes = panels(figures[0])
    np.testing.assert_array_equal(axes[3].images[0].get_array(), truth[::-1, ::-1])
    np.testing.assert_array_equal(axes[4].images[0].get_array(), (output - truth)[::-1, ::-1])


@pytest.mark.parametrize("cards", [{"CDELT1": 0.0}, {"CUNIT1": "G"}, {"CTYPE2": "HPLT-CAR"}])
def test_a_header_that_means_nothing(cards, scene, figures, caplog):
    """The picture is drawn without coordinates, because the work is already done."""
    image, output, _ = scene
    picture.side_by_side(image, output, "intensity", header=Header(CARDS | STEPS | cards))
    assert panels(figures[0])[0].get_xlabel() == "x [input pixel]"
    (record,) = caplog.records
    assert "the picture's axes count pixels" in record.message


def test_truth_adds_bicubic_and_the_difference(scene, figures):
    image, output, truth = scene
    picture.side_by_side(image, output, "intensity", truth=truth, units="Ic")
    axes = panels(figures[0])
    assert len(axes) == 10
    smooth = np.asarray(axes[1].images[0].get_array())
    np.testing.assert_array_equal(np.isnan(smooth), np.isnan(image).repeat(2, 0).repeat(2, 1))
    first, second = (np.sqrt(np.nanmean((i - truth) ** 2)) for i in (smooth, output))
    titles = [ax.get_title() for ax in axes[:5]]
    assert titles == [
        "input",
        f"bicubic, rms error {first:.3g}",
        f"enhanced, rms error {second:.3g}",
        "truth",
        "enhanced - truth",
    ]
    assert len({ax.images[0].get_clim() for ax in axes[:4]}) == 1
    low, high = axes[4].images[0].get_clim()
    assert low == -high
    assert {"intensity [Ic]", "difference [Ic]"} <= {ax.get_ylabel() for ax in figures[0].axes}


def test_confidence_adds_a_panel_each(scene, figures):
    image, output, _ = scene
    spread, residual = abs(output - 1), image - 1
    picture.side_by_side(image, output, "intensity", units="DN/s", spread=spread, residual=residual)
    axes = panels(figures[0])
    assert [ax.get_title() for ax in axes[:4]] == ["input", "enhanced", "spread", "residual"]
    np.testing.assert_array_equal(axes[2].images[0].get_array(), spread)
    np.testing.assert_array_equal(axes[3].images[0].get_array(), residual)
    assert axes[2].images[0].get_clim()[0] == 0
    assert len({axes[4].get_xlim(), axes[6].get_xlim(), axes[7].get_xlim()}) == 1
    labels = {ax.get_ylabel() for ax in figures[0].axes}
    assert "spread of 8 outputs [DN s$^{-1}$]" in labels
    assert "re-blurred output - input [DN s$^{-1}$]" in labels


def test_missing_pixels_are_explained(scene, figures):
    image, output, _ = scene
    picture.side_by_side(image, output, "intensity")
    picture.side_by_side(np.nan_to_num(image), np.nan_to_num(output), "intensity")
    with_gaps, without = ([t.get_text() for g in f.legends for t in g.texts] for f in figures)
    assert (with_gaps, without) == (["missing pixels"], [])


def test_caption_names_what_finds_the_image_again(figures, scene):
    cards = {"DATE-OBS": "2011-02-15T01:58:12.30", "NOAA_AR": 11158, "HARPNUM": 377}
    path = "/data/hmi.sharp_720s.377.20110215.continuum.fits"
    made = picture.caption(Frame(scene[0], Header(cards), path), "5 blocks, 32 filters")
    assert made == (
        "2011-02-15 01:58:12, NOAA 11158, HARP 377, hmi.sharp_720s\n"
        "hmi.sharp_720s.377.20110215.continuum.fits, model: 5 blocks, 32 filters"
    )
    bare = Frame(
        scene[0], Header({"DRMS_ID": "hmi.M_720s:4242:magnetogram", "NOAA_AR": 0}), "a.fits"
    )
    assert picture.caption(bare) == "hmi.M_720s\na.fits"
    assert picture.caption(Frame(scene[0], Header(), "a$b.fits")) == "a$b.fits"
    picture.side_by_side(*scene[:2], "intensity", title="a$b_^.fits")
    assert figures[0].get_suptitle() == r"a\$b_^.fits"


@pytest.mark.parametrize(
    ("unit", "shown"),
    [
        ("DN/s", "DN s$^{-1}$"), ("DN / s", "DN s$^{-1}$"), ("Gauss", "G"), ("kG", "kG"),
        ("Mx/cm^2", "Mx cm$^{-2}$"), ("Mx cm**-2", "Mx cm$^{-2}$"),
        ("erg/s/cm2", "erg s$^{-1}$ cm$^{-2}$"), ("Ic", "Ic"), ("", ""), ("none", ""),
    ],
)  # fmt: skip
def test_units_are_typeset(unit, shown):
    assert picture.typeset(unit) == shown


def test_what_the_output_leaves_out_chooses_nothing(scene, figures):
    """Noise and spikes, as off the limb of a magnetogram, do not affect the grey scale and zoom."""
    image, output, _ = scene
    image, output = 1000 * (image - 0.9), 1000 * (output - 0.9)
    output[:, 84:] = np.nan
    picture.side_by_side(image, output, "blos")
    image[:, 42:] = 5000 * np.random.default_rng(1).standard_normal((40, 18))
    picture.side_by_side(image, output, "blos")
    want, got = (panels(figure) for figure in figures)
    assert got[0].images[0].get_clim() == want[0].images[0].get_clim()
    assert got[2].get_xlim() == want[2].get_xlim()
    assert got[2].get_xlim()[1] <= 42
    assert got[0].images[0].get_array().max() > 5000  # but they are shown


def test_large_and_flat_and_tiny_images(figures):
    rng = np.random.default_rng(0)
    large = rng.standard_normal((700, 610)).astype(np.float32)
    picture.side_by_side(large, large.repeat(2, 0).repeat(2, 1), "blos")
    assert max(panels(figures[0])[1].images[0].get_array().shape) <= picture.PANEL_PIXELS
    assert panels(figures[0])[1].get_xlim() == (0, 610)
    for shape, k in (((2, 2), 2), ((3, 50), 2), ((20, 20), 1)):
        flat = np.ones(shape, np.float32)
        output = flat.repeat(k, 0).repeat(k, 1)
        for type in ("intensity", "blos"):
            picture.side_by_side(flat, output, type, truth=output)
    full = np.full((30, 30), np.nan)
    full[::5, ::5] = 1.0  # a gap in every square
    picture.side_by_side(full, full, "intensity")


def test_refuses(scene):
    image, output, truth = scene
    for args, more in (
        ((image, output[:-1], "intensity"), {}),
        ((output, image, "intensity"), {}),
        ((image, output, "doppler"), {}),
        ((image, output, "intensity"), {"truth": truth[:-2]}),
        ((image, output, "intensity"), {"spread": image}),
        ((image, output, "intensity"), {"error": image}),
        ((image, output, "intensity"), {"doubt": np.zeros(image.shape, np.uint8)}),
        ((image, output, "intensity"), {"residual": output}),
    ):
        with pytest.raises(ValueError, match=r"^side_by_side: .* must be .*, got "):
            picture.side_by_side(*args, **more)


def test_units_are_no_formula(scene):
    image, output, _ = scene
    assert picture.side_by_side(image, output, "intensity", units=r"$\frac$")[:4] == b"\x89PNG"


def test_pyplot_is_left_alone():
    """pyplot would choose a backend, and keep every figure of a long session in memory."""
    code = (
        "import sys, numpy as np\n"
        "from enhance_np.prediction.picture import side_by_side\n"
        "side_by_side(np.eye(8), np.eye(16), 'intensity')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_more_axes_in_the_wcs_than_in_the_image(scene, figures, caplog):
    """WCSAXES of a cube, left in the header of its plane."""
    image, output, _ = scene
    header = Header({"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "WCSAXES": 9})
    for i in "12":
        header[f"CUNIT{i}"], header[f"CDELT{i}"], header[f"CRPIX{i}"] = "arcsec", 0.5, 20.0
    for down in (False, True):
        header["CROTA2"] = 180.0 if down else 0.0
        picture.side_by_side(image, output, "intensity", header=header)
        assert not caplog.messages
        assert panels(figures[-1])[0].coords[0].get_axislabel() == "x [arcsec]"


def test_error_bar_and_doubt_have_panels(scene, figures):
    """The weightiest of several doubts is shown, as a colour with a name."""
    image, output, _ = scene
    doubt = np.zeros(output.shape, np.uint8)
    doubt[10, 10], doubt[11, 11], doubt[12, 12] = 8, 8 | 4, 8 | 4 | 2 | 1
    picture.side_by_side(
        image, output, "intensity", units="DN/s", error=abs(output - 1), doubt=doubt
    )
    axes = panels(figures[0])
    assert [ax.get_title() for ax in axes[:4]] == ["input", "enhanced", "error bar", "doubt"]
    np.testing.assert_array_equal(axes[2].images[0].get_array(), abs(output - 1))
    shown = axes[3].images[0].get_array()
    assert [shown[i, i] for i in (9, 10, 11, 12)] == [0, 1, 2, 4]
    labels = {ax.get_ylabel() for ax in figures[0].axes}
    assert {"one sigma [DN s$^{-1}$]", "weightiest doubt"} <= labels
    (bar,) = (ax for ax in figures[0].axes if ax.get_ylabel() == "weightiest doubt")
    names = [label.get_text() for label in bar.get_yticklabels()]
    assert names == ["none", "edge", "contrast", "value", "residual"]


def test_a_single_doubtful_pixel_of_a_large_image_is_seen(figures):
    """Large images are averaged in blocks; a mean of doubts would be another doubt."""
    image = np.ones((700, 700), np.float32)
    image[::7] = 1.1
    output = image.repeat(2, axis=0).repeat(2, axis=1)
    doubt = np.zeros(output.shape, np.uint8)
    doubt[100, 100] = 1
    picture.side_by_side(image, output, "intensity", doubt=doubt)
    shown = panels(figures[0])[2].images[0].get_array()
    assert shown.shape < doubt.shape
    assert sorted(set(np.unique(shown))) == [0, 4]
