"""The command line: every act and every question, for people and for scripts."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime, time
from importlib.metadata import version as release_of
from pathlib import Path
from typing import Any, Final

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from guidance import audit, journal, severity, transfer
from guidance.acts import ENDS
from guidance.archive import Archive, Proposal, Receipt
from guidance.errors import BadJson, BadParameter, GuidanceError, InvalidDocument, NoRegister, StoreError
from guidance.model import Json, day_of, document_id
from guidance.schema import check_document, check_version, read, warnings
from guidance.store import Act
from service import (
    answers,
    comparing,
    config,
    delivery,
    logs,
    params,
    problems,
    server,
    signing,
    state,
    tables,
    teller,
    ticker,
    tokens,
)
from service.addresses import Policy
from service.app import load
from service.clock import system_clock
from service.config import Config
from service.formats import FORMATS, Answer
from service.state import State
from service.teller import Teller

VERSION_ID: Final = re.compile(r"([^@#]+)@([0-9]{1,6})(?:#(.+))?")
CORPUS_AUTHOR: Final = "Inforce corpus <corpus@inforce.invalid>"


class Family(click.Group):
    """Our commands: errors of ours become one clear message and the exit code of their kind."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GuidanceError as error:
            click.echo(f"inforce: {error}", err=True)
            ctx.exit(problems.problem_of(error).exit)
        except BrokenPipeError:
            ctx.exit(0)


@click.group(cls=Family, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(release_of("inforce"), prog_name="inforce")
def main() -> None:
    """What guidance on medicines is in force on any day, as known on any other day, and what changed.

    Exit codes: 0 done; 1 check found something odd with --strict; 2 input that cannot be understood; 3 not found;
    4 at odds with what is recorded; 5 the register cannot be used; 6 verification failed; 70 a fault of ours.
    """


# --- options that several commands share ------------------------------------------------------------------

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
ACTING = options(
    click.option("--author", metavar="'NAME <ADDRESS>'", help="Who acts (else INFORCE_AUTHOR)."),
    click.option("--reason", required=True, metavar="TEXT", help="Why, in one line."),
    click.option("--approved-by", metavar="TEXT", help="Who approved it."),
)
SAFELY = options(
    click.option("--key", metavar="KEY", help="Idempotency key: a retry with it records nothing twice."),
    click.option("--base", metavar="REVISION", help="Refuse if the register has moved on from this revision."),
)


def opened(data: str | None) -> Archive:
    archive = Archive(config.load({"data": data}).data)
    archive.recover()
    return archive


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


def asked(archive: Archive, data: Config, **given: str | None) -> answers.Register:
    """The register as the options ask to see it."""
    now = system_clock()
    question = answers.Question(
        on=params.on(given.get("on"), "--on"),
        at=params.at(given.get("at"), now, "--at"),
        jurisdiction=params.jurisdiction(given.get("jurisdiction"), "--jurisdiction"),
        medicine=params.segment(given.get("medicine"), "--medicine"),
        authority=params.segment(given.get("authority"), "--authority"),
        kind=params.choice(given.get("kind"), "--kind", params.KINDS),
        cohort=params.choice(given.get("cohort"), "--cohort", params.COHORTS),
    )
    table = severity.chosen(data.severity_file)
    return answers.Register.look(archive, question, now, data.jurisdiction, table).about()


def plain(answer: Any) -> Json:
    """An answer as ordinary JSON values."""
    return orjson.loads(answer if isinstance(answer, bytes) else orjson.dumps(answer))


def show_json(answer: Json) -> None:
    click.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2))


class Shown:
    """Progress of long work on standard error, where a person watches."""

    def __enter__(self) -> Callable[[str, int, int], None]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        console = Console(stderr=True)
        self.bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.tasks: dict[str, Any] = {}
        self.bar.start()
        return self.step

    def step(self, what: str, done: int, of: int) -> None:
        if what not in self.tasks:
            self.tasks[what] = self.bar.add_task(what, total=of or None)
        self.bar.update(self.tasks[what], completed=done, total=of or None)

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


# --- the register -----------------------------------------------------------------------------------------


@main.command()
@DATA
@click.option("--empty", is_flag=True, help="Do not record the corpus of real documents.")
def init(data: str | None, empty: bool) -> None:
    """Make a register, and record the corpus of real documents in it, today."""
    count, folder = _made(config.load({"data": data}).data, empty)
    click.echo(f"{folder}: a register with {count} revisions")


