"""Answers kept ready in front of Flask's routing, bounded, and never served across a revision or a midnight."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from service.clock import Clock

Stamp = tuple[int, int]
Key = tuple[str | None, ...]
KEPT: Final = "inforce.kept"
"""Where a route leaves word that its answer may be kept: until which instant (None: as long as the revision lasts)."""
LIFETIME: Final = "Cache-Control"
COUNTS: Final = "max-age="
LARGEST: Final = 256 * 1024
OVERHEAD: Final = 1024
"""Bytes that an answer costs beside its body and its question."""
NEWCOMERS: Final = 4096
"""At most so many questions that found no room are remembered: one that is asked again takes the oldest's room."""
ANSWERED: Final = ("200", "304")
"""What is kept. A failure is never repeated for as long as the revision lasts."""
KEYS: Final = ("wsgi.url_scheme", "HTTP_HOST", "PATH_INFO", "QUERY_STRING", "HTTP_ACCEPT", "HTTP_IF_NONE_MATCH")


class Keep(NamedTuple):
    """Permission to keep an answer: the state of the store that it was made from, and when it goes stale."""

    stamp: Stamp
    until: datetime | None


class Kept(NamedTuple):
    keep: Keep
    status: str
    headers: list[tuple[str, str]]
    body: bytes
    cost: int
    """Bytes that it takes with its question, whose length is the asker's to choose."""
    since: datetime
    """When it was made: a clock that is set back is before that again."""
    counted: bool
    """Whether its headers count the seconds until it goes stale."""

    def headers_at(self, now: datetime) -> list[tuple[str, str]]:
        """Its headers, which count from now, and not from when it was made."""
        until = self.keep.until
        if until is None or not self.counted:
            return self.headers
        return [(name, lasting(until - now) if name == LIFETIME else value) for name, value in self.headers]


def lasting(left: timedelta) -> str:
    """For how long an answer can be kept without asking again, as its header has it."""
    return f"public, {COUNTS}{int(left.total_seconds())}"


class Cache:
    """A WSGI application in front of another: repeats a kept answer to the same question, or passes the question on.

    `log` is called with the environment and the status of answers given from here, as the inner application would.
    """

    def __init__(
        self,
        inner: Callable[..., Iterable[bytes]],
        stamp: Callable[[], Stamp],
        clock: Clock,
        size: int,
        log: Callable[[dict[str, Any], str], None],
    ) -> None:
        self.inner, self.stamp, self.clock, self.size, self.log = inner, stamp, clock, size, log
        self.held: OrderedDict[Key, Kept] = OrderedDict()
        self.full = False
        """Whether an answer had to make room for another."""
        self.newcomers = [0] * NEWCOMERS
        """Hashes of questions that were asked lately, each in its own place, since there was no room left."""
        self.bytes = 0
        self.lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "GET" or not self.size:
            return self.inner(environ, start)
        key = tuple(map(environ.get, KEYS))
        kept = self.held.get(key)
        if kept is not None:
            now, until = self.clock(), kept.keep.until
            if kept.keep.stamp == self.stamp() and (until is None or kept.since <= now < until):
                self.log(environ, kept.status)
                start(kept.status, kept.headers_at(now))
                return [kept.body]
            self._drop(key)
        return self._through(key, environ, start) if self._admits(key) else self.inner(environ, start)

    def _through(self, key: Key, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        said: list[Any] = []

        def listen(status: str, headers: list[tuple[str, str]], failure: Any = None) -> Any:
            said[:] = [status, headers]
            return start(status, headers, failure) if failure else start(status, headers)

        answer = self.inner(environ, listen)
        keep = environ.get(KEPT)
        if keep is None or not isinstance(keep, Keep):
            return answer
        body = b"".join(answer)
        close = getattr(answer, "close", None)
        if close:
            close()
        if len(body) <= LARGEST and said[0][:3] in ANSWERED:
            cost = len(body) + sum(map(len, filter(None, key))) + OVERHEAD
            counted = any(name == LIFETIME and COUNTS in value for name, value in said[1])
            self._hold(key, Kept(keep, said[0], said[1], body, cost, self.clock(), counted))
        return [body]

    def _admits(self, key: Key) -> bool:
        """Whether an answer to a question may be kept: while there is room, and after that on being asked twice, for
        which it is remembered. What is asked once, as most things are, drives out nothing that is asked often."""
        if not self.full:
            return True
        found = hash(key)
        place = found % NEWCOMERS
        known = self.newcomers[place] == found
        self.newcomers[place] = found
        return known

    def _hold(self, key: Key, kept: Kept) -> None:
        with self.lock:
            if key not in self.held:
                self.held[key] = kept
                self.bytes += kept.cost
            while self.bytes > self.size and self.held:
                self.full = True
                self.bytes -= self.held.popitem(last=False)[1].cost

    def _drop(self, key: Key) -> None:
        with self.lock:
            kept = self.held.pop(key, None)
            if kept is not None:
                self.bytes -= kept.cost
                self.full = self.full and self.bytes > self.size // 2
