"""Independent streams of random numbers from one seed, one for each named purpose."""

import zlib

import numpy as np


def stream(seed: int, purpose: str, *names: str | int) -> np.random.Generator:
    """The generator of one purpose, for example stream(7, "outline", "spot", 2).

    seed : 0 or more.  Another purpose, other names or another order gives another stream.
    Raises ValueError for a negative seed or an empty purpose.

    The names are the spawn key of a SeedSequence (O'Neill 2014, HMC-CS-2014-0905); a text enters
    it by its length and CRC-32. The plain `default_rng(seed)` has no key. NumPy pads a seed with
    zeros, so 7 and (7, 0) would give the same stream; the entry of a purpose is never zero.
    """
    if seed < 0:
        raise ValueError(f"stream: seed must be 0 or more, got seed={seed}")
    if not purpose:
        raise ValueError(f"stream: purpose must be a text, got purpose={purpose!r}")
    key = []
    for name in (purpose, *names):
        key += [len(name), zlib.crc32(name.encode())] if isinstance(name, str) else [0, int(name)]
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
