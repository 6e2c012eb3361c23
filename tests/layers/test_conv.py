import check
import numpy as np
import pytest

from enhance_np.layers import conv2d, conv2d_backward, pad_conv, pad_conv_backward
from enhance_np.layers.conv import ConvCache


def direct(x, w, b):
    """The convolution by its definition, with explicit loops."""
    n, h, wd, _ = x.shape
    kh, kw, _, cout = w.shape
    y = np.zeros((n, h - kh + 1, wd - kw + 1, cout))
    for i in range(y.shape[1]):
        for j in range(y.shape[2]):
            y[:, i, j] = np.einsum("nrsc,rsco->no", x[:, i : i + kh, j : j + kw], w) + b
    return y


@pytest.mark.parametrize(("kh", "kw"), [(1, 1), (3, 3), (5, 5), (1, 3), (3, 1)])
def test_definition_and_adjoints(rng, kh, kw):
    x, w = check.integers(rng, (2, 6, 7, 3)), check.integers(rng, (kh, kw, 3, 4))
    b = check.integers(rng, 4)
    y, _ = conv2d(x, w, b)
    np.testing.assert_array_equal(y, direct(x, w, b))
    dy = check.integers(rng, y.shape)
    zero = np.zeros(4)
    check.adjoint(
        lambda x: conv2d(x, w, zero)[0], lambda dy: conv2d_backward(dy, ConvCache(x, w))[0], x, dy
    )
    check.adjoint(
        lambda w: conv2d(x, w, zero)[0], lambda dy: conv2d_backward(dy, ConvCache(x, w))[1], w, dy
    )
    _, _, db = conv2d_backward(dy, ConvCache(x, w))
    np.testing.assert_array_equal(db, dy.sum(axis=(0, 1, 2)))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_padded_keeps_the_size_and_is_adjoint(rng, k):
    x, w = check.integers(rng, (2, 4, 5, 2)), check.integers(rng, (k, k, 2, 3))
    y, cache = pad_conv(x, w, np.zeros(3))
    assert y.shape == (2, 4, 5, 3)
    dy = check.integers(rng, y.shape)
    check.adjoint(
        lambda x: pad_conv(x, w, np.zeros(3))[0],
        lambda dy: pad_conv_backward(dy, cache)[0],
        x,
        dy,
    )


def test_matches_torch(rng):
    torch = pytest.importorskip("torch")
    inputs = rng.standard_normal((2, 6, 5, 3)), rng.standard_normal((3, 3, 3, 4)), np.arange(4.0)
    y, cache = pad_conv(*inputs)
    dy = rng.standard_normal(y.shape)
    x, w, b = (torch.tensor(a, requires_grad=True) for a in inputs)
    padded = torch.nn.functional.pad(x.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="reflect")
    want = torch.nn.functional.conv2d(padded, w.permute(3, 2, 0, 1), b).permute(0, 2, 3, 1)
    want.backward(torch.tensor(dy))
    np.testing.assert_allclose(y, want.detach().numpy(), rtol=1e-12, atol=1e-12)
    for got, leaf in zip(pad_conv_backward(dy, cache), (x, w, b), strict=True):
        np.testing.assert_allclose(got, leaf.grad.numpy(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("x", "w", "b", "words"),
    [
        ((1, 5, 5, 2), (3, 3, 3, 4), (4,), "needs x"),
        ((1, 5, 5, 2), (3, 3, 2, 4), (3,), "needs x"),
        ((1, 5, 5, 2), (2, 2, 2, 4), (4,), "odd sides"),
        ((1, 2, 5, 2), (3, 3, 2, 4), (4,), "at least as large as the kernel"),
    ],
)
def test_refuses(x, w, b, words):
    with pytest.raises(ValueError, match=words):
        conv2d(np.zeros(x), np.zeros(w), np.zeros(b))
