"""A publisher that publishes and corrects until it is killed, and writes down what it was told."""

from __future__ import annotations

import os
import random
import sys
import time
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path

from guidance.archive import Archive, Proposal, Receipt
from guidance.errors import Conflict, StoreBusy, StoreError, StoreUnreadable
from guidance.model import canonical, sha256
from tests.faults import material
from tests.faults.ledger import Ack, Intent, Ledger

BROKEN = 1
"""The exit status of a process that met an error which no fault explains."""


def publish(folder: Path, ledger: Path, seed: int) -> None:
    """Publish to random documents until killed; what was under way at the last kill is tried again first."""
    rng, archive, book = random.Random(seed), opened(folder), Ledger(ledger)
    while True:
        try:
            attempt(archive, book, book.pending or book.intend(next_intent(archive, rng)))
        except StoreBusy:
            raise
        except StoreError as error:  # its git was killed under it: the same act is tried again
            _note(error)


def keep(folder: Path, _ledger: Path, seed: int) -> None:
    """Clear and pack again and again until killed."""
    rng, archive = random.Random(seed), opened(folder)
    while True:
        time.sleep(rng.uniform(0.05, 0.5))
        try:
            archive.maintain()
        except StoreBusy:
            raise
        except StoreError as error:  # its git was killed under it
            _note(error)


def opened(folder: Path) -> Archive:
    """The register, opened once more where the git that opened it was killed."""
    for _ in range(5):
        try:
            return Archive(folder)
        except StoreUnreadable as error:
            _note(error)
    return Archive(folder)


def next_intent(archive: Archive, rng: random.Random) -> Intent:
    """A new version of some document, or a correction of one that started from the newest revision."""
    tip = archive.tip()
    assert tip is not None
    name = rng.choice(material.NAMES)
    numbers = [number for number, _ in archive.index.version_contents(name, tip.position)]
    key = uuid.uuid4().hex
    rules = rng.randint(1, 12)
    if rng.random() < 0.4:
        body = material.version(name, rng.choice(numbers), f"corrected {key}", rules)
        return Intent(key, "correct", body, tip.id if rng.random() < 0.5 else None)
    return Intent(key, "publish", material.version(name, max(numbers) + 1, f"published {key}", rules), None)


def attempt(archive: Archive, book: Ledger, intent: Intent) -> None:
    """Try an intent once: acknowledged, or refused because another publisher came first."""
    try:
        receipt = perform(archive, intent)
    except Conflict:
        book.refuse(intent.key)
        return
    body = intent.body
    fingerprint = sha256(canonical(body))
    book.acknowledge(Ack(intent.key, body["document"], body["number"], fingerprint, receipt.revision.id))


def perform(archive: Archive, intent: Intent) -> Receipt:
    act = material.act(intent.key)
    if intent.verb == "correct":
        return archive.correct(Proposal(intent.body), act, material.now(), intent.base)
    return archive.publish([Proposal(intent.body)], act, material.now(), intent.base)


def _note(error: Exception) -> None:
    print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)


def alone(work: Callable[[Path, Path, int], None], folder: Path, ledger: Path, seed: int) -> None:
    """Run as the leader of a process group of its own, telling a log beside the ledger what goes wrong."""
    os.setsid()
    log = os.open(ledger.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    try:
        work(folder, ledger, seed)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(BROKEN)
