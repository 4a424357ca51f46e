"""The whole register at a glance: what each document says on a day, what is coming, and what changed lately."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby, islice
from typing import Any, NamedTuple

import orjson

from guidance.derived import FOREVER, Row
from guidance.model import Json, Version, holding
from guidance.register import IN_FORCE, rule_end, scope
from guidance.vocabulary import BINDING, PARTS, outermost
from service.answers import Concerns, Register, concerning, medicines_of, names


class Step(NamedTuple):
    """One row of the calendar: in one document and place, something begins or ends, or is awaited without a day."""

    first: int
    document: str
    what: str
    told: Json
    state: str

    @property
    def kin(self) -> tuple[Any, ...]:
        """What steps of one document and day have in common that are one happening."""
        said = ("version", "expected", "trigger", "stage", "ends")
        return self.what, self.state, self.told.get("rule") is None, *(self.told.get(name) for name in said)


# --- what is coming, what changed lately -----------------------------------------------------------------


def coming(register: Register, limit: int) -> Json:
    """What begins or ends after the day, the nearest first, and what has no day: at most `limit` of each, and if more.

    What has no day comes in two lists: `outstanding` once its time has passed without a confirmed day, else `undated`.
    """
    on, index, position = register.day(), register.archive.index, register.position
    begins = _steps(index.awaited(on.toordinal(), position, dated=True), "begins", on)
    ends = _steps(index.ending(on.toordinal(), position), "ends", on)
    rules_end = _narrowed(register, index.rules_ending(on.toordinal(), position))
    nearest = list(islice(_gathered(register, heapq.merge(begins, ends, rules_end, key=_order)), limit + 1))
    waiting: dict[str, list[Json]] = {"outstanding": [], "coming": []}
    more = len(nearest) > limit
    for found in _gathered(register, _steps(index.awaited(on.toordinal(), position, dated=False), "begins", on)):
        held = waiting[found[0].state]
        happening = _happening(register, found)
        if any(_joined(other, happening) for other in held):
            continue
        if len(held) < limit:
            held.append(happening)
        else:
            more = True
            if all(len(others) == limit for others in waiting.values()):
                break
    dated = [_happening(register, found) for found in nearest[:limit]]
    return {"dated": dated, "outstanding": waiting["outstanding"], "undated": waiting["coming"], "more": more}


def lately(register: Register, limit: int) -> list[Json]:
    """What began or ended by the day, the latest first."""
    on, index, position = register.day(), register.archive.index, register.position
    begun = _steps(index.begun(on.toordinal(), position), "begins", on)
    ended = _steps(index.ended(on.toordinal(), position), "ends", on)
    rules_ended = _narrowed(register, index.rules_ended(on.toordinal(), position))
    found = _gathered(register, heapq.merge(begun, ended, rules_ended, key=_order, reverse=True))
    return [_happening(register, steps) for steps in islice(found, limit)]


def _order(step: Step) -> tuple[int, str]:
    return step.first, step.document


def _steps(rows: Iterable[Row], what: str, on: date) -> Iterator[Step]:
    for name, named, first, *between, told in rows:
        late = bool(between) and first == FOREVER and between[0] <= on.toordinal()
        body = {**orjson.loads(told), "named": named}
        yield Step(first, name, what, body, "outstanding" if late else "coming")


def _narrowed(register: Register, rows: Iterable[Row]) -> Iterator[Step]:
    """The ends of rules while their version goes on."""
    for name, named, first, told, before in rows:
        span, held = orjson.loads(told), orjson.loads(before)
        gone = [rule for rule in span["left_out"] if rule not in held["left_out"]]
        version = _version(register, name, span["version"]) if gone else None
        for rule in gone if version else ():
            assert version
            own = rule_end(version, rule, span["jurisdiction"], date.fromordinal(first))
            says = own.body if own else {}
            body = {"jurisdiction": span["jurisdiction"], "version": version.number, "rule": rule, "named": named}
            kept = {"ends": says.get("ends", "expired"), "unconfirmed": says.get("unconfirmed", [])}
            yield Step(first, name, "ends", {**body, **kept}, "coming")


def _version(register: Register, name: str, number: int) -> Version:
    return Version.of(orjson.loads(register.archive.index.version(name, number, register.position)))


def _about(register: Register) -> Callable[[Step], bool]:
    """Whether a step is about the place, the medicine and the authority of the question."""
    asked, inn = register.question.jurisdiction, register.question.medicine
    known = names(register)
    wanted = None if known is None else set(known)
    concerns: dict[str, Concerns] = {}

    def about(step: Step) -> bool:
        name, told = step.document, step.told
        if (wanted is not None and name not in wanted) or told["jurisdiction"] not in scope(
            told["named"].split(" "), asked
        ):
            return False
        if inn and name not in concerns:
            concerns[name] = concerning(register, name, inn)
        return inn is None or concerns[name](told, step.what == "begins")

    return about


def _gathered(register: Register, steps: Iterable[Step]) -> Iterator[list[Step]]:
    """Steps that the question is about, those that are one happening together: one version's places and rules."""
    for _, same in groupby(filter(_about(register), steps), key=_order):
        found: dict[tuple[Any, ...], list[Step]] = {}
        for step in same:
            found.setdefault(step.kin, []).append(step)
        yield from found.values()


