"""An index file made from nothing, in one pass over everything that was ever recorded.

The tables are here too: each row of theirs follows from one document's history (`derived`).
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import orjson

from guidance.derived import History, Row
from guidance.errors import StoreError
from guidance.model import Json, Revision
from guidance.store import Store, path_of

FORMAT: Final = "6"
"""Raised with every change of the tables; a file of another format is rebuilt."""
MANY: Final = 1000
"""So many rows of a table are written at once while a file is built."""

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
HURRY: Final = (
    "PRAGMA journal_mode=OFF",
    "PRAGMA synchronous=OFF",
    "PRAGMA locking_mode=EXCLUSIVE",
    "PRAGMA cache_size=-64000",
)
INSERT_REVISION: Final = "INSERT INTO revision VALUES(?,?,?,?,?,?,?,?,?)"

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and of how many."""


def quiet(_what: str, _done: int, _of: int) -> None:
    """Show no progress."""


def rule_ids(body: Json) -> bytes | None:
    """The ids of a version's rules as JSON; None for what has none."""
    return orjson.dumps([rule["id"] for rule in body["rules"]]) if "rules" in body else None


def revision_row(revision: Revision) -> Row:
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


class Build:
    """A new index file in the making: bodies and documents in any order.

    On leaving without an error the finished file is handed to `place`, which puts it where it belongs. Without one it
    only serves to hold bodies for a while, and is thrown away.
    """

    def __init__(self, beside: Path, place: Callable[[Path], None] | None) -> None:
        self.path = beside.with_name(beside.name + ".new")
        self.place = place
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
            if kind is None and self.place:
                for table in self._waiting:
                    self._write(table)
                self.sql.execute("COMMIT")
                self.sql.executescript(LOOKUPS)
                self.sql.close()
                self.place(self.path)

    def revision(self, revision: Revision) -> None:
        self._put("revision", [revision_row(revision)])

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
        told = (self.bodies, bytes.fromhex(blob), rule_ids(value), content)
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


def read_all(
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
