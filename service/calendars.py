"""What begins and ends, each on its day: as calendars (iCalendar, RFC 5545), and what is coming as JSON."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson
from flask import Blueprint, Flask, Response, current_app

from guidance.derived import FOREVER
from guidance.events import State, ending, turns
from guidance.index import Index
from guidance.model import Document, Revision, instant_text, next_day
from service import overview, params
from service.desk import desk, register, root
from service.feeds import (
    Scope,
    asked,
    counted,
    documents_of,
    of_authority,
    of_document,
    of_medicine,
    of_register,
    sent,
)
from service.formats import JSON

CALENDARS: Final = Blueprint("calendars", __name__, url_prefix="/v1")
EXTENSION: Final = "inforce.calendars"
MEDIA_TYPE: Final = "text/calendar"
PAST: Final = timedelta(days=366)
"""How far the calendars of the register and of an authority look back."""


def equip(app: Flask) -> None:
    """Give an application a place for the entries that it works out."""
    app.extensions[EXTENSION] = Diaries()


# --- iCalendar -------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """From a revision on, something stands on a day, or (None) on none; what ends does so by a word."""

    day: date | None
    recorded_at: datetime
    ends: str | None


class Entry(NamedTuple):
    """One all-day entry of a calendar, with all that became of it."""

    uid: str
    document: str
    title: str
    version: int
    kind: str
    rules: tuple[str, ...]
    places: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def day(self) -> date:
        """The day on which it stands or, where it stands on none any more, stood last."""
        return next(step.day for step in reversed(self.steps) if step.day)

    @property
    def cancelled(self) -> bool:
        return self.steps[-1].day is None


@CALENDARS.get("/feeds/register.ics")
def register_calendar() -> Response:
    return calendar(of_register(), _recent())


@CALENDARS.get("/feeds/medicines/<inn>.ics")
def medicine_calendar(inn: str) -> Response:
    scope = of_medicine(inn)
    return calendar(scope, documents_of(medicine=inn))


@CALENDARS.get("/feeds/authorities/<authority>.ics")
def authority_calendar(authority: str) -> Response:
    scope = of_authority(authority)
    return calendar(scope, [name for name in _recent() if name.startswith(f"{authority}/")])


@CALENDARS.get("/feeds/documents/<authority>/<document>.ics")
def document_calendar(authority: str, document: str) -> Response:
    return calendar(of_document(authority, document), [f"{authority}/{document}"])


def _recent() -> list[str]:
    """Documents of which something is coming, came within a year, or was recorded within a year."""
    index, tip = desk().archive.index, desk().archive.tip()
    if tip is None:
        return []
    since = desk().clock() - PAST
    before = index.revision_at(since)
    touched = index.touched_between(before.position if before else 0, tip.position)
    return sorted({*touched, *index.turning(since.date().toordinal(), date.max.toordinal(), tip.position)})


def calendar(scope: Scope, names: Iterable[str]) -> Response:
    """What begins and ends in some documents, each on its day. What never had a day is not here."""
    asked()
    index, tip = desk().archive.index, desk().archive.tip()
    diaries: Diaries = current_app.extensions[EXTENSION]
    found = [entry for name in names if tip for entry in diaries.of(index, name, tip.position)]
    if scope.key.partition(":")[0] in ("", "authority"):
        since = desk().clock() - PAST
        found = [e for e in found if e.day > since.date() or e.steps[-1].recorded_at > since]
    ordered = sorted(found, key=lambda entry: (entry.day, entry.uid))
    body = "".join(f"{folded(line)}\r\n" for line in calendar_lines(scope, ordered, root()))
    return sent(body.encode("utf-8"), MEDIA_TYPE)


class Diaries:
    """The entries of each document, kept until a revision touches it."""

    LARGEST: Final = 20_000

    def __init__(self) -> None:
        self._held: dict[str, tuple[int, tuple[Entry, ...]]] = {}

    def of(self, index: Index, name: str, position: int) -> tuple[Entry, ...]:
        newest = next(iter(index.history(name, position, limit=1)), None)
        if newest is None:
            return ()
        held = self._held.get(name)
        if held is None or held[0] != newest.position:
            if len(self._held) >= self.LARGEST:
                self._held.clear()
            held = self._held[name] = (newest.position, entries(_history(index, name, position)))
        return held[1]


def _history(index: Index, name: str, position: int) -> list[State]:
    revisions: Sequence[Revision] = index.history(name, position, limit=FOREVER)
    return [State(revision, index.document(name, revision.position)) for revision in reversed(revisions)]


def entries(history: Sequence[State]) -> tuple[Entry, ...]:
    """Everything of a document that ever had a day, with all its days; what always stood together is one entry."""
    steps: dict[tuple[Any, ...], list[Step]] = {}
    for state in history:
        stands = dict(_standing(state.document))
        for key in [*steps, *(key for key in stands if key not in steps)]:
            held = steps.setdefault(key, [])
            day, word = stands.get(key, (None, held[-1].ends if held else None))
            if not held or (held[-1].day, held[-1].ends) != (day, word):
                held.append(Step(day, state.revision.recorded_at, word))
    together: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for key, all_steps in steps.items():
        together.setdefault((*key[:3], bool(key[4]), tuple(all_steps)), []).append(key)
    document = history[-1].document if history else None
    return tuple(_entry_of(document, keys, steps[keys[0]]) for keys in together.values() if document)


def _standing(document: Document) -> Iterator[tuple[tuple[Any, ...], tuple[date, str | None]]]:
    """(kind, version, which time, place, rule) and the day on which it stands."""
    for place in document.named:
        count: dict[tuple[Any, ...], int] = {}
        for turn in turns(document, place):
            if turn.ends == "superseded":
                continue
            which = (turn.kind, turn.version, turn.rule)
            count[which] = count.get(which, 0) + 1
            word = ending(document, turn) if turn.kind == "ended" else None
            yield (turn.kind, turn.version, count[which], place, turn.rule or ""), (turn.day, word)


def _entry_of(document: Document, keys: Sequence[tuple[Any, ...]], steps: Sequence[Step]) -> Entry:
    kind, version, which, place, rule = min(keys)
    parts = (document.id, version, kind, which, place, rule)
    uid = hashlib.blake2b("\n".join(map(str, parts)).encode(), digest_size=16).hexdigest()
    return Entry(
        uid=f"{uid}@inforce",
        document=document.id,
        title=document.title,
        version=version,
        kind=kind,
        rules=tuple(sorted({key[4] for key in keys if key[4]})),
        places=tuple(sorted({key[3] for key in keys})),
        steps=tuple(steps),
    )


def calendar_lines(scope: Scope, found: Iterable[Entry], base: str) -> Iterator[str]:
    """The lines of a calendar, before folding."""
    yield from ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Inforce//Register of guidance//EN", "CALSCALE:GREGORIAN")
    yield from ("METHOD:PUBLISH", f"X-WR-CALNAME:{escaped(scope.title)}", f"NAME:{escaped(scope.title)}")
    yield from ("REFRESH-INTERVAL;VALUE=DURATION:PT6H", f"URL:{base}{scope.page}")
    for entry in found:
        yield from _entry_lines(entry, base)
    yield "END:VCALENDAR"


def _entry_lines(entry: Entry, base: str) -> Iterator[str]:
    stamp = entry.steps[-1].recorded_at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    what = f"version {entry.version}"
    if entry.rules:
        what = f"{counted(len(entry.rules), 'rule')} of {what}"
    turns_ = "in force" if entry.kind == "in-force" else f"ends: {entry.steps[-1].ends}"
    moved = [_step_told(step, named=len({step.ends for step in entry.steps}) > 1) for step in entry.steps]
    page = f"{base}/documents/{entry.document}/versions/{entry.version}"
    after = next_day(entry.day)
    yield from ("BEGIN:VEVENT", f"UID:{entry.uid}", f"DTSTAMP:{stamp}", f"LAST-MODIFIED:{stamp}")
    yield f"SEQUENCE:{len(entry.steps) - 1}"
    yield f"DTSTART;VALUE=DATE:{entry.day:%Y%m%d}"
    if after:
        yield f"DTEND;VALUE=DATE:{after:%Y%m%d}"
    summary_ = f"{entry.title}: {what} {turns_} ({', '.join(entry.places)})"
    yield f"SUMMARY:{escaped(summary_)}"
    if len(moved) > 1:
        yield f"DESCRIPTION:{escaped('Recorded for: ' + ', then '.join(moved))}"
    yield f"STATUS:{'CANCELLED' if entry.cancelled else 'CONFIRMED'}"
    yield from ("TRANSP:TRANSPARENT", f"CATEGORIES:{entry.kind}", f"URL:{page}", "END:VEVENT")


def _step_told(step: Step, named: bool) -> str:
    """A day and when it was recorded; `named`: by which word it ends too, since that was another at times."""
    return f"{step.day or 'no day'}{f', {step.ends}' if named else ''} ({instant_text(step.recorded_at)[:10]})"


def escaped(text: str) -> str:
    """Text as a property's value (RFC 5545, section 3.3.11), on one line and without control characters."""
    plain = re.sub(r"[\x00-\x1f\x7f\u0085\u2028\u2029]+", " ", text)
    return re.sub(r"([\\;,])", r"\\\1", plain)


def folded(line: str) -> str:
    """A line in pieces of at most 75 bytes (RFC 5545, section 3.1), no letter cut in two."""
    pieces, size = [""], 0
    for letter in line:
        width = len(letter.encode("utf-8"))
        if size + width > 75:
            pieces.append("")
            size = 1
        pieces[-1] += letter
        size += width
    return "\r\n ".join(pieces)


# --- what is coming --------------------------------------------------------------------------------------


@CALENDARS.get("/coming")
def coming() -> Response:
    """What begins or ends from tomorrow on, the nearest first, and what has no day."""
    given = asked("on", "at", "jurisdiction", "medicine", "authority", "limit")
    limit = params.number(given.get("limit"), "limit", params.PAGE, params.PAGE_LIMIT)
    seen = register({name: value for name, value in given.items() if name != "limit"}, desk().clock())
    answer = {**seen.head(limit=limit), "on": seen.day().isoformat(), **overview.coming(seen, limit)}
    return sent(orjson.dumps(answer), JSON)
