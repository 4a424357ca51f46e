"""A diff as a Word document with real tracked changes: accept all and it is the newer text, reject all the older."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any

import orjson
from docx import Document
from docx.oxml import OxmlElement
from docx.oxml.ns import qn

from guidance.model import Json, Sides
from guidance.redline import Op, Segment, moved, redline
from guidance.vocabulary import ending_of

AUTHOR = "Inforce"
SPACE = "{http://www.w3.org/XML/1998/namespace}space"
BROKEN = {"\n": "w:br", "\t": "w:tab"}
UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")
"""What XML cannot hold (Char, section 2.2 of XML 1.0), and the carriage return, which it reads as another line end."""


class _Tracked:
    """A document in the making; each revision mark has an id of its own."""

    def __init__(self, on: str) -> None:
        self.word = Document()
        self.on = on
        self.ids = count(1)
        self.styles = {style.name: style.style_id for style in self.word.styles}
        self.end = self.word.element.body.sectPr
        """What closes the body. Paragraphs go before it: to look for it each time would take as long as all before."""

    def paragraph(self, style: str | None = None) -> Any:
        found = OxmlElement("w:p")
        found.style = style and self.styles[style]
        self.end.addprevious(found)
        return found

    def heading(self, text: str, level: int) -> None:
        self.paragraph(f"Heading {level}" if level else "Title").append(_run(text))

    def plain(self, text: str) -> None:
        self.paragraph().append(_run(text))

    def redlined(self, segments: Iterable[Segment], style: str | None = None, name: str = "") -> Any:
        """A paragraph of kept, deleted and inserted runs; what was moved is marked as such, from and to."""
        paragraph = self.paragraph(style)
        if name:
            paragraph.append(_run(name))
            paragraph.r_lst[0].get_or_add_rPr().append(OxmlElement("w:b"))
        group = next(self.ids)
        for op, text, move in segments:
            if op == "kept":
                paragraph.append(_run(text))
            elif move is None:
                self.wrapped(paragraph, "w:ins" if op == "inserted" else "w:del", text)
            else:
                self.moved(paragraph, "w:moveTo" if op == "inserted" else "w:moveFrom", text, f"move-{group}-{move}")
        return paragraph

    def wrapped(self, paragraph: Any, tag: str, text: str) -> None:
        change = self.element(tag)
        change.append(_run(text, "w:delText" if tag == "w:del" else "w:t"))
        paragraph.append(change)

    def moved(self, paragraph: Any, tag: str, text: str, name: str) -> None:
        """One end of a move: both ends share the name of the range around them (ECMA-376, section 17.13.5)."""
        start, end = self.element(f"{tag}RangeStart"), OxmlElement(f"{tag}RangeEnd")
        start.set(qn("w:name"), name)
        end.set(qn("w:id"), start.get(qn("w:id")))
        paragraph.append(start)
        self.wrapped(paragraph, tag, text)
        paragraph.append(end)

    def whole(self, paragraph: Any, tag: str) -> None:
        """The paragraph itself, with its end, came or went."""
        marks = OxmlElement("w:rPr")
        marks.append(self.element(tag))
        paragraph.get_or_add_pPr().append(marks)

    def element(self, tag: str) -> Any:
        found = OxmlElement(tag)
        found.set(qn("w:id"), str(next(self.ids)))
        found.set(qn("w:author"), AUTHOR)
        found.set(qn("w:date"), self.on)
        return found

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


def _writable(text: str) -> str:
    """With what XML cannot hold shown as pictures of it, so that nothing is lost in silence."""
    return UNWRITABLE.sub(lambda found: chr(0x2400 + ord(found[0])) if ord(found[0]) < 32 else "\ufffd", text)


def _run(text: str, tag: str = "w:t") -> Any:
    """A run that keeps every space; line ends and tabs are elements of their own."""
    run = OxmlElement("w:r")
    for part in re.split("([\n\t])", _writable(text)):
        if part in BROKEN:
            run.append(OxmlElement(BROKEN[part]))
        elif part:
            words = OxmlElement(tag)
            words.set(SPACE, "preserve")
            words.text = part
            run.append(words)
    return run


def tracked(answer: Json, sides: Iterable[Sides] = ()) -> bytes:
    """A diff answer (schemas/diff-answer.json), of one document or of several, as a .docx file.

    `sides`: the pairs of states that were compared, whose whole texts follow the changes.
    """
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
    if answer["order"] == "backward":
        made.plain("The first side is later than the second: what was taken away as time went is shown as inserted.")
    if answer.get("documents") == []:
        made.plain("No document differs between the two sides.")
    for part in answer.get("documents", [answer]):
        if "documents" in answer:
            made.heading(f"{part['document']}: {part['title']}", 1)
        _part(made, part)
    for side in sides:
        _text(made, side)
    return made.bytes()


def _title(answer: Json) -> str:
    return f"What changed in {answer['document']}" if "document" in answer else "What changed"


def _part(made: _Tracked, part: Json) -> None:
    for side in part["sides"]:
        made.plain(_side(side))
    if not any(side[one]["sha256"] for side in part["sides"] for one in ("old", "new")):
        made.plain("Nothing is recorded there on either side, so there is nothing to compare.")
        return
    if part["equal"]:
        made.plain("No change: both sides are the same to the byte.")
        return
    severities = ", ".join(f"{number} {word}" for word, number in part["summary"]["severities"].items())
    made.plain(f"{part['summary']['changes']} changes: {severities}.")
    for change in part["changes"]:
        _change(made, change)


def _side(side: Json) -> str:
    places = ", ".join(side.get("jurisdictions", ()))
    old, new = (_state(side[name], side.get("document")) for name in ("old", "new"))
    return f"{places + ': ' if places else ''}{old} → {new}"


def _state(state: Json, document: str | None) -> str:
    """One side in a line: what was compared, how it was asked for, and the hash that a signature can rest on."""
    asked = ", ".join(f"{name} {value}" for name, value in state["asked"].items() if value)
    act = state.get("recorded")
    recorded = f"; recorded {act['recorded_at']} by {act['author']}: {act['reason']}" if act else ""
    what = state["version"] or (document if state["sha256"] else None)
    return f"{what or 'nothing'} ({asked}; sha256 {state['sha256'] or 'none'}{recorded})"


def _change(made: _Tracked, change: Json) -> None:
    made.heading(f"{change['title']} ({change['name']})", 2)
    told = change["effects"]
    effects = "; ".join(f"{effect['words']} ({effect['direction']}, {effect['severity']})" for effect in told)
    kinds = ", also ".join((change["kind"].capitalize(), *change["also"]))
    made.plain(f"{kinds}, {change['severity']}. {effects}.{_where(change)}")
    if "ending" in change:
        made.plain(f"{ending_of(**change['ending'])}.")
    for why in change["review"]:
        made.plain(f"Needs review: {why}")
    if change["segments"]:
        made.redlined(Segment(one["op"], one["text"], one.get("move")) for one in change["segments"])
    for field in _beside_text(change):
        _field(made, field)


def _where(change: Json) -> str:
    """What sets a change apart from others of the same name: places, the version, or the document."""
    if "jurisdictions" in change:
        return f" In {', '.join(change['jurisdictions'])}."
    if "version" in change:
        return f" Version {change['version']}."
    return " The document itself." if "document" in change else ""


def _beside_text(change: Json) -> Iterator[Json]:
    """The fields that the redline does not show; of a rule that came or went as a whole, its members."""
    text = "/text" if change["subject"] == "rule" else f"/{change['name']}"
    for field in change["fields"]:
        if not (change["segments"] and field["pointer"] in ("", text)):
            yield field
        elif not field["pointer"]:
            side = "new" if "new" in field else "old"
            members = {name: value for name, value in field[side].items() if name not in ("id", "title", "text")}
            yield from ({"pointer": f"/{name}", side: value} for name, value in members.items())


def _field(made: _Tracked, field: Json) -> None:
    told: list[tuple[Op, str]] = [("deleted", "old"), ("inserted", "new")]
    segments = (Segment(op, _value(field[side])) for op, side in told if side in field)
    made.redlined(segments, name=f"{field['pointer'] or 'the whole'}: ")


def _value(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode("utf-8")


# --- the whole text ------------------------------------------------------------------------------------------


def _text(made: _Tracked, sides: Sides) -> None:
    """Every rule in order, those that stayed too: accept all and the newer text is left, reject all and the older."""
    where = f" ({', '.join(sides.places)})" if sides.places else ""
    made.heading(f"The whole text{where}", 1)
    made.redlined(redline(*(side["title"] if side else "" for side in (sides.old, sides.new))), "Heading 2")
    for before, after in _in_order(*(side["rules"] if side else [] for side in (sides.old, sides.new))):
        for member, style in (("title", "Heading 3"), ("text", None)):
            paragraph = made.redlined(redline(before[member] if before else "", after[member] if after else ""), style)
            if not (before and after):
                made.whole(paragraph, "w:del" if before else "w:ins")


def _in_order(old: Sequence[Json], new: Sequence[Json]) -> Iterator[tuple[Json, Json]]:
    """Rules before and after as the newer side reads, those that went after what they followed, those moved twice."""
    before, after = ({rule["id"]: rule for rule in rules} for rules in (old, new))
    stayed = before.keys() & after.keys()
    stayed -= moved([name for name in before if name in stayed], [name for name in after if name in stayed])
    went: dict[str, list[Json]] = {}
    last = ""
    for name, rule in before.items():
        if name in stayed:
            last = name
        else:
            went.setdefault(last, []).append(rule)
    yield from ((rule, None) for rule in went.get("", ()))
    for name, rule in after.items():
        yield (before[name], rule) if name in stayed else (None, rule)
        yield from ((gone, None) for gone in went.get(name, ()))
