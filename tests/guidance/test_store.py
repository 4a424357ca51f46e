"""The git repository: what is acknowledged lasts, one publisher at a time, and no text reaches git as anything else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from guidance.archive import Archive, Proposal
from guidance.errors import (
    BadParameter,
    NoRegister,
    RegisterExists,
    StaleRevision,
    StoreBusy,
    StoreError,
    StoreUnreadable,
)
from guidance.model import canonical
from guidance.store import BRANCH, LEFTOVERS, PIECE, Act, Entry, Spool, Store, path_of
from tests.guidance import bodies

NAME = "ema/example"
FIRST = [Entry.of(NAME, 0, canonical(bodies.document())), Entry.of(NAME, 1, canonical(bodies.version(1)))]
SECOND = [Entry.of(NAME, 2, canonical(bodies.version(2)))]


@pytest.fixture
def store(archive: Archive) -> Store:
    return archive.store


@pytest.fixture
def publish(store: Store, act: Callable[..., Act], now: datetime) -> Callable[..., str]:
    """Commit entries on top of whatever is there."""

    def committed(entries: list[Entry] = FIRST, at: datetime = now, **told: object) -> str:
        with store.lock() as lock:
            *_, tip = [None, *(item.revision for item in store.log())]
            return store.commit(lock, act(**told), entries, tip, at)

    return committed


def git(store: Store, *arguments: str, **options: str) -> str:
    """Ask the repository with plain git, as an auditor would."""
    command = ["git", "--git-dir", str(store.path), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout  # type: ignore[call-overload]


# --- what a store is -------------------------------------------------------------------------------------


def test_a_new_store_is_bare_and_its_head_names_a_branch_that_is_never_born(store: Store) -> None:
    assert git(store, "rev-parse", "--is-bare-repository") == "true\n"
    assert git(store, "symbolic-ref", "HEAD") == "refs/heads/unborn\n"
    assert store.head() is None
    assert list(store.log()) == []


def test_files_lie_where_an_auditor_looks_for_them(store: Store, publish: Callable[..., str]) -> None:
    publish()
    found = git(store, "ls-tree", "-r", "--name-only", BRANCH).split()
    assert found == [path_of(NAME, 0), path_of(NAME, 1)]
    assert found[1].startswith("documents/ema/")
    assert found[1].endswith("/example/versions/1.json")
    assert git(store, "show", f"{BRANCH}:{found[1]}").encode() == FIRST[1].content


def test_a_commit_tells_people_and_programs_what_it_did(store: Store, publish: Callable[..., str]) -> None:
    publish(reason="it was decided", approved_by="Head of Pharmacy", key="k-1", replayed=True)
    message = git(store, "log", "--format=%B", BRANCH)
    assert message.splitlines()[0] == "publish ema/example, ema/example@1"
    told = git(store, "log", "--format=%(trailers:only,unfold)", BRANCH)
    assert f"Sha256: {FIRST[1].sha256}" in told
    for line in ("Act: publish", "Reason: it was decided", "Approved-by: Head of Pharmacy", "Replayed: yes"):
        assert line in told.splitlines()
    assert git(store, "log", "--format=%cn", BRANCH) == "Inforce\n"


def test_what_was_recorded_is_read_back(store: Store, publish: Callable[..., str], now: datetime) -> None:
    first = publish(reason="the first")
    second = publish(SECOND, now + timedelta(days=1), reason="the second", author="Bo Ek <bo@example.org>", key="k-2")
    one, two = store.log()
    assert (one.revision.id, one.revision.position, one.revision.reason) == (first, 1, "the first")
    assert one.revision.subjects == (NAME, f"{NAME}@1")
    assert (two.revision.id, two.revision.position, two.revision.key) == (second, 2, "k-2")
    assert two.revision.author == "Bo Ek <bo@example.org>"
    assert two.revision.recorded_at == now + timedelta(days=1)
    assert list(store.log(first, 1)) == [two]
    assert dict(store.read([two.blobs[0][2]])) == {SECOND[0].blob: SECOND[0].content}
    assert store.tree(second) == {path_of(NAME, e.number): e.blob for e in (*FIRST, *SECOND)}
    assert dict(store.changed()) == {
        revision: tuple(("A", entry.blob, entry.path) for entry in entries)
        for revision, entries in ((first, FIRST), (second, SECOND))
    }


def test_there_is_no_register_in_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(NoRegister, match="inforce init"):
        Store(tmp_path)


def test_a_second_init_changes_nothing(store: Store, publish: Callable[..., str]) -> None:
    head = publish()
    with pytest.raises(RegisterExists):
        Store.init(store.path)
    assert store.head() == head


@pytest.mark.parametrize(
    "broken", ["head names nothing", "head is not an id", "head is no reference", "objects are gone"]
)
def test_a_broken_repository_is_said_to_be_unreadable(store: Store, publish: Callable[..., str], broken: str) -> None:
    publish()
    match broken:
        case "head names nothing":
            (store.path / BRANCH).write_text("0" * 39 + "1\n")
        case "head is not an id":
            (store.path / BRANCH).write_bytes(b"\xff\xfe")
        case "head is no reference":
            (store.path / "HEAD").write_text("nonsense\n")
        case _:
            shutil.rmtree(store.path / "objects")
    with pytest.raises(StoreUnreadable):
        Store(store.path)


def test_a_head_that_was_packed_away_is_still_found(store: Store, publish: Callable[..., str]) -> None:
    head = publish()
    git(store, "pack-refs", "--all")
    assert not (store.path / BRANCH).exists()
    assert store.head() == head
    assert publish(SECOND) == store.head()


def test_an_object_that_is_missing_is_said_to_be(store: Store) -> None:
    with pytest.raises(StoreUnreadable, match=r"0{40} is missing"):
        list(store.read(["0" * 40]))


def test_contains_knows_its_own_revisions_and_no_other(store: Store, publish: Callable[..., str]) -> None:
    assert store.contains(publish()) is True
    for other in ("0" * 40, "HEAD", "--all", "", BRANCH):
        assert store.contains(other) is False


# --- durable ---------------------------------------------------------------------------------------------


def test_every_commit_passes_gits_own_check(store: Store, publish: Callable[..., str]) -> None:
    publish()
    publish(SECOND)
    store.fsck()


def test_everything_is_synced_and_nothing_is_tidied_behind_our_back(store: Store) -> None:
    told = dict(line.split("=", 1) for line in git(store, "config", "--local", "--list").splitlines())
    assert told["core.fsync"] == "all"
    assert told["gc.auto"] == "0"
    assert told["maintenance.auto"] == "false"
    assert told["core.hookspath"] == "/dev/null"


LEFT = (
    "refs/heads/main.lock",
    "HEAD.lock",
    "packed-refs.lock",
    "objects/pack/tmp_pack_x1y2",
    "objects/ab/tmp_obj_x1y2",
    "fast_import_crash_4711",
)


def test_what_a_killed_publish_left_behind_is_cleared(archive: Archive, publish: Callable[..., str]) -> None:
    publish()
    before = set(_files(archive.store.path))
    for name in LEFT:
        (archive.store.path / name).parent.mkdir(exist_ok=True)
        (archive.store.path / name).write_text("left behind")
    assert set(archive.recover()) == set(LEFT)
    assert set(_files(archive.store.path)) == before
    assert archive.recover() == ()
    publish(SECOND)


def test_what_was_left_behind_is_nobodys_business_while_another_publishes_or_nothing_may_be_written(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    (archive.store.path / "HEAD.lock").write_text("left behind")
    began = time.monotonic()
    with archive.store.lock():
        assert archive.recover() == ()
    assert time.monotonic() - began < 5

    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        assert archive.recover() == ()
    assert archive.recover() == ("HEAD.lock",)


def test_a_lock_file_left_behind_never_blocks_the_next_publish(store: Store, publish: Callable[..., str]) -> None:
    for name in ("refs/heads/main.lock", "HEAD.lock"):
        (store.path / name).write_text("left behind")
    assert publish() == store.head()


def test_leftovers_are_never_something_that_git_keeps(store: Store, publish: Callable[..., str]) -> None:
    publish()
    with store.lock() as lock:
        store.maintain(lock)
    kept = {path for pattern in LEFTOVERS for path in store.path.glob(pattern)}
    assert kept == set()


def test_maintenance_loses_no_object(store: Store, publish: Callable[..., str]) -> None:
    publish()
    publish(SECOND)
    before = git(store, "cat-file", "--batch-all-objects", "--batch-check")
    with store.lock() as lock:
        store.maintain(lock)
    assert git(store, "cat-file", "--batch-all-objects", "--batch-check") == before
    assert sorted(store.in_pack_order()) == sorted(e.blob for e in (*FIRST, *SECOND))


def test_a_stream_that_fails_records_nothing(
    store: Store, publish: Callable[..., str], act: Callable[..., Act], now: datetime
) -> None:
    publish()
    head, (tip,) = store.head(), store.log()
    with store.lock() as lock, pytest.raises(ZeroDivisionError), store.stream(lock, tip.revision, now) as stream:
        raise ZeroDivisionError(stream.commit(act(), [(SECOND[0], None)]))
    assert store.head() == head
    publish(SECOND)


def test_a_git_that_fails_is_told_with_its_own_words(store: Store, act: Callable[..., Act], now: datetime) -> None:
    shutil.rmtree(store.path / "objects")
    (store.path / "objects").write_text("a file where a folder should be")
    with store.lock() as lock, pytest.raises(StoreError, match="git fast-import"):
        store.commit(lock, act(), FIRST, None, now)


# --- one at a time ---------------------------------------------------------------------------------------


def test_a_publisher_who_started_from_an_older_revision_is_refused(
    store: Store, publish: Callable[..., str], act: Callable[..., Act], now: datetime
) -> None:
    head = publish()
    with store.lock() as lock, pytest.raises(StaleRevision) as refused:
        store.commit(lock, act(), SECOND, None, now)
    assert (refused.value.base, refused.value.head) == ("", head)
    assert store.head() == head


def test_a_second_publisher_waits_and_is_told_when_it_takes_too_long(store: Store) -> None:
    with store.lock(), pytest.raises(StoreBusy, match=r"0\.05 seconds"), store.lock(wait=0.05):
        pytest.fail("two publishers at once")
    with store.lock(wait=0):
        pass


SLOW_GIT = """#!/bin/sh
case "$*" in *fast-import*) touch "{seen}"; sleep {seconds};; esac
exec {git} "$@"
"""

PUBLISHER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from guidance.archive import Archive, Proposal
from guidance.store import Act
from tests.guidance import bodies

archive = Archive(Path(sys.argv[1]))
act = Act("publish", "Ada <ada@example.org>", "killed on the way")
archive.publish([Proposal(bodies.document()), Proposal(bodies.version(1))], act, datetime.now(UTC))
"""


