from pathlib import Path
from types import SimpleNamespace

import check
import numpy as np
import pytest

from enhance_np import layers, loss, network, optim, params
from enhance_np.config import NetworkConfig
from enhance_np.inspection import gradcheck

REFERENCE = Path(__file__).parent / "reference"


@pytest.mark.parametrize("activation", ["relu", "elu"])
@pytest.mark.parametrize(
    ("depth", "shape"), [(0, (1, 2, 3)), (1, (2, 5, 4)), (2, (3, 4, 7)), (3, (4, 3, 3))]
)
def test_gradients(depth, shape, activation, rng):
    config = NetworkConfig(depth, 4, activation)
    check.gradients(gradcheck.check_network(rng, config, shape))


def test_gradients_of_the_wide_refine_convolution(rng):
    check.gradients(gradcheck.check_network(rng, NetworkConfig(1, 3, refine_filters=12)))


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
def test_zero_gradient_theorem(depth, rng):
    """The biases before a batch norm and each bn2/beta, 3 depth + 1 tensors, and no others."""
    config = NetworkConfig(depth, 4)
    p, _ = params.initial(config, 1, np.float64)
    p = {name: a + 0.1 * rng.standard_normal(a.shape) for name, a in p.items()}
    x = rng.standard_normal((2, 6, 5, 1))
    y, tape = network.forward(p, x, config)
    _, g = network.backward(rng.standard_normal(y.shape), tape, config)
    largest = max(abs(a).max() for a in g.values())
    zero = {name for name, a in g.items() if abs(a).max() < 1e-12 * largest}
    expected = {f"block{k}/{t}" for k in range(depth) for t in ("conv1/b", "conv2/b", "bn2/beta")}
    assert zero == expected | {"tail/conv/b"}
    assert len(zero) == 3 * depth + 1


def test_moving_statistics_equal_to_the_batch_give_the_batch_result(rng):
    config = NetworkConfig(1, 4)
    p, moving = params.initial(config, 0, np.float64)
    x = rng.standard_normal((2, 5, 5, 1))
    y, tape = network.forward(p, x, config)
    moving = params.update_moving(moving, tape, momentum=0)
    np.testing.assert_allclose(network.forward(p, x, config, moving=moving)[0], y, atol=1e-12)


def test_gradients_with_moving_statistics(rng):
    check.gradients(gradcheck.check_network(rng, NetworkConfig(2, 4), moving=True))


def test_inputs_are_not_changed(rng):
    config = NetworkConfig(1, 4)
    p, _ = params.initial(config, 0)
    x = rng.standard_normal((1, 4, 4, 1)).astype(np.float32)
    before = {name: a.copy() for name, a in p.items()} | {"x": x.copy()}
    y, tape = network.forward(p, x, config)
    dx, g = network.backward(y, tape, config)
    for name, a in (p | {"x": x}).items():
        np.testing.assert_array_equal(a, before[name])
    assert {a.dtype for a in (y, dx, *g.values())} == {np.dtype(np.float32)}


CASES = {
    "relu": NetworkConfig(1, 4),
    "elu": NetworkConfig(2, 3, "elu"),
    "refine16": NetworkConfig(1, 4, refine_filters=16),
}


@pytest.mark.parametrize("framework", ["keras", "torch"])
@pytest.mark.parametrize("case", CASES)
def test_equals_framework(case, framework):
    """Compares with the stored results of Keras and PyTorch (tests/reference/make_reference.py)."""
    with np.load(REFERENCE / f"{framework}_{case}.npz") as fixture:
        assert_equal(CASES[case], dict(fixture))


@pytest.mark.parametrize(
    ("config", "shape"),
    [(NetworkConfig(3, 8), (4, 7, 9, 1)), (NetworkConfig(0, 5, "elu"), (1, 2, 3, 1))],
)
def test_equals_torch_live(config, shape, rng):
    pytest.importorskip("torch")
    from reference.make_reference import given, random_network, torch_case

    x = rng.standard_normal(shape)
    target = rng.standard_normal((shape[0], 2 * shape[1], 2 * shape[2], 1))
    start = (*random_network(config, rng), x, target)
    assert_equal(config, given(*start) | torch_case(config, *start))


