"""Makes the figures and numbers of the chapter, and writes them with a page."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from .. import __version__, models
from .._atomic import write_all
from .._errors import avoidable
from .._figures import require_matplotlib
from ..config import TYPES
from ..engine import select
from ..evaluate.figures import save
from ..inspection.drawing import drawing
from ..observation.fits import check_output
from ..observation.normalise import fill
from ..prediction.picture import side_by_side
from ..sun.scene import DEMO_SEEDS
from ..weights import load
from . import blink, figures, hinode, limb, measures, page, regions, simulation
from .measures import Number, Numbers
from .page import Figure, Found
from .published import ENTRIES

SEED = 1_000_006  # of DEMO_SEEDS: a delta spot with a light bridge in one of its umbrae
SIDE = 108  # HMI pixels of the synthetic images, as in figure 5
LEAST_SIDE = 64  # a smaller synthetic region has no quiet Sun beside its spot
LARGE = 400  # pixels on each side of the image whose time the chapter gives
STEPS = 5  # of the progress
PAGES = ("blink.html", "numbers.json", "README.md", "index.html")


def make(
    folder: str | os.PathLike,
    *,
    hmi: Sequence[str | os.PathLike] = (),
    limb_file: str | os.PathLike | None = None,
    simulation_file: str | os.PathLike | None = None,
    hinode_file: str | os.PathLike | None = None,
    seed: int = SEED,
    side: int = SIDE,
    device: str = "auto",
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Numbers:
    """Write the figures, numbers.json, blink.html, README.md and index.html to a folder.

    hmi : a continuum image and a magnetogram of HMI (`regions.of_files`); () is a synthetic region.
    limb_file, simulation_file, hinode_file : see `limb.of_file`, `simulation.of_file` and
        `hinode.of_file`; None is synthetic.
    seed, side : of the synthetic images; side in HMI pixels.
    progress : called with (steps done, total).
    Files are written all or none; existing ones are replaced only with `overwrite`.
    Raises ValueError for unsuitable files or arguments, OSError for files that cannot be read or
    written, ImportError without matplotlib. Output paths are checked before any work.
    """
    if seed not in DEMO_SEEDS:
        raise ValueError(
            f"chapter: seed must be from {DEMO_SEEDS.start} to {DEMO_SEEDS.stop - 1}, of which no "
            f"network has seen a scene, got seed={seed}"
        )
    if side < LEAST_SIDE:
        raise ValueError(f"chapter: size must be {LEAST_SIDE} or more, got size={side}")
    require_matplotlib()
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OSError(f"chapter: the output must be a folder, got a file: {os.fspath(folder)!r}")
    given = [*hmi, *filter(None, (limb_file, simulation_file, hinode_file))]
    sources = [path for path in given if not Path(path).is_dir()]
    names = [*(name for name, *_ in FIGURES), *PAGES]
    _check(folder, names, sources, overwrite)
    found = _found(hmi, limb_file, simulation_file, hinode_file, seed, side, device, progress)
    contents = {figure.name: figure.content for figure in found.figures}
    contents |= {
        "blink.html": found.blink.encode(),
        "numbers.json": _json(found),
        "README.md": page.markdown(found).encode(),
        "index.html": page.html(found).encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    _check(folder, names, sources, overwrite)
    write_all([(folder / name, content) for name, content in contents.items()])
    return found.numbers


def _check(folder, names, sources, overwrite):
    if folder.exists():
        for name in names:
            for source in sources or (None,):
                check_output(folder / name, overwrite, source)
        return
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        message = (
            f"chapter: the output must be in a folder that is writable, got {os.fspath(above)!r}"
        )
        raise OSError(message)


def _found(hmi, limb_file, simulation_file, hinode_file, seed, side, device, progress) -> Found:
    # what is given comes first, because it may be unsuitable
    region = regions.of_files(hmi, device) if hmi else None
    simulated = simulation.of_file(simulation_file) if simulation_file else None
    edge = limb.of_file(limb_file, device) if limb_file else None
    if hinode_file and region is None:
        message = "chapter: an image of Hinode needs those of HMI of the same region, got none"
        raise avoidable(ValueError(message), "hmi")
    pairs = hinode.of_file(hinode_file, region) if hinode_file else {}
    progress(1, STEPS)
    known = regions.synthetic(seed, side, device)
    progress(2, STEPS)
    quiet = simulation.synthetic(seed, side)
    if region is None:
        region, simulated = known, simulated or quiet
    else:
        simulated = simulation.beside(simulated or quiet, region)
    if edge is None:
        edge = limb.synthetic(quiet.scene, side, device)
    pairs = hinode.synthetic(known) | pairs
    progress(3, STEPS)
    numbers = measures.architecture(load(models.path("intensity")).config)
    numbers |= simulation.numbers(simulated) | measures.of_truth(known)
    numbers |= measures.intensity(region) | measures.field(region) | measures.small_network(region)
    numbers |= hinode.numbers(pairs) | limb.numbers(edge)
    numbers["speed_rl"] = Number(region.seconds[regions.RL] / region.seconds["default"])
    numbers["seconds_400"] = Number(_seconds(region, device))
    progress(4, STEPS)
    made = list(_figures(region, known, simulated, edge, pairs))
    progress(5, STEPS)
    about = {
        "region": region.name,
        "figure 6": known.name,
        "simulation": simulated.name,
        "limb": edge.name,
        "Hinode": "; ".join(f"{pair.type}: {pair.name}" for pair in pairs.values()),
        "program": f"enhance_np {__version__}",
    }
    numbers = {entry.key: numbers[entry.key] for entry in ENTRIES if entry.key in numbers}
    return Found(made, numbers, blink.page(region), about)


def _seconds(region, device) -> float:
    """Of the default network, for an image of LARGE x LARGE pixels."""
    image = fill(region.images["intensity"])[0]
    pad = [(0, max(0, LARGE - n)) for n in image.shape]
    image = np.pad(image, pad, mode="symmetric")[:LARGE, :LARGE].astype(np.float32)
    predictor = select(device).predictor(load(models.path("intensity")))
    predictor(image)
    return regions.shortest(partial(predictor, image))


# every figure: its file, its number in the chapter, and a sentence
FIGURES = (
    (
        "01_before_and_after.png",
        "1",
        "An HMI image, and the same enhanced; [blink](blink.html) them.",
    ),
    (
        "03_edge_filter.png",
        "3",
        "A kernel that answers to vertical edges, and its feature map, smaller by 2 pixels.",
    ),
    (
        "03_activations.png",
        "",
        "The activation functions of the text: the slope of the first two vanishes far from 0.",
    ),
    (
        "04_network.svg",
        "4",
        "The layers of the network, forwards and backwards.",
    ),
    (
        "05_degraded.png",
        "5",
        "The simulation degraded with two PSFs, beside HMI if there is an image; the PSFs; power "
        "spectra.",
    ),
    (
        "06_results.png",
        "6",
        "Input, output and target of a region whose truth is known, in intensity and in field.",
    ),
    ("07_hinode_intensity.png", "7", "HMI, the output, and Hinode blurred to the same resolution."),
    ("08_halves.png", "8", "The upper half as HMI sees it, the lower half enhanced."),
    (
        "09_field.png",
        "9",
        "Left: output against interpolated input. Right: spectra, with the levels of white noise "
        "and (shaded) where at least half of the largest variance per octave is added.",
    ),
    ("10_hinode_field.png", "10", "As figure 7, in the line-of-sight field."),
    (
        "11_richardson_lucy.png",
        "11",
        "The output, Richardson-Lucy, and their difference, each polarity deconvolved by itself.",
    ),
    ("12_limb.png", "limb", "The limb, and what is added to the interpolated input."),
    ("13_small_network.png", "small network", "What the small network makes differently."),
)


def _figures(region, known, simulated, edge, pairs) -> Iterator[Figure]:
    h, w = region.shape
    tall = min(1.0, h / w)  # of a panel, over its width
    before_after = side_by_side(
        region.images["intensity"],
        region.out["intensity"],
        "intensity",
        units="Ic",
        header=region.header,
        title=region.name,
    )
    drawn = {
        "01_before_and_after.png": before_after,
        "03_edge_filter.png": save(figures.edge_filter, (11, 2 + 4.2 * tall), region),
        "03_activations.png": save(figures.activations, (11, 3.6)),
        "04_network.svg": drawing().encode(),
        "05_degraded.png": save(figures.degraded, (13, 9), simulated),
        "06_results.png": save(figures.results, (21, 10), known),
        "08_halves.png": save(figures.halves, (12, 2 + 5.4 * tall), region),
        "09_field.png": save(figures.field, (13, 6), region),
        "11_richardson_lucy.png": save(figures.richardson_lucy, (14, 6), region),
        "12_limb.png": save(figures.limb, (16, 4.5), edge),
        "13_small_network.png": save(figures.small_network, (12, 2 + 5.4 * tall), region),
    }
    for type, name in zip(TYPES, ("07_hinode_intensity.png", "10_hinode_field.png"), strict=True):
        rows, columns = pairs[type].comparison.out.shape
        size = (13, 1.6 + 4 * min(1.0, rows / columns))
        drawn[name] = save(figures.hinode, size, pairs[type])
    for name, number, sentence in FIGURES:
        yield Figure(name, number, sentence, drawn[name])


def _json(found: Found) -> bytes:
    numbers = {}
    for entry in ENTRIES:
        number = found.numbers.get(entry.key)
        numbers[entry.key] = {
            "figure": entry.figure,
            "quantity": entry.quantity,
            "unit": entry.unit,
            "chapter": entry.chapter,
            "value": None if number is None else number.value,
            "truth": None if number is None else number.truth,
        }
    return (
        json.dumps({"about": found.about, "numbers": numbers}, indent=1, allow_nan=False).encode()
        + b"\n"
    )
