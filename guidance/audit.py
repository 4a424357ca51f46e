"""Does everything agree? An auditor's walk through the whole history, from git's own objects up to the index."""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

from guidance.building import Progress, quiet
from guidance.errors import GuidanceError, StoreError, StoreUnreadable, Tampered
from guidance.index import Index
from guidance.model import canonical, sha256
from guidance.schema import check_document, check_version_fast, read
from guidance.store import Recorded, Store, path_of

PATH = re.compile(r"documents/([a-z0-9-]+)/[0-9]{2}/([a-z0-9-]+)/(?:document|versions/([0-9]+))\.json")
FINDINGS = 200
BODY = "(SELECT hex(blob) FROM body WHERE id=t.body)"


def verify(store: Store, index: Index, progress: Progress = quiet, noted: Sequence[str] = ()) -> int:
    """Check every object, revision, byte and index row; returns how many revisions agree, raises Tampered.

    `noted`: ids of revisions (seven letters or more) that were written down elsewhere. A history that was set back, or
    made anew as a whole, agrees with itself: only what stands outside of it can show that it is another. One that
    still holds a revision holds all that came before it, unchanged, for the id is a hash of that too.

    Held to each other: git's checksums and links, with nothing laid over them; each commit's trailers and its real
    change; each blob and its fingerprint, its canonical spelling and its schema; times that never run backwards; the
    index, down to the bytes that it serves, and a fresh one.

    Others may publish meanwhile: what they add is left out. What seems not to agree counts only if it still does not
    while nobody else may write, for packing moves objects under the eyes of whoever reads them. For that second look
    alone the store's lock is held; raises StoreBusy where it cannot be had.
    """
    try:
        return _agreed(store, index, progress, noted)
    except Tampered:
        with store.lock():
            return _agreed(store, index, progress, noted)


def _agreed(store: Store, index: Index, progress: Progress, noted: Sequence[str] = ()) -> int:
    """One look at everything up to the head as it is now; raises Tampered."""
    head = store.head()
    _sound(store, head)
    findings = list(_masks(store))
    try:
        recorded = list(store.log(head=head))
        findings += _missed(recorded, noted)
        findings += _times(recorded)
        findings += _trees(store, head, recorded)
        findings += _contents(store, recorded, progress)
    except (GuidanceError, ValueError) as error:  # git finds the objects sound: what they say is not what we write
        raise Tampered([*findings, f"what is recorded cannot be read as an act of ours: {error}"]) from error
    findings += _index(store, index)
    if findings:
        raise Tampered(findings[:FINDINGS])
    return len(recorded)


def _sound(store: Store, head: str | None) -> None:
    """What git itself finds; the rest cannot be read where that is anything."""
    try:
        store.fsck(head)
    except StoreUnreadable as error:
        raise Tampered([error.why]) from error


def _masks(store: Store) -> Iterator[str]:
    """What shows something else under our ids to whoever looks with plain git. It is not believed here; nor did we put
    it there."""
    for name in store.masks():
        yield f"{name} has git show other content or another past than was recorded; remove it"


def _missed(recorded: list[Recorded], noted: Sequence[str]) -> Iterator[str]:
    """What was noted, and is not in the history that we are shown."""
    for name in noted:
        if not any(item.revision.id.startswith(name) for item in recorded):
            yield f"revision {name} is not part of this history: it was set back, or another was put in its place"


def _times(recorded: list[Recorded]) -> Iterator[str]:
    before: datetime | None = None
    for item in recorded:
        if before and item.revision.recorded_at < before:
            yield f"revision {item.revision.id} is dated before the one it follows"
        before = item.revision.recorded_at


def _trees(store: Store, head: str | None, recorded: list[Recorded]) -> Iterator[str]:
    """What each revision says that it recorded, against what its tree changed."""
    told = {item.revision.id: {(path_of(name, number), blob) for name, number, blob in item.blobs} for item in recorded}
    for revision, rows in store.changed(head):
        found = {(path, blob) for status, blob, path in rows if status in ("A", "M")}
        for status, _, path in rows:
            if status not in ("A", "M") or not PATH.fullmatch(path):
                yield f"revision {revision} does {status} to {path}, which no act of ours does"
        if found != told.get(revision):
            yield f"revision {revision} changed other files than it says"


