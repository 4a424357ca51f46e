"""What we answer: each question about the register and its answer as JSON, the same for every door.

Ready canonical bytes from the index go into an answer as they are (orjson.Fragment). Every answer echoes what was
asked, what was selected, the revision, and the next day on which it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

from guidance.archive import Archive
from guidance.derived import FOREVER, Row
from guidance.errors import UnknownAuthority, UnknownDocument, UnknownMedicine, UnknownRevision
from guidance.lookup import Awaiting, OnDay, home_of
from guidance.model import Json, Period, Revision, instant_text, sha256
from guidance.register import IN_FORCE, Span, applying, scope, stretches
from guidance.search import as_json
from guidance.severity import TABLE, Table
from guidance.vocabulary import AUTHORITIES, within
from service.clock import today
from service.params import At

COMING_SHOWN: Final = 5
"""Dated things that are coming, told at most of one document; things without a day are all told."""
FILTERS: Final = ("medicine", "authority", "kind", "cohort")
"""The last members of a question: those that an answer repeats only where they were given."""
CHUNK: Final = 32 * 1024
"""Bytes of a long answer that are sent at a time."""


class Question(NamedTuple):
    """Which day, looking from which revision, about which place, medicine, kind and cohort."""

    on: date | None = None
    at: At | None = None
    jurisdiction: str | None = None
    medicine: str | None = None
    authority: str | None = None
    kind: str | None = None
    cohort: str | None = None

    def asked(self, **more: Any) -> dict[str, Any]:
        """The question as it was put, for the answer to repeat."""
        return {
            **more,
            "on": self.on.isoformat() if self.on else None,
            "at": self.at.text if self.at else None,
            "jurisdiction": self.jurisdiction,
            **{name: value for name, value in zip(FILTERS, self[-len(FILTERS) :], strict=True) if value is not None},
        }


class Register(NamedTuple):
    """The register as one request sees it: an archive, one question, one now, one revision to look from."""

    archive: Archive
    question: Question
    now: datetime
    home: str
    """The jurisdiction whose day is today where nothing else says."""
    revision: Revision | None
    stamp: tuple[int, int]
    """Of the store, from before it was looked at."""
    table: Table = TABLE
    """The table by which changes are judged."""

    @classmethod
    def look(cls, archive: Archive, question: Question, now: datetime, home: str, table: Table = TABLE) -> Register:
        """Raises UnknownRevision where the question looks from a revision that is none."""
        stamp, revision = archive.seen_at(question.at.meaning if question.at else None)
        return cls(archive, question, now, home, revision, stamp, table)

    def looking(self, at: At | None) -> Register:
        """The same question, looked at from another revision; what was seen as now stays now."""
        if at is None and self.question.at is None:
            return self
        return Register.look(self.archive, self.question._replace(at=at), self.now, self.home, self.table)

    def about(self) -> Register:
        """Itself; raises UnknownMedicine or UnknownAuthority for one of which nothing is recorded: no rules would look
        like no limits."""
        inn, authority = self.question.medicine, self.question.authority
        documents = self.archive.index.documents
        if inn and not documents(self.position, limit=1, medicine=inn):
            raise UnknownMedicine(inn)
        if authority and authority not in AUTHORITIES and not documents(self.position, limit=1, authority=authority):
            raise UnknownAuthority(authority)
        return self

    @property
    def position(self) -> int:
        return self.revision.position if self.revision else 0

    def day(self, home: str | None = None) -> date:
        """The day asked about; without one, today in the jurisdiction asked about or else at home."""
        return self.question.on or today(self.now, self.question.jurisdiction or home or self.home)

    def head(self, **asked: Any) -> dict[str, Any]:
        """The members with which every answer begins."""
        return {"asked": self.question.asked(**asked), "revision": _told(self.revision)}

    def begun(self) -> None:
        """Raise UnknownRevision where nothing was recorded yet."""
        if self.revision is None:
            raise UnknownRevision(self.question.at.text if self.question.at else "now", "is before the first revision")

    def known(self, name: str) -> None:
        """Raise UnknownDocument, or UnknownRevision where nothing was recorded yet, for what cannot be answered."""
        self.begun()
        self.archive.index.document_row(name, self.position)


def _told(revision: Revision | None) -> Json:
    """A revision as an answer names it; None where nothing was recorded yet."""
    if revision is None:
        return None
    return {
        "id": revision.id,
        "position": revision.position,
        "recorded_at": instant_text(revision.recorded_at),
        "replayed": revision.replayed,
    }


# --- one document on a day -------------------------------------------------------------------------------


def document(register: Register, name: str, most: int = COMING_SHOWN) -> Json:
    """What one document says on a day, with the nearest things that are coming; raises UnknownDocument."""
    if register.revision is None:
        return _nothing_yet(register, name)
    content, home, on, rows = register.archive.index.on_day(
        name, register.position, register.question.jurisdiction, register.day, most
    )
    coming = Coming.of(on, [row.awaiting for row in rows], most)
    selected = next((row for row in rows if row.place in within(home)), None)
    return {
        **register.head(document=name),
        "on": on.isoformat(),
        "jurisdiction": home,
        "document": orjson.Fragment(content.rstrip()),
        "selected": orjson.Fragment(selected.told) if selected else _unspoken(home),
        "version": _version(selected) if selected and selected.state in IN_FORCE else None,
        "parts": [_part(row) for row in rows if row is not selected],
        "coming": list(map(orjson.Fragment, coming.told)),
        "more_coming": coming.more,
        "next_change_on": _iso(min([coming.changes, *[row.end for row in rows]])),
    }


def _nothing_yet(register: Register, name: str) -> Json:
    """The answer about a moment before the register existed, for a document that it learned of later."""
    tip = register.archive.tip()
    if tip is None:
        raise UnknownDocument(name)
    content, _ = register.archive.index.document_row(name, tip.position)
    home = register.question.jurisdiction or home_of(content)
    return {
        **register.head(document=name),
        "on": register.day(home).isoformat(),
        "jurisdiction": home,
        "document": None,
        "selected": _unspoken(home),
        "version": None,
        "parts": [],
        "coming": [],
        "more_coming": False,
        "next_change_on": None,
    }


def _unspoken(home: str) -> Json:
    return Span(home, Period(date.min), "nothing-recorded").json()


def _left_out(told: bytes) -> set[str]:
    """Ids of the version's rules that do not hold, by what is told of a span."""
    if b'"left_out":[]' in told:  # inside a text the quotation marks would be escaped
        return set()
    return set(orjson.loads(told)["left_out"])


