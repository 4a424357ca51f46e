"""The lookup beside the repository: derived, deletable at any time, and never asked before it has caught up."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from guidance.archive import Archive, Proposal
from guidance.building import FORMAT
from guidance.derived import FOREVER
from guidance.errors import StoreError, UnknownDocument, UnknownVersion
from guidance.index import Index
from guidance.store import BRANCH, Act
from tests.guidance import bodies
from tests.guidance.tables import rows

NAME = "ema/example"
DAY = date(2020, 1, 1).toordinal()


@pytest.fixture
def filled(archive: Archive, act: Callable[..., Act], now: datetime) -> Archive:
    """A register of three revisions."""
    for number, wanted in enumerate(([bodies.document(), bodies.version(1)], [bodies.version(2)], [bodies.version(3)])):
        archive.publish(list(map(Proposal, wanted)), act(), now + timedelta(days=number))
    return archive


@pytest.fixture
def publish(filled: Archive, act: Callable[..., Act], now: datetime) -> Callable[[int], None]:
    def published(number: int) -> None:
        assert filled.publish([Proposal(bodies.version(number))], act(), now + timedelta(days=9)).recorded

    return published


def numbers(archive: Archive) -> list[int]:
    """The versions that a question finds, asked as the service asks."""
    tip = archive.tip()
    assert tip is not None
    assert tip.id == archive.store.head()
    return [number for number, _ in archive.index.version_contents(NAME, tip.position)]


def elsewhere(archive: Archive, ask: Callable[[], Any]) -> Any:
    """What is answered in a thread of its own, with a connection of its own."""

    def asked() -> Any:
        try:
            return ask()
        finally:
            archive.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asked).result()


def files(index: Index) -> list[Path]:
    return [index.path.with_name(index.path.name + suffix) for suffix in ("", "-wal", "-shm")]


# --- derived from git, and from nothing else -------------------------------------------------------------


def test_rebuilding_gives_row_for_row_what_recording_gave(replayed: Archive, tmp_path: Path) -> None:
    fresh = Index(tmp_path / "fresh.sqlite")
    fresh.rebuild(replayed.store)
    kept, made = rows(replayed.index), rows(fresh)
    fresh.close()
    for table in kept:
        assert made[table] == kept[table], table
    assert all(kept.values())


def test_following_gives_row_for_row_what_recording_gave(
    filled: Archive, act: Callable[..., Act], now: datetime, tmp_path: Path
) -> None:
    """A node that fetched three revisions at once knows what the node knows that recorded them one by one."""
    behind = Index(tmp_path / "behind.sqlite")
    behind.rebuild(filled.store)
    for number in (4, 5):
        filled.publish([Proposal(bodies.version(number))], act(), now + timedelta(days=9))
    filled.correct(Proposal(bodies.version(2, title="Corrected")), act(), now + timedelta(days=10))
    behind.catch_up(filled.store)
    assert rows(behind) == rows(filled.index)
    behind.close()


def test_an_import_gives_row_for_row_what_a_rebuild_gives(corpus: Archive, tmp_path: Path) -> None:
    fresh = Index(tmp_path / "fresh.sqlite")
    fresh.rebuild(corpus.store)
    assert rows(fresh) == rows(corpus.index)
    fresh.close()


def test_readers_keep_the_old_answers_until_a_rebuild_is_done(filled: Archive) -> None:
    done = threading.Event()

    def read() -> int:
        count = 0
        while not done.is_set():
            assert numbers(filled) == [1, 2, 3]
            count += 1
        filled.close()
        return count

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        for _ in range(5):
            filled.index.rebuild(filled.store)
        done.set()
        assert all(reader.result() for reader in readers)


def test_nothing_is_made_in_place_of_what_a_store_that_lost_its_branch_had_told(filled: Archive) -> None:
    """It would say that nothing was ever recorded, and agree with the store."""
    before = rows(filled.index)
    (filled.store.path / "refs/heads/main").unlink()
    with pytest.raises(StoreError, match="has lost its branch"):
        filled.index.rebuild(filled.store)
    assert rows(filled.index) == before


# --- gone, broken, old, behind ---------------------------------------------------------------------------


def test_a_deleted_index_is_made_again(filled: Archive) -> None:
    filled.close()
    for file in files(filled.index):
        file.unlink(missing_ok=True)
    assert numbers(filled) == [1, 2, 3]


def test_an_index_deleted_while_it_is_in_use_is_made_again(filled: Archive, publish: Callable[[int], None]) -> None:
    """Whoever has the deleted file open still must not answer from it: it hears of nothing that comes."""
    with ThreadPoolExecutor(1) as staying:
        assert staying.submit(numbers, filled).result() == numbers(filled) == [1, 2, 3]
        for number in (4, 5):
            for file in files(filled.index):
                file.unlink(missing_ok=True)
            assert elsewhere(filled, lambda: numbers(filled)) == list(range(1, number))
            elsewhere(filled, lambda number=number: publish(number))
            expected = list(range(1, number + 1))
            assert elsewhere(filled, lambda: numbers(filled)) == expected
            assert numbers(filled) == staying.submit(numbers, filled).result() == expected
        staying.submit(filled.close).result()


def cut_short(file: Path) -> None:
    os.truncate(file, 5000)


def emptied(file: Path) -> None:
    os.truncate(file, 0)


def no_database(file: Path) -> None:
    file.write_bytes(b"this was a database " * 1000)


def no_header(file: Path) -> None:
    with file.open("r+b") as raw:
        raw.write(b"\x00" * 100)


def noise(file: Path) -> None:
    with file.open("r+b") as raw:
        raw.seek(4096)
        raw.write(b"\xff" * (file.stat().st_size - 4096))


BROKEN = [cut_short, emptied, no_database, no_header, noise]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_index_is_thrown_away_and_made_again(
    filled: Archive, publish: Callable[[int], None], broken: Callable[[Path], None]
) -> None:
    filled.close()
    broken(filled.index.path)
    assert numbers(filled) == [1, 2, 3]
    publish(4)
    assert elsewhere(filled, lambda: numbers(filled)) == numbers(filled) == [1, 2, 3, 4]


@pytest.mark.parametrize("broken", [cut_short, no_database, no_header, noise])
def test_an_index_broken_while_it_is_in_use_gives_right_answers(
    filled: Archive, publish: Callable[[int], None], broken: Callable[[Path], None]
) -> None:
    assert numbers(filled) == [1, 2, 3]
    broken(filled.index.path)
    assert elsewhere(filled, lambda: numbers(filled)) == [1, 2, 3]
    publish(4)
    assert elsewhere(filled, lambda: numbers(filled)) == numbers(filled) == [1, 2, 3, 4]


def test_an_index_of_another_format_is_made_again(filled: Archive) -> None:
    filled.index.sql.execute("UPDATE meta SET value='0' WHERE name='format'")
    filled.index.sql.execute("DROP TABLE coming")
    filled.close()
    opened = Archive(filled.folder)
    assert numbers(opened) == [1, 2, 3]
    assert opened.index.sql.execute("SELECT value FROM meta").fetchall() == [(FORMAT,)]
    opened.index.sql.execute("SELECT * FROM coming")
    opened.close()


def test_an_index_that_is_behind_catches_up(filled: Archive, publish: Callable[[int], None], tmp_path: Path) -> None:
    filled.index.sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(filled.index.path, tmp_path / "behind")
    publish(4)
    filled.close()
    for file in files(filled.index):
        file.unlink(missing_ok=True)
    shutil.copy(tmp_path / "behind", filled.index.path)
    opened = Archive(filled.folder)
    assert numbers(opened) == [1, 2, 3, 4]
    opened.close()


def test_an_index_of_another_register_is_made_again(filled: Archive, corpus: Archive, tmp_path: Path) -> None:
    corpus.index.sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    filled.close()
    for file in files(filled.index):
        file.unlink(missing_ok=True)
    shutil.copy(corpus.index.path, filled.index.path)
    opened = Archive(filled.folder)
    assert numbers(opened) == [1, 2, 3]
    assert [name for name, _ in opened.index.documents(3)] == [NAME]
    opened.close()


@pytest.mark.parametrize("times", [1, FOREVER])
def test_an_index_that_others_throw_away_while_it_is_built_never_looks_as_if_nothing_were_recorded(
    filled: Archive, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes find the same file broken."""
    rebuild, built = Index.rebuild, list[int]()

    def disturbed(index: Index, *given: Any) -> None:
        rebuild(index, *given)
        built.append(1)
        if len(built) <= times:
            for file in files(index):
                file.unlink(missing_ok=True)

    monkeypatch.setattr(Index, "rebuild", disturbed)
    for file in files(filled.index):
        file.unlink(missing_ok=True)
    opened = Archive(filled.folder)
    if times == 1:
        assert numbers(opened) == [1, 2, 3]
    else:
        with pytest.raises(StoreError, match="was thrown away while it was being built"):
            opened.tip()
    opened.close()


