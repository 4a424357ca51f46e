"""What is measured: generated registers in a folder, made once and used again where the folder is kept."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from benchmarks.generator import FIRST, LAST, Shape, name_of, write
from guidance.archive import Archive
from guidance.store import Act

ACT: Final = Act("publish", "Benchmark <benchmark@inforce.invalid>", "generated to be measured")
RECORDED: Final = datetime(2026, 3, 2, tzinfo=UTC)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ground:
    """A folder for registers, the shape of the main one, and how much to measure."""

    folder: Path
    shape: Shape
    rounds: int
    questions: int
    say: Say

    @property
    def warm(self) -> int:
        """Thousands of answers until a cache of the usual size is full; fewer where little is measured at all."""
        return min(5, self.questions // 400)

    @property
    def fewer(self) -> Shape:
        """A tenth of the documents."""
        return Shape(max(10, self.shape.documents // 10), self.shape.versions, self.shape.rules)

    @property
    def longer(self) -> Shape:
        """A tenth of the documents, each with ten times the versions."""
        return Shape(self.fewer.documents, self.shape.versions * 10, self.shape.rules)

    def lines(self, shape: Shape) -> Path:
        """A register as JSON lines."""
        path = self.folder / f"{label(shape)}.jsonl"
        if not path.exists():
            self.say(f"writing {shape.total} versions of {shape.documents} documents")
            write(shape, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
        return path

    def archive(self, shape: Shape) -> Archive:
        """A register, imported."""
        folder = self.folder / label(shape)
        if not (folder / "register.git").exists():
            lines = self.lines(shape)
            self.say(f"importing {shape.total} versions of {shape.documents} documents")
            Archive.make(folder, lambda archive: take_in(archive, lines)).close()
        return Archive(folder)

    def copied(self, shape: Shape, name: str) -> Path:
        """A copy of a register's folder, to be changed and thrown away."""
        self.archive(shape).close()
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return Path(shutil.copytree(self.folder / label(shape), self.folder / name))


def take_in(archive: Archive, lines: Path) -> None:
    archive.take_in(lines, ACT, RECORDED)


def label(shape: Shape) -> str:
    return f"{shape.documents}x{shape.versions}"


class Questions:
    """As-of questions by chance, the same for the same seed: which document, on which day, seen from which revision."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self.shape, self.chance = shape, random.Random(seed)

    def document(self) -> str:
        return name_of(self.shape, self.chance.randrange(self.shape.documents))

    def day(self, since: date = FIRST) -> date:
        return since + timedelta(self.chance.randrange((LAST - since).days + 200))

    def path(self) -> str:
        return f"/v1/documents/{self.document()}?on={self.day()}"

    def path_at(self, archive: Archive) -> str:
        """A question that looks from one of the revisions that recorded the document."""
        name = self.document()
        found = archive.index.history(name, 2**62, limit=1000)
        return f"/v1/documents/{name}?on={self.day()}&at={self.chance.choice(found).id}"
