"""The pages: what they say in every state, that they keep the question, and that no text of a document escapes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from guidance.archive import Archive, Proposal
from guidance.errors import StoreUnreadable
from guidance.store import Act
from service import problems
from tests.guidance.bodies import awaited, document, rule, since, version
from tests.service.doors import NOW, Hands, answer, correct, door
from tests.service.reading import ACCEPT, Page, page

LEMTRADA = "/documents/ema/lemtrada"
ADDRESSES = (
    "/",
    "/?on=2019-11-20",
    "/?at=2000-01-01",
    "/?jurisdiction=NI",
    "/?after=ciprofloxacin",
    "/?on=0001-01-01",
    "/?on=9999-12-31",
    "/coming",
    "/coming?on=2018-01-01",
    "/coming?on=2020-06-01&jurisdiction=GB",
    "/documents",
    "/documents?authority=mhra",
    "/documents?medicine=ciprofloxacin",
    "/documents?after=ema/lemtrada",
    LEMTRADA,
    f"{LEMTRADA}?on=2019-11-20&jurisdiction=UK",
    f"{LEMTRADA}?at=2000-01-01",
    f"{LEMTRADA}?on=0001-01-01",
    f"{LEMTRADA}?on=9999-12-31",
    f"{LEMTRADA}/versions/1",
    f"{LEMTRADA}/versions/3?on=2019-11-20",
    f"{LEMTRADA}/rules/stroke",
    f"{LEMTRADA}/rules/stroke?on=2014-01-01",
    f"{LEMTRADA}/history",
    "/documents/ema/fluoroquinolones",
    "/documents/ema/hes",
    "/documents/ema/hes?on=2018-03-01",
    "/documents/ema/hes/versions/1",
    "/documents/ema/valproate",
    "/documents/ema/valproate?jurisdiction=DE",
    "/documents/ema/zinbryta",
    "/documents/mhra/fluoroquinolones?on=2020-06-01",
    "/documents/mhra/isotretinoin",
    "/documents/mhra/valproate",
    "/documents/mhra/valproate?on=2023-12-01",
    "/documents/mhra/valproate/rules/full-pack",
    "/medicines",
    "/search",
    "/search?q=stroke",
    "/search?q=flox",
    "/search?q=nothing%20like%20it",
    f"{LEMTRADA}/times",
    f"{LEMTRADA}/times?on=2019-11-20&jurisdiction=UK",
    "/medicines/alemtuzumab",
    "/medicines/ciprofloxacin",
    "/medicines/valproate?on=2023-12-01&jurisdiction=GB",
    "/about",
    "/problems/bad-parameter",
)


@pytest.fixture(scope="module")
def client(corpus: Archive) -> FlaskClient:
    return door(corpus)


@pytest.fixture(scope="module")
def past(replayed: Archive) -> FlaskClient:
    return door(replayed)


# --- every page ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_is_whole_and_within_the_policy(client: FlaskClient, address: str) -> None:
    read = page(client, address)
    assert read.first("title").text.endswith(" – Inforce")
    assert read.all("html", lang="en-GB")


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_of_a_replayed_register_says_so(past: FlaskClient, address: str) -> None:
    read = page(past, address)
    assert bool(read.of_class("app-replayed")) == ("at=2000" not in address)


def test_every_route_for_people_is_tried(client: FlaskClient) -> None:
    adapter = client.application.url_map.bind("localhost")
    tried = {adapter.match(address.split("?")[0])[0] for address in ADDRESSES}
    routes = {rule.endpoint for rule in client.application.url_map.iter_rules() if rule.endpoint.startswith("pages.")}
    assert routes == tried


def test_no_link_of_ours_leads_nowhere(client: FlaskClient) -> None:
    found = {href.split("#")[0] for address in ADDRESSES for href in page(client, address).links()}
    for href in sorted(found):
        if href.startswith("/") and not href.startswith("/static"):
            response = client.get(href, headers={"Accept": ACCEPT})
            assert response.status_code in (200, 302), href
            response.close()


def test_the_question_stays_in_every_link(client: FlaskClient) -> None:
    asked = "on=2019-11-20&at=2026-02-02&jurisdiction=UK"
    read = page(client, f"{LEMTRADA}?{asked}")
    ours = [href for href in read.links() if href.startswith(("/documents/", "/medicines", "/coming"))]
    assert ours
    for href in ours:
        assert "on=2019-11-20" in href or "Back to today" in read.text, href
    nav = [one.attributes["href"] for one in read.of_class("app-nav__link")]
    assert nav == [f"{path}?{asked}" for path in ("/", "/coming", "/changes", "/medicines", "/documents", "/about")]
    assert [one.attributes["href"] for one in read.of_class("app-asof__back")] == [f"{LEMTRADA}?jurisdiction=UK"]


def test_an_empty_field_of_the_form_is_not_a_question(client: FlaskClient) -> None:
    read = page(client, "/?on=&at=&jurisdiction=")
    assert read.of_class("app-asof__statement")[0].text.startswith("Today, 2 February 2026")
    assert read.all("input", id="asof-on")[0].attributes["value"] == ""


def test_another_day_and_another_state_of_knowledge_are_said(past: FlaskClient) -> None:
    said = page(past, f"{LEMTRADA}?on=2019-11-20&at=2019-11-20").of_class("app-asof")[0].text
    assert "Another day, and another state of knowledge, than today" in said
    assert "On 20 November 2019 in the EU, as the register knew it at the end of 20 November 2019 (UTC)" in said


@pytest.mark.parametrize("path", ["/", LEMTRADA, f"{LEMTRADA}/compare", f"{LEMTRADA}/rules/unheard-of", "/changes"])
def test_a_revision_may_be_shortened_to_as_many_letters_as_a_day_has(
    client: FlaskClient, corpus: Archive, path: str
) -> None:
    tip = corpus.tip()
    assert tip
    sides = "from=@1&to=@2&" if "compare" in path else "from=2019-01-01&to=2020-01-01&" if "changes" in path else ""
    for letters in (7, 9, 10, 11, 40):
        read = page(client, f"{path}?{sides}at={tip.id[:letters]}", 404 if "unheard" in path else 200)
        assert f"knew it at revision {tip.id[: min(letters, 12)]}" in read.text


def test_the_footer_leads_to_exactly_this_answer(client: FlaskClient, corpus: Archive) -> None:
    tip = corpus.tip()
    assert tip is not None
    address = next(href for href in page(client, LEMTRADA).links() if tip.id in href)
    assert address == f"{LEMTRADA}?on=2026-02-02&at={tip.id}"
    assert page(client, address).main.text == page(client, LEMTRADA).main.text


# --- what they say ---------------------------------------------------------------------------------------


def lines(read: Page) -> dict[str, str]:
    """What a list of medicines says of each."""
    return {one.text.split(" ")[0]: one.text for one in read.of_class("app-medicines__one")}


def test_home_says_what_is_in_force_by_medicine(client: FlaskClient) -> None:
    told = lines(page(client, "/"))
    assert "In force EU, UK · version since 16 January 2020 Restricted after the safety review" in told["Alemtuzumab"]
    assert "Suspension" in told["Cinoxacin"]
    assert "EU, UK · rules since 11 March 2019 Four substances suspended" in told["Ciprofloxacin"]
    assert "version since 14 February 2019, some rules since 11 March 2019" in told["Levofloxacin"]
    assert "Suspension" not in told["Ciprofloxacin"]
    assert "Withdrawn EU, UK · from 2 March 2018 or earlier until 26 March 2018" in told["Daclizumab"]
    assert "Repealed UK · from 31 October 2023 until 21 January 2026" in told["Isotretinoin"]


def test_home_says_what_is_coming_and_what_changed(client: FlaskClient) -> None:
    said = page(client, "/?on=2026-01-01").main.text
    assert "22 January 2026 Isotretinoin: second prescriber for patients under 18" in said
    assert "Repealed UK · Isotretinoin" in said
    assert "No day known Valproate and pregnancy: measures of the Union" in said
    assert "13 February 2025 Valproate in the United Kingdom" in said


def test_home_shows_what_is_outstanding_first(client: FlaskClient) -> None:
    said = page(client, "/?on=2020-06-01").main.text
    assert said.index("Outstanding: the expected time has passed") < said.index("By medicine")
    assert "March 2019 Expected, no day known Fluoroquinolone antibiotics in the United Kingdom" in said


def test_home_goes_on_from_page_to_page_until_every_medicine_was_shown(client: FlaskClient, corpus: Archive) -> None:
    address: str | None = "/"
    seen: list[str] = []
    while address:
        read = page(client, address)
        seen += [one.text for one in read.of_class("app-medicines__one")]
        following = read.all("a", rel="next")
        address = following[0].attributes["href"] if following else None
    tip = corpus.tip()
    assert tip is not None
    assert len(seen) == len(set(seen)) == len(corpus.index.medicines(tip.position))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (LEMTRADA, "Restricted after the safety review version 3, in force in the EU from 16 January 2020 onwards"),
        (
            f"{LEMTRADA}?on=2019-12-01",
            "version 2, in force in the EU from 12 April 2019 (not confirmed) until 15 January",
        ),
        (f"{LEMTRADA}?on=2019-12-01", "The first day: no source was found that confirms it."),
        (f"{LEMTRADA}?on=2013-09-11", "none of it is in force in the EU on this day"),
        (f"{LEMTRADA}?at=2000-01-01", "Nothing was recorded yet. The register begins later."),
        ("/?at=2000-01-01", "Nothing was recorded yet at that time: the register begins later."),
        ("/coming?at=2000-01-01", "Nothing was recorded yet at that time: the register begins later."),
        ("/changes?at=2000-01-01", "Nothing was recorded yet at that time: the register begins later."),
        ("/medicines?at=2000-01-01", "Nothing was recorded yet at that time: the register begins later."),
        ("/documents?at=2000-01-01", "Nothing was recorded yet at that time: the register begins later."),
        ("/documents/ema/zinbryta", "Version 1 no longer applies in the EU, and nothing followed it."),
        ("/documents/ema/zinbryta", "Withdrawn: it applied from 2 March 2018 or earlier until 26 March 2018."),
        ("/documents/ema/zinbryta?on=2018-03-01", "This is older than what is recorded here for the EU"),
        ("/documents/ema/hes?jurisdiction=UK", "This document says nothing about the UK."),
        ("/documents/ema/hes", "by no more than 18 months"),
        ("/documents/ema/hes", "No later than 24 November 2023"),
        ("/documents/ema/hes?jurisdiction=UK", "That does not mean that nothing applies there."),
        (f"{LEMTRADA}?on=2013-09-11&jurisdiction=FR", "in force in France (as for the EU as a whole) on this day"),
        (f"{LEMTRADA}?on=2013-09-11", "It takes effect on 12 September 2013."),
        (
            f"{LEMTRADA}?jurisdiction=FR",
            "version 3, in force in France (as for the EU as a whole) from 16 January 2020",
        ),
        (f"{LEMTRADA}/versions/2?jurisdiction=FR", "is not what applies in France (as for the EU as a whole) on"),
        ("/documents/mhra/valproate", "Only in Great Britain Supply Must New and existing patients Dispense"),
        ("/documents/mhra/valproate", "Only in Northern Ireland Supply Should New and existing patients Full"),
        ("/documents/mhra/valproate?on=2023-12-01", "In Great Britain In force Dispense valproate in full packs"),
        ("/documents/mhra/isotretinoin?on=2026-01-21", "from 31 October 2023 until 21 January 2026, then repealed"),
        ("/documents/mhra/isotretinoin?on=2026-01-21", "Next known change: 22 January 2026"),
        ("/documents/mhra/fluoroquinolones?on=2020-06-01", "Outstanding, day not confirmed"),
        (f"{LEMTRADA}/versions/2", "This version is not what applies in the EU on 2 February 2026. Version 3 does."),
        (f"{LEMTRADA}/versions/3", "In force in the EU on this day."),
        (f"{LEMTRADA}/rules/stroke", "In force in the EU, as part of version 3"),
        (f"{LEMTRADA}/rules/stroke?on=2014-01-01", "This rule does not apply in the EU on 1 January 2014."),
        ("/documents/mhra/valproate/rules/full-pack", "In force only in Great Britain."),
        ("/documents/ema/hes/versions/1", "Recommended, overruled"),
        ("/medicines/ciprofloxacin", "Only when other antibiotics are inappropriate"),
        ("/medicines/hydroxyethyl-starch", "Suspension"),
        ("/search?q=xylophone", "Nothing here holds all of “xylophone”."),
        ("/search?q=stroke", "History of stroke Rule of Alemtuzumab (Lemtrada) for multiple sclerosis, version 3"),
        ("/search?q=Epilim", "Valproate in the United Kingdom"),
        ("/search?q=hydroxyethyl%20starch", "Hydroxyethyl starch In force EU"),
        ("/about", "This is not medical advice."),
    ],
)
def test_what_a_page_says(client: FlaskClient, address: str, said: str) -> None:
    assert said in page(client, address).text


@pytest.mark.parametrize(
    ("address", "tag", "said"),
    [
        (
            "/documents/mhra/valproate?on=2023-12-01",
            "In force in parts",
            "It applies in Great Britain and Northern Ireland (version 2). "
            "For the UK as a whole no day is recorded before 31 January 2024.",
        ),
        (
            "/documents/ema/valproate",
            "In force in parts",
            "Decided; its first day is recorded only for Germany (version 1). "
            "Awaited: National implementation by each Member State. A state that is not recorded is not exempt.",
        ),
        (
            "/documents/ema/valproate?jurisdiction=FR",
            "Decided, day not recorded",
            "Decided for the EU; its first day in France is not recorded.",
        ),
        (
            "/documents/mhra/fluoroquinolones?on=2020-06-01",
            "Outstanding, day not confirmed",
            "Issued; its first day is not recorded. It was expected in March 2019, and no day was confirmed "
            "(outstanding). That no day is recorded does not mean that it does not apply. Read version 1",
        ),
        (
            "/documents/mhra/fluoroquinolones/versions/1?on=2020-06-01",
            "",
            "The first day of this version in the UK is not recorded. It was expected in March 2019",
        ),
        (
            "/documents/mhra/fluoroquinolones/rules/caution-older?on=2020-06-01",
            "",
            "The first day of this rule in the UK is not recorded. It is part of version 1, issued.",
        ),
        (
            "/documents/ema/valproate/rules/patient-card",
            "",
            "In force in Germany. The first day of this rule in the EU is not recorded.",
        ),
    ],
)
def test_a_day_that_is_not_recorded_is_not_told_as_what_does_not_apply(
    client: FlaskClient, address: str, tag: str, said: str
) -> None:
    read = page(client, address)
    assert said in read.main.text
    assert not tag or read.of_class("app-title")[0].text.endswith(tag)
    for untrue in ("Nothing of this document applies", "none of it is in force", "It does in", "This rule does"):
        assert untrue not in read.main.text
    assert "Not yet in force" not in read.main.text


def test_where_parts_apply_the_headline_leads_to_each(client: FlaskClient) -> None:
    read = page(client, "/documents/mhra/valproate?on=2023-12-01")
    links = {one.text: one.attributes["href"] for one in read.all("a")}
    for name, code in (("Great Britain", "GB"), ("Northern Ireland", "NI")):
        assert links[name] == f"/documents/mhra/valproate?on=2023-12-01&jurisdiction={code}"


def test_a_list_says_of_a_version_without_a_day_what_the_calendar_says(client: FlaskClient) -> None:
    read = page(client, "/?on=2020-06-01")
    told = lines(read)
    assert "Outstanding, day not confirmed UK Restrictions of March 2019" in told["Ciprofloxacin"]
    assert "Not yet in force" not in told["Ciprofloxacin"]
    assert "Restrictions of March 2019" not in told["Delafloxacin"]
    said = page(client, "/medicines/valproate?on=2023-12-01").main.text
    assert said.count("Decided, day not recorded") == 2
    assert "Not yet in force" not in said
    assert "Decided, day not recorded EU" in page(client, "/coming").main.text
    assert "Not yet in force UK · from 31 October 2023" in told["Isotretinoin"]


def test_a_medicine_of_which_nothing_is_recorded_for_a_place_says_so(client: FlaskClient) -> None:
    said = "Nothing is recorded here about France. That does not mean that nothing applies there."
    assert said in lines(page(client, "/?jurisdiction=FR"))["Delafloxacin"]
    assert said in page(client, "/medicines/delafloxacin?jurisdiction=FR").main.text
    assert said in page(client, "/documents?jurisdiction=FR").main.text
    assert all(one.text for one in page(client, "/?jurisdiction=FR").of_class("app-medicines__lines"))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (LEMTRADA, "Provisional from 12 April 2019 (not confirmed) until 15 January 2020, superseded"),
        (LEMTRADA, "12 Apr 2019 (not confirmed) – 15 Jan 2020"),
        (f"{LEMTRADA}/versions/2", "In force from 12 April 2019 (not confirmed) until 15 January 2020"),
        (f"{LEMTRADA}/rules/indication", "from 12 April 2019 (not confirmed) until 15 January 2020"),
        (f"{LEMTRADA}/times", "12 Apr 2019 (not confirmed) – 15 Jan 2020"),
        (
            f"{LEMTRADA}/compare?from=@1&to=@2",
            "Version 2: Temporary restriction during the safety review from 12 April",
        ),
        (f"{LEMTRADA}/compare?from=@1&to=@2", "from 12 April 2019 (not confirmed) until 15 January 2020, superseded"),
        (f"{LEMTRADA}/compare?from=@1&to=@2", "Version 2 in force from 12 April 2019 (not confirmed) until 15 January"),
        ("/documents/ema/zinbryta", "Decided from 2 March 2018 or earlier until 26 March 2018, withdrawn"),
        ("/documents/ema/zinbryta", "2 Mar 2018 or earlier – 26 Mar 2018"),
        ("/documents/ema/zinbryta/compare?from=@1&to=@2", "from 2 March 2018 or earlier until 26 March 2018"),
        ("/documents/mhra/fluoroquinolones", "Issued expected in March 2019 (no day known) · UK"),
        ("/documents/ema/valproate", "from 20 June 2018 onwards · DE first day not recorded · EU"),
    ],
)
def test_what_is_not_sure_of_a_day_is_said_wherever_the_day_is(client: FlaskClient, address: str, said: str) -> None:
    assert said in page(client, address).main.text


def test_an_end_that_is_not_confirmed_is_said_only_where_it_is_the_end(archive: Archive, publish: Publish) -> None:
    open_end = since("2025-01-01", to="2026-06-01", unconfirmed=["to"])
    publish(document(), version(1, open_end))
    assert "until 31 May 2026 (end not confirmed)" in page(door(archive), "/documents/ema/example/versions/1").main.text
    publish(version(2, since("2026-02-01")))
    (said,) = [one.text for one in page(door(archive), "/documents/ema/example").of_class("app-stretch")][1:]
    assert said == "from 1 January 2025 until 31 January 2026, superseded · EU"


def test_what_applies_and_what_binds_without_a_day_are_both_said(archive: Archive, publish: Publish) -> None:
    publish(document(), version(1, since("2025-01-01")), version(2, awaited()))
    said = page(door(archive), "/documents/ema/example").main.text
    assert "version 1, in force in the EU from 1 January 2025" in said
    assert "Version 2 is decided too, and its first day in the EU is not recorded. Awaited: a decision." in said


def test_what_a_rule_is_about_reads_right_whether_it_allows_or_forbids(client: FlaskClient) -> None:
    forbidden = page(client, LEMTRADA).all("article", id="rule-stroke")[0].text
    assert "Must not New and existing patients" in forbidden
    assert "Applies where history of stroke" in forbidden
    excepted = page(client, "/documents/mhra/fluoroquinolones").all("article", id="rule-others-inappropriate")[0].text
    assert "Except where other antibiotics commonly recommended for the infection are inappropriate" in excepted
    for read in (forbidden, excepted):
        assert "Only where" not in read
        assert "Not where" not in read


@pytest.mark.parametrize("address", [LEMTRADA, f"{LEMTRADA}/versions/3", f"{LEMTRADA}/rules/coagulopathy"])
def test_how_a_rule_is_read_stands_beside_it(client: FlaskClient, address: str) -> None:
    assert "How this is read: The comma can be read two ways." in page(client, address).main.text


def test_names_are_words_and_ids_are_left_as_they_are(client: FlaskClient) -> None:
    told = page(client, "/documents/ema/fluoroquinolones").all("article", id="rule-suspension")[0].text
    assert "Cinoxacin, Flumequine, Nalidixic acid, Pipemidic acid" in told
    assert "Earlier disease-modifying treatments: at least 1" in page(client, LEMTRADA).main.text
    assert "mhra/valproate has no version 9" in page(client, "/documents/mhra/valproate/versions/9", 404).main.text
    listed = page(client, "/documents?authority=mhra").main.text
    assert "Of one authority, Medicines and Healthcare products Regulatory Agency." in listed
    feeds = page(client, "/medicines/nalidixic-acid").all("link", rel="alternate")
    assert feeds[0].attributes["title"] == "Feed of guidance on Nalidixic acid"
    assert "The document’s main place" in page(client, LEMTRADA).first("select").text


def test_a_document_groups_its_rules_and_counts_them(client: FlaskClient) -> None:
    read = page(client, LEMTRADA)
    headings = [one.text for one in read.all("h2")]
    assert headings[:5] == ["Contraindications", "Restrictions", "Indications", "Dose", "Monitoring"]
    assert "9 contraindications" in read.of_class("app-jump")[0].text
    assert len(read.all("article")) == 21


def test_a_document_shows_as_many_rules_as_the_machine_answer(client: FlaskClient) -> None:
    for name in ("ema/lemtrada", "ema/hes", "mhra/fluoroquinolones", "ema/fluoroquinolones"):
        told = orjson.loads(client.get(f"/v1/documents/{name}").data)
        assert len(page(client, f"/documents/{name}").all("article")) == len(told["version"]["rules"])


def test_the_timeline_marks_today_and_the_day_asked_about(client: FlaskClient) -> None:
    read = page(client, f"{LEMTRADA}?on=2019-11-20")
    bars = read.of_class("app-timeline__link")
    assert [one.attributes["aria-label"].rpartition(", ")[2] for one in bars] == ["Ended", "In force", "Coming"]
    assert [one.text for one in read.of_class("app-timeline__mark-text")] == ["Today", "20 Nov 2019"]


def test_the_past_is_shown_as_it_was_known(past: FlaskClient) -> None:
    read = page(past, f"{LEMTRADA}?on=2019-11-20&at=2019-11-20")
    assert "January 2020 Expected, no day known Restricted after the safety review" in read.main.text
    assert "Adopted · EU" in read.main.text
    assert "What is coming" not in page(past, LEMTRADA).main.text


@pytest.mark.parametrize("address", [LEMTRADA, f"{LEMTRADA}/times", "/medicines/alemtuzumab"])
def test_that_an_expected_month_ends_is_not_told_as_a_change_of_the_rules(past: FlaskClient, address: str) -> None:
    said = page(past, f"{address}?on=2019-11-20&at=2019-11-20").of_class("app-asof__statement")[0].text
    assert said.endswith("Expected in January 2020; no day is known")
    assert "1 February 2020" not in said
    machine = orjson.loads(past.get("/v1/documents/ema/lemtrada?on=2019-11-20&at=2019-11-20").data)
    assert machine["next_change_on"] == "2020-02-01"
    later = page(past, f"{address}?on=2020-01-15").of_class("app-asof__statement")[0].text
    assert later.endswith("Next known change: 16 January 2020")


def test_a_rule_is_shown_through_the_versions(past: FlaskClient) -> None:
    read = page(past, f"{LEMTRADA}/rules/vital-signs")
    steps = [one.text for one in read.of_class("app-step")]
    assert [step.split(":")[0] for step in steps] == ["Version 3", "Version 2", "Version 1"]
    assert "Unchanged." in steps[0]
    assert "This version does not have the rule." in steps[2]


def test_corrections_are_drawn_on_a_line_of_their_own_and_told(past: FlaskClient, client: FlaskClient) -> None:
    read = page(past, "/documents/mhra/valproate")
    assert "Corrected on" in [one.text for one in read.of_class("app-timeline__lane")]
    assert len(read.of_class("app-timeline__mark--correction")) == 3
    assert "Corrected on 28 Nov 2023, 31 Jan 2024, 13 Feb 2025." in read.first("desc").text
    assert not page(client, "/documents/mhra/valproate").of_class("app-timeline__mark--correction")


def changes_of(read: Page) -> str:
    return next(one.text for one in read.all("section") if one.attributes.get("aria-labelledby") == "changes")


def test_a_medicine_tells_its_changes_version_by_version_with_the_day_of_each(client: FlaskClient) -> None:
    read = page(client, "/medicines/alemtuzumab?jurisdiction=EU&at=2026-02-02")
    assert "#changes" in [one.attributes["href"] for one in read.all("a") if one.text == "What changed for Alemtuzumab"]
    said = changes_of(read)
    assert "16 January 2020 Restricted after the safety review What changed from version 2 to version 3" in said
    assert "12 April 2019 (not confirmed) Temporary restriction" in said
    assert "12 September 2013 Authorised for active relapsing-remitting disease Version 1, the first" in said
    (link,) = [
        one.attributes["href"] for one in read.all("a") if one.text == "What changed from version 2 to version 3"
    ]
    assert link == f"{LEMTRADA}/compare?at=2026-02-02&from=%402&to=%403"
    assert "22 changes" in page(client, link).main.text
    assert "16 January 2020" not in changes_of(page(client, "/medicines/alemtuzumab?on=2019-12-01"))
    assert not page(client, "/medicines/alemtuzumab?on=2012-12-01").all("h2", id="changes")


def test_what_changed_follows_the_order_in_which_versions_took_effect(client: FlaskClient) -> None:
    read = page(client, "/documents/mhra/valproate")
    offered = {
        one.text: one.attributes["href"].partition("?")[2]
        for one in read.all("a")
        if "/compare" in one.attributes["href"]
    }
    assert offered == {
        "What changed from version 3 to version 4": "from=%403&to=%404",
        "From version 3": "from=%403&to=%404",
        "From version 1": "from=%401&to=%403",
        "From version 2": "from=%402&to=%401",
    }
    said = changes_of(page(client, "/medicines/valproate?jurisdiction=UK"))
    assert "31 January 2024 Two specialists before starting under 55 What changed from version 2 to version 1" in said
    overruled = page(client, "/documents/ema/hes")
    assert [one.text for one in overruled.all("a") if one.text.startswith("From version")] == [
        "From version 2",
        "From version 1",
    ]


@pytest.mark.parametrize(
    "address",
    ["/documents/mhra/valproate", "/medicines/valproate", "/coming", "/"],
    ids=["page", "medicine", "coming", "home"],
)
def test_a_rule_that_several_versions_await_is_told_once(client: FlaskClient, address: str) -> None:
    items = [one.text for one in page(client, f"{address}?on=2023-12-01").of_class("app-coming__item")]
    (told,) = [text for text in items if "two specialists (planned)" in text]
    assert "ne rule of versions 1 and 3" in told


def test_what_was_known_when_is_drawn_a_row_for_each_state(past: FlaskClient) -> None:
    read = page(past, f"{LEMTRADA}/times")
    rows = [one.text for one in read.of_class("app-timeline__lane")]
    assert rows == [f"Known from {day}" for day in ("12 Sep 2013", "12 Apr 2019", "31 Oct 2019", "16 Jan 2020")]
    assert "Version 3, expected January 2020" in read.main.text
    assert "Version 3" not in page(past, f"{LEMTRADA}/times?at=2019-10-30").main.text


def test_a_version_that_holds_only_in_parts_is_not_left_out_unsaid(past: FlaskClient) -> None:
    read = page(past, "/documents/mhra/valproate/times")
    assert [one.text for one in read.of_class("govuk-inset-text")] == [
        "Not in these rows: version 2, only for Great Britain and Northern Ireland."
    ]
    ways = {one.text: one.attributes["href"] for one in read.of_class("app-subnav__link")}
    assert list(ways) == ["UK", "Great Britain", "Northern Ireland"]
    for place in list(ways)[1:]:
        there = page(past, ways[place])
        assert "Version 2" in there.main.text
        assert not there.of_class("govuk-inset-text")
    assert not page(past, f"{LEMTRADA}/times").of_class("govuk-inset-text")


def test_search_marks_the_words_that_were_found(client: FlaskClient) -> None:
    assert {one.text for one in page(client, "/search?q=intensive%20care").all("mark")} == {"intensive", "care"}


@pytest.mark.parametrize(
    ("on", "jurisdiction", "said"),
    [
        ("2024-06-01", "", "Not known to be in force on this day."),
        ("2025-06-01", "", "version 2 In force EU (as version 1 has it)"),
        ("2026-06-01", "", "version 2 In force EU"),
        ("2026-06-01", "UK", "Not known to be in force on this day."),
    ],
)
def test_what_is_found_says_whether_it_is_in_force(
    archive: Archive, publish: Publish, on: str, jurisdiction: str, said: str
) -> None:
    publish(document(), version(1, since("2025-01-01")))
    publish(version(2, since("2026-01-01"), rules=[rule("one", text="It must not be used after any stroke.")]))
    read = page(door(archive), f"/search?q=stroke&on={on}&jurisdiction={jurisdiction}")
    assert said in next(one.text for one in read.of_class("app-hits__one") if "Rule of" in one.text)


def test_history_goes_on_until_the_first_revision(past: FlaskClient, replayed: Archive) -> None:
    address, seen = "/documents/ema/lemtrada/history", 0
    while address:
        read = page(past, address)
        seen += len(read.all("tr")) - 1
        following = read.all("a", rel="next")
        address = following[0].attributes["href"] if following else ""
    tip = replayed.tip()
    assert tip is not None
    assert seen == len(replayed.index.history("ema/lemtrada", tip.position, limit=1000))


# --- states that the corpus does not have ----------------------------------------------------------------

Publish = Callable[..., None]


@pytest.fixture
def publish(archive: Archive, act: Callable[..., Act]) -> Publish:
    """Record documents and versions in a register of the test's own."""

    def published(*bodies: Any) -> None:
        archive.publish([Proposal(body) for body in bodies], act(), NOW)

    return published


