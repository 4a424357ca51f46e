"""Human routes: the register as pages, rendered on the server, which work without JavaScript."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import partial
from typing import Any, Final

import orjson
from flask import Blueprint, Flask, Response, request
from jinja2 import ChoiceLoader, FileSystemLoader, PackageLoader, PrefixLoader

from guidance.derived import FOREVER
from guidance.errors import NotFound, UnknownDocument
from guidance.model import Document, Json, document_id
from guidance.redline import redline
from guidance.register import scope
from guidance.vocabulary import outermost
from service import answers, overview, params, problems, timeline, views
from service.clock import today
from service.review import REVIEW
from service.visit import HTML, Visit, error_page, plain

__all__ = ["PAGES", "equip", "error_page", "for_people"]

PAGES: Final = Blueprint("pages", __name__)
MEDICINES: Final = 20
DOCUMENTS: Final = 50
COMING: Final = 100
HITS: Final = 50
FEW: Final = 5
IN_SIGHT: Final = 5
"""Documents of one medicine in a list of medicines; the page of the medicine has all."""
STATES: Final = 24
"""States of knowledge that are drawn at most, the newest."""
LATELY: Final = 5
SOON: Final = 4
REVISIONS: Final = 20
MACHINES: Final = ("v1", "healthz", "readyz", "metrics")
"""First segments of addresses that people do not read."""


# --- the register ----------------------------------------------------------------------------------------


@PAGES.get("/")
def home() -> Response:
    visit = Visit("after")
    seen = visit.seen
    after = params.segment(visit.given.get("after"), "after") or ""
    coming = overview.coming(seen, SOON)
    told = {
        **_listed(visit, overview.by_medicine(seen, after, MEDICINES)),
        "after": after,
        "outstanding": [views.happening(item, visit.to) for item in coming["outstanding"]],
        "soon": [views.happening(item, visit.to) for item in coming["dated"]],
        "undated": [views.happening(item, visit.to) for item in coming["undated"]],
        "lately": [views.happened(item, visit.to) for item in overview.lately(seen, LATELY)],
    }
    return visit.show("home.html", told)


def _listed(visit: Visit, found: Json) -> dict[str, Any]:
    """Medicines as a page lists them, and where the next ones are."""
    following = found["next_after"]
    listed = [
        {
            "name": views.name_of(one["inn"]),
            "inn": one["inn"],
            "brands": _brands(one["documents"], one["inn"]),
            "documents": [_standing(visit, document, one["inn"]) for document in one["documents"][:IN_SIGHT]],
            "beyond": len(one["documents"][IN_SIGHT:]),
            "unspoken": _unspoken(visit, one["documents"]),
        }
        for one in found["medicines"]
    ]
    return {
        "medicines": listed,
        "next_href": visit.to(request.path, after=following) if following else None,
        "first_href": visit.to(request.path) if "after" in visit.given else None,
    }


def _unspoken(visit: Visit, documents: Iterable[Json]) -> str | None:
    """The place asked about, where none of the documents says anything about it."""
    return None if any(one["lines"] for one in documents) else visit.seen.question.jurisdiction


def _brands(documents: Iterable[Json], inn: str) -> list[str]:
    lines = (line for document in documents for line in document["lines"])
    return views.brands((medicine for line in lines for medicine in line["medicines"]), inn)


def _standing(visit: Visit, document: Json, inn: str | None = None) -> dict[str, Any]:
    """A document's lines with its rules, all or those about one medicine: counted by kind, and since when they hold."""
    return {**document, "lines": [_line(line, visit.seen.day(), inn) for line in document["lines"]]}