@pytest.fixture
def killed(archive: Archive, tmp_path: Path) -> Archive:
    """A register whose publisher was killed while the git that it started was still at work."""
    archive.close()
    slow, seen = tmp_path / "bin" / "git", tmp_path / "seen"
    slow.parent.mkdir()
    slow.write_text(SLOW_GIT.format(seen=seen, seconds=1.5, git=shutil.which("git")))
    slow.chmod(0o755)
    environment = {**os.environ, "PATH": f"{slow.parent}:{os.environ['PATH']}"}
    process = subprocess.Popen([sys.executable, "-c", PUBLISHER, str(archive.folder)], env=environment)
    deadline = time.monotonic() + 30
    while not seen.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return archive


def test_the_lock_outlives_a_killed_publisher_until_its_git_is_gone(killed: Archive, act: Callable[..., Act]) -> None:
    with pytest.raises(StoreBusy), killed.store.lock(wait=0.1):
        pytest.fail("the killed publisher's git is still writing")
    with killed.store.lock(wait=30):
        pass
    killed.recover()
    tip = killed.tip()
    wanted = [Proposal(bodies.document()), Proposal(bodies.version(1))]
    receipt = killed.publish(wanted, act(), datetime.fromisoformat("2026-02-02T12:00:00Z"))
    assert receipt.recorded is (tip is None)
    killed.store.fsck()


