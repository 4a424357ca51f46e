"""What may be done to a document: publish, correct, withdraw. Pure: the document as it is in, what to record out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from guidance.errors import ActRefused, InvalidDocument, UnknownDocument, UnknownVersion, Violation
from guidance.model import Commencement, Document, Json, Version, canonical
from guidance.vocabulary import STAGES, within

ENDS: Final = ("repealed", "expired", "suspended", "revoked", "withdrawn", "lapsed")
"""How an act can end a version; superseded is what a later version does."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an act leads to: the verb under which it is recorded, and the new JSON (None: nothing would change)."""

    verb: str
    body: Mapping[str, Json] | None


def register(document: Document | None, body: Mapping[str, Json]) -> Outcome:
    """Record what a document is, or anew what it is."""
    if document is None:
        return Outcome("register", body)
    return Outcome("correct", None if canonical(document.body) == canonical(body) else body)


def publish(document: Document | None, body: Mapping[str, Json], file: str = "") -> Outcome:
    """Record the next version; or, of a version that does not bind or has no day yet, how far it has come.

    Raises UnknownDocument; ActRefused for a number out of turn or a version that is settled; InvalidDocument where
    two versions would start on one day.
    """
    name, number = body["document"], body["number"]
    if document is None:
        raise UnknownDocument(name)
    new = Version.of(body)
    recorded = document.version(number)
    if recorded is None:
        following = max((version.number for version in document.versions), default=0) + 1
        if number != following:
            raise ActRefused(new.id, f"is not the next version, which is {following}")
    elif canonical(recorded.body) == canonical(body):
        return Outcome("publish", None)
    elif not _unsettled(recorded):
        raise ActRefused(new.id, "is recorded as binding, with its day; what the register says of it can be corrected")
    check_starts(document, new, file)
    return Outcome(_verb(recorded, new), body)


def _unsettled(version: Version) -> bool:
    """Whether it does not bind yet, or a day of it or of one of its rules is still to come."""
    own = (commencement for rule in version.narrowed for commencement in rule.commencements)
    return not version.binds or any(c.start is None for c in (*version.commencements, *own))


def _verb(recorded: Version | None, new: Version) -> str:
    if recorded is None:
        return "publish"
    further = STAGES.index(new.stage) > STAGES.index(recorded.stage)
    return "advance" if further else "reschedule" if recorded.commencements != new.commencements else "publish"


def correct(document: Document | None, body: Mapping[str, Json], file: str = "") -> Outcome:
    """Record that a version says something else than the register said; raises UnknownDocument, UnknownVersion."""
    name, number = body["document"], body["number"]
    if document is None:
        raise UnknownDocument(name)
    recorded = document.version(number)
    if recorded is None:
        raise UnknownVersion(name, number)
    if canonical(recorded.body) == canonical(body):
        return Outcome("correct", None)
    check_starts(document, Version.of(body), file)
    return Outcome("correct", body)


def withdraw(
    document: Document | None,
    name: str,
    number: int,
    ends: str,
    on: date | None,
    jurisdictions: Sequence[str],
    why: str,
) -> Outcome:
    """Record the end of a version from a day on; or, without a day, that it never takes effect.

    `jurisdictions` limits this to some of those in which the version was recorded to start; none means all.
    """
    if document is None:
        raise UnknownDocument(name)
    version = document.version(number)
    if version is None:
        raise UnknownVersion(name, number)
    if version.status != "standing":
        if (version.status, version.body.get("status_note")) == ("withdrawn", why):
            return Outcome("withdraw", None)
        raise ActRefused(version.id, f"does not stand any more: it is {version.status}")
    strange = sorted(set(jurisdictions) - {place for c in version.commencements for place in c.jurisdictions})
    if strange:
        raise ActRefused(version.id, f"was never recorded to start in {', '.join(strange)} by that name")
    if on is None:
        return _never(version, jurisdictions, why)
    return _ended(version, ends, on, jurisdictions, why)


