"""What goes on beside answering: it tells, sends, clears what is old, and stops when it is told to or left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from guidance.archive import Archive, Proposal
from guidance.errors import BadParameter, NoRegister, StoreUnreadable
from guidance.store import Act
from service import config, signing, subscriptions, teller
from service.addresses import Policy
from service.cli.telling import ready_to_tell
from service.delivery import Terms, Worker, schedule_of
from service.signing import Vault
from service.state import State, opened
from tests.guidance import bodies
from tests.service.campaign_service import campaign
from tests.service.doors import Hands
from tests.service.receiver import receiving
from tests.service.samples import Told

INFORCE = str(Path(sys.executable).with_name("inforce"))
LOCAL = {"outgoing_allow": "127.0.0.1", "outgoing_http": "yes"}


def test_what_is_recorded_is_told_and_sent_until_it_is_told_to_stop(archive: Archive, act: Callable[..., Act]) -> None:
    settings = config.load({"data": str(archive.folder), **LOCAL}, {})
    stopped = threading.Event()
    running = threading.Thread(target=teller.run, args=(settings, stopped))
    log = opened(settings)
    with receiving() as receiver:
        running.start()
        try:
            asked = {"url": receiver.url, "filter": {}}
            subscriptions.create(log, signing.vault(settings), Policy.set_by(settings), "owner", asked)
            archive.publish([Proposal(bodies.document())], act(), datetime.now(UTC))
            archive.publish([Proposal(bodies.version(1, bodies.since("2020-01-16")))], act(), datetime.now(UTC))
            deadline = time.monotonic() + 60
            while len(receiver.events) < 2 and time.monotonic() < deadline:
                time.sleep(0.02)
        finally:
            stopped.set()
            running.join(60)
    assert not running.is_alive()
    told = [event for _, event in log.events()]
    assert [event["kind"] for event in told] == ["published", "in-force"]
    assert [one.headers["webhook-id"] for one in receiver.events] == [event["id"] for event in told]
    log.close()


def test_without_a_register_and_without_a_database_there_is_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoRegister):
        teller.run(config.load({"data": str(tmp_path / "none")}, {}), threading.Event())


def test_the_command_stops_when_it_is_told_to(corpus: Archive, tmp_path: Path) -> None:
    words = ["--data", str(corpus.folder), "--state", f"sqlite:///{tmp_path / 'state.sqlite'}"]
    with subprocess.Popen([INFORCE, "deliver", *words], stderr=subprocess.PIPE) as process:
        assert process.stderr
        assert process.stderr.readline() == b"delivering\n"
        state = State(tmp_path / "state.sqlite")
        assert state.wait(0, 60)
        state.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_teller_whose_service_is_gone_goes_too() -> None:
    stopped = threading.Event()
    watching = threading.Thread(target=teller._outlive, args=(os.getppid(), stopped), daemon=True)
    watching.start()
    time.sleep(0.1)
    assert not stopped.is_set()
    other = threading.Event()
    teller._outlive(1 if os.getppid() != 1 else 2, other)
    assert other.is_set()
    stopped.set()
    watching.join(10)


def test_a_teller_that_cannot_be_started_now_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no memory or no room for a process: as long as nobody tells, alerts do not come."""
    begun: list[int] = []

    class Failing:
        exitcode = -9

        def __init__(self, **_: object) -> None: ...

        def start(self) -> None:
            begun.append(len(begun))
            if len(begun) in (2, 3):
                raise OSError(11, "Resource temporarily unavailable")

        def is_alive(self) -> bool:
            return len(begun) > 3

        def terminate(self) -> None: ...

        def join(self, _: float) -> None:
            begun.clear()

    monkeypatch.setattr(teller, "AGAIN", 0.01)
    monkeypatch.setattr(teller.multiprocessing, "Process", Failing)
    with teller.Teller(config.load({}, {})):
        deadline = time.monotonic() + 10
        while len(begun) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert begun == [0, 1, 2, 3]


