"""Pages for those who subscribe: what their endpoints were sent and how they fare. Entered with a token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta
from functools import wraps
from typing import Any, Final

import orjson
from flask import Blueprint, Response, g, redirect, render_template, request

from guidance.errors import (
    ActRefused,
    BadEndpoint,
    BadInput,
    BadParameter,
    GuidanceError,
    InvalidDocument,
    NotAuthenticated,
)
from guidance.model import Json, day_of
from guidance.severity import SEVERITIES
from service import params, problems, session, subscriptions
from service.session import COOKIE, LENGTH, Session
from service.subscriptions import EARLIEST, push
from service.visit import bare

CONSOLE: Final = Blueprint("console", __name__, url_prefix="/subscriptions")
OPEN: Final = ("console.home", "console.enter")
"""Routes that need no session."""
LISTS: Final = ("medicines", "authorities", "documents", "jurisdictions", "rule_kinds", "kinds")
"""Members of a filter that are several values: in a form, with commas between."""
FIELDS: Final = {"after": "replay-after", "from": "rehearse-from", "to": "rehearse-to"}
"""The fields that are called otherwise than what they hold."""
PAGE: Final = 25
DONE: Final = {
    "paused": "Nothing is sent until you resume it. Every event is kept.",
    "resumed": "It is sent what has been waiting, from where it stopped.",
    "pinged": "A test is on its way.",
    "changed": "The subscription was changed.",
    "deleted": "The subscription was deleted.",
    "redelivered": "The delivery is on its way once more.",
    "replayed": "What lies behind that position is on its way once more.",
    "rehearsing": "The past span is being played.",
    "left": "You have signed out.",
    "over": "You were no longer signed in, and nothing was done. Sign in, and do it again.",
}


@CONSOLE.before_request
def _entering() -> Any:
    g.session = session.held(push().state, request.cookies.get(COOKIE))
    if request.method == "POST":
        session.meant(g.session, request.form.get("proof", ""), request.headers.get("Sec-Fetch-Site"))
    if g.session is None and request.endpoint not in OPEN:
        return _back(None, "over") if request.method == "POST" else redirect(CONSOLE.url_prefix or "", 303)
    return None


@CONSOLE.after_request
def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


def _here() -> Session:
    found: Session | None = g.session
    if found is None:
        raise NotAuthenticated("sign in first")
    return found


def _owner() -> str:
    return _here().token.owner


def _show(template: str, status: int = 200, **told: Any) -> Response:
    given = params.once(request.args.to_dict(flat=False))
    done = DONE.get(given.get("done", ""))
    wrong = {error["href"][1:]: error["text"] for error in told.get("errors", ()) if "href" in error}
    frame = {**bare(), "session": g.session, "done": done, "severities": SEVERITIES, "lists": LISTS, "wrong": wrong}
    return Response(render_template(template, **frame, **told), status, mimetype="text/html")


def _errors(error: GuidanceError) -> list[dict[str, str]]:
    """What was asked wrongly, each at its field where it has one."""
    match error:
        case InvalidDocument():
            told = [(v.pointer.removeprefix("/filter").split("/")[1], v.why) for v in error.violations]
        case BadParameter():
            written = request.form.get(error.parameter, "").strip()
            told = [(FIELDS.get(error.parameter, error.parameter), f"{written!r} {error.why}")]
        case BadEndpoint():
            told = [("url", str(error))]
        case _:
            return [{"text": str(error)}]
    return [{"text": why, "href": f"#{field}"} for field, why in told]


def _told_there(route: Callable[..., Any]) -> Callable[..., Any]:
    """What a form asks wrongly is told on the page where the form stands, with what was written into it."""

    @wraps(route)
    def told(name: str, **more: Any) -> Any:
        try:
            return route(name, **more)
        except (BadInput, ActRefused) as error:
            status = problems.problem_of(error).status
            return _one(name, status, errors=_errors(error), given=request.form.to_dict())

    return told


def _back(name: str | None, done: str) -> Any:
    return redirect(f"{CONSOLE.url_prefix}{'/' + name if name else ''}?done={done}", 303)


# --- entering and leaving --------------------------------------------------------------------------------


@CONSOLE.get("")
def home() -> Response:
    if g.session is None:
        return _show("sign-in.html")
    return _listed()


@CONSOLE.post("/sign-in")
def enter() -> Any:
    text = request.form.get("token", "").strip()
    try:
        hidden = session.begin(push().state, text, request.remote_addr or "")
    except GuidanceError as error:
        return _show("sign-in.html", 401, errors=[{"text": str(error), "href": "#token"}])
    response = redirect(CONSOLE.url_prefix or "", 303)
    seconds = int(LENGTH.total_seconds())
    response.set_cookie(COOKIE, hidden, max_age=seconds, secure=True, httponly=True, samesite="Strict")
    return response


@CONSOLE.post("/sign-out")
def leave() -> Any:
    session.end(push().state, request.cookies.get(COOKIE))
    response = _back(None, "left")
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="Strict")
    return response


# --- subscriptions ---------------------------------------------------------------------------------------


def _listed(status: int = 200, given: Mapping[str, str] | None = None, **told: Any) -> Response:
    here = push().state
    behind = subscriptions.lag(here)
    found = [{**one.json(), "lag": behind.get(one.id, 0)} for one in subscriptions.mine(here, _owner())]
    notices = subscriptions.notices(here, _owner())
    names = {one["id"]: one["name"] or one["url"] for one in found}
    return _show("console.html", status, found=found, notices=notices, names=names, given=given or {}, **told)


@CONSOLE.post("")
def make() -> Response:
    here, given = push(), request.form.to_dict()
    try:
        asked = {"url": given.get("url", "").strip(), "name": given.get("name", "").strip(), "filter": _filter(given)}
        made, secret = subscriptions.create(here.state, here.vault, here.policy, _owner(), asked)
    except GuidanceError as error:
        return _listed(400, errors=_errors(error), given=given)
    return _one(made.id, secret=secret)


def _filter(given: Mapping[str, str]) -> dict[str, Json]:
    """A filter as a form gives it."""
    lists = {name: [one.strip() for one in given.get(name, "").split(",") if one.strip()] for name in LISTS}
    found: dict[str, Json] = {name: values for name, values in lists.items() if values}
    return {**found, "severity": given["severity"]} if given.get("severity") else found


def _one(name: str, status: int = 200, given: Mapping[str, str] | None = None, **told: Any) -> Response:
    here, asked = push().state, params.once(request.args.to_dict(flat=False))
    before = params.number(asked["before"], "before", 0, 2**49) if "before" in asked else None
    found = subscriptions.one(here, _owner(), name)
    sent = subscriptions.deliveries(here, _owner(), name, before, PAGE)
    more = sent[-1]["id"] if len(sent) == PAGE else None
    shown = {**found.json(), "lag": subscriptions.lag(here).get(name, 0)}
    warned = subscriptions.warnings(subscriptions.filter_of(found.filter), push().known())
    newest = subscriptions.newest_secret(here, _owner(), name)
    page = {
        "one": shown,
        "newest": newest,
        "sent": sent,
        "more": more,
        "tip": here.tip(),
        "warnings": warned,
        "given": given or {},
    }
    return _show("subscription.html", status, **page, **told)


@CONSOLE.get("/<name>")
def show(name: str) -> Response:
    return _one(name)


@CONSOLE.post("/<name>/<any(pause, resume, ping, delete):act>")
@_told_there
def act_on(name: str, act: str) -> Any:
    here = push().state
    if act == "delete":
        subscriptions.remove(here, _owner(), name)
        return _back(None, "deleted")
    done = {"pause": "paused", "resume": "resumed", "ping": "pinged"}[act]
    {"pause": subscriptions.pause, "resume": subscriptions.resume, "ping": subscriptions.ping}[act](
        here, _owner(), name
    )
    return _back(name, done)


@CONSOLE.post("/<name>/rotate")
@_told_there
def rotate(name: str) -> Response:
    """Whoever loads the page with the new secret again asks for the same once more, and is not given another."""
    here = push()
    newest = params.number(request.form.get("newest"), "newest", 0, 2**53, least=0)
    return _one(name, secret=subscriptions.rotate(here.state, here.vault, _owner(), name, newest=newest))


@CONSOLE.post("/<name>/change")
@_told_there
def change(name: str) -> Any:
    here, given = push(), request.form.to_dict()
    asked = {"url": given.get("url", "").strip(), "name": given.get("name", "").strip(), "filter": _filter(given)}
    subscriptions.change(here.state, here.policy, _owner(), name, asked)
    return _back(name, "changed")


@CONSOLE.post("/<name>/replay")
@_told_there
def replay(name: str) -> Any:
    after = params.number(request.form.get("after", "").strip(), "after", 0, 2**49, least=0)
    subscriptions.replay(push().state, _owner(), name, after)
    return _back(name, "replayed")


@CONSOLE.post("/<name>/rehearse")
@_told_there
def rehearse(name: str) -> Any:
    """Play the days from one to another, both included, as they are counted in UTC."""
    first, last = (_midnight(request.form.get(key, "").strip(), key) for key in ("from", "to"))
    events = subscriptions.span(push(), first, last + timedelta(days=1))
    subscriptions.rehearse(push().state, _owner(), name, events)
    return _back(name, "rehearsing")


def _midnight(text: str, parameter: str) -> datetime:
    day = day_of(text, parameter)
    if not EARLIEST.year <= day.year < 9000:
        raise BadParameter(parameter, text, f"is before {EARLIEST.year}, or too far away")
    return datetime.combine(day, time.min, UTC)


@CONSOLE.get("/<name>/deliveries/<int(max=9007199254740991):number>")
def delivery(name: str, number: int) -> Response:
    here = push().state
    found = subscriptions.one(here, _owner(), name)
    sent = subscriptions.delivery(here, _owner(), name, number)
    body = orjson.dumps(sent["body"], option=orjson.OPT_INDENT_2).decode("utf-8") if sent["body"] else ""
    return _show("delivery.html", one=found.json(), sent=sent, body=body)


@CONSOLE.post("/<name>/deliveries/<int(max=9007199254740991):number>/redeliver")
@_told_there
def redeliver(name: str, number: int) -> Any:
    subscriptions.redeliver(push().state, _owner(), name, number)
    return _back(name, "redelivered")
