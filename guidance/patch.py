"""The way from one version to another as a patch (RFC 6902), proven before it leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Final

import jsonpatch
import orjson

from guidance.changes import one_document, rules_by_id
from guidance.errors import BadParameter, InvalidDocument, Unaccounted, Violation, step
from guidance.model import Body, Json, canonical

_RESERVED: Final = ("rules", "order", "sha256")


def projection(body: Body) -> dict[str, Json]:
    """A version as patches see it: its members, its rules by id, their order, and the hash of the whole."""
    rules = rules_by_id(body)
    clash = [Violation(f"/{name}", "is a name that patches use") for name in ("order", "sha256") if name in body]
    if clash:
        raise InvalidDocument(clash)
    digest = sha256(canonical(body)).hexdigest()
    return {**body, "rules": rules, "order": list(rules), "sha256": digest}


def unprojected(projected: Mapping[str, Json]) -> dict[str, Json]:
    """The version that a projection stands for; raises Unaccounted where its hash says another."""
    body = {name: value for name, value in projected.items() if name not in _RESERVED}
    rules, order = projected["rules"], projected["order"]
    if sorted(order) == sorted(rules):
        body["rules"] = [rules[name] for name in order]
    if sha256(canonical(body)).hexdigest() != projected["sha256"]:
        raise Unaccounted("a projection", f"what it holds does not hash to its sha256, {projected['sha256']}")
    return body


def patch_between(old: Body, new: Body) -> list[dict[str, Json]]:
    """RFC 6902 operations from the projection of one version to that of another, proven by applying them.

    The first tests the hash of the whole, so that a stale base fails; the order of rules is one operation. The
    inverse is the patch the other way.
    """
    one_document(old, new)
    before, after = projection(old), projection(new)
    operations = [
        {"op": "test", "path": "/sha256", "value": before["sha256"]},
        *_operations("", _without_rules(before), _without_rules(after)),
        *_rule_operations(before["rules"], after["rules"]),
    ]
    if canonical(patched(old, operations)) != canonical(new):
        raise Unaccounted("a patch", "applying it does not give the other side")
    return operations


def patched(body: Body, operations: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """A version with a patch applied; raises BadParameter where the patch was made for another base."""
    projected = orjson.loads(canonical(projection(body)))
    try:
        found = jsonpatch.apply_patch(projected, list(operations), in_place=True)
        return unprojected(found)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, LookupError, TypeError) as error:
        raise BadParameter("patch", str(error), "does not fit this version") from error


def _without_rules(projected: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in projected.items() if name != "rules"}


def _rule_operations(old: Mapping[str, Body], new: Mapping[str, Body]) -> Iterator[dict[str, Json]]:
    for name in (*old, *(name for name in new if name not in old)):
        if name in old and name in new:
            yield from _operations(f"/rules/{name}", old[name], new[name])
        else:
            only_old, only_new = ({name: side[name]} if name in side else {} for side in (old, new))
            yield from _operations("/rules", only_old, only_new)


def _operations(at: str, old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    for name in sorted(old.keys() | new.keys()):
        path = at + step(name)
        if name not in new:
            yield {"op": "remove", "path": path}
        elif name not in old:
            yield {"op": "add", "path": path, "value": new[name]}
        elif canonical(old[name]) != canonical(new[name]):
            yield {"op": "replace", "path": path, "value": new[name]}
