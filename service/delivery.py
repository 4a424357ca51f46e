"""Sign, post, retry: the only outgoing network."""

from __future__ import annotations

import http.client
import io
import random
import re
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import orjson
from sqlalchemy import Connection, bindparam, exists, func, insert, select, tuple_, update

from guidance.errors import BadEndpoint, BadParameter, StoreUnreadable
from service import addresses, signing
from service.addresses import Policy, Resolver
from service.config import Config
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
    stamp,
)
from service.subscriptions import ENDED, FAILING_TYPE, HEARING, filter_of, matches, posted, shown

RESTING: Final = 1.0
"""Seconds between two looks for what is due, at most, where there was nothing for a while."""
PATIENT: Final = 10
"""Looks in vain after which the next one comes later."""
SCHEDULE: Final = Config().retries
"""How long to wait after each failed attempt: three days in all, and then it is the subscriber's turn."""
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
WAIT: Final = re.compile(r"([0-9]{1,6})([smhd])")
LONGEST_WAIT: Final = timedelta(days=1)
HEAD_LIMIT: Final = 64 * 1024
KEPT: Final = 1024
"""Bytes of an answer that are read and kept."""
ADDRESSES_TRIED: Final = 3
FAILING_STREAK: Final = 3
"""Failures in a row after which an endpoint is asked one thing at a time."""
PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Terms:
    """How endpoints are treated."""

    schedule: tuple[timedelta, ...]
    jitter: float = 0.2
    seconds: float = 15.0
    lease: timedelta = timedelta(seconds=60)
    per_endpoint: int = 4
    threads: int = 32
    poll: float = 0.05
    """Seconds between two looks at the tables while there is nothing to do."""
    ca_file: Path | None = None
    agent: str = "inforce"

    def __post_init__(self) -> None:
        if self.lease.total_seconds() < 2 * self.seconds:
            raise BadParameter("lease", str(self.lease), "is not twice as long as an endpoint may take to answer")


def terms_of(config: Config, agent: str = "inforce") -> Terms:
    """The terms of a service; raises BadParameter."""
    seconds = config.delivery_seconds
    ca_file = Path(config.outgoing_ca) if config.outgoing_ca else None
    if ca_file and not ca_file.is_file():
        raise BadParameter("--outgoing-ca", str(ca_file), "is not a file that can be read")
    try:
        ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise BadParameter("--outgoing-ca", str(ca_file), f"holds no certificates in PEM: {error}") from error
    return Terms(
        schedule_of(config.retries),
        seconds=float(seconds),
        lease=timedelta(seconds=max(3, 2 * seconds)),
        per_endpoint=config.per_endpoint,
        poll=0.2,
        ca_file=ca_file,
        agent=agent,
    )


def schedule_of(text: str = SCHEDULE) -> tuple[timedelta, ...]:
    """The waits between attempts, as a setting writes them: 5s 30s 2m …; raises BadParameter."""
    found = [WAIT.fullmatch(part) for part in text.split()]
    waits = tuple(timedelta(seconds=int(one[1]) * UNITS[one[2]]) for one in found if one)
    if not waits or len(waits) != len(found):
        raise BadParameter("--retries", text, "is not a list of waits such as: 5s 30s 2m 1h 1d")
    return waits


# --- one request -----------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What came of one request: a status, or what failed before there was one."""

    status: int | None
    text: str = ""
    failure: str = ""
    retry_after: str = ""


