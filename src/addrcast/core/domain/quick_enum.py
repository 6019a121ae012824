"""Enumerations whose members cost no call to look up or to hash."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from enum import Enum

E = TypeVar("E", bound="Enum")


def quick(kind: type[E]) -> type[E]:
    """Make the members of `kind` plain attributes, and hash them as objects.

    Until Python 3.12 a member is had through a descriptor written in Python, which takes ten times as long as an
    attribute, and the hash goes by the name, in Python as well. States are compared and looked up all the time.
    """
    for member in kind:
        type.__setattr__(kind, member.name, member)
    type.__setattr__(kind, "__hash__", object.__hash__)
    return kind
