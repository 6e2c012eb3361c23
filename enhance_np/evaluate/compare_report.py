"""The figures of a comparison of two images on the same pixels, and their table."""

import numpy as np

from ..observation.gaps import beyond_limb, gap_free_box
from ..observation.normalise import fill
from . import quantities as q
from .classes import masks, quiet_field
from .report import LEAST_SIDE, UNIT
from .spectrum import BANDS, Spectrum, band_powers, power_spectrum
from .table import aligned

NAMES = ("out", "other")
LEAST = 100  # pixels of a class that is shown
RESOLVED = 1.02  # the last band ends close to the Nyquist frequency, as in `spectrum.band_powers`


def measured(
    type: str,
    images: list[np.ndarray],
    sides: tuple[float, float],
    own: tuple[np.ndarray, tuple[float, float]],
    mu: np.ndarray | None,
    pixel_area: float,
) -> tuple[dict, dict[str, Spectrum]]:
    """The figures, and the spectra.

    images : out, other as they are; out, other at the same resolution; (H, W), NaN where either is
        missing, Ic or G.  sides : arcsec of a pixel along a column and along a line.
    own : other on its own pixels, for its spectrum, and their sides.
    mu : (H, W) of the pixels, see `disc.mu`.  pixel_area : cm^2.

    Classes are found on the second image at the same resolution. So are the pixels of "ratio"
    "other"; those of "out" on the first. Weak field is more frequent than strong field, so among
    the pixels that one noisy image puts into a bin there are more whose noise raised them than the
    other way round, and the image that selects seems too strong: out / other is too low where
    other selects, too high where out does, and the truth is between the two. The same holds for
    "slope" and "slope_back", because least squares of y on x ignores the noise of x.
    """
    out, other = (image.astype(np.float64) for image in images[2:])
    common = np.isfinite(other)
    scale = float(np.prod(sides) ** 0.5)
    pair = (other, None) if type == "intensity" else (None, other)
    found = {name: m & common for name, m in masks(*pair, mu, scale).items()}
    quiet = found["quiet"] if type == "intensity" else quiet_field(other, scale) & common
    measure = q.contrast if type == "intensity" else q.noise
    figures = {}
    for name, native, same in zip(NAMES, images[:2], (out, other), strict=True):
        figures[name] = {"as it is": measure(native, quiet), "alike": measure(same, quiet)}
        if type == "blos":
            figures[name] |= {"flux": q.flux(same, pixel_area)._asdict()}
            figures[name] |= {"flux as it is": q.flux(native, pixel_area)._asdict()}
        else:
            figures[name] |= {"darkest": float(np.nanmin(same))}
            figures[name] |= {"darkest as it is": float(np.nanmin(native))}
    groups = {"all": common} | {n: m for n, m in found.items() if m.sum() >= LEAST}
    spectra, bands = _spectra(images, common, scale, own)
    report = {
        "type": type,
        "unit": UNIT[type],
        "pixels": list(out.shape),
        "pixel_scale": list(sides[::-1]),
        "classes": {"all": int(common.sum())} | {n: int(m.sum()) for n, m in found.items()},
        "quiet_pixels": int(quiet.sum()),
        "images": figures,
        "difference": {n: _difference(type, out[m], other[m]) for n, m in groups.items()},
        "bands": bands,
    }
    if type == "blos":
        report["ratio"] = {
            "other": q.ratio(other, out, common)._asdict(),
            "out": _inverse(q.ratio(out, other, common))._asdict(),
        }
    return report, spectra


def _spectra(images, common, scale, own):
    """(spectra, {band: power of out over that of other at the same resolution}).

    Of the largest part without sky; in it, gaps are filled. {} for one that is too small. What is
    compared ends at the Nyquist frequency of the larger pixels.
    """
    image, sides = own  # of other as it is, on its own pixels: those of out may fold it
    other_scale = float(np.prod(sides) ** 0.5)
    end = RESOLVED * 0.5 / max(scale, other_scale)
    spectra, bands = {}, {}
    y0, y1, x0, x1 = gap_free_box(~beyond_limb(common))
    if min(y1 - y0, x1 - x0) >= LEAST_SIDE:
        out, _, *alike = (fill(i)[0][y0:y1, x0:x1] for i in images)
        spectra["out"] = power_spectrum(out, scale)
        for name, part in zip(NAMES, alike, strict=True):
            found = power_spectrum(part, scale)
            known = found.frequency <= end
            spectra[f"{name}, alike"] = Spectrum(*(values[known] for values in found))
        resolved = [band for band in BANDS if band[1] <= end]
        powers = [band_powers(part, scale, resolved) for part in alike]
        for (low, high), ratio in zip(resolved, powers[0] / powers[1], strict=True):
            bands[f"{low:g}-{high:g}"] = float(ratio)
    y0, y1, x0, x1 = gap_free_box(~beyond_limb(np.isfinite(image)))
    if min(y1 - y0, x1 - x0) >= LEAST_SIDE:
        spectra["other"] = power_spectrum(fill(image)[0][y0:y1, x0:x1], other_scale)
    return spectra, bands


