"""Demand as the ledger itself shows it: counts of bound addresses on a grid of times, after a history if any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.record import AddressState
from addrcast.core.forecast.features import window_steps
from addrcast.core.forecast.need import NeedHistory
from addrcast.runtime.planning import REORDER_STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from addrcast.core.domain.demand import CountHistory
    from addrcast.core.domain.ledger import Ledger


class LiveDemand:
    """Counts and needs of all declared accounts up to now, column by column, float32 `(N, T)`.

    The first rows are those of `past`, in its order; the times between its end and the first look repeat its last
    counts. Every other account begins with what its bound addresses tell: when each of them was bound. Past columns
    that neither forecast nor reorder point looks at are forgotten.
    """

    def __init__(self, *, step_s: int, lead: int, past: CountHistory | None = None) -> None:
        self._step_s = step_s if past is None else past.step_s
        self._lead = lead
        self._past = past
        self._kept = lead + (REORDER_STEPS if past is None else max(REORDER_STEPS, window_steps(past.step_s)))
        self._rows: dict[str, int] = {}
        self._start_s = 0
        self._counts = np.zeros((0, 0), np.float32)
        self._needs = np.zeros((0, 0), np.float32)
        self._begin = np.zeros(0, np.float32)
        self._peak = np.zeros(0, np.float32)

    @property
    def accounts(self) -> tuple[str, ...]:
        """The rows."""
        return tuple(self._rows)

    @property
    def column(self) -> int:
        """The last column that is known."""
        return self._counts.shape[1] - 1

    def look(self, ledger: Ledger, now_ms: int) -> None:
        """Take in how many addresses are bound now; the more often, the better peaks between columns are known."""
        now_s = now_ms // 1_000
        if not self._counts.shape[1]:
            self._open(now_s)
        self._add_rows(ledger)
        bound = _bound(ledger, self.accounts)
        self._peak = np.maximum(self._peak, bound - self._begin)
        while self._start_s + (self.column + 1) * self._step_s <= now_s:
            self._counts = np.concatenate([self._counts, bound[:, None]], axis=1)[:, -self._kept :]
            needs = np.concatenate([self._needs, self._peak[:, None]], axis=1)
            self._start_s += self._step_s * (needs.shape[1] - self._counts.shape[1])
            self._needs = needs[:, -self._kept :]
            self._begin, self._peak = bound, np.zeros_like(bound)

    def history(self) -> NeedHistory:
        """All columns that are known."""
        return NeedHistory.of(
            self._counts, self._needs, start_s=self._start_s, step_s=self._step_s, lead=self._lead
        )

    def _open(self, now_s: int) -> None:
        """Lay out the columns that are past: those of the history with the gap after it, or none that are known."""
        if self._past is None:
            times = self._kept
            self._start_s = now_s // self._step_s * self._step_s - (times - 1) * self._step_s
            self._counts = np.zeros((0, times), np.float32)
        else:
            past = self._past
            gap = max(0, (now_s - past.start_s) // past.step_s - (past.steps - 1))
            held = np.concatenate([past.counts, np.repeat(past.counts[:, -1:], gap, axis=1)], axis=1)
            self._start_s = past.start_s + max(0, held.shape[1] - self._kept) * past.step_s
            self._counts = held[:, -self._kept :]
            self._rows = {account: row for row, account in enumerate(past.accounts)}
        self._needs = _increases(self._counts)
        self._begin = self._counts[:, -1]
        self._peak = np.zeros_like(self._begin)

    def _add_rows(self, ledger: Ledger) -> None:
        fresh = [account for account in sorted(ledger.accounts()) if account not in self._rows]
        if not fresh:
            return
        times = self._start_s + self._step_s * np.arange(self._counts.shape[1])
        counts = np.stack([_survivors(ledger, account, times) for account in fresh])
        self._rows |= {account: len(self._rows) + place for place, account in enumerate(fresh)}
        self._counts = np.concatenate([self._counts, counts])
        self._needs = np.concatenate([self._needs, _increases(counts)])
        self._begin = np.concatenate([self._begin, counts[:, -1]])
        self._peak = np.concatenate([self._peak, np.zeros(len(fresh), np.float32)])


def bound_by_host(ledger: Ledger) -> dict[str, dict[str, int]]:
    """How many addresses of each account are bound on each host."""
    return {
        account: {
            host: count
            for (state, host), count in ledger.places(account).items()
            if state is AddressState.BOUND and host is not None
        }
        for account in ledger.accounts()
    }


def _bound(ledger: Ledger, accounts: Sequence[str]) -> NDArray[np.float32]:
    return np.array([len(ledger.in_state(account, AddressState.BOUND)) for account in accounts], np.float32)


def _survivors(ledger: Ledger, account: str, times: NDArray[np.int64]) -> NDArray[np.float32]:
    """How many of the addresses that are bound now were bound at each of some times."""
    since_s = np.sort([entry.required.since_ms // 1_000 for entry in ledger.in_state(account, AddressState.BOUND)])
    return np.searchsorted(since_s, times, side="right").astype(np.float32)


def _increases(counts: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.maximum(np.diff(counts, axis=1, prepend=counts[:, :1]), 0)
    return found