def test_whoever_finds_a_broken_file_leaves_the_one_that_another_has_made_since(filled: Archive) -> None:
    assert numbers(filled) == [1, 2, 3]
    other = Archive(filled.folder)
    for file in files(filled.index):
        file.unlink(missing_ok=True)
    assert numbers(other) == [1, 2, 3]
    made = filled.index.path.stat().st_ino
    filled.index.discard()
    assert filled.index.path.stat().st_ino == made
    assert numbers(filled) == [1, 2, 3]
    other.close()


def test_a_store_that_was_set_back_is_followed(filled: Archive) -> None:
    """Restored from a backup: the register is what git says, and the index forgets the rest."""
    assert numbers(filled) == [1, 2, 3]
    second = filled.index.revision_of(2)
    assert second is not None
    (filled.store.path / BRANCH).write_text(f"{second.id}\n")
    assert numbers(filled) == [1, 2]


def test_what_a_document_said_before_the_store_was_set_back_is_not_remembered(
    filled: Archive, act: Callable[..., Act], now: datetime
) -> None:
    def titled() -> tuple[int, str]:
        tip = filled.tip()
        assert tip is not None
        content, *_ = filled.index.on_day(NAME, tip.position, None, lambda _: date.fromordinal(DAY), 3)
        return tip.position, orjson.loads(content)["title"]

    second = filled.index.revision_of(2)
    assert second is not None
    for title in ("The one", "The other"):
        (filled.store.path / BRANCH).write_text(f"{second.id}\n")
        filled.correct(Proposal(bodies.document(title=title)), act(), now + timedelta(days=9))
        assert titled() == (3, title)


