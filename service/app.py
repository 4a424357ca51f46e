"""The Flask application put together: routes, limits, headers on every answer, errors as problems."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version as release_of
from typing import Any, Final

import orjson
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wsgi import get_host

from guidance.archive import Archive
from guidance.errors import (
    GuidanceError,
    StoreUnreadable,
    UnknownAuthority,
    UnknownDocument,
    UnknownMedicine,
    UnknownVersion,
)
from service import (
    api,
    atom,
    calendars,
    console,
    feeds,
    logs,
    metrics,
    pages,
    polling,
    problems,
    signing,
    state,
    subscribing,
    subscriptions,
    ticker,
)
from service.addresses import Policy
from service.cache import Cache
from service.clock import Clock, system_clock
from service.config import Config
from service.desk import Desk, desk
from service.front import Front
from service.problems import HttpProblem

BODY_LIMIT: Final = 64 * 1024
QUERY_LIMIT: Final = 4096
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SWITCH: Final = 0.002
"""Seconds that a thread computes while others wait. SQLite lets go of the interpreter at every row: beside a thread
that computes, each row costs as much. Less would have threads that answer take it from each other all the time."""
PROBES: Final = ("/healthz", "/readyz", "/metrics")
"""What is asked from beside, by an address or a name of the house: it is answered whatever host it names."""
HSTS: Final = "max-age=31536000; includeSubDomains"


def create_app(config: Config, archive: Archive | None = None, clock: Clock = system_clock) -> Flask:
    """An application that serves one register; raises NoRegister or StoreUnreadable where there is none to serve."""
    opened = archive or Archive(config.data)
    app = Flask("service", static_folder="static", template_folder="templates")
    app.config.update(
        MAX_CONTENT_LENGTH=BODY_LIMIT,
        RELEASE=release_of("inforce"),
    )
    desk = Desk(opened, clock, config)
    app.extensions["inforce"] = desk
    app.register_blueprint(api.V1)
    app.register_blueprint(api.WATCH)
    app.register_blueprint(pages.PAGES)
    _tell(app, desk)
    pages.equip(app)
    app.before_request(_begin)
    headers = {**HEADERS, **({"Strict-Transport-Security": HSTS} if config.https else {})}
    app.after_request(_adding(headers))
    app.after_request(_logged)
    app.register_error_handler(Exception, _failed)
    if config.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, config.proxies, 0)  # type: ignore[method-assign]
    front = Front(app.wsgi_app, desk, app.config["RELEASE"], headers)
    cache = Cache(front, opened.store.stamp, clock, config.cache_bytes, _logged_kept)
    app.wsgi_app = metrics.Timed(cache, app)  # type: ignore[assignment]
    return app


def _tell(app: Flask, desk: Desk) -> None:
    """What is told of changes: feeds, subscriptions, figures. Their tables are opened when they are first asked for."""
    config, archive = desk.config, desk.archive
    log = state.opened(config, desk.clock)
    for blueprint in (
        *(polling.POLLING, atom.ATOM, calendars.CALENDARS),
        *(subscribing.SUBSCRIPTIONS, console.CONSOLE, metrics.METRICS),
    ):
        app.register_blueprint(blueprint)
    feeds.equip(app, log)
    polling.equip(app, log, min(config.waiters, config.threads - 1))
    calendars.equip(app)
    app.extensions[subscriptions.EXTENSION] = subscriptions.Push(
        log,
        signing.vault(config),
        Policy.set_by(config),
        subscriptions.Names(archive).known,
        lambda first, end: ticker.played(archive, first, end, config.reminders),
    )
    metrics.equip(app, log, lambda: ticker.untold(archive, log, desk.clock()))


def load(config: Config, parent: int) -> Flask:
    """The application for a worker: made after it has started, so that nothing is shared across a fork.

    `parent`: the process whose worker it is; the worker ends with it.
    """
    logs.start(config.log_level)
    sys.setswitchinterval(SWITCH)
    try:
        app = create_app(config)
    except Exception as error:
        logs.LOG.error("a worker could not start", exc_info=True)
        raise SystemExit(problems.FAILED.exit) from error
    _until_told(parent, app.extensions[subscriptions.EXTENSION].state.let_go)
    gc.collect()
    gc.freeze()  # what is here now stays: it need not be looked through for garbage again and again
    return app


def _until_told(parent: int, last: Callable[[], None]) -> None:
    """Call `last` once this process is told to end by a signal; have it told where `parent` is no more."""
    ear, mouth = socket.socketpair()
    mouth.setblocking(False)
    signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    ear.settimeout(0.5)

    def listen() -> None:
        while mouth.fileno() >= 0:  # as long as it lives: a signal may come twice, and must find the mouth open
            try:
                ear.recv(1)
                last()
            except TimeoutError:
                if os.getppid() != parent:
                    os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=listen, name="until-told", daemon=True).start()


def _begin() -> None:
    g.began = time.perf_counter()
    if request.path not in PROBES:
        get_host(request.environ, desk().config.trusted_hosts or None)
    length = request.content_length or 0
    if length > BODY_LIMIT:
        raise HttpProblem(problems.TOO_LARGE, f"the body is {length} bytes long; the limit is {BODY_LIMIT}")
    if len(request.query_string) > QUERY_LIMIT:
        raise HttpProblem(problems.TOO_LARGE, f"the query is over {QUERY_LIMIT} bytes long")


def _adding(headers: Mapping[str, str]) -> Any:
    def add(response: Response) -> Response:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response

    return add


def _logged(response: Response) -> Response:
    began = g.get("began")
    took = (time.perf_counter() - began) * 1000 if began else None
    logs.request(request.environ, response.status, took)
    return response


def _logged_kept(environ: dict[str, Any], status: str) -> None:
    logs.request(environ, status, kept=True)


# --- errors ----------------------------------------------------------------------------------------------

LATER: Final = (UnknownDocument, UnknownVersion, UnknownMedicine, UnknownAuthority)
"""What a register that is looked at from an earlier moment may only have learned of later."""
_BY_STATUS: Final = {
    404: problems.NO_ROUTE,
    405: problems.METHOD,
    413: problems.TOO_LARGE,
    406: problems.NOT_ACCEPTABLE,
}


def _failed(error: Exception) -> Response:
    """Every error as a problem, or as a page for people; what we did not expect is logged and told as such."""
    headers: list[tuple[str, str]] = []
    if isinstance(error, sqlite3.Error):
        logs.LOG.error("the index", exc_info=error, extra={"told": {"path": request.path}})
        desk().archive.doubt(error)
        told: GuidanceError = StoreUnreadable("the index", str(error))
    elif isinstance(error, GuidanceError):
        told = error
    elif isinstance(error, HTTPException):
        if error.code is not None and error.code < 400:
            return Response(status=error.code, headers=list(error.get_headers()))
        kind = _BY_STATUS.get(error.code or 500, problems.BAD_REQUEST if (error.code or 500) < 500 else problems.FAILED)
        told = HttpProblem(kind._replace(status=error.code or 500), error.description or kind.title)
        headers = [(name, value) for name, value in error.get_headers() if name == "Allow"]
    else:
        logs.LOG.error("unexpected", exc_info=error, extra={"told": {"path": request.path}})
        told = HttpProblem(problems.FAILED, problems.FAILED.title)
    body = problems.body_of(told)
    if isinstance(told, LATER) and "at" in request.args:
        body["detail"] += f", as of {request.args['at'][:40]}; it may have been recorded since"
    if pages.for_people():
        response = pages.error_page(body)
    else:
        response = Response(orjson.dumps(body), mimetype=problems.MEDIA_TYPE)
    response.status_code = body["status"]
    response.headers["Cache-Control"] = "no-store"
    response.headers.extend(headers)
    if body["status"] == problems.NOT_READY.status:
        response.headers["Retry-After"] = "5"
    return response
