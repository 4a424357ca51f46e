"""How quickly is told: fanning out, delivering, an event from its commit to its reader, and a thousand who wait."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, update

from benchmarks import serving
from benchmarks.figures import AT_LEAST, AT_MOST, Figure
from benchmarks.generator import name_of
from benchmarks.ground import ACT, Ground
from guidance.archive import Archive, Proposal
from service import subscriptions
from service.addresses import Policy
from service.delivery import Terms, Worker, fan_out, schedule_of
from service.signing import Vault
from service.state import DELIVERY, LANE, SECRET, SUBSCRIPTION, State, chunks

POLICY: Final = Policy.of(["127.0.0.1"], plain_http=True)
KEY: Final = b"b" * 32
TERMS: Final = Terms(schedule_of("1s 1s 1s"), per_endpoint=32)
WORKERS: Final = 2
READERS: Final = 1000


def told(number: int) -> dict[str, Any]:
    """An event as the log holds it."""
    name = f"ema/doc-{number % 200}"
    return {
        "id": f"evt-{number:032x}",
        "kind": "in-force",
        "occurred_at": "2020-01-15T23:00:00Z",
        "document": name,
        "authority": "ema",
        "title": "A document",
        "version": 3,
        "version_title": "Its third",
        "replaces": 2,
        "jurisdictions": ["EU"],
        "cause": "day",
        "day": "2020-01-16",
        "rules": [],
        "retroactive": False,
        "medicines": [{"inn": "alemtuzumab", "codes": [{"system": "atc", "code": "L04AA34"}]}],
        "changes": {"severity": "major", "changes": 2, "rule_kinds": ["restriction"], "needs_review": 0},
        "links": {"document": f"/v1/documents/{name}", "version": None, "diff": None, "page": f"/documents/{name}"},
    }


class Event:
    def __init__(self, number: int) -> None:
        self.body = told(number)
        self.id = str(self.body["id"])

    def json(self) -> dict[str, Any]:
        return self.body


def subscribed(state: State, url: str, count: int = 1) -> None:
    """So many subscriptions that are verified: one as it is really made, and copies of it."""
    vault = Vault([KEY])
    made, _ = subscriptions.create(state, vault, POLICY, "owner", {"url": url, "filter": {"medicines": ["L04AA34"]}})
    with state.writing() as connection:
        active = update(SUBSCRIPTION).values(state="active", verified_at=0)
        connection.execute(active)
        row = dict(connection.execute(select(SUBSCRIPTION)).one()._mapping)
        rows = [{**row, "id": f"sub_{number:020x}"} for number in range(1, count)]
        for some in chunks(rows):
            connection.execute(insert(SUBSCRIPTION), list(some))
        copies = [{"subscription": one["id"], "sealed": vault.seal("whsec_" + "A" * 44, one["id"])} for one in rows]
        for some in chunks([{**one, "created_at": 0} for one in copies]):
            connection.execute(insert(SECRET), list(some))
        connection.execute(delete(LANE))
        connection.execute(update(DELIVERY).values(state="cancelled", settled_at=0))
    assert made


# --- fanning out -----------------------------------------------------------------------------------------


def fan(ground: Ground) -> Iterator[Figure]:
    """One event for ten thousand subscriptions that want it."""
    count = min(10_000, 5 * ground.questions)
    path = ground.folder / "fan.sqlite"
    path.unlink(missing_ok=True)
    state = State(path)
    subscribed(state, "http://127.0.0.1:8009/", count)
    state.append([Event(1)])
    began = time.process_time()
    while fan_out(state):
        pass
    taken = time.process_time() - began
    with state.reading() as connection:
        queued = connection.execute(select(func.count()).where(DELIVERY.c.state == "waiting")).scalar_one()
    state.close()
    if queued != count:
        raise RuntimeError(f"{queued} of {count} were queued")
    yield Figure(f"one event to {count} subscriptions, processor time", taken, AT_MOST, 2, "s")


# --- delivering ------------------------------------------------------------------------------------------


def receive(port: int, heard: Any) -> None:
    """A receiver that does next to nothing: it counts, and answers 204."""
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    waiting: dict[socket.socket, bytes] = {}
    with selectors.DefaultSelector() as ready:
        ready.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                line: Any = key.fileobj
                if line is listener:
                    accepted, _ = listener.accept()
                    waiting[accepted] = b""
                    ready.register(accepted, selectors.EVENT_READ)
                    continue
                waiting[line] += line.recv(1 << 16)
                head, found, body = waiting[line].partition(b"\r\n\r\n")
                length = int(head.lower().rpartition(b"content-length: ")[2].split(b"\r\n")[0]) if found else 1
                if len(body) >= length:
                    line.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                    heard.value += 1
                    ready.unregister(line)
                    line.close()
                    del waiting[line]


def work(path: Path, stop: Any) -> None:
    """One worker, in a process of its own."""
    stopped = threading.Event()
    threading.Thread(target=lambda: (stop.wait(), stopped.set()), daemon=True).start()
    state = State(path)
    Worker(state, Vault([KEY]), POLICY, TERMS).run(stopped)
    state.close()


def deliver(ground: Ground) -> Iterator[Figure]:
    """Deliveries a second to one local receiver by two workers, each signed, logged, and settled."""
    count = min(5_000, 2 * ground.questions)
    path = ground.folder / "deliver.sqlite"
    path.unlink(missing_ok=True)
    state, port = State(path), serving._free_port()
    subscribed(state, f"http://127.0.0.1:{port}/")
    spawn = multiprocessing.get_context("spawn")
    heard, stop = spawn.Value("l", 0), spawn.Event()
    receiver = spawn.Process(target=receive, args=(port, heard), daemon=True)
    workers = [spawn.Process(target=work, args=(path, stop)) for _ in range(WORKERS)]
    for one in (receiver, *workers):
        one.start()
    time.sleep(2)
    state.append([Event(number) for number in range(count)])
    while not heard.value:
        time.sleep(0.001)
    began, first = time.perf_counter(), heard.value
    waiting = select(func.count()).where(DELIVERY.c.state == "accepted")
    done = 0
    while done < count:
        time.sleep(0.02)
        with state.reading() as connection:
            done = connection.execute(waiting).scalar_one()
    taken = time.perf_counter() - began
    stop.set()
    for one in workers:
        one.join()
    receiver.terminate()
    state.close()
    detail = f"{count} deliveries of 200 documents; SQLite; {heard.value} requests"
    yield Figure("deliveries to a local receiver, two workers", (count - first) / taken, AT_LEAST, 500, "/s", detail)


# --- from a commit to its reader -------------------------------------------------------------------------


def visible(ground: Ground) -> Iterator[Figure]:
    """From the acknowledgement of a publish until a reader who waits has the event, told by a process of its own."""
    folder = ground.copied(ground.fewer, "visible")
    archive = Archive(folder)
    tip = archive.tip()
    assert tip
    name = name_of(ground.fewer, 0)
    body = json.loads(archive.index.version_contents(name, tip.position)[-1][1])
    times = []
    with serving.served("-c", serving.SERVE, "serve", "--data", str(folder), "--port", first="/healthz") as server:
        after = _told_all(folder)
        for number in range(max(5, 3 * ground.rounds)):
            reading = _Reading(server.port, after)
            time.sleep(0.3)
            correction = {**body, "note": f"Corrected {number} times."}
            archive.correct(Proposal(correction), ACT, datetime.now(UTC) + timedelta(seconds=number))
            published = time.perf_counter()
            answer, at = reading.result()
            after = answer["next_after"]
            times.append(1000 * (at - published))
    archive.close()
    detail = f"slowest {max(times):.0f} ms of {len(times)}"
    yield Figure("an event visible to a reader who waits", median(times), AT_MOST, 100, "ms", detail)


def _told_all(folder: Path) -> int:
    """The newest position, once everything that was imported has been told."""
    state = State(folder / "state.sqlite")
    archive = Archive(folder)
    newest = archive.tip()
    assert newest
    while (derived := state.derived()) is None or derived.position < newest.position:
        time.sleep(0.05)
    found = state.tip()
    state.close()
    archive.close()
    return found


class _Reading:
    """One reader who waits for the next event."""

    def __init__(self, port: int, after: int) -> None:
        self._told: list[tuple[Any, float]] = []
        self._thread = threading.Thread(target=self._read, args=(port, after))
        self._thread.start()

    def _read(self, port: int, after: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=70)
        connection.request("GET", f"/v1/events?after={after}&wait=60")
        answer = connection.getresponse().read()
        self._told.append((json.loads(answer), time.perf_counter()))
        connection.close()

    def result(self) -> tuple[Any, float]:
        self._thread.join()
        return self._told[0]


# --- a thousand who wait ---------------------------------------------------------------------------------


def waiting(ground: Ground) -> Iterator[Figure]:
    """How long others wait for an answer while a thousand readers ask for events and would wait for half a minute."""
    folder = ground.copied(ground.fewer, "waiting")
    paths = [f"/v1/documents/{name_of(ground.fewer, number % 10)}" for number in range(200)]
    readers = min(READERS, 10 * ground.questions)
    connections = str(READERS + 100)
    words = ("serve", "--data", str(folder), "--deliver", "no", "--connections", connections, "--port")
    with serving.served("-c", serving.SERVE, *words, first="/healthz") as server, ExitStack() as lines:
        alone = _times(server.port, paths)
        question = f"GET /v1/events?wait=30 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
        held = []
        for _ in range(readers):
            line = lines.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            line.sendall(question)
            held.append(line)
        beside = _times(server.port, paths)
        told_off = sum(_told_off(line) for line in held)
    detail = (
        f"median {1000 * median(beside):.1f} ms, alone {1000 * median(alone):.1f} ms; {told_off} were told to come back"
    )
    slow = sorted(beside)[int(0.99 * len(beside))]
    yield Figure(f"an answer beside {readers} readers who wait, 99 of 100", 1000 * slow, AT_MOST, 250, "ms", detail)


def _times(port: int, paths: list[str]) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    taken = []
    for path in paths:
        began = time.perf_counter()
        connection.request("GET", path)
        connection.getresponse().read()
        taken.append(time.perf_counter() - began)
    connection.close()
    return taken


def _told_off(line: socket.socket) -> bool:
    """Whether a reader was answered at once and told when to come back."""
    line.settimeout(0.5 if line.fileno() >= 0 else None)
    try:
        return b"retry-after" in line.recv(4096).lower()
    except TimeoutError:
        return False
