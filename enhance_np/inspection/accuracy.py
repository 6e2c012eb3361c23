"""Compares the operations of an engine in float32 with the reference in float64.

Every error is compared with a derived bound, which holds for any order of the sums. The error of a
sum of k products in float32 is at most (k + s) u times the sum of the products' absolute values,
with u = 2^-24; s counts other roundings (EXTRA). The sum of absolute values is the result of the
reference for the absolute values of the arguments. For batch norm, the error of the mean is
propagated through every line of its formula, to first order.
Source: Higham 2002, Accuracy and Stability of Numerical Algorithms, sections 3.1 and 4.2.

The other methods for 3x3 convolutions (engine.cuda.methods) have bounds of their own, derived in
the heads of their kernels. Winograd adds not products of x and w but of their transforms, whose
absolute values are larger.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from .. import layers
from ..engine import Engine
from ..engine.cuda.convolution import conv, pad_conv_backward_by
from ..layers.batchnorm import EPS
from ..layers.conv import ConvCache

U = 2.0**-24
# roundings of a bias, of kernels folded for the upsampling, of the adjoints of the padding (9
# terms) and of the upsampling (4), and of an activation
EXTRA = 16
SECOND = 1.01  # factor of a bound of first order in u, for the higher orders
# bounds for the whole network, as in tests/engine/test_vocabulary.py: of y relative to its range,
# of a gradient relative to its largest value, plus FLOOR relative to the largest of all gradients,
# because some are zero in theory
PAGE_Y, PAGE_G, FLOOR = 1e-5, 1e-4, 1e-6
SIZES = (1, 2, 2), (2, 3, 13), (1, 17, 6), (2, 33, 35)  # N, H, W
CHANNELS = (1, 64), (64, 64), (64, 1), (32, 32), (7, 48)  # Cin, Cout
MOVES = {"upsample": 4, "reflection_pad": 9}  # copies; the most terms that their adjoints add
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


class Expected(NamedTuple):
    """The results of an operation by the reference in float64, and bounds on an engine's errors."""

    y: np.ndarray
    e_y: np.ndarray | float  # bound of each element, or one for all
    # dy -> {"dx": (exact, bound), ...}, one for each argument of the operation
    gradients: Callable[[np.ndarray], dict[str, tuple]]
    undecided: np.ndarray | None = None  # where rounding decides whether a ReLU passes a value


def expected(name: str, arguments, moving=None, u: float = U) -> Expected:
    """What the operation must give.

    arguments, moving : as for layers.NAME, with the values that the engine gets.
    u : unit roundoff of the engine's arithmetic, 2^-24 for float32.
    """
    wide = [a.astype("f8") for a in arguments]
    if name.endswith(("conv", "conv2d")):
        return _convolution(name, wide, u)
    if name.startswith("batchnorm"):
        return _batchnorm(name, wide, moving and [a.astype("f8") for a in moving], u)
    return _elementwise(name, wide, u)


def run(ops, name: str, arguments, moving=None) -> tuple:
    """(y, backward) of an operation; backward(dy) is a tuple, one gradient for each argument."""
    operation = getattr(ops, name)
    if name == "add":
        return operation(*arguments), lambda dy: (dy, dy)
    backward = getattr(ops, f"{name}_backward")
    if name in MOVES:
        return operation(*arguments), lambda dy: (backward(dy),)
    statistics = {"moving": moving} if name.startswith("batchnorm") else {}
    y, cache = operation(*arguments, **statistics)

    def gradients(dy):
        found = backward(dy, cache)
        return found if isinstance(found, tuple) else (found,)

    return y, gradients


