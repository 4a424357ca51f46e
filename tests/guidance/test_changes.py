"""Diffs: nothing is hidden, nothing is noise, and a direction is said only where an ordering gives it."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from guidance import changes, deep
from guidance.changes import Change, Diff, compare, tally, to_json
from guidance.errors import BadInput, BadParameter, InvalidDocument, Unaccounted
from guidance.fields import fields_beside, fields_between
from guidance.model import canonical
from guidance.orderings import of_durations, of_populations, of_thresholds
from guidance.patch import patch_between, patched, projection, unprojected
from guidance.severity import KINDS, READINGS, SEVERITIES, TABLE, chosen

ROOT = Path(__file__).parents[2]
QUICK = settings(max_examples=60, deadline=None)
TURNED = {"tightened": "relaxed", "relaxed": "tightened"}

Json = Any


# --- what is compared ------------------------------------------------------------------------------------


def rule(name: str = "liver", **members: Json) -> dict[str, Json]:
    """A monitoring rule; a member given as None is left out."""
    body = {
        "id": name,
        "kind": "monitoring",
        "title": f"Title of {name}",
        "text": f"The {name} is tested.",
        "modality": "must",
        "cohort": "everyone",
        "source": {"ref": "label"},
        **members,
    }
    return {member: value for member, value in body.items() if value is not None}


def version(*rules: dict[str, Json], **members: Json) -> dict[str, Json]:
    return {
        "document": "ema/sample",
        "number": 1,
        "title": "Sample",
        "stage": "decided",
        "status": "standing",
        "commencements": [{"jurisdictions": ["EU"], "from": "2020-01-16", "basis": "Date of the decision."}],
        "medicines": [{"inn": "alemtuzumab"}, {"inn": "ocrelizumab"}],
        "rules": list(rules),
        "sources": [{"id": "label", "title": "Label", "publisher": "EMA", "tier": "primary"}],
        **members,
    }


def one_change(old: dict[str, Json], new: dict[str, Json]) -> Change:
    """The only change there is between two states of one rule."""
    (change,) = compare(version(old), version(new)).changes
    return change


def effects(change: Change) -> dict[str, str]:
    return {effect.id: effect.direction for effect in change.effects}


def criteria(*names: str) -> list[dict[str, str]]:
    return [{"id": name, "text": f"Text of {name}"} for name in names]


@cache
def corpus(document: str) -> dict[int, dict[str, Json]]:
    files = (ROOT / "guidance/corpus/documents" / document / "versions").glob("*.json")
    bodies = [json.loads(file.read_text("utf-8")) for file in files]
    return {body["number"]: body for body in sorted(bodies, key=lambda body: body["number"])}


CORPUS = sorted(
    str(path.parent.relative_to(ROOT / "guidance/corpus/documents"))
    for path in ROOT.glob("guidance/corpus/documents/*/*/document.json")
)


@cache
def diff_schema() -> Draft202012Validator:
    bodies = [json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "schemas").glob("*.json"))]
    registry: Registry[Json] = Registry().with_resources(
        (body["$id"], Resource.from_contents(body)) for body in bodies if "$id" in body
    )
    return Draft202012Validator(next(b for b in bodies if b.get("$id") == "urn:inforce:schema:diff"), registry=registry)


def check(diff: Diff) -> None:
    """What holds for every diff."""
    assert bool(diff.changes) is not diff.equal
    body = json.loads(json.dumps(to_json(diff)))
    assert [error.message for error in diff_schema().iter_errors(body)] == []
    for change in diff.changes:
        assert change.effects
        assert bool(change.review) == ("unordered" in change.directions)


# --- the golden case -------------------------------------------------------------------------------------


@cache
def lemtrada(old: int, new: int) -> dict[str, Change]:
    versions = corpus("ema/lemtrada")
    diff = compare(versions[old], versions[new])
    return {change.name: change for change in diff.changes if change.subject == "rule"}


def directions(found: dict[str, Change]) -> set[str]:
    return {direction for change in found.values() for direction in change.directions}


def test_lemtrada_from_the_authorisation_to_the_temporary_measures_tightens() -> None:
    found = lemtrada(1, 2)
    assert effects(found["indication"]) == {
        "cohort-narrowed": "tightened",
        "population-narrowed": "tightened",
        "threshold-narrowed": "tightened",
        "source-changed": "neutral",
        "text-follows": "neutral",
    }
    assert effects(found["vital-signs"]) == effects(found["liver-function"]) == {"monitoring-added": "tightened"}
    assert effects(found["indication-others-unsuitable"]) == {"indication-added-within": "neutral"}
    assert "relaxed" not in directions(found)


def test_lemtrada_leaves_to_a_person_what_the_provision_for_those_already_treated_does() -> None:
    assert effects(lemtrada(1, 2)["continuation"]) == {"transition-added": "unordered"}
    assert effects(lemtrada(2, 3)["continuation"]) == {"transition-removed": "unordered"}
    assert lemtrada(1, 2)["continuation"].review


def test_lemtrada_from_the_temporary_to_the_final_measures_relaxes_the_indication() -> None:
    found = lemtrada(2, 3)
    assert found["indication"].directions == ("neutral", "relaxed")
    assert effects(found["indication"])["threshold-widened"] == "relaxed"
    assert effects(found["indication-rapidly-evolving"]) == {"indication-added": "relaxed"}


def test_lemtrada_from_the_temporary_to_the_final_measures_tightens_all_else() -> None:
    found = lemtrada(2, 3)
    added = {name for name, change in found.items() if change.rule_kind == "contraindication"}
    assert added == {
        *("severe-active-infection", "uncontrolled-hypertension", "arterial-dissection", "stroke"),
        *("angina-or-mi", "coagulopathy", "autoimmune-disease"),
    }
    assert {effects(found[name])["contraindication-added"] for name in added} == {"tightened"}
    assert {found[name].severity for name in added} == {"critical"}
    assert effects(found["care-setting"])["setting-extended"] == "tightened"
    assert effects(found["liver-function"])["schedule-extended"] == "tightened"
    assert effects(found["ecg"])["monitoring-added"] == "tightened"
    for name in {*added, "care-setting", "liver-function", "ecg"}:
        assert "relaxed" not in found[name].directions


def test_lemtrada_from_the_authorisation_to_the_final_measures_tightens() -> None:
    found = lemtrada(1, 3)
    assert "tightened" in found["indication"].directions
    assert effects(found["indication-rapidly-evolving"]) == {"indication-added-within": "neutral"}
    assert directions(found) == {"tightened", "neutral"}


def test_no_single_word_stands_for_a_document() -> None:
    versions = corpus("ema/lemtrada")
    summary = compare(versions[2], versions[3]).summary
    assert {"tightened", "relaxed"} <= summary["directions"].keys()
    assert not {"direction", "effect", "severity"} & summary.keys()


@pytest.mark.parametrize("document", CORPUS)
def test_every_pair_of_the_corpus_compares_both_ways_and_patches_both_ways(document: str) -> None:
    for old, new in itertools.product([None, *corpus(document).values()], repeat=2):
        diff = compare(old, new)
        check(diff)
        assert diff.equal == (old == new)
        if old and new:
            assert canonical(patched(old, patch_between(old, new))) == canonical(new)
            assert canonical(patched(new, patch_between(new, old))) == canonical(old)


# --- a diff is empty if and only if the bytes are equal -----------------------------------------------------

LEAVES = st.sampled_from([None, True, False, 0, 1, 1.0, -0.0, 0.0, "", "1", "a", "b\nc"])
ITEMS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)
MEMBERS = st.dictionaries(
    st.sampled_from(["thresholds", "codes", "replaces", "number", "title", "interpretation", "__x", "other/~", ""]),
    ITEMS,
)


@QUICK
@given(MEMBERS, MEMBERS)
def test_the_fields_of_a_rule_are_none_only_where_its_bytes_are_equal(old: Json, new: Json) -> None:
    fields = fields_between(old, new)
    assert bool(fields) == (canonical(old) != canonical(new))
    back = fields_between(new, old)
    turned = {"added": "removed", "removed": "added"}
    assert {(f.pointer, turned.get(f.change, f.change)) for f in fields} == {(f.pointer, f.change) for f in back}


@QUICK
@given(MEMBERS, MEMBERS)
def test_deepdiff_sees_exactly_what_is_told_of_the_members_beside_the_rules(old: Json, new: Json) -> None:
    told = fields_beside(old, new)
    assert [repr(one) for one in told] == [repr(one) for one in fields_between(old, new)]


@QUICK
@given(st.lists(st.sampled_from("abcd"), max_size=5), st.lists(st.sampled_from("abcd"), max_size=5))
def test_the_order_and_number_of_items_of_any_list_counts(old: list[str], new: list[str]) -> None:
    for member, item in (("setting", lambda name: {"id": name, "text": "x"}), ("jurisdictions", str), ("odd", list)):
        before, after = rule(**{member: [item(name) for name in old]}), rule(**{member: [item(name) for name in new]})
        assert bool(fields_between(before, after)) == (old != new)


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (True, 1, "changed"),
        (1, 1.0, "changed"),
        (0.0, -0.0, "changed"),
        (None, ..., "removed"),
        (..., None, "added"),
        ([], {}, "changed"),
        (["a"], {"a": "a"}, "changed"),
        ("", None, "changed"),
        ("é", "e\u0301", "changed"),
    ],
)
def test_values_that_look_alike_differ(old: Json, new: Json, change: str) -> None:
    before = {"id": "x"} if old is ... else {"id": "x", "odd": old}
    after = {"id": "x"} if new is ... else {"id": "x", "odd": new}
    first = fields_between(before, after)[0]
    assert (first.pointer, first.change) == ("/odd", change)


def test_null_and_absent_differ_in_json() -> None:
    (change,) = to_json(compare(version(note=None), version()))["changes"]
    assert change["fields"] == [{"pointer": "/note", "change": "removed", "old": None}]


def test_equal_sides_have_an_equal_hash_and_no_changes() -> None:
    diff = compare(version(rule()), version(rule()))
    assert diff.equal
    assert diff.changes == ()
    assert diff.unchanged == 1
    assert diff.old.sha256 == diff.new.sha256
    check(diff)


def test_a_difference_that_deepdiff_misses_is_an_error_and_never_an_empty_diff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep, "DeepDiff", lambda *_, **__: {})
    with pytest.raises(Unaccounted, match="do not account"):
        compare(version(rule(schedule={"before": True})), version(rule(schedule={"during": True})))


def test_a_difference_outside_all_changes_is_an_error_and_never_an_empty_diff() -> None:
    without = version()
    del without["rules"]
    with pytest.raises(Unaccounted, match="they differ, and no change was found"):
        compare(version(), without)


def test_a_hash_that_is_known_is_not_worked_out_again_and_a_wrong_one_is_an_error_and_never_an_empty_diff() -> None:
    old, new = version(rule("one")), version(rule("one", text="Otherwise."))
    told = compare(old, new)
    assert compare(old, new, hashes=(told.old.sha256, told.new.sha256)) == told
    assert compare(old, new, hashes=(None, told.new.sha256)) == told
    with pytest.raises(Unaccounted, match="they differ, and no change was found"):
        compare(old, old, hashes=(told.old.sha256, told.new.sha256))


def test_key_order_is_no_difference() -> None:
    turned = dict(reversed(version(rule()).items()))
    assert compare(version(rule()), turned).equal


def test_a_diff_is_the_same_bytes_under_any_hash_seed() -> None:
    code = (
        "import json, sys, orjson; from guidance.changes import compare, to_json;"
        "old, new = (json.load(open(name)) for name in sys.argv[1:]);"
        "sys.stdout.buffer.write(orjson.dumps(to_json(compare(old, new))))"
    )
    folder = ROOT / "guidance/corpus/documents/ema/lemtrada/versions"
    command = [sys.executable, "-c", code, str(folder / "2.json"), str(folder / "3.json")]
    running = [
        subprocess.Popen(command, env={**os.environ, "PYTHONHASHSEED": seed}, cwd=ROOT, stdout=subprocess.PIPE)
        for seed in ("0", "77")
    ]
    outputs = [process.communicate()[0] for process in running]
    assert outputs[0] == outputs[1] != b""


# --- 2,000 random pairs whose truth is known ------------------------------------------------------------------


def random_rule(name: str, chance: random.Random) -> dict[str, Json]:
    return rule(
        name,
        kind=chance.choice(KINDS),
        modality=chance.choice(["must", "should", "may", "should-not", "must-not"]),
        cohort=chance.choice(["initiation", "continuation", "everyone"]),
        population=chance.choice([None, {"include": criteria("rrms", "adult")[: chance.randint(1, 2)]}]),
        schedule=chance.choice([None, {"every": chance.choice(["P1M", "P3M"])}]),
        text=f"Rule {name} asks for {chance.randint(1, 9)} of {chance.choice(['this', 'that'])}.",
    )


MUTATIONS: list[Callable[[dict[str, Json], random.Random], None]] = [
    lambda body, chance: body.update(text=body["text"] + " More."),
    lambda body, chance: body.update(modality="may" if body["modality"] != "may" else "must"),
    lambda body, chance: body.update(population={"include": criteria("rrms", "adult", "other")}),
    lambda body, chance: body.update(interpretation="Read so."),
    lambda body, chance: body["source"].update(section=f"4.{chance.randint(1, 9)}"),
    lambda body, chance: body.update(setting=criteria("hospital")),
    lambda body, chance: body.update(thresholds=[{"what": "n", "operator": ">=", "value": 2, "unit": "1"}]),
]


def random_pair(chance: random.Random) -> tuple[dict[str, Json], dict[str, Json], dict[str, set[str]]]:
    """Two versions and, by kind, the ids of what was done from the one to the other."""
    names = [f"r{number}" for number in range(chance.randint(1, 9))]
    before = [random_rule(name, chance) for name in names]
    kept = [body for body in before if chance.random() < 0.8]
    after = json.loads(json.dumps(kept))
    truth: dict[str, set[str]] = {"removed": set(names) - {body["id"] for body in kept}}
    truth["changed"] = {body["id"] for body in after if chance.random() < 0.3}
    for body in after:
        if body["id"] in truth["changed"]:
            chance.choice(MUTATIONS)(body, chance)
    truth["moved"] = set()
    if len(after) > 2 and chance.random() < 0.4:
        # A step of two or more: a step of one could as well be told of its neighbour.
        away = after.pop(0)
        after.insert(chance.randint(2, len(after)), away)
        truth["moved"] = {away["id"]}
    truth["added"] = {f"n{number}" for number in range(chance.choice([0, 0, 1, 2]))}
    for name in sorted(truth["added"]):
        after.insert(chance.randint(0, len(after)), random_rule(name, chance))
    return version(*before), version(*after), truth


def told(diff: Diff) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {kind: set() for kind in ("added", "removed", "changed", "moved")}
    for change in diff.changes:
        for kind in (change.kind, *change.also):
            found[kind].add(change.name)
    return found


def test_two_thousand_random_pairs_tell_exactly_what_was_done_and_every_fourth_its_reverse() -> None:
    chance = random.Random(20200116)
    for number in range(2000):
        old, new, truth = random_pair(chance)
        forth = compare(old, new)
        assert told(forth) == truth
        assert forth.unchanged == len(new["rules"]) - len(truth["added"] | truth["changed"] | truth["moved"])
        if number % 4:
            continue
        back = compare(new, old)
        assert told(back) == {**truth, "added": truth["removed"], "removed": truth["added"]}
        reverse = {change.name: change for change in back.changes}
        for change in forth.changes:
            assert {TURNED.get(one, one) for one in change.directions} == set(reverse[change.name].directions)
            assert change.severity == reverse[change.name].severity


def test_fifty_random_pairs_patch_both_ways_and_fit_the_schema() -> None:
    chance = random.Random(20190412)
    for _ in range(50):
        old, new, _ = random_pair(chance)
        check(compare(old, new))
        assert canonical(patched(old, patch_between(old, new))) == canonical(new)
        assert canonical(patched(new, patch_between(new, old))) == canonical(old)


# --- kinds, moves, numbers ------------------------------------------------------------------------------------


def test_the_order_of_rules_alone_is_a_move() -> None:
    a, b, c, d = (rule(name) for name in "abcd")
    (change,) = compare(version(a, b, c, d), version(b, c, d, a)).changes
    assert (change.name, change.kind, change.old_place, change.new_place) == ("a", "moved", 1, 4)
    assert change.severity == "editorial"


def test_a_number_or_section_alone_is_a_renumbering() -> None:
    change = one_change(rule(number="1.1", section="SmPC 4.4"), rule(number="1.2", section="SmPC 4.5"))
    assert change.kind == "renumbered"
    assert change.severity == "editorial"
    assert not change.review


def test_a_rule_changed_moved_and_renumbered_at_once_is_one_change_that_says_so() -> None:
    old = version(rule("a", number="1"), rule("b"), rule("c"))
    new = version(rule("b"), rule("c"), rule("a", number="3", modality="should"))
    (change,) = compare(old, new).changes
    assert (change.kind, change.also) == ("changed", ("renumbered", "moved"))


def test_changes_read_in_the_order_of_the_newer_side_with_removed_rules_where_they_stood() -> None:
    old = version(*(rule(name) for name in ("gone-first", "a", "gone-later", "b")))
    new = version(*(rule(name) for name in ("new-first", "a", "b", "new-last")), title="Other")
    assert [change.name for change in compare(old, new).changes] == [
        *("title", "gone-first", "new-first", "gone-later", "new-last"),
    ]


def test_an_item_of_a_list_is_named_by_its_identity() -> None:
    old = rule(population={"include": criteria("a", "b")})
    new = rule(population={"include": [{"id": "b", "text": "Another text"}, *criteria("c")]})
    assert [(one.pointer, one.change) for one in one_change(old, new).fields] == [
        ("/population/include/a", "removed"),
        ("/population/include/b/text", "changed"),
        ("/population/include/c", "added"),
    ]


def test_a_list_in_another_order_is_reported_as_such_and_is_editorial() -> None:
    change = one_change(rule(setting=criteria("a", "b")), rule(setting=criteria("b", "a")))
    assert [(one.pointer, one.change, one.old, one.new) for one in change.fields] == [
        ("/setting", "reordered", ["a", "b"], ["b", "a"])
    ]
    assert (change.severity, effects(change)) == ("editorial", {"reordered": "neutral"})


def test_a_changed_text_carries_its_redline_and_an_added_rule_its_whole() -> None:
    change = one_change(rule(text="Test monthly."), rule(text="Test daily."))
    assert [segment.text for segment in change.segments] == ["Test ", "monthly", "daily", "."]
    (added,) = compare(version(), version(rule())).changes
    assert added.fields[0].new == rule()
    assert added.segments[0].op == "inserted"


def test_nothing_on_one_side_is_a_beginning_or_an_end_and_every_rule_with_it() -> None:
    diff = compare(None, version(rule()))
    assert [(change.name, change.kind) for change in diff.changes] == [("version", "added"), ("liver", "added")]
    assert diff.old.version is None
    gone = compare(version(rule()), None)
    assert [change.kind for change in gone.changes] == ["removed", "removed"]
    assert compare(None, None).equal
    for one in (diff, gone, compare(None, None)):
        check(one)


def test_two_documents_are_refused() -> None:
    with pytest.raises(BadParameter, match="ema/other"):
        compare(version(rule()), version(rule(), document="ema/other"))


def test_a_rule_id_that_stands_twice_is_refused_with_its_pointer() -> None:
    with pytest.raises(InvalidDocument) as refused:
        compare(version(rule()), version(rule(), rule()))
    assert refused.value.violations[0].pointer == "/rules/1/id"


def test_the_question_and_what_was_asked_are_handed_through() -> None:
    asked = ({"on": "2020-01-15"}, {"on": "2020-01-16"})
    body = to_json(compare(version(), version(), question="in-force", asked=asked))
    assert body["question"] == "in-force"
    assert (body["old"]["asked"], body["new"]["asked"]) == asked


def test_tallies_of_parts_add_up_to_the_tally_of_all() -> None:
    versions = corpus("ema/lemtrada")
    found = [compare(versions[old], versions[new]).changes for old, new in itertools.permutations(versions, 2)]
    assert changes.added_up(map(tally, found)) == tally(itertools.chain(*found))
    assert changes.added_up([]) == tally([])


def test_counts_of_several_diffs_add_up() -> None:
    one = compare(version(rule("a")), version(rule("b")))
    two = compare(version(rule("a")), version(rule("a", modality="should")))
    summary = tally([*one.changes, *two.changes])
    assert summary["kinds"] == {"added": 1, "changed": 1, "removed": 1}
    assert summary["changes"] == 3


# --- directions -----------------------------------------------------------------------------------------------

ALLOWS = {"kind": "indication", "modality": "may"}
FORBIDS = {"kind": "contraindication", "modality": "must-not"}
LIMITS = {"kind": "restriction", "modality": "must"}


def threshold(operator: str, value: float, **members: Json) -> list[dict[str, Json]]:
    return [{"what": "prior-dmts", "operator": operator, "value": value, "unit": "1", **members}]


ORDERED = [
    ({"modality": "should"}, {"modality": "must"}, "modality-strengthened", "tightened"),
    ({"modality": "may"}, {"modality": "should"}, "modality-strengthened", "tightened"),
    ({"modality": "should-not"}, {"modality": "must-not"}, "modality-strengthened", "tightened"),
    ({"modality": "should"}, {"modality": "should-not"}, "modality-crossed", "unordered"),
    ({"modality": "may"}, {"modality": "must-not"}, "modality-crossed", "unordered"),
    ({"cohort": "everyone"}, {"cohort": "initiation"}, "cohort-narrowed", "relaxed"),
    ({**ALLOWS, "cohort": "everyone"}, {**ALLOWS, "cohort": "initiation"}, "cohort-narrowed", "tightened"),
    ({"cohort": "continuation"}, {"cohort": "initiation"}, "cohort-changed", "unordered"),
    ({}, {"population": {"include": criteria("a")}}, "population-narrowed", "relaxed"),
    (ALLOWS, {**ALLOWS, "population": {"include": criteria("a")}}, "population-narrowed", "tightened"),
    (FORBIDS, {**FORBIDS, "population": {"exclude": criteria("a")}}, "population-narrowed", "relaxed"),
    (LIMITS, {**LIMITS, "population": {"include": criteria("a")}}, "population-narrowed", "unordered"),
    ({}, {"population": {"age": {"from": 18}}}, "population-narrowed", "relaxed"),
    ({}, {"population": {"age": {"under": 65}}}, "population-narrowed", "relaxed"),
    ({}, {"population": {"sex": "female"}}, "population-narrowed", "relaxed"),
    ({"population": {"sex": "male"}}, {"population": {"sex": "female"}}, "population-changed", "unordered"),
    ({"population": {"age": {"from": 12, "under": 65}}}, {"population": {"age": {"from": 18, "under": 70}}},
     "population-changed", "unordered"),
    ({**ALLOWS, "thresholds": threshold(">=", 1)}, {**ALLOWS, "thresholds": threshold(">=", 2)},
     "threshold-narrowed", "tightened"),
    ({**ALLOWS, "thresholds": threshold(">=", 2)}, {**ALLOWS, "thresholds": threshold(">", 2)},
     "threshold-narrowed", "tightened"),
    ({**ALLOWS, "thresholds": threshold(">=", 2)}, {**ALLOWS, "thresholds": threshold("<=", 2)},
     "threshold-changed", "unordered"),
    ({**FORBIDS, "thresholds": threshold("<", 30)}, {**FORBIDS, "thresholds": threshold("<", 60)},
     "threshold-widened", "tightened"),
    (FORBIDS, {**FORBIDS, "thresholds": threshold("<", 60)}, "threshold-changed", "unordered"),
    ({"thresholds": threshold(">", 3)}, {"thresholds": threshold(">", 5)}, "threshold-changed", "unordered"),
    ({**ALLOWS, "thresholds": threshold(">=", 2, unit="g")}, {**ALLOWS, "thresholds": threshold(">=", 2, unit="mg")},
     "threshold-changed", "unordered"),
    ({**ALLOWS, "thresholds": threshold(">=", 2, within="P2Y")},
     {**ALLOWS, "thresholds": threshold(">=", 2, within="P1Y")}, "threshold-narrowed", "tightened"),
    ({"schedule": {"every": "P3M"}}, {"schedule": {"every": "P1M"}}, "schedule-extended", "tightened"),
    ({"schedule": {"before": True}}, {"schedule": {"before": True, "during": True}}, "schedule-extended", "tightened"),
    ({"schedule": {"every": "P1M", "until": "P12M", "after": "x"}},
     {"schedule": {"every": "P1M", "until": "P48M", "after": "x"}}, "schedule-extended", "tightened"),
    ({"schedule": {"every": "P1M"}}, {"schedule": {"every": "P1M", "until": "P48M", "after": "x"}},
     "schedule-changed", "unordered"),
    ({"schedule": {"every": "P1M"}}, {"schedule": {"every": "P4W"}}, "schedule-changed", "unordered"),
    ({"kind": "posology", "schedule": {"every": "P2W"}}, {"kind": "posology", "schedule": {"every": "P1W"}},
     "schedule-extended", "unordered"),
    ({}, {"setting": criteria("hospital")}, "setting-extended", "tightened"),
    ({"setting": criteria("a")}, {"setting": criteria("b")}, "setting-changed", "unordered"),
    ({}, {"medicines": ["ocrelizumab"]}, "medicines-narrowed", "relaxed"),
    ({"medicines": ["ocrelizumab"]}, {"medicines": ["alemtuzumab"]}, "medicines-changed", "unordered"),
    (ALLOWS, {**ALLOWS, "jurisdictions": ["NI"]}, "places-narrowed", "tightened"),
    ({"kind": "contraindication"}, {"kind": "precaution"}, "kind-changed", "unordered"),
    ({}, {"interpretation": "Read so."}, "interpretation-changed", "unordered"),
    ({}, {"commencements": [{"jurisdictions": ["EU"], "from": "2021-01-01", "basis": "x"}]},
     "effective-date-changed", "neutral"),
    ({}, {"codes": [{"system": "atc", "code": "L04AG06"}]}, "code-changed", "neutral"),
    ({}, {"source": {"ref": "label", "section": "4.4"}}, "source-changed", "neutral"),
    ({}, {"title": "Another title"}, "title-changed", "neutral"),
    ({}, {"text": "Another text."}, "wording-unordered", "unordered"),
    ({}, {"wording_only": True}, "claim-changed", "neutral"),
    ({}, {"colour": "red"}, "other-changed", "unordered"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "effect", "direction"), ORDERED)
def test_an_ordering_gives_the_direction_and_swapping_sides_turns_it(
    old: dict[str, Json], new: dict[str, Json], effect: str, direction: str
) -> None:
    forth, back = one_change(rule(**old), rule(**new)), one_change(rule(**new), rule(**old))
    assert effects(forth)[effect] == direction
    assert set(back.directions) == {TURNED.get(one, one) for one in forth.directions}
    assert ("unordered" in forth.directions) == bool(forth.review)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_added_or_removed_goes_the_way_of_its_kind(kind: str) -> None:
    usual = {"indication": "may", "contraindication": "must-not", "suspension": "must-not"}
    body = rule(kind=kind, modality=usual.get(kind, "must"))
    (added,) = compare(version(), version(body)).changes
    (removed,) = compare(version(body), version()).changes
    expected = {"indication": "relaxed", "posology": "unordered", "information": "neutral"}.get(kind, "tightened")
    assert added.directions == (expected,)
    assert removed.directions == (TURNED.get(expected, expected),)


def test_a_modality_that_crosses_its_chain_is_critical() -> None:
    assert one_change(rule(modality="must"), rule(modality="must-not")).severity == "critical"


def test_a_change_of_form_that_says_the_same_is_restated_and_neutral() -> None:
    change = one_change(rule(schedule={"every": "P1M"}), rule(schedule={"every": "P1M", "during": True}))
    assert effects(change) == {"restated": "neutral"}


def test_naming_every_medicine_of_the_version_narrows_nothing() -> None:
    change = one_change(rule(), rule(medicines=["alemtuzumab", "ocrelizumab"]))
    assert effects(change) == {"restated": "neutral"}


def test_an_indication_with_structured_reasons_needs_no_review_of_its_text() -> None:
    old = rule(**ALLOWS, thresholds=threshold(">=", 2), text="At least two courses.")
    new = rule(**ALLOWS, thresholds=threshold(">=", 1), text="At least one course.")
    assert effects(one_change(old, new)) == {"threshold-widened": "relaxed", "text-follows": "neutral"}


def test_a_negation_beside_structured_reasons_is_never_let_pass() -> None:
    old = rule(schedule={"every": "P1M"}, text="Do not stop early.")
    new = rule(schedule={"every": "P3M"}, text="Do stop early.")
    assert effects(one_change(old, new))["negation-changed"] == "unordered"


@pytest.mark.parametrize(
    ("old", "new", "order"),
    [
        ("P1Y", "P12M", "same"),
        ("P1W", "P7D", "same"),
        ("P1M", "P32D", "more"),
        ("P1M", "P30D", "apart"),
        ("P2M", "P1M", "less"),
        ("PT90M", "PT1H", "less"),
        ("P1M", "often", "apart"),
    ],
)
def test_durations_are_ordered_as_far_as_a_month_allows(old: str, new: str, order: str) -> None:
    assert of_durations(old, new) == order


SPANS = st.builds(threshold, st.sampled_from(["<", "<=", "=", ">=", ">"]), st.integers(0, 4))


@QUICK
@given(SPANS, SPANS)
def test_thresholds_are_ordered_as_the_numbers_that_pass_them(old: Json, new: Json) -> None:
    tests: dict[str, Callable[[float, float], bool]] = {
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        "=": lambda a, b: a == b,
        ">=": lambda a, b: a >= b,
        ">": lambda a, b: a > b,
    }
    grid = [number / 2 for number in range(-4, 14)]
    before, after = ({n for n in grid if tests[one["operator"]](n, one["value"])} for one in (old[0], new[0]))
    expected = "same" if before == after else "less" if after < before else "more" if before < after else "apart"
    assert of_thresholds(old, new).get("prior-dmts", "same") == expected


@QUICK
@given(*[st.fixed_dictionaries({}, optional={
    "include": st.lists(st.sampled_from("ab"), unique=True).map(lambda names: criteria(*names)),
    "exclude": st.lists(st.sampled_from("ab"), unique=True).map(lambda names: criteria(*names)),
    "sex": st.sampled_from(["female", "male"]),
    "age": st.fixed_dictionaries({}, optional={"from": st.integers(0, 2), "under": st.integers(3, 5)}),
})] * 2)  # fmt: skip
def test_swapping_populations_turns_their_order(old: Json, new: Json) -> None:
    turned = {"less": "more", "more": "less"}
    order = of_populations(old, new)
    assert of_populations(new, old) == turned.get(order, order)
    assert of_populations(old, old) == "same"


# --- claims, replacements, endings ----------------------------------------------------------------------------


def next_version(*rules: dict[str, Json], **members: Json) -> dict[str, Json]:
    return version(*rules, number=2, **members)


def rules_only(diff: Diff) -> dict[str, Change]:
    return {change.name: change for change in diff.changes if change.subject == "rule"}


def test_wording_only_is_believed_where_nothing_contradicts_it() -> None:
    new = rule(text="Tests of the liver are done.", wording_only=True)
    change = rules_only(compare(version(rule(text="The liver is tested.")), next_version(new)))["liver"]
    assert effects(change) == {"wording-only": "neutral"}
    assert (change.claimed, change.severity, change.review) == (True, "editorial", ())


def test_wording_only_is_contradicted_by_a_number_and_by_a_structured_field() -> None:
    old = rule(text="Test for 48 months.", schedule={"every": "P1M"})
    new = rule(text="Test for 12 months.", schedule={"every": "P3M"}, wording_only=True)
    change = rules_only(compare(version(old), next_version(new)))["liver"]
    assert change.contradicted_by == ("numbers: 48 month became 12 month", "/schedule/every differs")
    assert change.review
    assert effects(change)["schedule-reduced"] == "relaxed"


def test_wording_only_speaks_of_the_version_before_and_of_no_other() -> None:
    new = rule(text="Tests of the liver are done.", wording_only=True)
    skipped = rules_only(compare(version(rule()), version(new, number=3)))["liver"]
    corrected = one_change(rule(), new)
    assert not skipped.claimed
    assert not corrected.claimed
    assert effects(skipped)["wording-unordered"] == "unordered"


def test_a_rule_that_replaces_one_of_its_kind_is_compared_with_it() -> None:
    old = rule("old-name", schedule={"every": "P3M"})
    new = rule("new-name", schedule={"every": "P1M"}, replaces=["old-name"])
    found = rules_only(compare(version(old), next_version(new)))
    assert effects(found["new-name"])["schedule-extended"] == "tightened"
    assert effects(found["old-name"]) == {"rule-replaced": "neutral"}
    assert found["old-name"].ending == changes.Ending("superseded", ("new-name",))
    back = rules_only(compare(next_version(new), version(old)))
    assert effects(back["old-name"])["schedule-reduced"] == "relaxed"
    assert back["new-name"].ending == changes.Ending("not-yet")


def test_rules_that_were_joined_or_split_need_review() -> None:
    new = rule("joined", replaces=["a", "b"])
    found = rules_only(compare(version(rule("a"), rule("b")), next_version(new)))
    assert effects(found["joined"]) == {"rules-rearranged": "unordered"}
    swallowed = rules_only(compare(version(rule("a"), rule("b")), next_version(rule("b", replaces=["a"]))))
    assert effects(swallowed["b"])["rules-rearranged"] == "unordered"


@pytest.mark.parametrize(
    ("members", "number", "how"),
    [
        ({}, 1, "corrected"),
        ({}, 2, "dropped"),
        ({"to": "2021-01-01", "ends": "repealed"}, 2, "repealed"),
        ({"to": "2021-01-01", "ends": "superseded"}, 2, "dropped"),
    ],
)
def test_a_removed_rule_says_how_it_ended(members: dict[str, str], number: int, how: str) -> None:
    commencements = [{"jurisdictions": ["EU"], "from": "2020-01-16", "basis": "x", **members}]
    old, new = version(rule("a"), rule("b"), commencements=commencements), version(rule("b"), number=number)
    assert rules_only(compare(old, new))["a"].ending == changes.Ending(how)


def ended(old: dict[str, Json], new: dict[str, Json] | None, first: str, last: str) -> str | None:
    """How rule a ended between two days."""
    diff = compare(old, new, question="in-force", asked=({"on": first}, {"on": last}))
    check(diff)
    found = rules_only(diff)["a"].ending
    return found.how if found else None


def stretch(start: str, to: str, ends: str) -> dict[str, Json]:
    return {"jurisdictions": ["EU"], "from": start, "to": to, "ends": ends, "basis": "x"}


def test_a_rule_that_ended_by_itself_is_not_told_as_corrected() -> None:
    own = [stretch("2020-01-16", "2020-03", "suspended"), stretch("2020-09-01", "2021-01-01", "expired")]
    old, new = version(rule("a", commencements=own), rule("b")), version(rule("b"))
    assert ended(old, new, "2020-12-31", "2021-01-01") == "expired"
    assert ended(old, new, "2020-03-31", "2020-04-01") == "suspended"
    assert ended(new, version(rule("a"), rule("b")), "2021-01-01", "2020-12-31") is None
    assert ended(old, new, "2021-01-01", "2020-01-01") == "not-yet"
    assert ended(version(rule("a"), commencements=[own[1]]), None, "2020-12-31", "2021-01-01") == "expired"


def test_between_days_time_says_which_side_is_later_and_not_the_number() -> None:
    whole = [stretch("2021-01-01", "2030-01-01", "expired")]
    started_first = version(rule("a"), rule("b"), number=3, commencements=whole)
    started_later = version(rule("b"), number=2)
    assert ended(started_first, started_later, "2021-12-31", "2022-01-01") == "dropped"
    assert ended(version(rule("a"), number=2), version(rule("b"), number=3), "2022-01-01", "2021-12-31") == "not-yet"


@pytest.mark.parametrize("question", ["revisions", "corrections"])
def test_between_revisions_a_rule_was_taken_out_by_the_later_of_them(question: changes.Question) -> None:
    ends = [stretch("2020-01-16", "2021-01-01", "expired")]
    old, new = version(rule("a"), rule("b"), commencements=ends), version(rule("b"), commencements=ends)
    asked: Json = ({"on": "2020-06-01"}, {"on": "2020-06-01"})
    for backward, how in ((False, "corrected"), (True, "not-yet")):
        diff = compare(old, new, question=question, asked=asked, backward=backward)
        assert rules_only(diff)["a"].ending == changes.Ending(how)
    nothing = compare(old, None, question="corrections", asked=asked)
    assert rules_only(nothing)["a"].ending == changes.Ending("corrected")


def test_an_indication_within_one_that_stood_relaxes_nothing() -> None:
    wide = rule("wide", **ALLOWS, population={"include": criteria("rrms")})
    narrow = rule("narrow", **ALLOWS, population={"include": criteria("rrms", "active")}, thresholds=threshold(">=", 1))
    apart = rule("apart", **ALLOWS, population={"include": criteria("ppms")})
    anyone = rule("anyone", **ALLOWS)
    assert effects(rules_only(compare(version(wide), version(wide, narrow)))["narrow"]) == {
        "indication-added-within": "neutral"
    }
    assert effects(rules_only(compare(version(wide), version(wide, apart)))["apart"]) == {"indication-added": "relaxed"}
    assert effects(rules_only(compare(version(narrow), version(narrow, wide)))["wide"]) == {
        "indication-added": "relaxed"
    }
    assert effects(rules_only(compare(version(anyone), version(anyone, wide)))["wide"]) == {
        "indication-added": "relaxed"
    }


# --- the version beside its rules -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "effect", "severity"),
    [
        ({"title": "Other"}, "title-changed", "editorial"),
        ({"stage": "adopted"}, "stage-changed", "major"),
        ({"status": "overruled", "status_note": "x"}, "status-changed", "major"),
        ({"number": 2}, "another-version", "editorial"),
        ({"note": "x"}, "note-changed", "editorial"),
        ({"milestones": [{"act": "decided", "by": "EC"}]}, "milestones-changed", "minor"),
        ({"sources": []}, "source-changed", "minor"),
        ({"medicines": [{"inn": "alemtuzumab"}]}, "medicine-removed", "major"),
        ({"medicines": [{"inn": "ocrelizumab"}, {"inn": "alemtuzumab"}]}, "reordered", "editorial"),
        ({"medicines": [{"inn": "alemtuzumab", "brands": ["x"]}, {"inn": "ocrelizumab"}]}, "code-changed", "minor"),
        ({"colour": "red"}, "other-changed", "major"),
    ],
)
def test_what_changes_beside_the_rules_is_a_change_of_the_version(
    members: dict[str, Json], effect: str, severity: str
) -> None:
    diff = compare(version(rule()), version(rule(), **members))
    check(diff)
    assert {change.subject for change in diff.changes} == {"version"}
    assert all(effect in effects(change) for change in diff.changes)
    assert {change.severity for change in diff.changes} == {severity}


def test_another_day_of_the_same_version_is_a_changed_effective_date_and_major() -> None:
    day = [{"jurisdictions": ["EU"], "from": "2020-02-01", "basis": "Date of the decision."}]
    (change,) = compare(version(rule()), version(rule(), commencements=day)).changes
    assert effects(change) == {"effective-date-changed": "neutral"}
    assert change.severity == "major"
    assert [one.pointer for one in change.fields] == ["/commencements/EU/from"]


def test_two_acts_of_one_kind_on_two_days_are_two_acts_and_no_day_that_moved() -> None:
    first, then = ({"act": "decided", "by": "European Commission", "date": day} for day in ("2019-04-25", "2020-01-16"))
    found = {change.name: change for change in compare(version(milestones=[first]), version(milestones=[then])).changes}
    assert [(one.change, one.old, one.new) for one in found["milestones"].fields] == [
        ("removed", first, None),
        ("added", None, then),
    ]


def test_two_versions_differ_in_their_days_as_versions_do() -> None:
    day = [{"jurisdictions": ["EU"], "from": "2020-02-01", "basis": "Date of the decision."}]
    found = {change.name: change for change in compare(version(), next_version(commencements=day)).changes}
    assert found["commencements"].severity == "minor"


def test_only_what_is_said_about_a_day_is_minor() -> None:
    basis = [{"jurisdictions": ["EU"], "from": "2020-01-16", "basis": "Day of the notification."}]
    (change,) = compare(version(rule()), version(rule(), commencements=basis)).changes
    assert effects(change) == {"basis-changed": "neutral"}


# --- the table ---------------------------------------------------------------------------------------------------


def test_an_operator_may_judge_an_effect_otherwise() -> None:
    table = TABLE.overridden({"moved": "major", "monitoring-added": {"severity": "minor", "words": "Another check"}})
    (change,) = compare(version(), version(rule()), table=table).changes
    assert (change.severity, change.effects[0].words) == ("minor", "Another check")
    assert table.sha256 != TABLE.sha256
    assert compare(version(), version(), table=table).table == table.sha256


def test_an_operator_may_judge_a_kind_of_rule_otherwise() -> None:
    table = TABLE.overridden({"wording-unordered": {"kinds": {"monitoring": "critical"}}})
    (change,) = compare(version(rule()), version(rule(text="Other.")), table=table).changes
    assert change.severity == "critical"
    assert table.rows["wording-unordered"].kinds == {**TABLE.rows["wording-unordered"].kinds, "monitoring": "critical"}


def test_a_file_is_laid_over_the_reviewed_table_and_none_leaves_it_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "severity.json"
    file.write_text('{"moved": "major"}', "utf-8")
    assert chosen("") is TABLE
    assert chosen(str(file)).sha256 == TABLE.overridden({"moved": "major"}).sha256


@pytest.mark.parametrize(
    ("written", "pointer", "why"),
    [
        (b'{"moved": "grave"}', "/moved", "is not one of editorial, minor, major, critical"),
        (b'{"moved": "major", "moved": "minor"}', "/moved", "twice"),
        (b"{", "", "JSON"),
        (b'{"moved": "\xff"}', "", "UTF-8"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_its_name_and_the_pointer(
    tmp_path: Path, written: bytes, pointer: str, why: str
) -> None:
    file = tmp_path / "severity.json"
    file.write_bytes(written)
    with pytest.raises(BadInput) as refused:
        chosen(str(file))
    for part in (str(file), pointer, why):
        assert part in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path / "none.json", tmp_path):
        with pytest.raises(BadParameter, match=r"--severity-file.*cannot be read"):
            chosen(str(place))


@pytest.mark.parametrize(
    ("body", "pointer", "why"),
    [
        ([], "", "is not an object"),
        ({"moves": "major"}, "/moves", "did you mean moved"),
        ({"moved": "grave"}, "/moved", "'grave' is not one of editorial, minor, major, critical"),
        ({"moved": 3}, "/moved", "3 is not one of"),
        ({"moved": {"severity": "grave"}}, "/moved/severity", "is not one of"),
        ({"moved": {"direction": "relaxed"}}, "/moved/direction", "is not one of severity, kinds, words"),
        ({"moved": {"words": ""}}, "/moved/words", "is not a text"),
        ({"moved": {"kinds": []}}, "/moved/kinds", "is not an object of kinds"),
        ({"moved": {"kinds": {"advice": "major"}}}, "/moved/kinds/advice", "is not a kind of rule"),
        ({"moved": {"severity": ["major"]}}, "/moved/severity", "is not one of"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_pointer_to_blame(body: Json, pointer: str, why: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        TABLE.overridden(body, "severity.json")
    (violation,) = refused.value.violations
    assert (violation.pointer, violation.file) == (pointer, "severity.json")
    assert why in violation.why


def test_every_row_of_the_table_is_well_formed() -> None:
    for effect, row in TABLE.rows.items():
        assert row.severity in SEVERITIES, effect
        assert set(row.kinds) <= set(KINDS), effect
        assert set(row.kinds.values()) <= set(SEVERITIES), effect
        assert set(row.direction) <= set(READINGS), effect
        assert set(row.direction.values()) <= {"tightened", "relaxed", "neutral"}, effect


def test_rows_that_are_each_others_reverse_have_reverse_directions_and_one_severity() -> None:
    pairs = [("added", "removed"), ("narrowed", "widened"), ("extended", "reduced"), ("strengthened", "weakened")]
    seen = 0
    for effect, row in TABLE.rows.items():
        for word, reverse in pairs:
            if f"-{word}" in effect:
                other = TABLE.rows[effect.replace(word, reverse)]
                assert {reading: TURNED.get(way, way) for reading, way in row.direction.items()} == other.direction
                assert (row.severity, row.kinds) == (other.severity, other.kinds)
                seen += 1
    assert seen > 15


def test_the_page_for_people_shows_every_row_of_the_table() -> None:
    page = (ROOT / "docs/severity.md").read_text("utf-8")
    for effect, row in TABLE.rows.items():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{effect}` |")]
        for part in (row.words, row.severity, row.when, *row.kinds):
            assert part in line
        for reading, way in row.direction.items():
            assert f"{reading}: {way}" in line or f"| {way} |" in line


# --- patches -------------------------------------------------------------------------------------------------------


def test_a_patch_tests_the_hash_of_its_base_first_and_sets_the_new_one() -> None:
    old, new = version(rule("a"), rule("b")), version(rule("b", modality="should"), rule("c"))
    operations = patch_between(old, new)
    assert operations[0] == {"op": "test", "path": "/sha256", "value": projection(old)["sha256"]}
    assert [(one["op"], one["path"]) for one in operations[1:]] == [
        ("replace", "/order"),
        ("replace", "/sha256"),
        ("remove", "/rules/a"),
        ("replace", "/rules/b/modality"),
        ("add", "/rules/c"),
    ]


def test_a_patch_on_a_stale_base_fails_loudly() -> None:
    old, new = version(rule()), version(rule(modality="should"))
    with pytest.raises(BadParameter, match="does not fit this version"):
        patched(version(rule(cohort="initiation")), patch_between(old, new))


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "remove", "path": "/rules"}],
        [{"op": "fly", "path": "/rules"}],
        [{"op": "remove", "path": "/rules/none"}],
        [{"op": "replace", "path": "/order", "value": 3}],
        [{"path": "/order"}],
        [3],
    ],
)
def test_operations_that_do_not_fit_are_refused(operations: list[Json]) -> None:
    with pytest.raises(BadParameter, match="does not fit"):
        patched(version(rule()), operations)


def test_a_patch_that_lies_about_the_hash_is_refused() -> None:
    with pytest.raises(Unaccounted, match="does not hash"):
        patched(version(rule()), [{"op": "replace", "path": "/rules/liver/modality", "value": "should"}])


def test_a_projection_gives_its_version_back() -> None:
    body = version(rule("b"), rule("a"))
    assert canonical(unprojected(projection(body))) == canonical(body)


def test_the_patch_between_equal_versions_changes_nothing() -> None:
    assert [one["op"] for one in patch_between(version(rule()), version(rule()))] == ["test"]


@QUICK
@given(MEMBERS, MEMBERS)
def test_a_patch_and_its_inverse_give_each_side_byte_for_byte(old: Json, new: Json) -> None:
    before, after = version({"id": "x", **old}), version({"id": "x", **new}, note="x")
    assert canonical(patched(before, patch_between(before, after))) == canonical(after)
    assert canonical(patched(after, patch_between(after, before))) == canonical(before)


# --- the schema's examples -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", sorted((ROOT / "schemas/examples/good").glob("diff-*.json")), ids=lambda path: path.stem
)
def test_a_good_example_of_a_diff_is_one(path: Path) -> None:
    assert [error.message for error in diff_schema().iter_errors(json.loads(path.read_text("utf-8")))] == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "schemas/examples/bad").glob("diff-*.json")), ids=lambda path: path.stem
)
def test_a_bad_example_of_a_diff_is_refused_at_the_pointer_that_it_names(path: Path) -> None:
    example = json.loads(path.read_text("utf-8"))
    blamed = {
        "".join(f"/{step}" for step in error.absolute_path) for error in diff_schema().iter_errors(example["body"])
    }
    assert example["blame"] in blamed
