"""Each function gives the kind that it gets, at the same place in the sky, and changes nothing."""

import copy

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits as afits
from astropy.nddata import (
    CCDData,
    InverseVariance,
    NDData,
    NDDataRef,
    StdDevUncertainty,
    VarianceUncertainty,
)
from astropy.wcs import WCS
from cutouts import SHAPE, cards, hmi_map, pixels

import enhance_np
from enhance_np import params, weights
from enhance_np.config import NetworkConfig

CONFIG = NetworkConfig(1, 16)
PIXEL = 0.504302  # arcsec
TINY = weights.Weights(CONFIG, *params.initial(CONFIG, 0))
COARSE = enhance_np.Optics("airy", aperture=0.07, hmi_scale=0.8, support=5.0)
# {name: (function, pixels of the result along one of the input)}
FUNCTIONS = {
    "enhance": (lambda x: enhance_np.enhance(x, "intensity", weights=TINY, norm=5e4), 2),
    "deconvolve": (lambda x: enhance_np.deconvolve(x, "intensity", iterations=2), 2),
    "degrade": (lambda x: enhance_np.degrade(x, optics=COARSE, pixel_scale=PIXEL), PIXEL / 0.8),
    "flatten_limb": (enhance_np.flatten_limb, 1),
}
WITHOUT_HEADER = {name: FUNCTIONS[name] for name in FUNCTIONS if name != "flatten_limb"}

pytest.importorskip("sunpy.map")
every = pytest.mark.parametrize(("function", "factor"), FUNCTIONS.values(), ids=FUNCTIONS)
without_header = pytest.mark.parametrize(
    ("function", "factor"), WITHOUT_HEADER.values(), ids=WITHOUT_HEADER
)


def size(factor):
    return tuple(int(n * factor + 1e-9) for n in SHAPE)


def values(function):
    """The result for the pixels, from a Map, so that every function knows their place."""
    return function(hmi_map()).data


def same_place(old, new, factor):
    """Centre, corners and the first pixel have the same sky coordinates in both WCS."""
    h, w = size(factor)
    for y, x in ((0, 0), (0, w), (h, 0), (h, w), (h / 2, w / 2), (0.5, 0.5)):  # from the corner
        before = old.pixel_to_world(x / factor - 0.5, y / factor - 0.5)
        after = new.pixel_to_world(x - 0.5, y - 0.5)
        assert before.separation(after) < 1e-6 * u.arcsec


@without_header
def test_arrays(function, factor):
    image = pixels("intensity")
    y = function(image)
    assert (type(y), y.dtype, y.shape) == (np.ndarray, np.float32, size(factor))
    np.testing.assert_array_equal(y, values(function))
    np.testing.assert_array_equal(image, pixels("intensity"))
    cube = function(np.stack([image, image[::-1]]))
    np.testing.assert_array_equal(cube, [y, function(image[::-1])])


@without_header
def test_masked_array(function, factor):
    """Pixels of the result that touch a masked one are masked, and NaN."""
    image = np.ma.array(pixels("intensity"), mask=False)
    image[10, 20] = np.ma.masked
    y = function(image)
    wanted = np.zeros(size(factor), bool)
    i, j = (np.arange(n) for n in size(factor))
    rows = (i / factor < 11 - 1e-6) & ((i + 1) / factor > 10 + 1e-6)
    columns = (j / factor < 21 - 1e-6) & ((j + 1) / factor > 20 + 1e-6)
    wanted[np.ix_(rows, columns)] = True
    np.testing.assert_array_equal(y.mask, wanted)
    assert wanted.sum() >= 1
    np.testing.assert_array_equal(np.isnan(y.data), wanted)
    np.testing.assert_array_equal(function(np.ma.stack([image, image])).mask, [wanted, wanted])


@without_header
@pytest.mark.parametrize("unit", ["adu", "", "ct / s"])
def test_quantity(function, factor, unit):
    x = pixels("intensity") * u.Unit(unit)
    y = function(x)
    assert (type(y), y.unit, y.dtype) == (u.Quantity, x.unit, np.float32)
    np.testing.assert_array_equal(y.value, values(function))
    cube = function(np.stack([x, x]))
    assert cube.unit == x.unit
    np.testing.assert_array_equal(cube[1], y)


