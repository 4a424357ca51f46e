"""Deliveries on both databases, to a receiver on 127.0.0.1: in order, retried, logged, stopped loudly, never lost."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import event, select, update
from standardwebhooks import Webhook

from guidance.errors import ActRefused, BadParameter
from guidance.schema import violations
from service import signing, subscriptions
from service.addresses import Policy
from service.delivery import Answer, Done, Outgoing, Terms, Worker, claim, fan_out, judge, schedule_of, settle
from service.signing import Vault, new_secret
from service.state import ATTEMPT, DELIVERY, LANE, State
from tests.service.campaign_delivery import campaign
from tests.service.databases import KINDS, database
from tests.service.receiver import Receiver, Reply, Request, echoing, receiving
from tests.service.samples import Told, changes

POLICY = Policy.of(["127.0.0.1"], plain_http=True)
START = datetime(2026, 2, 2, 12, tzinfo=UTC)
TERMS = Terms(schedule_of("5s 1m 1h"), jitter=0, seconds=3, threads=8, poll=0.005)


@dataclass
class Post:
    """A state, a clock that is moved by hand, one receiver, one worker."""

    state: State
    receiver: Receiver
    vault: Vault = field(default_factory=lambda: Vault([b"k" * 32]))
    terms: Terms = TERMS
    now: datetime = START

    def subscribe(self, owner: str = "ada", **asked: Any) -> tuple[str, str]:
        asked = {"url": self.receiver.url, **asked}
        made, secret = subscriptions.create(self.state, self.vault, POLICY, owner, asked)
        return made.id, secret

    def work(self, **more: Any) -> None:
        worker = Worker(self.state, self.vault, POLICY, replace(self.terms, **more))
        worker.drain()
        worker.close()

    def later(self, **more: float) -> None:
        self.now += timedelta(**more)

    def told(self, *names: str, document: str = "ema/lemtrada", **more: Any) -> None:
        self.state.append([Told(name, document, more) for name in names])

    @property
    def heard(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.receiver.events]

    def one(self, name: str) -> subscriptions.Subscription:
        return subscriptions.one(self.state, "ada", name)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def post(url: str) -> Iterator[Post]:
    with receiving() as receiver:
        made: list[Post] = []
        state = State(url, lambda: made[0].now if made else START)
        made.append(Post(state, receiver))
        yield made[0]
        state.close()


def failing(status: int = 500, **headers: str) -> Callable[[Request], Reply]:
    return lambda request: echoing(request) if "challenge" in request.json else Reply(status, dict(headers))


# --- the whole way ---------------------------------------------------------------------------------------


def test_an_endpoint_is_verified_before_its_first_event(post: Post) -> None:
    name, _ = post.subscribe()
    assert post.one(name).state == "unverified"
    post.told("evt-1")
    post.receiver.reply = lambda _: Reply(200, body=b"something else")
    post.work()
    assert post.heard == []
    assert post.one(name).state == "unverified"
    post.receiver.reply = echoing
    post.later(seconds=6)
    post.work()
    assert post.one(name).state == "active"
    assert post.heard == ["evt-1"]


def test_a_delivery_is_verified_by_the_standardwebhooks_package(url: str) -> None:
    with receiving() as receiver:
        post = Post(State(url), receiver)
        _, secret = post.subscribe()
        post.told("evt-1")
        post.work()
        [request] = receiver.events
        verified = Webhook(secret).verify(request.body, dict(request.headers))
        assert verified["id"] == request.headers["webhook-id"] == "evt-1"
        assert verified["position"] == 1
        assert request.headers["content-type"] == "application/json"
        assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
        post.state.close()


def test_events_come_in_order_once_each_and_only_those_that_are_wanted(post: Post) -> None:
    post.subscribe(filter={"documents": ["ema/lemtrada"]})
    for number in range(20):
        post.told(f"evt-{number}")
        post.told(f"evt-other-{number}", document="mhra/valproate")
    post.work()
    assert post.heard == [f"evt-{number}" for number in range(20)]
    positions = [request.json["position"] for request in post.receiver.events]
    assert positions == sorted(positions)


def test_a_failure_holds_back_its_document_only_and_keeps_id_and_bytes(post: Post) -> None:
    name, _ = post.subscribe()
    post.work()
    refused = {"evt-1"}
    post.receiver.reply = lambda request: Reply(503 if request.json.get("id") in refused else 204)
    post.told("evt-1", "evt-2")
    post.told("evt-a", "evt-b", document="mhra/valproate")
    post.work()
    assert [one for one in post.heard if one in ("evt-a", "evt-b")] == ["evt-a", "evt-b"]
    assert "evt-2" not in post.heard
    refused.clear()
    post.later(seconds=4)
    post.work()
    assert "evt-2" not in post.heard
    post.later(seconds=2)
    post.work()
    assert [one for one in post.heard if one in ("evt-1", "evt-2")] == ["evt-1", "evt-1", "evt-2"]
    first, second = (one for one in post.receiver.events if one.headers["webhook-id"] == "evt-1")
    assert first.body == second.body
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    [told] = [one for one in subscriptions.deliveries(post.state, "ada", name) if one["event"] == "evt-1"]
    assert (told["state"], told["tries"]) == ("accepted", 2)


def test_every_attempt_is_logged_with_request_status_time_and_a_bounded_part_of_the_answer(post: Post) -> None:
    name, _ = post.subscribe()
    post.work()
    post.receiver.reply = lambda _: Reply(500, body=b"x" * 50_000)
    post.told("evt-1")
    post.work()
    shown = subscriptions.delivery(post.state, "ada", name, subscriptions.deliveries(post.state, "ada", name)[0]["id"])
    [attempt] = shown["attempts"]
    assert attempt["status"] == 500
    assert attempt["answer"] == "x" * 1024
    assert attempt["headers"]["webhook-id"] == "evt-1"
    assert attempt["at"] == "2026-02-02T12:00:00.000Z"
    assert attempt["milliseconds"] >= 0


def test_what_waits_says_what_it_will_post_and_when_or_what_goes_before_it(post: Post) -> None:
    name, _ = post.subscribe()
    [asked] = [subscriptions.delivery(post.state, "ada", name, 1)]
    assert (asked["kind"], asked["due_at"], asked["body"]) == ("verification", "2026-02-02T12:00:00.000Z", None)
    post.work()
    post.receiver.reply = failing(429, **{"Retry-After": "600"})
    post.told("evt-1")
    post.told("evt-2")
    post.work()
    second, first = (
        subscriptions.delivery(post.state, "ada", name, one["id"])
        for one in subscriptions.deliveries(post.state, "ada", name)
        if one["kind"] == "event"
    )
    assert first["body"] == post.receiver.events[0].json
    assert (first["due_at"], first["behind"]) == ("2026-02-02T12:10:00.000Z", None)
    assert (second["body"]["id"], second["due_at"], second["behind"]) == ("evt-2", None, first["id"])
    with post.state.writing() as connection:
        connection.execute(update(LANE).values(lease="taken up"))
    under_way, waiting = (subscriptions.delivery(post.state, "ada", name, one["id"]) for one in (first, second))
    assert (under_way["due_at"], under_way["behind"], waiting["behind"]) == (None, None, first["id"])
    with post.state.writing() as connection:
        connection.execute(update(LANE).values(lease=None))
    subscriptions.pause(post.state, "ada", name)
    assert subscriptions.delivery(post.state, "ada", name, first["id"])["due_at"] is None
    subscriptions.resume(post.state, "ada", name)
    post.receiver.reply = lambda _: Reply(204)
    post.later(seconds=3600)
    post.work()
    settled = subscriptions.delivery(post.state, "ada", name, first["id"])
    assert (settled["state"], settled["due_at"], settled["behind"]) == ("accepted", None, None)


def test_retry_after_is_honoured(post: Post) -> None:
    post.subscribe()
    post.work()
    post.receiver.reply = failing(429, **{"Retry-After": "600"})
    post.told("evt-1")
    post.work()
    post.receiver.reply = echoing
    post.later(seconds=590)
    post.work()
    assert len(post.heard) == 1
    post.later(seconds=15)
    post.work()
    assert len(post.heard) == 2


def test_410_ends_the_subscription_and_its_owner_is_told(post: Post) -> None:
    name, _ = post.subscribe()
    with receiving() as other:
        post.subscribe(url=other.url, filter={"kinds": ["endpoint.ended", "endpoint.failing"]})
        post.work()
        post.receiver.reply = failing(410)
        post.told("evt-1", "evt-2")
        post.work()
        assert post.one(name).state == "ended"
        assert "410" in post.one(name).why
        states = {one["event"]: one["state"] for one in subscriptions.deliveries(post.state, "ada", name)}
        assert (states["evt-1"], states["evt-2"]) == ("waiting", "waiting")
        assert subscriptions.lag(post.state)[name] == 2
        assert [one["kind"] for one in subscriptions.notices(post.state, "ada")] == ["endpoint.ended"]
        assert [request.json["kind"] for request in other.events] == ["endpoint.ended"]
        assert violations("webhook", other.events[0].json) == ()
        assert other.events[0].json["occurred_at"] == subscriptions.notices(post.state, "ada")[0]["at"]
    with pytest.raises(ActRefused, match="change its url"):
        subscriptions.resume(post.state, "ada", name)
    post.told("evt-3")
    post.later(days=400)
    post.work()
    post.state.prune(timedelta(days=90))
    assert post.heard == ["evt-1"]


def test_what_was_waiting_when_an_endpoint_was_gone_is_sent_to_the_one_that_takes_its_place(post: Post) -> None:
    name, _ = post.subscribe()
    post.work()
    post.receiver.reply = failing(410)
    post.told("evt-1", "evt-2")
    post.told("evt-a", document="mhra/valproate")
    post.work(per_endpoint=1)
    post.told("evt-3")
    assert subscriptions.lag(post.state)[name] == 4
    with receiving() as other:
        subscriptions.change(post.state, POLICY, "ada", name, {"url": other.url})
        assert subscriptions.lag(post.state)[name] == 4  # a challenge is no event
        post.work()
        assert post.one(name).state == "active"
        heard = [request.headers["webhook-id"] for request in other.events]
        assert sorted(heard) == ["evt-1", "evt-2", "evt-3", "evt-a"]
        assert [one for one in heard if one != "evt-a"] == ["evt-1", "evt-2", "evt-3"]
        assert subscriptions.lag(post.state)[name] == 0


@pytest.mark.parametrize("status", [410, 500])
def test_what_an_endpoint_answers_that_is_another_by_now_stops_nothing(post: Post, status: int) -> None:
    name, _ = post.subscribe()
    post.work()
    post.told("evt-1")
    fan_out(post.state)
    with post.state.writing() as connection:
        [asked] = claim(connection, post.state, post.vault, TERMS, 10)
    with receiving() as other:
        subscriptions.change(post.state, POLICY, "ada", name, {"url": other.url})
        done = Done(asked._replace(tries=len(TERMS.schedule)), post.now, 5, {}, Answer(status))
        with post.state.writing() as connection:
            settle(connection, post.state, [done], TERMS)
        assert post.one(name).state == "unverified"
        assert subscriptions.notices(post.state, "ada") == []
        post.work()
        assert post.one(name).state == "active"
        assert [request.headers["webhook-id"] for request in other.events] == ["evt-1"]


def exhaust(post: Post) -> None:
    for wait in (0, 6, 61, 3601):
        post.later(seconds=wait)
        post.work()


def test_a_dead_endpoint_is_failing_after_the_schedule_and_only_its_owner_wakes_it(post: Post) -> None:
    name, _ = post.subscribe()
    post.work()
    post.receiver.reply = failing(500)
    post.told("evt-1", "evt-2")
    exhaust(post)
    assert post.one(name).state == "failing"
    assert subscriptions.notices(post.state, "ada")[0]["kind"] == "endpoint.failing"
    tried = len(post.heard)
    assert tried == 4
    post.receiver.reply = echoing
    post.told("evt-3")
    post.later(days=30)
    post.work()
    assert len(post.heard) == tried
    assert subscriptions.lag(post.state)[name] == 3
    assert subscriptions.resume(post.state, "ada", name).state == "active"
    post.work()
    assert post.heard[tried:] == ["evt-1", "evt-2", "evt-3"]
    assert subscriptions.lag(post.state)[name] == 0


def test_one_refused_event_stops_its_document_while_others_go_on(post: Post) -> None:
    name, _ = post.subscribe()
    post.work()
    post.receiver.reply = lambda request: Reply(400 if request.json["id"] == "evt-1" else 204)
    post.told("evt-1", "evt-2")
    post.work()
    post.told("evt-a", document="mhra/valproate")
    post.later(seconds=1)
    exhaust(post)
    assert post.one(name).state == "stuck"
    assert "ema/lemtrada" in post.one(name).why
    post.told("evt-b", document="mhra/valproate")
    post.work()
    assert "evt-b" in post.heard
    assert "evt-2" not in post.heard
    post.receiver.reply = echoing
    subscriptions.resume(post.state, "ada", name)
    post.work()
    assert post.heard[-2:] == ["evt-1", "evt-2"]


def test_a_paused_subscription_keeps_its_events(post: Post) -> None:
    name, _ = post.subscribe()
    post.told("evt-1")
    post.work()
    subscriptions.pause(post.state, "ada", name)
    post.told("evt-2", "evt-3")
    post.work()
    assert post.heard == ["evt-1"]
    subscriptions.resume(post.state, "ada", name)
    post.work()
    assert post.heard == ["evt-1", "evt-2", "evt-3"]


def test_replay_redelivery_ping_and_rehearsal(post: Post) -> None:
    name, _ = post.subscribe()
    post.told("evt-1", "evt-2", "evt-3")
    post.work()
    assert subscriptions.replay(post.state, "ada", name, 1) == 2
    post.work()
    assert post.heard[3:] == ["evt-2", "evt-3"]
    [first] = [one for one in subscriptions.deliveries(post.state, "ada", name) if one["event"] == "evt-1"]
    subscriptions.redeliver(post.state, "ada", name, first["id"])
    subscriptions.ping(post.state, "ada", name)
    post.work()
    assert "evt-1" in post.heard[5:]
    assert any(request.json["kind"] == "endpoint.ping" for request in post.receiver.events[5:])
    january = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC)
    past = [event for _, event in post.state.between(*january)]
    assert subscriptions.rehearse(post.state, "ada", name, past) == 3
    post.work()
    played = post.receiver.events[-3:]
    assert [request.json["id"] for request in played] == ["evt-1", "evt-2", "evt-3"]
    assert all(request.headers["inforce-rehearsal"] == "true" for request in played)
    assert all(request.headers["webhook-id"].startswith("rehearsal-") for request in played)
    with pytest.raises(BadParameter):
        subscriptions.replay(post.state, "ada", name, 99)


def test_a_subscription_may_begin_in_the_past(post: Post) -> None:
    post.told("evt-1", "evt-2", "evt-3")
    post.subscribe(after=1)
    post.work()
    assert post.heard == ["evt-2", "evt-3"]
    with pytest.raises(BadParameter):
        post.subscribe(after=99)


def test_two_secrets_sign_while_one_is_rotated(url: str) -> None:
    with receiving() as receiver:
        post = Post(State(url), receiver)
        name, old = post.subscribe()
        post.work()
        new = subscriptions.rotate(post.state, post.vault, "ada", name)
        post.told("evt-1")
        post.work()
        [request] = receiver.events
        assert len(request.headers["webhook-signature"].split()) == 2
        for secret in (old, new):
            assert Webhook(secret).verify(request.body, dict(request.headers))
        subscriptions.rotate(post.state, post.vault, "ada", name, timedelta(0))
        post.told("evt-2")
        post.work()
        assert len(receiver.events[-1].headers["webhook-signature"].split()) == 1
        post.state.close()


def test_a_changed_endpoint_is_verified_again(post: Post) -> None:
    name, _ = post.subscribe()
    post.work()
    with receiving() as other:
        other.reply = lambda _: Reply(204)
        subscriptions.change(post.state, POLICY, "ada", name, {"url": other.url})
        post.told("evt-1")
        post.work()
        assert other.events == []
        assert post.one(name).state == "unverified"
        other.reply = echoing
        post.later(seconds=10)
        post.work()
        assert [request.headers["webhook-id"] for request in other.events] == ["evt-1"]
    assert post.heard == []


def test_a_paused_subscription_that_is_given_another_endpoint_waits_for_its_owner(post: Post) -> None:
    name, _ = post.subscribe()
    post.work()
    subscriptions.pause(post.state, "ada", name)
    with receiving() as other:
        subscriptions.change(post.state, POLICY, "ada", name, {"url": other.url})
        post.told("evt-1")
        post.work()
        assert (post.one(name).state, other.requests) == ("paused", [])
        subscriptions.resume(post.state, "ada", name)
        post.work()
        assert post.one(name).state == "active"
        assert [request.headers["webhook-id"] for request in other.events] == ["evt-1"]


def test_a_deleted_subscription_hears_nothing_and_leaves_nothing(post: Post) -> None:
    name, _ = post.subscribe()
    post.told("evt-1")
    post.work()
    subscriptions.remove(post.state, "ada", name)
    post.told("evt-2")
    post.work()
    assert post.heard == ["evt-1"]
    with post.state.reading() as connection:
        assert connection.execute(select(DELIVERY)).all() == []
        assert connection.execute(select(ATTEMPT)).all() == []


def test_a_secret_that_no_key_opens_is_a_failure_that_is_told_and_not_an_unsigned_request(post: Post) -> None:
    name, _ = post.subscribe()
    post.vault = Vault([b"x" * 32])
    post.work()
    assert post.receiver.requests == []
    number = subscriptions.deliveries(post.state, "ada", name)[0]["id"]
    attempts = subscriptions.delivery(post.state, "ada", name, number)["attempts"]
    assert attempts[0]["failure"].startswith("not sent")


# --- many workers ----------------------------------------------------------------------------------------


def test_a_lease_that_ran_out_is_taken_over_and_its_late_holder_moves_nothing(post: Post) -> None:
    name, _ = post.subscribe()
    post.work()
    post.told("evt-1", "evt-2")
    fan_out(post.state)
    with post.state.writing() as connection:
        [late] = claim(connection, post.state, post.vault, TERMS, 10)
    with post.state.writing() as connection:
        assert claim(connection, post.state, post.vault, TERMS, 10) == []
    post.later(seconds=61)
    post.work()
    assert post.heard == ["evt-1", "evt-2"]
    worker = Worker(post.state, post.vault, POLICY, TERMS)
    done = worker._send(late)
    worker.close()
    with post.state.writing() as connection:
        settle(connection, post.state, [done], TERMS)
    states = {one["event"]: one["state"] for one in subscriptions.deliveries(post.state, "ada", name)}
    assert states["evt-1"] == states["evt-2"] == "accepted"
    assert set(post.heard) == {"evt-1", "evt-2"}


def test_no_endpoint_is_sent_more_at_once_than_it_may_be(post: Post) -> None:
    post.subscribe()
    post.work()
    lock, count, most = threading.Lock(), [0], [0]

    def slow(_: Request) -> Reply:
        with lock:
            count[0] += 1
            most[0] = max(most[0], count[0])
        time.sleep(0.03)
        with lock:
            count[0] -= 1
        return Reply()

    post.receiver.reply = slow
    post.state.append([Told(f"evt-{n}", f"ema/doc-{n % 10}") for n in range(40)])
    workers = [Worker(post.state, post.vault, POLICY, replace(TERMS, per_endpoint=3)) for _ in range(3)]
    threads = [threading.Thread(target=worker.drain) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker in workers:
        worker.drain()
        worker.close()
    assert sorted(post.heard) == sorted({f"evt-{n}" for n in range(40)})
    assert 1 < most[0] <= 3
    for document in range(10):
        own = [int(one.removeprefix("evt-")) for one in post.heard if int(one.removeprefix("evt-")) % 10 == document]
        assert own == sorted(own)


def test_a_slow_endpoint_does_not_hold_up_others(post: Post) -> None:
    with receiving() as slow:
        post.subscribe(url=slow.url)
        post.subscribe()
        post.work()
        slow.reply = lambda _: (time.sleep(1), Reply())[1]
        post.state.append([Told(f"evt-{n}", f"ema/doc-{n}") for n in range(30)])
        worker = Worker(post.state, post.vault, POLICY, TERMS)
        began = time.perf_counter()
        while len(post.heard) < 30 and time.perf_counter() - began < 20:
            worker.turn()
            time.sleep(0.005)
        assert len(post.heard) == 30
        assert len(slow.events) <= 4 * (time.perf_counter() - began + 1)
        post.state.close()
        worker._pool.shutdown(wait=True)


def test_what_is_queued_while_it_is_counted_is_not_told_to_be_accepted(post: Post) -> None:
    name, _ = post.subscribe()
    post.work()
    post.told("evt-1")

    def meanwhile(*_: Any) -> None:  # in a connection of its own, once the first statement was answered
        fan_out(post.state)

    event.listen(post.state.engine, "after_cursor_execute", meanwhile, once=True)
    assert subscriptions.lag(post.state)[name] == 1
    assert subscriptions.lag(post.state)[name] == 1


def test_fanning_out_from_several_threads_queues_each_event_once(post: Post) -> None:
    names = [post.subscribe()[0] for _ in range(30)]
    post.work()
    post.state.append([Told(f"evt-{n}") for n in range(50)])
    threads = [threading.Thread(target=lambda: [fan_out(post.state, 7) for _ in range(40)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while fan_out(post.state):
        pass
    for name in names:
        queued = [one["event"] for one in subscriptions.deliveries(post.state, "ada", name, limit=200)]
        assert queued[:50] == [f"evt-{n}" for n in reversed(range(50))]
        assert len(queued) == 51


# --- one request -----------------------------------------------------------------------------------------

SENT = {"Content-Type": "application/json"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    with receiving() as other:
        receiver.reply = lambda _: Reply(302, {"Location": other.url})
        assert Outgoing(POLICY).post(receiver.url, SENT, b"{}").status == 302
        assert other.requests == []


def test_an_answer_that_comes_in_drops_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"X-A: b\r\n")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        answer = Outgoing(POLICY, seconds=0.5).post(f"http://127.0.0.1:{server.getsockname()[1]}/", SENT, b"{}")
        assert time.monotonic() - began < 1.5
        assert answer.status is None
        assert "within 0.5 seconds" in answer.failure
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x00\xff",
        b"HTTP/1.1 99999 OK\r\n\r\n",
    ],
)
def test_an_answer_that_is_not_http_is_a_failure(receiver: Receiver, raw: bytes) -> None:
    receiver.reply = lambda _: Reply(raw=raw)
    answer = Outgoing(POLICY, seconds=3).post(receiver.url, SENT, b"{}")
    assert answer.status is None
    assert answer.failure


def test_an_endless_answer_is_read_a_little(receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(200, {"Content-Length": str(10**9)}, b"z" * 100_000)
    answer = Outgoing(POLICY, seconds=3).post(receiver.url, SENT, b"{}")
    assert (answer.status, answer.text) == (200, "z" * 1024)


def test_nobody_there_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "ConnectionRefused" in Outgoing(POLICY).post(f"http://127.0.0.1:{port}/", SENT, b"{}").failure


def certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.hospital.example")])
    names = x509.SubjectAlternativeName([x509.DNSName("hooks.hospital.example"), x509.IPAddress(ip_address("::1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, START, START + timedelta(days=36500))
    signed = made.add_extension(names, False).add_extension(x509.BasicConstraints(True, 0), True)
    pem = signed.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    plain = serialization.NoEncryption()
    file = folder / "server.pem"
    file.write_bytes(pem + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return file


def test_tls_is_for_the_name_and_the_connection_for_the_address_that_was_checked(tmp_path: Path) -> None:
    file = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    named: list[str | None] = []
    context.sni_callback = lambda _, name, __: named.append(name)
    with receiving() as receiver:
        receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
        asked: list[str] = []

        def resolver(host: str, port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"]

        policy = Policy.of(["127.0.0.1"])
        address = f"https://hooks.hospital.example:{receiver.port}/hook?a=b"
        trusting = Outgoing(policy, 5, file, resolver)
        assert trusting.post(address, SENT, b"{}").status == 204
        assert named == ["hooks.hospital.example"]
        assert receiver.requests[0].headers["host"] == f"hooks.hospital.example:{receiver.port}"
        assert receiver.requests[0].path == "/hook?a=b"
        assert asked == ["hooks.hospital.example"]
        assert "CERTIFICATE_VERIFY_FAILED" in Outgoing(policy, 5, None, resolver).post(address, SENT, b"{}").failure
        other = address.replace("hooks", "other")
        assert "CERTIFICATE_VERIFY_FAILED" in trusting.post(other, SENT, b"{}").failure
        assert len(receiver.requests) == 1


# --- what an answer means --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "tries", "meaning", "seconds"),
    [
        (Answer(200), 1, "accepted", None),
        (Answer(299), 1, "accepted", None),
        (Answer(410), 1, "gone", None),
        (Answer(302), 1, "again", 5),
        (Answer(404), 2, "again", 60),
        (Answer(None, failure="refused"), 3, "again", 3600),
        (Answer(500), 4, "exhausted", None),
        (Answer(503, retry_after="30"), 1, "again", 30),
        (Answer(503, retry_after="1"), 1, "again", 5),
        (Answer(503, retry_after="999999999"), 1, "again", 86400),
        (Answer(503, retry_after="Mon, 02 Feb 2026 12:10:00 GMT"), 1, "again", 600),
        (Answer(503, retry_after="Mon, 02 Feb 1026 12:10:00 GMT"), 1, "again", 5),
        (Answer(503, retry_after="soon"), 1, "again", 5),
        (Answer(503, retry_after="-5"), 1, "again", 5),
    ],
)
def test_what_an_answer_means(answer: Answer, tries: int, meaning: str, seconds: int | None) -> None:
    verdict = judge(answer, tries, START, TERMS, 0.0)
    assert verdict.meaning == meaning
    assert verdict.due_at == (None if seconds is None else START + timedelta(seconds=seconds))


def test_the_schedule_lasts_three_days() -> None:
    assert timedelta(hours=70) < sum(schedule_of(), timedelta()) < timedelta(hours=74)
    for wrong in ("", "5", "5x", "5s,1m", "-5s"):
        with pytest.raises(BadParameter):
            schedule_of(wrong)


def test_a_lease_outlasts_every_request() -> None:
    with pytest.raises(BadParameter):
        Terms(schedule_of(), seconds=40)


def test_jitter_only_delays() -> None:
    terms = replace(TERMS, jitter=0.2)
    assert judge(Answer(500), 1, START, terms, 0.5).due_at == START + timedelta(seconds=5.5)


def test_a_challenge_is_echoed_as_json_or_as_it_is() -> None:
    for text, meaning in (
        ("abc", "accepted"),
        (orjson.dumps({"challenge": "abc"}).decode(), "accepted"),
        ("abcd", "again"),
        ("[]", "again"),
        ("", "again"),
    ):
        assert judge(Answer(200, text), 1, START, TERMS, 0, "abc").meaning == meaning


def test_editorial_changes_wake_nobody_who_did_not_ask(post: Post) -> None:
    post.subscribe()
    with receiving() as reader:
        post.subscribe(url=reader.url, filter={"severity": "editorial"})
        post.told("evt-1", kind="corrected", changes=changes("editorial"))
        post.told("evt-2")
        post.work()
        assert post.heard == ["evt-2"]
        assert [one.headers["webhook-id"] for one in reader.events] == ["evt-1", "evt-2"]


@pytest.mark.parametrize("kind", KINDS)
def test_killed_workers_and_a_flaky_receiver_lose_nothing_and_turn_nothing_round(kind: str, tmp_path: Path) -> None:
    found = campaign(kind, tmp_path, kills=3, events=30, workers=2, seed=1)
    assert found.good, found
    assert found.refused > 0


# --- the example receiver --------------------------------------------------------------------------------


def example() -> Any:
    """docs/receiver.py, as a module."""
    path = Path(__file__).resolve().parent.parent.parent / "docs" / "receiver.py"
    spec = spec_from_file_location("example_receiver", path)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Log(BaseHTTPRequestHandler):
    """The register's event log, as far as the example asks for it, three events at a time."""

    state: State

    def do_GET(self) -> None:
        after = int(self.path.split("after=")[1])
        beyond = after > self.state.tip()
        events = [{"position": position, **event} for position, event in self.state.events(after, 3)]
        body = orjson.dumps({"parameter": "after"} if beyond else {"events": events})
        self.send_response(400 if beyond else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[int]:
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_example_receiver_verifies_is_woken_and_reconciles_by_reading_the_log(url: str, tmp_path: Path) -> None:
    module = example()
    state = State(url)
    log = ThreadingHTTPServer(("127.0.0.1", 0), type("StateLog", (Log,), {"state": state}))
    dealt: list[str] = []
    woken: list[int] = []
    secrets: list[str] = []
    with serving(log) as register:
        reader = module.Reader(f"http://127.0.0.1:{register}", tmp_path / "position", lambda e: dealt.append(e["id"]))
        with serving(module.receiver(secrets, lambda: woken.append(reader.catch_up()), 0)) as port:
            vault = Vault([b"k" * 32])
            address = f"http://127.0.0.1:{port}/"
            made, secret = subscriptions.create(state, vault, POLICY, "ada", {"url": address})
            secrets.append(secret)
            state.append([Told(f"evt-{n}") for n in range(5)])
            worker = Worker(state, vault, POLICY, TERMS)
            worker.drain()
            assert subscriptions.one(state, "ada", made.id).state == "active"
            assert dealt == [f"evt-{n}" for n in range(5)]
            assert woken == [5, 0, 0, 0, 0]
            state.append([Told("evt-5")])
            again = module.Reader(
                f"http://127.0.0.1:{register}", tmp_path / "position", lambda e: dealt.append(e["id"])
            )
            assert again.catch_up() == 1
            forged = Outgoing(POLICY).post(address, {"webhook-id": "a", "webhook-timestamp": "0"}, b"{}")
            assert forged.status == 401
            worker.close()
    assert dealt == [f"evt-{n}" for n in range(6)]
    state.close()


@pytest.mark.parametrize("since", [0, 1, 2, 3, 4])
def test_the_example_receiver_misses_nothing_where_an_older_copy_of_the_log_was_brought_back(
    since: int, tmp_path: Path
) -> None:
    """Be the log shorter than it was, or as long again, or longer by what came since."""
    module, dealt = example(), list[str]()
    told = [Told(f"evt-{n}") for n in range(5)]
    news = [Told(f"evt-new-{n}") for n in range(since)]
    logs = {"live": told, "brought-back": [*told[:3], *news]}
    for name, events in logs.items():
        state = State(f"sqlite:///{tmp_path / name}.sqlite")
        state.append(events)
        log = ThreadingHTTPServer(("127.0.0.1", 0), type("StateLog", (Log,), {"state": state}))
        with serving(log) as register:
            place = f"http://127.0.0.1:{register}", tmp_path / "position"
            module.Reader(*place, lambda e: dealt.append(e["id"])).catch_up()
            assert module.Reader(*place, lambda e: dealt.append(e["id"])).catch_up() == 0
        state.close()
    assert dealt == [event.id for event in (*told, *news)]


@pytest.mark.parametrize("torn", ["\n", "\n2", "\n2 ", "\n2 ev"])
def test_the_example_receiver_goes_on_where_its_file_was_cut_off(torn: str, tmp_path: Path) -> None:
    module, dealt, file = example(), list[str](), tmp_path / "position"
    state = State(f"sqlite:///{tmp_path / 'log'}.sqlite")
    state.append([Told("evt-0")])
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), type("StateLog", (Log,), {"state": state}))) as register:
        place = f"http://127.0.0.1:{register}", file, lambda e: dealt.append(e["id"])
        module.Reader(*place).catch_up()
        state.append([Told("evt-1")])
        file.write_text(file.read_text() + torn)
        assert module.Reader(*place).catch_up() == 1
        state.append([Told("evt-2")])
        assert module.Reader(*place).catch_up() == 1
    assert dealt == ["evt-0", "evt-1", "evt-2"]
    state.close()


def test_the_example_receiver_refuses_what_was_not_signed_for_it() -> None:
    module = example()
    secret, body = new_secret(), b'{"kind":"in-force"}'
    signed = signing.headers([secret], "evt-1", START, body)
    now = START.timestamp()
    assert module.verified([new_secret(), secret], signed, body, now)
    assert not module.verified([secret], signed, body + b" ", now)
    assert not module.verified([secret], signed, body, now + 301)
    assert not module.verified([new_secret()], signed, body, now)
    assert not module.verified([secret], {**signed, "webhook-id": "evt-2"}, body, now)
    for wrong in ({}, {"webhook-timestamp": "x"}, {**signed, "webhook-signature": "v1,é v2,x"}):
        assert not module.verified([secret], wrong, body, now)


def test_the_example_receiver_reads_no_more_than_it_may_of_whoever_it_does_not_know() -> None:
    server = example().receiver([new_secret()], lambda: None, 0)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    for length in (-1, 2**20 + 1):
        with socket.create_connection(server.server_address, 3) as connection:
            connection.sendall(f"POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode())
            assert b" 413 " in connection.recv(100)
    server.shutdown()
    server.server_close()
