"""Compares the spread over orientations and the re-blur residual with the true error.

    python -m bench.quality.reliability [--fields DIR] [--scenes 3] [--type TYPE]

Each region of the test side, which was not used to train, tune or choose anything, is given with
each noise of its recipe to both shipped networks, in eight orientations. The parameters that turn a
spread into an error bar are fitted on the validation side. --fields is the folder of the recipes'
fields; without it only synthetic scenes are used.

Writes the blocks of docs/confidence.md and docs/models/reliability_TYPE.png.
"""

import argparse
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from bench import ROOT
from bench.quality import regions
from bench.shared import table
from enhance_np import models, weights
from enhance_np._array import repeated
from enhance_np._atomic import write_bytes
from enhance_np._figures import png
from enhance_np.engine import select
from enhance_np.evaluate.classes import NAMES
from enhance_np.pairs.sources import KILOGAUSS
from enhance_np.prediction.ensemble import mean_and_spread
from enhance_np.prediction.reblur import residual_map

DOCS = ROOT / "docs"
UNIT = {"intensity": ("Ic", 1.0), "blos": ("G", 1 / KILOGAUSS)}
BINS = 10  # of equally many pixels
LEAST = 1000  # pixels, of a group that is shown; an image pixel is four, and seen with each noise
FAILS = 1.25  # an error bar that is wrong by a larger factor is named in the text


class Pixels(NamedTuple):
    """(n,) each, of all regions of a side; in Ic or G."""

    error: np.ndarray  # mean of eight - truth
    one: np.ndarray  # one orientation - truth
    kept: np.ndarray  # mean of eight, the field's sign kept - truth; of intensities as `error`
    spread: np.ndarray
    residual: np.ndarray  # |K * mean - input| of the input pixel around
    group: np.ndarray  # index into NAMES, -1 for none
    noise: np.ndarray  # index into regions.noises(type)

    def at(self, chosen: np.ndarray) -> "Pixels":
        return Pixels(*(part[chosen] for part in self))


class Bar(NamedTuple):
    """Error bars from a spread."""

    factor: float  # times the spread
    floor: float  # added in quadrature
    slope: float  # with this factor

    def plain(self, spread):
        return self.factor * spread

    def floored(self, spread):
        return np.hypot(self.floor, self.slope * spread)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=Path, help="folder of high-resolution fields")
    parser.add_argument("--scenes", type=int, default=3, help="of each synthetic kind")
    parser.add_argument("--type", choices=models.TYPES, help="this type alone (both)")
    options = parser.parse_args()
    for type in (options.type,) if options.type else models.TYPES:
        networks = {model: weights.load(models.path(type, model)) for model in models.MODELS}
        bars = {
            model: fitted(pixels)
            for model, pixels in collect(type, "validation", networks, options).items()
        }
        found = collect(type, "test", networks, options)
        text = "\n\n".join([*told(type, found, bars), caption(type, options)])
        print(text, flush=True)
        table.replace(DOCS / "confidence.md", f"reliability_{type}", text)
        write_bytes(DOCS / "models" / f"reliability_{type}.png", figure(type, found, bars))


def collect(type, side, networks, options) -> dict[str, Pixels]:
    """{model: the pixels of all regions}."""
    parts = {model: [] for model in networks}
    predictors = {model: select("cpu").predictor(given) for model, given in networks.items()}
    for region in regions.of_recipe(type, side, options.fields, options.scenes):
        group = np.full(region.high.shape, -1, np.int8)
        for name, mask in region.classes(type).items():
            group[mask] = NAMES.index(name)
        for k, sigma in enumerate(regions.noises(type).values()):
            seen = region.seen(sigma)
            for model, predictor in predictors.items():
                images = *enhanced(type, seen, region.high, predictor), group
                noise = np.full(region.high.size, k, np.int8)
                parts[model].append(Pixels(*(image.ravel() for image in images), noise))
    return {
        model: Pixels(*(np.concatenate(part) for part in zip(*pixels, strict=True)))
        for model, pixels in parts.items()
    }