def _happening(register: Register, steps: Sequence[Step]) -> Json:
    """One thing that begins, ends or is awaited: of which document and version, which of its rules, and where."""
    first = steps[0]
    told = first.told
    content, _ = register.archive.index.document_row(first.document, register.position)
    value = _version(register, first.document, told["version"])
    version, says = value.body, [_says(value, step) for step in steps]
    rules = dict.fromkeys(step.told.get("rule") for step in steps)
    own = [] if None in rules else [rule for rule in version["rules"] if rule["id"] in rules]
    about = {inn for rule in own for inn in medicines_of(rule, version)}
    return {
        "document": first.document,
        "title": orjson.loads(content)["title"],
        "version": told["version"],
        "versions": [told["version"]],
        "version_title": version["title"],
        "what": first.what,
        "state": first.state,
        "stage": version["stage"],
        "day": None if first.first >= FOREVER else date.fromordinal(first.first).isoformat(),
        "rules": [rule["title"] for rule in own],
        "places": outermost(step.told["jurisdiction"] for step in steps),
        "medicines": [medicine["inn"] for medicine in version["medicines"] if not own or medicine["inn"] in about],
        **{name: told.get(name) for name in ("expected", "trigger", "ends", "unconfirmed")},
        "no_later_than": next((one["no_later_than"] for one in says if "no_later_than" in one), None),
        "at_latest": any(one.get("at_latest") for one in says),
    }


def _says(version: Version, step: Step) -> Mapping[str, Json]:
    """What the commencement says of itself with which something begins; of an end it is told with it."""
    told: Mapping[str, Json] = step.told
    if step.what == "ends":
        return told
    rule = next((one for one in version.narrowed if one.id == told["rule"]), None)
    own = holding(rule.commencements if rule else version.commencements, told["jurisdiction"])
    days = ((one, one.start.isoformat() if one.start and version.binds else None) for one in own)
    found = next((one for one, day in days if day == told["from"]), None)
    return found.body if found else {}


def _joined(held: Json, new: Json) -> bool:
    """Whether two things without a day are one rule that several versions have: then the first tells both."""
    same = ("document", "what", "state", "stage", "rules", "expected", "trigger", "no_later_than")
    if not new["rules"] or any(held[name] != new[name] for name in same):
        return False
    held["versions"] += new["versions"]
    held["places"] = outermost([*held["places"], *new["places"]])
    return True


# --- what each document says -----------------------------------------------------------------------------


