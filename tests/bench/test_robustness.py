"""Every kind of header, and trainings that are compared with those of before."""

import hashlib
import os

import numpy as np
import pytest

from bench.robustness import header_cases, headers, reproduced_training, soak
from bench.shared import timing
from enhance_np import params
from enhance_np.config import SMALL
from enhance_np.weights import Weights, save


def test_first_steps_are_compared_bit_for_bit():
    losses = [0.1, 1 / 3]
    found = [0.1, np.nextafter(1 / 3, 1)]
    assert reproduced_training.compared(losses, losses) == ("the same bits", "0.0e+00")
    assert reproduced_training.compared(found, losses) == ("differ", "1.7e-16")


def test_first_steps_of_a_training_that_went_on_from_another(monkeypatch, tmp_path):
    p, moving = params.initial(SMALL, 0)
    first, ships = tmp_path / "intensity_small.h5", tmp_path / "ships.h5"
    save(first, Weights(SMALL, p, moving, {"start": "contrast"}))
    start = f"{first.name}, sha256 {hashlib.sha256(first.read_bytes()).hexdigest()}"
    save(ships, Weights(SMALL, p, moving, {"start": start}))
    monkeypatch.setattr(reproduced_training.models, "path", lambda type, model: ships)
    monkeypatch.setattr(reproduced_training.models, "MODELS", ("small",))
    made = dict(reproduced_training.trainings(tmp_path, ("intensity",)))
    assert [(name, before) for name, (_, _, before) in made.items()] == [
        ("intensity_small from intensity_small", first),
        ("intensity_small", None),
    ]
    monkeypatch.setattr(reproduced_training, "CURVES", tmp_path / "none.csv")
    # it is refused before anything is trained
    monkeypatch.setattr(reproduced_training, "losses", None)
    monkeypatch.setattr("sys.argv", ["", "--pairs", str(tmp_path), "--type", "blos"])
    with pytest.raises(SystemExit, match=r"none.csv must hold blos_small from intensity_small"):
        reproduced_training.main()
    save(first, Weights(SMALL, p, moving, {"start": "he"}), overwrite=True)
    with pytest.raises(SystemExit, match=r"intensity_small.h5 must have sha256 \w+, got \w+"):
        list(reproduced_training.trainings(tmp_path, ("intensity",)))


def test_headers(tmp_path):
    """Every kind but the full disc, which is large, is treated as the page tells."""
    pytest.importorskip("sunpy")
    full_disc, *others = (*header_cases.made(), *header_cases.shipped())
    assert "full disc" in full_disc.what
    for i, kind in enumerate(others):
        (tmp_path / f"{i}").mkdir()
        found = headers.tried(kind, tmp_path / f"{i}")
        assert not headers.fault(kind, found), kind.what


def test_headers_sees_faults():
    kind = headers.Kind("a", "a.fits", None, {}, "warned", "has been")
    found = headers.Tried("warned", "has been deconvolved", shifts=(0.0, 1e-9))
    assert headers.fault(kind, found) == ""
    assert headers.fault(kind, found._replace(outcome="enhanced"))
    assert headers.fault(kind, found._replace(said="has pixels"))
    for shifts in ((2e-6, None), (0.0, 2e-6), (np.nan, 0.0)):
        assert "the sky moved" in headers.fault(kind, found._replace(shifts=shifts))


def test_header_cards():
    text = headers.cards()
    row = next(line for line in text.splitlines() if line.startswith("| hmi.sharp_720s | changed"))
    assert row == "| hmi.sharp_720s | changed | CRPIX1 CRPIX2 CDELT1 CDELT2 CRSIZE1 CRSIZE2 |"


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs Linux's /proc")
def test_soak_notes_every_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "DAMAGED", 2)
    soak.made(tmp_path / "in", 4, 16)
    found = soak.soaked(tmp_path, "small", 0.0)
    assert [one["status"] for one in found["passes"]] == [1]
    assert (found["written"], found["failed"]) == (2, 2)
    assert (found["different outputs"], found["temporary files"]) == (0, 0)
    before = soak.held()["handles"]
    with open(tmp_path / "in" / "0000.fits"):
        assert soak.held()["handles"] == before + 1
    before = soak.digest(tmp_path / "out")
    (tmp_path / "out" / "0000.fits").write_bytes(b"another")
    assert soak.digest(tmp_path / "out") != before
    record = {"files": 4, "side": 16, "model": "small", "environment": timing.environment(1)}
    text = soak.text(record | found)
    assert "1 passes over 4 files" in text
    assert text.count("\n| 1 | 4 | ") == 1
