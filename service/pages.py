"""Human routes."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Flask, Response

PAGES = Blueprint("pages", __name__)


def equip(app: Flask) -> None:
    return None


def for_people() -> bool:
    return False


def error_page(body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body))
