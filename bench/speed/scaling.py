"""How does the cost of a prediction grow with pixels, threads and the network?

    python -m bench.speed.scaling [--sizes 256 512 1024 2048 4096] [--compare 400 1024]
                                  [--repeats 5] [--threads N] [--write]

Pixels: every image is predicted in its own process, which reports its peak memory. Small images are
predicted several times, so that each process computes about as many pixels. The sizes take turns,
and a time per pixel is compared with that of 1024 x 1024 in the same round. The results of the
first round are compared with network.py in float64, after the memory was read. Threads and network:
images of --compare pixels a side are predicted in one process in turn, with 1 and with all threads,
and by the shipped small network (1 block of 32 filters).
"""

from statistics import median

from bench.shared import own_process, reference64, table, timing, workload
from enhance_np._threads import set_threads
from enhance_np.engine import select

BASE = 1024  # pixels a side of the image that the others are compared with
CALLS = 9  # of one image in a process, at most


def main():
    parser = timing.arguments(__doc__.splitlines()[0], repeats=5)
    parser.add_argument(
        "--sizes", type=timing.positive, nargs="+", default=[256, 512, 1024, 2048, 4096]
    )
    parser.add_argument("--compare", type=timing.positive, nargs="+", default=[400, 1024])
    options = parser.parse_args()
    if BASE not in options.sizes:
        parser.error(f"--sizes must hold {BASE}, which the others are compared with")
    timing.clean_start(options.threads)
    record = {
        "environment": timing.environment(options.threads),
        "repeats": options.repeats,
        "pixels": pixels(options.sizes, options.repeats, options.threads),
        "threads and network": {
            size: compared(size, 2 * options.repeats + 1, options.threads)
            for size in options.compare
        },
    }
    timing.publish("scaling", record, text, options, timing.PAGE)


def pixels(sizes, repeats, threads):
    """Per size: seconds of an image, throughput per pixel over that of BASE, peak bytes."""
    rounds = []
    for done in range(repeats):
        rounds.append({})
        for size in sizes:
            calls = min(CALLS, max(1, (BASE // size) ** 2))
            found = own_process.measure(
                "predict", size=size, calls=calls, threads=threads, check=done == 0
            )
            rounds[-1][size] = found | {"seconds": median(found["seconds"])}
            print(f"round {done + 1}, {size} x {size}: {rounds[-1][size]}", flush=True)

    def per_pixel(done, size):
        return done[size]["seconds"] / size**2

    return [
        {
            "size": size,
            "seconds": median(done[size]["seconds"] for done in rounds),
            "throughput": median(per_pixel(done, BASE) / per_pixel(done, size) for done in rounds),
            "peak": max(done[size]["peak"] for done in rounds),
            "errors": rounds[0][size]["errors"],
            "rounds": [done[size] for done in rounds],
        }
        for size in sizes
    ]


def compared(size, repeats, threads):
    """Summary of default network, the same with 1 thread, small network."""
    x, cpu = workload.sun(size), select("cpu")
    networks = {name: workload.shipped(name) for name in ("default", "small")}
    predictors = {name: cpu.predictor(weights) for name, weights in networks.items()}
    for name, weights in networks.items():
        errors = reference64.Page(x, weights).errors(predictors[name](x))
        print(f"{name} network: rms error {errors.rms:.1e}, largest {errors.largest:.1e}")
        if not errors.small():
            raise SystemExit(f"scaling: the {name} network must keep the bars: not timed")

    def way(model, count):
        def call():
            set_threads(count)
            predictors[model](x)

        return call

    ways = {
        f"default network, {threads} thread(s)": way("default", threads),
        "default network, 1 thread": way("default", 1),
        f"small network, {threads} thread(s)": way("small", threads),
        "small network, 1 thread": way("small", 1),
    }
    seconds = timing.interleaved(ways, repeats)
    set_threads(threads)
    return {"summary": timing.summary(seconds), "seconds": seconds}


def text(record):
    rows = (
        [
            f"{r['size']} x {r['size']}",
            f"{r['seconds']:.3g} s",
            f"{1e9 * r['seconds'] / r['size'] ** 2:.0f} ns",
            f"{r['throughput']:.2f}",
            f"{r['peak'] / 2**30:.2f} GiB",
        ]
        for r in record["pixels"]
    )
    header = ["input", "time", "per pixel", f"throughput over that of {BASE}", "peak memory"]
    compared = {k: found["summary"] for k, found in record["threads and network"].items()}
    names = list(next(iter(compared.values())))
    return "\n\n".join(
        [
            table.markdown(header, rows),
            f"One image in a process of its own; medians of {record['repeats']} rounds; peak "
            "memory is the largest resident set, with Python, input and output.",
            table.markdown(
                ["input", *names],
                [[f"{k} x {k}", *timing.cells(found, names)] for k, found in compared.items()],
            ),
            f"In brackets the time over that of the first column; {timing.where(record)}",
        ]
    )


if __name__ == "__main__":
    main()