def test_an_end_known_to_the_month_is_said(archive: Archive, publish: Publish) -> None:
    publish(document(), version(1, since("2025-01-01", to="2026-02")))
    read = page(door(archive), "/documents/ema/example")
    assert "In force, ending this month" in read.of_class("app-title")[0].text
    assert "until a day in February 2026 that is not known" in read.main.text
    assert "Ended" not in read.of_class("app-title")[0].text


@pytest.mark.parametrize(
    "address",
    ["/", "/documents", "/medicines/alemtuzumab"]
    + [f"/documents/ema/example{of}" for of in ("", "/versions/1", "/rules/one")],
)
def test_an_end_known_to_the_year_is_not_told_as_one_in_this_month(
    archive: Archive, publish: Publish, address: str
) -> None:
    publish(document(), version(1, since("2025-01-01", to="2026")))
    said = page(door(archive), address).main.text
    assert "In force, ending this year" in said
    assert "ending this month" not in said


def test_a_version_that_ends_in_one_of_its_places_only_says_so(archive: Archive, publish: Publish) -> None:
    named = "mhra/example"
    publish(document(named, "UK"))
    publish(version(1, since("2025-01-01", "UK"), since("2025-01-01", "NI", to="2026-02"), document=named))
    said = page(door(archive), f"/documents/{named}/versions/1").main.text
    assert "In force, ending this month in Northern Ireland, In force in the UK on this day." in said


