"""The pages as people meet them: wide and narrow, by keyboard, without JavaScript, in the dark, on paper."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from guidance.archive import Archive
from service import tokens
from service.state import State

AXE = (Path(__file__).parent / "axe.min.js").read_text("utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 320, "height": 640}
LEMTRADA = "/documents/ema/lemtrada"
COMPARE = f"{LEMTRADA}/compare?from=@2&to=@3"
ADDRESSES = (
    "/",
    "/?on=2020-06-01&at=2026-11-22",
    "/coming?on=2020-06-01",
    "/documents",
    LEMTRADA,
    "/documents/mhra/valproate?on=2023-12-01",
    f"{LEMTRADA}/versions/2",
    f"{LEMTRADA}/rules/stroke",
    "/medicines/ciprofloxacin",
    "/search?q=valproate",
    COMPARE,
    f"{COMPARE}&view=sides",
    "/changes?from=2019-01-01&to=2020-02-01",
    "/subscriptions",
    "/about",
    "/?on=2026-02-30",
)


@contextlib.contextmanager
def visit(chrome: Browser, address: str, **dress: Any) -> Iterator[Page]:
    """A page of its own; afterwards nothing may have been fetched elsewhere, refused by the policy, or failed."""
    context = chrome.new_context(**{"viewport": WIDE, "locale": "en-GB", **dress})
    page = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "status of 4" not in message.text:
            complaints.append(message.text)

    def seen(request: Request) -> None:
        asked.append(request.url)

    page.on("request", seen)
    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    yield page
    host = urlsplit(address).netloc
    assert [url for url in asked if urlsplit(url).netloc != host] == []
    assert complaints == []
    context.close()


def focused(page: Page) -> str:
    """The id of what has the focus."""
    found: str = page.evaluate("document.activeElement.id")
    return found


def faults(page: Page, *rules: str) -> list[str]:
    """What axe finds: by the rules named, or by all that WCAG 2.2 AA asks for."""
    only = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": RULES}
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    found: list[str] = page.evaluate(
        "only => axe.run(document, {runOnly: only, resultTypes: ['violations']}).then(result => result.violations"
        ".map(v => `${v.id}: ${v.nodes.map(n => n.target.join(' ') + ' ' + n.failureSummary).join('; ')}`))",
        only,
    )
    return found


def fits(page: Page) -> None:
    """The page does not scroll sideways, and no text is cut off at its right edge."""
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    outside = page.evaluate(
        """() => [...document.querySelectorAll('main *, header *, .app-asof *')].filter(e => {
            if (e.closest('.app-scroll, .govuk-visually-hidden, svg')) return false;
            return e.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
        }).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert outside == []


@pytest.mark.parametrize("path", ADDRESSES)
def test_a_page_is_accessible_and_fits(chrome: Browser, address: str, path: str) -> None:
    with visit(chrome, address + path) as page:
        assert faults(page) == []
        fits(page)
        page.set_viewport_size(NARROW)
        fits(page)
        assert faults(page) == []


@pytest.mark.parametrize(
    "path", ["/", LEMTRADA, f"{LEMTRADA}/times", COMPARE, "/documents/mhra/fluoroquinolones?on=2020-06-01"]
)
def test_a_page_can_be_read_in_the_dark(chrome: Browser, past: str, path: str) -> None:
    with visit(chrome, past + path, color_scheme="dark") as page:
        assert faults(page, "color-contrast", "link-in-text-block") == []
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 25, 29)"


def test_states_are_still_words_in_forced_colours(chrome: Browser, address: str) -> None:
    with visit(chrome, address + "/", forced_colors="active") as page:
        expect(page.locator(".app-state", has_text="In force").first).to_be_visible()
        assert faults(page) == []


def test_another_day_is_asked_for_by_keyboard_alone(chrome: Browser, past: str) -> None:
    with visit(chrome, past + LEMTRADA) as page:
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to main content")
        for _ in range(20):
            page.keyboard.press("Tab")
            if focused(page) == "asof-on":
                break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
        page.keyboard.type("11112019")  # the same in every order of day and month
        for _ in range(5):
            if focused(page) == "asof-at":
                break
            page.keyboard.press("Tab")
        page.keyboard.type("2019-11-20")
        page.keyboard.press("Enter")
        page.wait_for_url("**/lemtrada?**")
        assert urlsplit(page.url).query == "on=2019-11-11&at=2019-11-20"
        expect(page.locator(".app-asof__moved")).to_have_text("Another day, and another state of knowledge, than today")
        expect(page.locator(".app-answer strong")).to_have_text("Temporary restriction during the safety review")


def test_the_skip_link_leads_to_the_answer(chrome: Browser, address: str) -> None:
    with visit(chrome, address + LEMTRADA) as page:
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main-content"


