"""The equations of the page's operations, one for each helper in network.forward and backward.

h is the operation's input on the right-hand side and its result on the left; dh likewise, from the
result back to the input. The star is a cross-correlation, an exponent T an adjoint.
"""

ACTIVATION = {
    "relu": ("f(h) = max(h, 0)", "f'(h) = 1 where h > 0, else 0"),
    "elu": ("f(h) = h where h > 0, else exp(h) - 1", "f'(h) = 1 where h > 0, else exp(h)"),
}
STATISTICS = {
    "training": "mean and var over the pixels of the channel",
    "prediction": "mean and var as stored",
}
NORMALISED = "x_hat = (h - mean) / sqrt(var + eps)"
# the direct path, and in training those through mean and var
THROUGH = {
    "training": "dh = gamma / sqrt(var + eps) (dz - dbeta / M - x_hat dgamma / M)",
    "prediction": "dh = gamma / sqrt(var + eps) dz",
}


def forward(operation: str, activation: str, mode: str) -> list[str]:
    """The equations of an operation.  mode : "training" or "prediction", see `trace`."""
    f = ACTIVATION[activation][0]
    return {
        "conv": ["h = w * pad(h) + b"],
        "act": ["h = f(h)", f],
        "bn_act": ["h = f(z)", "z = gamma x_hat + beta", NORMALISED, STATISTICS[mode], f],
        "bn_add": ["h = gamma x_hat + beta + skip", NORMALISED, STATISTICS[mode]],
        "upsample_conv": ["h = w * pad(up(h)) + b", "up repeats each pixel 2 x 2 times"],
        "act_conv": ["y = w f(h) + b", f],
    }[operation]


def backward(operation: str, activation: str, mode: str) -> list[str]:
    """The equations of an operation's backward pass, see `forward`."""
    df = ACTIVATION[activation][1]
    sums = ["dbeta = sum dz", "dgamma = sum dz x_hat"]
    return {
        "conv": ["dw = im2col(pad(h))^T dh", "db = sum dh", "dh = pad^T(w *^T dh)"],
        "act": ["dh = dh f'(h)", df],
        "bn_act": ["dz = dh f'(z)", *sums, THROUGH[mode], df],
        "bn_add": ["dskip = dh", "dz = dh", *sums, THROUGH[mode]],
        "upsample_conv": [
            "dw = im2col(pad(up(h)))^T dh",
            "db = sum dh",
            "dh = up^T(pad^T(w *^T dh))",
            "up^T sums each 2 x 2 block",
        ],
        "act_conv": ["dw = f(h)^T dy", "db = sum dy", "dh = (w^T dy) f'(h)", df],
    }[operation]
