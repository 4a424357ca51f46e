"""Figures for Prometheus: what is behind, what was told and sent, how long answers take; no address, no secret."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from guidance.archive import Archive, Proposal
from guidance.store import Act
from service import subscriptions, ticker
from service.addresses import Policy
from service.delivery import Terms, Worker, fan_out, schedule_of
from service.subscriptions import EXTENSION, Push
from tests.guidance import bodies
from tests.service.doors import NOW, Hands, door
from tests.service.receiver import receiving
from tests.service.samples import Told

LINE = re.compile(r'([a-z_]+)(?:\{([a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*)\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)')


@pytest.fixture
def client(corpus: Archive, tmp_path: Path) -> Iterator[FlaskClient]:
    kept = shutil.ignore_patterns("state.sqlite*", "secret.key")
    archive = Archive(Path(shutil.copytree(corpus.folder, tmp_path / "data", ignore=kept)))
    made = door(archive)
    push: Push = made.application.extensions[EXTENSION]
    ticker.tick(archive, push.state, NOW)
    yield made
    push.state.close()
    archive.close()


def figures(client: FlaskClient) -> dict[str, float]:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    found = {}
    for line in response.get_data(as_text=True).splitlines():
        if not line.startswith(("# HELP ", "# TYPE ")):
            match = LINE.fullmatch(line)
            assert match, line
            found[f"{match[1]}{{{match[2]}}}" if match[2] else match[1]] = float(match[3])
    return found


def test_what_is_behind_is_told_of_each_subscription_without_its_address(client: FlaskClient) -> None:
    push: Push = client.application.extensions[EXTENSION]
    policy = Policy.of(["127.0.0.1"], plain_http=True)
    with receiving() as receiver:
        asked = {"url": receiver.url, "after": 0}
        made, secret = subscriptions.create(push.state, push.vault, policy, "owner", asked)
        before = figures(client)
        assert before[f'inforce_subscription_lag{{subscription="{made.id}"}}'] == before["inforce_events"]
        assert before['inforce_subscriptions{state="unverified"}'] == 1
        text = client.get("/metrics").get_data(as_text=True)
        assert receiver.url not in text
        assert secret not in text
        worker = Worker(push.state, push.vault, policy, Terms(schedule_of("1s")))
        worker.drain()
        worker.close()
    after = figures(client)
    assert after[f'inforce_subscription_lag{{subscription="{made.id}"}}'] == 0
    assert after['inforce_deliveries{state="accepted"}'] == len(receiver.requests)
    assert after['inforce_attempts{status="204"}'] == len(receiver.events)
    assert after["inforce_derived_seconds"] == NOW.timestamp()


def test_what_is_due_and_told_by_nobody_is_told_by_a_figure(
    corpus: Archive, act: Callable[..., Act], tmp_path: Path
) -> None:
    """The figure to be woken by: alerts that never come are told by nothing else."""
    kept = shutil.ignore_patterns("state.sqlite*", "secret.key")
    archive = Archive(Path(shutil.copytree(corpus.folder, tmp_path / "data", ignore=kept)))
    tip = archive.tip()
    assert tip
    hands = Hands(tip.recorded_at + timedelta(minutes=7))
    client = door(archive, hands)
    log = client.application.extensions[EXTENSION].state
    first = archive.index.revision_of(1)
    assert first
    assert figures(client)["inforce_untold_seconds"] == (hands.now - first.recorded_at).total_seconds()
    ticker.tick(archive, log, hands.now)
    assert figures(client)["inforce_untold_seconds"] == 0
    archive.publish([Proposal(bodies.document())], act(), hands.now)
    hands.turn(minutes=5)
    assert figures(client)["inforce_untold_seconds"] == 300
    ticker.tick(archive, log, hands.now)
    assert figures(client)["inforce_untold_seconds"] == 0
    hands.turn(days=2)
    assert 24 * 3600 < figures(client)["inforce_untold_seconds"] < 2 * 24 * 3600
    hands.turn(days=-3)
    assert figures(client)["inforce_untold_seconds"] == 0
    log.close()
    archive.close()


def test_what_is_due_and_sent_by_nobody_is_told_by_a_figure(corpus: Archive, tmp_path: Path) -> None:
    hands = Hands()
    client = door(corpus, hands, state=f"sqlite:///{tmp_path / 'state.sqlite'}")
    push: Push = client.application.extensions[EXTENSION]
    policy = Policy.of(["127.0.0.1"], plain_http=True)
    worker = Worker(push.state, push.vault, policy, Terms(schedule_of("1h")))
    with receiving() as receiver:
        made, _ = subscriptions.create(push.state, push.vault, policy, "owner", {"url": receiver.url})
        worker.drain()
        push.state.append([Told("evt-1", "ema/one")])
        fan_out(push.state)
        hands.turn(minutes=2)
        assert figures(client)["inforce_unsent_seconds"] == 120
        subscriptions.pause(push.state, "owner", made.id)
        assert figures(client)["inforce_unsent_seconds"] == 0
        subscriptions.resume(push.state, "owner", made.id)
        worker.drain()
        assert figures(client)["inforce_unsent_seconds"] == 0
    worker.close()
    push.state.close()


def test_answers_are_counted_by_door_and_those_who_wait_apart(client: FlaskClient) -> None:
    for address in ("/v1/rules?medicine=alemtuzumab", "/v1/rules?medicine=alemtuzumab", "/v1/events?wait=0", "/about"):
        assert client.get(address).status_code == 200
    found = figures(client)
    counts = {
        name.split('"')[1]: count for name, count in found.items() if name.startswith("inforce_answer_seconds_count")
    }
    assert counts == {"v1": 2, "events": 1, "pages": 1}
    whole = [name for name in found if 'door="v1"' in name and 'le="+Inf"' in name]
    assert [found[name] for name in whole] == [2]


def test_a_wrong_token_counts_for_whoever_sent_it_and_not_for_the_proxy(corpus: Archive) -> None:
    client = door(corpus, proxies=1)
    wrong = {"Authorization": "Bearer inforce_0000000000000000_" + "a" * 43}
    for number in range(11):
        last = client.get(
            "/v1/subscriptions", headers={**wrong, "X-Forwarded-For": f"198.51.100.9, 203.0.113.{number}"}
        )
        assert last.status_code == 401
    for _ in range(11):
        last = client.get("/v1/subscriptions", headers={**wrong, "X-Forwarded-For": "198.51.100.7"})
    assert last.status_code == 429
    assert int(last.headers["Retry-After"]) <= 60
    push: Push = client.application.extensions[EXTENSION]
    push.state.close()
