"""Backward passes to fill in.

`enhance-np exercises --out my_backward.py` writes this file, and `enhance-np grade my_backward.py`
tells of each function which properties hold and which does not. Replace each
`raise NotImplementedError`, in any order. `enhance-np exercises --hint NAME` has three hints for
each.

Everywhere, L is a number that depends on the output y of an operation. `dy` is its gradient
dL/dy, an array of the shape of y. The backward pass gives `dx` = dL/dx, of the shape of x, and
likewise the gradient in each parameter. By the chain rule,

    dL/dx[j] = sum over i of dL/dy[i] * (derivative of y[i] in x[j]).

Arrays are (N, H, W, C): images, rows, columns, channels. Do not change the arguments in place.
"""

import numpy as np


# ---------------------------------------------------------------------------------- 1. ReLU
def relu(x):
    """y = max(x, 0)."""
    return np.maximum(x, 0)


def relu_backward(dy, x):
    """dx, of the shape of x. At x = 0, take the derivative to be 0."""
    raise NotImplementedError


# ---------------------------------------------------------------------------- 2. upsampling
def upsample(x):
    """Repeats each pixel as a 2 x 2 block: (N, H, W, C) -> (N, 2H, 2W, C)."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def upsample_backward(dy):
    """dx (N, H, W, C) for dy (N, 2H, 2W, C)."""
    raise NotImplementedError


# --------------------------------------------------------------------- 3. reflection padding
def reflection_pad(x):
    """Mirrors one row and column outwards at each border: b | a b c ... | ...

    (N, H, W, C) -> (N, H + 2, W + 2, C). The border pixel itself is not repeated.
    """
    return np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")


def reflection_pad_backward(dy):
    """dx (N, H, W, C) for dy (N, H + 2, W + 2, C); H and W are 2 or more."""
    raise NotImplementedError


# ---------------------------------------------------------------------------- 4. convolution
def conv2d(x, w, b):
    """y[n,i,j,o] = b[o] + sum over (r, s, c) of x[n,i+r,j+s,c] * w[r,s,c,o].

    x : (N, H, W, Cin);  w : (kh, kw, Cin, Cout);  b : (Cout,)
    y : (N, H - kh + 1, W - kw + 1, Cout)
    """
    kh, kw, _, cout = w.shape
    n, h, wd, _ = x.shape
    y = np.zeros((n, h - kh + 1, wd - kw + 1, cout), x.dtype) + b
    for r in range(kh):
        for s in range(kw):
            y += x[:, r : r + y.shape[1], s : s + y.shape[2]] @ w[r, s]
    return y


def conv2d_backward(dy, x, w):
    """(dx, dw, db), of the shapes of x, w and b."""
    raise NotImplementedError


# ---------------------------------------------------------------------- 5. batch normalisation
def batchnorm(x, gamma, beta, eps=1e-3):
    """y = gamma * x_hat + beta,  x_hat = (x - mean) / sqrt(var + eps).

    mean and var (C,) are those of the M = N * H * W values of each channel.
    x, y : (N, H, W, C);  gamma, beta : (C,)
    """
    mean = x.mean(axis=(0, 1, 2))
    var = x.var(axis=(0, 1, 2))
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


def batchnorm_backward(dy, x, gamma, eps=1e-3):
    """(dx, dgamma, dbeta), of the shapes of x, gamma and beta.

    mean and var depend on every x.
    """
    raise NotImplementedError


# ---------------------------------------------------------------------------- 6. residual sum
def residual(x, branch):
    """y = x + branch(x): the skip connection of a residual block."""
    return x + branch(x)


def residual_backward(dy, branch_backward):
    """dx. branch_backward(dy) is the gradient through the branch, which is given."""
    raise NotImplementedError


# ----------------------------------------------------------------------------------- 7. loss
def mse(y, target):
    """The mean of (y - target)^2 over all numbers of the array."""
    return np.mean((y - target) ** 2)


def mse_gradient(y, target):
    """The gradient of mse in y, of the shape of y."""
    raise NotImplementedError


# ----------------------------------------------------------------------------------- 8. Adam
def adam_step(p, g, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-7):
    """(new p, new m, new v) of step t = 1, 2, ... for a parameter p with the gradient g.

    m and v, zero before the first step, are running means of g and of g^2. Both are too small at
    first, by the factors 1 - beta1^t and 1 - beta2^t, which has to be corrected.
    (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1)
    """
    raise NotImplementedError
