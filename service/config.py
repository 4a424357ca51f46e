"""One frozen Config, and the table of every setting. The only reader of the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, NamedTuple

from guidance.errors import BadParameter
from guidance.vocabulary import JURISDICTIONS

PREFIX: Final = "INFORCE_"
HOST: Final = re.compile(r"\.?[\w-]+(\.[\w-]+)*|\[[0-9a-fA-F:.]+\]")
"""A name, an address; or the end of names, with a dot before it."""


@dataclass(frozen=True, slots=True)
class Config:
    """How this process serves one register."""

    data: Path = Path("inforce-data")
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    threads: int = 8
    jurisdiction: str = "EU"
    trusted_hosts: tuple[str, ...] = ()
    https: bool = False
    cache_bytes: int = 24 * 1024 * 1024
    connections: int = 1024
    proxies: int = 0
    waiters: int = 4
    state: str = ""
    secret_key: str = ""
    secret_key_file: str = ""
    deliver: bool = True
    outgoing_allow: tuple[str, ...] = ()
    outgoing_http: bool = False
    outgoing_ca: str = ""
    retries: str = "5s 30s 2m 10m 30m 1h 2h 4h 8h 12h 20h 24h"
    delivery_seconds: int = 15
    per_endpoint: int = 4
    reminders: tuple[int, ...] = (30, 7, 1)
    keep_days: int = 90
    severity_file: str = ""
    log_level: str = "info"


class Setting(NamedTuple):
    """One row of the table of settings: what it is for, and the least and most that a number may be."""

    field: str
    about: str
    least: int = 0
    most: int = 0

    @property
    def variable(self) -> str:
        return PREFIX + self.field.upper()

    @property
    def option(self) -> str:
        return "--" + self.field.replace("_", "-")


SETTINGS: Final = (
    Setting("data", "Folder that holds the register and everything derived from it."),
    Setting("host", "Address to listen on."),
    Setting("port", "Port to listen on.", 1, 65535),
    Setting("workers", "Worker processes.", 1, 64),
    Setting("threads", "Threads that answer, in each worker.", 1, 256),
    Setting("jurisdiction", "Jurisdiction whose day is 'today' where a question names no place."),
    Setting("trusted_hosts", "Host names that requests may name, separated by commas; none means any."),
    Setting("https", "Whether people reach the service over TLS: sends Strict-Transport-Security."),
    Setting("cache_bytes", "Bytes of answers to keep ready in each worker; 0 keeps none.", 0, 2**40),
    Setting("connections", "Connections that each worker holds open at most.", 16, 65536),
    Setting("proxies", "Proxies in front of the service, each of which adds to X-Forwarded-For.", 0, 16),
    Setting(
        "waiters", "Readers of events that wait at one time in each worker, always fewer than the threads.", 0, 255
    ),
    Setting("state", "Database of events and subscriptions, as a URL; none means state.sqlite in the data folder."),
    Setting("secret_key", "Key that seals webhook secrets, base64 of 32 bytes; several, the newest first, by commas."),
    Setting("secret_key_file", "File that holds that key; none means secret.key in the data folder."),
    Setting(
        "deliver", "Whether the service derives events and sends webhooks itself; no where `inforce deliver` does."
    ),
    Setting("outgoing_allow", "Addresses that webhooks may go to beyond the open internet, separated by commas."),
    Setting("outgoing_http", "Whether webhooks may go to http:// too."),
    Setting("outgoing_ca", "File of certificates to trust besides those of the system."),
    Setting("retries", "How long to wait after each failed attempt to deliver."),
    Setting("delivery_seconds", "Seconds that an endpoint may take to answer.", 1, 120),
    Setting("per_endpoint", "Requests under way to one endpoint at most.", 1, 64),
    Setting("reminders", "Days ahead of which a beginning or an end is called to mind.", 1, 3650),
    Setting("keep_days", "Days for which deliveries are kept once they are settled, with their attempts.", 1, 36500),
    Setting("severity_file", "File of severities that the operator judges otherwise; none means the reviewed table."),
    Setting("log_level", "debug, info, warning or error."),
)
DELIVERING: Final = tuple(
    setting
    for setting in SETTINGS
    if setting.field
    in {
        *("data", "state", "secret_key", "secret_key_file", "outgoing_allow", "outgoing_http", "outgoing_ca"),
        *("retries", "delivery_seconds", "per_endpoint", "reminders", "keep_days", "log_level"),
    }
)
"""The settings that matter to a process that delivers and answers nobody."""
_BY_FIELD: Final = {setting.field: setting for setting in SETTINGS}
_YES: Final = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def load(options: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """The configuration from options (those not None), else INFORCE_… variables, else the defaults.

    Raises BadParameter for a value that does not fit, and for an INFORCE_… variable that is not in the table.
    """
    environment = os.environ if environment is None else environment
    known = {setting.variable for setting in SETTINGS} | {PREFIX + "AUTHOR"}
    for name in sorted(set(environment)):
        if name.startswith(PREFIX) and name not in known:
            shown = "(hidden)" if re.search("KEY|SECRET|STATE|TOKEN", name) else environment[name]
            raise BadParameter(name, shown, "is not a setting that is known here; see docs/settings.md")
    told = {s.field: environment[s.variable] for s in SETTINGS if s.variable in environment}
    told |= {name: value for name, value in (options or {}).items() if value is not None}
    return Config(**{name: _read(_BY_FIELD[name], value) for name, value in told.items()})


def author(environment: Mapping[str, str] | None = None) -> str | None:
    """Who acts where the command line does not say: INFORCE_AUTHOR."""
    return (os.environ if environment is None else environment).get(PREFIX + "AUTHOR")


def _read(setting: Setting, value: Any) -> Any:
    default = next(f.default for f in fields(Config) if f.name == setting.field)
    text = str(value).strip()
    if isinstance(default, bool):
        if text.lower() not in _YES:
            raise BadParameter(setting.option, text, "is neither yes nor no")
        return _YES[text.lower()]
    if isinstance(default, int):
        return _number(setting, text)
    if isinstance(default, tuple):
        parts = [part.strip() for part in text.split(",") if part.strip()]
        _all_hosts(setting, parts)
        return tuple(_number(setting, part) for part in parts) if setting.most else tuple(parts)
    if isinstance(default, Path):
        return Path(text)
    return _word(setting, text)


def _all_hosts(setting: Setting, parts: list[str]) -> None:
    for part in parts if setting.field == "trusted_hosts" else ():
        if not HOST.fullmatch(part):
            raise BadParameter(setting.option, part, "is not the name of a host, such as register.example")


def _number(setting: Setting, text: str) -> int:
    if not re.fullmatch("[0-9]{1,15}", text) or not setting.least <= int(text) <= setting.most:
        raise BadParameter(setting.option, text, f"is not a whole number from {setting.least} to {setting.most}")
    return int(text)


def _word(setting: Setting, text: str) -> str:
    if setting.field == "jurisdiction" and text not in JURISDICTIONS:
        raise BadParameter(setting.option, text, f"is not a jurisdiction; known are {', '.join(JURISDICTIONS)}")
    if setting.field == "log_level" and text not in ("debug", "info", "warning", "error"):
        raise BadParameter(setting.option, text, "is not debug, info, warning or error")
    return text
