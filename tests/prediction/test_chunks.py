"""dask arrays: computed lazily, from the pixels needed, with the same bits for any chunks."""

import pickle

import numpy as np
import pytest
from definitions import LARGEST

import enhance_np
from enhance_np import params
from enhance_np.config import NetworkConfig
from enhance_np.engine import Engine, select
from enhance_np.engine.cpu.transforms import M
from enhance_np.engine.cpu.vector import LANES
from enhance_np.engine.tiles import halo, needed
from enhance_np.observation.normalise import Norm
from enhance_np.prediction import array, chunks
from enhance_np.weights import Weights

SMALL = NetworkConfig(1, 2 * LANES)
CONFIGS = [SMALL, NetworkConfig(2, LANES, "elu"), NetworkConfig(0, LANES), NetworkConfig(1, 5)]


def random_weights(config, **provenance):
    """Weights of which none is 0 or 1."""
    rng = np.random.default_rng(0)
    p, moving = params.initial(config, 0)
    p = {name: a + 0.05 * rng.standard_normal(a.shape).astype("f4") for name, a in p.items()}
    return Weights(config, p, moving, provenance)


@pytest.fixture
def da():
    return pytest.importorskip("dask.array")


def image_with_gaps(rng, shape):
    """A limb, single bad pixels, and a hole wider than the halo."""
    image = rng.standard_normal(shape).astype(np.float32)
    i, j = np.indices(shape)
    image[np.hypot(i - 60, j - 70) > 115] = np.nan
    image[rng.random(shape) < 0.01] = np.nan
    image[90:120, 60:95] = np.nan
    return image


@pytest.mark.parametrize("config", [*CONFIGS, NetworkConfig(5, LANES)], ids=str)
def test_needed_decides_the_bits(config, rng):
    """Any part of the image, with the margin of `needed`, gives the bits of the whole image."""
    weights = random_weights(config)
    shape = (117, 150)
    x = rng.standard_normal(shape).astype(np.float32)
    whole = select("cpu").predictor(weights)(x)
    for _ in range(6):
        spans = [np.sort(rng.choice(size + 1, 2, replace=False)).tolist() for size in shape]
        (top, bottom), (left, right) = (
            needed(first, last, size, config)
            for (first, last), size in zip(spans, shape, strict=True)
        )
        part = select("cpu").predictor(weights)(np.ascontiguousarray(x[top:bottom, left:right]))
        (first, last), (begin, end) = spans
        np.testing.assert_array_equal(
            part[2 * (first - top) : 2 * (last - top), 2 * (begin - left) : 2 * (end - left)],
            whole[2 * first : 2 * last, 2 * begin : 2 * end],
        )


@pytest.mark.parametrize("config", [NetworkConfig(5, LANES), SMALL], ids=str)
def test_needed_is_no_more_than_it_takes(config, rng):
    """With one tile less on a side, the margin is still larger than the halo, but the bits
    differ."""
    weights = random_weights(config)
    x = rng.standard_normal((8, 160)).astype(np.float32)
    whole = select("cpu").predictor(weights)(x)
    first, last = 80, 84
    low, high = needed(first, last, 160, config)
    assert halo(config) <= min(first - low, high - last) - M
    for begin, end in ((low + M, high), (low, high - M)):
        part = select("cpu").predictor(weights)(np.ascontiguousarray(x[:, begin:end]))
        inner = part[:, 2 * (first - begin) : 2 * (last - begin)]
        assert (inner != whole[:, 2 * first : 2 * last]).any()


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize(
    "sizes",
    [
        (75, 75),
        (61, 90),
        (190, 203),
        (7, 203),
        ((1, 100, 89), (100, 103)),
    ],
    ids=str,
)
def test_any_chunks_give_the_same_bits(da, config, sizes, rng):
    weights = random_weights(config)
    image = image_with_gaps(rng, (190, 203))
    want = array.predict(image, "blos", weights, device="cpu")
    lazy = da.from_array(image, chunks=sizes)
    got = chunks.predict_chunks(lazy, "blos", weights, Norm(1000.0), "cpu")
    assert got.shape == want.shape
    np.testing.assert_array_equal(got.compute(), want)
    # a part, selected by a slice and an index
    np.testing.assert_array_equal(got[40:301, 77].compute(), want[40:301, 77])


