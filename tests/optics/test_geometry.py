"""Input pixel i covers output pixels 2i and 2i + 1, for every method, to 1e-3 of a pixel."""

import numpy as np
import pytest
from made import centroid, pair, spot

from enhance_np.baselines import linear, methods
from enhance_np.baselines.bicubic import bicubic

SHAPE, CENTRE = (40, 48), np.array([17.3, 25.9])  # input pixels


@pytest.fixture(scope="module")
def linear_filter():
    """A filter fitted to interpolated images; other tests check the interpolation itself."""
    rng = np.random.default_rng(3)
    low = rng.standard_normal((2, 60, 60))
    found = linear.Equations(13)
    found.add(low, np.stack([bicubic(image) for image in low]))
    return found.solve(noise=0.0)


NAMES = list(methods("intensity", lambda image: image))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("type", ["intensity", "blos"])
def test_centroid_of_a_spot_stays(type, name, linear_filter):
    """A Gaussian spot as HMI sees it, on a background like an intensity, or alone like a field.

    The centroid is weighted by a Gaussian twice as wide at the true position, which suppresses the
    tails, and shows at least 4/5 of an offset. Half an output pixel, the usual fault, is 0.25
    input pixels.
    """
    method = methods(type, linear_filter)
    background = 1.0 if type == "intensity" else 0.0
    name = name if name in method else next(n for n in method if n.split()[2:] == name.split()[2:])
    scene = background + 0.5 * spot(8 * np.array(SHAPE), 8 * CENTRE, sigma=8 * 1.5)
    low, _ = pair(scene)
    out = method[name](low)
    assert out.shape == (80, 96)
    weight = spot(out.shape, 2 * CENTRE, sigma=2 * 3.0)
    found = centroid((out - background) * weight) / 2
    np.testing.assert_allclose(found, CENTRE, atol=1e-3)


def test_every_method_was_named(linear_filter):
    assert len(NAMES) == len(methods("blos", linear_filter)) == 5
    assert "linear" not in methods("blos")
