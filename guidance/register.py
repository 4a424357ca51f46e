"""What applies on a day: the register at one revision as a value, and what its versions mean through time.

Pure: no clock, no git, no database. `spans` is the one home of the rule for "which version applies on this day";
the index only stores what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from typing import Final

from guidance.errors import UnknownDocument
from guidance.model import (
    Commencement,
    Document,
    Json,
    PartialDate,
    Period,
    Revision,
    Rule,
    Version,
    holding,
    next_day,
)
from guidance.vocabulary import PARTS, within

IN_FORCE: Final = frozenset({"in-force", "ending"})
"""States in which the rules of the selected version apply."""


@dataclass(frozen=True, slots=True)
class Span:
    """What a document says in one jurisdiction through days over which nothing about it changes.

    state: `in-force`; `ending` (in force, its end is known only to the month or year that we are in); `ended`
    (an explicit end, nothing applies); `not-yet` (known, nothing applies yet); `not-recorded` (older than the first
    day for which a source was read); `nothing-recorded` (the document does not speak of this jurisdiction).
    """

    jurisdiction: str
    period: Period
    state: str
    version: int | None = None
    since: date | None = None
    """First day of the version's own stretch, of which this span may be a part."""
    until: PartialDate | None = None
    """Its end, exclusive when it is a day; None where no end is known."""
    ends: str | None = None
    """The word for its end: superseded, expired, repealed…"""
    commencement: Commencement | None = None
    left_out: tuple[str, ...] = ()
    """Ids of the version's rules that do not hold here now, because they hold for less than their version."""
    codes: tuple[tuple[str, str, str], ...] = ()
    """(inn, system, code) as used on these days."""

    @property
    def applies(self) -> bool:
        return self.state in IN_FORCE

    def json(self) -> Json:
        """The part of an answer that says what was selected and why."""
        told = self.commencement.body if self.commencement else {}
        kept = ("basis", "ends_basis", "no_later_than", "delay", "unconfirmed", "at_latest")
        return {
            "jurisdiction": self.jurisdiction,
            "state": self.state,
            "version": self.version,
            "period": {"from": _text(self.since), "to": _text(self.until)} if self.since else None,
            "ends": self.ends,
            "left_out": list(self.left_out),
            "codes": [{"inn": inn, "system": system, "code": code} for inn, system, code in self.codes],
            **{name: told[name] for name in kept if name in told},
        }


@dataclass(frozen=True, slots=True)
class Coming:
    """A version, or one rule of it, that is known and not in force yet, with its day or without."""

    jurisdiction: str
    version: int
    rule: str | None
    stage: str
    start: date | None
    expected: PartialDate | None
    gone: date | None
    """From this day on it is no longer awaited: something later took effect after the expected time had passed."""
    commencement: Commencement

    def awaited(self, on: date) -> bool:
        return (self.start is None or on < self.start) and (self.gone is None or on < self.gone)

    def state(self, on: date) -> str:
        """`coming`; or `outstanding` once the expected time has passed without a confirmed day."""
        overdue = self.start is None and self.expected is not None and on > self.expected.last
        return "outstanding" if overdue else "coming"

    def json(self, on: date) -> Json:
        told = self.commencement.body
        return {
            "jurisdiction": self.jurisdiction,
            "version": self.version,
            "rule": self.rule,
            "stage": self.stage,
            "state": self.state(on),
            "from": _text(self.start),
            "expected": _text(self.expected),
            "trigger": told.get("trigger"),
            "basis": told["basis"],
            "unconfirmed": told.get("unconfirmed", []),
        }

    def changes_after(self, on: date) -> date | None:
        """The next day on which what this says changes, for a thing without a day."""
        overdue_on = next_day(self.expected.last) if self.expected and self.start is None else None
        return min((day for day in (overdue_on, self.gone) if day and day > on), default=None)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


# --- spans -----------------------------------------------------------------------------------------------


