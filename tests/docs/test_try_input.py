"""What the page refuses, and that no text of a file becomes more than text."""

import gzip
import io
import re

import numpy as np
import pytest
from astropy.io import fits
from browser import launched, page
from try_page import enhanced, field, intensity, opened, wcs, write


@pytest.fixture(scope="module")
def chromium():
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def shown(chromium):
    with page(chromium) as one:
        yield opened(one)


@pytest.fixture(scope="module")
def whole():
    """The bytes of a file that is accepted."""
    header = fits.Header({**wcs(), "BUNIT": "Gauss"})
    hdu = fits.PrimaryHDU(field(np.random.default_rng(0)).astype("f4"), header)
    return header_of(hdu) + hdu.data.astype(">f4").tobytes()


def header_of(hdu):
    return hdu.header.tostring().encode()


def changed(content, key, value):
    """The file with another value in its first card `key`."""
    at = content.index(f"{key:8}=".encode())
    return content[:at] + f"{key:8}= {value:>20}".encode().ljust(80) + content[at + 80 :]


CUBE = fits.PrimaryHDU(np.zeros((3, 4, 5), "f4"))
LINE = fits.PrimaryHDU(np.ones((1, 50), "f4"))
FAULTS = {
    "no FITS": (lambda whole: b"\x89PNG and so on", "This is not a FITS file"),
    "empty": (lambda whole: b"", "This is not a FITS file"),
    "gzip cut short": (lambda whole: gzip.compress(whole)[:2000], "gzipped file is damaged"),
    "no END": (lambda whole: whole.replace(b"END     ", b"UND     "), "a header has no END"),
    "cut short": (lambda whole: whole[:-5000], "announces 18924 bytes of data, and 13924 are"),
    "only a header": (lambda whole: whole[:2880], "and 0 are there"),
    "too wide": (lambda whole: changed(whole, "NAXIS1", 999_999_999), "2048 x 2048 pixels"),
    "lying": (lambda whole: changed(whole, "NAXIS1", 2000), "announces 456000 bytes"),
    "negative": (lambda whole: changed(whole, "NAXIS2", -57), "NAXIS2 must be a whole number"),
    "not whole": (lambda whole: changed(whole, "NAXIS2", 5.5), "NAXIS2 must be a whole number"),
    "words": (lambda whole: changed(whole, "NAXIS1", "'many'"), "NAXIS1 must be a whole number"),
    "many axes": (lambda whole: changed(whole, "NAXIS", 100_000), "NAXIS must be 999 at most"),
    "bits": (lambda whole: changed(whole, "BITPIX", 12), "BITPIX must be one of"),
    "place": (lambda whole: changed(whole, "CRPIX1", "'mid'"), "CRPIX1 must be a number"),
    "scale": (
        lambda whole: changed(whole, "CRVAL1", "'x'").replace(b"CRVAL1", b"BSCALE"),
        "BSCALE must",
    ),
    "a cube": (lambda whole: header_of(CUBE) + bytes(240), "3 axes (5 x 4 x 3)"),
    "one line": (lambda whole: header_of(LINE) + bytes(200), "2 x 2 pixels or more"),
    "of MDI": (
        lambda whole: whole.replace(b"SDO/HMI ", b"SOHO/MDI"),
        "got TELESCOP='SOHO/MDI' (see --weights of enhance-np predict)",
    ),
    "velocity": (lambda whole: whole.replace(b"'Gauss", b"'m/s  "), "BUNIT='m/s' (neither)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_refused_in_one_sentence(shown, tmp_path, whole, fault):
    damage, said = FAULTS[fault]
    source = tmp_path / "in.fits"
    source.write_bytes(damage(whole))
    with pytest.raises(ValueError, match=re.escape(said)) as refused:
        enhanced(shown, source, tmp_path)
    assert "\n" not in str(refused.value)
    assert not shown.locator("#result").is_visible()


def test_the_file_without_faults_is_accepted(shown, tmp_path, whole):
    """Even without the zeros that fill its last block."""
    source = tmp_path / "in.fits"
    source.write_bytes(whole)
    assert fits.getdata(enhanced(shown, source, tmp_path)).shape == (114, 166)


def test_only_missing_pixels(shown, tmp_path):
    source = write(tmp_path / "in.fits", np.full((9, 9), np.nan), BUNIT="G")
    with pytest.raises(ValueError, match="one valid pixel or more"):
        enhanced(shown, source, tmp_path)


@pytest.mark.parametrize("method", ["GZIP_1", "HCOMPRESS_1", "RICE_1"])
def test_compression_that_the_page_does_not_read_names_the_command(shown, tmp_path, rng, method):
    """Of RICE_1, floats."""
    data = intensity(rng).astype("f4" if method == "RICE_1" else "i4")
    fits.CompImageHDU(data, compression_type=method).writeto(tmp_path / "in.fits")
    with pytest.raises(ValueError, match="use enhance-np predict"):
        enhanced(shown, tmp_path / "in.fits", tmp_path)


def test_the_user_decides_the_type_where_the_file_does_not(shown, tmp_path, rng):
    source = write(tmp_path / "in.fits", 2000 + field(rng, (20, 20)) / 10)
    with pytest.raises(ValueError, match="so the type must be chosen, got no evidence"):
        enhanced(shown, source, tmp_path)
    assert fits.getheader(enhanced(shown, source, tmp_path, "blos"))["ENHTYPE"] == "blos"
    source = write(tmp_path / "in.fits", field(rng), BUNIT="Gauss")
    with pytest.raises(ValueError, match="must match the file"):
        enhanced(shown, source, tmp_path, "intensity")


def test_texts_of_a_file_stay_texts(shown, tmp_path, rng):
    evil = "<img src=x onerror='window.evil=1'><script>window.evil=1<"
    source = tmp_path / f"{evil.replace('/', '')}.fits"
    write(source, field(rng, (20, 20)), BUNIT="<b>G</b>", CONTENT="MAGNETOGRAM", ENHMODEL=evil)
    found = enhanced(shown, source, tmp_path)
    assert fits.getheader(found)["BUNIT"] == "<b>G</b>"
    assert shown.locator("#result-title").text_content() == source.name
    assert f"ENHMODEL='{evil}'" in shown.locator("#remarks").text_content()
    assert "[<b>G</b>]" in shown.locator("#quantity").text_content()
    write(source, field(rng, (20, 20)), BUNIT="m/s", CONTENT=f"DOPPLERGRAM {evil[:40]}")
    with pytest.raises(ValueError, match="<img src=x onerror="):
        enhanced(shown, source, tmp_path)
    assert shown.evaluate(
        "[window.evil, document.querySelectorAll('img, main b, main script').length]"
    ) == [None, 0]


def test_damaged_bytes_never_end_in_another_error(shown, whole):
    """Bytes of header and data are replaced by random ones, of a plain and of a compressed file."""
    hdu = fits.CompImageHDU(np.arange(3000, dtype="i4").reshape(50, 60), compression_type="RICE_1")
    hdus = fits.HDUList([fits.PrimaryHDU(), hdu])
    hdus.verify("silentfix")
    packed = io.BytesIO()
    hdus.writeto(packed)
    for content in (whole, packed.getvalue()):
        others = shown.evaluate(
            """async content => {
              const others = [];
              let seed = 1;
              const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
              for (let trial = 0; trial < 400; trial++) {
                const bytes = Uint8Array.from(content);
                for (let n = 0; n < 1 + trial / 40; n++)
                  bytes[random(trial % 2 ? bytes.length : 6000)] = 32 + random(224);
                await fits.read(new Blob([bytes]), "in.fits").catch((error) => {
                  if (!(error instanceof Refused)) others.push(String(error.stack));
                });
              }
              return others;
            }""",
            list(content),
        )
        assert others == []


def test_a_file_is_dropped_and_the_last_one_counts(shown, tmp_path, rng):
    shown.set_input_files(
        "#file", write(tmp_path / "large.fits", field(rng, (300, 300)), BUNIT="G")
    )
    small = write(tmp_path / "small.fits", field(rng, (20, 20)), BUNIT="G")
    given = shown.evaluate_handle(
        """bytes => {
          const given = new DataTransfer();
          given.items.add(new File([Uint8Array.from(bytes)], "dropped.fits"));
          return given;
        }""",
        list(small.read_bytes()),
    )
    shown.dispatch_event("body", "drop", {"dataTransfer": given})
    shown.wait_for_selector("#result:visible", timeout=120_000)
    shown.wait_for_timeout(500)  # what was left of the other file would be done
    assert shown.locator("#result-title").text_content() == "dropped.fits"
    assert shown.locator("#output-size").text_content() == "40 × 40"


def test_keys_move_and_phones_show_all(chromium):
    """Down to a narrow phone nothing is wider than the screen."""
    with page(chromium, viewport={"width": 360, "height": 740}) as shown:
        opened(shown)
        shown.keyboard.press("Tab")
        assert shown.evaluate("document.activeElement.id") == "file"
        for _ in range(2):
            shown.keyboard.press("Tab")
        assert shown.evaluate("document.activeElement.id") == "example"
        shown.keyboard.press("Enter")
        shown.wait_for_selector("#result:visible", timeout=120_000)
        shown.focus("#output")
        for key in ("+", "+", "ArrowLeft"):
            shown.keyboard.press(key)
        moved = shown.locator("#readout").text_content()
        shown.keyboard.press("0")
        assert moved != shown.locator("#readout").text_content()
        assert "→" in moved
        assert shown.evaluate("document.documentElement.scrollWidth") <= 360
