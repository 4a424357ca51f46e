"""Diffs as Word documents: accept every change and the newer text is left, reject every change and the older."""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest
from docx import Document
from flask.testing import FlaskClient

from guidance.archive import Archive, Proposal
from guidance.journal import CORPUS
from guidance.model import Sides
from guidance.store import Act
from service import word
from tests.guidance.bodies import document, rule, since, version
from tests.service.doors import NOW, door
from tests.service.test_pages import HOSTILE, bundles

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
CAME, WENT = {f"{W}ins", f"{W}moveTo"}, {f"{W}del", f"{W}moveFrom"}
ODD = "one\ntwo\n\n\tthree  four \x0b five\r six \ufffe <w:t>&amp;</w:t> ]]> \U0001f469\u200d\U0001f52c \u202e seven "
ANSWER = {
    "document": "ema/example",
    "question": "versions",
    "order": "forward",
    "asked": {},
    "revision": {"id": "0" * 40, "recorded_at": "2026-02-02T12:00:00Z", "replayed": False},
    "sides": [],
    "equal": False,
    "summary": {"changes": 0, "severities": {}},
    "changes": [],
}


@pytest.fixture(scope="module")
def client(corpus: Archive) -> FlaskClient:
    return door(corpus)


def settled(docx: bytes, gone: set[str]) -> list[str]:
    """The paragraphs that are left when every mark in `gone` is taken out with what it holds."""
    with zipfile.ZipFile(io.BytesIO(docx)) as held:
        body = ElementTree.fromstring(held.read("word/document.xml")).find(f"{W}body")
    assert body is not None
    return [
        "".join(words(paragraph, gone))
        for paragraph in body.findall(f"{W}p")
        if not any(paragraph.find(f"{W}pPr/{W}rPr/{mark}") is not None for mark in gone)
    ]


def words(element: ElementTree.Element, gone: set[str]) -> Iterator[str]:
    for child in element:
        if child.tag in (f"{W}t", f"{W}delText"):
            yield child.text or ""
        elif child.tag in (f"{W}br", f"{W}tab"):
            yield "\n" if child.tag == f"{W}br" else "\t"
        elif child.tag not in gone:
            yield from words(child, gone)


def accepted(docx: bytes) -> list[str]:
    return settled(docx, WENT)


def rejected(docx: bytes) -> list[str]:
    return settled(docx, CAME)


def whole(paragraphs: list[str]) -> list[str]:
    """What follows the last heading of the whole text."""
    return paragraphs[len(paragraphs) - paragraphs[::-1].index("The whole text") :]


def text_of(body: Any) -> list[str]:
    return [body["title"], *(rule[member] for rule in body["rules"] for member in ("title", "text"))]


def pairs() -> Iterator[tuple[str, int, int]]:
    for folder in sorted(CORPUS.glob("documents/*/*/versions")):
        numbers = sorted(int(file.stem) for file in folder.glob("*.json"))
        for old, new in itertools.permutations(numbers, 2):
            yield f"{folder.parts[-3]}/{folder.parts[-2]}", old, new


@pytest.mark.parametrize(("name", "old", "new"), list(pairs()))
def test_every_pair_of_the_corpus_reads_as_the_newer_text_accepted_and_as_the_older_rejected(
    client: FlaskClient, name: str, old: int, new: int
) -> None:
    docx = client.get(f"/v1/documents/{name}/diff?from=@{old}&to=@{new}&format=docx").data
    older, newer = (
        orjson.loads((CORPUS / "documents" / name / "versions" / f"{number}.json").read_bytes())
        for number in (old, new)
    )
    assert whole(accepted(docx)) == text_of(newer)
    assert whole(rejected(docx)) == text_of(older)
    Document(io.BytesIO(docx))


def test_moved_sentences_are_marked_as_moved_from_and_to_under_one_name() -> None:
    a, b, c = "Test the liver every month. ", "Tell the patient why at once. ", "Stop if the values rise again. "
    older, newer = ({**version(1), "rules": [rule("one", text=text)]} for text in (a + b + c, b + c + a))
    docx = word.tracked(ANSWER, [Sides(older, newer)])
    assert (whole(rejected(docx))[-1], whole(accepted(docx))[-1]) == (a + b + c, b + c + a)
    with zipfile.ZipFile(io.BytesIO(docx)) as held:
        root = ElementTree.fromstring(held.read("word/document.xml"))
    names = [[one.get(f"{W}name") for one in root.iter(f"{W}move{end}RangeStart")] for end in ("From", "To")]
    assert names[0] == names[1]
    assert len(names[0]) == 1
    for end in ("From", "To"):
        opened, closed = ([one.get(f"{W}id") for one in root.iter(f"{W}move{end}Range{s}")] for s in ("Start", "End"))
        assert opened == closed


def test_rules_that_moved_came_and_went_stand_in_the_order_of_either_side() -> None:
    older, newer = (
        {**version(number), "rules": [rule(name, text=f"{name} text") for name in names]}
        for number, names in ((1, ["x", "a", "b", "c", "y"]), (2, ["c", "n", "a", "b", "m"]))
    )
    docx = word.tracked(ANSWER, [Sides(older, newer)])
    assert whole(accepted(docx)) == text_of(newer)
    assert whole(rejected(docx)) == text_of(older)


