"""The drawn timeline at every width and on paper: all of it in sight, no letter too small, nothing struck through."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.test_pages import NARROW, WIDE, visit

VALPROATE = "/documents/mhra/valproate"
DRAWN = (f"{VALPROATE}/times", VALPROATE, f"{VALPROATE}?on=2024-10-10", "/documents/ema/lemtrada/times")
A4 = {"width": 673, "height": 970}
"""What a printer's margins leave of a page, in pixels."""
WORDS = """() => {
    const drawing = document.querySelector('.app-timeline').getBoundingClientRect();
    return [...document.querySelectorAll('.app-timeline text')].filter(t => t.getClientRects().length).map(t => {
        const box = t.getBoundingClientRect();
        const drawn = box.height / t.getBBox().height * parseFloat(getComputedStyle(t).fontSize);
        return {text: t.textContent, drawn, kind: t.getAttribute('class'), left: box.left, right: box.right,
                top: box.top, bottom: box.bottom, from: drawing.left, to: drawing.right};
    });
}"""


def words(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(WORDS)
    assert found
    return found


@pytest.mark.parametrize("path", DRAWN)
@pytest.mark.parametrize("size", [WIDE, NARROW, A4], ids=["wide", "narrow", "paper"])
def test_all_of_a_timeline_is_in_sight_and_can_be_read(
    chrome: Browser, past: str, path: str, size: dict[str, int]
) -> None:
    with visit(chrome, past + path, viewport=size) as page:
        page.emulate_media(media="print" if size is A4 else "screen")
        found = words(page)
        for one in found:
            assert one["drawn"] >= 12.9, one
            assert one["from"] - 1 <= one["left"] < one["right"] <= min(one["to"], size["width"]) + 1, one
        assert any(one["kind"] == "app-timeline__lane" for one in found)


@pytest.mark.parametrize("size", [WIDE, NARROW, A4], ids=["wide", "narrow", "paper"])
def test_the_words_of_a_timeline_do_not_lie_on_each_other(chrome: Browser, past: str, size: dict[str, int]) -> None:
    with visit(chrome, past + DRAWN[2], viewport=size) as page:
        page.emulate_media(media="print" if size is A4 else "screen")
        found = words(page)
        for number, one in enumerate(found):
            for other in found[number + 1 :]:
                beside = one["right"] <= other["left"] or other["right"] <= one["left"]
                assert beside or one["bottom"] <= other["top"] + 4 or other["bottom"] <= one["top"] + 4, (one, other)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("dress", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"forced_colors": "active"}])
def test_no_line_strikes_through_a_name(
    chrome: Browser, past: str, size: dict[str, int], dress: dict[str, str]
) -> None:
    with visit(chrome, past + DRAWN[0], viewport=size, **dress) as page:
        names = page.locator(".app-timeline__lane").all()
        with_lines = [name.screenshot() for name in names]
        page.evaluate(
            "document.querySelectorAll('.app-timeline__tick, .app-timeline__mark')"
            ".forEach(line => { line.style.visibility = 'hidden' })"
        )
        assert [name.screenshot() for name in names] == with_lines
