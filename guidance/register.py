"""What applies on a day: the register at one revision as a value, and what its versions mean through time.

Pure: no clock, no git, no database. `spans` is the one home of the rule for "which version applies on this day";
the index only stores what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

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
SAID: Final = ("basis", "ends_basis", "no_later_than", "delay", "unconfirmed", "at_latest")
"""Members of a commencement that a span tells as they are."""


class Span(NamedTuple):
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
        return {
            "jurisdiction": self.jurisdiction,
            "state": self.state,
            "version": self.version,
            "period": {"from": _text(self.since), "to": _text(self.until)} if self.since else None,
            "ends": self.ends,
            "left_out": list(self.left_out),
            "codes": [{"inn": inn, "system": system, "code": code} for inn, system, code in self.codes],
            **_said(told, self.ends == "superseded"),
        }


def _said(told: Mapping[str, Json], superseded: bool) -> Json:
    """What a commencement says of itself; where another version supersedes it, nothing of an end of its own."""
    found = {name: told[name] for name in SAID if name in told}
    if superseded:
        found.pop("ends_basis", None)
        open_ = [what for what in found.pop("unconfirmed", ()) if what != "to"]
        found |= {"unconfirmed": open_} if open_ else {}
    return found


class Coming(NamedTuple):
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


class Stretch(NamedTuple):
    """One version in one jurisdiction from its start to the start of the next (None: no next one is known).

    It is known by what it is made of: whoever walks through many states of a document need not work the same stretch
    out again.
    """

    jurisdiction: str
    start: date
    following: date | None
    version: Version
    commencement: Commencement

    def spans(self) -> Iterator[Span]:
        """Its days, divided where what it means changes."""
        if not (periods := self.periods()):
            return
        to, following = self.commencement.to, self.following
        superseded = following is not None and (to is None or following <= to.first)
        until = _day(following) if superseded else to
        ends = "superseded" if superseded else self.commencement.body.get("ends")
        for state, period in periods:
            told = (state, self.version.number, self.start, until, ends, self.commencement)
            if state in IN_FORCE:
                yield from _divided(self.version, self.jurisdiction, period, told)
            else:
                yield Span(self.jurisdiction, period, *told)

    def periods(self) -> list[tuple[str, Period]]:
        """In force, perhaps ending, perhaps ended; none where the next one starts on the same day."""
        start, following, to = self.start, self.following, self.commencement.to
        if following == start:
            return []
        if to is None:
            return [("in-force", Period(start, following))]
        stops = min(to.first, following or date.max)
        gap = stops if to.day else _earliest(following, next_day(to.last))
        parted = [("in-force", Period(start, stops)), ("ending", Period(max(start, stops), gap))]
        parted += [("ended", Period(max(start, gap), following))] if gap else []
        return [(state, days) for state, days in parted if days.end is None or days.start < days.end]


def stretches(document: Document, jurisdiction: str) -> list[Stretch]:
    """Every version that takes effect in a jurisdiction, by its start; of two with the same start, the later wins.

    The version whose binding commencement began last applies. A version that began later supersedes an earlier one
    for good; an explicit end opens a gap, and what was superseded does not come back.
    """
    versions = document.versions
    starts = [(day, v.number, v, commencement) for v in versions for day, commencement in v.starting(jurisdiction)]
    starts.sort(key=itemgetter(0, 1))
    following = [*[start[0] for start in starts[1:]], None]
    return [
        Stretch(jurisdiction, start, until, version, commencement)
        for (start, _, version, commencement), until in zip(starts, following, strict=False)
    ]


def spans(document: Document, jurisdiction: str) -> tuple[Span, ...]:
    """Every day from the calendar's first to its last, divided where the document's meaning here changes."""
    found = stretches(document, jurisdiction)
    first = _before(document, jurisdiction, found)
    return (*first.spans(), *(span for stretch in found for span in stretch.spans()))


class Before(NamedTuple):
    """The days before a document's first stretch in one jurisdiction (None: there is none); perhaps no days."""

    jurisdiction: str
    state: str
    following: date | None

    def spans(self) -> Iterator[Span]:
        if self.following != date.min:
            yield Span(self.jurisdiction, Period(date.min, self.following), self.state)


