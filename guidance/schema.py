"""Is this JSON a document? The door where bytes become JSON that we accept, or a list of every violation.

What JSON Schema cannot say (unique ids, cited sources that exist, days in order) is checked here beside it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.resources import files
from itertools import islice, pairwise
from typing import Any, Final

from guidance.errors import BadJson, InvalidDocument, Violation, step
from guidance.later import later
from guidance.model import Commencement, Json, PartialDate
from guidance.vocabulary import JURISDICTIONS, within

SIZE_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of one document or version."""
INTEGER_LIMIT: Final = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly (RFC 8259, section 6)."""
VIOLATION_LIMIT: Final = 1000
"""How many faults one schema looks for in one value before it stops."""


# --- bytes to JSON ---------------------------------------------------------------------------------------


class _Refused:
    """A place in the JSON that cannot be accepted, found while parsing; reported with its pointer afterwards."""

    def __init__(self, why: str) -> None:
        self.why = why


def read(raw: bytes, file: str = "") -> Json:
    """Decode strict UTF-8 JSON, normalised to NFC.

    Refuses (BadJson, with the pointer): more than 16 MiB, invalid UTF-8, duplicate keys, NaN and infinities, whole
    numbers beyond 2^53, lone surrogates, nesting too deep to be read.
    """
    check_size(raw, file)
    return read_long(raw, file)


def check_size(raw: bytes, file: str = "") -> None:
    """Refuse what is too long for one document or version; raises BadJson."""
    if len(raw) > SIZE_LIMIT:
        raise BadJson(f"is {len(raw)} bytes long; the limit is {SIZE_LIMIT}", file=file)


def read_long(raw: bytes, file: str = "") -> Json:
    """The same as `read`, of any length: a revision holds any number of documents and versions."""
    text = _decoded(raw, file)
    try:
        return _accepted(text, file)
    except RecursionError as error:
        raise BadJson("is nested too deeply to be read", file=file) from error


def _accepted(text: str, file: str) -> Json:
    found: list[_Refused] = []
    value = _parsed(text, found, file)
    if found or "\\u" in text:
        _refuse(_blame(value, ""), file)
    if "\\u" in text or not unicodedata.is_normalized("NFC", text):
        value = _normalised(value, "", file)
    return value


def _decoded(raw: bytes, file: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJson(f"is not UTF-8: byte {error.start} cannot be read", file=file) from error


def _parsed(text: str, found: list[_Refused], file: str) -> Json:
    def refused(why: str) -> _Refused:
        found.append(_Refused(why))
        return found[-1]

    def members(pairs: list[tuple[str, Json]]) -> Json:
        value = dict(pairs)
        if len(value) == len(pairs):
            return value
        twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        value[twice[0]] = refused("the key stands twice in one object")
        return value

    def whole(digits: str) -> Json:
        fits = len(digits) < 17 or (len(digits) < 30 and abs(int(digits)) <= INTEGER_LIMIT)
        fits = fits and abs(int(digits)) <= INTEGER_LIMIT
        return int(digits) if fits else refused("the whole number is beyond 2^53 and would lose digits")

    def fraction(digits: str) -> Json:
        number = float(digits)
        return number if number - number == 0 else refused(f"the number {digits[:40]} is too large")

    def constant(name: str) -> Json:
        return refused(f"{name} is not JSON")

    try:
        return json.loads(
            text, object_pairs_hook=members, parse_int=whole, parse_float=fraction, parse_constant=constant
        )
    except json.JSONDecodeError as error:
        raise BadJson(f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}", file=file) from error


def _blame(value: Json, pointer: str) -> Iterator[tuple[str, str]]:
    """Every place that cannot be accepted: (pointer, why)."""
    if isinstance(value, _Refused):
        yield pointer, value.why
    elif isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            yield pointer, "holds half of a surrogate pair, which is not text"
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from _blame(key, pointer + step(key))
            yield from _blame(member, pointer + step(key))
    elif isinstance(value, list):
        for place, member in enumerate(value):
            yield from _blame(member, f"{pointer}/{place}")


def _refuse(blame: Iterable[tuple[str, str]], file: str) -> None:
    for pointer, why in blame:
        safe = pointer.encode("utf-8", "backslashreplace").decode("utf-8")
        raise BadJson(why, safe, file)


def _normalised(value: Json, pointer: str, file: str) -> Json:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, list):
        return [_normalised(item, f"{pointer}/{place}", file) for place, item in enumerate(value)]
    if isinstance(value, dict):
        keys = Counter(unicodedata.normalize("NFC", key) for key in value)
        if len(keys) != len(value):
            twice = pointer + step(keys.most_common(1)[0][0])
            raise BadJson("the key stands twice in one object, in two spellings of the same text", twice, file)
        pairs = zip(keys, value.values(), strict=True)
        return {key: _normalised(member, pointer + step(key), file) for key, member in pairs}
    return value


# --- the schemas -----------------------------------------------------------------------------------------


@cache
def schema(name: str) -> dict[str, Json]:
    """One of our own schemas by its short name, such as `version`."""
    loaded: dict[str, Json] = json.loads((files("schemas") / f"{name}.json").read_text("utf-8"))
    return loaded


@cache
def schema_names() -> tuple[str, ...]:
    names = (entry.name for entry in files("schemas").iterdir() if entry.name.endswith(".json"))
    return tuple(sorted(name.removesuffix(".json") for name in names if name != "openapi.json"))


@cache
def _schemas() -> dict[str, Json]:
    return {name: schema(name) for name in schema_names()}


@cache
def _verdict(name: str) -> Callable[[Json], Iterator[Any]]:
    """Every violation of the named schema, as jsonschema finds them."""
    verdict: Callable[[Json], Iterator[Any]] = later("guidance.verdict:worded")(name, _schemas())
    return verdict


@cache
def _clean(name: str) -> Callable[[Json], bool]:
    """Whether there are none, found quickly."""
    clean: Callable[[Json], bool] = later("guidance.verdict:quick")(name, _schemas())
    return clean


def violations(name: str, value: Json) -> tuple[Violation, ...]:
    """Everything that a schema finds wrong with a value, by pointer."""
    try:
        found = (violation for error in _verdict(name)(value) for violation in _worded(error))
        return tuple(sorted(set(islice(found, VIOLATION_LIMIT))))
    except RecursionError:
        return (Violation("", "is nested too deeply to be checked"),)


def _worded(error: Any) -> Iterator[Violation]:
    pointer = "".join(map(step, error.absolute_path))
    match error.validator:
        case "required":
            for name in error.validator_value:
                if name not in error.instance:
                    yield Violation(pointer + step(name), "is missing")
        case "additionalProperties":
            for name in set(error.instance) - set(error.schema.get("properties", {})):
                yield Violation(pointer + step(name), "is not a member that is known here")
        case "dependentRequired":
            yield Violation(pointer, error.message)
        case None:  # the schema is `false`
            yield Violation(pointer, "does not belong here")
        case _ if "x-why" in error.schema:
            yield Violation(pointer, error.schema["x-why"])
        case "pattern" | "format":
            expected = error.schema.get("description", "")
            yield Violation(pointer, f"{_short(error.instance)} does not fit: {expected or error.message}")
        case _:
            yield Violation(pointer, _short_message(error))


def _short(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _short_message(error: Any) -> str:
    message = error.message.replace(repr(error.instance), _short(error.instance))
    return message if len(message) <= 400 else f"{message[:397]}…"


# --- what JSON Schema cannot say -------------------------------------------------------------------------


def check_document(value: Json, file: str = "") -> None:
    """Raise InvalidDocument with every violation of a document's own JSON (schemas/document.json)."""
    found = violations("document", value) or tuple(_beyond_document(value))
    _raise(found, file)


