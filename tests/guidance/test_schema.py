"""Is this JSON a document? Every example file, hostile bytes, and two validators held to the same verdict."""

from __future__ import annotations

import copy
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance import schema
from guidance.errors import BadJson, GuidanceError, InvalidDocument, Violation
from guidance.journal import CORPUS
from guidance.model import canonical
from tests.guidance import bodies

FULL = not settings.default.derandomize
EXAMPLES = Path(schema.__file__).parents[1] / "schemas" / "examples"
VERSIONS = [json.loads(file.read_bytes()) for file in sorted(CORPUS.glob("documents/*/*/versions/*.json"))]

Check = Callable[[Any], None]


def checks(name: str) -> tuple[Check, ...]:
    """Every way to check a value against one schema and what goes beyond it."""
    if name == "version":
        return schema.check_version, schema.check_version_fast
    return (schema.check_document,) if name == "document" else (lambda value: schema.check(name, value),)


def found(check: Check, value: Any) -> tuple[Violation, ...]:
    try:
        check(value)
    except InvalidDocument as error:
        return error.violations
    return ()


def files(kind: str) -> list[Any]:
    """The examples of what is stored and exchanged; those of answers and diffs are tested where they are made."""
    names = ("document-*.json", "version-*.json", "exported-revision-*.json")
    found = [file for name in names for file in (EXAMPLES / kind).glob(name)]
    return [pytest.param(file, id=file.stem) for file in sorted(found)]


@pytest.mark.parametrize("file", files("good"))
def test_a_good_example_has_no_violation(file: Path) -> None:
    example = schema.read(file.read_bytes())
    for check in checks(example["schema"]):
        check(example["value"])


@pytest.mark.parametrize("file", files("bad"))
def test_a_bad_example_is_blamed_where_it_is_wrong_and_nowhere_else(file: Path) -> None:
    example = schema.read(file.read_bytes())
    for check in checks(example["schema"]):
        blamed = found(check, example["value"])
        assert {violation.pointer for violation in blamed} == set(example["blame"])
        assert all(violation.why for violation in blamed)


def test_the_every_member_examples_leave_no_member_out() -> None:
    told = json.loads((EXAMPLES / "good" / "version-every-member.json").read_text("utf-8"))["value"]
    common = schema.schema("common")["$defs"]
    assert set(told) == set(schema.schema("version")["properties"])
    for kind, value in (
        ("rule", told["rules"][0]),
        ("medicine", told["medicines"][0]),
        ("source", told["sources"][0]),
        ("population", told["rules"][0]["population"]),
        ("schedule", told["rules"][0]["schedule"]),
        ("threshold", told["rules"][0]["thresholds"][0]),
        ("citation", told["rules"][0]["source"]),
    ):
        assert set(value) == set(common[kind]["properties"]), kind


def test_violations_name_the_file_and_are_all_listed() -> None:
    with pytest.raises(InvalidDocument) as refused:
        schema.check_version(bodies.version(0, title=""), "versions/1.json")
    assert {(v.file, v.pointer) for v in refused.value.violations} == {
        ("versions/1.json", "/number"),
        ("versions/1.json", "/title"),
    }
    assert "\n  versions/1.json /number: " in str(refused.value)


# --- hostile bytes ---------------------------------------------------------------------------------------

