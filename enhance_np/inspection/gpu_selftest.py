"""gpu-selftest: checks the results of a card and measures its speed.

Correctness: every operation, and the 3x3 convolution by every method (engine.cuda.methods), must
be within a derived bound (see accuracy.py); the network and a prediction must be, by every method,
within the bounds that tests/engine applies to the CPU.
Speed: the time between events on the device, as the median of REPEATS, and its share of the peak

    multiprocessors * FP32 cores of each * 2 (a fused multiply-add) * clock

with the clock that the driver reports; a card may run faster or slower. The work of a convolution
is the number of multiply-adds of its definition, so an algorithm that needs fewer can have a larger
share.
"""

import os
import platform
from collections.abc import Callable
from functools import partial
from math import prod
from pathlib import Path
from statistics import median

import numpy as np

from .. import __version__, network, optim, params
from .._errors import avoidable
from ..config import DEFAULT, NetworkConfig
from ..engine import Engine, select
from ..engine.cuda import methods, vocabulary
from ..engine.cuda.convolution import conv
from ..engine.tiles import AFTER_UPSAMPLING
from ..training.step import step_once
from ..weights import Weights
from . import accuracy
from .gpu_report import Report

WARM_UP, REPEATS = 3, 20
BATCH, PATCH, IMAGE = 32, 50, 1024  # patches of a step and their side, side of a predicted image
# FP32 cores of a multiprocessor by compute capability; CUDA C++ Programming Guide, table of
# arithmetic throughput
CORES = {60: 64, 61: 128, 70: 64, 75: 64, 80: 64, 86: 128, 87: 128, 89: 128, 90: 128}
CORES |= {100: 128, 103: 128, 120: 128, 121: 128}


