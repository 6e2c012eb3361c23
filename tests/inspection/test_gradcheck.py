"""gradcheck: what is right passes, what is wrong is named, what stands at a kink is neither."""

import re

import numpy as np
import pytest
from cudaproof import device

from enhance_np import layers, network, params
from enhance_np.config import NetworkConfig
from enhance_np.engine import REFERENCE, Engine, cuda
from enhance_np.engine.cpu import vocabulary as cpu
from enhance_np.inspection import gradcheck
from enhance_np.inspection.gradcheck import page
from enhance_np.inspection.gradcheck.check import Check, central_difference, worst
from enhance_np.inspection.gradcheck.composed import JOINED, composed, replaced
from enhance_np.inspection.gradcheck.table import conclusion, first_culprit, table
from enhance_np.inspection.gradcheck.watched import Watched

CPU = Engine("cpu", cpu, np.asarray, np.asarray)


def spoilt(engine=REFERENCE, **operations):
    return engine._replace(ops=replaced(engine.ops, **operations))


def culprit(checks):
    found = first_culprit(checks)
    return found and found.culprit


@pytest.fixture(scope="module")
def reference():
    return list(gradcheck.check_all())


@pytest.fixture(scope="module")
def vectorised():
    return list(gradcheck.check_all(engine=CPU))


@pytest.mark.parametrize("checks", ["reference", "vectorised"])
def test_what_is_right_passes(checks, request):
    checks = request.getfixturevalue(checks)
    assert [check for check in checks if check.verdict != "ok"] == []
    assert all(np.isfinite(check[2:5]).all() for check in checks)


def test_every_operation_and_every_layer_has_its_checks(reference):
    operations = {name.removesuffix("_backward") for name in layers.__all__}
    config = NetworkConfig(gradcheck.DEPTH, 4)
    networks = {f"network {a}, {m}" for a in ("relu", "elu") for m in ("batch", "moving")}
    biases = {"bias before bn, batch", "bias before bn, moving"}
    assert {check.place for check in reference} == operations | networks | biases
    of_network = {check.what.split(":")[0] for check in reference if check.place in networks}
    p, _ = params.initial(config, 0)
    _, tape = network.forward(p, np.ones((1, 4, 4, 1), "f4"), config)
    assert of_network == {f"dh at {name}" for name in tape} | {f"d {name}" for name in p} | {"dx"}


def test_the_bounds_are_not_out_of_all_proportion(reference, vectorised):
    """What is wrong by one part in a thousand is seen, and one in a hundred of a single element."""
    compared = [c for c in reference if abs(c.measured) > 1]
    assert len(compared) > 200
    assert all(c.allowed < 1e-3 * abs(c.measured) for c in compared)
    assert all(c.allowed < 1e-10 * abs(c.measured) for c in compared if "adjoint" in c.what)
    elements = [c for c in vectorised if "float64" in c.what and abs(c.measured) > 1]
    assert len(elements) > 50
    assert all(c.allowed < 1e-2 * abs(c.measured) for c in elements)


def test_a_bias_before_batchnorm_has_a_gradient_with_moving_statistics_only(reference):
    batch, moving = (c for c in reference if c.place.startswith("bias before bn"))
    assert abs(batch.analytic) < 1e-12
    assert abs(batch.measured) < batch.allowed < 1e-3
    assert abs(moving.analytic) > 1
    assert moving.difference < 1e-6


# ------------------------------------------------------------------------- what must be named
def test_a_part_that_no_joined_operation_calls_is_named(rng):
    """The network passes, because upsample_conv_backward goes past it."""

    def upsample_backward(dy):
        return 0.25 * layers.upsample_backward(dy)

    engine = spoilt(upsample_backward=upsample_backward)
    for one in (engine, spoilt(CPU, upsample_backward=upsample_backward)):
        checks = list(gradcheck.check_operations(one, rng))
        assert culprit(checks) == "upsample_backward"
        failed = {(c.place, c.what.split(",")[0]) for c in checks if c.verdict == "FAILED"}
        assert ("upsample_conv", "dx: its parts") in failed
    checks = list(gradcheck.check_network(rng, NetworkConfig(1, 4), engine=engine))
    assert {check.verdict for check in checks} == {"ok"}


