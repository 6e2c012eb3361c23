"""The operations of network.forward for another framework, made of its single operations."""

from collections.abc import Callable
from types import SimpleNamespace


def forward_ops(
    *,
    pad_conv: Callable,
    upsample_conv: Callable,
    batchnorm: Callable,
    relu: Callable,
    elu: Callable,
    add: Callable,
) -> SimpleNamespace:
    """`ops` for network.forward, with the pairs of layers.joined. Nothing is kept for a backward.

    The arguments are those of enhance_np.layers, but return only their result, without a cache:
    pad_conv, upsample_conv (h, w, b); batchnorm (h, gamma, beta, moving=None); relu, elu (h);
    add (h, skip). What h is, and its layout, is up to the framework.
    """

    def uncached(op):
        return lambda *arguments, **keywords: (op(*arguments, **keywords), None)

    def batchnorm_add(h, skip, *arguments, **keywords):
        return add(batchnorm(h, *arguments, **keywords), skip)

    ops = SimpleNamespace(
        pad_conv=uncached(pad_conv),
        upsample_conv=uncached(upsample_conv),
        batchnorm_add=uncached(batchnorm_add),
    )
    ops.relu, ops.batchnorm_relu, ops.relu_conv = map(uncached, _with(relu, batchnorm, pad_conv))
    ops.elu, ops.batchnorm_elu, ops.elu_conv = map(uncached, _with(elu, batchnorm, pad_conv))
    return ops


def _with(act, batchnorm, pad_conv):
    """The activation alone, behind batch norm, and before a convolution."""

    def batchnorm_act(*arguments, **keywords):
        return act(batchnorm(*arguments, **keywords))

    return act, batchnorm_act, lambda h, w, b: pad_conv(act(h), w, b)
