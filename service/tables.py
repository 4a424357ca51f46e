"""Answers as tables that read well on a terminal, or whole as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from guidance.errors import NotFound
from guidance.model import Json
from guidance.vocabulary import COHORTS, MODALITIES, UNCONFIRMED, ending_of
from service import views

PIPED_WIDTH = 160
MARKS = {
    "in-force": "in force",
    "ending": "in force, ending",
    "ended": "ended",
    "not-yet": "not yet in force",
    "not-recorded": "older than its record",
    "nothing-recorded": "nothing recorded for this place",
}


class _Terminal(Console):
    """Shows every text as it is: what stands in brackets, or between colons, is nobody's word for how to show it."""

    def __init__(self, width: int | None = None) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, width=width)

    def on_broken_pipe(self) -> None:
        """Whoever read has seen enough: that is done, and not the code of what looks odd."""
        with suppress(SystemExit):
            super().on_broken_pipe()
        raise SystemExit(0)


def _console() -> Console:
    """The terminal as it is; wide where the output goes to a file or another program."""
    terminal = _Terminal()
    return terminal if terminal.is_terminal else _Terminal(PIPED_WIDTH)


def as_json(answer: Json) -> None:
    """The whole answer, for programs."""
    click.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def last_day(end: str | None) -> str:
    """A period's end as people say it: the last day on which it holds, or the month or year as printed."""
    if end is None or len(end) < 10:
        return end or ""
    return (date.fromisoformat(end) - timedelta(days=1)).isoformat()


def _until(told: Json) -> str:
    period = told["period"]
    if not period:
        return ""
    late = " or earlier" if told.get("at_latest") else ""
    until = f" until {last_day(period['to'])}" if period["to"] else ""
    return f"from {period['from']}{late}{until}" + (f", {told['ends']}" if told["ends"] and period["to"] else "")


def _head(console: Console, answer: Json) -> None:
    revision = answer["revision"]
    looked = (
        f"as recorded {revision['recorded_at']} (revision {revision['id'][:12]})" if revision else "nothing recorded"
    )
    asked = answer["asked"]
    day = f"on {answer['on']}, " if "on" in answer else ""
    place = answer.get("jurisdiction") or asked.get("jurisdiction")
    console.print(Text(f"{day}{f'in {place}, ' if place else ''}{looked}", style="dim"))
    if revision and revision["replayed"]:
        console.print(Text("Replayed from a journal: this is not when the register really learned it.", style="yellow"))


def _said(told: Json, coming: list[Json]) -> Text:
    """One selected span in words; what binds without a first day is not told as what does not apply."""
    open_ = views.pending_in(told["jurisdiction"], coming)
    mark = "no first day is recorded, which does not mean that it does not apply" if open_ else MARKS["not-yet"]
    state = mark if told["state"] == "not-yet" else MARKS[told["state"]]
    text = Text(f"{told['jurisdiction']}: {state}", style="bold")
    if told["version"]:
        text.append(f", version {told['version']}, {_until(told)}", style="default")
    unconfirmed = told.get("unconfirmed")
    if unconfirmed:
        words = ", ".join(UNCONFIRMED[one] for one in unconfirmed)
        text.append(f" (not confirmed in a source: {words})", style="yellow")
    if told.get("no_later_than"):
        text.append(f"\n  may be delayed, no later than {told['no_later_than']}", style="yellow")
    return text


def rules(answer: Json) -> None:
    """The rules in force, by document, and what is coming."""
    console = _console()
    _head(console, answer)
    for told in answer["documents"]:
        console.print()
        console.print(Text(f"{told['document']}  {told['title']}", style="bold underline"))
        for selected in told["selected"]:
            console.print(_said(selected, [one for one in answer["coming"] if one["document"] == told["document"]]))
        table = _table("rule", "kind", "modality", "for", "in", "text")
        for item in (item for item in answer["rules"] if item["document"] == told["document"]):
            rule = item["rule"]
            places = " ".join(item["jurisdictions"]) + "".join(f" (not {part})" for part in item["but_not"])
            table.add_row(rule["id"], rule["kind"], *_bound(rule), places, _sentence(rule))
        if table.row_count:
            console.print(table)
    if not answer["documents"]:
        console.print("No document answers this question. That does not mean that nothing applies.")
    _coming(console, answer["coming"], answer["more_coming"])
    _next(console, answer)


def _next(console: Console, answer: Json) -> None:
    if answer["next_change_on"]:
        console.print(Text(f"\nThis answer changes on {answer['next_change_on']}.", style="dim"))


