"""What changed in a document: two versions, two days, one day as two revisions tell it, or two revisions whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import orjson

from guidance import changes
from guidance.changes import Question
from guidance.errors import BadParameter
from guidance.model import Json, day_of
from service import answers, params
from service.answers import Register

SIDES: Final = "give two versions (from=@2&to=@3), two days (from=2019-12-01&to=2020-02-01), or from_at and to_at"


@dataclass(frozen=True, slots=True)
class State:
    """One side of a comparison: what is compared, and how it was asked for."""

    body: Json
    asked: Mapping[str, Json]


def difference(register: Register, name: str, given: Mapping[str, str]) -> Json:
    """The changes in one document; raises BadParameter, UnknownDocument, UnknownVersion, UnknownRevision."""
    if "from_at" in given or "to_at" in given:
        return _between_revisions(register, name, given)
    if "on" in given:
        raise BadParameter("on", given["on"], "goes with from_at and to_at: one day, as two revisions tell it")
    for side in ("from", "to"):
        if side not in given:
            raise BadParameter(side, "", f"is missing; {SIDES}")
    versions = [given[side].startswith("@") for side in ("from", "to")]
    if versions[0] != versions[1]:
        raise BadParameter("to", given["to"], f"is not of the same kind as 'from'; {SIDES}")
    if all(versions):
        if "jurisdiction" in given:
            raise BadParameter("jurisdiction", given["jurisdiction"], "does not go with two versions")
        return _told(register, name, "versions", *(_version(register, name, given, side) for side in ("from", "to")))
    days = [day_of(given[side], side) for side in ("from", "to")]
    return _told(register, name, "in-force", *(_in_force(register, name, day) for day in days))


# --- the two sides ---------------------------------------------------------------------------------------


def _version(register: Register, name: str, given: Mapping[str, str], side: str) -> State:
    number = params.number(given[side].removeprefix("@"), side, 1, 100_000)
    register.known(name)
    content = register.archive.index.version(name, number, register.position)
    return State(orjson.loads(content), {"version": number})


def _in_force(register: Register, name: str, day: date) -> State:
    """What is in force on a day in the jurisdiction asked about, only with the rules that hold; None where nothing."""
    on = replace(register, question=replace(register.question, on=day))
    answer = orjson.loads(orjson.dumps(answers.document(on, name)))
    asked = {"on": day.isoformat(), "jurisdiction": answer["jurisdiction"], "state": answer["selected"]["state"]}
    return State(answer["version"], asked)


def _between_revisions(register: Register, name: str, given: Mapping[str, str]) -> Json:
    """Corrections: one day, two revisions. Without a day: every version as two revisions record it."""
    for other in ("from", "to", "at"):
        if other in given:
            raise BadParameter(other, given[other], "does not go with from_at and to_at")
    if "from_at" not in given:
        raise BadParameter("from_at", "", "is missing: from which revision, instant or day on")
    seen = [_seen(register, given.get(side), side) for side in ("from_at", "to_at")]
    if "on" in given:
        day = day_of(given["on"])
        old, new = (_in_force(side, name, day) for side in seen)
        told = zip((old, new), seen, strict=True)
        return _told(register, name, "corrections", *(replace(s, asked={**s.asked, **_at(r)}) for s, r in told))
    return _revisions(register, name, seen[0], seen[1])


def _seen(register: Register, text: str | None, side: str) -> Register:
    at = params.at(text, register.now, side)
    return register.looking(at)


def _at(register: Register) -> dict[str, Json]:
    return {"revision": register.revision.id if register.revision else None}


def _revisions(register: Register, name: str, old: Register, new: Register) -> Json:
    """Every version of the document as two revisions record it, each compared with itself."""
    register.known(name)
    sides = [dict(_contents(side, name)) for side in (old, new)]
    found = []
    for number in sorted({*sides[0], *sides[1]}):
        bodies = [orjson.loads(side[number]) if number in side else None for side in sides]
        asked = [{"version": number, **_at(seen)} for seen in (old, new)]
        states = [State(body, told) for body, told in zip(bodies, asked, strict=True)]
        found.append(_compared("revisions", *states))
    changed = [told for told in found if not told["equal"]]
    flat = [{**change, "version": told["new"]["asked"]["version"]} for told in changed for change in told["changes"]]
    asked_for = {"from_at": _text(old), "to_at": _text(new)}
    head = register.head(document=name, **asked_for)
    return {
        **head,
        "question": "revisions",
        "document": name,
        "equal": not changed,
        "changes": flat,
        "versions": changed,
    }


def _contents(register: Register, name: str) -> list[tuple[int, bytes]]:
    return register.archive.index.version_contents(name, register.position)


def _text(register: Register) -> str | None:
    return register.question.at.text if register.question.at else None


# --- comparing -------------------------------------------------------------------------------------------


def _told(register: Register, name: str, question: Question, old: State, new: State) -> Json:
    head = register.head(document=name, **{"from": old.asked, "to": new.asked})
    return {**head, **_compared(question, old, new), "document": name}


def _compared(question: Question, old: State, new: State) -> Json:
    found = changes.compare(old.body, new.body, question=question, asked=(old.asked, new.asked))
    return changes.to_json(found)
