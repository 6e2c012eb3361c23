import numpy as np
import pytest

from enhance_np.evaluate import classes
from enhance_np.evaluate.classes import NAMES, THRESHOLDS, masks, quiet_field
from enhance_np.optics.degrade import HMI_SCALE

SPOT, PORE, PLAGE = (40, 40), (30, 100), (90, 40)


@pytest.fixture
def scene():
    """(intensity, field), 120 x 140 pixels of 0.5 arcsec: a spot with a radius of 10 arcsec and an
    umbra of 5, a pore of 1.8, a patch of plage of 10, granulation, noise of 10 G."""
    rng = np.random.default_rng(8)
    y, x = np.indices((120, 140))

    def radius(centre):
        return np.hypot(y - centre[0], x - centre[1]) * HMI_SCALE

    intensity = 1 + 0.04 * rng.standard_normal(y.shape)
    field = 10 * rng.standard_normal(y.shape)
    intensity[radius(SPOT) < 10] = 0.75
    field[radius(SPOT) < 10] += 700
    intensity[radius(SPOT) < 5] = 0.15
    field[radius(SPOT) < 5] = 2200
    intensity[radius(PORE) < 1.8] = 0.3
    field[radius(PORE) < 1.8] = -1500
    # kG elements on 15 % of the patch
    elements = (radius(PLAGE) < 10) & (rng.random(y.shape) < 0.15)
    field[elements] = -1300
    return intensity, field


def test_each_place_has_its_class(scene):
    found = masks(*scene)
    assert list(found) == list(NAMES)
    for name, at in {
        "umbra": SPOT,
        "penumbra": (40, 40 + 15),
        "pore": PORE,
        "plage": PLAGE,
        "quiet": (95, 110),
    }.items():
        assert found[name][at], name
    assert not found["limb"].any()
    areas = {name: mask.sum() * HMI_SCALE**2 for name, mask in found.items()}
    # smoothing by 1 arcsec rounds the edges and changes such an area by up to a fifth
    assert areas["umbra"] == pytest.approx(np.pi * 5**2, rel=0.2)
    assert areas["umbra"] + areas["penumbra"] == pytest.approx(np.pi * 10**2, rel=0.2)
    assert 0 < areas["pore"] < THRESHOLDS["spot"].value


def test_no_pixel_has_two_classes(scene):
    found = masks(*scene)
    assert sum(mask.astype(int) for mask in found.values()).max() == 1


def test_quiet_and_plage_keep_clear_of_the_spot(scene):
    found = masks(*scene)
    y, x = np.indices(scene[0].shape)
    beside = np.hypot(y - SPOT[0], x - SPOT[1]) * HMI_SCALE < 11.5
    assert not (beside & (found["quiet"] | found["plage"])).any()


def test_dark_granules_are_no_pore(scene):
    """Lanes in a 28 cm image have an rms contrast of 9 %, and 3 % after smoothing, below the 10 %
    threshold."""
    from scipy.ndimage import gaussian_filter

    grains = gaussian_filter(np.random.default_rng(1).standard_normal((300, 300)), 0.6)
    intensity = 1 + 0.09 * grains / grains.std()
    found = masks(intensity, None)
    assert found["quiet"].all()


@pytest.mark.parametrize("side", [10, 24])
def test_a_grey_area_without_a_core_is_no_spot(side, scene):
    """An area of 25 arcsec^2 is no pore, and one of 146 arcsec^2 no penumbra."""
    intensity, field = scene
    grey = np.s_[80 : 80 + side, 100 : 100 + side]
    intensity[grey] = 0.85
    found = masks(intensity, field)
    for name in ("pore", "umbra", "penumbra"):
        assert not found[name][grey].any()


def test_intensity_alone(scene):
    """Without the field, plage counts as quiet; the dark classes are the same."""
    both, alone = masks(*scene), masks(scene[0], None)
    assert "plage" not in alone
    assert alone["quiet"][PLAGE]
    for name in ("umbra", "penumbra", "pore"):
        np.testing.assert_array_equal(both[name], alone[name])


def test_field_alone(scene):
    """Without intensity, strong field is umbra, its surroundings have no class, and there is
    neither penumbra nor pore."""
    found = masks(None, scene[1])
    assert set(found) == {"quiet", "plage", "umbra", "limb"}
    assert found["umbra"][SPOT]
    assert found["plage"][PLAGE]
    assert not sum(mask[40, 40 + 15] for mask in found.values())


def test_noise_is_quiet_and_network_is_not(rng):
    noise = 10 * rng.standard_normal((60, 60))
    assert quiet_field(noise).mean() > 0.999
    assert not quiet_field(3 * noise).any()
    gap = noise.copy()
    gap[3, 4] = np.nan
    assert not quiet_field(gap)[3, 4]


def test_limb_by_mu(scene):
    intensity, field = scene
    mu = np.broadcast_to(np.linspace(0.3, 0.9, 140), intensity.shape)
    from enhance_np.observation.disc import limb_darkening

    found = masks(intensity * limb_darkening(mu), field, mu)
    np.testing.assert_array_equal(found["limb"], mu < 0.5)
    assert found["quiet"][95, 110]  # limb darkening is not taken for penumbra
    assert not found["penumbra"][95, 60:].any()
    assert not (found["umbra"] & found["limb"]).any()


def test_limb_by_the_sky():
    """Without a header, the limb class extends 960 arcsec (1 - sin 60 degrees) inwards from the
    sky."""
    intensity = np.ones((40, 400))
    intensity[:, :30], intensity[:, 30:40] = np.nan, 0.01  # stray light, still the sky
    found = masks(intensity, None)
    width = 960 * (1 - np.sqrt(0.75)) / HMI_SCALE
    edge = np.flatnonzero(found["limb"][20])[[0, -1]]
    assert edge[0] == 40
    assert edge[1] == pytest.approx(40 + width, abs=2)
    assert not any(mask[:, :40].any() for mask in found.values())


def test_off_the_disc_by_mu_is_no_limb(scene):
    mu = np.full(scene[0].shape, 0.4)
    mu[:, :20] = np.nan
    found = masks(*scene, mu)
    assert found["limb"][:, 20:].all()
    assert not any(mask[:, :20].any() for mask in found.values())


def test_gaps_have_no_class(scene):
    intensity, field = scene
    intensity[0, 0] = field[110, 130] = np.nan
    found = masks(intensity, field)
    assert not any(mask[0, 0] or mask[110, 130] for mask in found.values())
    assert not found["limb"].any()


def test_table_lists_all():
    text = classes.table()
    assert len(text.splitlines()) == 2 + len(THRESHOLDS)
    assert "| umbra | 0.5 Ic, smoothed, below |" in text


def test_faults(scene):
    with pytest.raises(ValueError, match="neither"):
        masks(None, None)
    with pytest.raises(ValueError, match="shapes"):
        masks(scene[0], scene[1][1:])
