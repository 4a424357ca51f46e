"""The generated register is a register, and the command that measures runs. Nothing here is held against a clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import MEASURES, main
from benchmarks.figures import AT_LEAST, AT_MOST, Figure, markdown
from benchmarks.generator import Shape, document, name_of, register, write
from guidance import acts
from guidance.model import Document, Version, canonical
from guidance.schema import check_document, check_version, warnings

SHAPE = Shape(documents=60, versions=10)
DIFFS = ["diff-rules", "diff-pair", "diff-text", "diff-across", "diff-page"]
TELLS = ["fan", "deliver", "visible", "waiting"]
TINY = ["--documents", "20", "--versions", "2", "--rounds", "1", "--questions", "20"]


@pytest.mark.parametrize("place", range(0, SHAPE.documents, 6))
def test_what_is_generated_conforms_and_can_be_published_in_order(place: int) -> None:
    body, versions = document(SHAPE, place)
    check_document(body)
    value = Document.of(body)
    for version in versions:
        check_version(version)
        assert warnings(version) == ()
        assert acts.publish(value, version).body is not None
        value = value.with_version(Version.of(version))


def test_the_same_seed_makes_the_same_register_and_names_come_in_order(tmp_path: Path) -> None:
    shape = Shape(documents=12, versions=3)
    files = [tmp_path / name for name in ("one", "two")]
    assert [write(shape, file) for file in files] == [file.stat().st_size for file in files]
    assert files[0].read_bytes() == files[1].read_bytes()
    names = [name_of(shape, place) for place in range(shape.documents)]
    assert names == sorted(set(names)) == [body["id"] for body, _ in register(shape)]


def test_versions_have_about_the_size_and_the_rules_that_they_are_meant_to_have() -> None:
    versions = [version for _, found in register(SHAPE) for version in found]
    rules = sum(len(version["rules"]) for version in versions) / len(versions)
    size = sum(len(canonical(version)) for version in versions) / len(versions)
    assert 13 < rules < 17
    assert 4_500 < size < 6_500


def test_what_makes_registers_hard_is_there() -> None:
    versions = [version for _, found in register(Shape(documents=300, versions=10)) for version in found]
    told = [commencement for version in versions for commencement in version["commencements"]]
    assert {place for commencement in told for place in commencement["jurisdictions"]} >= {"EU", "UK", "GB", "NI", "CH"}
    assert any("trigger" in commencement for commencement in told)
    assert {len(commencement["to"]) for commencement in told if "to" in commencement} == {7, 10}
    assert any("commencements" in rule for version in versions for rule in version["rules"])
    assert any("jurisdictions" in rule for version in versions for rule in version["rules"])
    assert {version["stage"] for version in versions} >= {"decided", "recommended", "adopted"}


@pytest.mark.parametrize("names", [["import", "rebuild", "packed"], ["history", "publish"], ["answer"], DIFFS, TELLS])
def test_the_command_measures_at_a_tiny_scale(names: list[str], tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    assert main([*names, *TINY, "--keep", str(tmp_path / "kept"), "--markdown", str(table)]) == 0
    assert len(table.read_text("utf-8").splitlines()) >= 2 + len(names)


def test_a_name_that_is_not_measured_is_refused() -> None:
    with pytest.raises(SystemExit):
        main(["speed"])
    assert "answer" in MEASURES


def test_a_figure_says_whether_it_is_as_good_as_it_has_to_be() -> None:
    assert Figure("throughput", 0.7, AT_LEAST, 0.7).met
    assert not Figure("seconds", 1.01, AT_MOST, 1.0, "s").met
    assert "| seconds | 1.01 s | ≤ 1 s | missed |" in markdown([Figure("seconds", 1.01, AT_MOST, 1.0, "s")])