class _Bounded(io.RawIOBase):
    """A socket's bytes until a deadline, and at most so many."""

    def __init__(self, connection: socket.socket, deadline: float, most: int) -> None:
        self._connection, self._deadline, self._left = connection, deadline, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(_left(self._deadline))
        count = self._connection.recv_into(memoryview(buffer)[: max(self._left, 1)])
        self._left -= count
        if self._left < 0:
            raise OSError(f"the answer's head is over {HEAD_LIMIT} bytes long")
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What http.client asks of a socket."""
        return io.BufferedReader(self)


@dataclass(frozen=True)
class Outgoing:
    """How requests leave: the operator's policy, time, and whom TLS trusts."""

    policy: Policy
    seconds: float = 15.0
    ca_file: Path | None = None
    resolver: Resolver | None = None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca_file:
            context.load_verify_locations(self.ca_file)
        return context

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one POST to an address that was checked, follow nothing, and read a little of what comes back."""
        deadline = time.monotonic() + self.seconds
        try:
            wanted = addresses.endpoint(url, self.policy)
            found = addresses.reachable(wanted, self.policy, self.seconds, self.resolver)
            with self._connected(wanted, found, deadline) as connection:
                connection.settimeout(_left(deadline))
                connection.sendall(_request(wanted, headers, body))
                return _answer(connection, deadline)
        except BadEndpoint as error:
            return Answer(None, failure=f"not sent: {error}")
        except TimeoutError:
            return Answer(None, failure=f"no whole answer within {self.seconds:g} seconds")
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Answer(None, failure=f"{type(error).__name__}: {error}"[:300])

    def _connected(self, wanted: addresses.Endpoint, found: Sequence[str], deadline: float) -> socket.socket:
        """A connection to the first of the checked addresses that takes one."""
        last: OSError = OSError("no address")
        for place in found[:ADDRESSES_TRIED]:
            try:
                plain = socket.create_connection((place, wanted.port), _left(deadline))
            except OSError as error:
                last = error
                continue
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(_left(deadline))
            return self._secured(plain, wanted) if wanted.scheme == "https" else plain
        raise last

    def _secured(self, plain: socket.socket, wanted: addresses.Endpoint) -> socket.socket:
        """TLS for the name that was asked for, whatever address it led to."""
        try:
            return self._tls.wrap_socket(plain, server_hostname=wanted.host)
        except BaseException:
            plain.close()
            raise


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _request(wanted: addresses.Endpoint, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"POST {wanted.target} HTTP/1.1", f"Host: {wanted.authority}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("ascii") + body


def _answer(connection: socket.socket, deadline: float) -> Answer:
    bounded: Any = _Bounded(connection, deadline, HEAD_LIMIT)
    response = http.client.HTTPResponse(bounded, method="POST")
    try:
        response.begin()
        try:
            read = response.read(KEPT)
        except (OSError, http.client.HTTPException):
            read = b""  # the status was said; what follows it decides nothing
        text = read.decode("utf-8", "replace").replace("\0", "\ufffd")
        return Answer(response.status, text, retry_after=response.headers.get("Retry-After", "")[:100])
    finally:
        response.close()


# --- what an answer means --------------------------------------------------------------------------------

Meaning = Literal["accepted", "gone", "again", "exhausted"]


class Verdict(NamedTuple):
    """What becomes of a delivery after an attempt, and when it is tried again."""

    meaning: Meaning
    due_at: datetime | None = None
    why: str = ""


def judge(answer: Answer, tries: int, now: datetime, terms: Terms, luck: float, echo: str | None = None) -> Verdict:
    """What an answer means after so many attempts, this one included. `luck` in [0, 1) spreads the retries.

    2xx accepts; 410 ends the subscription (Standard Webhooks); everything else is tried again. `echo`: what the answer
    must hold before it counts, where the endpoint is being verified.
    """
    if answer.status == 410:
        return Verdict("gone", why="the endpoint answered 410 Gone")
    good = answer.status is not None and 200 <= answer.status < 300
    if good and (echo is None or _echoes(answer.text, echo)):
        return Verdict("accepted")
    why = "the answer did not hold the challenge" if good else answer.failure or f"answered {answer.status}"
    if tries > len(terms.schedule):
        return Verdict("exhausted", why=why)
    pause = terms.schedule[tries - 1] * (1 + terms.jitter * luck)
    return Verdict("again", now + max(pause, _asked_to_wait(answer.retry_after, now)), why)


def _echoes(text: str, challenge: str) -> bool:
    """Whether an answer is the challenge, as JSON {"challenge": …} or as it is."""
    if text.strip() == challenge:
        return True
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(told, dict) and told.get("challenge") == challenge


def _asked_to_wait(text: str, now: datetime) -> timedelta:
    """Retry-After as a length of time (RFC 9110, section 10.2.3), at most a day; none where it cannot be read."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(timedelta(seconds=int(text)), LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return timedelta(0)
    return min(max(until - now, timedelta(0)), LONGEST_WAIT) if until.tzinfo else timedelta(0)


# --- who gets what ---------------------------------------------------------------------------------------


