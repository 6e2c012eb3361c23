from itertools import pairwise

import numpy as np
import pytest

from enhance_np.data import synthetic
from enhance_np.data.degrade import degrade
from enhance_np.data.granulation import FREQUENCY, POWER, noise
from enhance_np.data.synthetic import KINDS, scene

SHAPE = (300, 320)
SCALE = 0.0662


@pytest.fixture(scope="module")
def scenes():
    return {kind: scene(7, SHAPE, SCALE, kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_one_grid_finite_float32(scenes, kind):
    for field in scenes[kind]:
        assert field.shape == SHAPE
        assert field.dtype == np.float32
        assert np.isfinite(field).all()


def test_a_seed_is_a_scene(scenes):
    again = scene(7, SHAPE, SCALE, "spot")
    for a, b in zip(again, scenes["spot"], strict=True):
        np.testing.assert_array_equal(a, b)
    other = scene(8, SHAPE, SCALE, "spot")
    assert np.corrcoef(other[1].ravel(), again[1].ravel())[0, 1] < 0.95
    assert not np.array_equal(other[0], again[0])


def test_seeds_of_different_purposes_are_disjoint():
    ranges = [synthetic.TRAINING_SEEDS, synthetic.VALIDATION_SEEDS, synthetic.DEMO_SEEDS]
    ranges.sort(key=lambda r: r.start)
    assert all(a.stop <= b.start for a, b in pairwise(ranges))


def test_quiet_sun_has_the_contrast_of_the_simulation(scenes):
    intensity, bz = scenes["quiet"]
    assert intensity.mean() == pytest.approx(1, abs=0.02)
    assert 0.14 < intensity.std() < 0.18
    low, high = degrade(intensity, SCALE)
    assert 0.034 < low.std() < 0.048  # HMI and degraded MURaM: about 4 %
    assert 0.08 < high.std() < 0.10  # 9.1 %
    assert 3 < np.abs(bz).mean() < 60


def test_power_spectrum_is_the_simulations_within_40_percent(scenes):
    intensity = scenes["quiet"][0].astype(float)
    window = np.hanning(SHAPE[0])[:, None] * np.hanning(SHAPE[1])
    seen = (intensity - intensity.mean()) * window / np.sqrt((window**2).mean())
    power = np.abs(np.fft.fft2(seen)) ** 2 * SCALE**2 / seen.size
    f = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, SCALE) for n in SHAPE), indexing="ij"))
    for at, want in zip(FREQUENCY, POWER, strict=True):
        if 0.5 < at < 4:  # lower, a scene of 20 arcsec holds too few waves
            ring = power[np.abs(np.log(f / at, where=f > 0, out=np.full(f.shape, 9.0))) < 0.1]
            assert 1 / 1.4 < ring.mean() / want < 1.4, f"{at} cycles per arcsec"


def test_a_spot_has_an_umbra_of_2_kilogauss_and_a_penumbra(scenes):
    intensity, bz = scenes["spot"]
    dark = intensity < 0.3
    assert 0.01 < dark.mean() < 0.2
    assert 1600 < np.median(np.abs(bz[dark])) < 3000
    assert np.abs(np.median(np.sign(bz[dark]))) == 1
    penumbra = (intensity > 0.5) & (intensity < 0.9) & (np.abs(bz) > 300)
    assert penumbra.mean() > 0.03


def test_active_regions_are_bipolar_and_plage_is_not(scenes):
    # outside spots and pores, so that it is the plage that counts
    intensity, bz = scenes["active"]
    negative = (bz[(np.abs(bz) > 800) & (intensity > 0.9)] < 0).mean()
    assert 0.1 < negative < 0.9
    bz = scenes["plage"][1]
    assert np.abs(np.sign(bz[np.abs(bz) > 800]).mean()) > 0.8


def test_plage_has_more_field_than_the_quiet_sun(scenes):
    bz = scenes["plage"][1]
    assert np.abs(bz).mean() > 3 * np.abs(scenes["quiet"][1]).mean()
    assert np.abs(bz).max() < 3000


def test_noise_is_standardised_and_of_its_scale(rng):
    field = noise(rng, (256, 256), 4.0)
    assert abs(field.mean()) < 1e-12
    assert field.std() == pytest.approx(1)
    # white noise convolved with exp(-r^2 / 2s^2) correlates as exp(-r^2 / 4s^2)
    assert (field[:, 4:] * field[:, :-4]).mean() == pytest.approx(np.exp(-0.25), abs=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "limb"}, "kind must be one of"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"pixel_scale": 0.5}, "pixel_scale must be in"),
        ({"shape": (512, 20)}, "both sides must be 4 arcsec"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        scene(**({"seed": 0} | change))
