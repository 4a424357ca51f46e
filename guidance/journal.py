"""A dated journal of acts, played into a fresh register as if it had recorded each on its day.

A real register records the corpus on the day that it is recorded. A replay shows what it would have known when: its
clock is the journal, and every revision says that it was replayed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from guidance.archive import Archive, Proposal, Receipt
from guidance.building import Progress, quiet
from guidance.errors import ActRefused, BadJson, GuidanceError, InvalidDocument, Violation
from guidance.model import Json
from guidance.schema import check, read
from guidance.store import Act

CORPUS = Path(str(files("guidance") / "corpus"))
"""The seed: real documents, and the journal of how they came about."""


class Step(NamedTuple):
    """One act of a journal."""

    at: datetime
    verb: str
    proposal: Proposal
    act: Act


def steps(journal: Path, documents: Path) -> Iterator[Step]:
    """The acts of a journal, each with its JSON made from the corpus file as it was known then.

    Raises InvalidDocument or BadJson where the journal, or what it makes of a corpus file, is not valid.
    """
    told = read(journal.read_bytes(), journal.name)
    check("journal", told, journal.name)
    _in_order([datetime.fromisoformat(line["at"]) for line in told], journal.name)
    for place, line in enumerate(told):
        where = f"{journal.name} /{place}"
        with _noting(where):
            act = Act(line["act"], line["author"], line["reason"], line.get("approved_by"), replayed=True)
            proposal = Proposal(_as_known(line, documents), where)
        yield Step(datetime.fromisoformat(line["at"]), line["act"], proposal, act)


@contextmanager
def _noting(where: str) -> Iterator[None]:
    """Have an error from inside say which act of the journal it is about."""
    try:
        yield
    except GuidanceError as error:
        error.add_note(f"in the act at {where}")
        raise


def _in_order(instants: Sequence[datetime], file: str) -> None:
    """Raises InvalidDocument: an act that is not later than the one before it would be recorded at another instant."""
    pairs = enumerate(pairwise(instants), start=1)
    found = [place for place, (before, after) in pairs if after <= before]
    if found:
        raise InvalidDocument(
            [Violation(f"/{place}/at", "is not later than the act before it", file) for place in found]
        )


def _as_known(line: Mapping[str, Json], documents: Path) -> Json:
    name = f"versions/{line['version']}.json" if "version" in line else "document.json"
    file = documents / line["document"] / name
    if not file.is_file():
        raise BadJson(f"speaks of {line['document']}, whose {name} is not there", file=str(file))
    body = read(file.read_bytes(), str(file))
    kept = {member: value for member, value in body.items() if member not in line.get("drop", ())}
    return {**kept, **line.get("set", {})}


def replay(archive: Archive, journal: Path, documents: Path, progress: Progress = quiet) -> list[Receipt]:
    """Play a journal into an empty register; raises ActRefused where the register is not empty.

    An error about one act has a note that says where it stands in the journal.
    """
    if archive.tip() is not None:
        raise ActRefused("replay", "needs an empty register: recorded time cannot run backwards")
    played = list(steps(journal, documents))
    receipts = []
    for done, step in enumerate(played, start=1):
        with _noting(step.proposal.file):
            receipts.append(_play(archive, step))
        progress("replaying", done, len(played))
    return receipts


def _play(archive: Archive, step: Step) -> Receipt:
    if step.verb == "correct":
        return archive.correct(step.proposal, step.act, step.at)
    return archive.publish([step.proposal], step.act, step.at)
