"""The rule of the house, held: arrows point down, nothing is imported in hiding, functions can be read at once."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from guidance.later import later

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for rooms in ("guidance", "service", "service/cli") for path in (ROOT / rooms).glob("*.py"))
PLACE = re.compile(r"(guidance|service)(\.\w+)+:\w+")
"""Where something is found that is loaded later."""
LONGEST = 40
NAMES_KEPT_OUT = {
    "edition",
    "provision",
    "record",
    "entity",
    "manager",
    "helper",
    "util",
    "utils",
    "handler",
    "data",
    "info",
}


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in SOURCES:
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text("utf-8"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_no_function_imports() -> None:
    hidden = [
        f"{name}:{inner.lineno}"
        for name, tree in trees()
        for function in functions(tree)
        for inner in ast.walk(function)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


def test_no_import_is_for_type_checkers_only() -> None:
    assert [name for name, tree in trees() if "TYPE_CHECKING" in ast.dump(tree)] == []


def places() -> Iterator[tuple[str, str]]:
    """Every room with each place that it has loaded later."""
    for name, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and PLACE.fullmatch(node.value):
                yield name.removesuffix(".py").replace("/", "."), node.value


def heights() -> dict[str, int]:
    """How far down each room lies, guidance below service."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = {one["containers"][0]: one["layers"] for one in told if one.get("containers")}
    ordered = [(package, layer) for package in ("service", "guidance") for layer in layers[package]]
    return {f"{box}.{room}": depth for depth, (box, layer) in enumerate(ordered) for room in layer.split(" | ")}


@pytest.mark.parametrize(("room", "place"), sorted(places()))
def test_what_is_loaded_later_is_there_and_lies_below(room: str, place: str) -> None:
    assert callable(later(place))
    above, below = (".".join(name.partition(":")[0].split(".")[:2]) for name in (room, place))
    assert above == below == "service.cli" or heights()[above] < heights()[below]


def test_nothing_is_loaded_later_but_rooms_of_ours() -> None:
    named = [
        node.args[0].value if isinstance(node.args[0], ast.Constant) else ast.unparse(node.args[0])
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "later"
    ]
    assert {name for name in named if not PLACE.fullmatch(str(name))} <= {"place"}


def test_nothing_is_loaded_later_but_by_its_place() -> None:
    assert [name for name, tree in trees() if "import_module" in ast.dump(tree)] == ["guidance/later.py"]


def test_every_function_can_be_read_at_once() -> None:
    long = [
        f"{name}:{function.lineno} {function.name}"
        for name, tree in trees()
        for function in functions(tree)
        if (function.end_lineno or function.lineno) - function.lineno + 1 > LONGEST
    ]
    assert long == []


def test_every_room_begins_with_one_sentence_on_what_it_holds() -> None:
    silent = [name for name, tree in trees() if tree.body and not ast.get_docstring(tree)]
    assert silent == []


def test_only_config_reads_the_environment_and_only_the_store_scrubs_it() -> None:
    readers = {name for name, tree in trees() if "value=Name(id='os', ctx=Load()), attr='environ'" in ast.dump(tree)}
    assert readers == {"service/config.py", "guidance/store.py"}


@pytest.mark.parametrize("call", ["now", "today", "utcnow", "time"])
def test_only_the_clock_tells_the_time(call: str) -> None:
    tellers = {
        name
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == call
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("datetime", "date", "time")
    }
    assert tellers <= {"service/clock.py"}


def test_modules_have_names_of_the_field() -> None:
    assert {path.stem for path in SOURCES} & NAMES_KEPT_OUT == set()
