"""Fill values of other programs become missing pixels, and nothing else does."""

import numpy as np
import pytest
from astropy.io import fits as afits

import enhance_np
from enhance_np.observation import disc, fits, missing
from enhance_np.prediction.file import enhance_file

SHAPE = (60, 70)
PLACE = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec"}
PLACE |= {"CRPIX1": 35.5, "CRPIX2": 30.5, "CRVAL1": 672.0, "CRVAL2": 672.0}
PLACE |= {"CDELT1": 0.504, "CDELT2": 0.504, "RSUN_OBS": 944.0, "TELESCOP": "SDO/HMI"}
WORDS = {
    "intensity": {"CONTENT": "CONTINUUM INTENSITY", "BUNIT": "DN/s"},
    "blos": {"CONTENT": "MAGNETOGRAM", "BUNIT": "Gauss"},
}
MU = disc.mu(PLACE, SHAPE)
OFF = np.isnan(MU)


def sun(type):
    """Float32, with HMI's noise on and off the disc; no value occurs twice in an intensity."""
    noise = np.random.default_rng(1).standard_normal(SHAPE)
    if type == "blos":
        return (20 * noise).astype(np.float32)
    light = 50_000 * disc.limb_darkening(np.nan_to_num(MU)) * (1 + 0.03 * noise)
    return np.where(OFF, 300 + 5 * noise, light).astype(np.float32)


def written(path, type, data):
    afits.writeto(path, data, afits.Header(PLACE | WORDS[type]), overwrite=True)
    return path


def test_the_scene_has_a_limb():
    assert 0.2 < OFF.mean() < 0.8


@pytest.mark.parametrize("value", [0.0, -1.0, -9999.0, -32768.0, -1000.0, 1e20])
@pytest.mark.parametrize("type", ["intensity", "blos"])
def test_a_filled_sky_is_missing(tmp_path, caplog, type, value):
    """The output is the same as for a file with NaN in place of the fill value."""
    outputs = []
    for name, sky in (("nan", np.nan), ("filled", value)):
        path = written(tmp_path / f"{name}.fits", type, np.where(OFF, np.float32(sky), sun(type)))
        caplog.clear()
        made = enhance_file(path, tmp_path / f"out_{name}.fits", model="small", device="cpu")
        outputs.append(made.output)
    np.testing.assert_array_equal(*outputs)
    assert np.isnan(outputs[0]).sum() == 4 * OFF.sum()
    assert [m for m in caplog.messages if f"missing pixels: {OFF.sum()} of {value:g}" in m]


@pytest.mark.parametrize("type", ["intensity", "blos"])
def test_a_measured_sky_stays(tmp_path, caplog, type):
    """HMI's images have values off the limb, and fields are rounded, so that zeros occur."""
    data = sun(type)
    if type == "blos":
        data = np.round(data, 0)
        assert (data == 0).sum() > 20 < (data == -1).sum()
    made = enhance_file(
        written(tmp_path / "a.fits", type, data), tmp_path / "b.fits", model="small"
    )
    assert np.isfinite(made.output).all()
    assert not caplog.messages


def test_fill_without_a_place(caplog):
    """Without a header: 0 is a fill value in an intensity, but not in a field."""
    for value in (0, -1, -9999, -32768, -1000, 1e20, -np.float32(1e30)):
        data = sun("intensity")
        data[:9, :5] = value
        gone = np.isnan(
            missing.without_fill(missing.without_sentinels(data, "a"), "intensity", None, "a")
        )
        np.testing.assert_array_equal(np.argwhere(gone), np.argwhere(data == np.float32(value)))
        assert gone.sum() == 45
        assert f"a: fill values are treated as missing pixels: 45 of {value:g}" in caplog.text
    field = np.round(sun("blos"))
    assert missing.without_fill(field, "blos", None, "a") is field


