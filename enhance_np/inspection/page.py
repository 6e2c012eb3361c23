"""One self-contained HTML page that shows a trace: every layer, forward and backward.

The page holds the input, the target, the weights and their gradients as exact float32 numbers,
and 8-bit maps of all activations and gradients. From the exact ones, the JavaScript in web/
computes every number of a window of 16 x 16 input pixels again, forward and backward.
"""

import ast
import base64
import inspect
import json
import textwrap
import zlib
from importlib import resources

import numpy as np

from .. import __version__, loss, network, optim
from ..config import MODES
from ..engine import Engine
from ..engine.fold import live_filters
from ..engine.tiles import halo
from . import formulas
from .subject import BICUBIC, Subject
from .trace import Trace, statistics, trace

# order in which the scripts use each other
SCRIPTS = "engine", "data", "maps", "drawing", "arithmetic", "steps", "parameters", "inspector"
WINDOW = 16  # input pixels on a side
LEARNING_RATE = 1e-4  # of the steps of Adam that the page works out; the default of training
MAPS = 3_500_000  # bytes of the 8-bit maps of features, before compression
LARGEST = 15_000_000  # bytes of a page; base64 takes 4 for 3


def build(subject: Subject, engine: Engine, mode: str = "training") -> tuple[str, Trace]:
    """(the page as text, the trace that it shows).

    engine : runs the network.  mode : see `trace`.
    Raises ValueError if a value or a gradient is not finite, or the network too large for a page.
    """
    traces = {
        m: trace(subject.weights, subject.x, subject.target, mode=m, engine=engine) for m in MODES
    }
    shown = traces[mode]
    for name, a in shown.tensors().items():
        if not np.isfinite(a).all():
            raise ValueError(f"inspect: every value must be finite, got infinity or NaN in {name}")
    arrays = exact_arrays(subject, traces, mode)
    maps = eight_bit_maps(shown, min(MAPS, _room(arrays)))
    blob, places = packed(arrays | {f"map {name}": a for name, (a, _) in maps.items()})
    config = shown.config
    about = {
        "about": subject.about,
        "version": __version__,
        "mode": mode,
        "loss": shown.loss,
        "unit": shown.unit,
        "bicubic": BICUBIC,
        "origin": subject.origin,
        "at": subject.at[::-1],
        "window": WINDOW,
        "halo": halo(config),
        "depth": config.depth,
        "activation": config.activation,
        "adam": {"beta1": optim.BETA1, "beta2": optim.BETA2, "eps": optim.EPS, "lr": LEARNING_RATE},
        "steps": [
            {
                "name": step.name,
                "operation": step.operation,
                "shape": step.h.shape[1:],
                "line": step.line,
                "back": step.line_backward,
                "dead": [] if step.dead is None else np.flatnonzero(step.dead).tolist(),
                "unit": shown.unit_of(step.name),
                "values": statistics(step.h),
                "gradients": statistics(step.dh),
            }
            for step in shown.steps.values()
        ],
        "live": live_filters(subject.weights),
        "parameters": {n: list(p.value.shape) for n, p in shown.parameters.items()},
        "biases": _biases(traces),
        "formulas": _formulas(shown),
        "sources": {
            "forward": source(network.forward),
            "backward": source(network.backward),
            "loss": source(loss.mse),
            "adam": source(optim.adam),
        },
        "maps": {name: ranges for name, (_, ranges) in maps.items()},
        "arrays": places,
    }
    return filled(about, blob), shown


def exact_arrays(subject: Subject, traces: dict[str, Trace], mode: str) -> dict[str, np.ndarray]:
    """The float32 arrays from which the page computes."""
    shown = traces[mode]
    found = {"x": subject.x, "target": subject.target}
    for name, parameter in shown.parameters.items():
        found[name] = parameter.value
        found[f"d {name}"] = parameter.gradient
    for name, step in shown.steps.items():
        if step.operation in ("bn_act", "bn_add"):
            for m, traced in traces.items():
                cache = traced.tape[name]
                found[f"{m} {name}/mean"] = np.asarray(cache.mean, np.float32)
                found[f"{m} {name}/var"] = np.asarray(cache.var, np.float32)
    return found


def _formulas(shown: Trace) -> dict[str, dict[str, list[str]]]:
    found = {"forward": {}, "backward": {}}
    for operation in {step.operation for step in shown.steps.values()}:
        about = operation, shown.config.activation, shown.mode
        found["forward"][operation] = formulas.forward(*about)
        found["backward"][operation] = formulas.backward(*about)
    return found


def _biases(traces: dict[str, Trace]) -> dict[str, dict[str, float]]:
    """Largest gradient of each bias of a convolution and each beta, in both modes."""
    names = [n for n in traces["training"].parameters if n.endswith(("/b", "/beta"))]
    return {n: {m: float(abs(t[n].gradient).max()) for m, t in traces.items()} for n in names}


