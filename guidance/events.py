"""What subscribers should hear: the history of one document and an instant in, every event that is due out. Pure.

At every instant the register believes its newest revision. Two things make events: a revision, which says something
else than was believed before it, and a civil day that begins while something is believed of it. A revision counts from
its own second on: a day that begins in that second began under what was believed before. So what is due up to an
instant never changes afterwards, and deriving in one go or in many pieces gives the same events in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple, get_args

from guidance.changes import Diff, compare
from guidance.errors import GuidanceError
from guidance.model import (
    Commencement,
    Document,
    Json,
    Revision,
    Version,
    canonical,
    instant_text,
    next_day,
    sha256,
)
from guidance.register import Span, rule_end, spans
from guidance.severity import SEVERITIES, Severity, most
from guidance.vocabulary import STAGES, within

Kind = Literal[
    "published", "corrected", "withdrawn", "withdrawn-before-effect", "rescheduled", "in-force", "ended", "reminder"
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""In the order in which they are told where one revision or one day makes several."""
REMINDERS: Final = (30, 7, 1)
"""Days before something begins or ends on which it is called to mind."""
Starts = Callable[[date, str], datetime]
"""The first instant of a civil day in a jurisdiction."""
Turning = Literal["in-force", "ended"]
_Side = tuple[int | None, tuple[str, ...]]
"""A version's number and its rules that do not hold."""


@dataclass(frozen=True, slots=True)
class State:
    """One document as a revision that touched it left it."""

    revision: Revision
    document: Document


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a subscriber should hear of one document, once."""

    id: str
    """Made from what the event is, so that deriving it again gives the same id."""
    kind: Kind
    occurred: datetime
    document: str
    version: int | None
    """None where the document itself, and none of its versions, was corrected."""
    jurisdictions: tuple[str, ...]
    recorded: int
    """Position of the revision that made it; 0 where the beginning of a day did."""
    day: date | None
    """The civil day that it is about, where it is about one."""
    body: Mapping[str, Json] = field(repr=False, compare=False)

    @property
    def order(self) -> tuple[Any, ...]:
        """Where it stands among others: as time goes, and revisions of one second by position."""
        about = self.day if self.day and self.kind in ("in-force", "ended") else date.min
        what = (KINDS.index(self.kind), self.version or 0, self.jurisdictions, self.id)
        return self.occurred, self.recorded, self.document, about, *what

    def json(self) -> dict[str, Json]:
        """What is told of it, schemas/event.json, without the position that a log gives it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "occurred_at": instant_text(self.occurred),
            "document": self.document,
            "version": self.version,
            "jurisdictions": list(self.jurisdictions),
            "cause": "recording" if self.recorded else "day",
            "day": self.day.isoformat() if self.day else None,
            **self.body,
        }


# --- turns: the days on which something begins or ends, as one state believes them -----------------------


