"""The nouns of the register as frozen values: Document, Version, Rule, Commencement, PartialDate, Revision."""

from __future__ import annotations

import calendar
import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from guidance.errors import BadParameter
from guidance.vocabulary import BINDING, within

Json = Any
"""A decoded JSON value. Members are checked by guidance.schema before a value is made of them."""
Body = Mapping[str, Json]
"""A rule, a version or a document, as recorded."""

SEGMENT: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
DATE: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")


CANONICAL: Final = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


def canonical(value: Json) -> bytes:
    """The one spelling of a JSON value: UTF-8, sorted keys, no spare space, newline at the end."""
    return orjson.dumps(value, option=CANONICAL)


def sha256(content: bytes) -> str:
    """The fingerprint of canonical bytes, as people compare it."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class PartialDate:
    """A day, a month or a year, as precise as the source was."""

    year: int
    month: int | None = None
    day: int | None = None

    @classmethod
    def parse(cls, text: str, parameter: str = "date") -> PartialDate:
        """Read YYYY, YYYY-MM or YYYY-MM-DD and nothing else; raises BadParameter."""
        match = DATE.fullmatch(text)
        if not match:
            raise BadParameter(parameter, text, "is not a date; write YYYY-MM-DD, YYYY-MM or YYYY")
        year, month, day = (int(part) if part else None for part in match.groups())
        try:
            date(year or 0, 1 if month is None else month, 1 if day is None else day)
        except ValueError as error:
            raise BadParameter(parameter, text, f"is not a date that exists: {error}") from error
        return cls(year or 0, month, day)

    @property
    def first(self) -> date:
        """The first day that it may mean."""
        return date(self.year, self.month or 1, self.day or 1)

    @property
    def last(self) -> date:
        """The last day that it may mean."""
        if self.day:
            return self.first
        month = self.month or 12
        return date(self.year, month, calendar.monthrange(self.year, month)[1])

    @property
    def precision(self) -> str:
        return "day" if self.day else "month" if self.month else "year"

    def __str__(self) -> str:
        if self.day:
            return f"{self.year:04d}-{self.month:02d}-{self.day:02d}"
        return f"{self.year:04d}-{self.month:02d}" if self.month else f"{self.year:04d}"


def day_of(text: str, parameter: str = "on") -> date:
    """Read one civil day, YYYY-MM-DD; raises BadParameter for anything less precise or impossible."""
    with contextlib.suppress(ValueError):
        if DAY.fullmatch(text):
            return date.fromisoformat(text)
    if DATE.fullmatch(text):
        PartialDate.parse(text, parameter)  # which says why, where there is no such day
    raise BadParameter(parameter, text, "is not a day; write YYYY-MM-DD")


def document_id(text: str, parameter: str = "document") -> str:
    """Check that a text is a document's id, authority/document; raises BadParameter."""
    parts = text.split("/")
    if len(parts) != 2 or not all(SEGMENT.fullmatch(part) for part in parts):
        raise BadParameter(parameter, text, "is not a document's id; write authority/document, such as ema/lemtrada")
    return text


class Period(NamedTuple):
    """Civil days from `start` up to and without `end`; no end is known where `end` is None."""

    start: date
    end: date | None = None

    def covers(self, day: date) -> bool:
        return self.start <= day and (self.end is None or day < self.end)

    def json(self) -> Json:
        return {"from": self.start.isoformat(), "to": self.end.isoformat() if self.end else None}


@dataclass(frozen=True, slots=True)
class Commencement:
    """Where something holds, from which day (or that the day is not known), until when, and on what basis."""

    jurisdictions: tuple[str, ...]
    start: date | None
    to: PartialDate | None
    expected: PartialDate | None
    body: Mapping[str, Json] = field(repr=False, compare=False)

    def __hash__(self) -> int:
        return hash(self.start)  # asked for more often than anything else, and hardly two begin on one day

    @classmethod
    def of(cls, body: Mapping[str, Json]) -> Commencement:
        to, expected, start = body.get("to"), body.get("expected"), body.get("from")
        return cls(
            jurisdictions=tuple(body["jurisdictions"]),
            start=date.fromisoformat(start) if start else None,
            to=PartialDate.parse(to) if to else None,
            expected=PartialDate.parse(expected) if expected else None,
            body=body,
        )


