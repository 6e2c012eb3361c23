"""The synthetic limb, and numbers of a limb."""

import numpy as np
import pytest
from astropy.io import fits

from enhance_np.chapter import limb
from enhance_np.observation import disc

SIDE = 48


@pytest.fixture(scope="module")
def flat():
    """The limb of a Sun without granules."""
    return limb.synthetic(np.ones((400, 400)), SIDE, "cpu")


def test_a_sun_without_granules_has_the_law_of_limb_darkening(flat):
    at = (np.arange(2 * SIDE) + 0.5) / 2 - 0.5
    law = disc.limb_darkening(disc.locate(flat.header)(at, at))
    inside = flat.inside > 6  # away from the blur of the edge
    # of the scattered light of the target's PSF, 12 arcsec wide, a part is lost beyond the limb
    np.testing.assert_allclose(flat.truth[inside], law[inside], rtol=0.02)
    assert (flat.truth[np.isnan(law)].min(), flat.truth[inside].min()) > (0, 0.3)


def test_the_limb_is_in_the_image(flat):
    assert (flat.inside == 0).any()
    assert flat.inside.max() > 15
    assert flat.inside.max() < SIDE * 0.51


def test_granules_are_foreshortened(flat):
    """Stripes of 4 arcsec along the limb come closer and lose contrast towards it."""
    columns = np.arange(800) * 0.0662
    stripes = np.broadcast_to(1 + 0.2 * np.cos(2 * np.pi * columns / 10), (800, 800))
    found = limb.synthetic(stripes, SIDE, "cpu")
    row = found.truth[SIDE] / flat.truth[SIDE] - 1
    distance = found.inside[SIDE]
    signs = np.flatnonzero(np.diff(np.sign(row[distance > 2])))
    widths = np.diff(signs)
    assert len(widths) > 3
    assert widths[-1] < widths[0] / 1.5
    assert np.abs(row[(distance > 2) & (distance < 4)]).max() < np.abs(row[distance > 12]).max()


def test_the_numbers_of_a_perfect_output(flat):
    perfect = limb.Limb("made", flat.image, flat.truth, flat.header, flat.pixel_scale, flat.truth)
    found = limb.numbers(perfect)
    assert found["limb_error"].value == 0
    assert found["limb_detail"].value == found["limb_detail"].truth
    smooth = limb.Limb("made", flat.image, flat.truth, flat.header, flat.pixel_scale)
    assert "limb_error" not in limb.numbers(smooth)


def test_the_limb_of_an_image_without_coordinates():
    """It is where the sky ends, which is dark before it is missing."""
    x = np.arange(60)
    row = np.where(x < 10, np.nan, np.where(x < 20, 0.01, 0.5))
    image = np.broadcast_to(row, (40, 60)).astype(np.float32)
    found = limb.Limb("made", image, image.repeat(2, 0).repeat(2, 1), {}, 0.5)
    assert not found.inside[:, :40].any()
    np.testing.assert_allclose(found.inside[5, 40:44], 0.25 * np.arange(1, 5))


def test_pixels_of_another_size_are_remarked_on(tmp_path, flat, caplog):
    """At 20 arcsec there is nothing of what the chapter shows."""
    header = fits.Header({k: v for k, v in flat.header.items() if k not in ("CDELT1", "CDELT2")})
    header.update({"CDELT1": 20.0, "CDELT2": 20.0, "CRVAL1": 700.0})
    fits.writeto(tmp_path / "far.fits", (1e4 * flat.image).astype("f4"), header)
    limb.of_file(tmp_path / "far.fits", "cpu")
    assert "20" in caplog.text
    assert "pixel" in caplog.text


def test_files_that_show_no_limb(tmp_path, rng):
    path = tmp_path / "quiet.fits"
    fits.writeto(path, (1e4 * (1 + 0.03 * rng.standard_normal((40, 40)))).astype("f4"))
    with pytest.raises(ValueError, match="needs an image that shows the limb"):
        limb.of_file(path, "cpu")
    field = tmp_path / "field.fits"
    fits.writeto(field, (300 * rng.standard_normal((40, 40))).astype("f4"))
    with pytest.raises(ValueError, match="must be a continuum image, got blos"):
        limb.of_file(field, "cpu")
