"""Events by position, at once or as soon as there is one: as JSON, or as CloudEvents."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import orjson
from flask import Blueprint, Flask, Response, current_app, request

from guidance.errors import BadParameter
from guidance.events import KINDS, Filter
from guidance.model import Json, document_id
from guidance.severity import SEVERITIES
from service import params
from service.desk import accepted, root
from service.feeds import asked, sent
from service.formats import JSON
from service.problems import NOT_ACCEPTABLE, HttpProblem
from service.subscriptions import push, warnings
from service.ticker import Log

POLLING: Final = Blueprint("polling", __name__, url_prefix="/v1")
EXTENSION: Final = "inforce.polling"
CLOUDEVENTS: Final = "application/cloudevents-batch+json"
MEDIA: Final = {"json": JSON, "cloudevents": CLOUDEVENTS}
FILTERS: Final = ("medicine", "authority", "document", "jurisdiction", "rule_kind", "kind", "severity")
SINGULAR: Final = {
    "medicines": "medicine",
    "authorities": "authority",
    "documents": "document",
    "jurisdictions": "jurisdiction",
}
"""The parameter of each member of a filter that is looked up in the register."""
LONGEST_WAIT: Final = 60
"""Seconds that a reader can wait for an event."""
WAITERS: Final = 4
"""Readers that wait at one time, each holding a thread; whoever comes beyond them is answered at once."""
COME_BACK: Final = 5
"""Seconds after which such a reader should ask again."""
SCANNED: Final = 20_000
"""Events looked through for one answer at most."""


class Readers:
    """What those who read events share: the log, and the places of those who wait."""

    def __init__(self, log: Log, waiters: int) -> None:
        self.log = log
        self.places = threading.BoundedSemaphore(waiters) if waiters else None


def equip(app: Flask, log: Log, waiters: int = WAITERS) -> None:
    """Give an application the log that it is read from. `waiters` must leave threads for other requests."""
    app.extensions[EXTENSION] = Readers(log, waiters)


class Found(NamedTuple):
    """Events that pass a filter, and the position up to which the log was looked through."""

    events: list[dict[str, Json]]
    next_after: int


@POLLING.get("/events")
def events() -> Response:
    """Events after a position, at once or as soon as there is one."""
    given = asked("after", "wait", "limit", "format", *FILTERS)
    media = _media(given)
    after = params.number(given.get("after"), "after", 0, 999_999_999, least=0)
    wait = params.number(given.get("wait"), "wait", 0, LONGEST_WAIT, least=0)
    limit = params.number(given.get("limit"), "limit", params.PAGE, params.PAGE_LIMIT)
    wanted = wanted_by(given)
    readers: Readers = current_app.extensions[EXTENSION]
    tip = readers.log.tip()
    if after > tip:
        raise BadParameter("after", str(after), f"is in the future: the newest event is at position {tip}")
    found, full = _heard(readers, after, limit, wanted, wait)
    asks: dict[str, Json] = {
        "after": after,
        "limit": limit,
        "wait": wait,
        **{name: given[name] for name in FILTERS if name in given},
    }
    answer = {"asked": asks, "events": found.events, "next_after": found.next_after, "tip": readers.log.tip()}
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


def _heard(readers: Readers, after: int, limit: int, wanted: Filter, wait: int) -> tuple[Found, bool]:
    """What there is after a position or, where that is nothing, what comes meanwhile; and whether no place was free."""
    found = read(readers.log, after, limit, wanted)
    if found.events or not wait:
        return found, False
    if readers.places is None or not readers.places.acquire(blocking=False):
        return found, True
    try:
        end = time.perf_counter() + wait
        while not found.events and readers.log.wait(found.next_after, max(0, end - time.perf_counter())):
            found = read(readers.log, found.next_after, limit, wanted)
        return found, False
    finally:
        readers.places.release()


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
