"""Joined operations, made of their parts one after the other.

An engine may compute pad_conv in one go, without calling its parts, reflection_pad and conv2d. A
fault in a part then does not show in the joined operation. Here every joined operation is the chain
of its parts, and its backward pass the chain of theirs in reverse order.
"""

from types import SimpleNamespace

from ... import layers
from ...layers.batchnorm import EPS

JOINED = (
    "pad_conv",
    "upsample_conv",
    "relu_conv",
    "elu_conv",
    "batchnorm_relu",
    "batchnorm_elu",
    "batchnorm_add",
)


def replaced(ops, **operations) -> SimpleNamespace:
    """The operations of `ops`, of which some are replaced."""
    return SimpleNamespace(**{name: getattr(ops, name) for name in layers.__all__} | operations)


def composed(ops) -> SimpleNamespace:
    """The operations of `ops`, with every joined one made of the parts of `ops`."""

    def pad_conv(x, w, b):
        p = len(w) // 2
        y, cache = ops.conv2d(ops.reflection_pad(x, p), w, b)
        return y, (cache, p)

    def pad_conv_backward(dy, kept):
        cache, p = kept
        dx, dw, db = ops.conv2d_backward(dy, cache)
        return ops.reflection_pad_backward(dx, p), dw, db

    def pad_conv_gradient(dy, kept):
        return ops.conv2d_backward(dy, kept[0])[1:]

    def upsample_conv(x, w, b):
        return pad_conv(ops.upsample(x), w, b)

    def upsample_conv_backward(dy, kept):
        dx, dw, db = pad_conv_backward(dy, kept)
        return ops.upsample_backward(dx), dw, db

    def batchnorm_add(x, skip, gamma, beta, eps=EPS, moving=None):
        h, cache = ops.batchnorm(x, gamma, beta, eps, moving)
        return ops.add(h, skip), cache

    def batchnorm_add_backward(dy, cache):
        dx, dgamma, dbeta = ops.batchnorm_backward(dy, cache)
        return dx, dy, dgamma, dbeta

    def then_conv(activation, activation_backward):
        def forward(x, w, b):
            h, seen = activation(x)
            y, kept = pad_conv(h, w, b)
            return y, (seen, kept)

        def backward(dy, caches):
            seen, kept = caches
            dh, dw, db = pad_conv_backward(dy, kept)
            return activation_backward(dh, seen), dw, db

        return forward, backward

    def after_batchnorm(activation, activation_backward):
        def forward(x, gamma, beta, eps=EPS, moving=None):
            h, normalised = ops.batchnorm(x, gamma, beta, eps, moving)
            y, seen = activation(h)
            return y, (normalised, seen)

        def backward(dy, caches):
            normalised, seen = caches
            return ops.batchnorm_backward(activation_backward(dy, seen), normalised)

        return forward, backward

    joined = {
        "pad_conv": pad_conv,
        "pad_conv_backward": pad_conv_backward,
        "pad_conv_gradient": pad_conv_gradient,
        "upsample_conv": upsample_conv,
        "upsample_conv_backward": upsample_conv_backward,
        "batchnorm_add": batchnorm_add,
        "batchnorm_add_backward": batchnorm_add_backward,
    }
    for name in ("relu", "elu"):
        pair = getattr(ops, name), getattr(ops, f"{name}_backward")
        joined[f"{name}_conv"], joined[f"{name}_conv_backward"] = then_conv(*pair)
        forward, backward = after_batchnorm(*pair)
        joined[f"batchnorm_{name}"], joined[f"batchnorm_{name}_backward"] = forward, backward
    return replaced(ops, **joined)