HOSTILE: dict[str, tuple[bytes, str]] = {
    "duplicate key": (b'{"a": 1, "a": 2}', "/a"),
    "duplicate key, equal values": (b'{"a": 1, "a": 1}', "/a"),
    "duplicate key at depth": (b'{"rules": [{}, {"source": {"ref": "x", "ref": "y"}}]}', "/rules/1/source/ref"),
    "duplicate key, one escaped": (rb'{"a": 1, "\u0061": 2}', "/a"),
    "duplicate key after NFC": ('{"caf\u00e9": 1, "cafe\u0301": 2}'.encode(), "/caf\u00e9"),
    "duplicate key after NFC at depth": ('{"a": [{"\u00e9": 1, "e\u0301": 2}]}'.encode(), "/a/0/\u00e9"),
    "NaN": (b'{"value": NaN}', "/value"),
    "Infinity": (b"[1, Infinity]", "/1"),
    "-Infinity": (b'{"a": {"b": [-Infinity]}}', "/a/b/0"),
    "1e400": (b'{"value": 1e400}', "/value"),
    "-1e400": (b'{"value": -1e400}', "/value"),
    "2^53 + 1": (b'{"number": 9007199254740993}', "/number"),
    "-2^53": (b'{"number": -9007199254740992}', "/number"),
    "100,000 digits": (b'{"number": ' + b"9" * 100_000 + b"}", "/number"),
    "lone surrogate": (rb'{"title": "\ud800"}', "/title"),
    "surrogates in the wrong order": (rb'{"title": "\ude00\ud83d"}', "/title"),
    "lone surrogate in a key": (rb'{"a": {"\udfff": 1}}', r"/a/\udfff"),
    "pointer with ~ and /": (b'{"a/b": {"~": NaN}}', "/a~1b/~0"),
    "UTF-16": ('{"title": "x"}'.encode("utf-16"), ""),
    "UTF-16 without its mark": ('{"title": "x"}'.encode("utf-16-le"), ""),
    "UTF-8 with a byte order mark": (b'\xef\xbb\xbf{"title": "x"}', ""),
    "invalid UTF-8": (b'{"title": "\xff"}', ""),
    "overlong UTF-8": (b'{"title": "\xc0\xaf"}', ""),
    "a surrogate in UTF-8": (b'{"title": "\xed\xa0\x80"}', ""),
    "100,000 lists deep": (b"[" * 100_000 + b"]" * 100_000, ""),
    "100,000 objects deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, ""),
    "100,000 deep and never closed": (b"[" * 100_000, ""),
    "too long": (b'{"title": "' + b"x" * schema.SIZE_LIMIT + b'"}', ""),
    "nothing": (b"", ""),
    "something after the end": (b"{} {}", ""),
    "single quotes": (b"{'title': 'x'}", ""),
    "a comment": (b"{} // done", ""),
    "a tab in a text": (b'{"title": "a\tb"}', ""),
    "a zero byte": (b"\x00", ""),
}


