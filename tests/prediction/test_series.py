"""A cube of images and a MapSequence give what their images give one by one."""

import numpy as np
import pytest
from astropy.io import fits

import enhance_np
from enhance_np.engine import Engine
from enhance_np.prediction import image

COUNT, SHAPE = 3, (20, 24)


@pytest.fixture
def cube(rng):
    """Images of different levels, each with its own missing pixels."""
    level = np.array([1.0, 2.0, 3.0])[:, None, None]
    made = (level * (1 + 0.05 * rng.standard_normal((COUNT, *SHAPE)))).astype(np.float32)
    made[range(COUNT), range(COUNT), 5] = np.nan
    return made


@pytest.mark.parametrize("norm", ["quiet-sun", "max", 2.0])
def test_a_cube(tiny, cube, norm):
    before = cube.copy()
    found = enhance_np.enhance(cube, weights=tiny, norm=norm)
    wanted = [enhance_np.enhance(x, "intensity", weights=tiny, norm=norm) for x in cube]
    assert (found.shape, found.dtype) == ((COUNT, 40, 48), np.float32)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(cube, before)


def test_a_masked_cube(tiny, cube):
    masked = np.ma.masked_greater(cube, 3.1)
    found = enhance_np.enhance(masked, weights=tiny)
    wanted = [enhance_np.enhance(x, "intensity", weights=tiny) for x in masked]
    assert isinstance(found, np.ma.MaskedArray)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.data, other.data)
        np.testing.assert_array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other))


def test_a_cube_of_fields(cube):
    field = 1000 * (cube - np.nanmean(cube, axis=(1, 2), keepdims=True))
    found = enhance_np.enhance(field, "blos", model="small")
    np.testing.assert_array_equal(found[2], enhance_np.enhance(field[2], "blos", model="small"))


def test_the_first_image_decides_the_type(tiny, cube, caplog):
    """tiny is for intensity, and would refuse a field."""
    cube[1] -= cube[1].mean(where=np.isfinite(cube[1]))
    enhance_np.enhance(cube, weights=tiny, norm=1.0)
    assert "intensity" in caplog.text
    with pytest.raises(ValueError, match="weights must be for blos"):
        enhance_np.enhance(1000 * cube[1:], weights=tiny)


@pytest.mark.parametrize("shape", [(0, 20, 24), (3, 1, 24), (2, 3, 20, 24), (20,)])
def test_other_shapes_are_refused(tiny, shape):
    with pytest.raises(ValueError, match="must be .*H, W"):
        enhance_np.enhance(np.ones(shape, np.float32), "intensity", weights=tiny)


def maps(cube, rng):
    sunpy_map = pytest.importorskip("sunpy.map")
    for number, data in enumerate(cube):
        kind = [("CONTINUUM INTENSITY", "DN/s"), ("MAGNETOGRAM", "Gauss")][number % 2]
        if kind[1] == "Gauss":
            data = (100 * rng.standard_normal(data.shape)).astype(np.float32)
        cards = {
            "TELESCOP": "SDO/HMI", "INSTRUME": "HMI_FRONT2", "CONTENT": kind[0], "BUNIT": kind[1],
            "DATE-OBS": f"2014-03-0{COUNT - number}T00:00:27.90", "CTYPE1": "HPLN-TAN",
            "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec", "CRPIX1": 9.0,
            "CRPIX2": 8.0, "CRVAL1": 2.48, "CRVAL2": -1.7, "CDELT1": 0.504302, "CDELT2": 0.504302,
            "DSUN_OBS": 148205511547.72, "RSUN_REF": 696000000, "RSUN_OBS": 968.660583,
            "CRLN_OBS": 132.560135, "CRLT_OBS": -7.226688,
        }  # fmt: skip
        yield sunpy_map.Map(data, fits.Header(cards))


def test_a_map_sequence(cube, rng):
    """Of both types, and not in the order of time."""
    sunpy_map = pytest.importorskip("sunpy.map")
    given = sunpy_map.MapSequence(list(maps(cube, rng)), sortby=None)
    found = enhance_np.enhance(given, model="small")
    assert type(found) is sunpy_map.MapSequence
    wanted = [enhance_np.enhance(one, model="small") for one in given]
    assert len(found) == len(wanted) == COUNT
    for one, other in zip(found, wanted, strict=True):
        assert type(one) is type(other)
        np.testing.assert_array_equal(one.data, other.data)
        assert dict(one.meta) == dict(other.meta)


def test_the_network_is_folded_once(tiny, cube, monkeypatch):
    made = []

    class Counted(Engine):
        def predictor(self, weights):
            made.append(weights)
            return super().predictor(weights)

    chosen = image.select("cpu")
    counted = Counted(**vars(chosen)) if hasattr(chosen, "__dict__") else Counted(*chosen)
    monkeypatch.setattr(image, "select", lambda device: counted)
    enhance_np.enhance(cube, weights=tiny)
    assert len(made) == 1


def test_an_error_tells_which_image_it_was(tiny, cube, rng):
    cube[2] = np.nan
    with pytest.raises(ValueError, match="one positive pixel or more") as caught:
        enhance_np.enhance(cube, "intensity", weights=tiny)
    note = "in image 2 (counted from 0) of a series of 3"
    assert caught.value.__notes__ == [note]

    sunpy_map = pytest.importorskip("sunpy.map")
    series = sunpy_map.MapSequence(list(maps(cube, rng)), sortby=None)
    with pytest.raises(ValueError, match="one positive pixel or more") as caught:
        enhance_np.enhance(series, model="small")
    assert caught.value.__notes__ == [note]
