"""Every setting as a value: its name in file, environment and flags, its rule, its default, what it decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect

from addrcast.core.domain.errors import Invalid
from addrcast.runtime.settings import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "ADDRCAST_"
MASK = "***"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: `name` of the table `section` in a settings file.

    `flag` is empty for secrets, which no flag may bear, since others can read a process's arguments.
    """

    section: str
    name: str
    default: object
    decides: str
    rule: str
    flag: str
    is_secret: bool
    kind: Any

    @property
    def path(self) -> str:
        """Its name everywhere: `section.name`."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"{PREFIX}{self.section}_{self.name}".upper()

    def read(self, value: object, source: str) -> object:
        """The value as its type: text from a flag or variable, or a value of a file. Raises Invalid."""
        try:
            return msgspec.convert(value, self.kind, strict=not isinstance(value, str))
        except msgspec.ValidationError:
            shown = MASK if self.is_secret else value
            raise Invalid(
                f"{self.path}, from {source}", shown, f"{self.rule}; by default {self.default!r}"
            ) from None

    def shown(self, value: object) -> object:
        """The value as it may be shown."""
        return MASK if self.is_secret and value else value


def settings_of(schema: type[msgspec.Struct]) -> tuple[Setting, ...]:
    """All settings of a role, by sections; those of a store begin with its address."""
    found = [setting for section in inspect.type_info(schema).fields for setting in _section(section)]  # type: ignore[attr-defined]
    return tuple(sorted(found, key=lambda setting: (_place(found, setting.section), setting.name != "address")))


def known_settings() -> dict[str, Setting]:
    """The settings of all roles by path."""
    return {setting.path: setting for schema in ROLES.values() for setting in settings_of(schema)}


def _place(found: list[Setting], section: str) -> int:
    return next(place for place, setting in enumerate(found) if setting.section == section)


def _section(section: inspect.Field) -> Iterator[Setting]:
    kinds = {field.name: field for field in msgspec.structs.fields(section.type.cls)}  # type: ignore[attr-defined]
    for field in section.type.fields:  # type: ignore[attr-defined]
        about = field.type
        extra = about.extra or {}
        is_secret = bool(extra.get("secret"))
        flag = extra.get("flag", f"--{section.name}-{field.name}".replace("_", "-"))
        yield Setting(
            section=section.name,
            name=field.name,
            default=field.default,
            decides=about.extra_json_schema["description"],
            rule=_rule(about.type),
            flag="" if is_secret else flag,
            is_secret=is_secret,
            kind=kinds[field.name].type,
        )


def _rule(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.BoolType):
        return "true or false is expected"
    if isinstance(kind, inspect.LiteralType):
        return f"one of {', '.join(map(str, kind.values))} is expected"
    if isinstance(kind, inspect.IntType):
        upper = "" if kind.le is None else f" and at most {kind.le}"
        return f"a whole number of at least {kind.ge}{upper} is expected"
    pattern = getattr(kind, "pattern", None)
    return f"text of the form {pattern} is expected" if pattern else "text is expected"
