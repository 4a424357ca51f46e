"""What goes on beside answering, in a process of its own: what is due is told, sent, and cleared once it is old."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from datetime import timedelta
from importlib.metadata import version as release_of
from typing import Any, Final

from guidance.archive import Archive
from guidance.errors import NoRegister
from service import delivery, logs, signing, state, ticker
from service.addresses import Policy
from service.clock import Clock, system_clock
from service.config import Config
from service.delivery import Worker
from service.logs import LOG
from service.problems import FAILED
from service.state import State

PRUNING: Final = 3600.0
"""Seconds between two clearings of what is no longer kept."""
AGAIN: Final = 1.0
"""Seconds after which a teller that died is started anew."""
LAST_WORDS: Final = 10.0
"""Seconds that a teller has to finish what is under way."""


def run(config: Config, stopped: threading.Event, clock: Clock = system_clock) -> None:
    """Tell and send until told to stop. Any number may do so beside each other, in any number of processes.

    Without a register at hand only what others tell is sent; raises NoRegister where there is no database either.
    """
    tells = at_hand(config)
    log = state.opened(config, clock)
    worker = _worker(config, log)
    beside = [threading.Thread(target=_prune, args=(log, config.keep_days, stopped), name="prune")]
    if tells:
        telling = Archive(config.data), log, clock, stopped, config.reminders
        beside.append(threading.Thread(target=ticker.run, args=telling, name="ticker"))
    for thread in beside:
        thread.start()
    worker.run(stopped)
    for thread in beside:
        thread.join()
    log.close()


def at_hand(config: Config) -> bool:
    """Whether the register lies here; raises NoRegister where there is no database elsewhere either."""
    found = (config.data / "register.git").exists()
    if not found and not config.state:
        raise NoRegister(str(config.data))
    return found


def _worker(config: Config, log: State) -> Worker:
    terms = delivery.terms_of(config, agent=f"inforce/{release_of('inforce')}")
    return Worker(log, signing.vault(config), Policy.set_by(config), terms)


def _prune(log: State, days: int, stopped: threading.Event) -> None:
    while not stopped.is_set():
        try:
            count = log.prune(timedelta(days=days))
            if count:
                LOG.info("pruned", extra={"told": {"deliveries": count}})
        except Exception:
            LOG.error("pruning", exc_info=True)
        stopped.wait(PRUNING)


def stopping(parent: int | None = None) -> threading.Event:
    """Set when this process is told to stop; or, where `parent` is given, when that process is no more."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    if parent is not None:
        threading.Thread(target=_outlive, args=(parent, stopped), name="parent", daemon=True).start()
    return stopped


def _outlive(parent: int, stopped: threading.Event) -> None:
    while os.getppid() == parent and not stopped.wait(0.5):
        pass
    stopped.set()


def work(config: Config, parent: int) -> None:
    """The whole life of a teller that a service starts for itself."""
    logs.start(config.log_level)
    try:
        run(config, stopping(parent))
    except Exception as error:
        LOG.error("the teller failed", exc_info=True)
        raise SystemExit(FAILED.exit) from error


class Teller:
    """A teller beside a service, as a context: started with it, started anew when it dies, stopped with it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._ended = threading.Event()
        self._process: Any = None
        self._watch = threading.Thread(target=self._again, name="teller", daemon=True)

    def __enter__(self) -> None:
        self._begin()
        self._watch.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()
        self._process.terminate()
        self._process.join(LAST_WORDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _begin(self) -> None:
        process = multiprocessing.Process(target=work, args=(self._config, os.getpid()), name="inforce-teller")
        process.start()
        self._process = process

    def _again(self) -> None:
        while not self._ended.wait(AGAIN):
            if not self._process.is_alive():
                ended = self._process.exitcode  # 0: it was told to, as Ctrl-C tells every process
                tell = LOG.error if ended else LOG.info
                tell("the teller ended; starting it anew", extra={"told": {"exit": ended}})
                try:
                    self._begin()
                except OSError:  # no memory, or too many processes: it is tried again, for nobody else tells
                    LOG.error("the teller could not be started", exc_info=True)
