"""What changed between two versions: rules aligned by id, each difference accounted for, none of them guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Literal, NamedTuple

from guidance.effects import Pair, Text, in_document, in_rule, in_version, of_one
from guidance.errors import BadParameter, InvalidDocument, Unaccounted, Violation
from guidance.fields import Field, Presence, fields_beside, fields_between, same
from guidance.model import Body, Json, canonical
from guidance.redline import Segment, moved, redline
from guidance.severity import TABLE, Effect, Finding, Severity, Table, judged, most

Kind = Literal["added", "removed", "changed", "moved", "renumbered"]
Subject = Literal["rule", "version", "document"]
Question = Literal["versions", "in-force", "revisions", "corrections"]


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a rule stands on the older side only: a word of the field, and the rules that took its place.

    Besides the words of docs/vocabulary.md: `corrected` (the same version, recorded anew without it), `dropped`
    (a later version does not have it, and no act says why), `not-yet` (the sides stand backward in time, and only the
    later one has it).
    """

    how: str
    by: tuple[str, ...] = ()


class Change(NamedTuple):
    """One rule, or one member of the version beside its rules, or of the document itself, that differs."""

    subject: Subject
    name: str
    """The rule's id, or the member's name."""
    kind: Kind
    title: str
    also: tuple[Kind, ...] = ()
    """What else happened to it."""
    rule_kind: str | None = None
    old_place: int | None = None
    """Where the rule stands among the rules, from 1."""
    new_place: int | None = None
    old_source: Json = None
    """What the rule cites."""
    new_source: Json = None
    fields: tuple[Field, ...] = ()
    segments: tuple[Segment, ...] = ()
    effects: tuple[Effect, ...] = ()
    claimed: bool = False
    """Whether the author claims that only the wording differs."""
    ending: Ending | None = None

    @property
    def severity(self) -> Severity:
        return most([effect.severity for effect in self.effects])

    @property
    def directions(self) -> tuple[str, ...]:
        """Every way in which it goes, each once; one word would hide the others."""
        return tuple(sorted({effect.direction for effect in self.effects}))

    @property
    def review(self) -> tuple[str, ...]:
        """Why a person must look at it; empty where every effect could be ordered."""
        open_ones = [effect for effect in self.effects if effect.direction == "unordered"]
        return tuple([f"{one.words}: {'; '.join(one.because) or 'no ordering says which way'}" for one in open_ones])

    @property
    def contradicted_by(self) -> tuple[str, ...]:
        """What speaks against the author's claim."""
        return tuple(why for effect in self.effects if effect.id == "wording-contradicted" for why in effect.because)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two states: the version and its hash, none where nothing stood; `asked` is the caller's own."""

    version: str | None
    """None for the document itself, too."""
    sha256: str | None
    asked: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Diff:
    """Every change between two states of one document, in reading order, and which question it answers."""

    question: Question
    document: str | None
    old: Side
    new: Side
    changes: tuple[Change, ...]
    unchanged: int
    """How many rules are the same on both sides, in the same order."""
    table: str
    """The hash of the table of effects that judged it."""

    @property
    def equal(self) -> bool:
        return self.old.sha256 == self.new.sha256

    @property
    def summary(self) -> dict[str, Json]:
        return tally(self.changes)


def compare(
    old: Body | None,
    new: Body | None,
    *,
    question: Question = "versions",
    asked: tuple[Mapping[str, Json], Mapping[str, Json]] = ({}, {}),
    hashes: tuple[str | None, str | None] = (None, None),
    backward: bool = False,
    table: Table = TABLE,
) -> Diff:
    """Every change from one state of a document to another; None stands for a state in which nothing stood.

    States are version bodies as recorded; their rules may be only those that hold on a day. `question` and `asked`
    say for what, and in whose words, and are handed through; `hashes` are those of the canonical bytes, where they are
    known; `backward` says that `new` was recorded before `old`. Raises BadParameter for two documents, InvalidDocument
    for a rule id that stands twice, and Unaccounted where the sides differ in something that cannot be shown.
    """
    document = one_document(old, new)
    sides = _side(old, asked[0], hashes[0]), _side(new, asked[1], hashes[1])
    aligned = _aligned(old or {}, new or {}, _time(old, new, question, asked, backward))
    found: tuple[Change, ...] = ()
    if sides[0].sha256 != sides[1].sha256:
        found = (*_beside("version", old, new, table), *_in_rules(aligned, table))
        if not found:
            raise Unaccounted(f"{sides[0].version} and {sides[1].version}", "they differ, and no change was found")
    touched = {change.name for change in found if change.subject == "rule"}
    return Diff(
        question=question,
        document=document,
        old=sides[0],
        new=sides[1],
        changes=found,
        unchanged=len(aligned.new.keys() - touched),
        table=table.sha256,
    )


