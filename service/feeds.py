"""What happened and what is coming, to be fetched: events by position, CloudEvents, Atom, iCalendar, JSON."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple
from xml.etree import ElementTree as ET

import orjson
from flask import Blueprint, Flask, Response, current_app, request

from guidance.derived import FOREVER
from guidance.errors import BadParameter, NotFound, UnknownAuthority, UnknownDocument, UnknownMedicine
from guidance.events import KINDS, Filter, State, ending, turns
from guidance.index import Index
from guidance.model import Document, Json, Revision, document_id, instant_text, next_day
from guidance.severity import SEVERITIES
from guidance.vocabulary import AUTHORITIES
from service import overview, params
from service.desk import accepted, desk, register, root
from service.formats import JSON
from service.problems import NOT_ACCEPTABLE, HttpProblem
from service.subscriptions import push, warnings
from service.ticker import Log

FEEDS: Final = Blueprint("feeds", __name__, url_prefix="/v1")

CLOUDEVENTS: Final = "application/cloudevents-batch+json"
ATOM: Final = "application/atom+xml"
CALENDAR: Final = "text/calendar"
MEDIA: Final = {"json": JSON, "cloudevents": CLOUDEVENTS}
FILTERS: Final = ("medicine", "authority", "document", "jurisdiction", "rule_kind", "kind", "severity")
SINGULAR: Final = {
    "medicines": "medicine",
    "authorities": "authority",
    "documents": "document",
    "jurisdictions": "jurisdiction",
}
"""The parameter of each member of a filter that is looked up in the register."""
NO_CACHE: Final = "public, no-cache"
A_WEEK: Final = "public, max-age=604800"

LONGEST_WAIT: Final = 60
"""Seconds that a reader can wait for an event."""
WAITERS: Final = 4
"""Readers that wait at one time, each holding a thread; whoever comes beyond them is answered at once."""
COME_BACK: Final = 5
"""Seconds after which such a reader should ask again."""
SCANNED: Final = 20_000
"""Events looked through for one answer at most."""
PAGE: Final = 50
"""Entries of one Atom document."""
PAST: Final = timedelta(days=366)
"""How far the calendars of the register and of an authority look back."""


class Feeds:
    """What the feeds of one application share: the log, who waits, what was found in the log before."""

    def __init__(self, log: Log, waiters: int) -> None:
        self.log = log
        self.places = threading.BoundedSemaphore(waiters) if waiters else None
        self.shelf = Shelf(log)
        self.diaries = Diaries()


def equip(app: Flask, log: Log, waiters: int = WAITERS) -> None:
    """Give an application the log that its feeds tell from. `waiters` must leave threads for other requests."""
    app.extensions["inforce.feeds"] = Feeds(log, waiters)


def feeds() -> Feeds:
    found: Feeds = current_app.extensions["inforce.feeds"]
    return found


def asked(*known: str) -> dict[str, str]:
    """The request's parameters, each once and each known."""
    given = params.once(request.args.to_dict(flat=False))
    params.only(given, known)
    params.filled(given)
    return given


def sent(body: bytes, media: str, lifetime: str = NO_CACHE, headers: dict[str, str] | None = None) -> Response:
    """An answer with a strong validator made from its bytes; 304 where the reader holds them already."""
    response = Response(body, mimetype=media, headers=headers)
    response.set_etag(hashlib.blake2b(media.encode() + b"\n" + body, digest_size=16).hexdigest())
    response.headers["Cache-Control"] = lifetime
    response.headers["Vary"] = "Accept"
    response.make_conditional(request)
    return response


# --- events by position ----------------------------------------------------------------------------------


class Found(NamedTuple):
    """Events that pass a filter, and the position up to which the log was looked through."""

    events: list[dict[str, Json]]
    next_after: int


