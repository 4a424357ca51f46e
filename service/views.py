"""Answers as pages show them: small pure functions from JSON to what a template draws. No Flask, no clock, no store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from guidance import register
from guidance.model import Document, Json, PartialDate
from guidance.register import IN_FORCE, Span, coming, spans
from guidance.register import Stretch as Following
from guidance.vocabulary import AUTHORITIES, BINDING, COHORTS, JURISDICTIONS, MODALITIES, UNCONFIRMED, outermost, within
from service.timeline import Lane, Mark, Stretch

To = Callable[..., str]
"""The address of a page of ours, with the question's own parameters kept."""

MONTHS: Final = tuple(date(2000, month, 1).strftime("%B") for month in range(1, 13))
KINDS: Final = {
    "suspension": "Suspension",
    "contraindication": "Contraindications",
    "restriction": "Restrictions",
    "supply": "Supply and dispensing",
    "indication": "Indications",
    "posology": "Dose",
    "monitoring": "Monitoring",
    "precaution": "Precautions",
    "information": "Information for patients",
}
"""Kinds of rule in the order in which a reader must not miss them, as headings."""
COUNTED: Final = {
    "contraindication": ("contraindication", "contraindications"),
    "restriction": ("restriction", "restrictions"),
    "supply": ("on supply", "on supply"),
    "indication": ("indication", "indications"),
    "posology": ("on dose", "on dose"),
    "monitoring": ("on monitoring", "on monitoring"),
    "precaution": ("precaution", "precautions"),
    "information": ("on information", "on information"),
}
STATUSES: Final = {
    "overruled": "Overruled: the authority decided otherwise.",
    "overtaken": "Overtaken by events before it was decided.",
    "withdrawn": "Withdrawn before it took effect.",
}
SYSTEMS: Final = {"atc": "ATC", "ema-product": "EMA product number", "eu-number": "EU number"}
MEASURES: Final = {"prior-dmts": "earlier disease-modifying treatments"}
"""What a threshold counts, where its id does not read as words."""
COMMON: Final = ("EU", "UK", "GB", "NI", "CH", "EEA")


def address(kept: Mapping[str, str], path: str, **more: Any) -> str:
    """An address of ours with the question's parameters kept; those given as None are left out."""
    query = {name: value for name, value in {**kept, **more}.items() if value is not None and value != ""}
    return f"{path}?{urlencode(query)}" if query else path


# --- words -----------------------------------------------------------------------------------------------


def day(text: str) -> str:
    """2020-01-16 -> 16 January 2020."""
    known = date.fromisoformat(text)
    return f"{known.day} {MONTHS[known.month - 1]} {known.year}"


def day_before(text: str) -> str:
    """The last day of a period, from its exclusive end."""
    known = date.fromisoformat(text)
    return (known - timedelta(days=1)).isoformat() if known > date.min else text


def last_day(text: str) -> str:
    return day(day_before(text))


def instant(text: str) -> str:
    """2026-11-22T16:26:52Z -> 22 November 2026, 16:26 UTC."""
    known = datetime.fromisoformat(text)
    return f"{day(known.date().isoformat())}, {known:%H:%M} {'UTC' if text.endswith('Z') else known.strftime('%z')}"


def partial_day(text: str) -> str:
    """A day, a month or a year, no more precise than it is."""
    parts = text.split("-")
    return day(text) if len(parts) == 3 else f"{MONTHS[int(parts[1]) - 1]} {parts[0]}" if len(parts) == 2 else text


def place(code: str) -> str:
    """A jurisdiction within a sentence: EU -> the EU, DE -> Germany."""
    if code in ("EU", "EEA", "UK"):
        return f"the {code}"
    name = JURISDICTIONS[code].name if code in JURISDICTIONS else code
    return f"the {name}" if code in ("NL",) else name


