"""Enhance on one page: the forward pass, and the backward pass line for line reversed.

Arrays are (N, H, W, C). `h` is the running activation and `dh` the loss's gradient in it.
`p`, and the gradients `g`, are flat dicts named by params.shapes ("block3/conv1/w"); `tape`
maps layer names to what their backward needs. `ops` speaks the vocabulary of
enhance_np.layers: that package itself, or a faster engine.

Source: Díaz Baso & Asensio Ramos 2018, A&A 614, A5, section 3 (the `keepsize` network).
"""

from collections.abc import Callable
from types import ModuleType

from . import layers
from ._array import Array
from .config import NetworkConfig

Observer = Callable[[str, Array], None]


def unobserved(name: str, h: Array) -> None:
    """Nobody is told."""


def forward(
    p: dict[str, Array],
    x: Array,
    config: NetworkConfig,
    ops: ModuleType = layers,
    moving: dict[str, Array] | None = None,
    observe: Observer = unobserved,
) -> tuple[Array, dict]:
    """y, tape of the images x.

    x : (N, H, W, 1), intensity over quiet Sun or field in kG, H and W >= 2;
    y : (N, 2H, 2W, 1) in the same units.
    moving : batch norm's statistics ("tail/bn/mean"), as at prediction; None takes those of the
    batch, as in training.
    observe : called with the name of each operation ("block3/conv1") and its result h.
    """
    tape = {}
    activation = getattr(ops, config.activation)
    batchnorm_activation = getattr(ops, f"batchnorm_{config.activation}")
    activation_conv = getattr(ops, f"{config.activation}_conv")

    def conv(h, name):
        h, tape[name] = ops.pad_conv(h, p[f"{name}/w"], p[f"{name}/b"])
        observe(name, h)
        return h

    def upsample_conv(h, name):
        h, tape[name] = ops.upsample_conv(h, p[f"{name}/w"], p[f"{name}/b"])
        observe(name, h)
        return h

    def statistics(name):
        return moving and (moving[f"{name}/mean"], moving[f"{name}/var"])

    def bn_act(h, name):
        gamma, beta = p[f"{name}/gamma"], p[f"{name}/beta"]
        h, tape[name] = batchnorm_activation(h, gamma, beta, moving=statistics(name))
        observe(name, h)
        return h

    def bn_add(h, name, skip):
        gamma, beta = p[f"{name}/gamma"], p[f"{name}/beta"]
        h, tape[name] = ops.batchnorm_add(h, skip, gamma, beta, moving=statistics(name))
        observe(name, h)
        return h

    def act(h, name):
        h, tape[name] = activation(h)
        observe(name, h)
        return h

    def act_conv(h, name):
        h, tape[name] = activation_conv(h, p[f"{name}/w"], p[f"{name}/b"])
        observe(name, h)
        return h

    h = x0 = act(conv(x, "stem/conv"), "stem/act")
    for k in range(config.depth):
        skip = h
        h = bn_act(conv(h, f"block{k}/conv1"), f"block{k}/bn1")
        h = bn_add(conv(h, f"block{k}/conv2"), f"block{k}/bn2", skip)
    h = bn_add(conv(h, "tail/conv"), "tail/bn", x0)
    h = upsample_conv(h, "refine/conv")
    y = act_conv(h, "head")
    return y, tape


def backward(
    dy: Array,
    tape: dict,
    config: NetworkConfig,
    ops: ModuleType = layers,
    wrt_x: bool = True,
    observe: Observer = unobserved,
) -> tuple[Array | None, dict[str, Array]]:
    """dx, g: the gradients of sum(y * dy) in x and in every parameter.

    dy : (N, 2H, 2W, 1), the loss's gradient in y;  dx : (N, H, W, 1);  g : like p.
    tape : from forward.
    wrt_x : False leaves dx out, None: training does not change its images.
    observe : called with the name of each operation and dh, the gradient in the h that forward
    tells of by that name, in reverse order; at last, unless it is left out, with "x" and dx.

    With the statistics of the batch, every convolution bias in front of a batch norm, and every
    bn2/beta, has gradient zero up to rounding: a constant added there is taken away again with
    the mean. That is 3 depth + 1 tensors.
    """
    g = {}
    activation_backward = getattr(ops, f"{config.activation}_backward")
    batchnorm_activation_backward = getattr(ops, f"batchnorm_{config.activation}_backward")
    activation_conv_backward = getattr(ops, f"{config.activation}_conv_backward")

    def conv(dh, name):
        observe(name, dh)
        dh, g[f"{name}/w"], g[f"{name}/b"] = ops.pad_conv_backward(dh, tape[name])
        return dh

    def upsample_conv(dh, name):
        observe(name, dh)
        dh, g[f"{name}/w"], g[f"{name}/b"] = ops.upsample_conv_backward(dh, tape[name])
        return dh

    def bn_act(dh, name):
        observe(name, dh)
        dh, g[f"{name}/gamma"], g[f"{name}/beta"] = batchnorm_activation_backward(dh, tape[name])
        return dh

    def bn_add(dh, name):
        observe(name, dh)
        dh, dskip, g[f"{name}/gamma"], g[f"{name}/beta"] = ops.batchnorm_add_backward(
            dh, tape[name]
        )
        return dh, dskip

    def act(dh, name):
        observe(name, dh)
        return activation_backward(dh, tape[name])

    def act_conv(dh, name):
        observe(name, dh)
        dh, g[f"{name}/w"], g[f"{name}/b"] = activation_conv_backward(dh, tape[name])
        return dh

    dh = act_conv(dy, "head")
    dh = upsample_conv(dh, "refine/conv")
    dh, dx0 = bn_add(dh, "tail/bn")  # the long skip forks here ...
    dh = conv(dh, "tail/conv")
    for k in reversed(range(config.depth)):
        dh, dskip = bn_add(dh, f"block{k}/bn2")
        dh = conv(dh, f"block{k}/conv2")
        dh = conv(bn_act(dh, f"block{k}/bn1"), f"block{k}/conv1")
        dh = ops.add(dh, dskip)
    dh = ops.add(dh, dx0)  # ... and joins here
    dh = act(dh, "stem/act")
    if wrt_x:
        dx = conv(dh, "stem/conv")
        observe("x", dx)
        return dx, g
    observe("stem/conv", dh)
    g["stem/conv/w"], g["stem/conv/b"] = ops.pad_conv_gradient(dh, tape["stem/conv"])
    return None, g
