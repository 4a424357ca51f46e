"""What follows from one document's history: the rows of the index, with the positions between which each was believed.

Pure: bodies in, rows out. What the rows mean is worked out by `register`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from typing import Any, Final, NamedTuple

import orjson

from guidance.errors import StoreError
from guidance.model import Document, Json, Version
from guidance.register import Awaited, Before, Coming, Late, Span, Stretch, parts

FOREVER: Final = 2**62
"""No day and no position comes after it."""
COLUMNS: Final = {"document": 3, "version": 6, "medicine": 2, "span": 8, "coming": 9}
"""How many columns each believed table has before `since` and `till`."""

Row = tuple[Any, ...]
Bodies = Mapping[int, int]
"""The body of each number (0: the document itself), as it is now."""


class Fact(NamedTuple):
    """One row that is true of a document while the register believes it."""

    table: str
    row: Row


def _made_of(document: Document, bodies: Bodies) -> set[Hashable]:
    """The parts of one state.

    A part (the document itself, a version, a stretch, what is awaited of a version) is known by what it was made of;
    the rows of one that stays are not worked out again.
    """
    named = document.named
    found: set[Hashable] = {(document.id, bodies[0], " ".join(named)), *document.versions}
    for jurisdiction in named:
        found.update(parts(document, jurisdiction))
    return found


def _facts(name: str, bodies: Bodies, part: Hashable) -> list[Fact]:
    """The rows that follow from a part."""
    match part:
        case Stretch() | Before():
            return [_span(name, bodies, span) for span in part.spans()]
        case Awaited() | Late():
            return [_coming(name, item) for item in part.items()]
        case Version():
            told = (part.number, bodies[part.number], part.stage, part.status, part.title)
            return [Fact("version", (name, *told)), *(Fact("medicine", (inn, name)) for inn in part.medicines)]
        case tuple():
            return [Fact("document", part)]
    raise AssertionError(part)


def _span(name: str, bodies: Bodies, span: Span) -> Fact:
    first, end = span.period.start.toordinal(), _ordinal(span.period.end)
    body = bodies[span.version] if span.version else None
    told = orjson.dumps(span.json())
    return Fact("span", (name, span.jurisdiction, first, end, span.state, span.version, body, told))


def _coming(name: str, item: Coming) -> Fact:
    overdue = item.expected.last.toordinal() + 1 if item.expected and not item.start else FOREVER
    told = orjson.dumps(item.json(date.min))
    place = (name, item.jurisdiction, item.version, item.rule or "", item.stage)
    return Fact("coming", (*place, _ordinal(item.start), overdue, _ordinal(item.gone), told))


def _ordinal(day: date | None) -> int:
    return FOREVER if day is None else day.toordinal()


class Believed:
    """The rows believed of one document as revisions go by: which ended, which began.

    A row may follow from several parts, and is believed as long as one of them stays.
    """

    def __init__(self, begun: Mapping[Fact, int] | None = None) -> None:
        self.begun = dict(begun or {})
        self._facts: dict[Hashable, Sequence[Fact]] = {fact: (fact,) for fact in self.begun}
        self._more: dict[Fact, int] = {}
        """From how many parts a row follows, besides the first."""

    def turn(self, position: int, document: Document, bodies: Bodies) -> Iterator[tuple[Fact, int, int]]:
        """Take in the state that holds from a position on; yields (fact, since, till) of all that ended there."""
        now = _made_of(document, bodies)
        gone = [self._facts.pop(part) for part in self._facts.keys() - now]
        for part in now - self._facts.keys():
            self._facts[part] = facts = _facts(document.id, bodies, part)
            for fact in facts:
                if fact in self.begun:
                    self._more[fact] = self._more.get(fact, 0) + 1
                else:
                    self.begun[fact] = position
        for fact in chain.from_iterable(gone):
            if more := self._more.get(fact):
                self._more[fact] = more - 1
            else:
                yield fact, self.begun.pop(fact), position


@dataclass
class History:
    """What happened to one document, in order: at each position, which numbers got which body."""

    steps: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    def rows(self, name: str, read: Callable[[int], Json]) -> dict[str, list[Row]]:
        """Every row that was ever believed, by table; `read` gives the JSON of a body."""
        found: dict[str, list[Row]] = defaultdict(list)
        believed = Believed()
        for fact, since, till in self._replayed(name, read, believed):
            found[fact.table].append((*fact.row, since, till))
        for fact, since in believed.begun.items():
            found[fact.table].append((*fact.row, since, FOREVER))
        return found

    def _replayed(self, name: str, read: Callable[[int], Json], believed: Believed) -> Iterator[tuple[Fact, int, int]]:
        """Walk through it from nothing; yields every row that ended, and leaves the others in `believed`."""
        document: Json = None
        versions: dict[int, Version] = {}
        bodies: dict[int, int] = {}
        for position in sorted(self.steps):
            for number, body in self.steps[position]:
                bodies[number] = body
                if number:
                    versions[number] = Version.of(read(body))
                else:
                    document = read(body)
            if document is None:
                raise StoreError(f"{name} has a version at position {position} before the document itself")
            value = Document.of(document, tuple(versions[number] for number in sorted(versions)))
            yield from believed.turn(position, value, bodies)
