"""The options of a command that has settings: one flag for each, a settings file, and showing what is in effect."""

from __future__ import annotations

import os
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from addrcast.entrypoints.cli.json_output import print_json
from addrcast.runtime.settings_sources import FILE_VARIABLE, Loaded, load, value_of
from addrcast.runtime.settings_table import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

S = TypeVar("S", bound=msgspec.Struct)

_FILE = click.option(
    "--settings",
    "settings_file",
    type=click.Path(dir_okay=False),
    help=f"Settings file in TOML (else ${FILE_VARIABLE}, else /etc/addrcast/addrcast.toml where there is one).",
)
_JSON = click.option("--json", "is_json", is_flag=True, help="Log, and show settings, in JSON.")
_SHOW = click.option("--show-settings", is_flag=True, help="Print what is in effect and where it comes from; end.")


def settings_options(schema: type[S]) -> Callable[[Callable[[Loaded[S]], None]], Callable[..., None]]:
    """Add a flag for every setting of a schema; the command gets what all sources say together."""

    def decorate(command: Callable[[Loaded[S]], None]) -> Callable[..., None]:
        @wraps(command)
        def called(settings_file: str | None, show_settings: bool, is_json: bool, **flags: str | None) -> None:
            given = {_path(name): text for name, text in flags.items() if text is not None}
            if is_json:
                given.setdefault("log.format", "json")
            loaded = load(schema, environ=os.environ, flags=given, file=settings_file)
            if show_settings:
                print_shown(loaded, is_json=is_json)
            else:
                command(loaded)

        found: Callable[..., None] = called
        for setting in reversed(settings_of(schema)):
            if setting.flag:
                about = f"{setting.decides[0].upper()}{setting.decides[1:]}."
                name = f"{setting.section}__{setting.name}"
                metavar = "TEXT" if isinstance(setting.default, str) else type(setting.default).__name__.upper()
                found = click.option(setting.flag, name, default=None, metavar=metavar, help=about)(found)
        return _FILE(_SHOW(_JSON(found)))

    return decorate


def _path(name: str) -> str:
    section, _, own = name.partition("__")
    return f"{section}.{own}"


def shown(loaded: Loaded[Any]) -> dict[str, dict[str, object]]:
    """Every setting by path: its value, secrets masked, and its source."""
    return {
        setting.path: {
            "value": setting.shown(value_of(loaded.settings, setting)),
            "from": loaded.sources[setting.path],
        }
        for setting in settings_of(type(loaded.settings))
    }


def shown_lines(loaded: Loaded[Any]) -> list[str]:
    """The same for a person, as lines that could stand in a settings file."""
    lines: list[str] = []
    section = ""
    for setting in settings_of(type(loaded.settings)):
        if setting.section != section:
            section = setting.section
            lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        value = msgspec.json.encode(setting.shown(value_of(loaded.settings, setting))).decode()
        lines.append(f"{f'{setting.name} = {value}':<40}  # {loaded.sources[setting.path]}")
    return lines


def print_shown(loaded: Loaded[Any], *, is_json: bool) -> None:
    """Print what is in effect."""
    if is_json:
        print_json(shown(loaded))
    else:
        click.echo("\n".join(shown_lines(loaded)))
