"""What we answer: each question about the register and its answer as JSON, the same for every door.

Ready canonical bytes from the index go into an answer as they are (orjson.Fragment). Every answer echoes what was
asked, what was selected, the revision, and the next day on which it changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final, NamedTuple

import orjson

from guidance.archive import Archive
from guidance.errors import UnknownAuthority, UnknownDocument, UnknownMedicine, UnknownRevision
from guidance.index import FOREVER, Row
from guidance.model import Json, Period, Revision, instant_text, sha256
from guidance.register import IN_FORCE, Span, applying, scope
from guidance.search import as_json
from guidance.severity import TABLE, Table
from guidance.vocabulary import AUTHORITIES, within
from service.clock import today
from service.params import At

COMING_SHOWN: Final = 20
"""Dated things that are coming, shown at most for one document and jurisdiction; things without a day always are."""
FILTERS: Final = ("medicine", "authority", "kind", "cohort")
"""Members of a question that an answer repeats only where they were given."""
CHUNK: Final = 32 * 1024
"""Bytes of a long answer that are sent at a time."""


@dataclass(frozen=True, slots=True)
class Question:
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
        told = {
            **more,
            "on": self.on.isoformat() if self.on else None,
            "at": self.at.text if self.at else None,
            "jurisdiction": self.jurisdiction,
        }
        for name in FILTERS:
            if (value := getattr(self, name)) is not None:
                told[name] = value
        return told


@dataclass(frozen=True, slots=True)
class Register:
    """The register as one request sees it: an archive, one question, one now, one revision to look from."""

    archive: Archive
    question: Question
    now: datetime
    home: str
    """The jurisdiction whose day is today where nothing else says."""
    revision: Revision | None
    table: Table = TABLE
    """The table by which changes are judged."""

    @classmethod
    def look(cls, archive: Archive, question: Question, now: datetime, home: str, table: Table = TABLE) -> Register:
        """Raises UnknownRevision where the question looks from a revision that is none."""
        return cls(archive, question, now, home, archive.at(question.at.meaning if question.at else None), table)

    def looking(self, at: At | None) -> Register:
        """The same question, looked at from another revision."""
        return Register.look(self.archive, replace(self.question, at=at), self.now, self.home, self.table)

    def about(self) -> Register:
        """Itself; raises UnknownMedicine or UnknownAuthority for one of which nothing is recorded: no rules would look
        like no limits."""
        inn, authority = self.question.medicine, self.question.authority
        documents = self.archive.index.documents
        if inn and self.revision and not documents(self.position, limit=1, medicine=inn):
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

    def known(self, name: str) -> None:
        """Raise UnknownDocument, or UnknownRevision where nothing was recorded yet, for what cannot be answered."""
        if self.revision is None:
            raise UnknownRevision(self.question.at.text if self.question.at else "", "is before the first revision")
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


def document(register: Register, name: str) -> Json:
    """What one document says on a day; raises UnknownDocument."""
    if register.revision is None:
        return _nothing_yet(register, name)
    content, named = register.archive.index.document_row(name, register.position)
    home = register.question.jurisdiction or _home(content)
    on = register.day(home)
    places = scope(named, home)
    rows = register.archive.index.spans_on(name, on.toordinal(), register.position, places)
    coming = _coming(register, name, on, places)
    selected, parts = _selected(home, rows)
    applies = selected["state"] in IN_FORCE
    return {
        **register.head(document=name),
        "on": on.isoformat(),
        "jurisdiction": home,
        "document": orjson.Fragment(content.rstrip()),
        "selected": selected["told"],
        "version": _version(selected) if applies else None,
        "parts": [{**part["told"], "rules": _holding(part)} for part in parts],
        "coming": [orjson.Fragment(item.told) for item in coming],
        "next_change_on": _iso(min((*(row[1] for row in rows), *(item.changes for item in coming)), default=FOREVER)),
    }


def _nothing_yet(register: Register, name: str) -> Json:
    """The answer about a moment before the register existed, for a document that it learned of later."""
    tip = register.archive.tip()
    if tip is None:
        raise UnknownDocument(name)
    content, _ = register.archive.index.document_row(name, tip.position)
    home = register.question.jurisdiction or _home(content)
    return {
        **register.head(document=name),
        "on": register.day(home).isoformat(),
        "jurisdiction": home,
        "document": None,
        "selected": _unspoken(home)["told"],
        "version": None,
        "parts": [],
        "coming": [],
        "next_change_on": None,
    }


def _home(content: bytes) -> str:
    return str(orjson.loads(content)["jurisdictions"][0])


def _selected(asked: str, rows: Sequence[Row]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row that answers for the place asked about, and those of its parts that have a word of their own."""
    found = [
        {"state": state, "told": orjson.loads(told), "body": body, "rules": rules, "place": place}
        for place, _, state, _, told, body, rules in rows
    ]
    whole = next((row for row in found if row["place"] in within(asked)), None)
    return whole or _unspoken(asked), [row for row in found if row is not whole]


def _unspoken(asked: str) -> dict[str, Any]:
    span = Span(asked, Period(date.min), "nothing-recorded")
    return {"state": span.state, "told": span.json(), "body": None, "rules": None, "place": asked}


def _version(selected: Mapping[str, Any]) -> Json:
    """The selected version with the rules that hold: its bytes as they are, unless some of them do not."""
    left_out = set(selected["told"]["left_out"])
    if not left_out:
        return orjson.Fragment(selected["body"].rstrip())
    body = orjson.loads(selected["body"])
    return {**body, "rules": [rule for rule in body["rules"] if rule["id"] not in left_out]}


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
    key = body, frozenset(orjson.loads(said)["left_out"])
    if key not in read:
        read[key] = _without(*key)
    return read[key]


