"""Words are found where they stand, and the lookup keeps up with the register."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from guidance.archive import Archive, Proposal
from guidance.errors import BadParameter
from guidance.search import Search
from guidance.store import Act
from tests.guidance import bodies

CORPUS = Path(__file__).resolve().parents[2] / "guidance" / "corpus" / "documents"
ACT = Act("publish", "Ann <ann@example.org>", "to be found")
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def made(folder: Path) -> Iterator[Archive]:
    archive = Archive.init(folder)
    archive.take_in(CORPUS / "ema" / "lemtrada", ACT, NOW)
    yield archive
    archive.close()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    yield from made(tmp_path_factory.mktemp("search"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Archive]:
    yield from made(tmp_path)


def subjects(archive: Archive, text: str) -> list[str]:
    found = archive.search.find(archive.index, archive.tip(), text, 50)
    return [f"{hit.document}#{hit.rule}" if hit.rule else hit.document for hit in found]


def test_a_brand_finds_its_document_first(archive: Archive) -> None:
    assert subjects(archive, "Lemtr")[0] == "ema/lemtrada"


def test_a_rule_is_found_by_a_word_of_its_text_and_by_its_medicine_too(archive: Archive) -> None:
    assert subjects(archive, "alemtuzumab stroke") == ["ema/lemtrada#stroke"]


def test_the_word_that_was_found_is_marked_and_the_excerpt_is_the_text(archive: Archive) -> None:
    (hit,) = archive.search.find(archive.index, archive.tip(), "stroke", 5)
    assert [text for match, text in hit.excerpt if match] == ["stroke"]
    text = "".join(text for _, text in hit.excerpt)
    recorded = json.loads(archive.index.version(hit.document, hit.version or 0, archive.tip().position))
    assert text == next(rule["text"] for rule in recorded["rules"] if rule["id"] == "stroke")


@pytest.mark.parametrize(
    "text", ['"stroke', "stroke AND", "stroke NEAR(", "rule:stroke", "stroke*)", "-stroke", "stroke; --"]
)
def test_nothing_that_is_typed_is_an_operator(archive: Archive, text: str) -> None:
    assert isinstance(subjects(archive, text), list)


@pytest.mark.parametrize("text", ["", "***", " \t", '""', "x" * 201])
def test_a_question_without_words_is_refused(archive: Archive, text: str) -> None:
    with pytest.raises(BadParameter):
        subjects(archive, text)


def test_what_is_corrected_is_found_by_its_new_words_only(own: Archive) -> None:
    assert subjects(own, "apoplexy") == []
    body = json.loads(own.index.version("ema/lemtrada", 3, own.tip().position))
    rule = next(rule for rule in body["rules"] if rule["id"] == "stroke")
    rule["text"], rule["title"] = "Not after an apoplexy.", "Apoplexy"
    own.correct(Proposal(body), ACT, NOW)
    assert subjects(own, "apoplexy") == ["ema/lemtrada#stroke"]
    assert subjects(own, "ever had a stroke") == []


def test_a_file_that_is_lost_or_broken_is_made_again(own: Archive) -> None:
    before = subjects(own, "stroke")
    own.search.close()
    for path in own.folder.glob("search.sqlite*"):
        path.unlink()
    assert subjects(own, "stroke") == before
    own.search.close()
    for path in own.folder.glob("search.sqlite*"):
        path.unlink()
    (own.folder / "search.sqlite").write_bytes(b"this is no database, and long enough to be looked at")
    assert subjects(own, "stroke") == before


def disagreeing(archive: Archive) -> str:
    return "\n".join(archive.search.disagreements(archive.index))


def test_what_was_derived_and_what_was_never_looked_for_agrees(own: Archive) -> None:
    assert disagreeing(own) == ""
    assert not own.search.path.exists()
    assert subjects(own, "stroke")
    assert disagreeing(own) == ""
    own.publish([Proposal(bodies.document("ema/later"))], ACT, NOW)
    assert disagreeing(own) == "", "it stands at an earlier revision, and is right about that"


def test_whoever_saw_less_undoes_nothing_of_whoever_saw_more(own: Archive) -> None:
    before = own.tip()
    own.publish([Proposal(bodies.document("ema/later"))], ACT, NOW)
    for seen in (own.tip(), before):
        own.search.find(own.index, seen, "stroke", 5)
    assert disagreeing(own) == ""


CHANGED = {
    "what a rule says": "UPDATE words SET text='Give it after a stroke.' WHERE rule='stroke'",
    "in which version it stands": "UPDATE words SET version=1 WHERE rule='stroke'",
    "that it is there": "DELETE FROM words WHERE rule='stroke'",
    "that it was never there": "INSERT INTO words VALUES('ema/lemtrada', 3, 'new', 'New', '', 'May be given.')",
    "whose it is": "DELETE FROM held",
    "a rule of which nothing is left": "INSERT INTO held VALUES('ema/lemtrada', 1000)",
    "the words by which it is found": "UPDATE words_data SET block=zeroblob(8) WHERE id>10",
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_what_was_changed_is_told_and_made_again_for_whoever_has_it_open(own: Archive, change: str) -> None:
    before = subjects(own, "stroke")
    with Archive(own.folder).search.sql as other:
        other.execute(change)
    assert "run 'inforce rebuild'" in disagreeing(own)
    serving = own.search.sql
    Search(own.search.path).forget()
    assert own.search.sql is serving
    assert subjects(own, "stroke") == before
    assert disagreeing(own) == ""


def test_of_a_file_that_cannot_be_read_it_is_said_so(own: Archive) -> None:
    assert subjects(own, "stroke")
    own.search.close()
    for path in own.folder.glob("search.sqlite*"):
        path.unlink()
    own.search.path.write_bytes(b"this is no database, and long enough to be looked at")
    assert "cannot be read" in disagreeing(own)
    Search(own.search.path).forget()
    assert subjects(own, "stroke")
    assert disagreeing(own) == ""
