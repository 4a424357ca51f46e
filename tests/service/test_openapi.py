"""The OpenAPI document: it is valid, it has every route and parameter, and the service does what it says."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import CheckNode
from sqlalchemy import update

from guidance.archive import Archive
from guidance.schema import schema, schema_names, violations
from guidance.vocabulary import JURISDICTIONS
from service import params, subscriptions, ticker, tokens
from service.delivery import fan_out
from service.formats import FORMATS, offered
from service.openapi import URN, described
from service.problems import BAD_REQUEST, MEDIA_TYPE, METHOD, NO_ROUTE, NOT_ACCEPTABLE, PROBLEMS, TOO_LARGE
from service.state import SUBSCRIPTION, State
from service.subscriptions import EXTENSION, Push
from tests.service.doors import EXAMPLES, NOW, addresses, answer, door

TOLD = schema("openapi")
OPERATIONS = [(path, operation) for path, item in TOLD["paths"].items() for operation in item.values()]
NAMES = [operation["operationId"] for _, operation in OPERATIONS]
METHODS = {operation["operationId"]: method for item in TOLD["paths"].values() for method, operation in item.items()}
PLACES = {
    "authority": "ema",
    "document": "lemtrada",
    "number": "3",
    "inn": "alemtuzumab",
    "name": "version",
    "act": "pause",
}


def resolved(node: Any) -> Any:
    """A part of the document, or what it refers to inside it."""
    while isinstance(node, dict) and node.get("$ref", "").startswith("#/"):
        found = TOLD
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


@pytest.fixture(scope="module")
def client(corpus: Archive) -> Iterator[FlaskClient]:
    """A client with a token to subscribe: what is for an owner alone is asked for as one."""
    made = door(corpus)
    state: State = made.application.extensions[EXTENSION].state
    made.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {tokens.create(state, 'tests', 'a tester', ['subscribe'])[1]}"
    ticker.tick(corpus, state, NOW)
    yield made
    state.close()


# --- what is written -------------------------------------------------------------------------------------


def test_the_document_is_valid_and_leads_nowhere_outside_itself(client: FlaskClient) -> None:
    told = answer(client, "/v1/openapi.json")
    assert [str(error) for error in OpenAPIV31SpecValidator(told).iter_errors()] == []
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(told)))
    assert references
    assert all(reference.startswith("#/") for reference in references)
    assert set(told["components"]["schemas"]) == set(schema_names())


def test_every_reference_inside_the_document_leads_to_something(client: FlaskClient) -> None:
    told = answer(client, "/v1/openapi.json")
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(told))):
        found = told
        for step in reference.replace("~1", "/").replace("~0", "~").split("/"):
            found = found[step]
        assert found


def test_every_route_of_the_application_is_described_and_no_other(client: FlaskClient) -> None:
    def anonymous(paths: Any) -> set[str]:
        return {re.sub(r"\{\w+\}", "{}", path) for path in paths}

    assert anonymous(TOLD["paths"]) == anonymous(addresses(client))


def test_the_release_is_told() -> None:
    assert described("1.2.3")["info"]["version"] == "1.2.3"


@pytest.mark.parametrize(("path", "operation"), OPERATIONS, ids=NAMES)
def test_every_operation_is_explained_for_whoever_has_an_hour(path: str, operation: Any) -> None:
    assert operation["operationId"]
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"][0] in {tag["name"] for tag in TOLD["tags"]}
    given = [resolved(parameter) for parameter in operation.get("parameters", ())]
    in_path = {parameter["name"] for parameter in given if parameter["in"] == "path"}
    assert in_path == set(re.findall(r"\{(\w+)\}", path))
    for parameter in given:
        assert parameter["description"]
        assert parameter["examples"]
    assert operation["operationId"] in NAMES
    assert NAMES.count(operation["operationId"]) == 1
    for status, response in operation["responses"].items():
        assert resolved(response)["description"]
        if int(status) >= 400:
            assert list(resolved(response)["content"]) == [MEDIA_TYPE]


@pytest.mark.parametrize(("path", "operation"), OPERATIONS, ids=NAMES)
def test_the_parameters_that_are_described_are_those_that_are_known(
    client: FlaskClient, path: str, operation: Any
) -> None:
    if not path.startswith("/v1/"):
        return
    response = client.open(path.format(**PLACES) + "?unheard-of=1", method=METHODS[operation["operationId"]])
    told = json.loads(response.data)
    known = re.fullmatch(r"unheard-of is not a parameter here; known are (.*)", told["detail"])
    assert known
    queried = {p["name"] for p in map(resolved, operation.get("parameters", ())) if p["in"] == "query"}
    formats = {"format"} if path in ("/v1/openapi.json", "/v1/schemas/{name}") else set()
    assert set(known[1].split(", ")) - {"none"} - formats == queried


def examples() -> Iterator[tuple[str, str, Any]]:
    """(place, schema, value) of every example of an answer."""
    for path, operation in OPERATIONS:
        for status, response in operation["responses"].items():
            for media, content in resolved(response).get("content", {}).items():
                reference = content.get("schema", {}).get("$ref", "")
                told = content.get("examples", {"only": {"value": content["example"]}} if "example" in content else {})
                for name, example in told.items():
                    yield f"{path} {status} {media} {name}", reference.removeprefix(URN), example["value"]


@pytest.mark.parametrize(("place", "name", "value"), list(examples()), ids=[place for place, _, _ in examples()])
def test_every_example_of_an_answer_conforms(place: str, name: str, value: Any) -> None:
    assert violations(name, value) == (), place


def test_every_answer_has_an_example_that_the_schemas_are_tested_with_too() -> None:
    kept = [json.loads(path.read_bytes()) for path in (EXAMPLES / "good").glob("*.json")]
    shown = [{"schema": name, "value": value} for place, name, value in examples() if place.startswith("/v1/")]
    assert [one["schema"] for one in shown if one not in kept] == []
    contents = [
        response["content"]
        for _, operation in OPERATIONS
        for status, response in operation["responses"].items()
        if status < "300" and "content" in response
    ]
    answers = {
        content["application/json"]["schema"].get("$ref", "") for content in contents if "application/json" in content
    }
    named = {answer.removeprefix(URN) for answer in answers if answer.endswith("-answer")}
    assert {one["schema"] for one in shown} >= named


def test_what_can_be_chosen_is_what_the_service_knows() -> None:
    chosen = {
        name: resolved(parameter)["schema"].get("enum") for name, parameter in TOLD["components"]["parameters"].items()
    }
    assert chosen["jurisdiction"] == list(JURISDICTIONS)
    assert set(chosen["diffFormat"]) == {one.name for one in FORMATS.values()}
    assert set(chosen["format"]) == {one.name for one in offered(diff=False).values()}
    limit = TOLD["components"]["parameters"]["limit"]["schema"]
    assert (limit["default"], limit["maximum"]) == (params.PAGE, params.PAGE_LIMIT)


@pytest.mark.parametrize(("path", "operation"), OPERATIONS, ids=NAMES)
def test_every_example_of_a_parameter_is_accepted(client: FlaskClient, path: str, operation: Any) -> None:
    """Each by itself, where it can be; the sides of a diff go together."""
    if METHODS[operation["operationId"]] != "get" or path.startswith("/v1/subscriptions/"):
        return  # it needs a subscription: `test_subscriptions` has those
    given = [resolved(parameter) for parameter in operation.get("parameters", ())]
    first = {p["name"]: next(iter(p["examples"].values()))["value"] for p in given}
    address = path.format(**first)
    needed = f"{address}?from=2019-12-01&to=2020-02-01&" if "from" in first else f"{address}?"
    needed += f"q={first['q']}&" if "q" in first else ""
    for parameter in given:
        for example in parameter["examples"].values():
            name, value = parameter["name"], example["value"]
            if (
                parameter["in"] != "query"
                or name in ("from", "to", "from_at", "to_at", "q")
                or (name == "on" and "from" in first)
            ):
                continue
            response = client.get(f"{needed}{name}={value}")
            unknown_here = name in ("at", "page") and response.status_code == 404
            assert response.status_code == 200 or unknown_here, response.get_data(as_text=True)


# --- what is done ----------------------------------------------------------------------------------------


# What a schema cannot say of a parameter by itself, so that a value that fits it may be refused all the same.
SAID_IN_WORDS = {
    "at": "a moment that is still to come",
    "from_at": "the same",
    "to_at": "the same",
    "q": "signs without any letter or digit",
    "after": "a position that is still to come",
    "to": "an instant that is not after 'from', or still to come",
}
TOLD_OF = r"^/v1/(events|coming|feeds)"
ASKED = r"^/(?!v1/(events|coming|feeds|subscriptions))"
TOGETHER = {"from", "to", "on", "jurisdiction", "format"}
"""Parameters of a diff that go together or exclude each other."""


def refused_as_told(failure: CheckNode, label: str, response: Any) -> bool:
    """Whether a value that fits its schema was refused for what the description says in words."""
    if failure.name == "negative_data_rejection":
        return bool(response.status_code == 413)
    if failure.name != "positive_data_acceptance":
        return False
    told = json.loads(response.content)
    blamed = told.get("parameter")
    return (
        told["type"] == "/problems/bad-endpoint" or blamed in SAID_IN_WORDS or ("diff" in label and blamed in TOGETHER)
    )


@pytest.mark.parametrize(("paths", "examples", "least"), [(ASKED, 10, 800), (TOLD_OF, 3, 200)], ids=["asked", "told"])
def test_the_service_does_what_its_description_says_whatever_it_is_asked(
    client: FlaskClient, paths: str, examples: int, least: int
) -> None:
    cases = tried(client, examples, paths)
    here = {path: item for path, item in TOLD["paths"].items() if re.search(paths, path)}
    told = {f"{method.upper()} {path}" for path, item in here.items() for method in item}
    assert set(cases) | {"GET /v1/openapi.json"} == told | {"GET /v1/openapi.json"}
    assert sum(cases.values()) > least


def test_the_service_does_what_its_description_says_of_a_subscription_that_is_there(client: FlaskClient) -> None:
    push: Push = client.application.extensions[EXTENSION]
    asked = {"url": "https://hooks.hospital.example/inforce", "after": 0}
    made, _ = subscriptions.create(push.state, push.vault, push.policy, "a tester", asked)
    with push.state.writing() as connection:
        connection.execute(update(SUBSCRIPTION).values(state="active", verified_at=0))
    fan_out(push.state)
    cases = tried(client, 30, r"^/v1/subscriptions", {"path.name": made.id, "path.number": 2}, yours=True)
    assert sum(cases.values()) > 100
    subscriptions.remove(push.state, "a tester", made.id)


def tried(
    client: FlaskClient, examples: int, paths: str, given: dict[str, Any] | None = None, yours: bool = False
) -> Counter[str]:
    """How many cases of each operation were tried; fails with all that did not go as it is described.

    `yours`: of a subscription that is there, and stays; without every edge of lists with a thousand members.
    """
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "workers": 1,
            "generation": {"deterministic": True, "max-examples": examples, "no-shrink": True},
            "phases": {"stateful": {"enabled": False}, "coverage": {"enabled": not yours}},
            "checks": {"ignored_auth": {"enabled": False}},  # it cannot ask a WSGI application; test_subscriptions does
            "headers": {"Authorization": client.environ_base["HTTP_AUTHORIZATION"]},
            "parameters": {"query.wait": 0, **(given or {})},  # nobody waits here
        }
    )
    service = schemathesis.openapi.from_wsgi("/v1/openapi.json", client.application, config=config)
    service = service.include(path_regex=paths)
    service = service.exclude(method="DELETE") if yours else service
    cases: Counter[str] = Counter()
    failures: list[str] = []
    for event in from_schema(service).execute():
        assert not isinstance(event, events.FatalError), event
        if isinstance(event, events.NonFatalError):
            failures.append(f"{event.label}: {event.value}")
        if isinstance(event, events.ScenarioFinished) and event.label:
            cases[event.label] += len(event.recorder.cases)
            for name, checks in event.recorder.checks.items():
                response = event.recorder.interactions[name].response
                failures += [
                    f"{event.label}: {check.failure_info.failure.title}: {check.failure_info.code_sample}"
                    for check in checks
                    if check.failure_info and not refused_as_told(check, event.label, response)
                ]
    assert not failures, "\n".join(failures)
    return cases


# --- what is told to people ------------------------------------------------------------------------------


def test_the_page_about_the_api_names_every_address_parameter_and_problem() -> None:
    told = (EXAMPLES.parents[1] / "docs" / "api.md").read_text("utf-8")
    rows = {
        line.split("`")[1]: line
        for line in told.splitlines()
        if line.startswith(("| `/v1", "| `/healthz", "| `/readyz"))
    }
    assert set(rows) == set(TOLD["paths"])
    names = {parameter["name"] for parameter in TOLD["components"]["parameters"].values() if parameter["in"] == "query"}
    assert [name for name in names if not re.search(rf"^\| (`\w+`, )*`{name}`", told, re.MULTILINE)] == []
    for path, item in TOLD["paths"].items():
        given = [resolved(p) for operation in item.values() for p in operation.get("parameters", ())]
        queried = {p["name"] for p in given if p["in"] == "query"} - {"format"}
        if path != "/v1/diff":
            assert queried == set(re.findall(r"`(\w+)`", rows[path].split("|")[3])), path
    sent = {kind.type for kind in (*PROBLEMS.values(), NO_ROUTE, METHOD, TOO_LARGE, BAD_REQUEST, NOT_ACCEPTABLE)}
    written = {"bad-input", "stale-revision", "key-reused", "conflict", "refused", "unknown-token"}
    assert sent - written - {"register-exists", "tampered"} == set(re.findall(r"`/problems/([a-z-]+)`", told))
    for state in schema("answer")["$defs"]["state"]["enum"]:
        assert f"| `{state}` |" in told
