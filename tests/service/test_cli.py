"""The command line: every command, what it prints where, its exit code, and that its documentation is whole."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.metadata import version as release_of
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from guidance.archive import Archive, Proposal
from guidance.journal import CORPUS
from guidance.schema import violations
from guidance.store import Act
from service import comparing, logs, server
from service.cli import actor, main
from service.cli.progress import Shown
from service.config import SETTINGS, Config
from service.state import State
from tests.guidance import bodies
from tests.service.doors import NOW, answer, door
from tests.service.samples import Told

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(main.commands)
WHO = ("--author", "Ada Pharmacist <ada@example.org>", "--reason", "a test")


def run(*given: str) -> Result:
    return CliRunner().invoke(main, list(given), catch_exceptions=False)


def loaded(command: str) -> click.Command:
    """A command itself; what the family lists are stand-ins."""
    found = main.resolve_command(click.Context(main), [command])[1]
    assert found is not None
    return found


@pytest.fixture
def at(corpus: Archive) -> tuple[str, str]:
    return "--data", str(corpus.folder)


@pytest.fixture
def past(replayed: Archive) -> tuple[str, str]:
    return "--data", str(replayed.folder)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configurations with which serving began. Whoever else listens on the usual port is nobody's business here."""
    found: list[Config] = []
    monkeypatch.setattr(server, "check_place", lambda settings: settings.host)
    monkeypatch.setattr(logs, "start", lambda _: None)
    monkeypatch.setattr(server, "serve", lambda config, *_: found.append(config))
    return found


