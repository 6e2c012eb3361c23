import numpy as np
import pytest

from enhance_np import loss, optim


def test_first_step_is_the_learning_rate():
    """With bias correction, the first step is lr * sign(g), whatever the size of g."""
    p = {"w": np.zeros(3)}
    new, state = optim.adam(p, {"w": np.array([1e-3, -5.0, 100.0])}, optim.adam_start(p), lr=0.1)
    np.testing.assert_allclose(new["w"], [-0.1, 0.1, -0.1], rtol=1e-2)
    assert state.step == 1
    assert not p["w"].any()


def test_finds_a_minimum():
    p = {"w": np.array([3.0, -2.0])}
    state = optim.adam_start(p)
    for _ in range(2000):
        p, state = optim.adam(p, {"w": 2 * (p["w"] - 1)}, state, lr=0.01)
    np.testing.assert_allclose(p["w"], 1, atol=1e-3)


def test_float32_stays():
    p = {"w": np.ones(3, np.float32)}
    new, state = optim.adam(p, {"w": np.ones(3, np.float32)}, optim.adam_start(p))
    assert new["w"].dtype == state.m["w"].dtype == state.v["w"].dtype == np.float32


def test_refuses_other_keys():
    p = {"w": np.ones(1)}
    with pytest.raises(ValueError, match="same keys"):
        optim.adam(p, {"v": np.ones(1)}, optim.adam_start(p))


def test_clipped_to_a_norm_of_all_tensors_together():
    g = {"a": np.array([3.0, 0.0], np.float32), "b": np.array([[4.0]], np.float32)}
    assert optim.clipped(g, 5.0) is g
    found = optim.clipped(g, 2.5)
    assert {name: a.dtype for name, a in found.items()} == dict.fromkeys(g, np.dtype("f4"))
    np.testing.assert_array_equal(found["a"], [1.5, 0.0])
    np.testing.assert_array_equal(found["b"], [[2.0]])


def test_decay_shrinks_kernels_whatever_their_gradient():
    """Decay multiplies all kernels by one factor. L2 in the loss, through Adam, moves a kernel that
    has no other gradient by the learning rate."""
    before = {"a/w": np.array([2.0, -1e-3]), "a/b": np.ones(1)}
    p = optim.decayed({name: x.copy() for name, x in before.items()}, before, 0.1)
    np.testing.assert_allclose(p["a/w"], 0.9 * before["a/w"], rtol=1e-15)
    assert p["a/b"] == 1
    w = {"a/w": before["a/w"]}
    _, pull = loss.l2(w, 1.0)
    p, _ = optim.adam(w, pull, optim.adam_start(w), lr=0.1)
    np.testing.assert_allclose(w["a/w"] - p["a/w"], [0.1, -0.1], rtol=0.01)
