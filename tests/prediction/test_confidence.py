"""Error bars and doubts of images, in files and in every kind of holder."""

import numpy as np
import pytest
from astropy.io import fits as afits
from cutouts import LEVEL, SHAPE, cards, hmi_map, pixels

import enhance_np
from enhance_np import weights
from enhance_np.config import NetworkConfig
from enhance_np.observation.fits import Frame
from enhance_np.observation.normalise import Norm
from enhance_np.params import initial
from enhance_np.prediction import confidence
from enhance_np.prediction.confidence import confidence_images
from enhance_np.prediction.doubt import EDGE, SIGMAS, Doubt
from enhance_np.prediction.error_bar import Calibration, judged
from enhance_np.prediction.file import enhance_file
from enhance_np.prediction.noise import Noise

FINER = (2 * SHAPE[0], 2 * SHAPE[1])
INNER = (slice(2 * EDGE, -2 * EDGE),) * 2


@pytest.fixture(scope="module")
def calibration():
    floor = np.array([[0.01, 0.03]])
    tables = {"gain": np.full((1, 2), 2.0), "floor": floor, "floor_at_limb": floor}
    ranges = {"value_range": (0.5, 1.5), "contrast_range": (0.0, 0.2)}
    return Calibration((1.0,), (0.0, 0.1), **tables, **ranges, misfit=0.004, data="made")


@pytest.fixture(scope="module")
def own(tmp_path_factory, calibration):
    path = tmp_path_factory.mktemp("weights") / "own.h5"
    made = weights.Weights(NetworkConfig(1, 16), *initial(NetworkConfig(1, 16), 0))
    weights.save(path, made)
    weights.add_calibration(path, calibration.attributes())
    return path


@pytest.fixture
def image(tmp_path):
    header = afits.Header(cards("intensity"))
    del header["BLANK"]
    afits.writeto(tmp_path / "a.fits", pixels("intensity"), header)
    return tmp_path / "a.fits"


def test_a_file(image, own, tmp_path, calibration):
    """ERROR is that of `judged`, in the unit; DOUBT says what its bits mean."""
    options = {"weights": own, "norm": LEVEL["intensity"], "confidence": True}
    result = enhance_file(image, tmp_path / "b.fits", **options)
    with afits.open(tmp_path / "b.fits") as hdus:
        names = ["PRIMARY", "ERROR", "DOUBT", "SPREAD", "RESIDUAL"]
        assert [hdu.name for hdu in hdus] == names
        error, doubt = hdus["ERROR"], hdus["DOUBT"]
        norm = Norm(result.norm)
        noise = 3e-3 * result.norm  # of 45 s
        want = judged(result.output, "intensity", calibration, norm, noise).error
        np.testing.assert_array_equal(error.data, want)
        assert error.header["BUNIT"] == "DN/s"
        assert error.header["ENHNOISE"] == pytest.approx(noise)
        assert error.header.comments["ENHNOISE"] == "noise of the input, HMI, 45 s"
        assert error.header["ENHCALIB"] == "made"
        assert doubt.data.dtype == np.uint8
        assert "BUNIT" not in doubt.header
        for number, bit in enumerate(Doubt):
            assert doubt.header[f"ENHBIT{number}"] == bit.name
            assert doubt.header.comments[f"ENHBIT{number}"].startswith(f"{bit.value}: ")
        assert error.header["CRPIX1"] == doubt.header["CRPIX1"] == hdus[0].header["CRPIX1"]
    louder = enhance_file(image, tmp_path / "c.fits", noise=2 * noise, **options)
    np.testing.assert_array_equal(louder.output, result.output)
    assert (louder.extensions[0].data > want).all()


def images(calibration, output, seen, **options):
    """confidence_images of a plain array of intensities."""
    made = weights.Weights(NetworkConfig(0, 4), *initial(NetworkConfig(0, 4), 0))
    made = weights.Weights(
        made.config, made.params, made.moving, calibration=calibration.attributes()
    )
    frame = Frame(seen, {}, "the array")
    options = {"divisor": Norm(1.0), "noise": 0.001} | options
    return confidence_images(
        frame, "intensity", output, np.zeros_like(output), None, made, **options
    )


@pytest.fixture
def flat():
    return np.ones((80, 96), np.float32), np.ones((40, 48), np.float32)


