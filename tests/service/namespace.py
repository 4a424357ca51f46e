"""A machine of its own where hostile addresses exist: `unshare -r -n python -m tests.service.namespace`.

Every address that a request must never go to is on this machine's own card, and a listener hears whatever arrives.
Prints JSON: how many hostile addresses there were, which were reached by default, which could not be reached though
they were allowed (the trap was not set there), and which legitimate ones were not delivered.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess

from service.addresses import METADATA, UNREACHED, Policy
from service.delivery import Outgoing
from tests.service.receiver import Receiver, Reply

LEGITIMATE = ("93.184.215.14", "1.1.1.1", "185.199.108.153", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "2a00:1450::8a")
NOWHERE = ("ff00::/8", "224.0.0.0/4", "0.0.0.0/8", "::/96", "::ffff:0:0/96", "fe80::/10", "127.0.0.0/8")
"""Ranges none of whose addresses can be given to a card; what of them a machine has by itself is tried below."""
PORT = 8080


def hostile() -> list[str]:
    """Two addresses of every range that can be set up, those of clouds, and those that every machine has."""
    found = []
    for text in UNREACHED:
        network = ipaddress.ip_network(text)
        if text not in NOWHERE:
            found += [str(network[5]), str(network[network.num_addresses - 7])]
    return [*dict.fromkeys([*found, *sorted(METADATA)])]


BY_THEMSELVES = ("127.0.0.1", "127.255.255.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.5")


def address(text: str) -> str:
    return f"http://{f'[{text}]' if ':' in text else text}:{PORT}/"


def set_up(addresses: list[str]) -> None:
    lines = ["link set lo up"]
    for text in addresses:
        lines.append(f"addr add {text}/{128 if ':' in text else 32} dev lo" + (" nodad" if ":" in text else ""))
    subprocess.run(["ip", "-force", "-batch", "-"], input="\n".join(lines), text=True, check=False, capture_output=True)


def listening() -> list[Receiver]:
    made = []
    for place in ("0.0.0.0", "::"):
        one = Receiver(place, PORT)
        one.reply = lambda _: Reply(204)
        made.append(one)
    return made


def main() -> None:
    addresses = hostile()
    set_up([*addresses, *LEGITIMATE])
    receivers = listening()
    outgoing, tried = Outgoing(Policy(plain_http=True), 2), [*addresses, *BY_THEMSELVES]
    reached = [text for text in tried if outgoing.post(address(text), {}, b"{}").status is not None]
    connections = sum(one.connections for one in receivers)
    allowed = Outgoing(Policy.of(tried, plain_http=True), 2)
    unset = [text for text in tried if allowed.post(address(text), {}, b"{}").status != 204]
    lost = [text for text in LEGITIMATE if outgoing.post(address(text), {}, b"{}").status != 204]
    print(
        json.dumps(
            {"hostile": len(tried), "reached": reached, "connections": connections, "unset": unset, "lost": lost}
        )
    )


if __name__ == "__main__":
    main()