@pytest.mark.parametrize(
    "name", [n for n in layers.__all__ if n.endswith(("backward", "gradient"))]
)
def test_every_gradient_is_held(name, rng):
    """One part in a thousand of the first that it returns."""

    def off(*arguments):
        found = getattr(layers, name)(*arguments)
        return (1.001 * found[0], *found[1:]) if isinstance(found, tuple) else 1.001 * found

    assert culprit(gradcheck.check_operations(spoilt(**{name: off}), rng)) == name


@pytest.mark.parametrize("name", [n for n in layers.PAGE + layers.PARTS if "_" not in n])
def test_a_wrong_result_of_an_engine_is_named_before_its_gradients(name, rng):
    def off(*arguments, **statistics):
        found = getattr(cpu, name)(*arguments, **statistics)
        far = np.float32(1.001)
        return (far * found[0], *found[1:]) if isinstance(found, tuple) else far * found

    checks = list(gradcheck.check_operations(spoilt(CPU, **{name: off}), rng))
    assert culprit(checks) == name
    assert first_culprit(checks).what.startswith("y: float64")


def test_what_raises_or_has_another_shape_fails(rng):
    def reflection_pad_backward(dy, p=1):
        raise ValueError("not today")

    checks = list(gradcheck.check_operations(spoilt(upsample_backward=lambda dy: dy), rng))
    assert culprit(checks) == "upsample_backward"
    assert first_culprit(checks).what == "dx: shape or dtype"
    engine = spoilt(reflection_pad_backward=reflection_pad_backward)
    checks = list(gradcheck.check_operations(engine, rng))
    assert culprit(checks) == "reflection_pad"
    assert first_culprit(checks).what == "ValueError: not today"
    assert (
        conclusion(checks)
        == "First culprit: reflection_pad (reflection_pad, ValueError: not today)."
    )
    wrong = np.zeros((2, 3), np.float32)
    assert worst("a", "y", np.float64, wrong, wrong.astype("f8"), 0.0, "a").verdict == "FAILED"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_fails(value, rng):
    engine = spoilt(upsample_backward=lambda dy: layers.upsample_backward(dy) * value)
    assert culprit(gradcheck.check_operations(engine, rng)) == "upsample_backward"


def test_the_layer_of_the_network_is_named(rng):
    """All layers before it, in the order of the backward pass, are right."""

    def backward(dy, tape, config, ops, observe):
        dx, g = network.backward(dy, tape, config, ops, observe=observe)
        return dx, g | {"block0/conv2/b": g["block0/conv2/b"] + 1}

    checks = list(gradcheck.check_network(rng, NetworkConfig(2, 4), backward=backward, moving=True))
    failed = [check for check in checks if check.verdict != "ok"]
    assert [check.what for check in failed] == ["d block0/conv2/b: difference"]
    assert failed[0].culprit == "network.backward at block0/conv2"


def test_the_gpu_engine_on_the_stand_in(stand_in, rng):
    """Every operation, up to one that is wrong; and the network."""
    engine = Engine("gpu", cuda, device.asarray, device.asnumpy)
    wrong = spoilt(engine, batchnorm_add_backward=lambda dy, cache: (dy, dy, dy[0, 0], dy[0, 0]))
    with stand_in.running("fast"):
        checks = list(gradcheck.check_operations(wrong, rng, (1, 5, 5), [(1, 2)]))
        assert {check.place for check in checks if check.verdict != "ok"} == {"batchnorm_add"}
        checks = list(gradcheck.check_network(rng, NetworkConfig(1, 2), (1, 3, 2), engine))
        assert {check.verdict for check in checks} == {"ok"}


