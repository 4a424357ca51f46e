"""The pages of those who subscribe: entered with a token, left for good, and changed by no other site's page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from guidance.archive import Archive
from service import subscriptions, ticker, tokens
from service.addresses import Policy
from service.delivery import Terms, Worker, schedule_of
from service.state import State
from service.subscriptions import EXTENSION, Push
from tests.service.doors import NOW, Hands, door
from tests.service.reading import ACCEPT, Page
from tests.service.receiver import Receiver, Reply, receiving

HOME = "/subscriptions"
HEADERS = {"Accept": ACCEPT, "Sec-Fetch-Site": "same-origin"}


class Person:
    """Somebody with a browser and a token."""

    def __init__(self, state: State, client: FlaskClient, owner: str = "Neurology") -> None:
        self.state, self.client = state, client
        self.token, self.text = tokens.create(state, "tests", owner, ["subscribe"])

    def enter(self, text: str | None = None, **headers: str) -> TestResponse:
        return self.client.post(f"{HOME}/sign-in", data={"token": text or self.text}, headers={**HEADERS, **headers})

    def see(self, address: str = HOME, status: int = 200) -> Page:
        response = self.client.get(address, headers=HEADERS)
        assert response.status_code == status, response.get_data(as_text=True)
        assert response.headers["Cache-Control"] == "no-store"
        return Page(response.get_data(as_text=True))

    @property
    def proof(self) -> str:
        found = self.see().all("input", name="proof")
        return found[0].attributes["value"] if found else ""

    def do(self, address: str, **given: str) -> TestResponse:
        return self.client.post(address, data={"proof": self.proof, **given}, headers=HEADERS)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def here(corpus: Archive, tmp_path: Path, hands: Hands) -> Iterator[FlaskClient]:
    shutil.copytree(corpus.folder, tmp_path / "data")
    archive = Archive(tmp_path / "data")
    client = door(archive, hands, outgoing_allow=("127.0.0.1",), outgoing_http=True)
    ticker.tick(archive, state_of(client), NOW)
    yield client
    state_of(client).close()
    archive.close()


def push_of(client: FlaskClient) -> Push:
    found: Push = client.application.extensions[EXTENSION]
    return found


def state_of(client: FlaskClient) -> State:
    return push_of(client).state


@pytest.fixture
def person(here: FlaskClient) -> Person:
    made = Person(state_of(here), here)
    assert made.enter().status_code == 303
    return made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def deliver(client: FlaskClient) -> None:
    push = push_of(client)
    policy = Policy.of(["127.0.0.1"], plain_http=True)
    worker = Worker(push.state, push.vault, policy, Terms(schedule_of("1s 1s")))
    worker.drain()
    worker.close()


# --- entering and leaving --------------------------------------------------------------------------------


def test_whoever_enters_gets_a_cookie_that_scripts_and_other_sites_never_see(here: FlaskClient) -> None:
    person = Person(state_of(here), here)
    assert "Your token" in person.see().text
    response = person.enter()
    cookie = response.headers["Set-Cookie"]
    assert (response.status_code, response.headers["Location"]) == (303, HOME)
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Max-Age=28800", "Path=/"} <= set(cookie.split("; "))
    assert person.text not in cookie
    assert "Signed in as Neurology" in person.see().text


def test_a_wrong_token_is_told_at_its_field_and_only_so_many_are_tried(here: FlaskClient) -> None:
    person = Person(state_of(here), here)
    for _ in range(10):
        response = person.enter("inforce_0000000000000000_" + "a" * 43)
        assert response.status_code == 401
        assert "Set-Cookie" not in response.headers
    assert "the token is not known" in Page(response.get_data(as_text=True)).text
    assert "too many wrong tokens" in person.enter().get_data(as_text=True)


def test_a_token_that_may_not_subscribe_does_not_enter(here: FlaskClient) -> None:
    person = Person(state_of(here), here)
    _, text = tokens.create(person.state, "reads", "Neurology", ["read"])
    assert person.enter(text).status_code == 401


def test_who_leaves_has_left_even_for_whoever_kept_the_cookie(person: Person) -> None:
    cookie = person.client.get_cookie("inforce-session")
    assert cookie
    assert person.do(f"{HOME}/sign-out").status_code == 303
    assert "You have signed out" in person.see(f"{HOME}?done=left").text
    person.client.set_cookie("inforce-session", cookie.value)
    assert "Your token" in person.see().text


def test_a_session_ends_with_its_token_and_after_eight_hours(person: Person, hands: Hands) -> None:
    hands.turn(hours=7, minutes=59)
    assert "Signed in" in person.see().text
    hands.turn(minutes=2)
    assert "Your token" in person.see().text
    response = person.client.post(HOME, data={"url": "https://example.org/hook"}, headers=HEADERS)
    assert "nothing was done" in person.see(response.headers["Location"]).text
    person.enter()
    tokens.revoke(person.state, person.token.id)
    assert "Your token" in person.see().text


@pytest.mark.parametrize("address", [f"{HOME}/sub_x", f"{HOME}/sub_x/deliveries/1"])
def test_without_a_session_there_is_only_the_door(here: FlaskClient, address: str) -> None:
    response = here.get(address, headers=HEADERS)
    assert (response.status_code, response.headers["Location"]) == (303, HOME)


# --- forms of other sites --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proof", "headers"),
    [
        ("", {}),
        ("0" * 64, {}),
        ("é", {}),
        (None, {"Sec-Fetch-Site": "cross-site"}),
        (None, {"Sec-Fetch-Site": "same-site"}),
    ],
)
def test_a_form_that_is_not_ours_does_nothing(person: Person, proof: str | None, headers: dict[str, str]) -> None:
    given = {"proof": person.proof if proof is None else proof, "url": "https://example.org/hook"}
    response = person.client.post(HOME, data=given, headers={**HEADERS, **headers})
    assert response.status_code in (401, 403)
    assert response.status_code == 403 or "load the page anew" in response.get_data(as_text=True)
    assert subscriptions.mine(person.state, "Neurology") == []


def test_nobody_is_signed_in_by_another_sites_form(here: FlaskClient) -> None:
    person = Person(state_of(here), here)
    response = person.enter(**{"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403
    assert "Set-Cookie" not in response.headers


# --- subscriptions ---------------------------------------------------------------------------------------


def subscribed(person: Person, receiver: Receiver, **more: str) -> str:
    response = person.do(HOME, url=receiver.url, name="Ward 3", **more)
    assert response.status_code == 200, response.get_data(as_text=True)
    assert "whsec_" in response.get_data(as_text=True)
    deliver(person.client)
    return subscriptions.mine(person.state, "Neurology")[0].id


def test_an_endpoint_is_subscribed_with_warnings_and_its_secret_is_shown_once(
    person: Person, receiver: Receiver
) -> None:
    response = person.do(HOME, url=receiver.url, name="Ward 3", medicines="alemtuzumab, alemtuzumabb", severity="minor")
    shown = Page(response.get_data(as_text=True)).text
    assert "whsec_" in shown
    assert "no document names 'alemtuzumabb'" in shown
    found = subscriptions.mine(person.state, "Neurology")[0]
    assert found.filter == {"medicines": ["alemtuzumab", "alemtuzumabb"], "severity": "minor"}
    assert "whsec_" not in person.see(f"{HOME}/{found.id}").text
    assert "Ward 3" in person.see().text


WRONG: Any = [
    ({"url": "https://10.0.0.1/"}, "url", "private"),
    ({"url": ""}, "url", "an https address"),
    ({"url": "https://example.org/", "kinds": "ended, unheard-of"}, "kinds", "'published'"),
    ({"url": "https://example.org/", "jurisdictions": "eu"}, "jurisdictions", "two-letter code"),
]


@pytest.mark.parametrize(("given", "field", "said"), WRONG)
def test_what_cannot_be_subscribed_is_said_at_its_field_and_what_was_written_is_kept(
    person: Person, given: dict[str, str], field: str, said: str
) -> None:
    response = person.do(HOME, name="Ward 3", **given)
    shown = Page(response.get_data(as_text=True))
    assert response.status_code == 400
    assert said in shown.all("p", id=f"{field}-error")[0].text
    assert said in shown.all("a", href=f"#{field}")[0].text
    assert shown.all("input", id=field)[0].attributes["value"] == given[field]
    assert shown.all("input", id="name")[0].attributes["value"] == "Ward 3"


@pytest.mark.parametrize(("given", "field", "said"), WRONG)
def test_what_cannot_be_changed_is_said_where_it_was_asked_and_changes_nothing(
    person: Person, receiver: Receiver, given: dict[str, str], field: str, said: str
) -> None:
    name = subscribed(person, receiver)
    shown = Page(person.do(f"{HOME}/{name}/change", name="Ward 4", **given).get_data(as_text=True))
    assert said in shown.all("p", id=f"{field}-error")[0].text
    assert shown.all("input", id=field)[0].attributes["value"] == given[field]
    assert shown.all("input", id="name")[0].attributes["value"] == "Ward 4"
    assert subscriptions.one(person.state, "Neurology", name).name == "Ward 3"


def test_what_cannot_be_done_is_said_on_the_page_of_its_subscription(person: Person, receiver: Receiver) -> None:
    name = subscribed(person, receiver)
    response = person.do(f"{HOME}/{name}/replay", after="soon")
    shown = Page(response.get_data(as_text=True))
    assert response.status_code == 400
    assert "'soon' is not a whole number" in shown.all("p", id="replay-after-error")[0].text
    assert shown.all("input", id="replay-after")[0].attributes["value"] == "soon"
    person.do(f"{HOME}/{name}/pause")
    refused = person.do(f"{HOME}/{name}/ping")
    assert refused.status_code == 409
    assert "only an active subscription is sent a test" in refused.get_data(as_text=True)
    assert "Ward 3" in Page(refused.get_data(as_text=True)).text


def test_what_went_wrong_is_told_by_name_and_leads_nowhere_once_its_subscription_is_deleted(
    person: Person, receiver: Receiver
) -> None:
    name = subscribed(person, receiver)
    receiver.reply = lambda _: Reply(410)
    person.do(f"{HOME}/{name}/ping")
    deliver(person.client)
    shown = person.see()
    assert [link.text for link in shown.all("a", href=f"{HOME}/{name}")] == ["Ward 3", "Ward 3"]
    person.do(f"{HOME}/{name}/delete")
    assert f"{name} (deleted)" in person.see().text
    assert person.see().all("a", href=f"{HOME}/{name}") == []


def test_a_filter_that_was_changed_to_match_nothing_is_warned_about(person: Person, receiver: Receiver) -> None:
    name = subscribed(person, receiver)
    person.do(f"{HOME}/{name}/change", url=receiver.url, name="Ward 3", medicines="alemtuzumabb")
    assert "no document names 'alemtuzumabb'" in person.see(f"{HOME}/{name}").text


@pytest.mark.parametrize("button", ["Delete this subscription", "Make a new secret"])
def test_what_cannot_be_taken_back_is_opened_first_and_says_what_it_does(
    person: Person, receiver: Receiver, button: str
) -> None:
    name = subscribed(person, receiver)
    [folded] = [one for one in person.see(f"{HOME}/{name}").all("details") if button in one.text]
    assert "open" not in folded.attributes
    assert len(folded.text) > 100


def test_what_was_sent_is_shown_with_its_attempts_and_sent_again(person: Person, receiver: Receiver) -> None:
    name = subscribed(person, receiver)
    assert person.do(f"{HOME}/{name}/replay", after="0").headers["Location"] == f"{HOME}/{name}?done=replayed"
    deliver(person.client)
    shown = person.see(f"{HOME}/{name}?done=replayed")
    assert "What lies behind that position is on its way once more" in shown.text
    count = len(receiver.events)
    assert count > 10
    actions = {form.attributes["action"] for form in shown.all("form")} - {f"{HOME}/sign-out"}
    acts = ("pause", "ping", "rotate", "delete", "replay", "rehearse", "change")
    assert actions == {f"{HOME}/{name}/{one}" for one in acts}
    number = subscriptions.deliveries(person.state, "Neurology", name)[0]["id"]  # type: ignore[index, call-overload]
    one = person.see(f"{HOME}/{name}/deliveries/{number}").text
    assert "webhook-signature" in one
    assert "204" in one
    assert '"position": ' in one
    assert "Next attempt" not in one
    person.do(f"{HOME}/{name}/deliveries/{number}/redeliver")
    deliver(person.client)
    assert len(receiver.events) == count + 1
    receiver.reply = lambda _: Reply(503)
    person.do(f"{HOME}/{name}/deliveries/{number}/redeliver")
    deliver(person.client)
    assert "Next attempt" in person.see(f"{HOME}/{name}/deliveries/{number + 2}").text


def test_january_2020_is_rehearsed_though_the_register_is_younger(person: Person, receiver: Receiver) -> None:
    name = subscribed(person, receiver, documents="ema/lemtrada")
    person.do(f"{HOME}/{name}/rehearse", **{"from": "2020-01-01", "to": "2020-01-31"})
    deliver(person.client)
    told = [(one.json["kind"], one.json["version"], one.json["occurred_at"]) for one in receiver.events]
    assert ("in-force", 3, "2020-01-15T23:00:00Z") in told
    assert ("ended", 2, "2020-01-15T23:00:00Z") in told
    assert [instant for _, _, instant in told] == sorted(instant for _, _, instant in told)
    assert all(one.headers["inforce-rehearsal"] == "true" and one.json["rehearsal"] for one in receiver.events)


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("0001-01-01", "0001-01-02", "is before 1900"),
        ("2020-01-02", "2020-01-01", "is not after"),
        ("2015-01-01", "2020-01-01", "more than 366 days"),
        ("2020-01-01", "9999-12-31", "too far away"),
        ("2026-02-01", "2026-02-02", "is in the future"),
        ("soon", "", "'soon' is not"),
    ],
)
def test_a_span_that_cannot_be_played_is_refused(
    person: Person, receiver: Receiver, first: str, last: str, said: str
) -> None:
    name = subscribed(person, receiver)
    response = person.do(f"{HOME}/{name}/rehearse", **{"from": first, "to": last})
    assert response.status_code == 400
    assert said in Page(response.get_data(as_text=True)).text


def test_every_act_does_what_it_says(person: Person, receiver: Receiver) -> None:
    name = subscribed(person, receiver)
    person.do(f"{HOME}/{name}/ping")
    deliver(person.client)
    assert receiver.events[-1].json["kind"] == "endpoint.ping"
    person.do(f"{HOME}/{name}/pause")
    assert "Resume" in person.see(f"{HOME}/{name}").text
    person.do(f"{HOME}/{name}/resume")
    newest = person.see(f"{HOME}/{name}").all("input", name="newest")[0].attributes["value"]
    assert "whsec_" in person.do(f"{HOME}/{name}/rotate", newest=newest).get_data(as_text=True)
    again = person.do(f"{HOME}/{name}/rotate", newest=newest)  # as loading that page once more does
    assert again.status_code == 409
    assert "has been given a new secret since this was shown" in again.get_data(as_text=True)
    assert "whsec_" not in again.get_data(as_text=True)
    person.do(f"{HOME}/{name}/change", url=receiver.url, name="Ward 4", jurisdictions="EU,UK")
    found = subscriptions.one(person.state, "Neurology", name)
    assert (found.name, found.filter, found.state) == ("Ward 4", {"jurisdictions": ["EU", "UK"]}, "active")
    person.do(f"{HOME}/{name}/delete")
    assert "There are none yet" in person.see().text


@pytest.mark.parametrize("verb", ["pause", "resume", "ping", "delete", "rotate", "change", "replay", "rehearse"])
def test_what_is_anothers_is_not_there(person: Person, receiver: Receiver, verb: str) -> None:
    name = subscribed(person, receiver)
    other = Person(person.state, person.client.application.test_client(), "Cardiology")
    other.enter()
    assert name not in other.see().text
    assert "Ward 3" not in other.see(f"{HOME}/{name}", 404).text
    given: Any = {"after": "0", "url": receiver.url, "from": "2020-01-01", "to": "2020-01-02"}
    assert other.do(f"{HOME}/{name}/{verb}", **given).status_code == 404
    assert subscriptions.one(person.state, "Neurology", name).state == "active"
