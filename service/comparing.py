"""What changed between two versions, two days or two revisions, in one document or everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from guidance import changes
from guidance.changes import Diff, Question
from guidance.errors import BadParameter, UnknownDocument
from guidance.model import Json, Sides, canonical, day_of, sha256
from guidance.patch import patch_between
from guidance.register import scope, steps
from guidance.vocabulary import within
from service import answers, params
from service.answers import Register

SIDES: Final = "give two versions (from=@2&to=@3), two days (from=2019-12-01&to=2020-02-01), or from_at and to_at"
DOCUMENTS_LIMIT: Final = 2000
"""Changed documents in one answer at most."""


@dataclass(frozen=True, slots=True)
class State:
    """One side of a comparison: what is compared (None where nothing stands), how it was asked for, seen from where."""

    body: Json
    asked: Mapping[str, Json]
    position: int
    sha256: str | None = None
    """The hash of the body's canonical bytes, where it is known."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sides, and what sets their changes apart from others in one answer: places, the version, or the document."""

    old: State
    new: State
    tags: Mapping[str, Json]


# --- one document ----------------------------------------------------------------------------------------


def difference(register: Register, name: str, given: Mapping[str, str]) -> Json:
    """The changes in one document; raises BadParameter, UnknownDocument, UnknownVersion, UnknownRevision."""
    register.known(name)
    question, order, pairs = _asked(register, name, given)
    head = register.head(document=name)
    told = _compared(register, name, question, pairs)
    return {**head, "asked": {**head["asked"], **_told_sides(given)}, "order": order, **told}


def diffs(register: Register, name: str, given: Mapping[str, str]) -> list[tuple[Mapping[str, Json], Diff]]:
    """The same as values: for each place or version that was compared, its tags and its diff."""
    register.known(name)
    question, _, pairs = _asked(register, name, given)
    return [(pair.tags, _diff(register, question, pair)) for pair in pairs]


def patch(register: Register, name: str, given: Mapping[str, str]) -> Json:
    """RFC 6902 operations from one side to the other, verified; raises BadParameter where there is not one pair."""
    _, _, pairs = _asked(register, name, given)
    if len(pairs) != 1 or "document" in pairs[0].tags or pairs[0].old.body is None or pairs[0].new.body is None:
        return no_patch(given)
    return patch_between(pairs[0].old.body, pairs[0].new.body)


def sides(register: Register, name: str, given: Mapping[str, str]) -> list[Sides]:
    """The versions that a diff compares, pair by pair, those that differ."""
    _, _, pairs = _asked(register, name, given)
    differing = [pair for pair in pairs if "document" not in pair.tags and _differ(pair.old.body, pair.new.body)]
    return [Sides(pair.old.body, pair.new.body, pair.tags.get("jurisdictions", ())) for pair in differing]


def _differ(old: Json, new: Json) -> bool:
    """Whether two bodies are other bytes: 3 and 3.0 are."""
    return old is not new and canonical(old) != canonical(new)


def no_patch(given: Mapping[str, str]) -> Json:
    why = "needs two versions, or two days on which a version applies in one jurisdiction"
    raise BadParameter("format", given.get("format", "patch"), why)


def _asked(register: Register, name: str, given: Mapping[str, str]) -> tuple[Question, str, list[Pair]]:
    """Which question is asked, whether its sides are in order, and the pairs to compare."""
    if "@" in given.get("from", "") and "from_at" not in given and "to_at" not in given:
        _two_sides(given)
        first, second = (_number(given, side, name) for side in ("from", "to"))
        pair = Pair(_of_version(register, name, first), _of_version(register, name, second), {})
        return "versions", _order_of_versions(register, name, first, second), [pair]
    looked = _looked(register, given)
    return looked.question, looked.order, _pairs(name, looked)


class _Looked(NamedTuple):
    """The question between two days or two moments, the order of its sides, and the register as each has it."""

    question: Question
    order: str
    old: Register
    new: Register


