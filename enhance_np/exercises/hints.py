"""Three hints for each exercise: a question, the way, and almost the answer."""

HINTS = {
    "relu_backward": (
        "Make x a little larger at one place. When does y change, and by how much?",
        "Where x > 0, y = x and the derivative is 1. Where x < 0, y stays 0: the derivative is 0.",
        "Multiply dy by a mask of 0 and 1. The mask depends on x, and not on dy.",
    ),
    "upsample_backward": (
        "One pixel of x is used at four places of y. What does L feel if that pixel changes?",
        "The chain rule sums over all uses: dx is the sum, not the mean, of four values of dy.",
        "Reshape dy to (N, H, 2, W, 2, C) and sum over the two axes of length 2.",
    ),
    "reflection_pad_backward": (
        "A padded pixel is a copy of a pixel inside. To which pixel does its gradient belong?",
        "Row 0 of dy belongs to padded row 2, because the mirror is at row 1. Columns likewise. A "
        "padded corner was copied along both axes.",
        "First add rows: rows = dy[:, 1:-1].copy(); rows[:, 1] += dy[:, 0]; rows[:, -2] += "
        "dy[:, -1]. Then do the same with the columns of `rows`.",
    ),
    "conv2d_backward": (
        "y is a sum of products. Which x and which w does y[n,i,j,o] use, and with which factor?",
        "dw[r,s,c,o] is the sum over n, i, j of x[n,i+r,j+s,c] * dy[n,i,j,o]. dx[n,i+r,j+s,c] "
        "receives w[r,s,c,o] * dy[n,i,j,o] from every (r, s, o). db is the sum of dy over n, i, j.",
        "Loop over r and s as in conv2d: with the window xs = x[:, r:r+Ho, s:s+Wo], dw[r, s] = "
        "np.tensordot(xs, dy, axes=([0, 1, 2], [0, 1, 2])), and dx[:, r:r+Ho, s:s+Wo] += dy @ "
        "w[r, s].T.",
    ),
    "batchnorm_backward": (
        "y depends on x in three ways: directly, through the mean, and through the variance. What "
        "happens to y if you add a constant to all x of a channel?",
        "Adding a constant to x does not change y, so dx must sum to 0 in each channel. Nor does a "
        "change of contrast (but for eps): that is the path through the variance.",
        "dbeta = sum dy, dgamma = sum dy * x_hat, both over N, H and W. With M = N * H * W, dx = "
        "gamma / sqrt(var + eps) * (dy - dbeta / M - x_hat * dgamma / M).",
    ),
    "residual_backward": (
        "x is used twice: by the skip and by the branch.",
        "The gradients of both uses are added, as in upsample_backward.",
        "The skip passes dy unchanged, and the branch gives branch_backward(dy).",
    ),
    "mse_gradient": (
        "What is the derivative of (y - t)^2 in y, and how many numbers is the mean taken over?",
        "The derivative of the square is 2 (y - target). The mean divides by the number of all "
        "values: images, rows, columns and channels.",
        "2 * (y - target) / y.size",
    ),
    "adam_step": (
        "After one step m = (1 - beta1) g. Divide by 1 - beta1^t: what is left at t = 1?",
        "m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2. Correct both, then p goes "
        "against m. The first step is +-lr, however large g is.",
        "p - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps). Return the m and v "
        "without the correction.",
    ),
}
