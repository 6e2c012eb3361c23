"""docs/try/index.html as a user has it: a file in, a file or a sentence out. Files for it."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from enhance_np.observation.disc import limb_darkening

PAGE = Path(__file__).parents[2] / "docs/try/index.html"
SCALE, RADIUS = 0.504, 960.0  # arcsec
WAIT = 120_000  # ms; a busy machine is slow, not wrong


def opened(page):
    page.goto(PAGE.as_uri())
    return page


def enhanced(page, path, into, type="") -> Path:
    """The file that the page saves; the sentence by which it refuses becomes a ValueError."""
    page.select_option("#type", type)
    page.set_input_files("#file", path)
    page.wait_for_selector("#result:visible, #error:visible", timeout=WAIT)
    if page.locator("#error").is_visible():
        raise ValueError(page.locator("#error").inner_text())
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename.endswith("_enhanced.fits")
    target = into / f"page_{Path(path).name}.fits"
    download.value.save_as(target)
    return target


def same_file(found, wanted):
    """Pixels within 1e-5 of their range, the same gaps, the same cards in the same order.

    But the page writes no checksums, which would differ with the last bits of the pixels, and does
    not record the input's name and sha256 and the command's options: it has no options, and a
    browser gives it no sha256 unless the page comes from a file or over HTTPS.
    """
    (got, got_header), (data, header) = (fits.getdata(f, header=True) for f in (found, wanted))
    assert got.dtype == data.dtype
    assert (np.isnan(got) == np.isnan(data)).all()
    spread = np.nanmax(data) - np.nanmin(data)
    np.testing.assert_allclose(got, data, rtol=0, atol=1e-5 * spread)
    *shared, source, content, options = header["HISTORY"]
    assert (source[:7], content[:7], options[:9]) == ("input: ", "sha256 ", "options: ")
    header.remove("HISTORY", remove_all=True)
    for line in shared:
        header.add_history(line)
    for key in ("CHECKSUM", "DATASUM"):
        header.remove(key)
    assert [card[::2] for card in got_header.cards] == [card[::2] for card in header.cards]
    for one, other in zip(got_header.values(), header.values(), strict=True):
        assert one == (pytest.approx(other, rel=1e-6) if isinstance(other, float) else other)


def wcs(x=0.0, y=0.0, shape=(57, 83), angle=0.0):
    """Cards of a cut-out whose middle is at (x, y) arcsec, turned by `angle` degrees."""
    cards = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec"}
    cards |= {"CRVAL1": x, "CRVAL2": y, "CDELT1": SCALE, "CDELT2": SCALE, "CROTA2": angle}
    cards |= {"CRPIX1": (shape[1] + 1) / 2, "CRPIX2": (shape[0] + 1) / 2, "RSUN_OBS": RADIUS}
    return cards | {"TELESCOP": "SDO/HMI", "DATE-OBS": "2014-03-01T00:00:27.90"}


def mu(x, y, shape):
    """(H, W) of the cut-out of `wcs` without an angle, NaN off the disc."""
    at_x = x + SCALE * (np.arange(shape[1]) - (shape[1] - 1) / 2)
    at_y = y + SCALE * (np.arange(shape[0]) - (shape[0] - 1) / 2)
    squared = 1 - (at_x**2 + at_y[:, None] ** 2) / RADIUS**2
    return np.sqrt(np.where(squared >= 0, squared, np.nan))


def texture(rng, shape):
    """Noise smoothed to about HMI's resolution, of unit variance."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(rng.standard_normal(shape), 1.0)
    return smooth / smooth.std()


def intensity(rng, shape=(57, 83), x=0.0, y=0.0):
    """Granules and a spot in DN/s with limb darkening; NaN off the disc."""
    rows, columns = np.indices(shape)
    distance = np.hypot(rows - 0.4 * shape[0], columns - 0.3 * shape[1])
    spot = 1 - 0.8 * np.exp(-0.5 * (distance / 6) ** 2)
    return 60_000 * spot * (1 + 0.05 * texture(rng, shape)) * limb_darkening(mu(x, y, shape))


def field(rng, shape=(57, 83)):
    """Mixed polarities and two strong ones, in G."""
    rows, columns = np.indices(shape)
    strong = 10 * texture(rng, shape)
    for sign, j in ((1, 0.3), (-1, 0.6)):
        distance = np.hypot(rows - 0.5 * shape[0], columns - j * shape[1])
        strong += sign * 1500 * np.exp(-0.5 * (distance / 5) ** 2)
    return strong


def write(path, data, bits="float32", **cards):
    """`path`, as a FITS file of one image; integers are scaled by BSCALE and BZERO in `cards`."""
    scaling = {key: cards.pop(key) for key in ("BSCALE", "BZERO") if key in cards}
    data = (data - scaling.get("BZERO", 0)) / scaling.get("BSCALE", 1)
    data = np.rint(data) if bits.startswith("int") else data
    hdu = fits.PrimaryHDU(data.astype(bits), fits.Header(cards))
    for key, value in scaling.items():
        hdu.header[key] = value
    hdu.writeto(path, overwrite=True)
    return path
