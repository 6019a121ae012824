"""One host's translation table: entries (VNI, logical) -> physical, and what the kernel refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class TableKey(NamedTuple):
    """What a packet is looked up by: the virtual network it came from and the address it is sent to."""

    vni: int
    logical: str


class TableEntry(NamedTuple):
    """A key and the physical address it is translated to."""

    vni: int
    logical: str
    physical: str

    @property
    def key(self) -> TableKey:
        """The entry without what it is translated to."""
        return TableKey(self.vni, self.logical)


class Rejected(NamedTuple):
    """An entry that the kernel did not take, and what it said."""

    key: TableKey
    reason: str


Table = Mapping[int, Mapping[str, str]]
"""VNI -> logical -> physical; an account without entries has an empty mapping."""