def _made(folder: Path, empty: bool = False) -> tuple[int, Path]:
    act = Act("publish", CORPUS_AUTHOR, f"the corpus that comes with inforce {release_of('inforce')}")
    with Shown() as progress:

        def fill(archive: Archive) -> None:
            if not empty:
                archive.take_in(journal.CORPUS / "documents", act, system_clock(), progress)

        tip = Archive.make(folder, fill).tip()
    return tip.position if tip else 0, folder


@main.command("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@DATA
@ACTING
def import_(source: Path, data: str | None, author: str | None, reason: str, approved_by: str | None) -> None:
    """Record a folder of JSON files, or a file of JSON lines: all of it or, with every violation listed, nothing."""
    archive = opened(data)
    with Shown() as progress:
        count = archive.take_in(source, act_of("publish", author, reason, approved_by), now_of(data), progress)
    click.echo(f"recorded {count} revisions")


@main.command()
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
    part = output.with_name(output.name + ".part")
    with part.open("wb") as file:
        file.writelines(lines)
    part.replace(output)


@main.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@DATA
def replay(source: Path | None, data: str | None) -> None:
    """Play a dated journal (else the corpus's own) into a new register, each act on its day, marked as replayed."""
    folder = config.load({"data": data}).data
    count = _replayed(folder, source or journal.CORPUS / "journal.json")
    click.echo(f"{folder}: replayed {count} acts")


def _replayed(folder: Path, source: Path) -> int:
    with Shown() as progress:
        documents = journal.CORPUS / "documents"
        tip = Archive.make(folder, lambda archive: journal.replay(archive, source, documents, progress)).tip()
    return tip.position if tip else 0


@main.command()
@DATA
def rebuild(data: str | None) -> None:
    """Derive the index again from the store."""
    archive = opened(data)
    with Shown() as progress:
        archive.index.rebuild(archive.store, progress)
    tip = archive.tip()
    click.echo(f"the index stands at revision {tip.id if tip else '(none)'}")


@main.command()
@DATA
def verify(data: str | None) -> None:
    """Check every object, revision, byte and index row against each other; exit 6 if anything does not agree."""
    archive = opened(data)
    with Shown() as progress:
        count = audit.verify(archive.store, archive.index, progress)
    click.echo(f"{count} revisions agree, down to the byte; the newest is {archive.store.head()}")


@main.command()
@DATA
def maintain(data: str | None) -> None:
    """Clear what killed publishers left behind and pack the store; readers and publishers may go on."""
    opened(data).maintain()
    click.echo("packed")


# --- acts ------------------------------------------------------------------------------------------------


def proposal(path: Path) -> Proposal:
    try:
        return Proposal(read(path.read_bytes(), str(path)), str(path))
    except OSError as error:
        raise BadJson(f"cannot be read: {error.strerror}", file=str(path)) from error


def acknowledge(receipt: Receipt) -> None:
    verb = receipt.revision.act if receipt.recorded else "recorded before"
    click.echo(f"{verb} {', '.join(receipt.revision.subjects)} as revision {receipt.revision.id}")


FILES = click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))


@main.command()
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


@main.command()
@FILES
@DATA
@ACTING
@SAFELY
def publish(
    files: tuple[Path, ...],
    data: str | None,
    author: str | None,
    reason: str,
    approved_by: str | None,
    key: str | None,
    base: str | None,
) -> None:
    """Record documents and their next versions; or how far a version that does not bind yet has come."""
    act = act_of("publish", author, reason, approved_by, key)
    acknowledge(opened(data).publish([proposal(path) for path in files], act, now_of(data), base))


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@DATA
@ACTING
@SAFELY
def correct(
    file: Path,
    data: str | None,
    author: str | None,
    reason: str,
    approved_by: str | None,
    key: str | None,
    base: str | None,
) -> None:
    """Record that a document or version says something else than the register said. The earlier text is kept."""
    act = act_of("correct", author, reason, approved_by, key)
    acknowledge(opened(data).correct(proposal(file), act, now_of(data), base))


