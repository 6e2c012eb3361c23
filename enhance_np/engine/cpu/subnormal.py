"""Makes the processor treat subnormal numbers as zero while kernels run.

A float32 below its smallest normal number, 1.2e-38, is called subnormal. Weight decay drives
kernels that the data do not need into that range, and Adam's moments decay into it when gradients
become zero. Intel's processors handle each operation on such a number outside their fast path,
which takes over a hundred cycles instead of half a cycle: a network with a third of its weights
subnormal predicts 60 times slower there. AMD's Zen handles them at full speed.

Bits of the floating-point control register change that. On x86 (MXCSR), FTZ makes subnormal results
zero, and DAZ makes subnormal operands count as zero. On ARM (FPCR), FZ does both. The register
belongs to a thread, so every thread of the engine sets it for its own piece of work and then
restores it. On other processors nothing is done.

Sources: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, section 10.2.3;
Arm Architecture Reference Manual for A-profile, FPCR.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ... import _threads
from .jit import jit

PROCESSOR = llvm.get_process_triple().split("-")[0]
FLUSH = {
    "x86_64": 1 << 15 | 1 << 6,  # FTZ, DAZ
    "aarch64": 1 << 24,  # FZ
    "arm64": 1 << 24,
}.get(PROCESSOR, 0)


def _call(builder, name, result, *arguments):
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


@intrinsic
def _read(typingctx):
    def codegen(context, builder, signature, args):
        word = ir.IntType(64)
        if PROCESSOR == "x86_64":
            slot = cgutils.alloca_once(builder, ir.IntType(32))
            pointer = builder.bitcast(slot, ir.IntType(8).as_pointer())
            _call(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), pointer)
            return builder.zext(builder.load(slot), word)
        if FLUSH:
            return _call(builder, "llvm.aarch64.get.fpcr", word)
        return word(0)

    return types.int64(), codegen


@intrinsic
def _write(typingctx, word):
    def codegen(context, builder, signature, args):
        (word,) = args
        if PROCESSOR == "x86_64":
            slot = cgutils.alloca_once(builder, ir.IntType(32))
            builder.store(builder.trunc(word, ir.IntType(32)), slot)
            pointer = builder.bitcast(slot, ir.IntType(8).as_pointer())
            _call(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), pointer)
        elif FLUSH:
            _call(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), word)
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@jit()
def control() -> int:
    """The control register of this thread; 0 on an unknown processor."""
    return _read()


@jit()
def _change(mask, bits):
    """Sets the bits of mask to those of `bits`, and returns their old values."""
    before = _read()
    _write((before & ~mask) | bits)
    return before & mask


@contextmanager
def flushed() -> Iterator[None]:
    """In this context, this thread treats subnormal numbers as zero."""
    before = _change(FLUSH, FLUSH)
    try:
        yield
    finally:
        _change(FLUSH, before)


def parallel(task: Callable, pieces: Iterable) -> list:
    """_threads.parallel, with subnormal numbers treated as zero in every thread."""
    return _threads.parallel(task, pieces, flushed)
