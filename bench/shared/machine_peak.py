"""Measures the machine's peak: float32 multiply-adds per second, and bytes copied per second.

Arithmetic: every thread repeats x = x * a + a on ACCUMULATORS vectors that stay in registers and do
not depend on each other, so only the multiply-add units limit the speed. The vectors are written
out for LLVM, because it keeps arrays in loops in memory. A large matrix product of NumPy's BLAS
with as many threads is measured too; the larger of the two is the peak. Memory: every thread copies
its part of an array that is too large for the caches; each byte counts twice, once read and once
written.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

ACCUMULATORS = 12  # 2 units x 4 or 5 cycles of latency need 8 to 10; 16 registers hold 12 and a
STEPS = 20_000_000  # 0.1 s
MATRIX = 3072
COPIED = 2**28  # bytes, of each array


def lanes() -> int:
    """Floats in the widest vector register of this machine."""
    features = llvm.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx") else 4


@intrinsic
def _multiply_add(typingctx, steps, factor):
    """ACCUMULATORS vectors, `steps` times multiplied by factor and increased by it."""

    def codegen(context, builder, signature, args):
        steps, factor = args
        width = lanes()
        vector, position = ir.VectorType(ir.FloatType(), width), ir.IntType(32)
        undefined = ir.Constant(vector, ir.Undefined)
        first = ir.Constant(ir.VectorType(position, width), [0] * width)
        factors = builder.insert_element(undefined, factor, position(0))
        factors = builder.shuffle_vector(factors, undefined, first)
        kind = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{width}f32")
        # LLVM turns these stack slots into registers
        slots = [cgutils.alloca_once(builder, vector) for _ in range(ACCUMULATORS)]
        for k, slot in enumerate(slots):  # unlike each other, or they would become one
            builder.store(ir.Constant(vector, [float(k)] * width), slot)
        with cgutils.for_range(builder, steps):
            for slot in slots:
                builder.store(builder.call(fma, [builder.load(slot), factors, factors]), slot)
        total = builder.load(slots[0])
        for slot in slots[1:]:
            total = builder.fadd(total, builder.load(slot))
        return builder.extract_element(total, position(0))

    return types.float32(types.int64, types.float32), codegen


@njit(nogil=True)
def _work(steps, factor):
    return _multiply_add(steps, factor)


def multiply_adds(threads: int, rounds: int = 5) -> float:
    """FLOP/s of independent multiply-adds, two operations each, on `threads` threads."""
    half = np.float32(0.5)
    _work(1, half)
    flop = 2 * STEPS * ACCUMULATORS * lanes() * threads
    with ThreadPoolExecutor(threads) as pool:
        return flop / _best(
            lambda: list(pool.map(lambda _: _work(STEPS, half), range(threads))), rounds
        )


def matrix_product(rounds: int = 3) -> float:
    """FLOP/s of NumPy's sgemm with the threads of its BLAS."""
    a = np.random.default_rng(0).random((MATRIX, MATRIX), np.float32)
    y = np.empty_like(a)
    return 2 * MATRIX**3 / _best(lambda: np.dot(a, a, out=y), rounds)


def bandwidth(threads: int, rounds: int = 5) -> float:
    """Bytes per second read and written by a copy on `threads` threads."""
    x = np.ones(COPIED // 4, np.float32)
    y = np.empty_like(x)
    parts = list(zip(np.array_split(x, threads), np.array_split(y, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        return (
            2
            * COPIED
            / _best(lambda: list(pool.map(lambda part: np.copyto(part[1], part[0]), parts)), rounds)
        )


def measured(threads: int) -> dict[str, float]:
    """All three rates per second."""
    return {
        "multiply-adds": multiply_adds(threads),
        "matrix product": matrix_product(),
        "copy": bandwidth(threads),
    }


def highest(*found: dict[str, float]) -> dict[str, float]:
    """The largest of several measurements, with "flops", the larger of the first two rates."""
    best = {name: max(each[name] for each in found) for name in found[0]}
    return best | {"flops": max(best["multiply-adds"], best["matrix product"])}


def _best(call, rounds):
    """Seconds of the fastest call, because a peak is the speed without disturbance."""
    seconds = []
    call()
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
