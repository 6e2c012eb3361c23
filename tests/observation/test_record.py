"""The lines of HISTORY about the input."""

import numpy as np
import pytest
from astropy.io import fits as afits

from enhance_np.observation import fits, record
from enhance_np.observation.record import Made, add_history, made, said

CONTENT = "0123456789abcdef" * 4


def lines(path, **options):
    header = afits.Header()
    add_history(header, path, CONTENT, options)
    header = afits.Header.fromstring(header.tostring())  # as a reader finds them
    return list(header["HISTORY"])


def test_name_content_and_options():
    assert lines("/home/somebody/in.fits", model="small", norm=1.5, ensemble=True) == [
        "input: in.fits",
        f"sha256 {CONTENT}",
        "options: model=small, norm=1.5, ensemble=True",
    ]


def test_long_lines_are_wrapped_between_words():
    options = {f"option{i}": "value" for i in range(12)}
    found = lines("a.fits", **options)[2:]
    assert len(found) > 2
    assert all(len(line) <= 72 for line in found)
    assert all(line.startswith("  option") for line in found[1:])
    assert " ".join(line.strip() for line in found) == "options: " + ", ".join(
        f"{key}=value" for key in options
    )


def test_a_long_name_is_cut():
    name = "hmi-" * 40 + ".fits"
    found = lines(name)
    at = found.index(f"sha256 {CONTENT}")
    assert "".join(line.strip() for line in found[:at]) == f"input: {name}"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("sol\u00e9il.fits", r"sol\xe9il.fits"),
        ("\u592a\u967d.fits", r"\u592a\u967d.fits"),
        ("two\nlines.fits", r"two\nlines.fits"),
        ("not\udcffutf8.fits", r"not\udcffutf8.fits"),  # as Python reads such a name
        (r"back\slash.fits", r"back\\slash.fits"),
    ],
)
def test_other_letters_are_escaped(name, written):
    assert lines(name)[0] == f"input: {written}"


def image(path, header):
    """An output as `predict` writes it."""
    fits.write(path, np.zeros((4, 4), np.float32), header)
    return path


@pytest.mark.parametrize("end", ["", ".gz", ".bz2", ".fz"])
def test_options_are_found_in_the_header(tmp_path, end):
    options = {"weights": "a, b.h5", "norm": 1.5, "device": "cpu", "tile": 64, "ext": "x" * 100}
    header = afits.Header({"ENHTYPE": "blos", "ENHWGT": "0123456789abcdef"})
    for i in range(100):  # some blocks
        header[f"KEY{i}"] = i
    add_history(header, "earlier.fits", CONTENT, {"model": "default"})
    header.add_history("  an indented line of somebody else")
    add_history(header, "a.fits", CONTENT, options)
    header.add_history("a later line")
    found = made(image(tmp_path / f"o.fits{end}", header))
    assert found == Made(said(options), "blos", "0123456789abcdef")
    assert found.options == "options:weights=a,b.h5,norm=1.5,ext=" + "x" * 100
    assert found.options == said(options | {"device": "gpu", "tile": 128})
    assert found.options != said(options | {"norm": 1.6})


def test_a_header_without_options(tmp_path):
    empty = Made("", None, None)
    assert made(image(tmp_path / "a.fits", afits.Header())) == empty
    for number, content in enumerate((b"", b"not FITS", bytes(10_000), b"\x1f\x8b\x08broken")):
        for end in ("", ".gz", ".bz2", ".fz"):
            path = tmp_path / f"{number}.fits{end}"
            path.write_bytes(content)
            assert made(path) == empty
    assert made(tmp_path / "none.fits") == empty


def test_a_header_that_does_not_end(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "MOST", 72)
    path = tmp_path / "a.fits"
    cards = b"SIMPLE  =".ljust(80), b"HISTORY options: a=b".ljust(100 * 2880 - 80)
    path.write_bytes(b"".join(cards))
    assert made(path).options == "options:a=b"
    assert len(record._cards(str(path))) == 72
