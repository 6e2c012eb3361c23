"""Vector instructions for numba: generates unrolled code for products with small exact matrices.

Plain numba loops over a 6x6 block are not vectorised. Here one vector has LANES channels of one
pixel, and the product of a matrix with vectors is unrolled into additions and multiply-adds. The
code of a Winograd transform is generated from its matrix (transforms.matrices).
"""

import os

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

FLAT = types.Array(types.float32, 1, "C")  # operands: a flat array and int64 offsets in floats
INDEX = types.int64
LINE = 16  # floats of a cache line


def _lanes() -> int:
    """Number of floats in the widest vector register of this processor.

    It is 16 (AVX-512), 8 (AVX) or 4 (SSE, NEON). ENHANCE_NP_LANES sets another number, to test the
    code of other processors; LLVM splits a vector that is too wide into several instructions.
    """
    if wanted := os.environ.get("ENHANCE_NP_LANES"):
        if wanted not in ("4", "8", "16"):
            raise ValueError(f"ENHANCE_NP_LANES must be 4, 8 or 16, got {wanted!r}")
        return int(wanted)
    features = llvm.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx") else 4


LANES = _lanes()
VECTOR = ir.VectorType(ir.FloatType(), LANES)


@intrinsic
def prefetch(typingctx, x, at):
    """Prefetches the cache line of x.flat[at] into L2; x is float32 and contiguous.

    The place may be beyond the end of x, because nothing is read.
    """

    def codegen(context, builder, signature, args):
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        pointer = builder.bitcast(builder.gep(data, [args[1]]), byte)
        to_read, into_l2, cache_of_data = number(0), number(2), number(1)
        builder.call(ask, [pointer, to_read, into_l2, cache_of_data])
        return context.get_dummy_value()

    return types.void(x, INDEX), codegen


def constant(value) -> ir.Constant:
    """A vector with the same number in every lane, rounded once from the exact value."""
    return ir.Constant(VECTOR, [float(value)] * LANES)


class Emitter:
    """Writes vector instructions at the builder's position."""

    def __init__(self, context, builder):
        self.context, self.builder = context, builder
        self._fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fmuladd.v{LANES}f32"
        )

    def at(self, array, *offsets):
        """Pointer to array[sum of offsets]."""
        if isinstance(array.type, ir.PointerType):
            pointer = array
        else:
            pointer = self.context.make_array(FLAT)(self.context, self.builder, array).data
        for offset in offsets:
            pointer = self.builder.gep(pointer, [offset])
        return pointer

    def load(self, pointer, vector=0):
        """The vector number `vector`, counted from pointer; no alignment is assumed."""
        return self.builder.load(self._vector(pointer, vector), align=4)

    def store(self, value, pointer, vector=0):
        self.builder.store(value, self._vector(pointer, vector), align=4)

    def _vector(self, pointer, vector):
        pointer = self.builder.gep(pointer, [ir.Constant(ir.IntType(64), vector * LANES)])
        return self.builder.bitcast(pointer, VECTOR.as_pointer())

    def splat(self, pointer):
        """A vector with the float at pointer in every lane."""
        undefined = ir.Constant(VECTOR, ir.Undefined)
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        one = self.builder.insert_element(undefined, self.builder.load(pointer), ir.IntType(32)(0))
        return self.builder.shuffle_vector(one, undefined, lanes)

    def multiply_add(self, a, b, c):
        """a * b + c, in one instruction if the processor has one."""
        return self.builder.call(self._fma, [a, b, c])

    def relu(self, x):
        """max(x, 0); NaN stays NaN."""
        zero = constant(0)
        return self.builder.select(self.builder.fcmp_ordered("<", x, zero), zero, x)

    def combine(self, matrix, xs):
        """[sum over j of matrix[i][j] * xs[j] for each row i].

        Matrices of interpolation have points in pairs p, -p. Two columns that differ in the sign
        of every odd row then share a sum and a difference. Two rows that differ in the sign of
        every odd column share their even and odd parts. Both properties are used where possible,
        and halve the work.
        """
        even, odd, columns = [], [], []
        j, wide = 0, list(zip(*matrix, strict=True))
        while j < len(xs):
            x = xs[j]
            if j + 1 < len(xs) and wide[j + 1] == _alternate(wide[j]):
                even.append(self.builder.fadd(x, xs[j + 1]))
                odd.append(self.builder.fsub(x, xs[j + 1]))
                columns.append(wide[j])
                j += 2
            else:
                even.append(x)
                odd.append(x)
                columns.append(wide[j])
                j += 1
        rows = list(zip(*columns, strict=True))
        if len(columns) < len(xs):
            return [self._dot(row, odd if i % 2 else even) for i, row in enumerate(rows)]
        ys, i = [], 0
        while i < len(rows):
            if i + 1 < len(rows) and rows[i + 1] == _alternate(rows[i]):
                e = self._dot(rows[i][::2], xs[::2])
                o = self._dot(rows[i][1::2], xs[1::2])
                ys += [self.builder.fadd(e, o), self.builder.fsub(e, o)]
                i += 2
            else:
                ys.append(self._dot(rows[i], xs))
                i += 1
        return ys

    def _dot(self, coefficients, xs):
        terms = [(c, x) for c, x in zip(coefficients, xs, strict=True) if c]
        terms.sort(
            key=lambda term: term[0] != 1
        )  # starting with a coefficient of 1 saves a product
        total = None
        for c, x in terms:
            if total is None:
                total = x if c == 1 else self.builder.fmul(constant(c), x)
            elif abs(c) == 1:
                add = self.builder.fadd if c == 1 else self.builder.fsub
                total = add(total, x)
            else:
                total = self.multiply_add(constant(c), x, total)
        return total

    def sandwich(self, matrix, block):
        """matrix @ block @ matrix.T for a square block of vectors, as lists of rows."""
        columns = [self.combine(matrix, column) for column in zip(*block, strict=True)]
        return [self.combine(matrix, row) for row in zip(*columns, strict=True)]


def _alternate(numbers):
    return tuple(-number if i % 2 else number for i, number in enumerate(numbers))
