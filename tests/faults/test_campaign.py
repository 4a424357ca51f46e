"""A small run of every campaign, and the faults that a campaign has found once, each on its own."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guidance import building, index, store
from guidance.archive import Archive, Proposal
from guidance.errors import StoreError
from guidance.store import SETTINGS, Act
from tests.faults import inspection, material, power, shim
from tests.faults.ledger import Ack, Ledger, Told, read
from tests.faults.report import Result

ROOT = Path(__file__).parents[2]


def campaign(name: str, count: int) -> Result:
    """Run one as its command does, in a process that has no threads to be forked along."""
    command = [sys.executable, "-m", "tests.faults", name, "--count", str(count), "--seed", "5", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout, done.stderr
    return Result.of(done.stdout)


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Archive]:
    material.register(tmp_path / "data", (material.PROBE,))
    opened = Archive(tmp_path / "data")
    yield opened
    opened.close()


# --- the campaigns, small --------------------------------------------------------------------------------


def test_six_kills_among_eight_publishers_lose_nothing():
    result = campaign("kills", 6)
    assert result.findings == []
    assert result.figures["acknowledged"] > 0


def test_readers_are_never_told_anything_wrong():
    result = campaign("readers", 1)
    assert result.findings == []
    assert result.figures["answers checked"] > 0


@pytest.mark.skipif(bool(shim.missing()), reason=shim.missing() or "the shim can be made")
def test_a_failing_call_is_told_or_got_over():
    result = campaign("errors", 2)
    assert result.findings == []
    assert result.figures["calls failed"] > 0


def test_power_cuts_are_skipped_with_a_reason_where_no_disk_can_be_made(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert power.run(1, 1).verdict == "skipped"
    assert "root" in power.run(1, 1).skipped


# --- the inspection sees what it is there to see ----------------------------------------------------------


def test_an_acknowledged_version_that_is_gone_is_found(begun: Archive):
    ack = Ack("key", material.PROBE, 2, "0" * 64, "1" * 40)
    assert "not in the history" in inspection.recorded(begun.store.path, Told([ack]))[0]


def test_other_bytes_than_acknowledged_are_found(begun: Archive):
    tip = begun.tip()
    assert tip is not None
    ack = Ack("key", material.PROBE, 1, "0" * 64, tip.id)
    assert "not what was acknowledged" in inspection.recorded(begun.store.path, Told([ack]))[0]


def test_an_index_that_says_something_else_is_found(begun: Archive, tmp_path: Path):
    assert inspection.in_step(begun, tmp_path) == []
    begun.index.sql.execute("UPDATE span SET version=7 WHERE version=1")
    assert "rows of the index's span" in inspection.in_step(begun, tmp_path)[0]


def test_a_ledger_line_cut_short_was_told_to_nobody(tmp_path: Path):
    path = tmp_path / "a.ledger"
    Ledger(path).acknowledge(Ack("key", material.PROBE, 1, "0" * 64, "1" * 40))
    with path.open("ab") as file:
        file.write(json.dumps(["ack", ["other"]]).encode()[:9])
    assert [ack.key for ack in read(path).acks] == ["key"]


# --- found once ------------------------------------------------------------------------------------------


def test_what_killed_maintenance_left_behind_is_cleared(begun: Archive):
    for name in (".tmp-123-pack-0.pack", ".tmp-123-pack-0.idx", "pack-0.keep", "tmp_pack_0"):
        (begun.store.path / "objects" / "pack" / name).write_bytes(b"")
    assert len(begun.recover()) == 4
    assert inspection.tidy(begun) == []


def test_a_retry_is_answered_only_after_what_it_names_has_been_synced(
    begun: Archive, act: Callable[..., Act], monkeypatch: pytest.MonkeyPatch
):
    synced: list[Path] = []
    body = material.version(material.PROBE, 2, "once")
    begun.publish([Proposal(body)], act(key="k"), material.now())
    monkeypatch.setattr(store, "_sync_folder", synced.append)
    assert not begun.publish([Proposal(body)], act(key="k"), material.now()).recorded
    assert not begun.publish([Proposal(body)], act(), material.now()).recorded
    assert synced == [begun.store.path / "refs" / "heads"] * 2


def test_an_index_build_that_fails_at_once_lets_its_lock_go(begun: Archive, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(building, "TABLES", "CREATE TABLE (")
    with pytest.raises(sqlite3.OperationalError):
        begun.index.rebuild(begun.store)
    monkeypatch.undo()
    begun.index.rebuild(begun.store)


def test_a_rebuild_never_puts_an_older_state_in_place(begun: Archive, monkeypatch: pytest.MonkeyPatch):
    held = index.read_all

    def published_meanwhile(*arguments: object) -> None:
        held(*arguments)
        body = material.version(material.PROBE, 2, "published while the index was being made")
        begun.publish([Proposal(body)], material.act(), material.now())

    monkeypatch.setattr(index, "read_all", published_meanwhile)
    begun.index.rebuild(begun.store)
    tip = begun.index.tip()
    assert tip is not None
    assert tip.id == begun.store.head()


def test_a_store_that_was_cloned_syncs_like_any_other(begun: Archive, tmp_path: Path):
    inspection.git(begun.store.path, "clone", "--quiet", "--mirror", str(begun.store.path), str(tmp_path / "copy"))
    (tmp_path / "again").mkdir()
    shutil.move(tmp_path / "copy", tmp_path / "again" / "register.git")
    (tmp_path / "again" / "register.git" / "HEAD.lock").write_bytes(b"")
    copy = Archive(tmp_path / "again")
    assert inspection.goes_on(copy) == []
    command = copy.store._git()
    assert {name: command.execute(["git", "config", name]) for name in SETTINGS} == SETTINGS
    copy.close()


def test_a_connection_that_met_an_error_is_not_used_again(begun: Archive):
    body = material.version(material.PROBE, 2, "again")
    begun.index.sql.execute("PRAGMA query_only=1")  # as after an open that failed once: read-only for ever
    with pytest.raises(StoreError, match="readonly"):
        begun.publish([Proposal(body)], material.act("k"), material.now())
    receipt = begun.publish([Proposal(body)], material.act("k"), material.now())
    assert begun.index.version(material.PROBE, 2, receipt.revision.position)


def test_a_repeat_in_the_same_second_is_not_stopped_by_what_the_first_one_left(begun: Archive, tmp_path: Path):
    again = Archive(shutil.copytree(begun.folder, tmp_path / "again"))
    many = [body for name in material.NAMES for body in (material.document(name), material.version(name, 1, "many"))]
    at = material.now()
    begun.publish([Proposal(body) for body in many], material.act(), at)
    (pack,) = (begun.store.path / "objects" / "pack").glob("*.pack")
    (again.store.path / "objects" / "pack" / pack.with_suffix(".keep").name).write_bytes(b"fast-import")
    receipt = again.publish([Proposal(body) for body in many], material.act(), at)
    assert receipt.recorded
    assert all(again.index.version(name, 1, receipt.revision.position) for name in material.NAMES)
    again.close()