def _line(line: Json, on: date, inn: str | None) -> dict[str, Any]:
    unnamed = bool(inn and line["version"] and inn not in [one["inn"] for one in line["medicines"]])
    rules = [] if unnamed else views.about(line["rules"], inn) if inn else line["rules"]
    own = views.own_starts(rules, line["places"], on)
    if inn and line["awaits"] and inn not in [one["inn"] for one in line["awaits"]["medicines"]]:
        line = {**line, "awaits": None}
    silent = views.name_of(inn) if inn and unnamed else None
    return {**line, "tag": views.line_tag(line), "kinds": views.counted(rules), "own": own, "silent": silent}


@PAGES.get("/coming")
def coming() -> Response:
    visit = Visit()
    found = overview.coming(visit.seen, COMING)
    told = {
        name: [views.happening(item, visit.to) for item in found[name]] for name in ("dated", "outstanding", "undated")
    }
    return visit.show("coming.html", {**told, "months": views.by_month(told["dated"]), "more": found["more"]})


@PAGES.get("/documents")
def documents() -> Response:
    visit = Visit("after", "authority", "medicine")
    seen = visit.seen
    authority, medicine = (params.segment(visit.given.get(name), name) for name in ("authority", "medicine"))
    asked = {"authority": authority, "medicine": medicine}
    after = visit.given.get("after", "")
    narrowed = seen._replace(question=seen.question._replace(authority=authority, medicine=medicine))
    answer = plain(answers.documents(narrowed, document_id(after, "after") if after else "", DOCUMENTS))
    held = {one["document"]: one for one in overview.standing(seen, [one["id"] for one in answer["documents"]])}
    listed = [
        {
            **one,
            "authority": views.authority(one["authority"]),
            **_standing(visit, held[one["id"]]),
            "unspoken": _unspoken(visit, [held[one["id"]]]),
        }
        for one in answer["documents"]
    ]
    following = answer["next_after"]
    told = {
        "documents": listed,
        "asked": asked,
        "of": views.authority(authority) if authority else None,
        "next_href": visit.to("/documents", after=following, **asked) if following else None,
        "first_href": visit.to("/documents", **asked) if after else None,
    }
    return visit.show("documents.html", told)


# --- one document ----------------------------------------------------------------------------------------


@PAGES.get("/documents/<authority>/<name>")
def document(authority: str, name: str) -> Response:
    visit = Visit()
    known = document_id(f"{authority}/{name}")
    answer = plain(answers.document(visit.seen, known, FOREVER))
    told: dict[str, Any] = {
        "id": known,
        "answer": answer,
        "selected": answer["selected"],
        "authority": views.authority(authority),
        "placed": views.placed(answer),
        "also": views.also(answer),
        "nothing": None if answer["version"] else views.nothing(answer, visit.to, f"/documents/{known}"),
    }
    if answer["document"] is not None:
        told |= _document_told(visit, known, answer)
    return visit.show("document.html", told, answer["jurisdiction"], _next_change(visit, [known], answer))


def _next_change(visit: Visit, names: Iterable[str], answer: Json) -> dict[str, str]:
    """The next day on which what applies changes. That an expected time ends without a day is no change of the rules,
    and the day after it is none either: then what is expected is said instead."""
    on = answer["next_change_on"]
    if on is None:
        return {}
    day = date.fromisoformat(on).toordinal()
    turning = visit.seen.archive.index.turning(day - 1, day, visit.seen.position)
    expected = [item["expected"] for item in answer["coming"] if item.get("changes_on") == on and item["expected"]]
    if expected and not {*names} & {*turning}:
        return {"expecting": views.expecting(expected[0])}
    return {"next_change_on": on}


