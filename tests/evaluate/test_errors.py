import numpy as np
import pytest

from enhance_np.evaluate import errors
from enhance_np.evaluate.errors import DATA_RANGE, ssim_map


def scores(out, truth, data_range, mask=None):
    mask = np.ones(truth.shape, bool) if mask is None else mask
    return errors.scores(out, truth, ssim_map(out, truth, data_range), data_range, mask)


@pytest.fixture
def images(rng):
    truth = 1 + 0.1 * rng.standard_normal((30, 34))
    return truth + 0.05 * rng.standard_normal(truth.shape), truth


def test_identical_images(images):
    _, truth = images
    found = scores(truth, truth, 1.0)
    assert found["mse"] == found["rms"] == found["bias"] == 0
    assert found["psnr"] == np.inf
    # numerator and denominator are the same numbers in another order
    assert found["ssim"] == pytest.approx(1, abs=1e-12)
    assert found["pixels"] == truth.size


def test_known_error(rng):
    """An error of 0.01 everywhere is 40 dB below a range of 1, 60 dB below one of 10."""
    truth = rng.random((20, 20))
    signs = rng.choice([-0.01, 0.01], truth.shape)
    found = scores(truth + signs, truth, 1.0)
    assert found["mse"] == pytest.approx(1e-4)
    assert found["rms"] == pytest.approx(1e-2)
    assert found["psnr"] == pytest.approx(40)
    assert scores(truth + signs, truth, 10.0)["psnr"] == pytest.approx(60)
    assert scores(truth + 0.01, truth, 1.0)["bias"] == pytest.approx(0.01)
    assert scores(truth - 0.01, truth, 1.0)["bias"] == pytest.approx(-0.01)


def test_known_noise(rng):
    """sigma = 0.1 gives 20 dB. The mse of n values scatters by sqrt(2 / n) = 0.7 %, or 0.03 dB."""
    truth = np.zeros((200, 200))
    found = scores(0.1 * rng.standard_normal(truth.shape), truth, 1.0)
    assert found["psnr"] == pytest.approx(20, abs=5 * 0.03)


def test_ssim_is_its_definition(images):
    """Equation 13 of Wang et al. at one pixel, with explicit sums over the window."""
    a, b = images
    y, x = np.mgrid[-5:6, -5:6]
    w = np.exp(-(y**2 + x**2) / (2 * 1.5**2))
    w /= w.sum()
    for data_range in (1.0, 3.0):
        found = ssim_map(a, b, data_range)
        for i, j in ((5, 5), (12, 20), (24, 28)):
            p, q = (image[i - 5 : i + 6, j - 5 : j + 6] for image in (a, b))
            mp, mq = (w * p).sum(), (w * q).sum()
            vp, vq = (w * (p - mp) ** 2).sum(), (w * (q - mq) ** 2).sum()
            c = (w * (p - mp) * (q - mq)).sum()
            c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
            want = (2 * mp * mq + c1) * (2 * c + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2))
            assert found[i, j] == pytest.approx(want, rel=1e-9)


def test_ssim_of_constants():
    """Without structure only the means are compared."""
    a, b = np.full((11, 11), 0.8), np.full((11, 11), 0.4)
    found = ssim_map(a, b, 1.0)[5, 5]
    assert found == pytest.approx((2 * 0.32 + 1e-4) / (0.64 + 0.16 + 1e-4))


def test_ssim_falls_with_noise_and_turns_with_sign(rng):
    truth = rng.standard_normal((40, 40))
    noise = rng.standard_normal((40, 40))
    found = [scores(truth + s * noise, truth, 1.0)["ssim"] for s in (0.1, 0.3, 1.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.9
    # with a common mean; if the means had opposite signs, the first factor would be negative too
    assert scores(10 - truth, 10 + truth, 1.0)["ssim"] < -0.9


def test_windows_lie_within_the_image_and_off_its_gaps(images):
    a, b = (image.copy() for image in images)
    found = np.isfinite(ssim_map(a, b, 1.0))
    assert found[5:-5, 5:-5].all()
    assert found.sum() == 20 * 24
    a[15, 15] = np.nan
    assert np.isfinite(ssim_map(a, b, 1.0)).sum() == 20 * 24 - 11 * 11


def test_masks(images):
    out, truth = images
    mask = np.zeros(truth.shape, bool)
    mask[8:20, 9:25] = True
    found = scores(out, truth, 1.0, mask)
    assert found["pixels"] == 12 * 16
    assert found["mse"] == pytest.approx(np.square(out - truth)[8:20, 9:25].mean())
    assert found["ssim"] == pytest.approx(ssim_map(out, truth, 1.0)[8:20, 9:25].mean())
    nothing = scores(out, truth, 1.0, np.zeros(truth.shape, bool))
    assert nothing["pixels"] == 0
    assert np.isnan([nothing[name] for name in ("mse", "rms", "psnr", "ssim", "bias")]).all()


def test_ranges_are_fixed():
    assert DATA_RANGE == {"intensity": 1.0, "blos": 3000.0}
