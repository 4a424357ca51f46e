"""Human routes to what changed: two states of one document, two states of the register, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cache, partial
from typing import Any, Final

import orjson
from flask import Blueprint, Response, redirect, render_template, request

from guidance import severity
from guidance.errors import BadParameter, UnknownVersion
from guidance.model import Json, document_id
from guidance.register import scope
from service import answers, comparing, differences, paper, params, views
from service.desk import root
from service.differences import Read
from service.problems import TOO_LARGE, HttpProblem
from service.views import address
from service.visit import HTML, WHEN, Visit, plain

REVIEW: Final = Blueprint("review", __name__)
SIDES: Final = ("from", "to", "from_at", "to_at")
PDF: Final = "application/pdf"
FILES: Final = {"docx": "Word, with tracked changes", "csv": "CSV", "json": "JSON"}
SPANS: Final = (365, 90, 30, 7, 1)
CHANGES: Final = 2000
"""Changes that one page shows at most."""
ELSE: Final = "take them as CSV, JSON or Word from /v1/documents/…/diff, or compare states that lie nearer together"
READABLE: Final = 50
"""Changed documents that a page shows with all their changes; of others it names only the document."""


@REVIEW.get("/documents/<authority>/<name>/compare")
def compare(authority: str, name: str) -> Any:
    """Two versions, two days, or one day or all versions as two moments knew them; without sides, the last two."""
    visit = Visit(*SIDES, "view", "format", looks=("at", "jurisdiction"))
    known = document_id(f"{authority}/{name}")
    view = params.choice(visit.given.get("view"), "view", differences.VIEWS) or "redline"
    media = _media(visit)
    visit.seen.known(known)
    sides = visit.asked(*SIDES)
    if not sides:
        return redirect(visit.to(request.path, **_last_two(visit, known), **visit.asked("view", "format")))
    return _sheet(visit, media, "compare.html", _compared(visit, known, sides, view), f"{name}-changes")


def _media(visit: Visit) -> str:
    """What a page that can be signed is asked for as."""
    return PDF if params.choice(visit.given.get("format"), "format", ("html", "pdf")) == "pdf" else HTML


def _sheet(visit: Visit, media: str, template: str, told: Mapping[str, Any], name: str) -> Response:
    """A page to be signed, as it is or as a PDF of that name."""
    frame = {**visit.frame(), "permalink": _permalink(visit, told["sides"])}

    def written() -> bytes:
        page = render_template(template, **frame, **told)
        return paper.pdf(page) if media == PDF else page.encode("utf-8")

    response = visit.send(visit.seen.question.jurisdiction or visit.seen.home, media, written)
    if media == PDF:
        response.headers["Content-Disposition"] = f'inline; filename="{name}.pdf"'
    return response


def _permalink(visit: Visit, sides: Mapping[str, str]) -> str:
    """Where the same comparison will always be found: what was left to be "now" is the revision that answered."""
    others = {name: value for name, value in visit.given.items() if name not in (*SIDES, "format")}
    revision = visit.seen.revision
    two = "from_at" in sides or "to_at" in sides
    now = {name: revision.id for name in (("from_at", "to_at") if two else ("at",)) if revision}
    return root() + address({}, request.path, **{**now, **others, **sides})


def _last_two(visit: Visit, name: str) -> dict[str, str]:
    """The newest version, and the one with which it is to be compared."""
    numbers = [number for number, _ in visit.seen.archive.index.version_contents(name, visit.seen.position)]
    if not numbers:
        raise UnknownVersion(name, 1)
    value = visit.seen.archive.index.document(name, visit.seen.position)
    first, second = (numbers * 2)[-2:] if len(numbers) == 1 else numbers[-2:]
    first = views.compared_with(second, views.steps(value, None)) or first
    return {"from": f"@{first}", "to": f"@{second}", "jurisdiction": ""}


def _compared(visit: Visit, name: str, sides: Mapping[str, str], view: str) -> dict[str, Any]:
    """Everything that the page shows of a comparison."""
    own = visit.asked(*WHEN)
    answer = plain(comparing.difference(visit.seen, name, {**sides, **own}))
    if len(answer["changes"]) > CHANGES:
        raise HttpProblem(
            TOO_LARGE, f"there are {len(answer['changes'])} changes; a page shows at most {CHANGES}: {ELSE}"
        )
    bodies = _reading(visit.seen)
    found = differences.changes(answer, bodies)
    acts = _acting(visit.seen, name)
    content, _ = visit.seen.archive.index.document_row(name, visit.seen.position)
    value = visit.seen.archive.index.document(name, visit.seen.position)
    to = _keeping(visit, {**sides, **({"on": own["on"]} if "on" in own else {})})
    path = f"/documents/{name}/compare"
    return {
        "id": name,
        "document": orjson.loads(content),
        "answer": answer,
        "backward": differences.backward(answer, views.steps(value, None)),
        "heading": differences.heading(answer["question"], {**answer["asked"], **sides}),
        "about": differences.QUESTIONS[answer["question"]],
        "summary": differences.summary(answer["summary"]),
        "changes": [{**one, **acts(one)} for one in found],
        "unchanged": differences.unchanged(answer, bodies),
        "pairs": [_pair(visit, name, side, answer["sides"]) for side in answer["sides"]],
        "incomparable": differences.incomparable(answer, own.get("jurisdiction")),
        "view": view,
        "views": [(key, text, to(path, view=key), key == view) for key, text in differences.VIEWS.items()],
        "swapped": visit.to(path, **_swapped(sides), **({"on": own["on"]} if "on" in own else {})),
        "exports": _exports(to, name, answer["sides"]),
        "sides": sides,
        **_form(own),
        "action": path,
    }


def _form(own: Mapping[str, str]) -> dict[str, Any]:
    """What the form that asks for two sides shows, besides the sides."""
    return {
        "on_asked": own.get("on", ""),
        "at_asked": own.get("at", ""),
        "jurisdiction": own.get("jurisdiction", ""),
        "jurisdictions": views.jurisdictions("Any place"),
    }


def _keeping(visit: Visit, sides: Mapping[str, str]) -> views.To:
    """Addresses in which the sides stay."""

    def to(path: str, **more: Any) -> str:
        return visit.to(path, **{**sides, **more})

    return to


def _swapped(sides: Mapping[str, str]) -> dict[str, str]:
    turned = {"from": "to", "to": "from", "from_at": "to_at", "to_at": "from_at"}
    return {turned[side]: value for side, value in sides.items()}


def _exports(to: views.To, name: str, pairs: Sequence[Json]) -> list[tuple[str, str]]:
    """The forms in which a comparison can be taken away; a patch needs one pair of states that both stand."""
    machine, page = f"/v1/documents/{name}/diff", f"/documents/{name}/compare"
    words = dict(FILES)
    if len(pairs) == 1 and all(pairs[0][side]["version"] for side in ("old", "new")):
        words["patch"] = "JSON patch"
    machines = [(text, to(machine, format=key)) for key, text in words.items()]
    return [("PDF", to(page, format="pdf")), *machines]


def _reading(seen: answers.Register) -> differences.Bodies:
    """Version bodies as the sides of a diff have them, each read once."""
    read: dict[tuple[str, int], Read] = {}

    def body(side: Json) -> Read | None:
        if side["version"] is None:
            return None
        name, _, number = side["version"].partition("@")
        position = _position(seen, side)
        if (side["version"], position) not in read:
            content = seen.archive.index.version(name, int(number), position)
            read[side["version"], position] = Read.of(orjson.loads(content))
        return read[side["version"], position]

    return body


def _position(seen: answers.Register, side: Json) -> int:
    revision = side["asked"].get("revision")
    return seen.archive.index.revision(revision).position if revision else seen.position


def _acting(seen: answers.Register, name: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """For a change: the act that first recorded it so, and when the version that it came with is in force.

    Of the newer side, else of the older. A later correction of something else is not why a rule reads as it does.
    """
    index = seen.archive.index

    @cache
    def recorded(number: int, position: int) -> list[tuple[Json, Read]]:
        """(revision, version) of each time that a version was recorded, oldest first."""
        found = ((one.json(), map(orjson.loads, contents)) for one, contents in index.recorded(position, name))
        return [(one, Read.of(body)) for one, bodies in found for body in bodies if body.get("number") == number]

    def acts(change: Mapping[str, Any]) -> dict[str, Any]:
        sides = change["side"]
        if change["subject"] == "document":
            return {"recording": sides["new"]["recorded"] or sides["old"]["recorded"], "in_force": None}
        side = sides["new"] if sides["new"]["version"] else sides["old"]
        number, position = int(side["version"].partition("@")[2]), _position(seen, side)
        return {
            "recording": differences.act(change, recorded(number, position)),
            "in_force": {"number": number, "periods": _periods(seen, name, number, position)},
        }

    return acts


def _periods(seen: answers.Register, name: str, number: int, position: int) -> list[dict[str, Any]]:
    """When a version is in force, as far and as surely as a position has it."""
    index = seen.archive.index
    return views.periods(index.periods(name, number, position), orjson.loads(index.version(name, number, position)))


def _pair(visit: Visit, name: str, side: Json, sides: Sequence[Json]) -> dict[str, Any]:
    """Both sides of a comparison: which version, when it is in force, and where to read it."""
    told = {which: _state(visit, name, side[which]) for which in ("old", "new")}
    for which, state in told.items():
        if not state["version"]:
            state["absent"] = differences.absent(sides, side, which)
    return {**side, **told}


def _state(visit: Visit, name: str, side: Json) -> dict[str, Any]:
    if side["version"] is None:
        return dict(side)
    seen, number = visit.seen, int(side["version"].partition("@")[2])
    position, revision = _position(seen, side), side["asked"].get("revision")
    body = orjson.loads(seen.archive.index.version(name, number, position))
    at = {"at": revision} if revision and seen.revision and revision != seen.revision.id else {}
    return {
        **side,
        "number": number,
        "title": body["title"],
        "stage": body["stage"],
        "in_force": _periods(seen, name, number, position),
        "recorded": seen.archive.index.recording(name, number, position).json(),
        "href": visit.to(f"/documents/{name}/versions/{number}", **at),
    }


# --- the whole register ----------------------------------------------------------------------------------


@REVIEW.get("/changes")
def changes() -> Response:
    """What changed in every document between two days or two moments; without any, in the last year or less."""
    given = {side for side in SIDES if request.args.get(side, "").strip()}
    visit = Visit(*SIDES, "medicine", "authority", "format", looks=("at", "jurisdiction") if given else WHEN)
    media = _media(visit)
    if not given and visit.seen.revision is None:
        return visit.show("unrecorded.html", {})
    sides = visit.asked(*SIDES) or _lately(visit)
    own = visit.asked("on") if given else {}
    filters = {key: params.segment(visit.given.get(key), key) for key in ("medicine", "authority")}
    narrowing = {name: value for name, value in filters.items() if value}
    answer = plain(comparing.across(visit.seen, {**sides, **own, **narrowing}))
    to = partial(views.address, visit.asked("at", "jurisdiction"))  # not 'on': the sides say what was found from it
    if "@" in "".join(sides.values()):
        raise BadParameter("from", sides.get("from", ""), "versions are compared on the page of their document")
    told = {
        "answer": answer,
        "sides": sides,
        "filters": [{"name": name, "value": value} for name, value in filters.items()],
        "only": views.only(filters),
        "unfiltered": to("/changes", **sides, **own),
        "exports": [
            ("PDF", to("/changes", **sides, **own, **filters, format="pdf")),
            *((text, to("/v1/diff", **sides, **own, **filters, format=key)) for key, text in FILES.items()),
        ],
        "table": visit.seen.table.sha256,
        "unspoken": answer["equal"] and _unspoken(visit.seen, filters),
        "heading": differences.heading(answer["question"], {**answer["asked"], **sides}),
        "about": differences.QUESTIONS[answer["question"]],
        "summary": differences.summary(answer["summary"]),
        "documents": [_of_document(to, one, {**sides, **own}) for one in answer["documents"]],
        "readable": READABLE,
        "swapped": to("/changes", **_swapped(sides), **own, **filters),
        **_form({**visit.asked("at", "jurisdiction"), **own}),
    }
    return _sheet(visit, media, "changes.html", told, "-".join(filter(None, ("changes", *filters.values()))))


def _unspoken(seen: answers.Register, filters: Mapping[str, str | None]) -> str | None:
    """The place asked about, where none of the documents that the question is about says anything about it."""
    place = seen.question.jurisdiction
    about = seen.question._replace(medicine=filters["medicine"], authority=filters["authority"])
    names = answers.names(seen._replace(question=about))
    if place is None or names is None or not seen.revision:
        return None
    rows = (seen.archive.index.document_row(name, seen.position) for name in names)
    return None if any(scope(named, place) for _, named in rows) else place


def _lately(visit: Visit) -> dict[str, str]:
    """The days up to the one asked about: a year, or less where so much changed that nobody would read it."""
    until = visit.seen.day()
    low, high = until.toordinal(), until.toordinal()
    for days in SPANS:
        low = max(1, high - days)
        if len(visit.seen.archive.index.turning(low, high, visit.seen.position)) <= READABLE:
            break
    return {"from": date.fromordinal(low).isoformat(), "to": until.isoformat()}


def _of_document(to: views.To, answer: Json, sides: Mapping[str, str]) -> dict[str, Any]:
    ordered = sorted(answer["changes"], key=lambda item: item["subject"] != "rule")
    path = f"/documents/{answer['document']}/compare"
    return {
        "id": answer["document"],
        "title": answer["title"],
        "summary": differences.summary(answer["summary"]),
        "href": to(path, **sides),
        "changes": [
            {**item, "said": differences.said(item), "effects": differences.effects(item), "number": number}
            for number, item in enumerate(ordered, start=1)
            if item["subject"] == "rule"
        ],
        "beside": sum(item["subject"] != "rule" for item in ordered),
    }


# --- how it is judged ------------------------------------------------------------------------------------


@REVIEW.get("/about/severity")
def judged() -> Response:
    """The table of effects, for people, with what the operator judges otherwise."""
    visit = Visit()
    table = visit.seen.table
    told = {"table": table, "reviewed": severity.TABLE, "severities": differences.SEVERITIES}
    return visit.show("severity.html", {**told, "own": differences.overridden(table.rows, severity.TABLE.rows)})
