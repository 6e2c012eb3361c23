"""Two images of one region on the same pixels: by their coordinates, then by correlation."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .._errors import avoidable
from ..observation.header import card
from ..observation.pixels import pixel_matrix, pixel_scales
from ..prediction.picture import read_wcs

FARTHEST = (
    30.0  # arcsec, error of coordinates that is searched: Hinode's pointing may be off so far
)
DETAIL = 2.5  # arcsec, sigma; larger structure is taken away, as it hardly depends on the shift
SIDES = (0.005, DETAIL)  # arcsec of a pixel; in a larger one there is no detail to align
SMOOTH = 0.75  # sigma in the larger pixels: finer structure has no gradient between two pixels
LEAST_OVERLAP = 0.3  # share of the pixels of the smaller image that must overlap
LEAST_PIXELS = 256  # that both images must have, to be compared at all
SEARCHED = 1024  # pixels along a side; a larger image is averaged in blocks for the first search
SETTLED = 1e-3  # pixels, at which the last steps end
MOST_STEPS = 30
SPLINE = 5  # order of the interpolation
# Largest correlation over the rms at other shifts. Of synthetic scenes that have nothing in common
# it was 3.2 to 4.9, of two different sunspots, which are round both, up to 6.1, and of the same
# scene through both telescopes 8.1 to 21.
TRUSTED = 6.0

# (rows, columns) -> (rows, columns), in pixels from 0, any shape
Mapping = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
Slices = tuple[slice, slice]


class Grid(NamedTuple):
    """The pixels of an image, and where they are on the sky."""

    shape: tuple[int, int]
    sides: tuple[float, float]  # arcsec along a column and along a line
    axes: np.ndarray  # (2, 2), arcsec (x, y) that a step of one (column, row) goes
    wcs: object | None  # astropy WCS of two celestial axes; None: only the sizes are known


class Shift(NamedTuple):
    """Where the other image lies, after the coordinates of both."""

    pixels: tuple[float, float]  # (rows, columns) of the first image's grid
    correlation: float  # of the two images there, without structure above DETAIL
    significance: float  # that over the rms of the correlations at other shifts


def grid(frame, pixel_scale, name: str) -> Grid:
    """The grid of an image.

    pixel_scale : arcsec, one number or (x, y), and the coordinates of the header are not used; None
        takes both from the header.
    name : of the image, for errors and parameters.
    Raises ValueError if neither gives the sizes, or they are not within SIDES.
    """
    shape = frame.data.shape
    if pixel_scale is not None:
        x, y = map(float, np.broadcast_to(np.asarray(pixel_scale, float), 2))
        _check_sides((x, y), name)
        return Grid(shape, (y, x), np.diag([x, y]), None)
    header = _helioprojective(frame.header)
    scales = pixel_scales(header)
    if len(scales) == 2:
        x, y = scales
        _check_sides(scales, name)
        axes = np.nan_to_num(pixel_matrix(header))
        axes = axes / np.hypot(*axes) * [x, y]
        return Grid(shape, (y, x), axes, _wcs(header))
    message = (
        f"compare: {name} must have pixels of known size in arcsec, or their scale must be given, "
        f"got neither in {frame.path!r}"
    )
    raise avoidable(ValueError(message), f"{name}_scale")


def _check_sides(sides, name):
    if not all(SIDES[0] <= side <= SIDES[1] for side in sides):
        x, y = sides
        message = (
            f"compare: {name} must have pixels of {SIDES[0]:g} to {SIDES[1]:g} arcsec, "
            f"got {x:.3g} x {y:.3g}"
        )
        raise avoidable(ValueError(message), f"{name}_scale")


def _helioprojective(header):
    """A copy with the CTYPE of today: Hinode's Solar-X and Solar-Y are the same angles."""
    out = header.copy()
    for axis, (old, new) in enumerate((("SOLAR", "HPLN-TAN"), ("SOLAR", "HPLT-TAN")), 1):
        if str(card(out, f"CTYPE{axis}") or "").upper().startswith(old):
            out[f"CTYPE{axis}"] = new
            if card(out, f"CUNIT{axis}") is None:
                out[f"CUNIT{axis}"] = "arcsec"
    return out


