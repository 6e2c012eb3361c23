"""How much of a card's time do tiles and runs waste? Calculates it from the shapes.

    python -m bench.gpu.tiles        writes the table of docs/cuda.md

Before, every convolution of 64 channels had tiles of 4 x 32 pixels, and every gradient strips of 32
and runs of 16 or more. Now engine.cuda.shapes chooses by its model, which also gives these times.
"""

import argparse

from bench import ROOT
from bench.shared import table
from enhance_np.engine.cuda import convolution, shapes

PAGE = ROOT / "docs" / "cuda.md"
CARDS = {"A100": 108, "RTX 4090": 128, "H100, H200": 132}  # multiprocessors, by data sheets
IMAGES = (4, 50, 50), (32, 50, 50), (1, 400, 400), (1, 1024, 1024)
CHANNELS, LIMIT = 64, shapes.BLOCKS
MULTIPLY_ADDS = 0.86  # share among the instructions of conv3x3_gradient.cu's loop


def of_convolution(size, processors, tiles) -> float:
    """Share of the peak that the model leaves to a convolution."""
    n, h, w = size
    one = shapes.tile(*size, 1, processors, tiles)
    return n * h * w / processors / shapes.tile_time(one, *size, 1, processors)


def of_gradient(size, processors, strips, chosen: bool) -> float:
    """The same for dW. chosen : whether shapes.runs divides it, or equal runs of the least."""
    n, h, w = size
    width, blocks = shapes.strip(w, strips), convolution._gradient_blocks(CHANNELS, CHANNELS)[1]
    count = n * h * -(-w // width)
    divided = shapes.runs if chosen else equal
    _, per = divided(count, blocks, convolution.STRIPS)
    waste = shapes.runs_time(count, blocks, per, (processors,)) / processors
    useful = w / (-(-w // width) * width)
    return useful * MULTIPLY_ADDS / waste / processors


def equal(count, blocks, least):
    per = max(least, -(-count // (LIMIT // blocks)))
    return -(-count // per), per


def text() -> str:
    rows = []
    for size in IMAGES:
        n, h, w = size
        framed = n, h + 2, w + 2
        for what, share in {
            "y": lambda p, now, size=size: of_convolution(size, p, shapes.TILES[: 1 + now]),
            "dX": lambda p, now, size=framed: of_convolution(size, p, shapes.TILES[: 1 + now])
            * (size[1] - 2) * (size[2] - 2) / size[1] / size[2],
            "dW": lambda p, now, size=size: of_gradient(size, p, shapes.STRIPS[: 1 + now], now),
        }.items():  # fmt: skip
            cells = [f"{share(p, False):.2f} → {share(p, True):.2f}" for p in CARDS.values()]
            rows.append([f"{n} x {h} x {w}", what, *cells])
    return (
        table.markdown(["images", "of a convolution", *CARDS], rows)
        + "\n\n**Estimates, not measurements**: the share of the peak that a model of whole blocks "
        "on whole multiprocessors leaves, before → now, 64 to 64 channels."
    )


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    table.replace(PAGE, "tiles", text())


if __name__ == "__main__":
    main()