def _version(row: OnDay) -> Json:
    """The selected version with the rules that hold: its bytes as they are, unless some of them do not."""
    left_out = _left_out(row.told)
    if not left_out:
        return orjson.Fragment(row.body.rstrip())
    body = orjson.loads(row.body)
    return {**body, "rules": [rule for rule in body["rules"] if rule["id"] not in left_out]}


def _part(row: OnDay) -> Json:
    """A part of the place asked about that has a word of its own, with the ids of the rules that hold there."""
    rules = row.rules if row.state in IN_FORCE else b"[]"
    if left_out := _left_out(row.told):
        rules = orjson.dumps([rule for rule in orjson.loads(rules) if rule not in left_out])
    return orjson.Fragment(row.told[:-1] + b',"rules":' + rules + b"}")


class Held(NamedTuple):
    """A version's JSON with the rules that hold, and the hash of its canonical bytes where all of them do."""

    body: Json = None
    sha256: str | None = None


class InForce(NamedTuple):
    """What holds in one place on a day, and the state of it; nothing may hold."""

    state: str
    held: Held


Reading = dict[tuple[bytes, frozenset[str]], Held]
"""What was read, by bytes and the rules left out: the same version is the same value."""


def in_force(register: Register, name: str, read: Reading) -> dict[str, InForce]:
    """What one document says on the question's day, for each place of the question."""
    if register.revision is None:
        return {}
    try:
        _, named = register.archive.index.document_row(name, register.position)
    except UnknownDocument:
        return {}
    places = scope(named, register.question.jurisdiction)
    rows = register.archive.index.spans_on(name, register.day().toordinal(), register.position, places)
    return {row[0]: InForce(row[2], _held(row, read)) for row in rows}


def _held(row: Row, read: Reading) -> Held:
    _, _, state, _, said, body, _ = row
    if state not in IN_FORCE:
        return Held()
    key = body, frozenset(_left_out(said))
    if key not in read:
        read[key] = _without(*key)
    return read[key]


def _without(content: bytes, left_out: frozenset[str]) -> Held:
    body = orjson.loads(content)
    if not left_out:
        return Held(body, sha256(content))
    return Held({**body, "rules": [rule for rule in body["rules"] if rule["id"] not in left_out]})


