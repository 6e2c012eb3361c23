"""Can I trust this thread of penumbra?

A synthetic spot, of which the truth is known, as HMI sees it in 720 s. `confidence=True` gives an
error bar for every pixel, and a mask of reasons to doubt it. Both are made from the image alone:
the truth is used only to look whether they are right.
"""

import matplotlib.pyplot as plt
import numpy as np

import enhance_np
from enhance_np.optics.degrade import HMI_SCALE, degrade
from enhance_np.sun.scene import scene

intensity, _ = scene(seed=1_000_007, shape=(640, 640), pixel_scale=0.0662, kind="spot")
image, truth = degrade(intensity, pixel_scale=0.0662)
NOISE = 1e-3  # of the quiet Sun: HMI in 720 s
image = image + NOISE * np.random.default_rng(0).standard_normal(image.shape)
found = enhance_np.enhance(image, "intensity", norm="none", noise=NOISE, confidence=True)
error = found.image - truth

# %%
# In the umbra, which is dark and smooth, the error bar is smallest; it is largest in granules and
# at edges. The last panel is the true error in units of the error bar: it should look like noise
# of size 1 everywhere, and 68 % of the pixels should be within 1. Its patterns are structures that
# HMI cannot resolve, so the errors of neighbouring pixels are not independent.

inner = found.doubt == 0
print(f"without doubt: {100 * inner.mean():.0f} % of the pixels")
print(f"within one sigma: {100 * np.mean(np.abs(error / found.uncertainty)[inner] < 1):.0f} %")
print(f"within two sigma: {100 * np.mean(np.abs(error / found.uncertainty)[inner] < 2):.0f} %")

side = HMI_SCALE * len(image)
look = {"origin": "lower", "extent": (0, side, 0, side), "interpolation": "nearest"}
grey = look | {"cmap": "gray", "vmin": 0.1, "vmax": 1.3}
panels = {
    "input": (image, grey),
    "enhanced": (found.image, grey),
    "truth": (truth, grey),
    "error bar [Ic]": (found.uncertainty, look | {"cmap": "viridis", "vmin": 0}),
    "doubt (bits)": (found.doubt, look | {"cmap": "Reds", "vmin": 0, "vmax": 15}),
    "error / error bar": (
        error / found.uncertainty,
        look | {"cmap": "RdBu_r", "vmin": -3, "vmax": 3},
    ),
}
figure, axes = plt.subplots(2, 3, figsize=(9.6, 6), layout="constrained", sharex=True, sharey=True)
for (title, (pixels, style)), axis in zip(panels.items(), axes.flat, strict=True):
    drawn = axis.imshow(pixels, **style)
    axis.set_title(title)
    if style is not grey:
        figure.colorbar(drawn, ax=axis)
figure.supxlabel("arcsec")

# %%
# A cut along a column of pixels through the penumbra on the left, where the threads lie side by
# side. The band is one sigma to each side. Threads and gaps that differ by more than the band are
# in the truth too; where the curve stays within the band, the truth may do something else.

column, rows = 60, slice(50, 116)
place = HMI_SCALE / 2 * (np.arange(*rows.indices(len(truth))) + 0.5)
cut, sigma = found.image[rows, column], found.uncertainty[rows, column]
figure, axis = plt.subplots(figsize=(11, 3.6), layout="constrained")
axis.fill_between(place, cut - sigma, cut + sigma, color="C0", alpha=0.3, label="one sigma")
axis.plot(place, cut, "C0", label="enhanced")
axis.plot(place, truth[rows, column], "k--", label="truth")
axis.plot(place, image[:, column // 2].repeat(2)[rows], "0.6", label="input")
axis.set(xlabel="y [arcsec]", ylabel="intensity [Ic]", title="across the threads of the penumbra")
axis.legend(ncols=4)
