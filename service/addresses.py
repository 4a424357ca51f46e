"""Where an outgoing request may go: an endpoint's address read strictly, and every IP address behind it checked."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from guidance.errors import BadEndpoint, BadParameter
from service.config import Config

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Sequence[str]]
"""A host's name and a port -> its addresses; raises OSError where there are none."""

LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
PRINTED: Final = re.compile(r"[!-~]{1,2048}")
NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
URL_LIMIT: Final = 2048

UNREACHED: Final[dict[str, str]] = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared by a carrier",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved for protocols",
    "192.0.2.0/24": "documentation",
    "192.31.196.0/24": "reserved (AS112)",
    "192.52.193.0/24": "reserved (AMT)",
    "192.88.99.0/24": "6to4 relay",
    "192.168.0.0/16": "private",
    "192.175.48.0/24": "reserved (AS112)",
    "198.18.0.0/15": "benchmarks",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "::/96": "IPv4 within IPv6",
    "::ffff:0:0/96": "IPv4 within IPv6",
    "::ffff:0:0:0/96": "IPv4 within IPv6",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "NAT64",
    "100::/64": "discarded",
    "100:0:0:1::/64": "discarded",
    "2001::/23": "reserved for protocols",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "2620:4f:8000::/48": "reserved (AS112)",
    "3fff::/20": "documentation",
    "5f00::/16": "segment routing",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
"""The special-purpose registries of IANA, and what Python's `is_global` takes for the open internet."""

METADATA: Final = frozenset(
    {"169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"}
)
"""Where clouds hand out credentials: allowed only by name, never as part of a range."""

BAD_PORTS: Final = frozenset(
    {
        *(0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104),
        *(109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 138, 139, 143, 161, 179, 389, 427, 445, 465, 512, 513, 514),
        *(515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1433, 1521, 1719, 1720),
        *(1723, 2049, 2375, 2376, 2379, 3306, 3389, 3659, 4045, 5060, 5061, 5432, 5900, 6000, 6379, 6566, 6665, 6666),
        *(6667, 6668, 6669, 6679, 6697, 9042, 10080, 11211, 27017),
    }
)
"""The Fetch standard's ports that are not for HTTP, and those of databases and daemons that obey strangers."""

_UNREACHED: Final = tuple((ipaddress.ip_network(text), why) for text, why in UNREACHED.items())
_RESOLVING: Final = ThreadPoolExecutor(16, thread_name_prefix="resolve")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator allows beyond the open internet over TLS."""

    allowed: tuple[Network, ...] = ()
    plain_http: bool = False

    @classmethod
    def of(cls, ranges: Iterable[str] = (), plain_http: bool = False) -> Policy:
        """Ranges as text: 10.20.0.0/16, 127.0.0.1; raises BadParameter."""
        return cls(tuple(_range(text) for text in ranges), plain_http)

    @classmethod
    def set_by(cls, config: Config) -> Policy:
        """The policy of a service; raises BadParameter."""
        return cls.of(config.outgoing_allow, config.outgoing_http)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint's address, taken apart once; everything else is made from these parts."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.authority}"


def endpoint(url: str, policy: Policy) -> Endpoint:
    """Read an endpoint's address strictly; raises BadEndpoint. Whether its host may be reached is `reachable`'s."""
    if not PRINTED.fullmatch(url) or "\\" in url:
        raise BadEndpoint(url, "is not an address in plain ASCII; write a name in other letters as xn--…")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadEndpoint(url, "is not an address that can be read") from error
    if parts.scheme not in ("https", "http"):
        raise BadEndpoint(url, "does not begin with https://")
    if parts.scheme == "http" and not policy.plain_http:
        raise BadEndpoint(url, "does not begin with https://, and this service sends nothing unencrypted")
    if "@" in parts.netloc or "#" in url:
        raise BadEndpoint(url, "names a user, or a place within a page; an endpoint does neither")
    port = (443 if parts.scheme == "https" else 80) if port is None else port
    if port in BAD_PORTS or parts.netloc.endswith(":"):
        raise BadEndpoint(url, "names a port on which no endpoint listens")
    host = _host(parts, url)
    read = Endpoint(parts.scheme, host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    literal = _literal(host)
    why = refusal(literal, policy) if literal else None
    if why:
        raise BadEndpoint(url, f"leads to an address that is {why}")
    return read


def refusal(address: Address, policy: Policy) -> str | None:
    """Why nothing may be sent to an address; None where it may."""
    if str(address) in METADATA:
        exact = any(network.num_addresses == 1 and address in network for network in policy.allowed)
        return None if exact else "where a cloud keeps its credentials"
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return "bound to one network card"
    if any(address in network for network in policy.allowed):
        return None
    for network, why in _UNREACHED:
        if address in network:
            return why
    return None if address.is_global and not address.is_multicast else "not on the open internet"


def reachable(wanted: Endpoint, policy: Policy, seconds: float, resolver: Resolver | None = None) -> list[str]:
    """The addresses behind an endpoint, looked up once; raises BadEndpoint if any of them is refused, else OSError.

    Whoever connects, connects to one of these: asking again could be answered otherwise.
    """
    literal = _literal(wanted.host)
    found = [str(literal)] if literal else _looked_up(wanted, seconds, resolver or look_up)
    for text in found:
        why = refusal(ipaddress.ip_address(text), policy)
        if why:
            raise BadEndpoint(wanted.origin, f"leads to an address that is {why}")
    return found


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a name, as the system knows them, each once."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _looked_up(wanted: Endpoint, seconds: float, resolver: Resolver) -> list[str]:
    asked = _RESOLVING.submit(resolver, wanted.host, wanted.port)
    try:
        found = list(asked.result(max(seconds, 0.001)))
    except Late as error:
        asked.cancel()
        raise TimeoutError(f"the name {wanted.host} was not answered for in time") from error
    except UnicodeError as error:
        raise BadEndpoint(wanted.origin, "is not a name that can be looked up") from error
    if not found:
        raise OSError(f"the name {wanted.host} has no address")
    return found


def _host(parts: SplitResult, url: str) -> str:
    """The host, in lower case: a name of letters, digits and hyphens, or an address in its one usual form."""
    host = (parts.hostname or "").lower()
    if parts.netloc.startswith("["):
        try:
            return str(IPv6Address(host))  # a zone is refused together with its address
        except ValueError as error:
            raise BadEndpoint(url, "names an address that cannot be read") from error
    labels = host.removesuffix(".").split(".")
    if NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except ValueError as error:
            raise BadEndpoint(url, "writes an address in an unusual form; write four numbers with dots") from error
    if len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise BadEndpoint(url, "names a host that cannot be read")
    return ".".join(labels)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _range(text: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip())
    except ValueError as error:
        raise BadParameter("--outgoing-allow", text, f"is not a range of addresses: {error}") from error
