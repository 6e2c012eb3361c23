import numpy as np
import pytest
from astropy.io import fits

from enhance_np.prediction import demo
from enhance_np.sun.scene import DEMO_SEEDS, TRAINING_SEEDS, VALIDATION_SEEDS


def test_demo_leaves_its_files_and_figures(tmp_path):
    pytest.importorskip("matplotlib")
    line = demo.make(tmp_path / "demo", device="cpu")
    assert "\n" not in line
    low = fits.getdata(tmp_path / "demo" / "scene.fits")
    high = fits.getdata(tmp_path / "demo" / "enhanced.fits")
    assert high.shape == (2 * low.shape[0], 2 * low.shape[1])
    assert (tmp_path / "demo" / "demo.png").stat().st_size > 10_000
    words = line.replace("(", " ").replace(")", " ").split()
    error, bicubic = (float(words[words.index(w) + 1]) for w in ("error", "bicubic"))
    assert error < 0.7 * bicubic
    truth = fits.getdata(tmp_path / "demo" / "truth.fits")
    assert error == pytest.approx(np.sqrt(np.mean((high - truth) ** 2)), abs=5e-5)
    again = demo.make(tmp_path / "demo", device="cpu")
    assert again == line
    np.testing.assert_array_equal(fits.getdata(tmp_path / "demo" / "enhanced.fits"), high)


def test_seed_was_never_trained_on():
    assert demo.SEED in DEMO_SEEDS
    assert demo.SEED not in TRAINING_SEEDS
    assert demo.SEED not in VALIDATION_SEEDS
