"""Who acts, why, and at which instant: the options that say so, and the act made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import click

from guidance.errors import BadParameter, StoreError
from guidance.store import Act
from service import config, state, ticker
from service.cli.options import Command, options
from service.clock import Clock, system_clock

WHO_AND_WHY = options(
    click.option("--author", metavar="'NAME <ADDRESS>'", help="Who acts (else INFORCE_AUTHOR)."),
    click.option("--reason", required=True, metavar="TEXT", help="Why, in one line."),
    click.option("--approved-by", metavar="TEXT", help="Who approved it."),
)
SAFELY = options(
    click.option("--key", metavar="KEY", help="Idempotency key: a retry with it records nothing twice."),
    click.option("--base", metavar="REVISION", help="Refuse if the register has moved on from this revision."),
)


def acting(verb: str) -> Callable[[Command], Command]:
    """Options that say who acts and why, handed to the command as its `act`; `--key` too, where SAFELY stands below."""

    def apply(command: Command) -> Command:
        @wraps(command)
        def acted(
            *, author: str | None, reason: str, approved_by: str | None, key: str | None = None, **given: Any
        ) -> Any:
            return command(act=_act(verb, author, reason, approved_by, key), **given)

        return WHO_AND_WHY(acted)

    return apply


@contextmanager
def clock_of(data: str | None) -> Iterator[Clock]:
    """The clock of an act, to be asked when it is recorded: not before what subscribers were told by then."""
    settings = config.load({"data": data})
    if not settings.state and not (settings.data / "state.sqlite").exists():
        yield system_clock
        return
    log = state.opened(settings)
    try:
        yield _answering(ticker.steady(system_clock, log))
    finally:
        log.close()


def _answering(clock: Clock) -> Clock:
    """The clock itself, if it answers: a database that does not is waited for before the register is, not meanwhile."""
    try:
        clock()
    except StoreError as error:
        click.echo(f"inforce: {error}; recording by the system's clock", err=True)
        return system_clock
    return clock


def _act(verb: str, author: str | None, reason: str, approved_by: str | None, key: str | None) -> Act:
    who = author or config.author()
    if who is None:
        raise BadParameter("--author", "", "is missing: say who acts, or set INFORCE_AUTHOR")
    return Act(verb, who, reason, approved_by, key)
