"""Commands that serve a register over HTTP."""

from __future__ import annotations

from typing import Final

import click

from guidance import severity
from guidance.archive import Archive
from guidance.later import later
from service import config, logs, server
from service.app import load
from service.cli.options import taking
from service.cli.telling import ready_to_tell
from service.config import Config
from service.teller import Teller

OWN: Final = ("data", "state")
"""Where a demo lies is never where the environment says that the register does: it would be told to its subscribers."""


@click.command()
@taking(config.SETTINGS)
@click.option("--seed", is_flag=True, help="Where there is no register yet, make one with the corpus first.")
def serve(seed: bool, **given: str | None) -> None:
    """Serve the register over HTTP: pages for people, /v1 for programs."""
    settings = config.load(given)
    if seed and not (settings.data / "register.git").exists():
        server.check_place(settings)
        later("service.cli.keeping:made")(settings.data)
    _serve(settings)


@click.command()
@click.option("--data", metavar="DIR", help="Folder of the demo (./inforce-demo, whatever INFORCE_DATA says).")
@click.option("--state", metavar="URL", help="Its database (state.sqlite in there, whatever INFORCE_STATE says).")
@taking([setting for setting in config.SETTINGS if setting.field not in OWN])
def demo(**given: str | None) -> None:
    """Replay the corpus's journal into a folder (./inforce-demo) and serve it: what was known when, day by day."""
    given = {**given, "data": given["data"] or "inforce-demo", "state": given["state"] or ""}
    settings = config.load(given)
    if not (settings.data / "register.git").exists():
        server.check_place(settings)
        later("service.cli.keeping:replayed")(settings.data)
    _serve(settings)


def _serve(settings: Config) -> None:
    logs.start(settings.log_level)
    severity.chosen(settings.severity_file)
    archive = Archive(settings.data)
    archive.recover()
    archive.tip()
    archive.close()
    if settings.deliver:
        ready_to_tell(settings)
    place = server.check_place(settings)
    click.echo(f"serving {settings.data} on http://{f'[{place}]' if ':' in place else place}:{settings.port}", err=True)
    server.serve(settings, load, Teller(settings) if settings.deliver else None)