def check_document_fast(value: Json, file: str = "") -> None:
    """The same verdict as `check_document`, quickly where the document is clean."""
    if not _clean("document")(value) or any(_beyond_document(value)):
        check_document(value, file)


def check_version(value: Json, file: str = "") -> None:
    """Raise InvalidDocument with every violation of a version (schemas/version.json and the rules beside it)."""
    found = violations("version", value)
    _raise(found or tuple(_beyond_version(value)), file)


def check_version_fast(value: Json, file: str = "") -> None:
    """The same verdict as `check_version`, quickly where the version is clean."""
    if not _clean("version")(value) or any(_beyond_version(value)):
        check_version(value, file)


def check(name: str, value: Json, file: str = "") -> None:
    """Raise InvalidDocument if a value does not conform to the named schema."""
    _raise(violations(name, value), file)


def _raise(found: Iterable[Violation], file: str) -> None:
    named = tuple(Violation(v.pointer, v.why, file) for v in found)
    if named:
        raise InvalidDocument(named)


def _beyond_document(value: Json) -> Iterator[Violation]:
    if value["id"].split("/")[0] != value["authority"]:
        yield Violation("/authority", f"is not the first segment of the id {value['id']!r}")
    yield from _unknown_places(value["jurisdictions"], "/jurisdictions")


