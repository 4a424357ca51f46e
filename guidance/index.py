"""The rebuildable lookup beside the repository: what `register` says of every document, found in microseconds.

Rows carry the positions [since, till) between which the register believed them, so that one lookup answers for any
day (`on`) as of any revision (`at`). The file may be deleted at any time: git is the truth, this is derived from it.
It names the revision it was built from and is never asked before it has caught up.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import orjson

from guidance.building import FORMAT, HURRY, INSERT_REVISION, Build, Progress, quiet, read_all, revision_row, rule_ids
from guidance.derived import COLUMNS, FOREVER, Believed, Fact
from guidance.errors import StoreError
from guidance.lookup import Lookup
from guidance.model import Document, Revision, Version
from guidance.store import Entry, Recorded, Store

AGAIN: Final = 3
"""So often an index is built for one question, where others throw it away."""
FAR_FEW: Final = 5000
"""From this many new revisions on, rebuilding is quicker than catching up."""
KEYS: Final = {
    "document": (("id", 0),),
    "version": (("document", 0), ("number", 1)),
    "medicine": (("inn", 0), ("document", 1)),
    "span": (("document", 0), ("jurisdiction", 1), ("end", 3)),
    "coming": (("document", 0), ("jurisdiction", 1), ("first", 5), ("version", 2), ("rule", 3), ("told", 8)),
}


class Index(Lookup):
    """The lookup of one store, kept up with it."""

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
        self.caught_up(found)
        return found

    def _caught_up(self, store: Store, progress: Progress) -> Revision | None:
        try:
            tip = self.tip()
            if tip is not None and tip.id == _remembered(store, tip):
                return tip
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
        self.sql.execute(INSERT_REVISION, revision_row(recorded.revision))
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
        told = (name, rule_ids(orjson.loads(content)), content)
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
        answers until it is done. Raises StoreError where the store has lost what the index was derived from."""
        if head is None:
            with contextlib.suppress(sqlite3.DatabaseError):  # a broken file knows nothing, and is replaced
                _remembered(store, self.tip())
        with Build(self.path, partial(self.replace, store=None if head else store)) as build:
            recorded = []
            for item in store.log(head=head):
                build.revision(item.revision)
                recorded.append(item.blobs)
                head = item.revision.id
            read_all(store, build, head, recorded, progress)

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


def _remembered(store: Store, tip: Revision | None) -> str | None:
    """The store's head. A register does not forget: raises StoreError where it has none, though it had `tip`."""
    head = store.head()
    if tip is not None and head is None:
        raise StoreError(f"the index stands at revision {tip.id}, but {store.path} has lost its branch")
    return head
