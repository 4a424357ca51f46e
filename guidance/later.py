"""What many a process never needs is loaded when it is first used: some libraries take longer to load than to use."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def later(place: str) -> Any:
    """What stands at a place written `room:name`; its room is loaded now, where it was not before.

    A place is always written out in full, so that a test can find and load every one of them.
    """
    room, _, name = place.partition(":")
    return getattr(import_module(room), name)
