"""For reductions: few blocks, so that the threads of one go round several times."""

import pytest

from enhance_np.engine.cuda import arrays


def several(case):
    """case, with two blocks at most, as images of many pixels have many for each block."""

    def in_two_blocks(cupy, rng):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(arrays, "BLOCKS", 2)
            return case(cupy, rng)

    return in_two_blocks
