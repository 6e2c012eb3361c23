"""How fast could each operation be on a GPU? Calculates a lower bound on the time.

    python -m bench.gpu.roofline        writes the tables of docs/cuda.md

An operation that moves B bytes to and from the card's memory and does F FLOP takes at least
max(B / bandwidth, F / peak) seconds. B counts every input and output array once, as if nothing was
read twice and no cache had data of the previous operation; F counts 2 for a multiply-add.
On tensor cores the peak is another, so high that the instructions beside the products may take
longer: a multiprocessor issues ISSUED of them in a cycle.
Source: Williams, Waterman & Patterson 2009, Communications of the ACM 52, 65.
"""

import argparse
from typing import NamedTuple

from bench import ROOT
from bench.shared import table
from enhance_np import params
from enhance_np.config import DEFAULT

PAGE = ROOT / "docs" / "cuda.md"
SHAPE = 32, 50, 50  # N, H, W of a training step
NO_TF32 = "no TF32"
ISSUED = 4  # instructions of warps in a cycle of a multiprocessor
# of kernels/conv3x3_3xtf32.cu (tests/kernels/test_three_products.py): instructions of a warp in its
# loop for compute capability 9.0, and the multiply-adds of float32 for which they stand
LOOP, OF_LOOP = 779, 32 * 64 * 24
METHODS = {  # name of engine.cuda.methods -> operation
    "float32": "3x3, 64 to 64",
    "winograd": "the same by Winograd",
    "3xtf32": "the same by three products of TF32",
}


class Card(NamedTuple):
    """A card by NVIDIA's data sheet, at the boost clock and without sparsity."""

    name: str
    flops: float  # FP32 without tensor cores
    bandwidth: float  # bytes/s
    cores: int  # FP32 cores of a multiprocessor
    tf32: float | None  # FLOP/s of tensor cores

    @property
    def issue(self) -> float:
        """Instructions of warps per second."""
        return ISSUED * self.flops / (2 * self.cores)


CARDS = (
    Card("T4", 8.1e12, 320e9, 64, None),
    Card("A100 40 GB", 19.5e12, 1555e9, 64, 156e12),
    Card("RTX 4090", 82.6e12, 1008e9, 128, 82.6e12),
    Card("H100 SXM", 66.9e12, 3350e9, 128, 494.7e12),
    Card("H200", 66.9e12, 4800e9, 128, 494.7e12),
)


class Operation(NamedTuple):
    name: str
    times: int  # in a training step
    bytes: int
    flop: int
    instructions: int = 0  # of warps; given if the FLOP are those of tensor cores in TF32

    @property
    def intensity(self) -> float:
        return self.flop / self.bytes

    def runs_on(self, card: Card) -> bool:
        return not self.instructions or card.tf32 is not None

    def limits(self, card: Card) -> dict[str, float]:
        """{what may be the bound: seconds}"""
        peak = card.tf32 if self.instructions else card.flops
        return {
            "memory": self.bytes / card.bandwidth,
            "arithmetic": self.flop / peak,
            "issue": self.instructions / card.issue,
        }

    def seconds(self, card: Card) -> float:
        return max(self.limits(card).values())

    def bound(self, card: Card) -> str:
        limits = self.limits(card)
        return max(limits, key=limits.get)


