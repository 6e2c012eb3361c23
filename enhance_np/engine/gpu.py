"""Tests whether a GPU can be used; if not, gives one line with the reason and the remedy.

The tests are in order of dependence: driver, device, CuPy, NVRTC, a kernel's result, headers. CuPy
is imported only if a driver reports a device.
"""

import ctypes
import sys
from functools import cache
from importlib.util import find_spec

from .._errors import one_line

# oldest version of cuDriverGetVersion: CUDA 12.0, for cupy-cuda12x
OLDEST_DRIVER = 12000
# values of CUresult in cuda.h
NO_DEVICE, OTHER_MODULE, TOOLKIT_STUB = 100, 803, 34

KERNEL = (
    'extern "C" __global__ void squares(int* y) { y[threadIdx.x] = threadIdx.x * threadIdx.x; }'
)
THREADS = 64


@cache
def probe() -> str | None:
    """None if CuPy can run a kernel here, else the reason and the remedy in one line.

    The test runs once per process. Without a driver it takes a small part of a millisecond.
    """
    return driver_fault() or cupy_fault()


def has_driver() -> bool:
    """Whether an NVIDIA driver is installed."""
    return not isinstance(_driver(), OSError)


def driver_fault() -> str | None:
    """Why the NVIDIA driver cannot be used, None if it can. CuPy is not imported."""
    driver = _driver()
    if isinstance(driver, OSError):
        return f"no NVIDIA driver is installed ({one_line(driver)}): install one, or use the CPU"
    version, devices = ctypes.c_int(), ctypes.c_int()
    try:
        if driver.cuDriverGetVersion(ctypes.byref(version)):
            return "the NVIDIA driver does not give its version: reinstall it"
        if version.value < OLDEST_DRIVER:
            return (
                f"the NVIDIA driver is too old, for CUDA {_dotted(version.value)}: "
                f"install one for CUDA {_dotted(OLDEST_DRIVER)} or later (version 525 or later)"
            )
        error = driver.cuInit(0)
        if error == 0:
            error = driver.cuDeviceGetCount(ctypes.byref(devices))
    except AttributeError as error:
        return f"libcuda is not that of the NVIDIA driver ({one_line(error)}): reinstall the driver"
    if error == NO_DEVICE or (error == 0 and devices.value < 1):
        return (
            "the NVIDIA driver finds no device: run nvidia-smi, and check whether "
            "CUDA_VISIBLE_DEVICES hides it"
        )
    if error == OTHER_MODULE:
        return "the NVIDIA driver's library and kernel module have different versions: restart"
    if error == TOOLKIT_STUB:
        return "libcuda is the CUDA toolkit's stub: remove its folder from LD_LIBRARY_PATH"
    if error:
        return f"the NVIDIA driver does not start (CUDA error {error}): run nvidia-smi, or restart"
    return None


def cupy_fault() -> str | None:
    """Why CuPy cannot run a kernel, None if it can. Needs a driver, and imports CuPy."""
    if find_spec("cupy") is None:
        return 'CuPy is not installed: pip install "enhance_np[gpu]"'
    try:
        import cupy
    except Exception as error:
        return f'CuPy cannot be imported ({one_line(error)}): pip install "enhance_np[gpu]"'
    try:
        major, minor = cupy.cuda.nvrtc.getVersion()
    except Exception:  # CuPy has its own types of errors, and loads the library only now
        return f"NVRTC, CuPy's compiler, is not installed: pip install {_package(cupy, 'nvrtc')}"
    try:
        y = cupy.zeros(THREADS, cupy.int32)
        cupy.RawModule(code=KERNEL).get_function("squares")((1,), (THREADS,), (y,))
        y = y + y  # a kernel of CuPy's own, which includes headers
        right = cupy.asnumpy(y).tolist() == [2 * i * i for i in range(THREADS)]
    except Exception as error:
        if "cannot open source file" in str(error):
            headers = _package(cupy, "runtime", f"{major}.{minor}")
            return (
                f"CUDA's headers, for CuPy's own kernels, are not installed: pip install {headers}"
            )
        return f"CuPy cannot use the GPU ({one_line(error)}): run nvidia-smi and cupy.show_config()"
    if not right:
        return "a test kernel gave a wrong result: reinstall the driver and CuPy"
    return None


def _package(cupy, part, version=None):
    """The requirement for a part of CUDA, of the CUDA that the installed CuPy is made for.

    Up to CUDA 12, the names of NVIDIA's packages end in -cu12.
    """
    try:
        major = cupy.cuda.runtime.runtimeGetVersion() // 1000
    except Exception:  # CuPy's own types of errors: its CUDA cannot be asked
        major = 12
    name = f"nvidia-cuda-{part}" + (f"-cu{major}" if major <= 12 else "")
    version = version or ("" if major <= 12 else str(major))
    return f"{name}=={version}.*" if version else name


@cache
def _driver():
    """The driver's library, or the error of loading it."""
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError as error:
        return error


def _dotted(version):
    return f"{version // 1000}.{version % 1000 // 10}"
