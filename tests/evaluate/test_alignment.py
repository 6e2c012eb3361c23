"""Shifts between images that are known, coordinates that are turned, and correlations by hand."""

import numpy as np
import pytest
from made import smooth_scene
from observed import CEA, frame

from enhance_np.evaluate import alignment
from enhance_np.evaluate.alignment import Sampler, find_shift, grid, mapping

SKY = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec"}


def on_sky(shape=(40, 50), scale=0.25, turned=0.0, centre=(100.0, -200.0), **cards):
    """A frame whose middle is at `centre` (x, y), turned by so many degrees."""
    angle = np.radians(turned)
    cards = {
        **SKY,
        **{"CRPIX1": (shape[1] + 1) / 2, "CRPIX2": (shape[0] + 1) / 2},
        **{"CRVAL1": centre[0], "CRVAL2": centre[1], "CDELT1": scale, "CDELT2": scale},
        **{"PC1_1": np.cos(angle), "PC1_2": -np.sin(angle)},
        **{"PC2_1": np.sin(angle), "PC2_2": np.cos(angle)},
        **cards,
    }
    return frame(np.zeros(shape), **cards)


def test_the_grid_of_a_header_and_one_that_is_given():
    found = grid(on_sky(turned=90), None, "out")
    assert found.sides == pytest.approx((0.25, 0.25))
    np.testing.assert_allclose(found.axes, 0.25 * np.array([[0, -1], [1, 0]]), atol=1e-12)
    assert found.wcs is not None
    given = grid(on_sky(), (0.3, 0.16), "out")
    assert given.sides == (0.16, 0.3)
    np.testing.assert_array_equal(given.axes, [[0.3, 0], [0, 0.16]])
    assert given.wcs is None


@pytest.mark.parametrize("name", ["out", "other"])
def test_a_grid_without_sizes(name):
    with pytest.raises(ValueError, match=f"{name} must have pixels of known size") as error:
        grid(frame(), None, name)
    assert error.value.parameters == (f"{name}_scale",)
    with pytest.raises(ValueError, match="of 0.005 to 2.5 arcsec, got -1 x -1") as error:
        grid(frame(), -1.0, name)
    assert error.value.parameters == (f"{name}_scale",)


def test_the_coordinates_that_hinode_writes():
    cards = {"CTYPE1": "Solar-X", "CTYPE2": "Solar-Y", "CUNIT1": None, "CUNIT2": None}
    old = on_sky(**cards)
    del old.header["CUNIT1"], old.header["CUNIT2"]
    found = grid(old, None, "other")
    assert found.sides == pytest.approx((0.25, 0.25))
    there, _, is_on_sky = mapping(grid(on_sky(), None, "out"), found)
    assert is_on_sky
    np.testing.assert_allclose(there(np.array([3.0]), np.array([7.0])), [[3], [7]], atol=1e-6)


@pytest.mark.parametrize("turned", [0, 180, 30])
def test_the_same_place_by_the_coordinates(turned):
    """10 arcsec west and 4 south of the middle of the first, in the second and back."""
    out = grid(on_sky(), None, "out")
    other = grid(on_sky((60, 80), 0.16, turned, (103.0, -201.0)), None, "other")
    there, back, is_on_sky = mapping(out, other)
    assert is_on_sky
    place = np.array([19.5 - 4 / 0.25]), np.array([24.5 + 10 / 0.25])
    angle = np.radians(turned)
    x, y = 10 - 3, -4 + 1  # from the middle of the second
    along = (np.cos(angle) * x + np.sin(angle) * y) / 0.16
    up = (-np.sin(angle) * x + np.cos(angle) * y) / 0.16
    found = there(*place)
    # TAN is not a plane: 10 arcsec at 200 from disc centre are off by 1e-6 of them
    np.testing.assert_allclose(found, [[29.5 + up], [39.5 + along]], atol=1e-3)
    np.testing.assert_allclose(back(*found), place, atol=1e-6)


