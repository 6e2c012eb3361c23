"""What a pixel of the output looks at

The gradient of one output pixel in the input is the linear filter that the network equals at that
place. `network.backward` computes it: the backward pass of training, with dy = 1 at the pixel and
0 elsewhere.
"""

import matplotlib.pyplot as plt
import numpy as np

import enhance_np
from enhance_np import models, network
from enhance_np.engine.tiles import halo
from enhance_np.optics.degrade import degrade
from enhance_np.sun.scene import scene

intensity, _ = scene(seed=1_000_007, shape=(512, 512), pixel_scale=0.0662, kind="spot")
image, _ = degrade(intensity, pixel_scale=0.0662)
weights = enhance_np.load_weights(models.path("intensity", "small"))

x = image[None, :, :, None].astype("float32")  # (N, H, W, C), over the quiet Sun
y, tape = network.forward(weights.params, x, weights.config, moving=weights.moving)


def gradient(i, j):
    """d y[2i, 2j] / dx, (H, W)."""
    dy = np.zeros_like(y)
    dy[0, 2 * i, 2 * j, 0] = 1
    dx, _ = network.backward(dy, tape, weights.config)
    return dx[0, :, :, 0]


# %%
# The filter extends over at most `2 depth + 3` pixels to the left and down, and over one less to
# the right and up (dashed): the output pixel [2i, 2j] lies a quarter of a pixel to the left of and
# below the centre of the input pixel [i, j]. Its sum is close to 1, so a constant image stays
# constant. A positive centre in a negative ring is typical of a deconvolution. The network is not
# linear, so its filter depends on the place: compare quiet Sun and umbra.

inside = image[12:-12, 12:-12]
places = {
    "brightest granule": np.unravel_index(inside.argmax(), inside.shape),
    "umbra": np.unravel_index(inside.argmin(), inside.shape),
}
places = {name: (i + 12, j + 12) for name, (i, j) in places.items()}
filters = {name: gradient(*place) for name, place in places.items()}
for name, dx in filters.items():
    reach = np.argwhere(dx) - places[name]
    print(f"{name:18}sum {dx.sum():.3f}, reaches from {reach.min()} to +{reach.max()} pixels")

figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
axes[0].imshow(image, cmap="gray", origin="lower")
axes[0].set(title="input", xlabel="pixel", ylabel="pixel")
limit = max(abs(dx).max() for dx in filters.values())
left = halo(weights.config) + 0.5
style = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "origin": "lower"}
for (name, (i, j)), axis, color in zip(places.items(), axes[1:], ("C1", "C0"), strict=True):
    axes[0].plot(j, i, "o", color=color, mfc="none")
    around = filters[name][i - 8 : i + 9, j - 8 : j + 9]
    drawn = axis.imshow(around, extent=(-8.5, 8.5, -8.5, 8.5), **style)
    axis.add_patch(plt.Rectangle((-left, -left), 2 * left - 1, 2 * left - 1, fill=False, ls="--"))
    axis.set(title=f"gradient: {name}", xlabel="pixel from it", xticks=range(-8, 9, 4))
figure.colorbar(drawn, ax=axes[2], label="d output / d input")
