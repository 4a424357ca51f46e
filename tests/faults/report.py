"""What a campaign found, while it runs and at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from textwrap import wrap


@dataclass
class Result:
    """One campaign's figures and findings; `skipped` says why it could not be run."""

    campaign: str
    figures: dict[str, int | float | str] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    skipped: str = ""
    fine: str = "nothing lost"
    """The verdict where there are no findings."""

    def add(self, findings: Iterable[str]) -> None:
        """Keep what was found, and tell it at once."""
        for finding in findings:
            self.findings.append(finding)
            print(f"{self.campaign:8} ! {finding}", file=sys.stderr, flush=True)

    def json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Result:
        return cls(**json.loads(text))

    @property
    def verdict(self) -> str:
        if self.skipped:
            return "skipped"
        return f"{len(self.findings)} findings" if self.findings else self.fine


def progress(campaign: str, done: int, of: int, told: str) -> None:
    """One line on stderr, written over on a terminal."""
    end = "\r" if sys.stderr.isatty() and done < of else "\n"
    print(f"{campaign:8} {done:5}/{of}  {told:60}", end=end, file=sys.stderr, flush=True)


def table(results: list[Result]) -> str:
    """The summary for people: a line per campaign, its figures, and what was found."""
    lines = []
    for result in results:
        lines.append(f"{result.campaign:10} {result.verdict}")
        told = result.skipped or " · ".join(f"{name} {value}" for name, value in result.figures.items())
        lines += wrap(told, 110, initial_indent=" " * 11, subsequent_indent=" " * 11)
        lines += [f"{'':11}! {finding}" for finding in result.findings[:20]]
    return "\n".join(lines)