def test_the_page_of_a_rule_names_the_parts_where_it_does_not_hold(archive: Archive, publish: Publish) -> None:
    named = "mhra/example"
    later = rule("one", commencements=[since("2025-01-01", "UK"), since("2027-01-01", "NI")])
    publish(document(named, "UK"), version(1, since("2025-01-01", "UK"), document=named, rules=[later]))
    client = door(archive)
    assert answer(client, "/v1/rules")["rules"][0]["but_not"] == ["NI"]
    said = page(client, f"/documents/{named}/rules/one").main.text
    assert "In force in the UK, but not, as far as is recorded, in Northern Ireland, as part of version 1" in said


@pytest.mark.parametrize("address", ["/", "/medicines", "/medicines/zinc", "/search?q=zinc"])
def test_rules_of_a_version_that_does_not_name_a_medicine_are_not_told_as_about_it(
    archive: Archive, publish: Publish, address: str
) -> None:
    both = [{"inn": "copper"}, {"inn": "zinc"}]
    rules = [rule("one"), rule("two", commencements=[since("2026-01-01")])]
    publish(document(), version(1, since("2025-01-01"), medicines=both))
    publish(version(2, since("2025-06-01"), medicines=[{"inn": "copper"}], rules=rules))
    client = door(archive)
    assert answer(client, "/v1/rules?medicine=zinc")["rules"] == []
    (line,) = [one.text for one in page(client, address).of_class("app-line") if "Zinc" in one.text]
    assert "In force" in line
    assert "It does not name Zinc. That does not mean that nothing applies to it." in line
    assert "contraindication" not in line
    assert "2 contraindications" in page(client, "/").main.text


