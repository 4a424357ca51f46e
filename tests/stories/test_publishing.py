"""An author's day: check, publish, correct, withdraw, export, import, verify; and nothing written by mistake."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from guidance.archive import Archive
from service.cli import main
from tests.guidance import bodies
from tests.service.doors import door

WHO = ("--author", "Ada Pharmacist <ada@example.org>", "--reason", "as the authority published it")
Json = Any


class Desk:
    """An author at work: files to hand in, and one register."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.register = folder, folder / "register"

    def run(self, *given: str, data: bool = True) -> Result:
        where = ["--data", str(self.register)] if data else []
        return CliRunner().invoke(main, [*given, *where], catch_exceptions=False)

    def file(self, name: str, body: Json) -> str:
        path = self.folder / name
        path.write_text(body if isinstance(body, str) else json.dumps(body), "utf-8")
        return str(path)

    @property
    def head(self) -> str | None:
        reference = self.register / "register.git" / "refs" / "heads" / "main"
        return reference.read_text().strip() if reference.exists() else None

    def told(self, *given: str) -> Json:
        result = self.run(*given, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def exported(self, *given: str) -> bytes:
        result = self.run("export", *given)
        assert result.exit_code == 0, result.output
        return result.stdout_bytes


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    assert made.run("init", "--empty").exit_code == 0
    return made


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk whose register holds one document with one version. Only to copy."""
    made = Desk(tmp_path_factory.mktemp("beginning"))
    made.run("init", "--empty")
    files = [made.file("document.json", bodies.document()), made.file("1.json", bodies.version(1))]
    assert made.run("publish", *files, *WHO).exit_code == 0
    return made


@pytest.fixture
def begun(beginning: Desk, tmp_path: Path) -> Desk:
    return Desk(shutil.copytree(beginning.folder, tmp_path / "desk"))


def test_a_day_at_the_desk(desk: Desk) -> None:
    document, first = bodies.document(), bodies.version(1, bodies.since("2024-01-01"))
    files = [desk.file("document.json", document), desk.file("1.json", first)]
    assert desk.run("check", *files, data=False).stdout == "2 files conform\n"

    published = desk.run("publish", *files, *WHO, "--approved-by", "Board, 2024-01-02")
    assert published.exit_code == 0
    assert published.stdout == f"publish ema/example, ema/example@1 as revision {desk.head}\n"
    assert desk.told("show", "ema/example", "--on", "2024-06-01")["version"]["number"] == 1

    hoped = bodies.version(
        2, bodies.awaited(expected="2025-03"), stage="recommended", rules=[bodies.rule("one"), bodies.rule("two")]
    )
    assert desk.run("publish", desk.file("2.json", hoped), *WHO).exit_code == 0
    coming = desk.told("show", "ema/example", "--on", "2025-01-01")["coming"]
    assert [(item["version"], item["stage"], item["from"], item["expected"]) for item in coming] == [
        (2, "recommended", None, "2025-03")
    ]

    decided = {**hoped, "stage": "decided", "commencements": [bodies.since("2025-03-10")]}
    assert desk.run("publish", desk.file("2.json", decided), *WHO).stdout.startswith(
        "advance ema/example@2 as revision"
    )
    for day, number in (("2025-03-09", 1), ("2025-03-10", 2)):
        assert desk.told("show", "ema/example", "--on", day)["version"]["number"] == number

    wrong = {**decided, "title": "Version 2, as it should have read"}
    assert desk.run("correct", desk.file("2.json", wrong), *WHO).stdout.startswith("correct ema/example@2 as revision")
    assert desk.told("show", "ema/example@2")["version"]["title"] == "Version 2, as it should have read"

    ended = desk.run("withdraw", "ema/example@2", "--ends", "suspended", "--on", "2025-06-01", *WHO)
    assert ended.stdout.startswith("withdraw ema/example@2 as revision")
    gone = desk.told("show", "ema/example", "--on", "2025-06-01")
    assert (gone["selected"]["state"], gone["selected"]["ends"], gone["version"]) == ("ended", "suspended", None)
    assert gone["selected"]["ends_basis"] == "as the authority published it"
    assert desk.told("show", "ema/example", "--on", "2025-05-31")["version"]["number"] == 2

    log = desk.told("log", "ema/example")["revisions"]
    assert [item["act"] for item in log] == ["withdraw", "correct", "advance", "publish", "publish"]
    assert log[-1]["approved_by"] == "Board, 2024-01-02"
    assert {item["author"] for item in log} == {"Ada Pharmacist <ada@example.org>"}
    assert desk.told("show", "ema/example@2", "--at", log[2]["id"])["version"]["title"] == "Version 2"

    diff = desk.told("diff", "ema/example", "--from", "@1", "--to", "@2")
    assert [change["name"] for change in diff["changes"] if change["subject"] == "rule"] == ["two"]
    assert desk.run("verify").exit_code == 0


# --- nothing is written by mistake -----------------------------------------------------------------------


def test_every_violation_of_every_file_is_listed_with_its_pointer_and_nothing_is_written(begun: Desk) -> None:
    wrong = bodies.version(2, bodies.since("2025-01-01"), title="", rules=[bodies.rule("one"), bodies.rule("one")])
    other = bodies.version(3, bodies.since("2025-02-01"))
    other["rules"][0]["source"] = {"ref": "nowhere"}
    files = [begun.file("2.json", wrong), begun.file("3.json", other)]
    before = begun.head
    for verb in ("check", "publish"):
        result = begun.run(verb, *files, *(WHO if verb == "publish" else ()), data=verb == "publish")
        assert result.exit_code == 2
        assert result.stdout == ""
        assert f"{files[0]} /title: " in result.stderr
        assert f"{files[1]} /rules/0/source/ref: cites 'nowhere'" in result.stderr
    assert begun.head == before
    assert begun.told("show", "ema/example")["coming"] == []


REFUSED: dict[str, tuple[Callable[[], Json], int, str]] = {
    "a 'from' in two versions on one day": (
        lambda: bodies.version(2, bodies.since("2011-01-01")),
        2,
        "/commencements/0/from: version 1 also starts on 2011-01-01 in EU",
    ),
    "a rule whose source is missing": (
        lambda: bodies.version(2, bodies.since("2025-01-01"), rules=[bodies.rule("one", source={"ref": "gone"})]),
        2,
        "/rules/0/source/ref: cites 'gone', which is not among the version's sources",
    ),
    "a version for an unknown document": (
        lambda: bodies.version(1, document="ema/nothing"),
        3,
        "no document 'ema/nothing' is recorded",
    ),
    "a version out of turn": (
        lambda: bodies.version(3, bodies.since("2025-01-01")),
        4,
        "ema/example@3: is not the next version, which is 2",
    ),
    "another text for a version that is settled": (
        lambda: bodies.version(1, title="Rewritten"),
        4,
        "ema/example@1: is recorded as binding",
    ),
    "an id with a path in it": (lambda: bodies.version(1, document="ema/../../x"), 2, "/document: "),
    "an id with capitals": (lambda: bodies.document("ema/Example"), 2, "/id: "),
    "a day that there is not": (lambda: bodies.version(2, bodies.since("2025-02-29")), 2, "/commencements/0/from: "),
    "a month that there is not": (
        lambda: bodies.version(2, bodies.awaited(expected="2025-00"), stage="adopted"),
        2,
        "/commencements/0/expected: ",
    ),
    "an end before its beginning": (
        lambda: bodies.version(2, bodies.since("2025-01-01", to="2024-01-01")),
        2,
        "/commencements/0/to: 2024-01-01 is not after 'from' 2025-01-01",
    ),
    "a place that is none": (
        lambda: bodies.version(2, bodies.since("2025-01-01", "XX")),
        2,
        "'XX' is not a jurisdiction",
    ),
    "a member that is not known": (
        lambda: bodies.version(2, bodies.since("2025-01-01"), extra=1),
        2,
        "/extra: is not a member",
    ),
    "a link that is none": (
        lambda: bodies.version(
            2,
            bodies.since("2025-01-01"),
            sources=[
                {"id": "decision", "title": "x", "publisher": "x", "tier": "primary", "link": "javascript:alert(1)"}
            ],
        ),
        2,
        "/sources/0/link: ",
    ),
    "duplicate keys": (
        lambda: '{"document": "ema/example", "document": "ema/other"}',
        2,
        "/document: the key stands twice",
    ),
    "NaN": (lambda: '{"number": NaN}', 2, "/number: NaN is not JSON"),
    "infinity": (lambda: '{"number": 1e400}', 2, "/number: the number 1e400 is too large"),
    "a number that would lose digits": (
        lambda: '{"number": 9007199254740993}',
        2,
        "/number: the whole number is beyond 2^53",
    ),
    "half of a surrogate pair": (lambda: '{"title": "\\ud83d"}', 2, "/title: holds half of a surrogate pair"),
    "great depth": (lambda: "[" * 100_000, 2, "is nested too deeply to be read"),
    "no JSON": (lambda: "no, really", 2, "is not JSON: Expecting value at line 1, column 1"),
    "an empty file": (lambda: "", 2, "is not JSON"),
    "a list": (lambda: "[]", 2, "is not of type 'object'"),
    "a remote schema": (
        lambda: '{"$ref": "http://evil.example/schema.json"}',
        2,
        "/$ref: is not a member that is known here",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_wrong_is_refused_with_its_pointer_and_nothing_is_written(begun: Desk, what: str) -> None:
    make, code, why = REFUSED[what]
    before = begun.head
    result = begun.run("publish", begun.file("x.json", make()), *WHO)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("inforce: ")
    assert why in result.stderr
    assert begun.head == before
    assert begun.run("verify").exit_code == 0


@pytest.mark.parametrize(
    "content", [b'{"title": "\xff"}', '{"title": "x"}'.encode("utf-16")], ids=["no UTF-8", "UTF-16"]
)
def test_bytes_that_are_no_utf_8_are_refused(begun: Desk, content: bytes) -> None:
    path = begun.folder / "x.json"
    path.write_bytes(content)
    before = begun.head
    for verb, more in (("check", ()), ("publish", WHO)):
        result = begun.run(verb, str(path), *more, data=verb == "publish")
        assert result.exit_code == 2
        assert "is not UTF-8: byte" in result.stderr
    assert begun.head == before


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--author", "Ada"),
        ("--author", "Ada <ada@example.org>\nCommitter: x <x@x>"),
        ("--author", " <ada@example.org>"),
        ("--author", "Ada <<ada@example.org>"),
        ("--reason", ""),
        ("--reason", "two\nlines"),
        ("--reason", "Act: x\rBlob: y"),
        ("--reason", "x" * 3000),
        ("--approved-by", "me\nDocument: ema/other"),
        ("--key", "a\nVersion: 3"),
        ("--key", " "),
    ],
)
def test_no_word_of_an_author_becomes_a_line_of_the_record(begun: Desk, option: str, value: str) -> None:
    before = begun.head
    given = {"--author": WHO[1], "--reason": WHO[3], option: value}
    words = [word for pair in given.items() for word in pair]
    result = begun.run("publish", begun.file("2.json", bodies.version(2, bodies.since("2025-01-01"))), *words)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"inforce: {option.removeprefix('--')}")
    assert begun.head == before


def test_words_that_look_like_options_of_git_are_words(begun: Desk) -> None:
    version = bodies.version(2, bodies.since("2025-01-01"))
    words = ["--author", "--output=x <--exec@x>", "--reason", "--output=/tmp/x; $(touch x)", "--key", "--key"]
    assert begun.run("publish", begun.file("2.json", version), *words).exit_code == 0
    newest = begun.told("log", "ema/example")["revisions"][0]
    assert (newest["author"], newest["reason"]) == ("--output=x <--exec@x>", "--output=/tmp/x; $(touch x)")
    assert begun.run("verify").exit_code == 0


# --- others at work --------------------------------------------------------------------------------------


def test_whoever_started_from_an_older_revision_is_told_and_nothing_is_lost(begun: Desk) -> None:
    base = begun.head or ""
    file = begun.file("2.json", bodies.version(2, bodies.since("2025-01-01")))
    assert begun.run("publish", file, *WHO, "--base", base).exit_code == 0
    after = begun.head
    again = begun.file("3.json", bodies.version(3, bodies.since("2026-01-01")))
    stale = begun.run("publish", again, *WHO, "--base", base)
    assert stale.exit_code == 4
    assert stale.stderr == f"inforce: started from revision {base}, but the register is at {after}\n"
    assert begun.head == after
    assert begun.run("publish", again, *WHO, "--base", (after or "")[:12]).exit_code == 0


@pytest.mark.parametrize("base", ["", "abc", "f" * 40, "HEAD", "main"])
def test_a_base_that_is_no_revision_is_stale(begun: Desk, base: str) -> None:
    before = begun.head
    file = begun.file("2.json", bodies.version(2, bodies.since("2025-01-01")))
    assert begun.run("publish", file, *WHO, "--base", base).exit_code == 4
    assert begun.head == before


def test_a_retry_with_its_key_records_nothing_twice(begun: Desk) -> None:
    file = begun.file("2.json", bodies.version(2, bodies.since("2025-01-01")))
    base = begun.head or ""
    first = begun.run("publish", file, *WHO, "--key", "press-release-7", "--base", base)
    after = begun.head
    again = begun.run("publish", file, *WHO, "--key", "press-release-7", "--base", base)
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert first.stdout == f"publish ema/example@2 as revision {after}\n"
    assert again.stdout == f"recorded before ema/example@2 as revision {after}\n"
    assert begun.head == after
    other = begun.file("2b.json", bodies.version(2, bodies.since("2025-01-01"), title="Another"))
    reused = begun.run("publish", other, *WHO, "--key", "press-release-7")
    assert reused.exit_code == 4
    assert "the key 'press-release-7' already stands for revision" in reused.stderr
    assert begun.head == after


def test_what_is_recorded_already_is_not_recorded_again(begun: Desk) -> None:
    before = begun.head
    for verb in ("publish", "correct"):
        result = begun.run(verb, str(begun.folder / "1.json"), *WHO)
        assert (result.exit_code, result.stdout) == (
            0,
            f"recorded before ema/example@1 as revision {before}\n".replace(
                "ema/example@1", "ema/example, ema/example@1"
            ),
        )
    assert begun.head == before


def test_an_act_needs_somebody_who_acts(begun: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    file = begun.file("2.json", bodies.version(2, bodies.since("2025-01-01")))
    nobody = begun.run("publish", file, "--reason", "because")
    assert nobody.exit_code == 2
    assert "say who acts, or set INFORCE_AUTHOR" in nobody.stderr
    monkeypatch.setenv("INFORCE_AUTHOR", "Grace Reviewer <grace@example.org>")
    assert begun.run("publish", file, "--reason", "because").exit_code == 0
    assert begun.told("log")["revisions"][0]["author"] == "Grace Reviewer <grace@example.org>"


# --- withdrawing -----------------------------------------------------------------------------------------


def test_what_never_took_effect_is_withdrawn_without_a_day(begun: Desk) -> None:
    hoped = bodies.version(2, bodies.awaited(expected="2025-03"), stage="recommended")
    begun.run("publish", begun.file("2.json", hoped), *WHO)
    assert begun.run("withdraw", "ema/example@2", *WHO).exit_code == 0
    told = begun.told("show", "ema/example@2")["version"]
    assert (told["status"], told["status_note"]) == ("withdrawn", "as the authority published it")
    assert begun.told("show", "ema/example", "--on", "2025-01-01")["coming"] == []


def test_an_end_can_be_meant_for_one_place_only(desk: Desk) -> None:
    version = bodies.version(1, bodies.since("2024-01-01", "EU", "UK"))
    desk.run(
        "publish", desk.file("d.json", bodies.document("ema/example", "EU", "UK")), desk.file("1.json", version), *WHO
    )
    assert desk.run("withdraw", "ema/example@1", "--on", "2024-06-01", "--jurisdiction", "UK", *WHO).exit_code == 0
    states = {
        place: desk.told("show", "ema/example", "--on", "2024-06-01", "--jurisdiction", place)["selected"]["state"]
        for place in ("EU", "UK")
    }
    assert states == {"EU": "in-force", "UK": "ended"}


@pytest.mark.parametrize(
    ("given", "code", "why"),
    [
        (["ema/example@1"], 4, "has a day on which it takes effect; say from which day it ends (--on)"),
        (["ema/example@1", "--on", "2010-01-01"], 4, "is not in force anywhere on 2010-01-01"),
        (["ema/example@1", "--on", "2024-06-01", "--jurisdiction", "UK"], 4, "was never recorded to start in UK"),
        (["ema/example@1", "--on", "2024-06-31"], 2, "--on: '2024-06-31' is not a date that exists"),
        (["ema/example@1", "--on", "2024-06"], 2, "--on: '2024-06' is not a day"),
        (["ema/example@9", "--on", "2024-06-01"], 3, "ema/example has no version 9"),
        (["ema/nothing@1", "--on", "2024-06-01"], 3, "no document 'ema/nothing' is recorded"),
        (["ema/example"], 2, "names no version; write one such as ema/lemtrada@3"),
        (["ema/example@x"], 2, "is not a document's id"),
    ],
)
def test_an_end_that_fits_nothing_is_refused(begun: Desk, given: list[str], code: int, why: str) -> None:
    before = begun.head
    result = begun.run("withdraw", *given, *WHO)
    assert result.exit_code == code
    assert why in result.stderr
    assert begun.head == before


# --- in bulk ---------------------------------------------------------------------------------------------


def test_what_is_exported_imports_again_to_the_same_bytes(replayed: Archive, tmp_path: Path) -> None:
    def run(*given: str) -> Result:
        result = CliRunner().invoke(main, list(given), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result

    for flags in ([], ["--history"]):
        first, second = tmp_path / f"first{len(flags)}.jsonl", tmp_path / f"second{len(flags)}.jsonl"
        other = str(tmp_path / f"other{len(flags)}")
        run("export", *flags, "--data", str(replayed.folder), "--output", str(first))
        run("init", "--empty", "--data", other)
        run("import", str(first), "--data", other, *WHO)
        run("export", "--data", other, "--output", str(second))
        now = run("export", "--data", str(replayed.folder)).stdout_bytes
        assert second.read_bytes() == now
        run("verify", "--data", other)
    again = [json.loads(line) for line in run("export", "--history", "--data", other).stdout_bytes.splitlines()]
    told = [json.loads(line) for line in first.read_bytes().splitlines()]
    assert [line["entries"] for line in again] == [line["entries"] for line in told]
    kept = ("author", "act", "reason", "replayed", "position")
    assert [[line["revision"][name] for name in kept] for line in again] == [
        [line["revision"][name] for name in kept] for line in told
    ]


def test_one_document_is_exported_by_itself_and_as_it_was_then(begun: Desk) -> None:
    begun.run("publish", begun.file("other.json", bodies.document("mhra/other", "UK")), *WHO)
    first = begun.told("log")["revisions"][-1]["id"]
    lines = [json.loads(line) for line in begun.exported("ema/example").splitlines()]
    assert [line.get("id") or line["number"] for line in lines] == ["ema/example", 1]
    assert len(begun.exported().splitlines()) == 3
    assert len(begun.exported("--at", first).splitlines()) == 2
    assert begun.run("export", "ema/nothing").exit_code == 3


def test_an_import_with_one_broken_file_records_nothing_at_all(begun: Desk) -> None:
    lines = [bodies.document(f"ema/d{number}") for number in range(300)]
    versions = [bodies.version(1, document=f"ema/d{number}") for number in range(300)]
    versions[250]["rules"][0]["source"] = {"ref": "nowhere"}
    versions[251]["commencements"][0]["from"] = "2011-02-30"
    path = begun.folder / "all.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, *versions, "broken"]) + "{not json\n", "utf-8")
    before = begun.head
    result = begun.run("import", str(path), *WHO)
    assert (result.exit_code, result.stdout) == (2, "")
    for blamed in ("line 551 /rules/0/source/ref: ", "line 552 /commencements/0/from: ", "line 601", "line 602"):
        assert blamed in result.stderr
    assert begun.head == before
    assert len(begun.exported().splitlines()) == 2
    assert begun.run("verify").exit_code == 0


# --- proof -----------------------------------------------------------------------------------------------


def git(desk: Desk, *given: str, **options: Any) -> str:
    run = subprocess.run(
        ["git", "--git-dir", str(desk.register / "register.git"), *given], capture_output=True, check=True, **options
    )
    return run.stdout.decode().strip()


def test_a_sound_register_is_verified_down_to_the_byte(begun: Desk) -> None:
    result = begun.run("verify")
    assert result.exit_code == 0
    assert result.stdout == f"1 revisions agree, down to the byte; the newest is {begun.head}\n"


def test_a_row_of_the_index_that_was_tampered_with_is_found_and_made_right(begun: Desk) -> None:
    index = sqlite3.connect(begun.register / "index.sqlite")
    with index:
        index.execute("UPDATE span SET first=first+1, end=end+1 WHERE state='in-force'")
    index.close()
    result = begun.run("verify")
    assert result.exit_code == 6
    assert "the index's table span is not what the store implies; run 'inforce rebuild'" in result.stderr
    assert begun.run("rebuild").exit_code == 0
    assert begun.run("verify").exit_code == 0


def test_an_object_that_was_tampered_with_is_found(begun: Desk) -> None:
    blob = git(begun, "ls-tree", "-r", "--object-only", begun.head or "").split()[0]
    packs = list((begun.register / "register.git" / "objects" / "pack").glob("*.pack"))
    loose = begun.register / "register.git" / "objects" / blob[:2] / blob[2:]
    target = loose if loose.exists() else packs[0]
    target.chmod(0o644)
    content = bytearray(target.read_bytes())
    content[len(content) // 2] ^= 0xFF
    target.write_bytes(content)
    result = begun.run("verify")
    assert result.exit_code == 6
    assert "do not agree" in result.stderr


def test_a_revision_that_was_slipped_in_is_found(begun: Desk) -> None:
    """Sound objects, made with git itself: the rule is softened, and the message of the head copied."""
    head = begun.head or ""
    path = next(line for line in git(begun, "ls-tree", "-r", "--name-only", head).splitlines() if "versions" in line)
    softened = git(begun, "show", f"{head}:{path}").replace("must-not", "should-not") + "\n"
    blob = git(begun, "hash-object", "-w", "--stdin", input=softened.encode())
    index = {"GIT_INDEX_FILE": str(begun.folder / "index"), "PATH": "/usr/bin:/bin"}
    git(begun, "read-tree", head, env=index)
    git(begun, "update-index", "--cacheinfo", f"100644,{blob},{path}", env=index)
    tree = git(begun, "write-tree", env=index)
    who = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "x"), ("EMAIL", "x@x"))
    }
    message = git(begun, "log", "-1", "--format=%B", head)
    commit = git(begun, "commit-tree", tree, "-p", head, "-m", message, env={**who, "PATH": "/usr/bin:/bin"})
    git(begun, "update-ref", "refs/heads/main", commit)
    result = begun.run("verify")
    assert result.exit_code == 6
    assert f"revision {commit} changed other files than it says" in result.stderr


def test_a_register_that_was_set_back_is_told_as_it_is(begun: Desk) -> None:
    head = begun.head or ""
    begun.run("publish", begun.file("2.json", bodies.version(2, bodies.since("2025-01-01"))), *WHO)
    git(begun, "update-ref", "refs/heads/main", head)
    assert begun.run("verify").exit_code == 0, "the older state is sound in itself"
    assert [version["number"] for version in answer_of(begun)] == [1]


def test_who_noted_a_revision_finds_out_that_the_register_was_set_back(begun: Desk) -> None:
    head = begun.head or ""
    begun.run("publish", begun.file("2.json", bodies.version(2, bodies.since("2025-01-01"))), *WHO)
    signed = begun.head or ""
    result = begun.run("verify", "--contains", signed, "--contains", head[:12])
    assert result.exit_code == 0
    assert f"revision {signed} is among them" in result.stdout
    git(begun, "update-ref", "refs/heads/main", head)
    result = begun.run("verify", "--contains", signed, "--contains", head)
    assert result.exit_code == 6
    assert f"revision {signed} is not part of this history" in result.stderr
    assert head not in result.stderr


def test_who_noted_a_revision_finds_out_that_a_register_was_made_anew(begun: Desk, tmp_path: Path) -> None:
    """The same documents in another history: it agrees with itself, and says nothing of what was said before."""
    told = tmp_path / "all.jsonl"
    told.write_text(begun.run("export", "--history").stdout, encoding="utf-8")
    other = Desk(tmp_path / "other")
    assert other.run("init", "--empty").exit_code == 0
    assert other.run("import", str(told), *WHO).exit_code == 0
    assert other.run("verify").exit_code == 0
    assert other.run("verify", "--contains", begun.head or "").exit_code == 6


@pytest.mark.parametrize("noted", ["", "abc", "HEAD", "2019-11-05", "0" * 41, "main~1"])
def test_what_is_noted_must_be_a_revision(begun: Desk, noted: str) -> None:
    result = begun.run("verify", "--contains", noted)
    assert result.exit_code == 2
    assert "--contains" in result.stderr
    assert "is not a revision" in result.stderr


def answer_of(desk: Desk) -> Json:
    """What the service tells of the versions, from a register that another process changed."""
    archive = Archive(desk.register)
    response = door(archive).get("/v1/documents/ema/example/versions")
    archive.close()
    return json.loads(response.data)["versions"]
