"""The tables on both databases: positions without a gap, whoever appends; readers that never skip one."""

from __future__ import annotations

import multiprocessing
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import func, select, text

from guidance.errors import StoreUnreadable
from guidance.model import Json
from service import migrations
from service.state import DELIVERY, EVENT, LANE, METADATA, NEWEST, SUBSCRIPTION, Queued, State, instant, stamp
from tests.service.databases import KINDS, database

WRITERS = 8
EACH = 12


@dataclass(frozen=True)
class Told:
    id: str
    document: str = "ema/lemtrada"
    occurred_at: str = "2020-01-15T23:00:00Z"

    def json(self) -> dict[str, Json]:
        return {"id": self.id, "document": self.document, "occurred_at": self.occurred_at}


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def state(url: str) -> Iterator[State]:
    opened = State(url)
    yield opened
    opened.close()


def write(url: str, writer: int, start: float) -> None:
    state = State(url)
    while time.monotonic() < start:
        time.sleep(0.001)
    for number in range(EACH):
        shared = Told(f"shared-{number}")
        state.append([Told(f"{writer}-{number}-a"), shared, Told(f"{writer}-{number}-b")])
    state.close()


def test_the_migrations_make_exactly_the_tables_that_are_declared(state: State) -> None:
    with state.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_the_newest_step_is_the_last_of_the_migrations(state: State) -> None:
    steps = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert steps.get_current_head() == NEWEST
    with state.reading() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == NEWEST


def test_alembic_is_loaded_where_tables_are_not_there_yet_and_nowhere_else(tmp_path: Path) -> None:
    seen = "import sys, pathlib; from service.state import State; State(pathlib.Path(sys.argv[1])).tip();"
    seen += "print('alembic' in sys.modules)"
    words = [sys.executable, "-c", seen, str(tmp_path / "state.sqlite")]
    told = [subprocess.run(words, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert told == ["True\n", "False\n"]


def test_opening_again_changes_nothing(state: State, url: str) -> None:
    assert state.append([Told("a")]) == [1]
    again = State(url)
    assert [position for position, _ in again.events()] == [1]
    again.close()


def test_eight_processes_may_open_an_empty_database_at_once_and_append_without_gap_or_twin(url: str) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["service.state", "guidance.events"])
    start = time.monotonic() + 3
    writers = [context.Process(target=write, args=(url, writer, start)) for writer in range(WRITERS)]
    for writer in writers:
        writer.start()
    state = State(url)
    read: list[tuple[int, str]] = []
    while any(writer.is_alive() for writer in writers) or state.tip() > len(read):
        state.wait(len(read), 0.05)
        read += [(position, body["id"]) for position, body in state.events(read[-1][0] if read else 0, 37)]
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    assert [position for position, _ in read] == list(range(1, WRITERS * EACH * 2 + EACH + 1))
    ids = [name for _, name in read]
    assert len(set(ids)) == len(ids)
    for writer in range(WRITERS):
        own = [name for name in ids if name.startswith(f"{writer}-")]
        assert own == [f"{writer}-{number}-{part}" for number in range(EACH) for part in "ab"]
    state.close()


def test_an_event_that_is_known_is_appended_once(state: State) -> None:
    assert state.append([Told("a"), Told("b"), Told("a")]) == [1, 2]
    assert state.append([Told("b"), Told("c")]) == [3]
    assert state.append([Told("c")]) == []
    assert state.append([]) == []
    assert [body["id"] for _, body in state.events(1, 10)] == ["b", "c"]


def test_a_reader_pages_to_the_end(state: State) -> None:
    state.append([Told(str(number)) for number in range(1200)])
    assert [position for position, _ in state.events(1190, 5)] == [1191, 1192, 1193, 1194, 1195]
    assert state.events(1200) == []
    assert state.tip() == 1200


def test_events_are_found_by_when_they_occurred(state: State) -> None:
    state.append([Told("a", occurred_at="2020-01-15T23:00:00Z"), Told("b", occurred_at="2020-02-01T00:00:00+01:00")])
    january = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 31, 23, tzinfo=UTC)
    assert [body["id"] for _, body in state.between(*january)] == ["a"]


def test_waiting_ends_when_another_process_appends(state: State, url: str) -> None:
    other = State(url)
    threading.Timer(0.4, lambda: other.append([Told("late")])).start()
    began = time.perf_counter()
    assert state.wait(0, 10)
    assert time.perf_counter() - began < 1.5
    assert state.wait(0, 0)
    other.close()


def test_an_event_is_seen_within_100_milliseconds_of_its_commit(state: State, url: str) -> None:
    other = State(url)
    state.wait(0, 0.6)  # the watch is up
    late: list[float] = []
    for number in range(10):
        committed: list[float] = []

        def append(number: int = number, committed: list[float] = committed) -> None:
            other.append([Told(str(number))])
            committed.append(time.perf_counter())

        timer = threading.Timer(0.05, append)
        timer.start()
        assert state.wait(number, 5)
        seen = time.perf_counter()
        timer.join()
        late.append(seen - committed[0])
    assert sorted(late)[5] < 0.1
    other.close()


