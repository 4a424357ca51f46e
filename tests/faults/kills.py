"""Publishers and their git killed at random moments: nothing acknowledged is lost, nothing stays blocked."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from guidance.archive import Archive
from guidance.errors import GuidanceError
from tests.faults import inspection, material
from tests.faults.crew import MANNERS, Crew
from tests.faults.ledger import read_all
from tests.faults.report import Result, progress

ROUND: Final = 5
"""Kills between two inspections."""


def run(count: int, seed: int, publishers: int = 8) -> Result:
    """Kill so many times, inspecting after every round while the others go on, and everything at the end."""
    result, rng = Result("kills"), random.Random(seed)
    struck: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory(prefix="inforce-kills-") as name:
        folder, ledgers = Path(name, "data"), Path(name, "ledgers")
        ledgers.mkdir()
        material.register(folder)
        for half, keeper in ((count // 2, False), (count, True)):  # at first nobody ever clears up
            with Crew(folder, ledgers, publishers, seed + half, keeper) as crew:
                while (done := sum(struck[manner] for manner in MANNERS)) < half:
                    _round(crew, rng, min(ROUND, half - done), struck)
                    found, seconds = _between(folder, ledgers)
                    slowest = max(slowest, seconds)
                    result.add(found)
                    progress("kills", sum(struck[m] for m in MANNERS), count, f"{len(result.findings)} findings")
                result.add(crew.findings)
        told = read_all(ledgers)
        result.add(inspection.whole(folder, told, ledgers))
        result.figures = {
            "kills": count,
            **{f"of {manner}": struck[manner] for manner in MANNERS},
            "of the lock's holder": struck["holding"],
            "acknowledged": len(told.acks),
            "tried again after a kill": told.retried,
            "slowest later publish (s)": round(slowest, 2),
        }
    return result


def _round(crew: Crew, rng: random.Random, count: int, struck: Counter[str]) -> None:
    """Strike so many times: every other time whoever is inside a publish, at a random moment of it."""
    done = 0
    while done < count:
        aimed = crew.holder() if rng.random() < 0.7 else None
        time.sleep(rng.uniform(0, 0.02 if aimed else 0.2))
        manner = rng.choice(MANNERS)
        victim = aimed or rng.choice(crew.names)
        holding = victim == crew.holder(0.001)
        if crew.strike(victim, manner):
            done += 1
            struck[manner] += 1
            struck["holding"] += holding
        if rng.random() < 0.7:
            crew.revive()
    crew.revive()


def _between(folder: Path, ledgers: Path) -> tuple[list[str], float]:
    """While others publish: the register opens, holds all that was acknowledged until now, and takes one more."""
    told = read_all(ledgers)
    try:
        archive = Archive(folder)
    except GuidanceError as error:
        return [f"the register does not open: {error}"], 0.0
    try:
        found = inspection.recorded(archive.store.path, told)
        begun = time.monotonic()
        found += inspection.goes_on(archive)
        return found, time.monotonic() - begun
    finally:
        archive.close()