@main.command()
@click.argument("version")
@click.option("--ends", type=click.Choice(ENDS), default="withdrawn", show_default=True, help="How it ends.")
@click.option("--on", metavar="DAY", help="First day on which it no longer holds; left out: it never takes effect.")
@click.option("--jurisdiction", "places", multiple=True, metavar="J", help="Only there; may be repeated.")
@DATA
@ACTING
@SAFELY
def withdraw(  # noqa: PLR0917 (click hands over each option by its name)
    version: str,
    ends: str,
    on: str | None,
    places: Sequence[str],
    data: str | None,
    author: str | None,
    reason: str,
    approved_by: str | None,
    key: str | None,
    base: str | None,
) -> None:
    """Record the end of a VERSION (ema/lemtrada@3) from a day on, or that it never takes effect."""
    name, number, _ = version_of(version)
    if number is None:
        raise BadParameter("version", version, "names no version; write one such as ema/lemtrada@3")
    act = act_of("withdraw", author, reason, approved_by, key)
    day = day_of(on, "--on") if on else None
    acknowledge(opened(data).withdraw((name, number), ends, day, places, act, now_of(data), base))


def version_of(text: str) -> tuple[str, int | None, str | None]:
    """(document, version number, rule id) of ema/lemtrada, ema/lemtrada@3 or ema/lemtrada@3#stroke."""
    match = VERSION_ID.fullmatch(text)
    if match:
        return document_id(match[1]), int(match[2]), match[3]
    name, _, rule = text.partition("#")
    return document_id(name), None, rule or None


# --- questions --------------------------------------------------------------------------------------------


@main.command()
@DATA
@ON
@AT
@click.option("--medicine", metavar="INN", help="Only rules about this medicine, such as alemtuzumab.")
@click.option("--authority", metavar="ID", help="Only documents of this authority, such as ema.")
@PLACE
@click.option("--kind", metavar="KIND", help=f"Only {', '.join(params.KINDS)}.")
@click.option("--cohort", metavar="COHORT", help="initiation or continuation (with what holds for everyone), everyone.")
@AS_JSON
def rules(data: str | None, as_json: bool, **given: str | None) -> None:
    """The rules in force on a day."""
    settings = config.load({"data": data})
    seen = asked(opened(data), settings, **given)
    pieces = answers.rules(seen)
    if as_json:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()
        return
    tables.rules(plain(b"".join(pieces)))


@main.command()
@click.argument("what")
@DATA
@ON
@AT
@PLACE
@AS_JSON
def show(what: str, data: str | None, as_json: bool, **given: str | None) -> None:
    """One document on a day (ema/lemtrada), one version as recorded (…@3), or one rule (…#stroke, …@3#stroke)."""
    name, number, rule = version_of(what)
    if number is not None and (given["on"] or given["jurisdiction"]):
        raise BadParameter("--on" if given["on"] else "--jurisdiction", "", "does not go with a version: leave out @N")
    seen = asked(opened(data), config.load({"data": data}), **given)
    answer = plain(answers.version(seen, name, number) if number is not None else answers.document(seen, name))
    if rule is not None:
        answer = tables.with_one_rule(answer, rule, what)
    if as_json:
        show_json(answer)
    elif number is not None:
        tables.version(answer)
    else:
        tables.document(answer)


@main.command()
@click.argument("document", required=False)
@DATA
@AT
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100_000), help="Newest so many.")
@AS_JSON
def log(document: str | None, data: str | None, at: str | None, limit: int, as_json: bool) -> None:
    """Who recorded what, when and why, newest first: of the register, or of one DOCUMENT."""
    archive = opened(data)
    seen = asked(archive, config.load({"data": data}), at=at)
    if document:
        found = answers.history(seen, document_id(document), 2**62, limit)["revisions"]
    else:
        found = [r.json() for r in reversed(archive.index.revisions(max(0, seen.position - limit), limit))]
    if as_json:
        show_json({"revisions": found})
    else:
        tables.revisions(found)