def test_a_part_is_told_on_the_page_of_the_whole_as_on_its_own(archive: Archive, publish: Publish) -> None:
    name = "mhra/example"
    publish(document(name, "UK"), version(1, since("2025-01-01", "GB"), awaited("NI"), document=name))
    client = door(archive)
    whole = page(client, f"/documents/{name}").main.text
    assert "In Northern Ireland Decided, day not recorded Version 1 is decided, and its first day in" in whole
    assert "Not yet in force" not in whole
    assert "Decided, day not recorded" in page(client, f"/documents/{name}?jurisdiction=NI").main.text


def test_an_empty_register_says_that_it_is_empty(archive: Archive) -> None:
    client = door(archive)
    assert "The register is empty" in page(client, "/").main.text
    for address in ("/coming", "/documents", "/medicines", "/about"):
        page(client, address)
    page(client, "/documents/ema/example", 404)


def test_a_document_without_a_version_is_a_page(archive: Archive, publish: Publish) -> None:
    publish(document())
    assert "No version is recorded yet." in page(door(archive), "/documents/ema/example").main.text
    page(door(archive), "/documents")


def test_a_rule_that_is_awaited_is_named_with_its_version(archive: Archive, publish: Publish) -> None:
    late = rule("late", title="A late rule", commencements=[awaited(expected="2026-05")])
    publish(document(), version(1, since("2025-01-01"), rules=[rule("one"), late]))
    client = door(archive)
    assert "May 2026 Expected, no day known A late rule" in page(client, "/documents/ema/example").main.text
    assert (
        "It is coming, expected in May 2026; awaiting: a decision."
        in page(client, "/documents/ema/example/rules/late").main.text
    )
    assert "A late rule (one rule of version 1, Version 1)." in page(client, "/coming").main.text


