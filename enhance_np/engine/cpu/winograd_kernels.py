"""Winograd's convolution compiled: transforms in vector registers, blocks of tiles in L2.

The steps of `transforms` for BLOCK tiles at a time:

  input      V[p, t, :] = B^T d B of tile t,  p over the 36 places,  gathered at a border
  products   M[p] = V[p] @ U[p],              microkernel.plane_products
  output     y of tile t = A^T M A, + bias, then ReLU or the sum with what y holds

so that V and M never leave the cache. Two index arrays give the places of lines and columns of an
input. They can express reflection, repetition, zeros (-1) and rings of lines.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

from . import elementwise, microkernel
from .jit import jit
from .transforms import A_T, B_T, G, M, N, R
from .vector import FLAT, INDEX, LANES, LINE, Emitter, prefetch

PLANES = N * N
BLOCK = 24  # tiles; V of 64 channels is 221 KB and U is 590 KB, which fit into 1 MB of L2
GRADIENT_BLOCK = 12  # tiles; dU, also 590 KB, is read and written for every block
PAD = 16  # floats between planes; strides of a power of two would use the same cache sets
BIAS, RELU, ELU, ADD = range(4)  # epilogues


def _transform(matrix, epilogue=""):
    """Intrinsic: y <- matrix x matrix^T for blocks of vectors, one vector of channels.

    x[i, j] is stored at x0 + i * x_line + j * x_pixel, and y likewise.
    epilogue : "" stores the result r. The others use a vector of biases at b[b0]: "bias" stores
    r + b, "relu" max(r + b, 0), and "add" r + b + y.
    """

    def codegen(context, builder, signature, args):
        x, x0, x_line, x_pixel, y, y0, y_line, y_pixel, b, b0 = args
        emit = Emitter(context, builder)
        x, y = emit.at(x, x0), emit.at(y, y0)

        def place(array, line, pixel, i, j):
            return emit.at(
                array, builder.mul(line, line.type(i)), builder.mul(pixel, pixel.type(j))
            )

        size = range(len(matrix[0]))
        block = [[emit.load(place(x, x_line, x_pixel, i, j)) for j in size] for i in size]
        bias = emit.load(emit.at(b, b0)) if epilogue else None
        for i, row in enumerate(emit.sandwich(matrix, block)):
            for j, value in enumerate(row):
                at = place(y, y_line, y_pixel, i, j)
                if epilogue:
                    value = builder.fadd(value, bias)
                if epilogue == "relu":
                    value = emit.relu(value)
                elif epilogue == "add":
                    value = builder.fadd(value, emit.load(at))
                emit.store(value, at)
        return context.get_dummy_value()

    @intrinsic
    def transform(typingctx, x, x0, x_line, x_pixel, y, y0, y_line, y_pixel, b, b0):
        four = FLAT, INDEX, INDEX, INDEX
        return types.void(*four, *four, FLAT, INDEX), codegen

    return transform


def _transposed(matrix):
    return tuple(zip(*matrix, strict=True))


_input = _transform(B_T)
_output_bias, _output_relu, _output_add = (_transform(A_T, e) for e in ("bias", "relu", "add"))
_kernel = _transform(G)
_output_gradient = _transform(_transposed(A_T))
_kernel_gradient = _transform(_transposed(G))


@jit()
def kernel_planes(w, u, cin, cout):
    """U = G g G^T.  w : flat (3, 3, Cin, Cout);  u : flat (36, Cin, Cout)."""
    pairs = cin * cout
    for k in range(0, pairs, LANES):
        _kernel(w, k, R * pairs, pairs, u, k, N * pairs, pairs, w, 0)


@jit()
def kernel_gradient(du, dw, cin, cout):
    """dw = G^T dU G, the adjoint of kernel_planes."""
    pairs = cin * cout
    for k in range(0, pairs, LANES):
        _kernel_gradient(du, k, N * pairs, pairs, dw, k, R * pairs, pairs, du, 0)


def work_size(cin: int, cout: int) -> int:
    """Number of floats of working memory for conv_tiles and gradient_tiles."""
    return PLANES * (BLOCK * (cin + cout) + 2 * PAD + max(cin, cout))


@jit()
def conv_tiles(
    x, x_at, lines, columns, u, alive, b, y, y_at, y_lines, head, shape, microtile, epilogue,
    work, first, last,
):  # fmt: skip
    """y <- epilogue of the convolution of x with U, for tiles first <= t < last.

    x, u, b, y, work : flat float32.  x_at, y_at : start and strides (image, line, pixel) in floats.
    lines, columns : entry [i + k] is the place in x of row i - 1 + k, in the window of output row
    i, for i a multiple of 4 and k < 6; -1 means zeros. Output row i is line i % y_lines of y.
    shape : (H, W, Cin, Cout) with H, W of the output.  microtile : microkernel.shape(Cout).
    Tiles are numbered over (image, row, column). A tile that crosses the edge writes only its
    pixels inside.

    alive : (I, O, 36), which planes of U (I * O, 36, Cin, Cout) are not zero. I = O = 1 is a
    plain convolution. With O = 4, y is the four phases of an image of twice the size, each with
    its own U (fold.phases). I = 4 is the adjoint: x is the large image.
    head : a 1x1 kernel (Cout,) and its bias; if given, it is applied to the result to give y.
    """
    h, w, cin, cout = shape
    rows, vectors = microtile
    phases_in, phases_out, _ = alive.shape
    x_step, y_step = (2 if phases_in > 1 else 1), (2 if phases_out > 1 else 1)
    x_line, x_pixel, y_line, y_pixel = (
        x_at[2] * x_step, x_at[3] * x_step, y_at[2] * y_step, y_at[3] * y_step,
    )  # fmt: skip
    v_plane, m_plane = BLOCK * cin + PAD, BLOCK * cout + PAD
    in_place = vectors * LANES == cout and cin == cout and phases_in == phases_out == 1
    m0 = 0 if in_place else PLANES * v_plane
    patch = PLANES * (v_plane + m_plane)
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        full = (count + rows - 1) // rows * rows
        for phase in range(phases_in * phases_out):
            x0 = x_at[0] + phase // 2 * x_at[2] + phase % 2 * x_at[3] if phases_in > 1 else x_at[0]
            if phases_in > 1 or phase == 0:
                for t in range(count):
                    _see(
                        x, x0, x_at[1], x_line, x_pixel, lines, columns, h, w, cin, start + t,
                        work, patch, t * cin, v_plane,
                    )  # fmt: skip
                for t in range(start + BLOCK, min(start + BLOCK + count, last)):
                    _ask_tile(x, x0, x_at[1], x_line, x_pixel, lines, columns, h, w, cin, t, N)
            living = alive[phase % phases_in, phase // phases_in]
            if not in_place and phase % phases_in == 0:
                for p in range(PLANES):
                    if phases_in > 1 or not living[p]:
                        _clear(work, m0 + p * m_plane, m_plane)
            microkernel.plane_products(
                rows, vectors, living, phases_in == 1, full, work, m0, m_plane,
                work, 0, v_plane, u, phase * PLANES * cin * cout, cin, cout,
            )  # fmt: skip
            if phase % phases_in < phases_in - 1:
                continue
            y0 = y_at[0]
            if phases_out > 1:
                y0 += phase // 2 * y_at[2] + phase % 2 * y_at[3]
            for t in range(count):
                n, i, j = _place(start + t, h, w)
                to = y0 + n * y_at[1] + i % y_lines * y_line + j * y_pixel
                high, wide, m_at = min(M, h - i), min(M, w - j), m0 + t * cout
                if len(head):
                    _output(work, m_at, m_plane, work, patch, M * cout, cout, b, cout, epilogue)
                    for r in range(high):
                        for s in range(wide):
                            at = patch + (r * M + s) * cout
                            y[to + r * y_line + s * y_pixel] = head[cout] + _dot(
                                work, at, head, cout
                            )
                elif high == M and wide == M:
                    _output(work, m_at, m_plane, y, to, y_line, y_pixel, b, cout, epilogue)
                else:
                    if epilogue == ADD:
                        _copy(y, to, y_line, y_pixel, work, patch, M * cout, cout, high, wide, cout)
                    _output(work, m_at, m_plane, work, patch, M * cout, cout, b, cout, epilogue)
                    _copy(work, patch, M * cout, cout, y, to, y_line, y_pixel, high, wide, cout)


@jit()
def gradient_tiles(
    x, x_at, lines, columns, dy, dy_at, dy_lines, dy_columns, du, alive, shape, microtile,
    work, first, last,
):  # fmt: skip
    """du += the gradient in U from tiles first <= t < last.

    x, lines, columns, shape, alive : as in conv_tiles, for one phase.  dy : flat.
    dy_lines, dy_columns : places in dy, (4 ceil(H / 4),) and (4 ceil(W / 4),); -1 means zeros.
    du : flat (36, Cin, Cout).  microtile : (rows, vectors) of a micro-tile of du.
    """
    h, w, cin, cout = shape
    rows, vectors = microtile
    v_plane, m_plane = GRADIENT_BLOCK * cin + PAD, GRADIENT_BLOCK * cout + PAD
    m0 = PLANES * v_plane
    patch = PLANES * (v_plane + m_plane)
    for start in range(first, last, GRADIENT_BLOCK):
        count = min(GRADIENT_BLOCK, last - start)
        for t in range(count):
            _see(
                x, x_at[0], x_at[1], x_at[2], x_at[3], lines, columns, h, w, cin, start + t,
                work, patch, t * cin, v_plane,
            )  # fmt: skip
            n, i, j = _place(start + t, h, w)
            source, s0 = dy, dy_at[0] + n * dy_at[1] + i * dy_at[2] + j * dy_at[3]
            s_line, s_pixel = dy_at[2], dy_at[3]
            if dy_lines[i + M - 1] < 0 or dy_columns[j + M - 1] < 0:
                image = dy_at[0] + n * dy_at[1]
                _gather(
                    dy, image, s_line, s_pixel, dy_lines, dy_columns, i, j, M, work, patch, cout
                )
                source, s0, s_line, s_pixel = work, patch, M * cout, cout
            for c in range(0, cout, LANES):
                _output_gradient(
                    source, s0 + c, s_line, s_pixel,
                    work, m0 + t * cout + c, N * m_plane, m_plane, work, 0,
                )  # fmt: skip
        for t in range(start + GRADIENT_BLOCK, min(start + GRADIENT_BLOCK + count, last)):
            _ask_tile(x, x_at[0], x_at[1], x_at[2], x_at[3], lines, columns, h, w, cin, t, N)
            _ask_tile(
                dy, dy_at[0], dy_at[1], dy_at[2], dy_at[3], dy_lines, dy_columns, h, w, cout, t, M
            )
        for p in range(PLANES):
            if alive[p]:
                for o in range(0, cout, vectors * LANES):
                    microkernel.product(
                        rows, vectors, cin, du, p * cin * cout + o, cout,
                        work, p * v_plane, 1, 0, cin,
                        work, m0 + p * m_plane + o, 0, cout, 1, count,
                    )  # fmt: skip


@jit(fastmath={"reassoc", "contract"})
def _dot(x, x0, y, count):
    """Sum of x[x0 + k] * y[k], vector by vector."""
    x0, total = np.uint64(x0), np.float32(0)
    for k in range(np.uint64(count)):  # unsigned: an index that may be negative does not vectorise
        total += x[x0 + k] * y[k]
    return total


@jit()
def _place(tile, h, w):
    """(image, first row, first column) of a tile."""
    across = (w + M - 1) // M
    n, rest = divmod(tile, (h + M - 1) // M * across)
    return n, rest // across * M, rest % across * M


@jit()
def _ask_tile(x, x0, x_image, x_line, x_pixel, lines, columns, h, w, channels, tile, size):
    """Prefetches the lines of a tile that is needed soon, while the products leave memory idle.

    The processor's own prefetching follows a line but does not predict the next lines. At a border,
    where columns are at other places, some of the prefetched data may not be used.
    """
    n, i, j = _place(tile, h, w)
    for k in range(size):
        if lines[i + k] >= 0 and columns[j] >= 0:
            at = x0 + n * x_image + lines[i + k] * x_line + columns[j] * x_pixel
            for s in range(size):
                for c in range(0, channels, LINE):
                    prefetch(x, at + s * x_pixel + c)


@jit()
def _see(
    x, x0, x_image, x_line, x_pixel, lines, columns, h, w, channels, tile, work, patch, v0, v_plane
):
    """work[v0 ...] = B^T d B of one tile, all its channels."""
    n, i, j = _place(tile, h, w)
    together = lines[i] >= 0 and columns[j] >= 0
    for k in range(N - 1):
        together &= lines[i + k] + 1 == lines[i + k + 1]
        together &= columns[j + k] + 1 == columns[j + k + 1]
    image = x0 + n * x_image
    if together:
        source, s0 = x, image + lines[i] * x_line + columns[j] * x_pixel
        s_line, s_pixel = x_line, x_pixel
    else:
        _gather(x, image, x_line, x_pixel, lines, columns, i, j, N, work, patch, channels)
        source, s0, s_line, s_pixel = work, patch, N * channels, channels
    for c in range(0, channels, LANES):
        _input(source, s0 + c, s_line, s_pixel, work, v0 + c, N * v_plane, v_plane, work, 0)


@jit()
def _output(m, m0, m_plane, y, y0, line, pixel, b, channels, epilogue):
    """y = epilogue of A^T M A of one tile, all its channels."""
    for c in range(0, channels, LANES):
        if epilogue == RELU:
            _output_relu(m, m0 + c, N * m_plane, m_plane, y, y0 + c, line, pixel, b, c)
        elif epilogue == ADD:
            _output_add(m, m0 + c, N * m_plane, m_plane, y, y0 + c, line, pixel, b, c)
        else:
            _output_bias(m, m0 + c, N * m_plane, m_plane, y, y0 + c, line, pixel, b, c)
    if epilogue == ELU:
        for r in range(M):
            for s in range(M):
                elementwise.elu(y, y0 + r * line + s * pixel, channels)


@jit()
def _gather(x, image, line, pixel, lines, columns, i, j, size, work, patch, channels):
    """patch[r, s] = x at (lines[i + r], columns[j + s]), or zeros if one of them is -1."""
    for r in range(size):
        for s in range(size):
            to = patch + (r * size + s) * channels
            if lines[i + r] < 0 or columns[j + s] < 0:
                _clear(work, to, channels)
            else:
                _move(x, image + lines[i + r] * line + columns[j + s] * pixel, work, to, channels)


@jit()
def _copy(x, x0, x_line, x_pixel, y, y0, y_line, y_pixel, high, wide, channels):
    for i in range(high):
        for j in range(wide):
            at, to = x0 + i * x_line + j * x_pixel, y0 + i * y_line + j * y_pixel
            _move(x, at, y, to, channels)


@jit()
def _move(x, at, y, to, count):
    """y[to : to + count] = x[at : at + count]; making slices would take longer than the copy."""
    at, to = np.uint64(at), np.uint64(to)
    for k in range(np.uint64(count)):
        y[to + k] = x[at + k]


@jit()
def _clear(y, to, count):
    to = np.uint64(to)
    for k in range(np.uint64(count)):
        y[to + k] = 0
