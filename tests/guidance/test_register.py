"""What applies on a day: by example; then the core against a naive oracle, and the index against the core."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance import register
from guidance.archive import Archive, Proposal
from guidance.derived import FOREVER
from guidance.errors import UnknownDocument
from guidance.index import Index
from guidance.model import Document, Version, canonical
from guidance.register import Applying, Coming, Register, Snapshot, coming, scope, spans
from guidance.store import Act
from guidance.vocabulary import within
from tests.guidance import bodies
from tests.guidance.bodies import awaited, rule, since
from tests.guidance.histories import PLACES, Attempt, Step, days, histories, recorded
from tests.guidance.tables import rows
from tests.oracle import Hope, Oracle, Said

FULL = not settings.default.derandomize
NAME = "ema/example"


# --- by example ------------------------------------------------------------------------------------------


def on(day: str, place: str | None, *versions: Any) -> Snapshot:
    """The register on a day, holding one document with these versions."""
    document = Document.of(bodies.document(NAME), tuple(map(Version.of, versions)))
    return Register(None, {NAME: document}).on(day, place)


def says(day: str, place: str, *versions: Any) -> tuple[str, int | None]:
    """(state, version) of the document on a day."""
    span = on(day, place, *versions).spans_of(NAME)[0]
    return span.state, span.version


def awaits(day: str, *versions: Any) -> list[tuple[int, str]]:
    """(version, state) of what is coming to the Union."""
    found = on(day, "EU", *versions).coming_of(NAME)
    return [(item.version, item.state(date.fromisoformat(day))) for item in found]


def version(number: int, *commencements: Any, **more: Any) -> Any:
    return bodies.version(number, *commencements, **more)


def test_a_day_before_the_first_version_is_an_answer() -> None:
    assert says("2013-09-11", "EU", version(1, since("2013-09-12"))) == ("not-yet", None)
    assert says("2013-09-12", "EU", version(1, since("2013-09-12"))) == ("in-force", 1)


def test_before_a_beginning_that_is_only_the_oldest_source_read_nothing_is_recorded() -> None:
    assert says("2018-03-01", "EU", version(1, since("2018-03-02", at_latest=True))) == ("not-recorded", None)


def test_a_version_that_began_later_applies_whatever_its_number() -> None:
    later_known, earlier_begun = version(1, since("2024-01-31")), version(2, since("2023-10-11"))
    assert says("2024-01-30", "EU", later_known, earlier_begun) == ("in-force", 2)
    assert says("2024-01-31", "EU", later_known, earlier_begun) == ("in-force", 1)


def test_a_superseded_version_does_not_come_back_when_the_later_one_ends() -> None:
    both = version(1, since("2019-01-01")), version(2, since("2020-01-01", to="2020-06-01"))
    assert says("2020-05-31", "EU", *both) == ("in-force", 2)
    assert says("2020-06-01", "EU", *both) == ("ended", 2)


def test_an_end_of_its_own_opens_a_gap_that_the_next_version_closes() -> None:
    both = version(1, since("2019-01-01", to="2019-07-01")), version(2, since("2020-01-01"))
    assert [says(day, "EU", *both)[0] for day in ("2019-06-30", "2019-07-01", "2019-12-31", "2020-01-01")] == [
        "in-force",
        "ended",
        "ended",
        "in-force",
    ]


@pytest.mark.parametrize(("to", "last"), [("2020-02", "2020-02-29"), ("2021-02", "2021-02-28"), ("2020", "2020-12-31")])
def test_an_end_known_to_the_month_or_year_is_ending_within_it_and_ended_after(to: str, last: str) -> None:
    told = version(1, since("2019-01-01", to=to))
    first = date.fromisoformat(f"{to}-01-01"[:10])
    after = date.fromisoformat(last) + timedelta(days=1)
    assert says(str(first - timedelta(days=1)), "EU", told) == ("in-force", 1)
    assert says(str(first), "EU", told) == says(last, "EU", told) == ("ending", 1)
    assert says(str(after), "EU", told) == ("ended", 1)


def test_what_begins_within_the_month_of_an_end_leaves_that_end_as_it_was_written() -> None:
    both = version(1, since("2019-12-01", to="2020-01")), version(2, since("2020-01-16"))
    (span,) = on("2020-01-15", "EU", *both).spans_of(NAME)
    assert (span.state, str(span.until), span.ends) == ("ending", "2020-01", "expired")
    assert says("2020-01-16", "EU", *both) == ("in-force", 2)


def test_what_begins_on_the_day_of_an_end_supersedes() -> None:
    both = version(1, since("2019-12-01", to="2020-01-16")), version(2, since("2020-01-16"))
    (span,) = on("2020-01-15", "EU", *both).spans_of(NAME)
    assert (span.state, str(span.until), span.ends) == ("in-force", "2020-01-16", "superseded")


def test_the_basis_of_an_end_is_not_told_of_another_end() -> None:
    first = version(1, since("2019-12-01", to="2020-06-01", ends_basis="The text says so."))
    (alone,), (superseded,) = (
        on("2020-01-01", "EU", *some).spans_of(NAME) for some in ((first,), (first, version(2, since("2020-02-01"))))
    )
    assert (alone.json()["ends"], alone.json().get("ends_basis")) == ("expired", "The text says so.")
    assert (superseded.json()["ends"], superseded.json().get("ends_basis")) == ("superseded", None)


def test_what_goes_on_by_another_commencement_is_not_coming() -> None:
    own = [since("2020-01-01", to="2020-06-01"), since("2020-06-01", to="2020-08-01"), since("2020-09-01")]
    both = version(1, since("2019-01-01"), rules=[rule("one", commencements=own), rule("two")])
    assert [str(item.start) for item in on("2020-02-01", "EU", both).coming_of(NAME)] == ["2020-09-01"]


@pytest.mark.parametrize("stage", ["announced", "recommended", "adopted"])
def test_what_does_not_bind_is_never_in_force(stage: str) -> None:
    hoped = version(1, since("2020-01-16"), stage=stage)
    assert says("2030-01-01", "EU", hoped) == ("not-yet", None)
    assert awaits("2020-01-16", hoped) == [(1, "coming")]
    assert awaits("2020-01-17", hoped) == [(1, "outstanding")]


@pytest.mark.parametrize("status", ["overruled", "overtaken", "withdrawn"])
def test_what_no_longer_stands_is_neither_in_force_nor_coming(status: str) -> None:
    gone = version(1, since("2020-01-16"), status=status)
    assert says("2030-01-01", "EU", gone) == ("not-yet", None)
    assert awaits("2019-01-01", gone) == []


def test_what_is_expected_in_a_month_is_outstanding_after_it_until_something_later_takes_effect() -> None:
    both = version(1, awaited(expected="2020-01")), version(2, since("2020-06-01"))
    assert awaits("2020-01-31", *both) == [(2, "coming"), (1, "coming")]
    assert awaits("2020-02-01", *both) == awaits("2020-05-31", *both) == [(2, "coming"), (1, "outstanding")]
    assert awaits("2020-06-01", *both) == []


def test_what_took_effect_before_the_expected_time_had_passed_does_not_stand_in_for_it() -> None:
    both = version(1, awaited(expected="2020-01")), version(2, since("2020-01-31"))
    assert awaits("2020-03-01", *both) == [(1, "outstanding")]


def test_an_earlier_version_that_takes_effect_late_does_not_stand_in_for_a_later_one() -> None:
    both = version(1, since("2020-06-01")), version(2, awaited(expected="2020-01"))
    assert awaits("2020-06-01", *both) == [(2, "outstanding")]


def test_a_day_of_its_own_for_great_britain_goes_before_that_of_the_whole_kingdom() -> None:
    told = version(1, since("2020-03-01", "UK"), since("2020-01-01", "GB"))
    assert says("2020-02-01", "GB", told) == ("in-force", 1)
    assert says("2020-02-01", "UK", told) == ("not-yet", None)
    assert says("2020-02-01", "NI", told) == ("not-yet", None)


def test_a_part_inherits_from_the_whole_where_nothing_else_is_said_of_it() -> None:
    told = version(1, since("2020-01-01", "EU", "UK"))
    assert {says("2020-01-01", place, told) for place in ("DE", "EU", "GB", "NI")} == {("in-force", 1)}
    assert on("2020-01-01", "CH", told).spans_of(NAME) == ()
    assert on("2020-01-01", "GB", told).rules_of(NAME) == (Applying(NAME, 1, "one", ("GB",), ()),)


def test_a_rule_for_a_part_holds_there_and_not_in_the_whole() -> None:
    told = version(1, since("2020-01-01", "UK"), rules=[rule("one"), rule("full-pack", jurisdictions=["GB"])])
    assert _rules(on("2020-01-01", "GB", told)) == {"one", "full-pack"}
    assert _rules(on("2020-01-01", "NI", told)) == {"one"}
    assert on("2020-01-01", "UK", told).rules_of(NAME) == (
        Applying(NAME, 1, "one", ("UK",), ()),
        Applying(NAME, 1, "full-pack", ("GB",), ()),
    )


def test_a_part_in_which_a_rule_does_not_hold_is_named() -> None:
    told = version(1, since("2020-01-01", "UK"), since("2021-01-01", "NI"))
    assert on("2020-06-01", "UK", told).rules_of(NAME) == (Applying(NAME, 1, "one", ("UK",), ("NI",)),)


def test_a_rule_with_days_of_its_own_holds_from_its_start_until_its_end() -> None:
    narrow = rule("two", commencements=[since("2020-03-01", to="2020-05")])
    told = version(1, since("2020-01-01"), rules=[rule("one"), narrow])
    holds = [
        day for day in ("2020-02-29", "2020-03-01", "2020-05-31", "2020-06-01") if "two" in _rules(on(day, "EU", told))
    ]
    assert holds == ["2020-03-01", "2020-05-31"]
    assert on("2020-02-01", "EU", told).next_change_of(NAME) == date(2020, 3, 1)


def test_a_rule_without_a_day_is_coming_and_never_holds() -> None:
    told = version(1, since("2020-01-01"), rules=[rule("one"), rule("two", commencements=[awaited()])])
    found = on("2030-01-01", "EU", told)
    assert _rules(found) == {"one"}
    assert [(item.version, item.rule) for item in found.coming_of(NAME)] == [(1, "two")]


def test_a_boundary_at_which_nothing_changes_is_no_change() -> None:
    elsewhere = rule("two", jurisdictions=["GB"], commencements=[since("2020-03-01", "GB")])
    told = version(1, since("2020-01-01", "EU", "UK"), rules=[rule("one"), elsewhere])
    assert on("2020-01-01", "EU", told).next_change_of(NAME) is None
    assert on("2020-01-01", "UK", told).next_change_of(NAME) == date(2020, 3, 1)


def test_a_code_is_the_one_that_its_system_used_on_the_day() -> None:
    codes = [
        {"system": "atc", "code": "L04AA34", "to": "2024-01-01"},
        {"system": "atc", "code": "L04AG06", "from": "2024-01-01"},
    ]
    told = version(1, since("2020-01-01"), medicines=[{"inn": "alemtuzumab", "codes": codes}])
    for day, code in (("2023-12-31", "L04AA34"), ("2024-01-01", "L04AG06")):
        assert on(day, "EU", told).spans_of(NAME)[0].codes == (("alemtuzumab", "atc", code),)


def test_the_first_and_the_last_day_of_the_calendar_have_answers() -> None:
    told = version(1, since("1000-01-01", to="9999-12-31")), version(2, awaited(expected="9999"))
    assert says("0001-01-01", "EU", *told) == ("not-yet", None)
    assert says("9999-12-30", "EU", *told) == ("in-force", 1)
    assert says("9999-12-31", "EU", *told) == ("ended", 1)
    assert on("9999-12-31", "EU", *told).next_change_of(NAME) is None


def test_a_version_is_let_go_without_looking_for_garbage() -> None:
    """While an index is built nobody looks for any: a version that referred to itself would stay until the end."""

    class Body(dict[str, Any]):
        """What can be watched."""

    body = Body(bodies.version(1, since("2020-01-01"), awaited("UK"), rules=[rule("one", jurisdictions=["GB"])]))
    gone = weakref.ref(body)
    gc.disable()
    try:
        document = Document.of(bodies.document(), (Version.of(body),))
        assert [spans(document, place) and coming(document, place) for place in document.named]
        del document, body
        register._divisions.cache_clear()
        assert gone() is None
    finally:
        gc.enable()


def test_an_unknown_document_is_an_error_of_its_own() -> None:
    with pytest.raises(UnknownDocument, match="ema/other"):
        on("2020-01-01", "EU").spans_of("ema/other")


def _rules(found: Snapshot) -> set[str]:
    return {applying.rule for applying in found.rules}


# --- generated: the core against the oracle --------------------------------------------------------------

questions = st.lists(
    st.tuples(st.integers(0, 7), st.sampled_from(["UK", "EU", "GB", *PLACES, None])), min_size=3, max_size=3
)
asked_days = st.lists(days, min_size=8, max_size=8)
Questions = list[tuple[int, str | None]]


def test_the_core_says_what_a_naive_walk_through_the_json_says() -> None:
    asked = 0

    @given(histories, questions, asked_days)
    @settings(max_examples=800 if FULL else 70)
    def holds(attempted: Sequence[Attempt], asks: Questions, on_days: list[date]) -> None:
        nonlocal asked
        steps = recorded(attempted)
        oracle = Oracle([(step.recorded_at, step.bodies) for step in steps])
        for which, place in asks:
            step = steps[which % len(steps)]
            for day in on_days:
                asked += 1
                _held_against(oracle, Register(None, {NAME: step.document}).on(day, place), step)

    holds()
    print(f"{asked} questions to the core")
    assert asked >= (16_000 if FULL else 1_500)


def _held_against(oracle: Oracle, found: Snapshot, step: Step) -> None:
    places, day, at = scope(step.document.named, found.jurisdiction), found.day, step.recorded_at
    told = {place: oracle.says(NAME, place, day, at) for place in places}
    for place in places:
        assert _said(step.document, place, day) == told[place]
        assert _spread(found.rules_of(NAME), place, found.jurisdiction) == {
            (told[place].version, r) for r in told[place].rules
        }
    hopes = {(place, hope) for place in places for hope in told[place].coming}
    assert {(item.jurisdiction, _hope(item, day)) for item in found.coming_of(NAME)} == hopes
    changes = [oracle.next_change(NAME, place, day, at) for place in places]
    assert found.next_change_of(NAME) == min((change for change in changes if change), default=None)


def _said(document: Document, place: str, day: date) -> Said:
    """The core's answer for one place, in the oracle's words."""
    found = Register(None, {NAME: document}).on(day, place)
    span = found.spans_of(NAME)[0]
    selected = document.version(span.version) if span.version else None
    ids = {rule.id for rule in selected.rules} - set(span.left_out) if selected and span.applies else set()
    return Said(
        span.state,
        span.version,
        span.since and span.since.isoformat(),
        span.until and str(span.until),
        span.ends,
        frozenset(ids),
        frozenset(span.codes),
        frozenset(_hope(item, day) for item in found.coming_of(NAME) if item.jurisdiction == place),
    )


def _hope(item: Coming, day: date) -> Hope:
    start, expected = item.start and item.start.isoformat(), item.expected and str(item.expected)
    return Hope(item.version, item.rule, start, expected, item.state(day))


def _spread(rules: Sequence[Applying], place: str, asked: str | None) -> set[tuple[int | None, str]]:
    """The rules that an answer, which names wholes and leaves out parts, says hold in one place."""
    names = {*within(place), *([asked] if asked and place in within(asked) else [])}
    return {(a.version, a.rule) for a in rules if names & set(a.jurisdictions) and place not in a.but_not}


@given(histories, st.sampled_from(PLACES))
@settings(max_examples=400 if FULL else 40)
def test_spans_leave_no_day_out_and_neighbours_differ(attempted: Sequence[Attempt], place: str) -> None:
    found = spans(recorded(attempted)[-1].document, place)
    assert found[0].period.start == date.min
    assert found[-1].period.end is None
    for span, following in pairwise(found):
        assert span.period.end == following.period.start
        assert span.json() != following.json()


# --- generated: the index against the core ---------------------------------------------------------------


def test_the_index_says_what_the_core_says(archive: Archive, act: Callable[..., Act], tmp_path: Path) -> None:
    asked = 0

    @given(histories, questions, asked_days)
    @settings(max_examples=250 if FULL else 16)
    def holds(attempted: Sequence[Attempt], asks: Questions, on_days: list[date]) -> None:
        nonlocal asked
        tip = archive.tip()
        name = f"ema/example-{tip.position if tip else 0}"
        steps = _in_the_archive(archive, act, recorded(attempted, name))
        for which, place in asks:
            step = steps[which % len(steps)]
            revision = archive.at(step.recorded_at + timedelta(hours=1))
            assert revision is not None
            known = archive.register(revision.id, [name]).document(name)
            assert _bodies(known) == _bodies(step.document)
            for day in on_days:
                asked += 1
                found = Register(None, {name: step.document}).on(day, place)
                _index_held_against(archive.index, name, revision.position, found)

    holds()
    print(f"{asked} questions to the index")
    assert asked >= (5_000 if FULL else 300)
    _rebuilt_alike(archive, tmp_path)


def test_the_index_says_of_the_real_past_what_the_core_says(replayed: Archive) -> None:
    asked = 0
    for revision in replayed.index.revisions(limit=1000)[::6]:
        for name, document in replayed.register(revision.id).documents.items():
            ends = {s.period.end for place in document.named for s in spans(document, place) if s.period.end}
            for day in {moved for end in ends for moved in (end - timedelta(days=1), end)}:
                for place in (None, document.named[-1]):
                    asked += 1
                    found = Register(revision, {name: document}).on(day, place)
                    _index_held_against(replayed.index, name, revision.position, found)
    assert asked > 200


def _in_the_archive(archive: Archive, act: Callable[..., Act], steps: list[Step]) -> list[Step]:
    """Record the steps after whatever is recorded already."""
    tip = archive.tip()
    later = tip.recorded_at - steps[0].recorded_at + timedelta(days=1) if tip else timedelta(0)
    moved = [step._replace(recorded_at=step.recorded_at + later) for step in steps]
    for step in moved:
        (proposal,) = map(Proposal, step.bodies)
        if step.verb == "correct":
            receipt = archive.correct(proposal, act(), step.recorded_at)
        else:
            receipt = archive.publish([proposal], act(), step.recorded_at)
        assert receipt.recorded
    return moved


def _bodies(document: Document) -> list[bytes]:
    return [canonical(document.body), *(canonical(version.body) for version in document.versions)]


def _index_held_against(index: Index, name: str, position: int, found: Snapshot) -> None:
    document, day = found.register.document(name), found.day.toordinal()
    places = scope(document.named, found.jurisdiction)
    assert index.document_row(name, position)[1] == document.named
    told = [_row(document, span) for span in found.spans_of(name)]
    assert [(*row[:4], orjson.loads(row[4]), row[5]) for row in index.spans_on(name, day, position, places)] == told

    awaited = index.coming_of(name, day, position, places, FOREVER)
    dated, undated = [told for one in awaited for told in one.dated], [row for one in awaited for row in one.undated]
    expected = sorted(orjson.dumps(item.json(date.min)) for item in found.coming_of(name))
    assert sorted([*dated, *(told for _, _, told in undated)]) == expected
    late = [item for item in found.coming_of(name) if item.state(found.day) == "outstanding"]
    assert sum(overdue <= day for overdue, _, _ in undated) == len(late)
    for one in awaited:
        days = [orjson.loads(told)["from"] for told in one.dated]
        assert None not in days
        assert days == sorted(days)
        assert {orjson.loads(told)["from"] for _, _, told in one.undated} <= {None}
    nearest = index.coming_of(name, day, position, places, 1)
    assert nearest == [one._replace(dated=one.dated[:2]) for one in awaited]
    home = Snapshot(found.register, found.day, found.jurisdiction or document.home)
    content, place, on, rows = index.on_day(name, position, found.jurisdiction, lambda _: found.day, 1)
    assert (content, place, on) == (canonical(document.body), home.jurisdiction, found.day)
    spoken = [(*row[:4], orjson.loads(row.told), row.body or None) for row in rows]
    assert spoken == [_row(document, span) for span in home.spans_of(name)]
    places = scope(document.named, home.jurisdiction)
    assert [row.awaiting for row in rows] == index.coming_of(name, day, position, places, 1)

    everywhere = Snapshot(found.register, found.day, None).spans_of(name)
    rows = [row for row in index.all_spans_on(day, position) if row[0] == name]
    assert rows == list(index.all_spans_on(day, position, [name]))
    said = sorted(_row(document, span) for span in everywhere)
    assert sorted((*row[3:7], orjson.loads(row[7]), row[8]) for row in rows) == said


def _row(document: Document, span: Any) -> tuple[Any, ...]:
    """A span as the index tells it."""
    selected = document.version(span.version) if span.version else None
    end = span.period.end.toordinal() if span.period.end else FOREVER
    return span.jurisdiction, end, span.state, span.version, span.json(), selected and canonical(selected.body)


def _rebuilt_alike(archive: Archive, folder: Path) -> None:
    fresh = Index(folder / "fresh.sqlite")
    fresh.rebuild(archive.store)
    assert rows(fresh) == rows(archive.index)
    fresh.close()