class Turn(NamedTuple):
    """On a day, in a place, a version or one rule of it comes into force or ends."""

    day: date
    place: str
    kind: Turning
    version: int
    since: date
    """First day of the version's stretch."""
    rule: str | None = None
    """The one rule that begins or ends within the stretch."""
    was: int | None = None
    """The version in force on the day before."""
    was_out: tuple[str, ...] = ()
    """Its rules that did not hold here then."""
    now: int | None = None
    """The version in force on the day."""
    now_out: tuple[str, ...] = ()
    """Its rules that do not hold here then."""
    ends: str | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes it the same turn for another state."""
        return self.kind, self.place, self.version, self.day, self.rule

    @property
    def kin(self) -> tuple[Any, ...]:
        """What turns have in common that are one event: all but the place and the rule."""
        return self.kind, self.version, self.since, self.day, self.rule is None, self.was, self.now, self.ends


def turns(document: Document, place: str) -> tuple[Turn, ...]:
    """Every turn in one place, in the order of days."""
    found = spans(document, place)
    edges: list[tuple[Span | None, Span | None]] = [(None, found[0]), *pairwise(found)] if found else []
    return tuple(turn for before, after in edges if after for turn in _turns_at(before, after))


def _turns_at(before: Span | None, after: Span) -> Iterator[Turn]:
    """What turns where one span gives way to the next."""
    was = before if before and before.applies else None
    now = after if after.applies else None
    if was and now and was.version == now.version:
        yield from _rules_turning(was, now)
        return
    seen = Turn(
        day=after.period.start,
        place=after.jurisdiction,
        kind="in-force",
        version=0,
        since=after.period.start,
        was=was.version if was else None,
        was_out=was.left_out if was else (),
        now=now.version if now else None,
        now_out=now.left_out if now else (),
    )
    if now and now.version and now.since:
        yield seen._replace(version=now.version, since=now.since)
    if was and was.version and was.since:
        ends = "superseded" if now else after.ends
        yield seen._replace(kind="ended", version=was.version, since=was.since, ends=ends)


def _rules_turning(was: Span, now: Span) -> Iterator[Turn]:
    """The rules that begin or end while their version stays in force."""
    assert now.version
    assert now.since
    turn = Turn(
        day=now.period.start,
        place=now.jurisdiction,
        kind="in-force",
        version=now.version,
        since=now.since,
        was=was.version,
        was_out=was.left_out,
        now=now.version,
        now_out=now.left_out,
    )
    for rule in sorted(set(was.left_out) - set(now.left_out)):
        yield turn._replace(rule=rule)
    for rule in sorted(set(now.left_out) - set(was.left_out)):
        yield turn._replace(rule=rule, kind="ended")


def _gathered(found: Iterable[tuple[datetime, Turn]]) -> Iterator[tuple[datetime, list[Turn]]]:
    """Turns of one instant and one content together: one event, whatever the number of places and rules."""
    groups: dict[tuple[Any, ...], list[Turn]] = {}
    for instant, turn in found:
        groups.setdefault((instant, *turn.kin), []).append(turn)
    for (instant, *_), together in groups.items():
        rules: dict[str, frozenset[str | None]] = {}
        for turn in together:
            rules[turn.place] = rules.get(turn.place, frozenset()) | {turn.rule}
        for same in dict.fromkeys(rules.values()):
            yield instant, [turn for turn in together if rules[turn.place] == same]


def _sides(together: Sequence[Turn]) -> tuple[_Side, _Side]:
    """What is in force before and after, in any of the places, given turns that are one event."""
    first = together[0]
    was_out = set(first.was_out).intersection(*(turn.was_out for turn in together))
    now_out = set(first.now_out).intersection(*(turn.now_out for turn in together))
    return (first.was, tuple(sorted(was_out))), (first.now, tuple(sorted(now_out)))


# --- one state, with what follows from it kept -----------------------------------------------------------


class _Belief:
    """What is believed of a document from one revision to the next."""

    def __init__(self, state: State) -> None:
        self.revision, self.document = state.revision, state.document
        self._turns: dict[str, tuple[Turn, ...]] = {}

    def turns(self, place: str) -> tuple[Turn, ...]:
        if place not in self._turns:
            self._turns[place] = turns(self.document, place)
        return self._turns[place]

    def done(self, place: str, instant: datetime, starts: Starts) -> dict[tuple[Any, ...], Turn]:
        """The turns that had come by an instant."""
        return {turn.key: turn for turn in self.turns(place) if starts(turn.day, place) <= instant}

    def standing(self, place: str, instant: datetime, starts: Starts) -> Turn | None:
        """The turn that brought what is in force at an instant into force; None where nothing is."""
        found = None
        for turn in self.turns(place):
            if turn.rule is None and starts(turn.day, place) <= instant:
                if turn.kind == "in-force":
                    found = turn
                elif found and turn.version == found.version:
                    found = None
        return found

    def body(self, number: int | None, left_out: Iterable[str] = ()) -> Mapping[str, Json] | None:
        """A version as recorded, with the rules that hold; None for no version."""
        version = self.document.version(number) if number else None
        if version is None:
            return None
        out = set(left_out)
        if not out:
            return version.body
        return {**version.body, "rules": [rule for rule in version.body["rules"] if rule["id"] not in out]}

    def rules(self, number: int) -> set[str]:
        """The ids of a version's rules."""
        version = self.document.version(number)
        return {rule["id"] for rule in version.body["rules"]} if version else set()