def test_without_coordinates_of_both_the_centres_are_one_place():
    """The first is upside down by its header; the second has only a scale."""
    out = grid(on_sky(turned=180), None, "out")
    other = grid(frame(np.zeros((20, 30))), 0.5, "other")
    there, back, is_on_sky = mapping(out, other)
    assert not is_on_sky
    rows, columns = there(np.array([19.5, 21.5]), np.array([24.5, 20.5]))
    np.testing.assert_allclose(rows, [9.5, 8.5])
    np.testing.assert_allclose(columns, [14.5, 16.5])
    np.testing.assert_allclose(back(rows, columns), [[19.5, 21.5], [24.5, 20.5]])


def test_coordinates_of_two_kinds():
    cards = {**CEA, "CTYPE2": "CRLT-CEA", "CUNIT2": "degree", "CDELT1": 0.03, "CDELT2": 0.03}
    one, other = grid(on_sky(), None, "out"), grid(frame(**cards), None, "other")
    with pytest.raises(ValueError, match="of one kind") as error:
        mapping(one, other)
    assert error.value.parameters == ("other_scale",)


def test_the_part_that_another_image_shows():
    out, other = grid(on_sky((40, 50)), None, "out"), grid(on_sky((8, 12)), None, "other")
    _, back, _ = mapping(out, other)
    whole = slice(0, 8), slice(0, 12)
    assert alignment.cut((40, 50), whole, back, 0) == (slice(15, 25), slice(18, 32))
    assert alignment.cut((40, 50), whole, back, 100) == (slice(0, 40), slice(0, 50))
    far = grid(on_sky((8, 12), centre=(500.0, -200.0)), None, "other")
    _, back, _ = mapping(out, far)
    with pytest.raises(ValueError, match="coordinates that do not overlap") as error:
        alignment.cut((40, 50), whole, back, 0)
    assert error.value.parameters == ("out_scale", "other_scale")


def test_a_sampler_is_missing_beside_gaps_and_beyond_borders(rng):
    image = rng.standard_normal((12, 14))
    valid = np.ones((12, 14), bool)
    valid[5, 6] = False
    sample = Sampler(image, valid, (100, 200))
    rows, columns = np.meshgrid(np.arange(100.0, 112), np.arange(200.0, 214), indexing="ij")
    found = sample(rows, columns)
    np.testing.assert_allclose(found[valid], image[valid], atol=1e-9)
    assert np.isnan(found[5, 6])
    between = sample(rows + 0.4, columns + 0.4)
    assert np.isnan(between[4:6, 5:7]).all()
    assert np.isnan(between[-1]).all()
    assert np.isnan(between[:, -1]).all()
    assert np.isfinite(between).sum() == 11 * 13 - 4


def test_correlations_are_those_of_the_common_pixels(rng, monkeypatch):
    """By hand, at every shift, with gaps in both."""
    monkeypatch.setattr(alignment, "LEAST_PIXELS", 4)
    a, b = 5 + rng.standard_normal((6, 7)), 3 + rng.standard_normal((9, 8))
    a[2, 3] = b[4, 4] = b[0, 1] = np.nan
    found = alignment._correlations(a, b)
    assert found.shape == (14, 14)
    compared = 0
    for i in range(14):
        for j in range(14):
            wide = np.full((6 + 9 + 6, 7 + 8 + 7), np.nan)
            wide[6:15, 7:15] = b
            moved = wide[6 + i - 5 : 12 + i - 5, 7 + j - 6 : 14 + j - 6]
            both = np.isfinite(a) & np.isfinite(moved)
            if both.sum() < max(4, 0.3 * 41):
                assert np.isnan(found[i, j])
            else:
                expected = np.corrcoef(a[both], moved[both])[0, 1]
                assert found[i, j] == pytest.approx(expected, abs=1e-9)
                compared += 1
    assert compared > 50


