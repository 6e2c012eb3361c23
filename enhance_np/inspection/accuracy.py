"""Compares the operations of an engine in float32 with the reference in float64.

Every error is compared with a derived bound, which holds for any order of the sums. The error of a
sum of k products in float32 is at most (k + s) u times the sum of the products' absolute values,
with u = 2^-24; s counts other roundings (EXTRA). The sum of absolute values is the result of the
reference for the absolute values of the arguments. For batch norm, the error of the mean is
propagated through every line of its formula, to first order.
Source: Higham 2002, Accuracy and Stability of Numerical Algorithms, sections 3.1 and 4.2.

Winograd adds not products of x and w but of their transforms, whose absolute values are larger; its
bound is therefore that of kernels/winograd.cu.
"""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from .. import layers
from ..engine import Engine
from ..engine.cuda.convolution import conv
from ..layers.batchnorm import EPS

U = 2.0**-24
# roundings of a bias, of kernels folded for the upsampling, of the adjoints of the padding (9
# terms) and of the upsampling (4), and of an activation
EXTRA = 16
SIZES = (1, 2, 2), (2, 3, 13), (1, 17, 6), (2, 33, 35)  # N, H, W
CHANNELS = (1, 64), (64, 64), (64, 1), (32, 32), (7, 48)  # Cin, Cout
# A^T, G, B^T of F(2x2, 3x3) as kernels/winograd.cu has them
F2 = (
    np.array([[1, 1, 1, 0], [0, 1, -1, -1]]),
    np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
    np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]),
)


class Error(NamedTuple):
    name: str  # "pad_conv (2, 3, 13) 64 -> 64: dx"
    largest: float  # |found - exact|
    share: float  # largest ratio of error to bound of any element

    @property
    def passed(self) -> bool:
        return self.share <= 1  # NaN fails


def check(
    engine: Engine, rng: np.random.Generator, sizes=SIZES, channels=CHANNELS
) -> Iterator[Error]:
    """The error of every result of every operation."""
    for size, (cin, cout) in product(sizes, channels):
        for name in ("conv2d", "pad_conv", "upsample_conv", "relu_conv", "elu_conv"):
            for k in (1, 3):
                if min(size[1:]) >= k or name == "upsample_conv":
                    yield from _convolution(engine, rng, name, size, cin, cout, k)
    for size, c in product(sizes, sorted({c for pair in channels for c in pair})):
        for name, given in product(("", "_relu", "_elu", "_add"), (False, True)):
            yield from _batchnorm(engine, rng, f"batchnorm{name}", size, c, given)
        yield from _elementwise(engine, rng, size, c)


def check_winograd(engine: Engine, rng: np.random.Generator, sizes=SIZES) -> Iterator[Error]:
    """The errors of the GPU's 3x3 convolution of 64 channels by Winograd, with its epilogue."""
    for size in sizes:
        x, w, b = _normal(rng, *size, 64), _normal(rng, 3, 3, 64, 64), _normal(rng, 64)
        skip = _normal(rng, *x.shape)
        exact, _ = layers.pad_conv(*(a.astype("f8") for a in (x, w, b)))
        y = conv(*map(engine.asarray, (x, w, b)), True, engine.asarray(skip), winograd=True)
        size_of = [abs(a.astype("f8")) for a in (x, w, b)]
        sizes_of = winograd_pad_conv(*size_of, [abs(a) for a in F2]) + abs(skip)
        want = np.maximum(exact + skip, 0)
        label = f"winograd {size} 64 -> 64: y"
        yield error(label, engine, y, want, (64 + 9) * U * sizes_of)


def winograd_pad_conv(x: np.ndarray, w: np.ndarray, b: np.ndarray, matrices=F2) -> np.ndarray:
    """y of layers.pad_conv for a 3x3 kernel by F(2x2, 3x3), in NumPy.

    matrices : A^T, G, B^T. With absolute values of the matrices and of the arguments, the result
    is the sum of absolute values in the bound of the rounding.
    """
    a_t, g, b_t = matrices
    _, height, width, _ = x.shape
    # tiles extend beyond the edge by a line on which no y depends
    framed = np.pad(x, ((0, 0), (1, 1 + height % 2), (1, 1 + width % 2), (0, 0)), "reflect")
    d = np.lib.stride_tricks.sliding_window_view(framed, (4, 4), (1, 2))[:, ::2, ::2]
    u = np.einsum("ik,klco,jl->ijco", g, w, g)
    v = np.einsum("ik,ntackl,jl->ntaijc", b_t, d, b_t, optimize=True)
    m = np.einsum("ntaijc,ijco->ntijao", v, u, optimize=True)
    y = np.einsum("ri,ntijao,sj->ntraso", a_t, m, a_t, optimize=True)
    n, down, _, across, _, cout = y.shape
    return y.reshape(n, 2 * down, 2 * across, cout)[:, :height, :width] + b


