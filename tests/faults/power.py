"""Power cuts while publishers publish: after the disk is mounted again, everything acknowledged is there."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.faults import disk, inspection, material, shim
from tests.faults.crew import Crew
from tests.faults.disk import Disk
from tests.faults.ledger import read_all
from tests.faults.report import Result, progress

MOUNTS: Final = ("data=ordered", "data=ordered,commit=60", "data=writeback")
"""In turn: as usual, with a journal that seldom commits by itself, and with data in no order at all."""
LIFE: Final = 5
"""Cuts that one register goes through before it begins anew on an empty disk."""


def run(count: int, seed: int, publishers: int = 8) -> Result:
    """Cut the power so many times."""
    return _cuts("power", count, seed, publishers)


def control(count: int, seed: int, publishers: int = 8) -> Result:
    """The same with every fsync a lie: a campaign that then finds nothing would prove nothing."""
    if why := disk.missing() or shim.missing():
        return Result("control", skipped=why)
    if shim.Control.ours() is None:
        return shim.again("control", count, seed, shim.LIE)
    result = _cuts("control", count, seed, publishers, shim.prefix())
    if result.skipped:
        return result
    lost = result.findings
    result.findings = [] if lost else ["nothing was lost although nothing was synced: the cuts prove nothing"]
    result.fine = "lost, as it must be without fsync"
    return result


def _cuts(campaign: str, count: int, seed: int, publishers: int, below: Path | None = None) -> Result:
    result = Result(campaign)
    if why := disk.missing():
        result.skipped = why
        return result
    with tempfile.TemporaryDirectory(prefix="inforce-power-", dir=below) as name:
        try:
            made = Disk(Path(name))
            made.format()
        except subprocess.CalledProcessError as error:
            result.skipped = f"no loop device with ext4 here: {error.stderr.strip()}"
            return result
        with made:
            Cuts(made, result, seed, publishers, faithful=below is None).run(count)
    return result


class Cuts:
    """A series of cuts on one disk; the ledgers lie on another."""

    def __init__(self, made: Disk, result: Result, seed: int, publishers: int, faithful: bool) -> None:
        self.disk, self.result, self.seed, self.publishers = made, result, seed, publishers
        self.life = LIFE if faithful else 1  # what a lying disk broke stays broken
        self.rng = random.Random(seed)
        self.place = made.image.parent
        self.struck = 0

    def run(self, count: int) -> None:
        for number in range(count):
            ledgers = self.place / f"ledgers-{number // self.life}"
            options = MOUNTS[number % len(MOUNTS)]
            found = self._cut(number, ledgers, options)
            self.struck += bool(found)
            self.result.add([f"cut {number + 1} ({options}): {why}" for why in found])
            progress(self.result.campaign, number + 1, count, f"{len(self.result.findings)} findings")
        self.result.figures = {
            "cuts": count,
            "that lost or broke something": self.struck,
            "acknowledged": sum(len(read_all(ledgers).acks) for ledgers in self.place.glob("ledgers-*")),
        }

    def _cut(self, number: int, ledgers: Path, options: str) -> list[str]:
        """Publish beside another program that syncs, cut the power at a random moment, mount again and look."""
        data = self.disk.root / "data"
        if not ledgers.exists():
            ledgers.mkdir()
            self.disk.format()
        self.disk.mount(options)
        if not data.exists():
            material.register(data)
        with _noise(self.disk.root / "noise") as noise:
            with Crew(data, ledgers, self.publishers, self.seed + number, keeper=number % 2 == 1):
                time.sleep(self.rng.uniform(0.1, 2.5))
                self.disk.cut()
            noise.kill()
        self.disk.unmount()
        self.disk.mount(options)
        try:
            return inspection.whole(data, read_all(ledgers), self.place)
        except Exception as error:  # where nothing is synced anything may come up
            return [f"the inspection stopped: {type(error).__name__}: {error}"]
        finally:
            self.disk.unmount()


def _noise(path: Path) -> subprocess.Popen[bytes]:
    """Its own program, to which no shim lies."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return subprocess.Popen([sys.executable, "-m", "tests.faults.noise", str(path)], env=environment)