def test_nothing_to_doubt(calibration, flat):
    """Only the border of a flat image: the error bar is gain and floor of the tables."""
    found = images(calibration, *flat)
    doubt, error = found["DOUBT"].data, found["ERROR"].data
    assert (doubt[INNER] == 0).all()
    assert ((doubt & Doubt.EDGE) > 0).sum() == doubt.size - doubt[INNER].size
    np.testing.assert_allclose(error, np.hypot(2 * 0.001, 0.01), rtol=1e-5)


def test_each_doubt_is_found_where_it_is(calibration, flat):
    output, seen = flat
    output[40:50, 40:50] = 1.7
    seen = seen.copy()
    found = images(calibration, output, seen)["DOUBT"].data
    assert found[45, 45] & Doubt.VALUE
    assert found[40, 45] & Doubt.CONTRAST
    assert not found[45, 45] & Doubt.CONTRAST
    assert found[45, 45] & Doubt.RESIDUAL  # the input is flat
    assert found[20, 20] == 0


@pytest.mark.parametrize("times", [0.9, 1.1])
def test_a_residual_is_more_than_noise(calibration, flat, monkeypatch, times):
    """Noise, and what the residual of the calibration data has beside noise."""
    residual = np.zeros((40, 48), np.float32)
    residual[20, 30] = times * SIGMAS * np.hypot(0.001, 0.004)
    monkeypatch.setattr("enhance_np.prediction.reblur.residual_map", lambda *_: residual)
    found = images(calibration, *flat)["DOUBT"].data & Doubt.RESIDUAL
    assert found.any() == (times > 1)
    if times > 1:
        assert np.argwhere(found).tolist() == [[40, 60], [40, 61], [41, 60], [41, 61]]


def test_a_residual_in_noise_of_its_pixel(calibration, flat, monkeypatch):
    residual = np.full((40, 48), SIGMAS * np.hypot(0.002, 0.004), np.float32)
    monkeypatch.setattr("enhance_np.prediction.reblur.residual_map", lambda *_: residual)
    sigma = np.where(np.arange(40) < 20, 1e-3, 3e-3)[:, None] * np.ones(48)
    monkeypatch.setattr(confidence, "noise_of", lambda *_: Noise(sigma, "its uncertainty"))
    found = images(calibration, *flat)["DOUBT"].data & Doubt.RESIDUAL
    np.testing.assert_array_equal(found > 0, np.repeat(sigma < 2e-3, 2, 0).repeat(2, 1))


def test_missing_pixels(calibration, flat):
    """They have no error, and the pixels near them are doubtful."""
    output, seen = flat
    output[40:42, 40:42], seen[20, 20] = np.nan, np.nan
    found = images(calibration, output, seen)
    assert np.isnan(found["ERROR"].data[40:42, 40:42]).all()
    assert np.isfinite(found["ERROR"].data).sum() == output.size - 4
    near = (found["DOUBT"].data & Doubt.EDGE)[INNER] > 0
    side = 2 * (2 * EDGE + 1)
    assert near.sum() == side**2
    assert near[40 - 2 * EDGE, 40 - 2 * EDGE]


def test_maps(own, calibration):
    pytest.importorskip("sunpy.map")
    da = pytest.importorskip("dask.array")
    data = pixels("intensity")
    plain = enhance_np.enhance(hmi_map(data=data), weights=own, confidence=True)
    assert plain.image.uncertainty.uncertainty_type == "std"
    np.testing.assert_array_equal(plain.image.uncertainty.array, plain.uncertainty.data)
    assert plain.uncertainty.unit == plain.image.unit
    assert plain.doubt.data.dtype == np.uint8
    assert (plain.doubt.meta["bitpix"], plain.image.meta["bitpix"]) == (8, -32)
    assert plain.doubt.meta["enhbit3"] == "EDGE"
    assert plain.uncertainty.scale == plain.image.scale == plain.doubt.scale
    lazy = enhance_np.enhance(
        hmi_map(data=da.from_array(data, chunks=20)), weights=own, confidence=True
    )
    np.testing.assert_array_equal(np.asarray(lazy.uncertainty.data), plain.uncertainty.data)
    np.testing.assert_array_equal(np.asarray(lazy.doubt.data), plain.doubt.data)