# --- recorded time ---------------------------------------------------------------------------------------


def test_recorded_time_does_not_run_backwards_when_the_clock_does(
    store: Store, publish: Callable[..., str], now: datetime
) -> None:
    publish()
    publish(SECOND, now - timedelta(days=365))
    publish([Entry.of(NAME, 3, canonical(bodies.version(3)))], now + timedelta(seconds=1))
    assert [item.revision.recorded_at for item in store.log()] == [now, now, now + timedelta(seconds=1)]


# --- text stays text -------------------------------------------------------------------------------------

IDS = [
    "",
    "ema",
    "ema/",
    "/example",
    "ema//example",
    "ema/example/more",
    "ema/..",
    "../example",
    "ema/../../config",
    "ema/.git",
    "ema/example\n",
    "ema/example\nM 100644 inline HEAD",
    "ema/ex ample",
    "ema/Example",
    "ema/example-",
    "-ema/example",
    "--output=x/y",
    "ema/ex\x00ample",
    'ema/"example"',
    "ema/e\u0301xample",
    "ema/" + "x" * 65,
]


@pytest.mark.parametrize("name", IDS)
def test_an_id_that_is_none_never_becomes_a_path(name: str) -> None:
    with pytest.raises(BadParameter):
        path_of(name, 1)