# --- beside others ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked", [["rules", "--medicine", "alemtuzumab"], ["log"], ["export", "ema/lemtrada"], ["verify"]]
)
def test_whoever_asks_does_not_wait_for_a_publisher(corpus: Archive, at: tuple[str, str], asked: list[str]) -> None:
    """An import may take an hour."""
    with corpus.store.lock():
        began = time.monotonic()
        assert run(*asked, *at).exit_code == 0
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("failure", "code", "told"),
    [
        (OSError(28, "No space left on device"), 5, "inforce: [Errno 28] No space left on device"),
        (sqlite3.OperationalError("database or disk is full"), 5, "inforce: database or disk is full"),
        (KeyError("what"), 70, "inforce: a fault of ours; please report it with what stands above"),
        (KeyboardInterrupt(), 130, "inforce: interrupted"),
    ],
)
def test_what_ends_a_command_has_an_exit_code_of_its_own(
    at: tuple[str, str], failure: BaseException, code: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback ended with 1, which is the code of `check --strict` for what merely looks odd."""

    def failing(_: Archive) -> None:
        raise failure

    monkeypatch.setattr(Archive, "tip", failing)
    monkeypatch.setattr(Archive, "seen", failing)
    result = run("log", *at)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (code, told)
    assert ("Traceback" in result.stderr) == (code == 70)


# --- sides of a diff -------------------------------------------------------------------------------------


def test_sides_that_are_turned_round_or_the_same_are_told(at: tuple[str, str]) -> None:
    turned = run("diff", "ema/lemtrada", *at, "--from", "@3", "--to", "@2")
    assert (turned.exit_code, "given backward in time" in turned.stdout) == (0, True)
    same = run("diff", "ema/lemtrada", *at, "--from", "@3", "--to", "@3")
    assert (same.exit_code, "both sides are the same to the byte" in same.stdout) == (0, True)
    other = run("diff", "ema/lemtrada", *at, "--from", "@1", "--to", "ema/hes@1")
    assert (other.exit_code, other.stdout) == (2, "")
    assert "is a version of another document; versions of ema/lemtrada can be compared" in other.stderr


def test_more_documents_than_one_answer_tells_are_refused_with_what_to_do(
    at: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "DOCUMENTS_LIMIT", 1)
    refused = run("diff", *at, "--from", "2013-01-01", "--to", "2026-01-01")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "more than 1: ask for less time" in refused.stderr


# --- the operator's severities ---------------------------------------------------------------------------


def test_serving_does_not_begin_with_a_table_of_severities_that_does_not_fit(
    at: tuple[str, str], served: list[Config], tmp_path: Path
) -> None:
    file = tmp_path / "severity.json"
    file.write_text('{"moves": "major"}', "utf-8")
    refused = run("serve", *at, "--severity-file", str(file))
    assert (refused.exit_code, served) == (2, [])
    assert f"{file} /moves: is not an effect; did you mean moved?" in refused.stderr


def test_a_diff_of_the_command_line_heeds_the_operators_table(
    at: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "severity.json"
    file.write_text('{"contraindication-added": "minor"}', "utf-8")
    monkeypatch.setenv("INFORCE_SEVERITY_FILE", str(file))
    result = run("diff", "ema/lemtrada", *at, "--from", "@2", "--to", "@3", "--json")
    assert "critical" not in json.loads(result.stdout)["summary"]["severities"]


# --- help and refusals -----------------------------------------------------------------------------------


def test_the_commands_are_these() -> None:
    expected = "init check publish correct withdraw rules show log diff import export replay rebuild verify serve demo"
    assert set(COMMANDS) >= set(expected.split())


def test_the_help_lists_every_command_and_every_exit_code() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", result.stdout, re.MULTILINE)
    for code in ("0", "1", "2", "3", "4", "5", "6", "70", "130"):
        assert re.search(rf"\b{code} \w", result.stdout)


def test_the_list_of_commands_tells_what_each_does_on_one_line() -> None:
    told = CliRunner().invoke(main, ["--help"], terminal_width=80).stdout
    assert "..." not in told.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("words", "unneeded"),
    [
        (["--help"], "flask sqlalchemy git jsonschema rich"),
        (["rules", "--help"], "flask sqlalchemy jsonschema deepdiff docx granian"),
        (["serve", "--help"], "alembic jsonschema deepdiff docx rich psycopg"),
    ],
)
def test_a_command_loads_no_library_that_it_does_not_need(words: list[str], unneeded: str) -> None:
    seen = "import sys; from service.cli import main; main(sys.argv[2:], standalone_mode=False);"
    seen += "print([name for name in sys.argv[1].split() if name in sys.modules])"
    called = subprocess.run([sys.executable, "-c", seen, unneeded, *words], capture_output=True, text=True, check=True)
    assert called.stdout.endswith("\n[]\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_bears_its_name(command: str) -> None:
    assert loaded(command).name == command


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("asking", ["--help", "-h"])
def test_every_command_explains_itself_and_all_its_options(command: str, asking: str) -> None:
    found = loaded(command)
    inside = [[command, name] for name in found.commands] if isinstance(found, click.Group) else []
    told = ""
    for words in [[command], *inside]:
        result = run(*words, asking)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.startswith(f"Usage: main {' '.join(words)} ")
        told += result.stdout
    for option in options_of(command):
        assert option.help, option.name
        assert all(name in told for name in option.opts)


def test_what_a_setting_is_by_default_is_told_as_it_is_written() -> None:
    told = " ".join(run("serve", "--help").stdout.split())
    for setting, word in (("HTTPS", "no"), ("DELIVER", "yes"), ("STATE", "none"), ("REMINDERS", "30, 7, 1")):
        assert f"[INFORCE_{setting}; default {word}]" in told


def test_a_demo_has_a_folder_and_a_database_of_its_own_whatever_those_of_the_register_are(
    served: list[Config], replayed: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it replays would be told to those who subscribe to the register."""
    shutil.copytree(replayed.folder, tmp_path / "inforce-demo")
    told = " ".join(run("demo", "--help").stdout.split())
    assert "./inforce-demo, whatever INFORCE_DATA says" in told
    assert not re.search("INFORCE_(DATA|STATE);", told)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INFORCE_DATA", str(tmp_path / "real"))
    monkeypatch.setenv("INFORCE_STATE", f"sqlite:///{tmp_path / 'real.sqlite'}")
    assert run("demo").exit_code == 0
    assert run("demo", "--state", f"sqlite:///{tmp_path / 'other.sqlite'}").exit_code == 0
    assert [config.data for config in served] == [Path("inforce-demo")] * 2
    assert [config.state for config in served] == ["", f"sqlite:///{tmp_path / 'other.sqlite'}"]
    assert not (tmp_path / "real.sqlite").exists()


def test_the_release_is_told() -> None:
    assert run("--version").stdout == f"inforce, version {release_of('inforce')}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_that_is_not_known_is_refused(command: str) -> None:
    result = run(command, "--unheard-of")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "No such option" in result.stderr


@pytest.mark.parametrize(
    "given",
    [
        ["unheard-of"],
        ["rules", "extra"],
        ["show"],
        ["publish"],
        ["check"],
        ["withdraw"],
        ["import"],
        ["log", "a/b", "c/d"],
    ],
)
def test_a_word_too_many_or_too_few_is_refused(given: list[str]) -> None:
    result = run(*given)
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize(
    "given",
    [
        ["rules"],
        ["show", "ema/lemtrada"],
        ["log"],
        ["diff", "ema/lemtrada", "--from", "@1", "--to", "@2"],
        ["export"],
        ["verify"],
        ["rebuild"],
        ["maintain"],
        ["import", "FILE", *WHO],
        ["publish", "FILE", *WHO],
        ["correct", "FILE", *WHO],
        ["withdraw", "ema/lemtrada@3", *WHO],
        ["serve"],
        ["deliver"],
        ["token", "create", "--owner", "ada"],
        ["token", "list"],
    ],
)
def test_without_a_register_every_command_says_how_to_make_one(tmp_path: Path, given: list[str]) -> None:
    (tmp_path / "x.json").write_text(json.dumps(bodies.document()))
    words = [str(tmp_path / "x.json") if word == "FILE" else word for word in given]
    result = run(*words, "--data", str(tmp_path / "nowhere"))
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr == f"inforce: there is no register in {tmp_path / 'nowhere'}; make one with 'inforce init'\n"
    assert not (tmp_path / "nowhere").exists()


# --- asking ----------------------------------------------------------------------------------------------

ASKED = [
    (["rules", "--on", "2019-12-01", "--medicine", "alemtuzumab"], "/v1/rules?on=2019-12-01&medicine=alemtuzumab"),
    (["rules", "--jurisdiction", "UK", "--on", "2024-06-01"], "/v1/rules?jurisdiction=UK&on=2024-06-01"),
    (
        ["rules", "--authority", "ema", "--kind", "suspension", "--cohort", "initiation", "--on", "2020-01-01"],
        "/v1/rules?authority=ema&kind=suspension&cohort=initiation&on=2020-01-01",
    ),
    (["rules", "--on", "2020-02-01", "--at", "2019-11-05"], "/v1/rules?on=2020-02-01&at=2019-11-05"),
    (["show", "ema/lemtrada", "--on", "2020-01-15"], "/v1/documents/ema/lemtrada?on=2020-01-15"),
    (
        ["show", "mhra/valproate", "--on", "2024-06-01", "--jurisdiction", "UK"],
        "/v1/documents/mhra/valproate?on=2024-06-01&jurisdiction=UK",
    ),
    (
        ["show", "ema/lemtrada", "--on", "2020-02-01", "--at", "2010-01-01"],
        "/v1/documents/ema/lemtrada?on=2020-02-01&at=2010-01-01",
    ),
    (["show", "ema/lemtrada@3"], "/v1/documents/ema/lemtrada/versions/3"),
    (["show", "ema/lemtrada@3", "--at", "2019-11-05"], "/v1/documents/ema/lemtrada/versions/3?at=2019-11-05"),
    (["diff", "ema/lemtrada", "--from", "@2", "--to", "@3"], "/v1/documents/ema/lemtrada/diff?from=@2&to=@3"),
    (
        ["diff", "ema/lemtrada", "--from", "2019-12-01", "--to", "2020-02-01", "--jurisdiction", "EU"],
        "/v1/documents/ema/lemtrada/diff?from=2019-12-01&to=2020-02-01&jurisdiction=EU",
    ),
    (
        ["diff", "ema/lemtrada", "--from-at", "2019-11-05", "--to-at", "2020-02-01"],
        "/v1/documents/ema/lemtrada/diff?from_at=2019-11-05&to_at=2020-02-01",
    ),
    (
        ["diff", "ema/lemtrada", "--on", "2020-02-01", "--from-at", "2019-11-05"],
        "/v1/documents/ema/lemtrada/diff?on=2020-02-01&from_at=2019-11-05",
    ),
    (
        ["diff", "--from", "2019-12-01", "--to", "2020-02-01", "--medicine", "alemtuzumab"],
        "/v1/diff?from=2019-12-01&to=2020-02-01&medicine=alemtuzumab",
    ),
]


@pytest.mark.parametrize(("given", "address"), ASKED, ids=[" ".join(given) for given, _ in ASKED])
def test_the_command_and_the_address_give_the_same_answer(
    replayed: Archive, past: tuple[str, str], given: list[str], address: str
) -> None:
    result = run(*given, *past, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == answer(door(replayed), address)


@pytest.mark.parametrize(("given", "address"), ASKED, ids=[" ".join(given) for given, _ in ASKED])
def test_for_people_the_same_is_a_table(past: tuple[str, str], given: list[str], address: str) -> None:
    result = run(*given, *past)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "as recorded" in result.stdout or "nothing recorded" in result.stdout, address
    assert "\x1b" not in result.stdout


def test_the_table_of_the_rules_reads_well(past: tuple[str, str]) -> None:
    words = ("--medicine", "alemtuzumab", "--jurisdiction", "EU", "--on", "2019-12-01")
    told = " ".join(run("rules", *words, *past).stdout.split())
    for part in (
        "on 2019-12-01, in EU, as recorded",
        "Replayed from a journal: this is not when the register really learned it.",
        "EU: in force, version 2, from 2019-04-12 until 2020-01-15, superseded (not confirmed in a source: the first",
        "indication indication may new patients EU",
        "Coming 2020-01-16 EU ema/lemtrada version 3 (decided)",
        "This answer changes on 2020-01-16.",
    ):
        assert part in told


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (
            ["show", "ema/zinbryta", "--on", "2018-04-01"],
            "EU: ended, version 1, from 2018-03-02 or earlier until 2018-03-26, withdrawn",
        ),
        (["show", "ema/hes", "--on", "2022-06-01"], "may be delayed, no later than 2023-11-24"),
        (["show", "ema/lemtrada", "--on", "2013-09-11"], "EU: not yet in force"),
        (["show", "ema/lemtrada", "--jurisdiction", "CH"], "CH: nothing recorded for this place"),
        (["show", "ema/zinbryta", "--on", "2018-03-01"], "EU: older than its record"),
        (
            ["rules", "--medicine", "daclizumab", "--on", "2018-03-20"],
            "version 1, from 2018-03-02 or earlier until 2018-03-26",
        ),
        (
            ["show", "mhra/valproate", "--on", "2024-03-01"],
            "Only in GB rule kind modality for text full-pack supply must new and existing patients",
        ),
        (
            ["show", "mhra/valproate", "--on", "2024-03-01"],
            "Only in NI rule kind modality for text full-pack-good-practice supply should",
        ),
        (["show", "mhra/fluoroquinolones", "--on", "2020-01-01"], "2019-03 UK version 1"),
        (["show", "mhra/fluoroquinolones", "--on", "2020-01-01"], "UK: no first day is recorded, which does not mean"),
        (["rules", "--authority", "mhra", "--on", "2020-01-01"], "UK: no first day is recorded, which does not mean"),
        (
            ["show", "mhra/fluoroquinolones", "--on", "2020-01-01"],
            "OUTSTANDING: the time has passed, no day is confirmed",
        ),
        (["show", "ema/lemtrada@3#coagulopathy"], "must not new and existing patients Do not give to patients"),
        (["show", "ema/lemtrada@3#coagulopathy"], "How this is read: The comma can be read two ways."),
        (["rules", "--medicine", "alemtuzumab", "--on", "2020-02-01"], "How this is read: The comma can be read two"),
        (["show", "ema/lemtrada@2"], "EU, UK: from 2019-04-12 (not confirmed) until 2020-01-15, superseded"),
        (["show", "ema/zinbryta@1"], "EU, UK: from 2018-03-02 or earlier until 2018-03-26, withdrawn"),
        (["show", "mhra/fluoroquinolones@1"], "UK: expected 2019-03, no day known"),
        (["show", "ema/lemtrada@3"], "recorded by Inforce replay <replay@inforce.invalid>"),
        (["rules", "--authority", "nice"], "No document answers this question."),
        (
            ["rules", "--medicine", "alemtuzumab", "--jurisdiction", "NO"],
            "No document answers this question. That does not mean that nothing applies.",
        ),
        (
            ["diff", "ema/hes", "--from", "2020-01-01", "--to", "2023-01-01", "--jurisdiction", "UK"],
            "This document says nothing about that place: there is nothing to compare.",
        ),
        (
            ["diff", "ema/lemtrada", "--from", "2001-01-01", "--to", "2002-01-01"],
            "On neither side is a version recorded as in force.",
        ),
        (
            ["diff", "ema/lemtrada", "--from-at", "2013-06-01", "--to-at", "2026-02-02"],
            "added stroke (version 3): History of stroke [critical] Contraindication added",
        ),
        (
            ["diff", "ema/lemtrada", "--from", "@3", "--to", "@1"],
            "removed stroke: History of stroke [critical] Contraindication removed Only the later of the two has it",
        ),
        (["diff", "ema/lemtrada", "--from", "@3", "--to", "@3"], "No change: both sides are the same to the byte."),
        (
            ["diff", "ema/lemtrada", "--from", "@1", "--to", "@3"],
            '{+A baseline electrocardiogram is recorded before the infusion.+} /cohort: "everyone" /kind: "monitoring" '
            '/modality: "must" /schedule: {"before":true}',
        ),
        (
            ["log", "ema/lemtrada", "--limit", "1"],
            "correct ema/lemtrada@3 Inforce replay ATC code changed from L04AA34 to",
        ),
    ],
)
def test_a_table_says_in_words_what_the_json_says_in_members(
    past: tuple[str, str], given: list[str], part: str
) -> None:
    result = run(*given, *past)
    assert result.exit_code == 0
    assert part in " ".join(result.stdout.split())


