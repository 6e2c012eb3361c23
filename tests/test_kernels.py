"""The CUDA text is found where the package runs from, and the engine that launches it is whole."""

import inspect
import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from enhance_np import layers
from enhance_np._kernels import source
from enhance_np.engine import cuda

CHECKOUT = Path(__file__).parents[1]
TEXT = (CHECKOUT / "kernels/reflect_pad.cu").read_text(encoding="utf-8")


@pytest.fixture
def checkout(tmp_path):
    """What a build needs of the checkout, copied so that nothing is built beside the sources."""
    copy = tmp_path / "checkout"
    for name in ("enhance_np", "kernels"):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, copy)
    return copy


def source_from(folder):
    """What `source` finds when the package is imported from `folder`."""
    code = "from enhance_np import _kernels as k; print(k.__file__, k.source('reflect_pad'))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    own = str(folder / "enhance_np/_kernels.py") + " "
    assert found.startswith(own)
    return found.removeprefix(own).removesuffix("\n")


def test_here():
    assert source("reflect_pad") == TEXT


def test_plain_checkout(checkout):
    assert source_from(checkout) == TEXT


def test_wheel(checkout, tmp_path):
    try:
        setuptools = version("setuptools")
    except PackageNotFoundError:
        pytest.skip("needs setuptools")
    if int(setuptools.split(".")[0]) < 77:
        pytest.skip(f"needs setuptools >= 77, as pyproject.toml does, got {setuptools}")
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", tmp_path, checkout]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    assert source_from(tmp_path / "site") == TEXT
    for type in ("intensity", "blos"):
        shipped = tmp_path / f"site/enhance_np/recipes/{type}.toml"
        assert shipped.read_text() == (CHECKOUT / f"enhance_np/recipes/{type}.toml").read_text()


def test_missing_text():
    with pytest.raises(FileNotFoundError, match=r"kernels: no_such\.cu must be in .* or "):
        source("no_such")


@pytest.mark.parametrize("name", layers.__all__)
def test_cuda_speaks_the_vocabulary(name):
    """The page may call any name, with the reference's arguments."""
    own, reference = (
        [(p.name, p.default) for p in inspect.signature(getattr(m, name)).parameters.values()]
        for m in (cuda, layers)
    )
    assert own == reference
