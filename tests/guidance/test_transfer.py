"""In and out in bulk: all or nothing, every violation of every file, and the same canonical bytes back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from guidance import schema, transfer
from guidance.archive import Archive, Proposal
from guidance.errors import BadJson, InvalidDocument
from guidance.journal import CORPUS
from guidance.model import canonical
from guidance.store import Act
from tests.guidance import bodies
from tests.guidance.bodies import awaited, since
from tests.guidance.test_schema import EXAMPLES, HOSTILE

NAME = "ema/example"
TakeIn = Callable[..., int]


@pytest.fixture
def take_in(archive: Archive, act: Callable[..., Act], now: datetime) -> TakeIn:
    def taken(source: Path, **told: Any) -> int:
        return archive.take_in(source, act("imported"), now, **told)

    return taken


@pytest.fixture
def other(template: Path, tmp_path: Path) -> Iterable[Archive]:
    """A second register, of somebody else."""
    opened = Archive.init(tmp_path / "other")
    yield opened
    opened.close()


def lines(path: Path, *values: Any) -> Path:
    """A file of JSON lines; bytes are written as they are."""
    path.write_bytes(b"\n".join(v if isinstance(v, bytes) else canonical(v).strip() for v in values) + b"\n")
    return path


def everything(archive: Archive) -> list[bytes]:
    tip = archive.tip()
    return list(transfer.export(archive.index, tip.position)) if tip else []


def history(archive: Archive, name: str | None = None) -> list[bytes]:
    tip = archive.tip()
    assert tip is not None
    return list(transfer.export_history(archive.index, tip.position, name))


def blamed(refused: pytest.ExceptionInfo[InvalidDocument]) -> set[tuple[str, str]]:
    return {(violation.file, violation.pointer) for violation in refused.value.violations}


# --- in --------------------------------------------------------------------------------------------------


def test_a_folder_is_taken_in_one_revision_for_each_version(archive: Archive, take_in: TakeIn) -> None:
    files = list((CORPUS / "documents").rglob("*.json"))
    versions = [file for file in files if file.parent.name == "versions"]
    assert take_in(CORPUS / "documents") == len(versions)
    assert len(everything(archive)) == len(files)
    archive.store.fsck()


def test_lines_are_taken_in_whatever_their_order(archive: Archive, take_in: TakeIn, tmp_path: Path) -> None:
    source = lines(tmp_path / "in.jsonl", bodies.version(2), b"", bodies.version(1), b"  ", bodies.document())
    assert take_in(source) == 2
    revisions = archive.index.revisions()
    assert [revision.subjects for revision in revisions] == [(NAME, f"{NAME}@1"), (f"{NAME}@2",)]
    assert {revision.reason for revision in revisions} == {"imported"}


def test_what_is_recorded_already_makes_no_revision(archive: Archive, take_in: TakeIn, tmp_path: Path) -> None:
    take_in(lines(tmp_path / "in.jsonl", bodies.document(), bodies.version(1)))
    tip = archive.tip()
    assert take_in(lines(tmp_path / "in.jsonl", bodies.document(), bodies.version(1))) == 0
    assert archive.tip() == tip
    assert take_in(lines(tmp_path / "in.jsonl", bodies.document(), bodies.version(1), bodies.version(2))) == 1


def test_progress_is_told(take_in: TakeIn, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    take_in(
        lines(tmp_path / "in.jsonl", bodies.document(), bodies.version(1)), progress=lambda *step: told.append(step)
    )
    assert told


# --- all or nothing --------------------------------------------------------------------------------------


def test_an_import_whose_900th_piece_is_broken_records_nothing_and_lists_every_violation(
    archive: Archive, take_in: TakeIn, tmp_path: Path
) -> None:
    wanted = []
    for number in range(500):
        name = f"ema/example-{number}"
        wanted += [bodies.document(name), bodies.version(1, document=name)]
    broken = [*wanted]
    broken[99] = broken[99] | {"title": "", "stage": "perhaps"}
    broken[899] = b'{"document": "ema/example-449", "document": "ema/example-449"}'
    broken[949] = b"not JSON"
    broken[951] = broken[951] | {"number": 7}
    broken[952] = broken[952] | {"authority": "mhra"}
    with pytest.raises(InvalidDocument) as refused:
        take_in(lines(tmp_path / "in.jsonl", *broken))
    assert blamed(refused) >= {
        ("line 100", "/title"),
        ("line 100", "/stage"),
        ("line 900", "/document"),
        ("line 950", ""),
        ("line 953", "/authority"),
    }
    assert {place for place, _ in blamed(refused)} <= {f"line {n}" for n in (100, 900, 950, 952, 953)}
    assert archive.tip() is None
    assert archive.store.head() is None
    assert take_in(lines(tmp_path / "in.jsonl", *wanted)) == 500


REFUSED: dict[str, tuple[list[Any], tuple[str, str]]] = {
    "a version of no document": ([bodies.version(1)], ("line 1", "")),
    "a number left out": ([bodies.document(), bodies.version(1), bodies.version(3)], ("line 3", "")),
    "one version twice": ([bodies.document(), bodies.version(1), bodies.version(1)], ("line 3", "")),
    "one document twice": ([bodies.document(), bodies.document(title="Again")], ("line 2", "")),
    "two versions on one day": (
        [bodies.document(), bodies.version(1, since("2020-01-16")), bodies.version(2, since("2020-01-16"))],
        ("line 3", "/commencements/0/from"),
    ),
    "a list": ([bodies.document(), []], ("line 2", "")),
    "a number": ([b"1"], ("line 1", "")),
    "neither document nor version": ([{}], ("line 1", "/document")),
}


@pytest.mark.parametrize(("wanted", "blame"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_together_is_refused_with_its_place(
    archive: Archive, take_in: TakeIn, tmp_path: Path, wanted: list[Any], blame: tuple[str, str]
) -> None:
    with pytest.raises(InvalidDocument) as refused:
        take_in(lines(tmp_path / "in.jsonl", *wanted))
    assert blame in blamed(refused)
    assert archive.tip() is None


@pytest.mark.parametrize(("raw", "pointer"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_refused_with_file_and_pointer(
    archive: Archive, take_in: TakeIn, tmp_path: Path, raw: bytes, pointer: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "document.json").write_bytes(canonical(bodies.document()))
    (tmp_path / "in" / "hostile.json").write_bytes(raw)
    with pytest.raises(InvalidDocument) as refused:
        take_in(tmp_path / "in")
    assert blamed(refused) == {("hostile.json", pointer)}
    assert archive.tip() is None


def test_there_must_be_something_to_read(take_in: TakeIn, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", tmp_path / "nowhere.jsonl"):
        with pytest.raises(BadJson) as refused:
            take_in(source)
        assert refused.value.file == str(source)


def test_a_file_that_cannot_be_read_is_not_left_out(archive: Archive, take_in: TakeIn, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.json").write_bytes(canonical(bodies.document()))
    (tmp_path / "in" / "b.json").symlink_to(tmp_path / "moved away.json")
    with pytest.raises(BadJson, match=r"in/b\.json: cannot be read: No such file or directory"):
        take_in(tmp_path / "in")
    assert archive.tip() is None


def test_a_refused_import_leaves_no_process_and_blocks_nobody(
    archive: Archive, take_in: TakeIn, tmp_path: Path
) -> None:
    with pytest.raises(InvalidDocument):
        take_in(lines(tmp_path / "in.jsonl", bodies.document(), bodies.version(1), b"broken"))
    archive.recover()
    left = {str(f.relative_to(archive.store.path)) for f in (archive.store.path / "objects").rglob("*") if f.is_file()}
    assert left == set()
    assert not list(archive.folder.glob("index.sqlite.new*.sqlite"))
    assert take_in(lines(tmp_path / "in.jsonl", bodies.document(), bodies.version(1))) == 1


# --- out and in again ------------------------------------------------------------------------------------


def test_the_register_comes_back_byte_for_byte(
    corpus: Archive, take_in: TakeIn, archive: Archive, tmp_path: Path
) -> None:
    out = everything(corpus)
    (tmp_path / "out.jsonl").write_bytes(b"".join(out))
    take_in(tmp_path / "out.jsonl")
    assert everything(archive) == out
    assert all(canonical(json.loads(line)) == line for line in out)


def test_an_export_as_of_then_tells_only_what_was_known_then(replayed: Archive) -> None:
    then = replayed.at(datetime.fromisoformat("2019-11-05T23:59:59Z"))
    assert then is not None
    told = [json.loads(line) for line in transfer.export(replayed.index, then.position, "ema/lemtrada")]
    assert [body.get("number", 0) for body in told] == [0, 1, 2, 3]
    assert told[3]["stage"] == "recommended"


def test_a_document_comes_back_with_every_revision(
    replayed: Archive, archive: Archive, take_in: TakeIn, tmp_path: Path
) -> None:
    out = history(replayed, "ema/lemtrada")
    (tmp_path / "out.jsonl").write_bytes(b"".join(out))
    assert take_in(tmp_path / "out.jsonl") == len(out)
    back = history(archive)
    kept = ("act", "author", "reason", "approved_by", "replayed")
    for told, again in zip(map(json.loads, out), map(json.loads, back), strict=True):
        assert list(map(canonical, again["entries"])) == list(map(canonical, told["entries"]))
        assert {name: again["revision"][name] for name in kept} == {name: told["revision"][name] for name in kept}
    assert everything(archive) == list(transfer.export(replayed.index, 10**6, "ema/lemtrada"))


def test_the_whole_history_comes_back(replayed: Archive, archive: Archive, take_in: TakeIn, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_bytes(b"".join(history(replayed)))
    take_in(tmp_path / "out.jsonl")
    assert everything(archive) == everything(replayed)
    assert [json.loads(line)["entries"] for line in history(archive)] == [
        json.loads(line)["entries"] for line in history(replayed)
    ]
    archive.store.fsck()


def test_an_imported_revision_is_recorded_now_and_names_its_origin(
    other: Archive, archive: Archive, take_in: TakeIn, act: Callable[..., Act], now: datetime, tmp_path: Path
) -> None:
    then = now - timedelta(days=1000)
    told = other.publish([Proposal(bodies.document()), Proposal(bodies.version(1))], act("the first"), then).revision
    (tmp_path / "out.jsonl").write_bytes(b"".join(history(other)))
    take_in(tmp_path / "out.jsonl")
    tip = archive.tip()
    assert tip is not None
    assert (tip.recorded_at, tip.reason) == (now, "the first")
    command = ["git", "--git-dir", str(archive.store.path), "log", "-1", "--format=%B", tip.id]
    message = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"Origin: {told.id} recorded {told.json()['recorded_at']}" in message.splitlines()


def test_a_history_is_added_to_what_is_recorded(
    other: Archive, archive: Archive, take_in: TakeIn, act: Callable[..., Act], now: datetime, tmp_path: Path
) -> None:
    hoped = bodies.version(1, awaited(), stage="recommended")
    for register in (other, archive):
        register.publish([Proposal(bodies.document()), Proposal(hoped)], act(), now)
    other.publish([Proposal(bodies.version(1))], act("decided"), now)
    other.correct(Proposal(bodies.version(1, title="Corrected")), act("corrected"), now)
    (tmp_path / "out.jsonl").write_bytes(b"".join(history(other)))
    take_in(tmp_path / "out.jsonl")
    assert everything(archive) == everything(other)
    revisions = archive.index.revisions()
    assert [revision.reason for revision in revisions[-2:]] == ["decided", "corrected"]


def test_a_history_that_is_recorded_already_is_not_recorded_again(
    other: Archive, archive: Archive, take_in: TakeIn, act: Callable[..., Act], now: datetime, tmp_path: Path
) -> None:
    """It was set back to its first text and corrected once more, of which every subscriber was told."""
    a, b, c = (bodies.version(1, title=title) for title in ("First", "Second", "Third"))
    other.publish([Proposal(bodies.document()), Proposal(a)], act(), now)
    for later, counts in ((b, (2, 0)), (a, (1, 0)), (c, (1, 0))):
        other.correct(Proposal(later), act(), now)
        (tmp_path / "out.jsonl").write_bytes(b"".join(history(other)))
        assert (take_in(tmp_path / "out.jsonl"), take_in(tmp_path / "out.jsonl")) == counts
    assert [json.loads(line)["entries"] for line in history(archive)] == [
        json.loads(line)["entries"] for line in history(other)
    ]
    assert everything(archive) == everything(other)


def revision(*entries: Any, **told: Any) -> Any:
    """A revision as it is exported."""
    good = json.loads((EXAMPLES / "good" / "exported-revision-smallest.json").read_bytes())["value"]
    return {"revision": good["revision"] | told, "entries": list(entries)}


def test_a_revision_that_records_one_version_twice_is_refused(
    archive: Archive, take_in: TakeIn, tmp_path: Path
) -> None:
    twice = revision(bodies.document(), bodies.version(1), bodies.version(1, title="Again"))
    with pytest.raises(InvalidDocument) as refused:
        take_in(lines(tmp_path / "in.jsonl", twice))
    assert blamed(refused) == {("line 1", "/entries/2")}
    assert archive.tip() is None


def test_what_a_revision_records_is_blamed_within_it(archive: Archive, take_in: TakeIn, tmp_path: Path) -> None:
    broken = revision(bodies.document(title=""), bodies.version(1, stage="perhaps"))
    forged = revision(bodies.document("ema/other"), reason="a\nVersion: 9")
    with pytest.raises(InvalidDocument) as refused:
        take_in(lines(tmp_path / "in.jsonl", broken, forged))
    assert blamed(refused) == {("line 1", "/entries/0/title"), ("line 1", "/entries/1/stage"), ("line 2", "")}
    assert archive.tip() is None


# --- how much a line may hold ----------------------------------------------------------------------------


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> int:
    """As many bytes as a document or version may have, few enough to be quick."""
    monkeypatch.setattr(schema, "SIZE_LIMIT", 2000)
    return schema.SIZE_LIMIT


def long(size: int, name: str = NAME) -> Any:
    """A version of so many bytes."""
    body = bodies.version(1, document=name, note="")
    return body | {"note": "x" * (size - len(canonical(body)))}


def test_one_act_over_many_files_comes_in_again_however_long_its_line_is(
    other: Archive,
    archive: Archive,
    take_in: TakeIn,
    act: Callable[..., Act],
    now: datetime,
    limit: int,
    tmp_path: Path,
) -> None:
    names = [f"ema/long-{letter}" for letter in "abc"]
    wanted = [body for name in names for body in (bodies.document(name), long(limit, name))]
    other.publish(list(map(Proposal, wanted)), act(), now)
    (line,) = history(other)
    assert len(line) > 3 * limit
    for count, spelling in ((1, line), (0, line.replace(b"{", b"{ ", 1))):
        (tmp_path / "out.jsonl").write_bytes(spelling)
        assert take_in(tmp_path / "out.jsonl") == count
    assert everything(archive) == everything(other)


def test_a_document_or_version_that_is_too_long_is_refused_wherever_it_stands(
    archive: Archive, take_in: TakeIn, act: Callable[..., Act], now: datetime, limit: int, tmp_path: Path
) -> None:
    good, body = bodies.document(), long(limit + 1)
    with pytest.raises(InvalidDocument) as refused:
        take_in(lines(tmp_path / "in.jsonl", revision(good, body), body, canonical(body).replace(b"{", b"{ ", 1)))
    assert blamed(refused) == {("line 1", "/entries/1"), ("line 2", ""), ("line 3", "")}
    assert all("the limit is 2000" in violation.why for violation in refused.value.violations)
    with pytest.raises(BadJson, match="ema/example@1: is 2001 bytes long; the limit is 2000"):
        archive.publish([Proposal(good), Proposal(body)], act(), now)
    assert archive.tip() is None
