"""Publishers as processes: started, struck down in several manners, and started again."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from tests.faults import publisher

MANNERS: Final = ("parent", "group", "git")
"""Kill the Python process alone (its git is orphaned), it and its git together, or only its git."""
FORK: Final = multiprocessing.get_context("fork")


class Crew:
    """So many publishers of one register, and perhaps one process that maintains it."""

    def __init__(self, folder: Path, ledgers: Path, count: int, seed: int, keeper: bool = True) -> None:
        self.folder, self.ledgers = folder, ledgers
        self.rng = random.Random(seed)
        self.names = [f"publisher-{number}" for number in range(count)] + (["keeper"] if keeper else [])
        self.running: dict[str, BaseProcess] = {}
        self.findings: list[str] = []

    def __enter__(self) -> Crew:
        for name in self.names:
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self, name: str) -> None:
        """Fork one, with nothing of ours open: a SQLite connection must not be carried into a child."""
        work = publisher.keep if name == "keeper" else publisher.publish
        arguments = (work, self.folder, self.ledgers / f"{name}.ledger", self.rng.randrange(1 << 30))
        process = FORK.Process(target=publisher.alone, args=arguments, name=name, daemon=True)
        process.start()
        self.running[name] = process

    def end(self) -> None:
        """Kill all with everything that they started, and wait until they are gone."""
        for process in self.running.values():
            _kill_group(process)
        for process in self.running.values():
            process.join()
            _wait_for_group(process)
        self.running.clear()

    def revive(self) -> None:
        """Start again whoever is gone; whoever went without being killed is a finding."""
        for name, process in list(self.running.items()):
            if process.exitcode is not None:
                if process.exitcode != -signal.SIGKILL:
                    self.findings.append(f"{name} ended by itself: {self._last_words(name)}")
                self.start(name)

    def _last_words(self, name: str) -> str:
        log = self.ledgers / f"{name}.log"
        lines = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
        return " | ".join(lines[-4:])

    # --- striking ----------------------------------------------------------------------------------------

    def strike(self, name: str, manner: str) -> bool:
        """Kill in one manner; returns whether there was anything to kill."""
        process = self.running[name]
        if process.exitcode is not None or process.pid is None:
            return False
        if manner == "git":
            return bool([_kill(pid) for pid in children(process.pid)])
        if manner == "parent":
            _kill(process.pid)
        else:
            _kill_group(process)
        process.join()
        return True

    def holder(self, wait: float = 1.0) -> str | None:
        """Who holds the store's lock, waiting a while for somebody to take it."""
        pids = {process.pid: name for name, process in self.running.items()}
        inode = (self.folder / "register.git" / "inforce.flock").stat().st_ino
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline:
            for pid in _holders(inode):
                if pid in pids:
                    return pids[pid]
            time.sleep(0.001)
        return None


def _holders(inode: int) -> Iterator[int]:
    for line in Path("/proc/locks").read_text().splitlines():
        parts = line.split()
        if "->" not in parts and parts[1] == "FLOCK" and parts[5].endswith(f":{inode}"):
            yield int(parts[4])


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _kill_group(process: BaseProcess) -> None:
    assert process.pid is not None
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it has not become a leader yet, or it is gone
        _kill(process.pid)


def _wait_for_group(process: BaseProcess, wait: float = 10.0) -> None:
    """Until the last orphan of a group is gone."""
    assert process.pid is not None
    deadline = time.monotonic() + wait
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.002)
