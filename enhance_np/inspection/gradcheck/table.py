"""Checks as a table, and what they say together in a sentence."""

from collections.abc import Iterable
from math import isnan

from .check import Check

HEAD = "operation", "what was checked", "analytic", "measured", "difference", "allowed", "verdict"


def table(checks: Iterable[Check], verbose: bool = False, only_failed: bool = False) -> str:
    """One line for each operation and network, with the check that comes closest to its bound.

    That line is of the first check that failed, if one did, and says of how many it was chosen.
    verbose : one line for each check.  only_failed : leave out the lines that did not fail.
    """
    places = {}
    for i, check in enumerate(checks):
        places.setdefault((check.place, i) if verbose else check.place, []).append(check)
    lines = [HEAD] + [
        line for group in places.values() for line in [_line(group)]
        if line[-1].startswith("FAILED") or not only_failed
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 2 <= i <= 5 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _line(group):
    """The cells of one line for checks of one place."""
    kinks = [check for check in group if check.verdict == "kink"]
    failed = [check for check in group if check.verdict == "FAILED"]
    compared = [check for check in group if check.verdict == "ok"]
    shown = (failed or sorted(compared, key=_share)[-1:] or kinks)[0]
    verdict = shown.verdict
    if kinks and verdict != "kink":
        verdict += f", {len(kinks)} at a kink"
    of = f" (of {len(group)})" if len(group) > 1 else ""
    return (
        shown.place, shown.what + of, f"{shown.analytic:.7g}", f"{shown.measured:.7g}",
        f"{shown.difference:.1e}", f"{shown.allowed:.1e}", verdict,
    )  # fmt: skip


def _share(check):
    return check.difference / check.allowed if check.difference else 0.0


def first_culprit(checks: Iterable[Check]) -> Check | None:
    """The first check that failed. Parts come before what is made of them."""
    return next((check for check in checks if check.verdict == "FAILED"), None)


def conclusion(checks: list[Check]) -> str:
    """One sentence: the first culprit, or that there is none; one more if checks met a kink."""
    failed = first_culprit(checks)
    kinks = sum(check.verdict == "kink" for check in checks)
    if failed is None:
        text = f"All {len(checks) - kinks} comparisons are within their bounds."
    elif isnan(failed.difference):
        text = f"First culprit: {failed.culprit} ({failed.place}, {failed.what})."
    else:
        text = (
            f"First culprit: {failed.culprit} gives {failed.analytic:.7g} instead of "
            f"{failed.measured:.7g} ({failed.place}, {failed.what}), "
            f"and may be off by {failed.allowed:.1e}."
        )
    if kinks:
        text += (
            f"\n{kinks} checks were not made, because the input of an activation changes sign "
            "within the step: another seed will make them."
        )
    return text