def _looked(register: Register, given: Mapping[str, str]) -> _Looked:
    """Raises UnknownRevision where neither side knows anything: that is no ground to say that they are the same."""
    if "from_at" in given or "to_at" in given:
        old, new = _looks(register, given)
        if old.revision is None:
            new.begun()
        return _Looked("corrections" if "on" in given else "revisions", _order(old.position, new.position), old, new)
    _two_sides(given)
    days = [day_of(given[side], side) for side in ("from", "to")]
    register.begun()
    return _Looked("in-force", _order(*days), *(_on(register, day) for day in days))


def _order(old: int | date, new: int | date) -> str:
    """Whether the sides were given as time goes; people reverse them, and should be told."""
    return "same" if old == new else "forward" if old < new else "backward"  # type: ignore[operator]


def _order_of_versions(register: Register, name: str, first: int, second: int) -> str:
    """By the days on which they take effect, which need not be the order in which they became known; else by number."""
    found = steps(register.archive.index.document(name, register.position), None)
    old, new = (found[number].stretch.start if number in found else None for number in (first, second))
    return _order(old, new) if old and new and old != new else _order(first, second)


def _two_sides(given: Mapping[str, str]) -> None:
    if "on" in given:
        raise BadParameter("on", given["on"], "goes with from_at and to_at: one day, as two revisions tell it")
    for side in ("from", "to"):
        if side not in given:
            raise BadParameter(side, "", f"is missing; {SIDES}")
    if ("@" in given["from"]) != ("@" in given["to"]):
        raise BadParameter("to", given["to"], f"is not of the same kind as 'from'; {SIDES}")
    if "@" in given["from"] and "jurisdiction" in given:
        raise BadParameter("jurisdiction", given["jurisdiction"], "does not go with two versions")


def _number(given: Mapping[str, str], side: str, name: str) -> int:
    document, _, number = given[side].rpartition("@")
    if document and document != name:
        raise BadParameter(side, given[side], f"is a version of another document; versions of {name} can be compared")
    return params.number(number, side, 1, 100_000)


def _looks(register: Register, given: Mapping[str, str]) -> list[Register]:
    """The register as each of two revisions, instants or days has it; the later one is now where left out."""
    for other in ("from", "to", "at"):
        if other in given:
            raise BadParameter(other, given[other], "does not go with from_at and to_at")
    if "on" not in given and register.question.jurisdiction:
        why = "goes with two days, or with on: without a day, all that two moments recorded is compared"
        raise BadParameter("jurisdiction", register.question.jurisdiction, why)
    if "from_at" not in given:
        raise BadParameter("from_at", "", "is missing: from which revision, instant or day on")
    seen = [register.looking(params.at(given.get(side), register.now, side)) for side in ("from_at", "to_at")]
    return [_on(side, day_of(given["on"])) for side in seen] if "on" in given else seen


def _on(register: Register, day: date) -> Register:
    return register._replace(question=register.question._replace(on=day))


# --- the pairs to compare --------------------------------------------------------------------------------


def _of_version(register: Register, name: str, number: int) -> State:
    content = register.archive.index.version(name, number, register.position)
    return State(orjson.loads(content), {"version": number}, register.position, sha256(content))


def _pairs(name: str, looked: _Looked) -> list[Pair]:
    if looked.question == "revisions":
        return _of_revisions(name, looked.old, looked.new)
    return _of_days(name, looked.old, looked.new)


def _of_days(name: str, old: Register, new: Register) -> list[Pair]:
    """A pair for each place that a side names; places whose two sides are the same as another's go with that one."""
    found: dict[tuple[int, str, int, str], tuple[State, State, list[str]]] = {}
    read: answers.Reading = {}
    sides = [answers.in_force(side, name, read) for side in (old, new)]
    asked = old.question.jurisdiction
    for place in scope(tuple(dict.fromkeys([*sides[0], *sides[1]])), asked):
        before, after = _of_day(sides[0], old, place), _of_day(sides[1], new, place)
        key = (id(before.body), before.asked["state"], id(after.body), after.asked["state"])
        found.setdefault(key, (before, after, []))[2].append(place)
    return [Pair(old_state, new_state, {"jurisdictions": places}) for old_state, new_state, places in found.values()]


