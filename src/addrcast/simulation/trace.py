"""What a replay plays: counts, creates and deletes of every account on one grid of times."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.demand import EventLog, counts_from_events, fill_gaps, window_sums
from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.core.domain.demand import CountHistory, History, MetricHistory


@dataclass(frozen=True, slots=True)
class Trace:
    """N accounts on a grid of T times; column `t` is the time `start_s + t * step_s`.

    All arrays are float32 `(N, T)` without gaps. `counts` is the count at the column's time. The others speak of
    the window that *ends* at the column, `(t - 1, t]`: `creates` and `deletes` are gross where `events` is set,
    else the net increase and decrease; `need` is the largest net increase inside the window over the count at
    its start (on counts the same as `creates`).

    Columns from `scored_from` on are decided and scored; nothing at or after it may tune a policy, but a decision
    at column `t` may see every column up to and including `t`. A decision at `t` covers the windows ending at
    `t + 1 .. t + lead`.
    """

    accounts: tuple[str, ...]
    start_s: int
    step_s: int
    counts: NDArray[np.float32]
    creates: NDArray[np.float32]
    deletes: NDArray[np.float32]
    need: NDArray[np.float32]
    scored_from: int
    lead: int = 1
    events: EventLog | None = None
    metrics: MetricHistory | None = None

    def __post_init__(self) -> None:
        if self.lead < 1:
            raise Invalid("lead", self.lead, "a decision covers at least one step")
        if self.columns < 2 * self.lead + 1:
            rule = f"a lead of {self.lead} steps needs at least {2 * self.lead + 1}: give a longer history"
            raise Invalid("times of the trace", self.columns, rule)
        if not self.lead <= self.scored_from < self.columns - self.lead:
            rule = (
                f"scoring starts at a column of {self.lead}..{self.columns - self.lead - 1}: "
                "choose another share with --from, or give a longer history"
            )
            raise Invalid("first scored column", self.scored_from, rule)

    @property
    def columns(self) -> int:
        """How many times the grid has, T."""
        return int(self.counts.shape[1])

    @property
    def decided(self) -> slice:
        """The columns at which a policy decides and is scored."""
        return slice(self.scored_from, self.columns - self.lead)

    def times_s(self) -> NDArray[np.int64]:
        """The grid's times in seconds, int64 `(T,)`."""
        return self.start_s + self.step_s * np.arange(self.columns, dtype=np.int64)


def lead_need(trace: Trace, *, cooldown_s: float = 0.0) -> NDArray[np.float32]:
    """The need of the whole lead window `(t - lead, t]` that ends at each column, float32 `(N, T)`.

    It is the largest excess, at any moment inside the window, of the creates so far over the addresses that came
    back so far. A deleted instance's address comes back `cooldown_s` later; on counts, where no event has a time,
    at once. The first `lead` columns, whose window begins before the trace, are 0.
    """
    held, need = trace.counts, trace.need
    if cooldown_s and trace.events is not None:
        grid = {"start_s": trace.start_s, "step_s": trace.step_s, "steps": trace.columns}
        late = replace(trace.events, deleted_s=trace.events.deleted_s + cooldown_s)
        held, need = counts_from_events(late, **grid), window_sums(late, **grid)[2]
    whole = np.zeros_like(need)
    first = trace.columns - trace.lead
    base = held[:, :first]
    for step in range(trace.lead):
        inside = held[:, step : first + step] - base + need[:, step + 1 : first + step + 1]
        np.maximum(whole[:, trace.lead :], inside, out=whole[:, trace.lead :])
    return whole


def lead_creates(trace: Trace) -> NDArray[np.float64]:
    """The creates of the lead window that each decision covers, float64 `(N, decisions)`.

    On events the gross creates; on counts, which do not show the others, the window's need.
    """
    if trace.events is None:
        return lead_need(trace)[:, trace.scored_from + trace.lead :].astype(np.float64)
    total = np.cumsum(trace.creates, axis=1, dtype=np.float64)
    return total[:, trace.scored_from + trace.lead :] - total[:, trace.decided]


def trace_from_history(
    history: History,
    *,
    from_fraction: float = 0.8,
    lead: int = 1,
    step_s: int | None = None,
    accounts_glob: str | None = None,
    min_mean: float | None = None,
    min_deviation: float | None = None,
) -> Trace:
    """A trace of the chosen accounts, scored from the first time at or after `from_fraction` of the time span.

    Events can go on another grid than the history's, by `step_s`; counts keep their own. `min_mean` and
    `min_deviation` bound the mean and standard deviation of an account's count over the whole trace.

    Raises: Invalid where the history has no counts, no account is left, or too few times are.
    """
    if history.counts is None:
        raise Invalid("history", "metrics only", "give a workload profile that turns metrics into instances")
    if not 0 < from_fraction < 1:
        raise Invalid("from", from_fraction, "a fraction of the time span between 0 and 1")
    if history.events is None:
        trace = _trace_of_counts(history.counts, from_fraction=from_fraction, lead=lead, step_s=step_s)
    else:
        grid = _event_grid(history.counts, step_s)
        trace = _trace_of_events(history.events, *grid, from_fraction=from_fraction, lead=lead)
    kept = _chosen(trace, accounts_glob, min_mean, min_deviation)
    return _with_metrics(_of_accounts(trace, kept), history.metrics)


