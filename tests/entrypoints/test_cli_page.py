"""docs/cli.md: every command and option is there, and nothing that is not."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import click
import pytest

from addrcast.entrypoints.cli import COMMANDS
from addrcast.runtime.settings import ROLES
from addrcast.runtime.settings_table import known_settings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text()
SHARED, *SECTIONS = re.split(r"^## `addrcast ", PAGE, flags=re.MULTILINE)
SECTION_OF = {re.split(r"\W", section)[0]: section for section in SECTIONS}
HISTORY_COMMANDS = {"replay", "forecast", "backtest"}


# the settings' own page is held to the code by a test of its own
SETTINGS = {setting.flag for setting in known_settings().values()}


def options_of(name: str) -> set[str]:
    command: click.Command = import_module(f"addrcast.entrypoints.cli.{name}").command
    return {name for option in command.params if isinstance(option, click.Option) for name in option.opts}


def described(name: str) -> str:
    return SECTION_OF[name] + (SHARED if name in HISTORY_COMMANDS else "")


def test_every_command_has_a_section_and_no_other() -> None:
    assert set(SECTION_OF) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_row_with_an_example(name: str) -> None:
    rows = [row for row in described(name).splitlines() if row.startswith("| `-")]
    for option in options_of(name) - (SETTINGS if name in ROLES else set()):
        (row,) = [row for row in rows if re.search(rf"`{option}[` ]", row.split(" | ")[0])]
        assert option == "--json" or len(re.findall(r"`-", row)) >= 2, f"no example of {option}"


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_is_told_that_is_not_there(name: str) -> None:
    told = set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", SECTION_OF[name]))
    assert told <= options_of(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_section_shows_a_call(name: str) -> None:
    assert re.search(rf"^    addrcast {name} ", SECTION_OF[name], flags=re.MULTILINE)
