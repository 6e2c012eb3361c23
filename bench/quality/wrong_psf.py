"""What does a wrong PSF cost? The networks that ship on scenes blurred by each PSF of HMI.

    python -m bench.quality.wrong_psf [--fields DIR] [--scenes 3] [--lorentzian W] [--type TYPE]

The networks undo the PSF of their training, "modified". Scenes of the recipes' test side, which
were not used to train, tune or choose anything, are blurred by that PSF and by the others, with
each noise of the recipe. Beside the networks stands the Wiener filter, once for the PSF of the
training and once for the PSF that blurred; its noise-to-signal ratio is that of `baselines` for
both. --fields is the folder of the recipes' fields; without it only synthetic scenes are used.
--lorentzian adds the PSF "norton" with that width in arcsec, which has no default.

Writes the blocks wrong_psf_TYPE of the card, enhance_np/models/README.md.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.quality import regions
from bench.quality.model_card import CARD
from bench.shared import table
from enhance_np import baselines, models, weights
from enhance_np.baselines.wiener import wiener
from enhance_np.engine import select
from enhance_np.evaluate.classes import NAMES
from enhance_np.optics.degrade import Optics, degrade, seen
from enhance_np.pairs.recipe import read
from enhance_np.pairs.sources import KILOGAUSS, SEEDS, region
from enhance_np.sun.scene import scene

PSFS = ("modified", "wachter", "yeo", "airy")  # the first is that of the training
LEAST = 1000  # pixels of a class that is shown
SHOWN = "default"  # the network of the sentences
KNOWING = "Wiener, this PSF"


class Blurred(NamedTuple):
    """A region of known truth, and what HMI would see of it by each PSF."""

    region: regions.Region  # blurred by the first PSF
    lows: dict[str, np.ndarray]  # (h, w) without noise, by PSF


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=Path, help="folder of high-resolution fields")
    parser.add_argument("--scenes", type=int, default=3, help="of each synthetic kind")
    parser.add_argument("--lorentzian", type=float, help="arcsec, adds the PSF norton")
    parser.add_argument("--type", choices=models.TYPES, help="this type alone")
    options = parser.parse_args()
    for type in (options.type,) if options.type else models.TYPES:
        text = told(type, measured(type, options))
        print(text, flush=True)
        table.replace(CARD, f"wrong_psf_{type}", text)


def psfs(recipe, lorentzian) -> dict[str, Optics]:
    """{name: optics}, the training's first."""
    found = {name: replace(recipe.optics, psf=name) for name in PSFS}
    if lorentzian is not None:
        name = f"norton, {lorentzian:g} arcsec"
        found[name] = replace(recipe.optics, psf="norton", lorentzian=lorentzian)
    return found


def blurred(type: str, options) -> Iterator[Blurred]:
    """All regions of the test side; a scene is made once for all PSFs and both types."""
    recipe = read(type).on(options.fields)
    optics = psfs(recipe, options.lorentzian)
    for source in recipe.sources:
        if "test" not in source.boxes:
            continue
        for k in range(options.scenes if source.seeded else 1):
            if source.seeded:
                name, scale = f"{source.name} {k}", source.load.pixel_scale
                load = source.load
                made = scene(SEEDS["test"][k], load.shape, scale, load.kind)
                both = dict(zip(("intensity", "blos"), (made[0], made[1] * KILOGAUSS), strict=True))
            else:
                name, both = source.name, {}
                both[type], scale = region(source, "test")
            low, high = degrade(both[type], scale, optics[PSFS[0]])
            other = both.get(regions.OTHER[type])
            companion = None if other is None else degrade(other, scale, optics[PSFS[0]])[1]
            lows = {PSFS[0]: low}
            lows |= {n: seen(both[type], scale, optics[n]) for n in optics if n != PSFS[0]}
            yield Blurred(regions.Region(source.name, name, low, high, companion), lows)


class _Sums:
    """Of a class of pixels: of the squared error, and of an output and the truth."""

    def __init__(self):
        self.n, self.error = 0, 0.0
        self.out, self.truth = np.zeros(2), np.zeros(2)  # sums of values and of their squares

    def add(self, out, truth):
        out, truth = out.astype(float), truth.astype(float)
        self.n += out.size
        self.error += float(((out - truth) ** 2).sum())
        self.out += out.sum(), (out**2).sum()
        self.truth += truth.sum(), (truth**2).sum()

    @property
    def mse(self) -> float:
        return self.error / self.n

    @property
    def contrast(self) -> float:
        """Standard deviation of the output over that of the truth."""
        spreads = [np.sqrt(s[1] / self.n - (s[0] / self.n) ** 2) for s in (self.out, self.truth)]
        return float(spreads[0] / spreads[1])


def measured(type: str, options) -> dict[tuple[str, str, str], _Sums]:
    """{(class, PSF, method): sums}, methods in the order of the columns."""
    cpu, nsr = select("cpu"), baselines.NSR[type]
    networks = {m: cpu.predictor(weights.load(models.path(type, m))) for m in models.MODELS}
    optics = psfs(read(type), options.lorentzian)
    found = defaultdict(_Sums)
    for here, lows in blurred(type, options):
        classes = {"all": np.ones(here.high.shape, bool)} | here.classes(type)
        for psf, low in lows.items():
            for sigma in regions.noises(type).values():
                image = here._replace(low=low).seen(sigma)
                outputs = {name: predict(image) for name, predict in networks.items()}
                outputs["Wiener, training's PSF"] = wiener(image, nsr, optics[PSFS[0]])
                outputs[KNOWING] = wiener(image, nsr, optics[psf])
                for name, mask in classes.items():
                    for method, out in outputs.items():
                        found[name, psf, method].add(out[mask], here.high[mask])
    return found


def told(type: str, found) -> str:
    """The table, and what it says."""
    methods = list(dict.fromkeys(method for _, _, method in found))
    names = [n for n in ("all", *NAMES) if (n, PSFS[0], SHOWN) in found]
    names = [n for n in names if found[n, PSFS[0], SHOWN].n >= LEAST]
    given = list(dict.fromkeys(psf for _, psf, _ in found))
    rows = []
    for name in names:
        for psf in given:
            cells = []
            for method in methods:
                error, matched = found[name, psf, method].mse, found[name, PSFS[0], method].mse
                cells.append(f"{error:.3g} ({error / matched:.2f})")
            contrast = found[name, psf, SHOWN].contrast
            number = str(found[name, psf, SHOWN].n)
            rows.append([f"**{name}**", psf, number, *cells, f"{contrast:.3f}"])
    header = [
        "test pixels",
        "blurred by",
        "number",
        *methods,
        f"{SHOWN}: contrast over the truth's",
    ]
    return "\n\n".join([table.markdown(header, rows), sentences(found, names, given[1:])])


def sentences(found, names, given) -> str:
    """What a wrong PSF costs, in words with numbers."""
    lines = []
    for psf in given:
        factor, over = (
            {n: found[n, psf, SHOWN].mse / found[n, against, method].mse for n in names}
            for against, method in ((PSFS[0], SHOWN), (psf, KNOWING))
        )
        least, most = min(factor, key=factor.get), max(factor, key=factor.get)
        lines.append(
            f"- If *{psf}* is true, the mean squared error of the {SHOWN} network is "
            f"{factor[least]:.2f} ({least}) to {factor[most]:.2f} ({most}) times that with the "
            f"PSF of its training, and {min(over.values()):.2f} to {max(over.values()):.2f} times "
            "that of a Wiener filter that knows the PSF."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
