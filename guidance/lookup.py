"""What can be asked of the index: rows written when a revision was recorded, found in microseconds.

Rows carry the positions [since, till) between which the register believed them, so that one lookup answers for any
day (`on`) as of any revision (`at`).
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from guidance.derived import FOREVER, Row
from guidance.errors import UnknownDocument, UnknownRevision, UnknownVersion
from guidance.model import Document, Json, Revision, Version, instant_text
from guidance.register import scope

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
SETTINGS: Final = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA cache_size=-2000")


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


class Lookup:
    """One index file that may be replaced at any time. Safe to share between threads: each has its own connection."""

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

    def caught_up(self, newest: Revision | None) -> None:
        """Take note of the revision that the file has caught up to; what is remembered was so as of another."""
        if newest != self._newest:
            self._newest, self._spoken = newest, {}

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


def _revision_of(row: Row) -> Revision:
    position, name, seconds, author, act, reason, approved_by, replayed, key, subjects = row
    told = tuple(subjects.split(" ")) if subjects else ()
    recorded_at = datetime.fromtimestamp(seconds, UTC)
    return Revision(name, position, recorded_at, author, act, told, reason, approved_by, bool(replayed), key)
