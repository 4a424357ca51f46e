"""What a change does and how much it matters: orderings on structured fields, and the table that judges them."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

import orjson

from guidance.errors import BadParameter, InvalidDocument, Violation
from guidance.model import Body, Json, canonical
from guidance.redline import contradictions
from guidance.schema import read

Severity = Literal["editorial", "minor", "major", "critical"]
Direction = Literal["tightened", "relaxed", "neutral", "unordered"]
Reading = Literal["allows", "forbids", "requires", "limits", "doses", "tells"]
Order = Literal["same", "less", "more", "apart"]

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
        pointer = f"/{_escaped(effect)}"
        if effect not in rows:
            near = get_close_matches(effect, rows, 1)
            yield Violation(pointer, f"is not an effect{f'; did you mean {near[0]}?' if near else ''}", file)
        elif isinstance(said, Mapping):
            yield from _row_violations(said, pointer, file)
        elif said not in SEVERITIES:
            yield Violation(pointer, f"{said!r} is not one of {', '.join(SEVERITIES)}", file)


def _row_violations(said: Mapping[str, Json], pointer: str, file: str) -> Iterable[Violation]:
    for member, value in said.items():
        place = f"{pointer}/{_escaped(member)}"
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
                    yield Violation(f"{place}/{_escaped(kind)}", why, file)


def _escaped(name: object) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")


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


class Pair(NamedTuple):
    """A rule before and after, each with the version that it stands in."""

    old: Body
    new: Body
    before: Body
    after: Body


# --- orderings: how the newer lies to the older ----------------------------------------------------------


def of_amounts(old: tuple[float, ...], new: tuple[float, ...]) -> Order:
    return "same" if new == old else "less" if new < old else "more"


def of_sets(old: AbstractSet[str], new: AbstractSet[str]) -> Order:
    return "same" if new == old else "less" if new < old else "more" if new > old else "apart"


def turned(order: Order) -> Order:
    """Where more of the one is less of the other, as conditions are to those who meet them."""
    turns: dict[Order, Order] = {"less": "more", "more": "less"}
    return turns.get(order, order)


def together(*orders: Order) -> Order:
    """The order of things that are ordered in several respects at once."""
    found = set(orders) - {"same"}
    if not found:
        return "same"
    return found.pop() if len(found) == 1 else "apart"


_DURATION: Final = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")


def of_durations(old: str, new: str) -> Order:
    """ISO 8601 durations, a month being 28 to 31 days long; what that leaves open is apart."""
    before, after = _DURATION.fullmatch(old), _DURATION.fullmatch(new)
    if not before or not after:
        return "apart"
    (old_months, old_minutes), (new_months, new_minutes) = _length(before), _length(after)
    months, minutes = new_months - old_months, new_minutes - old_minutes
    least, greatest = sorted((months * 28 * 1440 + minutes, months * 31 * 1440 + minutes))
    return "same" if least == greatest == 0 else "more" if least > 0 else "less" if greatest < 0 else "apart"


def _length(duration: re.Match[str]) -> tuple[int, int]:
    """Months, and minutes beside them."""
    years, months, weeks, days, hours, minutes = (int(part or 0) for part in duration.groups())
    return years * 12 + months, ((weeks * 7 + days) * 24 + hours) * 60 + minutes


def of_modalities(old: str, new: str) -> Literal["strengthened", "weakened", "crossed"]:
    """Along one chain, or from the chain of duties to that of prohibitions or back."""
    chain = {"must-not": -2, "should-not": -1, "may": 0, "should": 1, "must": 2}
    if (chain[old] < 0) != (chain[new] < 0):
        return "crossed"
    return "strengthened" if abs(chain[new]) > abs(chain[old]) else "weakened"


def of_cohorts(old: str, new: str) -> Order:
    both = frozenset({"initiation", "continuation"})
    return of_sets(both if old == "everyone" else {old}, both if new == "everyone" else {new})


def of_populations(old: Body, new: Body) -> Order:
    """Who is meant: criteria by id, ages, sex. Absent parts do not narrow."""
    (low, high), (new_low, new_high) = _ages(old), _ages(new)
    return together(
        turned(of_sets(_ids(old.get("include")), _ids(new.get("include")))),
        turned(of_sets(_ids(old.get("exclude")), _ids(new.get("exclude")))),
        turned(of_amounts((low,), (new_low,))),
        of_amounts((high,), (new_high,)),
        of_sets(_sexes(old), _sexes(new)),
    )


def _ids(criteria: Sequence[Body] | None) -> set[str]:
    return {criterion["id"] for criterion in criteria or ()}


def _ages(population: Body) -> tuple[float, float]:
    age = population.get("age", {})
    return age.get("from", 0), age.get("under", inf)


def _sexes(population: Body) -> set[str]:
    return {population["sex"]} if "sex" in population else {"female", "male"}


def of_thresholds(old: Sequence[Body], new: Sequence[Body]) -> dict[str, Order]:
    """By what is measured: whether fewer numbers pass. All thresholds of a rule hold together."""
    found: dict[str, Order] = {}
    for what in sorted({threshold["what"] for threshold in (*old, *new)}):
        before = [threshold for threshold in old if threshold["what"] == what]
        after = [threshold for threshold in new if threshold["what"] == what]
        if before == after:
            continue
        if not before or not after:
            found[what] = "less" if after else "more"
        else:
            found[what] = _of_threshold(before[0], after[0]) if len(before) == len(after) == 1 else "apart"
    return found


def _of_threshold(old: Body, new: Body) -> Order:
    if old["unit"] != new["unit"]:
        return "apart"
    (low, high), (new_low, new_high) = _span(old), _span(new)
    return together(turned(of_amounts(low, new_low)), of_amounts(high, new_high), _of_windows(old, new))


def _span(threshold: Body) -> tuple[tuple[float, int], tuple[float, int]]:
    """The least and the greatest number that pass; the second part is 1 or -1 just beside a number."""
    operator, value = threshold["operator"], threshold["value"]
    low = (value, int(operator == ">")) if operator in {">", ">=", "="} else (-inf, 0)
    high = (value, -int(operator == "<")) if operator in {"<", "<=", "="} else (inf, 0)
    return low, high


def _of_windows(old: Body, new: Body) -> Order:
    """The time within which it is counted: in less time fewer reach a least number, and more stay below a greatest."""
    before, after = old.get("within"), new.get("within")
    if before == after:
        return "same"
    if before is None or after is None:
        order: Order = "less" if after else "more"
    else:
        order = of_durations(before, after)
    signs = {old["operator"][0], new["operator"][0]}
    return order if signs == {">"} else turned(order) if signs == {"<"} else "apart"


def of_schedules(old: Body, new: Body) -> dict[str, Order]:
    """By part: whether more is asked. What recurs recurs during the treatment; no `until` asks nothing after it."""
    before, after = _during(old), _during(new)
    return {
        "before": of_amounts((old.get("before", False),), (new.get("before", False),)),
        "during": of_amounts((before,), (after,)),
        "every": _of_intervals(old.get("every"), new.get("every")),
        "until": _of_ends(old, new),
    }


def _during(schedule: Body) -> bool:
    return bool(schedule.get("during", "every" in schedule))


def _of_intervals(old: str | None, new: str | None) -> Order:
    if old is None or new is None:
        return "same" if old == new else "more" if new else "less"
    return turned(of_durations(old, new))


def _of_ends(old: Body, new: Body) -> Order:
    before, after = old.get("until"), new.get("until")
    if before is None and after is None:
        return "same" if old.get("after") == new.get("after") else "apart"
    if before is None or after is None:
        endless = "every" in (new if after is None else old)
        return "apart" if endless else "more" if after else "less"
    return of_durations(before, after) if old.get("after") == new.get("after") else "apart"


def of_scopes(old: Sequence[str] | None, new: Sequence[str] | None, whole: AbstractSet[str]) -> Order:
    """Medicines or jurisdictions by name, where saying nothing means the whole version's."""
    return of_sets(set(old) if old else whole | set(new or ()), set(new) if new else whole | set(old or ()))


