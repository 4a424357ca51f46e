"""Generated histories: what somebody might record of one document, step by step, sensible or not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from guidance import acts
from guidance.errors import ActRefused, InvalidDocument
from guidance.model import Document
from guidance.schema import check_version_fast
from tests.guidance import bodies

Json = Any

BEGAN = datetime(2020, 1, 10, 9, 30, tzinfo=UTC)
"""In the middle of the days that are spoken of: much is recorded after it took effect."""
PLACES = ("UK", "GB", "NI", "EU", "DE", "EEA", "CH")
EDGES = ("2019-12-31", "2020-01-01", "2020-01-16", "2020-01-31", "2020-02-01", "2020-02-28", "2020-02-29", "2020-03-01")
MONTHS = ("2019-12", "2020-01", "2020-01", "2020-02", "2020-02", "2020-03", "2020")

some_days = st.dates(date(2019, 12, 1), date(2020, 3, 31))
edges = st.sampled_from(EDGES).map(date.fromisoformat)
days = st.one_of(edges, edges.map(lambda day: day + timedelta(days=1)), some_days)
written_days = st.one_of(st.sampled_from(EDGES), some_days.map(date.isoformat))
partial_dates = st.one_of(st.sampled_from(MONTHS), written_days)
groups = st.sampled_from(
    [("UK",)] * 4 + [("EU",)] * 4 + [("EU", "UK")] * 4 + [("GB",), ("NI",), ("DE",), ("GB", "NI"), ("EEA", "CH")]
)


@st.composite
def commencements(draw: st.DrawFn) -> Json:
    places = draw(groups)
    if draw(st.integers(0, 5)) == 0:
        return bodies.awaited(*places, expected=draw(st.none() | partial_dates))
    start = draw(written_days)
    to = draw(st.none() | st.none() | st.sampled_from(MONTHS) | written_days)
    latest = {"at_latest": True} if draw(st.integers(0, 5)) == 0 else {}
    ends = draw(st.sampled_from(["expired", "suspended", "repealed"]))
    return bodies.since(start, *places, to=to if to and to > start[: len(to)] else None, ends=ends, **latest)


@st.composite
def rules(draw: st.DrawFn, name: str) -> Json:
    narrowed = {}
    if draw(st.booleans()):
        narrowed["jurisdictions"] = list(draw(groups))
    if draw(st.booleans()):
        narrowed["commencements"] = draw(st.lists(commencements(), min_size=1, max_size=2))
    return bodies.rule(name, **narrowed)


@st.composite
def medicines(draw: st.DrawFn) -> Json:
    change = draw(st.none() | written_days)
    if change is None:
        return {"inn": "alemtuzumab"}
    old, new = {"system": "atc", "code": "L04AA34", "to": change}, {"system": "atc", "code": "L04AG06", "from": change}
    return {"inn": "alemtuzumab", "codes": [old, new]}


@st.composite
def versions(draw: st.DrawFn) -> Json:
    """Everything of a version except its document and number."""
    stage = draw(st.sampled_from(["decided"] * 8 + ["provisional", "issued", "recommended", "adopted", "announced"]))
    return {
        "stage": stage,
        "status": draw(st.sampled_from(["standing"] * 12 + ["overruled", "withdrawn"])),
        "commencements": draw(st.lists(commencements(), min_size=1, max_size=3)),
        "medicines": [draw(medicines())],
        "rules": [bodies.rule("one"), *(draw(rules(name)) for name in ("two", "three"))],
    }


class Attempt(NamedTuple):
    """What somebody wants recorded: the next version, or another word for the one that `which` comes to."""

    verb: str
    which: int
    body: Json


attempts = st.builds(
    Attempt,
    st.sampled_from(["publish"] * 4 + ["again", "correct", "correct", "withdraw"]),
    st.integers(0, 3),
    versions(),
)
histories = st.lists(attempts, min_size=4, max_size=9)


class Step(NamedTuple):
    """One revision: when, by which verb, what was recorded, and the document as it was left."""

    recorded_at: datetime
    verb: str
    bodies: list[Json]
    document: Document


def recorded(attempted: Sequence[Attempt], name: str = "ema/example") -> list[Step]:
    """What of a history is allowed to be recorded. What our own acts refuse never happened."""
    first = bodies.document(name, "EU")
    steps = [Step(BEGAN, "publish", [first], Document.of(first))]
    for attempt in attempted:
        document = steps[-1].document
        try:
            verb, outcome = _decided(attempt, document)
        except (ActRefused, InvalidDocument):
            continue
        if outcome.body is not None:
            instant = steps[-1].recorded_at + timedelta(days=9, minutes=7)
            left = document.with_body(outcome.body["number"], outcome.body)
            steps.append(Step(instant, verb, [outcome.body], left))
    return steps


def _decided(attempt: Attempt, document: Document) -> tuple[str, acts.Outcome]:
    count = len(document.versions)
    known = 1 + attempt.which % count if count else 1
    if attempt.verb == "withdraw" and count:
        day = attempt.body["commencements"][0].get("from")
        on = day and date.fromisoformat(day)
        return "correct", acts.withdraw(document, document.id, known, "withdrawn", on, (), "it was withdrawn")
    number = known if count and attempt.verb != "publish" else count + 1
    body = bodies.version(number, document=document.id) | attempt.body
    check_version_fast(body)
    if attempt.verb == "correct" and count:
        return "correct", acts.correct(document, body)
    return "publish", acts.publish(document, body)
