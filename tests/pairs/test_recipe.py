"""Shipped recipes, invalid recipes, and what a file stores about its recipe."""

import hashlib
import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from recipes import REAL, SMALL, small_recipe

from enhance_np.config import TYPES
from enhance_np.optics.degrade import HMI
from enhance_np.pairs import from_recipe, recipes
from enhance_np.pairs.recipe import read
from enhance_np.pairs.sources import SIDES, check_sides, region

SIZES = {  # arcsec (y, x), of the fields that the shipped recipes name
    "muram_quiet_continuum.npy": (66.2, 46.34),
    "hinode_sp_sunspot_continuum.fits": (109.44, 81.28),
    "gst_bz_20170713.fits": (53.535, 53.535),
}


@pytest.fixture
def own(tmp_path):
    """A recipe with its own field of 20 by 20 arcsec in the same folder."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "own.npy", rng.uniform(1, 3, (200, 200)))
    return small_recipe(tmp_path / "mine.toml", more=REAL)


@pytest.mark.parametrize("type", TYPES)
def test_shipped(type):
    found = read(type)
    assert (found.type, found.name, found.optics) == (type, type, HMI)
    assert found.augmentation.symmetries
    assert found.augmentation.polarity == (type == "blos")
    assert {n.cadence for n in found.noise} == {"45 s", "720 s"}
    by_cadence = {n.cadence: n.sigma for n in found.noise}
    assert by_cadence["45 s"] > by_cadence["720 s"]
    real = [s for s in found.sources if not s.seeded]
    assert found.checksums.keys() == {str(s.load.path) for s in real}
    for source in real:
        if str(source.load.path) in SIZES:
            assert tuple(source.boxes) == SIDES
            check_sides(source, np.array(SIZES[str(source.load.path)]))
        else:
            assert len(source.boxes) == 1  # too small for a gap
    for side in SIDES:
        assert any(side in s.boxes for s in real)
    text = recipes.path(type).read_text()
    assert text.count("licence = ") == text.count("origin = ") == len(real)


@pytest.mark.parametrize("type", TYPES)
def test_shipped_synthetic_sources_need_no_data(type):
    found = read(type).on(None).sources
    assert all(s.seeded and tuple(s.boxes) == SIDES for s in found)
    field, scale = region(found[0], "train", 1)
    patch = 50 * 0.504302 / scale
    assert min(field.shape) > patch * np.sqrt(2) * 0.85
    assert np.abs(field).max() < 4


def test_missing_data_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"recipe: .* must exist, got .*muram_quiet"):
        read("intensity").on(tmp_path)


def test_fields_are_read_in_their_unit(own):
    found = read(own).on(own.parent)
    (source,) = (s for s in found.sources if not s.seeded)
    field, scale = region(source, "test")
    raw = np.load(own.parent / "own.npy")
    np.testing.assert_allclose(field, raw[120:, 120:] / 2, rtol=1e-9)
    assert scale == 0.1


def test_the_mean_is_a_unit(tmp_path):
    np.save(tmp_path / "own.npy", np.random.default_rng(0).uniform(1, 3, (200, 200)))
    more = REAL.replace("unit = 2.0", 'unit = "mean"')
    found = read(small_recipe(tmp_path / "mine.toml", more=more)).on(tmp_path)
    assert found.sources[1].load(0)[0].mean() == pytest.approx(1)


def test_what_the_file_says_of_its_recipe(own, tmp_path):
    paths = from_recipe.build(tmp_path / "a.h5", read(own).on(tmp_path).changed(seed=9, train=None))
    assert [p.name for p in paths] == ["a.h5", "a_val.h5", "a_test.h5"]
    sha256 = hashlib.sha256(own.read_bytes()).hexdigest()
    for path in paths:
        with h5py.File(path) as f:
            assert f.attrs["recipe"] == own.read_text()
            assert f.attrs["recipe_name"] == "mine"
            assert f.attrs["recipe_sha256"] == sha256
            assert json.loads(f.attrs["recipe_changes"]) == {"seed": 9}
            assert json.loads(f.attrs["fields_sha256"]) == {
                "own.npy": hashlib.sha256((tmp_path / "own.npy").read_bytes()).hexdigest()
            }
            assert f.attrs["seed"] == 9
            assert f.attrs["version"]
            assert f.attrs["support_arcsec"] == 2
            assert f.attrs["symmetries"]
            assert not f.attrs["polarity"]
            assert sha256 in f.attrs["about"]
    with h5py.File(paths[0]) as f:
        assert np.bincount(f["source"][:], minlength=2).tolist() == [2, 4]  # 1 to 3 of 6


def test_a_recipe_gives_the_same_bytes_again(own, tmp_path):
    found = read(own).on(tmp_path)
    files = []
    for name in "ab":
        (tmp_path / name).mkdir()
        files.append([p.read_bytes() for p in from_recipe.build(tmp_path / name / "o.h5", found)])
    assert files[0] == files[1]


def test_without_fields_the_synthetic_stand_alone(own):
    found = read(own).on(None)
    assert [s.name for s in found.sources] == ["synthetic quiet"]
    assert found.changes == {"fields": None}
    own.write_text(SMALL.format(type="intensity").split("[[source]]")[0] + REAL)
    with pytest.raises(ValueError, match="the folder of its fields must be named"):
        read(own).on(None)


def test_another_field_than_the_recipe_means(own, tmp_path):
    sha256 = hashlib.sha256((tmp_path / "own.npy").read_bytes()).hexdigest()
    own.write_text(own.read_text() + f'sha256 = "{sha256}"\n')
    read(own).on(tmp_path)
    np.save(tmp_path / "own.npy", np.ones((200, 200)))
    with pytest.raises(ValueError, match=rf"sha256 of .*own\.npy must be {sha256}, got"):
        read(own).on(tmp_path)


def test_boxes_too_near(own, tmp_path):
    own.write_text(own.read_text().replace("[0.6, 1.0, 0.6, 1.0]", "[0.6, 1.0, 0.5, 1.0]"))
    with pytest.raises(ValueError, match=r"validation and test must be 3\.0 arcsec apart in own"):
        read(own).on(tmp_path)


FAULTS = {  # text of the recipe, its replacement, words of the error message
    "not TOML": ('type = "', "type == ", "needs a TOML file"),
    "type": ('type = "intensity"', 'type = "velocity"', "type must be one of intensity, blos"),
    "missing": ("train = 6", "", "train must be an integer 1 or more, got nothing"),
    "count": ("train = 6", "train = 0", "train must be an integer 1 or more, got 0"),
    "count kind": ("train = 6", "train = 6.0", "train must be an integer 1 or more, got 6.0"),
    "count bool": ("train = 6", "train = true", "train must be an integer 1 or more, got True"),
    "test": ("test = 2", "test = -1", "test must be an integer 0 or more, got -1"),
    "seed": ("seed = 5", "seed = -5", "seed must be an integer 0 or more"),
    "unknown": ("seed = 5", "seed = 5\nsede = 6", "sede must be one of"),
    "unknown table": ("[optics]", "[optic]", "optic must be one of"),
    "not a table": ("[optics]\nsupport = 2.0", "optics = 3", "optics must be a table, got 3"),
    "support": ("support = 2.0", "support = 0.0", "optics.support must be a number above 0"),
    "nan": ("support = 2.0", "support = nan", "optics.support must be a number above 0, got nan"),
    "infinity": ("support = 2.0", "support = inf", "optics.support must be a number above 0"),
    "psf": ("support = 2.0", 'psf = "mine.fits"', "optics.psf must be one of modified"),
    "zoom": ("zoom = [0.9, 1.1]", "zoom = [1.1, 0.9]", "augmentation.zoom must be [low, high]"),
    "zoom one": ("zoom = [0.9, 1.1]", "zoom = 1.1", "augmentation.zoom must be [low, high]"),
    "zoom wide": ("zoom = [0.9, 1.1]", "zoom = [0.1, 1.1]", "within 0.5 to 2"),
    "rotation": ("rotation = true", "rotation = 1", "rotation must be true or false, got 1"),
    "strength": ("rotation = true", "strength = [1, 2]", "strength only for blos, got type"),
    "polarity": ("rotation = true", "polarity = true", "strength only for blos, got type"),
    "brightness": ("rotation = true", "brightness.share = 2", "brightness.share must be a number"),
    "sigma": ("sigma = 0.01", "sigma = -0.01", "noise 1: sigma must be a number 0 or more"),
    "share": ("share = 1.0", "share = 0", "noise 1: share must be a number above 0, got 0"),
    "kind": ('synthetic = "quiet"', 'synthetic = "limb"', "synthetic must be one of quiet"),
    "small": ("shape = [80, 80]", "shape = [8, 8]", "both sides must be 4 arcsec"),
    "shape": ("shape = [80, 80]", "shape = [80]", "shape must be [rows, columns]"),
    "synthetic box": ("shape = [80, 80]", "shape = [80, 80]\ntest = [0,1,0,1]", "test must be one"),
    "weight": ("weight = 3.0", "weight = -3.0", "own: weight must be a number above 0, got -3.0"),
    "file": ('file = "own.npy"', "", "own: file must be a text, got nothing"),
    "unit": ("unit = 2.0", 'unit = "median"', 'own: unit must be "mean" or a number above 0'),
    "box": ("[0.6, 1.0, 0.0, 0.4]", "[0.6, 1.2, 0.0, 0.4]", "own: validation must be [y0, y1, x0"),
    "box turned": ("[0.6, 1.0, 0.0, 0.4]", "[1, 0.6, 0, 0.4]", "own: validation must be [y0, y1"),
    "sha256": ("unit = 2.0", 'unit = 2.0\nsha256 = "abc"', "sha256 must be 64 hexadecimal digits"),
    "finer": ("unit = 2.0", "unit = 2.0\nfiner = 0", "own: finer must be an integer 1 or more"),
    "names": ('name = "own"', 'name = "synthetic quiet"', "its own name"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_refuses(kind, own):
    old, new, words = FAULTS[kind]
    text = own.read_text()
    assert old in text
    own.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match="recipe: ") as error:
        read(own)
    message = str(error.value)
    assert words in message
    assert "mine.toml" in message
    assert "\n" not in message


def test_refuses_a_recipe_without_sources(own):
    own.write_text(SMALL.format(type="blos").split("[[source]]")[0])
    with pytest.raises(ValueError, match=r"there must be 1 to 256 tables \[\[source\]\]"):
        read(own)


def test_refuses_a_source_on_no_side(own):
    own.write_text(own.read_text().split("train = [")[0])
    with pytest.raises(ValueError, match="own must have train, validation or test, got none"):
        read(own)


def test_blos_has_no_brightness(own):
    text = own.read_text().replace('"intensity"', '"blos"')
    own.write_text(text.replace("rotation = true", "brightness.share = 0.5"))
    with pytest.raises(ValueError, match="brightness is only for intensity"):
        read(own)


def test_blos_needs_a_unit(own):
    own.write_text(own.read_text().replace('"intensity"', '"blos"').replace("2.0", '"mean"'))
    with pytest.raises(ValueError, match=r"must be a number above 0, got 'mean'"):
        read(own)


@pytest.mark.parametrize("name", ["velocity", "nowhere.toml"])
def test_refuses_a_recipe_that_is_not_there(name):
    with pytest.raises(FileNotFoundError, match=f"one of intensity, blos or a file .*, got {name}"):
        read(name)


def test_the_example_of_the_guide(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "guide" / "train.md"
    (example,) = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    np.save(tmp_path / "mine.npy", np.random.default_rng(0).uniform(1, 3, (2, 700, 600)))
    (tmp_path / "mine.toml").write_text(example.replace("mine.fits", "mine.npy"))
    found = read(tmp_path / "mine.toml").on(tmp_path)  # 35 by 30 arcsec: the boxes are apart
    assert [s.name for s in found.sources] == ["my simulation", "spots"]
    assert found.sources[0].load.count == 2
