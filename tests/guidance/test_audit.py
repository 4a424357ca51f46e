"""An auditor's walk: what agrees is counted, and whatever was touched by other hands is found."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from guidance import audit
from guidance.archive import Archive, Proposal
from guidance.audit import verify
from guidance.building import quiet
from guidance.derived import FOREVER
from guidance.errors import StoreBusy, StoreUnreadable, Tampered
from guidance.index import Index
from guidance.model import canonical
from guidance.store import BRANCH, Act, Entry, Store, path_of
from tests.guidance import bodies

NAME = "ema/example"


@pytest.fixture
def filled(archive: Archive, act: Callable[..., Act], now: datetime) -> Archive:
    for number, wanted in enumerate(([bodies.document(), bodies.version(1)], [bodies.version(2)])):
        archive.publish(list(map(Proposal, wanted)), act(), now + timedelta(days=number))
    return archive


def git(archive: Archive, *arguments: str, told: str = "") -> str:
    command = ["git", "--git-dir", str(archive.store.path), "-c", "user.name=Eve", "-c", "user.email=eve@example.org"]
    return subprocess.run([*command, *arguments], input=told, check=True, capture_output=True, text=True).stdout.strip()


def findings(archive: Archive) -> str:
    with pytest.raises(Tampered) as found:
        verify(archive.store, archive.index)
    return "\n".join(found.value.findings)


def test_a_register_that_nobody_touched_agrees(replayed: Archive, corpus: Archive, archive: Archive) -> None:
    for register in (replayed, corpus):
        assert verify(register.store, register.index) == len(register.index.revisions(limit=1000))
    assert verify(archive.store, archive.index) == 0


CHANGED = {
    "what holds on a day": ("span", "UPDATE span SET state='in-force' WHERE state='not-yet'"),
    "until when it was believed": ("span", f"UPDATE span SET till=2 WHERE till={FOREVER}"),
    "an answer, as text": ("span", "UPDATE span SET told=CAST(told AS TEXT)"),
    "the bytes that are served": (
        "body",
        "UPDATE body SET content=CAST(replace(CAST(content AS TEXT), 'must not be used', 'may be used') AS BLOB)",
    ),
    "the ids of rules": ("body", "UPDATE body SET rules=CAST('[]' AS BLOB) WHERE rules IS NOT NULL"),
    "the name of what was recorded": ("body", "UPDATE body SET blob=CAST(zeroblob(20) AS BLOB) WHERE id=1"),
    "bytes that wait to be published": ("body", "INSERT INTO body(blob, content) VALUES(x'00', x'7b7d')"),
    "who approved": ("revision", "UPDATE revision SET approved_by='Eve'"),
    "why": ("revision", "UPDATE revision SET reason='forged' WHERE position=1"),
    "when": ("revision", "UPDATE revision SET recorded_at=recorded_at-86400"),
    "what a revision recorded": ("touched", "UPDATE touched SET body=(SELECT max(id) FROM body)"),
    "that a revision recorded it": ("touched", "DELETE FROM touched WHERE position=2"),
    "that any medicine was named": ("the index cannot be read: no such table: medicine", "DROP TABLE medicine"),
}


@pytest.mark.parametrize(("table", "change"), CHANGED.values(), ids=CHANGED)
def test_a_changed_row_of_the_index_is_found(filled: Archive, table: str, change: str) -> None:
    filled.index.sql.execute(change)
    assert table in "\n".join(audit._index(filled.store, filled.index))


def test_an_entry_that_an_index_of_sqlite_lacks_is_found(filled: Archive) -> None:
    with filled.index.sql as sql:
        sql.execute("PRAGMA writable_schema=ON")
        told = "UPDATE sqlite_master SET sql=sql || ' WHERE first<0' WHERE name='span_by_day'"
        sql.execute(told)
        sql.execute("PRAGMA writable_schema=RESET")
        sql.execute("REINDEX span_by_day")
        sql.execute("PRAGMA writable_schema=ON")
        sql.execute(told.replace("sql || ' WHERE first<0'", "replace(sql, ' WHERE first<0', '')"))
        sql.execute("PRAGMA writable_schema=RESET")
    assert "the index's file is broken" in "\n".join(audit._index(filled.store, filled.index))


def test_whoever_verifies_is_told_of_a_changed_row(filled: Archive) -> None:
    filled.index.sql.execute(CHANGED["the bytes that are served"][1])
    assert "the index's table body is not what the store implies; run 'inforce rebuild'" in findings(filled)


def test_an_index_that_numbers_its_bodies_otherwise_agrees(filled: Archive) -> None:
    for place in ("body SET id", "touched SET body", "document SET body", "version SET body", "span SET body"):
        filled.index.sql.execute(f"UPDATE {place}={place.split()[-1]}+1000")
    assert verify(filled.store, filled.index) == 2


def test_a_changed_object_is_found(filled: Archive) -> None:
    blob = Entry.of(NAME, 1, canonical(bodies.version(1))).blob
    packs = list((filled.store.path / "objects" / "pack").glob("*.pack"))
    loose = filled.store.path / "objects" / blob[:2] / blob[2:]
    target = loose if loose.exists() else packs[0]
    target.chmod(0o644)
    raw = bytearray(target.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    target.write_bytes(raw)
    assert findings(filled)


def test_a_commit_by_other_hands_is_found(filled: Archive) -> None:
    made = git(filled, "commit-tree", git(filled, "mktree"), "-p", BRANCH, "-m", "nothing is left")
    git(filled, "update-ref", BRANCH, made)
    assert f"revision {made} does D to documents/ema/" in findings(filled)


@pytest.mark.parametrize(
    "trailers",
    [
        f"Document: {NAME}\nVersion: x\nAct: publish",
        f"Document: {NAME}\nVersion: 3\nAct: publish",
        "Document: ../../etc\nVersion: 3\nAct: publish\nSha256: 0",
    ],
)
def test_a_commit_whose_trailers_are_forged_is_found(filled: Archive, trailers: str) -> None:
    forged = git(filled, "commit-tree", f"{BRANCH}^{{tree}}", "-p", BRANCH, "-m", f"publish\n\n{trailers}\n")
    git(filled, "update-ref", BRANCH, forged)
    assert findings(filled)


def test_a_revision_dated_before_the_one_it_follows_is_found(
    filled: Archive, act: Callable[..., Act], now: datetime
) -> None:
    tip = filled.tip()
    assert tip is not None
    entry = Entry.of(NAME, 3, canonical(bodies.version(3)))
    with filled.store.lock() as lock:
        filled.store.commit(lock, act(), [entry], replace(tip, recorded_at=now - timedelta(days=9)), now)
    assert "is dated before" in findings(filled)


FORGED = {
    "its bytes are not those of the recorded Sha256": lambda: replace(
        Entry.of(NAME, 3, canonical(bodies.version(3))), sha256="0" * 64
    ),
    "is not in canonical form": lambda: Entry.of(NAME, 3, canonical(bodies.version(3)).replace(b",", b", ")),
    "/title: ": lambda: Entry.of(NAME, 3, canonical(bodies.version(3, title=""))),
    "lies at a path that is not its own": lambda: Entry.of(NAME, 3, canonical(bodies.version(4))),
    "/colour: ": lambda: Entry.of(NAME, 3, canonical(bodies.version(3, colour="red"))),
}


@pytest.mark.parametrize(("finding", "forged"), FORGED.items(), ids=FORGED)
def test_content_that_no_act_of_ours_would_record_is_found(
    filled: Archive, act: Callable[..., Act], now: datetime, finding: str, forged: Callable[[], Entry]
) -> None:
    with filled.store.lock() as lock:
        filled.store.commit(lock, act(), [forged()], filled.tip(), now + timedelta(days=9))
    assert finding in findings(filled)


def test_bytes_that_are_recorded_wrongly_once_and_rightly_later_are_found(
    filled: Archive, act: Callable[..., Act], now: datetime
) -> None:
    forged = replace(Entry.of(NAME, 3, canonical(bodies.version(3))), sha256="0" * 64)
    with filled.store.lock() as lock:
        filled.store.commit(lock, act(), [forged], filled.tip(), now + timedelta(days=9))
    for title in ("Another", bodies.version(3)["title"]):
        filled.correct(Proposal(bodies.version(3, title=title)), act(), now + timedelta(days=10))
    assert f"{NAME}@3: its bytes are not those of the recorded Sha256 {'0' * 64}" in findings(filled)


# --- while others write ----------------------------------------------------------------------------------


STEPS = ((Store, "fsck"), (audit, "_times"), (audit, "_trees"), (audit, "_contents"), (Index, "rebuild"))


@pytest.mark.parametrize(("owner", "step"), STEPS)
def test_what_others_publish_meanwhile_is_no_finding(
    filled: Archive,
    act: Callable[..., Act],
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    owner: type[Store] | type[Index] | ModuleType,
    step: str,
) -> None:
    other = Archive(filled.folder)
    taken = getattr(owner, step)

    def published_meanwhile(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(owner, step, taken)
        other.publish([Proposal(bodies.version(3))], act(), now + timedelta(days=9))
        return taken(*given, **named)

    monkeypatch.setattr(owner, step, published_meanwhile)
    assert audit._agreed(filled.store, filled.index, quiet) == 2
    other.close()
    assert verify(filled.store, filled.index) == 3


def test_what_does_not_agree_is_looked_at_again_while_nobody_may_write(
    filled: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone: list[bool] = []

    def gone_at_first(_: Store, head: str | None) -> None:
        try:
            with filled.store.lock(wait=0):
                alone.append(False)
        except StoreBusy:
            alone.append(True)
        if len(alone) == 1:
            raise StoreUnreadable(str(filled.store.path), "an object was packed away")

    monkeypatch.setattr(Store, "fsck", gone_at_first)
    assert verify(filled.store, filled.index) == 2
    assert alone == [False, True]


def test_nothing_is_left_behind_by_looking(filled: Archive, tmp_path: Path) -> None:
    before = sorted(path.name for path in filled.folder.iterdir())
    verify(filled.store, filled.index)
    assert sorted(path.name for path in filled.folder.iterdir()) == before


# --- what is laid over git's own objects ----------------------------------------------------------------


def replaced(archive: Archive) -> None:
    """The first revision's place is taken by one that forges what was said and why."""
    first = archive.index.revisions()[0].id
    blob = git(archive, "rev-parse", f"{first}:{path_of(NAME, 1)}")
    softened = git(archive, "cat-file", "blob", blob).replace("must not", "may") + "\n"
    forged = git(archive, "hash-object", "-w", "--stdin", told=softened)
    git(archive, "replace", blob, forged)
    git(archive, "replace", first, git(archive, "commit-tree", f"{first}^{{tree}}", "-m", "forged"))
    git(archive, "config", "core.useReplaceRefs", "true")


