"""The properties that each exercise is checked for, simplest first.

Each function has the name of an exercise and yields findings; the first problem ends the check. The
right values are those of `enhance_np.layers`, in float64, on small random arrays whose sides differ
so that exchanged axes show.
"""

from collections.abc import Callable

import numpy as np

from .. import layers, loss, optim
from .blanks import batchnorm, conv2d, reflection_pad, relu, upsample
from .properties import CLOSE, Finding, Findings, adjoint, close, linear, outputs, scale, values

N, H, W, C = 2, 4, 5, 3  # images, rows, columns, channels
MEAN_OF_BATCH = "the loss already has its mean, so gradients are summed over the batch"


def relu_backward(f: Callable, rng) -> Findings:
    x, dy = rng.standard_normal((2, N, H, W, C))
    x[0, 0, 0] = 0
    want = layers.relu_backward(dy, relu(x))
    yield from outputs(f, (dy, x), {"dx": want}, found := [])
    (dx,) = found
    if close(dx, dy * (dy > 0)):
        yield Finding("mask", "the mask must tell where x > 0, and not where dy > 0")
    for where, text in (
        (x > 0, "where x > 0, dy must pass unchanged"),
        (x < 0, "where x < 0, y does not change with x and dx must be 0"),
        (x == 0, "where x = 0, dx must be 0"),
    ):
        yield Finding("mask", None if close(dx[where], want[where]) else text)
    yield values("dx", dx, want)


