import json

import h5py
import numpy as np
import pytest

from enhance_np import _threads as threads
from enhance_np.observation.normalise import GAUSS_PER_KILOGAUSS
from enhance_np.optics.degrade import HMI, Optics, convolve
from enhance_np.optics.psf import airy, hmi_psf
from enhance_np.optics.psf_image import PsfImage
from enhance_np.pairs import from_recipe
from enhance_np.pairs.recipe import Augmentation, Noise, Recipe
from enhance_np.pairs.sources import GUARD, WHOLE, Source, Synthetic, check_apart, region
from enhance_np.sun.scene import scene

PATCH = 8


def wavy(seed):
    """16 by 12 arcsec; the brightness grows along y, so that a value shows its position."""
    y, x = np.mgrid[:160, :120] * 0.1
    return 1 + y / 100 + 0.002 * np.sin(3 * x + seed), 0.1


def halves(**change):
    return Source(**({"name": "wavy", "load": wavy, "weight": 1.0} | change))


SPLIT = {"train": (0, 0.4, 0, 1), "validation": (0.6, 1, 0, 1)}  # 3.2 arcsec apart
DRAWN = Augmentation(rotation=True, zoom=(0.85, 1.2))


def recipe(**change):
    """A small recipe; the values of its low pixels show the position in the scene to 0.3 arcsec."""
    settings = {
        "type": "blos",
        "sources": (halves(**SPLIT),),
        "train": 5,
        "validation": 1,
        "patch": 4,
        "optics": Optics(support=2),
        "augmentation": DRAWN,
    }
    return Recipe(**settings | change)


def values(path, *names):
    with h5py.File(path) as f:
        return [f[name][:] for name in names or ("imHMI", "imSST")]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("patches") / "train.h5"
    found = (
        halves(**SPLIT),
        halves(name="low weight", weight=0.25, seeded=True, train=WHOLE, validation=None),
    )
    optics = Optics(support=3)
    numbers = {"train": 50, "validation": 7, "patch": PATCH, "seed": 3}
    return from_recipe.build(out, recipe(sources=found, optics=optics, **numbers)), found, out


def test_layout(built):
    paths, found, out = built
    assert [p.name for p in paths] == ["train.h5", "train_val.h5"]
    for path, n in zip(paths, (50, 7), strict=True):
        with h5py.File(path) as f:
            assert f["imHMI"].shape == (n, PATCH, PATCH, 1)
            assert f["imSST"].shape == (n, 2 * PATCH, 2 * PATCH, 1)
            assert f["imHMI"].dtype == f["imSST"].dtype == np.float32
            for name in ("imHMI", "imSST"):
                assert np.isfinite(f[name][:]).all()
                assert (f[name][:].std(axis=(1, 2, 3)) > 0).all()  # every row is written
            assert f.attrs["unit"] == "kG"
            assert f.attrs["seed"] == 3
            names = [s["name"] for s in json.loads(f.attrs["sources"])]
            assert names == [s.name for s in found]
    assert sorted(p.name for p in out.parent.iterdir()) == ["train.h5", "train_val.h5"]


def test_patches_follow_the_weights(built):
    paths, *_ = built
    with h5py.File(paths[0]) as f:
        assert np.bincount(f["source"][:]).tolist() == [40, 10]
        assert not (np.diff(f["source"][:].astype(int)) >= 0).all()  # the order is random
    with h5py.File(paths[1]) as f:
        assert np.bincount(f["source"][:]).tolist() == [7]


