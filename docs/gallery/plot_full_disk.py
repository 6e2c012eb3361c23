"""A full disk with dask

A dask array is enhanced only when it is computed, and only in the chunks that are needed. Each
chunk reads its own pixels and some of its neighbours'. The result does not depend on the chunks.
"""

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np

import enhance_np
from enhance_np.evaluate.spectrum import power_spectrum
from enhance_np.optics.degrade import HMI_SCALE
from enhance_np.sun.scene import scene

N, RADIUS, LEVEL = 4096, 1907, 55_000  # pixels; DN/s at disk center


def observed(seed, kind):
    """A synthetic scene of 70 x 93 arcsec as HMI sees it."""
    made, _ = scene(seed=seed, shape=(1056, 1400), pixel_scale=0.0662, kind=kind)
    return enhance_np.degrade(made, pixel_scale=0.0662)


# granulation: noise with the spectrum of a quiet scene, so that no part of the disk repeats another
granules = observed(1_000_006, "quiet")
rings = power_spectrum(granules, HMI_SCALE)
f = np.hypot(np.fft.fftfreq(N, HMI_SCALE)[:, None], np.fft.rfftfreq(N, HMI_SCALE))
amplitude = np.sqrt(np.interp(f, rings.frequency, rings.power))
noise = np.random.default_rng(0).standard_normal((N, N), dtype="float32")
sun = np.fft.irfft2(np.fft.rfft2(noise) * amplitude)
sun = 1 + granules.std() * sun / sun.std()

# an active region, blended into it over 8 pixels
region = observed(1_000_004, "active")
at = np.s_[2650 : 2650 + region.shape[0], 2400 : 2400 + region.shape[1]]
inside = [np.clip(np.minimum(np.arange(n), np.arange(n)[::-1]) / 8, 0, 1) for n in region.shape]
sun[at] += np.outer(*inside) * (region - sun[at])

y, x = np.ogrid[:N, :N]
mu = np.sqrt(np.maximum(1 - ((x - 2047.5) ** 2 + (y - 2047.5) ** 2) / RADIUS**2, 0))
sun = LEVEL * (1 - 0.56 * (1 - mu)) * (1 + mu * (sun - 1))
disk = da.from_array(np.where(mu > 0, sun, np.nan).astype("float32"), chunks=512)

# %%
# If the type and the level of the quiet Sun are given, `enhance` reads no pixels.

enhanced = enhance_np.enhance(disk, "intensity", norm=LEVEL)
print(enhanced)

# %%
# Two windows are computed, each from the chunks around it: the active region, and the limb.

windows = {"active region": (2640, 2390), "limb": (3300, 3300)}  # first line and column
side, half = 200, N / 2

figure = plt.figure(figsize=(10.5, 6.3), layout="constrained")
whole, *zooms = figure.subplot_mosaic("ABC;ADE").values()
style = {"origin": "lower", "cmap": "gray", "interpolation": "nearest"}
edge = half * HMI_SCALE
small = da.coarsen(np.mean, disk, {0: 16, 1: 16}).compute()
whole.imshow(small, extent=(-edge, edge, -edge, edge), **style)
whole.set(title="HMI: 4096 x 4096", xlabel="x [arcsec]", ylabel="y [arcsec]")
for (name, (row, column)), pair in zip(windows.items(), (zooms[:2], zooms[2:]), strict=True):
    left, low = HMI_SCALE * (column - half), HMI_SCALE * (row - half)
    width = side * HMI_SCALE
    whole.add_patch(plt.Rectangle((left, low), width, width, edgecolor="C1", fill=False))
    seen = disk[row : row + side, column : column + side].compute()
    window = (slice(2 * row, 2 * (row + side)), slice(2 * column, 2 * (column + side)))
    shown = {"vmin": 0.3 * np.nanmax(seen), "vmax": 1.05 * np.nanmax(seen), **style}
    shown["extent"] = (left, left + width, low, low + width)
    for axes, title, image in zip(
        pair, ("HMI", "enhanced"), (seen, enhanced[window].compute()), strict=True
    ):
        axes.imshow(image, **shown)
        axes.set(title=f"{name}, {title}", xlabel="x [arcsec]")
