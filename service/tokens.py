"""API tokens: who may ask for what. 256 random bits each, kept only as a hash."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from guidance.errors import BadParameter, NotAllowed, NotAuthenticated, TooManyAttempts, UnknownToken
from service.state import REFUSAL, TOKEN, State, instant, stamp

PREFIX: Final = "inforce"
FORM: Final = re.compile(PREFIX + r"_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
SCOPES: Final[dict[str, str]] = {
    "read": "Read what is not open to everybody.",
    "subscribe": "Make and change the owner's subscriptions, and read their deliveries.",
    "review": "Review and sign changes.",
    "publish": "Publish, correct and withdraw.",
    "admin": "Make and revoke tokens, and see the state of every subscription.",
}
NAME_LIMIT: Final = 200
REFUSALS_A_MINUTE: Final = 10
MINUTE: Final = 60_000_000
USED: Final = timedelta(minutes=1)
"""How exact `used_at` is: noting every use would make a write of every read."""


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; never the token itself."""

    id: str
    name: str
    owner: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None

    def json(self) -> dict[str, Any]:
        told = {name: getattr(self, name) for name in ("id", "name", "owner")}
        times = {name: getattr(self, name) for name in ("created_at", "expires_at", "used_at", "revoked_at")}
        shown = {name: at.isoformat() for name, at in times.items() if at is not None}
        return {**told, "scopes": list(self.scopes), **shown}


def create(
    state: State, name: str, owner: str, scopes: Collection[str], expires_at: datetime | None = None
) -> tuple[Token, str]:
    """A new token, and its text, which is shown this once; raises BadParameter."""
    now = state.clock()
    for parameter, text in (("name", name), ("owner", owner)):
        if not text.strip() or len(text) > NAME_LIMIT or not text.isprintable():
            raise BadParameter(parameter, text[:80], f"is not one line of at most {NAME_LIMIT} characters")
    for scope in scopes:
        if scope not in SCOPES:
            raise BadParameter("scope", scope, f"is not a scope; known are {', '.join(SCOPES)}")
    if not scopes:
        raise BadParameter("scope", "", f"is missing; known are {', '.join(SCOPES)}")
    if expires_at is not None and expires_at <= now:
        raise BadParameter("expires", expires_at.isoformat(), "is in the past")
    row = {
        "id": secrets.token_hex(8),
        "name": name,
        "owner": owner,
        "scopes": " ".join(scope for scope in SCOPES if scope in scopes),
        "created_at": stamp(now),
        "expires_at": stamp(expires_at) if expires_at else None,
    }
    hidden = secrets.token_urlsafe(32)
    with state.writing() as connection:
        connection.execute(insert(TOKEN), [{**row, "hash": _hash(hidden)}])
        made = connection.execute(select(TOKEN).where(TOKEN.c.id == row["id"])).one()
    return _token(made), f"{PREFIX}_{row['id']}_{hidden}"


def tokens(state: State, owner: str | None = None) -> list[Token]:
    """Every token, oldest first; or those of one owner."""
    chosen = select(TOKEN).order_by(TOKEN.c.created_at, TOKEN.c.id)
    if owner is not None:
        chosen = chosen.where(TOKEN.c.owner == owner)
    with state.reading() as connection:
        return [_token(row) for row in connection.execute(chosen)]


def revoke(state: State, token: str) -> Token:
    """End a token now; one that was revoked stays as it was. Raises UnknownToken."""
    with state.writing() as connection:
        held = update(TOKEN).where(TOKEN.c.id == token, TOKEN.c.revoked_at.is_(None))
        connection.execute(held.values(revoked_at=stamp(state.clock())))
        row = connection.execute(select(TOKEN).where(TOKEN.c.id == token)).first()
    if row is None:
        raise UnknownToken(token)
    return _token(row)


def authenticate(state: State, text: str | None, client: str, scope: str) -> Token:
    """The token that a request carries, if it holds and reaches so far.

    `client`: the address that the request came from. Raises TooManyAttempts (also for a right token, so that guessing
    learns nothing), NotAuthenticated, NotAllowed.
    """
    if not text:
        raise NotAuthenticated
    now = stamp(state.clock())
    place = _place(client)
    form = FORM.fullmatch(text)
    with state.reading() as connection:
        _bounded(connection, place, now)
        row = connection.execute(select(TOKEN).where(TOKEN.c.id == form[1])).first() if form else None
    if form is None or row is None or not hmac.compare_digest(row.hash, _hash(form[2])):
        _refused(state, place, now)
        raise NotAuthenticated("the token is not known")
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        _refused(state, place, now)
        raise NotAuthenticated("the token has ended")
    if scope not in row.scopes.split():
        raise NotAllowed(scope)
    _used(state, row, now)
    return _token(row)


def holding(state: State, token: str) -> Token | None:
    """A token by its id, while it holds."""
    now = stamp(state.clock())
    with state.reading() as connection:
        row = connection.execute(select(TOKEN).where(TOKEN.c.id == token, TOKEN.c.revoked_at.is_(None))).first()
    ended = row is None or (row.expires_at is not None and row.expires_at <= now)
    return None if row is None or ended else _token(row)


def _hash(hidden: str) -> bytes:
    """A plain SHA-256 is enough: there is nothing to guess in 256 random bits."""
    return hashlib.sha256(hidden.encode("ascii")).digest()


def _token(row: Row[Any]) -> Token:
    times = {name: getattr(row, name) for name in ("created_at", "expires_at", "used_at", "revoked_at")}
    kept: dict[str, Any] = {name: None if at is None else instant(at) for name, at in times.items()}
    return Token(id=row.id, name=row.name, owner=row.owner, scopes=tuple(row.scopes.split()), **kept)


def _used(state: State, row: Row[Any], now: int) -> None:
    late = now - USED // timedelta(microseconds=1)
    if row.used_at is not None and row.used_at > late:
        return
    with state.writing() as connection:
        unused = or_(TOKEN.c.used_at.is_(None), TOKEN.c.used_at <= late)
        connection.execute(update(TOKEN).where(TOKEN.c.id == row.id, unused).values(used_at=now))


def _place(client: str) -> str:
    """Who is counted together: an IPv4 address, or the 64 bits that one IPv6 network shares."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client[:64]
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)


def _bounded(connection: Connection, place: str, now: int) -> None:
    minute = now // MINUTE
    counted = select(func.sum(REFUSAL.c.count)).where(REFUSAL.c.client == place, REFUSAL.c.minute == minute)
    if (connection.execute(counted).scalar() or 0) >= REFUSALS_A_MINUTE:
        raise TooManyAttempts(60 - now % MINUTE // 1_000_000)


def _refused(state: State, place: str, now: int) -> None:
    minute = now // MINUTE
    row = {"client": place, "minute": minute, "count": 1}
    with state.writing() as connection:
        counted = {"count": lambda _: REFUSAL.c.count + 1}
        connection.execute(state.upsert(REFUSAL, ["client", "minute"], counted), [row])
        connection.execute(delete(REFUSAL).where(REFUSAL.c.minute < minute))