def joined(words: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([*[", ".join(words[:-1])], words[-1]]) if len(words) > 1 else "".join(words)


def places(codes: Iterable[str]) -> str:
    return joined([place(code) for code in codes])


def where(codes: Sequence[str], but_not: Sequence[str] = ()) -> str:
    """Where a rule holds: In Great Britain, not in ..."""
    return f"In {places(sorted(codes))}" + (f", not in {places(sorted(but_not))}" if but_not else "")


def name_of(inn: str) -> str:
    """A medicine's name as people read it: hydroxyethyl-starch -> Hydroxyethyl starch."""
    text = inn.replace("-", " ")
    return text[:1].upper() + text[1:]


def sentence(text: str, *names: str | None) -> str:
    """A text that begins as a sentence does, unless it begins with a name that is written as it is."""
    first = text.partition(" ")[0]
    return text if first in names or not first.isalpha() else f"{text[:1].upper()}{text[1:]}"


def system(name: str) -> str:
    """A code system's name as people read it."""
    return SYSTEMS.get(name, name.replace("-", " "))


def measure(name: str) -> str:
    """What a threshold counts, as people read it."""
    text = MEASURES.get(name, name.replace("-", " "))
    return f"{text[:1].upper()}{text[1:]}"


def cohort(name: str) -> str:
    return COHORTS.get(name, name)


def modality(name: str) -> str:
    return MODALITIES.get(name, name)


def unconfirmed(name: str) -> str:
    return UNCONFIRMED.get(name, name)


def authority(name: str) -> str:
    return AUTHORITIES.get(name, name.upper())


def jurisdictions(first: str) -> list[dict[str, str]]:
    """The choice of places: none asked for, then the common ones, then states by name."""
    states = sorted((code for code in JURISDICTIONS if code not in COMMON), key=lambda code: JURISDICTIONS[code].name)
    named = [{"value": code, "text": JURISDICTIONS[code].name} for code in (*COMMON, *states)]
    return [{"value": "", "text": first}, *named]


# --- rules -----------------------------------------------------------------------------------------------


def by_kind(rules: Iterable[Json]) -> list[dict[str, Any]]:
    """Rules under the heading of their kind, in the order of KINDS, each kind's in the order recorded."""
    held = list(rules)
    known = [*KINDS, *sorted({rule["kind"] for rule in held} - set(KINDS))]
    groups = [(kind, [rule for rule in held if rule["kind"] == kind]) for kind in known]
    return [{"kind": kind, "title": KINDS.get(kind, kind), "rules": found} for kind, found in groups if found]


def counted(rules: Iterable[Json]) -> list[dict[str, Any]]:
    """How many rules of each kind, in words."""
    return [{"kind": group["kind"], "text": _count(group["kind"], len(group["rules"]))} for group in by_kind(rules)]


def _count(kind: str, count: int) -> str:
    return "Suspension" if kind == "suspension" else f"{count} {COUNTED.get(kind, (kind, kind))[count > 1]}"


def about(rules: Iterable[Json], inn: str) -> list[Json]:
    """The rules that are about a medicine which their version names: those that name it, and those that name none."""
    return [rule for rule in rules if inn in rule.get("medicines", (inn,))]


def own_starts(rules: Sequence[Json], places: Iterable[str], on: date) -> dict[str, Any]:
    """The days since which rules hold that do not hold since their version does: of `all` of them, or of `some`.

    A rule may name days of its own (`commencements`); the last of them by the day asked about counts.
    """
    found = [_own_start(rule, tuple(places), on) for rule in rules]
    days = sorted({day for day in found if day})
    return {"days": days, "all": bool(days) and None not in found}


def _own_start(rule: Json, places: Sequence[str], on: date) -> str | None:
    told = [one for one in rule.get("commencements", ()) if any({*within(p)} & {*one["jurisdictions"]} for p in places)]
    return max((one["from"] for one in told if "from" in one and one["from"] <= on.isoformat()), default=None)


# --- one document on a day -------------------------------------------------------------------------------


def parts(answer: Json, bodies: Mapping[int, Json]) -> list[dict[str, Any]]:
    """The parts of a place that differ from the whole: what holds there besides, what does not, or all of it.

    `bodies` holds the versions by number.
    """
    whole = [rule["id"] for rule in answer["version"]["rules"]] if answer["version"] else []
    number = answer["selected"]["version"]
    found = []
    for part in answer["parts"]:
        same = part["version"] == number and part["state"] == answer["selected"]["state"]
        rules = {rule["id"]: rule for rule in bodies[part["version"]]["rules"]} if part["version"] else {}
        also = [rules[name] for name in part["rules"] if not same or name not in whole]
        without = [rules[name] for name in whole if name not in part["rules"]] if same else []
        if not same or also or without:
            body = bodies[part["version"]] if part["version"] else {"title": None, "sources": []}
            told = {"title": body["title"], "sources": body["sources"], **_part_tag(part, answer["coming"])}
            found.append({**part, **told, "same": same, "also": also, "without": without})
    return found


def _part_tag(part: Json, coming: Iterable[Json]) -> dict[str, Any]:
    """How a part with a word of its own is tagged, as in the answer about the part alone; and what is known instead of
    a first day."""
    item = pending_in(part["jurisdiction"], coming) if part["state"] == "not-yet" else None
    if item:
        lead = f"Version {item['version']} is {item['stage']}, and its first day in {place(part['jurisdiction'])}"
        known = f"{lead} is not recorded. {decided(item)} That no day is recorded does not mean that it does not apply."
        return {"tag": without_day(item["stage"], item["state"], item["expected"]), "known": known}
    return {"tag": {"state": part["state"], "word": state_word(part)}, "known": None}


def placed(answer: Json) -> str:
    """The place asked about, and the whole whose word is used where it has none of its own."""
    asked, spoken = answer["jurisdiction"], answer["selected"]["jurisdiction"]
    return place(asked) if asked == spoken else f"{place(asked)} (as for {place(spoken)} as a whole)"


def pending(answer: Json, number: int | None = None) -> Json:
    """The version that binds the place asked about, and of which no first day is recorded; None where there is none.

    `number`: only that version. Such a version may well apply: nobody may read "does not apply" there.
    """
    return pending_in(answer["jurisdiction"], answer["coming"], number)


def pending_in(code: str, coming: Iterable[Json], number: int | None = None) -> Json:
    """The same of one place among what is coming; what a part awaits as its whole does is told of the whole alone."""
    versions = [item for item in coming if item["rule"] is None]
    own = {item["version"] for item in versions if item["jurisdiction"] == code}
    heard = {*within(code)}
    for item in versions:
        its_own = item["jurisdiction"] == code or item["version"] not in own
        if its_own and undated(item) and number in (None, item["version"]) and item["jurisdiction"] in heard:
            return item
    return None


def undated(item: Json) -> bool:
    """Whether something awaited is a version that binds, and has no first day."""
    return item["rule"] is None and item["from"] is None and item["stage"] in BINDING


def decided(item: Json) -> str:
    """What is known of a version without a first day, in a few words."""
    if item["state"] == "outstanding":
        return f"It was expected {_expectation(item['expected'])}, and no day was confirmed (outstanding)."
    if item["expected"]:
        return f"It is expected {_expectation(item['expected'])}; no day is confirmed."
    return f"Awaited: {item['trigger']}." if item["trigger"] else "No day is known."


def _expectation(text: str) -> str:
    return f"{'on' if len(text) == 10 else 'in'} {partial_day(text)}"


def expecting(expected: str) -> str:
    """What is awaited in a time that is known, on a day that is not."""
    unsure = "the day is not confirmed" if len(expected) == 10 else "no day is known"
    return f"Expected {_expectation(expected)}; {unsure}"


def without_day(stage: str, state: str, expected: str | None) -> dict[str, str]:
    """How a version that binds and has no first day is tagged, in every list the same."""
    if state == "outstanding" or expected:
        return {"state": state, "word": ""}
    return {"state": "outstanding", "word": f"{stage}, day not recorded"}


def also(answer: Json) -> str:
    """A sentence on a version that binds without a first day, where something else is known of the place."""
    item = pending(answer)
    if item is None or answer["selected"]["state"] in ("not-yet", "nothing-recorded"):
        return ""
    where = place(answer["jurisdiction"])
    lead = f"Version {item['version']} is {item['stage']} too, and its first day in {where} is not recorded."
    return f"{lead} {decided(item)}"


def line_tag(line: Json) -> dict[str, str]:
    """How one line of what a document says is tagged: a version without a first day as it is among what is coming."""
    item = line["awaits"]
    if item and undated(item):
        return without_day(item["stage"], item["state"], item["expected"])
    return {"state": line["state"], "word": state_word(line)}


def state_word(told: Json) -> str:
    """What the tag of a state says, where that is more than the state: how it ended, and in which time it will end."""
    if told["state"] == "ending" and len(told["period"]["to"]) == 4:
        return "In force, ending this year"
    words = {"ended": told["ends"], "nothing-recorded": "Nothing recorded"}
    return words.get(told["state"]) or ""


Piece = dict[str, str]
"""Words, and where they lead if they lead anywhere."""


def nothing(answer: Json, to: To, path: str) -> dict[str, Any]:
    """What is true where no version is known to apply in the place asked about: a tag, a headline, and why.

    A day that is not recorded is not a rule that does not apply, and a whole may have nothing where its parts do.
    """
    selected, item = answer["selected"], pending(answer)
    applying = [part for part in answer["parts"] if part["state"] in IN_FORCE and part["rules"]]
    tag = {"state": selected["state"], "word": selected["ends"] if selected["state"] == "ended" else ""}
    if applying:
        tag = {"state": "in-force", "word": "In force in parts"}
    elif item and selected["state"] == "not-yet":
        tag = without_day(item["stage"], item["state"], item["expected"])
    elif selected["state"] == "nothing-recorded" and answer["document"]:
        tag["word"] = "Nothing recorded"
    if item and selected["state"] == "not-yet":
        return {**tag, **_undated_told(answer, item, applying, to, path)}
    if applying:
        whole = f"{place(answer['jurisdiction'])} as a whole"
        pieces = [{"text": "It applies in "}, *_linked(applying, to, path), {"text": "."}]
        return {**tag, "headline": pieces, "why": _why_whole(answer, whole)}
    headline, why = _why(answer)
    return {**tag, "headline": [{"text": headline}], "why": why}


def _undated_told(answer: Json, item: Json, applying: Sequence[Json], to: To, path: str) -> dict[str, Any]:
    """What is said of a version that binds without a day: recorded for some parts, or for none."""
    asked, spoken = answer["jurisdiction"], item["jurisdiction"]
    stage = item["stage"].capitalize()
    lead = (
        f"{stage} for {place(spoken)}; its first day in {place(asked)}"
        if asked != spoken
        else f"{stage}; its first day"
    )
    exempt = f"A {'state' if 'EU' in within(asked) else 'place'} that is not recorded is not exempt."
    if applying and {part["version"] for part in applying} == {item["version"]}:
        pieces = [{"text": f"{lead} is recorded only for "}, *_linked(applying, to, path), {"text": "."}]
        return {"headline": pieces, "why": f"{decided(item)} {exempt}"}
    pieces = [{"text": f"{lead} is not recorded."}]
    if applying:
        pieces += [{"text": " It applies in "}, *_linked(applying, to, path), {"text": "."}]
    elsewhere = f" {exempt}" if asked != spoken or "EU" in within(asked) else ""
    return {
        "headline": pieces,
        "version": {"text": f"Read version {item['version']}", "href": to(f"{path}/versions/{item['version']}")},
        "why": f"{decided(item)} That no day is recorded does not mean that it does not apply.{elsewhere}",
    }


def _linked(parts: Sequence[Json], to: To, path: str) -> list[Piece]:
    """Parts of a place by name, each leading to what holds there, with the version."""
    same = len({part["version"] for part in parts}) == 1
    pieces: list[Piece] = []
    for left, part in zip(range(len(parts) - 1, -1, -1), parts, strict=True):
        number = "" if same and left else f" (version {part['version']})"
        after = "" if not left else " and " if left == 1 else ", "
        href = to(path, jurisdiction=part["jurisdiction"])
        pieces += [{"text": place(part["jurisdiction"]), "href": href}, {"text": number + after}]
    return pieces


def _first_day(answer: Json) -> str | None:
    """The next day on which a version takes effect in the place asked about."""
    heard = within(answer["jurisdiction"])
    found = (one for one in answer["coming"] if one["from"] and not one["rule"] and one["stage"] in BINDING)
    return min((one["from"] for one in found if one["jurisdiction"] in heard), default=None)


def _why_whole(answer: Json, whole: str) -> str:
    """Why nothing is said of a whole whose parts have a word of their own."""
    selected, first = answer["selected"], _first_day(answer)
    if selected["state"] == "ended":
        return f"For {whole}, version {selected['version']} no longer applies."
    if selected["state"] == "nothing-recorded":
        return f"This document says nothing about {whole}."
    return f"For {whole} no day is recorded{f' before {day(first)}' if first else ''}."


def _why(answer: Json) -> tuple[str, str]:
    """In a headline and a sentence, why nothing of a document applies on a day."""
    selected, where = answer["selected"], placed(answer)
    if answer["document"] is None:
        return "Nothing was recorded yet.", "The register begins later."
    if selected["state"] == "ended":
        return (
            "Nothing of this document applies.",
            f"Version {selected['version']} no longer applies in {where}, and nothing followed it.",
        )
    if selected["state"] == "not-yet":
        first = _first_day(answer)
        known = f"The register knows of this document; none of it is in force in {where} on this day."
        return "Not in force.", f"{known} It takes effect on {day(first)}." if first else known
    if selected["state"] == "not-recorded":
        return (
            "Not known.",
            f"This is older than what is recorded here for {where}: something may have applied, and is not recorded.",
        )
    return f"This document says nothing about {where}.", "That does not mean that nothing applies there."


def rule_unheld(answer: Json, rule: str, bodies: Mapping[int, Json]) -> tuple[str, str]:
    """In a headline and a sentence, why a rule is not known to hold in the place asked about. `bodies`: by number."""
    item, where = pending(answer), placed(answer)
    if item and rule in [one["id"] for one in bodies[item["version"]]["rules"]]:
        lead = f"The first day of this rule in {place(answer['jurisdiction'])} is not recorded."
        return lead, f"It is part of version {item['version']}, {item['stage']}. {decided(item)}"
    if answer["selected"]["state"] in ("not-recorded", "nothing-recorded"):
        return _why(answer)
    return f"This rule does not apply in {where} on {day(answer['on'])}.", ""


def version_unheld(answer: Json, number: int) -> tuple[str, str]:
    """In a headline and a sentence, why a version is not known to apply in the place asked about."""
    item = pending(answer, number)
    if item:
        return f"The first day of this version in {place(answer['jurisdiction'])} is not recorded.", decided(item)
    if answer["selected"]["state"] in ("not-recorded", "nothing-recorded"):
        return _why(answer)
    return f"This version is not what applies in {placed(answer)} on {day(answer['on'])}.", ""


def awaited(item: Json, title: str, href: str, rules: Mapping[str, str] | None = None) -> dict[str, Any]:
    """One thing that a document awaits, as macros/coming.html takes it."""
    rule = (rules or {}).get(item["rule"]) if item["rule"] else None
    tag = without_day(item["stage"], item["state"], item["expected"]) if undated(item) else {"state": item["state"]}
    return {
        "title": rule or title,
        "href": href,
        "from": item["from"],
        "expected": item["expected"],
        "trigger": item["trigger"],
        **tag,
        "stage": None if tag.get("word") else item["stage"],
        "jurisdictions": [item["jurisdiction"]],
        "of": {item["version"]: title} if rule else {},
    }


def gathered(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items that differ in nothing but the place, or the version that has the rule, as one."""
    found: dict[str, dict[str, Any]] = {}
    for item in items:
        key = repr({name: value for name, value in item.items() if name not in ("jurisdictions", "of")})
        one = found.setdefault(key, {**item, "jurisdictions": [], "of": {}})
        one["jurisdictions"] += [code for code in item["jurisdictions"] if code not in one["jurisdictions"]]
        one["of"].update(item["of"])
    return [{**one, "text": f"One rule of {of_versions(one['of'])}." if one["of"] else None} for one in found.values()]


def of_versions(titles: Mapping[int, str]) -> str:
    """Versions by number, the title too where there is one."""
    if len(titles) > 1:
        return f"versions {joined([str(number) for number in sorted(titles)])}"
    return "".join(f"version {number}, {title}" for number, title in titles.items())


def happening(item: Json, to: To) -> dict[str, Any]:
    """One thing of the register's calendar, as macros/coming.html takes it."""
    href = to(f"/documents/{item['document']}")
    ends = item["what"] == "ends"
    tag = {"state": "ended", "word": item["ends"] or "ends"} if ends else {"state": item["state"]}
    if not (ends or item["day"] or item["rules"]) and item["stage"] in BINDING:
        tag = without_day(item["stage"], item["state"], item["expected"])
    return {
        "title": item["title"],
        "href": href,
        "from": item["day"],
        "expected": item["expected"],
        "trigger": item["trigger"],
        "no_later_than": None if item["day"] else item["no_later_than"],
        **tag,
        "stage": None if tag.get("word") else item["stage"],
        "jurisdictions": item["places"],
        "medicines": few([name_of(inn) for inn in item["medicines"]]),
        "text": said(item),
    }


def happened(item: Json, to: To) -> dict[str, Any]:
    """One thing that began or ended by the day."""
    begins = item["what"] == "begins"
    word = "Known to apply" if item["at_latest"] else "Took effect"
    return {**happening(item, to), **({"state": "in-force", "word": word, "stage": None} if begins else {})}


def said(item: Json) -> str:
    """What happens, in a few words: which version, or which rules of it."""
    version = f"version {item['version']}, {item['version_title']}"
    rules = item["rules"]
    end = "The end of " if item["what"] == "ends" else ""
    if end and not rules:
        return f"{end}{version}."
    if len(rules) == 1:
        of = of_versions(dict.fromkeys(item["versions"], item["version_title"]))
        return f"{end}{rules[0]} (one rule of {of})."
    if rules:
        return f"{end}{len(rules)} {'' if end else 'more '}rules of {version}."
    return f"{version[0].upper()}{version[1:]}."


def few(words: Sequence[str], most: int = 5) -> list[str]:
    """At most so many words, and how many more there are."""
    return [*words[:most], f"{len(words) - most} more"] if len(words) > most else list(words)


def by_month(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Dated items under their months, in the order given."""
    months = groupby(items, key=lambda item: str(item["from"])[:7])
    return [{"month": partial_day(month), "items": list(found)} for month, found in months]


def only(filters: Mapping[str, str | None]) -> str:
    """What a list is narrowed to, in words; empty where it is not."""
    words = {"medicine": name_of, "authority": authority}
    return ", ".join(words[name](value) for name, value in filters.items() if value)


# --- versions --------------------------------------------------------------------------------------------


def periods(found: Iterable[Json], body: Json) -> list[dict[str, Any]]:
    """Stretches in force of a version, those of several places that are the same as one, as sure as they are known.

    Places for which the version binds and no first day is recorded come last, with what is known instead.
    """
    same: dict[tuple[Any, ...], list[str]] = {}
    for one in found:
        sure = tuple(one.get("unconfirmed", ())), bool(one.get("at_latest"))
        same.setdefault((one["from"], one["to"], one["ends"], *sure), []).append(one["jurisdiction"])
    return [
        {
            "from": start,
            "to": end,
            "ends": ends,
            "unconfirmed": list(open_),
            "at_latest": late,
            "places": outermost(codes),
        }
        for (start, end, ends, open_, late), codes in same.items()
    ] + _dayless(body)


def _dayless(body: Json) -> list[dict[str, Any]]:
    if body["stage"] not in BINDING or body["status"] != "standing":
        return []
    return [
        {"from": None, "to": None, "ends": None, "expected": told.get("expected"), "places": told["jurisdictions"]}
        for told in body["commencements"]
        if "from" not in told
    ]


class Step(NamedTuple):
    """One version taking effect: on which day, how sure that is, and which version applied before it there, if any."""

    start: date
    told: str
    before: int | None


def steps(document: Document, asked: str | None) -> dict[int, Step]:
    """By number, how each version that takes effect somewhere in the question's scope did so."""
    found = register.steps(document, asked)
    return {number: Step(one.stretch.start, _start_told(one.stretch), one.before) for number, one in found.items()}


def _start_told(stretch: Following) -> str:
    told = stretch.commencement.body
    late = " or earlier" if told.get("at_latest") else ""
    return (
        f"{day(stretch.start.isoformat())}{late}{' (not confirmed)' if 'from' in told.get('unconfirmed', ()) else ''}"
    )


def compared_with(number: int, found: Mapping[int, Step]) -> int | None:
    """With which version to compare one: what applied before it; where none did, the last by number, unless later."""
    step = found.get(number)
    if step and step.before:
        return step.before
    previous = found.get(number - 1)
    return number - 1 if number > 1 and not (step and previous and previous.start > step.start) else None


def revisions(name: str, found: Iterable[Json]) -> list[dict[str, Any]]:
    """Revisions with the numbers of the versions of one document that each of them recorded."""
    heads = f"{name}@"
    return [
        {**one, "versions": [subject.removeprefix(heads) for subject in one["subjects"] if subject.startswith(heads)]}
        for one in found
    ]


def brands(medicines: Iterable[Json], inn: str | None = None) -> list[str]:
    """Brand names, of one medicine or of all, each once."""
    named = [medicine for medicine in medicines if inn in (None, medicine["inn"])]
    return list(dict.fromkeys(brand for medicine in named for brand in medicine.get("brands", ())))


# --- the drawn timeline ----------------------------------------------------------------------------------


def lanes(document: Document, codes: Sequence[str], on: date, to: To) -> list[Lane]:
    """A lane for each place, without the parts whose lane would be that of the whole."""
    shared: dict[tuple[Any, ...], list[str]] = {}
    for code in codes:
        row = _stretches(document, code, on, to), _awaited(document, code, on, to)
        if any(row):
            shared.setdefault(row, []).append(code)
    return [Lane(", ".join(JURISDICTIONS[code].name for code in outermost(same)), *row) for row, same in shared.items()]


def beliefs(values: Iterable[tuple[Json, Document]], code: str, on: date, to: To) -> list[dict[str, Any]]:
    """What was known of one place through recorded time: a lane for each revision that changed it, oldest first.

    Of several that were recorded at one instant only the last could ever be seen from it.
    """
    found: list[dict[str, Any]] = []
    for revision, document in values:
        learned = date.fromisoformat(revision["recorded_at"][:10])
        label = f"Known from {_short(learned)}"
        at = partial(to, at=revision["id"])
        row = _stretches(document, code, on, at), _awaited(document, code, learned, at)
        same = (_unlinked(row[0]), [(one.label, one.state) for one in row[1]])
        if found and found[-1]["revision"]["recorded_at"] == revision["recorded_at"]:
            found.pop()
        if any(row) and (not found or found[-1]["same"] != same):
            found.append({"lane": Lane(label, *row, learned=learned), "revision": revision, "same": same})
    return found


def only_in_parts(document: Document, whole: str, codes: Iterable[str]) -> list[dict[str, Any]]:
    """Versions that hold in parts of a place, among `codes`, and never in the whole of it: which, and where."""
    held = {code: {span.version for span in spans(document, code) if span.version} for code in (whole, *codes)}
    found: dict[tuple[str, ...], list[int]] = {}
    for number in sorted(set().union(*held.values()) - held[whole]):
        found.setdefault(tuple(code for code in held if number in held[code]), []).append(number)
    return [{"versions": numbers, "places": places} for places, numbers in found.items()]


def _unlinked(row: Sequence[Stretch]) -> list[Stretch]:
    return [replace(stretch, href="") for stretch in row]


def _stretches(document: Document, code: str, on: date, to: To) -> tuple[Stretch, ...]:
    """What holds through time, spans of one version and state that touch as one."""
    same = groupby(spans(document, code), key=lambda span: (span.version, span.state))
    runs = [list(found) for _, found in same]
    return tuple(_stretch(document, run, on, to) for run in runs if run[0].version or run[0].state == "not-recorded")


def _stretch(document: Document, run: Sequence[Span], on: date, to: To) -> Stretch:
    first, end = run[0], run[-1].period.end
    start = None if first.period.start == date.min else first.period.start
    if not first.applies:
        label = "Not recorded" if first.state == "not-recorded" else f"Nothing: {first.ends or 'ended'}"
        return Stretch(start, end, "gap", label, ("–",), say="nothing applies")
    later = "coming" if start and start > on else "ended"
    state = first.state if any(span.period.covers(on) for span in run) else later
    version = document.version(first.version or 0)
    return Stretch(
        start,
        end,
        state,
        f"Version {first.version}: {version.title if version else ''}",
        _shorter(first.version),
        sub=short_period(start, end, first.commencement.body if first.commencement else {}),
        href=to(f"/documents/{document.id}/versions/{first.version}"),
    )


def _shorter(number: int | None) -> tuple[str, ...]:
    return f"Version {number}", f"{number}"


def _awaited(document: Document, code: str, on: date, to: To) -> tuple[Stretch, ...]:
    """Versions that are awaited without a day, where they are expected."""
    found = [item for item in coming(document, code) if item.start is None and item.rule is None and item.awaited(on)]
    return tuple(
        Stretch(
            item.expected.first if item.expected else on,
            None,
            item.state(on),
            f"Version {item.version}, {_expected(item.expected)}",
            _shorter(item.version),
            href=to(f"/documents/{document.id}/versions/{item.version}"),
        )
        for item in found
    )


def _expected(known: PartialDate | None) -> str:
    return f"expected {partial_day(str(known))}" if known else "no day known"


def short_period(start: date | None, end: date | None, told: Mapping[str, Json]) -> str:
    """As short as it can be said: 12 Sep 2013 – 11 Apr 2019; `told` is the commencement, which says how sure it is."""
    open_ = told.get("unconfirmed", ())
    first = _short(start) if start else ""
    first += (" or earlier" if told.get("at_latest") else "") + (" (not confirmed)" if "from" in open_ else "")
    if not end:
        return f"from {first}" if first else ""
    unsure = " (not confirmed)" if "to" in open_ and told.get("to") == end.isoformat() else ""
    return f"{first} – {_short(end - timedelta(days=1))}{unsure}"


def _short(known: date) -> str:
    return f"{known.day} {MONTHS[known.month - 1][:3]} {known.year}"


def marks(on: date, today: date) -> list[Mark]:
    """Today, and the day asked about where it is another."""
    now = Mark(today, "today", "Today")
    return [now] if on == today else [now, Mark(on, "on", _short(on))]


def told(lanes: Iterable[Lane], on: date, today: date, corrected: Sequence[date] = ()) -> str:
    """The drawing in words."""
    said = [
        f"{lane.label}: " + "; ".join(f"{one.label} {one.sub}".strip() for one in (*lane.stretches, *lane.awaited))
        for lane in lanes
    ]
    asked = "" if on == today else f" The day asked about is {_short(on)}."
    anew = f" Corrected on {', '.join(map(_short, corrected))}." if corrected else ""
    return ". ".join(said) + f". Today is {_short(today)}.{asked}{anew}"


def corrections(revisions: Iterable[Json]) -> list[date]:
    """The days on which something was recorded anew, oldest first."""
    return sorted({date.fromisoformat(one["recorded_at"][:10]) for one in revisions if one["act"] == "correct"})


def applies(state: str) -> bool:
    return state in IN_FORCE
