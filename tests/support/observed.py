"""Small images with the headers that tests of observation need."""

import numpy as np
from astropy.io.fits import Header

from enhance_np.observation.fits import Frame

SQUARE = {"CUNIT1": "arcsec", "CUNIT2": "arcsec", "CDELT1": -0.504, "CDELT2": 0.504}
CEA = {"CTYPE1": "CRLN-CEA", "CUNIT1": "degree", "CUNIT2": "degree", "RSUN_OBS": 944.0}
RNG = np.random.default_rng(0)
QUIET = 1 + 0.04 * RNG.standard_normal((30, 30))
FIELD = 300 * RNG.standard_normal((30, 30)) + 20
UMBRA = 2000 + 100 * RNG.standard_normal((30, 30))


def frame(data=FIELD, path="made.fits", **cards):
    return Frame(np.array(data, np.float32), Header(cards), path)
