"""A data folder opened: store and index as one, always in step. Every question and every act passes through here."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from guidance import acts, transfer
from guidance.acts import Outcome
from guidance.building import Progress, quiet
from guidance.errors import (
    ActRefused,
    GuidanceError,
    InvalidDocument,
    KeyReused,
    NoRegister,
    RegisterExists,
    StaleRevision,
    StoreBusy,
    StoreError,
    UnknownDocument,
    UnknownRevision,
    Violation,
)
from guidance.index import Index
from guidance.model import Document, Json, Revision, canonical
from guidance.register import Register
from guidance.schema import check_document, check_size, check_version
from guidance.search import Search
from guidance.store import Act, Entry, Recorded, Store, subject_of


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an act led to: the revision that holds it, and whether it was recorded just now or had been before."""

    revision: Revision
    recorded: bool


@dataclass(frozen=True, slots=True)
class Proposal:
    """A document's or version's JSON that somebody wants recorded, and the file to blame."""

    body: Mapping[str, Json]
    file: str = ""

    @property
    def number(self) -> int:
        return int(self.body.get("number", 0))

    @property
    def document(self) -> str:
        return str(self.body["document"] if self.number else self.body["id"])


Seen = tuple[tuple[int, int], Revision | None]
"""The store's stamp, and the newest revision."""
Decide = Callable[[Document | None], Outcome]
When = datetime | Callable[[], datetime]
"""The instant of an act that is known to have been then, as in a journal; or a clock, which is asked once nobody else
can record anything: whoever waited for the store's lock must not be dated before what others saw meanwhile."""


