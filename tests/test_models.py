"""The shipped weights: readable, small, with their provenance, and better than interpolation."""

import h5py
import numpy as np
import pytest
from scipy.ndimage import zoom

from enhance_np import models, weights
from enhance_np.config import NOISE, SMALL, NetworkConfig
from enhance_np.engine import select
from enhance_np.engine.fold import live_filters
from enhance_np.pairs.from_recipe import regions
from enhance_np.pairs.recipe import read
from enhance_np.prediction.error_bar import Calibration

EACH = [(type, model) for type in models.TYPES for model in models.MODELS]


@pytest.mark.parametrize(("type", "model"), EACH)
def test_file(type, model):
    path = models.path(type, model)
    assert path.stat().st_size < 3e6
    loaded = weights.load(path)
    assert loaded.config == {"default": NetworkConfig(5, 32), "small": SMALL}[model]
    calibration = Calibration.stored(loaded.calibration)
    assert calibration.data == f"recipe {type}, validation, 8 scenes of a kind"
    assert calibration.floor.shape == calibration.gain.shape == (19, 19)
    about = loaded.provenance
    assert about["type"] == type
    assert {"data", "epochs", "lr", "normalisation", "seed", "validation_loss", "version"} <= set(
        about
    )


@pytest.mark.parametrize(("type", "model"), EACH)
def test_no_number_in_a_file_is_subnormal(type, model):
    """On some processors, a product with a subnormal number takes a hundred times as long."""
    found = []

    def count(_, data):
        if isinstance(data, h5py.Dataset):
            sizes = abs(data[()])
            found.append(np.count_nonzero((sizes > 0) & (sizes < np.finfo(np.float32).tiny)))

    with h5py.File(models.path(type, model)) as file:
        file.visititems(count)
    assert len(found) > 10
    assert sum(found) == 0


@pytest.mark.parametrize(("type", "model"), EACH)
def test_filters_live(type, model):
    """At least 95 % of the filters are alive."""
    counts = live_filters(weights.load(models.path(type, model))).values()
    assert sum(live for live, _ in counts) >= 0.95 * sum(all for _, all in counts)


@pytest.mark.parametrize("type", models.TYPES)
def test_beats_bicubic_on_scenes_never_trained_on(type):
    """Both models have less than half of its squared error on every kind of scene, and less at all
    for quiet fields, which are mostly noise.
    """
    engine = select("cpu")
    rng = np.random.default_rng(0)
    for name, low, high in regions(read(type).on(None).sources, scenes=1):
        x = (low + NOISE[type] * rng.standard_normal(low.shape)).astype(np.float32)
        bicubic = zoom(x, 2, order=3, mode="nearest", grid_mode=True)
        reference = ((bicubic - high) ** 2).mean()
        for model in models.MODELS:
            y = engine.predictor(weights.load(models.path(type, model)))(x)
            limit = 1.0 if (type, name) == ("blos", "synthetic quiet 0") else 0.5
            assert ((y - high) ** 2).mean() < limit * reference, (name, model)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="models: type must be"):
        models.path("velocity")
    with pytest.raises(ValueError, match="models: type must be"):
        models.path("blos", "huge")
