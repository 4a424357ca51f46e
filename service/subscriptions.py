"""Who wants what: subscriptions, what each lets through, and what each was sent."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from flask import current_app
from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from guidance.archive import Archive
from guidance.errors import (
    ActRefused,
    BadParameter,
    UnknownDelivery,
    UnknownSubscription,
)
from guidance.events import Filter, heard
from guidance.model import Json, Revision
from guidance.schema import check
from guidance.vocabulary import AUTHORITIES, JURISDICTIONS
from service import addresses, signing
from service.addresses import Policy
from service.logs import LOG
from service.signing import Vault
from service.state import (
    ATTEMPT,
    DELIVERY,
    EVENT,
    LANE,
    NOTICE,
    SECRET,
    SUBSCRIPTION,
    Queued,
    State,
    chunks,
    events_after,
    instant,
    restart,
    stamp,
)

HEARING: Final = ("active", "stuck")
"""States in which events are sent. Every other state keeps them: unverified, paused, failing, ended."""
FAILING_TYPE: Final = "endpoint.failing"
ENDED: Final = "endpoint.ended"
OVERLAP: Final = timedelta(days=1)
"""How long the old secret still signs beside the new one."""
MOST_OF_OWNER: Final = 1000
QUEUED_AT_ONCE: Final = 500
ATTEMPTS_SHOWN: Final = 100
EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
"""Before which nothing is played."""
LONGEST_REHEARSAL: Final = timedelta(days=366)


# --- what is wanted --------------------------------------------------------------------------------------


def filter_of(told: Mapping[str, Json]) -> Filter:
    """A filter from its JSON (schemas/subscription.json)."""
    members: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    return Filter(**members)


def matches(wanted: Filter, event: Mapping[str, Json]) -> bool:
    """Whether an event is to be sent. What only touches wording alerts nobody who did not ask for it."""
    return wanted.matches(event) and (wanted.severity is not None or not _only_wording(event))


def _only_wording(event: Mapping[str, Json]) -> bool:
    """Whether it was judged, found editorial, and does not tell of a day or an end. In doubt it alerts."""
    changes = event["changes"]
    if changes is None or changes["severity"] != "editorial":
        return False
    told = event["kind"] in ("published", "in-force", "reminder") and changes["changes"] > 0
    return event["kind"] == "corrected" or told


@dataclass(frozen=True, slots=True)
class Known:
    """What the register speaks of: documents, every name by which a medicine is asked for, and places."""

    documents: Collection[str] = frozenset()
    medicines: Collection[str] = frozenset()
    places: Collection[str] = frozenset()


def warnings(wanted: Filter, known: Known) -> list[str]:
    """What in a filter can match nothing, as far as the register knows: kept, and said."""
    told = [
        f"authorities: {name!r} is not an authority that is known"
        for name in wanted.authorities
        if name not in AUTHORITIES and not any(document.startswith(f"{name}/") for document in known.documents)
    ]
    told += [
        f"jurisdictions: {name!r} is not one that is known"
        for name in wanted.jurisdictions
        if name not in JURISDICTIONS
    ]
    told += [
        f"jurisdictions: no document speaks of {name!r}, of a part of it or of what it is part of"
        for name in wanted.jurisdictions
        if name in JURISDICTIONS and not heard(known.places, (name,))
    ]
    told += [f"documents: {name!r} is not recorded" for name in wanted.documents if name not in known.documents]
    told += [
        f"medicines: no document names {name!r} as INN, code or system:code"
        for name in wanted.medicines
        if name not in known.medicines
    ]
    if wanted.authorities and wanted.documents:
        told += [
            f"documents: {name!r} is by none of the authorities asked for"
            for name in wanted.documents
            if name.split("/")[0] not in wanted.authorities
        ]
    if wanted.kinds and all(kind in (FAILING_TYPE, ENDED) for kind in wanted.kinds):
        told.append("kinds: only notices about endpoints are asked for, and no event of guidance")
    return told


class Names:
    """What a register speaks of, kept: only the documents that revisions touched are read again."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._seen: Revision | None = None
        self._known = Known()
        self._medicines: dict[str, frozenset[str]] = {}
        self._places: dict[str, tuple[str, ...]] = {}
        self._reading = threading.Lock()

    def known(self) -> Known:
        """What it speaks of now, in any version of any document: events are told of each of them."""
        tip = self._archive.tip()
        position = tip.position if tip else 0
        index = self._archive.index
        with self._reading:
            if self._seen == tip:
                return self._known
            if self._seen and index.revision_of(self._seen.position) != self._seen:  # another store lies there now
                self._seen, self._medicines, self._places = None, {}, {}
            for name in index.touched_between(self._seen.position if self._seen else 0, position):
                versions = index.version_contents(name, position)
                self._medicines[name] = frozenset().union(*(_called(body) for _, body in versions))
                self._places[name] = index.document_row(name, position)[1]
            self._seen = tip
            called, spoken = (frozenset().union(*found.values()) for found in (self._medicines, self._places))
            self._known = Known(frozenset(self._medicines), called, spoken)
            return self._known


