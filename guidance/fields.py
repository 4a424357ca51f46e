"""One value beside another, member by member: what differs, under what identifies it, none of it left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Final, Literal, NamedTuple

import orjson

from guidance.errors import Unaccounted, step
from guidance.later import later
from guidance.model import Body, Json, canonical

Presence = Literal["changed", "added", "removed", "reordered"]


class Field(NamedTuple):
    """One member that differs. `change` says whether it was there at all: null is a value, absence is none.

    The pointer is a JSON pointer in which an item of a list stands under what identifies it, not under its place:
    /population/include/stroke/text, /thresholds/prior-dmts/value. Where a list was reordered, old and new are the
    identities in order.
    """

    pointer: str
    change: Presence
    old: Json = None
    new: Json = None

    @property
    def member(self) -> str:
        """The member of the rule or version that it lies in; empty for the whole."""
        name = self.pointer.split("/", 2)[1] if self.pointer else ""
        return name.replace("~1", "/").replace("~0", "~") if "~" in name else name


_ORDER: Final = "/\0"
"""Where the order of a list's items stands, below the list. No member or id is named so."""

_IDENTITY: Final[Mapping[str, Sequence[str]]] = {
    "include": ("id",),
    "exclude": ("id",),
    "setting": ("id",),
    "sources": ("id",),
    "thresholds": ("what",),
    "medicines": ("inn",),
    "codes": ("system", "code"),
    "commencements": ("jurisdictions",),
    "milestones": ("act", "by", "jurisdiction", "date"),
}
"""What identifies the items of a list, by the member that holds it. A text identifies itself."""

Parts = dict[str, Json]
"""What differs on one side, by pointer."""


def fields_between(old: Body, new: Body) -> tuple[Field, ...]:
    """Every member that differs between two rules, by pointer.

    A member that is a leaf, or stands on one side, differs as a whole; inside the others DeepDiff looks.
    """
    return _fields(old, new, _seen)


def fields_beside(old: Body, new: Body) -> tuple[Field, ...]:
    """The same of what stands beside the rules of two versions, or of two documents, by identity alone."""
    return _fields(old, new, _put)


def _fields(old: Body, new: Body, pointers: Callable[[Parts, Parts], Iterable[str]]) -> tuple[Field, ...]:
    """Every member that differs, by pointer; `pointers` names the parts that differ in what is not told whole."""
    found: list[Field] = []
    before: Parts = {}
    after: Parts = {}
    for name in old.keys() | new.keys():
        if name not in old or name not in new:
            found.append(_whole(name, step(name), old, new))
        elif not same(old[name], new[name]):
            if _alike(old[name], new[name]):
                _part(step(name), name, old[name], new[name], before, after)
            else:
                found.append(_whole(name, step(name), old, new))
    if before or after:
        found.extend(filter(None, [_field(pointer, before, after) for pointer in pointers(before, after)]))
    return tuple(sorted(found, key=itemgetter(0)))


def _whole(name: str, pointer: str, old: Body, new: Body) -> Field:
    """What stands under a name on either side, as one field."""
    if name not in old:
        return Field(pointer, "added", new=new[name])
    if name not in new:
        return Field(pointer, "removed", old=old[name])
    return Field(pointer, "changed", old[name], new[name])


def _seen(before: Parts, after: Parts) -> set[str]:
    """Where DeepDiff sees a difference. Its report, applied to the one side, must give the other; else Unaccounted."""
    old, new = ({pointer: _spelled(value) for pointer, value in side.items()} for side in (before, after))
    pointers: set[str] = later("guidance.deep:differing")(old, new)
    _account(old, new, pointers)
    return pointers


def _put(before: Parts, after: Parts) -> Iterable[str]:
    """Every part that was put there, all of which differ."""
    return before | after


def _part(at: str, name: str, old: Json, new: Json, before: Parts, after: Parts) -> None:
    """Put in `before` and `after` what differs; what stands on one side only, or is of two types, as a whole."""
    listed = type(old) is list
    olds, news = (_by_identity(name, old), _by_identity(name, new)) if listed else (old, new)
    for key, value in olds.items():
        if key not in news:
            before[at + step(key)] = value
        elif not same(value, news[key]):
            pointer = at + step(key)
            if _alike(value, news[key]):
                _part(pointer, name if listed else key, value, news[key], before, after)
            else:
                before[pointer], after[pointer] = value, news[key]
    after.update((at + step(key), value) for key, value in news.items() if key not in olds)
    if listed and [*olds] != [*news]:
        before[at + _ORDER], after[at + _ORDER] = [*olds], [*news]


def same(old: Json, new: Json) -> bool:
    """Whether two values are the same JSON, in which true, 1 and 1.0 differ, as they do not in Python."""
    if type(old) is str or type(new) is str:
        return bool(old == new)
    return orjson.dumps(old) == orjson.dumps(new) or (bool(old == new) and canonical(old) == canonical(new))


def _alike(old: Json, new: Json) -> bool:
    """Whether two values are both objects or both lists."""
    return isinstance(old, dict | list) and type(old) is type(new)


def _by_identity(name: str, items: Sequence[Json]) -> dict[str, Json]:
    """The items of a list, the member of that name, each by what identifies it."""
    return dict(zip(_keys(name, items), items, strict=True))


def _spelled(value: Json) -> str:
    """Canonical JSON, in which true, 1 and 1.0 differ.

    Without the line end, since DeepDiff sets texts of several lines side by side at a cost.
    """
    return canonical(value)[:-1].decode()


def _keys(name: str, items: Sequence[Json]) -> list[str]:
    """An identity for each item, unlike any other in the list; its place where nothing identifies it."""
    members = _IDENTITY.get(name, ())
    keys = [item if type(item) is str else _key(item, members) or str(at) for at, item in enumerate(items)]
    if len(set(keys)) == len(keys):
        return keys
    found: dict[str, None] = {}
    for key in keys:
        counted = (f"{key} ({count})" for count in range(2, len(keys) + 2))
        found[key if key not in found else next(one for one in counted if one not in found)] = None
    return list(found)


def _key(item: Json, members: Iterable[str]) -> str:
    if type(item) is not dict:
        return ""
    return " ".join([_key_part(item[member]) for member in members if member in item])


def _key_part(part: Json) -> str:
    return part if type(part) is str else "+".join(sorted(map(str, part))) if type(part) is list else str(part)


def _account(before: dict[str, str], after: dict[str, str], pointers: Iterable[str]) -> None:
    """Check that the reported differences are all there are: put in place, they make the one side the other."""
    rebuilt = dict(before)
    for pointer in pointers:
        if pointer in after:
            rebuilt[pointer] = after[pointer]
        else:
            del rebuilt[pointer]
    if rebuilt != after:
        raise Unaccounted("a rule or version", "its reported differences do not account for all that differs")


def _field(pointer: str, before: Parts, after: Parts) -> Field | None:
    """What a pointer leads to. An order of items that additions and removals explain is no field."""
    if pointer.endswith(_ORDER):
        was, now = before[pointer], after[pointer]
        stayed = [key for key in was if key in now] == [key for key in now if key in was]
        return None if stayed else Field(pointer.removesuffix(_ORDER), "reordered", was, now)
    return _whole(pointer, pointer, before, after)
