"""Events as a pure function of history and instant: against a naive walk through days, and sentence by sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance.events import KINDS, Event, Filter, State, events, in_order, window
from guidance.model import Document, Revision, Version
from guidance.schema import violations
from guidance.severity import SEVERITIES
from guidance.vocabulary import JURISDICTIONS
from service.clock import day_starts
from tests.guidance import bodies
from tests.guidance.histories import Attempt, Step, histories, recorded, rules
from tests.oracle import Oracle, Said

FULL = settings().derandomize is False
NAME = "ema/example"
Json = Any
Told = tuple[Any, ...]


def revision(position: int, at: datetime, act: str = "publish") -> Revision:
    return Revision(f"{position:040x}", position, at, "Ada <ada@example.org>", act, (), "because")


def states(steps: Sequence[Step]) -> list[State]:
    return [State(revision(place, s.recorded_at, s.verb), s.document) for place, s in enumerate(steps, start=1)]


def derived(history: Sequence[State], until: datetime) -> tuple[Event, ...]:
    return events(history, until, day_starts)


# --- against a naive walk --------------------------------------------------------------------------------

FIRST, LAST = date(2019, 11, 25), date(2020, 6, 20)
UNTIL = datetime(2020, 5, 10, 12, tzinfo=UTC)


class Walk:
    """Walks through every day of every place under every belief, with an oracle that reads plain JSON."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        self.oracle = Oracle([(step.recorded_at, step.bodies) for step in steps])
        self.days = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days)]
        self.seen: dict[tuple[int, str], list[Told]] = {}

    def begins(self, day: date, place: str) -> datetime:
        return datetime.combine(day, time.min, ZoneInfo(JURISDICTIONS[place].zone)).astimezone(UTC)

    def said(self, which: int, place: str, day: date) -> Said | None:
        return self.oracle.says(NAME, place, day, self.steps[which].recorded_at)

    def turns(self, which: int, place: str) -> list[Told]:
        """(day, kind, version, rule, ends) of every turn under one belief."""
        if (which, place) not in self.seen:
            pairs = pairwise((day, self.said(which, place, day)) for day in self.days)
            found = [turn for (_, a), (day, b) in pairs for turn in self.between(day, a, b)]
            self.seen[which, place] = found
        return self.seen[which, place]

    def between(self, day: date, a: Said | None, b: Said | None) -> Iterator[Told]:
        was, now = (s if s and s.state in ("in-force", "ending") else None for s in (a, b))
        if was and now and was.version == now.version:
            yield from ((day, "in-force", now.version, rule, None) for rule in now.rules - was.rules)
            yield from ((day, "ended", now.version, rule, "own") for rule in was.rules - now.rules)
            return
        if now:
            yield day, "in-force", now.version, None, None
        if was:
            yield day, "ended", was.version, None, "superseded" if now else b.why if b else None

    def places(self, which: int) -> set[str]:
        return set(self.steps[which].document.named)

    def told(self) -> set[Told]:
        """(occurred, kind, version, place, day, rule, days) of every beginning, end and reminder."""
        found: set[Told] = set()
        for which, step in enumerate(self.steps):
            end = self.steps[which + 1].recorded_at if which + 1 < len(self.steps) else UNTIL
            for place in self.places(which):
                found |= set(self.due(which, place, step.recorded_at, end))
            for place in self.places(which) | (self.places(which - 1) if which else set()):
                found |= set(self.late(which, place, step.recorded_at))
        return found

    def due(self, which: int, place: str, after: datetime, until: datetime) -> Iterator[Told]:
        for day, kind, version, rule, ends in self.turns(which, place):
            if after < (at := self.begins(day, place)) <= until:
                yield at, kind, version, place, day, rule, None
            for days in (30, 7, 1) if ends != "superseded" else ():
                if after < (ahead := self.begins(day - timedelta(days=days), place)) <= until:
                    yield ahead, "reminder", version, place, day, rule, days

    def late(self, which: int, place: str, at: datetime) -> Iterator[Told]:
        known = {t[:4] for t in self.turns(which - 1, place) if self.begins(t[0], place) <= at} if which else set()
        for day, kind, version, rule, _ in self.turns(which, place):
            if self.begins(day, place) <= at and (day, kind, version, rule) not in known:
                yield at, kind, version, place, day, rule, None