@pytest.mark.parametrize("type", ["intensity", "blos"])
def test_ensemble_of_chunks(da, type, rng):
    """The result is the same only up to rounding: rotated chunks and images have other tiles."""
    weights = random_weights(SMALL)
    image = image_with_gaps(rng, (190, 203))
    want, one = (
        array.predict(image, type, weights, norm=1000, device="cpu", ensemble=e)
        for e in (True, False)
    )
    lazy = da.from_array(image, chunks=(75, 90))
    norm = Norm(1000.0)
    got = chunks.predict_chunks(lazy, type, weights, norm, "cpu", ensemble=True).compute()
    atol = 2 * LARGEST * (np.nanmax(want) - np.nanmin(want))  # both sides are rounded
    np.testing.assert_allclose(got, want, rtol=0, atol=atol)
    assert np.nanmax(abs(one - want)) > 20 * atol


def test_other_dtypes(da, rng):
    """JSOC's files have integers and big-endian numbers."""
    weights = random_weights(SMALL)
    for dtype in (">i4", ">f8", "u1"):
        image = rng.integers(50, 200, (70, 60)).astype(dtype)
        want = array.predict(image, weights=weights, norm=100, device="cpu")
        lazy = da.from_array(image, chunks=30)
        got = chunks.predict_chunks(lazy, "intensity", weights, Norm(100.0), "cpu")
        np.testing.assert_array_equal(got.compute(), want)


def test_chunks_are_those_of_the_input(da):
    lazy = da.zeros((200, 1000), chunks=(200, (70, 300, 30, 20, 60, 400, 90, 30)))
    got = chunks.predict_chunks(lazy, "blos", random_weights(SMALL), Norm(1000.0))
    # chunks below 59 would compute more than twice their area: they are merged with others
    assert got.chunks == ((400,), (140, 600, 220, 800, 240))


