"""summary, gradcheck and gpu-selftest: the commands that need no image."""

from .options import network_config, sizes
from .terminal import say


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

    add = command(
        "gradcheck",
        _gradcheck,
        "check every backward pass: adjoints, finite differences, joined operations, the network",
    )
    add.add_argument(
        "--engine",
        choices=("reference", "cpu", "gpu"),
        default="reference",
        help="whose operations: the reference in float64 (default), or another in float32",
    )
    add.add_argument("--seed", type=int, default=0, help="of the random arrays (default 0)")
    add.add_argument(
        "--coordinates",
        type=int,
        default=0,
        metavar="N",
        help="check N random entries of every tensor one by one, beside a random direction",
    )
    add.add_argument("--verbose", action="store_true", help="one line for each check")
    add.add_argument(
        "--break",
        dest="fault",
        metavar="NAME",
        help="plant a known fault, to see how it is found; 'list' lists them",
    )

    add = command("gpu-selftest", _gpu_selftest, "compare a GPU with the CPU, and time it")
    add.add_argument("--json", metavar="FILE", help="write a report to attach to an issue")
    add.add_argument("--overwrite", action="store_true", help="replace an existing file")


def _summary(options) -> None:
    from ..inspection.summary import table
    from ..weights import load

    weights = load(options.weights, options.activation) if options.weights else None
    config = network_config(options, weights and weights.config)
    if weights is not None and config != weights.config:
        raise ValueError(f"summary: {options.weights} is a {weights.config!r}, got {config!r}")
    say(table(config, weights))


def _gradcheck(options) -> int:
    """Exit status 1 if a check fails."""
    for name in ("seed", "coordinates"):
        if getattr(options, name) < 0:
            raise ValueError(f"gradcheck: --{name} must be >= 0, got {getattr(options, name)}")
    from ..engine import REFERENCE, select
    from ..inspection.gradcheck import check_all, faults
    from ..inspection.gradcheck.table import conclusion, first_culprit, table

    if options.fault == "list":
        for fault in faults.CATALOGUE.values():
            say(f"{fault.name}\n    {fault.explanation}")
        return 0
    fault = None if options.fault is None else faults.find(options.fault)
    engine = REFERENCE if options.engine == "reference" else select(options.engine)
    planted = faults.planted(engine, fault) if fault else (engine,)
    checks = list(check_all(options.seed, options.coordinates, *planted))
    failed = first_culprit(checks)
    if failed or not options.quiet:
        if not (options.verbose or options.quiet):
            say("Of several checks, a line shows the one that comes closest to its bound.\n")
        say(table(checks, options.verbose, only_failed=options.quiet))
        say(f"\n{conclusion(checks)}")
    if fault:
        say(f"Planted: {fault.name}. {fault.explanation}")
    return int(failed is not None)


def _gpu_selftest(options) -> int:
    """Exit status 1 if a result is wrong."""
    from ..inspection import gpu_selftest

    def report_line(line):
        if not options.quiet:
            say(line)

    report = gpu_selftest.run(options.json, options.overwrite, report_line)
    return int(not report["passed"])
