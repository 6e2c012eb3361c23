"""Enhance SDO/HMI images with a residual network written by hand in NumPy.

enhance_np.enhance(x)  ->  the array, cube, sunpy Map, MapSequence or dask array x, (2H, 2W) each
enhance_np.predict(image, type="intensity")  ->  the same for an array
enhance_np.predict_all(images, ...)  ->  the same for many arrays, one by one
enhance_np.load_weights(path)
enhance_np.train(...)
enhance_np.trace(weights, x, target)  ->  every value and gradient of one run of the network
"""

from importlib import import_module

__version__ = "0.1.0"
__all__ = ["enhance", "load_weights", "predict", "predict_all", "trace", "train"]

_HOMES = {
    "enhance": ("prediction.image", "enhance"),
    "predict": ("prediction.array", "predict"),
    "predict_all": ("prediction.array", "predict_all"),
    "trace": ("inspection.trace", "trace"),
    "train": ("training.loop", "train"),
    "load_weights": ("weights", "load"),
}


def __getattr__(name):
    # imported on first use, so that `enhance-np --help` does not wait for NumPy and numba
    if name not in _HOMES:
        from importlib.util import find_spec

        if not name.startswith("_") and find_spec(f"{__name__}.{name}"):
            return import_module(f".{name}", __name__)  # enhance_np.network
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(f".{module}", __name__), attribute)


def __dir__():
    return [*globals(), *__all__]