class Archive:
    """One register in one folder: `register.git` and, derived from it, `index.sqlite`."""

    def __init__(self, folder: Path) -> None:
        """Open an existing register; raises NoRegister, StoreUnreadable."""
        self.folder = folder
        if not (folder / "register.git").is_dir():
            raise NoRegister(str(folder))
        self.store = Store(folder / "register.git")
        self.index = Index(folder / "index.sqlite")
        self.search = Search(folder / "search.sqlite")
        self._seen: Seen | None = None
        self._catching_up = threading.Lock()

    @classmethod
    def init(cls, folder: Path) -> Archive:
        """Make an empty register; raises RegisterExists."""
        Store.init(folder / "register.git")
        return cls(folder)

    @classmethod
    def make(cls, folder: Path, fill: Callable[[Archive], object]) -> Archive:
        """Make a register and fill it, out of sight until it is complete; raises RegisterExists."""
        target = folder / "register.git"
        if target.exists():
            raise RegisterExists(str(folder))
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".making-", ignore_cleanup_errors=True) as hidden:
            making = cls.init(Path(hidden))
            fill(making)
            making.tip()
            making.close()
            for name in ("index.sqlite", "register.git"):
                (Path(hidden) / name).replace(folder / name)
        return cls(folder)

    # --- which revision ----------------------------------------------------------------------------------

    def tip(self) -> Revision | None:
        """The newest revision, with the index in step with it; None while nothing is recorded."""
        return self.seen()[1]

    def seen(self) -> Seen:
        """The newest revision, and the store's stamp from before it was looked for: what is made of that revision must
        never be kept as belonging to a newer one."""
        stamp, seen = self.store.stamp(), self._seen
        if seen is not None and seen[0] == stamp and self.index.at_hand:
            return seen
        with self._catching_up:
            stamp = self.store.stamp()
            self._seen = (stamp, self.index.catch_up(self.store))
            return self._seen

    def at(self, when: str | datetime | None) -> Revision | None:
        """The revision to look from: an id (seven letters of it are enough), an instant, or now.

        None where nothing was recorded yet; raises UnknownRevision for an id that is none.
        """
        return self.seen_at(when)[1]

    def seen_at(self, when: str | datetime | None) -> Seen:
        """The same, with the store's stamp from before it was looked for."""
        stamp, tip = self.seen()
        if when is None or tip is None:
            if isinstance(when, str):
                raise UnknownRevision(when)
            return stamp, tip
        return stamp, self.index.revision(when) if isinstance(when, str) else self.index.revision_at(when)

    def register(self, at: str | datetime | None = None, documents: Sequence[str] | None = None) -> Register:
        """The register as a value, as of a revision or instant: all documents, or those asked for."""
        revision = self.at(at)
        if revision is None:
            return Register(None, {})
        names = documents if documents is not None else [n for n, _ in self.index.documents(revision.position)]
        return Register(revision, {name: self.index.document(name, revision.position) for name in names})

    # --- acts --------------------------------------------------------------------------------------------

    def publish(self, proposals: Sequence[Proposal], act: Act, now: When, base: str | None = None) -> Receipt:
        """Record documents and next versions as one revision; raises what `acts.publish` raises, all violations."""
        _all_checked(proposals)
        steps = [(p.document, p.number, _deciding(p, acts.publish), p.file) for p in proposals]
        return self._record(steps, act, now, base)

    def correct(self, proposal: Proposal, act: Act, now: When, base: str | None = None) -> Receipt:
        """Record that a document or version says something else than the register said."""
        _all_checked([proposal])
        decide = _deciding(proposal, acts.correct)
        return self._record([(proposal.document, proposal.number, decide, proposal.file)], act, now, base)

    def withdraw(
        self,
        version: tuple[str, int],
        ends: str,
        on: date | None,
        jurisdictions: Sequence[str],
        act: Act,
        now: When,
        base: str | None = None,
    ) -> Receipt:
        """Record the end of a version from a day on, or that it never takes effect."""
        name, number = version

        def decide(document: Document | None) -> Outcome:
            outcome = acts.withdraw(document, name, number, ends, on, jurisdictions, act.reason)
            if outcome.body is not None:
                check_version(outcome.body)
            return outcome

        return self._record([(name, number, decide, "")], act, now, base)

    def _record(self, steps: Sequence[tuple[str, int, Decide, str]], act: Act, now: When, base: str | None) -> Receipt:
        """Decide under the lock, commit, and bring the index along: acknowledged means durable."""
        with self._locked() as lock:
            tip = self.index.catch_up(self.store)
            earlier = self.index.revision_by_key(act.key) if act.key and tip else None
            if earlier is not None:
                return self._again(earlier, steps, act)
            if base is not None:
                _fresh(base, tip)
            verb, entries = self._decided(steps, tip)
            if not entries:
                if tip is None or not steps:
                    raise ActRefused("register", "nothing to record")
                self.store.settle()
                return Receipt(self._holding(steps, tip), recorded=False)
            act, instant = replace(act, verb=verb), _asked(now)
            name = self.store.commit(lock, act, entries, tip, instant)
            self._indexed(name, tip, entries, act, instant)
            return Receipt(self.index.revision(name), recorded=True)

    def _before(self, revision: Revision) -> Revision | None:
        return self.index.revision_of(revision.position - 1)

    def _decided(self, steps: Sequence[tuple[str, int, Decide, str]], tip: Revision | None) -> tuple[str, list[Entry]]:
        """What to record, each step seeing the documents as the steps before it left them.

        Raises BadJson for what is too long: it could not be imported again, nor verified.
        """
        known: dict[str, Document | None] = {}
        entries: list[Entry] = []
        verbs: list[str] = []
        _no_two_alike(steps)
        for name, number, decide, file in sorted(steps, key=lambda step: (step[0], step[1])):
            if name not in known:
                known[name] = self._document(name, tip)
            outcome = decide(known[name])
            if outcome.body is not None:
                before = known[name]
                known[name] = before.with_body(number, outcome.body) if before else Document.of(outcome.body)
                content = canonical(outcome.body)
                check_size(content, file or subject_of(name, number))
                entries.append(Entry.of(name, number, content))
                verbs.append(outcome.verb)
        return next((verb for verb in verbs if verb != "register"), "register"), entries

    def _document(self, name: str, tip: Revision | None) -> Document | None:
        try:
            return self.index.document(name, tip.position) if tip else None
        except UnknownDocument:
            return None

    def _again(self, earlier: Revision, steps: Sequence[tuple[str, int, Decide, str]], act: Act) -> Receipt:
        """A retry with the key of what was recorded: the same content answers, any other is refused; so is what could
        not have been recorded then."""
        try:
            _, entries = self._decided(steps, self._before(earlier))
        except GuidanceError as error:
            raise KeyReused(act.key or "", earlier.id) from error
        if {entry.content for entry in entries} != set(self.index.contents_of(earlier.position)):
            raise KeyReused(act.key or "", earlier.id)
        self.store.settle()
        return Receipt(earlier, recorded=False)

    def _holding(self, steps: Sequence[tuple[str, int, Decide, str]], tip: Revision) -> Revision:
        """The revision that already recorded the last of what was asked for."""
        name, number, _, _ = steps[-1]
        subject = subject_of(name, number)
        history = self.index.history(name, tip.position)
        return next((revision for revision in history if subject in revision.subjects), tip)

    def _indexed(self, name: str, tip: Revision | None, entries: Sequence[Entry], act: Act, now: datetime) -> None:
        seconds = max(now, tip.recorded_at) if tip else now
        revision = Revision(
            id=name,
            position=(tip.position if tip else 0) + 1,
            recorded_at=seconds.replace(microsecond=0),
            author=act.author,
            act=act.verb,
            subjects=tuple(entry.subject for entry in entries),
            reason=act.reason,
            approved_by=act.approved_by,
            replayed=act.replayed,
            key=act.key,
        )
        blobs = tuple((entry.document, entry.number, entry.blob) for entry in entries)
        if not self.index.add(Recorded(revision, blobs), entries):
            self.index.catch_up(self.store)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Be the only publisher. What the disk, SQLite or the system refuses meanwhile is raised as a StoreError."""
        try:
            with self.store.lock() as lock:
                yield lock
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{error}; repeat it with the same key to learn whether it was recorded") from error

    # --- the whole ---------------------------------------------------------------------------------------

    def take_in(self, source: Path, act: Act, now: When, progress: Progress = quiet) -> int:
        """Import a folder or a file of JSON lines, all or nothing; returns how many revisions were recorded."""
        with self._locked() as lock:
            return transfer.run(self.store, self.index, lock, source, act, _asked(now), progress)

    def idle(self) -> bool:
        """Whether nobody is recording anything now. Whoever does later asks the clock later; what was recorded before
        can be read."""
        try:
            with self.store.lock(wait=0):
                return True
        except StoreBusy:
            return False

    def maintain(self) -> None:
        """Clear leftovers and pack what has gathered, while nobody publishes."""
        with self._locked() as lock:
            self.store.recover(lock)
            self.store.maintain(lock)

    def recover(self) -> tuple[str, ...]:
        """Clear what a killed publish left behind; returns what was cleared.

        Nothing, where somebody is recording, who needs no help, or where nothing may be written: what lies there is in
        nobody's way, and whoever only asks must not wait for it.
        """
        try:
            with self.store.lock(wait=0) as lock:
                return self.store.recover(lock)
        except (StoreBusy, OSError):
            return ()

    def doubt(self, error: sqlite3.Error) -> None:
        """Throw away what is derived where a question found it broken: whoever asks next has it made again."""
        if type(error) is sqlite3.DatabaseError:  # others say that it is locked or out of space, and sound
            with self._catching_up:
                self.index.discard()
                self.search.discard()
                self._seen = None

    def close(self) -> None:
        """Close this thread's connection to the index."""
        self.index.close()
        self.search.close()


