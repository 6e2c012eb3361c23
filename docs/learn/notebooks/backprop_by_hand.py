"""Backpropagation by hand through Enhance

From one pixel of one convolution to a network that learns. Every value is shown beside its
gradient. You need NumPy and the chain rule; nothing here uses a deep-learning framework.
"""

import matplotlib.pyplot as plt
import numpy as np

from enhance_np import layers, loss, network, optim, params
from enhance_np.config import NetworkConfig
from enhance_np.optics.degrade import degrade
from enhance_np.sun.scene import scene

rng = np.random.default_rng(3)
plt.rcParams["figure.dpi"] = 70


def pictures(images, titles, signed=True, columns=None, size=2.2):
    """Images side by side, each with its own colour bar; signed ones are symmetric about 0."""
    columns = columns or len(images)
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(size * columns, size * rows), layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for image, title, axis in zip(images, titles, axes.flat, strict=False):
        limit = abs(image).max() or 1
        style = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit} if signed else {"cmap": "gray"}
        drawn = axis.imshow(image, **style)
        axis.set_title(title, fontsize=9)
        figure.colorbar(drawn, ax=axis, shrink=0.7)


# %%
# ## 1. One pixel
#
# A convolution multiplies a window of the image by a kernel, adds the products, and adds a bias.
# Take one window of 3 x 3, so that the output is a single number y.

window = np.array([[0.9, 1.0, 1.1], [1.0, 1.3, 0.8], [1.0, 0.7, 1.0]])
kernel = np.array([[0.0, -0.2, 0.0], [-0.2, 1.8, -0.2], [0.0, -0.2, 0.0]])
products = window * kernel
y = products.sum() + 0.1
print(f"y = {y:.3f}")
pictures([window - 1, kernel, products], ["window - 1", "kernel", "products"])

# %%
# Let the loss be (y - 1.5)². How does it change if one weight of the kernel grows a little? The
# weight is multiplied by its pixel, so y grows by pixel times the change, and the loss by
# 2 (y - 1.5) times that. The gradient of the kernel is therefore dy times the window, and that of
# the window is dy times the kernel.

dy = 2 * (y - 1.5)
dkernel, dwindow = dy * window, dy * kernel
pictures([dkernel, dwindow], ["gradient of the kernel", "gradient of the window"])

# %%
# Is it true? Change one weight by a small step in both directions, and measure.


def loss_of(kernel):
    return ((window * kernel).sum() + 0.1 - 1.5) ** 2


step = np.zeros((3, 3))
step[1, 2] = 1e-5
measured = (loss_of(kernel + step) - loss_of(kernel - step)) / 2e-5
print(f"by the formula {dkernel[1, 2]:.6f}, measured {measured:.6f}")

# %%
# ## 2. A pixel that is used more than once
#
# In an image, each pixel takes part in nine windows, so nine gradients arrive at it, and they are
# added. The same holds for the padding: a mirrored pixel is a copy, and its gradient belongs to the
# pixel that it copies. If the gradient is 1 everywhere in the padded image, the gradient of a pixel
# counts how often it was used.

uses = layers.reflection_pad_backward(np.ones((1, 8, 8, 1)))[0, :, :, 0]
print(uses.astype(int))
pictures([uses], ["how often the padding uses a pixel"], signed=False, size=3)

# %%
# ## 3. Batch norm: three ways from x to y
#
# Batch norm subtracts the mean of a channel and divides by its standard deviation. Each x acts on y
# directly, and through the mean and the variance of all. The gradient has three terms. Below, a
# single output pixel has the gradient 1.