def _before(document: Document, jurisdiction: str, found: Sequence[Stretch]) -> Before:
    if not found:
        known = any(version.holding(jurisdiction) for version in document.versions)
        return Before(jurisdiction, "not-yet" if known else "nothing-recorded", None)
    state = "not-recorded" if found[0].commencement.body.get("at_latest") else "not-yet"
    return Before(jurisdiction, state, found[0].start)


@lru_cache(maxsize=1024)
def _day(day: date | None) -> PartialDate | None:
    return PartialDate(day.year, day.month, day.day) if day else None


def _earliest(*days: date | None) -> date | None:
    return min((day for day in days if day is not None), default=None)


def _divided(version: Version, jurisdiction: str, period: Period, told: tuple[Any, ...]) -> Iterator[Span]:
    """The period cut where a rule with commencements of its own, or a code, starts or ends."""
    found = _divisions(version, jurisdiction)
    if len(found) == 1:  # nearly always
        yield Span._make((jurisdiction, period, *told, *found[0][1:]))
        return
    ends = [*(division.start for division in found[1:]), None]
    for (start, *inside), until in zip(found, ends, strict=True):
        begin, end = max(start, period.start), _earliest(until, period.end)
        if end is None or begin < end:
            yield Span._make((jurisdiction, Period(begin, end), *told, *inside))


class _Division(NamedTuple):
    """From a day on, the rules that a version leaves out and the codes that its medicines have."""

    start: date
    left_out: tuple[str, ...]
    codes: tuple[tuple[str, str, str], ...]


@lru_cache(maxsize=512)
def _divisions(version: Version, jurisdiction: str) -> tuple[_Division, ...]:
    """All of time cut where what a version means in a jurisdiction changes within itself; neighbours differ."""
    found: list[_Division] = []
    for edge in sorted({date.min, *_boundaries(version, jurisdiction)}):
        left_out = tuple(r.id for r in version.narrowed if not rule_holds(r, jurisdiction, edge))
        division = _Division(edge, left_out, tuple(codes_on(version, edge)))
        if not found or found[-1][1:] != division[1:]:
            found.append(division)
    return tuple(found)


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


def rule_end(version: Version, rule: str, jurisdiction: str, day: date) -> Commencement | None:
    """The rule's own commencement that ends on a day, while its version goes on; None where there is none."""
    found = next((one for one in version.narrowed if one.id == rule), None)
    own = holding(found.commencements, jurisdiction) if found else ()
    return next((one for one in own if one.to and _end(one.to) == day), None)


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


class Awaited(NamedTuple):
    """A version in one jurisdiction, and for each of its commencements without a start the day on which it is no
    longer awaited: what was, is or will be awaited of it. Known, as a stretch is, by what it is made of."""

    jurisdiction: str
    version: Version
    gone: tuple[date | None, ...]

    def items(self) -> Iterator[Coming]:
        """One for each commencement that speaks for the jurisdiction."""
        gone = iter(self.gone)
        for c in self.version.holding(self.jurisdiction):
            start = c.start if self.version.binds else None
            told = (self.jurisdiction, self.version.number, None, self.version.stage, start)
            yield Coming(*told, *((c.expected, None) if start else (_hoped(c), next(gone))), c)


class Late(NamedTuple):
    """The stretches of a version with rules that may start later than it does."""

    jurisdiction: str
    version: Version
    stretches: tuple[Stretch, ...]

    def items(self) -> Iterator[Coming]:
        """One for each commencement of a rule that lies inside the version's days, or has no day."""
        days = [period for stretch in self.stretches for state, period in stretch.periods() if state in IN_FORCE]
        if not days:
            return
        jurisdiction, version = self.jurisdiction, self.version
        for rule in version.narrowed:
            if rule.jurisdictions and not set(within(jurisdiction)) & set(rule.jurisdictions):
                continue
            own = holding(rule.commencements, jurisdiction)
            for c in own:
                if c.start is None or (c.start > days[0].start and _begins(own, c.start, days)):
                    gone = days[-1].end if c.start is None else None
                    yield Coming(jurisdiction, version.number, rule.id, version.stage, c.start, c.expected, gone, c)


