"""Events to send, made without a register: what schemas/event.json asks for, and no more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Told:
    id: str
    document: str = "ema/lemtrada"
    more: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        return {**event(self.id, self.document), **self.more}


def event(name: str, document: str = "ema/lemtrada", **more: Any) -> dict[str, Any]:
    address = f"/v1/documents/{document}"
    return {
        "id": name,
        "kind": "in-force",
        "occurred_at": "2020-01-15T23:00:00Z",
        "document": document,
        "title": "Lemtrada",
        "authority": document.partition("/")[0],
        "version": 3,
        "version_title": "After the review",
        "replaces": 2,
        "jurisdictions": ["EU"],
        "cause": "day",
        "day": "2020-01-16",
        "rules": [],
        "retroactive": False,
        "medicines": [{"inn": "alemtuzumab", "codes": [{"system": "atc", "code": "L04AA34"}]}],
        "changes": changes(),
        "revision": {"id": "0" * 40, "position": 3, "recorded_at": "2019-11-05T12:00:00Z", "replayed": False},
        "links": {"document": address, "version": f"{address}/versions/3", "diff": None, "page": "/documents/x"},
        **more,
    }


def changes(severity: str = "major", count: int = 2, kinds: tuple[str, ...] = ("restriction",)) -> dict[str, Any]:
    empty: dict[str, int] = {}
    counts = {"severities": empty, "directions": empty, "effects": empty}
    return {"severity": severity, "changes": count, **counts, "needs_review": 0, "rule_kinds": [*kinds], "rules": []}