def test_many_rules_that_start_on_one_day_are_one_line(archive: Archive, publish: Publish) -> None:
    later = [rule(f"r-{n}", commencements=[since("2026-03-01")]) for n in range(5)]
    publish(document(), version(1, since("2025-01-01"), rules=[rule("one"), *later]))
    read = page(door(archive), "/coming")
    assert len(read.of_class("app-coming__item")) == 1
    assert "5 more rules of version 1, Version 1." in read.main.text


def test_a_medicine_of_many_documents_shows_some_and_how_many_more(archive: Archive, publish: Publish) -> None:
    names = [f"ema/d-{n}" for n in range(7)]
    for name in names:
        publish(document(name), version(1, document=name))
    client = door(archive)
    for address in ("/", "/medicines", "/search?q=alemtuzumab"):
        assert "2 more documents on Alemtuzumab" in page(client, address).main.text
    assert len(page(client, "/medicines/alemtuzumab").of_class("app-line")) == 7


def test_what_is_coming_is_said_to_go_on_where_it_does(archive: Archive, publish: Publish) -> None:
    days = [since(f"20{year}-01-01") for year in range(27, 33)]
    publish(document(), *(version(number, day) for number, day in enumerate(days, start=1)))
    publish(document("ema/other"), version(1, awaited(), document="ema/other"))
    client = door(archive)
    home = page(client, "/").of_class("app-home__side")[0].text
    assert "1 January 2030" in home
    assert "1 January 2031" not in home
    assert "Guidance ema/other" in home
    assert "1 January 2032" in page(client, "/coming").main.text
    assert "There is more." not in page(client, "/coming").main.text
    many = [since(f"2{year}-01-01") for year in range(100, 210)]
    publish(*(version(number, day) for number, day in enumerate(many, start=7)))
    assert "There is more." in page(client, "/coming").main.text


