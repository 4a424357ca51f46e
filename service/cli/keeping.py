"""Commands that make a register, take in and give out what it holds, and prove and tidy it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import version as release_of
from pathlib import Path
from typing import Final

import click

from guidance import audit, journal, transfer
from guidance.archive import Archive
from guidance.errors import BadParameter, Tampered
from guidance.model import document_id
from guidance.store import Act
from service import config, params
from service.cli.actor import acting, clock_of
from service.cli.opening import asked, opened
from service.cli.options import AT, DATA
from service.cli.progress import Shown
from service.clock import system_clock

CORPUS_AUTHOR: Final = "Inforce corpus <corpus@inforce.invalid>"


@click.command()
@DATA
@click.option("--empty", is_flag=True, help="Do not record the corpus of real documents.")
def init(data: str | None, empty: bool) -> None:
    """Make a register, and record the corpus of real documents in it, today."""
    count, folder = made(config.load({"data": data}).data, empty)
    click.echo(f"{folder}: a register with {count} revisions")


def made(folder: Path, empty: bool = False) -> tuple[int, Path]:
    """Make a register with the corpus in it; how many revisions it holds, and where."""
    act = Act("publish", CORPUS_AUTHOR, f"the corpus that comes with inforce {release_of('inforce')}")
    with Shown() as progress:

        def fill(archive: Archive) -> None:
            if not empty:
                archive.take_in(journal.CORPUS / "documents", act, system_clock, progress)

        tip = Archive.make(folder, fill).tip()
    return tip.position if tip else 0, folder


@click.command("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@DATA
@acting("publish")
def import_(source: Path, data: str | None, act: Act) -> None:
    """Record a folder of JSON files, or a file of JSON lines: all of it or, with every violation listed, nothing."""
    archive = opened(data)
    with Shown() as progress, clock_of(data) as now:
        count = archive.take_in(source, act, now, progress)
    click.echo(f"recorded {count} revisions")


@click.command()
@click.argument("document", required=False)
@DATA
@AT
@click.option("--history", is_flag=True, help="Every revision with what it recorded, not only the newest state.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file, whole or not at all.")
def export(document: str | None, data: str | None, at: str | None, history: bool, output: Path | None) -> None:
    """Write the register, or one DOCUMENT, as JSON lines that can be imported again."""
    archive = opened(data)
    name = document_id(document) if document else None
    seen = asked(archive, config.load({"data": data}), at=at)
    write = transfer.export_history if history else transfer.export
    lines = write(archive.index, seen.position, name)
    if output is None:
        for line in lines:
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        return
    _whole(output, lines)


def _whole(output: Path, lines: Iterable[bytes]) -> None:
    """Write a file whole or not at all; raises BadParameter where what lies there is no file, such as a device."""
    if output.exists() and not output.is_file():
        raise BadParameter("--output", str(output), "is no file; leave it out to write to standard output")
    part = output.with_name(output.name + ".part")
    try:
        with part.open("wb") as file:
            file.writelines(lines)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


@click.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@DATA
def replay(source: Path | None, data: str | None) -> None:
    """Play a dated journal (else the corpus's own) into a new register, each act on its day, marked as replayed."""
    folder = config.load({"data": data}).data
    count = replayed(folder, source)
    click.echo(f"{folder}: replayed {count} acts")


def replayed(folder: Path, source: Path | None = None) -> int:
    """Make a register by playing a journal, else the corpus's own; how many acts it holds."""
    played = source or journal.CORPUS / "journal.json"
    with Shown() as progress:
        documents = journal.CORPUS / "documents"
        tip = Archive.make(folder, lambda archive: journal.replay(archive, played, documents, progress)).tip()
    return tip.position if tip else 0


@click.command()
@DATA
def rebuild(data: str | None) -> None:
    """Derive the index again from the store, and what is found by its words at the next search."""
    archive = opened(data)
    with Shown() as progress:
        archive.index.rebuild(archive.store, progress)
    archive.search.forget()
    tip = archive.tip()
    click.echo(f"the index stands at revision {tip.id if tip else '(none)'}")


@click.command()
@DATA
@click.option(
    "--contains",
    "noted",
    multiple=True,
    metavar="REVISION",
    help="A revision noted elsewhere, as on a page that was signed: it must still be there. May be repeated.",
)
def verify(data: str | None, noted: tuple[str, ...]) -> None:
    """Check every object, revision, byte and index row against each other; exit 6 if anything does not agree."""
    names = [params.revision(text, "--contains") for text in noted]
    archive = opened(data)
    with Shown() as progress:
        count = audit.verify(archive.store, archive.index, progress, names)
        if findings := list(archive.search.disagreements(archive.index)):
            raise Tampered(findings)
    newest = archive.index.revision_of(count)
    click.echo(f"{count} revisions agree, down to the byte; the newest is {newest.id if newest else '(none)'}")
    for name in names:
        click.echo(f"revision {name} is among them, and all that came before it is as it was")


@click.command()
@DATA
def maintain(data: str | None) -> None:
    """Clear what killed publishers left behind and pack the store; readers and publishers may go on."""
    opened(data).maintain()
    click.echo("packed")
