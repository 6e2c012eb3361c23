"""The classical methods, which a network must beat, each with its tuned parameter."""

from collections.abc import Callable, Iterator

import numpy as np

from ..optics.degrade import HMI, Optics
from .bicubic import bicubic
from .linear import LinearFilter
from .richardson_lucy import deconvolve
from .wiener import wiener

# These give the least mean squared error on the validation side of the recipes, with their noise
# (bench/quality/tune_baselines.py). For intensity, Richardson-Lucy seen through the target's
# aperture still improves at 600 iterations, the largest number tried, with 8.3e-4 Ic^2. The Wiener
# filter reaches nearly the same, 8.2e-4, in one step.
NSR = {"intensity": 5.6e-4, "blos": 3.2e-3}
ITERATIONS = {"intensity": 80, "blos": 20}
ITERATIONS_AS_TARGET = {"intensity": 600, "blos": 230}


def methods(
    type: str, linear: LinearFilter | None = None, optics: Optics = HMI
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """{name: method}, method(image (H, W), finite, in Ic or kG) -> (2H, 2W) in the same unit.

    linear : adds this fitted linear filter.  A name includes the number of iterations, if any.
    """
    plain, seen = ITERATIONS[type], ITERATIONS_AS_TARGET[type]
    found = {
        "bicubic": bicubic,
        f"RL {plain}": lambda image: deconvolve(image, type, plain, optics=optics),
        f"RL {seen} at 28 cm": lambda image: deconvolve(
            image, type, seen, as_target=True, optics=optics
        ),
        "Wiener": lambda image: wiener(image, NSR[type], optics),
    }
    return found if linear is None else found | {"linear": linear}


def outputs(
    image: np.ndarray, type: str, linear: LinearFilter | None = None, optics: Optics = HMI
) -> Iterator[tuple[str, np.ndarray]]:
    """(name, output (2H, 2W)) of every method. image : (H, W), finite, in Ic or kG."""
    for name, method in methods(type, linear, optics).items():
        yield name, method(image)
