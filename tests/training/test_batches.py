"""The random symmetries, signs and noise of a batch, as the attributes of the file ask."""

import h5py
import numpy as np
import pytest
from trained import CONFIG, CPU, OPTIONS, assert_same_bits, pairs, state, train

from enhance_np import layers
from enhance_np._random import stream
from enhance_np.training.batches import Pairs, drawn, noisy
from enhance_np.training.options import TrainOptions
from enhance_np.weights import load


def marked(path, noise=None, **attributes):
    """The file of training pairs, with attributes as `degrade` writes them."""
    with h5py.File(path, "r+") as f:
        f.attrs.update(attributes)
        if noise is not None:
            f["noise"] = np.resize(np.asarray(noise, np.float32), len(f["imHMI"]))
    return path


def opened(path, **keywords):
    return Pairs(h5py.File(path), path, **keywords)


def test_nothing_is_drawn_unless_the_file_asks(files, rng):
    found = opened(files[0])
    batch = found.read(slice(0, 5))
    before = rng.bit_generator.state
    for a, b in zip(found.augmented(*batch, rng), batch, strict=True):
        assert a is b
    assert rng.bit_generator.state == before


def test_each_pair_takes_its_own_symmetry_and_stays_a_pair(files, rng):
    found = opened(marked(files[0], symmetries=True))
    x, target = found.read(slice(0, 24))
    seen = set()
    for _ in range(4):
        turned, of_target = found.augmented(x, target, rng)
        # the target of these files is the upsampled input, so it must be rotated with it
        np.testing.assert_array_equal(layers.upsample(turned), of_target)
        drawn = [which(a[..., 0], b[..., 0]) for a, b in zip(x, turned, strict=True)]
        assert len(set(drawn)) > 2  # within one batch
        seen |= set(drawn)
    assert seen == set(range(8))
    assert turned.dtype == of_target.dtype == np.float32


def which(image, turned):
    """The number of the symmetry that maps `image` to `turned`."""
    images = [np.rot90(a, k) for a in (image, image.T) for k in range(4)]
    (found,) = (i for i, a in enumerate(images) if np.array_equal(a, turned))
    return found


def test_polarity_turns_the_sign_of_both(files, rng):
    found = opened(marked(files[0], polarity=True))
    x, target = found.read(slice(0, 24))
    turned, of_target = found.augmented(x, target, rng)
    signs = np.sign(turned / x)[:, 0, 0, 0]
    assert 4 < (signs < 0).sum() < 20
    np.testing.assert_array_equal(turned, x * signs[:, None, None, None])
    np.testing.assert_array_equal(of_target, target * signs[:, None, None, None])


def test_noise_is_of_each_patch(rng):
    x = np.ones((3, 50, 50, 1), np.float32)
    found = noisy(x, np.array([0, 0.1, 2], np.float32), rng)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0], 1)
    np.testing.assert_allclose(found.std(axis=(1, 2, 3)), [0, 0.1, 2], rtol=0.05)


def test_noise_has_its_standard_deviation_and_mean():
    x = np.full((8, 50, 50, 1), 3.0, np.float32)
    noise = noisy(x, 0.01, np.random.default_rng(0)) - x
    # 20,000 samples: the standard error of the deviation is 0.5 %, of the mean 0.7 % of sigma
    assert abs(noise.std() / 0.01 - 1) < 0.02
    assert abs(noise.mean()) < 0.0003