def test_quantity_of_a_field():
    """The unit tells the type and the scale; one that the package cannot convert is refused."""
    field = pixels("blos")
    want = enhance_np.enhance(field, "blos", weights=TINY)
    for unit, gauss in ((u.kG, 1e3), (u.G, 1.0), (u.mT, 10.0)):
        got = enhance_np.enhance((field / gauss) * unit, weights=TINY)
        assert got.unit == unit
        np.testing.assert_allclose(got.to_value(u.G), want, rtol=1e-4, atol=0.01)
    with pytest.raises(ValueError, match=r"must be in G, kG, mT, T or Mx / cm2, got unit='uT'"):
        enhance_np.enhance(field * 100 * u.uT, weights=TINY)


@every
def test_map(function, factor):
    mask = np.zeros(SHAPE, bool)
    mask[5] = True
    seen = hmi_map(wcs="pc")
    seen.mask = mask
    before = copy.deepcopy(seen)
    y = function(seen)
    assert (type(y), y.unit, y.data.shape) == (type(seen), seen.unit, size(factor))
    same_place(seen.wcs, y.wcs, factor)
    assert y.meta["r_sun"] == pytest.approx(factor * seen.meta["r_sun"])
    assert y.meta["comment"] == "one\ntwo"
    assert y.meta["history"].startswith("made at JSOC\nenhance_np ")
    rows = slice(int(5 * factor), int(np.ceil(6 * factor)))
    assert y.mask[rows].all()
    assert not y.mask[rows.stop :].any()
    assert dict(seen.meta) == dict(before.meta)
    np.testing.assert_array_equal(seen.data, before.data)


@every
@pytest.mark.filterwarnings("ignore:.*:astropy.wcs.FITSFixedWarning")
def test_map_sequence_and_hdu_and_file(function, factor, tmp_path):
    import sunpy.map

    want = values(function)
    series = function(sunpy.map.MapSequence([hmi_map(), hmi_map()], sortby=None))
    assert isinstance(series, sunpy.map.MapSequence)
    for image in series:
        np.testing.assert_array_equal(image.data, want)
    header = afits.Header(cards("intensity"))
    del header["BLANK"]
    hdu = afits.ImageHDU(pixels("intensity"), header)
    hdu.writeto(tmp_path / "a.fits")
    for x in (hdu, tmp_path / "a.fits", str(tmp_path / "a.fits")):
        y = function(x)
        assert isinstance(y, afits.PrimaryHDU)
        np.testing.assert_array_equal(y.data, want)
        same_place(WCS(header), WCS(y.header), factor)
    y.writeto(tmp_path / "b.fits")
    assert afits.getheader(tmp_path / "b.fits")["HISTORY"][0].startswith("enhance_np ")


@every
@pytest.mark.filterwarnings("ignore:.*:astropy.wcs.FITSFixedWarning")
@pytest.mark.parametrize("kind", ["crota", "pc", "cd"])
def test_nddata(function, factor, kind):
    header = afits.Header(cards("intensity", "pc" if kind == "cd" else kind))
    if kind == "cd":
        for i in (1, 2):
            for j in (1, 2):
                header[f"CD{i}_{j}"] = header[f"CDELT{i}"] * header.pop(f"PC{i}_{j}")
        del header["CDELT*"]
    wcs = WCS(header)
    assert wcs.wcs.has_cd() == (kind == "cd")
    mask = np.zeros(SHAPE, bool)
    mask[5] = True
    for meta in (header, {"rsun_obs": header["RSUN_OBS"], "HISTORY": "mine", "list": [1]}):
        x = CCDData(pixels("intensity"), unit="adu", mask=mask, wcs=wcs, meta=copy.deepcopy(meta))
        y = function(x)
        assert (type(y), y.unit, y.data.shape) == (CCDData, x.unit, size(factor))
        same_place(x.wcs, y.wcs, factor)
        assert y.mask[int(5 * factor)].all()
        assert not y.mask[int(np.ceil(6 * factor)) :].any()
        assert "enhance_np " in str(y.meta["HISTORY"])
        assert dict(x.meta) == dict(meta)
    assert y.meta["list"] == [1]
    assert y.meta["HISTORY"].startswith("mine\n")
    assert "crpix1" not in {key.lower() for key in y.meta}  # coordinates are in wcs


@without_header
def test_nddata_of_data_alone(function, factor):
    y = function(NDData(pixels("intensity")))
    assert type(y) is NDData
    assert (y.mask, y.wcs, y.unit) == (None, None, None)
    np.testing.assert_array_equal(y.data, values(function))


