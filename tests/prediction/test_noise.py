"""The noise of images whose noise is known."""

import numpy as np
import pytest
from astropy.io.fits import Header

from enhance_np import models
from enhance_np._array import repeated
from enhance_np.engine import select
from enhance_np.observation.fits import Frame
from enhance_np.optics.degrade import HMI, Optics, degrade
from enhance_np.prediction.jacobian import noise_gain
from enhance_np.prediction.noise import estimated, mixed, noise_of
from enhance_np.sun.scene import scene
from enhance_np.weights import load


@pytest.fixture(scope="module")
def granulation():
    intensity, _ = scene(1_000_003, (290, 290), 0.09, "quiet")
    return degrade(intensity, 0.09)[0]


@pytest.mark.parametrize("sigma", [1e-3, 3e-3, 2e-2])
def test_estimate(granulation, rng, sigma):
    """Within a third of HMI's noise, though granulation is a hundred times stronger; gaps apart."""
    image = granulation + sigma * rng.standard_normal(granulation.shape)
    assert estimated(image, HMI) == pytest.approx(sigma, rel=0.35)
    image[:5], image[30, -3] = np.nan, np.nan
    assert estimated(image, HMI) == pytest.approx(sigma, rel=0.35)


def test_no_estimate_where_every_frequency_passes(rng):
    assert estimated(rng.standard_normal((64, 64)), Optics(aperture=0.5)) is None
    assert estimated(rng.standard_normal((8, 8)), HMI) is None


CARDS = {"TELESCOP": "SDO/HMI", "CADENCE": 45.0}


@pytest.mark.parametrize(
    ("cards", "given", "sigma", "source"),
    [
        (CARDS, None, 3e-3 * 500, "HMI, 45 s"),
        (CARDS | {"CADENCE": 720}, None, 1e-3 * 500, "HMI, 720 s"),
        (CARDS, 7.0, 7.0, "given"),
        (CARDS | {"CADENCE": 90.0}, None, 1e-3 * 500, "at least HMI, 720 s"),
        ({}, None, 1e-3 * 500, "at least HMI, 720 s"),
    ],
)
def test_header(cards, given, sigma, source):
    """The image has no noise at all, as after an interpolation."""
    frame = Frame(np.full((64, 64), 500, np.float32), Header(cards), "a.fits")
    found = noise_of(frame, "intensity", 500.0, HMI, given)
    assert found.source == source
    assert found.sigma == pytest.approx(sigma)


def test_noise_of_pixels_is_mixed_as_by_the_network(granulation, rng):
    """Noise of three times the strength on the right: what comes out, by a hundred trials.

    So weak that the network is linear in it. At the jump the mean of the squares approximates.
    """
    weights = load(models.path("intensity", "small"))
    x = granulation[:24, :32].astype(np.float32)
    sigma = np.where(np.arange(32) < 16, 1e-4, 3e-4) * np.ones((24, 1))
    predictor = select("cpu").predictor(weights)
    noise = sigma * rng.standard_normal((100, *x.shape))
    trials = [predictor((x + one).astype(np.float32)) for one in noise]
    seen = np.std(trials, axis=0) / noise_gain(x, weights)
    by_column = np.sqrt((seen**2).mean(axis=0))
    assert abs(by_column / repeated(mixed(sigma))[0] - 1).max() < 0.25
    assert abs(by_column / repeated(sigma)[0] - 1).max() > 0.5


def test_other_telescopes_are_estimated(rng):
    image = (500 + 0.1 * rng.standard_normal((64, 64))).astype(np.float32)
    frame = Frame(image, Header({"TELESCOP": "OTHER", "CADENCE": 45.0}), "a.fits")
    found = noise_of(frame, "intensity", 500.0, HMI)
    assert found.source == "estimated"
    assert found.sigma == pytest.approx(0.1, rel=0.2)
    assert noise_of(frame, "intensity", 500.0, None) is None
    hmi = Frame(500 + 100 * (image - 500), Header(), "b.fits")
    assert noise_of(hmi, "intensity", 500.0, HMI).source == "estimated"