def fan_out(state: State, most: int = 2000) -> int:
    """Queue what subscribers have not been queued yet; how many subscriptions were brought forward.

    A subscription's cursor moves in the transaction that queues what lies behind it: nothing is skipped, nothing is
    queued twice, however many do this at once.
    """
    behind = SUBSCRIPTION.c.state.in_(HEARING), SUBSCRIPTION.c.cursor < _newest()
    with state.reading() as connection:
        if not connection.execute(select(exists().where(*behind))).scalar():
            return 0
    columns = SUBSCRIPTION.c.id, SUBSCRIPTION.c.cursor, SUBSCRIPTION.c.filter
    chosen = select(*columns).where(*behind).order_by(SUBSCRIPTION.c.cursor, SUBSCRIPTION.c.id).limit(most)
    with state.writing() as connection:
        rows = connection.execute(chosen.with_for_update(skip_locked=True, key_share=True)).all()
        if not rows:
            return 0
        events = events_after(connection, rows[0].cursor, PAGE)
        until = events[-1][0]
        moved = [row for row in rows if row.cursor < until]
        chosen_by = _Choices(events)
        queue = [one for row in moved for one in chosen_by.queued(row.id, row.cursor, row.filter)]
        state.enqueue(connection, queue)
        for some in chunks([row.id for row in moved]):
            connection.execute(update(SUBSCRIPTION).where(SUBSCRIPTION.c.id.in_(some)).values(cursor=until))
    return len(moved)


class _Choices:
    """Which of some events each filter lets through; subscriptions with the same filter share the answer."""

    def __init__(self, events: Sequence[tuple[int, dict[str, Any]]]) -> None:
        self._events = events
        self._by_filter: dict[str, list[tuple[int, str, str]]] = {}

    def queued(self, subscription: str, cursor: int, text: str) -> Iterable[Queued]:
        if text not in self._by_filter:
            wanted = filter_of(orjson.loads(text))
            self._by_filter[text] = [
                (position, signing.webhook_id(event["id"]), event["document"])
                for position, event in self._events
                if matches(wanted, event)
            ]
        for position, name, document in self._by_filter[text]:
            if position > cursor:
                yield Queued(subscription, document, "event", name, position)


def _newest() -> Any:
    return select(func.coalesce(func.max(EVENT.c.position), 0)).scalar_subquery()


# --- claiming and settling -------------------------------------------------------------------------------


class Claim(NamedTuple):
    """One delivery that this worker, and nobody else while the lease lasts, has under way."""

    subscription: str
    document: str
    delivery: int
    kind: str
    event: str
    body: bytes
    url: str
    secrets: tuple[str, ...]
    challenge: str
    tries: int
    first_at: int | None
    lease: str


class Done(NamedTuple):
    """A claim after its request."""

    claim: Claim
    at: datetime
    milliseconds: int
    headers: dict[str, str]
    answer: Answer


def claim(connection: Connection, state: State, vault: Vault, terms: Terms, most: int) -> list[Claim]:
    """Take up lanes that are due, at most so many, and no more of one endpoint than it is to be sent at once."""
    now = state.clock()
    lanes = _due(connection, state, stamp(now), terms, most)
    if not lanes:
        return []
    lease = secrets.token_hex(8)
    keys = [(lane.subscription, lane.document) for lane in lanes]
    held = tuple_(LANE.c.subscription, LANE.c.document).in_(keys)
    connection.execute(update(LANE).where(held).values(lease=lease, due_at=stamp(now + terms.lease)))
    sealed = _secrets(connection, {lane.subscription for lane in lanes}, stamp(now))
    claims = []
    for lane in lanes:
        body = posted(lane)
        opened = _opened(vault, lane.subscription, sealed.get(lane.subscription, ()))
        told = lane.subscription, lane.document, lane.head, lane.kind, lane.event, body
        claims.append(Claim(*told, lane.url, opened, lane.challenge, lane.tries, lane.first_at, lease))
    return claims


def _opened(vault: Vault, subscription: str, sealed: Iterable[bytes]) -> tuple[str, ...]:
    """The secrets that a configured key opens; with none nothing is sent, and the attempt says so."""
    opened = []
    for one in sealed:
        try:
            opened.append(vault.open(one, subscription))
        except StoreUnreadable as error:
            LOG.error("secret", extra={"told": {"subscription": subscription, "why": error.why}})
    return tuple(opened)


