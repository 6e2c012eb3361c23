"""Micro-tiles, with the vector widths of this machine and of others."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from definitions import integers

from enhance_np.engine.cpu import microkernel, vector
from enhance_np.engine.cpu.vector import LANES

CODE = """
import sys
import llvmlite.binding as llvm
lanes = int(sys.argv[1])
features = llvm.get_host_cpu_features()
# a vector that is too wide for this processor is split by LLVM into several
absent = {16: (), 8: ("avx512",), 4: ("avx", "fma", "f16c", "vaes", "vpclmul")}[lanes]
for name in features:
    if name.startswith(absent):
        features[name] = False
llvm.get_host_cpu_features = lambda: features  # numba's code generator calls it too

import numpy as np
from definitions import assert_rounds_to, doubled, integers
from enhance_np import layers, network, params
from enhance_np.config import NetworkConfig
from enhance_np.engine import REFERENCE, select
from enhance_np.engine.cpu import microkernel, vector, winograd
from enhance_np.engine.cpu import vocabulary as cpu
from enhance_np.weights import Weights
assert vector.LANES == lanes
rng = np.random.default_rng(0)

# Winograd and direct convolutions, with every micro-tile
tiles, by_winograd = set(), set()
channels = [(5, 64), (3, 4), (6, 1), (12, 12), (8, 8), (16, 16), (32, 32), (64, 32), (4, 12)]
for cin, cout in channels:
    tiles.add(microkernel.shape(cout))
    by_winograd.add(winograd.is_winograd((3, 3, cin, cout)))
    w, b = integers(rng, 3, 3, cin, cout), integers(rng, cout)
    for name, size in (("pad_conv", 1), ("upsample_conv", 2)):
        x, dy = integers(rng, 2, 5, 21, cin), integers(rng, 2, 5 * size, 21 * size, cout)
        y, cache = getattr(cpu, name)(x, w, b)
        want, exact = getattr(layers, name)(*doubled(x, w, b))
        assert_rounds_to(y, want, name)
        for got, want in zip(
            getattr(cpu, name + "_backward")(dy, cache),
            getattr(layers, name + "_backward")(dy.astype("f8"), exact),
            strict=True,
        ):
            assert_rounds_to(got, want, name)
assert tiles == {*microkernel.SHAPES, (0, 0)}, tiles
assert by_winograd == {True, False}

# the whole prediction, in strips
for config in (NetworkConfig(1, 16, refine_filters=32), NetworkConfig(1, 4, "elu")):
    weights = Weights(config, *params.initial(config, 0))
    x = rng.standard_normal((19, 14)).astype(np.float32)
    predict = select("cpu").predictor(weights)
    y, want = predict(x), REFERENCE.predictor(weights)(x)
    assert abs(y - want).max() <= 1e-5 * np.ptp(want)
    np.testing.assert_array_equal(predict(x, 4), y)

# and the tests of vectors and micro-tiles, and those that once failed with another width
import pytest
chosen = [*sys.argv[2:], "-k", "not every_width", "-q", "-p", "no:cacheprovider"]
sys.exit(pytest.main(chosen))
"""
HERE = Path(__file__).parent
IN_ALL_WIDTHS = (
    "test_vector.py",
    "test_microkernel.py",
    "test_winograd.py::test_backward_is_the_adjoint",
    "test_winograd.py::test_planes_alive_are_those_that_are_not_zero",
    "test_winograd.py::test_more_tiles_than_a_task",
    "test_fused.py::test_any_strip_gives_the_same_bits",
)


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """A process for each vector width; all run at once, because each compiles its own code."""
    started = {}
    for lanes in (16, 8, 4):
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
            "ENHANCE_NP_LANES": str(lanes),
        }
        if lanes != LANES:  # its own cache, because other tests use the usual one meanwhile
            environment["NUMBA_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
        started[lanes] = subprocess.Popen(
            [sys.executable, "-c", CODE, str(lanes), *(str(HERE / t) for t in IN_ALL_WIDTHS)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
        )  # fmt: skip
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


@pytest.mark.parametrize("lanes", [16, 8, 4])
def test_every_width_and_micro_tile_is_right_on_integers(lanes, machines):
    said, _ = machines[lanes].communicate(timeout=600)
    assert machines[lanes].returncode == 0, said


def test_lanes_are_those_of_this_machine():
    assert microkernel.LANES == vector.LANES


@pytest.mark.parametrize("count", [1, 5, 6, 7, 8, 12, 17])
@pytest.mark.parametrize(("rows", "vectors"), microkernel.SHAPES)
def test_a_micro_tile_is_a_matrix_product(rows, vectors, count, rng):
    """The product is exact on integers; rows and columns outside it do not change."""
    width, nt, nk = vectors * LANES, 3, 5
    a, b = integers(rng, nt, count, nk), integers(rng, nt, nk, width)
    y = integers(rng, count + 1, width + 3)
    want = y.copy()
    want[:count, 2:-1] += np.einsum("trk,tko->ro", a, b)
    microkernel.product(
        rows, vectors, count, y.reshape(-1), 2, width + 3,
        a.reshape(-1), 0, nk, count * nk, 1, b.reshape(-1), 0, nk * width, width, nt, nk,
    )  # fmt: skip
    np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize(("rows", "vectors"), microkernel.SHAPES)
def test_planes_are_matrix_products_and_dead_ones_are_left(rows, vectors, blocks, fresh, rng):
    count, nk, width = 2 * rows, 7, blocks * vectors * LANES
    alive = np.array([True, False, True])
    a, b = integers(rng, 3, count, nk), integers(rng, 3, nk, width)
    y = integers(rng, 3, count, width)
    want = np.where(alive[:, None, None], a @ b + (0 if fresh else y), y)
    microkernel.plane_products(
        rows, vectors, alive, fresh, count, y.reshape(-1), 0, count * width,
        a.reshape(-1), 0, count * nk, b.reshape(-1), 0, nk, width,
    )  # fmt: skip
    np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize(("rows", "vectors"), microkernel.SHAPES)
def test_a_plane_may_be_replaced_by_its_product(rows, vectors, rng):
    """The product may be written over its input if a micro-tile is as wide as a row."""
    count, width = 3 * rows, vectors * LANES
    v, b = integers(rng, 2, count, width, most=1), integers(rng, 2, width, width, most=1)
    want = v @ b
    flat = v.reshape(-1)
    microkernel.plane_products(
        rows, vectors, np.ones(2, bool), True, count, flat, 0, count * width,
        flat, 0, count * width, b.reshape(-1), 0, width, width,
    )  # fmt: skip
    np.testing.assert_array_equal(v, want)


def test_the_micro_tile_of_a_gradient_has_rows_that_divide_its_height():
    for cin in range(LANES, 9 * LANES, LANES):
        for cout in range(LANES, 9 * LANES, LANES):
            rows, vectors = microkernel.gradient_shape(cin, cout)
            assert cout % (vectors * LANES) == 0
            fitting = [r for r, v in microkernel.SHAPES if cin % r == 0 and cout % (v * LANES) == 0]
            assert not fitting or rows == fitting[0]
    assert microkernel.shape(LANES + 1) == (0, 0)
