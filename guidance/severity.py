"""How much a change matters, and which way it goes: the table that judges effects."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

import orjson

from guidance.errors import BadParameter, InvalidDocument, Violation, step
from guidance.model import Body, Json, canonical
from guidance.schema import read

Severity = Literal["editorial", "minor", "major", "critical"]
Direction = Literal["tightened", "relaxed", "neutral", "unordered"]
Reading = Literal["allows", "forbids", "requires", "limits", "doses", "tells"]

SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""From the least to the most."""

DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)
READINGS: Final[tuple[Reading, ...]] = get_args(Reading)
KINDS: Final = (
    *("indication", "contraindication", "restriction", "monitoring", "precaution"),
    *("posology", "supply", "suspension", "information"),
)


# --- the table -------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """One effect: what people call it, how severe it is, which way it goes, and when it is found."""

    words: str
    severity: Severity
    direction: Mapping[Reading, Direction]
    """By what the rule does. Where nothing is said the effect cannot be ordered, and needs review."""
    when: str
    kinds: Mapping[str, Severity]
    """The severity for those kinds of rule where it is another."""


@dataclass(frozen=True, slots=True)
class Table:
    """Every effect by its id, and the hash by which a diff says which table judged it."""

    rows: Mapping[str, Row]
    sha256: str = field(init=False)
    _verdicts: dict[Hashable, tuple[str, Direction, Severity]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What was judged before; there are only so many kinds of rules and of effects."""

    def __post_init__(self) -> None:
        rows = {effect: row._asdict() for effect, row in self.rows.items()}
        object.__setattr__(self, "sha256", sha256(canonical(rows)).hexdigest())

    def verdict(
        self, effect: str, kinds: frozenset[str], readings: frozenset[Reading]
    ) -> tuple[str, Direction, Severity]:
        """(words, direction, severity) of an effect on rules of some kinds (on no rule: none) and readings."""
        key = effect, kinds, readings
        if key not in self._verdicts:
            row = self.rows[effect]
            ways = {row.direction.get(one, "unordered") for one in readings}
            severity = most(row.kinds.get(kind, row.severity) for kind in kinds) if kinds else row.severity
            self._verdicts[key] = row.words, ways.pop() if len(ways) == 1 else "unordered", severity
        return self._verdicts[key]

    def overridden(self, body: Json, file: str = "") -> Table:
        """The table with an operator's severities and words; raises InvalidDocument.

        The body names effects, each with a severity, or with any of `severity`, `kinds` and `words`. Kinds that it
        does not name stay as they are. Directions follow from orderings, and are not the operator's to change.
        """
        violations = sorted(_violations(body, self.rows, file))
        if violations:
            raise InvalidDocument(violations)
        said = {effect: {"severity": row} if isinstance(row, str) else row for effect, row in body.items()}
        return Table({effect: _laid_over(row, said.get(effect, {})) for effect, row in self.rows.items()})


def _laid_over(row: Row, said: Mapping[str, Json]) -> Row:
    return row._replace(**{**said, "kinds": {**row.kinds, **said.get("kinds", {})}})


def _violations(body: Json, rows: Mapping[str, Row], file: str) -> Iterable[Violation]:
    if not isinstance(body, Mapping):
        yield Violation("", "is not an object of effects and severities", file)
        return
    for effect, said in body.items():
        pointer = step(effect)
        if effect not in rows:
            near = get_close_matches(effect, rows, 1)
            yield Violation(pointer, f"is not an effect{f'; did you mean {near[0]}?' if near else ''}", file)
        elif isinstance(said, Mapping):
            yield from _row_violations(said, pointer, file)
        elif said not in SEVERITIES:
            yield Violation(pointer, f"{said!r} is not one of {', '.join(SEVERITIES)}", file)


def _row_violations(said: Mapping[str, Json], pointer: str, file: str) -> Iterable[Violation]:
    for member, value in said.items():
        place = pointer + step(member)
        if member == "severity":
            if value not in SEVERITIES:
                yield Violation(place, f"{value!r} is not one of {', '.join(SEVERITIES)}", file)
        elif member == "words":
            if not isinstance(value, str) or not value.strip():
                yield Violation(place, "is not a text", file)
        elif member != "kinds":
            yield Violation(place, "is not one of severity, kinds, words", file)
        elif not isinstance(value, Mapping):
            yield Violation(place, "is not an object of kinds and severities", file)
        else:
            for kind, severity in value.items():
                if kind not in KINDS or severity not in SEVERITIES:
                    why = f"{kind!r}: {severity!r} is not a kind of rule with one of {', '.join(SEVERITIES)}"
                    yield Violation(place + step(kind), why, file)


def _row(body: Json) -> Row:
    said: Direction | dict[Reading, Direction] = body["direction"]
    direction: dict[Reading, Direction] = dict.fromkeys(READINGS, said) if isinstance(said, str) else said
    return Row(body["words"], body["severity"], direction, body["when"], body.get("kinds", {}))


def _reviewed() -> Table:
    bodies = orjson.loads(Path(__file__).with_name("severity.json").read_bytes())
    return Table({effect: _row(body) for effect, body in bodies.items()})


TABLE: Final = _reviewed()
"""The reviewed table, guidance/severity.json."""


def chosen(file: str, table: Table = TABLE) -> Table:
    """The table with an operator's file (docs/severity.md) laid over it; the table itself where none is named.

    Raises BadParameter where the file cannot be read; BadJson and InvalidDocument, with pointers, where it does not
    fit.
    """
    if not file:
        return table
    try:
        raw = Path(file).read_bytes()
    except OSError as error:
        raise BadParameter("--severity-file", file, f"cannot be read: {error.strerror}") from error
    return table.overridden(read(raw, file), file)


# --- judging ---------------------------------------------------------------------------------------------


_EVERY_READING: Final = frozenset(READINGS)


class Finding(NamedTuple):
    """An effect seen in a pair of rules or of versions: its id, the member to look at, and what shows it."""

    effect: str
    pointer: str
    because: tuple[str, ...] = ()


class Effect(NamedTuple):
    """A finding as the table judges it."""

    id: str
    words: str
    direction: Direction
    severity: Severity
    pointer: str
    because: tuple[str, ...] = ()


def judged(findings: Iterable[Finding], rules: Sequence[Body], table: Table = TABLE) -> tuple[Effect, ...]:
    """The findings with direction and severity, for a rule (alone, or before and after) or for no rule at all."""
    kinds = frozenset([rule["kind"] for rule in rules])
    readings = frozenset(map(reading, rules)) or _EVERY_READING
    seen = dict.fromkeys(findings)
    return tuple([Effect(one[0], *table.verdict(one[0], kinds, readings), one[1], one[2]) for one in seen])


def most(severities: Iterable[Severity]) -> Severity:
    """The most severe, editorial where there is none."""
    return max(severities, key=SEVERITIES.index, default=SEVERITIES[0])


def reading(rule: Body) -> Reading:
    """What a rule does with those whom it is about."""
    kind, modality = rule["kind"], rule["modality"]
    if kind == "information":
        return "tells"
    if kind == "posology":
        return "doses"
    if kind in {"contraindication", "suspension"} or modality in {"should-not", "must-not"}:
        return "forbids"
    if kind == "indication" or modality == "may":
        return "allows"
    return "limits" if kind == "restriction" else "requires"
