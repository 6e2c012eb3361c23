"""The tables of the error bars: features, interpolation, units, storage."""

from dataclasses import replace

import numpy as np
import pytest

from enhance_np.observation.normalise import Norm, norm_value
from enhance_np.pairs import limb
from enhance_np.prediction.error_bar import BOX, LINES, Calibration, Features, features, judged

TABLES = {
    "values": (0.0, 1.0, 3.0),
    "contrasts": (0.1, 0.2),
    "gain": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
    "floor": np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]),
    "floor_at_limb": np.array([[0.05, 0.1], [0.5, 0.4], [0.6, 0.7]]),
    "value_range": (-0.5, 2.5),
    "contrast_range": (0.05, 0.3),
    "misfit": 0.01,
    "data": "made",
}


@pytest.fixture
def calibration():
    return Calibration(**TABLES)


@pytest.mark.parametrize("type", ["intensity", "blos"])
def test_features_are_those_of_boxes(type, rng):
    y = rng.standard_normal((9, 8))
    y[2, 3] = np.nan
    found, reach = features(y, type), BOX // 2
    mirrored = np.pad(y, reach, mode="symmetric")
    boxes = np.lib.stride_tricks.sliding_window_view(mirrored, (BOX, BOX)).reshape(*y.shape, -1)
    value, contrast = np.nanmean(boxes, axis=2), np.nanstd(boxes, axis=2)
    value, contrast = (np.where(np.isnan(y), np.nan, a) for a in (value, contrast))
    np.testing.assert_allclose(found.value, value if type == "intensity" else abs(value), atol=1e-9)
    np.testing.assert_allclose(found.contrast, contrast, atol=1e-7)


def test_interpolation(calibration):
    """Linear between the places of the tables, constant beyond them; NaN stays."""
    found = Features(np.array([0.0, 1.0, 2.0, 9.0, np.nan]), np.array([0.1, 0.15, 0.2, 9.0, 0.1]))
    gain, floor, there = calibration.at(found)
    np.testing.assert_allclose(gain, [1, 3.5, 5, 6, np.nan])
    np.testing.assert_allclose(there, [0.05, 0.45, 0.55, 0.7, np.nan])
    np.testing.assert_allclose(floor, [0.1, 0.35, 0.5, 0.6, np.nan])
    np.testing.assert_allclose(calibration.sigma(found, 0.1), np.hypot(0.1 * gain, floor))


def test_towards_the_limb(calibration):
    """The floor changes, each cell's by itself; the noise does not."""
    mu = np.array([1.0, (1 + limb.MU) / 2, limb.MU, 0.1, np.nan])
    for value, floors in ((0.0, [0.1, 0.075, 0.05, 0.05, 0.1]), (1.0, [0.3, 0.4, 0.5, 0.5, 0.3])):
        found = Features(np.full(5, value), np.full(5, 0.1))
        noise = 0.1 * calibration.at(found)[0]
        np.testing.assert_allclose(calibration.sigma(found, 0.1, mu), np.hypot(noise, floors))


def test_outside_of_the_calibration_data(calibration):
    found = Features(np.array([-1.0, 0, 2.6]), np.array([0.1, 0.04, 0.31]))
    value, contrast = calibration.unlike(found, "intensity")
    assert value.tolist() == [True, False, True]
    assert contrast.tolist() == [False, True, True]


def test_a_weak_field_is_no_reason_to_doubt(calibration):
    """The calibration data end above zero, since hardly any pixel is exactly there."""
    ends = replace(calibration, value_range=(0.01, 2.5))
    found = Features(np.array([0.0, 0.02, 2.6]), np.full(3, 0.1))
    assert ends.unlike(found, "blos")[0].tolist() == [False, False, True]
    assert ends.unlike(found, "intensity")[0].tolist() == [True, False, True]


