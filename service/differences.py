"""Differences as pages show them: pure functions from a diff's JSON to what a reviewer reads. No Flask, no store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from guidance.model import Json
from guidance.redline import redline
from guidance.severity import Row
from guidance.vocabulary import COHORTS, MODALITIES, UNCONFIRMED, ending_of, within
from service import views

VIEWS: Final = {
    "redline": "Redline",
    "sides": "Side by side",
    "fields": "Fields",
    "changes": "Changes only",
}
SEVERITIES: Final = ("critical", "major", "minor", "editorial")
"""The most severe first."""
DIRECTIONS: Final = {
    "tightened": "Tightened",
    "relaxed": "Relaxed",
    "unordered": "Needs review",
    "neutral": "Neither",
}
KINDS: Final = {
    "added": "Added",
    "removed": "Removed",
    "changed": "Changed",
    "moved": "Moved",
    "renumbered": "Renumbered",
}
NAMES: Final = {
    "cohort": "For whom",
    "modality": "Force",
    "population": "Population",
    "include": "applies where",
    "exclude": "except where",
    "thresholds": "Threshold",
    "schedule": "When",
    "setting": "Setting",
    "source": "Source",
    "sources": "Source",
    "milestones": "Milestone",
    "commencements": "Days",
    "interpretation": "How it is read",
    "replaces": "Takes the place of",
    "ref": "cited",
    "unconfirmed": "not confirmed",
    "no_later_than": "no later than",
    "at_latest": "first day at the latest",
    "as_printed": "as printed",
    "inn": "INN",
}
WORDS: Final = {
    "cohort": COHORTS,
    "modality": MODALITIES,
    "unconfirmed": UNCONFIRMED,
}
CITING: Final = ("ref", "source")
"""Members whose value is the id of a source: people read its publisher and title."""
NAMING: Final = ("inn", "medicines")
"""Members whose value is the id of a medicine."""
QUESTIONS: Final = {
    "versions": "Two versions, each as recorded.",
    "in-force": "What was in force on the one day and on the other.",
    "corrections": "What was in force on one day, as the register knew it at one moment and at another.",
    "revisions": "Every version, as the register recorded it at one moment and at another.",
}


NOBODY: Final[Mapping[str, str]] = {}


ABSENT: Final = {
    "not-yet": "No version recorded as in force",
    "ended": "Nothing: what applied has ended",
    "not-recorded": "Older than what is recorded",
    "nothing-recorded": "Nothing recorded",
}
"""What a side of a day is on which no version is known to apply. That is less than that none applies."""


class Read(NamedTuple):
    """The body of a version, and its rules by id."""

    body: Json
    rules: Mapping[str, Json]

    @classmethod
    def of(cls, body: Json) -> Read:
        return cls(body, {rule["id"]: rule for rule in body["rules"]})


Bodies = Callable[[Json], Read | None]
"""The version as a side of the diff has it, None where nothing stood."""


# --- one change ------------------------------------------------------------------------------------------


def change(item: Json, number: int, total: int, side: Json, bodies: Bodies) -> dict[str, Any]:
    """One change with everything that a reviewer asks of it."""
    old, new = bodies(side["old"]), bodies(side["new"])
    before, after = (_rule(read, item) for read in (old, new))
    fields = {one["pointer"]: one for one in item["fields"]}
    title = fields.get("/title", {}) if item["subject"] == "rule" else {}
    named = _sources(old), _sources(new)
    whole = item["kind"] in ("added", "removed")
    return {
        **item,
        "side": side,
        "number": number,
        "total": total,
        "anchor": f"change-{number}",
        "said": said(item),
        "also_said": [KINDS[kind].lower() for kind in item["also"]],
        "effects": effects(item),
        "where": views.places(sorted(item["jurisdictions"])) if "jurisdictions" in item else None,
        "title_marks": redline(title["old"], title["new"]) if {"old", "new"} <= set(title) else (),
        "lines": [line(one, *named) for one in item["fields"] if _beside_text(one["pointer"], item)],
        "table": [line(one, *named) for one in (_members(item) if whole else item["fields"])],
        "old_rule": before,
        "new_rule": after,
        "source": source(item, old, new),
        "ended": ending(item),
    }


def _rule(read: Read | None, item: Mapping[str, Any]) -> Json:
    return read.rules.get(item["name"]) if read and item["subject"] == "rule" else None


def effects(item: Json) -> list[dict[str, Any]]:
    """The effects of a change, each with the word for its direction."""
    return [{**effect, "word": DIRECTIONS[effect["direction"]]} for effect in item["effects"]]


def said(item: Json) -> str:
    """What happened, in two or three words."""
    if item["subject"] != "rule":
        return KINDS[item["kind"]]
    kind = (item.get("rule_kind") or "rule").capitalize()
    return f"{kind} {KINDS[item['kind']].lower()}"


def _beside_text(pointer: str, item: Json) -> bool:
    """Whether a field is told as old and new: not where the redline or the rule itself shows it already."""
    return (
        pointer not in ("", "/text", "/title") if item["subject"] == "rule" else bool(pointer) and not item["segments"]
    )


def _sources(read: Read | None) -> dict[str, str]:
    """The sources of one side by id, as people name them."""
    return {one["id"]: f"{one['publisher']}, {one['title']}" for one in read.body["sources"]} if read else {}


def _members(item: Json) -> list[dict[str, Any]]:
    """A rule that was added or removed as a whole, member by member."""
    whole = item["fields"][0]
    side = "new" if "new" in whole else "old"
    members = whole[side] if isinstance(whole[side], dict) else {item["name"]: whole[side]}
    return [{"pointer": f"/{name}", "change": item["kind"], side: value} for name, value in members.items()]


def line(one: Json, before: Mapping[str, str] = NOBODY, after: Mapping[str, str] = NOBODY) -> dict[str, Any]:
    """One field with its old and new value in words; a value that was not there is None.

    `before` and `after`: the sources of either side by id, as people name them.
    """
    last = one["pointer"].rpartition("/")[2]
    return {
        "name": field_name(one["pointer"]),
        "change": one["change"],
        "old": value(one["old"], last, before) if "old" in one else None,
        "new": value(one["new"], last, after) if "new" in one else None,
    }


def field_name(pointer: str) -> str:
    """/thresholds/prior-dmts/value -> Threshold, earlier disease-modifying treatments, value."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    words = ", ".join(_name(part) for part in parts if part != "ref" or len(parts) == 1)
    return f"{words[:1].upper()}{words[1:]}"