def test_other_kinds(own):
    import astropy.units as u
    from astropy.nddata import CCDData, NDData

    data = pixels("intensity")
    plain = enhance_np.enhance(data, weights=own, confidence=True, noise=100)
    assert plain.uncertainty.shape == plain.doubt.shape == FINER
    quantity = enhance_np.enhance(
        data * u.Unit("ct"), "intensity", weights=own, confidence=True, noise=100
    )
    assert quantity.uncertainty.unit == u.ct
    np.testing.assert_array_equal(quantity.uncertainty.value, plain.uncertainty)
    np.testing.assert_array_equal(quantity.doubt, plain.doubt)
    assert type(quantity.doubt) is np.ndarray
    for kind in (NDData, CCDData):
        found = enhance_np.enhance(
            kind(data, unit="ct"), "intensity", weights=own, confidence=True, noise=100
        )
        np.testing.assert_array_equal(found.image.uncertainty.array, plain.uncertainty)
        assert found.image.uncertainty.unit == u.ct
        assert found.doubt.unit == u.dimensionless_unscaled
    cube = enhance_np.enhance(np.stack([data, data]), weights=own, confidence=True, noise=100)
    np.testing.assert_array_equal(cube.uncertainty[1], plain.uncertainty)
    assert cube.doubt.dtype == np.uint8
    masked = np.ma.array(data, mask=data < LEVEL["intensity"] - 4000)
    found = enhance_np.enhance(masked, weights=own, confidence=True, noise=100)
    assert found.doubt.mask.sum() == found.image.mask.sum() > 0


@pytest.mark.parametrize(("kind", "power"), [("StdDev", 1), ("Variance", 2), ("Inverse", -2)])
def test_an_uncertainty_is_the_noise(own, caplog, kind, power):
    """In any kind and unit, of an NDData and of a Map; a number that is given goes before it."""
    import astropy.units as u
    from astropy import nddata

    kinds = {
        "StdDev": nddata.StdDevUncertainty,
        "Variance": nddata.VarianceUncertainty,
        "Inverse": nddata.InverseVariance,
    }
    caplog.set_level("INFO")
    data, options = pixels("intensity"), {"weights": own, "confidence": True}
    want = enhance_np.enhance(data, **options, noise=100).uncertainty
    for unit, sigma in ((None, 100.0), (u.kct**power, 0.1)):
        given = kinds[kind](np.full(SHAPE, sigma**power), unit=unit)
        x = nddata.NDData(data, uncertainty=given, unit="ct")
        found = enhance_np.enhance(x, "intensity", **options)
        np.testing.assert_allclose(found.uncertainty.data, want, rtol=1e-5)
        assert "error bars for noise of 100 ct (its uncertainty)" in caplog.text
        assert "dropped" not in caplog.text
    louder = [enhance_np.enhance(y, "intensity", **options, noise=200) for y in (x, data)]
    np.testing.assert_array_equal(louder[0].uncertainty.data, louder[1].uncertainty)
    pytest.importorskip("sunpy.map")
    hmi = hmi_map(data=data)
    given = kinds[kind](np.full(SHAPE, 100.0**power))
    seen = hmi._new_instance(data, hmi.meta, uncertainty=given)
    want = enhance_np.enhance(hmi, **options, noise=100).uncertainty
    found = enhance_np.enhance(seen, **options).uncertainty
    np.testing.assert_allclose(found.data, want.data, rtol=1e-5)


def test_an_uncertainty_with_gaps(own):
    """Where it is not known there is no error bar; what is masked has no say in its neighbours'."""
    from astropy.nddata import CCDData, StdDevUncertainty

    data, sigma = pixels("intensity"), np.full(SHAPE, 100.0)
    mask = np.zeros(SHAPE, bool)
    sigma[5, 6], sigma[7, 8], sigma[9, 10] = np.nan, -1, 1e200
    mask[20, 20], sigma[20, 20] = True, 1e6
    options = {"type": "intensity", "weights": own, "confidence": True}
    x = CCDData(data, uncertainty=StdDevUncertainty(sigma), mask=mask, unit="ct")
    found = enhance_np.enhance(x, **options).uncertainty.data
    want = enhance_np.enhance(CCDData(data, mask=mask, unit="ct"), **options, noise=100)
    unknown = np.zeros(SHAPE, bool)
    for at in ((5, 6), (7, 8), (9, 10), (20, 20)):
        unknown[at] = True
    unknown = unknown.repeat(2, 0).repeat(2, 1)
    assert np.isnan(found[unknown]).all()
    np.testing.assert_allclose(found[~unknown], want.uncertainty.data[~unknown], rtol=1e-5)


