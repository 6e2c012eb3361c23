"""The folded network on CPU cores: no batch norm, no upsampled image, no padded copies.

Activations live in buffers with a frame of one pixel. A convolution writes inside the frame of
its output; then the frame is filled from the pixels next to it. A residual sum costs nothing:
the convolution adds onto the buffer that holds the skip.
"""

import numpy as np

from ..config import NetworkConfig
from .cpu import conv_lines, kernel_layout, lines_per_task, strides
from .fold import Conv, phases
from .threads import cut, parallel


class Fused:
    """forward(x): (H, W) float32 -> (2H, 2W) float32.

    Every output pixel is summed in the same order wherever it lies, so a tile gives the bits
    of the whole image.
    """

    def __init__(self, convs: dict[str, Conv], config: NetworkConfig):
        self.convs, self.config = convs, config
        self.layouts = {name: kernel_layout(w) for name, (w, _) in convs.items()}
        w, self.refine_b = convs["refine/conv"]
        self.phases = {at: kernel_layout(v) for at, v in phases(w).items()}

    def __call__(self, x: np.ndarray) -> np.ndarray:
        h, w = x.shape
        image = np.empty((h + 2, w + 2, 1), np.float32)
        image[1:-1, 1:-1, 0] = x
        _reflect(image)
        x0, skip, inner = (np.empty((h + 2, w + 2, self.config.filters), "f4") for _ in range(3))
        self._conv("stem/conv", image, x0, activate=True)
        skip[...] = x0
        for k in range(self.config.depth):
            self._conv(f"block{k}/conv1", skip, inner, activate=True)
            self._conv(f"block{k}/conv2", inner, skip, add=True)
        self._conv("tail/conv", skip, x0, add=True)
        _replicate(x0)
        return self._refine_and_head(x0)

    def _conv(self, name, x, y, activate=False, add=False):
        """y's inside <- conv(x) or y + conv(x), activated or not; then its frame."""
        kh, kw, cin, cout = self.convs[name].w.shape
        b, (w, tile) = self.convs[name].b, self.layouts[name]
        height, width = y.shape[0] - 2, y.shape[1] - 2
        shape = (height, width, kh, kw, cin, cout)
        y_at = (strides(y[None])[2] + cout, *strides(y[None])[1:])

        def lines(at):
            inside = y[at[0] + 1 : at[1] + 1, 1:-1]
            if add:
                inside += b
            else:
                inside[...] = b
            conv_lines(x.reshape(-1), w, y.reshape(-1), shape, strides(x[None]), y_at, tile, at)
            if activate:
                self._activate(inside)

        parallel(lines, cut(height, lines_per_task(w.size * width)))
        _reflect(y)

    def _refine_and_head(self, x):
        """Upsampling, 3x3 convolution, activation and 1x1 convolution, a few lines at a time."""
        height, width, cin = x.shape[0] - 2, x.shape[1] - 2, x.shape[2]
        cout = self.config.refine
        y = np.empty((2 * height, 2 * width, 1), np.float32)
        head, head_tile = self.layouts["head"]
        start, image, line, pixel = strides(x[None])

        def lines(at):
            small, count = (0, at[1] - at[0]), 2 * (at[1] - at[0])
            big = np.empty((1, count, 2 * width, cout), np.float32)
            big[...] = self.refine_b
            shape = (small[1], width, 2, 2, cin, cout)
            _, big_image, big_line, big_pixel = strides(big)
            for (a, b), (w, tile) in self.phases.items():
                x_at = (start + (at[0] + a) * line + b * pixel, image, line, pixel)
                big_at = (a * big_line + b * big_pixel, big_image, 2 * big_line, 2 * big_pixel)
                conv_lines(x.reshape(-1), w, big.reshape(-1), shape, x_at, big_at, tile, small)
            self._activate(big)
            out = y[None, 2 * at[0] : 2 * at[1]]
            out[...] = self.convs["head"].b
            shape = (count, 2 * width, 1, 1, cout, 1)
            conv_lines(
                big.reshape(-1), head, out.reshape(-1), shape,
                strides(big), strides(out), head_tile, (0, count),
            )  # fmt: skip

        work = 16 * cin * cout * width  # four phases of 2 x 2
        parallel(lines, cut(height, lines_per_task(work)))
        return y[:, :, 0]

    def _activate(self, h):
        if self.config.activation == "relu":
            np.maximum(h, 0, out=h)
        else:
            h[...] = np.where(h > 0, h, np.expm1(np.minimum(h, 0)))


def _reflect(x):
    """Fill the frame of x (H+2, W+2, C) by reflection about the border pixels."""
    x[1:-1, 0], x[1:-1, -1] = x[1:-1, 2], x[1:-1, -3]
    x[0], x[-1] = x[2], x[-3]


def _replicate(x):
    """Fill the frame of x (H+2, W+2, C) with the border pixels themselves."""
    x[1:-1, 0], x[1:-1, -1] = x[1:-1, 1], x[1:-1, -2]
    x[0], x[-1] = x[1], x[-2]
