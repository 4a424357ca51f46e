"""Answers kept ready, and the plain question answered in front of the routes: the same to the byte, and never late."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from guidance.archive import Archive, Proposal
from guidance.errors import StoreUnreadable
from guidance.store import Act
from service import answers
from service.app import SWITCH
from service.cache import KEPT, LARGEST, Cache, Keep
from service.front import Front
from service.metrics import Timed
from tests.service.doors import NOW, Hands, answer, correct, door

LEMTRADA = "/v1/documents/ema/lemtrada"


@pytest.fixture
def own(corpus: Archive, tmp_path: Path) -> Archive:
    """The seeded register, for a test that records something."""
    return Archive(shutil.copytree(corpus.folder, tmp_path / "own"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was really answered, and not repeated from the cache."""
    found: list[str] = []

    def counting(name: str) -> None:
        true = getattr(answers, name)

        def counted(*given: Any, **more: Any) -> Any:
            found.append(name)
            return true(*given, **more)

        monkeypatch.setattr(answers, name, counted)

    for name in ("document", "rules", "documents", "versions", "version", "history", "medicines", "medicine"):
        counting(name)
    return found


def cache_of(client: FlaskClient) -> Cache:
    timed = client.application.wsgi_app
    assert isinstance(timed, Timed)
    assert isinstance(timed.inner, Cache)
    return timed.inner


def same(one: TestResponse, other: TestResponse) -> bool:
    return (one.status, one.data, sorted(one.headers)) == (other.status, other.data, sorted(other.headers))


# --- repeated --------------------------------------------------------------------------------------------

KEPT_ADDRESSES = [
    LEMTRADA,
    f"{LEMTRADA}?on=2020-01-15",
    f"{LEMTRADA}?format=csv",
    f"{LEMTRADA}/versions",
    f"{LEMTRADA}/versions/3",
    f"{LEMTRADA}/history",
    "/v1/rules?medicine=alemtuzumab",
    "/v1/documents",
    "/v1/medicines",
    "/v1/medicines/alemtuzumab",
]


@pytest.mark.parametrize("address", KEPT_ADDRESSES)
def test_the_same_question_is_answered_from_the_cache_to_the_byte(
    corpus: Archive, asked: list[str], address: str
) -> None:
    client = door(corpus)
    first = client.get(address)
    assert len(asked) == 1
    for _ in range(3):
        assert same(client.get(address), first)
    assert len(asked) == 1


def test_what_is_held_already_is_repeated_as_such(corpus: Archive, asked: list[str]) -> None:
    client = door(corpus)
    tag = client.get(LEMTRADA).headers["ETag"]
    first = client.get(LEMTRADA, headers={"If-None-Match": tag})
    again = client.get(LEMTRADA, headers={"If-None-Match": tag})
    assert first.status_code == again.status_code == 304
    assert same(first, again)
    assert len(asked) == 2


def test_another_question_is_another_answer(corpus: Archive, asked: list[str]) -> None:
    client = door(corpus)
    told = [
        client.get(LEMTRADA),
        client.get(f"{LEMTRADA}?on=2020-01-15"),
        client.get(f"{LEMTRADA}?on=2020-01-15&jurisdiction=UK"),
        client.get(LEMTRADA, headers={"Accept": "text/csv"}),
    ]
    assert len({response.data for response in told}) == len(told) == len(asked)


def test_a_cache_of_no_size_keeps_nothing(corpus: Archive, asked: list[str]) -> None:
    client = door(corpus, cache_bytes=0)
    assert same(client.get(LEMTRADA), client.get(LEMTRADA))
    assert len(asked) == 2


def test_head_and_other_methods_are_not_answered_from_the_cache(corpus: Archive) -> None:
    client = door(corpus)
    body = client.get(LEMTRADA).data
    assert client.head(LEMTRADA).data == b""
    assert client.post(LEMTRADA).status_code == 405
    assert client.get(LEMTRADA).data == body


