"""The rebuildable lookup beside the repository: what `register` says of every document, found in microseconds.

Rows carry the positions [since, till) between which the register believed them, so that one lookup answers for any
day (`on`) as of any revision (`at`). The file may be deleted at any time: git is the truth, this is derived from it.
It names the revision it was built from and is never asked before it has caught up.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import re
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from guidance.derived import COLUMNS, FOREVER, Believed, Fact, History, Row
from guidance.errors import StoreError, UnknownDocument, UnknownRevision, UnknownVersion
from guidance.model import Document, Json, Revision, Version, instant_text
from guidance.register import scope
from guidance.store import Entry, Recorded, Store, path_of

FORMAT: Final = "6"
"""Raised with every change of the tables; a file of another format is rebuilt."""
PREFIX: Final = re.compile("[0-9a-f]{7,40}")
"""What can name a revision."""
SPOKEN: Final = 20_000
"""Of so many documents it is remembered which places they speak of."""
AHEAD: Final = 50
"""So many documents are read at once: whoever asks about one will ask about others."""
AFTER_ALL: Final = "~"
"""Comes after every id."""
UNSURE: Final = ("unconfirmed", "at_latest")
"""What a stretch says of how sure its days are, where they are not."""
MANY: Final = 1000
"""So many rows of a table are written at once while a file is built."""
AGAIN: Final = 3
"""So often an index is built for one question, where others throw it away."""
FAR_FEW: Final = 5000
"""From this many new revisions on, rebuilding is quicker than catching up."""

TABLES: Final = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE revision(position INTEGER PRIMARY KEY, id TEXT NOT NULL, recorded_at INTEGER NOT NULL, author TEXT,
  act TEXT, reason TEXT, approved_by TEXT, replayed INTEGER, key TEXT);
CREATE TABLE touched(document TEXT, position INTEGER, number INTEGER, body INTEGER,
  PRIMARY KEY(document, position, number)) WITHOUT ROWID;
CREATE TABLE body(id INTEGER PRIMARY KEY, blob BLOB NOT NULL, rules BLOB, content BLOB NOT NULL);
CREATE TABLE document(id TEXT, body INTEGER, named TEXT, since INTEGER, till INTEGER,
  PRIMARY KEY(id, since)) WITHOUT ROWID;
CREATE TABLE version(document TEXT, number INTEGER, body INTEGER, stage TEXT, status TEXT, title TEXT,
  since INTEGER, till INTEGER, PRIMARY KEY(document, number, since)) WITHOUT ROWID;
CREATE TABLE medicine(inn TEXT, document TEXT, since INTEGER, till INTEGER,
  PRIMARY KEY(inn, document, since)) WITHOUT ROWID;
CREATE TABLE span(document TEXT, jurisdiction TEXT, first INTEGER, end INTEGER, state TEXT, version INTEGER,
  body INTEGER, told BLOB, since INTEGER, till INTEGER,
  PRIMARY KEY(document, jurisdiction, end, since DESC)) WITHOUT ROWID;
CREATE TABLE coming(document TEXT, jurisdiction TEXT, version INTEGER, rule TEXT, stage TEXT, first INTEGER,
  overdue INTEGER, gone INTEGER, told BLOB, since INTEGER, till INTEGER,
  PRIMARY KEY(document, jurisdiction, first, version, rule, told, since)) WITHOUT ROWID;
"""
LOOKUPS: Final = """
CREATE UNIQUE INDEX revision_by_id ON revision(id);
CREATE INDEX revision_by_time ON revision(recorded_at);
CREATE UNIQUE INDEX revision_by_key ON revision(key) WHERE key IS NOT NULL;
CREATE INDEX touched_by_position ON touched(position);
CREATE UNIQUE INDEX body_by_blob ON body(blob);
CREATE INDEX coming_by_day ON coming(first);
CREATE INDEX span_ended ON span(first) WHERE state='ended';
CREATE INDEX span_by_day ON span(first);
CREATE INDEX span_narrowed ON span(first) WHERE instr(told, '"left_out":[]')=0 AND state IN ('in-force', 'ending');
"""
SETTINGS: Final = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA cache_size=-2000")
HURRY: Final = (
    "PRAGMA journal_mode=OFF",
    "PRAGMA synchronous=OFF",
    "PRAGMA locking_mode=EXCLUSIVE",
    "PRAGMA cache_size=-64000",
)


class Awaiting(NamedTuple):
    """What a document awaits in one place after a day."""

    place: str
    dated: list[bytes]
    """What has a day, the nearest first, as JSON: so many as were asked for, and one more where there are more."""
    undated: list[Row]
    """(overdue, gone, told) of what has none."""


class Spoken(NamedTuple):
    """What a document says of itself, and between which positions the register believed it for certain."""

    content: bytes
    named: tuple[str, ...]
    """The jurisdictions that it speaks of."""
    home: str
    """The one for which a question that names none is answered."""
    first: int
    last: int
    hopes: bool
    """Whether it awaited anything without a day, as of the last of these positions."""


class OnDay(NamedTuple):
    """What a document says in one place on a day, and what it awaits there."""

    place: str
    end: int
    state: str
    version: int | None
    told: bytes
    body: bytes
    """Canonical bytes of the version; empty where there is none."""
    rules: bytes
    """The ids of its rules, as JSON; empty where there is none."""
    awaiting: Awaiting


Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and of how many."""


def quiet(_what: str, _done: int, _of: int) -> None:
    """Show no progress."""


def _rule_ids(body: Json) -> bytes | None:
    """The ids of a version's rules as JSON; None for what has none."""
    return orjson.dumps([rule["id"] for rule in body["rules"]]) if "rules" in body else None


