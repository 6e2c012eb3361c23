"""The tables and pictures of the model card, enhance_np/models/README.md.

    python -m bench.quality.model_card --pairs DIR [--fields DIR] [--hmi DIR] [--scenes 3]
                                       [--type TYPE]

--pairs is the folder of intensity.h5 and blos.h5, training pairs as `degrade --recipe` writes them;
the best linear filter is fitted on them. --fields is the folder of the recipes' fields; without it
only synthetic scenes are used. Each region of the test side, which was not used for any choice, is
given with each noise of its recipe to every network and every baseline, and scored by class. --hmi
is a folder with ar_intensity_200x200.fits and ar_blos_200x200.fits, a real active region; its truth
is unknown, so its figures can only be plausible.

--type keeps the tables of the other type's errors.

Writes the blocks of the card, and pictures into docs/models/.
"""

import argparse
import hashlib
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import numpy as np

from bench import ROOT
from bench.quality import known_truth, regions
from bench.shared import table
from enhance_np import baselines, models, weights
from enhance_np._atomic import write_bytes
from enhance_np.baselines import linear
from enhance_np.engine import select
from enhance_np.evaluate import figures
from enhance_np.evaluate import report as reports
from enhance_np.evaluate import table as report_table
from enhance_np.pairs import recipes
from enhance_np.pairs.sources import KILOGAUSS
from enhance_np.prediction.array import predict

CARD = Path(models.__file__).parent / "README.md"
PICTURES = ROOT / "docs" / "models"
UNIT = {"intensity": "Ic", "blos": "kG"}
SHOWN = "synthetic active 0"
QUIET_CORNER = (160, 200, 20, 200)  # rows and columns of the real active region


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, help="folder of the training pairs")
    parser.add_argument("--fields", type=Path, help="folder of high-resolution fields")
    parser.add_argument("--hmi", type=Path, help="folder of real HMI cut-outs")
    parser.add_argument("--scenes", type=int, default=3, help="of each synthetic kind")
    parser.add_argument("--type", choices=models.TYPES, help="errors of this type alone")
    options = parser.parse_args()
    PICTURES.mkdir(parents=True, exist_ok=True)
    _write("files", files())
    _write("sources", sources())
    for type in (options.type,) if options.type else models.TYPES:
        equations = linear.equations(options.pairs / f"{type}.h5")
        best_linear = equations.solve(regions.mean_square_noise(type))
        _write(type, "\n".join(scored(type, options, best_linear)))
    _write("known", known_truth.tables(options.scenes))
    if options.hmi:
        _write("real", "\n".join(real(options.hmi)))


def files():
    """Table of the shipped weights and of the training that each file stores."""
    rows = []
    for type in models.TYPES:
        for model in models.MODELS:
            path = models.path(type, model)
            content, given = path.read_bytes(), weights.load(path)
            p = given.provenance
            said = {k: p[k] for k in ("epochs", "epoch", "batch_size", "lr", "schedule") if k in p}
            more = ("warmup", "start", "clip", "freeze", "l2", "noise", "seed")
            said |= {k: p[k] for k in more if k in p}
            # of a file that it started from the beginning of its sha256
            said["start"] = re.sub(r"(sha256 \w{16})\w+", r"\1", said.get("start", "he"))
            rows.append(
                [
                    f"`{path.name}`",
                    str(given.config),
                    f"{len(content) / 1e6:.2f} MB",
                    f"{p['validation_loss']:.3g} {UNIT[type]}^2",
                    ", ".join(f"{k} {v}" for k, v in said.items()),
                    str(p.get("data", "")),
                    f"`{hashlib.sha256(content).hexdigest()[:16]}`",
                ]
            )
    header = ["file", "network", "size", "validation loss", "training", "data", "sha256 begins"]
    return table.markdown(header, rows)


def sources():
    """Fields and licences, as the recipes state them."""
    rows = {}
    for type in models.TYPES:
        recipe = tomllib.loads(recipes.path(type).read_text(encoding="utf-8"))
        for source in recipe["source"]:
            if "file" in source:
                cells = (source["name"], source["origin"], source["licence"])
                rows[source["file"]] = [f"`{source['file']}`", *cells]
    return table.markdown(["file", "name", "origin", "licence"], rows.values())


