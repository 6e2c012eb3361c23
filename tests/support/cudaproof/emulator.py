"""Runs unmodified CUDA kernels on the CPU: barriers, any schedule, checked memory.

    kernels = emulator.load(text, "trace")
    kernels["saxpy"](grid, block, x, y, np.int32(n), np.float32(a), schedule="shuffled")

g++ compiles the source (shim.h defines CUDA's keywords), and runtime.cpp runs it: one fiber per
thread, shared memory that is NaN at the start of every block, arrays between fences. Modes:

    fast    few checks: the fences detect writes slightly outside an array
    trace   each access is checked, see tracer.h: bounds, alignment, initialisation, races, const
    ubsan, asan   UndefinedBehaviorSanitizer, AddressSanitizer, in a separate process

A fault raises Fault, with the line of the source. Schedules: forward, reverse, shuffled. Numbers
below 2^-126 count as 0, as with CuPy's option -ftz=true.

Not detected are faults of the hardware and its assembler, weak memory ordering, blocks that wait
for each other, the true error of approximate instructions, and time. Texture and half
instructions are not supported, and inline assembly only as far as `instructions` goes. Needs g++
with its libraries, on x86-64 Linux.
"""

import ctypes
import getpass
import hashlib
import os
import platform
import re
import shutil
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import instructions

HERE = Path(__file__).parent
OWN = "shim.h", "ampere.h", "runtime.cpp", "tracer.h", "ampere_runtime.h"
CACHE = Path(tempfile.gettempdir()) / f"cudaproof-{getpass.getuser()}"
SCHEDULES = "forward", "reverse", "shuffled"
FENCE = 1 << 16  # bytes of NaN before and after each array
ALIGNMENT = 512  # of the first byte of an array, as with CuPy

# equal code is not merged, so that two barriers stay two places
COMMON = (
    "-std=c++17 -fPIC -g -fvisibility=hidden -fno-gnu-unique -fno-strict-aliasing -mavx2 -mfma "
    "-fno-aggressive-loop-optimizations -fno-crossjumping -fno-tree-tail-merge "
    "-fno-code-hoisting -Wall -Wno-unused -Wno-attributes -Wno-unknown-pragmas "
    "-Wno-maybe-uninitialized -Wno-uninitialized"
).split()
MODES = {
    "fast": ["-O2", "-ftrivial-auto-var-init=pattern"],
    "trace": ["-O1", "-fsanitize=thread", "-fno-tree-sra", "-DEMU_TRACE"],
    "ubsan": ["-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all", "-DEMU_MAIN"],
    "asan": [
        "-O1",
        "-fsanitize=address",
        "-fsanitize-sections=cu_shared",
        "-fno-omit-frame-pointer",
        "-DEMU_MAIN",
    ],
}
TYPES = {
    **{"?": np.bool_, "f": np.float32, "d": np.float64},
    **{"b": np.int8, "h": np.int16, "i": np.int32, "q": np.int64},
    **{"B": np.uint8, "H": np.uint16, "I": np.uint32, "Q": np.uint64},
}


class Fault(RuntimeError):
    """A fault of a kernel, found in its run."""


class Parameter(NamedTuple):
    pointer: bool
    dtype: np.dtype | None  # of the number or of the pointer's target; None for structures
    const: bool  # a pointer to data that may only be read

    def __str__(self):
        return f"{'const ' * self.const}{self.dtype}{'*' * self.pointer}"


class Line(NamedTuple):
    """The memory accesses of one line of the source, in the recorded blocks."""

    line: str  # kernel.cu:12
    shared: bool  # or global memory
    write: bool
    instructions: int  # executed by warps
    wavefronts: int  # cycles that shared memory needs
    least: int  # the same without bank conflicts
    joined: int  # wavefronts if loads whose lanes are pairs take half as many, see tracer.h
    sectors: int  # of 32 bytes of global memory
    bytes: int


def missing() -> str | None:
    """None, or why nothing can be emulated here."""
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        return "the emulator needs Linux on x86-64"
    return None if shutil.which("g++") else "the emulator needs g++"


