"""A full disk with dask

A dask array is enhanced only when it is computed, and only in the chunks that are needed. Each
chunk reads its own pixels and some of its neighbours'. The result does not depend on the chunks.
"""

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np

import enhance_np
from enhance_np.optics.degrade import HMI_SCALE, degrade
from enhance_np.sun.scene import scene

RADIUS, LEVEL = 1907, 55_000  # pixels; DN/s at disk center
granules, _ = scene(seed=1_000_006, shape=(700, 700), pixel_scale=0.0662, kind="quiet")
granules, _ = degrade(granules, pixel_scale=0.0662)
granules = np.block([[granules, granules[:, ::-1]], [granules[::-1], granules[::-1, ::-1]]])


def sun(block_info):
    """One chunk of the disk, NaN off the limb."""
    (top, bottom), (left, right) = block_info[None]["array-location"]
    y, x = np.ogrid[top:bottom, left:right]
    mu = np.sqrt(np.maximum(1 - ((x - 2047.5) ** 2 + (y - 2047.5) ** 2) / RADIUS**2, 0))
    texture = 1 + mu * (granules[y % len(granules), x % len(granules)] - 1)
    limb_darkening = 1 - 0.56 * (1 - mu)
    return np.where(mu > 0, LEVEL * limb_darkening * texture, np.nan).astype("float32")


chunks = ((512,) * 8, (512,) * 8)
disk = da.map_blocks(sun, chunks=chunks, dtype="float32", meta=np.empty((0, 0), "float32"))

# %%
# If the type and the level of the quiet Sun are given, `enhance` reads no pixels.

enhanced = enhance_np.enhance(disk, "intensity", norm=LEVEL)
print(enhanced)

# %%
# A window at the limb is computed from the chunks around it.

window = (slice(6600, 7000), slice(6600, 7000))
limb = enhanced[window].compute()

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.4), layout="constrained")
style = {"origin": "lower", "cmap": "gray", "interpolation": "nearest"}
side = 2048 * HMI_SCALE
small = da.coarsen(np.mean, disk, {0: 8, 1: 8}).compute()
left.imshow(small, extent=(-side, side, -side, side), **style)
corner = HMI_SCALE * (np.array([3300, 3500]) - 2048)
box = 200 * HMI_SCALE
left.add_patch(plt.Rectangle(corner[[0, 0]], box, box, edgecolor="C1", fill=False))
left.set(title="HMI: 4096 x 4096", xlabel="x [arcsec]", ylabel="y [arcsec]")
shown = {"extent": (*corner, *corner), "vmin": 0.3 * LEVEL, "vmax": 0.75 * LEVEL, **style}
middle.imshow(disk[3300:3500, 3300:3500].compute(), **shown)
middle.set(title="HMI, the box", xlabel="x [arcsec]")
right.imshow(limb, **shown)
right.set(title="enhanced", xlabel="x [arcsec]")
