"""`enhance` returns the kind that it gets: NumPy arrays, sunpy Maps, dask arrays."""

import copy
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits as afits
from cutouts import LEVEL, SHAPE, cards, hmi_map, pixels

import enhance_np
from enhance_np import models, params, weights
from enhance_np.config import NetworkConfig
from enhance_np.prediction.array import predict
from enhance_np.prediction.file import enhance_file

CONFIG = NetworkConfig(1, 16)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A file of weights without a type, like those of Keras."""
    path = tmp_path_factory.mktemp("weights") / "tiny.h5"
    weights.save(path, weights.Weights(CONFIG, *params.initial(CONFIG, 0)))
    return path


@pytest.fixture
def sunpy_map():
    return pytest.importorskip("sunpy.map")


@pytest.fixture
def hmi(sunpy_map):
    return hmi_map


@pytest.fixture
def from_array():
    return pytest.importorskip("dask.array").from_array


def never(block):
    raise AssertionError("computed")


# --- arrays


@pytest.mark.parametrize("type", ["intensity", "blos"])
def test_array(tiny, type):
    image = pixels(type)
    image[3, 4] = np.nan
    before = image.copy()
    y = enhance_np.enhance(image, weights=tiny)  # the values give the type
    assert y.__class__ is np.ndarray
    np.testing.assert_array_equal(y, predict(image, type, tiny))
    np.testing.assert_array_equal(image, before)


def test_ensemble(tiny, hmi, from_array):
    image = pixels("blos")
    want = predict(image, "blos", tiny, ensemble=True)
    assert (want != predict(image, "blos", tiny)).any()
    np.testing.assert_array_equal(enhance_np.enhance(image, weights=tiny, ensemble=True), want)
    made = enhance_np.enhance(hmi("blos", image), weights=tiny, ensemble=True)
    np.testing.assert_array_equal(made.data, want)
    assert made.meta["enhmean"] == 8
    lazy = enhance_np.enhance(from_array(image, chunks=SHAPE), weights=tiny, ensemble=True)
    np.testing.assert_array_equal(lazy.compute(), want)


def test_confidence(tiny, hmi, from_array, tmp_path):
    """The three images of `enhance_file`, in the kind of the input, dask included."""
    header = afits.Header(cards("blos"))
    del header["BLANK"]
    afits.writeto(tmp_path / "a.fits", pixels("blos"), header)
    enhance_file(tmp_path / "a.fits", tmp_path / "b.fits", weights=tiny, confidence=True)
    with afits.open(tmp_path / "b.fits") as hdus:
        for data in (pixels("blos"), from_array(pixels("blos"), chunks=20)):
            found = enhance_np.enhance(hmi("blos", data), weights=tiny, confidence=True)
            for hdu, seen in zip(hdus, (found.image, found.spread, found.residual), strict=True):
                assert type(seen.data) is type(data)
                np.testing.assert_array_equal(np.asarray(seen.data), hdu.data)
                for key in ("CRPIX1", "CDELT1", "CONTENT"):
                    assert seen.meta[key.lower()] == hdu.header[key]
    assert found.image.uncertainty is None
    image = pixels("blos")
    cube = enhance_np.enhance(np.stack([image, image]), weights=tiny, confidence=True)
    assert cube.residual.shape == (2, *SHAPE)
    np.testing.assert_array_equal(cube.spread[1], np.asarray(found.spread.data))


def test_confidence_without_a_psf(tiny, caplog):
    given = enhance_np.load_weights(tiny)
    given.provenance.update(hmi_scale_arcsec=0.504302, psf="mine.fits")
    found = enhance_np.enhance(pixels("blos"), weights=given, confidence=True)
    assert found.spread is not None
    assert found.residual is None
    assert "RESIDUAL is left out: optics: the PSF is stored only in the file" in caplog.text


def test_norm_from(tiny, hmi, tmp_path):
    """The level of another image, as the command takes it from a file."""
    header = afits.Header(cards("intensity"))
    del header["BLANK"]
    afits.writeto(tmp_path / "full.fits", pixels("intensity"), header)
    spot = 0.3 * pixels("intensity")
    disc = tmp_path / "full.fits"
    made = enhance_np.enhance(hmi(data=spot), weights=tiny, norm_from=disc)
    afits.writeto(tmp_path / "spot.fits", spot, header)
    result = enhance_file(tmp_path / "spot.fits", tmp_path / "b.fits", weights=tiny, norm_from=disc)
    np.testing.assert_array_equal(made.data, result.output)
    assert made.meta["enhnorm"] == result.norm
    by_map = enhance_np.enhance(hmi(data=spot), weights=tiny, norm_from=hmi())
    np.testing.assert_array_equal(by_map.data, made.data)
    for wrong in ({"norm": "max"}, {"type": "blos"}):
        with pytest.raises(ValueError, match="norm_from needs norm quiet-sun and type intensity"):
            enhance_np.enhance(spot, weights=tiny, norm_from=disc, **wrong)
    with pytest.raises(ValueError, match="the type given must match"):
        enhance_np.enhance(hmi(data=spot), weights=tiny, norm_from=hmi("blos"))


def test_masked_array(tiny):
    image = np.ma.array(pixels("intensity"), mask=np.zeros(SHAPE, bool))
    image[3, 4:6] = np.ma.masked
    image[10, 10] = np.nan
    before = copy.deepcopy(image)
    y = enhance_np.enhance(image, weights=tiny)
    assert isinstance(y, np.ma.MaskedArray)
    np.testing.assert_array_equal(y.data, predict(image.filled(np.nan), weights=tiny))
    hidden = np.zeros((80, 120), bool)
    hidden[6:8, 8:12] = True
    np.testing.assert_array_equal(y.mask, hidden)
    assert np.isnan(y.data[hidden]).all()
    assert np.isnan(y.data[20:22, 20:22]).all()
    np.testing.assert_array_equal(image.mask, before.mask)
    np.testing.assert_array_equal(image.data, before.data)


def test_asks_for_a_type_that_nothing_tells(tiny):
    umbra = 2000 + 200 * np.random.default_rng(0).standard_normal(SHAPE)
    with pytest.raises(ValueError, match="cannot tell intensity"):
        enhance_np.enhance(umbra, weights=tiny)
    y = enhance_np.enhance(umbra, "blos", weights=tiny)
    np.testing.assert_array_equal(y, predict(umbra, "blos", tiny))
    # a type given for a bare array is accepted, even for fields of 1 G with a single sign
    flat = pixels("intensity") / 50_000
    np.testing.assert_array_equal(
        enhance_np.enhance(flat, "blos", weights=tiny), predict(flat, "blos", tiny)
    )


def test_values_against_the_type_that_is_given(tiny, caplog):
    enhance_np.enhance(pixels("blos"), "intensity", weights=tiny, norm=1000.0)
    told = "the array: treated as intensity, as requested, against the values (blos)"
    assert caplog.messages[0] == told
    caplog.clear()
    for type in LEVEL:
        enhance_np.enhance(pixels(type), type, weights=tiny)
    assert not caplog.messages


def test_small_model():
    image = pixels("intensity")
    small, default = (enhance_np.enhance(image, model=model) for model in ("small", "default"))
    assert (small != default).any()
    np.testing.assert_array_equal(small, predict(image, weights=models.path("intensity", "small")))


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], TypeError, "must be a NumPy array, .*, got list"),
        (None, TypeError, "got NoneType"),
        (np.ones((2, 2, 3, 4)), ValueError, r"\(H, W\)"),
        (np.ones((4, 4), complex), ValueError, "real"),
        (np.full((4, 4), "a"), ValueError, "real"),
    ],
)
def test_refuses(tiny, x, error, words):
    with pytest.raises(error, match=words):
        enhance_np.enhance(x, weights=tiny)


def test_refuses_another_type(tiny):
    with pytest.raises(ValueError, match="enhance: type must be one of .*, got type='doppler'"):
        enhance_np.enhance(np.ones((4, 4)), "doppler", weights=tiny)


def test_nobody_is_imported_who_is_not_there():
    code = (
        "import sys, numpy, enhance_np\n"
        "enhance_np.enhance(numpy.ones((4, 4)), 'intensity', model='small')\n"
        "assert not {'sunpy', 'dask', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- Maps


@pytest.mark.parametrize("wcs", ["crota", "pc"])
@pytest.mark.parametrize("type", ["intensity", "blos"])
def test_map_keeps_its_place_in_the_sky(tiny, hmi, type, wcs):
    import astropy.units as u

    seen = hmi(type, wcs=wcs)
    y = enhance_np.enhance(seen, weights=tiny)
    assert y.__class__ is seen.__class__
    same = enhance_np.enhance(seen, weights=tiny, norm="none")  # keeps limb darkening
    np.testing.assert_array_equal(same.data, predict(seen.data, type, tiny, "none"))
    assert y.unit == seen.unit is not None
    assert u.Quantity(y.scale).value == pytest.approx(2 * [0.504302 / 2])
    assert (y.rsun_obs, y.rsun_meters) == (seen.rsun_obs, seen.rsun_meters)
    assert y.meta["r_sun"] == 2 * 1920.79
    assert y.meta["enhtype"] == type
    h, w = SHAPE
    for row, column in ((0, 0), (0, w), (h, 0), (h, w), (h / 2, w / 2)):  # pixels from the corner
        old, new = (
            m.pixel_to_world((k * column - 0.5) * u.pix, (k * row - 0.5) * u.pix)
            for m, k in ((seen, 1), (y, 2))
        )
        assert old.separation(new) < 1e-6 * u.arcsec


def test_map_and_file_agree(tiny, sunpy_map, tmp_path):
    """A Map saved by sunpy has the same header and bits as the file that enhance_file writes.

    But sunpy writes no checksums, and a Map does not know of the file that it was read from.
    """
    header = afits.Header(cards("blos"))
    del header["BLANK"]  # allowed for integers only
    afits.writeto(tmp_path / "a.fits", pixels("blos"), header)
    enhance_file(tmp_path / "a.fits", tmp_path / "b.fits", weights=tiny)
    made = enhance_np.enhance(sunpy_map.Map(tmp_path / "a.fits"), weights=tiny)
    made.save(tmp_path / "c.fits")
    (want, by_file), (got, by_map) = (
        afits.getdata(tmp_path / name, header=True) for name in ("b.fits", "c.fits")
    )
    np.testing.assert_array_equal(got, want)
    aside = ("COMMENT", "HISTORY", "CHECKSUM", "DATASUM")
    assert {key: by_map[key] for key in by_map if key not in aside} == {
        key: by_file[key] for key in by_file if key not in aside
    }
    *shared, source, _, _ = by_file["HISTORY"]
    assert source == "input: a.fits"
    assert "".join(by_map["HISTORY"]) == "".join(shared)


def test_map_is_not_changed(tiny, hmi):
    mask = np.zeros(SHAPE, bool)
    mask[5] = True
    seen = hmi("blos")
    seen.mask = mask
    before = copy.deepcopy(seen)
    limits = seen.plot_settings["norm"].vmin, seen.plot_settings["norm"].vmax
    y = enhance_np.enhance(seen, weights=tiny)
    y.meta["keycomments"]["CRPIX1"] = "changed"
    y.plot_settings["norm"].vmin = -1
    y.data[...] = 0
    assert dict(seen.meta) == dict(before.meta)
    assert seen.meta.original_meta == before.meta.original_meta
    np.testing.assert_array_equal(seen.data, before.data)
    np.testing.assert_array_equal(seen.mask, before.mask)
    assert (seen.plot_settings["norm"].vmin, seen.plot_settings["norm"].vmax) == limits


def test_map_meta(tiny, hmi):
    """Keys in pixels change, those on the input's pixel values are removed, the rest stays."""
    own = {"DATAMAX": np.nan, "MY_OWN": np.nan, "a_key_of_my_own": 1, "LIST": [1, 2], "SIGMA": "σ"}
    seen = hmi(**own)
    meta = enhance_np.enhance(seen, weights=tiny).meta
    gone = {"datamin", "datamean", "datamax", "totvals", "blank"}
    assert set(seen.meta) - set(meta) == gone
    new = {"enhvers", "enhmodel", "enhwgt", "enhtype", "enhnorm", "enhlimb", "enhscale"}
    assert set(meta) - set(seen.meta) == new
    changed = {"crpix1", "crpix2", "cdelt1", "cdelt2", "r_sun", "naxis1", "naxis2", "bitpix"}
    aside = {"history", "keycomments", "my_own"}
    assert {
        key for key in set(meta) & set(seen.meta) - aside if meta[key] != seen.meta[key]
    } == changed
    assert np.isnan(meta["my_own"])
    assert (meta["naxis1"], meta["naxis2"]) == (120, 80)
    assert meta["comment"] == "one\ntwo"
    assert meta["history"].startswith("made at JSOC\nenhance_np")
    assert meta["keycomments"]["CRPIX1"] == "of the Sun's centre"
    assert "DATAMIN" not in meta["keycomments"]
    assert meta["keycomments"]["ENHSCALE"] == "pixels of the output per pixel of the input"
    assert list(meta)[-6:] == list(enhance_np.enhance(seen, weights=tiny).meta)[-6:]


