"""Are the results of a card right? Compared with float64, and with a second run."""

import hashlib
import importlib
import sys

import numpy as np

from bench import ROOT
from bench.gpu.sizes import start
from enhance_np import layers, loss, network, optim, params
from enhance_np.engine import Engine
from enhance_np.engine.cuda import convolution, graph, methods, training
from enhance_np.inspection import accuracy
from enhance_np.training.step import gradients
from enhance_np.weights import Weights

SUPPORT = ROOT / "tests" / "support"
STEMS = tuple(sorted(path.stem for path in (ROOT / "kernels").glob("*.cu")))  # files with cases
CLIP, LR, L2 = 0.1, 1e-3, 1e-6
# of a tensor's gradient, in norm: rounding moves some of the millions of inputs of ReLUs across 0
# (bench.speed.train)
GRADIENT = 1e-3
CROP, MARGIN = 16, 2  # pixels; a crop's pixels beside a cut depend on what lies beyond it


def cases(smallest: bool = False) -> dict[str, dict]:
    """Every case of tests/support/cases twice: its own assertions, and the same bits both times.

    Kernels that the card is too old for are left out.
    smallest : the first case of each file, once.
    {"kernel: case": {"right", "same_bits", "error"}}
    """
    import cupy

    if str(SUPPORT) not in sys.path:
        sys.path.insert(0, str(SUPPORT))
    found = {}
    for stem in STEMS:
        of = importlib.import_module(f"cases.{stem}")
        if int(cupy.cuda.Device().compute_capability) < getattr(of, "NEEDS", 0):
            continue
        for name, case in list(of.CASES.items())[: 1 if smallest else None]:
            bits, error = [], None
            try:
                for _ in range(1 if smallest else 2):
                    given = case(cupy, np.random.default_rng(20100604))
                    bits.append([cupy.asnumpy(a).tobytes() for a in given])
            except Exception as raised:
                error = f"{type(raised).__name__}: {' '.join(str(raised).split())[:300]}"
            found[f"{stem}: {name}"] = {
                "right": error is None, "same_bits": error is None and bits[0] == bits[-1],
                "error": error,
            }  # fmt: skip
    return found


def step_errors(engine: Engine, sizes) -> dict[str, float]:
    """A training step against float64: largest errors over their bounds.

    The update is compared with Adam, in float64, on the card's own gradients. The first step is
    lr g / (|g| + eps) of the clipped gradient g, so a relative error e of g or of its norm gives
    an error of lr e or less, and p is rounded: 1e-5 lr + 2 u |p|.
    """
    batch, side = sizes.patches[-1]
    p, x, target = start(sizes.config, batch, side)
    on_card = {name: engine.asarray(a) for name, a in p.items()}
    state = optim.adam_start(on_card)
    given = engine.asarray(x), engine.asarray(target)
    value, g, _ = training.gradients(on_card, *given, sizes.config, engine.ops)
    new, _ = training.update(on_card, g, state, LR, L2, CLIP, value)
    value, g = float(value), {name: engine.asnumpy(a).astype("f8") for name, a in g.items()}

    wide = {name: a.astype("f8") for name, a in p.items()}
    exact = gradients(wide, x.astype("f8"), target.astype("f8"), sizes.config, layers)
    norms = {name: np.linalg.norm(a) for name, a in exact[1].items()}
    floor = accuracy.FLOOR * max(norms.values())
    _, decay = loss.l2(wide, L2)
    whole = {name: g[name] + decay.get(name, 0) for name in g}
    want, _ = optim.adam(wide, optim.clipped(whole, CLIP), optim.adam_start(wide), LR)
    allowed = {name: 1e-5 * LR + 2 * accuracy.U * abs(a) for name, a in wide.items()}
    return {
        "loss": abs(value - exact[0]) / (accuracy.PAGE_Y * exact[0]),
        "gradient": max(
            float(np.linalg.norm(g[name] - a) / (GRADIENT * norms[name] + floor))
            for name, a in exact[1].items()
        ),
        "update": max(
            float((abs(engine.asnumpy(new[name]) - want[name]) / allowed[name]).max()) for name in p
        ),
    }


