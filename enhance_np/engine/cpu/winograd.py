"""3x3 convolutions on CPU cores by Winograd, forward and backward, with upsampling folded in.

Arrays are float32, contiguous (N, H, W, C), with channels in whole vectors. The work is divided
into tasks by the sizes of the arrays only, so the bits of sums do not depend on the number of
threads.
"""

from typing import NamedTuple

import numpy as np

from ..._threads import cut, threads
from ..fold import phases, phases_backward
from . import elementwise, memory, microkernel, winograd_kernels
from .direct import flat, strides
from .subnormal import parallel
from .transforms import M, N
from .vector import LANES
from .winograd_kernels import BIAS, PLANES

TILES = 96, 1024  # fewest and most of a task; 1000 take 1 ms, and waking a thread takes 0.03 ms
TASKS = 4  # per thread, so that a thread that finishes early takes another
GRADIENT_TILES = 720  # of a task, because each task ends with a transform of its own dU
GRADIENT_TASKS = 8  # smallest number of tasks, so that all threads work in small batches too


def _alive() -> np.ndarray:
    """(4, 36): the planes of U that are not zero, by phase.

    fold.phases gives even rows the taps (a, b, 0) and odd rows (0, b, c). The first plane
    evaluates at the point 0, where a kernel is its first tap; the last at infinity, its last.
    """
    even, odd = np.ones((2, N), bool)
    even[-1] = odd[0] = False
    return np.stack([np.outer(a, b).reshape(-1) for a in (even, odd) for b in (even, odd)])


PLAIN = np.ones((1, 1, PLANES), bool)
UPSAMPLED = _alive()[None]  # one image in, four phases out
GATHERED = _alive()[::-1, None].copy()  # the adjoint: in turned kernels the planes are reversed
NO_HEAD = np.empty(0, np.float32)


def is_winograd(shape: tuple[int, ...]) -> bool:
    """Whether kernels of `shape` are done by Winograd: (3, 3, Cin, Cout), whole vectors."""
    return len(shape) == 4 and shape[:2] == (3, 3) and not any(c % LANES for c in shape[2:])


def turned(w: np.ndarray) -> np.ndarray:
    """The kernel of dX: w rotated by 180 degrees, with its channels exchanged."""
    return w[::-1, ::-1].transpose(0, 1, 3, 2)


class Planes(NamedTuple):
    """Kernels transformed for Winograd's tiles."""

    u: np.ndarray  # flat (phases, 36, Cin, Cout)
    alive: np.ndarray  # see winograd_kernels.conv_tiles
    cin: int
    cout: int


def planes(*kernels: np.ndarray, alive: np.ndarray = PLAIN) -> Planes:
    """U = G g G^T of each kernel (3, 3, Cin, Cout)."""
    *_, cin, cout = kernels[0].shape
    u = memory.empty((len(kernels), PLANES * cin * cout))
    for w, each in zip(kernels, u, strict=True):
        winograd_kernels.kernel_planes(flat(w), each, cin, cout)
    return Planes(u.reshape(-1), alive, cin, cout)


