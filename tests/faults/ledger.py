"""What a publisher meant to do and what it was told, on a disk that no fault reaches; every line is fsynced."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from guidance.model import Json


class Intent(NamedTuple):
    """An act about to be tried, and tried again after a kill with the same key."""

    key: str
    verb: str
    body: Json
    base: str | None


class Ack(NamedTuple):
    """What a publisher was told had been recorded."""

    key: str
    document: str
    number: int
    sha256: str
    revision: str


@dataclass
class Told:
    """All lines of one or more ledgers."""

    acks: list[Ack] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    pending: Intent | None = None
    retried: int = 0


class Ledger:
    """One publisher's file, opened again after a kill where it stopped."""

    def __init__(self, path: Path) -> None:
        self.pending = read(path).pending
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if self.pending:
            self._write("retry", self.pending.key)

    def intend(self, intent: Intent) -> Intent:
        self.pending = intent
        self._write("intent", intent)
        return intent

    def acknowledge(self, ack: Ack) -> None:
        self._write("ack", ack)
        self.pending = None

    def refuse(self, key: str) -> None:
        self._write("refused", key)
        self.pending = None

    def _write(self, kind: str, value: object) -> None:
        os.write(self._file, json.dumps([kind, value]).encode() + b"\n")
        os.fsync(self._file)


def read(path: Path, told: Told | None = None) -> Told:
    """The lines of a ledger, added to what others told."""
    told = told or Told()
    told.pending = None
    for kind, value in _lines(path):
        if kind == "intent":
            told.pending = Intent(*value)
        elif kind == "ack":
            told.acks.append(Ack(*value))
            told.pending = None
        elif kind == "refused":
            told.refused.add(value)
            told.pending = None
        else:
            told.retried += 1
    return told


def read_all(folder: Path) -> Told:
    told = Told()
    for path in sorted(folder.glob("*.ledger")):
        read(path, told)
    return told


def _lines(path: Path) -> Iterator[tuple[str, Json]]:
    """Whole lines only: a kill may cut the last one short, and what is cut short was told to nobody."""
    if path.exists():
        for line in path.read_bytes().split(b"\n")[:-1]:
            kind, value = json.loads(line)
            yield kind, value
