"""What each document said on each day at each revision, walked naively from git: what readers' answers are held to."""

from __future__ import annotations

import bisect
import json
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from tests.faults import material
from tests.faults.inspection import git


class Seen(NamedTuple):
    """One answer that a reader got: which document, day and position it asked for, which version and bytes it got."""

    document: str
    day: int
    position: int
    number: int | None
    content: int
    """Python's hash of the bytes."""


class Truth:
    """All that was recorded, in order; reads on as the history grows."""

    def __init__(self, repo: Path) -> None:
        self.repo = repo
        self.position = 0
        self.newest = ""
        self._recorded: dict[str, dict[int, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        """document -> number -> (position, hash of the bytes), in order."""

    def read_on(self) -> None:
        """Take in every revision since the last time, from the trees themselves."""
        span = f"{self.newest}..refs/heads/main" if self.newest else "refs/heads/main"
        form = ("--reverse", "--first-parent", "--root", "--raw", "--no-abbrev", "--no-renames", "--format=%x01%H")
        rows: list[tuple[int, str]] = []
        for line in git(self.repo, "log", *form, span).decode().splitlines():
            if line.startswith("\x01"):
                self.position, self.newest = self.position + 1, line[1:]
            elif line.startswith(":") and "/versions/" in line:
                rows.append((self.position, line.split()[3]))
        for (position, _), content in zip(rows, self._contents([blob for _, blob in rows]), strict=True):
            body = json.loads(content)
            self._recorded[body["document"]][body["number"]].append((position, hash(content)))

    def _contents(self, blobs: list[str]) -> list[bytes]:
        answer, found, at = git(self.repo, "cat-file", "--batch", given="\n".join([*blobs, ""]).encode()), [], 0
        for _ in blobs:
            end = answer.index(b"\n", at)
            size = int(answer[at:end].split()[2])
            found.append(answer[end + 1 : end + 1 + size])
            at = end + 1 + size + 1
        return found

    def agrees(self, seen: Seen) -> bool:
        """Whether an answer is the right one: the version with the latest first day, as last recorded by then."""
        numbers = self._recorded[seen.document]
        known = [number for number, steps in numbers.items() if steps[0][0] <= seen.position]
        number = max((n for n in known if material.starts(n).toordinal() <= seen.day), default=None)
        if number is None or seen.number is None:
            return number == seen.number
        steps = numbers[number]
        last = bisect.bisect_right(steps, seen.position, key=lambda step: step[0]) - 1
        return (seen.number, seen.content) == (number, steps[last][1])