def _called(version: bytes) -> frozenset[str]:
    """Every name by which the medicines of a version are asked for."""
    found: set[str] = set()
    for medicine in orjson.loads(version)["medicines"]:
        codes = [(code["system"], code["code"]) for code in medicine.get("codes", ())]
        found |= {medicine["inn"], *(code for _, code in codes), *(f"{system}:{code}" for system, code in codes)}
    return frozenset(found)


# --- subscriptions ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Subscription:
    """One endpoint, what it wants to hear, and how it fares."""

    id: str
    owner: str
    name: str
    url: str
    filter: Mapping[str, Json]
    state: str
    why: str
    created_at: int
    verified_at: int | None
    accepted_at: int | None
    streak: int
    cursor: int

    def json(self) -> dict[str, Json]:
        told = {key: value for key, value in asdict(self).items() if key not in ("owner", "streak")}
        times = {key: shown(told.pop(key)) for key in ("created_at", "verified_at", "accepted_at")}
        return {**told, **times, "failures_in_a_row": self.streak}


def shown(stamped: int | None) -> str | None:
    """An instant of the tables as it is written in answers."""
    return None if stamped is None else instant(stamped).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def create(
    state: State, vault: Vault, policy: Policy, owner: str, asked: Mapping[str, Json]
) -> tuple[Subscription, str]:
    """A new subscription and its secret, which is shown this once. Raises BadEndpoint, InvalidDocument.

    It hears what comes after `after`, by default what is appended from now on, once its endpoint has been verified.
    """
    check("subscription", asked)
    origin = addresses.endpoint(asked["url"], policy).origin
    name, secret = f"sub_{secrets.token_hex(10)}", signing.new_secret()
    now, tip = stamp(state.clock()), state.tip()
    after = asked.get("after", tip)
    if after > tip:
        raise BadParameter("after", str(after), f"is beyond the newest event, {tip}")
    row = {
        "id": name,
        "owner": owner,
        "name": asked.get("name", ""),
        "url": asked["url"],
        "origin": origin,
        "filter": _written(asked.get("filter", {})),
        "state": "unverified",
        "why": "",
        "streak": 0,
        "challenge": secrets.token_urlsafe(32),
        "created_at": now,
        "cursor": after,
    }
    with state.writing() as connection:
        owned = select(func.count()).select_from(SUBSCRIPTION).where(SUBSCRIPTION.c.owner == owner)
        if connection.execute(owned).scalar_one() >= MOST_OF_OWNER:
            raise ActRefused(owner, f"has {MOST_OF_OWNER} subscriptions already")
        connection.execute(insert(SUBSCRIPTION), [row])
        _keep_secret(connection, vault, name, secret, now)
        _ask_to_verify(state, connection, name, row["challenge"])
    return one(state, owner, name), secret


