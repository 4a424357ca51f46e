"""The pages on what changed: both sides named, nothing hidden, each change with its proof, an error never a diff."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import zlib
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from flask.testing import FlaskClient
from weasyprint import HTML
from weasyprint.formatting_structure import boxes

from guidance import severity
from guidance.archive import Archive, Proposal
from guidance.store import Act
from service import review
from service.formats import FORMULA
from service.press import BASE, OurFiles
from tests.guidance.bodies import document, rule, since, version
from tests.service.doors import NOW, correct, door, refusal
from tests.service.reading import Page, page
from tests.service.test_pages import HOSTILE

DOCUMENT = "ema/lemtrada"
COMPARE = f"/documents/{DOCUMENT}/compare"
VALPROATE = "/documents/mhra/valproate/compare"
ADDRESSES = (
    f"{COMPARE}?from=@2&to=@3",
    f"{COMPARE}?from=@2&to=@3&view=sides",
    f"{COMPARE}?from=@2&to=@3&view=fields",
    f"{COMPARE}?from=@2&to=@3&view=changes",
    f"{COMPARE}?from=@3&to=@1",
    f"{COMPARE}?from=@2&to=@2",
    f"{COMPARE}?from=2013-01-01&to=2020-02-01",
    f"{COMPARE}?from=2019-12-01&to=2020-02-01&jurisdiction=UK",
    f"{COMPARE}?from_at=2019-11-05&to_at=2026-02-02",
    f"{COMPARE}?from_at=2019-11-05&on=2020-01-20",
    f"{VALPROATE}?from=@1&to=@4",
    f"{VALPROATE}?from=2023-12-01&to=2025-03-01",
    f"{VALPROATE}?from=2023-12-01&to=2025-03-01&view=sides",
    "/changes",
    "/changes?on=2020-01-16",
    "/changes?from=2018-01-01&to=2026-01-01",
    "/changes?from=2026-01-01&to=2018-01-01&authority=mhra",
    "/changes?from=2018-01-01&to=2026-01-01&medicine=alemtuzumab&jurisdiction=EU",
    "/changes?from_at=2019-01-01&to_at=2026-02-02",
    "/changes?from_at=2019-01-01&on=2020-01-20",
    "/about/severity",
)


@pytest.fixture(scope="module")
def client(corpus: Archive) -> FlaskClient:
    return door(corpus)


@pytest.fixture(scope="module")
def past(replayed: Archive) -> FlaskClient:
    return door(replayed)


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_is_whole_and_within_the_policy(past: FlaskClient, address: str) -> None:
    read = page(past, address)
    assert read.of_class("app-replayed")
    count = len(read.all("article"))
    steps = [one.text for one in read.of_class("app-change__count")]
    assert steps == [f"Change {number} of {count}" for number in range(1, count + 1)]


def test_every_route_is_tried(client: FlaskClient) -> None:
    adapter = client.application.url_map.bind("localhost")
    tried = {adapter.match(address.split("?")[0])[0] for address in ADDRESSES}
    assert {
        one.endpoint for one in client.application.url_map.iter_rules() if one.endpoint.startswith("review.")
    } == tried


# --- compare ---------------------------------------------------------------------------------------------


def told(client: FlaskClient, query: str) -> Any:
    return orjson.loads(client.get(f"/v1/documents/{DOCUMENT}/diff?{query}").data)


@pytest.mark.parametrize("query", ["from=@1&to=@2", "from=@2&to=@3", "from=@1&to=@3", "from=2019-01-01&to=2020-02-01"])
def test_a_page_shows_every_change_of_the_machine_answer(client: FlaskClient, query: str) -> None:
    answer, read = told(client, query), page(client, f"{COMPARE}?{query}")
    titles = [one.text for one in read.all("h3") if one.attributes.get("id", "").startswith("change-")]
    rules = [change["title"] for change in answer["changes"] if change["subject"] == "rule"]
    assert titles[: len(rules)] == rules
    assert len(titles) == len(answer["changes"])
    for name, count in answer["summary"]["severities"].items():
        assert f"{name.capitalize()} {count}" in read.of_class("app-tally")[0].text
    for name, word in (("tightened", "Tightened"), ("relaxed", "Relaxed"), ("unordered", "Needs review")):
        count = answer["summary"]["directions"].get(name)
        assert (f"{word} {count}" in read.of_class("app-tally")[0].text) == bool(count)


def test_both_sides_and_the_question_stand_in_the_title(client: FlaskClient) -> None:
    for query, heading in (
        ("from=@2&to=@3", "What changed from version 2 to version 3"),
        ("from=2019-12-01&to=2020-02-01", "What changed in force between 1 December 2019 and 1 February 2020"),
        ("from_at=2026-02-02", "What the register recorded between the end of 2 February 2026 and now"),
        (
            "from_at=2026-02-02&on=2020-01-20",
            "What the register said of 20 January 2020, as known at the end of 2 February 2026 and now",
        ),
    ):
        read = page(client, f"{COMPARE}?{query}")
        assert read.first("h1").text == heading
        assert read.first("title").text.startswith(heading)


def versions_of(client: FlaskClient, number: int) -> dict[str, Any]:
    body = orjson.loads(client.get(f"/v1/documents/{DOCUMENT}/versions/{number}").data)["version"]
    return {one["id"]: one for one in body["rules"]}


def texts(html: str) -> Iterator[tuple[str, str]]:
    """(older, newer) text of each redline, read out of its marks."""
    for marked in re.findall(r'<p class="app-redline">(.*?)</p>', html, re.DOTALL):
        plain = re.sub(r"</?strong>|<wbr>", "", marked)
        old = re.sub(r"<ins[^>]*>.*?</ins>", "", plain, flags=re.DOTALL)
        new = re.sub(r"<del[^>]*>.*?</del>", "", plain, flags=re.DOTALL)
        yield tuple(unescape(re.sub(r"</?(?:ins|del)[^>]*>", "", text)) for text in (old, new))  # type: ignore[misc]


def test_a_redline_reads_as_exactly_the_older_and_the_newer_text(client: FlaskClient) -> None:
    read = page(client, f"{COMPARE}?from=@2&to=@3")
    found = set(texts(read.html))
    older, newer = versions_of(client, 2), versions_of(client, 3)
    for change in told(client, "from=@2&to=@3")["changes"]:
        if change["subject"] == "rule" and change["segments"]:
            pair = tuple(side.get(change["name"], {"text": ""})["text"] for side in (older, newer))
            assert pair in found, change["name"]


def test_fields_are_told_in_words_and_sources_by_their_titles(client: FlaskClient) -> None:
    said = page(client, f"{COMPARE}?from=@2&to=@3&view=fields").main.text
    assert "Threshold, earlier disease-modifying treatments, value" in said
    assert "Source European Medicines Agency, Use of multiple sclerosis medicine Lemtrada restricted" in said
    assert "Days, EU, not confirmed the first day" in said
    for ugly in ("prior dmts", "Source, which", "unconfirmed: from", "Text follows the fields", "Everyone"):
        assert ugly not in said, ugly


@pytest.mark.parametrize("view", ["redline", "sides"])
def test_a_rule_that_was_added_is_shown_with_how_it_binds_and_how_it_is_read(client: FlaskClient, view: str) -> None:
    read = page(client, f"{COMPARE}?from=@2&to=@3&view={view}")
    added = next(one.text for one in read.all("article") if "The comma can be read" in one.text)
    assert "Must not · New and existing patients" in added
    assert "How this is read: The comma can be read two ways." in added


def test_views_are_plain_links_that_keep_the_sides(client: FlaskClient) -> None:
    read = page(client, f"{COMPARE}?from=@2&to=@3&view=sides&at=2026-02-02")
    links = read.of_class("app-subnav__link")
    assert [one.text for one in links] == ["Redline", "Side by side", "Fields", "Changes only"]
    assert [one.text for one in links if "aria-current" in one.attributes] == ["Side by side"]
    for one in links:
        assert "from=%402&to=%403" in one.attributes["href"]
        assert "at=2026-02-02" in one.attributes["href"]
        page(client, one.attributes["href"])


def test_unchanged_rules_are_folded_with_their_count(client: FlaskClient) -> None:
    assert "8 rules unchanged" in page(client, f"{COMPARE}?from=@2&to=@3").main.text
    assert "unchanged" not in page(client, f"{COMPARE}?from=@2&to=@3&view=changes").main.text


def test_each_change_says_why_who_when_and_from_which_source(past: FlaskClient) -> None:
    read = page(past, f"{COMPARE}?from=@2&to=@3")
    stroke = next(one.text for one in read.all("article") if "History of stroke" in one.text)
    assert "Critical" in stroke
    assert "Tightened Contraindication added" in stroke
    assert "Primary source" in stroke
    assert "Version 3 in force from 16 January 2020 onwards (EU, UK)" in stroke
    assert "Recorded 31 October 2019, 16:00 UTC by Inforce replay" in stroke


def test_sides_that_are_the_same_say_so_and_sides_turned_round_too(client: FlaskClient) -> None:
    same = page(client, f"{COMPARE}?from=@2&to=@2").main.text
    assert "Nothing differs. Both sides are the same, letter for letter." in same
    turned = page(client, f"{COMPARE}?from=@3&to=@2")
    assert "Version 2 took effect on 12 April 2019 (not confirmed), before version 3 did" in turned.main.text
    back = next(one.attributes["href"] for one in turned.all("a") if one.text == "Turn the sides round")
    assert "Turn the sides round" not in page(client, back).main.text
    days = page(client, f"{COMPARE}?from=2020-02-01&to=2019-12-01").main.text
    assert "The first side is later than the second." in days


def test_a_comparison_against_the_order_in_which_versions_took_effect_says_so(client: FlaskClient) -> None:
    took = "Version 2 took effect on 11 October 2023, before version 1 did (31 January 2024)."
    turned = page(client, f"{VALPROATE}?from=@1&to=@2")
    assert took in turned.main.text
    back = next(one.attributes["href"] for one in turned.all("a") if one.text == "Turn the sides round")
    for told in (page(client, back), page(client, f"{VALPROATE}?from=@2&to=@1")):
        assert "Turn the sides round" not in told.main.text
    assert "before version 4 did" in page(client, f"{VALPROATE}?from=@4&to=@3").main.text


def test_without_sides_the_last_two_versions_are_compared(client: FlaskClient) -> None:
    response = client.get(COMPARE)
    assert (response.status_code, response.location) == (302, f"{COMPARE}?from=%402&to=%403")


def test_parts_of_a_place_are_told_apart(client: FlaskClient) -> None:
    read = page(client, f"{VALPROATE}?from=2023-12-01&to=2025-03-01")
    (first, *_) = read.all("td")
    assert first.text == (
        "No version recorded as in force for the UK as a whole; "
        "version 2 is recorded as in force in Great Britain and Northern Ireland"
    )
    assert [one.text for one in read.all("th", scope="row")][:1] == ["UK"]


@pytest.mark.parametrize("query", ["from=2023-12-01&to=2025-03-01", "from_at=2026-02-02&on=2025-03-01"])
def test_a_place_of_which_a_document_says_nothing_is_not_told_as_equal(client: FlaskClient, query: str) -> None:
    read = page(client, f"{VALPROATE}?{query}&jurisdiction=FR")
    assert "This document says nothing about France, so there is nothing to compare." in read.main.text
    assert "Nothing differs" not in read.main.text
    assert not read.of_class("app-sign")
    assert not read.all("table")


def test_changes_of_a_medicine_in_a_place_of_which_nothing_is_recorded_are_not_told_as_none(
    client: FlaskClient,
) -> None:
    asked = "from=2019-01-01&to=2026-01-01&medicine=delafloxacin"
    read = page(client, f"/changes?{asked}&jurisdiction=FR")
    assert "Nothing is recorded here about France, so there is nothing to compare." in read.main.text
    assert "Nothing differs" not in read.main.text
    assert not read.of_class("app-sign")
    assert page(client, f"/changes?{asked}&jurisdiction=UK").of_class("app-sign")


def test_where_nothing_is_in_force_on_either_side_nothing_is_signed(client: FlaskClient) -> None:
    read = page(client, f"{COMPARE}?from=2001-01-01&to=2002-01-01")
    assert "On neither side is a version recorded as in force." in read.main.text
    assert "letter for letter" not in read.main.text
    assert not read.of_class("app-sign")
    days = page(client, "/documents/ema/zinbryta/compare?from=2018-03-01&to=2018-04-01").main.text
    assert "Older than what is recorded" in days
    assert "Nothing: what applied has ended" in days


def test_a_document_without_a_version_that_changed_is_not_told_as_nothing_to_compare(
    archive: Archive, act: Callable[..., Act]
) -> None:
    archive.publish([Proposal(document(about="Of old."))], act(), NOW)
    archive.correct(Proposal(document(about="Of late.")), act(), NOW)
    first = archive.index.revision_of(1)
    assert first is not None
    read = page(door(archive), f"/documents/ema/example/compare?from_at={first.id}")
    assert "1 change" in read.main.text
    assert {"old", "late"} <= {one.text for tag in ("del", "ins") for one in read.all(tag)}
    assert "nothing to compare" not in read.main.text
    assert read.of_class("app-sign")


def test_corrections_are_told_with_the_version(corpus: Archive, archive: Archive, act: Callable[..., Act]) -> None:
    archive.publish([Proposal(document()), Proposal(version(1, since("2025-01-01")))], act(), NOW)
    first = archive.tip()
    correct(archive, "ema/example", 1, title="Corrected")
    assert first is not None
    read = page(door(archive), f"/documents/ema/example/compare?from_at={first.id}")
    assert "Title Changed" in " ".join(one.text for one in read.of_class("app-glance__what"))
    assert "Ada Pharmacist <ada@example.org>: a correction" in read.main.text


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("from=@2", 400, "Enter the second version"),
        ("from=@2&to=2020-01-01", 400, "is not of the same kind as 'from'"),
        ("from=@2&to=@9", 404, "has no version 9"),
        ("from=@2&to=ema/hes@1", 400, "is a version of another document"),
        ("from=@2&to=@3&on=2020-01-01", 400, "goes with from_at and to_at"),
        ("from=@2&to=@3&view=pretty", 400, "is none of redline, sides, fields, changes"),
        ("from=@2&to=@3&format=docx", 400, "is none of html, pdf"),
        ("from=2020-02-30&to=2020-03-01", 400, "is not a date that exists"),
        ("from_at=2026-02-02&at=2026-02-02", 400, "does not go with from_at and to_at"),
        ("from_at=2000-01-01&to_at=2000-01-02", 404, "'2000-01-02' is before the first revision"),
        ("from=2019-12-01&to=2020-02-01&at=2000-01-02", 404, "'2000-01-02' is before the first revision"),
    ],
)
def test_an_error_is_an_error_and_never_an_empty_diff(client: FlaskClient, query: str, status: int, said: str) -> None:
    read = page(client, f"{COMPARE}?{query}", status)
    assert said in read.main.text
    assert "Nothing differs" not in read.text
    again = next(one.attributes["href"] for one in read.all("a") if one.text == "Compare something else")
    assert client.get(again).status_code in (200, 302)


@pytest.mark.parametrize(
    "sides", ["from_at=2000-01-01&to_at=2000-01-02", "from=2019-12-01&to=2020-02-01&at=2000-01-02"]
)
def test_where_nothing_was_known_yet_nothing_is_said_to_be_the_same(client: FlaskClient, sides: str) -> None:
    read = page(client, f"/changes?{sides}", 404)
    assert "'2000-01-02' is before the first revision" in read.main.text
    assert "Nothing differs" not in read.text
    refusal(client.get(f"/v1/diff?{sides}"), 404, "unknown-revision")


@pytest.mark.parametrize(
    ("address", "field", "said"),
    [
        (f"{COMPARE}?from=2019-12-01&to=&at=&jurisdiction=UK", "side-to", "Enter the second date"),
        (f"{COMPARE}?from=&to=2019-12-01&jurisdiction=UK", "side-from", "Enter the first date"),
        (f"{COMPARE}?from=@2&to=", "side-to", "Enter the second version"),
        (f"{COMPARE}?to_at=2026-01-01", "side-from-at", "Enter the first day, instant or revision"),
        ("/changes?from=2019-12-01&to=&medicine=alemtuzumab&jurisdiction=UK", "side-to", "Enter the second date"),
        (f"{COMPARE}?from=2020-02-30&to=2020-03-01&jurisdiction=UK", "side-from", "is not a date that exists"),
    ],
)
def test_a_side_that_is_missing_is_asked_for_in_the_form_that_was_filled_in(
    client: FlaskClient, address: str, field: str, said: str
) -> None:
    read = page(client, address, 400)
    assert said in read.all("p", id=f"{field}-error")[0].text
    assert [one.text for one in read.all("a", href=f"#{field}")] == [
        read.all("p", id=f"{field}-error")[0].text.removeprefix("Error: ")
    ]
    assert "govuk-input--error" in read.all("input", id=field)[0].attributes["class"]
    assert read.first("h1").text == "Nothing was compared"
    query = dict(part.split("=") for part in address.partition("?")[2].split("&"))
    for name in ("from", "to", "to_at"):
        assert read.all("input", name=name)[0].attributes["value"] == query.get(name, "")
    chosen = [one.attributes["value"] for one in read.all("option") if "selected" in one.attributes]
    assert chosen == [query.get("jurisdiction", "")]
    kept = [one.attributes["value"] for one in read.all("input", type="hidden") if one.attributes["name"] == "medicine"]
    assert set(kept) == {query["medicine"]} if "medicine" in query else not kept
    for ugly in ("''", "is missing", "from=@2"):
        assert ugly not in read.main.text


def test_more_changes_than_a_page_can_hold_are_refused_with_what_to_do(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "CHANGES", 21)
    for form in ("html", "pdf"):
        read = page(client, f"{COMPARE}?from=@2&to=@3&format={form}", 413)
        assert "There are 22 changes; a page shows at most 21: take them as CSV, JSON or Word" in read.main.text
    page(client, f"{COMPARE}?from=@1&to=@2")


def test_a_signature_rests_on_the_hashes_of_both_sides_and_on_the_table(client: FlaskClient) -> None:
    (side,) = told(client, "from=@2&to=@3")["sides"]
    signed = page(client, f"{COMPARE}?from=@2&to=@3").of_class("app-sign")[0].text
    for name, number in (("old", 2), ("new", 3)):
        assert f"{DOCUMENT}@{number} with SHA-256 {side[name]['sha256']}" in signed
    assert severity.TABLE.sha256[:16] in signed


def test_what_is_taken_away_leaves_in_every_format(client: FlaskClient) -> None:
    read = page(client, f"{COMPARE}?from=@2&to=@3")
    exports = [one.attributes["href"] for one in read.all("a") if "format=" in one.attributes.get("href", "")]
    assert [href.rpartition("=")[2] for href in exports] == ["pdf", "docx", "csv", "json", "patch"]
    for href in exports[1:]:
        assert client.get(href).status_code == 200


def test_the_page_leaves_as_a_tagged_pdf(client: FlaskClient) -> None:
    response = client.get("/documents/mhra/isotretinoin/compare?from=@1&to=@1&format=pdf")
    assert response.status_code == 200
    assert response.mimetype == "application/pdf"
    assert response.headers["Content-Disposition"] == 'inline; filename="isotretinoin-changes.pdf"'
    assert response.data.startswith(b"%PDF-")
    assert client.get(response.request.url, headers={"If-None-Match": response.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"{COMPARE}?from=@2&to=@3", "Alemtuzumab (Lemtrada) for multiple sclerosis: What changed from"),
        (f"{COMPARE}?from_at=2020-01-01&on=2020-01-20", "Alemtuzumab (Lemtrada) for multiple sclerosis: "),
        ("/changes?from=2019-01-01&to=2020-02-01&medicine=alemtuzumab", "What changed in force between"),
    ],
)
def test_every_sheet_says_what_it_is_where_that_stands_and_how_many_there_are(
    client: FlaskClient, path: str, name: str
) -> None:
    read = page(client, path)
    found = read.first("h1").attributes["data-address"]
    assert found.startswith("http://localhost/")
    assert "format=" not in found
    revision = read.of_class("app-footer__facts")[0].text.split()[1]
    assert f"at={revision}" in found  # also as to_at
    assert page(client, found).first("h1").attributes["data-address"] == found
    assert found in read.of_class("app-sign")[0].text
    for number, sheet in enumerate(sheets := feet(client.get(path).data.decode()), start=1):
        assert f"Page {number} of {len(sheets)}" in sheet
        assert name in sheet
        assert found in sheet.replace(" ", "")


@pytest.mark.parametrize(
    "path", [f"{VALPROATE}?from=2023-12-01&to=2025-03-01", "/changes?from=2019-01-01&to=2024-02-01"]
)
def test_which_place_is_asked_about_stands_in_words_where_the_form_is_not_printed(
    client: FlaskClient, path: str
) -> None:
    told = [page(client, path + asked).of_class("app-asof__statement")[0].text for asked in ("", "&jurisdiction=NI")]
    assert ["Only what holds in Northern Ireland." in one for one in told] == [False, True]


def feet(html: str) -> list[str]:
    """What stands in the margins of each sheet of a page's PDF."""
    pages = HTML(string=html, base_url=BASE, url_fetcher=OurFiles()).render().pages
    margins = [[box for box in one._page_box.children if isinstance(box, boxes.MarginBox)] for one in pages]
    return [
        " ".join(text.text for box in found for text in box.descendants() if isinstance(text, boxes.TextBox))
        for found in margins
    ]


