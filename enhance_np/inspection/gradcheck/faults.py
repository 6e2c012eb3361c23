"""Known faults of a backward pass, to plant one and see how it is found.

Each function below takes the place of the right one. Its first argument is the right operations, or
for a fault of the network's page the right `network.backward`. Above it stand what it replaces and
what is wrong with it.
`enhance-np gradcheck --break list` lists them, `--break NAME` plants one.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ... import network
from ..._array import array_module
from ..._errors import avoidable
from ...engine import Engine
from .composed import JOINED, composed, replaced


class Fault(NamedTuple):
    name: str  # "upsample-averages-instead-of-sums"
    operation: str  # what is broken: "upsample_backward"
    culprit: str  # what gradcheck names: the operation, or a layer in network.backward
    explanation: str  # one sentence
    broken: Callable


CATALOGUE: dict[str, Fault] = {}


def fault(operation: str, explanation: str, culprit: str | None = None):
    """Enters the function into the catalogue."""

    def enter(broken):
        name = broken.__name__.replace("_", "-")
        CATALOGUE[name] = Fault(name, operation, culprit or operation, explanation, broken)
        return broken

    return enter


def find(name: str) -> Fault:
    """The fault of that name. Raises ValueError if there is none."""
    if name not in CATALOGUE:
        message = f"gradcheck: the fault must be one of the catalogue, got {name!r}"
        raise avoidable(ValueError(message), "break")
    return CATALOGUE[name]


def planted(engine: Engine, fault: Fault) -> tuple[Engine, Callable]:
    """The engine with the fault, and the network's backward pass, for `check_all`.

    With a broken part, the joined operations are made of their parts, so that all of them have it.
    """
    if fault.operation == "backward":
        return engine, partial(fault.broken, network.backward)
    ops = replaced(engine.ops, **{fault.operation: partial(fault.broken, engine.ops)})
    if fault.operation.removesuffix("_backward") not in JOINED:
        ops = composed(ops)
    return engine._replace(ops=ops), network.backward


# ------------------------------------------------------------------------------------ padding
@fault(
    "reflection_pad_backward",
    "A padded pixel is a copy, so its gradient must be added to the pixel that it copies: "
    "cropping throws it away.",
)
def pad_forgets_the_fold(ops, dy, p=1):
    return dy[:, p : dy.shape[1] - p, p : dy.shape[2] - p].copy()


@fault(
    "reflection_pad_backward",
    "A pixel in a padded corner was copied along rows and along columns, so its gradient must be "
    "moved along both: here the corners are left out.",
)
def pad_forgets_the_corners(ops, dy, p=1):
    dy = dy.copy()
    for rows in (slice(0, p), slice(dy.shape[1] - p, None)):
        dy[:, rows, :p] = dy[:, rows, dy.shape[2] - p :] = 0
    return ops.reflection_pad_backward(dy, p)


# -------------------------------------------------------------------------------- convolution
@fault(
    "conv2d_backward",
    "The adjoint of a correlation is the convolution with the kernel rotated by 180 degrees: "
    "without the rotation dx comes from the wrong neighbours.",
)
def conv_kernel_not_flipped(ops, dy, cache):
    _, dw, db = ops.conv2d_backward(dy, cache)
    dx, _, _ = ops.conv2d_backward(dy, cache._replace(w=cache.w[::-1, ::-1].copy()))
    return dx, dw, db


@fault(
    "conv2d_backward",
    "All images of a batch share one kernel, so dw is the sum over the images: here it is their "
    "mean.",
)
def kernel_averaged_over_the_batch(ops, dy, cache):
    dx, dw, db = ops.conv2d_backward(dy, cache)
    return dx, dw / len(dy), db


@fault(
    "conv2d_backward",
    "A bias is added to every pixel of every image, so db is the sum over all of them: here over "
    "those of the first image.",
)
def bias_summed_over_one_image(ops, dy, cache):
    dx, dw, _ = ops.conv2d_backward(dy, cache)
    return dx, dw, dy[0].sum(axis=(0, 1))


# --------------------------------------------------------------------------------- batch norm
@fault(
    "batchnorm_backward",
    "The mean depends on every x: without the term dbeta / M a constant can pass, and a bias "
    "before batch norm seems to have a gradient.",
)
def batchnorm_mean_path_missing(ops, dy, cache):
    dx, dgamma, dbeta = ops.batchnorm_backward(dy, cache)
    if not cache.fixed:
        dx = dx + cache.gamma * cache.inv_std * (dbeta / _pixels(dy))
    return dx, dgamma, dbeta


@fault(
    "batchnorm_backward",
    "The variance depends on every x: without the term x_hat dgamma / M a change of contrast "
    "seems to change y.",
)
def batchnorm_variance_path_missing(ops, dy, cache):
    dx, dgamma, dbeta = ops.batchnorm_backward(dy, cache)
    if not cache.fixed:
        dx = dx + cache.gamma * cache.inv_std * cache.x_hat * (dgamma / _pixels(dy))
    return dx, dgamma, dbeta


@fault(
    "batchnorm_backward",
    "Given statistics do not depend on x: the terms of mean and variance belong to the "
    "statistics of the batch only.",
)
def batchnorm_given_statistics_differentiated(ops, dy, cache):
    dx, dgamma, dbeta = ops.batchnorm_backward(dy, cache)
    if cache.fixed:
        through = (dbeta + cache.x_hat * dgamma) / _pixels(dy)
        dx = dx - cache.gamma * cache.inv_std * through
    return dx, dgamma, dbeta


@fault(
    "batchnorm_backward",
    "y is gamma times x_hat, so dx has the factor gamma: without it all is well until training "
    "moves gamma away from 1.",
)
def batchnorm_gamma_forgotten(ops, dy, cache):
    dx, dgamma, dbeta = ops.batchnorm_backward(dy, cache)
    return dx / cache.gamma, dgamma, dbeta


def _pixels(dy):
    return dy.size // dy.shape[-1]


# --------------------------------------------------------------------------------- activations
@fault(
    "relu_backward",
    "A ReLU passes the gradient where its input was above 0: here where the gradient itself is.",
)
def relu_mask_of_the_gradient(ops, dy, y):
    return dy * (dy > 0)


@fault(
    "elu_backward",
    "Below 0 the slope of exp(x) - 1 is exp(x), which is y + 1 and not y.",
)
def elu_slope_is_its_value(ops, dy, y):
    return dy * array_module(y).where(y > 0, y.dtype.type(1), y)


# ------------------------------------------------------------------------- upsampling and sums
@fault(
    "upsample_backward",
    "A pixel is repeated four times, and each copy sends its gradient back: they are summed, not "
    "averaged.",
)
def upsample_averages_instead_of_sums(ops, dy):
    return ops.upsample_backward(dy) / 4


@fault(
    "upsample_conv_backward",
    "An engine may do upsampling and convolution in one go: here its joined operation keeps one "
    "of the four copies, though both parts are right.",
)
def joined_upsampling_takes_one_of_four(ops, dy, cache):
    _, dw, db = ops.upsample_conv_backward(dy, cache)
    return _through_the_convolution(ops, dy, cache.w, db)[:, ::2, ::2].copy(), dw, db


@fault(
    "relu_conv_backward",
    "The gradient goes backward through the convolution and then through the ReLU: here the "
    "joined operation stops after the first.",
)
def joined_relu_forgotten(ops, dy, cache):
    _, dw, db = ops.relu_conv_backward(dy, cache)
    return _through_the_convolution(ops, dy, cache.w, db), dw, db


def _through_the_convolution(ops, dy, w, b):
    """dx of pad_conv, which does not depend on x."""
    x = array_module(dy).zeros((*dy.shape[:3], w.shape[2]), dy.dtype)
    _, cache = ops.pad_conv(x, w, b)
    return ops.pad_conv_backward(dy, cache)[0]


@fault(
    "batchnorm_add_backward",
    "The skip goes round batch norm, so its gradient is dy as it is: here it is given that of x.",
)
def skip_through_the_batchnorm(ops, dy, cache):
    dx, _, dgamma, dbeta = ops.batchnorm_add_backward(dy, cache)
    return dx, dx, dgamma, dbeta


# --------------------------------------------------------------------------- the network's page
@fault(
    "backward",
    "What forks forward joins backward: the gradient of a block's skip is added to that of its "
    "branch, and here it is forgotten.",
    culprit="network.backward at block0/bn2",
)
def residual_skip_forgotten(backward, dy, tape, config, ops, **options):
    return backward(dy, tape, config, replaced(ops, add=lambda dh, dskip: dh), **options)


@fault(
    "backward",
    "Every layer must find what it kept itself: here block 1 is given the batch norm of block 0.",
    culprit="network.backward at block1/bn2",
)
def tape_of_another_block(backward, dy, tape, config, ops, **options):
    mixed = tape | {"block1/bn2": tape["block0/bn2"]}
    return backward(dy, mixed, config, ops, **options)
