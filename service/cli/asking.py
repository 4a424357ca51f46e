"""Commands that ask: what holds, what was recorded, what changed."""

from __future__ import annotations

import sys
from typing import Any

import click
import orjson

from guidance.errors import BadParameter
from guidance.model import Json, document_id
from service import answers, comparing, config, params, tables
from service.cli.opening import asked, opened, version_of
from service.cli.options import AS_JSON, AT, DATA, ON, PLACE
from service.formats import FORMATS, Answer


@click.command()
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


@click.command()
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
        tables.as_json(answer)
    elif number is not None:
        tables.version(answer)
    else:
        tables.document(answer, _of_parts(seen, name, answer))


def _of_parts(seen: answers.Register, name: str, answer: Json) -> dict[int, Json]:
    """The versions of the parts of a place, by number: an answer has only the ids of their rules."""
    numbers = {part["version"] for part in answer["parts"] if part["version"]}
    return {number: plain(answers.version(seen, name, number))["version"] for number in sorted(numbers)}


@click.command()
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
        before = max(0, seen.position - limit)
        found = [r.json() for r in reversed(archive.index.revisions(before, seen.position - before))]
    if as_json:
        tables.as_json({"revisions": found})
    else:
        tables.revisions(found)


@click.command()
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
    kept = {name: told[name] for name in ("at", "jurisdiction") if name in told}
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
        tables.as_json(plain(answer))
    else:
        tables.diff(plain(answer))


def plain(answer: Any) -> Json:
    """An answer as ordinary JSON values."""
    return orjson.loads(answer if isinstance(answer, bytes) else orjson.dumps(answer))