def test_an_output_in_its_units(calibration, rng):
    """Of more than one band of lines; a limb-darkened divisor and mu are those of the pixels."""
    height = LINES + 6

    def mu(rows, columns):
        return 0.9 - 0.5 * (rows[:, None] + 0.25) / height + 0 * columns

    y = 1 + 0.2 * rng.standard_normal((2 * height, 14))
    y[5, 5] = np.nan
    y[60:80] *= 3  # across two bands
    norm = Norm(500.0, 0.7, mu)
    divisor = norm.lines(0, height, 7, 2)
    found = judged(divisor * y, "intensity", calibration, norm, 3.0)
    its = features(y, "intensity")
    at = norm.mu((np.arange(2 * height) + 0.5) / 2 - 0.5, np.zeros(14))
    want = divisor * calibration.sigma(its, 3.0 / divisor, at)
    np.testing.assert_allclose(found.error, want, rtol=1e-4)
    assert found.error.dtype == np.float32
    value, contrast = calibration.unlike(its, "intensity")
    assert value.sum() + contrast.sum() > 10
    assert ((found.value != value) | (found.contrast != contrast)).sum() == 0


def test_noise_of_every_pixel(calibration, rng):
    """In more than one band of lines, each pixel has its own."""
    y = 1 + 0.2 * rng.standard_normal((2 * LINES + 12, 14))
    noise = rng.uniform(0.1, 0.3, (LINES + 6, 7))
    found = judged(y, "intensity", calibration, Norm(1.0), noise).error
    for i, j in ((3, 2), (LINES - 1, 6), (LINES, 0), (LINES + 5, 3)):
        pixel = slice(2 * i, 2 * i + 2), slice(2 * j, 2 * j + 2)
        alone = judged(y, "intensity", calibration, Norm(1.0), noise[i, j]).error
        np.testing.assert_array_equal(found[pixel], alone[pixel])


def test_no_floor_of_the_limb_where_its_darkening_stays(calibration, rng):
    """The norms max, none and a number know no place on the disc; a field's always does."""

    def mu(rows, columns):
        return np.full((len(rows), len(columns)), limb.MU)

    image = 1 + 0.1 * rng.random((12, 12))
    for norm in ("max", "none", 1.5):
        divisor = norm_value(image, norm, "intensity", mu)
        plain = judged(image, "intensity", calibration, Norm(divisor.level), 0.1).error
        found = judged(image, "intensity", calibration, divisor, 0.1).error
        np.testing.assert_array_equal(found, plain)
    field = norm_value(image, "max", "blos", mu)
    plain = judged(image, "blos", calibration, Norm(field.level), 0.1).error
    found = judged(image, "blos", calibration, field, 0.1).error
    its = features(image / field.level, "blos")
    want = field.level * calibration.sigma(its, 0.1 / field.level, limb.MU)
    np.testing.assert_allclose(found, want, rtol=1e-6)
    assert not np.allclose(found, plain, rtol=0.01)


def test_is_stored(calibration):
    stored = Calibration.stored(calibration.attributes())
    for name, value in TABLES.items():
        np.testing.assert_array_equal(getattr(stored, name), value)
    assert Calibration.stored(None) is None


@pytest.mark.parametrize(
    "change",
    [
        {"gain": [[1.0, 2.0]]},
        {"floor": np.full((3, 2), np.nan)},
        {"floor": -TABLES["floor"]},
        {"values": (0.0, 2.0, 1.0)},
        {"contrasts": "none"},
        {"misfit": "much"},
        {"floor_at_limb": -TABLES["floor"]},
        {"misfit": -1.0},
        {"value_range": (2.5, -0.5)},
    ],
)
def test_damaged_tables(calibration, change):
    with pytest.raises(
        ValueError, match="calibration of the weights: (needs tables|must have every table)"
    ):
        Calibration.stored(calibration.attributes() | change)


@pytest.mark.parametrize("table", ["floor", "floor_at_limb"])  # the latter in earlier ones
def test_missing_tables(calibration, table):
    attributes = calibration.attributes()
    del attributes[table]
    with pytest.raises(ValueError, match=f"must have every table.*'{table}'.*must be made again"):
        Calibration.stored(attributes)
