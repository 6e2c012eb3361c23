import numpy as np
import pytest

from enhance_np.optics.psf import ARCSEC, airy, hmi_psf


@pytest.mark.parametrize("make", [hmi_psf, airy])
@pytest.mark.parametrize("pixel_scale", [0.0662, 0.16, 0.504302])
def test_odd_symmetric_and_of_sum_one(make, pixel_scale):
    psf = make(pixel_scale)
    assert psf.dtype == np.float64
    assert psf.shape == (2 * round(12 / pixel_scale) + 1,) * 2
    assert abs(psf.sum() - 1) < 1e-12
    np.testing.assert_array_equal(psf, psf[::-1])
    np.testing.assert_array_equal(psf, psf[:, ::-1])
    np.testing.assert_array_equal(psf, psf.T)
    assert psf.argmax() == psf.size // 2


def test_hmi_psf_is_the_published_profile():
    psf = hmi_psf(0.1, w=1.8, W=3.0)
    middle = len(psf) // 2
    for pixels in (3, 10, 60):
        r = np.pi * 0.14 * pixels * 0.1 * ARCSEC / 6173e-10
        want = 0.9 * np.exp(-((r / 1.8) ** 2)) + 0.1 / (1 + (r / 3.0) ** 3)
        assert psf[middle, middle + pixels] / psf[middle, middle] == pytest.approx(want, rel=1e-12)


def test_a_wider_support_holds_more_of_the_tail():
    core = [hmi_psf(0.1, support=s).max() for s in (4.4, 12, 20)]
    assert core[0] > core[1] > core[2]


def test_airy_first_dark_ring_and_first_bright_ring():
    psf = airy(0.005, support=1.0)
    profile = psf[len(psf) // 2, len(psf) // 2 :] / psf.max()
    ring = 1.2197 * 6173e-10 / 0.28 / ARCSEC
    assert abs(profile[: round(0.7 / 0.005)].argmin() * 0.005 - ring) < 0.005
    assert profile[round(ring / 0.005) :].max() == pytest.approx(0.0175, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_scale": 0}, "pixel_scale must be positive"),
        ({"pixel_scale": np.nan}, "pixel_scale must be positive"),
        ({"support": 0.01}, "support must be one pixel"),
        ({"epsilon": 1.5}, "epsilon must be from 0 to 1"),
        ({"w": -1}, "w must be positive"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        hmi_psf(**({"pixel_scale": 0.1} | change))
