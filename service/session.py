"""Sessions: a person enters with a token; the cookie says who is asking, what the form carries that they meant it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, insert, select

from guidance.errors import NotAllowed, NotAuthenticated
from service import tokens
from service.state import SESSION, State, stamp
from service.tokens import Token

COOKIE: Final = "inforce-session"
LENGTH: Final = timedelta(hours=8)
SAME: Final = ("same-origin", "none")
"""What browsers say of a request that none of another's pages led to (Fetch Metadata, Sec-Fetch-Site)."""


@dataclass(frozen=True, slots=True)
class Session:
    """One person's, until they leave, or it or their token ends."""

    token: Token
    proof: str
    """What a form must carry: known to our pages and to nobody else's."""


def begin(state: State, text: str, client: str) -> str:
    """Enter with a token; what the cookie holds. Raises NotAuthenticated, NotAllowed, TooManyAttempts."""
    token = tokens.authenticate(state, text, client, "subscribe")
    hidden = secrets.token_urlsafe(32)
    now = state.clock()
    row = {"hash": _hash(hidden), "token": token.id, "expires_at": stamp(now + LENGTH)}
    with state.writing() as connection:
        connection.execute(delete(SESSION).where(SESSION.c.expires_at <= stamp(now)))
        connection.execute(insert(SESSION), [row])
    return hidden


def held(state: State, hidden: str | None) -> Session | None:
    """The session of a cookie, while it and its token hold."""
    if not hidden:
        return None
    now = stamp(state.clock())
    chosen = select(SESSION.c.token).where(SESSION.c.hash == _hash(hidden), SESSION.c.expires_at > now)
    with state.reading() as connection:
        row = connection.execute(chosen).first()
    token = tokens.holding(state, row.token) if row else None
    return Session(token, _proof(hidden)) if token and "subscribe" in token.scopes else None


def end(state: State, hidden: str | None) -> None:
    """Leave: the cookie is worth nothing any more, whoever kept a copy of it."""
    if hidden:
        with state.writing() as connection:
            connection.execute(delete(SESSION).where(SESSION.c.hash == _hash(hidden)))


def meant(session: Session | None, given: str, site: str | None) -> None:
    """Raises where a form may have been sent by a page that is not ours. `site`: the header Sec-Fetch-Site."""
    if site is not None and site not in SAME:
        raise NotAllowed("subscribe", "the form was sent by another site's page")
    if session is None:
        return
    if not hmac.compare_digest(session.proof.encode(), given.encode()):
        raise NotAuthenticated("the form has no proof that our page sent it; load the page anew, and send it again")


def _hash(hidden: str) -> bytes:
    return hashlib.sha256(hidden.encode("utf-8", "replace")).digest()


def _proof(hidden: str) -> str:
    return hmac.digest(hidden.encode(), b"form", "sha256").hex()
