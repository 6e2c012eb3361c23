"""The tables are those of errors that are drawn from known ones."""

import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from networks import trained

from enhance_np import weights
from enhance_np._threads import set_threads, threads
from enhance_np.config import NetworkConfig
from enhance_np.engine import select
from enhance_np.optics.degrade import HMI
from enhance_np.pairs import limb
from enhance_np.pairs.recipe import read
from enhance_np.pairs.sources import WHOLE, Source, Synthetic
from enhance_np.prediction import calibration
from enhance_np.prediction.calibration import Samples, calibrate, fitted
from enhance_np.prediction.error_bar import WITHIN, Calibration, Features

N = 60_000


@pytest.fixture
def one_thread():
    """Sums repeat."""
    before = threads()
    set_threads(1)
    yield
    set_threads(before)


def drawn(rng, share=1.0, weight=None):
    """Normal errors of a known sigma, that depends on both features and on the noise."""
    value, contrast = rng.uniform(0, 1, N), rng.uniform(0, 0.2, N)
    noise = rng.choice([0.001, 0.003], N)
    gain, floor = 3 + 4 * value, 0.01 + 0.05 * contrast + 0.01 * value
    error = np.abs(np.hypot(share * gain * noise, floor) * rng.standard_normal(N))
    known = np.where(rng.random(N) < 0.1, gain, np.nan)
    weight = np.ones(N) if weight is None else weight(value)
    return Samples(error, noise, known, value, contrast, weight, np.zeros(N, bool)), gain, floor


def within(found, samples, at):
    bars = found.sigma(Features(samples.value, samples.contrast), samples.noise)
    return np.mean((samples.error <= bars)[at])


@pytest.mark.parametrize("share", [1.0, 0.6])
def test_normal_errors(rng, share):
    """The tables find gain and floor; a third sigma of the gain's share is noise of the fit."""
    samples, gain, floor = drawn(rng, share)
    found = fitted(samples)
    its_gain, its_floor, _ = found.at(Features(samples.value, samples.contrast))
    inner = (samples.value > 0.1) & (samples.value < 0.9)
    inner &= (samples.contrast > 0.02) & (samples.contrast < 0.18)
    np.testing.assert_allclose(np.median((its_gain / gain)[inner]), share, rtol=0.1)
    np.testing.assert_allclose(its_floor[inner], floor[inner], rtol=0.2)


def test_every_part_has_its_share_within(rng):
    """Of other pixels than those of the fit: each noise, and each region of each feature."""
    found, (samples, *_) = fitted(drawn(rng)[0]), drawn(rng)
    for part in (samples.noise < 0.002, samples.noise > 0.002):
        assert within(found, samples, part) == pytest.approx(WITHIN, abs=0.01)
    for feature in (samples.value, samples.contrast):
        for fifth in np.array_split(np.argsort(feature), 5):
            assert within(found, samples, fifth) == pytest.approx(WITHIN, abs=0.02)
    assert found.value_range == pytest.approx((0, 1), abs=1e-3)
    assert found.contrast_range == pytest.approx((0, 0.2), abs=1e-3)


def test_errors_that_are_not_normal(rng):
    """The 68.3 % quantile is calibrated, whatever the tail."""
    samples, *_ = drawn(rng)
    samples = samples._replace(error=samples.error * rng.exponential(1, N) ** 2)
    found = fitted(samples)
    assert within(found, samples, slice(None)) == pytest.approx(WITHIN, abs=0.002)
    bars = found.sigma(Features(samples.value, samples.contrast), samples.noise)
    assert np.mean(samples.error <= 2 * bars) < 0.85


def test_weights_count(rng):
    """Two kinds of pixels that look the same: half of the weight is with each."""
    samples, *_ = drawn(rng)
    kind = np.arange(N) < N // 10
    error = np.where(kind, 5, 1) * samples.error
    weight = np.where(kind, 1 / kind.sum(), 1 / (~kind).sum())
    samples = samples._replace(error=error, weight=weight)
    found = fitted(samples)
    both = (within(found, samples, kind) + within(found, samples, ~kind)) / 2
    assert both == pytest.approx(WITHIN, abs=0.01)


