"""One JSON line for each thing that happened, on standard error, without secrets."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from datetime import UTC, datetime
from multiprocessing.util import Finalize
from typing import Any, Final, NamedTuple, TextIO

import orjson

from service.clock import system_clock

LOG = logging.getLogger("inforce")
SERVER: Final = logging.getLogger("_granian")
"""Where the server that we stand on says that a worker ended, or would not end."""
TICK: Final = 0.1
"""Seconds between two writings: so long may a request that was answered be missing from the log."""


class _Answered(NamedTuple):
    """One request that was answered, as little as its line can be made of."""

    instant: datetime
    method: str
    path: str
    status: str
    kept: bool
    milliseconds: float | None

    def line(self) -> bytes:
        told = {
            "time": self.instant,
            "level": "info",
            "message": "request",
            "method": self.method,
            "path": self.path,
            "status": int(self.status[:3]),
            "kept": self.kept,
        }
        if self.milliseconds is not None:
            told["milliseconds"] = round(self.milliseconds, 2)
        return orjson.dumps(told)


class _Lines(logging.StreamHandler[TextIO]):
    """Writes to a stream. Lines about requests are gathered: one is too little to write, so they go out by the tick."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.gathered: deque[_Answered] = deque()

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "told", {}),
        }
        if record.exc_info:
            told["traceback"] = logging.Formatter().formatException(record.exc_info)
        return orjson.dumps(told, default=str).decode("utf-8")

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
                self.stream.write(b"\n".join([*(line.line() for line in lines), b""]).decode("utf-8"))
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
    answered = _Answered(
        system_clock(), environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), status, kept, milliseconds
    )
    for handler in LOG.handlers:
        if isinstance(handler, _Lines):
            handler.gathered.append(answered)
