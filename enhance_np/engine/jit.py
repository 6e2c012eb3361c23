"""numba's njit with a cache on disk, where there is a place for one."""

import logging
from functools import cache

from numba import njit

log = logging.getLogger(__name__)


def jit(**options):
    """A decorator: nogil, compiled once and cached; on a read-only system, once per process."""

    def decorate(function):
        try:
            return njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # numba: "no locator available"
            _say_uncached()
            return njit(nogil=True, **options)(function)

    return decorate


@cache
def _say_uncached():
    log.warning(
        "compiling at every start: no folder for numba's cache is writable (set NUMBA_CACHE_DIR)"
    )
