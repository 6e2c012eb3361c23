"""The figures of the model card's real active region, for regions of known truth.

The truth of a real region is unknown, so one can only guess by how much its umbra should be darker
or its flux larger, and how close the re-blurred output should be to the input. Here the synthetic
regions of the recipes' test side are measured in the same way, with the noise of 720 s. The figures
of their truth, which a perfect output would have, stand beside those of the default network.
"""

import numpy as np

from bench.quality import regions
from bench.shared import table
from enhance_np import models, weights
from enhance_np.engine import select
from enhance_np.evaluate import report as reports

IMAGES = ("default", "truth")


def tables(number: int) -> str:
    """Tables of both types: means over `number` regions of each kind."""
    return "\n\n".join(_table(type, number) for type in models.TYPES)


def _table(type, number):
    predict = select("cpu").predictor(weights.load(models.path(type)))
    sigma = min(regions.noises(type).values())
    found = {}
    for region in regions.of_recipe(type, "test", None, number):
        if region.companion is None:  # the limb: no classes
            continue
        seen = region.seen(sigma)
        outputs = {"default": regions.UNIT[type] * predict(seen)}
        report = reports.report(outputs, region.scene(type, seen))
        found.setdefault(region.source, []).append(report["images"])
    rows = [[source, *_cells(found[source], MEASURES[type])] for source in found]
    header = [type, *(f"{name}: {image}" for name in MEASURES[type] for image in IMAGES)]
    return table.markdown(header, rows)


def _cells(regions, measures):
    """Means over the regions in which the quantity is defined."""
    for form, measure in measures.values():
        for image in IMAGES:
            values = [measure(images[image], images["input"]) for images in regions]
            values = [value for value in values if value is not None]
            yield form.format(np.mean(values)) if values else "–"


def _over(above, below):
    """The ratio of the two, or None if there is no umbra."""
    return None if above is None else above / below


def _residual(image, _):
    return 100 * image["reblur"]["consistent"]["whole"]


MEASURES = {  # how to write it, and what it is of the report on an image and on the input
    "intensity": {
        "darkest of the umbra over the input's": (
            "{:.2f}",
            lambda image, seen: _over(image["umbra_minimum"], seen["umbra_minimum"]),
        ),
        "K * out, %": ("{:.2f}", _residual),
    },
    "blos": {
        "unsigned flux over the input's": (
            "{:.3f}",
            lambda image, seen: _over(image["flux"]["unsigned"], seen["flux"]["unsigned"]),
        ),
        "at 800-1200 G": ("{:.2f}", lambda image, _: image["ratio"]["all"]["value"]),
        "K * out, %": ("{:.2f}", _residual),
    },
}
