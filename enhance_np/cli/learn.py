"""exercises and grade: the commands for who learns backpropagation."""

from .terminal import say

PRINTED = 2000  # characters shown of what the file itself prints


def add_commands(command) -> None:
    add = command(
        "exercises", _exercises, "write the backward passes with blanks to fill in; give hints"
    )
    asked = add.add_mutually_exclusive_group(required=True)
    asked.add_argument("--out", metavar="PY", help="file to write, such as my_backward.py")
    asked.add_argument("--hint", metavar="NAME", help="print the hints for this function")
    add.add_argument(
        "--step", type=int, choices=(1, 2, 3), help="how many hints to print (default 1)"
    )
    add.add_argument("--overwrite", action="store_true", help="replace an existing file")

    add = command("grade", _grade, "say which properties the filled-in backward passes have")
    add.add_argument("file", metavar="PY", help="the file with your functions")
    add.add_argument("--only", metavar="NAME", help="check this exercise alone")
    add.add_argument(
        "--seconds", type=float, default=20, help="limit for each exercise (default 20)"
    )


def _exercises(options) -> None:
    from pathlib import Path

    from .._atomic import write_bytes
    from ..exercises import blanks
    from ..exercises.hints import HINTS

    if options.hint is None:
        if options.step is not None:
            raise ValueError("exercises: --step belongs to --hint")
        if not options.out.endswith(".py"):
            raise ValueError(f"exercises: --out must end in .py, got {options.out!r}")
        if Path(options.out).exists() and not options.overwrite:
            raise ValueError(f"exercises: {options.out} exists; --overwrite replaces it")
        write_bytes(options.out, Path(blanks.__file__).read_bytes())
        say(f"Fill in {options.out}, then: enhance-np grade {options.out}")
        return
    if options.hint not in HINTS:
        names = ", ".join(HINTS)
        raise ValueError(f"exercises: the hints are for {names}; got {options.hint!r}")
    step = options.step or 1
    for number, hint in enumerate(HINTS[options.hint][:step], 1):
        say(f"{number}. {hint}")
    if step < 3:
        say(f"More: enhance-np exercises --hint {options.hint} --step {step + 1}")


def _grade(options) -> int:
    """Exit status 1 unless everything is right."""
    from ..exercises.grade import NAMES, grade

    grades = []
    for found in grade(options.file, options.only, options.seconds):
        grades.append(found)
        if found.state == "not loaded":
            say(f"{options.file} cannot be loaded: {found.problem}")
        else:
            say(f"{found.name:<25}{found.state}")
            if found.holds:
                say(f"    holds   {', '.join(found.holds)}")
            if found.problem:
                say(f"    fails   {found.problem}")
        if printed := found.printed.strip():
            say(f"    printed {printed[:PRINTED]}".replace("\n", "\n            "))
    right = sum(found.state == "right" for found in grades)
    count = 1 if options.only else len(NAMES)
    say(f"\n{right} of {count} right.")
    left = [found.name for found in grades if found.state in ("wrong", "not begun")]
    if left and left[0] != "network":
        say(f"Next: enhance-np exercises --hint {left[0]}")
    return int(right < count)
