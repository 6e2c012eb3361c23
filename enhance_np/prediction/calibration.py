"""Fills the tables of `error_bar.Calibration` on scenes of known truth, for weights in files."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .._hdf5 import open_file
from .._random import stream
from ..config import NOISE, PAIRS, SCENES
from ..engine import Engine, select
from ..observation.fits import check_output
from ..optics.degrade import HMI
from ..pairs import from_recipe, limb
from ..pairs.recipe import Recipe
from ..training.batches import Pairs
from ..weights import Weights, add_calibration, load
from .confidence import optics_of
from .ensemble import mean_and_spread
from .error_bar import WITHIN, Calibration, Features, features
from .jacobian import noise_gain
from .reblur import residual_map

log = logging.getLogger(__name__)

MARGIN = 4  # input pixels at the border, where the network sees a mirror image
# whose noise gain is computed, see `noise_gain`
LATTICES = ((3, 14), (13, 4), (8, 9), (18, 19), (1, 6), (11, 16))
BINS = 10  # of a feature, at most, with equally many pixels; and as many again of equal width
ENDS = (0.0005, 0.9995)  # share of the pixels below and above those of equal width
RANGE = (1e-4, 1 - 1e-4)  # share of the pixels below and above what counts as seen
LEAST = 200  # pixels of a cell; with fewer, it takes the values of the nearest cell
HALVINGS = 24  # of an interval, by which a quantity is found


class Known(NamedTuple):
    """An image and its truth, normalised."""

    seen: np.ndarray  # (h, w) float32, with noise
    truth: np.ndarray  # (2h, 2w)
    sigma: float  # of the noise
    source: str | int  # what kind of scene it is
    limb: bool = False  # at mu = limb.MU, not at disc centre


class Samples(NamedTuple):
    """Pixels of known truth, (n,) each, normalised."""

    error: np.ndarray  # |output - truth|
    noise: np.ndarray  # sigma of the input
    gain: np.ndarray  # noise gain; NaN where it was not computed
    value: np.ndarray
    contrast: np.ndarray
    weight: np.ndarray
    limb: np.ndarray  # bool, of `Known`


def calibrate(
    paths: Sequence[str | os.PathLike],
    data: str | os.PathLike | Recipe,
    *,
    count: int | None = None,
    noise: float | None = None,
    activation: str | None = None,
    device: str = "auto",
    progress: Callable[[int], None] = lambda done: None,
) -> list[Calibration]:
    """Calibrate the error bars of networks of one type, and store them in the weights' files.

    paths : of the weights; nothing else in these files changes.
    data : what was not trained on: a recipe, whose validation scenes are taken as they are, each
    with each noise of the recipe; or an HDF5 file of pairs, as for training.
    count : scenes of each synthetic source (None: SCENES), or pairs from the beginning of the file
    (None: PAIRS).  noise : sigma of the noise of pairs that store none; None is `config.NOISE`.
    activation : of weights that do not store it.  progress : called with the number of images done.

    The same arguments give the same calibration, but for rounding. Raises ValueError for data of
    another type or other optics, or too few; OSError for files that cannot be read or written.
    """
    for path in paths:
        check_output(path, overwrite=True)  # the work takes minutes
    loaded, engine = [load(path, activation) for path in paths], select(device)
    if count is not None and count < 1:
        raise ValueError(f"calibrate: count must be 1 or more, got {count}")
    if isinstance(data, Recipe):
        if not data.noise:
            raise ValueError(f"calibrate: recipe {data.name} must have a noise, got none")
        type, count, optics = data.type, count or SCENES, data.optics.attributes()
        images = scenes(data, count)
        about = f"recipe {data.name}, validation, {count} scenes of a kind"
        if not data.checksums:
            about += ", without fields"
    else:
        type, images, optics = stored(data, count or PAIRS, noise)
        about = f"{os.path.basename(data)}, {len(images)} pairs"
    for path, weights in zip(paths, loaded, strict=True):
        if (of := weights.provenance.get("type", type)) != type:
            raise ValueError(f"calibrate: {path} must be for {type}, got weights for {of}")
        _check_optics(path, weights, optics)
    gathered = [_Gathered(weights, type, engine) for weights in loaded]
    for done, image in enumerate(images, 1):
        for one in gathered:
            one.add(image)
        progress(done)
    found = [fitted(*one.pixels(), about) for one in gathered]
    for path, calibration in zip(paths, found, strict=True):
        add_calibration(path, calibration.attributes())
    return found


def scenes(recipe: Recipe, count: int = SCENES) -> Iterator[Known]:
    """The validation scenes of a recipe and as many of the limb, with each noise of the recipe.

    They are not cut or augmented. The augmentation dims and stretches patches, which then look
    like others that have larger errors.
    """
    how = {"side": "validation", "scenes": count, "optics": recipe.optics}
    kinds = {source.name: from_recipe.regions((source,), **how) for source in recipe.sources}
    kinds["limb"] = limb.regions(recipe.type, **how)
    for kind, images in kinds.items():
        for name, low, high in images:
            noise = stream(0, name, "noise").standard_normal(low.shape, np.float32)
            for sigma in dict.fromkeys(noise.sigma for noise in recipe.noise):
                seen = (low + np.float32(sigma) * noise).astype(np.float32)
                yield Known(seen, high, sigma, kind, kind == "limb")


def _check_optics(path, weights: Weights, optics: dict) -> None:
    """Raises ValueError unless the weights undo the blur of the data, as far as the data tell."""
    own = weights.provenance
    if "hmi_scale_arcsec" not in own:
        own = HMI.attributes()
    differ = [name for name in HMI.attributes() if name in optics and own.get(name) != optics[name]]
    if differ:
        of_data, of_weights = (
            ", ".join(f"{name} {values.get(name)}" for name in differ) for values in (optics, own)
        )
        raise ValueError(f"calibrate: {path} must be for {of_data}, got weights for {of_weights}")


def stored(
    path: str | os.PathLike, count: int, otherwise: float | None
) -> tuple[str, list[Known], dict]:
    """(type, the first pairs of an HDF5 file with their noise, the attributes of the file).

    otherwise : as `noise` in `calibrate`.
    """
    with open_file(path) as file:
        pairs, attributes = Pairs(file, path), dict(file.attrs)
        type = str(attributes.get("type", ""))
        if type not in NOISE:
            raise ValueError(f"calibrate: type must be one of {[*NOISE]} in {path}, got {type!r}")
        count = min(count, len(pairs))
        low, high = pairs.read(slice(0, count))
        sigmas = pairs.sigma(slice(0, count), NOISE[type] if otherwise is None else otherwise)
        sources = file["source"][:count] if "source" in file else np.zeros(count, int)
    if min(low.shape[1:3]) <= 2 * MARGIN or not all(np.isfinite(a).all() for a in (low, high)):
        raise ValueError(
            f"calibrate: pairs must be finite and larger than {2 * MARGIN} pixels, "
            f"got {low.shape[1:3]} in {path}"
        )
    noise = stream(0, "calibration", "noise").standard_normal(low.shape, np.float32)
    seen = low + np.reshape(np.float32(sigmas), (-1, 1, 1, 1)) * noise
    known = zip(seen, high, np.broadcast_to(sigmas, count), sources, strict=True)
    images = [Known(x[..., 0], y[..., 0], float(s), int(kind)) for x, y, s, kind in known]
    return type, images, attributes


class _Gathered:
    """The pixels of all images for one network."""

    def __init__(self, weights: Weights, type: str, engine: Engine):
        self.weights, self.type, self.engine = weights, type, engine
        self.predictor = engine.predictor(weights)
        self.parts, self.sources, self.limb, self.residuals = [], [], [], []
        try:
            self.optics = optics_of(weights)
        except ValueError as error:  # the PSF is not stored
            log.warning("the residual is not calibrated: %s", error)
            self.optics = None

    def add(self, known: Known) -> None:
        y, _ = mean_and_spread(lambda x, *_: self.predictor(x), known.seen, None, self.type)
        gain = noise_gain(known.seen, self.weights, lattices=LATTICES, engine=self.engine)
        images = np.abs(y - known.truth), np.full(y.shape, known.sigma), gain
        inner, finer = ((slice(k * MARGIN, -k * MARGIN),) * 2 for k in (1, 2))
        pixels = [
            image[finer].astype(np.float32).ravel() for image in (*images, *features(y, self.type))
        ]
        self.parts.append(pixels)
        self.sources.append(known.source)
        self.limb.append(known.limb)
        if self.optics is not None:
            size = np.abs(residual_map(y, known.seen, self.optics)[inner]).ravel()
            self.residuals.append((size, np.full(size.shape, known.sigma)))

    def pixels(self) -> tuple[Samples, float]:
        """(the pixels, the misfit of the residual). All sources have the same weight."""
        if not self.parts:
            raise ValueError("calibrate: needs one image or more, got none")
        sizes = [len(part[0]) for part in self.parts]
        _, kind = np.unique(self.sources, return_inverse=True)
        total = np.bincount(kind, sizes)
        weight = np.repeat((1 / total)[kind], sizes)
        columns = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        misfit = 0.0
        if self.residuals:
            size, sigma = map(np.concatenate, zip(*self.residuals, strict=True))
            misfit = _floor(size, sigma, np.ones(len(size)))
        return Samples(*columns, weight, np.repeat(self.limb, sizes)), misfit


def fitted(samples: Samples, misfit: float = 0.0, data: str = "") -> Calibration:
    """The calibration of these pixels.  Raises ValueError for fewer than LEAST pixels.

    A cell of the tables has the median of the noise gain there, times a share, and the floor with
    which WITHIN of its errors are within one sigma. The share is one number for a value. It makes
    the error bars right for each noise, and not only for the noises together. It may be below 1,
    because noise that the network takes for structure changes the features too, and so moves the
    pixel to a cell with a larger floor. Pairs that all have the same noise cannot tell it: it is 1.

    The tables are made at disc centre. The pixels at the limb then give the floor there, with the
    same gain, because noise does not know where on the disc it is.
    """
    there = Samples(*(column[samples.limb] for column in samples))
    samples = Samples(*(column[~samples.limb] for column in samples))
    if len(samples.error) < LEAST:
        raise ValueError(f"calibrate: needs {LEAST} pixels or more, got {len(samples.error)}")
    if not np.isfinite(samples.gain).any():
        raise ValueError("calibrate: needs larger images, got none with a pixel of a lattice")
    bins = int(np.clip(np.sqrt(len(samples.error) / LEAST) / 2, 1, BINS))  # one cell has LEAST
    values, rows = _bins(samples.value, bins)
    contrasts, columns = _bins(samples.contrast, bins)
    shape = len(values), len(contrasts)
    cells = _grouped(rows * shape[1] + columns, shape[0] * shape[1])
    gain, floor, count = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, int)
    typical = float(np.nanmedian(samples.gain))
    for at, cell in zip(np.ndindex(shape), cells, strict=True):
        count[at] = len(cell)
        known = samples.gain[cell]
        known = known[np.isfinite(known)]
        gain[at] = np.median(known) if len(known) > 4 else typical
    for row in range(shape[0]):
        own = [(gain[row, c], cells[row * shape[1] + c]) for c in range(shape[1])]
        own = [(g, cell) for g, cell in own if len(cell) >= LEAST]
        gain[row] *= _share(samples, own)
        for column in range(shape[1]):
            cell = cells[row * shape[1] + column]
            if len(cell) >= LEAST:
                noise = gain[row, column] * samples.noise[cell]
                floor[row, column] = _floor(samples.error[cell], noise, samples.weight[cell])
    gain, floor = (_completed(table, count >= LEAST) for table in (gain, floor))
    ranges = (
        tuple(map(float, np.quantile(feature, RANGE)))
        for feature in (samples.value, samples.contrast)
    )
    found = Calibration(values, contrasts, gain, floor, floor, *ranges, misfit=misfit, data=data)
    # the cells were right one by one; between their centres the tables are interpolated
    scale = _scale(samples, found)
    found = replace(found, gain=scale * gain, floor=scale * floor, floor_at_limb=scale * floor)
    return replace(found, floor_at_limb=_floor_at_limb(there, found))


def _floor_at_limb(there: Samples, found: Calibration) -> np.ndarray:
    """The floor of each cell at the limb, by the pixels there; without any, that of disc centre.

    Cells with fewer than LEAST of these pixels have the ratio of limb to disc centre of the nearest
    cell that has as many.
    """
    if len(there.error) < LEAST:
        return found.floor
    rows, columns = (
        np.searchsorted((np.array(nodes)[1:] + nodes[:-1]) / 2, feature)
        for nodes, feature in ((found.values, there.value), (found.contrasts, there.contrast))
    )
    shape = found.floor.shape
    cells = _grouped(rows * shape[1] + columns, found.floor.size)
    ratio = np.full(shape, np.nan)
    for at, cell in zip(np.ndindex(shape), cells, strict=True):
        if len(cell) >= LEAST and found.floor[at] > 0:
            noise = found.gain[at] * there.noise[cell]
            ratio[at] = _floor(there.error[cell], noise, there.weight[cell]) / found.floor[at]
    if np.isnan(ratio).all():
        ratio[:] = 1.0
    floor = found.floor * _completed(ratio, np.isfinite(ratio))
    # once more, for the interpolation between the cells
    its = Features(there.value, there.contrast)
    gain, _, between = replace(found, floor_at_limb=floor).at(its)
    between = np.maximum(between, np.finfo(np.float32).tiny)
    return floor * _floor(there.error / between, gain * there.noise / between, there.weight)


def _scale(samples: Samples, calibration: Calibration) -> float:
    """The factor on sigma with which WITHIN of all errors are within it."""
    bars = calibration.sigma(Features(samples.value, samples.contrast), samples.noise)
    return _quantile(samples.error / np.maximum(bars, np.finfo(np.float32).tiny), samples.weight)


def _bins(feature: np.ndarray, bins: int) -> tuple[tuple[float, ...], np.ndarray]:
    """(the median of each bin, the bin of each pixel).

    Bins of equally many pixels alone would have one for all umbrae, and bins of equal width alone
    one for all quiet Sun.
    """
    edges = np.concatenate(
        [
            np.quantile(feature, np.linspace(0, 1, bins + 1)[1:-1]),
            np.linspace(*np.quantile(feature, ENDS), bins + 1)[1:-1],
        ]
    )
    index = np.searchsorted(np.unique(edges), feature, side="right")
    found, index = np.unique(index, return_inverse=True)
    medians = [float(np.median(feature[at])) for at in _grouped(index, len(found))]
    nodes, place = np.unique(medians, return_inverse=True)  # equal ones, of a constant image
    return tuple(map(float, nodes)), place[index]


def _grouped(index: np.ndarray, count: int) -> list[np.ndarray]:
    """The pixels of each group."""
    order = np.argsort(index, kind="stable")
    return np.split(order, np.searchsorted(index[order], np.arange(1, count)))


def _halved(low: float, high: float, too_low: Callable[[float], bool]) -> float:
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if too_low(middle) else (low, middle)
    return (low + high) / 2


def _floor(error: np.ndarray, noise: np.ndarray, weight: np.ndarray) -> float:
    """The floor with which WITHIN of the errors are within one sigma; 0 if the noise suffices."""
    beyond = error.astype(np.float64) ** 2 - noise.astype(np.float64) ** 2
    return float(np.sqrt(max(_quantile(beyond, weight), 0)))


def _quantile(values: np.ndarray, weight: np.ndarray) -> float:
    """What WITHIN of the weight of the values does not exceed."""
    order = np.argsort(values)
    total = np.cumsum(weight[order], dtype=np.float64)
    return float(values[order[np.searchsorted(total, WITHIN * total[-1])]])


def _share(samples: Samples, cells: list[tuple[float, np.ndarray]]) -> float:
    """The factor on the gains of these cells with which each noise has the same share within."""
    pixels = np.concatenate([cell for _, cell in cells]) if cells else np.zeros(0, int)
    noise, weight = samples.noise[pixels], samples.weight[pixels]
    if not len(pixels) or noise.min() == noise.max():
        return 1.0
    loud = noise > (noise.min() + noise.max()) / 2
    if min(np.count_nonzero(loud), np.count_nonzero(~loud)) < LEAST:
        return 1.0

    def unequal(share):
        """Share within of the pixels with much noise, minus that of the others."""
        inside = [
            samples.error[cell]
            <= np.hypot(
                sigma := share * g * samples.noise[cell],
                _floor(samples.error[cell], sigma, samples.weight[cell]),
            )
            for g, cell in cells
        ]
        inside = np.concatenate(inside)
        return np.average(inside[loud], weights=weight[loud]) - np.average(
            inside[~loud], weights=weight[~loud]
        )

    return _halved(0.0, 1.5, lambda share: unequal(share) < 0)


def _completed(table: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The table with the value of the nearest known cell in each other."""
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return table[tuple(nearest)]
