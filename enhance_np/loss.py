"""Mean squared error and L2 on the kernels, with their gradients."""

from ._array import Array


def mse(y: Array, target: Array, count: int | None = None) -> tuple[float, Array]:
    """(mean of (y - target)^2, its gradient in y). y, target and gradient have the same shape.

    count : number of values of the whole batch, if y is a part of it; the means of all parts then
    add up to that of the batch. None means that y is the whole.
    Raises ValueError if the shapes differ.
    """
    if y.shape != target.shape:
        raise ValueError(f"mse: shapes must be equal, got {y.shape} and {target.shape}")
    difference = y - target
    count = difference.size if count is None else count
    return float((difference.astype("f8") ** 2).sum() / count), difference * (2 / count)


def l2(p: dict[str, Array], strength: float) -> tuple[float, dict[str, Array]]:
    """(strength * sum of w^2, its gradient) over the kernels w of the convolutions.

    Biases and batch norm are not included, as in the paper. The gradient is a dict of the kernels.
    """
    kernels = {name: w for name, w in p.items() if is_kernel(name)}
    value = strength * sum(float((w.astype("f8") ** 2).sum()) for w in kernels.values())
    return value, {name: l2_factor(name, strength) * w for name, w in kernels.items()}


def l2_factor(name: str, strength: float) -> float:
    """f of the gradient f * p[name] of `l2`; 0 for a parameter that is not a kernel."""
    return 2 * strength if is_kernel(name) else 0.0


def is_kernel(name: str) -> bool:
    """Whether this parameter is the kernel of a convolution, which L2 and weight decay act on."""
    return name.endswith("/w")