def scored(type, options, best_linear):
    """Tables of the test side, and the picture of one of its regions."""
    methods, cpu = baselines.methods(type, best_linear), select("cpu")
    for model in models.MODELS:
        methods[model] = cpu.predictor(weights.load(models.path(type, model)))
    errors, apart, strength = (defaultdict(_Sums) for _ in range(3))
    for region in regions.of_recipe(type, "test", options.fields, options.scenes):
        classes = region.classes(type)
        everywhere = np.ones(region.high.shape, bool)
        for cadence, sigma in regions.noises(type).items():
            seen = region.seen(sigma)
            found = {name: method(seen.astype(float)) for name, method in methods.items()}
            groups = {f"**{name}**": mask for name, mask in classes.items()}
            groups[region.source] = everywhere
            if not region.limb:
                groups[f"{cadence}, all pixels"] = everywhere
            for group, mask in groups.items():
                for name, image in found.items():
                    errors[group, name].add((image - region.high)[mask])
            for name, mask in classes.items():
                apart[name].add((found["small"] - found["default"])[mask])
                strength[name].add(found["default"][mask])
            if region.name == SHOWN and sigma == min(regions.noises(type).values()):
                _picture(f"test_{type}", found, region.scene(type, seen))
    names = list(methods)
    groups = sorted({group for group, _ in errors}, key=_order)
    rows = [
        [group, str(errors[group, names[0]].n), *_cells(errors, group, names)]
        for group in groups
        if errors[group, names[0]].n
    ]
    yield table.markdown(["test pixels", "number", *names], rows)
    yield "\nRms difference between the outputs of the small and the default network:\n"
    rows = []
    for name, sums in apart.items():
        if sums.n:
            rms = [
                x.mean_square**0.5 for x in (sums, strength[name], errors[f"**{name}**", "default"])
            ]
            rows.append(
                [name, f"{rms[0]:.3g}", f"{100 * rms[0] / rms[1]:.1f} %", f"{rms[0] / rms[2]:.2f}"]
            )
    header = ["class", f"difference, {UNIT[type]}", "over the output", "over the error"]
    yield table.markdown(header, rows)


class _Sums:
    """Of squares, pixel by pixel."""

    def __init__(self):
        self.total, self.n = 0.0, 0

    def add(self, difference):
        self.total += float((difference.astype("f8") ** 2).sum())
        self.n += difference.size

    @property
    def mean_square(self):
        return self.total / self.n


def _cells(errors, group, names):
    """Mean squared errors; the networks' with the ratio to the linear filter's."""
    linear_error = errors[group, "linear"].mean_square
    for name in names:
        error = errors[group, name].mean_square
        ratio = f" ({error / linear_error:.2f})" if name in models.MODELS else ""
        yield f"{error:.3g}{ratio}"


def _order(group):
    """Classes first, then noise, then sources."""
    return (not group.startswith("**"), "pixels" not in group, group)


def _picture(name, outputs, scene):
    """The default network beside Richardson-Lucy, as figures of the paper."""
    unit = regions.UNIT[scene.type]
    found = {"default": unit * outputs["default"]}
    found |= {k: unit * v for k, v in outputs.items() if k.startswith("RL") and "28" not in k}
    write_bytes(PICTURES / f"{name}.png", figures.page(found, scene))


def real(folder):
    """The report on a real active region, and its pictures."""
    from astropy.io import fits

    from enhance_np.observation.normalise import norm_value

    image = fits.getdata(folder / "ar_intensity_200x200.fits").astype(np.float32)
    field = fits.getdata(folder / "ar_blos_200x200.fits").astype(np.float32)
    image /= np.float32(norm_value(image, "quiet-sun", "intensity").level)
    for type, data, companion in (("intensity", image, field), ("blos", field, image)):
        found = {
            model: predict(data, type, models.path(type, model), norm="none", device="cpu")
            for model in models.MODELS
        }
        box = QUIET_CORNER if type == "intensity" else None
        scene = reports.Scene(type, data, None, companion, box=box)
        yield f"```\n{report_table.text(reports.report(found, scene))}\n```\n"
        kilogauss = {k: v * (KILOGAUSS if type == "blos" else 1) for k, v in found.items()}
        _picture(f"real_{type}", kilogauss, scene)
    rows = []
    for model in models.MODELS:
        zero = predict(np.zeros((64, 64)), "blos", models.path("blos", model), device="cpu")
        mirror = -predict(-field, "blos", models.path("blos", model), device="cpu")
        rms = float(np.sqrt(((mirror - found[model]) ** 2).mean()))
        rows.append([model, f"{zero.mean():+.2f}", f"{rms:.1f}"])
    yield "Output for a zero field, and its rms difference if the input's polarity is reversed:\n"
    yield table.markdown(["network", "from zero, G", "of the other sign, rms, G"], rows)


def _write(block, text):
    print(text, flush=True)
    table.replace(CARD, block, text)


if __name__ == "__main__":
    main()
