"""A region in intensity and field, and what the network and Richardson-Lucy make of it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from time import perf_counter

import numpy as np

from .. import models
from .._errors import avoidable
from ..baselines.richardson_lucy import ITERATIONS, deconvolve
from ..config import MODELS, TYPES
from ..engine import select
from ..evaluate.classes import masks
from ..evaluate.report import Scene, report
from ..observation.disc import mu
from ..observation.fits import Frame
from ..observation.kind import in_gauss
from ..observation.normalise import fill, restore
from ..observation.pixels import pixel_area
from ..observation.remarks import remark
from ..optics.degrade import HMI, Optics, on_pixels
from ..prediction.array import apply
from ..prediction.file import image_norm
from ..prediction.picture import caption, sky, turned_header
from ..prediction.steps import read
from ..sun.observed import observed
from ..weights import load

KIND = "delta"  # of the synthetic region: two polarities in one penumbra
RL = f"RL {ITERATIONS}"
REPEATS = 3  # runs of the network that are timed; the fastest counts
FITS = (".fits", ".fit", ".fts", ".fits.gz", ".fz")

Images = dict[str, np.ndarray]  # by type


@dataclass(frozen=True)
class Region:
    """One region with solar north up: intensities over the quiet Sun's mean, fields in G.

    NaN is missing.
    """

    name: str  # for titles
    images: Images  # (H, W)
    outputs: dict[str, Images]  # {model: (2H, 2W)}, and RL of the field
    seconds: dict[str, float]  # of each of them, on the field
    headers: dict[str, object]  # {type: astropy.io.fits.Header of the input}
    truths: Images = field(default_factory=dict)  # (2H, 2W); empty if they are not known
    scenes: Images = field(default_factory=dict)  # (h, w), pixels of SPACING; as the truths

    @property
    def out(self) -> Images:
        """The outputs of the default network."""
        return self.outputs["default"]

    @property
    def header(self):
        """Of the intensity; sky coordinates are the same for both."""
        return self.headers["intensity"]

    @property
    def shape(self) -> tuple[int, int]:
        return self.images["blos"].shape

    @cached_property
    def optics(self) -> Optics:
        return on_pixels(HMI, self.header)

    @cached_property
    def wcs(self):
        """For axes that count input pixels from the corner; None without sky coordinates."""
        return sky(self.header, self.shape)[0]

    @cached_property
    def mu(self) -> np.ndarray | None:
        return mu(self.header, self.shape)

    @cached_property
    def classes(self) -> dict[str, np.ndarray]:
        """`classes.masks` of the input."""
        scale = self.optics.hmi_scale
        return masks(self.images["intensity"], self.images["blos"], self.mu, scale)

    def scene(self, type: str) -> Scene:
        """What `evaluate` compares the outputs of a type with."""
        companion = self.images[TYPES[1 - TYPES.index(type)]]
        found = Scene(type, self.images[type], self.truths.get(type), companion, self.mu)
        return found._replace(pixel_area=pixel_area(self.header))

    @cached_property
    def reports(self) -> dict[str, dict]:
        """{type: {image: metrics}} of `report.report`: "default", RL, "input" and "truth"."""
        found = {}
        for type in TYPES:
            outputs = {n: of[type] for n, of in self.outputs.items() if type in of and n != "small"}
            found[type] = report(outputs, self.scene(type), self.optics)["images"]
        return found


def synthetic(seed: int, side: int, device: str = "auto") -> Region:
    """A delta spot of the synthetic Sun, `side` HMI pixels wide, whose truth is known."""
    found = observed(seed, side, KIND)
    frames = {type: one.frame for type, one in found.items()}
    truths = {type: one.truth for type, one in found.items()}
    region = enhanced(f"synthetic {KIND} spot, seed {seed}", frames, truths, device)
    return replace(region, scenes={type: one.scene for type, one in found.items()})


def of_files(paths: Sequence[str | os.PathLike], device: str = "auto") -> Region:
    """The region of two HMI images, a continuum image and a magnetogram of the same pixels.

    paths : both files, or the folder that holds them and no other image. The types are detected.
    Raises ValueError for other files, OSError for files that cannot be read.
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(p for p in path.iterdir() if p.name.lower().endswith(FITS))
        else:
            found.append(path)
    if len(found) != 2:
        message = f"chapter: needs a continuum image and a magnetogram, got {len(found)} files"
        raise avoidable(ValueError(message), "hmi")
    frames = {}
    for path in found:
        frame, type = read(path)
        frames[type] = in_gauss(frame)
    shapes = {frame.data.shape for frame in frames.values()}
    if len(frames) != 2 or len(shapes) != 1:
        got = " and ".join(f"{type} of {f.data.shape}" for type, f in frames.items())
        if len(frames) != 2:
            got = f"two of type {next(iter(frames))}"
        message = f"chapter: needs a continuum image and a magnetogram of one size, got {got}"
        raise avoidable(ValueError(message), "hmi")
    name = caption(frames["intensity"]).split("\n")[0]  # date, region and series, or the file
    return enhanced(name, {type: frames[type] for type in TYPES}, {}, device)


def enhanced(name: str, frames: dict[str, Frame], truths: Images, device: str) -> Region:
    """The region of two frames: enhanced by both networks, deconvolved, timed.

    frames : one of each type, in G.  truths : in Ic and G, or empty.
    """
    engine = select(device)
    images, outputs, seconds = {}, {model: {} for model in MODELS}, {}
    for type, frame in frames.items():
        remark(frame, type, expected=HMI.hmi_scale)
        # a synthetic scene is in units of its quiet Sun, and so is its truth
        norm = image_norm(frame, type, "none" if truths else "quiet-sun")
        level = np.float32(norm.level if type == "intensity" else 1.0)
        images[type] = frame.data / level
        for model in MODELS:
            predictor = engine.predictor(load(models.path(type, model)))
            run = partial(apply, frame.data, type, predictor, norm)
            outputs[model][type] = run().output / level
            if type == "blos":
                seconds[model] = shortest(run)
    filled, gaps = fill(images["blos"])
    optics = on_pixels(HMI, frames["blos"].header)
    begun = perf_counter()
    sharper = deconvolve(filled, "blos", ITERATIONS, optics=optics)
    seconds[RL] = perf_counter() - begun
    outputs[RL] = {"blos": restore(sharper.astype(np.float32), gaps)}
    headers = {type: frame.header for type, frame in frames.items()}
    shape = images["blos"].shape
    if sky(headers["intensity"], shape)[1]:
        headers = {type: turned_header(header, shape) for type, header in headers.items()}
        images, truths = _turned(images), _turned(truths)
        outputs = {name: _turned(of) for name, of in outputs.items()}
    return Region(name, images, outputs, seconds, headers, truths)


def shortest(run: Callable[[], object]) -> float:
    """The shortest time of REPEATS runs, in seconds; the first of all has warmed up before."""
    taken = []
    for _ in range(REPEATS):
        begun = perf_counter()
        run()
        taken.append(perf_counter() - begun)
    return min(taken)


def _turned(images):
    return {name: image[::-1, ::-1] for name, image in images.items()}
