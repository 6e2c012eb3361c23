"""Whether a GPU can be used, and if not, why: said before anything is tried on it."""

import ctypes
import sys
from importlib.util import find_spec


def probe() -> str | None:
    """None if CuPy can run a kernel here, else the reason and the remedy in one line.

    The driver library is looked for first: without one nothing of CuPy is imported.
    """
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "no NVIDIA driver is installed (libcuda not found): install one, or use the CPU"
    if find_spec("cupy") is None:
        return 'CuPy is not installed: pip install "enhance_np[gpu]"'
    try:
        import cupy

        if cupy.cuda.runtime.getDeviceCount() == 0:
            return "the NVIDIA driver finds no device"
        if float(cupy.arange(3, dtype=cupy.float32).sum()) != 3:
            return "a test kernel gave a wrong result: check the driver and CuPy versions"
    except Exception as error:  # CuPy raises its own types, which need CuPy to be named
        return f"CuPy cannot use the GPU: {' '.join(str(error).split()) or type(error).__name__}"
    return None
