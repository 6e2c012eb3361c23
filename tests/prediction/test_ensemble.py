"""Mean and spread over the eight orientations, compared with a stack of the eight outputs."""

import numpy as np
import pytest
from networks import trained

from enhance_np.config import NetworkConfig
from enhance_np.engine import select
from enhance_np.observation.normalise import Norm
from enhance_np.prediction import array
from enhance_np.prediction.ensemble import mean_and_spread

UNIT = 2.0**-24
# (transformation, inverse), written independently of the code; reflections last
SYMMETRIES = [
    (lambda a: a, lambda a: a),
    (lambda a: a.T[::-1], lambda a: a[::-1].T),
    (lambda a: a[::-1, ::-1], lambda a: a[::-1, ::-1]),
    (lambda a: a.T[:, ::-1], lambda a: a[:, ::-1].T),
    (lambda a: a[::-1], lambda a: a[::-1]),
    (lambda a: a[:, ::-1], lambda a: a[:, ::-1]),
    (lambda a: a.T, lambda a: a.T),
    (lambda a: a[::-1, ::-1].T, lambda a: a.T[::-1, ::-1]),
]


def doubled(x, valid=None, progress=None):
    return x.repeat(2, axis=0).repeat(2, axis=1)


def crooked(x, valid, progress):
    """A network that does not commute with any symmetry or a change of sign."""
    assert x.flags.c_contiguous
    y = doubled(x)
    return y + np.roll(y, 1, axis=1) ** 2 + np.linspace(0, 1, len(y), dtype=np.float32)[:, None]


@pytest.mark.parametrize("type", ["intensity", "blos"])
def test_is_that_of_a_stack(type, rng):
    x = rng.standard_normal((5, 40)).astype(np.float32)  # 80 lines when rotated, more than a band
    mean, spread = mean_and_spread(crooked, x, None, type)
    signs = 4 * [1] + 4 * [-1 if type == "blos" else 1]
    stack = np.array(
        [
            s * back(crooked(np.ascontiguousarray(s * there(x)), None, None))
            for s, (there, back) in zip(signs, SYMMETRIES, strict=True)
        ],
        np.float64,
    )
    assert stack.std(axis=0).min() > 0.01
    # roundings of eight additions to the mean and of eight squares
    bound = 2 * 8 * UNIT * np.abs(stack).max()
    np.testing.assert_allclose(mean, stack.mean(axis=0), rtol=0, atol=bound)
    np.testing.assert_allclose(spread, stack.std(axis=0), rtol=0, atol=bound)
    assert mean.dtype == spread.dtype == np.float32


def test_what_commutes_has_no_spread(rng):
    x = rng.standard_normal((6, 9)).astype(np.float32)
    for type in ("intensity", "blos"):
        mean, spread = mean_and_spread(doubled, x, None, type)
        np.testing.assert_array_equal(mean, doubled(x))
        np.testing.assert_array_equal(spread, 0)


def test_what_is_wanted_is_turned_with_the_image(rng):
    x = rng.standard_normal((6, 9)).astype(np.float32)

    def only_wanted(x, valid, progress):
        assert valid.flags.c_contiguous
        return np.where(doubled(valid), doubled(x), np.float32(np.nan))

    mean, _ = mean_and_spread(only_wanted, x, x > 0, "intensity")
    np.testing.assert_array_equal(mean, np.where(doubled(x > 0), doubled(x), np.nan))


def test_no_field_gives_no_field():
    """For a field, an offset cancels, because half of the images have the opposite polarity."""

    def off(x, valid, progress):
        return doubled(x) + np.float32(0.3)

    zero = np.zeros((4, 5), np.float32)
    assert (mean_and_spread(off, zero, None, "intensity")[0] == np.float32(0.3)).all()
    mean, spread = mean_and_spread(off, zero, None, "blos")
    np.testing.assert_allclose(mean, 0, atol=8 * UNIT * 0.3)
    np.testing.assert_allclose(spread, 0.3, rtol=16 * UNIT)


def test_progress_counts_all_eight():
    def forward(x, valid, progress):
        progress(0, x.size)
        progress(12, x.size)
        progress(x.size, x.size)
        return doubled(x)

    seen = []
    zero = np.zeros((4, 5), np.float32)
    mean_and_spread(forward, zero, None, "intensity", lambda *at: seen.append(at))
    assert [done for done, _ in seen] == [20 * k + n for k in range(8) for n in (0, 12, 20)]
    assert {total for _, total in seen} == {160}


@pytest.mark.parametrize("type", ["intensity", "blos"])
def test_the_mean_commutes_where_the_network_does_not(type, rng):
    weights, engine = trained(NetworkConfig(1, 16)), select("cpu")
    image = 500 + 100 * rng.standard_normal((20, 27))
    turn = {"intensity": 1, "blos": -1}[type]

    def off(ensemble):
        one, other = (
            array.apply(a, type, engine.predictor(weights), Norm(500.0), ensemble=ensemble).output
            for a in (image, turn * image.T)
        )
        return np.abs(turn * other.T - one).max() / np.ptp(one)

    assert off(ensemble=False) > 1e-2
    assert off(ensemble=True) < 1e-5  # rounding of a prediction


def test_units_and_gaps(rng):
    weights, engine = trained(NetworkConfig(1, 16)), select("cpu")
    image = 1 + 0.1 * rng.standard_normal((12, 10)).astype(np.float32)
    image[3, 4] = np.nan
    missing = np.isnan(image).repeat(2, axis=0).repeat(2, axis=1)
    found = array.apply(image, "intensity", engine.predictor(weights), Norm(1.0), ensemble=True)
    for part in found:
        np.testing.assert_array_equal(np.isnan(part), missing)
    counts = array.apply(
        4096 * image, "intensity", engine.predictor(weights), Norm(4096.0), ensemble=True
    )
    np.testing.assert_array_equal(counts.output, 4096 * found.output)  # exact for a power of 2
    np.testing.assert_array_equal(counts.spread, 4096 * found.spread)
    given = array.predict(image, weights=weights, norm="none", device="cpu", ensemble=True)
    np.testing.assert_array_equal(given, found.output)
    assert array.apply(image, "intensity", engine.predictor(weights), Norm(1.0)).spread is None


def test_weights_that_give_no_numbers_are_said():
    weights = trained(NetworkConfig(1, 4))
    weights.params["head/w"][...] = 3e38
    weights.params["refine/conv/b"][...] = 3e38
    with pytest.raises(ValueError, match="result must be finite"):
        array.predict(np.ones((6, 6)), weights=weights, device="cpu", ensemble=True)
