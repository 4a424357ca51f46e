"""Being told: Lemtrada's January 2020 as a webhook, and a service that is killed while it tells."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks.webhooks
from standardwebhooks import Webhook

from guidance.archive import Archive, Proposal
from guidance.journal import CORPUS
from guidance.schema import violations
from guidance.store import Act
from service import ticker, tokens
from service.addresses import Policy
from service.delivery import Terms, Worker, schedule_of
from service.state import State
from service.subscriptions import EXTENSION, Push
from tests.service.doors import Hands, door
from tests.service.receiver import Receiver, Request, receiving

Json = Any
NAME = "ema/lemtrada"
INFORCE = str(Path(sys.executable).with_name("inforce"))
PATIENCE = 120.0
"""Seconds that a busy machine may take."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def read(name: str) -> Json:
    return json.loads((CORPUS / "documents" / NAME / name).read_bytes())


# --- the flagship, with a moved clock --------------------------------------------------------------------


class Verifier:
    """The standardwebhooks package, at the time that a test's clock shows."""

    def __init__(self, secret: str, hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
        class Moved(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
                return hands.now.astimezone(tz)

        self.webhook = Webhook(secret)
        monkeypatch.setattr(standardwebhooks.webhooks, "datetime", Moved)

    def line(self, request: Request) -> str:
        """What was told, once its signature was verified."""
        told = self.webhook.verify(request.body, dict(request.headers))
        assert told["id"] == request.headers["webhook-id"]
        places = ",".join(told["jurisdictions"])
        more = f", {told['days']} days before {told['day']}" if told["kind"] == "reminder" else ""
        more = f", {told['ends']} by @{told['replaced_by']}" if told["kind"] == "ended" else more
        return f"{told['occurred_at']} {told['kind']} @{told['version']} in {places}{more}"


def test_lemtrada_is_heard_in_order_and_signed_also_on_the_day_on_which_nothing_was_recorded(
    archive: Archive, act: Callable[..., Act], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = Hands(datetime(2019, 4, 12, 13, tzinfo=UTC))
    client = door(archive, hands, outgoing_allow=("127.0.0.1",), outgoing_http=True)
    push: Push = client.application.extensions[EXTENSION]
    worker = Worker(push.state, push.vault, Policy.of(["127.0.0.1"], plain_http=True), Terms(schedule_of("1s")))
    archive.publish([Proposal(read("document.json"))], act("seeded"), hands.now)
    for number in (1, 2):
        archive.publish([Proposal(read(f"versions/{number}.json"))], act("seeded"), hands.now)
    ticker.tick(archive, push.state, hands.now)
    _, token = tokens.create(push.state, "story", "Neurology", ["subscribe"])
    wanted = {"url": receiver.url, "filter": {"medicines": ["alemtuzumab"]}}
    made = client.post("/v1/subscriptions", headers={"Authorization": f"Bearer {token}"}, json=wanted)
    assert (made.status_code, made.json["warnings"]) == (201, [])
    verifier = Verifier(made.json["secret"], hands, monkeypatch)
    worker.drain()

    heard: list[str] = []

    def listen() -> None:
        ticker.tick(archive, push.state, hands.now)
        worker.drain()
        heard.extend(verifier.line(request) for request in receiver.events[len(heard) :])

    third = read("versions/3.json")
    awaited = {"expected": "2020-01", "trigger": "Commission decision", "basis": "Opinion of 14 November 2019."}
    coming = {**third, "commencements": [{"jurisdictions": ["EU", "UK"], **awaited}]}
    hands.now = datetime(2019, 11, 15, 9, tzinfo=UTC)
    archive.publish([Proposal(coming)], act("opinion"), hands.now)
    listen()
    hands.now = datetime(2019, 12, 10, 9, tzinfo=UTC)
    archive.publish([Proposal(third)], act("the day is known"), hands.now)
    while hands.now < datetime(2020, 1, 20, tzinfo=UTC):
        listen()
        hands.now += timedelta(hours=12)
    own = f"/v1/subscriptions/{made.json['id']}"
    past = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-16T00:00:00Z"}
    for what, asked in (("ping", None), ("rehearse", past)):
        assert client.post(f"{own}/{what}", headers={"Authorization": f"Bearer {token}"}, json=asked).status_code == 202
    worker.drain()
    posted = [request.json for request in receiver.requests]
    assert {"endpoint.verification", "endpoint.ping"} < {body["kind"] for body in posted}
    assert [body["kind"] for body in posted if "rehearsal" in body] == [*["reminder"] * 4, "in-force", "ended"]
    assert [found for body in posted if (found := violations("webhook", body))] == []
    worker.close()
    push.state.close()
    assert heard == [
        "2019-11-15T09:00:00Z published @3 in EU,UK",
        "2019-12-10T09:00:00Z rescheduled @3 in EU,UK",
        "2019-12-16T23:00:00Z reminder @3 in EU, 30 days before 2020-01-16",
        "2019-12-17T00:00:00Z reminder @3 in UK, 30 days before 2020-01-16",
        "2020-01-08T23:00:00Z reminder @3 in EU, 7 days before 2020-01-16",
        "2020-01-09T00:00:00Z reminder @3 in UK, 7 days before 2020-01-16",
        "2020-01-14T23:00:00Z reminder @3 in EU, 1 days before 2020-01-16",
        "2020-01-15T00:00:00Z reminder @3 in UK, 1 days before 2020-01-16",
        "2020-01-15T23:00:00Z in-force @3 in EU",
        "2020-01-15T23:00:00Z ended @2 in EU, superseded by @3",
        "2020-01-16T00:00:00Z in-force @3 in UK",
        "2020-01-16T00:00:00Z ended @2 in UK, superseded by @3",
    ]


# --- the service as it is really started -----------------------------------------------------------------


class Service:
    """`inforce serve` in a process, with all that it starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])

    def start(self) -> None:
        words = ["--data", str(self.folder), "--port", str(self.port), "--log-level", "warning"]
        words += ["--outgoing-allow", "127.0.0.1", "--outgoing-http", "yes", "--retries", "1s 1s 1s 1s 1s 1s 1s 1s"]
        words += ["--delivery-seconds", "1"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("INFORCE_")}
        self.process = subprocess.Popen([INFORCE, "serve", *words], env=clean, start_new_session=True)
        until(lambda: self.ask("GET", "/readyz")[0] == 200)

    def kill(self) -> None:
        """All of it at once, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_teller(self) -> None:
        """Only the process that tells: the first that the service started."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)

    def ask(self, method: str, address: str, body: Json = None, token: str = "") -> tuple[int, Json]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            connection.request(method, address, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except OSError:
            return 0, None
        finally:
            connection.close()


def until(found: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def inforce(*words: str) -> str:
    done = subprocess.run([INFORCE, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def service(corpus: Archive, tmp_path: Path) -> Iterator[Service]:
    kept = shutil.ignore_patterns("state.sqlite*", "secret.key")
    started = Service(Path(shutil.copytree(corpus.folder, tmp_path / "data", ignore=kept)))
    started.start()
    yield started
    started.kill()


def test_everything_is_heard_in_order_whatever_of_the_service_is_killed_meanwhile(
    service: Service, receiver: Receiver, tmp_path: Path, act: Callable[..., Act]
) -> None:
    data = ["--data", str(service.folder)]
    token = inforce("token", "create", "--owner", "Neurology", *data)
    asked = {"url": receiver.url, "filter": {"documents": [NAME], "severity": "editorial"}}
    status, made = service.ask("POST", "/v1/subscriptions", asked, token)
    assert status == 201
    address = f"/v1/subscriptions/{made['id']}"
    until(lambda: service.ask("GET", address, None, token)[1]["state"] == "active")
    archive = Archive(service.folder)
    notes = itertools.count(1)

    def correct() -> None:
        body = {**read("versions/3.json"), "note": f"Corrected {next(notes)} times."}
        archive.correct(Proposal(body), act(verb="correct"), datetime.now(UTC))

    def heard(count: int) -> list[int]:
        until(lambda: len({one.headers["webhook-id"] for one in receiver.events}) >= count)
        return list(dict.fromkeys(one.json["position"] for one in receiver.events))

    correct()
    assert len(heard(1)) == 1
    service.kill_teller()
    correct()
    assert len(heard(2)) == 2
    service.kill()
    correct()
    correct()
    service.start()
    positions = heard(4)
    assert positions == sorted(positions)
    _, log = service.ask("GET", f"/v1/events?after={made['cursor']}")
    assert [one["position"] for one in log["events"]] == positions
    state = State(service.folder / "state.sqlite")
    now = datetime.now(UTC)
    assert [told["id"] for _, told in state.events(0, 1000)] == [e.id for e in ticker.implied(archive, now)]
    state.close()
    archive.close()