def test_the_limb_has_its_own_floors(rng):
    """In half of the cells the errors without noise are smaller there, in the others larger.

    What is fitted is judged on other pixels, in each part by itself.
    """
    centre = drawn(rng)[0]

    def at_limb():
        there, gain, floor = drawn(rng)
        ratio = np.where(there.value < 0.5, 0.5, 2.0)
        sigma = np.hypot(there.noise * gain, ratio * floor)
        error = np.abs(sigma * rng.standard_normal(N))
        return there._replace(error=error, limb=np.ones(N, bool))

    both = Samples(*(np.concatenate(pair) for pair in zip(centre, at_limb(), strict=True)))
    found, alone, other = fitted(both), fitted(centre), at_limb()
    np.testing.assert_array_equal(found.floor, alone.floor)
    np.testing.assert_array_equal(found.gain, alone.gain)
    np.testing.assert_array_equal(alone.floor_at_limb, alone.floor)
    bars = found.sigma(Features(other.value, other.contrast), other.noise, limb.MU)
    for part in (other.value < 0.4, other.value > 0.6):
        for noise in np.unique(other.noise):
            inside = other.error <= bars
            assert inside[part & (other.noise == noise)].mean() == pytest.approx(WITHIN, abs=0.03)


def test_cells_unknown_at_the_limb_follow_the_nearest(rng):
    """Only values below 0.5 occur there, whose errors are smaller; so are those of the others."""
    centre, there = drawn(rng)[0], drawn(rng)[0]
    there = there._replace(error=0.6 * there.error, noise=0 * there.noise, limb=np.ones(N, bool))
    there = Samples(*(column[there.value < 0.5] for column in there))
    both = Samples(*(np.concatenate(pair) for pair in zip(centre, there, strict=True)))
    found = fitted(both)
    ratio = found.floor_at_limb / found.floor
    unknown = np.array(found.values) > 0.6
    np.testing.assert_allclose(
        ratio[unknown], np.broadcast_to(ratio[~unknown][-1], ratio[unknown].shape)
    )
    assert (ratio < 0.95).all()


def test_one_noise_and_one_brightness(rng):
    """A constant feature has one bin, and a noise alone does not tell the share of the gain."""
    samples, *_ = drawn(rng)
    flat = samples._replace(noise=np.full(N, 0.002), value=np.ones(N))
    found = fitted(flat)
    assert found.values == (1.0,)
    assert within(found, flat, slice(None)) == pytest.approx(WITHIN, abs=0.01)
    np.testing.assert_array_equal(
        Calibration.stored(found.attributes()).gain.shape, (1, len(found.contrasts))
    )


def test_too_few(rng):
    few = Samples(*(column[:100] for column in drawn(rng)[0]))
    with pytest.raises(ValueError, match="needs 200 pixels or more, got 100"):
        fitted(few)


@pytest.fixture
def own(tmp_path):
    loaded = trained(NetworkConfig(1, 4))
    loaded.provenance["type"] = "intensity"
    weights.save(tmp_path / "own.h5", loaded)
    return tmp_path / "own.h5"


@pytest.fixture
def pairs(tmp_path, rng):
    high = 1 + 0.1 * rng.standard_normal((6, 40, 40, 1)).astype(np.float32)
    with h5py.File(tmp_path / "pairs.h5", "w") as file:
        file.update({"imHMI": high.reshape(6, 20, 2, 20, 2, 1).mean((2, 4)), "imSST": high})
        file["source"] = np.array([0, 0, 0, 1, 1, 1], np.uint8)
        file.attrs["type"] = "intensity"
    return tmp_path / "pairs.h5"


def test_pairs_in_a_file(own, pairs, tmp_path, one_thread):
    """The calibration is stored with the weights, of which nothing else changes."""
    shutil.copy(own, tmp_path / "other.h5")
    seen = []
    found, other = calibrate(
        [own, tmp_path / "other.h5"], pairs, count=5, device="cpu", progress=seen.append
    )
    assert seen == [1, 2, 3, 4, 5]
    assert found.data == "pairs.h5, 5 pairs"
    assert found.attributes() == other.attributes()
    before, after = weights.load(tmp_path / "other.h5"), weights.load(own)
    assert after.calibration == found.attributes() == before.calibration
    plain = trained(NetworkConfig(1, 4))
    for name, values in (plain.params | plain.moving).items():
        np.testing.assert_array_equal((after.params | after.moving)[name], values)
    assert after.provenance == {"type": "intensity"}
    again = calibrate([own], pairs, count=5, device="cpu")[0]
    assert again.attributes() == found.attributes()
    louder = calibrate([own], pairs, count=5, noise=0.5, device="cpu")[0]
    assert louder.attributes() != found.attributes()


