"""The last exercise: the filled-in functions take the place of the package's, and train Enhance.

All but residual_backward, which is a line of network.backward itself.
"""

from types import ModuleType

import numpy as np

from .. import layers, loss, network, params
from ..config import NetworkConfig
from ..inspection.gradcheck.composed import composed, replaced
from ..layers.batchnorm import EPS
from .properties import Finding, Findings

CONFIG = NetworkConfig(depth=1, filters=4)
STEPS = 30


def operations(student: ModuleType):
    """`layers` with every backward pass taken from the student's module."""

    def batchnorm(x, gamma, beta, eps=EPS, moving=None):
        y, _ = layers.batchnorm(x, gamma, beta, eps, moving)
        return y, (x, gamma, eps)

    def reflection_pad_backward(dy, p):
        return student.reflection_pad_backward(dy) if p else dy

    return composed(
        replaced(
            layers,
            batchnorm=batchnorm,
            batchnorm_backward=lambda dy, kept: student.batchnorm_backward(dy, *kept),
            conv2d_backward=lambda dy, cache: student.conv2d_backward(dy, cache.x, cache.w),
            reflection_pad_backward=reflection_pad_backward,
            relu_backward=student.relu_backward,  # y > 0 where x > 0, so its y serves as x
            upsample_backward=student.upsample_backward,
        )
    )


def train(student: ModuleType, rng) -> Findings:
    """Compares the gradients of all parameters with `network.backward`, then takes some steps."""
    ops = operations(student)
    p, _ = params.initial(CONFIG, seed=1)
    p = {name: a.astype(np.float64) for name, a in p.items()}
    x, target = rng.standard_normal((2, 12, 10, 1)), rng.standard_normal((2, 24, 20, 1))

    def gradients(p, ops, dy):
        y, tape = network.forward(p, x, CONFIG, ops)
        return loss.mse(y, target)[0], network.backward(dy(y), tape, CONFIG, ops, wrt_x=False)[1]

    _, want = gradients(p, layers, lambda y: loss.mse(y, target)[1])
    before, got = gradients(p, ops, lambda y: student.mse_gradient(y, target))
    largest = max(np.abs(g).max() for g in want.values())
    for name in want:
        if not np.abs(got[name] - want[name]).max() <= 1e-9 * largest:  # NaN is refused too
            yield Finding("gradients", f"the gradient in {name} differs from network.backward's")
    yield Finding(f"{len(want)} gradients")

    m = v = {name: np.zeros_like(a) for name, a in p.items()}
    for t in range(1, STEPS + 1):
        now, g = gradients(p, ops, lambda y: student.mse_gradient(y, target))
        steps = {name: student.adam_step(p[name], g[name], m[name], v[name], t) for name in p}
        p, m, v = ({name: step[k] for name, step in steps.items()} for k in range(3))
    less = None if now < before else "the loss must become smaller"
    yield Finding(f"loss {before:.3f} -> {now:.3f} in {STEPS} steps", less)
