"""Removes channels that cannot change the output from a folded network.

Three kinds of channels are dead:
- a channel whose kernel is zero: it is the same constant for every image, and its effect is added
  to the bias of the layers that read it. Reflection padding keeps a constant constant, so this is
  exact up to the border;
- a channel that depends only on such constants, which is a constant too;
- a channel that no layer reads.
The removal of a channel can make others dead, so it is repeated until nothing changes.

A residual sum adds channels of the same number. Channel c of the trunk (the stem and all sums) is
therefore removed only if no layer that reads the trunk needs it. The inner channels of a block, and
those between refine/conv and the head, are removed one by one.
"""

from typing import NamedTuple

import numpy as np

from ..config import NetworkConfig
from ..layers import activation

# A kernel this small relative to the largest of its layer adds less than a rounding of float32,
# 2^-24, to a sum, even if there are 64 of them. Kernels that weight decay has killed are below 1e-9
# of the largest, and working ones are above 1e-6.
NEGLIGIBLE = 2.0**-31
INPUTS, OUTPUTS = (0, 1, 3), (0, 1, 2)  # axes to sum over for the size of each channel's kernel


class Conv(NamedTuple):
    """A convolution of a folded network."""

    w: np.ndarray  # (kh, kw, Cin, Cout)
    b: np.ndarray  # (Cout,)


def pruned(convs: dict[str, Conv], config: NetworkConfig, multiple: int = 1) -> dict[str, Conv]:
    """The same network without its dead channels, equal up to rounding.

    convs : of fold.fold, in float64, so that a bias with added constants is rounded once.
    multiple : channels are kept in multiples of this number, which kernels need, and filled up
    with zeros; a layer that would not become smaller is not changed.
    """
    network = _Channels(convs, config).settled()
    trunk, inner, refine = network.living()
    ends = {"stem/conv": (None, trunk), "tail/conv": (trunk, trunk)}
    ends |= {"refine/conv": (trunk, refine), "head": (refine, None)}
    for k, live in enumerate(inner):
        ends |= {f"block{k}/conv1": (trunk, live), f"block{k}/conv2": (live, trunk)}
    found = {}
    for name, (w, b) in network.convs.items():
        read, made = ends[name]
        if read is not None:
            w = _taken(w, read, 2, multiple)
        if made is not None:
            w, b = _taken(w, made, 3, multiple), _taken(b, made, 0, multiple)
        found[name] = Conv(w, b)
    return found


def living(convs: dict[str, Conv], config: NetworkConfig) -> dict[str, int]:
    """Number of filters (output channels) of each convolution that can change the output."""
    settled = _Channels(convs, config).settled().convs
    return {name: int(_sizes(w, OUTPUTS).astype(bool).sum()) for name, (w, _) in settled.items()}


def _sizes(w, axes):
    """The norm of each channel's kernel; negligible norms are set to zero."""
    norms = np.sqrt((w.astype("f8") ** 2).sum(axis=axes))
    return np.where(norms > NEGLIGIBLE * norms.max(initial=0), norms, 0)


def _taken(a, live, axis, multiple):
    """The live channels along an axis, filled up with zeros; all channels if that is not fewer."""
    size = -(-max(1, int(live.sum())) // multiple) * multiple
    if size >= len(live):
        return a
    found = np.compress(live, a, axis)
    missing = [(0, size - n if i == axis else 0) for i, n in enumerate(found.shape)]
    return np.pad(found, missing)


class _Channels:
    """A folded network whose dead channels are set to zero, kernel by kernel."""

    def __init__(self, convs, config):
        self.convs = {name: Conv(w.copy(), b.copy()) for name, (w, b) in convs.items()}
        self.blocks = [(f"block{k}/conv1", f"block{k}/conv2") for k in range(config.depth)]
        self.act = getattr(activation, config.activation)

    def settled(self):
        """self, after setting dead channels to zero until nothing changes."""
        for w, _ in self.convs.values():
            w[:, :, _sizes(w, INPUTS) == 0, :] = 0
            w[..., _sizes(w, OUTPUTS) == 0] = 0
        count = -1
        while count != (count := sum(np.count_nonzero(w) for w, _ in self.convs.values())):
            self._constants()
            self._unread()
        return self

    def living(self):
        """(trunk, [inner channels of each block], refine): bool arrays of the needed channels."""
        readers = ["tail/conv", "refine/conv", *(first for first, _ in self.blocks)]
        trunk = np.logical_or.reduce([self._read(name) for name in readers])
        return trunk, [self._read(second) for _, second in self.blocks], self._read("head")

    def _read(self, name):
        return self.convs[name].w.any(axis=INPUTS)

    def _made(self, name):
        """Constant outputs of a convolution; NaN for outputs that are not constant."""
        w, b = self.convs[name]
        return np.where(w.any(axis=OUTPUTS), np.nan, b)

    def _absorb(self, name, values):
        """Adds constant inputs to the bias.  values : the constants; NaN for other inputs."""
        (w, b), known = self.convs[name], ~np.isnan(values)
        b += np.einsum("rsio,i->o", w[:, :, known], values[known])
        w[:, :, known] = 0

    def _activated(self, values):
        return self.act(values)[0]

    def _constants(self):
        """Removes constants, from the stem to the head."""
        first = trunk = self._activated(self._made("stem/conv"))
        for one, two in self.blocks:
            self._absorb(one, trunk)
            self._absorb(two, self._activated(self._made(one)))
            trunk = trunk + self._made(two)
        self._absorb("tail/conv", trunk)
        self._absorb("refine/conv", first + self._made("tail/conv"))
        self._absorb("head", self._activated(self._made("refine/conv")))

    def _unread(self):
        """Removes channels that no layer reads, from the head to the stem."""
        self._silence("refine/conv", self._read("head"))
        long_skip = self._read("refine/conv")
        self._silence("tail/conv", long_skip)
        trunk = self._read("tail/conv")
        for one, two in reversed(self.blocks):
            self._silence(two, trunk)
            self._silence(one, self._read(two))
            trunk = trunk | self._read(one)
        self._silence("stem/conv", trunk | long_skip)

    def _silence(self, name, read):
        w, b = self.convs[name]
        w[..., ~read] = 0
        b[~read] = 0