def test_a_commit_that_is_not_ours_is_never_served(filled: Archive) -> None:
    """Somebody wrote into the repository by hand: a tree that no trailer tells of."""
    git = ["git", "--git-dir", str(filled.store.path), "-c", "user.name=Eve", "-c", "user.email=eve@example.org"]
    tree = subprocess.run([*git, "mktree"], input="", capture_output=True, text=True, check=True).stdout.strip()
    made = subprocess.run(
        [*git, "commit-tree", tree, "-p", BRANCH, "-m", "by hand"], capture_output=True, text=True, check=True
    ).stdout.strip()
    subprocess.run([*git, "update-ref", BRANCH, made], check=True)
    filled.close()
    for file in files(filled.index):
        file.unlink(missing_ok=True)
    with pytest.raises(StoreError, match="inforce verify"):
        filled.tip()


# --- asking ----------------------------------------------------------------------------------------------


def test_what_is_not_there_is_an_error_of_its_own(filled: Archive) -> None:
    with pytest.raises(UnknownDocument):
        filled.index.document("ema/other", 3)
    with pytest.raises(UnknownDocument):
        filled.index.version("ema/other", 1, 3)
    with pytest.raises(UnknownVersion):
        filled.index.version(NAME, 3, 2)


def test_lists_are_read_page_by_page(corpus: Archive) -> None:
    tip = corpus.tip()
    assert tip is not None
    everything = [name for name, _ in corpus.index.documents(tip.position)]
    pages: list[str] = []
    while page := corpus.index.documents(tip.position, after=pages[-1] if pages else "", limit=3):
        pages += [name for name, _ in page]
    assert pages == everything == sorted(everything)
    assert [name for name, _ in corpus.index.documents(tip.position, authority="mhra")] == [
        name for name in everything if name.startswith("mhra/")
    ]
    assert [name for name, _ in corpus.index.documents(tip.position, medicine="valproate")] == [
        "ema/valproate",
        "mhra/valproate",
    ]
    assert dict(corpus.index.medicines(tip.position))["ciprofloxacin"] == 2


def test_who_recorded_a_version_is_told_as_its_revision_tells_it(replayed: Archive) -> None:
    index = replayed.index
    for revision in index.revisions(limit=1000):
        for number in range(1, 4):
            try:
                told = index.recording("ema/lemtrada", number, revision.position).json()
            except UnknownVersion:
                with pytest.raises(UnknownVersion):
                    index.act_on("ema/lemtrada", number, revision.position)
                continue
            act = index.act_on("ema/lemtrada", number, revision.position)
            assert act == {name: value for name, value in told.items() if name in act}
            assert told.keys() - act.keys() == {"position", "subjects", "replayed"}