class Memory:
    """What was worked out for one document, for its next state: from one revision to the next, little of it differs.

    What a thing was worked out from is kept beside it, so that its identity stays its own.
    """

    def __init__(self) -> None:
        self._holding: dict[tuple[int, str], tuple[Version, tuple[Commencement, ...]]] = {}
        self._stretches: dict[tuple[object, ...], tuple[Version, tuple[Span, ...]]] = {}

    def holding(self, version: Version, jurisdiction: str) -> tuple[Commencement, ...]:
        """The version's commencements that speak for a jurisdiction."""
        key = (id(version), jurisdiction)
        if key not in self._holding:
            self._holding[key] = (version, holding(version.commencements, jurisdiction))
        return self._holding[key][1]

    def stretch(
        self, jurisdiction: str, start: date, following: date | None, version: Version, commencement: Commencement
    ) -> tuple[Span, ...]:
        """One version from its start to the next one's."""
        key = (jurisdiction, start, following, id(version), id(commencement))
        if key not in self._stretches:
            self._stretches[key] = (version, tuple(_stretch(jurisdiction, start, following, version, commencement)))
        return self._stretches[key][1]


def spans(document: Document, jurisdiction: str, memory: Memory | None = None) -> tuple[Span, ...]:
    """Every day from the calendar's first to its last, divided where the document's meaning here changes.

    The version whose binding commencement began last applies. A version that began later supersedes an earlier one
    for good; an explicit end opens a gap, and what was superseded does not come back. Whoever walks through many
    states of one document may hand in a memory of them.
    """
    memory = memory or Memory()
    starts = sorted(
        [
            (commencement.start, version.number, version, commencement)
            for version in document.versions
            if version.binds
            for commencement in memory.holding(version, jurisdiction)
            if commencement.start
        ],
        key=itemgetter(0, 1),
    )
    first = starts[0][0] if starts else None
    found = [] if first == date.min else [_before(document, jurisdiction, first, starts[0][3] if starts else None)]
    for index, (start, _, version, commencement) in enumerate(starts):
        following = starts[index + 1][0] if index + 1 < len(starts) else None
        if following != start:
            found.extend(memory.stretch(jurisdiction, start, following, version, commencement))
    return tuple(found)


def _binding(document: Document, jurisdiction: str) -> Iterator[tuple[Version, Commencement]]:
    for version in document.versions:
        if version.binds:
            for commencement in holding(version.commencements, jurisdiction):
                yield version, commencement


def _before(document: Document, jurisdiction: str, first: date | None, commencement: Commencement | None) -> Span:
    if commencement is not None:
        state = "not-recorded" if commencement.body.get("at_latest") else "not-yet"
    else:
        state = (
            "not-yet" if any(holding(v.commencements, jurisdiction) for v in document.versions) else "nothing-recorded"
        )
    return Span(jurisdiction, Period(date.min, first), state)


def _stretch(
    jurisdiction: str, start: date, following: date | None, version: Version, commencement: Commencement
) -> Iterator[Span]:
    """One version from its start to the next one's: in force, perhaps ending, perhaps ended."""
    to = commencement.to
    superseded = following is not None and (to is None or following <= to.first)
    until = _day(following) if superseded else to
    ends = "superseded" if superseded else commencement.body.get("ends")
    stops = _earliest(following, to.first if to else None)
    gap = _earliest(following, next_day(to.last) if to and not to.day else stops)
    for state, begin, end in (
        ("in-force", start, stops),
        ("ending", max(start, stops or start), gap),
        ("ended", max(start, gap or start), following),
    ):
        missing = (state == "ending" and stops is None) or (state == "ended" and gap is None)
        if missing or (end is not None and end <= begin):
            continue
        span = Span(jurisdiction, Period(begin, end), state, version.number, start, until, ends, commencement)
        yield from _divided(span, version) if span.applies else (span,)


def _day(day: date | None) -> PartialDate | None:
    return PartialDate(day.year, day.month, day.day) if day else None


def _earliest(*days: date | None) -> date | None:
    return min((day for day in days if day is not None), default=None)


def _divided(span: Span, version: Version) -> Iterator[Span]:
    """The span cut where a rule with commencements of its own, or a code, starts or ends."""
    cuts = {day for day in _boundaries(version, span.jurisdiction) if span.period.covers(day)}
    parts: dict[date, tuple[tuple[str, ...], tuple[tuple[str, str, str], ...]]] = {}
    before = None
    for edge in sorted(cuts | {span.period.start}):
        left_out = tuple(r.id for r in version.narrowed if not rule_holds(r, span.jurisdiction, edge))
        now = (left_out, tuple(codes_on(version, edge)))
        if now != before:
            parts[edge] = before = now
    ends = [*list(parts)[1:], span.period.end]
    for (begin, (left_out, codes)), end in zip(parts.items(), ends, strict=True):
        yield Span(
            span.jurisdiction,
            Period(begin, end),
            span.state,
            span.version,
            span.since,
            span.until,
            span.ends,
            span.commencement,
            left_out,
            codes,
        )


