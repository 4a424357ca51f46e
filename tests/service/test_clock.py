"""What day it is where, and the instant at which it becomes another."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guidance.vocabulary import JURISDICTIONS
from service.clock import day_starts, next_midnight, system_clock, today, tzdata_version

PLACES = st.sampled_from(sorted(JURISDICTIONS))
INSTANTS = st.datetimes(datetime(1996, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))


def test_the_clock_tells_utc() -> None:
    assert system_clock().tzinfo is UTC


@given(INSTANTS, PLACES)
def test_the_next_midnight_is_the_first_instant_of_another_day(now: datetime, place: str) -> None:
    here = today(now, place)
    turn = next_midnight(now, place)
    assert now < turn <= now + timedelta(hours=26)
    assert today(turn - timedelta(seconds=1), place) == here
    assert today(turn, place) == here + timedelta(days=1)


@given(st.dates(date(1996, 1, 1), date(2090, 1, 1)), PLACES)
def test_a_day_starts_where_the_one_before_ends(day: date, place: str) -> None:
    starts, ends = day_starts(day, place), day_starts(day + timedelta(days=1), place)
    assert today(starts, place) == today(ends - timedelta(seconds=1), place) == day
    assert timedelta(hours=23) <= ends - starts <= timedelta(hours=25)


@pytest.mark.parametrize(
    ("day", "place", "starts"),
    [
        ("2020-01-16", "EU", "2020-01-15T23:00Z"),
        ("2020-01-16", "UK", "2020-01-16T00:00Z"),
        ("2020-07-16", "EU", "2020-07-15T22:00Z"),
        ("2020-07-16", "NI", "2020-07-15T23:00Z"),
        ("2020-07-16", "CH", "2020-07-15T22:00Z"),
        ("2020-07-16", "FI", "2020-07-15T21:00Z"),
        ("2020-07-16", "IS", "2020-07-16T00:00Z"),
        ("2020-03-29", "EU", "2020-03-28T23:00Z"),
        ("2020-03-30", "EU", "2020-03-29T22:00Z"),
        ("2020-10-25", "UK", "2020-10-24T23:00Z"),
        ("2020-10-26", "UK", "2020-10-26T00:00Z"),
        ("2024-02-29", "EU", "2024-02-28T23:00Z"),
    ],
)
def test_midnights_in_five_zones(day: str, place: str, starts: str) -> None:
    assert day_starts(date.fromisoformat(day), place) == datetime.fromisoformat(starts)


def test_every_jurisdiction_has_a_zone_that_exists() -> None:
    for jurisdiction in JURISDICTIONS.values():
        assert ZoneInfo(jurisdiction.zone).key == jurisdiction.zone


def test_the_release_of_the_time_zones_is_told() -> None:
    assert tzdata_version() == version("tzdata")
