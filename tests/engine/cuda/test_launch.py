"""Wrong arguments that CuPy would pass to a kernel, and that the launcher refuses."""

import numpy as np
import pytest

from enhance_np.engine.cuda import launch

ADD = "elementwise", "add"


@pytest.fixture
def arrays(stand_in):
    x, y = (stand_in.asarray(np.arange(8, dtype=np.float32)) for _ in range(2))
    return x, y, stand_in.empty(8, np.float32)


def test_launches(arrays, stand_in):
    x, y, z = arrays
    with stand_in.running() as launches:
        launch.launch(*ADD, 1, 256, x, y, z, 8)
    assert [one.kernel for one in launches] == ["add"]
    np.testing.assert_array_equal(z.get(), 2 * np.arange(8))


def test_a_launch_is_prepared_once(arrays, stand_in):
    """Other numbers or blocks are another launch; what is kept has an end."""
    x, y, z = arrays
    checked, before = [], launch._checked
    with stand_in.running() as launches, pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "_checked", lambda *a: checked.append(a[1]) or before(*a))
        for size, blocks in ((8, 1), (8, 1), (8, (1,)), (4, 1), (8, 1), (8, 2)):
            z[...] = np.float32(0)
            launch.launch(*ADD, blocks, 256, x, y, z, size)
            np.testing.assert_array_equal(z.get(), 2 * np.arange(8) * (np.arange(8) < size))
    assert [one.arguments[-1] for one in launches] == [8, 8, 8, 4, 8, 8]
    assert [one.grid[0] for one in launches] == [1, 1, 1, 1, 1, 2]
    assert checked == [8, 8, 4, 8]
    bound = launch._bound(*ADD)
    for blocks in range(1, 2 * bound.MOST):
        bound.prepare(blocks, (x, y, z, 8))
    assert len(bound.prepared) <= bound.MOST


def test_reads_the_signature():
    names, types, pointers = zip(*launch.signature(*ADD), strict=True)
    assert names == ("x", "y", "z", "size")
    assert types == ("float", "float", "float", "int")
    assert pointers == (True, True, True, False)


@pytest.mark.parametrize("size", [8.5, 2**31, float("nan")])
def test_refuses_what_is_no_32_bit_integer(size, arrays):
    with pytest.raises(ValueError, match="add: size must be a 32-bit integer"):
        launch.launch(*ADD, 1, 256, *arrays, size)


@pytest.mark.parametrize("size", [True, "8", None, [8]])
def test_refuses_what_is_no_number(size, arrays):
    with pytest.raises(TypeError, match="add: size must be a number"):
        launch.launch(*ADD, 1, 256, *arrays, size)


@pytest.mark.parametrize("count", [0, 3, 5])
def test_refuses_another_number_of_arguments(count, arrays):
    with pytest.raises(ValueError, match=f"add: needs 4 arguments, got {count}"):
        launch.launch(*ADD, 1, 256, *(*arrays, 8, 8)[:count])


def test_refuses_another_dtype_and_arrays_of_the_host(arrays, stand_in):
    x, y, z = arrays
    for other in (x.astype(np.float64), x.get(), np.float32(1), 3.0, None):
        with pytest.raises(TypeError, match="add: x must be a float32 array on the GPU"):
            launch.launch(*ADD, 1, 256, other, y, z, 8)


def test_refuses_strides(arrays, stand_in):
    x, _, z = arrays
    wide = stand_in.asarray(np.zeros((8, 2), np.float32))
    with pytest.raises(TypeError, match="add: y must be in C order"):
        launch.launch(*ADD, 1, 256, x, wide[:, 0], z, 8)


@pytest.mark.parametrize("blocks", [0, 2**31, (1, 2**16), (1, 0)])
def test_refuses_blocks_that_no_card_takes(blocks, arrays):
    with pytest.raises(ValueError, match="add: blocks must be"):
        launch.launch(*ADD, blocks, 256, *arrays, 8)


def test_refuses_unknown_kernels(arrays):
    with pytest.raises(ValueError, match=r"sub: must be a kernel of kernels/elementwise.cu"):
        launch.launch("elementwise", "sub", 1, 256, *arrays, 8)
    with pytest.raises(FileNotFoundError, match="nothing.cu"):
        launch.launch("nothing", "add", 1, 256, *arrays, 8)