def test_low_and_high_show_the_same_place(rng):
    """For long waves, which both kernels hardly weaken, a low pixel is the mean of its four."""
    n, scale = 400, 0.1
    u = (np.arange(n) + 0.5) / n
    wave = np.cos(3 * np.pi * u)
    scene = wave[:, None] + 0.7 * wave
    factors = [convolve(scene, k)[0, 0] / scene[0, 0] for k in (hmi_psf(scale), airy(scale))]
    centres = []
    for low, high in from_recipe._cut(rng, scene, scale, 30, PATCH, HMI):
        binned = high.reshape(PATCH, 2, PATCH, 2).mean(axis=(1, 3)) / factors[1]
        # averaging four points weakens the wave by 4e-4; a shift by 0.05 arcsec changes it by 1e-2
        np.testing.assert_allclose(binned, low / factors[0], rtol=0, atol=2e-3)
        slope = np.array([low[:, -1].mean() - low[:, 0].mean(), low[-1].mean() - low[0].mean()])
        centres.append((*slope, low.mean()))
    assert np.std(centres, axis=0).min() > 0.1  # each patch has its own position and rotation


def test_the_same_seed_gives_the_same_values(tmp_path):
    noise = (Noise("45 s", 0.01, 1.0), Noise("720 s", 0.006, 1.0))
    files = []
    try:
        for name, seed, count in (("a", 1, 1), ("b", 1, 3), ("c", 2, 1)):
            threads.set_threads(count)
            paths = from_recipe.build(
                tmp_path / f"{name}.h5", recipe(seed=seed, train=60, test=2, noise=noise, **ALL)
            )
            names = ("imHMI", "imSST", "noise", "source")
            files.append([a for path in paths for a in values(path, *names)])
    finally:
        threads.set_threads(None)
    for one, same, other in zip(*files, strict=True):
        np.testing.assert_array_equal(one, same)
        assert one.size < 10 or len(np.unique(one)) == 1 or not np.array_equal(one, other)


ALL = {"sources": (halves(train=WHOLE, validation=WHOLE, test=WHOLE, seeded=True),)}


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"train": 6}, {"patch": 5}, {"optics": Optics(support=3)}, {"text": "# other"}],
)
def test_keeps_what_is_of_this_recipe_alone(change, tmp_path):
    out = tmp_path / "train.h5"
    paths = from_recipe.build(out, recipe())
    before = [path.stat().st_mtime_ns for path in paths]
    assert from_recipe.build(out, recipe(), keep=True, overwrite=True) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before
    with pytest.raises(FileExistsError):
        from_recipe.build(out, recipe(**change), keep=True)
    from_recipe.build(out, recipe(**change), keep=True, overwrite=True)
    assert all(path.stat().st_mtime_ns > t for path, t in zip(paths, before, strict=True))


def test_keeps_no_half_of_it(tmp_path):
    paths = from_recipe.build(tmp_path / "train.h5", recipe())
    paths[1].write_bytes(paths[1].read_bytes()[:1000])
    from_recipe.build(paths[0], recipe(), keep=True, overwrite=True)
    assert len(values(paths[1], "imHMI")[0]) == 1


def test_three_sides_show_three_scenes(tmp_path):
    paths = from_recipe.build(tmp_path / "a.h5", recipe(test=3, train=3, validation=3, **ALL))
    assert [p.name for p in paths] == ["a.h5", "a_val.h5", "a_test.h5"]
    low = [values(path)[0] for path in paths]
    assert len({a.tobytes() for a in low}) == 3
    for path, side in zip(paths, ("train", "validation", "test"), strict=True):
        with h5py.File(path) as f:
            assert f.attrs["side"] == side


def flat(seed):
    return np.full((120, 120), 0.6), 0.1


def test_brightness_dims_a_share_of_both_images(tmp_path):
    light = Augmentation(brightness=0.5, factor=(0.5, 0.5), contrast=(0.25, 0.25))
    change = {"sources": (halves(load=flat, seeded=True, validation=WHOLE),), "train": 200}
    path, _ = from_recipe.build(
        tmp_path / "a.h5", recipe(type="intensity", augmentation=light, **change)
    )
    low, high = values(path)
    for image in (low, high):
        assert np.ptp(image, axis=(1, 2, 3)).max() < 1e-6
    np.testing.assert_allclose(low[:, 0, 0, 0], high[:, 0, 0, 0], atol=1e-6)
    dimmed = np.isclose(low[:, 0, 0, 0], 0.5 * (1 - 0.25 * 0.4), atol=1e-6)
    assert 70 < dimmed.sum() < 130
    np.testing.assert_allclose(low[~dimmed], 0.6, atol=1e-6)


