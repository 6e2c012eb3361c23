"""numba's njit with a cache on disk, where there is a place for one."""

import hashlib
import logging
from functools import cache
from pathlib import Path

from numba import njit
from numba.core import event

from .vector import LANES

log = logging.getLogger(__name__)

# Modules that machine code is made of; an edit elsewhere compiles nothing anew
COMPILED = ("elementwise", "jit", "register_tile", "subnormal", "transforms", "vector")
COMPILED += ("winograd_kernels",)


def jit(**options):
    """A decorator: nogil, compiled once and cached; on a read-only system, once per process."""

    def decorate(function):
        try:
            compiled = njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # numba: "no locator available"
            _say_uncached()
            return njit(nogil=True, **options)(function)
        # numba's key is the file of the function alone: a change in an intrinsic or in a
        # kernel that it calls would go unnoticed, and so would another width of the vectors
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
        "compiling at every start: no folder for numba's cache is writable (set NUMBA_CACHE_DIR)"
    )


class _Say(event.Listener):
    """Tells, once, why the first start takes longer."""

    said = False

    def on_start(self, event):
        own = event.data["dispatcher"].py_func.__module__.startswith(__package__)
        if own and not self.said:
            self.said = True
            log.warning("compiling for this processor, once (some seconds)")

    def on_end(self, event):
        pass


event.register("numba:compile", _Say())
