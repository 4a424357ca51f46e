"""Settings: from options, from the environment, or as they are by default; each of them documented."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from guidance.errors import BadParameter
from guidance.vocabulary import JURISDICTIONS
from service import config
from service.config import PREFIX, SETTINGS, Config, Setting

DOCS = Path(__file__).parents[2] / "docs"
FIELDS = {field.name: field.default for field in dataclasses.fields(Config)}
NUMBERS = [setting for setting in SETTINGS if type(FIELDS[setting.field]) is int]


def by(setting: Setting) -> str:
    return setting.field


def test_the_table_of_settings_has_every_field_once() -> None:
    assert [setting.field for setting in SETTINGS] == list(FIELDS)


def test_without_any_word_the_settings_are_the_defaults() -> None:
    assert config.load({}, {}) == Config()


def test_an_option_goes_before_a_variable_and_a_variable_before_the_default() -> None:
    environment = {"INFORCE_PORT": "9001", "INFORCE_HOST": "0.0.0.0", "PATH": "/bin", "INFORCEX": "not ours"}
    found = config.load({"port": "9002", "host": None}, environment)
    assert (found.port, found.host, found.workers) == (9002, "0.0.0.0", 1)


def test_the_environment_of_the_process_is_read_where_no_other_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFORCE_JURISDICTION", "UK")
    assert config.load().jurisdiction == "UK"


@pytest.mark.parametrize("setting", NUMBERS, ids=by)
def test_a_number_is_a_whole_number_within_its_bounds(setting: Setting) -> None:
    for right in (setting.least, setting.most):
        assert getattr(config.load({setting.field: str(right)}, {}), setting.field) == right
    wrong = (str(setting.least - 1), str(setting.most + 1), "", "x", "1.5", "-1", "1e3", "²", "9" * 5000)
    for text in wrong:
        with pytest.raises(BadParameter) as refused:
            config.load({}, {setting.variable: text})
        assert refused.value.parameter == setting.option
        assert f"is not a whole number from {setting.least} to {setting.most}" in str(refused.value)


@pytest.mark.parametrize("setting", [s for s in SETTINGS if isinstance(FIELDS[s.field], bool)], ids=by)
def test_yes_and_no_have_four_spellings_each(setting: Setting) -> None:
    for text in ("1", "true", "yes", "ON"):
        assert getattr(config.load({setting.field: text}, {}), setting.field) is True
    for text in ("0", "False", "no", "off"):
        assert getattr(config.load({setting.field: text}, {}), setting.field) is False
    for text in ("", "maybe", "2"):
        with pytest.raises(BadParameter, match="is neither yes nor no"):
            config.load({setting.field: text}, {})


def test_hosts_are_separated_by_commas() -> None:
    assert config.load({"trusted_hosts": "a.example, b.example,"}, {}).trusted_hosts == ("a.example", "b.example")
    every = "register.example,.example,10.0.0.7,[::1],localhost,büro.example"
    assert config.load({"trusted_hosts": every}, {}).trusted_hosts == tuple(every.split(","))


@pytest.mark.parametrize(
    "host", ["https://a.example", "a.example/", "a.example:8000", "a b", "::1", "*.example", "a..b"]
)
def test_what_can_be_the_host_of_no_request_is_refused(host: str) -> None:
    """Taken as it is, it would have every request refused."""
    with pytest.raises(BadParameter, match=r"--trusted-hosts: .* is not the name of a host"):
        config.load({"trusted_hosts": f"b.example,{host}"}, {})


def test_days_of_reminders_are_numbers_within_their_bounds() -> None:
    assert config.load({"reminders": "90, 14"}, {}).reminders == (90, 14)
    assert config.load({"reminders": ""}, {}).reminders == ()
    for text in ("0", "7,x", "3651"):
        with pytest.raises(BadParameter, match="is not a whole number from 1 to 3650"):
            config.load({"reminders": text}, {})


def test_a_jurisdiction_is_one_that_is_known() -> None:
    for place in JURISDICTIONS:
        assert config.load({"jurisdiction": place}, {}).jurisdiction == place
    with pytest.raises(BadParameter, match="is not a jurisdiction; known are"):
        config.load({"jurisdiction": "eu"}, {})


def test_a_level_of_the_log_is_one_of_four() -> None:
    assert config.load({"log_level": "debug"}, {}).log_level == "debug"
    with pytest.raises(BadParameter, match="is not debug, info, warning or error"):
        config.load({"log_level": "loud"}, {})


def test_a_variable_that_is_no_setting_is_refused_and_not_ignored() -> None:
    with pytest.raises(BadParameter, match=r"INFORCE_PROT: '8001' is not a setting.*docs/settings.md"):
        config.load({}, {"INFORCE_PROT": "8001"})


def test_a_misspelt_secret_is_refused_without_being_shown() -> None:
    with pytest.raises(BadParameter, match="INFORCE_SECRET_KEYS") as refused:
        config.load({}, {"INFORCE_SECRET_KEYS": "c2VjcmV0"})
    assert "c2VjcmV0" not in str(refused.value)


def test_the_author_is_a_variable_of_its_own() -> None:
    assert config.author({"INFORCE_AUTHOR": "Ada <ada@example.org>"}) == "Ada <ada@example.org>"
    assert config.author({}) is None
    assert config.load({}, {"INFORCE_AUTHOR": "Ada <ada@example.org>"}) == Config()


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().port = 1  # type: ignore[misc]


# --- documented ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", SETTINGS, ids=by)
def test_every_setting_is_documented_with_its_option_variable_and_default(setting: Setting) -> None:
    default = FIELDS[setting.field]
    shown = ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)
    row = next(line for line in settings_page().splitlines() if line.startswith(f"| `{setting.option}` |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == f"`{setting.variable}`"
    assert cells[2] == {"": "none", "False": "no", "True": "yes"}.get(shown, f"`{shown}`")
    assert cells[3].startswith(setting.about)
    if setting.most:
        assert f"{setting.least} to {setting.most}" in cells[3]


def test_no_setting_is_documented_that_there_is_not() -> None:
    known = {setting.variable for setting in SETTINGS} | {f"{PREFIX}AUTHOR"}
    for page in (*DOCS.rglob("*.md"), DOCS.parent / "README.md"):
        assert set(re.findall(rf"{PREFIX}[A-Z_]+[A-Z]", page.read_text("utf-8"))) <= known, page


def settings_page() -> str:
    return (DOCS / "settings.md").read_text("utf-8")
