"""The lines of HISTORY about the input."""

import pytest
from astropy.io import fits as afits

from enhance_np.observation.record import add_history

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
