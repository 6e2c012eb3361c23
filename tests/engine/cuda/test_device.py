"""Whole training steps and predictions by the GPU engine, on the stand-in for CuPy.

Every kernel runs in the emulator, as its launcher launches it. Nothing runs on a GPU.
"""

import inspect
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from cudaproof import device, emulator
from networks import trained
from trained import CPU, OPTIONS, assert_same_bits, pairs, state, train

from enhance_np import layers, loss, network, optim, params
from enhance_np.config import NetworkConfig
from enhance_np.engine import CONVOLUTIONS, Engine, cuda, gpu, select, tiles
from enhance_np.engine.cuda import folded, methods, vocabulary
from enhance_np.engine.cuda import training as on_gpu
from enhance_np.engine.cuda.flat import flattened, own_layout
from enhance_np.engine.fold import fold
from enhance_np.engine.tiled import _doubled
from enhance_np.inspection import accuracy
from enhance_np.training import loop

if (reason := emulator.missing()) is not None:
    pytest.skip(reason, allow_module_level=True)

MOVE = device.asarray, device.asnumpy
STEP = on_gpu.step, on_gpu.reading, on_gpu.update_moving
GPU = Engine("gpu", cuda, *MOVE, *STEP, prediction=folded.prediction)
U = 2.0**-24
LR, L2 = 1e-3, 1e-2
B1, B2 = optim.BETA1, optim.BETA2
# name -> (network, shape of the images)
STEPS = {
    "32 filters": (NetworkConfig(1, 32), (2, 8, 9)),
    "64 filters": (NetworkConfig(1, 64), (1, 11, 8)),
    "odd": (NetworkConfig(1, 20, refine_filters=12), (3, 13, 20)),
}
KERNELS = set(
    "moments statistics normalise normalise_add products gradients normalise_backward relu add "
    "relu_backward head head_backward head_gradient squared_errors mean_squared_error "
    "squares clip_factor adam conv_stem conv_gradient channel_sums sum_parts "
    "reflect_pad_backward".split()
)


# method -> its kernels of a training step
BY = {
    "winograd": {"winograd", "winograd_dx", "winograd_weights"},
    "3xtf32": {"conv3x3_3xtf32_64"},
}


def convolutions(filters, method="float32"):
    """The kernels for the 3x3 convolutions of a step: the general one, unless channels fill
    blocks."""
    if filters % 32:
        return {"conv"}
    each = "conv3x3 conv3x3_dw upsample_conv upsample_conv_dw upsample_conv_dx".split()
    shaped = {"conv3x3_64": "_wide", "conv3x3_dw_64": "_narrow"}  # for images of few columns
    names = (f"{name}_{filters}" for name in each if method == "float32" or name != "conv3x3")
    return (
        {name + shaped.get(name, "") for name in names}
        | BY.get(method, set())
        | {
            "phase_kernels",
            "phase_kernels_backward",
            "repeated_border_backward",
        }
    )


@pytest.fixture(autouse=True)
def card(stand_in):
    with stand_in.running("fast", "shuffled"):
        yield


@contextmanager
def no_copies():
    """Within it, copies between host and device and waits for the device are errors."""

    def refused(*_, **__):
        raise AssertionError("a copy between host and device")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("get", "set", "item", "__bool__", "__int__", "__float__", "__index__"):
            patch.setattr(device.ndarray, name, refused)
        patch.setattr(device, "array", refused)
        yield


def test_copies_are_noticed():
    x = device.zeros(3, device.float32)
    for copy in (
        lambda: x.get(),
        lambda: float(x.sum()),
        lambda: x.sum().item(),
        lambda: device.asarray(np.zeros(3)),
    ):
        with no_copies(), pytest.raises(AssertionError, match="a copy"):
            copy()


def each(convert, tensors):
    return {name: convert(a) for name, a in tensors.items()}


def narrowed(tensors):
    return each(lambda a: device.asarray(a.astype(np.float32)), tensors)