def _due(connection: Connection, state: State, now: int, terms: Terms, most: int) -> Sequence[Any]:
    """Lanes to take up: the longest due first, passing over those that another worker holds and endpoints in full."""
    busy = (
        select(SUBSCRIPTION.c.origin, func.count().label("busy"))
        .join(LANE, LANE.c.subscription == SUBSCRIPTION.c.id)
        .where(LANE.c.lease.is_not(None), LANE.c.due_at > now)
        .group_by(SUBSCRIPTION.c.origin)
    )
    under_way: dict[str, int] = {row.origin: row.busy for row in connection.execute(busy)}
    full = [origin for origin, count in under_way.items() if count >= terms.per_endpoint]
    hears = SUBSCRIPTION.c.state.in_(HEARING) | (
        (SUBSCRIPTION.c.state == "unverified") & (LANE.c.document == "verification")
    )
    columns = (
        *(LANE.c.subscription, LANE.c.document, LANE.c.head, LANE.c.tries, LANE.c.first_at),
        *(SUBSCRIPTION.c.url, SUBSCRIPTION.c.origin, SUBSCRIPTION.c.challenge, SUBSCRIPTION.c.streak),
        *(DELIVERY.c.kind, DELIVERY.c.event, DELIVERY.c.body, DELIVERY.c.position, EVENT.c.body.label("told")),
    )
    chosen = (
        select(*columns)
        .join(SUBSCRIPTION, SUBSCRIPTION.c.id == LANE.c.subscription)
        .join(DELIVERY, DELIVERY.c.id == LANE.c.head)
        .outerjoin(EVENT, EVENT.c.position == DELIVERY.c.position)
        .where(LANE.c.due_at <= now, hears, SUBSCRIPTION.c.origin.not_in(full))
        .order_by(LANE.c.due_at)
        .limit(most * 4)
        .with_for_update(skip_locked=True, of=LANE)
    )
    rows = connection.execute(chosen).all()
    return _within_bounds(rows, _counted(connection, state, rows, under_way, now), terms, most)


def _counted(
    connection: Connection, state: State, rows: Sequence[Any], under_way: Mapping[str, int], now: int
) -> dict[str, int]:
    """How many requests each endpoint has under way, for those endpoints that no other worker is counting now."""
    origins = sorted({row.origin for row in rows})
    if not state.postgresql or not origins:
        return {origin: under_way.get(origin, 0) for origin in origins}
    counted: dict[str, int] = {}
    for origin in origins:
        if connection.execute(select(func.pg_try_advisory_xact_lock(func.hashtextextended(origin, 7)))).scalar():
            busy = select(func.count()).select_from(LANE).join(SUBSCRIPTION, SUBSCRIPTION.c.id == LANE.c.subscription)
            busy = busy.where(SUBSCRIPTION.c.origin == origin, LANE.c.lease.is_not(None), LANE.c.due_at > now)
            counted[origin] = connection.execute(busy).scalar_one()
    return counted


def _within_bounds(rows: Sequence[Any], busy: dict[str, int], terms: Terms, most: int) -> list[Any]:
    """As many as each endpoint may have at once: one, while it does nothing but fail."""
    taken: list[Any] = []
    for row in rows:
        bound = terms.per_endpoint if row.streak < FAILING_STREAK else 1
        if len(taken) < most and busy.get(row.origin, bound) < bound:
            busy[row.origin] += 1
            taken.append(row)
    return taken


def unopened(state: State, vault: Vault) -> list[str]:
    """The subscriptions that nothing can be sent to, since no configured key opens their secrets; each is logged."""
    with state.reading() as connection:
        names = connection.execute(select(SUBSCRIPTION.c.id)).scalars().all()
        found = [pair for some in chunks(names) for pair in _secrets(connection, some, stamp(state.clock())).items()]
    return [name for name, sealed in found if not _opened(vault, name, sealed)]


