"""Machine routes under /v1, and the two that watch over the service. Each asks one question and sends its answer."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final

import orjson
from flask import Blueprint, Response, current_app, request

from guidance.archive import Archive
from guidance.errors import NotFound, StoreError
from guidance.index import FOREVER
from guidance.model import document_id
from guidance.schema import schema, schema_names
from service import answers, comparing, params
from service.cache import KEPT, Keep
from service.clock import Clock, next_midnight, tzdata_version
from service.config import Config
from service.formats import FORMATS, JSON
from service.openapi import described
from service.problems import NOT_ACCEPTABLE, HttpProblem

V1: Final = Blueprint("v1", __name__, url_prefix="/v1")
WATCH: Final = Blueprint("watch", __name__)

WHEN: Final = ("on", "at", "jurisdiction")
FORMAT: Final = ("format",)
NAMES: Final = {media.rpartition("/")[2]: media for media in FORMATS}
IMMUTABLE: Final = "public, max-age=31536000, immutable"


class Desk:
    """What a request needs to be answered: the archive, the clock, the configuration."""

    def __init__(self, archive: Archive, clock: Clock, config: Config) -> None:
        self.archive, self.clock, self.config = archive, clock, config


def desk() -> Desk:
    found: Desk = current_app.extensions["inforce"]
    return found


# --- reading the question --------------------------------------------------------------------------------


def asked(*known: str) -> dict[str, str]:
    """The request's parameters, each once and each known."""
    given = params.once(request.args.to_dict(flat=False))
    params.only(given, (*known, *FORMAT))
    return given


def register(given: dict[str, str], now: datetime) -> answers.Register:
    """The register as this request sees it."""
    question = answers.Question(
        on=params.on(given.get("on")),
        at=params.at(given.get("at"), now),
        jurisdiction=params.jurisdiction(given.get("jurisdiction")),
        medicine=params.segment(given.get("medicine"), "medicine"),
        authority=params.segment(given.get("authority"), "authority"),
        kind=params.choice(given.get("kind"), "kind", params.KINDS),
        cohort=params.choice(given.get("cohort"), "cohort", params.COHORTS),
    )
    return answers.Register.look(desk().archive, question, now, desk().config.jurisdiction)


def limit_of(given: dict[str, str]) -> int:
    return params.number(given.get("limit"), "limit", params.PAGE, params.PAGE_LIMIT)


# --- sending the answer ----------------------------------------------------------------------------------


def media_type(given: dict[str, str]) -> str:
    """The format asked for by `format` or else by Accept; raises where there is none that we have."""
    if "format" in given:
        return NAMES[params.choice(given["format"], "format", NAMES) or "json"]
    accepted = request.accept_mimetypes
    found = accepted.best_match(list(FORMATS)) if accepted else JSON
    if found is None:
        raise HttpProblem(NOT_ACCEPTABLE, f"this answer comes as {', '.join(FORMATS)}")
    return str(found)


class Reply:
    """How one answer is sent: what identifies it, how long it lasts, and whether it may be kept ready."""

    def __init__(self, seen: answers.Register, given: dict[str, str], dated: bool, home: str | None = None) -> None:
        """`dated`: the answer depends on the day, which is today's where the question names none."""
        self.seen, self.given, self.home = seen, given, home
        self.media = media_type(given)
        self.stamp = desk().archive.store.stamp()
        self.floating = dated and seen.question.on is None

    def tag(self) -> str:
        """A strong validator: the same only where release, revision, day, question and format are."""
        day = self.seen.day(self.home).isoformat() if self.floating else ""
        parts = [current_app.config["RELEASE"], self.seen.revision.id if self.seen.revision else "", day, self.media]
        parts += [request.path, *(f"{name}={value}" for name, value in sorted(self.given.items()))]
        return hashlib.blake2b("\n".join(parts).encode("utf-8"), digest_size=16).hexdigest()

    def until(self) -> datetime | None:
        """When the answer goes stale though nothing is recorded: the next midnight, if it is about today."""
        place = self.seen.question.jurisdiction or self.home or self.seen.home
        return next_midnight(self.seen.now, place) if self.floating else None

    def lifetime(self) -> str:
        pinned = self.seen.question.at is not None and self.seen.question.at.pinned
        if not pinned:
            return "public, no-cache"
        until = self.until()
        return IMMUTABLE if until is None else f"public, max-age={int((until - self.seen.now).total_seconds())}"

    def send(self, pieces: Iterable[bytes], keep: bool = True) -> Response:
        """Answer, or say that nothing has changed since."""
        response = Response(mimetype=self.media)
        tag = self.tag()
        response.set_etag(tag)
        response.headers["Cache-Control"] = self.lifetime()
        response.headers["Vary"] = "Accept"
        if keep:
            request.environ[KEPT] = Keep(self.stamp, self.until())
        if self.media != JSON:
            response.headers["Content-Disposition"] = f'inline; filename="inforce.{self.media.rpartition("/")[2]}"'
        if tag in request.if_none_match:
            response.status_code = 304
            return response
        response.response = FORMATS[self.media](pieces)
        return response


