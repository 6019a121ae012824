"""Desired against actual: what has to change in a table, compared by value."""

from __future__ import annotations

from typing import NamedTuple

from addrcast.core.dataplane.table import Table, TableEntry, TableKey


class Difference(NamedTuple):
    """What makes `actual` equal `desired`: apply the upserts first, the deletes last.

    `strays` are the VNIs of which nothing is desired, not even an empty table. All are in ascending order.
    """

    upserts: tuple[TableEntry, ...]
    deletes: tuple[TableKey, ...]
    strays: tuple[int, ...]


def reconcile(desired: Table, actual: Table) -> Difference:
    """Compare two tables by value; `actual` holds only entries that bear our mark.

    Comparing keys alone would leave an address that moved pointing to where it was.
    """
    upserts: list[TableEntry] = []
    deletes: list[TableKey] = []
    for vni, entries in sorted(desired.items()):
        present = actual.get(vni, {})
        upserts += sorted(
            TableEntry(vni, logical, physical)
            for logical, physical in entries.items()
            if present.get(logical) != physical
        )
        deletes += sorted(TableKey(vni, logical) for logical in present if logical not in entries)
    return Difference(tuple(upserts), tuple(deletes), tuple(sorted(actual.keys() - desired.keys())))
