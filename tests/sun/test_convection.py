import numpy as np
import pytest

from enhance_np._random import stream
from enhance_np.sun.convection import LIMIT, SPACING, convection
from enhance_np.sun.plane import Plane

SHAPE = (90, 111)  # pixels of 0.1324 arcsec; not square, one side odd
STILL = np.s_[:20, :]


@pytest.fixture(scope="module")
def found():
    """(plane, state) of a field of 100 G, with a strip in which convection is suppressed."""
    plane = Plane(SHAPE, 2 * SPACING)
    still = np.zeros(SHAPE)
    still[STILL] = 1
    return convection(stream(1, "test"), plane, np.full(SHAPE, 100.0), still)


def free(field):
    return field[60:, :]


def test_ends_on_the_fine_plane(found):
    plane, state = found
    assert plane.shape == (180, 222)
    assert plane.spacing == pytest.approx(SPACING)
    for field in state:
        assert field.shape == plane.shape
        assert field.dtype == np.float32
        assert np.isfinite(field).all()


def test_fluid_rises_in_most_of_the_area_and_falls_fast_in_the_rest(found):
    upflow = free(found[1].upflow)
    assert 0.55 < (upflow > 0).mean() < 0.85
    assert np.percentile(upflow, 1) < -np.percentile(upflow, 99)


def test_what_rises_is_hot(found):
    _, state = found
    assert np.corrcoef(free(state.heat).ravel(), free(state.upflow).ravel())[0, 1] > 0.6


def test_flux_is_swept_into_the_lanes_and_limited(found):
    _, state = found
    field = free(np.abs(state.field))
    rising = free(state.upflow) > 0.3
    assert field[rising].mean() < 60
    assert 3 * field[rising].mean() < field[free(state.upflow) < 0].mean()
    assert (field > 1000).mean() > 0.01
    assert field.max() <= LIMIT


def test_flux_is_not_made_or_lost_by_much(found):
    assert 60 < free(found[1].field).mean() < 160


def test_nothing_rises_where_it_may_not(found):
    upflow = found[1].upflow
    assert upflow[4:36].std() < 0.1 * free(upflow).std()


def test_a_stream_is_a_sun():
    results = [
        convection(stream(seed, "x"), Plane((40, 44), 2 * SPACING))[1].heat for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(results[0], results[1])
    assert np.abs(np.corrcoef(results[0].ravel(), results[2].ravel())[0, 1]) < 0.2
