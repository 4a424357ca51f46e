"""Where an outgoing request may go: hostile addresses reach nothing, legitimate ones are delivered."""

from __future__ import annotations

import ipaddress
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from guidance.errors import BadEndpoint, BadParameter
from service.addresses import Policy, endpoint, reachable, refusal
from service.delivery import Outgoing
from tests.service.receiver import Receiver, Reply, receiving

ROOT = Path(__file__).resolve().parents[2]
OPEN = Policy()
HTTP = Policy(plain_http=True)

# {port} is where a receiver listens on every address of this machine: whatever gets out is counted.
WRITTEN = [
    *("http://127.0.0.1:{port}/", "http://127.1:{port}/", "http://127.0.1:{port}/", "http://2130706433:{port}/"),
    *("http://0x7f000001:{port}/", "http://0x7f.1:{port}/", "http://0X7F.0.0.1:{port}/", "http://0177.0.0.1:{port}/"),
    *("http://017700000001:{port}/", "http://127.0.0.01:{port}/", "http://00000127.0.0.1:{port}/"),
    *("http://0:{port}/", "http://0.0.0.0:{port}/", "http://127.0.0.1.:{port}/", "http://127.255.255.254:{port}/"),
    *("http://0x0:{port}/", "http://0.0:{port}/", "http://4294967297:{port}/", "http://127.0.0.0x1:{port}/"),
    *("http://[::1]:{port}/", "http://[::]:{port}/", "http://[0:0:0:0:0:0:0:1]:{port}/"),
    *("http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:7f00:1]:{port}/", "http://[::127.0.0.1]:{port}/"),
    *("http://[64:ff9b::127.0.0.1]:{port}/", "http://[64:ff9b::7f00:1]:{port}/", "http://[64:ff9b:1::a00:1]:{port}/"),
    *("http://[2002:7f00:1::]:{port}/", "http://[2001:0:7f00:1::]:{port}/", "http://[::ffff:0:127.0.0.1]:{port}/"),
    *("http://[fe80::1%25lo]:{port}/", "http://[fe80::1%lo]:{port}/", "http://[::1%25lo]:{port}/"),
    *("http://[fd00::1]:{port}/", "http://[fc00::1]:{port}/", "http://[ff02::1]:{port}/", "http://[fec0::1]:{port}/"),
    *("http://[fd00:ec2::254]/latest/meta-data/", "http://169.254.169.254/latest/meta-data/"),
    *("http://169.254.170.2/v2/credentials", "http://100.100.100.200/latest/", "http://168.63.129.16/machine"),
    *("http://192.0.0.192/opc/v2/", "http://[::ffff:169.254.169.254]/", "http://2852039166/", "http://0xa9fea9fe/"),
    *("http://10.0.0.1:{port}/", "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.1.1/"),
    *("http://100.64.0.1/", "http://198.18.0.1/", "http://192.0.2.1/", "http://203.0.113.7/", "http://192.88.99.1/"),
    *("http://224.0.0.1/", "http://239.255.255.250/", "http://255.255.255.255/", "http://240.0.0.1/"),
    *("http://[2001:db8::1]/", "http://[100::1]/", "http://[3fff::1]/", "http://[5f00::1]/"),
    *("http://user@127.0.0.1:{port}/", "http://example.com@127.0.0.1:{port}/", "http://127.0.0.1:{port}@example.com/"),
    *("http://a:b@example.com/", "http://example.com#@127.0.0.1:{port}/", "http://example.com\\@127.0.0.1:{port}/"),
    *("http://127.0.0.1:{port}\\@example.com/", "http://①②⑦.⓪.⓪.①:{port}/", "http://127。0。0。1:{port}/"),
    *("http://ⓛocalhost:{port}/", "http://loc\u00adalhost:{port}/", "http://exämple.com/", "http:///127.0.0.1:{port}/"),
    *(
        "http:127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "http://127.0.0.1 :{port}/",
        "http://127.0.0.1:{port}/ HTTP/1.1",
    ),
    *("http://127.0.0.1:{port}/\r\nX: y", "http://127.0.0.1\t:{port}/", "http://127.0.0.1\n:{port}/", " http://x.com/"),
    *("http://%31%32%37.0.0.1:{port}/", "http://127.0.0.1%00.example.com/", "http://127.0.0.1%2f@x.com/"),
    *("ftp://example.com/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/_GET", "unix:///var/run/docker.sock"),
    *("javascript:alert(1)", "data:text/plain,x", "", "http://", "https://", "http://.", "http://..", "http://-a.com/"),
    *("http://example.com:22/", "http://example.com:25/", "http://example.com:6379/", "http://example.com:0/"),
    *("http://example.com:99999/", "http://example.com:-1/", "http://example.com:/", "http://example.com:8x/"),
    *("http://example..com/", "http://" + "a" * 300 + ".com/", "http://[::1/", "http://::1]/", "http://[1]/"),
    *("http://[::1].example.com/", "http://[v1.a]/", "http://1.2.3.4.5/", "http://256.1.1.1/", "http://1.2.3/"),
]
RESOLVED = {
    "localhost": ["127.0.0.1", "::1"],
    "rebound.example": ["93.184.215.14", "127.0.0.1"],
    "private.example": ["10.1.2.3"],
    "metadata.example": ["169.254.169.254"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "sixtofour.example": ["2002:7f00:1::"],
    "teredo.example": ["2001:0:7f00:1::"],
    "local.example": ["fe80::1%lo"],
    "zoned.example": ["2606:4700::1111%lo"],
    "any.example": ["0.0.0.0"],
    "group.example": ["ff0e::1"],
    "compatible.example": ["::127.0.0.1"],
    "unique.example": ["fd12:3456::1"],
    "azure.example": ["168.63.129.16"],
    "carrier.example": ["100.64.9.9"],
    "xn--80ak6aa92e.example": ["127.0.0.1"],
    "a_b.example": ["192.168.0.1"],
}


@pytest.fixture(scope="module")
def everywhere() -> Iterator[Receiver]:
    """A receiver on every address of this machine."""
    made = Receiver("0.0.0.0")
    made.reply = lambda _: Reply(200)
    yield made
    made.close()


def resolver(host: str, port: int) -> Sequence[str]:
    return RESOLVED[host]


def test_there_are_enough_hostile_addresses() -> None:
    assert len({*WRITTEN, *RESOLVED}) >= 120


@pytest.mark.parametrize("written", WRITTEN, ids=range(len(WRITTEN)))
def test_a_hostile_address_reaches_nothing(everywhere: Receiver, written: str) -> None:
    url = written.replace("{port}", str(everywhere.port))
    answer = Outgoing(HTTP, 3, resolver=resolver).post(url, {}, b"{}")
    assert answer.status is None
    assert answer.failure.startswith("not sent: "), answer.failure
    assert everywhere.connections == 0
    with pytest.raises(BadEndpoint):
        endpoint(url, HTTP)


@pytest.mark.parametrize("host", RESOLVED)
def test_a_name_that_leads_inside_reaches_nothing(everywhere: Receiver, host: str) -> None:
    answer = Outgoing(HTTP, 3, resolver=resolver).post(f"http://{host}:{everywhere.port}/", {}, b"{}")
    assert answer.failure.startswith("not sent: ")
    assert everywhere.connections == 0


def test_the_name_is_looked_up_once_and_never_again_for_the_connection(everywhere: Receiver) -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["10.0.0.1"]

    policy = Policy.of(["127.0.0.2"], plain_http=True)
    with ExitStack() as stack:
        inside = stack.enter_context(_on("127.0.0.2"))
        url = f"http://rebinding.example:{inside.port}/"
        assert Outgoing(policy, 3, resolver=rebinding).post(url, {}, b"{}").status == 204
        assert asked == ["rebinding.example"]
        assert inside.requests[0].headers["host"] == f"rebinding.example:{inside.port}"


class _on:
    def __init__(self, address: str) -> None:
        self.receiver = Receiver(address)

    def __enter__(self) -> Receiver:
        return self.receiver

    def __exit__(self, *_: object) -> None:
        self.receiver.close()


def test_an_allowed_range_is_reached_and_its_neighbour_is_not() -> None:
    policy = Policy.of(["127.0.0.0/31"], plain_http=True)
    with receiving() as receiver:
        assert Outgoing(policy, 3).post(receiver.url, {}, b"{}").status == 204
    for other in ("127.0.0.2", "127.0.1.1", "10.0.0.1"):
        with pytest.raises(BadEndpoint):
            endpoint(f"http://{other}/", policy)


@pytest.mark.parametrize("metadata", ["169.254.169.254", "168.63.129.16", "100.100.100.200", "fd00:ec2::254"])
def test_where_credentials_lie_is_allowed_by_name_only(metadata: str) -> None:
    address = ipaddress.ip_address(metadata)
    assert refusal(address, Policy.of(["0.0.0.0/0", "::/0", "169.254.0.0/16"]))
    assert refusal(address, Policy.of([metadata])) is None


def test_a_range_that_cannot_be_read_is_refused() -> None:
    for wrong in ("10.0.0.1/8", "ten", "10.0.0.0/33"):
        with pytest.raises(BadParameter):
            Policy.of([wrong])


def test_plain_http_is_refused_unless_it_is_allowed() -> None:
    with pytest.raises(BadEndpoint, match="unencrypted"):
        endpoint("http://example.com/hook", OPEN)
    assert endpoint("http://example.com/hook", HTTP).port == 80


@pytest.mark.parametrize(
    ("url", "host", "authority", "target"),
    [
        ("https://example.com", "example.com", "example.com", "/"),
        ("https://Example.COM:8443/a?b=c&d=%2e", "example.com", "example.com:8443", "/a?b=c&d=%2e"),
        ("https://example.com:443/?q", "example.com", "example.com", "/?q"),
        ("https://example.com./x", "example.com", "example.com", "/x"),
        ("https://xn--exmple-cua.com/", "xn--exmple-cua.com", "xn--exmple-cua.com", "/"),
        ("https://93.184.215.14/x", "93.184.215.14", "93.184.215.14", "/x"),
        ("https://[2606:4700::1111]:9443/", "2606:4700::1111", "[2606:4700::1111]:9443", "/"),
        ("https://a_b.example.com/", "a_b.example.com", "a_b.example.com", "/"),
        ("https://1password.example/", "1password.example", "1password.example", "/"),
    ],
)
def test_a_legitimate_address_is_read_as_it_is_meant(url: str, host: str, authority: str, target: str) -> None:
    read = endpoint(url, OPEN)
    assert (read.host, read.authority, read.target) == (host, authority, target)


def test_a_legitimate_name_leads_to_its_addresses() -> None:
    found = ["93.184.215.14", "2606:4700::1111"]
    assert reachable(endpoint("https://example.com/", OPEN), OPEN, 1, lambda *_: found) == found


def test_a_name_that_is_not_answered_for_in_time_is_a_failure() -> None:
    stop = threading.Event()

    def slow(host: str, port: int) -> list[str]:
        stop.wait(5)
        return []

    assert "within" in Outgoing(HTTP, 0.2, resolver=slow).post("http://slow.example/", {}, b"{}").failure
    stop.set()


def test_a_name_without_an_address_is_a_failure() -> None:
    def nothing(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    assert "gaierror" in Outgoing(HTTP, 1, resolver=nothing).post("http://nowhere.example/", {}, b"{}").failure
    assert "no address" in Outgoing(HTTP, 1, resolver=lambda *_: []).post("http://a.example/", {}, b"{}").failure


def test_nothing_special_counts_as_the_open_internet() -> None:
    for text in ("8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001::1"):
        assert refusal(ipaddress.ip_address(text), OPEN) is None


def test_on_a_machine_that_has_them_no_hostile_address_is_reached_and_legitimate_ones_are() -> None:
    """In a network namespace, where the system lets us have one; elsewhere the tests above are what there is."""
    apart = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace can be made here")
    words = [*apart, sys.executable, "-m", "tests.service.namespace"]
    told = json.loads(subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout)
    assert told["hostile"] >= 60
    assert (told["reached"], told["connections"], told["unset"], told["lost"]) == ([], 0, [], [])