def check(
    engine: Engine, rng: np.random.Generator, sizes=SIZES, channels=CHANNELS
) -> Iterator[Error]:
    """The error of every result of every operation."""
    for size, (cin, cout) in product(sizes, channels):
        for name in ("conv2d", "pad_conv", "upsample_conv", "relu_conv", "elu_conv"):
            for k in (1, 3):
                if min(size[1:]) >= k or name == "upsample_conv":
                    arguments = _normal(rng, *size, cin), _normal(rng, k, k, cin, cout)
                    of = f"{size} {k} x {k} {cin} -> {cout}"
                    yield from _errors(engine, rng, name, of, (*arguments, _normal(rng, cout)))
    for size, c in product(sizes, sorted({c for pair in channels for c in pair})):
        for name, given in product(("", "_relu", "_elu", "_add"), (False, True)):
            x = 1 + 0.3 * _normal(rng, *size, c)
            vectors = _normal(rng, c), _normal(rng, c)
            skip = (_normal(rng, *size, c),) if name == "_add" else ()
            moving = tuple((1 + rng.random((2, c))).astype(np.float32)) if given else None
            of = f"{size} {c}{' with given statistics' if given else ''}"
            yield from _errors(engine, rng, f"batchnorm{name}", of, (x, *skip, *vectors), moving)
        x, other = _normal(rng, *size, c), _normal(rng, *size, c)
        yield from _errors(engine, rng, "add", f"{size} {c}", (x, other))
        for name in ("relu", "elu", *MOVES):
            yield from _errors(engine, rng, name, f"{size} {c}", (x,))


def check_method(
    engine: Engine, rng: np.random.Generator, name: str, sizes=SIZES
) -> Iterator[Error]:
    """The errors of the GPU's 3x3 convolution of 64 channels by a method, with its epilogue, and of
    its dX.  name : of engine.cuda.methods.METHODS, not float32."""
    for size in sizes:
        x, w, b = _normal(rng, *size, 64), _normal(rng, 3, 3, 64, 64), _normal(rng, 64)
        skip, dy = _normal(rng, *x.shape), _normal(rng, *x.shape)
        label, on_device = f"{name} {size} 64 -> 64", engine.asarray(w)
        y = conv(engine.asarray(x), on_device, engine.asarray(b), True, engine.asarray(skip), name)
        exact, cache = layers.pad_conv(*(a.astype("f8") for a in (x, w, b)))
        want = np.maximum(exact + skip, 0)
        yield error(f"{label}: y", engine, y, want, method_bound(name, x, w, b, skip))
        kept = ConvCache(engine.asarray(x), on_device)
        if engine.ops is layers:  # whose cache holds x with its frame
            kept = layers.pad_conv(x, w, b)[1]
        dx, *_ = pad_conv_backward_by(name, engine.asarray(dy), kept)
        want, *_ = layers.pad_conv_backward(dy.astype("f8"), cache)
        yield error(f"{label}: dx", engine, dx, want, method_dx_bound(name, dy, w))


def method_bound(name: str, x, w, b, skip=0) -> np.ndarray:
    """The bound of |y - exact| of a method for pad_conv with a 3x3 kernel, plus skip."""
    terms, sums_of_sizes = METHODS[name]
    framed = layers.reflection_pad(abs(x.astype("f8")))
    sizes = sums_of_sizes(framed, abs(w.astype("f8"))) + abs(b) + abs(skip)
    return terms(w.shape[2]) * U * sizes


def method_dx_bound(name: str, dy, w) -> np.ndarray:
    """The bound of |dX - exact|: of dX of the framed x, of which the adjoint of the padding adds up
    to 9 values, with a rounding each."""
    terms, sums_of_sizes = METHODS[name]
    zeros = ((0, 0), (2, 2), (2, 2), (0, 0))
    turned = abs(w.astype("f8"))[::-1, ::-1].transpose(0, 1, 3, 2)
    framed = sums_of_sizes(np.pad(abs(dy.astype("f8")), zeros), turned)
    return (terms(w.shape[3]) + 9) * U * layers.reflection_pad_backward(framed)


