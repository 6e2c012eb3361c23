"""The page that enhances in the browser gives the file of `predict`."""

import gzip
import importlib.util
import io

import numpy as np
import pytest
import try_page
from astropy.io import fits
from astropy.wcs import WCS
from browser import launched, page
from scipy.ndimage import distance_transform_cdt
from try_page import PAGE, enhanced, field, intensity, opened, same_file, wcs, write

from enhance_np.observation import kind, normalise
from enhance_np.observation.fits import read
from enhance_np.observation.header import ANGLES
from enhance_np.observation.remarks import remarks
from enhance_np.prediction.file import enhance_file


@pytest.fixture(scope="module")
def chromium():
    with launched() as browser:
        yield browser


@pytest.fixture
def shown(chromium):
    with page(chromium) as one:
        yield opened(one)


def test_the_page_is_what_its_sources_give():
    """`make try` builds it."""
    spec = importlib.util.spec_from_file_location("try_build", PAGE.parent / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    assert PAGE.read_text(encoding="utf-8") == build.page()


def turned_intensity(path, rng):
    cards = wcs(-300, 200, angle=179.9) | {"BUNIT": "DN/s", "CONTENT": "CONTINUUM INTENSITY"}
    scaled = {"BSCALE": 2.0, "BZERO": 65536.0, "BLANK": -32768}
    return write(path, intensity(rng, x=-300, y=200), "int16", **cards, **scaled)


def limb(path, rng):
    shape, x = (83, 57), 950
    data = intensity(rng, shape, x)
    assert 0.1 < np.isnan(data).mean() < 0.5
    data[40:43, 3:5] = np.nan
    data[10, 10], data[11, 11] = 0, -9999
    cards = wcs(x, 0, shape) | {"BUNIT": "DN/s", "DATE": "2014-03-05", "DATAMIN": 3.0}
    return write(path, data, "float64", **cards)


def fitted_limb_darkening(path, rng):
    """The image spans enough of the disc for a fit of the law's strength."""
    shape, x = (57, 683), 770
    return write(path, intensity(rng, shape, x), **wcs(x, 0, shape), BUNIT="DN/s")


def matrix_field(path, rng):
    cards = wcs(100, -50) | {"BUNIT": "Gauss", "CONTENT": "MAGNETOGRAM", "R_SUN": 1904.7}
    for key in ("CDELT1", "CDELT2", "CROTA2"):
        del cards[key]
    cards |= {"CD1_1": -0.4, "CD1_2": 0.3, "CD2_1": 0.3, "CD2_2": 0.4, "CRPIX1A": 3.0}
    return write(path, field(rng), **cards)


def field_beyond_the_limb(path, rng):
    shape, x = (83, 57), 950
    data = field(rng, shape)
    off = np.isnan(try_page.mu(x, 0, shape))
    data[off] = 500 * rng.standard_normal(off.sum())
    return write(path, data, **wcs(x, 0, shape), BUNIT="Gauss")


def kilogauss_in_an_extension(path, rng):
    data = field(rng) / 1000
    data[20:30, 40:60] = np.nan
    data[0, 0] = data[-1, -1] = np.inf
    cards = fits.Header({"BUNIT": "kG", "EXTNAME": "FIELD", **wcs()})
    table = fits.BinTableHDU.from_columns([fits.Column("A", "J", array=[1, 2, 3])])
    hdus = [fits.PrimaryHDU(), table, fits.ImageHDU(data.astype(">f8"), cards)]
    fits.HDUList(hdus).writeto(path)
    return path


def rice(path, rng):
    """As JSOC compresses, with a card that breaks the standard, and gzipped too."""
    stored = np.rint(intensity(rng) / 3).astype(np.int32)
    stored[5, 5:9] = -(2**31)
    header = fits.Header({**wcs(), "BUNIT": "DN/s", "BLANK": -(2**31)})
    hdu = fits.CompImageHDU(stored, header, compression_type="RICE_1")
    hdu.header["BSCALE"] = 3.0
    plain = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(plain)
    content = plain.getvalue()
    bad = b"CRDER1  = nan".ljust(80)
    place = content.index(b"DATE-OBS")
    path.write_bytes(gzip.compress(content[:place] + bad + content[place + 80 :]))
    return path


def limb_in(unit, arcsec):
    """The limb with its lengths in a unit of `arcsec`; without a name of it, if `unit` is None."""

    def make(path, rng):
        shape, x = (83, 57), 950
        cards = wcs(x, 0, shape) | {"BUNIT": "DN/s"}
        for i in (1, 2):
            cards[f"CUNIT{i}"] = unit
            for key in (f"CDELT{i}", f"CRVAL{i}"):
                cards[key] /= arcsec
        cards = {key: value for key, value in cards.items() if value is not None}
        return write(path, intensity(rng, shape, x), **cards)

    make.__name__ = f"limb in {unit}"
    return make


def several_tiles(path, rng):
    return write(path, intensity(rng, (211, 130)) / 60_000)


MADE = [
    turned_intensity,
    limb,
    fitted_limb_darkening,
    matrix_field,
    field_beyond_the_limb,
    kilogauss_in_an_extension,
    limb_in(None, ANGLES["deg"]),
    limb_in("arcmin", ANGLES["arcmin"]),
    limb_in("rad", ANGLES["rad"]),
    rice,
    several_tiles,
]


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
@pytest.mark.parametrize("make", MADE, ids=lambda make: make.__name__)
def test_the_saved_file_is_that_of_predict(shown, tmp_path, rng, make):
    source = make(tmp_path / ("in.fits.gz" if make is rice else "in.fits"), rng)
    found = enhanced(shown, source, tmp_path)
    enhance_file(source, tmp_path / "out.fits", model="small", device="cpu")
    same_file(found, tmp_path / "out.fits")


def test_the_sky_stays_where_it_was(shown, tmp_path, rng):
    for make in (turned_intensity, matrix_field):
        source = make(tmp_path / f"{make.__name__}.fits", rng)
        found = enhanced(shown, source, tmp_path)
        before, after = (WCS(fits.getheader(f), fix=False) for f in (source, found))
        x, y = 90 * rng.random((2, 20))  # pixels from 0: corner -0.5 stays corner -0.5
        kept = np.subtract(
            before.wcs_pix2world(x, y, 0), after.wcs_pix2world(2 * x + 0.5, 2 * y + 0.5, 0)
        )
        assert abs((kept + 180) % 360 - 180).max() < 1e-9  # degrees, 4e-6 arcsec


FAILING_WORKER = """globalThis.Worker = class {
  postMessage() { setTimeout(() => this.onerror({ preventDefault() {} })); }
  terminate() {}
}"""


@pytest.mark.parametrize("without", ["SIMD", "workers", "both", "answers"])
def test_without_simd_or_workers(chromium, tmp_path, rng, without):
    """Also where workers start but do not answer."""
    source = write(tmp_path / "in.fits", field(rng, (100, 30)), BUNIT="G")
    with page(chromium) as shown:
        if without in ("SIMD", "both"):
            shown.add_init_script("delete globalThis.WebAssembly")
        if without in ("workers", "both"):
            shown.add_init_script("globalThis.Worker = () => { throw new Error('none'); }")
        if without == "answers":
            shown.add_init_script(FAILING_WORKER)
        found = enhanced(opened(shown), source, tmp_path)
        how = shown.locator("#facts").text_content()
        assert ("plain JavaScript" in how) == (without in ("SIMD", "both"))
        assert ("no worker" in how) == (without != "SIMD")
    enhance_file(source, tmp_path / "out.fits", model="small", device="cpu")
    same_file(found, tmp_path / "out.fits")


def test_simd_convolution_is_that_of_the_engine(shown):
    """Shapes that fill its registers and shapes that do not; errors over the largest sum."""
    cases = [(h, w, k, a, b) for h, w in ((2, 2), (5, 7)) for k in (1, 3) for a, b in SIZES]
    errors = shown.evaluate(
        """cases => {
          const random = (n) => Float32Array.from({ length: n }, () => Math.random() - 0.5);
          const fast = simd.maker();
          return cases.map(([h, w, k, cin, cout]) => {
            const x = { data: random(h * w * cin), h, w, c: cin }, b = random(cout);
            const kernel = { data: random(k * k * cin * cout), k, cin, cout };
            const [found, wanted] = [fast, engine.padConv].map((conv) => conv(x, kernel, b).data);
            if (found.length !== wanted.length) return 1;
            const error = Math.max(...found.map((v, n) => Math.abs(v - wanted[n])));
            return error / (k * k * cin + 1);
          });
        }""",
        cases,
    )
    # n products below 1/4 and their sums: n * 2^-24 of the sum of magnitudes at most
    assert max(errors) < 289 * 2**-24


SIZES = [(1, 32), (32, 32), (32, 1), (3, 5), (4, 12), (5, 8)]


def test_gaps_are_filled_as_in_the_package(shown, rng):
    """Of two nearest pixels the same one counts; beyond the network's reach none does."""
    for share in (0.1, 0.6, 0.95):
        image = rng.standard_normal((40, 31)).astype(np.float32)
        image[rng.random(image.shape) < share] = np.nan
        found = shown.evaluate(
            """([data, h, w]) => {
              const filled = Float32Array.from(data, (v) => v ?? NaN);
              missing.fill(filled, h, w, 5);
              return [...filled];
            }""",
            [[None if np.isnan(v) else float(v) for v in image.ravel()], *image.shape],
        )
        wanted, mask = normalise.fill(image)
        near = distance_transform_cdt(mask, "chessboard") <= 5
        np.testing.assert_array_equal(np.reshape(found, image.shape)[near], wanted[near])


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
def test_remarks_are_those_of_the_package(shown, tmp_path, rng):
    for cards in (
        {"QUALITY": 0x80000500, "QLOOK": 1, "BUNIT": "G"},
        {"QUALITY": "0x00000400", "HARPNUM": 3, "CTYPE1": "CRLN-CEA", "BUNIT": "G"},
        wcs() | {"CDELT1": 1.01, "CALVER64": 0x242112, "BUNIT": "G"},
        {"ENHMODEL": "x", "DRMS_ID": "hmi.M_720s_dcon[]", "BUNIT": "G"},
        {"DRMS_ID": "hmi.M_720s_dconS[]", "BUNIT": "G"},
        {"CONTENT": "MAGNETOGRAM"},
        {"CTYPE1": "HPLN-TAN", "CDELT1": 0.504, "BUNIT": "G"},  # without CUNIT degrees
        {"CUNIT1": "arcmin", "CDELT1": 0.02, "BUNIT": "G"},
    ):
        data = field(rng) * (1e-3 if "CONTENT" in cards else 1)
        data[3, 4] = 20_000 if "QLOOK" in cards else 0
        source = write(tmp_path / "in.fits", data, **cards)
        frame = read(source)
        wanted = [
            text
            for _, text in remarks(
                frame, kind.image_type(frame, None), "the network was trained on"
            )
        ]
        assert wanted
        enhanced(shown, source, tmp_path)
        found = shown.locator("#remarks li").all_text_contents()
        assert found == [t if t.startswith("QUALITY") else f"The file {t}" for t in wanted]


def test_an_umbra_alone_has_the_usual_level(shown, tmp_path, rng, caplog):
    source = write(tmp_path / "in.fits", 0.3 * intensity(rng), **wcs(), BUNIT="DN/s")
    found = enhanced(shown, source, tmp_path)
    enhance_file(source, tmp_path / "out.fits", model="small", device="cpu")
    same_file(found, tmp_path / "out.fits")
    (said,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    shown_said = shown.locator("#remarks li").all_text_contents()
    assert shown_said == [f"N{said[1:]} (see --norm-from, --norm of enhance-np predict)"]