def _secrets(connection: Connection, subscriptions: Collection[str], now: int) -> dict[str, list[bytes]]:
    """The sealed secrets that hold now, the newest first."""
    live = SECRET.c.expires_at.is_(None) | (SECRET.c.expires_at > now)
    chosen = select(SECRET.c.subscription, SECRET.c.sealed).where(SECRET.c.subscription.in_(subscriptions), live)
    found: dict[str, list[bytes]] = {}
    for row in connection.execute(chosen.order_by(SECRET.c.id.desc())):
        found.setdefault(row.subscription, []).append(bytes(row.sealed))
    return found


def settle(connection: Connection, state: State, done: Sequence[Done], terms: Terms) -> None:
    """Log every attempt, and move each lane on; what came back after its lease was lost is logged and moves nothing."""
    if not done:
        return
    now = state.clock()
    names = sorted({one.claim.subscription for one in done})
    held = select(SUBSCRIPTION).where(SUBSCRIPTION.c.id.in_(names)).order_by(SUBSCRIPTION.c.id)
    owners = {row.id: row for row in connection.execute(held.with_for_update(key_share=True))}
    keys = sorted({(one.claim.subscription, one.claim.document) for one in done})
    lanes = select(LANE).where(tuple_(LANE.c.subscription, LANE.c.document).in_(keys))
    lanes = lanes.order_by(LANE.c.subscription, LANE.c.document).with_for_update()
    leases = {(row.subscription, row.document): row.lease for row in connection.execute(lanes)}
    known = [one for one in done if one.claim.subscription in owners]
    ours = [one for one in known if leases.get((one.claim.subscription, one.claim.document)) == one.claim.lease]
    _log_attempts(connection, known, {one.claim.delivery for one in ours})
    judged = [(one, _judged(one, owners[one.claim.subscription].url, now, terms)) for one in ours]
    _accept(connection, [one for one, verdict in judged if verdict.meaning == "accepted"], stamp(now))
    _retry(connection, [(one, verdict) for one, verdict in judged if verdict.meaning != "accepted"], now)
    for one, verdict in judged:
        if verdict.meaning in ("gone", "exhausted"):
            _stop(connection, state, owners[one.claim.subscription], one, verdict)


def _judged(one: Done, url: str, now: datetime, terms: Terms) -> Verdict:
    """What an answer means. One from a `url` that was changed meanwhile stops nothing."""
    claim = one.claim
    echo = claim.challenge if claim.kind == "verification" else None
    verdict = judge(one.answer, claim.tries + 1, now, terms, random.random(), echo)  # noqa: S311
    stops = verdict.meaning in ("gone", "exhausted")
    return Verdict("again", now, verdict.why) if stops and claim.url != url else verdict


def _log_attempts(connection: Connection, done: Sequence[Done], counted: Collection[int]) -> None:
    rows = [
        {
            "delivery": one.claim.delivery,
            "at": stamp(one.at),
            "milliseconds": one.milliseconds,
            "headers": orjson.dumps(one.headers).decode("ascii"),
            "status": one.answer.status,
            "answer": one.answer.text,
            "failure": one.answer.failure,
            "counted": one.claim.delivery in counted,
        }
        for one in done
    ]
    if rows:
        connection.execute(insert(ATTEMPT), rows)
    tried = [{"number": one.claim.delivery} for one in done]
    if tried:
        changed = update(DELIVERY).where(DELIVERY.c.id == bindparam("number"))
        connection.execute(changed.values(tries=DELIVERY.c.tries + 1), tried)


