"""The command that tells and sends without serving, and what must hold before anybody does."""

from __future__ import annotations

import click

from service import config, delivery, logs, signing, state, teller
from service.addresses import Policy
from service.cli.options import taking
from service.config import Config


def ready_to_tell(settings: Config) -> None:
    """Read what delivering depends on and bring the tables to the newest schema, so that a mistake is told at once; so
    are secrets that no key opens."""
    delivery.terms_of(settings)
    Policy.set_by(settings)
    vault = signing.vault(settings)
    if settings.secret_key_file or signing.key_path(settings).exists():
        vault.ready()
    log = state.opened(settings)
    try:
        delivery.unopened(log, vault)
    finally:
        log.close()


@click.command()
@taking(config.DELIVERING)
def deliver(**given: str | None) -> None:
    """Tell what is due and send webhooks, beside any number of others that do; no pages, no questions."""
    settings = config.load(given)
    logs.start(settings.log_level)
    teller.at_hand(settings)
    ready_to_tell(settings)
    click.echo("delivering", err=True)
    teller.run(settings, teller.stopping())