@FEEDS.get("/events")
def events() -> Response:
    """Events after a position, at once or as soon as there is one."""
    given = asked("after", "wait", "limit", "format", *FILTERS)
    media = _media(given)
    after = params.number(given.get("after"), "after", 0, 999_999_999, least=0)
    wait = params.number(given.get("wait"), "wait", 0, LONGEST_WAIT, least=0)
    limit = params.number(given.get("limit"), "limit", params.PAGE, params.PAGE_LIMIT)
    wanted = wanted_by(given)
    tip = feeds().log.tip()
    if after > tip:
        raise BadParameter("after", str(after), f"is in the future: the newest event is at position {tip}")
    found, full = _heard(feeds(), after, limit, wanted, wait)
    asks: dict[str, Json] = {
        "after": after,
        "limit": limit,
        "wait": wait,
        **{name: given[name] for name in FILTERS if name in given},
    }
    answer = {"asked": asks, "events": found.events, "next_after": found.next_after, "tip": feeds().log.tip()}
    if media == JSON:
        body = orjson.dumps({**answer, "warnings": doubted(wanted)})
    else:
        body = orjson.dumps([cloudevent(told, root()) for told in found.events])
    headers = {"Link": f'<{_following(found.next_after)}>; rel="next"'}
    if full:
        headers["Retry-After"] = str(COME_BACK)
    return sent(body, media, headers=headers)


def _media(given: Mapping[str, str]) -> str:
    if "format" in given:
        return MEDIA[params.choice(given["format"], "format", MEDIA) or "json"]
    found = accepted(MEDIA.values(), JSON)
    if found is None:
        raise HttpProblem(NOT_ACCEPTABLE, f"this answer comes as {', '.join(MEDIA.values())}")
    return found


def _following(after: int) -> str:
    kept = {**request.args.to_dict(), "after": str(after)}
    pairs = "&".join(f"{name}={_encoded(value)}" for name, value in sorted(kept.items()))
    return f"{request.path}?{pairs}"


def _encoded(value: str) -> str:
    plain = re.compile(rb"[A-Za-z0-9._~:@/,-]")
    letters = (bytes([byte]) for byte in value.encode())
    return "".join(one.decode() if plain.fullmatch(one) else f"%{one[0]:02X}" for one in letters)


def wanted_by(given: Mapping[str, str]) -> Filter:
    """The filter that parameters ask for; several values of one are separated by commas."""
    severity = params.choice(given.get("severity"), "severity", SEVERITIES)
    return Filter(
        medicines=_values(given, "medicine", _name_or_code),
        authorities=_values(given, "authority", lambda text: params.segment(text, "authority")),
        documents=_values(given, "document", document_id),
        jurisdictions=_values(given, "jurisdiction", params.jurisdiction),
        rule_kinds=_values(given, "rule_kind", lambda text: params.choice(text, "rule_kind", params.KINDS)),
        kinds=_values(given, "kind", lambda text: params.choice(text, "kind", KINDS)),
        severity=next((one for one in SEVERITIES if one == severity), None),
    )


def doubted(wanted: Filter) -> list[str]:
    """What in a filter can match nothing yet, each named by its parameter. It may be recorded tomorrow: whoever reads
    events waits for it, and is refused nothing."""
    if not (wanted.medicines or wanted.authorities or wanted.documents or wanted.jurisdictions):
        return []
    told = (text.partition(": ") for text in warnings(wanted, push().known()))
    return [f"{SINGULAR.get(member, member)}: {why}" for member, _, why in told]


def _values(given: Mapping[str, str], name: str, read: Callable[[str], str | None]) -> tuple[str, ...]:
    found = [read(text) for text in given[name].split(",")] if name in given else []
    return tuple(text for text in found if text)


def _name_or_code(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ./:_-]{0,99}", text):
        raise BadParameter("medicine", text, "is neither an INN nor a code")
    return text