def test_loaded_weights_have_no_file_to_name(tiny, hmi):
    meta = enhance_np.enhance(hmi(), weights=enhance_np.load_weights(tiny)).meta
    assert meta["enhmodel"] == "1 block, 16 filters"
    assert "enhwgt" not in meta


def test_map_mask(tiny, hmi):
    """The mask is doubled, and masked pixels are missing, whatever their value."""
    mask = np.zeros(SHAPE, bool)
    mask[3, 4:6] = True
    results = []
    for hidden in (-9999.0, np.nan, 1e9):
        data = pixels("intensity")
        data[mask] = hidden
        seen = hmi(data=data)
        seen.mask = mask
        y = enhance_np.enhance(seen, weights=tiny)
        np.testing.assert_array_equal(y.mask, np.kron(mask, np.ones((2, 2), bool)))
        results.append(y.data)
    assert np.isnan(results[0][y.mask]).all()
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    assert enhance_np.enhance(hmi(), weights=tiny).mask is None


def test_map_plot_settings(tiny, hmi):
    from matplotlib.colors import PowerNorm

    field = pixels("blos")
    field[3, 4] = np.nan
    seen = hmi("blos", data=field)
    found = enhance_np.enhance(seen, weights=tiny).plot_settings
    # the default is +- the input's largest field, so that the same grey is the same field
    largest = np.nanmax(abs(field))
    assert (found["norm"].vmin, found["norm"].vmax) == (-largest, largest)
    seen.plot_settings |= {"norm": PowerNorm(0.5, -100, 900), "cmap": "hmimag", "title": "mine"}
    seen.nickname = "spot"
    y = enhance_np.enhance(seen, weights=tiny)
    found = y.plot_settings
    assert found.keys() == seen.plot_settings.keys()
    assert (found["cmap"], found["title"], y.nickname) == ("hmimag", "mine", "spot")
    assert found["norm"] is not seen.plot_settings["norm"]
    assert (found["norm"].gamma, found["norm"].vmin, found["norm"].vmax) == (0.5, -100, 900)


