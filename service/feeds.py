"""What the feeds of a register share: what each is about, where its events stand in the log, how an answer is sent."""

from __future__ import annotations

import hashlib
import threading
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from flask import Flask, Response, current_app, request

from guidance.errors import UnknownAuthority, UnknownDocument, UnknownMedicine
from guidance.model import Json, document_id
from guidance.vocabulary import AUTHORITIES
from service import params
from service.desk import desk
from service.ticker import Log

EXTENSION: Final = "inforce.feeds"
NO_CACHE: Final = "public, no-cache"


def equip(app: Flask, log: Log) -> None:
    """Give an application the log that its feeds tell from."""
    app.extensions[EXTENSION] = Shelf(log)


def shelf() -> Shelf:
    found: Shelf = current_app.extensions[EXTENSION]
    return found


def asked(*known: str) -> dict[str, str]:
    """The request's parameters, each once and each known."""
    given = params.once(request.args.to_dict(flat=False))
    params.only(given, known)
    params.filled(given)
    return given


def sent(body: bytes, media: str, lifetime: str = NO_CACHE, headers: dict[str, str] | None = None) -> Response:
    """An answer with a strong validator made from its bytes; 304 where the reader holds them already."""
    response = Response(body, mimetype=media, headers=headers)
    response.set_etag(hashlib.blake2b(media.encode() + b"\n" + body, digest_size=16).hexdigest())
    response.headers["Cache-Control"] = lifetime
    response.headers["Vary"] = "Accept"
    response.make_conditional(request)
    return response


def counted(number: int, noun: str) -> str:
    """A number of things, in words: 1 rule, 2 rules."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


# --- scopes: the register, a medicine, a document, an authority ------------------------------------------


@dataclass(frozen=True, slots=True)
class Scope:
    """What a feed is about: its name, where it and its page are found, and what is wanted."""

    title: str
    path: str
    page: str
    key: str

    @property
    def urn(self) -> str:
        return f"urn:inforce:feed:{self.key or 'register'}"


def of_register() -> Scope:
    return Scope("Guidance in force", "/v1/feeds/register", "/", "")


def of_medicine(inn: str) -> Scope:
    """Raises UnknownMedicine; not for one that no document names any more: whoever follows it is to hear just that."""
    name = params.segment(inn, "medicine") or ""
    key = f"medicine:{name}"
    if not documents_of(medicine=name) and not shelf().positions(key):
        raise UnknownMedicine(name)
    return Scope(f"Guidance on {name}", f"/v1/feeds/medicines/{name}", f"/medicines/{name}", key)


def of_authority(authority: str) -> Scope:
    """Raises UnknownAuthority."""
    name = params.segment(authority, "authority") or ""
    if name not in AUTHORITIES and not documents_of(authority=name):
        raise UnknownAuthority(name)
    title = f"Guidance of {AUTHORITIES.get(name, name)}"
    return Scope(title, f"/v1/feeds/authorities/{name}", f"/documents?authority={name}", f"authority:{name}")


def of_document(authority: str, name: str) -> Scope:
    """Raises UnknownDocument."""
    document = document_id(f"{authority}/{name}")
    tip = desk().archive.tip()
    if tip is None:
        raise UnknownDocument(document)
    content, _ = desk().archive.index.document_row(document, tip.position)
    title = orjson.loads(content)["title"]
    return Scope(title, f"/v1/feeds/documents/{document}", f"/documents/{document}", f"document:{document}")


def documents_of(medicine: str | None = None, authority: str = "") -> list[str]:
    """Ids of the documents that name a medicine, or are of an authority, as recorded now."""
    tip = desk().archive.tip()
    found = desk().archive.index.documents(tip.position, medicine=medicine, authority=authority) if tip else []
    return [name for name, _ in found]


class Shelf:
    """Where in the log the events of each scope stand. Only grows, as the log does."""

    def __init__(self, log: Log) -> None:
        self.log, self.seen = log, 0
        self._positions: dict[str, array[int]] = {}
        self._reading = threading.Lock()

    def positions(self, key: str) -> Sequence[int]:
        """Positions of a scope's events, oldest first."""
        with self._reading:
            while batch := self.log.events(self.seen, params.PAGE_LIMIT):
                for position, told in batch:
                    for name in ("", *_keys(told)):
                        self._positions.setdefault(name, array("q")).append(position)
                    self.seen = position
            return self._positions.get(key, array("q"))[:]

    def events(self, positions: Iterable[int]) -> list[dict[str, Json]]:
        found = (self.log.events(position - 1, 1) for position in positions)
        return [{"position": position, **told} for batch in found for position, told in batch]


def _keys(told: Mapping[str, Json]) -> Iterator[str]:
    yield f"document:{told['document']}"
    yield f"authority:{told['authority']}"
    for medicine in told["medicines"]:
        yield f"medicine:{medicine['inn']}"
