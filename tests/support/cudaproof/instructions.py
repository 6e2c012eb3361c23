"""PTX instructions that CUDA C++ has no functions for, as calls of ampere.h.

A kernel writes them as inline assembly, and NVRTC passes that on to its PTX. So both ways, the
source and the PTX, come here: `inlined` for the source, `call` for ptx.py. An instruction that is
not listed raises Unsupported.
"""

import re

STATEMENT = re.compile(r"\basm\s*(?:volatile\s*)?\(")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
MMA = "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"
COUNTER = "__COUNTER__"  # tells the places of a source apart, as for barriers


class Unsupported(NotImplementedError):
    """An instruction or operand that is not translated."""


def call(name: str, operands: list[str]) -> str:
    """A C++ statement for the instruction `name` with operands in C++: lvalues for results,
    pointers for addresses; the numbers of a matrix one after another."""
    if re.fullmatch(r"cp\.async\.c[ag]\.shared(::cta)?\.global", name) and len(operands) in (3, 4):
        sizes = ("16",) if ".cg." in name else ("4", "8", "16")
        if operands[2] in sizes:  # the fourth is the number of bytes that are read, by default all
            return f"emu_cp_async({', '.join((*operands, operands[2])[:4])});"
    elif name == "cp.async.commit_group" and not operands:
        return "emu_commit_copies();"
    elif name == "cp.async.wait_group" and len(operands) == 1:
        return f"emu_cp_wait({operands[0]});"
    elif name == "cp.async.wait_all" and not operands:
        return "emu_cp_wait_all();"
    elif name == "cvt.rna.tf32.f32" and len(operands) == 2:
        return f"{operands[0]} = emu_tf32({operands[1]});"
    elif name == MMA and len(operands) == 14:
        return f"emu_mma({COUNTER}, {', '.join(operands)});"
    raise Unsupported(f"{name} {', '.join(operands)}")


def split(text: str) -> tuple[str, list[str]]:
    """(name, operands) of one instruction; braces are taken off, brackets are kept."""
    name, _, rest = " ".join(text.split()).partition(" ")
    return name, [part.strip() for part in re.sub(r"[{}]", "", rest).split(",") if part.strip()]


def inlined(text: str) -> str:
    """A source whose `asm` statements have become calls, on the same lines."""
    if STATEMENT.search(text):
        text = re.sub(r"//[^\n]*", "", text)
    while found := STATEMENT.search(text):
        depth, end = 1, found.end()
        while depth:
            quoted = STRING.match(text, end)
            depth += {"(": 1, ")": -1}.get(text[end], 0) if not quoted else 0
            end = quoted.end() if quoted else end + 1
        made = _statement(text[found.end() : end - 1])
        lines = text.count("\n", found.start(), end)
        text = text[: found.start()] + made.rstrip(";") + "\n" * lines + text[end:]
    return text


def _statement(inside):
    parts = _parted(inside, ":")
    pieces = [
        piece for piece in "".join(STRING.findall(parts[0])).split(";") if piece.strip(" \\n")
    ]
    if len(pieces) != 1:
        raise Unsupported(f"one instruction in an asm statement, got {parts[0].strip()}")
    values = []
    for listed in parts[1:3]:
        for operand in _parted(listed, ","):
            constraint, value = re.fullmatch(
                r'\s*"[=+]?(\w)"\s*\((.*)\)\s*', operand, re.S
            ).groups()
            values.append(value if constraint != "l" else f"(const void*)({value})")
    name, operands = split(pieces[0].replace("\\n", ""))
    return call(name, [_operand(operand, values) for operand in operands])


def _operand(text, values):
    place = re.fullmatch(r"(\[?)%(\d+)\]?", text)
    if not place:
        return text
    value = f"({values[int(place[2])]})"
    shared = place[1] and "const void*" not in value
    return f"emu_from_shared({value})" if shared else value


def _parted(text, separator):
    """The parts of a list, not cut within parentheses or strings."""
    parts, depth, at = [""], 0, 0
    while at < len(text):
        quoted = STRING.match(text, at)
        piece = quoted[0] if quoted else text[at]
        depth += 0 if quoted else {"(": 1, "[": 1, ")": -1, "]": -1}.get(piece, 0)
        if piece == separator and not depth and text[at : at + 2] != "::":
            parts.append("")
        elif text[at : at + 2] == "::" and separator == ":" and not depth and not quoted:
            parts += ["", ""]
            piece = "::"
        else:
            parts[-1] += piece
        at += len(piece)
    return [part for part in parts if part.strip()] if separator == "," else parts