# -------------------------------------------------------------------------------------- kinks
@pytest.mark.parametrize("name", ["relu", "relu_conv", "batchnorm_relu"])
def test_a_kink_is_neither_right_nor_wrong(name, rng):
    """Inputs of the ReLU that are 0, or nearer to it than the step."""
    x = 1 + rng.random((1, 4, 5, 2))
    x[0, 0, :3, 0] = 0, 1e-9, -1e-9
    inputs = {"x": x}
    if name == "relu_conv":
        inputs |= {"w": rng.standard_normal((3, 3, 2, 3)), "b": np.zeros(3)}
    moving = None
    if name == "batchnorm_relu":  # which leaves x as it is
        inputs |= {"gamma": np.ones(2), "beta": np.zeros(2)}
        moving = np.zeros(2), np.full(2, 0.999)  # and eps is 0.001
    checks = list(gradcheck.check_operation(REFERENCE, name, inputs, rng, moving))
    at_a_kink = [check for check in checks if check.what == "dx: difference"]
    assert [check.verdict for check in at_a_kink] == ["kink"]
    assert at_a_kink[0].kinks == 3
    assert at_a_kink[0].difference > at_a_kink[0].allowed  # it would have failed
    assert first_culprit(checks) is None
    verdict = "kink" if len(checks) == 1 else "ok, "
    assert re.search(f"  {verdict}", table(checks))
    assert "were not made" in conclusion(checks)


def test_a_kink_within_the_larger_step_counts(rng):
    for at, kinks in ((0.5, 1), (1.5, 1), (-1.5, 1), (3, 0)):
        x = at * gradcheck.STEP
        found = central_difference(lambda t, x=x: (max(x + t, 0.0), np.array([x + t > 0])), 0.0)
        assert found[2] == kinks, at


def test_where_rounding_decides_is_told_and_the_rest_is_compared(rng):
    """Of float32: inputs of the ReLU that are nearer to 0 than their rounding."""
    x = 2 + rng.random((1, 4, 5, 2))
    x[0, 0, :2, 0] = 1, 1 + 2**-23
    inputs = {"x": x, "gamma": np.ones(2), "beta": np.zeros(2)}
    moving = np.ones(2), np.ones(2)
    checks = list(gradcheck.check_operation(CPU, "batchnorm_relu", inputs, rng, moving))
    told = checks[0]
    assert told.what == "dy where rounding decides"
    assert (told.verdict, told.kinks) == ("kink", 2)
    assert {c.verdict for c in checks if "float64" in c.what or "parts" in c.what} == {"ok"}


@pytest.fixture
def at_the_edge(rng):
    """Arrays of a network whose first ReLU gets 1e-8 everywhere in its first channel."""
    config = NetworkConfig(1, 4)
    p, _ = params.initial(config, 0, np.float64)
    p["stem/conv/w"][..., 0], p["stem/conv/b"][0] = 0, 1e-8
    p["stem/conv/b"][1:] = 20, 20, 20
    return config, p | {"x": rng.standard_normal((2, 4, 5, 1))}


def test_a_kink_within_the_network(at_the_edge, rng):
    config, arrays = at_the_edge
    one = page._Network(rng, config, REFERENCE, arrays, {}, network.backward)
    checks = {check.what.split(":")[0]: check for check in one.checks(0)}
    assert checks["d stem/conv/b"].kinks == 2 * 4 * 5
    assert checks["d stem/conv/b"].verdict == checks["dh at stem/conv"].verdict == "kink"
    assert checks["d head/w"].verdict == checks["d tail/bn/gamma"].verdict == "ok"
    assert first_culprit(checks.values()) is None


def test_rounding_across_a_kink_of_the_network(at_the_edge, rng):
    """The forward pass hardly changes, and the gradient does."""
    config, arrays = at_the_edge
    arrays = {name: a.astype(np.float32) for name, a in arrays.items()}

    def pad_conv(x, w, b):
        y, cache = layers.pad_conv(x, w, b)
        return np.where(y == np.float32(1e-8), np.float32(-1e-8), y), cache

    engine = spoilt(CPU._replace(ops=layers), pad_conv=pad_conv)
    one = page._Network(rng, config, engine, arrays, {}, network.backward)
    y, *gradients = one.checks(0)
    assert y.verdict == "ok"
    assert {check.verdict for check in gradients} == {"kink"}
    assert gradients[0].kinks == 2 * 4 * 5


# -------------------------------------------------------------------------- coordinates, table
def test_coordinates(rng):
    """A fault in one entry, which a random direction would show among all the others too."""
    inputs = {"x": rng.standard_normal((1, 3, 4, 1))}

    def relu_backward(dy, y):
        dx = layers.relu_backward(dy, y)
        dx[0, 1, 2, 0] += 1
        return dx

    engine = spoilt(relu_backward=relu_backward)
    checks = gradcheck.check_operation(engine, "relu", inputs, rng, coordinates=100)
    _, *each = checks
    assert len(each) == 12
    assert [c.what for c in each if c.verdict != "ok"] == ["dx[0, 1, 2, 0]: difference"]