def test_history_names_the_revisions_that_touched_a_document_newest_first(replayed: Archive) -> None:
    tip = replayed.tip()
    assert tip is not None
    history = replayed.index.history("ema/lemtrada", tip.position)
    assert [revision.position for revision in history] == sorted((r.position for r in history), reverse=True)
    assert all(any(subject.startswith("ema/lemtrada") for subject in revision.subjects) for revision in history)
    assert replayed.index.history("ema/lemtrada", tip.position, before=history[1].position) == history[2:]
    told = [revision for revision, _ in replayed.index.recorded(tip.position, "ema/lemtrada")]
    assert told == list(reversed(history))


def test_revisions_are_listed_oldest_first_without_a_gap(replayed: Archive) -> None:
    revisions = replayed.index.revisions(limit=1000)
    assert [revision.position for revision in revisions] == list(range(1, len(revisions) + 1))
    assert replayed.index.revisions(after=2, limit=3) == revisions[2:5]


# --- how it is asked -------------------------------------------------------------------------------------


@contextmanager
def watched(index: Index) -> Iterator[list[str]]:
    """Every statement that is run meanwhile, with its values."""
    told: list[str] = []
    index.sql.set_trace_callback(told.append)
    try:
        yield told
    finally:
        index.sql.set_trace_callback(None)


LOOKUPS: dict[str, Callable[[Index], Any]] = {
    "a document": lambda index: index.document(NAME, 3),
    "its row": lambda index: index.document_row(NAME, 3),
    "a version": lambda index: index.version(NAME, 2, 3),
    "who recorded it": lambda index: index.act_on(NAME, 2, 3),
    "its versions": lambda index: index.version_contents(NAME, 3),
    "what it says on a day": lambda index: index.spans_on(NAME, DAY, 3, ["EU", "UK"]),
    "what it says, as the register does": lambda index: list(index.all_spans_on(DAY, 3, [NAME])),
    "what it says on a day, and awaits": lambda index: index.on_day(NAME, 3, "UK", lambda _: date.fromordinal(DAY), 3),
    "what is coming": lambda index: index.coming_of(NAME, DAY, 3, ["EU", "UK"], 3),
    "its history": lambda index: index.history(NAME, 3),
    "what was recorded of it": lambda index: list(index.recorded(3, NAME)),
    "a revision by its id": lambda index: index.revision(index.revisions()[0].id[:7]),
    "a revision by an instant": lambda index: index.revision_at(datetime(2030, 1, 1, tzinfo=UTC)),
    "a revision by its key": lambda index: index.revision_by_key("k"),
    "a revision by its place": lambda index: index.revision_of(2),
    "what one revision recorded": lambda index: index.contents_of(2),
    "the newest revision": lambda index: index.tip(),
    "a page of documents": lambda index: index.documents(3, after="a", limit=10),
    "a page of revisions": lambda index: index.revisions(1, 10),
}


@pytest.mark.parametrize("ask", LOOKUPS.values(), ids=LOOKUPS)
def test_a_lookup_never_walks_through_a_whole_table(filled: Archive, ask: Callable[[Index], Any]) -> None:
    with watched(filled.index) as told:
        ask(filled.index)
    assert told
    for statement in told:
        plan = [row[3] for row in filled.index.sql.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert not [step for step in plan if _walks(step, statement)], (statement, plan)


def _walks(step: str, statement: str) -> bool:
    """A scan, except of what a part of the same statement just found, and of the newest revision's one row."""
    if (
        "SCAN (subquery" in step
        or step == "SCAN CONSTANT ROW"
        or (step == "SCAN found" and ") found " in statement)
        or (step == "SCAN revision" and statement.endswith("ORDER BY position DESC LIMIT 1"))
    ):
        return False
    return step.startswith("SCAN")


def test_a_statement_is_bound_and_never_put_together_from_what_was_asked(filled: Archive) -> None:
    evil = "ema/x' OR '1'='1"
    with pytest.raises(UnknownDocument):
        filled.index.document(evil, 3)
    assert filled.index.documents(3, medicine=evil) == filled.index.documents(3, authority=evil) == []
    assert filled.index.revision_by_key(evil) is None
    assert filled.index.history(evil, 3) == ()


def test_two_connections_never_share_a_thread(filled: Archive) -> None:
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: (id(filled.index.sql), filled.close())).result()[0]
    assert other != id(filled.index.sql)
    with pytest.raises(sqlite3.ProgrammingError), ThreadPoolExecutor(1) as pool:
        pool.submit(filled.index.sql.execute, "SELECT 1").result()