def window(size: int, before: int, edge: str, ring: int | None = None) -> np.ndarray:
    """Indices of the lines (or columns) of the input in the windows of Winograd's tiles.

    size : lines of the input.  before : lines outside the input in the window of output 0.
    edge : "reflect", "repeat" or "zero", the content of lines outside. Output i reads [i : i + 3].
    ring : number of lines in memory, if line r is stored at r % ring.
    """
    outputs = size + 2 * before - 2
    k = np.arange(-(-outputs // M) * M + N - M) - before
    inside = (k >= 0) & (k < size)
    if edge == "reflect":
        k = np.where(k >= size, 2 * (size - 1) - k, abs(k))
    k = k.clip(0, size - 1)  # also for lines that only outputs past the edge read
    if ring is not None:
        k %= ring
    return np.where(inside, k, -1) if edge == "zero" else k


def tiles(shape: tuple[int, ...]) -> int:
    """Number of tiles that cover (N, H, W, C)."""
    n, h, w, _ = shape
    return n * -(-h // M) * -(-w // M)


def conv_tiles(x, kernel, b, y, lines, columns, epilogue, spans, shape=None, head=NO_HEAD):
    """Tiles first <= t < last of y <- epilogue(x * kernel + b), for each of the spans.

    Runs on all threads.  spans : list of (first, last).  head : see winograd_kernels.conv_tiles.
    shape : (H, W) of the output, or of one of its phases, if y differs from it: a ring of lines,
    or the upsampled image.
    """
    size = winograd_kernels.work_size(kernel.cin, kernel.cout)
    shape = y.shape[1:3] if shape is None else shape

    def task(at):
        _run(x, kernel, b, y, lines, columns, epilogue, memory.scratch(size), at, shape, head)

    # tasks may depend on the number of threads, because a tile's bits do not depend on its task
    total = sum(last - first for first, last in spans)
    least, most = TILES
    most = min(max(-(-total // (TASKS * threads())), least), most)
    pieces = [(first + i, first + j) for first, last in spans for i, j in cut(last - first, most)]
    parallel(task, pieces)


def _run(x, kernel, b, y, lines, columns, epilogue, work, span, shape, head=NO_HEAD):
    """conv_tiles on this thread, in `work`."""
    u, alive, cin, cout = kernel
    winograd_kernels.conv_tiles(
        flat(x), strides(x), lines, columns, u, alive, b, y.reshape(-1), strides(y), y.shape[1],
        head, (*shape, cin, cout), microkernel.shape(cout), epilogue, work, *span,
    )  # fmt: skip


def conv(x, w, b, before, edge="zero"):
    """The convolution with w of x, padded by `before` lines and columns of `edge`, plus b."""
    n, h, wd, _ = x.shape
    grow = 2 * before - 2
    y = memory.empty((n, h + grow, wd + grow, w.shape[-1]))
    windows = window(h, before, edge), window(wd, before, edge)
    conv_tiles(x, planes(w), flat(b), y, *windows, BIAS, [(0, tiles(y.shape))])
    return y


def upsample_conv(x, w, b):
    """pad_conv of the upsampled x, without making the latter."""
    n, h, wd, _ = x.shape
    y = memory.empty((n, 2 * h, 2 * wd, w.shape[-1]))
    kernel = planes(*phases(w), alive=UPSAMPLED)
    windows = window(h, 1, "repeat"), window(wd, 1, "repeat")
    conv_tiles(x, kernel, flat(b), y, *windows, BIAS, [(0, tiles(x.shape))], (h, wd))
    return y


def conv_backward(dy, x, w, before, edge="zero"):
    """dx, dw, db of `conv`."""
    kernel = planes(turned(w))
    dx, (dw,), db = _backward(dy, x, kernel, before, edge)
    return dx, dw, db


def upsample_conv_backward(dy, x, w):
    """dx, dw, db of `upsample_conv`."""
    kernel = planes(*map(turned, phases(w)), alive=GATHERED)
    dx, dws, db = _backward(dy, x, kernel, 1, "repeat")
    return dx, phases_backward(dws), db


def _backward(dy, x, kernel, before, edge):
    """(dx, the gradient in the kernel of each phase, db).

    kernel : the planes of the turned kernels, from dy to x.

    A task has some images. It computes dX of each with its padding added back, and then its part
    of dU, while both are in the cache. dU is summed in float32 within a task, dW in float64 over
    tasks.
    """
    n, h, w, cin = x.shape
    cout = dy.shape[-1]
    count = len(kernel.alive)
    step = 2 if count > 1 else 1
    height, width = dy.shape[1] // step, dy.shape[2] // step
    windows = window(height, 2, "zero"), window(width, 2, "zero")
    seen = window(h, before, edge), window(w, before, edge), _filled(height), _filled(width)
    frame = 0 if edge == "zero" else before
    framed = (1, h + 2 * frame, w + 2 * frame, cin)
    shape, microtile = (height, width, cin, cout), microkernel.gradient_shape(cin, cout)
    dx, none = memory.empty(x.shape), np.zeros(cin, np.float32)
    alive = PLAIN[0] if count == 1 else UPSAMPLED[0]
    sizes = winograd_kernels.work_size(cin, cout), int(np.prod(framed)), PLANES * cin * cout
    ends = np.cumsum(sizes)
    x_at, (_, image, line, pixel) = strides(x), strides(dy)
    flat_x, flat_dy = flat(x), flat(dy)

    def task(images):
        work, dx_framed, du = np.split(memory.scratch(ends[-1]), ends[:-1])
        for i in range(*images):
            out = dx_framed.reshape(framed) if frame else dx[i : i + 1]
            _run(
                dy[i : i + 1], kernel, none, out, *windows, BIAS, work, (0, tiles(framed)),
                framed[1:3],
            )  # fmt: skip
            if edge == "repeat":
                elementwise.repeated_border_backward(out[0], dx[i])
            elif edge == "reflect":
                elementwise.reflection_pad_backward(out[0], frame, dx[i])
        per_image = tiles((1, height, width, 1))
        dws = np.empty((count, 9 * cin * cout), np.float32)
        for phase in range(count):
            du[:] = 0
            dy_at = phase // 2 * line + phase % 2 * pixel, image, line * step, pixel * step
            winograd_kernels.gradient_tiles(
                flat_x, x_at, seen[0], seen[1], flat_dy, dy_at, seen[2], seen[3],
                du, alive[phase], shape, microtile,
                work, images[0] * per_image, images[1] * per_image,
            )  # fmt: skip
            winograd_kernels.kernel_gradient(du, dws[phase], cin, cout)
        return dws, elementwise.channel_sums(dy[slice(*images)].reshape(-1, cout))

    group = min(round(GRADIENT_TILES / tiles((1, height, width, 1))), n // GRADIENT_TASKS)
    group = max(1, group)
    found = zip(*parallel(task, cut(n, group)), strict=True)
    dws, db = (np.sum(parts, axis=0, dtype="f8").astype("f4") for parts in found)
    return dx, dws.reshape(count, 3, 3, cin, cout), db


def _filled(size):
    """Indices of the lines of dy for whole tiles: -1 after the last line."""
    k = np.arange(-(-size // M) * M)
    return np.where(k < size, k, -1)