def _document_told(visit: Visit, name: str, answer: Json) -> dict[str, Any]:
    """What the page of a document shows of it, besides the answer for the day."""
    seen, to = visit.seen, visit.to
    value = seen.archive.index.document(name, seen.position)
    bodies = {version.number: version.body for version in value.versions}
    versions = plain(answers.versions(seen, name))["versions"]
    history = plain(answers.history(seen, name, FOREVER, REVISIONS))
    body = bodies.get(answer["selected"]["version"]) or _latest(value)
    shown = answer["version"]["rules"] if answer["version"] else []
    found = views.steps(value, answer["jurisdiction"])
    return {
        "document": answer["document"],
        "related": [{**one, "href": _recorded(visit, one.get("document"))} for one in value.body.get("related", ())],
        "body": body,
        "groups": views.by_kind(shown),
        "kinds": views.counted(shown),
        "parts": views.parts(answer, bodies),
        "places": _places(visit, name, value, answer["jurisdiction"]),
        "coming": _awaited(visit, name, bodies, answer["coming"]),
        "versions": [_listed_version(one, found) for one in reversed(versions)],
        "revisions_told": views.revisions(name, history["revisions"]),
        "history_href": to(f"/documents/{name}/history") if history["next_before"] else None,
        "compare": partial(_comparing, visit, f"/documents/{name}/compare"),
        "drawing": _drawing(visit, value, answer, views.corrections(history["revisions"])),
    }


def _recorded(visit: Visit, name: str | None) -> str | None:
    """Where a document is shown; None where none was recorded as far as is known from here."""
    if name is None:
        return None
    try:
        visit.seen.known(name)
    except UnknownDocument:
        return None
    return visit.to(f"/documents/{name}")


def _listed_version(one: Json, found: Mapping[int, views.Step]) -> dict[str, Any]:
    """A version as the table of versions shows it: when it is in force, and with which one it is compared."""
    periods = views.periods(one["in_force"], one)
    return {**one, "in_force": periods, "before": views.compared_with(one["number"], found)}


def _comparing(visit: Visit, path: str, old: int, new: int) -> str:
    """Where two versions are compared: of the question, only where it looks from goes with them."""
    return views.address(visit.asked("at"), path, **{"from": f"@{old}", "to": f"@{new}"})


def _latest(value: Document) -> Json:
    return value.versions[-1].body if value.versions else None


def _places(visit: Visit, name: str, value: Document, shown: str, under: str = "") -> list[dict[str, Any]]:
    """The places that a document speaks of, as links to one of its pages, the one that is shown among them."""
    codes = dict.fromkeys((*value.body["jurisdictions"], *value.named, shown))
    path = f"/documents/{name}{under}"
    return [{"code": code, "href": visit.to(path, jurisdiction=code), "current": code == shown} for code in codes]


def _awaited(visit: Visit, name: str, bodies: Mapping[int, Json], items: Iterable[Json]) -> list[dict[str, Any]]:
    found = []
    for item in items:
        body = bodies[item["version"]]
        titles = {rule["id"]: rule["title"] for rule in body["rules"]}
        path = (
            f"/documents/{name}/rules/{item['rule']}"
            if item["rule"]
            else f"/documents/{name}/versions/{item['version']}"
        )
        found.append(views.awaited(item, body["title"], visit.to(path), titles))
    return views.gathered(found)


def _drawing(visit: Visit, value: Document, answer: Json, corrected: list[date]) -> dict[str, Any] | None:
    on, now = date.fromisoformat(answer["on"]), today(visit.seen.now, answer["jurisdiction"])
    lanes = views.lanes(value, scope(value.named, answer["jurisdiction"]), on, visit.to)
    if not lanes:
        return None
    drawn = timeline.drawn(lanes, views.marks(on, now), corrected)
    return {**drawn, "desc": views.told(lanes, on, now, corrected)}


@PAGES.get("/documents/<authority>/<name>/versions/<number>")
def version(authority: str, name: str, number: str) -> Response:
    visit = Visit()
    known = document_id(f"{authority}/{name}")
    counted = params.number(number, "version", 1, 100_000)
    told = plain(answers.version(visit.seen, known, counted))
    answer = plain(answers.document(visit.seen, known, FOREVER))
    context = {
        "id": known,
        "number": counted,
        "told": told,
        "version": told["version"],
        "recorded": told["recorded"],
        "periods": views.periods(told["in_force"], told["version"]),
        "groups": views.by_kind(told["version"]["rules"]),
        "authority": views.authority(authority),
        "answer": answer,
        "spoken": [one for one in (answer["selected"], *answer["parts"]) if one["version"] == counted],
        "placed": views.placed(answer),
        "unheld": views.version_unheld(answer, counted),
    }
    return visit.show("version.html", context, answer["jurisdiction"])


