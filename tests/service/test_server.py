"""The service as it is really started: a process, a socket, a signal to stop."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from guidance.archive import Archive
from service.config import Config
from service.server import check_place

LEMTRADA = "/v1/documents/ema/lemtrada?on=2020-01-15"
PATIENCE = 120.0
"""Seconds that a busy machine may take to start."""


class Running(NamedTuple):
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(self, address: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, address, headers={"Host": "inforce.example", **headers})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def running(corpus: Archive, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`inforce serve`, ready to answer; its log lies in a file."""
    with serving(
        corpus.folder, tmp_path_factory.mktemp("log") / "log", "--trusted-hosts", "inforce.example"
    ) as started:
        yield started


@contextmanager
def serving(data: Path, written: Path, *more: str) -> Iterator[Running]:
    port = free_port()
    inforce = str(Path(sys.executable).with_name("inforce"))
    words = ["--data", str(data), "--port", str(port), "--https", "yes", *more]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INFORCE_")}
    with written.open("wb") as log:
        process = subprocess.Popen([inforce, "serve", *words], stderr=log, env=environment)
    started = Running(process, port, written)
    try:
        _wait(started)
        yield started
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def until(holds: Callable[[], bool]) -> bool:
    """Whether it holds before patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def _wait(started: Running) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and started.process.poll() is None:
        try:
            if started.ask("/readyz")[0] == 200:
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail("the service did not become ready")


def test_it_answers_over_a_socket_as_it_does_in_a_test(running: Running) -> None:
    status, headers, body = running.ask(LEMTRADA)
    assert (status, json.loads(body)["version"]["number"]) == (200, 2)
    assert headers["content-type"] == "application/json"
    assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert headers["x-content-type-options"] == "nosniff"
    status, again, body = running.ask(LEMTRADA, **{"If-None-Match": headers["etag"]})
    assert (status, body, again["etag"]) == (304, b"", headers["etag"])
    status, _, body = running.ask("/v1/rules?on=2019-12-01")
    assert (status, json.loads(body)["on"]) == (200, "2019-12-01")


def test_one_connection_serves_many_questions_and_a_head_leaves_nothing_behind(running: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    try:
        for method in ("HEAD", "GET", "HEAD", "GET"):
            connection.request(method, LEMTRADA, headers={"Host": "inforce.example"})
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200
            assert bool(body) == (method == "GET")
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("/v1/rules?on=tomorrow", {}, 400),
        ("/v1/nothing", {}, 404),
        (LEMTRADA, {"Host": "evil.example"}, 400),
        (LEMTRADA, {"Accept": "image/png"}, 406),
        ("/v1/rules?at=" + "a" * 5000, {}, 413),
    ],
)
def test_it_refuses_over_a_socket_too(running: Running, address: str, headers: dict[str, Any], status: int) -> None:
    found, told, body = running.ask(address, **headers)
    assert (found, json.loads(body)["status"]) == (status, status)
    assert told["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /v1/rules HTTP/1.1\r\nHost: inforce.example\r\nContent-Length: 99999999\r\n\r\n",
        b"GET /v1/rules HTTP/1.1\r\n" + b"X-Long: " + b"x" * 200_000 + b"\r\n\r\n",
        b"\x00\x01\x02 not http at all\r\n\r\n",
        b"GET /v1/rules HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ],
    ids=["a body that never comes", "an endless header", "no HTTP", "two hosts"],
)
def test_what_is_no_request_is_refused_and_the_next_one_answered(running: Running, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as connection:
        try:
            connection.sendall(sent)
            answered = connection.recv(200)
        except OSError:
            answered = b""
    assert answered == b"" or answered.split()[1] in (b"400", b"413", b"431")
    assert running.ask(LEMTRADA)[0] == 200


def test_the_health_check_of_the_image_holds_for_a_service_that_trusts_its_public_name_only(running: Running) -> None:
    dockerfile = (Path(__file__).parents[2] / "Dockerfile").read_text("utf-8")
    (command,) = re.findall(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", dockerfile, re.MULTILINE)
    words = [sys.executable, *json.loads(command)[1:]]
    elsewhere = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    for port, status in ((running.port, 0), (9, 1)):
        environment = {**os.environ, **elsewhere, "INFORCE_PORT": str(port)}
        assert subprocess.run(words, env=environment, capture_output=True, check=False).returncode == status


def test_many_idle_connections_keep_nobody_waiting(running: Running) -> None:
    idle = [socket.create_connection(("127.0.0.1", running.port), timeout=30) for _ in range(100)]
    try:
        for connection in idle:
            connection.sendall(b"GET /v1/rules HTTP/1.1\r\nX-Slow: ")
        assert running.ask("/healthz")[0] == 200
        assert running.ask(LEMTRADA)[0] == 200
    finally:
        for connection in idle:
            connection.close()


def test_a_port_that_another_listens_on_is_refused_before_anything_is_started(running: Running, tmp_path: Path) -> None:
    refused = _serve(tmp_path, "--port", str(running.port))
    assert refused.returncode == 2
    assert f"'{running.port}' is in use on 127.0.0.1" in refused.stderr
    assert running.ask("/readyz")[0] == 200


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_a_host_that_is_not_ours_is_refused(tmp_path: Path, host: str) -> None:
    refused = _serve(tmp_path, "--host", host)
    assert refused.returncode == 2
    assert f"'{host}' cannot be listened on" in refused.stderr
    assert not list(tmp_path.iterdir())


def _serve(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    inforce = str(Path(sys.executable).with_name("inforce"))
    command = [inforce, "serve", "--seed", "--data", str(folder / "data"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_it_stops_when_it_is_told_to(running: Running) -> None:
    running.ask("/v1/nothing/more")
    assert until(lambda: json.loads(running.ask("/v1/events")[2])["tip"] > 0)
    tip = json.loads(running.ask("/v1/events")[2])["tip"]
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(running.ask, f"/v1/events?after={tip}&wait=60")
        time.sleep(1)
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE) == 0
        assert time.monotonic() - began < 9, "whoever waits for events held the service up"
        assert (waiting.result()[0], json.loads(waiting.result()[2])["next_after"]) == (200, tip)
    first, *lines = running.log.read_text("utf-8").splitlines()
    assert re.fullmatch(r"serving \S+ on http://127\.0\.0\.1:[0-9]+", first)
    assert {json.loads(line)["message"] for line in lines} == {"request"}
    assert "/v1/nothing/more" in [json.loads(line)["path"] for line in lines]


@pytest.fixture
def data(corpus: Archive, tmp_path: Path) -> Path:
    kept = shutil.ignore_patterns("state.sqlite*", "secret.key")
    return Path(shutil.copytree(corpus.folder, tmp_path / "data", ignore=kept))


def test_what_is_killed_is_started_anew_and_the_log_says_so(data: Path, tmp_path: Path) -> None:
    with serving(data, tmp_path / "log") as started:
        teller, worker = children(started)
        os.kill(teller, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        assert until(lambda: len(set(children(started)) - {teller, worker}) == 2)
        _wait(started)
        _, *lines = started.log.read_text("utf-8").splitlines()
        told = [json.loads(line) for line in lines if json.loads(line)["level"] == "error"]
    assert {line["message"]: line.get("exit") for line in told} == {
        "the teller ended; starting it anew": -signal.SIGKILL,
        "Unexpected exit from worker-1": None,
    }


TWICE = """
import os, signal, time
from service import app
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: None)
app._until_told(os.getppid(), lambda: print("told", flush=True))
for number in (signal.SIGINT, signal.SIGTERM):
    os.kill(os.getpid(), number)
    time.sleep(0.5)