def compare_documents(
    old: Body | None,
    new: Body | None,
    *,
    question: Question = "revisions",
    asked: tuple[Mapping[str, Json], Mapping[str, Json]] = ({}, {}),
    table: Table = TABLE,
) -> Diff:
    """Every change in what a document says of itself, beside its versions; otherwise as `compare`."""
    first, second = (_digest(side) if side else None for side in (old, new))
    name = (new or old or {}).get("id")
    found = tuple(_beside("document", old, new, table)) if first != second else ()
    if first != second and not found:
        raise Unaccounted(f"the document {name}", "its two sides differ, and no change was found")
    return Diff(
        question=question,
        document=name,
        old=Side(None, first, asked[0]),
        new=Side(None, second, asked[1]),
        changes=found,
        unchanged=0,
        table=table.sha256,
    )


def tally(changes: Iterable[Change]) -> dict[str, Json]:
    """How many changes there are of each kind, severity and direction, with each effect, and to be reviewed."""
    return tally_of([change_json(change) for change in changes])


def tally_of(told: Sequence[Json]) -> dict[str, Json]:
    """The same, of changes as they are told."""
    return {
        "changes": len(told),
        "kinds": _counted([one["kind"] for one in told]),
        "severities": _counted([one["severity"] for one in told]),
        "directions": _counted([direction for one in told for direction in one["directions"]]),
        "effects": _counted([name for one in told for name in {effect["id"] for effect in one["effects"]}]),
        "needs_review": sum(bool(one["review"]) for one in told),
    }


def added_up(tallies: Iterable[Mapping[str, Json]]) -> dict[str, Json]:
    """The tally of all changes together, from the tallies of some and of the others."""
    found: dict[str, Json] = tally_of(())
    for one in tallies:
        for name, told in one.items():
            if isinstance(told, dict):
                found[name] = {word: found[name].get(word, 0) + told.get(word, 0) for word in {*found[name], *told}}
            else:
                found[name] += told
    return {name: dict(sorted(told.items())) if isinstance(told, dict) else told for name, told in found.items()}


def _counted(words: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items()))


def _side(body: Body | None, asked: Mapping[str, Json], digest: str | None) -> Side:
    if body is None:
        return Side(None, None, asked)
    return Side(f"{body['document']}@{body['number']}", digest or _digest(body), asked)


def _digest(body: Body) -> str:
    return sha256(canonical(body)).hexdigest()


def one_document(old: Body | None, new: Body | None) -> str | None:
    names = [str(body["document"]) for body in (old, new) if body is not None]
    if len(set(names)) > 1:
        raise BadParameter("document", names[1], f"is another document than {names[0]}; compare versions of one")
    return names[0] if names else None


# --- rules, by id ----------------------------------------------------------------------------------------


class _Time(NamedTuple):
    """How the sides lie to each other in the time that is asked about."""

    backward: bool
    """Whether the newer side is the earlier one."""
    again: bool
    """Whether the newer side is the same version, or none in place of it, as another revision records it."""
    days: tuple[str, str] | None
    """The two days, where days were asked for."""


def _time(
    old: Body | None, new: Body | None, question: Question, asked: tuple[Mapping[str, Json], ...], backward: bool
) -> _Time:
    if question == "in-force" and all("on" in side for side in asked):
        first, second = (str(side["on"]) for side in asked)
        return _Time(first > second, False, (first, second))
    if old is None or new is None:
        return _Time(backward, question == "corrections", None)
    return _Time(backward or old["number"] > new["number"], old["number"] == new["number"], None)


class _Aligned(NamedTuple):
    """The rules of both sides by id, what moved, and which take the place of which."""

    before: Body
    after: Body
    time: _Time
    old: dict[str, Body]
    new: dict[str, Body]
    moved: set[str]
    successors: Mapping[str, list[str]]
    """Newer rules by the id of an older one."""
    predecessors: Mapping[str, list[str]]
    """Older rules by the id of a newer one."""


