"""Draws the pictures of the layers' pages: python docs/learn/layers/drawings.py

Each function returns the parts of one SVG file of its name, and its width and height. The numbers
in the pictures are computed with the package.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from enhance_np import layers, network, optim, params
from enhance_np.baselines import NSR
from enhance_np.config import NetworkConfig
from enhance_np.optics.cosines import transfers
from enhance_np.optics.degrade import HMI, Optics

HERE = Path(__file__).parent
CELL = 30
BLUE, ORANGE, GREEN, GREY, PALE = "#0969da", "#bc4c00", "#1a7f37", "#d0d7de", "#f6f8fa"
SKY, PEACH, MINT, SAND = "#ddeeff", "#ffc08f", "#e6f4ea", "#fff4d6"
STYLE = """
  text { font: 14px sans-serif; fill: #1b1f24; text-anchor: middle; dominant-baseline: central }
  .left { text-anchor: start } .small { font-size: 12px; fill: #57606a }
  path, line { fill: none; stroke-width: 1.8 }
"""
DRAWINGS: dict[str, Callable] = {}


def drawing(function):
    DRAWINGS[function.__name__] = function
    return function


def svg(parts: list[str], width: int, height: int) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
    tips = "".join(
        f'<marker id="{colour[1:]}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" style="fill: {colour}"/>'
        "</marker>"
        for colour in (BLUE, ORANGE, GREEN)
    )
    back = f'<rect width="{width}" height="{height}" fill="white"/>'
    lines = [head, f"<style>{STYLE}</style><defs>{tips}</defs>", back, *parts, "</svg>"]
    return "\n".join(lines) + "\n"


def text(x, y, words, kind="", colour=""):
    style = f' style="fill: {colour}"' if colour else ""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}"{style}>{words}</text>'


def arrow(d, colour=BLUE):
    return f'<path d="{d}" stroke="{colour}" marker-end="url(#{colour[1:]})"/>'


def box(x, y, w, h, colour, words=()):
    """A box with lines of text in its middle."""
    found = [
        f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6" fill="{PALE}" stroke="{colour}"/>'
    ]
    for k, line in enumerate(words):
        at = y + h / 2 + 19 * (k - (len(words) - 1) / 2)
        found.append(text(x + w / 2, at, line, "small" if k else ""))
    return found


def grid(x, y, values, fill="white", cell=CELL):
    """A table of numbers or words; fill is one colour, or an array of them."""
    found = []
    values = np.asarray(values)
    for (i, j), colour in np.ndenumerate(np.broadcast_to(fill, values.shape)):
        left, top = x + j * cell, y + i * cell
        found.append(
            f'<rect x="{left:g}" y="{top:g}" width="{cell}" height="{cell}" fill="{colour}" '
            f'stroke="{GREY}"/>'
        )
        if word := str(values[i, j]):
            found.append(text(left + cell / 2, top + cell / 2, word))
    return found


def plot(x, y, w, h, curves, xs, ys, xlabel, ylabel, marks=()):
    """Curves (words, colour, x values, y values) in a frame; xs and ys are (first, last, ticks)."""

    def at(a, b):
        return x + w * (a - xs[0]) / (xs[1] - xs[0]), y + h * (1 - (b - ys[0]) / (ys[1] - ys[0]))

    found = [f'<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="white" stroke="{GREY}"/>']
    for tick in xs[2]:
        left, _ = at(tick, ys[0])
        found.append(text(left, y + h + 14, f"{tick:g}", "small"))
        found.append(f'<line x1="{left:g}" x2="{left:g}" y1="{y}" y2="{y + h}" stroke="{GREY}"/>')
    for tick in ys[2]:
        _, top = at(xs[0], tick)
        found.append(text(x - 20, top, f"{tick:g}", "small"))
        found.append(f'<line x1="{x}" x2="{x + w}" y1="{top:g}" y2="{top:g}" stroke="{GREY}"/>')
    found.append(text(x + w / 2, y + h + 34, xlabel, "small"))
    found.append(text(x + w / 2, y - 14, ylabel, "small"))
    for k, (words, colour, a, b) in enumerate(curves):
        points = " L".join("{:.1f} {:.1f}".format(*at(u, v)) for u, v in zip(a, b, strict=True))
        found.append(f'<path d="M{points}" stroke="{colour}"/>')
        found.append(text(x + w + 12, y + 14 + 22 * k, words, "left", colour))
    for words, value in marks:
        left, _ = at(value, ys[0])
        dash = 'stroke="#57606a" stroke-dasharray="4 4"'
        found.append(f'<line x1="{left:.1f}" x2="{left:.1f}" y1="{y}" y2="{y + h}" {dash}/>')
        found.append(text(left + 5, y + 12, words, "small left"))
    return found


@drawing
def padding():
    """A padded image of 4 x 4, and how often each pixel occurs in it."""
    names = np.array(list("abcdefghijklmnop")).reshape(4, 4)
    padded = np.pad(names, 1, mode="reflect")
    ones = layers.reflection_pad_backward(np.ones((1, 6, 6, 1)))[0, :, :, 0].astype(int)
    inside = np.pad(np.full((4, 4), SKY), 1, constant_values="white")
    fold = np.array(["", "white", "#ffe7d6", "", PEACH])[ones]
    return (
        [
            text(120, 20, "padded image: copies around a … p"),
            *grid(30, 40, padded, inside),
            arrow("M225 130 H285", ORANGE),
            text(255, 112, "backward", "small"),
            text(370, 20, "dx for dy = 1: number of copies"),
            *grid(310, 70, ones, fold),
        ],
        500,
        240,
    )


@drawing
def convolution():
    """A window of the image is a row of X."""
    x = np.arange(1, 17).reshape(4, 4)
    rows = layers.conv.im2col(x[None, :, :, None], 3, 3)
    seen = np.full(x.shape, "#ffffff")
    seen[:3, 1:] = SKY
    second = np.array([["white"], [SKY], ["white"], ["white"]])
    return (
        [
            text(80, 20, "x, 4 × 4"),
            *grid(20, 40, x, seen),
            arrow("M150 85 H185"),
            text(330, 20, "X = im2col(x), a window in each row"),
            *grid(195, 40, rows, second),
            text(480, 100, "·"),
            text(515, 20, "W"),
            *grid(500, 40, [[f"w{r}{s}"] for r in range(3) for s in range(3)], cell=CELL),
            text(548, 100, "="),
            text(585, 20, "Y"),
            *grid(570, 40, [["y00"], ["y01"], ["y10"], ["y11"]], second),
            text(330, 190, "backward: dW = Xᵀ dY;  dX = dY Wᵀ, and each dX is added", "small"),
            text(330, 208, "where its number was copied from (col2im)", "small"),
        ],
        640,
        330,
    )


@drawing
def winograd():
    """One tile: 6 x 6 inputs, 36 products, 4 x 4 outputs."""
    shared = np.full((6, 6), PEACH)
    shared[2:4, 2:4] = SKY
    six, four, cell = np.full((6, 6), ""), np.full((4, 4), ""), 20
    return (
        [
            text(80, 20, "inputs d"),
            *grid(20, 40, six, shared, cell),
            text(80, 180, "orange: also read", "small"),
            text(80, 197, "by neighbouring tiles", "small"),
            arrow("M145 100 H215"),
            text(180, 84, "Bᵀ d B", "small"),
            text(285, 20, "V"),
            *grid(225, 40, six, SKY, cell),
            text(362, 100, "⊙"),
            text(440, 20, "U = G g Gᵀ"),
            *grid(380, 40, six, MINT, cell),
            text(380 + 60, 180, "once for each kernel", "small"),
            arrow("M505 100 H575"),
            text(540, 84, "Aᵀ M A", "small"),
            text(625, 40, "outputs y"),
            *grid(585, 60, four, SAND, cell),
            text(
                340, 225, "36 products for 16 outputs; one after another it would be 144", "small"
            ),
        ],
        690,
        245,
    )


@drawing
def batchnorm():
    """Three paths from x to y, and back."""
    parts = [*box(20, 85, 80, 50, BLUE, ["x"]), *box(540, 85, 90, 50, BLUE, ["y = γ x̂ + β"])]
    parts += box(180, 20, 110, 44, GREEN, ["mean μ"])
    parts += box(180, 156, 110, 44, GREEN, ["var v"])
    parts += box(380, 85, 110, 50, BLUE, ["x̂", "(x − μ) / √(v + ε)"])
    parts += [
        arrow("M100 102 H378"), arrow("M100 95 L178 48"), arrow("M290 42 L378 90"),
        arrow("M100 125 L178 170"), arrow("M290 178 L378 130"), arrow("M235 64 V154"),
        arrow("M490 102 H538"), arrow("M540 120 H492", ORANGE), arrow("M380 118 H102", ORANGE),
        text(310, 90, "1", colour=ORANGE), text(365, 55, "− 1/M", colour=ORANGE),
        text(375, 165, "− x̂ x̂ / M", colour=ORANGE),
        text(330, 225, "orange: the factor that each path has in dx, beside γ / √(v + ε)", "small"),
    ]  # fmt: skip
    return parts, 650, 245


@drawing
def activation():
    """Both activations and their slopes."""
    x = np.linspace(-3, 3, 121)
    values, slopes = [], []
    for name, colour in (("relu", BLUE), ("elu", ORANGE)):
        y, cache = getattr(layers, name)(x)
        values.append((name, colour, x, y))
        slopes.append(
            (name, colour, x, getattr(layers, f"{name}_backward")(np.ones_like(x), cache))
        )
    return [
        *plot(45, 35, 200, 160, values, (-3, 3, (-3, 0, 3)), (-1, 3, (-1, 0, 1, 2, 3)), "x", "y"),
        *plot(
            380, 35, 200, 160, slopes, (-3, 3, (-3, 0, 3)), (-0.1, 1.2, (0, 0.5, 1)), "x", "dy/dx"
        ),
    ], 640, 245  # fmt: skip


@drawing
def upsampling():
    """Blocks, and the rows of the kernel that act on the same small row."""
    colours = np.array([[SKY, MINT], [SAND, "#ffe7d6"]])
    small = np.array([["a", "b"], ["c", "d"]])
    parts = [
        text(50, 20, "x"), *grid(20, 40, small, colours),
        arrow("M90 62 H150"), arrow("M150 82 H90", ORANGE),
        text(120, 46, "copy", "small"), text(120, 98, "sum", "small"),
        text(220, 20, "y"),
        *grid(160, 40, *(a.repeat(2, 0).repeat(2, 1) for a in (small, colours))),
        text(450, 20, "a 3 × 3 kernel on the lines of y"),
    ]  # fmt: skip
    for at, first, words in ((360, 1, "even line 2i"), (530, 2, "odd line 2i + 1")):
        for k, (line, colour) in enumerate(
            zip(("i − 1", "i", "i", "i + 1"), (0, 1, 1, 2), strict=True)
        ):
            parts += box(at - 20, 40 + 32 * k, 60, 28, GREY, [])
            parts.append(text(at + 10, 54 + 32 * k, line, colour=[BLUE, GREEN, ORANGE][colour]))
        for r in range(3):
            parts.append(text(at + 66, 54 + 32 * (first - 1 + r), f"w{r}"))
        parts.append(text(at + 25, 184, words, "small"))
    parts.append(
        text(450, 208, "equal numbers: one small line, so their weights are added", "small")
    )
    return parts, 660, 225


@drawing
def residual():
    """A fork forward is a sum backward."""
    parts = [text(30, 70, "x"), *box(150, 50, 150, 42, GREEN, ["branch F"])]
    parts += box(380, 50, 50, 42, BLUE, ["+"])
    parts += [
        arrow("M45 70 H148"), arrow("M300 70 H378"), arrow("M90 70 V20 H405 V48"),
        arrow("M430 70 H500"), text(515, 70, "y"),
        text(250, 32, "skip", "small"),
        arrow("M500 82 H432", ORANGE), arrow("M378 84 H302", ORANGE),
        arrow("M405 94 V128 H60 V84", ORANGE), arrow("M148 84 H46", ORANGE),
        text(340, 102, "dy", colour=ORANGE), text(250, 142, "dy", colour=ORANGE),
        text(112, 104, "Jᵀ dy", colour=ORANGE),
        text(40, 118, "sum", "small"),
    ]  # fmt: skip
    return parts, 540, 160


@drawing
def loss():
    """A weight on which the data do not depend: L2 within Adam's gradient, and decoupled decay."""
    steps, lr, strength = 300, 1e-3, 1e-4
    paths = []
    for words, colour, decoupled in (
        ("L2 in the gradient", ORANGE, False),
        ("decoupled", BLUE, True),
    ):
        p, values = {"a/w": np.array(0.2)}, [0.2]
        state = optim.adam_start(p)
        for _ in range(steps):
            before, g = p, {"a/w": 0.0 if decoupled else 2 * strength * p["a/w"]}
            p, state = optim.adam(p, g, state, lr)
            if decoupled:
                p = optim.decayed(p, before, lr * strength)
            values.append(float(p["a/w"]))
        paths.append((words, colour, range(steps + 1), values))
    return plot(
        50, 35, 330, 160, paths, (0, 300, (0, 100, 200, 300)), (0, 0.25, (0, 0.1, 0.2)),
        "step; lr = 1e-3, strength 1e-4", "a weight that no data need",
    ), 560, 245  # fmt: skip


@drawing
def adam():
    """The length of a step for a gradient that stays the same."""
    steps = np.arange(1, 61)
    m, v = 1 - optim.BETA1**steps, 1 - optim.BETA2**steps
    curves = [
        ("corrected", BLUE, steps, optim.corrected_rate(1, steps, optim.BETA1, optim.BETA2)
         * m / np.sqrt(v)),
        ("not corrected", ORANGE, steps, m / np.sqrt(v)),
    ]  # fmt: skip
    return plot(
        45, 35, 330, 160, curves, (1, 60, (1, 20, 40, 60)), (0, 7, (0, 1, 2, 4, 6)),
        "step t", "length of the step over lr, for a constant gradient",
    ), 520, 245  # fmt: skip


@drawing
def reach():
    """The gradient of one output pixel in the input, with given statistics: 2 x 5 + 1 pixels."""
    config = NetworkConfig(depth=1, filters=16)
    p, moving = params.initial(config, seed=1, dtype=np.float64)
    x = np.random.default_rng(0).random((1, 15, 15, 1))
    y, tape = network.forward(p, x, config, moving=moving)
    dy = np.zeros_like(y)
    dy[0, 14, 14] = 1
    dx, _ = network.backward(dy, tape, config)
    size = np.abs(dx[0, :, :, 0])
    level = np.where(size > 0, np.clip(1 + np.log10(size / size.max() + 1e-30) / 4, 0.05, 1), 0)

    fill = [
        [
            "#{:02x}{:02x}{:02x}".format(*(round(255 - k * (255 - c)) for c in (188, 76, 0)))
            for k in row
        ]
        for row in level
    ]
    cell = 16
    return (
        [
            text(160, 18, "|dx| of the output pixel (14, 14)"),
            *grid(40, 36, np.full(size.shape, ""), fill, cell),
            f'<rect x="{40 + 7 * cell}" y="{36 + 7 * cell}" width="{cell}" height="{cell}" '
            f'fill="none" stroke="{BLUE}" stroke-width="3"/>',
            text(300, 70, "blue: input pixel (7, 7), which holds it", "left small"),
            text(300, 92, "colour: four powers of ten", "left small"),
            text(300, 114, "rows and columns 2 to 11 are reached:", "left small"),
            text(300, 136, "pixel (14, 14) is the upper left quarter", "left small"),
            text(300, 158, "of (7, 7), so it sees 5 upwards, 4 down", "left small"),
        ],
        560,
        290,
    )


@drawing
def optics():
    """Transfer functions along one axis."""
    n, scale = 512, 0.2
    f = np.arange(n) / (2 * n * scale)
    keep = f <= 2.4
    modified, target = (t[0][keep] for t in transfers((2, n), scale, HMI))
    diffraction = transfers((2, n), scale, Optics(psf="airy"))[0][0][keep]
    f = f[keep]
    wiener = target * modified / (modified**2 + NSR["intensity"])
    nyquist = 1 / (2 * HMI.hmi_scale)
    wiener[f > nyquist] = 0
    curves = [
        ("HMI, as modelled", ORANGE, f, modified),
        ("14 cm, perfect", "#57606a", f, diffraction),
        ("28 cm, perfect: the target", GREEN, f, target),
        ("target from HMI by Wiener:", BLUE, f, wiener * modified),
    ]
    return [
        *plot(
            45, 35, 420, 200, curves,
            (0, 2.4, (0, 0.5, 1, 1.5, 2)), (0, 1, (0, 0.25, 0.5, 0.75, 1)),
            "cycles per arcsec", "amplitude that is left of a sine",
            [("Nyquist", nyquist), ("2 Nyquist", 2 * nyquist)],
        ),
        text(477, 137, "gain times blur", "left", BLUE),
    ], 690, 290  # fmt: skip


def main():
    for name, made in DRAWINGS.items():
        (HERE / f"{name}.svg").write_text(svg(*made()), encoding="utf-8")


if __name__ == "__main__":
    main()
