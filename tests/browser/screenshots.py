"""Screenshots of every page, wide, narrow, dark and as printed: python -m tests.browser.screenshots DIR [NAMES]"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser

from tests.browser.serving import browsing, replayed, seeded, served

PAGES = {
    "home": "/",
    "home-moved": "/?on=2019-11-20&at=2019-11-20",
    "home-fr": "/?jurisdiction=FR&on=2020-06-01",
    "home-uk": "/?jurisdiction=UK",
    "home-before": "/?at=2000-01-01",
    "coming": "/coming?on=2023-11-30&at=2023-11-30",
    "documents": "/documents",
    "document": "/documents/ema/lemtrada",
    "document-moved": "/documents/ema/lemtrada?on=2019-11-20&at=2019-11-20",
    "document-parts": "/documents/mhra/valproate",
    "document-states": "/documents/ema/valproate",
    "document-delay": "/documents/ema/hes",
    "document-ended": "/documents/ema/zinbryta",
    "document-elsewhere": "/documents/ema/hes?jurisdiction=UK",
    "document-whole": "/documents/mhra/valproate?on=2023-12-01",
    "document-state": "/documents/ema/valproate?jurisdiction=FR",
    "document-outstanding": "/documents/mhra/fluoroquinolones?on=2020-06-01",
    "version": "/documents/ema/lemtrada/versions/2",
    "rule": "/documents/ema/lemtrada/rules/indication",
    "history": "/documents/mhra/valproate/history",
    "medicines": "/medicines",
    "search": "/search?q=valpro",
    "times": "/documents/mhra/valproate/times",
    "compare": "/documents/ema/lemtrada/compare?from=@2&to=@3",
    "compare-sides": "/documents/ema/lemtrada/compare?from=@2&to=@3&view=sides",
    "compare-fields": "/documents/ema/lemtrada/compare?from=@2&to=@3&view=fields",
    "compare-days": "/documents/mhra/valproate/compare?from=2023-12-01&to=2025-03-01",
    "compare-turned": "/documents/mhra/valproate/compare?from=@1&to=@2",
    "compare-elsewhere": "/documents/mhra/valproate/compare?from=2023-12-01&to=2025-03-01&jurisdiction=FR",
    "compare-missing": "/documents/ema/lemtrada/compare?from=2019-12-01&to=&jurisdiction=UK",
    "compare-corrections": "/documents/ema/lemtrada/compare?from_at=2019-11-05&to_at=2020-02-01&on=2020-01-20",
    "changes": "/changes?from=2019-01-01&to=2020-02-01",
    "severity": "/about/severity",
    "medicine-changes": "/medicines/alemtuzumab",
    "medicine": "/medicines/ciprofloxacin",
    "about": "/about",
    "problem": "/problems/bad-parameter",
    "error-parameter": "/?on=2026-02-30",
    "error-unknown": "/documents/ema/lemtrada?date=2020-01-01",
    "error-missing": "/documents/ema/nothing?at=2019-01-01",
}
DRESSES: Final[tuple[tuple[str, tuple[int, int], Literal["light", "dark"], Literal["screen", "print"]], ...]] = (
    ("wide", (1280, 900), "light", "screen"),
    ("narrow", (320, 640), "light", "screen"),
    ("dark", (1280, 900), "dark", "screen"),
    ("print", (794, 1123), "light", "print"),
)


def shoot(browser: Browser, address: str, folder: Path, only: tuple[str, ...] = ()) -> None:
    """One file for each page and dress."""
    for dress, (width, height), scheme, media in DRESSES:
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.emulate_media(media=media)
        for name, path in PAGES.items():
            if not only or name in only:
                page.goto(address + path)
                page.screenshot(path=folder / f"{name}-{dress}.png", full_page=True)
        page.close()


def main(folder: Path, only: tuple[str, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as kept, browsing() as browser:
        for name, archive in (("", seeded(Path(kept) / "seeded")), ("replayed", replayed(Path(kept) / "replayed"))):
            target = folder / name
            target.mkdir(exist_ok=True)
            with served(archive) as address:
                shoot(browser, address, target, only)
    print(f"{len(list(folder.rglob('*.png')))} screenshots in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), tuple(sys.argv[2:]))