"""


def test_a_worker_that_is_told_to_end_twice_takes_it_as_quietly_as_once() -> None:
    """Ctrl-C goes to every process, and the service then tells its own once more."""
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "told\ntold\n", "")


def test_workers_go_with_their_service(data: Path, tmp_path: Path) -> None:
    with serving(data, tmp_path / "log") as started:
        left = children(started)
        started.process.kill()
        assert until(lambda: not any(Path(f"/proc/{one}").exists() for one in left))


def test_workers_that_cannot_start_end_the_service_and_the_log_says_why(data: Path, tmp_path: Path) -> None:
    with serving(data, tmp_path / "log") as started:
        _, worker = children(started)
        (data / "register.git").rename(data / "elsewhere")
        os.kill(worker, signal.SIGKILL)
        assert started.process.wait(PATIENCE) == 70
        lines = started.log.read_text("utf-8").splitlines()
    assert lines[-1] == "inforce: workers end as soon as they are started; the log says why"
    told = [json.loads(line) for line in lines[1:-1]]
    assert any("there is no register in" in line.get("traceback", "") for line in told)


def children(started: Running) -> list[int]:
    """The teller, then the worker, while the first of each live."""
    tasks = Path(f"/proc/{started.process.pid}/task").iterdir()  # each thread has the processes that it started
    return [int(one) for task in sorted(tasks) for one in (task / "children").read_text("ascii").split()]


def test_a_name_to_listen_on_is_one_of_its_addresses() -> None:
    assert check_place(Config(host="localhost", port=free_port())) in ("127.0.0.1", "::1")
    assert check_place(Config(host="127.0.0.1", port=free_port())) == "127.0.0.1"
