"""The matrix product of a micro-tile, held in registers: vector instructions for numba.

Plain numba loops reach only a third of the machine's speed for a matrix product, because LLVM
keeps the accumulators in memory. Here the accumulators are `rows` x `vectors` registers of LANES
floats. Each is used in every step of the inner loop and stored once at its end.
"""

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import jit
from .vector import FLAT, INDEX, LANES, VECTOR, Emitter, constant


def _microtile(rows: int, vectors: int, fresh: bool = False):
    """Intrinsic: y[r, :] += sum over t, k of a[r, t, k] * b[t, k, :] for one micro-tile of y.

    It has `rows` rows of vectors * LANES floats; with `fresh` it is set and not added to.
    Operands are flat float32 arrays with a start and strides in floats, so that the same
    micro-tile serves for
      direct convolution:  rows = pixels,    t = kernel rows, k = (kernel column, channel in)
      Winograd:            rows = Winograd tiles,     t = one,         k = channel in
      dW:                  rows = (column, channel in), t = one, k = pixels or Winograd tiles
    """

    @intrinsic
    def microtile(typingctx, y, y0, y_r, a, a0, a_r, a_t, a_k, b, b0, b_t, b_k, nt, nk):
        signature = types.void(
            FLAT, INDEX, INDEX, FLAT, INDEX, INDEX, INDEX, INDEX, FLAT, INDEX, INDEX, INDEX,
            INDEX, INDEX,
        )  # fmt: skip

        def codegen(context, builder, signature, args):
            y, y0, y_r, a, a0, a_r, a_t, a_k, b, b0, b_t, b_k, nt, nk = args
            emit = Emitter(context, builder)
            y, a, b = emit.at(y, y0), emit.at(a, a0), emit.at(b, b0)
            y_row = [emit.at(y, builder.mul(y_r, y_r.type(r))) for r in range(rows)]
            a_row = [emit.at(a, builder.mul(a_r, a_r.type(r))) for r in range(rows)]
            # LLVM turns these stack slots into registers, as they are only loaded and stored whole
            slot = [[cgutils.alloca_once(builder, VECTOR) for _ in range(vectors)] for _ in y_row]
            for r in range(rows):
                for v in range(vectors):
                    start = constant(0) if fresh else emit.load(y_row[r], v)
                    builder.store(start, slot[r][v])
            with cgutils.for_range(builder, nt) as over_t:
                at_t, bt_t = builder.mul(over_t.index, a_t), builder.mul(over_t.index, b_t)
                with cgutils.for_range(builder, nk) as over_k:
                    at_k = builder.add(at_t, builder.mul(over_k.index, a_k))
                    b_line = emit.at(b, bt_t, builder.mul(over_k.index, b_k))
                    b_now = [emit.load(b_line, v) for v in range(vectors)]
                    for r in range(rows):
                        one = emit.splat(emit.at(a_row[r], at_k))
                        for v in range(vectors):
                            sums = emit.multiply_add(one, b_now[v], builder.load(slot[r][v]))
                            builder.store(sums, slot[r][v])
            for r in range(rows):
                for v in range(vectors):
                    emit.store(builder.load(slot[r][v]), y_row[r], v)
            return context.get_dummy_value()

        return signature, codegen

    return microtile


# (rows, vectors): enough accumulators to hide the latency of a multiply-add, but few
# enough that addresses stay in registers too (12 x 2 was slower than 8 x 2)
_add_6x4, _add_1x4 = _microtile(6, 4), _microtile(1, 4)  # with the 32 registers of AVX-512
_add_8x2, _add_6x2, _add_1x2 = _microtile(8, 2), _microtile(6, 2), _microtile(1, 2)
_add_8x1, _add_1x1 = _microtile(8, 1), _microtile(1, 1)
_fresh_6x4, _fresh_6x2 = _microtile(6, 4, fresh=True), _microtile(6, 2, fresh=True)
_fresh_8x2, _fresh_8x1 = _microtile(8, 2, fresh=True), _microtile(8, 1, fresh=True)
SHAPES = ((6, 4), (8, 2), (8, 1)) if LANES == 16 else ((6, 2), (8, 1))


