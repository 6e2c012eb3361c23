"""The part of an image that holds no sky: what a spectrum can be taken of."""

import numpy as np

BLOCKS = 64  # along the longer side: the search is on a grid of blocks


def gap_free_box(valid: np.ndarray) -> tuple[int, int, int, int]:
    """(y0, y1, x0, x1) of the largest box, in whole blocks, where all is valid.

    valid : (H, W) bool. The whole if all is valid; (0, 0, 0, 0) if no block is.
    The box of the largest area under a histogram, row after row.
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