def test_what_stands_in_brackets_or_between_colons_is_shown_as_it_is(archive: Archive) -> None:
    """[see 1] was left out of the sentence, and [/b] ended the command."""
    odd = "[see 1] [/b] [b]x[/b] :smile:"
    one, two = bodies.rule("one", text=odd, title=odd), bodies.awaited(trigger=odd)
    later = bodies.version(2, two, title=odd, stage="recommended", rules=[{**one, "text": f"{odd} and again"}])
    recorded = [bodies.document(title=odd), bodies.version(1, title=odd, rules=[one]), later]
    archive.publish([Proposal(body) for body in recorded], Act("publish", WHO[1], odd), NOW)
    for given in (
        ["rules"],
        ["show", "ema/example"],
        ["show", "ema/example@1"],
        ["log"],
        ["diff", "ema/example", "--from", "@1", "--to", "@2"],
    ):
        result = run(*given, "--data", str(archive.folder))
        assert (result.exit_code, result.stderr) == (0, "")
        assert odd in " ".join(result.stdout.split()), given


def test_a_field_that_is_named_as_its_rule_is_told(archive: Archive) -> None:
    one = bodies.rule("interpretation", text="Before.")
    two = {**one, "text": "After.", "interpretation": "Read so."}
    recorded = [bodies.document(), bodies.version(1, rules=[one]), bodies.version(2, rules=[two])]
    archive.publish([Proposal(body) for body in recorded], Act("publish", *WHO[1::2]), NOW)
    result = run("diff", "ema/example", "--from", "@1", "--to", "@2", "--data", str(archive.folder))
    assert '/interpretation: (absent) -> "Read so."' in result.stdout


