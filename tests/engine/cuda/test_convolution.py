"""Which kernel a launcher of the GPU's convolutions chooses; support/cases checks the results."""

import sys

import numpy as np
import pytest
from cudaproof import device, emulator

from enhance_np import layers
from enhance_np.engine.cuda import convolution, launch, methods, shapes
from enhance_np.inspection import accuracy

pytestmark = pytest.mark.skipif(emulator.missing() is not None, reason=str(emulator.missing()))


@pytest.fixture
def launched(monkeypatch):
    """The names of the kernels that ran."""
    launch.forget()
    monkeypatch.setitem(sys.modules, "cupy", device)
    first = len(device.launches)
    with device.running("fast"):
        yield lambda: [one.kernel for one in device.launches[first:]]
    launch.forget()


def arrays(rng, cin, cout, k=3, size=(1, 4, 5)):
    shapes = (*size, cin), (k, k, cin, cout), (cout,), (*size, cout)
    return [rng.standard_normal(shape).astype("f4") for shape in shapes]


@pytest.mark.parametrize(
    ("cin", "cout", "k", "kernel"),
    [
        (64, 64, 3, "conv3x3_64_wide"),
        (64, 96, 3, "conv3x3_32"),
        (4, 32, 3, "conv3x3_32"),
        (256, 256, 3, "conv3x3_64_wide"),
        (1, 64, 3, "conv_stem"),
        (1, 6, 3, "conv"),
        (6, 64, 3, "conv"),
        (64, 48, 3, "conv"),
        (64, 1, 1, "conv"),
    ],
)
def test_kernel_by_shape(cin, cout, k, kernel, launched, rng):
    x, w, b, _ = map(device.asarray, arrays(rng, cin, cout, k))
    convolution.conv(x, w, b)
    assert launched() == [kernel]


@pytest.mark.parametrize(
    ("method", "cin", "cout", "k", "kernels"),
    [
        ("winograd", 64, 64, 3, ["winograd_weights", "winograd"]),
        ("winograd", 8, 128, 3, ["winograd_weights", "winograd"]),
        ("winograd", 4, 64, 3, ["conv3x3_64_wide"]),
        ("winograd", 64, 96, 3, ["conv3x3_32"]),
        ("winograd", 64, 64, 1, ["conv"]),
        ("3xtf32", 8, 128, 3, ["conv3x3_3xtf32_64"]),
        ("3xtf32", 8, 96, 3, ["conv3x3_3xtf32_32"]),
        ("3xtf32", 4, 64, 3, ["conv3x3_64_wide"]),
        ("3xtf32", 8, 48, 3, ["conv"]),
        ("3xtf32", 64, 64, 1, ["conv"]),
    ],
)
def test_a_method_where_it_can(method, cin, cout, k, kernels, launched, rng):
    x, w, b, _ = map(device.asarray, arrays(rng, cin, cout, k))
    convolution.conv(x, w, b, method=method)
    assert launched() == kernels


@pytest.mark.parametrize("method", accuracy.METHODS)
def test_a_method_reads_a_slice_as_it_stands(method, launched, rng):
    x, w, b, skip = map(device.asarray, arrays(rng, 8, 64))
    want = device.asnumpy(convolution.conv(x, w, b, skip=skip, method=method))
    moved = []
    for a in (x, w, b, skip):  # makes arrays that are not 16-byte aligned
        whole = device.zeros(a.size + 1, "f4")
        whole[1:] = a.reshape(-1)
        moved.append(whole[1:].reshape(a.shape))
    x, w, b, skip = moved
    got = device.asnumpy(convolution.conv(x, w, b, skip=skip, method=method))
    np.testing.assert_array_equal(got, want)
    assert "conv3x3_64_wide" not in launched()


def test_a_stem_with_a_residual_goes_where_it_is_added(launched, rng):
    x, w, b, skip = map(device.asarray, arrays(rng, 1, 8))
    convolution.conv(x, w, b, skip=skip)
    assert launched() == ["conv"]


def test_upsampling_is_folded(launched, rng):
    x, w, b, _ = map(device.asarray, arrays(rng, 32, 64))
    convolution.upsample_conv(x, w, b)
    assert launched() == ["phase_kernels", "upsample_conv_64"]


@pytest.mark.usefixtures("launched")
@pytest.mark.parametrize("method", methods.METHODS)
@pytest.mark.parametrize("shape", [(1, 4, 5, 32), (1, 5, 5, 64), (4, 5, 64)])
def test_refuses_another_residual(shape, method, rng):
    x, w, b, _ = map(device.asarray, arrays(rng, 32, 64))
    with pytest.raises(ValueError, match=r"skip must be \(1, 4, 5, 64\), got skip.shape="):
        convolution.conv(x, w, b, skip=device.zeros(shape, "f4"), method=method)


@pytest.mark.parametrize("on_device", [False, True])
def test_float64_and_numpy_go_to_the_reference(on_device, launched, rng):
    x, w, b, skip = arrays(rng, 4, 32)
    if on_device:
        x, w, b, skip = (device.asarray(a.astype("f8")) for a in (x, w, b, skip))
    y = convolution.conv(x, w, b, relu=True, skip=skip)
    want = layers.relu(layers.add(layers.pad_conv(x, w, b)[0], skip))[0]
    assert launched() == []
    assert y.dtype == x.dtype
    given, wanted = (a.get() if on_device else a for a in (y, want))
    np.testing.assert_array_equal(given, wanted)


def test_a_slice_is_read_as_it_stands(launched, rng):
    """An array that is not 16-byte aligned, or has strides, is copied first."""
    x, w, b, _ = map(device.asarray, arrays(rng, 4, 32, size=(3, 4, 6)))
    whole = device.zeros(x.size + 1, "f4")
    whole[1:] = x.reshape(-1)
    want = device.asnumpy(convolution.conv(x, w, b))
    got = convolution.conv(whole[1:].reshape(x.shape), w, b)
    np.testing.assert_array_equal(device.asnumpy(got), want)
    wide = device.zeros((3, 4, 12, 4), "f4")
    wide[:, :, ::2] = x
    np.testing.assert_array_equal(device.asnumpy(convolution.conv(wide[:, :, ::2], w, b)), want)
    assert set(launched()) == {"conv3x3_32"}


@pytest.mark.parametrize("count", [1, 15, 16, 17, 1000, 10**6])
@pytest.mark.parametrize("tiles", [1, 4, 256, 5000])
def test_runs_cover_everything(count, tiles):
    runs, per = convolution._runs(count, convolution.STRIPS, tiles)
    assert (runs - 1) * per < count <= runs * per
    assert runs == 1 or runs * tiles <= shapes.BLOCKS