def spread(found: Sequence[Event]) -> set[Told]:
    """What begins and ends, and reminders of it, one by one: for each place and each rule."""
    return {
        (e.occurred, e.kind, e.version, place, e.day, rule, e.json().get("days"))
        for e in found
        if e.kind in ("in-force", "ended", "reminder") and not e.json().get("restated")
        for place in e.jurisdictions
        for rule in (e.json()["rules"] or [None])
    }


@given(histories)
@settings(max_examples=300 if FULL else 12)
def test_what_begins_and_ends_is_what_a_naive_walk_through_the_days_finds(attempted: Sequence[Attempt]) -> None:
    steps = recorded(attempted)
    found = derived(states(steps), UNTIL)
    assert spread(found) == Walk(steps).told()


@given(histories, st.lists(st.floats(0, 1), max_size=6))
@settings(max_examples=400 if FULL else 20)
def test_deriving_in_pieces_gives_the_same_events_in_the_same_order(
    attempted: Sequence[Attempt], cuts: list[float]
) -> None:
    history = states(recorded(attempted))
    first = history[0].revision.recorded_at
    instants = [first + cut * (UNTIL - first) for cut in sorted(cuts)]
    found: list[Event] = []
    since: datetime | None = None
    for until in [*(instant.replace(microsecond=0) for instant in instants), UNTIL]:
        known = [s for s in history if since is not None and s.revision.recorded_at <= since]
        news = [s for s in history if s not in known]
        found += window(known[-1] if known else None, news, since, until, day_starts)
        since = until
    assert [e.json() for e in found] == [e.json() for e in derived(history, UNTIL)]


@given(histories)
@settings(max_examples=200 if FULL else 12)
def test_every_event_has_an_id_of_its_own_and_conforms_to_its_schema(attempted: Sequence[Attempt]) -> None:
    found = derived(states(recorded(attempted)), UNTIL)
    assert len({event.id for event in found}) == len(found)
    assert list(found) == sorted(found, key=lambda event: event.order)
    for event in found:
        assert violations("event", event.json()) == ()


@given(histories)
@settings(max_examples=200 if FULL else 12)
def test_whoever_only_listens_knows_what_is_in_force(attempted: Sequence[Attempt]) -> None:
    history = states(recorded(attempted))
    held: dict[str, int | None] = {}
    for event in derived(history, UNTIL):
        if event.kind in ("in-force", "ended") and not event.json()["rules"]:
            for place in event.jurisdictions:
                if event.kind == "in-force":
                    held[place] = event.version
                elif held.get(place) == event.version:
                    held[place] = None
    document = history[-1].document
    for place in document.named:
        assert held.get(place) == _standing(document, place)


@given(st.lists(st.tuples(rules("two"), rules("three")), min_size=2, max_size=5))
@settings(max_examples=300 if FULL else 25)
def test_no_rule_of_a_version_in_force_comes_or_goes_by_a_correction_without_a_word(said: list[Sequence[Json]]) -> None:
    history = History("EU", "UK")
    for which, some in enumerate(said):
        body = bodies.version(1, bodies.since("2019-10-01", "EU", "UK"), rules=[bodies.rule("one"), *some])
        at = datetime(2019, 12, 20, 9, tzinfo=UTC) + timedelta(days=20 * which)
        history.says(at.isoformat()[:16], body, "correct" if which else "publish")
    found = derived(history.states, UNTIL)
    for before, after in pairwise(history.states[1:]):
        told = {
            (event.kind, place, rule)
            for event in found
            if event.recorded == after.revision.position
            for place in event.jurisdictions
            for rule in event.json()["rules"]
        }
        for place in ("EU", "UK"):
            was, now = (_held(state.document, place, after.revision.recorded_at) for state in (before, after))
            assert {("ended", place, rule) for rule in was - now} <= told
            assert {("in-force", place, rule) for rule in now - was} <= told