def test_one_rule_can_be_asked_for_by_its_id(past: tuple[str, str]) -> None:
    for what in ("ema/lemtrada#stroke", "ema/lemtrada@3#stroke"):
        told = json.loads(run("show", what, *past, "--json").stdout)
        assert [rule["id"] for rule in told["version"]["rules"]] == ["stroke"]
    gone = run("show", "ema/lemtrada@1#stroke", *past)
    assert gone.exit_code == 3
    assert "no rule 'stroke' is in force there" in gone.stderr
    assert run("show", "ema/lemtrada#stroke", "--on", "2013-01-01", *past).exit_code == 3


def test_a_rule_that_holds_in_a_part_or_has_no_first_day_is_not_told_as_none(past: tuple[str, str]) -> None:
    on = ("--on", "2024-03-01")
    part = run("show", "mhra/valproate#full-pack", *on, *past)
    assert part.exit_code == 3
    assert "in UK as a whole no rule 'full-pack' is in force; it is in GB (--jurisdiction)" in part.stderr
    there = run("show", "mhra/valproate#full-pack", *on, "--jurisdiction", "GB", *past)
    assert "must new and existing patients Valproate-containing" in " ".join(there.stdout.split())
    whole = run("show", "mhra/valproate#two-specialists", *on, *past).stdout
    assert "full-pack" not in whole
    undated = run("show", "mhra/fluoroquinolones#cystitis", "--on", "2020-01-01", *past)
    assert "version 1 is issued, and its first day there is not recorded" in undated.stderr


