"""What went wrong: every error has its problem and its exit code, and says what, why and where."""

from __future__ import annotations

import re

import pytest

from guidance import errors
from guidance.errors import GuidanceError
from guidance.schema import schema, violations
from service import problems
from service.problems import PROBLEMS, HttpProblem, body_of, problem_of

EXAMPLES = [
    errors.BadInput("what was it"),
    errors.BadParameter("on", "tomorrow", "is not a date"),
    errors.BadJson("is not JSON", "/rules/0", "a.json"),
    errors.InvalidDocument([errors.Violation("/rules/0/id", "is missing", "a.json"), errors.Violation("", "is odd")]),
    errors.BadEndpoint("http://10.0.0.1/", "leads to an address that is private"),
    errors.NotFound("there is no such thing"),
    errors.UnknownSubscription("sub_1"),
    errors.UnknownDelivery("sub_1", 7),
    errors.UnknownToken("abc"),
    errors.Refused("not for you"),
    errors.NotAuthenticated(),
    errors.NotAllowed("subscribe"),
    errors.TooManyAttempts(30),
    errors.UnknownDocument("ema/nothing"),
    errors.UnknownVersion("ema/lemtrada", 9),
    errors.UnknownRevision("abcdef0"),
    errors.UnknownMedicine("nothing"),
    errors.UnknownAuthority("nobody"),
    errors.Conflict("at odds"),
    errors.StaleRevision("a" * 40, "b" * 40),
    errors.ActRefused("ema/lemtrada@3", "is not the next version"),
    errors.KeyReused("key", "a" * 40),
    errors.StoreError("git failed"),
    errors.NoRegister("somewhere"),
    errors.RegisterExists("somewhere"),
    errors.StoreUnreadable("somewhere", "no permission"),
    errors.StoreBusy("somewhere", 30),
    errors.Tampered(["a revision is dated before the one it follows"]),
]
OURS = (
    problems.NOT_ACCEPTABLE,
    problems.NO_ROUTE,
    problems.METHOD,
    problems.TOO_LARGE,
    problems.BAD_REQUEST,
    problems.NOT_READY,
)


def test_every_row_of_the_table_of_the_register_has_an_example_here() -> None:
    told = {kind.__name__ for kind in PROBLEMS if kind is not GuidanceError}
    assert {type(error).__name__ for error in EXAMPLES} == told


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_is_told_as_a_problem_that_conforms(error: GuidanceError) -> None:
    body = body_of(error)
    assert violations("problem", body) == ()
    assert body["type"] == f"/problems/{problem_of(error).type}"
    assert body["detail"] == str(error)
    assert 400 <= body["status"] <= 599


def test_what_was_wrong_where_is_told_in_members_of_its_own() -> None:
    assert body_of(errors.BadParameter("on", "x", "is not a date"))["parameter"] == "on"
    assert body_of(errors.BadJson("is not JSON", "/rules/0"))["pointer"] == "/rules/0"
    told = body_of(errors.InvalidDocument([errors.Violation("/id", "is missing", "a.json")]))
    assert told["violations"] == [{"pointer": "/id", "why": "is missing", "file": "a.json"}]


def test_a_kind_of_error_without_a_row_is_what_the_nearest_kind_above_it_is() -> None:
    class Peculiar(errors.UnknownDocument):
        pass

    assert problem_of(Peculiar("ema/x")) == PROBLEMS[errors.UnknownDocument]
    assert problem_of(GuidanceError("anything")) == problems.FAILED


@pytest.mark.parametrize("problem", OURS, ids=lambda problem: problem.type)
def test_a_problem_that_only_http_has_conforms_too(problem: problems.Problem) -> None:
    body = body_of(HttpProblem(problem, "detail"))
    assert violations("problem", body) == ()
    assert (body["status"], body["title"]) == (problem.status, problem.title)


def test_the_schema_knows_every_type_of_problem_and_no_other() -> None:
    types = {f"/problems/{problem.type}" for problem in (*PROBLEMS.values(), *OURS)}
    assert set(schema("problem")["properties"]["type"]["enum"]) == types
    assert all(re.fullmatch("/problems/[a-z-]+", name) for name in types)


def test_one_type_has_one_status_and_one_exit_code() -> None:
    told: dict[str, set[tuple[int, int]]] = {}
    for problem in (*PROBLEMS.values(), *OURS):
        told.setdefault(problem.type, set()).add((problem.status, problem.exit))
    assert {name: both for name, both in told.items() if len(both) > 1} == {}


def test_exit_codes_tell_families_apart() -> None:
    exits = {type(error).__name__: problem_of(error).exit for error in EXAMPLES}
    for error in EXAMPLES:
        family = next(
            code
            for kind, code in (
                (errors.BadInput, 2),
                (errors.Refused, 2),
                (errors.NotFound, 3),
                (errors.Conflict, 4),
                (errors.Tampered, 6),
                (errors.StoreError, 5),
            )
            if isinstance(error, kind)
        )
        assert exits[type(error).__name__] == (4 if isinstance(error, errors.RegisterExists) else family)


def test_a_very_long_detail_is_cut() -> None:
    assert len(body_of(errors.BadInput("x" * 10_000))["detail"]) == 4000