def error(name: str, engine: Engine, found, exact: np.ndarray, bound) -> Error:
    """The Error of one array of the engine.  bound : of each element, or one for all."""
    found = engine.asnumpy(found)
    if found.shape != exact.shape or found.dtype != np.float32:
        return Error(f"{name}: shape or dtype", np.inf, np.inf)
    off = abs(found.astype("f8") - exact)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(off == 0, 0, off / bound)
    return Error(name, float(off.max()), float(share.max()))


def _errors(name, engine, parts, found, exact, bounds):
    for part, *triple in zip(parts, found, exact, bounds, strict=True):
        yield error(f"{name}: {part}", engine, *triple)


def _normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def _convolution(engine, rng, name, size, cin, cout, k):
    arguments = _normal(rng, *size, cin), _normal(rng, k, k, cin, cout), _normal(rng, cout)
    label = f"{name} {size} {k} x {k} {cin} -> {cout}"
    wide = [a.astype("f8") for a in arguments]
    forward, backward = getattr(layers, name), getattr(layers, f"{name}_backward")
    exact, exact_cache = forward(*wide)
    sum_of_sizes, size_cache = forward(*map(abs, wide))
    y, cache = getattr(engine.ops, name)(*map(engine.asarray, arguments))
    yield error(f"{label}: y", engine, y, exact, (k * k * cin + EXTRA) * U * sum_of_sizes)

    dy = _normal(rng, *exact.shape)
    exact = backward(dy.astype("f8"), exact_cache)
    sums_of_sizes = backward(abs(dy.astype("f8")), size_cache)
    pixels = dy.size // cout
    terms = (k * k * cout, pixels, pixels)
    bounds = [(t + EXTRA) * U * a for t, a in zip(terms, sums_of_sizes, strict=True)]
    found = getattr(engine.ops, f"{name}_backward")(engine.asarray(dy), cache)
    yield from _errors(label, engine, ("dx", "dw", "db"), found, exact, bounds)
    if name == "pad_conv":
        found = engine.ops.pad_conv_gradient(engine.asarray(dy), cache)
        alone = f"pad_conv_gradient {size} {k} x {k} {cin} -> {cout}"
        yield from _errors(alone, engine, ("dw", "db"), found, exact[1:], bounds[1:])


def _batchnorm(engine, rng, name, size, c, given):
    x = 1 + 0.3 * _normal(rng, *size, c)
    gamma, beta = _normal(rng, c), _normal(rng, c)
    skip = (_normal(rng, *size, c),) if name == "batchnorm_add" else ()
    moving = tuple((1 + rng.random((2, c))).astype(np.float32)) if given else None
    label = f"{name} {size} {c}{' with given statistics' if given else ''}"

    wide = [a.astype("f8") for a in (x, *skip, gamma, beta)]
    exact, cache = getattr(layers, name)(*wide, moving=moving and [a.astype("f8") for a in moving])
    to_device = engine.asarray
    y, found_cache = getattr(engine.ops, name)(
        *map(to_device, (x, *skip, gamma, beta)), moving=moving and tuple(map(to_device, moving))
    )
    rounded = _Rounded(x.astype("f8"), wide[-2], wide[-1], cache)
    e_y = rounded.y + sum(2 * U * abs(a) for a in skip) + 4 * U * abs(exact)
    yield error(f"{label}: y", engine, y, exact, e_y)

    dy = _normal(rng, *size, c)
    if name == "batchnorm_relu":  # no gradient where rounding decides whether it passes
        h = layers.batchnorm(wide[0], *wide[-2:], moving=moving)[0]
        dy[abs(h) <= e_y] = 0
    wide_dy = dy.astype("f8")
    exact_gradients = getattr(layers, f"{name}_backward")(wide_dy, cache)
    dh, e_dh = wide_dy, np.zeros_like(wide_dy)
    if name == "batchnorm_relu":
        dh = wide_dy * (exact > 0)
    elif name == "batchnorm_elu":
        dh = layers.elu_backward(wide_dy, exact)
        e_dh = np.where(exact > 0, 0, abs(wide_dy) * (e_y + 2 * U))
    bounds = rounded.gradients(dh, e_dh)
    found = getattr(engine.ops, f"{name}_backward")(engine.asarray(dy), found_cache)
    parts = ("dx", "dgamma", "dbeta")
    if skip:  # the gradient of skip is dy itself
        parts, bounds = ("dx", "dskip", *parts[1:]), (bounds[0], 0.0, *bounds[1:])
    yield from _errors(label, engine, parts, found, exact_gradients, bounds)


