"""The weights that ship: whole, small, honest about themselves, better than interpolation."""

import numpy as np
import pytest
from scipy.ndimage import zoom

from enhance_np import models, weights
from enhance_np.config import DEFAULT, SMALL
from enhance_np.data.patches import regions
from enhance_np.data.recipe import read
from enhance_np.engine import select
from enhance_np.engine.predict import run
from enhance_np.train_options import NOISE

EACH = [(type, model) for type in models.TYPES for model in models.MODELS]


@pytest.mark.parametrize(("type", "model"), EACH)
def test_file(type, model):
    path = models.path(type, model)
    assert path.stat().st_size < 3e6
    loaded = weights.load(path)
    assert loaded.config == {"default": DEFAULT, "small": SMALL}[model]
    about = loaded.provenance
    assert about["type"] == type
    assert {"data", "epochs", "lr", "normalisation", "seed", "validation_loss", "version"} <= set(
        about
    )


@pytest.mark.parametrize("type", models.TYPES)
def test_beats_bicubic_on_scenes_never_trained_on(type):
    """Whatever the kind of scene, both models, by half; where a field is hardly more than noise, at
    all.
    """
    engine = select("cpu")
    rng = np.random.default_rng(0)
    for name, low, high in regions(read(type).on(None).sources, scenes=1):
        x = (low + NOISE[type] * rng.standard_normal(low.shape)).astype(np.float32)
        bicubic = zoom(x, 2, order=3, mode="nearest", grid_mode=True)
        reference = ((bicubic - high) ** 2).mean()
        for model in models.MODELS:
            y = run(x, weights.load(models.path(type, model)), engine)
            limit = 1.0 if (type, name) == ("blos", "synthetic quiet 0") else 0.5
            assert ((y - high) ** 2).mean() < limit * reference, (name, model)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="models: type must be"):
        models.path("velocity")
    with pytest.raises(ValueError, match="models: type must be"):
        models.path("blos", "huge")