def run(
    json_file: str | os.PathLike | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> dict:
    """The whole report: {"device", "operations", "page", "passed", "seconds", "torch", "errors"}.

    json_file : file for the report, to attach to an issue; it is written after every section, and
    what a section raises stands in "errors".  progress : called with each line.
    Raises RuntimeError with the reason if there is no GPU. Raises OSError, before any computation,
    if the file exists and not `overwrite`, or if it cannot be written.
    """
    engine = select("gpu")
    if json_file is not None:
        _check_output(Path(json_file), overwrite)
    report = Report(json_file, progress)
    found, card = report.found, None
    with report.section("device"):
        card = found["device"] = device()
        progress(_title(card))
    checks = {
        "operations": lambda: operations(engine, accuracy.SIZES, accuracy.CHANNELS),
        "page": lambda: page(engine, DEFAULT),
    }
    found["passed"] = True
    for name, check in checks.items():
        right = False
        with report.section(name):
            found[name] = check()
            right = all(error["share"] <= 1 for error in found[name])  # NaN is not
            for line in _error_lines(name, found[name]):
                progress(line)
        found["passed"] &= right
    peak, found["seconds"], prepared = card and card["peak_flops"], {}, {}
    with report.section("preparation"):
        prepared = ways(engine, DEFAULT, BATCH, PATCH, IMAGE)
    for name, (way, work) in prepared.items():
        with report.section(name):
            found["seconds"][name] = _timed(seconds(way, WARM_UP, REPEATS), work, peak)
            progress(_time_line(name, found["seconds"][name]))
    with report.section("torch"):
        found["torch"] = beside_torch(progress)
    return found


def _check_output(path, overwrite):
    if path.exists() and not overwrite:
        message = f"gpu-selftest: {os.fspath(path)!r} must not exist, unless overwrite is set"
        raise avoidable(OSError(message), "overwrite")
    if not path.absolute().parent.is_dir():
        raise OSError(f"gpu-selftest: the folder of {os.fspath(path)!r} must exist")


# -------------------------------------------------------------------------------------- the card
def device() -> dict:
    """Properties of the card and the software for the report; peak_flops is None if unknown."""
    import cupy

    runtime, card = cupy.cuda.runtime, cupy.cuda.Device()
    properties, attributes = runtime.getDeviceProperties(card.id), card.attributes
    capability = int(card.compute_capability)
    cores, clock = CORES.get(capability), attributes["ClockRate"] * 1000  # ClockRate is in kHz
    processors = attributes["MultiProcessorCount"]
    return {
        "name": properties["name"].decode(),
        "compute_capability": f"{capability // 10}.{capability % 10}",
        "multiprocessors": processors,
        "cores_per_multiprocessor": cores,
        "clock_hz": clock,
        "peak_flops": cores and processors * cores * 2 * clock,
        "memory_bytes": card.mem_info[1],
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
        "nvrtc": ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
        "cupy": cupy.__version__,
        "numpy": np.__version__,
        "enhance_np": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
    }


# ----------------------------------------------------------------------------------- correctness
def operations(engine: Engine, sizes, channels) -> list[dict]:
    """Errors of every operation.  sizes, channels : as for accuracy.check."""
    rng = np.random.default_rng(0)
    errors = [*accuracy.check(engine, rng, sizes, channels)]
    for name in methods.options():
        errors += accuracy.check_method(engine, rng, name, sizes)
    return [error._asdict() for error in errors]


def page(engine: Engine, config: NetworkConfig) -> list[dict]:
    """Errors of the forward pass, every gradient and a prediction, by the float64 reference."""
    found = [*_page(engine, config, "")]
    for name in methods.options():
        found += _page(engine._replace(ops=vocabulary.by(name)), config, f", {name}")
    return [error._asdict() for error in found]


def _page(engine, config, by):
    rng = np.random.default_rng(1)
    p, moving = params.initial(config, 0)
    x = rng.standard_normal((2, 9, 6, 1)).astype(np.float32)
    dy = rng.standard_normal((2, 18, 12, 1)).astype(np.float32)
    on_device = {name: engine.asarray(a) for name, a in p.items()}
    y, tape = network.forward(on_device, engine.asarray(x), config, engine.ops)
    dx, g = network.backward(engine.asarray(dy), tape, config, engine.ops)
    exact = {name: a.astype("f8") for name, a in p.items()}
    want, exact_tape = network.forward(exact, x.astype("f8"), config)
    want_dx, want_g = network.backward(dy.astype("f8"), exact_tape, config)
    yield accuracy.error(f"page{by}: y", engine, y, want, accuracy.PAGE_Y * np.ptp(want))
    largest = max(abs(a).max() for a in want_g.values())
    gradients = {"x": (dx, want_dx)} | {name: (g[name], want_g[name]) for name in g}
    for name, (found, a) in gradients.items():
        bar = accuracy.PAGE_G * abs(a).max() + accuracy.FLOOR * largest
        yield accuracy.error(f"page{by}: gradient of {name}", engine, found, a, bar)
    image = rng.standard_normal((37, 45)).astype(np.float32)
    found = engine.predictor(Weights(config, p, moving))(image, tile=32)
    wide = {name: a.astype("f8") for name, a in moving.items()}
    want, _ = network.forward(exact, image[None, :, :, None].astype("f8"), config, moving=wide)
    bar = accuracy.PAGE_Y * np.ptp(want)
    as_is = engine._replace(asnumpy=np.asarray)
    yield accuracy.error(f"prediction{by}", as_is, found, want[0, :, :, 0], bar)


# ------------------------------------------------------------------------------------------ time
def work(config: NetworkConfig) -> dict[str, int]:
    """{"forward", "backward"}: FLOP of the convolutions per input pixel, 2 for a multiply-add.

    backward is for training: dx and dw of each convolution, but only dw of the first one.
    """
    each = {
        name: 2 * prod(shape) * (4 if name in AFTER_UPSAMPLING else 1)
        for kind, name, shape in params.layers(config)
        if kind == "conv"
    }
    forward = sum(each.values())
    return {"forward": forward, "backward": 2 * forward - each["stem/conv"]}


def ways(engine: Engine, config: NetworkConfig, batch: int, patch: int, image: int) -> dict:
    """{name: (function to time, its FLOP)}.  patch, image : sides in pixels.

    It includes the methods that are not used by default.
    """
    rng = np.random.default_rng(2)
    p, moving = params.initial(config, 0)
    on_device = {name: engine.asarray(a) for name, a in p.items()}
    x, target = (
        engine.asarray(rng.standard_normal((batch, side, side, 1)).astype(np.float32))
        for side in (patch, 2 * patch)
    )
    _, tape = network.forward(on_device, x, config, engine.ops)
    step = engine.step or step_once

    def training(ops):
        state = [on_device, optim.adam_start(on_device)]

        def train():
            """From the last step's result, as in a training: a first step copies every tensor."""
            state[:] = step(*state, x, target, config, ops, 1e-4, 1e-6)[:2]

        return train

    picture = rng.standard_normal((image, image)).astype(np.float32)
    weights, per_pixel = Weights(config, p, moving), work(config)
    predictor = engine.predictor(weights)
    h = engine.asarray(rng.standard_normal((1, image, image, 64)).astype(np.float32))
    w = engine.asarray(rng.standard_normal((3, 3, 64, 64)).astype(np.float32))
    b, of_conv = engine.asarray(np.zeros(64, np.float32)), 2 * 9 * 64 * 64 * picture.size
    pixels = batch * patch**2
    sides = f"{batch} x {patch} x {patch}"
    forward, backward = per_pixel["forward"] * pixels, per_pixel["backward"] * pixels
    found = {
        f"forward, {sides}": (
            lambda: network.forward(on_device, x, config, engine.ops),
            forward,
        ),
        f"backward, {sides}": (
            lambda: network.backward(target, tape, config, engine.ops, wrt_x=False),
            backward,
        ),
        f"training step, {sides}": (
            training(engine.ops),
            forward + backward,
        ),
        f"prediction, {image} x {image}, from and to NumPy": (
            lambda: predictor(picture),
            per_pixel["forward"] * picture.size,
        ),
        f"3x3, 64 to 64, {image} x {image}": (lambda: conv(h, w, b), of_conv),
    }
    for name in methods.options():
        by = engine._replace(ops=vocabulary.by(name))
        found[f"training step, {sides}, {name}"] = training(by.ops), forward + backward
        found[f"prediction, {image} x {image}, {name}"] = (
            partial(by.predictor(weights), picture),
            per_pixel["forward"] * picture.size,
        )
        found[f"3x3, 64 to 64, {image} x {image}, {name}"] = (
            partial(conv, h, w, b, method=name),
            of_conv,
        )
    return found


def seconds(way: Callable, warm_up: int, repeats: int) -> list[float]:
    """Seconds between events before and after each call, by the clock of the device."""
    import cupy

    for _ in range(warm_up):
        way()
    found = []
    for _ in range(repeats):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        way()
        end.record()
        end.synchronize()
        found.append(cupy.cuda.get_elapsed_time(start, end) / 1000)  # from ms
    return found


def _timed(measured, work, peak):
    middle = median(measured)
    return {
        "median": middle,
        "least": min(measured),
        "most": max(measured),
        "flop": work,
        "share_of_peak": peak and work / middle / peak,
    }


def beside_torch(progress=lambda line: None) -> dict | None:
    """The same with PyTorch on this card, in float32 without TF32; None if it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    from . import peer_torch

    found = {"version": torch.__version__, "cudnn": torch.backends.cudnn.version()}
    found["seconds"] = {}
    for name, way in peer_torch.ways(DEFAULT, BATCH, PATCH, IMAGE).items():
        timed = peer_torch.seconds(way, WARM_UP, REPEATS)
        found["seconds"][name] = _timed(timed, None, None)
        progress(f"  PyTorch: {name:<48} {1e3 * median(timed):10.3f} ms")
    return found


# ---------------------------------------------------------------------------------------- output
def _title(card):
    peak = card["peak_flops"]
    peak_text = (
        f"peak {peak / 1e12:.1f} TFLOP/s = {card['multiprocessors']} multiprocessors * "
        f"{card['cores_per_multiprocessor']} cores * 2 * {card['clock_hz'] / 1e9:.3f} GHz"
        if peak
        else "peak not known"
    )
    return f"{card['name']} (compute capability {card['compute_capability']}), {peak_text}"


def _error_lines(kind, found):
    errors = [accuracy.Error(**error) for error in found]
    failed = [error for error in errors if not error.passed]
    worst = max(errors, key=lambda error: error.share)
    yield (
        f"{kind}: {len(errors) - len(failed)} of {len(errors)} results within their bound, "
        f"largest share {worst.share:.2g} ({worst.name})"
    )
    for error in failed:
        share = f"{error.share:.2g} of its bound"
        yield f"  FAILED {error.name}: error {error.largest:.1e}, {share}"


def _time_line(name, found):
    share = found["share_of_peak"]
    share = "" if share is None else f"  {100 * share:5.1f} % of peak"
    return f"{name:<50} {1e3 * found['median']:10.3f} ms{share}"
