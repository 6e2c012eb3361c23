"""The lines of HISTORY that say from which file an output was made, and how."""

import bz2
import gzip
import os
import re
import textwrap
import zlib
from collections.abc import Mapping
from typing import NamedTuple

WIDTH = 72  # characters of a HISTORY card
BLOCK, CARD = 2880, 80  # bytes
MOST = 36_000  # cards to look at: 3 MB of a header that does not end
Options = Mapping[str, str | int | float | bool]
# options that change no more than the rounding
OF_THE_MACHINE = re.compile(r"(device|tile)=\w+,?")


class Made(NamedTuple):
    """How an output was made, as far as its header tells."""

    options: str  # as `said` writes them; "" if the header has none
    type: str | None  # ENHTYPE
    weights: str | None  # ENHWGT


def add_history(header, path: str | os.PathLike, sha256: str, options: Options) -> None:
    """Add the name and the sha256 of the input file, and the options, to an astropy header.

    Only the last part of a path is kept: folders may have the names of people. FITS allows no
    letters but those of ASCII, so others are written as Python would escape them ("\\xe9").
    The version and the network are in the line that `fits.enhanced_header` adds.
    """
    name = os.path.basename(os.fspath(path))
    for text in (f"input: {name}", f"sha256 {sha256}", _line(options)):
        for line in _wrapped(text):
            header.add_history(line)


def said(options: Options) -> str:
    """The options as `made` finds them in a header: without spaces, and those of the machine."""
    return _plain(_line(options))


def made(path: str | os.PathLike) -> Made:
    """What the header of an output tells; empty if it is no output of this package.

    Only the first header with an image is read, and no library is asked: an archive has many files.
    """
    try:
        cards = _cards(os.fspath(path))
    except (OSError, EOFError, zlib.error):
        return Made("", None, None)
    texts = [card[8:] for card in cards if card.startswith("HISTORY ")]
    starts = [i for i, text in enumerate(texts) if text.startswith("options: ")]
    told = []
    if starts:  # the last: the input may have been such an output itself
        first = starts[-1]
        told = [texts[first]]
        for text in texts[first + 1 :]:
            if not text.startswith("  "):
                break
            told.append(text)
    values = {card[:8].strip(): card[10:] for card in cards if card.startswith("ENH")}
    type, weights = (re.match(r"'(\w+) *'", values.get(key, "")) for key in ("ENHTYPE", "ENHWGT"))
    return Made(_plain("".join(told)), type and type[1], weights and weights[1])


def _line(options):
    return "options: " + ", ".join(f"{key}={value}" for key, value in options.items())


def _wrapped(text: str) -> list[str]:
    """Lines of a card's width; those after the first are indented by two spaces."""
    text = text.encode("unicode_escape").decode()
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _plain(line):
    return OF_THE_MACHINE.sub("", "".join(line.split())).rstrip(",")


def _cards(path):
    """The cards of the first image's header, or of the table that a compressed one is stored in."""
    opened = {".gz": gzip.open, ".bz2": bz2.open}.get(os.path.splitext(path)[1].lower(), open)
    headers, cards = 2 if path.lower().endswith(".fz") else 1, []
    with opened(path, "rb") as file:
        while headers and len(cards) < MOST and len(block := file.read(BLOCK)) == BLOCK:
            found = [block[i : i + CARD].decode("latin-1") for i in range(0, BLOCK, CARD)]
            if not (cards or found[0].startswith("SIMPLE  ")):
                break
            headers -= any(card.startswith("END     ") for card in found)
            cards += found
    return cards
