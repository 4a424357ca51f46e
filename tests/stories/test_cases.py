"""Other real guidance, each case chosen for what it breaks; every question put through three mouths."""

from __future__ import annotations

import pytest

from guidance.archive import Archive
from tests.service.doors import answer, door
from tests.stories.mouths import Ask

# --- hydroxyethyl starch: a committee overruled, then a suspension that countries may delay -----------------


@pytest.mark.parametrize(
    ("on", "state", "version", "rules"),
    [
        ("2018-01-12", "not-yet", None, ()),
        ("2018-07-16", "not-yet", None, ()),
        ("2018-07-17", "in-force", 2, ("controlled-access", "training", "warnings")),
        ("2022-02-11", "in-force", 2, ("controlled-access", "training", "warnings")),
        ("2022-05-23", "in-force", 2, ("controlled-access", "training", "warnings")),
        ("2022-05-24", "in-force", 3, ("suspension", "delay-conditions")),
        ("2023-11-24", "in-force", 3, ("suspension", "delay-conditions")),
        ("2024-06-01", "in-force", 3, ("suspension", "delay-conditions")),
    ],
)
def test_hes_is_restricted_in_2018_and_suspended_in_2022(
    ask: Ask, corpus: Archive, on: str, state: str, version: int | None, rules: tuple[str, ...]
) -> None:
    told = ask(corpus, "ema/hes", on, "EU")
    assert (told.state, told.version, told.rules) == (state, version, rules)


def test_a_recommendation_that_was_overruled_is_never_in_force(ask: Ask, corpus: Archive, replayed: Archive) -> None:
    told = ask(replayed, "ema/hes", "2018-06-01", "EU", "2018-02-01")
    assert (told.state, told.rules) == ("not-yet", ())
    assert told.coming == ((1, None, "recommended", "coming", None, None),)
    assert all(item[0] != 1 for item in ask(corpus, "ema/hes", "2018-06-01", "EU").coming)
    listed = answer(door(corpus), "/v1/documents/ema/hes/versions")["versions"][0]
    assert (listed["stage"], listed["status"], listed["in_force"]) == ("recommended", "overruled", [])


def test_the_permitted_delay_is_a_bound_and_no_day_of_effect(ask: Ask, corpus: Archive) -> None:
    told = ask(corpus, "ema/hes", "2022-05-24", "EU")
    assert told.selected["no_later_than"] == "2023-11-24"
    assert "no more than 18 months" in told.selected["delay"]
    assert told.selected["period"] == {"from": "2022-05-24", "to": None}
    assert (told.coming, told.next_change_on) == ((), None)


@pytest.mark.parametrize("place", ["DE", "HR", "FR"])
def test_no_countrys_day_is_invented_for_the_suspension(ask: Ask, corpus: Archive, place: str) -> None:
    on = [ask(corpus, "ema/hes", day, place) for day in ("2022-05-24", "2023-11-23", "2023-11-24", "2023-11-25")]
    assert {(told.state, told.version, told.selected["jurisdiction"]) for told in on} == {("in-force", 3, "EU")}
    assert {told.selected["no_later_than"] for told in on} == {"2023-11-24"}


def test_what_the_agency_printed_wrong_is_kept_beside_what_is_right(corpus: Archive) -> None:
    version = answer(door(corpus), "/v1/documents/ema/hes/versions/1")["version"]
    assert [source["as_printed"] for source in version["sources"] if "as_printed" in source] == [
        "CMDh position date 26/10/2017"
    ]
    assert ("review-started", "2017-10-26") in {(m["act"], m.get("date")) for m in version["milestones"]}
    positions = [m["date"] for m in version["milestones"] if m["act"] == "position" and m["by"] == "CMDh"]
    assert positions
    assert min(positions) >= "2018-01"


# --- daclizumab: withdrawn, and still to be read -----------------------------------------------------------

ADVISED = ("indication", "no-new-patients", "review-treated-patients")
SUSPENSION_RECOMMENDED = (*ADVISED, "immediate-suspension-recommended")


@pytest.mark.parametrize(
    ("on", "state", "version", "rules"),
    [
        ("2018-03-01", "not-recorded", None, ()),
        ("2018-03-02", "in-force", 1, ADVISED),
        ("2018-03-06", "in-force", 1, ADVISED),
        ("2018-03-07", "in-force", 1, SUSPENSION_RECOMMENDED),
        ("2018-03-26", "in-force", 1, SUSPENSION_RECOMMENDED),
        ("2018-03-27", "ended", 1, ()),
        ("2026-01-01", "ended", 1, ()),
    ],
)
def test_zinbryta_applies_until_the_day_before_its_withdrawal(
    ask: Ask, corpus: Archive, on: str, state: str, version: int | None, rules: tuple[str, ...]
) -> None:
    told = ask(corpus, "ema/zinbryta", on, "EU")
    assert (told.state, told.version, told.rules) == (state, version, rules)
    starts = [item for item in told.coming if item[1] is None]
    assert starts == ([] if on != "2018-03-01" else [(1, None, "decided", "coming", "2018-03-02", None)])