def _beyond_version(value: Json) -> Iterator[Violation]:
    if type(value["number"]) is not int:
        yield Violation("/number", "is written as a fraction; write a whole number")
    yield from _commencements(value["commencements"], "/commencements")
    yield from _repeated(value["rules"], "id", "/rules")
    yield from _repeated(value["sources"], "id", "/sources")
    yield from _repeated(value["medicines"], "inn", "/medicines")
    sources = {source["id"] for source in value["sources"]}
    inns = {medicine["inn"] for medicine in value["medicines"]}
    for place, medicine in enumerate(value["medicines"]):
        yield from _codes(medicine.get("codes", ()), sources, f"/medicines/{place}/codes")
    for place, milestone in enumerate(value.get("milestones", ())):
        yield from _cited(milestone.get("source"), sources, f"/milestones/{place}/source")
        if "jurisdiction" in milestone:
            yield from _unknown_place(milestone["jurisdiction"], f"/milestones/{place}/jurisdiction")
    for place, commencement in enumerate(value["commencements"]):
        yield from _cited(commencement.get("source"), sources, f"/commencements/{place}/source")
    for place, rule in enumerate(value["rules"]):
        yield from _rule(rule, sources, inns, f"/rules/{place}")


def _rule(rule: Json, sources: set[str], inns: set[str], pointer: str) -> Iterator[Violation]:
    yield from _cited(rule["source"]["ref"], sources, f"{pointer}/source/ref")
    if "medicines" in rule:
        for place, inn in enumerate(rule["medicines"]):
            if inn not in inns:
                yield Violation(f"{pointer}/medicines/{place}", f"{inn!r} is not among the version's medicines")
    if "jurisdictions" in rule:
        yield from _unknown_places(rule["jurisdictions"], f"{pointer}/jurisdictions")
    if "commencements" in rule:
        yield from _commencements(rule["commencements"], f"{pointer}/commencements")
        for place, commencement in enumerate(rule["commencements"]):
            yield from _cited(commencement.get("source"), sources, f"{pointer}/commencements/{place}/source")
    if "codes" in rule:
        yield from _codes(rule["codes"], sources, f"{pointer}/codes")
    if "population" in rule:
        yield from _population(rule["population"], f"{pointer}/population")
    if "setting" in rule:
        yield from _repeated(rule["setting"], "id", f"{pointer}/setting")


def _population(population: Json, pointer: str) -> Iterator[Violation]:
    age = population.get("age", {})
    for bound in age:
        if type(age[bound]) is not int:
            yield Violation(f"{pointer}/age/{bound}", "is written as a fraction; write a whole number")
    if age.get("from", 0) >= age.get("under", 131):
        yield Violation(f"{pointer}/age", "'from' is not below 'under', so nobody is of that age")
    for part in ("include", "exclude"):
        if part in population:
            yield from _repeated(population[part], "id", f"{pointer}/{part}")


def _codes(codes: Json, sources: set[str], pointer: str) -> Iterator[Violation]:
    for place, code in enumerate(codes):
        yield from _cited(code.get("source"), sources, f"{pointer}/{place}/source")
        if "from" in code and "to" in code and code["from"] >= code["to"]:
            yield Violation(f"{pointer}/{place}/to", "is not after 'from'")


def _cited(ref: str | None, sources: set[str], pointer: str) -> Iterator[Violation]:
    if ref is not None and ref not in sources:
        yield Violation(pointer, f"cites {ref!r}, which is not among the version's sources")


