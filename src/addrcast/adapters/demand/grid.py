"""Rows at any times brought onto one regular grid: order, duplicates, main step, snapping, resampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELLS_MAX = 500_000_000
DEFAULT_STEP_S = 3600
# A step or phase that fewer rows than this share is none of the file's own.
MAIN_SHARE_MIN = 0.5


@dataclass(frozen=True, slots=True)
class Grid:
    """Where each row that counts stands on a grid of N accounts x `steps` times.

    `rows` are the indices of those rows, in ascending order of account and time; `cells` is where each belongs,
    account * steps + column. `main_share` is the share of neighbouring rows that are the main step apart. The
    rest is for the report.
    """

    start_s: int
    step_s: int
    steps: int
    rows: NDArray[np.intp]
    cells: NDArray[np.int64]
    duplicates: int
    disorder: int
    off_grid: int
    other_steps: tuple[tuple[int, int], ...]
    main_share: float

    @property
    def aggregated(self) -> int:
        """How many rows share a cell with a later one."""
        return int(np.count_nonzero(np.diff(self.cells) == 0))

    def last(self, values: NDArray[np.float64], accounts: int) -> NDArray[np.float32]:
        """The last known value of each cell, float32 `(N, T)`, NaN where none is."""
        placed = values[self.rows]
        known = ~np.isnan(placed)
        on_grid = np.full((accounts, self.steps), np.nan, dtype=np.float32)
        # With repeated indices the last assignment stands.
        on_grid.flat[self.cells[known]] = placed[known]
        return on_grid

    def mean(self, values: NDArray[np.float64], accounts: int) -> NDArray[np.float32]:
        """The mean of each cell's known values, float32 `(N, T)`, NaN where none is."""
        if not self.aggregated:
            return self.last(values, accounts)
        placed = values[self.rows]
        known = ~np.isnan(placed)
        first = np.flatnonzero(np.diff(self.cells, prepend=-1))
        total = np.add.reduceat(np.where(known, placed, 0.0), first)
        number = np.add.reduceat(known.astype(np.int64), first)
        on_grid = np.full((accounts, self.steps), np.nan, dtype=np.float32)
        on_grid.flat[self.cells[first]] = np.where(number > 0, total / np.maximum(number, 1), np.nan)
        return on_grid


def regular_grid(account: NDArray[np.int32], times_s: NDArray[np.int64], *, step_s: int | None = None) -> Grid:
    """The grid of the main step of rows, or of `step_s` if given; of equal account and time the last row counts.

    The main step is the most frequent difference between an account's neighbouring times. A row off its grid
    goes to the nearest time, a row of a finer run to the next one, so that no count is seen before its time.
    Resampling puts the rows of `(t - step, t]` together at `t`. The grid keeps the phase that half of the rows
    share: counts taken three seconds past each hour stay there.

    Raises: Invalid where the grid would have more than CELLS_MAX cells.
    """
    rows, disorder = _in_order(account, times_s)
    repeated = np.zeros(rows.size, dtype=bool)
    repeated[:-1] = (np.diff(account[rows]) == 0) & (np.diff(times_s[rows]) == 0)
    rows = rows[~repeated]
    account, times_s = account[rows], times_s[rows]
    same = np.diff(account) == 0
    spacing = np.where(same, np.diff(times_s), 0)
    main_s, main_share = _main_step(spacing[same], step_s)
    snapped, phase_s, off_grid = _snapped(times_s, spacing, main_s)
    step_s = step_s or main_s
    origin_s = phase_s % min(main_s, step_s)
    column = -((origin_s - snapped) // step_s)
    first = int(column.min())
    steps = int(column.max()) - first + 1
    accounts = int(account.max()) + 1
    bounded_cells(accounts, steps, step_s)
    return Grid(
        start_s=origin_s + first * step_s,
        step_s=step_s,
        steps=steps,
        rows=rows,
        cells=account.astype(np.int64) * steps + (column - first),
        duplicates=int(repeated.sum()),
        disorder=disorder,
        off_grid=off_grid,
        other_steps=_other_steps(account, spacing, main_s),
        main_share=main_share,
    )


def bounded_cells(accounts: int, steps: int, step_s: int) -> None:
    """Raise Invalid where a grid would not fit into memory."""
    if accounts * steps > CELLS_MAX:
        raise Invalid(
            "grid",
            f"{accounts:,} accounts x {steps:,} times {step_s:,} s apart",
            f"at most {CELLS_MAX:,} cells are read: give a longer step, fewer accounts, or mend a stray time",
        )


def _in_order(account: NDArray[np.int32], times_s: NDArray[np.int64]) -> tuple[NDArray[np.intp], int]:
    """Rows in order of account and time, the file's order among equals; how many stood before an earlier one."""
    rows = np.argsort(account, kind="stable")
    backwards = (np.diff(account[rows]) == 0) & (np.diff(times_s[rows]) < 0)
    disorder = int(backwards.sum())
    if disorder:
        rows = np.lexsort((times_s, account))
    return rows, disorder


def _main_step(spacing: NDArray[np.int64], step_s: int | None) -> tuple[int, float]:
    """The most frequent difference, the smaller of equals, and its share; under half, the step asked for."""
    if not spacing.size:
        return step_s or DEFAULT_STEP_S, 1.0
    most, share = _most_frequent(spacing)
    if step_s and share < MAIN_SHARE_MIN:
        return step_s, share
    return most, share


def _most_frequent(values: NDArray[np.int64]) -> tuple[int, float]:
    distinct, numbers = np.unique(values, return_counts=True)
    most = int(numbers.argmax())
    return int(distinct[most]), float(numbers[most] / values.size)


def _snapped(
    times_s: NDArray[np.int64], spacing: NDArray[np.int64], main_s: int
) -> tuple[NDArray[np.int64], int, int]:
    """Times on the grid of the main step, the grid's phase, and how many rows were moved to the nearest time."""
    phase_s, share = _most_frequent(times_s % main_s)
    if share < MAIN_SHARE_MIN:
        phase_s = 0
    past = (times_s - phase_s) % main_s
    if not past.any():
        return times_s, phase_s, 0
    close = (spacing > 0) & (2 * spacing <= main_s)
    fine = np.zeros(times_s.size, dtype=bool)
    fine[1:] |= close
    fine[:-1] |= close
    up = (past > 0) & (fine | (2 * past >= main_s))
    off_grid = int(np.count_nonzero((past > 0) & ~fine))
    return times_s - past + np.where(up, main_s, 0), phase_s, off_grid


def _other_steps(
    account: NDArray[np.int32], spacing: NDArray[np.int64], main_s: int
) -> tuple[tuple[int, int], ...]:
    """Spacings other than the main one that occur three times in a row, and how many accounts have each."""
    run = (spacing[2:] == spacing[1:-1]) & (spacing[1:-1] == spacing[:-2])
    run &= (spacing[2:] > 0) & (spacing[2:] != main_s)
    pairs = np.unique(np.stack([spacing[2:][run], account[2:-1][run]]), axis=1)
    values, numbers = np.unique(pairs[0], return_counts=True)
    return tuple(zip(values.tolist(), numbers.tolist(), strict=True))