def start(config, size, rng):
    """params of which none is 0 or 1, x, target: float64 arrays of float32 numbers."""
    p, _ = params.initial(config, 3)
    p = {name: a + 0.02 * rng.standard_normal(a.shape) for name, a in p.items()}
    n, h, w = size
    x, target = rng.standard_normal((n, h, w, 1)), rng.standard_normal((n, 2 * h, 2 * w, 1))
    p = each(lambda a: a.astype("f4").astype("f8"), p)
    return p, *(a.astype("f4").astype("f8") for a in (x, target))


@pytest.mark.parametrize(
    ("name", "clip", "method"),
    [(name, clip, "float32") for name in STEPS for clip in (None, 0.1)]
    + [("64 filters", None, method) for method in accuracy.METHODS],
)
def test_a_step_is_the_reference_s(name, clip, method, rng):
    """Loss, gradients, moments and params are right, computed by kernels, without leaving the
    device.

    The bounds of the gradients are those of the CPU engine (test_vocabulary.test_the_page): 1e-4 of
    the largest value of a tensor, and 1e-6 of the largest of all for tensors that are zero in
    theory. The bounds of m, v and p follow from these and from the rounding in kernels/adam.cu.
    """
    config, size = STEPS[name]
    p, x, target = start(config, size, rng)
    y, tape = network.forward(p, x, config)
    value, dy = loss.mse(y, target)
    _, g = network.backward(dy, tape, config)
    _, decay = loss.l2(p, L2)
    g = {name: a + decay.get(name, 0) for name, a in g.items()}
    largest = max(abs(a).max() for a in g.values())
    m = {name: 0.5 * rng.standard_normal(a.shape) * (abs(a).max() + 1e-3) for name, a in g.items()}
    v = {name: a**2 + (abs(g[name]).max() + 1e-3) ** 2 for name, a in m.items()}
    m, v = (each(lambda a: a.astype("f4").astype("f8"), d) for d in (m, v))
    passed = g if clip is None else optim.clipped(g, clip)
    share = np.linalg.norm(passed["head/w"]) / np.linalg.norm(g["head/w"])
    assert (share < 1) == (clip is not None)
    want, after = optim.adam(p, passed, optim.AdamState(5, m, v), LR)

    before = optim.AdamState(5, narrowed(m), narrowed(v))
    seen = narrowed({"x": x, "target": target}).values()
    ops = vocabulary.by(method)
    arguments = narrowed(p), before, *seen, config, ops, LR, L2, None, clip
    with device.running("fast", "shuffled") as launched, no_copies():
        got, reached, found, _ = on_gpu.step(*arguments)
    assert {one.kernel for one in launched} == KERNELS | convolutions(config.filters, method)
    assert sum(one.kernel == "adam" for one in launched) == 1
    assert abs(on_gpu.reading(found)() - value) <= 1e-5 * value
    assert reached.step == 6
    rate = LR * (1 - B2**6) ** 0.5 / (1 - B1**6)
    for key, slope in passed.items():
        dg = share * (1e-4 * abs(g[key]).max() + 1e-6 * largest) + 1e-4 * abs(slope)
        dm = (1 - B1) * dg + 3 * U * (B1 * abs(m[key]) + (1 - B1) * abs(slope))
        dv = (1 - B2) * dg * (2 * abs(slope) + dg)
        dv += 5 * U * (B2 * v[key] + (1 - B2) * slope**2)
        root = np.sqrt(after.v[key])
        change = rate * abs(after.m[key]) / root
        dp = 1.01 * (rate * dm / root + change * dv / (2 * after.v[key]))
        dp += 9 * U * change + U * abs(want[key])
        for a, exact, bound in (
            (reached.m, after.m, dm),
            (reached.v, after.v, 1.01 * dv),
            (got, want, dp),
        ):
            assert (abs(a[key].get() - exact[key]) <= bound).all(), key


def test_a_step_has_the_same_bits_again_and_changes_nothing(rng):
    config, size = STEPS["odd"]
    p, x, target = start(config, size, rng)
    p, (x, target) = narrowed(p), narrowed({"x": x, "target": target}).values()
    adam = optim.adam_start(p)
    kept = each(lambda a: a.get(), p)
    results = []
    for schedule in ("forward", "reverse"):
        with device.running("fast", schedule):
            new, after, *_ = on_gpu.step(p, adam, x, target, config, cuda, LR, L2)
            new, after, *_ = on_gpu.step(new, after, x, target, config, cuda, LR, L2)
            results.append([a.get() for d in (new, after.m, after.v) for a in d.values()])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    for name, a in kept.items():
        np.testing.assert_array_equal(p[name].get(), a)
        assert not adam.m[name].get().any()