def _accept(connection: Connection, done: Sequence[Done], now: int) -> None:
    """What was accepted is settled, and the next in its lane becomes due."""
    if not done:
        return
    settled = update(DELIVERY).where(DELIVERY.c.id.in_([one.claim.delivery for one in done]))
    connection.execute(settled.values(state="accepted", settled_at=now))
    keys = sorted({(one.claim.subscription, one.claim.document) for one in done})
    following = select(DELIVERY.c.subscription, DELIVERY.c.document, func.min(DELIVERY.c.id).label("head"))
    following = following.where(
        tuple_(DELIVERY.c.subscription, DELIVERY.c.document).in_(keys), DELIVERY.c.state == "waiting"
    ).group_by(DELIVERY.c.subscription, DELIVERY.c.document)
    heads = {(row.subscription, row.document): row.head for row in connection.execute(following)}
    moved = [
        {"name": key[0], "about": key[1], "next": heads.get(key), "due": now if key in heads else None} for key in keys
    ]
    lane = update(LANE).where(LANE.c.subscription == bindparam("name"), LANE.c.document == bindparam("about"))
    fresh = {"lease": None, "tries": 0, "first_at": None}
    connection.execute(lane.values(head=bindparam("next"), due_at=bindparam("due"), **fresh), moved)
    names = sorted({one.claim.subscription for one in done})
    well = update(SUBSCRIPTION).where(SUBSCRIPTION.c.id.in_(names))
    connection.execute(well.values(streak=0, accepted_at=now))
    verified = sorted({one.claim.subscription for one in done if one.claim.kind == "verification"})
    if verified:
        proven = update(SUBSCRIPTION).where(SUBSCRIPTION.c.id.in_(verified), SUBSCRIPTION.c.verified_at.is_(None))
        connection.execute(proven.values(verified_at=now))
        begun = update(SUBSCRIPTION).where(SUBSCRIPTION.c.id.in_(verified), SUBSCRIPTION.c.state == "unverified")
        connection.execute(begun.values(state="active", why=""))


def _retry(connection: Connection, judged: Sequence[tuple[Done, Verdict]], now: datetime) -> None:
    """What failed stays at the head of its lane, due later. Once the schedule has run out or the endpoint is gone it is
    not due at all, until the owner resumes the subscription or names another endpoint."""
    for one, verdict in judged:
        claim = one.claim
        lane = update(LANE).where(LANE.c.subscription == claim.subscription, LANE.c.document == claim.document)
        due = stamp(verdict.due_at) if verdict.due_at else None
        first = stamp(one.at) if claim.first_at is None else claim.first_at
        connection.execute(lane.values(due_at=due, lease=None, tries=claim.tries + 1, first_at=first))
        worse = update(SUBSCRIPTION).where(SUBSCRIPTION.c.id == claim.subscription)
        connection.execute(worse.values(streak=SUBSCRIPTION.c.streak + 1))


def _stop(connection: Connection, state: State, owner: Any, one: Done, verdict: Verdict) -> None:
    """Tell loudly that a subscription ended or fails: its state, a notice, the log, and whoever asked to be told.

    What is waiting for it waits.
    """
    now = stamp(state.clock())
    if verdict.meaning == "gone":
        became, type_ = "ended", ENDED
    else:
        first = one.claim.first_at if one.claim.first_at is not None else stamp(one.at)
        answers = owner.accepted_at is not None and owner.accepted_at > first
        became, type_ = ("stuck" if answers else "failing"), FAILING_TYPE
    why = f"{one.claim.document or 'the endpoint'}: {verdict.why}"[:1000]
    live = SUBSCRIPTION.c.state.in_((*HEARING, "unverified", *(("paused", "failing") if became == "ended" else ())))
    chosen = update(SUBSCRIPTION).where(SUBSCRIPTION.c.id == owner.id, live)
    if connection.execute(chosen.values(state=became, why=why)).rowcount == 0:
        return
    notice = {"owner": owner.owner, "subscription": owner.id, "type": type_, "at": now, "why": why}
    numbered = insert(NOTICE).values(notice).returning(NOTICE.c.id)
    number = connection.execute(numbered).scalar_one()
    LOG.error(type_, extra={"told": {"subscription": owner.id, "state": became, "why": why}})
    _tell_owner(connection, state, owner, f"notice_{number}", {**notice, "state": became})


def _tell_owner(connection: Connection, state: State, owner: Any, name: str, notice: Mapping[str, Any]) -> None:
    """Send a notice to those other subscriptions of the same owner that ask for its type."""
    others = select(SUBSCRIPTION.c.id, SUBSCRIPTION.c.filter).where(
        SUBSCRIPTION.c.owner == owner.owner, SUBSCRIPTION.c.id != owner.id, SUBSCRIPTION.c.state.in_(HEARING)
    )
    told = {"id": name, "occurred_at": shown(notice["at"])}
    told |= {"kind": notice["type"], **{key: notice[key] for key in ("subscription", "state", "why")}}
    body = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    queue = [
        Queued(row.id, "notices", "notice", name, None, body)
        for row in connection.execute(others.order_by(SUBSCRIPTION.c.id))
        if notice["type"] in orjson.loads(row.filter).get("kinds", ())
    ]
    state.enqueue(connection, queue)


