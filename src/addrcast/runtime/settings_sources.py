"""Settings from file, environment and flags, in rising precedence, and where each one in effect comes from."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from addrcast.core.domain.errors import Invalid
from addrcast.runtime.settings_table import PREFIX, Setting, known_settings, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

S = TypeVar("S", bound=msgspec.Struct)

FILE_VARIABLE = f"{PREFIX}SETTINGS"
DEFAULT_FILE = Path("/etc/addrcast/addrcast.toml")
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """A role's settings and, by path, where each comes from; `file` is the settings file that was read, if any."""

    settings: S
    sources: Mapping[str, str]
    file: Path | None

    def refuse(self, path: str, value: object, rule: str) -> Invalid:
        """The error for a value that was read well, but cannot be as things are."""
        return Invalid(f"{path}, from {self.sources[path]}", value, rule)

    def lack(self, path: str) -> Invalid:
        """The error for a setting that has to be given."""
        setting = known_settings()[path]
        ways = (
            f"give {setting.flag}, {setting.variable}, or {setting.name} in [{setting.section}] of a settings file"
        )
        return Invalid(path, "", f"it is needed; {ways}")

    def secrets(self) -> list[str]:
        """The values that must be shown nowhere."""
        found = [
            value_of(self.settings, setting) for setting in settings_of(type(self.settings)) if setting.is_secret
        ]
        return [str(value) for value in found if value]


def load(
    schema: type[S],
    *,
    environ: Mapping[str, str],
    flags: Mapping[str, str] | None = None,
    file: str | None = None,
) -> Loaded[S]:
    """A role's settings. `flags` are texts by path; `file` comes before `ADDRCAST_SETTINGS`, and that before the
    default file, which may be absent.

    Raises: Invalid for a value that breaks its rule, and for a name that no role has, with its source.
    """
    path = _file(file, environ)
    settings = settings_of(schema)
    given: dict[str, tuple[object, str]] = {}
    given |= _from_file(path) if path is not None else {}
    given |= _from_environment(environ)
    known = known_settings()
    given |= {name: (text, f"flag {known[name].flag}") for name, text in (flags or {}).items()}
    values: dict[str, dict[str, Any]] = {}
    for setting in settings:
        if setting.path in given:
            value, source = given[setting.path]
            values.setdefault(setting.section, {})[setting.name] = setting.read(value, source)
    sources = {one.path: given[one.path][1] if one.path in given else DEFAULT for one in settings}
    built = schema()
    sections = {name: replace(getattr(built, name), **changed) for name, changed in values.items()}
    loaded = Loaded(replace(built, **sections), sources, path)
    return _with_secret_files(loaded, settings)


def value_of(settings: msgspec.Struct, setting: Setting) -> object:
    """What a setting is."""
    return getattr(getattr(settings, setting.section), setting.name)


def _file(named: str | None, environ: Mapping[str, str]) -> Path | None:
    if text := named or environ.get(FILE_VARIABLE):
        return Path(text)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _from_file(path: Path) -> dict[str, tuple[object, str]]:
    try:
        tables = tomllib.loads(path.read_text())
    except OSError as error:
        raise Invalid("settings file", str(path), f"it cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid("settings file", str(path), f"it is no TOML: {error}") from None
    known = known_settings()
    sections = {setting.section for setting in known.values()}
    found: dict[str, tuple[object, str]] = {}
    for section, table in tables.items():
        if section not in sections or not isinstance(table, dict):
            raise Invalid(f"settings file {path}", section, f"there is no such table{_near(section, sections)}")
        names = {setting.name for setting in known.values() if setting.section == section}
        for name, value in table.items():
            if name not in names:
                rule = f"there is no such setting{_near(name, names)}"
                raise Invalid(f"settings file {path}, [{section}]", name, rule)
            found[f"{section}.{name}"] = (value, f"{name} in [{section}] of {path}")
    return found


def _from_environment(environ: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    known = {setting.variable: setting.path for setting in known_settings().values()}
    found: dict[str, tuple[object, str]] = {}
    for variable, text in environ.items():
        if variable in known:
            found[known[variable]] = (text, f"variable {variable}")
        elif variable.startswith(PREFIX) and variable != FILE_VARIABLE:
            _refuse_misspelt(variable.removeprefix(PREFIX), {name.removeprefix(PREFIX) for name in known})
    return found


def _refuse_misspelt(name: str, names: Iterable[str]) -> None:
    """Refuse what is meant for us and is not known; other programs around us have variables of their own."""
    sections = tuple(f"{setting.section.upper()}_" for setting in known_settings().values())
    near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.8)
    if near or name.startswith(sections):
        way_out = f"did you mean {PREFIX}{near[0]}?" if near else "`addrcast settings` lists all"
        raise Invalid("environment", f"{PREFIX}{name}", f"there is no such setting; {way_out}")


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(names), n=1)
    return f": did you mean {near[0]}?" if near else "; `addrcast settings` lists all"


def _with_secret_files(loaded: Loaded[S], settings: Iterable[Setting]) -> Loaded[S]:
    """Take secrets from the files that are named for them."""
    sources = dict(loaded.sources)
    changed: dict[str, dict[str, str]] = {}
    for setting in settings:
        path = f"{setting.path}_file"
        if not setting.is_secret or path not in sources:
            continue
        named = str(getattr(getattr(loaded.settings, setting.section), f"{setting.name}_file"))
        if not named:
            continue
        if value_of(loaded.settings, setting):
            raise loaded.refuse(path, named, f"{setting.path} is given too, from {sources[setting.path]}; give one")
        try:
            lines = Path(named).read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            what = error.strerror if isinstance(error, OSError) else "it is no text"
            raise loaded.refuse(path, named, f"it cannot be read: {what}") from None
        if not lines or not lines[0]:
            raise loaded.refuse(path, named, "its first line is empty")
        changed.setdefault(setting.section, {})[setting.name] = lines[0]
        sources[setting.path] = f"file {named}"
    sections = {name: replace(getattr(loaded.settings, name), **values) for name, values in changed.items()}
    return Loaded(replace(loaded.settings, **sections), sources, loaded.file)
