"""A register opened and looked at as the options of a command ask."""

from __future__ import annotations

import re
from typing import Final

from guidance import severity
from guidance.archive import Archive
from guidance.model import document_id
from service import answers, config, params
from service.clock import system_clock
from service.config import Config

VERSION_ID: Final = re.compile(r"([^@#]+)@([0-9]{1,6})(?:#(.+))?")


def opened(data: str | None) -> Archive:
    archive = Archive(config.load({"data": data}).data)
    archive.recover()
    return archive


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


def version_of(text: str) -> tuple[str, int | None, str | None]:
    """(document, version number, rule id) of ema/lemtrada, ema/lemtrada@3 or ema/lemtrada@3#stroke."""
    match = VERSION_ID.fullmatch(text)
    if match:
        return document_id(match[1]), int(match[2]), match[3]
    name, _, rule = text.partition("#")
    return document_id(name), None, rule or None