class Coming(NamedTuple):
    """What is coming, ready to be sent: dated things first, the nearest of them first."""

    told: list[bytes]
    more: bool
    """Whether there are more things with a day than are told."""
    changes: int
    """The next day on which another thing is to be said of one that has no day."""

    @classmethod
    def of(cls, on: date, awaiting: Sequence[Awaiting], most: int) -> Coming:
        """Of what some places await; what a part awaits as its whole does is told once."""
        speaking = [one for one in awaiting if one.dated or one.undated]
        dated, undated = _lines(speaking), _undated(speaking)
        told = dated[:most]
        changes = FOREVER
        for overdue, gone, said in undated:
            changed = min((day for day in (overdue, gone) if day > on.toordinal()), default=FOREVER)
            state = "outstanding" if overdue <= on.toordinal() else "coming"
            told.append(orjson.dumps({**orjson.loads(said), "state": state, "changes_on": _iso(changed)}))
            changes = min(changes, changed)
        return cls(told, len(dated) > most, changes)


def _lines(awaiting: Sequence[Awaiting]) -> list[bytes]:
    """What has a day, the nearest first, of all places."""
    if len(awaiting) < 2:
        return awaiting[0].dated if awaiting else []
    kept = _unrepeated([(one.place, one.dated) for one in awaiting if one.dated])
    if len(kept) < 2:
        return kept[0][1] if kept else []
    return sorted((told for _, said in kept for told in said), key=lambda told: str(orjson.loads(told)["from"]))


def _unrepeated(speaking: Sequence[tuple[str, list[bytes]]]) -> list[tuple[str, list[bytes]]]:
    """What is said of each place; without what is said of a part, and in the same words of its whole."""
    words = {place: [told.partition(b",")[2] for told in said] for place, said in speaking}
    kept = []
    for place, said in speaking:
        wholes = [words[whole] for whole in within(place)[1:] if whole in words]
        if words[place] in wholes:  # as usual
            continue
        elsewhere = set().union(*wholes)
        own = [told for told, word in zip(said, words[place], strict=True) if word not in elsewhere]
        if own:
            kept.append((place, own))
    return kept


def _undated(awaiting: Sequence[Awaiting]) -> list[Row]:
    """What has no day, of all places."""
    if len(awaiting) < 2 or not any(one.undated for one in awaiting):
        return awaiting[0].undated if awaiting else []
    kept = dict(_unrepeated([(one.place, [row[2] for row in one.undated]) for one in awaiting]))
    return [row for one in awaiting for row in one.undated if row[2] in kept.get(one.place, ())]


def _iso(ordinal: int) -> str | None:
    return None if ordinal > date.max.toordinal() else date.fromordinal(ordinal).isoformat()


# --- rules on a day --------------------------------------------------------------------------------------


def rules(register: Register) -> Iterator[bytes]:
    """Every rule that applies on a day, as the pieces of one JSON answer, written while they are read."""
    on = register.day()
    head = orjson.dumps({**register.head(), "on": on.isoformat()})
    yield head[:-1] + b',"rules":['
    yield from _listed(item for name, rows in _by_document(register, on) for item in _rules_of(register, name, rows))
    met = Met()
    yield b'],"documents":['
    told = _by_document(register, on, bodies=False)
    yield from _listed(_document_told(name, rows[0][2], rows, met) for name, rows in told)
    yield b'],"coming":['
    told = _by_document(register, on, bodies=False)
    inn = register.question.medicine
    yield from _listed(item for name, rows in told for item in _coming_in(register, on, name, rows, met, inn))
    yield b"]," + orjson.dumps(met.json())[1:]


def _listed(items: Iterable[Json]) -> Iterator[bytes]:
    """The members of a JSON array, some thousand letters at a time."""
    held: list[bytes] = []
    size, between = 0, b""
    for item in items:
        held.append(orjson.dumps(item))
        size += len(held[-1])
        if size > CHUNK:
            yield between + b",".join(held)
            held, size, between = [], 0, b","
    if held:
        yield between + b",".join(held)


def _by_document(register: Register, on: date, bodies: bool = True) -> Iterator[tuple[str, list[Row]]]:
    """(document, its rows for the places that the question is about), by document; with the versions, or without."""
    wanted = names(register)
    asked = register.question.jurisdiction
    name = ""
    held: list[Row] = []
    for row in register.archive.index.all_spans_on(on.toordinal(), register.position, wanted, bodies):
        if row[0] != name and (found := _in_scope(held, asked)):
            yield name, found
        held = [*held, row] if row[0] == name else [row]
        name = row[0]
    if found := _in_scope(held, asked):
        yield name, found


def names(register: Register) -> list[str] | None:
    """The documents that a question is limited to, None where it is not."""
    question = register.question
    if question.medicine is None and question.authority is None:
        return None
    index, position = register.archive.index, register.position
    found = index.documents(position, medicine=question.medicine, authority=question.authority or "")
    return [name for name, _ in found]