def launches_of_a_step(depth, rng, monkeypatch, method="float32"):
    """{name: number} of our kernels, and the number of CuPy's, in a step that goes on from one."""
    config = NetworkConfig(depth, 64)
    p, x, target = start(config, (1, 2, 2), rng)
    p, moving = narrowed(p), narrowed(params.initial(config, 3)[1])
    x, target = narrowed({"x": x, "target": target}).values()
    state, seen, ops = [p, optim.adam_start(p)], [], vocabulary.by(method)
    monkeypatch.setattr(device.RawKernel, "__call__", lambda kernel, *_: seen.append(kernel.name))

    def step():
        nonlocal moving
        *state[:], _, tape = on_gpu.step(*state, x, target, config, ops, LR, L2)
        moving = on_gpu.update_moving(moving, tape)

    step()
    seen.clear()
    with device.counted() as others:
        step()
    return Counter(seen), sum(others.values())


def test_a_step_launches_few_kernels(rng, monkeypatch):
    """At small batches the number of launches is the time of a step: each one is counted.

    One kernel does Adam's step for all parameters, and one the moving statistics of all layers;
    nothing is gathered. Of CuPy's kernels, 12 turn a kernel for dX, 12 are its bias of zeros, two
    clear a buffer, and one sets the rate.
    """
    kernels, others = launches_of_a_step(5, rng, monkeypatch)
    assert kernels["update_moving"] == kernels["adam"] == kernels["squares"] == 1
    assert kernels["clip_factor"] == 1
    assert (kernels.total(), others) == (175, 27)
    # a block adds its 2 convolutions and 2 batch norms
    more, more_others = launches_of_a_step(6, rng, monkeypatch)
    assert (more.total() - kernels.total(), more_others - others) == (27, 4)


# more than by default: Winograd transforms the weights for y and for dX of 11 convolutions
@pytest.mark.parametrize(("method", "more"), [("winograd", 22), ("3xtf32", 0)])
def test_the_launches_of_a_method(method, more, rng, monkeypatch):
    kernels, others = launches_of_a_step(5, rng, monkeypatch, method)
    assert (kernels.total(), others) == (175 + more, 27)
    assert not any(name.startswith("conv3x3_64") for name in kernels)
    y_and_dx = BY[method] - {"winograd_weights"}
    assert sum(kernels[name] for name in y_and_dx) == 22


def test_gradients_and_statistics_are_written_to_their_places(rng):
    """None is copied: every operation writes to the buffer, also after other operations."""
    for name in ("64 filters", "odd"):
        config, size = STEPS[name]
        p, x, target = start(config, size, rng)
        p, (x, target) = narrowed(p), narrowed({"x": x, "target": target}).values()
        p = flattened(p, own_layout(p))
        with pytest.MonkeyPatch.context() as patch, device.running("fast"):
            patch.setattr(device.ndarray, "__setitem__", None)
            _, g, tape = on_gpu.gradients(p, x, target, config, cuda)
            on_gpu.update_moving(tape.statistics, tape)
            patch.undo()
            y, plain = network.forward(p, x, config, cuda)
            _, dy = on_gpu.mse(y, target)
            _, want = network.backward(dy, plain, config, cuda, wrt_x=False)
            moving = params.update_moving(tape.statistics, plain, 0.0)
        for name, slope in want.items():
            np.testing.assert_array_equal(g[name].get(), slope.get())
        for name, found in moving.items():
            np.testing.assert_array_equal(tape.statistics[name].get(), found.get())


