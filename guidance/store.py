"""The git repository that holds the register: durable, append-only, one publisher at a time. The only git.

GitPython starts git; git itself writes every object (fast-import) and reads them back (cat-file). What is
acknowledged has been fsynced, its folder entry too. Layout: documents/<authority>/<shard>/<document>/document.json
and …/versions/<number>.json on the branch `main` of a bare repository.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import tempfile
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

import git
from git.exc import CommandError, GitCommandError, InvalidGitRepositoryError, NoSuchPathError

from guidance.errors import (
    BadParameter,
    NoRegister,
    RegisterExists,
    StaleRevision,
    StoreBusy,
    StoreError,
    StoreUnreadable,
)
from guidance.model import SEGMENT, Revision, sha256

BRANCH: Final = "refs/heads/main"
SETTINGS: Final = {
    "core.fsync": "all",
    "core.hooksPath": "/dev/null",
    "core.logAllRefUpdates": "false",
    "core.useReplaceRefs": "false",  # said here as well: git 2.39 lets a repository's setting undo the variable below
    "gc.auto": "0",
    "maintenance.auto": "false",
    "receive.denyNonFastForwards": "true",
    "receive.denyDeletes": "true",
}
ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    # A revision's id stands for its bytes and its past: nothing that lies in the repository may show others under it.
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": "/dev/null",
    "GIT_SHALLOW_FILE": "",
    # Given to every git as well: a store that was cloned or restored has lost its own config, and would not fsync.
    "GIT_CONFIG_COUNT": str(len(SETTINGS)),
    **{f"GIT_CONFIG_KEY_{place}": name for place, name in enumerate(SETTINGS)},
    **{f"GIT_CONFIG_VALUE_{place}": value for place, value in enumerate(SETTINGS.values())},
}
REPLACED: Final = "refs/replace/"
CUT: Final = ("info/grafts", "shallow")
"""Files in which git is told that a commit has other parents than it names, or none."""
COMMITTER: Final = "Inforce <register@inforce.invalid>"
PIECE: Final = 1 << 20
"""Bytes of a bulk stream that are handed on at a time."""
LOCK_WAIT: Final = 30.0
"""Seconds that a publisher waits for another one."""
AUTHOR: Final = re.compile(
    r"(?! )[^<>\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]{1,200}(?<! ) <[^<>\s\x00-\x1f\x7f\ud800-\udfff]{1,200}>"
)
LINE: Final = re.compile(r"[^\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]{1,2000}")
SHARDS: Final = 100
LEFTOVERS: Final = (
    "*.lock",
    "objects/**/tmp_*",
    "objects/pack/.tmp-*",
    "objects/pack/*.keep",
    "fast_import_crash_*",
    "refs/**/*.lock",
    "objects/**/*.lock",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the register: a document (number 0) or one of its versions, in canonical bytes."""

    document: str
    number: int
    blob: str
    """The id that git gives to the bytes."""
    sha256: str
    content: bytes = field(repr=False)
    """Empty where the bytes are already in a stream, under a mark."""

    @classmethod
    def of(cls, document: str, number: int, content: bytes) -> Entry:
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        return cls(document, number, blob, sha256(content), content)

    @property
    def path(self) -> str:
        return path_of(self.document, self.number)

    @property
    def subject(self) -> str:
        return subject_of(self.document, self.number)


@dataclass(frozen=True, slots=True)
class Act:
    """Who does what, and why: everything about a commit except its content."""

    verb: str
    author: str
    reason: str
    approved_by: str | None = None
    key: str | None = None
    replayed: bool = False
    origin: str | None = None
    """The revision of another register that this one repeats, where it was imported with its history."""

    def __post_init__(self) -> None:
        if not AUTHOR.fullmatch(self.author):
            raise BadParameter("author", self.author, "is not an author; write 'Name <address>' on one line")
        for parameter, value in (
            ("reason", self.reason),
            ("approved-by", self.approved_by),
            ("key", self.key),
            ("origin", self.origin),
        ):
            if value is not None and (not LINE.fullmatch(value) or value != value.strip()):
                raise BadParameter(
                    parameter, value, "is not one line of text (1 to 2000 letters, no control characters)"
                )


