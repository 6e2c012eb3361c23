"""sunpy reads plain, gzipped and tile-compressed outputs alike."""

import hashlib

import numpy as np
import pytest
from astropy.io import fits

import enhance_np
from enhance_np.prediction.file import enhance_file

CARDS = {
    "TELESCOP": "SDO/HMI", "INSTRUME": "HMI_FRONT2", "CONTENT": "CONTINUUM INTENSITY",
    "BUNIT": "DN/s", "DATE-OBS": "2014-03-01T00:00:27.90", "CTYPE1": "HPLN-TAN",
    "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec", "CRPIX1": 9.0, "CRPIX2": 8.0,
    "CRVAL1": 2.48, "CRVAL2": -1.7, "CDELT1": 0.504302, "CDELT2": 0.504302,
    "DSUN_OBS": 148205511547.72, "RSUN_REF": 696000000, "RSUN_OBS": 968.660583,
    "CRLN_OBS": 132.560135, "CRLT_OBS": -7.226688,
}  # fmt: skip


@pytest.mark.parametrize("name", ["b.fits", "b.fits.gz", "b.fits.fz"])
def test_sunpy_reads_every_form_of_file(tiny, tmp_path, rng, name):
    """Without a warning, which would be an error here."""
    sunpy_map = pytest.importorskip("sunpy.map")
    source = tmp_path / "a.fits"
    data = (50_000 * (1 + 0.04 * rng.standard_normal((30, 36)))).astype(np.float32)
    fits.writeto(source, data, fits.Header(CARDS))
    made = enhance_file(source, tmp_path / name, weights=tiny, device="cpu")
    seen = sunpy_map.Map(tmp_path / name)
    assert type(seen).__name__ == "HMIMap"
    np.testing.assert_array_equal(seen.data, made.output)
    content = hashlib.sha256(source.read_bytes()).hexdigest()
    assert f"input: a.fits\nsha256 {content}\noptions: " in seen.meta["history"]
    again = enhance_np.enhance(seen, weights=tiny)
    assert again.data.shape == (120, 144)
    assert not {"checksum", "datasum"} & set(again.meta)
