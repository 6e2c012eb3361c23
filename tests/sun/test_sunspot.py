import numpy as np
import pytest

from enhance_np._random import stream
from enhance_np.sun.plane import Plane
from enhance_np.sun.sunspot import anatomy, draw, draw_delta, draw_spot, filaments

PLANE = Plane((480, 500), 0.0662)
CENTER = (15.9, 16.5)


def drawn(make, seed, radius, polarity=1):
    """(spot, intensity, field) of a spot on a Sun without granules."""
    spot = make(stream(seed, "shape"), CENTER, radius, polarity)
    found = anatomy(stream(seed, "anatomy"), spot, PLANE)
    intensity, field = np.ones(PLANE.shape, np.float32), np.zeros(PLANE.shape, np.float32)
    draw(stream(seed, "draw"), spot, found, PLANE, intensity, field)
    return spot, found, intensity, field


@pytest.mark.parametrize(("seed", "polarity"), [(1, 1), (2, -1), (3, 1)])
def test_umbra_and_penumbra(seed, polarity):
    spot, found, intensity, field = drawn(draw_spot, seed, 9.0, polarity)
    umbra = intensity < 0.4
    spot_area = (np.abs(intensity - 1) > 0.02) & (np.abs(field) > 100)
    assert 0.08 < umbra.sum() / spot_area.sum() < 0.4  # 0.15 to 0.3 is usual
    assert spot_area.sum() * PLANE.spacing**2 == pytest.approx(np.pi * 81, rel=0.5)
    assert 0.04 < intensity.min() < 0.2
    assert 0.05 < np.median(intensity[umbra]) < 0.3
    assert 1700 < np.median(polarity * field[umbra]) < 2700
    assert 2000 < np.abs(field).max() <= 1.02 * spot.field
    penumbra = spot_area & (intensity > 0.5)
    assert 0.68 < intensity[penumbra].mean() < 0.85
    assert 0.07 < intensity[penumbra].std() < 0.16
    assert 300 < (polarity * field[penumbra]).mean() < 1200
    # towards the outer edge some filaments return into the Sun
    outer = np.zeros(PLANE.shape, bool)
    outer[found.window] = (found.depth > 0.75) & (found.depth < 1)
    assert 0.02 < (polarity * field[outer] < 0).mean() < 0.4


def test_outlines_are_irregular_and_differ():
    shares = []
    for seed in (1, 2):
        *_, intensity, _ = drawn(draw_spot, seed, 9.0)
        y, x = np.indices(PLANE.shape) * PLANE.spacing
        radius = np.hypot(y - CENTER[0], x - CENTER[1])
        angle = np.arctan2(y - CENTER[0], x - CENTER[1])
        sector = np.digitize(angle, np.linspace(-np.pi, np.pi, 37))
        edge = [radius[(sector == i) & (intensity < 0.4)].max(initial=0) for i in range(1, 37)]
        assert np.std(edge) > 0.2  # arcsec
        shares.append(edge)
    assert np.abs(np.subtract(*shares)).mean() > 0.3


def test_a_delta_spot_has_both_polarities_in_one_penumbra():
    _, _, intensity, field = drawn(draw_delta, 2, 11.0)
    umbra = intensity < 0.35
    assert (umbra & (field > 1500)).mean() > 0.005
    assert (umbra & (field < -1500)).mean() > 0.005
    from scipy.ndimage import label

    parts, count = label(np.abs(intensity - 1) > 0.02)
    sizes = np.bincount(parts.ravel())[1:]
    assert count == 1 or sizes.max() > 0.9 * sizes.sum()


def test_filaments_are_long_and_thin():
    plane = Plane((200, 220), 0.0662)
    inward = (np.zeros(plane.shape, np.float32), np.full(plane.shape, -1, np.float32))
    for thread in filaments(stream(0, "a"), plane, inward):
        assert thread.std() == pytest.approx(1, abs=0.1)
        inner = thread[60:-60, 80:-40]  # the walk ends at the edge

        def reach(axis, field=inner):
            """Distance in arcsec at which the autocorrelation is one half."""
            for n in range(1, 60):
                a, b = (
                    np.take(field, range(n, field.shape[axis]), axis),
                    np.take(field, range(field.shape[axis] - n), axis),
                )
                if np.corrcoef(a.ravel(), b.ravel())[0, 1] < 0.5:
                    return n * plane.spacing
            return 60 * plane.spacing

        across, along = reach(0), reach(1)
        assert 0.08 < across < 0.25  # so filaments are 0.2 to 0.4 arcsec wide
        assert along > 3 * across


def test_a_spot_at_the_edge_touches_only_its_window():
    spot = draw_spot(stream(1, "shape"), (2.0, 3.0), 4.0, 1)
    found = anatomy(stream(1, "anatomy"), spot, PLANE)
    rows, columns = found.window
    assert rows.start == 0
    assert columns.stop < PLANE.shape[1]
    intensity, field = np.ones(PLANE.shape, np.float32), np.zeros(PLANE.shape, np.float32)
    draw(stream(1, "draw"), spot, found, PLANE, intensity, field)
    intensity[found.window], field[found.window] = 1, 0
    assert (intensity == 1).all()
    assert not field.any()