def test_an_activation_of_the_reference_goes_the_same_way(rng):
    """The gradients of an ELU network, of which some are copied to their places."""
    config = NetworkConfig(1, 12, "elu")
    p, x, target = start(config, (2, 5, 4), rng)
    y, tape = network.forward(p, x, config)
    _, dy = loss.mse(y, target)
    _, want = network.backward(dy, tape, config, wrt_x=False)
    p, (x, target) = narrowed(p), narrowed({"x": x, "target": target}).values()
    _, g, _ = on_gpu.gradients(flattened(p, own_layout(p)), x, target, config, cuda)
    largest = max(abs(a).max() for a in want.values())
    for name, a in want.items():
        assert abs(g[name].get() - a).max() <= 1e-4 * abs(a).max() + 1e-6 * largest, name


class Stopped(Exception):
    pass


def test_the_loop_reports_every_step_one_later(files):
    """The steps are reported in order; the loss of the first agrees with the CPU's."""
    cpu, gpu = [], []
    train(files, replace(OPTIONS, epochs=1), CPU, report=cpu.append)
    train(files, replace(OPTIONS, epochs=1), GPU, report=gpu.append, overwrite=True)
    steps = [(row["epoch"], row.get("step")) for row in gpu]
    assert steps == [(row["epoch"], row.get("step")) for row in cpu]
    assert abs(gpu[0]["loss"] - cpu[0]["loss"]) <= 1e-5 * cpu[0]["loss"]
    means = [row["loss"] for row in gpu[:-1]]
    assert gpu[-1]["loss"] == pytest.approx(sum(means) / len(means), rel=1e-12)
    assert all(isinstance(row["loss"], float) for row in gpu)


def test_a_batch_goes_to_the_device_once(files, monkeypatch):
    """A step copies two arrays, images and targets, and does not wait for the loss."""
    uploads, before, waited = [], device.array, []
    monkeypatch.setattr(device, "array", lambda *a, **k: uploads.append(1) or before(*a, **k))
    get = device.ndarray.get

    def watched(self, *arguments, blocking=True, **named):
        if blocking:
            waited.append(self.size)
        return get(self, *arguments, blocking=blocking, **named)

    monkeypatch.setattr(device.ndarray, "get", watched)
    counts, reads = [], []

    def report(row):
        counts.append(len(uploads))
        reads.append(len(waited))

    train(files, replace(OPTIONS, epochs=1), GPU, report=report)
    assert len(counts) == 7  # six steps and the epoch
    # except the last, the row of a step is reported after the data of the next step are copied
    assert np.diff(counts[:5]).tolist() == [2, 2, 2, 2]
    assert counts[5] == counts[4]
    assert reads[5] == 0  # up to here; validation and checkpoint follow


def test_an_interrupted_run_goes_on_with_the_same_bits(files):
    options = replace(OPTIONS, epochs=1)
    train(files, options, GPU)
    whole = state(files)

    def interrupt(row):
        if row.get("step") == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(files, options, GPU, report=interrupt, overwrite=True)
    assert state(files).step == 3  # the loss of step 2 is read during step 3
    train(files, options, GPU, resume=True)
    assert_same_bits(state(files), whole)


def test_what_is_not_finite_is_named_and_no_file_is_changed(files, tmp_path):
    spoilt = pairs(tmp_path / "spoilt.h5", 0, spoil="huge"), *files[1:]
    reports, words = [], r"the gradient of [\w/]+ at epoch 0, step 0: try a smaller"
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=words):
        train(spoilt, OPTIONS, GPU, report=reports.append)
    assert not files[2].exists()
    assert not files[2].with_suffix(".checkpoint.h5").exists()
    assert all(np.isfinite(row["loss"]) for row in reports)


def test_a_gradient_that_overflows_is_named(rng):
    """The device makes the finite loss NaN to report the overflow; the checked step names it."""
    config, size = STEPS["odd"]
    p, x, target = start(config, size, rng)
    p, (x, target) = narrowed(p), narrowed({"x": x, "target": target}).values()
    p["stem/conv/w"][...] = np.float32(1e38)  # 2 l2 w is infinite for this l2
    arguments = p, optim.adam_start(p), x, target, config, cuda, LR, 1e3
    with np.errstate(all="ignore"):
        *_, value, _ = on_gpu.step(*arguments)
        assert np.isnan(on_gpu.reading(value)())
        with pytest.raises(FloatingPointError):
            loop.step_once(*arguments)


