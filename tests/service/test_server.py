"""The service as it is really started: a process, a socket, a signal to stop."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from guidance.archive import Archive

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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    inforce = str(Path(sys.executable).with_name("inforce"))
    words = ["--data", str(corpus.folder), "--port", str(port), "--https", "yes", "--trusted-hosts", "inforce.example"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INFORCE_")}
    written = tmp_path_factory.mktemp("log") / "log"
    with written.open("wb") as log:
        process = subprocess.Popen([inforce, "serve", *words], stderr=log, env=environment)
    started = Running(process, port, written)
    try:
        _wait(started)
        yield started
    finally:
        process.kill()
        process.wait()


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
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(PATIENCE) == 0
    first, *lines = running.log.read_text("utf-8").splitlines()
    assert re.fullmatch(r"serving \S+ on http://127\.0\.0\.1:[0-9]+", first)
    assert {json.loads(line)["message"] for line in lines} == {"request"}
    assert json.loads(lines[-1])["path"] == "/v1/nothing/more"
