from dataclasses import replace

import numpy as np
import pytest
from astropy.io.fits import Header
from observed import SQUARE

from enhance_np.optics.degrade import (
    HMI,
    HMI_SCALE,
    Optics,
    convolve,
    convolve_inverse,
    degrade,
    magnify,
    on_pixels,
)
from enhance_np.optics.psf import airy, hmi_psf
from enhance_np.optics.psf_image import PsfImage

SCALE = 0.0662
SHAPE = (420, 460)


def coordinates(shape=SHAPE):
    """Coordinates of the scene's pixel centres, in arcsec from the corner."""
    return np.meshgrid(*((np.arange(n) + 0.5) * SCALE for n in shape), indexing="ij")


def test_shapes_and_dtype():
    low, high = degrade(np.ones(SHAPE, np.float32), SCALE)
    assert low.shape == (55, 60)  # 27.8 by 30.5 arcsec
    assert high.shape == (110, 120)
    assert low.dtype == high.dtype == np.float32
    assert degrade(np.ones(SHAPE, int), SCALE)[0].dtype == np.float64


def test_whole_number_of_pixels_loses_none():
    low, _ = degrade(np.ones((70, 70)), HMI_SCALE / 7, Optics(support=4))
    assert low.shape == (10, 10)


@pytest.mark.parametrize("psf", ["modified", "wachter"])
def test_a_constant_stays(psf):
    for image in degrade(np.full(SHAPE, 0.7), SCALE, Optics(psf)):
        np.testing.assert_allclose(image, 0.7, rtol=0, atol=1e-12)


def test_convolution_keeps_the_mean_and_does_not_wrap(rng):
    scene = rng.standard_normal((200, 230))
    kernel = hmi_psf(SCALE)  # larger than the scene
    assert convolve(scene, kernel).mean() == pytest.approx(scene.mean(), abs=1e-14)
    step = np.zeros((400, 300))
    step[:200] = 1
    blurred = convolve(step, hmi_psf(SCALE, support=6))
    # a step 13 arcsec away is beyond the kernel; wrapping around would add 0.5
    assert blurred[0].min() > 1 - 1e-12
    assert blurred[-1].max() < 1e-12


def test_convolve_is_the_sum_over_the_mirrored_scene(rng):
    scene, kernel = rng.standard_normal((9, 12)), hmi_psf(0.5, support=3)
    reach = len(kernel) // 2
    wide = np.pad(scene, reach, mode="symmetric")
    want = [
        [(wide[i : i + 2 * reach + 1, j : j + 2 * reach + 1] * kernel).sum() for j in range(12)]
        for i in range(9)
    ]
    np.testing.assert_allclose(convolve(scene, kernel), want, rtol=0, atol=1e-13)


@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.137, 0.41)])
def test_a_spot_lands_where_edges_are_aligned(offset):
    at = np.array([12.345, 17.021])
    y, x = coordinates()
    scene = np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * 0.6**2))
    pair = degrade(scene, SCALE, Optics(support=6), offset=offset)
    for image, factor in zip(pair, (1, 2), strict=True):
        centres = ((np.arange(n) + 0.5) / factor for n in image.shape)
        weight = image / image.sum()
        found = [
            (weight * c).sum() for c in np.meshgrid(*centres, indexing="ij")
        ]  # low-resolution pixels from the corner
        np.testing.assert_allclose(found, (at - offset) / HMI_SCALE, rtol=0, atol=1e-3)


def test_a_ramp_keeps_its_value_at_every_centre():
    _, x = coordinates()
    for image, factor in zip(degrade(x, SCALE, Optics(support=3)), (1, 2), strict=True):
        want = (np.arange(image.shape[1]) + 0.5) * HMI_SCALE / factor
        inside = slice(8 * factor, -8 * factor)  # outside, the mirror image bends the ramp
        np.testing.assert_allclose(
            image[:, inside], np.broadcast_to(want, image.shape)[:, inside], rtol=0, atol=2e-6
        )