def test_what_a_part_awaits_as_its_whole_does_is_told_of_both(archive: Archive) -> None:
    late = bodies.rule("late", jurisdictions=["NI"])
    told = [
        bodies.document("mhra/example", "UK"),
        bodies.version(1, bodies.awaited("UK"), document="mhra/example", rules=[bodies.rule("one"), late]),
        bodies.document("mhra/other", "UK"),
        bodies.version(
            1, bodies.awaited("UK"), bodies.since("2030-01-01", "NI"), document="mhra/other", rules=[bodies.rule("one")]
        ),
    ]
    archive.publish([Proposal(body) for body in told], Act("publish", "Ada <ada@example.org>", "a test"), NOW)
    data = ("--data", str(archive.folder), "--on", "2026-02-02")
    assert "NI: no first day is recorded" in run("show", "mhra/example", *data).stdout
    assert "NI: not yet in force" in run("show", "mhra/other", *data).stdout


def test_the_log_tells_the_newest_first_of_a_document_or_of_all(past: tuple[str, str]) -> None:
    every = json.loads(run("log", *past, "--limit", "1000", "--json").stdout)["revisions"]
    assert [item["position"] for item in every] == list(range(len(every), 0, -1))
    assert all(violations("revision", item) == () for item in every)
    one = json.loads(run("log", "ema/lemtrada", *past, "--json").stdout)["revisions"]
    assert one == [item for item in every if any(s.startswith("ema/lemtrada") for s in item["subjects"])]
    then = json.loads(run("log", *past, "--at", "2019-11-05", "--limit", "2", "--json").stdout)["revisions"]
    assert [item["recorded_at"][:10] for item in then] == ["2019-10-31", "2019-05-17"]


@pytest.mark.parametrize("at", ["2000-01-01", "2014-01-01", "2018-03-10"])
def test_the_log_as_of_then_tells_nothing_that_was_recorded_later(past: tuple[str, str], at: str) -> None:
    told = json.loads(run("log", "--at", at, "--json", *past).stdout)["revisions"]
    everything = json.loads(run("log", "--limit", "1000", "--json", *past).stdout)["revisions"]
    assert told == [one for one in everything if one["recorded_at"][:10] <= at][:20]
    assert bool(told) == (at > "2013-09-12")