def test_rules_that_begin_later_than_their_version_say_since_when(archive: Archive, publish: Publish) -> None:
    late, later = (
        rule(name, commencements=[since(day)]) for name, day in (("late", "2020-02-01"), ("more", "2021-03-01"))
    )
    publish(document(), version(1, since("2019-01-01"), rules=[late, later]))
    client = door(archive)
    for on, said in (
        ("2019-06-01", "EU · version since 1 January 2019"),
        ("2020-02-01", "EU · rules since 1 February 2020 Version 1"),
        ("2021-03-01", "EU · rules since 1 February 2020 and 1 March 2021 Version 1"),
    ):
        for address in ("/", "/documents", "/medicines/alemtuzumab"):
            assert said in page(client, f"{address}?on={on}").main.text, (on, address)


# --- sending ---------------------------------------------------------------------------------------------


def test_a_page_that_has_not_changed_is_not_sent_again(client: FlaskClient) -> None:
    first = client.get(LEMTRADA)
    again = client.get(LEMTRADA, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert client.get("/").headers["ETag"] != first.headers["ETag"]
    assert first.headers["Cache-Control"] == "public, no-cache"


def test_a_page_is_another_one_tomorrow_even_where_it_names_its_day(corpus: Archive) -> None:
    hands = Hands()
    client = door(corpus, hands)
    asked = f"{LEMTRADA}?on=2026-02-02"
    before = client.get(asked)
    assert b"Another day" not in before.data
    hands.turn(days=1)
    after = client.get(asked)
    assert after.headers["ETag"] != before.headers["ETag"]
    assert b"Another day than today" in after.data


def test_a_page_is_another_one_after_a_correction(corpus: Archive, tmp_path: Path) -> None:
    archive = Archive(shutil.copytree(corpus.folder, tmp_path / "data"))
    client = door(archive)
    assert b"A corrected title" not in client.get(LEMTRADA).data
    correct(archive, "ema/lemtrada", 3, title="A corrected title")
    assert b"A corrected title" in client.get(LEMTRADA).data
    archive.close()


def test_a_related_document_is_linked_once_it_is_recorded(archive: Archive, act: Callable[..., Act]) -> None:
    related = [{"document": "ema/other", "title": "The other one", "note": "Read both."}]
    archive.publish([Proposal(document(related=related))], act(), NOW)
    early = archive.tip()
    assert early is not None
    archive.publish([Proposal(document("ema/other"))], act(), NOW)
    client = door(archive)
    assert "The other one" in [one.text for one in page(client, "/documents/ema/example").all("a")]
    before = page(client, f"/documents/ema/example?at={early.id}")
    assert "The other one (not recorded at that time). Read both." in before.main.text
    assert "The other one" not in [one.text for one in before.all("a")]


def test_a_pinned_page_may_be_kept_until_midnight(client: FlaskClient, corpus: Archive) -> None:
    tip = corpus.tip()
    assert tip is not None
    kept = client.get(f"{LEMTRADA}?on=2020-01-16&at={tip.id}").headers["Cache-Control"]
    assert kept == "public, max-age=39600"  # from 12:00 UTC to midnight in Brussels


# --- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("/?date=2020-01-01", 400, "The parameter date of this address cannot be used as it is."),
        ("/?date=", 400, "The parameter date of this address cannot be used as it is."),
        ("/?on=2020-01-01&on=2021-01-01", 400, "The parameter on of this address cannot be used as it is."),
        ("/?jurisdiction=XX", 400, "The parameter jurisdiction of this address cannot be used as it is."),
        ("/?on=2026-02-30", 400, "'2026-02-30' is not a date that exists"),
        ("/?on=2026", 400, "'2026' is not a day; write YYYY-MM-DD"),
        ("/?at=yesterday", 400, "'yesterday' is neither a day (2019-11-05), an instant"),
        ("/?at=2030-01-01", 400, "is in the future"),
        ("/?at=deadbeef", 404, "'deadbeef' is not a revision of this register"),
        ("/documents/ema/nothing", 404, "No document 'ema/nothing' is recorded"),
        ("/documents/EMA/Lemtrada", 400, "is not a document's id"),
        (f"{LEMTRADA}/versions/9", 404, "has no version 9"),
        (f"{LEMTRADA}/versions/x", 400, "The parameter version of this address"),
        (f"{LEMTRADA}/versions/1?at=2000-01-01", 404, "is before the first revision"),
        (f"{LEMTRADA}/rules/none", 404, "has a rule 'none'"),
        ("/medicines/none", 404, "No document names the medicine 'none'"),
        ("/medicines?name=x", 400, "The parameter name of this address cannot be used as it is."),
        ("/search?q=" + "x" * 300, 400, "must hold words to look for"),
        ("/search?q=%22", 400, "must hold words to look for"),
        ("/problems/none", 404, "There is no problem of type 'none'"),
        ("/nowhere", 404, "There is nothing at this address"),
    ],
)
def test_an_error_is_a_page_that_says_what_and_where(client: FlaskClient, address: str, status: int, said: str) -> None:
    read = page(client, address, status)
    assert said in read.text
    assert client.get(address, headers={"Accept": "text/html"}).headers["Cache-Control"] == "no-store"