def test_everything_works_without_javascript(chrome: Browser, address: str) -> None:
    with visit(chrome, address + LEMTRADA, java_script_enabled=False) as page:
        page.fill("#asof-on", "2019-12-01")
        page.select_option("#asof-jurisdiction", "UK")
        page.click(".app-asof__button")
        assert urlsplit(page.url).query == "on=2019-12-01&at=&jurisdiction=UK"
        expect(page.locator(".app-answer strong")).to_have_text("Temporary restriction during the safety review")
        page.click("text=Back to today")
        expect(page.locator(".app-answer strong")).to_have_text("Restricted after the safety review")
        page.click("text=Medicines")
        page.fill("#find-q", "Epilim")
        page.locator(".app-find button").click()
        page.locator(".app-hits a", has_text="Valproate in the United Kingdom").click()
        expect(page.locator("h1")).to_have_text("Valproate in the United Kingdom")
        page.click("text=What changed from version 3 to version 4")
        expect(page.locator("h1")).to_have_text("What changed from version 3 to version 4")


def test_with_javascript_an_empty_field_stays_out_of_the_address(chrome: Browser, address: str) -> None:
    with visit(chrome, address + "/") as page:
        page.fill("#asof-at", "2026-11-22")
        page.click(".app-asof__button")
        page.wait_for_url("**at=**")
        assert urlsplit(page.url).query == "at=2026-11-22"


def test_the_timeline_leads_to_a_version(chrome: Browser, address: str) -> None:
    with visit(chrome, address + LEMTRADA, viewport=NARROW) as page:
        page.locator(".app-timeline__link").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/versions/1")
        expect(page.locator("h1")).to_have_text("Version 1: Authorised for active relapsing-remitting disease")


def test_paper_holds_the_answer_and_the_day_and_nothing_to_click(chrome: Browser, past: str) -> None:
    with visit(chrome, f"{past}{LEMTRADA}?on=2019-11-20") as page:
        page.emulate_media(media="print")
        for gone in (".app-nav", ".app-asof__form", ".app-jump", ".app-footer__links"):
            expect(page.locator(gone).first).to_be_hidden()
        for kept in ("h1", ".app-asof__statement", ".app-answer", ".app-rule", ".app-footer__facts", ".app-replayed"):
            expect(page.locator(kept).first).to_be_visible()
        paper = page.pdf(format="A4", tagged=True)
        assert paper.startswith(b"%PDF-")
        assert b"/StructTreeRoot" in paper


def test_keys_step_through_changes_only_for_those_who_ask(chrome: Browser, address: str) -> None:
    with visit(chrome, address + COMPARE) as page:
        page.keyboard.press("n")
        assert urlsplit(page.url).fragment == ""
        page.check(".app-keys input")
        for key, anchor in (("n", "change-1"), ("n", "change-2"), ("n", "change-3"), ("p", "change-2")):
            page.keyboard.press(key)
            expect(page).to_have_url(re.compile(f"#{anchor}$"))
        page.focus("#side-from")
        page.keyboard.press("n")
        assert urlsplit(page.url).fragment == "change-2"


def test_changes_are_stepped_through_by_links(chrome: Browser, address: str) -> None:
    with visit(chrome, address + COMPARE, java_script_enabled=False) as page:
        page.locator("#change-1 a[rel=next]").click()
        page.locator("#change-2 a[rel=next]").click()
        expect(page).to_have_url(re.compile("#change-3$"))
        page.click("text=Side by side")
        expect(page.locator(".app-sides").first).to_be_visible()


def test_a_comparison_on_paper_can_be_signed(chrome: Browser, address: str) -> None:
    with visit(chrome, address + COMPARE) as page:
        expect(page.locator(".app-sign")).to_be_hidden()
        page.emulate_media(media="print")
        expect(page.locator(".app-sign")).to_be_visible()
        for gone in (".app-sides-form", ".app-exports", ".app-keys", ".app-change__steps"):
            expect(page.locator(gone).first).to_be_hidden()
        expect(page.locator("ins").first).to_be_visible()


def test_subscriptions_are_entered_with_a_token_and_can_be_used(chrome: Browser, address: str, corpus: Archive) -> None:
    state = State(corpus.folder / "state.sqlite")
    _, text = tokens.create(state, "browser", "Neurology", ["subscribe"])
    with visit(chrome, f"{address}/subscriptions", viewport=NARROW) as page:
        page.get_by_label("Your token").fill(text)
        page.keyboard.press("Enter")
        expect(page.get_by_text("Signed in as Neurology")).to_be_visible()
        assert faults(page) == []
        fits(page)
        page.get_by_label("Address of the endpoint").fill("https://hooks.hospital.example/inforce")
        page.get_by_label("Medicines").fill("alemtuzumab")
        page.get_by_role("button", name="Subscribe").click()
        expect(page.get_by_text("Its secret is shown this once")).to_be_visible()
        assert faults(page) == []
        fits(page)
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_role("status")).to_contain_text("Every event is kept")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Your token")).to_be_visible()
    state.close()
