"""The rows of an index, told so that two of them can be compared: bodies by their blob, for ids come as they come."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from guidance.index import Index

TABLES = ("revision", "touched", "body", "document", "version", "medicine", "span", "coming")


def rows(index: Index) -> dict[str, set[tuple[Any, ...]]]:
    """Every row of every table."""
    return {table: _rows(index, table) for table in TABLES}


def _rows(index: Index, table: str) -> set[tuple[Any, ...]]:
    with closing(index.sql.cursor()) as cursor:
        columns = [row[1] for row in cursor.execute(f"PRAGMA table_info({table})")]
        if table == "body":
            columns.remove("id")
        told = [f"(SELECT hex(blob) FROM body WHERE id=t.{name})" if name == "body" else name for name in columns]
        return set(cursor.execute(f"SELECT {', '.join(told)} FROM {table} t").fetchall())