def test_coordinates_of_every_tensor_of_the_network(rng):
    config = NetworkConfig(1, 3)
    checks = list(gradcheck.check_network(rng, config, coordinates=3))
    assert {check.verdict for check in checks} == {"ok"}
    entries = [c.what.split("[")[0] for c in checks if "[" in c.what]
    assert entries.count("d block0/conv1/w") == entries.count("dh at head") == 3
    assert entries.count("d head/b") == 1  # which has no more


CHECKS = [
    Check("relu", "dx: difference", 1.0, 1.0, 1e-9, "relu_backward"),
    Check("conv2d", "dx: adjoint", 1.0, 1.0 + 1e-10, 1e-9, "conv2d_backward"),
    Check("conv2d", "dw: adjoint", 2.0, 2.0, 1e-9, "conv2d_backward"),
]
WRONG = Check("conv2d", "db: adjoint", 5.0, 3.5, 1e-9, "conv2d_backward")
KINK = Check("relu", "dx: difference", 0.0, 0.5, 1e-9, "relu_backward", 3)


def test_the_table_shows_what_comes_closest_to_its_bound():
    lines = table(CHECKS).splitlines()
    assert len(lines) == 3
    assert lines[0].split()[0] == "operation"
    assert re.fullmatch(r"relu +dx: difference +1 +1 +0.0e\+00 +1.0e-09  ok", lines[1])
    assert re.fullmatch(r"conv2d +dx: adjoint \(of 2\) +1 +1 +1.0e-10 +1.0e-09  ok", lines[2])
    assert conclusion(CHECKS) == "All 3 comparisons are within their bounds."
    assert len(table(CHECKS, verbose=True).splitlines()) == 4


def test_what_is_not_a_number_fails_at_a_kink_too():
    assert KINK.verdict == "kink"
    assert KINK._replace(analytic=np.nan).verdict == "FAILED"


def test_the_table_shows_what_failed_first():
    lines = table([*CHECKS, WRONG, KINK]).splitlines()
    assert lines[1].endswith("ok, 1 at a kink")
    assert re.fullmatch(
        r"conv2d +db: adjoint \(of 3\) +5 +3.5 +1.5e\+00 +1.0e-09  FAILED", lines[2]
    )
    assert len(table([*CHECKS, WRONG], only_failed=True).splitlines()) == 2
    assert conclusion([*CHECKS, WRONG]) == (
        "First culprit: conv2d_backward gives 5 instead of 3.5 (conv2d, db: adjoint), and may be "
        "off by 1.0e-09."
    )


# -------------------------------------------------------------------------- what it is made of
def test_joined_operations_are_those_of_the_page_that_have_parts():
    single = {"add", "relu", "relu_backward", "elu", "elu_backward", "pad_conv_gradient"}
    assert {*JOINED} | {f"{name}_backward" for name in JOINED} == {*layers.PAGE} - single


def test_joined_operations_call_every_part_and_nothing_that_is_joined(rng):
    called = set()

    class Seen:
        def __getattr__(self, name):
            def operation(*arguments, **named):
                called.add(name)
                return getattr(layers, name)(*arguments, **named)

            return operation

    ops = composed(Seen())
    for activation in ("relu", "elu"):
        config = NetworkConfig(1, 4, activation)
        p, _ = params.initial(config, 0)
        y, tape = network.forward(p, rng.standard_normal((1, 5, 4, 1)), config, ops)
        network.backward(y, tape, config, ops)
    single = {"add", "relu", "relu_backward", "elu", "elu_backward"}
    assert called == single | {*layers.PARTS}


def test_watched_operations_note_what_passes(rng):
    ops, x = Watched(layers), np.array([[1.0, -1.0, 0.0]])
    ops.relu(x)
    ops.relu_conv(x[None, None], np.ones((1, 1, 3, 1)), np.zeros(1))
    assert [call.name for call in ops.calls] == ["relu", "relu_conv"]
    np.testing.assert_array_equal(ops.passing(), 2 * [True, False, False])
    shifted = Watched(layers, (1, np.array(5.0)))
    assert [shifted.relu(x)[0].max() for _ in range(3)] == [1, 6, 1]
