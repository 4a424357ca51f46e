"""Progress of long work, drawn where a person watches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


class Shown:
    """Progress of long work on standard error, where a person watches."""

    def __enter__(self) -> Callable[[str, int, int], None]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        console = Console(stderr=True)
        self.bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.tasks: dict[str, Any] = {}
        self.bar.start()
        return self.step

    def step(self, what: str, done: int, of: int) -> None:
        if what not in self.tasks:
            self.tasks[what] = self.bar.add_task(what, total=of or None)
        self.bar.update(self.tasks[what], completed=done, total=of or None)

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