def _difference(type, x, y):
    """Figures of out = x and other = y, (n,)."""
    difference = x - y
    a, b = (x - x.mean(), y - y.mean()) if type == "intensity" else (x, y)
    cross = a @ b
    spread = x.std() * y.std()
    return {
        "pixels": int(x.size),
        "rms": float(np.sqrt(np.mean(difference**2))),
        "bias": float(difference.mean()),
        "correlation": float(np.mean((x - x.mean()) * (y - y.mean())) / spread) if spread else None,
        "slope": float(cross / (b @ b)) if b.any() else None,
        "slope_back": float(a @ a / cross) if cross else None,
    }


def _inverse(relation):
    return relation._replace(value=1 / relation.value if relation.value else np.nan)


def text(report: dict) -> str:
    """The report as a table with aligned columns."""
    return "\n".join([*_head(report), "", aligned([*_rows(report)])])


def _head(report):
    r = report
    width, height = r["pixels"][1], r["pixels"][0]
    x, y = r["pixel_scale"]
    yield f"{r['type']} in {r['unit']}, {height} x {width} pixels of {_sides(x, y)} arcsec"
    for name in NAMES:
        pixels = f", pixels of {_sides(*r['other_pixel_scale'])} arcsec" if name == "other" else ""
        yield f"{name.upper():<6} {r['files'][name]}: {r['resolution'][name]}{pixels}"
    s = r["shift"]
    (x, y), (px, py) = s["arcsec"], s["pixels"]
    if s["correlation"] is None:
        yield f"shift  not measured: the {s['after']} are taken as they are"
    else:
        yield (
            f"shift  of OTHER, after the {s['after']}: x {x:+.3f}, y {y:+.3f} arcsec, or "
            f"{px:+.2f}, {py:+.2f} pixels of OUT; correlation {s['correlation']:.3f}"
        )
    if r["minutes"] is not None:
        later = "later" if r["minutes"] >= 0 else "earlier"
        yield f"time   OTHER is {abs(r['minutes']):.1f} minutes {later}"
    blurred = " and ".join(name.upper() for name in r["blurred"]) or "neither"
    yield f"blur   to equal resolution: of {blurred}"


def _sides(x, y):
    return f"{x:.4g}" if abs(x / y - 1) < 1e-3 else f"{x:.4g} x {y:.4g}"


def _rows(report):
    unit, images = report["unit"], report["images"]
    intensity = report["type"] == "intensity"

    def both(label, style, key, scale=1.0, sub=None):
        values = [images[name].get(key) for name in NAMES]
        values = [v if v is None or sub is None else v[sub] for v in values]
        cells = ["–" if v is None else style.format(scale * v) for v in values]
        known = None not in values and values[1]
        return [label, *cells, f"{values[0] / values[1]:.3f}" if known else "–"]

    quiet = f"({report['quiet_pixels']} quiet pixels)"
    has_quiet = report["quiet_pixels"] >= LEAST
    yield ["", "OUT", "OTHER", "OUT/OTHER"]
    for state, label in (("as it is", "as they are"), ("alike", "at the same resolution")):
        is_same = state == "alike"
        yield []
        yield [label]
        if intensity:
            darkest = "darkest" if is_same else "darkest as it is"
            if has_quiet:
                yield both(f"contrast, % {quiet}", "{:.2f}", state, 100)
            yield both("darkest pixel, Ic", "{:.3f}", darkest)
        else:
            flux = "flux" if is_same else "flux as it is"
            if has_quiet:
                yield both(f"rms, G {quiet}", "{:.2f}", state)
            yield both("unsigned flux, G", "{:.2f}", flux, sub="unsigned")
            yield both("net flux, G", "{:.2f}", flux, sub="net")
            yield both("unsigned flux, 1e20 Mx", "{:.3f}", flux, 1e-20, "unsigned_mx")
    if report["bands"]:
        yield []
        yield ["power at the same resolution, by cycles per arcsec"]
        for band, ratio in report["bands"].items():
            if ratio is not None:
                yield [band, "", "", f"{ratio:.3g}"]
    yield []
    columns = ("rms", "mean", "correlation", "slope", "slope back")
    yield [f"OUT - OTHER at the same resolution, {unit}", *columns]
    for name, d in report["difference"].items():
        values = [d[key] for key in ("rms", "bias", "correlation", "slope", "slope_back")]
        styles = ["{:.4g}", "{:+.3g}", "{:.3f}", "{:.3f}", "{:.3f}"]
        cells = ["–" if v is None else s.format(v) for s, v in zip(styles, values, strict=True)]
        yield [f"{name} ({d['pixels']})", *cells]
    if "ratio" in report:
        yield []
        yield ["|B| of OUT over that of OTHER, at the same resolution"]
        for name, at in report["ratio"].items():
            value = "–" if at["value"] is None else f"{at['value']:.3f}"
            yield [f"where {name.upper()} has 800-1200 G ({at['pixels']})", "", "", value]
