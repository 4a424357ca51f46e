"""One JSON line for each thing that happened, on standard error, without secrets."""

from __future__ import annotations

import logging
import sys
import time
from functools import lru_cache
from typing import Any, TextIO

import orjson

from service.clock import system_clock

LOG = logging.getLogger("inforce")


class _Lines(logging.StreamHandler[TextIO]):
    def format(self, record: logging.LogRecord) -> str:
        told = getattr(record, "told", {})
        if record.exc_info:
            told = {**told, "traceback": logging.Formatter().formatException(record.exc_info)}
        return _line(record.created, record.levelname.lower(), record.getMessage(), told)

    def say(self, line: str) -> None:
        """Write a line that is ready: requests are too many to make a record of each. One that cannot be written is
        lost, as logging does it: no answer fails for its log."""
        self.acquire()
        try:
            self.stream.write(line + "\n")
            self.flush()
        except (OSError, ValueError):
            return
        finally:
            self.release()


def start(level: str) -> None:
    """Send our log, and nobody else's chatter, to standard error."""
    LOG.handlers = [_Lines(sys.stderr)]
    LOG.propagate = False
    LOG.setLevel(level.upper())


def request(environ: dict[str, Any], status: str, milliseconds: float | None = None, kept: bool = False) -> None:
    """Log one answered request: its path and outcome; what was asked about is nobody's business but the asker's."""
    if not LOG.isEnabledFor(logging.INFO):
        return
    told = {
        "method": environ["REQUEST_METHOD"],
        "path": environ.get("PATH_INFO", ""),
        "status": int(status[:3]),
        "kept": kept,
    }
    if milliseconds is not None:
        told["milliseconds"] = round(milliseconds, 2)
    line = _line(system_clock().timestamp(), "info", "request", told)
    for handler in LOG.handlers:
        if isinstance(handler, _Lines):
            handler.say(line)


def _line(instant: float, level: str, message: str, told: dict[str, Any]) -> str:
    """`instant`: seconds since 1970."""
    seconds, rest = divmod(instant, 1)
    stamp = f"{_second(int(seconds))}.{int(rest * 1000):03d}+00:00"
    return orjson.dumps({"time": stamp, "level": level, "message": message, **told}, default=str).decode("utf-8")


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
