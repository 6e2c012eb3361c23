import json

import h5py
import numpy as np
import pytest

from enhance_np.data import patches
from enhance_np.data.degrade import HMI, Optics, convolve
from enhance_np.data.psf import airy, hmi_psf
from enhance_np.data.psf_image import PsfImage
from enhance_np.data.sources import GUARD, TYPES, WHOLE, Source, check_apart, region, sources

PATCH = 8


def wavy(seed):
    """16 by 12 arcsec; brightness grows along y, so that a value tells where it comes from."""
    y, x = np.mgrid[:160, :120] * 0.1
    return 1 + y / 100 + 0.002 * np.sin(3 * x + seed), 0.1


def halves(**change):
    return Source(**({"name": "wavy", "load": wavy, "weight": 1.0} | change))


SPLIT = {"train": (0, 0.4, 0, 1), "validation": (0.6, 1, 0, 1)}  # 3.2 arcsec apart


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("patches") / "train.h5"
    found = [
        halves(**SPLIT),
        halves(name="low weight", weight=0.25, seeded=True, train=WHOLE, validation=None),
    ]
    optics = Optics(support=3)
    return patches.build(out, "blos", found, 50, 7, patch=PATCH, seed=3, optics=optics), found, out


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
        assert not (np.diff(f["source"][:].astype(int)) >= 0).all()  # in random order
    with h5py.File(paths[1]) as f:
        assert np.bincount(f["source"][:]).tolist() == [7]


def test_low_and_high_show_the_same_place(rng):
    """On long waves, which both kernels only weaken, a low pixel is the mean of its four."""
    n, scale = 400, 0.1
    u = (np.arange(n) + 0.5) / n
    wave = np.cos(3 * np.pi * u)
    scene = wave[:, None] + 0.7 * wave
    factors = [convolve(scene, k)[0, 0] / scene[0, 0] for k in (hmi_psf(scale), airy(scale))]
    centres = []
    for low, high in patches._cut(rng, scene, scale, 30, PATCH, HMI):
        binned = high.reshape(PATCH, 2, PATCH, 2).mean(axis=(1, 3)) / factors[1]
        # four points of a wave average to 1 - 4e-4 of it; 0.05 arcsec would change it by 1e-2
        np.testing.assert_allclose(binned, low / factors[0], rtol=0, atol=2e-3)
        slope = np.array([low[:, -1].mean() - low[:, 0].mean(), low[-1].mean() - low[0].mean()])
        centres.append((*slope, low.mean()))
    assert np.std(centres, axis=0).min() > 0.1  # elsewhere, and turned, every time


def test_the_same_seed_gives_the_same_values(tmp_path):
    files = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        path, _ = patches.build(
            tmp_path / f"{name}.h5", "intensity", [halves(**SPLIT)], 5, 1, patch=4, seed=seed
        )
        with h5py.File(path) as f:
            files.append(f["imSST"][:])
    np.testing.assert_array_equal(files[0], files[1])
    assert not np.array_equal(files[0], files[2])


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


def test_seeded_sources_differ_by_seed():
    seeds = []
    source = halves(
        load=lambda seed: (seeds.append(seed), wavy(seed))[1], validation=WHOLE, seeded=True
    )
    for side in ("train", "validation"):
        for k in range(3):
            region(source, side, k)
    assert seeds == [0, 1, 2, 500_000, 500_001, 500_002]
    with pytest.raises(ValueError, match="seed must be below"):
        region(source, "train", 100_000)


def test_regions_are_whole_and_not_augmented():
    source = halves(**SPLIT)
    ((name, low, high),) = patches.regions(
        [source, halves(validation=None)], optics=Optics(support=3)
    )
    assert name == "wavy"
    assert low.shape == (12, 23)  # 6.4 by 12 arcsec
    assert high.shape == (24, 46)
    field, _ = region(source, "validation")
    assert low.mean() == pytest.approx(field.mean(), abs=3e-3)  # a strip is left over


@pytest.mark.parametrize("type", TYPES)
def test_synthetic_sources_need_no_data(type):
    found = sources(type)
    assert all(s.seeded and s.validation is not None for s in found)
    field, scale = region(found[0], "train", 1)
    patch = 50 * 0.504302 / scale
    assert min(field.shape) > patch * np.sqrt(2) * 0.85
    assert np.abs(field).max() < 4


def test_missing_data_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="muram_quiet_continuum"):
        sources("intensity", tmp_path)


@pytest.mark.parametrize("side", ["train", "validation"])
def test_a_failed_build_leaves_nothing(side, tmp_path):
    def broken(seed):
        raise OSError("unreadable")

    bad = halves(load=broken, **(SPLIT | {"validation" if side == "train" else "train": None}))
    with pytest.raises(OSError, match="unreadable"):
        patches.build(tmp_path / "a.h5", "blos", [bad, halves(**SPLIT)], 5, 5, patch=4)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_must_exist(tmp_path):
    with pytest.raises(OSError, match="folder must exist"):
        patches.build(tmp_path / "no" / "a.h5", "blos", [halves(**SPLIT)], 1, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "velocity"}, "type must be one of"),
        ({"n_train": 0}, "n_train must be 1 or more"),
        ({"patch": 0}, "patch must be 1 or more"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"optics": Optics(PsfImage(np.ones((3, 3)), 1.0, "odd.fits"))}, "round PSF.*odd.fits"),
        ({"sources": [halves()]}, "one source must have a validation region"),
    ],
)
def test_refuses(change, message, tmp_path):
    arguments = {
        "type": "blos",
        "sources": [halves(**SPLIT)],
        "n_train": 1,
        "n_val": 1,
        "patch": 4,
        "optics": Optics(support=2),
    }
    with pytest.raises(ValueError, match=message):
        patches.build(tmp_path / "a.h5", **(arguments | change))