@pytest.mark.parametrize("view", ["redline", "sides", "fields"])
def test_no_word_is_so_long_that_the_sheet_or_the_column_beside_it_ends_it(
    archive: Archive, act: Callable[..., Act], view: str
) -> None:
    long = "hydroxy" * 20
    older, newer = (version(n, title=f"{n}{long}", rules=[rule("one", title=long, text=long + str(n))]) for n in (1, 2))
    archive.publish([Proposal(body) for body in (document(title=long), older, newer)], act(), NOW)
    asked = f"/documents/ema/example/compare?from=@1&to=@2&view={view}"
    found = HTML(string=door(archive).get(asked).data.decode(), base_url=BASE, url_fetcher=OurFiles()).render()
    for sheet in found.pages:
        for block in (box for box in sheet._page_box.descendants() if isinstance(box, boxes.BlockContainerBox)):
            lines = [line for line in block.children if isinstance(line, boxes.LineBox)]
            told = [box for line in lines for box in line.descendants() if isinstance(box, boxes.TextBox)]
            room = block.content_box_x() + block.width + 1
            assert [box.text for box in told if box.position_x + box.width > room and "hydroxy" in box.text] == []


def test_what_is_asked_without_sides_keeps_its_form(client: FlaskClient) -> None:
    response = client.get(f"{COMPARE}?format=pdf&view=sides")
    assert response.status_code == 302
    assert {"format=pdf", "view=sides", "from=%402", "to=%403"} <= set(response.location.partition("?")[2].split("&"))


