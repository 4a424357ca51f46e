"""The one clock, and what day it is where."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.metadata import version
from zoneinfo import ZoneInfo

from guidance.vocabulary import JURISDICTIONS

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The real clock, in UTC."""
    return datetime.now(UTC)


@cache
def zone_of(jurisdiction: str) -> ZoneInfo:
    """A jurisdiction's time zone, read once: zoneinfo itself remembers eight, and we go through all of them."""
    return ZoneInfo(JURISDICTIONS[jurisdiction].zone)


def today(now: datetime, jurisdiction: str) -> date:
    """The civil day that it is in a jurisdiction."""
    return now.astimezone(zone_of(jurisdiction)).date()


def day_starts(day: date, jurisdiction: str) -> datetime:
    """The first instant of a civil day, in UTC: its midnight, or what follows where that midnight does not exist."""
    zone = zone_of(jurisdiction)
    start = datetime.combine(day, time.min, zone).astimezone(UTC)
    while start.astimezone(zone).date() < day:
        start += timedelta(minutes=15)
    return start


def next_midnight(now: datetime, jurisdiction: str) -> datetime:
    """The instant at which `today` becomes another day."""
    return day_starts(today(now, jurisdiction) + timedelta(days=1), jurisdiction)


def tzdata_version() -> str:
    """The release of the time zone database in use."""
    return version("tzdata")
