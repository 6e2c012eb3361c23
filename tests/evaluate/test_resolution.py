"""The blur that a header tells of, and images brought to one resolution."""

import numpy as np
import pytest
from made import FINE, smooth_scene
from observed import frame

from enhance_np.evaluate.resolution import Resolution, equalised, resolution
from enhance_np.optics.cosines import to_image, to_modes
from enhance_np.optics.degrade import HMI, HMI_SCALE, Optics, seen
from enhance_np.optics.psf_image import PsfImage

HALF = HMI_SCALE / 2
TARGET = HMI.target()
SOT = Optics("airy", aperture=0.5, wavelength=6302e-10, hmi_scale=HALF)


def scene(rng):
    """All frequencies up to 1.9 cycles per arcsec, close to what pixels of HALF resolve."""
    return smooth_scene(rng, (20, 24), highest=1.9)


def same(a, b):
    """Largest difference in units of the contrast."""
    return np.abs(a - b).max() / b.std()


def test_one_scene_through_28_and_50_cm(rng):
    """The finer is blurred to the other's image; the other stays. Pixels as for `degrade`."""
    sun = scene(rng)
    coarse, fine = seen(sun, FINE, TARGET), seen(sun, FINE, SOT)
    assert same(fine, coarse) > 0.5
    resolutions = Resolution(TARGET, False), Resolution(SOT, False)
    (a, b), blurred = equalised((coarse, fine), ((HALF, HALF),) * 2, resolutions)
    assert same(a, coarse) < 1e-6
    assert same(b, a) < 1e-6  # the same kernels, so only rounding, divided by LEAST at most
    assert blurred == (False, True)
    (b, a), blurred = equalised((fine, coarse), ((HALF, HALF),) * 2, resolutions[::-1])
    assert same(b, a) < 1e-6
    assert blurred == (True, False)


def test_pixels_that_average_blur_too(rng):
    """The mean of a wave of frequency f over a pixel of side p is its middle times sinc(f p)."""
    waves = rng.standard_normal((6, 5))  # of the sky, k half periods along each side of 6 arcsec
    passed = np.sinc(np.arange(6) / 12 * 0.5)[:, None] * np.sinc(np.arange(5) / 12 * 0.75)
    sides = (0.25, 0.25), (0.5, 0.75)
    shapes = (24, 24), (12, 8)
    images = []
    for shape, amplitudes in zip(shapes, (waves, waves * passed), strict=True):
        modes = np.zeros(shape)
        modes[:6, :5] = amplitudes * np.sqrt(np.prod(shape))
        images.append(to_image(modes))
    resolutions = Resolution("none", False), Resolution("none", True)
    (a, b), blurred = equalised(images, sides, resolutions)
    np.testing.assert_allclose(b, images[1], atol=1e-12)
    np.testing.assert_allclose(to_modes(a)[:6, :5] / 24, waves * passed, atol=1e-12)
    assert blurred == (True, False)


def test_a_deconvolved_image_has_nothing_beyond_the_cut_off_of_its_telescope(rng):
    image = 1 + 0.1 * rng.standard_normal((64, 80))
    resolutions = Resolution("none", False), Resolution("deconvolved", False)
    (a, b), _ = equalised((image, image), ((HALF, HALF),) * 2, resolutions)
    np.testing.assert_allclose(a, b, atol=1e-12)
    fy, fx = (np.arange(n) / (2 * n * HALF) for n in image.shape)
    f = np.hypot(fy[:, None], fx)
    cut_off = 0.14 / 6173e-10 / (180 * 3600 / np.pi)  # D / lambda
    power = to_modes(a) ** 2
    assert power[f > cut_off].max() < 1e-20
    np.testing.assert_allclose(to_modes(a)[f < cut_off], to_modes(image)[f < cut_off], atol=1e-9)


def test_nothing_is_amplified_and_equal_telescopes_are_not_blurred(rng):
    image = 1 + 0.1 * rng.standard_normal((48, 52))
    for one in (Resolution(TARGET, False), Resolution(SOT, True), Resolution(HMI, False)):
        (a, b), blurred = equalised((image, image), ((HALF, HALF),) * 2, (one, one))
        assert blurred == (False, False)
        assert same(a, b) < 1e-12
        ratio = to_modes(a) / to_modes(image)
        assert np.all((ratio < 1 + 1e-9) & (ratio > -1e-9))