# --- the whole register, and how it is judged ------------------------------------------------------------


def test_changes_across_the_register_lead_to_each_document(client: FlaskClient) -> None:
    read = page(client, "/changes?from=2019-01-01&to=2020-02-01")
    links = [one.attributes["href"] for one in read.all("a") if "/compare" in one.attributes.get("href", "")]
    assert {href.split("?")[0] for href in links} == {COMPARE, "/documents/ema/fluoroquinolones/compare"}
    for href in set(links):
        address, _, anchor = href.partition("#")
        assert not anchor or page(client, address).all("article", id=anchor)


def test_changes_say_what_they_are_narrowed_to_and_leave_in_every_format(client: FlaskClient) -> None:
    sides = "from=2019-01-01&to=2020-02-01&jurisdiction=EU"
    whole = page(client, f"/changes?{sides}")
    assert "The whole register" not in whole.main.text
    read = page(client, f"/changes?{sides}&medicine=alemtuzumab&authority=ema")
    assert "Only Alemtuzumab, European Medicines Agency." in read.main.text
    assert "For signature" in [one.attributes.get("aria-label") for one in read.all("section")]
    exports = [one.attributes["href"] for one in read.all("a") if "format=" in one.attributes.get("href", "")]
    assert [href.rpartition("=")[2] for href in exports] == ["pdf", "docx", "csv", "json"]
    for href in exports:
        assert "medicine=alemtuzumab" in href
        assert client.get(href).status_code == 200
    paper = client.get(exports[0])
    assert paper.headers["Content-Disposition"] == 'inline; filename="changes-alemtuzumab-ema.pdf"'
    for part in (b"/StructTreeRoot", b"/MarkInfo", b"pdfuaid"):
        assert any(part in stream for stream in inflated(paper.data)), part
    page(client, "/changes?format=docx", 400)
    back = next(one.attributes["href"] for one in read.all("a") if one.text == "The whole register")
    assert page(client, back).main.text == whole.main.text