def _without(content: bytes, left_out: frozenset[str]) -> Held:
    body = orjson.loads(content)
    if not left_out:
        return Held(body, sha256(content))
    return Held({**body, "rules": [rule for rule in body["rules"] if rule["id"] not in left_out]})


def _holding(row: Mapping[str, Any]) -> Json:
    """The ids of the rules that hold."""
    if row["state"] not in IN_FORCE:
        return []
    left_out = set(row["told"]["left_out"])
    rules = row["rules"]
    return [rule for rule in orjson.loads(rules) if rule not in left_out] if left_out else orjson.Fragment(rules)


class Awaited(NamedTuple):
    """One thing that is coming, ready to be sent, and the next day on which another thing is to be said of it."""

    told: bytes
    changes: int = FOREVER


def _coming(register: Register, name: str, on: date, places: Sequence[str]) -> list[Awaited]:
    rows = register.archive.index.coming_of(name, on.toordinal(), register.position, places, COMING_SHOWN)
    kept = rows if len(places) == 1 or len(rows) < 2 else _unrepeated(rows)
    return [
        Awaited(told) if first < FOREVER else _undated(told, overdue, gone, on.toordinal())
        for first, overdue, gone, told, *_ in kept
    ]


def _unrepeated(rows: Sequence[Row]) -> Iterator[Row]:
    """Without the rows that say of a part what another one says of the whole."""
    said = {(row[4], *_words(row)) for row in rows}
    return (row for row in rows if not any((whole, *_words(row)) in said for whole in within(row[4])[1:]))


def _words(row: Row) -> tuple[Json, ...]:
    """What a row says, wherever it says it."""
    first, _, _, told, _, version, rule = row
    value = {} if first < FOREVER else orjson.loads(told)
    return version, rule, first, value.get("expected"), value.get("trigger")


def _undated(told: bytes, overdue: int, gone: int, on: int) -> Awaited:
    """A thing without a day: outstanding once its expected time has passed; it says when it next changes."""
    state = "outstanding" if overdue <= on else "coming"
    changes = min((day for day in (overdue, gone) if day > on), default=FOREVER)
    return Awaited(orjson.dumps({**orjson.loads(told), "state": state, "changes_on": _iso(changes)}), changes)


def _iso(ordinal: int) -> str | None:
    return None if ordinal >= FOREVER else date.fromordinal(ordinal).isoformat()


# --- rules on a day --------------------------------------------------------------------------------------


def rules(register: Register) -> Iterator[bytes]:
    """Every rule that applies on a day, as the pieces of one JSON answer, written while they are read."""
    on = register.day()
    head = orjson.dumps({**register.head(), "on": on.isoformat()})
    yield head[:-1] + b',"rules":['
    yield from _listed(item for name, rows in _by_document(register, on) for item in _rules_of(register, name, rows))
    days: set[int] = set()
    yield b'],"documents":['
    told = _by_document(register, on, bodies=False)
    yield from _listed(_document_told(name, rows[0][2], rows, days) for name, rows in told)
    yield b'],"coming":['
    told = _by_document(register, on, bodies=False)
    yield from _listed(item for name, rows in told for item in _coming_in(register, on, name, rows, days))
    yield b'],"next_change_on":' + orjson.dumps(_iso(min(days, default=FOREVER))) + b"}"


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


def _document_told(name: str, content: bytes, rows: Sequence[Row], days: set[int]) -> Json:
    """What is said of one document; the days on which that changes are added to `days`."""
    days.update(row[4] for row in rows)
    return {
        "document": name,
        "title": orjson.loads(content)["title"],
        "selected": [orjson.Fragment(row[7]) for row in rows],
    }


def _coming_in(register: Register, on: date, name: str, rows: Sequence[Row], days: set[int]) -> Iterator[Json]:
    """What one document awaits; the days on which that changes are added to `days`."""
    lead = b'{"document":' + orjson.dumps(name) + b","
    for item in _coming(register, name, on, [row[3] for row in rows]):
        days.add(item.changes)
        yield orjson.Fragment(lead + item.told[1:])


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
    medicines = rule.get("medicines") or [medicine["inn"] for medicine in body["medicines"]]
    cohorts = (question.cohort, "everyone") if question.cohort else ()
    return (
        (question.medicine is None or question.medicine in medicines)
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
    hits = register.archive.search.find(register.archive.index, register.archive.tip(), text, limit)
    return {**register.head(q=text, limit=limit), "found": [as_json(hit) for hit in hits]}


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
    days: set[int] = set()
    told = [_document_told(name, contents[name], rows, days) for name, rows in found]
    coming = [item for name, rows in found for item in _coming_in(register, on, name, rows, days)]
    spans = [orjson.loads(orjson.dumps(span)) for item in told for span in item["selected"]]
    codes = {(code["system"], code["code"]) for span in spans for code in span["codes"] if code["inn"] == inn}
    return {
        **register.head(inn=inn),
        "inn": inn,
        "on": on.isoformat(),
        "codes": [{"system": system, "code": code} for system, code in sorted(codes)],
        "documents": told,
        "coming": coming,
        "next_change_on": _iso(min(days, default=FOREVER)),
    }


def _of_documents(register: Register, names: list[str], on: date) -> Iterator[tuple[str, list[Row]]]:
    rows = register.archive.index.all_spans_on(on.toordinal(), register.position, names)
    held: dict[str, list[Row]] = {name: [] for name in names}
    for row in rows:
        held[row[0]].append(row)
    for name, found in held.items():
        yield name, _in_scope(found, register.question.jurisdiction) if found else []
