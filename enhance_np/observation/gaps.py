"""Finds the gaps that are sky, and the largest part of an image without gaps, for its spectrum."""

import numpy as np

BLOCKS = 64  # blocks along the longer side; the search is on a grid of blocks


def beyond_limb(valid: np.ndarray, dark: np.ndarray | None = None) -> np.ndarray:
    """Gaps that are sky and not bad pixels: those at the border with 1 % of the image or more.

    valid : (H, W) bool.  result : (H, W) bool.
    dark : (H, W) bool, pixels that also belong to the sky if they adjoin it.
    """
    from scipy.ndimage import label

    labels, n = label(~valid)
    size = np.bincount(labels.ravel(), minlength=n + 1)
    border = np.zeros(n + 1, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        border[edge] = True
    large = border & (size >= 0.01 * valid.size)
    large[0] = False
    sky = large[labels]
    if dark is None or not sky.any():
        return sky
    labels, n = label(sky | dark)
    adjoining = np.zeros(n + 1, bool)
    adjoining[labels[sky]] = True
    return adjoining[labels]


def gap_free_box(valid: np.ndarray) -> tuple[int, int, int, int]:
    """(y0, y1, x0, x1) of the largest box of whole blocks in which all pixels are valid.

    valid : (H, W) bool. The box is the whole image if all of it is valid, and (0, 0, 0, 0) if no
    block is. For each row the search finds the largest rectangle under a histogram.
    """
    h, w = valid.shape
    if valid.all():
        return 0, h, 0, w
    block = max(1, -(-max(h, w) // BLOCKS))
    rows, columns = h // block, w // block
    blocks = valid[: rows * block, : columns * block]
    blocks = blocks.reshape(rows, block, columns, block).all(axis=(1, 3))
    best, box = 0, (0, 0, 0, 0)
    height = np.zeros(columns, int)  # valid blocks above and with this row
    for row in range(rows):
        height = np.where(blocks[row], height + 1, 0)
        for first in range(columns):
            lowest = np.minimum.accumulate(height[first:])
            area = lowest * np.arange(1, len(lowest) + 1)
            if area.max() > best:
                best, last = int(area.max()), first + int(area.argmax())
                box = (row + 1 - lowest[last - first], row + 1, first, last + 1)
    return tuple(int(edge) * block for edge in box)
