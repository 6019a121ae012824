"""What accounts used and asked for: counts, create and delete events, metrics, workload profiles.

All arrays are account-major; account `i` is row `i` and `accounts[i]` is its id, in ascending order of id.
Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CountHistory:
    """Instance counts of N accounts on a regular grid of T times.

    `counts` is float32 `(N, T)`; NaN is a time at which the count is not known. Column `t` is the time
    `start_s + t * step_s`.
    """

    accounts: tuple[str, ...]
    start_s: int
    step_s: int
    counts: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.counts.ndim != 2 or self.counts.shape[0] != len(self.accounts):
            raise Invalid("counts", self.counts.shape, f"shape ({len(self.accounts)}, times) is expected")
        if self.step_s <= 0:
            raise Invalid("step_s", self.step_s, "a step is at least one second")

    @property
    def steps(self) -> int:
        """How many times the grid has."""
        return int(self.counts.shape[1])

    def times_s(self) -> NDArray[np.int64]:
        """The grid's times in seconds, int64 `(T,)`."""
        return self.start_s + self.step_s * np.arange(self.steps, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class EventLog:
    """Creates and deletes of instances, one row for each group of `sizes[e]` instances that live alike.

    `account` is int32 `(E,)`, an index into `accounts`. `created_s` is float64, -inf for instances older than
    the log; `deleted_s` is float64, +inf for those that outlive it. `sizes` is int64. `instances` are the
    ids, empty where the source has none. Rows are in ascending order of `created_s`.
    """

    accounts: tuple[str, ...]
    account: NDArray[np.int32]
    created_s: NDArray[np.float64]
    deleted_s: NDArray[np.float64]
    sizes: NDArray[np.int64]
    instances: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows the log has."""
        return int(self.account.shape[0])


@dataclass(frozen=True, slots=True)
class MetricHistory:
    """Measured metrics on a grid: `values` is float32 `(M, N, T)`, NaN where unknown; `names` has M names."""

    accounts: tuple[str, ...]
    start_s: int
    step_s: int
    names: tuple[str, ...]
    values: NDArray[np.float32]

    def beside(self, counts: CountHistory) -> MetricHistory:
        """The same metrics for the accounts and times of some counts; NaN where nothing is known of them.

        Raises Invalid where the steps differ or the times lie between those of the counts.
        """
        shift, between_s = divmod(self.start_s - counts.start_s, counts.step_s)
        if self.step_s != counts.step_s or between_s:
            own = f"every {self.step_s} s, {between_s} s after the times of the counts"
            raise Invalid(
                "metrics", own, f"the counts come every {counts.step_s} s: give the metrics at their times"
            )
        values = np.full((len(self.names), *counts.counts.shape), np.nan, np.float32)
        row_of = {account: row for row, account in enumerate(self.accounts)}
        rows = np.array([row_of.get(account, -1) for account in counts.accounts], np.int64)
        known = np.flatnonzero(rows >= 0)
        first, last = max(0, shift), min(counts.steps, shift + self.values.shape[2])
        if first < last:
            values[:, known, first:last] = self.values[:, rows[known], first - shift : last - shift]
        return MetricHistory(counts.accounts, counts.start_s, counts.step_s, self.names, values)


@dataclass(frozen=True, slots=True)
class WorkloadProfile:
    """How much of each metric one instance can carry, and how far it should be loaded.

    `capacity` maps a metric's name to what one instance offers, in the metric's own unit;
    `target_utilisation` is the share of it that is planned for, in (0, 1]. `minimum` and `maximum` bound the
    instance count. The rest is what one instance asks of its host.
    """

    capacity: dict[str, float]
    target_utilisation: float = 0.7
    minimum: int = 0
    maximum: int | None = None
    vcpu_per_instance: float = 1.0
    memory_gib_per_instance: float = 4.0
    network_mbit_s_per_instance: float = 100.0

    def __post_init__(self) -> None:
        for name, capacity in self.capacity.items():
            if not 0 < capacity < float("inf"):
                raise Invalid(f"capacity of {name}", capacity, "a capacity is a finite number above 0")
        if not 0 < self.target_utilisation <= 1:
            raise Invalid("target_utilisation", self.target_utilisation, "a share above 0 and at most 1")
        if self.minimum < 0:
            raise Invalid("minimum", self.minimum, "an instance count is at least 0")
        if self.maximum is not None and self.maximum < self.minimum:
            raise Invalid("maximum", self.maximum, f"not below the minimum of {self.minimum}")


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What a history file held, and what was done about what was not regular in it.

    `gaps` counts the cells (account x time) without a value, `fleet_gaps` the times at which no account has one.
    `duplicates` are rows replaced by a later row of the same account and time, `disorder` rows earlier than the
    row before them, `off_grid` rows moved to a time of the grid, `aggregated` rows merged into a coarser step.
    `other_steps` pairs a spacing seen in regular runs, in seconds, with how many accounts have it; `ignored`
    pairs a reason with how many rows were left out for it.
    """

    layout: str
    rows: int
    accounts: int
    start_s: int
    step_s: int
    steps: int
    gaps: int = 0
    fleet_gaps: int = 0
    duplicates: int = 0
    disorder: int = 0
    off_grid: int = 0
    aggregated: int = 0
    other_steps: tuple[tuple[int, int], ...] = ()
    ignored: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The report as JSON has it."""
        return asdict(self) | {
            "other_steps": [{"step_s": step_s, "accounts": accounts} for step_s, accounts in self.other_steps],
            "ignored": [{"reason": reason, "rows": rows} for reason, rows in self.ignored],
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The report as a person reads it; what did not occur is not mentioned."""
        grid = f"{self.steps:,} times {self.step_s:,} s apart"
        occurred = (
            (self.gaps, "values absent from the grid"),
            (self.fleet_gaps, "times without a value from any account"),
            (self.duplicates, "rows replaced by a later row of the same account and time"),
            (self.disorder, "rows out of order, sorted"),
            (self.off_grid, "rows off the grid, moved to its nearest time"),
            (self.aggregated, "rows of a finer step, merged"),
        )
        return [
            f"{self.layout}: {self.rows:,} rows, {self.accounts:,} accounts, {grid}",
            *(f"{figure:,} {what}" for figure, what in occurred if figure),
            *(f"{accounts:,} accounts have runs {step_s:,} s apart" for step_s, accounts in self.other_steps),
            *(f"{rows:,} rows ignored: {reason}" for reason, rows in self.ignored),
            *self.notes,
        ]


@dataclass(frozen=True, slots=True)
class History:
    """What one file says of its accounts; all parts that are there have the same accounts and the same grid.

    `counts` is None only for metrics without a workload profile. It may have gaps (NaN) unless it was made from
    events.
    """

    counts: CountHistory | None
    events: EventLog | None
    metrics: MetricHistory | None
    report: ReadReport


def fill_gaps(history: CountHistory) -> CountHistory:
    """The same counts with every gap filled.

    A gap takes the last known count before it; the gap before the first known count takes that count; an account
    of which nothing is known has 0 instances.
    """
    known = ~np.isnan(history.counts)
    if known.all():
        return history
    column = np.where(known, np.arange(history.steps, dtype=np.int32), np.int32(-1))
    np.maximum.accumulate(column, axis=1, out=column)
    first = known.argmax(axis=1).astype(np.int32)
    column = np.where(column < 0, first[:, None], column)
    counts = np.nan_to_num(np.take_along_axis(history.counts, column, axis=1), nan=0.0)
    return CountHistory(history.accounts, history.start_s, history.step_s, counts)


def counts_from_events(log: EventLog, *, start_s: int, step_s: int, steps: int) -> NDArray[np.float32]:
    """How many instances of each account live at each time of the grid, float32 `(N, steps)`.

    An instance lives at `t` when `created <= t < deleted`.
    """
    change = np.zeros((len(log.accounts), steps), dtype=np.int64)
    for times_s, sign in ((log.created_s, 1), (log.deleted_s, -1)):
        window = _windows(times_s, start_s, step_s)
        counted = window < steps
        column = np.maximum(window[counted], 0).astype(np.int64)
        np.add.at(change, (log.account[counted], column), sign * log.sizes[counted])
    return np.cumsum(change, axis=1, out=change).astype(np.float32)


def window_sums(
    log: EventLog, *, start_s: int, step_s: int, steps: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Gross creates, gross deletes and the need of every window `(t - 1, t]`, each float32 `(N, steps)`.

    The need is the largest net increase inside the window over the count at its start, at least 0. At equal
    times deletes come before creates, so a successor that starts as its predecessor ends adds no need.
    """
    shape = (len(log.accounts), steps)
    times_s = np.concatenate([log.deleted_s, log.created_s])
    change = np.concatenate([-log.sizes, log.sizes])
    window = _windows(times_s, start_s, step_s)
    inside = np.flatnonzero((window >= 0) & (window < steps))
    account = np.tile(log.account, 2)[inside]
    cell = account.astype(np.int64) * steps + window[inside].astype(np.int64)
    # Stable, and the deletes stand first: at equal times they stay first.
    order = np.lexsort((times_s[inside], cell))
    cell, change = cell[order], change[inside][order]
    creates, deletes, need = (np.zeros(shape, dtype=np.float32) for _ in range(3))
    if not cell.size:
        return creates, deletes, need
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    touched = cell[first]
    creates.flat[touched] = np.add.reduceat(np.maximum(change, 0), first)
    deletes.flat[touched] = np.add.reduceat(np.maximum(-change, 0), first)
    running = np.cumsum(change)
    at_start = running[first] - change[first]
    need.flat[touched] = np.maximum(np.maximum.reduceat(running, first) - at_start, 0)
    return creates, deletes, need


def _windows(times_s: NDArray[np.float64], start_s: int, step_s: int) -> NDArray[np.float64]:
    """The column whose window `(t - 1, t]` holds each time; infinite and negative ones are kept."""
    return np.ceil((times_s - start_s) / step_s)