@pytest.mark.parametrize(
    ("given", "code", "why"),
    [
        (["rules", "--on", "2019-02-29"], 2, "--on: '2019-02-29' is not a date that exists"),
        (["rules", "--on", ""], 2, "--on is not a day; write YYYY-MM-DD"),
        (["rules", "--at", "2999-01-01"], 2, "--at: '2999-01-01' is in the future"),
        (["rules", "--at", "abcdef0"], 3, "'abcdef0' is not a revision of this register"),
        (["rules", "--medicine", "Lemtrada"], 2, "--medicine: 'Lemtrada' is not an id"),
        (["rules", "--medicine", "nothing"], 3, "no document names the medicine 'nothing'"),
        (["rules", "--jurisdiction", "eu"], 2, "--jurisdiction: 'eu' is not a jurisdiction"),
        (["rules", "--kind", "advice"], 2, "--kind: 'advice' is none of indication"),
        (["rules", "--cohort", "all"], 2, "--cohort: 'all' is none of"),
        (["show", "lemtrada"], 2, "document: 'lemtrada' is not a document's id"),
        (["show", "ema/../x"], 2, "is not a document's id"),
        (["show", "ema/nothing"], 3, "no document 'ema/nothing' is recorded"),
        (["show", "ema/lemtrada@9"], 3, "ema/lemtrada has no version 9"),
        (["show", "ema/lemtrada@3", "--on", "2020-01-01"], 2, "--on does not go with a version: leave out @N"),
        (["show", "ema/lemtrada@3", "--jurisdiction", "EU"], 2, "--jurisdiction does not go with a version"),
        (["log", "ema/nothing"], 3, "no document 'ema/nothing' is recorded"),
        (["log", "--limit", "0"], 2, "--limit"),
        (["diff"], 2, "from is missing; give two versions"),
        (["diff", "ema/lemtrada", "--from", "@1"], 2, "to is missing"),
        (["diff", "ema/lemtrada", "--from", "@1", "--to", "2020-01-01"], 2, "is not of the same kind as 'from'"),
        (["diff", "ema/lemtrada", "--from", "@1", "--to", "@9"], 3, "ema/lemtrada has no version 9"),
        (
            ["diff", "ema/lemtrada", "--from", "@1", "--to", "@2", "--medicine", "alemtuzumab"],
            2,
            "does not go with a document",
        ),
        (["diff", "ema/lemtrada", "--from", "@1", "--to", "@2", "--format", "xml"], 2, "Invalid value for '--format'"),
        (
            ["diff", "--from", "2019-01-01", "--to", "2020-01-01", "--format", "patch"],
            2,
            "format: 'patch' needs two versions",
        ),
        (["export", "ema/nothing"], 3, "no document 'ema/nothing' is recorded"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why_and_by_which_code(
    past: tuple[str, str], given: list[str], code: int, why: str
) -> None:
    result = run(*given, *past)
    assert (result.exit_code, result.stdout) == (code, "")
    assert why in result.stderr


@pytest.mark.parametrize(
    ("form", "begins"), [("csv", b"subject,"), ("patch", b'[{"op":"test"'), ("docx", b"PK"), ("json", b"{\n")]
)
def test_a_diff_is_written_in_the_format_asked_for(past: tuple[str, str], form: str, begins: bytes) -> None:
    result = run("diff", "ema/lemtrada", "--from", "@2", "--to", "@3", "--format", form, *past)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout_bytes.startswith(begins)


# --- making, moving and looking after a register ---------------------------------------------------------


def test_a_register_is_made_once_with_the_corpus_or_empty(tmp_path: Path) -> None:
    seeded, empty = str(tmp_path / "seeded"), str(tmp_path / "empty")
    assert run("init", "--empty", "--data", empty).stdout == f"{empty}: a register with 0 revisions\n"
    assert run("rules", "--data", empty).stdout.count("No document answers this question.") == 1
    result = run("init", "--data", seeded)
    assert re.fullmatch(rf"{seeded}: a register with [0-9]+ revisions\n", result.stdout)
    assert "ema/lemtrada" in run("rules", "--data", seeded, "--medicine", "alemtuzumab").stdout
    again = run("init", "--data", seeded)
    assert again.exit_code == 4
    assert again.stderr == f"inforce: {seeded} already holds a register; nothing was changed\n"
    assert sorted(path.name for path in (tmp_path / "seeded").iterdir() if path.name.startswith(".")) == []
    assert run("replay", "--data", seeded).exit_code == 4


def test_a_journal_of_ones_own_can_be_replayed(tmp_path: Path) -> None:
    line = {
        "at": "2019-10-31T16:00:00Z",
        "act": "register",
        "document": "ema/lemtrada",
        "author": "A <a@b>",
        "reason": "x",
    }
    journal = tmp_path / "journal.json"
    journal.write_text(json.dumps([line]))
    folder = str(tmp_path / "register")
    assert run("replay", str(journal), "--data", folder).stdout == f"{folder}: replayed 1 acts\n"
    told = json.loads(run("log", "--data", folder, "--json").stdout)["revisions"]
    assert [(item["recorded_at"], item["replayed"]) for item in told] == [("2019-10-31T16:00:00Z", True)]
    journal.write_text(json.dumps([{**line, "document": "ema/nothing"}]))
    refused = run("replay", str(journal), "--data", str(tmp_path / "other"))
    assert refused.exit_code == 2
    assert "speaks of ema/nothing, whose document.json is not there" in refused.stderr
    for later in ("2019-10-31T16:00:00Z", "2019-01-01T00:00:00Z"):
        journal.write_text(json.dumps([line, {**line, "at": later, "act": "publish", "version": 1}]))
        refused = run("replay", str(journal), "--data", str(tmp_path / "other"))
        assert refused.exit_code == 2
        assert "journal.json /1/at: is not later than the act before it" in refused.stderr
    assert not (tmp_path / "other" / "register.git").exists()


def test_a_replay_that_is_refused_says_in_which_act(tmp_path: Path) -> None:
    journal = tmp_path / "journal.json"
    known = {"document": "ema/lemtrada", "author": "A <a@b>", "reason": "x"}
    begun = {**known, "at": "2019-10-31T16:00:00Z", "act": "register"}
    later = {**known, "at": "2020-01-16T09:00:00Z", "version": 2}
    for wrong, exit_code in (({"act": "correct"}, 3), ({"act": "publish", "author": "nobody"}, 2)):
        journal.write_text(json.dumps([begun, {**later, **wrong}]))
        refused = run("replay", str(journal), "--data", str(tmp_path / "register"))
        assert refused.exit_code == exit_code
        assert refused.stderr.endswith("\n  in the act at journal.json /1\n")
    assert not (tmp_path / "register" / "register.git").exists()


def test_the_index_can_be_made_again_and_the_store_be_packed(corpus: Archive, tmp_path: Path) -> None:
    own = shutil.copytree(corpus.folder, tmp_path / "own")
    tip = corpus.tip()
    assert tip is not None
    for file in own.glob("index.sqlite*"):
        file.unlink()
    assert run("rebuild", "--data", str(own)).stdout == f"the index stands at revision {tip.id}\n"
    assert run("maintain", "--data", str(own)).stdout == "packed\n"
    verified = run("verify", "--data", str(own))
    assert verified.stdout == f"{tip.position} revisions agree, down to the byte; the newest is {tip.id}\n"


def test_progress_goes_to_standard_error_and_only_where_a_person_watches(tmp_path: Path) -> None:
    for given in (["init"], ["verify"], ["rebuild"], ["import", str(CORPUS / "documents"), *WHO]):
        result = run(*given, "--data", str(tmp_path / "register"))
        assert result.exit_code == 0
        assert result.stderr == ""
        assert not re.search(r"\x1b|[0-9]+/[0-9]+", result.stdout)
    with Shown() as progress:
        progress("doing", 1, 2)


def test_an_export_is_written_to_a_file_whole_or_not_at_all(past: tuple[str, str], tmp_path: Path) -> None:
    output = tmp_path / "all.jsonl"
    result = run("export", *past, "--output", str(output))
    assert (result.exit_code, result.stdout) == (0, "")
    assert output.read_bytes() == run("export", *past).stdout_bytes
    assert [path.name for path in tmp_path.iterdir()] == ["all.jsonl"]
    history = [json.loads(line) for line in run("export", *past, "--history").stdout_bytes.splitlines()]
    assert all(violations("exported-revision", line) == () for line in history)
    assert run("export", "nice/none", *past, "--output", str(tmp_path / "none.jsonl")).exit_code == 3
    os.mkfifo(tmp_path / "pipe")
    refused = run("export", *past, "--output", str(tmp_path / "pipe"))
    assert (refused.exit_code, "is no file; leave it out" in refused.stderr) == (2, True)
    assert {path.name for path in tmp_path.iterdir()} == {"all.jsonl", "pipe"}
    assert not (tmp_path / "pipe").is_file()


# --- checking --------------------------------------------------------------------------------------------


def test_check_needs_no_register_and_tells_what_merely_looks_odd(tmp_path: Path) -> None:
    odd = bodies.version(
        1,
        milestones=[
            {"act": "decided", "date": "2019-01-01", "by": "EC"},
            {"act": "adopted", "date": "2020-01-01", "by": "CHMP"},
        ],
    )
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(odd))
    result = run("check", str(path))
    assert (result.exit_code, result.stdout) == (0, "1 files conform, 1 things look odd\n")
    assert (
        f"{path} /milestones/0/date: looks odd: 2019-01-01 is before an act that usually comes first" in result.stderr
    )
    assert run("check", "--strict", str(path)).exit_code == 1
    assert run("check", str(tmp_path / "nothing.json")).exit_code == 2
    assert run("check", str(tmp_path)).exit_code == 2


def test_every_file_of_the_corpus_conforms() -> None:
    files = sorted(map(str, (CORPUS / "documents").rglob("*.json")))
    result = run("check", *files)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{len(files)} files conform")


# --- serving ---------------------------------------------------------------------------------------------


def test_serving_takes_every_setting_as_an_option(corpus: Archive, served: list[Config]) -> None:
    given = {"host": "0.0.0.0", "port": "9000", "workers": "2", "threads": "4", "jurisdiction": "UK", "https": "yes"}
    given |= {"trusted_hosts": "a.example,b.example", "cache_bytes": "0", "connections": "16", "log_level": "error"}
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    result = run("serve", *words, "--data", str(corpus.folder))
    assert result.exit_code == 0
    assert result.stderr == f"serving {corpus.folder} on http://0.0.0.0:9000\n"
    assert served == [
        Config(
            corpus.folder,
            "0.0.0.0",
            9000,
            2,
            4,
            "UK",
            ("a.example", "b.example"),
            https=True,
            cache_bytes=0,
            connections=16,
            log_level="error",
        )
    ]


def test_a_setting_that_does_not_fit_is_refused_before_anything_is_served(served: list[Config], tmp_path: Path) -> None:
    result = run("serve", "--seed", "--port", "0", "--data", str(tmp_path / "x"))
    assert result.exit_code == 2
    assert result.stderr == "inforce: --port: '0' is not a whole number from 1 to 65535\n"
    assert served == []
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--retries", "soon"), "--retries: 'soon' is not a list of waits"),
        (("--outgoing-allow", "everywhere"), "--outgoing-allow: 'everywhere' is not a range of addresses"),
        (("--outgoing-ca", "/nowhere.pem"), "--outgoing-ca: '/nowhere.pem' is not a file that can be read"),
        (("--secret-key", "c2hvcnQ="), "is not base64 of 32 bytes"),
        (("--state", "nonsense"), "--state: '(hidden)' is not a database's URL"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "deliver"])
def test_what_delivering_depends_on_is_read_before_it_begins(
    at: tuple[str, str], served: list[Config], command: str, words: tuple[str, str], said: str
) -> None:
    result = run(command, *at, *words)
    assert (result.exit_code, served) == (2, [])
    assert said in result.stderr
    assert "c2hvcnQ=" not in result.stderr


def test_serving_can_seed_a_register_and_a_demo_replays_one(
    served: list[Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert run("serve", "--seed").exit_code == 0
        assert run("demo").exit_code == 0
    assert [str(config.data) for config in served] == ["inforce-data", "inforce-demo"] * 2
    assert json.loads(run("log", "--limit", "1", "--json").stdout)["revisions"][0]["replayed"] is False
    then = run("show", "ema/lemtrada", "--data", "inforce-demo", "--on", "2020-02-01", "--at", "2019-11-05", "--json")
    assert json.loads(then.stdout)["version"]["number"] == 2


def test_the_folder_of_the_register_comes_from_the_option_else_from_the_environment(
    corpus: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFORCE_DATA", str(corpus.folder))
    assert run("log").exit_code == 0
    assert run("log", "--data", str(tmp_path)).exit_code == 5
    monkeypatch.setenv("INFORCE_DATTA", "x")
    refused = run("log")
    assert refused.exit_code == 2
    assert "INFORCE_DATTA: 'x' is not a setting that is known here" in refused.stderr


def test_the_installed_command_answers_and_stops_when_its_reader_goes_away(corpus: Archive) -> None:
    inforce = str(Path(sys.executable).with_name("inforce"))
    environment = {**os.environ, "INFORCE_DATA": str(corpus.folder)}
    refused = subprocess.run([inforce, "rules", "--unheard-of"], capture_output=True, env=environment, check=False)
    assert (refused.returncode, refused.stdout) == (2, b"")
    for asked in (["export", "--history"], ["rules"], ["log"]):
        with subprocess.Popen(
            [inforce, *asked], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 0, asked


# --- tokens ----------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_listed_without_itself_and_ended(tmp_path: Path) -> None:
    at = ("--state", f"sqlite:///{tmp_path / 'state.sqlite'}")
    made = run("token", "create", "--owner", "Neurology", "--name", "ward 3", "--expires", "2090-01-01", *at)
    assert made.exit_code == 0
    assert re.fullmatch(r"inforce_[0-9a-f]{16}_[A-Za-z0-9_-]{43}\n", made.stdout)
    name = made.stderr.split(":")[0]
    run("token", "create", "--owner", "Review", "--scope", "review", "--scope", "read", *at)
    listed = run("token", "list", *at)
    assert "Neurology" in listed.stdout
    assert made.stdout.strip() not in listed.stdout
    found = json.loads(run("token", "list", "--json", *at).stdout)["tokens"]
    assert [(one["owner"], one["scopes"]) for one in found] == [
        ("Neurology", ["subscribe"]),
        ("Review", ["read", "review"]),
    ]
    assert found[0]["expires_at"] == "2090-01-01T00:00:00+00:00"
    assert run("token", "revoke", name, *at).stdout == f"{name}: revoked\n"
    [ended] = json.loads(run("token", "list", "--owner", "Neurology", "--json", *at).stdout)["tokens"]
    assert ended["revoked_at"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("create", "--owner", "x", "--scope", "everything"), 2, "scope: 'everything' is not a scope"),
        (("create", "--owner", "x", "--expires", "2019-01-01"), 2, "is in the past"),
        (("create", "--owner", "x", "--expires", "soon"), 2, "--expires"),
        (("create", "--owner", " "), 2, "is not one line"),
        (("revoke", "abc"), 3, "there is no token 'abc'"),
    ],
)
def test_what_cannot_be_done_with_tokens_is_said(tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    result = run("token", *words, "--state", f"sqlite:///{tmp_path / 'state.sqlite'}")
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr


def test_tokens_are_not_made_where_there_is_nothing(tmp_path: Path) -> None:
    assert run("token", "list", "--data", str(tmp_path / "none")).exit_code == 5


# --- the time of acts ------------------------------------------------------------------------------------


def test_an_act_is_not_recorded_before_what_subscribers_were_told_last(archive: Archive, tmp_path: Path) -> None:
    ahead = (datetime.now(UTC) + timedelta(hours=3)).replace(microsecond=0)
    with closing(State(archive.folder / "state.sqlite")) as log:
        log.append([Told("evt-1", more={"occurred_at": ahead.isoformat()})])
    file = tmp_path / "document.json"
    file.write_text(json.dumps(bodies.document()), "utf-8")
    assert run("publish", str(file), "--data", str(archive.folder), *WHO).exit_code == 0
    tip = archive.tip()
    assert tip
    assert tip.recorded_at == ahead


def test_an_act_is_recorded_though_the_database_of_events_does_not_answer(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFORCE_STATE", "postgresql://127.0.0.1:9/x")
    file = tmp_path / "document.json"
    file.write_text(json.dumps(bodies.document()), "utf-8")
    result = run("publish", str(file), "--data", str(archive.folder), *WHO)
    assert result.exit_code == 0
    assert "recording by the system's clock" in result.stderr


def test_every_command_that_acts_asks_the_clock_when_nobody_else_can_record_anything(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(actor, "system_clock", lambda: asked.append(archive.idle()) or datetime.now(UTC))
    said = bodies.document(), bodies.version(1), bodies.version(1, note="Corrected."), bodies.version(2)
    files = [tmp_path / f"{number}.json" for number in range(len(said))]
    for file, body in zip(files, said, strict=True):
        file.write_text(json.dumps(body), "utf-8")
    at = ("--data", str(archive.folder), *WHO)
    acts = [("publish", files[0], files[1]), ("correct", files[2]), ("import", files[3])]
    for words in [*acts, ("withdraw", "ema/example@2", "--on", "2021-01-01")]:
        assert run(*map(str, words), *at).exit_code == 0
    assert asked == [False] * 4


# --- documented ------------------------------------------------------------------------------------------


def options_of(command: str) -> Iterator[click.Option]:
    """The options of a command, and of the commands inside it."""
    found = loaded(command)
    inside = found.commands.values() if isinstance(found, click.Group) else ()
    return (param for one in (found, *inside) for param in one.params if isinstance(param, click.Option))


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    assert f"`inforce {command}" in page("docs/cli.md")
    assert f"inforce {command}" in page("README.md")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_documented(command: str) -> None:
    for option in options_of(command):
        for name in option.opts:
            assert f"`{name}" in page("docs/cli.md"), f"{command} {name}"


def test_every_exit_code_is_documented() -> None:
    told = set(re.findall(r"^\| ([0-9]+) \|", page("docs/cli.md"), re.MULTILINE))
    listed = main.help or ""
    assert told == set(re.findall(r"\b([0-9]+) [a-z]", listed))


def test_nothing_is_documented_that_there_is_not() -> None:
    known: Any = {name for command in COMMANDS for option in options_of(command) for name in option.opts}
    known |= {"--help", "--version"}
    assert set(re.findall(r"(?<=`)--[a-z-]+", page("docs/cli.md"))) <= known
    for name in ("docs/cli.md", "README.md"):
        commands = set(re.findall(r"`inforce ([a-z]+)", page(name)))
        assert commands <= set(COMMANDS)
    assert {setting.option for setting in SETTINGS} <= {name for option in options_of("serve") for name in option.opts}
