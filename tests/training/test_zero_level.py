"""enhance_np.training.zero_level: magnetogram networks give a zero output for a zero field."""

from dataclasses import replace

import numpy as np
import pytest
from trained import OPTIONS, state, train
from weights_files import CONFIGS, random_weights

from enhance_np import models, network, weights
from enhance_np.training import zero_level


@pytest.mark.parametrize("name", CONFIGS)
def test_levelled(name):
    """The output of the network changes by a constant only."""
    before = random_weights(CONFIGS[name], np.float64)
    after = zero_level.levelled(before)
    x = np.random.default_rng(0).standard_normal((2, 5, 6, 1))
    (y, _), (shifted, _) = (
        network.forward(w.params, x, w.config, moving=w.moving) for w in (before, after)
    )
    rounding = 1e-12 * np.ptp(y)
    np.testing.assert_allclose(y - shifted, zero_level.offset(before), rtol=0, atol=rounding)
    assert abs(zero_level.offset(before)) > 1e-3
    assert abs(zero_level.offset(after)) <= rounding


@pytest.mark.parametrize("model", models.MODELS)
def test_what_ships_has_none(model):
    assert abs(zero_level.offset(weights.load(models.path("blos", model)))) < 1e-5  # 0.01 G


def test_training_levels_magnetograms_alone(files):
    for type, most in (("blos", 1e-6), ("intensity", np.inf)):
        saved = train(files, replace(OPTIONS, type=type, epochs=1), overwrite=True)
        as_trained = state(files)
        assert abs(zero_level.offset(saved)) <= most
        kept = {k for k, a in saved.params.items() if np.array_equal(a, as_trained.params[k])}
        assert as_trained.params.keys() - kept == ({"head/b"} if type == "blos" else set())
