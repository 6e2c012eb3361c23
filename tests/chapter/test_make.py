"""The command: its files, its numbers, its errors. The region is the smallest that it takes."""

import base64
import io
import json
import re

import numpy as np
import pytest
from astropy.io import fits

from enhance_np import cli
from enhance_np._array import repeated
from enhance_np.chapter import blink, make, page, published, regions
from enhance_np.prediction.picture import stretch

pytest.importorskip("matplotlib")
from matplotlib.image import imread

SIZE = str(make.LEAST_SIDE)
# a file of HMI, or a light bridge, would give these
ABSENT = {"contrast_hmi", "tail_modified", "tail_wachter", "bridge"}


def run(*arguments):
    """Status or message."""
    with pytest.raises(SystemExit) as done:
        cli.main(["chapter", *map(str, arguments), "--device", "cpu"])
    return done.value.code


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder, region, what it found) of one run; the last two are caught on their way."""
    caught = []
    folder = tmp_path_factory.mktemp("chapter") / "out"

    def catching(function):
        def caller(*arguments):
            caught.append(function(*arguments))
            return caught[-1]

        return caller

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "synthetic", catching(regions.synthetic))
        patch.setattr(make, "_found", catching(make._found))
        assert run("--out", folder, "--size", SIZE, "--quiet") in (0, None)
    return folder, *caught


def test_every_figure_is_written(made):
    folder, *_ = made
    names = {name for name, *_ in make.FIGURES} | {*make.PAGES}
    assert {path.name for path in folder.iterdir()} == names
    for path in folder.glob("*.png"):
        image = imread(path)
        assert min(image.shape[:2]) > 200
        assert image[..., :3].std() > 0.05
    assert (folder / "04_network.svg").read_text(encoding="utf-8").startswith("<svg")


def test_the_numbers_are_complete_and_finite(made):
    folder, region, _ = made
    found = json.loads((folder / "numbers.json").read_text())
    assert found["about"]["region"] == region.name
    numbers = found["numbers"]
    assert list(numbers) == [entry.key for entry in published.ENTRIES]
    missing = {key for key, number in numbers.items() if number["value"] is None}
    assert missing <= ABSENT
    for key in numbers.keys() - missing:
        assert np.isfinite(numbers[key]["value"]), key
        assert numbers[key]["truth"] is None or np.isfinite(numbers[key]["truth"]), key


def test_numbers_against_independent_calculations(made):
    folder, region, _ = made
    found = json.loads((folder / "numbers.json").read_text())["numbers"]
    image, out, truth = region.images["blos"], region.out["blos"], region.truths["blos"]
    low = out.reshape(len(image), 2, -1, 2).mean(axis=(1, 3))
    at = (np.abs(image) >= 800) & (np.abs(image) <= 1200)
    ratio = (low * np.sign(image))[at].sum() / np.abs(image)[at].sum()
    assert found["kilogauss"]["value"] == pytest.approx(ratio, rel=1e-5)
    for key, after in {"value": out, "truth": truth}.items():
        flux = np.abs(after).mean() / np.abs(image).mean()
        assert found["flux"][key] == pytest.approx(flux, rel=1e-4)
    seconds = region.seconds
    assert found["speed_rl"]["value"] == seconds[regions.RL] / seconds["default"]
    small = region.outputs["small"]["blos"]
    share = 100 * np.abs(small - out).mean() / np.abs(out).mean()
    assert found["small_blos"]["value"] == pytest.approx(share, rel=1e-4)
    # Hinode's header is wrong by 1 arcsec, 4 pixels
    assert found["hinode_shift"]["value"] < 0.05


def test_both_pages_have_every_figure_and_number(made):
    folder, *_ = made
    numbers = json.loads((folder / "numbers.json").read_text())["numbers"]
    for name, between in (("README.md", " | "), ("index.html", "</td><td>")):
        text = (folder / name).read_text(encoding="utf-8")
        for figure, *_ in make.FIGURES:
            assert figure in text
        for entry in published.ENTRIES:
            cells = [entry.quantity + (f", {entry.unit}" if entry.unit else ""), entry.chapter]
            for value in (numbers[entry.key]["value"], numbers[entry.key]["truth"]):
                cells.append(page.NONE if value is None else entry.style.format(value))
            cells = [cell.replace("|", r"\|") if name == "README.md" else cell for cell in cells]
            assert between.join(cells) in text
        for missing in published.MISSING:
            assert missing.what in text
    assert not re.search(r"(src|href)=\"(https?:)?//", text)


def test_the_page_to_blink_has_the_images_pixel_by_pixel(made):
    folder, region, _ = made
    text = (folder / "blink.html").read_text(encoding="utf-8")
    assert text == blink.page(region)
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    pictures = [
        imread(io.BytesIO(base64.b64decode(coded)))[::-1]
        for coded in re.findall(r"data:image/png;base64,([^\"]+)", text)
    ]
    shown = iter(pictures)
    for type, image in region.images.items():
        low, high = stretch([image, region.out[type]], type)
        for wanted in (region.out[type], repeated(image)):
            grey = np.clip((wanted - low) / (high - low), 0, 1)
            np.testing.assert_allclose(next(shown)[..., 0], grey, atol=2 / 255)  # 256 greys
    assert next(shown, None) is None


def test_existing_files_are_replaced_only_if_asked(made, monkeypatch):
    folder, *_ = made
    monkeypatch.setattr(make, "_found", lambda *a: pytest.fail("worked before it looked"))
    assert re.search(r"01_before_and_after.png.*--overwrite", run("--out", folder, "--size", SIZE))


def test_an_error_leaves_the_folder_as_it_was(made, monkeypatch):
    folder, *_ = made
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(found):
        raise ValueError("chapter: no page")

    monkeypatch.setattr(make.page, "html", fail)
    monkeypatch.setattr(make, "_found", lambda *a: made[2])
    message = run("--out", folder, "--size", SIZE, "--overwrite", "--quiet")
    assert message == "enhance-np chapter: no page"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--size", "40"], "size must be 64 or more, got size=40"),
        (["--seed", "3"], "seed must be from 1000000 to 1099999"),
        (["--hmi", "absent.fits", "b.fits"], "absent.fits"),
        (["--hmi", "{image}"], "got 1 files (see --hmi)"),
        (["--hmi", "{image}", "{image}"], "got two of type intensity (see --hmi)"),
        (["--limb", "{image}"], "needs an image that shows the limb"),
        (["--simulation", "{image}"], "pixels below 0.25 arcsec"),
        (["--simulation", "absent.npy"], "absent.npy"),
        (["--hinode", "{image}"], "needs those of HMI of the same region, got none (see --hmi)"),
    ],
)
def test_one_line_for_what_cannot_be_used(options, said, tmp_path, rng, monkeypatch):
    """It is found before the synthetic images are made."""
    monkeypatch.setattr(regions, "synthetic", lambda *a: pytest.fail("worked before it looked"))
    image = tmp_path / "image.fits"
    cards = {"CONTENT": "CONTINUUM INTENSITY", "CUNIT1": "arcsec", "CDELT1": 0.5}
    cards |= {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT2": "arcsec", "CDELT2": 0.5}
    noise = 1 + 0.04 * rng.standard_normal((64, 64))
    fits.writeto(image, noise.astype("f4"), fits.Header(cards))
    options = [option.format(image=image) for option in options]
    message = run("--out", tmp_path / "out", "--quiet", "--size", SIZE, *options)
    assert said in message
    assert "\n" not in message
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    monkeypatch.setattr(make, "_found", lambda *a: pytest.fail("worked before it looked"))
    (tmp_path / "file").write_text("mine")
    message = run("--out", tmp_path / "file" / "deep" / "out")
    assert "the output must be in a folder that is writable, got" in message
    monkeypatch.setattr(make.os, "access", lambda *a: False)
    assert "writable" in run("--out", tmp_path / "new" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "out").write_text("mine")
    assert "must be a folder" in run("--out", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"