def test_map_type_is_that_of_a_file(tiny, hmi):
    with pytest.raises(ValueError, match="got blos for 'HMIMap', against CONTENT="):
        enhance_np.enhance(hmi(), "blos", weights=tiny)
    both = hmi("intensity", BUNIT="Gauss")
    with pytest.raises(ValueError, match="cannot tell intensity"):
        enhance_np.enhance(both, weights=tiny)
    assert enhance_np.enhance(both, "intensity", weights=tiny).meta["enhtype"] == "intensity"


def test_map_of_other_pixels_is_warned_of(tiny, hmi, caplog):
    enhance_np.enhance(hmi(CDELT1=2.0, CDELT2=2.0), weights=tiny)
    assert "do not trust the result" in caplog.text


def test_map_of_no_instrument(tiny, sunpy_map):
    """A GenericMap gives a GenericMap."""
    generic = sunpy_map.Map(pixels("blos"), cards("blos") | {"INSTRUME": "mine"})
    y = enhance_np.enhance(generic, weights=tiny)
    assert y.__class__ is generic.__class__ is sunpy_map.GenericMap


# --- dask


@pytest.mark.parametrize("type", ["intensity", "blos"])
def test_dask_array(tiny, from_array, type):
    image = pixels(type, (130, 120))
    image[:20, :30] = np.nan
    lazy = from_array(image, chunks=(60, 70))
    y = enhance_np.enhance(lazy, weights=tiny)
    assert y.__class__ is lazy.__class__
    assert (y.shape, y.dtype, y.chunks) == ((260, 240), np.float32, ((120, 140), (240,)))
    np.testing.assert_array_equal(y.compute(), predict(image, type, tiny))


