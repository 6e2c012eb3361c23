"""The equations of the page's operations, one for each helper in network.forward and backward.

h is the operation's input on the right-hand side and its result on the left; dh likewise, from the
result back to the input. The star is a cross-correlation, an exponent T an adjoint.
"""

FORWARD = {
    "conv": "h = w * pad(h) + b",
    "act": "h = f(h),  f(h) = max(h, 0) for ReLU",
    "bn_act": "h = f(gamma x_hat + beta),  x_hat = (h - mean) / sqrt(var + eps)",
    "bn_add": "h = gamma x_hat + beta + skip,  x_hat = (h - mean) / sqrt(var + eps)",
    "upsample_conv": "h = w * pad(up(h)) + b,  up repeats each pixel 2 x 2 times",
    "act_conv": "y = w f(h) + b,  a 1 x 1 convolution",
}
BACKWARD = {
    "conv": "dw = im2col(pad(h))^T dh,  db = sum dh,  dh = pad^T(w *^T dh)",
    "act": "dh = dh f'(h),  f'(h) = 1 where h > 0, else 0 for ReLU",
    "bn_act": "dz = dh f'(z),  dbeta = sum dz,  dgamma = sum dz x_hat,  "
    "dh = gamma / sqrt(var + eps) (dz - dbeta / M - x_hat dgamma / M)",
    "bn_add": "dskip = dh,  dbeta = sum dh,  dgamma = sum dh x_hat,  "
    "dh = gamma / sqrt(var + eps) (dh - dbeta / M - x_hat dgamma / M)",
    "upsample_conv": "dw = im2col(pad(up(h)))^T dh,  db = sum dh,  dh = up^T(pad^T(w *^T dh)),  "
    "up^T sums each 2 x 2 block",
    "act_conv": "dw = f(h)^T dy,  db = sum dy,  dh = (w^T dy) f'(h)",
}
