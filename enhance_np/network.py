"""The network on one page: the forward pass, and the backward pass with its lines reversed.

Arrays are (N, H, W, C). `h` is the current activation and `dh` the gradient of the loss in it.
The parameters `p` and their gradients `g` are flat dicts with the names of params.shapes, such as
"block3/conv1/w". `tape` maps the name of a layer to the cache that its backward pass needs. `ops`
has the operations of enhance_np.layers: it is that package itself or a faster engine.

Source: Díaz Baso & Asensio Ramos 2018, A&A 614, A5, section 3 (the `keepsize` network).
"""

from collections.abc import Callable
from types import ModuleType

from . import layers
from ._array import Array
from .config import NetworkConfig

Observer = Callable[[str, Array], None]


def unobserved(name: str, h: Array) -> None:
    """The default observer, which does nothing."""


def forward(
    p: dict[str, Array],
    x: Array,
    config: NetworkConfig,
    ops: ModuleType = layers,
    moving: dict[str, Array] | None = None,
    observe: Observer = unobserved,
) -> tuple[Array, dict]:
    """(y, tape) for the images x.

    x : (N, H, W, 1), intensity over the quiet Sun's mean or field in kG, H and W >= 2.
    y : (N, 2H, 2W, 1) in the same unit.
    moving : batch norm's statistics ("tail/bn/mean"), for prediction; None takes the statistics of
    the batch, as in training.
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
    """(dx, g): the gradients of sum(y * dy) in x and in every parameter.

    dy : (N, 2H, 2W, 1), the gradient of the loss in y.  dx : (N, H, W, 1).  g : like p.
    tape : from forward.
    wrt_x : False gives dx = None without computing it, because training does not change images.
    observe : called in reverse order with the name of each operation and dh, the gradient in the h
    that forward reports by that name; finally with "x" and dx, if dx is computed.

    With the statistics of the batch, the gradient of every convolution bias before a batch norm,
    and of every bn2/beta, is zero up to rounding. Each of them adds a constant per channel, which
    reflection padding and convolution keep constant, and which the next batch norm subtracts with
    the mean. These are 3 depth + 1 tensors.
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