def standing(register: Register, names: Sequence[str]) -> list[Json]:
    """What some documents say on the day, by id: one line for each version or reason, with the places it is for."""
    day, index = register.day().toordinal(), register.archive.index
    asked = register.question.jurisdiction
    found = []
    for name, rows in groupby(index.all_spans_on(day, register.position, sorted(names)), key=lambda row: str(row[0])):
        by_place = {row[3]: row for row in rows}
        some = next(iter(by_place.values()))
        heard = [by_place[place] for place in scope(some[1].split(" "), asked) if place in by_place]
        found.append({"document": name, "title": orjson.loads(some[2])["title"], "lines": _lines(register, heard)})
    return found


def _lines(register: Register, rows: Sequence[Row]) -> list[Json]:
    """A line for each version or reason; none for a whole that has nothing where each of its parts has a version."""
    applied = {row[3] for row in rows if row[5] in IN_FORCE}
    lines: dict[tuple[Any, ...], tuple[Json, list[Row]]] = {}
    for row in rows:
        told = orjson.loads(row[7])
        awaits = _awaits(register, row) if row[5] == "not-yet" else None
        if row[5] == "not-yet" and PARTS.get(row[3]) and applied.issuperset(PARTS[row[3]]) and not _dayless(awaits):
            continue
        key = (row[5], row[6], orjson.dumps(told["period"]), awaits and awaits["version"])
        lines.setdefault(key, (awaits, []))[1].append(row)
    return [{**_line(found), "awaits": awaits} for awaits, found in lines.values()]


def _dayless(awaits: Json) -> bool:
    return bool(awaits and awaits["from"] is None)


def _awaits(register: Register, row: Row) -> Json:
    """What a document without a version in force awaits in a place: what binds without a day, else what is next."""
    day = register.day().toordinal()
    ((_, dated, waiting),) = register.archive.index.coming_of(row[0], day, register.position, [row[3]], 1)
    told = [{**orjson.loads(said), "state": _state(overdue, day)} for overdue, _, said in waiting]
    told = [one for one in told if one["stage"] in BINDING] + [orjson.loads(said) for said in dated]
    item = next((one for one in told if one["rule"] is None), None)
    if item is None:
        return None
    version = orjson.loads(register.archive.index.version(row[0], item["version"], register.position))
    return {**item, "title": version["title"], "medicines": version["medicines"]}


def _state(overdue: int, day: int) -> str:
    return "outstanding" if overdue <= day else "coming"


def _line(rows: Sequence[Row]) -> Json:
    told = [orjson.loads(row[7]) for row in rows]
    body = orjson.loads(rows[0][8]) if rows[0][8] else None
    applies = rows[0][5] in IN_FORCE
    left_out = set.intersection(*(set(one["left_out"]) for one in told))
    return {
        **told[0],
        "places": outermost(row[3] for row in rows),
        "title": body["title"] if body else None,
        "medicines": body["medicines"] if body else [],
        "rules": [rule for rule in body["rules"] if rule["id"] not in left_out] if body and applies else [],
    }


def by_medicine(register: Register, after: str, limit: int) -> Json:
    """Medicines by INN, each with what its documents say on the day."""
    return _of_medicines(register, register.archive.index.medicines(register.position, after, limit + 1), limit)


def _of_medicines(register: Register, rows: Sequence[Row], limit: int) -> Json:
    index, position = register.archive.index, register.position
    inns = [inn for inn, _ in rows[:limit]]
    names = {inn: [name for name, _ in index.documents(position, medicine=inn)] for inn in inns}
    told = {one["document"]: one for one in standing(register, sorted({n for found in names.values() for n in found}))}
    return {
        "medicines": [{"inn": inn, "documents": [told[name] for name in names[inn]]} for inn in inns],
        "next_after": inns[-1] if len(rows) > limit else None,
    }


def named_like(register: Register, text: str, limit: int) -> Json:
    """Medicines whose INN holds a text, those that begin with it first, each with what its documents say."""
    rows = [row for row in register.archive.index.medicines(register.position) if text in row[0]]
    return _of_medicines(register, sorted(rows, key=lambda row: (not row[0].startswith(text), row[0])), limit)
