"""What is due is derived and put into the event log: after every revision, and whenever a day begins somewhere.

Nothing is scheduled and nothing that happened meanwhile is lost: how far events were derived is noted, but only as a
hint where to start. What counts is the history in the store and the ids in the log.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from typing import Final, Protocol

from guidance.archive import Archive
from guidance.derived import FOREVER
from guidance.events import REMINDERS, Event, State, events, in_order, window
from guidance.index import Index
from guidance.model import Json, Revision
from guidance.vocabulary import JURISDICTIONS
from service.clock import Clock, day_starts, next_midnight, today
from service.logs import LOG

SETTLE: Final = timedelta(seconds=5)
"""How long after the beginning of a day it is told of: the clock of whoever publishes may be this far behind ours.
As soon as anything is recorded after the beginning, nothing can be recorded before it any more."""
AT_ONCE: Final = 200
"""Revisions whose events are appended together while catching up."""
PAUSE: Final = 0.025
"""Seconds between two looks at whether anything was recorded."""
RETRY: Final = 5.0
LOOK: Final = timedelta(minutes=1)
"""How long it may take to see that the log is not the one that was told to: somebody brought back a copy."""
AHEAD: Final = timedelta(days=1)

starts = lru_cache(maxsize=65536)(day_starts)
"""The first instant of a civil day in a jurisdiction, each worked out once."""


class Log(Protocol):
    """The event log, as far as this room and the feeds need it: positions count from 1, without a gap."""

    def append(self, events: Sequence[Event]) -> list[int]:
        """Put those at the end whose ids it does not hold, in one transaction; their positions."""

    def events(self, after: int = 0, limit: int = 100) -> list[tuple[int, dict[str, Json]]]:
        """The events behind a position, in order."""

    def between(self, first: datetime, end: datetime) -> list[tuple[int, dict[str, Json]]]:
        """The events that occurred in [first, end), in the order of the log."""

    def tip(self) -> int:
        """The position of the newest event; 0 where there is none."""

    def wait(self, after: int, seconds: float) -> bool:
        """Whether there is an event behind a position; waits for one at most so long."""

    def derived(self) -> tuple[int, datetime, str | None] | None:
        """How far events were derived: the register's position, the instant, and the revision at that position."""

    def derived_to(self, position: int, until: datetime, revision: str) -> None:
        """Note how far events were derived."""


# --- what is due -----------------------------------------------------------------------------------------


def tick(
    archive: Archive,
    log: Log,
    now: datetime,
    reminders: Sequence[int] = REMINDERS,
    settle: timedelta = SETTLE,
) -> int:
    """Append what is due and not in the log; returns how many events that were."""
    reached, tip = log.derived(), archive.tip()  # in this order: what others derived from is in the store by now
    if tip is None:
        return 0
    position, since = _known(archive.index, reached) if reached else (0, None)
    until = settled(archive, now, since, settle)
    told = 0
    for upto, instant in _steps(archive.index, position, until):
        told += len(log.append(due(archive.index, (position, since), (upto, instant), reminders)))
        if (upto, instant) != (position, since):
            log.derived_to(upto, instant, _at(archive.index, upto).id)
        position, since = upto, instant
    return told


def _known(index: Index, reached: tuple[int, datetime, str | None]) -> tuple[int, datetime | None]:
    """How far events were derived from the history that lies here now; from its beginning where they were derived from
    another, as after a backup was brought back. Their ids keep what was told from being told twice."""
    position, since, name = reached
    found = index.revision_of(position)
    if found and name in (found.id, None):
        return position, since
    told = {"position": position, "revision": name, "found": found.id if found else None}
    LOG.error("the register is not the one that was told of before; deriving all events anew", extra={"told": told})
    return 0, None


def untold(archive: Archive, log: Log, now: datetime) -> timedelta:
    """For how long something is due that was not told, a revision or a day that began: nothing, or a few seconds, where
    somebody tells; more and more where nobody does."""
    tip, reached = archive.tip(), log.derived()
    if tip is None:
        return timedelta(0)
    position, since, name = reached or (0, None, None)
    found = archive.index.revision_of(position)
    if found is None or name not in (found.id, None):
        position = 0
    waiting = [min(next_midnight(since, place) for place in JURISDICTIONS)] if since else []
    if position < tip.position:
        waiting.append(_at(archive.index, position + 1).recorded_at)
    return max(now - min(waiting), timedelta(0))


def _at(index: Index, position: int) -> Revision:
    found = index.revision_of(position)
    assert found
    return found


def settled(archive: Archive, now: datetime, since: datetime | None = None, settle: timedelta = SETTLE) -> datetime:
    """Up to which instant nothing more can happen that is not in the store yet, as far as days are concerned.

    Recorded time never runs backwards, so what the newest revision says of the time counts, whatever the clock shows.
    Whoever records asks the clock while holding the store's lock: once that was free after a day began, it is settled.
    `since`: up to which instant that was found before.
    """
    begun = max((starts(today(now, place), place) for place in JURISDICTIONS), default=now)
    known = since is not None and since >= begun
    idle = known or archive.idle()
    tip = archive.tip()  # after it was idle: now it holds all that was recorded before
    assert tip
    if now <= tip.recorded_at:
        return tip.recorded_at
    if known or tip.recorded_at >= begun or (idle and now - begun >= settle):
        return now
    return max(begun - timedelta(seconds=1) if idle else since or tip.recorded_at, tip.recorded_at)


