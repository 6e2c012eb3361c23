import numpy as np
import pytest
from networks import trained

from enhance_np import models, network
from enhance_np.config import NetworkConfig
from enhance_np.engine import REFERENCE, select
from enhance_np.engine.tiles import halo, plan
from enhance_np.prediction import array
from enhance_np.weights import digest, load

CONFIGS = [
    NetworkConfig(5, 64),
    NetworkConfig(1, 32),
    NetworkConfig(0, 16),
    NetworkConfig(2, 16, "elu", refine_filters=64),
    NetworkConfig(1, 5),
]


@pytest.mark.parametrize("size", [(2, 2), (2, 31), (37, 23), (40, 3)])
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_equals_the_page_in_float64(config, size, rng):
    weights = trained(config)
    x = rng.standard_normal(size).astype(np.float32)
    p, moving = (
        {k: a.astype("f8") for k, a in d.items()} for d in (weights.params, weights.moving)
    )
    want, _ = network.forward(p, x[None, :, :, None].astype("f8"), config, moving=moving)
    for engine in (select("cpu"), REFERENCE):
        y = engine.predictor(weights)(x)
        assert y.dtype == np.float32
        assert abs(y - want[0, :, :, 0]).max() <= 1e-5 * np.ptp(want)


@pytest.mark.parametrize("tile", [1, 2, 7, 20, 50])
@pytest.mark.parametrize("config", [NetworkConfig(3, 64), NetworkConfig(1, 32, "elu")], ids=str)
def test_any_tile_gives_the_same_bits(config, tile, rng):
    weights = trained(config)
    x = rng.standard_normal((45, 34) if tile > 2 else (12, 7)).astype(np.float32)
    whole = select("cpu").predictor(weights)(x, tile=1000)
    np.testing.assert_array_equal(select("cpu").predictor(weights)(x, tile), whole)


def test_tiles_of_the_reference_differ_by_the_rounding_of_blas(rng):
    """Only the order of sums in BLAS differs, because it depends on the size of the matrix."""
    config = NetworkConfig(2, 5)
    weights = trained(config)
    x = rng.standard_normal((30, 26)).astype(np.float32)
    whole = REFERENCE.predictor(weights)(x, tile=1000)
    tiled = REFERENCE.predictor(weights)(x, tile=9)
    assert abs(tiled - whole).max() <= 1e-6 * np.ptp(whole)


def test_tiles_of_other_engines_without_a_valid_pixel_are_skipped(rng, monkeypatch):
    weights = trained(NetworkConfig(1, 5))
    x = rng.standard_normal((30, 26)).astype(np.float32)
    valid = np.zeros(x.shape, bool)
    valid[12:20, 9:11] = True  # two of the tiles
    whole = REFERENCE.predictor(weights)(x, tile=9)
    forward, seen = network.forward, []

    def counted(p, x, *args):
        seen.append(x.shape)
        return forward(p, x, *args)

    monkeypatch.setattr(network, "forward", counted)
    got = REFERENCE.predictor(weights)(x, tile=9, valid=valid)
    wanted = valid.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(got[wanted], whole[wanted])
    assert len(seen) == 2


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_halo_is_what_reaches_and_no_less(depth, rng):
    """A change of one pixel changes the output up to the distance of the halo, and no further."""
    config = NetworkConfig(depth, 4)
    assert halo(config) == 2 * depth + 3
    weights = trained(config, dtype=np.float64)
    # ReLU may block some paths, so the largest distance over several images counts
    width = 4 * depth + 9
    reached = []
    for seed in range(8):
        x = np.random.default_rng(seed).standard_normal((5, width))
        changed = x.copy()
        changed[:, width // 2] += 10
        y, z = (
            network.forward(weights.params, a[None, :, :, None], config, moving=weights.moving)[0][
                0, :, :, 0
            ]
            for a in (x, changed)
        )
        columns = np.flatnonzero((y != z).any(axis=0)) // 2 - width // 2
        reached.append(abs(columns).max())
    assert max(reached) == halo(config)


def test_tiles_cover_once():
    seen = np.zeros((23, 17), int)
    for tile in plan((23, 17), 6, 3):
        seen[tile.core] += 1
        inside = np.arange(23 * 17).reshape(23, 17)
        np.testing.assert_array_equal(inside[tile.seen][tile.inner], inside[tile.core])
    assert (seen == 1).all()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((3, 4, 5)), "H, W"),
        (np.zeros(5), "H, W"),
        (np.ones((1, 1)), "H, W"),
        (np.ones((0, 4)), "H, W"),
        (np.full((4, 4), np.nan), "needs one"),
        (np.ones((4, 4), complex), "real"),
        (np.zeros((4, 4)), "positive pixel"),
    ],
)
def test_refuses_images(image, words):
    with pytest.raises(ValueError, match=words):
        array.predict(image, weights=trained(NetworkConfig(0, 4)))