def lies_within(rule: Body, other: Body) -> bool:
    """Whether everyone whom an indication allows is allowed by the other one, as far as structured fields say."""
    narrowing = {"medicines", "jurisdictions", "commencements"} & other.keys()
    if other["kind"] != "indication" or narrowing or not other.get("population", {}).get("include"):
        return False
    order = together(
        of_cohorts(other["cohort"], rule["cohort"]),
        of_populations(other["population"], rule.get("population", {})),
        turned(of_sets(_ids(other.get("setting")), _ids(rule.get("setting")))),
        *of_thresholds(other.get("thresholds", ()), rule.get("thresholds", ())).values(),
    )
    return reading(rule) == reading(other) == "allows" and order in {"same", "less"}


# --- finding ---------------------------------------------------------------------------------------------


class Text(NamedTuple):
    """A text of a rule that differs: where it stands, before and after."""

    pointer: str
    old: str
    new: str


_SCOPE: Final[Mapping[Order, str]] = {"less": "narrowed", "more": "widened", "apart": "changed"}
_ASKED: Final[Mapping[Order, str]] = {"less": "reduced", "more": "extended", "apart": "changed"}


def _named(name: str, order: Order, pointer: str, words: Mapping[Order, str] = _SCOPE) -> Iterable[Finding]:
    if order != "same":
        yield Finding(f"{name}-{words[order]}", pointer)


