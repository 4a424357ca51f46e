"""What every story may ask for."""

from __future__ import annotations

import pytest

from tests.stories.mouths import MOUTHS, Ask


@pytest.fixture(params=MOUTHS)
def ask(request: pytest.FixtureRequest) -> Ask:
    """The same question through Python, through the command line and through HTTP."""
    return MOUTHS[request.param]
