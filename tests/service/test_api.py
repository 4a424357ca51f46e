"""Machine routes: what they answer, how long an answer lasts, and how they refuse."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from guidance.archive import Archive, Proposal
from guidance.schema import schema, schema_names
from guidance.store import Act
from service import comparing
from tests.guidance import bodies
from tests.service.doors import NOW, Hands, answer, correct, door, refusal

ACT = Act("publish", "A <a@example.org>", "for a test")
LEMTRADA = "/v1/documents/ema/lemtrada"
QUESTIONS = {
    "/v1/rules": "rules-answer",
    "/v1/rules?on=2019-12-01": "rules-answer",
    "/v1/rules?on=2024-06-01&jurisdiction=UK": "rules-answer",
    "/v1/rules?on=2024-06-01&jurisdiction=NI&medicine=valproate": "rules-answer",
    "/v1/rules?medicine=alemtuzumab&authority=ema&kind=contraindication&cohort=initiation": "rules-answer",
    "/v1/rules?on=0001-01-01": "rules-answer",
    "/v1/rules?on=9999-12-31": "rules-answer",
    "/v1/rules?at=2010-01-01": "rules-answer",
    "/v1/documents": "documents-answer",
    "/v1/documents?limit=2&authority=ema": "documents-answer",
    "/v1/documents?medicine=alemtuzumab": "documents-answer",
    "/v1/documents?at=2010-01-01": "documents-answer",
    LEMTRADA: "document-answer",
    f"{LEMTRADA}?on=2013-09-11": "document-answer",
    f"{LEMTRADA}?on=2019-12-01&jurisdiction=UK": "document-answer",
    f"{LEMTRADA}?jurisdiction=CH": "document-answer",
    f"{LEMTRADA}?at=2010-01-01": "document-answer",
    "/v1/documents/ema/hes?on=2022-05-24": "document-answer",
    "/v1/documents/ema/zinbryta?on=2018-03-01": "document-answer",
    "/v1/documents/ema/zinbryta?on=2018-03-27": "document-answer",
    "/v1/documents/ema/valproate?jurisdiction=DE": "document-answer",
    "/v1/documents/mhra/valproate?on=2024-06-01": "document-answer",
    "/v1/documents/mhra/fluoroquinolones?on=2019-06-01": "document-answer",
    f"{LEMTRADA}/versions": "versions-answer",
    "/v1/documents/ema/zinbryta/versions": "versions-answer",
    f"{LEMTRADA}/versions/3": "version-answer",
    "/v1/documents/ema/hes/versions/1": "version-answer",
    f"{LEMTRADA}/history": "history-answer",
    f"{LEMTRADA}/history?limit=1": "history-answer",
    f"{LEMTRADA}/history?before=1": "history-answer",
    "/v1/medicines": "medicines-answer",
    "/v1/medicines?limit=3&after=cinoxacin": "medicines-answer",
    "/v1/medicines?at=2010-01-01": "medicines-answer",
    "/v1/medicines/alemtuzumab": "medicine-answer",
    "/v1/medicines/valproate?jurisdiction=CH": "medicine-answer",
    f"{LEMTRADA}/diff?from=@2&to=@3": "diff-answer",
    f"{LEMTRADA}/diff?from=@2&to=@2": "diff-answer",
    f"{LEMTRADA}/diff?from=@3&to=@1": "diff-answer",
    f"{LEMTRADA}/diff?from=2013-01-01&to=2020-02-01": "diff-answer",
    f"{LEMTRADA}/diff?from=2020-02-01&to=2019-12-01&jurisdiction=UK": "diff-answer",
    f"{LEMTRADA}/diff?from_at=2019-11-05&to_at=2026-02-02": "diff-answer",
    f"{LEMTRADA}/diff?from_at=2026-02-02&to_at=2026-02-02": "diff-answer",
    f"{LEMTRADA}/diff?from_at=2019-11-05&on=2020-02-01": "diff-answer",
    "/v1/documents/mhra/valproate/diff?from=2023-01-01&to=2024-06-01": "diff-answer",
    "/v1/documents/ema/zinbryta/diff?from=2018-03-03&to=2018-04-01": "diff-answer",
    "/v1/diff?from=2019-01-01&to=2020-02-01": "changes-answer",
    "/v1/diff?from=2020-02-01&to=2020-02-01": "changes-answer",
    "/v1/diff?from=2020-02-01&to=2019-01-01&medicine=alemtuzumab": "changes-answer",
    "/v1/diff?from_at=2019-11-05&on=2020-02-01&jurisdiction=EU": "changes-answer",
    "/v1/diff?from_at=2019-11-05&to_at=2026-02-02&on=2020-02-01": "changes-answer",
    "/v1/search?q=stroke": "search-answer",
    "/v1/search?q=nowhere&limit=1": "search-answer",
    "/healthz": "health",
    "/readyz": "readiness",
}
ANSWERS = [address for address in QUESTIONS if address.startswith("/v1/")]
DATED = [address for address in ANSWERS if QUESTIONS[address] in ("rules-answer", "document-answer", "medicine-answer")]


@pytest.fixture(scope="module")
def client(corpus: Archive) -> FlaskClient:
    return door(corpus)


@pytest.fixture(scope="module")
def past(replayed: Archive) -> FlaskClient:
    return door(replayed)


@pytest.fixture
def own(corpus: Archive, tmp_path: Path) -> Archive:
    """The seeded register, for a test that records something."""
    return Archive(shutil.copytree(corpus.folder, tmp_path / "own"))


# --- what is answered ------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", QUESTIONS)
def test_every_answer_conforms_to_its_schema(client: FlaskClient, past: FlaskClient, address: str) -> None:
    for register in (client, past):
        answer(register, address, QUESTIONS[address])


@pytest.mark.parametrize("address", ANSWERS)
def test_every_answer_repeats_what_was_asked_and_from_where_it_looks(past: FlaskClient, address: str) -> None:
    told = answer(past, address)
    query = address.partition("?")[2]
    asked = dict(part.split("=") for part in query.split("&") if part)
    expected = {name: int(value) if name in ("limit", "before") else value for name, value in asked.items()}
    assert expected.items() <= told["asked"].items()
    if asked.get("at") == "2010-01-01":
        assert told["revision"] is None
    else:
        tip = answer(past, "/readyz")["revision"]
        assert told["revision"]["id"] == tip
        assert told["revision"]["replayed"] is True


def test_an_answer_from_an_instant_names_the_revision_of_that_instant(past: FlaskClient) -> None:
    told = answer(past, f"{LEMTRADA}?on=2020-02-01&at=2019-10-31T16:00:00Z")
    assert told["asked"]["at"] == "2019-10-31T16:00:00Z"
    assert told["revision"]["recorded_at"] == "2019-10-31T16:00:00Z"
    earlier = answer(past, f"{LEMTRADA}?on=2020-02-01&at=2019-10-31T17:59:59%2B02:00")
    assert earlier["revision"]["position"] == told["revision"]["position"] - 1


def test_an_answer_names_the_version_its_period_and_the_next_day_on_which_it_changes(client: FlaskClient) -> None:
    told = answer(client, f"{LEMTRADA}?on=2019-12-31&jurisdiction=EU")
    assert told["selected"]["version"] == told["version"]["number"] == 2
    assert told["selected"]["period"] == {"from": "2019-04-12", "to": "2020-01-16"}
    assert told["next_change_on"] == "2020-01-16"
    assert [(item["version"], item["from"]) for item in told["coming"]] == [(3, "2020-01-16")]
    after = answer(client, f"{LEMTRADA}?on=2020-01-16&jurisdiction=EU")
    assert after["version"]["number"] == 3


def test_of_many_things_that_are_coming_the_nearest_are_told_and_that_there_are_more(archive: Archive) -> None:
    days = [f"20{year}-01-01" for year in range(30, 42)]
    later = [bodies.version(number, bodies.since(day)) for number, day in enumerate(days, start=2)]
    hoped = bodies.version(14, bodies.awaited(), stage="recommended")
    first = bodies.version(1, bodies.since("2020-01-01"))
    archive.publish([Proposal(body) for body in (bodies.document(), first, *later, hoped)], ACT, NOW)
    client = door(archive)
    for address in ("/v1/documents/ema/example?on=2025-01-01", "/v1/rules?on=2025-01-01&authority=ema"):
        told = answer(client, address)
        assert [item["from"] for item in told["coming"]] == [*days[:5], None]
        assert told["more_coming"] is True
    told = answer(client, "/v1/documents/ema/example?on=2037-01-01")
    assert ([item["from"] for item in told["coming"]], told["more_coming"]) == ([*days[8:], None], False)
    page = client.get("/documents/ema/example?on=2025-01-01", headers={"Accept": "text/html"}).get_data(as_text=True)
    coming = page[page.index('id="coming"') :]
    assert all(f"1 January {day[:4]}" in coming for day in days)


@pytest.mark.parametrize("expected", ["9999-12-31", "9999-12", "9999"])
def test_what_is_expected_until_the_last_day_is_never_overdue(archive: Archive, expected: str) -> None:
    hoped = bodies.version(1, bodies.awaited(expected=expected))
    archive.publish([Proposal(bodies.document()), Proposal(hoped)], ACT, NOW)
    client = door(archive)
    for address in ("/v1/documents/ema/example", "/v1/rules?authority=ema", "/v1/medicines/alemtuzumab"):
        told = answer(client, f"{address}{'&' if '?' in address else '?'}on=9999-12-31")
        assert [(item["expected"], item["state"]) for item in told["coming"]] == [(expected, "coming")]
        assert told["next_change_on"] is None
    assert client.get("/documents/ema/example").status_code == 200


def test_a_list_of_versions_says_how_sure_the_days_are(archive: Archive) -> None:
    sure = bodies.since("2020-01-01", "EU", to="2020-06-01", unconfirmed=["from", "to"])
    oldest = bodies.since("2019-01-01", "UK", to="2021-01-01", at_latest=True, unconfirmed=["to"])
    told = [
        bodies.document("ema/example", "EU", "UK"),
        bodies.version(1, sure, oldest),
        bodies.version(2, bodies.since("2020-03-01", "UK")),
    ]
    archive.publish([Proposal(body) for body in told], Act("publish", "Ada <ada@example.org>", "because"), NOW)
    client = door(archive)
    eu = {"jurisdiction": "EU", "from": "2020-01-01", "to": "2020-06-01", "ends": "expired"}
    uk = {"jurisdiction": "UK", "from": "2019-01-01", "to": "2020-03-01", "ends": "superseded"}
    first = [{**eu, "unconfirmed": ["from", "to"]}, {**uk, "at_latest": True}]
    path = "/v1/documents/ema/example/versions"
    listed = [one["in_force"] for one in answer(client, path, "versions-answer")["versions"]]
    assert listed == [first, [{"jurisdiction": "UK", "from": "2020-03-01", "to": None, "ends": None}]]
    assert answer(client, f"{path}/1", "version-answer")["in_force"] == first
    selected = answer(client, "/v1/documents/ema/example?on=2020-02-01&jurisdiction=UK")["selected"]
    assert (selected["ends"], selected.get("unconfirmed"), selected["at_latest"]) == ("superseded", None, True)


def test_a_document_that_comes_to_speak_of_another_place_is_asked_about_it(archive: Archive) -> None:
    place = "/v1/documents/ema/example?on=2025-01-01&jurisdiction=UK"
    client = door(archive, cache_bytes=0)
    archive.publish([Proposal(bodies.document("ema/example", "UK")), *_versions((1, "UK"))], ACT, NOW)
    assert answer(client, place)["parts"] == []
    archive.publish(_versions((2, "NI")), ACT, NOW)
    assert [part["jurisdiction"] for part in answer(client, place)["parts"]] == ["NI"]
    earlier = answer(client, f"{place}&at={archive.index.revisions()[0].id}")
    assert earlier["parts"] == []
    assert [part["jurisdiction"] for part in answer(client, place)["parts"]] == ["NI"]


def _versions(*told: tuple[int, str]) -> list[Proposal]:
    return [Proposal(bodies.version(number, bodies.since(f"202{number}-01-01", place))) for number, place in told]


@pytest.mark.parametrize(
    "address", ["/v1/rules?jurisdiction=EU&medicine=alemtuzumab", LEMTRADA, "/v1/medicines/alemtuzumab"]
)
def test_an_answer_stays_the_same_up_to_its_next_change(client: FlaskClient, address: str) -> None:
    joint = "&" if "?" in address else "?"
    whole = answer(client, f"{address}{joint}on=2019-04-12")
    assert whole["next_change_on"] == "2020-01-16"
    before, change = (answer(client, f"{address}{joint}on={day}") for day in ("2020-01-15", "2020-01-16"))
    kept = ("rules", "version", "documents", "selected", "codes")
    assert [before.get(name) for name in kept] == [whole.get(name) for name in kept]
    assert [change.get(name) for name in kept] != [whole.get(name) for name in kept]


def test_filters_narrow_the_rules_and_the_cohort_keeps_what_holds_for_everyone(client: FlaskClient) -> None:
    base = "/v1/rules?on=2019-12-01&jurisdiction=EU&medicine=alemtuzumab"
    every = {item["rule"]["id"]: item["rule"] for item in answer(client, base)["rules"]}
    kinds = answer(client, f"{base}&kind=monitoring")["rules"]
    assert {item["rule"]["id"] for item in kinds} == {
        name for name, rule in every.items() if rule["kind"] == "monitoring"
    }
    starting = {item["rule"]["id"] for item in answer(client, f"{base}&cohort=initiation")["rules"]}
    assert starting == {name for name, rule in every.items() if rule["cohort"] in ("initiation", "everyone")}
    assert "continuation" in every
    assert "continuation" not in starting
    assert answer(client, f"{base}&authority=mhra")["rules"] == []


def test_rules_come_each_once_and_say_in_which_part_of_a_place_they_hold(client: FlaskClient) -> None:
    told = answer(client, "/v1/rules?on=2024-06-01&jurisdiction=UK&medicine=valproate&authority=mhra")
    where = {item["rule"]["id"]: (item["jurisdictions"], item["but_not"]) for item in told["rules"]}
    assert where["two-specialists"] == (["UK"], [])
    assert where["full-pack"] == (["GB"], [])
    assert where["full-pack-good-practice"] == (["NI"], [])
    assert len(where) == len(told["rules"])


def test_the_rules_of_the_whole_register_are_written_while_they_are_read(client: FlaskClient) -> None:
    response = client.get("/v1/rules?on=2019-12-01")
    assert response.is_streamed
    assert "Content-Length" not in response.headers
    assert len(json.loads(response.data)["rules"]) > 20


def test_pages_of_documents_follow_each_other_without_gap_or_repetition(client: FlaskClient) -> None:
    whole = [document["id"] for document in answer(client, "/v1/documents")["documents"]]
    found, after = [], ""
    while after is not None:
        told = answer(client, "/v1/documents?limit=3" + (f"&after={after}" if after else ""))
        found += [document["id"] for document in told["documents"]]
        after = told["next_after"]
    assert found == whole == sorted(whole)
    assert len(found) == 8


def test_pages_of_medicines_and_of_a_history_follow_each_other(past: FlaskClient) -> None:
    whole = [item["inn"] for item in answer(past, "/v1/medicines")["medicines"]]
    first = answer(past, "/v1/medicines?limit=10")
    rest = answer(past, f"/v1/medicines?after={first['next_after']}")
    assert [item["inn"] for item in (*first["medicines"], *rest["medicines"])] == whole
    positions = [item["position"] for item in answer(past, f"{LEMTRADA}/history")["revisions"]]
    first = answer(past, f"{LEMTRADA}/history?limit=4")
    rest = answer(past, f"{LEMTRADA}/history?before={first['next_before']}")
    assert [item["position"] for item in (*first["revisions"], *rest["revisions"])] == positions
    assert positions == sorted(positions, reverse=True)


def test_a_history_says_who_when_and_why(past: FlaskClient) -> None:
    newest = answer(past, f"{LEMTRADA}/history?at=2020-01-31")["revisions"][0]
    assert newest["act"] == "advance"
    assert newest["subjects"] == ["ema/lemtrada@3"]
    assert newest["author"] == "Inforce replay <replay@inforce.invalid>"
    assert newest["reason"] == "Commission decision, legally binding"
    assert newest["recorded_at"] == "2020-01-16T16:00:00Z"


def test_a_version_comes_with_the_fingerprint_of_its_canonical_bytes(client: FlaskClient, corpus: Archive) -> None:
    told = answer(client, f"{LEMTRADA}/versions/3")
    tip = corpus.tip()
    assert tip is not None
    content = corpus.index.version("ema/lemtrada", 3, tip.position)
    assert json.loads(content) == told["version"]
    assert re.fullmatch("[0-9a-f]{64}", told["sha256"])
    assert told["in_force"][0] == {"jurisdiction": "EU", "from": "2020-01-16", "to": None, "ends": None}


def test_versions_are_listed_with_the_days_on_which_each_is_in_force(client: FlaskClient) -> None:
    listed = answer(client, "/v1/documents/ema/hes/versions")["versions"]
    assert [(item["number"], item["in_force"]) for item in listed] == [
        (1, []),
        (2, [{"jurisdiction": "EU", "from": "2018-07-17", "to": "2022-05-24", "ends": "superseded"}]),
        (3, [{"jurisdiction": "EU", "from": "2022-05-24", "to": None, "ends": None}]),
    ]


def test_the_codes_of_a_medicine_are_those_of_the_day(client: FlaskClient) -> None:
    for day, code in (("2023-12-31", "L04AA34"), ("2024-01-01", "L04AG06")):
        told = answer(client, f"/v1/medicines/alemtuzumab?on={day}")
        assert [c["code"] for c in told["codes"] if c["system"] == "atc"] == [code]


def test_a_medicine_in_a_place_that_no_document_speaks_of_names_its_documents_all_the_same(client: FlaskClient) -> None:
    told = answer(client, "/v1/medicines/valproate?jurisdiction=CH", "medicine-answer")
    assert [(one["document"], one["selected"]) for one in told["documents"]] == [
        ("ema/valproate", []),
        ("mhra/valproate", []),
    ]
    assert all(one["title"] for one in told["documents"])


def test_before_the_register_began_nothing_was_recorded_yet(past: FlaskClient) -> None:
    told = answer(past, f"{LEMTRADA}?on=2020-02-01&at=2010-01-01")
    assert (told["revision"], told["document"], told["version"]) == (None, None, None)
    assert told["selected"]["state"] == "nothing-recorded"
    assert answer(past, "/v1/rules?at=2010-01-01")["rules"] == []


# --- which day is today ----------------------------------------------------------------------------------

MIDNIGHTS = [
    # instant, jurisdiction, the civil day there
    ("2026-01-15T22:59:59Z", "EU", "2026-01-15"),
    ("2026-01-15T23:00:00Z", "EU", "2026-01-16"),
    ("2026-01-15T23:59:59Z", "UK", "2026-01-15"),
    ("2026-01-16T00:00:00Z", "UK", "2026-01-16"),
    ("2026-07-15T21:59:59Z", "EU", "2026-07-15"),
    ("2026-07-15T22:00:00Z", "EU", "2026-07-16"),
    ("2026-07-15T22:59:59Z", "GB", "2026-07-15"),
    ("2026-07-15T23:00:00Z", "NI", "2026-07-16"),
    ("2026-07-15T21:00:00Z", "FI", "2026-07-16"),
    ("2026-07-15T20:59:59Z", "FI", "2026-07-15"),
    ("2026-07-15T23:59:59Z", "IS", "2026-07-15"),
    ("2026-07-16T00:00:00Z", "IS", "2026-07-16"),
    ("2026-07-15T22:00:00Z", "CH", "2026-07-16"),
    ("2026-03-28T23:00:00Z", "EU", "2026-03-29"),
    ("2026-03-29T22:00:00Z", "EU", "2026-03-30"),
    ("2026-10-24T22:00:00Z", "EU", "2026-10-25"),
    ("2026-10-25T22:59:59Z", "EU", "2026-10-25"),
    ("2026-10-25T23:00:00Z", "EU", "2026-10-26"),
    ("2028-02-28T23:00:00Z", "EU", "2028-02-29"),
]


@pytest.mark.parametrize(("instant", "place", "day"), MIDNIGHTS)
def test_a_question_without_a_day_is_about_today_where_it_asks_about(
    corpus: Archive, instant: str, place: str, day: str
) -> None:
    client = door(corpus, datetime.fromisoformat(instant))
    for address in ("/v1/rules", LEMTRADA, "/v1/medicines/alemtuzumab"):
        told = answer(client, f"{address}?jurisdiction={place}")
        assert (told["on"], told["asked"]["on"]) == (day, None)


def test_a_question_without_a_place_takes_the_day_of_the_documents_home_or_of_the_service(corpus: Archive) -> None:
    between = datetime(2026, 1, 21, 23, 30, tzinfo=UTC)
    assert answer(door(corpus, between), "/v1/documents/mhra/isotretinoin")["on"] == "2026-01-21"
    assert answer(door(corpus, between), LEMTRADA)["on"] == "2026-01-22"
    assert answer(door(corpus, between), "/v1/rules")["on"] == "2026-01-22"
    assert answer(door(corpus, between, jurisdiction="UK"), "/v1/rules")["on"] == "2026-01-21"


def test_a_rule_ends_at_midnight_where_it_holds(corpus: Archive) -> None:
    clock = Hands(datetime(2026, 1, 21, 23, 59, 59, tzinfo=UTC))
    client = door(corpus, clock)
    assert answer(client, "/v1/documents/mhra/isotretinoin")["selected"]["state"] == "in-force"
    clock.turn(seconds=1)
    told = answer(client, "/v1/documents/mhra/isotretinoin")
    assert (told["selected"]["state"], told["selected"]["ends"]) == ("ended", "repealed")


# --- how long an answer lasts ----------------------------------------------------------------------------


@pytest.mark.parametrize("address", ANSWERS)
def test_an_answer_that_is_held_already_is_not_sent_again(client: FlaskClient, address: str) -> None:
    first = client.get(address)
    tag = first.headers["ETag"]
    assert re.fullmatch('"[0-9a-f]{32}"', tag)
    for sent in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = client.get(address, headers={"If-None-Match": sent})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == tag
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
        assert again.headers["Vary"] == "Accept"
    assert client.get(address, headers={"If-None-Match": '"other"'}).status_code == 200


def test_no_two_questions_share_a_tag(client: FlaskClient) -> None:
    tags = [client.get(address).headers["ETag"] for address in ANSWERS]
    tags += [client.get(address, headers={"Accept": "text/csv"}).headers["ETag"] for address in ANSWERS]
    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize("address", DATED)
def test_the_tag_of_an_answer_about_today_changes_at_midnight_and_not_before(corpus: Archive, address: str) -> None:
    clock = Hands(datetime(2026, 2, 2, 12, tzinfo=UTC))
    client = door(corpus, clock)
    first = client.get(address).headers["ETag"]
    clock.turn(hours=10)
    assert client.get(address).headers["ETag"] == first
    clock.turn(hours=10)
    assert (client.get(address).headers["ETag"] == first) == ("?on=" in address or "&on=" in address)


def test_a_tag_changes_when_something_is_recorded(own: Archive) -> None:
    client = door(own)
    before = {address: client.get(address).headers["ETag"] for address in ANSWERS}
    correct(own, "ema/lemtrada", 1, note="Read again.")
    assert all(
        client.get(address).headers["ETag"] != tag for address, tag in before.items() if "at=2010" not in address
    )


def test_a_permalink_never_changes_whatever_is_recorded_later(own: Archive) -> None:
    client = door(own)
    tip = own.tip()
    assert tip is not None
    dated = "on=2020-02-01"
    links = [
        f"/v1/rules?{dated}&medicine=alemtuzumab",
        f"{LEMTRADA}?{dated}",
        "/v1/documents?limit=3",
        f"{LEMTRADA}/versions",
        f"{LEMTRADA}/versions/3",
        f"{LEMTRADA}/history?limit=3",
        f"{LEMTRADA}/diff?from=@2&to=@3",
        f"{LEMTRADA}/diff?from=2019-12-01&to=2020-02-01",
        "/v1/medicines?limit=3",
        f"/v1/medicines/alemtuzumab?{dated}",
    ]
    pinned = [f"{link}{'&' if '?' in link else '?'}at={tip.id}" for link in links]
    before = [client.get(link) for link in pinned]
    for response in before:
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    correct(own, "ema/lemtrada", 3, title="Read again")
    correct(own, "ema/lemtrada", 2, title="Read again, too")
    fresh = door(own, cache_bytes=0)
    for link, response in zip(pinned, before, strict=True):
        for register in (client, fresh):
            again = register.get(link)
            assert (again.data, again.headers["ETag"]) == (response.data, response.headers["ETag"])


def test_only_a_whole_revision_id_pins_an_answer(client: FlaskClient, corpus: Archive) -> None:
    tip = corpus.tip()
    assert tip is not None
    for at in (tip.id[:12], tip.id[:39], "2026-02-02", "2026-02-02T12:00:00Z"):
        response = client.get(f"{LEMTRADA}?on=2020-02-01&at={at}")
        assert (response.status_code, response.headers["Cache-Control"]) == (200, "public, no-cache")
        assert json.loads(response.data)["revision"]["id"] == tip.id
    assert client.get(f"{LEMTRADA}?on=2020-02-01").headers["Cache-Control"] == "public, no-cache"


@pytest.mark.parametrize(("place", "seconds"), [("EU", 11 * 3600), ("UK", 12 * 3600), ("FI", 10 * 3600)])
def test_a_pinned_answer_about_today_lasts_until_midnight_there(corpus: Archive, place: str, seconds: int) -> None:
    tip = corpus.tip()
    assert tip is not None
    client = door(corpus, NOW)
    for address in ("/v1/rules", LEMTRADA, "/v1/medicines/alemtuzumab"):
        response = client.get(f"{address}?jurisdiction={place}&at={tip.id}")
        assert response.headers["Cache-Control"] == f"public, max-age={seconds}"


# --- refusals --------------------------------------------------------------------------------------------

DAYS = ["2019-02-29", "2019-13-01", "2019-00-10", "20200116", "2020-W03-4", "2020-1-6", "2020-01", "2020", "0000-01-01"]
DAYS += [
    "10000-01-01",
    "-2020-01-01",
    "2020-01-16T00:00:00Z",
    " 2020-01-16",
    "2020-01-16 ",
    "2020-01-16%0A",
    "today",
    "%FF",
]
DAYS += ["%D9%A2%D9%A0%D9%A2%D9%A0-01-16", "2020-01-16%00", "9" * 500]
BAD = [
    *((f"/v1/rules?on={day}", "on") for day in DAYS),
    *(
        (f"/v1/rules?at={at}", "at")
        for at in ("abc", "xyz1234", "2019-02-30", "2027-01-01", "2019-11-05T25:00:00Z", "HEAD")
    ),
    ("/v1/rules?at=2019-11-05T12:00:00", "at"),
    ("/v1/rules?at=main", "at"),
    ("/v1/rules?at=--output=x", "at"),
    ("/v1/rules?at=9999-12-31T23:59:59Z", "at"),
    ("/v1/rules?at=0001-01-01T00:00:00%2B23:59", "at"),
    ("/v1/rules?jurisdiction=eu", "jurisdiction"),
    ("/v1/rules?jurisdiction=XX", "jurisdiction"),
    ("/v1/rules?medicine=Alemtuzumab", "medicine"),
    ("/v1/rules?medicine=../x", "medicine"),
    ("/v1/rules?medicine=" + "a" * 65, "medicine"),
    ("/v1/rules?authority=ema/lemtrada", "authority"),
    ("/v1/rules?kind=advice", "kind"),
    ("/v1/rules?cohort=all", "cohort"),
    ("/v1/rules?On=2020-01-16", "On"),
    ("/v1/rules?on=2020-01-16&on=2020-01-17", "on"),
    ("/v1/rules?on=2020-01-16&on=2020-01-16", "on"),
    ("/v1/rules?limit=10", "limit"),
    ("/v1/rules?format=xml", "format"),
    ("/v1/documents?on=2020-01-16", "on"),
    ("/v1/documents?limit=0", "limit"),
    ("/v1/documents?limit=1001", "limit"),
    ("/v1/documents?limit=1e2", "limit"),
    ("/v1/documents?limit=%2B1", "limit"),
    ("/v1/documents?limit=%D9%A1", "limit"),
    ("/v1/documents?after=lemtrada", "after"),
    ("/v1/documents?after=ema/../x", "after"),
    ("/v1/documents/ema/LEMTRADA", "document"),
    ("/v1/documents/ema/..", "document"),
    ("/v1/documents/ema/lemtrada%00", "document"),
    ("/v1/documents/ema/lemtrada.json", "document"),
    ("/v1/documents/ema/-lemtrada", "document"),
    (f"/v1/documents/ema/{'a' * 65}", "document"),
    (f"{LEMTRADA}/versions/0", "version"),
    (f"{LEMTRADA}/versions/03x", "version"),
    (f"{LEMTRADA}/versions/-1", "version"),
    (f"{LEMTRADA}/versions/100001", "version"),
    (f"{LEMTRADA}/versions/latest", "version"),
    (f"{LEMTRADA}/versions?on=2020-01-01", "on"),
    (f"{LEMTRADA}/history?before=0", "before"),
    (f"{LEMTRADA}/history?limit=-1", "limit"),
    (f"{LEMTRADA}/diff", "from"),
    (f"{LEMTRADA}/diff?from=@2", "to"),
    (f"{LEMTRADA}/diff?to=@2", "from"),
    (f"{LEMTRADA}/diff?from=@2&to=2020-01-01", "to"),
    (f"{LEMTRADA}/diff?from=@0&to=@1", "from"),
    (f"{LEMTRADA}/diff?from=@2&to=@3&jurisdiction=EU", "jurisdiction"),
    (f"{LEMTRADA}/diff?from=@2&to=@3&on=2020-01-01", "on"),
    (f"{LEMTRADA}/diff?from=ema/hes@2&to=@3", "from"),
    (f"{LEMTRADA}/diff?to_at=2019-11-05", "from_at"),
    (f"{LEMTRADA}/diff?from_at=2019-11-05&from=@2", "from"),
    (f"{LEMTRADA}/diff?from_at=2019-11-05&at=2026-02-02", "at"),
    (f"{LEMTRADA}/diff?from_at=2027-11-05", "from_at"),
    (f"{LEMTRADA}/diff?from=2019-02-29&to=2020-01-01", "from"),
    ("/v1/diff", "from"),
    ("/v1/diff?from=@1&to=@2", "from"),
    ("/v1/diff?from=2020-01-01&to=2020-13-01", "to"),
    ("/v1/medicines?after=A", "after"),
    ("/v1/search", "q"),
    ("/v1/search?q=%20-%20", "q"),
    ("/v1/search?q=" + "a" * 201, "q"),
    ("/v1/search?q=stroke&at=2019-11-05", "at"),
    ("/v1/medicines/Alemtuzumab", "medicine"),
    ("/v1/openapi.json?pretty=1", "pretty"),
    ("/v1/schemas/version?x=1", "x"),
]
PARAMETERS = {
    "/v1/rules": ("on", "at", "jurisdiction", "medicine", "authority", "kind", "cohort", "format"),
    "/v1/documents": ("at", "medicine", "authority", "after", "limit", "format"),
    LEMTRADA: ("on", "at", "jurisdiction", "format"),
    f"{LEMTRADA}/history": ("at", "before", "limit", "format"),
    f"{LEMTRADA}/diff": ("from", "to", "from_at", "to_at", "on", "at", "jurisdiction", "format"),
    "/v1/medicines": ("at", "after", "limit", "format"),
}


@pytest.mark.parametrize(("address", "parameter"), BAD)
def test_what_cannot_be_understood_is_refused_and_blamed(client: FlaskClient, address: str, parameter: str) -> None:
    told = refusal(client.get(address), 400, "bad-parameter")
    assert told["parameter"] == parameter
    assert parameter in told["detail"]


@pytest.mark.parametrize(("address", "name"), [(a, name) for a, names in PARAMETERS.items() for name in names])
def test_a_parameter_that_is_empty_is_refused_and_the_message_says_what_to_do(
    client: FlaskClient, address: str, name: str
) -> None:
    told = refusal(client.get(f"{address}?{name}="), 400, "bad-parameter")
    assert told["parameter"] == name
    assert told["detail"] == f"{name} is empty; leave it out, or give it a value"


def test_an_unknown_parameter_is_told_which_are_known(client: FlaskClient) -> None:
    told = refusal(client.get("/v1/documents?q=lemtrada"), 400, "bad-parameter")
    assert told["detail"] == "q is not a parameter here; known are at, medicine, authority, after, limit, format"


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("/v1/documents/ema/nothing", "unknown-document"),
        ("/v1/documents/nobody/lemtrada", "unknown-document"),
        ("/v1/documents/ema/nothing/versions", "unknown-document"),
        ("/v1/documents/ema/nothing/versions/1", "unknown-document"),
        ("/v1/documents/ema/nothing/history", "unknown-document"),
        ("/v1/documents/ema/nothing/diff?from=@1&to=@2", "unknown-document"),
        ("/v1/documents/ema/nothing/diff?from=2019-01-01&to=2020-01-01", "unknown-document"),
        (f"{LEMTRADA}/versions/4", "unknown-version"),
        (f"{LEMTRADA}/diff?from=@1&to=@9", "unknown-version"),
        (f"{LEMTRADA}?at=0000000", "unknown-revision"),
        (f"/v1/rules?at={'0' * 40}", "unknown-revision"),
        (f"{LEMTRADA}/diff?from_at=0000000", "unknown-revision"),
        ("/v1/medicines/nothing", "unknown-medicine"),
        ("/v1/medicines/l04aa34", "unknown-medicine"),
        ("/v1/rules?medicine=nothing", "unknown-medicine"),
        ("/v1/rules?authority=nobody", "unknown-authority"),
        ("/v1/documents?authority=nobody", "unknown-authority"),
        ("/v1/diff?from=2019-01-01&to=2020-01-01&authority=nobody", "unknown-authority"),
        ("/v1/documents?medicine=nothing", "unknown-medicine"),
        ("/v1/diff?from=2019-01-01&to=2020-01-01&medicine=nothing", "unknown-medicine"),
        ("/v1/schemas/nothing", "not-found"),
        ("/v1/schemas/openapi.json", "not-found"),
        ("/v1/nothing", "not-found"),
        ("/v1", "not-found"),
        ("/v1/", "not-found"),
        ("/v1/rules/", "not-found"),
        ("/v1/documents/ema", "not-found"),
        ("/v1/documents/ema/lemtrada/versions/3/rules", "not-found"),
    ],
)
def test_what_is_not_there_is_told_apart_by_its_problem_type(client: FlaskClient, address: str, kind: str) -> None:
    told = refusal(client.get(address), 404, kind)
    assert told["detail"]


def test_a_version_is_not_known_before_it_was_recorded(past: FlaskClient) -> None:
    refusal(past.get(f"{LEMTRADA}/versions/3?at=2019-10-30"), 404, "unknown-version")
    refusal(past.get("/v1/documents/mhra/isotretinoin?at=2019-10-30"), 404, "unknown-document")
    refusal(past.get(f"{LEMTRADA}/versions?at=2010-01-01"), 404, "unknown-revision")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("address", ["/v1/rules", LEMTRADA, "/v1/openapi.json", "/healthz"])
def test_nothing_can_be_written_over_http(client: FlaskClient, method: str, address: str) -> None:
    response = client.open(address, method=method, data=b"{}")
    refusal(response, 405, "method-not-allowed")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("text/csv", "text/csv"),
        ("application/json;q=0.5, text/csv", "text/csv"),
        ("text/*", "text/csv"),
        ("application/*", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("application/json;charset=utf-8;q=0.4, text/csv;header=present", "text/csv"),
    ],
)
def test_the_accept_header_decides_about_the_format(client: FlaskClient, accept: str | None, media: str) -> None:
    headers = {"Accept": accept} if accept else {}
    for address in (LEMTRADA, "/v1/rules?on=2019-12-01"):
        response = client.get(address, headers=headers)
        assert (response.status_code, response.mimetype) == (200, media)


def test_of_what_was_not_recorded_yet_a_medicine_has_no_rules_that_could_look_like_no_limits(past: FlaskClient) -> None:
    for name in ("alemtuzumab", "aspirin"):
        refusal(past.get(f"/v1/rules?medicine={name}&at=2010-01-01"), 404, "unknown-medicine")
        refusal(past.get(f"/v1/medicines/{name}?at=2010-01-01"), 404, "unknown-medicine")


def test_a_day_that_is_none_is_told_how_a_day_is_written(client: FlaskClient) -> None:
    for on, why in (("2020-1-1", "is not a day; write YYYY-MM-DD"), ("2019-02-29", "is not a date that exists")):
        assert why in refusal(client.get(f"/v1/rules?on={on}"), 400, "bad-parameter")["detail"]


def test_a_media_type_that_is_not_offered_is_refused(client: FlaskClient) -> None:
    for accept in ("text/html", "image/png", "application/xml", "application/json;q=0"):
        told = refusal(client.get(LEMTRADA, headers={"Accept": accept}), 406, "not-acceptable")
        assert "application/json, text/csv" in told["detail"]


def test_the_format_parameter_goes_before_the_accept_header(client: FlaskClient) -> None:
    response = client.get(f"{LEMTRADA}?format=csv", headers={"Accept": "application/json"})
    assert response.mimetype == "text/csv"
    assert response.headers["Content-Disposition"] == 'inline; filename="inforce.csv"'


@pytest.mark.parametrize("sides", ["from=@2&to=@3", "from=2019-12-01&to=2020-02-01", "from_at=2019-11-05"])
def test_each_side_of_a_diff_names_the_act_that_recorded_it(past: FlaskClient, sides: str) -> None:
    for pair in answer(past, f"{LEMTRADA}/diff?{sides}", "diff-answer")["sides"]:
        for side in (pair["old"], pair["new"]):
            if side["version"] is None:
                assert side["recorded"] is None
                continue
            number = side["version"].partition("@")[2]
            at = side["asked"].get("revision", "")
            told = answer(past, f"{LEMTRADA}/versions/{number}" + (f"?at={at}" if at else ""))["recorded"]
            assert side["recorded"].items() <= told.items()
            assert side["recorded"]["reason"]


@pytest.mark.parametrize("sides", ["from=2013-01-01&to=2026-01-01", "from_at=2000-01-01"])
def test_more_documents_than_one_answer_tells_are_refused_with_what_to_do(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, sides: str
) -> None:
    monkeypatch.setattr(comparing, "DOCUMENTS_LIMIT", 1)
    told = refusal(client.get(f"/v1/diff?{sides}"), 400, "bad-parameter")
    assert re.search(r"asks about \d+ documents that may have changed, more than 1: ask for less time", told["detail"])


def test_a_diff_that_an_operators_table_judges_has_a_tag_of_its_own_and_is_never_immutable(
    corpus: Archive, client: FlaskClient, tmp_path: Path
) -> None:
    tip = corpus.tip()
    assert tip is not None
    link = f"{LEMTRADA}/diff?from=@2&to=@3&at={tip.id}"
    tags = {client.get(link).headers["ETag"]}
    for severity in ("minor", "critical"):
        file = tmp_path / f"{severity}.json"
        file.write_text(json.dumps({"monitoring-added": severity}), "utf-8")
        response = door(corpus, severity_file=str(file)).get(link)
        tags.add(response.headers["ETag"])
        assert response.headers["Cache-Control"] == "public, no-cache"
        (change,) = [one for one in response.get_json()["changes"] if one["name"] == "ecg"]
        assert change["severity"] == severity
        same = door(corpus, severity_file=str(file)).get(f"{LEMTRADA}?at={tip.id}&on=2020-01-16")
        assert same.headers["ETag"] == client.get(f"{LEMTRADA}?at={tip.id}&on=2020-01-16").headers["ETag"]
    assert len(tags) == 3


# --- HEAD ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [*QUESTIONS, "/v1/openapi.json", "/v1/schemas/version"])
def test_head_answers_as_get_does_without_the_body(client: FlaskClient, address: str) -> None:
    got, head = client.get(address), client.head(address)
    assert (head.status_code, head.data) == (200, b"")
    unlike = {"Date", "Content-Length"}
    assert {n: v for n, v in head.headers if n not in unlike} == {n: v for n, v in got.headers if n not in unlike}


def test_head_of_what_is_not_there_says_so(client: FlaskClient) -> None:
    head = client.head("/v1/documents/ema/nothing")
    assert (head.status_code, head.data, head.mimetype) == (404, b"", "application/problem+json")


# --- the description, and the schemas --------------------------------------------------------------------


@pytest.mark.parametrize("name", schema_names())
def test_every_schema_is_served_under_its_name_with_and_without_its_ending(client: FlaskClient, name: str) -> None:
    for address in (f"/v1/schemas/{name}", f"/v1/schemas/{name}.json"):
        response = client.get(address)
        assert (response.status_code, response.mimetype) == (200, "application/schema+json")
        assert json.loads(response.data) == schema(name)


@pytest.mark.parametrize("address", ["/v1/openapi.json", "/v1/schemas/version"])
def test_the_description_and_the_schemas_are_not_sent_again_either(client: FlaskClient, address: str) -> None:
    first = client.get(address)
    assert first.headers["Cache-Control"] == "public, no-cache"
    again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_a_search_says_whether_more_was_found_than_it_shows(client: FlaskClient) -> None:
    whole = client.get("/v1/search?q=treatment").json or {}
    count = len(whole["found"])
    assert count > 1
    for limit, more in ((count - 1, True), (count, False), (count + 1, False)):
        told = client.get(f"/v1/search?q=treatment&limit={limit}").json or {}
        assert (told["found"], told["more"]) == (whole["found"][:limit], more)
