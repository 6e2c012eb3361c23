"""The parts of a spot that the chapter looks at: its light bridges and its polarity-inversion line.

Both are found on the outputs, because HMI resolves neither.
"""

import numpy as np

UMBRA = 0.5  # Ic, below; the contour of `classes.THRESHOLDS`
LEAST_UMBRA = 4.0  # arcsec^2; smaller dark areas are pores and gaps between filaments
ACROSS = 6.0  # arcsec; umbrae on both sides of a bridge are nearer than this
DIRECTIONS, BETWEEN = 8, 3  # looked in; in so many a bridge must lie between umbrae
BRIGHTER, WIDTH = 0.1, 1.5  # Ic above what is within 1.5 arcsec: a bridge that is itself dark
LEAST_BRIDGE = 2.0  # arcsec^2; smaller ones are umbral dots
ENCLOSED = 0.5  # of the pixels around a bridge are umbra; its ends are open
STRONG = 300.0  # G, of both polarities near the line, well above noise and network
NEAR = 1.5  # arcsec from the line
SMOOTHING = 0.5  # arcsec, sigma, before the field's sign is taken


def light_bridge(intensity: np.ndarray, field: np.ndarray, pixel_scale: float) -> np.ndarray:
    """Bright structures within and between umbrae of one polarity: (H, W) bool.

    intensity : (H, W), over the quiet Sun's mean.  field : (H, W) G, of the same pixels; both
    finite.  pixel_scale : arcsec.
    """
    from scipy import ndimage

    umbra = _large(intensity < UMBRA, LEAST_UMBRA, pixel_scale)
    bright = np.zeros(umbra.shape, bool)
    for side in (field > 0, field < 0):
        bright |= _between(umbra & side, pixel_scale) & side
    above = ndimage.white_tophat(intensity, footprint=_disc(WIDTH, pixel_scale)) > BRIGHTER
    bright &= ~umbra | above
    bright = _large(bright & ~polarity_line(field, pixel_scale), LEAST_BRIDGE, pixel_scale)
    dark = umbra & ~bright
    labels, _ = ndimage.label(bright, np.ones((3, 3)))
    found = np.zeros(bright.shape, bool)
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        box = tuple(slice(max(side.start - 2, 0), side.stop + 2) for side in box)
        piece = labels[box] == number
        around = ndimage.binary_dilation(piece, np.ones((3, 3)), iterations=2) & ~piece
        if dark[box][around].mean() > ENCLOSED:
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


def _between(umbra, pixel_scale):
    """Where umbra is on both sides within ACROSS, in BETWEEN of DIRECTIONS or more."""
    from scipy import ndimage

    n = int(ACROSS / 2 / pixel_scale)
    at = np.arange(-n, n + 1)
    margin = 2 * n + 1  # a closing also erodes from the border
    inside = np.pad(umbra, margin)
    count = np.zeros(umbra.shape, int)
    for angle in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
        across, along = (
            np.abs(at[:, None] * np.cos(angle) - at * np.sin(angle)),
            np.abs(at * np.cos(angle) + at[:, None] * np.sin(angle)),
        )
        line = (across <= 0.5) & (along <= n)
        count += ndimage.binary_closing(inside, line)[margin:-margin, margin:-margin]
    return count >= BETWEEN


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