class _Rounded:
    """Bounds on the errors of batch norm, to first order in u; SECOND covers higher orders."""

    SECOND = 1.01

    def __init__(self, x, gamma, beta, cache):
        mean, var, inv_std, x_hat = cache.mean, cache.var, cache.inv_std, cache.x_hat
        self.fixed, self.m = cache.fixed, x.size // x.shape[-1]
        axes = (0, 1, 2)
        if self.fixed:
            e_mean = e_var = np.zeros_like(mean)
        else:
            e_mean = (self.m + 2) * U * abs(x).mean(axes)
            e_var = (self.m + 6) * U * var + 2 * e_mean * abs(x - mean).mean(axes) + e_mean**2
        self.e_inv_std = e_var / (2 * (var + EPS)) + 8 * U  # relative
        # 4 u (|x| + |mean|) allows gamma * x_hat + beta to be computed as x * scale + shift
        e_x = inv_std * (e_mean + 4 * U * (abs(x) + abs(mean)))
        self.e_x_hat = e_x + abs(x_hat) * self.e_inv_std
        y = abs(gamma) * self.e_x_hat + 4 * U * (abs(gamma * x_hat) + abs(beta))
        self.y = self.SECOND * y
        self.x_hat, self.scale = x_hat, abs(gamma * inv_std)

    def gradients(self, dh, e_dh):
        """Bounds of dx, dgamma, dbeta, given the gradient in batch norm's output and its error."""
        axes, m, x_hat = (0, 1, 2), self.m, self.x_hat
        dbeta, dgamma = dh.sum(axes), (dh * x_hat).sum(axes)
        e_dbeta = (m + 2) * U * abs(dh).sum(axes) + e_dh.sum(axes)
        e_dgamma = (m + 3) * U * abs(dh * x_hat).sum(axes)
        e_dgamma += (abs(dh) * self.e_x_hat + e_dh * abs(x_hat)).sum(axes)
        through, e_through = abs(dh), e_dh
        if not self.fixed:
            through = through + (abs(dbeta) + abs(x_hat * dgamma)) / m
            e_through = e_through + (e_dbeta + self.e_x_hat * abs(dgamma)) / m
            e_through = e_through + abs(x_hat) * e_dgamma / m
        e_dx = self.scale * ((self.e_inv_std + 8 * U) * through + e_through)
        return tuple(self.SECOND * e for e in (e_dx, e_dgamma, e_dbeta))


def _elementwise(engine, rng, size, c):
    """Copies must be exact, and a sum of k terms within (k - 1) u of the sum of their sizes."""
    ops, label = engine.ops, f"{size} {c}"
    x, other = _normal(rng, *size, c), _normal(rng, *size, c)
    wide, on_device = x.astype("f8"), engine.asarray(x)
    z = wide + other
    yield error(f"add {label}: y", engine, ops.add(on_device, engine.asarray(other)), z, U * abs(z))
    for name, steps in (("relu", 0), ("elu", 4)):  # exp and a difference
        exact, exact_cache = getattr(layers, name)(wide)
        y, cache = getattr(ops, name)(on_device)
        yield error(f"{name} {label}: y", engine, y, exact, steps * U * abs(exact))
        backward = f"{name}_backward"
        dx = getattr(ops, backward)(engine.asarray(other), cache)
        exact = getattr(layers, backward)(other.astype("f8"), exact_cache)
        yield error(f"{backward} {label}: dx", engine, dx, exact, 2 * steps * U * abs(other))
    for name, terms in (("upsample", 4), ("reflection_pad", 9)):
        exact = getattr(layers, name)(wide)
        yield error(f"{name} {label}: y", engine, getattr(ops, name)(on_device), exact, 0.0)
        dy = _normal(rng, *exact.shape)
        backward = getattr(layers, f"{name}_backward")
        dx = getattr(ops, f"{name}_backward")(engine.asarray(dy))
        bound = (terms - 1) * U * backward(abs(dy.astype("f8")))
        yield error(f"{name}_backward {label}: dx", engine, dx, backward(dy.astype("f8")), bound)