def _modality(pair: Pair) -> Iterable[Finding]:
    way = of_modalities(pair.old["modality"], pair.new["modality"])
    kinds = {pair.old["kind"], pair.new["kind"]}
    yield Finding("modality-changed" if "indication" in kinds and way != "crossed" else f"modality-{way}", "/modality")


def _cohort(pair: Pair) -> Iterable[Finding]:
    return _named("cohort", of_cohorts(pair.old["cohort"], pair.new["cohort"]), "/cohort")


def _population(pair: Pair) -> Iterable[Finding]:
    order = of_populations(pair.old.get("population", {}), pair.new.get("population", {}))
    return _named("population", order, "/population")


def _thresholds(pair: Pair) -> Iterable[Finding]:
    """Ordered only where it is plain what passing means: an indication or contraindication that exempts nobody."""
    sides = (pair.old, pair.new)
    plain = all("exclude" not in rule.get("population", {}) for rule in sides)
    allows = plain and all(rule["kind"] == "indication" for rule in sides)
    forbids = plain and all(rule["kind"] == "contraindication" for rule in sides)
    old, new = pair.old.get("thresholds", ()), pair.new.get("thresholds", ())
    in_both = {threshold["what"] for threshold in old} & {threshold["what"] for threshold in new}
    for what, order in of_thresholds(old, new).items():
        sure = allows or (forbids and what in in_both)
        yield from _named("threshold", order if sure or order == "same" else "apart", f"/thresholds/{what}")


def _schedule(pair: Pair) -> Iterable[Finding]:
    for part, order in of_schedules(pair.old.get("schedule", {}), pair.new.get("schedule", {})).items():
        yield from _named("schedule", order, f"/schedule/{part}", _ASKED)


def _setting(pair: Pair) -> Iterable[Finding]:
    order = of_sets(_ids(pair.old.get("setting")), _ids(pair.new.get("setting")))
    return _named("setting", order, "/setting", _ASKED)


def _medicines(pair: Pair) -> Iterable[Finding]:
    version = pair.after if "medicines" in pair.old else pair.before
    whole = {medicine["inn"] for medicine in version.get("medicines", ())}
    order = of_scopes(pair.old.get("medicines"), pair.new.get("medicines"), whole)
    return _named("medicines", order, "/medicines")


def _jurisdictions(pair: Pair) -> Iterable[Finding]:
    version = pair.after if "jurisdictions" in pair.old else pair.before
    whole = {place for one in version.get("commencements", ()) for place in one["jurisdictions"]}
    order = of_scopes(pair.old.get("jurisdictions"), pair.new.get("jurisdictions"), whole)
    return _named("places", order, "/jurisdictions")


_DATED: Final = ("jurisdictions", "from", "to", "ends", "expected", "trigger", "no_later_than")


def _dates(old: Sequence[Body], new: Sequence[Body], effect: str) -> Iterable[Finding]:
    before, after = (sorted(canonical([one.get(name) for name in _DATED]) for one in side) for side in (old, new))
    yield Finding("basis-changed" if before == after else effect, "/commencements")


def _commencements(pair: Pair) -> Iterable[Finding]:
    old, new = pair.old.get("commencements", ()), pair.new.get("commencements", ())
    return _dates(old, new, "effective-date-changed")


_SUBSTANCE: Final[Mapping[str, Callable[[Pair], Iterable[Finding]]]] = {
    "kind": lambda pair: [Finding("kind-changed", "/kind")],
    "modality": _modality,
    "cohort": _cohort,
    "population": _population,
    "thresholds": _thresholds,
    "schedule": _schedule,
    "setting": _setting,
    "medicines": _medicines,
    "jurisdictions": _jurisdictions,
}
"""The members that say what a rule asks of whom; a text that differs beside them follows them."""

_BESIDE: Final[Mapping[str, str]] = {
    "source": "source-changed",
    "codes": "code-changed",
    "replaces": "lineage-changed",
    "interpretation": "interpretation-changed",
    "number": "renumbered",
    "section": "renumbered",
}
_WORDING: Final = frozenset({"title", "text", "wording_only"})