def test_a_wrong_day_is_told_at_the_field_and_in_a_summary_that_leads_to_it(client: FlaskClient) -> None:
    read = page(client, f"{LEMTRADA}?on=2026-02-30&at=2026-01-01", 400)
    assert read.first("title").text.startswith("Error: ")
    assert "#asof-on" in read.links()
    field = read.all("input", id="asof-on")[0]
    assert (field.attributes["value"], field.attributes["aria-describedby"]) == ("2026-02-30", "asof-on-error")
    assert read.all("input", id="asof-at")[0].attributes["value"] == "2026-01-01"


def test_an_error_in_the_past_offers_the_present(past: FlaskClient) -> None:
    read = page(past, "/documents/mhra/valproate?at=2019-01-01", 404)
    assert "What was recorded later was not known then." in read.main.text
    page(past, next(href for href in read.links() if href == "/documents/mhra/valproate"))


def test_programs_get_problems_and_people_get_pages(client: FlaskClient) -> None:
    assert client.get("/v1/nowhere", headers={"Accept": "text/html"}).mimetype == problems.MEDIA_TYPE
    assert client.get("/nowhere", headers={"Accept": "application/json"}).mimetype == problems.MEDIA_TYPE
    assert client.get("/nowhere").mimetype == "text/html"
    assert client.post("/", headers={"Accept": "text/html"}).status_code == 405


def test_a_register_that_cannot_be_read_is_a_page_that_says_so(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: object) -> None:
        raise StoreUnreadable("/somewhere", "the disk is gone")

    monkeypatch.setattr(archive, "seen_at", gone)
    read = page(door(archive), "/", 503)
    assert "Please try again in a few seconds." in read.main.text
    assert "The register in /somewhere cannot be read: the disk is gone" in read.main.text


def test_a_host_that_is_not_trusted_still_gets_a_whole_page(corpus: Archive) -> None:
    client = door(corpus, trusted_hosts=("register.example",))
    response = client.get("/", headers={"Host": "evil.example", "Accept": "text/html"})
    assert response.status_code == 400
    assert b"</html>" in response.data


def test_every_kind_of_problem_is_explained(client: FlaskClient) -> None:
    for name in problems.known():
        body = page(client, f"/problems/{name}").all("p", **{"class": "govuk-body app-measure"})
        assert body, name
        assert len(body[0].text) > 20, name


# --- hostile text ----------------------------------------------------------------------------------------

PAYLOADS = ("alert(1)", "alert&lpar;1&rpar;", "fetch('//example.org')", "7*7")
SHELLS = (
    "<script>%s</script>",
    "<ScRiPt >%s</sCrIpT>",
    '"><img src=x onerror=%s>',
    "'><img src=x onerror=%s>",
    "' onmouseover='%s",
    '" autofocus onfocus=%s x="',
    "`onload=%s`",
    "</title><script>%s</script>",
    "</textarea></select></option><svg onload=%s>",
    "</svg></desc><svg><script>%s</script>",
    "<!-- --><b>%s</b><!--",
    "<style>*{}</style><p style=x:expression(%s)>",
    "{{ %s }}{%% if 1 %%}x{%% endif %%}",
    "${%s} #{%s} <%%= %s %%>",
    "javascript:%s",
    "java\u00a0script:%s",
    "data:text/html,<script>%s</script>",
    "<a href=javascript:%s>x</a>",
    "<iframe srcdoc='<script>%s</script>'>",
    "<base href=//example.org/><form action=//example.org/%s>",
    "&lt;script&gt;%s&lt;/script&gt; &#60;b&#62;",
    "&quot; onclick=&quot;%s",
    "]]><![CDATA[<%s>",
    "%%3Cscript%%3E%s %%22 %%00",
)
ODD = (
    "\u202eright to left\u202c \u200bzero",
    "e\u0301\U0001f469\u200d\U0001f52c \ufeff",
    "=cmd|' /C calc'!A0",
    "../../etc/passwd?x=<y>#z",
    "x" * 300,
)
HOSTILE = (*(shell.replace("%s", payload).replace("%%", "%") for shell in SHELLS for payload in PAYLOADS), *ODD)


