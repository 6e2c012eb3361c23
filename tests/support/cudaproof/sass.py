"""Counts machine instructions: the kinds in a kernel's hottest loop.

`pip install nvidia-cuda-nvdisasm` brings the disassembler; it knows sm_75 and later. The counts are
a mix of instructions, not a time.
"""

import re
import site
import subprocess
import sys
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

OLDEST = 75  # oldest architecture that nvdisasm 13 supports
ARITHMETIC = "FFMA", "FADD", "FMUL", "DFMA", "DADD", "DMUL", "HMMA"


class Instruction(NamedTuple):
    address: int
    label: str | None  # before the instruction
    name: str  # such as LDS.128
    text: str


def missing() -> str | None:
    """None, or why nothing can be disassembled here."""
    return None if _nvdisasm() else "needs nvdisasm: pip install nvidia-cuda-nvdisasm"


@cache
def disassemble(cubin: bytes) -> dict[str, list[Instruction]]:
    """{name: instructions} of the kernels."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(_nvdisasm()), "-c", file.name]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return parse(text)


def parse(text: str) -> dict[str, list[Instruction]]:
    """The same from the output of nvdisasm."""
    kernels, into, label = {}, None, None
    for line in text.splitlines():
        if section := re.match(r"\s*\.section\s+\.text\.(\w+)", line):
            into = kernels.setdefault(section[1], [])
        elif marked := re.match(r"(\.L\S+):", line):
            label = marked[1]
        elif (found := re.match(r"\s*/\*([0-9a-f]+)\*/\s+(.*?);", line)) and into is not None:
            words = re.sub(r"^\{?\s*(@!?U?P\w+\s+)?", "", found[2])
            into.append(Instruction(int(found[1], 16), label, words.split()[0], words))
            label = None
    return kernels


def hottest_loop(instructions: list[Instruction]) -> list[Instruction]:
    """The innermost loop with the most arithmetic; all instructions if there is no loop.

    A loop is the code between a label and a later branch back to it.
    """
    labels = {i.label: i.address for i in instructions if i.label}
    loops = []
    for i in instructions:
        target = re.search(r"`\((\.L\S+?)\)", i.text) if i.name.startswith("BRA") else None
        first = labels.get(target[1]) if target else None
        if first is not None and first < i.address:
            loops.append((first, i.address))
    inner = [a for a in loops if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in loops)]
    bodies = [[i for i in instructions if a <= i.address <= b] for a, b in inner]
    return max(bodies, key=work, default=instructions)


def work(instructions: list[Instruction]) -> int:
    """The number of instructions that compute in floating point."""
    return sum(i.name.split(".")[0] in ARITHMETIC for i in instructions)


def shares(instructions: list[Instruction]) -> dict[str, float]:
    """{"FFMA": 0.9, ...}: the share of each kind."""
    counts = Counter(i.name.split(".")[0] for i in instructions)
    return {name: n / len(instructions) for name, n in counts.most_common()}


def local_memory(instructions: list[Instruction]) -> int:
    """The number of instructions that load from or store to local memory."""
    return sum(i.name.split(".")[0] in ("LDL", "STL") for i in instructions)


def widths(instructions: list[Instruction], kind: str) -> Counter:
    """{bits: count} of the accesses of a kind (LDG, LDS, STS or STG)."""
    found = Counter()
    for i in instructions:
        name, *rest = i.name.split(".")
        if name == kind:
            found[next((int(w) for w in rest if w in ("64", "128")), 32)] += 1
    return found


@cache
def _nvdisasm():
    for folder in dict.fromkeys([*sys.path, *site.getsitepackages()]):
        for place in ("nvidia/cu13/bin/nvdisasm", "nvidia/cuda_nvdisasm/bin/nvdisasm"):
            if (found := Path(folder or ".", place)).is_file():
                return found
    return None