def _in_scope(rows: list[Row], asked: str | None) -> list[Row]:
    """The rows of one document for the places that a question is about, the whole before its parts."""
    order = scope(rows[0][1].split(" "), asked) if rows else ()
    by_place = {row[3]: row for row in rows}
    return [by_place[place] for place in order if place in by_place]


@dataclass(slots=True)
class Met:
    """What was met while documents were told one after another."""

    days: set[int] = field(default_factory=set)
    """On which something that was told changes."""
    more: bool = False
    """Whether more is coming than was told of one of them."""

    def json(self) -> Json:
        return {"more_coming": self.more, "next_change_on": _iso(min(self.days, default=FOREVER))}


def _document_told(name: str, content: bytes, rows: Sequence[Row], met: Met) -> Json:
    """What is said of one document."""
    met.days.update(row[4] for row in rows)
    return {
        "document": name,
        "title": orjson.loads(content)["title"],
        "selected": [orjson.Fragment(row[7]) for row in rows],
    }


def _coming_in(
    register: Register, on: date, name: str, rows: Sequence[Row], met: Met, inn: str | None
) -> Iterator[Json]:
    """What one document awaits, of a medicine where one is asked about."""
    places = [row[3] for row in rows]
    most = COMING_SHOWN if inn is None else FOREVER - 1
    awaiting = register.archive.index.coming_of(name, on.toordinal(), register.position, places, most)
    if inn is not None and any(one.dated or one.undated for one in awaiting):
        awaiting = _about(register, name, inn, awaiting)
    coming = Coming.of(on, awaiting, COMING_SHOWN)
    met.days.add(coming.changes)
    met.more |= coming.more
    lead = b'{"document":' + orjson.dumps(name) + b","
    yield from (orjson.Fragment(lead + told[1:]) for told in coming.told)


def _about(register: Register, name: str, inn: str, awaiting: Sequence[Awaiting]) -> list[Awaiting]:
    """Of what one document awaits, what is about a medicine."""
    about = concerning(register, name, inn)

    def speaks(said: bytes) -> bool:
        return about(orjson.loads(said), True)

    return [
        Awaiting(place, list(filter(speaks, dated)), [row for row in undated if speaks(row[2])])
        for place, dated, undated in awaiting
    ]


Concerns = Callable[[Json, bool], bool]
"""Asked with what is told of something, and whether it begins."""


def concerning(register: Register, name: str, inn: str) -> Concerns:
    """Whether what begins or ends in one document is about a medicine: it names it, or the version does in whose place
    it steps. Whoever follows one that is named no longer must be told of that, too."""
    document = register.archive.index.document(name, register.position)
    bodies = {version.number: version.body for version in document.versions}
    following = {place: stretches(document, place) for place in document.named}

    def replaced(told: Json) -> Iterator[int]:
        before = date.fromisoformat(told["from"]) - timedelta(days=1) if told.get("from") else register.day()
        for one in following[told["jurisdiction"]]:
            if any(period.covers(before) for state, period in one.periods() if state in IN_FORCE):
                yield one.version.number

    def concerns(told: Json, begins: bool) -> bool:
        number, rule = told["version"], told.get("rule")
        if rule:
            own = next(one for one in bodies[number]["rules"] if one["id"] == rule)
            return inn in medicines_of(own, bodies[number])
        numbers = (number, *(replaced(told) if begins else ()))
        return any(inn in medicines_of({}, bodies[one]) for one in numbers)

    return concerns


def medicines_of(rule: Json, body: Json) -> list[str]:
    """What a rule is about: its own medicines, else those of its version."""
    return rule.get("medicines") or [medicine["inn"] for medicine in body["medicines"]]


def _rules_of(register: Register, name: str, rows: Sequence[Row]) -> Iterator[Json]:
    """The rules of one document that hold and pass the filters."""
    applied = [row for row in rows if row[5] in IN_FORCE]
    bodies = {row[6]: orjson.loads(row[8]) for row in applied}
    by_id = {(number, rule["id"]): rule for number, body in bodies.items() for rule in body["rules"]}
    chosen = []
    for row in rows:
        told = orjson.loads(row[7])
        span = Span(row[3], Period(date.min), row[5], row[6], left_out=tuple(told["left_out"]))
        ids = tuple(rule["id"] for rule in bodies[row[6]]["rules"]) if row[5] in IN_FORCE else ()
        chosen.append((span, ids))
    for item in applying(name, chosen, register.question.jurisdiction):
        rule = by_id[item.version, item.rule]
        if _wanted(register.question, rule, bodies[item.version]):
            yield {
                "document": name,
                "version": item.version,
                "jurisdictions": item.jurisdictions,
                "but_not": item.but_not,
                "rule": rule,
            }