def test_a_mistake_in_what_delivering_depends_on_is_told_before_anything_is_started(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no certificate")
    (tmp_path / "data").mkdir()
    for wrong, named in (
        ({"secret_key": ","}, "--secret-key"),
        ({"secret_key_file": str(tmp_path / "no.pem")}, "no.pem"),
        ({"secret_key_file": str(tmp_path)}, "--secret-key-file"),
        ({"outgoing_ca": str(tmp_path / "no.pem")}, "--outgoing-ca"),
    ):
        with pytest.raises(BadParameter, match=named):
            ready_to_tell(config.load({"data": str(tmp_path / "data"), **wrong}, {}))
    (tmp_path / "data" / "secret.key").write_text("short\n")
    with pytest.raises(BadParameter, match=r"secret\.key"):
        ready_to_tell(config.load({"data": str(tmp_path / "data")}, {}))


def test_secrets_that_no_key_opens_are_told_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A database that was brought back without its key: nothing can be sent, and nobody should have to wait for it."""
    settings = config.load({"data": str(tmp_path), "secret_key_file": str(tmp_path / "first.key")}, {})
    log = opened(settings)
    asked = {"url": "https://hooks.example/", "filter": {}}
    made, _ = subscriptions.create(log, signing.vault(settings), Policy.set_by(settings), "owner", asked)
    log.close()
    ready_to_tell(settings)
    assert not caplog.records
    ready_to_tell(config.load({"data": str(tmp_path)}, {}))
    (record,) = caplog.records
    assert record.__dict__["told"]["subscription"] == made.id
    assert "a key that is not configured" in record.__dict__["told"]["why"]


@pytest.mark.parametrize("url", ["nonsense", "unheard-of://x", "oracle://x/y"])
def test_a_database_that_is_none_is_a_mistake_that_is_told(url: str) -> None:
    with pytest.raises(BadParameter, match=r"--state.*\(hidden\)"):
        opened(config.load({"state": url}, {}))


def test_a_database_that_does_not_answer_is_told_as_such(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path / 'nowhere' / 'state.sqlite'}", "postgresql://127.0.0.1:9/x"):
        log = opened(config.load({"state": url}, {}))
        with pytest.raises(StoreUnreadable, match="does not answer"):
            log.tip()
        log.close()


def test_services_and_workers_that_are_killed_on_postgresql_lose_nothing_and_turn_nothing_round(tmp_path: Path) -> None:
    """Two kills here; `python -m tests.service.campaign_service` does as many as one likes, on either database."""
    found = campaign("postgresql", tmp_path, kills=2, acts=8, workers=1, seed=3)
    assert found.good, found


# --- what is kept ----------------------------------------------------------------------------------------


def test_what_was_settled_long_ago_is_cleared_and_what_waits_and_every_event_stays(tmp_path: Path) -> None:
    hands = Hands()
    state = State(tmp_path / "state.sqlite", hands)
    policy, vault = Policy.of(["127.0.0.1"], plain_http=True), Vault([b"k" * 32])
    with receiving() as receiver:
        made, _ = subscriptions.create(state, vault, policy, "owner", {"url": receiver.url})
        worker = Worker(state, vault, policy, Terms(schedule_of("1s")))
        worker.drain()
        state.append([Told(f"evt-{number}", f"ema/doc-{number % 60}") for number in range(600)])
        worker.drain()
        hands.turn(days=89)
        assert state.prune(timedelta(days=90)) == 0
        subscriptions.pause(state, "owner", made.id)
        state.append([Told("evt-late")])
        hands.turn(days=2)
        assert state.prune(timedelta(days=90)) == 601
        assert subscriptions.deliveries(state, "owner", made.id) == []
        assert state.tip() == 601
        subscriptions.resume(state, "owner", made.id)
        worker.drain()
        worker.close()
        assert receiver.events[-1].json["id"] == "evt-late"
    state.close()