def operations(config=DEFAULT, shape=SHAPE) -> list[Operation]:
    """The operations of a training step; float32, 4 bytes per value."""
    n, h, w = shape
    pixels, c, r = n * h * w, config.filters, config.refine
    values, outputs = pixels * c, 4 * pixels * r  # of an activation; of what the upsampling makes
    convs = 2 * config.depth + 1  # each with a batch norm behind it
    weights = 9 * c * c
    trainable, _ = params.count(config)

    def moves(values, flop, times, name):
        return Operation(name, times, 4 * values, flop)

    conv = 2 * weights * pixels
    of_definition = 2 * 9 * c * outputs
    folded, folded_weights = of_definition * 4 // 9, 16 * c * r
    # U is written and read, and costs 42 additions and halves; V 8 additions for a value, Y 6
    winograd = 16 * 2 * c * c * pixels // 4 + 14 * values + 42 * c * c
    return [
        moves(pixels + 9 * c + values, 18 * values, 1, "first 3x3, 1 to 64"),
        moves(pixels + 9 * c + values, 18 * values, 1, "its dW"),
        moves(2 * values + weights, conv, convs, "3x3, 64 to 64"),
        moves(2 * values + weights + 32 * c * c, winograd, 0, METHODS["winograd"]),
        moves(2 * values + weights, 3 * conv, 0, METHODS["3xtf32"])._replace(
            instructions=conv // 2 * LOOP // OF_LOOP
        ),
        moves(2 * values + weights, conv, convs, "its dX"),
        moves(2 * values + weights, conv, convs, "its dW"),
        moves(values + folded_weights + outputs, folded, 1, "upsampling + 3x3, folded"),
        moves(values + folded_weights + outputs, folded, 1, "its dX, folded"),
        moves(values + folded_weights + outputs, folded, 1, "its dW, folded"),
        moves(outputs + 4 * pixels, 2 * outputs, 1, "ReLU + 1x1, 64 to 1"),
        moves(2 * outputs + 4 * pixels, 4 * outputs, 1, "its dX and dW"),
        moves(values, 3 * values, convs, "batch norm: mean and variance"),
        moves(2 * values, 3 * values, config.depth, "scale, shift, ReLU"),
        moves(3 * values, 3 * values, config.depth + 1, "scale, shift, add"),
        moves(2 * values, 4 * values, convs, "backward: two sums"),
        moves(3 * values, 5 * values, convs, "backward: dx"),
        moves(2 * values, values, 1, "ReLU behind the first"),
        moves(3 * values, values, 1, "its backward"),
        moves(3 * values, values, config.depth + 1, "two gradients added"),
        moves(3 * 4 * pixels, 4 * 4 * pixels, 1, "mean squared error"),
        moves(7 * trainable, 12 * trainable, 1, "Adam"),
    ]


def text(found: list[Operation]) -> str:
    header = ["operation", "times", "MB", "GFLOP", "FLOP/byte", *(card.name for card in CARDS)]
    rows = [
        [
            one.name,
            str(one.times),
            f"{one.bytes / 1e6:.3g}",
            f"{one.flop / 1e9:.3g}",
            f"{one.intensity:.2g}" if one.intensity < 10 else f"{one.intensity:.0f}",
            *(
                f"{1e3 * one.seconds(card):.3f} ms, {one.bound(card)}"
                if one.runs_on(card)
                else NO_TF32
                for card in CARDS
            ),
        ]
        for one in found
    ]
    step = [f"{1e3 * total(found, card):.3g} ms" for card in CARDS]
    rows.append(["all of a step, at least", "", "", "", "", *step])
    cards = "; ".join(
        f"{card.name} {card.flops / 1e12:g} TFLOP/s, {card.bandwidth / 1e9:g} GB/s, "
        f"{card.flops / card.bandwidth:.0f} FLOP/byte"
        + (f", {card.tf32 / 1e12:g} TFLOP/s in TF32" if card.tf32 else "")
        for card in CARDS
    )
    n, h, w = SHAPE
    return (
        f"{table.markdown(header, rows)}\n\n"
        f"**Bounds, not measurements.** {n} patches of {h} x {w}, depth {DEFAULT.depth}, "
        f"{DEFAULT.filters} filters. {cards}, by their data sheets."
    )


def total(found: list[Operation], card: Card) -> float:
    return sum(one.times * one.seconds(card) for one in found if one.times)


def by_method(found: list[Operation], method: str) -> list[Operation]:
    """The operations of a step whose y and dX of 64 to 64 channels are computed by a method."""
    if method == "float32":
        return found
    times = sum(one.times for one in found if one.name in (METHODS["float32"], "its dX"))
    moved = {METHODS["float32"]: 0, "its dX": 0, METHODS[method]: times}
    return [one._replace(times=moved.get(one.name, one.times)) for one in found]


def of_methods(found: list[Operation]) -> str:
    """The table of steps by each method."""
    rows = []
    for method in METHODS:
        step = by_method(found, method)
        runs = [all(one.runs_on(card) for one in step if one.times) for card in CARDS]
        rows.append([f"`{method}`"])
        for card, can in zip(CARDS, runs, strict=True):
            share = total(step, card) / total(found, card) if can else 0
            rows[-1].append(f"{1e3 * total(step, card):.3g} ms, {share:.2f}" if can else NO_TF32)
    n, h, w = SHAPE
    return (
        f"{table.markdown(['convolution', *(card.name for card in CARDS)], rows)}\n\n"
        "**Estimates, not measurements**: the sum of the bounds of a step's operations by "
        f"data-sheet peaks, and its share of `float32`'s. {n} patches of {h} x {w}, "
        f"depth {DEFAULT.depth}, {DEFAULT.filters} filters."
    )


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    table.replace(PAGE, "roofline", text(operations()))
    table.replace(PAGE, "methods", of_methods(operations()))


if __name__ == "__main__":
    main()
