"""The application around the routes: headers on every answer, limits, trusted hosts, logs, and readiness."""

from __future__ import annotations

import errno
import io
import json
import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from guidance.archive import Archive
from guidance.errors import NoRegister
from service import answers, logs
from service.app import BODY_LIMIT, QUERY_LIMIT, create_app
from service.config import Config
from tests.service.doors import answer, correct, door, refusal

LEMTRADA = "/v1/documents/ema/lemtrada"
EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ANYTHING = [
    # what, method, address, headers, status
    ("an answer", "GET", LEMTRADA, {}, 200),
    ("an answer that is streamed", "GET", "/v1/rules?on=2019-12-01", {}, 200),
    ("a table", "GET", f"{LEMTRADA}?format=csv", {}, 200),
    ("a head", "HEAD", LEMTRADA, {}, 200),
    ("what is held already", "GET", LEMTRADA, {"If-None-Match": "*"}, 304),
    ("what is held already, of the description", "GET", "/v1/openapi.json", {"If-None-Match": "*"}, 304),
    ("a bad parameter", "GET", "/v1/rules?on=tomorrow", {}, 400),
    ("nothing there", "GET", "/v1/nothing", {}, 404),
    ("nothing there, for people", "GET", "/nothing", {"Accept": "text/html"}, 404),
    ("another method", "POST", "/v1/rules", {}, 405),
    ("what may be done", "OPTIONS", "/v1/rules", {}, 200),
    ("no such format", "GET", LEMTRADA, {"Accept": "image/png"}, 406),
    ("a long query", "GET", f"/v1/rules?on={'9' * 5000}", {}, 413),
    ("the description", "GET", "/v1/openapi.json", {}, 200),
    ("a schema", "GET", "/v1/schemas/version", {}, 200),
    ("health", "GET", "/healthz", {}, 200),
    ("readiness", "GET", "/readyz", {}, 200),
    ("a page", "GET", "/", {}, 200),
    ("a file", "GET", "/static/favicon.svg", {}, 200),
    ("no such file", "GET", "/static/nothing.css", {}, 404),
    ("a file out of reach", "GET", "/static/../app.py", {}, 404),
]


@pytest.fixture(scope="module")
def client(corpus: Archive) -> FlaskClient:
    return door(corpus)


@pytest.fixture
def own(corpus: Archive, tmp_path: Path) -> Archive:
    """The seeded register, for a test that breaks something."""
    return Archive(shutil.copytree(corpus.folder, tmp_path / "own"))


# --- headers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "method", "address", "headers", "status"), ANYTHING, ids=[one[0] for one in ANYTHING])
def test_every_answer_carries_the_headers_that_keep_a_browser_safe(
    client: FlaskClient, what: str, method: str, address: str, headers: dict[str, str], status: int
) -> None:
    for time in ("first", "again, perhaps kept"):
        response = client.open(address, method=method, headers=headers)
        response.close()
        assert response.status_code == status, (what, time)
        assert EVERYWHERE.items() <= dict(response.headers).items()
        policy = dict(
            part.strip().partition(" ")[::2] for part in response.headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in response.headers["Content-Security-Policy"]
        assert "Strict-Transport-Security" not in response.headers
        assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(("what", "method", "address", "headers", "status"), ANYTHING, ids=[one[0] for one in ANYTHING])
def test_a_service_behind_tls_says_so_on_every_answer(
    corpus: Archive, what: str, method: str, address: str, headers: dict[str, str], status: int
) -> None:
    response = door(corpus, https=True).open(address, method=method, headers=headers)
    response.close()
    assert (response.status_code, what) == (status, what)
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


def test_a_refusal_is_never_kept_by_anybody(client: FlaskClient) -> None:
    for address in ("/v1/rules?on=tomorrow", "/v1/documents/ema/nothing", "/v1/nothing"):
        assert client.get(address).headers["Cache-Control"] == "no-store"


# --- limits ----------------------------------------------------------------------------------------------


def test_a_body_over_the_limit_is_refused_unread(client: FlaskClient) -> None:
    for method in ("GET", "POST"):
        response = client.open("/v1/rules", method=method, data=b"x" * (BODY_LIMIT + 1))
        told = refusal(response, 413, "too-large")
        assert told["detail"] == f"the body is {BODY_LIMIT + 1} bytes long; the limit is {BODY_LIMIT}"
    assert client.get("/v1/documents", data=b"x" * BODY_LIMIT).status_code == 200


def test_a_query_over_the_limit_is_refused(client: FlaskClient) -> None:
    told = refusal(client.get("/v1/rules?at=" + "a" * QUERY_LIMIT), 413, "too-large")
    assert told["detail"] == f"the query is over {QUERY_LIMIT} bytes long"
    refusal(client.get("/v1/rules?at=" + "a" * (QUERY_LIMIT - 3)), 400, "bad-parameter")


@pytest.mark.parametrize(
    "host", ["evil.example", "inforce.example.evil.example", "", "inforce.example@evil", "[::1]", "a b"]
)
@pytest.mark.parametrize("address", ["/v1/rules", LEMTRADA, "/", "/v1/nothing", "/healthz/"])
def test_only_the_hosts_that_are_trusted_are_answered(corpus: Archive, host: str, address: str) -> None:
    client = door(corpus, trusted_hosts=("inforce.example", "localhost"))
    for named in ("inforce.example", "inforce.example:8000", "localhost"):
        assert client.get(address, headers={"Host": named}).status_code in (200, 404)
    response = client.get(address, headers={"Host": host})
    assert response.status_code == 400
    assert EVERYWHERE.items() <= dict(response.headers).items()
    if address != "/":
        refusal(response, 400, "bad-request")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "10.0.0.7:8000", "[::1]:8000", "inforce-0.internal", "inforce.example"]
)
@pytest.mark.parametrize("address", ["/healthz", "/readyz", "/metrics"])
def test_a_probe_is_answered_under_whatever_name_it_found_the_service(corpus: Archive, host: str, address: str) -> None:
    client = door(corpus, trusted_hosts=("inforce.example",))
    assert client.get(address, headers={"Host": host}).status_code == 200


