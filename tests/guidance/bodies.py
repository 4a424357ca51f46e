"""Small valid JSON to build tests from: each function names only what a test cares about."""

from __future__ import annotations

from typing import Any

Json = Any


def document(name: str = "ema/example", *places: str, **more: Json) -> Json:
    return {
        "id": name,
        "authority": name.partition("/")[0],
        "title": f"Guidance {name}",
        "jurisdictions": list(places) or ["EU"],
        **more,
    }


def version(number: int, *commencements: Json, document: str = "ema/example", **more: Json) -> Json:
    return {
        "document": document,
        "number": number,
        "title": f"Version {number}",
        "stage": "decided",
        "status": "standing",
        "commencements": list(commencements) or [since(f"20{10 + number}-01-01")],
        "medicines": [{"inn": "alemtuzumab"}],
        "rules": [rule("one")],
        "sources": [{"id": "decision", "title": "The decision", "publisher": "European Commission", "tier": "primary"}],
        **more,
    }


def since(day: str, *places: str, to: str | None = None, ends: str = "expired", **more: Json) -> Json:
    """A commencement with its day."""
    end = {"to": to, "ends": ends} if to else {}
    return {"jurisdictions": list(places) or ["EU"], "from": day, "basis": "decided", **end, **more}


def awaited(*places: str, expected: str | None = None, **more: Json) -> Json:
    """A commencement without its day."""
    hope = {"expected": expected} if expected else {}
    return {"jurisdictions": list(places) or ["EU"], "trigger": "a decision", "basis": "announced", **hope, **more}


def rule(name: str, **more: Json) -> Json:
    return {
        "id": name,
        "kind": "contraindication",
        "title": f"Rule {name}",
        "text": "It must not be used after a stroke.",
        "modality": "must-not",
        "cohort": "everyone",
        "source": {"ref": "decision"},
        **more,
    }