def _asked(now: When) -> datetime:
    return now if isinstance(now, datetime) else now()


def _all_checked(proposals: Sequence[Proposal]) -> None:
    """Check every proposal against its schema; raises InvalidDocument with the violations of all."""
    found: list[Violation] = []
    for proposal in proposals:
        try:
            if isinstance(proposal.body, dict) and "number" not in proposal.body and "id" in proposal.body:
                check_document(proposal.body, proposal.file)
            else:
                check_version(proposal.body, proposal.file)
        except InvalidDocument as error:
            found.extend(error.violations)
    if found:
        raise InvalidDocument(found)


def _deciding(proposal: Proposal, verb: Callable[[Document | None, Mapping[str, Json], str], Outcome]) -> Decide:
    def decide(document: Document | None) -> Outcome:
        if proposal.number:
            return verb(document, proposal.body, proposal.file)
        return acts.register(document, proposal.body)

    return decide


def _no_two_alike(steps: Sequence[tuple[str, int, Decide, str]]) -> None:
    """One revision records a file once: which of two should stand nobody could say."""
    count = Counter((name, number) for name, number, _, _ in steps)
    for (name, number), times in count.items():
        if times > 1:
            raise ActRefused(subject_of(name, number), f"stands {times} times among what is to be recorded")


def _fresh(base: str, tip: Revision | None) -> None:
    if tip is None or not tip.id.startswith(base) or len(base) < 7:
        raise StaleRevision(base, tip.id if tip else "")
