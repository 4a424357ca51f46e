"""The page around every answer: the question kept in every address, the as-of bar, the footer, how long it lasts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date
from functools import partial
from typing import Any, Final

import orjson
from flask import Response, render_template, request

from guidance.errors import GuidanceError
from guidance.model import Json
from guidance.vocabulary import AUTHORITIES
from service import params, problems, views
from service.clock import today, tzdata_version
from service.desk import Reply, desk, register
from service.views import To, address

HTML: Final = "text/html"
TZDATA: Final = tzdata_version()
WHEN: Final = ("on", "at", "jurisdiction")
ASOF_FIELDS: Final = {"on": "asof-on", "at": "asof-at"}
SIDE_FIELDS: Final = {
    name: f"side-{name.replace('_', '-')}" for name in ("from", "to", "from_at", "to_at", "on", "at", "jurisdiction")
}
MISSING: Final = {
    "from": "Enter the first {}",
    "to": "Enter the second {}",
    "from_at": "Enter the first day, instant or revision",
}
"""What to enter in a field of two sides that was left empty."""
NOTHING: Final[Mapping[str, Any]] = {}
PAGING: Final = ("after", "before")
NAV: Final = (
    ("In force", "/"),
    ("Coming", "/coming"),
    ("Changes", "/changes"),
    ("Medicines", "/medicines"),
    ("Documents", "/documents"),
    ("About", "/about"),
)


def plain(answer: Json) -> Any:
    """An answer as machines get it, read back: pages and machines are told the same."""
    return orjson.loads(orjson.dumps(answer))


class Visit:
    """One person's question: its parameters, the register as they see it, and the page around the answer."""

    def __init__(self, *known: str, looks: Collection[str] = WHEN) -> None:
        """`known`: parameters of this page besides on, at and jurisdiction. One that is empty was not asked.

        `looks`: those of the three by which the register is looked at, and which stay in every address.
        """
        given = params.once(request.args.to_dict(flat=False))
        params.only(given, (*WHEN, *known))
        self.given = {name: value.strip() for name, value in given.items() if value.strip()}
        self.looks = looks
        self.when = {name: value for name, value in self.given.items() if name in looks}
        self.seen = register(self.when, desk().clock())
        self.latest = self.seen
        """What the answer is told from, where that is newer than where the question looks from: it goes stale so."""
        self.to: To = partial(address, self.when)

    def asked(self, *names: str) -> dict[str, str]:
        """Those of the parameters that were asked."""
        return {name: self.given[name] for name in names if name in self.given}

    def show(
        self, template: str, told: Mapping[str, Any], home: str | None = None, next_change: Mapping[str, Any] = NOTHING
    ) -> Response:
        """The page. `home`: the place that the answer is for, where none was asked for; `next_change`: what the bar
        says of it, a known day (next_change_on) or what is expected without one (expecting)."""
        asked = self.seen.question
        where = asked.jurisdiction or home or self.seen.home
        unasked = "The document’s main place" if home else "Any place"
        frame = {
            **self.frame(home),
            "asof": {
                **_asof(self.given, self.to, today(self.seen.now, where), unasked),
                "on": self.seen.day(home).isoformat(),
                "jurisdiction": asked.jurisdiction or home,
                **next_change,
            },
        }
        return self.send(where, HTML, lambda: render_template(template, **frame, **told).encode("utf-8"))

    def send(self, where: str, media: str, written: Callable[[], bytes]) -> Response:
        """What a function makes, unless nothing has changed since the reader last had it."""
        return Reply(self.latest, self.given, media, where, judged=True).send(lambda: (written(),))

    def frame(self, home: str | None = None) -> dict[str, Any]:
        """What the layout shows besides the answer and the as-of bar."""
        return {
            **_frame(self.to),
            "feeds": _followed(self.given),
            "kept": [{"name": name, "value": value} for name, value in self.when.items()],
            "replayed": bool(self.seen.revision and self.seen.revision.replayed),
            "unrecorded": self._unrecorded(),
            **self._footer(self.seen.day(home)),
        }

    def _unrecorded(self) -> str | None:
        """Why there is nothing to tell, where nothing was recorded: that is less than that nothing applies."""
        if self.seen.revision is not None:
            return None
        if self.seen.archive.tip() is None:
            return "The register is empty: nothing has been published yet."
        return "Nothing was recorded yet at that time: the register begins later."

    def _footer(self, on: date) -> dict[str, Any]:
        revision = self.seen.revision
        if revision is None:
            return {}
        others = {name: value for name, value in self.given.items() if name not in WHEN}
        day = {"on": on.isoformat()} if "on" in self.looks else {}
        two = "from_at" in others or "to_at" in others
        href = None if two else self.to(request.path, **{**others, **day, "at": revision.id})
        return {"revision": revision.id, "revision_href": href, "recorded_at": revision.json()["recorded_at"]}


def bare() -> dict[str, Any]:
    """The layout around a page that asks the register nothing."""
    return _frame(partial(address, {}))