def seen_with_shift(rng, shift, noise=0.0):
    """(image, sample): the same waves, those of the second further by `shift` pixels.

    A pixel of 0.5 arcsec is 8 of the scene's, and half a wave has two or more, as after `detail`.
    """
    sun = smooth_scene(rng, (60, 64), highest=0.5)
    sampler = Sampler(sun, np.ones(sun.shape, bool))

    def sample(rows, columns):
        return sampler(8 * (rows - shift[0]) + 99.5, 8 * (columns - shift[1]) + 99.5)

    rows, columns = np.meshgrid(np.arange(36.0), np.arange(40.0), indexing="ij")
    image = sample(rows + shift[0], columns + shift[1])
    return image + noise * rng.standard_normal(image.shape), sample


def at_once(rows, columns):
    return rows, columns


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.5, -0.5), (2.27, -3.81), (-1.13, 4.64)])
def test_a_shift_is_found_where_nothing_else_differs(rng, shift):
    """To the size of the last step."""
    image, sample = seen_with_shift(rng, shift)
    found = find_shift(image, sample, at_once, (8, 8))
    np.testing.assert_allclose(found.pixels, shift, atol=alignment.SETTLED)
    assert found.correlation > 0.999
    assert found.significance > alignment.TRUSTED


def test_noise_does_not_move_the_shift(rng):
    """The mean of 30 shifts is within 4 of its standard errors."""
    shifts = []
    for _ in range(30):
        image, sample = seen_with_shift(rng, (0.3, -0.4), noise=0.05)  # half the contrast
        shifts.append(find_shift(image, sample, at_once, (4, 4)).pixels)
    error, spread = np.mean(shifts, axis=0) - (0.3, -0.4), np.std(shifts, axis=0)
    assert np.all(spread > 1e-3)
    assert np.all(np.abs(error) < 4 * spread / np.sqrt(30))


def test_a_large_image_is_searched_in_blocks(rng, monkeypatch):
    image, sample = seen_with_shift(rng, (5.3, -6.6))
    monkeypatch.setattr(alignment, "SEARCHED", 20)
    monkeypatch.setattr(alignment, "LEAST_PIXELS", 64)
    found = find_shift(image, sample, at_once, (9, 9))
    np.testing.assert_allclose(found.pixels, (5.3, -6.6), atol=alignment.SETTLED)


def test_a_shift_beyond_the_bound_is_not_looked_for(rng):
    image, sample = seen_with_shift(rng, (0.0, 9.0))
    found = find_shift(image, sample, at_once, (3, 3))
    assert found.significance < alignment.TRUSTED
    found = find_shift(image, sample, at_once, (3, 3), is_bounded=False)
    np.testing.assert_allclose(found.pixels, (0.0, 9.0), atol=alignment.SETTLED)


def test_detail_has_no_large_structure_and_none_of_a_pixel():
    """Of a wave, the difference of two Gaussians is left."""
    x = np.arange(400) * 0.25
    for f in (0.01, 0.3, 1.9):
        wave = np.tile(np.cos(2 * np.pi * f * x), (9, 1))
        found = alignment.detail(wave, (0.25, 0.25), 0.5)[4, 150:250]
        passed = [np.exp(-2 * (np.pi * f * sigma) ** 2) for sigma in (0.375, 2.5)]
        expected = (passed[0] - passed[1]) * wave[4, 150:250]
        # the Gaussians of scipy end at 4 sigma and are sampled on the pixels
        np.testing.assert_allclose(found, expected, atol=2e-3)


def test_images_without_structure():
    with pytest.raises(ValueError, match="must have structure"):
        find_shift(np.ones((30, 30)), lambda r, c: np.ones(r.shape), at_once, (2, 2))


def test_images_without_enough_in_common():
    nothing = np.full((30, 30), np.nan)
    nothing[:10, :10] = np.arange(100).reshape(10, 10)
    with pytest.raises(ValueError, match="needs 256 pixels or more that both images show"):
        find_shift(nothing, lambda r, c: r + c, at_once, (2, 2))


def test_a_header_that_astropy_cannot_read_has_only_sizes():
    found = grid(on_sky(CTYPE2="HPLT-XYZ"), None, "out")
    assert found.wcs is None
    assert found.sides == pytest.approx((0.25, 0.25))
