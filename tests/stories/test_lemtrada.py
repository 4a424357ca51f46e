"""Lemtrada: on which day which rules applied, as known now and as known then.

Adopted in November 2019, "expected in January 2020", decided on 16 January 2020: until the day before, the temporary
measures of April 2019 were what applied. One table, asked through Python, the command line and HTTP.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from guidance.archive import Archive
from tests.service.doors import answer, door
from tests.stories.mouths import Ask

LEMTRADA = "ema/lemtrada"
S1 = (
    *("indication", "hypersensitivity", "hiv-infection", "care-setting", "premedication"),
    *("blood-count", "creatinine", "urinalysis", "thyroid"),
)
S2 = (
    *(
        "indication",
        "indication-others-unsuitable",
        "continuation",
        "hypersensitivity",
        "hiv-infection",
        "care-setting",
    ),
    *("premedication", "vital-signs", "liver-function", "blood-count", "creatinine", "urinalysis", "thyroid"),
)
S3 = (
    *("indication", "indication-rapidly-evolving", "monotherapy", "hypersensitivity", "hiv-infection"),
    *("severe-active-infection", "uncontrolled-hypertension", "arterial-dissection", "stroke", "angina-or-mi"),
    *("coagulopathy", "autoimmune-disease", "care-setting", "premedication", "vital-signs", "ecg", "liver-function"),
    *("blood-count", "creatinine", "urinalysis", "thyroid"),
)
FIRST = (1, None, "decided", "coming", "2013-09-12", None)
SECOND = (2, None, "provisional", "coming", "2019-04-12", None)
THIRD = (3, None, "decided", "coming", "2020-01-16", None)

ACCEPTANCE = [
    # on, state, version, rules, coming, next change
    ("2013-09-11", "not-yet", None, (), (FIRST, SECOND, THIRD), "2013-09-12"),
    ("2013-09-12", "in-force", 1, S1, (SECOND, THIRD), "2019-04-12"),
    ("2019-04-11", "in-force", 1, S1, (SECOND, THIRD), "2019-04-12"),
    ("2019-04-12", "in-force", 2, S2, (THIRD,), "2020-01-16"),
    ("2019-05-17", "in-force", 2, S2, (THIRD,), "2020-01-16"),
    ("2019-11-14", "in-force", 2, S2, (THIRD,), "2020-01-16"),
    ("2019-12-31", "in-force", 2, S2, (THIRD,), "2020-01-16"),
    ("2020-01-15", "in-force", 2, S2, (THIRD,), "2020-01-16"),
    ("2020-01-16", "in-force", 3, S3, (), "2024-01-01"),
    ("2020-02-01", "in-force", 3, S3, (), "2024-01-01"),
    (None, "in-force", 3, S3, (), None),
]


@pytest.mark.parametrize("register", ["corpus", "replayed"])
@pytest.mark.parametrize(("on", "state", "version", "rules", "coming", "change"), ACCEPTANCE)
def test_what_applies_on_a_day_in_the_european_union(
    ask: Ask,
    request: pytest.FixtureRequest,
    register: str,
    on: str | None,
    state: str,
    version: int | None,
    rules: tuple[str, ...],
    coming: tuple[Any, ...],
    change: str | None,
) -> None:
    told = ask(request.getfixturevalue(register), LEMTRADA, on, "EU")
    assert (told.state, told.version, told.rules) == (state, version, rules)
    assert (told.coming, told.next_change_on) == (coming, change)


def test_on_1_february_2020_as_the_register_knew_it_on_5_november_2019(ask: Ask, replayed: Archive) -> None:
    told = ask(replayed, LEMTRADA, "2020-02-01", "EU", "2019-11-05")
    assert (told.state, told.version, told.rules) == ("in-force", 2, S2)
    assert told.selected["period"] == {"from": "2019-04-12", "to": None}
    assert told.coming == ((3, None, "recommended", "outstanding", None, "2020-01"),)


def test_in_november_2019_it_was_expected_to_the_month_and_no_day_was_invented(ask: Ask, replayed: Archive) -> None:
    told = ask(replayed, LEMTRADA, "2019-11-05", "EU", "2019-11-05")
    assert told.coming == ((3, None, "recommended", "coming", None, "2020-01"),)
    assert told.next_change_on == "2020-02-01"
    adopted = ask(replayed, LEMTRADA, "2020-01-31", "EU", "2019-11-14")
    assert (adopted.version, adopted.rules) == (2, S2)
    assert adopted.coming == ((3, None, "adopted", "coming", None, "2020-01"),)


def test_before_the_recommendation_nothing_was_coming(ask: Ask, replayed: Archive) -> None:
    told = ask(replayed, LEMTRADA, "2020-02-01", "EU", "2019-10-30")
    assert (told.version, told.coming, told.next_change_on) == (2, (), None)


@pytest.mark.parametrize(("on", "code"), [("2023-12-31", "L04AA34"), ("2024-01-01", "L04AG06")])
def test_the_code_of_the_medicine_is_that_of_the_day(ask: Ask, corpus: Archive, on: str, code: str) -> None:
    told = ask(corpus, LEMTRADA, on, "EU")
    assert {found for found in told.codes if found.startswith("L04")} == {code}
    assert told.version == 3


def test_before_2024_nobody_knew_of_the_other_code(ask: Ask, replayed: Archive) -> None:
    for on in ("2023-12-31", "2024-01-02"):
        told = ask(replayed, LEMTRADA, on, "EU", "2023-12-30")
        assert {found for found in told.codes if found.startswith("L04")} == {"L04AA34"}


def test_the_united_kingdom_was_bound_on_the_same_day_and_told_later(ask: Ask, corpus: Archive) -> None:
    for on, version in (("2020-01-15", 2), ("2020-01-16", 3), ("2020-02-12", 3)):
        for place in ("UK", "GB", "NI"):
            assert ask(corpus, LEMTRADA, on, place).version == version
    told = answer(door(corpus), "/v1/documents/ema/lemtrada/versions/3")["version"]["milestones"]
    assert ("communicated", "2020-02-12", "UK") in {(m["act"], m.get("date"), m.get("jurisdiction")) for m in told}


def test_a_place_of_which_nothing_is_recorded_is_told_so(ask: Ask, corpus: Archive) -> None:
    told = ask(corpus, LEMTRADA, "2020-02-01", "CH")
    assert (told.state, told.version, told.rules, told.coming) == ("nothing-recorded", None, (), ())


# --- the three states, item by item ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def states(corpus: Archive) -> dict[int, dict[str, Any]]:
    """The rules of each version, by id."""
    client = door(corpus)
    days = {1: "2014-01-01", 2: "2019-12-01", 3: "2020-02-01"}
    found = {n: answer(client, f"/v1/documents/ema/lemtrada?on={day}")["version"]["rules"] for n, day in days.items()}
    return {number: {rule["id"]: rule for rule in rules} for number, rules in found.items()}


def test_the_indication_is_tightened_to_two_treatments_and_then_relaxed_to_one(states: dict[int, Any]) -> None:
    assert "thresholds" not in states[1]["indication"]
    for number, treatments in ((2, 2), (3, 1)):
        assert states[number]["indication"]["thresholds"] == [
            {"what": "prior-dmts", "operator": ">=", "value": treatments, "unit": "1"}
        ]


def test_the_other_arm_asks_for_two_disabling_relapses_in_one_year_and_never_in_two(states: dict[int, Any]) -> None:
    rule = states[3]["indication-rapidly-evolving"]
    assert rule["thresholds"] == [
        {"what": "disabling-relapses", "operator": ">=", "value": 2, "unit": "1", "within": "P1Y"}
    ]
    assert {"rapidly-evolving-severe", "mri-activity"} <= {one["id"] for one in rule["population"]["include"]}


def test_the_temporary_measures_spare_those_already_treated_and_the_decision_does_not(states: dict[int, Any]) -> None:
    cohorts = {number: {rule["cohort"] for rule in rules.values()} for number, rules in states.items()}
    assert states[2]["indication"]["cohort"] == "initiation"
    assert states[2]["continuation"]["cohort"] == "continuation"
    assert cohorts[1] == cohorts[3] == {"everyone"}


def test_the_decision_adds_seven_contraindications(states: dict[int, Any]) -> None:
    held = {
        n: {rule["id"] for rule in rules.values() if rule["kind"] == "contraindication"} for n, rules in states.items()
    }
    assert held[1] == held[2] == {"hypersensitivity", "hiv-infection"}
    assert held[3] - held[2] == {
        *("severe-active-infection", "uncontrolled-hypertension", "arterial-dissection", "stroke", "angina-or-mi"),
        *("coagulopathy", "autoimmune-disease"),
    }
    assert all(states[3][name]["modality"] == "must-not" for name in held[3])


def test_how_the_comma_in_the_contraindication_is_read_is_kept_as_a_note(states: dict[int, Any]) -> None:
    assert states[3]["coagulopathy"]["interpretation"]


def test_the_decision_asks_for_a_hospital_with_ready_access_to_intensive_care(states: dict[int, Any]) -> None:
    asked = {n: {one["id"] for one in rules["care-setting"]["setting"]} for n, rules in states.items()}
    assert asked[1] == asked[2] == {"experienced-neurologist", "anaphylaxis-resources"}
    assert asked[3] == asked[2] | {"hospital-intensive-care"}


def test_liver_function_is_checked_not_at_all_then_during_treatment_then_monthly_for_48_months(
    states: dict[int, Any],
) -> None:
    assert "liver-function" not in states[1]
    assert states[2]["liver-function"]["schedule"] == {"before": True, "during": True}
    assert states[3]["liver-function"]["schedule"] == {
        "before": True,
        "every": "P1M",
        "until": "P48M",
        "after": "the last infusion",
    }


def test_long_term_tests_stay_as_they_were(states: dict[int, Any]) -> None:
    for name, every in (("blood-count", "P1M"), ("creatinine", "P1M"), ("urinalysis", "P1M"), ("thyroid", "P3M")):
        for number in (1, 2, 3):
            schedule = states[number][name]["schedule"]
            assert schedule == {"every": every, "until": "P48M", "after": "the last infusion"}


def test_every_rule_of_every_state_cites_a_primary_source(corpus: Archive) -> None:
    client = door(corpus)
    for number in (1, 2, 3):
        version = answer(client, f"/v1/documents/ema/lemtrada/versions/{number}")["version"]
        tiers = {source["id"]: source["tier"] for source in version["sources"]}
        assert {tiers[rule["source"]["ref"]] for rule in version["rules"]} == {"primary"}


def test_the_day_of_the_temporary_measures_is_marked_as_unconfirmed(ask: Ask, corpus: Archive) -> None:
    told = ask(corpus, LEMTRADA, "2019-12-01", "EU")
    assert told.selected["unconfirmed"] == ["from"]
    assert "not found" in told.selected["basis"]
    assert "unconfirmed" not in ask(corpus, LEMTRADA, "2020-02-01", "EU").selected


def test_from_the_second_state_to_the_third_it_relaxes_in_one_place_and_tightens_in_the_others(corpus: Archive) -> None:
    told = answer(door(corpus), "/v1/documents/ema/lemtrada/diff?from=@2&to=@3")
    directions = {
        change["name"]: set(change["directions"]) for change in told["changes"] if change["subject"] == "rule"
    }
    assert "relaxed" in directions["indication"]
    for name in ("stroke", "care-setting", "liver-function", "uncontrolled-hypertension"):
        assert directions[name] & {"tightened"}
        assert not directions[name] & {"relaxed"}


# --- a real command --------------------------------------------------------------------------------------


def test_the_command_as_it_is_installed_says_the_same(replayed: Archive) -> None:
    inforce = str(Path(sys.executable).with_name("inforce"))
    asked = ["rules", "--medicine", "alemtuzumab", "--jurisdiction", "EU", "--on", "2020-02-01", "--at", "2019-11-05"]
    run = subprocess.run([inforce, *asked, "--data", str(replayed.folder), "--json"], capture_output=True, check=True)
    told = json.loads(run.stdout)
    assert tuple(item["rule"]["id"] for item in told["rules"]) == S2
    assert told["coming"][0]["expected"] == "2020-01"
    assert run.stderr == b""
    assert told == answer(
        door(replayed), "/v1/rules?" + "&".join(f"{a[2:]}={b}" for a, b in zip(asked[1::2], asked[2::2], strict=True))
    )