def _of_day(side: Mapping[str, answers.InForce], seen: Register, place: str) -> State:
    """What one side says of a place, be it in the words of the nearest whole that it names: the law of the EU is
    that of Germany until Germany has a word of its own."""
    revision = seen.revision.id if seen.revision else None
    asked = {"on": seen.question.on.isoformat() if seen.question.on else None, "revision": revision}
    nearest = next((one for one in within(place) if one in side), None)
    if nearest is None:
        return State(None, {**asked, "state": "nothing-recorded"}, seen.position)
    state, (body, digest) = side[nearest]
    return State(body, {**asked, "state": state}, seen.position, digest)


def _of_revisions(name: str, old: Register, new: Register) -> list[Pair]:
    """The document itself where it differs, and a pair for each version of it that either revision has."""
    before, after = (dict(side.archive.index.version_contents(name, side.position)) for side in (old, new))
    itself = Pair(_of_document(name, old), _of_document(name, new), {"document": name})
    return [
        *([itself] if itself.old.sha256 != itself.new.sha256 else []),
        *(
            Pair(_recorded(before, old, number), _recorded(after, new, number), {"version": number})
            for number in sorted({*before, *after})
        ),
    ]


def _of_document(name: str, seen: Register) -> State:
    asked = {"revision": seen.revision.id if seen.revision else None}
    try:
        content, _ = seen.archive.index.document_row(name, seen.position)
    except UnknownDocument:
        return State(None, asked, seen.position)
    return State(orjson.loads(content), asked, seen.position, sha256(content))


def _recorded(contents: Mapping[int, bytes], seen: Register, number: int) -> State:
    asked = {"version": number, "revision": seen.revision.id if seen.revision else None}
    if number not in contents:
        return State(None, asked, seen.position)
    return State(orjson.loads(contents[number]), asked, seen.position, sha256(contents[number]))


# --- comparing -------------------------------------------------------------------------------------------

Tagged = list[tuple[Mapping[str, Json], Diff]]


def _diff(register: Register, question: Question, pair: Pair) -> Diff:
    old, new = pair.old, pair.new
    if "document" in pair.tags:
        asked = old.asked, new.asked
        return changes.compare_documents(old.body, new.body, question=question, asked=asked, table=register.table)
    return changes.compare(
        old.body,
        new.body,
        question=question,
        asked=(old.asked, new.asked),
        hashes=(old.sha256, new.sha256),
        backward=old.position > new.position,
        table=register.table,
    )


def _compared(register: Register, name: str, question: Question, pairs: Sequence[Pair]) -> Json:
    """Every pair compared, each change told once."""
    found = [(pair.tags, _diff(register, question, pair)) for pair in pairs]
    distinct = _distinct(found)
    return {
        "question": question,
        "document": name,
        "equal": all(diff.equal for _, diff in found),
        "table": found[0][1].table if found else None,
        "summary": changes.tally_of(distinct),
        "sides": [_sides(register, pair, diff) for pair, (_, diff) in zip(pairs, found, strict=True)],
        "changes": distinct,
    }


def _sides(register: Register, pair: Pair, diff: Diff) -> Json:
    old = {**changes.side_json(diff.old), "recorded": _act(register, pair.old)}
    new = {**changes.side_json(diff.new), "recorded": _act(register, pair.new)}
    return {**pair.tags, "old": old, "new": new, "equal": diff.equal}