def _aligned(before: Body, after: Body, time: _Time) -> _Aligned:
    old, new = rules_by_id(before), rules_by_id(after)
    shared = moved([rule for rule in old if rule in new], [rule for rule in new if rule in old])
    links = sorted({*_links(new, old), *((was, now) for now, was in _links(old, new))})
    successors: dict[str, list[str]] = {}
    predecessors: dict[str, list[str]] = {}
    for was, now in links:
        successors.setdefault(was, []).append(now)
        predecessors.setdefault(now, []).append(was)
    return _Aligned(before, after, time, old, new, shared, successors, predecessors)


def rules_by_id(body: Body) -> dict[str, Body]:
    found: dict[str, Body] = {}
    for place, rule in enumerate(body.get("rules", ())):
        if rule["id"] in found:
            raise InvalidDocument([Violation(f"/rules/{place}/id", f"{rule['id']!r} stands twice")])
        found[rule["id"]] = rule
    return found


def _links(replacing: Mapping[str, Body], replaced: Mapping[str, Body]) -> Iterator[tuple[str, str]]:
    """(replaced, replacing) as the `replaces` of one side says, where the replaced rule stands on the other only."""
    for name in [name for name, rule in replacing.items() if "replaces" in rule]:
        for was in replacing[name]["replaces"]:
            if was in replaced and was not in replacing:
                yield was, name


def _in_rules(aligned: _Aligned, table: Table) -> Iterator[Change]:
    old_places = {name: place for place, name in enumerate(aligned.old, start=1)}
    new_places = {name: place for place, name in enumerate(aligned.new, start=1)}
    for name in _reading_order(aligned):
        old, new = aligned.old.get(name), aligned.new.get(name)
        if old and new and name not in aligned.moved and same(old, new):
            continue
        yield _in_rule(old, new, aligned, table)._replace(
            old_place=old_places.get(name),
            new_place=new_places.get(name),
            old_source=old and old.get("source"),
            new_source=new and new.get("source"),
        )


def _reading_order(aligned: _Aligned) -> Iterator[str]:
    """As the newer side reads, each removed rule after the one that it used to follow."""
    removed: dict[str, list[str]] = {}
    last = ""
    for name in aligned.old:
        if name in aligned.new:
            last = name
        else:
            removed.setdefault(last, []).append(name)
    yield from removed.get("", ())
    for name in aligned.new:
        yield name
        yield from removed.get(name, ())


def _in_rule(old: Body | None, new: Body | None, aligned: _Aligned, table: Table) -> Change:
    if new is None:
        assert old is not None
        return _removed(old, aligned, table)
    return _added(new, aligned, table) if old is None else _changed(old, new, aligned, table)


def _added(rule: Body, aligned: _Aligned, table: Table) -> Change:
    return Change(
        subject="rule",
        name=rule["id"],
        kind="added",
        title=rule["title"],
        rule_kind=rule["kind"],
        fields=(Field("", "added", new=rule),),
        segments=redline("", rule["text"]),
        effects=_effects_of_added(rule, aligned, table),
    )


def _effects_of_added(rule: Body, aligned: _Aligned, table: Table) -> tuple[Effect, ...]:
    """Of a rule that takes the place of exactly one other of its kind, what differs between the two."""
    was = aligned.predecessors.get(rule["id"], [])
    if not was:
        return judged([of_one(rule, aligned.old.values(), "added")], [rule], table)
    if all(name in aligned.new for name in was):
        return judged([Finding("rule-replaced", "", tuple(was))], [rule], table)
    old = aligned.old[was[0]]
    if len(was) > 1 or len(aligned.successors[was[0]]) > 1 or old["kind"] != rule["kind"]:
        return judged([Finding("rules-rearranged", "", tuple(was))], [rule], table)
    fields = tuple(one for one in fields_between(old, rule) if one.member not in {"id", "replaces"})
    findings = [*_findings(Pair(old, rule, aligned.before, aligned.after), fields, claimed=False)]
    return judged(findings or [Finding("rule-replaced", "", tuple(was))], [old, rule], table)


