"""Pages of `inspect`, made of a small image, and what they hold."""

import base64
import json
import re
import zlib
from types import SimpleNamespace

import numpy as np
from astropy.io import fits
from networks import trained

from enhance_np import weights
from enhance_np.config import NetworkConfig
from enhance_np.engine import select
from enhance_np.inspection.page import build
from enhance_np.inspection.subject import subject

SIZE = (26, 31)
EVIL = "<script>window.evil=1</script><img src=x onerror=window.evil=1>"
RUNS = (
    (NetworkConfig(2, 5), "training"),
    (NetworkConfig(0, 4, "elu"), "prediction"),
    (NetworkConfig(1, 6, refine_filters=3), "training"),
)


def image(folder, size=SIZE, name="in.fits", **cards):
    rng = np.random.default_rng(1)
    path = folder / name
    data = (60_000 * (1 + 0.05 * rng.standard_normal(size))).astype(np.float32)
    header = fits.Header({"BUNIT": "DN/s", "CONTENT": "CONTINUUM INTENSITY"} | cards)
    fits.writeto(path, data, header)
    return path


def made_page(config, mode, folder):
    """.path of a page, its .trace, .about and .arrays; weights are beside it in w.h5."""
    file = folder / "w.h5"
    weights.save(file, trained(config))
    seen = subject(image(folder, INSTRUME=EVIL[:60]), weights=file, at=(3, 4))
    seen.about["file"] = EVIL  # the name of a file, which cannot hold a slash
    text, found = build(seen, select("cpu"), mode)
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    return SimpleNamespace(path=path, trace=found, subject=seen, **held(text))


def held(text):
    about = json.loads(re.search(r'type="application/json">(.*?)</script>', text, re.S)[1])
    blob = re.search(r'id="blob" type="text/plain">(.*?)</script>', text, re.S)[1]
    content = zlib.decompress(base64.b64decode(blob))
    arrays = {
        name: np.frombuffer(content, f"<{kind}", np.prod(shape, dtype=int), offset).reshape(shape)
        for name, (kind, offset, shape) in about["arrays"].items()
    }
    return {"text": text, "about": about, "arrays": arrays}
