"""What JSON Schema says of a value. A room of its own, since its libraries take long to load.

jsonschema is the authority and words every violation; jsonschema-rs only says "clean" faster for bulk import.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend
from referencing import Registry, Resource

from guidance.errors import BadParameter
from guidance.model import Json, PartialDate

Schemas = Mapping[str, Json]
"""Every schema that there is, by its short name. A reference to any other is refused, never fetched."""


def worded(name: str, schemas: Schemas) -> Callable[[Json], Iterator[ValidationError]]:
    """What finds every violation of a schema in a value."""
    empty: Registry[Any] = Registry()
    registry = empty.with_resources((one["$id"], Resource.from_contents(one)) for one in schemas.values())
    validator: Draft202012Validator = _Validator(schemas[name], registry=registry, format_checker=FORMATS)
    return validator.iter_errors


def quick(name: str, schemas: Schemas) -> Callable[[Json], bool]:
    """What tells quickly whether there is none."""
    validator = jsonschema_rs.Draft202012Validator(
        schemas[name],
        registry=jsonschema_rs.Registry([(one["$id"], one) for one in schemas.values()]),
        validate_formats=True,
        formats={"partial-date": _rs_partial_date},
    )
    return validator.is_valid


def _is_partial_date(value: object) -> bool:
    if isinstance(value, str):
        PartialDate.parse(value)
    return True


@lru_cache(maxsize=4096)
def _rs_partial_date(text: str) -> bool:
    try:
        return _is_partial_date(text)
    except BadParameter:
        return False


FORMATS: Final = FormatChecker(formats=("date", "date-time"))
FORMATS.checks("partial-date", raises=BadParameter)(_is_partial_date)


def _pattern(_validator: object, pattern: str, value: object, _schema: object) -> Iterator[ValidationError]:
    """A pattern as ECMA-262 means it: `$` is the very end, and not also the place before a last newline."""
    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _items(validator: Any, items: Json, value: Json, schema: Json) -> Iterator[ValidationError]:
    """Each item of a list, unless there are too many: then that is said, and a million items are not looked at."""
    if _fits(value, schema):
        yield from Draft202012Validator.VALIDATORS["items"](validator, items, value, schema)


def _unique(_validator: object, unique: bool, value: Json, schema: Json) -> Iterator[ValidationError]:
    """In the time of one pass; comparing each with each takes seconds for some thousands of objects."""
    if unique and _fits(value, schema) and len({json.dumps(item, sort_keys=True) for item in value}) < len(value):
        yield ValidationError("holds the same item twice")


def _fits(value: Json, schema: Json) -> bool:
    return isinstance(value, list) and len(value) <= schema.get("maxItems", len(value))


_CHECKER: Final = Draft202012Validator.TYPE_CHECKER.redefine(
    "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
)
_Validator: Final[Any] = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"pattern": _pattern, "items": _items, "uniqueItems": _unique}, type_checker=_CHECKER
)