def _followed(given: Mapping[str, str]) -> list[dict[str, str]]:
    """The feeds of what a page is about: a document, a medicine, an authority, or the whole register."""
    places = request.view_args or {}
    about, what = "register", "the register"
    if "authority" in places:
        about, what = f"documents/{places['authority']}/{places['name']}", "this document"
    elif "inn" in places:
        about, what = f"medicines/{places['inn']}", f"guidance on {views.name_of(places['inn'])}"
    elif request.path == "/documents" and given.get("authority") in AUTHORITIES:
        about, what = f"authorities/{given['authority']}", f"guidance of {AUTHORITIES[given['authority']]}"
    kinds = (("Feed", "application/atom+xml", "atom"), ("Calendar", "text/calendar", "ics"))
    return [
        {"text": text, "title": f"{text} of {what}", "type": media, "href": f"/v1/feeds/{about}.{end}"}
        for text, media, end in kinds
    ]


def _frame(to: To) -> dict[str, Any]:
    section = "/" + request.path.strip("/").split("/", 1)[0]
    nav = [{"text": text, "href": to(path), "current": path == section} for text, path in NAV]
    return {"nav": nav, "home_href": to("/"), "tzdata_version": TZDATA, "to": to}


def _asof(given: Mapping[str, str], to: To, now: date, unasked: str = "Any place") -> dict[str, Any]:
    """What the bar shows of the question: as asked, with the page's other parameters carried along."""
    others = {name: value for name, value in given.items() if name not in (*WHEN, *PAGING)}
    return {
        "on": now.isoformat(),
        "today": now.isoformat(),
        "asked_on": "on" in given,
        "at": given.get("at"),
        "asked_jurisdiction": given.get("jurisdiction", ""),
        "jurisdictions": views.jurisdictions(unasked),
        "keep": [{"name": name, "value": value} for name, value in others.items()],
        "action": request.path,
        "reset": to(request.path, on=None, at=None, **others),
    }


# --- errors ----------------------------------------------------------------------------------------------


def error_page(problem: dict[str, Any]) -> Response:
    """What went wrong as a page in the layout of the others. It asks the register nothing: that may be what failed."""
    given = {name: value.strip() for name, value in request.args.items() if name in WHEN and value.strip()}
    fine, now = _understood(given)
    to: To = partial(address, fine)
    parameter = problem.get("parameter")
    two = request.path.endswith(("/compare", "/changes"))
    said = str(problem["detail"]).removeprefix(f"{parameter}: ")
    fields = SIDE_FIELDS if two else ASOF_FIELDS
    errors = {parameter: _entered(parameter) or said} if parameter in fields else {}
    again = {"at": None} if problem["type"] == problems.BASE + "unknown-revision" else {}
    told = {
        **_frame(to),
        "again": to(request.path, on=None, **again) if two else None,
        "form": _sides_form(errors) if two else None,
        "asof": None
        if two
        else {
            **_asof(fine, to, now),
            "on": fine.get("on", now.isoformat()),
            "jurisdiction": fine.get("jurisdiction"),
            "written": {name: given.get(name) for name in errors},
            "errors": errors,
        },
        "errors": [{"text": text, "href": f"#{fields[name]}"} for name, text in errors.items()],
        "problem": problem,
        "said": views.sentence(said, parameter),
        "known": problem["type"].removeprefix(problems.BASE),
    }
    return Response(render_template("error.html", **told), mimetype=HTML)


def _entered(parameter: str) -> str | None:
    """What to enter where one of two sides was left empty."""
    if parameter not in MISSING or request.args.get(parameter, "").strip():
        return None
    other = request.args.get({"from": "to", "to": "from"}.get(parameter, ""), "")
    return MISSING[parameter].format("version" if "@" in other else "date")


def _sides_form(errors: Mapping[str, str]) -> dict[str, Any]:
    """The form that asks which two states to compare, with what was filled in."""
    given = {name: value.strip() for name, value in request.args.items()}
    whole = request.path == "/changes"
    return {
        "action": request.path,
        "sides": {name: given.get(name, "") for name in ("from", "to", "from_at", "to_at")},
        **{name: given.get(name, "") for name in WHEN},
        "jurisdictions": views.jurisdictions("Any place"),
        "hint": "A day (2019-12-01)" if whole else "A version (@2) or a day (2019-12-01)",
        "kept": [{"name": name, "value": given.get(name)} for name in ("medicine", "authority")] if whole else [],
        "errors": errors,
    }


def _understood(given: Mapping[str, str]) -> tuple[dict[str, str], date]:
    """The parameters of the question that can be read, and today in the place asked about."""
    now = desk().clock()
    read: dict[str, Callable[[str], Any]] = {
        "on": params.on,
        "at": lambda text: params.at(text, now),
        "jurisdiction": params.jurisdiction,
    }
    fine = {}
    for name, value in given.items():
        try:
            read[name](value)
        except GuidanceError:
            continue
        fine[name] = value
    return fine, today(now, fine.get("jurisdiction") or desk().config.jurisdiction)
