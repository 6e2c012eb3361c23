"""The folded network on CPU cores, which processes a strip of lines through all layers.

There are no tiles of the image, no padded arrays and no upsampled image. The border of a
convolution is given by indices (winograd.window), a residual sum is added in place, and the last
3x3 convolution, its upsampling and the 1x1 head are one pass. Each layer runs as far as its input
is available, then the next layer does. Of each activation only the newest lines are kept, in a
ring. The memory therefore grows only with the image's width, the lines of a strip stay in the cache
from layer to layer, and every output pixel is summed in the same order for any strips.

Off the disc no output is wanted. Of each layer, only those of Winograd's tiles are computed that
the next layer reads, from the first to the last in each row of tiles. No tile is read that was not
computed, so the wanted output has the same bits.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..._threads import cut
from ...config import NetworkConfig
from ...weights import Weights
from ..fold import Conv, fold, phases
from . import direct, memory, spans
from .arrays import ELEMENTS
from .elementwise import elu
from .subnormal import parallel
from .transforms import M
from .winograd import NO_HEAD, UPSAMPLED, conv_tiles, is_winograd, planes, window
from .winograd_kernels import ADD, ELU, RELU

STRIP = 2**16  # pixels; enough tasks for many threads, and 0.25 GB for all rings at 4096 a line
CHANNELS = 16  # live channels are kept in multiples of these: whole micro-tiles


def prediction(weights: Weights, engine) -> Callable:
    """`Predictor.each` on the cores of the CPU."""
    forward = Fused(fold(weights, multiple=CHANNELS), weights.config)

    def each(images, tile, progress):
        return (forward(x, tile, progress, valid) for x, valid in images)

    return each


@dataclass
class Step:
    """One layer: run(first, last) computes these lines from the lines of its source."""

    run: Callable[[int, int], None]
    source: list["Step"]  # one step, or none for the layer that reads the image
    done: int = 0  # lines computed

    def advance(self, height: int, most: int) -> None:
        """Computes the lines for which the source is ready, in whole tiles, at most `most`."""
        ready = height
        if self.source and self.source[0].done < height:
            ready = (self.source[0].done - 1) // M * M  # the last line needs the one below it
        ready = min(ready, self.done + most)
        if ready > self.done:
            self.run(self.done, ready)
            self.done = ready


class Fused:
    """forward(x): (H, W) float32 -> (2H, 2W) float32, H and W >= 2."""

    def __init__(self, convs: dict[str, Conv], config: NetworkConfig):
        self.convs, self.config = convs, config
        self.activation = RELU if config.activation == "relu" else ELU
        self.planes, self.layouts = {}, {}
        for name, (w, _) in convs.items():
            if not is_winograd(w.shape):
                self.layouts[name] = direct.kernel_layout(w)
            elif name == "refine/conv":
                self.planes[name] = planes(*phases(w), alive=UPSAMPLED)
            else:
                self.planes[name] = planes(w)

    def __call__(
        self,
        x: np.ndarray,
        strip: int | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
        valid: np.ndarray | None = None,
    ) -> np.ndarray:
        """strip : number of lines of x to process at a time, rounded up to whole tiles.

        progress : called with (input pixels done, total).
        valid : (H, W) bool, where the result is wanted; elsewhere it is undefined.
        """
        height, width = x.shape
        most = max(1, -(-(STRIP // width if strip is None else strip) // M)) * M
        y = np.empty((1, 2 * height, 2 * width, 1), np.float32)
        image = np.ascontiguousarray(x, np.float32)[None, :, :, None]
        steps = self._steps(image, y, most, self._tiles((height, width), valid))
        progress(0, x.size)
        while steps[-1].done < height:
            for step in steps:
                step.advance(height, most)
            progress(steps[-1].done * width, x.size)
        return y[0, :, :, 0]

    def _tiles(self, size, valid):
        """{layer: (rows of tiles, 2)}: the first computed tile of a row and the one after the last.

        These are all tiles if a layer between stem and head does not use Winograd.
        """
        rows, across = (-(-n // M) for n in size)
        layers = [name for name in self.convs if name not in ("stem/conv", "head")]
        if valid is None or not self.planes.keys() >= {*layers}:
            return dict.fromkeys(layers, np.tile((0, across), (rows, 1)))
        made, now = {}, spans.wanted(valid)
        for name in reversed(layers):
            made[name] = now
            now = spans.read_by(now, across)
        return made

    def _steps(self, image, y, most, made):
        """The steps of the layers from image (1, H, W, 1) to y (1, 2H, 2W, 1).

        made : of `_tiles`.  A ring has the lines that its readers still need: before a layer runs,
        it is at most one tile and `most` lines behind its source.
        """
        _, height, width, _ = image.shape
        depth = self.config.depth

        def ring(layers, of="stem/conv"):
            lines = min(most + M * (layers + 1), -(-height // M) * M)
            return memory.empty((1, lines, width, len(self.convs[of].b)))

        def conv(name, source, targets, epilogue):
            run = self._conv(name, source, targets, epilogue, height, made.get(name))
            steps.append(Step(run, steps[-1:]))

        # each block adds its output to h in place; x0 is kept for the long skip
        x0, h, steps = ring(2 * depth + 2), ring(2 * depth + 1), []
        conv("stem/conv", image, [x0, h], self.activation)
        for k in range(depth):
            inner = ring(1, f"block{k}/conv1")
            conv(f"block{k}/conv1", h, [inner], self.activation)
            conv(f"block{k}/conv2", inner, [h], ADD)
        conv("tail/conv", h, [x0], ADD)
        if "refine/conv" in self.planes:
            run = self._refine_by_winograd(x0, y, made["refine/conv"])
        else:
            run = self._refine(x0, y)
        steps.append(Step(run, steps[-1:]))
        return steps

    def _conv(self, name, x, ys, epilogue, height, made):
        """run(first, last): each of the rings ys <- epilogue(conv of x)."""
        width = x.shape[2]
        shape = self.convs[name].w.shape
        if name in self.planes:
            return self._by_winograd(name, x, ys[0], epilogue, (height, width), "reflect", made)

        def run(first, last):
            p = shape[0] // 2
            lines = _reflected(np.arange(first - p, last + p), height) % x.shape[1]
            columns = _reflected(np.arange(-p, width + p), width)
            framed = x[0][np.ix_(lines, columns)]

            def task(at):
                out = self._direct(name, framed, at)
                self._activate(out, epilogue)
                for y in ys:
                    to = np.arange(first + at[0], first + at[1]) % y.shape[1]
                    y[0, to] = y[0, to] + out if epilogue == ADD else out

            parallel(task, _cut(last - first, width, shape))

        return run

    def _by_winograd(self, name, x, y, epilogue, size, edge, made, head=NO_HEAD):
        lines, columns = window(size[0], 1, edge, x.shape[1]), window(size[1], 1, edge)
        across = -(-size[1] // M)

        def run(first, last):
            ranges = spans.numbered(made, first // M, -(-last // M), across)
            conv_tiles(
                x, self.planes[name], self.convs[name].b, y, lines, columns, epilogue, ranges,
                size, head,
            )  # fmt: skip

        return run

    def _refine_by_winograd(self, x, y, made):
        """run(first, last): lines 2 first to 2 last of y <- refine and head of x."""
        w, b = self.convs["head"]
        head = np.append(w, b).astype(np.float32)
        size = y.shape[1] // 2, y.shape[2] // 2
        return self._by_winograd("refine/conv", x, y, self.activation, size, "repeat", made, head)

    def _refine(self, x, y):
        """The same without Winograd, with the upsampled lines and their own border."""
        _, height, width, _ = y.shape

        def run(first, last):
            lines = _reflected(np.arange(2 * first - 1, 2 * last + 1), height) // 2 % x.shape[1]
            columns = _reflected(np.arange(-1, width + 1), width) // 2
            framed = x[0][np.ix_(lines, columns)]

            def task(at):
                out = self._direct("refine/conv", framed, at)
                self._activate(out, self.activation)
                rows = slice(2 * first + at[0], 2 * first + at[1])
                y[0, rows] = self._direct("head", out, (0, len(out)))

            shape = self.convs["refine/conv"].w.shape
            parallel(task, _cut(2 * (last - first), width, shape))

        return run

    def _direct(self, name, framed, at):
        """Lines at = (first, last) of the convolution of framed (H + 2p, W + 2p, Cin), + bias."""
        (w, tile), (kh, kw, cin, cout) = self.layouts[name], self.convs[name].w.shape
        lines, width = at[1] - at[0], framed.shape[1] - kw + 1
        y = np.empty((lines, width, cout), np.float32)
        y[...] = self.convs[name].b
        start, image, line, pixel = direct.strides(framed[None])
        direct.conv_lines(
            framed.reshape(-1), w, y.reshape(-1), (lines, width, kh, kw, cin, cout),
            (start + at[0] * line, image, line, pixel), direct.strides(y[None]), tile, (0, lines),
        )  # fmt: skip
        return y

    def _activate(self, h, epilogue):
        if epilogue == RELU:
            np.maximum(h, 0, out=h)
        elif epilogue == ELU:
            elu(h.reshape(-1), 0, h.size)


def _reflected(k, size):
    k = abs(k)
    return np.where(k >= size, 2 * (size - 1) - k, k)


def _cut(lines, width, shape):
    """Tasks of a direct convolution, small enough for the cache and for all threads to work."""
    most = min(direct.lines_per_task(int(np.prod(shape)) * width), ELEMENTS // (width * shape[3]))
    return cut(lines, max(1, most))
