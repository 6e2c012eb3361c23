"""Draws the network forwards and backwards, as SVG."""

WIDTH, HEIGHT, TOP, BOX, GAP = 1180, 330, 118, 84, 30
STYLE = """
  text { font: 13px sans-serif; fill: #1b1f24; text-anchor: middle }
  .shape { font-size: 11px; fill: #57606a }
  rect { fill: #ddeeff; stroke: #0969da }
  .act { fill: #e6f4ea; stroke: #1a7f37 }
  .bn { fill: #fff4d6; stroke: #9a6700 }
  path { fill: none; stroke-width: 1.6 }
  .forward { stroke: #0969da; marker-end: url(#f) }
  .backward { stroke: #bc4c00; marker-end: url(#b) }
  #f path { fill: #0969da } #b path { fill: #bc4c00 }
  .values { fill: #0969da } .gradients { fill: #bc4c00 }
  .frame { fill: none; stroke: #8c959f; stroke-dasharray: 4 4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .shape { fill: #9da7b3 }
    rect { fill: #12304f; stroke: #58a6ff } .act { fill: #12331d; stroke: #3fb950 }
    .bn { fill: #3b2e0a; stroke: #d29922 } .frame { fill: none; stroke: #6e7681 }
    .forward { stroke: #58a6ff } .backward { stroke: #f0883e }
    #f path, .values { fill: #58a6ff } #b path, .gradients { fill: #f0883e }
  }
"""
# name, second line, shape of its h, class of the box
LAYERS = [
    ("x", "image", "H × W × 1", "act"),
    ("stem/conv", "3×3, ReLU", "H × W × C", ""),
    ("conv1", "3×3", "H × W × C", ""),
    ("bn1", "norm, ReLU", "H × W × C", "bn"),
    ("conv2", "3×3", "H × W × C", ""),
    ("bn2", "norm, + skip", "H × W × C", "bn"),
    ("tail/conv", "3×3", "H × W × C", ""),
    ("tail/bn", "norm, + skip", "H × W × C", "bn"),
    ("refine/conv", "×2, 3×3, ReLU", "2H × 2W × C", ""),
    ("head", "1×1", "2H × 2W × 1", ""),
]


def left(k):
    return 14 + k * (BOX + GAP)


def arrow(kind, d):
    return f'<path class="{kind}" d="{d}"/>'


def text(x, y, words, kind=""):
    return f'<text x="{x}" y="{y}" class="{kind}">{words}</text>'


def skip(fork, last, height, kind):
    """A way from behind the stem to layer `last`: above for values, below for gradients.

    fork : pixels behind the stem.
    """
    x0, x1 = left(1) + BOX + fork, left(last) + BOX / 2
    if kind == "forward":
        return arrow(kind, f"M{x0} {TOP + 21} V{height} H{x1} V{TOP - 3}")
    return arrow(kind, f"M{x1} {TOP + 99} V{height} H{x0} V{TOP + 82}")


def drawing() -> str:
    """One SVG: layers as boxes with the shapes of their outputs, values above, gradients below."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        "<title>The layers of Enhance, forwards and backwards</title>",
        f"<style>{STYLE}</style><defs>",
    ]
    for name in "fb":
        parts.append(
            f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z"/></marker>'
        )
    parts.append("</defs>")
    x, wide = left(2) - GAP + 11, 4 * (BOX + GAP) + 6
    parts.append(f'<rect class="frame" x="{x}" y="{TOP - 58}" width="{wide}" height="210"/>')
    parts.append(text(x + wide / 2, TOP - 66, "residual block, 5 times (small: once)"))
    for k, (name, what, shape, kind) in enumerate(LAYERS):
        at, middle = left(k), left(k) + BOX / 2
        parts.append(f'<rect class="{kind}" x="{at}" y="{TOP}" width="{BOX}" height="42" rx="5"/>')
        parts.append(text(middle, TOP + 18, name))
        parts.append(text(middle, TOP + 34, what, "shape"))
        parts.append(text(middle, TOP + 60, shape, "shape"))
        if k:
            parts.append(arrow("forward", f"M{at - GAP + 2} {TOP + 21} H{at - 3}"))
            parts.append(arrow("backward", f"M{middle - 4} {TOP + 90} H{middle - BOX - GAP + 8}"))
        parts.append(text(middle, TOP + 84, "dh" if k else "dx", "gradients"))
    parts.append(skip(17, 5, TOP - 34, "forward"))
    parts.append(skip(5, 7, 18, "forward"))
    parts.append(skip(17, 5, TOP + 126, "backward"))
    parts.append(skip(5, 7, TOP + 168, "backward"))
    parts.append(text(left(9) + BOX / 2, TOP - 18, "y, then the loss", "values"))
    parts.append(text(left(0) + 52, TOP - 18, "values →", "values"))
    parts.append(text(left(0) + 52, TOP + 124, "← gradients", "gradients"))
    parts.append("</svg>\n")
    return "\n".join(parts)
