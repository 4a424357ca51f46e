"""Threads that read during publishing and maintenance: every answer right and fresh, and nothing left open."""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import random
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from guidance.archive import Archive, Proposal
from tests.faults import material
from tests.faults.crew import Crew, children
from tests.faults.ledger import read_all
from tests.faults.report import Result, progress
from tests.faults.truth import Seen, Truth

READERS: Final = 16
BACKLOG: Final = 100
"""Batches of answers that may wait to be checked."""
AHEAD: Final = 60
"""Days around the first one about which readers ask."""


def run(count: int, seed: int, publishers: int = 2) -> Result:
    """Read for so many seconds."""
    with tempfile.TemporaryDirectory(prefix="inforce-readers-") as name:
        folder, ledgers = Path(name, "data"), Path(name, "ledgers")
        ledgers.mkdir()
        material.register(folder)
        with Crew(folder, ledgers, publishers, seed, keeper=False) as crew:
            reading = Reading(folder, seed)
            reading.run(count)
            crew.revive()
            reading.result.add(crew.findings)
        reading.result.figures["published meanwhile"] = len(read_all(ledgers).acks) + reading.published
    return reading.result


class Reading:
    """Readers, one publisher and one maintainer, all threads of one process with one archive between them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.archive = Archive(folder)
        self.truth = Truth(folder / "register.git")
        self.result = Result("readers")
        self.seed = seed
        self.seen: queue.SimpleQueue[list[Seen]] = queue.SimpleQueue()
        self.floor = 0
        """The position that this process's own publisher was last told: nobody may be behind it afterwards."""
        self.published = self.maintained = self.rebuilt = self.checked = 0
        self.parked = threading.Barrier(READERS + 3)
        self.stopping = threading.Event()

    def run(self, seconds: int) -> None:
        """All threads do their work once, then rest; go on for so long; and rest again, with nothing more open."""
        works = (*(self._read for _ in range(READERS)), self._publish, self._maintain)
        threads = [self._thread(work, number) for number, work in enumerate(works)]
        before = self._resting()
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < seconds and not self.parked.broken:
            time.sleep(0.5)
            self._check()
            told = f"{self.checked} answers, {len(self.result.findings)} findings"
            progress("readers", min(int(passed) + 1, seconds), seconds, told)
        self.stopping.set()
        after = self._resting()
        for thread in threads:
            thread.join()
        self._check()
        self.archive.close()
        self._tell(before, after)

    def _resting(self) -> tuple[int, int]:
        """(open files, child processes) while every thread is at rest."""
        with contextlib.suppress(threading.BrokenBarrierError):
            self.parked.wait(60)
        gc.collect()
        count = len(list(Path("/proc/self/fd").iterdir())), len(children(os.getpid()))
        with contextlib.suppress(threading.BrokenBarrierError):
            self.parked.wait(60)
        return count

    def _rest(self) -> None:
        self.parked.wait(60)
        self.parked.wait(60)

    def _thread(self, work: Callable[[random.Random], None], number: int) -> threading.Thread:
        def guarded() -> None:
            try:
                work(random.Random(f"{self.seed}-{number}"))
            except threading.BrokenBarrierError:
                return
            except Exception:
                self.result.add([" | ".join(traceback.format_exc().splitlines()[-4:])])
                self.parked.abort()
            finally:
                self.archive.close()

        thread = threading.Thread(target=guarded)
        thread.start()
        return thread

    # --- what the threads do -----------------------------------------------------------------------------

    def _read(self, rng: random.Random) -> None:
        _, newest = self._ask(rng, 0)
        self._rest()
        while not self.stopping.is_set():
            seen = []
            for _ in range(200):
                answer, newest = self._ask(rng, newest)
                seen.append(answer)
            self.seen.put(seen)
            while self.seen.qsize() > BACKLOG and not self.stopping.is_set():
                time.sleep(0.01)
        self._rest()

    def _ask(self, rng: random.Random, newest: int) -> tuple[Seen, int]:
        """One answer, as of now or as of an earlier revision; never behind what was answered or told before."""
        floor = max(self.floor, newest)
        tip = self.archive.tip()
        assert tip is not None
        assert tip.position >= floor, f"{tip.position} is behind {floor}"
        position = tip.position if rng.random() < 0.7 else rng.randint(1, tip.position)
        name = rng.choice(material.NAMES)
        day = material.FIRST.toordinal() + rng.randint(-2, AHEAD)
        ((_, _, _, number, _, content, _),) = self.archive.index.spans_on(name, day, position, [material.PLACE])
        return Seen(name, day, position, number, hash(content) if content else 0), tip.position

    def _publish(self, _: random.Random) -> None:
        self._publish_next()
        self._rest()
        while not self.stopping.is_set():
            self._publish_next()
        self._rest()

    def _publish_next(self) -> None:
        self.published += 1
        body = material.version(material.PROBE, self.published + 1, "published beside the readers")
        self.floor = self.archive.publish([Proposal(body)], material.act(), material.now()).revision.position

    def _maintain(self, rng: random.Random) -> None:
        self._maintain_once(rebuild=True)
        self._rest()
        while not self.stopping.wait(rng.uniform(0.1, 0.6)):
            self._maintain_once(rebuild=rng.random() < 0.3)
        self._rest()

    def _maintain_once(self, rebuild: bool) -> None:
        """What an operator may do at any time."""
        self.archive.maintain()
        self.maintained += 1
        if rebuild:
            self.archive.index.rebuild(self.archive.store)
            self.rebuilt += 1

    # --- what is held against it -------------------------------------------------------------------------

    def _check(self) -> None:
        """Hold every answer so far against what git says."""
        batches = []
        while not self.seen.empty():
            batches.append(self.seen.get())
        self.truth.read_on()
        answers = [answer for batch in batches for answer in batch]
        self.checked += len(answers)
        wrong = [answer for answer in answers if not self.truth.agrees(answer)]
        self.result.add([f"a wrong answer: {answer}" for answer in wrong[:5]])

    def _tell(self, before: tuple[int, int], after: tuple[int, int]) -> None:
        for what, earlier, later in zip(("open files", "child processes"), before, after, strict=True):
            if later > earlier:
                self.result.add([f"{what} grew from {earlier} to {later}"])
        self.result.figures = {
            "threads": READERS,
            "answers checked": self.checked,
            "maintenance runs": self.maintained,
            "index rebuilds": self.rebuilt,
            "open files before and after": f"{before[0]} and {after[0]}",
            "child processes before and after": f"{before[1]} and {after[1]}",
        }
