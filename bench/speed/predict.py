"""How long does the whole network take on one image, compared with OpenVINO and four others?

    python -m bench.speed.predict [--sizes 200 400 1024 4096] [--repeats 20] [--large-repeats 3]
                                  [--weights-size 400] [--peers NAME ...] [--threads N] [--write]

Every way has the same weights, image and number of threads, and is compared with network.py in
float64 before it is timed. The image is a synthetic sunspot as HMI sees it; our engine is also
compared on noise, and with random weights. All installed peers take part (see speed/peers),
except those whose activations would not fit into memory. Images above 1024 pixels a side have
--large-repeats rounds.

Then the script tests whether the time depends on the weights. An image of --weights-size pixels a
side goes through each of the shipped networks, through fresh weights of the same sizes, and through
weights of which a third are subnormal, as trained ones once were. All must take the same time, or
less where dead channels are removed.
"""

import os
from functools import partial

from bench.shared import reference64, table, timing, workload
from bench.speed import peers
from enhance_np.config import MODELS, TYPES
from enhance_np.engine import REFERENCE, select

ACCURACY = 200  # pixels: our engine alone is held against float64 on other inputs
REFERENCE_LIMIT = 400  # pixels: im2col of a larger image takes gigabytes
# A peer computes the whole image at once. Around its largest convolution it holds three
# activations of the doubled grid (x, x padded, y), and several keep their memory for next time.
ACTIVATIONS = 3


def main():
    parser = timing.arguments(__doc__.splitlines()[0], repeats=20)
    parser.add_argument("--sizes", type=timing.positive, nargs="+", default=[200, 400, 1024, 4096])
    parser.add_argument(
        "--large-repeats", type=timing.positive, default=3, help="rounds above 1024 pixels"
    )
    parser.add_argument(
        "--weights-size", type=timing.positive, default=400, help="pixels a side (%(default)s)"
    )
    peers.add_option(parser, peers.PREDICT)
    options = parser.parse_args()
    packages = peers.chosen(options.peers, peers.PREDICT)
    timing.clean_start(options.threads)
    record = {
        "environment": timing.environment(options.threads, packages),
        "repeats": options.repeats,
        "large repeats": options.large_repeats,
        "accuracy": accuracy(min(ACCURACY, *options.sizes)),
        "results": [measured(size, packages, options) for size in options.sizes],
        "weights": {
            "size": options.weights_size,
            "networks": [
                by_weights(type, model, options.weights_size, options.repeats)
                for type in TYPES
                for model in MODELS
            ],
        },
    }
    timing.publish("predict", record, text, options, timing.PAGE)


def accuracy(size):
    """Errors of our engine on a sunspot and on noise, with trained and with random weights."""
    found, cpu = {}, select("cpu")
    for kind, weights in (("shipped", workload.shipped()), ("random", workload.random())):
        for image, x in (("sunspot", workload.sun(size)), ("noise", workload.noise(size))):
            errors = reference64.Page(x, weights).errors(cpu.predictor(weights)(x))
            found[f"{kind} weights, {image}"] = accepted("enhance_np", errors)
    return found


def measured(size, packages, options):
    weights, x = workload.shipped(), workload.sun(size)
    large = size > reference64.WHOLE
    fitting = packages if fits(weights, x, packages) else []
    known = ways(weights, x, fitting, options.threads)
    page = reference64.Page(x, weights)
    errors = {name: accepted(name, page.errors(way())) for name, way in known.items()}
    # of a large image one call is enough: it passes through the same code many times
    seconds = timing.interleaved(
        known, *((options.large_repeats, 0) if large else (options.repeats,))
    )
    summary = timing.summary(seconds)
    others = [name for name in known if not name.startswith("enhance_np")]
    return {
        "size": size,
        "errors": errors,
        "summary": summary,
        "fastest peer": timing.fastest(summary, others),
        "seconds": seconds,
    }