def _never(version: Version, jurisdictions: Sequence[str], why: str) -> Outcome:
    meant = [c for c in version.commencements if not jurisdictions or set(jurisdictions).intersection(c.jurisdictions)]
    if version.binds and any(c.start for c in meant):
        raise ActRefused(version.id, "has a day on which it takes effect; say from which day it ends (--on)")
    left = [body for c in version.commencements if (body := _without(c, jurisdictions))] if jurisdictions else []
    if not left:
        return Outcome("withdraw", {**version.body, "status": "withdrawn", "status_note": why})
    _no_whole_speaks(version, left)
    return Outcome("withdraw", {**version.body, "commencements": left})


def _without(commencement: Commencement, jurisdictions: Sequence[str]) -> dict[str, Json]:
    """A commencement as recorded, without some places; empty where none is left."""
    going = [place for place in commencement.jurisdictions if place not in jurisdictions]
    return {**commencement.body, "jurisdictions": going} if going else {}


def _ended(version: Version, ends: str, on: date, jurisdictions: Sequence[str], why: str) -> Outcome:
    bodies = [dict(c.body) for c in version.commencements]
    touched = [piece for c in version.commencements for piece in _cut(version, c, ends, on, jurisdictions, why)]
    starts = sorted({c.start for c in version.commencements if c.start})
    if not touched and on in starts:
        return Outcome("withdraw", {**version.body, "status": "withdrawn", "status_note": why})
    if not touched or touched == bodies:
        begins = next((start for start in starts if on < start), None)
        never = f"; that it never takes effect is said with the day on which it would begin, {begins}" if begins else ""
        raise ActRefused(version.id, f"is not in force anywhere on {on}{never}")
    _no_whole_speaks(version, touched)
    return Outcome("withdraw", {**version.body, "commencements": touched})


def _no_whole_speaks(version: Version, left: Sequence[Mapping[str, Json]]) -> None:
    """Refuse to leave a place out whose whole stays: the days of the whole would then be its own, those gone by too."""
    places = {place for body in left for place in body["jurisdictions"]}
    for place in sorted({place for c in version.commencements for place in c.jurisdictions} - places):
        whole = next((whole for whole in within(place)[1:] if whole in places), None)
        if whole:
            why = f"has not started in {place}, where {whole}'s days would hold if it had no word of its own"
            raise ActRefused(version.id, f"{why}; end it elsewhere by name (--jurisdiction), or correct {place}")


def _cut(
    version: Version, commencement: Commencement, ends: str, on: date, jurisdictions: Sequence[str], why: str
) -> Iterator[dict[str, Json]]:
    """One commencement, ended where it is meant: whole, or parted into what ends and what goes on.

    Of a version that ends everywhere, what would only start later does not start at all.
    """
    body = dict(commencement.body)
    meant = [place for place in commencement.jurisdictions if not jurisdictions or place in jurisdictions]
    going = [place for place in commencement.jurisdictions if place not in meant]
    start, to = commencement.start, commencement.to
    over = to is not None and (to.first <= on if to.day else to.last < on)
    if not meant or over:
        yield body
        return
    if start is None or start >= on:
        if jurisdictions:
            why = "record what holds instead with 'correct': other commencements or, for all places, status withdrawn"
            raise ActRefused(version.id, f"has not started in {', '.join(meant)} by {on}; {why}")
        return
    yield {**body, "jurisdictions": meant, "to": on.isoformat(), "ends": ends, "ends_basis": why}
    if going:
        yield {**body, "jurisdictions": going}


def check_starts(document: Document, new: Version, file: str = "") -> None:
    """Refuse a version that starts on a day on which another one starts in the same place (InvalidDocument)."""
    others = [version for version in document.versions if version.number != new.number and version.binds]
    if not new.binds or not others:
        return
    found: dict[tuple[str, str], None] = {}
    for place in document.with_version(new).named:
        mine = {c.start: c for c in new.holding(place) if c.start}
        for other in others:
            for commencement in other.holding(place):
                if commencement.start in mine:
                    where = new.commencements.index(mine[commencement.start])
                    why = f"version {other.number} also starts on {commencement.start} in {place}"
                    found[(f"/commencements/{where}/from", why)] = None
    if found:
        raise InvalidDocument([Violation(pointer, why, file) for pointer, why in found])