@PAGES.get("/documents/<authority>/<name>/rules/<rule>")
def rule(authority: str, name: str, rule: str) -> Response:
    visit = Visit()
    known = document_id(f"{authority}/{name}")
    visit.seen.known(known)
    value = visit.seen.archive.index.document(known, visit.seen.position)
    steps = _through_versions(visit, value, rule)
    if not any(step["rule"] for step in steps):
        raise NotFound(f"no version of {known} has a rule {rule!r}")
    answer = plain(answers.document(visit.seen, known, FOREVER))
    whole = answer["version"] and rule in [one["id"] for one in answer["version"]["rules"]]
    context = {
        "id": known,
        "steps": list(reversed(steps)),
        "rule": next(step["rule"] for step in reversed(steps) if step["rule"]),
        "answer": answer,
        "holds": bool(whole),
        "holds_in": [part for part in answer["parts"] if rule in part["rules"]],
        "not_in": [part["jurisdiction"] for part in answer["parts"] if rule not in part["rules"]],
        "coming": [item for item in answer["coming"] if item["rule"] == rule],
        "placed": views.placed(answer),
        "undated": views.pending(answer) is not None,
        "unheld": views.rule_unheld(answer, rule, {version.number: version.body for version in value.versions}),
    }
    return visit.show("rule.html", context, answer["jurisdiction"])


def _through_versions(visit: Visit, value: Document, rule: str) -> list[dict[str, Any]]:
    """One rule as each version has it, with how its text differs from the version before that had it."""
    index, position = visit.seen.archive.index, visit.seen.position
    steps: list[dict[str, Any]] = []
    before: Json = None
    for version in value.versions:
        found: Json = next((one for one in version.body["rules"] if one["id"] == rule), None)
        changed = bool(before and found and before["text"] != found["text"])
        steps.append(
            {
                "number": version.number,
                "version": version.body,
                "periods": views.periods(index.periods(value.id, version.number, position), version.body),
                "rule": found,
                "same": bool(before and before == found),
                "redline": redline(before["text"], found["text"]) if changed else (),
            }
        )
        before = found or before
    return steps


@PAGES.get("/documents/<authority>/<name>/times")
def times(authority: str, name: str) -> Response:
    """Both times at once: what was in force through time, as each revision that changed it had it."""
    visit = Visit()
    known = document_id(f"{authority}/{name}")
    visit.seen.known(known)
    answer = plain(answers.document(visit.seen, known, FOREVER))
    place, on = answer["jurisdiction"], date.fromisoformat(answer["on"])
    index, position = visit.seen.archive.index, visit.seen.position
    revisions = index.history(known, position, limit=STATES)
    values = [(one.json(), index.document(known, one.position)) for one in reversed(revisions)]
    states = views.beliefs(values, place, on, visit.to)
    lanes = [state["lane"] for state in states]
    known_now = index.document(known, position)
    marks = views.marks(on, today(visit.seen.now, place))
    told = {
        "id": known,
        "title": answer["document"]["title"],
        "place": place,
        "states": states,
        "places": _places(visit, known, known_now, place, "/times"),
        "apart": views.only_in_parts(known_now, place, scope(known_now.named, place)),
        "drawing": {**timeline.drawn(lanes, marks), "desc": views.told(lanes, on, marks[0].day)} if lanes else None,
        "older": len(revisions) == STATES,
    }
    return visit.show("times.html", told, place, _next_change(visit, [known], answer))