def enhanced(type, seen, truth, predictor):
    """The images of `Pixels`, (2h, 2w) each, from `error` to `residual`."""
    first = []

    def forward(x, valid, progress):
        y = predictor(x)
        if not first:
            first.append(y.copy())
        return y

    mean, spread = mean_and_spread(forward, seen, None, type)
    kept = mean if type == "intensity" else mean_and_spread(forward, seen, None, "intensity")[0]
    residual = repeated(np.abs(residual_map(mean, seen)))
    _, unit = UNIT[type]
    errors = (image - truth for image in (mean, first[0], kept))
    return (unit * image for image in (*errors, spread, residual))


def rms(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def curve(estimate, error):
    """(rms estimate, rms error) in BINS of equally many pixels, sorted by the estimate: (BINS,)."""
    order = np.array_split(np.argsort(estimate, kind="stable"), BINS)
    return tuple(np.array([rms(values[at]) for at in order]) for values in (estimate, error))


def fitted(pixels: Pixels) -> Bar:
    """The factor fits the rms; floor and slope are least squares of the curve's relative misfit."""
    spread, error = (values**2 for values in curve(pixels.spread, pixels.error))
    floor, slope = np.sqrt(nnls(np.stack([1 / error, spread / error], axis=1), np.ones(BINS))[0])
    return Bar(rms(pixels.error) / rms(pixels.spread), float(floor), float(slope))


def correlation(estimate, error):
    """Correlation of the estimate and |error|."""
    return float(np.corrcoef(estimate, np.abs(error))[0, 1])


def best_correlation(estimate):
    """`correlation` for normal errors whose sigma is the estimate or a multiple of it."""
    s = estimate.astype(np.float64)
    return float(np.sqrt(2 / np.pi) * s.std() / np.sqrt(np.mean(s**2) - 2 / np.pi * s.mean() ** 2))


def groups(type, pixels: Pixels) -> dict[str, Pixels]:
    """Groups of pixels: all, each noise, and each class with enough pixels."""
    found = {"all": pixels}
    for k, cadence in enumerate(regions.noises(type)):
        found[f"{cadence}, all"] = pixels.at(pixels.noise == k)
    for k, name in enumerate(NAMES):
        found[f"**{name}**"] = pixels.at(pixels.group == k)
    return {name: part for name, part in found.items() if len(part.error) >= LEAST}


def told(type, found: dict[str, Pixels], bars: dict[str, Bar]):
    """Paragraphs and tables."""
    unit, _ = UNIT[type]
    yield f"What averaging gains, rms error in {unit}:"
    yield gain(type, found)
    for model, pixels in found.items():
        bar = bars[model]
        yield (
            f"The {model} network: error bars of {bar.factor:.2f} times the spread, or of the "
            f"root of ({bar.floor:.3g} {unit})² + ({bar.slope:.2f} times the spread)²."
        )
        parts = groups(type, pixels)
        yield judged(parts, bar, unit)
        yield " ".join(failures(parts, bar))
    yield f"By the size of the spread, {BINS} bins of equally many pixels, rms in {unit}:"
    yield binned(found)


def caption(type, options):
    fields = "the recipe's fields and " if options.fields else ""
    shas = (
        f"{model} {hashlib.sha256(models.path(type, model).read_bytes()).hexdigest()[:16]}"
        for model in models.MODELS
    )
    return (
        f"On {fields}{options.scenes} synthetic scenes of each kind; sha256 of the weights: "
        f"{', '.join(shas)}."
    )


def gain(type, found):
    names = ["one", "eight"] + ["eight, signs kept"] * (type == "blos")
    rows = {}
    for pixels in found.values():
        for name, part in groups(type, pixels).items():
            errors = [part.one, part.error, part.kept][: len(names)]
            cells = rows.setdefault(name, [name, str(len(part.error))])
            cells += [f"{rms(error):.3g}" for error in errors]
    header = ["test pixels", "number", *(f"{model}: {name}" for model in found for name in names)]
    return table.markdown(header, rows.values())


def judged(parts, bar, unit):
    header = ["test pixels", f"rms error, {unit}", f"rms spread, {unit}", "error over spread"]
    header += ["share of the variance", "correlation with the error (at best)"]
    header += ["within factor times spread", "within the bar with a floor", "residual: correlation"]
    rows = []
    for name, part in parts.items():
        error, spread = rms(part.error), rms(part.spread)
        inside = [
            np.mean(np.abs(part.error) <= size)
            for size in (bar.plain(part.spread), bar.floored(part.spread))
        ]
        best = best_correlation(part.spread)
        rows.append(
            [name, f"{error:.3g}", f"{spread:.3g}", f"{error / spread:.2f}"]
            + [f"{100 * spread**2 / error**2:.0f} %"]
            + [f"{correlation(part.spread, part.error):.2f} ({best:.2f})"]
            + [f"{100 * share:.0f} %" for share in inside]
            + [f"{correlation(part.residual, part.error):.2f}"]
        )
    return table.markdown(header, rows)


def failures(parts, bar):
    """Sentences that name the classes for which an error bar is wrong."""
    for what, size in (
        ("Factor times spread", bar.plain),
        ("The bar with a floor", bar.floored),
    ):
        ratio = {name: rms(p.error) / rms(size(p.spread)) for name, p in parts.items()}
        low = [f"{name} ({r:.1f})" for name, r in ratio.items() if r > FAILS]
        high = [f"{name} ({r:.1f})" for name, r in ratio.items() if r < 1 / FAILS]
        said = [f"too small for {', '.join(low)}"] * bool(low)
        said += [f"too large for {', '.join(high)}"] * bool(high)
        yield f"{what} is {' and '.join(said) or f'right within {FAILS} for every row'}."


def binned(found):
    header, columns = ["bin"], [[str(k + 1) for k in range(BINS)]]
    for model, pixels in found.items():
        spread, error = curve(pixels.spread, pixels.error)
        header += [f"{model}: spread", "error", "ratio"]
        columns += [[f"{value:.3g}" for value in values] for values in (spread, error)]
        columns.append([f"{value:.2f}" for value in error / spread])
    return table.markdown(header, zip(*columns, strict=True))


def figure(type, found, bars):
    """Curves of every class: above against the spread, below against the residual."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    unit, _ = UNIT[type]
    drawn = Figure(figsize=(5.2 * len(found), 9), dpi=110, layout="constrained")
    rows = drawn.subplots(2, len(found), squeeze=False, sharey=True)
    for column, (model, pixels) in zip(rows.T, found.items(), strict=True):
        parts = groups(type, pixels)
        for ax, what in zip(column, ("spread", "residual"), strict=True):
            for name, part in parts.items():
                if name != "all" and not name.startswith("**"):
                    continue
                style = {"color": "k", "linewidth": 2.5} if name == "all" else {"marker": "."}
                ax.loglog(*curve(getattr(part, what), part.error), label=name.strip("*"), **style)
            ax.set(xlabel=f"rms {what} in the bin [{unit}]", ylabel=f"rms error [{unit}]")
        column[0].set_title(f"{model} network")
        x = np.geomspace(*column[0].get_xlim(), 50)
        bar = bars[model]
        lines = {"k:": (x, "error = spread"), "k--": (bar.plain(x), f"{bar.factor:.2f} x spread")}
        lines["k-."] = (bar.floored(x), "with a floor")
        limits = column[0].get_xlim(), column[0].get_ylim()
        for style, (y, label) in lines.items():
            column[0].plot(x, y, style, linewidth=1, label=label)
        column[0].set(xlim=limits[0], ylim=limits[1])
        for ax in column:
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter("{x:g}")
                axis.set_minor_formatter(NullFormatter())
            ax.legend(fontsize=8)
    return png(drawn)


if __name__ == "__main__":
    main()
