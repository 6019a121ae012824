"""Create and delete events: rows of an instance, or of several that live alike, with their two times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from addrcast.adapters.demand.cells import identities, numbers, times_s
from addrcast.adapters.demand.grid import DEFAULT_STEP_S, bounded_cells
from addrcast.adapters.demand.selection import Selection, account_codes
from addrcast.core.domain.demand import CountHistory, EventLog, History, ReadReport, counts_from_events
from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.adapters.demand.layouts import Layout
    from addrcast.adapters.demand.table import Table

INSTANCES_OF_A_ROW_MAX = 2**24


def read_events(
    table: Table, layout: Layout, *, step_s: int | None = None, accounts_glob: str | None = None
) -> History:
    """The history in a table of events; its counts stand `step_s` (one hour) apart, on multiples of it.

    Raises: Invalid for the first row that breaks a rule, and where no row has a time.
    """
    ids = identities(table, layout.required["account_id"])
    frame = pl.DataFrame({"account": ids, **_lifetimes(table, layout)})
    frame = frame.with_columns(sizes=_sizes(table, layout))
    column = layout.optional.get("instance_id", "")
    if column in table.frame.columns:
        frame = frame.with_columns(instance=identities(table, column))
    selection = _selection(frame, layout, accounts_glob=accounts_glob)
    rows = selection.rows(table.source)
    created_s = frame["created"].to_numpy()[rows]
    log = _log(frame[rows].sort("created", maintain_order=True))
    counts = _counts(table, log, step_s or DEFAULT_STEP_S)
    report = ReadReport(
        layout=layout.name,
        rows=table.frame.height,
        accounts=len(log.accounts),
        start_s=counts.start_s,
        step_s=counts.step_s,
        steps=counts.steps,
        disorder=int(np.count_nonzero(created_s[1:] < created_s[:-1])),
        ignored=selection.ignored,
        notes=_notes(log),
    )
    return History(counts, log, None, report)


def _lifetimes(table: Table, layout: Layout) -> dict[str, NDArray[np.float64]]:
    """When each row was created and deleted: -inf before the start, +inf after the end."""
    created_s, deleted_s = (
        times_s(table, layout.required[name], may_be_empty=True) for name in ("created", "deleted")
    )
    early = np.flatnonzero(deleted_s < created_s)
    if early.size:
        first = int(early[0])
        created = table.frame[layout.required["created"]][first]
        table.reject(first, layout.required["deleted"], f"deleted before it was created, at {created}")
    return {
        "created": np.nan_to_num(created_s, nan=-np.inf, posinf=np.inf),
        "deleted": np.nan_to_num(deleted_s, nan=np.inf),
    }


def _sizes(table: Table, layout: Layout) -> NDArray[np.float64]:
    """How many instances each row stands for: 1 without a column that says so, NaN where it is unknown."""
    column = layout.required.get("count") or layout.optional.get("count", "")
    if column not in table.frame.columns:
        return np.ones(table.frame.height)
    sizes = numbers(table, column, maximum=INSTANCES_OF_A_ROW_MAX, unknown=layout.unknown)
    fractions = np.flatnonzero(np.nan_to_num(sizes) % 1)
    if fractions.size:
        table.reject(int(fractions[0]), column, "a row stands for a whole number of instances")
    return sizes


def _selection(frame: pl.DataFrame, layout: Layout, *, accounts_glob: str | None) -> Selection:
    selection = Selection(frame.height)
    if accounts_glob is not None:
        selection.leave_out_accounts(frame["account"], glob=accounts_glob)
    if layout.unknown is not None:
        unknown = (frame["created"] == layout.unknown) | (frame["deleted"] == layout.unknown)
        selection.leave_out(unknown.to_numpy(), f"a time is unknown ({layout.unknown})")
    selection.leave_out(frame["sizes"].is_nan().to_numpy(), "how many instances is unknown")
    selection.leave_out((frame["sizes"] == 0).to_numpy(), "no instances")
    if "instance" in frame.columns:
        again = ~frame.select(pl.struct(pl.all()).is_first_distinct()).to_series()
        selection.leave_out(again.to_numpy(), "the same instance and times as a row before")
    return selection


def _log(frame: pl.DataFrame) -> EventLog:
    accounts, account = account_codes(frame["account"])
    return EventLog(
        accounts,
        account,
        created_s=frame["created"].to_numpy(),
        deleted_s=frame["deleted"].to_numpy(),
        sizes=frame["sizes"].cast(pl.Int64).to_numpy(),
        instances=tuple(frame["instance"].to_list()) if "instance" in frame.columns else (),
    )


def _counts(table: Table, log: EventLog, step_s: int) -> CountHistory:
    times = np.concatenate([log.created_s, log.deleted_s])
    times = times[np.isfinite(times)]
    if not times.size:
        raise Invalid(table.source, "no times", "at least one row has to have a time of its create or delete")
    first, last = int(times.min() // step_s), int(times.max() // step_s)
    steps = last - first + 1
    bounded_cells(len(log.accounts), steps, step_s)
    counts = counts_from_events(log, start_s=first * step_s, step_s=step_s, steps=steps)
    return CountHistory(log.accounts, first * step_s, step_s, counts)


def _notes(log: EventLog) -> tuple[str, ...]:
    creates = int(log.sizes[np.isfinite(log.created_s)].sum())
    deletes = int(log.sizes[np.isfinite(log.deleted_s)].sum())
    brief = int(np.count_nonzero(log.created_s == log.deleted_s))
    notes = [f"{creates:,} instances created, {deletes:,} deleted"]
    if brief:
        notes.append(f"{brief:,} rows are deleted in the instant of their create")
    return tuple(notes)