def test_dask_reads_nothing_that_it_is_told(tiny, from_array):
    lazy = from_array(pixels("blos"), chunks=20).map_blocks(never, meta=np.empty((0, 0), "f4"))
    enhance_np.enhance(lazy, "blos", weights=tiny)
    enhance_np.enhance(lazy, "intensity", norm=5e4, weights=tiny)
    enhance_np.enhance(lazy, "intensity", norm="none", weights=tiny)
    for told in ({}, {"type": "intensity"}, {"type": "intensity", "norm": "max"}):
        with pytest.raises(AssertionError, match="computed"):
            enhance_np.enhance(lazy, weights=tiny, **told)


def test_dask_of_masked_arrays(tiny, from_array):
    image = np.ma.masked_greater(pixels("intensity", (60, 50)), 52_000)
    y = enhance_np.enhance(from_array(image, chunks=(60, 25)), weights=tiny)
    assert isinstance(y._meta, np.ma.MaskedArray)
    got, want = y.compute(), enhance_np.enhance(image, weights=tiny)
    np.testing.assert_array_equal(got.data, want.data)
    np.testing.assert_array_equal(got.mask, want.mask)


def test_dask_map_is_lazy(tiny, hmi, from_array):
    """For a magnetogram the header is enough, so no pixel is read, not even by sunpy."""
    field = pixels("blos")
    mask = np.zeros(SHAPE, bool)
    mask[:9] = True
    lazy = from_array(field, chunks=(20, 60))
    seen = hmi("blos", data=lazy)
    seen.mask = mask
    eager = hmi("blos", data=field)
    eager.mask = mask
    y = enhance_np.enhance(seen, weights=tiny)
    assert y.data.__class__ is lazy.__class__
    np.testing.assert_array_equal(y.data.compute(), enhance_np.enhance(eager, weights=tiny).data)
    np.testing.assert_array_equal(y.mask, np.kron(mask, np.ones((2, 2), bool)))
    seen._data = lazy.map_blocks(never, meta=np.empty((0, 0), "f4"))
    enhance_np.enhance(seen, weights=tiny)
    assert seen.meta["content"] == "MAGNETOGRAM"