def holding(commencements: tuple[Commencement, ...], jurisdiction: str) -> tuple[Commencement, ...]:
    """Those that speak for a jurisdiction: the ones that name it, else those that name what it is part of."""
    for place in within(jurisdiction):
        found = tuple(c for c in commencements if place in c.jurisdictions)
        if found:
            return found
    return ()


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One statement that can be obeyed or broken; its id stays the same across versions."""

    id: str
    jurisdictions: tuple[str, ...]
    commencements: tuple[Commencement, ...]
    body: Mapping[str, Json] = field(repr=False)

    @classmethod
    def of(cls, body: Mapping[str, Json]) -> Rule:
        return cls(
            id=body["id"],
            jurisdictions=tuple(body.get("jurisdictions", ())),
            commencements=tuple(map(Commencement.of, body.get("commencements", ()))),
            body=body,
        )

    @property
    def narrows(self) -> bool:
        """Whether it holds for less than its version does."""
        return bool(self.jurisdictions or self.commencements)


def _all(commencements: tuple[Commencement, ...], rules: tuple[Rule, ...]) -> Iterator[Commencement]:
    yield from commencements
    for rule in rules:
        yield from rule.commencements


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """What a document says for a span of days. `body` is the JSON as recorded."""

    document: str
    number: int
    stage: str
    status: str
    commencements: tuple[Commencement, ...]
    narrowed: tuple[Rule, ...]
    """The rules that hold for less than the version does."""
    named: frozenset[str]
    """Every jurisdiction that it or one of its rules speaks of."""
    body: Mapping[str, Json] = field(repr=False)
    _holding: dict[str, tuple[Commencement, ...]] = field(default_factory=dict, init=False, repr=False)
    _starting: dict[str, tuple[tuple[date, Commencement], ...]] = field(default_factory=dict, init=False, repr=False)
    _hopes: dict[str, tuple[Commencement, ...]] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, body: Mapping[str, Json]) -> Version:
        narrowed = tuple(Rule.of(r) for r in body["rules"] if "jurisdictions" in r or "commencements" in r)
        commencements = tuple(map(Commencement.of, body["commencements"]))
        own = (rule.jurisdictions for rule in narrowed)
        return cls(
            document=body["document"],
            number=body["number"],
            stage=body["stage"],
            status=body["status"],
            commencements=commencements,
            narrowed=narrowed,
            named=frozenset().union(*own, *(c.jurisdictions for c in _all(commencements, narrowed))),
            body=body,
        )

    @property
    def id(self) -> str:
        return f"{self.document}@{self.number}"

    def holding(self, jurisdiction: str) -> tuple[Commencement, ...]:
        """Its commencements that speak for a jurisdiction."""
        if jurisdiction not in self._holding:
            self._holding[jurisdiction] = holding(self.commencements, jurisdiction)
        return self._holding[jurisdiction]

    def starting(self, jurisdiction: str) -> tuple[tuple[date, Commencement], ...]:
        """(start, commencement) of each time that it begins to bind in a jurisdiction."""
        if jurisdiction not in self._starting:
            held = self.holding(jurisdiction) if self.binds else ()
            self._starting[jurisdiction] = tuple((c.start, c) for c in held if c.start)
        return self._starting[jurisdiction]

    def hopes(self, jurisdiction: str) -> tuple[Commencement, ...]:
        """Its commencements that speak for a jurisdiction and begin nothing: without a day, or only proposed."""
        if jurisdiction not in self._hopes:
            binds = self.binds
            self._hopes[jurisdiction] = tuple(c for c in self.holding(jurisdiction) if c.start is None or not binds)
        return self._hopes[jurisdiction]

    @property
    def title(self) -> str:
        return str(self.body["title"])

    @property
    def binds(self) -> bool:
        """Whether it can be in force at all: at a binding stage, and still standing."""
        return self.stage in BINDING and self.status == "standing"

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(map(Rule.of, self.body["rules"]))

    @property
    def medicines(self) -> tuple[str, ...]:
        return tuple(medicine["inn"] for medicine in self.body["medicines"])


@dataclass(frozen=True, slots=True)
class Document:
    """One piece of guidance: what it is, and all its versions as recorded at one revision, by number."""

    id: str
    versions: tuple[Version, ...]
    body: Mapping[str, Json] = field(repr=False, compare=False)

    @classmethod
    def of(cls, body: Mapping[str, Json], versions: tuple[Version, ...] = ()) -> Document:
        return cls(id=body["id"], versions=versions, body=body)

    @property
    def title(self) -> str:
        return str(self.body["title"])

    @property
    def home(self) -> str:
        """The jurisdiction for which a question that names none is answered."""
        return str(self.body["jurisdictions"][0])

    def version(self, number: int) -> Version | None:
        return next((version for version in self.versions if version.number == number), None)

    def with_version(self, new: Version) -> Document:
        """The document with one version added, or in the place of the one of its number."""
        others = (version for version in self.versions if version.number != new.number)
        return Document(self.id, tuple(sorted((*others, new), key=lambda version: version.number)), self.body)

    def with_body(self, number: int, body: Mapping[str, Json]) -> Document:
        """The document after one of its files was recorded: itself (number 0) or a version."""
        return self.with_version(Version.of(body)) if number else Document(self.id, self.versions, body)

    @property
    def named(self) -> tuple[str, ...]:
        """Every jurisdiction that the document speaks of, itself or in a version or rule, in a fixed order."""
        return tuple(sorted(set(self.body["jurisdictions"]).union(*(version.named for version in self.versions))))


@dataclass(frozen=True, slots=True)
class Revision:
    """One commit of the store: what was recorded, when, by whom, why. Positions count from 1, without a gap."""

    id: str
    position: int
    recorded_at: datetime
    author: str
    act: str
    subjects: tuple[str, ...]
    reason: str
    approved_by: str | None = None
    replayed: bool = False
    key: str | None = None

    def json(self) -> Json:
        return {
            "id": self.id,
            "position": self.position,
            "recorded_at": instant_text(self.recorded_at),
            "author": self.author,
            "act": self.act,
            "subjects": list(self.subjects),
            "reason": self.reason,
            "approved_by": self.approved_by,
            "replayed": self.replayed,
        }


@lru_cache(maxsize=1024)
def instant_text(instant: datetime) -> str:
    """An instant as people exchange it: UTC, whole seconds, RFC 3339."""
    return f"{instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def next_day(day: date) -> date | None:
    """The day after, or None after the last day that a calendar here can name."""
    return day + timedelta(days=1) if day < date.max else None


class Sides(NamedTuple):
    """Two states of a document as recorded, None where nothing stood, and the places that they are about."""

    old: Json
    new: Json
    places: Sequence[str] = ()