def _begins(own: Sequence[Commencement], start: date, days: Sequence[Period]) -> bool:
    """Whether a rule comes into force on a commencement's start: in its version's days, and not in force before."""
    before = start - timedelta(days=1)
    held = (Period(c.start, _end(c.to) if c.to else None).covers(before) for c in own if c.start)
    return any(period.covers(start) for period in days) and not any(held)


def coming(document: Document, jurisdiction: str) -> tuple[Coming, ...]:
    """Everything that was, is or will be awaited here: versions, and rules that start later than their version."""
    found = stretches(document, jurisdiction)
    return tuple(item for part in _awaited(document, jurisdiction, found) for item in part.items())


Part = Before | Stretch | Awaited | Late


def parts(document: Document, jurisdiction: str) -> list[Part]:
    """What `spans` and `coming` are made of."""
    found = stretches(document, jurisdiction)
    return [_before(document, jurisdiction, found), *found, *_awaited(document, jurisdiction, found)]


def _awaited(document: Document, jurisdiction: str, found: Sequence[Stretch]) -> list[Awaited | Late]:
    standing = [v for v in document.versions if v.status == "standing" and v.holding(jurisdiction)]
    awaited = [Awaited(jurisdiction, v, _gone(v, v.hopes(jurisdiction), found)) for v in standing]
    narrowed = [(v, tuple([stretch for stretch in found if stretch.version is v])) for v in standing if v.narrowed]
    return [*awaited, *[Late(jurisdiction, version, own) for version, own in narrowed if own]]


def _gone(version: Version, hopes: Sequence[Commencement], found: Sequence[Stretch]) -> tuple[date | None, ...]:
    return tuple([_overtaken(version, c, found) for c in hopes]) if hopes else ()


def _hoped(commencement: Commencement) -> PartialDate | None:
    """When something is expected that has no binding start: as it says, or on the day that was proposed."""
    return commencement.expected or _day(commencement.start)


def _overtaken(version: Version, commencement: Commencement, found: Sequence[Stretch]) -> date | None:
    """The day on which a later version took effect after this one's expected time had passed."""
    expected = _hoped(commencement)
    if expected is None:
        return None
    later = (stretch.start for stretch in found if stretch.version.number > version.number)
    return min((start for start in later if start > expected.last), default=None)


# --- scope: which jurisdictions answer a question --------------------------------------------------------


def scope(named: Iterable[str], asked: str | None) -> tuple[str, ...]:
    """The jurisdictions of a document to consult for a question, the whole before its parts.

    Asked about GB, a document that speaks of the UK answers for the UK; asked about the UK, its separate word for
    GB or NI is heard too, so that no narrower rule is hidden. Asked about no place, every one is heard.
    """
    return _scope(tuple(named), asked)


@lru_cache(maxsize=1024)
def _scope(names: tuple[str, ...], asked: str | None) -> tuple[str, ...]:
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


# --- how versions followed each other --------------------------------------------------------------------


class Step(NamedTuple):
    """One version taking effect, and which version applied before it there, if any."""

    stretch: Stretch
    before: int | None


def steps(document: Document, asked: str | None) -> dict[int, Step]:
    """By number, how each version that takes effect somewhere in the question's scope did so.

    Versions are numbered as they became known, which need not be the order in which they take effect. A version that
    follows another in a part only follows that one.
    """
    found: dict[int, Step] = {}
    for code in scope(document.named, asked):
        before: int | None = None
        for stretch in stretches(document, code):
            number = stretch.version.number
            if number not in found or (found[number].before is None and before not in (None, number)):
                found[number] = Step(stretch, before if before != number else None)
            if stretch.periods():
                before = number
    return found


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
