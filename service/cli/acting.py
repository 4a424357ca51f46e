"""Commands that act: check, publish, correct, withdraw."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from guidance.acts import ENDS
from guidance.archive import Proposal, Receipt
from guidance.errors import BadJson, BadParameter, InvalidDocument
from guidance.model import day_of
from guidance.schema import check_document, check_version, read, warnings
from guidance.store import Act
from service.cli.actor import SAFELY, acting, clock_of
from service.cli.opening import opened, version_of
from service.cli.options import DATA


def proposal(path: Path) -> Proposal:
    try:
        return Proposal(read(path.read_bytes(), str(path)), str(path))
    except OSError as error:
        raise BadJson(f"cannot be read: {error.strerror}", file=str(path)) from error


def acknowledge(receipt: Receipt) -> None:
    verb = receipt.revision.act if receipt.recorded else "recorded before"
    click.echo(f"{verb} {', '.join(receipt.revision.subjects)} as revision {receipt.revision.id}")


FILES = click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.command()
@FILES
@click.option("--strict", is_flag=True, help="Exit 1 where something merely looks odd.")
def check(files: tuple[Path, ...], strict: bool) -> None:
    """Check documents and versions against their schemas, and list every violation with its JSON pointer."""
    found: list[Any] = []
    odd = 0
    for path in files:
        try:
            body = proposal(path).body
            if isinstance(body, dict) and "number" not in body and "id" in body:
                check_document(body, str(path))
                continue
            check_version(body, str(path))
            for warning in warnings(body):
                odd += 1
                click.echo(f"{path} {warning.pointer}: looks odd: {warning.why}", err=True)
        except InvalidDocument as error:
            found.extend(error.violations)
    if found:
        raise InvalidDocument(found)
    click.echo(f"{len(files)} files conform" + (f", {odd} things look odd" if odd else ""))
    if odd and strict:
        sys.exit(1)


@click.command()
@FILES
@DATA
@acting("publish")
@SAFELY
def publish(files: tuple[Path, ...], data: str | None, act: Act, base: str | None) -> None:
    """Record documents and their next versions; or how far a version that does not bind yet has come."""
    with clock_of(data) as now:
        acknowledge(opened(data).publish([proposal(path) for path in files], act, now, base))


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@DATA
@acting("correct")
@SAFELY
def correct(file: Path, data: str | None, act: Act, base: str | None) -> None:
    """Record that a document or version says something else than the register said. The earlier text is kept."""
    with clock_of(data) as now:
        acknowledge(opened(data).correct(proposal(file), act, now, base))


@click.command()
@click.argument("version")
@click.option("--ends", type=click.Choice(ENDS), default="withdrawn", show_default=True, help="How it ends.")
@click.option("--on", metavar="DAY", help="First day on which it no longer holds; left out: it never takes effect.")
@click.option("--jurisdiction", "places", multiple=True, metavar="J", help="Only there; may be repeated.")
@DATA
@acting("withdraw")
@SAFELY
def withdraw(
    version: str,
    ends: str,
    on: str | None,
    places: Sequence[str],
    data: str | None,
    act: Act,
    base: str | None,
) -> None:
    """Record the end of a VERSION (ema/lemtrada@3) from a day on, or that it never takes effect."""
    name, number, _ = version_of(version)
    if number is None:
        raise BadParameter("version", version, "names no version; write one such as ema/lemtrada@3")
    day = day_of(on, "--on") if on else None
    with clock_of(data) as now:
        acknowledge(opened(data).withdraw((name, number), ends, day, places, act, now, base))
