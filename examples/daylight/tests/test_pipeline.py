"""The pipeline on this machine, in one process."""

import datetime as dt

import pytest
from daylight.pipeline import daylight, hours_of

from lightwork import InputError, connect


def test_days_are_longest_in_june_and_shortest_in_december(tmp_path):
    with connect("serial", lake=str(tmp_path)):
        result = daylight("Oslo", dt.date(2026, 1, 1), 365)
    assert 18 < result["longest"] < 19
    assert 5 < result["shortest"] < 6


def test_the_sun_stays_up_or_down_near_the_pole():
    assert hours_of(dt.date(2026, 6, 21), 78.2, 15.6) == 24
    assert hours_of(dt.date(2026, 12, 21), 78.2, 15.6) == 0


def test_an_unknown_place_is_an_error_of_one_line():
    with pytest.raises(InputError, match="^place 'Nowhere' is not known; expected a city such as Oslo$"):
        daylight("Nowhere")