@pytest.mark.parametrize(("raw", "pointer"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_refused_with_the_place(raw: bytes, pointer: str) -> None:
    with pytest.raises(BadJson) as refused:
        schema.read(raw, "body")
    assert (refused.value.file, refused.value.pointer) == ("body", pointer)
    str(refused.value).encode("utf-8")


def test_what_every_reader_keeps_exactly_is_read() -> None:
    raw = b'{"most": 9007199254740991, "least": -9007199254740991, "half": 0.5, "pair": "\\ud83d\\ude00"}'
    assert schema.read(raw) == {"most": 2**53 - 1, "least": 1 - 2**53, "half": 0.5, "pair": "\U0001f600"}


@pytest.mark.parametrize(
    "raw", ['{"e\u0301": ["e\u0301"]}'.encode(), rb'{"e\u0301": ["e\u0301"]}'], ids=["raw", "escaped"]
)
def test_text_is_brought_to_its_one_spelling(raw: bytes) -> None:
    assert schema.read(raw) == {"\u00e9": ["\u00e9"]}


def test_equal_json_has_equal_canonical_bytes() -> None:
    spelled = b'{"b":[1,2.5,null],"a":"e\\u0301"}', '{ "a" : "\u00e9",\n "b": [1, 2.5, null] }'.encode()
    assert {canonical(schema.read(raw)) for raw in spelled} == {'{"a":"\u00e9","b":[1,2.5,null]}\n'.encode()}


@pytest.mark.parametrize("raw", [b"1", b'"text"', b"[]", b"null", b"true", b"[{}]"])
def test_what_is_not_an_object_is_neither_document_nor_version(raw: bytes) -> None:
    for check in (schema.check_document, *checks("version")):
        assert [violation.pointer for violation in found(check, schema.read(raw))] == [""]


@pytest.mark.parametrize("depth", [100, 500, *range(900, 1000, 5)])
def test_deep_json_is_refused_at_one_door_or_the_next(depth: int) -> None:
    for raw in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
        for check in (schema.check_document, *checks("version")):
            with pytest.raises(GuidanceError):
                check(_put(raw))


def _put(raw: bytes) -> Any:
    deep = schema.read(raw)
    return bodies.version(1, title=deep, rules=deep, colour=deep)


TOO_MUCH: dict[str, tuple[Any, str]] = {
    "rules": (bodies.version(1, rules=[1] * 300_000), "/rules"),
    "places": (
        bodies.version(1, bodies.since("2020-01-16", *[{"a": n} for n in range(3000)])),
        "/commencements/0/jurisdictions",
    ),
    "rules to replace": (
        bodies.version(1, rules=[bodies.rule("a", replaces=[{"a": n} for n in range(3000)])]),
        "/rules/0/replaces",
    ),
    "faults": (bodies.version(1, rules=[{}] * 10_000), "/rules/0/id"),
    "members": (bodies.version(1, **{f"m{number}": 1 for number in range(100_000)}), "/m0"),
}


@pytest.mark.parametrize(("much", "blame"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_far_too_much_is_refused_without_long_labour(much: Any, blame: str) -> None:
    for check in checks("version"):
        began = time.process_time()
        blamed = found(check, much)
        assert time.process_time() - began < 5
        assert any(violation.pointer.startswith(blame[:-1]) for violation in blamed)
        assert len(blamed) <= schema.VIOLATION_LIMIT


def test_a_reference_to_another_place_is_never_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        referring = {"$ref": address, "$schema": address, "$id": address}
        for value in (referring, bodies.version(1, **referring), bodies.version(1, rules=[referring])):
            for check in (schema.check_document, *checks("version")):
                assert found(check, value)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("name", schema.schema_names())
def test_our_schemas_refer_only_to_each_other(name: str) -> None:
    known = tuple(schema.schema(other)["$id"] for other in schema.schema_names())
    for reference in _references(schema.schema(name)):
        assert reference.startswith(("#", *known)), reference


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in _references(item)]
    if not isinstance(value, dict):
        return []
    here = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return here + [found for item in value.values() for found in _references(item)]


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("https://www.ema.europa.eu/en/medicines?q=1#top", True),
        ("http://example.org", True),
        ("HTTPS://example.org", False),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("//example.org", False),
        ("https://example.org/\n", False),
        (" https://example.org", False),
        ("", False),
    ],
)
def test_only_http_and_https_may_be_rendered_as_a_link(text: str, fits: bool) -> None:
    assert schema.is_link(text) is fits


# --- what merely looks odd -------------------------------------------------------------------------------


def test_odd_dates_are_warned_of_and_kept() -> None:
    milestones = [
        {"act": "recommended", "by": "PRAC", "date": "2020-02"},
        {"act": "decided", "by": "Commission", "date": "2020-01-16"},
    ]
    odd = bodies.version(1, bodies.since("2020-01-16", "EU", "DE", no_later_than="2019-01-01"), milestones=milestones)
    schema.check_version(odd)
    assert [warning.pointer for warning in schema.warnings(odd)] == [
        "/milestones/1/date",
        "/commencements/0/no_later_than",
        "/commencements/0/jurisdictions",
    ]


def test_nothing_in_the_smallest_version_looks_odd() -> None:
    assert schema.warnings(bodies.version(1)) == ()


# --- two validators, one verdict -------------------------------------------------------------------------

DATES = ["2019-02-29", "0000-01-01", "2020-01-16\n", "9999-12-31", "2020", "2020-1", "\uff12020-01-01"]
LINKS = ["https://x\x1f", "https://x\u2028", "https://\u00e9", "https://x\n", "http:x"]
TEXTS = [
    "EU",
    "XX",
    "e\u0301",
    "\x85",
    "\x1c",
    "\ufeff",
    "P1M",
    "P",
    "PT",
    "P1M\n",
    "superseded",
    "-a",
    "",
    "a" * 65,
    "x" * 501,
]
OTHERS: list[Any] = [None, True, False, 0, 1.0, 1e300, -0.0, 2**53, [], {}, [[]]]

leaves: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([*DATES, *LINKS, *TEXTS, *OTHERS]),
    st.text(max_size=3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**53), 2**53),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every member and item."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way for key, inner in steps for way in ((*path, key), *_places(inner, (*path, key)))]


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


@st.composite
def mutants(draw: st.DrawFn) -> Any:
    """A version of the corpus with a few of its members deleted, replaced, doubled or put elsewhere."""
    value = copy.deepcopy(draw(st.sampled_from(VERSIONS)))
    for _ in range(draw(st.integers(1, 3))):
        places = _places(value)
        *way, last = draw(st.sampled_from(places))
        holder = _at(value, tuple(way))
        match draw(st.sampled_from(["delete", "replace", "move", "double", "stretch"])):
            case "delete":
                del holder[last]
            case "replace":
                holder[last] = draw(leaves)
            case "move":
                holder[last] = copy.deepcopy(_at(value, draw(st.sampled_from(places))))
            case "double" if isinstance(holder, list):
                holder.insert(last, copy.deepcopy(holder[last]))
            case "double":
                holder[f"{last}2"] = copy.deepcopy(holder[last])
            case _ if isinstance(holder[last], str):
                holder[last] += draw(
                    st.sampled_from(["\n", " ", "\x00", "\x85", "\u2028", "\ufeff", "-", "0", "\u0301"])
                )
    return value


@given(mutants())
@settings(max_examples=3000 if FULL else 150)
def test_jsonschema_and_jsonschema_rs_agree_on_every_mutant(mutant: Any) -> None:
    exact, fast = checks("version")
    assert found(exact, mutant) == found(fast, mutant)
