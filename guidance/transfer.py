"""In and out in bulk: a folder or a file of JSON lines into the store as one stream, and the register out again.

A line, or a file of a folder, is a document, a version, or {"revision": …, "entries": […]}: one revision with what
it recorded. All or nothing: every violation of every file is listed, and nothing is written if there is one.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from guidance import acts
from guidance.building import Build, Progress
from guidance.derived import History
from guidance.errors import BadInput, BadJson, GuidanceError, InvalidDocument, UnknownDocument, Violation
from guidance.index import Index
from guidance.model import CANONICAL, Document, Json, Revision, Version, canonical
from guidance.schema import check, check_document_fast, check_size, check_version_fast, read_long
from guidance.store import Act, Entry, Store, Stream, subject_of

LISTED: Final = 10_000
"""Violations listed at most; the count is always given."""


class Piece(NamedTuple):
    """Bytes of one file or line, and what to call them when they are to blame."""

    place: str
    raw: bytes


# --- out -------------------------------------------------------------------------------------------------


def export(index: Index, position: int, document: str | None = None) -> Iterator[bytes]:
    """The register as of a position as canonical JSON lines: each document, then its versions by number."""
    if document is not None:
        content, _ = index.document_row(document, position)
        rows: Iterator[tuple[str, bytes]] | list[tuple[str, bytes]] = [(document, content)]
    else:
        rows = index.documents(position)
    for name, content in rows:
        yield content
        for _, body in index.version_contents(name, position):
            yield body


def export_history(index: Index, position: int, document: str | None = None) -> Iterator[bytes]:
    """Every revision up to a position with what it recorded (of one document, where named), oldest first."""
    for revision, entries in index.recorded(position, document):
        told = {key: value for key, value in revision.json().items() if key != "subjects"}
        yield canonical({"revision": told, "entries": [orjson.loads(content) for content in entries]})


# --- reading pieces --------------------------------------------------------------------------------------


def pieces(path: Path) -> Iterator[Piece]:
    """The files of a folder by path, or the lines of a file; raises BadJson where there is nothing to read, or one of
    them cannot be."""
    try:
        yield from _files(path) if path.is_dir() else _lines(path)
    except OSError as error:
        raise BadJson(f"cannot be read: {error.strerror}", file=str(error.filename or path)) from error


def _files(folder: Path) -> Iterator[Piece]:
    """A link that leads nowhere is a file that cannot be read, and not one that can be left out."""
    files = sorted(file for file in folder.rglob("*.json") if file.is_file() or not file.exists())
    if not files:
        raise BadJson("holds no .json file", file=str(folder))
    for file in files:
        yield Piece(str(file.relative_to(folder)), file.read_bytes())


def _lines(path: Path) -> Iterator[Piece]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield Piece(f"line {number}", line)


def _value(piece: Piece) -> tuple[Json, bytes]:
    """The JSON of a piece, and its canonical bytes where it came as such: these are their own proof that reading them
    lost and changed nothing."""
    try:
        value = orjson.loads(piece.raw)
        spelled = orjson.dumps(value, option=CANONICAL | orjson.OPT_STRICT_INTEGER)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return read_long(piece.raw, piece.place), b""
    plain = spelled == piece.raw and (spelled.isascii() or unicodedata.is_normalized("NFC", spelled.decode("utf-8")))
    return (value, spelled) if plain else (read_long(piece.raw, piece.place), b"")


def _checked(value: Json, place: str) -> None:
    if isinstance(value, dict) and "number" not in value and "id" in value:
        check_document_fast(value, place)
    else:
        check_version_fast(value, place)


def _spelled(value: Json, place: str) -> bytes:
    """The bytes to record. Their length is what counts, however much the line or file around them holds: what was
    recorded in one act is exported in one line, and must come in again."""
    spelled = canonical(value)
    check_size(spelled, place)
    return spelled


def _entries_spelled(entries: Json, place: str) -> list[bytes]:
    """Check all that a revision recorded, and spell it; each violation is blamed where it stands in the revision."""
    found: list[Violation] = []
    spelled: list[bytes] = []
    for number, body in enumerate(entries):
        try:
            _checked(body, place)
            spelled.append(_spelled(body, place))
        except InvalidDocument as error:
            found += [replace(v, pointer=f"/entries/{number}{v.pointer}") for v in error.violations]
        except BadJson as error:
            found.append(Violation(f"/entries/{number}", error.why, place))
    if found:
        raise InvalidDocument(found)
    return spelled


def _no_two_alike(entries: Json, place: str) -> None:
    """A revision records a document or version once."""
    seen: dict[str, int] = {}
    for number, body in enumerate(entries):
        subject = subject_of(body.get("document") or body["id"], body.get("number", 0))
        if (first := seen.setdefault(subject, number)) != number:
            why = f"{subject} already stands at /entries/{first}"
            raise InvalidDocument([Violation(f"/entries/{number}", why, place)])


# --- in --------------------------------------------------------------------------------------------------


class _Line(NamedTuple):
    """One document or version that was read: what is to be recorded, where its bytes lie, and whom to blame."""

    entry: Entry
    mark: int
    body: int
    group: int
    place: str


@dataclass
class Import:
    """One import into an open stream: pieces are read, checked and written as they come, then decided together."""

    index: Index
    act: Act
    stream: Stream
    build: Build
    tip: Revision | None
    violations: list[Violation] = field(default_factory=list)
    lines: dict[str, list[_Line]] = field(default_factory=lambda: defaultdict(list))
    groups: list[Act] = field(default_factory=list)
    """The acts of the revisions that came with their history; empty for plain documents and versions."""
    written: dict[str, tuple[int, int]] = field(default_factory=dict)
    grouped: dict[int, list[_Line]] = field(default_factory=lambda: defaultdict(list))
    histories: dict[str, History] = field(default_factory=lambda: defaultdict(History))
    """What was committed and is not indexed yet."""
    committed: list[tuple[Act, int]] = field(default_factory=list)
    """Each act in order, with the second of its recording; git knows the revision's id in the end."""

    # --- reading -----------------------------------------------------------------------------------------

    def take(self, piece: Piece) -> None:
        """Read one piece; whatever is wrong with it is kept, and the rest is still read."""
        try:
            value, spelled = _value(piece)
            if isinstance(value, dict) and "revision" in value:
                self._take_revision(value, piece.place)
            else:
                check_size(piece.raw, piece.place)
                _checked(value, piece.place)
                self._write(value, -1, piece.place, spelled or _spelled(value, piece.place))
        except InvalidDocument as error:
            self.violations.extend(error.violations)
        except BadJson as error:
            self.violations.append(Violation(error.pointer, error.why, error.file))
        except BadInput as error:
            self.violations.append(Violation("", str(error), piece.place))

    def _take_revision(self, value: Json, place: str) -> None:
        check("exported-revision", value, place)
        spelled = _entries_spelled(value["entries"], place)
        _no_two_alike(value["entries"], place)
        told = value["revision"]
        origin = f"{told['id']} recorded {told['recorded_at']}"
        act = Act(told["act"], told["author"], told["reason"], told["approved_by"], None, told["replayed"], origin)
        self.groups.append(act)
        for body, content in zip(value["entries"], spelled, strict=True):
            self._write(body, len(self.groups) - 1, place, content)

    def _write(self, value: Mapping[str, Json], group: int, place: str, content: bytes) -> None:
        entry = Entry.of(value.get("document") or value["id"], value.get("number", 0), content)
        mark, body = 0, 0
        if not self.violations:
            if entry.blob not in self.written:
                self.written[entry.blob] = (self.stream.blob(content), self.build.body(entry.blob, content, value))
            mark, body = self.written[entry.blob]
        bare = Entry(entry.document, entry.number, entry.blob, entry.sha256, b"")
        self.lines[entry.document].append(_Line(bare, mark, body, group, place))

    # --- deciding and committing -------------------------------------------------------------------------

    def finish(self, progress: Progress) -> int:
        """Decide what everything read means, write the commits, index them; returns how many revisions there are.

        A document is indexed while git is at work on its commits. Raises InvalidDocument with every violation found
        anywhere; what was written is given up then, and nothing is recorded.
        """
        names = sorted(self.lines) if not self.violations else []
        for done, name in enumerate(names, start=1):
            bodies: dict[int, Json] = {}
            kept = self._decided(name, bodies)
            if not self.violations:
                self._commit_plain(kept)
                if all(line.group < 0 for line in kept):
                    self._index(name, bodies.__getitem__)
            if done % 100 == 0 or done == len(names):
                progress("recording documents", done, len(names))
        if self.violations:
            raise InvalidDocument(self.violations[:LISTED])
        for group, lines in sorted(self.grouped.items()):
            self._commit(self.groups[group], lines)
        for name in list(self.histories):
            self._index(name, self.build.read)
        return self.stream.commits

    def _commit_plain(self, kept: list[_Line]) -> None:
        """One revision per version of a document, its own JSON with the first one; revisions that came along later."""
        waiting: list[_Line] = []
        for line in kept:
            if line.group >= 0:
                self.grouped[line.group].append(line)
            else:
                waiting.append(line)
                if line.entry.number:
                    self._commit(self.act, waiting)
                    waiting = []
        if waiting:
            self._commit(replace(self.act, verb="register"), waiting)

    def _commit(self, act: Act, lines: list[_Line]) -> None:
        self.stream.commit(act, [(line.entry, line.mark) for line in lines])
        self.committed.append((act, self.stream.seconds))
        for line in lines:
            self.histories[line.entry.document].steps[self.stream.commits].append((line.entry.number, line.body))

    def _index(self, name: str, read: Callable[[int], Json]) -> None:
        history = self.histories.pop(name, None)
        if history is not None and self.build.place:
            self.build.document(name, history, read)

    def _decided(self, name: str, bodies: dict[int, Json]) -> list[_Line]:
        """The lines of one document that change it, held against what is recorded and against each other.

        What they say is left in `bodies`. A history's lines up to where it is recorded already are no news: a version
        that was corrected since would be set back, and corrected once more.
        """
        document, past = self._recorded(name), self._past(name)
        plain = [line for line in self.lines[name] if line.group < 0]
        kept: list[_Line] = []
        seen: dict[int, str] = {}
        for line in [
            *sorted(plain, key=lambda line: line.entry.number),
            *(o for o in self.lines[name] if o.group >= 0),
        ]:
            if line.group >= 0 and line.entry.blob in past.get(line.entry.number, ()):  # and is used up to there
                continue
            try:
                if line.group < 0 and seen.setdefault(line.entry.number, line.place) != line.place:
                    raise BadJson(f"{line.entry.subject} already stands in {seen[line.entry.number]}")
                bodies[line.body] = self.build.read(line.body)
                document, changed = self._decide(document, line, bodies[line.body])
                kept += [line] if changed else []
            except InvalidDocument as error:
                self.violations.extend(replace(violation, file=line.place) for violation in error.violations)
            except GuidanceError as error:
                self.violations.append(Violation("", str(error), line.place))
        return kept

    def _recorded(self, name: str) -> Document | None:
        try:
            return self.index.document(name, self.tip.position) if self.tip else None
        except UnknownDocument:
            return None

    def _past(self, name: str) -> Mapping[int, Iterator[str]]:
        """The blobs that were recorded of a document and of each version, oldest first, to be gone through once."""
        found: dict[int, list[str]] = defaultdict(list)
        for number, blob in self.index.blobs(name, self.tip.position) if self.tip else ():
            found[number].append(blob)
        return {number: iter(blobs) for number, blobs in found.items()}

    def _decide(self, document: Document | None, line: _Line, body: Json) -> tuple[Document | None, bool]:
        if line.entry.number == 0:
            outcome = acts.register(document, body)
            return document.with_body(0, body) if document else Document.of(body), outcome.body is not None
        again = line.group >= 0 and document is not None and document.version(line.entry.number) is not None
        outcome = acts.correct(document, body) if again else acts.publish(document, body)
        assert document is not None
        return document.with_version(Version.of(body)), outcome.body is not None


