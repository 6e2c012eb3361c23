"""The lines of HISTORY that say from which file an output was made, and how."""

import os
import textwrap
from collections.abc import Mapping

WIDTH = 72  # characters of a HISTORY card


def add_history(
    header, path: str | os.PathLike, sha256: str, options: Mapping[str, str | int | float | bool]
) -> None:
    """Add the name and the sha256 of the input file, and the options, to an astropy header.

    Only the last part of a path is kept: folders may have the names of people. FITS allows no
    letters but those of ASCII, so others are written as Python would escape them ("\\xe9").
    The version and the network are in the line that `fits.enhanced_header` adds.
    """
    name = os.path.basename(os.fspath(path))
    said = ", ".join(f"{key}={value}" for key, value in options.items())
    for text in (f"input: {name}", f"sha256 {sha256}", f"options: {said}"):
        for line in _wrapped(text.encode("unicode_escape").decode()):
            header.add_history(line)


def _wrapped(text: str) -> list[str]:
    """Lines of a card's width; those after the first are indented by two spaces."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
