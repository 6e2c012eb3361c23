import inspect

import numpy as np
import pytest
from networks import trained

import enhance_np
from enhance_np import layers, loss, network
from enhance_np.config import NetworkConfig
from enhance_np.engine import REFERENCE, select
from enhance_np.inspection import compare
from enhance_np.inspection.trace import MODES, trace

PAGE = inspect.getsource(network).splitlines()
CONFIGS = NetworkConfig(2, 4), NetworkConfig(0, 3, "elu"), NetworkConfig(1, 16, refine_filters=8)


def images(rng, dtype=np.float32, n=1, size=(7, 9)):
    x = 1 + 0.1 * rng.standard_normal((n, *size, 1))
    target = 1 + 0.1 * rng.standard_normal((n, 2 * size[0], 2 * size[1], 1))
    return x.astype(dtype), target.astype(dtype)


@pytest.mark.parametrize("engine", [REFERENCE, select("cpu")], ids=lambda e: e.name)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_numbers_are_those_of_the_page(rng, config, mode, engine):
    weights = trained(config)
    x, target = images(rng, n=2, size=(12, 17))
    found = trace(weights, x, target, mode=mode, engine=engine)
    moving = weights.moving if mode == "prediction" else None
    y, tape = network.forward(weights.params, x, config, engine.ops, moving)
    value, dy = loss.mse(y, target)
    dx, g = network.backward(dy, tape, config, engine.ops)
    assert found.loss == value
    for ours, theirs in ((found.y, y), (found.dy, dy), (found.dx, dx), (found["head"].h, y)):
        np.testing.assert_array_equal(ours, theirs)
    for name in g:
        np.testing.assert_array_equal(found[name].gradient, g[name])
        np.testing.assert_array_equal(found[name].value, weights.params[name])


def test_runs_the_page_once(rng, monkeypatch):
    calls = []
    for name in ("pad_conv", "pad_conv_backward"):
        real = getattr(layers, name)

        def counted(*a, real=real, name=name):
            calls.append(name)
            return real(*a)

        monkeypatch.setattr(layers, name, counted)
    trace(trained(NetworkConfig(1, 4)), *images(rng))
    # stem, two of the block, tail
    assert calls == 4 * ["pad_conv"] + 4 * ["pad_conv_backward"]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_lines_are_those_that_ran(rng, config):
    found = trace(trained(config), *images(rng))
    forward = {name: step.line for name, step in found.steps.items()}
    backward = {name: step.line_backward for name, step in found.steps.items()}
    for name, step in found.steps.items():
        layer = name.split("/")[-1]
        for line in (forward[name], backward[name]):
            assert layer in PAGE[line - 1]
            assert f"{step.operation}(" in PAGE[line - 1]
    first, start = (inspect.getsourcelines(f)[1] for f in (network.forward, network.backward))
    assert all(first < line < start for line in forward.values())
    assert all(start < line for line in backward.values())


def test_keeps_values_that_an_engine_uses_again(rng):
    found = trace(trained(NetworkConfig(1, 16)), *images(rng, size=(16, 16)), engine=select("cpu"))
    arrays = [step.h for step in found.steps.values()] + [s.dh for s in found.steps.values()]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


def test_dead_channels_are_those_without_a_positive_value(rng):
    weights = trained(NetworkConfig(1, 4))
    weights.params["stem/conv/w"][..., 1] = 0
    weights.params["stem/conv/b"][1] = -1
    weights.params["refine/conv/w"][..., 2] = 0
    weights.params["refine/conv/b"][2] = -1
    found = trace(weights, *images(rng))
    assert found["stem/act"].dead[1]
    assert not found["stem/act"].h[..., 1].any()
    assert found["refine/conv"].dead[2]
    assert not found["head/w"].gradient[0, 0, 2].any()
    assert found["head"].dead is None
    elu = trace(trained(NetworkConfig(1, 4, "elu")), *images(rng))
    assert all(step.dead is None for step in elu.steps.values())


@pytest.mark.parametrize(
    ("x", "target", "mode", "message"),
    [
        ((4, 5, 1), (8, 10), "training", r"x must be \(N, H, W, 1\) or \(H, W\)"),
        ((1, 4), (2, 8), "training", "H, W >= 2"),
        ((4, 5), (4, 5), "training", r"target must be \(1, 8, 10, 1\) .* got .*\(1, 4, 5, 1\)"),
        ((4, 5), (8, 10), "test", "mode must be one of"),
    ],
)
def test_refuses(x, target, mode, message):
    with pytest.raises(ValueError, match=message):
        trace(trained(NetworkConfig(0, 2)), np.ones(x), np.ones(target), mode=mode)