# --- the file --------------------------------------------------------------------------------------------


def connected(path: Path, *settings: str) -> sqlite3.Connection:
    """A connection that was set so; closed again where a setting fails, and not left to whoever tells of the error."""
    found = sqlite3.connect(path, timeout=60, isolation_level=None, cached_statements=64)
    try:
        for setting in settings:
            found.executescript(setting)
    except sqlite3.Error:
        found.close()
        raise
    return found


class Index:
    """The lookup of one store. Safe to share between threads: each has a connection of its own."""

    def __init__(self, path: Path, settings: Sequence[str] = SETTINGS) -> None:
        self.path = path
        self._settings = settings
        self._local = threading.local()
        self._looked = 0
        """What lay there when any thread looked last (0: nothing)."""
        self._newest: Revision | None = None
        """The revision that the file had caught up to when any thread looked last."""
        self._spoken: dict[str, Spoken] = {}
        """What each document said of itself when it was last asked about, as of that revision."""

    @property
    def sql(self) -> sqlite3.Connection:
        """This thread's connection."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = connected(self.path, *self._settings)
            self._local.connection, self._local.file = found, self._lying()
        return found

    @property
    def at_hand(self) -> bool:
        """Whether this thread is connected to what lay there when any thread looked last."""
        return getattr(self._local, "connection", None) is not None and self._local.file == self._looked

    def look(self) -> None:
        """See what lies there now. A connection to what lay there before is closed, for whoever deleted or replaced the
        file meant every thread, too, to do without it."""
        self._looked = self._lying()
        if not self.at_hand:
            self.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """What is asked inside takes SQLite's locks once, and not once for every statement."""
        connection = self.sql
        connection.execute("BEGIN")
        try:
            yield
        finally:
            connection.execute("COMMIT")

    def _lying(self) -> int:
        try:
            return self.path.stat().st_ino
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """Close this thread's connection."""
        if getattr(self._local, "connection", None) is not None:
            self._local.connection.close()
            self._local.connection = None

    def tip(self) -> Revision | None:
        """The revision that the index has caught up to; None where it is empty, of another format or not there."""
        try:
            built = self.sql.execute("SELECT value FROM meta WHERE name='format'").fetchone()
            return self._revision("ORDER BY position DESC LIMIT 1") if built == (FORMAT,) else None
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return None
            raise

    def catch_up(self, store: Store, progress: Progress = quiet) -> Revision | None:
        """Bring the index to the store's head, by the new revisions or from nothing, and return that revision.

        Raises StoreError where others throw away again and again what was built.
        """
        for _ in range(AGAIN):
            self.look()
            found = self._caught_up(store, progress)
            if found is not None or store.head() is None:
                break
        else:
            raise StoreError(f"{self.path} was thrown away while it was being built")
        if found != self._newest:
            self._newest, self._spoken = found, {}
        return found

    def _caught_up(self, store: Store, progress: Progress) -> Revision | None:
        try:
            tip = self.tip()
            head = store.head()
            if tip is not None and tip.id == head:
                return tip
            if tip is not None and head is None:  # a register does not forget: its branch was lost
                raise StoreError(f"the index stands at revision {tip.id}, but {store.path} has lost its branch")
            if tip is not None and self._follow(store):
                return self.tip()
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:  # locked or out of space: the file itself is sound
                raise
            self.discard()
        self.rebuild(store, progress)
        self.look()
        return self.tip()

    def _follow(self, store: Store) -> bool:
        """Apply the revisions since the tip; False where the store's history is not a continuation of it."""
        with self._writing():
            tip = self.tip()
            return tip is not None and self._take_new(store, tip, FAR_FEW)

    def _take_new(self, store: Store, tip: Revision | None, most: int) -> bool:
        """Write the revisions after `tip`, inside a transaction; False where they are no continuation, or too many."""
        if store.head() is None or (tip and not store.contains(tip.id)):
            return False
        recorded = list(store.log(tip.id, tip.position) if tip else store.log())
        if len(recorded) > most:
            return False
        wanted = dict.fromkeys(blob for item in recorded for _, _, blob in item.blobs)
        contents = dict(store.read(wanted))
        for item in recorded:
            self._take(item, contents)
        return True

    def add(self, recorded: Recorded, entries: Sequence[Entry]) -> bool:
        """Take in the revision that was just committed; False where others came between and are missing here."""
        with self._writing():
            tip = self.tip()
            if (tip.position if tip else 0) + 1 != recorded.revision.position:
                return False
            self._take(recorded, {entry.blob: entry.content for entry in entries})
        return True

    def _take(self, recorded: Recorded, contents: Mapping[str, bytes]) -> None:
        """Write one revision and what it changes, inside a transaction."""
        position = recorded.revision.position
        self.sql.execute(INSERT_REVISION, _revision_row(recorded.revision))
        before = {name: self._believed(name) for name in {name for name, _, _ in recorded.blobs}}
        for name, number, blob in recorded.blobs:
            body = self._body_id(blob, contents[blob])
            self.sql.execute("INSERT INTO touched VALUES(?,?,?,?)", (name, position, number, body))
        for name, believed in before.items():
            document, bodies = self._taken(name, position)
            for fact, since, _ in believed.turn(position, document, bodies):
                self._end(fact, since, position)
            for fact, since in believed.begun.items():
                if since == position:
                    self._insert(fact, since)

    def _believed(self, name: str) -> Believed:
        begun = {}
        for table, width in COLUMNS.items():
            key = "id" if table == "document" else "document"
            rows = self.sql.execute(f"SELECT * FROM {table} WHERE {key}=? AND till={FOREVER}", (name,))
            begun.update({Fact(table, row[:width]): row[width] for row in rows})
        return Believed(begun)

    def _taken(self, name: str, position: int) -> tuple[Document, dict[int, int]]:
        """The document with the newest body of every number up to a position, and those bodies' ids."""
        rows = self.sql.execute(
            "SELECT t.number, t.body, b.content FROM touched t JOIN body b ON b.id=t.body "
            "WHERE t.document=? AND t.position<=? ORDER BY t.position",
            (name, position),
        ).fetchall()
        newest = {number: (body, content) for number, body, content in rows}
        if 0 not in newest:
            raise StoreError(f"{name} has a version at position {position} before the document itself")
        values = {number: orjson.loads(content) for number, (_, content) in newest.items()}
        versions = tuple(Version.of(values[number]) for number in sorted(values) if number)
        return Document.of(values[0], versions), {number: body for number, (body, _) in newest.items()}

    def _body_id(self, blob: str, content: bytes) -> int:
        name = bytes.fromhex(blob)
        found = self.sql.execute("SELECT id FROM body WHERE blob=?", (name,)).fetchone()
        if found:
            return int(found[0])
        told = (name, _rule_ids(orjson.loads(content)), content)
        return int(self.sql.execute("INSERT INTO body(blob, rules, content) VALUES(?,?,?)", told).lastrowid or 0)

    def _insert(self, fact: Fact, since: int, till: int = FOREVER) -> None:
        marks = ",".join("?" * (COLUMNS[fact.table] + 2))
        self.sql.execute(f"INSERT INTO {fact.table} VALUES({marks})", (*fact.row, since, till))

    def _end(self, fact: Fact, since: int, till: int) -> None:
        keys = KEYS[fact.table]
        where = " AND ".join(f"{name}=?" for name, _ in keys)
        values = (till, *(fact.row[place] for _, place in keys), since)
        self.sql.execute(f"UPDATE {fact.table} SET till=? WHERE {where} AND since=?", values)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Be the only one of all threads and processes who changes what lies there, row by row or as a whole."""
        turn = os.open(self.path.with_suffix(".turn"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(turn, fcntl.LOCK_EX)
            yield
        except sqlite3.Error:
            self.close()  # a connection that met an error may stay inside its transaction, or read-only for ever
            raise
        finally:
            os.close(turn)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._turn(), self._transaction():
            yield

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self.sql.execute("BEGIN IMMEDIATE")
        try:
            yield
        except sqlite3.Error:
            raise
        except BaseException:
            self.sql.execute("ROLLBACK")
            raise
        self.sql.execute("COMMIT")

    def discard(self) -> None:
        """Throw a broken file away, unless somebody did so meanwhile; it is derived and will be made again."""
        connected = getattr(self._local, "connection", None) is not None
        broken = self._local.file if connected else self._looked
        with self._turn():
            if self._lying() == broken:
                self._discard()
        self.close()

    def _discard(self) -> None:
        self.close()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    # --- from nothing ------------------------------------------------------------------------------------

    def rebuild(self, store: Store, progress: Progress = quiet, head: str | None = None) -> None:
        """Derive everything up to `head` (the newest, where None) again in one streaming pass; readers keep the old
        answers until it is done."""
        with Build(self, store=None if head else store) as build:
            recorded = []
            for item in store.log(head=head):
                build.revision(item.revision)
                recorded.append(item.blobs)
                head = item.revision.id
            _read_all(store, build, head, recorded, progress)

    def replace(self, made: Path, store: Store | None) -> None:
        """Put a finished file in the index's place, under the feet of any reader, safely: never an older state.

        What was recorded in `store` while the file was being made is taken in first.
        """
        with self._turn(), contextlib.closing(Index(made, HURRY)) as source:
            if store is not None:
                with source._transaction():
                    source._take_new(store, source.tip(), FOREVER)
            try:
                source.sql.backup(self.sql)
            except sqlite3.DatabaseError as error:
                if type(error) is not sqlite3.DatabaseError:
                    raise
                self._discard()
                source.sql.backup(self.sql)
        self.sql.execute("PRAGMA journal_mode=WAL")

    # --- asking: revisions -------------------------------------------------------------------------------

    def _revision(self, where: str, values: Sequence[Any] = ()) -> Revision | None:
        found = self._revisions(where, values)
        return found[0] if found else None

    def _revisions(self, where: str, values: Sequence[Any] = ()) -> tuple[Revision, ...]:
        return tuple(map(_revision_of, self.sql.execute(f"{REVISION} {where}", values).fetchall()))

    def revision(self, name: str) -> Revision:
        """A revision by its id, or by the first seven or more letters of it; raises UnknownRevision."""
        if not PREFIX.fullmatch(name):
            raise UnknownRevision(name)
        found = self._revisions("WHERE id>=? AND id<? LIMIT 2", (name, name + "g"))
        if len(found) != 1:
            raise UnknownRevision(
                name, "names more than one revision" if found else "is not a revision of this register"
            )
        return found[0]

    def revision_at(self, instant: datetime) -> Revision | None:
        """The newest revision recorded by an instant; None before the first."""
        where = "WHERE recorded_at<=? ORDER BY recorded_at DESC, position DESC LIMIT 1"
        return self._revision(where, (int(instant.timestamp()),))

    def position_of(self, name: str) -> int | None:
        """The position of a revision given by its whole id; None for one that is none of ours."""
        row = self.sql.execute("SELECT position FROM revision WHERE id=?", (name,)).fetchone()
        return int(row[0]) if row else None

    def revision_by_key(self, key: str) -> Revision | None:
        return self._revision("WHERE key=?", (key,))

    def revision_of(self, position: int) -> Revision | None:
        return self._revision("WHERE position=?", (position,))

    def revisions(self, after: int = 0, limit: int = 100) -> tuple[Revision, ...]:
        """Revisions by position, oldest first."""
        return self._revisions("WHERE position>? ORDER BY position LIMIT ?", (after, limit))

    def history(self, name: str, position: int, before: int = FOREVER, limit: int = 100) -> tuple[Revision, ...]:
        """Revisions that touched a document up to a position, newest first."""
        return self._revisions(
            "WHERE position IN (SELECT DISTINCT position FROM touched WHERE document=? "
            "AND position<=? AND position<? ORDER BY position DESC LIMIT ?) ORDER BY position DESC",
            (name, position, before, limit),
        )

    def recorded(self, position: int, name: str | None = None) -> Iterator[tuple[Revision, list[bytes]]]:
        """Each revision up to a position with the bytes that it recorded (of one document), oldest first."""
        only = "AND t.document=?" if name else ""
        at = 0
        while True:
            row = self.sql.execute(
                f"SELECT min(t.position) FROM touched t WHERE t.position>? AND t.position<=? {only}",
                (at, position, *((name,) if name else ())),
            ).fetchone()
            if row[0] is None:
                return
            at = row[0]
            revision = self.revision_of(at)
            assert revision is not None
            yield revision, self.contents_of(at, name)

    def contents_of(self, position: int, name: str | None = None) -> list[bytes]:
        """The canonical bytes that one revision recorded (of one document), documents before their versions."""
        only = "AND t.document=?" if name else ""
        rows = self.sql.execute(
            f"SELECT b.content FROM touched t JOIN body b ON b.id=t.body WHERE t.position=? {only} "
            "ORDER BY t.document, t.number",
            (position, *((name,) if name else ())),
        )
        return [content for (content,) in rows.fetchall()]

    def blobs(self, name: str, position: int) -> list[tuple[int, str]]:
        """(number, blob) of everything that was recorded of a document up to a position, oldest first."""
        rows = self.sql.execute(
            "SELECT t.number, b.blob FROM touched t JOIN body b ON b.id=t.body "
            "WHERE t.document=? AND t.position<=? ORDER BY t.position",
            (name, position),
        )
        return [(number, blob.hex()) for number, blob in rows.fetchall()]

    # --- asking: documents and versions ------------------------------------------------------------------

    def document_row(self, name: str, position: int) -> tuple[bytes, tuple[str, ...]]:
        """(canonical bytes, jurisdictions it speaks of) as of a position; raises UnknownDocument."""
        spoken = self._spoken_by(name, position)
        return spoken.content, spoken.named

    def _spoken_by(self, name: str, position: int) -> Spoken:
        """What a document says of itself: seldom anything new, so it is remembered. Raises UnknownDocument."""
        held = self._spoken
        found = held.get(name)
        if found is None or not found.first <= position <= found.last:
            last = AFTER_ALL if self._is_newest(position) else name
            rows = self.sql.execute(DOCUMENTS, (name, position, last)).fetchall()
            if not rows or rows[0][0] != name:
                raise UnknownDocument(name)
            heard = {row[0]: _spoken(position, *row[1:]) for row in rows}
            if len(held) > SPOKEN:
                held.clear()
            held.update(heard)
            found = heard[name]
        return found

    def _is_newest(self, position: int) -> bool:
        """Whether no revision follows that the file had caught up to when any thread looked last."""
        return self._newest is not None and position >= self._newest.position

    def document(self, name: str, position: int) -> Document:
        """The whole document as a value, as of a position; raises UnknownDocument."""
        content, _ = self.document_row(name, position)
        versions = (Version.of(orjson.loads(body)) for _, body in self.version_contents(name, position))
        return Document.of(orjson.loads(content), tuple(versions))

    def version_contents(self, name: str, position: int) -> list[tuple[int, bytes]]:
        """(number, canonical bytes) of every version as of a position, by number."""
        return self.sql.execute(
            "SELECT v.number, b.content FROM version v JOIN body b ON b.id=v.body "
            "WHERE v.document=? AND v.since<=? AND v.till>? ORDER BY v.number",
            (name, position, position),
        ).fetchall()

    def version(self, name: str, number: int, position: int) -> bytes:
        """Canonical bytes of one version as of a position; raises UnknownDocument, UnknownVersion."""
        row = self.sql.execute(
            "SELECT b.content FROM version v JOIN body b ON b.id=v.body "
            "WHERE v.document=? AND v.number=? AND v.since<=? AND v.till>?",
            (name, number, position, position),
        ).fetchone()
        if row is None:
            self.document_row(name, position)
            raise UnknownVersion(name, number)
        content: bytes = row[0]
        return content

    def recording(self, name: str, number: int, position: int) -> Revision:
        """The revision that recorded a version as it stood at a position; raises UnknownVersion."""
        found = self._revision(LAST_TOUCHED, (name, number, position))
        if found is None:
            raise UnknownVersion(name, number)
        return found

    def act_on(self, name: str, number: int, position: int) -> Json:
        """Who recorded a version as it stood at a position, when and why, whatever else was recorded with it.

        Raises UnknownVersion.
        """
        row = self.sql.execute(ACT_ON, (name, number, position)).fetchone()
        if row is None:
            raise UnknownVersion(name, number)
        revision, seconds, author, act, reason, approved_by = row
        return {
            "id": revision,
            "recorded_at": instant_text(datetime.fromtimestamp(seconds, UTC)),
            "author": author,
            "act": act,
            "reason": reason,
            "approved_by": approved_by,
        }

    def periods(self, name: str, number: int, position: int) -> list[Json]:
        """{jurisdiction, from, to, ends} of each stretch in which a version is in force, as of a position; and how sure
        its days are, where they are not (unconfirmed, at_latest)."""
        rows = self.sql.execute(
            "SELECT told FROM span WHERE document=? AND version=? AND state IN ('in-force', 'ending') "
            "AND since<=? AND till>? ORDER BY jurisdiction, first",
            (name, number, position, position),
        )
        told = [orjson.loads(row[0]) for row in rows.fetchall()]
        stretches = {(t["jurisdiction"], t["period"]["from"], t["period"]["to"], t["ends"]): t for t in told}
        unsure = [{name: t[name] for name in UNSURE if name in t} for t in stretches.values()]
        return [
            {"jurisdiction": j, "from": start, "to": end, "ends": ends, **more}
            for (j, start, end, ends), more in zip(stretches, unsure, strict=True)
        ]

    def documents(
        self, position: int, after: str = "", limit: int = FOREVER, medicine: str | None = None, authority: str = ""
    ) -> list[tuple[str, bytes]]:
        """(id, canonical bytes) by id; `medicine` keeps those that name an INN, `authority` those of one authority."""
        low, high = (f"{authority}/", f"{authority}0") if authority else ("", AFTER_ALL)
        named = "AND d.id IN (SELECT document FROM medicine WHERE inn=? AND since<=? AND till>?)" if medicine else ""
        return self.sql.execute(
            "SELECT d.id, b.content FROM document d JOIN body b ON b.id=d.body WHERE d.id>? AND d.id>=? AND d.id<? "
            f"AND d.since<=? AND d.till>? {named} ORDER BY d.id LIMIT ?",
            (after, low, high, position, position, *((medicine, position, position) if medicine else ()), limit),
        ).fetchall()

    def medicines(self, position: int, after: str = "", limit: int = FOREVER) -> list[tuple[str, int]]:
        """(INN, number of documents that name it) by INN."""
        return self.sql.execute(
            "SELECT inn, count(*) FROM medicine WHERE inn>? AND since<=? AND till>? GROUP BY inn ORDER BY inn LIMIT ?",
            (after, position, position, limit),
        ).fetchall()

    def touched_between(self, after: int, until: int) -> list[str]:
        """Ids of the documents that revisions touched after one position, up to another."""
        rows = self.sql.execute(
            "SELECT DISTINCT document FROM touched WHERE position>? AND position<=? ORDER BY document", (after, until)
        )
        return [name for (name,) in rows.fetchall()]

    def turning(self, after: int, until: int, position: int) -> list[str]:
        """Ids of the documents that begin to say something else after one day, up to another, as of a position."""
        rows = self.sql.execute(
            "SELECT DISTINCT document FROM span WHERE first>? AND first<=? AND since<=? AND till>? ORDER BY document",
            (after, until, position, position),
        )
        return [name for (name,) in rows.fetchall()]

    # --- asking: days ------------------------------------------------------------------------------------

    def spans_on(self, name: str, day: int, position: int, places: Sequence[str]) -> list[Row]:
        """(jurisdiction, end, state, version, told, body bytes, rule ids) of one document on a day, for each place."""
        return self.sql.execute(_spans(len(places)), (name, day, position, None, *places)).fetchall() if places else []

    def on_day(
        self, name: str, position: int, asked: str | None, day: Callable[[str], date], most: int
    ) -> tuple[bytes, str, date, list[OnDay]]:
        """(its canonical bytes, the place that it answers for, the day, what it says and awaits there and in parts).

        One statement, so that no thread takes the interpreter in between. Raises UnknownDocument.
        """
        spoken = self._spoken_by(name, position)
        place = asked or spoken.home
        on = day(place)
        places, ordinal = scope(spoken.named, place), on.toordinal()
        if not places:
            return spoken.content, place, on, []
        newest = self._is_newest(position)
        values = (name, ordinal, position, most + 1, *places)
        rows = self.sql.execute(_on_day(len(places), newest), values).fetchall()
        asking = (name, ordinal, position) if spoken.hopes or not newest else None
        told = ((*row[:7], self._awaiting(row[0], row[7], most, asking)) for row in rows)
        return spoken.content, place, on, list(map(OnDay._make, told))

    def all_spans_on(
        self, day: int, position: int, names: Sequence[str] | None = None, bodies: bool = True
    ) -> Iterator[Row]:
        """(document, named, its bytes, jurisdiction, end, state, version, told, body bytes), by document, streamed.

        A cursor of its own, so that the answer can be written while it is read. Without `bodies`, the last is None.
        """
        asked = ALL_SPANS if bodies else ALL_SPANS.replace(*BODILESS)
        values = (position, position, day, day, position, position)
        if names is None:
            yield from self.sql.cursor().execute(asked, values)
            return
        for name in names:
            yield from self.sql.execute(asked.replace("WHERE", "WHERE d.id=? AND"), (name, *values)).fetchall()

    def coming_of(self, name: str, day: int, position: int, places: Sequence[str], most: int) -> list[Awaiting]:
        """What one document awaits after a day, for each place."""
        asking = (name, day, position)
        asked = ((place, self.sql.execute(COMING, (*asking, most + 1, place)).fetchone()[0]) for place in places)
        return [self._awaiting(place, told, most, asking) for place, told in asked]

    def _awaiting(self, place: str, told: bytes | None, most: int, asking: tuple[str, int, int] | None) -> Awaiting:
        """What was found, a line each, the nearest first and last what has no day.

        Of that there may be more than was found: (document, day, position) to ask for it, None where there is none.
        """
        if not told:
            return Awaiting(place, [], [])
        lines = told.split(b"\n")
        if asking is None:
            return Awaiting(place, lines, [])
        dated = [line for line in lines if line.startswith(b"{")]
        if len(lines) > most:
            return Awaiting(place, dated, self.sql.execute(UNDATED, (*asking, None, place)).fetchall())
        apart = (line.split(b" ", 2) for line in lines[len(dated) :])
        return Awaiting(place, dated, [(int(overdue), int(gone), said) for overdue, gone, said in apart])

    def all_coming(self, day: int, position: int, limit: int = 100) -> list[Row]:
        """(document, first, overdue, gone, told) of what the whole register awaits, the nearest first."""
        return self.sql.execute(
            "SELECT document, first, overdue, gone, told FROM coming WHERE first>? AND gone>? AND since<=? AND till>? "
            "ORDER BY first, document LIMIT ?",
            (day, day, position, position, limit),
        ).fetchall()

    def awaited(self, day: int, position: int, dated: bool) -> Iterator[Row]:
        """(document, named, first, overdue, gone, told) of what is awaited: nearest first, or without a day."""
        where = f"c.first>? AND c.first<{FOREVER}" if dated else f"c.first>? AND c.first={FOREVER}"
        values = (position, position, day, day)
        return self._through_time("coming", f"{where} AND c.gone>?", "c.overdue, c.gone,", "c.first", values)

    def begun(self, day: int, position: int) -> Iterator[Row]:
        """(document, named, first, told) of what had a first day by a day, the latest first."""
        return self._through_time("coming", "c.first<=?", "", "c.first DESC", (position, position, day))

    def ended(self, day: int, position: int) -> Iterator[Row]:
        """(document, named, first, told) of what an end of its own had stopped by a day, the latest first."""
        where = "c.state='ended' AND c.first<=?"
        return self._through_time("span", where, "", "c.first DESC", (position, position, day))

    def ending(self, day: int, position: int) -> Iterator[Row]:
        """(document, named, first, told) of what an end of its own will stop after a day, nearest first."""
        where = "c.state='ended' AND c.first>?"
        return self._through_time("span", where, "", "c.first", (position, position, day))

    def rules_ending(self, day: int, position: int) -> Iterator[Row]:
        """(document, named, first, told, told before) of where a version that goes on may leave out more of its rules
        than before, after a day, nearest first."""
        yield from self.sql.cursor().execute(f"{NARROWED} AND c.first>?3 ORDER BY c.first", (position, position, day))

    def rules_ended(self, day: int, position: int) -> Iterator[Row]:
        """The same by a day, the latest first."""
        yield from self.sql.cursor().execute(
            f"{NARROWED} AND c.first<=?3 ORDER BY c.first DESC", (position, position, day)
        )

    def _through_time(self, table: str, where: str, also: str, order: str, values: Sequence[Any]) -> Iterator[Row]:
        """Rows of the whole register in the order of days, streamed: the caller takes as many as it wants."""
        yield from self.sql.cursor().execute(
            f"SELECT c.document, d.named, c.first, {also} c.told FROM {table} c "
            "CROSS JOIN document d ON d.id=c.document "
            f"WHERE d.since<=? AND d.till>? AND {where} AND c.since<=? AND c.till>? ORDER BY {order}",
            (*values, *values[:2]),
        )


DOCUMENTS: Final = (
    "SELECT d.id, b.content, d.named, d.since, EXISTS("
    f"SELECT 1 FROM coming c WHERE c.first={FOREVER} AND c.document=d.id AND c.since<=?2 AND c.till>?2"
    ") FROM document d JOIN body b ON b.id=d.body WHERE d.id BETWEEN ?1 AND ?3 "
    f"AND d.since<=?2 AND d.till>?2 ORDER BY d.id LIMIT {AHEAD}"
)
NARROWED: Final = (
    "SELECT c.document, d.named, c.first, c.told, b.told FROM span c "
    "CROSS JOIN span b ON b.document=c.document AND b.jurisdiction=c.jurisdiction AND b.end=c.first "
    "CROSS JOIN document d ON d.id=c.document WHERE d.since<=?1 AND d.till>?2 AND c.since<=?1 AND c.till>?2 "
    "AND b.since<=?1 AND b.till>?2 AND b.version=c.version AND b.state IN ('in-force', 'ending') "
    "AND c.state IN ('in-force', 'ending') AND instr(c.told, '\"left_out\":[]')=0"
)
REVISION: Final = (
    "SELECT position, id, recorded_at, author, act, reason, approved_by, replayed, key, "
    "(SELECT group_concat(document || iif(number, '@' || number, ''), ' ') FROM "
    "(SELECT document, number FROM touched t WHERE t.position=revision.position ORDER BY document, number)) "
    "FROM revision"
)
INSERT_REVISION: Final = "INSERT INTO revision VALUES(?,?,?,?,?,?,?,?,?)"
LAST_TOUCHED: Final = "WHERE position=(SELECT max(position) FROM touched WHERE document=? AND number=? AND position<=?)"
ACT_ON: Final = f"SELECT id, recorded_at, author, act, reason, approved_by FROM revision {LAST_TOUCHED}"
_SPAN: Final = "jurisdiction, end, state, version, told, body"
LAST_SPAN: Final = (
    f"SELECT {_SPAN}, first, till FROM span WHERE document=?1 AND jurisdiction=?5 AND end={FOREVER} AND since<=?3 "
    "ORDER BY since DESC LIMIT 1"
)
"""The one without an end: at every position one is believed, and it is the one that was begun last."""
_ON_DAY: Final = "document=?1 AND jurisdiction=?5 AND end>?2 AND first<=?2 AND since<=?3 AND till>?3"
NEW_SPAN: Final = f"SELECT {_SPAN} FROM span WHERE {_ON_DAY} LIMIT 1"
"""As the newest revisions have it: what they no longer believe is little of what ends after a day."""
ONE_SPAN: Final = (
    f"SELECT {_SPAN} FROM ({LAST_SPAN}) WHERE first<=?2 AND till>?3 "
    f"UNION ALL SELECT {_SPAN} FROM span WHERE {_ON_DAY} AND end<{FOREVER} LIMIT 1"
)
"""The same; what an old revision believed is found as quickly as the newest: no row of what followed is passed by."""
SPAN_ON: Final = (
    "SELECT found.jurisdiction, found.end, found.state, found.version, found.told, b.content, b.rules "
    f"FROM ({ONE_SPAN}) found LEFT JOIN body b ON b.id=found.body"
)
_AWAITED: Final = "FROM coming WHERE document=?1 AND jurisdiction=?5 AND gone>?2 AND since<=?3 AND till>?3"
_NEAREST: Final = (
    "(SELECT CAST(group_concat(line, char(10)) AS BLOB) FROM "
    f"(SELECT iif(first<{FOREVER}, told, overdue || ' ' || gone || ' ' || told) AS line {_AWAITED} AND first>?2 "
    "ORDER BY first LIMIT ?4))"
)
"""A line each, for as JSON it holds no line end of its own. What has no day says, ahead of it, when it changes."""
COMING: Final = f"SELECT {_NEAREST}"
UNDATED: Final = f"SELECT overdue, gone, told {_AWAITED} AND first={FOREVER}"


@lru_cache
def _on_day(places: int, newest: bool) -> str:
    """What is said and awaited in each of so many places."""
    one = SPAN_ON.replace("b.content, b.rules", f"ifnull(b.content, x''), ifnull(b.rules, x''), {_NEAREST}")
    return _each(one.replace(ONE_SPAN, NEW_SPAN) if newest else one, places)


@lru_cache
def _spans(places: int) -> str:
    """What is said in each of so many places."""
    return _each(SPAN_ON, places)


def _each(one: str, places: int) -> str:
    """A statement about one place, the fifth parameter, for so many of them, which are the fifth and those after it."""
    return " UNION ALL ".join(one.replace("?5", f"?{place + 5}") for place in range(places))


def _spoken(position: int, content: bytes, named: str, since: int, hopes: int) -> Spoken:
    """A row of a document that was found for a position."""
    return Spoken(content, tuple(named.split(" ")), home_of(content), since, position, bool(hopes))


def home_of(content: bytes) -> str:
    """The jurisdiction for which a question about a document that names none is answered."""
    return str(orjson.loads(content)["jurisdictions"][0])


ALL_SPANS: Final = (
    "SELECT d.id, d.named, db.content, s.jurisdiction, s.end, s.state, s.version, s.told, b.content "
    "FROM document d CROSS JOIN span s ON s.document=d.id LEFT JOIN body b ON b.id=s.body "
    "JOIN body db ON db.id=d.body "
    "WHERE d.since<=? AND d.till>? AND s.end>? AND s.first<=? AND s.since<=? AND s.till>? ORDER BY d.id, s.jurisdiction"
)
BODILESS: Final = (
    "b.content FROM document d CROSS JOIN span s ON s.document=d.id LEFT JOIN body b ON b.id=s.body ",
    "NULL FROM document d CROSS JOIN span s ON s.document=d.id ",
)
KEYS: Final = {
    "document": (("id", 0),),
    "version": (("document", 0), ("number", 1)),
    "medicine": (("inn", 0), ("document", 1)),
    "span": (("document", 0), ("jurisdiction", 1), ("end", 3)),
    "coming": (("document", 0), ("jurisdiction", 1), ("first", 5), ("version", 2), ("rule", 3), ("told", 8)),
}


def _revision_of(row: Row) -> Revision:
    position, name, seconds, author, act, reason, approved_by, replayed, key, subjects = row
    told = tuple(subjects.split(" ")) if subjects else ()
    recorded_at = datetime.fromtimestamp(seconds, UTC)
    return Revision(name, position, recorded_at, author, act, told, reason, approved_by, bool(replayed), key)


def _revision_row(revision: Revision) -> Row:
    return (
        revision.position,
        revision.id,
        int(revision.recorded_at.timestamp()),
        revision.author,
        revision.act,
        revision.reason,
        revision.approved_by,
        int(revision.replayed),
        revision.key,
    )


# --- building a file from nothing ------------------------------------------------------------------------


class Build:
    """A new index file in the making: bodies and documents in any order, put in place on leaving without an error.

    Where `keep` is False it only serves to hold bodies for a while, and is thrown away. `store` is where revisions may
    have been recorded meanwhile; None for whoever holds its lock.
    """

    def __init__(self, index: Index, keep: bool = True, store: Store | None = None) -> None:
        self.index = index
        self.keep = keep
        self.store = store
        self.path = index.path.with_name(index.path.name + ".new")
        self.bodies = 0
        self._waiting: dict[str, list[Row]] = defaultdict(list)

    def __enter__(self) -> Build:
        with contextlib.ExitStack() as undo:
            lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            undo.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
            undo.callback(self.path.unlink, missing_ok=True)
            self.path.unlink(missing_ok=True)
            self.sql = sqlite3.connect(self.path, isolation_level=None)
            undo.callback(self.sql.close)
            for setting in HURRY:
                self.sql.execute(setting)
            self.sql.executescript(TABLES)
            self.sql.execute("INSERT INTO meta VALUES('format', ?)", (FORMAT,))
            self.sql.execute("BEGIN")
            if gc.isenabled():  # nothing here refers to itself, and looking through all that is held costs a fifth
                gc.disable()
                undo.callback(gc.enable)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._undo:  # whatever goes wrong, the lock is let go: another build waits for it without an end
            if kind is None and self.keep:
                for table in self._waiting:
                    self._write(table)
                self.sql.execute("COMMIT")
                self.sql.executescript(LOOKUPS)
                self.sql.close()
                self.index.replace(self.path, self.store)

    def revision(self, revision: Revision) -> None:
        self._put("revision", [_revision_row(revision)])

    def _put(self, table: str, rows: Sequence[Row]) -> None:
        """Write rows, many at a time."""
        self._waiting[table] += rows
        if len(self._waiting[table]) >= MANY:
            self._write(table)

    def _write(self, table: str) -> None:
        rows = self._waiting[table]
        if rows:
            self.sql.executemany(f"INSERT INTO {table} VALUES({','.join('?' * len(rows[0]))})", rows)
            rows.clear()

    def body(self, blob: str, content: bytes, value: Json) -> int:
        """Write the bytes of a blob once, given what they say; returns the body's id."""
        self.bodies += 1
        told = (self.bodies, bytes.fromhex(blob), _rule_ids(value), content)
        self.sql.execute("INSERT INTO body VALUES(?,?,?,?)", told)
        return self.bodies

    def read(self, body: int) -> Json:
        """The JSON of a body written before."""
        return orjson.loads(self.sql.execute("SELECT content FROM body WHERE id=?", (body,)).fetchone()[0])

    def document(self, name: str, history: History, read: Callable[[int], Json]) -> None:
        """Write everything that follows from one document's history."""
        self._put("touched", [(name, position, *step) for position, steps in history.steps.items() for step in steps])
        for table, values in history.rows(name, read).items():
            self._put(table, values)


