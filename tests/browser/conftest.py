"""One browser and two served registers for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from guidance.archive import Archive
from tests.browser.serving import browsing, served


@pytest.fixture(scope="session")
def chrome() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="session")
def address(corpus: Archive) -> Iterator[str]:
    """Where the corpus is served, as of the day after the next change that it knew."""
    with served(corpus) as found:
        yield found


@pytest.fixture(scope="session")
def past(replayed: Archive) -> Iterator[str]:
    """Where the replayed register is served."""
    with served(replayed) as found:
        yield found
