"""What went wrong, as application/problem+json (RFC 9457) and as an exit code: one table for both."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from guidance import errors
from guidance.errors import GuidanceError

MEDIA_TYPE: Final = "application/problem+json"
BASE: Final = "/problems/"


class Problem(NamedTuple):
    """A kind of problem: its stable type, HTTP status, exit code, and title."""

    type: str
    status: int
    exit: int
    title: str


class HttpProblem(GuidanceError):
    """A problem that only HTTP has: no such route, a method that is not allowed, a body that is too large."""

    def __init__(self, problem: Problem, detail: str) -> None:
        self.problem = problem
        super().__init__(detail)


NOT_ACCEPTABLE: Final = Problem("not-acceptable", 406, 2, "No such media type here")
NO_ROUTE: Final = Problem("not-found", 404, 3, "There is nothing at this address")
METHOD: Final = Problem("method-not-allowed", 405, 2, "Not a method of this address")
TOO_LARGE: Final = Problem("too-large", 413, 2, "The request is too large")
BAD_REQUEST: Final = Problem("bad-request", 400, 2, "The request cannot be read")
NOT_READY: Final = Problem("not-ready", 503, 5, "The register cannot be served now")
FAILED: Final = Problem("internal-error", 500, 70, "Something failed here; it has been logged")

PROBLEMS: Final[dict[type[GuidanceError], Problem]] = {
    errors.BadParameter: Problem("bad-parameter", 400, 2, "A parameter cannot be understood"),
    errors.BadJson: Problem("bad-json", 400, 2, "The JSON cannot be accepted"),
    errors.InvalidDocument: Problem("invalid-document", 422, 2, "The JSON does not conform to its schema"),
    errors.BadEndpoint: Problem("bad-endpoint", 400, 2, "Nothing can be sent to that address"),
    errors.BadInput: Problem("bad-input", 400, 2, "The input cannot be understood"),
    errors.UnknownDocument: Problem("unknown-document", 404, 3, "No such document"),
    errors.UnknownVersion: Problem("unknown-version", 404, 3, "No such version"),
    errors.UnknownRevision: Problem("unknown-revision", 404, 3, "No such revision"),
    errors.UnknownMedicine: Problem("unknown-medicine", 404, 3, "No such medicine"),
    errors.UnknownAuthority: Problem("unknown-authority", 404, 3, "No such authority"),
    errors.UnknownSubscription: Problem("unknown-subscription", 404, 3, "No such subscription"),
    errors.UnknownDelivery: Problem("unknown-delivery", 404, 3, "No such delivery"),
    errors.UnknownToken: Problem("unknown-token", 404, 3, "No such token"),
    errors.NotFound: Problem("not-found", 404, 3, "Not found"),
    errors.StaleRevision: Problem("stale-revision", 409, 4, "The register has moved on"),
    errors.KeyReused: Problem("key-reused", 409, 4, "The idempotency key stands for something else"),
    errors.ActRefused: Problem("act-refused", 409, 4, "The act does not fit what is recorded"),
    errors.Conflict: Problem("conflict", 409, 4, "At odds with what is recorded"),
    errors.NotAuthenticated: Problem("not-authenticated", 401, 2, "A token is needed"),
    errors.NotAllowed: Problem("not-allowed", 403, 2, "The token does not reach so far"),
    errors.TooManyAttempts: Problem("too-many-attempts", 429, 2, "Too many wrong tokens"),
    errors.Refused: Problem("refused", 403, 2, "Not for whoever asks"),
    errors.NoRegister: Problem("no-register", 503, 5, "There is no register here"),
    errors.RegisterExists: Problem("register-exists", 409, 4, "There is a register here already"),
    errors.StoreUnreadable: Problem("store-unreadable", 503, 5, "The register cannot be read"),
    errors.StoreBusy: Problem("store-busy", 503, 5, "Another publisher is at work"),
    errors.Tampered: Problem("tampered", 500, 6, "Verification failed"),
    errors.StoreError: Problem("store-error", 503, 5, "The register cannot be used"),
    GuidanceError: FAILED,
}


def known() -> dict[str, Problem]:
    """Every kind of problem, by type."""
    ours = (NOT_ACCEPTABLE, NO_ROUTE, METHOD, TOO_LARGE, BAD_REQUEST, NOT_READY)
    return {problem.type: problem for problem in (*PROBLEMS.values(), *ours)}


def problem_of(error: GuidanceError) -> Problem:
    """The kind of problem that an error is: its own row, or that of the nearest class above it."""
    if isinstance(error, HttpProblem):
        return error.problem
    return next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)


def body_of(error: GuidanceError) -> dict[str, Any]:
    """The members of a problem document: what, why and where."""
    problem = problem_of(error)
    body: dict[str, Any] = {
        "type": BASE + problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": str(error)[:4000],
    }
    if isinstance(error, errors.BadParameter):
        body["parameter"] = error.parameter
    if isinstance(error, errors.BadJson):
        body["pointer"] = error.pointer
    if isinstance(error, errors.InvalidDocument):
        body["violations"] = [{"pointer": v.pointer, "why": v.why, "file": v.file} for v in error.violations]
    return body