def mine(state: State, owner: str) -> list[Subscription]:
    """An owner's subscriptions, oldest first."""
    chosen = select(SUBSCRIPTION).where(SUBSCRIPTION.c.owner == owner)
    with state.reading() as connection:
        rows = connection.execute(chosen.order_by(SUBSCRIPTION.c.created_at, SUBSCRIPTION.c.id))
        return [_subscription(row) for row in rows]


def one(state: State, owner: str, name: str) -> Subscription:
    """One of an owner's subscriptions; raises UnknownSubscription, also for those of others."""
    with state.reading() as connection:
        return _subscription(_held(connection, owner, name, lock=False))


def lag(state: State) -> dict[str, int]:
    """How many events each subscription has yet to accept or pass over: queued, and not looked at yet.

    In one statement: between two, what one has not counted yet could be queued, and be missed by the other.
    """
    waiting = select(DELIVERY.c.subscription, func.count().label("queued"))
    waiting = waiting.where(DELIVERY.c.state == "waiting", DELIVERY.c.position.is_not(None))  # a challenge is no event
    queued = waiting.group_by(DELIVERY.c.subscription).subquery()
    tip = select(func.coalesce(func.max(EVENT.c.position), 0)).scalar_subquery()
    behind = tip - SUBSCRIPTION.c.cursor + func.coalesce(queued.c.queued, 0)
    chosen = select(SUBSCRIPTION.c.id, behind.label("behind"))
    chosen = chosen.outerjoin(queued, queued.c.subscription == SUBSCRIPTION.c.id)
    with state.reading() as connection:
        return {row.id: row.behind for row in connection.execute(chosen)}


def change(state: State, policy: Policy, owner: str, name: str, asked: Mapping[str, Json]) -> Subscription:
    """Another name, filter or endpoint; a new endpoint is verified before it hears anything."""
    with state.writing() as connection:
        held = _held(connection, owner, name)
        check("subscription", {"url": held.url, **asked})
        if "after" in asked:
            raise BadParameter("after", str(asked["after"]), "cannot be changed; ask for a replay instead")
        values: dict[str, Any] = {key: asked[key] for key in ("name", "url") if key in asked}
        if "filter" in asked:
            values["filter"] = _written(asked["filter"])
        if values.get("url", held.url) != held.url:
            challenge = secrets.token_urlsafe(32)
            values |= {"origin": addresses.endpoint(asked["url"], policy).origin, "challenge": challenge}
            values |= {"verified_at": None, "streak": 0}
            if held.state != "paused":  # nobody but its owner resumes it
                values |= {"state": "unverified", "why": ""}
            _ask_to_verify(state, connection, name, challenge)
            restart(connection, name, stamp(state.clock()))
        if values:
            connection.execute(update(SUBSCRIPTION).where(SUBSCRIPTION.c.id == name).values(**values))
    return one(state, owner, name)


def pause(state: State, owner: str, name: str) -> Subscription:
    """Send nothing until it is resumed; every event is kept."""
    with state.writing() as connection:
        if _held(connection, owner, name).state == "ended":
            raise ActRefused(name, "has ended: its endpoint answered 410 Gone")
        chosen = update(SUBSCRIPTION).where(SUBSCRIPTION.c.id == name)
        connection.execute(chosen.values(state="paused", why="paused by its owner"))
    return one(state, owner, name)


def resume(state: State, owner: str, name: str) -> Subscription:
    """Send again, from where it stopped; only its owner does this, whatever stopped it."""
    with state.writing() as connection:
        held = _held(connection, owner, name)
        if held.state == "ended":
            raise ActRefused(name, "has ended: its endpoint answered 410 Gone; change its url, or make another")
        became = "active" if held.verified_at is not None else "unverified"
        connection.execute(update(SUBSCRIPTION).where(SUBSCRIPTION.c.id == name).values(state=became, why="", streak=0))
        restart(connection, name, stamp(state.clock()))
    return one(state, owner, name)


def newest_secret(state: State, owner: str, name: str) -> int:
    """The number of a subscription's newest secret."""
    with state.reading() as connection:
        _held(connection, owner, name, lock=False)
        return _newest_secret(connection, name)


