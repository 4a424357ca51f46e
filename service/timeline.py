"""A timeline as coordinates: bars, marks, ticks and lanes for the page to draw, worked out from days.

Along the time they are percentages, so that the drawing fills a page of any width and its letters keep their size;
down the page they are pixels. Which words have room is worked out once for each of SIZES.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, NamedTuple

WIDTH: Final = 100.0
SIZES: Final = {"wide": 940, "middle": 580, "narrow": 280}
"""The least width, in pixels, of a drawing on a wide screen, on a smaller one or on paper, and on a telephone."""
TICKS: Final = {"wide": 13, "middle": 8, "narrow": 4}
"""How many labels of ticks stand beside each other at most."""
BAR: Final = 44
AWAITED: Final = 30
GAP: Final = 8
LANE_LABEL: Final = 24
LANE_GAP: Final = 16
LEAST: Final = 0.8
"""The narrowest bar that can still be seen and clicked."""
LETTER: Final = 7
"""About the width of a letter, in pixels."""
BROAD: Final = 9
"""More than the width of a letter of a lane's name: so much of the lines behind it is left out."""
INDENT: Final = 14
LABEL_LINE: Final = 20
NEAR: Final = 60.0
"""Two marks nearer than this need their labels on two lines: on a telephone a label takes up to a third."""
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
        return min(1.0, max(0.0, share)) * WIDTH

    def holds(self, day: date) -> bool:
        return self.first <= day.toordinal() <= self.last


def drawn(lanes: Sequence[Lane], marks: Sequence[Mark], corrected: Sequence[date] = ()) -> dict[str, Any]:
    """The drawing as timeline_svg takes it. The first mark is always in sight.

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
            shapes.labels.append(_named(lane.label, y))
            y += LANE_LABEL
        shapes.bars.extend(_bar(scale, stretch, y, BAR) for stretch in lane.stretches)
        if lane.learned:
            # On the upper edge of the bars, where neither the lane's name nor the words in a bar reach.
            edge = y if lane.stretches else y + GAP
            shapes.points.append({"x": scale.x(lane.learned), "y": edge, "kind": "learned"})
        y += BAR if lane.stretches else 0
        for stretch in lane.awaited:
            y += GAP
            shapes.bars.append(_bar(scale, stretch, y, AWAITED))
            y += AWAITED
        y += LANE_GAP
    return y


def _corrections(scale: Scale, days: Sequence[date], y: float, shapes: _Shapes) -> float:
    shapes.labels.append(_named(CORRECTED, y))
    y += LANE_LABEL + 8
    shapes.points.extend({"x": scale.x(day), "y": y, "kind": "correction"} for day in days)
    return y + LANE_GAP


def _named(label: str, y: float) -> Shape:
    """A lane's name above it; `ground` is how much of the lines behind it is left out."""
    return {"y": y + 15, "label": label, "ground": len(label) * BROAD}


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
    left = scale.x(stretch.start) if stretch.start else 0.0
    right = scale.x(stretch.end) if stretch.end else WIDTH
    width = max(right - left, LEAST)
    left = min(left, WIDTH - width)
    words = _words(stretch, width, height)
    return {
        "x": left,
        "y": y,
        "width": width,
        "height": height,
        "state": stretch.state,
        "name": _name(stretch, words),
        "words": words,
        "say": stretch.say,
        "href": stretch.href,
        "open_start": stretch.start is None,
        "open_end": stretch.end is None,
    }


def _words(stretch: Stretch, width: float, height: float) -> list[Shape]:
    """What a bar says at each size: the longest label that has room, and its second line where that has room too."""
    said: dict[tuple[str, str], list[str]] = {}
    for size, whole in SIZES.items():
        room = whole * width / WIDTH
        label = next((word for word in (stretch.label, *stretch.shorter) if fits(word, room)), "")
        below = stretch.sub if label and height >= BAR and fits(stretch.sub, room) else ""
        said.setdefault((label, below), []).append(size)
    return [{"label": label, "sub": below, "sizes": sizes} for (label, below), sizes in said.items() if label]


def _name(stretch: Stretch, words: Iterable[Shape]) -> str:
    """Everything that a bar says. The words seen in it at each size stand in it side by side, as they are seen."""
    said = ""
    for text in (*(f"{one['label']} {one['sub']}".strip() for one in words), stretch.label, stretch.sub):
        if text not in said:
            said = f"{said}, {text}" if said else text
    return said


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
    """Towards the middle, so that a label stays in sight at every size."""
    return "start" if x < WIDTH / 3 else "end" if x > WIDTH * 2 / 3 else "middle"


# --- ticks -----------------------------------------------------------------------------------------------


def _ticks(scale: Scale) -> list[Shape]:
    """The starts of years, or of months where the drawing spans few years: more of them where there is more room."""
    found: dict[tuple[float, str], list[str]] = {}
    for size in SIZES:
        for at in _labelled(scale, size):
            found.setdefault(at, []).append(size)
    return [{"x": x, "label": label, "sizes": sizes} for (x, label), sizes in sorted(found.items())]


def _labelled(scale: Scale, size: str) -> Iterator[tuple[float, str]]:
    """Where a size has its ticks, and what they say: no label reaches over an edge."""
    months = (scale.last - scale.first) / 30.44
    steps = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 2400, 6000)
    step = next((n for n in steps if months / n <= TICKS[size]), 24000)
    edge = (4 if step < 12 else 2) * LETTER / SIZES[size] * WIDTH
    for day in _starts(scale, step):
        x = scale.x(day)
        if edge <= x <= WIDTH - edge:
            yield x, f"{MONTHS[day.month - 1]} {day.year}" if step < 12 else str(day.year)


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
