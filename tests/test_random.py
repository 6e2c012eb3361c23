import numpy as np
import pytest

from enhance_np._random import stream


def first(rng):
    return tuple(rng.integers(0, 2**63, 4))


def test_a_name_is_a_stream():
    assert first(stream(3, "a", 1)) == first(stream(3, "a", 1))


def test_no_two_purposes_share_a_stream():
    names = [("a",), ("b",), ("a", 0), ("a", 1), ("a", 0, 0), ("ab",), ("a", "b"), ("b", "a")]
    found = {first(stream(seed, *name)) for seed in (0, 1, 2) for name in names}
    assert len(found) == 3 * len(names)


@pytest.mark.parametrize("seed", [0, 7])
def test_apart_from_plain_seeds(seed):
    """NumPy pads a plain seed with zeros: default_rng(7) and default_rng([7, 0]) are the same."""
    plain = {first(np.random.default_rng([seed] + [0] * n)) for n in range(8)}
    assert first(np.random.default_rng(seed)) in plain
    assert not plain & {first(stream(seed, "a")), first(stream(seed, "a", 0))}


def test_refuses():
    with pytest.raises(ValueError, match="seed must be 0 or more, got seed=-1"):
        stream(-1, "a")
    with pytest.raises(ValueError, match="purpose must be a text"):
        stream(1, "")