def rotate(
    state: State, vault: Vault, owner: str, name: str, overlap: timedelta = OVERLAP, newest: int | None = None
) -> str:
    """A new secret, shown this once; the old ones sign beside it until the overlap is over.

    Raises ActRefused where another one than `newest` is the newest by now: what was asked for has been done.
    """
    secret = signing.new_secret()
    now = stamp(state.clock())
    with state.writing() as connection:
        _held(connection, owner, name)
        if newest not in (None, _newest_secret(connection, name)):
            raise ActRefused(name, "has been given a new secret since this was shown; it stays the newest")
        until = stamp(state.clock() + overlap)
        old = SECRET.c.subscription == name, SECRET.c.expires_at.is_(None) | (SECRET.c.expires_at > until)
        connection.execute(update(SECRET).where(*old).values(expires_at=until))
        gone = SECRET.c.subscription == name, SECRET.c.expires_at <= now
        connection.execute(delete(SECRET).where(*gone))
        _keep_secret(connection, vault, name, secret, now)
    return secret


def remove(state: State, owner: str, name: str) -> None:
    """Delete a subscription with its secrets, deliveries and attempts."""
    with state.writing() as connection:
        _held(connection, owner, name)
        own = select(DELIVERY.c.id).where(DELIVERY.c.subscription == name)
        connection.execute(delete(ATTEMPT).where(ATTEMPT.c.delivery.in_(own)))
        for table in (DELIVERY, LANE, SECRET):
            connection.execute(delete(table).where(table.c.subscription == name))
        connection.execute(delete(SUBSCRIPTION).where(SUBSCRIPTION.c.id == name))
    LOG.info("subscription removed", extra={"told": {"subscription": name}})


def notices(state: State, owner: str, limit: int = 100) -> list[dict[str, Json]]:
    """What went wrong with an owner's endpoints, newest first."""
    chosen = select(NOTICE).where(NOTICE.c.owner == owner).order_by(NOTICE.c.id.desc()).limit(limit)
    with state.reading() as connection:
        return [
            {"kind": row.type, "subscription": row.subscription, "at": shown(row.at), "why": row.why}
            for row in connection.execute(chosen)
        ]


def _held(connection: Connection, owner: str, name: str, lock: bool = True) -> Row[Any]:
    """An owner's subscription, locked until the transaction ends: nothing is queued for it meanwhile."""
    chosen: Select[Any] = select(SUBSCRIPTION).where(SUBSCRIPTION.c.id == name, SUBSCRIPTION.c.owner == owner)
    row = connection.execute(chosen.with_for_update(key_share=True) if lock else chosen).first()
    if row is None:
        raise UnknownSubscription(name)
    return row


def _subscription(row: Row[Any]) -> Subscription:
    kept = {key: value for key, value in row._mapping.items() if key not in ("filter", "challenge", "origin")}
    return Subscription(**kept, filter=orjson.loads(row.filter))


def _written(told: Json) -> str:
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode("utf-8")


def _newest_secret(connection: Connection, name: str) -> int:
    found = connection.execute(select(func.max(SECRET.c.id)).where(SECRET.c.subscription == name)).scalar()
    return int(found or 0)


def _keep_secret(connection: Connection, vault: Vault, name: str, secret: str, now: int) -> None:
    row = {"subscription": name, "sealed": vault.seal(secret, name), "created_at": now}
    connection.execute(insert(SECRET), [row])


def _ask_to_verify(state: State, connection: Connection, name: str, challenge: str) -> None:
    """Queue a challenge in a lane of its own, in place of one that is still under way."""
    lane = DELIVERY.c.subscription == name, DELIVERY.c.document == "verification", DELIVERY.c.state == "waiting"
    connection.execute(update(DELIVERY).where(*lane).values(state="cancelled", settled_at=stamp(state.clock())))
    connection.execute(delete(LANE).where(LANE.c.subscription == name, LANE.c.document == "verification"))
    body = {"kind": "endpoint.verification", "subscription": name, "challenge": challenge}
    event = f"verification_{secrets.token_hex(8)}"
    state.enqueue(connection, [Queued(name, "verification", "verification", event, None, orjson.dumps(body))])


