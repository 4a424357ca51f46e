"""The HTTP server around the application: granian with bounded connections and waiting times, a teller beside it."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings

from guidance.errors import BadParameter, GuidanceError
from service import logs
from service.config import Config


def check_place(config: Config) -> str:
    """The address to listen on, where the host is a name too. Raises BadParameter where nobody can listen there, or
    somebody does: granian shares a port without a word, and two registers behind one address would answer by turns."""
    try:
        family, _, _, _, place = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0]
        socket.create_server((str(place[0]), config.port), family=family).close()
    except OSError as error:
        busy = error.errno == errno.EADDRINUSE
        parameter, value = ("port", str(config.port)) if busy else ("host", config.host)
        why = f"is in use on {config.host}" if busy else f"cannot be listened on: {error.strerror}"
        raise BadParameter(parameter, value, why) from error
    return str(place[0])


def serve(
    config: Config, load: Callable[..., Callable[..., Any]], beside: AbstractContextManager[Any] | None = None
) -> None:
    """Serve until told to stop (SIGTERM or SIGINT) what `load` makes of the configuration in each worker.

    `load` is also told whose worker it is. `beside`: what goes on meanwhile in a process of its own, begun before the
    workers and ended after them. Raises GuidanceError where workers end as soon as they are started.
    """
    server = Granian(
        "inforce",
        address=check_place(config),
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
    logs.overhear()
    try:
        with beside or nullcontext():
            server.serve(target_loader=partial(load, config, os.getpid()), wrap_loader=False)
    except SystemExit as ended:
        if ended.code:
            raise GuidanceError("workers end as soon as they are started; the log says why") from ended