def test_strength_is_a_factor_of_each_patch(tmp_path):
    change = {"sources": (halves(load=flat, seeded=True, validation=WHOLE),), "train": 48}
    path, _ = from_recipe.build(
        tmp_path / "a.h5", recipe(augmentation=Augmentation(strength=(0.5, 2.0)), **change)
    )
    low, high = (image[:, 0, 0, 0] / 0.6 for image in values(path))
    np.testing.assert_allclose(low, high, atol=1e-5)
    assert 0.5 <= low.min() < 0.8 < 1.7 < low.max() <= 2
    assert len(np.unique(low)) == 48


def test_zoom_is_of_the_pixel_scale(tmp_path):
    """The brightness grows by 0.01 per arcsec along y: the zoom changes the range in a patch."""
    spans = []
    for zoom in (0.5, 1.0):
        path, _ = from_recipe.build(
            tmp_path / f"{zoom}.h5",
            recipe(augmentation=Augmentation(zoom=(zoom, zoom)), sources=(ramp(),)),
        )
        low = values(path)[0][..., 0].mean(axis=2)
        spans.append(np.median(low[:, -1] - low[:, 0]))
    assert spans[1] == pytest.approx(0.01 * 3 * 0.504302, rel=0.05)
    assert spans[0] == pytest.approx(2 * spans[1], rel=0.05)


def ramp():
    y = np.arange(400)[:, None] * 0.1
    return halves(
        load=lambda seed: (1 + y / 100 + np.zeros(400), 0.1), seeded=True, validation=WHOLE
    )


def test_noise_is_a_column_by_shares(tmp_path):
    noise = (Noise("45 s", 0.0102, 3.0), Noise("720 s", 0.0063, 1.0))
    path, val = from_recipe.build(tmp_path / "a.h5", recipe(train=200, noise=noise))
    (sigma,) = values(path, "noise")
    assert sigma.dtype == np.float32
    assert set(sigma) == {np.float32(0.0102), np.float32(0.0063)}
    assert 0.6 < (sigma == np.float32(0.0102)).mean() < 0.88
    assert values(val, "noise")[0].shape == (1,)
    path, _ = from_recipe.build(tmp_path / "b.h5", recipe())
    with h5py.File(path) as f:
        assert "noise" not in f


def test_what_the_loop_is_to_draw_is_said(tmp_path):
    for value in (True, False):
        asked = Augmentation(symmetries=value, polarity=value)
        path, _ = from_recipe.build(tmp_path / f"{value}.h5", recipe(augmentation=asked))
        with h5py.File(path) as f:
            assert (f.attrs["symmetries"], f.attrs["polarity"]) == (value, value)


def test_frames_of_a_cube_take_turns(tmp_path):
    def load(seed):
        seen.append(seed)
        return wavy(seed)

    seen = []
    load.count = 3
    sources = (halves(load=load, **SPLIT),)
    from_recipe.build(tmp_path / "a.h5", recipe(sources=sources, train=24 * 4))
    assert sorted(set(seen)) == [0, 1, 2]


def test_no_pixel_is_on_both_sides():
    train, scale = region(halves(**SPLIT), "train")
    validation, _ = region(halves(**SPLIT), "validation")
    # values grow by 0.01 per arcsec along y
    assert validation.min() - train.max() > 0.01 * GUARD - 0.005
    assert train.shape == validation.shape == (64, 120)
    assert scale == 0.1