# --- what more can be sent -------------------------------------------------------------------------------


def ping(state: State, owner: str, name: str) -> int:
    """Queue a test; the delivery's number."""
    with state.writing() as connection:
        held = _held(connection, owner, name)
        if held.state not in HEARING:
            raise ActRefused(name, f"is {held.state}; only an active subscription is sent a test")
        at = shown(stamp(state.clock()))
        body = orjson.dumps({"kind": "endpoint.ping", "subscription": name, "occurred_at": at})
        queued = Queued(name, "ping", "ping", f"ping_{secrets.token_hex(8)}", None, body)
        return state.enqueue(connection, [queued])[0]


def redeliver(state: State, owner: str, name: str, delivery: int) -> int:
    """Queue one delivery once more, behind what its lane already holds, with the same webhook-id; its new number."""
    with state.writing() as connection:
        _held(connection, owner, name)
        row = connection.execute(_own_deliveries(name).where(DELIVERY.c.id == delivery)).first()
        if row is None:
            raise UnknownDelivery(name, delivery)
        if row.state == "waiting":
            raise ActRefused(f"delivery {delivery}", "is still on its way")
        if row.kind == "verification":
            raise ActRefused(f"delivery {delivery}", "is a verification; resume the subscription instead")
        kind = row.kind if row.kind == "rehearsal" else "redelivery"
        return state.enqueue(connection, [Queued(name, row.document, kind, row.event, row.position, row.body)])[0]


def replay(state: State, owner: str, name: str, after: int) -> int:
    """Queue again, in order, every event behind a position that the filter lets through; how many."""
    count = 0
    with state.writing() as connection:
        held = _held(connection, owner, name)
        wanted = filter_of(orjson.loads(held.filter))
        if after > held.cursor:
            raise BadParameter("after", str(after), f"is beyond what this subscription has reached, {held.cursor}")
        while after < held.cursor and (events := events_after(connection, after, QUEUED_AT_ONCE)):
            after = events[-1][0]
            queue = [
                Queued(name, event["document"], "replay", signing.webhook_id(event["id"]), position)
                for position, event in events
                if position <= held.cursor and matches(wanted, event)
            ]
            count += len(state.enqueue(connection, queue))
    return count


def rehearse(state: State, owner: str, name: str, events: Sequence[Mapping[str, Json]]) -> int:
    """Queue a past span in one lane, marked as a rehearsal, each with an id of its own; how many."""
    run = secrets.token_hex(6)
    with state.writing() as connection:
        held = _held(connection, owner, name)
        if held.state not in HEARING:
            raise ActRefused(name, f"is {held.state}; only an active subscription can rehearse")
        wanted = filter_of(orjson.loads(held.filter))
        queue = [
            Queued(
                name,
                f"rehearsal-{run}",
                "rehearsal",
                signing.webhook_id(f"rehearsal-{run}-{event['id']}"),
                None,
                orjson.dumps({**event, "rehearsal": run}, option=orjson.OPT_SORT_KEYS),
            )
            for event in events
            if matches(wanted, event)
        ]
        for some in chunks(queue):
            state.enqueue(connection, some)
    return len(queue)


def span(here: Push, first: datetime, end: datetime) -> list[dict[str, Json]]:
    """What a past span told, or would have told had the log begun before it, as it went; raises BadParameter."""
    if first < EARLIEST:
        raise BadParameter("from", first.isoformat(), f"is before {EARLIEST.year}")
    if not timedelta(0) < end - first <= LONGEST_REHEARSAL:
        why = f"is not after 'from', or more than {LONGEST_REHEARSAL.days} days after it"
        raise BadParameter("to", end.isoformat(), why)
    if end > here.state.clock():
        raise BadParameter("to", end.isoformat(), "is in the future; only what is past can be played")
    begun = next((datetime.fromisoformat(event["occurred_at"]) for _, event in here.state.events(limit=1)), end)
    before = here.played(first, min(begun, end)) if first < begun else ()
    told = {event["id"]: event for event in (*before, *(event for _, event in here.state.between(first, end)))}
    return sorted(told.values(), key=lambda event: str(event["occurred_at"]))


