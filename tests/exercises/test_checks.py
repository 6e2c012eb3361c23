"""Every mistake that a student may make is named by the property that it breaks."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from enhance_np.exercises import blanks
from enhance_np.exercises.checks import EXERCISES
from enhance_np.exercises.hints import HINTS
from enhance_np.exercises.network import train
from enhance_np.exercises.properties import NotBegun

SOLUTIONS = Path(__file__).parents[2] / "docs/learn/solutions.py"


@pytest.fixture(scope="module")
def solved():
    spec = importlib.util.spec_from_file_location("solutions", SOLUTIONS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def first_problem(findings):
    return next((f for f in findings if f.problem), None)


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("seed", range(5))
def test_the_solutions_are_right(name, seed, solved):
    assert not first_problem(EXERCISES[name](getattr(solved, name), np.random.default_rng(seed)))


@pytest.mark.parametrize("name", EXERCISES)
def test_the_blanks_are_not_begun(name):
    with pytest.raises(NotBegun):
        list(EXERCISES[name](getattr(blanks, name), np.random.default_rng(1)))


def test_the_solutions_train_the_network(solved):
    assert not first_problem(train(solved, np.random.default_rng(7)))


def test_the_network_needs_every_function(solved, monkeypatch):
    for name in set(EXERCISES) - {"residual_backward"}:
        with monkeypatch.context() as patched:
            patched.setattr(solved, name, getattr(blanks, name))
            with pytest.raises(NotImplementedError):
                list(train(solved, np.random.default_rng(7)))


def test_there_are_three_hints_for_each():
    assert HINTS.keys() == EXERCISES.keys()
    assert all(len(three) == 3 for three in HINTS.values())


def test_solutions_differ_from_the_blanks_in_the_functions_only():
    """Everything outside the bodies of the exercises is the same text."""
    blank = Path(blanks.__file__).read_text().split("    raise NotImplementedError\n")
    text = SOLUTIONS.read_text()
    for part in blank:
        assert part in text
        text = text[text.index(part) + len(part) :]


def with_dx(change):
    """conv2d_backward or batchnorm_backward whose dx is changed."""
    return lambda right: lambda dy, *rest: (change(right(dy, *rest)[0], dy, *rest),
                                            *right(dy, *rest)[1:])  # fmt: skip


def with_other(k, change):
    def make(right):
        def wrong(dy, *rest):
            found = list(right(dy, *rest))
            found[k] = change(found[k], dy, *rest)
            return tuple(found)

        return wrong

    return make


def in_place(right):
    def wrong(dy, *rest):
        result = right(dy.copy(), *rest)
        dy *= 0
        return result

    return wrong


def symmetric(dy):
    """The adjoint of padding that repeats the border pixel."""
    rows = dy[:, 1:-1].copy()
    rows[:, 0] += dy[:, 0]
    rows[:, -1] += dy[:, -1]
    dx = rows[:, :, 1:-1].copy()
    dx[:, :, 0] += rows[:, :, 0]
    dx[:, :, -1] += rows[:, :, -1]
    return dx


def no_corners(dy):
    dx = dy[:, 1:-1, 1:-1].copy()
    dx[:, 1] += dy[:, 0, 1:-1]
    dx[:, -2] += dy[:, -1, 1:-1]
    dx[:, :, 1] += dy[:, 1:-1, 0]
    dx[:, :, -2] += dy[:, 1:-1, -1]
    return dx


def flipped(dx, dy, x, w):
    out = np.zeros_like(x)
    for r in range(w.shape[0]):
        for s in range(w.shape[1]):
            out[:, r : r + dy.shape[1], s : s + dy.shape[2]] += dy @ w[::-1, ::-1][r, s].T
    return out


def cut(dx, dy, x, w):
    """dx without what reaches the outermost rows."""
    if w.shape[0] > 1:
        dx = dx.copy()
        dx[:, 0] = 0
    return dx


def normalised(x, eps):
    inv = 1 / np.sqrt(x.var(axis=(0, 1, 2)) + eps)
    return (x - x.mean(axis=(0, 1, 2))) * inv, inv


def constant_statistics(dx, dy, x, gamma, eps):
    return gamma * normalised(x, eps)[1] * dy


def no_mean(dx, dy, x, gamma, eps):
    return dx + gamma * normalised(x, eps)[1] * dy.mean(axis=(0, 1, 2))


def no_variance(dx, dy, x, gamma, eps):
    x_hat, inv = normalised(x, eps)
    return dx + gamma * inv * x_hat * (dy * x_hat).mean(axis=(0, 1, 2))


def adam(bias_m=True, bias_v=True, sign=-1, square=True, keep=False):
    def step(p, g, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-7):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (g**2 if square else g)
        a = m / (1 - beta1**t) if bias_m else m
        b = v / (1 - beta2**t) if bias_v else v
        return p + sign * lr * a / (np.sqrt(np.abs(b)) + eps), *((a, b) if keep else (m, v))

    return lambda right: step


def adam_of(correct=lambda beta, t: 1 - beta**t, eps="outside", lr_is=None, keeps=True):
    def step(p, g, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999):
        m = beta1 * (m if keeps else 0) + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        a, b = m / correct(beta1, t), v / correct(beta2, t)
        root = {"outside": np.sqrt(b) + 1e-7, "inside": np.sqrt(b + 1e-7), None: np.sqrt(b)}[eps]
        return p - (lr_is or lr) * a / root, m, v

    return lambda right: step


def border_by_index(dy):
    """Rows 1 and -2 are the same row of an image of 3 rows, and += then adds once."""
    rows = dy[:, 1:-1].copy()
    rows[:, [1, -2]] += dy[:, [0, -1]]
    dx = rows[:, :, 1:-1].copy()
    dx[:, :, [1, -2]] += rows[:, :, [0, -1]]
    return dx


def batchnorm_with(statistics):
    """batchnorm_backward whose x_hat is made with other statistics."""

    def make(right):
        def wrong(dy, x, gamma, eps):
            _, _, dbeta = right(dy, x, gamma, eps)
            mean, scale = statistics(x, eps)
            x_hat = (x - mean) / scale
            dgamma, m = (dy * x_hat).sum(axis=(0, 1, 2)), dy.size // dy.shape[-1]
            return gamma / scale * (dy - dbeta / m - x_hat * dgamma / m), dgamma, dbeta

        return wrong

    return make


AXES = (0, 1, 2)


def of_each_image(x, eps):
    each = {"axis": (1, 2), "keepdims": True}
    return x.mean(**each), np.sqrt(x.var(**each) + eps)


def last_image_only(dw, dy, x, w):
    from enhance_np.layers.conv import ConvCache, conv2d_backward

    return conv2d_backward(dy[-1:], ConvCache(x[-1:], w))[1]


MISTAKES = [
    ("relu_backward", lambda right: lambda dy, x: dy * (dy > 0), "mask", "not where dy > 0"),
    ("relu_backward", lambda right: lambda dy, x: dy * (x >= 0), "mask", "x = 0"),
    ("relu_backward", lambda right: lambda dy, x: dy * x * (x > 0), "mask", "unchanged"),
    ("relu_backward", lambda right: lambda dy, x: dy.copy(), "mask", "x < 0"),
    ("relu_backward", lambda right: lambda dy, x: (x > 0), "dtype", "bool"),
    ("relu_backward", lambda right: lambda dy, x: None, "shape", "None"),
    ("relu_backward", lambda right: lambda dy, x: dy / 0 * (x > 0), "finite", "infinity"),
    ("relu_backward", lambda right: lambda dy, x: dy @ x, "runs", "ValueError in line"),
    ("relu_backward", in_place, "leaves its arguments", "in place"),
    ("upsample_backward", lambda right: lambda dy: right(dy) / 4, "scale", "not averaged"),
    ("upsample_backward", lambda right: lambda dy: dy[:, ::2, ::2].copy(), "block", "nowhere"),
    ("upsample_backward", lambda right: lambda dy: right(dy)[:, :, :-1], "shape", "(2, 4, 5, 3)"),
    ("upsample_backward", lambda right: lambda dy: right(dy)[::-1], "block", "another image"),
    ("reflection_pad_backward", lambda right: lambda dy: dy[:, 1:-1, 1:-1], "border", "nowhere"),
    ("reflection_pad_backward", lambda right: symmetric, "border", "(0, 1)"),
    ("reflection_pad_backward", lambda right: no_corners, "corner", "nowhere"),
    ("reflection_pad_backward", lambda right: lambda dy: right(dy) * 2, "inside", "only, as 1"),
    ("conv2d_backward", with_other(2, lambda db, *_: db / 2), "scale", "summed over the batch"),
    ("conv2d_backward", with_other(2, lambda db, dy, *_: dy.mean(axis=(0, 1, 2))), "scale",
     "not a mean"),
    ("conv2d_backward", with_other(2, lambda db, dy, *_: dy[0].sum(axis=(0, 1))), "batch sum",
     "db must"),
    ("conv2d_backward", with_other(1, lambda dw, *_: dw / 2), "scale", "dw is 0.5"),
    ("conv2d_backward", with_other(1, lambda dw, *_: dw[::-1, ::-1]), "flip", "dw[r, s]"),
    ("conv2d_backward", with_other(1, lambda dw, *_: dw[:, ::-1]), "adjoint", "linear in w"),
    ("conv2d_backward", with_dx(flipped), "flip", "180"),
    ("conv2d_backward", with_dx(cut), "border", "near the border"),
    ("conv2d_backward", with_dx(lambda dx, *_: dx[:, :, ::-1]), "adjoint", "linear in x"),
    ("conv2d_backward", lambda right: lambda dy, x, w: right(dy, x, w)[:2], "shape", "2 values"),
    ("batchnorm_backward", with_dx(constant_statistics), "statistics", "constants"),
    ("batchnorm_backward", with_dx(no_mean), "path through the mean", "sum to 0"),
    ("batchnorm_backward", with_dx(no_variance), "path through the variance", "contrast"),
    ("batchnorm_backward", with_dx(lambda dx, dy, x, gamma, eps: dx / gamma), "scale",
     "factor gamma of"),
    ("batchnorm_backward",
     with_dx(lambda dx, dy, x, gamma, eps: dx / normalised(x, eps)[1]), "scale", "1 / sqrt"),
    ("batchnorm_backward", with_other(1, lambda d, dy, x, *_: (dy * x).sum(axis=(0, 1, 2))),
     "normalised", "x_hat and not x"),
    ("batchnorm_backward", with_other(1, lambda d, *_: d / 40), "scale", "not a mean"),
    ("batchnorm_backward", with_other(2, lambda d, *_: d / 40), "scale", "dbeta is 0.025"),
    ("batchnorm_backward",
     lambda right: lambda dy, x, gamma, eps: right(dy, x, gamma, 0.5), "values", "dgamma"),
    ("residual_backward", lambda right: lambda dy, branch: branch(dy), "skip", "has to be added"),
    ("residual_backward", lambda right: lambda dy, branch: dy.copy(), "branch", "branch too"),
    ("residual_backward", lambda right: lambda dy, branch: dy + branch(dy) * 2, "values", "dx["),
    ("residual_backward", lambda right: lambda dy, branch: dy + (branch(dy) + branch(dy)) / 2,
     "one pass", "2 calls"),
    ("mse_gradient", lambda right: lambda y, t: right(y, t) / 2, "scale", "factor 2"),
    ("mse_gradient", lambda right: lambda y, t: 2 * (y - t), "scale", "all values"),
    ("mse_gradient", lambda right: lambda y, t: y - t, "scale", "are missing"),
    ("mse_gradient", lambda right: lambda y, t: 2 * (y - t) / len(y), "scale", "number of images"),
    ("mse_gradient", lambda right: lambda y, t: right(t, y), "scale", "sign is turned"),
    ("mse_gradient", lambda right: lambda y, t: abs(right(y, t)), "values", "the gradient["),
    ("adam_step", adam(bias_m=False), "first step", "correction of m"),
    ("adam_step", adam(bias_v=False), "first step", "correction of v"),
    ("adam_step", adam(bias_m=False, bias_v=False), "first step", "both corrections"),
    ("adam_step", adam(sign=1), "direction", "against"),
    ("adam_step", adam(square=False), "scale", "g^2, not of g"),
    ("adam_step", adam(keep=True), "scale", "without the correction"),
    ("adam_step", lambda right: lambda p, g, m, v, t, lr: right(p, g, m, v, 1, lr), "later steps",
     "t from 1"),
]  # fmt: skip


MISTAKES += [
    ("adam_step", adam_of(lambda beta, t: 1 - beta * t), "later steps", "beta^t"),
    ("adam_step", adam_of(eps=None), "eps", "nan lr"),
    ("adam_step", adam_of(eps="inside"), "eps", "beside the root"),
    ("adam_step", adam_of(lr_is=1e-3), "first step", "0.5 lr"),
    ("adam_step", adam_of(keeps=False), "later steps", "step 2 m must"),
    ("reflection_pad_backward", lambda right: border_by_index, "small images", "3 x 3"),
    ("relu_backward", lambda right: lambda dy, x: dy.astype("f4").astype("f8") * (x > 0), "mask",
     "unchanged"),
    ("upsample_backward", lambda right: lambda dy: right(dy.astype("f4")).astype("f8"), "adjoint",
     "float32"),
    ("conv2d_backward", with_other(1, last_image_only), "batch sum", "of one image"),
    ("batchnorm_backward", batchnorm_with(lambda x, eps: (x.mean(AXES), (x.var(AXES, ddof=1) + eps)
     ** 0.5)), "statistics", "M - 1"),
    ("batchnorm_backward", batchnorm_with(lambda x, eps: (x.mean(AXES), x.std(AXES) + eps)),
     "statistics", "beside the root"),
    ("batchnorm_backward", batchnorm_with(lambda x, eps: (x.mean(AXES), x.std(AXES))),
     "statistics", "without eps"),
    ("batchnorm_backward", batchnorm_with(of_each_image), "statistics", "each image"),
    ("batchnorm_backward", lambda right: lambda *a: right(*a)[::2] + right(*a)[1:2], "order",
     "dx, dgamma, dbeta"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "make", "prop", "words"), MISTAKES, ids=[f"{m[0]}-{m[2]}-{m[3]}" for m in MISTAKES]
)
def test_a_mistake_is_named(name, make, prop, words, solved):
    wrong = make(getattr(solved, name))
    with np.errstate(all="ignore"):
        found = first_problem(EXERCISES[name](wrong, np.random.default_rng(3)))
    assert found.name == prop
    assert words in found.problem


@pytest.mark.parametrize("name", EXERCISES)
def test_every_exercise_has_mistakes_that_are_tried(name):
    assert sum(mistake[0] == name for mistake in MISTAKES) >= 4


RIGHT = [
    ("upsample_backward", lambda dy: 4 * np.real(np.fft.ifft(np.fft.fft(
        dy.reshape(2, -1, 2, dy.shape[2] // 2, 2, 3).mean(axis=(2, 4)), axis=1), axis=1))),
    ("mse_gradient", lambda y, t: (y - t) / y.size * 2),
    ("residual_backward", lambda dy, branch: np.add(branch(dy), dy)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "other"), RIGHT, ids=[name for name, _ in RIGHT])
def test_another_right_way_is_right(name, other):
    """Rounding differs."""
    assert not first_problem(EXERCISES[name](other, np.random.default_rng(3)))


def test_a_partial_that_fails_is_named():
    from functools import partial

    found = first_problem(
        EXERCISES["mse_gradient"](partial(lambda z, y, t: 1 / 0, 1), np.random.default_rng(3))
    )
    assert found.problem == "ZeroDivisionError: division by zero"
