"""Tables that are not guidance: the event log, subscriptions, deliveries, tokens; on SQLite or on PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    case,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DisconnectionError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.pool import ConnectionPoolEntry

from guidance.errors import BadParameter, StoreUnreadable
from guidance.later import later
from guidance.model import Json
from service.clock import Clock, system_clock
from service.config import Config
from service.logs import LOG

PATIENCE: Final = {
    "connect_timeout": "10",
    "tcp_user_timeout": "30000",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
"""How long a PostgreSQL that has gone away is waited for (seconds, and once milliseconds), as libpq names it; a URL may
say otherwise. Without it a host that vanished would hold a thread for a quarter of an hour."""
T = TypeVar("T")
APPENDING: Final = 0x1F0CE001
MIGRATING: Final = 0x1F0CE002
CHANNEL: Final = "inforce_events"
NEWEST: Final = "0003"
"""The last step in `service/migrations`. Only tables that are not there yet need alembic, which takes long to load."""
POLL: Final = 0.025
"""Seconds between two looks at an SQLite log that somebody waits for."""
CHUNK: Final = 500
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# --- tables ----------------------------------------------------------------------------------------------
# Instants are whole microseconds since 1970 in UTC: they compare the same on both databases.

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
WHOLE: Final = BigInteger().with_variant(Integer, "sqlite")
"""A number that SQLite may count by itself."""

EVENT: Final = Table(
    "event",
    METADATA,
    Column("position", WHOLE, primary_key=True, autoincrement=False),
    Column("id", String(300), nullable=False, unique=True),
    Column("occurred_at", BigInteger, index=True),
    Column("appended_at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
DERIVED: Final = Table(
    "derived",
    METADATA,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("instant", BigInteger, nullable=False),
    Column("revision", String(64)),
)
TOKEN: Final = Table(
    "token",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("owner", String(200), nullable=False, index=True),
    Column("scopes", String(500), nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("used_at", BigInteger),
    Column("revoked_at", BigInteger),
)
REFUSAL: Final = Table(
    "refusal",
    METADATA,
    Column("client", String(64), primary_key=True),
    Column("minute", BigInteger, primary_key=True),
    Column("count", Integer, nullable=False),
)
SESSION: Final = Table(
    "session",
    METADATA,
    Column("hash", LargeBinary, primary_key=True),
    Column("token", String(40), ForeignKey("token.id"), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
SUBSCRIPTION: Final = Table(
    "subscription",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("owner", String(200), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("url", String(2048), nullable=False),
    Column("origin", String(300), nullable=False),
    Column("filter", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("why", Text, nullable=False),
    Column("challenge", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("verified_at", BigInteger),
    Column("accepted_at", BigInteger),
    Column("streak", Integer, nullable=False),
    Column("cursor", BigInteger, nullable=False),
    Index(None, "state", "cursor"),
)
SECRET: Final = Table(
    "secret",
    METADATA,
    Column("id", WHOLE, primary_key=True),
    Column("subscription", String(40), ForeignKey("subscription.id"), nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
)
LANE: Final = Table(
    "lane",
    METADATA,
    Column("subscription", String(40), ForeignKey("subscription.id"), primary_key=True),
    Column("document", String(200), primary_key=True),
    Column("head", BigInteger),
    Column("due_at", BigInteger, index=True),
    Column("lease", String(40)),
    Column("tries", Integer, nullable=False),
    Column("first_at", BigInteger),
)
"""What one subscription hears of one document, in order: only the head is ever under way.

`due_at` is when somebody may take the lane up; whoever does moves it behind the end of the lease. None: nothing to do,
or stopped until the subscriber resumes.
"""
DELIVERY: Final = Table(
    "delivery",
    METADATA,
    Column("id", WHOLE, primary_key=True),
    Column("subscription", String(40), nullable=False),
    Column("document", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("event", String(300), nullable=False),
    Column("position", BigInteger),
    Column("body", LargeBinary),
    Column("state", String(20), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("settled_at", BigInteger),
    ForeignKeyConstraint(["subscription"], ["subscription.id"]),
    Index(None, "subscription", "document", "state", "id"),
    Index(None, "subscription", "id"),
    sqlite_autoincrement=True,
)
ATTEMPT: Final = Table(
    "attempt",
    METADATA,
    Column("id", WHOLE, primary_key=True),
    Column("delivery", WHOLE, ForeignKey("delivery.id"), nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("milliseconds", Integer, nullable=False),
    Column("headers", Text, nullable=False),
    Column("status", Integer),
    Column("answer", Text, nullable=False),
    Column("failure", Text, nullable=False),
    Column("counted", Boolean, nullable=False),
)
NOTICE: Final = Table(
    "notice",
    METADATA,
    Column("id", WHOLE, primary_key=True),
    Column("owner", String(200), nullable=False, index=True),
    Column("subscription", String(40), nullable=False),
    Column("type", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("why", Text, nullable=False),
)


def stamp(instant: datetime) -> int:
    """An instant as the tables keep it."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def instant(stamped: int) -> datetime:
    """An instant as the tables kept it."""
    return EPOCH + timedelta(microseconds=stamped)