def test_noise_is_seeded_and_pure():
    x = np.zeros((1, 4, 4, 1), np.float32)
    one, two = (noisy(x, 1.0, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.dtype == np.float32
    assert not x.any()


@pytest.mark.parametrize("augment", [True, False])
def test_a_batch_is_read_then_turned_then_made_noisy(files, augment):
    """By one generator, which is not ahead of the batch that was asked for."""
    found = opened(marked(files[0], symmetries=True, polarity=True))
    batches = [np.array([0, 3, 5]), slice(6, 9), np.array([20, 23])]
    rng, other = stream(1, "a"), stream(1, "a")
    engine = CPU._replace(asarray=lambda a: ("on the engine", a))
    seen = drawn(found, batches, 0.1, engine, rng, augment)
    for batch, (x, target) in zip(batches, seen, strict=True):
        want, high = found.read(batch)
        if augment:
            want, high = found.augmented(want, high, other)
        want = want + np.float32(0.1) * other.standard_normal(want.shape, dtype=np.float32)
        assert x[0] == target[0] == "on the engine"
        np.testing.assert_array_equal(x[1], want)
        np.testing.assert_array_equal(target[1], high)
        assert rng.bit_generator.state == other.bit_generator.state


def test_a_stretch_has_its_own_noise(files):
    marked(files[0], noise=np.arange(24))
    assert opened(files[0], first=20).noise.tolist() == [20, 21, 22, 23]
    assert opened(files[1]).noise is None


@pytest.mark.parametrize(
    ("noise", "words"), [([-1], "0 or more"), ([np.nan], "0 or more"), ([np.inf], "finite")]
)
def test_refuses_noise(files, noise, words):
    with pytest.raises(ValueError, match=f"^train: noise must be .*{words}"):
        opened(marked(files[0], noise=noise))


def test_refuses_noise_of_another_length_or_kind(files, tmp_path):
    for name, values in (("a", np.ones(23)), ("b", np.ones((24, 1))), ("c", np.ones(24, int))):
        path = pairs(tmp_path / f"{name}_more.h5", 0)
        with h5py.File(path, "r+") as f:
            f["noise"] = values
        with pytest.raises(ValueError, match=r"noise must be \(24,\) floating point"):
            opened(path)


def test_refuses_symmetries_of_patches_that_are_not_square(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["imHMI"], f["imSST"] = np.ones((2, 4, 5, 1)), np.ones((2, 8, 10, 1))
    opened(tmp_path / "a.h5")
    with pytest.raises(ValueError, match=r"must be \(n, h, h, 1\) .* symmetries"):
        opened(marked(tmp_path / "a.h5", symmetries=True))


def test_what_is_drawn_counts_for_which_data_it_is(files):
    digests = {opened(files[0]).check()}
    for change in ({"symmetries": True}, {"polarity": True}, {"noise": 0.1}):
        digests.add(opened(marked(files[0], **change)).check())
    assert len(digests) == 4


@pytest.mark.parametrize("stop", [4, 11])
def test_interrupted_it_goes_on_with_the_same_bits(files, stop):
    for path in files[:2]:
        marked(path, noise=[0.01, 0.1], symmetries=True, polarity=True)
    train(files)
    whole = state(files)
    count = iter(range(100))

    def interrupt(row):
        if "step" in row and next(count) == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(files, overwrite=True, report=interrupt)
    assert state(files).step == stop % 6
    train(files, resume=True)
    assert_same_bits(whole, state(files))


@pytest.mark.parametrize("change", [{"symmetries": True}, {"polarity": True}, {"noise": 0.1}])
def test_the_loop_does_what_the_file_asks(files, change):
    train(files)
    plain = state(files)
    marked(files[0], **change)
    train(files, overwrite=True)
    assert (state(files).params["stem/conv/w"] != plain.params["stem/conv/w"]).any()


def losses(files, noise=None):
    options = TrainOptions(**{**vars(OPTIONS), "noise": noise, "epochs": 1})
    found = train(files, options, overwrite=True)
    (row,) = state(files).rows
    return row["loss"], row["val_loss"], found.provenance["noise"]


def test_noise_of_the_patches_unless_it_is_given(files):
    quiet = losses(files, 0.0)
    assert losses(files)[2] == 1e-3
    for path in files[:2]:
        marked(path, noise=3.0)
    loud = losses(files)
    assert loud[2] == "of each patch"
    assert loud[0] > 2 * quiet[0]
    assert loud[1] > 2 * quiet[1]
    assert losses(files, 0.0) == quiet


def test_continue_refuses_other_noise(files):
    train(files)
    marked(files[0], noise=0.1)
    with pytest.raises(ValueError, match=r"data was .*noise was 0\.001, is 'of each patch'"):
        train(files, resume=True)


def test_weights_say_which_recipe(files):
    marked(files[0], about="recipe mine, sha256 0123, seed 1", sources="[long]")
    train(files)
    assert load(files[2]).provenance["data"] == "recipe mine, sha256 0123, seed 1"


def test_prediction_takes_such_weights(files):
    """The provenance is text or numbers, even if each patch has its own noise."""
    marked(files[0], noise=0.1)

    found = train(files)
    assert found.config == CONFIG
    assert CPU.predictor(found)(np.ones((9, 9), np.float32)).shape == (18, 18)