def _held(document: Document, place: str, at: datetime) -> frozenset[str]:
    """The rules that hold at an instant, by an oracle that reads plain JSON."""
    oracle = Oracle([(at, [document.body, *(version.body for version in document.versions)])])
    said = oracle.says(document.id, place, at.astimezone(ZoneInfo(JURISDICTIONS[place].zone)).date(), at)
    return said.rules if said else frozenset()


def _standing(document: Document, place: str) -> int | None:
    said = Oracle([(UNTIL, [document.body, *(v.body for v in document.versions)])]).says(
        document.id, place, UNTIL.astimezone(ZoneInfo(JURISDICTIONS[place].zone)).date(), UNTIL
    )
    return said.version if said and said.state in ("in-force", "ending") else None


# --- sentence by sentence --------------------------------------------------------------------------------


class History:
    """A document's history, told act by act."""

    def __init__(self, *places: str) -> None:
        self.document = Document.of(bodies.document(NAME, *places))
        self.states = [State(revision(1, datetime(2019, 1, 1, tzinfo=UTC), "register"), self.document)]

    def says(self, at: str, body: Json, act: str = "publish") -> History:
        self.document = self.document.with_version(Version.of(body))
        when = datetime.fromisoformat(at).replace(tzinfo=UTC)
        self.states.append(State(revision(len(self.states) + 1, when, act), self.document))
        return self

    def until(self, at: str) -> list[Event]:
        return list(derived(self.states, datetime.fromisoformat(at).replace(tzinfo=UTC)))


def lines(found: Sequence[Event]) -> list[str]:
    """Each event as a line: when, what, which version."""
    return [
        f"{e.json()['occurred_at']} {e.kind} @{e.version} {','.join(e.jurisdictions)}"
        + (f" for @{e.json()['replaces']}" if e.json()["replaces"] else "")
        + (f" {e.json()['ends']}" if "ends" in e.json() and e.kind == "ended" else "")
        + (f" in {e.json()['days']}" if e.kind == "reminder" else "")
        + (" late" if e.json()["retroactive"] else "")
        + (" again" if e.json().get("restated") else "")
        for e in found
    ]


def begun() -> History:
    """Version 1 in force since 2019, told in time."""
    return History("EU").says("2019-02-01T10:00", bodies.version(1, bodies.since("2019-02-10")))


def after(history: History, until: str, since: str) -> list[str]:
    return [line for line in lines(history.until(until)) if line >= since]


def test_a_month_brings_nothing_into_force_until_its_day_is_known() -> None:
    awaited = bodies.version(2, bodies.awaited(expected="2020-01"))
    history = begun().says("2019-11-20T10:00", awaited)
    assert after(history, "2021-01-01", "2019-11") == ["2019-11-20T10:00:00Z published @2 EU for @1"]
    history.says("2020-01-10T10:00", bodies.version(2, bodies.since("2020-01-16")), "reschedule")
    assert after(history, "2021-01-01", "2020-01") == [
        "2020-01-10T10:00:00Z rescheduled @2 EU",
        "2020-01-14T23:00:00Z reminder @2 EU for @1 in 1",
        "2020-01-15T23:00:00Z in-force @2 EU for @1",
        "2020-01-15T23:00:00Z ended @1 EU superseded",
    ]


def test_each_place_has_its_own_midnight_and_those_with_the_same_are_one_event() -> None:
    history = History("EU", "UK").says(
        "2020-03-01T10:00", bodies.version(1, bodies.since("2020-03-05", "EU", "DE", "UK"))
    )
    assert [line for line in lines(history.until("2020-04-01")) if "in-force" in line] == [
        "2020-03-04T23:00:00Z in-force @1 DE,EU",
        "2020-03-05T00:00:00Z in-force @1 UK",
    ]


