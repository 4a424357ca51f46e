"""A register served over a real socket, and the Chromium that looks at it."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

from guidance import journal
from guidance.archive import Archive
from guidance.store import Act
from service.app import create_app
from service.config import Config

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SEEDER = Act("publish", "Seeder <seed@example.org>", "The corpus, as recorded on one day")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")


def seeded(folder: Path) -> Archive:
    """A register with the corpus, recorded on one day."""
    archive = Archive.init(folder)
    archive.take_in(journal.CORPUS / "documents", SEEDER, NOW)
    return archive


def replayed(folder: Path) -> Archive:
    """A register that was replayed from the corpus's journal."""
    archive = Archive.init(folder)
    journal.replay(archive, journal.CORPUS / "journal.json", journal.CORPUS / "documents")
    return archive


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Say nothing: a test's output is its failures."""


def whole(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """An application whose answers are read to their end before they are sent: of a browser that goes away in the
    middle, werkzeug's server does not always close what it was sending, and a file that stays open is a failure."""

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        found = app(environ, start)
        try:
            return [b"".join(found)]
        finally:
            getattr(found, "close", lambda: None)()

    return answer


@contextlib.contextmanager
def served(archive: Archive, now: datetime = NOW) -> Iterator[str]:
    """The address at which a register is served, while the context lasts."""
    app = create_app(Config(data=archive.folder), clock=lambda: now)
    server = make_server("127.0.0.1", 0, whole(app), threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def chromium() -> str:
    """Where the browser is. That there is none is a failure: what is not looked at is not known to work."""
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        raise FileNotFoundError(f"no browser: install one of {', '.join(CHROMIUM)}")
    return found


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()
