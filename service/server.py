"""The HTTP server around the application: granian with bounded connections and waiting times, a teller beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings

from service.config import Config
from service.teller import Teller


def serve(config: Config, load: Callable[..., Callable[..., Any]], teller: Teller | None = None) -> None:
    """Serve until told to stop (SIGTERM or SIGINT) what `load` makes of the configuration in each worker."""
    server = Granian(
        "inforce",
        address=config.host,
        port=config.port,
        interface=Interfaces.WSGI,
        workers=config.workers,
        blocking_threads=config.threads,
        backpressure=config.connections,
        backlog=max(128, config.connections),
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=10_000, keep_alive=True, max_buffer_size=64 * 1024),
        log_enabled=False,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
    )
    if teller:
        teller.start()
    try:
        server.serve(target_loader=partial(load, config), wrap_loader=False)
    finally:
        if teller:
            teller.stop()
