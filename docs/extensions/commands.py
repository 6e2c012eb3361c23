"""Writes the reference of the commands from the program's own parser."""

import argparse
from collections.abc import Iterator

from enhance_np import cli

PAGE = "reference/commands"


def commands() -> dict[str, argparse.ArgumentParser]:
    """{name: parser} of every command, in the order of --help."""
    for action in cli.parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices
    raise ValueError("commands: the parser must have subcommands")


def page() -> str:
    """Markdown: one section for each command, with a table of its arguments."""
    return "\n\n".join(part for item in commands().items() for part in section(*item)) + "\n"


def section(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"## {name}"
    yield f"{_sentence(parser.description)}"
    formatter = parser.formatter_class(prog=parser.prog, width=88)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups)
    usage = formatter.format_help().removeprefix("usage: ").strip()
    usage = usage.replace("\n" + " " * len("usage: "), "\n")
    yield f"```text\n{usage}\n```"
    for group in parser._action_groups:
        actions = [a for a in group._group_actions if a.help != argparse.SUPPRESS]
        actions = [a for a in actions if not isinstance(a, argparse._HelpAction)]
        if not actions:
            continue
        if group.title not in ("positional arguments", "options"):
            yield f"**{_escaped(group.title)}.** {_sentence(group.description)}".strip()
        rows = [f"| {_names(formatter, a)} | {_help(formatter, a)} |" for a in actions]
        yield "\n".join(["| argument | meaning |", "| --- | --- |", *rows])


def _names(formatter, action):
    value = formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
    if not action.option_strings:
        return f"`{_cell(value)}`"
    return ", ".join(f"`{_cell(f'{flag} {value}'.strip())}`" for flag in action.option_strings)


def _help(formatter, action):
    return _cell(_escaped(formatter._expand_help(action) if action.help else ""))


def _sentence(text):
    text = _escaped(text or "")
    return text[:1].upper() + text[1:] + ("." if text and not text.endswith(".") else "")


def _escaped(text):
    for character in "\\*_<[$":
        text = text.replace(character, f"\\{character}")
    return text


def _cell(text):
    return " ".join(text.split()).replace("|", "\\|")


def setup(app):
    def read(app, name, source):
        if name == PAGE:
            source[0] += "\n" + page()

    app.connect("source-read", read)
    return {"parallel_read_safe": True}