def _room(arrays: dict[str, np.ndarray]) -> int:
    """Bytes that a page of LARGEST has left for maps, beside the exact arrays and the text."""
    exact = sum(a.nbytes for a in arrays.values())
    room = LARGEST * 3 // 4 - exact - LARGEST // 10
    if room < 0:
        raise ValueError(
            f"inspect: a page of {LARGEST / 1e6:.3g} MB must hold image, weights and gradients, "
            f"got {exact / 1e6:.3g} MB of them"
        )
    return room


def eight_bit_maps(shown: Trace, most: int) -> dict[str, tuple[np.ndarray, list]]:
    """{name: (map, ranges)} of all activations, and with "d " before the name of all gradients.

    map : (C, h, w) uint8, from the smallest (0) to the largest value (255) of each channel.
    ranges : for each channel [lowest, highest] of the map, then of the exact values.
    The maps of features are means over f x f input pixels; f is the smallest with which all of
    them take no more than `most` bytes, or one pixel each. Images, of one channel, are not reduced.
    """
    tensors = {"x": shown.x, "target": shown.target, "d x": shown.dx}
    for step in shown.steps.values():
        tensors |= {step.name: step.h, f"d {step.name}": step.dh}
    height = shown.x.shape[1]

    def factor(a, f):
        return f * (a.shape[1] // height) if f > 1 and a.shape[-1] > 1 else 1

    features = [a for a in tensors.values() if a.shape[-1] > 1]
    f = 1
    while f < height and sum(-(-a.size // factor(a, f) ** 2) for a in features) > most:
        f += 1
    return {name: _bytes(a[0], factor(a, f)) for name, a in tensors.items()}


def _means(a: np.ndarray, f: int) -> np.ndarray:
    """Means over f x f pixels of a (H, W, C); the last ones may be of fewer."""
    for axis in (0, 1):
        starts = np.arange(0, a.shape[axis], f)
        sizes = np.diff([*starts, a.shape[axis]])
        sums = np.add.reduceat(a, starts, axis)
        a = sums / np.expand_dims(sizes, [i for i in range(3) if i != axis])
    return a


def _bytes(exact: np.ndarray, f: int) -> tuple[np.ndarray, list]:
    a = _means(exact, f)
    ends = [getattr(values, end)(axis=(0, 1)) for values in (a, exact) for end in ("min", "max")]
    low, high = ends[:2]
    span = np.where(high > low, high - low, 1)
    scaled = np.rint(255 * (a - low) / span).astype(np.uint8)
    ranges = [[float(f"{v:.6g}") for v in of_channel] for of_channel in zip(*ends, strict=True)]
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)), ranges


def packed(arrays: dict[str, np.ndarray]) -> tuple[str, dict]:
    """(base64 of the deflated little-endian bytes, {name: [type, offset in bytes, shape]})."""
    places, parts, offset = {}, [], 0
    for name, a in arrays.items():
        kind = "u1" if a.dtype == np.uint8 else "f4"
        content = np.ascontiguousarray(a, np.dtype(kind).newbyteorder("<")).tobytes()
        content += bytes(-len(content) % 4)
        places[name] = [kind, offset, list(a.shape)]
        parts.append(content)
        offset += len(content)
    return base64.b64encode(zlib.compress(b"".join(parts), 9)).decode("ascii"), places


def source(function) -> dict:
    """{"first": number of the first line, "lines": [...], "helpers": {name: [first, last]}}."""
    lines, first = inspect.getsourcelines(function)
    tree = ast.parse(textwrap.dedent("".join(lines)))
    body = tree.body[0]
    inner = [node for node in body.body if isinstance(node, ast.FunctionDef)]
    after = body.body[1].lineno - 1  # behind the docstring
    return {
        "first": first + after,
        "signature": [line.rstrip("\n") for line in lines[: body.body[0].lineno - 1]],
        "start": first,
        "lines": [line.rstrip("\n") for line in lines[after:]],
        "helpers": {f.name: [first + f.lineno - 1, first + f.end_lineno - 1] for f in inner},
    }


def filled(about: dict, blob: str) -> str:
    """The page: template, style, scripts and data in one text."""
    web = resources.files(__package__) / "web"

    def read(name):
        return (web / name).read_text(encoding="utf-8")

    # "<" is escaped, so that no text of a file can end the element
    data = json.dumps(about, allow_nan=False).replace("<", "\\u003c")
    parts = {
        "STYLE": read("style.css"),
        "DATA": data,
        "BLOB": blob,
        "SCRIPTS": "\n".join(read(f"{name}.js") for name in SCRIPTS),
    }
    page = read("page.html")
    for name, text in parts.items():
        head, mark, tail = page.partition(f"<!--{name}-->")
        assert mark, name
        page = head + text + tail
    return page
