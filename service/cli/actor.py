"""Who acts, and at which instant."""

from __future__ import annotations

from datetime import datetime

import click

from guidance.errors import BadParameter, StoreError
from guidance.store import Act
from service import config, state, ticker
from service.clock import system_clock


def now_of(data: str | None) -> datetime:
    """The instant of an act: not before what subscribers were told last, for what was told cannot be untold."""
    settings = config.load({"data": data})
    if not settings.state and not (settings.data / "state.sqlite").exists():
        return system_clock()
    log = state.opened(settings)
    try:
        return ticker.steady(system_clock, log)()
    except StoreError as error:
        click.echo(f"inforce: {error}; recording by the system's clock", err=True)
        return system_clock()
    finally:
        log.close()


def act_of(verb: str, author: str | None, reason: str, approved_by: str | None, key: str | None = None) -> Act:
    who = author or config.author()
    if who is None:
        raise BadParameter("--author", "", "is missing: say who acts, or set INFORCE_AUTHOR")
    return Act(verb, who, reason, approved_by, key)
