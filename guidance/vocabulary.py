"""The field's words as data: places, stages, and words for people. Adding an authority or a place is a line here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple


class Jurisdiction(NamedTuple):
    """A place where rules hold: the place it is part of, and whose midnight starts its day (IANA zone)."""

    name: str
    within: str | None
    zone: str


JURISDICTIONS: Final[dict[str, Jurisdiction]] = {
    "EEA": Jurisdiction("European Economic Area", None, "Europe/Brussels"),
    "EU": Jurisdiction("European Union", "EEA", "Europe/Brussels"),
    "UK": Jurisdiction("United Kingdom", None, "Europe/London"),
    "GB": Jurisdiction("Great Britain", "UK", "Europe/London"),
    "NI": Jurisdiction("Northern Ireland", "UK", "Europe/London"),
    "CH": Jurisdiction("Switzerland", None, "Europe/Zurich"),
    "IS": Jurisdiction("Iceland", "EEA", "Atlantic/Reykjavik"),
    "LI": Jurisdiction("Liechtenstein", "EEA", "Europe/Vaduz"),
    "NO": Jurisdiction("Norway", "EEA", "Europe/Oslo"),
    "AT": Jurisdiction("Austria", "EU", "Europe/Vienna"),
    "BE": Jurisdiction("Belgium", "EU", "Europe/Brussels"),
    "BG": Jurisdiction("Bulgaria", "EU", "Europe/Sofia"),
    "CY": Jurisdiction("Cyprus", "EU", "Asia/Nicosia"),
    "CZ": Jurisdiction("Czechia", "EU", "Europe/Prague"),
    "DE": Jurisdiction("Germany", "EU", "Europe/Berlin"),
    "DK": Jurisdiction("Denmark", "EU", "Europe/Copenhagen"),
    "EE": Jurisdiction("Estonia", "EU", "Europe/Tallinn"),
    "ES": Jurisdiction("Spain", "EU", "Europe/Madrid"),
    "FI": Jurisdiction("Finland", "EU", "Europe/Helsinki"),
    "FR": Jurisdiction("France", "EU", "Europe/Paris"),
    "GR": Jurisdiction("Greece", "EU", "Europe/Athens"),
    "HR": Jurisdiction("Croatia", "EU", "Europe/Zagreb"),
    "HU": Jurisdiction("Hungary", "EU", "Europe/Budapest"),
    "IE": Jurisdiction("Ireland", "EU", "Europe/Dublin"),
    "IT": Jurisdiction("Italy", "EU", "Europe/Rome"),
    "LT": Jurisdiction("Lithuania", "EU", "Europe/Vilnius"),
    "LU": Jurisdiction("Luxembourg", "EU", "Europe/Luxembourg"),
    "LV": Jurisdiction("Latvia", "EU", "Europe/Riga"),
    "MT": Jurisdiction("Malta", "EU", "Europe/Malta"),
    "NL": Jurisdiction("Netherlands", "EU", "Europe/Amsterdam"),
    "PL": Jurisdiction("Poland", "EU", "Europe/Warsaw"),
    "PT": Jurisdiction("Portugal", "EU", "Europe/Lisbon"),
    "RO": Jurisdiction("Romania", "EU", "Europe/Bucharest"),
    "SE": Jurisdiction("Sweden", "EU", "Europe/Stockholm"),
    "SI": Jurisdiction("Slovenia", "EU", "Europe/Ljubljana"),
    "SK": Jurisdiction("Slovakia", "EU", "Europe/Bratislava"),
}

AUTHORITIES: Final[dict[str, str]] = {
    "ema": "European Medicines Agency",
    "ec": "European Commission",
    "mhra": "Medicines and Healthcare products Regulatory Agency",
    "nice": "National Institute for Health and Care Excellence",
    "swissmedic": "Swissmedic",
}

STAGES: Final = ("announced", "recommended", "adopted", "provisional", "decided", "issued")
"""In the order in which an authority goes."""

BINDING: Final = frozenset({"provisional", "decided", "issued"})
"""Only a version at one of these stages can be in force."""

COHORTS: Final = {
    "initiation": "New patients",
    "continuation": "Already treated",
    "everyone": "New and existing patients",
}
"""Which patients a rule is about, as people read it. Nobody is "everyone": the population may leave some out."""

MODALITIES: Final = {
    "must": "Must",
    "should": "Should",
    "may": "May",
    "should-not": "Should not",
    "must-not": "Must not",
}
"""How a rule binds, as people read it."""

UNCONFIRMED: Final = {"from": "the first day", "to": "the end", "expected": "the expected time"}
"""What of a commencement no source confirms, as people read it."""


ENDINGS: Final = {
    "superseded": "Superseded by another rule",
    "corrected": "Taken out by a correction of the same version",
    "dropped": "Left out of the later version; no act says why",
    "not-yet": "Only the later of the two has it",
}
"""Why a rule stands on the older side of a comparison only, as people read it; other words say it themselves."""


def ending_of(how: str, by: Iterable[str] = ()) -> str:
    """Why a rule stands on the older side only, and the rules that took its place."""
    return ": ".join(filter(None, (ENDINGS.get(how, how.capitalize()), ", ".join(by))))


def within(jurisdiction: str) -> tuple[str, ...]:
    """The jurisdiction and every one that it is part of, nearest first: GB -> (GB, UK)."""
    return _CHAINS.get(jurisdiction) or (jurisdiction,)


def _chain(jurisdiction: str) -> tuple[str, ...]:
    above = JURISDICTIONS[jurisdiction].within
    return (jurisdiction, *_chain(above)) if above else (jurisdiction,)


_CHAINS: Final = {name: _chain(name) for name in JURISDICTIONS}


def outermost(jurisdictions: Iterable[str]) -> list[str]:
    """The jurisdictions that are not part of another of them, by name: GB, NI, UK -> UK."""
    found = set(jurisdictions)
    return sorted(place for place in found if not set(within(place)[1:]) & found)


PARTS: Final[dict[str, tuple[str, ...]]] = {
    whole: tuple(part for part in JURISDICTIONS if part != whole and whole in within(part)) for whole in JURISDICTIONS
}
"""Every jurisdiction that lies within another: UK -> (GB, NI)."""
