"""The seed: real documents, each chosen because it breaks a simple idea of what guidance is."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from guidance import journal, schema
from guidance.archive import Archive
from guidance.errors import ActRefused, BadJson
from guidance.journal import CORPUS
from guidance.model import canonical
from guidance.register import Snapshot, Span
from tests.oracle import Oracle

FILES = sorted((CORPUS / "documents").rglob("*.json"))
JOURNAL = json.loads((CORPUS / "journal.json").read_bytes())
BEFORE_THE_DECISION = datetime.fromisoformat("2019-11-05T23:59:59Z")


def on(archive: Archive, day: str, place: str | None, at: datetime | None = None) -> Snapshot:
    return archive.register(at).on(day, place)


def span(found: Snapshot, name: str) -> Span:
    return found.spans_of(name)[0]


def rules(found: Snapshot, name: str) -> set[str]:
    return {applying.rule for applying in found.rules_of(name)}


def coming(found: Snapshot, name: str) -> list[tuple[int, str | None, str | None, str | None, str]]:
    """(version, rule, day, expected, state) of what is awaited."""
    told = [item.json(found.day) for item in found.coming_of(name)]
    return [(item["version"], item["rule"], item["from"], item["expected"], item["state"]) for item in told]


# --- the files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CORPUS / "documents")))
def test_every_file_is_valid_and_lies_where_its_id_says(file: Path) -> None:
    body = schema.read(file.read_bytes(), str(file))
    if "number" in body:
        schema.check_version(body)
        schema.check_version_fast(body)
        place = f"{body['document']}/versions/{body['number']}.json"
    else:
        schema.check_document(body)
        place = f"{body['id']}/document.json"
    assert file == CORPUS / "documents" / place


@pytest.mark.parametrize("file", [file for file in FILES if file.name != "document.json"], ids=str)
def test_no_rule_rests_on_a_secondary_source(file: Path) -> None:
    body = json.loads(file.read_bytes())
    tiers = {source["id"]: source["tier"] for source in body["sources"]}
    assert {tiers[rule["source"]["ref"]] for rule in body["rules"]} == {"primary"}


def test_every_document_has_its_versions_from_one_on() -> None:
    for folder in {file.parent for file in FILES if file.name == "document.json"}:
        numbers = sorted(int(file.stem) for file in folder.glob("versions/*.json"))
        assert numbers == list(range(1, len(numbers) + 1))


# --- the journal -----------------------------------------------------------------------------------------


def test_the_journal_is_valid_and_in_the_order_of_time() -> None:
    schema.check("journal", JOURNAL)
    instants = [entry["at"] for entry in JOURNAL]
    assert instants == sorted(set(instants))


def test_every_step_of_the_journal_makes_something_valid() -> None:
    for step in journal.steps(CORPUS / "journal.json", CORPUS / "documents"):
        schema.check_document(step.proposal.body) if step.verb == "register" else schema.check_version(
            step.proposal.body
        )


def test_the_journal_ends_exactly_at_the_corpus(replayed: Archive) -> None:
    register = replayed.register()
    found = {
        (document.id, number): canonical(body)
        for document in register.documents.values()
        for number, body in [(0, document.body), *((version.number, version.body) for version in document.versions)]
    }
    bodies = [json.loads(file.read_bytes()) for file in FILES]
    assert found == {(b.get("document") or b["id"], b.get("number", 0)): canonical(b) for b in bodies}


def test_every_revision_of_the_replay_is_dated_by_the_journal_and_says_that_it_was_replayed(replayed: Archive) -> None:
    revisions = replayed.index.revisions(limit=1000)
    assert all(revision.replayed for revision in revisions)
    assert [revision.json()["recorded_at"] for revision in revisions] == [entry["at"] for entry in JOURNAL]
    assert [revision.reason for revision in revisions] == [entry["reason"] for entry in JOURNAL]


def test_a_replay_needs_an_empty_register(corpus: Archive) -> None:
    tip = corpus.tip()
    with pytest.raises(ActRefused, match="empty"):
        journal.replay(corpus, CORPUS / "journal.json", CORPUS / "documents")
    assert corpus.tip() == tip


def test_a_journal_that_speaks_of_no_file_is_refused(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "journal.json").write_text(json.dumps([JOURNAL[0], JOURNAL[1] | {"version": 9}]))
    with pytest.raises(BadJson, match="not there"):
        journal.replay(archive, tmp_path / "journal.json", CORPUS / "documents")
    assert archive.tip() is None


def test_a_seeded_register_does_not_pretend_to_have_a_past(corpus: Archive, now: datetime) -> None:
    assert {revision.recorded_at for revision in corpus.index.revisions(limit=1000)} == {now}
    assert not any(revision.replayed for revision in corpus.index.revisions(limit=1000))
    assert corpus.at(BEFORE_THE_DECISION) is None


def test_the_whole_past_is_what_a_naive_walk_through_the_journal_says(replayed: Archive) -> None:
    """Every document, at every tenth revision, on the days around everything that happened."""
    index, played = replayed.index, []
    for revision in index.revisions(limit=1000):
        entries = [json.loads(content) for content in index.contents_of(revision.position)]
        played.append((revision.recorded_at, entries))
    oracle = Oracle(played)
    days = sorted({date.fromisoformat(entry["at"][:10]) for entry in JOURNAL})
    for instant, _ in played[::10]:
        register = replayed.register(instant)
        for name, document in register.documents.items():
            for place in document.named:
                for day in days[::4]:
                    found, told = register.on(day, place), oracle.says(name, place, day, instant)
                    assert told is not None
                    assert (span(found, name).state, span(found, name).version) == (told.state, told.version)
                    held = {a.rule for a in found.rules_of(name) if place in a.jurisdictions}
                    assert held == told.rules


# --- Lemtrada, row by row --------------------------------------------------------------------------------

LEMTRADA = "ema/lemtrada"
ACCEPTANCE: list[tuple[str, str, int | None]] = [
    ("2013-09-11", "not-yet", None),
    ("2013-09-12", "in-force", 1),
    ("2019-04-11", "in-force", 1),
    ("2019-04-12", "in-force", 2),
    ("2019-05-17", "in-force", 2),
    ("2019-11-14", "in-force", 2),
    ("2019-12-31", "in-force", 2),
    ("2020-01-15", "in-force", 2),
    ("2020-01-16", "in-force", 3),
    ("2020-02-01", "in-force", 3),
    ("2026-02-02", "in-force", 3),
]


@pytest.mark.parametrize(("day", "state", "version"), ACCEPTANCE)
@pytest.mark.parametrize("place", ["EU", "UK", "DE", "GB"])
def test_lemtrada_says_what_applied_on_the_day(
    corpus: Archive, day: str, state: str, version: int | None, place: str
) -> None:
    found = span(on(corpus, day, place), LEMTRADA)
    assert (found.state, found.version) == (state, version)


@pytest.mark.parametrize("day", ["2019-11-14", "2019-12-31", "2020-01-15"])
def test_lemtrada_shows_the_final_measures_as_coming_before_they_apply(corpus: Archive, day: str) -> None:
    found = on(corpus, day, "EU")
    assert coming(found, LEMTRADA) == [(3, None, "2020-01-16", None, "coming")]
    assert found.next_change_of(LEMTRADA) == date(2020, 1, 16)


def test_lemtrada_as_the_register_knew_it_in_november_2019(replayed: Archive) -> None:
    found = on(replayed, "2020-02-01", "EU", BEFORE_THE_DECISION)
    assert (span(found, LEMTRADA).state, span(found, LEMTRADA).version) == ("in-force", 2)
    assert coming(found, LEMTRADA) == [(3, None, None, "2020-01", "outstanding")]
    assert coming(on(replayed, "2020-01-31", "EU", BEFORE_THE_DECISION), LEMTRADA)[0][-1] == "coming"
    assert found.coming_of(LEMTRADA)[0].stage == "recommended"
    assert span(on(replayed, "2020-02-01", "EU"), LEMTRADA).version == 3


def test_lemtrada_relaxes_its_indication_and_tightens_the_rest(corpus: Archive) -> None:
    before, after = (rules(on(corpus, day, "EU"), LEMTRADA) for day in ("2020-01-15", "2020-01-16"))
    assert {"stroke", "angina-or-mi", "arterial-dissection", "coagulopathy", "monotherapy"} <= after - before
    assert before - after == {"continuation", "indication-others-unsuitable"}


@pytest.mark.parametrize(("day", "code"), [("2023-12-31", "L04AA34"), ("2024-01-01", "L04AG06")])
def test_lemtrada_has_the_code_that_was_in_use(corpus: Archive, day: str, code: str) -> None:
    codes = [found for inn, system, found in span(on(corpus, day, "EU"), LEMTRADA).codes if system == "atc"]
    assert codes == [code]


# --- the others ------------------------------------------------------------------------------------------


def test_hes_was_kept_although_its_suspension_was_recommended(corpus: Archive) -> None:
    assert span(on(corpus, "2018-07-16", "EU"), "ema/hes").state == "not-yet"
    kept = on(corpus, "2018-07-17", "EU")
    assert rules(kept, "ema/hes") == {"controlled-access", "training", "warnings"}
    assert {item.version for item in kept.coming_of("ema/hes")} == {3}


def test_hes_is_suspended_with_a_bound_on_the_delay_that_is_no_day_of_effect(corpus: Archive) -> None:
    suspended = on(corpus, "2022-05-24", "EU")
    told = span(suspended, "ema/hes").json()
    assert rules(suspended, "ema/hes") == {"suspension", "delay-conditions"}
    assert (told["version"], told["no_later_than"]) == (3, "2023-11-24")
    assert "Member State" in told["delay"]
    assert suspended.next_change_of("ema/hes") is None
    for country in ("DE", "HR", "FR"):
        assert span(on(corpus, "2023-11-24", country), "ema/hes").since == date(2022, 5, 24)


def test_zinbryta_is_readable_after_its_end_and_nothing_of_it_applies(corpus: Archive) -> None:
    days = ("2018-03-01", "2018-03-02", "2018-03-26", "2018-03-27", "2026-01-01")
    states = [span(on(corpus, day, "EU"), "ema/zinbryta").state for day in days]
    assert states == ["not-recorded", "in-force", "in-force", "ended", "ended"]
    ended = on(corpus, "2018-05-17", "EU")
    assert (span(ended, "ema/zinbryta").ends, str(span(ended, "ema/zinbryta").until)) == ("withdrawn", "2018-03-27")
    assert rules(ended, "ema/zinbryta") == set()
    assert coming(ended, "ema/zinbryta") == []


def test_full_packs_are_the_rule_in_great_britain_and_good_practice_in_northern_ireland(corpus: Archive) -> None:
    assert rules(on(corpus, "2023-10-10", "UK"), "mhra/valproate") == set()
    for day in ("2023-10-11", "2024-01-31", "2026-01-01"):
        britain, ireland, kingdom = (on(corpus, day, place).rules_of("mhra/valproate") for place in ("GB", "NI", "UK"))
        assert "full-pack" in {a.rule for a in britain}
        assert "full-pack-good-practice" not in {a.rule for a in britain}
        assert "full-pack-good-practice" in {a.rule for a in ireland}
        assert "full-pack" not in {a.rule for a in ireland}
        assert [a.jurisdictions for a in kingdom if a.rule.startswith("full-pack")] == [("GB",), ("NI",)]


def test_two_specialists_became_the_rule_in_january_2024_and_never_for_men_already_treated(corpus: Archive) -> None:
    days = ("2024-01-30", "2024-01-31", "2025-02-13")
    before, after, later = (rules(on(corpus, day, "UK"), "mhra/valproate") for day in days)
    assert "two-specialists" not in before
    assert {"two-specialists", "two-specialists-women-on-treatment"} <= after
    assert "two-specialists-men-on-treatment" not in after
    assert "contraception-men" in later


def test_the_two_specialist_rule_was_coming_without_a_day_when_it_was_announced(replayed: Archive) -> None:
    announced = on(replayed, "2022-12-13", "UK", datetime.fromisoformat("2022-12-13T00:00:00Z"))
    assert {(version, day) for version, _, day, _, _ in coming(announced, "mhra/valproate")} == {(1, None)}
    known = on(replayed, "2023-10-11", "GB", datetime.fromisoformat("2023-10-31T11:59:59Z"))
    assert rules(known, "mhra/valproate") == set()
    assert rules(on(replayed, "2023-10-11", "GB"), "mhra/valproate") == {"full-pack"}


def test_valproate_holds_in_germany_and_waits_in_the_union(corpus: Archive) -> None:
    assert span(on(corpus, "2018-06-19", "DE"), "ema/valproate").state == "not-yet"
    assert span(on(corpus, "2018-06-20", "DE"), "ema/valproate").state == "in-force"
    for place in ("EU", "FR"):
        found = on(corpus, "2018-06-20", place)
        assert span(found, "ema/valproate").state == "not-yet"
        assert coming(found, "ema/valproate")[-1][:3] == (1, None, None)


@pytest.mark.parametrize(
    ("day", "state", "held"),
    [
        ("2023-10-30", "not-yet", set()),
        ("2023-10-31", "in-force", {"two-prescribers"}),
        ("2026-01-21", "in-force", {"two-prescribers"}),
        ("2026-01-22", "ended", set()),
    ],
)
def test_isotretinoin_needs_two_prescribers_while_its_rule_holds(
    corpus: Archive, day: str, state: str, held: set[str]
) -> None:
    found = on(corpus, day, "UK")
    assert span(found, "mhra/isotretinoin").state == state
    assert rules(found, "mhra/isotretinoin") == held
    if state == "ended":
        assert span(found, "mhra/isotretinoin").ends == "repealed"


def test_one_act_suspends_one_fluoroquinolone_and_restricts_another_from_the_same_day(corpus: Archive) -> None:
    name = "ema/fluoroquinolones"
    body = corpus.register().document(name).versions[0].body
    about = {rule["id"]: set(rule.get("medicines", ())) for rule in body["rules"]}
    before, after = (rules(on(corpus, day, "EU"), name) for day in ("2019-03-10", "2019-03-11"))
    assert {"suspension", "self-limiting"} <= after - before
    assert "cinoxacin" in about["suspension"]
    assert "ciprofloxacin" in about["self-limiting"]
    assert not about["suspension"] & about["self-limiting"]
    assert about["quinsair-previous-reaction"] == {"levofloxacin"}
    assert before == {"quinsair-previous-reaction", "quinsair-stop-at-first-sign"}
    assert rules(on(corpus, "2019-02-13", "EU"), name) == set()


def test_the_british_restrictions_of_march_2019_stay_outstanding_until_those_of_2024(corpus: Archive) -> None:
    name = "mhra/fluoroquinolones"
    assert coming(on(corpus, "2019-03-31", "UK"), name)[-1] == (1, None, None, "2019-03", "coming")
    assert coming(on(corpus, "2024-01-21", "UK"), name)[-1] == (1, None, None, "2019-03", "outstanding")
    assert span(on(corpus, "2024-01-21", "UK"), name).state == "not-yet"
    assert coming(on(corpus, "2024-01-22", "UK"), name) == []
    assert span(on(corpus, "2024-01-22", "UK"), name).version == 2


def _kept(value: Any) -> list[Any]:
    return [found for inner in (value.values() if isinstance(value, dict) else value) for found in _printed(inner)]


def _printed(value: Any) -> list[Any]:
    """Everything that is kept as it was printed."""
    if not isinstance(value, dict | list):
        return []
    here = [value["as_printed"]] if isinstance(value, dict) and "as_printed" in value else []
    return here + _kept(value)


def test_errors_at_the_source_are_kept_as_printed() -> None:
    assert any("26/10/2017" in text for file in FILES for text in _printed(json.loads(file.read_bytes())))