def grafted(archive: Archive) -> None:
    """The second of three revisions disappears."""
    first, _, third = (revision.id for revision in archive.index.revisions())
    (archive.store.path / "info").mkdir(exist_ok=True)
    (archive.store.path / "info" / "grafts").write_text(f"{third} {first}\n")


def cut(archive: Archive) -> None:
    """Nothing was before the last."""
    (archive.store.path / "shallow").write_text(f"{archive.index.revisions()[-1].id}\n")


MASKS = {"refs/replace/": replaced, "info/grafts": grafted, "shallow": cut}


@pytest.mark.parametrize(("name", "mask"), MASKS.items(), ids=MASKS)
def test_what_is_laid_over_the_objects_is_not_believed_and_is_told(
    filled: Archive, act: Callable[..., Act], now: datetime, name: str, mask: Callable[[Archive], None]
) -> None:
    filled.correct(Proposal(bodies.version(2, title="Corrected")), act("the act to hide"), now + timedelta(days=9))
    before = list(filled.store.log()), filled.index.contents_of(1)
    mask(filled)
    fresh = Index(filled.folder / "fresh.sqlite")
    fresh.rebuild(filled.store)
    after = list(filled.store.log()), fresh.contents_of(1)
    fresh.close()
    assert after == before
    assert name in findings(filled)
    assert "than was recorded; remove it" in findings(filled)
