"""docs/archive.sbatch shares a folder among the tasks of an array."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

SCRIPT = Path(__file__).parents[2] / "docs" / "archive.sbatch"


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is missing")
def test_the_script_of_a_slurm_array(tmp_path, rng):
    (tmp_path / "in").mkdir()
    for name in "abc":
        data = (1 + 0.1 * rng.standard_normal((12, 12))).astype(np.float32)
        cards = fits.Header({"CONTENT": "CONTINUUM INTENSITY"})
        fits.writeto(tmp_path / "in" / f"{name}.fits", data, cards)
    command = tmp_path / "enhance-np"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m enhance_np "$@" --model small\n')
    command.chmod(0o755)
    slurm = {"SLURM_ARRAY_TASK_COUNT": "2", "SLURM_CPUS_PER_TASK": "1", "TMPDIR": str(tmp_path)}
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    found = []
    for task in "12":
        subprocess.run(
            ["bash", SCRIPT, tmp_path / "in", tmp_path / "out"],
            env=os.environ | slurm | path | {"SLURM_ARRAY_TASK_ID": task},
            check=True,
        )
        found.append(sorted(file.name for file in (tmp_path / "out").glob("*.fz")))
    assert found == [["a.fits.fz", "c.fits.fz"], ["a.fits.fz", "b.fits.fz", "c.fits.fz"]]
