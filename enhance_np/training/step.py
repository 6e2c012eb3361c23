"""One step of training: the gradient of a batch, then the update of the parameters.

The two are separate functions, because several workers add their gradients between them: then
`total` is theirs (workers.py), and `ops` has the batch norm that counts the whole batch.
`engine.cuda.training.step` does the same for one worker, without waiting for the device.
"""

import math

import numpy as np

from .. import loss, network, optim
from .._array import array_module
from ..layers.batchnorm import unshared


def step_once(p, adam, x, target, config, ops, lr, l2, moving=None, clip=None, total=unshared):
    """One step of Adam on one batch: (new params, new Adam state, data loss, tape).

    x : (n, h, w, 1).  target : (n, 2h, 2w, 1).  lr : learning rate.  l2 : strength of L2.
    moving : batch norm's statistics if they are frozen.  clip : see optim.clipped.
    total : see gradients. Every worker takes the step of the whole batch.
    Raises FloatingPointError with the name of the first tensor that is not finite.
    """
    value, g, tape = gradients(p, x, target, config, ops, moving, total)
    p, adam = update(p, adam, g, lr, l2, clip)
    return p, adam, value, tape


def gradients(p, x, target, config, ops, moving=None, total=unshared):
    """(data loss of one batch, its gradient in every parameter, tape).

    total : adds an array over the workers that have a part of the batch each, of any size. Loss and
    gradient are means over the whole batch, and so have the same bits on all workers.
    Raises FloatingPointError, on all workers, with the name of the first tensor that is not finite.
    """
    y, tape = network.forward(p, x, config, ops, moving)
    value, dy = loss.mse(y, target, int(total(np.array(y.size))))
    value = float(total(np.array(value)))
    if not math.isfinite(value):
        raise FloatingPointError(_culprit(p, tape, y))
    _, g = network.backward(dy, tape, config, ops, wrt_x=False)
    return value, g if total is unshared else _summed(g, total), tape


def update(p, adam, g, lr, l2, clip=None):
    """(new params, new Adam state) from the gradient g of the data loss, to which L2 is added.

    Raises FloatingPointError with the name of a gradient that is not finite.
    """
    _, decay = loss.l2(p, l2)
    g = {name: g[name] + decay[name] if name in decay else g[name] for name in p}
    for name in g:
        if not _finite(g[name]):
            raise FloatingPointError(f"the gradient of {name}")
    if clip is not None:
        g = optim.clipped(g, clip)
    return optim.adam(p, g, adam, lr)


def _summed(g, total):
    """The gradients of all workers, added as one array: one message, not one for each tensor."""
    xp = array_module(next(iter(g.values())))
    ends = np.cumsum([a.size for a in g.values()])[:-1].tolist()
    parts = xp.split(total(xp.concatenate([a.ravel() for a in g.values()])), ends)
    return {name: part.reshape(a.shape) for (name, a), part in zip(g.items(), parts, strict=True)}


def _finite(array) -> bool:
    return bool(array_module(array).isfinite(array).all())


def _culprit(p, tape, y) -> str:
    """Name of the first tensor that is not finite, in the order of the forward pass."""
    for name, array in p.items():
        if not _finite(array):
            return name
    for layer, cache in tape.items():
        arrays = cache._asdict() if hasattr(cache, "_asdict") else {"y": cache}
        for role, array in arrays.items():
            if not _finite(array):
                return f"{layer} ({role})"
    return "the output" if not _finite(y) else "the loss"
