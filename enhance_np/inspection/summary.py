"""The network as a table of its layers: output, parameters, cost and receptive field."""

from math import prod

from .. import params
from ..config import NetworkConfig
from ..engine.fold import fold, live_filters
from ..engine.tiles import AFTER_UPSAMPLING, halo
from ..weights import Weights


def table(config: NetworkConfig, weights: Weights | None = None) -> str:
    """Layers with output shape, parameters, multiply-adds and receptive field.

    Shapes are those for one input image of H x W pixels. MAC are multiply-adds per input pixel. The
    receptive field is the side, in input pixels, of the square on which an output pixel depends.
    weights : of such a network. The table then also has the number of live filters of each
    convolution, which can change the output (see engine.prune), and the multiply-adds of
    prediction.
    """
    lines = [["layer", "output", "parameters", "MAC / pixel", "sees"]]
    lines.append(["input", "H, W, 1", "", "", "1"])
    alive = live_filters(weights) if weights else {}
    reach, scale, total = 0.0, 1, 0
    shape = "H, W"
    for kind, name, size in params.layers(config):
        if name in AFTER_UPSAMPLING and scale == 1:
            lines.append(["upsample", f"2H, 2W, {config.filters}", "", "", sees(reach)])
            scale, shape = 2, "2H, 2W"
        channels = size[-1]
        if kind == "conv":
            count, work = prod(size) + channels, prod(size) * scale**2
            reach += size[0] // 2 / scale
            total += work
            cost = f"{work:,}"
        else:
            count, cost = 4 * channels, ""
        lines.append([name, f"{shape}, {channels}", f"{count:,}", cost, sees(reach)])
        if name in alive:
            lines[-1].append("{} of {}".format(*alive[name]))
    columns = 5
    if weights:
        columns, lines[0] = 6, [*lines[0], "live filters"]
    lines = [line + [""] * (columns - len(line)) for line in lines]
    widths = [max(len(line[i]) for line in lines) for i in range(columns)]
    text = "\n".join(
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
    trainable, moving = params.count(config)
    work = f"multiply-adds per input pixel {total:,}"
    if weights:
        work += f", of living channels {living_work(weights):,}"
    return (
        f"{text}\n\n"
        f"parameters {trainable + moving:,}, trainable {trainable:,}, moving {moving:,}\n"
        f"{work}\n"
        f"halo {halo(config)} input pixels\n"
        f"activation {config.activation}, each convolution after a reflection pad"
    )


def living_work(weights: Weights) -> int:
    """Multiply-adds per input pixel without dead channels."""
    return sum(
        conv.w.size * (4 if name in AFTER_UPSAMPLING else 1)
        for name, conv in fold(weights, multiple=1).items()
    )


def sees(reach: float) -> str:
    """Side of the receptive field that extends `reach` input pixels to each side."""
    return f"{2 * reach + 1:g}"