class _Seen(NamedTuple):
    """One place at the instant of a revision, as it was believed before it and as it is believed from it on."""

    before: _Belief
    now: _Belief
    place: str
    known: Mapping[tuple[Any, ...], Turn]
    """The turns that had come by then, as they were believed before, by what makes them the same."""
    come: Mapping[tuple[Any, ...], Turn]
    """Those that had come as the revision has it."""
    new: Sequence[Turn]
    """Those of them that were not known."""


# --- deriving --------------------------------------------------------------------------------------------


def events(
    states: Sequence[State], until: datetime, starts: Starts, reminders: Sequence[int] = REMINDERS
) -> tuple[Event, ...]:
    """Every event of one document up to and with an instant, given its whole history, in order."""
    return window(None, states, None, until, starts, reminders)


def window(
    base: State | None,
    news: Sequence[State],
    since: datetime | None,
    until: datetime,
    starts: Starts,
    reminders: Sequence[int] = REMINDERS,
) -> tuple[Event, ...]:
    """The events of one document after `since` and by `until`: those of `events` that are not those up to `since`.

    `base` is what was believed at `since` (None: nothing yet), `news` are the states after it, oldest first.
    """
    told = _Telling(starts, reminders)
    belief = _Belief(base) if base else None
    found: list[Event] = []
    lower = since
    for state in news:
        if state.revision.recorded_at > until:
            break
        now = _Belief(state)
        if belief:
            found += told.turned(belief, lower, state.revision.recorded_at)
        found += told.recorded(belief, now)
        belief, lower = now, state.revision.recorded_at
    if belief:
        found += told.turned(belief, lower, until)
    return in_order(found)


def in_order(found: Iterable[Event]) -> tuple[Event, ...]:
    """Events as they are told, each once."""
    return tuple(sorted({event.id: event for event in found}.values(), key=lambda event: event.order))


_PUBLISHING: Final = ("publish", "advance", "reschedule")
"""Acts that say how far a version has come, and do not correct what was said."""


class _Revised(NamedTuple):
    """What one event says of a version recorded anew: where, of which rules, the day it is about, and how it ends."""

    kind: Kind
    places: tuple[str, ...]
    rules: tuple[str, ...] = ()
    day: date | None = None
    ends: str | None = None