def shape(cout: int) -> tuple[int, int]:
    """(rows, vectors) of the micro-tile for `cout` channels; (0, 0) if no vector width divides it.

    The few_* kernels below are for the latter case.
    """
    for rows, vectors in SHAPES:
        if cout % (vectors * LANES) == 0:
            return rows, vectors
    return 0, 0


def gradient_shape(cin: int, cout: int) -> tuple[int, int]:
    """(rows, vectors) for a (Cin, Cout) gradient; its rows divide Cin if possible."""
    for rows, vectors in SHAPES:
        if cin % rows == 0 and cout % (vectors * LANES) == 0:
            return rows, vectors
    return shape(cout)


@jit()
def product(rows, vectors, count, y, y0, y_r, a, a0, a_r, a_t, a_k, b, b0, b_t, b_k, nt, nk):
    """y[r, :] += sum over t, k of a[r, t, k] * b[t, k, :] for r < count, in micro-tiles of `rows`.

    Whole micro-tiles and single rows add in the same order, so the bits of a row do not depend on
    where its micro-tile begins in the image.
    """
    r = 0
    while r + rows <= count:
        y_at, a_at = y0 + r * y_r, a0 + r * a_r
        if vectors == 4:
            _add_6x4(y, y_at, y_r, a, a_at, a_r, a_t, a_k, b, b0, b_t, b_k, nt, nk)
        elif vectors == 1:
            _add_8x1(y, y_at, y_r, a, a_at, a_r, a_t, a_k, b, b0, b_t, b_k, nt, nk)
        elif rows == 8:
            _add_8x2(y, y_at, y_r, a, a_at, a_r, a_t, a_k, b, b0, b_t, b_k, nt, nk)
        else:
            _add_6x2(y, y_at, y_r, a, a_at, a_r, a_t, a_k, b, b0, b_t, b_k, nt, nk)
        r += rows
    while r < count:
        y_at, a_at = y0 + r * y_r, a0 + r * a_r
        if vectors == 4:
            _add_1x4(y, y_at, y_r, a, a_at, a_r, a_t, a_k, b, b0, b_t, b_k, nt, nk)
        elif vectors == 2:
            _add_1x2(y, y_at, y_r, a, a_at, a_r, a_t, a_k, b, b0, b_t, b_k, nt, nk)
        else:
            _add_1x1(y, y_at, y_r, a, a_at, a_r, a_t, a_k, b, b0, b_t, b_k, nt, nk)
        r += 1


@jit()
def plane_products(rows, vectors, alive, fresh, count, y, y0, y_p, a, a0, a_p, b, b0, nk, width):
    """y[p, r, :] = (+= unless fresh) sum over k of a[p, r, k] * b[p, k, :] for p with alive[p].

    y : (P, count, width) with y_p floats from plane to plane.  a : (P, count, nk) likewise.
    b : (P, nk, width).  count is a multiple of `rows`. y may be the same array as a if a micro-tile
    has whole rows, because it is read before it is written.
    """
    block = vectors * LANES
    for p in range(len(alive)):
        if not alive[p]:
            continue
        for o in range(0, width, block):
            y_at, a_at, b_at = y0 + p * y_p + o, a0 + p * a_p, b0 + p * nk * width + o
            if not fresh:
                product(
                    rows, vectors, count, y, y_at, width, a, a_at, nk, 0, 1,
                    b, b_at, 0, width, 1, nk,
                )  # fmt: skip
                continue
            for _ in range(0, count, rows):
                if vectors == 4:
                    _fresh_6x4(y, y_at, width, a, a_at, nk, 0, 1, b, b_at, 0, width, 1, nk)
                elif vectors == 1:
                    _fresh_8x1(y, y_at, width, a, a_at, nk, 0, 1, b, b_at, 0, width, 1, nk)
                elif rows == 8:
                    _fresh_8x2(y, y_at, width, a, a_at, nk, 0, 1, b, b_at, 0, width, 1, nk)
                else:
                    _fresh_6x2(y, y_at, width, a, a_at, nk, 0, 1, b, b_at, 0, width, 1, nk)
                y_at += rows * width
                a_at += rows * nk