@dataclass(frozen=True, slots=True)
class Recorded:
    """A commit as read back: the revision, and which blob it recorded for each document or version."""

    revision: Revision
    blobs: tuple[tuple[str, int, str], ...]
    """(document, number, blob id); number 0 is the document itself."""
    sums: tuple[str, ...] = ()
    """The SHA-256 of the bytes of each."""


def path_of(document: str, number: int) -> str:
    """The one place of a file, built from an id that is checked again here: nothing else ever names a path."""
    authority, _, name = document.partition("/")
    if not SEGMENT.fullmatch(authority) or not SEGMENT.fullmatch(name) or not 0 <= number <= 100_000:
        raise BadParameter("document", document, "is not a document's id")
    folder = f"documents/{authority}/{zlib.crc32(document.encode()) % SHARDS:02d}/{name}"
    return f"{folder}/versions/{number}.json" if number else f"{folder}/document.json"


def subject_of(document: str, number: int) -> str:
    return f"{document}@{number}" if number else document


class Store:
    """One bare repository. Safe to share between threads: every call starts its own git."""

    def __init__(self, path: Path) -> None:
        """Open an existing store for real; raises NoRegister, StoreUnreadable."""
        self.path = path
        self._ref = path / BRANCH
        self._ref_path = str(self._ref)
        if not (path / "HEAD").exists():
            raise NoRegister(str(path))
        _scrub()
        self.check()

    @classmethod
    def init(cls, path: Path) -> Store:
        """Make an empty store; raises RegisterExists."""
        if path.exists() and any(path.iterdir()):
            raise RegisterExists(str(path))
        _scrub()
        path.mkdir(parents=True, exist_ok=True)
        with git.Repo.init(path, bare=True, expand_vars=False) as repo:
            with repo.config_writer() as config:
                for name, value in SETTINGS.items():
                    section, _, option = name.partition(".")
                    config.set_value(section, option, value)
            # HEAD names a branch that never exists, so that moving `main` takes no HEAD.lock.
            repo.git.symbolic_ref("HEAD", "refs/heads/unborn")
        for folder in (path / "hooks", path / "refs" / "heads", path):
            _sync_folder(folder)
        for file in ("config", "HEAD"):
            _sync_file(path / file)
        return cls(path)

    # --- reading -----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Open the repository as git itself would; raises StoreUnreadable with what git says."""
        try:
            with git.Repo(self.path, expand_vars=False):
                self._git().execute(["git", "rev-parse", "--is-bare-repository"])
                head = self.head()
                if head:
                    self._git().execute(["git", "cat-file", "-e", f"{head}^{{commit}}"])
        except (CommandError, InvalidGitRepositoryError, NoSuchPathError, OSError) as error:
            raise StoreUnreadable(str(self.path), _said(error)) from error

    def head(self) -> str | None:
        """The newest revision's id, None while nothing is recorded."""
        try:
            found = self._ref.read_text("ascii").strip()
        except FileNotFoundError:
            return self._packed_head()
        except (OSError, UnicodeDecodeError) as error:
            raise StoreUnreadable(str(self.path), str(error)) from error
        if not re.fullmatch("[0-9a-f]{40}", found):
            raise StoreUnreadable(str(self.path), f"{BRANCH} is torn: it holds no revision")
        return found

    def _packed_head(self) -> str | None:
        try:
            lines = (self.path / "packed-refs").read_text("ascii").splitlines()
        except FileNotFoundError:
            return None
        return next((line.split()[0] for line in lines if line.endswith(f" {BRANCH}")), None)

    def stamp(self) -> tuple[int, int]:
        """Something that differs whenever the head has moved, for the price of one stat."""
        try:
            found = os.stat(self._ref_path)  # noqa: PTH116  every answer asks: pathlib costs as much again
        except FileNotFoundError:
            return (0, 0)
        return (found.st_mtime_ns, found.st_ino)

    def log(self, since: str | None = None, position: int = 0, head: str | None = None) -> Iterator[Recorded]:
        """Revisions after `since` (all, where None) up to `head` (the newest, where None), oldest first, counted on
        from `position`.

        What each recorded is read from its trailers: hints, which `verify` and the index hold against the trees.
        """
        head = head or self.head()
        if head is None or head == since:
            return
        span = f"{since}..{head}" if since else head
        command = ["git", "log", "--reverse", "--first-parent", "-z", "--format=%H%n%ct%n%an <%ae>%n%B", span, "--"]
        with self._running(command) as process:
            for count, text in enumerate(_split(process.stdout, b"\0"), start=1):
                yield _recorded(text.decode("utf-8"), position + count)

    def revisions(self) -> Iterator[str]:
        """The id of every revision, oldest first."""
        head = self.head()
        if head is not None:
            with self._running(["git", "rev-list", "--reverse", "--first-parent", head, "--"]) as process:
                yield from (line.decode("ascii").strip() for line in process.stdout)

    def contains(self, revision: str) -> bool:
        """Whether a revision is the head or one of its ancestors."""
        head = self.head()
        if head is None or not re.fullmatch("[0-9a-f]{40}", revision):
            return False
        try:
            self._git().execute(["git", "merge-base", "--is-ancestor", revision, head])
        except GitCommandError:
            return False
        return True

    def read(self, blobs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """(id, bytes) of each object, in the order asked; raises StoreUnreadable for one that is missing."""
        with self._running(["git", "cat-file", "--batch", "--buffer"], stdin=subprocess.PIPE) as process:
            feeder = threading.Thread(target=_feed, args=(process.stdin, blobs), daemon=True)
            feeder.start()
            while header := process.stdout.readline():
                name, _, rest = header.decode("ascii").strip().partition(" ")
                if rest == "missing":
                    raise StoreUnreadable(str(self.path), f"object {name} is missing")
                size = int(rest.split()[1])
                content = process.stdout.read(size)
                process.stdout.read(1)
                yield name, content
            feeder.join()

    def in_pack_order(self) -> Iterator[str]:
        """Ids of all blobs in the order in which they lie on the disk, which is the order to read them in."""
        command = ["git", "cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objecttype) %(objectname)"]
        with self._running(command) as process:
            for line in process.stdout:
                if line.startswith(b"blob "):
                    yield line[5:-1].decode("ascii")

    def tree(self, revision: str) -> dict[str, str]:
        """path -> blob id of everything recorded as of a revision."""
        command = ["git", "ls-tree", "-r", "-z", "--format=%(objecttype) %(objectname) %(path)", revision]
        with self._running(command) as process:
            rows = (row.decode("utf-8").split(" ", 2) for row in _split(process.stdout, b"\0"))
            return {path: blob for kind, blob, path in rows if kind == "blob"}

    def changed(self, head: str | None = None) -> Iterator[tuple[str, tuple[tuple[str, str, str], ...]]]:
        """(revision, ((status, blob, path)…)) from the trees themselves, oldest first, up to `head` (the newest, where
        None): the slow, certain way."""
        head = head or self.head()
        if head is None:
            return
        command = [
            "git",
            "log",
            "--reverse",
            "--first-parent",
            "--format=%x01%H",
            "--raw",
            "--no-abbrev",
            "--no-renames",
        ]
        with self._running([*command, "--diff-merges=first-parent", "--root", head, "--"]) as process:
            revision = ""
            rows: list[tuple[str, str, str]] = []
            for raw in process.stdout:
                line = raw.decode("utf-8").rstrip("\n")
                if line.startswith("\x01"):
                    if revision:
                        yield revision, tuple(rows)
                    revision, rows = line[1:], []
                elif line.startswith(":"):
                    meta, _, path = line.partition("\t")
                    rows.append((meta.split()[4], meta.split()[3], path))
            if revision:
                yield revision, tuple(rows)

    def masks(self) -> list[str]:
        """What would have any git but ours show something else under the ids of this store: refs, then files."""
        with self._running(["git", "for-each-ref", "--format=%(refname)", REPLACED]) as process:
            refs = [line.decode("utf-8", "replace").strip() for line in process.stdout]
        return [*refs, *(name for name in CUT if (self.path / name).exists())]

    def fsck(self, head: str | None = None) -> None:
        """Have git check every object, and every link from `head` (from all refs, where None); raises StoreUnreadable
        with what it says.

        Objects come first: what is recorded between the two looks missing, unless a head from before is given.
        """
        command = ["git", "fsck", "--full", "--strict", "--no-dangling", "--no-progress"]
        try:
            self._git().execute([*command, head] if head else command)
        except CommandError as error:
            raise StoreUnreadable(str(self.path), _said(error)) from error

    # --- writing -----------------------------------------------------------------------------------------

    @contextmanager
    def lock(self, wait: float = LOCK_WAIT) -> Iterator[int]:
        """Be the only publisher; raises StoreBusy after `wait` seconds.

        The descriptor is handed to git as well, so that the lock outlives a publisher that is killed until the git
        that it started is gone too.
        """
        descriptor = os.open(self.path / "inforce.flock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            deadline = time.monotonic() + wait
            while not _locked(descriptor):
                if time.monotonic() > deadline:
                    raise StoreBusy(str(self.path), wait)
                time.sleep(0.003)
            yield descriptor
        finally:
            os.close(descriptor)

    def recover(self, lock: int) -> tuple[str, ...]:
        """Clear what a killed publish left behind. Only while holding the lock: nothing else writes then."""
        assert lock >= 0
        left = [path for pattern in LEFTOVERS for path in self.path.glob(pattern) if path.is_file()]
        for path in left:
            path.unlink(missing_ok=True)
        return tuple(str(path.relative_to(self.path)) for path in left)

    def commit(self, lock: int, act: Act, entries: Sequence[Entry], base: Revision | None, now: datetime) -> str:
        """Record entries as one revision on top of `base` and return its id, once it would survive a power cut.

        Raises StaleRevision where `base` is no longer the head; StoreError where git could not write.
        """
        with self.stream(lock, base, now) as stream:
            stream.commit(act, [(entry, None) for entry in entries])
        return stream.head

    @contextmanager
    def stream(self, lock: int, base: Revision | None, now: datetime, bulk: bool = False) -> Iterator[Stream]:
        """One fast-import: everything written inside is recorded together on leaving, or not at all.

        Recorded time never runs backwards: nothing is dated before `base`. `bulk`: git may lag behind what is written.
        """
        head, parent = self.head(), base.id if base else None
        if head != parent:
            raise StaleRevision(parent or "", head or "")
        kept = (self.path / "objects" / "pack").glob("*.keep")
        for left in (self._ref.with_suffix(".lock"), self.path / "HEAD.lock", *kept):  # each would stop this one
            left.unlink(missing_ok=True)
        command = ["git", "fast-import", "--quiet", "--done", "--date-format=raw", "--depth=50"]
        with (
            Spool(self.path.parent) if bulk else nullcontext() as spool,
            self._running(command, stdin=subprocess.PIPE, pass_fds=(lock,)) as process,
        ):
            pipe = spool.before(process.stdin) if spool else process.stdin
            stream = Stream(pipe, parent, max(now, base.recorded_at) if base else now)
            yield stream
            stream.done()
            if spool:
                spool.drain()
        self.settle()
        stream.head = self.head() or ""
        if stream.head == (parent or "") and stream.commits:
            raise StoreError(f"git reported success, but {self.path} is still at {parent}")

    def settle(self) -> None:
        """Make what is recorded survive a power cut, also where its publisher was stopped before it could do so."""
        _sync_folder(self._ref.parent)

    def maintain(self, lock: int) -> None:
        """Pack what has gathered, without ever dropping an object that anything might still read."""
        try:
            self._git().execute(["git", "repack", "-d", "-n", "--quiet", "--no-write-bitmap-index"], pass_fds=(lock,))
            self._git().execute(["git", "prune-packed", "--quiet"], pass_fds=(lock,))
        except CommandError as error:
            raise StoreError(f"git could not pack {self.path}: {_said(error)}") from error

    # --- git ---------------------------------------------------------------------------------------------

    def _git(self) -> git.Git:
        command = git.Git(self.path)
        command.update_environment(**ENVIRONMENT, GIT_DIR=str(self.path.absolute()))
        return command

    @contextmanager
    def _running(self, command: list[str], **options: Any) -> Iterator[Any]:
        """A git process; on leaving it has ended well, or StoreError says what it wrote. Killed on any exception."""
        process = self._git().execute(command, as_process=True, **{"istream": options.pop("stdin", None), **options})
        try:
            yield process
            if process.stdin and not process.stdin.closed:
                process.stdin.close()
            said = process.stderr.read()
            if process.proc.wait() != 0:
                raise StoreError(f"git {command[1]} failed: {said.decode('utf-8', 'replace').strip()[:1000]}")
        except BrokenPipeError as error:
            said = process.stderr.read().decode("utf-8", "replace").strip()[:1000]
            raise StoreError(f"git {command[1]} stopped early: {said}") from error
        finally:
            _end(process)


class Spool:
    """A pipe whose writer never waits for its reader: what is written gathers in a file without a name, and a thread
    hands it on at the reader's own pace. So git compresses while we go on deciding."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=PIECE)  # noqa: SIM115 - closed on leaving
        self._news = threading.Condition()
        self._gathered = self._ready = 0
        self._ended = False
        self._failure: OSError | None = None
        self._feeder: threading.Thread | None = None

    def __enter__(self) -> Spool:
        return self

    def before(self, pipe: IO[bytes]) -> Spool:
        """Begin to feed a pipe, by a descriptor of our own: that of the pipe may be closed at any time."""
        self._feeder = threading.Thread(target=self._feed, args=(os.dup(pipe.fileno()),), name="spool", daemon=True)
        self._feeder.start()
        return self

    def write(self, content: bytes) -> None:
        self._file.write(content)
        self._gathered += len(content)
        if self._gathered - self._ready >= PIECE:
            self.flush()

    def flush(self) -> None:
        """Let the reader have all that was written."""
        self._file.flush()
        with self._news:
            self._ready = self._gathered
            self._news.notify()

    def drain(self) -> None:
        """Wait until everything was read; raises what prevented it."""
        self.flush()
        self._end()
        if self._failure:
            raise self._failure

    def __exit__(self, *_: object) -> None:
        self._end()  # whoever leaves with an error has stopped the reader, and so the feeder
        self._file.close()

    def _end(self) -> None:
        with self._news:
            self._ended = True
            self._news.notify()
        if self._feeder:
            self._feeder.join()

    def _feed(self, pipe: int) -> None:
        done = 0
        try:
            while (until := self._until(done)) > done:
                while done < until:
                    done += os.sendfile(pipe, self._file.fileno(), done, until - done)
        except OSError as error:
            self._failure = error
        finally:
            os.close(pipe)

    def _until(self, done: int) -> int:
        """How far there is something to read, once there is more; no further than `done` at the end."""
        with self._news:
            self._news.wait_for(lambda: self._ready > done or self._ended)
            return self._ready


class Stream:
    """An open fast-import to write blobs and commits into."""

    def __init__(self, pipe: IO[bytes] | Spool, parent: str | None, now: datetime) -> None:
        self._pipe = pipe
        self._parent = parent
        self.seconds = int(now.timestamp())
        """When the newest commit was recorded."""
        self.marks = 0
        self.commits = 0
        self.head = parent or ""

    def blob(self, content: bytes) -> int:
        """Write content and return the mark by which a later commit names it."""
        self.marks += 1
        self._pipe.write(b"blob\nmark :%d\ndata %d\n%b\n" % (self.marks, len(content), content))
        return self.marks

    def commit(self, act: Act, entries: Sequence[tuple[Entry, int | None]], at: datetime | None = None) -> None:
        """One revision of entries, each with the mark of a blob already written, or None to write it here."""
        message = _message(act, [entry for entry, _ in entries]).encode("utf-8")
        self.seconds = max(self.seconds, int(at.timestamp())) if at else self.seconds
        self._pipe.write(b"commit %b\n" % BRANCH.encode())
        self._pipe.write(b"author %b %d +0000\n" % (act.author.encode("utf-8"), self.seconds))
        self._pipe.write(b"committer %b %d +0000\n" % (COMMITTER.encode(), self.seconds))
        self._pipe.write(b"data %d\n%b\n" % (len(message), message))
        if self._parent and not self.commits:
            self._pipe.write(b"from %b\n" % self._parent.encode())
        for entry, mark in entries:
            path = entry.path.encode("ascii")
            if mark is None:
                self._pipe.write(b"M 100644 inline %b\ndata %d\n%b\n" % (path, len(entry.content), entry.content))
            else:
                self._pipe.write(b"M 100644 :%d %b\n" % (mark, path))
        self._pipe.write(b"\n")
        self.commits += 1

    def done(self) -> None:
        self._pipe.write(b"done\n")
        self._pipe.flush()


def _message(act: Act, entries: Sequence[Entry]) -> str:
    """One line for people, then trailers for programs."""
    subjects = ", ".join(entry.subject for entry in entries[:3]) + (" …" if len(entries) > 3 else "")
    lines = [f"{act.verb} {subjects}", "", f"Act: {act.verb}", f"Reason: {act.reason}"]
    optional = (("Approved-by", act.approved_by), ("Idempotency-Key", act.key), ("Origin", act.origin))
    lines += [f"{name}: {value}" for name, value in optional if value]
    lines += ["Replayed: yes"] if act.replayed else []
    for entry in entries:
        lines += [f"Document: {entry.document}"]
        lines += [f"Version: {entry.number}", f"Blob: {entry.blob}", f"Sha256: {entry.sha256}"]
    return "\n".join(lines) + "\n"


def _recorded(text: str, position: int) -> Recorded:
    revision, seconds, author, _subject, *lines = text.split("\n")
    once: dict[str, str] = {}
    several: dict[str, list[str]] = {name: [] for name in TRAILERS}
    for line in lines:
        name, colon, value = line.partition(": ")
        if name in several and colon:
            several[name].append(value)
        elif colon:
            once.setdefault(name, value)
    documents, numbers, blobs, sums = several.values()
    rows = tuple(zip(documents, map(int, numbers), blobs, strict=True))
    return Recorded(
        Revision(
            id=revision,
            position=position,
            recorded_at=datetime.fromtimestamp(int(seconds), UTC),
            author=author,
            act=once.get("Act", ""),
            subjects=tuple(subject_of(document, number) for document, number, _ in rows),
            reason=once.get("Reason", ""),
            approved_by=once.get("Approved-by"),
            replayed=once.get("Replayed") == "yes",
            key=once.get("Idempotency-Key"),
        ),
        rows,
        tuple(sums),
    )


TRAILERS: Final = ("Document", "Version", "Blob", "Sha256")


def _scrub() -> None:
    """Let no GIT_… variable of the caller's environment reach a git that we start."""
    for name in [name for name in os.environ if name.startswith("GIT_") and not name.startswith("GIT_PYTHON_")]:
        del os.environ[name]


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync_folder(path: Path) -> None:
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync_file(path: Path) -> None:
    _sync(path, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _split(stream: Any, separator: bytes) -> Iterator[bytes]:
    """The parts of a byte stream between separators, without holding it whole."""
    rest = b""
    while chunk := stream.read(1 << 16):
        *parts, rest = (rest + chunk).split(separator)
        yield from parts
    if rest:
        yield rest


def _feed(pipe: Any, names: Iterable[str]) -> None:
    try:
        for name in names:
            pipe.write(name.encode("ascii") + b"\n")
        pipe.close()
    except (BrokenPipeError, ValueError):
        return  # the reader stopped early and says why


def _end(process: Any) -> None:
    """Leave no process and no descriptor behind."""
    popen = process.proc
    if popen is not None and popen.poll() is None:
        popen.kill()
        popen.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            try:
                stream.close()
            except BrokenPipeError:
                continue


def _said(error: Exception) -> str:
    text = getattr(error, "stderr", "") or str(error)
    return " ".join(str(text).replace("stderr:", "").split())[:500]