def winograd_conv2d(x: np.ndarray, w: np.ndarray, matrices=F2) -> np.ndarray:
    """y of layers.conv2d for a 3x3 kernel, without bias, by F(2x2, 3x3), in NumPy.

    matrices : A^T, G, B^T. With absolute values of the matrices and of the arguments, the result
    is the sum of absolute values in the bound of the rounding.
    """
    a_t, g, b_t = matrices
    height, width = x.shape[1] - 2, x.shape[2] - 2
    # tiles extend beyond the edge by a line on which no y depends
    framed = np.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    d = np.lib.stride_tricks.sliding_window_view(framed, (4, 4), (1, 2))[:, ::2, ::2]
    u = np.einsum("ik,klco,jl->ijco", g, w, g)
    v = np.einsum("ik,ntackl,jl->ntaijc", b_t, d, b_t, optimize=True)
    m = np.einsum("ntaijc,ijco->ntijao", v, u, optimize=True)
    y = np.einsum("ri,ntijao,sj->ntraso", a_t, m, a_t, optimize=True)
    n, down, _, across, _, cout = y.shape
    return y.reshape(n, 2 * down, 2 * across, cout)[:, :height, :width]


def _by_definition(x, w):
    return layers.conv2d(x, w, np.zeros(w.shape[3]))[0]


def _by_winograd(x, w):
    return winograd_conv2d(x, w, [abs(a) for a in F2])


# of a method: Cin -> number of roundings; sums of absolute values, from those of framed x and of w
METHODS = {
    "winograd": (lambda cin: cin + 9, _by_winograd),
    "3xtf32": (lambda cin: 9 * cin / 8 + 34, _by_definition),
}


def error(name: str, engine: Engine, found, exact: np.ndarray, bound) -> Error:
    """The Error of one array of the engine.  bound : of each element, or one for all."""
    found = engine.asnumpy(found)
    if found.shape != exact.shape or found.dtype != np.float32:
        return Error(f"{name}: shape or dtype", np.inf, np.inf)
    off = abs(found.astype("f8") - exact)
    return Error(name, float(off.max()), float(shares(off, bound).max()))


