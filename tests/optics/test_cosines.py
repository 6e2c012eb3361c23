import numpy as np
import pytest
from made import FINE, smooth_scene

from enhance_np.optics import cosines
from enhance_np.optics.cosines import double, doubled, halved, to_image, to_modes, transfers
from enhance_np.optics.degrade import HMI, HMI_SCALE, Optics, convolve, magnify

# bound for sums of some thousand products of order 1 in float64
ROUNDING = 1e-11


def test_double_is_magnify(rng):
    """`magnify` evaluates the cosines one by one, with full matrices."""
    image = rng.standard_normal((9, 14))
    np.testing.assert_allclose(double(image), magnify(image, 2), atol=ROUNDING)


def test_halved_takes_the_values_between_four_pixels(rng):
    """The centre of large pixel i is the corner 2i + 1 of the small pixels."""
    modes = rng.standard_normal((8, 12))
    want = np.zeros((4, 6))
    y, x = (2 * np.arange(n) + 1.0 for n in want.shape)
    for k in range(8):
        for m in range(12):
            height = np.sqrt((2 - (k == 0)) * (2 - (m == 0)) / (8 * 12))
            want += (
                modes[k, m]
                * height
                * np.outer(np.cos(np.pi * k * y / 8), np.cos(np.pi * m * x / 12))
            )
    np.testing.assert_allclose(to_image(halved(modes)), want, atol=ROUNDING)


def test_halved_undoes_doubled(rng):
    modes = rng.standard_normal((7, 5))
    np.testing.assert_allclose(halved(doubled(modes)), modes, atol=ROUNDING)


def test_doubling_keeps_the_mean(rng):
    image = rng.standard_normal((9, 14))
    assert double(image).mean() == pytest.approx(image.mean(), abs=ROUNDING)


def test_transfers_are_those_of_a_convolution(rng):
    scene = smooth_scene(rng, (5, 6))
    for kernel, transfer in zip(HMI.kernels(FINE), transfers(scene.shape, FINE, HMI), strict=True):
        want = convolve(scene, kernel)
        np.testing.assert_allclose(to_image(to_modes(scene) * transfer), want, atol=ROUNDING)


def test_transfers_do_not_depend_on_the_sampling():
    """Mode k is the same frequency on large and on small pixels."""
    low = transfers((6, 9), HMI_SCALE, HMI)
    high = transfers((12, 18), HMI_SCALE / 2, HMI)
    for a, b in zip(low, high, strict=True):
        np.testing.assert_allclose(a, b[:6, :9], atol=ROUNDING)


def test_frequencies():
    """Mode k has k half periods on the n pixels."""
    found = cosines.frequencies((4, 8), 0.5)
    assert found[2, 0] == pytest.approx(2 / (2 * 4 * 0.5))
    assert found[3, 4] == pytest.approx(np.hypot(3 / 4, 4 / 8))


def test_faults(rng):
    with pytest.raises(ValueError, match="finite"):
        to_modes(np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match="even"):
        halved(np.zeros((3, 4)))


def test_lopsided_psf_is_refused(tmp_path):
    from enhance_np.optics.psf_image import PsfImage

    data = HMI.kernels(0.1)[0].copy()
    data[:, :100] *= 2
    optics = Optics(PsfImage(data, 0.1, "lopsided"))
    with pytest.raises(ValueError, match="symmetric"):
        transfers((8, 8), HMI_SCALE, optics)
