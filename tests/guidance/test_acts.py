"""What may be done to a document, and what not: pure decisions, nothing is stored here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance import acts
from guidance.errors import ActRefused, InvalidDocument, UnknownDocument, UnknownVersion
from guidance.model import Document, Version
from guidance.register import covering, spans
from guidance.schema import check_version
from tests.guidance import bodies
from tests.guidance.bodies import awaited, rule, since
from tests.guidance.histories import Attempt, days, histories, recorded

FULL = not settings.default.derandomize
NAME = "ema/example"


def document(*versions: Any) -> Document:
    return Document.of(bodies.document(), tuple(map(Version.of, versions)))


def version(number: int, *commencements: Any, **more: Any) -> Any:
    return bodies.version(number, *commencements, **more)


# --- publish ---------------------------------------------------------------------------------------------


def test_the_next_version_is_published() -> None:
    new = version(2)
    assert acts.publish(document(version(1)), new) == acts.Outcome("publish", new)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_number_out_of_turn_is_refused(number: int) -> None:
    recorded = document() if number != 1 else document(version(1), version(2))
    with pytest.raises(ActRefused):
        acts.publish(recorded, version(number, title="Out of turn"))


def test_a_version_of_an_unknown_document_is_refused() -> None:
    for act in (acts.publish, acts.correct):
        with pytest.raises(UnknownDocument, match=NAME):
            act(None, version(1))
    with pytest.raises(UnknownDocument):
        acts.withdraw(None, NAME, 1, "withdrawn", None, (), "why")


def test_publishing_again_what_is_recorded_changes_nothing() -> None:
    assert acts.publish(document(version(1)), version(1)) == acts.Outcome("publish", None)


def test_a_version_that_binds_and_has_its_day_is_settled() -> None:
    with pytest.raises(ActRefused, match="can be corrected"):
        acts.publish(document(version(1)), version(1, title="Another title"))


def test_a_recommendation_goes_on_to_be_decided() -> None:
    hoped = document(version(1, awaited(expected="2020-01"), stage="recommended"))
    assert acts.publish(hoped, version(1, since("2020-01-16"))).verb == "advance"


def test_a_binding_version_without_its_day_is_given_one() -> None:
    outcome = acts.publish(document(version(1, awaited(expected="2020-01"))), version(1, since("2020-01-16")))
    assert outcome.verb == "reschedule"


def test_other_words_for_what_is_not_settled_are_published() -> None:
    hoped = awaited(expected="2020-01")
    assert acts.publish(document(version(1, hoped)), version(1, hoped, title="Said better")).verb == "publish"


def test_registering_a_document_again_corrects_it() -> None:
    changed = bodies.document(title="Another title")
    assert acts.register(None, changed) == acts.Outcome("register", changed)
    assert acts.register(document(), changed) == acts.Outcome("correct", changed)
    assert acts.register(document(), bodies.document()) == acts.Outcome("correct", None)


# --- correct ---------------------------------------------------------------------------------------------


def test_what_is_settled_can_be_corrected() -> None:
    corrected = version(1, title="As the regulator meant it")
    assert acts.correct(document(version(1)), corrected) == acts.Outcome("correct", corrected)
    assert acts.correct(document(version(1)), version(1)) == acts.Outcome("correct", None)


def test_what_was_never_recorded_cannot_be_corrected() -> None:
    with pytest.raises(UnknownVersion, match="no version 2"):
        acts.correct(document(version(1)), version(2))


# --- two versions on one day -----------------------------------------------------------------------------

SAME_DAY = {
    "in one place": (since("2020-01-16"), since("2020-01-16")),
    "in one of several places": (since("2020-01-16", "EU", "UK"), since("2020-01-16", "CH", "UK")),
    "in a part through its whole": (since("2020-01-16", "UK"), since("2020-01-16", "GB")),
    "in the whole through its part": (since("2020-01-16", "DE"), since("2020-01-16", "EEA")),
}


@pytest.mark.parametrize(("recorded", "new"), SAME_DAY.values(), ids=SAME_DAY)
def test_two_versions_that_start_on_one_day_in_one_place_are_refused(recorded: Any, new: Any) -> None:
    for act, known in (
        (acts.publish, document(version(1, recorded))),
        (acts.correct, document(version(1, recorded), version(2))),
    ):
        with pytest.raises(InvalidDocument) as refused:
            act(known, version(2, new), "2.json")
        assert {(v.file, v.pointer) for v in refused.value.violations} == {("2.json", "/commencements/0/from")}


ONE_DAY_APART = {
    "in other places": (since("2020-01-16", "EU"), since("2020-01-16", "UK"), {}),
    "where one has its own day in the part": (since("2020-01-16", "GB"), since("2020-01-16", "NI"), {}),
    "where one does not bind": (since("2020-01-16"), since("2020-01-16"), {"stage": "recommended"}),
    "where one no longer stands": (since("2020-01-16"), since("2020-01-16"), {"status": "overruled"}),
}


@pytest.mark.parametrize(("recorded", "new", "more"), ONE_DAY_APART.values(), ids=ONE_DAY_APART)
def test_one_day_in_two_versions_is_no_conflict(recorded: Any, new: Any, more: Any) -> None:
    assert acts.publish(document(version(1, recorded)), version(2, new, **more)).body is not None
    assert acts.publish(document(version(1, recorded, **more)), version(2, new)).body is not None


# --- withdraw --------------------------------------------------------------------------------------------


def withdrawn(told: Any, on: str | None, *places: str, ends: str = "withdrawn") -> Any:
    day = date.fromisoformat(on) if on else None
    outcome = acts.withdraw(document(told), NAME, 1, ends, day, places, "the holder asked")
    assert outcome.verb == "withdraw"
    check_version(outcome.body)
    assert outcome.body is not None
    return outcome.body


def test_what_never_took_effect_in_one_place_is_awaited_in_the_others_only() -> None:
    known = document(version(1, awaited("EU", "UK", expected="2027-01")))
    outcome = acts.withdraw(known, NAME, 1, "withdrawn", None, ("UK",), "not there")
    assert outcome.body is not None
    assert [c["jurisdictions"] for c in outcome.body["commencements"]] == [["EU"]]
    assert outcome.body["status"] == "standing"
    with pytest.raises(ActRefused, match="was never recorded to start in CH"):
        acts.withdraw(known, NAME, 1, "withdrawn", None, ("CH",), "not there")


def test_what_does_not_stand_is_not_withdrawn_again() -> None:
    known = document(version(1, awaited("EU"), status="overtaken", status_note="by events"))
    with pytest.raises(ActRefused, match="does not stand any more: it is overtaken"):
        acts.withdraw(known, NAME, 1, "withdrawn", None, (), "again")
    gone = document(version(1, awaited("EU"), status="withdrawn", status_note="over"))
    assert acts.withdraw(gone, NAME, 1, "withdrawn", None, (), "over").body is None


@pytest.mark.parametrize("places", [(), ("NI",)])
def test_a_part_is_not_left_to_the_past_of_its_whole(places: tuple[str, ...]) -> None:
    known = document(version(1, since("2020-01-01", "UK"), awaited("NI", expected="2021")))
    with pytest.raises(ActRefused, match="where UK's days would hold"):
        acts.withdraw(known, NAME, 1, "withdrawn", None if places else date(2020, 6, 1), places, "over")


def test_before_it_begins_it_is_said_how_to_say_that_it_never_does() -> None:
    known = document(version(1, since("2027-01-01")))
    with pytest.raises(ActRefused, match="said with the day on which it would begin, 2027-01-01"):
        acts.withdraw(known, NAME, 1, "withdrawn", date(2026, 11, 23), (), "over")


def test_what_never_took_effect_is_withdrawn_without_a_day() -> None:
    told = withdrawn(version(1, awaited()), None)
    assert (told["status"], told["status_note"]) == ("withdrawn", "the holder asked")
    assert withdrawn(version(1, since("2020-01-16"), stage="recommended"), None)["status"] == "withdrawn"


def test_what_takes_effect_on_a_day_needs_a_day_for_its_end() -> None:
    with pytest.raises(ActRefused, match="--on"):
        withdrawn(version(1, since("2020-01-16")), None)


def test_an_end_is_written_where_the_version_was_recorded_to_start() -> None:
    (told,) = withdrawn(version(1, since("2020-01-16", "EU", "UK")), "2021-01-01", ends="revoked")["commencements"]
    assert told == since("2020-01-16", "EU", "UK", to="2021-01-01", ends="revoked", ends_basis="the holder asked")


def test_an_end_in_one_place_leaves_the_others_as_they_were() -> None:
    ended, going = withdrawn(version(1, since("2020-01-16", "EU", "UK")), "2021-01-01", "UK")["commencements"]
    assert (ended["jurisdictions"], ended["to"]) == (["UK"], "2021-01-01")
    assert going == since("2020-01-16", "EU")


def test_an_earlier_end_takes_the_place_of_a_later_one() -> None:
    (told,) = withdrawn(version(1, since("2020-01-16", to="2022-01-01")), "2021-01-01")["commencements"]
    assert (told["to"], told["ends"]) == ("2021-01-01", "withdrawn")


def test_an_end_known_to_the_month_is_given_its_day() -> None:
    (told,) = withdrawn(version(1, since("2020-01-16", to="2021-01")), "2021-01-15")["commencements"]
    assert told["to"] == "2021-01-15"


@pytest.mark.parametrize("on", ["2019-01-01", "2021-01-01", "2022-01-01"])
def test_an_end_on_a_day_on_which_nothing_is_in_force_is_refused(on: str) -> None:
    with pytest.raises(ActRefused, match="not in force anywhere"):
        withdrawn(version(1, since("2020-01-16", to="2021-01-01")), on)


def test_what_ends_on_the_day_it_starts_never_takes_effect() -> None:
    assert withdrawn(version(1, since("2020-01-16")), "2020-01-16")["status"] == "withdrawn"


def test_what_ends_everywhere_does_not_start_later_anywhere_else() -> None:
    awaited = {"jurisdictions": ["CH"], "trigger": "a decision", "basis": "A plan."}
    told = version(1, since("2019-01-01", "EU"), since("2020-01-16", "UK"), awaited)
    (left,) = withdrawn(told, "2020-01-01")["commencements"]
    assert (left["jurisdictions"], left["to"]) == (["EU"], "2020-01-01")


def test_an_end_only_where_it_has_not_started_is_refused() -> None:
    with pytest.raises(ActRefused, match="has not started in UK"):
        withdrawn(version(1, since("2019-01-01", "EU"), since("2020-01-16", "UK")), "2020-01-01", "UK")


def test_an_end_in_a_place_that_was_never_named_is_refused() -> None:
    with pytest.raises(ActRefused, match="GB"):
        withdrawn(version(1, since("2020-01-16", "UK")), "2021-01-01", "GB")


def test_the_end_of_a_version_that_is_not_recorded_is_refused() -> None:
    with pytest.raises(UnknownVersion):
        acts.withdraw(document(version(1)), NAME, 2, "withdrawn", None, (), "why")


@given(histories, days, st.integers(0, 5))
@settings(max_examples=500 if FULL else 50)
def test_a_withdrawn_version_is_valid_and_applies_nowhere_from_that_day(
    attempted: Sequence[Attempt], day: date, which: int
) -> None:
    known = recorded(attempted)[-1].document
    if not known.versions:
        return
    number = 1 + which % len(known.versions)
    try:
        outcome = acts.withdraw(known, NAME, number, "withdrawn", day, (), "the holder asked")
    except ActRefused:
        return
    assert outcome.body is not None
    check_version(outcome.body)
    left = known.with_body(number, outcome.body)
    for place in left.named:
        now, before = covering(spans(left, place), day), covering(spans(known, place), day)
        assert not (now.applies and now.version == number)
        # its later start here is gone, too
        unspoken = before.state in ("not-yet", "not-recorded") and now.state in ("not-yet", "nothing-recorded")
        same = (now.state, now.version) == (before.state, before.version)  # until when may differ: as above
        assert same or before.version == number or unspoken


def test_a_rule_that_takes_the_place_of_another_is_no_conflict() -> None:
    told = version(2, since("2021-01-16"), rules=[rule("two", replaces=["one"])])
    assert acts.publish(document(version(1)), told).body == told
