"""enhance-np: parses arguments, calls the library and reports each error in one line.

Only the standard library is imported before a command runs, so --help and --version are fast.
"""

import argparse
import logging
import sys

from .. import __version__
from . import checks, data, evaluate, interrupt, predict, see, train
from .options import LogLine, Parser, report_line

# exceptions whose message is meant for the user; any other is a fault of the program
EXPECTED = (ValueError, OSError, RuntimeError, ImportError, ArithmeticError, MemoryError)


def parser() -> argparse.ArgumentParser:
    common = Parser(add_help=False)
    common.add_argument("--quiet", action="store_true", help="show no progress and no log")
    top = Parser(
        prog="enhance-np",
        description="Deconvolve and super-resolve SDO/HMI images with a residual network.",
    )
    top.add_argument("--version", action="version", version=f"enhance_np {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, run, help):
        made = commands.add_parser(name, help=help, description=help, parents=[common])
        made.set_defaults(run=run)
        return made

    for subject in (predict, evaluate, see, checks, data, train):  # the order of --help
        subject.add_commands(command)
    return top


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options; files of one command may stand before and after its options.

    argparse gives all files to `paths` that stand together, and returns the others.
    """
    top = parser()
    options, rest = top.parse_known_args(arguments)
    files = [word for word in rest if word == "-" or not word.startswith("-")]
    if rest != (files if hasattr(options, "paths") else []):
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    if files:
        options.paths += files
    return options


def main(arguments: list[str] | None = None) -> None:
    options = _parsed(arguments)
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(LogLine())
    logging.basicConfig(
        level=logging.WARNING if options.quiet else logging.INFO,
        handlers=[lines],
    )
    try:
        if getattr(options, "threads", None) is not None:
            from .._threads import set_threads

            set_threads(options.threads)
        with interrupt.deferred():
            sys.exit(options.run(options))
    except KeyboardInterrupt:
        print(f"enhance-np {options.command}: interrupted", file=sys.stderr)
        sys.exit(130)
    except EXPECTED as error:
        sys.exit(report_line(options.command, error))
    except Exception as error:
        message = " ".join(f"{type(error).__name__} {error}".split())
        sys.exit(f"enhance-np {options.command}: a fault of the program, please report: {message}")