@jit()
def conv_lines(x, w, y, shape, x_at, y_at, rows, vectors, first, last):
    """y += convolution of x with w, for output lines first <= n * H + i < last.

    x, w, y : flat float32 arrays.  x_at, y_at : start and strides (image, line, pixel) in floats,
    so that padded or interleaved arrays need no copy.
    shape : (H, W, kh, kw, Cin, Cout) with H, W of the output.
    """
    h, wd, kh, kw, cin, cout = shape
    block = vectors * LANES
    for line in range(first, last):
        n, i = line // h, line % h
        x0 = x_at[0] + n * x_at[1] + i * x_at[2]
        y0 = y_at[0] + n * y_at[1] + i * y_at[2]
        for o in range(0, cout, block):
            product(
                rows, vectors, wd, y, y0 + o, y_at[3],
                x, x0, x_at[3], x_at[2], 1,
                w, o, kw * cin * cout, cout, kh, kw * cin,
            )  # fmt: skip


@jit()
def kernel_gradient(x, dy, dw, shape, x_at, dy_at, rows, vectors, n):
    """dw += the gradient in the kernel from image n of the batch, in float32.

    x : padded input, dy : gradient in the output, flat with strides as in conv_lines;
    dw : flat (kh, kw, Cin, Cout);  shape : (H, W, kh, kw, Cin, Cout).
    """
    h, wd, kh, kw, cin, cout = shape
    block = vectors * LANES
    for i in range(h):
        dy0 = dy_at[0] + n * dy_at[1] + i * dy_at[2]
        for s in range(kh):
            x0 = x_at[0] + n * x_at[1] + (i + s) * x_at[2]
            for o in range(0, cout, block):
                product(
                    rows, vectors, kw * cin, dw, s * kw * cin * cout + o, cout,
                    x, x0, 1, 0, x_at[3],
                    dy, dy0 + o, 0, dy_at[3], 1, wd,
                )  # fmt: skip


@jit(fastmath={"reassoc", "contract"})
def few_conv_lines(x, w, y, shape, x_at, y_at, first, last):
    """conv_lines for numbers of channels that no micro-tile divides, such as 1 in the head.

    w : flat (Cout, kh, kw, Cin), so that each output is a dot product over contiguous runs.
    The rest as in conv_lines. Every pixel is summed vector by vector in the same order.
    """
    h, wd, kh, kw, cin, cout = shape
    run = np.uint64(kw * cin)  # unsigned: an index that may be negative does not vectorise
    for line in range(first, last):
        n, i = line // h, line % h
        for j in range(wd):
            x0 = x_at[0] + n * x_at[1] + i * x_at[2] + j * x_at[3]
            y0 = y_at[0] + n * y_at[1] + i * y_at[2] + j * y_at[3]
            for o in range(cout):
                total = np.float32(0)
                for t in range(kh):
                    at, w0 = np.uint64(x0 + t * x_at[2]), np.uint64((o * kh + t) * kw * cin)
                    for k in range(run):
                        total += x[at + k] * w[w0 + k]
                y[y0 + o] += total


@jit()
def few_kernel_gradient(x, dy, dw, shape, x_at, dy_at, n):
    """kernel_gradient for the channels of few_conv_lines.  dw : flat (Cout, kh, kw, Cin)."""
    h, wd, kh, kw, cin, cout = shape
    run = np.uint64(kw * cin)
    for i in range(h):
        for j in range(wd):
            x0 = x_at[0] + n * x_at[1] + i * x_at[2] + j * x_at[3]
            dy0 = dy_at[0] + n * dy_at[1] + i * dy_at[2] + j * dy_at[3]
            for o in range(cout):
                d = dy[dy0 + o]
                for t in range(kh):
                    at, w0 = np.uint64(x0 + t * x_at[2]), np.uint64((o * kh + t) * kw * cin)
                    for k in range(run):
                        dw[w0 + k] += d * x[at + k]