def test_an_end_says_why_and_on_what_basis(ask: Ask, corpus: Archive) -> None:
    told = ask(corpus, "ema/zinbryta", "2018-04-01", "EU")
    assert told.selected["ends"] == "withdrawn"
    assert told.selected["period"] == {"from": "2018-03-02", "to": "2018-03-27"}
    assert "request of the holder" in told.selected["ends_basis"]
    assert told.selected["at_latest"] is True


def test_a_report_dated_after_the_end_is_there_to_be_read(corpus: Archive) -> None:
    milestones = answer(door(corpus), "/v1/documents/ema/zinbryta/versions/2")["version"]["milestones"]
    assert any(m["act"] == "reported" and m["date"] == "2018-05-17" for m in milestones)


def test_while_the_day_of_the_withdrawal_was_not_confirmed_the_register_said_so(ask: Ask, replayed: Archive) -> None:
    then = ask(replayed, "ema/zinbryta", "2018-04-01", "EU", "2018-04-01")
    assert then.selected["unconfirmed"] == ["to"]
    assert "unconfirmed" not in ask(replayed, "ema/zinbryta", "2018-04-01", "EU").selected


# --- valproate: Great Britain and Northern Ireland apart, and a state that carries a decision out ------------


def test_the_full_pack_is_a_rule_in_great_britain_and_good_practice_in_northern_ireland(
    ask: Ask, corpus: Archive
) -> None:
    britain = ask(corpus, "mhra/valproate", "2023-10-11", "GB")
    assert (britain.state, britain.version, britain.rules, britain.parts) == ("in-force", 2, ("full-pack",), {})
    ireland = ask(corpus, "mhra/valproate", "2023-10-11", "NI")
    assert (ireland.state, ireland.version, ireland.rules) == ("in-force", 2, ("full-pack-good-practice",))
    before = ask(corpus, "mhra/valproate", "2023-10-10", "GB")
    assert (before.state, before.rules) == ("not-yet", ())


def test_asked_about_the_united_kingdom_its_parts_are_heard(ask: Ask, corpus: Archive) -> None:
    told = ask(corpus, "mhra/valproate", "2023-10-11", "UK")
    assert (told.state, told.rules) == ("not-yet", ())
    assert told.parts == {"GB": ("full-pack",), "NI": ("full-pack-good-practice",)}
    later = ask(corpus, "mhra/valproate", "2024-02-01", "UK")
    assert later.rules == ("two-specialists", "two-specialists-women-on-treatment")
    assert later.parts == {"GB": (*later.rules, "full-pack"), "NI": (*later.rules, "full-pack-good-practice")}


def test_the_rules_of_the_united_kingdom_say_in_which_part_each_holds(corpus: Archive) -> None:
    address = "/v1/rules?medicine=valproate&authority=mhra&jurisdiction=UK&on="
    told = {item["rule"]["id"]: item["jurisdictions"] for item in answer(door(corpus), f"{address}2024-02-01")["rules"]}
    assert told == {
        "two-specialists": ["UK"],
        "two-specialists-women-on-treatment": ["UK"],
        "full-pack": ["GB"],
        "full-pack-good-practice": ["NI"],
    }


def test_a_must_in_one_part_is_a_should_in_the_other(corpus: Archive) -> None:
    rules = answer(door(corpus), "/v1/documents/mhra/valproate/versions/2")["version"]["rules"]
    assert {rule["id"]: rule["modality"] for rule in rules} == {
        "full-pack": "must",
        "full-pack-good-practice": "should",
    }


def test_it_took_effect_twenty_days_before_the_register_heard_of_it(ask: Ask, replayed: Archive) -> None:
    assert ask(replayed, "mhra/valproate", "2023-10-20", "GB", "2023-10-30").rules == ()
    assert ask(replayed, "mhra/valproate", "2023-10-20", "GB", "2023-10-31").rules == ("full-pack",)


def test_men_already_treated_are_spared_from_february_2025(ask: Ask, corpus: Archive) -> None:
    before, after = (ask(corpus, "mhra/valproate", day, "UK") for day in ("2025-02-12", "2025-02-13"))
    assert (before.version, after.version) == (3, 4)
    assert "two-specialists-men-on-treatment" not in before.rules
    rule = next(
        rule
        for rule in answer(door(corpus), "/v1/documents/mhra/valproate/versions/4")["version"]["rules"]
        if rule["id"] == "two-specialists-men-on-treatment"
    )
    assert (rule["modality"], rule["cohort"]) == ("may", "continuation")