def _coming(console: Console, coming: list[Json], more: bool) -> None:
    if not coming:
        return
    console.print(Text("\nComing", style="bold"))
    for item in coming:
        day = item["from"] or item["expected"] or "day not known"
        what = f"{item.get('document', '')} version {item['version']}".strip() + (
            f", rule {item['rule']}" if item["rule"] else ""
        )
        trigger = f", on {item['trigger']}" if item["trigger"] else ""
        late = " OUTSTANDING: the time has passed, no day is confirmed" if item["state"] == "outstanding" else ""
        console.print(f"  {day}  {item['jurisdiction']}  {what} ({item['stage']}{trigger}){late}")
    if more:
        console.print("  and more after that: the versions tell all")


def document(answer: Json, bodies: Mapping[int, Json]) -> None:
    """One document on a day. `bodies` holds the versions of its parts by number."""
    console = _console()
    _head(console, answer)
    if answer["document"]:
        console.print(Text(f"\n{answer['document']['id']}  {answer['document']['title']}", style="bold underline"))
    console.print(_said(answer["selected"], answer["coming"]))
    basis = answer["selected"].get("ends_basis" if answer["selected"]["state"] == "ended" else "basis")
    if basis:
        console.print(Text(f"  {basis}", style="dim"))
    for part in answer["parts"]:
        console.print(_said(part, answer["coming"]))
    if answer["version"]:
        console.print()
        _rules(console, answer["version"]["rules"])
    for part in views.parts(answer, bodies):
        _part(console, part)
    _coming(console, answer["coming"], answer["more_coming"])
    _next(console, answer)


def _part(console: Console, part: Json) -> None:
    """What holds in a part of the place besides what holds in all of it, or instead of it; and what does not."""
    if part["without"]:
        gone = ", ".join(rule["id"] for rule in part["without"])
        console.print(Text(f"\n{part['jurisdiction']}: these rules do not hold there: {gone}", style="bold"))
    if part["also"]:
        console.print(Text(f"\n{'Only in' if part['same'] else 'In'} {part['jurisdiction']}", style="bold"))
        _rules(console, part["also"])


def _rules(console: Console, found: list[Json]) -> None:
    table = _table("rule", "kind", "modality", "for", "text")
    for rule in found:
        table.add_row(rule["id"], rule["kind"], *_bound(rule), _sentence(rule))
    console.print(table)


def _bound(rule: Json) -> tuple[str, str]:
    """How a rule binds, and which patients it is about, in words."""
    return MODALITIES[rule["modality"]].lower(), COHORTS[rule["cohort"]].lower()


def _sentence(rule: Json) -> str:
    """What a rule says, and how it is read where that is not plain."""
    reading = rule.get("interpretation")
    return f"{rule['text']}\nHow this is read: {reading}" if reading else str(rule["text"])


def version(answer: Json) -> None:
    """One version as recorded."""
    console = _console()
    _head(console, answer)
    body = answer["version"]
    console.print(Text(f"\n{body['document']}@{body['number']}  {body['title']}", style="bold underline"))
    console.print(
        f"{body['stage']}, {body['status']}; recorded by {answer['recorded']['author']}: {answer['recorded']['reason']}"
    )
    for period in views.periods(answer["in_force"], body):
        console.print(f"{', '.join(period['places'])}: {_days(period)}")
    console.print(f"sha256 {answer['sha256']}\n")
    _rules(console, body["rules"])


def _days(period: Json) -> str:
    """A stretch in force, as sure as it is known."""
    if period["from"] is None:
        return f"expected {period['expected']}, no day known" if period["expected"] else "first day not recorded"
    late = " or earlier" if period["at_latest"] else ""
    unsure = " (not confirmed)" if "from" in period["unconfirmed"] else ""
    until = f" until {last_day(period['to'])}, {period['ends']}" if period["to"] else ""
    return f"from {period['from']}{late}{unsure}{until}{' (not confirmed)' if 'to' in period['unconfirmed'] else ''}"


def with_one_rule(answer: Json, rule: str, asked: str) -> Json:
    """An answer about a version, with only the rule asked for; raises NotFound."""
    body: dict[str, Any] = answer["version"] or {"rules": []}
    found = [r for r in body["rules"] if r["id"] == rule]
    parts = [{**part, "rules": [r for r in part["rules"] if r == rule]} for part in answer.get("parts", ())]
    if not found:
        raise NotFound(f"{asked}: {_unheld(answer, rule, [part['jurisdiction'] for part in parts if part['rules']])}")
    return {**answer, "version": {**body, "rules": found}, **({"parts": parts} if "parts" in answer else {})}


