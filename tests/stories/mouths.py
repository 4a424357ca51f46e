"""One question put through Python, through the command line and through HTTP; the answer in one shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from click.testing import CliRunner

from guidance.archive import Archive
from guidance.register import Span
from guidance.vocabulary import within
from service.cli import main
from tests.service.doors import door


@dataclass(frozen=True)
class Told:
    """What a document says on a day."""

    selected: Mapping[str, Any]
    rules: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]
    """The rules that hold in each part of the place that has a word of its own."""
    coming: tuple[tuple[Any, ...], ...]
    """(version, rule, stage, state, from, expected) of all that is awaited."""
    next_change_on: str | None
    codes: frozenset[str]

    @property
    def state(self) -> str:
        return str(self.selected["state"])

    @property
    def version(self) -> int | None:
        number: int | None = self.selected["version"]
        return number


Ask = Callable[..., Told]


def python(archive: Archive, name: str, on: str | None, jurisdiction: str, at: str | None = None) -> Told:
    """`archive.register(at=…).on(day, jurisdiction)`."""
    moment = datetime.combine(date.fromisoformat(at), time.max, UTC) if at else None
    register = archive.register(at=moment, documents=[name])
    snapshot = register.on(on or date.today(), jurisdiction)
    spans = snapshot.spans_of(name)
    whole = next((span for span in spans if span.jurisdiction in within(jurisdiction)), None)
    chosen = whole.json() if whole else {"state": "nothing-recorded", "version": None, "codes": []}

    def held(span: Span) -> tuple[str, ...]:
        version = register.document(name).version(span.version) if span.version else None
        ids = [rule["id"] for rule in version.body["rules"]] if version and span.applies else []
        return tuple(rule for rule in ids if rule not in span.left_out)

    change = snapshot.next_change_of(name)
    return Told(
        chosen,
        held(whole) if whole else (),
        {span.jurisdiction: held(span) for span in spans if span is not whole},
        tuple(awaited(item.json(snapshot.day)) for item in snapshot.coming_of(name)),
        change.isoformat() if change else None,
        frozenset(code["code"] for code in chosen["codes"]),
    )


def command(archive: Archive, name: str, on: str | None, jurisdiction: str, at: str | None = None) -> Told:
    """`inforce show NAME --on DAY --at WHEN --jurisdiction J --json`."""
    asked = ["show", name, "--data", str(archive.folder), "--jurisdiction", jurisdiction, "--json"]
    asked += (["--on", on] if on else []) + (["--at", at] if at else [])
    result = CliRunner().invoke(main, asked, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return of_answer(json.loads(result.stdout))


def http(archive: Archive, name: str, on: str | None, jurisdiction: str, at: str | None = None) -> Told:
    """`GET /v1/documents/NAME?on=DAY&at=WHEN&jurisdiction=J`."""
    asked = {"on": on, "at": at, "jurisdiction": jurisdiction}
    client = door(archive, datetime.now(UTC))
    response = client.get(f"/v1/documents/{name}", query_string={n: v for n, v in asked.items() if v})
    assert response.status_code == 200, response.get_data(as_text=True)
    return of_answer(json.loads(response.data))


def of_answer(answer: Any) -> Told:
    return Told(
        answer["selected"],
        tuple(rule["id"] for rule in answer["version"]["rules"]) if answer["version"] else (),
        {part["jurisdiction"]: tuple(part["rules"]) for part in answer["parts"]},
        tuple(map(awaited, answer["coming"])),
        answer["next_change_on"],
        frozenset(code["code"] for code in answer["selected"]["codes"]),
    )


def awaited(item: Any) -> tuple[Any, ...]:
    return tuple(item[name] for name in ("version", "rule", "stage", "state", "from", "expected"))


MOUTHS: dict[str, Ask] = {"python": python, "command": command, "http": http}
