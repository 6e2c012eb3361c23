"""Divides the frames of a simulation into a part for training and one for validation."""

import numpy as np

from .frames import FrameFile
from .sources import GUARD, Box

VALIDATION_SHARE = 0.25


def split(file: FrameFile, side: float, region: Box | None = None) -> dict[str, Box]:
    """{"train": box, "validation": box} of the frames of a file, GUARD arcsec apart or more.

    side : arcsec, side of a patch; each box is large enough for one.
    region : box for validation, in fractions (y0, y1, x0, x1) of the frame. None is the last
        quarter along the longer side (the rows of a square), or more if a patch needs it.
    Training takes the largest of the four strips above, below, left and right of that box; the
    default leaves one. The boxes are the same in all frames, because a region changes little from
    one frame to the next. Raises ValueError if a box is too small for a patch.
    """
    scale = file.pixel_scale
    need = int(np.ceil(side / scale - 1e-9))  # pixels
    guard = int(np.ceil(GUARD / scale - 1e-9))
    h, w = file.shape
    if region is None:
        n = max(h, w)
        first = n - max(round(VALIDATION_SHARE * n), need)
        validation = (first, h, 0, w) if h >= w else (0, h, first, w)
    else:
        y0, y1, x0, x1 = region
        if not (0 <= y0 < y1 <= 1 and 0 <= x0 < x1 <= 1):
            raise ValueError(
                f"split: the validation region must be 0 <= y0 < y1 <= 1 and 0 <= x0 < x1 <= 1, "
                f"got {','.join(map(str, region))}"
            )
        validation = tuple(round(f * n) for f, n in zip(region, (h, h, w, w), strict=True))
    y0, y1, x0, x1 = validation
    strips = ((0, y0 - guard, 0, w), (y1 + guard, h, 0, w), (0, h, 0, x0 - guard))
    strips = [*strips, (0, h, x1 + guard, w)]
    fitting = [box for box in strips if _holds(box, need)]
    if not fitting or not _holds(validation, need):
        raise ValueError(
            f"split: frames must have room for a patch of {side:.2f} arcsec for training and one "
            f"for validation, {GUARD} arcsec apart; got {h} x {w} pixels of {scale:g} arcsec "
            f"({h * scale:.1f} x {w * scale:.1f}) in {file.path}"
        )
    train = max(fitting, key=lambda box: (box[1] - box[0]) * (box[3] - box[2]))
    return {
        name: tuple(float(edge / n) for edge, n in zip(box, (h, h, w, w), strict=True))
        for name, box in (("train", train), ("validation", validation))
    }


def _holds(box, need):
    return box[1] - box[0] >= need and box[3] - box[2] >= need