def test_a_day_from_which_the_sides_were_found_stands_in_no_address_beside_them(client: FlaskClient) -> None:
    read = page(client, "/changes?on=2020-01-20&jurisdiction=EU")
    links = {one.attributes["href"] for one in read.all("a") if "from=" in one.attributes.get("href", "")}
    assert {href.rpartition("format=")[2] for href in links if "format=" in href} == {"pdf", "docx", "csv", "json"}
    for href in links:
        assert "jurisdiction=EU" in href
        assert client.get(href).status_code == 200, href


def test_without_sides_the_last_year_is_shown(client: FlaskClient) -> None:
    assert (
        page(client, "/changes").first("h1").text == "What changed in force between 2 February 2025 and 2 February 2026"
    )
    assert page(client, "/changes?on=2020-01-16").first("h1").text.endswith("16 January 2019 and 16 January 2020")
    assert "Isotretinoin" in page(client, "/changes").main.text


def test_versions_are_not_compared_across_the_register(client: FlaskClient) -> None:
    page(client, "/changes?from=@1&to=@2", 400)
    page(client, "/changes?medicine=unknown", 404)


def test_every_effect_of_the_table_is_explained(client: FlaskClient) -> None:
    read = page(client, "/about/severity")
    assert {one.attributes["id"] for one in read.all("tr") if "id" in one.attributes} == set(severity.TABLE.rows)
    assert severity.TABLE.sha256 in read.main.text


