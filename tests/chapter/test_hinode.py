"""An image of Hinode from a file, beside a region: where it lies, and what cannot be used."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from made_region import SIDE, region
from scipy.ndimage import gaussian_filter

from enhance_np.chapter import hinode
from enhance_np.config import TYPES
from enhance_np.optics.degrade import HMI_SCALE
from enhance_np.sun.observed import header

HALF = HMI_SCALE / 2
FIRST = (20, 10)  # output pixels (row, column) at which Hinode's image begins
POINTING = (0.6, -0.4)  # arcsec (x, y) by which its header is wrong


@pytest.fixture
def made(rng):
    def with_plage(outputs):
        """Two round spots alone look alike at several shifts."""
        plage = gaussian_filter(rng.standard_normal((2 * SIDE, 2 * SIDE)), 2)
        outputs["default"]["blos"] += (3000 * plage).astype(np.float32)
        return outputs

    return replace(
        region(rng, with_plage), headers={type: header(type, SIDE, "made") for type in TYPES}
    )


def write(path, made, **cards):
    """Hinode sees the output itself."""
    image = made.out["blos"][FIRST[0] : 115, FIRST[1] : 110]
    own = header("blos", 1, "made")
    own.update({"TELESCOP": "HINODE", "INSTRUME": "SOT/SP"})
    for axis in (1, 2):
        own[f"CRPIX{axis}"], own[f"CDELT{axis}"] = 0.5, HALF
        own[f"CRVAL{axis}"] = HALF * (FIRST[2 - axis] - SIDE) + POINTING[axis - 1]
    own.update(cards)
    fits.writeto(path, image, own)
    return path


def test_a_file_is_put_to_its_place(made, tmp_path):
    (pair,) = hinode.of_file(write(tmp_path / "sp.fits", made), made).values()
    assert (pair.type, pair.name) == ("blos", "sp.fits")
    shift = pair.comparison.report["shift"]["arcsec"]
    np.testing.assert_allclose(shift, POINTING, atol=0.05 * HALF)
    x, y = (round(2 * corner) for corner in pair.corner)
    h, w = pair.comparison.out.shape
    cut = made.out["blos"][y : y + h, x : x + w]
    known = np.isfinite(pair.comparison.out)
    np.testing.assert_array_equal(pair.comparison.out[known], cut[known])
    found = hinode.numbers({"blos": pair})
    assert "hinode_shift" not in found  # nobody knows the true one


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"CRVAL1": 500.0}, "do not overlap"),
        ({"TELESCOP": "mine", "INSTRUME": "own"}, "the telescope of other"),
        ({"CDELT1": 20.0}, "other must have pixels"),
    ],
)
def test_the_command_names_its_own_option(made, tmp_path, cards, message):
    with pytest.raises(ValueError, match=message) as error:
        hinode.of_file(write(tmp_path / "sp.fits", made, **cards), made)
    assert error.value.parameters == ("hinode",)


def test_a_region_without_coordinates(rng, tmp_path):
    bare = region(rng)
    with pytest.raises(ValueError, match="need sky coordinates") as error:
        hinode.of_file(write(tmp_path / "sp.fits", bare), bare)
    assert error.value.parameters == ("hmi",)