def _wanted(question: Question, rule: Json, body: Json) -> bool:
    cohorts = (question.cohort, "everyone") if question.cohort else ()
    return (
        (question.medicine is None or question.medicine in medicines_of(rule, body))
        and (question.kind is None or rule["kind"] == question.kind)
        and (not cohorts or rule["cohort"] in cohorts)
    )


# --- documents, versions, history, medicines -------------------------------------------------------------


def documents(register: Register, after: str, limit: int) -> Json:
    """The documents of the register, by id."""
    question = register.question
    rows = register.archive.index.documents(
        register.position, after, limit + 1, medicine=question.medicine, authority=question.authority or ""
    )
    return {
        **register.head(limit=limit, after=after or None),
        "documents": [orjson.Fragment(content.rstrip()) for _, content in rows[:limit]],
        "next_after": rows[limit - 1][0] if len(rows) > limit else None,
    }


def versions(register: Register, name: str) -> Json:
    """Every version of a document, without its rules, with the periods in which it is in force by jurisdiction."""
    index, position = register.archive.index, register.position
    register.known(name)
    told = []
    for number, content in index.version_contents(name, position):
        body = orjson.loads(content)
        rules = body.pop("rules")
        told.append({**body, "number": number, "rules": len(rules), "in_force": index.periods(name, number, position)})
    return {**register.head(document=name), "document": name, "versions": told}


def version(register: Register, name: str, number: int) -> Json:
    """One version as recorded; raises UnknownDocument, UnknownVersion."""
    index, position = register.archive.index, register.position
    register.known(name)
    content = index.version(name, number, position)
    return {
        **register.head(document=name, version=number),
        "recorded": index.recording(name, number, position).json(),
        "in_force": index.periods(name, number, position),
        "sha256": sha256(content),
        "version": orjson.Fragment(content.rstrip()),
    }


def history(register: Register, name: str, before: int, limit: int) -> Json:
    """The revisions that touched a document, newest first: who, when, why."""
    register.known(name)
    found = register.archive.index.history(name, register.position, before, limit + 1)
    return {
        **register.head(document=name, limit=limit, before=before if before != FOREVER else None),
        "document": name,
        "revisions": [revision.json() for revision in found[:limit]],
        "next_before": found[limit - 1].position if len(found) > limit else None,
    }


def found(register: Register, text: str, limit: int) -> Json:
    """Documents and rules that hold all the words, as of the newest revision; raises BadParameter."""
    hits = register.archive.search.find(register.archive.index, register.archive.tip(), text, limit + 1)
    told = [as_json(hit) for hit in hits[:limit]]
    return {**register.head(q=text, limit=limit), "found": told, "more": len(hits) > limit}


def medicines(register: Register, after: str, limit: int) -> Json:
    """The medicines that documents name, by INN."""
    rows = register.archive.index.medicines(register.position, after, limit + 1)
    return {
        **register.head(limit=limit, after=after or None),
        "medicines": [{"inn": inn, "documents": count} for inn, count in rows[:limit]],
        "next_after": rows[limit - 1][0] if len(rows) > limit else None,
    }


def medicine(register: Register, inn: str) -> Json:
    """One medicine on a day: every document that names it, what each says, and its codes; raises UnknownMedicine."""
    index, position = register.archive.index, register.position
    contents = dict(index.documents(position, medicine=inn))
    if not contents:
        raise UnknownMedicine(inn)
    on = register.day()
    found = list(_of_documents(register, list(contents), on))
    met = Met()
    told = [_document_told(name, contents[name], rows, met) for name, rows in found]
    coming = [item for name, rows in found for item in _coming_in(register, on, name, rows, met, inn)]
    spans = [orjson.loads(orjson.dumps(span)) for item in told for span in item["selected"]]
    codes = {(code["system"], code["code"]) for span in spans for code in span["codes"] if code["inn"] == inn}
    return {
        **register.head(inn=inn),
        "inn": inn,
        "on": on.isoformat(),
        "codes": [{"system": system, "code": code} for system, code in sorted(codes)],
        "documents": told,
        "coming": coming,
        **met.json(),
    }


def _of_documents(register: Register, names: list[str], on: date) -> Iterator[tuple[str, list[Row]]]:
    rows = register.archive.index.all_spans_on(on.toordinal(), register.position, names)
    held: dict[str, list[Row]] = {name: [] for name in names}
    for row in rows:
        held[row[0]].append(row)
    for name, found in held.items():
        yield name, _in_scope(found, register.question.jurisdiction) if found else []