PREDICTED = {
    "32 filters": (NetworkConfig(1, 32), (12, 9)),
    "64 filters": (NetworkConfig(1, 64), (8, 20)),
    "odd, elu": (NetworkConfig(1, 20, "elu", refine_filters=12), (13, 11)),
}


def page(weights, x):
    p, moving = (each(lambda a: a.astype("f8"), d) for d in (weights.params, weights.moving))
    image = x[None, :, :, None].astype("f8")
    return network.forward(p, image, weights.config, moving=moving)[0][0, :, :, 0]


@pytest.mark.parametrize("tile", [None, 1, 4, 7, 100])
@pytest.mark.parametrize("name", PREDICTED)
def test_a_prediction_is_the_page_s(name, tile, rng):
    """The error is within 1e-5 of the range, the bound of the CPU engine."""
    config, size = PREDICTED[name]
    if tile == 1:
        size = 5, 4
    weights = trained(config)
    x = rng.standard_normal(size).astype(np.float32)
    want = page(weights, x)
    with device.running("fast", "shuffled") as launched:
        y = GPU.predictor(weights)(x, tile)
    assert y.dtype == np.float32
    assert abs(y - want).max() <= 1e-5 * np.ptp(want)
    kernels = {one.kernel for one in launched}
    if config.activation == "relu":  # sums and ReLU within the convolutions
        assert kernels >= {"conv_stem", "head"}
        assert not kernels & {"add", "relu"}


def test_the_sum_of_the_definition_is_the_default(monkeypatch):
    monkeypatch.setattr(gpu, "probe", lambda: None)
    assert select("gpu").ops is select("gpu", "float32").ops is cuda
    assert methods.METHODS.keys() == set(CONVOLUTIONS)
    for method in accuracy.METHODS:
        assert select("gpu", convolution=method).ops is vocabulary.by(method)
    with pytest.raises(ValueError, match="must be one of float32, winograd, 3xtf32, got 'fft'"):
        select("gpu", "fft")
    with pytest.raises(ValueError, match="winograd is for a GPU, but the device is the CPU"):
        select("cpu", "winograd")
    monkeypatch.setattr(device.Device, "compute_capability", "75")
    assert select("gpu", "winograd").ops is vocabulary.by("winograd")
    assert methods.options() == ["winograd"]
    words = r"^convolution: 3xtf32 needs a card of compute capability 8\.0 or later; .* has 7\.5$"
    with pytest.raises(RuntimeError, match=words):
        select("gpu", "3xtf32")
    monkeypatch.setattr(gpu, "probe", lambda: "no driver")
    with pytest.raises(ValueError, match="winograd is for a GPU, but the device is the CPU"):
        select("auto", "winograd")


@pytest.mark.parametrize("method", accuracy.METHODS)
def test_a_vocabulary_differs_in_its_convolutions(method):
    given, ops = vars(cuda), vars(vocabulary.by(method))
    differing = {name for name in layers.__all__ if ops[name] is not given[name]}
    assert differing == {"pad_conv", "pad_conv_backward"}
    assert ops["conv"] is not given["conv"]
    for name in differing:
        one, other = (inspect.signature(d[name]).parameters for d in (given, ops))
        assert [*one] == [*other]
    assert vocabulary.by(method) is vocabulary.by(method)


@pytest.mark.parametrize("filters", [64, 32])
def test_a_prediction_by_three_products(filters, rng):
    """The error is within the bound of every prediction. The upsampling convolution is folded."""
    weights = trained(NetworkConfig(1, filters))
    x = rng.standard_normal((9, 11)).astype(np.float32)
    want = page(weights, x)
    with device.running("fast", "shuffled") as launched:
        y = GPU._replace(ops=vocabulary.by("3xtf32")).predictor(weights)(x)
    assert abs(y - want).max() <= 1e-5 * np.ptp(want)
    kernels = Counter(one.kernel for one in launched)
    assert kernels[f"conv3x3_3xtf32_{filters}"] == 3
    assert not any(name.startswith("conv3x3_64") for name in kernels)