@main.command()
@click.argument("document", required=False)
@DATA
@click.option("--from", "from_", metavar="SIDE", help="A version (@2) or a day (2019-12-01).")
@click.option("--to", metavar="SIDE", help="A version (@3) or a day.")
@click.option("--on", metavar="DAY", help="With --from-at and --to-at: one day, seen from two revisions.")
@click.option("--from-at", metavar="WHEN", help="The earlier revision, instant or day to look from.")
@click.option("--to-at", metavar="WHEN", help="The later one; now where left out.")
@click.option("--medicine", metavar="INN", help="Without a DOCUMENT: only those that name this medicine.")
@AT
@PLACE
@click.option(
    "--format", "form", type=click.Choice([one.name for one in FORMATS.values()]), help="As a file of a kind."
)
@AS_JSON
def diff(document: str | None, data: str | None, form: str | None, as_json: bool, **given: str | None) -> None:
    """What changed between two versions of a DOCUMENT; or in it, or everywhere, between two days or revisions."""
    told = {name.rstrip("_"): value for name, value in given.items() if value is not None}
    kept = {name: told[name] for name in ("at", "jurisdiction", "medicine") if name in told}
    seen = asked(opened(data), config.load({"data": data}), **kept)
    if document is not None and "medicine" in told:
        raise BadParameter("--medicine", told["medicine"], "does not go with a document")
    name = document_id(document) if document else None
    answer = comparing.difference(seen, name, told) if name else comparing.across(seen, told)
    if form and form != "json":
        patch = (lambda: comparing.patch(seen, name, told)) if name else (lambda: comparing.no_patch(told))
        write = next(one.write for one in FORMATS.values() if one.name == form)
        sides = (lambda: comparing.sides(seen, name, told)) if name else tuple
        sys.stdout.buffer.writelines(write(Answer([orjson.dumps(answer)], patch, sides)))
    elif as_json or form:
        show_json(plain(answer))
    else:
        tables.diff(plain(answer))


# --- serving ----------------------------------------------------------------------------------------------


def _taking(settings: Sequence[config.Setting]) -> Callable[[Command], Command]:
    """The settings as options of a command."""

    def apply(command: Command) -> Command:
        for setting in reversed(settings):
            default = next(f.default for f in fields(Config) if f.name == setting.field)
            shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
            told = f"{setting.about} [{setting.variable}; default {shown!s}]"
            command = click.option(setting.option, setting.field, metavar="VALUE", help=told)(command)
        return command

    return apply


_settings = _taking(config.SETTINGS)


@main.command()
@_settings
@click.option("--seed", is_flag=True, help="Where there is no register yet, make one with the corpus first.")
def serve(seed: bool, **given: str | None) -> None:
    """Serve the register over HTTP: pages for people, /v1 for programs."""
    settings = config.load(given)
    if seed and not (settings.data / "register.git").exists():
        server.check_place(settings)
        _made(settings.data)
    _serve(settings)


@main.command()
@_settings
def demo(**given: str | None) -> None:
    """Replay the corpus's journal into a folder (./inforce-demo) and serve it: what was known when, day by day."""
    given = {**given, "data": given["data"] or "inforce-demo"}
    settings = config.load(given)
    if not (settings.data / "register.git").exists():
        server.check_place(settings)
        _replayed(settings.data, journal.CORPUS / "journal.json")
    _serve(settings)


def _serve(settings: Config) -> None:
    severity.chosen(settings.severity_file)
    archive = Archive(settings.data)
    archive.recover()
    archive.tip()
    archive.close()
    if settings.deliver:
        _ready_to_tell(settings)
    server.check_place(settings)
    click.echo(f"serving {settings.data} on http://{settings.host}:{settings.port}", err=True)
    server.serve(settings, load, Teller(settings) if settings.deliver else None)


def _ready_to_tell(settings: Config) -> None:
    """Read what delivering depends on and bring the tables to the newest schema, so that a mistake is told at once."""
    delivery.terms_of(settings)
    Policy.set_by(settings)
    signing.vault(settings)
    log = state.opened(settings)
    try:
        log.tip()
    finally:
        log.close()


@main.command()
@_taking(config.DELIVERING)
def deliver(**given: str | None) -> None:
    """Tell what is due and send webhooks, beside any number of others that do; no pages, no questions."""
    settings = config.load(given)
    logs.start(settings.log_level)
    _ready_to_tell(settings)
    click.echo("delivering", err=True)
    teller.run(settings, teller.stopping())


# --- tokens -----------------------------------------------------------------------------------------------


@main.group()
def token() -> None:
    """Make, list and revoke the tokens with which programs and people subscribe."""


STATE = click.option("--state", metavar="URL", help="Database of events and subscriptions (INFORCE_STATE).")


@contextmanager
def _tables(data: str | None, url: str | None) -> Iterator[State]:
    settings = config.load({"data": data, "state": url})
    if not settings.state and not settings.data.is_dir():
        raise NoRegister(str(settings.data))
    log = state.opened(settings)
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
        show_json({"tokens": found})
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
