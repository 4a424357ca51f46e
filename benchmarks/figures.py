"""A figure: what was measured, against what, and whether it is as good as it has to be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

AT_LEAST: Final = "≥"
AT_MOST: Final = "≤"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    what: str
    value: float
    sense: str
    """Whether the value has to be at least, or at most, the target."""
    target: float
    unit: str = ""
    """Of the value; none for a ratio."""
    detail: str = ""

    @property
    def met(self) -> bool:
        return self.value >= self.target if self.sense == AT_LEAST else self.value <= self.target

    def row(self) -> tuple[str, str, str, str, str]:
        unit = f" {self.unit}" if self.unit else ""
        verdict = "met" if self.met else "missed"
        return self.what, f"{self.value:.3g}{unit}", f"{self.sense} {self.target:g}{unit}", verdict, self.detail


COLUMNS: Final = ("what", "measured", "target", "verdict", "detail")


def show(figures: Iterable[Figure]) -> None:
    """The table, for a terminal."""
    table = Table(*COLUMNS)
    for figure in figures:
        table.add_row(*figure.row())
    Console().print(table)


def markdown(figures: Iterable[Figure]) -> str:
    """The table, for a document."""
    rows = [COLUMNS, tuple("---" for _ in COLUMNS), *(figure.row() for figure in figures)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def seconds(work: Callable[[], object]) -> float:
    """How long one piece of work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turn(rounds: int, *works: Callable[[], object]) -> list[float]:
    """The median seconds of each piece of work, done in turn, so that a busy minute hits all of them alike."""
    taken = [[seconds(work) for work in works] for _ in range(rounds)]
    return [median(column) for column in zip(*taken, strict=True)]


def ratio(rounds: int, work: Callable[[], object], against: Callable[[], object]) -> tuple[float, float, float]:
    """(median of work / against, median seconds of work, of against), round by round."""
    taken = [(seconds(against), seconds(work)) for _ in range(rounds)]
    first, second = ([pair[place] for pair in taken] for place in (0, 1))
    return median(b / a for a, b in taken), median(second), median(first)


def drained(pieces: Iterable[object]) -> int:
    """How many pieces there were."""
    return sum(1 for _ in pieces)