def _revision(name: str, position: int, act: Act, seconds: int) -> Revision:
    recorded_at = datetime.fromtimestamp(seconds, UTC)
    told = (act.author, act.verb, (), act.reason, act.approved_by, act.replayed, act.key)
    return Revision(name, position, recorded_at, *told)


def run(store: Store, index: Index, lock: int, source: Path, act: Act, now: datetime, progress: Progress) -> int:
    """Import a folder or a file of lines while holding the store's lock; returns how many revisions were recorded.

    Raises InvalidDocument with every violation of every file, BadJson where there is nothing to read.
    """
    tip = index.catch_up(store)
    with Build(index.path, None if tip else partial(index.replace, store=None)) as build:
        with store.stream(lock, tip, now, bulk=True) as stream:
            importing = Import(index, act, stream, build, tip)
            for count, piece in enumerate(pieces(source), start=1):
                importing.take(piece)
                if count % 1000 == 0:
                    progress("reading", count, 0)
            count = importing.finish(progress)
            progress("waiting for git to write", 0, 0)
        if build.place:
            ids = store.revisions()
            for position, (name, (done, seconds)) in enumerate(zip(ids, importing.committed, strict=True), start=1):
                build.revision(_revision(name, position, done, seconds))
    index.catch_up(store)
    return count
