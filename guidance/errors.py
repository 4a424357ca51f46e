"""What can go wrong, as a tree.

GuidanceError
├── BadInput               what was asked or handed in cannot be understood
│   ├── BadParameter       one named parameter or option
│   ├── BadJson            bytes that are not the JSON we accept
│   ├── InvalidDocument    JSON that is not a document: every violation, each with its pointer
│   └── BadEndpoint        an address to which nothing may be sent
├── NotFound
│   ├── UnknownDocument · UnknownVersion · UnknownRevision · UnknownMedicine · UnknownAuthority
│   └── UnknownSubscription · UnknownDelivery · UnknownToken
├── Conflict               understood, and at odds with what is recorded
│   ├── StaleRevision      the publisher started from an older revision
│   ├── ActRefused         the act does not fit what is recorded
│   └── KeyReused          an idempotency key that was used for something else
├── Refused                understood, and not for whoever asks
│   └── NotAuthenticated · NotAllowed · TooManyAttempts
└── StoreError             the store itself
    ├── NoRegister · RegisterExists · StoreUnreadable · StoreBusy
    └── Tampered           verification found something that does not agree

Every error carries attributes and makes its message from them; this module imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class GuidanceError(Exception):
    """Anything this package refuses or cannot do."""


class BadInput(GuidanceError):
    """What was asked or handed in cannot be understood."""


class BadParameter(BadInput):
    """A parameter, option or value that cannot be read: which, what it was, and why not."""

    def __init__(self, parameter: str, value: str, why: str) -> None:
        self.parameter, self.value, self.why = parameter, value, why
        super().__init__(f"{parameter}: {value!r} {why}" if value else f"{parameter} {why}")


class BadJson(BadInput):
    """Bytes that are not the JSON we accept: where they stop being so, and why."""

    def __init__(self, why: str, pointer: str = "", file: str = "") -> None:
        self.why, self.pointer, self.file = why, pointer, file
        place = " at ".join(part for part in (file, pointer) if part)
        super().__init__(f"{place}: {why}" if place else why)


def step(name: object) -> str:
    """One step of a JSON pointer (RFC 6901, section 3), with the slash that leads to it."""
    text = str(name)
    return f"/{text.replace('~', '~0').replace('/', '~1')}" if "~" in text or "/" in text else f"/{text}"


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """One thing wrong with a document: the JSON pointer to blame, why, and in which file."""

    pointer: str
    why: str
    file: str = ""

    def __str__(self) -> str:
        place = f"{self.file} " if self.file else ""
        return f"{place}{self.pointer or '(the whole)'}: {self.why}"


class InvalidDocument(BadInput):
    """JSON that is not a document, with every violation found."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        count = len(self.violations)
        heading = "1 violation" if count == 1 else f"{count} violations"
        super().__init__("\n".join([heading, *(f"  {violation}" for violation in self.violations)]))


class NotFound(GuidanceError):
    """The register holds nothing by that name."""


class UnknownDocument(NotFound):
    def __init__(self, document: str) -> None:
        self.document = document
        super().__init__(f"no document {document!r} is recorded")


class UnknownVersion(NotFound):
    def __init__(self, document: str, number: int) -> None:
        self.document, self.number = document, number
        super().__init__(f"{document} has no version {number}")


class UnknownRevision(NotFound):
    def __init__(self, revision: str, why: str = "is not a revision of this register") -> None:
        self.revision, self.why = revision, why
        super().__init__(f"{revision!r} {why}")


class UnknownMedicine(NotFound):
    def __init__(self, inn: str) -> None:
        self.inn = inn
        super().__init__(f"no document names the medicine {inn!r}")


class UnknownAuthority(NotFound):
    """Neither an authority that is known here nor one of which a document is recorded."""

    def __init__(self, authority: str) -> None:
        self.authority = authority
        super().__init__(f"no document of an authority {authority!r} is recorded")


class Conflict(GuidanceError):
    """Understood, and at odds with what is recorded."""


class StaleRevision(Conflict):
    """The publisher started from a revision that is no longer the newest. Nothing was written."""

    def __init__(self, base: str, head: str) -> None:
        self.base, self.head = base, head
        super().__init__(f"started from revision {base or '(none)'}, but the register is at {head or '(none)'}")


class ActRefused(Conflict):
    """An act that does not fit what is recorded. Nothing was written."""

    def __init__(self, subject: str, why: str) -> None:
        self.subject, self.why = subject, why
        super().__init__(f"{subject}: {why}")


class KeyReused(Conflict):
    """An idempotency key that already stands for a different act."""

    def __init__(self, key: str, revision: str) -> None:
        self.key, self.revision = key, revision
        super().__init__(f"the key {key!r} already stands for revision {revision}, which recorded something else")


class Unaccounted(GuidanceError):
    """Two states differ in something that no change accounts for. It is never shown as "no changes"."""

    def __init__(self, subject: str, why: str) -> None:
        self.subject, self.why = subject, why
        super().__init__(f"{subject}: {why}")


class StoreError(GuidanceError):
    """The store itself cannot be used."""


class NoRegister(StoreError):
    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"there is no register in {path}; make one with 'inforce init'")


class RegisterExists(StoreError):
    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path} already holds a register; nothing was changed")


class StoreUnreadable(StoreError):
    """The store is there and cannot be read."""

    def __init__(self, path: str, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(f"the register in {path} cannot be read: {why}")


class StoreBusy(StoreError):
    """Another publisher held the lock for too long. Nothing was written."""

    def __init__(self, path: str, seconds: float) -> None:
        self.path, self.seconds = path, seconds
        super().__init__(f"another publisher held {path} for more than {seconds:g} seconds; nothing was written")


class Tampered(StoreError):
    """Verification found things that do not agree with each other."""

    def __init__(self, findings: Sequence[str]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join([f"{len(self.findings)} things do not agree", *(f"  {f}" for f in findings)]))


class Refused(GuidanceError):
    """Understood, and not for whoever asks."""


class NotAuthenticated(Refused):
    """No token, or not one that is known and still holds."""

    def __init__(self, why: str = "a token is needed: Authorization: Bearer …") -> None:
        self.why = why
        super().__init__(why)


class NotAllowed(Refused):
    """The token does not reach so far."""

    def __init__(self, scope: str, why: str = "") -> None:
        self.scope, self.why = scope, why
        super().__init__(why or f"the token has no scope {scope!r}")


class TooManyAttempts(Refused):
    """Too many wrong tokens from one place."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(f"too many wrong tokens came from there; try again in {seconds} seconds")


class UnknownSubscription(NotFound):
    def __init__(self, subscription: str) -> None:
        self.subscription = subscription
        super().__init__(f"there is no subscription {subscription!r}")


class UnknownDelivery(NotFound):
    def __init__(self, subscription: str, delivery: int) -> None:
        self.subscription, self.delivery = subscription, delivery
        super().__init__(f"subscription {subscription!r} has no delivery {delivery}")


class UnknownToken(NotFound):
    def __init__(self, token: str) -> None:
        self.token = token
        super().__init__(f"there is no token {token!r}")


class BadEndpoint(BadInput):
    """An address to which nothing may be sent."""

    def __init__(self, url: str, why: str) -> None:
        self.url, self.why = url, why
        super().__init__(f"{url[:200]!r} {why}")