def assert_equal(config, case):
    """Forward pass, loss, every gradient and five steps of Adam agree, in float64."""

    def group(prefix):
        return {k[len(prefix) + 1 :]: a for k, a in case.items() if k.startswith(prefix + "/")}

    p, moving = group("params"), group("moving")
    x, target = case["x"], case["target"]

    y, _ = network.forward(p, x, config, moving=moving)
    np.testing.assert_allclose(y, case["y_inference"], rtol=1e-11, atol=1e-11)

    def gradients(p):
        y, tape = network.forward(p, x, config)
        value, dy = loss.mse(y, target)
        _, g = network.backward(dy, tape, config)
        penalty, decay = loss.l2(p, float(case["l2"]))
        return y, value + penalty, {k: a + decay.get(k, 0) for k, a in g.items()}, tape

    y, value, g, _ = gradients(p)
    np.testing.assert_allclose(y, case["y_train"], rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(value, case["loss"], rtol=1e-12)
    wanted = group("grads")
    assert g.keys() == wanted.keys()
    for name, a in wanted.items():
        np.testing.assert_allclose(g[name], a, rtol=1e-8, atol=1e-12, err_msg=name)

    state = optim.adam_start(p)
    for _ in range(5):
        _, _, g, tape = gradients(p)
        moving = params.update_moving(moving, tape)
        p, state = optim.adam(p, g, state, float(case["lr"]))
    for name, a in group("after").items():
        np.testing.assert_allclose(p[name], a, rtol=1e-7, atol=1e-9, err_msg=name)
    for name, a in group("moving_after").items():
        np.testing.assert_allclose(moving[name], a, rtol=1e-9, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("activation", ["relu", "elu"])
@pytest.mark.parametrize("depth", [0, 2])
def test_observers_see_every_value_and_its_gradient(depth, activation, rng):
    """Values and gradients have the same names, in reverse order. Each gradient agrees with a
    central difference of the loss, for a random change of the value after its operation."""
    config = NetworkConfig(depth, 3, activation)
    p, _ = params.initial(config, 0, np.float64)
    p = {name: a + 0.1 * rng.standard_normal(a.shape) for name, a in p.items()}
    x = rng.standard_normal((2, 4, 5, 1))
    values, gradients = {}, {}
    y, tape = network.forward(p, x, config, observe=lambda name, h: values.update({name: h}))
    dy = rng.standard_normal(y.shape)
    dx, _ = network.backward(
        dy, tape, config, observe=lambda name, dh: gradients.update({name: dh})
    )
    assert list(gradients) == [*reversed(values), "x"]
    assert values["head"] is y
    assert gradients["head"] is dy
    assert gradients["x"] is dx
    for place, name in enumerate(values):
        assert gradients[name].shape == values[name].shape
        v = rng.standard_normal(values[name].shape)

        def loss_with(amount, place=place, v=v):
            ops = SimpleNamespace(
                **{n: changed(getattr(layers, n), place, amount * v) for n in OPS}
            )
            done.clear()
            return np.vdot(network.forward(p, x, config, ops)[0], dy)

        measured = (loss_with(gradcheck.STEP) - loss_with(-gradcheck.STEP)) / (2 * gradcheck.STEP)
        assert measured == pytest.approx(np.vdot(gradients[name], v), rel=1e-6, abs=1e-7), name


OPS = [
    "pad_conv", "upsample_conv", "batchnorm_add",
    *(name for act in ("relu", "elu") for name in (act, f"batchnorm_{act}", f"{act}_conv")),
]  # fmt: skip
done = []


def changed(operation, place, change):
    """The operation; adds `change` to its result if `place` operations were called before."""

    def called(*arguments, **keywords):
        y, cache = operation(*arguments, **keywords)
        done.append(operation)
        return (y + change if len(done) == place + 1 else y), cache

    return called


def test_training_is_observed_up_to_the_stem(rng):
    config = NetworkConfig(1, 3)
    p, _ = params.initial(config, 0, np.float64)
    y, tape = network.forward(p, rng.standard_normal((1, 4, 4, 1)), config)
    seen = []
    network.backward(y, tape, config, wrt_x=False, observe=lambda name, dh: seen.append(name))
    assert seen == list(reversed(tape))


class Recorded:
    """The reference operations; records the names of those that are called."""

    def __init__(self):
        self.called = set()

    def __getattr__(self, name):
        self.called.add(name)
        return getattr(layers, name)


def test_the_page_calls_what_layers_says_and_nothing_else(rng):
    ops = Recorded()
    for activation in ("relu", "elu"):
        config = NetworkConfig(1, 4, activation)
        p, _ = params.initial(config, 0)
        y, tape = network.forward(p, rng.standard_normal((1, 5, 4, 1)), config, ops)
        for wrt_x in (True, False):
            network.backward(y, tape, config, ops, wrt_x)
    assert ops.called == {*layers.PAGE}
    assert not {*layers.PAGE} & {*layers.PARTS}