@pytest.mark.parametrize("storage", [("i2", 3.0, 97304.0), ("i2", 0.1, 0.0), ("i4", 0.1, 0.0)])
def test_the_lowest_integer_of_a_file_without_blank(tmp_path, caplog, storage):
    kind, scale, zero = storage
    path = tmp_path / "a.fits"
    raw = np.arange(-200, 200).reshape(20, 20).astype(kind)
    raw[0, :4] = np.iinfo(kind).min
    for cards, gone in (({}, 4), ({"BLANK": -7}, 1), ({"BZERO": -scale * np.iinfo(kind).min}, 0)):
        afits.PrimaryHDU(raw).writeto(path, overwrite=True)
        with afits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
            for key, value in ({"BSCALE": scale, "BZERO": zero} | cards).items():
                hdus[0].header[key] = value
        assert np.isnan(fits.read(path).data).sum() == gone
    assert len([m for m in caplog.messages if "missing pixels: 4 of" in m]) == 1


def test_arrays_and_maps(caplog):
    data = sun("intensity")
    data[OFF] = 0
    before = data.copy()
    y = enhance_np.enhance(data, model="small", norm=50_000.0)
    np.testing.assert_array_equal(data, before)
    np.testing.assert_array_equal(np.isnan(y), OFF.repeat(2, 0).repeat(2, 1))
    assert "the array: fill values are treated as missing" in caplog.text
    data[OFF] = -500  # found because it is repeated
    for norm in (50_000.0, "none", "quiet-sun"):
        y = enhance_np.enhance(data, type="intensity", model="small", norm=norm)
        np.testing.assert_array_equal(np.isnan(y), OFF.repeat(2, 0).repeat(2, 1))
    sunpy_map = pytest.importorskip("sunpy.map")
    for type in WORDS:
        seen = sunpy_map.Map(np.where(OFF, 0, sun(type)), PLACE | WORDS[type])
        y = enhance_np.enhance(seen, model="small")
        np.testing.assert_array_equal(np.isnan(y.data), OFF.repeat(2, 0).repeat(2, 1))


@pytest.mark.filterwarnings("ignore::UserWarning")  # sunpy: no date
@pytest.mark.parametrize("type", ["intensity", "blos"])
def test_dask_gives_the_same(type):
    sunpy_map, da = pytest.importorskip("sunpy.map"), pytest.importorskip("dask.array")
    data = np.where(OFF, np.float32(0), sun(type))
    data[3, 4], data[5, 6] = -9999, 1e20
    eager, lazy = (
        enhance_np.enhance(sunpy_map.Map(x, PLACE | WORDS[type]), model="small").data
        for x in (data, da.from_array(data, chunks=25))
    )
    np.testing.assert_array_equal(lazy.compute(), eager)
    masked = da.ma.masked_array(da.from_array(data, chunks=25), np.roll(OFF, 3))
    made = missing.without_fill(
        missing.without_sentinels(masked, "a"), type, disc.locate(PLACE), "a"
    ).compute()
    np.testing.assert_array_equal(np.ma.getmaskarray(made), np.roll(OFF, 3))


def test_nothing_but_fill_is_refused(tmp_path):
    path = written(tmp_path / "a.fits", "intensity", np.zeros(SHAPE, np.float32))
    with pytest.raises(
        ValueError, match=r"^read: needs one valid pixel or more, got only fill values"
    ):
        enhance_file(path, tmp_path / "b.fits", model="small")
    assert [p.name for p in tmp_path.iterdir()] == ["a.fits"]


def test_one_absurd_pixel(tmp_path, caplog):
    """1e30 and infinity are missing pixels; a value like that of a cosmic ray stays, with a
    warning."""
    data = sun("blos")
    data[30:33, 20] = 1e30, np.inf, -np.inf
    data[40, 40] = 3e5
    made = enhance_file(
        written(tmp_path / "a.fits", "blos", data), tmp_path / "b.fits", model="small"
    )
    gone = np.argwhere(np.isnan(made.output))
    np.testing.assert_array_equal(gone, np.argwhere(np.isnan(np.kron(made.input, np.ones((2, 2))))))
    assert len(gone) == 12
    assert "missing pixels: 1 of -inf, 1 of 1e+30, 1 of inf" in caplog.text
    assert "has 1 pixels of a field beyond any on the Sun, such as 3e+05 Gauss" in caplog.text


def test_half_precision_has_no_overflow():
    """No limit may be cast to float16; the warning about it would be an error in the tests."""
    image = (1 + 0.1 * np.random.default_rng(0).standard_normal((8, 9))).astype(np.float16)
    image[2, 3] = -32768  # exact in float16
    found = missing.without_sentinels(image, "a")
    assert np.argwhere(np.isnan(found)).tolist() == [[2, 3]]