class Telling(Protocol):
    """What the log needs of an event: its id, which never changes, and itself as JSON."""

    @property
    def id(self) -> str: ...

    def json(self) -> dict[str, Json]: ...


class Derived(NamedTuple):
    """How far events were derived: the register's position, the instant up to which days were looked at, and the
    revision at that position; None where it was noted before revisions were."""

    position: int
    instant: datetime
    revision: str | None = None


class Queued(NamedTuple):
    """One thing to deliver, before it stands in its lane. `body` is None where the event log holds it."""

    subscription: str
    document: str
    kind: str
    event: str
    position: int | None = None
    body: bytes | None = None


def opened(config: Config, clock: Clock = system_clock) -> State:
    """The tables of a service; raises BadParameter for a setting that is no database's URL."""
    try:
        return State(config.state or config.data / "state.sqlite", clock)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        why = "is not a database's URL such as postgresql://user@host/name, or its driver is not installed"
        raise BadParameter("--state", "(hidden)", why) from error


class State:
    """The tables, brought to the newest schema; any number of threads, and of processes beside it.

    Open one in each process, after it forks.
    """

    def __init__(self, where: Path | str, clock: Clock = system_clock) -> None:
        """`where`: the path of an SQLite file, or a database URL."""
        self.clock = clock
        url = make_url(f"sqlite:///{where}" if isinstance(where, Path) else where)
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        self.postgresql = url.get_backend_name() == "postgresql"
        if self.postgresql:
            url = url.set(query={**PATIENCE, **url.query})
        self.engine = create_engine(url, pool_size=16, max_overflow=32, pool_pre_ping=self.postgresql)
        if not self.postgresql:
            event.listen(self.engine, "connect", _sqlite_opened)
            event.listen(self.engine, "checkout", self._still_there)
            event.listen(self.engine, "begin", _sqlite_begun)
        self._insert = later("service.postgres:insert") if self.postgresql else sqlite_insert
        self._writer = self.engine.execution_options(writing=True)
        self._watch = _Watch(self)
        self._ready, self._readying = False, threading.Lock()

    def close(self) -> None:
        self.let_go()
        self.engine.dispose()

    def let_go(self) -> None:
        """Have nobody wait for events any more: whoever does is answered at once with what there is."""
        self._watch.stop()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads; raises StoreUnreadable where the database does not answer."""
        with self._begun(self.engine) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes: on SQLite the only one at its time; raises StoreUnreadable."""
        with self._begun(self._writer) as connection:
            yield connection

    @contextmanager
    def _begun(self, engine: Engine) -> Iterator[Connection]:
        try:
            self._prepare()
            with engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            LOG.error("state", extra={"told": {"why": str(error.orig)[:500]}})
            raise StoreUnreadable("the state", "its database does not answer") from error
        except DatabaseError as error:
            if type(error) is not DatabaseError:  # what a statement did wrong is a fault of ours
                raise
            LOG.error("state", extra={"told": {"why": str(error.orig)[:500]}})
            raise StoreUnreadable("the state", "its database is broken; bring back a copy") from error

    def _still_there(self, _: object, record: ConnectionPoolEntry, __: object) -> None:
        """Leave a file that was deleted or replaced under our feet: what is written there nobody would ever see."""
        if record.info["file"] != _lying(self.engine.url.database):
            self._ready = False
            raise DisconnectionError("the file was replaced")

    def _prepare(self) -> None:
        """Bring the tables to the newest schema, once, before they are used first."""
        if not self._ready:
            with self._readying:
                if not self._ready:
                    self._migrate()
                    self._ready = True

    def _migrate(self) -> None:
        with self.engine.begin() as connection:
            step = _step(connection)
        if step == NEWEST:
            return
        if step is not None and step > NEWEST:
            raise StoreUnreadable("the state", f"a newer release has changed its tables (step {step}, here {NEWEST})")
        with self._writer.begin() as connection:
            self._lock(connection, MIGRATING)
            later("service.migrating:upgrade")(connection)

    def _lock(self, connection: Connection, key: int) -> None:
        """Wait until nobody else is at it; held until the transaction is visible to everybody."""
        if self.postgresql:
            connection.execute(select(func.pg_advisory_xact_lock(key)))

    # --- the event log ---

    def append(self, events: Sequence[Telling]) -> list[int]:
        """Put those events at the end of the log that it does not hold yet; their positions.

        Appends are serialised across processes and positions have no gap, so that a reader who pages with `after`
        can skip nothing that is committed late.
        """
        with self.reading() as connection:
            if not _unknown(connection, events):
                return []
        with self.writing() as connection:
            self._lock(connection, APPENDING)
            fresh = _unknown(connection, events)
            first = _tip(connection) + 1
            now = stamp(self.clock())
            rows = [_event_row(place, told, now) for place, told in enumerate(fresh, first)]
            if rows:
                connection.execute(insert(EVENT), rows)
            if rows and self.postgresql:
                connection.execute(select(func.pg_notify(CHANNEL, str(rows[-1]["position"]))))
        if rows:
            self._watch.saw(rows[-1]["position"])
        return [row["position"] for row in rows]

    def events(self, after: int = 0, limit: int = 100) -> list[tuple[int, dict[str, Json]]]:
        """The events behind a position, in order."""
        with self.reading() as connection:
            return events_after(connection, after, limit)

    def between(self, first: datetime, end: datetime) -> list[tuple[int, dict[str, Json]]]:
        """The events that occurred in [first, end), in the order of the log."""
        chosen = select(EVENT.c.position, EVENT.c.body).order_by(EVENT.c.position)
        chosen = chosen.where(EVENT.c.occurred_at >= stamp(first), EVENT.c.occurred_at < stamp(end))
        with self.reading() as connection:
            return [(row.position, orjson.loads(row.body)) for row in connection.execute(chosen)]

    def tip(self) -> int:
        """The position of the newest event; 0 where there is none."""
        with self.reading() as connection:
            return _tip(connection)

    def wait(self, after: int, seconds: float) -> bool:
        """Whether there is an event behind a position; waits for one at most so long."""
        return self.tip() > after or self._watch.wait(after, seconds)

    def derived(self) -> Derived | None:
        """How far events were derived; None where none ever were."""
        with self.reading() as connection:
            row = connection.execute(select(DERIVED)).first()
            return Derived(row.position, instant(row.instant), row.revision) if row else None

    def derived_to(self, position: int, until: datetime, revision: str) -> None:
        """Note how far events were derived. Say it after they were appended: deriving again adds nothing."""
        told = {"position": position, "instant": stamp(until), "revision": revision}
        with self.writing() as connection:
            connection.execute(self.upsert(DERIVED, ["one"], {name: name for name in told}), [{"one": 1, **told}])

    def upsert(self, table: Table, key: Sequence[str], taken: Mapping[str, Any]) -> Any:
        """Insert; where the key is there already, set `taken`: the offered column of a name, or what a function makes.

        Executed with its rows as parameters, so that it is compiled once for any number of them.
        """
        made = self._insert(table)
        offered = {
            name: made.excluded[value] if isinstance(value, str) else value(made.excluded)
            for name, value in taken.items()
        }
        return made.on_conflict_do_update(index_elements=list(key), set_=offered)

    def prune(self, kept: timedelta) -> int:
        """Clear deliveries that were settled longer ago, with their attempts; how many. Events are never cleared."""
        settled = DELIVERY.c.settled_at < stamp(self.clock() - kept), DELIVERY.c.state != "waiting"
        chosen = select(DELIVERY.c.id).where(*settled).order_by(DELIVERY.c.id).limit(CHUNK)
        count = 0
        while True:
            with self.writing() as connection:
                numbers = connection.execute(chosen).scalars().all()
                connection.execute(delete(ATTEMPT).where(ATTEMPT.c.delivery.in_(numbers)))
                connection.execute(delete(DELIVERY).where(DELIVERY.c.id.in_(numbers)))
            count += len(numbers)
            if len(numbers) < CHUNK:
                return count

    # --- lanes ---

    def enqueue(self, connection: Connection, queue: Sequence[Queued]) -> list[int]:
        """Put deliveries at the ends of their lanes, and wake those lanes that had nothing to do.

        The caller holds the subscriptions' rows: one lane's deliveries are numbered in the order of their commits.
        """
        if not queue:
            return []
        now = stamp(self.clock())
        ids = self._numbers(connection, len(queue))
        fresh = {"state": "waiting", "tries": 0, "created_at": now}
        rows = [{"id": number, **one._asdict(), **fresh} for number, one in zip(ids, queue, strict=True)]
        connection.execute(insert(DELIVERY), rows)
        heads: dict[tuple[str, str], int] = {}
        for one, number in zip(queue, ids, strict=True):
            heads.setdefault((one.subscription, one.document), number)
        lanes = [
            {"subscription": name, "document": document, "head": heads[name, document], "due_at": now, "tries": 0}
            for name, document in sorted(heads)
        ]
        taken = {
            "head": lambda offered: func.coalesce(LANE.c.head, offered.head),
            "due_at": lambda offered: case((LANE.c.head.is_(None), offered.due_at), else_=LANE.c.due_at),
        }
        connection.execute(self.upsert(LANE, ["subscription", "document"], taken), lanes)
        return ids

    def _numbers(self, connection: Connection, count: int) -> list[int]:
        """The next numbers of deliveries, rising; a row that brings its own costs far less than one that is told."""
        if self.postgresql:
            counter = func.nextval(func.pg_get_serial_sequence("delivery", "id"))
            return sorted(connection.execute(select(counter).select_from(func.generate_series(1, count))).scalars())
        newest = connection.execute(select(func.coalesce(func.max(DELIVERY.c.id), 0))).scalar_one()
        return list(range(newest + 1, newest + 1 + count))


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """The items, some at a time: a statement takes only so many values."""
    return (items[start : start + size] for start in range(0, len(items), size))