def test_what_is_recorded_after_its_day_is_in_force_from_the_recording_on_and_says_so() -> None:
    history = begun().says("2020-02-01T10:00", bodies.version(2, bodies.since("2020-01-16")))
    assert after(history, "2021-01-01", "2020") == [
        "2020-02-01T10:00:00Z published @2 EU for @1",
        "2020-02-01T10:00:00Z in-force @2 EU for @1 late",
        "2020-02-01T10:00:00Z ended @1 EU superseded late",
    ]


def test_what_is_recorded_on_its_day_is_not_late() -> None:
    history = begun().says("2020-01-16T16:00", bodies.version(2, bodies.since("2020-01-16")))
    assert not any(line.endswith("late") for line in lines(history.until("2021-01-01")))


def test_what_is_withdrawn_before_its_day_never_comes_into_force() -> None:
    history = begun().says("2020-01-10T10:00", bodies.version(2, bodies.since("2020-01-16")))
    history.says("2020-01-15T22:59:59", bodies.version(2, bodies.since("2020-01-16"), status="withdrawn"), "correct")
    assert after(history, "2021-01-01", "2020") == [
        "2020-01-10T10:00:00Z published @2 EU for @1",
        "2020-01-14T23:00:00Z reminder @2 EU for @1 in 1",
        "2020-01-15T22:59:59Z withdrawn-before-effect @2 EU",
    ]


def test_what_is_withdrawn_in_the_second_in_which_its_day_begins_was_in_force() -> None:
    history = begun().says("2020-01-15T10:00", bodies.version(2, bodies.since("2020-01-16")))
    history.says("2020-01-15T23:00:00", bodies.version(2, bodies.since("2020-01-16"), status="withdrawn"), "correct")
    assert after(history, "2021-01-01", "2020-01-15T23") == [
        "2020-01-15T23:00:00Z in-force @2 EU for @1",
        "2020-01-15T23:00:00Z ended @1 EU superseded",
        "2020-01-15T23:00:00Z withdrawn @2 EU",
        "2020-01-15T23:00:00Z in-force @1 EU for @2 late again",
        "2020-01-15T23:00:00Z ended @2 EU withdrawn again",
    ]


def test_a_correction_that_moves_a_day_that_has_passed_tells_the_new_day() -> None:
    history = begun().says("2020-01-10T10:00", bodies.version(2, bodies.since("2020-01-16")))
    history.says("2020-02-01T10:00", bodies.version(2, bodies.since("2020-01-20")), "correct")
    assert after(history, "2021-01-01", "2020-02") == [
        "2020-02-01T10:00:00Z rescheduled @2 EU",
        "2020-02-01T10:00:00Z in-force @2 EU for @1 late",
        "2020-02-01T10:00:00Z ended @1 EU superseded late",
    ]


def test_a_correction_that_moves_a_passed_day_ahead_puts_back_what_was_in_force() -> None:
    history = begun().says("2020-01-10T10:00", bodies.version(2, bodies.since("2020-01-16")))
    history.says("2020-02-01T10:00", bodies.version(2, bodies.since("2020-02-10")), "correct")
    assert after(history, "2021-01-01", "2020-02") == [
        "2020-02-01T10:00:00Z rescheduled @2 EU",
        "2020-02-01T10:00:00Z in-force @1 EU for @2 late again",
        "2020-02-01T10:00:00Z ended @2 EU corrected late again",
        "2020-02-02T23:00:00Z reminder @2 EU for @1 in 7",
        "2020-02-08T23:00:00Z reminder @2 EU for @1 in 1",
        "2020-02-09T23:00:00Z in-force @2 EU for @1",
        "2020-02-09T23:00:00Z ended @1 EU superseded",
    ]


@pytest.mark.parametrize(
    "body",
    [
        bodies.version(2, bodies.since("2018-01-01")),
        bodies.version(2, bodies.since("2018-01-01", to="2018-06-01")),
        bodies.version(1, bodies.since("2018-01-01", to="2018-06-01"), bodies.since("2019-02-10")),
    ],
)
def test_what_was_in_force_earlier_and_is_recorded_now_leaves_what_is_in_force(body: Json) -> None:
    history = begun().says("2019-06-01T12:00", body, "correct" if body["number"] == 1 else "publish")
    held = None
    for event in history.until("2019-07-01T00:00"):
        if event.kind == "in-force":
            held = event.version
        elif event.kind == "ended" and held == event.version:
            held = None
    assert held == 1


