import numpy as np
import pytest

from enhance_np.observation.pixels import pixel_scales
from enhance_np.optics.degrade import HMI_SCALE, degrade
from enhance_np.sun.convection import SPACING
from enhance_np.sun.observed import observed

SIDE = 24


@pytest.fixture(scope="module")
def found():
    return observed(1_000_000, SIDE, "quiet")


def test_the_images_are_those_of_the_scene_with_hmis_noise(found):
    for type, sigma in (("intensity", 1e-3), ("blos", 10.0)):
        frame, truth, scene = found[type]
        low, high = degrade(scene, SPACING)
        np.testing.assert_array_equal(truth, high[: 2 * SIDE, : 2 * SIDE])
        noise = frame.data - low[:SIDE, :SIDE]
        # the standard deviation of n numbers scatters by 1 / sqrt(2 n)
        assert abs(noise.std() / sigma - 1) < 4 / np.sqrt(2 * SIDE**2)
        assert abs(noise.mean()) < 4 * sigma / SIDE
        assert pixel_scales(frame.header) == (HMI_SCALE, HMI_SCALE)


def test_one_type_alone_is_the_same_image(found):
    alone = observed(1_000_000, SIDE, "quiet", ("intensity",))
    assert [*alone] == ["intensity"]
    np.testing.assert_array_equal(alone["intensity"].frame.data, found["intensity"].frame.data)
