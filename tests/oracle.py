"""A naive second opinion on what applies on a day: it walks plain JSON, day by day, and shares no code with ours.

It follows the normative text (docs/architecture.md, "Time"), not guidance/register.py: where the two differ, one of
them is wrong. It may be as slow as it likes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

Json = Any

PART_OF = {"GB": "UK", "NI": "UK", "DE": "EU", "FR": "EU", "EU": "EEA", "NO": "EEA"}
BINDING = ("provisional", "decided", "issued")


class Hope(NamedTuple):
    """Something that is known and not in force yet."""

    version: int
    rule: str | None
    day: str | None
    expected: str | None
    state: str


class Said(NamedTuple):
    """What a document says in one place on one day."""

    state: str
    version: int | None
    since: str | None
    until: str | None
    why: str | None
    """The word for its end."""
    rules: frozenset[str]
    codes: frozenset[tuple[str, str, str]]
    coming: frozenset[Hope]


class Oracle:
    """Asked about a history: [(recorded instant, [bodies of documents and versions])…], oldest first."""

    def __init__(self, history: Iterable[tuple[datetime, list[Json]]]) -> None:
        self.history = list(history)
        self.timelines: dict[tuple[int, str, str], Timeline] = {}

    def timeline(self, document: str, place: str, at: datetime | None = None) -> Timeline | None:
        """Everything that was known by an instant; None where nothing of the document was."""
        known: dict[int, Json] = {}
        steps = [bodies for recorded, bodies in self.history if at is None or recorded <= at]
        for body in (body for bodies in steps for body in bodies):
            if body.get("id", body.get("document")) == document:
                known[body.get("number", 0)] = body
        if 0 not in known:
            return None
        key = (len(steps), document, place)
        if key not in self.timelines:
            self.timelines[key] = Timeline([known[number] for number in sorted(known) if number], place)
        return self.timelines[key]

    def says(self, document: str, place: str, on: date, at: datetime | None = None) -> Said | None:
        found = self.timeline(document, place, at)
        return found and found.on(on)

    def next_change(self, document: str, place: str, on: date, at: datetime | None = None) -> date | None:
        found = self.timeline(document, place, at)
        return found and found.next_change(on)


class Timeline:
    """One document in one place: an answer for every day from before its first date until after its last."""

    def __init__(self, versions: list[Json], place: str) -> None:
        self.versions, self.place = versions, place
        dates = sorted(_dates(versions)) or ["2020-01-01"]
        self.first = date.fromisoformat(f"{dates[0]}-01-01"[:10]) - timedelta(days=1)
        latest = max(f"{text}-12-31" if len(text) == 4 else f"{text}-28"[:10] for text in dates)
        days = (date.fromisoformat(latest) - self.first).days + 35
        self.days = [(self.first + timedelta(days=count)).isoformat() for count in range(days)]
        self.applying = {day: self._applying(day) for day in self.days}
        self.begun = {number: day for day, number in reversed(self.applying.items())}
        self.last = {number: day for day, number in self.applying.items()}
        self.answers = [self._said(day) for day in self.days]

    def on(self, day: date) -> Said:
        return self.answers[min(max((day - self.first).days, 0), len(self.answers) - 1)]

    def next_change(self, day: date) -> date | None:
        now = self.on(day)
        for offset, said in enumerate(self.answers):
            if self.first + timedelta(days=offset) > day and said != now:
                return self.first + timedelta(days=offset)
        return None

    # --- which version ---------------------------------------------------------------------------------------

    def _starts(self) -> list[tuple[str, Json, Json]]:
        """(day, version, commencement) of everything that binds here and has a day."""
        return [
            (told["from"], version, told)
            for version in self.versions
            if version["stage"] in BINDING and version["status"] == "standing"
            for told in _speaking(version["commencements"], self.place)
            if "from" in told
        ]

    def _chosen(self, day: str) -> tuple[str, Json, Json] | None:
        """What began last. What began before it never comes back."""
        begun = [start for start in self._starts() if start[0] <= day]
        return max(begun, key=lambda start: start[0]) if begun else None

    def _applying(self, day: str) -> int | None:
        chosen = self._chosen(day)
        return chosen[1]["number"] if chosen and _state(chosen[2], day) != "ended" else None

    def _said(self, day: str) -> Said:
        nothing: frozenset[Any] = frozenset()
        chosen = self._chosen(day)
        if chosen is None:
            return Said(self._before(), None, None, None, None, nothing, nothing, self._coming(day))
        start, version, told = chosen
        state, until = _state(told, day), self._until(start, told)
        applies = state != "ended"
        return Said(
            state,
            version["number"],
            start,
            until,
            "superseded" if until in self._started() else told.get("ends"),
            frozenset(rule["id"] for rule in version["rules"] if self._holds(rule, day)) if applies else nothing,
            frozenset(_codes(version, day)) if applies else nothing,
            self._coming(day),
        )

    def _before(self) -> str:
        starts = self._starts()
        if starts:
            return "not-recorded" if min(starts, key=lambda s: s[0])[2].get("at_latest") else "not-yet"
        spoken_of = any(_speaking(version["commencements"], self.place) for version in self.versions)
        return "not-yet" if spoken_of else "nothing-recorded"

    def _started(self) -> set[str]:
        return {start for start, _, _ in self._starts()}

    def _until(self, start: str, told: Json) -> str | None:
        to = told.get("to")
        following = min((other for other, _, _ in self._starts() if other > start), default=None)
        if following is None or (to and f"{to}-01-01"[:10] < following):
            return to
        return following

    # --- which of its rules ----------------------------------------------------------------------------------

    def _holds(self, rule: Json, day: str) -> bool:
        if "jurisdictions" in rule and not any(place in rule["jurisdictions"] for place in _wholes(self.place)):
            return False
        if "commencements" not in rule:
            return True
        return any(
            told.get("from", "9999") <= day and _state(told, day) != "ended"
            for told in _speaking(rule["commencements"], self.place)
        )

    # --- what is coming --------------------------------------------------------------------------------------

    def _coming(self, day: str) -> frozenset[Hope]:
        return frozenset([*self._versions_coming(day), *self._rules_coming(day)])

    def _versions_coming(self, day: str) -> Iterable[Hope]:
        for version in (v for v in self.versions if v["status"] == "standing"):
            for told in _speaking(version["commencements"], self.place):
                if "from" in told and version["stage"] in BINDING:
                    if day < told["from"]:
                        yield Hope(version["number"], None, told["from"], None, "coming")
                else:
                    expected = told.get("expected", told.get("from"))
                    if not self._given_up(version["number"], expected, day):
                        yield Hope(version["number"], None, None, expected, _hoped(expected, day))

    def _given_up(self, number: int, expected: str | None, day: str) -> bool:
        """Whether a later version took effect after the expected time had passed."""
        return expected is not None and any(
            later["number"] > number and start[: len(expected)] > expected and start <= day
            for start, later, _ in self._starts()
        )

    def _rules_coming(self, day: str) -> Iterable[Hope]:
        """Rules that begin later than their version did, while it applies."""
        for version in self.versions:
            number = version["number"]
            for rule in (r for r in version["rules"] if "commencements" in r):
                places = rule.get("jurisdictions", _wholes(self.place))
                if not any(place in places for place in _wholes(self.place)):
                    continue
                own = _speaking(rule["commencements"], self.place)
                for told in own:
                    start, expected = told.get("from"), told.get("expected")
                    if start is None and day <= self.last.get(number, ""):
                        yield Hope(number, rule["id"], None, expected, _hoped(expected, day))
                    elif start and day < start and self.applying[start] == number and self.begun[number] < start:
                        if any(_goes_on(other, start) for other in own):
                            continue
                        yield Hope(number, rule["id"], start, None, "coming")


def _wholes(place: str) -> list[str]:
    chain = [place]
    while chain[-1] in PART_OF:
        chain.append(PART_OF[chain[-1]])
    return chain


def _speaking(commencements: list[Json], place: str) -> list[Json]:
    """Those that name the place; if none does, those that name what it is part of."""
    for name in _wholes(place):
        found = [told for told in commencements if name in told["jurisdictions"]]
        if found:
            return found
    return []


def _goes_on(told: Json, day: str) -> bool:
    """Whether it held on the day before."""
    before = (date.fromisoformat(day) - timedelta(days=1)).isoformat()
    return told.get("from", "9") <= before and _state(told, before) != "ended"


def _state(told: Json, day: str) -> str:
    """An end is as precise as it is written: a day ends what came before it, a month ends within itself."""
    to = told.get("to", "9999-99-99")
    if day[: len(to)] < to:
        return "in-force"
    return "ending" if day[: len(to)] == to and len(to) < 10 else "ended"


def _hoped(expected: str | None, day: str) -> str:
    return "outstanding" if expected and day[: len(expected)] > expected else "coming"


def _codes(version: Json, day: str) -> Iterable[tuple[str, str, str]]:
    for medicine in version["medicines"]:
        for code in medicine.get("codes", []):
            if code.get("from", day) <= day < code.get("to", "9999-99-99"):
                yield medicine["inn"], code["system"], code["code"]


def _dates(value: Json, name: str = "") -> Iterable[str]:
    """Every date written under a member that can matter."""
    if isinstance(value, Mapping):
        for member, inner in value.items():
            yield from _dates(inner, member)
    elif isinstance(value, list):
        for inner in value:
            yield from _dates(inner, name)
    elif name in ("from", "to", "expected") and isinstance(value, str):
        yield value
