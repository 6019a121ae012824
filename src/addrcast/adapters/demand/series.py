"""Counts and metrics: rows of account, time and values, brought onto one grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from addrcast.adapters.demand.cells import identities, is_numeric, numbers, times_s
from addrcast.adapters.demand.grid import DEFAULT_STEP_S, MAIN_SHARE_MIN, Grid, bounded_cells, regular_grid
from addrcast.adapters.demand.selection import Selection, account_codes
from addrcast.core.domain.demand import CountHistory, History, MetricHistory, ReadReport
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.profile import instances_from_metrics

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from addrcast.adapters.demand.layouts import Layout
    from addrcast.adapters.demand.table import Table
    from addrcast.core.domain.demand import WorkloadProfile

# float32 holds every whole number up to here.
INSTANCES_MAX = 2**24
# Whole numbers below this, with hardly one left out, are taken for steps: seconds since 1970 are larger.
STEPS_MAX = 1_000_000
TRAINING = "train"
# These are metrics even where most of their cells are not numbers; other columns may be labels.
METRICS = ("cpu", "memory", "network_rx", "network_tx")
KEYS = ("account_id", "timestamp", "step", "split")


def read_series(
    table: Table,
    layout: Layout,
    *,
    profile: WorkloadProfile | None = None,
    step_s: int | None = None,
    accounts_glob: str | None = None,
) -> History:
    """The history in a table of counts or metrics.

    Raises: Invalid for the first row that breaks a rule.
    """
    ids = identities(table, layout.required["account_id"])
    values, notes = _values(table, layout)
    moments, step_s = _moments(table, layout, step_s=step_s, notes=notes)
    selection = _selection(table, layout, ids, accounts_glob=accounts_glob)
    rows = selection.rows(table.source)
    accounts, account = account_codes(ids.gather(rows))
    grid = regular_grid(account, moments[rows], step_s=step_s)
    bounded_cells(len(accounts) * len(values), grid.steps, grid.step_s)
    recorded = values.pop("instances", None)
    means = [grid.mean(column[rows], len(accounts)) for column in values.values()]
    shaped = np.array(means, dtype=np.float32).reshape(-1, len(accounts), grid.steps)
    metrics = MetricHistory(accounts, grid.start_s, grid.step_s, tuple(values), shaped)
    if recorded is None:
        counts = _from_profile(metrics, profile or layout.profile, notes)
    else:
        counts = CountHistory(accounts, grid.start_s, grid.step_s, grid.last(recorded[rows], len(accounts)))
        if profile is not None:
            notes.append("the file records the counts; the workload profile was not used")
    unknown = np.logical_and.reduce(np.isnan(shaped)) if counts is None else np.isnan(counts.counts)
    report = _report(
        grid, unknown, layout=layout.name, rows=table.frame.height, ignored=selection.ignored, notes=notes
    )
    return History(counts, None, metrics if values else None, report)


def _report(
    grid: Grid,
    unknown: NDArray[np.bool_],
    *,
    layout: str,
    rows: int,
    ignored: tuple[tuple[str, int], ...],
    notes: list[str],
) -> ReadReport:
    if grid.main_share < MAIN_SHARE_MIN:
        notes.append(
            f"no main step: {grid.main_share:.0%} of the rows follow the one before by the most frequent one"
        )
    return ReadReport(
        layout=layout,
        rows=rows,
        accounts=unknown.shape[0],
        start_s=grid.start_s,
        step_s=grid.step_s,
        steps=grid.steps,
        gaps=int(unknown.sum()),
        fleet_gaps=int(unknown.all(axis=0).sum()),
        duplicates=grid.duplicates,
        disorder=grid.disorder,
        off_grid=grid.off_grid,
        aggregated=grid.aggregated,
        other_steps=grid.other_steps,
        ignored=ignored,
        notes=tuple(notes),
    )


def _values(table: Table, layout: Layout) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    """The numbers of every column that is not a key, instances first, and what is to be said of the columns.

    Raises: Invalid where no column has numbers.
    """
    named = {**layout.required, **layout.optional}
    recorded = named.get("instances", "")
    keys = {named[name] for name in KEYS if name in named}
    others = [name for name in table.frame.columns if name not in {*keys, recorded}]
    numeric = [name for name in others if name in METRICS or is_numeric(table, name)]
    values = {name: numbers(table, name) for name in numeric}
    notes = [f"metrics: {', '.join(numeric)}"] if numeric else []
    if len(numeric) < len(others):
        notes.append(f"columns not read, for want of numbers: {', '.join(sorted(set(others) - set(numeric)))}")
    if recorded in table.frame.columns:
        counts = numbers(table, recorded, maximum=INSTANCES_MAX)
        values = {"instances": counts, **values}
        fractions = np.count_nonzero(np.nan_to_num(counts) % 1)
        if fractions:
            notes.append(f"{fractions:,} counts are not whole numbers, and kept so")
    if not values:
        header = ",".join(table.frame.columns)
        raise Invalid(f"{table.source}, header", header, "no column of numbers: map one, --columns instances=NAME")
    unknown = np.count_nonzero(np.logical_and.reduce([np.isnan(column) for column in values.values()]))
    if unknown == table.frame.height:
        raise Invalid(table.source, ",".join(values), "no row has a value in these columns: map others, --columns")
    if unknown:
        notes.append(f"{unknown:,} rows have no value")
    return values, notes


def _moments(
    table: Table, layout: Layout, *, step_s: int | None, notes: list[str]
) -> tuple[NDArray[np.int64], int | None]:
    """The time of each row in whole seconds, and the step to resample to, if any."""
    column = layout.required.get("timestamp") or layout.required["step"]
    seconds = times_s(table, column)
    moments = np.rint(seconds).astype(np.int64)
    if "step" not in layout.required and not _number_steps(moments):
        return moments, step_s
    fractions = np.flatnonzero(seconds != moments)
    if fractions.size:
        table.reject(int(fractions[0]), column, "a step is a whole number")
    step_s = step_s or DEFAULT_STEP_S
    notes.append(f"{column} numbers steps of {step_s:,} s, the first at 0")
    return (moments - moments.min()) * step_s, step_s


def _number_steps(moments: NDArray[np.int64]) -> bool:
    """Whether times are steps and not seconds: small whole numbers with at most a tenth of them left out."""
    first, last = moments.min(), moments.max()
    return bool(0 <= first < last < STEPS_MAX and 10 * np.unique(moments).size >= 9 * (last - first + 1))


def _selection(
    table: Table,
    layout: Layout,
    ids: pl.Series,
    *,
    accounts_glob: str | None,
) -> Selection:
    selection = Selection(table.frame.height)
    if accounts_glob is not None:
        selection.leave_out_accounts(ids, glob=accounts_glob)
    split = layout.optional.get("split", "")
    if split in table.frame.columns and table.frame[split].n_unique() > 1:
        selection.leave_out((table.frame[split] != TRAINING).to_numpy(), f"{split} is not {TRAINING}")
    return selection


def _from_profile(metrics: MetricHistory, profile: WorkloadProfile | None, notes: list[str]) -> CountHistory | None:
    if profile is None:
        notes.append("no instance counts: a workload profile turns the metrics into them")
        return None
    loads = [f"{capacity * profile.target_utilisation:g} of {name}" for name, capacity in profile.capacity.items()]
    notes.append(f"instances from a workload profile: one for each {', '.join(loads)}")
    return instances_from_metrics(metrics, profile)