@pytest.mark.parametrize(
    ("box", "apart"),
    [
        ((0.61, 1, 0, 1), True),
        ((0.5, 1, 0, 1), False),
        ((0, 1, 0.2, 0.3), False),
        ((0.2, 0.3, 0.2, 0.3), False),
        (WHOLE, False),
    ],
)
def test_boxes_must_be_apart(box, apart):
    size = np.array([16.0, 12.0])
    if apart:
        check_apart("wavy", (0, 0.4, 0, 1), box, size)
        check_apart("wavy", box, (0, 0.4, 0, 1), size)
        return
    with pytest.raises(ValueError, match=r"must be 3\.0 arcsec apart in wavy"):
        check_apart("wavy", (0, 0.4, 0, 1), box, size)
    with pytest.raises(ValueError, match="apart in wavy"):
        region(halves(train=(0, 0.4, 0, 1), validation=box), "train")
    with pytest.raises(ValueError, match=r"training|train and test must be .* apart in wavy"):
        region(halves(train=(0, 0.4, 0, 1), test=box), "train")
    with pytest.raises(ValueError, match=r"validation and test must be .* apart in wavy"):
        region(halves(train=None, validation=(0, 0.4, 0, 1), test=box), "validation")


def test_seeded_sources_differ_by_seed():
    seeds = []
    source = halves(
        load=lambda seed: (seeds.append(seed), wavy(seed))[1],
        validation=WHOLE,
        test=WHOLE,
        seeded=True,
    )
    for side in ("train", "validation", "test"):
        for k in range(2):
            region(source, side, k)
    assert seeds == [0, 1, 500_000, 500_001, 700_000, 700_001]
    with pytest.raises(ValueError, match="seed must be below"):
        region(source, "train", 100_000)


def test_synthetic_fields_are_in_the_unit_of_the_network():
    scenes = Synthetic("plage", "blos", (64, 64), 0.0662)
    field, scale = scenes(3)
    _, bz = scene(3, (64, 64), 0.0662, "plage")
    np.testing.assert_allclose(field, bz / GAUSS_PER_KILOGAUSS, rtol=2**-22)
    assert scale == 0.0662


def test_regions_are_whole_and_not_augmented():
    source = halves(**SPLIT)
    ((name, low, high),) = from_recipe.regions(
        (source, halves(validation=None)), optics=Optics(support=3)
    )
    assert name == "wavy"
    assert low.shape == (12, 23)  # 6.4 by 12 arcsec
    assert high.shape == (24, 46)
    field, _ = region(source, "validation")
    assert low.mean() == pytest.approx(field.mean(), abs=3e-3)  # a strip at the edge is not used


@pytest.mark.parametrize("side", ["train", "validation"])
def test_a_failed_build_leaves_nothing(side, tmp_path):
    def broken(seed):
        raise OSError("unreadable")

    bad = halves(load=broken, **(SPLIT | {"validation" if side == "train" else "train": None}))
    with pytest.raises(OSError, match="unreadable"):
        from_recipe.build(tmp_path / "a.h5", recipe(sources=(bad, halves(**SPLIT)), validation=5))
    assert list(tmp_path.iterdir()) == []


def test_the_folder_must_exist(tmp_path):
    with pytest.raises(OSError, match="folder must exist"):
        from_recipe.build(tmp_path / "no" / "a.h5", recipe())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "velocity"}, "type must be one of"),
        ({"train": 0}, "n_train must be 1 or more"),
        ({"test": -1}, "n_test must be 0 or more"),
        ({"test": 1}, "one source must have a test region"),
        ({"patch": 0}, "patch must be 1 or more"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"optics": Optics(PsfImage(np.ones((3, 3)), 1.0, "odd.fits"))}, "round PSF.*odd.fits"),
        ({"sources": (halves(),)}, "one source must have a validation region"),
    ],
)
def test_refuses(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        from_recipe.build(tmp_path / "a.h5", recipe(**change))
    assert list(tmp_path.iterdir()) == []