@pytest.mark.parametrize("lines", [["one"], ["one", "two"]])
@pytest.mark.parametrize("key", ["HISTORY", "COMMENT"])
def test_map_of_a_fits_header_with_text(tiny, sunpy_map, tmp_path, key, lines):
    """The text is kept as for a file with this header; the input Map does not change."""
    header = afits.Header(cards("blos"))
    for line in lines:
        header[key] = line
    seen = sunpy_map.Map(pixels("blos"), header)
    y = enhance_np.enhance(seen, weights=tiny)
    y.save(tmp_path / "a.fits")
    assert list(afits.getheader(tmp_path / "a.fits")[key])[: len(lines)] == lines
    assert "\n".join(map(str, seen.meta[key.lower()])) == "\n".join(lines)
    assert "enhance_np " in y.meta["history"]
    again = sunpy_map.Map(y.data, y.fits_header)
    assert enhance_np.enhance(again, weights=tiny).data.shape == (160, 240)


def test_dask_map_of_noise_off_the_limb(tiny, hmi, from_array, rng):
    """Pixels off the disc are missing as in a NumPy array; some pixels are read to decide this."""
    place = {"RSUN_OBS": 12.0, "CRVAL1": 0.0, "CRVAL2": 0.0, "CRPIX1": 30.0, "CRPIX2": 30.0}
    on_disc = np.hypot(*np.meshgrid(*(np.arange(n) - 29.0 for n in SHAPE[::-1]))) < 24
    field = np.where(on_disc, 5, 100) * rng.standard_normal(SHAPE).astype(np.float32)
    eager = enhance_np.enhance(hmi("blos", data=field, **place), weights=tiny).data
    assert np.isnan(eager[0]).all()
    assert np.isfinite(eager[58, 58])
    lazy = enhance_np.enhance(hmi("blos", data=from_array(field, chunks=10), **place), weights=tiny)
    np.testing.assert_array_equal(lazy.data.compute(), eager)


def test_dask_map_without_a_word_is_read(tiny, hmi, from_array):
    seen = hmi(data=from_array(pixels("intensity"), chunks=20), CONTENT="HMI observable")
    del seen.meta["bunit"]
    assert enhance_np.enhance(seen, weights=tiny).meta["enhtype"] == "intensity"