@cache
def load(text: str, mode: str = "fast", options: tuple[str, ...] = (), contract: bool = True):
    """{name: Kernel} of the kernels in the source `text`, in one of MODES.

    options : for g++, such as -DNAME=value.
    contract : whether a * b + c may become one fused operation, as NVRTC's --fmad.
    Raises Fault with the messages of g++ if it cannot compile the source.
    """
    flags = [*MODES[mode], *options, f"-ffp-contract={'fast' if contract else 'off'}"]
    binary = _built(text, mode, flags)
    names = kernel_names(text)
    if mode in ("ubsan", "asan"):
        # the signature comes from the fast mode, because the program only runs
        plain = load(text, "fast", options, contract)
        return {n: Kernel(n, i, mode, binary, plain[n].parameters) for i, n in enumerate(names)}
    library = ctypes.CDLL(str(binary))
    for function in ("emu_name", "emu_parameters", "emu_faults", "emu_traffic"):
        if hasattr(library, function):
            getattr(library, function).restype = ctypes.c_char_p
    library.emu_launch.restype = library.emu_static_shared.restype = ctypes.c_long
    found = {}
    for i, name in enumerate(names):
        letters = library.emu_parameters(i).decode()
        parameters = tuple(map(_parameter, *[iter(letters)] * 3))
        found[name] = Kernel(name, i, mode, binary, parameters, library)
    return found


