"""Figures for Prometheus: how far subscribers are behind, what was told and delivered, how long answers take."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from flask import Blueprint, Flask, Response, current_app
from sqlalchemy import func, select

from service.state import ATTEMPT, DELIVERY, LANE, SUBSCRIPTION, State, instant
from service.subscriptions import HEARING, lag

METRICS: Final = Blueprint("metrics", __name__)
EXTENSION: Final = "inforce.metrics"
MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds up to which answers are counted together."""
DOORS: Final = ("v1", "events", "pages")
"""Kinds of questions whose times are kept apart; who reads events may have asked to wait."""
Wsgi = Callable[..., Iterable[bytes]]


class Times:
    """How long the answers of this process took."""

    def __init__(self) -> None:
        self.counts = {door: [0] * (len(BOUNDS) + 1) for door in DOORS}
        self.sums = dict.fromkeys(DOORS, 0.0)

    def took(self, door: str, seconds: float) -> None:
        self.counts[door][bisect_left(BOUNDS, seconds)] += 1
        self.sums[door] += seconds


class Timed:
    """A WSGI application in front of another: keeps the time until each answer begins."""

    def __init__(self, inner: Wsgi, app: Flask) -> None:
        self.inner = inner
        _, self.times, _ = app.extensions[EXTENSION]

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        began = time.perf_counter()
        answer = self.inner(environ, start)
        path = environ["PATH_INFO"]
        door = "pages" if not path.startswith("/v1/") else "events" if path == "/v1/events" else "v1"
        self.times.took(door, time.perf_counter() - began)
        return answer


def equip(app: Flask, state: State, untold: Callable[[], timedelta]) -> None:
    """Give an application the tables that its figures are counted in, and what says for how long nothing was told."""
    app.extensions[EXTENSION] = state, Times(), untold


@METRICS.get("/metrics")
def metrics() -> Response:
    """Every figure, in the text format of Prometheus. Subscriptions are named by their ids and nothing else."""
    state, times, untold = current_app.extensions[EXTENSION]
    lines = [*_counted(state), *_late(state, untold()), *_timed(times)]
    return Response("\n".join(lines) + "\n", content_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


def _counted(state: State) -> Iterator[str]:
    behind = lag(state)
    with state.reading() as connection:
        states, settled, tried = (
            {row[0]: row[1] for row in connection.execute(select(column, func.count()).group_by(column))}
            for column in (SUBSCRIPTION.c.state, DELIVERY.c.state, ATTEMPT.c.status)
        )
    yield from _told("inforce_events", "gauge", "Events in the log.", {"": state.tip()})
    derived = state.derived()
    if derived:
        stamp = round(derived.instant.timestamp(), 3)
        yield from _told("inforce_derived_seconds", "gauge", "Instant up to which events were derived.", {"": stamp})
    told = {f'subscription="{name}"': count for name, count in sorted(behind.items())}
    yield from _told("inforce_subscription_lag", "gauge", "Events that a subscription has yet to accept.", told)
    told = {f'state="{name}"': count for name, count in sorted(states.items())}
    yield from _told("inforce_subscriptions", "gauge", "Subscriptions by state.", told)
    told = {f'state="{name}"': count for name, count in sorted(settled.items())}
    yield from _told("inforce_deliveries", "gauge", "Deliveries that are kept, by state.", told)
    told = {f'status="{name or "none"}"': count for name, count in sorted(tried.items(), key=str)}
    yield from _told("inforce_attempts", "gauge", "Attempts that are kept, by the status answered.", told)


def _late(state: State, untold: timedelta) -> Iterator[str]:
    about = "Seconds for which something due was not told: a revision, or a day that began."
    yield from _told("inforce_untold_seconds", "gauge", about, {"": untold.total_seconds()})
    sent = SUBSCRIPTION.c.state.in_(HEARING), LANE.c.head.is_not(None), SUBSCRIPTION.c.id == LANE.c.subscription
    with state.reading() as connection:
        due = connection.execute(select(func.min(LANE.c.due_at)).where(*sent)).scalar()
    seconds = (state.clock() - instant(due)).total_seconds() if due else 0
    about = "Seconds for which the delivery that is due longest was not taken up."
    yield from _told("inforce_unsent_seconds", "gauge", about, {"": max(seconds, 0)})


def _timed(times: Times) -> Iterator[str]:
    name = "inforce_answer_seconds"
    yield f"# HELP {name} Seconds until an answer began, of the worker that was asked."
    yield f"# TYPE {name} histogram"
    for door, counts in times.counts.items():
        labels, below = f'door="{door}",worker="{os.getpid()}"', 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), tuple(counts), strict=True):
            below += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {below}'
        yield f"{name}_sum{{{labels}}} {times.sums[door]:.6f}"
        yield f"{name}_count{{{labels}}} {below}"


def _told(name: str, kind: str, about: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values.items():
        yield f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"
