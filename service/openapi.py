"""The OpenAPI document: schemas/openapi.json with our schemas put where its references can reach them."""

from __future__ import annotations

from functools import cache
from typing import Any

from guidance.schema import schema, schema_names

URN = "urn:inforce:schema:"


@cache
def described(release: str) -> dict[str, Any]:
    """OpenAPI 3.1 of /v1, whole: every schema inside it, no reference that leads out."""
    told = dict(schema("openapi"))
    components = dict(told.get("components", {}))
    components["schemas"] = {name: _without_id(_inside(schema(name))) for name in schema_names()}
    told["components"] = components
    told["info"] = {**told["info"], "version": release}
    return dict(_inside(told))


def _inside(value: Any) -> Any:
    """The value with each reference to one of our schemas turned into one within the document."""
    if isinstance(value, list):
        return [_inside(item) for item in value]
    if isinstance(value, dict):
        return {
            name: _pointed(member) if name == "$ref" and isinstance(member, str) else _inside(member)
            for name, member in value.items()
        }
    return value


def _pointed(reference: str) -> str:
    if reference.startswith(URN):
        name, _, pointer = reference.removeprefix(URN).partition("#")
        return f"#/components/schemas/{name}{pointer}"
    return reference


def _without_id(value: dict[str, Any]) -> dict[str, Any]:
    kept = {name: member for name, member in value.items() if name not in ("$id", "$schema")}
    return dict(_locals(kept, value["$id"].removeprefix(URN)))


def _locals(value: Any, name: str) -> Any:
    """References within a schema's own file now start at its place among the components."""
    if isinstance(value, list):
        return [_locals(item, name) for item in value]
    if isinstance(value, dict):
        return {
            key: f"#/components/schemas/{name}{member[1:]}"
            if key == "$ref" and isinstance(member, str) and member.startswith("#/$defs")
            else _locals(member, name)
            for key, member in value.items()
        }
    return value