def _name(part: str) -> str:
    return NAMES.get(part) or views.MEASURES.get(part) or part.replace("_", " ").replace("-", " ")


def value(told: Json, member: str = "", sources: Mapping[str, str] = NOBODY) -> str:
    """A JSON value in words; nothing of it is left out. `sources`: those of its side by id, as people name them."""
    if isinstance(told, dict):
        return "; ".join(f"{_member(name)}: {value(one, name, sources)}" for name, one in told.items())
    if isinstance(told, list):
        return ", ".join(value(one, member, sources) for one in told) or "none"
    if isinstance(told, bool):
        return "yes" if told else "no"
    return _said_of(str(told), member, sources) if told is not None else "null"


def _member(name: str) -> str:
    return NAMES.get(name, name.replace("_", " "))


def _said_of(text: str, member: str, sources: Mapping[str, str]) -> str:
    """A text as it is, unless it is an id that stands for words."""
    if member in CITING:
        return sources.get(text, text)
    if member in NAMING:
        return views.name_of(text)
    if member == "what":
        return views.measure(text)
    return WORDS.get(member, {}).get(text, text)


def source(item: Json, old: Read | None, new: Read | None) -> Json:
    """The citation that stands behind a change, with its source: of the newer side, else of the older."""
    for name, read in (("new", new), ("old", old)):
        cited = (item.get("source") or {}).get(name)
        if cited and read:
            return {**cited, "source": next((one for one in read.body["sources"] if one["id"] == cited["ref"]), None)}
    return None


def act(item: Mapping[str, Any], recorded: Sequence[tuple[Json, Read]]) -> Json:
    """The first of the last acts on a version that left what changed as it is now."""
    held = [(revision, _part(read, item)) for revision, read in recorded]
    found = held[-1][0]
    for revision, part in reversed(held):
        if part != held[-1][1]:
            break
        found = revision
    return found


def _part(read: Read, item: Mapping[str, Any]) -> Json:
    """The rule, or the member, that a change is about."""
    return _rule(read, item) if item["subject"] == "rule" else read.body.get(item["name"])


def ending(item: Json) -> str | None:
    """Why a rule stands on the older side only."""
    return ending_of(**item["ending"]) if "ending" in item else None


def overridden(rows: Mapping[str, Row], reviewed: Mapping[str, Row]) -> dict[str, list[str]]:
    """By effect, what the reviewed table says wherever the operator's says otherwise."""
    return {effect: list(_otherwise(row, reviewed[effect])) for effect, row in rows.items() if row != reviewed[effect]}


def _otherwise(row: Row, reviewed: Row) -> Iterator[str]:
    if row.severity != reviewed.severity:
        yield reviewed.severity
    if row.words != reviewed.words:
        yield f"“{reviewed.words}”"
    for kind in sorted(row.kinds.keys() | reviewed.kinds.keys()):
        if row.kinds.get(kind) != reviewed.kinds.get(kind):
            yield f"{kind}: {reviewed.kinds.get(kind, 'as any other')}"


