import numpy as np
import pytest
from astropy.io import fits

from enhance_np.instrument import HMI
from enhance_np.optics.psf import airy, hmi_psf
from enhance_np.optics.psf_image import PsfImage, read_psf


def comet(scale, reach, centre=(0.0, 0.0)):
    """A Gaussian with a tail towards high x; the same PSF on any pixel scale."""
    u = np.arange(-round(reach / scale), round(reach / scale) + 1) * scale
    y, x = np.meshgrid(u - centre[0], u - centre[1], indexing="ij")
    return np.exp(-(y**2) / 0.3) * (np.exp(-(x**2) / 0.3) + 0.2 * np.exp(-((x - 0.6) ** 2) / 0.5))


def test_resampled_from_finer_and_coarser_pixels():
    for made in (hmi_psf, airy):
        want = made(0.0662, support=4, diameter=HMI.aperture)
        for scale in (0.05, 0.1):
            image = PsfImage(made(scale, support=5, diameter=HMI.aperture), scale, "")
            found = image.kernel(0.0662, 4)
            np.testing.assert_allclose(found, want, rtol=0, atol=3e-5 * want.max())


def test_sum_sides_and_centroid():
    for centre in ((0.0, 0.0), (0.5, -0.31)):
        image = 7 * comet(0.1, 5, centre)[:-3]
        kernel = PsfImage(image, 0.1, "comet").kernel(0.0662, 3)
        assert kernel.shape == (91, 91)
        assert kernel.sum() == pytest.approx(1, abs=1e-12)
        u = np.arange(91) - 45
        assert abs(u @ kernel.sum(axis=1)) < 1e-6
        assert abs(u @ kernel.sum(axis=0)) < 1e-6
        assert u**3 @ kernel.sum(axis=0) > 0  # the tail stays on its side
    shifted = PsfImage(comet(0.1, 5, (0.5, -0.31)), 0.1, "").kernel(0.0662, 3)
    still = PsfImage(comet(0.1, 5), 0.1, "").kernel(0.0662, 3)
    np.testing.assert_allclose(shifted, still, rtol=0, atol=1e-3 * still.max())


def test_zero_beyond_the_image():
    kernel = PsfImage(comet(0.1, 2), 0.1, "").kernel(0.1, 4)
    assert kernel.shape == (81, 81)
    assert (kernel[:, :10] == 0).all()
    assert (kernel[:10] == 0).all()


@pytest.mark.parametrize(
    ("data", "support", "message"),
    [
        (np.ones((9, 9)), 0.01, "support must be one pixel"),
        (np.zeros((9, 9)), 1, "positive sum.*bad"),
        (-np.ones((9, 9)), 1, "positive sum.*bad"),
    ],
)
def test_no_psf(data, support, message):
    with pytest.raises(ValueError, match=message):
        PsfImage(data, 0.1, "bad").kernel(0.1, support)


def test_read(tmp_path):
    path = tmp_path / "psf.fits"
    fits.writeto(path, comet(0.1, 2), fits.Header({"CDELT1": 0.1, "CDELT2": 0.1}))
    image = read_psf(path)
    assert (image.pixel_scale, image.name) == (0.1, str(path))
    np.testing.assert_array_equal(image.data, comet(0.1, 2))
    assert read_psf(path, 0.2).pixel_scale == 0.2


BAD = {
    "missing": (lambda path: None, "must exist"),
    "text": (lambda path: path.write_text("no image\n" * 900), "needs a whole FITS file"),
    "empty": (lambda path: path.touch(), "needs a whole FITS file"),
    "no image": (lambda path: fits.PrimaryHDU().writeto(path), "with an image, got none"),
    "cube": (lambda path: fits.writeto(path, np.ones((2, 3, 3))), "finite 2-D image"),
    "nan": (lambda path: fits.writeto(path, np.full((3, 3), np.nan)), "finite 2-D image"),
    "scale": (
        lambda path: fits.writeto(path, np.ones((3, 3))),
        "CDELT2, unless its scale is given",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_named(kind, tmp_path):
    make, message = BAD[kind]
    make(tmp_path / "bad.fits")
    with pytest.raises((ValueError, OSError), match=message) as raised:
        read_psf(tmp_path / "bad.fits")
    assert "bad.fits" in str(raised.value)


def test_the_scale_given_must_be_positive(tmp_path):
    fits.writeto(tmp_path / "psf.fits", np.ones((3, 3)))
    with pytest.raises(ValueError, match="must be positive"):
        read_psf(tmp_path / "psf.fits", -1)
