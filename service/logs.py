"""One JSON line for each thing that happened, on standard error, without secrets."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from functools import lru_cache
from multiprocessing.util import Finalize
from typing import Any, Final, TextIO

import orjson

from service.clock import system_clock

LOG = logging.getLogger("inforce")
SERVER: Final = logging.getLogger("_granian")
"""Where the server that we stand on says that a worker ended, or would not end."""
TICK: Final = 0.1
"""Seconds between two writings: so long may a request that was answered be missing from the log."""


class _Lines(logging.StreamHandler[TextIO]):
    """Writes to a stream. Lines about requests are gathered: one is too little to write, so they go out by the tick."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.gathered: deque[tuple[float, dict[str, Any]]] = deque()
        """(seconds since 1970, what is told) of each request."""

    def format(self, record: logging.LogRecord) -> str:
        told = getattr(record, "told", {})
        if record.exc_info:
            told = {**told, "traceback": logging.Formatter().formatException(record.exc_info)}
        told = {"level": record.levelname.lower(), "message": record.getMessage(), **told}
        return _line(record.created, told).decode("utf-8")

    def emit(self, record: logging.LogRecord) -> None:
        self.write_gathered()
        super().emit(record)

    def write_gathered(self) -> None:
        """Write what has been gathered, in order. What cannot be written is lost, as logging does it: no answer fails
        for its log."""
        self.acquire()
        try:
            lines = [self.gathered.popleft() for _ in range(len(self.gathered))]
            if lines:
                self.stream.write(b"\n".join([*(_line(*line) for line in lines), b""]).decode("utf-8"))
                self.flush()
        except (OSError, ValueError, TypeError):
            return
        finally:
            self.release()

    def keep_writing(self) -> None:
        """Write what is gathered, tick by tick, as long as this is the log."""
        while self in LOG.handlers:
            time.sleep(TICK)
            self.write_gathered()


def start(level: str) -> None:
    """Send our log, and nobody else's chatter, to standard error."""
    lines = _Lines(sys.stderr)
    LOG.handlers = [lines]
    LOG.propagate = False
    LOG.setLevel(level.upper())
    overhear()
    Finalize(None, lines.write_gathered, exitpriority=0)  # a worker that ends runs no atexit
    threading.Thread(target=lines.keep_writing, name="log", daemon=True).start()


def overhear() -> None:
    """Have the server's errors written as ours are: say it again after the server has set up its own log."""
    SERVER.handlers = list(LOG.handlers)
    SERVER.propagate = False
    SERVER.setLevel(logging.ERROR)


def request(environ: dict[str, Any], status: str, milliseconds: float | None = None, kept: bool = False) -> None:
    """Log one answered request: its path and outcome; what was asked about is nobody's business but the asker's."""
    if not LOG.isEnabledFor(logging.INFO):
        return
    told = {
        "level": "info",
        "message": "request",
        "method": environ["REQUEST_METHOD"],
        "path": environ.get("PATH_INFO", ""),
        "status": int(status[:3]),
        "kept": kept,
    }
    if milliseconds is not None:
        told["milliseconds"] = round(milliseconds, 2)
    instant = system_clock().timestamp()
    for handler in LOG.handlers:
        if isinstance(handler, _Lines):
            handler.gathered.append((instant, told))


def _line(instant: float, told: dict[str, Any]) -> bytes:
    """`instant`: seconds since 1970."""
    seconds = int(instant)
    stamp = f"{_second(seconds)}.{int((instant - seconds) * 1000):03d}+00:00"
    return orjson.dumps({"time": stamp, **told}, default=str)


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