@every
def test_dask(function, factor):
    da = pytest.importorskip("dask.array")
    seen = hmi_map(data=da.from_array(pixels("intensity"), chunks=25))
    y = function(seen)
    assert isinstance(y.data, da.Array)
    np.testing.assert_array_equal(y.data.compute(), values(function))


@without_header
def test_dask_array(function, factor):
    da = pytest.importorskip("dask.array")
    y = function(da.from_array(pixels("intensity"), chunks=25))
    assert isinstance(y, da.Array)
    np.testing.assert_array_equal(y.compute(), values(function))


@pytest.mark.parametrize(
    ("kind", "power"), [(StdDevUncertainty, 1), (VarianceUncertainty, 2), (InverseVariance, -2)]
)
def test_uncertainty(kind, power, caplog):
    """A division divides it; whatever mixes pixels drops it, and says so."""
    image = pixels("intensity")
    x = NDData(image, kind(np.full(SHAPE, 3.0)), wcs=hmi_map().wcs, unit="adu")
    x.meta["RSUN_OBS"] = 968.66
    y = enhance_np.flatten_limb(x)
    ratio = y.data / image
    assert abs(ratio - 1).max() > 0.05
    assert type(y.uncertainty) is kind
    np.testing.assert_allclose(y.uncertainty.array, 3.0 * ratio**power, rtol=1e-5)
    for name in ("enhance", "deconvolve", "degrade"):
        caplog.clear()
        assert FUNCTIONS[name][0](x).uncertainty is None
        assert "the uncertainty of the NDData is dropped: every pixel" in caplog.text


@every
@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], TypeError, "x must be a NumPy array, .*, got list"),
        (None, TypeError, "got NoneType"),
        (np.ones(4), ValueError, r"\(H, W\)"),
        (np.ones((2, 2, 3, 4)), ValueError, r"\(H, W\)"),
        (NDData(np.ones((2, 3, 4))), ValueError, r"\(H, W\)"),
        (np.ones((4, 4), complex), ValueError, "real"),
        (np.full((4, 4), "a"), ValueError, "real"),
    ],
)
def test_refuses(function, factor, x, error, words):
    with pytest.raises(error, match=words):
        function(x)


@pytest.mark.parametrize("cls", [NDDataRef, CCDData])
@every
def test_a_slice_of_an_nddata_has_its_own_place(function, factor, cls):
    """The meta may still be that of the whole image."""
    whole = hmi_map()
    header = afits.Header(cards("intensity"))
    for key in ("DATE-OBS", "DSUN_OBS", "CRLN_OBS", "CRLT_OBS"):  # astropy would add MJD-OBS
        del header[key]
    sliced = cls(whole.data, unit="DN/s", wcs=WCS(header), meta=dict(header))[6:, 10:]
    part = header.copy()
    part["CRPIX1"] -= 10
    part["CRPIX2"] -= 6
    alone = cls(sliced.data, unit="DN/s", wcs=WCS(part), meta=dict(part))
    got, want = function(sliced), function(alone)
    np.testing.assert_array_equal(got.data, want.data)
    h, w = got.data.shape
    for y, x in ((0, 0), (h - 1, w - 1)):
        apart = got.wcs.pixel_to_world(x, y).separation(want.wcs.pixel_to_world(x, y))
        assert apart < 1e-6 * u.arcsec


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_empty_series_and_a_mask_that_would_be_lost(name):
    import sunpy.map
    from astropy.utils.masked import Masked

    function, _ = FUNCTIONS[name]
    with pytest.raises(ValueError, match="the MapSequence must hold an image or more, got none"):
        function(sunpy.map.MapSequence())
    masked = Masked(pixels("intensity"), mask=pixels("intensity") > 1e9)
    with pytest.raises(TypeError, match="x must be a NumPy array, .* got MaskedNDArray"):
        function(masked)


@pytest.mark.parametrize("name", ["deconvolve", "degrade"])
def test_a_cube_of_dask_is_refused_before_it_is_computed(name):
    dask = pytest.importorskip("dask.array")
    cube = dask.stack([dask.from_array(pixels("intensity"))] * 2)
    with pytest.raises(ValueError, match=r"image must be \(H, W\)"):
        FUNCTIONS[name][0](cube)


@pytest.mark.parametrize("name", ["deconvolve", "degrade"])
def test_optics_must_be_optics(name):
    with pytest.raises(TypeError, match=f"{name}: optics must be an Optics"):
        getattr(enhance_np, name)(pixels("intensity"), optics="yeo")
