"""Damaged input: a result or one line and a status, never a traceback, a hang or a file left over.

`make fuzz` tries more files. A failure names the seed; the file of one seed is always the same.
"""

import os
import shutil
from collections import Counter

import numpy as np
import pytest
from astropy.io import fits
from damaged import damaged, outcome, spoil_hdf5, whole_fits
from trained import pairs

from enhance_np.config import NetworkConfig
from enhance_np.params import initial
from enhance_np.weights import Weights, save

COUNT = int(os.environ.get("FUZZ_COUNT", "40"))  # files of each kind
FIRST = int(os.environ.get("FUZZ_SEED", "0"))
SEEDS = range(FIRST, FIRST + COUNT)

# what libraries say of a damaged file, and memory that a library did not give back
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def assert_in_order(status, said, where):
    """One printable line for an error; a result may have said nothing, because of --quiet."""
    assert status in (0, 1), where
    assert "fault of the program" not in said, (where, said)
    assert "Traceback" not in said, (where, said)
    assert said.count("\n") == status, (where, said)
    assert said.strip("\n").isprintable(), (where, said)


def report(what, statuses):
    print(f"{what}, seeds {SEEDS[0]} to {SEEDS[-1]}: {dict(Counter(statuses))} of status: files")


@pytest.fixture
def tiny(tmp_path):
    """Weights for images of both types."""
    config = NetworkConfig(1, 4)
    save(tmp_path / "tiny.h5", Weights(config, *initial(config, 0)))
    return tmp_path / "tiny.h5"


def test_fits(tiny, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    source, target, kinds = tmp_path / "in.fits", folder / "out.fits", whole_fits()
    command = ("predict", source, target, "--weights", tiny, "--device", "cpu", "--quiet")
    for kind in kinds:
        source.write_bytes(kind)
        assert outcome(*command, "--overwrite")[0] == 0
    target.unlink()
    statuses = []
    for seed in SEEDS:
        source.write_bytes(damaged(kinds[seed % len(kinds)], np.random.default_rng(seed)))
        status, said = outcome(*command, *(["--type", "blos"] if seed % 2 else []))
        warned = [line for line in said.splitlines() if not line.startswith("enhance-np predict: ")]
        said = "".join(f"{line}\n" for line in said.splitlines() if line not in warned)
        assert_in_order(status, said, seed)
        assert all(line.isprintable() for line in warned), (seed, warned)
        assert os.listdir(folder) == (["out.fits"] if status == 0 else []), seed
        if status == 0:
            assert fits.getdata(target).ndim == 2, seed
            target.unlink()
        statuses.append(status)
    report("FITS", statuses)


def test_weights(tiny, tmp_path):
    statuses = []
    for seed in SEEDS:
        path = shutil.copy(tiny, tmp_path / "w.h5")
        spoil_hdf5(path, np.random.default_rng(seed))
        status, said = outcome("summary", "--weights", path)
        assert_in_order(status, said, seed)
        statuses.append(status)
    report("weights", statuses)


@pytest.mark.parametrize("which", ["checkpoint", "data"])
def test_training(tmp_path, which):
    """The run is finished, so that what is still valid costs no step."""
    files = pairs(tmp_path / "a.h5", 0), pairs(tmp_path / "b.h5", 1), tmp_path / "w.h5"
    command = f"train --data {files[0]} --validation {files[1]} --output {files[2]} --device cpu"
    command += " --depth 1 --filters 4 --batchsize 4 --epochs 1 --quiet"
    assert outcome(*command.split())[0] == 0
    saved = files[2].with_suffix(".checkpoint.h5")
    spoilt = saved if which == "checkpoint" else files[0]
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    statuses = []
    for seed in SEEDS:
        spoil_hdf5(spoilt, np.random.default_rng(seed))
        status, said = outcome(*command.split(), "--continue")
        assert_in_order(status, said, seed)
        spoilt.write_bytes(before[spoilt])
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before, seed
        statuses.append(status)
    report(which, statuses)