def _removed(rule: Body, aligned: _Aligned, table: Table) -> Change:
    by = aligned.successors.get(rule["id"], [])
    finding = Finding("rule-replaced", "", tuple(by)) if by else of_one(rule, aligned.new.values(), "removed")
    return Change(
        subject="rule",
        name=rule["id"],
        kind="removed",
        title=rule["title"],
        rule_kind=rule["kind"],
        fields=(Field("", "removed", old=rule),),
        segments=redline(rule["text"], ""),
        effects=judged([finding], [rule], table),
        ending=_ending(rule, by, aligned),
    )


def _ending(rule: Body, by: Sequence[str], aligned: _Aligned) -> Ending:
    """By the days that were asked for; else by the numbers of the versions and by which was recorded later."""
    time = aligned.time
    if time.backward:
        return Ending("not-yet")
    if by:
        return Ending("superseded", tuple(by))
    if time.again:
        return Ending("corrected")
    whole = [one for one in aligned.before.get("commencements", ()) if one.get("ends") != "superseded"]
    return Ending(_ended(rule.get("commencements", ()), time.days) or _ended(whole, time.days) or "dropped")


def _ended(commencements: Iterable[Body], days: tuple[str, str] | None) -> str | None:
    """The word for the one end that is recorded, or for the last between two days."""
    ends = sorted((one["to"], one["ends"]) for one in commencements if "ends" in one)
    if days is None:
        return ends[0][1] if len({word for _, word in ends}) == 1 else None
    first, last = days
    return next((word for to, word in reversed(ends) if first[: len(to)] <= to <= last), None)


def _changed(old: Body, new: Body, aligned: _Aligned, table: Table) -> Change:
    name = new["id"]
    fields = fields_between(old, new)
    claimed = _claimed(old, new, aligned)
    findings = _findings(Pair(old, new, aligned.before, aligned.after), fields, claimed)
    if name in aligned.moved:
        findings.append(Finding("moved", ""))
    joined = (*aligned.predecessors.get(name, ()), *aligned.successors.get(name, ()))
    if joined:
        findings.append(Finding("rules-rearranged", "/replaces", joined))
    findings = findings or [Finding("other-changed", one.pointer) for one in fields]
    kind, *also = _kinds(fields, name in aligned.moved)
    return Change(
        subject="rule",
        name=name,
        kind=kind,
        title=new["title"],
        also=tuple(also),
        rule_kind=new["kind"],
        fields=fields,
        segments=redline(old["text"], new["text"]) if old["text"] != new["text"] else (),
        effects=judged(findings, [old, new], table),
        claimed=claimed,
    )


def _kinds(fields: Sequence[Field], is_moved: bool) -> list[Kind]:
    """The kind of a change, and what else it is."""
    members = {one.member for one in fields}
    printed = members & {"number", "section"}
    found: list[Kind] = []
    if members - printed:
        found.append("changed")
    if printed:
        found.append("renumbered")
    return [*found, "moved"] if is_moved else found


def _claimed(old: Body, new: Body, aligned: _Aligned) -> bool:
    """Whether the later of two neighbouring versions claims that only the wording differs from the one before."""
    before, after = aligned.before["number"], aligned.after["number"]
    return bool((after == before + 1 and "wording_only" in new) or (before == after + 1 and "wording_only" in old))


_TEXT: Final = re.compile(r"/(?:title|text)|/(?:population/(?:include|exclude)|setting)/[^/]+/text")


def _findings(pair: Pair, fields: Sequence[Field], claimed: bool) -> list[Finding]:
    members = dict.fromkeys(one.member for one in fields if one.change != "reordered")
    texts = [
        Text(one.pointer, one.old, one.new)
        for one in fields
        if one.change == "changed" and _TEXT.fullmatch(one.pointer)
    ]
    orders = [Finding("reordered", one.pointer) for one in fields if one.change == "reordered"]
    return [*in_rule(pair, tuple(members), texts, claimed), *orders]


# --- the version beside its rules, and the document ------------------------------------------------------


_MEMBERS: Final = ("number", "title", "stage", "status", "status_note", "commencements", "medicines", "note")
"""What a reader asks first; the rest follows by name."""


