"""From the archive to an enhanced Map

Fido downloads a full disk from the Virtual Solar Observatory, without an account
(`pip install "sunpy[map,net]"`). A cut-out of it is enhanced; the level of the quiet Sun is that of
the whole disk.
"""

import astropy.units as u
import matplotlib.pyplot as plt
import sunpy.map
from astropy.coordinates import SkyCoord
from sunpy.net import Fido
from sunpy.net import attrs as a

import enhance_np

found = Fido.search(
    a.Time("2014-10-24 12:00", "2014-10-24 12:02", "2014-10-24 12:00"),
    a.Instrument.hmi,
    a.Physobs.intensity,
)
files = Fido.fetch(found[0, 0])
if files.errors:
    raise ConnectionError(files.errors[0].exception)
disk = sunpy.map.Map(files[0])

# %%
# The cut-out keeps HMI's own pixels: `submap` does not interpolate.

corner = SkyCoord(180 * u.arcsec, -380 * u.arcsec, frame=disk.coordinate_frame)
spot = disk.submap(corner, width=160 * u.arcsec, height=120 * u.arcsec)
enhanced = enhance_np.enhance(spot, norm_from=disk)

figure = plt.figure(figsize=(12, 5), layout="constrained")
for i, (title, seen) in enumerate((("HMI", spot), ("enhanced", enhanced)), 1):
    upright = seen.rotate()
    upright.plot(axes=figure.add_subplot(1, 2, i, projection=upright), title=title)
