"""The eight symmetries of the square, by number.

Turn k rotates by k % 4 quarter turns as numpy.rot90 does; for k >= 4 the result is then mirrored
left to right. The edges of an image and of one with twice the pixels are aligned, so the two stay a
pair under every turn.
"""

import numpy as np

TURNS = range(8)


def is_mirrored(turn: int) -> bool:
    """Whether a turn is a reflection, which changes the sign of an axial vector, the field."""
    return turn >= 4


def turned(images: np.ndarray, turn: int, axes: tuple[int, int] = (0, 1)) -> np.ndarray:
    """The images after a turn, as a view.

    axes : rows and columns of the images: (0, 1) of (H, W, ...), (1, 2) of (N, H, W, ...).
    """
    images = np.rot90(images, turn % 4, axes)
    return np.flip(images, axes[1]) if is_mirrored(turn) else images


def turned_back(images: np.ndarray, turn: int, axes: tuple[int, int] = (0, 1)) -> np.ndarray:
    """The images of which these are `turned`, as a view."""
    images = np.flip(images, axes[1]) if is_mirrored(turn) else images
    return np.rot90(images, -(turn % 4), axes)


def point_before(point: np.ndarray, size: np.ndarray, turn: int) -> np.ndarray:
    """Position (y, x) in an image of the point that its turned image has at `point`.

    Positions are lengths from the top left corner.  size : (y, x) of the turned image.
    """
    (y, x), (h, w) = point, size
    if is_mirrored(turn):
        x = w - x
    for _ in range(turn % 4):
        y, x, h, w = x, h - y, w, h
    return np.array([y, x])