def kernel_names(text: str) -> list[str]:
    """The names of the kernels of a source, in order."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)
    bounds = r"(?:__launch_bounds__\s*\([^)]*\)\s*)?"
    return re.findall(rf"__global__\s+{bounds}void\s+{bounds}(\w+)\s*\(", text)


class Kernel:
    """One kernel of a loaded source; call it to launch it."""

    def __init__(self, name, number, mode, binary, parameters, library=None):
        self.name, self.mode, self.parameters = name, mode, parameters
        self._number, self._binary, self._library = number, binary, library

    def __call__(
        self,
        grid: int | tuple[int, ...],
        block: int | tuple[int, ...],
        *arguments,
        shared: int = 0,
        schedule: str = "forward",
        seed: int = 0,
        flush: bool = True,
        traffic: int = 0,
    ) -> None:
        """Launches the kernel on NumPy arrays, which are changed in place, and NumPy numbers.

        shared : bytes of dynamic shared memory.  seed : of the shuffled schedule.
        flush : count numbers below 2^-126 as 0.  traffic : number of blocks whose memory accesses
        are recorded for `lines` (trace mode).
        Raises TypeError for arguments that do not match the signature, ValueError for a launch that
        no GPU can do, Fault for a fault of the kernel.
        """
        grid, block = _three(grid), _three(block)
        self._check(grid, block, arguments, shared)
        numbers = [self._number, *grid, *block, shared, SCHEDULES.index(schedule), seed, flush]
        if self._library is None:
            _run_alone(self, numbers, arguments)
        else:
            self._run(numbers, arguments, traffic)

    def _check(self, grid, block, arguments, shared):
        threads = block[0] * block[1] * block[2]
        if min(grid) < 1 or min(block) < 1 or threads > 1024 or block[2] > 64:
            raise ValueError(f"{self.name}: cannot launch {grid} blocks of {block} threads")
        if not 0 <= shared <= 227 << 10:
            raise ValueError(f"{self.name}: no block has {shared} bytes of shared memory")
        if len(arguments) != len(self.parameters):
            raise TypeError(
                f"{self.name}: {len(arguments)} arguments for {len(self.parameters)} parameters"
            )
        for i, (value, wanted) in enumerate(zip(arguments, self.parameters, strict=True)):
            array = isinstance(value, np.ndarray)
            if array != wanted.pointer or getattr(value, "dtype", None) != wanted.dtype:
                kind = getattr(value, "dtype", type(value).__name__)
                raise TypeError(f"{self.name}: argument {i} is {kind}, must be {wanted}")
            if array and not value.flags.c_contiguous:
                raise TypeError(f"{self.name}: argument {i} must be in C order")

    def _run(self, numbers, arguments, traffic):
        library = self._library
        fenced = {}  # an array that is passed twice stays one array
        pointers, keep = [], []
        if self.mode == "trace":
            library.emu_clear_arrays()
        for i, (value, wanted) in enumerate(zip(arguments, self.parameters, strict=True)):
            if not wanted.pointer:
                keep.append(np.array(value))
                pointers.append(keep[-1].ctypes.data)
                continue
            place = value.ctypes.data, value.nbytes
            if place not in fenced:
                fenced[place] = _Fenced(value)
                if self.mode == "trace":
                    const = wanted.const and not any(
                        p.pointer and not p.const and a is value
                        for a, p in zip(arguments, self.parameters, strict=True)
                    )
                    library.emu_add_array(
                        ctypes.c_void_p(fenced[place].address),
                        ctypes.c_size_t(value.nbytes),
                        f"argument {i}".encode(),
                        int(const),
                        int(value.dtype == np.float32),
                    )
            keep.append(np.array(fenced[place].address, np.uint64))
            pointers.append(keep[-1].ctypes.data)
        kernel, *sizes, shared, schedule, seed, flush = numbers
        grid, block = ((ctypes.c_uint * 3)(*sizes[i : i + 3]) for i in (0, 3))
        table = (ctypes.c_void_p * len(pointers))(*pointers)
        at = ctypes.cast(table, ctypes.c_void_p)
        launch = _Launch(kernel, grid, block, shared, schedule, seed, flush, traffic, at)
        found = library.emu_launch(ctypes.byref(launch))
        text = self._with_lines(library.emu_faults().decode())
        if found:
            raise Fault(f"{self.name}: {found} faults\n{text}")
        for (_, _), copy in fenced.items():
            copy.give_back(self.name)

    def lines(self) -> list[Line]:
        """The memory accesses of each line in the last launch with `traffic`, in trace mode."""
        rows = [row.split() for row in self._library.emu_traffic().decode().splitlines()]
        found = _places(self._binary, [row[0] for row in rows])
        total = {}
        for place, shared, write, *counts in rows:
            key = found.get(place, place), bool(int(shared)), bool(int(write))
            total[key] = [a + int(b) for a, b in zip(total.get(key, [0] * 6), counts, strict=True)]
        return [Line(*key, *counts) for key, counts in sorted(total.items())]

    def _with_lines(self, text):
        found = _places(self._binary, re.findall(r"@(\+0x[0-9a-f]+)", text))
        return re.sub(r"@(\+0x[0-9a-f]+)", lambda m: "at " + found.get(m[1], m[1]), text)


class _Launch(ctypes.Structure):
    _fields_ = [
        ("kernel", ctypes.c_int),
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared", ctypes.c_long),
        ("schedule", ctypes.c_int),
        ("seed", ctypes.c_uint),
        ("flush", ctypes.c_int),
        ("traffic", ctypes.c_int),
        ("arguments", ctypes.c_void_p),
    ]


class _Fenced:
    """A copy of an array, aligned as by CuPy, with NaN before and after it."""

    def __init__(self, array):
        self.array = array
        self.raw = np.full(array.nbytes + 2 * FENCE + ALIGNMENT, 0xFF, np.uint8)
        self.first = FENCE + -(self.raw.ctypes.data + FENCE) % ALIGNMENT
        self.last = self.first + array.nbytes
        self.raw[self.first : self.last] = array.reshape(-1).view(np.uint8)
        self.address = self.raw.ctypes.data + self.first

    def give_back(self, name):
        if not ((self.raw[: self.first] == 0xFF).all() and (self.raw[self.last :] == 0xFF).all()):
            raise Fault(f"{name}: wrote outside an array of shape {self.array.shape}")
        if self.array.flags.writeable:
            self.array.reshape(-1).view(np.uint8)[...] = self.raw[self.first : self.last]


def _three(sizes):
    sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    return (*sizes, 1, 1)[:3]


def _parameter(letter, pointee, access):
    pointer = letter == "P"
    dtype = TYPES.get(pointee if pointer else letter)
    return Parameter(pointer, dtype and np.dtype(dtype), pointer and access == "c")


def _run_alone(kernel, numbers, arguments):
    """A launch in a separate process, because a sanitizer may end it."""
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder, "given"), Path(folder, "result")
        with open(given, "wb") as file:
            file.write(struct.pack("12i", *map(int, numbers), len(arguments)))
            for value in arguments:
                data = value.tobytes()
                file.write(struct.pack("2q", isinstance(value, np.ndarray), len(data)) + data)
        sanitizers = "detect_leaks=0:detect_stack_use_after_return=0"
        done = subprocess.run(
            [kernel._binary, given, result],
            capture_output=True,
            text=True,
            env={**os.environ, "ASAN_OPTIONS": sanitizers},
            check=False,
        )
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip(" =")]
            places = [line for line in said if "kernel.cu:" in line]
            raise Fault(f"{kernel.name}: {kernel.mode}\n" + "\n".join(said[:2] + places[:4]))
        data, at = result.read_bytes(), 0
        for value in arguments:
            if isinstance(value, np.ndarray):
                if value.flags.writeable:
                    flat = np.frombuffer(data, np.uint8, value.nbytes, at)
                    value.reshape(-1).view(np.uint8)[...] = flat
                at += value.nbytes


def _places(binary, offsets):
    """{offset in the library: "file:line"}"""
    offsets = sorted(set(offsets))
    if not offsets or shutil.which("addr2line") is None:
        return {}
    command = ["addr2line", "-e", binary, *[o.lstrip("+") for o in offsets]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [Path(line.split(" ")[0]).name for line in done.stdout.splitlines()]
    return dict(zip(offsets, lines, strict=True))


DYNAMIC = re.compile(
    r"\bextern\s+__shared__\s+(?:__align__\s*\(\s*\d+\s*\)\s*)?([\w:]+(?:\s+[\w:]+)*?)\s+(\w+)"
    r"\s*\[\s*\]\s*;"
)


def _built(text, mode, flags):
    """The library or program of a source, built once per content."""
    body = instructions.inlined(DYNAMIC.sub(r"EMU_DYNAMIC_SHARED(\1, \2);", text))
    names = kernel_names(text)
    table = ", ".join(f"EMU_KERNEL({name})" for name in names)
    unit = (
        f'#include "shim.h"\n#line 1 "kernel.cu"\n{body}\n#line 1 "table"\n'
        f'extern "C" {{\nextern const EmuKernel emu_kernels[] EMU_HIDDEN;\n'
        f"extern const int emu_kernel_count EMU_HIDDEN;\n"
        f"const EmuKernel emu_kernels[] = {{{table}}};\n"
        f"const int emu_kernel_count = {len(names)};\n}}\n"
    )
    own = "".join((HERE / name).read_text() for name in OWN)
    flags = [*COMMON, *flags, "-I", str(HERE)]
    runtime_flags = [f for f in flags if f != "-fsanitize=thread"]
    runtime = CACHE / f"runtime-{_hash(own, runtime_flags)}.o"
    alone = "-DEMU_MAIN" in flags
    binary = CACHE / f"{_hash(unit, own, flags)}{'' if alone else '.so'}"
    CACHE.mkdir(mode=0o700, exist_ok=True)
    if binary.exists():
        return binary
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        folder = Path(folder)
        if not runtime.exists():
            _compile([*runtime_flags, "-c", HERE / "runtime.cpp", "-o", folder / "runtime.o"])
            os.replace(folder / "runtime.o", runtime)
        (folder / "unit.cpp").write_text(unit)
        _compile([*flags, "-c", folder / "unit.cpp", "-o", folder / "unit.o"])
        sanitizer = [f for f in runtime_flags if f.startswith("-fsanitize=")]
        kind = [] if alone else ["-shared"]
        objects = [folder / "unit.o", runtime]
        _compile([*kind, *sanitizer, "-o", folder / "made", *objects, "-ldl"])
        os.replace(folder / "made", binary)
    return binary


def _hash(*what):
    return hashlib.sha256(repr(what).encode()).hexdigest()[:20]


def _compile(arguments):
    done = subprocess.run(["g++", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Fault(f"g++ cannot compile it:\n{done.stderr[:4000]}")
