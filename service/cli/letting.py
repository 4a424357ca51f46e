"""Commands that make, list and revoke tokens: who is let in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, time

import click

from guidance.errors import NoRegister
from guidance.model import day_of
from service import config, tables, tokens
from service import state as states
from service.cli.options import AS_JSON, DATA
from service.state import State


@click.group()
def token() -> None:
    """Make, list and revoke the tokens with which programs and people subscribe."""


STATE = click.option("--state", metavar="URL", help="Database of events and subscriptions (INFORCE_STATE).")


@contextmanager
def _tables(data: str | None, url: str | None) -> Iterator[State]:
    settings = config.load({"data": data, "state": url})
    if not settings.state and not settings.data.is_dir():
        raise NoRegister(str(settings.data))
    log = states.opened(settings)
    try:
        yield log
    finally:
        log.close()


@token.command("create")
@click.option("--owner", required=True, metavar="NAME", help="Whose it is. What it subscribes to belongs to them.")
@click.option("--name", default="token", show_default=True, metavar="TEXT", help="What it is for.")
@click.option(
    "--scope", "scopes", multiple=True, metavar="SCOPE", help=f"One of {', '.join(tokens.SCOPES)}; repeat it."
)
@click.option("--expires", metavar="DAY", help="First day, in UTC, on which it no longer holds.")
@DATA
@STATE
def create_token(
    owner: str, name: str, scopes: Sequence[str], expires: str | None, data: str | None, state: str | None
) -> None:
    """Make a token and show it, this once; only its hash is kept. Without --scope it may subscribe."""
    end = datetime.combine(day_of(expires, "--expires"), time.min, UTC) if expires else None
    with _tables(data, state) as log:
        made, text = tokens.create(log, name, owner, scopes or ("subscribe",), end)
    click.echo(f"{made.id}: a token of {made.owner} to {', '.join(made.scopes)}; it is not shown again", err=True)
    click.echo(text)


@token.command("list")
@click.option("--owner", metavar="NAME", help="Only theirs.")
@DATA
@STATE
@AS_JSON
def list_tokens(owner: str | None, data: str | None, state: str | None, as_json: bool) -> None:
    """Every token: whose, for what, until when, when last used; never the token itself."""
    with _tables(data, state) as log:
        found = [one.json() for one in tokens.tokens(log, owner)]
    if as_json:
        tables.as_json({"tokens": found})
    else:
        tables.tokens(found)


@token.command("revoke")
@click.argument("name", metavar="ID")
@DATA
@STATE
def revoke_token(name: str, data: str | None, state: str | None) -> None:
    """End a token now. Subscriptions that were made with it stay its owner's."""
    with _tables(data, state) as log:
        ended = tokens.revoke(log, name)
    click.echo(f"{ended.id}: revoked")