@pytest.mark.parametrize("sides", [(None, version(1)), (version(1), None)], ids=["began", "ended"])
def test_where_nothing_stood_on_one_side_nothing_is_left_of_it(sides: tuple[Any, Any]) -> None:
    docx = word.tracked(ANSWER, [Sides(*sides)])
    for side, found in zip(sides, (whole(rejected(docx)), whole(accepted(docx))), strict=True):
        assert found == (text_of(side) if side else [""])


def test_hostile_text_comes_out_as_it_went_in_and_what_xml_cannot_hold_as_a_picture_of_it() -> None:
    old, new = (
        {**version(number, title=f"{number} {HOSTILE[number]}"), "rules": [rule("one", text=text, title=title)]}
        for number, text, title in ((1, " ".join(HOSTILE), HOSTILE[3]), (2, ODD, HOSTILE[4]))
    )
    docx = word.tracked(ANSWER, [Sides(old, new)])
    assert whole(rejected(docx)) == text_of(old)
    shown = ODD.replace("\x0b", "\u240b").replace("\r", "\u240d").replace("\ufffe", "\ufffd")
    assert whole(accepted(docx))[-1] == shown


def test_every_hostile_text_leaves_the_same_elements_in_the_same_order() -> None:
    def shape(text: str) -> list[str]:
        older, newer = ({**version(1), "rules": [rule("one", text=f"{one} {text}")]} for one in ("a", "b"))
        change = {
            "subject": "rule",
            "name": "one",
            "kind": "changed",
            "also": [],
            "severity": "minor",
            "effects": [],
            "review": [text],
            "title": text,
            "segments": [{"op": "inserted", "text": text}],
            "fields": [{"pointer": "/note", "change": "changed", "old": text, "new": {"a": text}}],
        }
        with zipfile.ZipFile(io.BytesIO(word.tracked({**ANSWER, "changes": [change]}, [Sides(older, newer)]))) as held:
            assert [name for name in held.namelist() if name.startswith("/") or ".." in name] == []
            return [element.tag for element in ElementTree.fromstring(held.read("word/document.xml")).iter()]

    harmless = shape("harmless")
    for text in bundles():
        assert shape(text) == harmless, text


def test_a_diff_of_two_days_has_the_text_for_each_place_and_one_of_the_register_has_none(
    archive: Archive, act: Callable[..., Act]
) -> None:
    bodies = [document(), version(1, since("2025-01-01"), rules=[rule("one")]), version(2, since("2026-01-01"))]
    archive.publish([Proposal(body) for body in bodies], act(), NOW)
    own = door(archive)
    told = accepted(own.get("/v1/documents/ema/example/diff?from=2025-06-01&to=2026-02-01&format=docx").data)
    assert "The whole text (EU)" in told
    across = own.get("/v1/diff?from=2025-06-01&to=2026-02-01&format=docx").data
    assert not [line for line in accepted(across) if line.startswith("The whole text")]
    equal = own.get("/v1/documents/ema/example/diff?from=@1&to=@1&format=docx").data
    assert "No change: both sides are the same to the byte." in accepted(equal)
    assert not [line for line in accepted(equal) if line.startswith("The whole text")]


def test_it_tells_what_the_page_tells_of_a_change_besides_its_text(archive: Archive, act: Callable[..., Act]) -> None:
    went = rule("went", cohort="initiation", population={"include": [{"id": "a", "text": "over 65"}]})
    first = version(1, since("2025-01-01"), rules=[rule("one"), went])
    archive.publish([Proposal(document()), Proposal(first)], act(), NOW)
    archive.publish([Proposal(version(2, since("2026-01-01")))], act(), NOW)
    own = door(archive)

    def told(asked: str, where: str = "/v1/documents/ema/example/diff") -> list[str]:
        return accepted(own.get(f"{where}?{asked}&format=docx").data)

    gone = told("from=@1&to=@2")
    assert "Left out of the later version; no act says why." in gone
    assert not [line for line in gone if line.startswith("The first side is later")]
    came = told("from=@2&to=@1")
    assert [line for line in came if line.startswith("The first side is later than the second")]
    assert "/cohort: initiation" in came
    assert '/population: {"include":[{"id":"a","text":"over 65"}]}' in came
    begun = archive.index.revision_of(1)
    assert begun is not None
    recorded = [line for line in told(f"from_at={begun.id}") if "First version" in line]
    assert recorded == ["Added, major. First version (neutral, major). Version 2."]
    for nowhere in ("from=2025-06-01&to=2026-06-01&jurisdiction=CH", "from=2001-01-01&to=2002-01-01"):
        lines = told(nowhere)
        assert "Nothing is recorded there on either side, so there is nothing to compare." in lines
        assert not [line for line in lines if line.startswith("No change")]
    assert "No document differs between the two sides." in told("from=2025-06-01&to=2025-06-02", "/v1/diff")
