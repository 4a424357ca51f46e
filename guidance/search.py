"""Words in titles, medicines and rules: a full-text lookup beside the index, derived from it, deletable at any time.

Each document, and each rule in the newest version that has it, is found by its words as of the newest revision.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from guidance.errors import BadParameter, UnknownRevision
from guidance.index import Index
from guidance.lookup import connected
from guidance.model import Document, Revision

FORMAT: Final = "1"
TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
    "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5("
    "document UNINDEXED, version UNINDEXED, rule UNINDEXED, title, medicines, text, "
    "tokenize='porter unicode61 remove_diacritics 2', prefix='2 3')",
    "CREATE TABLE IF NOT EXISTS held(document TEXT, row INTEGER, PRIMARY KEY(document, row)) WITHOUT ROWID",
)
EMPTIED: Final = tuple(f"DROP TABLE IF EXISTS {name}" for name in ("meta", "words", "held"))
WORD: Final = re.compile(r"[^\W_]+", re.UNICODE)
LONGEST: Final = 200
MARK: Final = ("\x02", "\x03")
"""Around each word found in an excerpt."""


@dataclass(frozen=True, slots=True)
class Found:
    """One document or rule in which all the words stand, and where they stand in it."""

    document: str
    version: int | None
    rule: str | None
    title: str
    excerpt: tuple[tuple[bool, str], ...]
    """Pieces of the text, True for those that match."""


class Search:
    """The full-text lookup of one index. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()

    @property
    def sql(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = connected(self.path, "PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", *TABLES)
            self._local.connection = found
        return found

    def close(self) -> None:
        """Close this thread's connection."""
        if getattr(self._local, "connection", None) is not None:
            self._local.connection.close()
            self._local.connection = None

    def find(self, index: Index, tip: Revision | None, text: str, limit: int) -> list[Found]:
        """What holds all the words (their beginnings are enough), the best first; raises BadParameter for no words."""
        asked = _asked(text)
        if tip is None:
            return []
        self.catch_up(index, tip)
        rows = self.sql.execute(
            "SELECT document, version, rule, title, snippet(words, 5, ?, ?, '…', 32) FROM words WHERE words MATCH ? "
            "ORDER BY rule IS NOT NULL, bm25(words, 0, 0, 0, 8, 1, 4), document, rule LIMIT ?",
            (*MARK, asked, limit),
        )
        return [Found(row[0], row[1], row[2], row[3], _pieces(row[4])) for row in rows.fetchall()]

    def catch_up(self, index: Index, tip: Revision) -> None:
        """Take in what was recorded since, or everything where the file is new or belongs to another history."""
        try:
            if self._stands_at() == (FORMAT, tip.id):
                return
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:  # locked or out of space: the file itself is sound
                raise
            self.discard()
        self.sql.execute("BEGIN IMMEDIATE")
        try:
            self._follow(index, tip)
        except BaseException:
            self.sql.execute("ROLLBACK")
            raise
        self.sql.execute("COMMIT")

    def discard(self) -> None:
        """Throw a broken file away; it is derived and will be made again."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def forget(self) -> None:
        """Hold nothing any more, also for those who have the file open: it is made again at the next question."""
        try:
            self.sql.execute("BEGIN IMMEDIATE")
            for statement in (*EMPTIED, *TABLES):
                self.sql.execute(statement)
            self.sql.execute("COMMIT")
        except sqlite3.DatabaseError:
            self.discard()
        self.close()

    def disagreements(self, index: Index) -> Iterator[str]:
        """How what can be found differs from what the index implies; nothing where nothing was looked for yet."""
        if not self.path.exists():
            return
        with TemporaryDirectory() as folder, closing(Search(Path(folder) / "search.sqlite")) as fresh:
            try:
                self.sql.execute("INSERT INTO words(words) VALUES('integrity-check')")
                self.sql.execute("BEGIN")  # what others look for from here on is not seen
                _, stood = self._stands_at()
                fresh.catch_up(index, index.revision(stood or ""))
                if self._held() != fresh._held():
                    yield "what is found by its words is not what is recorded; run 'inforce rebuild'"
            except UnknownRevision:
                return  # it belongs to another history, or to none: the next question makes it anew
            except sqlite3.Error as error:
                yield f"what is found by its words cannot be read: {error}; run 'inforce rebuild'"
            finally:
                self.close()

    def _held(self) -> set[tuple[Any, ...]]:
        """Everything that can be found, each under the document by which it is held."""
        by = dict(self.sql.execute("SELECT row, document FROM held").fetchall())
        words = self.sql.execute("SELECT rowid, * FROM words").fetchall()
        return {(by.pop(row, None), *told) for row, *told in words} | {(document,) for document in by.values()}

    def _stands_at(self) -> tuple[str | None, str | None]:
        told = dict(self.sql.execute("SELECT name, value FROM meta").fetchall())
        return told.get("format"), told.get("revision")

    def _follow(self, index: Index, tip: Revision) -> None:
        form, stood = self._stands_at()
        since = index.position_of(stood) if form == FORMAT and stood else None
        if since is not None and since > tip.position:  # somebody who saw more was here before
            return
        if since is None:
            self.sql.execute("DELETE FROM words")
            self.sql.execute("DELETE FROM held")
        for name in index.touched_between(since or 0, tip.position):
            self._take(index.document(name, tip.position))
        self.sql.executemany("INSERT OR REPLACE INTO meta VALUES(?,?)", [("format", FORMAT), ("revision", tip.id)])

    def _take(self, document: Document) -> None:
        for (row,) in self.sql.execute("SELECT row FROM held WHERE document=?", (document.id,)).fetchall():
            self.sql.execute("DELETE FROM words WHERE rowid=?", (row,))
        self.sql.execute("DELETE FROM held WHERE document=?", (document.id,))
        for values in _rows(document):
            row = self.sql.execute("INSERT INTO words VALUES(?,?,?,?,?,?)", values).lastrowid
            self.sql.execute("INSERT INTO held VALUES(?,?)", (document.id, row))


def _rows(document: Document) -> Iterator[tuple[Any, ...]]:
    """(document, version, rule, title, medicines, text) of the document, and of each rule where it stands last."""
    medicines = " ".join(sorted({word for v in document.versions for word in _names(v.body["medicines"])}))
    about = f"{document.body.get('about', '')} {' '.join(version.title for version in document.versions)}"
    yield document.id, None, None, document.title, medicines, about.strip()
    newest = {rule["id"]: (version.number, rule) for version in document.versions for rule in version.body["rules"]}
    for number, rule in newest.values():
        yield document.id, number, rule["id"], rule["title"], medicines, rule["text"]


def _names(medicines: list[dict[str, Any]]) -> Iterator[str]:
    for medicine in medicines:
        yield from (medicine["inn"].replace("-", " "), medicine.get("name", ""), *medicine.get("brands", ()))
        yield from (code["code"] for code in medicine.get("codes", ()))


def _asked(text: str) -> str:
    """The words of a question as FTS5 takes them: each quoted, so that none of them is an operator."""
    words = WORD.findall(text)
    if not words or len(text) > LONGEST:
        raise BadParameter("q", text[:60], f"must hold words to look for, at most {LONGEST} letters")
    return " AND ".join(f'"{word}"*' for word in words)


def _pieces(text: str) -> tuple[tuple[bool, str], ...]:
    parts = re.split(f"{MARK[0]}(.*?){MARK[1]}", text)
    return tuple((place % 2 == 1, part) for place, part in enumerate(parts) if part)


def as_json(found: Found) -> dict[str, Any]:
    """One hit as an answer tells it."""
    told = {"document": found.document, "version": found.version, "rule": found.rule, "title": found.title}
    return {**told, "excerpt": [{"match": match, "text": text} for match, text in found.excerpt]}