def test_a_place_that_gets_a_name_of_its_own_is_told_what_is_in_force_there() -> None:
    history = History("UK").says("2019-02-01T10:00", bodies.version(1, bodies.since("2019-02-10", "UK")))
    history.says("2019-06-01T12:00", bodies.version(2, bodies.awaited("GB")))
    found = [e for e in history.until("2019-07-01T00:00") if e.kind == "in-force"]
    assert [(e.jurisdictions, e.version, e.json().get("restated")) for e in found] == [
        (("UK",), 1, None),
        (("GB",), 1, True),
    ]


def test_an_event_tells_the_day_of_the_places_that_it_is_about() -> None:
    history = History("EU", "UK")
    history.says("2019-02-01T10:00", bodies.version(1, bodies.since("2020-01-01"), bodies.since("2020-02-01", "UK")))
    history.says("2019-03-01T10:00", bodies.version(1, bodies.since("2020-01-01"), bodies.since("2020-03-01", "UK")))
    lost = bodies.version(1, bodies.since("2020-01-01"), bodies.awaited("UK", expected="2020-04"))
    history.says("2019-04-01T10:00", lost)
    assert [(e.kind, e.jurisdictions, str(e.day)) for e in history.until("2019-05-01T00:00")] == [
        ("published", ("EU", "UK"), "2020-01-01"),
        ("rescheduled", ("UK",), "2020-03-01"),
        ("rescheduled", ("UK",), "None"),
    ]


@pytest.mark.parametrize("became", [{"commencements": [bodies.since("2020-03-01")]}, {"status": "withdrawn"}])
def test_whoever_follows_a_medicine_that_a_coming_version_drops_hears_what_becomes_of_it(became: Json) -> None:
    dropping = bodies.version(2, bodies.since("2020-01-01"), medicines=[{"inn": "beta"}])
    history = begun().says("2019-12-01T10:00", dropping).says("2019-12-02T10:00", {**dropping, **became}, "correct")
    told = [event.json() for event in history.until("2019-12-02T10:00") if event.version == 2]
    assert told[-1]["kind"] in ("rescheduled", "withdrawn-before-effect")
    assert all([one["inn"] for one in event["medicines"]] == ["alemtuzumab", "beta"] for event in told)


def test_a_version_and_a_rule_of_it_that_move_together_are_each_told_with_their_own_day() -> None:
    def recorded(day: str, own: str) -> Json:
        late = bodies.rule("late", commencements=[bodies.since(own)])
        return bodies.version(1, bodies.since(day), rules=[bodies.rule("one"), late])

    history = History("EU").says("2019-02-01T10:00", recorded("2019-04-01", "2019-05-01"))
    history.says("2019-03-01T10:00", recorded("2019-04-11", "2019-05-11"), "correct")
    found = history.until("2019-03-01T10:00")[-2:]
    assert {(e.kind, str(e.day), *e.json()["rules"]) for e in found} == {
        ("rescheduled", "2019-04-11"),
        ("rescheduled", "2019-05-11", "late"),
    }


def test_an_end_that_is_recorded_is_told_with_its_day_and_word() -> None:
    ended = bodies.version(1, bodies.since("2019-02-10", to="2019-09-01", ends="suspended"))
    (event,) = begun().says("2019-06-01T12:00", ended, "withdraw").until("2019-06-02T00:00")[-1:]
    assert (event.kind, str(event.day), event.json()["ends"]) == ("withdrawn", "2019-09-01", "suspended")


