"""The HTTP door as tests use it: an application around a register, with a clock to turn and settings to choose."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from guidance.archive import Archive, Proposal
from guidance.schema import violations
from guidance.store import Act
from service.app import create_app
from service.config import Config

NOW = datetime(2026, 2, 2, 12, tzinfo=UTC)
EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"


class Hands:
    """A clock that stands until a test turns it."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **by: float) -> None:
        self.now += timedelta(**by)


def door(archive: Archive, clock: Hands | datetime = NOW, **settings: Any) -> FlaskClient:
    """A client of an application that serves the register."""
    hands = clock if isinstance(clock, Hands) else Hands(clock)
    return create_app(Config(data=archive.folder, **settings), archive, hands).test_client()


def answer(client: FlaskClient, address: str, schema: str | None = None) -> Any:
    """The JSON of an answer, held to its schema."""
    response = client.get(address)
    assert response.status_code == 200, response.get_data(as_text=True)
    told = json.loads(response.data)
    if schema:
        assert violations(schema, told) == ()
    return told


def refusal(response: TestResponse, status: int, kind: str) -> Any:
    """The problem of a refused request, held to its schema."""
    assert response.mimetype == "application/problem+json"
    told = json.loads(response.data)
    assert violations("problem", told) == ()
    assert (response.status_code, told["status"], told["type"]) == (status, status, f"/problems/{kind}")
    return told


def addresses(client: FlaskClient) -> set[str]:
    """Every machine route of the application, written as OpenAPI writes it."""
    rules = (rule.rule for rule in client.application.url_map.iter_rules())
    machines = (rule for rule in rules if re.match(r"/(v1/|healthz|readyz)", rule))
    return {re.sub(r"<(?:[^<>:]+:)?(\w+)>", r"{\1}", rule) for rule in machines}


def correct(archive: Archive, name: str, number: int, now: datetime = NOW, **members: Any) -> None:
    """Record a version anew, with some members changed."""
    tip = archive.tip()
    assert tip is not None
    body = json.loads(archive.index.version(name, number, tip.position))
    act = Act("correct", "Ada Pharmacist <ada@example.org>", "a correction")
    archive.correct(Proposal({**body, **members}), act, now)
