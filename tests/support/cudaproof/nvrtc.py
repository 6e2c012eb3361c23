"""Compiles CUDA C++ as CuPy does, with NVRTC through ctypes: neither driver nor GPU is needed.

`pip install nvidia-cuda-nvrtc-cu12` is enough for a source that includes no header.
"""

import ctypes
import re
import site
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

# compute capabilities of V100, T4, A100, RTX 30, RTX 40, H100, B200, RTX 50
ARCHS = 70, 75, 80, 86, 89, 90, 100, 120
# options that CuPy adds for a RawModule (cupy.cuda.compiler); the caller sets -std
CUPY = ("--device-as-default-execution-space", "-ftz=true")


class Error(RuntimeError):
    """The messages of NVRTC for a source that it cannot compile."""


class Resources(NamedTuple):
    """The report of ptxas on one kernel."""

    registers: int  # per thread
    spilled: int  # bytes stored to local memory and loaded back
    stack: int  # bytes of local memory
    shared: int  # bytes of static shared memory per block


class Compiled(NamedTuple):
    cubin: bytes
    ptx: str
    log: str
    resources: dict[str, Resources]  # by kernel


def missing() -> str | None:
    """None, or why nothing can be compiled here."""
    return None if _library_path() else "needs NVRTC: pip install nvidia-cuda-nvrtc-cu12"


@cache
def compile(text: str, arch: int = 80, options: tuple[str, ...] = ("--std=c++17",)) -> Compiled:
    """Compiles the source `text` for compute capability arch (80 is 8.0), with CuPy's own options.

    Raises Error with the compiler's log.
    """
    nvrtc = _library()
    program = ctypes.c_void_p()
    _call("nvrtcCreateProgram", ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None)
    try:
        flags = [*options, *CUPY, f"-arch=sm_{arch}", "--ptxas-options=-v"]
        table = (ctypes.c_char_p * len(flags))(*(f.encode() for f in flags))
        failed = nvrtc.nvrtcCompileProgram(program, len(flags), table)
        log = _output(program, "ProgramLog").decode().rstrip("\0")
        if failed:
            raise Error(f"{nvrtc.nvrtcGetErrorString(failed).decode()}\n{log}")
        ptx = _output(program, "PTX").decode().rstrip("\0")
        return Compiled(_output(program, "CUBIN"), ptx, log, _resources(log))
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def version() -> tuple[int, int]:
    """The version of NVRTC, such as (12, 9)."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def _resources(log):
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        name = part[: part.index("'")]

        def number(pattern, part=part):
            match = re.search(pattern, part)
            return int(match[1]) if match else 0

        spilled = number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads")
        found[name] = Resources(
            number(r"Used (\d+) registers"),
            spilled,
            number(r"(\d+) bytes stack frame"),
            number(r"(\d+) bytes smem"),
        )
    return found


def _output(program, kind):
    size = ctypes.c_size_t()
    _call(f"nvrtcGet{kind}Size", program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    _call(f"nvrtcGet{kind}", program, buffer)
    return buffer.raw


def _call(function, *arguments):
    status = getattr(_library(), function)(*arguments)
    if status:
        raise Error(f"{function}: {_library().nvrtcGetErrorString(status).decode()}")


@cache
def _library():
    if (reason := missing()) is not None:
        raise Error(reason)
    library = ctypes.CDLL(str(_library_path()))
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    return library


@cache
def _library_path() -> Path | None:
    for folder in dict.fromkeys([*sys.path, *site.getsitepackages()]):
        for found in sorted(Path(folder or ".").glob("nvidia/cuda_nvrtc/lib/libnvrtc.so.1?")):
            return found
    return None