@pytest.mark.parametrize("filters", [64, 32])
def test_winograd_is_for_who_asks(filters, rng):
    """The error is within the bound of every prediction. The upsampling convolution is folded."""
    weights = trained(NetworkConfig(1, filters))
    x = rng.standard_normal((9, 11)).astype(np.float32)
    want = page(weights, x)
    with device.running("fast", "shuffled") as launched:
        y = GPU._replace(ops=vocabulary.by("winograd")).predictor(weights)(x)
    assert abs(y - want).max() <= 1e-5 * np.ptp(want)
    kernels = [one.kernel for one in launched]
    assert kernels.count("winograd") == kernels.count("winograd_weights") == 3 * (filters == 64)
    assert kernels.count(f"conv3x3_{filters}") == 3 * (filters == 32)
    assert "conv3x3_64_wide" not in kernels
    with device.running("fast") as launched:
        GPU.predictor(weights)(x)
    assert not any("winograd" in one.kernel for one in launched)


@pytest.mark.parametrize("tile", [1, 3, 5, 100])
@pytest.mark.parametrize("filters", [32, 20])
def test_a_prediction_of_integers_is_exact_at_every_tile(filters, tile, rng):
    """All sums stay below 2^24; the folded batch norm only shifts, by integers."""
    config = NetworkConfig(1, filters)
    weights = trained(config)
    for name, a in weights.params.items():
        draw = rng.choice([-1, 0, 1], a.shape, p=[0.04, 0.92, 0.04])
        a[...] = 1 if name.endswith("gamma") else draw
    for name, a in weights.moving.items():
        a[...] = 1 - 1e-3 if name.endswith("var") else rng.integers(-2, 3, a.shape)
    x = rng.integers(-3, 4, (7, 6) if tile == 1 else (11, 14)).astype(np.float32)
    want = page(weights, x)
    exact = np.round(want)
    assert abs(want - exact).max() < 1e-3  # var + eps is 1, up to the rounding of float32
    assert np.ptp(exact) > 10
    np.testing.assert_array_equal(GPU.predictor(weights)(x, tile), exact)


def test_one_copy_to_the_device_and_back_for_a_tile(rng, monkeypatch):
    weights = trained(NetworkConfig(1, 32))
    x = rng.standard_normal((9, 12)).astype(np.float32)
    copies, before = [], device.streams.copy

    def watched(target, source, up, stream):
        copies.append((target.shape, up))
        before(target, source, up, stream)

    monkeypatch.setattr(device.streams, "copy", watched)
    GPU.predictor(weights)(x)  # the weights are already on the device
    assert copies == [((1, 9, 12, 1), True), ((1, 18, 24, 1), False)]


@pytest.mark.parametrize("name", PREDICTED)
def test_copies_beside_the_computing_change_no_bit(name, rng):
    config, size = PREDICTED[name]
    weights = trained(config)
    x = rng.standard_normal(size).astype(np.float32)
    forward = folded.Folded(fold(weights), config, cuda.conv)
    want = np.empty((2 * size[0], 2 * size[1]), np.float32)
    for core, seen, inner in tiles.plan(size, 5, tiles.halo(config)):
        y = forward(device.asarray(x[seen][None, :, :, None])).get()[0, :, :, 0]
        want[_doubled(core)] = y[_doubled(inner)]
    np.testing.assert_array_equal(GPU.predictor(weights)(x, 5), want)


def test_tiles_without_a_valid_pixel_are_skipped(rng, monkeypatch):
    weights = trained(NetworkConfig(1, 12))
    x = rng.standard_normal((20, 16)).astype(np.float32)
    valid = np.zeros(x.shape, bool)
    valid[8:12, 9:11] = True  # two of the tiles
    seen, before = [], folded.Folded.__call__
    monkeypatch.setattr(
        folded.Folded, "__call__", lambda self, x: seen.append(1) or before(self, x)
    )
    GPU.predictor(weights)(x, tile=9, valid=valid)
    assert len(seen) == 2


