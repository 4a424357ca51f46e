"""How an answer leaves: media type -> function. Adding a format is one function and one line in the table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from guidance.model import Json

JSON: Final = "application/json"
CSV: Final = "text/csv"
Format = Callable[[Iterable[bytes]], Iterable[bytes]]


def as_json(answer: Iterable[bytes]) -> Iterable[bytes]:
    """The answer as it is: pieces of one JSON text."""
    return answer


def as_csv(answer: Iterable[bytes]) -> Iterable[bytes]:
    """The answer's list as a table, one line for each item, nested members as columns named with dots (RFC 4180).

    A cell that a spreadsheet would run as a formula is led by an apostrophe.
    """
    return _table(orjson.loads(b"".join(answer)))


FORMATS: Final[dict[str, Format]] = {
    JSON: as_json,
    CSV: as_csv,
}

LISTS: Final = ("rules", "documents", "versions", "revisions", "medicines", "changes")
"""The member that is the table of an answer, the first of these that it has as a list."""


def _table(answer: Json) -> Iterator[bytes]:
    items = next((answer[name] for name in LISTS if isinstance(answer.get(name), list)), [answer])
    rows = [dict(_flat(item)) for item in items]
    if "version" in answer and isinstance(answer["version"], dict):
        rows = [dict(_flat(rule)) for rule in answer["version"]["rules"]]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    yield _line(columns)
    for row in rows:
        yield _line([_cell(row.get(name)) for name in columns])


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


def _safe(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _line(cells: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().encode("utf-8")
