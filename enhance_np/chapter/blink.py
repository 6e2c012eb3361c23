"""One self-contained HTML page with two images of a region: a slider between them, and a blink."""

import base64
import html
import io

import numpy as np

from .._array import repeated
from ..evaluate.report import UNIT
from ..prediction.picture import MISSING, QUANTITY, stretch
from .regions import Region

WIDTH = 1100  # CSS pixels of the widest image; a smaller one is enlarged by whole pixels

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Before and after</title>
<style>
 body {{ font: 15px/1.5 sans-serif; margin: 1.5em auto; max-width: {width}px; padding: 0 1em;
   background: #fff; color: #1b1f24 }}
 figure {{ margin: 0 0 2em }}
 .pair {{ position: relative; line-height: 0; overflow: hidden; background: {missing} }}
 .pair img {{ width: 100%; image-rendering: pixelated }}
 .pair .before {{ position: absolute; inset: 0; clip-path: inset(0 calc(100% - var(--cut)) 0 0) }}
 .pair .edge {{ position: absolute; top: 0; bottom: 0; left: var(--cut); width: 2px;
   background: #e8710a }}
 input[type=range] {{ width: 100% }}
 .controls {{ display: flex; gap: 1em; align-items: center }}
</style></head><body>
<h1>Before and after</h1>
<p>{name}: HMI on the left of the line, the output of the network on its right. Both have the same
stretch; the pixels of HMI are not interpolated.</p>
{figures}
<script>
for (const figure of document.querySelectorAll("figure")) {{
  const pair = figure.querySelector(".pair"), range = figure.querySelector("input[type=range]");
  const button = figure.querySelector("button");
  let timer = 0;
  const cut = value => pair.style.setProperty("--cut", value + "%");
  const stop = () => {{ clearInterval(timer); timer = 0; button.textContent = "Blink"; }};
  range.oninput = () => {{ stop(); cut(range.value); }};
  button.onclick = () => {{
    if (timer) {{ stop(); cut(range.value); return; }}
    let before = true;
    cut(100);
    timer = setInterval(() => {{ before = !before; cut(before ? 100 : 0); }}, 700);
    button.textContent = "Stop";
  }};
  cut(range.value);
}}
</script></body></html>
"""

FIGURE = """<figure style="max-width: {shown}px">
<figcaption>{quantity}, {low:.4g} (black) to {high:.4g} {unit} (white); {side:.0f} arcsec wide
</figcaption>
<div class="pair"><img alt="enhanced {quantity}" src="{after}">
<img class="before" alt="{quantity} of HMI" src="{before}"><div class="edge"></div></div>
<div class="controls"><button type="button">Blink</button>
<input type="range" min="0" max="100" value="50" step="0.1" aria-label="place of the line"></div>
</figure>"""


def page(region: Region) -> str:
    """The page of a region, in intensity and field. Needs matplotlib."""
    return PAGE.format(
        width=WIDTH,
        missing=MISSING,
        name=html.escape(region.name),
        figures="\n".join(_figure(region, type) for type in region.images),
    )


def _figure(region, type):
    image, out = region.images[type], region.out[type]
    limits = stretch([image, out], type)
    columns = out.shape[1]
    return FIGURE.format(
        quantity=QUANTITY[type],
        low=limits[0],
        high=limits[1],
        unit=UNIT[type],
        side=image.shape[1] * region.optics.hmi_scale,
        shown=columns * max(1, WIDTH // columns),
        before=_as_png(repeated(image), limits),
        after=_as_png(out, limits),
    )


def _as_png(image: np.ndarray, limits: tuple[float, float]) -> str:
    """A data URL of a PNG with one pixel for each of the image; missing ones are transparent."""
    from matplotlib.image import imsave

    file = io.BytesIO()
    shown = np.ma.masked_invalid(image)
    imsave(file, shown, vmin=limits[0], vmax=limits[1], cmap="gray", origin="lower", format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