class _Telling:
    """Makes events of one document. Comparisons are kept: beginning, end and reminders of one change share them."""

    def __init__(self, starts: Starts, reminders: Sequence[int]) -> None:
        self.starts, self.reminders = starts, tuple(reminders)
        self._compared: dict[tuple[Any, ...], Json] = {}

    # --- a day begins ------------------------------------------------------------------------------------

    def turned(self, belief: _Belief, after: datetime | None, until: datetime) -> Iterator[Event]:
        """What days that begin after one instant, up to another, bring under one belief."""
        due: list[tuple[datetime, Turn]] = []
        soon: dict[int, list[tuple[datetime, Turn]]] = {days: [] for days in self.reminders}
        for turn in (turn for place in belief.document.named for turn in belief.turns(place)):
            instant = self.starts(turn.day, turn.place)
            if (after is None or after < instant) and instant <= until:
                due.append((instant, turn))
            for days in self.reminders if turn.kind == "in-force" or turn.ends != "superseded" else ():
                ahead = self.starts(turn.day - timedelta(days=days), turn.place)
                if (after is None or after < ahead) and ahead <= until and ahead < instant:
                    soon[days].append((ahead, turn))
        for instant, together in _gathered(due):
            yield self.turn(belief, instant, together)
        for days, some in soon.items():
            for ahead, together in _gathered(some):
                yield self.turn(belief, ahead, together, days=days)

    def turn(
        self,
        belief: _Belief,
        instant: datetime,
        together: Sequence[Turn],
        days: int | None = None,
        recorded: bool = False,
        **more: Json,
    ) -> Event:
        """The event that turns of one content are; a reminder of it where `days` says how long before."""
        first = together[0]
        rules = tuple(sorted({turn.rule for turn in together if turn.rule}))
        places = tuple(sorted({turn.place for turn in together}))
        told: dict[str, Json] = {"replaces": first.was if first.kind == "in-force" and not rules else None}
        told["rules"] = list(rules)
        told["since"] = first.since.isoformat()
        if first.kind == "ended":
            told |= {"ends": ending(belief.document, first), "replaced_by": first.now if not rules else None}
        if days is not None:
            told |= {"reminds_of": first.kind, "days": days}
        end = next_day(first.day)
        if recorded:
            over = end is not None and self.starts(end, first.place) <= instant
            told |= {"retroactive": over, **more}
        sides = _sides(together)
        bodies = [belief.body(*side) for side in sides]
        return _event(
            kind="reminder" if days is not None else first.kind,
            occurred=instant,
            belief=belief,
            number=first.version,
            places=places,
            day=first.day,
            recorded=recorded,
            told=told,
            bodies=bodies,
            changes=self.compared(belief, sides, bodies),
            diff=_turn_link(belief, first, places, rules, more),
        )

    # --- a revision is recorded --------------------------------------------------------------------------

    def recorded(self, before: _Belief | None, now: _Belief) -> Iterator[Event]:
        """What one revision brings: its own events, then what it put into force or ended in hindsight."""
        if before and canonical(before.document.body) != canonical(now.document.body):
            yield self.document_corrected(before, now)
        for version in now.document.versions:
            old = before.document.version(version.number) if before else None
            if old is None:
                yield from self.published(now, version)
            elif canonical(old.body) != canonical(version.body):
                assert before
                yield from self.revised(before, now, old, version)
        yield from self.in_hindsight(before, now)

    def document_corrected(self, before: _Belief, now: _Belief) -> Event:
        return _event(
            kind="corrected",
            occurred=now.revision.recorded_at,
            belief=now,
            number=None,
            places=now.document.named,
            day=None,
            recorded=True,
            told={"replaces": None, "rules": [], "corrects": before.revision.id},
            bodies=[version.body for version in now.document.versions],
            changes=None,
            diff=None,
        )

    def published(self, now: _Belief, version: Version) -> Iterator[Event]:
        """A version that is new, for each version that it replaces or will replace."""
        replaced: dict[int | None, list[str]] = {}
        for place in _places(version):
            replaced.setdefault(self.replaced(now, version, place), []).append(place)
        for number, places in replaced.items():
            sides: tuple[_Side, _Side] = (number, ()), (version.number, ())
            bodies = [now.body(*side) for side in sides]
            yield _event(
                kind="published",
                occurred=now.revision.recorded_at,
                belief=now,
                number=version.number,
                places=tuple(sorted(places)),
                day=_first_day(version, places),
                recorded=True,
                told={"replaces": number, "rules": [], **_schedules(None, version)},
                bodies=bodies,
                changes=self.compared(now, sides, bodies),
                diff=_versions_link(now, number, version.number),
            )

    def replaced(self, now: _Belief, version: Version, place: str) -> int | None:
        """The version in whose place one steps: on the day that it begins or, without a day, as things stand."""
        begun = (t for t in now.turns(place) if t.kind == "in-force" and t.version == version.number and not t.rule)
        turn = next(begun, None)
        if turn:
            return turn.was
        standing = now.standing(place, now.revision.recorded_at, self.starts)
        return standing.version if standing and standing.version != version.number else None

    def revised(self, before: _Belief, now: _Belief, old: Version, new: Version) -> Iterator[Event]:
        """A version recorded anew: withdrawn, rescheduled, further on, or corrected; whichever of these it is."""
        at = now.revision.recorded_at
        bodies = [old.body, new.body]
        changes = self.compared_bodies((before.revision.id, now.revision.id, new.number), *bodies)
        as_whole = (old.stage, old.status, old.commencements) != (new.stage, new.status, new.commencements)
        for revised in self.revisions(before, now, old, new):
            moved = as_whole and not revised.rules and revised.kind != "corrected"
            replaced = self.displaced(now, revised, new) if moved else set()
            told = {"replaces": None, "rules": list(revised.rules), "corrects": before.revision.id}
            yield _event(
                kind=revised.kind,
                occurred=at,
                belief=now,
                number=new.number,
                places=revised.places,
                day=revised.day,
                recorded=True,
                told={**told, **({"ends": revised.ends} if revised.ends else {}), **_schedules(old, new)},
                bodies=[*bodies, *(now.body(number) for number in replaced)],
                changes=self.touching(now, replaced, new, changes) if changes else None,
                diff=f"/v1/documents/{new.document}/diff?from_at={before.revision.id}&to_at={now.revision.id}",
            )

    def displaced(self, now: _Belief, revised: _Revised, new: Version) -> set[int | None]:
        """The versions in whose place a version that moves as a whole steps; None for none, and of one that ends."""
        return {None if revised.kind == "withdrawn" else self.replaced(now, new, place) for place in revised.places}

    def touching(
        self, now: _Belief, replaced: Iterable[int | None], new: Version, changes: Mapping[str, Json]
    ) -> dict[str, Json]:
        """What differs, with every kind of rule that a version brings in the place of others, or takes away, and as
        severe as that is: whoever heard that it would come must hear that it comes on another day, or not at all."""
        kinds, severities = set(changes["rule_kinds"]), [changes["severity"]]
        for number in replaced:
            brought = self.compared(now, ((number, ()), (new.number, ())), [now.body(number), new.body])
            kinds.update(brought["rule_kinds"] if brought else (rule["kind"] for rule in new.body["rules"]))
            severities.append(brought["severity"] if brought else SEVERITIES[-1])
        return {**changes, "severity": most(severities), "rule_kinds": sorted(kinds)}

    def revisions(self, before: _Belief, now: _Belief, old: Version, new: Version) -> Iterator[_Revised]:
        """Each event that a version recorded anew is."""
        everywhere, act = _places(new), now.revision.act
        if new.status != "standing" and old.status == "standing":
            begun = any(
                turn.kind == "in-force" and turn.version == new.number
                for place in before.document.named
                for turn in before.done(place, now.revision.recorded_at, self.starts).values()
            )
            yield _Revised("withdrawn" if begun else "withdrawn-before-effect", everywhere)
            return
        found: list[_Revised] = []
        if STAGES.index(new.stage) > STAGES.index(old.stage) or (new.status == "standing") > (old.status == "standing"):
            found.append(_Revised("published", everywhere, day=_first_day(new, everywhere)))
        moved, ended, rules = _moved(old, new)
        if ended:
            found.append(_Revised("withdrawn", ended, (), *_last_day(new, ended)))
        if moved:
            found.append(_Revised("rescheduled", moved, day=_first_day(new, moved)))
        if rules:
            found.append(_Revised("rescheduled", everywhere, rules, _first_day_of_rules(new, rules)))
        if (act == "correct" and _content(old) != _content(new)) or (not found and act not in _PUBLISHING):
            found.append(_Revised("corrected", everywhere))
        yield from found or [_Revised("published", everywhere, day=_first_day(new, everywhere))]

    def in_hindsight(self, before: _Belief | None, now: _Belief) -> Iterator[Event]:
        """What had its day before it was recorded; and what is in force again, or no longer, by the revision itself."""
        at = now.revision.recorded_at
        named = set(now.document.named) | set(before.document.named if before else ())
        late: list[tuple[datetime, Turn]] = []
        again: list[tuple[datetime, Turn]] = []
        for place in sorted(named):
            known = before.done(place, at, self.starts) if before else {}
            come = now.done(place, at, self.starts)
            new = [turn for key, turn in come.items() if key not in known]
            late += [(at, turn) for turn in new]
            if before:
                seen = _Seen(before, now, place, known, come, new)
                again += [(at, turn) for turn in (*self.swapped(seen), *self.rules_swapped(seen))]
        for instant, together in _gathered(late):
            yield self.turn(now, instant, together, recorded=True)
        for instant, together in _gathered(again):
            yield self.turn(now, instant, together, recorded=True, restated=True)

    def swapped(self, seen: _Seen) -> Iterator[Turn]:
        """What a revision puts back into force, and what it takes out of force as if it had never been."""
        before, now, place, known, come, new = seen
        at = now.revision.recorded_at
        was, stands = (belief.standing(place, at, self.starts) for belief in (before, now))
        if was == stands or (was and stands and was.key == stands.key):
            past = any(turn.rule is None for turn in new)
            if stands and (past or place not in before.document.named):
                yield stands  # whoever listens must not take the past for the latest, nor be left by a whole's silence
            return
        if stands and stands.key in known:
            yield stands._replace(was=was.version if was else None, was_out=was.now_out if was else ())
        gone = was and was.key not in come and not (stands and stands.version == was.version)
        if was and gone:
            version = now.document.version(was.version)
            ends = version.status if version and version.status != "standing" else "corrected"
            then = (stands.version, stands.now_out) if stands else (None, ())
            yield was._replace(
                kind="ended", was=was.version, was_out=was.now_out, now=then[0], now_out=then[1], ends=ends
            )

    def rules_swapped(self, seen: _Seen) -> Iterator[Turn]:
        """The same of the rules of a version that goes on, where no turn that has come since says so."""
        before, now, place, known, come, new = seen
        was, stands = (next(reversed([*turns.values()]), None) for turns in (known, come))
        begun = now.standing(place, now.revision.recorded_at, self.starts)
        if not (was and stands and begun) or was.now != stands.now:
            return
        told = {(turn.kind, turn.rule) for turn in new}
        shared = before.rules(begun.version) & now.rules(begun.version)
        turn = begun._replace(was=was.now, was_out=was.now_out, now=stands.now, now_out=stands.now_out)
        days = {one.rule: one.day for one in known.values() if one.kind == "in-force"}
        for rule in sorted(shared & (set(stands.now_out) - set(was.now_out))):
            if ("ended", rule) not in told:
                yield turn._replace(kind="ended", rule=rule, day=days.get(rule, begun.day), ends="corrected")
        for rule in sorted(shared & (set(was.now_out) - set(stands.now_out))):
            if ("in-force", rule) not in told:
                yield turn._replace(kind="in-force", rule=rule)

    # --- what differs ------------------------------------------------------------------------------------

    def compared(
        self, belief: _Belief, sides: tuple[_Side, _Side], bodies: Sequence[Mapping[str, Json] | None]
    ) -> Json:
        return self.compared_bodies((belief.revision.id, *sides), *bodies)

    def compared_bodies(
        self, key: tuple[Any, ...], old: Mapping[str, Json] | None, new: Mapping[str, Json] | None
    ) -> Json:
        """How many changes lie between two bodies, and how much they matter; None where that cannot be said."""
        if key not in self._compared:
            self._compared[key] = _changes(old, new)
        return self._compared[key]