def _boundaries(version: Version, jurisdiction: str) -> Iterator[date]:
    for rule in version.narrowed:
        for commencement in holding(rule.commencements, jurisdiction):
            if commencement.start:
                yield commencement.start
                if commencement.to and (end := _end(commencement.to)):
                    yield end
    for medicine in version.body["medicines"]:
        for code in medicine.get("codes", ()):
            yield from (date.fromisoformat(code[edge]) for edge in ("from", "to") if edge in code)


def _end(to: PartialDate) -> date | None:
    """The first day after a rule's own end; an end known to the month counts from that month's last day."""
    return to.first if to.day else next_day(to.last)


def rule_holds(rule: Rule, jurisdiction: str, day: date) -> bool:
    """Whether a rule of a version that is in force holds in a jurisdiction on a day."""
    if rule.jurisdictions and not set(within(jurisdiction)) & set(rule.jurisdictions):
        return False
    if not rule.commencements:
        return True
    return any(
        c.start and Period(c.start, _end(c.to) if c.to else None).covers(day)
        for c in holding(rule.commencements, jurisdiction)
    )


def codes_on(version: Version, day: date) -> Iterator[tuple[str, str, str]]:
    """(inn, system, code) of the version's medicines, as the code systems used them on a day."""
    text = day.isoformat()
    for medicine in version.body["medicines"]:
        for code in medicine.get("codes", ()):
            if code.get("from", text) <= text and ("to" not in code or text < code["to"]):
                yield medicine["inn"], code["system"], code["code"]


def covering(found: Iterable[Span], day: date) -> Span:
    """The span in which a day lies; spans leave no day out."""
    return next(span for span in found if span.period.covers(day))


# --- what is coming --------------------------------------------------------------------------------------


def coming(document: Document, jurisdiction: str, memory: Memory | None = None) -> tuple[Coming, ...]:
    """Everything that was, is or will be awaited here: versions, and rules that start later than their version."""
    memory = memory or Memory()
    narrowed = any(version.narrowed for version in document.versions)
    late = _rules_coming(document, jurisdiction, spans(document, jurisdiction, memory)) if narrowed else ()
    return (*_versions_coming(document, jurisdiction, memory), *late)


def _versions_coming(document: Document, jurisdiction: str, memory: Memory) -> Iterator[Coming]:
    for version in document.versions:
        if version.status != "standing":
            continue
        for c in memory.holding(version, jurisdiction):
            start = c.start if version.binds else None
            expected = c.expected or (_day(c.start) if start is None else None)
            gone = _overtaken(document, jurisdiction, version, expected) if start is None else None
            yield Coming(jurisdiction, version.number, None, version.stage, start, expected, gone, c)


def _overtaken(document: Document, jurisdiction: str, version: Version, expected: PartialDate | None) -> date | None:
    """The day on which a later version took effect after this one's expected time had passed."""
    if expected is None:
        return None
    return min(
        (
            c.start
            for later, c in _binding(document, jurisdiction)
            if later.number > version.number and c.start and c.start > expected.last
        ),
        default=None,
    )


def _rules_coming(document: Document, jurisdiction: str, found: tuple[Span, ...]) -> Iterator[Coming]:
    for version in (version for version in document.versions if version.narrowed):
        stretch = [span.period for span in found if span.version == version.number and span.applies]
        if not stretch:
            continue
        for rule in version.narrowed:
            if rule.jurisdictions and not set(within(jurisdiction)) & set(rule.jurisdictions):
                continue
            for c in holding(rule.commencements, jurisdiction):
                late = c.start is None or (c.start > stretch[0].start and any(p.covers(c.start) for p in stretch))
                if late:
                    gone = stretch[-1].end if c.start is None else None
                    yield Coming(jurisdiction, version.number, rule.id, version.stage, c.start, c.expected, gone, c)


# --- scope: which jurisdictions answer a question --------------------------------------------------------


