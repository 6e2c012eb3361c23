"""Regions from files and frames."""

import numpy as np
import pytest
from astropy.io import fits

from enhance_np.chapter import regions
from enhance_np.observation.fits import Frame
from enhance_np.prediction.array import predict

CARDS = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec"}
CARDS |= {"CDELT1": 0.5043, "CDELT2": 0.5043, "CRPIX1": 3.0, "CRPIX2": 4.0, "TELESCOP": "SDO/HMI"}
UNITS = {"intensity": ("CONTINUUM INTENSITY", "DN/s"), "blos": ("MAGNETOGRAM", "Gauss")}


def images(rng, shape=(40, 50)):
    return {
        "intensity": (50_000 * (1 + 0.04 * rng.standard_normal(shape))).astype(np.float32),
        "blos": (300 * rng.standard_normal(shape)).astype(np.float32),
    }


def header(type, **cards):
    content, unit = UNITS[type]
    return fits.Header(CARDS | {"CONTENT": content, "BUNIT": unit} | cards)


@pytest.fixture
def files(rng, tmp_path):
    paths = {type: tmp_path / f"{type}.fits" for type in UNITS}
    for type, image in images(rng).items():
        fits.writeto(paths[type], image, header(type))
    return paths


def test_two_files_in_any_order_or_their_folder(files, tmp_path):
    made = regions.of_files([files["blos"], files["intensity"]], "cpu")
    again = regions.of_files([tmp_path], "cpu")
    level = np.median(fits.getdata(files["intensity"]))
    assert abs(np.median(made.images["intensity"]) - 1) < 0.02
    np.testing.assert_array_equal(made.images["blos"], fits.getdata(files["blos"]))
    for name, of_type in made.outputs.items():
        for type, image in of_type.items():
            assert image.shape == (80, 100)
            np.testing.assert_array_equal(image, again.outputs[name][type])
    assert level > 1000
    assert list(made.outputs[regions.RL]) == ["blos"]
    assert set(made.seconds) == set(made.outputs)
    wanted = predict(fits.getdata(files["blos"]), "blos", device="cpu")
    np.testing.assert_array_equal(made.out["blos"], wanted)


@pytest.mark.parametrize("kept", [["intensity"], ["intensity", "intensity"], []])
def test_other_numbers_and_types_of_files(files, kept, tmp_path):
    (empty := tmp_path / "empty").mkdir()
    paths = [files[type] for type in kept] or [empty]
    with pytest.raises(ValueError, match="needs a continuum image and a magnetogram"):
        regions.of_files(paths, "cpu")


def test_two_sizes(files, rng):
    fits.writeto(files["blos"], images(rng, (40, 48))["blos"], header("blos"), overwrite=True)
    with pytest.raises(ValueError, match=r"of one size, got .*\(40, 50\)"):
        regions.of_files([*files.values()], "cpu")


def test_kilogauss_become_gauss(files):
    field = fits.getdata(files["blos"])
    fits.writeto(files["blos"], field / 1000, header("blos", BUNIT="kG"), overwrite=True)
    made = regions.of_files([*files.values()], "cpu")
    np.testing.assert_allclose(made.images["blos"], field, rtol=1e-6)


def test_solar_north_is_up(rng):
    """An image whose north is down is enhanced as it is, then turned with its header."""
    shown = images(rng)
    plain = {t: Frame(i, header(t), "") for t, i in shown.items()}
    turned = {t: Frame(i, header(t, CROTA2=180.0), "") for t, i in shown.items()}
    upright, flipped = (regions.enhanced("made", frames, {}, "cpu") for frames in (plain, turned))
    for name, of_type in upright.outputs.items():
        for type, image in of_type.items():
            np.testing.assert_array_equal(flipped.outputs[name][type], image[::-1, ::-1])
    # the corner of the array is the corner of the sky that lies to the south-east
    steps = flipped.wcs.pixel_scale_matrix.diagonal()
    assert (steps > 0).all()
    np.testing.assert_array_equal(flipped.images["blos"], shown["blos"][::-1, ::-1])


def test_gaps_stay_gaps(rng):
    shown = images(rng)
    for image in shown.values():
        image[3:6, 7:9] = np.nan
    made = regions.enhanced(
        "made", {t: Frame(i, header(t), "") for t, i in shown.items()}, {}, "cpu"
    )
    for of_type in made.outputs.values():
        for image in of_type.values():
            gaps = np.isnan(image)
            assert gaps[6:12, 14:18].all()
            assert gaps.sum() == 24