def _first_scored(columns: int, from_fraction: float) -> int:
    """The first column at or after the fraction of the span; the guard undoes the rounding of the product."""
    return math.ceil(from_fraction * (columns - 1) - 1e-9)


def _trace_of_counts(history: CountHistory, *, from_fraction: float, lead: int, step_s: int | None) -> Trace:
    if step_s not in (None, history.step_s):
        raise Invalid("step", step_s, f"counts have their own step, {history.step_s} s; only events take another")
    counts = fill_gaps(history).counts
    change = np.diff(counts, axis=1, prepend=counts[:, :1])
    creates = np.maximum(change, 0)
    return Trace(
        accounts=history.accounts,
        start_s=history.start_s,
        step_s=history.step_s,
        counts=counts,
        creates=creates,
        deletes=np.maximum(-change, 0),
        need=creates,
        scored_from=_first_scored(history.steps, from_fraction),
        lead=lead,
    )


def _event_grid(counts: CountHistory, step_s: int | None) -> tuple[int, int, int]:
    """Start, step and number of times that span what the history's own grid spans."""
    if step_s is None:
        return counts.start_s, counts.step_s, counts.steps
    if step_s <= 0:
        raise Invalid("step", step_s, "a step is at least one second")
    return counts.start_s, step_s, (counts.steps - 1) * counts.step_s // step_s + 1


def _trace_of_events(
    log: EventLog, start_s: int, step_s: int, steps: int, *, from_fraction: float, lead: int
) -> Trace:
    creates, deletes, need = window_sums(log, start_s=start_s, step_s=step_s, steps=steps)
    return Trace(
        accounts=log.accounts,
        start_s=start_s,
        step_s=step_s,
        counts=counts_from_events(log, start_s=start_s, step_s=step_s, steps=steps),
        creates=creates,
        deletes=deletes,
        need=need,
        scored_from=_first_scored(steps, from_fraction),
        lead=lead,
        events=log,
    )


def _chosen(
    trace: Trace, glob: str | None, min_mean: float | None, min_deviation: float | None
) -> NDArray[np.intp]:
    kept = np.ones(len(trace.accounts), dtype=bool)
    if glob is not None:
        kept &= np.array([fnmatchcase(account, glob) for account in trace.accounts], dtype=bool)
    if min_mean is not None:
        kept &= trace.counts.mean(axis=1, dtype=np.float64) >= min_mean
    if min_deviation is not None:
        kept &= trace.counts.std(axis=1, dtype=np.float64) >= min_deviation
    if not kept.any():
        asked = {"accounts": glob, "min mean": min_mean, "min deviation": min_deviation}
        raise Invalid("accounts", asked, f"none of the {len(trace.accounts)} accounts is left: ask for less")
    return np.flatnonzero(kept)


def _of_accounts(trace: Trace, kept: NDArray[np.intp]) -> Trace:
    """The trace of the accounts whose rows are `kept`, in ascending order of row."""
    accounts = tuple(trace.accounts[row] for row in kept)
    events = None if trace.events is None else _events_of(trace.events, accounts, kept)
    arrays = {name: getattr(trace, name)[kept] for name in ("counts", "creates", "deletes", "need")}
    return replace(trace, accounts=accounts, events=events, **arrays)


def _events_of(log: EventLog, accounts: tuple[str, ...], kept: NDArray[np.intp]) -> EventLog:
    row = np.full(len(log.accounts), -1, dtype=np.int32)
    row[kept] = np.arange(kept.size, dtype=np.int32)
    rows = np.flatnonzero(row[log.account] >= 0)
    return EventLog(
        accounts=accounts,
        account=row[log.account[rows]],
        created_s=log.created_s[rows],
        deleted_s=log.deleted_s[rows],
        sizes=log.sizes[rows],
        instances=tuple(log.instances[event] for event in rows) if log.instances else (),
    )


def _with_metrics(trace: Trace, metrics: MetricHistory | None) -> Trace:
    """The trace with the metrics of its accounts; metrics on another grid than the counts are left out."""
    if metrics is None or (metrics.start_s, metrics.step_s) != (trace.start_s, trace.step_s):
        return trace
    if metrics.values.shape[2] != trace.columns:
        return trace
    row_of = {account: row for row, account in enumerate(metrics.accounts)}
    rows = [row_of[account] for account in trace.accounts]
    return replace(trace, metrics=replace(metrics, accounts=trace.accounts, values=metrics.values[:, rows]))
