"""The page of the chapter's figures and numbers, as Markdown and as HTML."""

import re
from html import escape
from typing import NamedTuple

from .measures import Numbers
from .published import ENTRIES, MISSING

TITLE = "The chapter, again"
INTRODUCTION = (
    "The figures and numbers of “Enhancing SDO/HMI images using deep learning” (C. J. Díaz Baso "
    "and A. Asensio Ramos, in HelioML; the paper is A&A 614, A5, 2018), made by "
    "`enhance-np chapter` with the weights that ship. Times are those of this run."
)
NONE = "–"  # a number that the images do not give
HEADER = ("figure", "number", "the chapter's", "ours", "truth", "why ours may differ")
NOTE = (
    "*truth*: what a perfect output would have, where it is known; for a ratio to the output, "
    f"that of the truth. {NONE}: the images do not give it, as without a light bridge, or without "
    "an image of HMI beside the simulation."
)
STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 1200px; margin: 1.5em auto; padding: 0 1em }
img { max-width: 100%; height: auto }
table { border-collapse: collapse; font-size: 13px }
td, th { border: 1px solid #d0d7de; padding: 3px 7px; text-align: left; vertical-align: top }
"""


class Figure(NamedTuple):
    name: str  # of the file
    number: str  # in the chapter
    sentence: str  # Markdown
    content: bytes


class Found(NamedTuple):
    figures: list[Figure]
    numbers: Numbers
    blink: str  # HTML
    about: dict[str, str]  # what was used


def rows(numbers: Numbers) -> list[tuple[str, ...]]:
    """The table of the numbers, without its header."""
    made = []
    for e in ENTRIES:
        number = numbers.get(e.key)
        cells = [NONE, NONE]
        if number is not None:
            values = (number.value, number.truth)
            cells = [NONE if value is None else e.style.format(value) for value in values]
        unit = f", {e.unit}" if e.unit else ""
        made.append((e.figure, e.quantity + unit, e.chapter, *cells, e.why))
    return made


def markdown(found: Found) -> str:
    parts = [f"# {TITLE}", INTRODUCTION, _listed(found.about)]
    for figure in found.figures:
        parts += [
            f"## {_heading(figure)}",
            f"![{_heading(figure)}]({figure.name})",
            figure.sentence,
        ]
    parts += ["## Numbers", _table(HEADER, rows(found.numbers)), NOTE]
    parts += ["## What cannot be made again", _table(("figure", "what", "why"), MISSING)]
    return "\n\n".join(parts) + "\n"


def html(found: Found) -> str:
    parts = [f"<h1>{TITLE}</h1>", f"<p>{_inline(INTRODUCTION)}</p>", "<ul>"]
    parts += [f"<li>{escape(key)}: {escape(value)}</li>" for key, value in found.about.items()]
    parts.append("</ul>")
    for figure in found.figures:
        title = escape(_heading(figure))
        parts += [
            f"<h2>{title}</h2>",
            f'<p><img src="{figure.name}" alt="{title}"></p>',
            f"<p>{_inline(figure.sentence)}</p>",
        ]
    parts += [
        "<h2>Numbers</h2>",
        _html_table(HEADER, rows(found.numbers)),
        f"<p>{_inline(NOTE)}</p>",
    ]
    parts += ["<h2>What cannot be made again</h2>"]
    parts.append(_html_table(("figure", "what", "why"), MISSING))
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{TITLE}</title>\n'
        f"<style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _heading(figure):
    name = figure.name.split("_", 1)[1].rsplit(".", 1)[0].replace("_", " ")
    return f"Figure {figure.number}: {name}" if figure.number.isdigit() else name.capitalize()


def _listed(about):
    return "\n".join(f"- {key}: {value}" for key, value in about.items())


def _table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    cells = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _html_table(header, rows):
    def line(cells, tag):
        inside = "".join(f"<{tag}>{escape(cell, quote=False)}</{tag}>" for cell in cells)
        return f"<tr>{inside}</tr>"

    return "\n".join(["<table>", line(header, "th"), *(line(r, "td") for r in rows), "</table>"])


def _inline(text):
    """Markdown's links, emphasis and code, as HTML."""
    text = re.sub(r"\[([^]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', escape(text, quote=False))
    text = re.sub(r"\*([^*]+)\*", r"<em>\1</em>", text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
