"""Kernels are compiled once, if a folder for the cache is writable."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import enhance_np
from enhance_np.engine.cpu import jit

READ_ONLY = """
import numba.core.caching as caching
for locator in caching.CacheImpl._locator_classes:  # as if no folder were writable
    locator.from_function = classmethod(lambda *args: None)
"""
CODE = """
import logging
logging.basicConfig(format="%(message)s")
import numpy as np
from enhance_np.engine.cpu import vocabulary as cpu
y, _ = cpu.relu(np.array([[-1.0, 2.0]], np.float32))
print(y.tolist())
"""


@pytest.fixture
def started(tmp_path):
    """started(code, NAME=value) -> stderr of a new process, with its own copy of the package."""
    package = Path(enhance_np.__file__).parent
    shutil.copytree(package, tmp_path / "enhance_np", ignore=shutil.ignore_patterns("__pycache__"))
    elsewhere = "NUMBA_CACHE_DIR", "PYTHONPATH"
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}

    def start(code, **variables):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
            env=environment | variables,
        )  # fmt: skip
        assert done.stdout.strip() == "[[0.0, 2.0]]"
        return done.stderr

    return start


def test_without_a_place_for_the_cache_it_compiles_and_says_so(started):
    for _ in range(2):
        said = started(READ_ONLY + CODE)
        assert said.count("compiling at every start") == 1
        assert said.count("compiling once for this processor") == 1


def test_only_the_first_start_compiles_and_says_so_once(started):
    assert started(CODE).count("compiling once for this processor") == 1
    assert started(CODE) == ""


def test_after_a_change_in_a_compiled_file_alone_it_compiles_again(started, tmp_path):
    """The machine code may contain an intrinsic of another file."""
    package = tmp_path / "enhance_np" / "engine" / "cpu"
    started(CODE)
    for name, compiles in (("vector", True), ("memory", False), ("vocabulary", False)):
        with (package / f"{name}.py").open("a") as file:
            file.write("# changed\n")
        assert ("compiling once for this processor" in started(CODE)) == compiles
        assert started(CODE) == ""


def test_every_file_that_machine_code_is_made_of_is_known():
    """jit.COMPILED has every module that compiles, and every module here that one of them
    imports."""
    package = Path(jit.__file__).parent
    trees = {p.stem: ast.parse(p.read_text()) for p in package.glob("*.py")}

    def siblings(tree):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                names = [node.module] if node.module else [a.name for a in node.names]
                yield from (name for name in names if name in trees)

    compiles = {
        name
        for name, tree in trees.items()
        if any(
            isinstance(n, ast.ImportFrom) and (n.module or "").startswith("numba")
            for n in ast.walk(tree)
        )
        or "jit" in siblings(tree)
    }
    assert compiles | {s for name in compiles for s in siblings(trees[name])} == {*jit.COMPILED}


def test_vectors_of_another_width_are_compiled_anew(started):
    """Machine code of one vector width with the tiles of another would write out of bounds."""
    for lanes in ("4", "8", "4"):
        assert "compiling once for this processor" in started(CODE, ENHANCE_NP_LANES=lanes)
    assert started(CODE, ENHANCE_NP_LANES="4") == ""
