"""Enhance SDO/HMI images with a residual network written by hand in NumPy.

enhance_np.enhance(x)  ->  the array, Quantity, NDData, sunpy Map, dask array, ... x, (2H, 2W)
enhance_np.deconvolve(x)  ->  the same by Richardson-Lucy
enhance_np.degrade(x, optics=Optics(...))  ->  x as HMI or another telescope would see it
enhance_np.flatten_limb(x)  ->  x without its limb darkening
enhance_np.compare(out, other)  ->  out beside the image of another telescope
enhance_np.predict(image, type="intensity")  ->  the same for an array
enhance_np.predict_all(images, ...)  ->  the same for many arrays, one by one
enhance_np.load_weights(path)
enhance_np.train(...)
enhance_np.trace(weights, x, target)  ->  every value and gradient of one run of the network
"""

from importlib import import_module

__version__ = "0.1.0"
__all__ = [
    "Optics",
    "compare",
    "deconvolve",
    "degrade",
    "enhance",
    "flatten_limb",
    "load_weights",
    "predict",
    "predict_all",
    "trace",
    "train",
]

_HOMES = {
    "enhance": ("prediction.image", "enhance"),
    "deconvolve": ("prediction.deconvolution", "deconvolve"),
    "degrade": ("prediction.degradation", "degrade"),
    "flatten_limb": ("prediction.flattening", "flatten_limb"),
    "compare": ("evaluate.compare", "compare"),
    "Optics": ("optics.degrade", "Optics"),
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
