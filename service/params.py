"""Strings from a URL or a command line into days, revisions and ids; or an error that names the parameter."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from guidance.errors import BadParameter
from guidance.model import SEGMENT, PartialDate, day_of
from guidance.schema import schema
from guidance.vocabulary import JURISDICTIONS

KINDS: Final = tuple(schema("common")["$defs"]["kind"]["enum"])
COHORTS: Final = tuple(schema("common")["$defs"]["cohort"]["enum"])
PAGE: Final = 100
PAGE_LIMIT: Final = 1000
REVISION: Final = re.compile(r"[0-9a-f]{7,40}")
INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


@dataclass(frozen=True, slots=True)
class At:
    """Where we look from: as it was written, and the revision id or instant that it means."""

    text: str
    meaning: str | datetime

    @property
    def pinned(self) -> bool:
        """Whether it names one revision in full, so that what it shows can never change."""
        return isinstance(self.meaning, str) and len(self.meaning) == 40


def only(given: Collection[str], known: Collection[str]) -> None:
    """Refuse a parameter that is not known here: ignoring it could answer another question than was asked."""
    for name in given:
        if name not in known:
            raise BadParameter(name, "", f"is not a parameter here; known are {', '.join(known) or 'none'}")


def once(values: Mapping[str, list[str]]) -> dict[str, str]:
    """Each parameter's one value; raises BadParameter where one is given twice."""
    for name, given in values.items():
        if len(given) > 1:
            raise BadParameter(name, ", ".join(given)[:100], "is given more than once")
    return {name: given[0] for name, given in values.items()}


def filled(given: Mapping[str, str]) -> Mapping[str, str]:
    """Refuse a parameter without a value: whoever sent it meant something."""
    for name, value in given.items():
        if not value:
            raise BadParameter(name, value, "is empty; leave it out, or give it a value")
    return given


def on(text: str | None, parameter: str = "on") -> date | None:
    """A civil day; None where none is given."""
    return None if text is None else day_of(text, parameter)


def at(text: str | None, now: datetime, parameter: str = "at") -> At | None:
    """A revision id (7 to 40 hexadecimal letters), an instant (RFC 3339), or a day, which means its end in UTC."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        day = PartialDate.parse(text, parameter).first
        if day > now.date():
            raise BadParameter(parameter, text, "is in the future: what the register will know cannot be asked")
        return At(text, datetime.combine(day, time.max, UTC))
    if INSTANT.fullmatch(text):
        return At(text, _instant(text, now, parameter))
    if REVISION.fullmatch(text):
        return At(text, text)
    raise BadParameter(
        parameter, text, "is neither a day (2019-11-05), an instant (2019-11-05T12:00:00Z) nor a revision"
    )


def revision(text: str, parameter: str) -> str:
    """A revision id, or the first seven or more letters of one."""
    if not REVISION.fullmatch(text):
        raise BadParameter(parameter, text, "is not a revision: seven to forty of the letters 0-9 and a-f")
    return text


def _instant(text: str, now: datetime, parameter: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadParameter(parameter, text, f"is not an instant that exists: {error}") from error
    if instant > now + timedelta(minutes=5):
        raise BadParameter(parameter, text, "is in the future: what the register will know cannot be asked")
    return instant


def jurisdiction(text: str | None, parameter: str = "jurisdiction") -> str | None:
    if text is not None and text not in JURISDICTIONS:
        raise BadParameter(parameter, text, f"is not a jurisdiction; known are {', '.join(JURISDICTIONS)}")
    return text


def segment(text: str | None, parameter: str) -> str | None:
    """An id of one segment, such as an INN or an authority."""
    if text is not None and not SEGMENT.fullmatch(text):
        raise BadParameter(parameter, text, "is not an id: lower-case letters, digits and inner hyphens, at most 64")
    return text


def choice(text: str | None, parameter: str, choices: Collection[str]) -> str | None:
    if text is not None and text not in choices:
        raise BadParameter(parameter, text, f"is none of {', '.join(choices)}")
    return text


def number(text: str | None, parameter: str, default: int, most: int, least: int = 1) -> int:
    """A whole number from `least` to `most`, written in plain digits."""
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,15}", text) or not least <= int(text) <= most:
        raise BadParameter(parameter, text, f"is not a whole number from {least} to {most}")
    return int(text)