def test_what_the_operator_judges_otherwise_is_marked_and_heeded(corpus: Archive, tmp_path: Path) -> None:
    assert page(door(corpus), "/about/severity").of_class("govuk-inset-text") == []
    file = tmp_path / "severity.json"
    file.write_text('{"moved": "major", "contraindication-added": {"severity": "minor", "words": "One more"}}', "utf-8")
    own = door(corpus, severity_file=str(file))
    read = page(own, "/about/severity")
    assert "judge 2 effects otherwise" in read.of_class("govuk-inset-text")[0].text
    rows = {one.attributes["id"]: one.text for one in read.all("tr") if "id" in one.attributes}
    assert "The reviewed table says: critical; “Contraindication added”" in rows["contraindication-added"]
    assert "The reviewed table says: editorial" in rows["moved"]
    assert sum("The reviewed table says" in text for text in rows.values()) == 2
    compared = page(own, f"{COMPARE}?from=@2&to=@3")
    assert "Critical" not in compared.of_class("app-tally")[0].text
    assert "One more" in compared.main.text


# --- hostile text ----------------------------------------------------------------------------------------


def harmless_tags(read: Page) -> set[str]:
    return {element.tag for element in read.elements}


@pytest.mark.parametrize("view", ["redline", "sides", "fields"])
def test_no_text_of_a_change_becomes_an_element(
    client: FlaskClient, archive: Archive, act: Callable[..., Act], view: str
) -> None:
    known = {
        tag
        for name in ("redline", "sides", "fields")
        for tag in harmless_tags(page(client, f"{COMPARE}?from=@2&to=@3&view={name}"))
    }
    text = " ".join(HOSTILE)
    longest = HOSTILE[0]
    old = [rule("one", text=text), rule("two", text="plain"), rule("gone", text=text, title=longest)]
    new = [
        rule("one", text="plain"),
        rule("two", text=text, title=longest, interpretation=text),
        rule("new", text=text),
    ]
    bodies = [document(title=longest), version(1, rules=old, note=text), version(2, rules=new, title=longest)]
    archive.publish([Proposal(body) for body in bodies], act(longest), NOW)
    hostile = door(archive)
    read = page(hostile, f"/documents/ema/example/compare?from=@1&to=@2&view={view}")
    assert harmless_tags(read) <= known
    page(hostile, "/changes?from=2011-06-01&to=2013-01-01")


