"""Enhance SDO/HMI images with a residual network written by hand in NumPy.

enhance_np.enhance(x)  ->  the array, sunpy Map or dask array x, deconvolved, (2H, 2W)
enhance_np.predict(image, type="intensity")  ->  the same for an array
enhance_np.predict_all(images, ...)  ->  the same for many arrays, one by one
enhance_np.load_weights(path)
enhance_np.train(...)
"""

from importlib import import_module

__version__ = "0.1.0"
__all__ = ["enhance", "load_weights", "predict", "predict_all", "train"]

_HOMES = {
    "enhance": ("prediction.image", "enhance"),
    "predict": ("prediction.array", "predict"),
    "predict_all": ("prediction.array", "predict_all"),
    "train": ("training.loop", "train"),
    "load_weights": ("weights", "load"),
}


def __getattr__(name):
    # imported on first use, so that `enhance-np --help` does not wait for NumPy and numba
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(f".{module}", __name__), attribute)


def __dir__():
    return [*globals(), *__all__]
