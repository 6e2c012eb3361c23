"""A report as a table: one column per image, one row per metric."""

from collections.abc import Iterator
from typing import Any

from .spectrum import BANDS


def text(report: dict) -> str:
    """Plain text with aligned columns; a metric that an image does not have is a dash."""
    names = list(report["images"])
    lines = [["", *names]]
    for label, style, cells in rows(report):
        if cells is None:
            lines += [[], [label]]
        elif any(cell is not None for cell in cells):
            lines.append([label, *("–" if c is None else style.format(c) for c in cells)])
    return f"{_head(report)}\n\n{aligned(_without_empty_sections(lines))}"


def aligned(lines: list[list[str]]) -> str:
    """Lines of cells as text: the first column to the left, the others to the right."""
    width = [
        max(len(line[k]) for line in lines if len(line) > k) for k in range(max(map(len, lines)))
    ]
    return "\n".join(
        "  ".join(
            cell.ljust(width[0]) if k == 0 else cell.rjust(width[k]) for k, cell in enumerate(line)
        ).rstrip()
        for line in lines
    )


def rows(report: dict) -> Iterator[tuple[str, str, list[Any] | None]]:
    """(label, format, one value per image); a heading has None for its values."""
    images = list(report["images"].values())
    unit, classes = report["unit"], list(report["classes"])

    def values(*path, scale=1.0, over=None):
        found = [_at(image, *path) for image in images]
        if over is not None:
            base = _at(report["images"].get(over, {}), *path)
            return [v / base if base and v is not None else None for v in found]
        return [v if v is None else scale * v for v in found]

    yield "error against the truth", "", None
    yield f"rms, {unit}", "{:.4g}", values("errors", "whole", "rms")
    yield f"mse, {unit}^2", "{:.3g}", values("errors", "whole", "mse")
    yield "PSNR, dB", "{:.2f}", values("errors", "whole", "psnr")
    yield "SSIM", "{:.4f}", values("errors", "whole", "ssim")
    yield f"bias, {unit}", "{:+.3g}", values("errors", "whole", "bias")
    for name in classes:
        yield f"mse, {name}", "{:.3g}", values("errors", name, "mse")
    for name in classes:
        yield f"SSIM, {name}", "{:.4f}", values("errors", name, "ssim")

    for over in ("truth", "input"):
        if over in report["images"]:
            yield f"power over the {over}'s, by cycles per arcsec", "", None
            for low, high in BANDS:
                band = f"{low:g}-{high:g}"
                yield band, "{:.3g}", values("bands", band, over=over)

    yield "the image", "", None
    yield (
        f"granulation contrast, % ({report['contrast_from']})",
        "{:.2f}",
        values("contrast", scale=100),
    )
    yield "darkest pixel, Ic", "{:.4f}", values("minimum")
    yield "darkest of the umbra, Ic", "{:.4f}", values("umbra_minimum")
    yield "the same over the input's", "{:.3f}", values("umbra_minimum", over="input")
    yield "negative pixels", "{:.0f}", values("negatives")
    yield "unsigned flux, G", "{:.2f}", values("flux", "unsigned")
    yield "the same over the input's", "{:.4f}", values("flux", "unsigned", over="input")
    yield "net flux, G", "{:.2f}", values("flux", "net")
    yield "unsigned flux, 1e20 Mx", "{:.3f}", values("flux", "unsigned_mx", scale=1e-20)
    yield "noise where quiet, G", "{:.2f}", values("noise")
    yield "the same over the input's", "{:.3f}", values("noise", over="input")

    yield "field of the output over the input's (input pixels)", "", None
    for name in classes:
        yield (
            _counted(f"slope, {name}", images, "slope", name),
            "{:.3f}",
            values("slope", name, "value"),
        )
    for name in ("all", *classes, "bright", "dark"):
        label = {"bright": "I > 0.9", "dark": "I <= 0.9"}.get(name, name)
        label = _counted(f"at 800-1200 G, {label}", images, "ratio", name)
        yield label, "{:.3f}", values("ratio", name, "value")

    yield "blurred again: mean |difference| over mean |input|, %", "", None
    for kind, label in (("psf", "PSF * out"), ("consistent", "K * out, consistent")):
        yield label, "{:.2f}", values("reblur", kind, "whole", scale=100)
        for name in classes:
            yield f"{label}, {name}", "{:.2f}", values("reblur", kind, name, scale=100)

    yield "traces of the pixel grid", "", None
    for name in ("columns", "rows"):
        yield f"Nyquist power, {name}", "{:.3f}", values("nyquist", name, "ratio")
        yield "  expected 1 +-", "{:.3f}", values("nyquist", name, "scatter")
    yield f"alternating pattern, {unit}", "{:.2g}", values("phase_amplitude")


def _head(report):
    h, w = report["input_pixels"]
    counts = ", ".join(f"{name} {n}" for name, n in report["classes"].items())
    return (
        f"{report['type']} in {report['unit']}, {h} x {w} input pixels; by class, from the "
        f"{report['classes_from']}: {counts}"
    )


def _counted(label, images, kind, name):
    """The label with the number of pixels of the figure."""
    counts = [_at(image, kind, name, "pixels") for image in images]
    return f"{label} ({next((n for n in counts if n is not None), 0)})"


def _at(tree, *path):
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return None
        tree = tree[key]
    return tree


def _without_empty_sections(lines):
    """Removes headings without rows, and the blank lines above them."""
    kept = []
    for line in lines:
        if not line and len(kept) > 1 and len(kept[-1]) == 1:
            del kept[-2:]
        kept.append(line)
    if len(kept[-1]) == 1:
        del kept[-2:]
    return kept
