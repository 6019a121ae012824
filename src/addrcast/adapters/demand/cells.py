"""A column's cells as numbers, times and ids; a cell that is none is named by line, column and rule."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.adapters.demand.table import Table

ID_CHARACTERS_MAX = 255
YEAR_1_S = -62_135_596_800
YEAR_10000_S = 253_402_300_800
# Traces written from binary floats hold 475.00000000000006 for 475; float64 seconds since 1970 end at the seventh.
DECIMALS_OF_A_SECOND = 6

NUMBER_RULE = "a finite number of at least 0 is expected: mend the row, or map another column with --columns"
TIME_RULE = (
    "a time is seconds or ISO 8601, like 2024-05-01 13:00:00 (UTC) or 2024-05-01T13:00:00+02:00, "
    "and of one kind in the whole column"
)


def identities(table: Table, column: str) -> pl.Series:
    """The ids of a column as text; numbers are written out."""
    ids = table.frame[column].cast(pl.String).str.strip_chars()
    bad = ids.is_null() | (ids.str.len_chars() == 0) | (ids.str.len_chars() > ID_CHARACTERS_MAX)
    _reject_first(table, column, bad, f"an id has 1 to {ID_CHARACTERS_MAX} characters")
    return ids


def numbers(
    table: Table, column: str, *, maximum: float = np.inf, unknown: float | None = None
) -> NDArray[np.float64]:
    """The numbers of a column, from 0 to `maximum`, float64; NaN where the cell is empty or `unknown`."""
    cells = _stripped(table.frame[column])
    values = _as_float(cells)
    if unknown is not None:
        cells = cells.set(values == unknown, None)
        values = values.set(values == unknown, None)
    bad = (cells.is_not_null() & values.is_null()) | ~(values.is_finite() & (values >= 0)).fill_null(value=True)
    _reject_first(table, column, bad, NUMBER_RULE)
    _reject_first(table, column, values > maximum, f"at most {maximum:,.0f} is read")
    return values.to_numpy()


def is_numeric(table: Table, column: str) -> bool:
    """Whether most of a column's cells that are not empty are numbers, and one is."""
    cells = _stripped(table.frame[column])
    return 0 < (cells.len() - cells.null_count()) < 2 * _as_float(cells).count()


def times_s(table: Table, column: str, *, may_be_empty: bool = False) -> NDArray[np.float64]:
    """The times of a column in seconds, float64, to the microsecond; NaN where the cell is empty, if it may be."""
    cells = _stripped(table.frame[column])
    if cells.dtype == pl.String:
        seconds = _as_float(cells)
        first = seconds.head(_first(cells.is_not_null()) + 1)
        if cells.count() and first[-1] is None:
            seconds = _from_iso(cells)
    elif cells.dtype in (pl.Date, pl.Datetime):
        seconds = cells.cast(pl.Datetime("us")).cast(pl.Int64) / 1e6
    else:
        seconds = _as_float(cells)
    expected = cells.is_not_null() | (not may_be_empty)
    _reject_first(table, column, expected & ~seconds.is_finite().fill_null(value=False), TIME_RULE)
    outside = (seconds < YEAR_1_S) | (seconds >= YEAR_10000_S)
    _reject_first(table, column, outside, "a time before the year 10,000 is expected; are these milliseconds?")
    return np.round(seconds.to_numpy(), DECIMALS_OF_A_SECOND)


def _stripped(cells: pl.Series) -> pl.Series:
    """The cells with empty text as null."""
    if cells.dtype == pl.Categorical:
        cells = cells.cast(pl.String)
    if cells.dtype != pl.String:
        return cells
    text = cells.str.strip_chars()
    return text.set(text == "", None)


def _as_float(cells: pl.Series) -> pl.Series:
    """The cells as float64, null where they are no number."""
    if cells.dtype.is_numeric() or cells.dtype == pl.String:
        return cells.cast(pl.Float64, strict=False)
    return pl.Series([None], dtype=pl.Float64).new_from_index(0, cells.len())


def _from_iso(cells: pl.Series) -> pl.Series:
    """Seconds of ISO 8601 texts, null where they are none; the common forms at once, the others one by one."""
    text = cells.str.replace("T", " ", literal=True).str.strip_suffix("Z")
    parsed = text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")
    seconds = parsed.cast(pl.Int64) / 1e6
    rest = cells.filter(parsed.is_null() & cells.is_not_null()).unique()
    if not rest.len():
        return seconds
    others = pl.Series([_iso_seconds(value) for value in rest], dtype=pl.Float64)
    return seconds.fill_null(cells.replace_strict(rest, others, default=None))


def _iso_seconds(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _first(flags: pl.Series) -> int:
    return int(flags.arg_max() or 0)


def _reject_first(table: Table, column: str, bad: pl.Series, rule: str) -> None:
    if bad.any():
        table.reject(_first(bad), column, rule)
