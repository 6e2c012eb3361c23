"""The reasons why a GPU cannot be used are told apart, with a stub of the driver's library."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cudaproof import device, emulator

from enhance_np import engine
from enhance_np.engine import gpu

ROOT = Path(engine.__file__).parents[2]
STUB = Path(device.__file__).with_name("stub_driver.c")
ASK = """
import sys
from enhance_np.engine.gpu import probe
print(probe())
print(sorted({"cupy", "numba"} & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    """The folder of a libcuda.so.1 whose answers come from environment variables."""
    if sys.platform != "linux" or shutil.which("gcc") is None:
        pytest.skip("the stub of the driver needs Linux and gcc")
    library = tmp_path_factory.mktemp("stub") / "libcuda.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wall", "-o", library, STUB], check=True)
    return library.parent


@pytest.fixture
def python(stub):
    """Runs Python with the stub. site : folder of packages to use instead of the installed ones."""

    def run(*arguments, site=None, version=12090, init=0, devices=1):
        answers = {"STUB_VERSION": version, "STUB_INIT": init, "STUB_DEVICES": devices}
        path = [ROOT, *([site] if site else [])]
        return subprocess.run(
            [sys.executable, *(["-S"] if site else []), *map(str, arguments)],
            capture_output=True,
            text=True,
            env=os.environ
            | {name: str(value) for name, value in answers.items()}
            | {"LD_LIBRARY_PATH": str(stub), "PYTHONPATH": os.pathsep.join(map(str, path))},
        )

    return run


@pytest.fixture
def installed_without(tmp_path):
    """A folder with all installed packages except those whose names begin with `name`."""

    def made(name):
        for package in Path(np.__file__).parents[1].iterdir():
            if not package.name.startswith(name):
                (tmp_path / package.name).symlink_to(package)
        return tmp_path

    return made


@pytest.fixture
def cupy():
    if find_spec("cupy") is None:
        pytest.skip("needs CuPy, without a GPU")


def asked(done):
    """(the reason, which of cupy and numba were imported)."""
    assert done.returncode == 0, done.stderr
    reason, imported = done.stdout.splitlines()
    return reason, imported


DRIVERS = [
    ({"version": 11040}, "too old, for CUDA 11.4: install one for CUDA 12.0 or later"),
    ({"version": 11040, "init": 100}, "too old, for CUDA 11.4"),
    ({"init": 100}, "finds no device: run nvidia-smi, and check whether CUDA_VISIBLE_DEVICES"),
    ({"devices": 0}, "finds no device"),
    ({"init": 803}, "have different versions: restart"),
    ({"init": 34}, "toolkit's stub: remove its folder from LD_LIBRARY_PATH"),
    ({"init": 999}, "does not start (CUDA error 999): run nvidia-smi"),
]


@pytest.mark.parametrize(("answers", "reason"), DRIVERS, ids=str)
def test_the_driver_is_at_fault(python, answers, reason):
    """CuPy, installed or not, is not imported to find this out."""
    said, imported = asked(python("-c", ASK, **answers))
    assert reason in said
    assert imported == "[]"


