"""Pull: events by position, CloudEvents, Atom, iCalendar and what is coming, read by programs that are not ours."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import feedparser
import icalendar
import pytest
from cloudevents.core.formats.json import JSONFormat
from flask import Flask
from flask.testing import FlaskClient

from guidance.archive import Archive, Proposal
from guidance.schema import violations
from guidance.store import Act
from service import atom, calendars, feeds, polling, ticker
from service.app import create_app
from service.config import Config
from service.state import State
from tests.guidance import bodies

Json = Any
Acts = Callable[..., Act]
NOW = datetime(2020, 1, 20, 12, tzinfo=UTC)
ATOM = "{http://www.w3.org/2005/Atom}"
HISTORY = "{http://purl.org/syndication/history/1.0}"


class Scene:
    """A register, its log and a client, with a clock to turn."""

    def __init__(self, archive: Archive, log: State, now: datetime = NOW, waiters: int = 2) -> None:
        self.archive, self.log, self.now = archive, log, now
        self.app = served(archive, log, lambda: self.now, waiters)
        self.client: FlaskClient = self.app.test_client()

    def says(self, at: str, *said: Json, verb: str = "publish") -> None:
        act = Act(verb, "Ada <ada@example.org>", "because")
        now = datetime.fromisoformat(at).replace(tzinfo=UTC)
        proposals = [Proposal(body) for body in said]
        if verb == "correct":
            self.archive.correct(proposals[0], act, now)
        else:
            self.archive.publish(proposals, act, now)

    def tick(self) -> None:
        ticker.tick(self.archive, self.log, self.now)

    def get(self, address: str, status: int = 200, **headers: str) -> Any:
        response = self.client.get(address, headers=headers)
        assert response.status_code == status, response.get_data(as_text=True)[:500]
        return response

    def events(self, query: str = "") -> Json:
        told = json.loads(self.get(f"/v1/events{query}").data)
        assert violations("events-answer", told) == ()
        return told


def served(archive: Archive, log: State, clock: Callable[[], datetime], waiters: int) -> Flask:
    app = create_app(Config(data=archive.folder), archive, clock)
    feeds.equip(app, log)
    polling.equip(app, log, waiters)
    return app


@pytest.fixture
def log(tmp_path: Path) -> Iterator[State]:
    opened = State(tmp_path / "state.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def scene(archive: Archive, log: State) -> Scene:
    """Two documents: one of the EMA in force, then replaced; one of the MHRA of another medicine, still to come."""
    scene = Scene(archive, log)
    codes = [{"system": "atc", "code": "L04AA34"}]
    valproate = [{"inn": "valproate"}]
    scene.says("2019-11-01T09:00", bodies.document("ema/one", "EU"), bodies.document("mhra/two", "UK"))
    first = bodies.version(
        1, bodies.since("2019-11-10"), document="ema/one", medicines=[{"inn": "alemtuzumab", "codes": codes}]
    )
    scene.says("2019-11-02T09:00", first)
    monitoring = bodies.rule("blood", kind="monitoring", modality="must", text="Blood is tested.")
    other = bodies.version(
        1, bodies.since("2020-02-20", "UK"), document="mhra/two", medicines=valproate, rules=[monitoring]
    )
    scene.says("2020-01-05T09:00", other)
    scene.says("2020-01-06T09:00", bodies.version(2, bodies.since("2020-01-16"), document="ema/one"))
    scene.tick()
    return scene


# --- events by position ----------------------------------------------------------------------------------


def test_events_are_read_page_by_page_and_none_is_missed(scene: Scene) -> None:
    whole = scene.events()
    assert [event["position"] for event in whole["events"]] == list(range(1, scene.log.tip() + 1))
    paged, after = [], 0
    while True:
        page = scene.events(f"?after={after}&limit=3")
        if not page["events"]:
            break
        paged += page["events"]
        after = page["next_after"]
    assert paged == whole["events"]
    assert whole["next_after"] == whole["tip"] == after


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("medicine=valproate", {("published", "mhra/two")}),
        ("medicine=L04AA34&kind=in-force", {("in-force", "ema/one")}),
        ("medicine=valproate,alemtuzumab&kind=published", {("published", "mhra/two"), ("published", "ema/one")}),
        ("authority=mhra&kind=published", {("published", "mhra/two")}),
        ("document=ema/one&kind=ended", {("ended", "ema/one")}),
        ("jurisdiction=GB&kind=published", {("published", "mhra/two")}),
        ("jurisdiction=DE&kind=in-force,ended", {("in-force", "ema/one"), ("ended", "ema/one")}),
        ("rule_kind=monitoring&kind=published", {("published", "mhra/two")}),
        ("severity=critical&document=mhra/two", set()),
    ],
)
def test_events_are_filtered(scene: Scene, query: str, expected: set[tuple[str, str]]) -> None:
    told = scene.events(f"?{query}")
    assert {(event["kind"], event["document"]) for event in told["events"]} == expected
    assert told["next_after"] == told["tip"] == scene.log.tip()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", []),
        ("medicine=valproate,atc:L04AA34&document=ema/one&authority=ema", []),
        ("medicine=typo,valproate", ["medicine: no document names 'typo' as INN, code or system:code"]),
        ("authority=fda", ["authority: 'fda' is not an authority that is known"]),
        ("document=ema/nope", ["document: 'ema/nope' is not recorded"]),
        ("jurisdiction=EEA,DE,GB", []),
        (
            "jurisdiction=DE,NO",
            ["jurisdiction: no document speaks of 'NO', of a part of it or of what it is part of"],
        ),
        ("authority=mhra&document=ema/one", ["document: 'ema/one' is by none of the authorities asked for"]),
    ],
)
def test_a_filter_for_what_is_not_known_yet_is_answered_and_warned_about(
    scene: Scene, query: str, expected: list[str]
) -> None:
    assert scene.events(f"?{query}")["warnings"] == expected
    assert isinstance(json.loads(scene.get(f"/v1/events?{query}&format=cloudevents").data), list)


def test_what_was_not_known_is_told_once_it_is_recorded(scene: Scene) -> None:
    asked = "?document=fda/new&authority=fda"
    assert (scene.events(asked)["events"], len(scene.events(asked)["warnings"])) == ([], 2)
    scene.says("2020-01-20T11:00", bodies.document("fda/new", "EU"))
    scene.says("2020-01-20T11:00", bodies.version(1, bodies.awaited(), document="fda/new"))
    scene.tick()
    told = scene.events(asked)
    assert ([event["document"] for event in told["events"]], told["warnings"]) == (["fda/new"], [])


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("after=10000", "after"),
        ("after=-1", "after"),
        ("wait=61", "wait"),
        ("limit=0", "limit"),
        ("kind=exploded", "kind"),
        ("severity=awful", "severity"),
        ("jurisdiction=ZZ", "jurisdiction"),
        ("rule_kind=none", "rule_kind"),
        ("document=nothing", "document"),
        ("authority=E M A", "authority"),
        ("medicine=<b>", "medicine"),
        ("colour=red", "colour"),
        ("format=xml", "format"),
        ("kind=", "kind"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(scene: Scene, query: str, parameter: str) -> None:
    told = json.loads(scene.get(f"/v1/events?{query}", 400).data)
    assert told["parameter"] == parameter


def test_a_cursor_from_the_future_is_refused_and_the_newest_position_named(scene: Scene) -> None:
    tip = scene.log.tip()
    assert scene.events(f"?after={tip}")["events"] == []
    assert f"position {tip}" in json.loads(scene.get(f"/v1/events?after={tip + 1}", 400).data)["detail"]


def test_whoever_waits_is_told_as_soon_as_something_happens(scene: Scene) -> None:
    tip = scene.log.tip()
    found: list[Json] = []
    waiting = threading.Thread(target=lambda: found.append(scene.events(f"?after={tip}&wait=30")))
    waiting.start()
    scene.says("2020-01-20T11:00", bodies.version(3, bodies.awaited(), document="ema/one"))
    scene.tick()
    waiting.join(25)
    assert [(event["kind"], event["version"]) for event in found[0]["events"]] == [("published", 3)]


def test_whoever_waits_for_what_does_not_come_is_told_so_in_time(scene: Scene) -> None:
    told = scene.events(f"?after={scene.log.tip()}&wait=1")
    assert told["events"] == []


def test_beyond_the_bound_of_waiting_readers_the_answer_comes_at_once_and_says_when_to_come_back(
    archive: Archive, log: State
) -> None:
    scene = Scene(archive, log, waiters=1)
    tip = log.tip()
    first = threading.Thread(target=lambda: scene.app.test_client().get(f"/v1/events?after={tip}&wait=3"))
    first.start()
    shared = scene.app.extensions[polling.EXTENSION]
    while first.is_alive() and shared.places.acquire(blocking=False):
        shared.places.release()
        time.sleep(0.01)
    assert first.is_alive(), "the first reader was to wait"
    response = scene.get(f"/v1/events?after={tip}&wait=60")
    assert response.headers["Retry-After"] == "5"
    assert json.loads(response.data)["events"] == []
    first.join(20)
    assert "Retry-After" not in scene.get("/v1/events?wait=0").headers


def test_a_reader_who_holds_the_answer_already_is_told_that_nothing_changed(scene: Scene) -> None:
    addresses = [
        "/v1/events",
        "/v1/events?format=cloudevents",
        "/v1/feeds/register.atom",
        "/v1/feeds/medicines/valproate.atom",
        "/v1/feeds/register.ics",
        "/v1/feeds/documents/ema/one.ics",
        "/v1/coming",
    ]
    tags = [scene.get(address).headers["ETag"] for address in addresses]
    assert len(set(tags)) == len(tags)
    for address, tag in zip(addresses, tags, strict=True):
        assert scene.get(address, 304, **{"If-None-Match": tag}).data == b""
    scene.says(
        "2020-01-20T11:00",
        bodies.version(2, bodies.since("2020-03-01", "UK"), document="mhra/two", medicines=[{"inn": "valproate"}]),
    )
    scene.tick()
    for address, tag in zip(addresses, tags, strict=True):
        scene.get(address, 304 if "ema/one" in address else 200, **{"If-None-Match": tag})


def test_the_same_events_come_as_cloudevents(scene: Scene) -> None:
    response = scene.get("/v1/events", Accept="application/cloudevents-batch+json")
    assert response.mimetype == "application/cloudevents-batch+json"
    batch = json.loads(response.data)
    plain = scene.events()["events"]
    read = [JSONFormat().read(None, json.dumps(one)) for one in batch]
    assert [event.get_data() for event in read] == plain
    assert [event.get_id() for event in read] == [event["id"] for event in plain]
    assert read[0].get_type() == "inforce.guidance.published"
    assert read[0].get_subject() == "ema/one@1"
    assert read[0].get_time() == datetime(2019, 11, 2, 9, tzinfo=UTC)
    assert response.headers["Link"] == f'</v1/events?after={scene.log.tip()}>; rel="next"'


def test_another_media_type_is_not_acceptable(scene: Scene) -> None:
    scene.get("/v1/events", 406, Accept="image/png")


def test_an_answer_looks_through_so_many_events_and_says_how_far_it_came(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "SCANNED", 2)
    monkeypatch.setattr(polling.params, "PAGE_LIMIT", 2)
    found = polling.read(scene.log, 0, 2, polling.Filter(documents=("ema/none",)))
    assert found == ([], 2)


# --- Atom ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("register", "Guidance in force"),
        ("medicines/valproate", "Guidance on valproate"),
        ("authorities/mhra", "Guidance of Medicines and Healthcare products Regulatory Agency"),
        ("documents/ema/one", "Guidance ema/one"),
    ],
)
def test_a_feed_reader_reads_each_feed(scene: Scene, path: str, title: str) -> None:
    response = scene.get(f"/v1/feeds/{path}.atom")
    assert response.mimetype == "application/atom+xml"
    read = feedparser.parse(response.data)
    assert not read.bozo
    assert read.version == "atom10"
    assert read.feed.title == title
    wanted = [event for event in reversed(scene.events()["events"]) if _in(event, path)]
    assert [entry.id for entry in read.entries] == [f"urn:inforce:event:{event['id']}" for event in wanted]
    assert [entry.updated for entry in read.entries] == [event["occurred_at"] for event in wanted]
    assert all(entry.link.startswith("http://localhost/documents/") for entry in read.entries)
    assert read.feed.updated == max(event["occurred_at"] for event in wanted)


def _in(event: Json, path: str) -> bool:
    scope, _, name = path.partition("/")
    names = {"register": "", "medicines": event["medicines"][0]["inn"], "authorities": event["authority"]}
    return bool(names.get(scope, event["document"]) == name)


def test_an_entry_says_what_happened_in_words(scene: Scene) -> None:
    read = feedparser.parse(scene.get("/v1/feeds/documents/ema/one.atom").data)
    assert [entry.title for entry in read.entries][:3] == [
        "Guidance ema/one: version 1 ended: superseded (EU)",
        "Guidance ema/one: version 2 in force (EU)",
        "Guidance ema/one: version 2 comes into force in 1 day (EU)",
    ]
    assert read.entries[1].summary.startswith("Version 2. From 2020-01-16. In place of version 1.")


def test_an_entry_says_when_something_ends_and_that_a_day_was_lost(archive: Archive, log: State) -> None:
    scene = Scene(archive, log, datetime(2020, 4, 10, tzinfo=UTC))
    scene.says("2020-01-01T09:00", bodies.document("ema/one", "EU"))
    own = [bodies.rule(name, commencements=[bodies.since("2020-03-01", to="2020-05-01")]) for name in ("two", "three")]
    first = bodies.version(1, bodies.since("2020-02-01"), document="ema/one", rules=[bodies.rule("one"), *own])
    scene.says("2020-01-02T09:00", first)
    coming = bodies.version(2, bodies.since("2020-06-01"), document="ema/one", rules=[bodies.rule("one"), *own])
    scene.says("2020-03-02T09:00", coming)
    scene.says("2020-03-03T09:00", {**coming, "commencements": [bodies.awaited()]}, verb="correct")
    scene.tick()
    read = feedparser.parse(scene.get("/v1/feeds/documents/ema/one.atom").data)
    ends, lost = read.entries[:2]
    assert ends.title == "Guidance ema/one: 2 rules of version 1 end in 30 days (EU)"
    assert ends.summary.startswith("Version 1. Until the beginning of 2020-05-01.")
    assert lost.title == "Guidance ema/one: version 2 rescheduled (EU)"
    assert lost.summary.startswith("Version 2. No day is known.")


def test_archives_hold_every_event_once_and_never_change(archive: Archive, log: State) -> None:
    scene = Scene(archive, log)
    scene.says("2019-01-01T09:00", bodies.document("ema/one", "EU"))
    for number in range(1, 61):
        day = date(2019, 1, 1) + timedelta(days=number)
        scene.says(f"{day}T12:00", bodies.version(number, bodies.since(str(day)), document="ema/one"))
    scene.tick()
    newest = ET.fromstring(scene.get("/v1/feeds/register.atom").data)
    collected = [*_ids(newest)]
    assert len(collected) == atom.PAGE
    address, pages = _linked(newest, "prev-archive"), {}
    while address:
        page = ET.fromstring(scene.get(address).data)
        assert page.find(f"{HISTORY}archive") is not None
        assert _linked(page, "current") == "http://localhost/v1/feeds/register.atom"
        pages[address] = scene.get(address).data
        collected += _ids(page)
        address = _linked(page, "prev-archive")
    assert set(collected) == {f"urn:inforce:event:{event['id']}" for event in scene.events("?limit=1000")["events"]}
    assert len(pages) == log.tip() // atom.PAGE
    scene.says("2019-06-01T12:00", bodies.version(61, bodies.since("2019-06-01"), document="ema/one"))
    scene.tick()
    assert all(scene.get(address).data == held for address, held in pages.items())
    address = "/v1/feeds/documents/ema/one.atom?page=1"
    before = scene.get(address)
    assert before.headers["Cache-Control"] == "public, max-age=604800"
    scene.says("2019-06-02T12:00", {**bodies.document("ema/one", "EU"), "title": "By another name"})
    assert scene.get(address).data == before.data
    assert b"By another name" in scene.get("/v1/feeds/documents/ema/one.atom").data
    scene.get("/v1/feeds/register.atom?page=99", 404)


def _ids(feed: ET.Element) -> Iterator[str]:
    return (entry.findtext(f"{ATOM}id", "") for entry in feed.iter(f"{ATOM}entry"))


def _linked(feed: ET.Element, relation: str) -> str | None:
    return next((link.get("href") for link in feed.findall(f"{ATOM}link") if link.get("rel") == relation), None)


def test_a_title_with_signs_of_markup_stays_text(archive: Archive, log: State) -> None:
    scene = Scene(archive, log)
    title = 'A <b>bold</b> & "quoted" title \ufffe; with, commas\\'
    scene.says("2020-01-01T09:00", bodies.document("ema/one", "EU", title=title))
    scene.says("2020-01-02T09:00", bodies.version(1, bodies.since("2020-01-10"), document="ema/one"))
    scene.tick()
    read = feedparser.parse(scene.get("/v1/feeds/register.atom").data)
    assert not read.bozo
    calendar = icalendar.Calendar.from_ical(scene.get("/v1/feeds/register.ics").data)
    assert str(calendar.walk("VEVENT")[0]["SUMMARY"]) == f"{title}: version 1 in force (EU)"


def test_whoever_follows_a_medicine_that_no_document_names_any_more_is_told_so(scene: Scene) -> None:
    other = bodies.version(1, bodies.since("2020-02-20", "UK"), document="mhra/two", medicines=[{"inn": "beta"}])
    scene.says("2020-01-19T09:00", other, verb="correct")
    scene.tick()
    read = feedparser.parse(scene.get("/v1/feeds/medicines/valproate.atom").data)
    assert read.entries[0].title == "Guidance mhra/two: version 1 corrected (UK)"
    assert entries(scene, "medicines/valproate") == {}


@pytest.mark.parametrize(
    "path", ["medicines/none", "authorities/none", "documents/ema/none", "documents/ema/NONE", "nothing"]
)
@pytest.mark.parametrize("form", ["atom", "ics"])
def test_a_feed_of_what_is_not_there_is_not_found(scene: Scene, path: str, form: str) -> None:
    scene.get(f"/v1/feeds/{path}.{form}", 400 if "NONE" in path else 404)


def test_feeds_of_an_empty_register_are_empty_and_well_formed(archive: Archive, log: State) -> None:
    scene = Scene(archive, log)
    assert not feedparser.parse(scene.get("/v1/feeds/register.atom").data).bozo
    assert icalendar.Calendar.from_ical(scene.get("/v1/feeds/register.ics").data).walk("VEVENT") == []
    told = {"asked": None, "events": [], "next_after": 0, "tip": 0, "warnings": []}
    assert scene.events() | {"asked": None} == told
    assert json.loads(scene.get("/v1/coming").data)["dated"] == []


# --- iCalendar -------------------------------------------------------------------------------------------


def entries(scene: Scene, path: str = "register") -> dict[str, Json]:
    """UID -> what a calendar program reads."""
    response = scene.get(f"/v1/feeds/{path}.ics")
    assert response.mimetype == "text/calendar"
    assert all(len(line) <= 75 for line in response.data.split(b"\r\n"))
    calendar = icalendar.Calendar.from_ical(response.data)
    assert calendar["VERSION"] == "2.0"
    return {
        str(event["UID"]): (
            str(event["SUMMARY"]),
            event["DTSTART"].dt,
            event["DTEND"].dt - event["DTSTART"].dt,
            int(event["SEQUENCE"]),
            str(event["STATUS"]),
        )
        for event in calendar.walk("VEVENT")
    }


A_DAY = timedelta(days=1)


def test_a_calendar_program_reads_what_begins_on_which_day(scene: Scene) -> None:
    assert list(entries(scene).values()) == [
        ("Guidance ema/one: version 1 in force (EU)", date(2019, 11, 10), A_DAY, 0, "CONFIRMED"),
        ("Guidance ema/one: version 2 in force (EU)", date(2020, 1, 16), A_DAY, 0, "CONFIRMED"),
        ("Guidance mhra/two: version 1 in force (UK)", date(2020, 2, 20), A_DAY, 0, "CONFIRMED"),
    ]
    assert entries(scene, "authorities/mhra") == entries(scene, "medicines/valproate")
    assert (
        entries(scene, "documents/ema/one")
        == entries(scene, "authorities/ema")
        == entries(scene, "medicines/alemtuzumab")
    )


def test_what_is_rescheduled_keeps_its_place_in_the_calendar_and_counts_up(scene: Scene) -> None:
    before = entries(scene, "documents/mhra/two")
    moved = bodies.version(1, bodies.since("2020-03-05", "UK"), document="mhra/two", medicines=[{"inn": "valproate"}])
    scene.says("2020-01-19T09:00", moved, verb="correct")
    after = entries(scene, "documents/mhra/two")
    assert after.keys() == before.keys()
    assert next(iter(after.values()))[1:] == (date(2020, 3, 5), A_DAY, 1, "CONFIRMED")


@pytest.mark.parametrize(
    "how", [{"status": "withdrawn"}, {"commencements": [bodies.awaited("UK", expected="2020-03")]}]
)
def test_what_is_withdrawn_or_loses_its_day_is_cancelled(scene: Scene, how: Json) -> None:
    before = entries(scene, "documents/mhra/two")
    gone = bodies.version(1, bodies.since("2020-02-20", "UK"), document="mhra/two", medicines=[{"inn": "valproate"}])
    scene.says("2020-01-19T09:00", {**gone, **how}, verb="correct")
    after = entries(scene, "documents/mhra/two")
    assert after.keys() == before.keys()
    assert next(iter(after.values()))[1:] == (date(2020, 2, 20), A_DAY, 1, "CANCELLED")


def test_a_thing_without_a_day_is_in_no_calendar(archive: Archive, log: State) -> None:
    scene = Scene(archive, log)
    scene.says("2020-01-01T09:00", bodies.document("ema/one", "EU"))
    scene.says("2020-01-02T09:00", bodies.version(1, bodies.awaited(expected="2020-02"), document="ema/one"))
    assert entries(scene) == {}
    scene.says("2020-01-03T09:00", bodies.version(1, bodies.since("2020-02-10"), document="ema/one"))
    assert [value[1:] for value in entries(scene).values()] == [(date(2020, 2, 10), A_DAY, 0, "CONFIRMED")]


def test_an_end_of_its_own_stands_in_the_calendar_beside_the_beginning(archive: Archive, log: State) -> None:
    scene = Scene(archive, log)
    scene.says("2020-01-01T09:00", bodies.document("ema/one", "EU"))
    ending = bodies.since("2020-02-01", to="2020-05-01", ends="expired")
    scene.says("2020-01-02T09:00", bodies.version(1, ending, document="ema/one"))
    assert [value[:2] for value in entries(scene).values()] == [
        ("Guidance ema/one: version 1 in force (EU)", date(2020, 2, 1)),
        ("Guidance ema/one: version 1 ends: expired (EU)", date(2020, 5, 1)),
    ]


def test_an_end_that_goes_by_another_word_counts_up_and_says_so(archive: Archive, log: State) -> None:
    scene = Scene(archive, log)
    scene.says("2020-01-01T09:00", bodies.document("ema/one", "EU"))
    for day, verb, word in (("02", "publish", "suspended"), ("03", "correct", "revoked")):
        ending = bodies.since("2020-02-01", to="2020-05-01", ends=word)
        scene.says(f"2020-01-{day}T09:00", bodies.version(1, ending, document="ema/one"), verb=verb)
    begun, ended = entries(scene).values()
    assert begun[3] == 0
    assert ended[0] == "Guidance ema/one: version 1 ends: revoked (EU)"
    assert ended[3] == 1
    told = scene.get("/v1/feeds/register.ics").get_data(as_text=True).replace("\r\n ", "")
    assert r"2020-05-01\, suspended (2020-01-02)\, then 2020-05-01\, revoked (2020-01-03)" in told


def test_a_place_whose_day_parts_from_the_others_gets_an_entry_of_its_own(archive: Archive, log: State) -> None:
    scene = Scene(archive, log)
    scene.says("2020-01-01T09:00", bodies.document("ema/one", "EU", "UK"))
    scene.says("2020-01-02T09:00", bodies.version(1, bodies.since("2020-02-01", "EU", "UK"), document="ema/one"))
    (uid,) = entries(scene)
    apart = bodies.version(1, bodies.since("2020-02-01", "EU"), bodies.since("2020-02-20", "UK"), document="ema/one")
    scene.says("2020-01-03T09:00", apart, verb="correct")
    found = entries(scene)
    assert found[uid][1] == date(2020, 2, 1)
    assert sorted(value[1] for value in found.values()) == [date(2020, 2, 1), date(2020, 2, 20)]


def test_what_lies_more_than_a_year_back_is_only_in_the_narrow_calendars(scene: Scene) -> None:
    scene.now = datetime(2021, 6, 1, tzinfo=UTC)
    assert entries(scene) == {}
    assert len(entries(scene, "documents/ema/one")) == 2


# --- what is coming --------------------------------------------------------------------------------------


def test_what_is_coming_is_told_with_its_day_or_without(scene: Scene) -> None:
    scene.says("2020-01-19T09:00", bodies.version(3, bodies.awaited(expected="2020-04"), document="ema/one"))
    told = json.loads(scene.get("/v1/coming").data)
    assert violations("coming-feed", told) == ()
    assert [(one["document"], one["day"]) for one in told["dated"]] == [("mhra/two", "2020-02-20")]
    assert [(one["document"], one["expected"]) for one in told["undated"]] == [("ema/one", "2020-04")]
    narrowed = json.loads(scene.get("/v1/coming?medicine=valproate&limit=1").data)
    assert (len(narrowed["dated"]), narrowed["undated"], narrowed["more"]) == (1, [], False)
    assert json.loads(scene.get("/v1/coming?authority=ema").data)["dated"] == []


def coming(scene: Scene, query: str = "") -> list[tuple[str, str | None, list[str], list[str]]]:
    """What begins or ends on which day: which rules of it, and the medicines that it is about."""
    told = json.loads(scene.get(f"/v1/coming{query}").data)
    assert violations("coming-feed", told) == ()
    return [(one["what"], one["day"], one["rules"], one["medicines"]) for one in told["dated"]]


def test_the_end_of_a_rule_is_told_as_its_beginning_is(archive: Archive, log: State) -> None:
    scene = Scene(archive, log)
    late = bodies.rule("late", commencements=[bodies.since("2020-03-01", to="2020-05", ends="lapsed")])
    spared = bodies.rule("spared", commencements=[bodies.since("2020-01-01", to="2020-02-10", ends="repealed")])
    version = bodies.version(
        1, bodies.since("2020-01-01"), document="ema/one", rules=[bodies.rule("one"), late, spared]
    )
    scene.says("2020-01-01T09:00", bodies.document("ema/one", "EU"), version)
    assert [one[:3] for one in coming(scene)] == [
        ("ends", "2020-02-10", ["Rule spared"]),
        ("begins", "2020-03-01", ["Rule late"]),
        ("ends", "2020-06-01", ["Rule late"]),
    ]
    assert [one[:3] for one in coming(scene, "?on=2020-03-01&jurisdiction=DE")] == [
        ("ends", "2020-06-01", ["Rule late"])
    ]
    assert coming(scene, "?jurisdiction=UK") == []
    assert [value[:2] for value in entries(scene).values()] == [
        ("Guidance ema/one: version 1 in force (EU)", date(2020, 1, 1)),
        ("Guidance ema/one: 1 rule of version 1 ends: repealed (EU)", date(2020, 2, 10)),
        ("Guidance ema/one: 1 rule of version 1 in force (EU)", date(2020, 3, 1)),
        ("Guidance ema/one: 1 rule of version 1 ends: lapsed (EU)", date(2020, 6, 1)),
    ]
    page = " ".join(scene.get("/coming", Accept="text/html").get_data(as_text=True).split())
    assert "The end of Rule spared (one rule of version 1, Version 1)." in page
    past = scene.get("/?on=2020-02-10", Accept="text/html").get_data(as_text=True)
    assert "The end of Rule spared" in past[past.index('id="lately"') :]


def test_of_a_medicine_is_told_what_is_about_it_and_what_no_longer_names_it(archive: Archive, log: State) -> None:
    scene = Scene(archive, log)
    both, own = [{"inn": "copper"}, {"inn": "zinc"}], {"medicines": ["copper"]}
    late = [bodies.since("2020-02-01", to="2020-02-20")]
    rules = [bodies.rule("one"), bodies.rule("late", commencements=late, **own)]
    scene.says("2020-01-01T09:00", bodies.document("ema/one", "EU"))
    first = bodies.version(1, bodies.since("2020-01-01"), document="ema/one", medicines=both, rules=rules)
    scene.says("2020-01-02T09:00", first)
    ending = bodies.since("2020-06-01", to="2020-07-01")
    scene.says("2020-01-03T09:00", bodies.version(2, ending, document="ema/one", medicines=both[:1]))
    begins = ("begins", "2020-06-01", [], ["copper"])
    assert coming(scene, "?medicine=zinc") == [begins]
    assert coming(scene, "?medicine=copper") == [
        ("begins", "2020-02-01", ["Rule late"], ["copper"]),
        ("ends", "2020-02-20", ["Rule late"], ["copper"]),
        begins,
        ("ends", "2020-07-01", [], ["copper"]),
    ]
    for address in ("/v1/rules?medicine=zinc", "/v1/medicines/zinc"):
        told = json.loads(scene.get(address).data)
        assert [(one["version"], one["rule"], one["from"]) for one in told["coming"]] == [(2, None, "2020-06-01")]


def test_a_version_is_not_told_to_begin_where_only_a_rule_of_it_does(archive: Archive, log: State) -> None:
    scene = Scene(archive, log)
    late = bodies.rule("late", commencements=[bodies.since("2020-04-01", "UK", to="2020-05-01", ends="lapsed")])
    days = bodies.since("2020-01-01", "UK"), bodies.since("2020-04-01", "EU", to="2020-05-01", ends="repealed")
    version = bodies.version(1, *days, document="ema/one", rules=[bodies.rule("one"), late])
    scene.says("2020-01-01T09:00", bodies.document("ema/one", "EU", "UK"), version)
    told = json.loads(scene.get("/v1/coming").data)["dated"]
    assert sorted((one["day"], one["what"], one["places"], one["rules"], one["ends"]) for one in told) == [
        ("2020-04-01", "begins", ["EU"], [], None),
        ("2020-04-01", "begins", ["UK"], ["Rule late"], None),
        ("2020-05-01", "ends", ["EU"], [], "repealed"),
        ("2020-05-01", "ends", ["UK"], ["Rule late"], "lapsed"),
    ]
    assert sorted(value[:2] for value in entries(scene).values()) == [
        ("Guidance ema/one: 1 rule of version 1 ends: lapsed (UK)", date(2020, 5, 1)),
        ("Guidance ema/one: 1 rule of version 1 in force (UK)", date(2020, 4, 1)),
        ("Guidance ema/one: version 1 ends: repealed (EU)", date(2020, 5, 1)),
        ("Guidance ema/one: version 1 in force (EU)", date(2020, 4, 1)),
        ("Guidance ema/one: version 1 in force (UK)", date(2020, 1, 1)),
    ]


def test_a_bound_is_told_of_the_place_that_it_is_for(archive: Archive, log: State) -> None:
    scene = Scene(archive, log)
    bound = bodies.awaited("UK", expected="2020-05", no_later_than="2020-12-31")
    version = bodies.version(1, bound, bodies.since("2020-04-01", "EU", at_latest=True), document="ema/one")
    scene.says("2020-01-01T09:00", bodies.document("ema/one", "EU", "UK"), version)
    told = json.loads(scene.get("/v1/coming").data)
    said = [(one["places"], one["no_later_than"], one["at_latest"]) for one in (*told["dated"], *told["undated"])]
    assert said == [(["EU"], None, True), (["UK"], "2020-12-31", False)]


# --- words -----------------------------------------------------------------------------------------------


def test_long_lines_are_folded_between_letters() -> None:
    text = "SUMMARY:" + "é€𝄞x" * 60
    lines = calendars.folded(text).split("\r\n")
    assert all(len(line.encode()) <= 75 for line in lines)
    assert "".join([lines[0], *(line[1:] for line in lines[1:])]) == text
