import numpy as np
import pytest

from enhance_np._symmetry import TURNS, is_mirrored, point_before, turned, turned_back

IMAGE = np.arange(12).reshape(3, 4)


def test_the_eight_are_different_and_their_inverses_undo_them(rng):
    square = rng.standard_normal((5, 5))
    assert len({turned(square, turn).tobytes() for turn in TURNS}) == 8
    for turn in TURNS:
        np.testing.assert_array_equal(turned_back(turned(IMAGE, turn), turn), IMAGE)


def test_numbers():
    """On which stored columns and drawn batches depend."""
    want = [
        IMAGE, IMAGE.T[::-1], IMAGE[::-1, ::-1], IMAGE.T[:, ::-1],
        IMAGE[:, ::-1], IMAGE.T[::-1, ::-1], IMAGE[::-1], IMAGE.T,
    ]  # fmt: skip
    for turn, image in zip(TURNS, want, strict=True):
        np.testing.assert_array_equal(turned(IMAGE, turn), image)


def test_reflections_change_the_sense_of_rotation():
    """Of three pixels that are not in line."""
    corners = np.array([[1, 2], [3, 0]])
    for turn in TURNS:
        places = np.array([np.argwhere(turned(corners, turn) == k)[0] for k in (1, 2, 3)])
        sense = np.linalg.det(places[1:] - places[0])
        assert is_mirrored(turn) == (sense > 0)


@pytest.mark.parametrize("turn", TURNS)
def test_batches_turn_as_their_images_do(turn, rng):
    batch = rng.standard_normal((2, 3, 4, 1))
    found = turned(batch, turn, axes=(1, 2))
    for image, one in zip(batch, found, strict=True):
        np.testing.assert_array_equal(one, turned(image, turn))
    np.testing.assert_array_equal(turned_back(found, turn, axes=(1, 2)), batch)


@pytest.mark.parametrize("turn", TURNS)
def test_a_point_is_where_its_pixel_was(turn):
    after = turned(IMAGE, turn)
    for value in IMAGE.flat:
        (place,) = np.argwhere(after == value)
        before = point_before(place + 0.5, after.shape, turn)
        assert IMAGE[tuple((before - 0.5).astype(int))] == value
