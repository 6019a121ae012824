"""What a replay plays: counts, creates and deletes of every account on one grid of times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from addrcast.core.domain.demand import EventLog, MetricHistory


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
