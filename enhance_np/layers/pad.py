"""Reflection padding and its adjoint."""

from .._array import Array, array_module


def reflection_pad(x: Array, p: int = 1) -> Array:
    """Mirrors p rows and columns outwards about the border pixels: c b | a b c ... | .

    x : (N, H, W, C);  result : (N, H + 2p, W + 2p, C).
    The border pixel itself is not repeated. Raises ValueError unless 0 <= p < min(H, W).
    """
    if x.ndim != 4:
        raise ValueError(
            f"reflection_pad: x must be (N, H, W, C), got x.shape={x.shape}; "
            "one image (H, W) is x[None, :, :, None]"
        )
    _, h, w, _ = x.shape
    if not 0 <= p < min(h, w):
        raise ValueError(f"reflection_pad: needs 0 <= p < min(H, W), got p={p}, x.shape={x.shape}")
    return array_module(x).pad(x, ((0, 0), (p, p), (p, p), (0, 0)), mode="reflect")


def reflection_pad_backward(dy: Array, p: int = 1) -> Array:
    """The adjoint: the gradient of a padded pixel is added to the pixel from which it was copied.

    dy : (N, H + 2p, W + 2p, C);  result : (N, H, W, C).

    The padded rows are added first, then the padded columns. A pixel in a padded corner was copied
    along both axes, so its gradient is moved along both. For p = 1 and dy = 1, the result is 1 in
    the corners of the image and 4 in the pixels diagonally inside them.
    """
    hp, wp = dy.shape[1:3]
    if not 0 <= p < min(hp, wp) - 2 * p:
        raise ValueError(
            f"reflection_pad_backward: needs 0 <= p < min(H, W), got p={p}, dy.shape={dy.shape}"
        )
    if p == 0:
        return dy.copy()
    rows = dy[:, p:-p].copy()
    rows[:, 1 : p + 1] += dy[:, :p][:, ::-1]
    rows[:, -p - 1 : -1] += dy[:, -p:][:, ::-1]
    dx = rows[:, :, p:-p].copy()
    dx[:, :, 1 : p + 1] += rows[:, :, :p][:, :, ::-1]
    dx[:, :, -p - 1 : -1] += rows[:, :, -p:][:, :, ::-1]
    return dx