def test_an_answer_kept_for_one_host_is_not_given_to_another(corpus: Archive) -> None:
    client = door(corpus, trusted_hosts=("inforce.example",))
    for _ in range(2):
        assert client.get(LEMTRADA, headers={"Host": "inforce.example"}).status_code == 200
        assert client.get(LEMTRADA, headers={"Host": "evil.example"}).status_code == 400


# --- what must not happen --------------------------------------------------------------------------------


def test_an_index_that_breaks_under_our_feet_is_made_again(
    corpus: Archive, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that returns other bytes than it was given: one question fails, and says that the next one will not."""
    archive = Archive(Path(shutil.copytree(corpus.folder, tmp_path / "data")))
    client = door(archive, cache_bytes=0)
    whole = client.get(LEMTRADA).data
    archive.index.sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    archive.index.sql.execute("PRAGMA cache_size=0")
    with archive.index.path.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(b"\xa5" * (archive.index.path.stat().st_size - 2 * 4096))
    archive.index._spoken = {}
    archive.index.sql.execute("PRAGMA shrink_memory")
    refused = client.get(LEMTRADA)
    refusal(refused, 503, "store-unreadable")
    assert [line.getMessage() for line in caplog.records if line.levelno == logging.ERROR] == ["the index"]
    assert client.get(LEMTRADA).data == whole
    assert client.get("/readyz").status_code == 200
    archive.close()


HOSTILE = [
    "/v1/documents/..%2f..%2fetc%2fpasswd",
    "/v1/documents/%2e%2e/%2e%2e",
    "/v1/documents/ema/%00",
    "/v1/documents/ema/%ff%fe",
    "/v1/documents/ema/lemtrada%0d%0aSet-Cookie:x",
    "/v1/documents/ema/--output=x",
    "/v1/documents/ema/" + "a" * 3000,
    "/v1/schemas/..%2f..%2fpyproject.toml",
    "/v1/schemas/%2e%2e",
    "/v1/schemas/examples",
    "/v1/rules?at=%ff%fe",
    "/v1/rules?at=HEAD~1",
    "/v1/rules?at=refs/heads/main",
    "/v1/rules?at=%0aX",
    "/v1/rules?%00=1",
    "/v1/rules?medicine=%27%20OR%201=1--",
    "/v1/rules?=1",
    "/v1/rules?on",
    "/v1/rules?&&",
    "/v1/rules?%F0%9F%92%8A=1",
    "/v1/rules?on=2020-01-16%27",
    "/v1//rules",
    "//v1/rules",
    "/%",
    "/v1/documents/ema/lemtrada/versions/99999999999999999999",
    "/v1/documents/ema/lemtrada/history?before=99999999999999999999",
    "/v1/documents/ema/lemtrada/diff?from=@99999999999999999999&to=@1",
    "/static/%2e%2e/config.py",
    "/static/..%2fconfig.py",
    "/problems/../../etc/passwd",
]


@pytest.mark.parametrize("address", HOSTILE)
def test_a_hostile_address_is_refused_and_never_a_failure(client: FlaskClient, address: str) -> None:
    response = client.get(address)
    assert response.status_code in (200, 308, 400, 404)
    if response.status_code == 200:
        assert address == "/v1/rules?&&"
    assert "Set-Cookie" not in response.headers
    if response.mimetype == "application/problem+json":
        assert json.loads(response.data)["type"].startswith("/problems/")


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "\xff/\xff"},
        {"Accept": "a" * 10000},
        {"Accept": ";q=x,,/"},
        {"If-None-Match": '"'},
        {"If-None-Match": "W/"},
        {"If-Modified-Since": "yesterday"},
        {"Range": "bytes=0-10"},
        {"Range": "bytes=9-1"},
        {"Content-Length": "x"},
        {"Content-Length": "-5"},
        {"Content-Type": "application/json; charset=nothing"},
        {"X-Forwarded-Host": "evil.example"},
        {"Cookie": "session=\x01"},
    ],
)
def test_a_hostile_header_is_no_failure_either(client: FlaskClient, headers: dict[str, str]) -> None:
    for address in (LEMTRADA, "/v1/rules?medicine=alemtuzumab", "/v1/openapi.json"):
        response = client.get(address, headers=headers)
        assert response.status_code in (200, 400, 406)


def test_what_we_did_not_expect_is_logged_and_told_without_its_inside(
    corpus: Archive, monkeypatch: pytest.MonkeyPatch, lines: Any
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("the inside of a secret")

    monkeypatch.setattr(answers, "versions", fails)
    logs.start("info")
    told = refusal(door(corpus).get(f"{LEMTRADA}/versions"), 500, "internal-error")
    assert told["detail"] == "Something failed here; it has been logged"
    failure = next(line for line in lines() if line["level"] == "error")
    assert "the inside of a secret" in failure["traceback"]
    assert failure["path"] == f"{LEMTRADA}/versions"


@pytest.mark.parametrize(
    "address",
    [
        "/v1/documents/mhra/valproate?at=2019-11-05",
        "/v1/rules?medicine=isotretinoin&at=2019-11-05",
        "/v1/documents/ema/lemtrada/versions/3?at=2019-04-30",
    ],
)
def test_what_was_not_known_yet_is_not_told_as_if_it_were_not_there(replayed: Archive, address: str) -> None:
    client = door(replayed)
    at = address.partition("at=")[2]
    told = client.get(address).json or {}
    assert (told["status"], told["detail"][-50:]) == (404, f", as of {at}; it may have been recorded since"[-50:])
    assert f"as of {at}" not in (client.get(address.replace(at, "2026-02-02")).json or {}).get("detail", "")


# --- logs ------------------------------------------------------------------------------------------------


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[Any]]]:
    """The log so far, each line read as JSON; for a test that starts it."""
    for flag in ("logThreads", "logProcesses", "logMultiprocessing"):
        monkeypatch.setattr(logging, flag, getattr(logging, flag))

    def written() -> list[Any]:
        for handler in logs.LOG.handlers:
            handler.write_gathered()  # type: ignore[attr-defined]
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    yield written
    logs.LOG.handlers = []
    logs.LOG.propagate = True
    logs.LOG.setLevel(logging.NOTSET)


def test_the_log_is_json_and_never_says_what_was_asked_about(corpus: Archive, lines: Callable[[], list[Any]]) -> None:
    logs.start("info")
    client = door(corpus)
    secret = {"Authorization": "Bearer secret", "Cookie": "secret=1", "Referer": "https://secret.example/"}
    for address in (
        "/v1/rules?medicine=alemtuzumab",
        "/v1/rules?medicine=secret-thing",
        "/v1/rules?on=secret",
        LEMTRADA,
    ):
        for _ in range(2):
            client.get(address, headers=secret)
    found = lines()
    assert [(line["path"], line["status"], line["kept"]) for line in found] == [
        ("/v1/rules", 200, False),
        ("/v1/rules", 200, True),
        ("/v1/rules", 404, False),
        ("/v1/rules", 404, False),
        ("/v1/rules", 400, False),
        ("/v1/rules", 400, False),
        (LEMTRADA, 200, False),
        (LEMTRADA, 200, True),
    ]
    for line in found:
        assert (line["level"], line["message"], line["method"]) == ("info", "request", "GET")
        assert datetime.fromisoformat(line["time"]).tzinfo is not None
        assert line["kept"] or line["milliseconds"] >= 0
        assert not any(word in json.dumps(line) for word in ("secret", "alemtuzumab", "?"))


def test_a_line_of_the_log_stays_one_line_whatever_is_asked(corpus: Archive, lines: Callable[[], list[Any]]) -> None:
    logs.start("info")
    door(corpus).get('/v1/documents/ema/x%0a{"level":"error"}')
    assert [line["status"] for line in lines()] == [400]


class Full(io.StringIO):
    """A log without any room left."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_no_answer_fails_because_its_line_cannot_be_written(
    corpus: Archive, lines: Callable[[], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    logs.start("info")
    client = door(corpus)
    assert [client.get(address).status_code for address in (LEMTRADA, LEMTRADA, "/v1/nothing")] == [200, 200, 404]


def test_a_quieter_log_says_nothing_of_requests(corpus: Archive, lines: Callable[[], list[Any]]) -> None:
    logs.start("warning")
    door(corpus).get(LEMTRADA)
    assert lines() == []


# --- readiness -------------------------------------------------------------------------------------------


def test_a_register_that_is_whole_is_ready_and_says_where_it_stands(client: FlaskClient, corpus: Archive) -> None:
    tip = corpus.tip()
    assert tip is not None
    told = answer(client, "/readyz", "readiness")
    assert told["revision"] == tip.id
    assert client.get("/readyz").headers["Cache-Control"] == "no-store"


def test_an_empty_register_is_ready_and_stands_nowhere(archive: Archive) -> None:
    assert answer(door(archive), "/readyz", "readiness")["revision"] is None
    assert answer(door(archive), "/v1/rules", "rules-answer")["documents"] == []
    refusal(door(archive).get(LEMTRADA), 404, "unknown-document")


@pytest.mark.parametrize(
    "broken",
    ["register.git", "register.git/objects", "register.git/HEAD", "register.git/refs"],
)
def test_a_broken_store_is_not_ready_while_the_process_stays_alive(own: Archive, broken: str) -> None:
    client = door(own)
    assert client.get("/readyz").status_code == 200
    (own.folder / broken).rename(own.folder / "away")
    response = client.get("/readyz")
    told = json.loads(response.data)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert told["type"] in ("/problems/store-unreadable", "/problems/store-error", "/problems/no-register")
    assert answer(client, "/healthz", "health") == {"status": "alive"}
    (own.folder / "away").rename(own.folder / broken)
    assert client.get("/readyz").status_code == 200
    assert answer(client, LEMTRADA)["version"]["number"] == 3


@pytest.mark.parametrize("content", [None, b"", b"\0" * 41, b"0" * 40 + b"\n", b"not a revision\n"])
def test_a_lost_or_torn_branch_is_a_broken_store_and_not_an_empty_register(own: Archive, content: bytes | None) -> None:
    client = door(own)
    whole = answer(client, LEMTRADA)
    reference = own.folder / "register.git" / "refs" / "heads" / "main"
    sound = reference.read_bytes()
    if content is None:
        reference.unlink()
    else:
        reference.write_bytes(content)
    assert client.get("/readyz").status_code == 503
    for address in (LEMTRADA, "/v1/rules?medicine=alemtuzumab", "/v1/documents"):
        assert client.get(address).status_code == 503
    reference.write_bytes(sound)
    assert client.get("/readyz").status_code == 200
    assert answer(client, LEMTRADA) == whole


def test_an_index_that_was_thrown_away_is_made_again_without_a_failed_answer(own: Archive) -> None:
    client = door(own, cache_bytes=0)
    whole = answer(client, LEMTRADA)
    for file in own.folder.glob("index.sqlite*"):
        file.unlink()
    assert answer(client, LEMTRADA) == whole
    assert client.get("/readyz").status_code == 200


def test_what_another_process_recorded_is_seen_by_the_next_request(own: Archive) -> None:
    client = door(own)
    before = answer(client, LEMTRADA)
    other = Archive(own.folder)
    correct(other, "ema/lemtrada", 3, title="Read again")
    told = answer(client, LEMTRADA)
    assert told["version"]["title"] == "Read again"
    assert told["revision"]["position"] == before["revision"]["position"] + 1


def test_there_is_no_application_without_a_register(tmp_path: Path) -> None:
    with pytest.raises(NoRegister, match="make one with 'inforce init'"):
        create_app(Config(data=tmp_path / "nowhere"))
