"""The frameworks with which the whole network is compared, if they are installed.

Each module runs network.forward with an `ops` that calls its framework or writes its graph, so
that all have the same network. It has
    predictors(weights, x, threads)                        name -> callable: y (2H, 2W)
    trainers(p, x, target, config, lr, decay, threads)     name -> (step, gradients)
where gradients() gives (loss, {name of a parameter: gradient as in network.backward}).
"""

from importlib import import_module
from importlib.util import find_spec

PREDICT = {
    "openvino": "openvino_f32",
    "onnxruntime": "onnx_runtime",
    "torch": "pytorch",
    "tensorflow": "tensorflow_keras",
}
TRAIN = {"torch": "pytorch", "tensorflow": "tensorflow_keras"}
NEEDS = {"openvino": ("onnx",), "onnxruntime": ("onnx",)}  # beside themselves


def add_option(parser, modules: dict[str, str]) -> None:
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=list(modules),
        help="only these; none without a name (those that are installed)",
    )


def chosen(asked: list[str] | None, modules: dict[str, str]) -> list[str]:
    """The requested packages, else the installed ones. Exits if a requested one is missing."""
    lacking = {
        name: [p for p in (name, *NEEDS.get(name, ())) if not find_spec(p)] for name in modules
    }
    if asked is None:
        return [name for name in modules if not lacking[name]]
    if missing := [package for name in asked for package in lacking[name]]:
        raise SystemExit(f"bench: to run {', '.join(asked)}, install {', '.join(missing)}")
    return list(dict.fromkeys(asked))


def predictors(packages, *arguments):
    found = {}
    for package in packages:
        found |= import_module(f".{PREDICT[package]}", __name__).predictors(*arguments)
    return found


def trainers(packages, *arguments):
    found = {}
    for package in packages:
        found |= import_module(f".{TRAIN[package]}", __name__).trainers(*arguments)
    return found
