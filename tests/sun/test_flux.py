import numpy as np
import pytest

from enhance_np._random import stream
from enhance_np.sun import flux
from enhance_np.sun.plane import Plane
from enhance_np.sun.sunspot import Sunspot, Tube

PLANE = Plane((300, 420), 0.13)


def test_salt_and_pepper_is_weak_and_of_both_signs():
    field = flux.salt_and_pepper(stream(0, "a"), PLANE)
    assert 4 < field.std() < 30
    assert abs(field.mean()) < 0.1 * field.std()


def test_network_gathers_in_a_small_part_of_the_area():
    field = np.abs(np.concatenate([flux.network(stream(i, "a"), PLANE) for i in range(3)]))
    strong = np.sort(field.ravel())[::-1]
    assert strong[: strong.size // 5].sum() > 0.6 * strong.sum()
    assert 5 < field.mean() < 60


def test_plage_has_the_sign_it_is_given():
    for sign in (-1, 1):
        field = flux.plage(stream(3, "a"), PLANE, sign)
        assert np.sign(field.sum()) == sign
        assert (np.sign(field) == sign).mean() > 0.95
        assert 30 < np.abs(field).mean() < 400


def test_polarity_is_that_of_the_nearest_spot():
    tubes = (Tube(15.0, 10.0, 4.0, 2500.0), Tube(25.0, 45.0, 4.0, -2500.0))
    spots = [Sunspot((tube,), 8.0, 2500.0) for tube in tubes]
    found = flux.polarity(stream(0, "a"), PLANE, spots)
    for tube in tubes:
        at = tuple(round(v / PLANE.spacing) for v in tube[:2])
        assert found[at] * np.sign(tube.field) > 0.8
    assert np.abs(flux.polarity(stream(0, "a"), PLANE, [])) == pytest.approx(1)


def test_pores_are_strong_where_they_are_put_and_nowhere_else():
    field = flux.with_pores(stream(0, "a"), PLANE, np.zeros(PLANE.shape), [(20.0, 30.0, 3.0)], -1)
    y, x = ((np.arange(n) + 0.5) * PLANE.spacing for n in PLANE.shape)
    distance = np.hypot(y[:, None] - 20, x - 30)
    assert field[distance < 0.5].mean() < -1200
    assert np.abs(field[distance > 8]).max() < 50