def same_bits(engine: Engine, sizes, steps: int = 3) -> list[str]:
    """sha256 of the parameters after some steps, of two runs."""
    batch, side = sizes.patches[-1]
    found = []
    for _ in range(2):
        p, x, target = start(sizes.config, batch, side)
        p, x, target = (
            {name: engine.asarray(a) for name, a in p.items()}, engine.asarray(x),
            engine.asarray(target),
        )  # fmt: skip
        state = p, optim.adam_start(p)
        for _ in range(steps):
            step = engine.step
            state = step(*state, x, target, sizes.config, engine.ops, LR, L2, None, CLIP)[:2]
        digest = hashlib.sha256()
        for name in sorted(state[0]):
            digest.update(engine.asnumpy(state[0][name]).tobytes())
        found.append(digest.hexdigest())
    return found


def by_graphs(engine: Engine, sizes, steps: int = 7) -> dict[str, bool]:
    """Whether CUDA graphs of a step could be recorded, and whether they give a plain step's bits.

    The first step is plain, and each of the three graphs is launched twice.
    """
    step = graph.GraphStep()
    found = same_bits(engine._replace(step=step), sizes, steps) + same_bits(engine, sizes, steps)
    return {"recorded": not step.failed, "same_bits": len(set(found)) == 1}


def large_convolution(engine: Engine, sizes) -> dict[str, float]:
    """Largest error over its bound in crops of a large image: its corners, and places inside.

    The bounds are those of gpu-selftest: (9 Cin + 1) u of the sums of absolute values, and those
    of the methods.
    """
    n, h, w, cin, cout = sizes.large
    rng = np.random.default_rng(6)
    x = rng.standard_normal((n, h, w, cin)).astype(np.float32)
    k, b = rng.standard_normal((3, 3, cin, cout)).astype(np.float32), np.zeros(cout, np.float32)
    on_card = [engine.asarray(a) for a in (x, k, b)]
    y = {
        name: engine.asnumpy(convolution.conv(*on_card, method=name))
        for name in ("float32", *methods.options())
    }
    places = [(0, 0), (0, w - CROP), (h - CROP, 0), (h - CROP, w - CROP)]
    places += [tuple(2 * (rng.integers(0, (s - CROP) // 2)) for s in (h, w)) for _ in range(4)]
    found = dict.fromkeys(y, 0.0)
    for i, j in places:
        crop = x[:1, i : i + CROP, j : j + CROP].astype("f8")
        inner = np.s_[
            :, MARGIN * (i > 0) : CROP - MARGIN * (i + CROP < h),
            MARGIN * (j > 0) : CROP - MARGIN * (j + CROP < w),
        ]  # fmt: skip
        exact, _ = layers.pad_conv(crop, k.astype("f8"), b.astype("f8"))
        sizes_of, _ = layers.pad_conv(abs(crop), abs(k.astype("f8")), b.astype("f8"))
        for name in y:
            bound = (9 * cin + 1) * accuracy.U * sizes_of
            if name in accuracy.METHODS:
                bound = accuracy.method_bound(name, crop, k, b)
            off = abs(y[name][:1, i : i + CROP, j : j + CROP] - exact)
            share = accuracy.shares(off[inner], bound[inner])
            found[name] = max(found[name], float(share.max()))
    return found


def archive(engine: Engine, sizes) -> list[float]:
    """Images of several sizes from a generator; each error over 1e-5 of its range."""
    p, moving = params.initial(sizes.config, 0)
    rng = np.random.default_rng(7)
    images = [rng.standard_normal(size).astype(np.float32) for size in sizes.mixed]
    predictor = engine.predictor(Weights(sizes.config, p, moving))
    wide = [{name: a.astype("f8") for name, a in group.items()} for group in (p, moving)]
    found = []
    for image, y in zip(images, predictor.each((x, None) for x in images), strict=True):
        x = image[None, :, :, None].astype("f8")
        want = network.forward(wide[0], x, sizes.config, moving=wide[1])[0][0, :, :, 0]
        found.append(float(abs(y - want).max() / (accuracy.PAGE_Y * np.ptp(want))))
    return found


def passed(found: dict) -> bool:
    """Whether every section on results is there and right."""
    within = ("step", "large convolution", "ladder")
    return bool(
        found.get("cases")
        and all(case["right"] and case["same_bits"] for case in found["cases"].values())
        and all(found.get(name) and max(found[name].values()) <= 1 for name in within)
        and found.get("archive")
        and max(found["archive"]) <= 1
        and len(set(found.get("same bits", "ab"))) == 1
        and found.get("graphs", {}).get("same_bits")
    )
