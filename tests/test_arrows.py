"""The rule of the house, held: arrows point down, nothing is imported in hiding, functions can be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*(ROOT / "guidance").glob("*.py"), *(ROOT / "service").glob("*.py")])
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
