"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import click

from service import config
from service.config import Config

Command = Callable[..., Any]


def options(*given: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def apply(command: Command) -> Command:
        for option in reversed(given):
            command = option(command)
        return command

    return apply


DATA = click.option("--data", metavar="DIR", help="Folder of the register (INFORCE_DATA, else ./inforce-data).")
ON = click.option("--on", metavar="DAY", help="The day the rules apply, YYYY-MM-DD; today where left out.")
AT = click.option("--at", metavar="WHEN", help="Look from a revision, an instant, or the end of a day (UTC).")
PLACE = click.option("--jurisdiction", metavar="J", help="EU, UK, GB, NI, CH, or a member state such as DE.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON.")


def taking(settings: Sequence[config.Setting]) -> Callable[[Command], Command]:
    """The settings as options of a command."""

    def apply(command: Command) -> Command:
        for setting in reversed(settings):
            default = next(f.default for f in fields(Config) if f.name == setting.field)
            told = f"{setting.about} [{setting.variable}; default {_written(default)}]"
            command = click.option(setting.option, setting.field, metavar="VALUE", help=told)(command)
        return command

    return apply


def _written(default: Any) -> str:
    """A default as whoever gives the option writes it."""
    if isinstance(default, bool):
        return "yes" if default else "no"
    return (", ".join(map(str, default)) if isinstance(default, tuple) else str(default)) or "none"
