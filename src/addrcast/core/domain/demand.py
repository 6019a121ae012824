"""What accounts used and asked for: counts, create and delete events, metrics, workload profiles.

All arrays are account-major; account `i` is row `i` and `accounts[i]` is its id, in ascending order of id.
Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class WorkloadProfile:
    """How much of each metric one instance can carry, and how far it should be loaded.

    `capacity` maps a metric's name to what one instance offers, in the metric's own unit;
    `target_utilisation` is the share of it that is planned for, in (0, 1].
    """

    capacity: dict[str, float]
    target_utilisation: float = 0.7
    minimum: int = 0
    maximum: int | None = None
    vcpu_per_instance: float = field(default=1.0)
    memory_gib_per_instance: float = field(default=4.0)