@pytest.mark.parametrize("number", [-1, 100_001])
def test_a_number_that_is_none_never_becomes_a_path(number: int) -> None:
    with pytest.raises(BadParameter):
        path_of(NAME, number)


AUTHORS = [
    "",
    "Ada",
    "ada@example.org",
    "<ada@example.org>",
    " <ada@example.org>",
    " Ada <ada@example.org>",
    "Ada  <ada@example.org>",
    "Ada <ada@example.org> ",
    "Ada <>",
    "Ada <ada@example.org>\n",
    "Ada\ncommitter Eve <ada@example.org>",
    "Ada <ada@example.org> 0 +0000\ncommitter Eve <eve@example.org>",
    "Ada <ada\u2028@example.org>",
    "Ada <ada @example.org>",
    "Ada <<ada@example.org>",
    "Ada\x00 <ada@example.org>",
    "Ada\udcff <ada@example.org>",
    "x" * 201 + " <ada@example.org>",
]


@pytest.mark.parametrize("author", AUTHORS)
def test_an_author_that_is_none_is_refused(author: str) -> None:
    with pytest.raises(BadParameter) as refused:
        Act("publish", author, "because")
    assert refused.value.parameter == "author"


@pytest.mark.parametrize(
    "text", ["", " ", "a\nVersion: 9", "a\r", "a\x00", "a\x85b", "a\u2028b", " a", "a ", "\udcff", "x" * 2001]
)
@pytest.mark.parametrize("parameter", ["reason", "approved_by", "key", "origin"])
def test_what_is_not_one_line_of_text_never_becomes_part_of_a_commit(parameter: str, text: str) -> None:
    told = {"reason": "because", parameter: text}
    with pytest.raises(BadParameter) as refused:
        Act("publish", "Ada <ada@example.org>", **told)  # type: ignore[arg-type]
    assert refused.value.parameter == parameter.replace("_", "-")


FORGED = "Version: 9 Document: ema/other Blob: 0 Act: withdraw Replayed: yes Idempotency-Key: x"


def test_no_trailer_can_be_forged_by_what_people_write(store: Store, publish: Callable[..., str]) -> None:
    publish(reason=FORGED, approved_by=FORGED, author="Document: ema/other <version:9@example.org>")
    (item,) = store.log()
    assert item.blobs == tuple((entry.document, entry.number, entry.blob) for entry in FIRST)
    assert item.revision.subjects == (NAME, f"{NAME}@1")
    assert (item.revision.act, item.revision.replayed, item.revision.key) == ("publish", False, None)
    assert (item.revision.reason, item.revision.approved_by) == (FORGED, FORGED)
    assert item.revision.author == "Document: ema/other <version:9@example.org>"


@pytest.mark.parametrize(
    "author",
    ["Ada. <a.@example.org>", "'Ada' \"B\" <a'b@x>", "Äda Ωμέγα 💊 <ä@example.org>", ", <,>", "# % $(id) <`x`>"],
)
def test_every_author_that_is_accepted_is_read_back_to_the_letter(
    store: Store, publish: Callable[..., str], author: str
) -> None:
    publish(author=author, reason=author)
    (item,) = store.log()
    assert (item.revision.author, item.revision.reason) == (author, author)


def test_no_hook_ever_runs(store: Store, publish: Callable[..., str], tmp_path: Path) -> None:
    (store.path / "hooks").mkdir(exist_ok=True)
    for name in ("reference-transaction", "update", "post-update", "pre-receive", "post-receive", "post-commit"):
        hook = store.path / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\nexit 1\n")
        hook.chmod(0o755)
    publish()
    with store.lock() as lock:
        store.maintain(lock)
    assert not (tmp_path / "ran").exists()


ENVIRONMENT = {
    "GIT_DIR": "/nowhere",
    "GIT_OBJECT_DIRECTORY": "/nowhere",
    "GIT_INDEX_FILE": "/nowhere",
    "GIT_NAMESPACE": "elsewhere",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.fsync",
    "GIT_CONFIG_VALUE_0": "none",
    "GIT_CONFIG_PARAMETERS": "'core.fsync=none'",
    "GIT_TEST_FSYNC": "0",
    "GIT_COMMITTER_NAME": "Eve",
    "GIT_AUTHOR_DATE": "1999-01-01T00:00:00Z",
    "GIT_REPLACE_REF_BASE": "refs/other/",
}


