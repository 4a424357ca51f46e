"""Strings from a URL or a command line: each means one thing, or is refused with the parameter's name."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guidance.errors import BadParameter
from guidance.vocabulary import JURISDICTIONS
from service import params
from tests.service.doors import NOW


@given(st.dates())
def test_a_day_is_read_as_it_is_written(day: date) -> None:
    assert params.on(day.isoformat()) == day


@given(st.text(max_size=12))
@example("2019-02-29")
@example("2019-00-10")
@example("2019-10-00")
@example("0000-01-01")
@example("20200116")
@example("2020-W03-4")
@example("2020-1-6")
@example("2020-01")
@example("2020-01-16\n")
@example("٢٠٢٠-٠١-١٦")
@example("+2020-01-1")
def test_any_other_text_is_no_day(text: str) -> None:
    try:
        same = date.fromisoformat(text).isoformat() == text
    except ValueError:
        same = False
    if same:
        assert params.on(text) == date.fromisoformat(text)
        return
    with pytest.raises(BadParameter) as refused:
        params.on(text, "since")
    assert (refused.value.parameter, refused.value.value) == ("since", text)


def test_nothing_given_is_nothing_asked() -> None:
    assert params.on(None) is params.at(None, NOW) is params.jurisdiction(None) is params.segment(None, "x") is None
    assert params.choice(None, "kind", params.KINDS) is None
    assert params.number(None, "limit", 7, 10) == 7


def test_a_day_to_look_from_means_its_end_in_utc() -> None:
    found = params.at("2019-11-05", NOW)
    assert found is not None
    assert found.meaning == datetime(2019, 11, 5, 23, 59, 59, 999999, UTC)
    assert (found.text, found.pinned) == ("2019-11-05", False)


@given(
    st.datetimes(max_value=NOW.replace(tzinfo=None) - timedelta(days=2), min_value=datetime(2, 1, 1)),
    st.integers(-23, 23),
)
def test_an_instant_to_look_from_is_the_same_in_any_offset(instant: datetime, hours: int) -> None:
    local = instant.replace(microsecond=0, tzinfo=timezone(timedelta(hours=hours)))
    found = params.at(local.isoformat(), NOW)
    assert found is not None
    assert found.meaning == local
    assert not found.pinned


@pytest.mark.parametrize("text", ["2019-11-05T12:00:00Z", "2019-11-05T12:00:00.5Z", "2019-11-05T13:00:00+01:00"])
def test_an_instant_needs_its_offset(text: str) -> None:
    found = params.at(text, NOW)
    assert found is not None
    assert found.text == text
    with pytest.raises(BadParameter, match="neither a day"):
        params.at(text.removesuffix("Z").removesuffix("+01:00"), NOW)


@pytest.mark.parametrize("text", ["2026-02-03", "2026-02-02T12:05:01Z", "9999-12-31", "9999-12-31T23:59:59-23:59"])
def test_the_future_cannot_be_looked_from(text: str) -> None:
    with pytest.raises(BadParameter) as refused:
        params.at(text, NOW)
    assert refused.value.parameter == "at"


def test_a_clock_may_run_a_little_ahead_of_ours() -> None:
    assert params.at("2026-02-02T12:05:00Z", NOW)
    assert params.at("2026-02-02", NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "ABCDEF0",
        "0" * 41,
        "2019-02-30",
        "2019-11-05T24:30:00Z",
        "2019-11-05T12:00:60Z",
        "2019-11-05 12:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "HEAD",
        "main",
        "--all",
        "refs/heads/main",
        "@",
        "2019-11-05T12:00:00+25:00",
        "0" * 7 + "\n",
    ],
)
def test_what_is_no_revision_instant_or_day_is_refused(text: str) -> None:
    with pytest.raises(BadParameter) as refused:
        params.at(text, NOW, "from_at")
    assert refused.value.parameter == "from_at"


def test_only_a_whole_revision_id_pins() -> None:
    for length in range(7, 41):
        found = params.at("a" * length, NOW)
        assert found is not None
        assert (found.meaning, found.pinned) == ("a" * length, length == 40)


@pytest.mark.parametrize("place", JURISDICTIONS)
def test_every_jurisdiction_is_known_by_its_own_letters_only(place: str) -> None:
    assert params.jurisdiction(place) == place
    with pytest.raises(BadParameter, match="known are EEA, EU, UK"):
        params.jurisdiction(place.lower())


@pytest.mark.parametrize("text", ["a", "0", "alemtuzumab", "nalidixic-acid", "a" * 64, "a--b"])
def test_an_id_is_lower_case_letters_digits_and_inner_hyphens(text: str) -> None:
    assert params.segment(text, "medicine") == text


@pytest.mark.parametrize(
    "text", ["", "-", "-a", "a-", "A", "a_b", "a b", "a/b", "..", "a" * 65, "é", "a\n", "a\0", "%61"]
)
def test_anything_else_is_no_id(text: str) -> None:
    with pytest.raises(BadParameter, match="is not an id"):
        params.segment(text, "medicine")


@given(st.integers(1, 1000))
def test_a_number_within_bounds_is_read(number: int) -> None:
    assert params.number(str(number), "limit", 1, 1000) == number


@pytest.mark.parametrize(
    "text", ["", "0", "1001", "-1", "+1", "1.0", "1e2", " 1", "1 ", "1_0", "0x1", "١", "9" * 400, "1\n"]
)
def test_any_other_number_is_refused_with_its_bounds(text: str) -> None:
    with pytest.raises(BadParameter, match="is not a whole number from 1 to 1000"):
        params.number(text, "limit", 1, 1000)


def test_a_choice_names_what_can_be_chosen() -> None:
    assert params.choice("must", "modality", ("must", "may")) == "must"
    with pytest.raises(BadParameter, match="is none of must, may"):
        params.choice("should", "modality", ("must", "may"))


def test_a_parameter_is_given_once_with_a_value_and_is_known() -> None:
    assert params.once({"on": ["2020-01-16"]}) == {"on": "2020-01-16"}
    with pytest.raises(BadParameter, match="on: 'a, b' is given more than once"):
        params.once({"on": ["a", "b"]})
    with pytest.raises(BadParameter, match="at is empty; leave it out, or give it a value"):
        params.filled({"on": "2020-01-16", "at": ""})
    params.only({"on": "x"}, ("on", "at"))
    with pytest.raises(BadParameter, match="ON is not a parameter here; known are on, at"):
        params.only({"ON": "x"}, ("on", "at"))
    with pytest.raises(BadParameter, match="known are none"):
        params.only({"on": "x"}, ())