def by_weights(type, model, size, repeats):
    """Our engine with the network that ships, and with others of its size."""
    shipped, x, cpu = workload.shipped(model, type), workload.sun(size, type), select("cpu")
    networks = {
        "fresh": workload.random(shipped.config),
        "shipped": shipped,
        "a third subnormal": workload.subnormal(shipped.config),
    }
    name = f"{type} {model}"
    ways = {kind: partial(cpu.predictor(weights), x) for kind, weights in networks.items()}
    errors = {
        kind: accepted(f"{name}, {kind}", reference64.Page(x, weights).errors(ways[kind]()))
        for kind, weights in networks.items()
    }
    seconds = timing.interleaved(ways, repeats)
    summary = timing.summary(seconds)
    return {"network": name, "errors": errors, "summary": summary, "seconds": seconds}


def fits(weights, x, packages) -> bool:
    """Whether this machine has the memory for all `packages` at once."""
    need = len(packages) * ACTIVATIONS * 4 * 4 * x.size * weights.config.refine
    if need <= (have := available()):
        return True
    print(
        f"{len(x)} x {len(x)}: {', '.join(packages)} left out, as they may need "
        f"{need / 2**30:.0f} GiB of {have / 2**30:.0f}"
    )
    return False


def available() -> int:
    """Bytes of unused memory if the system reports it, else of all memory."""
    try:
        with open("/proc/meminfo") as lines:
            return next(1024 * int(line.split()[1]) for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def ways(weights, x, packages, threads):
    """name -> callable that gives the (2H, 2W) output for x; ours first."""
    found = {"enhance_np": partial(select("cpu").predictor(weights), x)}
    found |= peers.predictors(packages, weights, x, threads)
    if max(x.shape) <= REFERENCE_LIMIT:
        found["enhance_np, reference layers"] = partial(REFERENCE.predictor(weights), x)
    return found


def accepted(name, errors):
    print(f"{name}: rms error {errors.rms:.1e}, largest {errors.largest:.1e} of the range")
    if not errors.small():
        raise SystemExit(
            f"predict: {name} must keep rms {reference64.RMS:.0e} and largest "
            f"{reference64.LARGEST:.0e} of the range: not timed"
        )
    return errors._asdict()


def text(record):
    results = record["results"]
    names = list(dict.fromkeys(name for r in results for name in r["summary"]))
    rows = ([_size(r), *timing.cells(r["summary"], names)] for r in results)
    fastest = [f"{_size(r)}: {r['fastest peer'][0]}" for r in results if r["fastest peer"]]
    worst = max(e["largest"] for r in results for e in r["errors"].values())
    ours = (
        [name, f"{errors['rms']:.1e}", f"{errors['largest']:.1e}"]
        for name, errors in record["accuracy"].items()
    )
    found = [
        table.markdown(["input", *names], rows),
        timing.caption(record)
        + f" Above {reference64.WHOLE} pixels a side {record['large repeats']} rounds. A dash: "
        "does not fit into memory; the reference layers would take minutes."
        + (f" Fastest peer: {', '.join(fastest)}." if fastest else "")
        + f" Largest error against float64, over the range of the output: {worst:.1e}.",
        "Errors of enhance_np against float64:",
        table.markdown(["on", "rms, relative", "largest, over the range"], ours),
    ]
    if "weights" in record:  # older records do not know
        found += weights_text(record["weights"])
    return "\n\n".join(found)


def weights_text(found):
    networks = found["networks"]
    kinds = list(networks[0]["summary"])
    rows = ([n["network"], *timing.cells(n["summary"], kinds)] for n in networks)
    ratio, network, kind = max(
        (n["summary"][kind]["ratio"], n["network"], kind) for n in networks for kind in kinds[1:]
    )
    return [
        f"{_size(found)} with other weights of the same network, over the time of fresh ones:",
        table.markdown(["network", *kinds], rows),
        f"The largest ratio is {ratio:.2f}, of {network}, {kind}.",
    ]


def _size(result):
    return f"{result['size']} x {result['size']}"


if __name__ == "__main__":
    main()