def _repeated(items: Json, key: str, pointer: str) -> Iterator[Violation]:
    if len({item[key] for item in items}) == len(items):
        return
    seen: dict[str, int] = {}
    for place, item in enumerate(items):
        first = seen.setdefault(item[key], place)
        if first != place:
            yield Violation(f"{pointer}/{place}/{key}", f"{item[key]!r} already stands at {pointer}/{first}")


def _unknown_places(names: Iterable[str], pointer: str) -> Iterator[Violation]:
    for place, name in enumerate(names):
        yield from _unknown_place(name, f"{pointer}/{place}")


def _unknown_place(name: str, pointer: str) -> Iterator[Violation]:
    if name not in JURISDICTIONS:
        yield Violation(pointer, f"{name!r} is not a jurisdiction that is known here")


def _commencements(bodies: Json, pointer: str) -> Iterator[Violation]:
    """Days in order: an end after its start, and no two that speak for one jurisdiction on the same day."""
    for place, body in enumerate(bodies):
        yield from _unknown_places(body["jurisdictions"], f"{pointer}/{place}/jurisdictions")
    spoken: dict[str, list[tuple[Commencement, int]]] = {}
    for place, body in enumerate(bodies):
        commencement = Commencement.of(body)
        start, to = commencement.start, commencement.to
        if start and to and (to.first <= start if to.day else to.last < start):
            yield Violation(f"{pointer}/{place}/to", f"{to} is not after 'from' {start}")
        for name in commencement.jurisdictions:
            spoken.setdefault(name, []).append((commencement, place))
    for name, spans in spoken.items():
        yield from _overlapping(name, spans, pointer)


def _overlapping(name: str, spans: list[tuple[Commencement, int]], pointer: str) -> Iterator[Violation]:
    pending = [place for commencement, place in spans if commencement.start is None]
    if len(pending) > 1:
        yield Violation(f"{pointer}/{pending[1]}", f"a second day that is not known yet for {name}")
    dated = sorted(((c.start, place, c) for c, place in spans if c.start), key=lambda item: item[:2])
    for (_, _, earlier), (start, place, _) in pairwise(dated):
        if earlier.to is None or (start <= earlier.to.last and earlier.to.first != start):
            yield Violation(f"{pointer}/{place}/from", f"{start} lies within an earlier commencement for {name}")


# --- what merely looks odd -------------------------------------------------------------------------------

ORDER: Final = ("review-started", "announced", "recommended", "adopted", "decided", "notified")
"""The order in which acts usually follow each other (docs/vocabulary.md)."""


def warnings(version: Json) -> tuple[Violation, ...]:
    """What looks odd in a valid version and may still be what the regulator printed: kept, and said."""
    return (*_odd_milestones(version), *_odd_ends(version))


def _odd_milestones(version: Json) -> Iterator[Violation]:
    dated = [
        (m["act"], PartialDate.parse(m["date"]), n) for n, m in enumerate(version.get("milestones", ())) if "date" in m
    ]
    by_act = [(ORDER.index(act), when, place) for act, when, place in dated if act in ORDER]
    for (rank, when, _), (later_rank, later_when, place) in pairwise(sorted(by_act, key=lambda item: item[0])):
        if later_rank > rank and later_when.last < when.first:
            yield Violation(
                f"/milestones/{place}/date", f"{later_when} is before an act that usually comes first ({when})"
            )


def _odd_ends(version: Json) -> Iterator[Violation]:
    for place, commencement in enumerate(version["commencements"]):
        bound, start = commencement.get("no_later_than"), commencement.get("from")
        if bound and start and bound < start:
            yield Violation(f"/commencements/{place}/no_later_than", f"{bound} is before 'from' {start}")
        for name in commencement["jurisdictions"]:
            if set(within(name)[1:]) & set(commencement["jurisdictions"]):
                yield Violation(
                    f"/commencements/{place}/jurisdictions", f"{name} is already part of another named here"
                )


@cache
def _link() -> re.Pattern[str]:
    return re.compile(schema("common")["$defs"]["link"]["pattern"])


def is_link(text: str) -> bool:
    """Whether a text may be rendered as a link: http and https only."""
    return bool(_link().fullmatch(text))
