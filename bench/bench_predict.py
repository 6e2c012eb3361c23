"""How long does the whole network take on one image, beside ONNX Runtime and PyTorch?

    python bench/bench_predict.py [--sizes 200 400 1024] [--repeats 20] [--threads N] [--readme]

Every way has the same weights, input and number of threads, and is held against the page in
float64 before it is timed. ONNX Runtime and PyTorch take part if they are installed:
pip install "enhance_np[bench]" torch. The peers run the page too, with an `ops` that writes an
ONNX graph or calls torch.
"""

from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import table
import timing
from bench_train import torch_images, torch_ops, torch_tensors

from enhance_np import models, network, params
from enhance_np.config import DEFAULT
from enhance_np.engine import REFERENCE, select
from enhance_np.engine.predict import run
from enhance_np.layers.batchnorm import EPS
from enhance_np.weights import Weights, load

LIMIT = 1e-4  # largest error over the range of the exact output
REFERENCE_LIMIT = 400  # pixels: im2col of a larger image takes gigabytes
EXACT_TILE = 128


def main():
    parser = timing.arguments(__doc__.splitlines()[0], repeats=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 400, 1024])
    options = parser.parse_args()
    timing.clean_start(options.threads)
    record = {
        "environment": timing.environment(options.threads),
        "repeats": options.repeats,
        "weights": "shipped" if models.path("intensity").is_file() else "random",
        "results": [],
    }
    weights = load(models.path("intensity")) if record["weights"] == "shipped" else random()
    rng = np.random.default_rng(0)
    for size in options.sizes:
        x = (1 + 0.04 * rng.standard_normal((size, size))).astype(np.float32)
        known = ways(weights, x, options.threads)
        errors = checked(known, weights, x)
        seconds = timing.interleaved(known, options.repeats)
        found = {"size": size, "errors": errors, "summary": timing.summary(seconds)}
        record["results"].append(found | {"seconds": seconds})
    names = list(max((r["summary"] for r in record["results"]), key=len))
    rows = (
        [f"{r['size']} x {r['size']}", *timing.cells(r["summary"], names)]
        for r in record["results"]
    )
    worst = max(error for r in record["results"] for error in r["errors"].values())
    text = "\n\n".join(
        [
            table.markdown(["input", *names], rows),
            f"{timing.caption(record)} Largest error against float64, over the range of the "
            f"output: {worst:.1e}.",
        ]
    )
    timing.publish("predict", record, text, options.readme)


def random():
    """Weights of the default network with nothing left at 0 or 1."""
    rng = np.random.default_rng(0)
    groups = params.initial(DEFAULT, 0)
    for group in groups:
        for name in group:
            if not name.endswith("/w"):
                group[name] += 0.1 * rng.random(group[name].shape, np.float32)
    return Weights(DEFAULT, *groups)


def ways(weights, x, threads):
    """name -> callable that gives the (2H, 2W) output for x; ours first."""
    cpu = select("cpu")
    found = {"enhance_np": lambda: run(x, weights, cpu)}
    if find_spec("onnx") and find_spec("onnxruntime"):
        found["ONNX Runtime"] = onnx_runtime(weights, x, threads)
    if find_spec("torch"):
        found["PyTorch eager"] = torch_eager(weights, x, threads)
    if max(x.shape) <= REFERENCE_LIMIT:
        found["enhance_np, reference layers"] = lambda: run(x, weights, REFERENCE)
    return found


def checked(known, weights, x):
    """Largest error of every way over the range of the page's float64 output; exits if large."""
    groups = ({n: a.astype("f8") for n, a in g.items()} for g in (weights.params, weights.moving))
    exact = run(x.astype("f8"), Weights(weights.config, *groups), REFERENCE, EXACT_TILE)
    errors = {}
    for name, way in known.items():
        errors[name] = float(np.abs(way() - exact).max() / np.ptp(exact))
        print(f"{len(x)} x {len(x)}, {name}: error {errors[name]:.1e}")
        if not errors[name] <= LIMIT:
            raise SystemExit(f"bench_predict: {name} must agree within {LIMIT}: not timed")
    return errors


def onnx_runtime(weights, x, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(
        onnx_model(weights, x.shape), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"x": x[None, None]})[0][0, 0]


def onnx_model(weights, shape) -> bytes:
    """The page as an ONNX graph, NCHW: it is run once on names of values instead of arrays."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, constants = [], []

    class Value(str):
        def __add__(self, other):
            return node("Add", self, other)

    def node(kind, *inputs, **attributes):
        output = Value(f"h{len(nodes)}")
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(array):
        name = f"c{len(constants)}"
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def pad_conv(h, w, b):
        p = len(w) // 2
        if p:
            h = node("Pad", h, constant(np.array([0, 0, p, p] * 2, np.int64)), mode="reflect")
        return node("Conv", h, constant(w.transpose(3, 2, 0, 1)), constant(b)), None

    def batchnorm_moving(h, *statistics):
        return node("BatchNormalization", h, *map(constant, statistics), epsilon=EPS)

    def upsample(h):
        nearest = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        twice = constant(np.array([1, 1, 2, 2], np.float32))
        return node("Resize", h, "", twice, mode="nearest", **nearest)

    ops = SimpleNamespace(
        pad_conv=pad_conv,
        batchnorm_moving=batchnorm_moving,
        relu=lambda h: (node("Relu", h), None),
        elu=lambda h: (node("Elu", h), None),
        upsample=upsample,
    )
    y, _ = network.forward(weights.params, Value("x"), weights.config, ops, weights.moving)
    h, w = shape
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, *size])]
        for name, size in (("x", (h, w)), (y, (2 * h, 2 * w)))
    ]
    graph = helper.make_graph(nodes, "enhance", *ends, constants)
    opset = helper.make_opsetid("", 18)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    checker.check_model(model, full_check=True)
    return model.SerializeToString()


def torch_eager(weights, x, threads):
    import torch

    torch.set_num_threads(threads)
    p, moving = torch_tensors(weights.params), torch_tensors(weights.moving)
    image, ops = torch_images(x.reshape(1, *x.shape, 1)), torch_ops()

    @torch.inference_mode()
    def forward():
        return network.forward(p, image, weights.config, ops, moving)[0][0, 0].numpy()

    return forward


if __name__ == "__main__":
    main()
