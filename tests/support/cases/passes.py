"""For reductions: few blocks, so that each thread takes several passes."""

import pytest

from enhance_np.engine.cuda import arrays


def several(case):
    """The case with at most two blocks, so that each has many pixels, as for large images."""

    def in_two_blocks(cupy, rng):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(arrays, "BLOCKS", 2)
            return case(cupy, rng)

    return in_two_blocks