def test_many_images_are_predicted_as_each_alone(rng):
    weights = trained(NetworkConfig(1, 4))
    given = [100 + rng.standard_normal(size) for size in [(12, 10), (5, 5), (30, 7)]]
    given[1][2, 3] = np.nan
    given[2] = np.ma.masked_greater(given[2], 101.5)
    found = array.predict_all(iter(given), weights=weights, device="cpu", tile=8)
    for image, y in zip(given, found, strict=True):
        np.testing.assert_array_equal(y, array.predict(image, weights=weights, device="cpu"))
    assert list(array.predict_all([], weights=weights)) == []


@pytest.mark.parametrize("engine", [REFERENCE, select("cpu")], ids=lambda engine: engine.name)
def test_many_images_are_taken_as_they_are_needed(engine, rng):
    """Also, the progress is per image, and an image without valid pixels keeps its place."""
    weights = trained(NetworkConfig(0, 4))
    sizes = [(7, 5), (4, 4), (3, 9), (5, 8), (6, 7)]
    given = [rng.standard_normal(size).astype(np.float32) for size in sizes]
    # the reference takes tiles from a queue, so it takes the next image with a tile to compute
    ahead = 0 if engine.name == "cpu" else 2
    taken, said = [], []

    def images():
        for k, x in enumerate(given):
            taken.append(k)
            yield x, np.zeros(x.shape, bool) if k == 1 else None

    found = engine.predictor(weights).each(images(), 3, lambda *row: said.append(row))
    assert not taken
    for k, (x, y) in enumerate(zip(given, found, strict=True)):
        assert y.shape == (2 * len(x), 2 * x.shape[1])
        assert len(taken) <= k + 1 + ahead
        if k != 1:
            np.testing.assert_array_equal(y, engine.predictor(weights)(x, 3))
    for x in given:
        assert [row for row in said if row[1] == x.size][-1] == (x.size, x.size)


def test_what_many_images_need_is_told(rng):
    weights, image = trained(NetworkConfig(0, 4)), 100 + rng.standard_normal((6, 6))
    found = array.predict_all([image, np.ones((1, 1))], weights=weights, device="cpu")
    assert next(found).shape == (12, 12)
    with pytest.raises(ValueError, match="H, W"):
        next(found)
    for arguments in ({"type": "dopplergram"}, {"tile": 0}):
        with pytest.raises(ValueError, match="must be one of|needs 1 pixel"):
            array.predict_all([image], weights=weights, device="cpu", **arguments)  # at the call


def test_missing_pixels_stay_missing_and_nothing_is_changed(rng):
    image = 100 + rng.standard_normal((12, 10))
    image[3, 4] = np.nan
    before = image.copy()
    y = array.predict(image, weights=trained(NetworkConfig(1, 4)), device="cpu")
    np.testing.assert_array_equal(image, before)
    assert y.shape == (24, 20)
    assert y.dtype == np.float32
    missing = np.zeros((24, 20), bool)
    missing[6:8, 8:10] = True
    np.testing.assert_array_equal(np.isnan(y), missing)


