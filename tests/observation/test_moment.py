"""The time of an image, as FITS and as JSOC write it."""

from datetime import datetime

import pytest

from enhance_np.observation.moment import middle

NOON = datetime(2011, 2, 15, 12)
CASES = {
    "FITS": {"DATE-OBS": "2011-02-15T12:00:00"},
    "with a Z": {"DATE_OBS": "2011-02-15T12:00:00.000Z"},
    "TAI is 34 s before UTC": {"T_OBS": "2011.02.15_12:00:34_TAI"},
    "TIMESYS": {"DATE-OBS": "2011-02-15T12:00:34", "TIMESYS": "tai"},
    "an old name of TT, 32.184 s after TAI": {
        "DATE-OBS": "2011-02-15T12:01:06.184",
        "TIMESYS": "TDT",
    },
    "a suffix is closer than TIMESYS": {"T_REC": "2011.02.15_12:00:00_UTC", "TIMESYS": "TAI"},
    "a scale that nobody knows": {"DATE-OBS": "2011-02-15T12:00:00", "TIMESYS": "LOCAL"},
    "of JSOC, UTC": {"T_REC": "2011.02.15_12:00:00_UTC"},
    "the middle before the begin": {
        "T_OBS": "2011.02.15_12:00:34_TAI",
        "DATE-OBS": "2011-02-15T11:54:00",
    },
    "begin and end": {"DATE_OBS": "2011-02-15T11:00:00", "DATE_END": "2011-02-15T13:00:00"},
    "a date, and its time apart": {"DATE-OBS": "2011-02-15", "TIME-OBS": "12:00:00"},
    "the same of MDI": {"DATE_OBS": "2011.02.15", "TIME_OBS": "12:00:00.0Z"},
    "a time of the date of another card": {
        "DATE-OBS": "2011-02-15T12:00:00",
        "TIME-OBS": "07:00:00",
    },
    "one that cannot be read": {"DATE-OBS": "yesterday", "DATE_OBS": "2011-02-15T12:00:00"},
}


@pytest.mark.parametrize("name", CASES)
def test_noon(name):
    assert abs(middle(CASES[name]) - NOON).total_seconds() < 1e-3


def test_no_time():
    assert middle({}) is None
    assert middle({"DATE-OBS": "yesterday", "T_OBS": ""}) is None


def test_a_date_alone_is_not_midnight():
    assert middle({"DATE-OBS": "2011-02-15"}) is None
    assert middle({"T_OBS": "2011.02.15_TAI"}) is None
    assert middle({"DATE-OBS": "2011-02-15", "DATE_OBS": "2011-02-15T12:00:00"}) == NOON
