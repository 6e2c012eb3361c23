import numpy as np
import pytest

from enhance_np._array import repeated
from enhance_np.evaluate import quantities as q


def test_flux_of_a_constant():
    """100 G on 20 pixels."""
    field = np.full((4, 5), -100.0)
    found = q.flux(field, 1.3e15)
    assert found.unsigned == 100
    assert found.net == -100
    assert found.unsigned_mx == pytest.approx(100 * 20 * 1.3e15)
    assert found.net_mx == pytest.approx(-found.unsigned_mx)


def test_flux_of_both_signs_and_gaps():
    found = q.flux(np.array([[100.0, -300.0], [np.nan, 0.0]]), 1.0)
    assert found.unsigned == pytest.approx(400 / 3)
    assert found.net == pytest.approx(-200 / 3)


def test_flux_does_not_depend_on_the_pixels(rng):
    field = rng.standard_normal((6, 8))
    low, high = q.flux(field, 4e15), q.flux(field.repeat(2, 0).repeat(2, 1), 1e15)
    np.testing.assert_allclose(low, high)


def test_average_and_repeat(rng):
    image = rng.standard_normal((3, 4))
    np.testing.assert_allclose(q.averaged(image.repeat(2, 0).repeat(2, 1)), image)
    block = np.zeros((6, 8))
    block[2, 5] = 4.0
    assert q.averaged(block)[1, 2] == 1.0
    mask = image > 0
    assert (q.averaged(repeated(mask)) == mask).all()


def test_contrast():
    image = np.array([[0.9, 1.1], [5.0, np.nan]])
    mask = np.array([[True, True], [False, False]])
    assert q.contrast(image, mask) == pytest.approx(0.1)
    assert q.contrast(3 * image, mask) == pytest.approx(0.1)
    assert np.isnan(q.contrast(image, ~mask & False))


def test_noise(rng):
    """The standard deviation of 1e4 values is known to 0.7 %."""
    field = 3 + 7 * rng.standard_normal((100, 100))
    assert q.noise(field, np.ones(field.shape, bool)) == pytest.approx(7, rel=0.03)
    assert np.isnan(q.noise(field, np.zeros(field.shape, bool)))


def test_slope(rng):
    field = rng.normal(0, 500, (20, 20))
    mask = np.zeros(field.shape, bool)
    mask[:10] = True
    out = np.where(mask, 1.3 * field, 7.0)
    assert q.slope(field, out, mask) == (pytest.approx(1.3), 200)
    noisy = out + 50 * rng.standard_normal(field.shape)
    x, y = field[mask], noisy[mask]
    want = np.linalg.lstsq(x[:, None], y, rcond=None)[0][0]
    assert q.slope(field, noisy, mask).value == pytest.approx(want)
    assert np.isnan(q.slope(field, out, mask & False).value)


def test_ratio():
    """Pixels of 800 to 1200 G count, ends included, of both signs; a wrong sign lowers the
    ratio."""
    field = np.array([[799.0, 800.0, -1000.0, 1200.0, 1201.0]])
    out = np.array([[9e9, 1000.0, -1200.0, 1400.0, 9e9]])
    everywhere = np.ones(field.shape, bool)
    assert q.ratio(field, out, everywhere) == (pytest.approx(3600 / 3000), 3)
    out[0, 2] = 1200.0
    assert q.ratio(field, out, everywhere).value == pytest.approx(1200 / 3000)
    found = q.ratio(field, out, np.array([[True, True, False, False, False]]))
    assert found == (pytest.approx(1000 / 800), 1)
    nothing = q.ratio(field, out, ~everywhere)
    assert np.isnan(nothing.value)
    assert nothing.pixels == 0
