"""What the campaigns publish: small valid documents, each of whose versions starts on a day of its own."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from guidance.archive import Archive, Proposal
from guidance.model import Json
from guidance.store import Act

NAMES: Final = tuple(f"ema/case-{number:02d}" for number in range(24))
PROBE: Final = "ema/probe"
"""The document that only the campaign itself publishes to, to see whether publishing still works."""
PLACE: Final = "EU"
FIRST: Final = date(2000, 1, 1)


def document(name: str) -> Json:
    return {"id": name, "authority": "ema", "title": f"Guidance on {name}", "jurisdictions": [PLACE]}


def version(name: str, number: int, text: str, rules: int = 1) -> Json:
    """Version `number`, in force from `starts(number)` until the next one."""
    return {
        "document": name,
        "number": number,
        "title": f"Version {number}",
        "stage": "decided",
        "status": "standing",
        "commencements": [{"jurisdictions": [PLACE], "from": starts(number).isoformat(), "basis": "decided"}],
        "medicines": [{"inn": "alemtuzumab"}],
        "rules": [_rule(f"rule-{count}", f"{text}, rule {count}") for count in range(rules)],
        "sources": [{"id": "decision", "title": "Decision", "publisher": "EMA", "tier": "primary"}],
    }


def _rule(name: str, text: str) -> Json:
    return {
        "id": name,
        "kind": "monitoring",
        "title": "Before each course",
        "text": text,
        "modality": "must",
        "cohort": "everyone",
        "source": {"ref": "decision"},
    }


def starts(number: int) -> date:
    return FIRST + timedelta(days=number)


def act(key: str | None = None) -> Act:
    return Act("publish", "A Pharmacist <pharmacist@example.org>", "to see whether it lasts", key=key)


def now() -> datetime:
    return datetime.now(UTC)


def register(folder: Path, names: tuple[str, ...] = (*NAMES, PROBE)) -> None:
    """Make a register in which every document has its first version; leaves no connection open."""
    archive = Archive.init(folder)
    bodies = [body for name in names for body in (document(name), version(name, 1, "from the start"))]
    archive.publish([Proposal(body) for body in bodies], act(), now())
    archive.close()
