"""Every page in every dress: as it is, dark, in forced colours, on paper, 320 px wide; and by keyboard alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from guidance.archive import Archive
from service.app import create_app
from service.config import Config
from tests.browser.test_pages import ADDRESSES, COMPARE, LEMTRADA, NARROW, WIDE, faults, fits, visit

ELSEWHERE = (
    f"{LEMTRADA}/times",
    f"{LEMTRADA}/history",
    "/medicines",
    f"{COMPARE}&view=fields",
    f"{LEMTRADA}/compare?from_at=2026-11-22&on=2020-01-20",
    f"{LEMTRADA}/compare?from=@2&to=@2",
    f"{LEMTRADA}/compare?from=@2&to=@9",
    "/about/severity",
    "/problems/bad-parameter",
)
"""Pages that test_pages does not hold to axe."""
OTHERS = ("/", LEMTRADA, COMPARE, f"{LEMTRADA}/times")
"""Pages that show between them all that has a colour."""


def test_every_page_for_people_is_among_those_looked_at(corpus: Archive) -> None:
    app = create_app(Config(data=corpus.folder))
    adapter = app.url_map.bind("localhost")
    tried = {adapter.match(path.partition("?")[0])[0] for path in (*ADDRESSES, *ELSEWHERE)}
    ours = [one for one in app.url_map.iter_rules() if one.endpoint.startswith(("pages.", "review."))]
    assert {one.endpoint for one in ours} <= tried
    assert len(ours) > 10


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_page_is_accessible_and_fits(chrome: Browser, address: str, path: str) -> None:
    with visit(chrome, address + path) as page:
        assert faults(page) == []
        page.set_viewport_size(NARROW)
        fits(page)
        assert faults(page) == []


@pytest.mark.parametrize(
    ("dress", "paths"),
    [
        ({"color_scheme": "dark"}, (*OTHERS, f"{COMPARE}&view=fields", "/about/severity")),
        ({"forced_colors": "active"}, OTHERS),
        ({"media": "print"}, OTHERS),
    ],
    ids=["dark", "forced", "paper"],
)
def test_pages_can_be_read_in_every_dress(
    chrome: Browser, past: str, dress: dict[str, str], paths: tuple[str, ...]
) -> None:
    with visit(chrome, past) as page:
        page.emulate_media(**dress)  # type: ignore[arg-type]
        for path in paths:
            page.goto(past + path)
            assert faults(page, "color-contrast", "link-in-text-block") == [], path
            fits(page)


def test_what_cannot_be_read_is_found(chrome: Browser, past: str) -> None:
    with visit(chrome, past + LEMTRADA) as page:
        page.evaluate("document.querySelector('h1').style.color = 'rgb(250, 250, 250)'")
        assert faults(page, "color-contrast") != []
        page.evaluate("document.querySelector('h1').style.minWidth = '5000px'")
        with pytest.raises(AssertionError):
            fits(page)


def to(page: Page, words: str) -> None:
    """Go to a link or button with the tab key alone; what has the focus can be seen to have it."""
    for _ in range(400):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.replace(/\\s+/g, ' ').trim()") == words:
            ring = page.evaluate(
                "(s => (s.outlineStyle !== 'none' && s.outlineWidth !== '0px') || s.boxShadow !== 'none')"
                "(getComputedStyle(document.activeElement))"
            )
            assert ring, f"{words} does not show that it has the focus"
            return
    raise AssertionError(f"no key leads to {words!r}")


def test_from_a_name_to_the_proof_of_a_change_by_keyboard_alone(chrome: Browser, address: str) -> None:
    with visit(chrome, f"{address}/", viewport=WIDE) as page:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "find-q":
                break
        page.keyboard.type("Lemtrada")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search?**")
        for words, there in (
            ("Alemtuzumab (Lemtrada) for multiple sclerosis", "/documents/ema/lemtrada"),
            ("What changed from version 2 to version 3", "/compare?"),
            ("Side by side", "view=sides"),
            ("Next change", "#change-2"),
        ):
            to(page, words)
            page.keyboard.press("Enter")
            expect(page).to_have_url(re.compile(re.escape(there)))
        expect(page.locator("#change-2")).to_be_in_viewport()
