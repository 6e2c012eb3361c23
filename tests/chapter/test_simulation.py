"""Degraded simulations beside an image of HMI."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.fits import Header

from enhance_np.chapter import simulation
from enhance_np.chapter.regions import Region
from enhance_np.optics.degrade import HMI, HMI_SCALE, seen
from enhance_np.sun.convection import SPACING


@pytest.fixture(scope="module")
def quiet():
    rng = np.random.default_rng(3)
    return simulation.Simulation("made", 1 + 0.1 * rng.standard_normal((500, 480)), SPACING)


def test_the_simulation_is_degraded_by_both_psfs(quiet):
    np.testing.assert_array_equal(quiet.degraded["modified"], seen(quiet.scene, SPACING, HMI))
    found = simulation.numbers(quiet)
    image = quiet.degraded["modified"]
    assert found["contrast_degraded"].value == pytest.approx(100 * image.std() / image.mean())
    assert "tail_modified" not in found


def test_tails_over_those_of_hmi(quiet):
    """HMI's image is the simulation seen with the modified PSF, at half the contrast."""
    hmi = 1 + 0.5 * (quiet.degraded["modified"] - 1)
    beside = simulation.Simulation("made", quiet.scene, SPACING, hmi)
    found = simulation.numbers(beside)
    assert found["tail_modified"].value == pytest.approx(4, rel=1e-6)
    assert found["tail_wachter"].value > 5  # a narrower PSF leaves more
    assert found["contrast_hmi"].value == pytest.approx(
        found["contrast_degraded"].value / 2, rel=1e-3
    )


def test_the_quietest_square_is_cut_out(quiet, rng):
    field = np.where(np.arange(120) >= 60, 10.0, 500.0) * rng.standard_normal((80, 120))
    images = {"intensity": 1 + 0.04 * rng.standard_normal((80, 120)), "blos": field}
    region = Region("made", images, {}, {}, {t: Header() for t in images})
    found = simulation.beside(quiet, region).hmi
    assert found.shape[0] == found.shape[1] >= simulation.LEAST
    assert found.mean() == pytest.approx(1)
    side = len(found)
    places = [
        (y, x)
        for y in range(80 - side + 1)
        for x in range(120 - side + 1)
        if np.allclose(found, images["intensity"][y : y + side, x : x + side], rtol=0.02)
    ]
    assert len(places) == 1
    assert places[0][1] >= 60 - (1 - simulation.QUIET) * side
    loud = Region("made", images | {"blos": 50 * field}, {}, {}, {t: Header() for t in images})
    assert simulation.beside(quiet, loud).hmi is None


def test_a_file(tmp_path, quiet):
    path = tmp_path / "muram.fits"
    scene = (1e5 * quiet.scene).astype(np.float32)
    cards = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec"}
    fits.writeto(path, scene, Header(cards | {"CDELT1": 0.08, "CDELT2": 0.08}))
    found = simulation.of_file(path)
    assert found.pixel_scale == 0.08
    np.testing.assert_allclose(found.scene, quiet.scene / quiet.scene.mean(), rtol=1e-5)
    np.save(tmp_path / "muram.npy", scene)
    assert simulation.of_file(tmp_path / "muram.npy").pixel_scale == SPACING


def test_files_that_cannot_be_degraded(tmp_path, quiet):
    scene = quiet.scene.astype(np.float32)
    np.save(tmp_path / "small.npy", scene[:100, :100])
    with pytest.raises(ValueError, match="48 pixels of HMI on each side"):
        simulation.of_file(tmp_path / "small.npy")
    fits.writeto(tmp_path / "coarse.fits", scene, Header({"CDELT1": HMI_SCALE, "CUNIT1": "arcsec"}))
    with pytest.raises(ValueError, match="pixels below 0.25 arcsec"):
        simulation.of_file(tmp_path / "coarse.fits")
    for name, other in {
        "field": 300 * (scene - 1),
        "zero": 0 * scene,
        "flat": 1 + 0 * scene,
    }.items():
        np.save(tmp_path / f"{name}.npy", other)
        with pytest.raises(ValueError, match="must be a continuum, positive and not constant"):
            simulation.of_file(tmp_path / f"{name}.npy")
    scene[4, 5] = np.nan
    np.save(tmp_path / "gap.npy", scene)
    with pytest.raises(ValueError, match="no gaps"):
        simulation.of_file(tmp_path / "gap.npy")
