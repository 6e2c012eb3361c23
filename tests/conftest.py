import numpy as np
import pytest
from trained import pairs


@pytest.fixture
def rng():
    return np.random.default_rng(20100604)


@pytest.fixture
def files(tmp_path):
    """Of a tiny training: (training data, validation data, weights file)."""
    return pairs(tmp_path / "a.h5", 0), pairs(tmp_path / "b.h5", 1), tmp_path / "w.h5"