def _act(register: Register, state: State) -> Json:
    """Who recorded the version of a side, or the document itself, as it stands there, when and why."""
    if state.body is None:
        return None
    name, number = (state.body["document"], state.body["number"]) if "number" in state.body else (state.body["id"], 0)
    return register.archive.index.act_on(name, number, state.position)


def _distinct(found: Tagged) -> list[Json]:
    """Each change once, as it is told. What is the same in the whole and in all its parts is told of the whole."""
    places: dict[bytes, tuple[Json, Json, list[str]]] = {}
    for tags, diff in found:
        others = {name: value for name, value in tags.items() if name != "jurisdictions"}
        for change in diff.changes:
            told = changes.change_json(change)
            key = orjson.dumps([others, told]) if len(found) > 1 else str(len(places)).encode()
            places.setdefault(key, (others, told, []))[2].extend(tags.get("jurisdictions", ()))
    spoken = frozenset(place for tags, _ in found for place in tags.get("jurisdictions", ()))
    return [
        {**others, **({"jurisdictions": _wholes(tuple(named), spoken)} if named else {}), **told}
        for others, told, named in places.values()
    ]


@lru_cache
def _wholes(named: tuple[str, ...], spoken: frozenset[str]) -> list[str]:
    """The places without the parts of a whole that is named too, where every part spoken of goes with it."""
    if len(named) < 2:
        return list(named)
    complete = {whole for whole in named if all(part in named for part in spoken if whole in within(part))}
    return [place for place in named if not complete & set(within(place)[1:])]


# --- the whole register, or one medicine -----------------------------------------------------------------


def across(register: Register, given: Mapping[str, str]) -> Json:
    """The changes in every document, or in those of a medicine and of an authority; only those that changed.

    Raises BadParameter, UnknownRevision, UnknownMedicine, UnknownAuthority.
    """
    register = _narrowed(register, given)
    looked = _looked(register, given)
    names = _candidates(register, looked)
    if len(names) > DOCUMENTS_LIMIT:
        side = "to" if "to" in given else "to_at"
        why = f"asks about {len(names)} documents that may have changed, more than {DOCUMENTS_LIMIT}: ask for less time"
        raise BadParameter(side, given.get(side, ""), why)
    with register.archive.index.reading():
        told = ((name, _compared(register, name, looked.question, _pairs(name, looked))) for name in names)
        found = [{**one, "title": _title(register, name)} for name, one in told if not one["equal"]]
    head = register.head()
    asked = {**head["asked"], **_told_sides(given)}
    summary = changes.added_up(one["summary"] for one in found)
    said = {"question": looked.question, "order": looked.order, "equal": not found, "summary": summary}
    return {**head, "asked": asked, **said, "documents": found}


def _narrowed(register: Register, given: Mapping[str, str]) -> Register:
    """The same question, of one medicine and one authority where they are named."""
    medicine, authority = (params.segment(given.get(name), name) for name in ("medicine", "authority"))
    return register._replace(question=register.question._replace(medicine=medicine, authority=authority))


def _candidates(register: Register, looked: _Looked) -> list[str]:
    """The documents that can have changed between the two sides, be they about the medicine on one side only."""
    index = register.archive.index
    if looked.question == "in-force":
        low, high = sorted((looked.old.day().toordinal(), looked.new.day().toordinal()))
        names = index.turning(low, high, register.position)
    else:
        names = index.touched_between(*sorted((looked.old.position, looked.new.position)))
    wanted = [answers.names(side) for side in (looked.old, looked.new)]
    if None in wanted:
        return names
    kept = {name for side in wanted for name in side or ()}
    if not kept:
        register.about()
    return [name for name in names if name in kept]


def _told_sides(given: Mapping[str, str]) -> dict[str, str]:
    return {side: given[side] for side in ("from", "to", "from_at", "to_at", "on") if side in given}


def _title(register: Register, name: str) -> str:
    content, _ = register.archive.index.document_row(name, register.position)
    return str(orjson.loads(content)["title"])
