"""One JSON line for each thing that happened, on standard error, without secrets."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson

LOG = logging.getLogger("inforce")


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "told", {}),
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(told, default=str).decode("utf-8")


def start(level: str) -> None:
    """Send our log, and nobody else's chatter, to standard error."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_Lines())
    LOG.handlers = [lines]
    LOG.propagate = False
    LOG.setLevel(level.upper())
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # nobody here is told of them


def request(environ: dict[str, Any], status: str, milliseconds: float | None = None, kept: bool = False) -> None:
    """Log one answered request: its path and outcome; what was asked about is nobody's business but the asker's."""
    if not LOG.isEnabledFor(logging.INFO):
        return
    told = {
        "method": environ["REQUEST_METHOD"],
        "path": environ.get("PATH_INFO", ""),
        "status": int(status.split(" ", 1)[0]),
        "kept": kept,
    }
    if milliseconds is not None:
        told["milliseconds"] = round(milliseconds, 2)
    record = logging.LogRecord(LOG.name, logging.INFO, "", 0, "request", None, None)
    record.told = told
    LOG.handle(record)
