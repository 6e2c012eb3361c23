"""Divides an image by its limb darkening."""

import logging

import numpy as np

from .. import __version__
from ..observation import disc, fits
from ..observation.holders import Made, carried, has_header
from ..observation.kind import image_type
from ..observation.normalise import Norm
from ..observation.quiet_sun import quiet_sun, usual_level
from .steps import without_fill

log = logging.getLogger(__name__)


def flatten_limb(x):
    """Divide a continuum image by its limb darkening; the result is of the same kind as x.

    x : (H, W) intensity in any unit, as in `image.enhance`, in a kind with a header: the header
        must give the place of the pixels on the disc (`disc.locate`). Not changed; a dask array is
        computed now. An uncertainty is divided too.

    The law is Neckel's (2005) at HMI's wavelength, to a power that is fitted to the image
    (`quiet_sun.quiet_sun`): 1 is the law itself, 0 an image without limb darkening, which stays as
    it is. The quiet Sun at disc centre keeps its value.

    Returns (H, W) float32 in the units of x, NaN where pixels are missing or off the disc.
    Raises TypeError for another kind of x; ValueError for a magnetogram, or a header that does not
    give the place.
    """

    def one(frame, type):
        image_type(frame, type)
        frame = without_fill(frame, type)
        mu = disc.locate(frame.header) if has_header(frame) else None
        if mu is None:
            raise ValueError(
                "flatten_limb: the header must give the place on the disc (CTYPE, CDELT, CRPIX, "
                f"CRVAL and RSUN_OBS), got none in {frame.path!r}"
            )
        _, strength = quiet_sun(frame.data, mu, usual_level(frame.unit, frame.year))
        log.info("%s: limb darkening of strength %.3f divided out", frame.path, strength)
        height, width = frame.data.shape
        law = Norm(1.0, strength, mu).lines(0, height, width) * np.ones((height, 1), np.float32)
        scaling = np.where(np.isnan(mu(np.arange(height), np.arange(width))), np.nan, 1 / law)
        header = fits.rescaled_header(frame.header)
        power = strength + float(header.get("ENHFLAT", 0))  # if it was flattened before
        header["ENHFLAT"] = (power, "divided by this power of the limb darkening")
        header.add_history(
            f"enhance_np {__version__}: limb darkening to the power {strength:.3f} divided out"
        )
        flat = (frame.data * scaling).astype(np.float32)
        return type, (Made(flat, header, 1, scaling),)

    return carried(x, one, "flatten_limb", "intensity")[0]
