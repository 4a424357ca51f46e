"""Pages on paper, and tables on a telephone: everything in its order, in sight, and said with its heading."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.test_pages import COMPARE, LEMTRADA, NARROW, WIDE, fits, visit

VALPROATE = "/documents/mhra/valproate"
CUT = """() => [...document.querySelectorAll('main .app-scroll')]
    .filter(region => region.scrollWidth > region.clientWidth).map(region => region.getAttribute('aria-label'))"""
LABELS = """selector => [...document.querySelectorAll(selector)]
    .map(cell => getComputedStyle(cell, '::before').content.replaceAll('"', ''))"""


@pytest.mark.parametrize("path", ["/", LEMTRADA, f"{VALPROATE}/times", COMPARE])
def test_every_sheet_of_a_page_is_numbered_and_holds_much(chrome: Browser, past: str, path: str) -> None:
    with visit(chrome, past + path) as page:
        sheets = re.findall(rb"/Type /Page\b", page.pdf(format="A4", tagged=True, prefer_css_page_size=True))
        assert 2 <= len(sheets) <= {"/": 5, f"{VALPROATE}/times": 2}.get(path, 13)


def test_home_on_paper_is_one_column(chrome: Browser, past: str) -> None:
    with visit(chrome, past + "/", viewport=WIDE) as page:
        page.emulate_media(media="print")
        main, side = (page.locator(one).bounding_box() for one in (".app-home__main", ".app-home__side"))
        assert main
        assert side
        assert side["y"] >= main["y"] + main["height"]
        assert side["width"] == main["width"] > 600
        for name in page.locator(".app-line__version").all():
            box = name.bounding_box()
            assert box
            assert box["width"] > 300, name.text_content()


def test_nothing_is_grey_on_paper(chrome: Browser, past: str) -> None:
    with visit(chrome, past + COMPARE) as page:
        page.emulate_media(media="print")
        for what in ("html", "body", ".app-footer", ".app-asof"):
            expect(page.locator(what).first).to_have_css("background-color", "rgba(0, 0, 0, 0)")


@pytest.mark.parametrize(
    "path",
    [COMPARE, f"{COMPARE}&view=fields", LEMTRADA, f"{VALPROATE}/times", f"{VALPROATE}/history", "/about/severity"],
)
def test_no_column_is_out_of_sight_on_a_telephone(chrome: Browser, past: str, path: str) -> None:
    with visit(chrome, past + path, viewport=NARROW) as page:
        assert page.evaluate(CUT) == []
        fits(page)


def test_cells_that_stand_under_each_other_say_which_they_are(chrome: Browser, past: str) -> None:
    with visit(chrome, past + COMPARE, viewport=NARROW) as page:
        assert page.evaluate(LABELS, ".app-stack td") == ["Before", "After"]
        page.goto(past + LEMTRADA)
        row = ["Version", "What it says", "In force", "What changed", "Rules"]
        assert page.evaluate(LABELS, "[aria-label=Versions] tbody tr:first-child > *") == row
        page.set_viewport_size(WIDE)
        assert set(page.evaluate(LABELS, "[aria-label=Versions] tbody tr:first-child > *")) == {"none"}


def test_the_columns_of_fields_stay_where_they_are_from_change_to_change(chrome: Browser, past: str) -> None:
    with visit(chrome, f"{past}{COMPARE}&view=fields") as page:
        lefts = page.evaluate(
            "() => [...document.querySelectorAll('.app-fields')].map("
            "table => [...table.querySelectorAll('thead th')].map(th => Math.round(th.getBoundingClientRect().left)))"
        )
        assert len(lefts) == 22
        assert {tuple(one) for one in lefts} == {tuple(lefts[0])}