def _heard(shared: Feeds, after: int, limit: int, wanted: Filter, wait: int) -> tuple[Found, bool]:
    """What there is after a position or, where that is nothing, what comes meanwhile; and whether no place was free."""
    found = read(shared.log, after, limit, wanted)
    if found.events or not wait:
        return found, False
    if shared.places is None or not shared.places.acquire(blocking=False):
        return found, True
    try:
        end = time.perf_counter() + wait
        while not found.events and shared.log.wait(found.next_after, max(0, end - time.perf_counter())):
            found = read(shared.log, found.next_after, limit, wanted)
        return found, False
    finally:
        shared.places.release()


def read(log: Log, after: int, limit: int, wanted: Filter) -> Found:
    """The events after a position that pass a filter, at most so many."""
    found: list[dict[str, Json]] = []
    at = after
    while len(found) < limit and at < after + SCANNED:
        batch = log.events(at, params.PAGE_LIMIT)
        for position, told in batch:
            at = position
            if wanted.matches(told):
                found.append({"position": position, **told})
                if len(found) == limit:
                    break
        if len(batch) < params.PAGE_LIMIT:
            break
    return Found(found, at)


def cloudevent(told: Mapping[str, Json], base: str) -> dict[str, Json]:
    """An event as CloudEvents 1.0 has it, in JSON."""
    version = f"@{told['version']}" if told["version"] else ""
    return {
        "specversion": "1.0",
        "id": told["id"],
        "source": f"{base}/v1/events",
        "type": f"inforce.guidance.{told['kind']}",
        "subject": f"{told['document']}{version}",
        "time": told["occurred_at"],
        "datacontenttype": JSON,
        "dataschema": f"{base}/v1/schemas/event",
        "sequence": str(told["position"]),
        "data": told,
    }


# --- scopes: the register, a medicine, a document, an authority ------------------------------------------


@dataclass(frozen=True, slots=True)
class Scope:
    """What a feed is about: its name, where it and its page are found, and what is wanted."""

    title: str
    path: str
    page: str
    key: str

    @property
    def urn(self) -> str:
        return f"urn:inforce:feed:{self.key or 'register'}"


def of_register() -> Scope:
    return Scope("Guidance in force", "/v1/feeds/register", "/", "")


def of_medicine(inn: str) -> Scope:
    """Raises UnknownMedicine; not for one that no document names any more: whoever follows it is to hear just that."""
    name = params.segment(inn, "medicine") or ""
    key = f"medicine:{name}"
    if not _documents(medicine=name) and not feeds().shelf.positions(key):
        raise UnknownMedicine(name)
    return Scope(f"Guidance on {name}", f"/v1/feeds/medicines/{name}", f"/medicines/{name}", key)


def of_authority(authority: str) -> Scope:
    """Raises UnknownAuthority."""
    name = params.segment(authority, "authority") or ""
    if name not in AUTHORITIES and not _documents(authority=name):
        raise UnknownAuthority(name)
    title = f"Guidance of {AUTHORITIES.get(name, name)}"
    return Scope(title, f"/v1/feeds/authorities/{name}", f"/documents?authority={name}", f"authority:{name}")


def of_document(authority: str, name: str) -> Scope:
    """Raises UnknownDocument."""
    document = document_id(f"{authority}/{name}")
    tip = desk().archive.tip()
    if tip is None:
        raise UnknownDocument(document)
    content, _ = desk().archive.index.document_row(document, tip.position)
    title = orjson.loads(content)["title"]
    return Scope(title, f"/v1/feeds/documents/{document}", f"/documents/{document}", f"document:{document}")


def _documents(medicine: str | None = None, authority: str = "") -> list[str]:
    tip = desk().archive.tip()
    found = desk().archive.index.documents(tip.position, medicine=medicine, authority=authority) if tip else []
    return [name for name, _ in found]


