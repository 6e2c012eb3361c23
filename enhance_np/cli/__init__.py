"""enhance-np: parses arguments, calls the library and reports each error in one line.

Only the standard library is imported before a command runs, so --help and --version are fast.
"""

import argparse
import logging
import sys

from .. import __version__, _signals
from . import chapter, checks, compare, data, evaluate, learn, predict, see, train
from .options import LogLine, Parser, report_line
from .terminal import complain, warnings_logged

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

    for subject in (
        predict,
        evaluate,
        compare,
        chapter,
        see,
        learn,
        checks,
        data,
        train,
    ):  # the order of --help
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
    """Run a command and exit: status 0, 1 for an error, 2 for a wrong option, 130 for Ctrl-C, 143
    for SIGTERM."""
    command = ""
    try:
        options = _parsed(arguments)
        command = options.command
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(LogLine())
        level = logging.WARNING if options.quiet else logging.INFO
        logging.basicConfig(level=level, handlers=[handler])
        if getattr(options, "threads", None) is not None:
            from .._threads import set_threads

            set_threads(options.threads)
        with _signals.deferred(), warnings_logged():
            status = options.run(options)
        sys.exit(status)
    except KeyboardInterrupt as signal:
        complain(f"{f'enhance-np {command}'.strip()}: {_signals.word(signal)}")
        sys.exit(_signals.status(signal))
    except EXPECTED as error:
        sys.exit(report_line(command, error))
    except Exception as error:
        message = " ".join(f"{type(error).__name__} {error}".split())
        fault = ValueError(f"a fault of the program, please report: {message}")
        sys.exit(report_line(command, fault))