def test_a_sine_keeps_its_phase_and_loses_what_the_psf_takes():
    """cos is its own mirror image when the scene holds whole half periods."""
    cycles = 9  # half periods across the scene: 0.148 cycles per arcsec
    length = SHAPE[1] * SCALE
    _, x = coordinates()
    scene = np.cos(np.pi * cycles * x / length)
    kernels = hmi_psf(SCALE), airy(SCALE)
    for image, kernel, factor in zip(degrade(scene, SCALE), kernels, (1, 2), strict=True):
        u = (np.arange(len(kernel)) - len(kernel) // 2) * SCALE
        transfer = (kernel.sum(axis=0) * np.cos(np.pi * cycles * u / length)).sum()
        at = (np.arange(image.shape[1]) + 0.5) * HMI_SCALE / factor
        want = transfer * np.cos(np.pi * cycles * at / length)
        np.testing.assert_allclose(image, np.broadcast_to(want, image.shape), rtol=0, atol=1e-12)


def test_a_psf_may_be_given_as_an_image(rng):
    scene = rng.standard_normal((120, 130))
    named, _ = degrade(scene, SCALE, Optics("wachter"))
    image = PsfImage(3 * hmi_psf(SCALE, w=1.8, W=3.0), SCALE, "wachter")
    given, _ = degrade(scene, SCALE, Optics(image))
    np.testing.assert_allclose(given, named, rtol=0, atol=1e-9)
    other, _ = degrade(scene, SCALE)
    assert np.abs(other - named).max() > 1e-4


class Skewed(PsfImage):
    """A kernel without any symmetry, given on the scene's grid."""

    def kernel(self, pixel_scale, support):
        return self.data / self.data.sum()


def test_a_psf_without_symmetry_is_summed_over_the_mirrored_scene(rng):
    """Compares with a direct sum, on pixels whose centres are those of the scene."""
    kernel, scene = rng.random((5, 7)), rng.standard_normal((12, 14))
    low, high = degrade(scene, 0.25, Optics(Skewed(kernel, 0.25, "skewed"), 1.0, hmi_scale=0.25))
    wide = np.pad(scene, ((2, 2), (3, 3)), mode="symmetric")
    upright = kernel[::-1, ::-1] / kernel.sum()  # a convolution reverses its kernel
    want = [[(wide[i : i + 5, j : j + 7] * upright).sum() for j in range(14)] for i in range(12)]
    np.testing.assert_allclose(low, want, rtol=0, atol=1e-13)
    assert high.mean() == pytest.approx(scene.mean())


def test_a_point_becomes_the_psf_as_it_is():
    """A tail towards high x stays on that side."""
    y, x = np.mgrid[-20:21, -20:21] * 0.1
    psf = np.exp(-(y**2) / 0.08) * np.exp(-np.where(x < 0, x**2 / 0.08, x**2 / 0.8))
    scene = np.zeros((161, 161))
    scene[80, 80] = 1
    optics = Optics(PsfImage(psf, 0.1, "comet"), support=3, hmi_scale=0.1)
    low, _ = degrade(scene, 0.1, optics)
    row = low[80]
    at = np.arange(161) - 80
    assert abs(low.sum() - 1) < 1e-12
    assert abs((row * at).sum()) < 1e-6  # its centroid is in the middle
    assert (row * at**3).sum() > 0.1 * (row * np.abs(at) ** 3).sum()
    np.testing.assert_allclose(low, low[::-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "change",
    [
        {"psf": "wachter"},
        {"psf": "airy"},
        {"support": 6},
        {"aperture": 0.12},
        {"wavelength": 6300e-10},
        {"target_aperture": 0.5},
        {"hmi_scale": 0.6},
    ],
)
def test_every_property_of_the_optics_counts(change, rng):
    scene = rng.standard_normal((100, 110))
    low, high = degrade(scene, SCALE)
    other_low, other_high = degrade(scene, SCALE, Optics(**change))

    def differs(a, b):
        return a.shape != b.shape or np.abs(a - b).max() > 1e-5

    assert differs(low, other_low) == (change.keys() != {"target_aperture"})
    assert differs(high, other_high) == (not change.keys() & {"psf", "aperture"})
    (name, value) = next(iter(change.items()))
    recorded = Optics(**change).attributes()
    assert value in recorded.values(), name


def test_inverse_undoes_a_convolution_where_the_kernel_passes():
    y, x = coordinates((120, 140))
    scene = 1 + np.exp(-((y - 4) ** 2 + (x - 5) ** 2) / (2 * 0.4**2))
    kernel = airy(SCALE, diameter=0.5)
    np.testing.assert_allclose(
        convolve_inverse(convolve(scene, kernel), kernel, least=0.1), scene, rtol=0, atol=1e-6
    )


def test_magnify_keeps_edges_aligned():
    """A sum of cosines that the coarse grid resolves is exact on the fine grid."""

    def field(n):
        u = (np.arange(n) + 0.5) / n
        return np.cos(3 * np.pi * u)[:, None] + 0.5 * np.cos(5 * np.pi * u)

    np.testing.assert_allclose(magnify(field(12), 3), field(36), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scene": np.ones((3, 40, 40))}, r"scene must be \(H, W\)"),
        ({"scene": np.full((40, 40), np.nan)}, "scene must be finite"),
        ({"scene": np.ones((4, 40))}, "must hold one pixel"),
        ({"pixel_scale": -1}, "pixel_scale must be positive"),
        ({"optics": Optics(Skewed(np.ones((4, 5)), 1, ""))}, "odd sides"),
        ({"offset": (-1, 0)}, "offset must be two values"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        degrade(**({"scene": np.ones((40, 40)), "pixel_scale": SCALE} | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"psf": "hmi"}, "psf must be one of"),
        ({"support": -1}, "support must be positive"),
        ({"aperture": np.nan}, "aperture must be positive"),
        ({"target_aperture": 0}, "target_aperture must be positive"),
        ({"wavelength": np.inf}, "wavelength must be positive"),
        ({"hmi_scale": 0}, "hmi_scale must be positive"),
    ],
)
def test_optics_refuse(change, message):
    with pytest.raises(ValueError, match=message):
        Optics(**change)


def test_on_the_grid_a_psf_must_be_symmetric():
    with pytest.raises(ValueError, match="symmetric"):
        convolve(np.ones((9, 9)), np.arange(9.0).reshape(3, 3))


def test_optics_on_the_pixels_of_a_header():
    assert on_pixels(HMI, Header(SQUARE)) is HMI  # 0.504 counts as 0.504302
    assert on_pixels(HMI, Header()) is HMI
    assert on_pixels(HMI, Header(SQUARE), factor=2).hmi_scale == pytest.approx(1.008)
    finer = on_pixels(HMI, Header(SQUARE | {"CDELT1": 0.28, "CDELT2": 0.28}))
    assert finer.hmi_scale == pytest.approx(0.28)
    assert replace(finer, hmi_scale=HMI.hmi_scale) == HMI


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"psf": "norton"}, "needs lorentzian, its width in arcsec, for psf norton and no other"),
        ({"psf": "airy", "lorentzian": 0.1}, "needs lorentzian"),
        ({"psf": "norton", "lorentzian": 0.0}, "lorentzian must be positive"),
        ({"psf": "airy", "rotation": 10.0}, "rotation must be degrees, for psf yeo"),
        ({"psf": "yeo", "rotation": np.nan}, "rotation must be degrees"),
    ],
)
def test_parameters_without_a_default(given, words):
    with pytest.raises(ValueError, match=words):
        Optics(**given)


@pytest.mark.parametrize(
    "optics", [Optics("norton", lorentzian=0.1), Optics("yeo"), Optics("yeo", rotation=30.0)]
)
def test_measured_psfs_are_stored_and_degrade(optics):
    assert Optics.stored(optics.attributes()) == optics
    low, high = degrade(np.ones((60, 60)), 0.1, optics)
    np.testing.assert_allclose(low, 1, rtol=1e-9)
    assert high.shape == (2 * low.shape[0], 2 * low.shape[1])
