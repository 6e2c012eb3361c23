import numpy as np
import pytest

from enhance_np.optics import psf
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


def test_a_narrow_lorentzian_leaves_the_airy_pattern():
    got = psf.airy_lorentzian(0.1, 1e-6, support=6.0)
    np.testing.assert_allclose(got, psf.airy(0.1, 0.14, 6.0), rtol=0, atol=1e-4 * got.max())


def test_a_wide_lorentzian_hides_the_airy_pattern():
    """Far wider than lambda / D, the convolution is a Lorentzian, only wider: at low frequencies
    the OTF of a circle, 1 - 4 q / pi, is exp(-2 pi s f) with s = 2 lambda / (pi^2 D)."""
    width, scale = 12.0, 0.5
    got = psf.airy_lorentzian(scale, width, support=40.0)
    at = scale * (np.arange(len(got)) - len(got) // 2)
    wider = width + 2 * 6173e-10 / (np.pi**2 * 0.14 * ARCSEC)
    want = (at[:, None] ** 2 + at**2 + wider**2) ** -1.5
    np.testing.assert_allclose(got, want / want.sum(), rtol=2e-3)


def test_airy_lorentzian_has_the_product_of_the_transfer_functions():
    """The support cuts 0.25 % of the Lorentzian's light (width / support), 0.5 % of the Airy's."""
    width, scale, support = 0.1, 0.1, 40.0
    kernel, airy = (
        psf.airy_lorentzian(scale, width, support=support),
        psf.airy(scale, 0.14, support),
    )
    at = scale * (np.arange(len(kernel)) - len(kernel) // 2)
    for f in (0.2, 0.5, 0.8):
        waves = np.cos(2 * np.pi * f * at)
        ratio = (waves @ kernel.sum(axis=0)) / (waves @ airy.sum(axis=0))
        assert ratio == pytest.approx(np.exp(-2 * np.pi * width * f), abs=0.01)


def test_five_gaussians():
    """The weights sum to 1; the mean over azimuth is the round PSF; a turn by 90 degrees is one."""
    assert sum(weight for weight, *_ in psf.YEO) == pytest.approx(1, abs=5e-4)
    round_one = psf.five_gaussians(0.2, 10.0)
    turned = {angle: psf.five_gaussians(0.2, 10.0, angle) for angle in (0.0, 90.0, 180.0, 270.0)}
    np.testing.assert_allclose(sum(turned.values()) / 4, round_one, atol=1e-3 * round_one.max())
    # counter-clockwise with rows upwards: x becomes y
    np.testing.assert_allclose(turned[90.0], turned[0.0].T[:, ::-1], atol=1e-15)
    assert not np.allclose(turned[0.0], turned[0.0][:, ::-1], atol=1e-3 * round_one.max())
    np.testing.assert_allclose(round_one, round_one.T, atol=1e-15)
    assert round_one.sum() == pytest.approx(1)