def _steps(index: Index, position: int, until: datetime) -> Iterator[tuple[int, datetime]]:
    """How far to go at once: some revisions at a time, and at last up to the instant itself."""
    newest = index.revision_at(until)
    end = newest.position if newest else 0
    for place in range(position + AT_ONCE, end, AT_ONCE):
        yield place, _at(index, place).recorded_at
    yield max(end, position), until


def due(
    index: Index,
    begin: tuple[int, datetime | None],
    end: tuple[int, datetime],
    reminders: Sequence[int] = REMINDERS,
) -> tuple[Event, ...]:
    """The events between two points of the history, each a position of the register and an instant."""
    (position, since), (upto, until) = begin, end
    found: list[Event] = []
    for name in sorted(_candidates(index, begin, end, reminders)):
        news = _states(index, name, position, upto)
        found += window(_base(index, name, position), news, since, until, starts, reminders)
    return in_order(found)


def _candidates(
    index: Index, begin: tuple[int, datetime | None], end: tuple[int, datetime], reminders: Sequence[int]
) -> set[str]:
    """The documents that revisions touched, or for which days that began may mean something."""
    (position, since), (upto, until) = begin, end
    found = set(index.touched_between(position, upto))
    for first, last in _days_begun(since, until) if since and position else ():
        for ahead in (0, *reminders):
            found.update(index.turning(first + ahead, last + ahead, upto))
    return found


def _days_begun(since: datetime, until: datetime) -> Iterator[tuple[int, int]]:
    """The civil days that began anywhere after one instant, up to another: (the day before the first, the last)."""
    turned = [(today(since, place), today(until, place)) for place in JURISDICTIONS]
    begun = [(before, after) for before, after in turned if before < after]
    if begun:
        yield min(before for before, _ in begun).toordinal(), max(after for _, after in begun).toordinal()


def _base(index: Index, name: str, position: int) -> State | None:
    """What was believed of a document at a position."""
    revision = next(iter(index.history(name, position, limit=1)), None)
    return State(revision, index.document(name, position)) if revision else None


def _states(index: Index, name: str, after: int, upto: int) -> list[State]:
    """A document as each revision after one position left it, up to another, oldest first."""
    newest_first = index.history(name, upto, limit=FOREVER)
    news = reversed(list(takewhile(lambda revision: revision.position > after, newest_first)))
    return [State(revision, index.document(name, revision.position)) for revision in news]


# --- the whole -------------------------------------------------------------------------------------------


def implied(archive: Archive, until: datetime, reminders: Sequence[int] = REMINDERS) -> tuple[Event, ...]:
    """Everything that the history of the whole register implies up to an instant, derived without any hint."""
    return in_order(_of_every_document(archive, until, reminders))


def _of_every_document(archive: Archive, until: datetime, reminders: Sequence[int]) -> Iterable[Event]:
    tip = archive.tip()
    for name in archive.index.touched_between(0, tip.position) if tip else ():
        assert tip
        yield from events(_states(archive.index, name, 0, tip.position), until, starts, reminders)


def anew(archive: Archive, log: Log, now: datetime, reminders: Sequence[int] = REMINDERS) -> int:
    """Derive everything again and append what the log lacks; returns how many that were: none, if all is well."""
    return len(log.append(implied(archive, settled(archive, now), reminders))) if archive.tip() else 0


def played(archive: Archive, first: datetime, end: datetime, reminders: Sequence[int] = REMINDERS) -> list[Json]:
    """What the days that began in [first, end) tell, as if all that is recorded now had been recorded before them."""
    tip = archive.tip()
    if tip is None:
        return []
    since, until = first - timedelta(microseconds=1), end - timedelta(microseconds=1)
    names: set[str] = set()
    for start, last in _days_begun(since, until):
        for ahead in (0, *reminders):
            names.update(archive.index.turning(start + ahead, last + ahead, tip.position))
    found: list[Event] = []
    for name in sorted(names):
        found += window(_base(archive.index, name, tip.position), [], since, until, starts, reminders)
    return [event.json() for event in in_order(found)]


# --- as time goes ----------------------------------------------------------------------------------------


def run(
    archive: Archive,
    log: Log,
    clock: Clock,
    stopped: threading.Event,
    reminders: Sequence[int] = REMINDERS,
    settle: timedelta = SETTLE,
) -> None:
    """Tick whenever something was recorded or a day began, until told to stop. Any number may run beside each other."""
    seen, wake = None, datetime.min.replace(tzinfo=UTC)
    while not stopped.wait(PAUSE):
        try:
            now, stamp = clock(), archive.store.stamp()
            if stamp == seen and now < wake:
                continue
            tick(archive, log, now, reminders, settle)
            reached = log.derived()
            seen, wake = stamp, min(_wake(min(now, reached[1]) if reached else now, settle), now + LOOK)
        except Exception:
            LOG.error("events could not be derived; trying again", exc_info=True)
            stopped.wait(RETRY)
    archive.close()


def _wake(reached: datetime, settle: timedelta) -> datetime:
    """When the day that begins next after what was reached will be told of; at once, where that has come."""
    return min(next_midnight(reached, place) for place in JURISDICTIONS) + settle


def steady(clock: Clock, log: Log) -> Clock:
    """A clock for whoever records acts: not behind what was told by then, for what was told cannot be untold.

    What was told by a clock that was ahead by more than a day was wrong, and is not followed.
    """

    def now() -> datetime:
        shown = clock()
        ahead = log.between(shown, shown + AHEAD)
        return max((datetime.fromisoformat(told["occurred_at"]) for _, told in ahead), default=shown)

    return now