def test_a_rule_whose_day_is_moved_ahead_is_no_longer_in_force_and_its_new_day_is_told() -> None:
    own = [bodies.rule("one"), bodies.rule("two", commencements=[bodies.since("2019-03-01")])]
    moved = [own[0], bodies.rule("two", commencements=[bodies.since("2030-01-01")])]
    history = begun().says("2019-02-20T10:00", bodies.version(1, bodies.since("2019-02-10"), rules=own), "correct")
    history.says("2019-06-01T12:00", bodies.version(1, bodies.since("2019-02-10"), rules=moved), "correct")
    found = [e for e in history.until("2019-07-01T00:00") if e.recorded == 4]
    assert [(e.kind, e.json()["rules"], str(e.day), e.json().get("ends")) for e in found] == [
        ("rescheduled", ["two"], "2030-01-01", None),
        ("ended", ["two"], "2019-03-01", "corrected"),
    ]


def test_a_scheduled_version_replaces_what_is_in_force_on_the_day_before_not_the_number_before() -> None:
    history = begun().says("2020-01-01T10:00", bodies.version(2, bodies.since("2020-03-01")))
    history.says("2020-01-02T10:00", bodies.version(3, bodies.since("2020-02-01")))
    told = [line for line in lines(history.until("2021-01-01")) if "in-force" in line or "ended" in line]
    assert told[1:] == [
        "2020-01-31T23:00:00Z in-force @3 EU for @1",
        "2020-01-31T23:00:00Z ended @1 EU superseded",
        "2020-02-29T23:00:00Z in-force @2 EU for @3",
        "2020-02-29T23:00:00Z ended @3 EU superseded",
    ]


def test_an_end_of_its_own_is_told_with_its_word_and_replaced_by_nothing() -> None:
    history = begun().says(
        "2020-01-01T10:00", bodies.version(1, bodies.since("2019-02-10", to="2020-02-01", ends="suspended")), "withdraw"
    )
    assert after(history, "2021-01-01", "2020") == [
        "2020-01-01T10:00:00Z withdrawn @1 EU",
        "2020-01-01T23:00:00Z reminder @1 EU in 30",
        "2020-01-24T23:00:00Z reminder @1 EU in 7",
        "2020-01-30T23:00:00Z reminder @1 EU in 1",
        "2020-01-31T23:00:00Z ended @1 EU suspended",
    ]
    assert history.until("2021-01-01")[-1].json()["replaced_by"] is None


def test_a_rule_that_begins_later_than_its_version_is_told_on_its_day() -> None:
    late = bodies.rule("two", commencements=[bodies.since("2020-02-01")])
    version = bodies.version(2, bodies.since("2020-01-01"), rules=[bodies.rule("one"), late])
    found = begun().says("2019-12-30T10:00", version).until("2021-01-01")
    beginning = [event for event in found if event.kind == "in-force" and event.version == 2]
    assert [(str(event.day), event.json()["rules"]) for event in beginning] == [
        ("2020-01-01", []),
        ("2020-02-01", ["two"]),
    ]
    assert beginning[1].json()["changes"]["rules"] == ["two"]


def test_a_version_that_goes_on_by_another_commencement_neither_ends_nor_begins() -> None:
    pauses = [bodies.since("2020-01-01", to="2020-02-01", ends="expired"), bodies.since("2020-02-01", to="2020-03-01")]
    history = begun().says("2019-12-30T10:00", bodies.version(2, *pauses))
    told = [line for line in lines(history.until("2021-01-01")) if "in-force" in line or "ended" in line]
    assert told[1:] == [
        "2019-12-31T23:00:00Z in-force @2 EU for @1",
        "2019-12-31T23:00:00Z ended @1 EU superseded",
        "2020-02-29T23:00:00Z ended @2 EU expired",
    ]


def test_a_code_that_changes_is_no_event_and_whoever_follows_either_hears_of_every_day() -> None:
    codes = [{"system": "atc", "code": "A", "to": "2020-03-01"}, {"system": "atc", "code": "B", "from": "2020-03-01"}]
    version = bodies.version(1, bodies.since("2020-01-01"), medicines=[{"inn": "alemtuzumab", "codes": codes}])
    found = History("EU").says("2019-12-31T10:00", version).until("2021-01-01")
    assert [event.kind for event in found] == ["published", "in-force"]
    for told in (event.json() for event in found):
        assert [code["code"] for code in told["medicines"][0]["codes"]] == ["A", "B"]
        assert all(Filter(medicines=(name,)).matches(told) for name in ("alemtuzumab", "A", "atc:B"))


