"""The parts of a spot that the chapter looks at: its light bridges and its polarity-inversion line.

Both are found on the outputs, because HMI resolves neither.
"""

import numpy as np

UMBRA = 0.5  # Ic, below; the contour of `classes.THRESHOLDS`
LEAST_UMBRA = 4.0  # arcsec^2; smaller dark areas are pores and gaps between filaments
CLOSED = 2.0  # arcsec; a bridge is narrower than twice this
BRIGHTER = 0.1  # Ic above its surroundings in the umbra
WIDTH = 1.5  # arcsec; what is brighter than its surroundings is narrower than twice this
LEAST_BRIDGE = 1.0  # arcsec^2; smaller ones are umbral dots
ENCLOSED = 0.7  # of the pixels around a bridge are umbra; its ends may be open
STRONG = 300.0  # G, of both polarities near the line, well above noise and network
NEAR = 1.5  # arcsec from the line
SMOOTHING = 0.5  # arcsec, sigma, before the field's sign is taken


def light_bridge(intensity: np.ndarray, field: np.ndarray, pixel_scale: float) -> np.ndarray:
    """Bright structures within umbrae of one polarity: (H, W) bool.

    intensity : (H, W), over the quiet Sun's mean.  field : (H, W) G, of the same pixels; both
    finite.  pixel_scale : arcsec.
    """
    from scipy import ndimage

    neighbours = np.ones((3, 3))
    umbra = _large(intensity < UMBRA, LEAST_UMBRA, pixel_scale)
    margin = int(np.ceil(2 * CLOSED / pixel_scale))  # a closing erodes from the border, too
    closed = ndimage.binary_closing(np.pad(umbra, margin), _disc(CLOSED, pixel_scale))
    closed = closed[margin:-margin, margin:-margin]
    above = ndimage.white_tophat(intensity, footprint=_disc(WIDTH, pixel_scale)) > BRIGHTER
    bright = _large(closed & (~umbra | above), LEAST_BRIDGE, pixel_scale)
    dark = umbra & ~bright
    labels, _ = ndimage.label(bright, neighbours)
    found = np.zeros(bright.shape, bool)
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        box = tuple(slice(max(side.start - 2, 0), side.stop + 2) for side in box)
        piece = labels[box] == number
        around = ndimage.binary_dilation(piece, neighbours, iterations=2) & ~piece
        signs = np.sign(field[box][around])
        if dark[box][around].mean() > ENCLOSED and abs(signs.sum()) == signs.size:
            found[box] |= piece
    return found


def polarity_line(field: np.ndarray, pixel_scale: float) -> np.ndarray:
    """Pixels with strong field of both polarities near them: (H, W) bool.

    field : (H, W) G, finite.  pixel_scale : arcsec.
    """
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(np.asarray(field, np.float64), SMOOTHING / pixel_scale)
    near = _disc(NEAR, pixel_scale)
    highest = ndimage.maximum_filter(smooth, footprint=near)
    lowest = ndimage.minimum_filter(smooth, footprint=near)
    return (highest > STRONG) & (lowest < -STRONG)


def _disc(radius, pixel_scale):
    """(n, n) bool, where the middle is at most `radius` arcsec away."""
    n = int(radius / pixel_scale)
    at = np.arange(-n, n + 1)
    return np.hypot(at[:, None], at) * pixel_scale <= radius


def _large(mask, area, pixel_scale):
    """The connected areas of the mask of at least `area` arcsec^2; thin lines do not count."""
    from scipy import ndimage

    mask = ndimage.binary_opening(mask, np.ones((2, 2)))
    labels, n = ndimage.label(mask, np.ones((3, 3)))
    size = np.bincount(labels.ravel(), minlength=n + 1) * pixel_scale**2
    size[0] = 0
    return (size >= area)[labels]
