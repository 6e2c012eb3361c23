"""Builds index.html, a page that enhances an image in the browser: `make try`.

    python docs/try/build.py [--output FILE]
    python docs/try/build.py --example     # makes example.fits anew first

The page is one file without any reference to another. It holds the scripts beside this one, the
package's engine.js, the two small networks, the constants of the package that the scripts need, and
example.fits. The same sources give the same bytes.
"""

import argparse
import base64
import json
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits as afits

from enhance_np import __version__, models, weights
from enhance_np.config import TYPES
from enhance_np.instrument import HMI
from enhance_np.observation import (
    disc,
    fits,
    header,
    kind,
    missing,
    normalise,
    pixels,
    quiet_sun,
    remarks,
    telescope,
)
from enhance_np.prediction import demo
from enhance_np.prediction.file import OPTICS_CARDS

HERE = Path(__file__).parent
EXAMPLE = HERE / "example.fits"
ENGINE = HERE.parents[1] / "enhance_np/inspection/web/engine.js"
# in the order in which they need one another; the id of a script is script-NAME
SCRIPTS = "wasm simd worker webgpu tiles header rice fits pixels sun missing kind normalise remarks"
SCRIPTS += " view try"


def network(type: str) -> dict:
    """The small network of a type: names and shapes of its tensors, and their numbers."""
    loaded, content = weights.identified(models.path(type, "small"))
    tensors = {**loaded.params, **loaded.moving}
    numbers = b"".join(np.ascontiguousarray(a, "<f4").tobytes() for a in tensors.values())
    return {
        "sha256": content,
        "depth": loaded.config.depth,
        "activation": loaded.config.activation,
        "model": str(loaded.config),
        "tensors": [[name, list(a.shape)] for name, a in tensors.items()],
        "float32": base64.b64encode(numbers).decode(),
    }


def constants() -> dict:
    """The constants of the package that the scripts need, by the names that these use."""
    return {
        # of the polynomial in mu that the law of limb darkening is
        "limb": disc.limb_darkening(np.polynomial.Polynomial([0.0, 1.0])).coef.tolist(),
        "pixel_scale": HMI.pixel_scale,
        "gauss_per_kilogauss": normalise.GAUSS_PER_KILOGAUSS,
        # header.py and pixels.py
        "angles": header.ANGLES,
        "celestial": header.CELESTIAL.pattern,
        "equal_area": pixels.EQUAL_AREA,
        "sun_radius": pixels.SUN_RADIUS,
        # fits.py
        "stale": fits.STALE.pattern,
        "in_pixels": fits.IN_PIXELS,
        "optics_cards": [key for key, _ in OPTICS_CARDS.values()],
        # quiet_sun.py
        "sample": quiet_sun.SAMPLE,
        "least_mu": quiet_sun.LEAST_MU,
        "rings": quiet_sun.RINGS,
        "least_in_ring": quiet_sun.LEAST_IN_RING,
        "ring_error": quiet_sun.RING_ERROR,
        "fitted": quiet_sun.FITTED,
        "hmi_2011": quiet_sun.HMI_2011,
        "hmi_per_year": quiet_sun.HMI_PER_YEAR,
        "least": quiet_sun.LEAST,
        "least_anywhere": quiet_sun.LEAST_ANYWHERE,
        # missing.py
        "huge": missing.HUGE,
        "sentinels": missing.SENTINELS,
        "no_light": missing.NO_LIGHT,
        "share": missing.SHARE,
        "fewest": missing.FEWEST,
        "near_limb": missing.NEAR_LIMB,
        # kind.py and telescope.py
        "gauss": kind.GAUSS,
        "intensity_units": sorted(kind.INTENSITY_UNITS),
        "other_units": sorted(kind.OTHER_UNITS),
        "no_units": sorted(kind.NO_UNITS),
        "other_words": kind.OTHER_WORDS.pattern,
        "names": {type: words.pattern for type, words in kind.NAMES.items()},
        "ends": kind.ENDS.pattern,
        "classes": kind.CLASSES,
        "few": kind.FEW,
        "widest": kind.WIDEST,
        "unequal": kind.UNEQUAL,
        "smallest_noise": kind.SMALLEST_NOISE,
        "largest_noise": kind.LARGEST_NOISE,
        "largest_field": kind.LARGEST_FIELD,
        "asked_values": kind.ASKED_VALUES,
        "hmi": telescope.HMI_NAMES.pattern,
        "no_name": telescope.NO_NAME.pattern,
        # remarks.py
        "same_scale": remarks.SAME_SCALE,
        "beyond_field": remarks.BEYOND_FIELD,
        "beyond_light": remarks.BEYOND_LIGHT,
        "quality": list(remarks.QUALITY_BITS.items()),
        "calver_psf": remarks.CALVER_PSF,
        "dcon": remarks.DCON.pattern,
        "names_series": remarks.NAMES_SERIES,
    }


def page() -> str:
    """The text of index.html."""
    data = {
        "version": __version__,
        "constants": constants(),
        "networks": {type: network(type) for type in TYPES},
        "example": base64.b64encode(EXAMPLE.read_bytes()).decode(),
    }
    # "<" cannot end the script element that holds it
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    scripts = [("engine", ENGINE), *((name, HERE / f"{name}.js") for name in SCRIPTS.split())]
    parts = {
        "style": (HERE / "style.css").read_text(encoding="utf-8"),
        "data": text,
        "scripts": "\n".join(
            f'<script id="script-{name}">\n{_script(path)}</script>' for name, path in scripts
        ),
    }
    out = (HERE / "page.html").read_text(encoding="utf-8")
    for name, part in parts.items():
        out = out.replace(f"{{{{{name}}}}}\n", part.rstrip("\n") + "\n", 1)
    return out


def make_example(path: Path) -> None:
    """The demo's image as int16 in steps of 1e-4 of the quiet Sun, a tenth of HMI's noise."""
    with tempfile.TemporaryDirectory() as folder:
        demo.make(folder, "cpu")
        data, header = afits.getdata(f"{folder}/scene.fits", header=True)
    hdu = afits.PrimaryHDU(data, header)
    hdu.scale("int16", bscale=1e-4, bzero=1.0)
    hdu.writeto(path, overwrite=True)


def _script(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if "</script" in text or "<!--" in text:
        raise ValueError(f"build: a script must not hold </script or <!--, got {path.name}")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--output", type=Path, default=HERE / "index.html", help="file to write")
    parser.add_argument("--example", action="store_true", help="make example.fits first")
    options = parser.parse_args()
    if options.example:
        make_example(EXAMPLE)
    options.output.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
