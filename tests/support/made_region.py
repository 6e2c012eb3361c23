"""A region of the chapter whose outputs are known functions of its input."""

import numpy as np
from astropy.io.fits import Header

from enhance_np._array import repeated
from enhance_np.chapter.regions import RL, Region

SIDE = 64
Y, X = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2


def region(rng, change=lambda out: out, truth=None):
    """A spot of two polarities in plage; `change` makes the outputs of it, by type and name."""
    dark = sum(np.exp(-((Y**2 + (X - x) ** 2) / 60)) for x in (-11, 11))
    field = 2200 * np.exp(-((Y**2 + (X - 11) ** 2) / 60))
    field -= 2200 * np.exp(-((Y**2 + (X + 11) ** 2) / 60))
    plage = np.where(Y > 20, 250 + 1000 * (rng.random((SIDE, SIDE)) > 0.9), 0)
    images = {"intensity": 1 - 0.9 * dark + 0.03 * rng.standard_normal((SIDE, SIDE))}
    images["blos"] = field + plage + 10 * rng.standard_normal((SIDE, SIDE))
    images = {type: image.astype(np.float32) for type, image in images.items()}
    outputs = {name: {t: repeated(i) for t, i in images.items()} for name in ("default", "small")}
    outputs[RL] = {"blos": repeated(images["blos"])}
    truths = {} if truth is None else {t: repeated(i) * truth for t, i in images.items()}
    headers = {type: Header() for type in images}
    seconds = {"default": 3.0, "small": 0.5, RL: 60.0}
    made = Region("made", images, change(outputs), seconds, headers, truths)
    assert made.classes["plage"].any()
    assert made.classes["umbra"].any()
    return made
