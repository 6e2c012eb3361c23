"""Messages: one line, and flags where the command line adds them."""

import ast
import logging
import re
from pathlib import Path

import pytest

import enhance_np
from enhance_np._errors import avoidable, one_line
from enhance_np.cli import parser
from enhance_np.cli.options import FLAGS, LogLine, report_line

ROOT = Path(enhance_np.__file__).parent
LIBRARY = [path for path in sorted(ROOT.rglob("*.py")) if path.parent.name != "cli"]


def test_one_line():
    assert one_line(ValueError("a\n  b\tc")) == "a b c"
    assert one_line(MemoryError()) == "MemoryError"


def test_the_command_line_adds_its_flags():
    error = avoidable(ValueError("predict: must hold,\ngot none"), "norm_from", "resume")
    assert str(error) == "predict: must hold,\ngot none"
    line = report_line("predict", error)
    assert line == "enhance-np predict: must hold, got none (see --norm-from, --continue)"
    assert report_line("predict", ValueError("a"), "b.fits: ") == "enhance-np predict: b.fits: a"


def test_log_lines_have_flags_too():
    record = logging.LogRecord("a", logging.INFO, "", 0, "%s is used", ("HMI",), None)
    assert LogLine().format(record) == "HMI is used"
    record.parameters = ("type",)
    assert LogLine().format(record) == "HMI is used (see --type)"


def nodes(path, *kinds):
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds))


def named(path):
    """Parameters that the file's errors and log records name."""
    for call in nodes(path, ast.Call):
        if getattr(call.func, "id", None) == "avoidable":
            yield from (a.value for a in call.args[1:] if isinstance(a, ast.Constant))
        for extra in (k.value for k in call.keywords if k.arg == "extra"):
            yield from ast.literal_eval(extra)["parameters"]


def test_every_parameter_that_is_named_has_a_flag():
    commands = parser()._subparsers._group_actions[0].choices.values()
    known = {flag for command in commands for flag in command._option_string_actions}
    found = {name for path in LIBRARY for name in named(path)}
    assert {"type", "overwrite", "weights", "norm_from", "optics"} <= found
    for name in found:
        for flag in FLAGS.get(name, f"--{name.replace('_', '-')}").split(", "):
            assert flag in known, name


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_library_names_no_flag(path):
    """In the text of errors and log records; a docstring may tell of the command line."""
    holders = nodes(path, ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {ast.get_docstring(node, clean=False) for node in holders}
    said = {node.value for node in nodes(path, ast.Constant) if isinstance(node.value, str)}
    flags = {flag for text in said - docstrings for flag in re.findall(r"--[a-z][a-z-]+", text)}
    assert flags <= {"--std", "--cut"}  # of the CUDA compiler; a property of CSS