def _wcs(header):
    """None without two celestial axes, or if astropy cannot read them."""
    if not all(str(card(header, f"CTYPE{i}") or "")[:4].isalpha() for i in (1, 2)):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # astropy warns of its repairs: "degree", dates
            wcs = read_wcs(header)
            return wcs if wcs.has_celestial else None
    except Exception:  # astropy raises many kinds for an invalid header
        return None


def mapping(out: Grid, other: Grid) -> tuple[Mapping, Mapping, bool]:
    """(there, back, whether by coordinates): from pixels of out to those of other, and back.

    With coordinates of both, the same place on the sky, which must be in coordinates of the same
    kind. Otherwise the centres of both images are taken to be the same place, and an image without
    coordinates to have solar north up. The time between the images is not considered.
    Raises ValueError for coordinates of two kinds.
    """
    if out.wcs is not None and other.wcs is not None:
        kinds = [tuple(str(name)[:4] for name in g.wcs.wcs.ctype) for g in (out, other)]
        if kinds[0] != kinds[1]:
            message = (
                "compare: both images must have coordinates of one kind, unless a pixel scale is "
                f"given in place of them, got {' and '.join('/'.join(k) for k in kinds)}"
            )
            raise avoidable(ValueError(message), "other_scale")
        return _through(out.wcs, other.wcs), _through(other.wcs, out.wcs), True
    turn = np.linalg.solve(other.axes, out.axes)
    middles = [(np.array(g.shape[::-1]) - 1) / 2 for g in (out, other)]
    return _affine(turn, *middles), _affine(np.linalg.inv(turn), *middles[::-1]), False


def _through(first, second) -> Mapping:
    def place(rows, columns):
        world = first.wcs_pix2world(np.ravel(columns), np.ravel(rows), 0)
        x, y = second.wcs_world2pix(*world, 0)
        return y.reshape(np.shape(rows)), x.reshape(np.shape(columns))

    return place


def _affine(turn, first, second) -> Mapping:
    def place(rows, columns):
        x, y = columns - first[0], rows - first[1]
        return (
            turn[1, 0] * x + turn[1, 1] * y + second[1],
            turn[0, 0] * x + turn[0, 1] * y + second[0],
        )

    return place


def cut(shape: tuple[int, int], box: Slices, back: Mapping, margin: float) -> Slices:
    """The part of an image that shows what the box of another image shows.

    shape : of the image.  box : of the other image.  back : from its pixels to those of the image.
    margin : pixels of the image to add on every side.
    Raises ValueError if there is no such part.
    """
    edges = [np.linspace(s.start - 0.5, s.stop - 0.5, 65) for s in box]
    rows, columns = np.meshgrid(*edges, indexing="ij")
    parts = []
    for at, n in zip(back(rows, columns), shape, strict=True):
        at = at[np.isfinite(at)]
        if at.size == 0:
            raise _apart()
        first, last = np.floor(at.min() - margin), np.ceil(at.max() + margin)
        first, last = int(np.clip(first, 0, n)), int(np.clip(last + 1, 0, n))
        if last - first < 2:
            raise _apart()
        parts.append(slice(first, last))
    return tuple(parts)


def _apart() -> ValueError:
    message = (
        "compare: the images must show the same part of the Sun, unless pixel scales are given in "
        "place of the coordinates, got coordinates that do not overlap"
    )
    return avoidable(ValueError(message), "out_scale", "other_scale")


def too_few(found, least: int = LEAST_PIXELS) -> ValueError:
    return ValueError(
        f"compare: needs {least} pixels or more that both images show and that are not next "
        f"to a border or a gap, got {int(found)}"
    )