def in_rule(pair: Pair, members: Sequence[str], texts: Sequence[Text], claimed: bool) -> list[Finding]:
    """What changed in a rule, by the members that differ; `claimed` where its author says that only wording does."""
    substance = [finding for member in members if member in _SUBSTANCE for finding in _SUBSTANCE[member](pair)]
    beside = [finding for member in members if member not in _SUBSTANCE for finding in _beside(member, pair)]
    worded = {text.pointer.split("/")[1] for text in texts}
    shown = {finding.pointer.split("/")[1] for finding in substance}
    restated = [
        Finding("restated", f"/{member}")
        for member in members
        if member in _SUBSTANCE and member not in shown and member not in worded
    ]
    wording = _claimed(texts, [*substance, *beside]) if claimed else _unclaimed(texts, substance)
    if list(members) == ["wording_only"]:
        wording = [Finding("claim-changed", "/wording_only")]
    return [*substance, *beside, *restated, *wording]


def _beside(member: str, pair: Pair) -> Iterable[Finding]:
    if member == "commencements":
        yield from _commencements(pair)
    elif member not in _WORDING:
        yield Finding(_BESIDE.get(member, "other-changed"), f"/{_escaped(member)}")


_HARMLESS: Final = frozenset({"source-changed", "code-changed", "lineage-changed", "renumbered"})


def _claimed(texts: Sequence[Text], others: Sequence[Finding]) -> list[Finding]:
    because = [why for text in texts for why in contradictions(text.old, text.new)]
    because += [f"{finding.pointer} differs" for finding in others if finding.effect not in _HARMLESS]
    if because:
        return [Finding("wording-contradicted", "/wording_only", tuple(dict.fromkeys(because)))]
    return [Finding("wording-only", text.pointer) for text in texts[:1]]


def _unclaimed(texts: Sequence[Text], substance: Sequence[Finding]) -> list[Finding]:
    if not texts:
        return []
    because = tuple(dict.fromkeys(why for text in texts for why in contradictions(text.old, text.new)))
    if not substance:
        if not because and all(text.pointer == "/title" for text in texts):
            return [Finding("title-changed", "/title")]
        return [Finding("wording-unordered", texts[0].pointer, because)]
    negated = tuple(why for why in because if why.startswith("negations:"))
    explained = {"/kind", "/modality"} & {finding.pointer for finding in substance}
    doubt = [Finding("negation-changed", texts[0].pointer, negated)] if negated and not explained else []
    return [Finding("text-follows", texts[0].pointer), *doubt]


def in_version(member: str, before: Body, after: Body) -> list[Finding]:
    """What changed in a version beside its rules, in one of its members."""
    if member == "commencements":
        again = before.get("number") == after.get("number")
        effect = "effective-date-changed" if again else "effective-date-differs"
        return list(_dates(before.get(member, ()), after.get(member, ()), effect))
    if member == "medicines":
        old, new = ({medicine["inn"] for medicine in side.get(member, ())} for side in (before, after))
        added = [Finding("medicine-added", f"/medicines/{inn}") for inn in sorted(new - old)]
        removed = [Finding("medicine-removed", f"/medicines/{inn}") for inn in sorted(old - new)]
        return [*added, *removed] or [Finding("code-changed", "/medicines")]
    return [Finding(_OF_VERSION.get(member, "other-changed"), f"/{_escaped(member)}")]


_OF_VERSION: Final[Mapping[str, str]] = {
    "number": "another-version",
    "title": "title-changed",
    "stage": "stage-changed",
    "status": "status-changed",
    "status_note": "status-changed",
    "milestones": "milestones-changed",
    "sources": "source-changed",
    "note": "note-changed",
}


def in_document(member: str) -> list[Finding]:
    """What changed in a document beside its versions, in one of its members."""
    return [Finding(_OF_DOCUMENT.get(member, "document-changed"), f"/{_escaped(member)}")]


_OF_DOCUMENT: Final[Mapping[str, str]] = {
    "title": "title-changed",
    "jurisdictions": "document-places-changed",
    "note": "note-changed",
}


def of_one(rule: Body, others: Iterable[Body], word: Literal["added", "removed"]) -> Finding:
    """What a rule does that stands on one side only; `others` are the rules of the other side."""
    if rule["kind"] == "indication":
        if any(lies_within(rule, other) for other in others):
            return Finding(f"indication-{word}-within", "")
        if rule["cohort"] == "continuation":
            return Finding(f"transition-{word}", "")
    return Finding(f"{rule['kind']}-{word}" if rule["kind"] in KINDS else "other-changed", "")
