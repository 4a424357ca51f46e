"""A timeline as coordinates: bars, marks, ticks and lanes for the page to draw, worked out from days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, NamedTuple

WIDTH: Final = 1080
SIDE: Final = 20
"""Left free at both sides, for the labels of ticks."""
BAR: Final = 44
AWAITED: Final = 30
GAP: Final = 8
LANE_LABEL: Final = 24
LANE_GAP: Final = 16
LEAST: Final = 7
"""The narrowest bar that can still be seen and clicked."""
LETTER: Final = 7
"""About the width of a letter; the macro reckons with the same."""
INDENT: Final = 14
LABEL_LINE: Final = 20
NEAR: Final = 170
"""Two marks nearer than this need their labels on two lines."""
FAR: Final = 5 * 365
"""A day that is asked about and further away than this is marked at the edge, so that the rest stays legible."""
LAST: Final = date.max.toordinal()
CORRECTED: Final = "Corrected on"
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Shape = dict[str, Any]
"""One thing to draw, as macros/timeline.html takes it."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One bar: the days [start, end), open where None; its words from the longest to the shortest; where it leads."""

    start: date | None
    end: date | None
    state: str
    label: str
    shorter: tuple[str, ...] = ()
    sub: str = ""
    say: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """One row: what holds through time, and under it what is awaited without a day."""

    label: str
    stretches: tuple[Stretch, ...]
    awaited: tuple[Stretch, ...] = ()
    learned: date | None = None
    """The day on which this was recorded, where that is to be marked."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A day that is marked with a line: of which kind, and in which words."""

    day: date
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Days onto the width of the drawing."""

    first: float
    last: float

    def x(self, day: date) -> float:
        """Where a day begins; a day outside lies on the edge."""
        share = (day.toordinal() - self.first) / (self.last - self.first)
        return SIDE + min(1.0, max(0.0, share)) * (WIDTH - 2 * SIDE)

    def holds(self, day: date) -> bool:
        return self.first <= day.toordinal() <= self.last


def drawn(lanes: Sequence[Lane], marks: Sequence[Mark], corrected: Sequence[date] = ()) -> dict[str, Any]:
    """The drawing as the arguments of timeline_svg, without its id and words. The first mark is always in sight.

    `corrected`: the days on which what is drawn was recorded anew, as points on a line of their own.
    """
    scale = scale_of(lanes, [*marks, *(Mark(day, "correction", "") for day in corrected)])
    placed = list(_marks(scale, marks))
    top = max((mark["level"] for mark in placed), default=0) * LABEL_LINE + LABEL_LINE + 8
    shapes = _Shapes([], [], [])
    y = _rows(scale, lanes, float(top), shapes)
    if corrected:
        y = _corrections(scale, corrected, y, shapes)
    bottom = y - LANE_GAP + 10
    for mark in placed:
        mark.update(y1=top - 6 - mark.pop("level") * LABEL_LINE, y2=bottom)
    ticks = [{**tick, "y1": top - 6, "y2": bottom} for tick in _ticks(scale)]
    return {
        "width": WIDTH,
        "height": bottom + 26,
        "bars": shapes.bars,
        "marks": placed + shapes.points,
        "ticks": ticks,
        "lanes": shapes.labels,
    }


class _Shapes(NamedTuple):
    """What has been placed from the top down."""

    bars: list[Shape]
    labels: list[Shape]
    points: list[Shape]


def _rows(scale: Scale, lanes: Sequence[Lane], y: float, shapes: _Shapes) -> float:
    """Place every lane, and say where the next thing goes."""
    for lane in lanes:
        if len(lanes) > 1 or lane.learned:
            shapes.labels.append({"x": _label_x(scale, lane), "y": y + 15, "label": lane.label})
            y += LANE_LABEL
        shapes.bars.extend(_bar(scale, stretch, y, BAR) for stretch in lane.stretches)
        if lane.learned:
            shapes.points.append({"x": scale.x(lane.learned), "y": y - LANE_LABEL + 10, "kind": "learned"})
        y += BAR if lane.stretches else 0
        for stretch in lane.awaited:
            y += GAP
            shapes.bars.append(_bar(scale, stretch, y, AWAITED))
            y += AWAITED
        y += LANE_GAP
    return y


def _corrections(scale: Scale, days: Sequence[date], y: float, shapes: _Shapes) -> float:
    shapes.labels.append({"x": SIDE, "y": y + 15, "label": CORRECTED})
    y += LANE_LABEL + 8
    shapes.points.extend({"x": scale.x(day), "y": y, "kind": "correction"} for day in days)
    return y + LANE_GAP


def scale_of(lanes: Iterable[Lane], marks: Sequence[Mark]) -> Scale:
    """From a little before the first known day to a little after the last; far marks do not widen it."""
    known = [day for lane in lanes for s in (*lane.stretches, *lane.awaited) for day in (s.start, s.end) if day]
    known += [lane.learned for lane in lanes if lane.learned]
    days = [day.toordinal() for day in known] + [mark.day.toordinal() for mark in marks[:1]]
    low, high = (min(days), max(days)) if days else (LAST // 2, LAST // 2)
    for mark in marks[1:]:
        if low - FAR <= mark.day.toordinal() <= high + FAR:
            low, high = min(low, mark.day.toordinal()), max(high, mark.day.toordinal())
    room = max(45.0, (high - low) * 0.08)
    return Scale(low - room / 4, high + room)


# --- bars ------------------------------------------------------------------------------------------------


def _bar(scale: Scale, stretch: Stretch, y: float, height: float) -> Shape:
    left = scale.x(stretch.start) if stretch.start else float(SIDE)
    right = scale.x(stretch.end) if stretch.end else float(WIDTH - SIDE)
    width = max(right - left, LEAST)
    left = min(left, WIDTH - SIDE - width)
    return {
        "x": left,
        "y": y,
        "width": width,
        "height": height,
        "state": stretch.state,
        "label": stretch.label,
        "short": next((word for word in stretch.shorter if fits(word, width)), ""),
        "sub": stretch.sub if height >= BAR else "",
        "say": stretch.say,
        "href": stretch.href,
        "open_start": stretch.start is None,
        "open_end": stretch.end is None,
    }


def _label_x(scale: Scale, lane: Lane) -> float:
    """At the left, or right of the mark that would stand in it."""
    mark = scale.x(lane.learned) if lane.learned else float(WIDTH)
    return mark + 12 if mark < SIDE + len(lane.label) * (LETTER + 1) else SIDE


def fits(text: str, width: float) -> bool:
    return width >= len(text) * LETTER + INDENT


# --- marks -----------------------------------------------------------------------------------------------


def _marks(scale: Scale, marks: Sequence[Mark]) -> Iterator[Shape]:
    """Each mark with its label's line (`level`): labels that would touch stand on different lines."""
    taken: list[tuple[float, int]] = []
    for mark in marks:
        x = scale.x(mark.day)
        level = next(n for n in range(len(marks) + 1) if all(n != m or abs(x - other) >= NEAR for other, m in taken))
        taken.append((x, level))
        yield {"x": x, "kind": mark.kind, "label": _label(scale, mark), "anchor": _anchor(x), "level": level}


