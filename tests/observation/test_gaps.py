import numpy as np
import pytest

from enhance_np.observation.gaps import beyond_limb, gap_free_box


def largest(valid):
    """Area of the largest box, found by trying all boxes."""
    h, w = valid.shape
    areas = [0]
    for y0 in range(h):
        for y1 in range(y0 + 1, h + 1):
            for x0 in range(w):
                for x1 in range(x0 + 1, w + 1):
                    if valid[y0:y1, x0:x1].all():
                        areas.append((y1 - y0) * (x1 - x0))
    return max(areas)


@pytest.mark.parametrize("seed", range(6))
def test_largest_box(seed):
    rng = np.random.default_rng(seed)
    valid = rng.random((8, 9)) > 0.15
    y0, y1, x0, x1 = gap_free_box(valid)
    assert valid[y0:y1, x0:x1].all()
    assert (y1 - y0) * (x1 - x0) == largest(valid)


def test_whole_and_nothing():
    assert gap_free_box(np.ones((5, 7), bool)) == (0, 5, 0, 7)
    assert gap_free_box(np.zeros((5, 7), bool)) == (0, 0, 0, 0)


def test_large_images_are_searched_in_blocks():
    """At most 2 x 3 blocks of 10 pixels are lost, besides the sky."""
    valid = np.ones((500, 640), bool)
    valid[:, :203] = False
    y0, y1, x0, x1 = gap_free_box(valid)
    assert valid[y0:y1, x0:x1].all()
    assert (y0, y1, x0, x1) == (0, 500, 210, 640)


def test_sky_is_a_large_gap_at_the_border():
    valid = np.ones((50, 60), bool)
    valid[:, :5] = False  # sky
    valid[20:30, 20:30] = False  # large, but inside
    valid[40, 59] = False  # at the border, but only one pixel
    found = beyond_limb(valid)
    assert found[:, :5].all()
    assert found.sum() == 250
    assert not beyond_limb(np.ones((4, 4), bool)).any()


def test_dark_pixels_belong_to_the_sky_they_adjoin():
    valid = np.ones((50, 60), bool)
    valid[:, :5] = False
    dark = np.zeros(valid.shape, bool)
    dark[:, 5:9] = dark[20:30, 20:30] = True
    found = beyond_limb(valid, dark)
    assert found[:, :9].all()
    assert found.sum() == 450
    assert not beyond_limb(np.ones_like(valid), dark).any()
