"""What every test may ask for: a fresh register, the seeded corpus, the journal replayed, an act, a fixed clock."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from guidance import journal
from guidance.archive import Archive
from guidance.store import Act

settings.register_profile(
    "quick", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("full", settings.get_profile("quick"), derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

NOW = datetime(2026, 2, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def now() -> datetime:
    """The instant that the clock shows."""
    return NOW


@pytest.fixture(scope="session")
def act() -> Callable[..., Act]:
    """Make an act, naming only what matters to the test."""

    def made(reason: str = "because it was decided", **more: object) -> Act:
        return Act(**{"verb": "publish", "author": "Ada Pharmacist <ada@example.org>", "reason": reason, **more})

    return made


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty register, to copy."""
    folder = tmp_path_factory.mktemp("template") / "data"
    Archive.init(folder).close()
    return folder


@pytest.fixture
def archive(template: Path, tmp_path: Path) -> Iterator[Archive]:
    """An empty register of the test's own."""
    shutil.copytree(template, tmp_path / "data")
    opened = Archive(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def corpus(template: Path, tmp_path_factory: pytest.TempPathFactory, act: Callable[..., Act]) -> Iterator[Archive]:
    """The register as `inforce init` seeds it. Only to read."""
    opened = Archive(shutil.copytree(template, tmp_path_factory.mktemp("corpus") / "data"))
    opened.take_in(journal.CORPUS / "documents", act("seeded"), NOW)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def replayed(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """The register with a past: the journal played act by act. Only to read."""
    opened = Archive(shutil.copytree(template, tmp_path_factory.mktemp("replayed") / "data"))
    journal.replay(opened, journal.CORPUS / "journal.json", journal.CORPUS / "documents")
    yield opened
    opened.close()