@pytest.mark.parametrize("x", [np.ones((4, 5), int), np.ones((4, 5), np.float16)])
def test_refuses_other_dtypes(x):
    with pytest.raises(ValueError, match="x must be float32 or float64, got"):
        trace(trained(NetworkConfig(0, 2)), x, np.ones((8, 10)))


def test_refuses_gaps():
    x = np.ones((4, 5))
    x[1, 2] = np.nan
    with pytest.raises(ValueError, match="x must be finite"):
        trace(trained(NetworkConfig(0, 2)), x, np.ones((8, 10)))


def test_names_are_told_if_one_is_unknown(rng):
    found = enhance_np.trace(trained(NetworkConfig(0, 2)), *images(rng))
    with pytest.raises(KeyError, match="one of stem/conv, stem/act, .*head/b, got 'stem'"):
        found["stem"]


def test_tables_hold_every_tensor(rng):
    found = trace(trained(NetworkConfig(1, 4)), *images(rng))
    for text in (str(found), found._repr_html_()):
        for name in [*found.steps, *found.parameters]:
            assert name in text
    assert f"{found['head'].h.min():.3g}" in str(found)
    assert "statistics of this image alone" in found.head()
    assert "<script" not in found._repr_html_()


def test_one_step_is_shown_by_its_statistics(rng):
    found = trace(trained(NetworkConfig(1, 4)), *images(rng))
    step = found["block0/conv1"]
    assert (
        repr(step)
        .splitlines()[0]
        .endswith(f"conv, lines {step.line} and {step.line_backward} of network.py")
    )
    assert repr(step).splitlines()[3].split()[-1] == f"{step.dh.max():.3g}"
    weight = found["head/w"]
    assert repr(weight).splitlines()[2].split()[-2] == f"{weight.value.min():.3g}"


def test_units_are_those_of_the_weights(rng):
    weights = trained(NetworkConfig(0, 2))
    x, target = images(rng)
    assert "Ic" not in str(trace(weights, x, target))
    weights.provenance["type"] = "intensity"
    found = trace(weights, x, target)
    assert [row[3] for row in found.rows() if row[0] in ("x", "head", "stem/conv")] == [
        "Ic",
        "",
        "Ic",
    ]
    assert f"loss {found.loss:.6g} Ic^2" in found.head()


def test_single_precision_is_near_the_reference(rng):
    weights = trained(NetworkConfig(1, 16))
    found = trace(weights, *images(rng, size=(16, 20)), engine=select("cpu"))
    lines = compare.table("reference", found, weights).splitlines()[3:]
    assert len(lines) == len(found.tensors())
    exact = trace(weights, found.x.astype("f8"), found.target.astype("f8"))
    by_name = {line.split("  ")[0]: line.split() for line in lines}
    off = abs(found["stem/conv"].h - exact["stem/conv"].h).max()
    assert by_name["stem/conv"][2] == f"{off:.1e}"


def test_central_differences_agree_without_kinks(rng):
    weights = trained(NetworkConfig(1, 4, "elu"))
    found = trace(weights, *images(rng))
    lines = compare.numerical(found, weights).splitlines()[3:]
    assert len(lines) == 1 + len(found.steps) + len(found.parameters)
    sizes = [abs(float(line.split()[-4])) for line in lines]
    for line, size in zip(lines, sizes, strict=True):
        assert float(line.split()[-2]) <= 1e-6 * size + 1e-9 * max(sizes), line


def test_a_wrong_gradient_differs_from_the_central_difference(rng, monkeypatch):
    weights = trained(NetworkConfig(1, 4))
    found = trace(weights, *images(rng))
    real = layers.upsample_conv_backward
    monkeypatch.setattr(
        layers, "upsample_conv_backward", lambda dy, c: (0.5 * real(dy, c)[0], *real(dy, c)[1:])
    )
    lines = {
        line.split()[0]: line.split() for line in compare.numerical(found, weights).splitlines()[3:]
    }
    _, analytic, measured, *_ = lines["stem/conv/w"]
    assert abs(float(analytic) / float(measured) - 0.5) < 0.01
    assert lines["stem/act"][-1] == "0"  # zeros of a ReLU are no kinks
    for name in ("head/w", "refine/conv"):  # not beyond the fault
        assert abs(float(lines[name][1]) / float(lines[name][2]) - 1) < 1e-5
    assert abs(float(lines["tail/bn"][1]) / float(lines["tail/bn"][2]) - 0.5) < 0.01


def test_modules_are_attributes():
    assert enhance_np.network is network
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = enhance_np.nothing


def test_an_image_without_batch_and_channel_is_told_what_is_missing(rng):
    weights = trained(NetworkConfig(0, 2))
    with pytest.raises(ValueError, match=r"\(N, H, W, C\), got x.shape=\(4, 5\); one image"):
        network.forward(weights.params, np.ones((4, 5)), weights.config)
