"""The event log holds what history implies: after every restart, whatever the clock did meanwhile."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from guidance.archive import Archive, Proposal
from guidance.errors import ActRefused, InvalidDocument
from guidance.store import Act
from service import ticker
from service.state import DERIVED, EVENT, State, stamp
from tests.guidance import bodies
from tests.service.databases import KINDS, database
from tests.service.samples import Told

Json = Any
Acts = Callable[..., Act]
BEGAN = datetime(2019, 11, 1, 9, tzinfo=UTC)
NONE = timedelta(0)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[State]:
    opened = State(tmp_path / "state.sqlite")
    yield opened
    opened.close()


def told(log: State) -> list[Json]:
    """Everything in the log, in order."""
    return [told for _, told in log.events(0, 100_000)]


def implied(archive: Archive, until: datetime) -> list[Json]:
    return [event.json() for event in ticker.implied(archive, until)]


class Publisher:
    """Records whatever comes to its mind about a few documents."""

    def __init__(self, archive: Archive, seed: int) -> None:
        self.archive, self.random = archive, random.Random(seed)
        self.count: dict[str, int] = {}

    def act(self, now: datetime) -> None:
        name = self.random.choice(["ema/one", "ema/two", "mhra/three", "nice/four"])
        act = Act("publish", "Ada <ada@example.org>", "because")
        if name not in self.count:
            self.archive.publish([Proposal(bodies.document(name, "EU", "UK"))], act, now)
            self.count[name] = 0
        number = self.random.randint(1, self.count[name] + 1)
        try:
            self.say(name, number, act, now)
        except (ActRefused, InvalidDocument):
            return
        self.count[name] = max(self.count[name], number)

    def say(self, name: str, number: int, act: Act, now: datetime) -> None:
        day = (now + timedelta(days=self.random.randint(-3, 12))).date().isoformat()
        places = self.random.choice([("EU", "UK"), ("EU",), ("UK",), ("EU", "GB")])
        begins = self.random.choice([bodies.since(day, *places)] * 4 + [bodies.awaited(*places, expected=day[:7])])
        body = bodies.version(number, begins, document=name, title=f"Version {number} of {self.random.random()}")
        if number > self.count[name]:
            self.archive.publish([Proposal(body)], act, now)
        elif self.random.random() < 0.4:
            self.archive.correct(Proposal({**body, "status": "withdrawn"}), act, now)
        else:
            self.archive.correct(Proposal(body), act, now)


def test_after_120_restarts_with_jumps_of_the_clock_nothing_is_missing_and_nothing_is_there_twice(
    archive: Archive, tmp_path: Path
) -> None:
    publisher, chance = Publisher(archive, 4), random.Random(2020)
    now = BEGAN
    for _ in range(120):
        log = State(tmp_path / "state.sqlite")
        now += chance.choice([-12, 12, 12, 12, 1, 30, 60, 200]) * timedelta(hours=1)
        for _ in range(chance.randint(0, 3)):
            publisher.act(ticker.steady(lambda shown=now: shown, log)())
            if chance.random() < 0.5:
                ticker.tick(archive, log, now)
            now += timedelta(minutes=chance.randint(0, 400))
        if chance.random() < 0.8:
            ticker.tick(archive, log, now)
        log.close()
    log = State(tmp_path / "state.sqlite")
    now += timedelta(days=60)
    ticker.tick(archive, log, now)
    found, expected = told(log), implied(archive, now)
    log.close()
    kinds = {event["kind"] for event in found}
    assert {"withdrawn-before-effect", "in-force", "ended", "reminder", "rescheduled"} <= kinds
    assert len({event["id"] for event in found}) == len(found)
    assert {event["id"] for event in expected} - {event["id"] for event in found} == set()
    assert found == expected


@pytest.mark.parametrize("seed", range(3))
def test_one_long_sleep_or_many_short_ones_make_the_same_log(archive: Archive, tmp_path: Path, seed: int) -> None:
    publisher, chance = Publisher(archive, seed), random.Random(seed)
    often, once = State(tmp_path / "often.sqlite"), State(tmp_path / "once.sqlite")
    now = BEGAN
    for _ in range(30):
        publisher.act(now)
        ticker.tick(archive, often, now)
        now += timedelta(minutes=chance.randint(1, 3000))
        ticker.tick(archive, often, now)
    ticker.tick(archive, once, now)
    assert told(once) == told(often) == implied(archive, now)
    often.close()
    once.close()


def test_ticking_again_adds_nothing(archive: Archive, log: State, act: Acts) -> None:
    published(archive, act, "2020-01-16")
    now = datetime(2020, 1, 15, 23, tzinfo=UTC)
    assert ticker.tick(archive, log, now, settle=NONE) == 5
    assert ticker.tick(archive, log, now, settle=NONE) == 0
    assert ticker.anew(archive, log, now + timedelta(minutes=1)) == 0


def published(archive: Archive, act: Acts, day: str, name: str = "ema/example") -> None:
    archive.publish([Proposal(bodies.document(name))], act(), BEGAN)
    archive.publish([Proposal(bodies.version(1, bodies.since(day), document=name))], act(), BEGAN)


def test_a_day_is_told_of_once_nobody_can_record_anything_before_it_any_more(
    archive: Archive, log: State, act: Acts
) -> None:
    published(archive, act, "2020-01-16")
    midnight = datetime(2020, 1, 15, 23, tzinfo=UTC)
    ticker.tick(archive, log, midnight + timedelta(seconds=1))
    assert told(log)[-1]["kind"] == "reminder"
    waiting = midnight - timedelta(seconds=1)
    withdrawn = bodies.version(1, bodies.since("2020-01-16"), status="withdrawn")
    archive.correct(Proposal(withdrawn), act(), waiting)
    ticker.tick(archive, log, midnight + timedelta(seconds=6))
    assert [event["kind"] for event in told(log)][-1] == "withdrawn-before-effect"


def test_whatever_is_recorded_after_the_beginning_of_a_day_settles_it(archive: Archive, log: State, act: Acts) -> None:
    published(archive, act, "2020-01-16")
    midnight = datetime(2020, 1, 15, 23, tzinfo=UTC)
    archive.publish([Proposal(bodies.document("ema/other"))], act(), midnight + timedelta(seconds=1))
    ticker.tick(archive, log, midnight + timedelta(seconds=1))
    assert told(log)[-1]["kind"] == "in-force"


def test_no_day_is_told_while_somebody_may_be_recording_something_dated_before_it(
    archive: Archive, log: State, act: Acts
) -> None:
    published(archive, act, "2020-01-16")
    midnight = datetime(2020, 1, 15, 23, tzinfo=UTC)
    ticker.tick(archive, log, midnight - timedelta(hours=12))
    with archive.store.lock():
        assert ticker.tick(archive, log, midnight + timedelta(seconds=6)) == 0
        assert ticker.tick(archive, log, midnight + timedelta(days=2)) == 0
    archive.publish([Proposal(bodies.document("ema/other"))], act(), midnight - timedelta(seconds=1))
    assert ticker.tick(archive, log, midnight + timedelta(seconds=6)) == 1
    with archive.store.lock():  # the day is settled, and is not asked about again
        assert ticker.tick(archive, log, midnight + timedelta(seconds=7)) == 0
        assert log.derived()[:2] == (3, midnight + timedelta(seconds=7))
    assert [event["kind"] for event in told(log)][-2:] == ["reminder", "in-force"]


def test_a_withdrawal_that_waits_over_midnight_is_one_of_what_was_in_force(
    archive: Archive, log: State, act: Acts
) -> None:
    published(archive, act, "2020-01-15")
    second = bodies.version(2, bodies.since("2020-01-16"))
    archive.publish([Proposal(second)], act(), BEGAN)
    midnight = datetime(2020, 1, 15, 23, tzinfo=UTC)
    hands = [midnight - timedelta(seconds=2)]
    clock = ticker.steady(lambda: hands[0], log)
    gone = ("ema/example", 2), "withdrawn", date(2020, 1, 16), (), act(), clock
    with archive.store.lock():
        waiting = threading.Thread(target=lambda: Archive(archive.folder).withdraw(*gone))
        waiting.start()
        waiting.join(0.3)
        hands[0] = midnight + timedelta(seconds=6)
        ticker.tick(archive, log, hands[0])
    waiting.join(60)
    hands[0] += timedelta(seconds=1)
    ticker.tick(archive, log, hands[0])
    assert listened(log) == 1
    assert told(log) == implied(archive, hands[0])


def listened(log: State) -> int | None:
    """What somebody who only listens holds to be in force."""
    holds: int | None = None
    for event in told(log):
        if event["kind"] == "in-force":
            holds = event["version"]
        elif event["kind"] == "ended" and event["version"] == holds:
            holds = None
    return holds


def test_a_revision_is_told_of_though_the_clock_stands_before_it(archive: Archive, log: State, act: Acts) -> None:
    published(archive, act, "2020-01-16")
    assert ticker.tick(archive, log, BEGAN - timedelta(days=3)) == 1


def test_a_clock_for_acts_does_not_fall_behind_what_was_told(archive: Archive, log: State, act: Acts) -> None:
    published(archive, act, "2020-01-16")
    midnight = datetime(2020, 1, 15, 23, tzinfo=UTC)
    ticker.tick(archive, log, midnight, settle=NONE)
    assert ticker.steady(lambda: midnight - timedelta(hours=12), log)() == midnight
    assert ticker.steady(lambda: midnight + timedelta(hours=12), log)() == midnight + timedelta(hours=12)
    log.append([Told("evt-found-late", more={"occurred_at": "2019-12-01T00:00:00Z"})])
    assert ticker.steady(lambda: midnight - timedelta(hours=12), log)() == midnight
    far_back = midnight - timedelta(days=100)
    assert ticker.steady(lambda: far_back, log)() == far_back


def test_a_store_that_was_brought_back_is_derived_from_its_beginning(archive: Archive, log: State, act: Acts) -> None:
    published(archive, act, "2020-01-16")
    log.derived_to(900, datetime(2030, 1, 1, tzinfo=UTC), "0" * 40)
    assert ticker.tick(archive, log, BEGAN) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_published_on_a_backup_is_told_though_as_much_was_told_of_what_was_lost(
    archive: Archive, act: Acts, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    published(archive, act, "2020-03-01", "ema/kept")
    archive.close()
    backup = Path(shutil.copytree(archive.folder, tmp_path / "backup"))
    with database(kind, tmp_path) as url:
        log = State(url)
        published(archive, act, "2020-03-01", "ema/lost")
        ticker.tick(archive, log, BEGAN)
        reached = log.derived()
        brought_back = Archive(backup)
        for name in ("ema/first", "ema/second", "ema/third"):
            published(brought_back, act, "2020-03-01", name)
        assert reached
        assert reached[2] == getattr(archive.tip(), "id", "")
        assert not caplog.records
        ticker.tick(brought_back, log, BEGAN)
        names = [event["document"] for event in told(log)]
        assert names == ["ema/kept", "ema/lost", "ema/first", "ema/second", "ema/third"]
        [record] = caplog.records
        assert "not the one that was told of before" in record.getMessage()
        ticker.tick(brought_back, log, BEGAN)
        assert ticker.anew(brought_back, log, BEGAN) == 0
        assert len(caplog.records) == 1
        brought_back.close()
        log.close()


def test_what_was_derived_before_revisions_were_noted_is_not_derived_again(
    archive: Archive, log: State, act: Acts, caplog: pytest.LogCaptureFixture
) -> None:
    published(archive, act, "2020-01-16")
    with log.writing() as connection:
        connection.execute(DERIVED.insert(), [{"one": 1, "position": 2, "instant": stamp(BEGAN), "revision": None}])
    assert ticker.tick(archive, log, BEGAN + timedelta(hours=1)) == 0
    assert log.derived() == (2, BEGAN + timedelta(hours=1), getattr(archive.tip(), "id", ""))
    assert not caplog.records


def test_a_tick_does_not_walk_the_register(
    archive: Archive, log: State, act: Acts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        published(archive, act, "2020-03-01", f"ema/other-{number}")
    published(archive, act, "2020-01-16")
    ticker.tick(archive, log, datetime(2020, 1, 10, tzinfo=UTC))
    looked: list[str] = []
    window = ticker.window
    monkeypatch.setattr(ticker, "window", lambda base, *rest: looked.append(base.document.id) or window(base, *rest))
    ticker.tick(archive, log, datetime(2020, 1, 17, tzinfo=UTC))
    assert looked == ["ema/example"]
    assert told(log)[-1]["kind"] == "in-force"


def test_a_running_ticker_tells_of_a_revision_at_once_and_of_a_day_when_it_begins(
    archive: Archive, log: State, act: Acts
) -> None:
    hands = [datetime(2020, 1, 15, 22, tzinfo=UTC)]
    stopped = threading.Event()
    running = threading.Thread(target=ticker.run, args=(archive, log, lambda: hands[0], stopped))
    running.start()
    try:
        published(archive, act, "2020-01-16")
        assert log.wait(3, 20)
        assert [event["kind"] for event in told(log)] == ["published", "reminder", "reminder", "reminder"]
        hands[0] += timedelta(hours=1, seconds=6)
        assert log.wait(4, 20)
        assert told(log)[-1]["kind"] == "in-force"
    finally:
        stopped.set()
        running.join(20)


def test_a_running_ticker_tells_of_a_day_once_whoever_was_recording_is_done_though_nothing_was_recorded(
    archive: Archive, log: State, act: Acts
) -> None:
    published(archive, act, "2020-01-16")
    hands = [datetime(2020, 1, 15, 22, tzinfo=UTC)]
    stopped = threading.Event()
    running = threading.Thread(target=ticker.run, args=(archive, log, lambda: hands[0], stopped))
    running.start()
    try:
        assert log.wait(3, 20)
        with Archive(archive.folder).store.lock():
            hands[0] += timedelta(hours=1, seconds=6)
            assert not log.wait(4, 0.5)
        assert log.wait(4, 20)
        assert told(log)[-1]["kind"] == "in-force"
    finally:
        stopped.set()
        running.join(20)


def test_a_running_ticker_sees_that_an_older_copy_of_the_log_was_brought_back(
    archive: Archive, log: State, act: Acts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though nothing is recorded and no day begins: what was told is told again, under the same ids."""
    monkeypatch.setattr(ticker, "LOOK", timedelta(milliseconds=200))
    published(archive, act, "2020-01-16")
    hands = [datetime(2020, 1, 15, 22, tzinfo=UTC)]
    stopped = threading.Event()
    running = threading.Thread(target=ticker.run, args=(archive, log, lambda: hands[0], stopped))
    running.start()
    try:
        assert log.wait(3, 20)
        deadline = time.monotonic() + 20
        while log.derived() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        before = told(log)
        with log.writing() as connection:
            connection.execute(EVENT.delete())
            connection.execute(DERIVED.delete())
        hands[0] += timedelta(seconds=1)
        while log.tip() < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert told(log) == before
    finally:
        stopped.set()
        running.join(20)


def test_a_ticker_goes_on_after_a_failure(
    archive: Archive, log: State, act: Acts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = iter([OSError("no space left"), None])
    tick = ticker.tick

    def failing(*all_of: Any) -> int:
        failure = next(failures, None)
        if failure:
            raise failure
        return tick(*all_of)

    monkeypatch.setattr(ticker, "tick", failing)
    monkeypatch.setattr(ticker, "RETRY", 0.01)
    published(archive, act, "2020-01-16")
    stopped = threading.Event()
    running = threading.Thread(target=ticker.run, args=(archive, log, lambda: BEGAN, stopped))
    running.start()
    assert log.wait(0, 20)
    stopped.set()
    running.join(20)
    assert "could not be derived" in caplog.text