def test_a_correction_of_the_document_is_heard_by_whoever_follows_a_medicine_of_any_version() -> None:
    history = begun().says("2019-03-01T10:00", bodies.version(2, medicines=[{"inn": "beta"}]))
    renamed = Document.of({**history.document.body, "title": "Another title"}, history.document.versions)
    history.states.append(State(revision(4, datetime(2019, 4, 1, tzinfo=UTC), "correct"), renamed))
    told = history.until("2019-04-01T00:00")[-1].json()
    assert (told["kind"], told["version"]) == ("corrected", None)
    assert [medicine["inn"] for medicine in told["medicines"]] == ["alemtuzumab", "beta"]


def test_a_correction_of_the_words_is_told_with_how_much_it_matters() -> None:
    rules = [bodies.rule("one", text="It must not be used after a heart attack.")]
    history = begun().says("2020-01-01T10:00", bodies.version(1, bodies.since("2019-02-10"), rules=rules), "correct")
    told = history.until("2021-01-01")[-1].json()
    assert (told["kind"], told["changes"]["rule_kinds"], told["changes"]["rules"]) == (
        "corrected",
        ["contraindication"],
        ["one"],
    )
    assert told["links"]["diff"] == f"/v1/documents/{NAME}/diff?from_at={2:040x}&to_at={3:040x}"


def test_a_day_that_a_time_zone_skips_begins_with_the_next_instant_that_exists() -> None:
    def starts(day: date, _: str) -> datetime:
        return datetime(2020, 1, 2, 11, tzinfo=UTC) if day == date(2020, 1, 1) else day_starts(day, "EU")

    history = begun().says("2019-12-31T10:00", bodies.version(2, bodies.since("2020-01-01")))
    found = events(history.states, datetime(2020, 2, 1, tzinfo=UTC), starts)
    assert [e.json()["occurred_at"] for e in found if e.kind == "in-force" and e.version == 2] == [
        "2020-01-02T11:00:00Z"
    ]


def test_reminders_are_as_configured() -> None:
    history = begun().says("2019-12-01T10:00", bodies.version(2, bodies.since("2020-01-16")))
    found = events(history.states, datetime(2021, 1, 1, tzinfo=UTC), day_starts, (14,))
    assert [e.json()["days"] for e in found if e.kind == "reminder"] == [14]
    assert not [e for e in events(history.states, UNTIL, day_starts, ()) if e.kind == "reminder"]


def test_two_revisions_of_one_second_are_told_in_their_order() -> None:
    history = begun().says("2020-01-01T10:00", bodies.version(2, bodies.since("2020-01-01")))
    history.says("2020-01-01T10:00", bodies.version(3, bodies.since("2020-01-02")))
    found = history.until("2020-01-01T12:00")
    assert [(e.kind, e.version, e.recorded) for e in found][-4:] == [
        ("published", 2, 3),
        ("in-force", 2, 3),
        ("ended", 1, 3),
        ("published", 3, 4),
    ]


def test_the_order_of_kinds_is_the_order_in_which_they_are_told() -> None:
    assert tuple(dict.fromkeys(KINDS)) == KINDS
    assert in_order([]) == ()


# --- filters ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told() -> Json:
    codes = [{"system": "atc", "code": "L04AA34"}]
    version = bodies.version(1, bodies.since("2020-01-01", "UK"), medicines=[{"inn": "alemtuzumab", "codes": codes}])
    return History("UK").says("2019-12-31T10:00", version).until("2021-01-01")[-1].json()


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        (Filter(), True),
        (Filter(medicines=("alemtuzumab",)), True),
        (Filter(medicines=("other", "L04AA34")), True),
        (Filter(medicines=("atc:L04AA34",)), True),
        (Filter(medicines=("ema-product:L04AA34",)), False),
        (Filter(authorities=("ema",)), True),
        (Filter(authorities=("mhra",)), False),
        (Filter(documents=(NAME,)), True),
        (Filter(documents=("ema/other",)), False),
        (Filter(jurisdictions=("UK",)), True),
        (Filter(jurisdictions=("GB",)), True),
        (Filter(jurisdictions=("EU",)), False),
        (Filter(rule_kinds=("contraindication",)), True),
        (Filter(rule_kinds=("monitoring",)), False),
        (Filter(kinds=("in-force",)), True),
        (Filter(kinds=("ended", "reminder")), False),
        (Filter(severity="editorial"), True),
        (Filter(severity="critical"), True),
        (Filter(medicines=("alemtuzumab",), kinds=("ended",)), False),
    ],
)
def test_a_filter_lets_pass_what_meets_each_of_its_members(told: Json, wanted: Filter, passes: bool) -> None:
    assert wanted.matches(told) is passes