def test_a_library_that_is_no_driver(tmp_path, stub):
    shutil.copy(stub / "libcuda.so.1", tmp_path / "real")
    empty = tmp_path / "empty.c"
    empty.write_text("int nothing;\n")
    subprocess.run(["gcc", "-shared", "-o", tmp_path / "libcuda.so.1", empty], check=True)
    env = os.environ | {"LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, env=env)
    assert "is not that of the NVIDIA driver" in asked(done)[0]


def test_no_cupy(python, installed_without):
    said, imported = asked(python("-c", ASK, site=installed_without("cupy")))
    assert said == 'CuPy is not installed: pip install "enhance_np[gpu]"'
    assert imported == "[]"


def test_cupy_that_cannot_be_imported(python, installed_without):
    site = installed_without("cupy")
    (site / "cupy.py").write_text("raise ImportError('libfoo.so is missing')")
    said, _ = asked(python("-c", ASK, site=site))
    assert said.startswith("CuPy cannot be imported (libfoo.so is missing): pip install ")


def test_no_nvrtc(python, installed_without, cupy):
    """`pip install cupy-cuda12x` alone brings no NVRTC; without a CUDA toolkit CuPy finds none."""
    site = installed_without("nvidia")
    found = "import cupy; print(cupy.cuda.nvrtc.getVersion())"
    if python("-c", found, site=site).returncode == 0:
        pytest.skip("there is an NVRTC outside of Python's packages")
    said, _ = asked(python("-c", ASK, site=site))
    assert said.endswith("is not installed: pip install nvidia-cuda-nvrtc-cu12")


def test_a_device_that_does_not_work(python, cupy):
    if find_spec("nvidia") is None or find_spec("nvidia.cuda_nvrtc") is None:
        pytest.skip("needs nvidia-cuda-nvrtc-cu12")
    said, imported = asked(python("-c", ASK))
    assert said.startswith("CuPy cannot use the GPU (cudaErrorNotSupported")
    assert imported == "['cupy']"  # no engine yet, which would import numba


@pytest.fixture
def on_the_stand_in(monkeypatch):
    if (reason := emulator.missing()) is not None:
        pytest.skip(reason)
    monkeypatch.setitem(sys.modules, "cupy", device)
    monkeypatch.setattr(gpu, "find_spec", lambda name: name == "cupy")
    nvrtc = SimpleNamespace(getVersion=lambda: (12, 9))
    monkeypatch.setattr(device.cuda, "nvrtc", nvrtc, raising=False)


@pytest.mark.usefixtures("on_the_stand_in")
def test_a_kernel_that_is_right():
    with device.running("trace") as launched:
        assert gpu.cupy_fault() is None
    assert [launch.kernel for launch in launched] == ["squares"]


@pytest.mark.usefixtures("on_the_stand_in")
def test_a_kernel_that_is_wrong(monkeypatch):
    monkeypatch.setattr(gpu, "KERNEL", gpu.KERNEL.replace("threadIdx.x * ", ""))
    assert "wrong result" in gpu.cupy_fault()


@pytest.mark.usefixtures("on_the_stand_in")
def test_no_headers(monkeypatch):
    """CuPy's own kernels need CUDA's headers, ours do not. The error is NVRTC's, passed on by
    CuPy."""

    def add(self, other):
        raise RuntimeError(
            "NVRTC_ERROR_COMPILATION\ninclude/cupy/float16.cuh(19): catastrophic error: "
            'cannot open source file "cuda_fp16.h"'
        )

    monkeypatch.setattr(device.ndarray, "__add__", add)
    assert gpu.cupy_fault() == (
        "CUDA's headers, for CuPy's own kernels, are not installed: "
        "pip install nvidia-cuda-runtime-cu12==12.9.*"
    )


@pytest.mark.parametrize(
    ("runtime", "part", "version", "package"),
    [
        (12090, "nvrtc", None, "nvidia-cuda-nvrtc-cu12"),
        (12090, "runtime", "12.9", "nvidia-cuda-runtime-cu12==12.9.*"),
        (13000, "nvrtc", None, "nvidia-cuda-nvrtc==13.*"),
        (13000, "runtime", "13.0", "nvidia-cuda-runtime==13.0.*"),
    ],
)
def test_the_packages_of_the_installed_cupy(runtime, part, version, package):
    """cupy-cuda13x needs those of CUDA 13, whose names have no number."""
    of = SimpleNamespace(runtimeGetVersion=lambda: runtime)
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=of))
    assert gpu._package(cupy, part, version) == package


def without_driver():
    gpu._driver.cache_clear()
    if gpu.has_driver():
        pytest.skip("there is a driver here")


def test_no_driver():
    without_driver()
    assert gpu.driver_fault().startswith("no NVIDIA driver is installed (")
    assert gpu.driver_fault().endswith("): install one, or use the CPU")


def test_without_a_driver_cupy_is_not_imported():
    """Importing CuPy takes a second, and the missing driver is found without it."""
    without_driver()
    code = "import sys; from enhance_np.engine import gpu; gpu.probe(); print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "enhance_np.engine.gpu" in modules
    assert "cupy" not in modules


def test_asked_once(monkeypatch):
    times = []
    monkeypatch.setattr(gpu, "driver_fault", lambda: times.append(1) or "at fault")
    gpu.probe.cache_clear()
    try:
        assert gpu.probe() == gpu.probe() == "at fault"
    finally:
        gpu.probe.cache_clear()
    assert len(times) == 1


PREDICT = """
import logging, sys
import numpy as np
import enhance_np
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
enhance_np.predict(np.ones((8, 8)), device=sys.argv[1])
print(sorted({"cupy", "enhance_np.engine.gpu", "enhance_np.engine.cuda"} & set(sys.modules)))
"""


def test_the_cpu_asks_for_nothing(python):
    done = python("-c", PREDICT, "cpu")
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_auto_says_why_it_is_the_cpu(python):
    done = python("-c", PREDICT, "auto", init=100)
    said, *_, imported = done.stdout.splitlines()  # lines between may say that kernels are compiled
    assert said.startswith("on the CPU: the NVIDIA driver finds no device: ")
    assert imported == "['enhance_np.engine.gpu']"


def test_the_gpu_is_refused_in_one_line(python, tmp_path):
    # before any file is read
    done = python(
        "-m", "enhance_np", "demo", "--output", tmp_path / "demo", "--device", "gpu", version=11040
    )
    assert done.returncode == 1
    said = "enhance-np demo: device: gpu must be usable, but the NVIDIA driver is too old, "
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
