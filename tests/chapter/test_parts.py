"""Light bridges and polarity lines of drawn spots, 0.25 arcsec per pixel."""

import numpy as np
import pytest

from enhance_np.chapter.parts import light_bridge, polarity_line

SCALE = 0.25
SIDE = 120
Y, X = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
UMBRA = np.hypot(Y, X) < 24  # 12 arcsec across
BAR = np.abs(X) < 3  # 1.5 arcsec wide


@pytest.fixture
def spot():
    """(intensity, field) of an umbra in a bright Sun."""
    return np.where(UMBRA, 0.15, 1.0), np.where(UMBRA, 2000.0, 0.0)


def test_a_bridge_is_found_where_it_was_drawn(spot):
    intensity, field = spot
    intensity = np.where(UMBRA & BAR, 0.7, intensity)
    found = light_bridge(intensity, field, SCALE)
    drawn = UMBRA & BAR
    # its open ends may count or not
    assert found[drawn & (np.abs(Y) < 18)].all()
    assert not found[~drawn].any()


def test_a_dark_bridge_is_found_too(spot):
    """Darker than the edge of an umbra, but brighter than around it."""
    intensity, field = spot
    found = light_bridge(np.where(UMBRA & BAR, 0.4, intensity), field, SCALE)
    assert found[BAR & (np.abs(Y) < 18)].all()
    assert not found[~(UMBRA & BAR)].any()


def test_two_umbrae_of_one_polarity_are_divided_by_a_bridge_of_both_not(spot):
    intensity, field = spot
    intensity = np.where(BAR & UMBRA, 0.8, intensity)
    assert light_bridge(intensity, -field, SCALE).any()
    field = np.where(X > 0, field, -field)
    assert not light_bridge(intensity, field, SCALE).any()
    assert polarity_line(field, SCALE)[UMBRA & (np.abs(X) < 2)].all()


def test_a_bridge_ends_where_the_polarity_changes(spot):
    intensity, field = spot
    field = np.where(BAR & (np.abs(Y) < 3), -2000.0, field)
    found = light_bridge(np.where(UMBRA & BAR, 0.7, intensity), field, SCALE)
    assert found.any()
    assert not (found & polarity_line(field, SCALE)).any()


def test_a_whole_umbra_and_a_quiet_sun_have_no_bridge(spot, rng):
    intensity, field = spot
    assert not light_bridge(intensity, field, SCALE).any()
    quiet = 1 + 0.09 * rng.standard_normal(UMBRA.shape)
    assert not light_bridge(quiet, 10 * rng.standard_normal(UMBRA.shape), SCALE).any()


def test_an_umbral_dot_is_no_bridge(spot):
    intensity, field = spot
    dot = np.hypot(Y, X) < 2  # 0.8 arcsec^2
    assert not light_bridge(np.where(dot, 0.5, intensity), field, SCALE).any()


def test_the_polarity_line_is_near_the_change_of_sign_of_strong_field():
    field = np.where(X > 0, 1000.0, -1000.0)
    found = polarity_line(field, SCALE)
    assert found[np.abs(X) < 5].all()
    assert not found[np.abs(X) > 7].any()  # 1.5 arcsec and a pixel
    assert not polarity_line(0.2 * field, SCALE).any()
    assert not polarity_line(np.abs(field), SCALE).any()
