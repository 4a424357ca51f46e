"""What is compared: each place as either side has it, each document that either side is about; never equal by neglect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from guidance.archive import Archive, Proposal
from guidance.store import Act
from tests.guidance.bodies import document, since, version
from tests.service.doors import NOW, answer, correct, door

EXAMPLE = "/v1/documents/ema/example"
WITH_DE = [since("2020-01-01", "EU"), since("2020-07-01", "DE")]


@pytest.fixture
def make(archive: Archive, act: Callable[..., Act]) -> Callable[..., str]:
    """Publish bodies; the id of the revision."""

    def made(*bodies: Any) -> str:
        return archive.publish([Proposal(body) for body in bodies], act(), NOW).revision.id

    return made


def tip(archive: Archive) -> str:
    found = archive.tip()
    assert found is not None
    return found.id


@pytest.fixture
def client(archive: Archive) -> FlaskClient:
    return door(archive, NOW + timedelta(days=30))


def diff(client: FlaskClient, query: str) -> Any:
    return answer(client, f"{EXAMPLE}/diff?{query}", "diff-answer")


def across(client: FlaskClient, query: str) -> list[str]:
    return [one["document"] for one in answer(client, f"/v1/diff?{query}", "changes-answer")["documents"]]


# --- places ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True])
def test_a_part_that_a_correction_names_is_compared_with_the_whole_that_spoke_for_it(
    archive: Archive, make: Callable[..., str], client: FlaskClient, turned: bool
) -> None:
    first = make(document(), version(1, since("2020-01-01", "EU")))
    correct(archive, "ema/example", 1, commencements=WITH_DE)
    moments = (tip(archive), first) if turned else (first, tip(archive))
    sides = f"on=2020-03-01&jurisdiction=DE&from_at={moments[0]}&to_at={moments[1]}"
    for moment, held in zip(moments, [False, True] if turned else [True, False], strict=True):
        told = answer(client, f"{EXAMPLE}?on=2020-03-01&jurisdiction=DE&at={moment}")
        assert (told["version"] is not None) == held
    told = diff(client, sides)
    assert not told["equal"]
    assert {change["kind"] for change in told["changes"]} == {"added" if turned else "removed"}
    assert [side["jurisdictions"] for side in told["sides"]] == [["DE"]]
    assert across(client, sides) == ["ema/example"]


def test_a_law_that_a_correction_restates_for_a_part_is_not_told_as_added(
    archive: Archive, make: Callable[..., str], client: FlaskClient
) -> None:
    first = make(document(), version(1, since("2020-01-01", "EU")))
    correct(archive, "ema/example", 1, commencements=[since("2020-01-01", "EU"), since("2020-01-01", "DE")])
    for places in ("", "&jurisdiction=EU", "&jurisdiction=DE"):
        told = diff(client, f"on=2020-03-01&from_at={first}{places}")
        assert [(one["name"], one["kind"]) for one in told["changes"]] == [("commencements", "changed")]


def test_a_whole_is_not_answered_by_its_parts(
    archive: Archive, make: Callable[..., str], client: FlaskClient
) -> None:
    first = make(document(), version(1, since("2020-01-01", "DE")))
    correct(archive, "ema/example", 1, commencements=[since("2020-01-01", "EU"), since("2020-01-01", "DE")])
    (whole, part) = diff(client, f"on=2020-03-01&from_at={first}")["sides"]
    assert (whole["jurisdictions"], whole["old"]["asked"]["state"]) == (["EU"], "nothing-recorded")
    assert (part["jurisdictions"], part["old"]["asked"]["state"]) == (["DE"], "in-force")
