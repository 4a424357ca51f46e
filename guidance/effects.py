"""What a change does: effects found in a pair of rules, of versions or of documents, for the table to judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from guidance.errors import step
from guidance.model import Body, canonical
from guidance.orderings import (
    Order,
    ids,
    of_cohorts,
    of_modalities,
    of_populations,
    of_schedules,
    of_scopes,
    of_sets,
    of_thresholds,
    together,
    turned,
)
from guidance.redline import contradictions
from guidance.severity import KINDS, Finding, reading


class Pair(NamedTuple):
    """A rule before and after, each with the version that it stands in."""

    old: Body
    new: Body
    before: Body
    after: Body


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
    order = of_sets(ids(pair.old.get("setting")), ids(pair.new.get("setting")))
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
        yield Finding(_BESIDE.get(member, "other-changed"), step(member))


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
    return [Finding(_OF_VERSION.get(member, "other-changed"), step(member))]


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
    return [Finding(_OF_DOCUMENT.get(member, "document-changed"), step(member))]


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


def lies_within(rule: Body, other: Body) -> bool:
    """Whether everyone whom an indication allows is allowed by the other one, as far as structured fields say."""
    narrowing = {"medicines", "jurisdictions", "commencements"} & other.keys()
    if other["kind"] != "indication" or narrowing or not other.get("population", {}).get("include"):
        return False
    order = together(
        of_cohorts(other["cohort"], rule["cohort"]),
        of_populations(other["population"], rule.get("population", {})),
        turned(of_sets(ids(other.get("setting")), ids(rule.get("setting")))),
        *of_thresholds(other.get("thresholds", ()), rule.get("thresholds", ())).values(),
    )
    return reading(rule) == reading(other) == "allows" and order in {"same", "less"}
