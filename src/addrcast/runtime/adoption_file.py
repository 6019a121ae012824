"""Addresses in use as a CSV file: account, logical, instance, physical or host, and the attempt if known."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from addrcast.core.domain.adoption import AddressInUse, RowFault
from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NEEDED = ("account", "logical", "instance")
PLACES = ("physical", "host")
COLUMNS = (*NEEDED, *PLACES, "attempt")


def read_adoption(path: Path) -> tuple[list[AddressInUse], list[RowFault]]:
    """The rows of a file in UTF-8 with a header line, and those that cannot be read; empty lines are passed over.

    Lines are counted from 1, the header being the first. Raises Invalid where the header lacks a column, or the
    file is no CSV; OSError.
    """
    rows: list[AddressInUse] = []
    faults: list[RowFault] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            columns = _columns(next(reader, []))
            for cells in _lines(reader):
                try:
                    rows.append(_row(reader.line_num, columns, cells))
                except Invalid as fault:
                    faults.append(RowFault(reader.line_num, fault))
        except (csv.Error, UnicodeDecodeError) as error:
            raise Invalid(f"line {reader.line_num + 1}", str(path), f"it is no CSV in UTF-8: {error}") from None
    return rows, faults


def _lines(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    return (cells for cells in reader if any(cell.strip() for cell in cells))


def _columns(header: Sequence[str]) -> tuple[str, ...]:
    columns = tuple(cell.strip() for cell in header)
    for name in columns:
        if name not in COLUMNS or columns.count(name) > 1:
            raise Invalid("line 1", name, f"columns are {', '.join(COLUMNS)}, each once")
    lacking = [name for name in NEEDED if name not in columns]
    if lacking or not any(name in columns for name in PLACES):
        rule = f"columns {', '.join(NEEDED)} and one of {', '.join(PLACES)} are expected"
        raise Invalid("line 1", ", ".join(columns), rule)
    return columns


def _row(line: int, columns: tuple[str, ...], cells: Sequence[str]) -> AddressInUse:
    if len(cells) != len(columns):
        raise Invalid("columns", len(cells), f"{len(columns)} are expected, as in the first line")
    values = {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}
    for name in NEEDED:
        if not values[name]:
            raise Invalid(name, "", "a value is expected")
    attempt = values.get("attempt") or "0"
    if not (attempt.isascii() and attempt.isdigit()):
        raise Invalid("attempt", attempt, "a whole number, at least 0, is expected")
    return AddressInUse(
        line=line,
        account=values["account"],
        logical=values["logical"],
        instance=values["instance"],
        physical=values.get("physical", ""),
        host=values.get("host", ""),
        attempt=int(attempt),
    )
