"""The launcher of kernels/reflect_pad.cu: errors, and arguments of the kernel."""

import check
import numpy as np
import pytest

from enhance_np import layers
from enhance_np.engine import cuda


@pytest.mark.parametrize("p", [-1, 2, 3])
def test_refuses_what_cannot_be_mirrored(p, stand_in):
    with pytest.raises(ValueError, match="needs 0 <= p < min"):
        cuda.reflection_pad_backward(stand_in.zeros((1, 6, 9, 1), "f4"), p)


@pytest.mark.parametrize("dtype", ["f2", "i4", "c8"])
def test_refuses_other_dtypes(dtype, stand_in):
    with pytest.raises(TypeError, match="the CUDA kernel is float32, got "):
        cuda.reflection_pad_backward(stand_in.zeros((1, 5, 5, 1), dtype))


def test_refuses_what_32_bits_cannot_count(stand_in):
    large = stand_in.broadcast_to(stand_in.zeros(1, "f4"), (1, 2**15, 2**15, 2))
    with pytest.raises(ValueError, match=f"needs 32-bit indices, got dy.size={2**31}"):
        cuda.reflection_pad_backward(large)


@pytest.mark.parametrize(("dtype", "p"), [("f8", 1), ("f4", 0)])
def test_float64_and_no_padding_go_to_the_reference(dtype, p, rng, stand_in):
    dy = check.integers(rng, (2, 5, 6, 3)).astype(dtype)
    with stand_in.running() as launches:
        dx = cuda.reflection_pad_backward(stand_in.asarray(dy), p)
    assert not launches
    assert dx.dtype == dtype
    np.testing.assert_array_equal(dx.get(), layers.reflection_pad_backward(dy, p))


def test_takes_what_is_not_in_c_order(rng, stand_in):
    """A gradient may come out of a transposition."""
    dy = check.integers(rng, (5, 2, 6, 3)).astype("f4")
    dx = cuda.reflection_pad_backward(stand_in.asarray(dy).transpose(1, 0, 2, 3))
    np.testing.assert_array_equal(
        dx.get(), layers.reflection_pad_backward(dy.transpose(1, 0, 2, 3))
    )