def events_after(connection: Connection, after: int, limit: int) -> list[tuple[int, dict[str, Json]]]:
    """The events behind a position, in order, as this transaction sees them."""
    chosen = select(EVENT.c.position, EVENT.c.body).where(EVENT.c.position > after)
    rows = connection.execute(chosen.order_by(EVENT.c.position).limit(limit))
    return [(row.position, orjson.loads(row.body)) for row in rows]


def restart(connection: Connection, subscription: str, now: int) -> None:
    """Take up every lane of a subscription that has something to deliver and is not under way, from a fresh start."""
    idle = (LANE.c.lease.is_(None)) | (LANE.c.due_at <= now)
    chosen = update(LANE).where(LANE.c.subscription == subscription, LANE.c.head.is_not(None), idle)
    connection.execute(chosen.values(due_at=now, lease=None, tries=0, first_at=None))


def _event_row(position: int, told: Telling, now: int) -> dict[str, Any]:
    body = told.json()
    occurred = body.get("occurred_at")
    return {
        "position": position,
        "id": told.id,
        "occurred_at": stamp(_read(occurred)) if isinstance(occurred, str) else None,
        "appended_at": now,
        "body": orjson.dumps(body, option=orjson.OPT_SORT_KEYS),
    }


def _read(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _step(connection: Connection) -> str | None:
    """The last step of the migrations that a database has taken; None where it took none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    step: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return step


def _tip(connection: Connection) -> int:
    tip: int = connection.execute(select(func.coalesce(func.max(EVENT.c.position), 0))).scalar_one()
    return tip


def _unknown(connection: Connection, events: Iterable[Telling]) -> list[Telling]:
    """Those events, each once and in their order, whose ids the log does not hold."""
    ordered: dict[str, Telling] = {}
    for told in events:
        ordered.setdefault(told.id, told)
    for some in chunks(list(ordered)):
        for row in connection.execute(select(EVENT.c.id).where(EVENT.c.id.in_(some))):
            del ordered[row.id]
    return list(ordered.values())


def _lying(path: str | None) -> int:
    """What lies there now; 0 where there is nothing."""
    try:
        return os.stat(path).st_ino if path else 0  # noqa: PTH116  asked at every transaction
    except OSError:
        return 0


def _sqlite_opened(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # our own BEGIN says whether we are going to write
    for pragma in ("busy_timeout=60000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    record.info["file"] = _lying(connection.execute("PRAGMA database_list").fetchone()[2])


def _sqlite_begun(connection: Connection) -> None:
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


class _Watch:
    """One thread that looks for new events on behalf of all who wait: notified by PostgreSQL, looking on SQLite."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._seen = 0
        self._waiting = 0
        self._stopped = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def saw(self, position: int) -> None:
        with self._changed:
            if position > self._seen:
                self._seen = position
                self._changed.notify_all()

    def wait(self, after: int, seconds: float) -> bool:
        with self._changed:
            self._waiting += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="event-watch", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: self._stopped or self._seen > after, seconds) and (
                    self._seen > after
                )
            finally:
                self._waiting -= 1

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join(10)

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._listen() if self._state.postgresql else self._look()
            except Exception:  # the database went away, as its own driver words it; those who wait ask it themselves
                self._pause(1)

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, seconds)

    def _look(self) -> None:
        while not self._stopped:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._waiting > 0)
            self.saw(self._state.tip())
            self._pause(POLL)

    def _listen(self) -> None:
        with self._state.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"LISTEN {CHANNEL}")
            driver: Any = connection.connection.driver_connection
            while not self._stopped:
                self.saw(_tip(connection))
                for _ in driver.notifies(timeout=0.5, stop_after=1):
                    break
