"""The optimiser Adam, with weight decay and gradient clipping, as functions of one step."""

import math
from typing import NamedTuple

from ._array import Array, array_module
from .loss import is_kernel

BETA1, BETA2 = 0.9, 0.999
EPS = 1e-7


class AdamState(NamedTuple):
    step: int  # steps done
    m: dict[str, Array]  # first moments, shaped like the parameters
    v: dict[str, Array]  # second moments


def adam_start(p: dict[str, Array]) -> AdamState:
    """The state before the first step: both moments zero."""
    zeros = {name: array_module(x).zeros_like(x) for name, x in p.items()}
    return AdamState(0, zeros, {name: x.copy() for name, x in zeros.items()})


def adam(
    p: dict[str, Array],
    g: dict[str, Array],
    state: AdamState,
    lr: float = 1e-4,
    beta1: float = BETA1,
    beta2: float = BETA2,
    eps: float = EPS,
) -> tuple[dict[str, Array], AdamState]:
    """(new p, new state) after step t: m <- b1 m + (1-b1) g,  v <- b2 v + (1-b2) g^2,
    p <- p - lr sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + eps).

    p, g and the new p are dicts of arrays with the same keys and shapes.
    eps is added outside the bias correction, as in Keras (1e-7 today, 1e-8 in 2.0.2) and in the
    last lines of the paper's section 2. PyTorch adds it inside, which is the same with
    eps = eps_PyTorch sqrt(1 - b2^t).
    Raises ValueError if the keys of p and g differ.
    Source: Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1 and end of section 2.
    """
    check_keys(p, g)
    t = state.step + 1
    rate = corrected_rate(lr, t, beta1, beta2)
    m = {name: beta1 * state.m[name] + (1 - beta1) * g[name] for name in p}
    v = {name: beta2 * state.v[name] + (1 - beta2) * g[name] ** 2 for name in p}
    new = {name: p[name] - rate * m[name] / (v[name] ** 0.5 + eps) for name in p}
    return new, AdamState(t, m, v)


def check_keys(p: dict[str, Array], g: dict[str, Array]) -> None:
    if p.keys() != g.keys():
        raise ValueError(
            f"adam: p and g must have the same keys, got a difference in "
            f"{sorted(p.keys() ^ g.keys())}"
        )


def corrected_rate(lr: float, t: int, beta1: float, beta2: float) -> float:
    """lr sqrt(1 - b2^t) / (1 - b1^t): the moments start at 0, which this corrects in step t."""
    return lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)


def decayed(p: dict[str, Array], before: dict[str, Array], amount: float) -> dict[str, Array]:
    """p minus `amount` times the kernels before the step: decoupled weight decay.

    p : new parameters from `adam`; their kernels are changed in place.
    before : the parameters before the step.  amount : learning rate times the strength of decay.

    L2 in the loss is part of the gradient, which Adam divides by its usual size. A kernel that the
    data do not need then moves towards zero by the whole learning rate in every step, however weak
    L2 is, and dies. Decoupled decay shrinks every kernel by the same factor instead.
    Source: Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2.
    """
    for name in p:
        if is_kernel(name):
            p[name] -= amount * before[name]
    return p


def clipped(g: dict[str, Array], norm: float) -> dict[str, Array]:
    """g, or g norm / |g| if |g| > norm, with |g| the norm over all tensors together.

    A batch of unusual patches can have a gradient many times larger than usual. Adam divides by
    the usual size and would therefore take too large a step.
    Source: Pascanu et al. 2013, arXiv:1211.5063, algorithm 1.
    """
    found = math.sqrt(sum(float((x.astype("f8") ** 2).sum()) for x in g.values()))
    if found <= norm:
        return g
    return {name: x * (norm / found) for name, x in g.items()}