@pytest.mark.parametrize(
    "address",
    [
        "/v1/rules",
        "/v1/rules?on=2019-12-01",
        "/healthz",
        "/readyz",
        "/v1/rules?on=x",
        "/v1/documents/ema/nothing",
        "/v1/x",
    ],
)
def test_what_may_not_be_kept_is_not(corpus: Archive, address: str) -> None:
    client = door(corpus)
    for _ in range(2):
        client.get(address).close()
    assert cache_of(client).held == {}


# --- never late ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", KEPT_ADDRESSES)
def test_nothing_is_repeated_across_a_revision(own: Archive, address: str) -> None:
    client = door(own)
    before = client.get(address)
    assert same(client.get(address), before)
    correct(own, "ema/lemtrada", 1, note="Read again.")
    after = client.get(address)
    assert after.headers["ETag"] != before.headers["ETag"]
    assert same(after, door(own, cache_bytes=0).get(address))


@pytest.mark.parametrize("at", ["2010-01-01", "2026-02-01", "TIP"])
def test_what_is_found_now_is_never_told_to_be_what_was_found_before(own: Archive, at: str) -> None:
    """Words are looked for as recorded now, whatever moment the page looks from."""
    tip = own.tip()
    assert tip is not None
    client = door(own)
    address = f"/search?q=zebra&at={at.replace('TIP', tip.id)}"
    before = client.get(address)
    assert before.headers["Cache-Control"] == "public, no-cache"
    assert "Nothing here holds" in before.get_data(as_text=True)
    assert client.get(address, headers={"If-None-Match": before.headers["ETag"]}).status_code == 304
    correct(own, "ema/lemtrada", 1, title="Of the zebra")
    after = client.get(address, headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert "Nothing here holds" not in after.get_data(as_text=True)


@pytest.mark.parametrize("door_of", ["/v1/documents", "/documents"])
def test_what_came_later_is_told_of_before_the_first_revision_and_told_anew(own: Archive, door_of: str) -> None:
    client = door(own)
    address = f"{door_of}/mhra/isotretinoin?at=2010-01-01"
    before = client.get(address)
    tip = own.tip()
    assert tip is not None
    body = json.loads(own.index.document_row("mhra/isotretinoin", tip.position)[0])
    act = Act("correct", "Ada Pharmacist <ada@example.org>", "it speaks of Great Britain first")
    own.publish([Proposal({**body, "jurisdictions": ["GB", "UK"]})], act, NOW)
    after = client.get(address, headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200


@pytest.mark.parametrize(
    ("place", "midnight"),
    [
        ("EU", datetime(2026, 1, 15, 23, tzinfo=UTC)),
        ("UK", datetime(2026, 1, 16, 0, tzinfo=UTC)),
        ("FI", datetime(2026, 1, 15, 22, tzinfo=UTC)),
        ("IS", datetime(2026, 1, 16, 0, tzinfo=UTC)),
        ("CH", datetime(2026, 1, 15, 23, tzinfo=UTC)),
    ],
)
def test_nothing_about_today_is_repeated_across_midnight_there(
    corpus: Archive, asked: list[str], place: str, midnight: datetime
) -> None:
    clock = Hands(midnight)
    clock.turn(hours=-2)
    client = door(corpus, clock)
    addresses = [f"{a}?jurisdiction={place}" for a in (LEMTRADA, "/v1/medicines/alemtuzumab")]
    addresses.append(f"/v1/rules?jurisdiction={place}&medicine=alemtuzumab")
    for turn, day in (({}, "2026-01-15"), ({"seconds": 7199}, "2026-01-15"), ({"seconds": 1}, "2026-01-16")):
        clock.turn(**turn)
        assert [answer(client, address)["on"] for address in addresses] == [day] * 3
    assert len(asked) == 6


@pytest.mark.parametrize("door_of", ["/v1/documents", "/documents"])
def test_what_is_repeated_counts_its_seconds_from_now(corpus: Archive, door_of: str) -> None:
    clock = Hands()
    client = door(corpus, clock)
    tip = corpus.tip()
    assert tip is not None
    address = f"{door_of}/ema/lemtrada?at={tip.id}"
    first = client.get(address)
    tag = {"If-None-Match": first.headers["ETag"]}
    for headers in ({}, tag):
        client.get(address, headers=headers)
    for hours in (0, 3, 7):  # it is noon in UTC, and one o'clock where the answer is for
        clock.turn(hours=hours)
        left = int((datetime(2026, 2, 2, 23, tzinfo=UTC) - clock()).total_seconds())
        for headers, status in (({}, 200), (tag, 304)):
            again = client.get(address, headers=headers)
            assert (again.status_code, again.headers["Cache-Control"]) == (status, f"public, max-age={left}")
    assert len(cache_of(client).held) == 2


def test_nothing_about_tomorrow_is_repeated_when_the_clock_is_set_back(corpus: Archive) -> None:
    clock = Hands()
    client = door(corpus, clock)
    days = []
    for back in (-24, 24, -24):
        clock.turn(hours=-back)
        days.append(answer(client, LEMTRADA)["on"])
    assert days == ["2026-02-03", "2026-02-02", "2026-02-03"]


def test_an_answer_about_a_day_outlasts_midnight(corpus: Archive, asked: list[str]) -> None:
    clock = Hands()
    client = door(corpus, clock)
    first = client.get(f"{LEMTRADA}?on=2020-01-15")
    clock.turn(days=400)
    assert same(client.get(f"{LEMTRADA}?on=2020-01-15"), first)
    assert len(asked) == 1


def test_what_is_recorded_while_an_answer_is_made_is_not_hidden_by_it(
    own: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = door(own)
    true = answers.versions

    def late(register: answers.Register, name: str) -> Any:
        told = true(register, name)
        correct(own, "ema/lemtrada", 1, title="Recorded meanwhile")
        return told

    monkeypatch.setattr(answers, "versions", late)
    assert answer(client, f"{LEMTRADA}/versions")["versions"][0]["title"] != "Recorded meanwhile"
    monkeypatch.setattr(answers, "versions", true)
    assert answer(client, f"{LEMTRADA}/versions")["versions"][0]["title"] == "Recorded meanwhile"


def test_a_failure_is_not_kept_though_the_answer_might_have_been(
    corpus: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = door(corpus)
    true = answers.rules

    def failing(_: answers.Register) -> Iterator[bytes]:
        raise StoreUnreadable("somewhere", "the disk is away")
        yield b""

    monkeypatch.setattr(answers, "rules", failing)
    address = "/v1/rules?medicine=alemtuzumab&format=csv"
    assert client.get(address).status_code == 503
    monkeypatch.setattr(answers, "rules", true)
    assert client.get(address).status_code == 200


# --- bounded ---------------------------------------------------------------------------------------------


def size_of(cache: Cache) -> int:
    """What the cache holds, reckoned anew."""
    return sum(len(kept.body) + sum(len(part or "") for part in key) for key, kept in cache.held.items())


def test_the_cache_stays_within_its_size_and_forgets_the_oldest_first(corpus: Archive) -> None:
    client = door(corpus, cache_bytes=100_000)
    cache = cache_of(client)
    for day in range(1, 29):
        for _ in range(2):
            client.get(f"{LEMTRADA}?on=2020-02-{day:02d}")
            assert size_of(cache) < cache.bytes <= 100_000
    days = [key[3] for key in cache.held]
    assert days == [f"on=2020-02-{day:02d}" for day in range(29 - len(days), 29)]
    assert 1 < len(days) < 28


def test_what_is_asked_once_drives_out_nothing_that_is_asked_often(corpus: Archive) -> None:
    client = door(corpus, cache_bytes=100_000)
    cache = cache_of(client)
    for day in range(1, 29):
        client.get(f"{LEMTRADA}?on=2020-02-{day:02d}")
    held = [key[3] for key in cache.held]
    assert cache.full
    assert held[-1] != "on=2020-02-28"  # there was no room for it
    for _ in range(2):
        client.get(f"{LEMTRADA}?on=2020-02-28")
    assert [key[3] for key in cache.held][-1] == "on=2020-02-28"


@pytest.mark.parametrize("header", ["Accept", "If-None-Match"])
def test_a_long_question_counts_for_what_it_is(corpus: Archive, header: str) -> None:
    client = door(corpus, cache_bytes=200_000)
    cache = cache_of(client)
    tag = client.get(LEMTRADA).headers["ETag"]
    lead = {"Accept": "application/json, ", "If-None-Match": f"{tag}, "}[header]
    for number in range(20):
        client.get(LEMTRADA, headers={header: lead + f'"{number}"' + "x" * 50_000})
        assert size_of(cache) < cache.bytes <= 200_000


def plain(body: bytes, keep: Keep) -> Callable[..., Any]:
    """An application that answers anything with the same bytes, and lets them be kept."""

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        environ[KEPT] = keep
        start("200 OK", [])
        return [body]

    return application


def test_an_answer_that_is_very_large_is_sent_and_not_kept() -> None:
    for length, kept in ((LARGEST, 1), (LARGEST + 1, 0)):
        cache = Cache(plain(b"x" * length, Keep((0, 0), None)), lambda: (0, 0), Hands(), 10**9, lambda *_: None)
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
        assert b"".join(cache(environ, lambda *_: None)) == b"x" * length
        assert len(cache.held) == kept


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns as they do in a worker."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("switching")
def test_many_threads_are_answered_right_while_the_register_moves_on(own: Archive) -> None:
    client = door(own, cache_bytes=60_000)
    began = threading.Barrier(5)
    wrong: list[str] = []
    done = threading.Event()

    def ask() -> None:
        mine = client.application.test_client()
        began.wait(60)
        newest = 0
        while not done.is_set():
            for day in ("2013-09-11", "2014-01-01", "2019-12-01", "2020-02-01"):
                told = answer(mine, f"{LEMTRADA}?on={day}")
                number = told["version"]["number"] if told["version"] else 0
                position = told["revision"]["position"]
                if number != {"2013-09-11": 0, "2014-01-01": 1, "2019-12-01": 2, "2020-02-01": 3}[day]:
                    wrong.append(f"{day}: version {number}")
                if position < newest:
                    wrong.append(f"{day}: went back to {position}")
                newest = max(newest, position)
                if number == 1 and position > first and told["version"]["note"] != f"{position}":
                    wrong.append(f"{day}: the note of another revision than {position}")

    tip = own.tip()
    assert tip is not None
    first = tip.position
    threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    began.wait(60)
    try:
        for number in range(first + 1, first + 9):
            correct(own, "ema/lemtrada", 1, note=f"{number}")
            assert answer(client, f"{LEMTRADA}?on=2014-01-01")["version"]["note"] == f"{number}"
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    assert wrong == []
    assert cache_of(client).bytes <= 60_000


# --- in front of the routes ------------------------------------------------------------------------------

TIP = "TIP"
PLAINLY = [
    "",
    "?on=2020-01-15",
    "?on=2013-09-11",
    "?on=0001-01-01",
    "?on=9999-12-31",
    "?jurisdiction=UK",
    "?jurisdiction=GB&on=2019-12-01",
    "?jurisdiction=CH",
    "?at=2019-11-05",
    "?on=2020-02-01&at=2019-11-05",
    "?at=2019-11-05&on=2020-02-01&jurisdiction=EU",
    "?at=2010-01-01",
    "?at=2019-11-05T12:00:00Z",
    f"?at={TIP}",
    f"?at={TIP}&on=2020-01-15",
]
NOT_PLAINLY = [
    "?on=2019-02-30",
    "?on=2020-01-15&on=2020-01-15",
    "?on=",
    "?at=0000000",
    "?at=2027-01-01",
    "?jurisdiction=XX",
    "?format=csv",
    "?x=1",
    "?&",
    "?on=2020-01-15&",
    "?on=2020-01-15;at=2019-11-05",
]
DOCUMENTS = ["ema/lemtrada", "ema/hes", "ema/zinbryta", "mhra/valproate", "mhra/isotretinoin", "mhra/fluoroquinolones"]


@pytest.fixture(scope="module")
def both(replayed: Archive) -> tuple[FlaskClient, Front, FlaskClient]:
    """A client that meets the front, the front itself, and a client that only meets the routes."""
    fronted, routed = door(replayed, cache_bytes=0), door(replayed, cache_bytes=0)
    front = cache_of(fronted).inner
    assert isinstance(front, Front)
    behind = cache_of(routed).inner
    assert isinstance(behind, Front)
    routed.application.wsgi_app = behind.inner  # type: ignore[method-assign]
    return fronted, front, routed


@pytest.mark.parametrize("question", [*PLAINLY, *NOT_PLAINLY])
def test_the_front_and_the_route_give_the_same_answer_to_the_byte(
    both: tuple[FlaskClient, Front, FlaskClient], replayed: Archive, question: str
) -> None:
    fronted, _, routed = both
    tip = replayed.tip()
    assert tip is not None
    for name in (*DOCUMENTS, "ema/nothing"):
        address = f"/v1/documents/{name}{question.replace(TIP, tip.id)}"
        one, other = fronted.get(address), routed.get(address)
        assert same(one, other), address
        tag = {"If-None-Match": one.headers.get("ETag", '"none"')}
        assert same(fronted.get(address, headers=tag), routed.get(address, headers=tag))


def environ_of(address: str, **more: str) -> dict[str, Any]:
    path, _, query = address.partition("?")
    named = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, "HTTP_HOST": "localhost"}
    return {**named, **more}


def test_the_front_takes_the_plain_question_and_nothing_else(both: tuple[FlaskClient, Front, FlaskClient]) -> None:
    _, front, _ = both
    for question in PLAINLY:
        assert front.plainly(environ_of(LEMTRADA + question)) is not None
    passed_on = [
        environ_of(LEMTRADA + question) for question in ("?format=csv", "?x=1", "?&", "?on=2020&on=2021", "?on=%32")
    ]
    passed_on += [
        environ_of(address) for address in ("/v1/rules", f"{LEMTRADA}/versions", f"{LEMTRADA}/", "/v1/documents/ema")
    ]
    passed_on += [environ_of(f"/v1/documents/{name}") for name in ("ema/LEM", "ema/lem\n", "ema/../x", "ema/-x")]
    passed_on += [
        environ_of(LEMTRADA, REQUEST_METHOD="HEAD"),
        environ_of(LEMTRADA, HTTP_ACCEPT="text/csv"),
        environ_of(LEMTRADA, HTTP_ACCEPT="text/html,*/*"),
        environ_of(LEMTRADA, HTTP_IF_NONE_MATCH="*"),
        environ_of(LEMTRADA, CONTENT_LENGTH="5"),
        environ_of(LEMTRADA, HTTP_TRANSFER_ENCODING="chunked"),
        environ_of(LEMTRADA, HTTP_HOST="local host"),
        environ_of(LEMTRADA, HTTP_HOST="user@localhost"),
        environ_of(LEMTRADA, HTTP_HOST=""),
    ]
    assert [environ for environ in passed_on if front.plainly(environ) is not None] == []


def test_the_front_trusts_the_hosts_that_the_service_trusts(corpus: Archive) -> None:
    client = door(corpus, trusted_hosts=("inforce.example",), https=True)
    front = cache_of(client).inner
    assert isinstance(front, Front)
    assert front.trusts("inforce.example")
    assert front.trusts("inforce.example:8000")
    assert not any(map(front.trusts, ("evil.example", "localhost", "inforce.example.evil.example", "")))
    answered = client.get(LEMTRADA, headers={"Host": "inforce.example"})
    assert answered.headers["Strict-Transport-Security"]
    assert client.get(LEMTRADA, headers={"Host": "evil.example"}).status_code == 400


def test_an_answer_of_the_front_is_kept_until_midnight_where_it_is_about_today(
    corpus: Archive, asked: list[str]
) -> None:
    clock = Hands(NOW)
    client = door(corpus, clock)
    client.get("/v1/documents/mhra/isotretinoin")
    clock.turn(hours=11, minutes=59)
    client.get("/v1/documents/mhra/isotretinoin")
    assert len(asked) == 1
    clock.turn(minutes=1)
    client.get("/v1/documents/mhra/isotretinoin")
    assert len(asked) == 2
