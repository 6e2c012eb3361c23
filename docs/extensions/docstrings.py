"""The package's docstrings, which are plain text, as the reST that autodoc reads.

A docstring has paragraphs, equations and lines "x : (N, H, W, C), what it is". In plain text, * and
_ are characters; in reST they are marks. So everything is escaped, but for names in `backticks`.
"""

import inspect
import re

NAMES = r"\w+(?:\([\w, ]*\))?(?:, (?:the )?(?:new )?\w+)*"
# "x : ...", "gamma, beta : ..." at the beginning of a line, or after a sentence and two spaces
ITEM = re.compile(rf"(?P<names>{NAMES}) : +(?P<text>.*)")
NEXT = re.compile(rf"(?<=[.;,])  +(?={NAMES} : )")
SENTENCE = re.compile(r"(Returns?|Raises|Sources?):? ")
FIELD = re.compile(r"    (?P<names>\w+): [^#]*?(?:# (?P<text>.*))?")  # of a NamedTuple


def rest(lines: list[str]) -> list[str]:
    """Lines of reST with the same content.

    >>> rest(["y = a * x_", "", "x : (N,), in kG", "  and more.", "Raises ValueError."])
    ['y = a \\\\* x\\\\_', '', '- **x** : (N,), in kG and more.', '', 'Raises ValueError.', '']
    """
    found, block = [], []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line)
        elif block:
            found += _paragraph(block)
            block = []
    return found


def _paragraph(block: list[str]) -> list[str]:
    indent = min(len(line) - len(line.lstrip()) for line in block)
    if indent > 1:  # an equation or a table in the text
        return ["::", "", *(f"    {line[indent:]}" for line in block), ""]
    parts, item, before = [], False, 0
    for line in (piece for whole in block for piece in NEXT.split(whole)):
        here = len(line) - len(line.lstrip())
        begins = here == 0 and (ITEM.match(line) or SENTENCE.match(line))
        ended = here == 0 and item and parts[-1][-1].endswith(".")
        if begins or ended or here < before or not parts:
            parts.append([])
            item = bool(ITEM.match(line))
        parts[-1].append(line.strip())
        before = here
    found, listed = [], False
    for part in parts:
        text = " ".join(part)
        if item := ITEM.match(text):
            found.append(f"- **{_escaped(item['names'])}** : {_text(item['text'])}")
        else:
            found += [""] * listed + [_text(text), ""]
        listed = bool(item)
    return [*found, ""] if found[-1] else found


def fields(source: str) -> list[str]:
    """The fields of a NamedTuple as lines of a docstring, from the comments behind them."""
    found = [FIELD.fullmatch(line) for line in source.splitlines()]
    return [f"{field['names']} : {field['text'] or 'as above'}" for field in found if field]


def _text(text):
    """Escaped, with `names` as code."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(
        f"``{piece.strip('`')}``" if piece.startswith("`") and len(piece) > 2 else _escaped(piece)
        for piece in pieces
    )


def _escaped(text):
    return re.sub(r"([\\*_|`])", r"\\\1", text)


def setup(app):
    def process(app, what, name, obj, options, lines):
        if what == "class" and hasattr(obj, "_fields"):
            lines[:] = fields(inspect.getsource(obj))  # in place of "CacheName(x, w)"
        lines[:] = rest(lines)

    def skip(app, what, name, obj, skipped, options):
        doc = getattr(obj, "__doc__", None) or ""
        return True if doc.startswith("Alias for field number") else None

    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True}
