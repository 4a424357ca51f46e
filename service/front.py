"""The question asked most, what one document says on a day, answered in front of Flask's routing.

Its answer, headers and tag are the route's (`service.api.document`), to the byte. What is not plainly that question is
passed on; so is what has no answer, for the route to say why.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson

from guidance.model import SEGMENT
from service import answers, logs, params
from service.cache import KEPT, Keep
from service.desk import Desk, Reply, tag_of
from service.formats import JSON

PATH: Final = re.compile(f"/v1/documents/({SEGMENT.pattern}/{SEGMENT.pattern})")
PLAIN: Final = re.compile(r"(on|at|jurisdiction)=([0-9A-Za-z:-]{1,40})")
"""A parameter that means itself: nothing in it is encoded."""
HOST: Final = re.compile(r"([a-z0-9.-]{1,253})(?::[0-9]{1,5})?")
ACCEPTED: Final = (None, "*/*", JSON)
PASSED_ON: Final = ("HTTP_IF_NONE_MATCH", "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING")
"""What makes a request more than a plain question."""

Wsgi = Callable[..., Iterable[bytes]]


class Front:
    """A WSGI application in front of another: answers the plain question itself, passes everything else on."""

    def __init__(self, inner: Wsgi, desk: Desk, release: str, headers: Mapping[str, str]) -> None:
        self.inner, self.desk, self.release = inner, desk, release
        self.headers = [("Content-Type", JSON), ("Vary", "Accept"), *headers.items()]

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        began = time.perf_counter()
        given = self.plainly(environ)
        if given is None:
            return self.inner(environ, start)
        found = self.answer(environ, *given)
        if found is None:
            return self.inner(environ, start)
        logs.request(environ, "200 OK", (time.perf_counter() - began) * 1000)
        headers, body = found
        start("200 OK", headers)
        return [body]

    def plainly(self, environ: Mapping[str, Any]) -> tuple[str, dict[str, str]] | None:
        """(document, parameters) of a request that is the plain question, None for any other."""
        path = PATH.fullmatch(environ["PATH_INFO"])
        if path is None or environ["REQUEST_METHOD"] != "GET" or any(map(environ.get, PASSED_ON)):
            return None
        if environ.get("HTTP_ACCEPT") not in ACCEPTED or not self.trusts(environ.get("HTTP_HOST", "")):
            return None
        query = environ.get("QUERY_STRING", "")
        parts = query.split("&") if query else []
        given = {match[1]: match[2] for part in parts if (match := PLAIN.fullmatch(part))}
        return (path[1], given) if len(given) == len(parts) else None

    def trusts(self, host: str) -> bool:
        named = HOST.fullmatch(host)
        trusted = self.desk.config.trusted_hosts
        return named is not None and (not trusted or named[1] in trusted)

    def answer(
        self, environ: dict[str, Any], name: str, given: dict[str, str]
    ) -> tuple[list[tuple[str, str]], bytes] | None:
        """Headers and body, None where there is no answer; leaves word for the cache."""
        desk = self.desk
        now = desk.clock()
        try:
            question = answers.Question(
                on=params.on(given.get("on")),
                at=params.at(given.get("at"), now),
                jurisdiction=params.jurisdiction(given.get("jurisdiction")),
            )
            seen = answers.Register.look(desk.archive, question, now, desk.config.jurisdiction)
            answer = answers.document(seen, name)
        except Exception:
            return None  # the route meets it again, and tells and logs it
        body = orjson.dumps(answer)
        reply = Reply(seen, given, JSON, answer["jurisdiction"] if question.on is None else None)
        environ[KEPT] = Keep(seen.stamp, reply.until())
        tag = tag_of(self.release, environ["PATH_INFO"], reply)
        own = [("ETag", f'"{tag}"'), ("Cache-Control", reply.lifetime()), ("Content-Length", str(len(body)))]
        return [*self.headers, *own], body