def _contents(store: Store, recorded: list[Recorded], progress: Progress) -> Iterator[str]:
    """Each blob's fingerprint, its one spelling, its schema, and that it is what its path says.

    A blob is read once, and held against all that was ever said of it: it may be recorded rightly here, wrongly there.
    """
    wanted: dict[str, dict[tuple[str, int, str], None]] = defaultdict(dict)
    for item in recorded:
        for (name, number, blob), fingerprint in zip(item.blobs, item.sums, strict=True):
            wanted[blob][name, number, fingerprint] = None
    for done, (blob, content) in enumerate(store.read(wanted), start=1):
        for name, number, fingerprint in wanted[blob]:
            yield from _content(name, number, fingerprint, content)
        if done % 1000 == 0 or done == len(wanted):
            progress("checking content", done, len(wanted))


def _content(name: str, number: int, fingerprint: str, content: bytes) -> Iterator[str]:
    subject = f"{name}@{number}" if number else name
    if sha256(content) != fingerprint:
        yield f"{subject}: its bytes are not those of the recorded Sha256 {fingerprint}"
    try:
        body = read(content, subject)
        if number:
            check_version_fast(body, subject)
        else:
            check_document(body, subject)
        if canonical(body) != content:
            yield f"{subject}: is not in canonical form"
        if (body.get("document") or body.get("id"), body.get("number", 0)) != (name, number):
            yield f"{subject}: lies at a path that is not its own"
    except GuidanceError as error:
        yield f"{subject}: {error}"


def _index(store: Store, index: Index) -> Iterator[str]:
    """Every row of the index against one that is derived again from nothing, both as of one revision."""
    with TemporaryDirectory() as folder:
        fresh = Index(Path(folder) / "index.sqlite")
        try:
            index.catch_up(store)
            with index.reading():  # what others write from here on is not seen
                tip = index.tip()
                yield from _file(index)
                fresh.rebuild(store, head=tip.id if tip else None)
                for table, asked in _tables(fresh.sql):
                    if _rows(index.sql, asked) != _rows(fresh.sql, asked):
                        yield f"the index's table {table} is not what the store implies; run 'inforce rebuild'"
        except StoreError as error:
            yield str(error)
        except (LookupError, TypeError, ValueError, sqlite3.IntegrityError) as error:  # content that no act recorded
            yield f"no index can be derived from what is recorded: {error!r}"
        except sqlite3.Error as error:
            yield f"the index cannot be read: {error}; run 'inforce rebuild'"
        finally:
            fresh.close()


def _file(index: Index) -> Iterator[str]:
    """What SQLite itself finds: among other things, entries that its own indexes lack, by which rows are found."""
    for (told,) in index.sql.execute("PRAGMA integrity_check(20)").fetchall():
        if told != "ok":
            yield f"the index's file is broken ({told}); run 'inforce rebuild'"


def _tables(sql: sqlite3.Connection) -> list[tuple[str, str]]:
    """Each table, and how to ask for what its rows mean: bodies are numbered as they come, so in place of its number
    stands of which blob one is."""
    found = []
    for (table,) in sql.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
        columns = [row[1] for row in sql.execute(f"PRAGMA table_info({table})")]
        told = [BODY if name == "body" else name for name in columns if (table, name) != ("body", "id")]
        found.append((table, f"SELECT {', '.join(told)} FROM {table} t"))
    return found


def _rows(sql: sqlite3.Connection, asked: str) -> set[bytes]:
    """Fingerprints of all rows. Python's own `hash` would not do: it takes one number for another, and a text for its
    bytes."""
    with closing(sql.cursor()) as cursor:
        return {_mark(repr(list(map(_short, row))).encode("utf-8")) for row in cursor.execute(asked)}


def _short(cell: object) -> object:
    return _mark(cell) if isinstance(cell, bytes) else cell


def _mark(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()