def test_waiting_is_bounded(state: State) -> None:
    state.tip()  # the tables are made
    began = time.perf_counter()
    assert not state.wait(0, 0.2)
    assert 0.15 < time.perf_counter() - began < 1


def test_how_far_events_were_derived_is_kept(state: State) -> None:
    assert state.derived() is None
    state.derived_to(3, datetime(2020, 1, 1, tzinfo=UTC), "a" * 40)
    state.derived_to(5, datetime(2020, 1, 2, tzinfo=UTC), "b" * 40)
    assert state.derived() == (5, datetime(2020, 1, 2, tzinfo=UTC), "b" * 40)


def test_tables_of_an_earlier_release_are_brought_along_with_what_they_hold(url: str) -> None:
    plain = State(url)
    settings = Config()
    settings.set_main_option("script_location", str(Path(migrations.__file__).parent))
    settings.set_main_option("path_separator", "os")
    with plain.engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "0002")
        connection.execute(text("INSERT INTO derived (one, position, instant) VALUES (1, 7, 1577836800000000)"))
    plain.close()
    state = State(url)
    assert state.derived() == (7, datetime(2020, 1, 1, tzinfo=UTC), None)
    state.derived_to(8, datetime(2020, 1, 2, tzinfo=UTC), "a" * 40)
    assert state.derived() == (8, datetime(2020, 1, 2, tzinfo=UTC), "a" * 40)
    with state.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    state.close()


def test_tables_of_a_newer_release_are_left_alone(url: str) -> None:
    older = State(url)
    older.tip()
    older.close()
    plain = State(url)
    with plain.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num='9999'"))
    with pytest.raises(StoreUnreadable, match="a newer release has changed its tables"):
        plain.tip()
    plain.close()


def test_a_file_that_is_no_database_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").write_bytes(b"\xa5" * 8192)
    state = State(tmp_path / "state.sqlite")
    with pytest.raises(StoreUnreadable, match="its database is broken"):
        state.tip()
    state.close()


def test_a_postgresql_that_takes_connections_and_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing"
        assert State(url).engine.url.query["connect_timeout"] == "10"
        impatient = State(f"{url}?connect_timeout=2")
        with pytest.raises(StoreUnreadable, match="its database does not answer"):
            impatient.tip()


def test_a_file_that_was_replaced_or_deleted_is_left_for_what_lies_there_now(tmp_path: Path) -> None:
    """Somebody brings a copy back while the service runs: what is written to the file that is gone nobody would see."""
    state, other = State(tmp_path / "state.sqlite"), State(tmp_path / "other.sqlite")
    state.append([Told("evt-1"), Told("evt-2")])
    other.append([Told("evt-3")])
    other.close()
    (tmp_path / "other.sqlite").replace(tmp_path / "state.sqlite")
    for left in ("state.sqlite-wal", "state.sqlite-shm"):
        (tmp_path / left).unlink(missing_ok=True)
    assert state.tip() == 1
    for file in tmp_path.glob("state.sqlite*"):
        file.unlink()
    with suppress(StoreUnreadable):
        state.tip()
    assert state.tip() == 0
    assert state.append([Told("evt-4")]) == [1]
    seen = State(tmp_path / "state.sqlite")
    assert seen.tip() == 1
    seen.close()
    state.close()


def test_an_instant_survives_its_stamp() -> None:
    for moment in (datetime(1969, 1, 1, tzinfo=UTC), datetime(2026, 2, 2, 12, 0, 0, 123456, tzinfo=UTC)):
        assert instant(stamp(moment)) == moment
    assert stamp(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=7)) == 7


def test_a_lane_keeps_its_head_while_more_is_queued_behind_it(state: State) -> None:
    with state.writing() as connection:
        row = dict.fromkeys(("owner", "name", "url", "origin", "filter", "state", "why", "challenge"), "")
        connection.execute(SUBSCRIPTION.insert(), [{**row, "id": "s", "created_at": 0, "streak": 0, "cursor": 0}])
        first = state.enqueue(connection, [Queued("s", "d", "event", "a"), Queued("s", "e", "event", "b")])
        second = state.enqueue(connection, [Queued("s", "d", "event", "c")])
    with state.reading() as connection:
        heads = connection.execute(select(LANE.c.document, LANE.c.head).order_by(LANE.c.document)).all()
        assert [tuple(head) for head in heads] == [("d", first[0]), ("e", first[1])]
        assert second[0] > first[1]
        assert connection.execute(select(func.count()).select_from(DELIVERY)).scalar_one() == 3
        assert connection.execute(select(func.count()).select_from(EVENT)).scalar_one() == 0