def _changes(old: Mapping[str, Json] | None, new: Mapping[str, Json] | None) -> Json:
    try:
        diff: Diff = compare(old, new)
    except GuidanceError:
        return None
    summary = diff.summary
    return {
        **{name: summary[name] for name in ("changes", "severities", "directions", "effects", "needs_review")},
        "severity": most(change.severity for change in diff.changes),
        "rule_kinds": sorted({change.rule_kind for change in diff.changes if change.rule_kind}),
        "rules": sorted({change.name for change in diff.changes if change.subject == "rule"}),
    }


# --- how a version recorded anew differs -----------------------------------------------------------------


def _places(version: Version) -> tuple[str, ...]:
    return tuple(sorted({place for c in version.commencements for place in c.jurisdictions}))


def _first_day(version: Version, places: Iterable[str]) -> date | None:
    """The first day on which a version begins in any of the places."""
    return _earliest_start(version.commencements, places)


def _first_day_of_rules(version: Version, rules: Iterable[str]) -> date | None:
    """The first day on which any of a version's rules begins by a commencement of its own."""
    own = (rule.commencements for rule in version.narrowed if rule.id in rules)
    return min((start for found in own if (start := _earliest_start(found))), default=None)


def _earliest_start(commencements: Iterable[Commencement], places: Iterable[str] | None = None) -> date | None:
    wanted = None if places is None else set(places)
    meant = (c for c in commencements if wanted is None or wanted.intersection(c.jurisdictions))
    return min((c.start for c in meant if c.start), default=None)