def upsample_backward(f: Callable, rng) -> Findings:
    x, dy = rng.standard_normal((N, H, W, C)), rng.standard_normal((N, 2 * H, 2 * W, C))
    want = layers.upsample_backward(dy)
    yield from outputs(f, (dy,), {"dx": want}, found := [])
    (dx,) = found
    average = "each of the four copies sends its gradient back, and they are summed, not averaged"
    yield scale("dx", dx, want, {average: 0.25})
    for row, column in ((0, 0), (1, 1), (2, 3), (7, 9)):
        yield _one(f, dy.shape, (row, column), (row // 2, column // 2), "block")
    yield adjoint("dx", dx, x, dy, upsample(x), "Each pixel of x is used four times.")
    yield values("dx", dx, want)


def reflection_pad_backward(f: Callable, rng) -> Findings:
    x, dy = rng.standard_normal((N, H, W, C)), rng.standard_normal((N, H + 2, W + 2, C))
    want = layers.reflection_pad_backward(dy)
    yield from outputs(f, (dy,), {"dx": want}, found := [])
    (dx,) = found
    for name, places in (
        ("inside", [(2, 2), (1, 1)]),
        ("border", [(0, 2), (H + 1, 3), (2, 0), (3, W + 1)]),
        ("corner", [(0, 0), (0, W + 1), (H + 1, 0), (H + 1, W + 1)]),
    ):
        for place in places:
            inside = _mirrored(place[0], H), _mirrored(place[1], W)
            yield _one(f, dy.shape, place, inside, name)
    yield from linear(f, dy, rng)
    yield adjoint("dx", dx, x, dy, reflection_pad(x), "Padded pixels are copies.")
    yield values("dx", dx, want)
    for side in (2, 3):  # rows 0 and 4 of a padded image of 3 rows are both copies of its row 1
        small = rng.standard_normal((1, side + 2, side + 2, 1))
        name, want = f"{side} x {side}", layers.reflection_pad_backward(small)
        yield from outputs(f, (small,), {f"dx of an image of {name} pixels": want}, found := [])
        if not close(found[0], want):
            yield Finding(
                "small images",
                f"dx of an image of {name} pixels is wrong: there both borders may be added to the "
                "same row, and NumPy's += with a repeated index adds only once",
            )


def _mirrored(place, size):
    """The row or column inside that reflection padding by 1 copied to this one."""
    inside = abs(place - 1)
    return 2 * (size - 1) - inside if inside > size - 1 else inside


def _one(f, shape, place, inside, name):
    """A gradient of 1 at one place of y, in the second image, must arrive at one place of x."""
    dy = np.zeros(shape)
    dy[1, *place, 1] = 1
    dx = f(dy)
    want = np.zeros_like(dx)
    want[1, *inside, 1] = 1
    if close(dx, want):
        return Finding(name)
    there = {tuple(map(int, at)): dx[1, *at, 1] for at in np.argwhere(abs(dx[1, :, :, 1]) > CLOSE)}
    got = "it arrived " + ", ".join(f"at {at} as {v:.4g}" for at, v in list(there.items())[:3])
    if not there:
        got += "nowhere" if not (abs(dx) > CLOSE).any() else "in another image or channel"
    return Finding(
        name,
        f"pixel {place} of y is a copy of pixel {inside} of x: a gradient of 1 there must arrive "
        f"at {inside} only, as 1; {got}",
    )


def conv2d_backward(f: Callable, rng) -> Findings:
    h, wide, cout = 6, 7, 2  # so that some pixels are not near the border
    for kh, kw in ((3, 3), (1, 1), (1, 3)):
        x, w = rng.standard_normal((N, h, wide, C)), rng.standard_normal((kh, kw, C, cout))
        dy = rng.standard_normal((N, h - kh + 1, wide - kw + 1, cout))
        cache = layers.conv.ConvCache(x, w)
        want = dict(zip(("dx", "dw", "db"), layers.conv2d_backward(dy, cache), strict=True))
        yield from outputs(f, (dy, x, w), want, found := [])
        dx, dw, db = found
        ends = [layers.conv2d_backward(dy[k:][:1], cache._replace(x=x[k:][:1])) for k in (0, N - 1)]
        for name, got, k in (("db", db, 2), ("dw", dw, 1)):
            yield scale(
                name, got, want[name],
                {MEAN_OF_BATCH: 1 / N, "it is a sum over pixels, not a mean": 1 / dy[..., 0].size},
            )  # fmt: skip
            one = f"{name} must be summed over all images of the batch, here it is of one image"
            alone = any(close(got, of_one[k]) for of_one in ends)
            yield Finding("batch sum", one if alone else None)
        yield values("db", db, want["db"])
        v, zero = rng.standard_normal(w.shape), np.zeros(cout)
        if close(dw, want["dw"][::-1, ::-1]) and not close(dw, want["dw"]):
            yield Finding("flip", "dw[r, s] belongs to the pixel [i + r, j + s] of x")
        yield adjoint("dw", dw, v, dy, conv2d(x, v, zero), "y is linear in w.")
        yield values("dw", dw, want["dw"])
        flipped = layers.conv2d_backward(dy, cache._replace(w=w[::-1, ::-1]))[0]
        if close(dx, flipped) and not close(dx, want["dx"]):
            yield Finding(
                "flip",
                "dx[i + r, j + s] receives w[r, s] * dy[i, j]: here the kernel is turned by 180 "
                "degrees, so the gradient comes from the wrong neighbours",
            )
        inner = np.s_[:, kh - 1 : h - kh + 1, kw - 1 : wide - kw + 1]
        if close(dx[inner], want["dx"][inner]) and not close(dx, want["dx"]):
            yield Finding("border", "dx is right inside, but not in the pixels near the border")
        v = rng.standard_normal(x.shape)
        yield adjoint("dx", dx, v, dy, conv2d(v, w, zero), "y is linear in x.")
        yield values("dx", dx, want["dx"])


def batchnorm_backward(f: Callable, rng) -> Findings:
    x, dy = 2 + 3 * rng.standard_normal((N, H, W, C)), 1 + rng.standard_normal((N, H, W, C))
    gamma, eps = np.array([0.5, 2.0, 1.5]), 0.02  # not the default
    _, cache = layers.batchnorm(x, gamma, np.zeros(C), eps)
    right = layers.batchnorm_backward(dy, cache)
    want = dict(zip(("dx", "dgamma", "dbeta"), right, strict=True))
    yield from outputs(f, (dy, x, gamma, eps), want, found := [])
    dx, dgamma, dbeta = found
    m = N * H * W
    sums = {"it is a sum over pixels, not a mean": 1 / m, MEAN_OF_BATCH: 1 / N}
    if close(dbeta, want["dgamma"]) and close(dgamma, want["dbeta"]):
        yield Finding("order", "the results must be dx, dgamma, dbeta in this order")
    yield scale("dbeta", dbeta, want["dbeta"], sums)
    yield values("dbeta", dbeta, want["dbeta"])
    if close(dgamma, (dy * x).sum(axis=(0, 1, 2))):
        yield Finding("normalised", "y is gamma * x_hat: dgamma needs x_hat and not x")
    for words, x_hat in _other_x_hats(x, eps):
        if close(dgamma, (dy * x_hat).sum(axis=(0, 1, 2))):
            yield Finding("statistics", f"x_hat is made with {words}")
    yield scale("dgamma", dgamma, want["dgamma"], sums)
    yield values("dgamma", dgamma, want["dgamma"])

    factor = gamma * cache.inv_std  # of each channel
    mean_path, variance_path = factor * dbeta / m, factor * cache.x_hat * dgamma / m
    if close(dx, want["dx"] + mean_path + variance_path):
        yield Finding(
            "statistics",
            "the mean and the variance depend on x: here they are taken for constants, as they "
            "are in prediction but not in training",
        )
    per_channel = {
        "gamma": 1 / gamma,
        "1 / sqrt(var + eps)": 1 / cache.inv_std,
        "gamma / sqrt(var + eps)": 1 / factor,
    }
    for missing, ratio in per_channel.items():
        if close(dx, want["dx"] * ratio):
            yield Finding("scale", f"dx lacks the factor {missing} of each channel")
    total = dx.sum(axis=(0, 1, 2))
    if np.abs(total).max() > 1e-9 * np.abs(dx).sum():
        yield Finding(
            "path through the mean",
            "adding a constant to all x of a channel does not change y, so dx must sum to 0 in "
            f"each channel: got {total[0]:.4g} in channel 0",
        )
    yield Finding("path through the mean")
    if close(dx, want["dx"] + variance_path):
        yield Finding(
            "path through the variance",
            "the variance depends on x: without this path a change of contrast seems to change y",
        )
    yield scale("dx", dx, want["dx"], {})
    yield values("dx", dx, want["dx"])
    v = rng.standard_normal(x.shape)
    step = 1e-6
    ahead, behind = (batchnorm(x + s * v, gamma, np.zeros(C), eps) for s in (step, -step))
    change = (ahead - behind) / (2 * step)
    measured, got = float(np.vdot(dy, change)), float(np.vdot(dx, v))
    right = abs(got - measured) < 1e-6 * np.abs(dy * change).sum()
    yield Finding("difference", None if right else f"measured {measured:.6g}, got {got:.6g}")


def _other_x_hats(x, eps):
    """(what is wrong, the normalised x) of known mistakes."""
    axes, (n, h, w, _) = (0, 1, 2), x.shape
    centred, m = x - x.mean(axes), n * h * w
    yield "a variance divided by M - 1 instead of M", centred / (x.var(axes, ddof=1) + eps) ** 0.5
    yield "eps beside the root: it must be sqrt(var + eps)", centred / (x.std(axes) + eps)
    yield "a variance without eps", centred / x.std(axes)
    mean, var = x.mean(axis=(1, 2), keepdims=True), x.var(axis=(1, 2), keepdims=True)
    yield (
        f"the statistics of each image: they are those of all M = {m} pixels of the batch",
        (x - mean) / (var + eps) ** 0.5,
    )


def residual_backward(f: Callable, rng) -> Findings:
    dy, matrix = rng.standard_normal((N, H, W, C)), rng.standard_normal((C, C))
    asked = []

    def branch_backward(given):
        asked.append(given)
        return given @ matrix.T

    through = dy @ matrix.T
    yield from outputs(f, (dy, branch_backward), {"dx": dy + through}, found := [])
    (dx,) = found
    yield Finding("branch", "x goes through the branch too" if close(dx, dy) else None)
    skip = "x is also used by the skip, whose gradient is dy: it has to be added"
    yield Finding("skip", skip if close(dx, through) else None)
    yield values("dx", dx, dy + through)
    once = None if len(asked) == 1 else f"must be called once, got {len(asked)} calls"
    yield Finding("one pass", once)


def mse_gradient(f: Callable, rng) -> Findings:
    n = 5  # images: not 2, which is also the factor of the derivative
    y, target = rng.standard_normal((2, n, H, W, C))
    _, want = loss.mse(y, target)
    yield from outputs(f, (y, target), {"the gradient": want}, found := [])
    (dy,) = found
    yield scale(
        "the gradient", dy, want,
        {
            "the derivative of a square has the factor 2": 0.5,
            "the mean divides by the number of all values": y.size,
            "the factor 2 and the division by the number of all values are missing": y.size / 2,
            "divide by the number of all values, not by the number of images": y.size / n,
            "divide by the number of all values, not by the number of images; the derivative of a "
            "square has the factor 2": y.size / n / 2,
            "the sign is turned: it must grow with y - target": -1,
            "the sign is turned, and the factor 2 is missing": -0.5,
            "the sign is turned, and the division by the number of all values is missing": -y.size,
        },
    )  # fmt: skip
    yield values("the gradient", dy, want)


def adam_step(f: Callable, rng) -> Findings:
    p, g = rng.standard_normal((2, 4, 3))
    g += np.sign(g)  # large beside eps
    lr, zero = 2e-3, np.zeros_like(g)  # not the default
    arguments = (p, g, zero, zero, 1, lr)
    right = _adam(p, g, zero, zero, 1, lr)
    names = ("new p", "new m", "new v")
    yield from outputs(f, arguments, dict(zip(names, right, strict=True)), found := [])
    new, m, v = found
    yield scale(
        "m", m, right[1],
        {"m = beta1 m + (1 - beta1) g, and it is returned without the correction": 10},
    )  # fmt: skip
    yield values("m", m, right[1])
    if close(v, 0.001 * g):
        yield Finding("scale", "v is the running mean of g^2, not of g")
    yield scale(
        "v", v, right[2],
        {"v = beta2 v + (1 - beta2) g^2, and it is returned without the correction": 1000},
    )  # fmt: skip
    yield values("v", v, right[2])
    step = new - p
    if np.sign(step[0, 0]) == np.sign(g[0, 0]):
        yield Finding("direction", "p must go against the gradient: p - ..., not p + ...")
    # sqrt(v) + eps may have eps inside or outside the correction: 1e-7 of g, or 3e-6
    if np.abs(np.abs(step) / lr - 1).max() > 1e-2:
        typical = float(np.abs(step).mean() / lr)
        without_both = 0.1 / np.sqrt(0.001)
        reason = ""
        if abs(typical / without_both - 1) < 1e-3:
            reason = ": both corrections are missing"
        elif abs(typical / 0.1 - 1) < 1e-3:
            reason = ": the correction of m is missing"
        elif abs(typical * np.sqrt(0.001) - 1) < 1e-3:
            reason = ": the correction of v is missing"
        yield Finding(
            "first step",
            f"the first step must be +-lr whatever the gradient: the mean is {typical:.4g} lr"
            + reason,
        )
    # eps inside or outside the correction is the same within 3 % here, and 3 times less in the root
    small = np.array([1e-4, 0.0])
    step = f(np.zeros(2), small, np.zeros(2), np.zeros(2), 1, lr)[0] / -lr
    if not (0.9 < step[0] < 1.01 and step[1] == 0):  # NaN is refused too
        yield Finding(
            "eps",
            "eps belongs beside the root, sqrt(v) + eps: with gradients of 1e-4 and 0 the first "
            f"step must be -lr and 0, got {-step[0]:.3g} lr and {-step[1]:.3g} lr",
        )
    yield Finding("eps")
    mine, reference = (p, zero, zero), (p, zero, zero)
    for t in range(1, 11):
        g = 0.5 * g + rng.uniform(0.5, 1, p.shape)
        reference = _adam(reference[0], g, *reference[1:], t, lr)
        mine = f(mine[0], g, mine[1], mine[2], t, lr)
        for k, name, formula in ((1, "m", "beta1 m + (1 - beta1) g"), (2, "v", "beta2 v + ...")):
            if not close(mine[k], reference[k]):
                problem = f"in step {t} {name} must be {formula}, with the m and v of the last step"
                yield Finding("later steps", problem)
        if not np.abs(mine[0] - reference[0]).max() <= 1e-3 * lr:  # NaN is refused too
            problem = f"step {t} of ten goes elsewhere: do the corrections have beta^t, t from 1?"
            yield Finding("later steps", problem)
    yield Finding("later steps")


def _adam(p, g, m, v, t, lr):
    state = optim.AdamState(t - 1, {"": m}, {"": v})
    new, state = optim.adam({"": p}, {"": g}, state, lr)
    return new[""], state.m[""], state.v[""]


EXERCISES = {
    check.__name__: check
    for check in (
        relu_backward, upsample_backward, reflection_pad_backward, conv2d_backward,
        batchnorm_backward, residual_backward, mse_gradient, adam_step,
    )
}  # fmt: skip
