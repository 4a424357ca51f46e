"""The schemas of the answers: their examples, good and bad, and that they leave nothing open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guidance.schema import schema, violations
from tests.service.doors import EXAMPLES

GOOD = sorted((EXAMPLES / "good").glob("answer-*.json"))
BAD = sorted((EXAMPLES / "bad").glob("answer-*.json"))
ANSWERS = (
    "rules-answer",
    "document-answer",
    "documents-answer",
    "versions-answer",
    "version-answer",
    "history-answer",
    "medicines-answer",
    "medicine-answer",
    "diff-answer",
    "changes-answer",
    "search-answer",
    "events-answer",
    "subscription-answer",
    "subscriptions-answer",
    "delivery-answer",
    "deliveries-answer",
    "webhook",
    "patch",
    "problem",
    "health",
    "readiness",
    "revision",
)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_example_conforms(path: Path) -> None:
    told = json.loads(path.read_bytes())
    assert violations(told["schema"], told["value"]) == ()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_example_is_blamed_where_it_is_bad_and_nowhere_else(path: Path) -> None:
    told = json.loads(path.read_bytes())
    assert sorted({violation.pointer for violation in violations(told["schema"], told["value"])}) == told["blame"]


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_has_good_examples_and_bad_ones(name: str) -> None:
    for examples in (GOOD, BAD):
        assert name in {json.loads(path.read_bytes())["schema"] for path in examples}


@pytest.mark.parametrize("name", [*ANSWERS, "answer"])
def test_every_object_of_an_answer_names_all_its_members(name: str) -> None:
    open_ones = [place for place, node in objects(schema(name)) if node.get("additionalProperties") is not False]
    assert open_ones == []


@pytest.mark.parametrize("name", [*ANSWERS, "answer"])
def test_every_schema_of_ours_is_known_by_its_file_name(name: str) -> None:
    told = schema(name)
    assert told["$id"] == f"urn:inforce:schema:{name}"
    assert told["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert told["title"]


def test_a_change_in_an_answer_has_every_member_of_a_change() -> None:
    told = schema("diff-answer")["$defs"]["change"]["properties"]
    assert (
        told.keys() - {"jurisdictions", "version", "document"} == schema("diff")["$defs"]["change"]["properties"].keys()
    )


def objects(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every schema of an object, with the place where it stands."""
    if isinstance(node, dict):
        kinds = node.get("type", ())
        if ("object" in kinds if isinstance(kinds, list) else kinds == "object") and "properties" in node:
            yield place, node
        for name, member in node.items():
            yield from objects(member, f"{place}/{name}")
    elif isinstance(node, list):
        for at, member in enumerate(node):
            yield from objects(member, f"{place}/{at}")
