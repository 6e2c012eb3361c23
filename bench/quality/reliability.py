"""Compares the error bar, the spread over orientations and the residual with the true error.

    python -m bench.quality.reliability [--fields DIR] [--scenes 4] [--first 0] [--type TYPE]

Each region of the test side, which no network and no error bar was fitted to, is given with each
noise of its recipe to both shipped networks, in eight orientations. Their error bars are
those of `enhance-np calibrate`, made on the validation side. Beside them stand two simpler bars,
made of the spread alone, whose parameters are fitted on the same side here. --fields is the folder
of the recipes' fields; without it only synthetic scenes are used.

Writes the blocks of docs/confidence.md and docs/models/reliability_TYPE.png. The scenes 0 to 3 were
looked at while the calibration was made. `--first 4` takes synthetic scenes that were not, and
writes only how many of their errors are within the error bars.
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
from enhance_np.observation.normalise import Norm
from enhance_np.pairs import limb
from enhance_np.pairs.sources import KILOGAUSS
from enhance_np.prediction.ensemble import mean_and_spread
from enhance_np.prediction.error_bar import Calibration, judged
from enhance_np.prediction.reblur import residual_map

DOCS = ROOT / "docs"
UNIT = {"intensity": ("Ic", 1.0), "blos": ("G", 1 / KILOGAUSS)}
BINS = 10  # of equally many pixels
LEAST = 1000  # pixels, of a group that is shown; an image pixel is four, and seen with each noise
WANTED, MARGIN = 68, 3  # % within one sigma; groups farther away are named in the text


class Pixels(NamedTuple):
    """(n,) each, of all regions of a side; in Ic or G."""

    error: np.ndarray  # mean of eight - truth
    one: np.ndarray  # one orientation - truth
    kept: np.ndarray  # mean of eight, the field's sign kept - truth; of intensities as `error`
    bar: np.ndarray  # one sigma
    spread: np.ndarray
    residual: np.ndarray  # |K * mean - input| of the input pixel around
    group: np.ndarray  # index into NAMES, -1 for none
    noise: np.ndarray  # index into regions.noises(type)

    def at(self, chosen: np.ndarray) -> "Pixels":
        return Pixels(*(part[chosen] for part in self))


class Bar(NamedTuple):
    """The simpler error bars, from a spread alone."""

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
    parser.add_argument("--scenes", type=int, default=4, help="of each synthetic kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them (0)")
    parser.add_argument("--type", choices=models.TYPES, help="this type alone (both)")
    options = parser.parse_args()
    for type in (options.type,) if options.type else models.TYPES:
        networks = {model: weights.load(models.path(type, model)) for model in models.MODELS}
        if options.first:
            found = collect(type, "test", networks, options)
            text = "\n\n".join([later(type, found), caption(type, options)])
            print(text, flush=True)
            table.replace(DOCS / "confidence.md", f"reliability_later_{type}", text)
            continue
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
    for region in regions.of_recipe(type, side, options.fields, options.scenes, options.first):
        group = np.full(region.high.shape, -1, np.int8)
        for name, mask in region.classes(type).items():
            group[mask] = NAMES.index(name)
        for k, sigma in enumerate(regions.noises(type).values()):
            seen = region.seen(sigma)
            for model, predictor in predictors.items():
                images = *enhanced(type, region, seen, predictor, sigma), group
                noise = np.full(region.high.size, k, np.int8)
                parts[model].append(Pixels(*(image.ravel() for image in images), noise))
    return {
        model: Pixels(*(np.concatenate(part) for part in zip(*pixels, strict=True)))
        for model, pixels in parts.items()
    }


def enhanced(type, region, seen, predictor, sigma):
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
    calibration = Calibration.stored(predictor.weights.calibration)
    mu = (lambda *at: np.full([len(a) for a in at], limb.MU)) if region.limb else None
    bar = judged(mean, type, calibration, Norm(1.0, mu=mu), sigma).error
    _, unit = UNIT[type]
    errors = (image - region.high for image in (mean, first[0], kept))
    return (unit * image for image in (*errors, bar, spread, residual))


def rms(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def within_size(error):
    """What WANTED % of the errors do not exceed."""
    return float(np.quantile(np.abs(error), WANTED / 100))


def curve(estimate, error, size=rms):
    """(rms estimate, size of the errors) in BINS of equally many pixels, sorted by the estimate."""
    order = np.array_split(np.argsort(estimate, kind="stable"), BINS)
    return np.array([rms(estimate[at]) for at in order]), np.array(
        [size(error[at]) for at in order]
    )


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
    for model, pixels in found.items():
        yield (
            f"The {model} network: share of the pixels whose error is within the error bar. "
            f"{WANTED} % is right. {outside(groups(type, pixels))}"
        )
        yield within(type, groups(type, pixels), bars[model])
    yield f"What averaging gains, rms error in {unit}:"
    yield gain(type, found)
    yield f"What the spread and the residual know of the error, in {unit}:"
    for model, pixels in found.items():
        bar = bars[model]
        yield (
            f"The {model} network. The bars of the spread alone, above, are {bar.factor:.2f} times "
            f"the spread, and the root of ({bar.floor:.3g} {unit})² + ({bar.slope:.2f} times the "
            "spread)²."
        )
        yield related(groups(type, pixels), unit)
    yield f"By the size of the spread, {BINS} bins of equally many pixels, rms in {unit}:"
    yield binned(found)


def caption(type, options):
    fields = "the recipe's fields and " if options.fields else ""
    which = f", from number {options.first} on" if options.first else ""
    shas = (
        f"{model} {hashlib.sha256(models.path(type, model).read_bytes()).hexdigest()[:16]}"
        for model in models.MODELS
    )
    return (
        f"On {fields}{options.scenes} synthetic scenes of each kind{which}; sha256 of the weights: "
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


def share(part, size):
    """% of the errors within bars of this size."""
    return 100 * float(np.mean(np.abs(part.error) <= size))


def within(type, parts, bar):
    unit, _ = UNIT[type]
    cadences = list(regions.noises(type))
    header = ["test pixels", "number", "within one sigma", *(f"of {c}" for c in cadences)]
    header += ["within two sigma", f"median bar, {unit}"]
    header += ["before: factor times spread", "before: with a floor"]
    rows = []
    for name, part in parts.items():
        if name.endswith(", all"):  # the columns of the noises tell it
            continue
        each = (part.at(part.noise == k) for k in range(len(cadences)))
        row = [name, str(len(part.error)), f"**{share(part, part.bar):.1f} %**"]
        row += [f"{share(one, one.bar):.1f} %" if len(one.error) else "–" for one in each]
        row += [f"{share(part, 2 * part.bar):.1f} %", f"{np.median(part.bar):.3g}"]
        row += [f"{share(part, size(part.spread)):.0f} %" for size in (bar.plain, bar.floored)]
        rows.append(row)
    return table.markdown(header, rows)


def later(type, found: dict[str, Pixels]):
    """Shares within the error bars alone."""
    rows = {}
    for pixels in found.values():
        for name, part in groups(type, pixels).items():
            cells = rows.setdefault(name, [name, str(len(part.error))])
            cells.append(f"{share(part, part.bar):.1f} %")
    header = ["test pixels", "number", *(f"{model}: within one sigma" for model in found)]
    return table.markdown(header, rows.values())


def outside(parts):
    """A sentence on the groups that miss WANTED by more than MARGIN."""
    shares = {name: share(part, part.bar) for name, part in parts.items()}
    missed = [f"{n} ({s:.1f} %)" for n, s in shares.items() if abs(s - WANTED) > MARGIN]
    if not missed:
        return f"Every row is within {WANTED} ± {MARGIN} %."
    return f"Outside of {WANTED} ± {MARGIN} % are {', '.join(missed)}."


def related(parts, unit):
    header = ["test pixels", f"rms error, {unit}", f"rms spread, {unit}", "error over spread"]
    header += ["share of the variance", "correlation with the error (at best)"]
    header += ["error bar: correlation (at best)", "residual: correlation"]
    rows = []
    for name, part in parts.items():
        error, spread = rms(part.error), rms(part.spread)
        rows.append(
            [
                name,
                *(f"{size:.3g}" for size in (error, spread)),
                f"{error / spread:.2f}",
                f"{100 * spread**2 / error**2:.0f} %",
                *(
                    f"{correlation(size, part.error):.2f} ({best_correlation(size):.2f})"
                    for size in (part.spread, part.bar)
                ),
                f"{correlation(part.residual, part.error):.2f}",
            ]
        )
    return table.markdown(header, rows)


def binned(found):
    header, columns = ["bin"], [[str(k + 1) for k in range(BINS)]]
    for model, pixels in found.items():
        spread, error = curve(pixels.spread, pixels.error)
        header += [f"{model}: spread", "error", "ratio"]
        columns += [[f"{value:.3g}" for value in values] for values in (spread, error)]
        columns.append([f"{value:.2f}" for value in error / spread])
    return table.markdown(header, zip(*columns, strict=True))


def figure(type, found, bars):
    """Curves of every class against the error bar (above), the spread and the residual."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    unit, _ = UNIT[type]
    drawn = Figure(figsize=(5.2 * len(found), 13), dpi=90, layout="constrained")
    rows = drawn.subplots(3, len(found), squeeze=False, sharey="row")
    for column, (model, pixels) in zip(rows.T, found.items(), strict=True):
        parts = groups(type, pixels)
        for ax, what in zip(column, ("bar", "spread", "residual"), strict=True):
            for name, part in parts.items():
                if name != "all" and not name.startswith("**"):
                    continue
                style = {"color": "k", "linewidth": 2.5} if name == "all" else {"marker": "."}
                size = within_size if what == "bar" else rms
                found_curve = curve(getattr(part, what), part.error, size)
                ax.loglog(*found_curve, label=name.strip("*"), **style)
            measure = f"{WANTED} % of the errors are below" if what == "bar" else "rms error"
            title = {"bar": "error bar"}.get(what, what)
            ax.set(xlabel=f"rms {title} in the bin [{unit}]", ylabel=f"{measure} [{unit}]")
        column[0].set_title(f"{model} network")
        bar = bars[model]
        x = np.geomspace(*column[1].get_xlim(), 50)
        lines = {"k:": (x, "error = spread"), "k--": (bar.plain(x), f"{bar.factor:.2f} x spread")}
        lines["k-."] = (bar.floored(x), "with a floor")
        ends = np.array(column[0].get_xlim())
        for ax, drawn_lines in (
            (column[0], {"k:": (ends, ends, "calibrated")}),
            (column[1], {style: (x, *line) for style, line in lines.items()}),
        ):
            limits = ax.get_xlim(), ax.get_ylim()
            for style, (at, y, label) in drawn_lines.items():
                ax.plot(at, y, style, linewidth=1, label=label)
            ax.set(xlim=limits[0], ylim=limits[1])
        for ax in column:
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter("{x:g}")
                axis.set_minor_formatter(NullFormatter())
            ax.legend(fontsize=8)
    return png(drawn)


if __name__ == "__main__":
    main()