def _label(scale: Scale, mark: Mark) -> str:
    if scale.holds(mark.day):
        return mark.label
    return f"← {mark.label}" if mark.day.toordinal() < scale.first else f"{mark.label} →"


def _anchor(x: float) -> str:
    return "start" if x < 90 else "end" if x > WIDTH - 90 else "middle"


# --- ticks -----------------------------------------------------------------------------------------------


def _ticks(scale: Scale) -> Iterator[Shape]:
    """The starts of years, or of months where the drawing spans few years; never more than about a dozen."""
    months = (scale.last - scale.first) / 30.44
    step = next((n for n in (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 6000) if months / n <= 13), 24000)
    edge = 30 if step < 12 else 12
    for day in _starts(scale, step):
        x = scale.x(day)
        if SIDE + edge - 12 <= x <= WIDTH - SIDE - edge + 12:
            yield {"x": x, "label": f"{MONTHS[day.month - 1]} {day.year}" if step < 12 else str(day.year)}


def _starts(scale: Scale, step: int) -> Iterator[date]:
    """Firsts of a month within the scale, `step` months apart, counted from the beginning of the calendar."""
    first = date.fromordinal(min(LAST, max(1, int(scale.first))))
    month = -(-(first.year * 12 + first.month - 1) // step) * step
    while month // 12 <= date.max.year:
        day = date(max(1, month // 12), month % 12 + 1, 1)
        if day.toordinal() > scale.last:
            return
        if day.toordinal() >= scale.first:
            yield day
        month += step