# --- workers ---------------------------------------------------------------------------------------------


@dataclass
class Worker:
    """Delivers what is due. Any number of them, in any number of processes, may be killed at any moment.

    Threads speak to the network and nothing else; one thread speaks to the tables, and settles what has come back in
    the transaction in which it claims what goes out next.
    """

    state: State
    vault: Vault
    policy: Policy
    terms: Terms = field(default_factory=lambda: Terms(schedule_of()))
    resolver: Resolver | None = None
    fans_out: Callable[[State], int] = fan_out

    def __post_init__(self) -> None:
        self._outgoing = Outgoing(self.policy, self.terms.seconds, self.terms.ca_file, self.resolver)
        self._pool = ThreadPoolExecutor(self.terms.threads, thread_name_prefix="deliver")
        self._under_way: dict[Future[Done], Claim] = {}

    def run(self, stop: threading.Event) -> None:
        """Deliver until told to stop; then finish what is under way. A failing database is waited for."""
        failures = idle = 0
        while not stop.is_set():
            try:
                idle = 0 if self.turn() else idle + 1
                failures = 0
            except Exception as error:  # the database may come back; a lost worker would lose nothing but time
                failures += 1
                LOG.error("delivery", exc_info=error, extra={"told": {"failures": failures}})
                stop.wait(min(2**failures, 30))
                continue
            if idle:
                self._rest(stop, min(self.terms.poll * (1 + idle // PATIENT), max(self.terms.poll, RESTING)))
        self.close()

    def close(self) -> None:
        """Wait for what is under way and settle it."""
        wait(self._under_way)
        self._exchange(0)
        self._pool.shutdown()

    def turn(self) -> bool:
        """One turn: queue, settle, claim, send. Whether there was anything to do."""
        queued = self.fans_out(self.state)
        free = self.terms.threads - sum(not one.done() for one in self._under_way)
        settled, claims = self._exchange(free)
        for one in claims:
            self._under_way[self._pool.submit(self._send, one)] = one
        return bool(queued or settled or claims)

    def drain(self) -> None:
        """Deliver all that is due now, and stop when nothing is."""
        while self.turn() or self._under_way:
            wait(self._under_way, self.terms.poll, FIRST_COMPLETED)

    def _rest(self, stop: threading.Event, seconds: float) -> None:
        if self._under_way:
            wait(self._under_way, self.terms.poll, FIRST_COMPLETED)
        else:
            stop.wait(seconds)

    def _exchange(self, free: int) -> tuple[int, list[Claim]]:
        """Settle what came back and claim what is due, in one transaction."""
        back = [one for one in self._under_way if one.done()]
        done = [one.result() for one in back]
        if not done and not (free and self._anything_due()):
            return 0, []
        with self.state.writing() as connection:
            settle(connection, self.state, done, self.terms)
            claims = claim(connection, self.state, self.vault, self.terms, free) if free else []
        for one in back:
            del self._under_way[one]
        return len(done), claims

    def _anything_due(self) -> bool:
        hears = SUBSCRIPTION.c.id == LANE.c.subscription, SUBSCRIPTION.c.state.in_((*HEARING, "unverified"))
        due = exists().where(LANE.c.due_at <= stamp(self.state.clock()), *hears)
        with self.state.reading() as connection:
            return bool(connection.execute(select(due)).scalar())

    def _send(self, claim: Claim) -> Done:
        at = self.state.clock()
        headers = {"Content-Type": "application/json", "User-Agent": self.terms.agent, "Accept": "application/json"}
        if claim.kind == "rehearsal":
            headers["inforce-rehearsal"] = "true"
        headers |= signing.headers(claim.secrets, claim.event, at, claim.body)
        if not claim.secrets:
            return Done(claim, at, 0, headers, Answer(None, failure="not sent: its secret cannot be opened here"))
        began = time.perf_counter()
        try:
            answer = self._outgoing.post(claim.url, headers, claim.body)
        except Exception as error:  # whatever it was, the attempt is logged and tried again
            LOG.error("delivery", exc_info=error, extra={"told": {"subscription": claim.subscription}})
            answer = Answer(None, failure=f"{type(error).__name__} here")
        return Done(claim, at, round((time.perf_counter() - began) * 1000), headers, answer)