def _beside(subject: Subject, old: Body | None, new: Body | None, table: Table) -> Iterator[Change]:
    """Every member that differs in a version beside its rules, or in a document; or that it came or went as a whole."""
    if old is None or new is None:
        yield _of_whole(subject, old, new, table)
        return
    names = [name for name in _MEMBERS if name in old or name in new]
    names += sorted((old.keys() | new.keys()) - {*_MEMBERS, "rules"})
    fields: dict[str, list[Field]] = {}
    for one in fields_beside(_beside_rules(old), _beside_rules(new)):
        fields.setdefault(one.member, []).append(one)
    for name in names:
        if name in fields:
            yield _of_member(subject, name, tuple(fields[name]), old, new, table)


def _beside_rules(body: Body) -> dict[str, Json]:
    return {name: value for name, value in body.items() if name != "rules"}


def _of_whole(subject: Subject, old: Body | None, new: Body | None, table: Table) -> Change:
    """The change from nothing to a version or document, or to nothing."""
    body = new or old or {}
    kind: Literal["added", "removed"] = "added" if old is None else "removed"
    one = Field("", kind, new=_beside_rules(body)) if old is None else Field("", kind, old=_beside_rules(body))
    effects = judged([Finding(f"{subject}-began" if old is None else f"{subject}-ended", "")], [], table)
    return Change(subject, subject, kind, body["title"], fields=(one,), effects=effects)


def _of_member(subject: Subject, name: str, fields: tuple[Field, ...], old: Body, new: Body, table: Table) -> Change:
    findings = [Finding("reordered", one.pointer) for one in fields if one.change == "reordered"]
    if subject == "document":
        findings += in_document(name)
    elif len(findings) < len(fields):
        findings += in_version(name, old, new)
    is_text = name in {"title", "note", "status_note", "about"} and fields[0].change == "changed"
    return Change(
        subject=subject,
        name=name,
        kind="added" if name not in old else "removed" if name not in new else "changed",
        title=name.replace("_", " ").capitalize(),
        fields=fields,
        segments=redline(old[name], new[name]) if is_text else (),
        effects=judged(findings, [], table),
    )


# --- as JSON ---------------------------------------------------------------------------------------------


def to_json(diff: Diff) -> dict[str, Json]:
    """The diff as schemas/diff.json describes it."""
    told = [change_json(change) for change in diff.changes]
    return {
        "question": diff.question,
        "document": diff.document,
        "old": side_json(diff.old),
        "new": side_json(diff.new),
        "equal": diff.equal,
        "table": diff.table,
        "summary": {**tally_of(told), "unchanged_rules": diff.unchanged},
        "changes": told,
    }


def side_json(side: Side) -> dict[str, Json]:
    return {"version": side.version, "sha256": side.sha256, "asked": dict(side.asked)}


def change_json(change: Change) -> dict[str, Json]:
    """One change; members that do not apply are left out."""
    found: dict[str, Json] = {
        "subject": change.subject,
        "name": change.name,
        "kind": change.kind,
        "also": list(change.also),
        "title": change.title,
        "severity": change.severity,
        "directions": list(change.directions),
        "effects": [_effect_json(*effect) for effect in change.effects],
        "review": list(change.review),
        "fields": [_field_json(*one) for one in change.fields],
        "segments": [_segment_json(*segment) for segment in change.segments],
    }
    if change.subject == "rule":
        found["rule_kind"] = change.rule_kind
        found["place"] = {"old": change.old_place, "new": change.new_place}
        found["source"] = {"old": change.old_source, "new": change.new_source}
    if change.claimed:
        found["claim"] = {"wording_only": True, "contradicted_by": list(change.contradicted_by)}
    if change.ending:
        found["ending"] = {"how": change.ending.how, "by": list(change.ending.by)}
    return found


def _effect_json(
    name: str, words: str, direction: str, severity: str, pointer: str, because: Sequence[str]
) -> dict[str, Json]:
    return {
        "id": name,
        "words": words,
        "direction": direction,
        "severity": severity,
        "pointer": pointer,
        "because": list(because),
    }


def _field_json(pointer: str, change: Presence, old: Json, new: Json) -> dict[str, Json]:
    found: dict[str, Json] = {"pointer": pointer, "change": change}
    if change != "added":
        found["old"] = old
    if change != "removed":
        found["new"] = new
    return found


def _segment_json(op: str, text: str, move: int | None) -> dict[str, Json]:
    return {"op": op, "text": text} if move is None else {"op": op, "text": text, "move": move}
