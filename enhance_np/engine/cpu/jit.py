"""numba's njit with a cache on disk, if a folder for it is writable."""

import hashlib
import logging
from functools import cache
from pathlib import Path

from numba import njit
from numba.core import event

from .vector import LANES

log = logging.getLogger(__name__)

# Modules that machine code is made of; an edit elsewhere compiles nothing anew
COMPILED = ("elementwise", "jit", "microkernel", "subnormal", "transforms", "vector")
COMPILED += ("winograd_kernels",)


def jit(**options):
    """A decorator: njit with nogil, compiled once and cached; once per process if read-only."""

    def decorate(function):
        try:
            compiled = njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # numba: "no locator available"
            _say_uncached()
            return njit(nogil=True, **options)(function)
        # numba's key depends only on the function's own file: it would miss a change in an
        # intrinsic or in a kernel that the function calls, and another width of the vectors
        index = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
        if index is not None:
            index._source_stamp = f"{_stamp()}, {LANES} lanes"
        return compiled

    return decorate


@cache
def _stamp():
    digest = hashlib.sha256()
    for name in COMPILED:
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return digest.hexdigest()


@cache
def _say_uncached():
    log.warning(
        "compiling at every start, because no folder for numba's cache is writable (set "
        "NUMBA_CACHE_DIR)"
    )


class _Say(event.Listener):
    """Logs once why the first start takes longer."""

    said = False

    def on_start(self, event):
        own = event.data["dispatcher"].py_func.__module__.startswith(__package__)
        if own and not self.said:
            self.said = True
            log.warning("compiling once for this processor (some seconds)")

    def on_end(self, event):
        pass


event.register("numba:compile", _Say())
