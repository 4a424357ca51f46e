"""The whole service killed at random while a receiver fails: nothing missing, nothing twice, nothing turned round.

python -m tests.service.campaign_service --database postgresql --kills 100 --acts 400 --workers 3 --seed 1

`inforce serve` and `inforce deliver` processes, as they are really started, share one register and one database. Time
after time one of them is ended with all its children, as a power cut would, and started again a little later. Then
the log must hold exactly what the history implies, and the receiver must have had all of it, each document in order.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from guidance.archive import Archive, Proposal
from guidance.store import Act
from service import config, signing, state, subscriptions, ticker
from service.addresses import Policy
from tests.guidance import bodies
from tests.service.campaign_delivery import Witness
from tests.service.databases import KINDS, database
from tests.service.receiver import Receiver

INFORCE = str(Path(sys.executable).with_name("inforce"))
SUBSCRIPTIONS = 2
DOCUMENTS = 5
TELLING = {
    "outgoing_allow": "127.0.0.1",
    "outgoing_http": "yes",
    "delivery_seconds": "1",
    "per_endpoint": "16",
    "retries": " ".join(["1s"] * 500),
    "log_level": "error",
}


@dataclass(frozen=True)
class Result:
    """What a campaign found; it is good where the log is what history implies and the receiver had it all in order."""

    database: str
    seed: int
    kills: int
    acts: int
    events: int
    not_in_the_log: int
    beyond_history: int
    missing: int
    inversions: int
    under_two_ids: int
    unfinished: int
    requests: int
    seconds: float

    @property
    def good(self) -> bool:
        wrong = self.not_in_the_log, self.beyond_history, self.missing, self.inversions, self.under_two_ids
        return not any((*wrong, self.unfinished)) and self.events > 0


class Processes:
    """One service and some workers, each the leader of its own group."""

    def __init__(self, folder: Path, url: str, workers: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        self.commands = [["serve", "--port", port], *[["deliver"] for _ in range(workers)]]
        options = {"data": str(folder), "state": url, **TELLING}
        self.words = [word for name, text in options.items() for word in (f"--{name.replace('_', '-')}", text)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("INFORCE_")}
        self.environment = clean
        self.running: list[subprocess.Popen[bytes]] = [self.start(number) for number in range(len(self.commands))]

    def start(self, number: int) -> subprocess.Popen[bytes]:
        words = [INFORCE, *self.commands[number], *self.words]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        return subprocess.Popen(words, env=self.environment, **quiet)

    def kill(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.running[number].pid, signal.SIGKILL)
        self.running[number].wait()

    def again(self, number: int) -> None:
        self.running[number] = self.start(number)

    def close(self) -> None:
        for number in range(len(self.running)):
            self.kill(number)


class Publisher:
    """Records new versions, corrections of them, and that some never take effect."""

    def __init__(self, archive: Archive, luck: random.Random) -> None:
        self.archive, self.luck, self.count = archive, luck, 0
        self.versions = {f"ema/doc-{number}": 0 for number in range(DOCUMENTS)}
        for name in self.versions:
            archive.publish([Proposal(bodies.document(name))], self.act("publish"), datetime.now(UTC))

    def act(self, verb: str) -> Act:
        return Act(verb, "Ada <ada@example.org>", "because")

    def publish(self) -> None:
        self.count += 1
        name = self.luck.choice(list(self.versions))
        number = self.versions[name]
        if not number or self.luck.random() < 0.5:
            self.versions[name] = number = number + 1
            day = f"{2000 + number}-0{self.luck.randint(1, 9)}-16"
            said = bodies.version(number, bodies.since(day), document=name)
            self.archive.publish([Proposal(said)], self.act("publish"), datetime.now(UTC))
            return
        tip = self.archive.tip()
        assert tip
        body = json.loads(self.archive.index.version(name, number, tip.position))
        said = {**body, "note": f"Corrected by act {self.count}."}
        self.archive.correct(Proposal(said), self.act("correct"), datetime.now(UTC))


def campaign(kind: str, folder: Path, kills: int = 3, acts: int = 30, workers: int = 1, seed: int = 1) -> Result:
    began, luck = time.monotonic(), random.Random(seed)
    witness, receiver = Witness(seed, late=1.4), Receiver()
    receiver.reply = witness.reply
    with database(kind, folder) as url:
        archive = Archive.init(folder / "data")
        publisher = Publisher(archive, luck)
        settings = config.load({"data": str(archive.folder), "state": url, **TELLING}, {})
        log, vault, policy = state.opened(settings), signing.vault(settings), Policy.set_by(settings)
        for number in range(SUBSCRIPTIONS):
            asked = {
                "url": f"http://127.0.0.1:{receiver.port}/{number}",
                "filter": {"severity": "editorial"},
                "after": 0,
            }
            subscriptions.create(log, vault, policy, "ada", asked)
        processes = Processes(archive.folder, url, workers)
        try:
            for kill in range(kills):
                while publisher.count < acts * (kill + 1) // kills:
                    publisher.publish()
                    time.sleep(luck.uniform(0, 0.1))
                time.sleep(luck.uniform(0.1, 3))
                victim = luck.randrange(workers + 1)
                processes.kill(victim)
                time.sleep(luck.uniform(0, 0.5))
                processes.again(victim)
            _settle(archive, log, 120 + 3 * acts)
        finally:
            processes.close()
        result = _result(kind, seed, kills, publisher, archive, log, witness, round(time.monotonic() - began, 1))
        log.close()
        archive.close()
    receiver.close()
    return result


def _settle(archive: Archive, log: state.State, seconds: float) -> None:
    """Wait until everything is told and accepted, or until that takes too long."""
    end = time.monotonic() + seconds
    implied = len(ticker.implied(archive, datetime.now(UTC)))
    while (log.tip() < implied or any(subscriptions.lag(log).values())) and time.monotonic() < end:
        time.sleep(0.1)


def _result(
    kind: str,
    seed: int,
    kills: int,
    publisher: Publisher,
    archive: Archive,
    log: state.State,
    witness: Witness,
    seconds: float,
) -> Result:
    told = log.events(0, 10**9)
    implied = {event.id for event in ticker.implied(archive, datetime.now(UTC))}
    lanes: dict[str, set[int]] = {}
    for position, event in told:
        lanes.setdefault(event["document"], set()).add(position)
    accepted = witness.accepted
    missing = sum(
        len(positions - set(accepted.get((f"/{number}", document), ())))
        for number in range(SUBSCRIPTIONS)
        for document, positions in lanes.items()
    )
    ids = [event["id"] for _, event in told]
    return Result(
        database=kind,
        seed=seed,
        kills=kills,
        acts=publisher.count,
        events=len(told),
        not_in_the_log=len(implied - set(ids)),
        beyond_history=len(set(ids) - implied) + len(ids) - len(set(ids)),
        missing=missing,
        inversions=len(witness.inversions),
        under_two_ids=sum(len(found) > 1 for found in witness.ids.values()),
        unfinished=sum(subscriptions.lag(log).values()),
        requests=sum(witness.answers.values()),
        seconds=seconds,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=KINDS, default="sqlite")
    for name, value in (("kills", 10), ("acts", 60), ("workers", 3), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = campaign(given.database, Path(folder), given.kills, given.acts, given.workers, given.seed)
    print(json.dumps({**asdict(found), "good": found.good}))
    return 0 if found.good else 1


if __name__ == "__main__":
    sys.exit(main())
