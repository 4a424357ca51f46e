"""Lemtrada, January 2020, as a subscriber hears of it: told in November, called to mind, in force at midnight."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from guidance.archive import Archive, Proposal
from guidance.journal import CORPUS
from guidance.schema import violations
from guidance.store import Act
from service import ticker
from service.state import State

Json = Any
NAME = "ema/lemtrada"


class Hands:
    """A clock that a test turns."""

    def __init__(self, now: str) -> None:
        self.now = datetime.fromisoformat(now).replace(tzinfo=UTC)

    def turn_to(self, then: str) -> datetime:
        self.now = datetime.fromisoformat(then).replace(tzinfo=UTC)
        return self.now


@pytest.fixture
def log(tmp_path: Path) -> Iterator[State]:
    opened = State(tmp_path / "state.sqlite")
    yield opened
    opened.close()


def read(name: str) -> Json:
    return json.loads((CORPUS / "documents" / NAME / name).read_bytes())


def coming(version: Json) -> Json:
    """The version as it was known in November 2019: decided on, expected in January 2020, on no day."""
    awaited = [
        {
            "jurisdictions": ["EU", "UK"],
            "expected": "2020-01",
            "trigger": "Commission decision",
            "basis": "The Agency's opinion of 14 November 2019.",
        }
    ]
    return {**version, "commencements": awaited}


def test_lemtrada_is_told_in_order(archive: Archive, log: State, act: Callable[..., Act]) -> None:
    clock = Hands("2019-04-12T13:00")
    archive.publish([Proposal(read("document.json"))], act("seeded"), clock.now)
    for number in (1, 2):
        archive.publish([Proposal(read(f"versions/{number}.json"))], act("seeded"), clock.now)
    ticker.tick(archive, log, clock.now)
    before = log.tip()

    third = read("versions/3.json")
    archive.publish([Proposal(coming(third))], act("opinion"), clock.turn_to("2019-11-15T09:00"))
    ticker.tick(archive, log, clock.now)
    archive.publish([Proposal(third)], act("the day is known"), clock.turn_to("2019-12-10T09:00"))
    for hours in range(0, 60 * 24, 6):  # a service that looks four times a day
        ticker.tick(archive, log, clock.now + timedelta(hours=hours))

    told = [event for _, event in log.events(before)]
    assert [line(event) for event in told] == [
        "2019-11-15T09:00:00Z published @3 in EU,UK",
        "2019-12-10T09:00:00Z rescheduled @3 in EU,UK",
        "2019-12-16T23:00:00Z reminder @3 in EU, 30 days before 2020-01-16",
        "2019-12-17T00:00:00Z reminder @3 in UK, 30 days before 2020-01-16",
        "2020-01-08T23:00:00Z reminder @3 in EU, 7 days before 2020-01-16",
        "2020-01-09T00:00:00Z reminder @3 in UK, 7 days before 2020-01-16",
        "2020-01-14T23:00:00Z reminder @3 in EU, 1 days before 2020-01-16",
        "2020-01-15T00:00:00Z reminder @3 in UK, 1 days before 2020-01-16",
        "2020-01-15T23:00:00Z in-force @3 in EU",
        "2020-01-15T23:00:00Z ended @2 in EU, superseded by @3",
        "2020-01-16T00:00:00Z in-force @3 in UK",
        "2020-01-16T00:00:00Z ended @2 in UK, superseded by @3",
    ]
    assert all(violations("event", event) == () for event in told)


def line(event: Json) -> str:
    more = ""
    if event["kind"] == "reminder":
        more = f", {event['days']} days before {event['day']}"
    if event["kind"] == "ended":
        more = f", {event['ends']} by @{event['replaced_by']}"
    places = ",".join(event["jurisdictions"])
    return f"{event['occurred_at']} {event['kind']} @{event['version']} in {places}{more}"


def test_the_event_of_the_day_says_what_it_replaces_and_how_much_that_matters(
    archive: Archive, log: State, act: Callable[..., Act]
) -> None:
    clock = Hands("2019-11-15T09:00")
    archive.publish([Proposal(read("document.json"))], act(), clock.now)
    for number in (1, 2, 3):
        archive.publish([Proposal(read(f"versions/{number}.json"))], act(), clock.now)
    ticker.tick(archive, log, datetime(2020, 2, 1, tzinfo=UTC))
    tip = archive.tip()
    assert tip
    event = next(e for _, e in log.events() if e["kind"] == "in-force" and e["version"] == 3)
    assert (event["version"], event["replaces"], event["cause"]) == (3, 2, "day")
    assert event["changes"]["severity"] == "critical"
    assert {"contraindication", "monitoring"} <= set(event["changes"]["rule_kinds"])
    assert "stroke" in event["changes"]["rules"]
    assert {"system": "atc", "code": "L04AA34"} in event["medicines"][0]["codes"]
    assert event["links"] == {
        "document": f"/v1/documents/{NAME}",
        "version": f"/v1/documents/{NAME}/versions/3?at={tip.id}",
        "diff": f"/v1/documents/{NAME}/diff?from=@2&to=@3&at={tip.id}",
        "page": f"/documents/{NAME}/versions/3",
    }
