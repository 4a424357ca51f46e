"""Routes of those who subscribe, /v1/subscriptions: each answers the owner of a token, about what is that owner's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

import orjson
from flask import Blueprint, Response, g, request

from guidance.errors import BadParameter, NotAuthenticated, TooManyAttempts
from guidance.model import Json
from guidance.schema import read
from service import params, subscriptions, tokens
from service.formats import JSON
from service.subscriptions import push

SUBSCRIPTIONS: Final = Blueprint("subscriptions", __name__, url_prefix="/v1/subscriptions")


@SUBSCRIPTIONS.before_request
def _authenticated() -> None:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    given = text.strip() if scheme.lower() == "bearer" else None
    try:
        g.token = tokens.authenticate(push().state, given, request.remote_addr or "", "subscribe")
    except NotAuthenticated:
        g.more_headers = {"WWW-Authenticate": 'Bearer realm="inforce"'}
        raise
    except TooManyAttempts as error:
        g.more_headers = {"Retry-After": str(error.seconds)}
        raise


@SUBSCRIPTIONS.after_request
def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(g.get("more_headers", {}))
    return response


def _told(answer: Json, status: int = 200) -> Response:
    return Response(orjson.dumps(answer), status, mimetype=JSON)


def _body(known: Collection[str] | None = None) -> dict[str, Json]:
    """The JSON object in the request's body; {} where there is none. `known`: the members that it may have."""
    raw = request.get_data()
    value = read(raw) if raw else {}
    if not isinstance(value, dict):
        raise BadParameter("body", str(value)[:80], "is not a JSON object")
    if known is not None:
        params.only(value, known)
    return value


def _given(asked: Mapping[str, Json], parameter: str) -> Json:
    if parameter not in asked:
        raise BadParameter(parameter, "", "is missing")
    return asked[parameter]


def _whole(value: Json, parameter: str) -> int:
    if type(value) is not int or value < 0:
        raise BadParameter(parameter, str(value)[:80], "is not a position: a whole number from 0")
    return value


def _instant(value: Json, parameter: str) -> datetime:
    text = str(value)[:80]
    try:
        if params.INSTANT.fullmatch(text):
            return datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise BadParameter(parameter, text, f"is not an instant that exists: {error}") from error
    raise BadParameter(parameter, text, "is not an instant such as 2020-01-01T00:00:00Z")


def _asked(*known: str) -> dict[str, str]:
    given = params.once(request.args.to_dict(flat=False))
    params.only(given, known)
    return given


def _owner() -> str:
    token: tokens.Token = g.token
    return token.owner


def _with_lag(found: Sequence[subscriptions.Subscription]) -> list[Json]:
    behind = subscriptions.lag(push().state)
    return [{**each.json(), "lag": behind.get(each.id, 0)} for each in found]


def _warned(found: subscriptions.Subscription) -> dict[str, Json]:
    return {**found.json(), "warnings": subscriptions.warnings(subscriptions.filter_of(found.filter), push().known())}


@SUBSCRIPTIONS.get("")
def list_all() -> Response:
    _asked()
    here = push().state
    return _told(
        {
            "subscriptions": _with_lag(subscriptions.mine(here, _owner())),
            "notices": subscriptions.notices(here, _owner()),
        }
    )


@SUBSCRIPTIONS.post("")
def make() -> Response:
    _asked()
    here = push()
    made, secret = subscriptions.create(here.state, here.vault, here.policy, _owner(), _body())
    response = _told({**_warned(made), "secret": secret}, 201)
    response.headers["Location"] = f"{SUBSCRIPTIONS.url_prefix}/{made.id}"
    return response


@SUBSCRIPTIONS.get("/<name>")
def show(name: str) -> Response:
    _asked()
    return _told(_with_lag([subscriptions.one(push().state, _owner(), name)])[0])


@SUBSCRIPTIONS.patch("/<name>")
def alter(name: str) -> Response:
    _asked()
    return _told(_warned(subscriptions.change(push().state, push().policy, _owner(), name, _body())))


@SUBSCRIPTIONS.delete("/<name>")
def drop(name: str) -> Response:
    _asked()
    subscriptions.remove(push().state, _owner(), name)
    return Response(status=204)


@SUBSCRIPTIONS.post("/<name>/<any(pause, resume, rotate, ping):act>")
def act_on(name: str, act: str) -> Response:
    _asked()
    _body(())
    here = push()
    if act == "rotate":
        return _told({"secret": subscriptions.rotate(here.state, here.vault, _owner(), name)})
    if act == "ping":
        return _told({"delivery": subscriptions.ping(here.state, _owner(), name)}, 202)
    return _told((subscriptions.pause if act == "pause" else subscriptions.resume)(here.state, _owner(), name).json())


@SUBSCRIPTIONS.post("/<name>/replay")
def play_again(name: str) -> Response:
    _asked()
    after = _whole(_given(_body(("after",)), "after"), "after")
    return _told({"queued": subscriptions.replay(push().state, _owner(), name, after)}, 202)


@SUBSCRIPTIONS.post("/<name>/rehearse")
def play_past(name: str) -> Response:
    """Play the events that occurred in [from, to), two instants."""
    _asked()
    asked = _body(("from", "to"))
    first, end = (_instant(_given(asked, key), key) for key in ("from", "to"))
    subscriptions.one(push().state, _owner(), name)
    return _told(
        {"queued": subscriptions.rehearse(push().state, _owner(), name, subscriptions.span(push(), first, end))}, 202
    )


@SUBSCRIPTIONS.get("/<name>/deliveries")
def list_deliveries(name: str) -> Response:
    given = _asked("before", "limit")
    before = params.number(given["before"], "before", 0, 2**53) if "before" in given else None
    limit = params.number(given.get("limit"), "limit", params.PAGE, params.PAGE_LIMIT)
    found = subscriptions.deliveries(push().state, _owner(), name, before, limit)
    return _told({"deliveries": found, "next_before": found[-1]["id"] if len(found) == limit else None})


@SUBSCRIPTIONS.get("/<name>/deliveries/<int(max=9007199254740991):number>")
def show_delivery(name: str, number: int) -> Response:
    _asked()
    return _told(subscriptions.delivery(push().state, _owner(), name, number))


@SUBSCRIPTIONS.post("/<name>/deliveries/<int(max=9007199254740991):number>/redeliver")
def send_again(name: str, number: int) -> Response:
    _asked()
    _body(())
    return _told({"delivery": subscriptions.redeliver(push().state, _owner(), name, number)}, 202)
