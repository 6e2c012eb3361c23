import numpy as np
import pytest

from enhance_np._random import stream
from enhance_np.optics.degrade import degrade
from enhance_np.sun.convection import SPACING, Convection, convection
from enhance_np.sun.granulation import HISTOGRAM, TRANSFER, granulation, with_field
from enhance_np.sun.plane import Plane

# cycles per arcsec (edges of bands), and the power of MURaM's I / <I> there per (cycle / arcsec)^2:
# python -m bench.quality.synthetic_sun --fields DIR, DIR with muram_quiet_continuum.npy
BANDS = np.array([0.376, 0.529, 0.743, 1.029, 1.432, 2.0, 2.8, 3.96])
POWER = np.array([7.70e-3, 5.74e-3, 3.25e-3, 1.42e-3, 4.61e-4, 1.27e-4, 2.94e-5])


@pytest.fixture(scope="module")
def quiet():
    plane, state = convection(stream(2, "test"), Plane((250, 240), 2 * SPACING))
    return plane, state, granulation(plane, state)


def test_mean_and_contrast_are_murams(quiet):
    intensity = quiet[2]
    assert intensity.dtype == np.float32
    assert intensity.mean() == pytest.approx(1, abs=0.015)
    assert 0.155 < intensity.std() < 0.172  # MURaM: 16.3 %


def test_histogram_is_murams(quiet):
    probability, muram, *_ = HISTOGRAM[3:-3].T
    np.testing.assert_allclose(np.quantile(quiet[2], probability), muram, atol=0.035)


def test_seen_by_hmi_and_by_28_cm_the_contrast_is_murams(quiet):
    low, high = degrade(quiet[2].astype(float), SPACING)
    assert 0.035 < low.std() / low.mean() < 0.046  # MURaM: 4.05 %
    assert 0.085 < high.std() / high.mean() < 0.098  # 9.12 %


def test_power_spectrum_is_murams(quiet):
    plane, _, intensity = quiet
    power = np.abs(plane.modes(intensity - intensity.mean())) ** 2
    power *= plane.spacing**2 / intensity.size
    band = np.digitize(np.sqrt(plane.k2) / (2 * np.pi), BANDS)
    found = [power[band == i].mean() for i in range(1, len(BANDS))]
    ratio = found / POWER
    # a plane of 33 arcsec has few of the longest waves
    assert (np.abs(np.log(ratio)) < np.log(1.35)).all(), ratio


def test_cells_have_bright_middles_and_no_grid(quiet):
    """The autocorrelation falls equally in all directions, and never rises again."""
    plane, _, intensity = quiet
    seen = plane.modes(intensity - intensity.mean())
    correlation = plane.field(np.abs(seen) ** 2)
    correlation /= correlation[0, 0]
    distance = (
        np.hypot(
            *(
                np.minimum(np.arange(n), n - np.arange(n))[s]
                for n, s in zip(plane.shape, (np.s_[:, None], np.s_[:]), strict=True)
            )
        )
        * plane.spacing
    )
    assert np.abs(correlation[distance > 3]).max() < 0.12
    ring = correlation[np.abs(distance - 0.25) < 0.03]
    assert np.ptp(ring) < 0.25


def test_tables_rise():
    assert (np.diff(HISTOGRAM, axis=0) > 0).all()
    assert (np.diff(TRANSFER[:, 0]) > 0).all()
    assert (TRANSFER > 0).all()


def test_field_lies_in_lanes_and_lights_them():
    plane, state = convection(
        stream(3, "test"), Plane((150, 150), 2 * SPACING), np.full((150, 150), 90.0)
    )
    before = granulation(plane, state)
    intensity, field = with_field(stream(3, "elements"), plane, state, before)
    strength = np.abs(field)
    assert np.corrcoef(strength.ravel(), before.ravel())[0, 1] < -0.2
    dark, bright = (strength > 250) & (strength < 450), strength > 1200
    assert intensity[dark].mean() < 0.9  # lanes
    assert intensity[bright].mean() > 1.0  # bright points
    assert before[bright].mean() < 0.9
    np.testing.assert_array_equal(np.sign(field), np.sign(state.field))
    assert intensity.mean() == pytest.approx(1, abs=0.03)


def test_wide_field_is_a_pore():
    plane = Plane((120, 120), SPACING)
    y, x = np.indices(plane.shape) - 60
    field = np.where(np.hypot(y, x) * SPACING < 2, -1250, 0).astype(np.float32)
    nothing = np.zeros(plane.shape, np.float32)
    state = Convection(nothing, nothing, nothing, nothing, field)
    intensity, bz = with_field(stream(0, "x"), plane, state, nothing + 1)
    assert 0.2 < intensity[60, 60] < 0.4
    assert -1800 < bz[60, 60] < -1700
    assert intensity[0, 0] == pytest.approx(1, abs=0.01)
