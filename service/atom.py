"""Events as Atom feeds (RFC 4287), with archives that never change (RFC 5005, section 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final
from xml.etree import ElementTree as ET

from flask import Blueprint, Response

from guidance.errors import NotFound
from guidance.model import Json
from service import params
from service.desk import root
from service.feeds import (
    NO_CACHE,
    Scope,
    asked,
    counted,
    of_authority,
    of_document,
    of_medicine,
    of_register,
    sent,
    shelf,
)
from service.formats import JSON

ATOM: Final = Blueprint("atom", __name__, url_prefix="/v1/feeds")
MEDIA_TYPE: Final = "application/atom+xml"
A_WEEK: Final = "public, max-age=604800"
PAGE: Final = 50
"""Entries of one document."""


@ATOM.get("/register.atom")
def register_atom() -> Response:
    return atom(of_register())


@ATOM.get("/medicines/<inn>.atom")
def medicine_atom(inn: str) -> Response:
    return atom(of_medicine(inn))


@ATOM.get("/authorities/<authority>.atom")
def authority_atom(authority: str) -> Response:
    return atom(of_authority(authority))


@ATOM.get("/documents/<authority>/<document>.atom")
def document_atom(authority: str, document: str) -> Response:
    return atom(of_document(authority, document))


def atom(scope: Scope) -> Response:
    """The newest events of a scope or, where `page` says which, those of an archive that never changes."""
    given = asked("page")
    positions = shelf().positions(scope.key)
    whole = len(positions) // PAGE
    if "page" not in given:
        newest = shelf().events(reversed(positions[-PAGE:]))
        return sent(atom_document(scope, newest, root(), None, whole), MEDIA_TYPE)
    page = params.number(given["page"], "page", 1, 99_999_999)
    if page > whole:
        raise NotFound(f"there is no archive {page} of this feed; there are {whole}")
    held = shelf().events(reversed(positions[(page - 1) * PAGE : page * PAGE]))
    lifetime = A_WEEK if page < whole else NO_CACHE
    then = replace(scope, title=held[0]["title"]) if scope.key.startswith("document:") else scope
    return sent(atom_document(then, held, root(), page, whole), MEDIA_TYPE, lifetime)


def atom_document(scope: Scope, told: Sequence[Mapping[str, Json]], base: str, page: int | None, whole: int) -> bytes:
    """An Atom feed; with `page`, that archive of `whole` many."""
    feed = ET.Element("feed", {"xmlns": "http://www.w3.org/2005/Atom", "xml:lang": "en"})
    here = f"{base}{scope.path}.atom"
    _put(feed, "id", scope.urn)
    _put(feed, "title", scope.title)
    _put(feed, "updated", max((event["occurred_at"] for event in told), default="1970-01-01T00:00:00Z"))
    _put(ET.SubElement(feed, "author"), "name", "Inforce")
    _link(feed, "self", here + (f"?page={page}" if page else ""), MEDIA_TYPE)
    _link(feed, "alternate", f"{base}{scope.page}", "text/html")
    if page is not None:
        feed.set("xmlns:fh", "http://purl.org/syndication/history/1.0")
        ET.SubElement(feed, "fh:archive")
        _link(feed, "current", here, MEDIA_TYPE)
    older = whole if page is None else page - 1
    if older:
        _link(feed, "prev-archive", f"{here}?page={older}", MEDIA_TYPE)
    if page is not None and page < whole:
        _link(feed, "next-archive", f"{here}?page={page + 1}", MEDIA_TYPE)
    for event in told:
        _entry(feed, event, base)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(feed, encoding="unicode").encode("utf-8")


def _entry(feed: ET.Element, told: Mapping[str, Json], base: str) -> None:
    entry = ET.SubElement(feed, "entry")
    _put(entry, "id", f"urn:inforce:event:{told['id']}")
    _put(entry, "title", headline(told))
    _put(entry, "updated", told["occurred_at"])
    _put(entry, "published", told["occurred_at"])
    _link(entry, "alternate", f"{base}{told['links']['page']}", "text/html")
    for relation, name in (("via", "version"), ("related", "diff")):
        if told["links"][name]:
            _link(entry, relation, f"{base}{told['links'][name]}", JSON)
    terms = [("kind", told["kind"]), *(("medicine", medicine["inn"]) for medicine in told["medicines"])]
    if told["changes"]:
        terms.append(("severity", told["changes"]["severity"]))
    for kind, term in terms:
        ET.SubElement(entry, "category", {"scheme": f"urn:inforce:{kind}", "term": term})
    _put(entry, "summary", summary(told))


def _put(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = _NOT_XML.sub("\ufffd", text)


_NOT_XML: Final = re.compile("[^\\t\\n\\r\\u0020-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""What an XML document cannot hold (XML 1.0, section 2.2)."""


def _link(parent: ET.Element, relation: str, address: str, media: str) -> None:
    ET.SubElement(parent, "link", {"rel": relation, "href": address, "type": media})


# --- in words --------------------------------------------------------------------------------------------

WORDS: Final = {
    "published": "{version} published",
    "corrected": "{version} corrected",
    "withdrawn": "{version} withdrawn",
    "withdrawn-before-effect": "{version} withdrawn before it took effect",
    "rescheduled": "{version} rescheduled",
    "in-force": "{version} in force",
    "ended": "{version} ended: {ends}",
    "reminder": "{version} {turns} in {days}",
}


def headline(told: Mapping[str, Json]) -> str:
    """An event as one line."""
    version = f"version {told['version']}" if told["version"] else "the document"
    if told["rules"]:
        version = f"{counted(len(told['rules']), 'rule')} of {version}"
    days, of = told.get("days"), told.get("reminds_of")
    words = WORDS[told["kind"]].format(
        version=version,
        ends=told.get("ends"),
        turns=_turning(of, len(told["rules"]) > 1),
        days=counted(days or 0, "day"),
    )
    places = ", ".join(told["jurisdictions"])
    return f"{told['title']}: {words} ({places})"


def _turning(what: str | None, many: bool) -> str:
    verb, more = ("end", "") if what == "ended" else ("come", " into force")
    return f"{verb}{'' if many else 's'}{more}"


def summary(told: Mapping[str, Json]) -> str:
    """What more there is to say of an event, in sentences."""
    found = [f"{told['version_title']}." if told["version_title"] else ""]
    if told["day"] and told["kind"] != "corrected":
        over = told["kind"] in ("ended", "withdrawn") or told.get("reminds_of") == "ended"
        found.append(f"Until the beginning of {told['day']}." if over else f"From {told['day']}.")
    if told["day"] is None and told["kind"] in ("published", "rescheduled"):
        found.append("No day is known.")
    if told["kind"] == "withdrawn" and told.get("ends"):
        found.append(f"It ends as {told['ends']}.")
    if told["retroactive"]:
        found.append("Recorded after that day.")
    if told["replaces"]:
        found.append(f"In place of version {told['replaces']}.")
    if told.get("replaced_by"):
        found.append(f"Version {told['replaced_by']} takes its place.")
    if told["changes"]:
        changes = told["changes"]
        found.append(f"{counted(changes['changes'], 'change')}, {changes['severity']}.")
        if changes["needs_review"]:
            found.append(f"{changes['needs_review']} to be reviewed.")
    return " ".join(sentence for sentence in found if sentence)
