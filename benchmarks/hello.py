"""What answers are measured against: a bare Flask application, served exactly as ours is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from flask import Flask

from service.config import Config
from service.server import serve


def load(_config: Config, *_: Any) -> Callable[..., Any]:
    app = Flask("hello")

    @app.get("/")
    def hello() -> str:
        return "hello"

    return app


if __name__ == "__main__":
    serve(Config(port=int(sys.argv[1])), load)
