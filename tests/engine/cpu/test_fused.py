"""Prediction in strips: any height gives the same bits, and the result of network.forward."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from definitions import LARGEST, RMS, doubled
from scipy.ndimage import gaussian_filter

from enhance_np import models, network, params
from enhance_np.config import NetworkConfig
from enhance_np.engine import select
from enhance_np.engine.cpu import direct, fused, memory, winograd
from enhance_np.engine.cpu.fused import Fused
from enhance_np.engine.cpu.vector import LANES
from enhance_np.engine.fold import fold
from enhance_np.weights import Weights, load

CONFIGS = [
    NetworkConfig(5, 64),
    NetworkConfig(2, LANES),
    NetworkConfig(0, 2 * LANES),
    NetworkConfig(1, 2 * LANES, "elu", refine_filters=4 * LANES),
    NetworkConfig(1, LANES, refine_filters=5),  # the last 3x3 convolution is direct
    NetworkConfig(1, 5, refine_filters=LANES),
    NetworkConfig(3, 7, "elu"),
    NetworkConfig(0, 1),
]


def random_weights(config, seed=0):
    """Weights of which none is 0 or 1."""
    rng = np.random.default_rng(seed)
    p, moving = params.initial(config, seed, np.float64)
    p = {name: a + 0.05 * rng.standard_normal(a.shape) for name, a in p.items()}
    moving = {name: a + 0.3 * rng.random(a.shape) for name, a in moving.items()}
    return Weights(config, *({k: a.astype("f4") for k, a in d.items()} for d in (p, moving)))


def network_of(config):
    weights = random_weights(config)
    return Fused(fold(weights), config)


def page(x, weights):
    """The output of network.forward, computed in float64."""
    p, moving = (
        dict(zip(d, doubled(*d.values()), strict=True)) for d in (weights.params, weights.moving)
    )
    x = x[None, :, :, None].astype("f8")
    return network.forward(p, x, weights.config, moving=moving)[0][0, :, :, 0]


def sun(rng, shape):
    """Granules of 10 % contrast, a penumbra, and an umbra of a tenth of the quiet Sun."""
    granules = gaussian_filter(rng.standard_normal(shape), 1.5)
    i, j = np.indices(shape)
    r = np.hypot(i - 0.5 * shape[0], j - 0.4 * shape[1]) / min(shape)
    level = np.where(r < 0.15, 0.1, np.where(r < 0.3, 0.75, 1.0))
    scene = gaussian_filter(level, 1) * (1 + 0.1 * granules / granules.std())
    return scene.astype(np.float32)


@pytest.mark.parametrize("scene", ["noise", "sun"])
@pytest.mark.parametrize(
    "weights", [*CONFIGS, *(f"{t}_{m}" for t in models.TYPES for m in models.MODELS)], ids=str
)
def test_equals_the_page_in_float64(weights, scene, rng):
    if isinstance(weights, str):  # shipped weights
        weights = load(models.path(*weights.split("_")))
    else:
        weights = random_weights(weights)
    shape = (43, 38)
    x = sun(rng, shape) if scene == "sun" else rng.standard_normal(shape).astype(np.float32)
    want = page(x, weights)
    y = Fused(fold(weights), weights.config)(x)
    assert y.dtype == np.float32
    assert np.linalg.norm(y - want) <= RMS * np.linalg.norm(want)
    assert abs(y - want).max() <= LARGEST * np.ptp(want)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_any_strip_gives_the_same_bits(config, rng):
    """Strips of one line, of whole and broken tiles, or larger than the image, for many heights."""
    run = network_of(config)
    for height, width in ((2, 2), (3, 9), (4, 5), (21, 6), (64, 3)):
        x = rng.standard_normal((height, width)).astype(np.float32)
        whole = run(x, 1000)
        for strip in (1, 4, 5, 7, 8, 13, 20, height):
            np.testing.assert_array_equal(run(x, strip), whole, err_msg=f"{height}, {strip}")
        np.testing.assert_array_equal(run(x), whole)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_any_cut_into_tasks_gives_the_same_bits(config, rng, monkeypatch):
    x = rng.standard_normal((21, 30)).astype(np.float32)
    run = network_of(config)
    want = run(x, 12)
    monkeypatch.setattr(winograd, "TILES", (1, 5))
    monkeypatch.setattr(fused, "ELEMENTS", 3 * config.filters * 60)
    np.testing.assert_array_equal(run(x, 12), want)
    monkeypatch.setattr(direct, "MULTIPLY_ADDS", 1)
    np.testing.assert_array_equal(run(x, 12), want)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_wide_and_a_high_image(config, rng):
    """Transposing the image and all kernels transposes the output."""
    weights = random_weights(config)
    flipped = {
        name: a.transpose(1, 0, 2, 3) if a.ndim == 4 else a for name, a in weights.params.items()
    }
    x = rng.standard_normal((3, 700)).astype(np.float32)
    want = Fused(fold(weights), config)(x)
    got = Fused(fold(Weights(config, flipped, weights.moving)), config)(np.ascontiguousarray(x.T))
    assert abs(got.T - want).max() <= 1e-5 * np.ptp(want)


@pytest.mark.parametrize("height", [2, 37, 64])
def test_progress_begins_at_nothing_and_ends_at_all(height, rng):
    seen = []
    x = rng.standard_normal((height, 5)).astype(np.float32)
    network_of(NetworkConfig(2, 5))(x, 8, lambda *at: seen.append(at))
    done, total = zip(*seen, strict=True)
    assert {*total} == {x.size}
    assert done[0] == 0
    assert done[-1] == x.size
    assert list(done) == sorted(done)
    assert len(done) > height // 8


def test_two_threads_at_once_through_one_network(rng):
    run = network_of(NetworkConfig(2, 2 * LANES))
    images = [rng.standard_normal((30, 20 + 7 * k)).astype(np.float32) for k in range(6)]
    want = [run(x) for x in images]
    with ThreadPoolExecutor(3) as pool:
        for got, exact in zip(pool.map(lambda x: run(x, 8), images), want, strict=True):
            np.testing.assert_array_equal(got, exact)


def test_the_image_is_not_changed_and_the_result_is_its_own(rng):
    run = network_of(NetworkConfig(1, LANES))
    x = rng.standard_normal((12, 9)).astype(np.float32)
    x.flags.writeable = False
    before = x.copy()
    y = run(x)
    held = y.copy()
    run(x + 1)
    np.testing.assert_array_equal(y, held)
    np.testing.assert_array_equal(x, before)


def spoil(monkeypatch):
    """Fills all newly allocated memory of the engine with NaN."""
    empty = memory.empty

    def spoilt(shape):
        array = empty(shape)
        array[...] = np.nan
        return array

    monkeypatch.setattr(memory, "empty", spoilt)
    monkeypatch.setattr(memory, "_own", type(memory._own)())  # new scratch


@pytest.mark.parametrize("filters", [LANES, 5])
def test_nothing_is_read_before_it_is_written(filters, rng, monkeypatch):
    """The content of the ring buffers at the start does not matter; NaN would reach the output."""
    x = rng.standard_normal((37, 11)).astype(np.float32)
    run = network_of(NetworkConfig(2, filters))
    want = run(x, 8)
    spoil(monkeypatch)
    np.testing.assert_array_equal(run(x, 8), want)


def disc(shape, centre, radius):
    y, x = np.indices(shape)
    return np.hypot(y - centre[0], x - centre[1]) < radius


VALID = {
    "disc": disc((90, 210), (40, 100), 17),
    "limb": disc((90, 210), (140, 180), 110),
    "beside": disc((90, 210), (45, 3), 5),
    "two": disc((90, 210), (3, 207), 4) | disc((90, 210), (85, 4), 9),
    "hole": ~disc((90, 210), (45, 100), 20),
    "pixel": disc((90, 210), (89, 209), 1),
}


@pytest.mark.parametrize("where", VALID)
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_valid_pixels_have_the_bits_of_the_whole_image(config, where, rng, monkeypatch):
    """Memory that is not computed holds NaN, and reaches no valid pixel."""
    valid = VALID[where]
    x = rng.standard_normal(valid.shape).astype(np.float32)
    run = network_of(config)
    want = run(x)
    spoil(monkeypatch)
    wanted = valid.repeat(2, axis=0).repeat(2, axis=1)
    for strip in (4, 24, None):
        got = run(x, strip, valid=valid)
        np.testing.assert_array_equal(got[wanted], want[wanted], err_msg=f"strip {strip}")


def test_off_the_disc_nothing_is_computed(rng, monkeypatch):
    """Counts Winograd's tiles: each layer computes the disc and the margin that later layers
    read."""
    config = NetworkConfig(2, LANES)
    run, valid = network_of(config), VALID["disc"]
    layers = 2 * config.depth + 2
    made = []
    conv_tiles = fused.conv_tiles

    def counted(*args):
        made.append(sum(last - first for first, last in args[7]))
        conv_tiles(*args)

    monkeypatch.setattr(fused, "conv_tiles", counted)
    x = rng.standard_normal(valid.shape).astype(np.float32)
    run(x)
    assert sum(made) == layers * 23 * 53
    made.clear()
    run(x, valid=valid)
    # a disc of 34 pixels touches 9 or 10 tiles along a side; k layers earlier, 2 k more
    sides = [10 + 2 * k for k in range(layers)]
    assert sum(made) <= sum(side**2 for side in sides)
    assert sum(made) >= sum(np.pi / 4 * side**2 for side in sides)
    made.clear()
    run(x, valid=np.ones_like(valid))
    assert sum(made) == layers * 23 * 53


def test_share_of_a_full_disk_that_is_computed():
    """HMI's valid pixels end at 1.0 (noLimbDark) to 1.05 radii; a radius has 1870 to 1930
    pixels."""
    run = network_of(NetworkConfig(5, LANES))
    for radius, share in ((1870, 0.70), (1930, 0.745), (1.05 * 1900, 0.79)):
        valid = disc((4096, 4096), (2047, 2051), radius)
        made = run._tiles(valid.shape, valid)
        computed = np.mean([np.ptp(spans, axis=1).sum() for spans in made.values()]) / 1024**2
        assert valid.mean() < computed < share


class Lines:
    """Replaces a ring buffer: stores for each place its line, and how many sums were added to
    it."""

    def __init__(self, shape):
        _, self.count, *_ = self.shape = shape
        self.at = [(None, 0)] * self.count

    def read(self, line, version):
        assert self.at[line % self.count] == (line, version)

    def write(self, line, version):
        if version:
            self.read(line, version - 1)  # a sum is added to the version before
        self.at[line % self.count] = line, version


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
def test_every_step_reads_lines_that_were_made_and_are_still_there(depth, monkeypatch):
    """The order of steps and the sizes of rings, without the arithmetic.

    To compute a line, a layer reads the line above, the same line and the one below. The lines of
    x0 and h are replaced by sums: the number of sums is the version that a reader expects.
    """
    monkeypatch.setattr(fused, "memory", type("", (), {"empty": Lines}))
    order = ["stem", *(f"block{k}/conv{i}" for k in range(depth) for i in (1, 2)), "tail", "refine"]

    def versions(name):
        """(version that a layer reads, version that it writes)."""
        if name.startswith("block"):
            k = int(name[5 : name.index("/")])
            return (k, 0) if name.endswith("1") else (0, k + 1)
        return {"stem": (None, 0), "tail": (depth, 1), "refine": (1, None)}[name]

    def layer(name, x, ys, height):
        name = name.removesuffix("/conv")
        read, made = versions(name)

        def run(first, last):
            assert 0 <= first < last <= height
            if read is not None:
                for line in range(max(first - 1, 0), min(last + 1, height)):
                    x.read(line, read)
            for line in range(first, last):
                for y in ys:
                    y.write(line, made)
            calls.append((name, first, last))

        return run

    monkeypatch.setattr(
        Fused, "_conv", lambda self, name, x, ys, epilogue, height, made: layer(name, x, ys, height)
    )
    monkeypatch.setattr(
        Fused, "_refine", lambda self, x, y: layer("refine", x, (), y.shape[1] // 2)
    )
    run = network_of(NetworkConfig(depth, 1))
    for height in (*range(2, 30), 61, 64, 83):
        for strip in (1, 4, 5, 8, 12, 16, 24, 100):
            calls = []
            run(np.zeros((height, 2), np.float32), strip)
            made = dict.fromkeys(order, 0)
            for name, first, last in calls:
                assert first == made[name]  # no gap
                assert last - first <= -(-strip // 4) * 4
                made[name] = last
            assert made == dict.fromkeys(order, height)


def test_memory_grows_with_the_width_alone(monkeypatch):
    taken = []

    def empty(shape):
        taken.append(int(np.prod(shape)))
        return np.zeros(shape, np.float32)

    monkeypatch.setattr(fused.memory, "empty", empty)
    config = NetworkConfig(2, 5)
    run = network_of(config)

    def rings(height, width):
        taken.clear()
        run(np.zeros((height, width), np.float32), 8)
        return sum(taken)

    assert rings(200, 4) == rings(100, 4)
    assert rings(100, 8) == 2 * rings(100, 4)
    assert rings(8, 4) < rings(100, 4)


def test_every_size_of_strip_is_cut_to_whole_tiles_by_predict(rng):
    """The option `tile` is the height of the strip."""
    config = NetworkConfig(1, LANES)
    weights = random_weights(config)
    x = rng.standard_normal((19, 14)).astype(np.float32)
    want = Fused(fold(weights), config)(x)
    for tile in (None, 1, 6, 400):
        np.testing.assert_array_equal(select("cpu").predictor(weights)(x, tile), want)
