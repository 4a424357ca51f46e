"""What must be true of a register after any fault, asked of git itself: an empty list of findings."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from guidance.archive import Archive, Proposal
from guidance.errors import GuidanceError
from guidance.index import Index
from guidance.store import BRANCH, path_of
from tests.faults import material
from tests.faults.ledger import Ack, Told

KNOWN: Final = re.compile(
    r"config|HEAD|description|inforce\.flock|info/exclude|hooks(/.*)?|packed-refs|refs/heads/main"
    r"|objects/([0-9a-f]{2}/[0-9a-f]{38}|pack/pack-[0-9a-f]{40}\.(pack|idx|rev))"
)
"""Every file that belongs in the repository; anything else was left behind by somebody."""


def git(repo: Path, *arguments: str, given: bytes | None = None) -> bytes:
    """What git says; raises CalledProcessError."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "FAULT_", "LD_"))}
    command = ["git", "-c", f"safe.directory={repo}", f"--git-dir={repo}", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, check=True, env=environment)
    return done.stdout


def whole(folder: Path, told: Told, scratch: Path) -> list[str]:
    """Every check there is, on a register to which nobody publishes any more."""
    repo = folder / "register.git"
    try:
        archive = Archive(folder)
    except GuidanceError as error:
        return [f"the register does not open: {error}"]
    try:
        return [
            *recorded(repo, told),
            *sound(repo),
            *goes_on(archive),
            *in_step(archive, scratch),
            *tidy(archive),
        ]
    finally:
        archive.close()


def recorded(repo: Path, told: Told) -> list[str]:
    """Everything acknowledged is in a linear history, once, with its bytes; what was refused is not."""
    keys, findings = history(repo)
    findings += [f"{name} is acknowledged and not in the history" for name in _absent(told.acks, keys)]
    findings += [f"the key {key} was recorded {n} times" for key, n in Counter(keys.values()).items() if key and n > 1]
    findings += [f"the key {key} was refused and is recorded" for key in told.refused & set(keys.values())]
    return findings + altered(repo, [ack for ack in told.acks if ack.revision in keys])


def _absent(acks: Iterable[Ack], keys: Mapping[str, str]) -> list[str]:
    return [f"{ack.document}@{ack.number} of {ack.revision[:10]}" for ack in acks if ack.revision not in keys]


def history(repo: Path) -> tuple[dict[str, str], list[str]]:
    """(revision -> idempotency key, newest first; findings) by first parents."""
    form = "--format=%H|%P|%(trailers:key=Idempotency-Key,valueonly,separator=%x2C)"
    try:
        begun = git(repo, "for-each-ref", BRANCH)
        told = git(repo, "log", "--first-parent", form, BRANCH).decode() if begun else ""
    except subprocess.CalledProcessError as error:
        return {}, [f"git log: {error.stderr.decode().strip()}"]
    rows = [line.split("|") for line in told.splitlines()]
    findings = [f"{name} has two parents" for name, parents, _ in rows if " " in parents]
    return {name: key for name, _, key in rows}, findings


def altered(repo: Path, acks: Sequence[Ack]) -> list[str]:
    """Acknowledged versions whose bytes, at the revision that recorded them, are not those acknowledged."""
    asked = "".join(f"{ack.revision}:{path_of(ack.document, ack.number)}\n" for ack in acks)
    answer = memoryview(git(repo, "cat-file", "--batch", given=asked.encode()))
    findings, at = [], 0
    for ack in acks:
        end = bytes(answer[at : at + 300]).index(b"\n") + at
        header = bytes(answer[at:end]).decode()
        size = int(header.split()[2]) if header.split()[1:2] == ["blob"] else -1
        body = bytes(answer[end + 1 : end + 1 + max(size, 0)])
        at = end + 1 + size + 1
        if hashlib.sha256(body).hexdigest() != ack.sha256:
            findings.append(
                f"{ack.document}@{ack.number} of {ack.revision[:10]} is not what was acknowledged: {header}"
            )
    return findings


def sound(repo: Path) -> list[str]:
    """What `git fsck` finds."""
    try:
        git(repo, "fsck", "--full", "--strict", "--no-dangling", "--no-progress")
    except subprocess.CalledProcessError as error:
        return [f"git fsck: {line}" for line in (error.stdout + error.stderr).decode().splitlines()[:5]]
    return []


def goes_on(archive: Archive) -> list[str]:
    """A later publish succeeds, without anybody having cleared up first, and is found again."""
    try:
        tip = archive.tip()
        numbers = archive.index.version_contents(material.PROBE, tip.position) if tip else []
        number = 1 + max((number for number, _ in numbers), default=0)
        body = material.version(material.PROBE, number, "a later publish")
        bodies = [body] if numbers else [material.document(material.PROBE), body]
        receipt = archive.publish([Proposal(body) for body in bodies], material.act(), material.now())
        archive.index.version(material.PROBE, number, receipt.revision.position)
    except (GuidanceError, OSError) as error:
        return [f"a later publish fails: {type(error).__name__}: {error}"]
    return []


def tidy(archive: Archive) -> list[str]:
    """After `recover` nothing lies in the repository that does not belong there."""
    archive.recover()
    repo = archive.store.path
    files = (str(path.relative_to(repo)) for path in repo.rglob("*") if path.is_file())
    return [f"{name} was left behind" for name in sorted(files) if not KNOWN.fullmatch(name)]


# --- the index -------------------------------------------------------------------------------------------


def in_step(archive: Archive, scratch: Path) -> list[str]:
    """The index says what one built from nothing says."""
    archive.tip()
    again = Index(scratch / "again.sqlite")
    again.rebuild(archive.store)
    try:
        kept, made = rows(archive.index), rows(again)
    finally:
        again.close()
        for path in scratch.glob("again.sqlite*"):
            path.unlink()
    tables = sorted(kept.keys() | made.keys())
    differing = ((table, len(kept.get(table, set()) ^ made.get(table, set()))) for table in tables)
    return [f"{count} rows of the index's {table} are not what a rebuild gives" for table, count in differing if count]


def rows(index: Index) -> dict[str, set[tuple[object, ...]]]:
    """Every row of every table, with bodies by their blob instead of by the number they happen to have."""
    found = {}
    tables = index.sql.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
    for (table,) in tables:
        columns = [row[1] for row in index.sql.execute(f"PRAGMA table_info({table})")]
        if table == "body":
            query = "SELECT blob, content FROM body"
        elif "body" in columns:
            named = ", ".join("b.blob" if column == "body" else f"t.{column}" for column in columns)
            query = f"SELECT {named} FROM {table} t LEFT JOIN body b ON b.id=t.body"
        else:
            query = f"SELECT * FROM {table}"
        found[table] = set(index.sql.execute(query).fetchall())
    return found
