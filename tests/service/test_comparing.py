"""What is compared: each place as either side has it, each document that either side is about."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from guidance.archive import Archive, Proposal
from guidance.store import Act
from tests.guidance.bodies import awaited, document, rule, since, version
from tests.service.doors import NOW, answer, correct, door, refusal
from tests.service.reading import page

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


# --- order -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "order"),
    [(1, 2, "backward"), (2, 1, "forward"), (1, 3, "forward"), (3, 3, "same"), (4, 3, "backward"), (3, 5, "forward")],
)
def test_two_versions_are_in_order_by_the_days_on_which_they_take_effect(
    make: Callable[..., str], client: FlaskClient, old: int, new: int, order: str
) -> None:
    make(document(), version(1, since("2020-01-01")))
    make(version(2, since("2019-01-01")))
    make(version(3, since("2021-01-01")))
    make(version(4, awaited()))
    make(version(5, awaited()))
    assert diff(client, f"from=@{old}&to=@{new}")["order"] == order
    said = page(client, f"/documents/ema/example/compare?from=@{old}&to=@{new}").main.text
    assert ("Turn the sides round" in said) == (order == "backward")


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


def test_a_place_is_refused_where_everything_is_compared_and_never_ignored(
    make: Callable[..., str], client: FlaskClient
) -> None:
    first = make(document(), version(1, since("2020-01-01", "EU")))
    make(version(2, since("2021-01-01", "EU")))
    for address in (f"{EXAMPLE}/diff", "/v1/diff"):
        told = refusal(client.get(f"{address}?from_at={first}&jurisdiction=CH"), 400, "bad-parameter")
        assert (told["parameter"], "goes with two days, or with on" in told["detail"]) == ("jurisdiction", True)
    for address in ("/documents/ema/example/compare", "/changes"):
        assert client.get(f"{address}?from_at={first}&jurisdiction=CH").status_code == 400
        assert client.get(f"{address}?from_at={first}&jurisdiction=").status_code == 200


def test_a_law_that_a_correction_restates_for_a_part_is_not_told_as_added(
    archive: Archive, make: Callable[..., str], client: FlaskClient
) -> None:
    first = make(document(), version(1, since("2020-01-01", "EU")))
    correct(archive, "ema/example", 1, commencements=[since("2020-01-01", "EU"), since("2020-01-01", "DE")])
    for places in ("", "&jurisdiction=EU", "&jurisdiction=DE"):
        told = diff(client, f"on=2020-03-01&from_at={first}{places}")
        assert [(one["name"], one["kind"]) for one in told["changes"]] == [("commencements", "changed")]


def test_a_whole_is_not_answered_by_its_parts(archive: Archive, make: Callable[..., str], client: FlaskClient) -> None:
    first = make(document(), version(1, since("2020-01-01", "DE")))
    correct(archive, "ema/example", 1, commencements=[since("2020-01-01", "EU"), since("2020-01-01", "DE")])
    (whole, part) = diff(client, f"on=2020-03-01&from_at={first}")["sides"]
    assert (whole["jurisdictions"], whole["old"]["asked"]["state"]) == (["EU"], "nothing-recorded")
    assert (part["jurisdictions"], part["old"]["asked"]["state"]) == (["DE"], "in-force")


# --- the register ----------------------------------------------------------------------------------------


def medicines(*names: str) -> Any:
    return [{"inn": name} for name in names]


@pytest.fixture
def parted(archive: Archive, make: Callable[..., str]) -> str:
    """Two documents about alpha; then a correction takes it out of the one. The revision before."""
    make(document("ema/one"), version(1, document="ema/one", medicines=medicines("alpha", "beta")))
    first = make(document("ema/two"), version(1, document="ema/two", medicines=medicines("alpha")))
    correct(archive, "ema/one", 1, medicines=medicines("beta"))
    return first


@pytest.mark.parametrize("more", ["", "&on=2020-03-01"])
@pytest.mark.parametrize("name", ["alpha", "beta"])
def test_a_medicine_that_a_correction_took_out_of_a_document_is_told_so(
    archive: Archive, client: FlaskClient, parted: str, name: str, more: str
) -> None:
    now = tip(archive)
    for sides in (f"from_at={parted}", f"from_at={parted}&to_at={now}", f"from_at={now}&to_at={parted}"):
        assert across(client, f"{sides}&medicine={name}{more}") == ["ema/one"]
        assert "Guidance ema/one" in page(client, f"/changes?{sides}&medicine={name}{more}").main.text


def test_a_medicine_of_which_only_the_older_side_knows_is_known(
    archive: Archive, client: FlaskClient, parted: str
) -> None:
    correct(archive, "ema/two", 1, medicines=medicines("beta"))
    assert across(client, f"from_at={parted}&medicine=alpha&authority=ema") == ["ema/one", "ema/two"]
    assert page(client, f"/changes?from_at={parted}&medicine=alpha").all("h2", id="document-2")
    for moment in (parted, tip(archive)):
        refusal(client.get(f"/v1/diff?from_at={moment}&medicine=gamma"), 404, "unknown-medicine")
        refusal(client.get(f"/v1/diff?from_at={moment}&authority=nobody"), 404, "unknown-authority")
    refusal(client.get("/v1/diff?from=2019-01-01&to=2020-01-01&medicine=alpha"), 404, "unknown-medicine")


# --- endings ---------------------------------------------------------------------------------------------


def endings(client: FlaskClient, query: str) -> list[Any]:
    return [one["ending"]["how"] for one in diff(client, query)["changes"] if "ending" in one]


def test_a_rule_that_expired_is_told_so_and_one_that_was_taken_out_too(
    archive: Archive, make: Callable[..., str], client: FlaskClient
) -> None:
    brief = rule("two", commencements=[since("2019-01-01", to="2020-06-01", ends="expired")])
    first = make(document(), version(1, since("2019-01-01"), rules=[rule("one"), brief]))
    days = ("2020-05-31", "2020-06-01")
    assert endings(client, f"from={days[0]}&to={days[1]}") == ["expired"]
    assert "Expired" in page(client, f"/documents/ema/example/compare?from={days[0]}&to={days[1]}").main.text
    assert endings(client, f"from={days[1]}&to={days[0]}") == []
    correct(archive, "ema/example", 1, rules=[brief])
    for on in ("", "&on=2020-05-31"):
        assert endings(client, f"from_at={first}{on}") == ["corrected"]
        assert endings(client, f"from_at={tip(archive)}&to_at={first}{on}") == []
    correct(archive, "ema/example", 1, rules=[rule("one"), brief])
    assert endings(client, f"from_at={tip(archive)}&to_at={first}") == []
    assert endings(client, f"from_at={tip(archive)}&to_at={archive.index.revisions()[1].id}") == ["not-yet"]


# --- the document itself, and bytes ----------------------------------------------------------------------


@pytest.fixture
def renamed(archive: Archive, make: Callable[..., str]) -> str:
    """A document whose title and places were corrected, and nothing of its version. The revision before."""
    first = make(document(), version(1))
    make(document(title="Another title", jurisdictions=["CH", "EU"]))
    return first


def test_a_correction_of_the_document_itself_is_a_difference_between_two_revisions(
    client: FlaskClient, renamed: str
) -> None:
    told = diff(client, f"from_at={renamed}")
    assert not told["equal"]
    assert [(one["subject"], one["name"], one["kind"]) for one in told["changes"]] == [
        ("document", "title", "changed"),
        ("document", "jurisdictions", "changed"),
    ]
    assert told["changes"][1]["severity"] == "major"
    itself, first = told["sides"]
    assert (itself["document"], itself["equal"], first["version"], first["equal"]) == ("ema/example", False, 1, True)
    assert itself["old"]["sha256"] != itself["new"]["sha256"]
    assert itself["new"]["recorded"]["id"] == told["revision"]["id"]
    assert across(client, f"from_at={renamed}") == ["ema/example"]


@pytest.mark.parametrize("view", ["redline", "sides", "fields", "changes"])
def test_a_page_and_every_format_tell_what_was_corrected_in_the_document_itself(
    client: FlaskClient, renamed: str, view: str
) -> None:
    read = page(client, f"/documents/ema/example/compare?from_at={renamed}&view={view}")
    assert "The document itself" in read.main.text
    assert len(read.all("article")) == 2
    assert "Nothing" not in read.main.text
    back = page(client, f"/documents/ema/example/compare?from_at={renamed}&to_at={renamed}&view={view}")
    assert "Nothing differs" in back.main.text
    assert "2 beside the rules" in page(client, f"/changes?from_at={renamed}").main.text
    assert b"Another title" in client.get(f"{EXAMPLE}/diff?from_at={renamed}&format=csv").data
    assert b"document,title,changed" in client.get(f"{EXAMPLE}/diff?from_at={renamed}&format=csv").data
    assert client.get(f"{EXAMPLE}/diff?from_at={renamed}&format=docx").status_code == 200
    refusal(client.get(f"{EXAMPLE}/diff?from_at={renamed}&format=patch"), 400, "bad-parameter")


def test_places_in_another_order_are_another_home(
    archive: Archive, make: Callable[..., str], client: FlaskClient, renamed: str
) -> None:
    first = tip(archive)
    make(document(title="Another title", jurisdictions=["EU", "CH"]))
    (change,) = diff(client, f"from_at={first}")["changes"]
    assert change["severity"] == "major"
    assert {effect["id"] for effect in change["effects"]} == {"reordered", "document-places-changed"}


def test_a_document_without_versions_is_told_too(make: Callable[..., str], client: FlaskClient) -> None:
    first = make(document())
    for sides, kind in (("from_at=2000-01-01", "added"), (f"from_at={first}&to_at=2000-01-01", "removed")):
        (change,) = diff(client, sides)["changes"]
        assert (change["subject"], change["kind"]) == ("document", kind)
        page(client, f"/documents/ema/example/compare?{sides}")
        refusal(client.get(f"{EXAMPLE}/diff?{sides}&format=patch"), 400, "bad-parameter")


@pytest.mark.parametrize("view", ["redline", "sides", "fields", "changes"])
def test_a_document_with_its_versions_is_compared_with_a_moment_before_it(
    make: Callable[..., str], client: FlaskClient, view: str
) -> None:
    first = make(document(), version(1, rules=[rule("one"), rule("two")]))
    for sides, kind in (("from_at=2000-01-01", "Added"), (f"from_at={first}&to_at=2000-01-01", "Removed")):
        read = page(client, f"/documents/ema/example/compare?{sides}&view={view}")
        assert read.main.text.count(f"Rule {kind.lower()}") or read.main.text.count(kind) >= 4
        assert "The document itself" in read.main.text


def test_a_word_file_has_the_whole_text_of_all_that_differs_in_its_bytes(
    archive: Archive, make: Callable[..., str], client: FlaskClient
) -> None:
    def counted(value: float) -> Any:
        return [rule("one", thresholds=[{"what": "x", "operator": ">=", "value": value, "unit": "1"}])]

    first = make(document(), version(1, rules=counted(3)))
    correct(archive, "ema/example", 1, rules=counted(3.0))
    assert not diff(client, f"from_at={first}")["equal"]
    word = client.get(f"{EXAMPLE}/diff?from_at={first}&format=docx").data
    with zipfile.ZipFile(io.BytesIO(word)) as file:
        assert b"The whole text" in file.read("word/document.xml")
