"""The field of plage

HMI's blur dilutes the flux tubes between the granules of a magnetogram, and the network removes a
part of the blur. The truth of a synthetic Sun is known, so the output can be compared with it.
"""

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import sunpy.map
from astropy.coordinates import SkyCoord
from sunpy.coordinates import Helioprojective

import enhance_np
from enhance_np.optics.degrade import HMI_SCALE, degrade
from enhance_np.sun.scene import scene

_, field = scene(seed=1_000_005, shape=(700, 700), pixel_scale=0.0662, kind="pore")
image, truth = degrade(field, pixel_scale=0.0662)
image += 10 * np.random.default_rng(0).standard_normal(image.shape)  # gauss, of a 45 s magnetogram
sun = Helioprojective(observer="earth", obstime="2014-03-01T00:00:27.9")
header = sunpy.map.make_fitswcs_header(
    image,
    SkyCoord(0 * u.arcsec, 0 * u.arcsec, frame=sun),
    scale=[HMI_SCALE, HMI_SCALE] * u.arcsec / u.pix,
    telescope="SDO/HMI",
    instrument="HMI_FRONT2",
    wavelength=6173 * u.angstrom,
    unit=u.G,
)
header["content"] = "MAGNETOGRAM"
hmi = sunpy.map.Map(image.astype("float32"), header)
hmi.plot_settings["norm"].vmin, hmi.plot_settings["norm"].vmax = -1500, 1500

# %%
# The plot settings of the Map are kept, so the same grey is the same field in both.

enhanced = enhance_np.enhance(hmi)

figure = plt.figure(figsize=(12, 5), layout="constrained")
for i, (title, seen) in enumerate((("HMI", hmi), ("enhanced", enhanced)), 1):
    axes = figure.add_subplot(1, 2, i, projection=seen)
    drawn = seen.plot(axes=axes, title=title)
figure.colorbar(drawn, ax=figure.axes, label="line-of-sight field [G]", shrink=0.8)

# %%
# Along the line of the strongest pixel, peaks become higher and narrower, but not as much as in the
# truth. The mean unsigned field shows whether the network added flux.

row, _ = np.unravel_index(abs(truth).argmax(), truth.shape)
arcsec = HMI_SCALE * (np.arange(image.shape[1]) + 0.5)
finer = HMI_SCALE / 2 * (np.arange(truth.shape[1]) + 0.5)
figure, axes = plt.subplots(figsize=(9, 3.5))
axes.plot(finer, truth[row] / 1000, color="0.7", lw=3, label="truth: a telescope of 28 cm")
axes.plot(finer, enhanced.data[row] / 1000, color="C3", lw=1, label="enhanced")
axes.plot(arcsec, hmi.data[row // 2] / 1000, color="C0", lw=1, label="HMI")
axes.set(xlabel="x [arcsec]", ylabel="line-of-sight field [kG]", xlim=(0, arcsec.max()))
axes.legend()

for name, data in (("HMI", hmi.data), ("enhanced", enhanced.data), ("truth", truth)):
    print(
        f"{name:9}mean |B| {abs(data).mean():5.1f} G, rms {data.std():5.1f} G, "
        f"largest {abs(data).max():5.0f} G"
    )