def shares(off: np.ndarray, bound) -> np.ndarray:
    """The ratio of each error to its bound; no error is 0 of any bound."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(off == 0, 0, off / bound)


def _normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def _errors(engine, rng, name, of, arguments, moving=None):
    """The errors of y and, but for add, whose adjoint only copies, of every gradient."""
    want = expected(name, arguments, moving)
    to_device = engine.asarray
    on_device = [*map(to_device, arguments)], moving and tuple(map(to_device, moving))
    y, backward = run(engine.ops, name, *on_device)
    yield error(f"{name} {of}: y", engine, y, want.y, want.e_y)
    if name == "add":
        return
    dy = _normal(rng, *want.y.shape)
    if want.undecided is not None:
        dy[want.undecided] = 0
    gradients = want.gradients(dy.astype("f8"))
    for (part, result), found in zip(gradients.items(), backward(to_device(dy)), strict=True):
        yield error(f"{name} {of}: {part}", engine, found, *result)
    if name == "pad_conv":
        _, cache = engine.ops.pad_conv(*on_device[0])
        alone = engine.ops.pad_conv_gradient(to_device(dy), cache)
        for part, found in zip(("dw", "db"), alone, strict=True):
            yield error(f"pad_conv_gradient {of}: {part}", engine, found, *gradients[part])


def _convolution(name, wide, u):
    forward, backward = getattr(layers, name), getattr(layers, f"{name}_backward")
    k, _, cin, cout = wide[1].shape
    y, cache = forward(*wide)
    sum_of_sizes, size_cache = forward(*map(abs, wide))

    def gradients(dy):
        terms = k * k * cout, dy.size // cout, dy.size // cout
        sums_of_sizes = backward(abs(dy), size_cache)
        bounds = [(t + EXTRA) * u * a for t, a in zip(terms, sums_of_sizes, strict=True)]
        exact = backward(dy, cache)
        return dict(zip(("dx", "dw", "db"), zip(exact, bounds, strict=True), strict=True))

    return Expected(y, (k * k * cin + EXTRA) * u * sum_of_sizes, gradients)


def _batchnorm(name, wide, moving, u):
    x, *skip, gamma, beta = wide
    y, cache = getattr(layers, name)(*wide, moving=moving)
    rounded = _Rounded(x, gamma, beta, cache, u)
    e_y = rounded.y + sum(2 * u * abs(a) for a in skip) + 4 * u * abs(y)

    def gradients(dy):
        dh, e_dh = dy, np.zeros_like(dy)
        if name == "batchnorm_relu":
            dh = dy * (y > 0)
        elif name == "batchnorm_elu":
            dh = layers.elu_backward(dy, y)
            e_dh = np.where(y > 0, 0, abs(dy) * (e_y + 2 * u))
        parts, bounds = ["dx", "dgamma", "dbeta"], [*rounded.gradients(dh, e_dh)]
        if skip:  # the gradient of skip is dy itself
            parts.insert(1, "dskip")
            bounds.insert(1, 0.0)
        exact = getattr(layers, f"{name}_backward")(dy, cache)
        return dict(zip(parts, zip(exact, bounds, strict=True), strict=True))

    undecided = None
    if name == "batchnorm_relu":
        undecided = abs(layers.batchnorm(*wide, moving=moving)[0]) <= e_y
    return Expected(y, e_y, gradients, undecided)


def _elementwise(name, wide, u):
    """Copies must be exact, and a sum of k terms within (k - 1) u of the sum of their sizes."""
    y, backward = run(layers, name, wide)
    if name == "add":
        return Expected(y, u * abs(y), lambda dy: {"dx": (dy, 0.0), "dy": (dy, 0.0)})
    if name in MOVES:
        terms = MOVES[name]

        def gradients(dy):
            bound = (terms - 1) * u * backward(abs(dy))[0]
            return {"dx": (*backward(dy), bound)}

        return Expected(y, 0.0, gradients)
    steps = {"relu": 0, "elu": 4}[name]  # of ELU exp and a difference
    return Expected(
        y, steps * u * abs(y), lambda dy: {"dx": (*backward(dy), 2 * steps * u * abs(dy))}
    )


class _Rounded:
    """Bounds on the errors of batch norm, to first order in u."""

    def __init__(self, x, gamma, beta, cache, u):
        mean, var, inv_std, x_hat = cache.mean, cache.var, cache.inv_std, cache.x_hat
        self.fixed, self.m, self.u = cache.fixed, x.size // x.shape[-1], u
        axes = (0, 1, 2)
        if self.fixed:
            e_mean = e_var = np.zeros_like(mean)
        else:
            e_mean = (self.m + 2) * u * abs(x).mean(axes)
            e_var = (self.m + 6) * u * var + 2 * e_mean * abs(x - mean).mean(axes) + e_mean**2
        self.e_inv_std = e_var / (2 * (var + EPS)) + 8 * u  # relative
        # 4 u (|x| + |mean|) allows gamma * x_hat + beta to be computed as x * scale + shift
        e_x = inv_std * (e_mean + 4 * u * (abs(x) + abs(mean)))
        self.e_x_hat = e_x + abs(x_hat) * self.e_inv_std
        y = abs(gamma) * self.e_x_hat + 4 * u * (abs(gamma * x_hat) + abs(beta))
        self.y = SECOND * y
        self.x_hat, self.scale = x_hat, abs(gamma * inv_std)

    def gradients(self, dh, e_dh):
        """Bounds of dx, dgamma, dbeta, given the gradient in batch norm's output and its error."""
        axes, m, u, x_hat = (0, 1, 2), self.m, self.u, self.x_hat
        dbeta, dgamma = dh.sum(axes), (dh * x_hat).sum(axes)
        e_dbeta = (m + 2) * u * abs(dh).sum(axes) + e_dh.sum(axes)
        e_dgamma = (m + 3) * u * abs(dh * x_hat).sum(axes)
        e_dgamma += (abs(dh) * self.e_x_hat + e_dh * abs(x_hat)).sum(axes)
        through, e_through = abs(dh), e_dh
        if not self.fixed:
            through = through + (abs(dbeta) + abs(x_hat * dgamma)) / m
            e_through = e_through + (e_dbeta + self.e_x_hat * abs(dgamma)) / m
            e_through = e_through + abs(x_hat) * e_dgamma / m
        e_dx = self.scale * ((self.e_inv_std + 8 * u) * through + e_through)
        return tuple(SECOND * e for e in (e_dx, e_dgamma, e_dbeta))