def inflated(pdf: bytes) -> Iterator[bytes]:
    """A PDF's own bytes, and what its compressed streams hold."""
    yield pdf
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        with contextlib.suppress(zlib.error):
            yield zlib.decompress(stream)


def test_no_text_of_a_change_becomes_a_part_of_its_pdf(archive: Archive, act: Callable[..., Act]) -> None:
    new = [rule("one", text=" ".join(HOSTILE), title=HOSTILE[5], interpretation=HOSTILE[9])]
    bodies = [document(title=HOSTILE[0]), version(1), version(2, title=HOSTILE[3], rules=new)]
    archive.publish([Proposal(body) for body in bodies], act(HOSTILE[8]), NOW)
    made = door(archive).get("/documents/ema/example/compare?from=@1&to=@2&format=pdf")
    assert (made.status_code, made.data[:5]) == (200, b"%PDF-")
    inside = b"".join(inflated(made.data))
    for part in (b"/StructTreeRoot", b"/MarkInfo", b"pdfuaid"):
        assert part in inside, part
    for part in (b"/JavaScript", b"/Launch", b"/EmbeddedFile", b"/OpenAction", b"/URI (javascript", b"/URI (data"):
        assert part not in inside, part


def test_no_text_of_a_change_becomes_a_formula_and_none_is_lost(archive: Archive, act: Callable[..., Act]) -> None:
    texts = [text for text in HOSTILE if len(text) <= 200]
    rules = [rule(f"rule-{number}", text=text, title=text) for number, text in enumerate(texts)]
    archive.publish([Proposal(body) for body in (document(), version(1), version(2, rules=rules))], act(), NOW)
    table = door(archive).get("/v1/documents/ema/example/diff?from=@1&to=@2&format=csv").get_data(as_text=True)
    found = {row["name"]: row for row in csv.DictReader(io.StringIO(table, newline=""))}
    for number, text in enumerate(texts):
        row = found[f"rule-{number}"]
        assert row["title"] == (f"'{text}" if text[0] in FORMULA else text)
        assert orjson.loads(row["segments"]) == [{"op": "inserted", "text": text}]
    assert not [cell for row in found.values() for cell in row.values() if cell[:1] in FORMULA]


@pytest.mark.parametrize("text", HOSTILE[::11], ids=range(len(HOSTILE[::11])))
@pytest.mark.parametrize("name", ["from", "to", "from_at", "view", "medicine"])
def test_no_text_of_an_address_becomes_an_element(client: FlaskClient, name: str, text: str) -> None:
    for path in (COMPARE, "/changes"):
        read = page(client, f"{path}?{name}={quote(text)}", 400)
        assert not read.all("img")