def test_a_recipe_without_noise(own):
    silent = replace(read("intensity"), noise=())
    with pytest.raises(ValueError, match="recipe intensity must have a noise, got none"):
        calibrate([own], silent, device="cpu")


def test_every_source_has_the_same_weight(own, pairs):
    """Two images of one and one of the other; the image of a third is larger."""
    gathered = calibration._Gathered(weights.load(own), "intensity", select("cpu"))
    _, known, _ = calibration.stored(pairs, 4, None)
    large = calibration.Known(*(np.tile(image, (2, 2)) for image in known[0][:2]), 0.01, "large")
    for image in (known[0], known[1], known[3], large):
        gathered.add(image)
    samples, _ = gathered.pixels()
    edges = np.cumsum([24**2, 24**2, 24**2])
    one, two, three, four = (part.sum() for part in np.split(samples.weight, edges))
    np.testing.assert_allclose([one + two, three, four], 1)
    assert one == pytest.approx(0.5)


def test_scenes_of_a_recipe(monkeypatch):
    """Validation scenes with each noise, then the limb; what is not for validation is left out."""
    monkeypatch.setattr(limb, "SHAPE", (60, 66))
    sources = (
        Source("s", Synthetic("quiet", "blos", (60, 66), 0.2), 1.0, validation=WHOLE, seeded=True),
        Source("not there", Synthetic("quiet", "blos", (60, 66), 0.2), 1.0, seeded=True),
    )
    recipe = replace(read("blos"), sources=sources)
    found = list(calibration.scenes(recipe, 2))
    assert [known.source for known in found] == ["s"] * 4 + ["limb"] * 4
    assert [known.sigma for known in found] == [10.2e-3, 6.3e-3] * 4
    assert [known.limb for known in found] == [False] * 4 + [True] * 4
    assert all(k.truth.shape == tuple(2 * n for n in k.seen.shape) for k in found)
    loud, soft = (known.seen - known.truth.mean() for known in found[:2])
    assert 10.2 / 6.3 * np.std(loud - soft) == pytest.approx((10.2 - 6.3) / 6.3 * 10.2e-3, rel=0.1)
    assert not (found[0].seen == found[2].seen).any()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"type": "blos"}, {}, "must be for blos, got weights for intensity"),
        ({"type": "wind"}, {}, "type must be one of .* got 'wind'"),
        ({}, {"count": 0}, "count must be 1 or more, got 0"),
        (
            HMI.attributes() | {"target_diameter_m": 0.5},
            {},
            "own.h5 must be for target_diameter_m 0.5, got weights for target_diameter_m 0.28",
        ),
    ],
)
def test_refuses(own, pairs, change, options, message):
    with h5py.File(pairs, "r+") as file:
        file.attrs.update(change)
    with pytest.raises(ValueError, match=message):
        calibrate([own], pairs, device="cpu", **options)
    assert weights.load(own).calibration is None


@pytest.mark.parametrize("optics", [{}, HMI.attributes(), {"psf": "airy"}])
def test_weights_for_the_optics_of_the_data(tmp_path, pairs, optics):
    """Those that the weights store; HMI's, if they store none; none if the data tell none."""
    with h5py.File(pairs, "r+") as file:
        file.attrs.update(HMI.attributes() | optics)
    loaded = trained(NetworkConfig(1, 4))
    loaded.provenance.update(HMI.attributes() | optics if optics else {})
    weights.save(tmp_path / "w.h5", loaded)
    assert calibrate([tmp_path / "w.h5"], pairs, count=2, device="cpu")


def test_tells_at_once_that_nothing_can_be_written(own, pairs, monkeypatch):
    monkeypatch.setattr(calibration, "load", None)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(PermissionError, match="the folder must be writable"):
        calibrate([own], pairs, device="cpu")
