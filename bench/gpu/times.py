"""How fast is a card? Our own times, PyTorch's, and the ceilings that the card can reach."""

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from bench.gpu import ladder
from enhance_np import params
from enhance_np.engine import Engine
from enhance_np.engine.cuda import convolution, graph, methods, vocabulary
from enhance_np.inspection import gpu_selftest
from enhance_np.weights import Weights

FMA = """
extern "C" __global__ void __launch_bounds__(256) fma_loop(float* y, int loops)
{
    float a[8];
    for (int k = 0; k < 8; ++k) a[k] = threadIdx.x + k;
    for (int i = 0; i < loops; ++i)
        #pragma unroll
        for (int k = 0; k < 8; ++k) a[k] = a[k] * 0.999f + 0.001f;
    float sum = 0;
    for (int k = 0; k < 8; ++k) sum += a[k];
    y[blockIdx.x * 256 + threadIdx.x] = sum;
}
"""


def ceilings(sizes) -> dict[str, float]:
    """{"flops", "bytes_per_second"}: a loop of multiply-adds in registers; a copy on the card."""
    import cupy

    kernel = cupy.RawModule(code=FMA, options=("--std=c++17",)).get_function("fma_loop")
    y = cupy.empty(sizes.blocks * 256, np.float32)
    arguments = (y, np.int32(sizes.loops))
    loop = _median(lambda: kernel((sizes.blocks,), (256,), arguments), sizes)
    source = cupy.zeros(sizes.copied // 4, np.float32)
    target = cupy.empty(sizes.copied // 4, np.float32)

    def copy():
        target[...] = source

    return {
        "flops": 2 * 8 * sizes.loops * y.size / loop,
        "bytes_per_second": 2 * source.nbytes / _median(copy, sizes),
    }


def own(engine: Engine, sizes, progress: Callable) -> dict[str, dict[str, float]]:
    """{what: {"device", "host", "flop"}} in seconds; host is the time until the call returns."""
    found = {}
    for batch, side in sizes.patches:
        ways = gpu_selftest.ways(engine, sizes.config, batch, side, 16)
        for name, (way, work) in ways.items():
            if f"{batch} x {side}" in name:
                found[name] = _both(way, sizes) | {"flop": work}
        by_graphs = engine._replace(step=graph.GraphStep())
        ways = gpu_selftest.ways(by_graphs, sizes.config, batch, side, 16)
        for name, (way, work) in ways.items():
            if name == f"training step, {batch} x {side} x {side}":
                for _ in range(graph.STATES):
                    way()  # the first, and those that record
                found[f"{name}, by graphs"] = _both(way, sizes) | {"flop": work}
    p, moving = params.initial(sizes.config, 0)
    rng = np.random.default_rng(2)
    per_pixel = gpu_selftest.work(sizes.config)["forward"]
    for method in ("float32", *methods.options()):
        by = engine._replace(ops=vocabulary.by(method))
        predictor = by.predictor(Weights(sizes.config, p, moving))
        for side in sizes.images:
            image = rng.standard_normal((side, side), np.float32)
            name = f"prediction, {side} x {side}" + f", {method}" * (method != "float32")
            few = sizes.repeats if side < 2000 else 3
            took = _median(lambda p=predictor, x=image: p(x), sizes, few)
            found[name] = {"device": took, "flop": per_pixel * side * side}
    for shape in sizes.shapes:
        n, h, w, cin, cout = shape
        x, k, b, dy = (
            engine.asarray(rng.standard_normal(size, np.float32))
            for size in ((n, h, w, cin), (3, 3, cin, cout), (cout,), (n, h, w, cout))
        )
        _, cache = engine.ops.pad_conv(x, k, b)
        for name, way in {
            "y": lambda a=(x, k, b): convolution.conv(*a),
            **{
                f"y, {method}": lambda a=(x, k, b), by=method: convolution.conv(*a, method=by)
                for method in methods.options()
            },
            "dW": lambda a=(dy, cache): engine.ops.pad_conv_gradient(*a),
            "dX and dW": lambda a=(dy, cache): engine.ops.pad_conv_backward(*a),
        }.items():
            work = ladder.flop(shape) * (2 if name.startswith("dX") else 1)
            found[f"{ladder.text(shape)}: {name}"] = _both(way, sizes) | {"flop": work}
    for name, took in found.items():
        progress(f"  {name:<48} {1e3 * took['device']:10.3f} ms")
    return found


def torch(sizes, left: Callable[[], float], progress: Callable) -> dict:
    """{"version", "step": {batch: {way: seconds}}, "prediction": ..., "convolution": ...}."""
    from torch import __version__, backends

    from bench.gpu import peers
    from enhance_np.inspection import peer_torch

    def timed(ways, least):
        found = {}
        for name, way in ways:
            if left() < least:
                break
            try:
                found[name] = median(peer_torch.seconds(way, sizes.warm_up, sizes.repeats))
                progress(f"  PyTorch: {name:<48} {1e3 * found[name]:10.3f} ms")
            except Exception as error:
                found[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                progress(f"  PyTorch: {name}: {found[name]}")
        return found

    p, moving = params.initial(sizes.config, 0)
    weights, rng = Weights(sizes.config, p, moving), np.random.default_rng(2)
    found = {"version": __version__, "cudnn": backends.cudnn.version()}
    found["step"] = {
        f"{batch} x {side} x {side}": timed(peers.steps(sizes.config, batch, side), 60)
        for batch, side in sizes.patches
    }
    found["prediction"] = {
        f"{side} x {side}": timed(
            peers.predictions(weights, rng.standard_normal((side, side), np.float32)), 60
        )
        for side in sizes.images if side < 2000
    }  # fmt: skip
    found["convolution"] = {
        ladder.text(shape): timed(peers.convolutions(shape), 60) for shape in sizes.shapes
    }
    batch, side = sizes.patches[0]
    found["compiled step"] = timed(peers.steps(sizes.config, batch, side, compile=True), 150)
    return found


def _median(way, sizes, repeats=None):
    return median(gpu_selftest.seconds(way, sizes.warm_up, repeats or sizes.repeats))


def _both(way, sizes):
    """Seconds by the card's clock, and of the host alone, for calls one after another."""
    import cupy

    device = _median(way, sizes)
    cupy.cuda.Device().synchronize()
    began = time.perf_counter()
    for _ in range(sizes.repeats):
        way()
    host = (time.perf_counter() - began) / sizes.repeats
    cupy.cuda.Device().synchronize()
    return {"device": device, "host": host}
