"""Enhance on one page: the forward pass, and the backward pass line for line reversed.

Arrays are (N, H, W, C). `h` is the running activation and `dh` the loss's gradient in it.
`p`, and the gradients `g`, are flat dicts named by params.shapes ("block3/conv1/w"); `tape`
maps layer names to what their backward needs. `ops` speaks the vocabulary of
enhance_np.layers: that package itself, or a faster engine.

Source: Díaz Baso & Asensio Ramos 2018, A&A 614, A5, section 3 (the `keepsize` network).
"""

from types import ModuleType

from . import layers
from ._array import Array
from .config import NetworkConfig


def forward(
    p: dict[str, Array],
    x: Array,
    config: NetworkConfig,
    ops: ModuleType = layers,
    moving: dict[str, Array] | None = None,
) -> tuple[Array, dict]:
    """y, tape of the images x.

    x : (N, H, W, 1), intensity over quiet Sun or field in kG, H and W >= 2;
    y : (N, 2H, 2W, 1) in the same units.
    moving : batch norm's statistics for prediction ("tail/bn/mean"); None takes those of the
    batch, as in training. Only that tape can go backward.
    """
    tape = {}
    activation = getattr(ops, config.activation)

    def conv(h, name):
        h, tape[name] = ops.pad_conv(h, p[f"{name}/w"], p[f"{name}/b"])
        return h

    def upsample_conv(h, name):
        h, tape[name] = ops.upsample_conv(h, p[f"{name}/w"], p[f"{name}/b"])
        return h

    def bn(h, name):
        gamma, beta = p[f"{name}/gamma"], p[f"{name}/beta"]
        if moving is not None:
            mean, var = moving[f"{name}/mean"], moving[f"{name}/var"]
            return ops.batchnorm_moving(h, gamma, beta, mean, var)
        h, tape[name] = ops.batchnorm(h, gamma, beta)
        return h

    def act(h, name):
        h, tape[name] = activation(h)
        return h

    h = x0 = act(conv(x, "stem/conv"), "stem/act")
    for k in range(config.depth):
        skip = h
        h = act(bn(conv(h, f"block{k}/conv1"), f"block{k}/bn1"), f"block{k}/act")
        h = bn(conv(h, f"block{k}/conv2"), f"block{k}/bn2")
        h = ops.add(h, skip)
    h = bn(conv(h, "tail/conv"), "tail/bn")
    h = ops.add(h, x0)
    h = act(upsample_conv(h, "refine/conv"), "refine/act")
    y = conv(h, "head")
    return y, tape


def backward(
    dy: Array, tape: dict, config: NetworkConfig, ops: ModuleType = layers
) -> tuple[Array, dict[str, Array]]:
    """dx, g: the gradients of sum(y * dy) in x and in every parameter.

    dy : (N, 2H, 2W, 1), the loss's gradient in y;  dx : (N, H, W, 1);  g : like p.
    tape : from forward with batch statistics.

    Every convolution bias in front of a batch norm, and every bn2/beta, has gradient zero up
    to rounding: a constant added there is taken away again with the mean. That is 3 depth + 1
    tensors.
    """
    g = {}
    activation_backward = getattr(ops, f"{config.activation}_backward")

    def conv(dh, name):
        dh, g[f"{name}/w"], g[f"{name}/b"] = ops.pad_conv_backward(dh, tape[name])
        return dh

    def upsample_conv(dh, name):
        dh, g[f"{name}/w"], g[f"{name}/b"] = ops.upsample_conv_backward(dh, tape[name])
        return dh

    def bn(dh, name):
        dh, g[f"{name}/gamma"], g[f"{name}/beta"] = ops.batchnorm_backward(dh, tape[name])
        return dh

    def act(dh, name):
        return activation_backward(dh, tape[name])

    dh = conv(dy, "head")
    dh = upsample_conv(act(dh, "refine/act"), "refine/conv")
    dx0 = dh  # the long skip forks here ...
    dh = conv(bn(dh, "tail/bn"), "tail/conv")
    for k in reversed(range(config.depth)):
        dskip = dh
        dh = conv(bn(dh, f"block{k}/bn2"), f"block{k}/conv2")
        dh = conv(bn(act(dh, f"block{k}/act"), f"block{k}/bn1"), f"block{k}/conv1")
        dh = ops.add(dh, dskip)
    dh = ops.add(dh, dx0)  # ... and joins here
    dx = conv(act(dh, "stem/act"), "stem/conv")
    return dx, g