def test_nothing_is_computed_far_from_valid_pixels(rng, monkeypatch):
    from enhance_np.engine.cpu import fused

    image = 100 + rng.standard_normal((40, 90))
    image[:, 40:] = np.nan
    conv_tiles, made = fused.conv_tiles, []

    def counted(*args):
        made.append(sum(last - first for first, last in args[7]))
        conv_tiles(*args)

    monkeypatch.setattr(fused, "conv_tiles", counted)
    array.predict(image, weights=trained(NetworkConfig(1, 32)), device="cpu")
    assert sum(made) == 10 * (10 + 11 + 12 + 13)  # rows of tiles, times the columns of each layer


def test_masked_pixels_are_missing(rng):
    image = np.ma.masked_less(100 + rng.standard_normal((12, 10)), 98)
    image[3, 4] = -9999
    image[3, 4] = np.ma.masked
    y = array.predict(image, weights=trained(NetworkConfig(1, 4)), device="cpu")
    assert np.isnan(y[6:8, 8:10]).all()
    plain = array.predict(image.filled(np.nan), weights=trained(NetworkConfig(1, 4)))
    np.testing.assert_array_equal(y, plain)


@pytest.mark.parametrize("kind", ["F", ">f4", "i4", "u1", "strided", "f8"])
def test_any_array_gives_the_result_of_a_plain_one(kind, rng):
    image = rng.integers(50, 200, (12, 10)).astype(np.float32)
    other = {
        "F": np.asfortranarray(image),
        "strided": np.repeat(image, 2, axis=1)[:, ::2],
    }.get(kind)
    other = image.astype(kind) if other is None else other
    weights = trained(NetworkConfig(1, 16))
    want = array.predict(image, weights=weights, norm=100)
    got = array.predict(other, weights=weights, norm=100)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-3)


def test_range_beyond_float32_is_divided_first(rng):
    image = 1e300 * (1 + 0.1 * rng.random((8, 8)))
    weights = trained(NetworkConfig(1, 4))
    with pytest.raises(ValueError, match="level > 0"):  # float32, as of the output, overflows
        array.predict(image, weights=weights)
    small = 1e-30 * (1 + 0.1 * rng.random((8, 8)))
    assert np.isfinite(array.predict(small, weights=weights)).all()


def test_weights_that_give_no_numbers_are_said():
    weights = trained(NetworkConfig(1, 4))
    weights.params["head/w"][...] = 3e38
    weights.params["refine/conv/b"][...] = 3e38
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="result must be finite"):
        array.predict(np.ones((6, 6)), weights=weights, device="cpu")


def test_units_are_undone(rng):
    """The network gets image / norm; the output has the units of the image."""
    image = rng.random((9, 8)) + 0.5
    weights = trained(NetworkConfig(1, 4))
    one = array.predict(image, weights=weights, norm="none", device="cpu")
    many = array.predict(image * 1000, weights=weights, norm=1000.0, device="cpu")
    np.testing.assert_allclose(many, 1000 * one, rtol=1e-4, atol=1e-2)
    field = array.predict(image, "blos", weights=weights, norm="none", device="cpu")
    kilogauss = array.predict(image / 1000, weights=weights, norm="none", device="cpu")
    np.testing.assert_allclose(field, 1000 * kilogauss, rtol=1e-4, atol=1e-2)


def test_weights_for_the_other_type_are_refused():
    weights = trained(NetworkConfig(0, 4))
    weights.provenance["type"] = "blos"
    with pytest.raises(ValueError, match="must be for intensity"):
        array.predict(np.ones((4, 4)), weights=weights)


def test_gpu_without_one_is_refused():
    from enhance_np.engine.gpu import probe

    if probe() is None:
        pytest.skip("there is a GPU here")
    with pytest.raises(RuntimeError, match="gpu must be usable, but "):
        select("gpu")


def test_which_weights(tiny):
    """Those given, or the shipped ones; and the sha256 of their file."""
    for given, path in ((None, models.path("blos", "small")), (tiny, tiny), (str(tiny), tiny)):
        found, content = array.chosen(given, "blos", "small")
        assert content == digest(path)
        assert found.config == load(path).config
    assert array.chosen(found, None) == (found, None)
    with pytest.raises(ValueError, match="models: type must be"):
        array.chosen(None, "velocity")