def test_a_decision_that_states_carry_out_has_a_day_only_where_one_was_read(ask: Ask, corpus: Archive) -> None:
    union, germany, france = (ask(corpus, "ema/valproate", "2018-07-01", place) for place in ("EU", "DE", "FR"))
    assert (germany.state, germany.selected["period"]) == ("in-force", {"from": "2018-06-20", "to": None})
    assert ask(corpus, "ema/valproate", "2018-06-19", "DE").state == "not-yet"
    for told in (union, france):
        assert (told.state, told.rules) == ("not-yet", ())
        assert told.coming == ((1, None, "decided", "coming", None, None),)
    assert union.parts["DE"] == germany.rules


# --- isotretinoin: a rule introduced, then repealed ----------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "state", "rules"),
    [
        ("2023-04-26", "not-yet", ()),
        ("2023-10-30", "not-yet", ()),
        ("2023-10-31", "in-force", ("two-prescribers",)),
        ("2026-01-21", "in-force", ("two-prescribers",)),
        ("2026-01-22", "ended", ()),
    ],
)
def test_a_second_prescriber_of_isotretinoin_is_required_for_a_time(
    ask: Ask, corpus: Archive, on: str, state: str, rules: tuple[str, ...]
) -> None:
    for place in ("UK", "GB", "NI"):
        told = ask(corpus, "mhra/isotretinoin", on, place)
        assert (told.state, told.rules) == (state, rules)
    if state == "ended":
        assert told.selected["ends"] == "repealed"


def test_when_it_was_announced_it_had_no_day(ask: Ask, replayed: Archive) -> None:
    told = ask(replayed, "mhra/isotretinoin", "2023-06-01", "UK", "2023-06-01")
    assert (told.state, told.rules) == ("not-yet", ())
    assert told.coming == ((1, None, "announced", "coming", None, None),)
    assert ask(replayed, "mhra/isotretinoin", "2026-03-01", "UK", "2025-12-31").state == "in-force"


# --- fluoroquinolones: one act, fourteen substances, two outcomes --------------------------------------------


def outcome(archive: Archive, medicine: str, on: str, place: str = "EU") -> set[str]:
    """The kinds of the rules about one medicine in one document on one day."""
    asked = f"/v1/rules?medicine={medicine}&authority=ema&jurisdiction={place}&on={on}"
    told = answer(door(archive), asked, "rules-answer")
    assert {item["document"] for item in told["rules"]} <= {"ema/fluoroquinolones"}
    return {item["rule"]["kind"] for item in told["rules"]}


def test_one_document_suspends_one_substance_and_restricts_another_on_one_day(corpus: Archive) -> None:
    assert outcome(corpus, "nalidixic-acid", "2019-03-11") == {"suspension"}
    assert outcome(corpus, "ciprofloxacin", "2019-03-11") == {"restriction", "precaution", "information"}


@pytest.mark.parametrize("on", ["2019-02-13", "2019-03-10"])
def test_of_what_is_coming_a_medicine_is_told_what_is_about_it(corpus: Archive, on: str) -> None:
    for medicine, awaited in (("nalidixic-acid", {"suspension"}), ("ciprofloxacin", None)):
        for asked in (f"/v1/medicines/{medicine}?", f"/v1/rules?medicine={medicine}&"):
            told = answer(door(corpus), f"{asked}jurisdiction=EU&on={on}")
            rules = {item["rule"] for item in told["coming"] if item["document"] == "ema/fluoroquinolones"} - {None}
            assert rules == awaited if awaited else "suspension" not in rules and rules


def test_quinsair_was_decided_a_month_before_the_others(ask: Ask, corpus: Archive) -> None:
    assert outcome(corpus, "levofloxacin", "2019-02-13") == set()
    assert outcome(corpus, "levofloxacin", "2019-02-14") == {"precaution", "information"}
    for medicine in ("ciprofloxacin", "nalidixic-acid"):
        assert outcome(corpus, medicine, "2019-03-10") == set()
    first, then = (ask(corpus, "ema/fluoroquinolones", day, "EU") for day in ("2019-02-14", "2019-03-11"))
    assert first.rules == ("quinsair-previous-reaction", "quinsair-stop-at-first-sign")
    assert first.next_change_on == "2019-03-11"
    assert set(first.rules) < set(then.rules)


def test_the_united_kingdom_is_stricter_from_january_2024(ask: Ask, corpus: Archive) -> None:
    before, after = (ask(corpus, "mhra/fluoroquinolones", day, "UK") for day in ("2024-01-21", "2024-01-22"))
    assert (before.state, before.rules) == ("not-yet", ())
    assert (after.state, after.version) == ("in-force", 2)
    assert "others-inappropriate" in after.rules


def test_a_day_that_is_known_to_the_month_is_outstanding_and_never_in_force(ask: Ask, corpus: Archive) -> None:
    in_time, late = (ask(corpus, "mhra/fluoroquinolones", day, "UK") for day in ("2019-03-31", "2019-04-01"))
    assert in_time.coming[-1] == (1, None, "issued", "coming", None, "2019-03")
    assert late.coming[-1] == (1, None, "issued", "outstanding", None, "2019-03")
    assert in_time.next_change_on == "2019-04-01"
    assert in_time.rules == late.rules == ()