class Sampler:
    """An image between its pixels.

    Pixels that are not valid, and places whose four nearest pixels are not all valid, are NaN.
    """

    def __init__(self, image: np.ndarray, valid: np.ndarray, origin: tuple[int, int] = (0, 0)):
        from scipy.ndimage import spline_filter

        self.spline = spline_filter(image.astype(np.float64), SPLINE, mode="mirror")
        self.gaps = (~valid).astype(np.float32)
        self.origin = origin

    def __call__(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        from scipy.ndimage import map_coordinates

        at = np.array([rows - self.origin[0], columns - self.origin[1]])
        at = np.where(np.isfinite(at), at, -1e6)
        found = map_coordinates(self.spline, at, order=SPLINE, mode="mirror", prefilter=False)
        missing = map_coordinates(self.gaps, at, order=1, mode="constant", cval=1.0)
        found[missing > 1e-6] = np.nan
        return found


def detail(image: np.ndarray, sides: tuple[float, float], largest_side: float) -> np.ndarray:
    """The image without structure larger than DETAIL or close to the size of a pixel.

    sides : of its pixels.  largest_side : of the pixels of both images; arcsec.
    """
    from scipy.ndimage import gaussian_filter

    fine, coarse = (
        gaussian_filter(image, [sigma / side for side in sides], mode="reflect")
        for sigma in (SMOOTH * largest_side, DETAIL)
    )
    return fine - coarse


def find_shift(
    image: np.ndarray,
    sample: Callable,
    there: Mapping,
    reach: tuple[int, int],
    is_bounded: bool = True,
) -> Shift:
    """The shift of the other image, by cross-correlation.

    image : (H, W), NaN where missing.  sample : (rows, columns) of the other image -> values.
    there : from pixels of the image to those of the other.
    reach : (rows, columns), pixels around the image in which the other is looked at.
    is_bounded : whether that is also the largest shift; else any shift with enough overlap.

    The correlation is that of the pixels that both images have at a shift (Padfield 2012). Its
    maximum at whole pixels is the start. Then the other image b is interpolated at the places of
    the pixels of the image a, shifted, and the step d of least squares of

        a = alpha (b + d . grad b) + beta

    is added to the shift, until d is below SETTLED (Lucas & Kanade 1981). If only noise differs,
    the expected step at the true shift is 0: the noise of b does not correlate with its gradient.
    Raises ValueError if the images do not overlap, have no structure, or are opposite to each
    other.
    Sources: Padfield 2012, IEEE Trans. Image Process. 21, 2706, equation 26; Lucas & Kanade 1981,
    Proc. Imaging Understanding Workshop, 121.
    """
    h, w = image.shape
    block = max(1, -(-max(h, w) // SEARCHED))
    reach = [block * -(-r // block) for r in reach]
    rows, columns = (np.arange(-r, n + r, dtype=float) for n, r in zip((h, w), reach, strict=True))
    wide = sample(*there(*np.meshgrid(rows, columns, indexing="ij")))
    pixels, significance = _search(image, wide, reach, block, is_bounded)
    rows, columns = np.meshgrid(np.arange(h, dtype=float), np.arange(w, dtype=float), indexing="ij")

    def other(shift):
        return sample(*there(rows + shift[0], columns + shift[1]))

    shift = np.array(pixels, float)
    for _ in range(4 * block):  # after a search in blocks, to the best whole pixel
        around = _neighbours(image, other(shift))
        best = np.unravel_index(np.nanargmax(around), (3, 3))
        if best == (1, 1):
            break
        shift += np.array(best) - 1
    for _ in range(MOST_STEPS):
        step, correlation = _step(image, other(shift))
        shift += step
        if np.abs(step).max() < SETTLED:
            break
    return Shift((float(shift[0]), float(shift[1])), correlation, significance)


def _search(image, wide, reach, block, is_bounded):
    """(shift in whole pixels of the best correlation, its significance)."""
    small, large = (_blocks(i, block) for i in (image, wide))
    correlation = _correlations(small, large)
    shifts = [  # of each index, in blocks
        np.arange(m) - n + 1 - r // block
        for m, n, r in zip(correlation.shape, small.shape, reach, strict=True)
    ]
    if is_bounded:
        inside = [np.abs(s) <= r // block for s, r in zip(shifts, reach, strict=True)]
        correlation[~(inside[0][:, None] & inside[1])] = np.nan
        if np.isnan(correlation).all():
            raise _apart()
    best = np.unravel_index(np.nanargmax(correlation), correlation.shape)
    # shifts of which the correlation is not of the same structure
    away = [
        np.abs(np.arange(n) - b) > max(3, 0.05 * n)
        for n, b in zip(correlation.shape, best, strict=True)
    ]
    rest = correlation[away[0][:, None] | away[1]]
    rest = rest[np.isfinite(rest)]
    spread = float(np.sqrt(np.mean(rest**2))) if rest.size else np.inf
    significance = float(correlation[best]) / spread if spread else np.inf
    opposite = float(np.nanmin(correlation))
    if -opposite > max(float(correlation[best]), TRUSTED * spread):
        raise ValueError(
            "compare: both images must count the same direction as positive, got a correlation of "
            f"{opposite:.2f}"
        )
    return [block * int(s[b]) for s, b in zip(shifts, best, strict=True)], significance


def _blocks(image, block):
    if block == 1:
        return image
    h, w = (n // block for n in image.shape)
    return image[: h * block, : w * block].reshape(h, block, w, block).mean(axis=(1, 3))


def _correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Normalised correlation of the pixels that a and b have in common, at each shift of a.

    Index (i, j) is that of a whose pixel (0, 0) lies on b's (i - h + 1, j - w + 1), with a of
    (h, w). NaN where they have less than LEAST_OVERLAP of the smaller image in common.
    """
    from scipy.fft import irfft2, next_fast_len, rfft2

    shape = [n + m - 1 for n, m in zip(a.shape, b.shape, strict=True)]
    fast = [next_fast_len(n, real=True) for n in shape]

    def transformed(image, turned):
        return rfft2(image[::-1, ::-1] if turned else image, fast)

    def correlated(x, y):
        return irfft2(x * y, fast)[: shape[0], : shape[1]]

    has = [np.isfinite(i).astype(float) for i in (a, b)]
    zero = [np.nan_to_num(i - np.nanmean(i)) for i in (a, b)]
    ma, mb = (transformed(m, t) for m, t in zip(has, (True, False), strict=True))
    fa, fb = (transformed(z, t) for z, t in zip(zero, (True, False), strict=True))
    sa, sb = (transformed(z * z, t) for z, t in zip(zero, (True, False), strict=True))
    n = np.round(correlated(ma, mb))
    least = max(int(np.ceil(LEAST_OVERLAP * min(m.sum() for m in has))), LEAST_PIXELS)
    enough = n >= least
    if not enough.any():
        raise too_few(n.max(), least)
    n = np.maximum(n, 1)
    mean_a, mean_b = correlated(fa, mb) / n, correlated(ma, fb) / n
    cross = correlated(fa, fb) / n - mean_a * mean_b
    va, vb = correlated(sa, mb) / n - mean_a**2, correlated(ma, sb) / n - mean_b**2
    floors = [1e-9 * (z * z).sum() / m.sum() for z, m in zip(zero, has, strict=True)]
    enough &= (va > floors[0]) & (vb > floors[1])
    if not enough.any():
        raise ValueError("compare: the images must have structure, got constant ones")
    return np.where(enough, cross / np.sqrt(np.where(enough, va * vb, 1)), np.nan)


def _neighbours(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation of a with b moved by -1, 0 and 1 pixels, (3, 3), of the pixels that have all."""
    h, w = a.shape
    moved = [b[1 + i : h - 1 + i, 1 + j : w - 1 + j] for i in (-1, 0, 1) for j in (-1, 0, 1)]
    inner = a[1:-1, 1:-1]
    valid = np.isfinite(inner) & np.logical_and.reduce([np.isfinite(m) for m in moved])
    if valid.sum() < LEAST_PIXELS:
        raise too_few(valid.sum())
    x = inner[valid] - inner[valid].mean()
    found = []
    for image in moved:
        y = image[valid] - image[valid].mean()
        found.append(x @ y / np.sqrt((x @ x) * (y @ y)))
    return np.reshape(found, (3, 3))


def _step(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float]:
    """(d in pixels, at most 1; correlation) of a = alpha (b + d . grad b) + beta."""
    down, right = (b[2:, 1:-1] - b[:-2, 1:-1]) / 2, (b[1:-1, 2:] - b[1:-1, :-2]) / 2
    terms = np.stack([down, right, b[1:-1, 1:-1], a[1:-1, 1:-1]])
    terms = terms[:, np.isfinite(terms).all(axis=0)]
    if terms.shape[1] < LEAST_PIXELS:
        raise too_few(terms.shape[1])
    terms -= terms.mean(axis=1, keepdims=True)  # beta
    y, x, alpha = np.linalg.lstsq(terms[:3].T, terms[3], rcond=None)[0]
    return np.clip([y / alpha, x / alpha], -1, 1), float(np.corrcoef(terms[2:])[0, 1])
