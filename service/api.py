"""Machine routes under /v1, and the two that watch over the service. Each asks one question and sends its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import orjson
from flask import Blueprint, Response, current_app, request

from guidance.derived import FOREVER
from guidance.errors import BadParameter, NotFound, StoreError
from guidance.model import Json, Sides, document_id
from guidance.schema import schema, schema_names
from service import answers, comparing, params
from service.clock import tzdata_version
from service.desk import Reply, accepted, desk, register
from service.formats import JSON, Answer, offered
from service.openapi import described
from service.problems import NOT_ACCEPTABLE, HttpProblem

V1: Final = Blueprint("v1", __name__, url_prefix="/v1")
WATCH: Final = Blueprint("watch", __name__)

WHEN: Final = ("on", "at", "jurisdiction")
FORMAT: Final = ("format",)
NOW_ONLY: Final = {"Cache-Control": "no-store"}
"""Headers of what holds for this moment alone."""


# --- reading the question --------------------------------------------------------------------------------


def asked(*known: str) -> dict[str, str]:
    """The request's parameters, each once and each known."""
    given = params.once(request.args.to_dict(flat=False))
    params.only(given, (*known, *FORMAT))
    params.filled(given)
    return given


def limit_of(given: dict[str, str]) -> int:
    return params.number(given.get("limit"), "limit", params.PAGE, params.PAGE_LIMIT)


# --- sending the answer ----------------------------------------------------------------------------------


def media_type(given: dict[str, str], diff: bool) -> str:
    """The format asked for by `format` or else by Accept; raises where there is none that we have."""
    formats = offered(diff)
    if "format" in given:
        names = {one.name: media for media, one in formats.items()}
        return names[params.choice(given["format"], "format", names) or "json"]
    found = accepted(formats, JSON)
    if found is None:
        raise HttpProblem(NOT_ACCEPTABLE, f"this answer comes as {', '.join(formats)}")
    return found


def send(
    seen: answers.Register,
    given: dict[str, str],
    pieces: Iterable[bytes],
    dated: bool = False,
    home: str | None = None,
    keep: bool = True,
    patch: Callable[[], Json] | None = None,
    sides: Callable[[], Iterable[Sides]] = tuple,
) -> Response:
    """The answer in the format asked for. `dated`: it depends on the day, which is today's where none is asked for."""
    media = media_type(given, diff=patch is not None)
    chosen = offered(patch is not None)[media]
    place = seen.question.jurisdiction or home or seen.home
    reply = Reply(seen, given, media, place if dated and seen.question.on is None else None, judged=patch is not None)
    response = reply.send(lambda: chosen.write(Answer(pieces, patch, sides)), keep)
    if media != JSON:
        response.headers["Content-Disposition"] = f'inline; filename="inforce.{chosen.name}"'
    return response


def once(answer: Any) -> Iterable[bytes]:
    """An answer in one piece."""
    return (orjson.dumps(answer),)


def constant(value: Json, media: str) -> Response:
    """What only another release changes."""
    response = Response(orjson.dumps(value), mimetype=media, headers={"Cache-Control": "public, no-cache"})
    response.add_etag()
    response.make_conditional(request)
    return response


# --- routes ----------------------------------------------------------------------------------------------


@V1.get("/rules")
def rules() -> Response:
    given = asked(*WHEN, "medicine", "authority", "kind", "cohort")
    seen = register(given, desk().clock())
    narrow = seen.question.medicine is not None or seen.question.authority is not None
    return send(seen, given, answers.rules(seen), dated=True, keep=narrow)


@V1.get("/documents")
def documents() -> Response:
    given = asked("at", "medicine", "authority", "after", "limit")
    seen = register(given, desk().clock())
    after = given.get("after", "")
    answer = answers.documents(seen, document_id(after, "after") if after else "", limit_of(given))
    return send(seen, given, once(answer))


@V1.get("/documents/<authority>/<name>")
def document(authority: str, name: str) -> Response:
    given = asked(*WHEN)
    seen = register(given, desk().clock())
    answer = answers.document(seen, document_id(f"{authority}/{name}"))
    return send(seen, given, once(answer), dated=True, home=answer["jurisdiction"])


