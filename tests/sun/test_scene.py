from itertools import pairwise

import numpy as np
import pytest

from enhance_np import _threads as threads
from enhance_np.sun import scene as synthetic
from enhance_np.sun.scene import KINDS, scene

SHAPE = (300, 311)
SCALE = 0.0662


@pytest.fixture(scope="module")
def scenes():
    return {kind: scene(7, SHAPE, SCALE, kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_one_grid_finite_float32(scenes, kind):
    intensity, bz = scenes[kind]
    for field in (intensity, bz):
        assert field.shape == SHAPE
        assert field.dtype == np.float32
        assert np.isfinite(field).all()
    assert 0 < intensity.min() < 1 < intensity.max() < 2
    assert np.abs(bz).max() < 3200


def test_a_seed_is_a_scene_with_any_number_of_threads():
    try:
        results = []
        for count in (1, 3):
            threads.set_threads(count)
            results.append(scene(4, (97, 80), SCALE, "active"))
    finally:
        threads.set_threads(None)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_seeds_and_kinds_differ():
    size = ((64, 80), SCALE)
    fields = [scene(s, *size, k)[0].ravel() for s, k in ((1, "quiet"), (2, "quiet"), (1, "plage"))]
    correlation = np.corrcoef(fields)
    assert np.abs(correlation[np.triu_indices(3, 1)]).max() < 0.3


def test_seeds_of_different_purposes_are_disjoint():
    ranges = [synthetic.TRAINING_SEEDS, synthetic.VALIDATION_SEEDS, synthetic.TEST_SEEDS]
    ranges.append(synthetic.DEMO_SEEDS)
    ranges.sort(key=lambda r: r.start)
    assert all(a.stop <= b.start for a, b in pairwise(ranges))


def test_quiet_sun(scenes):
    intensity, bz = scenes["quiet"]
    assert intensity.mean() == pytest.approx(1, abs=0.02)
    assert 0.15 < intensity.std() < 0.18
    # mixed polarities: some to tens of G, no net flux, more in lanes than in granules
    assert 20 < np.abs(bz).mean() < 70
    assert abs(bz.sum(dtype=float)) < 1e-4 * np.abs(bz).sum(dtype=float)
    assert (np.abs(bz) > 1000).mean() < 0.005
    assert np.corrcoef(np.abs(bz).ravel(), intensity.ravel())[0, 1] < -0.15


def test_network_and_plage_have_kilogauss(scenes):
    strong = {k: (np.abs(scenes[k][1]) > 1000).mean() for k in ("quiet", "network", "plage")}
    assert strong["quiet"] < 0.5 * strong["network"] < 0.5 * strong["plage"]
    bz = scenes["plage"][1]
    assert np.abs(np.sign(bz[np.abs(bz) > 800]).mean()) > 0.8  # of one polarity


def test_pores_are_dark_and_strong(scenes):
    intensity, bz = scenes["pore"]
    dark = intensity < 0.5
    assert dark.mean() > 0.001
    assert 1400 < np.median(np.abs(bz[dark])) < 2500


def test_spots(scenes):
    intensity, bz = scenes["spot"]
    dark = intensity < 0.3
    assert 0.01 < dark.mean() < 0.3
    assert 0.03 < intensity.min() < 0.2
    assert 1700 < np.median(np.abs(bz[dark])) < 3000
    assert np.abs(np.median(np.sign(bz[dark]))) == 1
    for kind in ("delta", "active"):
        intensity, bz = scenes[kind]
        umbra = bz[intensity < 0.3]
        assert 0.05 < (umbra > 0).mean() < 0.95


def test_nothing_repeats_and_no_edge_meets_its_opposite(scenes):
    """The plane is periodic, but the scene that is cut out of it is not."""
    intensity = scenes["quiet"][0]
    for a, b in ((intensity[0], intensity[-1]), (intensity[:, 0], intensity[:, -1])):
        assert np.corrcoef(a, b)[0, 1] < 0.5


@pytest.mark.parametrize(
    ("shape", "pixel_scale"), [((67, 301), 0.0662), ((223, 151), 0.02871), ((41, 57), 0.2)]
)
def test_any_size_and_scale(shape, pixel_scale):
    intensity, bz = scene(3, shape, pixel_scale, "spot")
    assert intensity.shape == bz.shape == shape
    assert np.isfinite(intensity).all()
    assert intensity.min() > 0.02
    assert intensity.max() < 2


def test_pixels_are_where_they_are_whatever_their_scale():
    """Four small pixels cover one large pixel: edges are aligned."""
    coarse, fine = (scene(5, (100 * n, 90 * n), 0.08 / n, "quiet")[0] for n in (1, 2))
    mean = fine.reshape(100, 2, 90, 2).mean(axis=(1, 3))
    assert np.corrcoef(mean.ravel(), coarse.ravel())[0, 1] > 0.995
    for shift in ((0, 1), (1, 0)):
        moved = np.roll(mean, shift, (0, 1))
        assert np.corrcoef(moved.ravel(), coarse.ravel())[0, 1] < 0.98


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "limb"}, "kind must be one of"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"pixel_scale": 0.5}, "pixel_scale must be in"),
        ({"pixel_scale": float("nan")}, "pixel_scale must be in"),
        ({"shape": (512, 20)}, "both sides must be 4 arcsec"),
        ({"shape": (512, -512)}, "both sides must be 4 arcsec"),
        ({"shape": (90_000, 90_000)}, "must fit on"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        scene(**({"seed": 0} | change))
