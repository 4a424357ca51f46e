"""How an answer leaves: JSON as it is, and tables that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from guidance.archive import Archive, Proposal
from guidance.store import Act
from service.formats import CSV, FORMATS, JSON, Answer, as_csv, as_json, offered
from tests.guidance import bodies
from tests.service.doors import NOW, answer, door

LEMTRADA = "/v1/documents/ema/lemtrada"


@pytest.fixture(scope="module")
def client(corpus: Archive) -> FlaskClient:
    return door(corpus)


def table(answer: Any) -> list[list[str]]:
    """An answer as CSV, read again."""
    written = b"".join(as_csv(Answer([orjson.dumps(answer)]))).decode("utf-8")
    return list(csv.reader(io.StringIO(written, newline="")))


def rows(client: FlaskClient, address: str) -> list[dict[str, str]]:
    """The table of an answer over HTTP."""
    response = client.get(address, headers={"Accept": "text/csv"})
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.data.decode("utf-8"), newline="")))


# --- the table of formats --------------------------------------------------------------------------------


def test_every_format_has_a_name_of_its_own_and_json_comes_first() -> None:
    names = [one.name for one in FORMATS.values()]
    assert len(set(names)) == len(names)
    assert next(iter(FORMATS)) == JSON


def test_what_is_only_for_diffs_is_offered_for_diffs_only() -> None:
    assert set(offered(diff=False)) == {JSON, CSV}
    assert set(offered(diff=True)) == set(FORMATS)


def test_json_leaves_as_it_is_piece_by_piece() -> None:
    pieces = [b'{"a":', b"1}"]
    assert as_json(Answer(pieces)) is pieces


# --- cells -----------------------------------------------------------------------------------------------

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\n=1",
    '=HYPERLINK("http://evil.example","x")',
    "=cmd|' /C calc'!A0",
]


@pytest.mark.parametrize("text", [*FORMULAS, "＝1+1", "＋1", "－1", "＠x"])
def test_a_cell_that_a_spreadsheet_would_run_is_led_by_an_apostrophe(text: str) -> None:
    head, row = table({"rules": [{"text": text, "list": [text, "more"]}]})
    assert head == ["text", "list"]
    assert row == [f"'{text}", f"'{text} more"]


@pytest.mark.parametrize(
    "text", ["2 = 1+1", "a-b", "≥ 2", "'quoted", "", "a,b", 'say "no"', "two\nlines", "naïve 薬", " =1"]
)
def test_any_other_cell_is_what_it_was(text: str) -> None:
    assert table({"rules": [{"text": text, "id": "x"}]})[1] == [text, "x"]


def test_a_formula_in_a_register_is_harmless_in_the_table_of_its_rules(archive: Archive) -> None:
    rules = [
        bodies.rule(f"rule-{place}", title=text, text=f"{text} and so on")
        for place, text in enumerate(formula for formula in FORMULAS if formula.isprintable())
    ]
    act = Act("publish", "Ada Pharmacist <ada@example.org>", "hostile")
    archive.publish([Proposal(bodies.document()), Proposal(bodies.version(1, rules=rules))], act, NOW)
    for address in ("/v1/rules?on=2020-01-01", "/v1/documents/ema/example?on=2020-01-01"):
        found = [cell for row in rows(door(archive), address) for cell in row.values()]
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in found)


def test_members_inside_members_are_columns_named_with_dots() -> None:
    told = {"rules": [{"rule": {"id": "stroke", "source": {"ref": "spc"}}, "but_not": []}, {"version": 3}]}
    assert table(told) == [
        ["rule.id", "rule.source.ref", "but_not", "version"],
        ["stroke", "spc", "", ""],
        ["", "", "", "3"],
    ]


def test_what_is_no_text_is_written_as_json() -> None:
    told = {"rules": [{"whole": 3, "part": 0.5, "yes": True, "none": None, "list": [{"a": 1}], "words": ["EU", "UK"]}]}
    assert table(told)[1] == ["3", "0.5", "true", "", '[{"a":1}]', "EU UK"]


def test_lines_end_as_rfc_4180_has_it() -> None:
    assert b"".join(as_csv(Answer([b'{"rules":[{"a":1},{"a":2}]}']))) == b"a\r\n1\r\n2\r\n"


# --- tables over HTTP ------------------------------------------------------------------------------------


def test_a_document_of_which_nothing_is_in_force_is_a_table_without_lines(client: FlaskClient) -> None:
    assert rows(client, "/v1/documents/ema/lemtrada?on=2020-02-01")
    for query in ("on=2013-01-01", "jurisdiction=CH", "at=2000-01-01"):
        assert answer(client, f"/v1/documents/ema/lemtrada?{query}")["version"] is None
        assert rows(client, f"/v1/documents/ema/lemtrada?{query}") == []


def test_the_table_of_the_rules_has_a_line_for_each_rule(client: FlaskClient) -> None:
    address = "/v1/rules?medicine=alemtuzumab&jurisdiction=EU&on=2019-12-01"
    told = answer(client, address)["rules"]
    found = rows(client, address)
    assert [row["rule.id"] for row in found] == [item["rule"]["id"] for item in told]
    assert {row["jurisdictions"] for row in found} == {"EU"}
    assert [row["rule.text"] for row in found] == [item["rule"]["text"] for item in told]


def test_the_table_of_a_document_or_version_has_a_line_for_each_rule(client: FlaskClient) -> None:
    for address in (f"{LEMTRADA}?on=2020-02-01", f"{LEMTRADA}/versions/3"):
        assert [row["id"] for row in rows(client, address)] == [
            r["id"] for r in answer(client, address)["version"]["rules"]
        ]


@pytest.mark.parametrize(
    ("address", "member", "column", "key"),
    [
        ("/v1/documents", "documents", "id", "id"),
        (f"{LEMTRADA}/versions", "versions", "number", "number"),
        (f"{LEMTRADA}/history", "revisions", "id", "id"),
        ("/v1/medicines", "medicines", "inn", "inn"),
        ("/v1/medicines/alemtuzumab", "documents", "document", "document"),
        (f"{LEMTRADA}/diff?from=@2&to=@3", "changes", "name", "name"),
    ],
)
def test_the_table_of_a_list_has_a_line_for_each_of_its_items(
    client: FlaskClient, address: str, member: str, column: str, key: str
) -> None:
    assert [row[column] for row in rows(client, address)] == [
        str(item[key]) for item in answer(client, address)[member]
    ]


def test_the_table_of_changes_everywhere_says_which_document_each_is_in(client: FlaskClient) -> None:
    address = "/v1/diff?from=2019-01-01&to=2020-02-01"
    told = [
        (one["document"], change["name"]) for one in answer(client, address)["documents"] for change in one["changes"]
    ]
    assert [(row["document"], row["name"]) for row in rows(client, address)] == told


def test_the_patch_of_two_versions_makes_the_one_of_the_other(client: FlaskClient) -> None:
    response = client.get(f"{LEMTRADA}/diff?from=@2&to=@3&format=patch")
    assert response.mimetype == "application/json-patch+json"
    told = json.loads(response.data)
    assert told[0]["op"] == "test"
    assert {operation["op"] for operation in told} <= {"test", "add", "remove", "replace"}
    assert response.headers["Content-Disposition"] == 'inline; filename="inforce.patch"'


def test_a_patch_of_what_is_not_one_pair_is_refused(client: FlaskClient) -> None:
    for address in (
        f"{LEMTRADA}/diff?from=2013-01-01&to=2020-01-01&format=patch",
        "/v1/diff?from=2013-01-01&to=2020-01-01&format=patch",
    ):
        response = client.get(address)
        assert response.status_code == 400
        assert json.loads(response.data)["parameter"] == "format"


def test_a_diff_as_a_word_document_is_one(client: FlaskClient) -> None:
    response = client.get(f"{LEMTRADA}/diff?from=@2&to=@3&format=docx")
    assert response.mimetype == "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    assert response.data.startswith(b"PK")
