"""Who wants what: matching, warnings, the routes of /v1/subscriptions, and that nobody sees what is another's."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from guidance.archive import Archive, Proposal
from guidance.errors import GuidanceError, InvalidDocument
from guidance.events import KINDS as KINDS_OF_EVENT
from guidance.events import Filter
from guidance.schema import check, violations
from guidance.store import Act
from service import subscriptions, tokens
from service.addresses import Policy
from service.delivery import Terms, Worker, schedule_of
from service.problems import body_of
from service.signing import Vault
from service.state import SECRET, SUBSCRIPTION, State
from service.subscribing import SUBSCRIPTIONS
from service.subscriptions import (
    ENDED,
    EXTENSION,
    FAILING_TYPE,
    Known,
    Names,
    Push,
    filter_of,
    matches,
    span,
    warnings,
)
from tests.guidance import bodies
from tests.service.databases import KINDS, database
from tests.service.receiver import receiving
from tests.service.samples import Told, changes, event

ROOT = Path(__file__).resolve().parent.parent.parent
POLICY = Policy.of(["127.0.0.1"], plain_http=True)


# --- matching --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({}, True),
        ({"medicines": ["alemtuzumab"]}, True),
        ({"medicines": ["valproate", "L04AA34"]}, True),
        ({"medicines": ["atc:L04AA34"]}, True),
        ({"medicines": ["valproate"]}, False),
        ({"authorities": ["ema"]}, True),
        ({"authorities": ["mhra"]}, False),
        ({"documents": ["ema/lemtrada"]}, True),
        ({"documents": ["ema/other"]}, False),
        ({"jurisdictions": ["EU"]}, True),
        ({"jurisdictions": ["DE"]}, True),
        ({"jurisdictions": ["EEA"]}, True),
        ({"jurisdictions": ["UK"]}, False),
        ({"rule_kinds": ["restriction"]}, True),
        ({"rule_kinds": ["monitoring"]}, False),
        ({"kinds": ["in-force", "ended"]}, True),
        ({"kinds": ["published"]}, False),
        ({"severity": "major"}, True),
        ({"severity": "critical"}, False),
        ({"medicines": ["alemtuzumab"], "jurisdictions": ["UK"]}, False),
    ],
)
def test_a_filter_lets_through_what_meets_every_member_by_any_value(told: dict[str, Any], wanted: bool) -> None:
    check("subscription", {"url": "https://example.com/", "filter": told})
    assert matches(filter_of(told), event("evt-1")) is wanted


@pytest.mark.parametrize(
    ("kind", "judged", "alerts"),
    [
        ("corrected", changes("editorial"), False),
        ("corrected", changes("editorial", 0), False),
        ("published", changes("editorial"), False),
        ("in-force", changes("editorial"), False),
        ("in-force", changes("editorial", 0), True),
        ("reminder", changes("editorial"), False),
        ("withdrawn", changes("editorial"), True),
        ("ended", changes("editorial"), True),
        ("rescheduled", changes("editorial"), True),
        ("withdrawn-before-effect", changes("editorial", 0), True),
        ("corrected", changes("minor"), True),
        ("corrected", None, True),
    ],
)
def test_what_only_touches_wording_alerts_nobody_by_default(kind: str, judged: Any, alerts: bool) -> None:
    told = event("evt-1", kind=kind, changes=judged)
    assert matches(Filter(), told) is alerts
    assert matches(filter_of({"severity": "editorial"}), told)


KNOWN = Known({"ema/lemtrada"}, {"alemtuzumab", "L04AA34", "atc:L04AA34"}, {"EU", "UK"})


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"medicines": ["alemtuzumabb"]}, "alemtuzumabb"),
        ({"medicines": ["atc:L04AA35"]}, "L04AA35"),
        ({"documents": ["ema/nothing"]}, "ema/nothing"),
        ({"authorities": ["fda"]}, "fda"),
        ({"jurisdictions": ["XX"]}, "XX"),
        ({"jurisdictions": ["EU", "NO"]}, "no document speaks of 'NO'"),
        ({"documents": ["ema/lemtrada"], "authorities": ["mhra"]}, "none of the authorities"),
        ({"kinds": ["endpoint.failing"]}, "no event of guidance"),
    ],
)
def test_a_filter_that_can_match_nothing_is_warned_about(told: dict[str, Any], word: str) -> None:
    [warning] = warnings(filter_of(told), KNOWN)
    assert word in warning


def test_a_filter_that_can_match_is_not_warned_about() -> None:
    told = {"medicines": ["alemtuzumab", "L04AA34"], "documents": ["ema/lemtrada"], "authorities": ["ema"]}
    told |= {"jurisdictions": ["EU", "DE", "EEA", "GB"], "kinds": ["in-force", "endpoint.ended"]}
    assert warnings(filter_of(told), KNOWN) == []


def test_the_register_tells_what_is_known(corpus: Archive) -> None:
    known = Names(corpus).known()
    assert "ema/lemtrada" in known.documents
    assert {"alemtuzumab", "L04AA34", "atc:L04AA34"} <= set(known.medicines)
    assert set(known.places) == {"EU", "DE", "UK", "GB", "NI"}


def test_what_is_known_follows_the_register_and_reads_only_what_was_touched(
    archive: Archive, act: Callable[..., Act], monkeypatch: pytest.MonkeyPatch
) -> None:
    names, now = Names(archive), datetime(2026, 2, 2, tzinfo=UTC)
    assert names.known() == Known()
    archive.publish([Proposal(bodies.document("ema/one")), Proposal(bodies.document("ema/two"))], act(), now)
    assert names.known() == Known(frozenset({"ema/one", "ema/two"}), frozenset(), frozenset({"EU"}))
    version = bodies.version(1, bodies.since("2020-01-16"), document="ema/one", medicines=[{"inn": "valproate"}])
    archive.publish([Proposal(version)], act(), now)
    read: list[str] = []
    contents = archive.index.version_contents
    monkeypatch.setattr(
        archive.index, "version_contents", lambda name, position: read.append(name) or contents(name, position)
    )
    assert names.known() == Known(frozenset({"ema/one", "ema/two"}), frozenset({"valproate"}), frozenset({"EU"}))
    assert read == ["ema/one"]


def test_a_name_that_only_an_earlier_version_gives_is_known(archive: Archive, act: Callable[..., Act]) -> None:
    now, codes = datetime(2026, 2, 2, tzinfo=UTC), [{"system": "atc", "code": "N03AG01"}]
    first = bodies.version(1, bodies.since("2020-01-16"), medicines=[{"inn": "valproate", "codes": codes}])
    second = bodies.version(2, bodies.awaited(), medicines=[{"inn": "valproate"}])
    archive.publish([Proposal(bodies.document()), Proposal(first), Proposal(second)], act(), now)
    assert Names(archive).known().medicines == {"valproate", "N03AG01", "atc:N03AG01"}


def test_what_is_known_of_a_register_that_was_lost_is_forgotten_once_a_backup_grew_as_long(
    archive: Archive, act: Callable[..., Act], tmp_path: Path
) -> None:
    now, away = datetime(2026, 2, 2, tzinfo=UTC), tmp_path / "away"
    archive.publish([Proposal(bodies.document("ema/kept"))], act(), now)
    archive.close()
    backup = Archive(Path(shutil.copytree(archive.folder, tmp_path / "backup")))
    names = Names(archive)
    archive.publish([Proposal(bodies.document("ema/lost"))], act(), now)
    assert names.known().documents == {"ema/kept", "ema/lost"}
    backup.publish([Proposal(bodies.document("ema/made"))], act(), now)
    backup.close()
    (archive.folder / "register.git").rename(away)
    (backup.folder / "register.git").rename(archive.folder / "register.git")
    assert names.known().documents == {"ema/kept", "ema/made"}


@pytest.mark.parametrize("path", sorted((ROOT / "schemas/examples/good").glob("subscription-*.json")), ids=str)
def test_a_good_example_is_accepted(path: Path) -> None:
    check("subscription", orjson.loads(path.read_bytes()))


@pytest.mark.parametrize("path", sorted((ROOT / "schemas/examples/bad").glob("subscription-*.json")), ids=str)
def test_a_bad_example_is_blamed_where_it_is_wrong(path: Path) -> None:
    example = orjson.loads(path.read_bytes())
    assert example["blame"] in {violation.pointer for violation in violations("subscription", example["body"])}


# --- the routes ------------------------------------------------------------------------------------------


@dataclass
class Door:
    state: State
    client: FlaskClient
    ada: str
    grace: str

    def ask(self, method: str, path: str = "", body: Any = None, token: str | None = None) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.ada if token is None else token}"}
        raw = body if isinstance(body, bytes) else None if body is None else orjson.dumps(body)
        return self.client.open(f"/v1/subscriptions{path}", method=method, headers=headers, data=raw)

    def make(self, url: str, **asked: Any) -> dict[str, Any]:
        answer = self.ask("POST", body={"url": url, **asked})
        assert answer.status_code == 201, answer.json
        return dict(answer.json or {})

    def work(self) -> None:
        worker = Worker(self.state, Vault([b"k" * 32]), POLICY, Terms(schedule_of(), threads=4, poll=0.005))
        worker.drain()
        worker.close()


@pytest.fixture(params=KINDS)
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Door]:
    with database(request.param, tmp_path) as url:
        state = State(url)
        app = Flask("test")
        app.extensions[EXTENSION] = Push(state, Vault([b"k" * 32]), POLICY, lambda: KNOWN)
        app.register_blueprint(SUBSCRIPTIONS)
        app.register_error_handler(GuidanceError, problem)
        texts = [tokens.create(state, name, name, ["subscribe"])[1] for name in ("ada", "grace")]
        yield Door(state, app.test_client(), *texts)
        state.close()


def problem(error: GuidanceError) -> Response:
    body = body_of(error)
    return Response(orjson.dumps({**body, "error": type(error).__name__}), body["status"], mimetype="application/json")


def test_without_a_token_there_is_nothing(door: Door) -> None:
    answer = door.client.get("/v1/subscriptions")
    assert (answer.json or {})["error"] == "NotAuthenticated"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    _, reader = tokens.create(door.state, "a", "ada", ["read"])
    assert (door.ask("GET", token=reader).json or {})["error"] == "NotAllowed"


def test_guessing_is_told_when_to_come_back(door: Door) -> None:
    for _ in range(tokens.REFUSALS_A_MINUTE):
        door.ask("GET", token="wrong")
    answer = door.ask("GET", token="wrong")
    assert (answer.json or {})["error"] == "TooManyAttempts"
    assert 0 < int(answer.headers["Retry-After"]) <= 60


def test_the_life_of_a_subscription(door: Door) -> None:
    with receiving() as receiver:
        made = door.make(receiver.url, name="ward 7", filter={"medicines": ["alemtuzumab"]})
        assert made["secret"].startswith("whsec_")
        assert (made["state"], made["warnings"]) == ("unverified", [])
        place = f"/{made['id']}"
        assert (door.ask("GET", place).json or {})["lag"] == 0
        door.work()
        assert (door.ask("GET", place).json or {})["state"] == "active"
        assert (door.ask("POST", f"{place}/pause").json or {})["state"] == "paused"
        door.state.append([Told("evt-1")])
        assert (door.ask("GET", place).json or {})["lag"] == 1
        assert (door.ask("POST", f"{place}/resume").json or {})["state"] == "active"
        assert door.ask("POST", f"{place}/ping").status_code == 202
        door.work()
        assert {request.json.get("id") or request.json["kind"] for request in receiver.events} == {
            "evt-1",
            "endpoint.ping",
        }
        listed = (door.ask("GET", f"{place}/deliveries").json or {})["deliveries"]
        number = next(one["id"] for one in listed if one["event"] == "evt-1")
        shown = door.ask("GET", f"{place}/deliveries/{number}").json or {}
        assert shown["attempts"][0]["status"] == 204
        assert door.ask("POST", f"{place}/deliveries/{number}/redeliver").status_code == 202
        assert (door.ask("POST", f"{place}/replay", {"after": 0}).json or {})["queued"] == 1
        span = {"from": "2020-01-01T00:00:00Z", "to": "2020-02-01T00:00:00Z"}
        assert (door.ask("POST", f"{place}/rehearse", span).json or {})["queued"] == 1
        long_ago = {"from": "0001-01-01T00:00:00Z", "to": "0001-02-01T00:00:00Z"}
        assert door.ask("POST", f"{place}/rehearse", long_ago).status_code == 400
        door.work()
        assert len(receiver.events) == 5
        assert (door.ask("POST", f"{place}/rotate").json or {})["secret"] != made["secret"]
        changed = door.ask("PATCH", place, {"filter": {"medicines": ["nothing"]}}).json or {}
        assert len(changed["warnings"]) == 1
        assert door.ask("DELETE", place).status_code == 204
        assert door.ask("GET", place).status_code == 404
        assert (door.ask("GET").json or {})["subscriptions"] == []


def test_a_past_span_is_played_as_it_was_told_and_only_what_lies_before_the_log_as_it_is_known_now(
    door: Door,
) -> None:
    door.state.append([Told("evt-1")])
    days = ("2020-01-05T23:00:00Z", "2020-01-20T23:00:00Z")
    known = [event(f"evt-{day}", occurred_at=day) for day in days]

    def played(first: datetime, end: datetime) -> list[dict[str, Any]]:
        return [one for one in known if first <= datetime.fromisoformat(one["occurred_at"]) < end]

    push = Push(door.state, Vault([b"k" * 32]), POLICY, lambda: KNOWN, played)
    found = span(push, datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC))
    assert [one["id"] for one in found] == [f"evt-{days[0]}", "evt-1"]
    assert span(push, datetime(2020, 1, 17, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC)) == []


def test_nobody_sees_or_touches_what_is_another_s(door: Door) -> None:
    with receiving() as receiver:
        made = door.make(receiver.url)
        door.work()
        number = (door.ask("GET", f"/{made['id']}/deliveries").json or {})["deliveries"][0]["id"]
        assert (door.ask("GET", token=door.grace).json or {}) == {"subscriptions": [], "notices": []}
        place = f"/{made['id']}"
        tried = [
            *(("GET", place, None), ("PATCH", place, {"name": "mine"}), ("DELETE", place, None)),
            *(("POST", f"{place}/{act}", None) for act in ("pause", "resume", "rotate", "ping")),
            *(("GET", f"{place}/deliveries", None), ("GET", f"{place}/deliveries/{number}", None)),
            *(("POST", f"{place}/deliveries/{number}/redeliver", None), ("POST", f"{place}/replay", {"after": 0})),
            ("POST", f"{place}/rehearse", {"from": "2020-01-01T00:00:00Z", "to": "2020-02-01T00:00:00Z"}),
        ]
        for method, path, body in tried:
            answer = door.ask(method, path, body, door.grace)
            assert answer.status_code == 404, (method, path)
            assert str(receiver.port) not in answer.text
        other = door.ask("POST", body={"url": receiver.url}, token=door.grace).json or {}
        assert door.ask("GET", f"/{other['id']}/deliveries/{number}", token=door.grace).status_code == 404
        assert (door.ask("GET", place).json or {})["state"] == "active"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", "BadJson"),
        (b'{"url":"https://a.example/","url":"https://b.example/"}', "BadJson"),
        (b"[]", "BadParameter"),
        ({}, "InvalidDocument"),
        ({"url": 7}, "InvalidDocument"),
        ({"url": "https://example.com/", "secret": "mine"}, "InvalidDocument"),
        ({"url": "https://example.com/", "filter": {"type": ["in-force"]}}, "InvalidDocument"),
        ({"url": "https://example.com/", "filter": {"kinds": ["inforce"]}}, "InvalidDocument"),
        ({"url": "https://example.com/", "filter": {"severity": "high"}}, "InvalidDocument"),
        ({"url": "https://example.com/", "filter": {"kinds": []}}, "InvalidDocument"),
        ({"url": "https://example.com/", "after": 1}, "BadParameter"),
        ({"url": "https://example.com/", "after": -1}, "InvalidDocument"),
        ({"url": "http://10.0.0.1/"}, "BadEndpoint"),
        ({"url": "https://user@example.com/"}, "BadEndpoint"),
    ],
)
def test_what_cannot_be_subscribed_to_is_refused(door: Door, body: Any, error: str) -> None:
    answer = door.ask("POST", body=body)
    assert (answer.json or {})["error"] == error
    assert 400 <= answer.status_code < 500
    assert (door.ask("GET").json or {})["subscriptions"] == []


def test_a_kind_of_event_that_there_is_not_is_refused_with_those_that_there_are(door: Door) -> None:
    answer = door.ask("POST", body={"url": "https://example.com/", "filter": {"kinds": ["publish"]}})
    assert (answer.json or {})["title"] == "The JSON does not conform to its schema"
    assert all(f"'{kind}'" in (answer.json or {})["detail"] for kind in (*KINDS_OF_EVENT, FAILING_TYPE, ENDED))


def test_what_is_missing_is_said_to_be_missing(door: Door) -> None:
    place = f"/{door.make('http://127.0.0.1:9999/')['id']}"
    for path, body, said in (
        ("/replay", None, "after is missing"),
        ("/rehearse", {"to": "2020-01-01T00:00:00Z"}, "from is missing"),
        ("/rehearse", {"from": "2020-01-01T00:00:00Z"}, "to is missing"),
    ):
        assert (door.ask("POST", place + path, body).json or {})["detail"] == said


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/replay", {}),
        ("/replay", {"after": "0"}),
        ("/replay", {"after": True}),
        ("/replay", {"after": -1}),
        ("/replay", {"after": 10**12}),
        ("/replay", {"before": 1}),
        ("/rehearse", {"from": "2020-01-01", "to": "2020-02-01"}),
        ("/rehearse", {"from": "2020-13-01T00:00:00Z", "to": "2020-02-01T00:00:00Z"}),
        ("/pause", {"reason": "x"}),
        ("/replay?x=1", {"after": 0}),
    ],
)
def test_what_cannot_be_understood_is_refused(door: Door, path: str, body: Any) -> None:
    made = door.make("http://127.0.0.1:9999/")
    assert door.ask("POST", f"/{made['id']}{path}", body).status_code == 400


def test_a_paused_or_unverified_subscription_is_sent_no_test(door: Door) -> None:
    made = door.make("http://127.0.0.1:9999/")
    for act in ("ping",):
        assert door.ask("POST", f"/{made['id']}/{act}").status_code == 409


def test_a_secret_is_shown_once_and_lies_sealed(door: Door) -> None:
    made = door.make("http://127.0.0.1:9999/")
    for path in ("", f"/{made['id']}", f"/{made['id']}/deliveries"):
        assert "whsec_" not in door.ask("GET", path).text
    with door.state.reading() as connection:
        rows = [*connection.execute(SECRET.select()), *connection.execute(SUBSCRIPTION.select())]
    assert made["secret"] not in repr(rows)
    assert made["secret"].removeprefix("whsec_") not in repr(rows)


def test_an_owner_has_only_so_many(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MOST_OF_OWNER", 2)
    for _ in range(2):
        door.make("http://127.0.0.1:9999/")
    assert door.ask("POST", body={"url": "http://127.0.0.1:9999/"}).status_code == 409


def test_a_change_that_does_not_conform_changes_nothing(door: Door) -> None:
    made = door.make("http://127.0.0.1:9999/", name="a")
    for body in ({"filter": {"kinds": ["x"]}}, {"url": "ftp://x/"}, {"state": "active"}, {"after": 0}):
        assert 400 <= door.ask("PATCH", f"/{made['id']}", body).status_code < 500
    shown = door.ask("GET", f"/{made['id']}").json or {}
    assert (shown["name"], shown["url"], shown["filter"]) == ("a", "http://127.0.0.1:9999/", {})


def test_violations_are_listed_with_their_pointers() -> None:
    with pytest.raises(InvalidDocument) as caught:
        check("subscription", {"filter": {"kinds": ["x"]}})
    assert {violation.pointer for violation in caught.value.violations} == {"/url", "/filter/kinds/0"}
