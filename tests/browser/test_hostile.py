"""A hundred hostile texts in every field that takes text, in a real browser: none runs or becomes markup."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page

from guidance.archive import Archive, Proposal
from guidance.store import Act
from tests.browser.serving import NOW, served
from tests.browser.test_pages import visit
from tests.guidance.bodies import rule, since
from tests.service.test_pages import FULL, HOSTILE, bundles, hostile

CASES = ["harmless", *bundles()]
COMPARED = "/compare?from=@1&to=@2"
OF_ALL = ("/", "/coming", "/documents", "/medicines/alemtuzumab", "/changes?from=2024-01-01&to=2032-01-01")
MARKUP = "[...document.querySelectorAll('*')].map(e => e.tagName).join(' ')"
RUNNING = """[...document.querySelectorAll('*')].filter(e =>
    ['IMG', 'IFRAME', 'BASE', 'STYLE', 'OBJECT', 'EMBED', 'TEXTAREA', 'B'].includes(e.tagName)
    || (e.tagName === 'SCRIPT' && e.getAttribute('src') !== '/static/inforce.js')
    || [...e.attributes].some(a => a.name.startsWith('on') || a.name === 'style' || a.name === 'srcdoc')
    || (e.tagName === 'A' && !['http:', 'https:'].includes(new URL(e.href.baseVal ?? e.href, location).protocol))
).map(e => e.outerHTML.slice(0, 200))"""


def bodies(number: int, text: str) -> Iterator[Proposal]:
    """A document of two versions in which each free text is the one given, the later in other words."""
    later = {
        **FULL["version"],
        "number": 2,
        "commencements": [since("2031-01-01")],
        "rules": [rule("one", population={"include": [{"id": "a", "text": "x"}]}), rule("new", interpretation="x")],
    }
    said: list[Any] = [hostile(FULL["document"], text), hostile(FULL["version"], text), hostile(later, f"Now {text}")]
    for body in said:
        yield Proposal(json.loads(json.dumps(body).replace("ema/example", f"ema/case-{number}")))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the cases are served."""
    archive = Archive.init(tmp_path_factory.mktemp("hostile") / "data")
    for number, text in enumerate(CASES):
        reason = " ".join(text.split())
        archive.publish(list(bodies(number, text)), Act("publish", "Mallory <m@example.org>", reason, reason), NOW)
    with served(archive) as found:
        yield found


def inert(page: Page, where: str) -> None:
    """Nothing on the page could run or load anything, and no text stands outside what shows it."""
    assert page.evaluate(RUNNING) == [], where


def test_no_text_of_a_document_becomes_markup_or_runs(chrome: Browser, address: str) -> None:
    with visit(chrome, address) as page:
        dialogs: list[str] = []
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        shapes = []
        for number, text in enumerate(CASES):
            page.goto(f"{address}/documents/ema/case-{number}")
            inert(page, text)
            shapes.append(page.evaluate(MARKUP))
        assert set(shapes) == {shapes[0]}
        assert dialogs == []


def test_no_text_of_a_change_becomes_markup_or_runs(chrome: Browser, address: str) -> None:
    with visit(chrome, address) as page:
        known: set[str] = set()
        for number, text in enumerate(CASES):
            page.goto(f"{address}/documents/ema/case-{number}{COMPARED}")
            inert(page, text)
            found = set(page.evaluate(MARKUP).split())
            known = known or found
            assert found <= known, text


def test_no_text_of_the_whole_register_runs_and_each_is_shown_as_it_is(chrome: Browser, address: str) -> None:
    with visit(chrome, address) as page:
        for path in OF_ALL:
            page.goto(address + path)
            inert(page, path)
        page.goto(f"{address}/documents")
        shown = " ".join(page.locator("main").inner_text().split())
        for text in CASES[1:]:
            assert " ".join(text.split()) in shown


def test_no_text_that_is_asked_for_runs(chrome: Browser, address: str) -> None:
    with visit(chrome, address) as page:
        for text in filter(lambda text: len(text) <= 200, bundles(200)[::3]):
            page.goto(f"{address}/search?q={quote(text)}")
            inert(page, text)
            assert page.input_value("#find-q") == text.strip()


@pytest.mark.parametrize(
    "html", ["<img>", "<a href='javascript:1'>x</a>", "<p onclick='1'>x</p>", "<base href='/x'>", "<b>x</b>"]
)
def test_what_this_looks_for_is_found_where_it_is(chrome: Browser, html: str) -> None:
    assert len(HOSTILE) > 100
    page = chrome.new_page()
    page.set_content("<p><a href='https://example.org/'>harmless</a></p>")
    inert(page, "harmless")
    page.set_content(html)
    with pytest.raises(AssertionError):
        inert(page, html)
    page.close()