def once(answer: Any) -> Iterable[bytes]:
    """An answer in one piece."""
    return (orjson.dumps(answer),)


# --- routes ----------------------------------------------------------------------------------------------


@V1.get("/rules")
def rules() -> Response:
    given = asked(*WHEN, "medicine", "authority", "kind", "cohort")
    seen = register(given, desk().clock())
    narrow = seen.question.medicine is not None or seen.question.authority is not None
    return Reply(seen, given, dated=True).send(answers.rules(seen), keep=narrow)


@V1.get("/documents")
def documents() -> Response:
    given = asked("at", "medicine", "authority", "after", "limit")
    seen = register(given, desk().clock())
    after = given.get("after", "")
    return Reply(seen, given, dated=False).send(
        once(answers.documents(seen, document_id(after, "after") if after else "", limit_of(given)))
    )


@V1.get("/documents/<authority>/<name>")
def document(authority: str, name: str) -> Response:
    given = asked(*WHEN)
    seen = register(given, desk().clock())
    answer = answers.document(seen, document_id(f"{authority}/{name}"))
    return Reply(seen, given, dated=True, home=answer["jurisdiction"]).send(once(answer))


@V1.get("/documents/<authority>/<name>/versions")
def versions(authority: str, name: str) -> Response:
    given = asked("at")
    seen = register(given, desk().clock())
    return Reply(seen, given, dated=False).send(once(answers.versions(seen, document_id(f"{authority}/{name}"))))


@V1.get("/documents/<authority>/<name>/versions/<number>")
def version(authority: str, name: str, number: str) -> Response:
    given = asked("at")
    seen = register(given, desk().clock())
    counted = params.number(number, "version", 1, 100_000)
    answer = answers.version(seen, document_id(f"{authority}/{name}"), counted)
    return Reply(seen, given, dated=False).send(once(answer))


@V1.get("/documents/<authority>/<name>/history")
def history(authority: str, name: str) -> Response:
    given = asked("at", "before", "limit")
    seen = register(given, desk().clock())
    before = params.number(given.get("before"), "before", FOREVER, 999_999_999)
    answer = answers.history(seen, document_id(f"{authority}/{name}"), before, limit_of(given))
    return Reply(seen, given, dated=False).send(once(answer))


@V1.get("/documents/<authority>/<name>/diff")
def diff(authority: str, name: str) -> Response:
    given = asked("from", "to", "on", "at", "from_at", "to_at", "jurisdiction")
    now = desk().clock()
    seen = register({key: given[key] for key in ("at", "jurisdiction") if key in given}, now)
    answer = comparing.difference(seen, document_id(f"{authority}/{name}"), given)
    return Reply(seen, given, dated=False).send(once(answer))


@V1.get("/medicines")
def medicines() -> Response:
    given = asked("at", "after", "limit")
    seen = register(given, desk().clock())
    after = params.segment(given.get("after"), "after") or ""
    return Reply(seen, given, dated=False).send(once(answers.medicines(seen, after, limit_of(given))))


@V1.get("/medicines/<inn>")
def medicine(inn: str) -> Response:
    given = asked(*WHEN)
    seen = register(given, desk().clock())
    answer = answers.medicine(seen, params.segment(inn, "medicine") or "")
    return Reply(seen, given, dated=True).send(once(answer))


@V1.get("/openapi.json")
def openapi() -> Response:
    asked()
    return Response(orjson.dumps(described(current_app.config["RELEASE"])), mimetype=JSON)


@V1.get("/schemas/<name>")
def one_schema(name: str) -> Response:
    asked()
    short = name.removesuffix(".json")
    if short not in schema_names():
        raise NotFound(f"there is no schema {name!r}; there are {', '.join(schema_names())}")
    return Response(orjson.dumps(schema(short)), mimetype="application/schema+json")


@WATCH.get("/healthz")
def alive() -> Response:
    """Whether the process answers at all."""
    return Response(orjson.dumps({"status": "alive"}), mimetype=JSON)


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
    return Response(orjson.dumps(told), mimetype=JSON)


def known_routes() -> Collection[str]:
    """Every path of /v1, as the OpenAPI document must have it."""
    return sorted({rule.rule for rule in current_app.url_map.iter_rules() if rule.rule.startswith("/v1")})
