import numpy as np
import pytest
from astropy.io import fits

from enhance_np.observation.first_image import angular_scale
from enhance_np.pairs.frames import DEFAULT_SCALE, open_frames

CUBE = np.arange(3 * 6 * 5, dtype="f4").reshape(3, 6, 5)
SCALED = {"CDELT1": 0.0828, "CDELT2": 0.0828}


def hdu(data, **cards):
    return fits.PrimaryHDU(data, fits.Header(cards))


def save(path, data, **cards):
    if path.suffix == ".npy":
        np.save(path, data)
    else:
        hdu(data, **cards).writeto(path)
    return path


@pytest.mark.parametrize("name", ["a.npy", "a.fits", "a.fits.gz"])
def test_images_and_cubes(name, tmp_path):
    path = save(tmp_path / name, CUBE)
    found = open_frames(path)
    assert (found.count, found.shape, found.pixel_scale) == (3, (6, 5), DEFAULT_SCALE)
    for i in range(3):
        frame = found.read(i)
        assert frame.dtype == np.float64
        np.testing.assert_array_equal(frame, CUBE[i])
    (tmp_path / "one").mkdir()
    image = open_frames(save(tmp_path / "one" / name, CUBE[1]))
    assert (image.count, image.shape) == (1, (6, 5))
    np.testing.assert_array_equal(image.read(0), CUBE[1])


def test_compressed_and_scaled_fits(tmp_path):
    data = np.arange(2 * 20 * 30).reshape(2, 20, 30).astype("i2")
    packed = fits.CompImageHDU(data, fits.Header(SCALED), compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(tmp_path / "rice.fits")
    found = open_frames(tmp_path / "rice.fits")
    assert found.pixel_scale == 0.0828
    np.testing.assert_array_equal(found.read(1), data[1])
    scaled = hdu(data.copy())
    scaled.scale("int16", bscale=0.5, bzero=100)
    scaled.writeto(tmp_path / "scaled.fits")
    np.testing.assert_allclose(open_frames(tmp_path / "scaled.fits").read(1), data[1], atol=0.5)


@pytest.mark.parametrize(
    ("cards", "scale"),
    [
        (SCALED, 0.0828),
        (SCALED | {"CUNIT1": "arcsec", "CUNIT2": "arcsec"}, 0.0828),
        ({"CDELT1": -2e-5, "CDELT2": 2e-5, "CUNIT1": "deg", "CUNIT2": "deg"}, 0.072),
        ({"CD1_1": 0.06, "CD2_1": 0.08, "CD1_2": -0.08, "CD2_2": 0.06}, 0.1),
        ({}, None),
    ],
)
def test_the_scale_of_a_header(cards, scale, tmp_path):
    found = angular_scale("frames", fits.Header(cards), "a.fits", "pixel_scale")
    assert found == (scale if scale is None else pytest.approx(scale))
    path = save(tmp_path / "a.fits", CUBE, **cards)
    assert open_frames(path).pixel_scale == pytest.approx(scale or DEFAULT_SCALE)
    assert open_frames(path, 0.05).pixel_scale == 0.05


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        (
            SCALED | {"CUNIT1": "km"},
            "CDELT1 must be arcsec or degrees.*scale is given.*km",
        ),
        (SCALED | {"CDELT2": 0.1}, "pixels must be square, unless the scale is given"),
        (SCALED | {"CDELT2": 0.0}, "CDELT2 must be"),
        (SCALED | {"CDELT1": "wide"}, "CDELT1 must be"),
    ],
)
def test_unfit_scales(cards, message, tmp_path):
    path = save(tmp_path / "a.fits", CUBE, **cards)
    with pytest.raises(ValueError, match=message + r".*a\.fits") as error:
        open_frames(path)
    assert error.value.parameters == ("pixel_scale",)
    assert open_frames(path, 0.05).pixel_scale == 0.05


def damaged(path):
    save(path, np.zeros((40, 200, 50), "f4"))
    path.write_bytes(path.read_bytes()[:20_000])


BAD = {
    "missing": (lambda path: None, OSError, "must exist"),
    "folder": (lambda path: path.mkdir(), OSError, "needs a file"),
    "empty": (lambda path: path.touch(), OSError, "needs a whole"),
    "text": (lambda path: path.write_text("1 2 3\n" * 900), OSError, "needs a whole"),
    "1-D": (lambda path: save(path, np.ones(4)), ValueError, r"\(h, w\) or a cube"),
    "4-D": (lambda path: save(path, np.ones((2, 2, 2, 2))), ValueError, r"\(h, w\) or a cube"),
}
BAD_NPY = {
    "truncated": (damaged, OSError, "needs a whole .npy array"),
    "no frames": (lambda path: np.save(path, np.ones((0, 4, 4))), ValueError, "or a cube"),
    "complex": (lambda path: np.save(path, np.ones((4, 4), complex)), ValueError, "real numbers"),
    "words": (lambda path: np.save(path, np.array([["a", "b"]])), ValueError, "real numbers"),
    "objects": (lambda path: np.save(path, np.array([[{}]])), OSError, "whole .npy array"),
}
BAD_FITS = {
    "no image": (lambda path: fits.PrimaryHDU().writeto(path), ValueError, "got none"),
}


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [("npy", kind) for kind in BAD | BAD_NPY] + [("fits", kind) for kind in BAD | BAD_FITS],
)
def test_bad_files_are_named(suffix, kind, tmp_path):
    make, error, message = (BAD | BAD_NPY | BAD_FITS)[kind]
    path = tmp_path / f"bad.{suffix}"
    make(path)
    with pytest.raises(error, match=message) as raised:
        open_frames(path)
    assert f"bad.{suffix}" in str(raised.value)


def test_a_truncated_fits_is_named(tmp_path):
    damaged(tmp_path / "bad.fits")
    with pytest.raises(OSError, match=r"bad\.fits"):
        open_frames(tmp_path / "bad.fits").read(39)


@pytest.mark.parametrize("scale", [0, -0.1, np.nan, np.inf])
def test_the_scale_given_must_be_positive(scale, tmp_path):
    with pytest.raises(ValueError, match="pixel scale must be positive"):
        open_frames(save(tmp_path / "a.npy", CUBE), scale)


@pytest.mark.parametrize("name", ["a.npy", "a.fits"])
def test_nan_is_found_when_its_frame_is_read(name, tmp_path):
    data = CUBE.copy()
    data[2, 3, 3] = np.nan
    found = open_frames(save(tmp_path / name, data))
    found.read(1)
    with pytest.raises(ValueError, match=rf"NaN or infinity in frame 2 of .*{name}"):
        found.read(2)
