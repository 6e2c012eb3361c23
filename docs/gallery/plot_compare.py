"""Beside another telescope

`enhance_np.compare` puts an enhanced image beside that of a larger telescope: on the same pixels
and at the same resolution. Here both telescopes see one synthetic scene, so it is known what must
come out: HMI with the noise of 45 s, and a spectropolarimeter of 50 cm with pixels of 0.16 arcsec.
"""

import matplotlib.pyplot as plt
import numpy as np
from astropy.io import fits

import enhance_np
from enhance_np.optics.degrade import HMI_SCALE
from enhance_np.sun.scene import scene

_, field = scene(seed=1_000_005, shape=(600, 720), pixel_scale=0.0662, kind="pore")
rng = np.random.default_rng(0)
sot = enhance_np.Optics("airy", aperture=0.5, wavelength=6302e-10, hmi_scale=0.16)


def seen(part, optics, noise, telescope, instrument, corner):
    """What a telescope sees of a part of the scene; corner: its x and y in arcsec."""
    image = enhance_np.degrade(part, optics=optics, pixel_scale=0.0662)
    image += noise * rng.standard_normal(image.shape)
    header = fits.Header({"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "BUNIT": "Gauss"})
    header.update({"TELESCOP": telescope, "INSTRUME": instrument})
    for axis, value in enumerate(corner, 1):
        header.update({f"CUNIT{axis}": "arcsec", f"CDELT{axis}": optics.hmi_scale})
        header.update({f"CRPIX{axis}": 0.5, f"CRVAL{axis}": value})
    return fits.PrimaryHDU(image, header)


hmi = seen(field, enhance_np.Optics(), 10, "SDO/HMI", "HMI_FRONT2", (0, 0))
# from the 40th line and column of the scene on, with coordinates that are wrong by 3 and -2 arcsec
part = field[40:, 40:]
hinode = seen(part, sot, 5, "HINODE", "SOT/SP", (40 * 0.0662 + 3, 40 * 0.0662 - 2))

# %%
# The shift is found, and the sharper image is blurred to 28 cm. `degrade` takes values at the
# centres of the pixels, so `other_averages` is False; for a real image of Hinode it is left out.

found = enhance_np.compare(enhance_np.enhance(hmi), hinode, other_averages=False)
print(found)
x, y = found.report["shift"]["arcsec"]
assert abs(x - 3) < 0.05 * HMI_SCALE / 2
assert abs(y + 2) < 0.05 * HMI_SCALE / 2

# %%
# HMI's own image is the coarser one, so with it both are at HMI's resolution: there, only its noise
# differs from what the larger telescope saw.

print(enhance_np.compare(hmi, hinode, other_averages=False))

# %%
# All of it in one figure.

figure = plt.figure(figsize=(12.5, 9), layout="constrained")
found.draw(figure)