AIRY = Optics("airy", aperture=0.28)
CASES = {
    "an output": ({"ENHMODEL": "small", "ENHTAPER": 0.28}, TARGET, False),
    "an output of other weights": (
        {
            **{"ENHMODEL": "own", "ENHPSF": "airy", "ENHSUPP": 30.0, "ENHAPER": 0.125},
            **{"ENHTAPER": 0.25, "ENHWAVE": 6768e-10, "ENHPIXEL": 1.98},
        },
        Optics("airy", 30.0, 0.125, 0.25, 6768e-10, 1.98).target(),
        False,
    ),
    "Richardson-Lucy": (
        {"ENHMODEL": "Richardson-Lucy, 20 iterations", "TELESCOP": "SDO/HMI"},
        "deconvolved",
        False,
    ),
    "Richardson-Lucy as target": (
        {"ENHMODEL": "Richardson-Lucy, 600 iterations, 0.28 m aperture"},
        TARGET,
        False,
    ),
    "degraded to HMI": ({"SEENBY": "HMI", "TELESCOP": "HINODE"}, HMI, False),
    "degraded to another": (
        {"SEENBY": "airy, 0.5 m, 0.16 arcsec"},
        Optics("airy", aperture=0.5, hmi_scale=0.16),
        False,
    ),
    "HMI": ({"TELESCOP": "SDO/HMI", "INSTRUME": "HMI_SIDE1"}, HMI, False),
    "HMI by its record": ({"DRMS_ID": "hmi.M_720s:1:magnetogram"}, HMI, False),
    "HMI deconvolved": (
        {"TELESCOP": "SDO/HMI", "DRMS_ID": "hmi.Ic_720s_dcon:1:continuum"},
        "deconvolved",
        False,
    ),
    "Hinode SP": (
        {"TELESCOP": "HINODE", "INSTRUME": "SOT/SP"},
        Optics("airy", aperture=0.5, wavelength=6302e-10),
        True,
    ),
    "Hinode BFI": (
        {"TELESCOP": "HINODE", "INSTRUME": "SOT/WB", "WAVE": "red cont 6684"},
        Optics("airy", aperture=0.5, wavelength=6684e-10),
        True,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_header_tells_the_blur(name):
    cards, optics, averages = CASES[name]
    found = resolution(frame(**cards), None, None, "other")
    assert found == Resolution(optics, averages)
    assert str(found)
    assert resolution(frame(**cards), None, True, "other").averages


def test_what_is_given_goes_before_the_header():
    hinode = frame(TELESCOP="HINODE", INSTRUME="SOT/SP")
    assert resolution(hinode, AIRY, None, "other") == Resolution(AIRY, True)
    assert resolution(hinode, Optics("yeo"), None, "other") == Resolution(Optics("yeo"), False)
    measured = Optics(PsfImage(np.ones((5, 5)), 0.1, "psf.fits"))
    assert resolution(hinode, measured, None, "other").averages
    assert resolution(frame(SEENBY="norton, 0.14 m, 0.5 arcsec"), AIRY, None, "other").averages
    assert not resolution(frame(SEENBY="HMI"), AIRY, None, "other").averages
    assert resolution(hinode, "none", None, "other") == Resolution("none", False)
    assert resolution(frame(), None, None, "out", TARGET) == Resolution(TARGET, False)


@pytest.mark.parametrize(
    "cards",
    [
        {},
        {"TELESCOP": "SOHO", "INSTRUME": "MDI"},
        {"TELESCOP": "HINODE", "INSTRUME": "SOT/WB", "WAVE": "Ca II H line"},
        {"SEENBY": "my own telescope"},
    ],
)
def test_a_telescope_that_is_not_known_must_be_given(cards):
    with pytest.raises(ValueError, match="the telescope of other must be HMI or Hinode") as error:
        resolution(frame(**cards), None, None, "other")
    assert error.value.parameters == ("other_optics",)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("how", [{"aperture": 50.0}, {"aperture": 0.5, "wavelength": 6.173e-9}])
def test_an_aperture_in_centimetres_is_refused(how):
    """Its kernel would take more memory than a machine has."""
    with pytest.raises(ValueError, match="must be in metres and its wavelength that of light") as e:
        resolution(frame(np.zeros((4, 4))), Optics("airy", **how), None, "other")
    assert e.value.parameters == ("other_optics",)
    dkist = Optics("airy", aperture=4.0, wavelength=3934e-10)
    assert resolution(frame(np.zeros((4, 4))), dkist, None, "other").optics is dkist


def test_optics_of_another_kind():
    with pytest.raises(TypeError, match="must be an Optics"):
        resolution(frame(), "sharp", None, "out")
