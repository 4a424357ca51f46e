"""Store and index as one: acts go in, questions come out, and every answer belongs to one revision."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from guidance.archive import Archive, Proposal, Receipt
from guidance.errors import (
    ActRefused,
    InvalidDocument,
    KeyReused,
    NoRegister,
    RegisterExists,
    StaleRevision,
    UnknownDocument,
    UnknownRevision,
)
from guidance.model import canonical
from guidance.store import Act
from tests.guidance import bodies
from tests.guidance.bodies import awaited, since

NAME = "ema/example"
DAY = timedelta(days=1)


@pytest.fixture
def publish(archive: Archive, act: Callable[..., Act], now: datetime) -> Callable[..., Receipt]:
    def published(*wanted: Any, at: datetime = now, base: str | None = None, **told: Any) -> Receipt:
        return archive.publish([Proposal(body, f"{n}.json") for n, body in enumerate(wanted)], act(**told), at, base)

    return published


@pytest.fixture
def first(publish: Callable[..., Receipt]) -> Receipt:
    """The first revision: a document with its first version."""
    return publish(bodies.document(), bodies.version(1))


def test_whoever_ends_the_making_of_a_register_is_told_so_though_git_still_writes_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(_: Archive) -> None:
        monkeypatch.setattr(os, "rmdir", still_written_to)
        raise KeyboardInterrupt

    def still_written_to(*_: object, **__: object) -> None:
        raise OSError(39, "Directory not empty")

    with pytest.raises(KeyboardInterrupt):
        Archive.make(tmp_path / "data", ended)
    assert not (tmp_path / "data" / "register.git").exists()


def head(archive: Archive) -> str | None:
    return archive.store.head()


# --- acts ------------------------------------------------------------------------------------------------


def test_a_receipt_names_the_revision_that_holds_what_was_published(
    archive: Archive, first: Receipt, now: datetime
) -> None:
    assert first.recorded
    assert first.revision == archive.tip() == archive.at(None)
    assert (first.revision.position, first.revision.act, first.revision.recorded_at) == (1, "publish", now)
    assert first.revision.subjects == (NAME, f"{NAME}@1")
    assert first.revision.id == head(archive)


def test_each_verb_is_recorded_as_what_it_was(
    archive: Archive, publish: Callable[..., Receipt], act: Any, now: Any
) -> None:
    hoped = bodies.version(1, awaited(expected="2020-01"), stage="recommended")
    found = [
        publish(bodies.document()),
        publish(hoped),
        publish(hoped | {"stage": "adopted"}),
        publish(hoped | {"stage": "decided"}),
        publish(bodies.version(1, since("2020-01-16"))),
        archive.correct(Proposal(bodies.version(1, since("2020-01-17"))), act(), now),
        archive.correct(Proposal(bodies.document(title="Another title")), act(), now),
        archive.withdraw((NAME, 1), "suspended", date(2021, 1, 1), (), act(), now),
    ]
    verbs = ["register", "publish", "advance", "advance", "reschedule", "correct", "correct", "withdraw"]
    assert [receipt.revision.act for receipt in found] == verbs
    assert [receipt.revision.position for receipt in found] == list(range(1, 9))


def test_what_is_recorded_already_makes_no_revision(
    archive: Archive, first: Receipt, publish: Callable[..., Receipt]
) -> None:
    publish(bodies.version(2))
    again = publish(bodies.version(1))
    assert (again.recorded, again.revision) == (False, first.revision)
    assert archive.tip() != first.revision


def test_nothing_is_not_something_to_record(publish: Callable[..., Receipt], first: Receipt) -> None:
    with pytest.raises(ActRefused, match="nothing to record"):
        publish()


def test_several_proposals_are_one_revision_or_none(
    archive: Archive, first: Receipt, publish: Callable[..., Receipt]
) -> None:
    with pytest.raises(InvalidDocument) as refused:
        publish(bodies.version(2), bodies.version(3, title=""), bodies.version(4, stage="perhaps"))
    assert {(v.file, v.pointer) for v in refused.value.violations} == {("1.json", "/title"), ("2.json", "/stage")}
    with pytest.raises(InvalidDocument, match="also starts on"):
        publish(bodies.version(2, since("2020-01-16")), bodies.version(3, since("2020-01-16")))
    assert archive.tip() == first.revision
    assert publish(bodies.version(3), bodies.version(2)).revision.subjects == (f"{NAME}@2", f"{NAME}@3")


def test_one_revision_does_not_record_a_version_twice(archive: Archive, publish: Callable[..., Receipt]) -> None:
    hoped = bodies.version(1, awaited(), stage="recommended")
    for twice in ([hoped, hoped | {"title": "In other words"}], [bodies.document(), bodies.document(title="B")]):
        with pytest.raises(ActRefused, match="stands 2 times"):
            publish(bodies.document("ema/other"), *twice)
    assert archive.tip() is None


def test_a_version_that_hopes_for_two_days_can_be_recorded(archive: Archive, publish: Callable[..., Receipt]) -> None:
    hoped = bodies.version(1, since("2020-01-01", to="2020-02-01"), since("2021-01-01"), stage="recommended")
    tip = publish(bodies.document(), hoped).revision
    (awaiting,) = archive.index.coming_of(NAME, date(2019, 1, 1).toordinal(), tip.position, ["EU"], 20)
    assert len(awaiting.dated) + len(awaiting.undated) == 2


def test_a_base_that_is_no_longer_the_newest_is_refused(
    archive: Archive, first: Receipt, publish: Callable[..., Receipt]
) -> None:
    second = publish(bodies.version(2), base=first.revision.id)
    for base in (first.revision.id, "0" * 40, second.revision.id[:6], ""):
        with pytest.raises(StaleRevision):
            publish(bodies.version(3), base=base)
    assert archive.tip() == second.revision
    assert publish(bodies.version(3), base=second.revision.id[:7]).recorded


def test_a_key_answers_a_repetition_with_what_was_recorded(
    archive: Archive, first: Receipt, publish: Callable[..., Receipt]
) -> None:
    second = publish(bodies.version(2), key="k-2", base=first.revision.id)
    publish(bodies.version(3))
    again = publish(bodies.version(2), key="k-2", base=first.revision.id)
    assert (again.recorded, again.revision) == (False, second.revision)
    with pytest.raises(KeyReused, match=second.revision.id):
        publish(bodies.version(2, title="Something else"), key="k-2")
    with pytest.raises(KeyReused, match=second.revision.id):  # nor could there have been a fourth version then
        publish(bodies.version(4), key="k-2")
    archive.index.rebuild(archive.store)
    assert publish(bodies.version(2), key="k-2").revision == second.revision


def test_a_key_answers_for_a_withdrawal_too(
    archive: Archive, first: Receipt, act: Callable[..., Act], now: datetime
) -> None:
    told = ((NAME, 1), "withdrawn", date(2021, 1, 1), (), act(key="k-1"), now)
    once, twice = archive.withdraw(*told), archive.withdraw(*told)
    assert (once.recorded, twice.recorded) == (True, False)
    assert once.revision == twice.revision


def test_an_end_in_a_word_of_ones_own_is_refused(
    archive: Archive, first: Receipt, act: Callable[..., Act], now: datetime
) -> None:
    with pytest.raises(InvalidDocument, match="/commencements/0/ends"):
        archive.withdraw((NAME, 1), "cancelled", date(2021, 1, 1), (), act(), now)
    assert archive.tip() == first.revision


def test_recorded_time_never_runs_backwards(archive: Archive, publish: Callable[..., Receipt], now: datetime) -> None:
    publish(bodies.document(), bodies.version(1))
    late = publish(bodies.version(2), at=now - 400 * DAY).revision
    assert late.recorded_at == now
    archive.index.rebuild(archive.store)
    assert archive.at(now) == late


@pytest.mark.parametrize("way", ["publish", "import"])
def test_an_act_is_dated_when_nobody_else_can_record_anything_and_not_when_it_began_to_wait_for_that(
    archive: Archive, tmp_path: Path, act: Callable[..., Act], now: datetime, way: str
) -> None:
    hands, asked = [now], []

    def clock() -> datetime:
        asked.append(archive.idle())
        return hands[0]

    (tmp_path / "lines").write_bytes(canonical(bodies.document()))
    acts: dict[str, Callable[[], object]] = {
        "publish": lambda: Archive(archive.folder).publish([Proposal(bodies.document())], act(), clock),
        "import": lambda: Archive(archive.folder).take_in(tmp_path / "lines", act(), clock),
    }
    with archive.store.lock():
        waiting = threading.Thread(target=acts[way])
        waiting.start()
        waiting.join(0.3)
        hands[0] += timedelta(seconds=20)
    waiting.join(60)
    tip = archive.tip()
    assert tip
    assert tip.recorded_at == now + timedelta(seconds=20)
    assert asked == [False]
    assert archive.idle()


def test_the_rows_that_an_act_adds_are_those_that_git_tells(
    archive: Archive, publish: Callable[..., Receipt], now: datetime
) -> None:
    told = {"author": "Äda <ä@example.org>", "approved_by": "B", "key": "k", "replayed": True}
    receipt = publish(bodies.document(), bodies.version(1), at=now.replace(microsecond=999_999), **told)
    assert [item.revision for item in archive.store.log()] == [receipt.revision]


# --- which revision --------------------------------------------------------------------------------------


def test_an_empty_register_answers(archive: Archive, now: datetime) -> None:
    assert archive.tip() is None
    assert archive.at(None) is archive.at(now) is None
    assert archive.register().documents == {}
    with pytest.raises(UnknownRevision):
        archive.at("0" * 40)


def test_before_the_register_existed_nothing_was_recorded(archive: Archive, first: Receipt, now: datetime) -> None:
    for before in (now - timedelta(seconds=1), datetime(1, 1, 1, tzinfo=UTC)):
        assert archive.at(before) is None
        assert archive.register(before).revision is None
        with pytest.raises(UnknownDocument):
            archive.register(before).document(NAME)


def test_an_instant_finds_the_newest_revision_recorded_by_then(
    archive: Archive, first: Receipt, publish: Callable[..., Receipt], now: datetime
) -> None:
    second = publish(bodies.version(2), at=now + DAY).revision
    third = publish(bodies.version(3), at=now + DAY).revision
    assert archive.at(now) == archive.at(now + DAY - timedelta(seconds=1)) == first.revision
    assert archive.at(now + DAY) == archive.at(datetime.max.replace(tzinfo=UTC)) == third
    assert archive.at(second.id) == second


def test_seven_letters_of_an_id_are_enough_and_six_are_not(archive: Archive, first: Receipt) -> None:
    for length in (7, 12, 40):
        assert archive.at(first.revision.id[:length]) == first.revision
    for other in (
        first.revision.id[:6],
        "",
        "HEAD",
        "main",
        "0" * 40,
        first.revision.id + "0",
        "--all",
        "\n",
        "%",
        "\ud800",
    ):
        with pytest.raises(UnknownRevision):
            archive.at(other)


def test_a_register_is_everything_as_it_was_known_then(
    archive: Archive, first: Receipt, act: Any, now: datetime
) -> None:
    corrected = bodies.version(1, since("2012-01-01"))
    archive.correct(Proposal(corrected), act(), now + DAY)
    then, today = archive.register(first.revision.id), archive.register()
    assert then.document(NAME).versions[0].body == bodies.version(1)
    assert today.document(NAME).versions[0].body == corrected
    assert then.on("2011-06-01").spans_of(NAME)[0].state == "in-force"
    assert today.on("2011-06-01").spans_of(NAME)[0].state == "not-yet"
    assert archive.register(documents=[]).documents == {}


# --- a folder --------------------------------------------------------------------------------------------


def test_a_folder_without_a_register_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoRegister):
        Archive(tmp_path)


def test_a_second_init_changes_nothing(archive: Archive, first: Receipt) -> None:
    with pytest.raises(RegisterExists):
        Archive.init(archive.folder)
    assert archive.tip() == first.revision


def test_what_another_process_publishes_is_seen(
    archive: Archive, first: Receipt, act: Callable[..., Act], now: datetime
) -> None:
    other = Archive(archive.folder)
    second = other.publish([Proposal(bodies.version(2))], act(), now)
    other.close()
    assert archive.tip() == second.revision
    assert [version.number for version in archive.register().document(NAME).versions] == [1, 2]


# --- many at once ----------------------------------------------------------------------------------------


def test_of_many_who_start_from_one_revision_exactly_one_publishes(
    archive: Archive, first: Receipt, act: Callable[..., Act], now: datetime
) -> None:
    def attempt(number: int) -> str:
        try:
            wanted = [Proposal(bodies.version(2, title=f"Proposal {number}"))]
            return archive.publish(wanted, act(), now, first.revision.id).revision.id
        except StaleRevision:
            return "stale"
        finally:
            archive.close()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(attempt, range(4)))
    assert sorted(found, key=len) == ["stale"] * 3 + [head(archive)]


def test_publishers_of_different_documents_lose_nothing(
    archive: Archive, act: Callable[..., Act], now: datetime
) -> None:
    def publish(number: int) -> int:
        name = f"ema/example-{number}"
        wanted = [Proposal(bodies.document(name)), Proposal(bodies.version(1, document=name))]
        try:
            return archive.publish(wanted, act(), now).revision.position
        finally:
            archive.close()

    with ThreadPoolExecutor(4) as pool:
        positions = sorted(pool.map(publish, range(12)))
    assert positions == list(range(1, 13))
    assert len(archive.register().documents) == 12
    archive.store.fsck()


def test_readers_see_whole_revisions_while_others_publish(
    archive: Archive, act: Callable[..., Act], now: datetime
) -> None:
    """Each revision gives two documents the same title: a reader who saw two titles saw half of one."""
    first, second = "ema/example-1", "ema/example-2"
    archive.publish([Proposal(bodies.document(n, title="0")) for n in (first, second)], act(), now)
    done, wrong, seen = threading.Event(), [], set()

    def read() -> None:
        while not done.is_set():
            tip = archive.tip()
            assert tip is not None
            register = archive.register(tip.id)
            titles = {register.document(name).title for name in (first, second)}
            seen.add(tip.position)
            if titles != {str(tip.position - 1)}:
                wrong.append((tip.position, titles))
        archive.close()

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read) for _ in range(8)]
        for count in range(1, 13):
            archive.publish([Proposal(bodies.document(n, title=str(count))) for n in (first, second)], act(), now)
        done.set()
        for reader in readers:
            reader.result()
    assert wrong == []
    assert len(seen) > 2


def test_a_thread_does_without_an_index_that_another_one_saw_replaced(
    archive: Archive, first: Receipt, publish: Callable[..., Receipt]
) -> None:
    with ThreadPoolExecutor(max_workers=1) as other:
        assert other.submit(lambda: archive.register().document(NAME).versions[-1].number).result() == 1
        for file in archive.folder.glob("index.sqlite*"):
            file.unlink()
        elsewhere = Archive(archive.folder)
        receipt = elsewhere.publish(
            [Proposal(bodies.version(2))], Act("publish", "A <a@example.org>", "why"), datetime.now(UTC)
        )
        elsewhere.close()
        assert archive.tip() == receipt.revision
        assert other.submit(lambda: archive.register().document(NAME).versions[-1].number).result() == 2
        other.submit(archive.close).result()
