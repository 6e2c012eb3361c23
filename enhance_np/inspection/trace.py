"""One run of the network with every named value kept: forward, loss and backward.

`network.forward` and `network.backward` report each activation h and each gradient dh to an
observer; `trace` gives them one that keeps everything. Nothing is computed twice, and the numbers
are those that training or prediction uses.
"""

import sys
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

import numpy as np

from .. import loss, network
from ..config import MODES, NetworkConfig
from ..engine import REFERENCE, Engine
from ..weights import Weights
from . import formulas

# of x, y and the target, by the type of the weights: intensity over the quiet Sun's, field in kG
UNITS = {"intensity": "Ic", "blos": "kG"}


class Step(NamedTuple):
    """One operation of the page, forward and backward."""

    name: str  # "block0/conv1", as in the names of the parameters
    operation: str  # the helper of network.py that ran: "conv", "bn_act", ...
    h: np.ndarray  # (N, H, W, C) result of the operation
    dh: np.ndarray  # (N, H, W, C) gradient of the loss in h
    line: int  # of network.py, in forward
    line_backward: int  # of network.py, in backward
    dead: np.ndarray | None  # (C,) bool: channels that the ReLU behind h, or in it, sets to zero
    # at every pixel; None without a ReLU

    def __repr__(self) -> str:
        lines = f"lines {self.line} and {self.line_backward} of network.py"
        return f"{self.name}: {self.operation}, {lines}\n{_described(h=self.h, dh=self.dh)}"


class Parameter(NamedTuple):
    """One tensor of parameters and the gradient of the loss in it, of the same shape."""

    name: str  # "block0/conv1/w"
    value: np.ndarray
    gradient: np.ndarray

    def __repr__(self) -> str:
        return f"{self.name}\n{_described(value=self.value, gradient=self.gradient)}"