def scope(named: Iterable[str], asked: str | None) -> tuple[str, ...]:
    """The jurisdictions of a document to consult for a question, the whole before its parts.

    Asked about GB, a document that speaks of the UK answers for the UK; asked about the UK, its separate word for
    GB or NI is heard too, so that no narrower rule is hidden. Asked about no place, every one is heard.
    """
    names = tuple(named)
    if asked is None:
        return tuple(sorted(names, key=lambda name: (len(within(name)), name)))
    nearest = next((place for place in within(asked) if place in names), None)
    parts = (part for part in PARTS.get(asked, ()) if part in names)
    return tuple(dict.fromkeys([*([nearest] if nearest else []), *parts]))


@dataclass(frozen=True, slots=True)
class Applying:
    """One rule that applies: in which document and version, in which jurisdictions, and in which parts it does not."""

    document: str
    version: int
    rule: str
    jurisdictions: tuple[str, ...]
    but_not: tuple[str, ...]


def applying(document: str, chosen: Iterable[tuple[Span, tuple[str, ...]]], asked: str | None) -> tuple[Applying, ...]:
    """The rules that apply, each once, given the spans of a day in the order of `scope`, with their version's rule ids.

    A rule that holds in the whole is not repeated for its parts; a part where it does not hold is named.
    """
    spoken = list(chosen)
    held = {span.jurisdiction: {(span.version, r) for r in _held(span, ids)} for span, ids in spoken}
    order = dict.fromkeys(
        (span.version, r) for span, ids in spoken for r in ids if (span.version, r) in held[span.jurisdiction]
    )
    found = []
    for version, rule in order:
        places = [place for place in held if (version, rule) in held[place]]
        wholes = [place for place in places if not set(within(place)[1:]) & set(places)]
        without = [p for p in held if p not in places and set(within(p)[1:]) & set(wholes)]
        named = [asked if asked and asked in PARTS.get(place, ()) else place for place in wholes]
        assert version is not None
        found.append(Applying(document, version, rule, tuple(named), tuple(without)))
    return tuple(found)


def _held(span: Span, ids: tuple[str, ...]) -> Iterator[str]:
    return (rule for rule in ids if rule not in span.left_out) if span.applies else iter(())


# --- the register as a value -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Register:
    """Every document asked for, as recorded at one revision (None: nothing was recorded yet)."""

    revision: Revision | None
    documents: Mapping[str, Document]

    def document(self, name: str) -> Document:
        """A document by id; raises UnknownDocument."""
        if name not in self.documents:
            raise UnknownDocument(name)
        return self.documents[name]

    def on(self, day: date | str, jurisdiction: str | None = None) -> Snapshot:
        """The register on one day, for one jurisdiction or for all."""
        return Snapshot(self, date.fromisoformat(day) if isinstance(day, str) else day, jurisdiction)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The register on one day."""

    register: Register
    day: date
    jurisdiction: str | None

    def spans_of(self, name: str) -> tuple[Span, ...]:
        """What one document says on the day, for each jurisdiction in the question's scope."""
        document = self.register.document(name)
        places = scope(document.named, self.jurisdiction)
        return tuple(covering(spans(document, place), self.day) for place in places)

    def rules_of(self, name: str) -> tuple[Applying, ...]:
        document = self.register.document(name)
        chosen = [(span, _rule_ids(document, span)) for span in self.spans_of(name)]
        return applying(name, chosen, self.jurisdiction)

    @property
    def rules(self) -> tuple[Applying, ...]:
        """Every rule that applies on the day, by document."""
        return tuple(rule for name in sorted(self.register.documents) for rule in self.rules_of(name))

    def coming_of(self, name: str) -> tuple[Coming, ...]:
        """What is awaited in one document, the nearest first, things without a day last."""
        document = self.register.document(name)
        found = [c for place in scope(document.named, self.jurisdiction) for c in coming(document, place)]
        return tuple(sorted((c for c in found if c.awaited(self.day)), key=_nearest))

    def next_change_of(self, name: str) -> date | None:
        """The next day on which the answer about one document changes, as far as is known."""
        ends = [span.period.end for span in self.spans_of(name)]
        shifts = [c.changes_after(self.day) for c in self.coming_of(name)]
        return _earliest(*ends, *shifts)


def _nearest(item: Coming) -> tuple[bool, date, int, str, str]:
    return (item.start is None, item.start or date.max, item.version, item.rule or "", item.jurisdiction)


def _rule_ids(document: Document, span: Span) -> tuple[str, ...]:
    version = document.version(span.version) if span.version else None
    return tuple(rule["id"] for rule in version.body["rules"]) if version else ()