@pytest.mark.parametrize("config", [*CONFIGS, NetworkConfig()], ids=str)
@pytest.mark.parametrize("size", [1, 3, 50, 136, 256])
def test_no_chunk_computes_more_than_twice_its_own(config, size):
    wanted = 0
    for cut in chunks.cuts((size,) * (1200 // size), config):
        core, seen = (s.stop - s.start for s in (cut.core, cut.seen))
        assert seen**2 <= 2 * core**2
        assert (cut.inner.stop - cut.inner.start) == 2 * core
        assert cut.read.start + cut.core.start == wanted
        wanted += core
    assert wanted == 1200 // size * size


def test_only_what_is_needed_is_read(da, rng):
    """One chunk of the output needs, of 5 x 5 chunks of the input, its own and its neighbours."""
    image = rng.standard_normal((500, 500)).astype(np.float32)
    read = set()

    def noted(block, block_info=None):
        read.add(tuple(block_info[0]["chunk-location"]))
        return block

    lazy = da.from_array(image, chunks=100).map_blocks(noted, dtype="f4", meta=image[:0, :0])
    got = chunks.predict_chunks(lazy, "blos", random_weights(SMALL), Norm(1000.0), "cpu")
    assert read == set()
    got[:200, 400:600].compute()
    assert read == {(i, j) for i in (0, 1) for j in (1, 2, 3)}


def test_nothing_is_computed_off_the_limb(da, rng, monkeypatch):
    image = image_with_gaps(rng, (400, 400))
    shapes = []

    def predictor(network):
        predict = made(network)
        return lambda x, tile: shapes.append(x.shape) or predict(x, tile)

    made = chunks._Network.predictor
    monkeypatch.setattr(chunks._Network, "predictor", predictor)
    lazy = da.from_array(image, chunks=100)
    got = chunks.predict_chunks(lazy, "blos", random_weights(SMALL), Norm(1000.0), "cpu").compute()
    assert np.isnan(got[400:]).all()
    assert len(shapes) == 4  # of 16 chunks, those on the disc


def test_chunks_know_their_place_on_the_disc(da, rng):
    """Pixels off the disc are gaps, although finite; two of six chunks have no pixel on the
    disc."""

    def mu(rows, columns):
        squared = 1 - ((rows[:, None] - 70) ** 2 + (columns - 20.0) ** 2) / 80**2
        return np.sqrt(np.where(squared >= 0, squared, np.nan))

    image = 100 * rng.standard_normal((300, 210)).astype(np.float32)
    norm, weights = Norm(1000.0, 0.0, mu, disc_only=True), random_weights(SMALL)
    want = array.apply(image, "blos", select("cpu").predictor(weights), norm).output
    assert np.isnan(want[400:]).all()
    assert np.isfinite(want[140, 40])
    lazy = da.from_array(image, chunks=(100, 105))
    assert lazy.numblocks == (3, 2)
    got = chunks.predict_chunks(lazy, "blos", weights, norm, "cpu")
    assert len(got.chunks[0]) == 3
    np.testing.assert_array_equal(got.compute(), want)


def test_what_is_known_now_is_said_now(da, rng):
    lazy = da.from_array(rng.standard_normal((60, 60)), chunks=30)
    for_blos = random_weights(SMALL, type="blos")
    with pytest.raises(ValueError, match="weights must be for intensity"):
        chunks.predict_chunks(lazy, "intensity", for_blos, Norm(1.0))
    with pytest.raises(ValueError, match="tile=0"):
        chunks.predict_chunks(lazy, "blos", for_blos, Norm(1.0), tile=0)
    with pytest.raises(ValueError, match="device: must be one of"):
        chunks.predict_chunks(lazy, "blos", for_blos, Norm(1.0), "tpu")
    unknown = lazy[lazy[:, 0] > 0]
    with pytest.raises(ValueError, match="chunks must have a known size"):
        chunks.predict_chunks(unknown, "blos", for_blos, Norm(1.0))


def test_the_weights_are_in_the_graph_once(da, rng):
    """Otherwise each task would carry them to another process."""
    weights = random_weights(NetworkConfig(1, 64))
    lazy = da.from_array(rng.standard_normal((300, 300)), chunks=100)
    graph = dict(chunks.predict_chunks(lazy, "blos", weights, Norm(1000.0)).__dask_graph__())
    large = len(pickle.dumps(weights))
    assert large > 300_000  # a chunk of the image is 80,000
    assert sum(len(pickle.dumps(task)) >= large for task in graph.values()) <= 2  # weights, image


def test_the_network_is_made_once_for_a_graph_and_anew_for_the_next(da, rng, monkeypatch):
    made, of = [], Engine.predictor

    def predictor(engine, weights):
        made.append(weights)
        return of(engine, weights)

    monkeypatch.setattr(Engine, "predictor", predictor)
    image = image_with_gaps(rng, (150, 160))
    lazy, weights = da.from_array(image, chunks=50), random_weights(SMALL)
    for _ in range(2):
        got = chunks.predict_chunks(lazy, "blos", weights, Norm(1000.0), "cpu").compute()
        assert len(made) == 1
        made.clear()
        np.testing.assert_array_equal(got, array.predict(image, "blos", weights, device="cpu"))
        made.clear()
        weights.params["head/w"][...] *= 2  # changes the same object
    kept = pickle.loads(pickle.dumps(chunks._Network(weights, "cpu")))
    assert (kept.device, kept._predictor) == ("cpu", None)


def test_chunks_of_unknown_size_are_refused(da, rng):
    x = da.from_array(np.ones((40, 40)), chunks=20)
    for type in (None, "intensity", "blos"):
        with pytest.raises(ValueError, match="chunks must have a known size"):
            enhance_np.enhance(x[x[:, 0] > 0], type=type)
