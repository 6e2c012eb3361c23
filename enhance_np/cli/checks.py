"""summary and gradcheck: what can be said of the network without an image."""

from .options import network_config, sizes


def add_commands(command) -> None:
    add = command(
        "summary", _summary, "print the network's layers, parameters, work and receptive field"
    )
    sizes(add)

    add = command("gradcheck", _gradcheck, "hold every backward pass against finite differences")
    add.add_argument("--seed", type=int, default=0)


def _summary(options) -> None:
    from ..summary import table

    print(table(network_config(options)))


def _gradcheck(options) -> int:
    """Exit status 1 if a check fails."""
    from ..gradcheck import check_all

    checks = list(check_all(options.seed))
    for check in checks:
        if not options.quiet or not check.passed:
            verdict = "ok" if check.passed else "FAILED"
            print(f"{check.name:<52} error {check.error:.1e}  bound {check.bound:.1e}  {verdict}")
    return int(not all(check.passed for check in checks))
