"""Workers killed at random while a receiver fails, answers late or hangs up: nothing missing, nothing out of order.

python -m tests.service.campaign_delivery --database postgresql --kills 100 --events 2000 --workers 3 --seed 1
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from service import subscriptions
from service.addresses import Policy
from service.delivery import Terms, Worker
from service.signing import Vault
from service.state import State
from tests.service.databases import KINDS, database
from tests.service.receiver import Receiver, Reply, Request, echoing
from tests.service.samples import Told

ROOT = Path(__file__).resolve().parent.parent.parent
POLICY = Policy.of(["127.0.0.1"], plain_http=True)
KEY = b"c" * 32
TERMS = Terms(
    tuple(timedelta(milliseconds=100) for _ in range(10_000)),
    seconds=0.6,
    lease=timedelta(seconds=3),
    per_endpoint=16,
    threads=16,
    poll=0.02,
)
SUBSCRIPTIONS = 4
DOCUMENTS = 6


@dataclass
class Witness:
    """What the receiver saw, and what of it should not have been."""

    seed: int
    late: float = 0.9
    """Seconds after which an answer comes too late for the sender."""
    accepted: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    inversions: list[str] = field(default_factory=list)
    ids: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._luck = random.Random(self.seed)
        self._lock = threading.Lock()

    def reply(self, request: Request) -> Reply:
        if "challenge" in request.json:
            return echoing(request)
        event, lane = request.json, (request.path, request.json["document"])
        with self._lock:
            luck = self._luck.random()
            self.ids.setdefault((request.path, event["position"]), set()).add(request.headers["webhook-id"])
            seen = self.accepted.setdefault(lane, [])
            fresh = event["position"] not in seen
            if fresh and seen and event["position"] < seen[-1]:
                self.inversions.append(f"{lane}: {event['position']} after {seen[-1]}")
            takes = luck >= 0.30 or 0.20 <= luck < 0.25
            if fresh and takes:
                seen.append(event["position"])
            self.answers["accepted" if takes else "refused"] += 1
        if luck < 0.15:
            return Reply(500)
        if luck < 0.20:
            return Reply(raw=b"")
        if luck < 0.30:
            time.sleep(self.late)  # too late for the sender, unless it was kept from its processor meanwhile
        return Reply(204 if takes else 500)


@dataclass(frozen=True)
class Result:
    """What a campaign found; it is good where nothing is missing, out of order, or under two ids."""

    database: str
    seed: int
    kills: int
    events: int
    expected: int
    missing: int
    inversions: int
    under_two_ids: int
    requests: int
    refused: int
    settled_wrongly: int
    unfinished: int
    seconds: float

    @property
    def good(self) -> bool:
        return not (self.missing or self.inversions or self.under_two_ids or self.settled_wrongly or self.unfinished)


def work(url: str) -> None:
    """A worker process, until it is killed."""
    Worker(State(url), Vault([KEY]), POLICY, TERMS).run(threading.Event())


def start(url: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.service.campaign_delivery", "--work", url]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)


def campaign(kind: str, folder: Path, kills: int = 5, events: int = 120, workers: int = 2, seed: int = 1) -> Result:
    """Append events while workers are killed and started again, then let them finish; compare with the log."""
    began = time.monotonic()
    luck = random.Random(seed)
    witness = Witness(seed)
    receiver = Receiver()
    receiver.reply = witness.reply
    with database(kind, folder) as url:
        state = State(url)
        names = [_subscribe(state, f"http://127.0.0.1:{receiver.port}/{number}") for number in range(SUBSCRIPTIONS)]
        running = [start(url) for _ in range(workers)]
        told = 0
        try:
            for kill in range(kills):
                until = events * (kill + 1) // max(kills, 1)
                while told < until:
                    many = min(luck.randint(1, 9), until - told)
                    state.append([Told(f"evt-{told + n}", f"ema/doc-{luck.randrange(DOCUMENTS)}") for n in range(many)])
                    told += many
                    time.sleep(luck.uniform(0, 0.05))
                time.sleep(luck.uniform(0.1, 1.5))
                victim = luck.randrange(workers)
                running[victim].kill()
                running[victim].wait()
                running[victim] = start(url)
            _wait(lambda: not any(subscriptions.lag(state).values()), 120 + 3 * events)
        finally:
            for one in running:
                one.kill()
                one.wait()
        result = _result(kind, seed, kills, state, witness, names, round(time.monotonic() - began, 1))
        state.close()
    receiver.close()
    return result


def _subscribe(state: State, url: str) -> str:
    return subscriptions.create(state, Vault([KEY]), POLICY, "ada", {"url": url})[0].id


def _wait(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.1)


def _result(
    kind: str, seed: int, kills: int, state: State, witness: Witness, names: list[str], seconds: float
) -> Result:
    log = state.events(0, 10**9)
    lanes: dict[str, list[int]] = {}
    for position, event in log:
        lanes.setdefault(event["document"], []).append(position)
    missing = 0
    for number in range(len(names)):
        for document, positions in lanes.items():
            missing += len(set(positions) - set(witness.accepted.get((f"/{number}", document), [])))
    wrong = 0
    for name in names:
        told = subscriptions.deliveries(state, "ada", name, limit=10**9)
        sent = [one["position"] for one in told if one["kind"] == "event" and one["state"] == "accepted"]
        wrong += sorted(sent) != [position for position, _ in log]
    return Result(
        kind,
        seed,
        kills,
        len(log),
        len(log) * len(names),
        missing,
        len(witness.inversions),
        sum(len(ids) > 1 for ids in witness.ids.values()),
        sum(witness.answers.values()),
        witness.answers["refused"],
        wrong,
        sum(subscriptions.lag(state).values()),
        seconds,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=KINDS, default="sqlite")
    for name, value in (("kills", 20), ("events", 500), ("workers", 3), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work)
        return 0
    with TemporaryDirectory() as folder:
        found = campaign(given.database, Path(folder), given.kills, given.events, given.workers, given.seed)
    print(json.dumps({**asdict(found), "good": found.good}))
    return 0 if found.good else 1


if __name__ == "__main__":
    sys.exit(main())