@PAGES.get("/documents/<authority>/<name>/history")
def history(authority: str, name: str) -> Response:
    visit = Visit("before")
    known = document_id(f"{authority}/{name}")
    before = params.number(visit.given.get("before"), "before", FOREVER, 999_999_999)
    answer = plain(answers.history(visit.seen, known, before, REVISIONS))
    content, _ = visit.seen.archive.index.document_row(known, visit.seen.position)
    path, following = f"/documents/{known}/history", answer["next_before"]
    told = {
        "id": known,
        "title": orjson.loads(content)["title"],
        "revisions_told": views.revisions(known, answer["revisions"]),
        "next_href": visit.to(path, before=following) if following else None,
        "first_href": visit.to(path) if "before" in visit.given else None,
    }
    return visit.show("history.html", told)


# --- medicines -------------------------------------------------------------------------------------------


@PAGES.get("/medicines")
def medicines() -> Response:
    visit = Visit("after")
    after = params.segment(visit.given.get("after"), "after") or ""
    return visit.show("medicines.html", _listed(visit, overview.by_medicine(visit.seen, after, MEDICINES)))


@PAGES.get("/search")
def search() -> Response:
    """Medicines by name, then documents and rules by their words, as recorded now whatever else is asked."""
    visit = Visit("q")
    visit.latest = visit.seen.looking(None)
    asked = visit.given.get("q", "")
    nothing: Json = {"found": [], "more": False}
    answer = plain(answers.found(visit.seen, asked, HITS)) if asked else nothing
    found = answer["found"]
    slug = "-".join(asked.lower().split())
    medicines = overview.named_like(visit.seen, slug, FEW) if slug else {"medicines": [], "next_after": None}
    medicines["next_after"] = None
    index, tip = visit.seen.archive.index, visit.seen.archive.tip()
    titles = {
        name: orjson.loads(index.document_row(name, tip.position)[0])["title"]
        for name in {hit["document"] for hit in found}
        if tip
    }
    holding = _holding(visit.latest, {hit["document"] for hit in found if hit["rule"]})
    told = {
        **_listed(visit, medicines),
        "q": asked,
        "hits": [
            {**hit, "in": titles[hit["document"]], "holds": holding.get((hit["document"], hit["rule"]), {})}
            for hit in found
        ],
        "more": answer["more"],
    }
    return visit.show("search.html", told)


def _holding(seen: answers.Register, names: Iterable[str]) -> dict[tuple[str, str], dict[int, list[str]]]:
    """The rules of some documents that hold on the day: in which version, and in which places."""
    found: dict[tuple[str, str], dict[int, list[str]]] = {}
    read: answers.Reading = {}
    for name in names:
        for place, (_, held) in answers.in_force(seen, name, read).items():
            for one in held.body["rules"] if held.body else ():
                found.setdefault((name, one["id"]), {}).setdefault(held.body["number"], []).append(place)
    return {key: {number: outermost(codes) for number, codes in held.items()} for key, held in found.items()}


@PAGES.get("/medicines/<inn>")
def medicine(inn: str) -> Response:
    visit = Visit()
    known = params.segment(inn, "medicine") or ""
    seen = visit.seen
    answer = plain(answers.medicine(seen, known))
    about = seen._replace(question=seen.question._replace(medicine=known))
    rules = orjson.loads(b"".join(answers.rules(about)))["rules"]
    names = [one["document"] for one in answer["documents"]]
    standing = {one["document"]: one for one in overview.standing(seen, names)}
    told = {
        "inn": known,
        "name": views.name_of(known),
        "answer": answer,
        "brands": _brands(standing.values(), known),
        "documents": [_of_medicine(visit, _standing(visit, standing[name], known), rules) for name in names],
        "coming": [item for name in names for item in _awaited_in(visit, name, answer["coming"])],
        "unspoken": _unspoken(visit, standing.values()),
        "changed": [one for name in names if (one := _changed(visit, name, known))["steps"]],
    }
    return visit.show("medicine.html", told, next_change=_next_change(visit, names, answer))