def test_what_matters_less_than_is_asked_for_does_not_pass(told: Json) -> None:
    less = {**told, "changes": {**told["changes"], "severity": "major"}}
    assert [Filter(severity=least).matches(less) for least in SEVERITIES] == [True, True, True, False]


def test_what_could_not_be_judged_passes_every_severity(told: Json) -> None:
    assert Filter(severity="critical", rule_kinds=("monitoring",)).matches({**told, "changes": None})


COMING = bodies.version(1, bodies.since("2020-01-01"), stage="decided")


@pytest.mark.parametrize(
    ("was", "body", "kind"),
    [
        (COMING, {**COMING, "commencements": [bodies.since("2020-03-01")]}, "rescheduled"),
        (COMING, {**COMING, "commencements": [bodies.since("2020-01-01", to="2020-02-01")]}, "withdrawn"),
        (COMING, {**COMING, "status": "withdrawn"}, "withdrawn-before-effect"),
        ({**COMING, "stage": "recommended"}, COMING, "published"),
    ],
)
def test_whoever_follows_a_kind_of_rule_or_what_is_critical_hears_what_becomes_of_a_version_that_has_such_a_rule(
    was: Json, body: Json, kind: str
) -> None:
    history = History("EU").says("2019-12-01T10:00", was).says("2019-12-02T10:00", body)
    told = history.until("2019-12-02T10:00")[-1].json()
    assert told["kind"] == kind
    assert Filter(rule_kinds=("contraindication",)).matches(told)
    assert not Filter(rule_kinds=("monitoring",)).matches(told)
    assert Filter(severity="critical").matches(told)


def test_whoever_follows_a_kind_of_rule_hears_of_a_version_that_moves_if_its_beginning_changes_such_a_rule() -> None:
    both = [bodies.rule("one"), bodies.rule("blood", kind="monitoring", modality="must", text="Blood is tested.")]
    history = History("EU").says("2019-02-01T10:00", bodies.version(1, bodies.since("2019-02-10"), rules=both))
    history.says("2019-12-01T10:00", bodies.version(2, bodies.since("2020-01-01"), rules=both[:1]))
    history.says("2019-12-02T10:00", bodies.version(2, bodies.since("2020-03-01"), rules=both[:1]))
    told = [event.json() for event in history.until("2019-12-02T10:00") if event.version == 2]
    assert [(one["kind"], one["changes"]["rule_kinds"]) for one in told if one["kind"] != "reminder"] == [
        ("published", ["monitoring"]),
        ("rescheduled", ["monitoring"]),
    ]
    assert not any(Filter(severity="critical").matches(one) for one in told)


# --- the schema's examples -------------------------------------------------------------------------------

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"


@pytest.mark.parametrize("path", sorted((EXAMPLES / "good").glob("event-*.json")), ids=lambda path: path.stem)
def test_a_good_example_of_an_event_conforms(path: Path) -> None:
    assert violations("event", json.loads(path.read_bytes())) == ()


@pytest.mark.parametrize("path", sorted((EXAMPLES / "bad").glob("event-*.json")), ids=lambda path: path.stem)
def test_a_bad_example_of_an_event_is_blamed_where_it_is_bad(path: Path) -> None:
    told = json.loads(path.read_bytes())
    assert {violation.pointer for violation in violations("event", told["body"])} == {told["blame"]}
