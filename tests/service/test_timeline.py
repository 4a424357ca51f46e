"""The drawn timeline: days become coordinates that stay in order, in sight and apart."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from service.timeline import SIZES, TICKS, WIDTH, Lane, Mark, Stretch, drawn, scale_of

TODAY = date(2026, 11, 22)
NOW = Mark(TODAY, "today", "Today")
LEMTRADA = Lane(
    "European Union",
    (
        Stretch(date(2013, 9, 12), date(2019, 4, 12), "ended", "Version 1: Authorised", ("Version 1", "1")),
        Stretch(date(2019, 4, 12), date(2020, 1, 16), "ended", "Version 2: Temporary", ("Version 2", "2")),
        Stretch(date(2020, 1, 16), None, "in-force", "Version 3: Restricted", ("Version 3", "3"), href="/3"),
    ),
)


def test_bars_that_touch_in_time_touch_in_the_drawing() -> None:
    first, second, third = drawn([LEMTRADA], [NOW])["bars"]
    assert first["x"] + first["width"] == second["x"]
    assert second["x"] + second["width"] == third["x"]


def test_an_end_that_is_not_known_is_open_at_the_edge() -> None:
    last = drawn([LEMTRADA], [NOW])["bars"][-1]
    assert (last["open_end"], last["open_start"]) == (True, False)
    assert last["x"] + last["width"] == WIDTH


def test_a_label_without_room_is_said_as_long_as_it_fits_at_every_size() -> None:
    bars = drawn([LEMTRADA], [NOW])["bars"]
    said = {size: [word["label"] for bar in bars for word in bar["words"] if size in word["sizes"]] for size in SIZES}
    assert said == {
        "wide": ["Version 1: Authorised", "2", "Version 3: Restricted"],
        "middle": ["Version 1: Authorised", "2", "Version 3: Restricted"],
        "narrow": ["Version 1", "Version 3"],
    }


def test_a_day_far_away_is_marked_at_the_edge_and_does_not_squeeze_the_rest() -> None:
    near, far = drawn([LEMTRADA], [NOW]), drawn([LEMTRADA], [NOW, Mark(date(1, 1, 1), "on", "1 Jan 1")])
    assert far["bars"][0]["width"] == near["bars"][0]["width"]
    mark = far["marks"][1]
    assert (mark["x"], mark["label"], mark["anchor"]) == (0, "← 1 Jan 1", "start")
    late = drawn([LEMTRADA], [NOW, Mark(date.max, "on", "31 Dec 9999")])["marks"][1]
    assert (late["x"], late["label"], late["anchor"]) == (WIDTH, "31 Dec 9999 →", "end")


def test_a_day_just_outside_widens_the_drawing() -> None:
    asked = Mark(date(2012, 1, 1), "on", "1 Jan 2012")
    assert scale_of([LEMTRADA], [NOW, asked]).holds(asked.day)


def test_labels_of_marks_that_are_near_stand_on_different_lines() -> None:
    marks = drawn([LEMTRADA], [NOW, Mark(date(2026, 11, 1), "on", "1 Nov 2026")])["marks"]
    assert marks[0]["y1"] != marks[1]["y1"]
    apart = drawn([LEMTRADA], [NOW, Mark(date(2015, 1, 1), "on", "1 Jan 2015")])["marks"]
    assert apart[0]["y1"] == apart[1]["y1"]


def test_lanes_stand_below_each_other_and_are_named_where_there_are_several() -> None:
    alone, both = drawn([LEMTRADA], [NOW]), drawn([LEMTRADA, LEMTRADA], [NOW])
    assert alone["lanes"] == []
    assert [lane["label"] for lane in both["lanes"]] == ["European Union", "European Union"]
    assert both["lanes"][0]["y"] < both["bars"][0]["y"] < both["lanes"][1]["y"] < both["bars"][3]["y"]
    assert both["height"] > alone["height"]


def test_a_drawing_of_few_months_has_ticks_by_month_and_of_many_years_by_years() -> None:
    short = Lane("", (Stretch(date(2026, 3, 1), date(2026, 9, 1), "ended", "Version 1"),))
    assert all(" 2026" in tick["label"] or " 2027" in tick["label"] for tick in drawn([short], [NOW])["ticks"])
    long = Lane("", (Stretch(date(1900, 1, 1), None, "in-force", "Version 1"),))
    assert [tick["label"] for tick in drawn([long], [NOW])["ticks"]][:2] == ["1900", "1920"]


def test_the_name_of_a_bar_holds_what_is_seen_in_it_at_every_size() -> None:
    since = Stretch(
        date(2020, 1, 16), None, "in-force", "Version 3: Restricted after it", ("Version 3",), "from 16 Jan 2020"
    )
    (bar,) = drawn([Lane("", (since,))], [NOW])["bars"]
    assert bar["name"] == "Version 3: Restricted after it from 16 Jan 2020"
    short = drawn([Lane("", (*LEMTRADA.stretches[:2], since))], [NOW])["bars"][-1]
    assert short["name"] == "Version 3: Restricted after it from 16 Jan 2020, Version 3 from 16 Jan 2020"


def test_there_are_as_many_ticks_as_there_is_room_for() -> None:
    ticks = drawn([LEMTRADA], [NOW])["ticks"]
    shown = {size: [tick["label"] for tick in ticks if size in tick["sizes"]] for size in SIZES}
    assert shown["wide"] == shown["middle"] == ["2014", "2016", "2018", "2020", "2022", "2024", "2026"]
    assert shown["narrow"] == ["2015", "2020", "2025"]


def test_what_marks_the_day_of_learning_leaves_the_name_of_its_lane_alone() -> None:
    drawing = drawn([Lane("Known from 12 Sep 2013", LEMTRADA.stretches, learned=date(2013, 9, 12))], [NOW])
    (name,), point = drawing["lanes"], drawing["marks"][-1]
    assert point["kind"] == "learned"
    assert point["y"] == drawing["bars"][0]["y"] > name["y"] + 5


def test_what_is_awaited_without_a_day_stands_under_what_holds() -> None:
    lane = Lane("", LEMTRADA.stretches, (Stretch(TODAY, None, "coming", "Version 4, no day known", ("Version 4",)),))
    *held, awaited = drawn([lane], [NOW])["bars"]
    assert all(bar["y"] + bar["height"] < awaited["y"] for bar in held)


DAYS = st.dates()
STRETCHES = st.builds(
    lambda start, long, end: Stretch(
        start,
        min(date.max, start + timedelta(min(long, (date.max - start).days))) if end else None,
        "ended",
        "Version 1: long title",
        ("V1",),
    ),
    DAYS,
    st.integers(1, 5000),
    st.booleans(),
)


@given(
    st.lists(st.builds(lambda s: Lane("Somewhere", tuple(s)), st.lists(STRETCHES, max_size=4)), min_size=1, max_size=3),
    DAYS,
    DAYS,
)
def test_nothing_is_ever_drawn_out_of_sight(lanes: list[Lane], today: date, on: date) -> None:
    drawing = drawn(lanes, [Mark(today, "today", "Today"), Mark(on, "on", "then")], [on])
    for bar in drawing["bars"]:
        assert bar["width"] > 0
        assert bar["x"] >= -1e-6
        assert bar["x"] + bar["width"] <= WIDTH + 1e-6
        assert bar["y"] + bar["height"] < drawing["height"]
    for point in (mark for mark in drawing["marks"] if "y" in mark):
        assert 0 <= point["x"] <= WIDTH
        assert 0 < point["y"] < drawing["height"]
    for shape in (*(mark for mark in drawing["marks"] if "y1" in mark), *drawing["ticks"]):
        assert 0 <= shape["x"] <= WIDTH
        assert 0 < shape["y1"] < shape["y2"] < drawing["height"]
    for size, most in TICKS.items():
        assert sum(size in tick["sizes"] for tick in drawing["ticks"]) <= most + 1