@dataclass(frozen=True, eq=False)
class Trace:
    """The result of `trace`. trace["block0/conv1"] is a Step, trace["block0/conv1/w"] a Parameter.

    x : (N, H, W, 1) normalised input.  y, target : (N, 2H, 2W, 1).  dx, dy : their gradients.
    loss : mean of (y - target)^2.
    unit : of x, y, target, dx and dy, "Ic" or "kG"; "" if the weights do not tell their type. The
    loss has its square. The features between have no unit, and their gradients that of the loss.
    steps : in the order of the forward pass.  parameters : in the order of params.layers.
    tape : the caches of network.forward, as the engine has them.
    mode : "training" (batch norm with the statistics of x) or "prediction" (stored statistics).
    """

    config: NetworkConfig
    mode: str
    engine: str
    x: np.ndarray
    y: np.ndarray
    target: np.ndarray
    loss: float
    unit: str
    dx: np.ndarray
    dy: np.ndarray
    steps: dict[str, Step]
    parameters: dict[str, Parameter]
    tape: dict

    def __getitem__(self, name: str) -> Step | Parameter:
        for group in (self.steps, self.parameters):
            if name in group:
                return group[name]
        known = ", ".join([*self.steps, *self.parameters])
        raise KeyError(f"trace: the name must be one of {known}, got {name!r}")

    def tensors(self) -> dict[str, np.ndarray]:
        """Every activation and gradient by name: "x", "block0/conv1", "d block0/conv1", "dx",
        "d block0/conv1/w"; in the order in which they were computed."""
        found = {"x": self.x} | {name: step.h for name, step in self.steps.items()}
        found |= {f"d {name}": step.dh for name, step in reversed(self.steps.items())}
        found["dx"] = self.dx
        return found | {f"d {name}": p.gradient for name, p in self.parameters.items()}

    def rows(self) -> list[list[str]]:
        """The table: a line of titles, then one line for every activation and parameter."""
        titles = ["value", "lines", "shape", "unit", "mean", "rms", "min", "max", "dead"]
        found = [[*titles, "gradient: rms", "largest"]]

        def row(name, line, value, gradient, dead=""):
            shape = ", ".join(map(str, value.shape))
            sizes = _rms(gradient), abs(gradient).max()
            cells = [*statistics(value).values(), dead, *sizes]
            texts = [cell if isinstance(cell, str) else f"{cell:.3g}" for cell in cells]
            found.append([name, line, shape, self.unit_of(name), *texts])

        row("x", "", self.x, self.dx)
        for step in self.steps.values():
            dead = "" if step.dead is None else f"{step.dead.sum()} of {step.dead.size}"
            row(step.name, f"{step.line}, {step.line_backward}", step.h, step.dh, dead)
        for parameter in self.parameters.values():
            row(parameter.name, "", parameter.value, parameter.gradient)
        return found

    def unit_of(self, name: str) -> str:
        """The unit of a value; features have none, and "" is also for what is not known."""
        return self.unit if name in ("x", "head", "head/b") else ""

    def head(self) -> str:
        """What was run, in one sentence."""
        statistics = {
            "training": "batch norm uses the statistics of this image alone, as training does with "
            "those of a batch",
            "prediction": "batch norm uses the stored statistics",
        }
        unit = self.unit and f" {self.unit}^2"
        return (
            f"loss {self.loss:.6g}{unit}, mean of (y - target)^2; {self.mode} mode: "
            f"{statistics[self.mode]}; {self.x.dtype}, engine {self.engine}"
        )

    def formulas(self) -> str:
        """The equations of the operations, forward and backward, each once."""
        lines = []
        for operation in dict.fromkeys(step.operation for step in self.steps.values()):
            about = operation, self.config.activation, self.mode
            lines.append(f"{operation:<14}forward   {',  '.join(formulas.forward(*about))}")
            lines.append(f"{'':<14}backward  {',  '.join(formulas.backward(*about))}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return f"{self.head()}\n\n{aligned(self.rows())}\n\n{self.formulas()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        titles, *rows = self.rows()
        style = "style='text-align:{}'"

        def cells(tag, row):
            sides = ["left", *["right"] * (len(row) - 1)]
            return "".join(
                f"<{tag} {style.format(side)}>{escape(cell)}</{tag}>"
                for side, cell in zip(sides, row, strict=True)
            )

        body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
        table = f"<table><thead><tr>{cells('th', titles)}</tr></thead><tbody>{body}</tbody></table>"
        equations = f"<details><summary>Equations</summary><pre>{escape(self.formulas())}</pre>"
        return f"<p>{escape(self.head())}</p>{table}{equations}</details>"


def trace(
    weights: Weights,
    x: np.ndarray,
    target: np.ndarray,
    *,
    mode: str = "training",
    engine: Engine = REFERENCE,
) -> Trace:
    """Run the network once, forward and backward, and keep every named value.

    weights : of the network.  x : (N, H, W, 1) or (H, W), normalised: intensity over that of the
    quiet Sun, or field in kG.  target : (N, 2H, 2W, 1) or (2H, 2W), in the same unit.
    mode : "training" or "prediction", see Trace.
    The computation has the dtype of x: float32, or float64 to compare with.

    Raises ValueError for another mode, another dtype, shapes that do not fit, or numbers that are
    not finite.
    """
    if mode not in MODES:
        raise ValueError(f"trace: mode must be one of {MODES}, got {mode!r}")
    x, target = np.asarray(x), np.asarray(target)
    if x.dtype not in (np.float32, np.float64):
        raise ValueError(f"trace: x must be float32 or float64, got {x.dtype}")
    for name, a in (("x", x), ("target", target)):
        if a.dtype.kind not in "fiu" or not np.isfinite(a).all():
            raise ValueError(f"trace: {name} must be finite numbers without gaps")
    x, target = (a[None, :, :, None] if a.ndim == 2 else a for a in (x, target))
    if x.ndim != 4 or x.shape[-1] != 1 or min(x.shape[1:3]) < 2:
        raise ValueError(
            f"trace: x must be (N, H, W, 1) or (H, W) with H, W >= 2, got x.shape={x.shape}"
        )
    n, height, width, _ = x.shape
    if target.shape != (n, 2 * height, 2 * width, 1):
        raise ValueError(
            f"trace: target must be {(n, 2 * height, 2 * width, 1)} for x.shape={x.shape}, "
            f"got target.shape={target.shape}"
        )
    p, moving = (
        {name: engine.asarray(a.astype(x.dtype)) for name, a in group.items()}
        for group in (weights.params, weights.moving)
    )
    down, up = {}, {}
    y, tape = network.forward(
        p,
        engine.asarray(x),
        weights.config,
        engine.ops,
        moving if mode == "prediction" else None,
        _observer(down, network.forward, engine),
    )
    value, dy = loss.mse(engine.asnumpy(y), target.astype(x.dtype))
    _, g = network.backward(
        engine.asarray(dy),
        tape,
        weights.config,
        engine.ops,
        observe=_observer(up, network.backward, engine),
    )
    steps = {
        name: Step(
            name,
            seen.operation,
            seen.array,
            up[name].array,
            seen.line,
            up[name].line,
            _dead(seen, weights.config),
        )
        for name, seen in down.items()
    }
    parameters = {
        name: Parameter(name, engine.asnumpy(p[name]), engine.asnumpy(g[name])) for name in p
    }
    return Trace(
        config=weights.config,
        mode=mode,
        engine=engine.name,
        x=x,
        y=engine.asnumpy(y),
        target=target.astype(x.dtype),
        loss=value,
        unit=UNITS.get(weights.provenance.get("type"), ""),
        dx=up["x"].array,
        dy=dy,
        steps=steps,
        parameters=parameters,
        tape=tape,
    )


class _Seen(NamedTuple):
    operation: str
    array: np.ndarray
    line: int


def _dead(seen: _Seen, config: NetworkConfig) -> np.ndarray | None:
    # the ReLU behind the upsampling's convolution belongs to the next operation, act_conv
    if config.activation != "relu" or seen.operation not in ("act", "bn_act", "upsample_conv"):
        return None
    return ~(seen.array > 0).any(axis=(0, 1, 2))


def _observer(found: dict[str, _Seen], page, engine: Engine):
    """An observer of `page` that keeps every array and the line of the page that runs."""

    def observe(name, array):
        caller = frame = sys._getframe(1)
        while frame.f_code is not page.__code__:
            frame = frame.f_back
        # a copy, because an engine may use the memory again
        kept = np.array(engine.asnumpy(array))
        found[name] = _Seen(caller.f_code.co_name, kept, frame.f_lineno)

    return observe


def aligned(rows: list[list[str]]) -> str:
    """The rows as a table of text, the first column to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def statistics(a: np.ndarray) -> dict[str, float]:
    """mean, rms, min and max."""
    mean = float(a.mean(dtype=np.float64))
    return {"mean": mean, "rms": _rms(a), "min": float(a.min()), "max": float(a.max())}


def _described(**arrays: np.ndarray) -> str:
    rows = [["", "shape", "mean", "rms", "min", "max"]]
    for name, a in arrays.items():
        rows.append([name, str(a.shape), *(f"{n:.3g}" for n in statistics(a).values())])
    return aligned(rows)


def _rms(a: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(a, dtype=np.float64))))
