"""One history file into counts, events and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from addrcast.adapters.demand.events import read_events
from addrcast.adapters.demand.layouts import recognised, renamed
from addrcast.adapters.demand.series import read_series
from addrcast.adapters.demand.table import Progress, read_table
from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from addrcast.core.domain.demand import History, WorkloadProfile


def read_history(
    path: str | PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    profile: WorkloadProfile | None = None,
    step_s: int | None = None,
    accounts_glob: str | None = None,
    on_progress: Progress | None = None,
) -> History:
    """The history in a file of counts, events or metrics (CSV, CSV.gz or Parquet), told apart by its columns.

    `columns` maps our names of columns to the file's. `step_s` is the grid's step: counts and metrics keep their
    own without it, events are counted hourly. `accounts_glob` keeps the accounts whose id matches.
    `on_progress` is called with the bytes read so far and their total.

    Raises: Invalid for a file, header or row that breaks a rule, with line, column and way out.
    Source: docs/formats.md.
    """
    if step_s is not None and step_s < 1:
        raise Invalid("step_s", step_s, "a step is at least one second")
    table = read_table(Path(path), on_progress=on_progress)
    names = renamed(table.frame.columns, columns or {})
    layout = recognised(list(names.values()), source=table.source)
    table = table.renamed(names)
    if layout.kind == "events":
        return read_events(table, layout, step_s=step_s, accounts_glob=accounts_glob)
    return read_series(table, layout, profile=profile, step_s=step_s, accounts_glob=accounts_glob)
