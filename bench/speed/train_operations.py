"""Times each operation of a training step, forward and backward."""

import time
from types import SimpleNamespace

from bench.shared import table, timing


class Timed:
    """`ops`, whose operations add their times to `seconds`: {(name, direction): s}.

    The name is that of network.py ("block3/conv1") if the operation takes parameters of p, or is
    the backward pass of one that does; otherwise it is that of the operation ("relu", "add").
    """

    def __init__(self, ops, p):
        self.seconds = {}
        self.layers = {id(a): name.rsplit("/", 1)[0] for name, a in p.items()}
        self.caches = {}  # id: name, and the cache itself, as an id is its own only while it lives
        self.ops = SimpleNamespace(
            **{name: self._timed(name, op) for name, op in vars(ops).items() if callable(op)}
        )

    def _timed(self, op_name, op):
        backward = op_name.endswith(("_backward", "_gradient"))

        def operation(*arguments, **keywords):
            start = time.perf_counter()
            result = op(*arguments, **keywords)
            seconds = time.perf_counter() - start
            if backward:
                name, _ = self.caches[id(arguments[1])]
            else:
                known = [self.layers[id(a)] for a in arguments if id(a) in self.layers]
                name = known[0] if known else op_name
                if isinstance(result, tuple):
                    self.caches[id(result[1])] = name, result[1]
            key = name, "backward" if backward else "forward"
            self.seconds[key] = self.seconds.get(key, 0) + seconds
            return result

        return operation


def profile(step, ops, p, repeats):
    """{(name, direction): seconds} and, under "step", of the whole: of the step of median time.

    step : callable, of the ops it is to compute with; it starts from p.
    """
    for _ in range(timing.WARM_UP):
        step(ops)
    rounds = []
    for _ in range(repeats):
        timed = Timed(ops, p)
        start = time.perf_counter()
        step(timed.ops)
        rounds.append(timed.seconds | {"step": time.perf_counter() - start})
    return sorted(rounds, key=lambda one: one["step"])[repeats // 2]


def text(found):
    """A table; the last line is the whole step, which includes more than the operations."""
    step = found["step"]
    names = list(dict.fromkeys(key[0] for key in found if key != "step"))
    both = [[found.get((name, way), 0.0) for way in ("forward", "backward")] for name in names]
    lines = [*zip(names, both, strict=True)]
    lines.append(("sum", [sum(column) for column in zip(*both, strict=True)]))
    rows = [[name, *map(_ms, (*one, sum(one))), f"{sum(one) / step:.3f}"] for name, one in lines]
    rows.append(["step, with loss, L2 and Adam", "", "", _ms(step), "1.000"])
    return table.markdown(["operation", "forward", "backward", "both", "share"], rows)


def _ms(seconds):
    return f"{1e3 * seconds:.2f} ms" if seconds else "–"