def _read_all(
    store: Store,
    build: Build,
    head: str | None,
    recorded: list[tuple[tuple[str, int, str], ...]],
    progress: Progress,
) -> None:
    """Read every blob once, in the order of the disk, and write each document as soon as it is complete."""
    steps: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    owner: dict[str, str] = {}
    for position, blobs in enumerate(recorded, start=1):
        for name, number, blob in blobs:
            steps[name].append((position, number, blob))
            owner[blob] = name
    missing = {name: len({blob for _, _, blob in rows}) for name, rows in steps.items()}
    _held_against_tree(store, head, steps)
    waiting: dict[str, dict[str, tuple[int, Json]]] = defaultdict(dict)
    ordered = (blob for blob in store.in_pack_order() if blob in owner)
    for done, (blob, content) in enumerate(store.read(ordered), start=1):
        name = owner[blob]
        value = orjson.loads(content)
        waiting[name][blob] = (build.body(blob, content, value), value)
        missing[name] -= 1
        if not missing[name]:
            _write_document(build, name, steps.pop(name), waiting.pop(name))
        if done % 1000 == 0 or done == len(owner):
            progress("reading versions", done, len(owner))
    if steps:
        raise StoreError(f"objects of {next(iter(steps))} are missing from the store")


def _write_document(
    build: Build, name: str, steps: list[tuple[int, int, str]], held: dict[str, tuple[int, Json]]
) -> None:
    history = History()
    values = dict(held.values())
    for position, number, blob in steps:
        history.steps[position].append((number, held[blob][0]))
    build.document(name, history, values.__getitem__)


def _held_against_tree(store: Store, head: str | None, steps: Mapping[str, list[tuple[int, int, str]]]) -> None:
    """The trailers are hints: what they add up to must be what the newest tree holds."""
    told = {path_of(name, number): blob for name, rows in steps.items() for _, number, blob in rows}
    if (store.tree(head) if head else {}) != told:
        raise StoreError("what the revisions say they recorded is not what the newest tree holds; run 'inforce verify'")
