"""summary, gradcheck and gpu-selftest: the commands that need no image."""

from .options import network_config, sizes


def add_commands(command) -> None:
    add = command(
        "summary", _summary, "print the network's layers, parameters, work and receptive field"
    )
    sizes(add)
    add.add_argument(
        "--weights",
        metavar="FILE",
        help="describe the network of this weights file and count its live filters",
    )

    add = command("gradcheck", _gradcheck, "check every backward pass against finite differences")
    add.add_argument("--seed", type=int, default=0, help="of the random arrays (default 0)")

    add = command("gpu-selftest", _gpu_selftest, "compare a GPU with the CPU, and time it")
    add.add_argument("--json", metavar="FILE", help="write a report to attach to an issue")
    add.add_argument("--overwrite", action="store_true", help="replace an existing file")


def _summary(options) -> None:
    from ..inspection.summary import table
    from ..weights import load

    weights = load(options.weights, options.activation) if options.weights else None
    config = network_config(options, weights and weights.config)
    if weights is not None and config != weights.config:
        raise ValueError(f"summary: {options.weights} is a {weights.config}, got {config}")
    print(table(config, weights))


def _gradcheck(options) -> int:
    """Exit status 1 if a check fails."""
    from ..inspection.gradcheck import check_all

    checks = list(check_all(options.seed))
    for check in checks:
        if not options.quiet or not check.passed:
            verdict = "ok" if check.passed else "FAILED"
            print(f"{check.name:<52} error {check.error:.1e}  bound {check.bound:.1e}  {verdict}")
    return int(not all(check.passed for check in checks))


def _gpu_selftest(options) -> int:
    """Exit status 1 if a result is wrong."""
    from ..inspection import gpu_selftest

    def say(line):
        if not options.quiet:
            print(line, flush=True)

    report = gpu_selftest.run(options.json, options.overwrite, say)
    return int(not report["passed"])
