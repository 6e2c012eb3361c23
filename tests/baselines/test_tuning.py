import numpy as np
import pytest

from enhance_np.baselines import richardson_lucy
from enhance_np.baselines.tuning import Pair, Tuned, over
from enhance_np.baselines.wiener import tune


def test_the_least_error_over_all_pixels():
    """Every pixel has the same weight, not every scene."""
    small = Pair(np.zeros((1, 1)), np.zeros((2, 2)))
    large = Pair(np.zeros((5, 5)), np.ones((10, 10)))

    def constant(low, value):
        return np.full((2 * low.shape[0], 2 * low.shape[1]), value)

    found = over(constant, [0.0, 0.5, 1.0, 2.0], [small, large])
    assert found.value == 1.0
    assert found.curve == ((0.0, 100 / 104), (0.5, 0.25), (1.0, 4 / 104), (2.0, (16 + 100) / 104))
    assert found.mse == 4 / 104
    assert not found.at_end
    assert over(constant, [1.0, 2.0], [large]).at_end


def test_faults():
    with pytest.raises(ValueError, match="finite errors"):
        Tuned.of([], [], 4)
    with pytest.raises(ValueError, match="finite errors"):
        Tuned.of([1, 2], [0.5, np.nan], 4)
    with pytest.raises(ValueError, match="needs pairs"):
        over(lambda low, value: low, [1], [])
    with pytest.raises(ValueError, match="needs pairs"):
        tune([])
    with pytest.raises(ValueError, match="needs pairs"):
        richardson_lucy.tune([], "intensity", 3)