def bundles(longest: int = 480) -> list[str]:
    """All of them, as few lines as a field takes."""
    held = [""]
    for text in HOSTILE:
        if len(held[-1]) + len(text) + 3 > longest:
            held.append("")
        held[-1] = f"{held[-1]} · {text}".removeprefix(" · ")
    return held


KEPT_AS_THEY_ARE = {
    "id", "document", "authority", "ref", "kind", "modality", "cohort", "stage", "status", "from", "to", "expected",
    "date", "ends", "tier", "link", "act", "operator", "sex", "within", "every", "until", "inn", "no_later_than",
}  # fmt: skip
LISTS_KEPT = {"jurisdictions", "unconfirmed", "replaces"}


def hostile(value: Any, text: str, member: str = "") -> Any:
    """The value with a text in every place that takes free text, with what it was, so that none is empty."""
    if isinstance(value, dict):
        return {name: hostile(one, text, name) for name, one in value.items()}
    if isinstance(value, list):
        return value if member in LISTS_KEPT else [hostile(one, text, member) for one in value]
    if not isinstance(value, str) or member in KEPT_AS_THEY_ARE or member in {"jurisdiction", "source", "what"}:
        return value
    return value if member in {"medicines", "system", "type"} else text


FULL = {
    "document": {
        **document("ema/example", "EU", "UK"),
        "about": "x",
        "note": "x",
        "procedures": [{"type": "article-20", "number": "x"}],
        "related": [{"title": "x", "note": "x"}, {"document": "ema/example", "title": "x", "note": "x"}],
    },
    "version": version(
        1,
        since("2025-01-01", to="2030-01-01", ends="expired", ends_basis="x", no_later_than="2026-01-01", delay="x"),
        awaited("UK", expected="2026-05"),
        title="x",
        status_note="x",
        note="x",
        medicines=[
            {"inn": "alemtuzumab", "name": "x", "brands": ["x"], "codes": [{"system": "atc", "code": "x"}]},
        ],
        milestones=[
            {"act": "decided", "by": "x", "date": "2025-01", "note": "x", "as_printed": "x", "source": "decision"}
        ],
        sources=[
            {
                "id": "decision",
                "title": "x",
                "publisher": "x",
                "tier": "secondary",
                "link": "https://example.org/",
                "reference": "x",
                "note": "x",
                "as_printed": "x",
            },
        ],
        rules=[
            rule(
                "one",
                number="x",
                section="x",
                interpretation="x",
                medicines=["alemtuzumab"],
                population={"include": [{"id": "a", "text": "x"}], "exclude": [{"id": "b", "text": "x"}]},
                thresholds=[{"what": "count", "operator": "<", "value": 3, "unit": "x"}],
                schedule={"before": True, "until": "P1M", "after": "x"},
                setting=[{"id": "c", "text": "x"}],
                codes=[{"system": "atc", "code": "x"}],
                source={"ref": "decision", "section": "x", "quote": "x", "as_printed": "x", "note": "x"},
            ),
            rule("late", commencements=[awaited("EU")]),
        ],
    ),
}
SHOWN = (
    "/",
    "/coming",
    "/documents",
    "/documents/ema/example",
    "/documents/ema/example?jurisdiction=UK",
    "/documents/ema/example?on=2031-01-01",
    "/documents/ema/example/versions/1",
    "/documents/ema/example/rules/one",
    "/documents/ema/example/rules/late",
    "/documents/ema/example/history",
    "/medicines",
    "/medicines/alemtuzumab",
)


def speaking(template: Path, folder: Path, text: str) -> Iterator[tuple[str, Page]]:
    """Every page of a register in which each free text is the one given."""
    archive = Archive(shutil.copytree(template, folder))
    act = Act("publish", "Mallory <m@example.org>", text, approved_by=text)
    archive.publish([Proposal(hostile(FULL["document"], text)), Proposal(hostile(FULL["version"], text))], act, NOW)
    client = door(archive)
    for address in SHOWN:
        yield address, page(client, address)
    archive.close()


@pytest.fixture(scope="module")
def harmless(template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    return dict(speaking(template, tmp_path_factory.mktemp("harmless") / "data", "harmless"))


def test_there_are_a_hundred_hostile_texts() -> None:
    assert len(set(HOSTILE)) > 100


@pytest.mark.parametrize("text", bundles(), ids=range(len(bundles())))
def test_no_text_of_a_document_changes_what_a_page_is_made_of(
    template: Path, tmp_path: Path, harmless: dict[str, Page], text: str
) -> None:
    for address, read in speaking(template, tmp_path / "data", text):
        assert read.shape == harmless[address].shape, address
        assert " ".join(text.split()) in read.first("html").text, address


@pytest.mark.parametrize("text", HOSTILE[::9], ids=range(len(HOSTILE[::9])))
@pytest.mark.parametrize("name", ["on", "at", "q", "strange"])
def test_no_text_of_an_address_changes_what_a_page_is_made_of(client: FlaskClient, name: str, text: str) -> None:
    response = client.get("/search", query_string={name: text}, headers={"Accept": "text/html"})
    assert response.status_code in (200, 400)
    read = page(client, response.request.path + "?" + response.request.query_string.decode(), response.status_code)
    assert not read.all("img")
    assert "49" not in read.main.text


def test_only_addresses_of_the_web_become_links(client: FlaskClient) -> None:
    link = client.application.jinja_env.get_template("macros/rule.html").module.link  # type: ignore[attr-defined]
    assert 'href="https://example.org/"' in link("https://example.org/", "x")
    assert 'href="HTTP://example.org/"' in link("HTTP://example.org/", "x")
    for bad in ("javascript:alert(1)", "data:text/html,x", "//example.org", " https://x", "ftp://x", "httpss://x", ""):
        assert "href" not in link(bad, "x"), bad


def test_the_moment_of_a_page_is_the_injected_clock(corpus: Archive) -> None:
    late = door(corpus, datetime(2031, 5, 6, 23, 30, tzinfo=UTC))
    assert "Today, 7 May 2031, in the EU" in page(late, LEMTRADA).of_class("app-asof__statement")[0].text
    assert "Today, 7 May 2031, in the UK" in page(late, f"{LEMTRADA}?jurisdiction=UK").of_class("app-asof")[0].text
