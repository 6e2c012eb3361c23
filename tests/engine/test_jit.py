import shutil
import subprocess
import sys
from pathlib import Path

import enhance_np

CODE = """
import logging, numba.core.caching as caching
logging.basicConfig(format="%(message)s")
for locator in caching.CacheImpl._locator_classes:  # as where no folder is writable
    locator.from_function = classmethod(lambda *args: None)
import numpy as np
from enhance_np.engine import cpu
y, _ = cpu.relu(np.array([[-1.0, 2.0]], np.float32))
print(y.tolist())
"""


def test_without_a_place_for_the_cache_it_compiles_and_says_so(tmp_path):
    package = Path(enhance_np.__file__).parent
    shutil.copytree(package, tmp_path / "enhance_np", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[[0.0, 2.0]]"
    assert done.stderr.count("compiling at every start") == 1
