"""Tokens: shown once, kept as a hash, scoped, ended, and not to be guessed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from guidance.errors import BadParameter, NotAllowed, NotAuthenticated, TooManyAttempts, UnknownToken
from service import tokens
from service.state import TOKEN, State
from tests.service.databases import KINDS, database

HERE = "192.0.2.1"


@dataclass
class Office:
    state: State
    now: datetime = datetime(2026, 2, 2, 12, tzinfo=UTC)

    def ask(self, text: str | None, scope: str = "subscribe", client: str = HERE) -> tokens.Token:
        return tokens.authenticate(self.state, text, client, scope)


@pytest.fixture(params=KINDS)
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    with database(request.param, tmp_path) as url:
        made: list[Office] = []
        state = State(url, lambda: made[0].now)
        made.append(Office(state))
        yield made[0]
        state.close()


def test_a_token_is_known_by_its_text_and_kept_only_as_a_hash(office: Office) -> None:
    token, text = tokens.create(office.state, "ward 7", "ada", ["subscribe", "read"])
    assert office.ask(text).owner == "ada"
    assert office.ask(text, "read").scopes == ("read", "subscribe")
    hidden = text.rsplit("_", 1)[-1] if "_" not in text[-43:] else text[-43:]
    assert len(text) == len("inforce_") + 16 + 1 + 43
    with office.state.reading() as connection:
        row = connection.execute(select(TOKEN)).one()
    assert hidden not in repr(row)
    assert hidden not in repr(token)
    assert tokens.tokens(office.state)[0].json()["scopes"] == ["read", "subscribe"]


def test_two_tokens_are_never_alike(office: Office) -> None:
    assert len({tokens.create(office.state, "a", "ada", ["read"])[1] for _ in range(20)}) == 20


def test_a_token_reaches_no_further_than_its_scopes(office: Office) -> None:
    _, text = tokens.create(office.state, "a", "ada", ["read"])
    with pytest.raises(NotAllowed):
        office.ask(text, "subscribe")


def test_a_token_ends_when_it_expires_or_is_revoked(office: Office) -> None:
    _, brief = tokens.create(office.state, "a", "ada", ["read"], office.now + timedelta(hours=1))
    held, text = tokens.create(office.state, "b", "ada", ["read"])
    assert office.ask(brief, "read")
    office.now += timedelta(hours=1)
    with pytest.raises(NotAuthenticated):
        office.ask(brief, "read")
    assert tokens.revoke(office.state, held.id).revoked_at == office.now
    office.now += timedelta(hours=1)
    assert tokens.revoke(office.state, held.id).revoked_at == office.now - timedelta(hours=1)
    with pytest.raises(NotAuthenticated):
        office.ask(text, "read")
    with pytest.raises(UnknownToken):
        tokens.revoke(office.state, "nothing")


@pytest.mark.parametrize("text", [None, "", "x", "inforce_0123456789abcdef_short", "a" * 10_000, "inforce__", "é"])
def test_what_is_not_a_token_is_refused(office: Office, text: str | None) -> None:
    with pytest.raises(NotAuthenticated):
        office.ask(text)


def test_a_token_with_one_letter_changed_is_refused(office: Office) -> None:
    _, text = tokens.create(office.state, "a", "ada", ["subscribe"])
    for place in (-1, -20, -43):
        other = "A" if text[place] != "A" else "B"
        with pytest.raises(NotAuthenticated):
            office.ask(text[:place] + other + (text[place + 1 :] if place != -1 else ""))


def test_guessing_is_limited_by_place_and_a_right_guess_learns_nothing(office: Office) -> None:
    _, text = tokens.create(office.state, "a", "ada", ["subscribe"])
    for _ in range(tokens.REFUSALS_A_MINUTE):
        with pytest.raises(NotAuthenticated):
            office.ask("inforce_0123456789abcdef_" + "x" * 43)
    for given in ("wrong", text):
        with pytest.raises(TooManyAttempts) as caught:
            office.ask(given)
        assert 0 < caught.value.seconds <= 60
    assert office.ask(text, client="192.0.2.2")
    office.now += timedelta(minutes=1)
    assert office.ask(text)


def test_one_ipv6_network_is_one_place(office: Office) -> None:
    for number in range(tokens.REFUSALS_A_MINUTE):
        with pytest.raises(NotAuthenticated):
            office.ask("wrong", client=f"2001:db8::{number}")
    with pytest.raises(TooManyAttempts):
        office.ask("wrong", client="2001:db8::ffff")
    with pytest.raises(NotAuthenticated):
        office.ask("wrong", client="2001:db8:0:1::1")


def test_the_last_use_is_known_to_the_minute(office: Office) -> None:
    _, text = tokens.create(office.state, "a", "ada", ["subscribe"])
    assert tokens.tokens(office.state)[0].used_at is None
    office.ask(text)
    first = office.now
    office.now += timedelta(seconds=30)
    office.ask(text)
    assert tokens.tokens(office.state, "ada")[0].used_at == first
    office.now += timedelta(seconds=31)
    office.ask(text)
    assert tokens.tokens(office.state, "ada")[0].used_at == office.now
    assert tokens.tokens(office.state, "grace") == []


@pytest.mark.parametrize(
    ("name", "owner", "scopes", "days"),
    [
        ("", "ada", ["read"], None),
        ("a", " ", ["read"], None),
        ("a\nb", "ada", ["read"], None),
        ("a" * 201, "ada", ["read"], None),
        ("a", "ada", [], None),
        ("a", "ada", ["everything"], None),
        ("a", "ada", ["read"], -1),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(
    office: Office, name: str, owner: str, scopes: list[str], days: int | None
) -> None:
    with pytest.raises(BadParameter):
        tokens.create(office.state, name, owner, scopes, office.now + timedelta(days=days) if days else None)
