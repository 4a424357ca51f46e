"""Which campaigns there are, how long each takes by default, and the command that runs them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final, NamedTuple

from tests.faults import errors, kills, power, readers
from tests.faults.report import Result, table


class Campaign(NamedTuple):
    """One kind of fault: what runs it, how much of it by default, and how much in a full run."""

    run: Callable[[int, int], Result]
    few: int
    full: int
    unit: str


CAMPAIGNS: Final = {
    "kills": Campaign(kills.run, 15, 200, "kills"),
    "readers": Campaign(readers.run, 5, 60, "seconds"),
    "errors": Campaign(errors.run, 40, 1_000_000, "failing calls"),
    "power": Campaign(power.run, 2, 25, "power cuts"),
    "control": Campaign(power.control, 2, 10, "power cuts"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; 1 if anything was lost, broken or blocked."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Try to lose an acknowledged version.")
    parser.add_argument("campaign", nargs="?", default="all", choices=[*CAMPAIGNS, "all"])
    parser.add_argument("--count", type=int, help="how many kills, power cuts, failing calls or seconds")
    parser.add_argument("--full", action="store_true", help="as much as the documented run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one line of JSON per campaign instead of the table")
    asked = parser.parse_args(arguments)
    results = []
    for name in CAMPAIGNS if asked.campaign == "all" else [asked.campaign]:
        campaign = CAMPAIGNS[name]
        results.append(campaign.run(asked.count or (campaign.full if asked.full else campaign.few), asked.seed))
    print("\n".join(result.json() for result in results) if asked.json else table(results))
    return int(any(result.findings for result in results))