@V1.get("/documents/<authority>/<name>/versions")
def versions(authority: str, name: str) -> Response:
    given = asked("at")
    seen = register(given, desk().clock())
    return send(seen, given, once(answers.versions(seen, document_id(f"{authority}/{name}"))))


@V1.get("/documents/<authority>/<name>/versions/<number>")
def version(authority: str, name: str, number: str) -> Response:
    given = asked("at")
    seen = register(given, desk().clock())
    counted = params.number(number, "version", 1, 100_000)
    answer = answers.version(seen, document_id(f"{authority}/{name}"), counted)
    return send(seen, given, once(answer))


@V1.get("/documents/<authority>/<name>/history")
def history(authority: str, name: str) -> Response:
    given = asked("at", "before", "limit")
    seen = register(given, desk().clock())
    before = params.number(given.get("before"), "before", FOREVER, 999_999_999)
    answer = answers.history(seen, document_id(f"{authority}/{name}"), before, limit_of(given))
    return send(seen, given, once(answer))


@V1.get("/documents/<authority>/<name>/diff")
def diff(authority: str, name: str) -> Response:
    given = asked("from", "to", "on", "at", "from_at", "to_at", "jurisdiction")
    now = desk().clock()
    seen = register({key: given[key] for key in ("at", "jurisdiction") if key in given}, now)
    document = document_id(f"{authority}/{name}")
    answer = comparing.difference(seen, document, given)
    return send(
        seen,
        given,
        once(answer),
        patch=lambda: comparing.patch(seen, document, given),
        sides=lambda: comparing.sides(seen, document, given),
    )


@V1.get("/diff")
def changed() -> Response:
    given = asked("from", "to", "on", "at", "from_at", "to_at", "jurisdiction", "medicine", "authority")
    seen = register({name: given[name] for name in ("at", "jurisdiction") if name in given}, desk().clock())
    return send(seen, given, once(comparing.across(seen, given)), patch=lambda: comparing.no_patch(given))


@V1.get("/medicines")
def medicines() -> Response:
    given = asked("at", "after", "limit")
    seen = register(given, desk().clock())
    after = params.segment(given.get("after"), "after") or ""
    return send(seen, given, once(answers.medicines(seen, after, limit_of(given))))


@V1.get("/medicines/<inn>")
def medicine(inn: str) -> Response:
    given = asked(*WHEN)
    seen = register(given, desk().clock())
    answer = answers.medicine(seen, params.segment(inn, "medicine") or "")
    return send(seen, given, once(answer), dated=True)


@V1.get("/search")
def search() -> Response:
    given = asked("q", "limit")
    if "q" not in given:
        raise BadParameter("q", "", "is missing: which words to look for")
    seen = register({}, desk().clock())
    return send(seen, given, once(answers.found(seen, given["q"], limit_of(given))))


@V1.get("/openapi.json")
def openapi() -> Response:
    asked()
    return constant(described(current_app.config["RELEASE"]), JSON)


@V1.get("/schemas/<name>")
def one_schema(name: str) -> Response:
    asked()
    short = name.removesuffix(".json")
    if short not in schema_names():
        raise NotFound(f"there is no schema {name!r}; there are {', '.join(schema_names())}")
    return constant(schema(short), "application/schema+json")


@WATCH.get("/healthz")
def alive() -> Response:
    """Whether the process answers at all."""
    return Response(orjson.dumps({"status": "alive"}), mimetype=JSON, headers=NOW_ONLY)


@WATCH.get("/readyz")
def ready() -> Response:
    """Whether questions can be answered: opens the store for real, and has the index in step with it."""
    archive = desk().archive
    archive.store.check()
    tip = archive.tip()
    head = archive.store.head()
    if head is not None and (tip is None or not archive.store.contains(tip.id)):
        raise StoreError("the index does not belong to the store")
    told = {"status": "ready", "revision": tip.id if tip else None, "tzdata": tzdata_version()}
    return Response(orjson.dumps(told), mimetype=JSON, headers=NOW_ONLY)
