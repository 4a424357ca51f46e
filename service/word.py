"""A diff as a Word document with real tracked changes: accept all and it is the newer text, reject all the older."""

from __future__ import annotations

import io
import zipfile
from itertools import count
from typing import Any

import orjson
from docx import Document
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.text.paragraph import Paragraph

from guidance.model import Json

AUTHOR = "Inforce"
MARKS = {"inserted": "w:ins", "deleted": "w:del"}


class _Tracked:
    """A document in the making; each revision mark has an id of its own."""

    def __init__(self, on: str) -> None:
        self.word = Document()
        self.on = on
        self.ids = count(1)

    def heading(self, text: str, level: int) -> None:
        self.word.add_heading(text, level)

    def plain(self, text: str) -> Paragraph:
        return self.word.add_paragraph(text)

    def mark(self, paragraph: Paragraph, op: str, text: str) -> None:
        """Add a run that is kept, inserted or deleted."""
        if op == "kept":
            paragraph.add_run(text)
            return
        change = OxmlElement(MARKS[op])
        change.set(qn("w:id"), str(next(self.ids)))
        change.set(qn("w:author"), AUTHOR)
        change.set(qn("w:date"), self.on)
        run = OxmlElement("w:r")
        words = OxmlElement("w:t" if op == "inserted" else "w:delText")
        words.set("{http://www.w3.org/XML/1998/namespace}space", "preserve")
        words.text = text
        run.append(words)
        change.append(run)
        paragraph._p.append(change)

    def bytes(self) -> bytes:
        held = io.BytesIO()
        self.word.save(held)
        return _undated(held)


def _undated(saved: io.BytesIO) -> bytes:
    """The same archive with one fixed date on every member, so that equal answers are equal bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(zipfile.ZipInfo(member, (1980, 1, 1, 0, 0, 0)), old.read(member), zipfile.ZIP_DEFLATED)
    return made.getvalue()


def tracked(answer: Json) -> bytes:
    """A diff answer (schemas/diff-answer.json), of one document or of several, as a .docx file."""
    revision = answer["revision"]
    made = _Tracked(revision["recorded_at"])
    made.word.core_properties.author = AUTHOR
    made.word.core_properties.title = _title(answer)
    made.heading(_title(answer), 0)
    asked = ", ".join(f"{name} {value}" for name, value in answer["asked"].items() if value)
    made.plain(f"Question: {answer['question']} ({asked}).")
    made.plain(f"Register revision {revision['id']}, recorded {revision['recorded_at']}.")
    if revision["replayed"]:
        made.plain("This register was replayed from a journal: its times are not when it really learned what it holds.")
    for part in answer.get("documents", [answer]):
        if "documents" in answer:
            made.heading(f"{part['document']}: {part['title']}", 1)
        _part(made, part)
    return made.bytes()


def _title(answer: Json) -> str:
    return f"What changed in {answer['document']}" if "document" in answer else "What changed"


def _part(made: _Tracked, part: Json) -> None:
    for side in part["sides"]:
        made.plain(_side(side))
    if part["equal"]:
        made.plain("No change: both sides are the same to the byte.")
        return
    severities = ", ".join(f"{number} {word}" for word, number in part["summary"]["severities"].items())
    made.plain(f"{part['summary']['changes']} changes: {severities}.")
    for change in part["changes"]:
        _change(made, change)


def _side(side: Json) -> str:
    places = ", ".join(side.get("jurisdictions", ()))
    old, new = (_state(side[name]) for name in ("old", "new"))
    return f"{places + ': ' if places else ''}{old} → {new}"


def _state(state: Json) -> str:
    """One side in a line: the version, how it was asked for, and the hash that a signature can rest on."""
    asked = ", ".join(f"{name} {value}" for name, value in state["asked"].items() if value)
    return f"{state['version'] or 'nothing'} ({asked}; sha256 {state['sha256'] or 'none'})"


def _change(made: _Tracked, change: Json) -> None:
    made.heading(f"{change['title']} ({change['name']})", 2)
    told = change["effects"]
    effects = "; ".join(f"{effect['words']} ({effect['direction']}, {effect['severity']})" for effect in told)
    places = f" In {', '.join(change['jurisdictions'])}." if "jurisdictions" in change else ""
    made.plain(f"{change['kind'].capitalize()}, {change['severity']}. {effects}.{places}")
    for why in change["review"]:
        made.plain(f"Needs review: {why}")
    if change["segments"]:
        paragraph = made.plain("")
        for segment in change["segments"]:
            made.mark(paragraph, segment["op"], segment["text"])
    for field in change["fields"]:
        if not (change["segments"] and field["pointer"] in ("", "/text")):
            _field(made, field)


def _field(made: _Tracked, field: Json) -> None:
    paragraph = made.plain("")
    paragraph.add_run(f"{field['pointer'] or 'the whole'}: ").bold = True
    for side, op in (("old", "deleted"), ("new", "inserted")):
        if side in field:
            made.mark(paragraph, op, _value(field[side]))


def _value(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode("utf-8")
