"""How an answer leaves: media type -> function. Adding a format is one function and one line in the table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from guidance.later import later
from guidance.model import Json, Sides

JSON: Final = "application/json"
CSV: Final = "text/csv"
PATCH: Final = "application/json-patch+json"
WORD: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


class Answer(NamedTuple):
    """What a format is given: the pieces of one JSON text and, for a diff, how to make its patch and find its sides."""

    pieces: Iterable[bytes]
    patch: Callable[[], Json] | None = None
    sides: Callable[[], Iterable[Sides]] = tuple


class Format(NamedTuple):
    """A media type's short name, how an answer is written in it, and whether it is only for diffs."""

    name: str
    write: Callable[[Answer], Iterable[bytes]]
    diffs_only: bool = False


def as_json(answer: Answer) -> Iterable[bytes]:
    """The answer as it is: pieces of one JSON text."""
    return answer.pieces


def as_csv(answer: Answer) -> Iterable[bytes]:
    """The answer's list as a table, one line for each item, nested members as columns named with dots (RFC 4180).

    A cell that a spreadsheet would run as a formula is led by an apostrophe.
    """
    return _table(orjson.loads(b"".join(answer.pieces)))


def as_patch(answer: Answer) -> Iterable[bytes]:
    """A diff as RFC 6902 operations on the projections of its two sides, proven by applying them."""
    assert answer.patch is not None
    return (orjson.dumps(answer.patch()),)


def as_word(answer: Answer) -> Iterable[bytes]:
    """A diff as a Word document with tracked changes, the whole text of one document after them."""
    return (later("service.word:tracked")(orjson.loads(b"".join(answer.pieces)), answer.sides()),)


FORMATS: Final[dict[str, Format]] = {
    JSON: Format("json", as_json),
    CSV: Format("csv", as_csv),
    PATCH: Format("patch", as_patch, diffs_only=True),
    WORD: Format("docx", as_word, diffs_only=True),
}


def offered(diff: bool) -> dict[str, Format]:
    """The formats in which an answer can leave, by media type."""
    return {media: one for media, one in FORMATS.items() if diff or not one.diffs_only}


LISTS: Final = ("rules", "changes", "documents", "versions", "revisions", "medicines", "found")
"""The member that is the table of an answer, the first of these that it has as a list."""


def _table(answer: Json) -> Iterator[bytes]:
    rows = [dict(_flat(item)) for item in _items(answer)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    yield _line(columns)
    for row in rows:
        yield _line([_cell(row.get(name)) for name in columns])


def _items(answer: Json) -> list[Json]:
    """The rows of an answer's table: one version's rules, every document's changes, or the list that it has."""
    if "version" in answer:  # None where nothing of a document is in force: then it is a table without a line
        return list(answer["version"]["rules"]) if answer["version"] else []
    if "question" in answer and "documents" in answer:
        return [{"document": one["document"], **change} for one in answer["documents"] for change in one["changes"]]
    return next((answer[name] for name in LISTS if isinstance(answer.get(name), list)), [answer])


def _flat(value: Mapping[str, Json], prefix: str = "") -> Iterator[tuple[str, Json]]:
    for name, member in value.items():
        if isinstance(member, dict):
            yield from _flat(member, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", member


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        plain = all(isinstance(item, str) for item in value)
        return _safe(" ".join(value) if plain else orjson.dumps(value).decode("utf-8"))
    return _safe(value) if isinstance(value, str) else orjson.dumps(value).decode("utf-8")


FORMULA: Final = frozenset("=+-@\t\r\n＝＋－＠")
"""First letters of what a spreadsheet may run; some read the wide ones as their narrow twins."""


def _safe(text: str) -> str:
    return f"'{text}" if text[:1] in FORMULA else text


def _line(cells: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().encode("utf-8")