def deliveries(state: State, owner: str, name: str, before: int | None = None, limit: int = 100) -> list[Json]:
    """A subscription's deliveries, newest first."""
    with state.reading() as connection:
        _held(connection, owner, name, lock=False)
        chosen = _own_deliveries(name).order_by(DELIVERY.c.id.desc()).limit(limit)
        if before is not None:
            chosen = chosen.where(DELIVERY.c.id < before)
        return [_delivery_told(row) for row in connection.execute(chosen)]


def delivery(state: State, owner: str, name: str, number: int) -> Json:
    """One delivery: its body, when it goes out next, and its attempts, the newest first."""
    lane = (LANE.c.subscription == DELIVERY.c.subscription) & (LANE.c.document == DELIVERY.c.document)
    chosen = (
        select(DELIVERY, LANE.c.head, LANE.c.due_at, LANE.c.lease, EVENT.c.body.label("told"))
        .outerjoin(LANE, lane)
        .outerjoin(EVENT, EVENT.c.position == DELIVERY.c.position)
        .where(DELIVERY.c.subscription == name, DELIVERY.c.id == number)
    )
    with state.reading() as connection:
        held = _held(connection, owner, name, lock=False)
        row = connection.execute(chosen).first()
        if row is None:
            raise UnknownDelivery(name, number)
        tried = select(ATTEMPT).where(ATTEMPT.c.delivery == number).order_by(ATTEMPT.c.id.desc()).limit(ATTEMPTS_SHOWN)
        attempts = [
            {
                **{key: getattr(one, key) for key in ("status", "failure", "answer", "milliseconds")},
                "at": shown(one.at),
                "headers": orjson.loads(one.headers),
            }
            for one in connection.execute(tried)
        ]
        body = None if row.kind == "verification" else orjson.loads(posted(row))
        return {**_delivery_told(row), **_next_attempt(row, held.state), "body": body, "attempts": attempts}


def posted(row: Any) -> bytes:
    """What is posted: as it was queued, or the event (`told`) with its position; the same bytes at every attempt."""
    if row.body is not None:
        return bytes(row.body)
    return orjson.dumps({"position": row.position, **orjson.loads(row.told)}, option=orjson.OPT_SORT_KEYS)


def _next_attempt(row: Any, heard: str) -> dict[str, Json]:
    """When what waits is tried next, or which delivery goes before it; neither while it is under way or not sent."""
    waits = row.state == "waiting"
    behind = row.head if waits and row.head != row.id else None
    hears = heard in HEARING or (heard == "unverified" and row.kind == "verification")
    due = row.due_at if waits and hears and behind is None and row.lease is None else None
    return {"due_at": shown(due), "behind": behind}


def _own_deliveries(name: str) -> Select[Any]:
    return select(DELIVERY).where(DELIVERY.c.subscription == name)


def _delivery_told(row: Row[Any]) -> dict[str, Json]:
    told = {key: getattr(row, key) for key in ("id", "kind", "event", "document", "position", "state", "tries")}
    return {**told, "created_at": shown(row.created_at), "settled_at": shown(row.settled_at)}


# --- what whoever answers needs --------------------------------------------------------------------------

EXTENSION: Final = "inforce.push"


@dataclass(frozen=True, slots=True)
class Push:
    """What routes and pages need: put it into `app.extensions[EXTENSION]`."""

    state: State
    vault: Vault
    policy: Policy
    known: Callable[[], Known] = Known
    played: Callable[[datetime, datetime], Sequence[dict[str, Json]]] = lambda _first, _end: ()
    """What days of the past tell, as far as the log does not hold it: it may have begun later."""


def push() -> Push:
    found: Push = current_app.extensions[EXTENSION]
    return found
