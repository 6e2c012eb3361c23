"""The parameters of enhance_np.baselines, by their error on the recipes' validation side.

    python -m bench.quality.tune_baselines [--fields DIR] [--scenes 2]

Each region of the validation side is used once with each noise of the recipe. Prints the best
parameter, its mean squared error, and whether it is at an end of the tried range; the values are
then written into the module by hand.
"""

import argparse
from pathlib import Path

from bench.quality import regions
from bench.shared import table
from enhance_np.baselines import richardson_lucy, tuning, wiener
from enhance_np.config import TYPES

MOST = {"intensity": (300, 600), "blos": (100, 400)}  # iterations tried: plain, as the target


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=Path, help="folder of high-resolution fields")
    parser.add_argument("--scenes", type=int, default=2, help="of each synthetic kind")
    options = parser.parse_args()
    rows = []
    for type in TYPES:
        known = [
            tuning.Pair(region.seen(sigma).astype(float), region.high)
            for region in regions.of_recipe(type, "validation", options.fields, options.scenes)
            for sigma in regions.noises(type).values()
        ]
        plain, seen = MOST[type]
        found = {
            "Wiener, nsr": wiener.tune(known),
            "RL, iterations": richardson_lucy.tune(known, type, plain),
            "RL at 28 cm, iterations": richardson_lucy.tune(known, type, seen, as_target=True),
        }
        for name, best in found.items():
            end = "yes" if best.at_end else "no"
            rows.append([type, name, f"{best.value:.3g}", f"{best.mse:.3g}", end])
    print(table.markdown(["type", "parameter", "best", "mse", "at an end"], rows))


if __name__ == "__main__":
    main()
