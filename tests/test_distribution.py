"""The source distribution is complete, and the wheel that is built from it works."""

import os
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import enhance_np

CHECKOUT = Path(__file__).parents[1]
TEXT = (CHECKOUT / "kernels/reflect_pad.cu").read_text(encoding="utf-8")
# files that builds, tests, users and git leave in a checkout
LEFT = ("__pycache__", "*.pyc", "*.egg-info", ".*_cache", ".git", ".tox", ".venv", "build", "dist")
LEFT += ("demo", "runs", "_build", "jupyter_execute")
BUILT = ("PKG-INFO", "setup.cfg")
COMPILED = (".pyc", ".nbi", ".nbc")


@pytest.fixture
def checkout(tmp_path):
    """A copy of the checkout, so that nothing is built in the original."""
    copy = tmp_path / "checkout"
    shutil.copytree(CHECKOUT, copy, ignore=shutil.ignore_patterns(*LEFT))
    return copy


def build(what, source, into):
    """The file that setuptools builds from the folder `source`, called as by pip and build."""
    try:
        setuptools = version("setuptools")
    except PackageNotFoundError:
        pytest.skip("needs setuptools")
    if int(setuptools.split(".")[0]) < 77:
        pytest.skip(f"needs setuptools >= 77, as pyproject.toml does, got {setuptools}")
    code = f"from setuptools import build_meta; build_meta.build_{what}({str(into)!r})"
    into.mkdir()
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (built,) = into.iterdir()
    return built


def source_from(folder):
    """The result of `_kernels.source` if the package is imported from `folder`."""
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


def files(folder):
    """Names of the files below the folder, without those that running or building makes."""
    found = (p for p in folder.rglob("*") if p.is_file() and p.suffix not in COMPILED)
    names = (str(p.relative_to(folder)) for p in found)
    return {name for name in names if ".egg-info/" not in name and ".dist-info/" not in name}


def test_plain_checkout(checkout):
    assert source_from(checkout) == TEXT


def test_source_distribution_and_its_wheel(checkout, tmp_path):
    wanted = files(checkout)
    sdist = build("sdist", checkout, tmp_path / "sdist")
    assert sdist.name == f"enhance_np-{enhance_np.__version__}.tar.gz"
    with tarfile.open(sdist) as archive:
        # Python 3.11.4 and later have filters; from 3.14 on this one is the default
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(tmp_path, **safely)
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
    assert files(unpacked) - set(BUILT) == wanted

    wheel = build("wheel", unpacked, tmp_path / "wheel")
    site = tmp_path / "site"
    shutil.unpack_archive(wheel, site, "zip")
    assert source_from(site) == TEXT
    package = {f"enhance_np/{name}" for name in files(CHECKOUT / "enhance_np")}
    package |= {f"enhance_np/kernels/{name}" for name in files(CHECKOUT / "kernels")}
    assert files(site) == package
    assert (site / "enhance_np/py.typed").exists()
