"""How good are the weights that ship: against the truth, beside bicubic interpolation.

    python bench/bench_weights.py [--fields DIR] [--hmi DIR] [--readme]

Validation regions are those that enhance_np.data.sources keeps from training: other boxes of
the fields in DIR, other seeds of the synthetic scenes. Each is degraded whole, with the noise of
training, and scored by the mean squared error to what a 28 cm telescope would have seen.
--hmi names a folder with ar_intensity_200x200.fits and ar_blos_200x200.fits, a real active region:
there is no truth, only figures that should be plausible.
--readme writes the tables into enhance_np/models/README.md.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import zoom

from enhance_np import models, weights
from enhance_np.data.patches import regions
from enhance_np.data.recipe import read
from enhance_np.engine import select
from enhance_np.engine.predict import predict, run
from enhance_np.training import NOISE

README = Path(models.__file__).parent / "README.md"
UNIT = {"intensity": "Ic", "blos": "kG"}


def bicubic(image):
    """Cubic spline interpolation by 2 with aligned edges."""
    return zoom(image, 2, order=3, mode="nearest", grid_mode=True)


def scores(type, fields, scenes):
    """Rows (region, pixels, mse of bicubic, then of each model)."""
    engine = select("cpu")
    loaded = [weights.load(models.path(type, model)) for model in models.MODELS]
    rng = np.random.default_rng(0)
    for name, low, high in regions(read(type).on(fields).sources, scenes=scenes):
        noise = NOISE[type] * rng.standard_normal(low.shape)
        x = (low + noise).astype(np.float32)
        results = [bicubic(x), *(run(x, w, engine) for w in loaded)]
        shape = f"{low.shape[0]} x {low.shape[1]}"
        yield name, shape, *(float(((y - high) ** 2).mean()) for y in results)


def tables(fields, scenes):
    for type in models.TYPES:
        yield f"\n{type}: mean squared error, {UNIT[type]}^2 (ratio to bicubic)\n"
        header = ["region", "pixels", "bicubic", *models.MODELS]
        yield f"| {' | '.join(header)} |"
        yield f"|{' --- |' * len(header)}"
        for name, shape, reference, *found in scores(type, fields, scenes):
            cells = [f"{mse:.2e} ({mse / reference:.2f})" for mse in found]
            yield f"| {name} | {shape} | {reference:.2e} | {' | '.join(cells)} |"


def real_region(folder):
    """The sample active region of the original Enhance: no truth, only plausibility."""
    from astropy.io import fits

    image = fits.getdata(folder / "ar_intensity_200x200.fits").astype(np.float32)
    field = fits.getdata(folder / "ar_blos_200x200.fits").astype(np.float32)
    yield "\nreal HMI active region: contrast of its quiet corner (rows 160:, columns 20:),"
    yield "darkest pixel, mean unsigned and net field; last, what the network makes of no field\n"
    yield "| image | contrast | darkest, Ic | unsigned, G | net, G | from zero, G |"
    yield "|" + " --- |" * 6
    yield _plausibility("input", image, field, 1, 0.0)
    for model in models.MODELS:
        enhanced = [
            predict(data, type, models.path(type, model), device="cpu")
            for data, type in ((image, "intensity"), (field, "blos"))
        ]
        zero = predict(np.zeros((64, 64)), "blos", models.path("blos", model), device="cpu")
        yield _plausibility(model, *enhanced, 2, float(zero.mean()))


def _plausibility(name, image, field, factor, zero):
    quiet = image[160 * factor :, 20 * factor :]
    cells = (
        f"{100 * quiet.std() / quiet.mean():.2f} %",
        f"{image.min():.3f}",
        f"{abs(field).mean():.1f}",
        f"{field.mean():.2f}",
        f"{zero:.2f}",
    )
    return f"| {name} | {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=Path, help="folder of high-resolution fields")
    parser.add_argument("--hmi", type=Path, help="folder of real HMI cut-outs")
    parser.add_argument("--scenes", type=int, default=2, help="of each synthetic kind")
    parser.add_argument("--readme", action="store_true")
    options = parser.parse_args()
    lines = list(tables(options.fields, options.scenes))
    if options.hmi:
        lines += real_region(options.hmi)
    text = "\n".join(lines).strip()
    print(text)
    if options.readme:
        from table import replace

        replace(README, "weights", text)


if __name__ == "__main__":
    main()