class Shelf:
    """Where in the log the events of each scope stand. Only grows, as the log does."""

    def __init__(self, log: Log) -> None:
        self.log, self.seen = log, 0
        self._positions: dict[str, array[int]] = {}
        self._reading = threading.Lock()

    def positions(self, key: str) -> Sequence[int]:
        """Positions of a scope's events, oldest first."""
        with self._reading:
            while batch := self.log.events(self.seen, params.PAGE_LIMIT):
                for position, told in batch:
                    for name in ("", *_keys(told)):
                        self._positions.setdefault(name, array("q")).append(position)
                    self.seen = position
            return self._positions.get(key, array("q"))[:]

    def events(self, positions: Iterable[int]) -> list[dict[str, Json]]:
        found = (self.log.events(position - 1, 1) for position in positions)
        return [{"position": position, **told} for batch in found for position, told in batch]


def _keys(told: Mapping[str, Json]) -> Iterator[str]:
    yield f"document:{told['document']}"
    yield f"authority:{told['authority']}"
    for medicine in told["medicines"]:
        yield f"medicine:{medicine['inn']}"


# --- Atom (RFC 4287), with archives (RFC 5005, section 4) ------------------------------------------------


@FEEDS.get("/feeds/register.atom")
def register_atom() -> Response:
    return atom(of_register())


@FEEDS.get("/feeds/medicines/<inn>.atom")
def medicine_atom(inn: str) -> Response:
    return atom(of_medicine(inn))


@FEEDS.get("/feeds/authorities/<authority>.atom")
def authority_atom(authority: str) -> Response:
    return atom(of_authority(authority))


@FEEDS.get("/feeds/documents/<authority>/<document>.atom")
def document_atom(authority: str, document: str) -> Response:
    return atom(of_document(authority, document))


def atom(scope: Scope) -> Response:
    """The newest events of a scope or, where `page` says which, those of an archive that never changes."""
    given = asked("page")
    positions = feeds().shelf.positions(scope.key)
    whole = len(positions) // PAGE
    if "page" not in given:
        newest = feeds().shelf.events(reversed(positions[-PAGE:]))
        return sent(atom_document(scope, newest, root(), None, whole), ATOM)
    page = params.number(given["page"], "page", 1, 99_999_999)
    if page > whole:
        raise NotFound(f"there is no archive {page} of this feed; there are {whole}")
    held = feeds().shelf.events(reversed(positions[(page - 1) * PAGE : page * PAGE]))
    lifetime = A_WEEK if page < whole else NO_CACHE
    then = replace(scope, title=held[0]["title"]) if scope.key.startswith("document:") else scope
    return sent(atom_document(then, held, root(), page, whole), ATOM, lifetime)


def atom_document(scope: Scope, told: Sequence[Mapping[str, Json]], base: str, page: int | None, whole: int) -> bytes:
    """An Atom feed; with `page`, that archive of `whole` many."""
    feed = ET.Element("feed", {"xmlns": "http://www.w3.org/2005/Atom", "xml:lang": "en"})
    here = f"{base}{scope.path}.atom"
    _put(feed, "id", scope.urn)
    _put(feed, "title", scope.title)
    _put(feed, "updated", max((event["occurred_at"] for event in told), default="1970-01-01T00:00:00Z"))
    _put(ET.SubElement(feed, "author"), "name", "Inforce")
    _link(feed, "self", here + (f"?page={page}" if page else ""), ATOM)
    _link(feed, "alternate", f"{base}{scope.page}", "text/html")
    if page is not None:
        feed.set("xmlns:fh", "http://purl.org/syndication/history/1.0")
        ET.SubElement(feed, "fh:archive")
        _link(feed, "current", here, ATOM)
    older = whole if page is None else page - 1
    if older:
        _link(feed, "prev-archive", f"{here}?page={older}", ATOM)
    if page is not None and page < whole:
        _link(feed, "next-archive", f"{here}?page={page + 1}", ATOM)
    for event in told:
        _entry(feed, event, base)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(feed, encoding="unicode").encode("utf-8")


