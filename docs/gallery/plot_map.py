"""A sunspot in a Map

`enhance_np.enhance` takes a sunpy Map and returns one of the same region with twice the pixels. The
example is an active region as HMI's continuum camera would see it, stored as JSOC stores it, with
solar north down.
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

region, _ = scene(seed=1_000_004, shape=(700, 850), pixel_scale=0.0662, kind="active")
image, truth = degrade(region, pixel_scale=0.0662)
image += 1e-3 * np.random.default_rng(0).standard_normal(image.shape)  # HMI's noise
sun = Helioprojective(observer="earth", obstime="2014-03-01T00:00:27.9")
header = sunpy.map.make_fitswcs_header(
    image,
    SkyCoord(120 * u.arcsec, -200 * u.arcsec, frame=sun),
    scale=[HMI_SCALE, HMI_SCALE] * u.arcsec / u.pix,
    rotation_angle=180 * u.deg,
    telescope="SDO/HMI",
    instrument="HMI_FRONT2",
    wavelength=6173 * u.angstrom,
    unit=u.DN / u.s,
)
header["content"] = "CONTINUUM INTENSITY"
hmi = sunpy.map.Map((55_000 * image).astype("float32"), header)

# %%
# The type is read from the header, and the level of the quiet Sun is measured on the pixels.

enhanced = enhance_np.enhance(hmi)

for name, seen in (("hmi", hmi), ("enhanced", enhanced)):
    center = seen.center
    print(
        f"{name:9}{type(seen).__name__}, {seen.data.shape} pixels of {seen.scale[0]:.4f}, "
        f"in {seen.unit}, center {center.Tx:.3f}, {center.Ty:.3f}"
    )
print({key: value for key, value in enhanced.meta.items() if key.startswith("enh")})

# %%
# Enhance before rotating: a rotation interpolates, and the network was trained on HMI's own pixels.

figure = plt.figure(figsize=(12, 5), layout="constrained")
limits = {"vmin": 0.2 * 55_000, "vmax": 1.25 * 55_000}
for i, (title, seen) in enumerate((("HMI", hmi), ("enhanced", enhanced)), 1):
    upright = seen.rotate()
    axes = figure.add_subplot(1, 2, i, projection=upright)
    drawn = upright.plot(axes=axes, title=title, **limits)
    corners = SkyCoord([100, 140] * u.arcsec, [-220, -180] * u.arcsec, frame=seen.coordinate_frame)
    (left, right), (bottom, top) = upright.wcs.world_to_pixel(corners)
    axes.set(xlim=(left, right), ylim=(bottom, top))
figure.colorbar(drawn, ax=figure.axes, label="continuum intensity [DN / s]", shrink=0.8)