def absent(pairs: Sequence[Json], pair: Json, name: str) -> str:
    """What stands on a side without a version, and the parts of its places that have one there."""
    asked = pair[name]["asked"]
    if not asked.get("on"):
        return "Nothing was recorded"
    said = ABSENT.get(asked["state"], ABSENT["nothing-recorded"])
    wholes = {*pair["jurisdictions"]}
    found: dict[str, list[str]] = {}
    for other in pairs:
        parts = [part for part in other["jurisdictions"] if wholes & {*within(part)[1:]}]
        if other[name]["version"] and parts:
            found.setdefault(other[name]["version"].rpartition("@")[2], []).extend(parts)
    if not found:
        return said
    told = [f"version {number} is recorded as in force in {views.places(parts)}" for number, parts in found.items()]
    return f"{said} for {views.places(pair['jurisdictions'])} as a whole; {views.joined(told)}"


def incomparable(answer: Json, place: str | None) -> str:
    """Why there is nothing to compare, where nothing stands on either side; else nothing."""
    if not answer["sides"]:
        about = f" about {views.place(place)}" if place else ""
        return f"This document says nothing{about}, so there is nothing to compare."
    if not any(side[name]["sha256"] for side in answer["sides"] for name in ("old", "new")):
        return "On neither side is a version recorded as in force."
    return ""


# --- the whole -------------------------------------------------------------------------------------------


def changes(answer: Json, bodies: Bodies) -> list[dict[str, Any]]:
    """Every change, what changes the rules first, each with its place among them."""
    ordered = sorted(answer["changes"], key=lambda item: item["subject"] != "rule")
    return [
        change(item, number, len(ordered), _side(answer["sides"], item), bodies)
        for number, item in enumerate(ordered, start=1)
    ]


def _side(sides: Sequence[Json], item: Json) -> Json:
    """The pair of states in which a change was found."""
    if "version" in item:
        return next(side for side in sides if side.get("version") == item["version"])
    if "document" in item:
        return next(side for side in sides if "document" in side)
    named = set(item.get("jurisdictions", ()))
    return next((side for side in sides if named & set(side.get("jurisdictions", ()))), sides[0])


def unchanged(answer: Json, bodies: Bodies) -> list[Json]:
    """The rules that stand on both sides, the same: those of the first pair, named so that nobody wonders."""
    if not answer["sides"] or answer["question"] == "revisions":
        return []
    side = answer["sides"][0]
    old, new = bodies(side["old"]), bodies(side["new"])
    touched = {item["name"] for item in answer["changes"] if item["subject"] == "rule"}
    stayed = old.rules.keys() - touched if old else set()
    return [rule for name, rule in new.rules.items() if name in stayed] if new else []


def summary(told: Json) -> dict[str, Any]:
    """Counts in the order in which they matter, those that are none left out."""
    return {
        "total": told["changes"],
        "severities": [(name, told["severities"][name]) for name in SEVERITIES if told["severities"].get(name)],
        "directions": [
            (name, DIRECTIONS[name], told["directions"][name])
            for name in ("tightened", "relaxed", "unordered")
            if told["directions"].get(name)
        ],
        "kinds": [(KINDS[name], told["kinds"][name]) for name in KINDS if told["kinds"].get(name)],
        "review": told["needs_review"],
    }


def backward(answer: Json, steps: Mapping[int, views.Step]) -> str:
    """That the second side is the earlier one, where it is: of two versions by the days on which they took effect."""
    later = "The first side is later than the second."
    if answer["question"] == "versions":
        first, second = (answer["sides"][0][side]["asked"]["version"] for side in ("old", "new"))
        old, new = steps.get(first), steps.get(second)
        if old and new and old.start != new.start:
            took = f"Version {second} took effect on {new.told}, before version {first} did ({old.told})."
            return took if new.start < old.start else ""
    return later if answer["order"] == "backward" else ""


def heading(question: str, asked: Mapping[str, str]) -> str:
    """Both sides and which axis, for the title."""
    if question == "versions":
        first, second = (asked[side].rpartition("@")[2] for side in ("from", "to"))
        return f"What changed from version {first} to version {second}"
    if question == "in-force":
        return f"What changed in force between {_day(asked['from'])} and {_day(asked['to'])}"
    if question == "corrections":
        moments = " and ".join(known(asked.get(side)) for side in ("from_at", "to_at"))
        return f"What the register said of {_day(asked['on'])}, as known {moments}"
    moments = " and ".join(moment(asked.get(side)) for side in ("from_at", "to_at"))
    return f"What the register recorded between {moments}"


def _day(text: str) -> str:
    """A day that no line breaks."""
    return views.day(text).replace(" ", "\u00a0")


def known(text: str | None) -> str:
    """As of which moment something was known, as people say it."""
    said = moment(text)
    return said if said == "now" else f"at {said}"


def moment(text: str | None) -> str:
    """A moment in recorded time as people say it."""
    if not text:
        return "now"
    if len(text) == 10 and text[4] == "-":
        return f"the end of {_day(text)}"
    return views.instant(text) if "T" in text else f"revision {text[:10]}"
