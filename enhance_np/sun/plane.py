"""A periodic plane of square pixels: smoothing, random fields, and carrying fields along a flow."""

import numpy as np

from .._threads import parallel, threads
from ..engine.cpu.jit import jit

FLOAT = np.float32


class Plane:
    """H x W pixels of `spacing` arcsec. Fields are float32 (H, W), lengths are in arcsec.

    The plane is periodic, so a scene is cut out of its middle. The number of threads changes the
    time but no bit of the result.
    """

    def __init__(self, shape: tuple[int, int], spacing: float):
        self.shape, self.spacing = tuple(shape), spacing
        self.ky = (2 * np.pi * np.fft.fftfreq(shape[0], spacing)).astype(FLOAT)[:, None]
        self.kx = (2 * np.pi * np.fft.rfftfreq(shape[1], spacing)).astype(FLOAT)
        self.k2 = self.ky**2 + self.kx**2  # (radians / arcsec)^2, (H, W // 2 + 1)
        self.rows = np.arange(shape[0], dtype=FLOAT)[:, None]
        self.columns = np.arange(shape[1], dtype=FLOAT)
        self._gaussians = {}

    def modes(self, field):
        """The Fourier modes (H, W // 2 + 1) of a field."""
        from scipy.fft import rfft2

        return rfft2(field, workers=threads())

    def field(self, modes):
        """The field of Fourier modes."""
        from scipy.fft import irfft2

        return irfft2(modes, s=self.shape, workers=threads())

    def gaussian(self, scale: float):
        """Transfer function of a convolution with a Gaussian of standard deviation `scale`."""
        if scale not in self._gaussians:
            self._gaussians[scale] = np.exp(self.k2 * FLOAT(-(scale**2) / 2))
        return self._gaussians[scale]

    def smooth(self, field, scale: float):
        """The field convolved with a Gaussian of standard deviation `scale`."""
        return self.field(self.modes(field) * self.gaussian(scale))

    def noise(self, rng, scale: float):
        """Gaussian random field, mean 0, standard deviation 1: white noise smoothed by `scale`.

        Only the Fourier modes that the smoothing passes (3e-4 or more) are drawn. A scale above a
        quarter of the plane's shorter side is reduced to that.
        """
        scale = min(scale, min(self.shape) * self.spacing / 4)
        most = 4.0 / scale  # radians per arcsec
        rows = np.flatnonzero(np.abs(self.ky[:, 0]) < most)
        columns = np.count_nonzero(self.kx < most)
        modes = np.zeros(self.k2.shape, np.complex64)
        drawn = rng.standard_normal((rows.size, columns, 2), dtype=FLOAT).view(np.complex64)
        transfer = self.gaussian(scale)[rows, :columns]
        modes[rows, :columns] = drawn[..., 0] * transfer
        modes[0, 0] = 0
        square = transfer.astype(float) ** 2
        # for columns at kx > 0 the inverse transform adds the complex conjugate
        variance = 4 * square[:, 1:].sum() + square[:, 0].sum()
        return self.field(modes) * FLOAT(np.prod(self.shape) / variance**0.5)

    def carry(self, fields, dy, dx):
        """Each field moved by (dy, dx) pixels: new(x) = old(x - d), linear between pixels."""
        return parallel(lambda field: _carried(field, dy, dx), fields)

    def refined(self, fields):
        """(plane, fields) with twice the pixels on each side, edges aligned."""
        from scipy.ndimage import zoom

        plane = Plane(tuple(2 * n for n in self.shape), self.spacing / 2)
        return plane, parallel(
            lambda f: zoom(f, 2, order=1, mode="grid-wrap", grid_mode=True), fields
        )


def ramp(x):
    """From 0 at minus infinity to 1 at plus infinity, 1/2 at 0."""
    return FLOAT(0.5) + FLOAT(0.5) * np.tanh(x)


@jit()
def _carried(field, dy, dx):
    """Plane.carry of one field. Compiled, because it takes most of the time of a scene."""
    h, w = field.shape
    found = np.empty_like(field)
    for i in range(h):
        for j in range(w):
            y, x = i - np.float64(dy[i, j]), j - np.float64(dx[i, j])
            top, left = np.floor(y), np.floor(x)
            down, right = y - top, x - left
            i0, j0 = int(top) % h, int(left) % w
            i1, j1 = (i0 + 1) % h, (j0 + 1) % w
            above = (1 - right) * field[i0, j0] + right * field[i0, j1]
            below = (1 - right) * field[i1, j0] + right * field[i1, j1]
            found[i, j] = (1 - down) * above + down * below
    return found
