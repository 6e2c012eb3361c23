"""The CUDA source is found wherever the package runs from, and the GPU engine is complete."""

import inspect
from pathlib import Path

import pytest

from enhance_np import layers
from enhance_np._kernels import source
from enhance_np.engine import cuda

CHECKOUT = Path(__file__).parents[1]
TEXT = (CHECKOUT / "kernels/reflect_pad.cu").read_text(encoding="utf-8")


def test_here():
    assert source("reflect_pad") == TEXT


def test_missing_text():
    with pytest.raises(FileNotFoundError, match=r"kernels: no_such\.cu must be in .* or "):
        source("no_such")


@pytest.mark.parametrize("name", layers.__all__)
def test_cuda_speaks_the_vocabulary(name):
    """The engine has every operation, with the arguments of the reference."""
    own, reference = (
        [(p.name, p.default) for p in inspect.signature(getattr(m, name)).parameters.values()]
        for m in (cuda, layers)
    )
    assert own == reference