def _entry(feed: ET.Element, told: Mapping[str, Json], base: str) -> None:
    entry = ET.SubElement(feed, "entry")
    _put(entry, "id", f"urn:inforce:event:{told['id']}")
    _put(entry, "title", headline(told))
    _put(entry, "updated", told["occurred_at"])
    _put(entry, "published", told["occurred_at"])
    _link(entry, "alternate", f"{base}{told['links']['page']}", "text/html")
    for relation, name in (("via", "version"), ("related", "diff")):
        if told["links"][name]:
            _link(entry, relation, f"{base}{told['links'][name]}", JSON)
    terms = [("kind", told["kind"]), *(("medicine", medicine["inn"]) for medicine in told["medicines"])]
    if told["changes"]:
        terms.append(("severity", told["changes"]["severity"]))
    for kind, term in terms:
        ET.SubElement(entry, "category", {"scheme": f"urn:inforce:{kind}", "term": term})
    _put(entry, "summary", summary(told))


def _put(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = _NOT_XML.sub("\ufffd", text)


_NOT_XML: Final = re.compile("[^\\t\\n\\r\\u0020-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""What an XML document cannot hold (XML 1.0, section 2.2)."""


def _link(parent: ET.Element, relation: str, address: str, media: str) -> None:
    ET.SubElement(parent, "link", {"rel": relation, "href": address, "type": media})


# --- in words --------------------------------------------------------------------------------------------

WORDS: Final = {
    "published": "{version} published",
    "corrected": "{version} corrected",
    "withdrawn": "{version} withdrawn",
    "withdrawn-before-effect": "{version} withdrawn before it took effect",
    "rescheduled": "{version} rescheduled",
    "in-force": "{version} in force",
    "ended": "{version} ended: {ends}",
    "reminder": "{version} {turns} in {days}",
}


def headline(told: Mapping[str, Json]) -> str:
    """An event as one line."""
    version = f"version {told['version']}" if told["version"] else "the document"
    if told["rules"]:
        version = f"{_counted(len(told['rules']), 'rule')} of {version}"
    days, of = told.get("days"), told.get("reminds_of")
    words = WORDS[told["kind"]].format(
        version=version,
        ends=told.get("ends"),
        turns=_turning(of, len(told["rules"]) > 1),
        days=_counted(days or 0, "day"),
    )
    places = ", ".join(told["jurisdictions"])
    return f"{told['title']}: {words} ({places})"


def _turning(what: str | None, many: bool) -> str:
    verb, more = ("end", "") if what == "ended" else ("come", " into force")
    return f"{verb}{'' if many else 's'}{more}"


def summary(told: Mapping[str, Json]) -> str:
    """What more there is to say of an event, in sentences."""
    found = [f"{told['version_title']}." if told["version_title"] else ""]
    if told["day"] and told["kind"] != "corrected":
        over = told["kind"] in ("ended", "withdrawn") or told.get("reminds_of") == "ended"
        found.append(f"Until the beginning of {told['day']}." if over else f"From {told['day']}.")
    if told["day"] is None and told["kind"] in ("published", "rescheduled"):
        found.append("No day is known.")
    if told["kind"] == "withdrawn" and told.get("ends"):
        found.append(f"It ends as {told['ends']}.")
    if told["retroactive"]:
        found.append("Recorded after that day.")
    if told["replaces"]:
        found.append(f"In place of version {told['replaces']}.")
    if told.get("replaced_by"):
        found.append(f"Version {told['replaced_by']} takes its place.")
    if told["changes"]:
        changes = told["changes"]
        found.append(f"{_counted(changes['changes'], 'change')}, {changes['severity']}.")
        if changes["needs_review"]:
            found.append(f"{changes['needs_review']} to be reviewed.")
    return " ".join(sentence for sentence in found if sentence)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


# --- iCalendar (RFC 5545) --------------------------------------------------------------------------------


class Step(NamedTuple):
    """From a revision on, something stands on a day, or (None) on none."""

    day: date | None
    recorded_at: datetime


class Entry(NamedTuple):
    """One all-day entry of a calendar, with all that became of it."""

    uid: str
    document: str
    title: str
    version: int
    kind: str
    ends: str | None
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


@FEEDS.get("/feeds/register.ics")
def register_calendar() -> Response:
    return calendar(of_register(), _recent())


@FEEDS.get("/feeds/medicines/<inn>.ics")
def medicine_calendar(inn: str) -> Response:
    scope = of_medicine(inn)
    return calendar(scope, _documents(medicine=inn))


@FEEDS.get("/feeds/authorities/<authority>.ics")
def authority_calendar(authority: str) -> Response:
    scope = of_authority(authority)
    return calendar(scope, [name for name in _recent() if name.startswith(f"{authority}/")])


@FEEDS.get("/feeds/documents/<authority>/<document>.ics")
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
    found = [entry for name in names if tip for entry in feeds().diaries.of(index, name, tip.position)]
    if scope.key.partition(":")[0] in ("", "authority"):
        since = desk().clock() - PAST
        found = [e for e in found if e.day > since.date() or e.steps[-1].recorded_at > since]
    ordered = sorted(found, key=lambda entry: (entry.day, entry.uid))
    body = "".join(f"{folded(line)}\r\n" for line in calendar_lines(scope, ordered, root()))
    return sent(body.encode("utf-8"), CALENDAR)


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
    ends: dict[tuple[Any, ...], str | None] = {}
    for state in history:
        stands = dict(_standing(state.document))
        for key in [*steps, *(key for key in stands if key not in steps)]:
            day, word = stands.get(key, (None, None))
            ends[key] = word or ends.get(key)
            if key not in steps or steps[key][-1].day != day:
                steps.setdefault(key, []).append(Step(day, state.revision.recorded_at))
    together: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for key, all_steps in steps.items():
        together.setdefault((*key[:3], bool(key[4]), ends[key], tuple(all_steps)), []).append(key)
    document = history[-1].document if history else None
    return tuple(_entry_of(document, keys, steps, ends) for keys in together.values() if document)


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


def _entry_of(
    document: Document,
    keys: Sequence[tuple[Any, ...]],
    steps: Mapping[tuple[Any, ...], Sequence[Step]],
    ends: Mapping[tuple[Any, ...], str | None],
) -> Entry:
    kind, version, which, place, rule = leader = min(keys)
    parts = (document.id, version, kind, which, place, rule)
    uid = hashlib.blake2b("\n".join(map(str, parts)).encode(), digest_size=16).hexdigest()
    return Entry(
        uid=f"{uid}@inforce",
        document=document.id,
        title=document.title,
        version=version,
        kind=kind,
        ends=ends[leader],
        rules=tuple(sorted({key[4] for key in keys if key[4]})),
        places=tuple(sorted({key[3] for key in keys})),
        steps=tuple(steps[leader]),
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
        what = f"{_counted(len(entry.rules), 'rule')} of {what}"
    turns_ = "in force" if entry.kind == "in-force" else f"ends: {entry.ends}"
    moved = [f"{step.day or 'no day'} ({instant_text(step.recorded_at)[:10]})" for step in entry.steps]
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


@FEEDS.get("/coming")
def coming() -> Response:
    """What begins or ends from tomorrow on, the nearest first, and what has no day."""
    given = asked("on", "at", "jurisdiction", "medicine", "authority", "limit")
    limit = params.number(given.get("limit"), "limit", params.PAGE, params.PAGE_LIMIT)
    seen = register({name: value for name, value in given.items() if name != "limit"}, desk().clock())
    answer = {**seen.head(limit=limit), "on": seen.day().isoformat(), **overview.coming(seen, limit)}
    return sent(orjson.dumps(answer), JSON)