def _unheld(answer: Json, rule: str, places: list[str]) -> str:
    """Why there is no such rule to show. One that holds in a part, or whose day is not recorded, may well apply."""
    if places:
        where = " and in ".join(places)
        return f"in {answer['jurisdiction']} as a whole no rule {rule!r} is in force; it is in {where} (--jurisdiction)"
    why = f"no rule {rule!r} is in force there; leave out #{rule} to see which are"
    item = views.pending(answer) if "coming" in answer else None
    if item is None:
        return why
    return f"{why}; version {item['version']} is {item['stage']}, and its first day there is not recorded"


def revisions(found: list[Json]) -> None:
    """Who recorded what, when and why."""
    console = _console()
    table = _table("position", "recorded", "act", "what", "by", "why", "revision")
    for item in found:
        shown = ", ".join(item["subjects"][:3]) + (
            f" and {len(item['subjects']) - 3} more" if item["subjects"][3:] else ""
        )
        mark = " (replayed)" if item["replayed"] else ""
        cells = (str(item["position"]), item["recorded_at"] + mark, item["act"], shown, item["author"], item["reason"])
        table.add_row(*cells, item["id"][:12])
    console.print(table)


def diff(answer: Json) -> None:
    """What changed, in reading order; of several documents one after the other."""
    console = _console()
    _head(console, answer)
    if answer["order"] == "backward":
        console.print(Text("The sides are given backward in time.", style="yellow"))
    if answer["equal"]:
        console.print(_equal(answer.get("sides")))
    for part in answer.get("documents", [answer]):
        if "documents" in answer:
            console.print(Text(f"\n{part['document']}  {part['title']}", style="bold underline"))
        for change in part["changes"]:
            _change(console, change)


def _equal(sides: list[Json] | None) -> str:
    """What is told where nothing differs; that nothing stands on either side is no ground to call them the same."""
    if sides == []:
        return "This document says nothing about that place: there is nothing to compare."
    if sides and not any(side[one]["sha256"] for side in sides for one in ("old", "new")):
        return "On neither side is a version recorded as in force."
    return "No change: both sides are the same to the byte."


def _change(console: Console, change: Json) -> None:
    effects = ", ".join(effect["words"] for effect in change["effects"])
    line = Text(f"\n{change['kind']} {change['name']}{_where(change)}: {change['title']}", style="bold")
    line.append(f"  [{change['severity']}] {effects}", style="yellow")
    console.print(line)
    if "ending" in change:
        console.print(Text(f"  {ending_of(**change['ending'])}"))
    for why in change["review"]:
        console.print(Text(f"  needs review: {why}", style="yellow"))
    if change["segments"]:
        console.print(_redline(change["segments"]))
    text = "/text" if change["subject"] == "rule" else f"/{change['name']}"
    for field in change["fields"]:
        if field["pointer"] == "" and change["segments"]:
            for name, value in _beside_its_text(field):
                console.print(Text(f"  /{name}: {orjson.dumps(value).decode('utf-8')}"))
        elif field["pointer"] != text or not change["segments"]:
            console.print(Text(f"  {field['pointer']}: {_value(field, 'old')} -> {_value(field, 'new')}"))


def _beside_its_text(field: Json) -> Iterator[tuple[str, Json]]:
    """What a rule that came or went says beside the text that is shown: whom it binds, how, with what figures."""
    rule = field["new"] if "new" in field else field["old"]
    return ((name, value) for name, value in rule.items() if name not in ("id", "title", "text"))


def _where(change: Json) -> str:
    """What sets a change apart from others of the same name: places, or the version."""
    if "jurisdictions" in change:
        return f" in {' '.join(change['jurisdictions'])}"
    return f" (version {change['version']})" if "version" in change else ""


def _value(field: Json, side: str) -> str:
    return orjson.dumps(field[side]).decode("utf-8") if side in field else "(absent)"


def _redline(segments: list[Json]) -> Text:
    text = Text("  ")
    styles = {"deleted": "red strike", "inserted": "green underline"}
    marks = {"deleted": ("[-", "-]"), "inserted": ("{+", "+}")}
    for segment in segments:
        before, after = marks.get(segment["op"], ("", ""))
        text.append(f"{before}{segment['text']}{after}", style=styles.get(segment["op"], "default"))
    return text


def tokens(found: list[Json]) -> None:
    """Whose tokens there are, for what, and whether they still hold."""
    table = _table("id", "owner", "name", "scopes", "made", "expires", "last used", "revoked")
    for item in found:
        times = (item.get(name, "")[:16] for name in ("created_at", "expires_at", "used_at", "revoked_at"))
        table.add_row(item["id"], item["owner"], item["name"], ", ".join(item["scopes"]), *times)
    _console().print(table)