def test_the_callers_git_environment_reaches_no_git_of_ours(
    store: Store, publish: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[..., Act]
) -> None:
    for name, value in {**ENVIRONMENT, "GIT_TRACE": str(tmp_path / "trace")}.items():
        monkeypatch.setenv(name, value)
    opened = Store(store.path)
    assert not {name for name in os.environ if name.startswith("GIT_") and not name.startswith("GIT_PYTHON_")}
    publish()
    assert opened.head() == store.head()
    assert git(opened, "log", "--format=%cn", BRANCH) == "Inforce\n"
    assert not (tmp_path / "trace").exists()


def test_a_fsync_setting_that_comes_later_is_overridden(
    store: Store, publish: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = tmp_path / "bin" / "git"
    spy.parent.mkdir()
    spy.write_text(
        f'#!/bin/sh\n{shutil.which("git")} config core.fsync >> {tmp_path / "told"}\nexec {shutil.which("git")} "$@"\n'
    )
    spy.chmod(0o755)
    for name, value in ENVIRONMENT.items():
        if name.startswith("GIT_CONFIG_") and name != "GIT_CONFIG_PARAMETERS":
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{spy.parent}:{os.environ['PATH']}")
    publish()
    assert set((tmp_path / "told").read_text().split()) == {"all"}


def test_the_persons_own_git_settings_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[..., Act], now: datetime
) -> None:
    (tmp_path / ".gitconfig").write_text(
        "[init]\n\tdefaultObjectFormat = sha256\n[user]\n\tname = Eve\n[core]\n\tfsync = none\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    store = Store.init(tmp_path / "register.git")
    with store.lock() as lock:
        assert len(store.commit(lock, act(), FIRST, None, now)) == 40


# --- leaving nothing open --------------------------------------------------------------------------------


def test_reading_and_writing_leave_no_descriptor_and_no_process(store: Store, publish: Callable[..., str]) -> None:
    publish()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(2, 8):
        head = publish([Entry.of(NAME, number, canonical(bodies.version(number)))])
        next(iter(store.read([FIRST[0].blob, FIRST[1].blob])))
        next(iter(store.log()))
        list(store.changed())
        store.tree(head)
        store.check()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    assert [child for child in children if "git" in Path(f"/proc/{child}/comm").read_text()] == []


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


# --- a pipe that keeps nobody waiting ---------------------------------------------------------------------


def test_a_spool_hands_on_every_byte_in_order_however_slow_the_reader(tmp_path: Path) -> None:
    pieces = [os.urandom(size) for size in (0, 1, PIECE - 1, PIECE, 3 * PIECE + 7, 10)]
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdin
        assert reader.stdout
        with Spool(tmp_path) as spool:
            spool.before(reader.stdin)
            for piece in pieces:
                spool.write(piece)  # far more than a pipe holds, and nobody has read yet
            spool.flush()
            reader.stdin.close()
            read = reader.stdout.read(100)
            read += reader.stdout.read(sum(map(len, pieces)) - 100)
            spool.drain()
    assert read == b"".join(pieces)
    assert list(tmp_path.iterdir()) == []


def test_a_spool_whose_reader_is_gone_says_so_in_the_end(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as reader, Spool(tmp_path) as spool:
        assert reader.stdin
        spool.before(reader.stdin)
        reader.wait()
        for _ in range(3):
            spool.write(b"x" * PIECE)
        with pytest.raises(BrokenPipeError):
            spool.drain()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_bulk_stream_that_git_refuses_or_that_is_given_up_records_nothing(
    store: Store, act: Callable[..., Act], now: datetime
) -> None:
    def stream(lock: int, mark: int | None, failure: Exception | None) -> None:
        with store.stream(lock, None, now, bulk=True) as bulk:
            bulk.commit(act(), [(entry, mark) for entry in FIRST])
            if failure:
                raise failure

    with store.lock() as lock:
        with pytest.raises(StoreError, match="fast-import"):
            stream(lock, 99, None)  # a mark that was never made
        with pytest.raises(KeyError):
            stream(lock, None, KeyError())
        assert store.head() is None
        stream(lock, None, None)
    assert store.head() is not None
