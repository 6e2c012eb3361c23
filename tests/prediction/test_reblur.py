import numpy as np
import pytest
from made import FINE, pair, smooth_scene

from enhance_np.observation.normalise import fill
from enhance_np.optics.degrade import HMI_SCALE, degrade
from enhance_np.prediction import reblur
from enhance_np.prediction.reblur import reblurred, residual, residual_map


def test_perfect_output(rng):
    """Frequencies below 0.95 of the target's cut-off, resolved by the output's pixels, are exact.

    Below 1.8 cycles per arcsec the target transmits at least 0.09: rounding grows by 10.
    """
    low, high = pair(smooth_scene(rng, highest=1.8))
    again = reblurred(high)
    np.testing.assert_allclose(again["consistent"], low, atol=1e-11)
    assert residual(again["consistent"], low) < 1e-11
    assert residual(again["psf"], low) > 1e-3


def test_perfect_output_of_a_rich_scene(rng):
    """A white spectrum. HMI transmits at most 1e-4 of the amplitude of frequencies that the
    output's pixels alias or that the cut removes, and 0.004 through its tail; the residual is that
    share of the contrast."""
    low, high = degrade(1 + 0.2 * rng.standard_normal((192, 256)), FINE)
    found = residual(reblurred(high)["consistent"], low)
    assert found < 0.02 * low.std()
    assert found < 0.05 * residual(reblurred(high)["psf"], low)


def test_psf_is_that_of_the_training_data(rng):
    """`degrade`, applied to the output, uses the same geometry with full matrices. Its kernel is
    sampled on the output's pixels and ends 0.1 arcsec farther out: 1e-3 of the contrast."""
    out = smooth_scene(rng, (6, 7))
    want, _ = degrade(out, HMI_SCALE / 2)
    found = reblurred(out)["psf"]
    assert found.shape == want.shape == (24, 28)
    np.testing.assert_allclose(found, want, atol=2e-3 * out.std())


@pytest.mark.parametrize("axis", [0, 1])
def test_half_an_output_pixel_shows(axis, rng):
    """Aligning centres instead of edges, the fault of the original's coordinates, is detected."""
    scene = smooth_scene(rng)
    low, high = pair(scene)
    _, shifted = pair(np.roll(scene, 2, axis))
    good = residual(reblurred(high)["consistent"], low)
    bad = residual(reblurred(shifted)["consistent"], low)
    assert bad > 100 * good
    assert bad > 5e-3


def test_residual():
    image = np.array([[1.0, -3.0], [2.0, 2.0]])
    again = image + np.array([[0.5, 0.5], [0.0, -1.0]])
    assert residual(again, image) == pytest.approx(2 / 8)
    assert residual(again, image, np.array([[True, False], [False, True]])) == pytest.approx(0.5)
    assert np.isnan(residual(again, image, np.zeros((2, 2), bool)))
    assert np.isnan(residual(again, np.zeros((2, 2))))


def test_map_of_a_perfect_output_is_the_noise(rng):
    low, high = pair(smooth_scene(rng, highest=1.8))
    noise = 0.003 * rng.standard_normal(low.shape)
    found = residual_map(high, low + noise)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, -noise, rtol=0, atol=1e-7)  # rounding of float32


def test_map_in_pieces(rng, monkeypatch):
    low, high = pair(smooth_scene(rng))
    whole = reblurred(high)["consistent"] - 2 * low
    monkeypatch.setattr(reblur, "LINES", 7)
    np.testing.assert_allclose(residual_map(high, 2 * low), whole, rtol=1e-6, atol=1e-12)


def test_map_with_gaps(rng):
    """Missing pixels stay missing, and are filled as for the network before the blur."""
    image = 1 + 0.1 * rng.standard_normal((14, 18)).astype(np.float32)
    image[:, :5] = np.nan
    filled, _ = fill(image)
    out = filled.repeat(2, axis=0).repeat(2, axis=1)
    want = residual_map(out, filled)
    missing = np.isnan(image)
    out[missing.repeat(2, axis=0).repeat(2, axis=1)] = np.nan
    found = residual_map(out, image)
    np.testing.assert_array_equal(found[~missing], want[~missing])
    assert np.isnan(found[missing]).all()