x = rng.standard_normal((1, 12, 12, 1)).cumsum(axis=1).cumsum(axis=2)
y, cache = layers.batchnorm(x, np.ones(1), np.zeros(1))
dy = np.zeros_like(y)
dy[0, 4, 7, 0] = 1
dx, dgamma, dbeta = layers.batchnorm_backward(dy, cache)
m = x.size
direct = cache.inv_std * dy
through_mean = -cache.inv_std * dbeta / m * np.ones_like(x)
through_variance = -cache.inv_std * cache.x_hat * dgamma / m
print("the three add up:", np.allclose(direct + through_mean + through_variance, dx))
pictures(
    [a[0, :, :, 0] for a in (x, direct, through_mean, through_variance, dx)],
    ["x", "direct", "through the mean", "through the variance", "dx"],
)

# %%
# The sum of dx is zero: adding a constant to all x changes nothing. For the same reason a bias
# before a batch norm has no gradient, and needs none.

print(f"sum of dx {dx.sum():.1e}")

# %%
# ## 4. The whole network, values beside gradients
#
# A small Enhance: 8 channels, one residual block. `network.forward` and `network.backward` call an
# observer with every value h and every gradient dh. The image is a piece of synthetic granulation,
# and the target is the same piece as a larger telescope sees it.

intensity, _ = scene(1_000_003, (420, 420), 0.0662, "quiet")
low, high = degrade(intensity, 0.0662)
x = low[None, 10:34, 10:34, None].astype("f8")
target = high[None, 20:68, 20:68, None].astype("f8")
config = NetworkConfig(depth=1, filters=8)
p, _ = params.initial(config, seed=2, dtype=np.float64)
p = params.contrasted(p, x)

values, gradients = {"x": x}, {}
y, tape = network.forward(p, x, config, observe=values.__setitem__)
value, dy = loss.mse(y, target)
network.backward(dy, tape, config, observe=gradients.__setitem__)

names = list(values)
channel = {name: abs(values[name]).sum(axis=(0, 1, 2)).argmax() for name in names}
shown = [values[n][0, :, :, channel[n]] - values[n][0, :, :, channel[n]].mean() for n in names]
pictures(shown, names, columns=6)
pictures([gradients[n][0, :, :, channel[n]] for n in names], [f"d {n}" for n in names], columns=6)

# %%
# The first row is read from left to right, the second backwards: from `d head`, the difference from
# the target, to `d x`.
#
# ## 5. Adam
#
# A step against the gradient would be too large for one parameter and too small for another. Adam
# divides by the usual size of each gradient. The first step is the learning rate, up or down,
# whatever the gradient is.

for size in (1e-2, 1.0, 1e4):
    q = {"a": np.array(1.0)}
    state, steps = optim.adam_start(q), []
    for g in (size, size, -size):
        new, state = optim.adam(q, {"a": np.array(g)}, state, lr=1e-2)
        steps.append(f"{float(new['a'] - q['a']):+.5f}")
        q = new
    print(f"gradients {size:g}, {size:g}, {-size:g}: steps", *steps)

# %%
# ## 6. It learns
#
# Forward, loss, backward, Adam, again and again. The network sees only one image here, so it learns
# that image by heart; a real training draws a new batch of many patches for each step.

state, curve = optim.adam_start(p), []
for step in range(150):
    y, tape = network.forward(p, x, config)
    value, dy = loss.mse(y, target)
    _, g = network.backward(dy, tape, config, wrt_x=False)
    p, state = optim.adam(p, g, state, lr=2e-2 if step < 80 else 5e-3)
    curve.append(value)

repeated = np.mean((layers.upsample(x) - target) ** 2)
print(f"mse of repeated pixels {repeated:.1e}, of the network {curve[-1]:.1e}")
figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
axis.semilogy(curve, label="network")
axis.axhline(repeated, color="gray", linestyle=":", label="repeated pixels")
axis.set(xlabel="step", ylabel="mean squared error")
axis.legend()
pictures([a[0, :, :, 0] for a in (x, y, target)], ["x", "y", "target"], signed=False, size=3)

# %%
# Now write these functions yourself: `enhance-np exercises --out my_backward.py`, then
# `enhance-np grade my_backward.py`.
