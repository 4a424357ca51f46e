"""What a request needs whichever door it came through: the register as it sees it, and how its answer is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from flask import Response, current_app, request
from werkzeug.datastructures import MIMEAccept

from guidance import severity
from guidance.archive import Archive
from service import answers, params
from service.cache import KEPT, LIFETIME, Keep, lasting
from service.clock import Clock, next_midnight, today
from service.config import Config

IMMUTABLE: Final = "public, max-age=31536000, immutable"


class Desk:
    """What a request needs to be answered: the archive, the clock, the configuration, the table of severities."""

    def __init__(self, archive: Archive, clock: Clock, config: Config) -> None:
        self.archive, self.clock, self.config = archive, clock, config
        self.table = severity.chosen(config.severity_file)


def desk() -> Desk:
    found: Desk = current_app.extensions["inforce"]
    return found


def accepted(offered: Iterable[str], otherwise: str) -> str | None:
    """Which of the media types the request likes best: `otherwise` where it says nothing, None where it wants no other.

    Of what stands beside a type (`application/json; charset=utf-8`) only its weight counts: ours come in one form.
    """
    accept = request.accept_mimetypes
    if not accept:
        return otherwise
    plain = MIMEAccept([(value.partition(";")[0].strip(), weight) for value, weight in accept])
    return plain.best_match(list(offered))


def root() -> str:
    """The address of this service, as the reader reached it."""
    scheme = "https" if desk().config.https else request.scheme
    return f"{scheme}://{request.host}"


def register(given: Mapping[str, str], now: datetime) -> answers.Register:
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
    return answers.Register.look(desk().archive, question, now, desk().config.jurisdiction, desk().table).about()


class Reply:
    """How one answer is sent: what identifies it, how long it lasts, and whether it may be kept ready."""

    def __init__(
        self, seen: answers.Register, given: Mapping[str, str], media: str, place: str | None, judged: bool = False
    ) -> None:
        """`place`: the jurisdiction whose midnight makes another answer of it; None where no midnight does.

        `judged`: the table of severities speaks in it, which an operator's file can change on any day.
        """
        self.seen, self.given, self.media, self.place = seen, given, media, place
        self.table = seen.table.sha256 if judged and seen.table is not severity.TABLE else ""

    def until(self) -> datetime | None:
        """When the answer goes stale though nothing is recorded: the next midnight, if it is about today."""
        return next_midnight(self.seen.now, self.place) if self.place else None

    def lifetime(self) -> str:
        pinned = self.seen.question.at is not None and self.seen.question.at.pinned
        if not pinned or self.table:
            return "public, no-cache"
        until = self.until()
        return IMMUTABLE if until is None else lasting(until - self.seen.now)

    def send(self, written: Callable[[], Iterable[bytes]], keep: bool = True) -> Response:
        """Answer with what `written` returns, or say that nothing has changed since."""
        response = Response(mimetype=self.media)
        tag = tag_of(current_app.config["RELEASE"], request.path, self)
        response.set_etag(tag)
        response.headers[LIFETIME] = self.lifetime()
        response.headers["Vary"] = "Accept"
        if keep:
            request.environ[KEPT] = Keep(self.seen.stamp, self.until())
        if request.if_none_match.contains_weak(tag):
            response.status_code = 304
        else:
            response.response = written()
        return response


def tag_of(release: str, path: str, reply: Reply) -> str:
    """A strong validator: the same only where release, revision, day, question, format and judgement are."""
    seen = reply.seen
    day = today(seen.now, reply.place).isoformat() if reply.place else ""
    revision = seen.revision.id if seen.revision else str(seen.stamp)  # of what came later something is told then
    parts = [release, revision, day, reply.media, path, reply.table]
    parts += [f"{name}={value}" for name, value in sorted(reply.given.items())]
    return hashlib.blake2b("\n".join(parts).encode("utf-8"), digest_size=16).hexdigest()