@pytest.mark.parametrize("useless", [np.nan, -1.0])
def test_an_uncertainty_that_is_known_nowhere(own, useless):
    """The noise is then found as without one, and the header of ERROR can be written."""
    pytest.importorskip("sunpy.map")
    from astropy.nddata import StdDevUncertainty

    hmi = hmi_map(data=pixels("intensity"))
    given = StdDevUncertainty(np.full(SHAPE, useless))
    seen = hmi._new_instance(hmi.data, hmi.meta, uncertainty=given)
    bars = [enhance_np.enhance(x, weights=own, confidence=True).uncertainty for x in (seen, hmi)]
    np.testing.assert_array_equal(*(bar.data for bar in bars))
    assert bars[0].meta["enhnoise"] == bars[1].meta["enhnoise"]


def test_an_uncertainty_of_another_size_or_unit(own):
    """Refused where it is needed."""
    from astropy.nddata import NDData, StdDevUncertainty

    data = pixels("intensity")
    for given in (
        StdDevUncertainty(np.ones((3, 5))),
        StdDevUncertainty(np.ones(SHAPE), unit="m"),
    ):
        x = NDData(data, unit="ct")
        x._uncertainty = given
        with pytest.raises(ValueError, match="uncertainty of the NDData: must have the shape and"):
            enhance_np.enhance(x, "intensity", weights=own, confidence=True)
        assert enhance_np.enhance(x, "intensity", weights=own).uncertainty is None


def test_an_uncertainty_of_its_own(own, caplog):
    """The error bars take its place; no other result is worth a warning."""
    from astropy.nddata import NDData, StdDevUncertainty

    data = pixels("intensity")
    given = NDData(data, uncertainty=StdDevUncertainty(np.full(SHAPE, 60.0)), unit="ct")
    found = enhance_np.enhance(given, "intensity", weights=own, confidence=True, noise=100)
    np.testing.assert_array_equal(found.image.uncertainty.array, found.uncertainty.data)
    assert found.spread.uncertainty is found.doubt.uncertainty is None
    assert "dropped" not in caplog.text


def test_a_damaged_calibration(own, image, tmp_path, monkeypatch):
    """Told before the network runs, and only if it is needed."""
    path = tmp_path / "damaged.h5"
    path.write_bytes(own.read_bytes())
    weights.add_calibration(path, {"values": [1.0]})
    enhance_np.enhance(pixels("intensity"), weights=path)
    for name in ("file", "image"):
        monkeypatch.setattr(f"enhance_np.prediction.{name}.apply", None)
    with pytest.raises(ValueError, match="calibration of the weights: must have every table"):
        enhance_np.enhance(pixels("intensity"), weights=path, confidence=True)
    with pytest.raises(ValueError, match="calibration of the weights: must have every table"):
        enhance_file(image, tmp_path / "b.fits", weights=path, confidence=True)
    assert not (tmp_path / "b.fits").exists()


def test_without_calibration(image, tmp_path, caplog):
    path = tmp_path / "bare.h5"
    config = NetworkConfig(1, 4)
    weights.save(path, weights.Weights(config, *initial(config, 0)))
    enhance_file(image, tmp_path / "b.fits", weights=path, confidence=True)
    with afits.open(tmp_path / "b.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SPREAD", "RESIDUAL"]
    said = "ERROR and DOUBT are left out: the weights have no calibration (enhance-np calibrate"
    assert said in caplog.text
    found = enhance_np.enhance(pixels("intensity"), weights=path, confidence=True)
    assert found.uncertainty is found.doubt is None
    cube = enhance_np.enhance(pixels("intensity")[None], weights=path, confidence=True)
    assert cube.uncertainty is None
    assert cube.spread.shape == (1, *FINER)


def test_noise_that_nothing_tells(own, caplog, monkeypatch):
    monkeypatch.setattr(confidence, "noise_of", lambda *_: None)
    found = enhance_np.enhance(pixels("intensity"), weights=own, confidence=True)
    assert found.uncertainty is None
    assert "neither the header nor the image tells the noise" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": -1.0, "confidence": True}, "noise must be 0 to 1e\\+30"),
        ({"noise": 1e39, "confidence": True}, "noise must be 0 to 1e\\+30.* got 1e\\+39"),
        ({"noise": np.nan, "confidence": True}, "noise must be 0 to 1e\\+30"),
        ({"noise": "loud", "confidence": True}, "noise must be 0 to 1e\\+30.* got loud"),
        ({"noise": [1.0, 2.0], "confidence": True}, "noise must be 0 to 1e\\+30"),
        ({"noise": 1.0}, "noise is for confidence"),
    ],
)
def test_refuses(own, image, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        enhance_np.enhance(pixels("intensity"), weights=own, **options)
    with pytest.raises(ValueError, match=message):
        enhance_file(image, tmp_path / "b.fits", weights=own, **options)
    assert not (tmp_path / "b.fits").exists()