def images(rng):
    """(x, valid) of several sizes, one of them nowhere valid."""
    for k, size in enumerate([(12, 9), (5, 4), (9, 14), (6, 7), (30, 33), (4, 4), (20, 8)]):
        x = rng.standard_normal(size).astype(np.float32)
        yield x, np.zeros(size, bool) if k == 3 else None


def test_an_archive_gives_what_each_image_gives_alone(rng):
    weights = trained(NetworkConfig(1, 12))
    given = list(images(rng))
    taken, counts = [], []
    for (x, valid), y in zip(
        given,
        GPU.predictor(weights).each((taken.append(1) or image for image in given), 8),
        strict=True,
    ):
        counts.append(len(taken))
        assert y.shape == (2 * len(x), 2 * x.shape[1])
        if valid is None:
            np.testing.assert_array_equal(y, GPU.predictor(weights)(x, 8))
    # each result comes while later images are in progress, before all images are taken
    assert all(k < count <= k + 4 for k, count in enumerate(counts[:-2], 1))


def test_an_archive_goes_on_in_smaller_tiles_when_the_card_is_full(rng, monkeypatch):
    weights = trained(NetworkConfig(1, 12))
    given = list(images(rng))
    want = [GPU.predictor(weights)(x, 8) for x, _ in given]
    sizes, before = [], folded.tiled
    monkeypatch.setattr(
        folded, "tiled", lambda f, x, size, *rest: sizes.append(size) or before(f, x, size, *rest)
    )
    with device.limited(300 << 10):
        found = list(GPU.predictor(weights).each(iter(given), 64))
    assert sizes[0] == 64
    assert sizes[1] <= 16
    assert len(found) == len(given)
    for (_, valid), y, exact in zip(given, found, want, strict=True):
        assert valid is not None or abs(y - exact).max() <= 1e-5 * np.ptp(exact)


def test_smaller_tiles_when_the_page_locked_memory_is_full(rng, monkeypatch):
    before = device.cuda.alloc_pinned_memory

    def little(nbytes):
        if nbytes > 20_000:
            raise device.CUDARuntimeError(2)
        return before(nbytes)

    x = rng.standard_normal((40, 33)).astype(np.float32)
    predict = GPU.predictor(trained(NetworkConfig(1, 12)))
    whole = predict(x)
    monkeypatch.setattr(device.cuda, "alloc_pinned_memory", little)
    assert abs(predict(x, tile=64) - whole).max() <= 1e-5 * np.ptp(whole)


def test_an_archive_that_ends_because_the_card_is_full_says_so(rng):
    """If the generator itself raises, it cannot continue: the error is passed on, not swallowed."""

    def ended():
        yield rng.standard_normal((9, 14)).astype(np.float32), None
        raise device.OutOfMemoryError

    with pytest.raises(device.OutOfMemoryError):
        list(GPU.predictor(trained(NetworkConfig(1, 12))).each(ended(), 8))


def test_tiles_follow_the_free_memory_and_halve_when_the_card_is_full(rng, monkeypatch):
    weights = trained(NetworkConfig(1, 12))
    x = rng.standard_normal((40, 33)).astype(np.float32)
    whole = GPU.predictor(weights)(x)
    forward = folded.Folded(fold(weights), weights.config, cuda.conv)
    sides = []
    for nbytes in (2 << 20, 8 << 20, 32 << 20):
        with device.limited(nbytes):
            sides.append(forward.tile())
    assert 1 < sides[0] < sides[1] < sides[2] <= folded.LARGEST
    # the estimate: SHARE of the memory for the activations, which are largest after the upsampling
    assert (sides[0] + 2 * 5) ** 2 * 4 * (12 + 4 * 13) <= folded.SHARE * (2 << 20)

    sizes, before = [], folded.tiled
    monkeypatch.setattr(
        folded, "tiled", lambda f, x, size, *rest: sizes.append(size) or before(f, x, size, *rest)
    )
    with device.limited(300 << 10):
        y = GPU.predictor(weights)(x, tile=64)
    assert sizes[:2] == [64, 20]
    assert abs(y - whole).max() <= 1e-5 * np.ptp(whole)
    with device.limited(1000), pytest.raises(device.OutOfMemoryError):
        GPU.predictor(weights)(x, tile=2)