def _changed(visit: Visit, name: str, inn: str) -> dict[str, Any]:
    """How one document changed for a medicine by the day: each version that took effect, with the one it followed."""
    seen, path = visit.seen, f"/documents/{name}"
    value = seen.archive.index.document(name, seen.position)
    versions = {version.number: version for version in value.versions}
    naming = {number for number, version in versions.items() if inn in version.medicines}
    found = views.steps(value, seen.question.jurisdiction)
    told = []
    for number, step in sorted(found.items(), key=lambda one: one[1].start, reverse=True):
        before = views.compared_with(number, found)
        if step.start <= seen.day() and naming & {number, before}:
            compared = _comparing(visit, f"{path}/compare", before, number) if before else None
            href = compared or visit.to(f"{path}/versions/{number}")
            title = versions[number].title
            told.append({"number": number, "day": step.told, "title": title, "before": before, "href": href})
    return {"title": value.title, "steps": told}


def _of_medicine(visit: Visit, document: dict[str, Any], rules: Iterable[Json]) -> dict[str, Any]:
    """A document with the rules of it that apply to one medicine, by kind, and the sources that they cite."""
    held = [one for one in rules if one["document"] == document["document"]]
    numbers = sorted({one["version"] for one in held})
    sources = {n: plain(answers.version(visit.seen, document["document"], n))["version"]["sources"] for n in numbers}
    said = {views.where(one["jurisdictions"], one["but_not"]) for one in held}
    told = [
        {
            **one["rule"],
            "where_said": views.where(one["jurisdictions"], one["but_not"]) if len(said) > 1 else None,
            "sources": sources[one["version"]],
        }
        for one in held
    ]
    return {**document, "groups": views.by_kind(told), "where_said": said.pop() if len(said) == 1 else None}


def _awaited_in(visit: Visit, name: str, items: Iterable[Json]) -> list[dict[str, Any]]:
    held = [item for item in items if item["document"] == name]
    bodies = {item["version"]: plain(answers.version(visit.seen, name, item["version"]))["version"] for item in held}
    return _awaited(visit, name, bodies, held)


# --- about -----------------------------------------------------------------------------------------------


@PAGES.get("/about")
def about() -> Response:
    return Visit().show("about.html", {})


@PAGES.get("/problems/<name>")
def problem(name: str) -> Response:
    visit = Visit()
    known = problems.known()
    if name not in known:
        raise NotFound(f"there is no problem of type {name!r}; there are {', '.join(sorted(known))}")
    return visit.show("problem.html", {"problem": known[name], "all": sorted(known)})


# --- errors ----------------------------------------------------------------------------------------------


def for_people() -> bool:
    """Whether this request came for a page: an address that people read, by something that takes HTML."""
    if request.path.strip("/").split("/", 1)[0] in MACHINES:
        return False
    accepted = request.accept_mimetypes
    return not accepted or accepted.best_match([HTML, problems.MEDIA_TYPE, "application/json"]) == HTML


# --- templates -------------------------------------------------------------------------------------------


def equip(app: Flask) -> None:
    """Give the application the templates' loader and filters, and the pages on what changed."""
    app.register_blueprint(REVIEW)
    folder = f"{app.root_path}/{app.template_folder}"
    dress = PrefixLoader({"govuk_frontend_jinja": PackageLoader("govuk_frontend_jinja")})
    app.jinja_loader = ChoiceLoader([FileSystemLoader(folder), dress])
    app.jinja_env.filters.update(
        day=views.day,
        day_before=views.day_before,
        last_day=views.last_day,
        instant=views.instant,
        place=views.place,
        places=views.places,
        medicine=views.name_of,
        system=views.system,
        measure=views.measure,
        cohort=views.cohort,
        modality=views.modality,
        unconfirmed=views.unconfirmed,
        state_word=views.state_word,
    )