def _last_day(version: Version, places: Iterable[str]) -> tuple[date | None, str | None]:
    """The first day on which a version no longer holds in one of the places, where it is known, and how it ends."""
    meant = [c for c in version.commencements if c.to and set(places).intersection(c.jurisdictions)]
    days = [(c.to.first, c.body.get("ends")) for c in meant if c.to and c.to.day]
    return min(days) if days else (None, next((c.body.get("ends") for c in meant), None))


def _schedules(old: Version | None, new: Version) -> dict[str, Json]:
    """When a version begins and ends, as it is now and as it was before."""
    return {
        "stage": new.stage,
        "status": new.status,
        "schedule": {"old": _schedule(old) if old else None, "new": _schedule(new)},
    }


def _schedule(version: Version) -> list[Json]:
    kept = ("jurisdictions", "from", "expected", "to", "ends")
    return [{name: c.body[name] for name in kept if name in c.body} for c in version.commencements]


def _moved(old: Version, new: Version) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Where days moved, where an end was set that was none before, and the rules whose own days moved."""
    was, now = _by_place(old.commencements), _by_place(new.commencements)
    moved: list[str] = []
    ended: list[str] = []
    for place in sorted({*was, *now}):
        before, after = was.get(place, []), now.get(place, [])
        if before == after:
            continue
        begins = [(start, expected) for start, expected, _ in before] == [(s, e) for s, e, _ in after]
        set_anew = all(b == a or b is None for (_, _, b), (_, _, a) in zip(before, after, strict=False))
        (ended if begins and set_anew else moved).append(place)
    return tuple(moved), tuple(ended), _rules_moved(old, new)


def _by_place(commencements: Iterable[Commencement]) -> dict[str, list[tuple[Json, Json, Json]]]:
    found: dict[str, list[tuple[Json, Json, Json]]] = {}
    for c in commencements:
        for place in c.jurisdictions:
            found.setdefault(place, []).append(tuple(c.body.get(name) for name in ("from", "expected", "to")))  # type: ignore[arg-type]
    return {place: sorted(days, key=str) for place, days in found.items()}


def _rules_moved(old: Version, new: Version) -> tuple[str, ...]:
    was = {rule.id: _by_place(rule.commencements) for rule in old.narrowed}
    now = {rule.id: _by_place(rule.commencements) for rule in new.narrowed}
    return tuple(sorted(rule for rule in was.keys() & now.keys() if was[rule] != now[rule]))


def _content(version: Version) -> bytes:
    """A version without what says how far it has come and when it holds."""
    left = ("stage", "status", "status_note", "commencements")
    rules = [{name: value for name, value in rule.items() if name != "commencements"} for rule in version.body["rules"]]
    return canonical({**{name: value for name, value in version.body.items() if name not in left}, "rules": rules})


# --- one event -------------------------------------------------------------------------------------------


def _event(
    *,
    kind: Kind,
    occurred: datetime,
    belief: _Belief,
    number: int | None,
    places: tuple[str, ...],
    day: date | None,
    recorded: bool,
    told: Mapping[str, Json],
    bodies: Sequence[Mapping[str, Json] | None],
    changes: Json,
    diff: str | None,
) -> Event:
    document = belief.document
    version = document.version(number) if number else None
    body = {
        "authority": str(document.body["authority"]),
        "title": document.title,
        "version_title": version.title if version else None,
        "retroactive": False,
        **told,
        "medicines": _medicines(bodies),
        "changes": changes,
        "revision": {name: belief.revision.json()[name] for name in ("id", "position", "recorded_at", "replayed")},
        "links": _links(belief, number, diff),
    }
    return Event(
        id=_id(kind, belief, number, places, day, recorded, told),
        kind=kind,
        occurred=occurred,
        document=document.id,
        version=number,
        jurisdictions=places,
        recorded=belief.revision.position if recorded else 0,
        day=day,
        body=body,
    )


def _id(
    kind: Kind,
    belief: _Belief,
    number: int | None,
    places: tuple[str, ...],
    day: date | None,
    recorded: bool,
    told: Mapping[str, Json],
) -> str:
    """Made from what the event is and what caused it: a revision, or else the day."""
    which = [told.get(name) for name in ("rules", "reminds_of", "days", "ends", "since", "restated", "replaces")]
    parts = [kind, belief.document.id, number, places, day, belief.revision.id if recorded else "", which]
    return f"evt-{sha256(canonical(parts))[:32]}"


def _medicines(bodies: Sequence[Mapping[str, Json] | None]) -> list[Json]:
    """The medicines of both sides: whoever follows one that is named no longer hears of it, too; and whoever follows
    it by a code hears of it whatever the day, though the code is not in use yet, or no longer."""
    codes: dict[str, set[tuple[str, str]]] = {}
    for medicine in (medicine for body in bodies if body for medicine in body["medicines"]):
        given = {(code["system"], code["code"]) for code in medicine.get("codes", ())}
        codes[medicine["inn"]] = codes.get(medicine["inn"], set()) | given
    return [
        {"inn": inn, "codes": [{"system": system, "code": code} for system, code in sorted(codes[inn])]}
        for inn in sorted(codes)
    ]


def _links(belief: _Belief, number: int | None, diff: str | None) -> dict[str, str | None]:
    at = f"?at={belief.revision.id}"
    document = f"/v1/documents/{belief.document.id}"
    version = f"{document}/versions/{number}{at}" if number else None
    page = f"/documents/{belief.document.id}" + (f"/versions/{number}" if number else "")
    return {"document": document, "version": version, "diff": diff, "page": page}


def _versions_link(belief: _Belief, old: int | None, new: int) -> str | None:
    if old is None:
        return None
    return f"/v1/documents/{belief.document.id}/diff?from=@{old}&to=@{new}&at={belief.revision.id}"


def ending(document: Document, turn: Turn) -> str | None:
    """The word for an end; of one rule, what its own commencement says, unless a correction ended it."""
    version = document.version(turn.version)
    if turn.rule is None or turn.ends or version is None:
        return turn.ends
    own = rule_end(version, turn.rule, turn.place, turn.day)
    return str(own.body["ends"]) if own else "expired"


def _turn_link(
    belief: _Belief, turn: Turn, places: tuple[str, ...], rules: tuple[str, ...], more: Mapping[str, Json]
) -> str | None:
    """Two versions where one gives way to another, else the two days."""
    if not rules and turn.now is not None and turn.was is not None:
        return _versions_link(belief, turn.was, turn.now)
    if more or turn.day == date.min or turn.was is None:
        return None
    days = f"from={turn.day - timedelta(days=1)}&to={turn.day}"
    return f"/v1/documents/{belief.document.id}/diff?{days}&jurisdiction={places[0]}&at={belief.revision.id}"


# --- who wants to hear it --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events somebody wants: each member that is given must be met, by any of its values."""

    medicines: tuple[str, ...] = ()
    """INN, code, or system:code."""
    authorities: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    jurisdictions: tuple[str, ...] = ()
    """A place hears of what it is part of, and of its own parts."""
    rule_kinds: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    severity: Severity | None = None
    """At least this severe. What could not be judged passes."""

    def matches(self, told: Mapping[str, Json]) -> bool:
        """Whether an event, as told (schemas/event.json), is wanted."""
        changes = told["changes"]
        return (
            (not self.kinds or told["kind"] in self.kinds)
            and (not self.documents or told["document"] in self.documents)
            and (not self.authorities or told["authority"] in self.authorities)
            and (not self.medicines or not _names(told["medicines"]).isdisjoint(self.medicines))
            and (not self.jurisdictions or heard(told["jurisdictions"], self.jurisdictions))
            and (not self.rule_kinds or changes is None or not set(self.rule_kinds).isdisjoint(changes["rule_kinds"]))
            and (self.severity is None or changes is None or _reaches(changes["severity"], self.severity))
        )


def _names(medicines: Iterable[Mapping[str, Json]]) -> set[str]:
    names = {medicine["inn"] for medicine in medicines}
    for medicine in medicines:
        for code in medicine["codes"]:
            names |= {code["code"], f"{code['system']}:{code['code']}"}
    return names


def heard(spoken: Iterable[str], asked: Collection[str]) -> bool:
    """Whether what is spoken of is one of the places asked about, a part of one, or a whole that one is part of."""
    return any(place in within(other) or other in within(place) for place in spoken for other in asked)


def _reaches(severity: Severity, least: Severity) -> bool:
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)
